//! What a person sees: the log, and one line that says how the chain stands.

use crate::peers::{bytes, progress};
use adit_network::Phase;
use adit_node::api::peers::SyncBody;
use adit_node::chain::{DagStanding, Snapshot};
use adit_node::farming::FarmReport;
use adit_node::mining::{MinerReport, Tally};
use adit_node::network::NetworkHandle;
use adit_node::run::Node;
use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

/// How the log is written.
#[derive(Debug, Clone)]
pub struct LogFormat {
    /// As JSON lines instead of text.
    pub json: bool,
    /// A filter from the command line, which stands over the one of `chain.toml`.
    pub filter: Option<String>,
}

/// Reads a filter. What the database engine and the network's library do by themselves is of no interest unless somebody names it.
pub fn parse_filter(text: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    EnvFilter::try_new(format!("fjall=warn,lsm_tree=warn,libp2p=warn,{text}"))
}

/// Changes what is logged while the program runs.
pub struct LogLevel {
    handle: reload::Handle<EnvFilter, tracing_subscriber::Registry>,
    fixed: bool,
}

impl LogFormat {
    /// Starts the log, to standard error. `level` holds unless the command line says otherwise.
    pub fn start(&self, level: &str) -> Result<LogLevel> {
        let filter = self.filter.as_deref().unwrap_or(level);
        let filter = parse_filter(filter).with_context(|| format!("{filter:?} is no log filter"))?;
        let (filter, handle) = reload::Layer::new(filter);
        let registry = tracing_subscriber::registry().with(filter);
        let colours = std::io::stderr().is_terminal();
        if self.json {
            registry.with(tracing_subscriber::fmt::layer().json().with_writer(|| AboveStatusLine)).try_init()
        } else {
            let layer =
                tracing_subscriber::fmt::layer().with_target(false).with_ansi(colours).with_writer(|| AboveStatusLine);
            registry.with(layer).try_init()
        }
        .context("failed to start the log")?;
        Ok(LogLevel { handle, fixed: self.filter.is_some() })
    }
}

impl LogLevel {
    /// Takes another level from `chain.toml`, unless the command line fixed it.
    pub fn set(&self, level: &str) {
        if self.fixed {
            return;
        }
        match parse_filter(level) {
            Ok(filter) => {
                if let Err(error) = self.handle.reload(filter) {
                    tracing::warn!(%error, "the log level stays as it is");
                }
            }
            Err(error) => tracing::warn!(%error, level, "the log level is no filter and stays as it is"),
        }
    }
}

/// The line that is shown now, for the log to write above it.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Standard error, above the status line where there is one.
struct AboveStatusLine;

impl Write for AboveStatusLine {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match &*SHOWN.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(bar) => bar.suspend(|| std::io::stderr().write(bytes)),
            None => std::io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// One line at the bottom of a terminal that says how the chain stands. Where there is no terminal, a line of the log now and then.
pub struct StatusLine {
    task: tokio::task::JoinHandle<()>,
    bar: Option<ProgressBar>,
}

/// How often the line is written anew on a terminal, and in a log.
const REFRESH: Duration = Duration::from_millis(500);
pub const LOG_INTERVAL: Duration = Duration::from_secs(30);

impl StatusLine {
    /// Shows a node, and its miner where there is one.
    pub fn start(node: &Node, miner: watch::Receiver<Arc<MinerReport>>, log: &LogFormat) -> Self {
        let chain = node.chain().watch();
        let url = node.url();
        let network = node.network().map(NetworkHandle::watch);
        Self::show(log, move || {
            let others = network.as_ref().map(|standing| {
                let standing = standing.borrow().clone();
                let (sync, peers) = (&standing.sync, standing.peers.len());
                let sync = match sync.phase {
                    Phase::Idle if sync.target <= sync.blocks => String::new(),
                    _ => format!("{} · ", progress(&SyncBody::new(&standing), peers)),
                };
                format!("{sync}{peers} peers · ")
            });
            let others = others.unwrap_or_default();
            let snapshot = chain.borrow().clone();
            let report = miner.borrow().clone();
            let mining = match &report.farm {
                Some(_) if !report.running => " · farming is paused".to_owned(),
                Some(farm) => format!(" · {}", farming(farm, &format!("{} blocks won", report.blocks_accepted))),
                None if report.running => format!(" · {}", speed(&report)),
                None => String::new(),
            };
            let (difficulty, waiting) = (&snapshot.next.difficulty, snapshot.pool.transactions);
            format!("{} · {others}difficulty {difficulty} · {waiting} waiting{mining} · {url}", position(&snapshot))
        })
    }

    /// Shows a miner that works for other nodes, or for pools.
    pub fn for_miner(miner: watch::Receiver<Arc<MinerReport>>, log: &LogFormat) -> Self {
        Self::show(log, move || {
            let report = miner.borrow().clone();
            let (blocks, shares) = (report.blocks_accepted, report.shares);
            if let (Some(farm), Some(pool)) = (&report.farm, &report.pool) {
                let Tally { accepted, stale, refused, lost } = shares;
                let shares = format!("shares: {accepted} accepted · {stale} stale · {refused} refused · {lost} lost");
                // What becomes of them the pool knows.
                let wins = format!("{} proofs that win a block", farm.wins);
                return format!("{} · {} · {shares}", farming(farm, &wins), pool.url);
            }
            if let Some(farm) = &report.farm {
                let (stale, refused) = (report.blocks_stale, report.blocks_refused);
                return format!(
                    "{} · {stale} stale · {refused} refused",
                    farming(farm, &format!("{blocks} blocks won"))
                );
            }
            let speed = speed(&report);
            if blocks + report.blocks_stale + report.blocks_refused > 0 || shares == Tally::default() {
                let (stale, refused) = (report.blocks_stale, report.blocks_refused);
                return format!("{speed} · {blocks} accepted · {stale} stale · {refused} refused");
            }
            let Tally { accepted, stale, refused, lost } = shares;
            let pool = report.pool.as_ref().map_or_else(|| "no pool".to_owned(), |pool| pool.url.clone());
            format!("{speed} · {pool} · shares: {accepted} accepted · {stale} stale · {refused} refused · {lost} lost")
        })
    }

    fn show(log: &LogFormat, line: impl Fn() -> String + Send + 'static) -> Self {
        let live = !log.json && std::io::stderr().is_terminal();
        let bar = live.then(|| {
            ProgressBar::new_spinner()
                .with_style(ProgressStyle::with_template("{spinner} {msg}").expect("the template is valid"))
        });
        let shown = bar.clone();
        SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&bar);
        let task = tokio::spawn(async move {
            let mut tick = tokio::time::interval(if live { REFRESH } else { LOG_INTERVAL });
            tick.tick().await;
            loop {
                match &shown {
                    Some(bar) => {
                        bar.set_message(line());
                        bar.tick();
                    }
                    None => tracing::info!("{}", line()),
                }
                tick.tick().await;
            }
        });
        Self { task, bar }
    }

    /// Takes the line away.
    pub fn end(self) {
        self.task.abort();
        SHOWN.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A bar for work on some bytes, with what its prefix says; nothing until it has a position.
pub fn bytes_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {prefix}").expect("the template is valid");
    let bar = ProgressBar::new(0).with_style(style);
    bar.enable_steady_tick(REFRESH);
    bar
}

/// Says where the chain stands: by its height, or by its blue score and how its newest blocks merge.
fn position(snapshot: &Snapshot) -> String {
    let height = snapshot.tip.height;
    let Some(DagStanding { tips, colours }) = &snapshot.dag else { return format!("height {height}") };
    let blue = colours.blue_ratio().map(|ratio| format!(" · {:.1} % blue", ratio * 100.0)).unwrap_or_default();
    let (last, mean) = (colours.merged_last, colours.merge_set_mean());
    format!("blue score {height} · {tips} tips{blue} · merges {last}, {mean:.1} on average")
}

/// Says how a farmer stands: its plots, the challenge at hand with the best score, what is left to scan and when the next one comes, and what it won.
fn farming(farm: &FarmReport, won: &str) -> String {
    let plots = format!("{} plots, {}", farm.plots.len(), bytes(farm.space_bytes));
    let Some(challenge) = farm.challenge.get(..8) else { return format!("{plots} · no challenge yet") };
    let best =
        farm.best_of_target.map_or_else(|| "no score yet".to_owned(), |best| format!("best {best:.2} of the target"));
    let scanned = farm.scanned_bytes.saturating_mul(100).checked_div(farm.asked_bytes).unwrap_or(100);
    let left =
        farm.seconds_left.filter(|_| scanned < 100).map(|left| format!(", {left:.0} s left")).unwrap_or_default();
    let next = farm.challenge_seconds_left.map(|left| format!(" · next in {left:.0} s")).unwrap_or_default();
    let problems = match farm.problems.len() {
        0 => String::new(),
        count => format!(" · {count} not farmed"),
    };
    format!("{plots} · challenge {challenge} {scanned} % scanned{left}{next} · {best} · {won}{problems}")
}

fn speed(report: &MinerReport) -> String {
    let rate = report.hashes_per_second;
    let scaled = [(1e9, "GH/s"), (1e6, "MH/s"), (1e3, "kH/s")].into_iter().find(|(unit, _)| rate >= *unit);
    match scaled {
        Some((unit, name)) => format!("{:.1} {name} ({})", rate / unit, report.backend),
        None => format!("{rate:.0} H/s ({})", report.backend),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_farmer_says_when_its_challenge_gives_way_to_the_next() {
        let farm = FarmReport {
            challenge: "ab".repeat(32),
            scanned_bytes: 50,
            asked_bytes: 100,
            seconds_left: Some(2.0),
            challenge_seconds_left: Some(3.4),
            best_of_target: Some(1.5),
            ..FarmReport::default()
        };
        let want = "0 plots, 0 B · challenge abababab 50 % scanned, 2 s left · next in 3 s · best 1.50 of the target · 7 blocks won";
        assert_eq!(farming(&farm, "7 blocks won"), want);
        // A scan of hard plots is over at once; the challenge is not.
        let over = FarmReport { scanned_bytes: 100, seconds_left: None, ..farm };
        assert!(farming(&over, "").contains("100 % scanned · next in 3 s"));
    }
}
