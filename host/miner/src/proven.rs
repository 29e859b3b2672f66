//! An engine whose native kernel is watched: the native one proposes, the reference decides.
//!
//! Each find is hashed again by the reference before it is reported; where more than one hash in 16 is a find, so many of them, because nothing hangs on one share of
//! a pool or one block of a test chain then. A reference that gives no answer, twice, holds no find back: it is
//! worth a block, and whoever gets it checks it anyway. The fault is the answer to the next call then. Now and then a few nonces of the range just searched, and a few
//! inputs, are compared with the reference, so that finds which get lost are noticed as well. On the first difference the native
//! kernel is dropped for good, in every worker that shares its [`Trust`], and the reference does the work again.

use crate::proof::{
    Difference, ProofError, compare_digests, compare_sample, native_digests, sorted_without_repeats, steps_between,
};
use crate::random::Random;
use adit_primitives::Hash256;
use adit_primitives::contract::{Found, Scan, SearchJob};
use adit_primitives::engine::{Fault, HashEngine};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How many hashes the reference does for a sample: some milliseconds with the slowest algorithm.
const SAMPLE_HASHES: u64 = 64;

/// One in so many digests of a sample is a find: enough of them to see a missing one, few enough to see a false one.
const SAMPLE_ONE_IN: u64 = 4;

/// Of the finds of a call, one for so many hashes is confirmed at least: the reference never does more than a sixteenth of the work.
const HASHES_PER_CONFIRMATION: u64 = 16;

/// How often the native kernel is compared with the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// One of so many calls is sampled. 0 samples none: finds are confirmed all the same.
    pub one_in: u64,
    /// Which calls and which nonces, follows from it alone.
    pub seed: u64,
}

/// Whether a native kernel is still believed: one for all workers that use the kernel.
#[derive(Debug, Default)]
pub struct Trust {
    lost: AtomicBool,
}

impl Trust {
    /// Tells whether the kernel has been dropped.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Returns `true` to the first caller alone.
    fn lose(&self) -> bool {
        !self.lost.swap(true, Ordering::AcqRel)
    }
}

/// Says that a kernel was dropped, once for each [`Trust`].
pub type OnDrop = Box<dyn FnMut(Difference) + Send>;

/// A native engine under the eyes of its reference.
pub struct ProvenEngine<N, R> {
    native: Option<N>,
    reference: R,
    trust: Arc<Trust>,
    sampling: Sampling,
    random: Random,
    on_drop: OnDrop,
    /// Why the reference could not check the last search: the answer to the next call.
    failed: Option<Fault>,
}

impl<N: HashEngine, R: HashEngine> ProvenEngine<N, R> {
    /// Joins a native engine that passed its proof with the reference that it was proven against.
    pub fn new(native: N, reference: R, trust: Arc<Trust>, sampling: Sampling, on_drop: OnDrop) -> Self {
        let random = Random::new(sampling.seed);
        Self { native: Some(native), reference, trust, sampling, random, on_drop, failed: None }
    }

    /// Returns the native engine while it is believed.
    fn native(&mut self) -> Option<&mut N> {
        if self.trust.is_lost() {
            self.native = None;
        }
        self.native.as_mut()
    }

    /// Settles what the native engine did: its answer, or `None` after a difference.
    fn settle<T>(&mut self, checked: Result<T, ProofError>) -> Result<Option<T>, Fault> {
        match checked {
            Ok(answer) => Ok(Some(answer)),
            Err(ProofError::Reference(fault)) => Err(fault),
            Err(ProofError::Differs(difference)) => {
                self.native = None;
                if self.trust.lose() {
                    (self.on_drop)(difference);
                }
                Ok(None)
            }
        }
    }

    /// Says why the last search was not checked, if it was not.
    fn admit(&mut self) -> Result<(), Fault> {
        self.failed.take().map_or(Ok(()), Err)
    }

    fn is_sampled(&mut self) -> bool {
        self.sampling.one_in > 0 && self.random.below(self.sampling.one_in) == 0
    }
}

impl<N: HashEngine, R: HashEngine> HashEngine for ProvenEngine<N, R> {
    fn digest_many(&mut self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) -> Result<(), Fault> {
        self.admit()?;
        let sampled = self.is_sampled();
        if self.native().is_some() {
            let native = self.native.as_mut().expect("it was there a line ago");
            let checked = checked_digests(native, &mut self.reference, inputs, each, sampled);
            if let Some(answer) = self.settle(checked)? {
                digests.extend(answer);
                return Ok(());
            }
        }
        self.reference.digest_many(inputs, each, digests)
    }

    fn search(&mut self, job: &SearchJob, first: u64, count: u64) -> Result<Scan, Fault> {
        self.admit()?;
        let sample = self.is_sampled().then(|| self.random.next());
        if self.native().is_some() {
            let native = self.native.as_mut().expect("it was there a line ago");
            let chosen = self.random.next();
            let checked = checked_search(native, &mut self.reference, job, (first, count), Chance { chosen, sample });
            if let Some((scan, unchecked)) = self.settle(checked)? {
                self.failed = unchecked;
                return Ok(scan);
            }
        }
        self.reference.search(job, first, count)
    }
}

fn checked_digests(
    native: &mut dyn HashEngine,
    reference: &mut dyn HashEngine,
    inputs: &[u8],
    each: usize,
    sampled: bool,
) -> Result<Vec<Hash256>, ProofError> {
    if sampled {
        let some = usize::try_from(SAMPLE_HASHES).expect("a small number").saturating_mul(each).min(inputs.len());
        compare_digests(native, reference, &inputs[..some], each)?;
    }
    Ok(native_digests(native, inputs, each)?)
}

/// Random numbers for one search.
#[derive(Clone, Copy)]
struct Chance {
    /// Chooses the finds that are confirmed where there are too many.
    chosen: u64,
    /// Chooses the part of the range that is compared; `None` where none is.
    sample: Option<u64>,
}

/// Searches natively, confirms finds, and compares some of the range. Finds are kept where the reference fails: its fault stands beside them.
fn checked_search(
    native: &mut dyn HashEngine,
    reference: &mut dyn HashEngine,
    job: &SearchJob,
    (first, count): (u64, u64),
    chance: Chance,
) -> Result<(Scan, Option<Fault>), ProofError> {
    let scan = native.search(job, first, count).map_err(Difference::Fault)?;
    if scan.scanned == 0 || scan.scanned > count {
        return Err(Difference::Scanned { asked: count, scanned: scan.scanned }.into());
    }
    let found = sorted_without_repeats(scan.found)?;
    let mut unchecked = None;
    let hashes = scan.scanned.saturating_mul(job.inputs.len() as u64);
    let confirmed = found.len().min(usize::try_from(hashes / HASHES_PER_CONFIRMATION).unwrap_or(usize::MAX).max(1));
    let begin = usize::try_from(chance.chosen % found.len().max(1) as u64).expect("less than a length");
    for find in found.iter().cycle().skip(begin).take(confirmed) {
        match confirm(reference, job, first, scan.scanned, *find) {
            Err(ProofError::Reference(fault)) => unchecked = Some(fault),
            confirmed => confirmed?,
        }
    }
    if let Some(random) = chance.sample {
        let nonces = (SAMPLE_HASHES / job.inputs.len() as u64).clamp(1, scan.scanned);
        let begin = first.wrapping_add(random % (scan.scanned - nonces + 1));
        let begin = begin & job.nonces().map_or(u64::MAX, |nonces| nonces - 1);
        match compare_sample(native, reference, job, (begin, nonces), SAMPLE_ONE_IN) {
            Err(ProofError::Reference(fault)) => unchecked = Some(fault),
            compared => compared?,
        }
    }
    Ok((Scan { scanned: scan.scanned, found }, unchecked))
}

fn confirm(
    reference: &mut dyn HashEngine,
    job: &SearchJob,
    first: u64,
    scanned: u64,
    found: Found,
) -> Result<(), ProofError> {
    let fits = job.nonces().is_none_or(|nonces| found.nonce < nonces);
    let asked = fits && steps_between(job, first, found.nonce) < scanned;
    let Some(mut input) = job.inputs.get(found.input as usize).filter(|_| asked).cloned() else {
        return Err(Difference::False { found }.into());
    };
    job.write_nonce(&mut input, found.nonce);
    // A sandboxed reference starts a new instance after a failure.
    let digest = reference.digest(&input).or_else(|_| reference.digest(&input))?;
    if job.target.is_met_by(&digest.0) { Ok(()) } else { Err(Difference::False { found }.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sha256d, Wrong, WrongEngine, search_job};
    use adit_primitives::{Target, U256};
    use std::sync::Mutex;

    type Dropped = Arc<Mutex<Vec<Difference>>>;

    fn engine<N: HashEngine>(native: N, one_in: u64) -> (ProvenEngine<N, Sha256d>, Dropped, Arc<Trust>) {
        let (dropped, trust) = (Dropped::default(), Arc::new(Trust::default()));
        let (sink, sampling) = (dropped.clone(), Sampling { one_in, seed: 3 });
        let on_drop: OnDrop = Box::new(move |difference| sink.lock().unwrap().push(difference));
        (ProvenEngine::new(native, Sha256d::default(), trust.clone(), sampling, on_drop), dropped, trust)
    }

    /// Searches until the native engine is dropped or the calls are used up, and checks every answer against the reference.
    #[track_caller]
    fn calls_until_dropped(wrong: Wrong, one_in: u64, calls: u64) -> Option<u64> {
        let (mut engine, dropped, _) = engine(WrongEngine::new(wrong), one_in);
        let job = search_job(4, 4, Target(U256::MAX >> 6));
        for call in 0..calls {
            let scan = engine.search(&job, call * 256, 256).unwrap();
            if !dropped.lock().unwrap().is_empty() {
                let want = Sha256d::default().search(&job, call * 256, 256).unwrap();
                let mut found = scan.found;
                found.sort_unstable();
                assert_eq!(
                    found,
                    {
                        let mut want = want.found;
                        want.sort_unstable();
                        want
                    },
                    "the range is searched again"
                );
                assert_eq!(dropped.lock().unwrap().len(), 1);
                return Some(call);
            }
        }
        None
    }

    #[test]
    fn a_right_kernel_is_never_dropped() {
        let (mut engine, dropped, trust) = engine(Sha256d::default(), 1);
        let job = search_job(4, 4, Target(U256::MAX >> 6));
        for call in 0..50 {
            engine.search(&job, u64::from(u32::MAX) - 1_000 + call * 64, 64).unwrap();
            engine.digest_many(&[7; 800], 80, &mut Vec::new()).unwrap();
        }
        assert!(dropped.lock().unwrap().is_empty() && !trust.is_lost());
    }

    #[test]
    fn a_false_find_is_dropped_at_once_without_any_sampling() {
        assert_eq!(calls_until_dropped(Wrong::FalseFind, 0, 100), Some(0));
        assert_eq!(calls_until_dropped(Wrong::RepeatsFinds, 0, 100), Some(0));
        assert_eq!(calls_until_dropped(Wrong::ScansTooMuch, 0, 100), Some(0));
        assert_eq!(calls_until_dropped(Wrong::Faults, 0, 100), Some(0));
    }

    #[test]
    fn finds_lost_in_one_lane_are_noticed_by_sampling() {
        assert!(calls_until_dropped(Wrong::MissesInLane(5), 8, 1_000).is_some());
        assert_eq!(calls_until_dropped(Wrong::MissesInLane(5), 0, 1_000), None, "by sampling alone");
    }

    #[test]
    fn a_kernel_that_turns_wrong_after_many_calls_is_dropped_then() {
        let call = calls_until_dropped(Wrong::AfterCalls(500), 4, 2_000).unwrap();
        // A sample is a call, too.
        assert!(call >= 500 / 2, "dropped at call {call}");
    }

    #[test]
    fn wrong_digests_are_noticed_and_hashed_again() {
        let (mut engine, dropped, _) = engine(WrongEngine::new(Wrong::DigestInLane(3)), 1);
        let (mut digests, mut want) = (Vec::new(), Vec::new());
        engine.digest_many(&[7; 800], 80, &mut digests).unwrap();
        Sha256d::default().digest_many(&[7; 800], 80, &mut want).unwrap();
        assert_eq!(digests, want);
        assert!(matches!(dropped.lock().unwrap()[..], [Difference::Digest { .. }]));
    }

    #[test]
    fn one_worker_s_difference_drops_the_kernel_in_all_and_is_told_once() {
        let (mut first, dropped, trust) = engine(WrongEngine::new(Wrong::FalseFind), 0);
        let told_twice: OnDrop = Box::new(|difference| panic!("told twice: {difference}"));
        let sampling = Sampling { one_in: 0, seed: 4 };
        let native = WrongEngine::new(Wrong::FalseFind);
        let calls = native.calls.clone();
        let mut second = ProvenEngine::new(native, Sha256d::default(), trust, sampling, told_twice);
        let job = search_job(1, 4, Target(U256::MAX >> 6));
        first.search(&job, 0, 64).unwrap();
        assert_eq!(dropped.lock().unwrap().len(), 1);
        second.search(&job, 0, 64).unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), 0, "the second kernel is not asked any more");
    }

    /// An engine whose reference answers no digest of the first calls.
    fn with_failing_reference(failures: u64, one_in: u64) -> (ProvenEngine<Sha256d, WrongEngine>, Arc<Trust>) {
        let (trust, sampling) = (Arc::new(Trust::default()), Sampling { one_in, seed: 5 });
        let reference = WrongEngine::new(Wrong::FaultsAtFirst(failures));
        let told: OnDrop = Box::new(|difference| panic!("told: {difference}"));
        (ProvenEngine::new(Sha256d::default(), reference, trust.clone(), sampling, told), trust)
    }

    #[test]
    fn a_fault_of_the_reference_is_a_fault_and_no_difference() {
        let (mut engine, trust) = with_failing_reference(u64::MAX, 1);
        assert!(engine.digest_many(&[7; 800], 80, &mut Vec::new()).is_err());
        assert!(!trust.is_lost());
    }

    #[test]
    fn a_find_is_reported_even_if_the_reference_cannot_confirm_it_and_the_fault_comes_next() {
        let (mut engine, trust) = with_failing_reference(u64::MAX, 0);
        let job = search_job(1, 4, Target(U256::MAX >> 3));
        let want = Sha256d::default().search(&job, 0, 64).unwrap();
        assert!(!want.found.is_empty());
        assert_eq!(engine.search(&job, 0, 64), Ok(want));
        assert!(engine.search(&job, 64, 64).is_err(), "the worker gets another engine");
        assert!(!trust.is_lost());
    }

    #[test]
    fn a_find_is_reported_even_if_the_reference_fails_at_the_sample() {
        let (mut engine, _) = with_failing_reference(u64::MAX, 1);
        let job = search_job(1, 4, Target(U256::MAX >> 3));
        let want = Sha256d::default().search(&job, 0, 64).unwrap();
        assert_eq!(engine.search(&job, 0, 64), Ok(want));
        assert!(engine.search(&job, 64, 64).is_err());
    }

    #[test]
    fn a_reference_that_fails_once_confirms_at_its_second_try() {
        let (mut engine, _) = with_failing_reference(1, 0);
        let job = search_job(1, 4, Target(U256::MAX >> 3));
        for first in [0, 64, 128] {
            assert_eq!(engine.search(&job, first, 64), Sha256d::default().search(&job, first, 64));
        }
    }

    #[test]
    fn a_false_find_is_dropped_even_if_the_reference_fails_at_another() {
        let (trust, sampling) = (Arc::new(Trust::default()), Sampling { one_in: 0, seed: 5 });
        let (native, reference) = (WrongEngine::new(Wrong::FalseFind), WrongEngine::new(Wrong::FaultsAtFirst(2)));
        let mut engine = ProvenEngine::new(native, reference, trust.clone(), sampling, Box::new(|_| ()));
        // The false find is the first nonce of the range; in the order of nonces, which wrap, true ones come before it.
        let job = search_job(1, 1, Target(U256::MAX >> 5));
        let first =
            (128..=255).find(|first| Sha256d::default().search(&job, *first, 1).unwrap().found.is_empty()).unwrap();
        let want = Sha256d::default().search(&job, first, 256).unwrap();
        assert_eq!(engine.search(&job, first, 256), Ok(want));
        assert!(trust.is_lost());
    }
    #[test]
    fn every_find_is_confirmed_unless_more_than_one_hash_in_16_is_one() {
        for (target, want) in [(U256::MAX >> 7, None), (U256::MAX, Some(1_024 / 16))] {
            let (mut engine, _, trust) = engine(Sha256d::default(), 0);
            let found = engine.search(&search_job(4, 4, Target(target)), 7, 256).unwrap().found.len();
            assert!(found > 0 && !trust.is_lost());
            assert_eq!(engine.reference.digests, want.unwrap_or(found as u64));
        }
    }
}
