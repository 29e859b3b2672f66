//! How the node is.

use super::ApiState;
use super::error::ApiError;
use super::shapes::{IdentityBody, difficulty_number};
use crate::anomaly::AnomalyReport;
use crate::chain::DagStanding;
use crate::metrics::{ProcessUse, Readout};
use crate::mining::MinerReport;
use crate::network::NetworkHandle;
use crate::reload::Diagnostic;
use crate::settings::Sizes;
use adit_primitives::Height;
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Number;
use std::sync::Arc;
use utoipa::ToSchema;

/// The version of this API.
pub const API_VERSION: &str = "2.0";

/// In short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatusResponse {
    pub node_id: String,
    pub blockchain_length: u64,
    /// Other nodes of this chain with whom there is a session.
    pub peers: u32,
    pub thread_safe: bool,
    /// Seconds since the start.
    pub uptime: u64,
    pub api_version: String,
    pub chain: String,
    pub network: String,
    pub identity: String,
    pub tip: String,
    /// Grows with every change of the tip: a template of another state is stale.
    pub state_version: u64,
}

/// In full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DetailedStatusResponse {
    pub node_id: String,
    pub blockchain_length: u64,
    pub state_version: u64,
    pub difficulty_status: DifficultyStatus,
    pub mining_stats: MiningStats,
    /// How the newest blocks lie, on a chain that merges blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dag: Option<DagStatus>,
    /// What is watched for anomalies, and those that were found, the newest first.
    pub anomalies: AnomalyReport,
    pub configuration: ConfigurationStatus,
    pub identity: IdentityBody,
    pub process: ProcessStatus,
    pub thread_safe: bool,
    pub uptime_seconds: u64,
}

/// The three layers of the difficulty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DifficultyStatus {
    /// Above the genesis block.
    #[schema(value_type = f64)]
    pub genesis_difficulty: Number,
    /// As configured; without that, as the consensus plugin computes it.
    #[schema(value_type = f64)]
    pub config_difficulty: Number,
    /// In force: an override, or the configured one.
    #[schema(value_type = f64)]
    pub current_mining_difficulty: Number,
    /// Of the next block.
    #[schema(value_type = f64)]
    pub target_difficulty: Number,
    /// The number that the next block's digest must not exceed.
    pub target: String,
    /// Whether the difficulty follows the chain's own rule.
    pub adjustment_enabled: bool,
    pub override_active: bool,
    /// Why the configured difficulty is not in force, where the rules refuse it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_refused: Option<String>,
}

/// What this node's own miner and its chain did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MiningStats {
    /// By this node's own miner.
    pub blocks_mined: u64,
    /// Hashes a second of this node's own miner.
    pub total_hash_rate: f64,
    /// Seconds, over the blocks for which statistics are kept.
    pub average_block_time: f64,
    /// Since the start, by any miner.
    pub blocks_accepted: u64,
    pub blocks_aside: u64,
    pub blocks_refused: u64,
    pub reorgs: u64,
    pub plugin_faults: u64,
    pub subscribers: i64,
    pub miner: MinerReport,
}

/// How the newest blocks of a chain that merges blocks lie.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DagStatus {
    /// Blocks on which nothing valid stands, at most 1,000.
    pub tips: u64,
    /// Of the selected tip.
    pub blue_score: u64,
    /// Blue blocks for each block with a colour, over the blocks for which statistics are kept. `null` before the first.
    pub blue_ratio: Option<f64>,
    pub red_blocks: u64,
    pub unmerged_blocks: u64,
    /// Blocks merged by the selected tip, its selected parent not counted.
    pub merge_set_last: u64,
    pub merge_set_mean: f64,
}

impl DagStatus {
    fn new(standing: &DagStanding, blue_score: Height) -> Self {
        let colours = &standing.colours;
        Self {
            tips: standing.tips as u64,
            blue_score: blue_score.0,
            blue_ratio: colours.blue_ratio(),
            red_blocks: colours.red,
            unmerged_blocks: colours.unmerged,
            merge_set_last: colours.merged_last as u64,
            merge_set_mean: colours.merge_set_mean(),
        }
    }
}

/// The configuration and what there is to say about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConfigurationStatus {
    /// Whether the file as it lies there is right.
    pub valid: bool,
    /// How often changes were applied.
    pub reloads: u64,
    /// Every bad or defaulted value.
    pub diagnostics: Vec<Diagnostic>,
    /// The sizes in force.
    #[schema(value_type = Object)]
    pub sizes: serde_json::Value,
}

/// What the process uses.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProcessStatus {
    pub memory_bytes: u64,
    pub cpu_seconds: f64,
}

/// Returns the node's status in short.
#[utoipa::path(get, path = "/status", tag = "status", responses((status = 200, body = StatusResponse)))]
pub async fn status(State(api): State<Arc<ApiState>>) -> Json<StatusResponse> {
    let snapshot = api.chain.snapshot();
    Json(StatusResponse {
        node_id: api.standing.borrow().settings.node.name.clone(),
        blockchain_length: snapshot.tip.height.0 + 1,
        peers: api
            .network
            .as_ref()
            .map_or(0, |network| u32::try_from(network.standing().peers.len()).unwrap_or(u32::MAX)),
        thread_safe: true,
        uptime: api.started.elapsed().as_secs(),
        api_version: API_VERSION.to_owned(),
        chain: api.identity.chain.clone(),
        network: api.identity.network.clone(),
        identity: api.identity.identity().to_string(),
        tip: snapshot.tip.id.to_string(),
        state_version: snapshot.state_version,
    })
}

/// Returns the node's status in full.
#[utoipa::path(get, path = "/status/detailed", tag = "status", responses((status = 200, body = DetailedStatusResponse)))]
pub async fn detailed(State(api): State<Arc<ApiState>>) -> Json<DetailedStatusResponse> {
    let (snapshot, standing) = (api.chain.snapshot(), api.standing.borrow().clone());
    let (layers, counts) = (&snapshot.difficulty, &snapshot.counts);
    let sizes = standing.settings.node.sizes_in_force();
    let miner = api.miner.borrow().clone();
    let process = ProcessUse::read();
    Json(DetailedStatusResponse {
        node_id: standing.settings.node.name.clone(),
        blockchain_length: snapshot.tip.height.0 + 1,
        state_version: snapshot.state_version,
        difficulty_status: DifficultyStatus {
            genesis_difficulty: difficulty_number(&layers.genesis),
            config_difficulty: difficulty_number(&layers.configured),
            current_mining_difficulty: difficulty_number(&layers.current),
            target_difficulty: difficulty_number(&snapshot.next.difficulty),
            target: snapshot.next.target.to_string(),
            adjustment_enabled: layers.computed && layers.forced.is_none(),
            override_active: layers.forced.is_some(),
            config_refused: layers.refused.clone(),
        },
        mining_stats: MiningStats {
            blocks_mined: miner.blocks_accepted,
            total_hash_rate: miner.hashes_per_second,
            average_block_time: average_block_time(&api, sizes),
            blocks_accepted: counts.blocks_accepted,
            blocks_aside: counts.blocks_aside,
            blocks_refused: counts.blocks_refused,
            reorgs: counts.reorgs,
            plugin_faults: counts.faults,
            subscribers: api.metrics.subscribers.get(),
            miner: (*miner).clone(),
        },
        dag: snapshot.dag.as_ref().map(|standing| DagStatus::new(standing, snapshot.tip.height)),
        anomalies: (**api.anomalies.borrow()).clone(),
        configuration: ConfigurationStatus {
            valid: standing.valid,
            reloads: standing.reloads,
            diagnostics: standing.diagnostics.clone(),
            sizes: serde_json::to_value(sizes).expect("sizes are plain data"),
        },
        identity: IdentityBody::new(&api.identity),
        process: ProcessStatus { memory_bytes: process.memory_bytes, cpu_seconds: process.cpu_seconds },
        thread_safe: true,
        uptime_seconds: api.started.elapsed().as_secs(),
    })
}

/// Returns the rules of the node's chain, item by item: clients refuse a node whose rules are not theirs.
#[utoipa::path(get, path = "/identity", tag = "status", responses((status = 200, body = IdentityBody)))]
pub async fn identity(State(api): State<Arc<ApiState>>) -> Json<IdentityBody> {
    Json(IdentityBody::new(&api.identity))
}

/// Answers while the process lives.
#[utoipa::path(get, path = "/healthz", tag = "status", responses((status = 200, body = String)))]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Answers while the chain answers.
#[utoipa::path(get, path = "/readyz", tag = "status", responses(
    (status = 200, body = String),
    (status = 503, body = super::error::ErrorBody),
))]
pub async fn readyz(State(api): State<Arc<ApiState>>) -> Result<&'static str, ApiError> {
    if api.chain.is_running() { Ok("ready\n") } else { Err(ApiError::unavailable("the chain has stopped")) }
}

/// Returns what the node counts, in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "status", responses((status = 200, body = String)))]
pub async fn metrics(State(api): State<Arc<ApiState>>) -> Response {
    // Where the chain is too busy to say them, the figures stay as they last were.
    let statistics = api.chain.statistics().await.ok();
    let anomalies = api.anomalies.borrow().clone();
    let network = api.network.as_ref().map(|network| network.standing());
    let shares = api.network.as_ref().and_then(NetworkHandle::share_log);
    let shares = shares.map(|log| log.standing().borrow().clone());
    let text = api.metrics.text(&Readout {
        snapshot: &api.chain.snapshot(),
        index_bytes: api.chain.reader().index_bytes(),
        placements: api.chain.reader().placement_figures(),
        miner: &api.miner.borrow(),
        statistics: statistics.as_ref(),
        anomalies: &anomalies,
        network: network.as_deref(),
        shares: shares.as_deref(),
    });
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// The mean seconds between the newest blocks, 0 where there are fewer than two above the genesis: its time is no block's.
fn average_block_time(api: &ApiState, sizes: Sizes) -> f64 {
    let tip = api.chain.snapshot().tip.clone();
    let oldest = Height(tip.height.0.saturating_sub(u64::from(sizes.statistics_blocks)).max(1));
    let reader = api.chain.reader();
    let Some(first) = reader.selected_below(oldest).filter(|first| first.height.0 > 0) else { return 0.0 };
    let blocks = tip.height.0.saturating_sub(first.height.0);
    let millis = tip.time.to_millis().saturating_sub(first.time.to_millis());
    if blocks == 0 { 0.0 } else { millis as f64 / 1000.0 / blocks as f64 }
}
