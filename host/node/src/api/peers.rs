//! Other nodes.

use super::ApiState;
use crate::network::{NamedView, NetworkHandle, NetworkStanding};
use adit_network::{Direction, PeerView, Phase};
use adit_transport::NodeKey;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// The node among others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PeersResponse {
    /// Whether the node talks with others at all: it does where `chain.toml` has a `[network]` table.
    pub enabled: bool,
    /// This node's name: its public key, as addresses have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Where others reach this node, as far as it knows.
    pub listening: Vec<String>,
    /// Peers of this chain, with whom there is a session.
    pub peers: Vec<PeerBody>,
    /// Addresses of nodes that are known.
    pub addresses: usize,
    /// What became of the addresses of `network.bootstrap`.
    #[serde(default)]
    pub named: Vec<NamedBody>,
    pub sync: SyncBody,
}

/// An address that the operator named.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NamedBody {
    pub address: String,
    /// Whether there is a session with the node there.
    pub connected: bool,
    /// Why no session came of the last call. Left out where it was not called, or one came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PeerBody {
    pub node: String,
    pub address: String,
    /// Whether this node called the peer.
    pub outbound: bool,
    /// The peer's program.
    pub agent: String,
    /// A mean of round trips. `null` before the first.
    pub latency_ms: Option<f64>,
    /// 0 for a peer without fault; at −100 it is banned.
    pub score: i32,
    /// The height of its tip, as it last said.
    pub height: u64,
    pub tip: String,
    /// How long the session lasts.
    pub seconds: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Messages that were left out because the peer read too slowly.
    pub dropped: u64,
}

/// How far the node is behind its peers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SyncBody {
    /// `idle` where nothing is known to be missing, `headers` or `blocks` while they come.
    pub phase: String,
    /// The height of the best header here.
    pub headers: u64,
    /// The height of the tip.
    pub blocks: u64,
    /// The greatest height that a peer claims.
    pub target: u64,
    pub headers_per_second: f64,
    pub blocks_per_second: f64,
    /// How long it takes at this rate. `null` where nothing is missing or the rate is not known.
    pub seconds_left: Option<f64>,
    /// By how much a peer's header was lately too far ahead of this machine's time to be taken. Left out where none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead_seconds: Option<u64>,
}

impl PeersResponse {
    fn new(network: &NetworkHandle) -> Self {
        let standing = network.standing();
        Self {
            enabled: true,
            node: Some(network.node().to_string()),
            listening: standing.listening.iter().map(ToString::to_string).collect(),
            peers: standing.peers.iter().map(|peer| PeerBody::new(peer, &standing)).collect(),
            addresses: standing.known.addresses,
            named: standing.named.iter().map(NamedBody::new).collect(),
            sync: SyncBody::new(&standing),
        }
    }

    /// Says that there are none.
    fn disabled(height: u64) -> Self {
        let sync = SyncBody {
            phase: "idle".to_owned(),
            headers: height,
            blocks: height,
            target: height,
            headers_per_second: 0.0,
            blocks_per_second: 0.0,
            seconds_left: None,
            ahead_seconds: None,
        };
        let (listening, peers, named) = (Vec::new(), Vec::new(), Vec::new());
        Self { enabled: false, node: None, listening, peers, addresses: 0, named, sync }
    }
}

impl NamedBody {
    fn new(view: &NamedView) -> Self {
        let NamedView { address, connected, failure } = view.clone();
        Self { address, connected, failure }
    }
}

impl PeerBody {
    fn new(peer: &PeerView, standing: &NetworkStanding) -> Self {
        Self {
            node: NodeKey(peer.node.0).to_string(),
            address: String::from_utf8_lossy(&peer.address.0).escape_debug().to_string(),
            outbound: peer.direction == Direction::Out,
            agent: peer.agent.clone(),
            latency_ms: peer.latency.map(|latency| latency.as_secs_f64() * 1000.0),
            score: peer.score,
            height: peer.tip.height.0,
            tip: peer.tip.id.to_string(),
            seconds: standing.now.since(peer.since).as_secs(),
            bytes_in: peer.bytes_in,
            bytes_out: peer.bytes_out,
            dropped: peer.dropped,
        }
    }
}

impl SyncBody {
    /// Shows how far a node is.
    pub fn new(standing: &NetworkStanding) -> Self {
        let sync = &standing.sync;
        let missing = sync.target.0.saturating_sub(sync.blocks.0);
        let known = missing > 0 && sync.blocks_per_second > 0.0;
        Self {
            phase: match sync.phase {
                Phase::Idle => "idle",
                Phase::Headers => "headers",
                Phase::Blocks => "blocks",
            }
            .to_owned(),
            headers: sync.headers.0,
            blocks: sync.blocks.0,
            target: sync.target.0,
            headers_per_second: sync.headers_per_second,
            blocks_per_second: sync.blocks_per_second,
            seconds_left: known.then(|| missing as f64 / sync.blocks_per_second),
            ahead_seconds: standing.ahead.map(|ahead| ahead.as_secs()),
        }
    }
}

/// Returns the peers, and how far the node is behind them.
#[utoipa::path(get, path = "/peers", tag = "status", responses((status = 200, body = PeersResponse)))]
pub async fn peers(State(api): State<Arc<ApiState>>) -> Json<PeersResponse> {
    Json(match &api.network {
        Some(network) => PeersResponse::new(network),
        None => PeersResponse::disabled(api.chain.snapshot().tip.height.0),
    })
}
