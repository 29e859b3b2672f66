//! What is known of workers in memory: their records for the share validator, their speed, when they were last seen.
//!
//! A worker that was silent for long is forgotten, and so is the one silent for longest where there are too many. Nothing here is money.

use crate::work::limits::Bucket;
use crate::work::order::Standing;
use crate::work::share::Outcome;
use adit_primitives::Timestamp;
use adit_primitives::accounts::WorkerId;
use adit_primitives::contract::shares::{ShareDifficulty, WorkerRecord};
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
    /// One entry for each, by a time at which it was seen: the last or an earlier one. It is moved only when it comes first: a worker who sends
    /// shares would otherwise be moved by each.
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
        // What a connection sent together is of one worker, nearly always: it is looked up once.
        let mut last = None;
        let remembered = |id| match last {
            Some((known, record)) if known == id => record,
            _ => last.insert((id, record(id))).1,
        };
        workers.into_iter().map(remembered).collect()
    }

    /// Returns how the worst of some workers stands. Nobody is remembered for being asked after.
    pub fn standing(&self, workers: impl IntoIterator<Item = WorkerId>) -> Standing {
        let known = self.lock();
        let record = |worker: &Worker| WorkerRecord { valid: worker.valid, invalid: worker.invalid, known_ms: 0 };
        let standing = |id| Standing::of(&known.workers.get(&id).map_or_else(WorkerRecord::default, record));
        workers.into_iter().map(standing).min().unwrap_or(Standing::BEST)
    }

    /// Notes what became of a batch.
    pub fn note(&self, batch: impl IntoIterator<Item = (WorkerId, ShareDifficulty, Outcome)>, now: Timestamp) {
        let mut known = self.lock();
        let mut batch = batch.into_iter().peekable();
        while let Some((id, difficulty, outcome)) = batch.next() {
            let worker = known.seen(&self.rules, id, now);
            worker.note(difficulty, outcome, now);
            while let Some((_, difficulty, outcome)) = batch.next_if(|(next, ..)| *next == id) {
                worker.note(difficulty, outcome, now);
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
        while let Some((last_seen, id)) = known.oldest() {
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
        if !self.workers.contains_key(&id) {
            if self.workers.len() >= rules.workers_max.max(1)
                && let Some((last_seen, oldest)) = self.oldest()
            {
                self.forget(last_seen, oldest);
            }
            self.by_age.insert((now, id));
        }
        let worker = self.workers.entry(id).or_insert_with(|| Worker::new(now));
        // A clock that is set back makes nobody older than its entry says.
        worker.last_seen = worker.last_seen.max(now);
        worker
    }

    /// Returns who was silent for longest, and since when.
    fn oldest(&mut self) -> Option<(Timestamp, WorkerId)> {
        loop {
            let (listed, id) = *self.by_age.first()?;
            let last_seen = self.workers.get(&id)?.last_seen;
            if last_seen == listed {
                return Some((listed, id));
            }
            self.by_age.pop_first();
            self.by_age.insert((last_seen, id));
        }
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

    fn note(&mut self, difficulty: ShareDifficulty, outcome: Outcome, now: Timestamp) {
        match outcome {
            Outcome::Accepted { .. } => {
                self.valid += 1;
                self.speed.add(difficulty.work(), now);
            }
            Outcome::Refused(refusal) if refusal.is_invalid() => self.invalid += 1,
            Outcome::Refused(refusal) if refusal.is_late() => self.stale += 1,
            Outcome::Refused(_) => {}
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::share::Refusal;

    const RULES: WorkerRules = WorkerRules { workers_max: 3, idle_ms: 3_600_000, shares_per_second: 100 };
    const ACCEPTED: Outcome = Outcome::Accepted { is_block: false };

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(1_000_000 + secs)
    }

    fn note(workers: &Workers, worker: u32, outcome: Outcome, now: Timestamp) {
        workers.note([(WorkerId(worker), ShareDifficulty::from_log2_hashes(20), outcome)], now);
    }

    #[test]
    fn a_record_counts_what_speaks_for_and_against() {
        let workers = Workers::new(RULES);
        for outcome in [ACCEPTED, ACCEPTED].into_iter().chain(Refusal::ALL.map(Outcome::Refused)) {
            note(&workers, 1, outcome, at(0));
        }
        let status = workers.status(WorkerId(1), at(2)).unwrap();
        assert_eq!(status.record, WorkerRecord { valid: 2, invalid: 6, known_ms: 2000 });
        assert_eq!((status.stale, status.last_seen), (2, at(0)));
        assert_eq!(workers.records([WorkerId(2), WorkerId(1)], at(2)), [WorkerRecord::default(), status.record]);
        assert!(workers.status(WorkerId(2), at(2)).is_none(), "who is asked after is not remembered for it");
    }

    #[test]
    fn the_rate_is_the_work_over_the_time() {
        let workers = Workers::new(RULES);
        // A share of 2^20 hashes each second.
        (0..3600).for_each(|second| note(&workers, 1, ACCEPTED, at(second)));
        let rates = |secs| workers.status(WorkerId(1), at(secs)).map(|status| (status.rate_1m, status.rate_10m));
        let close = |rate: u64| rate.abs_diff(1 << 20) * 20 <= 1 << 20;
        assert!(rates(3600).is_some_and(|(minute, ten)| close(minute) && close(ten)), "{:?}", rates(3600));
        let (minute, ten) = rates(3900).unwrap();
        assert!(minute == 0 && ten.abs_diff(1 << 19) * 10 <= 1 << 19, "half of the ten minutes were silent: {ten}");
        assert_eq!(rates(5000), Some((0, 0)));
        assert_eq!(workers.totals(at(5000)), (1, 0));
    }

    #[test]
    fn a_newcomers_rate_is_over_its_own_time() {
        let workers = Workers::new(RULES);
        (0..60).for_each(|second| note(&workers, 1, ACCEPTED, at(second)));
        let status = workers.status(WorkerId(1), at(60)).unwrap();
        assert!(status.rate_10m.abs_diff(1 << 20) * 20 <= 1 << 20, "{}", status.rate_10m);
    }

    #[test]
    fn a_worker_may_send_so_many_shares_a_second() {
        let workers = Workers::new(RULES);
        let admitted = (0..1000).filter(|_| workers.admit(WorkerId(1), at(0))).count();
        assert_eq!(admitted, 100);
        assert!(workers.admit(WorkerId(2), at(0)), "another's are its own");
        assert!(workers.admit(WorkerId(1), at(1)));
    }

    #[test]
    fn who_was_silent_for_longest_is_forgotten_first() {
        let workers = Workers::new(RULES);
        (1..=3).for_each(|worker| note(&workers, worker, ACCEPTED, at(worker.into())));
        note(&workers, 1, ACCEPTED, at(10));
        note(&workers, 4, ACCEPTED, at(11));
        let known = |now| workers.list(None, 10, now).iter().map(|status| status.worker.0).collect::<Vec<_>>();
        assert_eq!(known(at(11)), [1, 3, 4]);
        assert_eq!(workers.list(Some(WorkerId(1)), 1, at(11))[0].worker, WorkerId(3));
        workers.prune(at(3603));
        assert_eq!(known(at(3603)), [1, 4]);
        workers.prune(at(9999));
        assert!(known(at(9999)).is_empty());
    }
}
