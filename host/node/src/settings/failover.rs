//! The tables `[pool.failover]` and `[miner.failover]`: which of several upstreams is asked, and when another is.

use adit_network::peers::FailoverStrategy;
use adit_network::peers::failover::{self, Member};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Which of several nodes or pools has the turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default = "FailoverSettings::unset")]
pub struct FailoverSettings {
    /// Who has the turn among those that are well.
    pub strategy: TurnStrategy,
    /// Where this machine is, by names of your own: `geographic` prefers those of the same region.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub region: Option<String>,
    /// Milliseconds for which one that is preferred must have been well before it gets the turn back. Twice as long each time that it failed soon after, up to half an hour.
    #[schemars(range(min = 100, max = 1_800_000))]
    pub settle_ms: u64,
    /// Milliseconds between tries of one that has not the turn.
    #[schemars(range(min = 50, max = 600_000))]
    pub probe_ms: u64,
}

/// Who has the turn among those that are well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TurnStrategy {
    /// The first of the list. The first failure gives the turn to the next at once.
    Immediate,
    /// The first of the list. It takes three failures in a row to lose the turn.
    Graceful,
    /// Everybody for a minute, as often as its weight and its health say.
    Weighted,
    /// Those of this machine's region first, then whoever is near by measured latency.
    Geographic,
    /// Whoever answers fastest, with failures and silence counted as slowness.
    Adaptive,
}

/// Where one of several nodes or pools is: an address alone, or `{ url = "…", weight = 2, region = "…" }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", untagged)]
pub enum UpstreamPlace {
    /// Its address.
    Address(#[schemars(length(min = 8, max = 256))] String),
    /// Its address, with what is said of it.
    Described(DescribedPlace),
}

/// An address with what `[…failover]` may prefer it for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DescribedPlace {
    /// Its address.
    #[schemars(length(min = 8, max = 256))]
    pub url: String,
    /// How often it gets the turn beside others, by `weighted`.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1_000))]
    pub weight: u32,
    /// Where it is, by names of your own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub region: Option<String>,
}

impl FailoverSettings {
    /// Returns what holds where `chain.toml` says nothing.
    pub const fn unset() -> Self {
        Self { strategy: TurnStrategy::Immediate, region: None, settle_ms: 30_000, probe_ms: 15_000 }
    }

    /// Returns the rules that follow. One that failed is left alone for `left_alone_max` at most.
    pub fn rules(&self, left_alone_max: Duration) -> failover::Settings {
        let mut rules = failover::Settings::standard(self.strategy.into());
        rules.region.clone_from(&self.region);
        rules.settle_time = Duration::from_millis(self.settle_ms);
        rules.probe_interval = Duration::from_millis(self.probe_ms);
        rules.breaker.open.max = left_alone_max;
        rules.breaker.open.first = rules.breaker.open.first.min(rules.probe_interval);
        rules
    }
}

impl UpstreamPlace {
    /// Returns the same place with a path behind its address.
    pub fn below(mut self, path: &str) -> Self {
        let (Self::Address(url) | Self::Described(DescribedPlace { url, .. })) = &mut self;
        *url = format!("{}{path}", url.trim_end_matches('/'));
        self
    }

    /// Returns the address.
    pub fn url(&self) -> &str {
        match self {
            Self::Address(url) => url,
            Self::Described(place) => &place.url,
        }
    }

    /// Returns it as one of several that may have the turn.
    pub fn member(&self) -> Member {
        match self {
            Self::Address(url) => Member { name: url.clone(), weight: one(), region: None },
            Self::Described(DescribedPlace { url, weight, region }) => {
                Member { name: url.clone(), weight: *weight, region: region.clone() }
            }
        }
    }
}

impl From<String> for UpstreamPlace {
    fn from(url: String) -> Self {
        Self::Address(url)
    }
}

impl From<TurnStrategy> for FailoverStrategy {
    fn from(strategy: TurnStrategy) -> Self {
        match strategy {
            TurnStrategy::Immediate => Self::Immediate,
            TurnStrategy::Graceful => Self::Graceful,
            TurnStrategy::Weighted => Self::Weighted,
            TurnStrategy::Geographic => Self::Geographic,
            TurnStrategy::Adaptive => Self::Adaptive,
        }
    }
}

pub(super) const fn one() -> u32 {
    1
}
