//! When a block may say that it was made: after the median of the blocks before it, and not too far ahead of the clock of
//! whoever accepts it. The second is for the host to judge, since a plugin has no clock.

use crate::config::TimeRules;
use adit_plugin_sdk::{KnownBlock, Timestamp};

impl TimeRules {
    /// Tells whether `time` is not later than the median of `past`, the newest blocks below the one judged, newest first, at most
    /// `median-window` of them.
    ///
    /// Where blocks are missing because history was cut off, the answer is `true` only if no missing block could change it.
    pub fn is_too_old(&self, past: &[KnownBlock], time: Timestamp) -> bool {
        let reaches_genesis = past.last().is_some_and(|oldest| oldest.height.0 == 0);
        let window = if reaches_genesis { past.len() } else { self.median_window as usize };
        // The median is number `window / 2` in ascending order: it and all above it are `window - window / 2` blocks.
        let not_earlier = past.iter().filter(|block| block.time >= time).count();
        not_earlier >= window - window / 2
    }

    /// Returns the median time of `past`, the newest blocks of a tip.
    pub fn median(past: &[KnownBlock]) -> Timestamp {
        let mut times: Vec<Timestamp> = past.iter().map(|block| block.time).collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }

    /// Returns when a node's clock may show the block as valid: `future-limit-seconds` before the block's own time.
    pub fn valid_from(&self, time: Timestamp) -> Timestamp {
        Timestamp::from_millis(time.to_millis().saturating_sub(1000 * u64::from(self.future_limit_seconds)))
    }
}
