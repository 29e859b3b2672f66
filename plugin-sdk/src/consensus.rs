//! What the author of consensus rules writes.

use crate::ConfigError;
use adit_primitives::contract::space::{Challenge, Registration, SpaceProof};
use adit_primitives::contract::{Draft, HeaderView, Placement, Requirements, Template, Violation};
use adit_primitives::engine::ChainView;
use adit_primitives::{BlockId, Hash256, Timestamp};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// A header that is being judged.
#[derive(Debug, Clone)]
pub struct JudgedHeader<'a> {
    /// The bytes.
    pub header: &'a [u8],
    /// The same, as [`Consensus::decode`] read them.
    pub view: &'a HeaderView,
    /// The digest of `view.pow` by the chain's hash algorithm, to be compared with the target as a little-endian integer.
    pub pow: Hash256,
}

/// The rules of a chain. Pure functions: the same arguments and the same known blocks give the same answer on every node.
pub trait Consensus: Sized {
    /// The plugin's name in `chain.toml`: lower-case words joined by dashes.
    const NAME: &'static str;
    /// One sentence on what it is.
    const SUMMARY: &'static str;
    /// The plugin's `config` table.
    type Config: DeserializeOwned + JsonSchema;

    /// Makes an instance. What serde cannot check is checked here.
    fn new(config: Self::Config) -> Result<Self, ConfigError>;

    /// Returns the genesis header.
    fn genesis(&self) -> Vec<u8>;

    /// Reads a header: its form alone, without any other block.
    fn decode(&self, header: &[u8]) -> Result<HeaderView, Violation>;

    /// Reads a header that [`Self::decode`] has taken before, here or in another instance: the host places no other. What was checked then
    /// need not be checked again.
    fn decode_again(&self, header: &[u8]) -> Result<HeaderView, Violation> {
        self.decode(header)
    }

    /// Judges a header whose parents `view` shows, and says where it stands.
    fn place(&self, view: &dyn ChainView, block: &JudgedHeader<'_>) -> Result<Placement, Violation>;

    /// Returns what the next block over `tips` must have. `wish` asks for a difficulty other than the one computed; a chain
    /// that does not allow that refuses it.
    fn next(&self, view: &dyn ChainView, tips: &[BlockId], wish: Option<u64>) -> Result<Requirements, Violation>;

    /// Builds a header without its proof.
    fn encode(&self, draft: &Draft) -> Result<Template, Violation>;

    /// Says a header's `bits` as the chain's users count difficulty: a decimal number for display.
    fn difficulty(&self, bits: u32) -> Result<String, Violation>;

    /// Puts a proof into a template's header: the nonce, and the rolled field as it stood in the hashed bytes.
    fn seal(&self, header: &[u8], nonce: u64, rolled: u32) -> Result<Vec<u8>, Violation>;
}

/// The rules of a chain whose blocks are won by plots.
///
/// [`Consensus::decode`] gives what a claim is scored by as the bytes to hash
/// ([`plain_score_input`](crate::space::plain_score_input), [`hard_score_input`](crate::space::hard_score_input)), so that the chain's hash plugin says
/// the score; templates have none.
pub trait ProofOfSpace: Consensus {
    /// Returns what farmers are asked for a block over `parents` whose header carries `time`.
    fn challenge(&self, view: &dyn ChainView, parents: &[BlockId], time: Timestamp) -> Result<Challenge, Violation>;

    /// Returns the plots that a header registers.
    fn registered(&self, header: &[u8]) -> Result<Vec<Registration>, Violation>;

    /// Puts a proof into a template's header. Whether it wins, only [`Consensus::place`] says.
    fn prove(&self, header: &[u8], proof: &SpaceProof) -> Result<Vec<u8>, Violation>;
}

/// Makes a type the rules that this crate's component exports. One line, once, at the crate's root.
///
/// Does nothing in native builds.
#[macro_export]
macro_rules! export_consensus {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code)]
        const _: () = {
            $crate::__exported!($plugin, Consensus, Consensus);
            $crate::glue::consensus::bindings::export_consensus_world!(Exported with_types_in $crate::glue::consensus::bindings);
        };
    };
}

/// Makes a type the rules by which plots win blocks that this crate's component exports. One line, once, at the crate's root, in the place of
/// [`export_consensus!`](crate::export_consensus).
///
/// Does nothing in native builds.
#[macro_export]
macro_rules! export_space {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code)]
        const _: () = {
            $crate::__exported!($plugin, Consensus, Consensus);
            $crate::glue::consensus::bindings::export_consensus_world!(Exported with_types_in $crate::glue::consensus::bindings);
            $crate::glue::space::bindings::export_space_world!(Exported with_types_in $crate::glue::space::bindings);
        };
    };
}
