//! Who searches which part: ranges of nonces and versions, none cut twice.
//!
//! A job is searched in rounds. A round takes some versions at once, which share the nonce block's message schedule, and goes
//! through every nonce with all of them. Within a round, ranges are cut one after another from a random start on, so ranges of
//! workers are disjoint, and those of miners that share a template hardly ever meet. A range whose engine failed is handed out again,
//! once: one that makes every engine fail must not stop them all. When no range is left, a worker without one steals from the end of another's.

use crate::job::{CheckedJob, JobId};
use adit_primitives::contract::SearchJob;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How much larger than its predecessor a slice may be: a measurement of a tiny slice is rough.
const GROWTH_MAX: u64 = 8;

/// The first slice of a worker, in hashes: under a millisecond for every algorithm but the slowest.
const FIRST_SLICE_HASHES: u64 = 64;

/// One slice in so many has to be left of a range before it is stolen from: less is done before the thief has begun.
const WORTHWHILE: u128 = 8;

/// A job with the record of what has been handed out.
#[derive(Debug)]
pub struct Distribution {
    job: Arc<CheckedJob>,
    versions_per_round: u64,
    first_nonce: u64,
    first_round: u64,
    rounds_begun: u64,
    search: Arc<SearchJob>,
    /// How many nonces of this round have been handed out.
    handed_out: u128,
}

/// Nonces for one worker, from `first` on, wrapping at the width of the nonce field.
#[derive(Debug, Clone)]
pub struct Range {
    pub job: Arc<CheckedJob>,
    pub search: Arc<SearchJob>,
    pub first: u64,
    pub count: u64,
    /// Whether an engine has failed on it before.
    pub again: bool,
}

impl Range {
    /// Returns what is left when `done` nonces have been searched.
    pub fn rest(&self, done: u64) -> Self {
        let mask = self.search.nonces().map_or(u64::MAX, |nonces| nonces - 1);
        Self { first: self.first.wrapping_add(done) & mask, count: self.count - done, ..self.clone() }
    }
}

impl Distribution {
    /// Begins a job at a place that `random` chooses. At most `versions_max` versions are searched at once.
    pub fn new(job: CheckedJob, versions_max: u64, random: u64) -> Self {
        // Powers of two on both sides: rounds then hold versions of equal number, and none is left over.
        let versions_per_round = job.versions().min(1 << versions_max.max(1).ilog2());
        let rounds = job.versions() / versions_per_round;
        let first_round = random.rotate_left(32) % rounds;
        let mask = u64::try_from(job.nonces() - 1).expect("a nonce has at most 64 bits");
        let search = Arc::new(job.search(first_round * versions_per_round, versions_per_round));
        let job = Arc::new(job);
        let first_nonce = random & mask;
        Self { job, versions_per_round, first_nonce, first_round, rounds_begun: 1, search, handed_out: 0 }
    }

    pub fn job(&self) -> JobId {
        self.job.id()
    }

    /// Hands out about `hashes` hashes of work, at least one nonce, or `None` when nothing is left.
    pub fn take(&mut self, hashes: u64) -> Option<Range> {
        if self.handed_out == self.job.nonces() && !self.begin_round() {
            return None;
        }
        let left = u64::try_from(self.job.nonces() - self.handed_out).unwrap_or(u64::MAX);
        let count = (hashes / self.versions_per_round).clamp(1, left);
        let mask = self.job.nonces() - 1;
        let first = (u128::from(self.first_nonce) + self.handed_out) & mask;
        self.handed_out += u128::from(count);
        let first = u64::try_from(first).expect("a nonce has at most 64 bits");
        Some(Range { job: self.job.clone(), search: self.search.clone(), first, count, again: false })
    }

    fn begin_round(&mut self) -> bool {
        let rounds = self.job.versions() / self.versions_per_round;
        if self.rounds_begun == rounds {
            return false;
        }
        let round = (self.first_round + self.rounds_begun) % rounds;
        self.search = Arc::new(self.job.search(round * self.versions_per_round, self.versions_per_round));
        self.rounds_begun += 1;
        self.handed_out = 0;
        true
    }
}

/// A range in the hands of a worker, who takes slices off its front. Others may steal from its end.
#[derive(Debug)]
pub struct Held {
    range: Range,
    bounds: Mutex<Bounds>,
}

/// What of a held range is still its worker's, in nonces from the range's first.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// Where the slice ends that its worker has begun.
    begun: u64,
    end: u64,
    /// How many nonces its worker does in a slice.
    pace: u64,
}

impl Held {
    pub fn new(range: Range) -> Self {
        let bounds = Mutex::new(Bounds { begun: 0, end: range.count, pace: 1 });
        Self { range, bounds }
    }

    /// Begins the next slice where `done` nonces have been searched: `pace` nonces, or what is left of the last slice. `None` when nothing is.
    pub fn slice(&self, done: u64, pace: u64) -> Option<Range> {
        let mut bounds = self.bounds();
        bounds.pace = pace.max(1);
        if bounds.begun <= done {
            bounds.begun = done.saturating_add(bounds.pace).min(bounds.end);
        }
        (bounds.begun > done).then(|| self.part(done, bounds.begun))
    }

    /// Takes the part from the end that a worker of `pace` nonces a slice finishes when the holder finishes the rest, or `None` where that is not worth the while.
    pub fn steal(&self, pace: u64) -> Option<Range> {
        let mut bounds = self.bounds();
        let left = u128::from(bounds.end - bounds.begun);
        let (mine, all) = (u128::from(pace.max(1)), u128::from(pace.max(1)) + u128::from(bounds.pace));
        if left == 0 || left * WORTHWHILE < u128::from(bounds.pace) {
            return None;
        }
        let stolen = u64::try_from((left * mine).div_ceil(all)).expect("less than what is left");
        bounds.end -= stolen;
        Some(self.part(bounds.end, bounds.end + stolen))
    }

    /// Returns how many slices its worker has left, in thousandths: what is best stolen from has the most.
    pub fn slices_left(&self) -> u128 {
        let bounds = self.bounds();
        u128::from(bounds.end - bounds.begun) * 1_000 / u128::from(bounds.pace)
    }

    /// Takes from the worker what is left where `done` nonces have been searched.
    pub fn give_up(&self, done: u64) -> Option<Range> {
        let mut bounds = self.bounds();
        let end = std::mem::replace(&mut bounds.end, done);
        bounds.begun = done;
        (end > done).then(|| self.part(done, end))
    }

    /// Returns the whole range, as it was handed out.
    pub fn range(&self) -> &Range {
        &self.range
    }

    fn part(&self, begin: u64, end: u64) -> Range {
        Range { count: end - begin, ..self.range.rest(begin) }
    }

    fn bounds(&self) -> MutexGuard<'_, Bounds> {
        self.bounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker's measured speed, and the sizes of work that follow from it.
#[derive(Debug, Clone)]
pub struct Pace {
    /// How long one call of the engine should take: what a stale job may still cost.
    slice: Duration,
    /// How many slices are fetched at once, so that workers seldom meet at the distribution.
    slices_per_range: u64,
    hashes_per_slice: u64,
}

impl Pace {
    pub fn new(slice: Duration, range: Duration) -> Self {
        let slices = range.as_nanos() / slice.as_nanos().max(1);
        let slices_per_range = u64::try_from(slices).unwrap_or(u64::MAX).max(1);
        Self { slice, slices_per_range, hashes_per_slice: FIRST_SLICE_HASHES }
    }

    /// Returns how many hashes one call of the engine should do.
    pub fn hashes_per_slice(&self) -> u64 {
        self.hashes_per_slice
    }

    /// Returns how many hashes to fetch at once.
    pub fn hashes_per_range(&self) -> u64 {
        self.hashes_per_slice.saturating_mul(self.slices_per_range)
    }

    /// Takes in how long a call took.
    pub fn measured(&mut self, hashes: u64, took: Duration) {
        let fitting = u128::from(hashes) * self.slice.as_nanos() / took.as_nanos().max(1);
        let fitting = u64::try_from(fitting).unwrap_or(u64::MAX);
        // Half the way: one disturbed measurement does not make the next slice useless.
        let next = self.hashes_per_slice / 2 + fitting / 2;
        self.hashes_per_slice = next.clamp(1, self.hashes_per_slice.saturating_mul(GROWTH_MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::MiningJob;
    use adit_primitives::Target;
    use adit_primitives::contract::PowInput;
    use std::collections::BTreeSet;

    fn job(nonce_bytes: u32, roll_mask: u32) -> CheckedJob {
        let pow = PowInput { bytes: vec![0; 24], nonce_offset: 16, nonce_bytes, roll_offset: 0, roll_mask };
        MiningJob { id: JobId(7), pow, target: Target::MAX }.check().unwrap()
    }

    /// Every (nonce, version) of a range.
    fn tries(range: &Range) -> Vec<(u64, u32)> {
        let mask = u64::try_from(range.job.nonces() - 1).unwrap();
        let nonces = (0..range.count).map(|step| range.first.wrapping_add(step) & mask);
        let rolled: Vec<u32> = range.search.inputs.iter().map(|input| range.job.rolled(input)).collect();
        nonces.flat_map(|nonce| rolled.iter().map(move |rolled| (nonce, *rolled))).collect()
    }

    #[track_caller]
    fn check_covered(nonce_bytes: u32, roll_mask: u32, versions_max: u64, random: u64) {
        let job = job(nonce_bytes, roll_mask);
        let total = usize::try_from(job.nonces() * u128::from(job.versions())).unwrap();
        let mut distribution = Distribution::new(job, versions_max, random);
        let mut tried = BTreeSet::new();
        let mut hashes = 1;
        while let Some(range) = distribution.take(hashes) {
            for each in tries(&range) {
                assert!(tried.insert(each), "{each:?} was handed out twice");
            }
            hashes = hashes * 5 % 977 + 1;
        }
        assert_eq!(tried.len(), total, "everything was handed out");
        assert!(distribution.take(1).is_none(), "what is exhausted stays exhausted");
    }

    #[test]
    fn every_nonce_with_every_version_is_handed_out_once() {
        for random in [0, 1, 0xff, 0xdead_beef_0bad_f00d, u64::MAX] {
            check_covered(1, 0, 16, random);
            check_covered(1, 0x0000_0f00, 16, random);
            check_covered(1, 0x8000_0f01, 16, random);
            check_covered(2, 0x0000_0003, 1, random);
            check_covered(1, 0x0000_001f, 5, random);
        }
    }

    #[test]
    fn a_wide_nonce_is_handed_out_from_its_random_start_past_its_wrap() {
        let mut distribution = Distribution::new(job(8, 0), 16, u64::MAX - 9);
        let first = distribution.take(10).unwrap();
        assert_eq!((first.first, first.count), (u64::MAX - 9, 10));
        let second = distribution.take(10).unwrap();
        assert_eq!((second.first, second.count), (0, 10));
    }

    #[test]
    fn all_of_a_64_bit_field_can_be_handed_out() {
        let mut distribution = Distribution::new(job(8, 0), 16, 5);
        let first = distribution.take(u64::MAX).unwrap();
        assert_eq!((first.first, first.count), (5, u64::MAX));
        let last = distribution.take(u64::MAX).unwrap();
        assert_eq!((last.first, last.count), (4, 1));
        assert!(distribution.take(1).is_none());
    }

    fn held(count: u64, done: u64, pace: u64) -> Held {
        let range = Distribution::new(job(4, 0), 16, 0xffff_ff00).take(count).unwrap();
        let held = Held::new(range);
        held.slice(done, pace).unwrap();
        held
    }

    #[test]
    fn what_is_stolen_is_shared_by_speed() {
        for (thief, want) in [(100, 450), (300, 675), (1, 9)] {
            let held = held(1_000, 0, 100);
            let stolen = held.steal(thief).unwrap();
            assert_eq!(stolen.count, want, "{thief}");
            assert_eq!(stolen.first, 0xffff_ff00_u64.wrapping_add(1_000 - want) & 0xffff_ffff);
            let rest: u64 =
                std::iter::successors(Some(100), |done| held.slice(*done, 100).map(|s| done + s.count)).last().unwrap();
            assert_eq!(rest + want, 1_000);
        }
    }

    #[test]
    fn a_slice_that_was_begun_is_never_stolen() {
        let held = held(100, 0, 100);
        assert!(held.steal(1_000).is_none());
        assert_eq!(held.slice(40, 5).unwrap().count, 60, "what is left of the slice, whatever the pace is now");
    }

    #[test]
    fn crumbs_are_left_to_their_worker() {
        assert!(held(1_012, 0, 1_000).steal(1_000).is_none());
        assert!(held(1_125, 0, 1_000).steal(1_000).is_some());
    }

    #[test]
    fn what_is_given_up_ends_where_a_thief_began() {
        let held = held(1_000, 0, 100);
        let stolen = held.steal(100).unwrap();
        let rest = held.give_up(30).unwrap();
        assert_eq!((rest.count, rest.first), (1_000 - stolen.count - 30, 0xffff_ff00 + 30));
        assert!(held.steal(1_000).is_none() && held.slice(30, 100).is_none(), "it has gone");
    }

    #[test]
    fn miners_with_other_random_numbers_start_elsewhere() {
        let start = |random| Distribution::new(job(4, 0xff), 16, random).take(1).unwrap();
        assert_ne!(start(1).first, start(2).first);
        assert_ne!(start(1).search, start(1 << 32).search);
    }

    #[test]
    fn the_pace_comes_to_its_slice_time_and_stays() {
        let (slice, nanos_per_hash) = (Duration::from_millis(2), 30);
        let mut pace = Pace::new(slice, Duration::from_millis(40));
        for _ in 0..20 {
            let hashes = pace.hashes_per_slice();
            pace.measured(hashes, Duration::from_nanos(hashes * nanos_per_hash));
        }
        let took = pace.hashes_per_slice() * nanos_per_hash;
        assert!((1_900_000..=2_000_000).contains(&took), "a slice takes {took} ns");
        assert_eq!(pace.hashes_per_range(), 20 * pace.hashes_per_slice());
    }

    #[test]
    fn the_slowest_engine_gets_one_hash_at_a_time() {
        let mut pace = Pace::new(Duration::from_millis(2), Duration::from_millis(40));
        for _ in 0..20 {
            pace.measured(pace.hashes_per_slice(), Duration::from_secs(1));
        }
        assert_eq!(pace.hashes_per_slice(), 1);
    }

    #[test]
    fn a_clock_that_stands_still_does_not_make_a_slice_endless() {
        let mut pace = Pace::new(Duration::from_millis(2), Duration::from_millis(40));
        pace.measured(64, Duration::ZERO);
        assert_eq!(pace.hashes_per_slice(), 64 * GROWTH_MAX);
    }
}
