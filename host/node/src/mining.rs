//! The miner's connection to a chain: its own node's thread, another node over the network, or a pool.
//!
//! Three parts: a feed asks for work, one request at a time, and says at once when work went stale; the workers of `adit-miner` search; the
//! [`Mining`] task stands between them, submits finds and publishes what was done. It never searches by itself and judges nothing.
//!
//! Reading order: this file, then [`feed`] for where work comes from, [`stratum`] for pools, [`report`] for what is told.

pub mod feed;
pub mod report;
pub mod stratum;

pub use feed::WorkSource;
pub use report::{MinerReport, PoolReport, PowerReport, PowerSource, Tally, WorkerReport};

use crate::chain::Proof;
use crate::clock::{Entropy, random_u64};
use crate::retry::Failure;
use crate::server::{FAREWELL, ended};
use crate::settings::MinerSettings;
use adit_miner::workers::{Clock as MonotonicClock, EngineFactory};
use adit_miner::{Event, Find, JobId, Miner, MiningJob, PowerMeter, Shutdown, StartError, Statistics, Verdict};
use feed::{Fed, Feed, Template, Work, Worth};
use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

/// How many jobs are remembered, so that a find that comes a little late can still be submitted.
const JOBS: usize = 16;

/// How many events of workers may wait.
const EVENTS: usize = 1024;

/// How many blocks may be on their way at once.
const BLOCKS_MAX: usize = 64;

/// How many finds of any kind may be on their way at once: what a pool may leave unanswered.
const SUBMISSIONS_MAX: usize = 4096;

/// How often figures are published.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// What a miner is started with.
pub struct MiningParts {
    /// Where work comes from at first.
    pub source: Arc<WorkSource>,
    pub settings: MinerSettings,
    /// Makes each worker's engine.
    pub factory: EngineFactory,
    /// What searches, for people: a kernel's name, or `sandbox`.
    pub backend: String,
    /// Time since a moment of the caller's choice; it never goes back.
    pub clock: MonotonicClock,
    pub entropy: Entropy,
    /// Where figures are published.
    pub report: watch::Sender<Arc<MinerReport>>,
    /// Settings as they change; none for a miner without a node of its own.
    pub changes: Option<watch::Receiver<MinerSettings>>,
}

/// Why a miner ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum MiningFailure {
    /// No node will ever give work: it keeps another chain, or refuses the address.
    #[error("no node gives work: {0}")]
    NoWork(Failure),
    #[error("on this chain work wins blocks, not space: there is nothing to farm")]
    NotSpace,
    #[error("the chain of this process has stopped")]
    ChainStopped,
    #[error("the miner panicked")]
    Panic,
}

/// Changes where a running miner's work comes from.
#[derive(Clone)]
pub struct SourceSwitch(watch::Sender<Arc<WorkSource>>);

impl SourceSwitch {
    /// Begins with a source; the receiver hears of others.
    pub fn new(source: Arc<WorkSource>) -> (Self, watch::Receiver<Arc<WorkSource>>) {
        let (sender, sources) = watch::channel(source);
        (Self(sender), sources)
    }

    /// Returns where work comes from.
    pub fn source(&self) -> Arc<WorkSource> {
        Arc::clone(&self.0.borrow())
    }

    /// Has the miner work for another source from now on. Finds for the one before are still handed in there. Nothing changes where it is the same.
    pub fn set(&self, source: Arc<WorkSource>) {
        self.0.send_if_modified(|now| !Arc::ptr_eq(&std::mem::replace(now, Arc::clone(&source)), &source));
    }
}

/// A running miner.
pub struct Mining {
    ending: watch::Sender<bool>,
    switch: SourceSwitch,
    task: JoinHandle<Result<Shutdown, MiningFailure>>,
    report: watch::Receiver<Arc<MinerReport>>,
}

impl Mining {
    /// Starts workers and feed.
    pub fn start(parts: MiningParts) -> Result<Self, StartError> {
        let settings = parts.settings;
        let clock = Arc::clone(&parts.clock);
        let (miner, events) = Miner::start(config(&settings), parts.factory, parts.clock)?;
        let (event_sender, event_receiver) = mpsc::channel(EVENTS);
        let forward = move || {
            // Ends with the last worker, or with the task that listens.
            while let Ok(event) = events.recv() {
                if event_sender.blocking_send(event).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("adit-miner-events".to_owned()).spawn(forward);
        thread.map_err(|source| StartError::Thread { worker: 0, source })?;
        let (ending, ending_receiver) = watch::channel(false);
        let (_, unchanging) = watch::channel(settings.clone());
        let (switch, sources) = SourceSwitch::new(Arc::clone(&parts.source));
        let report = parts.report.subscribe();
        let task = Task {
            miner: Arc::new(miner),
            source: parts.source,
            entropy: parts.entropy,
            report: parts.report,
            figures: Figures { backend: parts.backend, ..Figures::default() },
            jobs: VecDeque::new(),
            submissions: JoinSet::new(),
            job_number: 0,
            settings,
            power: PowerMeter::find(),
            clock,
        };
        let changes = parts.changes.unwrap_or(unchanging);
        let task = tokio::spawn(task.run(event_receiver, changes, sources, ending_receiver));
        Ok(Self { ending, switch, task, report })
    }

    /// Returns what changes where work comes from.
    pub fn switch(&self) -> SourceSwitch {
        self.switch.clone()
    }

    /// Returns what was done so far, and every later state of it.
    pub fn report(&self) -> watch::Receiver<Arc<MinerReport>> {
        self.report.clone()
    }

    /// Runs until `signal` comes or no work can be had any more; then ends.
    pub async fn run_until(mut self, signal: impl Future<Output = ()>) -> Result<Shutdown, MiningFailure> {
        tokio::select! {
            () = signal => self.end().await,
            ended = &mut self.task => ended.unwrap_or(Err(MiningFailure::Panic)),
        }
    }

    /// Ends workers and feed, within a bound that grows with the number of workers.
    pub async fn end(self) -> Result<Shutdown, MiningFailure> {
        self.ending.send_replace(true);
        self.task.await.unwrap_or(Err(MiningFailure::Panic))
    }
}

/// Returns how workers work under these settings.
pub fn config(settings: &MinerSettings) -> adit_miner::Config {
    adit_miner::Config {
        workers: workers(settings),
        pin: settings.pin,
        versions_max: 16,
        slice: Duration::from_millis(2),
        range: Duration::from_millis(30),
        backoff_first: Duration::from_millis(100),
        backoff_max: Duration::from_secs(30),
        events_max: EVENTS,
        rate_window: Duration::from_secs(10),
    }
}

/// Returns how many workers the settings ask for: none while the miner is switched off.
fn workers(settings: &MinerSettings) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
    if settings.enabled { settings.threads.map_or_else(cores, usize::from) } else { 0 }
}

/// What stands between feed and workers.
struct Task {
    miner: Arc<Miner>,
    source: Arc<WorkSource>,
    entropy: Entropy,
    report: watch::Sender<Arc<MinerReport>>,
    figures: Figures,
    /// The newest last.
    jobs: VecDeque<Job>,
    submissions: JoinSet<Judged>,
    job_number: u64,
    settings: MinerSettings,
    power: Option<PowerMeter>,
    clock: MonotonicClock,
}

/// Work that was handed to the workers.
struct Job {
    id: JobId,
    work: Arc<Work>,
    /// Finds go where the work came from.
    source: Arc<WorkSource>,
    /// Finds that were submitted.
    finds: u32,
}

/// What became of a find.
struct Judged {
    worth: Worth,
    verdict: Verdict,
    took: Duration,
}

/// What the workers do not count themselves.
#[derive(Default)]
struct Figures {
    backend: String,
    worker_failures: u64,
    blocks: Tally,
    shares: Tally,
    /// The pool whose job is searched.
    pool: Option<PoolReport>,
    /// As the processors last told it.
    watts: Option<f64>,
}

impl Task {
    async fn run(
        mut self,
        mut events: mpsc::Receiver<Event>,
        mut changes: watch::Receiver<MinerSettings>,
        mut sources: watch::Receiver<Arc<WorkSource>>,
        mut ending: watch::Receiver<bool>,
    ) -> Result<Shutdown, MiningFailure> {
        let mut feed = Feed::start(Arc::clone(&self.source), &self.settings, Arc::clone(&self.entropy));
        let mut tick = tokio::time::interval(REPORT_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let outcome = loop {
            tokio::select! {
                () = ended(&mut ending) => break Ok(()),
                fed = feed.next() => match fed {
                    Some(Fed::Work { work, took }) => self.take_work(work, took),
                    Some(Fed::Stale) => self.stop_job(),
                    Some(Fed::Over(failure)) => break Err(failure),
                    None => break Err(MiningFailure::ChainStopped),
                },
                Some(event) = events.recv() => self.take_event(event, &feed),
                Some(done) = self.submissions.join_next() => {
                    if let Ok(judged) = done {
                        self.record(&judged);
                        // A pool's next shares take what it answers to one as given.
                        if judged.worth != Worth::Share {
                            self.publish();
                            if judged.verdict != Verdict::Accepted {
                                feed.refresh();
                            }
                        }
                    }
                }
                Ok(()) = sources.changed() => {
                    self.source = Arc::clone(&sources.borrow_and_update());
                    self.stop_job();
                    feed.end();
                    feed = Feed::start(Arc::clone(&self.source), &self.settings, Arc::clone(&self.entropy));
                }
                Ok(()) = changes.changed() => {
                    let settings = changes.borrow_and_update().clone();
                    self.take_settings(settings);
                }
                _ = tick.tick() => {
                    self.figures.watts = self.power.as_mut().and_then(|meter| meter.watts((self.clock)()));
                    self.publish();
                }
            }
        };
        self.end(feed, events).await.and_then(|shutdown| outcome.map(|()| shutdown))
    }

    fn stop_job(&mut self) {
        self.miner.clear_job();
        self.figures.pool = None;
    }

    fn record(&mut self, judged: &Judged) {
        let Judged { worth, verdict, took } = *judged;
        self.miner.record_submission(verdict, took);
        match worth {
            Worth::Block { .. } => self.figures.blocks.count(verdict),
            Worth::Share => self.figures.shares.count(verdict),
        }
    }

    fn take_work(&mut self, work: Work, took: Option<Duration>) {
        if let Some(took) = took {
            self.miner.record_template(took);
        }
        self.job_number += 1;
        let id = JobId(self.job_number);
        let job = MiningJob { id, pow: work.pow.clone(), target: work.target };
        if let Err(error) = self.miner.set_job(job, random_u64(&self.entropy)) {
            tracing::error!(%error, "a template cannot be searched");
            return;
        }
        tracing::debug!(height = work.height, difficulty = %work.difficulty, "new work");
        self.figures.pool = match &work.template {
            Template::Pool(pool) => Some(PoolReport::new(&pool.pool, work.target)),
            Template::Own(_) | Template::Node { .. } => None,
        };
        self.jobs.push_back(Job { id, work: Arc::new(work), source: Arc::clone(&self.source), finds: 0 });
        if self.jobs.len() > JOBS {
            self.jobs.pop_front();
        }
    }

    fn take_event(&mut self, event: Event, feed: &Feed) {
        match event {
            Event::Found(find) => self.take_find(find),
            Event::Exhausted { job } => {
                tracing::debug!(job = job.0, "every nonce was tried");
                feed.refresh();
            }
            Event::WorkerFailed { worker, reason } => {
                self.figures.worker_failures += 1;
                tracing::warn!(worker = worker.0, reason, "a worker failed and will be replaced");
            }
            Event::WorkerReplaced { worker, attempt } => {
                tracing::info!(worker = worker.0, attempt, "a worker was replaced")
            }
            Event::KernelDropped { worker, difference } => {
                "sandbox".clone_into(&mut self.figures.backend);
                tracing::error!(worker = worker.0, %difference, "the native kernel was wrong: the sandboxed plugin mines from now on");
            }
        }
    }

    /// Submits a find, if another one of its job is of use.
    fn take_find(&mut self, find: Find) {
        let Some(job) = self.jobs.iter_mut().find(|job| job.id == find.job) else {
            tracing::warn!(job = find.job.0, "a find is lost: its template was replaced too long ago");
            return;
        };
        let worth = job.work.worth;
        if !worth.wants(job.finds) {
            return;
        }
        let (on_their_way_max, tally) = match worth {
            Worth::Block { .. } => (BLOCKS_MAX, &mut self.figures.blocks),
            Worth::Share => (SUBMISSIONS_MAX, &mut self.figures.shares),
        };
        if self.submissions.len() >= on_their_way_max {
            tally.count(Verdict::Lost);
            tracing::warn!("a find was thrown away: too many are on their way already");
            return;
        }
        job.finds = job.finds.saturating_add(1);
        if !worth.wants(job.finds) && self.job_number == find.job.0 {
            self.miner.clear_job();
        }
        let (source, work) = (Arc::clone(&job.source), Arc::clone(&job.work));
        let proof = Proof { nonce: find.nonce, rolled: Some(find.rolled) };
        self.submissions.spawn(async move {
            let began = Instant::now();
            let verdict = source.submit(&work, proof.into()).await;
            Judged { worth, verdict, took: began.elapsed() }
        });
    }

    fn take_settings(&mut self, settings: MinerSettings) {
        let count = workers(&settings);
        if count != workers(&self.settings) {
            match self.miner.set_workers(count) {
                Ok(()) => tracing::info!(count, "workers set"),
                Err(error) => tracing::warn!(%error, "the number of workers stays as it is"),
            }
        }
        self.settings = settings;
    }

    fn publish(&self) {
        let statistics: Statistics = self.miner.statistics();
        let Figures { backend, worker_failures, blocks, shares, pool, watts } = &self.figures;
        let measured = watts.map(|watts| (watts, PowerSource::Rapl));
        let configured = || self.settings.watts.map(|watts| (watts, PowerSource::Configured));
        let power = measured.or_else(configured);
        let rate = statistics.hashes_per_second;
        let report = MinerReport {
            backend: backend.clone(),
            worker_failures: *worker_failures,
            blocks_accepted: blocks.accepted,
            blocks_stale: blocks.stale,
            blocks_refused: blocks.refused,
            shares: *shares,
            pool: pool.clone(),
            power: power.and_then(|(watts, source)| PowerReport::new(watts, source, rate)),
            ..MinerReport::of(&statistics)
        };
        self.report.send_replace(Arc::new(report));
    }

    async fn end(mut self, feed: Feed, events: mpsc::Receiver<Event>) -> Result<Shutdown, MiningFailure> {
        feed.end();
        // Finds on their way are money: they get as long as a commit may take.
        let all = async {
            while let Some(done) = self.submissions.join_next().await {
                if let Ok(judged) = done {
                    self.record(&judged);
                }
            }
        };
        if tokio::time::timeout(FAREWELL, all).await.is_err() {
            tracing::warn!("finds were still on their way at the end");
        }
        self.publish();
        drop(events);
        let Self { miner, .. } = self;
        let miner = Arc::into_inner(miner).ok_or(MiningFailure::Panic)?;
        let shutdown = tokio::task::spawn_blocking(move || miner.shutdown()).await.map_err(|_| MiningFailure::Panic)?;
        if !shutdown.abandoned.is_empty() {
            tracing::warn!(workers = shutdown.abandoned.len(), "workers did not end in time and were left behind");
        }
        Ok(shutdown)
    }
}
