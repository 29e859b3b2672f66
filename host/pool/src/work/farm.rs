//! What farmers are given: templates whose blocks plots win, each known for as long as a partial proof for it may still come.
//!
//! A challenge stands over many templates, and what was proved under it counts once, whichever of them it was signed into. Nothing seen is ever
//! forgotten while its challenge is known.

use crate::work::job::{JobId, JobRules};
use crate::work::share::Refusal;
use crate::work::template::TemplateError;
use adit_primitives::bytes::encode_length;
use adit_primitives::contract::space::{Challenge, Registration};
use adit_primitives::{Amount, BlockId, Encode, Hash256, Height, Timestamp};
use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// What an upstream wants proved, and the block around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceTemplate {
    pub height: Height,
    /// The block before.
    pub previous: BlockId,
    /// The header without its proof: what the winner signs.
    pub header: Vec<u8>,
    /// What farmers are asked; its target is that of a block.
    pub challenge: Challenge,
    /// The time in the header, by the upstream's clock.
    pub time: Timestamp,
    /// The difficulty in the header's own coding, and what the header commits to.
    pub bits: u32,
    pub body_root: Hash256,
    /// Plots that wait to be registered.
    pub register: Vec<Registration>,
    /// Coinbase and payments, in canonical bytes.
    pub transactions: Vec<Vec<u8>>,
    /// All that the coinbase pays: what the block creates, and its fees.
    pub reward: Amount,
    /// The part of the reward that is fees.
    pub fees: Amount,
}

/// A template as farmers know it.
#[derive(Debug)]
pub struct SpaceJob {
    pub id: JobId,
    pub template: SpaceTemplate,
    pub made: Timestamp,
    /// When another challenge took the place of the job's, in milliseconds; 0 while it stands.
    stale_since: AtomicU64,
    /// What counted under the challenge: all its jobs have the same set.
    seen: Arc<Mutex<HashSet<Hash256>>>,
    seen_max: usize,
}

/// What became of a template that was offered.
#[derive(Debug, Clone)]
pub struct OfferedSpace {
    pub job: Arc<SpaceJob>,
    /// Whether it is a new job, to be told to every farmer.
    pub is_new: bool,
}

/// The jobs that are known. Each call sees and leaves it whole.
#[derive(Debug)]
pub struct SpaceBook {
    rules: JobRules,
    jobs: RwLock<Jobs>,
}

/// The newest last. Only the last one is handed out.
#[derive(Debug)]
struct Jobs {
    next: u32,
    known: VecDeque<Known>,
}

#[derive(Debug)]
struct Known {
    job: Arc<SpaceJob>,
    /// When a newer job took its place.
    replaced: Option<Timestamp>,
}

impl SpaceTemplate {
    /// Refuses what no pool could farm, whoever made it.
    pub fn check(&self) -> Result<(), TemplateError> {
        if self.challenge.target.0.is_zero() {
            return Err(TemplateError::ZeroTarget);
        }
        if self.fees > self.reward {
            return Err(TemplateError::Fees { fees: self.fees, reward: self.reward });
        }
        Ok(())
    }

    /// Puts a block together from its header with the proof in it.
    pub fn block(&self, header: &Vec<u8>) -> Vec<u8> {
        let mut block = header.to_bytes();
        encode_length(self.transactions.len(), &mut block);
        self.transactions.iter().for_each(|bytes| block.extend_from_slice(bytes));
        block
    }
}

impl SpaceJob {
    /// Returns for how many milliseconds the job's challenge has been another's; 0 while it stands, at least 1 afterwards.
    pub fn stale_ms(&self, now: Timestamp) -> u64 {
        match self.stale_since.load(Ordering::Acquire) {
            0 => 0,
            since => now.to_millis().saturating_sub(since).max(1),
        }
    }

    /// Notes what counts: [`Refusal::Duplicate`] where it did before, [`Refusal::Full`] where there is no room to remember it.
    pub(crate) fn see(&self, scored: Hash256) -> Result<(), Refusal> {
        let mut seen = self.seen();
        if seen.contains(&scored) {
            return Err(Refusal::Duplicate);
        }
        if seen.len() >= self.seen_max {
            return Err(Refusal::Full);
        }
        seen.insert(scored);
        Ok(())
    }

    /// Takes out what was noted and could not be judged, so that it may come again.
    pub(crate) fn forget(&self, scored: &Hash256) {
        self.seen().remove(scored);
    }

    fn seen(&self) -> MutexGuard<'_, HashSet<Hash256>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SpaceBook {
    /// Begins with no job. `first` is the number of the first: numbers of an earlier run of the pool should not come again soon.
    pub fn new(rules: JobRules, first: u32) -> Self {
        Self { rules, jobs: RwLock::new(Jobs { next: first, known: VecDeque::new() }) }
    }

    /// Returns the newest job, however old.
    pub fn newest(&self) -> Option<Arc<SpaceJob>> {
        let jobs = self.jobs.read().unwrap_or_else(PoisonError::into_inner);
        jobs.known.back().map(|known| Arc::clone(&known.job))
    }

    /// Takes a template. While the challenge stands and the newest job is young enough, that job goes on unless the template pays more or has other plots
    /// registered; otherwise the template becomes the newest job.
    pub fn offer(&self, template: SpaceTemplate, now: Timestamp) -> Result<OfferedSpace, TemplateError> {
        template.check()?;
        let mut jobs = self.jobs.write().unwrap_or_else(PoisonError::into_inner);
        jobs.forget(&self.rules, now);
        let asks_the_same = |job: &SpaceJob| job.template.challenge.challenge == template.challenge.challenge;
        let newest = jobs.known.back().map(|known| Arc::clone(&known.job)).filter(|job| asks_the_same(job));
        if let Some(job) = newest.as_ref().filter(|job| self.goes_on(job, &template, now)) {
            return Ok(OfferedSpace { job: Arc::clone(job), is_new: false });
        }
        let seen = newest.map(|job| Arc::clone(&job.seen)).unwrap_or_default();
        for known in &mut jobs.known {
            known.replaced.get_or_insert(now);
            if !asks_the_same(&known.job) {
                // The first challenge that took its place counts.
                let since = now.to_millis().max(1);
                let stale = &known.job.stale_since;
                let _ = stale.compare_exchange(0, since, Ordering::AcqRel, Ordering::Acquire);
            }
        }
        let job = Arc::new(SpaceJob {
            id: JobId(jobs.next),
            template,
            made: now,
            stale_since: AtomicU64::new(0),
            seen,
            seen_max: self.rules.shares_max,
        });
        jobs.next = jobs.next.wrapping_add(1);
        jobs.known.push_back(Known { job: Arc::clone(&job), replaced: None });
        jobs.forget(&self.rules, now);
        Ok(OfferedSpace { job, is_new: true })
    }

    /// Returns a job by its number.
    pub fn job(&self, id: JobId) -> Option<Arc<SpaceJob>> {
        let jobs = self.jobs.read().unwrap_or_else(PoisonError::into_inner);
        jobs.known.iter().rev().find(|known| known.job.id == id).map(|known| Arc::clone(&known.job))
    }

    fn goes_on(&self, job: &SpaceJob, template: &SpaceTemplate, now: Timestamp) -> bool {
        let age = now.to_millis().saturating_sub(job.made.to_millis());
        let (old, new) = (job.template.reward.to_atoms(), template.reward.to_atoms());
        let wanted = u128::from(old) * (1000 + u128::from(self.rules.gain_thousandths));
        let gains = new > old && u128::from(new) * 1000 >= wanted;
        let stands = job.template.previous == template.previous && job.template.register == template.register;
        stands && age < self.rules.lifetime_ms && !gains
    }
}

impl Jobs {
    fn forget(&mut self, rules: &JobRules, now: Timestamp) {
        let too_old = |known: &Known| {
            known.replaced.is_some_and(|at| now.to_millis().saturating_sub(at.to_millis()) >= rules.known_ms)
        };
        while self.known.len() > rules.jobs_max.max(1) || self.known.front().is_some_and(too_old) {
            self.known.pop_front();
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use adit_primitives::contract::space::PlotKind;
    use adit_primitives::{Target, U256};

    pub(crate) const RULES: JobRules =
        JobRules { lifetime_ms: 30_000, known_ms: 60_000, jobs_max: 4, shares_max: 3, gain_thousandths: 10 };

    /// A template that asks for plain plots, over a challenge of its own.
    pub(crate) fn sample(challenge: u8) -> SpaceTemplate {
        SpaceTemplate {
            height: Height(7),
            previous: BlockId([9; 32]),
            header: vec![challenge; 20],
            challenge: Challenge {
                plots: PlotKind::Plain,
                challenge: Hash256([challenge; 32]),
                target: Target(U256::MAX >> 6),
                opens: Timestamp::from_millis(0),
                closes: Timestamp::from_millis(10_000),
                registered_by: Some(Height(5)),
                registrations_max: 4,
            },
            time: Timestamp::from_millis(1_000),
            bits: 5,
            body_root: Hash256([4; 32]),
            register: vec![],
            transactions: vec![vec![1, 2], vec![3]],
            reward: Amount::from_atoms(50_000),
            fees: Amount::from_atoms(10),
        }
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + ms)
    }

    /// Offers a template; returns the job's number, and whether it is new.
    fn offer(book: &SpaceBook, template: SpaceTemplate, ms: u64) -> (u32, bool) {
        let offered = book.offer(template, at(ms)).unwrap();
        (offered.job.id.0, offered.is_new)
    }

    #[test]
    fn a_job_serves_while_its_challenge_stands_and_nothing_better_comes() {
        let book = SpaceBook::new(RULES, 7);
        assert!(book.newest().is_none());
        assert_eq!(offer(&book, sample(1), 0), (7, true));
        assert_eq!(offer(&book, SpaceTemplate { header: vec![8; 20], ..sample(1) }, 29_999), (7, false));
        assert_eq!(offer(&book, SpaceTemplate { reward: Amount::from_atoms(50_500), ..sample(1) }, 29_999), (8, true));
        let plot =
            Registration { key: Hash256([1; 32]), seed: Hash256([2; 32]), leaves: 1_024, root: Hash256([3; 32]) };
        let registers = SpaceTemplate { register: vec![plot], reward: Amount::from_atoms(50_500), ..sample(1) };
        assert_eq!(offer(&book, registers.clone(), 30_000), (9, true));
        assert_eq!(offer(&book, registers, 60_000), (10, true));
        assert_eq!(book.job(JobId(7)).unwrap().stale_ms(at(60_000)), 0, "its challenge stands");
        assert_eq!(offer(&book, sample(2), 60_001), (11, true));
        assert_eq!(book.job(JobId(10)).unwrap().stale_ms(at(60_003)), 2);
        assert_eq!(book.newest().unwrap().id, JobId(11));
        assert!(book.job(JobId(7)).is_none(), "four are known");
    }

    #[test]
    fn what_counted_under_a_challenge_counts_under_none_of_its_jobs_again() {
        let book = SpaceBook::new(RULES, 0);
        let first = book.offer(sample(1), at(0)).unwrap().job;
        let second = book.offer(sample(1), at(40_000)).unwrap().job;
        assert_ne!(first.id, second.id);
        let scored = |byte| Hash256([byte; 32]);
        assert_eq!(first.see(scored(1)), Ok(()));
        assert_eq!(second.see(scored(1)), Err(Refusal::Duplicate));
        assert_eq!((second.see(scored(2)), first.see(scored(3))), (Ok(()), Ok(())));
        assert_eq!(first.see(scored(4)), Err(Refusal::Full));
        first.forget(&scored(2));
        assert_eq!(second.see(scored(4)), Ok(()));
        let other = book.offer(sample(2), at(40_001)).unwrap().job;
        assert_eq!(other.see(scored(1)), Ok(()), "another challenge");
    }

    #[test]
    fn a_template_that_cannot_be_farmed_is_refused() {
        let book = SpaceBook::new(RULES, 0);
        let mut hopeless = sample(1);
        hopeless.challenge.target = Target(U256::ZERO);
        assert_eq!(book.offer(hopeless, at(0)).unwrap_err(), TemplateError::ZeroTarget);
        let (fees, reward) = (Amount::from_atoms(2), Amount::from_atoms(1));
        let rich = SpaceTemplate { fees, reward, ..sample(1) };
        assert_eq!(book.offer(rich, at(0)).unwrap_err(), TemplateError::Fees { fees, reward });
    }

    #[test]
    fn a_block_is_the_header_and_the_transactions_behind_their_lengths() {
        assert_eq!(sample(1).block(&vec![7, 8]), [&[2, 0, 0, 0, 7, 8][..], &[2, 0, 0, 0, 1, 2, 3]].concat());
    }
}
