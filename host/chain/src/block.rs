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

/// A body's merkle tree without its first leaf, the coinbase's: a new coinbase needs one hash for each level.
#[derive(Debug, Default)]
pub(crate) struct OpenTree {
    /// From the leaves up. The entry of index 0 of each level depends on the coinbase and is left out.
    levels: Vec<Vec<Hash256>>,
}

impl OpenTree {
    /// Takes the leaves after the coinbase. What lies over the leaves that the last list began with too is not hashed again.
    pub(crate) fn set_leaves(&mut self, leaves: Vec<Hash256>) {
        let mut below = leaves;
        let mut same = self.levels.first().map_or(0, |last| common_prefix(last, &below));
        let mut levels = Vec::with_capacity(self.levels.len() + 1);
        let mut last = std::mem::take(&mut self.levels).into_iter().skip(1);
        while !below.is_empty() {
            // Both children of entry p, at 2p + 1 and 2p + 2 below, are the same up to here.
            same = same.saturating_sub(1) / 2;
            let mut level = last.next().unwrap_or_default();
            level.truncate(same);
            level.extend(parents(below.get(2 * same + 1..).unwrap_or_default()));
            levels.push(std::mem::replace(&mut below, level));
        }
        self.levels = levels;
    }

    /// Returns the branch that leads from the coinbase's leaf to the root.
    pub(crate) fn branch(&self) -> Vec<Hash256> {
        self.levels.iter().map(|level| level[0]).collect()
    }
}

fn common_prefix(left: &[Hash256], right: &[Hash256]) -> usize {
    std::iter::zip(left, right).take_while(|(left, right)| left == right).count()
}

/// Returns the root over a first leaf and its branch.
pub(crate) fn fold_branch(leaf: Hash256, branch: &[Hash256]) -> Hash256 {
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

    proptest! {
        #[test]
        fn an_open_tree_leads_to_the_root_whatever_it_held_before(lists in prop::collection::vec((0u8..40, 0u8..40), 1..8)) {
            let mut tree = OpenTree::default();
            for (count, changed) in lists {
                let mut leaves = leaves(count + 1);
                leaves.iter_mut().skip(1 + usize::from(changed)).for_each(|leaf| leaf.0[31] ^= 0x80 | changed);
                tree.set_leaves(leaves[1..].to_vec());
                prop_assert_eq!(Ok(fold_branch(leaves[0], &tree.branch())), body_root(leaves));
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            if let Ok(block) = Block::from_bytes(&bytes) {
                prop_assert_eq!(block.size(), bytes.len());
                prop_assert_eq!(block.to_bytes(), bytes);
            }
        }
    }
}
