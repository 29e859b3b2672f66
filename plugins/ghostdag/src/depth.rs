//! What lies too deep to be moved: the bound on merging reds, and the pruning points that Kaspa's headers state.

use crate::colour::Coloured;
use crate::config::Pruning;
use crate::notes::PruningNotes;
use crate::past::Past;
use adit_plugin_sdk::{BlockId, Height, Violation};

/// Returns the reds that may not be merged: the chain block `depth` below in blue score is neither in their past, nor in that of the
/// selected chain of a blue block that has the red one in its past.
pub fn reds_too_deep(past: &Past<'_>, depth: u64, coloured: &Coloured) -> Result<Vec<BlockId>, Violation> {
    let reds = coloured.reds();
    let Some(height) = coloured.blue_score().checked_sub(depth + 1).filter(|_| !reds.is_empty()) else {
        return Ok(Vec::new());
    };
    let root = past.chain_at(coloured.selected.stamp.id, Height(height))?;
    let seen = past.view.ancestry(&[root], &reds);
    let mut deep: Vec<BlockId> = std::iter::zip(reds, seen).filter(|(_, seen)| !seen).map(|(red, _)| red).collect();
    if deep.is_empty() {
        return Ok(deep);
    }
    let mut vouching = Vec::new();
    for blue in coloured.blues() {
        if past.chain_at(blue.id, Height(height))? == root {
            vouching.push(blue.id);
        }
    }
    let vouched = past.view.ancestry(&deep, &vouching);
    let mut rows = vouched.chunks(vouching.len().max(1));
    deep.retain(|_| !rows.next().is_some_and(|row| row.contains(&true)));
    Ok(deep)
}

/// Returns where a block stands in the sequence of pruning points.
///
/// A candidate for a pruning point is a chain block whose blue score passed a multiple of the finality depth. The pruning point is the newest
/// candidate that lies at least the pruning depth below the block, and never before the selected parent's.
pub fn pruning(past: &mut Past<'_>, rule: Pruning, coloured: &Coloured) -> Result<Option<PruningNotes>, Violation> {
    let selected = &coloured.selected;
    let Some(parent) = selected.notes.pruning else { return Ok(None) };
    let sample = match past.stamps(&[parent.sample])?.as_slice() {
        [older] if older.height.0 / rule.finality_depth == selected.stamp.height.0 / rule.finality_depth => {
            parent.sample
        }
        _ => selected.stamp.id,
    };
    let blue_score = coloured.blue_score();
    let mut point = sample;
    while point != parent.point {
        let block = past.block(point)?;
        if block.stamp.height.0.saturating_add(rule.depth) <= blue_score {
            break;
        }
        point = block.notes.pruning.map_or(parent.point, |below| below.sample);
    }
    Ok(Some(PruningNotes { sample, point }))
}
