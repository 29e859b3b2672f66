use super::*;
use crate::work::farm::tests::{RULES, sample};
use crate::work::farm::{SpaceBook, SpaceTemplate};
use crate::work::workers::WorkerRules;
use adit_primitives::contract::shares::{ShareVerdict, WorkHistory};
use adit_primitives::contract::space::Challenge;
use adit_primitives::contract::{
    Candidate, Draft, Placement, PowInput, Requirements, Scan, SearchJob, Template, Violation,
};
use adit_primitives::engine::{FaultClass, SharedView, SpaceRules};
use adit_primitives::{Decode, Encode, Target, U256};
use std::sync::atomic::{AtomicUsize, Ordering};

const NOW: Timestamp = Timestamp::from_millis(1_000_500);

/// A share of one score in sixteen; the sample's block takes sixty-four.
const EASY: ShareDifficulty = ShareDifficulty::from_log2_hashes(4);

/// Rules whose proofs are the claims' bytes behind the header, and whose signatures are their claim's index in the first byte.
#[derive(Default)]
struct Rules {
    faults: bool,
    decoded: AtomicUsize,
}

fn fault() -> Fault {
    Fault { class: FaultClass::Plugin, plugin: String::new(), function: String::new(), detail: "by order".to_owned() }
}

fn violation() -> Violation {
    Violation { rule: "signature".to_owned(), detail: String::new() }
}

impl RulesEngine for Rules {
    fn genesis(&self) -> Result<Vec<u8>, Fault> {
        unreachable!("a pool makes no chain")
    }

    fn decode(&self, headers: &[Vec<u8>]) -> Result<Vec<Result<HeaderView, Violation>>, Fault> {
        self.decoded.fetch_add(headers.len(), Ordering::Relaxed);
        if self.faults {
            return Err(fault());
        }
        let decode = |header: &Vec<u8>| {
            let proof = SpaceProof::from_bytes(&header[20..]).map_err(|_| violation())?;
            let PlotPlace::Plain { index, .. } = proof.claim.place else { return Err(violation()) };
            if u64::from(proof.signature[0]) != index % 256 {
                return Err(violation());
            }
            let bytes = [&proof.claim.challenge.0[..], &index.to_le_bytes()].concat();
            Ok(HeaderView {
                id: BlockId(Sha256::digest(header).into()),
                parents: vec![],
                time: NOW,
                bits: 0,
                body_root: Hash256::default(),
                pow: PowInput { bytes, nonce_offset: 0, nonce_bytes: 0, roll_offset: 0, roll_mask: 0 },
            })
        };
        Ok(headers.iter().map(decode).collect())
    }

    fn place(&self, _: &SharedView, _: &[Candidate]) -> Result<Vec<Result<Placement, Violation>>, Fault> {
        unreachable!("a pool places nothing")
    }

    fn next(&self, _: &SharedView, _: &[BlockId], _: Option<u64>) -> Result<Result<Requirements, Violation>, Fault> {
        unreachable!("an upstream makes templates")
    }

    fn encode(&self, _: &Draft) -> Result<Result<Template, Violation>, Fault> {
        unreachable!("an upstream makes templates")
    }

    fn difficulty(&self, _: u32) -> Result<Result<String, Violation>, Fault> {
        unreachable!("an upstream makes templates")
    }

    fn seal(&self, _: &[u8], _: u64, _: u32) -> Result<Result<Vec<u8>, Violation>, Fault> {
        unreachable!("nobody found a nonce")
    }

    fn space(&self) -> Option<&dyn SpaceRules> {
        Some(self)
    }
}

impl SpaceRules for Rules {
    fn challenge(&self, _: &SharedView, _: &[BlockId], _: Timestamp) -> Result<Result<Challenge, Violation>, Fault> {
        unreachable!("an upstream asks")
    }

    fn registered(&self, _: &[u8]) -> Result<Result<Vec<Registration>, Violation>, Fault> {
        unreachable!("an upstream reads the chain")
    }

    fn prove(&self, header: &[u8], proof: &SpaceProof) -> Result<Result<Vec<u8>, Violation>, Fault> {
        Ok(Ok([header, &proof.to_bytes()].concat()))
    }
}

/// Scores by SHA-256.
#[derive(Default)]
struct Scores {
    short: bool,
}

impl HashEngine for Scores {
    fn digest_many(&mut self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) -> Result<(), Fault> {
        let all = inputs.chunks(each).skip(usize::from(self.short));
        digests.extend(all.map(|input| Hash256(Sha256::digest(input).into())));
        Ok(())
    }

    fn search(&mut self, _: &SearchJob, _: u64, _: u64) -> Result<Scan, Fault> {
        unreachable!("nobody searches")
    }
}

/// Gives one verdict, or none.
struct Validator(Option<ShareVerdict>);

impl ShareEngine for Validator {
    fn judge(&mut self, claims: &[Claim]) -> Result<Vec<Judgement>, Fault> {
        let verdict = self.0.ok_or_else(fault)?;
        Ok(claims.iter().map(|_| Judgement { verdict, audit: false }).collect())
    }

    fn retarget(&mut self, _: &[WorkHistory]) -> Result<Vec<ShareDifficulty>, Fault> {
        unreachable!("a checker does not retarget")
    }
}

struct World {
    book: SpaceBook,
    rules: Arc<Rules>,
    workers: Arc<Workers>,
    checker: PartialChecker,
    blocks: Vec<SolvedSpace>,
}

impl World {
    fn new() -> Self {
        Self::scored_by(1)
    }

    fn scored_by(engines: usize) -> Self {
        let scores = (0..engines).map(|_| Scores::default()).collect();
        Self::with(Rules::default(), scores, ACCEPTS)
    }

    fn with(rules: Rules, scores: Vec<Scores>, verdict: Option<ShareVerdict>) -> Self {
        let (rules, book) = (Arc::new(rules), SpaceBook::new(RULES, 1));
        let limits = WorkerRules { workers_max: 10, idle_ms: 1_000, shares_per_second: 100 };
        let workers = Arc::new(Workers::new(limits));
        book.offer(sample(1), NOW).unwrap();
        let checker = PartialChecker::new(PartialParts {
            workers: Arc::clone(&workers),
            rules: Arc::clone(&rules) as Arc<dyn RulesEngine>,
            hash: scores.into_iter().map(|scores| Box::new(scores) as Box<dyn HashEngine>).collect(),
            validator: Box::new(Validator(verdict)),
        });
        Self { book, rules, workers, checker, blocks: Vec::new() }
    }

    fn check(&mut self, batch: &[Partial]) -> Checked {
        let blocks = &mut self.blocks;
        self.checker.check(batch, NOW, &mut |block| {
            blocks.push(block);
            true
        })
    }

    #[track_caller]
    fn check_outcomes(&mut self, batch: &[Partial], want: &[Outcome]) {
        assert_eq!(self.check(batch), Checked { outcomes: want.to_vec(), troubles: vec![] });
    }

    /// A proof for a leaf, signed and registered as it should be.
    fn partial(&self, index: u64) -> Partial {
        let job = self.book.newest().unwrap();
        let [seed, root] = [2, 3].map(|byte| Hash256([byte; 32]));
        let place = PlotPlace::Plain { seed, leaves: 1_024, root, index, path: vec![], registered: Height(4) };
        let challenge = job.template.challenge.challenge;
        let claim = SpaceClaim { challenge, key: Hash256([1; 32]), place, registrations: vec![] };
        let mut signature = [0; 64];
        signature[0] = index.to_le_bytes()[0];
        let proof = SpaceProof { claim, signature };
        let (account, worker) = (AccountId(5), WorkerId(6));
        Partial { account, worker, difficulty: EASY, job, proof, registered: Some(Height(4)) }
    }

    /// Finds proofs whose scores are as wanted.
    fn search(&self, count: usize, wanted: impl Fn(&U256) -> bool) -> Vec<Partial> {
        let score = |partial: &Partial| {
            let PlotPlace::Plain { index, .. } = partial.proof.claim.place else { unreachable!() };
            let digest = Sha256::digest([&partial.proof.claim.challenge.0[..], &index.to_le_bytes()].concat());
            U256::from_le_bytes(digest.into())
        };
        (0..).map(|index| self.partial(index)).filter(|partial| wanted(&score(partial))).take(count).collect()
    }

    fn shares(&self, count: usize) -> Vec<Partial> {
        let (share, block) = (target_of(EASY).0, sample(1).challenge.target.0);
        self.search(count, |score| *score <= share && *score > block)
    }

    fn block(&self) -> Partial {
        let block = sample(1).challenge.target.0;
        self.search(1, |score| *score <= block).remove(0)
    }
}

const ACCEPTS: Option<ShareVerdict> = Some(ShareVerdict::Accept);
const COUNTS: Outcome = Outcome::Accepted { is_block: false };

#[test]
fn a_share_counts_once_under_its_challenge_whatever_template_it_is_signed_into() {
    let mut world = World::new();
    let [first, second] = world.shares(2).try_into().unwrap();
    let duplicate = Outcome::Refused(Refusal::Duplicate);
    world.check_outcomes(&[first.clone(), second.clone(), first.clone()], &[COUNTS, COUNTS, duplicate]);
    let later = SpaceTemplate { previous: BlockId([8; 32]), ..sample(1) };
    let job = world.book.offer(later, NOW).unwrap().job;
    assert_ne!(job.id, first.job.id);
    world.check_outcomes(&[Partial { job, ..first }], &[duplicate]);
    let (workers, _) = world.workers.totals(NOW);
    let record = world.workers.status(WorkerId(6), NOW).unwrap().record;
    assert_eq!((workers, record.valid, record.invalid), (1, 2, 2));
}

#[test]
fn a_score_that_misses_the_shares_target_is_refused_and_not_remembered() {
    let mut world = World::new();
    let share = target_of(EASY).0;
    let miss = world.search(1, |score| *score > share).remove(0);
    let low = Outcome::Refused(Refusal::LowDifficulty);
    world.check_outcomes(&[miss.clone(), miss], &[low, low]);
}

#[test]
fn a_block_leaves_once_and_whole_even_where_it_misses_the_share() {
    let mut world = World::new();
    let block = world.block();
    let hard = Partial { difficulty: ShareDifficulty::from_log2_hashes(40), ..block.clone() };
    world.check_outcomes(
        &[hard, block.clone()],
        &[Outcome::Refused(Refusal::LowDifficulty), Outcome::Refused(Refusal::Duplicate)],
    );
    let [solved] = &world.blocks[..] else { panic!("{:?}", world.blocks) };
    let header = [&block.job.template.header[..], &block.proof.to_bytes()].concat();
    assert_eq!(solved.block, block.job.template.block(&header));
    assert_eq!(solved.id, BlockId(Sha256::digest(&header).into()));
    assert_eq!((solved.account, solved.worker), (AccountId(5), WorkerId(6)));
    let mut world = World::new();
    world.check_outcomes(&[world.block()], &[Outcome::Accepted { is_block: true }]);
}

#[test]
fn a_batch_that_is_scored_by_several_counts_as_one_that_is_scored_by_one() {
    let outcomes = |engines: usize, count: u64| {
        let mut world = World::scored_by(engines);
        let batch: Vec<Partial> = (0..count).map(|index| world.partial(index)).collect();
        let checked = world.check(&batch);
        assert_eq!((checked.troubles, checked.outcomes.len() as u64), (vec![], count));
        let blocks: Vec<BlockId> = world.blocks.iter().map(|block| block.id).collect();
        (checked.outcomes, blocks)
    };
    for count in [1, 3, 4, 5, 8, 9, 12, 13, 100] {
        assert_eq!(outcomes(3, count), outcomes(1, count), "{count}");
    }
    assert!(!outcomes(3, 100).1.is_empty(), "blocks are among them");
}

#[test]
fn scores_that_are_missing_anywhere_judge_nothing() {
    let mut world = World::with(Rules::default(), vec![Scores::default(), Scores { short: true }], ACCEPTS);
    let batch: Vec<Partial> = (0..20).map(|index| world.partial(index)).collect();
    let Checked { outcomes, troubles } = world.check(&batch);
    assert_eq!((outcomes, troubles.len()), (vec![UNJUDGED; 20], 1));
}

#[test]
fn a_block_that_is_not_let_out_counts_as_a_share() {
    let mut world = World::new();
    let (block, target) = (world.block(), sample(1).challenge.target.0);
    let second = world.search(2, |score| *score <= target).remove(1);
    let mut offered = Vec::new();
    let mut check = |partial: Partial, out: bool| {
        let checked = world.checker.check(&[partial], NOW, &mut |block| {
            offered.push(block.id);
            out
        });
        assert!(checked.troubles.is_empty());
        checked.outcomes[0]
    };
    assert_eq!(check(block.clone(), true), Outcome::Accepted { is_block: true });
    assert_eq!(check(second.clone(), false), COUNTS);
    // Neither counts again.
    assert_eq!(check(block, true), Outcome::Refused(Refusal::Duplicate));
    assert_eq!(check(second, true), Outcome::Refused(Refusal::Duplicate));
    assert_eq!(offered.len(), 2);
}

#[test]
fn what_does_not_hold_is_refused_before_anything_is_scored() {
    let mut world = World::new();
    let good = world.shares(1).remove(0);
    let change = |change: &dyn Fn(&mut Partial)| {
        let mut partial = good.clone();
        change(&mut partial);
        partial
    };
    let other = change(&|partial| partial.proof.claim.challenge = Hash256([7; 32]));
    let hard = change(&|partial| partial.proof.claim.place = PlotPlace::Hard { nonce: 1 });
    let unknown = change(&|partial| partial.registered = None);
    let elsewhere = change(&|partial| partial.registered = Some(Height(3)));
    let young = change(&|partial| {
        partial.registered = Some(Height(6));
        if let PlotPlace::Plain { registered, .. } = &mut partial.proof.claim.place {
            *registered = Height(6);
        }
    });
    let (proof, plot) = (Outcome::Refused(Refusal::Proof), Outcome::Refused(Refusal::Unregistered));
    world.check_outcomes(&[other, hard, unknown, elsewhere, young], &[proof, proof, plot, plot, plot]);
    assert_eq!(world.rules.decoded.load(Ordering::Relaxed), 0);
    let forged = change(&|partial| partial.proof.signature[0] ^= 1);
    world.check_outcomes(&[forged, good], &[proof, COUNTS]);
}

#[test]
fn a_plot_needs_no_registration_where_the_challenge_asks_for_none() {
    let mut world = World::new();
    let mut free = sample(2);
    free.challenge.registered_by = None;
    world.book.offer(free, NOW).unwrap();
    let good = Partial { registered: None, ..world.shares(1).remove(0) };
    assert_eq!(Partial::needs_registration(&good.job, &good.proof.claim), None);
    world.check_outcomes(&[good], &[COUNTS]);
    let asked = World::new();
    let plot = asked.partial(1);
    let needed = Partial::needs_registration(&plot.job, &plot.proof.claim).unwrap();
    assert_eq!((needed.key, needed.leaves), (Hash256([1; 32]), 1_024));
}

#[test]
fn what_could_not_be_judged_may_come_again() {
    for (rules, scores, verdict, remembered) in [
        (Rules { faults: true, ..Rules::default() }, Scores::default(), Some(ShareVerdict::Accept), false),
        (Rules::default(), Scores { short: true }, Some(ShareVerdict::Accept), false),
        (Rules::default(), Scores::default(), None, false),
        (Rules::default(), Scores::default(), Some(ShareVerdict::Policy), true),
    ] {
        let mut world = World::with(rules, vec![scores], verdict);
        let share = world.shares(1).remove(0);
        let Checked { outcomes, troubles } = world.check(std::slice::from_ref(&share));
        let want = if remembered { Refusal::Policy } else { Refusal::Unjudged };
        assert_eq!((outcomes, troubles.len()), (vec![Outcome::Refused(want)], usize::from(!remembered)));
        let again = share.job.see(Hash256(Sha256::digest(sample_input(&share)).into()));
        assert_eq!(again.is_err(), remembered);
    }
}

/// What the rules of these tests have scored.
fn sample_input(partial: &Partial) -> Vec<u8> {
    let PlotPlace::Plain { index, .. } = partial.proof.claim.place else { unreachable!() };
    [&partial.proof.claim.challenge.0[..], &index.to_le_bytes()].concat()
}

#[test]
fn a_target_that_everything_meets_makes_every_partial_a_block() {
    let mut world = World::new();
    let mut easy = sample(3);
    easy.challenge.target = Target(U256::MAX);
    world.book.offer(easy, NOW).unwrap();
    let partial = world.partial(1);
    world.check(&[partial]);
    assert_eq!(world.blocks.len(), 1);
}
