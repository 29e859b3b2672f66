//! Jobs: templates as miners know them, for as long as a share for one may still come.
//!
//! A job keeps the exact set of shares seen for it. What does not fit is refused; nothing seen is ever forgotten while the job is known.

use crate::work::seen::SeenShares;
use crate::work::share::Submission;
use crate::work::template::{BlockTemplate, TemplateError};
use adit_primitives::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// The number of a job, unique in one run of the pool. Miners are told its hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u32);

/// How long jobs are used and known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobRules {
    /// For how long a job is handed out while its tip stands, in milliseconds.
    pub lifetime_ms: u64,
    /// For how long a job is known after another took its place, in milliseconds: late shares are then told "stale", and late blocks
    /// still go upstream.
    pub known_ms: u64,
    /// Jobs known at once; beyond them the oldest is forgotten.
    pub jobs_max: usize,
    /// Shares for one job; those beyond are refused.
    pub shares_max: usize,
    /// A template of the same tip that pays at least this many thousandths more than the job's becomes a job before the lifetime is over.
    pub gain_thousandths: u64,
}

/// A template as miners know it.
#[derive(Debug)]
pub struct Job {
    pub id: JobId,
    /// The template, with the job's number in its coinbase.
    pub template: BlockTemplate,
    pub made: Timestamp,
    /// When the job's previous block ceased to be the tip, in milliseconds; 0 while it is.
    stale_since: AtomicU64,
    /// The hash of the coinbase's head, which all shares of the job have in common.
    prefix: Sha256,
    seen: SeenShares,
}

/// What became of a template that was offered.
#[derive(Debug, Clone)]
pub struct Offered {
    pub job: Arc<Job>,
    /// Whether it is a new job, to be told to every miner.
    pub is_new: bool,
    /// Whether earlier jobs are void: their tip has gone.
    pub clean: bool,
}

/// The jobs that are known. All checkers and connections share it; each call sees and leaves it whole.
#[derive(Debug)]
pub struct JobBook {
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
    job: Arc<Job>,
    /// When a newer job took its place.
    replaced: Option<Timestamp>,
}

impl Job {
    fn new(id: JobId, mut template: BlockTemplate, made: Timestamp, shares_max: usize) -> Self {
        template.coinbase.number(id.0);
        let prefix = Sha256::new_with_prefix(template.coinbase.head());
        Self { id, template, made, stale_since: AtomicU64::new(0), prefix, seen: SeenShares::new(shares_max) }
    }

    /// Returns the version of a share's header: outside of the bits that may be rolled the template's (BIP-0310).
    pub fn version_of(&self, submission: &Submission) -> u32 {
        let mask = submission.version_mask & self.template.version_mask;
        let bits = submission.version_bits.unwrap_or(self.template.version & mask);
        (self.template.version & !mask) | (bits & mask)
    }

    /// Returns for how many milliseconds the job's tip has been another's; 0 while it stands, at least 1 afterwards.
    pub fn stale_ms(&self, now: Timestamp) -> u64 {
        match self.stale_since.load(Ordering::Acquire) {
            0 => 0,
            since => now.to_millis().saturating_sub(since).max(1),
        }
    }

    fn retire(&self, now: Timestamp) {
        // The first tip that took its place counts.
        let since = now.to_millis().max(1);
        let _ = self.stale_since.compare_exchange(0, since, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Returns the hash of the coinbase's head, to go on from.
    pub(crate) fn prefix(&self) -> Sha256 {
        self.prefix.clone()
    }

    /// Returns the shares seen for the job.
    pub(crate) fn seen(&self) -> &SeenShares {
        &self.seen
    }
}

impl JobBook {
    /// Begins with no job. `first` is the number of the first: numbers of an earlier run of the pool should not come again soon.
    pub fn new(rules: JobRules, first: u32) -> Self {
        let jobs = Jobs { next: first, known: VecDeque::new() };
        Self { rules, jobs: RwLock::new(jobs) }
    }

    /// Returns the newest job whose tip stands, however old: what miners go on with while no upstream answers.
    pub fn newest(&self) -> Option<Arc<Job>> {
        self.read().newest().cloned()
    }

    /// Takes a template. While the tip stands and the newest job is young enough, that job goes on; otherwise the template becomes the newest job.
    /// In a peer-to-peer pool each certified round has a job of its own.
    pub fn offer(&self, template: BlockTemplate, now: Timestamp) -> Result<Offered, TemplateError> {
        template.check()?;
        let mut jobs = self.write();
        jobs.forget(&self.rules, now);
        let current = jobs.newest().filter(|job| job.template.previous == template.previous).cloned();
        let goes_on = |job: &&Arc<Job>| {
            let base_stands = job.template.coinbase.base == template.coinbase.base;
            base_stands && self.serves(job, now) && !self.gains(job, &template)
        };
        if let Some(job) = current.as_ref().filter(goes_on) {
            return Ok(Offered { job: job.clone(), is_new: false, clean: false });
        }
        let clean = current.is_none();
        jobs.replace(clean, now);
        let job = Arc::new(Job::new(JobId(jobs.next), template, now, self.rules.shares_max));
        jobs.next = jobs.next.wrapping_add(1);
        jobs.known.push_back(Known { job: job.clone(), replaced: None });
        jobs.forget(&self.rules, now);
        Ok(Offered { job, is_new: true, clean })
    }

    /// Returns a job by its number.
    pub fn job(&self, id: JobId) -> Option<Arc<Job>> {
        // A late share's job is close to the end.
        self.read().known.iter().rev().find(|known| known.job.id == id).map(|known| known.job.clone())
    }

    /// Returns how many jobs are known, and how many shares are remembered for them.
    pub fn sizes(&self) -> (usize, usize) {
        let jobs = self.read();
        (jobs.known.len(), jobs.known.iter().map(|known| known.job.seen.count()).sum())
    }

    fn serves(&self, job: &Job, now: Timestamp) -> bool {
        job.stale_ms(now) == 0 && now.to_millis().saturating_sub(job.made.to_millis()) < self.rules.lifetime_ms
    }

    fn gains(&self, job: &Job, template: &BlockTemplate) -> bool {
        let (old, new) = (job.template.reward.to_atoms(), template.reward.to_atoms());
        let wanted = u128::from(old) * (1000 + u128::from(self.rules.gain_thousandths));
        new > old && u128::from(new) * 1000 >= wanted
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Jobs> {
        self.jobs.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Jobs> {
        self.jobs.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Jobs {
    /// The job that is handed out, while its tip stands.
    fn newest(&self) -> Option<&Arc<Job>> {
        let newest = self.known.back().map(|known| &known.job)?;
        (newest.stale_since.load(Ordering::Acquire) == 0).then_some(newest)
    }

    /// Makes room at the end: the newest is no longer handed out, and where the tip has changed all are late.
    fn replace(&mut self, clean: bool, now: Timestamp) {
        for known in &mut self.known {
            known.replaced.get_or_insert(now);
            if clean {
                known.job.retire(now);
            }
        }
    }

    fn forget(&mut self, rules: &JobRules, now: Timestamp) {
        let too_old = |known: &Known| {
            known.replaced.is_some_and(|at| now.to_millis().saturating_sub(at.to_millis()) >= rules.known_ms)
        };
        while self.known.len() > rules.jobs_max.max(1) || self.known.front().is_some_and(too_old) {
            self.known.pop_front();
        }
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::template::tests::sample;
    use crate::work::template::{Base, COMMITMENT_BYTES};
    use adit_primitives::{Amount, BlockId, Hash256};

    const RULES: JobRules =
        JobRules { lifetime_ms: 30_000, known_ms: 60_000, jobs_max: 4, shares_max: 10, gain_thousandths: 10 };

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + ms)
    }

    fn over(tip: u8) -> BlockTemplate {
        BlockTemplate { previous: BlockId([tip; 32]), ..sample() }
    }

    fn paying(atoms: u64) -> BlockTemplate {
        BlockTemplate { reward: Amount::from_atoms(atoms), ..over(1) }
    }

    /// Offers a template; returns the job's number, whether it is new, and whether it voids those before.
    fn offer(book: &JobBook, template: BlockTemplate, ms: u64) -> (u32, bool, bool) {
        let offered = book.offer(template, at(ms)).unwrap();
        (offered.job.id.0, offered.is_new, offered.clean)
    }

    #[test]
    fn a_job_serves_while_its_tip_stands_and_it_is_young() {
        let book = JobBook::new(RULES, 7);
        assert!(book.newest().is_none());
        assert_eq!(offer(&book, over(1), 0), (7, true, true));
        assert_eq!(offer(&book, over(1), 29_999), (7, false, false));
        assert!(book.newest().is_some(), "miners go on with it, however old");
        assert_eq!(offer(&book, over(1), 30_000), (8, true, false));
        assert_eq!(offer(&book, over(2), 30_001), (9, true, true));
    }

    #[test]
    fn a_template_that_pays_a_hundredth_more_is_taken_at_once() {
        let book = JobBook::new(RULES, 0);
        assert_eq!(offer(&book, paying(50_000), 0), (0, true, true));
        assert_eq!(offer(&book, paying(50_499), 1), (0, false, false));
        assert_eq!(offer(&book, paying(50_500), 1), (1, true, false));
        assert_eq!(offer(&book, paying(40_000), 1), (1, false, false));
    }

    #[test]
    fn another_certified_round_is_another_job_at_once() {
        let book = JobBook::new(RULES, 0);
        let on = |base| {
            let mut template = over(1);
            template.coinbase.before.extend([0; COMMITMENT_BYTES]);
            template.coinbase.base = Some(Base { round: base, root: Hash256([1; 32]) });
            template
        };
        assert_eq!(offer(&book, on(4), 0), (0, true, true));
        assert_eq!(offer(&book, on(4), 1), (0, false, false));
        assert_eq!(offer(&book, on(5), 2), (1, true, false));
    }

    #[test]
    fn a_job_is_late_from_the_moment_its_tip_goes() {
        let book = JobBook::new(RULES, 0);
        let old = book.offer(over(1), at(0)).unwrap().job;
        assert_eq!(old.stale_ms(at(5)), 0);
        assert_eq!(offer(&book, over(2), 10), (1, true, true));
        assert_eq!((old.stale_ms(at(10)), old.stale_ms(at(250))), (1, 240));
        assert_eq!(offer(&book, over(3), 300), (2, true, true));
        assert_eq!(old.stale_ms(at(310)), 300, "the first tip that came counts");
    }

    #[test]
    fn an_old_job_is_known_for_a_while_and_then_forgotten() {
        let book = JobBook::new(RULES, 0);
        offer(&book, over(1), 0);
        offer(&book, over(2), 1000);
        assert!(book.job(JobId(0)).is_some_and(|job| job.stale_ms(at(1001)) > 0));
        offer(&book, over(2), 61_000);
        assert!(book.job(JobId(0)).is_none());
        assert!(book.job(JobId(1)).is_some_and(|job| job.stale_ms(at(61_000)) == 0), "its tip stands");
    }

    #[test]
    fn jobs_are_bounded() {
        let book = JobBook::new(RULES, u32::MAX - 50);
        for tip in 0..100 {
            offer(&book, over(tip), tip.into());
        }
        assert_eq!(book.sizes(), (RULES.jobs_max, 0));
        assert!(book.job(JobId(48)).is_some(), "numbers go on from 0");
    }

    #[test]
    fn a_template_that_cannot_be_mined_is_no_job() {
        let book = JobBook::new(RULES, 0);
        let wrong = BlockTemplate { earliest: u32::MAX, ..over(1) };
        assert!(matches!(book.offer(wrong, at(0)), Err(TemplateError::Time { .. })));
        assert_eq!(book.sizes().0, 0);
    }
}
