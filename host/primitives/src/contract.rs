//! What crosses the sandbox's border: the values of the WIT contract, with the packed rows of its bulk calls.
//!
//! A bulk call takes and gives a `list<u8>` that holds one canonical list ([`rows`], [`read_rows`]); `wit/README.md` draws each row.
//!
//! This file holds what consensus and hash plugins exchange, [`space`] what rules do besides where plots win blocks; [`payout`] and
//! [`shares`] what a pool's plugins do, [`quorum`] what those of a peer-to-peer pool do besides.

pub mod payout;
pub mod quorum;
pub mod shares;
pub mod space;

use crate::{
    BlockId, Decode, DecodeError, Encode, Hash256, Height, Reader, Target, Timestamp, U256, Work, canonical_struct,
};

/// A rule that was broken: the verdict "invalid", a fact of consensus.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {detail}")]
pub struct Violation {
    /// The rule's name in lower-case words joined by dashes, the same for everyone: `bits`, `proof-of-work`.
    pub rule: String,
    /// What was found and what would have been right.
    pub detail: String,
}

/// The bytes that a miner hashes, and where in them it may try values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PowInput {
    /// The bytes to hash. Empty for a chain whose headers carry another kind of proof: the host hashes nothing then.
    pub bytes: Vec<u8>,
    /// Where the nonce begins.
    pub nonce_offset: u32,
    /// How many bytes of nonce there are, little-endian: at most 8.
    pub nonce_bytes: u32,
    /// Where a little-endian `u32` lies whose bits under `roll_mask` a miner may also vary.
    pub roll_offset: u32,
    /// Which bits may be rolled; 0 for none.
    pub roll_mask: u32,
}

/// What the host learns of a header: it never reads the bytes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderView {
    pub id: BlockId,
    /// The parents, as the header orders them. Empty for the genesis alone.
    pub parents: Vec<BlockId>,
    pub time: Timestamp,
    /// The difficulty as the header states it, in the plugin's own coding.
    pub bits: u32,
    /// The commitment to the block's body.
    pub body_root: Hash256,
    pub pow: PowInput,
}

/// A header to be judged. Its parents have been placed, or stand before it in the same batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub header: Vec<u8>,
    /// The digest of the header's [`PowInput`] by the chain's hash plugin.
    pub pow: Hash256,
}

/// Where a valid block stands: what fork choice and ledger need to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The parent whose history the block continues; `None` for the genesis alone.
    pub selected_parent: Option<BlockId>,
    /// The merge set without the selected parent, in the order in which the ledger applies it. Empty on a longest chain.
    pub merge_set: Vec<MergedBlock>,
    /// Height on the selected chain, or blue score.
    pub height: Height,
    /// The work behind the block, its own included. The tip with the most work wins.
    pub work: Work,
    /// Decides between tips of equal work: the greater in byte order wins; where equal, the one seen first stays.
    pub tie: Hash256,
    /// The earliest time at which a node may accept the block. The host compares it with its clock, which a plugin never sees.
    pub valid_from: Timestamp,
    /// What the block's coinbase may create, in atoms, fees not counted.
    pub subsidy: u64,
    /// The plugin's own notes on the block, given back to it in [`KnownBlock`].
    pub state: Vec<u8>,
}

/// A block of a merge set and its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergedBlock {
    pub id: BlockId,
    pub blue: bool,
}

/// A placed block, as a consensus plugin sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownBlock {
    pub id: BlockId,
    pub parents: Vec<BlockId>,
    pub selected_parent: Option<BlockId>,
    /// The merge set without the selected parent, as its placement ordered it.
    pub merge_set: Vec<MergedBlock>,
    pub time: Timestamp,
    pub bits: u32,
    pub height: Height,
    pub work: Work,
    pub state: Vec<u8>,
}

/// What order and difficulty need of a placed block: a row of constant length, for questions about many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub id: BlockId,
    pub time: Timestamp,
    pub bits: u32,
    pub height: Height,
    pub work: Work,
}

/// What the next block over some tips must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirements {
    /// The parents to name, chosen among the tips.
    pub parents: Vec<BlockId>,
    pub bits: u32,
    pub target: Target,
    /// The difficulty as the chain's users count it, a decimal number for display.
    pub difficulty: String,
    /// The earliest time that the header may carry.
    pub earliest: Timestamp,
    pub height: Height,
    /// What the coinbase may create, in atoms, fees not counted.
    pub subsidy: u64,
}

/// A header to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub parents: Vec<BlockId>,
    pub bits: u32,
    pub time: Timestamp,
    pub body_root: Hash256,
}

/// A header without its proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub header: Vec<u8>,
    pub pow: PowInput,
    pub target: Target,
}

/// Work for a search: inputs that differ before the nonce's 64-byte block share that block's message schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchJob {
    /// Byte strings of one length, one for each rolled version. At least one.
    pub inputs: Vec<Vec<u8>>,
    pub nonce_offset: u32,
    /// How many bytes of nonce there are, little-endian: 1 to 8.
    pub nonce_bytes: u32,
    pub target: Target,
}

/// A nonce whose digest meets the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    pub nonce: u64,
    /// Which of the job's inputs.
    pub input: u32,
}

/// What a search did. `scanned` counts nonces from the first, each tried with every input; a search may stop early.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scan {
    pub scanned: u64,
    pub found: Vec<Found>,
}

impl SearchJob {
    /// The number of nonces that the nonce field can hold, or `None` for 2^64.
    pub fn nonces(&self) -> Option<u64> {
        1u64.checked_shl(8 * self.nonce_bytes)
    }

    /// Writes `nonce` into a copy of one of the inputs' nonce field.
    pub fn write_nonce(&self, input: &mut [u8], nonce: u64) {
        let (offset, length) = (self.nonce_offset as usize, self.nonce_bytes as usize);
        input[offset..offset + length].copy_from_slice(&nonce.to_le_bytes()[..length]);
    }
}

impl KnownBlock {
    /// Returns what order and difficulty need of the block.
    pub fn stamp(&self) -> Stamp {
        Stamp { id: self.id, time: self.time, bits: self.bits, height: self.height, work: self.work }
    }
}

impl PowInput {
    /// Checks that the nonce and the rolled field lie inside the bytes.
    pub fn is_sound(&self) -> bool {
        let inside = |offset: u32, length: u32| {
            (offset as usize).checked_add(length as usize).is_some_and(|end| end <= self.bytes.len())
        };
        self.bytes.is_empty()
            || ((1..=8).contains(&self.nonce_bytes)
                && inside(self.nonce_offset, self.nonce_bytes)
                && (self.roll_mask == 0 || inside(self.roll_offset, 4)))
    }
}

impl Encode for Height {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for Height {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        u64::decode(reader).map(Self)
    }
}

impl Encode for Timestamp {
    fn encode(&self, out: &mut Vec<u8>) {
        self.to_millis().encode(out);
    }
}

impl Decode for Timestamp {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        u64::decode(reader).map(Self::from_millis)
    }
}

impl Encode for Work {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for Work {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        U256::decode(reader).map(Self)
    }
}

impl Encode for Target {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for Target {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        U256::decode(reader).map(Self)
    }
}

canonical_struct!(Violation { rule, detail });
canonical_struct!(PowInput { bytes, nonce_offset, nonce_bytes, roll_offset, roll_mask });
canonical_struct!(HeaderView { id, parents, time, bits, body_root, pow });
canonical_struct!(Candidate { header, pow });
canonical_struct!(MergedBlock { id, blue });
canonical_struct!(Placement { selected_parent, merge_set, height, work, tie, valid_from, subsidy, state });
canonical_struct!(KnownBlock { id, parents, selected_parent, merge_set, time, bits, height, work, state });
canonical_struct!(Stamp { id, time, bits, height, work });
canonical_struct!(Requirements { parents, bits, target, difficulty, earliest, height, subsidy });
canonical_struct!(Draft { parents, bits, time, body_root });
canonical_struct!(Template { header, pow, target });
canonical_struct!(SearchJob { inputs, nonce_offset, nonce_bytes, target });
canonical_struct!(Found { nonce, input });
canonical_struct!(Scan { scanned, found });

/// Packs rows for a bulk call.
pub fn rows<T: Encode>(items: &[T]) -> Vec<u8> {
    items.to_bytes()
}

/// Unpacks the rows of a bulk call.
pub fn read_rows<T: Decode>(bytes: &[u8]) -> Result<Vec<T>, DecodeError> {
    Vec::from_bytes(bytes)
}
