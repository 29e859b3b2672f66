//! `interval`: ChainCore's rule. Every so many blocks the difficulty, a number of leading zero hexadecimal digits, may change by
//! whole digits.
//!
//! Let h be the height of the next block, n the `interval`, s the spacing.
//!
//! 1. The first block after the genesis (or the first of a scheduled stage) has `difficulty`, whatever stands below it. With
//!    `enabled = false` every block has.
//! 2. Where h is no multiple of n, the difficulty stays.
//! 3. Else the last n gaps between blocks are measured: actual = t(h−1) − t(h−1−n), expected = s · n, both in milliseconds. The gap
//!    after the genesis is left out, since a genesis is often much older than its chain: the first measurement begins at block 1.
//!    A negative time counts as 0; with no gap to measure the difficulty stays.
//! 4. `steps = "fixed"`, as ChainCore has it: actual/expected below 0.75 makes it one digit harder, above 1.5 one easier; below 0.5
//!    and above 2.0 it is `max-change` digits. A digit is worth a factor of 16, so this never settles unless `max-change` is 1, and
//!    swings between two neighbours even then.
//!    `steps = "measured"`: as many digits as bring the expected ratio nearest to 1, at most `max-change`. A ratio between 1/4 and 4
//!    changes nothing, since no whole digit would be nearer. This settles.
//! 5. The result stays within `min` and `max`.
//!
//! With `free-difficulty` a block may state any difficulty within the bounds instead. What the rule computed goes on without it:
//! the next block has that again, and a period with such a block in it is not measured.

use super::{Missing, Next, Rule, SPACING_SECONDS_MAX, check_spacing, target_of};
use crate::config::within;
use crate::difficulty::{DIGITS_MAX, digits_of, target_of_digits};
use adit_plugin_sdk::{ConfigError, Height, Target, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Every so many blocks, by whole digits.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Interval {
    /// The difficulty of the first block after the genesis, and of every block where `enabled` is off: leading zero hexadecimal
    /// digits of the block's hash. Each is worth a factor of 16.
    #[schemars(range(min = 1, max = DIGITS_MAX))]
    pub difficulty: u32,
    /// The least difficulty.
    #[serde(default = "min_default")]
    #[schemars(range(min = 1, max = DIGITS_MAX))]
    pub min: u32,
    /// The greatest difficulty.
    #[serde(default = "max_default")]
    #[schemars(range(min = 1, max = DIGITS_MAX))]
    pub max: u32,
    /// The time between blocks that is aimed at, in seconds.
    #[schemars(range(min = 1, max = SPACING_SECONDS_MAX))]
    pub spacing_seconds: u32,
    /// After how many blocks the difficulty may change.
    #[serde(default = "interval_default")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub interval: u32,
    /// The most digits by which one adjustment changes the difficulty.
    #[serde(default = "max_change_default")]
    #[schemars(range(min = 1, max = DIGITS_MAX))]
    pub max_change: u32,
    /// How large a change is: `fixed` (one digit, or `max-change` where blocks came twice too fast or too slow) or `measured` (as
    /// many digits as bring the block time nearest to the aim).
    #[serde(default)]
    pub steps: Steps,
    /// Whether the difficulty changes at all.
    #[serde(default = "enabled_default")]
    pub enabled: bool,
    /// Whether a block may state any difficulty within the bounds. For development networks: it lets a miner choose.
    #[serde(default)]
    pub free_difficulty: bool,
}

/// How large a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Steps {
    /// One digit, or the maximum where blocks came twice too fast or too slow.
    #[default]
    Fixed,
    /// As many digits as bring the block time nearest to the aim.
    Measured,
}

fn min_default() -> u32 {
    1
}

fn max_default() -> u32 {
    12
}

fn interval_default() -> u32 {
    10
}

fn max_change_default() -> u32 {
    4
}

fn enabled_default() -> bool {
    true
}

impl Rule for Interval {
    fn check(&self, path: &str) -> Result<(), ConfigError> {
        let digits = u64::from(DIGITS_MAX);
        within(&format!("{path}.min"), self.min.into(), 1, digits)?;
        within(&format!("{path}.max"), self.max.into(), self.min.into(), digits)?;
        within(&format!("{path}.difficulty"), self.difficulty.into(), self.min.into(), self.max.into())?;
        within(&format!("{path}.interval"), self.interval.into(), 1, 1_000_000)?;
        within(&format!("{path}.max-change"), self.max_change.into(), 1, digits)?;
        check_spacing(path, self.spacing_seconds)
    }

    fn limit(&self) -> Target {
        target_of_digits(self.min)
    }

    fn bits(&self, next: &Next<'_>) -> Result<u32, Missing> {
        if !self.enabled || !next.parent_in_stage() {
            return Ok(self.difficulty);
        }
        let overridden = computed_before(next);
        let before = overridden.unwrap_or_else(|| digits_of(target_of(next.parent)));
        if !self.is_boundary(next.height) || overridden.is_some() {
            return Ok(before);
        }
        let last = next.parent.height.0;
        let first = last.saturating_sub(self.interval.into()).max(1);
        let gaps = last.saturating_sub(first);
        if gaps == 0 {
            return Ok(before);
        }
        let start = next.ancestor(Height(first))?.time;
        let actual_ms = next.parent.time.to_millis().saturating_sub(start.to_millis());
        Ok(self.adjust(before, actual_ms, u64::from(self.spacing_seconds).saturating_mul(1000).saturating_mul(gaps)))
    }

    fn admits(&self, _next: &Next<'_>, _time: Timestamp, stated: u32) -> bool {
        self.free_difficulty && (self.min..=self.max).contains(&stated)
    }

    fn wished(&self, difficulty: u64) -> Option<u32> {
        let digits = u32::try_from(difficulty).ok()?;
        (self.free_difficulty && (self.min..=self.max).contains(&digits)).then_some(digits)
    }

    /// The computed difficulty, from the first block of a period that states another until the period's end.
    fn notes(&self, next: &Next<'_>, computed: Result<u32, Missing>, stated: u32) -> Vec<u8> {
        let goes_on = !self.is_boundary(next.height) && computed_before(next).is_some();
        match computed {
            Ok(computed) if self.enabled && (goes_on || stated != computed) => computed.to_le_bytes().to_vec(),
            _ => Vec::new(),
        }
    }
}

impl Interval {
    fn is_boundary(&self, height: Height) -> bool {
        height.0.is_multiple_of(self.interval.into())
    }

    /// Returns the difficulty after blocks that took `actual_ms` where `expected_ms` were aimed at.
    fn adjust(&self, before: u32, actual_ms: u64, expected_ms: u64) -> u32 {
        let (actual, expected) = (u128::from(actual_ms), u128::from(expected_ms));
        let (harder, easier) = match self.steps {
            Steps::Fixed => {
                let size = |extreme: bool, beyond: bool| u32::from(beyond) * if extreme { self.max_change } else { 1 };
                (
                    size(2 * actual < expected, 4 * actual < 3 * expected),
                    size(actual > 2 * expected, 2 * actual > 3 * expected),
                )
            }
            Steps::Measured => (self.digits_between(actual, expected), self.digits_between(expected, actual)),
        };
        before.saturating_add(harder).saturating_sub(easier).clamp(self.min, self.max)
    }

    /// Returns by how many digits `more` exceeds `less`, rounded to the nearest, at most `max-change`: the least k for which
    /// more / less ≤ 4 · 16^k.
    fn digits_between(&self, less: u128, more: u128) -> u32 {
        let mut bound = less.saturating_mul(4);
        let mut digits = 0;
        while digits < self.max_change && more > bound {
            bound = bound.saturating_mul(16);
            digits += 1;
        }
        digits
    }
}

/// Returns what was computed for the parent where a block of its period stated another difficulty.
fn computed_before(next: &Next<'_>) -> Option<u32> {
    next.notes().try_into().ok().map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAINCORE: Interval = Interval {
        difficulty: 4,
        min: 1,
        max: 12,
        spacing_seconds: 10,
        interval: 10,
        max_change: 4,
        steps: Steps::Fixed,
        enabled: true,
        free_difficulty: false,
    };

    /// Blocks that took `actual` where 100 was expected.
    #[track_caller]
    fn check(rule: &Interval, before: u32, actual: u64, want: u32) {
        assert_eq!(rule.adjust(before, actual, 100), want, "{before} digits, ratio {actual}/100");
    }

    #[test]
    fn fixed_steps_change_by_one_digit_beyond_three_quarters_and_one_and_a_half() {
        check(&CHAINCORE, 5, 74, 6);
        check(&CHAINCORE, 5, 75, 5);
        check(&CHAINCORE, 5, 100, 5);
        check(&CHAINCORE, 5, 150, 5);
        check(&CHAINCORE, 5, 151, 4);
    }

    #[test]
    fn fixed_steps_change_by_the_maximum_beyond_half_and_twice() {
        check(&CHAINCORE, 5, 0, 9);
        check(&CHAINCORE, 5, 49, 9);
        check(&CHAINCORE, 5, 50, 6);
        check(&CHAINCORE, 6, 200, 5);
        check(&CHAINCORE, 6, 201, 2);
    }

    #[test]
    fn the_difficulty_stays_within_its_bounds() {
        check(&CHAINCORE, 12, 1, 12);
        check(&CHAINCORE, 10, 1, 12);
        check(&CHAINCORE, 2, u64::MAX, 1);
        check(&CHAINCORE, 1, u64::MAX, 1);
    }

    #[test]
    fn measured_steps_bring_the_ratio_nearest_to_one() {
        let measured = Interval { steps: Steps::Measured, ..CHAINCORE };
        check(&measured, 5, 25, 5);
        check(&measured, 5, 24, 6);
        check(&measured, 5, 400, 5);
        check(&measured, 5, 401, 4);
        check(&measured, 5, 6400, 4);
        check(&measured, 5, 6401, 3);
        check(&measured, 5, 0, 9);
        check(&measured, 9, u64::MAX, 5);
    }
}
