//! The `[network]` table: where other nodes reach this one, and how it finds them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;

/// The `[network]` table. Without it the node talks with miners and wallets alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default = "NetworkSettings::standard")]
pub struct NetworkSettings {
    /// Addresses and ports where other nodes connect; a port of 0 is chosen by the system. Without it: `0.0.0.0:8647`, which every machine reaches.
    #[schemars(with = "Vec<String>", length(max = 8))]
    pub listen: Vec<SocketAddr>,
    /// Addresses at which others reach this node, where they differ from those that it listens at, which are then told to nobody: `host:port`, or libp2p's form.
    #[schemars(length(max = 8), inner(length(min = 1, max = 256)))]
    pub announce: Vec<String>,
    /// Nodes to begin with: `host:port`, with `/p2p/<node>` behind it where only that node will do.
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub bootstrap: Vec<String>,
    /// Whether nodes in the same local network are found without any address.
    pub lan: bool,
    /// Whether nodes are found through a distributed table (Kademlia) that all nodes of the chain keep together.
    pub table: bool,
    /// Whether the router is asked to forward a port (UPnP), nodes tell each other whether they reach them, and nodes behind relays are called.
    pub traversal: bool,
    /// Nodes that relay for this one where nothing else reaches it, each with `/p2p/<node>`.
    #[schemars(length(max = 4), inner(length(min = 1, max = 256)))]
    pub relays: Vec<String>,
    /// Whether this node relays for others.
    pub relay: bool,
    /// Sessions that this node opens and keeps, over distinct networks.
    #[schemars(range(max = 32))]
    pub outbound: u16,
    /// Sessions that other nodes may open.
    #[schemars(range(max = 64))]
    pub inbound: u16,
    /// To whom what is new is passed on.
    pub strategy: PropagationStrategy,
    /// The file of the node's key, made at the first start. Without it: `node.key` in `data-dir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
}

/// To whom what is new is passed on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PropagationStrategy {
    /// To every peer that has it not.
    Flood,
    /// To a few peers; the others hear its id and ask.
    Gossip,
    /// Along a tree over the nodes' keys.
    Structured,
    /// Blocks and votes flood, transactions and shares are gossiped.
    #[default]
    Hybrid,
    /// As gossip, over links that are kept where they were the fastest.
    Adaptive,
}

impl NetworkSettings {
    /// The port of other nodes, where none is chosen.
    pub const PORT: u16 = 8647;

    /// What holds for a table that says nothing.
    pub fn standard() -> Self {
        Self {
            listen: vec![SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, Self::PORT))],
            announce: Vec::new(),
            bootstrap: Vec::new(),
            lan: true,
            table: true,
            traversal: true,
            relays: Vec::new(),
            relay: false,
            outbound: 8,
            inbound: 40,
            strategy: PropagationStrategy::default(),
            key_file: None,
        }
    }
}
