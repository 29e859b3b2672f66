//! `lwma`: LWMA-1, zawy12's linearly weighted moving average (<https://github.com/zawy12/difficulty-algorithms/issues/3>).
//!
//! Over the last n blocks, i = 1 the oldest and n the newest: next target = average target · (sum of i · solve time of i) / (s · n(n+1)/2),
//! where s is the spacing. A solve time is at most 6 · s, and one that would not be positive becomes the smallest step, with what it
//! lacks taken from the next: times out of order cannot be used to lower the difficulty.
//!
//! n is `window`, or as many gaps as there are: the gap after the genesis is left out, since a genesis is often much
//! older than its chain, and with fewer than six gaps the next block has `initial-bits`. Other than in the published code, times are in
//! milliseconds (the smallest step is 1 ms, not 1 s) and the only division comes last, so nothing is lost to rounding before.

use super::{Missing, Next, Rule, SPACING_SECONDS_MAX, check_compact, check_spacing, checked_target, target_of};
use crate::config::within;
use crate::difficulty::{Wide, bounded};
use adit_plugin_sdk::{ConfigError, Height, KnownBlock, Target};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The fewest gaps from which a difficulty is computed.
const GAPS_MIN: u64 = 6;

/// The longest window.
const WINDOW_MAX: u32 = 2016;

/// With each block, by a moving average of the times that weights recent blocks more.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lwma {
    /// The time between blocks that is aimed at, in seconds.
    #[schemars(range(min = 1, max = SPACING_SECONDS_MAX))]
    pub spacing_seconds: u32,
    /// Over how many blocks the average goes. Its author advises 45 for ten minutes, 60 for two, 90 for one, and more for shorter times.
    #[serde(default = "window_default")]
    #[schemars(range(min = 6, max = WINDOW_MAX))]
    pub window: u32,
    /// The easiest target, in compact form.
    #[serde(default = "limit_default")]
    pub limit_bits: u32,
    /// The hardest target, in compact form. Without it, there is none.
    pub hardest_bits: Option<u32>,
    /// The target of the first blocks, in compact form, until there are six gaps to measure. Without it, the easiest.
    pub initial_bits: Option<u32>,
}

fn window_default() -> u32 {
    90
}

fn limit_default() -> u32 {
    0x1e0f_ffff
}

impl Rule for Lwma {
    fn check(&self, path: &str) -> Result<(), ConfigError> {
        check_spacing(path, self.spacing_seconds)?;
        within(&format!("{path}.window"), self.window.into(), GAPS_MIN, WINDOW_MAX.into())?;
        check_compact(path, "limit-bits", self.limit_bits)?;
        for (key, bits) in [("hardest-bits", self.hardest_bits), ("initial-bits", self.initial_bits)] {
            let Some(bits) = bits else { continue };
            check_compact(path, key, bits)?;
            if checked_target(bits) > self.limit() {
                return Err(ConfigError::new(format!("{path}.{key}"), "easier than limit-bits"));
            }
        }
        Ok(())
    }

    fn limit(&self) -> Target {
        checked_target(self.limit_bits)
    }

    fn bits(&self, next: &Next<'_>) -> Result<u32, Missing> {
        let last = next.parent.height.0;
        // Blocks of an earlier stage count: they have times and targets like any other.
        let gaps = u64::from(self.window).min(last.saturating_sub(1));
        if gaps < GAPS_MIN {
            return Ok(self.initial_bits.unwrap_or(self.limit_bits));
        }
        let oldest = Height(last - gaps);
        if oldest < next.view.horizon() {
            return Err(Missing::BelowHorizon);
        }
        let count = gaps + 1;
        let mut blocks = next.view.selected_past(next.parent.id, u32::try_from(count).expect("the window is bounded"));
        if u64::try_from(blocks.len()).ok() != Some(count) {
            return Err(Missing::Unknown { height: oldest });
        }
        blocks.reverse();
        Ok(self.target(&blocks).to_compact())
    }
}

impl Lwma {
    /// Returns the target after `blocks`, oldest first. The first gives a time alone.
    fn target(&self, blocks: &[KnownBlock]) -> Target {
        let Some((first, measured)) = blocks.split_first().filter(|(_, measured)| !measured.is_empty()) else {
            return self.limit();
        };
        let spacing_ms = 1000 * u64::from(self.spacing_seconds);
        let mut previous = first.time.to_millis();
        let (mut weighted, mut targets) = (Wide::ZERO, Wide::ZERO);
        for (weight, block) in (1u64..).zip(measured) {
            let time = block.time.to_millis().max(previous.saturating_add(1));
            let solve_ms = time.saturating_sub(previous).min(6 * spacing_ms);
            previous = time;
            weighted += Wide::from(weight) * Wide::from(solve_ms);
            targets += Wide::from(target_of(block).0);
        }
        let count = Wide::from(measured.len());
        let aim = Wide::from(spacing_ms) * count * (count + Wide::from(1u64)) / Wide::from(2u64);
        let target = bounded(targets * weighted / (count * aim), self.limit());
        target.max(self.hardest_bits.map_or(Target(adit_plugin_sdk::U256::ONE), checked_target))
    }
}
