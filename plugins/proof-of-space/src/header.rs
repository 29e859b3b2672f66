//! The header: which bytes mean what.
//!
//! | field | byte | |
//! |---|---|---|
//! | version | 0 | u32, 1 |
//! | parent | 4 | |
//! | body root | 36 | |
//! | time | 68 | u64, milliseconds since 1970 |
//! | bits | 76 | u32, the target in compact form |
//! | proof | 80 | the canonical bytes of a [`SpaceProof`]; none in the genesis and in templates |
//!
//! Integers are little-endian. A block's id is the double SHA-256 of its whole header. A proof has one writing: whoever reads it back
//! and writes it again gets the same bytes, so nobody can give a block a second id.

use crate::violation::Rule;
use adit_plugin_sdk::space::{PATH_MAX, SpaceClaim, SpaceProof};
use adit_plugin_sdk::{BlockId, Decode, Draft, Hash256, Timestamp, Violation, sha256d};

/// The bytes of a header without its proof.
pub const TEMPLATE_BYTES: usize = 80;

/// The bytes of a signature.
const SIGNATURE_BYTES: usize = 64;

/// The bytes of a registration.
const REGISTRATION_BYTES: usize = 104;

/// The most bytes of a proof that registers nothing: challenge, key, a leaf's place with the longest path, two lengths, signature.
const PROOF_BYTES_MAX: usize = 32 + 32 + (1 + 32 + 8 + 32 + 8 + 4 + PATH_MAX * 32 + 8) + 4 + SIGNATURE_BYTES;

const VERSION: u32 = 1;

/// A header that has been read. Nothing in it has been judged.
#[derive(Debug)]
pub struct Header<'a> {
    pub id: BlockId,
    pub parent: BlockId,
    pub body_root: Hash256,
    pub time: Timestamp,
    pub bits: u32,
    pub proof: Option<Proof<'a>>,
}

/// A header's proof.
#[derive(Debug)]
pub struct Proof<'a> {
    pub proof: SpaceProof,
    /// The header before it.
    template: &'a [u8],
    /// The claim's canonical bytes.
    claim: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads a header: its length, its version, its fields and the form of its proof.
    pub fn read(header: &'a [u8], registrations_max: u32) -> Result<Self, Violation> {
        let bytes_max = TEMPLATE_BYTES + PROOF_BYTES_MAX + registrations_max as usize * REGISTRATION_BYTES;
        let length = |found: usize| {
            Rule::HeaderLength.broken(format!("{found} bytes, a header has {TEMPLATE_BYTES} to {bytes_max}"))
        };
        let (template, proof) = header.split_at_checked(TEMPLATE_BYTES).ok_or_else(|| length(header.len()))?;
        if header.len() > bytes_max {
            return Err(length(header.len()));
        }
        let version = u32::from_le_bytes(field(template, 0));
        if version != VERSION {
            return Err(Rule::Version.broken(format!("{version:#010x} is not {VERSION}")));
        }
        Ok(Self {
            parent: BlockId(field(template, 4)),
            body_root: Hash256(field(template, 36)),
            time: Timestamp::from_millis(u64::from_le_bytes(field(template, 68))),
            bits: u32::from_le_bytes(field(template, 76)),
            proof: if proof.is_empty() { None } else { Some(Proof::read(template, proof)?) },
            id: BlockId(sha256d(header)),
        })
    }
}

impl<'a> Proof<'a> {
    fn read(template: &'a [u8], bytes: &'a [u8]) -> Result<Self, Violation> {
        let proof = SpaceProof::from_bytes(bytes).map_err(|error| Rule::ProofForm.broken(error.to_string()))?;
        Ok(Self { proof, template, claim: &bytes[..bytes.len() - SIGNATURE_BYTES] })
    }

    /// Returns what the owner of the plot signs.
    pub fn message(&self, genesis: &BlockId) -> Hash256 {
        SpaceClaim::message_over(genesis, self.template, self.claim)
    }
}

/// Builds a header without its proof. `parent` of the genesis is all zero.
pub fn encode(parent: BlockId, draft: &Draft) -> Vec<u8> {
    let mut header = Vec::with_capacity(TEMPLATE_BYTES);
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&parent.0);
    header.extend_from_slice(&draft.body_root.0);
    header.extend_from_slice(&draft.time.to_millis().to_le_bytes());
    header.extend_from_slice(&draft.bits.to_le_bytes());
    header
}

/// Reads `N` bytes of a header whose length has been checked.
fn field<const N: usize>(header: &[u8], offset: usize) -> [u8; N] {
    header[offset..offset + N].try_into().expect("a slice of N bytes is an array of N bytes")
}
