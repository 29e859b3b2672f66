//! What the node counts and measures, under names by Prometheus' convention: `adit_`, the unit last, `_total` for counters.
//!
//! The one place for a metric: its field here, its line in [`Metrics::new`], its value where it happens.

use crate::chain::Snapshot;
use crate::mining::MinerReport;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;

/// A number with a fraction.
type FloatGauge = Gauge<f64, AtomicU64>;

/// Which requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    pub route: String,
    pub status: u16,
}

/// Everything that is counted.
pub struct Metrics {
    registry: Registry,
    pub requests: Family<RequestLabels, Counter>,
    pub request_seconds: Histogram,
    pub requests_limited: Counter,
    pub template_seconds: Histogram,
    pub submission_seconds: Histogram,
    pub subscribers: Gauge,
    chain: ChainMetrics,
    miner: MinerMetrics,
    process: ProcessMetrics,
}

#[derive(Default)]
struct ChainMetrics {
    height: Gauge,
    difficulty: FloatGauge,
    blocks_accepted: Counter,
    blocks_aside: Counter,
    blocks_refused: Counter,
    reorgs: Counter,
    transactions_accepted: Counter,
    transactions_refused: Counter,
    plugin_faults: Counter,
    mempool_transactions: Gauge,
    mempool_bytes: Gauge,
}

#[derive(Default)]
struct MinerMetrics {
    workers: Gauge,
    hashes_per_second: FloatGauge,
    hashes: Counter,
    blocks_accepted: Counter,
    blocks_stale: Counter,
    blocks_refused: Counter,
    worker_failures: Counter,
}

#[derive(Default)]
struct ProcessMetrics {
    memory_bytes: Gauge,
    cpu_seconds: FloatGauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Makes the registry.
    pub fn new() -> Self {
        let times = || Histogram::new([0.000_1, 0.000_5, 0.002, 0.01, 0.05, 0.25, 1.0, 5.0]);
        let mut metrics = Self {
            registry: Registry::with_prefix("adit"),
            requests: Family::default(),
            request_seconds: times(),
            requests_limited: Counter::default(),
            template_seconds: times(),
            submission_seconds: times(),
            subscribers: Gauge::default(),
            chain: ChainMetrics::default(),
            miner: MinerMetrics::default(),
            process: ProcessMetrics::default(),
        };
        metrics.register_api();
        metrics.register_chain();
        metrics.register_miner();
        metrics
    }

    fn register_api(&mut self) {
        let registry = &mut self.registry;
        registry.register("http_requests", "Requests by route and status", self.requests.clone());
        let help = "How long requests took";
        registry.register_with_unit("http_request", help, Unit::Seconds, self.request_seconds.clone());
        let help = "Requests refused because their address asked too often";
        registry.register("http_requests_limited", help, self.requests_limited.clone());
        let help = "How long it took to get a template";
        registry.register_with_unit("template", help, Unit::Seconds, self.template_seconds.clone());
        let help = "How long it took to judge and keep a submitted block";
        registry.register_with_unit("submission", help, Unit::Seconds, self.submission_seconds.clone());
        registry.register("template_subscribers", "Miners that get templates pushed", self.subscribers.clone());
        let help = "Memory of the process that lies in RAM";
        registry.register_with_unit("memory", help, Unit::Bytes, self.process.memory_bytes.clone());
        let help = "Processor time that the process has used";
        registry.register_with_unit("cpu", help, Unit::Seconds, self.process.cpu_seconds.clone());
    }

    fn register_chain(&mut self) {
        let (registry, chain) = (&mut self.registry, &self.chain);
        registry.register("chain_height", "Height of the selected tip", chain.height.clone());
        registry.register("chain_difficulty", "Difficulty of the next block", chain.difficulty.clone());
        registry.register("blocks_accepted", "Valid blocks taken", chain.blocks_accepted.clone());
        let help = "Valid blocks taken that were not on the selected chain then";
        registry.register("blocks_aside", help, chain.blocks_aside.clone());
        registry.register("blocks_refused", "Blocks not taken", chain.blocks_refused.clone());
        registry.register("reorgs", "Changes of the tip that disconnected blocks", chain.reorgs.clone());
        let help = "Transactions taken into the mempool";
        registry.register("transactions_accepted", help, chain.transactions_accepted.clone());
        registry.register("transactions_refused", "Transactions not taken", chain.transactions_refused.clone());
        registry.register("plugin_faults", "Plugin calls without an answer", chain.plugin_faults.clone());
        registry.register("mempool_transactions", "Transactions that wait", chain.mempool_transactions.clone());
        let help = "Size of the transactions that wait";
        registry.register_with_unit("mempool", help, Unit::Bytes, chain.mempool_bytes.clone());
    }

    fn register_miner(&mut self) {
        let (registry, miner) = (&mut self.registry, &self.miner);
        registry.register("miner_workers", "Search threads", miner.workers.clone());
        let help = "Hashes a second, averaged over the last seconds";
        registry.register("miner_hashes_per_second", help, miner.hashes_per_second.clone());
        registry.register("miner_hashes", "Hashes tried", miner.hashes.clone());
        registry.register("miner_blocks_accepted", "Finds that became blocks", miner.blocks_accepted.clone());
        registry.register("miner_blocks_stale", "Finds that came too late", miner.blocks_stale.clone());
        registry.register("miner_blocks_refused", "Finds that were refused", miner.blocks_refused.clone());
        registry.register("miner_worker_failures", "Workers that failed", miner.worker_failures.clone());
    }

    /// Writes everything in Prometheus' text format.
    pub fn text(&self, snapshot: &Snapshot, miner: &MinerReport) -> String {
        self.chain.set(snapshot);
        self.miner.set(miner);
        let process = ProcessUse::read();
        self.process.memory_bytes.set(gauge(process.memory_bytes));
        self.process.cpu_seconds.set(process.cpu_seconds);
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String does not fail");
        text
    }
}

impl ChainMetrics {
    fn set(&self, snapshot: &Snapshot) {
        let Snapshot { tip, next, pool, counts, .. } = snapshot;
        self.height.set(gauge(tip.height.0));
        self.difficulty.set(next.difficulty.parse().unwrap_or_default());
        raise(&self.blocks_accepted, counts.blocks_accepted);
        raise(&self.blocks_aside, counts.blocks_aside);
        raise(&self.blocks_refused, counts.blocks_refused);
        raise(&self.reorgs, counts.reorgs);
        raise(&self.transactions_accepted, counts.transactions_accepted);
        raise(&self.transactions_refused, counts.transactions_refused);
        raise(&self.plugin_faults, counts.faults);
        self.mempool_transactions.set(gauge(pool.transactions as u64));
        self.mempool_bytes.set(gauge(pool.bytes as u64));
    }
}

impl MinerMetrics {
    fn set(&self, report: &MinerReport) {
        self.workers.set(gauge(report.workers.len() as u64));
        self.hashes_per_second.set(report.hashes_per_second);
        raise(&self.hashes, report.hashes);
        raise(&self.blocks_accepted, report.blocks_accepted);
        raise(&self.blocks_stale, report.blocks_stale);
        raise(&self.blocks_refused, report.blocks_refused);
        raise(&self.worker_failures, report.worker_failures);
    }
}

/// What the process uses, as Linux tells it; zeros elsewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ProcessUse {
    pub memory_bytes: u64,
    pub cpu_seconds: f64,
}

impl ProcessUse {
    /// Reads `/proc/self`.
    pub fn read() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes: u64 = resident.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default();
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The second field is the program's name in parentheses and may hold spaces: utime and stime are the 12th and 13th after it.
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().skip(11).take(2));
        let ticks: u64 = fields.into_iter().flatten().filter_map(|field| field.parse::<u64>().ok()).sum();
        // USER_HZ is 100 on every architecture that Linux runs on today.
        Self { memory_bytes: kilobytes.saturating_mul(1024), cpu_seconds: ticks as f64 / 100.0 }
    }
}

/// Raises a counter to a total that is kept elsewhere.
fn raise(counter: &Counter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_tells_what_this_process_uses() {
        assert!(ProcessUse::read().memory_bytes > 0);
    }

    #[test]
    fn a_counter_follows_its_total_and_never_falls() {
        let counter = Counter::default();
        raise(&counter, 5);
        raise(&counter, 3);
        assert_eq!(counter.get(), 5);
    }
}
