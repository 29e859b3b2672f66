//! What a placement keeps for the blocks after it: the bytes of `Placement::state`.

use adit_plugin_sdk::{BlockId, canonical_struct};

/// The plugin's own notes on a block, in canonical bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// How many blocks the difficulty's count held before this one.
    pub daa_score: u64,
    /// How many blocks each blue block of the merge set has in its anticone among the blues, the selected parent's first.
    pub anticones: Vec<u16>,
    /// The same for blue blocks of earlier merge sets whose number grew with this block.
    pub grown: Vec<Grown>,
    /// Where the chain keeps pruning points: the newest candidate below the block, and the block's pruning point.
    pub pruning: Option<PruningNotes>,
}

/// A blue block of an earlier merge set with the size of its anticone among the blues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grown {
    pub id: BlockId,
    pub anticone: u16,
}

/// Where a block stands in the sequence of pruning points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PruningNotes {
    pub sample: BlockId,
    pub point: BlockId,
}

canonical_struct!(Notes { daa_score, anticones, grown, pruning });
canonical_struct!(Grown { id, anticone });
canonical_struct!(PruningNotes { sample, point });
