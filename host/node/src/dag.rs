//! Part of the DAG, for a picture: the newest blocks, or those around one, with their parents and colours.
//!
//! Read off the chain's reader alone, so that it serves a running node and a database at rest. Bounded in blocks, whatever is asked.

use adit_chain::{BlockStatus, ChainReader, Colour, IndexedBlock, Standing};
use adit_primitives::{BlockId, Height};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// The most blocks of a picture.
pub const BLOCKS_MAX: usize = 400;

/// How many heights a picture shows without a wish, and at most.
pub const DEPTH: u64 = 30;
pub const DEPTH_MAX: u64 = 400;

/// The most tips that are followed downwards.
const TIPS_MAX: usize = 64;

/// How many heights above the picture a block is looked for that merges one of its blocks.
const MERGED_WITHIN: u64 = 400;

/// Part of a DAG.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DagPart {
    /// The chain's name.
    pub chain: String,
    /// The selected tip of the whole chain.
    pub tip: String,
    /// The highest first.
    pub blocks: Vec<DagBlock>,
    /// Whether blocks of these heights were left out, because there are more than 400.
    pub more: bool,
}

/// A block as it lies in the DAG.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DagBlock {
    pub hash: String,
    /// All parents, those among them that the part does not show too.
    pub parents: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selected_parent: Option<String>,
    /// Its blue score, where blocks are merged.
    pub height: u64,
    /// How many blocks stand before it in the total order; left out while the selected chain does not hold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topoheight: Option<u64>,
    /// Milliseconds since 1970.
    pub time_ms: u64,
    pub colour: DagColour,
    /// Whether nothing valid stands on it.
    pub tip: bool,
    /// Blocks that it merges, its selected parent not counted.
    pub merged: u64,
}

/// How the selected chain sees a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DagColour {
    Selected,
    Blue,
    Red,
    /// No block of the selected chain holds it yet.
    Unmerged,
    /// It breaks a rule, or stands on a block that does.
    Invalid,
}

impl DagColour {
    /// Returns the colour of a block that stands there.
    pub fn of(indexed: &IndexedBlock, standing: Option<Standing>) -> Self {
        match standing.map_or(Colour::Unmerged, |standing| standing.colour) {
            _ if indexed.status == BlockStatus::Invalid => Self::Invalid,
            Colour::Selected => Self::Selected,
            Colour::Blue => Self::Blue,
            Colour::Red => Self::Red,
            Colour::Unmerged => Self::Unmerged,
        }
    }
}

/// Which part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DagWish {
    /// A block to have in the middle; without it, the newest blocks.
    pub around: Option<BlockId>,
    /// Heights from the lowest to the highest block.
    pub depth: u64,
}

/// Returns part of the DAG, or `None` where the wished block is not known.
pub fn part(reader: &ChainReader, chain: &str, wish: DagWish) -> Option<DagPart> {
    let depth = wish.depth.clamp(1, DEPTH_MAX);
    let tips = reader.tips(TIPS_MAX);
    let top = match wish.around {
        Some(id) => Height(reader.indexed(id)?.known.height.0.saturating_add(depth / 2)),
        None => tips.iter().map(|known| known.height).max()?,
    };
    let range = Range { top, bottom: Height(top.0.saturating_sub(depth)) };
    let merged = merged(reader, range);
    let roots = tips.iter().map(|known| known.id).chain(wish.around).chain(merged);
    let (shown, more) = walk(reader, range, roots.chain(reader.selected_below(top).map(|known| known.id)));
    let tips: BTreeSet<BlockId> = tips.iter().map(|known| known.id).collect();
    let block = |indexed: &IndexedBlock| show(reader, indexed, tips.contains(&indexed.known.id));
    let blocks = shown.values().rev().map(block).collect();
    Some(DagPart { chain: chain.to_owned(), tip: reader.tip().id.to_string(), blocks, more })
}

fn show(reader: &ChainReader, indexed: &IndexedBlock, tip: bool) -> DagBlock {
    let known = &indexed.known;
    let standing = reader.standing(known.id);
    DagBlock {
        hash: known.id.to_string(),
        parents: known.parents.iter().map(ToString::to_string).collect(),
        selected_parent: known.selected_parent.map(|id| id.to_string()),
        height: known.height.0,
        topoheight: standing.and_then(|standing| standing.topoheight),
        time_ms: known.time.to_millis(),
        colour: DagColour::of(indexed, standing),
        tip,
        merged: known.merge_set.len() as u64,
    }
}

/// Heights, both among them.
#[derive(Debug, Clone, Copy)]
struct Range {
    top: Height,
    bottom: Height,
}

type Shown = BTreeMap<(Height, BlockId), IndexedBlock>;

/// Walks from the roots towards the genesis, the highest block first, and tells whether it had to stop early. Roots above the range are left out:
/// the way down from them may be as long as the chain.
fn walk(reader: &ChainReader, range: Range, roots: impl Iterator<Item = BlockId>) -> (Shown, bool) {
    let mut shown = Shown::new();
    let mut open = Shown::new();
    let take = |open: &mut Shown, id: BlockId| {
        if let Some(indexed) = reader.indexed(id).filter(|indexed| indexed.known.height <= range.top) {
            open.insert((indexed.known.height, id), indexed);
        }
    };
    roots.for_each(|id| take(&mut open, id));
    while let Some((place, indexed)) = open.pop_last() {
        if place.0 < range.bottom {
            break;
        }
        if shown.len() == BLOCKS_MAX {
            return (shown, true);
        }
        for parent in &indexed.known.parents {
            take(&mut open, *parent);
        }
        shown.insert(place, indexed);
    }
    (shown, false)
}

/// Returns the blocks that the selected chain merges in the range and some way above it.
fn merged(reader: &ChainReader, range: Range) -> Vec<BlockId> {
    let mut found = Vec::new();
    let above = Height(range.top.0.saturating_add(MERGED_WITHIN));
    let mut at = reader.selected_below(above);
    while let Some(known) = at.filter(|known| known.height >= range.bottom) {
        found.extend(known.merge_set.iter().map(|merged| merged.id));
        at = known.selected_parent.and_then(|id| reader.indexed(id)).map(|indexed| indexed.known);
    }
    found
}
