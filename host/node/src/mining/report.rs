//! What a miner did, for people and programs.

use crate::farming::FarmReport;
use adit_miner::stats::{Latency, WorkerStatistics};
use adit_miner::{Statistics, Verdict};
use adit_primitives::Target;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a miner did so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MinerReport {
    /// Whether it searches now.
    pub running: bool,
    /// What searches: the name of a native kernel, or `sandbox`.
    pub backend: String,
    /// Averaged over the last seconds.
    pub hashes_per_second: f64,
    /// Since the start.
    pub hashes: u64,
    /// Since the start; 0 before the first solution.
    pub hashes_per_solution: f64,
    /// Inputs that met their target: blocks, or a pool's shares. Of one template only the first becomes a block, unless the chain merges parallel blocks.
    pub solutions: u64,
    pub blocks_accepted: u64,
    pub blocks_stale: u64,
    pub blocks_refused: u64,
    /// Handed in at pools, by what the pools answered.
    #[serde(default)]
    pub shares: Tally,
    /// The pool that is mined for now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolReport>,
    pub worker_failures: u64,
    /// How long templates took to come.
    pub template_latency: LatencyReport,
    /// How long finds took to be judged.
    pub submission_latency: LatencyReport,
    /// What mining draws, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<PowerReport>,
    /// Memory of the whole process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    pub workers: Vec<WorkerReport>,
    /// Of a farmer: its plots, and the challenge at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub farm: Option<FarmReport>,
}

/// What became of finds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tally {
    pub accepted: u64,
    /// Came too late.
    pub stale: u64,
    pub refused: u64,
    /// Without an answer: the connection broke, or too many were on their way. They may have been counted all the same.
    pub lost: u64,
}

/// The pool that is mined for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolReport {
    /// `stratum+tcp://host:port`.
    pub url: String,
    /// What a share's hash must not exceed, as hex.
    pub share_target: String,
}

/// What mining draws.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PowerReport {
    pub watts: f64,
    pub hashes_per_joule: f64,
    pub source: PowerSource,
}

/// Where a figure of power comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PowerSource {
    /// The processors' own counters: all that runs on them, and nothing else of the machine.
    Rapl,
    /// `miner.watts`: what the operator says.
    Configured,
}

impl PowerReport {
    /// Returns what a joule does at a rate of hashes a second. `None` where nothing is drawn.
    pub fn new(watts: f64, source: PowerSource, hashes_per_second: f64) -> Option<Self> {
        (watts > 0.0).then(|| Self { watts, hashes_per_joule: hashes_per_second / watts, source })
    }
}

impl PowerSource {
    /// Returns the name as reports have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rapl => "rapl",
            Self::Configured => "configured",
        }
    }
}

impl Tally {
    /// Counts one more.
    pub fn count(&mut self, verdict: Verdict) {
        *match verdict {
            Verdict::Accepted => &mut self.accepted,
            Verdict::Stale => &mut self.stale,
            Verdict::Rejected => &mut self.refused,
            Verdict::Lost => &mut self.lost,
        } += 1;
    }
}

impl PoolReport {
    /// Names a pool, and how hard its shares are.
    pub fn new(url: &str, target: Target) -> Self {
        Self { url: url.to_owned(), share_target: target.to_string() }
    }
}

/// How long something took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LatencyReport {
    pub measured: u64,
    pub last_ms: f64,
    pub mean_ms: f64,
    pub max_ms: f64,
}

/// What one worker did so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkerReport {
    pub id: usize,
    /// The core that it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub core: Option<usize>,
    pub hashes_per_second: f64,
    pub hashes: u64,
    pub found: u64,
    /// How often it failed.
    pub failures: u64,
    /// Processor time that its thread has used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor_ms: Option<u64>,
}

impl MinerReport {
    /// Returns the workers' figures, without what only the task knows.
    pub fn of(statistics: &Statistics) -> Self {
        Self {
            running: !statistics.workers.is_empty(),
            hashes_per_second: statistics.hashes_per_second,
            hashes: statistics.hashes,
            hashes_per_solution: statistics.hashes_per_solution.unwrap_or_default(),
            solutions: statistics.found,
            template_latency: LatencyReport::from(&statistics.template_latency),
            submission_latency: LatencyReport::from(&statistics.submission_latency),
            memory_bytes: statistics.memory_bytes,
            workers: statistics.workers.iter().map(WorkerReport::from).collect(),
            ..Self::default()
        }
    }
}

impl From<&Latency> for LatencyReport {
    fn from(latency: &Latency) -> Self {
        let millis = |micros: u64| micros as f64 / 1000.0;
        let Latency { measured, last_us, mean_us, max_us, .. } = *latency;
        Self { measured, last_ms: millis(last_us), mean_ms: millis(mean_us), max_ms: millis(max_us) }
    }
}

impl From<&WorkerStatistics> for WorkerReport {
    fn from(worker: &WorkerStatistics) -> Self {
        Self {
            id: worker.worker,
            core: worker.core,
            hashes_per_second: worker.hashes_per_second,
            hashes: worker.hashes,
            found: worker.found,
            failures: worker.failures,
            processor_ms: worker.processor_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_joule_does_what_a_watt_does_in_a_second() {
        let power = PowerReport::new(50.0, PowerSource::Rapl, 1e6).unwrap();
        assert!((power.hashes_per_joule - 20_000.0).abs() < 1e-9);
        assert_eq!(PowerReport::new(0.0, PowerSource::Configured, 1e6), None);
    }

    #[test]
    fn a_figure_of_power_says_where_it_comes_from() {
        let power = PowerReport::new(50.0, PowerSource::Configured, 1e6).unwrap();
        let said = serde_json::to_value(power).unwrap();
        assert_eq!(said["source"], PowerSource::Configured.name());
        assert_eq!(serde_json::to_value(PowerSource::Rapl).unwrap(), PowerSource::Rapl.name());
    }

    #[test]
    fn each_verdict_is_counted_as_what_it_is() {
        let mut tally = Tally::default();
        for (verdict, times) in
            [(Verdict::Accepted, 4), (Verdict::Stale, 3), (Verdict::Rejected, 2), (Verdict::Lost, 1)]
        {
            (0..times).for_each(|_| tally.count(verdict));
        }
        assert_eq!(tally, Tally { accepted: 4, stale: 3, refused: 2, lost: 1 });
    }
}
