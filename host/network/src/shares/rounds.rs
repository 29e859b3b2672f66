//! The machine that certifies rounds: batches, votes, answers and the time go in; votes, questions and certified rounds come out.
//!
//! One node's part in an agreement after Tendermint (Buchman, Kwon, Milosevic: "The latest gossip on BFT consensus", 2018). A
//! round is tried in views. In each view one validator proposes which batches are in the round; everybody recomputes the root
//! and prevotes it, or none; who sees more than two thirds of the weight prevote a root locks on it and precommits it; more than
//! two thirds of precommits are the certificate. A view that gets nowhere ends by a timeout and the next one's turn is another's.
//! While less than a third of the weight lies, no two certificates of one round exist, whatever is delayed or lost; and once
//! messages arrive again, rounds are certified.
//!
//! Never sends, stores or hashes by itself: [`Effect`]s are carried out in their order, and [`Effect::Persist`] and
//! [`Effect::Certified`] must be durable before any effect behind them. The same events at the same moments give the same
//! effects.
//!
//! Reading order: this file is what goes in and out, [`history`] is what is certified, [`held`] the batches at hand, [`room`] who has how much room for them, [`views`] what
//! was said in a round, [`steps`] the rules, [`memory`] what outlives a crash, [`catchup`] how one learns what one missed, [`lag`] how
//! much that is.

mod catchup;
mod held;
mod history;
mod lag;
mod memory;
mod room;
mod steps;
mod views;

pub use history::Past;
pub use lag::Lag;
pub use memory::MemoryError;

use super::archive::CertifiedRound;
use super::batch::{BatchId, SealedBatch};
use super::judge::{BatchVerdict, Which};
use super::keys::{Domain, Identity};
use super::record::{Base, PoolId, ShareId};
use super::votes::{Backing, Evidence, Kind, Message, Objection, Proposal};
use super::weights::{Terms, Validators};
use crate::event::Acceptance;
use crate::id::{Moment, NodeId};
use adit_primitives::{Decode, Encode, Hash256};
use bytes::Bytes;
use held::Held;
use history::History;
use lag::{Ahead, Change};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use steps::Opinion;
use views::{Added, Views};

/// How a pool's rounds run. `pool` and `terms` are the same at all nodes; the rest is a node's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub pool: PoolId,
    pub terms: Terms,
    /// A round with any share is due this long after the one before.
    pub round: Duration,
    /// A round with so many shares is due at once.
    pub round_shares: usize,
    /// How long the first view waits at each step.
    pub view: Duration,
    /// How much longer each view waits than the one before.
    pub view_more: Duration,
    /// The longest that a view waits at a step. Longer than messages ever take.
    pub view_longest: Duration,
    /// How often others are asked while nothing moves.
    pub repair: Duration,
    /// How often others are asked while nothing is to be done: finds out that this node is behind, or that the pool is split.
    pub greet: Duration,
    /// How long nothing may move before it is said that payouts wait.
    pub stall: Duration,
}

/// How a batch is checked here: the policy's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Every share is hashed here.
    Local,
    /// One share in so many, drawn by this node's own signature, which nobody else knows.
    Sample { one_in: u32 },
    /// So many validators are asked first: see [`super::panel`].
    Ask { count: u32 },
}

/// What goes in.
#[derive(Debug, Clone)]
pub enum Event {
    /// Time passed: no later than [`Rounds::wake`] says.
    Tick,
    /// A batch of this pool, of this node's miners or from the network.
    Batch { batch: Arc<SealedBatch>, plan: Plan },
    /// The answer to [`Effect::Judge`] or [`Effect::Consult`].
    Judged { batch: BatchId, verdict: BatchVerdict },
    /// A vote as it came from the network.
    Message { bytes: Bytes },
    /// What a peer answered to [`Effect::Ask`].
    Answer { bytes: Bytes },
    /// A share of this pool is a block of the chain: the round is due.
    BlockFound { share: ShareId },
    /// The host knows more than it did: batches that could not be judged are judged again.
    Retry,
    /// A peer came with whom nothing was exchanged yet: it is asked what this node lacks.
    Met,
}

/// What comes out, carried out in this order.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Make these bytes durable in the place of the last ones, before anything behind this effect happens: without them the
    /// node might vote twice after a crash.
    Persist(Bytes),
    /// Spread a vote among all nodes of the pool.
    Publish(Bytes),
    /// Make a batch durable before any [`Effect::Persist`] behind this. What this node votes for must not be lost, were all nodes
    /// to lose power at once. At a start each kept batch is handled again as [`Event::Batch`], before [`Rounds::start`].
    Keep { batch: Arc<SealedBatch> },
    /// These batches need not be kept any more: they are in a certified round, too old for one, or had to make
    /// room before anybody proposed them.
    Forget { batches: Vec<BatchId> },
    /// Recompute a batch. The answer is [`Event::Judged`].
    Judge { batch: Arc<SealedBatch>, which: Which },
    /// Ask so many validators about a batch, by [`super::Panels`]. The answer is [`Event::Judged`].
    Consult { batch: Arc<SealedBatch>, count: u32 },
    /// Put a question ([`super::archive::Question`]) to some peer, another one each time.
    Ask(Bytes),
    /// A round is final. Make it durable, with its credits, before anything behind this effect happens. Payouts follow from
    /// these rounds alone.
    Certified { round: Arc<CertifiedRound>, past: Arc<Past> },
    /// A node sent a batch with a share that misses its target, or objected to one that meets it.
    Liar { node: NodeId, lie: Lie },
    /// A node said two things that exclude each other. It loses its weight with the round that has the proof.
    Fraud(Box<Evidence>),
    /// Nothing was certified for long, though there are shares: payouts wait. Said once.
    Waiting { round: u64, heard: u128, total: u128 },
    /// Rounds are certified again.
    Resumed { round: u64 },
    /// Others are ahead for longer than messages take, so that miners here work on what is old. Said once.
    Behind(Lag),
    /// This node has what others have certified, after [`Effect::Behind`].
    Level { round: u64 },
    /// This node takes no further part: payouts wait for a person. Said once, and again at each start.
    Halted(Halt),
}

/// What somebody claimed and recomputation contradicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// A share of its own batch is wrong.
    Batch { batch: BatchId, share: u16 },
    /// It objected to a share that is right.
    Objection(Objection),
}

/// Why a node stopped: more than a third of the weight lies, or this node's recomputation errs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halt {
    /// Two certificates of one round: whoever signed both lied, or its disk forgot.
    Split { round: u64, ours: Hash256, theirs: Hash256, signed_both: Vec<NodeId> },
    /// More than two thirds signed a round which has a batch that is wrong here.
    Contradicted { round: u64, root: Hash256, batch: Option<BatchId> },
}

/// The machine.
#[derive(Debug)]
pub struct Rounds {
    settings: Settings,
    identity: Identity,
    node: NodeId,
    history: History,
    /// Who votes in the round that is being agreed on.
    validators: Validators,
    held: Held,
    views: Views,
    /// Messages for the next round, which others are in already.
    early: BTreeMap<NodeId, Vec<Message>>,
    /// How many votes on the newest certified round came late of each node and were passed on.
    late: BTreeMap<NodeId, usize>,
    /// What this node thinks of contents that were proposed in the open round.
    opinions: BTreeMap<Hash256, Opinion>,
    /// Objections that are being looked at, and how many each node made in the open round.
    objections: Vec<Objection>,
    /// Who sent a wrong batch: every share of theirs is hashed here.
    distrusted: BTreeSet<NodeId>,
    objected: BTreeMap<NodeId, u32>,
    /// A share of the open round that is a block.
    block: Option<ShareId>,
    /// This node says nothing in rounds up to this one: it may have before a crash that lost what it certified.
    silent_until: u64,
    halted: Option<Halt>,
    /// Who is in a later round than this node.
    ahead: Ahead,
    clock: Clock,
}

/// Moments that the machine keeps.
#[derive(Debug, Clone, Copy)]
struct Clock {
    now: Moment,
    /// When the newest round was certified here, or the machine began.
    certified: Moment,
    /// When the round was last seen to move.
    moved: Moment,
    asked: Moment,
    /// Since when the open round is under way.
    active: Option<Moment>,
    waiting: bool,
    /// Rounds were taken over from an answer, and nothing was asked since.
    more: bool,
}

/// What people see of a pool's rounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoundsView {
    /// The newest certified round.
    pub base: Base,
    /// The attempt at the next one.
    pub view: u32,
    /// Who votes in it, with weights.
    pub validators: Validators,
    /// The weight of those who said something in it.
    pub heard: u128,
    /// Batches that are in no certified round yet.
    pub batches: usize,
    /// Nothing was certified for long: payouts wait.
    pub waiting: bool,
    /// Others are ahead of this node for longer than messages take ([`Settings::view_longest`]): a certificate on its way is no lag.
    pub behind: Option<Lag>,
    pub halted: Option<Halt>,
}

/// The most messages for the next round that are kept of one node, and of those the proposals.
const EARLY_MAX: usize = 8;
const EARLY_PROPOSALS_MAX: usize = 1;
/// The most votes of one node that are passed on when their round is certified here.
const LATE_MAX: usize = 64;
/// How many validators are expected to hash a share at the least.
const SHARE_CHECKS_LEAST: u32 = 5;
/// The most objections of one node that are looked at in a round.
const OBJECTIONS_MAX: u32 = 64;
/// The most nodes that are remembered to have sent a wrong batch, or to have objected to a right one.
const DISTRUSTED_MAX: usize = 1_000;
/// How much sooner others are asked when something is known to be missing.
const REPAIR_SOONER: u32 = 4;

impl Rounds {
    /// Begins after the rounds in `pasts`, in order: the last ones, at least as many as weigh and as shares may lie back. `memory` is
    /// what [`Effect::Persist`] gave last.
    ///
    /// # Errors
    /// Where rounds are missing between those given, or the memory does not decode: going on might contradict what was said.
    pub fn new(
        settings: Settings,
        identity: Identity,
        pasts: impl IntoIterator<Item = Past>,
        memory: Option<&[u8]>,
        now: Moment,
    ) -> Result<Self, MemoryError> {
        let mut history = History::new(settings.pool);
        for past in pasts {
            let expected = history.newest.round + 1;
            if past.base.round != expected && history.newest.round > 0 {
                return Err(MemoryError::Order { round: past.base.round, expected });
            }
            let validators = history.validators(&settings.terms);
            history.add(&past, &settings.terms, validators, None);
        }
        let clock = Clock { now, certified: now, moved: now, asked: now, active: None, waiting: false, more: false };
        let mut rounds = Self {
            node: identity.node(),
            validators: history.validators(&settings.terms),
            settings,
            identity,
            history,
            held: Held::default(),
            views: Views::new(BTreeMap::new()),
            early: BTreeMap::new(),
            late: BTreeMap::new(),
            opinions: BTreeMap::new(),
            objections: Vec::new(),
            distrusted: BTreeSet::new(),
            objected: BTreeMap::new(),
            block: None,
            silent_until: 0,
            halted: None,
            ahead: Ahead::default(),
            clock,
        };
        match memory {
            Some(bytes) => rounds.remember(bytes).map(|()| rounds),
            None => Ok(rounds),
        }
    }

    /// Says what a start brings: what this node said in the open round is spread again, for it may never have left. Once, before
    /// anything is handled.
    pub fn start(&mut self, out: &mut Vec<Effect>) {
        if let Some(halt) = &self.halted {
            out.push(Effect::Halted(halt.clone()));
            return;
        }
        for statement in self.views.said.clone().into_values().filter(|statement| statement.kind != Kind::Propose) {
            let signed = statement.sign(self.settings.pool, &self.identity);
            self.views.vote(signed);
            out.push(Effect::Publish(Message::Vote(signed).to_bytes().into()));
        }
        self.ask(out);
    }

    /// Takes an event in. The answer says what becomes of a batch or a message in the network: whether it is passed on, and whether
    /// its sender pays. A batch is passed on when it was judged.
    pub fn handle(&mut self, now: Moment, event: Event, out: &mut Vec<Effect>) -> Acceptance {
        self.clock.now = now.max(self.clock.now);
        if self.halted.is_some() {
            return Acceptance::Ignore;
        }
        let acceptance = match event {
            Event::Tick => Acceptance::Ignore,
            Event::Batch { batch, plan } => self.take_batch(batch, plan, out),
            Event::Judged { batch, verdict } => self.take_verdict(batch, verdict, out),
            Event::Message { bytes } => match Message::from_bytes(&bytes) {
                Ok(message) => self.take_message(message, out),
                Err(_) => Acceptance::Reject,
            },
            Event::Answer { bytes } => self.take_answer(&bytes, out),
            Event::BlockFound { share } => {
                self.block = Some(share);
                Acceptance::Ignore
            }
            Event::Retry => {
                self.retry(out);
                Acceptance::Ignore
            }
            Event::Met => {
                self.ask(out);
                Acceptance::Ignore
            }
        };
        self.progress(out);
        self.look_at_the_clock(out);
        acceptance
    }

    /// Returns when [`Event::Tick`] is due: never, once this node stopped.
    pub fn wake(&self) -> Moment {
        if self.halted.is_some() {
            return Moment::from_millis(u64::MAX);
        }
        let due = self.due_at().filter(|due| *due > self.clock.now);
        let behind = self.ahead.due(self.settings.view_longest);
        let times = [Some(self.ask_at()), self.views.timer, due, self.waits_at(), behind];
        times.into_iter().flatten().min().expect("asking always has a time")
    }

    /// Returns what people see.
    pub fn view(&self) -> RoundsView {
        RoundsView {
            base: self.history.newest,
            view: self.views.view,
            validators: self.validators.clone(),
            heard: self.views.heard(&self.validators),
            batches: self.held.iter().count(),
            waiting: self.clock.waiting,
            behind: self.ahead.said(),
            halted: self.halted.clone(),
        }
    }

    fn look_at_the_clock(&mut self, out: &mut Vec<Effect>) {
        if self.halted.is_some() {
            return;
        }
        if self.is_active() {
            self.clock.active.get_or_insert(self.clock.now);
        }
        let newest = self.history.newest.round;
        match self.ahead.look(self.clock.now, newest, &self.validators, self.settings.view_longest) {
            Some(Change::Behind(lag)) => out.push(Effect::Behind(lag)),
            Some(Change::Level) => out.push(Effect::Level { round: newest }),
            None => {}
        }
        if self.ask_at() <= self.clock.now {
            self.retry(out);
            self.ask(out);
        }
        if self.waits_at().is_some_and(|at| at <= self.clock.now) {
            self.clock.waiting = true;
            let (heard, total) = (self.views.heard(&self.validators), self.validators.total());
            out.push(Effect::Waiting { round: self.round(), heard, total });
        }
    }

    /// Has batches judged again that could not be judged.
    pub(super) fn retry(&mut self, out: &mut Vec<Effect>) {
        for (batch, which) in self.held.retry() {
            out.push(Effect::Judge { batch, which });
        }
    }

    /// When others are asked: at once where rounds were taken over and more may be missing, soon where something is known to be missing, at leisure where nothing is to be done.
    fn ask_at(&self) -> Moment {
        let Settings { repair, greet, .. } = self.settings;
        if self.clock.more {
            self.clock.now
        } else if self.ahead.is_any() || !self.wanted().is_empty() {
            self.clock.asked.after(repair / REPAIR_SOONER)
        } else if self.clock.active.is_some() {
            self.clock.asked.max(self.clock.moved).after(repair)
        } else {
            self.clock.asked.after(greet)
        }
    }

    fn waits_at(&self) -> Option<Moment> {
        // Where others are ahead, what is open here is certified there: this node waits, payouts do not.
        let since = self.clock.active.filter(|_| !self.clock.waiting && !self.ahead.is_any())?;
        Some(since.after(self.settings.stall))
    }

    fn take_batch(&mut self, batch: Arc<SealedBatch>, plan: Plan, out: &mut Vec<Effect>) -> Acceptance {
        let (id, terms) = (batch.id(), &self.settings.terms);
        let too_easy = batch.batch().payees.iter().any(|payee| payee.difficulty < terms.difficulty_least);
        let takes = |base| self.history.takes(base, terms, self.settings.pool);
        if too_easy {
            return Acceptance::Reject;
        }
        // Work on a round that is not here yet is judged when it is: one that may be soon, or it would wait for ever.
        let soon = self.history.newest.round.saturating_add(terms.base_rounds);
        let counts = |base: Base| takes(base).unwrap_or(base.round <= soon);
        if !batch.batch().jobs.iter().all(|job| counts(job.base)) {
            return Acceptance::Ignore;
        }
        let plan = if self.distrusted.contains(&batch.batch().node) { Plan::Local } else { plan };
        let which = match plan {
            Plan::Local | Plan::Ask { .. } => Which::All,
            Plan::Sample { one_in } => Which::Some(self.sample(&batch, one_in.min(self.rarest_sample()))),
        };
        // This node's own batches need not contend with strangers', whatever it weighs.
        let is_weighty = batch.batch().node == self.node || self.validators.weight(batch.batch().node) > 0;
        let is_known = self.held.get(&id).is_some() || self.held.is_wrong(&id);
        if is_known || !self.find_room(&batch, is_weighty, out) {
            return Acceptance::Ignore;
        }
        self.held.insert(Arc::clone(&batch), which.clone(), is_weighty);
        out.push(match plan {
            Plan::Ask { count } => Effect::Consult { batch, count },
            Plan::Local | Plan::Sample { .. } => Effect::Judge { batch, which },
        });
        Acceptance::Accept
    }

    /// Finds room for a batch, if others have to make it.
    fn find_room(&mut self, batch: &SealedBatch, is_weighty: bool, out: &mut Vec<Effect>) -> bool {
        if self.held.has_room(batch, is_weighty) {
            return true;
        }
        let named = self.named().copied().collect();
        let Some(batches) = self.held.make_room(batch, is_weighty, &named) else { return false };
        self.held.push_out(&batches);
        // One of a content that is proposed no more may have been good with what is gone.
        self.opinions.clear();
        out.push(Effect::Forget { batches });
        true
    }

    /// The rarest sample by which every share is expected to be hashed by [`SHARE_CHECKS_LEAST`] validators, whatever a policy says.
    fn rarest_sample(&self) -> u32 {
        let validators = u32::try_from(self.validators.nodes().len()).unwrap_or(u32::MAX);
        (validators / SHARE_CHECKS_LEAST).max(1)
    }

    /// Draws the shares that this node hashes: by its own signature over the newest root, which nobody else can make and which did
    /// not exist when the shares' work began.
    fn sample(&self, batch: &SealedBatch, one_in: u32) -> Vec<u16> {
        let mut message = self.settings.pool.to_bytes();
        self.history.newest.encode(&mut message);
        let seed = self.identity.sign(Domain::Sample, &message);
        let drawn = |place: &u16| {
            let mut hash = blake3::Hasher::new_derive_key("adit shares 1: draw");
            hash.update(&seed.0).update(&batch.id().0).update(&place.to_le_bytes());
            let word = u64::from_le_bytes(*hash.finalize().as_bytes().first_chunk().expect("a digest has 32 bytes"));
            word.is_multiple_of(u64::from(one_in.max(1)))
        };
        (0u16..).take(batch.batch().entries.len()).filter(drawn).collect()
    }

    fn take_verdict(&mut self, id: BatchId, verdict: BatchVerdict, out: &mut Vec<Effect>) -> Acceptance {
        let acceptance = match &verdict {
            BatchVerdict::Valid { .. } => Acceptance::Accept,
            BatchVerdict::Wrong { .. } => Acceptance::Reject,
            BatchVerdict::Unknown | BatchVerdict::Fault => Acceptance::Ignore,
        };
        let was_valid = self.held.get(&id).is_some_and(held::Item::is_valid);
        if let Some((node, share)) = self.held.note(&id, verdict) {
            // What was thought right may have this batch.
            self.opinions.clear();
            self.distrust(node);
            out.push(Effect::Liar { node, lie: Lie::Batch { batch: id, share } });
            self.object(id, share, out);
        }
        if let Some(item) = self.held.get(&id).filter(|item| item.is_valid() && !was_valid) {
            out.push(Effect::Keep { batch: Arc::clone(&item.batch) });
        }
        self.settle_objections(id, out);
        acceptance
    }

    fn take_message(&mut self, message: Message, out: &mut Vec<Effect>) -> Acceptance {
        let (round, node) = (message.round(), message.node());
        if self.validators.weight(node) == 0 {
            return Acceptance::Ignore;
        }
        if !message.is_bounded() || !message.is_genuine(self.settings.pool) {
            return Acceptance::Reject;
        }
        if matches!(&message, Message::Vote(vote) if vote.statement.kind == Kind::Propose) {
            return Acceptance::Reject;
        }
        if round == self.history.newest.round {
            return self.pass_on_late(node, &message);
        }
        if round > self.round() {
            return self.keep_early(round, node, message);
        }
        if round < self.round() {
            return Acceptance::Ignore;
        }
        let added = match message {
            Message::Vote(vote) if vote.statement.previous != self.history.newest.root => return Acceptance::Ignore,
            Message::Vote(vote) => Some(self.views.vote(vote)),
            Message::Proposal(proposal) if proposal.content.previous != self.history.newest.root => {
                return Acceptance::Ignore;
            }
            Message::Proposal(proposal) => self.take_proposal(*proposal),
            Message::Objection(objection) => return self.take_objection(objection, out),
        };
        match added {
            Some(Added::New) => Acceptance::Accept,
            Some(Added::Known) => Acceptance::Ignore,
            Some(Added::Fraud(evidence)) => {
                out.push(Effect::Fraud(evidence));
                Acceptance::Accept
            }
            // Out of turn. Whoever passed it on may be in another round, where nobody can tell.
            None => Acceptance::Ignore,
        }
    }

    /// Passes on votes on the round that is certified here, for those who are not as far: only so many of a node.
    fn pass_on_late(&mut self, node: NodeId, message: &Message) -> Acceptance {
        let late = self.late.entry(node).or_default();
        if !matches!(message, Message::Vote(_)) || *late >= LATE_MAX {
            return Acceptance::Ignore;
        }
        *late += 1;
        Acceptance::Accept
    }

    fn take_proposal(&mut self, proposal: Proposal) -> Option<Added> {
        let turn = self.validators.proposer(self.settings.pool, self.history.newest, proposal.view);
        let (view, pool) = (proposal.view, self.settings.pool);
        let is_backed = |backing: &Backing| backing.is_valid(&proposal.content, view, pool, &self.validators);
        let is_right = turn == Some(proposal.node) && proposal.backing.as_ref().is_none_or(is_backed);
        is_right.then(|| self.views.propose(proposal))
    }

    /// Keeps what is said about the next round until it begins here.
    fn keep_early(&mut self, round: u64, node: NodeId, message: Message) -> Acceptance {
        let is_next = round == self.round() + 1;
        let of_node = self.early.entry(node).or_default();
        let is_proposal = |message: &Message| matches!(message, Message::Proposal(_));
        let proposals = of_node.iter().filter(|message| is_proposal(message)).count();
        let fits = of_node.len() < EARLY_MAX && (!is_proposal(&message) || proposals < EARLY_PROPOSALS_MAX);
        let is_kept = is_next && fits && !of_node.contains(&message);
        if is_kept {
            of_node.push(message);
        }
        self.ahead.note(node, round);
        if is_kept { Acceptance::Accept } else { Acceptance::Ignore }
    }

    fn distrust(&mut self, node: NodeId) {
        if self.distrusted.len() < DISTRUSTED_MAX {
            self.distrusted.insert(node);
        }
    }

    fn take_objection(&mut self, objection: Objection, out: &mut Vec<Effect>) -> Acceptance {
        // Who was found to lie has nothing more hashed by its word: others find what is wrong.
        if self.distrusted.contains(&objection.node) {
            return Acceptance::Ignore;
        }
        let made = self.objected.entry(objection.node).or_default();
        *made += 1;
        let Some(item) = self.held.get_mut(&objection.batch).filter(|_| *made <= OBJECTIONS_MAX) else {
            return Acceptance::Ignore;
        };
        if usize::from(objection.share) >= item.batch.batch().entries.len() {
            return Acceptance::Reject;
        }
        if !self.objections.contains(&objection) && !matches!(item.standing, held::Standing::Wrong { .. }) {
            item.awaited += 1;
            self.objections.push(objection);
            out.push(Effect::Judge { batch: Arc::clone(&item.batch), which: Which::Some(vec![objection.share]) });
        }
        Acceptance::Accept
    }

    /// Tells the others which share is wrong, unless one of them said so: they may have checked others of the batch.
    fn object(&self, batch: BatchId, share: u16, out: &mut Vec<Effect>) {
        let is_said = self.objections.iter().any(|objection| objection.batch == batch);
        if !is_said && self.validators.weight(self.node) > 0 {
            let objection = Objection::sign(self.round(), batch, share, self.settings.pool, &self.identity);
            out.push(Effect::Publish(Message::Objection(objection).to_bytes().into()));
        }
    }

    /// Tells who objected to what turned out right.
    fn settle_objections(&mut self, batch: BatchId, out: &mut Vec<Effect>) {
        let Some(item) = self.held.get(&batch).filter(|item| item.awaited == 0) else { return };
        let is_right = item.standing == held::Standing::Valid;
        let settled = self.objections.extract_if(.., |objection| objection.batch == batch);
        for objection in settled.filter(|_| is_right).collect::<Vec<_>>() {
            self.distrust(objection.node);
            out.push(Effect::Liar { node: objection.node, lie: Lie::Objection(objection) });
        }
    }
}
