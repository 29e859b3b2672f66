//! Blocks: header bytes that belong to the consensus plugin, and a body of transactions that the header commits to.

use crate::Transaction;
use adit_primitives::{Hash256, canonical_struct, sha256d};

/// A block as it is sent and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The consensus plugin's bytes: the host never reads them.
    pub header: Vec<u8>,
    /// The coinbase first, then payments. Empty for the genesis alone.
    pub body: Vec<Transaction>,
}

canonical_struct!(Block { header, body });

/// Why a list of leaves has no root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    #[error("the body has no transaction")]
    Empty,
    /// CVE-2012-2459: a list that repeats its end has the root of the list without the repetition.
    #[error("two equal halves stand side by side in the tree of transactions")]
    Mutated,
}

impl Block {
    /// Returns the number of canonical bytes.
    pub fn size(&self) -> usize {
        4 + self.header.len() + 4 + self.body.iter().map(Transaction::size).sum::<usize>()
    }

    /// Returns the root that the header must commit to.
    pub fn body_root(&self) -> Result<Hash256, RootError> {
        body_root(self.body.iter().map(Transaction::leaf).collect())
    }
}

/// Returns the root of Bitcoin's merkle tree: levels of odd length repeat their last entry.
pub fn body_root(mut level: Vec<Hash256>) -> Result<Hash256, RootError> {
    while level.len() > 1 {
        if level.chunks_exact(2).any(|pair| pair[0] == pair[1]) {
            return Err(RootError::Mutated);
        }
        level = parents(&level);
    }
    level.pop().ok_or(RootError::Empty)
}

/// Returns the branch that leads from the first leaf to the root, for leaves that follow it: the coinbase's, so that
/// a new coinbase needs one hash for each level.
pub fn first_leaf_branch(following: &[Hash256]) -> Vec<Hash256> {
    let mut branch = Vec::new();
    // The entry of index 0 is the branch's own and stays unknown: levels are kept without it.
    let mut level = following.to_vec();
    while let Some((sibling, rest)) = level.split_first() {
        branch.push(*sibling);
        level = parents(rest);
    }
    branch
}

/// Returns the root over a first leaf and its branch.
pub fn fold_branch(leaf: Hash256, branch: &[Hash256]) -> Hash256 {
    branch.iter().fold(leaf, |left, right| pair_hash(&left, right))
}

fn parents(level: &[Hash256]) -> Vec<Hash256> {
    level.chunks(2).map(|pair| pair_hash(&pair[0], pair.last().expect("chunks are not empty"))).collect()
}

fn pair_hash(left: &Hash256, right: &Hash256) -> Hash256 {
    let mut both = [0; 64];
    both[..32].copy_from_slice(&left.0);
    both[32..].copy_from_slice(&right.0);
    Hash256(sha256d(&both))
}
