//! `asert`: aserti3-2d, as Bitcoin Cash specifies it (CHIP-2020-11 "ASERT difficulty adjustment algorithm").
//!
//! The target doubles for each `half-life-seconds` by which the chain is behind the schedule that its anchor set, and halves for
//! each by which it is ahead. 2^x is computed in integers: the whole part of x by shifting, the fraction, in 1/65536, by a cubic.
//!
//! A time in milliseconds makes the same integers as one in whole seconds: both sides of the only division are scaled.

use super::{Missing, Next, Rule, SPACING_SECONDS_MAX, check_compact, check_spacing, checked_target};
use crate::config::within;
use crate::difficulty::{Wide, bounded};
use adit_plugin_sdk::{ConfigError, Height, Target, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// With each block, by how far the chain is ahead of or behind its schedule.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Asert {
    /// The time between blocks that is aimed at, in seconds.
    #[serde(default = "spacing_default")]
    #[schemars(range(min = 1, max = SPACING_SECONDS_MAX))]
    pub spacing_seconds: u32,
    /// By how many seconds the chain must be behind its schedule for the target to double.
    #[serde(default = "half_life_default")]
    #[schemars(range(min = 1))]
    pub half_life_seconds: u32,
    /// The easiest target, in compact form.
    #[serde(default = "limit_default")]
    pub limit_bits: u32,
    /// The target of the first block under this rule, in compact form, where `anchor` is not given. Without it, the easiest.
    pub initial_bits: Option<u32>,
    /// Where the schedule begins. Without it, at the first block under this rule, as though that block had come in time.
    pub anchor: Option<Anchor>,
}

/// Where the schedule begins.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Anchor {
    /// The anchor block's height.
    pub height: u64,
    /// The anchor block's target, in compact form.
    pub bits: u32,
    /// The time of the anchor's parent, in seconds since 1970.
    pub parent_time_seconds: u64,
}

fn spacing_default() -> u32 {
    600
}

fn half_life_default() -> u32 {
    172_800
}

fn limit_default() -> u32 {
    0x1d00_ffff
}

impl Rule for Asert {
    fn check(&self, path: &str) -> Result<(), ConfigError> {
        check_spacing(path, self.spacing_seconds)?;
        within(&format!("{path}.half-life-seconds"), self.half_life_seconds.into(), 1, u32::MAX.into())?;
        check_compact(path, "limit-bits", self.limit_bits)?;
        check_compact(path, "initial-bits", self.initial_bits())?;
        match self.anchor {
            Some(_) if self.initial_bits.is_some() => {
                Err(ConfigError::new(format!("{path}.initial-bits"), "the anchor gives the bits already"))
            }
            Some(anchor) => check_compact(path, "anchor.bits", anchor.bits),
            None => Ok(()),
        }
    }

    fn limit(&self) -> Target {
        checked_target(self.limit_bits)
    }

    fn bits(&self, next: &Next<'_>) -> Result<u32, Missing> {
        let parent = (next.parent.height, next.parent.time);
        if let Some(anchor) = self.anchor {
            let origin = Timestamp::from_secs(anchor.parent_time_seconds);
            return Ok(self.target(anchor.bits, Height(anchor.height), origin, parent).to_compact());
        }
        if !next.parent_in_stage() {
            return Ok(self.initial_bits());
        }
        let began = match anchor_time(next) {
            Some(time) => time,
            None => next.ancestor(next.stage_start)?.time,
        };
        // The anchor's parent is taken to be one spacing older than the anchor; times before 1970 do not occur.
        let origin = began.to_millis().saturating_sub(self.spacing_ms());
        Ok(self.target(self.initial_bits(), next.stage_start, Timestamp::from_millis(origin), parent).to_compact())
    }

    /// The time of the first block under this rule, where it is the anchor.
    fn notes(&self, next: &Next<'_>, _computed: Result<u32, Missing>, _stated: u32) -> Vec<u8> {
        match anchor_time(next) {
            Some(time) => time.to_millis().to_le_bytes().to_vec(),
            None if self.anchor.is_none() && next.parent.height == next.stage_start => {
                next.parent.time.to_millis().to_le_bytes().to_vec()
            }
            None => Vec::new(),
        }
    }
}

impl Asert {
    fn initial_bits(&self) -> u32 {
        self.initial_bits.unwrap_or(self.limit_bits)
    }

    fn spacing_ms(&self) -> u64 {
        1000 * u64::from(self.spacing_seconds)
    }

    /// Returns the target of the block after `parent`. `origin` is the time of the anchor's parent.
    pub fn target(&self, anchor_bits: u32, anchor: Height, origin: Timestamp, parent: (Height, Timestamp)) -> Target {
        let (height, time) = parent;
        let blocks = i128::from(height.0) - i128::from(anchor.0) + 1;
        let elapsed_ms = i128::from(time.to_millis()) - i128::from(origin.to_millis());
        let behind_ms = elapsed_ms - i128::from(self.spacing_ms()) * blocks;
        // Rounds towards zero, as the specification has it.
        let exponent = behind_ms * 65536 / (1000 * i128::from(self.half_life_seconds));
        let shift = exponent.div_euclid(65536) - 16;
        let fraction = exponent.rem_euclid(65536).unsigned_abs();
        let cubic = 195_766_423_245_049 * fraction
            + 971_821_376 * fraction * fraction
            + 5127 * fraction * fraction * fraction
            + (1 << 47);
        let factor = 65536 + (cubic >> 48);
        let scaled = Wide::from(checked_target(anchor_bits).0) * Wide::from(factor);
        let shifted = match usize::try_from(shift.unsigned_abs()) {
            // 256 bits of target and 17 of factor leave 239 bits of room: a larger shift is past any limit.
            Ok(bits @ 0..240) if shift >= 0 => scaled << bits,
            Ok(bits @ 0..512) if shift < 0 => scaled >> bits,
            _ if shift >= 0 => Wide::MAX,
            _ => Wide::ZERO,
        };
        bounded(shifted, self.limit())
    }
}

/// Returns the time of the anchor as the parent's notes give it.
fn anchor_time(next: &Next<'_>) -> Option<Timestamp> {
    next.notes().try_into().ok().map(|bytes| Timestamp::from_millis(u64::from_le_bytes(bytes)))
}
