//! What the node counts and measures, under names by Prometheus' convention: `adit_`, the unit last, `_total` for counters.
//!
//! The one place for a metric: its field here, its line in [`Metrics::new`], its value where it happens.

use crate::anomaly::AnomalyReport;
use crate::chain::Snapshot;
use crate::farming::FarmReport;
use crate::mining::{MinerReport, PowerReport, Tally};
use crate::network::NetworkStanding;
use crate::network::metrics::NetworkMetrics;
use crate::sharelog::ShareStanding;
use crate::sharelog::metrics::ShareMetrics;
use crate::statistics::StatisticsReport;
use adit_chain::PlacementFigures;
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

/// A sum with a fraction.
type FloatCounter = Counter<f64, AtomicU64>;

/// Which requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    pub route: String,
    pub status: u16,
}

/// Which rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RuleLabels {
    rule: String,
}

/// Which metric was out of the ordinary.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnomalyLabels {
    metric: &'static str,
}

/// What the metrics are read off.
pub struct Readout<'a> {
    pub snapshot: &'a Snapshot,
    /// The bytes of all blocks and what is known of them in memory.
    pub index_bytes: usize,
    pub placements: PlacementFigures,
    pub miner: &'a MinerReport,
    /// `None` where the chain did not say.
    pub statistics: Option<&'a StatisticsReport>,
    pub anomalies: &'a AnomalyReport,
    /// `None` where the node talks with miners and wallets alone.
    pub network: Option<&'a NetworkStanding>,
    /// `None` where the process takes part in no peer-to-peer pool.
    pub shares: Option<&'a ShareStanding>,
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
    statistics: StatisticsMetrics,
    anomalies: AnomalyMetrics,
    network: NetworkMetrics,
    shares: ShareMetrics,
    process: ProcessMetrics,
}

#[derive(Default)]
struct StatisticsMetrics {
    blocks_found: Counter,
    blocks_rejected: Counter,
    rejected_by_rule: Family<RuleLabels, Gauge>,
    template_requests: Counter,
    template_hits: Counter,
    template_hits_prepared: Counter,
    templates_built: Counter,
    template_build_seconds: FloatCounter,
    placements: Counter,
    placement_seconds: FloatCounter,
    selections: Counter,
    selection_seconds: FloatCounter,
    transactions_per_block: FloatGauge,
    tips: Gauge,
    blue_ratio: FloatGauge,
    blocks_blue: Gauge,
    blocks_red: Gauge,
    blocks_unmerged: Gauge,
    merge_set_last: Gauge,
    merge_set_mean: FloatGauge,
}

#[derive(Default)]
struct AnomalyMetrics {
    anomalies: Family<AnomalyLabels, Counter>,
    abnormal: Family<AnomalyLabels, Gauge>,
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
    index_bytes: Gauge,
    placement_bytes: Gauge,
    placement_older_bytes: Gauge,
    placement_older_bytes_max: Gauge,
    placement_hits: Counter,
    placement_misses: Counter,
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
    shares: Family<ShareLabels, Counter>,
    watts: Family<PowerLabels, FloatGauge>,
    hashes_per_joule: Family<PowerLabels, FloatGauge>,
    farm: FarmMetrics,
}

/// What a farmer did. All zero where this process farms nothing.
#[derive(Default)]
struct FarmMetrics {
    challenges: Counter,
    proofs: Counter,
    submitted: Counter,
    wins: Counter,
    plots: Gauge,
    problems: Gauge,
    space_bytes: Gauge,
    plot_speed: Family<PlotLabels, Gauge>,
    plot_quality: Family<PlotLabels, FloatGauge>,
    plot_challenges: Family<PlotOutcome, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PlotLabels {
    plot: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PlotOutcome {
    plot: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ShareLabels {
    verdict: &'static str,
}

/// Whether the figure was measured or is what the operator says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PowerLabels {
    source: &'static str,
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
            statistics: StatisticsMetrics::default(),
            anomalies: AnomalyMetrics::default(),
            network: NetworkMetrics::default(),
            shares: ShareMetrics::default(),
            process: ProcessMetrics::default(),
        };
        metrics.register_api();
        metrics.register_chain();
        metrics.register_miner();
        metrics.register_statistics();
        metrics.register_dag();
        metrics.network.register(&mut metrics.registry);
        metrics.shares.register(&mut metrics.registry);
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
        let help = "Size of all blocks' ancestry and heights in memory, and of the newest blocks' placements";
        registry.register_with_unit("block_index", help, Unit::Bytes, chain.index_bytes.clone());
        let help = "Size of the placements in memory";
        registry.register_with_unit("placements", help, Unit::Bytes, chain.placement_bytes.clone());
        let help = "Of them, size of those of older blocks";
        registry.register_with_unit("placements_older", help, Unit::Bytes, chain.placement_older_bytes.clone());
        let help = "Room for those of older blocks, as their use has it";
        let room = chain.placement_older_bytes_max.clone();
        registry.register_with_unit("placements_older_max", help, Unit::Bytes, room);
        let help = "Questions about placements of older blocks that memory answered";
        registry.register("placement_hits", help, chain.placement_hits.clone());
        let help = "Questions about placements of older blocks that the database answered";
        registry.register("placement_misses", help, chain.placement_misses.clone());
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
        registry.register("miner_shares", "Finds handed in at pools, by what these answered", miner.shares.clone());
        registry.register_with_unit(
            "miner_power",
            "What mining draws",
            Unit::Other("watts".to_owned()),
            miner.watts.clone(),
        );
        let help = "Hashes for each joule that mining draws";
        registry.register("miner_hashes_per_joule", help, miner.hashes_per_joule.clone());
        let farm = &miner.farm;
        registry.register("farm_challenges", "Challenges that were put to the plots", farm.challenges.clone());
        registry.register("farm_proofs", "Proofs that were made", farm.proofs.clone());
        registry.register("farm_wins", "Challenges that a proof won", farm.wins.clone());
        registry.register("farm_plots", "Plots that are farmed", farm.plots.clone());
        registry.register("farm_problems", "Files and folders that are not farmed", farm.problems.clone());
        let help = "Leaves and nonces of the plots that are farmed";
        registry.register_with_unit("farm_space", help, Unit::Bytes, farm.space_bytes.clone());
        registry.register("farm_proofs_submitted", "Proofs handed in at nodes and pools", farm.submitted.clone());
        let help = "Bytes of a plot that are scanned in a second";
        registry.register("farm_plot_bytes_per_second", help, farm.plot_speed.clone());
        let help = "How low a plot's best scores are against those of random bytes: about 1 where all is well";
        registry.register("farm_plot_quality", help, farm.plot_quality.clone());
        let help = "Challenges since a plot joined, by whether it answered";
        registry.register("farm_plot_challenges", help, farm.plot_challenges.clone());
    }

    fn register_statistics(&mut self) {
        let (registry, figures) = (&mut self.registry, &self.statistics);
        let help = "Blocks that miners of this node found";
        registry.register("blocks_found", help, figures.blocks_found.clone());
        registry.register("blocks_rejected", "Blocks that broke a rule", figures.blocks_rejected.clone());
        let help = "Newest blocks that broke a rule, by rule";
        registry.register("recent_blocks_rejected", help, figures.rejected_by_rule.clone());
        registry.register("template_requests", "Requests for templates", figures.template_requests.clone());
        let help = "Requests answered with a template that was there already";
        registry.register("template_hits", help, figures.template_hits.clone());
        let help = "Requests answered with a template made before anybody asked";
        registry.register("template_hits_prepared", help, figures.template_hits_prepared.clone());
        registry.register("templates_built", "Templates made", figures.templates_built.clone());
        let help = "Time spent on making templates";
        registry.register_with_unit("template_build", help, Unit::Seconds, figures.template_build_seconds.clone());
        registry.register("placements", "Blocks that the rules placed", figures.placements.clone());
        let help = "Time that the rules took to place blocks";
        registry.register_with_unit("placement", help, Unit::Seconds, figures.placement_seconds.clone());
        let help = "Choices of transactions for the next block";
        registry.register("selections", help, figures.selections.clone());
        let help = "Time spent on choosing transactions";
        registry.register_with_unit("selection", help, Unit::Seconds, figures.selection_seconds.clone());
        let help = "Payments of one of the newest blocks on average";
        registry.register("recent_transactions_per_block", help, figures.transactions_per_block.clone());
    }

    fn register_dag(&mut self) {
        let (registry, figures, anomalies) = (&mut self.registry, &self.statistics, &self.anomalies);
        registry.register("tips", "Blocks on which nothing valid stands", figures.tips.clone());
        let help = "Blue blocks for each of the newest blocks that has a colour";
        registry.register("recent_blue_ratio", help, figures.blue_ratio.clone());
        let help = "Newest blocks on the selected chain or merged by it as blue";
        registry.register("recent_blocks_blue", help, figures.blocks_blue.clone());
        let help = "Newest blocks that the selected chain merges as red";
        registry.register("recent_blocks_red", help, figures.blocks_red.clone());
        let help = "Newest blocks that the selected chain does not hold";
        registry.register("recent_blocks_unmerged", help, figures.blocks_unmerged.clone());
        let help = "Blocks merged by the newest block of the selected chain";
        registry.register("merge_set_last", help, figures.merge_set_last.clone());
        let help = "Blocks merged by one of the newest blocks on average";
        registry.register("merge_set_mean", help, figures.merge_set_mean.clone());
        let help = "Times that a metric left the ordinary";
        registry.register("anomalies", help, anomalies.anomalies.clone());
        registry.register("abnormal", "Whether a metric is out of the ordinary", anomalies.abnormal.clone());
    }

    /// Writes everything in Prometheus' text format.
    pub fn text(&self, readout: &Readout<'_>) -> String {
        let Readout { snapshot, index_bytes, placements, miner, statistics, anomalies, network, shares } = readout;
        self.chain.set(snapshot);
        self.chain.index_bytes.set(gauge(*index_bytes as u64));
        self.chain.set_placements(placements);
        self.miner.set(miner);
        self.statistics.tips.set(snapshot.dag.map_or(1, |dag| gauge(dag.tips as u64)));
        if let Some(report) = statistics {
            self.statistics.set(report);
        }
        self.anomalies.set(anomalies);
        if let Some(standing) = network {
            self.network.set(standing);
        }
        if let Some(standing) = shares {
            self.shares.set(standing);
        }
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

    fn set_placements(&self, figures: &PlacementFigures) {
        self.placement_bytes.set(gauge(figures.bytes as u64));
        self.placement_older_bytes.set(gauge(figures.older_bytes as u64));
        self.placement_older_bytes_max.set(gauge(figures.older_bytes_max as u64));
        raise(&self.placement_hits, figures.hits);
        raise(&self.placement_misses, figures.misses);
    }
}

impl StatisticsMetrics {
    fn set(&self, report: &StatisticsReport) {
        let totals = &report.since_start;
        raise(&self.blocks_found, totals.blocks_found);
        raise(&self.blocks_rejected, totals.blocks_rejected);
        self.rejected_by_rule.clear();
        for (rule, count) in &report.rejected_by_rule {
            self.rejected_by_rule.get_or_create(&RuleLabels { rule: rule.clone() }).set(gauge(*count));
        }
        raise(&self.template_requests, totals.template_requests);
        raise(&self.template_hits, totals.template_hits);
        raise(&self.template_hits_prepared, totals.template_hits_prepared);
        raise(&self.templates_built, totals.templates_built);
        raise_seconds(&self.template_build_seconds, totals.template_us);
        raise(&self.placements, totals.placements);
        raise_seconds(&self.placement_seconds, totals.placement_us);
        raise(&self.selections, totals.selections);
        raise_seconds(&self.selection_seconds, totals.selection_us);
        self.transactions_per_block.set(report.transactions_per_block);
        self.blue_ratio.set(report.blue_ratio.unwrap_or(1.0));
        self.blocks_blue.set(gauge(report.blocks_selected + report.blocks_merged_blue));
        self.blocks_red.set(gauge(report.blocks_merged_red));
        self.blocks_unmerged.set(gauge(report.blocks_unmerged));
        self.merge_set_last.set(gauge(report.merge_set_last));
        self.merge_set_mean.set(report.merge_set_mean);
    }
}

impl AnomalyMetrics {
    fn set(&self, report: &AnomalyReport) {
        for watched in &report.watched {
            let labels = AnomalyLabels { metric: watched.metric.name() };
            raise(&self.anomalies.get_or_create(&labels), watched.anomalies);
            self.abnormal.get_or_create(&labels).set(watched.abnormal.into());
        }
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
        let Tally { accepted, stale, refused, lost } = report.shares;
        for (verdict, total) in [("accepted", accepted), ("stale", stale), ("refused", refused), ("lost", lost)] {
            raise(&self.shares.get_or_create(&ShareLabels { verdict }), total);
        }
        self.watts.clear();
        self.hashes_per_joule.clear();
        if let Some(PowerReport { watts, hashes_per_joule, source }) = report.power {
            let labels = PowerLabels { source: source.name() };
            self.watts.get_or_create(&labels).set(watts);
            self.hashes_per_joule.get_or_create(&labels).set(hashes_per_joule);
        }
        if let Some(farm) = &report.farm {
            self.farm.set(farm);
        }
    }
}

impl FarmMetrics {
    fn set(&self, report: &FarmReport) {
        raise(&self.challenges, report.challenges);
        raise(&self.proofs, report.proofs);
        raise(&self.wins, report.wins);
        self.plots.set(gauge(report.plots.len() as u64));
        self.problems.set(gauge(report.problems.len() as u64));
        self.space_bytes.set(gauge(report.space_bytes));
        raise(&self.submitted, report.submitted);
        // Plots come and go.
        self.plot_speed.clear();
        self.plot_quality.clear();
        self.plot_challenges.clear();
        for plot in &report.plots {
            let labels = PlotLabels { plot: plot.file.clone() };
            if let Some(speed) = plot.bytes_per_second {
                self.plot_speed.get_or_create(&labels).set(gauge(speed));
            }
            if let Some(quality) = plot.quality_permille {
                self.plot_quality.get_or_create(&labels).set(f64::from(quality) / 1_000.0);
            }
            for (outcome, count) in [("answered", plot.answered), ("failed", plot.failed)] {
                let labels = PlotOutcome { plot: plot.file.clone(), outcome };
                self.plot_challenges.get_or_create(&labels).set(gauge(count));
            }
        }
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

/// Raises a counter of seconds to a total of microseconds.
fn raise_seconds(counter: &FloatCounter, micros: u64) {
    counter.inc_by((micros as f64 / 1e6 - counter.get()).max(0.0));
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::farming::PlotReport;

    #[test]
    fn linux_tells_what_this_process_uses() {
        assert!(ProcessUse::read().memory_bytes > 0);
    }

    #[test]
    fn each_plot_has_figures_of_its_own_for_as_long_as_it_is_there() {
        let (farm, mut registry) = (FarmMetrics::default(), Registry::default());
        registry.register("quality", "", farm.plot_quality.clone());
        registry.register("challenges", "", farm.plot_challenges.clone());
        registry.register("speed", "", farm.plot_speed.clone());
        let plot = |file: &str| PlotReport {
            file: file.to_owned(),
            space_bytes: 1,
            bytes_per_second: Some(77),
            answered: 5,
            failed: 2,
            quality_permille: Some(950),
        };
        let told = |plots: Vec<PlotReport>| {
            farm.set(&FarmReport { plots, submitted: 3, ..FarmReport::default() });
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            text
        };
        let text = told(vec![plot("/a"), plot("/b")]);
        for line in [
            "quality{plot=\"/a\"} 0.95",
            "speed{plot=\"/b\"} 77",
            "challenges{plot=\"/a\",outcome=\"answered\"} 5",
            "challenges{plot=\"/b\",outcome=\"failed\"} 2",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        assert!(!told(vec![plot("/b")]).contains("/a"));
        assert_eq!(farm.submitted.get(), 3);
    }

    #[test]
    fn a_counter_follows_its_total_and_never_falls() {
        let counter = Counter::default();
        raise(&counter, 5);
        raise(&counter, 3);
        assert_eq!(counter.get(), 5);
    }
}
