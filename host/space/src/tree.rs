//! The Merkle tree over a plain plot's leaves: `node = SHA-256(left | right)`.
//!
//! A tree is as high as its leaves need. What is missing on the right counts as zeros on the lowest level, and above as the node over two of what is
//! missing below; a plot has whole subtrees of [`SUBTREE`] leaves, and only what lies above those is kept.

use adit_primitives::space::{LEAF_BYTES, SpaceEngine};
pub use adit_primitives::space::{node_over as over, root_of, tree_height as height};

/// Levels below what is kept.
pub const SUBTREE_LEVELS: u32 = 10;

/// Leaves under one of the lowest nodes that are kept.
pub const SUBTREE: u64 = 1 << SUBTREE_LEVELS;

/// A leaf or a node.
pub type Node = [u8; LEAF_BYTES];

/// Returns how many nodes a level has.
pub fn width(leaves: u64, level: u32) -> u64 {
    leaves.div_ceil(1 << level)
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
