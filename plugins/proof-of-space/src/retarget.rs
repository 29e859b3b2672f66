//! How hard the next block must be, and how people count that. Integers only.
//!
//! With each block: the mean target of the last `window` blocks, times the sum of their solve times, divided by what that sum should be. A solve
//! time counts as at most six times the spacing. Where the chain is shorter than the window, the blocks that it lacks count as blocks of the genesis'
//! target that took exactly the spacing. A target is at most twice and at least half of the one before, and never easier than `limit-bits`.

use crate::config::{Config, Leaf};
use crate::violation::Rule;
use adit_plugin_sdk::common::times_easiest;
use adit_plugin_sdk::{ChainView, Height, KnownBlock, Target, U256, Violation};
use ruint::Uint;

/// Wide enough for every product of targets with sums of times.
type Wide = Uint<512, 8>;

/// The longest solve time that counts, in spacings.
const SPACINGS_MAX: u64 = 6;

/// Reads the target that a header states.
pub fn target_of(bits: u32) -> Result<Target, Violation> {
    Target::from_compact(bits).map_err(|error| Rule::Bits.broken(error.to_string()))
}

/// Returns the bits of the block after `parent`. `None` where blocks below the horizon would say.
pub fn next_bits(config: &Config, view: &dyn ChainView, parent: &KnownBlock) -> Result<Option<u32>, Violation> {
    let gaps = parent.height.0.min(config.window.into());
    let oldest = Height(parent.height.0 - gaps);
    if oldest < view.horizon() {
        return Ok(None);
    }
    let count = gaps + 1;
    let past = view.selected_past(parent.id, u32::try_from(count).expect("the window is bounded"));
    if u64::try_from(past.len()).ok() != Some(count) {
        return Err(Rule::HistoryUnknown.broken(format!("the retarget rule needs the block at height {oldest}")));
    }
    Ok(Some(next_target(config, &past).to_compact()))
}

/// Returns the target after `past`, newest first. The last gives a time alone.
fn next_target(config: &Config, past: &[KnownBlock]) -> Target {
    let (window, spacing_ms) = (u64::from(config.window), config.spacing_ms());
    let (mut targets, mut solve_ms, mut missing) = (Wide::ZERO, 0, window);
    for pair in past.windows(2) {
        let [block, before] = pair else { continue };
        let passed = block.time.to_millis().saturating_sub(before.time.to_millis());
        targets += Wide::from(placed_target(block).0);
        solve_ms += passed.min(SPACINGS_MAX * spacing_ms);
        missing = missing.saturating_sub(1);
    }
    targets += Wide::from(config.first_target().0) * Wide::from(missing);
    solve_ms += missing * spacing_ms;
    let next = targets * Wide::from(solve_ms) / (Wide::from(window) * Wide::from(window) * Wide::from(spacing_ms));
    let parent = past.first().map_or(config.first_target(), placed_target);
    let (hardest, easiest) = (Wide::from(parent.0) / Wide::from(2u64), Wide::from(parent.0) * Wide::from(2u64));
    let bounded = next.max(hardest).max(Wide::from(1u64)).min(easiest).min(Wide::from(config.limit().0));
    Target(U256::from(bounded))
}

fn placed_target(block: &KnownBlock) -> Target {
    Target::from_compact(block.bits).expect("only blocks with a valid target are placed")
}

/// Returns how much space wins about one block in the spacing aimed at, in GiB, with eight significant digits: so many leaves or nonces as
/// one of them is expected to meet the target, times their bytes, times the part of the spacing that one challenge takes.
pub fn space_gib(config: &Config, target: Target) -> String {
    let bytes_log2: usize = match config.leaf {
        Leaf::Plain => 5,
        Leaf::Hard => 18,
    };
    // 2^256 / target · bytes / 2^30 GiB win about every challenge.
    let each = Wide::from(1u64) << (256 + bytes_log2 - 30);
    let all = each * Wide::from(config.challenge_seconds) / Wide::from(config.spacing_seconds);
    times_easiest(Target(U256::from(all)), target)
}
