//! The retarget rules: how hard the next block must be.
//!
//! Never judges a header: [`crate::chain`] compares what a rule computes with what a header states. Integers only.
//!
//! To add a rule: its file here, its line in the list below, its vectors. Reading order: this file, then any rule.

pub mod asert;
pub mod bitcoin;
pub mod interval;
pub mod litecoin;
pub mod lwma;

use crate::config::within;
use crate::difficulty;
use adit_plugin_sdk::{ChainView, ConfigError, Height, KnownBlock, Target, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a rule sees: the parent of the block whose difficulty is asked for, and the blocks below.
pub struct Next<'a> {
    pub view: &'a dyn ChainView,
    pub parent: &'a KnownBlock,
    /// The height of the block whose difficulty is asked for.
    pub height: Height,
    /// The first height, other than the genesis, at which the rule holds with these parameters.
    pub stage_start: Height,
}

/// Why a rule cannot be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It needs a block below the horizon: the rule is skipped.
    BelowHorizon,
    /// The host does not show a block that it must hold.
    Unknown { height: Height },
}

/// A retarget rule with its parameters.
pub trait Rule {
    /// Refuses parameters that make no sense. `path` is the key of the rule's table.
    fn check(&self, path: &str) -> Result<(), ConfigError>;

    /// Returns the easiest target that a block may have.
    fn limit(&self) -> Target;

    /// Computes the bits of the next block.
    fn bits(&self, next: &Next<'_>) -> Result<u32, Missing>;

    /// Tells whether a block may state bits other than those computed.
    fn admits(&self, _next: &Next<'_>, _time: Timestamp, _stated: u32) -> bool {
        false
    }

    /// Returns the bits for a difficulty that was asked for, where [`Rule::admits`] would take them at any time.
    fn wished(&self, _difficulty: u64) -> Option<u32> {
        None
    }

    /// Returns what the rule wants to be told of this block when it computes its children's bits.
    fn notes(&self, _next: &Next<'_>, _computed: Result<u32, Missing>, _stated: u32) -> Vec<u8> {
        Vec::new()
    }
}

impl Next<'_> {
    /// Returns the parent's ancestor at `height`.
    fn ancestor(&self, height: Height) -> Result<KnownBlock, Missing> {
        if height < self.view.horizon() {
            return Err(Missing::BelowHorizon);
        }
        self.view.selected_ancestor(self.parent.id, height).ok_or(Missing::Unknown { height })
    }

    /// Tells whether the parent was judged by the rule that judges this block.
    fn parent_in_stage(&self) -> bool {
        self.parent.height >= self.stage_start
    }

    /// Returns the notes that this rule took on the parent: none where another rule judged it, or nobody did.
    fn notes(&self) -> &[u8] {
        if self.parent_in_stage() { &self.parent.state } else { &[] }
    }
}

/// Lists the rules: the name in the configuration, and the type.
macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident($rule:ty),)*) => {
        /// A retarget rule, chosen by `rule`, with its parameters.
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "rule", rename_all = "kebab-case")]
        pub enum Retarget {
            $($(#[$doc])* $name($rule),)*
        }

        impl Retarget {
            /// Returns the rule that was chosen.
            pub fn rule(&self) -> &dyn Rule {
                match self {
                    $(Self::$name(rule) => rule,)*
                }
            }
        }
    };
}

rules! {
    /// Every so many blocks, by whole digits, when blocks came too fast or too slow.
    Interval(interval::Interval),
    /// Every 2,016 blocks, in proportion to the time they took.
    Bitcoin(bitcoin::Bitcoin),
    /// As `bitcoin`, the time measured from one block earlier.
    Litecoin(litecoin::Litecoin),
    /// With each block, by how far the chain is ahead of or behind its schedule.
    Asert(asert::Asert),
    /// With each block, by a moving average of the times that weights recent blocks more.
    Lwma(lwma::Lwma),
}

impl Retarget {
    /// Refuses parameters that make no sense.
    pub fn check(&self, path: &str) -> Result<(), ConfigError> {
        self.rule().check(path)
    }
}

/// Refuses a compact target that cannot be read, under the name of its key.
fn check_compact(path: &str, key: &str, bits: u32) -> Result<(), ConfigError> {
    match Target::from_compact(bits) {
        Ok(_) => Ok(()),
        Err(error) => Err(ConfigError::new(format!("{path}.{key}"), error.to_string())),
    }
}

/// Refuses a time between blocks outside of 1 second to 10 days.
fn check_spacing(path: &str, seconds: u32) -> Result<(), ConfigError> {
    within(&format!("{path}.spacing-seconds"), seconds.into(), 1, SPACING_SECONDS_MAX.into())
}

/// The longest time between blocks: ten days. With it, no sum of times overflows.
const SPACING_SECONDS_MAX: u32 = 864_000;

/// Reads the target of a compact form that [`check_compact`] has seen.
fn checked_target(bits: u32) -> Target {
    Target::from_compact(bits).expect("the configuration was checked")
}

/// Reads the target of a placed block.
fn target_of(block: &KnownBlock) -> Target {
    difficulty::target_of(block.bits).expect("only blocks with a valid target are placed")
}
