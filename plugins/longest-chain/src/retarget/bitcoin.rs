//! `bitcoin`: every 2,016 blocks the target changes in proportion to the time they took.
//!
//! At a height h that is a multiple of the interval: span = t(h−1) − t(h−interval), held between a quarter and four times the aim;
//! target = target(h−1) · span / aim, held at the limit, rounded down by the compact form. The span covers one gap less than the
//! aim: the known off-by-one of the main network, kept. At all other heights the target stays.
//!
//! `min-difficulty-after-seconds` is the rule of Bitcoin's test network: a block that is later than its parent by more than so many
//! seconds may carry the limit, except at a multiple of the interval. The next ordinary block takes up the bits of the last
//! block that was at a multiple of the interval or not at the limit. (Bitcoin Core demands the limit of such a block; here it
//! is an offer, so that a template made before the time was up stays valid.)

use super::{Missing, Next, Rule, SPACING_SECONDS_MAX, check_compact, check_spacing, checked_target, target_of};
use crate::config::within;
use crate::difficulty::{Wide, as_compact, bounded};
use adit_plugin_sdk::{ConfigError, Height, KnownBlock, Target, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Every so many blocks, in proportion to the time they took.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Bitcoin {
    /// After how many blocks the target changes.
    #[serde(default = "interval_default")]
    #[schemars(range(min = 2, max = 1_000_000))]
    pub interval: u32,
    /// The time between blocks that is aimed at, in seconds.
    #[serde(default = "spacing_default")]
    #[schemars(range(min = 1, max = SPACING_SECONDS_MAX))]
    pub spacing_seconds: u32,
    /// The easiest target, in compact form.
    #[serde(default = "limit_default")]
    pub limit_bits: u32,
    /// How long after its parent a block may carry the easiest target, in seconds. Without it, never. For test networks.
    #[schemars(range(min = 1))]
    pub min_difficulty_after_seconds: Option<u32>,
    /// Whether the target changes at all.
    #[serde(default = "enabled_default")]
    pub enabled: bool,
}

fn interval_default() -> u32 {
    2016
}

fn spacing_default() -> u32 {
    600
}

fn limit_default() -> u32 {
    0x1d00_ffff
}

fn enabled_default() -> bool {
    true
}

impl Rule for Bitcoin {
    fn check(&self, path: &str) -> Result<(), ConfigError> {
        within(&format!("{path}.interval"), self.interval.into(), 2, 1_000_000)?;
        check_spacing(path, self.spacing_seconds)?;
        let after = self.min_difficulty_after_seconds.unwrap_or(1);
        within(&format!("{path}.min-difficulty-after-seconds"), after.into(), 1, u32::MAX.into())?;
        check_compact(path, "limit-bits", self.limit_bits)
    }

    fn limit(&self) -> Target {
        checked_target(self.limit_bits)
    }

    fn bits(&self, next: &Next<'_>) -> Result<u32, Missing> {
        self.bits_with(next, |boundary| Height(boundary.0.saturating_sub(self.interval.into())))
    }

    fn admits(&self, next: &Next<'_>, time: Timestamp, stated: u32) -> bool {
        self.min_difficulty_after_seconds.is_some_and(|after| {
            let since_ms = time.to_millis().saturating_sub(next.parent.time.to_millis());
            stated == self.limit_bits && since_ms > 1000 * u64::from(after) && !self.is_boundary(next.height)
        })
    }

    /// What an ordinary block had to carry, where this one carries the limit: 0 if nobody knows.
    fn notes(&self, next: &Next<'_>, computed: Result<u32, Missing>, stated: u32) -> Vec<u8> {
        match self.min_difficulty_after_seconds {
            Some(_) if stated == self.limit_bits && !self.is_boundary(next.height) => {
                computed.unwrap_or(0).to_le_bytes().to_vec()
            }
            _ => Vec::new(),
        }
    }
}

impl Bitcoin {
    /// Computes the bits of the next block; `span_start` tells from which block the time is measured at a multiple of the interval.
    pub(super) fn bits_with(&self, next: &Next<'_>, span_start: impl FnOnce(Height) -> Height) -> Result<u32, Missing> {
        if !self.is_boundary(next.height) {
            return self.ordinary_bits(next);
        }
        if !self.enabled {
            return Ok(as_compact(next.parent.bits));
        }
        let first = next.ancestor(span_start(next.height))?;
        Ok(self.retarget(target_of(next.parent), first.time, next.parent.time).to_compact())
    }

    /// Returns the target after a period whose last block had `before`.
    pub fn retarget(&self, before: Target, first: Timestamp, last: Timestamp) -> Target {
        let aim_ms = 1000 * u64::from(self.spacing_seconds) * u64::from(self.interval);
        let span_ms = last.to_millis().saturating_sub(first.to_millis()).clamp(aim_ms / 4, aim_ms * 4);
        bounded(Wide::from(before.0) * Wide::from(span_ms) / Wide::from(aim_ms), self.limit())
    }

    fn is_boundary(&self, height: Height) -> bool {
        height.0.is_multiple_of(self.interval.into())
    }

    /// The bits of the last block of the period that was not there by the grace of `min-difficulty-after-seconds`.
    fn ordinary_bits(&self, next: &Next<'_>) -> Result<u32, Missing> {
        let KnownBlock { bits, height, .. } = *next.parent;
        let may_be_graced = self.min_difficulty_after_seconds.is_some()
            && next.parent_in_stage()
            && bits == self.limit_bits
            && !self.is_boundary(height);
        if !may_be_graced {
            return Ok(as_compact(bits));
        }
        // Without notes the parent stands at the horizon, where nobody judged it.
        match next.notes().try_into().map(u32::from_le_bytes) {
            Err(_) | Ok(0) => Err(Missing::BelowHorizon),
            Ok(ordinary) => Ok(ordinary),
        }
    }
}
