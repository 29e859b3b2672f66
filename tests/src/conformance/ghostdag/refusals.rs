//! What is refused, and by which rule, on DAGs that are mined block by block in Adit's own format.

use super::BITS;
use crate::conformance::{Subject, kaspa};
use adit_chain::{Accepted, BlockError, Chain, HeaderChain, HeaderError, SecretKey, Solution, TemplateRequest};
use adit_primitives::contract::{Candidate, Draft, HeaderView, Requirements, Violation};
use adit_primitives::engine::{ChainView, RulesEngine, SharedView};
use adit_primitives::storage::MemoryStorage;
use adit_primitives::{BlockId, Hash256, Target, Timestamp, sha256d};
use serde_json::{Value, json};
use std::sync::Arc;

/// When the genesis was.
const START: u64 = 1_700_000_000_000;

/// A DAG whose blocks are told apart by their bodies.
struct Dag {
    rules: Arc<dyn RulesEngine>,
    chain: HeaderChain,
    bodies: u64,
    time: u64,
}

impl Dag {
    /// Begins a DAG with `k`, and with further keys of the configuration.
    fn new(subject: &dyn Subject, k: u16, more: &Value) -> Self {
        let rules = subject.rules("ghostdag", &config(k, more));
        let chain = HeaderChain::from_genesis(rules.clone(), subject.hash("sha256d")).expect("the genesis is placed");
        Self { rules, chain, bodies: 0, time: START }
    }

    fn view(&self) -> SharedView {
        self.chain.index().clone()
    }

    fn genesis(&self) -> BlockId {
        self.chain.index().selected_at(self.chain.horizon()).expect("there is a genesis")
    }

    /// Returns what the next block over `parents` is, a second later than the one before.
    fn draft(&mut self, parents: &[BlockId]) -> Draft {
        self.bodies += 1;
        self.time += 1000;
        let mut body = [0; 32];
        body[..8].copy_from_slice(&self.bodies.to_le_bytes());
        let (time, body_root) = (Timestamp::from_millis(self.time), Hash256(body));
        Draft { parents: parents.to_vec(), bits: BITS, time, body_root }
    }

    fn decode(&self, header: &[u8]) -> Result<HeaderView, Violation> {
        self.rules.decode(&[header.to_vec()]).expect("the plugin answers").remove(0)
    }

    fn encode(&self, draft: &Draft) -> Result<Vec<u8>, Violation> {
        Ok(self.rules.encode(draft).expect("the plugin answers")?.header)
    }

    fn seal(&self, header: &[u8], nonce: u64, rolled: u32) -> Result<Vec<u8>, Violation> {
        self.rules.seal(header, nonce, rolled).expect("the plugin answers")
    }

    fn next(&self, tips: &[BlockId], wish: Option<u64>) -> Result<Requirements, Violation> {
        self.rules.next(&self.view(), tips, wish).expect("the plugin answers")
    }

    /// Returns the first header of a draft whose digest meets the target, or misses it.
    fn solve(&self, draft: &Draft, meets: bool) -> Result<Vec<u8>, Violation> {
        let header = self.encode(draft)?;
        let target = Target::from_compact(draft.bits).expect("a target");
        let sealed = (0..).map(|nonce| self.seal(&header, nonce, 1));
        let mut sealed = sealed.map(|header| header.expect("a nonce fits"));
        Ok(sealed.find(|header| target.is_met_by(&sha256d(&header[..88])) == meets).expect("one in two does"))
    }

    /// Lets the rules judge a header. Where they place it, it is taken.
    fn place(&mut self, header: &[u8]) -> Result<BlockId, Violation> {
        let view = self.decode(header)?;
        let candidate = Candidate { pow: Hash256(sha256d(&view.pow.bytes)), header: header.to_vec() };
        let answer = self.rules.place(&self.view(), &[candidate]).expect("the plugin answers").remove(0);
        let taken = self.chain.append(&[header.to_vec()]);
        match &answer {
            Ok(_) => assert_eq!(taken, Ok(1)),
            Err(violation) => assert_ne!(taken, Ok(1), "{violation}"),
        }
        answer.map(|_| view.id)
    }

    /// Mines a block as drafted.
    fn add_drafted(&mut self, draft: &Draft) -> Result<BlockId, Violation> {
        let header = self.solve(draft, true)?;
        self.place(&header)
    }

    /// Mines a block over `parents`, whatever the rules would have chosen.
    fn try_add(&mut self, parents: &[BlockId]) -> Result<BlockId, Violation> {
        let draft = self.draft(parents);
        self.add_drafted(&draft)
    }

    /// Mines a block that is valid.
    #[track_caller]
    fn add(&mut self, parents: &[BlockId]) -> BlockId {
        self.try_add(parents).unwrap_or_else(|broken| panic!("{broken}"))
    }

    /// Mines `count` blocks one upon another, and returns them.
    #[track_caller]
    fn run(&mut self, from: BlockId, count: usize) -> Vec<BlockId> {
        let mut blocks = vec![from];
        for number in 0..count {
            blocks.push(self.add(&[blocks[number]]));
        }
        blocks.split_off(1)
    }

    /// Returns what a block merges, with its colour.
    fn merged(&self, block: BlockId) -> Vec<(BlockId, bool)> {
        let known = self.chain.index().block(block).expect("the block was placed");
        known.merge_set.iter().map(|merged| (merged.id, merged.blue)).collect()
    }
}

fn config(k: u16, more: &Value) -> Value {
    let mut config = json!({
        "k": k,
        "genesis": { "time-ms": START, "bits": BITS, "message": "a DAG for tests" },
        "difficulty": { "rule": "fixed" },
    });
    for (key, value) in more.as_object().expect("further keys are an object") {
        config[key] = value.clone();
    }
    config
}

/// Returns the rule that was broken.
#[track_caller]
fn rule<T>(answer: Result<T, Violation>) -> String {
    answer.err().expect("a rule is broken").rule
}

pub fn a_parent_in_the_past_of_another_is_refused(subject: &dyn Subject) {
    let mut dag = Dag::new(subject, 3, &json!({}));
    let genesis = dag.genesis();
    let first = dag.add(&[genesis]);
    let second = dag.add(&[first]);
    let beside = dag.add(&[genesis]);
    let above = dag.add(&[beside]);
    assert_eq!(rule(dag.try_add(&[genesis, second])), "parents-related", "below the selected parent");
    assert_eq!(rule(dag.try_add(&[second, beside, above])), "parents-related", "below a merged parent");
    assert_eq!(rule(dag.try_add(&[second, second])), "parents-related", "named twice");
    dag.add(&[above, second]);
}

pub fn more_parents_than_allowed_are_refused(subject: &dyn Subject) {
    let mut dag = Dag::new(subject, 3, &json!({ "parents-max": 2 }));
    let genesis = dag.genesis();
    let tips: Vec<BlockId> = (0..3).map(|_| dag.add(&[genesis])).collect();
    assert_eq!(rule(dag.try_add(&tips)), "parents-max");
    dag.add(&tips[..2]);
}

pub fn a_merge_set_over_the_limit_is_refused_and_the_limit_itself_is_not(subject: &dyn Subject) {
    let mut dag = Dag::new(subject, 3, &json!({ "merge-set-max": 4 }));
    let genesis = dag.genesis();
    let main = dag.run(genesis, 5);
    let side = dag.run(genesis, 4);
    assert_eq!(rule(dag.try_add(&[main[4], side[3]])), "merge-set-max", "the selected parent and four others");
    let merger = dag.add(&[main[4], side[2]]);
    assert_eq!(dag.merged(merger).len(), 3);
    let next = dag.next(&[merger, side[3]], None).expect("the tips are known");
    assert_eq!(next.parents, [merger, side[3]], "what is left fits now");
}

pub fn a_red_block_from_too_deep_is_refused_unless_a_blue_one_vouches_for_it(subject: &dyn Subject) {
    let mut dag = Dag::new(subject, 4, &json!({ "merge-depth": 5 }));
    let genesis = dag.genesis();
    let stray = dag.add(&[genesis]);
    let main = dag.run(genesis, 9);
    let voucher = dag.add(&[main[4], stray]);
    assert_eq!(dag.merged(voucher), [(stray, false)]);
    assert_eq!(rule(dag.try_add(&[main[8], stray])), "merge-depth");
    let next = dag.next(&[main[8], stray], None).expect("the tips are known");
    assert_eq!(next.parents, [main[8]], "nobody builds that");
    let merger = dag.add(&[main[8], voucher]);
    assert_eq!(dag.merged(merger), [(stray, false), (voucher, true)]);
}

pub fn bits_other_than_the_rules_are_refused(subject: &dyn Subject) {
    let mut dag = Dag::new(subject, 3, &json!({}));
    let genesis = dag.genesis();
    for (bits, right) in [(BITS - 1, false), (0x2100_7fff, false), (BITS, true)] {
        let draft = Draft { bits, ..dag.draft(&[genesis]) };
        match right {
            true => _ = dag.add_drafted(&draft).expect("the bits are right"),
            false => assert_eq!(rule(dag.add_drafted(&draft)), "bits", "{bits:#x}"),
        }
    }
    let no_target = Draft { bits: 0, ..dag.draft(&[genesis]) };
    assert_eq!(rule(dag.encode(&no_target)), "bits");
}

pub fn a_digest_above_the_target_is_refused(subject: &dyn Subject) {
    let mut dag = Dag::new(subject, 3, &json!({}));
    let genesis = dag.genesis();
    let draft = dag.draft(&[genesis]);
    let missing = dag.solve(&draft, false).expect("the draft is sound");
    assert_eq!(rule(dag.place(&missing)), "proof-of-work");
    dag.add_drafted(&draft).expect("another nonce meets the target");
}

pub fn a_time_at_the_past_median_is_refused_and_a_later_one_is_not(subject: &dyn Subject) {
    let mut dag = Dag::new(subject, 3, &json!({ "median-time": { "size": 3 } }));
    let genesis = dag.genesis();
    let at = |time: u64, parent: BlockId| Draft {
        parents: vec![parent],
        bits: BITS,
        time: Timestamp::from_millis(START + time),
        body_root: Hash256::default(),
    };
    assert_eq!(rule(dag.add_drafted(&at(0, genesis))), "time-too-old", "not later than the genesis");
    let first = dag.add_drafted(&at(100, genesis)).expect("later");
    let second = dag.add_drafted(&at(400, first)).expect("later");
    let third = dag.add_drafted(&at(301, second)).expect("later than the mean of 100 and 400, not than its parent");
    let median = (100 + 400 + 301) / 3;
    let earliest = dag.next(&[third], None).expect("the tip is known").earliest;
    assert_eq!(earliest, Timestamp::from_millis(START + median + 1));
    assert_eq!(rule(dag.add_drafted(&at(median, third))), "time-too-old");
    dag.add_drafted(&at(median + 1, third)).expect("later than the median");
}

pub fn a_header_that_commits_to_other_parents_is_refused(subject: &dyn Subject) {
    let mut dag = Dag::new(subject, 3, &json!({}));
    let genesis = dag.genesis();
    let beside = dag.add(&[genesis]);
    let draft = dag.draft(&[genesis]);
    let header = dag.solve(&draft, true).expect("the draft is sound");
    let swapped = [&header[..88], &beside.0].concat();
    let cut = &header[..header.len() - 1];
    let longer = [&header[..], &beside.0].concat();
    let orphaned = &header[..88];
    for wrong in [&swapped[..], cut, &longer, orphaned, &header[..87], &[]] {
        assert_eq!(rule(dag.place(wrong)), "header");
    }
    let mut version = header.clone();
    version[0] = 2;
    assert_eq!(rule(dag.place(&version)), "header");
    dag.place(&header).expect("the header itself is right");
}

pub fn a_second_genesis_is_refused(subject: &dyn Subject) {
    let mut dag = Dag::new(subject, 3, &json!({}));
    let draft = dag.draft(&[]);
    assert_eq!(rule(dag.add_drafted(&draft)), "genesis");
}

pub fn an_unknown_parent_and_unknown_tips_are_refused(subject: &dyn Subject) {
    let mut dag = Dag::new(subject, 3, &json!({}));
    let (genesis, unknown) = (dag.genesis(), BlockId([7; 32]));
    assert_eq!(rule(dag.try_add(&[unknown])), "history-unknown");
    assert_eq!(rule(dag.try_add(&[genesis, unknown])), "history-unknown");
    assert_eq!(rule(dag.next(&[unknown], None)), "parent-unknown");
    assert_eq!(rule(dag.next(&[genesis], Some(4))), "difficulty-override");
}

pub fn a_rolled_version_is_sealed_and_any_other_is_refused(subject: &dyn Subject) {
    let mut dag = Dag::new(subject, 3, &json!({}));
    let genesis = dag.genesis();
    let draft = dag.draft(&[genesis]);
    let header = dag.encode(&draft).expect("the draft is sound");
    let sealed = dag.seal(&header, 9, 0x1fff_e001).expect("these bits may be rolled");
    assert_eq!(dag.decode(&sealed).expect("it decodes").parents, [genesis]);
    assert_eq!(rule(dag.seal(&header, 9, 0x2000_0001)), "header");
    assert_eq!(rule(dag.seal(&[0; 12], 9, 1)), "header");
}

/// No verdict is given on a header whose parent is missing. A block waits, within bounds, and is taken when its parents have come.
pub fn a_block_waits_aside_for_its_parents(subject: &dyn Subject) {
    let now = Timestamp::from_millis(START + 1_000_000);
    let config = config(3, &json!({}));
    let open = || {
        let storage = Arc::new(MemoryStorage::default());
        let rules = subject.rules("ghostdag", &config);
        Chain::open(kaspa::config(), storage, rules, subject.hash("sha256d")).expect("an empty storage")
    };
    let (mut miner, mut other) = (open(), open());
    let key = SecretKey::from_bytes([1; 32]).expect("a small number is a secret").public();
    let mut mine = |extra: u8| {
        let request = TemplateRequest { pay_to: key, extra: vec![extra], difficulty: None };
        let template = miner.template(now, &request).expect("the chain goes on");
        let (nonce, at) = (0_u64.., template.pow.nonce_offset as usize);
        let rolled = template.unrolled();
        let solved =
            nonce.map(|nonce| miner.assemble(&template, Solution::Nonce { nonce, rolled }).expect("a nonce fits"));
        let mut solved = solved.filter(|block| template.target.is_met_by(&sha256d(&block.header[..at + 8 + 4])));
        let block = solved.next().expect("some nonce meets the target");
        (miner.submit_block(now, block.clone()).expect("the block is valid").id, block)
    };
    let blocks: Vec<_> = (0..3).map(&mut mine).collect();
    for late in [2, 1] {
        let waits = BlockError::Orphan { id: blocks[late].0, missing: blocks[late - 1].0 };
        assert_eq!(other.submit_block(now, blocks[late].1.clone()), Err(waits));
    }
    assert_eq!(other.waiting().0, 2);
    let headers = [blocks[1].1.header.clone()];
    let mut alone =
        HeaderChain::from_genesis(subject.rules("ghostdag", &config), subject.hash("sha256d")).expect("a genesis");
    assert_eq!(alone.append(&headers), Err(HeaderError::Orphan { position: 0, parent: blocks[0].0 }));
    // With their parents they are taken, by themselves or when they are offered again.
    for (id, block) in &blocks {
        match other.submit_block(now, block.clone()) {
            Ok(Accepted { id: taken, .. }) | Err(BlockError::Known { id: taken }) => assert_eq!(taken, *id),
            Err(refused) => panic!("{refused}"),
        }
    }
    assert_eq!(other.tip(), miner.tip());
}
