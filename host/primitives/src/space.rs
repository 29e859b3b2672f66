//! Proof of space: what plots, farmers and native code agree on.
//!
//! Two schemes. A *plain* plot is a row of leaves, each one SHA-256 of the plot's id and its index, under a Merkle tree. A *hard* plot is
//! made of PoC2 nonces as Signum runs it. `docs/plots.md` draws both and says what each is worth.

use sha2::{Digest, Sha256};
use std::fmt;

/// The bytes of a leaf, and of a node of the tree over leaves.
pub const LEAF_BYTES: usize = 32;

/// A plain plot's leaves are a multiple of this: whole subtrees.
pub const LEAVES_STEP: u64 = 1_024;

/// The most leaves of a plain plot: 64 PiB of them.
pub const LEAVES_MAX: u64 = 1 << 51;

/// Scoops of a PoC2 nonce.
pub const SCOOPS: usize = 4_096;

/// The bytes of a scoop.
pub const SCOOP_BYTES: usize = 64;

/// The bytes of a PoC2 nonce.
pub const NONCE_BYTES: usize = SCOOPS * SCOOP_BYTES;

/// Returns the account of a public key, as Signum has it: the first eight bytes of its SHA-256, little-endian. Hard plots belong to accounts.
pub fn account(key: &[u8; 32]) -> u64 {
    let digest: [u8; 32] = Sha256::digest(key).into();
    u64::from_le_bytes(*digest.first_chunk().expect("a digest has 32 bytes"))
}

/// Returns what a plain plot's leaves are made from: `SHA-256("adit plot 1" | key | seed)`.
pub fn plot_id(key: &[u8; 32], seed: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(b"adit plot 1").chain_update(key).chain_update(seed).finalize().into()
}

/// Returns a leaf of a plain plot: `SHA-256(plot id | index)`, the index in 8 bytes little-endian.
pub fn leaf(plot: &[u8; 32], index: u64) -> [u8; LEAF_BYTES] {
    Sha256::new().chain_update(plot).chain_update(index.to_le_bytes()).finalize().into()
}

/// Returns how high the tree over so many leaves is: its root is on that level, leaves are on level 0.
pub fn tree_height(leaves: u64) -> u32 {
    leaves.next_power_of_two().trailing_zeros()
}

/// Returns the node of a tree over two.
pub fn node_over(left: &[u8; LEAF_BYTES], right: &[u8; LEAF_BYTES]) -> [u8; LEAF_BYTES] {
    Sha256::new().chain_update(left).chain_update(right).finalize().into()
}

/// Follows a leaf up to the root. `path` has the node beside it on each level, from the lowest.
pub fn root_of<'p>(
    leaf: &[u8; LEAF_BYTES],
    index: u64,
    path: impl IntoIterator<Item = &'p [u8; LEAF_BYTES]>,
) -> [u8; LEAF_BYTES] {
    let step = |(node, index): ([u8; LEAF_BYTES], u64), beside: &[u8; LEAF_BYTES]| {
        let above = if index.is_multiple_of(2) { node_over(&node, beside) } else { node_over(beside, &node) };
        (above, index / 2)
    };
    path.into_iter().fold((*leaf, index), step).0
}

/// How a leaf is scored under a challenge: by this hash of the challenge and the leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScoreHash {
    Sha256,
    Blake3,
}

impl ScoreHash {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Blake3];

    /// Returns the word for it in files and on screens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Blake3 => "blake3",
        }
    }
}

impl fmt::Display for ScoreHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The best leaf of some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BestLeaf {
    /// Its place among them; the first of equal ones.
    pub index: usize,
    /// A little-endian number: the lowest wins.
    pub score: [u8; 32],
}

/// Makes and scans plots, natively. What a scan proposes the chain's plugin computes again.
pub trait SpaceEngine: Send + Sync {
    /// Returns what it is built for.
    fn name(&self) -> &'static str;

    /// Returns how many nonces [`Self::nonces`] makes at once.
    fn lanes(&self) -> usize;

    /// Makes leaves of a plain plot, from the one numbered `first` on: `SHA-256(plot id | index, 8 bytes little-endian)`. As many as `leaves` has
    /// room for.
    ///
    /// # Panics
    /// Where `leaves` is no multiple of [`LEAF_BYTES`].
    fn leaves(&self, plot: &[u8; 32], first: u64, leaves: &mut [u8]);

    /// Makes the nodes over pairs: `SHA-256(left | right)`.
    ///
    /// # Panics
    /// Where `pairs` is not twice as long as `nodes`, or `nodes` no multiple of [`LEAF_BYTES`].
    fn nodes(&self, pairs: &[u8], nodes: &mut [u8]);

    /// Returns the leaf with the lowest score under a challenge. `None` where there is none.
    ///
    /// # Panics
    /// Where `leaves` is no multiple of [`LEAF_BYTES`].
    fn best_leaf(&self, hash: ScoreHash, challenge: &[u8; 32], leaves: &[u8]) -> Option<BestLeaf>;

    /// Makes [`Self::lanes`] PoC2 nonces of an account, from `first` on. They come scoop by scoop: all nonces' scoop 0, then all nonces' scoop 1.
    ///
    /// # Panics
    /// Where `scoops` is not of [`Self::lanes`] times [`NONCE_BYTES`] bytes.
    fn nonces(&self, account: u64, first: u64, scoops: &mut [u8]);

    /// Puts down for each scoop of PoC2 how good it is under a generation signature: the lower, the better. A deadline in seconds is this divided by
    /// the base target.
    ///
    /// # Panics
    /// Where `scoops` has not [`SCOOP_BYTES`] for each quality.
    fn qualities(&self, signature: &[u8; 32], scoops: &[u8], qualities: &mut [u64]);
}
