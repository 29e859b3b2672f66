//! What can be configured: the chain's `[consensus.config]` table.

use adit_plugin_sdk::common::Subsidy;
use adit_plugin_sdk::space::PlotKind;
use adit_plugin_sdk::{ConfigError, Target, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest time between blocks: ten days. With it, no sum of times overflows.
const SPACING_SECONDS_MAX: u32 = 864_000;

/// The longest window of the retarget rule.
const WINDOW_MAX: u32 = 2016;

/// The greatest age that plots may have to have.
const REGISTRATION_AGE_MAX: u32 = 1_000_000;

/// The most plots that a chain may let one header register.
const REGISTRATIONS_MAX: u32 = 64;

/// The rules of a chain whose blocks are won by plots.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// Which plots count: `hard` (nonces of PoC2, with the hash plugin `poc2`), or `plain` (leaves of one hash each, for study, with
    /// `sha256` or `blake3`).
    #[serde(default)]
    pub leaf: Leaf,
    /// What a challenge is made from: `chained` (a generation signature that a winner cannot choose) or `parent` (the parent's id, which a
    /// winner can choose among many).
    #[serde(default)]
    pub challenge: Source,
    /// How long a challenge may be answered, in seconds. Then the next one takes its place, until a block is won.
    #[schemars(range(min = 1, max = SPACING_SECONDS_MAX))]
    pub challenge_seconds: u32,
    /// The time between blocks that is aimed at, in seconds. At least `challenge-seconds`.
    #[schemars(range(min = 1, max = SPACING_SECONDS_MAX))]
    pub spacing_seconds: u32,
    /// The first block. Needs no proof.
    pub genesis: Genesis,
    /// The easiest target, in compact form.
    #[serde(default = "limit_default")]
    pub limit_bits: u32,
    /// Over how many blocks the difficulty is averaged.
    #[serde(default = "window_default")]
    #[schemars(range(min = 1, max = WINDOW_MAX))]
    pub window: u32,
    /// In a plain chain: how many blocks old a plot's registration must be before the plot counts. The first so many blocks need none.
    #[serde(default = "registration_age_default")]
    #[schemars(range(min = 1, max = REGISTRATION_AGE_MAX))]
    pub registration_age: u32,
    /// In a plain chain: after so many challenges that nobody won, plots need no registration until the next block. Those who are registered
    /// may be gone.
    #[serde(default = "registration_rounds_default")]
    #[schemars(range(min = 1))]
    pub registration_rounds: u32,
    /// In a plain chain: how many plots one block may register.
    #[serde(default = "registrations_max_default")]
    #[schemars(range(min = 1, max = REGISTRATIONS_MAX))]
    pub registrations_max: u32,
    /// Bounds on a block's time.
    #[serde(default)]
    pub time: TimeRules,
    /// What a block may create.
    pub subsidy: Subsidy,
}

/// Which plots count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Leaf {
    /// Nonces of PoC2, which a processor does not make in the time that a disk reads them.
    #[default]
    Hard,
    /// Leaves of one hash each under a Merkle tree, which a processor makes as fast as a disk reads them.
    Plain,
}

/// What a challenge is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A signature chained through the keys of the winners.
    #[default]
    Chained,
    /// The id of the parent.
    Parent,
}

/// The first block.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Genesis {
    /// When the chain begins, in seconds since 1970-01-01 00:00 UTC.
    pub time_seconds: u64,
    /// The first target, in compact form as Bitcoin writes it. No easier than `limit-bits`.
    pub bits: u32,
    /// Any text. Its SHA-256 stands where other blocks commit to their body.
    #[serde(default)]
    pub message: String,
}

/// Bounds on a block's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TimeRules {
    /// How far ahead of a node's clock a block may be when the node accepts it, in seconds. Whoever answers a challenge before its time gains as much.
    pub future_limit_seconds: u32,
}

impl Default for TimeRules {
    fn default() -> Self {
        Self { future_limit_seconds: 1 }
    }
}

impl TimeRules {
    /// Returns when a node's clock may show the block as valid: `future-limit-seconds` before the block's own time.
    pub fn valid_from(self, time: Timestamp) -> Timestamp {
        Timestamp::from_millis(time.to_millis().saturating_sub(1000 * u64::from(self.future_limit_seconds)))
    }
}

impl Leaf {
    /// Returns the kind of plots, as farmers know it.
    pub fn plots(self) -> PlotKind {
        match self {
            Self::Hard => PlotKind::Hard,
            Self::Plain => PlotKind::Plain,
        }
    }
}

impl Config {
    /// Refuses what serde cannot see: bounds, and keys that contradict each other.
    pub fn check(&self) -> Result<(), ConfigError> {
        within("spacing-seconds", self.spacing_seconds, 1, SPACING_SECONDS_MAX)?;
        within("challenge-seconds", self.challenge_seconds, 1, self.spacing_seconds)?;
        within("window", self.window, 1, WINDOW_MAX)?;
        within("registration-age", self.registration_age, 1, REGISTRATION_AGE_MAX)?;
        within("registration-rounds", self.registration_rounds, 1, u32::MAX)?;
        within("registrations-max", self.registrations_max, 1, REGISTRATIONS_MAX)?;
        let limit = compact("limit-bits", self.limit_bits)?;
        if compact("genesis.bits", self.genesis.bits)? > limit {
            return Err(ConfigError::new("genesis.bits", "easier than limit-bits"));
        }
        self.subsidy.check()
    }

    /// Returns the easiest target.
    pub fn limit(&self) -> Target {
        Target::from_compact(self.limit_bits).expect("the configuration was checked")
    }

    /// Returns the target of the genesis.
    pub fn first_target(&self) -> Target {
        Target::from_compact(self.genesis.bits).expect("the configuration was checked")
    }

    /// Returns how many plots a header may register: none where plots need not be.
    pub fn registrations(&self) -> u32 {
        match self.leaf {
            Leaf::Hard => 0,
            Leaf::Plain => self.registrations_max,
        }
    }

    /// Returns the time between blocks that is aimed at, in milliseconds.
    pub fn spacing_ms(&self) -> u64 {
        1000 * u64::from(self.spacing_seconds)
    }
}

fn limit_default() -> u32 {
    0x207f_ffff
}

fn window_default() -> u32 {
    60
}

fn registration_rounds_default() -> u32 {
    1_000
}

fn registration_age_default() -> u32 {
    10
}

fn registrations_max_default() -> u32 {
    8
}

fn within(key: &str, value: u32, min: u32, max: u32) -> Result<(), ConfigError> {
    match (min..=max).contains(&value) {
        true => Ok(()),
        false => Err(ConfigError::new(key, format!("{value} is not between {min} and {max}"))),
    }
}

fn compact(key: &str, bits: u32) -> Result<Target, ConfigError> {
    Target::from_compact(bits).map_err(|error| ConfigError::new(key, error.to_string()))
}
