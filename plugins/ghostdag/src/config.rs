//! What can be configured: the chain's `[consensus.config]` table.

use crate::header::Format;
use adit_plugin_sdk::common::Subsidy;
use adit_plugin_sdk::{ConfigError, Target};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most past blocks over which a window may reach, sampled or not: a fresh instance reads all of them.
const PAST_MAX: u64 = 100_000;

/// The rules of a DAG under GHOSTDAG.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// How many blocks may honestly appear while one spreads: the largest anticone of a blue block among blue blocks. Kaspa takes the
    /// smallest k for which a Poisson variable of mean 2 · delay · blocks a second exceeds it in less than 1 % of cases: 18 for 5 s and 1 block a second.
    #[schemars(range(min = 0, max = 1000))]
    pub k: u16,
    /// The most parents of a block.
    #[serde(default = "default_parents")]
    #[schemars(range(min = 1, max = 256))]
    pub parents_max: u32,
    /// The most blocks that a block may merge, its selected parent among them.
    #[serde(default = "default_merge_set")]
    #[schemars(range(min = 1, max = 10_000))]
    pub merge_set_max: u32,
    /// The header format: `adit` to run a chain, `kaspa` and `labelled` to judge recorded blocks.
    #[serde(default)]
    pub header: Format,
    /// The first block. Needs no proof of work.
    pub genesis: Genesis,
    /// Whether a block needs a proof of work. Without one a chain is worth nothing: for recorded DAGs that have none.
    #[serde(default = "yes")]
    pub proof_of_work: bool,
    /// How the difficulty follows the miners.
    pub difficulty: Difficulty,
    /// A block must be later than the past median time. Without this table any time will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median_time: Option<MedianTime>,
    /// How far ahead of a node's clock a block may be when the node accepts it, in milliseconds.
    #[serde(default = "default_future")]
    pub future_limit_ms: u64,
    /// A red block may be merged only where the block at this depth of blue score lies in its past, or in that of a blue block that
    /// vouches for it. Without it, reds may be merged from any depth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub merge_depth: Option<u64>,
    /// How Kaspa's headers choose the pruning point that they state. Needed by the format `kaspa`, and by no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruning: Option<Pruning>,
    /// What a block may create. Halvings count blue score.
    #[serde(default)]
    pub subsidy: Subsidy,
}

/// The first block: either `header`, as recorded, or its parts.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Genesis {
    /// The whole header in hexadecimal digits. No other key may stand beside it.
    pub header: Option<String>,
    /// When the chain begins, in milliseconds since 1970-01-01 00:00 UTC.
    pub time_ms: Option<u64>,
    /// The difficulty in compact form, as Bitcoin writes it: `0x1e7fffff`.
    pub bits: Option<u32>,
    /// Any text. Its SHA-256 stands where other blocks commit to their body.
    pub message: Option<String>,
}

/// How the difficulty follows the miners.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, tag = "rule")]
pub enum Difficulty {
    /// Every block has the bits of the genesis.
    Fixed,
    /// Kaspa's: the mean target of a window of past blocks, times the time that they took over the time that they should have (KIP-4).
    Window(DifficultyWindow),
}

/// The window over which the difficulty is computed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DifficultyWindow {
    /// How many blocks are in the window.
    #[schemars(range(min = 2, max = 10_000))]
    pub size: u32,
    /// One of so many past blocks is taken into the window; 1 for each. Times the size, at most 100,000.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10_000))]
    pub sample_rate: u32,
    /// Before the window holds so many blocks, the difficulty stays as it is.
    #[schemars(range(min = 2, max = 10_000))]
    pub min: u32,
    /// The time aimed at between two blocks, in milliseconds.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub target_ms: u64,
}

/// The window of the past median time.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MedianTime {
    /// How many blocks are in the window.
    #[schemars(range(min = 1, max = 10_000))]
    pub size: u32,
    /// One of so many past blocks is taken into the window; 1 for each. Times the size, at most 100,000.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10_000))]
    pub sample_rate: u32,
}

/// How pruning points follow the chain.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Pruning {
    /// The blue score between two candidates for a pruning point.
    #[schemars(range(min = 1))]
    pub finality_depth: u64,
    /// How far below a block its pruning point lies at least, in blue score.
    #[schemars(range(min = 1))]
    pub depth: u64,
}

impl Config {
    /// Refuses what serde cannot see: bounds, and keys that contradict each other. The genesis is checked where it is built.
    pub fn check(&self) -> Result<(), ConfigError> {
        within("k", self.k.into(), 0, 1000)?;
        within("parents-max", self.parents_max.into(), 1, 256)?;
        within("merge-set-max", self.merge_set_max.into(), 1, 10_000)?;
        if let Difficulty::Window(window) = &self.difficulty {
            within("difficulty.size", window.size.into(), 2, 10_000)?;
            within("difficulty.sample-rate", window.sample_rate.into(), 1, 10_000)?;
            within("difficulty.min", window.min.into(), 2, window.size.into())?;
            within("difficulty.target-ms", window.target_ms, 1, 86_400_000)?;
            let past = u64::from(window.size) * u64::from(window.sample_rate);
            within("difficulty.sample-rate", past, 1, PAST_MAX)?;
        }
        if let Some(median) = &self.median_time {
            within("median-time.size", median.size.into(), 1, 10_000)?;
            within("median-time.sample-rate", median.sample_rate.into(), 1, 10_000)?;
            let past = u64::from(median.size) * u64::from(median.sample_rate);
            within("median-time.sample-rate", past, 1, PAST_MAX)?;
        }
        if let Some(depth) = self.merge_depth {
            within("merge-depth", depth, 1, u64::MAX)?;
        }
        if let Some(pruning) = &self.pruning {
            within("pruning.finality-depth", pruning.finality_depth, 1, u64::MAX)?;
            within("pruning.depth", pruning.depth, 1, u64::MAX)?;
        }
        if self.header == Format::Labelled && self.proof_of_work {
            let detail = "blocks of the format `labelled` have no proof of work: write `proof-of-work = false`";
            return Err(ConfigError::new("proof-of-work", detail));
        }
        match (self.header, self.pruning) {
            (Format::Kaspa, None) => {
                return Err(ConfigError::new(
                    "pruning",
                    "missing: headers of the format `kaspa` state a pruning point",
                ));
            }
            (Format::Adit | Format::Labelled, Some(_)) => {
                return Err(ConfigError::new("pruning", "only headers of the format `kaspa` state a pruning point"));
            }
            _ => {}
        }
        self.subsidy.check()
    }
}

/// The easiest target that a window may come to: 2^255 − 1, as in Kaspa.
pub fn easiest() -> Target {
    Target(adit_plugin_sdk::U256::MAX >> 1usize)
}

/// Refuses a number outside of its bounds.
fn within(key: &str, value: u64, min: u64, max: u64) -> Result<(), ConfigError> {
    match (min..=max).contains(&value) {
        true => Ok(()),
        false => Err(ConfigError::new(key, format!("{value} is not between {min} and {max}"))),
    }
}

fn default_parents() -> u32 {
    10
}

fn default_merge_set() -> u32 {
    180
}

fn default_future() -> u64 {
    132_000
}

fn one() -> u32 {
    1
}

fn yes() -> bool {
    true
}
