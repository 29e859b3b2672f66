//! What can be configured: the chain's `[consensus.config]` table.

use crate::header::Format;
use crate::retarget::Retarget;
use adit_plugin_sdk::ConfigError;
use adit_plugin_sdk::common::Subsidy;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rules of a longest chain.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// The header format: `adit` (88 bytes, milliseconds, 64 bits of nonce) or `bitcoin` (80 bytes, seconds, 32 bits).
    #[serde(default)]
    pub header: Format,
    /// The first block. Needs no proof of work.
    pub genesis: Genesis,
    /// How the difficulty follows the miners.
    pub retarget: Retarget,
    /// Changes of the retarget rule or its parameters, each from a height on. Heights ascend.
    #[serde(default)]
    pub schedule: Vec<Stage>,
    /// Bounds on a block's time.
    #[serde(default)]
    pub time: TimeRules,
    /// What a block may create.
    pub subsidy: Subsidy,
}

/// The first block: either `header`, as recorded, or its parts.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Genesis {
    /// The whole header in hexadecimal digits. No other key may stand beside it.
    pub header: Option<String>,
    /// When the chain begins, in seconds since 1970-01-01 00:00 UTC.
    pub time_seconds: Option<u64>,
    /// The difficulty in compact form, as Bitcoin writes it: `0x1d00ffff`.
    pub bits: Option<u32>,
    /// The difficulty as a number of leading zero hexadecimal digits, for a chain that begins with the rule `interval`.
    #[schemars(range(min = 1, max = 63))]
    pub difficulty: Option<u32>,
    /// Any text. Its SHA-256 stands where other blocks commit to their body.
    pub message: Option<String>,
}

/// Other parameters from a height on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Stage {
    /// The first height under these parameters.
    #[schemars(range(min = 1))]
    pub height: u64,
    /// The retarget rule from there on.
    pub retarget: Retarget,
}

/// Bounds on a block's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TimeRules {
    /// A block must be later than the median time of so many blocks before it.
    #[schemars(range(min = 1, max = 1001))]
    pub median_window: u32,
    /// How far ahead of a node's clock a block may be when the node accepts it, in seconds.
    pub future_limit_seconds: u32,
}

impl Default for TimeRules {
    fn default() -> Self {
        Self { median_window: 11, future_limit_seconds: 7200 }
    }
}

impl Config {
    /// Refuses what serde cannot see: bounds, and keys that contradict each other. The genesis is checked where it is built.
    pub fn check(&self) -> Result<(), ConfigError> {
        within("time.median-window", self.time.median_window.into(), 1, 1001)?;
        self.subsidy.check()?;
        self.retarget.check("retarget")?;
        let mut above = 0;
        for (index, stage) in self.schedule.iter().enumerate() {
            if stage.height <= above {
                let detail = format!("{} is not above {above}: heights ascend", stage.height);
                return Err(ConfigError::new(format!("schedule[{index}].height"), detail));
            }
            above = stage.height;
            stage.retarget.check(&format!("schedule[{index}].retarget"))?;
        }
        Ok(())
    }
}

/// Refuses a number outside of its bounds.
pub fn within(key: &str, value: u64, min: u64, max: u64) -> Result<(), ConfigError> {
    match (min..=max).contains(&value) {
        true => Ok(()),
        false => Err(ConfigError::new(key, format!("{value} is not between {min} and {max}"))),
    }
}
