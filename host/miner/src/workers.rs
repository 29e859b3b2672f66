//! The threads: a worker per core, each with an engine of its own, all on the newest job.
//!
//! [`Miner`] is the handle. `shared` is what it and the threads have in common, `worker` the search of one thread, `thread` its life
//! from pinning to replacement. Nothing here waits without a bound but an idle worker, which a job or the end wakes.

mod shared;
mod thread;
mod worker;

use crate::events::{Event, WorkerId};
use crate::job::{JobError, MiningJob};
use crate::proof::Difference;
use crate::stats::{Latency, MovingRate, Statistics, Verdict, WorkerStatistics};
use crate::usage;
use adit_primitives::engine::{Fault, HashEngine};
use shared::{Counters, Shared};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long an end may take, whatever the engines do: this, and [`SHUTDOWN_PER_WORKER`] for each worker.
pub const SHUTDOWN_BASE: Duration = Duration::from_secs(2);

/// How much longer an end may take for each worker.
pub const SHUTDOWN_PER_WORKER: Duration = Duration::from_millis(100);

/// More workers than any machine has cores.
pub const WORKERS_MAX: usize = 4_096;

/// How the workers work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How many workers there are at first.
    pub workers: usize,
    /// Whether to bind each worker to a core, where the system allows it.
    pub pin: bool,
    /// How many rolled versions are searched at once: 16 use a native kernel best.
    pub versions_max: u64,
    /// How long one call of an engine takes about: what a stale job may still cost.
    pub slice: Duration,
    /// For how long a worker fetches work at once: 20 to 50 ms.
    pub range: Duration,
    /// The pause before a failed worker is replaced. It doubles with each failure in a row.
    pub backoff_first: Duration,
    /// The longest pause before a failed worker is replaced.
    pub backoff_max: Duration,
    /// How many events may wait. A worker whose event finds no place waits, until its job is stale.
    pub events_max: usize,
    /// Over how long the moving hash rate goes.
    pub rate_window: Duration,
}

/// A monotonic clock: time since a moment of the caller's choice.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Makes a worker's engine, on the worker's thread.
pub type EngineFactory = Arc<dyn Fn(&Reporter) -> Result<Box<dyn HashEngine>, Fault> + Send + Sync>;

/// What a factory is given: whose engine it makes, and a way to say that a kernel was dropped.
#[derive(Clone)]
pub struct Reporter {
    worker: WorkerId,
    shared: Arc<Shared>,
}

/// Why workers could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{asked} workers are more than {WORKERS_MAX}")]
    TooMany { asked: usize },
    #[error("the system gives no thread for worker {worker}: {source}")]
    Thread { worker: u32, source: io::Error },
}

/// How the end went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shutdown {
    /// Workers whose engine did not come back in time. Their threads end with the process.
    pub abandoned: Vec<WorkerId>,
}

/// The handle of the workers. Dropping it tells them to end and does not wait; [`Miner::shutdown`] does.
pub struct Miner {
    shared: Arc<Shared>,
    factory: EngineFactory,
    cores: Vec<core_affinity::CoreId>,
    workers: Mutex<Vec<Worker>>,
    record: Mutex<Record>,
}

/// A worker as the handle knows it.
struct Worker {
    stop: Arc<AtomicBool>,
    counters: Arc<Counters>,
    rate: MovingRate,
    thread: JoinHandle<()>,
}

/// Figures that callers report, and those of workers that are gone.
struct Record {
    accepted: u64,
    rejected: u64,
    stale: u64,
    lost: u64,
    template_latency: Latency,
    submission_latency: Latency,
    rate: MovingRate,
    /// Workers that were told to end. Their figures still move until their threads are gone.
    leaving: Vec<Arc<Counters>>,
    hashes_of_gone: u64,
    found_of_gone: u64,
}

impl Reporter {
    /// Returns whose engine is made.
    pub fn worker(&self) -> WorkerId {
        self.worker
    }

    /// Says that the worker's native kernel differed from its reference.
    pub fn kernel_dropped(&self, difference: Difference) {
        self.shared.tell(Event::KernelDropped { worker: self.worker, difference }, &|| self.shared.is_ending());
    }
}

impl Miner {
    /// Starts the workers. They wait for a job. Events come out of the receiver; when it is gone, they are thrown away.
    pub fn start(config: Config, factory: EngineFactory, clock: Clock) -> Result<(Self, Receiver<Event>), StartError> {
        let (events, receiver) = sync_channel(config.events_max.max(1));
        // Asked before any thread is bound to a core: afterwards the answer would be that core alone.
        let cores = if config.pin { core_affinity::get_core_ids().unwrap_or_default() } else { Vec::new() };
        let record = Record {
            accepted: 0,
            rejected: 0,
            stale: 0,
            lost: 0,
            template_latency: Latency::default(),
            submission_latency: Latency::default(),
            rate: MovingRate::new(config.rate_window, clock(), 0),
            leaving: Vec::new(),
            hashes_of_gone: 0,
            found_of_gone: 0,
        };
        let workers = config.workers;
        let shared = Arc::new(Shared::new(config, clock, events));
        let miner = Self { shared, factory, cores, workers: Mutex::default(), record: Mutex::new(record) };
        miner.set_workers(workers)?;
        Ok((miner, receiver))
    }

    /// Puts all workers on a job, from a place in it that `random` chooses. What they did before is stale at once.
    pub fn set_job(&self, job: MiningJob, random: u64) -> Result<(), JobError> {
        self.shared.assign(Some((job.check()?, random)));
        Ok(())
    }

    /// Lets all workers wait for the next job.
    pub fn clear_job(&self) {
        self.shared.assign(None);
    }

    /// Sets how many workers there are. Those too many end after their slice, new ones begin with the current job.
    pub fn set_workers(&self, count: usize) -> Result<(), StartError> {
        if count > WORKERS_MAX {
            return Err(StartError::TooMany { asked: count });
        }
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = count.min(workers.len());
        for worker in workers.drain(kept..) {
            worker.stop.store(true, Ordering::Release);
            self.record.lock().unwrap_or_else(PoisonError::into_inner).leaving.push(worker.counters);
        }
        self.shared.wake_all();
        while workers.len() < count {
            let number = u32::try_from(workers.len()).expect("at most WORKERS_MAX");
            workers.push(self.start_worker(WorkerId(number))?);
        }
        Ok(())
    }

    /// Takes down what became of a find, and how long its verdict took.
    pub fn record_submission(&self, verdict: Verdict, took: Duration) {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        match verdict {
            Verdict::Accepted => record.accepted += 1,
            Verdict::Rejected => record.rejected += 1,
            Verdict::Stale => record.stale += 1,
            Verdict::Lost => record.lost += 1,
        }
        record.submission_latency.record(took);
    }

    /// Takes down how long a template took to come.
    pub fn record_template(&self, took: Duration) {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).template_latency.record(took);
    }

    /// Returns all figures. Each call is an observation of the moving rates: call it about once a second.
    pub fn statistics(&self) -> Statistics {
        let now = (self.shared.clock)();
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let figures: Vec<WorkerStatistics> =
            workers.iter_mut().enumerate().map(|(number, worker)| worker.statistics(number, now)).collect();
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        let (hashes_of_others, found_of_others) = record.others();
        let hashes = hashes_of_others + figures.iter().map(|worker| worker.hashes).sum::<u64>();
        let found = found_of_others + figures.iter().map(|worker| worker.found).sum::<u64>();
        Statistics {
            hashes_per_second: record.rate.observe(now, hashes),
            hashes,
            found,
            hashes_per_solution: (found > 0).then(|| hashes as f64 / found as f64),
            accepted: record.accepted,
            rejected: record.rejected,
            stale: record.stale,
            lost: record.lost,
            template_latency: record.template_latency,
            submission_latency: record.submission_latency,
            memory_bytes: usage::memory_bytes(),
            job: self.shared.job(),
            workers: figures,
        }
    }

    /// Ends all workers and waits for them, at most [`SHUTDOWN_BASE`] and [`SHUTDOWN_PER_WORKER`] for each.
    pub fn shutdown(self) -> Shutdown {
        let count = self.workers.lock().unwrap_or_else(PoisonError::into_inner).len();
        self.shutdown_within(SHUTDOWN_BASE + SHUTDOWN_PER_WORKER * u32::try_from(count).expect("at most WORKERS_MAX"))
    }

    /// Ends all workers and waits for them, at most so long.
    pub fn shutdown_within(self, at_most: Duration) -> Shutdown {
        self.shared.end();
        self.shared.wait_until_gone(at_most);
        let mut workers = std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        let mut abandoned = Vec::new();
        for (number, worker) in (0..).zip(workers.drain(..)) {
            if worker.counters.gone.load(Ordering::Acquire) {
                // The thread has said its last word: joining it takes no time. It caught its engine's panics itself.
                let _ = worker.thread.join();
            } else {
                abandoned.push(WorkerId(number));
            }
        }
        Shutdown { abandoned }
    }

    fn start_worker(&self, id: WorkerId) -> Result<Worker, StartError> {
        let (stop, counters) = (Arc::new(AtomicBool::new(false)), Arc::new(Counters::default()));
        // Workers beyond the cores share them, in turn.
        let core = self.cores.iter().cycle().nth(id.0 as usize).copied();
        let life = thread::Life {
            reporter: Reporter { worker: id, shared: self.shared.clone() },
            factory: self.factory.clone(),
            stop: stop.clone(),
            counters: counters.clone(),
            core,
        };
        let thread = life.begin().map_err(|source| StartError::Thread { worker: id.0, source })?;
        let rate = MovingRate::new(self.shared.config.rate_window, (self.shared.clock)(), 0);
        Ok(Worker { stop, counters, rate, thread })
    }
}

impl Drop for Miner {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl Record {
    /// Returns the hashes and finds of workers that are leaving or gone.
    fn others(&mut self) -> (u64, u64) {
        let figures =
            |counters: &Counters| (counters.hashes.load(Ordering::Relaxed), counters.found.load(Ordering::Relaxed));
        for counters in self.leaving.extract_if(.., |counters| counters.gone.load(Ordering::Acquire)) {
            let (hashes, found) = figures(&counters);
            self.hashes_of_gone += hashes;
            self.found_of_gone += found;
        }
        self.leaving
            .iter()
            .map(|counters| figures(counters))
            .fold((self.hashes_of_gone, self.found_of_gone), |(hashes, found), (more_hashes, more_found)| {
                (hashes + more_hashes, found + more_found)
            })
    }
}

impl Worker {
    fn statistics(&mut self, number: usize, now: Duration) -> WorkerStatistics {
        let hashes = self.counters.hashes.load(Ordering::Relaxed);
        WorkerStatistics {
            worker: number,
            hashes_per_second: self.rate.observe(now, hashes),
            hashes,
            found: self.counters.found.load(Ordering::Relaxed),
            failures: self.counters.failures.load(Ordering::Relaxed),
            core: self.counters.core.get().copied().flatten(),
            processor_ms: self.counters.processor_time().and_then(|time| u64::try_from(time.as_millis()).ok()),
        }
    }
}

#[cfg(test)]
mod tests;
