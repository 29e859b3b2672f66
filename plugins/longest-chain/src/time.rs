//! When a block may say that it was made: after the median of the blocks before it, and not too far ahead of the clock of
//! whoever accepts it. The second is for the host to judge, since a plugin has no clock.

use crate::config::TimeRules;
use adit_plugin_sdk::{BlockId, ChainView, HeaderView, KnownBlock, Timestamp};
use std::collections::VecDeque;

/// The times of the newest blocks of a tip, as many as the median needs.
#[derive(Debug, Clone)]
pub struct Window {
    tip: BlockId,
    /// Newest first.
    times: VecDeque<Timestamp>,
    /// Whether the genesis is among them: then there are no more, and otherwise missing ones lie below the horizon.
    whole: bool,
}

impl Window {
    /// Reads the times from the host.
    pub fn read(rules: TimeRules, view: &dyn ChainView, tip: BlockId) -> Self {
        let past = view.selected_past(tip, rules.median_window);
        let whole = past.last().is_some_and(|oldest| oldest.height.0 == 0);
        Self { tip, times: past.iter().map(|block: &KnownBlock| block.time).collect(), whole }
    }

    /// Tells whether the times are those of `tip`.
    pub fn is_of(&self, tip: BlockId) -> bool {
        self.tip == tip
    }

    /// Moves on to a child of the tip.
    pub fn advance(&mut self, rules: TimeRules, child: &HeaderView) {
        self.tip = child.id;
        self.times.push_front(child.time);
        self.times.truncate(rules.median_window as usize);
    }

    /// Returns the median time: of an even number the later of the two in the middle.
    pub fn median(&self) -> Timestamp {
        let mut times = Vec::from_iter(self.times.iter().copied());
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }
}

impl TimeRules {
    /// Tells whether `time` is not later than the median of the blocks below the one judged.
    ///
    /// Where blocks are missing because history was cut off, the answer is `true` only if no missing block could change it.
    pub fn is_too_old(&self, past: &Window, time: Timestamp) -> bool {
        let count = if past.whole { past.times.len() } else { self.median_window as usize };
        // The median is number `count / 2` in ascending order: it and all above it are `count - count / 2` blocks.
        let not_earlier = past.times.iter().filter(|known| **known >= time).count();
        not_earlier >= count - count / 2
    }

    /// Returns when a node's clock may show the block as valid: `future-limit-seconds` before the block's own time.
    pub fn valid_from(&self, time: Timestamp) -> Timestamp {
        Timestamp::from_millis(time.to_millis().saturating_sub(1000 * u64::from(self.future_limit_seconds)))
    }
}
