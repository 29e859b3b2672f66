//! How hard the next block is to find, and how late it must be, from the windows of past blocks (KIP-4).

use crate::colour::rank;
use crate::config::{DifficultyWindow, easiest};
use crate::window::{Wide, Window};
use adit_plugin_sdk::{Target, Timestamp, U256};

/// How many times around the middle of the median's window are averaged.
const FRAME: usize = 11;

/// Returns the bits of a block with this window: the mean target of all blocks but the earliest, times how long they took over how long
/// they should have taken. `before` are the bits of the selected parent, which stay while the window holds too few blocks.
pub fn bits(rule: &DifficultyWindow, window: &Window, before: u32) -> u32 {
    let blocks = window.blocks();
    let earliest = blocks.iter().min_by_key(|block| (block.time, rank(block)));
    let latest = blocks.iter().map(|block| block.time).max();
    let (Some(earliest), Some(latest)) = (earliest, latest.filter(|_| blocks.len() >= rule.min as usize)) else {
        return before;
    };
    let count = blocks.len() as u64 - 1;
    let taken = latest.to_millis() - earliest.time.to_millis();
    let planned = u128::from(rule.target_ms) * u128::from(rule.sample_rate) * u128::from(count);
    let targets =
        window.targets() - Target::from_compact(earliest.bits).map_or(Wide::ZERO, |target| Wide::from(target.0));
    let mean = targets / Wide::from(count);
    let next = mean * Wide::from(taken.max(1)) / Wide::from(planned);
    let bounded = next.min(Wide::from(easiest().0)).max(Wide::from(1u64));
    Target(U256::from(bounded)).to_compact()
}

/// Returns the past median time of a block with this window: the mean of the times around the middle, rounded to the nearest millisecond.
/// `genesis` is the answer where the window is empty.
pub fn median(window: &Window, genesis: Timestamp) -> Timestamp {
    let mut times: Vec<u64> = window.blocks().iter().map(|block| block.time.to_millis()).collect();
    if times.is_empty() {
        return genesis;
    }
    times.sort_unstable();
    let frame = times.len().min(FRAME);
    let end = (times.len() + frame).div_ceil(2);
    let sum: u128 = times[end - frame..end].iter().map(|time| u128::from(*time)).sum();
    let frame = frame as u128;
    Timestamp::from_millis(u64::try_from((sum + frame / 2) / frame).unwrap_or(u64::MAX))
}
