//! The thread that owns the machine of rounds: one thing after another goes in; what has to be durable is committed; then the rest of what
//! came out is carried out.
//!
//! It waits for its inbox and for the disk alone. Hashing has a thread of its own, and the network never waits for this one.

use super::checks::Checks;
use super::deliveries::{Allowances, Deliveries, Rate};
use super::hashing::{Hashed, Hashing};
use super::keeper::Keeper;
use super::price::HashPrice;
use super::{
    Agreement, Brought, CertifiedRounds, Inbox, LIARS_MAX, LocalShare, ShareCounters, ShareLogStartError,
    ShareStanding, Times,
};
use crate::network::{NetworkHandle, Question as ToPeer};
use adit_network::shares::batch::BATCH_DELAY;
use adit_network::shares::rounds::{Lie, Settings};
use adit_network::shares::{
    BatchError, BatchId, BatchVerdict, Batcher, Effect, Event, Halt, Lag, PanelEffect, Panels, Past, Plan, PoolId,
    Question, Rounds, RoundsView, SealedBatch, Which,
};
use adit_network::{Acceptance, Class, Moment, NodeId, Ticket};
use adit_primitives::Decode;
use adit_primitives::engine::QuorumEngine;
use adit_primitives::storage::StorageError;
use adit_transport::NodeKey;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// Things taken in before the disk and the clock are looked at again.
const AT_ONCE: usize = 256;

/// The longest rest.
const REST_MAX: Duration = Duration::from_millis(500);

/// Between states that are published though nothing great happened.
const ROUND: Duration = Duration::from_millis(500);

/// For how many rounds back a second certificate is recognized: their validators have to be known.
const RECENT_ROUNDS: u64 = 64;

/// What a peer may cost this thread, in microseconds a second: a fifth of a core.
const WORK: Rate = Rate { units_per_second: 200_000, burst: 400_000 };

/// What a peer may cost the thread that hashes: half a core. Beyond that policies check less, and cost less.
const HASHES: Rate = Rate { units_per_second: 500_000, burst: 2_000_000 };

/// What checking a signature takes, each header that is built, and what a wrong batch costs whoever passed it on, in microseconds.
const SIGNATURE_US: u64 = 80;
const HEADER_US: u64 = 5;
const WRONG_US: u64 = 20_000;

/// What a peer may be told of certified rounds, in bytes; a question costs as much as a small answer.
const TOLD: Rate = Rate { units_per_second: 4 << 20, burst: 32 << 20 };
const QUESTION_BYTES: u64 = 16 << 10;

/// Points for what was signed and is not so, and for answers that are none.
const LIE_POINTS: u32 = 50;
const NONSENSE_POINTS: u32 = 20;

/// What the thread is made of.
pub struct LogParts {
    pub network: NetworkHandle,
    pub agreement: Agreement,
    pub rounds: CertifiedRounds,
    pub policy: Box<dyn QuorumEngine>,
    /// What one hash costs.
    pub price: HashPrice,
    pub hashing: Hashing,
    pub times: Times,
    pub inbox: Receiver<Inbox>,
}

/// The thread's state.
pub struct Log {
    pool: PoolId,
    node: NodeId,
    network: NetworkHandle,
    rounds: Rounds,
    panels: Panels,
    batcher: Batcher,
    checks: Checks,
    keeper: Keeper,
    certified: CertifiedRounds,
    hashing: Hashing,
    deliveries: Deliveries,
    work: Allowances,
    hashes: Allowances,
    told: Allowances,
    inbox: Receiver<Inbox>,
    started: Instant,
    effects: Vec<Effect>,
    panel_effects: Vec<PanelEffect>,
    /// What is carried out once everything before it is durable.
    after: Vec<After>,
    /// This node's batches that were not sent yet.
    own: BTreeSet<BatchId>,
    questions: u64,
    counters: ShareCounters,
    liars: Vec<NodeId>,
    standing: watch::Sender<Arc<ShareStanding>>,
    published: Moment,
}

/// What waits for the disk.
enum After {
    Publish(Bytes),
    Ask(Bytes),
    Certified(Arc<Past>),
    /// What a peer asked for. It may have what this node said.
    Reply(oneshot::Sender<Bytes>, Bytes),
}

impl Log {
    /// Goes on from what the disk has.
    pub fn open(parts: LogParts) -> Result<(Self, watch::Receiver<Arc<ShareStanding>>), ShareLogStartError> {
        let LogParts { network, agreement, rounds: certified, policy, price, hashing, times, inbox } = parts;
        let (identity, pool) = (network.identity().clone(), agreement.pool);
        let keeper = Keeper::new(certified.clone());
        let (memory, kept) = (keeper.memory()?, keeper.kept()?);
        let weighs = agreement.terms.window_rounds.max(agreement.terms.base_rounds) + RECENT_ROUNDS;
        let first = certified.newest().round.saturating_sub(weighs) + 1;
        let mut broken = None;
        let pasts = certified.pasts(first).map_while(|past| past.map_err(|error| broken = Some(error)).ok());
        let pasts = pasts.map(|past| Past::clone(&past));
        let rounds =
            Rounds::new(settings(agreement, times), identity.clone(), pasts, memory.as_deref(), Moment::default())?;
        if let Some(error) = broken {
            return Err(error.into());
        }
        let counters = ShareCounters::default();
        let first = ShareStanding { view: rounds.view(), counters, liars: Vec::new(), failure: None };
        let (standing, receiver) = watch::channel(Arc::new(first));
        let mut log = Self {
            pool,
            node: identity.node(),
            network,
            panels: Panels::new(pool, identity.clone()),
            batcher: Batcher::new(pool, identity),
            checks: Checks::new(policy, price),
            rounds,
            keeper,
            certified,
            hashing,
            deliveries: Deliveries::default(),
            work: Allowances::new(WORK),
            hashes: Allowances::new(HASHES),
            told: Allowances::new(TOLD),
            inbox,
            started: Instant::now(),
            effects: Vec::new(),
            panel_effects: Vec::new(),
            after: Vec::new(),
            own: BTreeSet::new(),
            questions: 0,
            counters,
            liars: Vec::new(),
            standing,
            published: Moment::default(),
        };
        for batch in kept {
            let id = batch.id();
            if log.take_batch(Moment::default(), batch, Plan::Local, None) != Acceptance::Accept {
                log.forget(Moment::default(), &[id]);
            }
        }
        log.rounds.start(&mut log.effects);
        log.sort_out(Moment::default());
        Ok((log, receiver))
    }

    /// Runs until it is told to end, or what it has to keep cannot be kept.
    pub fn run(mut self) {
        match self.work_off() {
            Ok(()) => {
                // What was hashed since finds nobody: its thread does not wait for room.
                drop(self.inbox);
                self.hashing.end();
            }
            Err(error) => {
                tracing::error!(%error, "the share log ends: it does not go on with what it cannot keep. Payouts wait");
                self.publish(Some(error.to_string()));
                self.network.attach(None);
            }
        }
    }

    fn work_off(&mut self) -> Result<(), StorageError> {
        loop {
            self.settle()?;
            let now = self.now();
            let wait = self.wake().map_or(REST_MAX, |moment| moment.since(now)).min(REST_MAX);
            match self.inbox.recv_timeout(wait) {
                Ok(first) => {
                    let mut next = Some(first);
                    let mut count = 0;
                    while let Some(item) = next.take() {
                        if matches!(item, Inbox::End) {
                            return self.settle();
                        }
                        self.take(item);
                        count += 1;
                        next = if count < AT_ONCE { self.inbox.try_recv().ok() } else { None };
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.settle(),
            }
        }
    }

    fn now(&self) -> Moment {
        Moment::from_millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn wake(&self) -> Option<Moment> {
        let times = [Some(self.rounds.wake()), self.batcher.due(), self.panels.wake(), self.keeper.due()];
        times.into_iter().flatten().min()
    }

    /// Looks at the clock, commits what has to be durable, and carries out what waited for that.
    fn settle(&mut self) -> Result<(), StorageError> {
        let now = self.now();
        if let Some(batch) = self.batcher.take_due(now) {
            self.take_own(now, batch);
        }
        if self.rounds.wake() <= now {
            self.handle(now, Event::Tick);
        }
        self.panels.tick(now, &mut self.panel_effects);
        self.consulted(now);
        for event in self.deliveries.expire(now) {
            self.network.tell(event);
        }
        self.checks.rested(now);
        if self.keeper.is_due(now) {
            self.keeper.commit()?;
        }
        let is_new = self.after.iter().any(|after| matches!(after, After::Certified(_)));
        for after in std::mem::take(&mut self.after) {
            self.carry_out(after);
        }
        if is_new || self.is_said() || now.since(self.published) >= ROUND {
            self.published = now;
            self.publish(None);
        }
        Ok(())
    }

    /// Tells whether people have to hear at once of something: that payouts wait, or go on, that this node is behind, or that it stopped.
    fn is_said(&self) -> bool {
        let (told, view) = (self.standing.borrow(), self.rounds.view());
        let is_behind = |view: &RoundsView| view.behind.is_some();
        told.view.waiting != view.waiting
            || is_behind(&told.view) != is_behind(&view)
            || told.view.halted != view.halted
    }

    fn publish(&self, failure: Option<String>) {
        let view = self.rounds.view();
        let standing = ShareStanding { view, counters: self.counters, liars: self.liars.clone(), failure };
        self.standing.send_if_modified(|told| {
            let is_new = **told != standing;
            if is_new {
                *told = Arc::new(standing);
            }
            is_new
        });
    }

    fn take(&mut self, item: Inbox) {
        let now = self.now();
        match item {
            Inbox::Share(share) => self.take_share(now, &share),
            Inbox::BlockFound(share) => {
                // Its batch does not wait for more.
                if let Some(batch) = self.batcher.take_due(now.after(BATCH_DELAY)) {
                    self.take_own(now, batch);
                }
                self.handle(now, Event::BlockFound { share });
            }
            Inbox::ChainMoved => drop(self.handle(now, Event::Retry)),
            Inbox::Hashed(hashed) => self.take_verdict(now, hashed),
            Inbox::Brought(brought) => self.take_brought(now, brought),
            Inbox::End => {}
        }
    }

    fn take_brought(&mut self, now: Moment, brought: Brought) {
        match brought {
            Brought::Items { ticket, class, from, items } => {
                self.deliveries.begin(ticket, items.len());
                for (place, bytes) in items.into_iter().enumerate() {
                    let hashes_left = class != Class::Shares || self.hashes.has_left(now, from);
                    let answer = match class {
                        _ if !hashes_left || !self.work.has_left(now, from) => {
                            self.counters.refused += 1;
                            Some(Acceptance::Ignore)
                        }
                        Class::Shares => self.take_item(now, ticket, place, from, bytes),
                        _ => {
                            self.work.charge(now, from, SIGNATURE_US);
                            Some(self.take_message(now, from, bytes))
                        }
                    };
                    if let Some(event) = answer.and_then(|answer| self.deliveries.answer(ticket, place, answer)) {
                        self.network.tell(event);
                    }
                }
            }
            Brought::Question { from, ask, reply } => self.take_question(now, from, &ask, reply),
            Brought::Answer { tag, from, answer } => {
                if let (Some(from), Some(answer)) = (from, answer) {
                    self.take_answer(now, tag, from, answer);
                }
            }
            Brought::Peer => drop(self.handle(now, Event::Met)),
        }
    }

    /// Takes a share of one of this node's miners.
    fn take_share(&mut self, now: Moment, share: &LocalShare) {
        self.counters.shares_own += 1;
        if let Some(full) = self.batcher.push(now, &share.job, &share.payee, share.entry) {
            self.take_own(now, full);
        }
    }

    /// Takes a batch of this node's shares: sent when it was recomputed.
    fn take_own(&mut self, now: Moment, batch: SealedBatch) {
        let (id, shares) = (batch.id(), batch.batch().entries.len());
        if self.take_batch(now, Arc::new(batch), Plan::Local, None) != Acceptance::Accept {
            self.own.remove(&id);
            tracing::warn!(
                shares,
                "shares of this node's miners came too late, or found no room, and are credited to nobody"
            );
        }
    }

    /// Has the machine take a batch in. Who brought it is charged for what is hashed of it.
    fn take_batch(&mut self, now: Moment, batch: Arc<SealedBatch>, plan: Plan, from: Option<NodeId>) -> Acceptance {
        let id = batch.id();
        if batch.batch().node == self.node {
            self.own.insert(id);
        }
        let acceptance = self.rounds.handle(now, Event::Batch { batch, plan }, &mut self.effects);
        if let Some(from) = from {
            self.hashes.charge(now, from, self.checks.cost_us(id, &self.effects));
        }
        self.sort_out(now);
        acceptance
    }

    /// Takes in what a validator says. Who brought it is charged for what is hashed because of an objection.
    fn take_message(&mut self, now: Moment, from: NodeId, bytes: Bytes) -> Acceptance {
        let acceptance = self.rounds.handle(now, Event::Message { bytes }, &mut self.effects);
        self.hashes.charge(now, from, self.checks.objection_us(&self.effects));
        self.sort_out(now);
        acceptance
    }

    /// Takes a batch from the network. `None`: it is answered for when it was judged.
    fn take_item(
        &mut self,
        now: Moment,
        ticket: Ticket,
        place: usize,
        from: NodeId,
        bytes: Bytes,
    ) -> Option<Acceptance> {
        self.work.charge(now, from, SIGNATURE_US);
        let batch = match SealedBatch::open(bytes, self.pool) {
            Ok(batch) => Arc::new(batch),
            // Another pool of this chain: nobody's fault.
            Err(BatchError::Foreign { .. }) => return Some(Acceptance::Ignore),
            Err(error) => {
                tracing::debug!(peer = %NodeKey(from.0), %error, "a peer sent what is no batch of shares");
                return Some(Acceptance::Reject);
            }
        };
        let (id, shares) = (batch.id(), batch.batch().entries.len() as u64);
        self.work.charge(now, from, HEADER_US * shares);
        let plan = self.checks.plan(now, &batch, &self.rounds.view().validators);
        match self.take_batch(now, batch, plan, Some(from)) {
            Acceptance::Accept => {
                self.counters.shares_received += shares;
                self.deliveries.wait(now, id, ticket, place, from);
                None
            }
            other => Some(other),
        }
    }

    /// Takes in what became of a batch.
    fn take_verdict(&mut self, now: Moment, hashed: Hashed) {
        let (id, author) = (hashed.batch.id(), hashed.batch.batch().node);
        self.counters.hashed += hashed.shares as u64;
        self.checks.hashed(now, &hashed);
        self.panels.judged(now, id, &hashed.which, &hashed.verdict, &mut self.panel_effects);
        self.consulted(now);
        let is_valid = matches!(hashed.verdict, BatchVerdict::Valid { .. });
        let is_settled = is_valid || matches!(hashed.verdict, BatchVerdict::Wrong { .. });
        if !is_settled {
            self.handle(now, Event::Judged { batch: id, verdict: hashed.verdict });
            return;
        }
        // Before the machine hears of it: it may certify the batch at once, and let it go.
        let is_own = self.own.remove(&id);
        // Who passed a batch on may have hashed other shares of it: whose shares they are answers for them.
        let told = self.deliveries.judged(id, |from| match (is_valid, from == author) {
            (true, _) => Acceptance::Accept,
            (false, true) => Acceptance::Reject,
            (false, false) => Acceptance::Ignore,
        });
        self.handle(now, Event::Judged { batch: id, verdict: hashed.verdict });
        if is_own && is_valid {
            let items = vec![hashed.batch.bytes().clone()];
            self.network.tell(adit_network::Event::LocalItems { class: Class::Shares, items });
        }
        told.into_iter().for_each(|event| self.network.tell(event));
    }

    fn take_question(&mut self, now: Moment, from: NodeId, ask: &[u8], reply: oneshot::Sender<Bytes>) {
        let Ok(question) = Question::from_bytes(ask) else { return self.blame(from, NONSENSE_POINTS) };
        if !self.told.has_left(now, from) {
            self.counters.refused += 1;
            return;
        }
        let answer = match question {
            Question::Rounds(ask) => self.rounds.answer(&ask, &self.certified),
            Question::Batch { pool, batch } => self.panels.answer(now, pool, batch),
        };
        let bytes = answer.as_ref().map_or(0, Bytes::len) as u64;
        self.told.charge(now, from, bytes.max(QUESTION_BYTES));
        if let Some(answer) = answer {
            self.after.push(After::Reply(reply, answer));
        }
    }

    fn take_answer(&mut self, now: Moment, tag: u64, from: NodeId, answer: Bytes) {
        let is_sound = if is_of_panel(tag) {
            let is_sound = self.panels.hear(from, &answer, &mut self.panel_effects);
            self.consulted(now);
            is_sound
        } else {
            self.handle(now, Event::Answer { bytes: answer }) != Acceptance::Reject
        };
        if !is_sound {
            tracing::debug!(peer = %NodeKey(from.0), "a peer's answer about shares is none");
            self.blame(from, NONSENSE_POINTS);
        }
    }

    /// Has the machine take something in, and sorts out what comes of it.
    fn handle(&mut self, now: Moment, event: Event) -> Acceptance {
        let acceptance = self.rounds.handle(now, event, &mut self.effects);
        self.sort_out(now);
        acceptance
    }

    /// Gives each effect its place: to the disk, to the thread that hashes, or behind what has to be durable before.
    fn sort_out(&mut self, now: Moment) {
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Persist(bytes) => self.keeper.persist(&bytes),
                Effect::Keep { batch } => self.keeper.keep(now, &batch),
                Effect::Forget { batches } => self.forget(now, &batches),
                Effect::Publish(bytes) => self.after.push(After::Publish(bytes)),
                Effect::Ask(bytes) => self.after.push(After::Ask(bytes)),
                Effect::Certified { round, past } => {
                    self.counters.rounds += 1;
                    self.counters.frauds += round.content.evidence.len() as u64;
                    // Those that others had before this node judged them again, after a restart.
                    self.own.retain(|id| !round.content.batches.contains(id));
                    self.keeper.certified(&round, &past);
                    self.after.push(After::Certified(past));
                }
                Effect::Judge { batch, which } => self.hashing.judge(batch, which),
                Effect::Consult { batch, count } => {
                    let validators = self.rounds.view().validators;
                    self.panels.consult(now, batch, count, &validators, &mut self.panel_effects);
                    self.consulted(now);
                }
                Effect::Liar { node, lie } => self.found_liar(now, node, lie),
                Effect::Fraud(evidence) => {
                    tracing::warn!(node = %NodeKey(evidence.node().0), "a node said two things that exclude each other: it loses its weight");
                }
                Effect::Waiting { round, heard, total } => {
                    tracing::warn!(round, heard, total, "payouts wait: too little weight takes part in the round");
                }
                Effect::Resumed { round } => tracing::info!(round, "rounds are certified again"),
                Effect::Behind(Lag { rounds, .. }) => {
                    tracing::warn!(
                        rounds,
                        "this node is behind the others: what its miners work on may be credited to nobody"
                    );
                }
                Effect::Level { round } => tracing::info!(round, "this node is level with the others again"),
                Effect::Halted(halt) => {
                    tracing::error!(reason = %reason(&halt), "the share log takes no further part: payouts wait for a person")
                }
            }
        }
    }

    fn forget(&mut self, now: Moment, batches: &[BatchId]) {
        self.keeper.forget(now, batches);
        for id in batches {
            if self.own.remove(id) {
                tracing::warn!("shares of this node's miners came too late and are credited to nobody");
            }
            for event in self.deliveries.judged(*id, |_| Acceptance::Ignore) {
                self.network.tell(event);
            }
        }
    }

    fn found_liar(&mut self, now: Moment, node: NodeId, lie: Lie) {
        if let Lie::Batch { .. } = lie {
            self.counters.batches_wrong += 1;
            self.work.charge(now, node, WRONG_US);
        }
        let (name, lie) = (NodeKey(node.0), format!("{lie:?}"));
        if node == self.node {
            tracing::error!(
                lie,
                "a share of this node's own miners is wrong: the pool's check and the share log's differ"
            );
            return;
        }
        tracing::warn!(node = %name, lie, "a node sent a wrong share, or denied a right one");
        self.lied(node);
    }

    fn lied(&mut self, node: NodeId) {
        if !self.liars.contains(&node) && self.liars.len() < LIARS_MAX {
            self.liars.push(node);
        }
        self.blame(node, LIE_POINTS);
    }

    fn blame(&self, node: NodeId, points: u32) {
        self.network.tell(adit_network::Event::Blame { node, points });
    }

    /// Carries out what came of panels.
    fn consulted(&mut self, now: Moment) {
        for effect in std::mem::take(&mut self.panel_effects) {
            match effect {
                PanelEffect::Ask { node, question } => {
                    let tag = self.tag(true);
                    self.network.ask(ToPeer { tag, node: Some(node), ask: question });
                }
                PanelEffect::Judge { batch, which } => {
                    // Those who were asked were late or disagreed: who brought the batch pays as if nobody had been asked.
                    if let (Which::All, Some(from)) = (&which, self.deliveries.bringer(batch.id())) {
                        self.hashes.charge(now, from, self.checks.whole_us(&batch));
                    }
                    self.hashing.judge(batch, which);
                }
                PanelEffect::Liar { node, .. } => {
                    tracing::warn!(node = %NodeKey(node.0), "a node signed what its shares contradict");
                    self.lied(node);
                }
            }
        }
    }

    fn carry_out(&mut self, after: After) {
        match after {
            After::Publish(bytes) => {
                self.network.tell(adit_network::Event::LocalItems { class: Class::Votes, items: vec![bytes] });
            }
            After::Ask(ask) => {
                let tag = self.tag(false);
                self.network.ask(ToPeer { tag, node: None, ask });
            }
            After::Certified(past) => {
                tracing::debug!(round = past.base.round, credits = past.credits.len(), "a round is certified");
                self.certified.certified(&past);
            }
            // Who asked may be gone.
            After::Reply(reply, answer) => drop(reply.send(answer)),
        }
    }

    /// Numbers a question, so that its answer finds who asked: panels or rounds.
    fn tag(&mut self, panel: bool) -> u64 {
        self.questions += 1;
        self.questions << 1 | u64::from(panel)
    }
}

const fn is_of_panel(tag: u64) -> bool {
    tag & 1 == 1
}

fn settings(agreement: Agreement, times: Times) -> Settings {
    let Agreement { pool, terms, round, round_shares } = agreement;
    let Times { view, view_more, view_longest, repair, greet, stall } = times;
    Settings { pool, terms, round, round_shares, view, view_more, view_longest, repair, greet, stall }
}

/// Says why a node stopped.
pub fn reason(halt: &Halt) -> String {
    match halt {
        Halt::Split { round, ours, theirs, signed_both } => {
            let names: Vec<String> = signed_both.iter().map(|node| NodeKey(node.0).to_string()).collect();
            format!(
                "round {round} is certified twice, as {ours} and as {theirs}; both were signed by {}",
                names.join(", ")
            )
        }
        Halt::Contradicted { round, root, batch } => {
            let batch = batch.map_or_else(String::new, |batch| format!(" with the batch {batch}"));
            format!("round {round} was certified as {root}{batch}, which is wrong as this node computes it")
        }
    }
}
