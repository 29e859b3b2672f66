//! A pool of many nodes under one seed: messages take time, get lost, or stay within a part of the network; nodes crash and come
//! back with what was durable; some lie. Shares are real ones, mined and recomputed with double SHA-256.

use adit_network::id::{Moment, NodeId};
use adit_network::shares::rounds::Lie;
use adit_network::shares::votes::{Kind, Message, Signed, Statement};
use adit_network::shares::{
    Archive, Base, Batch, BatchId, BatchVerdict, CertifiedRound, Effect, Entry, Event, Halt, Identity, Job, JobFault,
    Jobs, Past, Payee, Plan, PoolId, Question, Rounds, SealedBatch, Settings, Share, Terms, Which, judge,
};
use adit_primitives::contract::shares::ShareDifficulty;
use adit_primitives::contract::{Scan, SearchJob};
use adit_primitives::engine::{Fault, HashEngine};
use adit_primitives::{Amount, BlockId, Decode, Encode, Hash256, Height, Target, U256, sha256d};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub const POOL: PoolId = PoolId([7; 32]);
const DIFFICULTY: ShareDifficulty = ShareDifficulty::from_log2_hashes(4);

/// How a node behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    Honest,
    /// Says nothing.
    Silent,
    /// Votes for roots of its own, another one to each half of the others, and proposes nonsense.
    Liar,
    /// Computes nothing, and says what the last one said.
    Copier,
    /// Takes every batch for valid without hashing.
    Lax,
    /// Everything it says takes seconds.
    Slow,
}

pub struct Node {
    pub identity: Identity,
    pub conduct: Conduct,
    pub rounds: Option<Rounds>,
    /// What is durable.
    memory: Option<Bytes>,
    kept: BTreeMap<BatchId, Arc<SealedBatch>>,
    pub archive: BTreeMap<u64, Bytes>,
    pub pasts: Vec<Past>,
    /// What was said to its operator.
    pub halted: Option<Halt>,
    pub waits: u32,
    pub resumes: u32,
    pub behinds: u32,
    pub frauds: BTreeSet<NodeId>,
    pub liars: BTreeSet<NodeId>,
    /// Who else it hears.
    pub part: u32,
    mined: u32,
    copied: BTreeSet<(u64, u32, Kind)>,
    plan: Plan,
}

enum Delivery {
    Event(Event),
    Ask(usize, Bytes),
}

pub struct World {
    pub settings: Settings,
    pub nodes: Vec<Node>,
    queue: BTreeMap<(u64, u64), (usize, Delivery)>,
    count: u64,
    pub now: u64,
    random: u64,
    /// Milliseconds that a message takes.
    pub delay: (u64, u64),
    /// In percent.
    pub loss: u64,
    /// Whether liars send batches with wrong shares.
    pub wrong_batches: bool,
    /// Whether nobody finds a share any more.
    pub still: bool,
    pub hashed: u64,
}

pub fn identity(number: u8) -> Identity {
    Identity::from_secret(&[number; 32])
}

pub fn settings(founders: impl IntoIterator<Item = NodeId>) -> Settings {
    let terms = Terms {
        founders: founders.into_iter().map(|node| (node, 1)).collect(),
        founding_work: 1 << 40,
        window_rounds: 20,
        cap_percent: 100,
        quorum_percent: 0,
        base_rounds: 8,
        difficulty_least: DIFFICULTY,
    };
    let ms = Duration::from_millis;
    Settings {
        pool: POOL,
        terms,
        round: ms(1_000),
        round_shares: 10_000,
        view: ms(1_000),
        view_more: ms(500),
        view_longest: ms(8_000),
        repair: ms(800),
        greet: ms(5_000),
        stall: ms(20_000),
    }
}

/// The test chain's own rules: a coinbase head that names what it pays.
struct Chain;

impl Jobs for Chain {
    fn head(&self, job: &Job) -> Result<Vec<u8>, JobFault> {
        Ok([&job.base.to_bytes()[..], &job.height.0.to_le_bytes(), &job.reward.to_atoms().to_le_bytes()].concat())
    }

    fn target(&self, difficulty: ShareDifficulty) -> Target {
        Target(U256::from(0xffff_u64) << (240 - usize::from(difficulty.to_log2_hashes())))
    }
}

struct Sha256d(u64);

impl HashEngine for Sha256d {
    fn digest_many(&mut self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) -> Result<(), Fault> {
        self.0 += (inputs.len() / each) as u64;
        digests.extend(inputs.chunks(each).map(|input| Hash256(sha256d(input))));
        Ok(())
    }

    fn search(&mut self, _: &SearchJob, _: u64, _: u64) -> Result<Scan, Fault> {
        unreachable!("nothing searches here")
    }
}

struct Shelf<'a>(&'a BTreeMap<u64, Bytes>);

impl Archive for Shelf<'_> {
    fn round(&self, number: u64) -> Option<Bytes> {
        self.0.get(&number).cloned()
    }

    fn has(&self, base: Base) -> bool {
        let round = self.0.get(&base.round).map(|bytes| CertifiedRound::from_bytes(bytes).expect("it was kept"));
        round.is_some_and(|round| round.content.root == base.root)
    }
}

impl World {
    /// Makes a pool whose founders are the first nodes; `conducts` may name more nodes than founders.
    pub fn new(seed: u64, founders: usize, conducts: &[Conduct]) -> Self {
        let identities = (0..conducts.len()).map(|number| identity(1 + u8::try_from(number).expect("few nodes")));
        Self::with(seed, founders, conducts, identities.collect())
    }

    pub fn with(seed: u64, founders: usize, conducts: &[Conduct], identities: Vec<Identity>) -> Self {
        let founding = identities.iter().take(founders).map(Identity::node);
        let settings = settings(founding);
        let node = |(identity, conduct): (Identity, &Conduct)| Node {
            identity,
            conduct: *conduct,
            rounds: None,
            memory: None,
            kept: BTreeMap::new(),
            archive: BTreeMap::new(),
            pasts: Vec::new(),
            halted: None,
            waits: 0,
            resumes: 0,
            behinds: 0,
            frauds: BTreeSet::new(),
            liars: BTreeSet::new(),
            part: 0,
            mined: 0,
            copied: BTreeSet::new(),
            plan: Plan::Local,
        };
        let nodes: Vec<Node> = identities.into_iter().zip(conducts).map(node).collect();
        let (queue, random) = (BTreeMap::new(), seed);
        let mut world = Self {
            settings,
            nodes,
            queue,
            count: 0,
            now: 0,
            random,
            delay: (5, 120),
            loss: 0,
            wrong_batches: false,
            still: false,
            hashed: 0,
        };
        (0..world.nodes.len()).for_each(|at| world.start(at));
        world
    }

    pub fn set_plan(&mut self, plan: Plan) {
        self.nodes.iter_mut().for_each(|node| node.plan = plan);
    }

    pub fn random(&mut self, end: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end.max(1)
    }

    /// Starts a node from what is durable.
    pub fn start(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let (settings, identity, now) = (self.settings.clone(), node.identity.clone(), Moment::from_millis(self.now));
        let rounds = Rounds::new(settings, identity, node.pasts.clone(), node.memory.as_deref(), now)
            .expect("what is durable is whole");
        self.nodes[at].rounds = Some(rounds);
        for batch in self.nodes[at].kept.clone().into_values() {
            let plan = self.nodes[at].plan;
            self.feed(at, Event::Batch { batch, plan });
        }
        let mut out = Vec::new();
        self.nodes[at].rounds.as_mut().expect("it was started").start(&mut out);
        self.carry_out(at, out);
    }

    /// Loses everything of a node that is not durable.
    pub fn crash(&mut self, at: usize) {
        self.nodes[at].rounds = None;
    }

    /// Runs for that long. Every 200 ms each node that mines finds a share.
    pub fn run(&mut self, millis: u64) {
        let end = self.now + millis;
        while self.now < end {
            let next_mine = self.now / 200 * 200 + 200;
            while let Some(((at, _), _)) = self.queue.first_key_value()
                && *at <= next_mine
            {
                let ((at, _), (to, delivery)) = self.queue.pop_first().expect("it is not empty");
                self.now = self.now.max(at);
                self.deliver(to, delivery);
            }
            self.now = next_mine;
            for at in 0..self.nodes.len() {
                self.mine_sometimes(at);
                let now = Moment::from_millis(self.now);
                if self.nodes[at].rounds.as_ref().is_some_and(|rounds| rounds.wake() <= now) {
                    self.feed(at, Event::Tick);
                }
            }
        }
    }

    fn mine_sometimes(&mut self, at: usize) {
        let silent = self.nodes[at].conduct == Conduct::Silent;
        // Only founders have miners, so that the others are identities without work.
        let founder = self.settings.terms.founders.contains_key(&self.nodes[at].identity.node());
        if silent || !founder || self.still || self.random(3) > 0 {
            return;
        }
        self.mine(at);
    }

    /// Has a node find a share.
    pub fn mine(&mut self, at: usize) {
        let Some(rounds) = &self.nodes[at].rounds else { return };
        let base = rounds.view().base;
        let number = self.nodes[at].mined;
        self.nodes[at].mined += 1;
        let lies = self.wrong_batches && self.nodes[at].conduct == Conduct::Liar;
        let batch = Arc::new(batch(&self.nodes[at].identity, base, number, !lies));
        for to in 0..self.nodes.len() {
            let event = Event::Batch { batch: Arc::clone(&batch), plan: self.nodes[to].plan };
            if to == at {
                self.feed(at, event);
            } else {
                self.send(at, to, Delivery::Event(event));
            }
        }
    }

    fn send(&mut self, from: usize, to: usize, delivery: Delivery) {
        let lost = self.random(100) < self.loss;
        let slow = if self.nodes[from].conduct == Conduct::Slow { 3_000 } else { 0 };
        if self.nodes[from].part == self.nodes[to].part && !lost {
            let time = self.now + slow + self.delay.0 + self.random(self.delay.1 - self.delay.0);
            self.count += 1;
            self.queue.insert((time, self.count), (to, delivery));
        }
    }

    fn deliver(&mut self, to: usize, delivery: Delivery) {
        match delivery {
            Delivery::Event(event) => self.feed(to, event),
            Delivery::Ask(from, bytes) => {
                let node = &self.nodes[to];
                if matches!(node.conduct, Conduct::Silent) {
                    return;
                }
                let Some(rounds) = &node.rounds else { return };
                let question = Question::from_bytes(&bytes).expect("nodes ask questions");
                let Question::Rounds(ask) = question else { unreachable!("no test plans to ask") };
                if let Some(bytes) = rounds.answer(&ask, &Shelf(&node.archive)) {
                    assert!(bytes.len() <= 4 << 20);
                    self.send(to, from, Delivery::Event(Event::Answer { bytes }));
                }
            }
        }
    }

    pub fn feed(&mut self, at: usize, event: Event) {
        let mut out = Vec::new();
        let now = Moment::from_millis(self.now);
        if self.nodes[at].conduct == Conduct::Copier
            && let Event::Message { bytes } = &event
        {
            self.copy(at, bytes);
        }
        let Some(rounds) = &mut self.nodes[at].rounds else { return };
        rounds.handle(now, event, &mut out);
        self.carry_out(at, out);
    }

    fn carry_out(&mut self, at: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Persist(bytes) => self.nodes[at].memory = Some(bytes),
                Effect::Publish(bytes) => self.publish(at, bytes),
                Effect::Keep { batch } => drop(self.nodes[at].kept.insert(batch.id(), batch)),
                Effect::Forget { batches } => self.nodes[at].kept.retain(|id, _| !batches.contains(id)),
                Effect::Judge { batch, which } => {
                    let mut engine = Sha256d(0);
                    let which = if self.nodes[at].conduct == Conduct::Lax { Which::Some(Vec::new()) } else { which };
                    let verdict = judge(batch.batch(), &which, &Chain, &mut engine);
                    self.hashed += engine.0;
                    self.count += 1;
                    let event = Event::Judged { batch: batch.id(), verdict };
                    self.queue.insert((self.now + 1, self.count), (at, Delivery::Event(event)));
                }
                Effect::Consult { .. } => unreachable!("no test plans to ask"),
                Effect::Ask(bytes) => {
                    let to = usize::try_from(self.random(self.nodes.len() as u64)).expect("few nodes");
                    if to != at {
                        self.send(at, to, Delivery::Ask(at, bytes));
                    }
                }
                Effect::Certified { round, past } => {
                    let node = &mut self.nodes[at];
                    node.archive.insert(past.base.round, round.to_bytes().into());
                    node.pasts.push(Past::clone(&past));
                }
                Effect::Liar { node, lie } => {
                    assert!(matches!(lie, Lie::Batch { .. } | Lie::Objection(_)));
                    self.nodes[at].liars.insert(node);
                }
                Effect::Fraud(evidence) => {
                    assert!(evidence.is_proof(POOL));
                    self.nodes[at].frauds.insert(evidence.node());
                }
                Effect::Waiting { .. } => self.nodes[at].waits += 1,
                Effect::Resumed { .. } => self.nodes[at].resumes += 1,
                Effect::Behind(_) => self.nodes[at].behinds += 1,
                Effect::Level { .. } => {}
                Effect::Halted(halt) => self.nodes[at].halted = Some(halt),
            }
        }
    }

    fn publish(&mut self, at: usize, bytes: Bytes) {
        match self.nodes[at].conduct {
            Conduct::Silent | Conduct::Copier => {}
            Conduct::Honest | Conduct::Slow | Conduct::Lax => self.publish_to_all(at, bytes),
            Conduct::Liar => self.lie(at, &bytes),
        }
    }

    fn publish_to_all(&mut self, at: usize, bytes: Bytes) {
        for to in (0..self.nodes.len()).filter(|to| *to != at) {
            self.send(at, to, Delivery::Event(Event::Message { bytes: bytes.clone() }));
        }
    }

    /// Says something else to each half of the others.
    fn lie(&mut self, at: usize, bytes: &Bytes) {
        let identity = self.nodes[at].identity.clone();
        for to in (0..self.nodes.len()).filter(|to| *to != at) {
            let half = u8::from(to % 2 == 0);
            let lied = match Message::from_bytes(bytes).expect("nodes publish messages") {
                Message::Vote(vote) => {
                    let value = Some(Hash256([half; 32]));
                    Message::Vote(Statement { value, ..vote.statement }.sign(POOL, &identity))
                }
                Message::Proposal(proposal) => {
                    let mut content = proposal.content.clone();
                    if half == 1 {
                        content.root = Hash256([1; 32]);
                    } else {
                        content.batches.reverse();
                    }
                    let (view, backing) = (proposal.view, proposal.backing.clone());
                    let lied = adit_network::shares::Proposal::sign(content, view, backing, POOL, &identity);
                    Message::Proposal(Box::new(lied))
                }
                objection => objection,
            };
            self.send(at, to, Delivery::Event(Event::Message { bytes: lied.to_bytes().into() }));
        }
    }

    /// Says what another one said, whatever it is.
    fn copy(&mut self, at: usize, bytes: &Bytes) {
        let Ok(Message::Vote(Signed { statement, .. })) = Message::from_bytes(bytes) else { return };
        let identity = self.nodes[at].identity.clone();
        // Once for each place: a copier that contradicts itself would be caught as a liar.
        if self.nodes[at].copied.insert((statement.round, statement.view, statement.kind)) {
            self.publish_to_all(at, Message::Vote(statement.sign(POOL, &identity)).to_bytes().into());
        }
    }

    /// Returns the nodes that keep to the rules.
    pub fn honest(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| matches!(node.conduct, Conduct::Honest | Conduct::Slow))
    }

    /// Fails where two honest nodes have different rounds, or one pays a share twice or one that nobody mined.
    #[track_caller]
    pub fn assert_agreed(&self) {
        let mut roots = BTreeMap::new();
        for past in self.honest().flat_map(|node| &node.pasts) {
            let of_round = roots.entry(past.base.round).or_insert_with(|| past.clone());
            assert_eq!(of_round, past, "round {} has two contents", past.base.round);
        }
        let credits: Vec<_> = roots.values().flat_map(|past| &past.credits).map(|credit| credit.share).collect();
        let distinct: BTreeSet<_> = credits.iter().collect();
        assert_eq!(distinct.len(), credits.len(), "a share is credited twice");
    }

    /// Returns the newest round that every honest node has.
    pub fn rounds_of_all(&self) -> u64 {
        self.honest().map(|node| node.pasts.last().map_or(0, |past| past.base.round)).min().unwrap_or(0)
    }

    /// Returns the newest round that any honest node has.
    pub fn rounds_of_any(&self) -> u64 {
        self.honest().map(|node| node.pasts.last().map_or(0, |past| past.base.round)).max().unwrap_or(0)
    }
}

/// Mines a share on `base`; one that misses its target where it is not to be `right`.
pub fn batch(identity: &Identity, base: Base, number: u32, right: bool) -> SealedBatch {
    batch_at(DIFFICULTY, identity, base, number, right)
}

/// Mines a share of that difficulty.
pub fn batch_at(difficulty: ShareDifficulty, identity: &Identity, base: Base, number: u32, right: bool) -> SealedBatch {
    let payee = Payee { account: format!("account-{}", identity.node()), worker: "rig".to_owned(), difficulty };
    let job = Job {
        base,
        height: Height(base.round),
        reward: Amount::from_atoms(50),
        previous: BlockId([1; 32]),
        bits: 0x207f_ffff,
        branch: vec![],
        tail: vec![],
    };
    let mut extranonce = [0; 12];
    extranonce[..4].copy_from_slice(&number.to_le_bytes());
    let target = Chain.target(difficulty);
    let head = Chain.head(&job).expect("it knows every job");
    let entry = (0u32..)
        .map(|nonce| Entry { job: 0, payee: 0, version: 1, extranonce, time: 0, nonce })
        .find(|entry| {
            let share = Share { node: identity.node(), job: &job, payee: &payee, entry };
            target.is_met_by(&sha256d(&share.header(POOL, &head))) == right
        })
        .expect("one in so many nonces");
    let batch = Batch { pool: POOL, node: identity.node(), jobs: vec![job], payees: vec![payee], entries: vec![entry] };
    SealedBatch::seal(batch, identity).expect("one share is within every bound")
}

/// Tells how a batch with one wrong share is judged: for tests of the judge itself.
pub fn verdict(batch: &SealedBatch) -> BatchVerdict {
    judge(batch.batch(), &Which::All, &Chain, &mut Sha256d(0))
}
