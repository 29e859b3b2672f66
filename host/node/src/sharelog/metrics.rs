//! What is counted of a share log.

use super::ShareStanding;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::{AtomicU64, Ordering};

/// The share log's part of the node's metrics.
#[derive(Default)]
pub struct ShareMetrics {
    round: Gauge,
    validators: Gauge,
    weight: Gauge<f64, AtomicU64>,
    heard: Gauge<f64, AtomicU64>,
    batches: Gauge,
    waiting: Gauge,
    behind: Gauge,
    halted: Gauge,
    own: Counter,
    received: Counter,
    wrong: Counter,
    hashed: Counter,
    frauds: Counter,
    refused: Counter,
}

impl ShareMetrics {
    /// Registers them.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("shares_round", "Newest certified round of the peer-to-peer pool", self.round.clone());
        registry.register("shares_validators", "Nodes that vote in the open round", self.validators.clone());
        registry.register("shares_weight", "Weight of all who vote in the open round", self.weight.clone());
        registry.register("shares_heard", "Weight of those who were heard in the open round", self.heard.clone());
        registry.register("shares_batches", "Batches that are in no certified round yet", self.batches.clone());
        registry.register("shares_waiting", "1 while payouts wait for more weight", self.waiting.clone());
        let help = "Rounds that others have certified and this node has not, where that lasts";
        registry.register("shares_behind", help, self.behind.clone());
        registry.register("shares_halted", "1 where this node takes no further part", self.halted.clone());
        registry.register("shares_own", "Shares of this node's miners for the share log", self.own.clone());
        registry.register("shares_received", "Shares of other nodes", self.received.clone());
        registry.register("shares_batches_wrong", "Batches with a wrong share", self.wrong.clone());
        registry.register("shares_hashed", "Shares that were hashed again here", self.hashed.clone());
        registry.register("shares_frauds", "Proofs that a node said two things at once", self.frauds.clone());
        let help = "Items and questions of peers that asked for more than they may";
        registry.register("shares_refused", help, self.refused.clone());
    }

    /// Takes over how things are.
    pub fn set(&self, standing: &ShareStanding) {
        let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let view = &standing.view;
        self.round.set(gauge(view.base.round));
        self.validators.set(gauge(view.validators.nodes().len() as u64));
        self.weight.set(view.validators.total() as f64);
        self.heard.set(view.heard as f64);
        self.batches.set(gauge(view.batches as u64));
        self.waiting.set(view.waiting.into());
        self.behind.set(gauge(view.behind.map_or(0, |lag| lag.rounds)));
        self.halted.set((view.halted.is_some() || standing.failure.is_some()).into());
        let counters = &standing.counters;
        for (counter, count) in [
            (&self.own, counters.shares_own),
            (&self.received, counters.shares_received),
            (&self.wrong, counters.batches_wrong),
            (&self.hashed, counters.hashed),
            (&self.frauds, counters.frauds),
            (&self.refused, counters.refused),
        ] {
            counter.inner().store(count, Ordering::Relaxed);
        }
    }
}
