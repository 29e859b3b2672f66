//! Follows blocks and payments, and has the books take down what became of them.
//!
//! What is right is decided in `adit_pool::money`; here the upstream is asked, and steps are taken again after whatever failed.
//!
//! Reading order: [`Bookkeeping::run`] is what goes on at once; [`blocks`] is a block's way, [`others`] that of blocks which other nodes of the
//! pool found, [`earlier`] schemes that were left, [`payments`] a payment's, [`last_payment`] what books of yesterday are known by.

mod blocks;
mod earlier;
mod last_payment;
mod others;
mod payments;

use super::checking::Solved;
use super::jobs::Current;
use super::metrics::PoolMetrics;
use super::shared::SharedPool;
use super::solved::Notes;
use super::upstreams::Upstreams;
use super::warden::Keep;
use crate::clock::Clock;
use adit_pool::money::payments::{PaymentError, PaymentSettings};
use adit_pool::money::retention;
use adit_pool::money::rounds::{RoundSettings, Rounds, RoundsError};
use adit_pool::money::schemes::Schemes;
use adit_pool::money::settlement::{self, Settled};
use adit_pool::work::bans::Bans;
use adit_pool::work::farm::SpaceJob;
use adit_pool::work::log::{ShareLog, ShareLogError};
use adit_pool::work::workers::Workers;
use adit_primitives::BlockId;
use adit_primitives::accounts::{Accounts, AccountsError, Change};
use adit_primitives::contract::payout::Economics;
use adit_primitives::storage::StorageError;
use last_payment::LastPaymentError;
use others::Looked;
use payments::Paying;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// How often blocks and payments are looked after.
const ROUND_INTERVAL: Duration = Duration::from_secs(5);

/// How often shares are settled between blocks, where shares are paid for.
const SETTLE_INTERVAL: Duration = Duration::from_secs(60);

/// How often what is forgotten by time is forgotten.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(60);

/// How long blocks on their way have at the end.
const FAREWELL: Duration = Duration::from_secs(5);

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
    /// The job that farmers have.
    pub space: watch::Receiver<Option<Arc<SpaceJob>>>,
    pub economics: watch::Receiver<Option<Economics>>,
    pub metrics: Arc<PoolMetrics>,
    pub waits: Waits,
    /// The other nodes, in a peer-to-peer pool.
    pub shared: Option<SharedPool>,
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
    LastPayment(#[from] LastPaymentError),
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

/// What waits, and why, as far as the operator was told: it is told again when the reason is another.
#[derive(Default)]
pub struct Waits {
    blocks: Mutex<BTreeMap<BlockId, String>>,
    /// Why shares are not paid for.
    shares: Mutex<BTreeSet<String>>,
}

impl Waits {
    /// Notes why a block waits. Tells whether that is news.
    fn is_news(&self, block: &BlockId, why: &dyn Display) -> bool {
        let why = why.to_string();
        self.lock().insert(*block, why.clone()).is_none_or(|before| before != why)
    }

    fn is_over(&self, block: &BlockId) {
        self.lock().remove(block);
    }

    /// Notes why shares wait to be paid for, all reasons that there are. Returns those that are news.
    fn news_of_shares(&self, whys: BTreeSet<String>) -> Vec<String> {
        let mut told = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let news = whys.difference(&told).cloned().collect();
        *told = whys;
        news
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<BlockId, String>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bookkeeping {
    /// Runs until nobody can find a block any more. Blocks on their way then have some seconds.
    pub async fn run(
        self: Arc<Self>,
        mut solved: mpsc::UnboundedReceiver<Solved>,
        bans: mpsc::UnboundedReceiver<Keep>,
    ) {
        let mut blocks = JoinSet::new();
        self.hand_in_left(&mut blocks).await;
        // Neither of these may keep a block waiting.
        let rounds = tokio::spawn(Arc::clone(&self).follow());
        let bans = tokio::spawn(Arc::clone(&self).keep_bans(bans));
        loop {
            tokio::select! {
                biased;
                found = solved.recv() => match found {
                    Some(found) => drop(blocks.spawn(Arc::clone(&self).take(found))),
                    None => break,
                },
                Some(_) = blocks.join_next(), if !blocks.is_empty() => {}
            }
        }
        rounds.abort();
        let all = async {
            while blocks.join_next().await.is_some() {}
            drop(bans.await);
        };
        if tokio::time::timeout(FAREWELL, all).await.is_err() {
            tracing::warn!("blocks were still on their way at the end: they are handed in again at the next start");
        }
    }

    async fn keep_bans(self: Arc<Self>, mut bans: mpsc::UnboundedReceiver<Keep>) {
        while let Some(Keep { changes, kept }) = bans.recv().await {
            let outcome = self.step(move |keeper| Ok(keeper.books.commit(&changes)?)).await.map(|_| ());
            if let Err(error) = &outcome {
                tracing::error!(%error, "a ban, or its end, is not in the books");
            }
            if let Some(kept) = kept {
                // Who asked may have gone.
                drop(kept.send(outcome));
            }
        }
    }

    /// Looks after blocks, settlements and payments, again and again.
    async fn follow(self: Arc<Self>) {
        let (mut tip, start) = (None, tokio::time::Instant::now());
        let (mut settled, mut paid, mut kept) = (start, start, start);
        let (mut paying, mut looked) = (Paying::default(), Looked::default());
        loop {
            self.find_others(&mut looked).await;
            self.follow_blocks().await;
            self.split().await;
            let hashed = self.current.borrow().as_ref().map(|current| current.tip);
            let now_tip = hashed.or_else(|| self.space.borrow().as_ref().map(|job| job.template.previous));
            if now_tip != tip || settled.elapsed() >= SETTLE_INTERVAL {
                (tip, settled) = (now_tip, tokio::time::Instant::now());
                self.settle().await;
            }
            if self.may_pay(&mut paying).await {
                if paid.elapsed() >= self.payment_interval {
                    paid = tokio::time::Instant::now();
                    self.plan_payment().await;
                }
                self.follow_payments(&mut paying).await;
            }
            if kept.elapsed() >= HOUSEKEEPING_INTERVAL {
                kept = tokio::time::Instant::now();
                self.keep_house().await;
            }
            tokio::time::sleep(ROUND_INTERVAL).await;
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
        let outcomes = match outcomes.await {
            Ok(outcomes) => outcomes,
            Err(error) => {
                let news = self.waits.news_of_shares(BTreeSet::from([error.to_string()]));
                return news.iter().for_each(|error| tracing::error!(error, "shares are not settled"));
            }
        };
        let mut waiting: BTreeMap<String, u64> = BTreeMap::new();
        for outcome in outcomes {
            match outcome {
                Settled::Paid { from, to, sum } => {
                    tracing::info!(shares = to.0 - from.0, atoms = sum.to_atoms(), "shares are paid for");
                }
                Settled::Postponed { from, to, why } => *waiting.entry(why.to_string()).or_default() += to.0 - from.0,
            }
        }
        for why in self.waits.news_of_shares(waiting.keys().cloned().collect()) {
            tracing::error!(shares = waiting[&why], why, "shares wait to be paid for");
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
                tracing::info!(who = %ban.who, "a ban is over");
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
