use super::*;
use crate::work::extranonce::Extranonce;
use crate::work::job::{Job, JobId, JobRules};
use crate::work::share::target_of;
use crate::work::template::tests::sample;
use crate::work::template::{Base, BlockTemplate, COMMITMENT_BYTES};
use crate::work::workers::WorkerRules;
use adit_primitives::accounts::WorkerId;
use adit_primitives::contract::payout::AccountId;
use adit_primitives::contract::shares::{Claim, Judgement, ShareDifficulty, ShareVerdict, WorkHistory};
use adit_primitives::contract::{Scan, SearchJob};
use adit_primitives::{BlockId, sha256d};
use proptest::prelude::*;
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

const NOW: Timestamp = Timestamp::from_secs(1_000_010);
const RULES: JobRules =
    JobRules { lifetime_ms: 30_000, known_ms: 60_000, jobs_max: 8, shares_max: 100, gain_thousandths: 10 };
/// A share of sixteen hashes; a block takes sixty-four.
const EASY: ShareDifficulty = ShareDifficulty::from_log2_hashes(4);

/// Double SHA-256, with what goes wrong.
#[derive(Clone, Copy, PartialEq)]
enum Hasher {
    Right,
    /// Says that every header is a block.
    Lies,
    Faults,
    /// Gives one digest too few.
    Short,
}

impl HashEngine for Hasher {
    fn digest_many(&mut self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) -> Result<(), Fault> {
        let right = inputs.chunks(each).map(|input| Hash256(sha256d(input)));
        match self {
            Self::Right => digests.extend(right),
            Self::Lies => digests.extend(right.map(|digest| Hash256([digest.0[0], 0].repeat(16).try_into().unwrap()))),
            Self::Faults => return Err(short("digest-many", 0, 1)),
            Self::Short => digests.extend(right.skip(1)),
        }
        Ok(())
    }

    fn search(&mut self, _: &SearchJob, _: u64, _: u64) -> Result<Scan, Fault> {
        unreachable!("a pool does not search")
    }
}

/// Answers from a list, over and over, or with a number of answers of its own.
struct Validator {
    answers: Vec<Judgement>,
    asked: Arc<AtomicUsize>,
    missing: usize,
}

impl Validator {
    fn always(verdict: ShareVerdict, audit: bool) -> Self {
        Self { answers: vec![Judgement { verdict, audit }], asked: Arc::default(), missing: 0 }
    }
}

impl ShareEngine for Validator {
    fn judge(&mut self, claims: &[Claim]) -> Result<Vec<Judgement>, Fault> {
        let first = self.asked.fetch_add(claims.len(), Ordering::Relaxed);
        let answers = self.answers.iter().cycle().skip(first % self.answers.len());
        Ok(answers.copied().take(claims.len() - self.missing).collect())
    }

    fn retarget(&mut self, _: &[WorkHistory]) -> Result<Vec<ShareDifficulty>, Fault> {
        unreachable!("a checker does not retarget")
    }
}

struct World {
    jobs: Arc<JobBook>,
    job: Arc<Job>,
    checker: Checker,
    blocks: Vec<SolvedBlock>,
}

impl World {
    /// Has a job over another tip take the place of the newest.
    fn move_tip(&self, at: Timestamp) {
        self.jobs.offer(BlockTemplate { previous: BlockId([1; 32]), ..sample() }, at).unwrap();
    }

    fn new(native: Option<Hasher>, validator: Validator) -> Self {
        Self::with(RULES, native, Hasher::Right, validator)
    }

    fn accepting() -> Self {
        Self::new(Some(Hasher::Right), Validator::always(ShareVerdict::Accept, false))
    }

    fn with(rules: JobRules, native: Option<Hasher>, sandbox: Hasher, validator: Validator) -> Self {
        let jobs = Arc::new(JobBook::new(rules, 1));
        let job = jobs.offer(sample(), NOW).unwrap().job;
        let checker = checker(&jobs, native, sandbox, validator);
        Self { jobs, job, checker, blocks: Vec::new() }
    }

    fn check(&mut self, batch: &[Submission]) -> Checked {
        let blocks = &mut self.blocks;
        self.checker.check(batch, NOW, &mut |block| blocks.push(block))
    }

    #[track_caller]
    fn check_outcomes(&mut self, batch: &[Submission], want: &[Outcome]) {
        assert_eq!(self.check(batch), Checked { outcomes: want.to_vec(), troubles: vec![] });
    }

    /// Finds submissions whose digests are as wanted, each with another nonce.
    fn search(&self, count: usize, wanted: impl Fn(&Submission, Hash256) -> bool) -> Vec<Submission> {
        let tried = (0..).map(|nonce| submission(&self.job, nonce));
        tried.filter(|tried| wanted(tried, digest_of(&self.job, tried))).take(count).collect()
    }

    /// Finds shares that meet their target and are no blocks.
    fn shares(&self, count: usize) -> Vec<Submission> {
        self.search(count, |_, digest| target_of(EASY).is_met_by(&digest.0) && !self.is_block(digest))
    }

    fn block(&self) -> Submission {
        self.search(1, |_, digest| self.is_block(digest))[0]
    }

    fn is_block(&self, digest: Hash256) -> bool {
        self.job.template.target.is_met_by(&digest.0)
    }
}

fn checker(jobs: &Arc<JobBook>, native: Option<Hasher>, sandbox: Hasher, validator: Validator) -> Checker {
    let rules = WorkerRules { workers_max: 10, idle_ms: 1000, shares_per_second: 100 };
    Checker::new(CheckerParts {
        jobs: jobs.clone(),
        workers: Arc::new(Workers::new(rules)),
        native: native.map(|native| Box::new(native) as Box<dyn HashEngine>),
        sandbox: Box::new(sandbox),
        tree: None,
        validator: Box::new(validator),
    })
}

fn submission(job: &Job, nonce: u32) -> Submission {
    Submission {
        account: AccountId(1),
        worker: WorkerId(1),
        job: job.id,
        difficulty: EASY,
        extranonce1: Extranonce::new(&[7, 0, 0, 1]).unwrap(),
        extranonce2: Extranonce::new(&[0, 0, 0, 2]).unwrap(),
        time: job.template.time,
        nonce,
        version_bits: None,
        version_mask: 0x1fff_e000,
        commitment: None,
    }
}

/// Builds the header of a submission from the protocol's rules alone.
fn header_of(job: &Job, submission: &Submission) -> [u8; HEADER_BYTES] {
    let template = &job.template;
    let mask = submission.version_mask & template.version_mask;
    let bits = submission.version_bits.unwrap_or(template.version);
    let (pool, miner) = (submission.extranonce1.as_bytes(), submission.extranonce2.as_bytes());
    let coinbase = template.coinbase.with(submission.commitment.as_ref(), pool, miner);
    let version = template.version & !mask | bits & mask;
    template.header(template.root(&coinbase), version, submission.time, submission.nonce)
}

fn digest_of(job: &Job, submission: &Submission) -> Hash256 {
    Hash256(sha256d(&header_of(job, submission)))
}

const ACCEPTED: Outcome = Outcome::Accepted { is_block: false };

const fn refused(refusal: Refusal) -> Outcome {
    Outcome::Refused(refusal)
}

#[test]
fn a_share_counts_once_whoever_checks_it_and_however_often_it_comes() {
    let mut world = World::accepting();
    let shares = world.shares(2);
    let duplicate = refused(Refusal::Duplicate);
    world.check_outcomes(&[shares[0], shares[1], shares[0]], &[ACCEPTED, ACCEPTED, duplicate]);
    let mut other = checker(&world.jobs, None, Hasher::Right, Validator::always(ShareVerdict::Accept, false));
    assert_eq!(other.check(&shares, NOW, &mut |_| ()).outcomes, [duplicate, duplicate]);
}

#[test]
fn the_same_header_is_one_share_however_its_version_is_said() {
    let mut world = World::accepting();
    let share = world.shares(1)[0];
    let said = Submission { version_bits: Some(0), ..share };
    world.check_outcomes(&[share, said], &[ACCEPTED, refused(Refusal::Duplicate)]);
}

#[test]
fn a_share_of_one_job_is_none_of_another_with_an_equal_template() {
    let mut world = World::accepting();
    let later = Timestamp::from_millis(NOW.to_millis() + RULES.lifetime_ms);
    let other = world.jobs.offer(sample(), later).unwrap().job;
    let share = world.shares(1)[0];
    assert_ne!(header_of(&world.job, &share), header_of(&other, &share));
    let again = Submission { job: other.id, ..share };
    let again = (0..)
        .map(|nonce| Submission { nonce, ..again })
        .find(|again| !target_of(EASY).is_met_by(&digest_of(&other, again).0));
    world.check_outcomes(&[share, again.unwrap()], &[ACCEPTED, refused(Refusal::LowDifficulty)]);
}

#[test]
fn a_share_without_a_header_is_refused_before_anything_is_hashed() {
    let mut world = World::accepting();
    let share = world.shares(1)[0];
    let batch = [
        Submission { job: JobId(99), ..share },
        Submission { extranonce2: Extranonce::new(&[0, 0, 2]).unwrap(), ..share },
        share,
        Submission { job: JobId(99), nonce: 5, ..share },
    ];
    let unknown = refused(Refusal::UnknownJob);
    world.check_outcomes(&batch, &[unknown, refused(Refusal::Extranonce), ACCEPTED, unknown]);
}

#[test]
fn a_share_is_measured_by_the_difficulty_of_its_job_and_the_extranonce_of_its_connection() {
    let mut world = World::accepting();
    let harder = ShareDifficulty::from_log2_hashes(5);
    let wanted = |_: &Submission, digest: Hash256| {
        target_of(EASY).is_met_by(&digest.0) && !target_of(harder).is_met_by(&digest.0)
    };
    let share = world.search(1, wanted)[0];
    let low = refused(Refusal::LowDifficulty);
    world.check_outcomes(&[Submission { difficulty: harder, ..share }, share], &[low, ACCEPTED]);
    let stolen = (0..).map(|byte| Submission { extranonce1: Extranonce::new(&[8, 0, 0, byte]).unwrap(), ..share });
    let stolen = stolen.filter(|stolen| !target_of(EASY).is_met_by(&digest_of(&world.job, stolen).0)).take(1);
    world.check_outcomes(&stolen.collect::<Vec<_>>(), &[low]);
}

#[test]
fn bits_outside_of_the_mask_and_times_before_the_earliest_are_refused_whatever_the_validator_says() {
    let mut world = World::accepting();
    let meets = |submission: &Submission| target_of(EASY).is_met_by(&digest_of(&world.job, submission).0);
    let with = |change: fn(Submission) -> Submission| {
        (0..).map(|nonce| change(submission(&world.job, nonce))).find(|tried| meets(tried)).unwrap()
    };
    let rolled = with(|share| Submission { version_bits: Some(0x1000_2000), ..share });
    let outside = with(|share| Submission { version_bits: Some(0x0000_4001), ..share });
    let masked = with(|share| Submission { version_bits: Some(0x0000_8000), version_mask: 0x4000, ..share });
    let early = with(|share| Submission { time: 999_989, ..share });
    let outcomes = world.check(&[rolled, outside, masked, early]).outcomes;
    assert!(matches!(outcomes[0], Outcome::Accepted { .. }));
    assert_eq!(outcomes[1..], [Refusal::Version, Refusal::Version, Refusal::Time].map(refused));
}

#[test]
fn a_block_goes_out_once_and_whole() {
    let mut world = World::accepting();
    let block = world.block();
    world.check_outcomes(&[block, block], &[Outcome::Accepted { is_block: true }, refused(Refusal::Duplicate)]);
    let header = header_of(&world.job, &block);
    let coinbase = world.job.template.coinbase.with(None, &[7, 0, 0, 1], &[0, 0, 0, 2]);
    let [found] = world.blocks.as_slice() else { panic!("one block, not {}", world.blocks.len()) };
    assert_eq!((found.submission, found.header), (block, header));
    assert_eq!(found.id, BlockId(sha256d(&header)));
    assert_eq!(found.block, [&header[..], &[3], &coinbase, &[4; 9]].concat());
}

#[test]
fn a_block_goes_out_whatever_becomes_of_its_share() {
    for verdict in [ShareVerdict::Stale, ShareVerdict::Time, ShareVerdict::Policy, ShareVerdict::LowDifficulty] {
        let mut world = World::new(Some(Hasher::Right), Validator::always(verdict, false));
        let refusal = Refusal::of(verdict).unwrap();
        world.check_outcomes(&[world.block()], &[refused(refusal)]);
        assert_eq!(world.blocks.len(), 1, "{refusal:?}");
    }
    let mut world = World::accepting();
    let hard = Submission { difficulty: ShareDifficulty::MAX, ..world.block() };
    world.check_outcomes(&[hard], &[refused(Refusal::LowDifficulty)]);
    assert_eq!(world.blocks.len(), 1, "a block that misses its share's difficulty");
    let mut world = World::accepting();
    world.move_tip(NOW);
    let block = world.block();
    world.check(&[block]);
    assert_eq!(world.blocks.len(), 1, "a late block");
}

#[test]
fn a_block_goes_out_where_the_validator_or_the_memory_fails() {
    let mut silent = Validator::always(ShareVerdict::Accept, false);
    silent.missing = 1;
    let mut world = World::new(None, silent);
    let block = world.block();
    assert_eq!(world.check(&[block]).outcomes, [UNJUDGED]);
    assert_eq!(world.blocks.len(), 1);
    let rules = JobRules { shares_max: 0, ..RULES };
    let mut world = World::with(rules, None, Hasher::Right, Validator::always(ShareVerdict::Accept, false));
    let block = world.block();
    world.check_outcomes(&[block], &[refused(Refusal::Full)]);
    assert_eq!(world.blocks.len(), 1);
}

#[test]
fn what_does_not_fit_the_memory_is_refused_and_nothing_is_forgotten() {
    let rules = JobRules { shares_max: 2, ..RULES };
    let mut world = World::with(rules, None, Hasher::Right, Validator::always(ShareVerdict::Accept, false));
    let shares = world.shares(3);
    let full = refused(Refusal::Full);
    world.check_outcomes(&shares, &[ACCEPTED, ACCEPTED, full]);
    let duplicate = refused(Refusal::Duplicate);
    world.check_outcomes(&shares, &[duplicate, duplicate, full]);
}

#[test]
fn a_validator_is_told_the_facts() {
    struct Facts(Arc<std::sync::Mutex<Vec<Claim>>>);
    impl ShareEngine for Facts {
        fn judge(&mut self, claims: &[Claim]) -> Result<Vec<Judgement>, Fault> {
            self.0.lock().unwrap().extend_from_slice(claims);
            Ok(vec![Judgement { verdict: ShareVerdict::Accept, audit: false }; claims.len()])
        }
        fn retarget(&mut self, _: &[WorkHistory]) -> Result<Vec<ShareDifficulty>, Fault> {
            unreachable!("a checker does not retarget")
        }
    }
    let mut world = World::accepting();
    let told = Arc::default();
    world.checker.parts.validator = Box::new(Facts(Arc::clone(&told)));
    let share = world.shares(1)[0];
    let miss = world.search(1, |_, digest| !target_of(EASY).is_met_by(&digest.0))[0];
    world.check(&[share]);
    world.move_tip(Timestamp::from_millis(NOW.to_millis() - 250));
    world.check(&[
        share,
        Submission { time: share.time + 8, version_bits: Some(1), difficulty: ShareDifficulty::MAX, ..miss },
    ]);
    let told = told.lock().unwrap();
    let fresh = (told[0].meets, told[0].duplicate, told[0].stale_ms, told[0].record.valid);
    assert_eq!(fresh, (true, false, 0, 0));
    let again = (told[1].meets, told[1].duplicate, told[1].stale_ms, told[1].record.valid);
    assert_eq!(again, (true, true, 250, 1));
    let other = (told[2].meets, told[2].duplicate, told[2].version_outside, told[2].time_offset_s);
    assert_eq!(other, (false, false, true, 8));
}

#[test]
fn a_native_engine_that_lies_about_a_block_is_dropped_and_nothing_goes_out() {
    let mut world = World::new(Some(Hasher::Lies), Validator::always(ShareVerdict::Accept, false));
    let share = world.shares(1)[0];
    let miss = world.search(1, |_, digest| !target_of(EASY).is_met_by(&digest.0))[0];
    let checked = world.check(&[miss, share]);
    assert_eq!(checked.outcomes, [refused(Refusal::LowDifficulty), ACCEPTED]);
    let [Trouble::NativeDiffers { header, sandbox, .. }] = checked.troubles.as_slice() else {
        panic!("{:?}", checked.troubles)
    };
    assert_eq!((*header, *sandbox), (header_of(&world.job, &miss), digest_of(&world.job, &miss)));
    assert!(world.blocks.is_empty() && !world.checker.is_native());
}

#[test]
fn an_audit_finds_a_native_engine_that_misses_shares() {
    /// Never finds anything.
    struct Blind;
    impl HashEngine for Blind {
        fn digest_many(&mut self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) -> Result<(), Fault> {
            digests.extend(inputs.chunks(each).map(|_| Hash256([0xff; 32])));
            Ok(())
        }
        fn search(&mut self, _: &SearchJob, _: u64, _: u64) -> Result<Scan, Fault> {
            unreachable!("a pool does not search")
        }
    }
    for audit in [false, true] {
        let mut world = World::new(None, Validator::always(ShareVerdict::Accept, audit));
        world.checker.parts.native = Some(Box::new(Blind));
        let batch = [world.shares(1)[0], world.block()];
        let checked = world.check(&batch);
        let low = refused(Refusal::LowDifficulty);
        let want = if audit { [ACCEPTED, Outcome::Accepted { is_block: true }] } else { [low, low] };
        assert_eq!(checked.outcomes, want);
        assert_eq!((checked.troubles.len(), world.blocks.len()), (usize::from(audit), usize::from(audit)));
    }
}

#[test]
fn where_native_code_fails_the_sandbox_goes_on() {
    for native in [Hasher::Faults, Hasher::Short] {
        let mut world = World::new(Some(native), Validator::always(ShareVerdict::Accept, true));
        let share = world.shares(1)[0];
        let checked = world.check(&[share]);
        assert_eq!(checked.outcomes, [ACCEPTED]);
        assert!(matches!(checked.troubles.as_slice(), [Trouble::NativeFault(_)]));
        assert!(!world.checker.is_native());
    }
}

#[test]
fn what_could_not_be_judged_may_come_again() {
    let mut silent = Validator::always(ShareVerdict::Accept, false);
    silent.missing = 1;
    let mut world = World::new(Some(Hasher::Right), silent);
    let shares = world.shares(2);
    let checked = world.check(&shares);
    assert_eq!(checked.outcomes, [UNJUDGED; 2]);
    assert!(matches!(checked.troubles.as_slice(), [Trouble::ValidatorFault(_)]));
    world.checker.parts.validator = Box::new(Validator::always(ShareVerdict::Accept, false));
    world.checker.parts.native = None;
    world.checker.parts.sandbox = Box::new(Hasher::Faults);
    let checked = world.check(&shares);
    assert_eq!(checked.outcomes, [UNJUDGED; 2]);
    assert!(matches!(checked.troubles.as_slice(), [Trouble::SandboxFault(_)]));
    world.checker.parts.sandbox = Box::new(Hasher::Right);
    world.check_outcomes(&shares, &[ACCEPTED; 2]);
}

#[test]
fn a_tree_engine_that_fails_is_dropped_and_its_batch_is_checked() {
    let mut world = World::accepting();
    world.checker.parts.tree = Some(Box::new(Hasher::Short));
    let shares = world.shares(6);
    let checked = world.check(&shares);
    assert_eq!(checked.outcomes, [ACCEPTED; 6]);
    assert!(matches!(checked.troubles.as_slice(), [Trouble::TreeFault(_)]));
    assert!(world.checker.parts.tree.is_none());
}

fn any_submissions() -> impl Strategy<Value = Vec<Submission>> {
    let job = World::accepting().job;
    let share =
        (0u32..24, 0u8..3, 0u8..3, 0u32..2, 0u8..7, 0u8..2).prop_map(move |(nonce, one, two, time, log2, unknown)| {
            Submission {
                job: JobId(job.id.0 + u32::from(unknown)),
                difficulty: ShareDifficulty::from_log2_hashes(log2),
                extranonce1: Extranonce::new(&[7, 0, 0, one]).unwrap(),
                extranonce2: Extranonce::new(&[0, 0, 0, two]).unwrap(),
                time: job.template.time + time,
                ..submission(&job, nonce)
            }
        });
    prop::collection::vec(share, 0..120)
}

fn any_judgements() -> impl Strategy<Value = Vec<Judgement>> {
    let verdicts = [
        ShareVerdict::Accept,
        ShareVerdict::Accept,
        ShareVerdict::Policy,
        ShareVerdict::Duplicate,
        ShareVerdict::Stale,
    ];
    let judgement = (prop::sample::select(verdicts.to_vec()), any::<bool>());
    prop::collection::vec(judgement.prop_map(|(verdict, audit)| Judgement { verdict, audit }), 1..9)
}

proptest! {
    #[test]
    fn no_validator_gets_a_share_counted_that_misses_its_target_or_came_before(
        batches in prop::collection::vec(any_submissions(), 1..4), answers in any_judgements(), lies: bool, lanes: bool,
    ) {
        let validator = Validator { answers, asked: Arc::default(), missing: 0 };
        let native = if lies { Hasher::Lies } else { Hasher::Right };
        let rules = JobRules { shares_max: 10_000, ..RULES };
        let mut world = World::with(rules, Some(native), Hasher::Right, validator);
        world.checker.parts.tree = lanes.then(|| Box::new(Hasher::Right) as Box<dyn HashEngine>);
        let (mut counted, mut blocks) = (HashSet::new(), HashSet::new());
        for batch in batches {
            let outcomes = world.check(&batch).outcomes;
            prop_assert_eq!(outcomes.len(), batch.len());
            for (submission, outcome) in batch.iter().zip(outcomes) {
                if submission.job != world.job.id {
                    prop_assert_eq!(outcome, refused(Refusal::UnknownJob));
                    continue;
                }
                let header = header_of(&world.job, submission);
                let digest = digest_of(&world.job, submission);
                if let Outcome::Accepted { is_block } = outcome {
                    prop_assert!(target_of(submission.difficulty).is_met_by(&digest.0));
                    prop_assert!(counted.insert(header), "counted twice");
                    prop_assert_eq!(is_block, world.is_block(digest));
                }
                if world.is_block(digest) {
                    blocks.insert(header);
                }
            }
        }
        let reported: Vec<_> = world.blocks.iter().map(|block| block.header).collect();
        prop_assert_eq!(reported.len(), blocks.len(), "each block once");
        prop_assert!(reported.iter().all(|header| blocks.contains(header)));
    }
}

#[test]
fn in_a_peer_to_peer_pool_a_share_is_hashed_with_what_its_worker_committed_to() {
    let mut template = BlockTemplate { previous: BlockId([3; 32]), ..sample() };
    template.coinbase.before.extend([0; COMMITMENT_BYTES]);
    template.coinbase.base = Some(Base { round: 4, root: Hash256([4; 32]) });
    let mut world = World::accepting();
    world.job = world.jobs.offer(template, NOW).unwrap().job;
    let commitments = [[8; COMMITMENT_BYTES], [9; COMMITMENT_BYTES]];
    let job = Arc::clone(&world.job);
    let meets = |share: &Submission| target_of(EASY).is_met_by(&digest_of(&job, share).0);
    let of = |commitment| {
        let tried = (0..).map(|nonce| Submission { commitment: Some(commitment), ..submission(&job, nonce) });
        tried.filter(meets).take(5).collect::<Vec<_>>()
    };
    let shares: Vec<Submission> = commitments.into_iter().flat_map(of).collect();
    let stolen = shares.iter().map(|share| Submission { commitment: Some([7; COMMITMENT_BYTES]), ..*share });
    let stolen = stolen.filter(|stolen| !meets(stolen)).take(1);
    let batch: Vec<Submission> = shares.iter().copied().chain(stolen).collect();
    let before = world.job.template.coinbase.before_of(Some(&commitments[0]));
    assert!(before.ends_with(&[&commitments[0][..], &world.job.id.0.to_be_bytes()].concat()));
    assert_eq!(before.len(), world.job.template.coinbase.before.len());

    let none = Submission { commitment: None, ..shares[0] };
    assert_eq!(world.check(&[none]).outcomes, [refused(Refusal::UnknownJob)]);
    // With lanes for trees and without, and a block has the coinbase that was hashed.
    world.checker.parts.tree = Some(Box::new(Hasher::Right));
    let outcomes = world.check(&batch).outcomes;
    assert!(outcomes[..10].iter().all(|outcome| matches!(outcome, Outcome::Accepted { .. })), "{outcomes:?}");
    assert_eq!(outcomes[10], refused(Refusal::LowDifficulty));
    world.checker.parts.tree = None;
    assert_eq!(world.check(&shares).outcomes, [refused(Refusal::Duplicate); 10]);
    for block in &world.blocks {
        assert_eq!(block.header, header_of(&world.job, &block.submission));
    }
}
