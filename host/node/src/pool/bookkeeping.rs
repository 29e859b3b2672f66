//! Follows blocks and payments, and has the books take down what became of them.
//!
//! What is right is decided in `adit_pool::money`; here the upstream is asked, and steps are taken again after whatever failed. A block is
//! noted in a file, then goes to every upstream and into the books, at once: see [`super::solved`].

use super::checking::Solved;
use super::jobs::Current;
use super::metrics::PoolMetrics;
use super::solved::{Left, Note, Notes, Written};
use super::upstream::{UpstreamError, WalletError};
use super::upstreams::{Upstreams, Verdict};
use crate::clock::Clock;
use adit_pool::money::payments::{self, PaymentError, PaymentSettings, Step};
use adit_pool::money::retention;
use adit_pool::money::rounds::{RoundSettings, Rounds, RoundsError, SplitOutcome};
use adit_pool::money::schemes::Schemes;
use adit_pool::money::settlement::{self, Settled};
use adit_pool::work::bans::Bans;
use adit_pool::work::log::{ShareLog, ShareLogError};
use adit_pool::work::workers::Workers;
use adit_primitives::accounts::{
    Accounts, AccountsError, Ban, BlockState, Change, OperatorChange, Payment, PaymentNumber, ShareSequence,
};
use adit_primitives::contract::payout::Economics;
use adit_primitives::storage::StorageError;
use adit_primitives::{BlockId, Timestamp};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// How often blocks and payments are looked after.
const ROUND_INTERVAL: Duration = Duration::from_secs(5);

/// How often shares are settled between blocks, where shares are paid for.
const SETTLE_INTERVAL: Duration = Duration::from_secs(60);

/// How often what is forgotten by time is forgotten.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(60);

/// How long blocks on their way have at the end.
const FAREWELL: Duration = Duration::from_secs(5);

/// How soon a block is handed in again while there is no verdict: at first, and at most, after pauses that double.
const SUBMIT_PAUSE: Duration = Duration::from_millis(500);
const SUBMIT_PAUSE_MAX: Duration = Duration::from_secs(5);

/// How long a step that keeps a block is put off when the books fail.
const BOOK_PAUSE: Duration = Duration::from_secs(5);

/// How long a block waits for its note: a disk that hangs keeps no block from the network.
const NOTE_TIME: Duration = Duration::from_secs(1);

/// How long a refusal waits for upstreams that do not answer: one of them may have taken the block before it fell silent.
const REFUSAL_WAIT_MS: u64 = 3_600_000;

/// What bookkeeping works with.
pub struct Bookkeeping {
    pub books: Arc<dyn Accounts>,
    pub log: Arc<ShareLog>,
    pub notes: Arc<Notes>,
    pub schemes: Arc<Mutex<Schemes>>,
    /// Fees and payments as they are in force: an operator may change them while the pool runs.
    pub terms: Arc<Mutex<Terms>>,
    /// The time between payments.
    pub payment_interval: Duration,
    pub upstreams: Arc<Upstreams>,
    pub workers: Arc<Workers>,
    pub bans: Arc<Mutex<Bans>>,
    pub current: watch::Receiver<Option<Arc<Current>>>,
    pub economics: watch::Receiver<Option<Economics>>,
    pub metrics: Arc<PoolMetrics>,
    pub clock: Clock,
}

/// What holds for blocks and payments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    pub rounds: RoundSettings,
    pub payments: PaymentSettings,
}

/// Why a step of the books was not taken. It is taken again later.
#[derive(Debug, thiserror::Error)]
pub enum BooksFailure {
    #[error(transparent)]
    Rounds(#[from] RoundsError),
    #[error(transparent)]
    Payment(#[from] PaymentError),
    #[error(transparent)]
    Books(#[from] AccountsError),
    #[error("the notes of solved blocks: {0}")]
    Notes(std::io::Error),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Log(#[from] ShareLogError),
    #[error("a step of the books panicked")]
    Panic,
}

impl Bookkeeping {
    /// Takes up the blocks that a crash left out of the books. Before anything else runs.
    pub fn recover(&self) -> Result<(), BooksFailure> {
        let Left { notes, damaged, more } = self.notes.left().map_err(BooksFailure::Notes)?;
        for note in notes {
            let block = note.into_block(self.log.next());
            let (id, height) = (block.id, block.height.0);
            if self.rounds().found(&block)? {
                tracing::warn!(block = %id, height, "a block that was found before a crash is in the books now");
            }
            self.forget(id);
        }
        for (path, error) in damaged {
            let file = path.display();
            tracing::error!(%file, %error, "the note of a solved block is damaged: it is left aside, look at it");
        }
        if more {
            let folder = self.notes.folder().display();
            tracing::error!(%folder, "there are more notes of solved blocks than a start reads: start again to read the rest");
        }
        Ok(())
    }

    /// Runs until nobody can find a block any more. Blocks on their way then have some seconds.
    pub async fn run(
        self: Arc<Self>,
        mut solved: mpsc::UnboundedReceiver<Solved>,
        mut banned: mpsc::UnboundedReceiver<Ban>,
    ) {
        let mut blocks = JoinSet::new();
        self.hand_in_left(&mut blocks).await;
        let rounds = tokio::spawn(Arc::clone(&self).follow());
        loop {
            tokio::select! {
                biased;
                found = solved.recv() => match found {
                    Some(found) => drop(blocks.spawn(Arc::clone(&self).take(found))),
                    None => break,
                },
                Some(ban) = banned.recv() => self.keep(ban).await,
                Some(_) = blocks.join_next(), if !blocks.is_empty() => {}
            }
        }
        rounds.abort();
        let all = async { while blocks.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, all).await.is_err() {
            tracing::warn!("blocks were still on their way at the end: they are handed in again at the next start");
        }
    }

    /// Hands in the blocks of which no upstream has said what became of them: the last run may have ended before it could.
    async fn hand_in_left(self: &Arc<Self>, blocks: &mut JoinSet<()>) {
        let open = match self.step(|keeper| Ok(keeper.books.blocks_open()?)).await {
            Ok(open) => open,
            Err(error) => return tracing::error!(%error, "the books do not say which blocks are open"),
        };
        for block in open.into_iter().filter(|block| block.state == BlockState::Found) {
            tracing::info!(block = %block.id, height = block.height.0, "a block is handed in again after a start");
            let keeper = Arc::clone(self);
            blocks.spawn(async move {
                let bytes: Arc<[u8]> = block.bytes.into();
                let answer = keeper.upstreams.submit(&bytes).await;
                keeper.deliver(block.id, block.found, &bytes, answer).await;
            });
        }
    }

    /// Notes a block, then brings it to the upstreams and into the books, both at once.
    async fn take(self: Arc<Self>, solved: Solved) {
        let Solved { block, shares_end, hashed } = solved;
        let (id, height, found) = (block.id, block.job.template.height, (self.clock)());
        let note = Note::new(&block, found);
        let written = self.write(note.clone()).await;
        let waited = hashed.elapsed();
        let bytes: Arc<[u8]> = block.block.into();
        let (answer, ()) = tokio::join!(self.upstreams.submit(&bytes), async {
            self.metrics.block_found(waited);
            tracing::info!(block = %id, height = height.0, ?waited, "the pool found a block");
            self.book(note, written, shares_end).await;
        });
        self.deliver(id, found, &bytes, answer).await;
    }

    /// Writes a note. Without one the block goes on its way all the same.
    async fn write(self: &Arc<Self>, note: Note) -> Option<Written> {
        let (id, notes) = (note.id(), Arc::clone(&self.notes));
        let writing = tokio::task::spawn_blocking(move || notes.write(&note));
        let problem = match tokio::time::timeout(NOTE_TIME, writing).await {
            Ok(Ok(Ok(written))) => return Some(written),
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(panic)) => panic.to_string(),
            Err(_) => format!("it takes longer than {NOTE_TIME:?}"),
        };
        let folder = self.notes.folder().display();
        tracing::error!(block = %id, %folder, problem, "the block could not be noted: a crash now would forget it");
        None
    }

    /// Has the books take a block, however often they fail. Its note is dropped then, and not before.
    async fn book(
        self: &Arc<Self>,
        note: Note,
        written: Option<Written>,
        shares_end: oneshot::Receiver<ShareSequence>,
    ) {
        let id = note.id();
        if let Some(written) = written
            && let Ok(Err(error)) = tokio::task::spawn_blocking(|| written.sync()).await
        {
            tracing::error!(block = %id, %error, "the block's note is not on the disk: a loss of power now would forget it");
        }
        // Without an answer the log has failed or ended; what it held then is the window.
        let end = shares_end.await.unwrap_or_else(|_| self.log.next());
        let block = Arc::new(note.into_block(end));
        loop {
            let block = Arc::clone(&block);
            let recorded = self.step(move |keeper| {
                keeper.rounds().found(&block)?;
                keeper.forget(id);
                Ok(())
            });
            let Err(error) = recorded.await else { return };
            tracing::error!(block = %id, %error, "the books do not take the block: they are asked again");
            tokio::time::sleep(BOOK_PAUSE).await;
        }
    }

    /// Drops the note of a block that the books have. One that stays is dropped at the next start.
    fn forget(&self, id: BlockId) {
        if let Err(error) = self.notes.forget(id) {
            tracing::warn!(block = %id, %error, "the note of a block that the books have is not removed");
        }
    }

    /// Hands a block in until what becomes of it is known and booked. `answer` is the first one.
    async fn deliver(
        self: &Arc<Self>,
        id: BlockId,
        found: Timestamp,
        block: &Arc<[u8]>,
        mut answer: Result<Verdict, UpstreamError>,
    ) {
        let (mut pause, mut told) = (SUBMIT_PAUSE, false);
        loop {
            let open = match &answer {
                Ok(Verdict::Refused { silent, reason }) if self.may_yet_be_taken(*silent, found) => {
                    Some(reason.clone())
                }
                Ok(verdict) if self.take_verdict(id, verdict).await => return,
                Ok(_) => None,
                Err(error) => Some(error.to_string()),
            };
            if let Some(problem) = open.filter(|_| !std::mem::replace(&mut told, true)) {
                tracing::error!(block = %id, problem, "no upstream took the block: it is handed in again until one does");
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(SUBMIT_PAUSE_MAX);
            answer = self.upstreams.submit(block).await;
        }
    }

    fn may_yet_be_taken(&self, silent: usize, found: Timestamp) -> bool {
        silent > 0 && (self.clock)().to_millis().saturating_sub(found.to_millis()) < REFUSAL_WAIT_MS
    }

    /// Books what upstreams say of a block. `false` where the books fail.
    async fn take_verdict(self: &Arc<Self>, id: BlockId, verdict: &Verdict) -> bool {
        let now = (self.clock)();
        let booked = match verdict {
            Verdict::Taken => self.step(move |keeper| Ok(keeper.rounds().accepted(id, now)?)).await,
            Verdict::Refused { .. } => self.step(move |keeper| Ok(keeper.rounds().refused(id)?)).await,
        };
        if let Err(error) = booked {
            tracing::error!(block = %id, %error, "what became of the block is not booked yet");
            return false;
        }
        match verdict {
            Verdict::Taken => _ = self.metrics.blocks_accepted.inc(),
            Verdict::Refused { reason, .. } => {
                self.metrics.blocks_refused.inc();
                tracing::error!(block = %id, reason, "the upstream refuses the pool's block");
            }
        }
        self.split().await;
        true
    }

    async fn keep(self: &Arc<Self>, ban: Ban) {
        let kept = self.step(move |keeper| Ok(keeper.books.commit(&[Change::Ban(ban)])?)).await;
        if let Err(error) = kept {
            tracing::error!(%error, "a ban is not in the books");
        }
    }

    /// Looks after blocks, settlements and payments, again and again.
    async fn follow(self: Arc<Self>) {
        let (mut tip, start) = (None, tokio::time::Instant::now());
        let (mut settled, mut paid, mut kept) = (start, start, start);
        loop {
            self.follow_blocks().await;
            self.split().await;
            let now_tip = self.current.borrow().as_ref().map(|current| current.tip);
            if now_tip != tip || settled.elapsed() >= SETTLE_INTERVAL {
                (tip, settled) = (now_tip, tokio::time::Instant::now());
                self.settle().await;
            }
            if paid.elapsed() >= self.payment_interval {
                paid = tokio::time::Instant::now();
                self.plan_payment().await;
            }
            self.follow_payments().await;
            if kept.elapsed() >= HOUSEKEEPING_INTERVAL {
                kept = tokio::time::Instant::now();
                self.keep_house().await;
            }
            tokio::time::sleep(ROUND_INTERVAL).await;
        }
    }

    async fn follow_blocks(self: &Arc<Self>) {
        let open = match self.step(|keeper| Ok(keeper.books.blocks_open()?)).await {
            Ok(open) => open,
            Err(error) => return tracing::error!(%error, "the books do not say which blocks are open"),
        };
        for block in open {
            let (id, height) = (block.id, block.height);
            let standing = match self.upstreams.standing(id, height).await {
                Ok(Some(standing)) => standing,
                // Those that are merely found are handed in elsewhere until there is a verdict.
                Ok(None) if block.state == BlockState::Found => continue,
                Ok(None) => {
                    self.hand_in_again(id, block.bytes.into()).await;
                    continue;
                }
                Err(error) => return tracing::debug!(%error, "where our blocks stand is not known now"),
            };
            let now = (self.clock)();
            match self.step(move |keeper| Ok(keeper.rounds().follow(id, standing, now)?)).await {
                Ok(state) if state != block.state => {
                    tracing::info!(block = %id, height = height.0, %state, "a block of the pool");
                    if state == BlockState::Orphaned {
                        self.metrics.blocks_orphaned.inc();
                    }
                }
                Ok(_) => {}
                Err(error) => tracing::error!(block = %id, %error, "where the block stands is not booked"),
            }
        }
    }

    /// Hands in a block that an upstream took and no longer knows: it may have lost its newest blocks in a crash.
    async fn hand_in_again(self: &Arc<Self>, id: BlockId, block: Arc<[u8]>) {
        let problem = match self.upstreams.submit(&block).await {
            Ok(Verdict::Taken) => {
                return tracing::info!(block = %id, "a block that the upstream had lost is taken again");
            }
            Ok(Verdict::Refused { reason, .. }) => reason,
            Err(error) => error.to_string(),
        };
        tracing::warn!(block = %id, problem, "a block of ours is unknown to the upstream, and not taken again");
    }

    async fn split(self: &Arc<Self>) {
        let now = (self.clock)();
        let outcomes = self.step(move |keeper| {
            let mut schemes = keeper.schemes.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(keeper.rounds().split_due(&mut schemes, now)?)
        });
        match outcomes.await {
            Ok(outcomes) => outcomes.iter().for_each(|outcome| match outcome {
                SplitOutcome::Split { block, distributed } => {
                    tracing::info!(%block, atoms = distributed.to_atoms(), "a block's reward is split");
                }
                SplitOutcome::Postponed { block, why } => tracing::error!(%block, %why, "a block waits to be split"),
            }),
            Err(error) => tracing::error!(%error, "blocks are not split"),
        }
    }

    async fn settle(self: &Arc<Self>) {
        let Some(economics) = *self.economics.borrow() else { return };
        let (now, economics) = ((self.clock)(), super::after(self.terms().rounds.fees, economics));
        let outcomes = self.step(move |keeper| {
            settlement::owe(&*keeper.books, keeper.log.next(), economics)?;
            let mut schemes = keeper.schemes.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(settlement::settle_due(&*keeper.books, &*keeper.log, &mut schemes, now)?)
        });
        match outcomes.await {
            Ok(outcomes) => outcomes.iter().for_each(|outcome| match outcome {
                Settled::Paid { from, to, sum } => {
                    tracing::info!(shares = to.0 - from.0, atoms = sum.to_atoms(), "shares are paid for");
                }
                Settled::Postponed { from, to, why } => {
                    tracing::error!(shares = to.0 - from.0, %why, "shares wait to be paid for");
                }
            }),
            Err(error) => tracing::error!(%error, "shares are not settled"),
        }
    }

    /// Forgets workers that went away, bans that are over, and shares that nobody can be paid for any more.
    async fn keep_house(self: &Arc<Self>) {
        let now = (self.clock)();
        self.workers.prune(now);
        let over = self.bans.lock().unwrap_or_else(PoisonError::into_inner).lift_expired(now);
        let work = self.economics.borrow().map(|economics| economics.work);
        let kept = self.step(move |keeper| {
            for ban in over {
                tracing::info!(who = ?ban.who, "a ban is over");
                keeper.books.commit(&[Change::Unban(ban.who)])?;
            }
            if let Some(work) = work {
                let needed = retention::needed_from(&*keeper.books, &*keeper.log, keeper.log.next(), work)?;
                keeper.log.prune(needed)?;
            }
            Ok(())
        });
        if let Err(error) = kept.await {
            tracing::error!(%error, "what is over is not forgotten");
        }
    }

    async fn plan_payment(self: &Arc<Self>) {
        let now = (self.clock)();
        match self.step(move |keeper| Ok(payments::plan(&*keeper.books, &keeper.terms().payments, now)?)).await {
            Ok(Some(Payment { number, outputs, .. })) => {
                tracing::info!(%number, outputs = outputs.len(), "a payment is planned");
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "no payment is planned"),
        }
    }

    async fn follow_payments(self: &Arc<Self>) {
        let open = match self.step(|keeper| Ok(keeper.books.payments_open()?)).await {
            Ok(open) => open,
            Err(error) => return tracing::error!(%error, "the books do not say which payments are open"),
        };
        for payment in open {
            let number = payment.number;
            if let Err(error) = self.follow_payment(payment).await {
                tracing::error!(%number, %error, "a payment waits");
            }
        }
    }

    /// Takes one payment as far as it goes now.
    async fn follow_payment(self: &Arc<Self>, payment: Payment) -> Result<(), BooksFailure> {
        let number = payment.number;
        let raw = payment.signed.as_ref().map(|signed| signed.raw.clone()).unwrap_or_default();
        let mut step = payments::next(&payment);
        loop {
            step = match step {
                Step::Make { outputs } => match self.upstreams.sign(&outputs).await {
                    Ok(signed) => {
                        let (now, fee) = ((self.clock)(), signed.fee);
                        tracing::info!(%number, transaction = %signed.id, fee = fee.to_atoms(), "a payment is signed");
                        self.step(move |keeper| Ok(payments::signed(&*keeper.books, number, signed, now)?)).await?
                    }
                    Err(WalletError::Upstream(error)) => {
                        tracing::warn!(%number, %error, "no upstream signs the payment now");
                        return Ok(());
                    }
                    Err(error) => return self.cancel(number, &error).await,
                },
                Step::LookUp { id } => match self.upstreams.sighting(id, &raw).await {
                    Ok(sighting) => {
                        let now = (self.clock)();
                        let observe = move |keeper: &Self| {
                            Ok(payments::observed(&*keeper.books, number, sighting, &keeper.terms().payments, now)?)
                        };
                        self.step(observe).await?
                    }
                    Err(error) => {
                        tracing::debug!(%number, %error, "what became of the payment is not known now");
                        return Ok(());
                    }
                },
                Step::Send { id, raw } => {
                    if let Err(error) = self.upstreams.send(&raw).await {
                        tracing::warn!(%number, transaction = %id, %error, "the payment was not taken: it is looked up before it is sent again");
                    }
                    return self.step(move |keeper| Ok(payments::sent(&*keeper.books, number)?)).await;
                }
                Step::Wait => return Ok(()),
                Step::Done { state } => {
                    tracing::info!(%number, %state, "a payment");
                    self.metrics.payments.inc();
                    return Ok(());
                }
            };
        }
    }

    async fn cancel(self: &Arc<Self>, number: PaymentNumber, error: &WalletError) -> Result<(), BooksFailure> {
        tracing::warn!(%number, %error, "the wallet does not make the payment: the balances are given back");
        let (now, reason) = ((self.clock)(), error.to_string());
        let note =
            OperatorChange { time: now, who: "adit".to_owned(), what: format!("payment {number} cancelled"), reason };
        self.step(move |keeper| Ok(payments::cancel(&*keeper.books, number, Some(note), now)?)).await
    }

    fn terms(&self) -> Terms {
        self.terms.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn rounds(&self) -> Rounds<'_> {
        Rounds { books: &*self.books, history: &*self.log, settings: self.terms().rounds }
    }

    /// Takes a step on a thread where it may wait for a disk.
    async fn step<T: Send + 'static>(
        self: &Arc<Self>,
        step: impl FnOnce(&Self) -> Result<T, BooksFailure> + Send + 'static,
    ) -> Result<T, BooksFailure> {
        let keeper = Arc::clone(self);
        tokio::task::spawn_blocking(move || step(&keeper)).await.map_err(|_| BooksFailure::Panic)?
    }
}
