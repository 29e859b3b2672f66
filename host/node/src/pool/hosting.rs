//! What this process does besides keeping a chain: mines for itself, runs a pool, or mines for another one; switched while it runs.
//!
//! One task owns the pool and obeys one order after another. What it does stands in a watch channel, for the API and for whoever else asks.

use super::api::{self, PoolApi};
use super::{Pool, PoolParts, PoolStartError, Running};
use crate::clock::Clock;
use crate::server::ended;
use crate::settings::pool::PoolMode;
use crate::token::Token;
use adit_pool::money::fees::{BasisPoints, Fees};
use adit_pool::money::payments::{self, Sighting};
use adit_primitives::Amount;
use adit_primitives::accounts::{Accounts, Change, OperatorChange, PaymentNumber};
use axum::Router;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, PoisonError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use utoipa::ToSchema;

/// Orders that may wait.
const ORDERS_MAX: usize = 8;

/// Opens what a pool is made of. It may take its time.
pub type MakePool = Arc<dyn Fn() -> Result<PoolParts, String> + Send + Sync>;

/// Has the process's own miner work for itself or for another pool.
pub type SwitchMiner = Box<dyn Fn(PoolMode) -> Result<(), String> + Send + Sync>;

/// What hosting works with.
pub struct HostingParts {
    pub make: MakePool,
    /// `None` where the process has no miner: it then hosts a pool or does nothing.
    pub miner: Option<SwitchMiner>,
    pub clock: Clock,
}

/// The routes, before there is anything behind them: a node's API takes them up before its chain is there to be mined on.
pub struct Prepared {
    /// Under `/pool`.
    pub router: Router,
    /// `/healthz` and `/readyz`, for a process without a node.
    pub probes: Router,
    mode: PoolMode,
    orders: mpsc::Receiver<Order>,
    standing: watch::Sender<Standing>,
}

/// What the process does.
#[derive(Clone)]
pub struct Standing {
    pub mode: PoolMode,
    /// The pool, while there is one.
    pub running: Option<Arc<Running>>,
}

/// What an operator changes in a running pool. It holds until the next start, which goes by `chain.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Configuration {
    /// Hundredths of a percent that the pool keeps, at most 1,000.
    pub pool_fee: Option<u16>,
    /// Hundredths of a percent that go to the foundation, at most 1,000.
    pub foundation_fee: Option<u16>,
    /// Atoms from which on an account is paid.
    pub payment_min: Option<u64>,
    /// Kept in the record, at most 500 characters.
    pub reason: String,
}

/// A payment that can be in no block any more: the operator has seen to what it spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteOff {
    pub payment: u64,
    /// Kept in the record, 1 to 500 characters.
    pub reason: String,
}

/// The end of a ban before its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LiftBan {
    /// The name, or the IP address: of IPv6 any of its network of 64 bits.
    pub who: String,
    /// Kept in the record, at most 500 characters.
    #[serde(default)]
    pub reason: String,
}

/// Why an order was not carried out. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    #[error("the pool does not start: {detail}")]
    Start { detail: String },
    #[error("this process has no miner: it hosts a pool, or nothing")]
    NoMiner,
    #[error("the miner does not change over: {detail}")]
    Miner { detail: String },
    #[error("no pool runs here: POST /pool/start starts one")]
    NotRunning,
    #[error("{detail}")]
    Value { detail: String },
    #[error("payment {payment} is not written off: {detail}")]
    Payment { payment: u64, detail: String },
    #[error("the ban of {who:?} is not lifted: {detail}")]
    Ban { who: String, detail: String },
    #[error("the books do not take the change: {detail}")]
    Books { detail: String },
    #[error("the process ends")]
    Ending,
}

type Reply = oneshot::Sender<Result<(), OrderError>>;

enum Order {
    Mode(PoolMode, Reply),
    Stop(Reply),
    Configure(Configuration, Reply),
    WriteOff(WriteOff, Reply),
    LiftBan(LiftBan, Reply),
}

/// The way to give orders.
#[derive(Clone)]
pub struct Orders(mpsc::Sender<Order>);

/// The running task.
pub struct Hosting {
    ending: watch::Sender<bool>,
    standing: watch::Receiver<Standing>,
    task: JoinHandle<()>,
}

impl Prepared {
    /// Makes the routes of a process that is to start in a mode.
    pub fn new(mode: PoolMode, token: Token) -> Self {
        let (order_sender, orders) = mpsc::channel(ORDERS_MAX);
        let (standing, standing_receiver) = watch::channel(Standing { mode, running: None });
        let api = Arc::new(PoolApi { token, standing: standing_receiver, orders: Orders(order_sender) });
        Self { router: api::router(Arc::clone(&api)), probes: api::probes(api), mode, orders, standing }
    }

    /// Starts. Where the mode hosts a pool, it runs when this returns.
    pub async fn start(self, parts: HostingParts) -> Result<Hosting, PoolStartError> {
        let HostingParts { make, miner, clock } = parts;
        let (ending, ending_receiver) = watch::channel(false);
        let standing = self.standing.subscribe();
        let mut host = Host { make, miner, pool: None, standing: self.standing, clock };
        if self.mode == PoolMode::Host {
            host.open().await?;
        }
        let task = tokio::spawn(host.run(self.orders, ending_receiver));
        Ok(Hosting { ending, standing, task })
    }
}

impl Hosting {
    /// Returns what the process does, and every later state of it.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// Ends the pool, in order.
    pub async fn end(self) {
        self.ending.send_replace(true);
        drop(self.task.await);
    }
}

impl Orders {
    /// Switches the mode.
    pub async fn mode(&self, mode: PoolMode) -> Result<(), OrderError> {
        self.give(|reply| Order::Mode(mode, reply)).await
    }

    /// Ends the pool; the miner, where there is one, mines for itself.
    pub async fn stop(&self) -> Result<(), OrderError> {
        self.give(Order::Stop).await
    }

    /// Changes what holds in the running pool.
    pub async fn configure(&self, configuration: Configuration) -> Result<(), OrderError> {
        self.give(|reply| Order::Configure(configuration, reply)).await
    }

    /// Takes a payment back that can be in no block any more.
    pub async fn write_off(&self, write_off: WriteOff) -> Result<(), OrderError> {
        self.give(|reply| Order::WriteOff(write_off, reply)).await
    }

    /// Lifts a ban before its time.
    pub async fn lift_ban(&self, lift: LiftBan) -> Result<(), OrderError> {
        self.give(|reply| Order::LiftBan(lift, reply)).await
    }

    async fn give(&self, order: impl FnOnce(Reply) -> Order) -> Result<(), OrderError> {
        let (reply, answer) = oneshot::channel();
        self.0.send(order(reply)).await.map_err(|_| OrderError::Ending)?;
        answer.await.map_err(|_| OrderError::Ending)?
    }
}

/// Owns the pool.
struct Host {
    make: MakePool,
    miner: Option<SwitchMiner>,
    pool: Option<Pool>,
    standing: watch::Sender<Standing>,
    clock: Clock,
}

impl Host {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>, mut ending: watch::Receiver<bool>) {
        loop {
            let order = tokio::select! {
                order = orders.recv() => order,
                () = ended(&mut ending) => None,
            };
            // Whoever asked and went away has its order carried out all the same.
            match order {
                Some(Order::Mode(mode, reply)) => _ = reply.send(self.switch(mode).await),
                Some(Order::Stop(reply)) => _ = reply.send(self.stop().await),
                Some(Order::Configure(change, reply)) => _ = reply.send(self.configure(change).await),
                Some(Order::WriteOff(wish, reply)) => _ = reply.send(self.write_off(wish).await),
                Some(Order::LiftBan(wish, reply)) => _ = reply.send(self.lift_ban(wish).await),
                None => break,
            }
        }
        self.close().await;
    }

    async fn switch(&mut self, mode: PoolMode) -> Result<(), OrderError> {
        if self.miner.is_none() && mode != PoolMode::Host {
            return Err(OrderError::NoMiner);
        }
        // The pool first: where it does not start, the miner goes on as it did.
        let opens = mode == PoolMode::Host && self.pool.is_none();
        if opens {
            self.open().await.map_err(|error| OrderError::Start { detail: error.to_string() })?;
        }
        if let Some(Err(detail)) = self.miner.as_ref().map(|miner| miner(mode)) {
            if opens {
                self.close().await;
            }
            return Err(OrderError::Miner { detail });
        }
        if mode != PoolMode::Host {
            self.close().await;
        }
        self.standing.send_modify(|standing| standing.mode = mode);
        tracing::info!(%mode, "the mode is changed");
        Ok(())
    }

    async fn stop(&mut self) -> Result<(), OrderError> {
        if self.miner.is_some() {
            return self.switch(PoolMode::Solo).await;
        }
        self.close().await;
        Ok(())
    }

    async fn open(&mut self) -> Result<(), PoolStartError> {
        let make = Arc::clone(&self.make);
        let made = tokio::task::spawn_blocking(move || make()).await;
        let parts = made.unwrap_or_else(|_| Err("opening the pool panicked".to_owned()));
        let pool = Pool::start(parts.map_err(|detail| PoolStartError::Parts { detail })?).await?;
        let running = Arc::clone(pool.running());
        self.standing.send_modify(|standing| standing.running = Some(running));
        self.pool = Some(pool);
        Ok(())
    }

    async fn close(&mut self) {
        self.standing.send_modify(|standing| standing.running = None);
        if let Some(pool) = self.pool.take() {
            pool.end().await;
            tracing::info!("the pool has ended");
        }
    }

    async fn write_off(&self, wish: WriteOff) -> Result<(), OrderError> {
        let running = self.pool.as_ref().map(|pool| Arc::clone(pool.running())).ok_or(OrderError::NotRunning)?;
        let (payment, number) = (wish.payment, PaymentNumber(wish.payment));
        let refused = |detail: String| OrderError::Payment { payment, detail };
        let books = Arc::clone(&running.books);
        let found = tokio::task::spawn_blocking(move || books.payment(number)).await;
        let found = found.map_err(|_| refused("a read panicked".to_owned()))?;
        let found = found.map_err(|error| refused(error.to_string()))?;
        let found = found.ok_or_else(|| refused("it is not in the books".to_owned()))?;
        if let Some(signed) = &found.signed {
            let sighting = running.upstreams.sighting(signed.id).await.map_err(|error| refused(error.to_string()))?;
            if matches!(sighting, Sighting::Waiting | Sighting::Confirmed { .. }) {
                return Err(refused("its node has it".to_owned()));
            }
            if running.upstreams.holds_inputs(&signed.raw).await.map_err(|error| refused(error.to_string()))? {
                return Err(refused("what it spends is there: it may yet be in a block".to_owned()));
            }
        }
        let what = format!("payment {number} written off");
        tracing::warn!(%number, reason = wish.reason, "a payment is written off: what it was to pay is owed again");
        let note = OperatorChange { time: (self.clock)(), who: "api".to_owned(), what, reason: wish.reason };
        let written = tokio::task::spawn_blocking(move || payments::write_off(&*running.books, number, note)).await;
        let written = written.map_err(|_| refused("a write panicked".to_owned()))?;
        written.map(|_| ()).map_err(|error| refused(error.to_string()))
    }

    async fn lift_ban(&self, wish: LiftBan) -> Result<(), OrderError> {
        let running = self.pool.as_ref().map(|pool| Arc::clone(pool.running())).ok_or(OrderError::NotRunning)?;
        let LiftBan { who, reason } = wish;
        let what = format!("ban of {who:?} lifted");
        let note = OperatorChange { time: (self.clock)(), who: "api".to_owned(), what, reason };
        let lifted = running.warden.lift(&who, note).await;
        lifted.map(|_| ()).map_err(|error| OrderError::Ban { who, detail: error.to_string() })
    }

    async fn configure(&self, change: Configuration) -> Result<(), OrderError> {
        let running = self.pool.as_ref().map(|pool| Arc::clone(pool.running())).ok_or(OrderError::NotRunning)?;
        let mut terms = running.terms.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let fees = terms.rounds.fees;
        let value = |detail: String| OrderError::Value { detail };
        if running.shared.is_some() {
            return Err(value("what a peer-to-peer pool pays stands in the chain.toml of all its nodes".to_owned()));
        }
        let foundation = change.foundation_fee.map_or(fees.foundation(), BasisPoints);
        let pool = change.pool_fee.map_or(fees.pool(), BasisPoints);
        terms.rounds.fees = Fees::new(foundation, pool).map_err(|error| value(error.to_string()))?;
        if let Some(atoms) = change.payment_min {
            if atoms == 0 {
                return Err(value("payment_min is at least one atom".to_owned()));
            }
            terms.payments.threshold = Amount::from_atoms(atoms);
        }
        let what = format!(
            "fees: foundation {}, pool {}; payments from {} atoms",
            foundation,
            pool,
            terms.payments.threshold.to_atoms()
        );
        tracing::info!(what, reason = change.reason, "the pool is configured anew");
        let note = OperatorChange { time: (self.clock)(), who: "api".to_owned(), what, reason: change.reason };
        let books: Arc<dyn Accounts> = Arc::clone(&running.books);
        let noted = tokio::task::spawn_blocking(move || books.commit(&[Change::Note(note)])).await;
        let refused = |detail: String| OrderError::Books { detail };
        noted.map_err(|_| refused("a write panicked".to_owned()))?.map_err(|error| refused(error.to_string()))?;
        *running.terms.lock().unwrap_or_else(PoisonError::into_inner) = terms;
        Ok(())
    }
}
