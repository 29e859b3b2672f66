//! The miner's connection to the chain: its own node's, or another node's over the network.

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
    /// Since the start, for each block that was accepted; 0 before the first.
    pub hashes_per_solution: f64,
    pub blocks_accepted: u64,
    pub blocks_stale: u64,
    pub blocks_refused: u64,
    pub worker_failures: u64,
    /// Mean milliseconds until a template was there.
    pub template_ms: f64,
    /// Mean milliseconds until a find was judged.
    pub submission_ms: f64,
    pub workers: Vec<WorkerReport>,
}

/// What one worker did so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkerReport {
    pub id: usize,
    /// The core that it is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub core: Option<usize>,
    pub hashes_per_second: f64,
    pub hashes: u64,
    pub found: u64,
    /// How often it was replaced after a failure.
    pub failures: u64,
}
