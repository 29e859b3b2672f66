//! What is counted of the network.

use super::NetworkStanding;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::Ordering;

/// The network's part of the node's metrics.
#[derive(Default)]
pub struct NetworkMetrics {
    peers: Gauge,
    addresses: Gauge,
    headers: Gauge,
    target: Gauge,
    received: Counter,
    sent: Counter,
    messages_received: Counter,
    messages_sent: Counter,
    dropped: Counter,
    refused: Counter,
    timeouts: Counter,
    bans: Counter,
    items_again: Counter,
}

impl NetworkMetrics {
    /// Registers them.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("peers", "Nodes of this chain with whom there is a session", self.peers.clone());
        registry.register("peer_addresses", "Addresses of nodes that are known", self.addresses.clone());
        registry.register("sync_headers", "Height of the best header", self.headers.clone());
        registry.register("sync_target", "Greatest height that a peer claims", self.target.clone());
        let help = "Bytes of messages from peers";
        registry.register_with_unit("network_received", help, Unit::Bytes, self.received.clone());
        registry.register_with_unit("network_sent", "Bytes of messages to peers", Unit::Bytes, self.sent.clone());
        registry.register("network_messages_received", "Messages from peers", self.messages_received.clone());
        registry.register("network_messages_sent", "Messages to peers", self.messages_sent.clone());
        let help = "Messages left out because a peer read too slowly";
        registry.register("network_messages_dropped", help, self.dropped.clone());
        let help = "Messages refused because a peer sent more than it may";
        registry.register("network_messages_refused", help, self.refused.clone());
        registry.register("network_timeouts", "Questions that no peer answered in time", self.timeouts.clone());
        registry.register("network_bans", "Bans of peers", self.bans.clone());
        let help = "Shares and votes that had come before";
        registry.register("network_items_again", help, self.items_again.clone());
    }

    /// Takes over how things are.
    pub fn set(&self, standing: &NetworkStanding) {
        let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.peers.set(gauge(standing.peers.len() as u64));
        self.addresses.set(gauge(standing.known.addresses as u64));
        self.headers.set(gauge(standing.sync.headers.0));
        self.target.set(gauge(standing.sync.target.0));
        let counters = &standing.counters;
        for (counter, count) in [
            (&self.received, counters.bytes_in),
            (&self.sent, counters.bytes_out),
            (&self.messages_received, counters.frames_in),
            (&self.messages_sent, counters.frames_out),
            (&self.dropped, counters.dropped),
            (&self.refused, counters.refused),
            (&self.timeouts, counters.timeouts),
            (&self.bans, counters.bans),
            (&self.items_again, counters.items_again),
        ] {
            counter.inner().store(count, Ordering::Relaxed);
        }
    }
}
