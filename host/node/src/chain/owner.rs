//! What the chain's thread does with each request.

use super::checks::{LANES, is_session};
use super::foresight::{Due, Foresight};
use super::handed::{Client, Full, Handed, Moment};
use super::outbox::Outbox;
use super::outlook::{Basis, Outlook, merges};
use super::{
    BLOCKS_PER_COMMIT, BlockParts, ChainChoice, ChainFailure, ChainParts, Counts, DifficultyChange, DifficultyError,
    DifficultyOrder, Followed, Found, NEWS_MAX, News, Offered, Reply, Request, Snapshot, Solved, SubmitError,
    TRANSACTIONS_PER_COMMIT, Taken, WorkError,
};
use crate::audit::{AuditLog, Deed};
use crate::clock::Clock;
use crate::freshness::SAME_STATE_INTERVAL;
use crate::statistics::timed::Stopwatch;
use crate::statistics::{AcceptedBlock, Served, Statistics};
use adit_chain::{
    Accepted, Block, BlockError, Chain, Checked, CheckedHeaders, HeaderError, HeadersError, MempoolError, Solution,
    TakenHeaders, TemplateError, TemplateRequest, Transaction, WorkTemplate,
};
use adit_primitives::contract::{Draft, Requirements, Violation};
use adit_primitives::engine::{ChainView, Fault, RulesEngine, SharedView};
use adit_primitives::storage::StorageError;
use adit_primitives::{BlockId, Height, TxId};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, broadcast, mpsc, watch};

/// How often a refused find is written to the log.
const REFUSAL_LOG_INTERVAL: Duration = Duration::from_secs(1);

/// What the thread owns.
pub struct Owner {
    chain: Chain,
    rules: Arc<dyn RulesEngine>,
    clock: Clock,
    audit: AuditLog,
    configured: Option<u64>,
    forced: Option<u64>,
    outlook: Outlook,
    counts: Counts,
    statistics: Statistics,
    placing: Arc<Stopwatch>,
    foresight: Foresight,
    handed: Handed,
    refusal_logged: Option<Instant>,
    /// What was looked ahead from: the blocks with the difficulty asked for, and the mempool.
    foreseen: (Basis, u64),
    snapshots: Arc<watch::Sender<Arc<Snapshot>>>,
    news: broadcast::Sender<News>,
    /// News that go out with the next snapshot: whoever hears of a block and looks, finds it.
    untold: Vec<News>,
    /// Everything that is told waits here until it is durable.
    outbox: Outbox,
    /// Told when blocks that had waited are ready to be checked.
    ready: Arc<Notify>,
}

/// Where a block came from.
#[derive(Debug, Clone, Copy)]
struct Origin {
    /// From a miner of this node.
    found: bool,
    /// Its payments, where they are known.
    transactions: Option<usize>,
    /// The session that offered it, where one did.
    source: Option<u64>,
}

impl Origin {
    /// Of a block that had waited for its time.
    fn of_waited(source: Option<u64>) -> Self {
        Self { found: false, transactions: None, source: source.filter(|source| is_session(*source)) }
    }

    fn of(offered: &Offered) -> Self {
        let checked = offered.checked.as_ref().ok();
        Self {
            found: offered.find.is_some(),
            transactions: checked.map(Checked::payments),
            source: checked.and_then(Checked::source).filter(|source| is_session(*source)),
        }
    }
}

impl Owner {
    pub fn new(parts: ChainParts, outbox: Outbox) -> Result<Self, ChainFailure> {
        let ChainParts { mut chain, rules, storage, checking: _, clock, choice, placing } = parts;
        let genesis = chain
            .reader()
            .id_at(Height(0))
            .ok_or_else(|| StorageError { detail: "the selected chain has no block at height 0".to_owned() })?;
        let view: SharedView = chain.index().clone();
        let bits = view.block(genesis).map_or(0, |genesis| genesis.bits);
        let difficulty_of_genesis = rules.difficulty(bits)?.map_err(ChainFailure::Genesis)?;
        let basis = Basis { blocks: chain.index().version(), configured: choice.difficulty, forced: None };
        let outlook = Outlook::new(&mut chain, basis, difficulty_of_genesis)?;
        let merged = chain.index().indexed(chain.index().tip_id()).map_or(0, |tip| tip.placement.merge_set.len());
        let statistics = Statistics::new(choice.statistics_blocks, merged);
        let counts = Counts::default();
        let (snapshots, _) = watch::channel(Arc::new(outlook.snapshot(&chain, counts, &statistics)));
        Ok(Self {
            rules,
            clock,
            audit: AuditLog::open(storage)?,
            configured: choice.difficulty,
            forced: None,
            counts,
            statistics,
            placing,
            foresight: Foresight::new(Instant::now()),
            handed: Handed::new(choice.templates.templates_max),
            refusal_logged: None,
            foreseen: (basis, chain.mempool().version()),
            snapshots: Arc::new(snapshots),
            news: broadcast::Sender::new(NEWS_MAX),
            untold: Vec::new(),
            outbox,
            ready: Arc::default(),
            outlook,
            chain,
        })
    }

    /// Answers requests until one says that it is the end, or the database fails.
    pub fn run(mut self, mut requests: mpsc::Receiver<Request>) -> Result<(), ChainFailure> {
        let mut ahead = None;
        self.chain.gather();
        while let Some(request) = self.next(ahead.take(), &mut requests) {
            match request {
                Request::End => break,
                Request::Transaction { transaction, reply } => {
                    let batch;
                    (batch, ahead) =
                        collect((transaction, reply), TRANSACTIONS_PER_COMMIT, &mut requests, as_transaction);
                    self.take_transactions(batch)?;
                }
                Request::Block { offered, reply } => {
                    let group;
                    (group, ahead) = collect((offered, reply), BLOCKS_PER_COMMIT, &mut requests, as_block);
                    self.take_offered(group)?;
                }
                request => self.answer(request)?,
            }
            self.take_ready()?;
            self.outbox.turn(&mut self.chain)?;
        }
        Ok(self.outbox.close(&mut self.chain)?)
    }

    /// Returns the next request. What will be asked for soon is made before it is answered, unless more blocks or transactions wait.
    fn next(&mut self, ahead: Option<Request>, requests: &mut mpsc::Receiver<Request>) -> Option<Request> {
        let waiting = ahead.or_else(|| requests.try_recv().ok());
        let more = |request: &Request| {
            use Request::{Assemble, Block, Blocks, Build, Follow, Headers, Transaction};
            let of_parts = matches!(request, Headers { .. } | Build { .. } | Assemble { .. } | Transaction { .. });
            of_parts || matches!(request, Block { .. } | Blocks { .. } | Follow { .. })
        };
        if waiting.is_none() && self.chain.has_ready() {
            return Some(Request::Turn);
        }
        if !waiting.as_ref().is_some_and(more) {
            self.foresee();
        }
        waiting.or_else(|| requests.blocking_recv())
    }

    /// Returns a receiver of snapshots.
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.subscribe()
    }

    /// Returns the sender of news, from which receivers are made.
    pub fn news(&self) -> broadcast::Sender<News> {
        self.news.clone()
    }

    /// Returns what is told when blocks that had waited are ready to be checked.
    pub fn ready(&self) -> Arc<Notify> {
        Arc::clone(&self.ready)
    }

    /// Publishes a snapshot where something changed, when it is durable. Before the answer goes out: whoever has it and looks, sees what it says.
    fn publish(&mut self) {
        self.look_ahead();
        let now = Arc::new(self.outlook.snapshot(&self.chain, self.counts, &self.statistics));
        let (snapshots, senders) = (Arc::clone(&self.snapshots), self.news.clone());
        let news = std::mem::take(&mut self.untold);
        self.outbox.tell(move || {
            snapshots.send_if_modified(|before| {
                let changed = *before != now;
                *before = now;
                changed
            });
            // Nobody may listen.
            news.into_iter().for_each(|news| drop(senders.send(news)));
        });
        if self.chain.has_unchecked() {
            self.ready.notify_one();
        }
    }

    fn answer(&mut self, request: Request) -> Result<(), StorageError> {
        match request {
            Request::Blocks { checked, reply } => {
                let offered = checked.into_iter().map(|checked| Offered { checked, find: None }).collect();
                let taken = self.take_blocks(offered)?;
                self.publish();
                self.send(reply, taken);
            }
            Request::Follow { checked, reply } => {
                self.take_followed(checked)?;
                self.publish();
                // To be checked, and told to nobody.
                drop(reply.send(self.chain.take_unchecked(LANES)));
            }
            Request::Headers { checked, reply } => {
                let taken = self.take_headers(checked)?;
                self.publish();
                self.send(reply, taken);
            }
            Request::Forget { towards, reply } => {
                let forgotten = self.chain.forget_headers(towards)?;
                self.publish();
                self.send(reply, forgotten);
            }
            Request::Build { parts, reply } => {
                let built = self.build(*parts).map_err(|error| self.refuse(error));
                drop(reply.send(built));
            }
            Request::Assemble { template, found, reply } => {
                let assembled = self.assemble(template, found).map_err(|error| self.refuse(error));
                drop(reply.send(assembled));
            }
            Request::Template { client, request, reply } => {
                let template = self.template(client, request);
                self.send(reply, template);
            }
            Request::Statistics { reply } => drop(reply.send(self.statistics.report())),
            Request::Pool { reply } => {
                let pool = self.chain.mempool();
                let waiting = pool.best_first(pool.count());
                self.send(reply, waiting);
            }
            Request::Pending { id, reply } => {
                let pending = self.chain.mempool().get(id).cloned();
                self.send(reply, pending);
            }
            Request::Difficulty { order, reply } => {
                let changed = self.order_difficulty(order);
                let failed = match &changed {
                    Err(DifficultyError::Storage(error)) => Err(error.clone()),
                    _ => Ok(()),
                };
                self.publish();
                self.send(reply, changed);
                failed?;
            }
            Request::Configure { choice } => {
                let ChainChoice { difficulty, statistics_blocks, mempool, orphans, templates, placement_bytes_max } =
                    choice;
                self.configured = difficulty;
                self.statistics.resize(statistics_blocks);
                self.handed.set_max(templates.templates_max, self.moment());
                self.chain.set_limits(mempool, orphans, templates, placement_bytes_max)?;
                self.publish();
            }
            Request::Audit { deed, reply } => {
                self.audit.record((self.clock)(), deed)?;
                self.send(reply, ());
            }
            Request::Tick => {
                for (source, outcome) in self.chain.advance((self.clock)()) {
                    self.count(&outcome, Origin::of_waited(source))?;
                    outcome.err().into_iter().for_each(|error| self.blame(source, &error));
                }
                self.publish();
            }
            Request::Turn => {}
            Request::Transaction { .. } | Request::Block { .. } | Request::End => {
                unreachable!("the loop answers these itself")
            }
        }
        Ok(())
    }

    /// Answers when all that was taken until now is durable. Whoever asked may have gone away: then nobody needs it.
    fn send<T: Send + 'static>(&mut self, reply: Reply<T>, answer: T) {
        self.outbox.tell(move || drop(reply.send(answer)));
    }

    /// Takes blocks that came one by one with one commit, and answers each.
    fn take_offered(&mut self, offered: Vec<OfferedBlock>) -> Result<(), StorageError> {
        let (offered, replies): (Vec<_>, Vec<_>) =
            offered.into_iter().map(|(offered, reply)| (*offered, reply)).unzip();
        let taken = self.take_blocks(offered)?;
        self.publish();
        std::iter::zip(replies, taken).for_each(|(reply, taken)| self.send(reply, taken));
        Ok(())
    }

    /// Takes blocks with one commit. One answer for each.
    fn take_blocks(&mut self, offered: Vec<Offered>) -> Result<Vec<Result<Taken, SubmitError>>, StorageError> {
        let about = |offered: &Offered| {
            let made_for = offered.find.and_then(|find| find.made_for);
            (offered.checked.as_ref().err().cloned(), made_for, Origin::of(offered))
        };
        let offers: Vec<(Option<BlockError>, Option<u64>, Origin)> = offered.iter().map(about).collect();
        let checked = offered.into_iter().filter_map(|offered| offered.checked.ok()).collect();
        let mut taken = self.chain.submit_blocks((self.clock)(), checked).into_iter();
        let answers = offers.into_iter().map(|(refused, made_for, origin)| {
            let outcome = refused.map_or_else(|| taken.next().expect("each checked block has one answer"), Err);
            self.taken(made_for, outcome, origin)
        });
        answers.collect()
    }

    /// Takes blocks that had waited. Whoever asked about them has had an answer.
    fn take_followed(&mut self, followed: Vec<Followed>) -> Result<(), StorageError> {
        let sources: Vec<Option<u64>> = followed.iter().map(|followed| followed.source).collect();
        let offered = followed.into_iter().map(|followed| Offered { checked: followed.checked, find: None }).collect();
        for (source, taken) in std::iter::zip(sources, self.take_blocks(offered)?) {
            if let Err(SubmitError::Block(error)) = taken {
                self.blame(source, &error);
            }
        }
        Ok(())
    }

    /// Tells who offered a block that had waited and proves invalid: it pays as if the block had been judged at once.
    fn blame(&mut self, source: Option<u64>, error: &BlockError) {
        let (BlockError::Invalid { id: Some(id), violation } | BlockError::KnownInvalid { id, violation }) = error
        else {
            return;
        };
        self.chain.blame(source);
        if let Some(source) = source.filter(|source| is_session(*source) && self.news.receiver_count() > 0) {
            self.untold.push(News::Invalid { id: *id, rule: violation.rule.clone(), source });
        }
    }

    /// Takes some of the blocks whose parents have come. Whoever asks for something meanwhile is answered before the rest of them.
    fn take_ready(&mut self) -> Result<(), StorageError> {
        let ready = self.chain.take_ready(LANES).into_iter();
        let ready: Vec<Followed> = ready.map(|(source, checked)| Followed { checked, source }).collect();
        if ready.is_empty() {
            return Ok(());
        }
        self.take_followed(ready)?;
        self.publish();
        Ok(())
    }

    fn take_headers(&mut self, checked: Result<CheckedHeaders, Fault>) -> Result<TakenHeaders, StorageError> {
        let taken = match checked {
            Ok(checked) => self.chain.submit_checked_headers((self.clock)(), checked)?,
            Err(fault) => TakenHeaders { ids: Vec::new(), new: 0, refused: Some(HeaderError::Fault(fault).into()) },
        };
        if let Some(HeadersError::Header(HeaderError::Fault(fault))) = &taken.refused {
            self.fault(fault);
        }
        Ok(taken)
    }

    fn fault(&mut self, fault: &Fault) {
        tracing::warn!(%fault, "a plugin gave no answer");
        self.counts.faults += 1;
    }

    /// Counts what became of a block.
    fn taken(
        &mut self,
        made_for: Option<u64>,
        outcome: Result<Accepted, BlockError>,
        origin: Origin,
    ) -> Result<Result<Taken, SubmitError>, StorageError> {
        self.count(&outcome, origin)?;
        let state_version = self.chain.state_version();
        let merges = merges(&self.chain);
        let taken = |accepted| Taken { accepted, made_for, state_version, merges };
        Ok(outcome.map(taken).map_err(SubmitError::Block))
    }

    /// Puts what was found into its template. Returns the block, and the state for which it was made: one that is gone makes a block all the same, and
    /// fork choice decides what it is worth.
    fn assemble(&self, solved: Solved, found: Found) -> Result<(Block, u64), SubmitError> {
        let template = match solved {
            Solved::Kept(template) => template,
            Solved::Named(id) => self.handed.get(id).ok_or(SubmitError::UnknownTemplate { id })?,
        };
        let solution = match found {
            Found::Work(proof) => {
                let (nonce, rolled) = proof.over(&template.pow);
                Solution::Nonce { nonce, rolled }
            }
            Found::Space(proof) => Solution::Space(proof),
        };
        let block = self.chain.assemble(&template, solution).map_err(submit_error)?;
        Ok((block, template.state_version))
    }

    /// Notes a find that did not become a block.
    fn refuse(&mut self, error: SubmitError) -> SubmitError {
        let rule = match &error {
            SubmitError::UnknownTemplate { .. } => Some("unknown-template"),
            SubmitError::Header(violation) => Some(violation.rule.as_str()),
            SubmitError::UnknownParent { .. } => Some("unknown-parent"),
            SubmitError::Height { .. } => Some("height"),
            SubmitError::Block(_) => None,
        };
        if let Some(rule) = rule {
            self.statistics.refused(rule, true);
            // Anybody can submit anything: the count is whole, the log is not.
            if self.refusal_logged.is_none_or(|logged| logged.elapsed() >= REFUSAL_LOG_INTERVAL) {
                self.refusal_logged = Some(Instant::now());
                tracing::warn!(rule, %error, "a find was refused");
            }
        }
        error
    }

    /// Returns work for a miner, and notes how it came about.
    fn template(&mut self, client: Client, mut request: TemplateRequest) -> Result<Arc<WorkTemplate>, WorkError> {
        let asked = request.clone();
        request.difficulty = self.wish();
        let (template, new) = self.make(&request)?;
        self.handed.hand(client, &asked, &template, self.moment()).map_err(|Full| WorkError::Full)?;
        self.foresight.asked(&asked);
        self.statistics.served(match (new, self.foresight.was_waiting(template.id)) {
            (true, _) => Served::Built,
            (false, true) => Served::Prepared,
            (false, false) => Served::Reused,
        });
        Ok(template)
    }

    /// Makes a template, or finds it made, and tells which.
    fn make(&mut self, request: &TemplateRequest) -> Result<(Arc<WorkTemplate>, bool), TemplateError> {
        let began = Instant::now();
        if self.chain.choose_transactions() {
            self.statistics.chose(began.elapsed());
        }
        let template = self.chain.template((self.clock)(), request)?;
        let new = self.foresight.is_new(template.id);
        if new {
            self.statistics.built(began.elapsed());
        }
        Ok((template, new))
    }

    /// Chooses transactions and makes templates that will be asked for soon, where blocks or transactions have come.
    fn foresee(&mut self) {
        let basis = self.basis();
        let now = (basis, self.chain.mempool().version());
        if self.foreseen == now {
            return;
        }
        let began = Instant::now();
        let due = self.foresight.due(began, self.foreseen.0 != basis, SAME_STATE_INTERVAL);
        match due {
            Due::Nothing => return,
            Due::Choice => {
                if self.chain.choose_transactions() {
                    self.statistics.chose(began.elapsed());
                }
            }
            Due::Templates => self.prepare(),
        }
        if due == Due::Templates {
            self.foreseen = now;
        }
        let ended = Instant::now();
        self.foresight.rest(ended, ended - began, due == Due::Templates);
    }

    fn prepare(&mut self) {
        for mut request in self.foresight.take() {
            request.difficulty = self.wish();
            match self.make(&request) {
                Ok((template, _)) => self.foresight.prepared(template.id),
                Err(error) => tracing::debug!(%error, "a template that may be asked for cannot be made"),
            }
        }
    }

    /// Builds a block whose header was given by its parts.
    fn build(&self, parts: BlockParts) -> Result<Block, SubmitError> {
        let BlockParts { draft, height, proof, body } = parts;
        let fault = |fault| SubmitError::Block(BlockError::Fault(fault));
        let parent = draft.parent;
        if self.chain.reader().indexed(parent).is_none() {
            return Err(SubmitError::UnknownParent { parent });
        }
        let view: SharedView = self.chain.index().clone();
        let next = |wish| self.rules.next(&view, &[parent], wish).map_err(fault)?.map_err(SubmitError::Header);
        let mut required = next(None)?;
        let other = draft.difficulty.filter(|wish| wish.to_string() != required.difficulty);
        if let (None, Some(wish)) = (draft.bits, other) {
            required = next(Some(wish))?;
        }
        if required.height != height {
            return Err(SubmitError::Height { parent, found: height, want: required.height });
        }
        let bits = draft.bits.unwrap_or(required.bits);
        let draft = Draft { parents: required.parents, bits, time: draft.time, body_root: draft.body_root };
        let template = self.rules.encode(&draft).map_err(fault)?.map_err(SubmitError::Header)?;
        let (nonce, rolled) = proof.over(&template.pow);
        let sealed = self.rules.seal(&template.header, nonce, rolled).map_err(fault)?;
        Ok(Block { header: sealed.map_err(SubmitError::Header)?, body })
    }

    fn take_transactions(&mut self, batch: Vec<OfferedTransaction>) -> Result<(), StorageError> {
        let (transactions, replies): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let outcomes = self.chain.submit_transactions((self.clock)(), transactions)?;
        let accepted = outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64;
        self.counts.transactions_accepted += accepted;
        self.counts.transactions_refused += outcomes.len() as u64 - accepted;
        let admitted: Arc<[TxId]> = outcomes.iter().flatten().copied().collect();
        if !admitted.is_empty() {
            self.untold.push(News::Transactions(admitted));
        }
        self.publish();
        outcomes.into_iter().zip(replies).for_each(|(outcome, reply)| self.send(reply, outcome));
        Ok(())
    }

    fn count(&mut self, outcome: &Result<Accepted, BlockError>, origin: Origin) -> Result<(), StorageError> {
        let counts = &mut self.counts;
        match outcome {
            Ok(accepted) => {
                counts.blocks_accepted += 1;
                counts.blocks_aside += u64::from(!accepted.selected);
                let reorganised = accepted.reorg.as_ref().is_some_and(|reorg| !reorg.disconnected.is_empty());
                counts.reorgs += u64::from(reorganised);
                self.note_accepted(accepted, origin)?;
            }
            Err(BlockError::Storage(error)) => return Err(error.clone()),
            Err(BlockError::Fault(fault)) => self.fault(fault),
            Err(error) => {
                counts.blocks_refused += 1;
                if let Some(rule) = broken_rule(error) {
                    self.statistics.refused(rule, origin.found);
                }
            }
        }
        Ok(())
    }

    /// Notes a block that was taken.
    fn note_accepted(&mut self, accepted: &Accepted, origin: Origin) -> Result<(), StorageError> {
        let index = self.chain.index().clone();
        let merge_set = |id: BlockId| index.block(id).map(|known| known.merge_set).unwrap_or_default();
        let Origin { found, transactions, source } = origin;
        let (id, merged, placement) = (accepted.id, merge_set(accepted.id).len(), self.placing.take());
        self.statistics.accepted(&AcceptedBlock { id, found, transactions, merged, placement });
        if let Some(reorg) = &accepted.reorg {
            self.statistics.moved(reorg, merge_set);
        }
        self.tell(id, source)
    }

    /// Notes that a block is to be told of, where anybody listens.
    fn tell(&mut self, id: BlockId, source: Option<u64>) -> Result<(), StorageError> {
        if self.news.receiver_count() == 0 {
            return Ok(());
        }
        if let Some(header) = self.chain.reader().header(id)? {
            self.untold.push(News::Block { id, header: header.into(), source });
        }
        Ok(())
    }

    fn order_difficulty(&mut self, order: DifficultyOrder) -> Result<DifficultyChange, DifficultyError> {
        let DifficultyOrder { difficulty, force, reason, from } = order;
        if let (Some(_), Some(forced), false) = (difficulty, self.forced, force) {
            return Err(DifficultyError::Active { forced });
        }
        let old = self.required(self.wish()).map(|next| next.difficulty)?;
        let new = self.required(difficulty.or_else(|| self.configured_if_allowed()))?.difficulty;
        let action = if difficulty.is_some() { "difficulty-set" } else { "difficulty-restored" };
        let [old_value, new_value] = [&old, &new].map(|text| Value::String(text.clone()));
        self.audit.record((self.clock)(), Deed { action, old: old_value, new: new_value, reason, from })?;
        self.forced = difficulty;
        Ok(DifficultyChange { old, new, forced: difficulty })
    }

    fn required(&mut self, wish: Option<u64>) -> Result<Requirements, DifficultyError> {
        self.chain.requirements(wish).map_err(|error| match error {
            TemplateError::Refused(violation) => DifficultyError::Refused(violation),
            TemplateError::Fault(fault) => DifficultyError::Fault(fault),
            other => DifficultyError::Refused(Violation { rule: "template".to_owned(), detail: other.to_string() }),
        })
    }

    /// The difficulty to ask the rules for: the override, or the configured one where the rules allow it.
    fn wish(&self) -> Option<u64> {
        self.forced.or(self.configured_if_allowed())
    }

    fn configured_if_allowed(&self) -> Option<u64> {
        self.configured.filter(|_| self.outlook.difficulty.refused.is_none())
    }

    fn moment(&self) -> Moment {
        Moment { now: (self.clock)(), state_version: self.chain.state_version() }
    }

    fn basis(&self) -> Basis {
        Basis { blocks: self.chain.index().version(), configured: self.configured, forced: self.forced }
    }

    /// Asks the rules about the next block again where something changed that their answer depends on. A plugin that gives no answer leaves
    /// the last one standing: the next change asks again.
    fn look_ahead(&mut self) {
        let basis = self.basis();
        if self.outlook.basis == basis {
            return;
        }
        match Outlook::new(&mut self.chain, basis, self.outlook.difficulty.genesis.clone()) {
            Ok(outlook) => self.outlook = outlook,
            Err(error) => tracing::warn!(%error, "the rules say nothing about the next block"),
        }
    }
}

type OfferedTransaction = (Transaction, Reply<Result<TxId, MempoolError>>);
type OfferedBlock = (Box<Offered>, Reply<Result<Taken, SubmitError>>);

fn as_transaction(request: Request) -> Result<OfferedTransaction, Box<Request>> {
    match request {
        Request::Transaction { transaction, reply } => Ok((transaction, reply)),
        other => Err(Box::new(other)),
    }
}

fn as_block(request: Request) -> Result<OfferedBlock, Box<Request>> {
    match request {
        Request::Block { offered, reply } => Ok((offered, reply)),
        other => Err(Box::new(other)),
    }
}

/// Takes what waits right behind something of its kind, so that all of it shares a commit, and the first request of another kind.
fn collect<T>(
    first: T,
    max: usize,
    requests: &mut mpsc::Receiver<Request>,
    of_kind: impl Fn(Request) -> Result<T, Box<Request>>,
) -> (Vec<T>, Option<Request>) {
    let mut group = vec![first];
    while group.len() < max {
        match requests.try_recv().map(&of_kind) {
            Ok(Ok(next)) => group.push(next),
            Ok(Err(other)) => return (group, Some(*other)),
            Err(_) => break,
        }
    }
    (group, None)
}

/// Returns the rule that a block breaks for good, by what is known of it now.
fn broken_rule(error: &BlockError) -> Option<&str> {
    match error {
        BlockError::Invalid { violation, .. } | BlockError::KnownInvalid { violation, .. } => Some(&violation.rule),
        BlockError::Early { kept: false, .. } => Some("early"),
        BlockError::Deep { .. } => Some("deep"),
        _ => None,
    }
}

fn submit_error(error: TemplateError) -> SubmitError {
    match error {
        TemplateError::Refused(violation) => SubmitError::Header(violation),
        TemplateError::Fault(fault) => SubmitError::Block(BlockError::Fault(fault)),
        other => SubmitError::Header(Violation { rule: "template".to_owned(), detail: other.to_string() }),
    }
}
