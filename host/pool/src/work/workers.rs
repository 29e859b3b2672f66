//! What is known of workers in memory: their records for the share validator, their speed, when they were last seen.
//!
//! A worker that was silent for long is forgotten, and so is the one silent for longest where there are too many. Nothing here is money.

use crate::work::limits::Bucket;
use crate::work::share::{Outcome, Submission};
use adit_primitives::Timestamp;
use adit_primitives::accounts::WorkerId;
use adit_primitives::contract::shares::WorkerRecord;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How much is kept of workers, and what one may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerRules {
    /// Workers known at once.
    pub workers_max: usize,
    /// For how long a worker is remembered after its last share, in milliseconds.
    pub idle_ms: u64,
    /// Shares a second that one worker may send over time; a second's worth may come at once.
    pub shares_per_second: u32,
}

/// What is known of one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerStatus {
    pub worker: WorkerId,
    pub record: WorkerRecord,
    /// Late shares.
    pub stale: u64,
    /// Hashes a second over the last minute and the last ten, by the work of the shares that counted.
    pub rate_1m: u64,
    pub rate_10m: u64,
    pub last_seen: Timestamp,
}

/// The workers. All checkers and connections share it.
#[derive(Debug)]
pub struct Workers {
    rules: WorkerRules,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    workers: BTreeMap<WorkerId, Worker>,
    /// By when they were last seen: who is forgotten first.
    by_age: BTreeSet<(Timestamp, WorkerId)>,
}

#[derive(Debug)]
struct Worker {
    first_seen: Timestamp,
    last_seen: Timestamp,
    valid: u64,
    invalid: u64,
    stale: u64,
    bucket: Bucket,
    speed: Speed,
}

impl Workers {
    /// Begins with nobody known.
    pub fn new(rules: WorkerRules) -> Self {
        Self { rules, known: Mutex::default() }
    }

    /// Tells whether a worker may send a share now, and counts it. Asked before anything is computed.
    pub fn admit(&self, worker: WorkerId, now: Timestamp) -> bool {
        let rate = self.rules.shares_per_second;
        self.lock().seen(&self.rules, worker, now).bucket.take(rate, now)
    }

    /// Returns what is known of the shares of workers, in order. Nobody is remembered for being asked after.
    pub fn records(&self, workers: impl IntoIterator<Item = WorkerId>, now: Timestamp) -> Vec<WorkerRecord> {
        let known = self.lock();
        let record = |id| known.workers.get(&id).map_or_else(WorkerRecord::default, |worker| worker.record(now));
        workers.into_iter().map(record).collect()
    }

    /// Notes what became of a batch.
    pub fn note(&self, batch: &[Submission], outcomes: &[Outcome], now: Timestamp) {
        let mut known = self.lock();
        for (submission, outcome) in batch.iter().zip(outcomes) {
            let worker = known.seen(&self.rules, submission.worker, now);
            match outcome {
                Outcome::Accepted { .. } => {
                    worker.valid += 1;
                    worker.speed.add(submission.difficulty.work(), now);
                }
                Outcome::Refused(refusal) if refusal.is_invalid() => worker.invalid += 1,
                Outcome::Refused(refusal) if refusal.is_late() => worker.stale += 1,
                Outcome::Refused(_) => {}
            }
        }
    }

    /// Returns the workers after `after`, in the order of their numbers.
    pub fn list(&self, after: Option<WorkerId>, max: usize, now: Timestamp) -> Vec<WorkerStatus> {
        let known = self.lock();
        let first = after.map_or(Some(0), |WorkerId(id)| id.checked_add(1));
        let Some(first) = first else { return Vec::new() };
        known.workers.range(WorkerId(first)..).take(max).map(|(id, worker)| worker.status(*id, now)).collect()
    }

    /// Returns one worker.
    pub fn status(&self, worker: WorkerId, now: Timestamp) -> Option<WorkerStatus> {
        self.lock().workers.get(&worker).map(|known| known.status(worker, now))
    }

    /// Returns how many workers are known, and the sum of their hashes a second over the last ten minutes.
    pub fn totals(&self, now: Timestamp) -> (usize, u64) {
        let known = self.lock();
        let rates = known.workers.values().map(|worker| worker.speed.rate(now, SLICES));
        (known.workers.len(), rates.fold(0, u64::saturating_add))
    }

    /// Forgets those who were silent for too long. To be called now and then.
    pub fn prune(&self, now: Timestamp) {
        let mut known = self.lock();
        while let Some((last_seen, id)) = known.by_age.first().copied() {
            if now.to_millis().saturating_sub(last_seen.to_millis()) < self.rules.idle_ms {
                break;
            }
            known.forget(last_seen, id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Finds a worker or begins to know it, at the cost of the one silent for longest where there are too many.
    fn seen(&mut self, rules: &WorkerRules, id: WorkerId, now: Timestamp) -> &mut Worker {
        match self.workers.get(&id).map(|worker| worker.last_seen) {
            Some(last_seen) if last_seen == now => {}
            Some(last_seen) => {
                self.by_age.remove(&(last_seen, id));
                self.by_age.insert((now, id));
            }
            None => {
                if self.workers.len() >= rules.workers_max.max(1)
                    && let Some((last_seen, oldest)) = self.by_age.first().copied()
                {
                    self.forget(last_seen, oldest);
                }
                self.by_age.insert((now, id));
            }
        }
        let worker = self.workers.entry(id).or_insert_with(|| Worker::new(now));
        worker.last_seen = now;
        worker
    }

    fn forget(&mut self, last_seen: Timestamp, id: WorkerId) {
        self.by_age.remove(&(last_seen, id));
        self.workers.remove(&id);
    }
}

impl Worker {
    fn new(now: Timestamp) -> Self {
        Self {
            first_seen: now,
            last_seen: now,
            valid: 0,
            invalid: 0,
            stale: 0,
            bucket: Bucket::default(),
            speed: Speed { began: now, slice: 0, work: [0; SLICES] },
        }
    }

    fn record(&self, now: Timestamp) -> WorkerRecord {
        let known_ms = now.to_millis().saturating_sub(self.first_seen.to_millis());
        WorkerRecord { valid: self.valid, invalid: self.invalid, known_ms }
    }

    fn status(&self, worker: WorkerId, now: Timestamp) -> WorkerStatus {
        WorkerStatus {
            worker,
            record: self.record(now),
            stale: self.stale,
            rate_1m: self.speed.rate(now, SLICES / 10),
            rate_10m: self.speed.rate(now, SLICES),
            last_seen: self.last_seen,
        }
    }
}

/// The length of a slice of [`Speed`], in milliseconds.
const SLICE_MS: u64 = 15_000;

/// Ten minutes of slices, and the one that is filling.
const SLICES: usize = 40;

/// The work of the last ten minutes, in slices.
#[derive(Debug)]
struct Speed {
    began: Timestamp,
    /// The number of the slice that is filling: the time divided by the length of one.
    slice: u64,
    /// The work of slice n at n modulo their count, in hashes.
    work: [u64; SLICES],
}

impl Speed {
    fn add(&mut self, work: u64, now: Timestamp) {
        let slice = now.to_millis() / SLICE_MS;
        // What lies between was silent, or is too old.
        for passed in (self.slice + 1..=slice).rev().take(SLICES) {
            self.work[place(passed)] = 0;
        }
        self.slice = self.slice.max(slice);
        let filling = &mut self.work[place(self.slice)];
        *filling = filling.saturating_add(work);
    }

    /// Returns hashes a second over the newest `slices`, the one that is filling among them.
    fn rate(&self, now: Timestamp, slices: usize) -> u64 {
        let current = now.to_millis() / SLICE_MS;
        let first = (current + 1).saturating_sub(slices as u64);
        let kept = (self.slice + 1).saturating_sub(SLICES as u64);
        let work =
            (first.max(kept)..=current.min(self.slice)).map(|slice| u128::from(self.work[place(slice)])).sum::<u128>();
        let since = (first * SLICE_MS).max(self.began.to_millis());
        // A worker that came this second has no rate of a thousand times its own.
        let span_ms = now.to_millis().saturating_sub(since).max(SLICE_MS);
        u64::try_from(work * 1000 / u128::from(span_ms)).unwrap_or(u64::MAX)
    }
}

fn place(slice: u64) -> usize {
    usize::try_from(slice % SLICES as u64).expect("less than the count of slices")
}
