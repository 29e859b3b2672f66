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

#[cfg(test)]
mod tests {
    use super::*;
    use adit_primitives::{Decode, Encode, TxId};
    use proptest::prelude::*;

    fn leaves(count: u8) -> Vec<Hash256> {
        (0..count).map(|byte| Hash256([byte; 32])).collect()
    }

    #[test]
    fn bitcoins_block_100000_has_its_root() {
        let leaf = |text: &str| Hash256(text.parse::<TxId>().unwrap().0);
        let leaves = vec![
            leaf("8c14f0db3df150123e6f3dbbf30f8b955a8249b62ac1d1ff16284aefa3d06d87"),
            leaf("fff2525b8931402dd09222c50775608f75787bd2b87e56995a7bdd30f79702c4"),
            leaf("6359f0868171b1d194cbee1af2f16ea598ae8fad666d9b012c8ed2b79a236ec4"),
            leaf("e9a66845e05d5abc0ad04ec80f774a7e585c6e8db975962d069a522137b80c1d"),
        ];
        let want = leaf("f3e94742aca4b5ef85488dc37c06c3282295ffec960994b2c0d5ac2a25a95766");
        assert_eq!(body_root(leaves), Ok(want));
    }

    #[test]
    fn a_list_that_repeats_its_end_is_refused() {
        let mut repeated = leaves(3);
        repeated.push(repeated[2]);
        assert_eq!(body_root(repeated), Err(RootError::Mutated));
        let mut repeated = leaves(6);
        repeated.extend_from_within(4..6);
        assert_eq!(body_root(repeated), Err(RootError::Mutated));
    }

    #[test]
    fn no_leaf_has_no_root() {
        assert_eq!(body_root(Vec::new()), Err(RootError::Empty));
    }

    #[test]
    fn the_first_leafs_branch_leads_to_the_root() {
        for count in 1..=33 {
            let leaves = leaves(count);
            let branch = first_leaf_branch(&leaves[1..]);
            assert_eq!(Ok(fold_branch(leaves[0], &branch)), body_root(leaves), "{count} leaves");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            if let Ok(block) = Block::from_bytes(&bytes) {
                prop_assert_eq!(block.size(), bytes.len());
                prop_assert_eq!(block.to_bytes(), bytes);
            }
        }
    }
}
