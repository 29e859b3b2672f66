//! What the pool counts and measures, under names by Prometheus' convention: `adit_pool_`, the unit last, `_total` for counters.
//!
//! No label comes from a miner: there are as many series as stand here.

use crate::turns::TurnMetrics;
use adit_pool::work::share::{Outcome, Refusal};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeMap;
use std::time::Duration;

/// Limits, in seconds, between which a block's wait is counted.
const BLOCK_WAITS: [f64; 10] = [0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.1, 0.5, 1.0];

/// Limits, in seconds, between which the wait for the answer to shares is counted.
const SHARE_ANSWERS: [f64; 11] = [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Why connections are turned away.
const TURNED_AWAY: [&str; 2] = ["banned", "limit"];

/// Why a share does not count.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// Everything that is counted.
pub struct PoolMetrics {
    registry: Registry,
    shares_valid: Counter,
    shares_invalid: Family<ReasonLabels, Counter>,
    share_answer: Histogram,
    turned_away: Family<ReasonLabels, Counter>,
    /// Shares that came too fast.
    pub limited: Counter,
    /// Plugins and kernels that failed while shares were checked.
    pub troubles: Counter,
    pub bans: Counter,
    pub templates: Counter,
    pub jobs: Counter,
    pub blocks_found: Counter,
    block_wait: Histogram,
    pub blocks_accepted: Counter,
    pub blocks_refused: Counter,
    pub blocks_orphaned: Counter,
    pub payments: Counter,
    pub height: Gauge,
    connections: Gauge,
    workers: Gauge,
    hashes_per_second: Gauge,
    shares_remembered: Gauge,
    upstream_up: Gauge,
    /// Jobs that connections were sent.
    pub jobs_sent: Counter,
}

/// What the metrics are read off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolReadout {
    pub connections: usize,
    pub workers: usize,
    pub hashes_per_second: u64,
    /// So that none counts twice, while its job is known: about a hundred bytes each.
    pub shares_remembered: usize,
    pub upstream_up: bool,
}

impl PoolMetrics {
    /// Registers every metric, those of the upstreams' turns among them.
    pub fn new(turns: &TurnMetrics) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("adit_pool"),
            shares_valid: Counter::default(),
            shares_invalid: Family::default(),
            share_answer: Histogram::new(SHARE_ANSWERS),
            turned_away: Family::default(),
            limited: Counter::default(),
            troubles: Counter::default(),
            bans: Counter::default(),
            templates: Counter::default(),
            jobs: Counter::default(),
            blocks_found: Counter::default(),
            block_wait: Histogram::new(BLOCK_WAITS),
            blocks_accepted: Counter::default(),
            blocks_refused: Counter::default(),
            blocks_orphaned: Counter::default(),
            payments: Counter::default(),
            height: Gauge::default(),
            connections: Gauge::default(),
            workers: Gauge::default(),
            hashes_per_second: Gauge::default(),
            shares_remembered: Gauge::default(),
            upstream_up: Gauge::default(),
            jobs_sent: Counter::default(),
        };
        let registry = &mut metrics.registry;
        turns.register(registry);
        registry.register("shares_valid", "Shares that count", metrics.shares_valid.clone());
        registry.register("shares_invalid", "Shares that do not count, by reason", metrics.shares_invalid.clone());
        registry.register_with_unit(
            "share_answer",
            "From the shares that a miner sent at once to their answer: checked, and in the log",
            Unit::Seconds,
            metrics.share_answer.clone(),
        );
        registry.register("connections_refused", "Connections turned away, by reason", metrics.turned_away.clone());
        registry.register(
            "shares_limited",
            "Shares over the rate of a worker, a connection or an address",
            metrics.limited.clone(),
        );
        registry.register(
            "troubles",
            "Plugins and kernels that failed while shares were checked",
            metrics.troubles.clone(),
        );
        registry.register("bans", "Bans", metrics.bans.clone());
        registry.register("templates", "Templates that upstreams gave", metrics.templates.clone());
        registry.register("jobs", "Jobs that miners were given", metrics.jobs.clone());
        registry.register("blocks_found", "Blocks found", metrics.blocks_found.clone());
        registry.register_with_unit(
            "block_wait",
            "From a block's hash to its way to the upstreams, with its note written",
            Unit::Seconds,
            metrics.block_wait.clone(),
        );
        registry.register("blocks_accepted", "Blocks that the upstream took", metrics.blocks_accepted.clone());
        registry.register("blocks_refused", "Blocks that the upstream refused", metrics.blocks_refused.clone());
        registry.register("blocks_orphaned", "Blocks that lost their place for good", metrics.blocks_orphaned.clone());
        registry.register("payments", "Payments that came to an end", metrics.payments.clone());
        registry.register("height", "The height that is mined", metrics.height.clone());
        registry.register("connections", "Connections that are open", metrics.connections.clone());
        registry.register("workers", "Workers that are known", metrics.workers.clone());
        registry.register(
            "hashes_per_second",
            "The pool's speed over ten minutes, by its shares",
            metrics.hashes_per_second.clone(),
        );
        registry.register("shares_remembered", "Shares of known jobs", metrics.shares_remembered.clone());
        registry.register("upstream_up", "Whether an upstream gives templates", metrics.upstream_up.clone());
        registry.register("jobs_sent", "Jobs sent to connections", metrics.jobs_sent.clone());
        // A rate begins at a count that was there before.
        for reason in Refusal::ALL.map(Refusal::name) {
            drop(metrics.shares_invalid.get_or_create(&ReasonLabels { reason }));
        }
        for reason in TURNED_AWAY {
            drop(metrics.turned_away.get_or_create(&ReasonLabels { reason }));
        }
        metrics
    }

    /// Counts a block, and how long after its hash it was on its way.
    pub fn block_found(&self, waited: Duration) {
        self.blocks_found.inc();
        self.block_wait.observe(waited.as_secs_f64());
    }

    /// Counts an answer, and how long after its shares it came.
    pub fn shares_answered(&self, waited: Duration) {
        self.share_answer.observe(waited.as_secs_f64());
    }

    /// Counts a share.
    pub fn share(&self, outcome: Outcome) {
        match outcome {
            Outcome::Accepted { .. } => _ = self.shares_valid.inc(),
            Outcome::Refused(refusal) => {
                let labels = ReasonLabels { reason: Refusal::name(refusal) };
                self.shares_invalid.get_or_create(&labels).inc();
            }
        }
    }

    /// Returns the part of all jobs sent that needed no template of their own, 0 to 1.
    pub fn templates_avoided(&self) -> f64 {
        let (sent, templates) = (self.jobs_sent.get(), self.templates.get());
        if sent == 0 { 0.0 } else { sent.saturating_sub(templates) as f64 / sent as f64 }
    }

    /// Counts a connection that was turned away, for one of [`TURNED_AWAY`].
    pub fn turned_away(&self, reason: &'static str) {
        self.turned_away.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Returns how many shares counted and how many did not.
    pub fn shares(&self) -> (u64, u64) {
        (self.shares_valid.get(), self.refusals().values().sum())
    }

    /// Returns how many shares did not count, by reason.
    pub fn refusals(&self) -> BTreeMap<String, u64> {
        let count = |refusal: Refusal| {
            let counter = self.shares_invalid.get(&ReasonLabels { reason: refusal.name() });
            (refusal.name().to_owned(), counter.map_or(0, |counter| counter.get()))
        };
        Refusal::ALL.into_iter().map(count).collect()
    }

    /// Returns everything in Prometheus' text form.
    pub fn text(&self, readout: &PoolReadout) -> String {
        let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.connections.set(whole(readout.connections));
        self.workers.set(whole(readout.workers));
        self.hashes_per_second.set(i64::try_from(readout.hashes_per_second).unwrap_or(i64::MAX));
        self.shares_remembered.set(whole(readout.shares_remembered));
        self.upstream_up.set(readout.upstream_up.into());
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes everything");
        text
    }
}
