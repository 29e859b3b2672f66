//! The parts of libp2p that are used, and how they are set.

use crate::settings::{Topic, TransportSettings};
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::gossipsub::{
    self, IdentTopic, MessageAuthenticity, MessageId, PeerScoreParams, PeerScoreThresholds, TopicHash,
};
use libp2p::identity::Keypair;
use libp2p::kad::{self, store::MemoryStore};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{StreamProtocol, allow_block_list, autonat, dcutr, identify, mdns, memory_connection_limits, relay, upnp};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// The protocol of sessions. Its frames say the rest.
pub const SESSION: StreamProtocol = StreamProtocol::new("/adit/session/1");

/// What `identify` says is spoken here.
const SPOKEN: &str = "/adit/1";

/// How often the distributed table is refreshed.
const TABLE_INTERVAL: Duration = Duration::from_secs(300);

/// Connections besides sessions, in each direction: of the distributed table, of `identify`, of relays.
const OTHERS_MAX: u32 = 16;

/// Connections with one node: two that call each other at once have two, and one more for each way over a relay.
const PER_NODE_MAX: u32 = 4;

/// Connections that are being set up, in each direction.
const PENDING_MAX: u32 = 32;

/// How long the id of a gossiped item is remembered.
const GOSSIP_MEMORY: Duration = Duration::from_secs(120);

/// The parts. Each acts by itself; the swarm's task hears what matters to it.
#[derive(NetworkBehaviour)]
pub struct Behaviour {
    pub limits: connection_limits::Behaviour,
    pub memory: memory_connection_limits::Behaviour,
    pub banned: allow_block_list::Behaviour<allow_block_list::BlockedPeers>,
    pub streams: libp2p_stream::Behaviour,
    pub identify: identify::Behaviour,
    pub gossip: gossipsub::Behaviour,
    pub table: Toggle<kad::Behaviour<MemoryStore>>,
    pub lan: Toggle<mdns::tokio::Behaviour>,
    pub ports: Toggle<upnp::tokio::Behaviour>,
    pub reached: Toggle<autonat::v2::client::Behaviour>,
    pub reaching: Toggle<autonat::v2::server::Behaviour>,
    pub relay: Toggle<relay::Behaviour>,
    pub relayed: Toggle<relay::client::Behaviour>,
    pub punching: Toggle<dcutr::Behaviour>,
}

/// Why the parts cannot be made.
pub type BuildError = Box<dyn std::error::Error + Send + Sync>;

impl Behaviour {
    /// Makes the parts that the settings ask for. One that is left out costs nothing: every other is asked at each turn of each connection.
    ///
    /// `relayed` is there where [`TransportSettings::is_relayed`].
    pub fn new(
        key: &Keypair,
        relayed: Option<relay::client::Behaviour>,
        settings: &TransportSettings,
    ) -> Result<Self, BuildError> {
        let id = key.public().to_peer_id();
        let limits = ConnectionLimits::default()
            .with_max_pending_incoming(Some(PENDING_MAX))
            .with_max_pending_outgoing(Some(PENDING_MAX))
            .with_max_established_incoming(Some(settings.inbound_max + OTHERS_MAX))
            .with_max_established_outgoing(Some(settings.outbound_max + OTHERS_MAX))
            .with_max_established_per_peer(Some(PER_NODE_MAX));
        let told = identify::Config::new(SPOKEN.to_owned(), key.public()).with_agent_version(settings.agent.clone());
        let table = settings.table.then(|| {
            let mut config = kad::Config::new(table_protocol(&settings.realm));
            config.set_periodic_bootstrap_interval(Some(TABLE_INTERVAL));
            kad::Behaviour::with_config(id, MemoryStore::new(id), config)
        });
        let lan = settings.lan.then(|| mdns::tokio::Behaviour::new(mdns::Config::default(), id)).transpose()?;
        let reached = settings.traversal.then(autonat::v2::client::Behaviour::default);
        Ok(Self {
            limits: connection_limits::Behaviour::new(limits),
            memory: memory_connection_limits::Behaviour::with_max_bytes(settings.memory_max),
            banned: allow_block_list::Behaviour::default(),
            streams: libp2p_stream::Behaviour::new(),
            identify: identify::Behaviour::new(told),
            gossip: gossip(&settings.realm, &settings.topics)?,
            table: table.into(),
            lan: lan.into(),
            ports: settings.traversal.then(upnp::tokio::Behaviour::default).into(),
            reached: reached.into(),
            reaching: settings.traversal.then(autonat::v2::server::Behaviour::default).into(),
            relay: settings.relay.then(|| relay::Behaviour::new(id, relay::Config::default())).into(),
            punching: relayed.is_some().then(|| dcutr::Behaviour::new(id)).into(),
            relayed: relayed.into(),
        })
    }
}

/// Returns the protocol of a realm's distributed table.
pub fn table_protocol(realm: &str) -> StreamProtocol {
    StreamProtocol::try_from_owned(format!("/adit/{realm}/kad/1")).expect("the name of a protocol begins with a slash")
}

/// Returns a realm's topic.
pub fn topic(realm: &str, name: &str) -> IdentTopic {
    IdentTopic::new(format!("/adit/{realm}/{name}"))
}

/// Names an item by the SHA-256 of its bytes, as the specification of unsigned messages suggests (libp2p, `pubsub/README.md`, `StrictNoSign`): the same
/// news from two sides is one item, and every member of a topic, whoever wrote its program, asks for it by the same name.
///
/// What is said on a topic that is none of ours has another name, or else it could be sent there ahead of an item, which would then count as known.
fn item_id(ours: &[TopicHash], topic: &TopicHash, data: &[u8]) -> MessageId {
    let mut id = Sha256::digest(data).to_vec();
    if !ours.contains(topic) {
        id.extend_from_slice(topic.as_str().as_bytes());
    }
    MessageId::from(id)
}

/// Items are anonymous, and go on once they are accepted here. Whoever sends what is refused loses score, and is cut off in the end.
fn gossip(realm: &str, topics: &[Topic]) -> Result<gossipsub::Behaviour, BuildError> {
    let mut config = gossipsub::ConfigBuilder::default();
    config.validation_mode(gossipsub::ValidationMode::Anonymous).validate_messages();
    config.duplicate_cache_time(GOSSIP_MEMORY).flood_publish(true);
    let ours: Vec<TopicHash> = topics.iter().map(|Topic { name, .. }| topic(realm, name).hash()).collect();
    config.message_id_fn(move |message: &gossipsub::Message| item_id(&ours, &message.topic, &message.data));
    config.max_transmit_size(topics.iter().map(|topic| topic.bytes_max).max().unwrap_or(0) + 1024);
    for Topic { name, bytes_max } in topics {
        config.max_transmit_size_for_topic(*bytes_max + 256, topic(realm, name).hash());
    }
    let mut gossip = gossipsub::Behaviour::new(MessageAuthenticity::Anonymous, config.build()?)?;
    let mut score = PeerScoreParams::default();
    for Topic { name, .. } in topics {
        // How often blocks and payments come is not known beforehand: only what is refused counts.
        let params = gossipsub::TopicScoreParams {
            mesh_message_deliveries_weight: 0.0,
            mesh_failure_penalty_weight: 0.0,
            ..Default::default()
        };
        score.topics.insert(topic(realm, name).hash(), params);
    }
    gossip.with_peer_score(score, PeerScoreThresholds::default())?;
    for Topic { name, .. } in topics {
        gossip.subscribe(&topic(realm, name))?;
    }
    Ok(gossip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_named_by_its_bytes_and_nothing_of_another_topic_has_its_name() {
        let ours = [topic("realm", "blocks").hash()];
        // FIPS 180-4's first example.
        let name = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(item_id(&ours, &ours[0], b"abc").to_string(), name);
        let elsewhere = topic("another", "blocks").hash();
        assert_ne!(item_id(&ours, &elsewhere, b"abc").to_string(), name);
    }
}
