//! What a miner did, for people and programs.

use adit_miner::Statistics;
use adit_miner::stats::{Latency, WorkerStatistics};
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
    /// Inputs that met their target. Of one template only the first becomes a block.
    pub solutions: u64,
    pub blocks_accepted: u64,
    pub blocks_stale: u64,
    pub blocks_refused: u64,
    pub worker_failures: u64,
    /// How long templates took to come.
    pub template_latency: LatencyReport,
    /// How long finds took to be judged.
    pub submission_latency: LatencyReport,
    /// Memory of the whole process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    pub workers: Vec<WorkerReport>,
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
    /// Puts the workers' figures together with what only the task knows.
    pub fn new(statistics: &Statistics, backend: &str, worker_failures: u64) -> Self {
        Self {
            running: !statistics.workers.is_empty(),
            backend: backend.to_owned(),
            hashes_per_second: statistics.hashes_per_second,
            hashes: statistics.hashes,
            hashes_per_solution: statistics.hashes_per_solution.unwrap_or_default(),
            solutions: statistics.found,
            blocks_accepted: statistics.accepted,
            blocks_stale: statistics.stale,
            blocks_refused: statistics.rejected,
            worker_failures,
            template_latency: LatencyReport::from(&statistics.template_latency),
            submission_latency: LatencyReport::from(&statistics.submission_latency),
            memory_bytes: statistics.memory_bytes,
            workers: statistics.workers.iter().map(WorkerReport::from).collect(),
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
