//! The Merkle tree over a plain plot's leaves: `node = SHA-256(left | right)`.
//!
//! A tree is as high as its leaves need. What is missing on the right counts as zeros on the lowest level, and above as the node over two of what is
//! missing below; a plot has whole subtrees of [`SUBTREE`] leaves, and only what lies above those is kept.

use adit_primitives::space::{LEAF_BYTES, SpaceEngine};
use sha2::{Digest, Sha256};

/// Levels below what is kept.
pub const SUBTREE_LEVELS: u32 = 10;

/// Leaves under one of the lowest nodes that are kept.
pub const SUBTREE: u64 = 1 << SUBTREE_LEVELS;

/// A leaf or a node.
pub type Node = [u8; LEAF_BYTES];

/// Returns how high the tree over so many leaves is: its root is on that level, leaves are on level 0.
pub fn height(leaves: u64) -> u32 {
    leaves.next_power_of_two().trailing_zeros()
}

/// Returns how many nodes a level has.
pub fn width(leaves: u64, level: u32) -> u64 {
    leaves.div_ceil(1 << level)
}

/// Returns the node over two.
pub fn over(left: &Node, right: &Node) -> Node {
    Sha256::new().chain_update(left).chain_update(right).finalize().into()
}

/// Returns what counts where a node is missing on a level.
pub fn missing(level: u32) -> Node {
    (0..level).fold([0; LEAF_BYTES], |below, _| over(&below, &below))
}

/// Makes the next level over nodes of one: an odd last one is paired with what is [`missing`].
pub fn next_level(engine: &dyn SpaceEngine, level: u32, nodes: &[u8]) -> Vec<u8> {
    let pairs = nodes.len() / (2 * LEAF_BYTES);
    let (whole, odd) = nodes.split_at(pairs * 2 * LEAF_BYTES);
    let mut above = vec![0; pairs * LEAF_BYTES];
    engine.nodes(whole, &mut above);
    if let Some(last) = odd.first_chunk() {
        above.extend_from_slice(&over(last, &missing(level)));
    }
    above
}

/// Returns the root of a whole subtree: `leaves` are a power of two.
pub fn subtree(engine: &dyn SpaceEngine, leaves: &[u8]) -> Node {
    let mut nodes = leaves.to_vec();
    while nodes.len() > LEAF_BYTES {
        nodes = next_level(engine, 0, &nodes);
    }
    *nodes.first_chunk().expect("a subtree has a leaf at least")
}

/// Follows a leaf up to the root. `path` has the node beside it on each level, from the lowest.
pub fn root_of(leaf: &Node, index: u64, path: &[Node]) -> Node {
    let step = |(node, index): (Node, u64), beside: &Node| {
        let above = if index.is_multiple_of(2) { over(&node, beside) } else { over(beside, &node) };
        (above, index / 2)
    };
    path.iter().fold((*leaf, index), step).0
}
