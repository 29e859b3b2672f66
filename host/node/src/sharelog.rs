//! The share log of a peer-to-peer pool, running over the network.
//!
//! `adit_network::shares` says how nodes agree; here are its thread, its disk and its way to peers. Nothing here knows a coinbase or a payout
//! scheme: the pool says which coinbase a job has to have ([`adit_network::shares::Jobs`]), and reads which shares are credited.
//!
//! Reading order: this file is what goes in and how it starts; [`agreement`] is what nodes agree on beforehand, [`certified`] the rounds that
//! are final, on disk and in memory; `log` the thread that owns the machine, with what it keeps on the disk (`keeper`), what it owes to the
//! network (`deliveries`), how batches of others are checked (`checks`), the thread that hashes (`hashing`) and what a hash costs
//! (`price`); [`metrics`] what is counted.

pub mod agreement;
pub mod certified;
mod checks;
mod deliveries;
mod hashing;
mod keeper;
mod log;
pub mod metrics;
mod price;

pub use agreement::{Agreement, AgreementError};
pub use certified::{CertifiedError, CertifiedRounds};
pub use log::reason as halt_reason;

use crate::network::NetworkHandle;
use adit_network::shares::rounds::MemoryError;
use adit_network::shares::{BatchError, Entry, Job, Jobs, Payee, RoundsView, ShareId};
use adit_network::{Class, NodeId, Ticket};
use adit_primitives::engine::{Fault, HashEngine, QuorumEngine};
use adit_primitives::storage::StorageError;
use bytes::Bytes;
use hashing::Hashed;
use log::Log;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// Shares, items, questions and verdicts that wait for the log's thread.
const INBOX_MAX: usize = 16_384;

/// The most nodes that are remembered to have lied.
const LIARS_MAX: usize = 100;

/// How long a pool's rounds wait at each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// How long the first view waits at each step.
    pub view: Duration,
    /// How much longer each view waits than the one before.
    pub view_more: Duration,
    /// The longest that a view waits at a step. Longer than messages ever take.
    pub view_longest: Duration,
    /// How often others are asked while nothing moves.
    pub repair: Duration,
    /// How often others are asked while nothing is to be done.
    pub greet: Duration,
    /// How long nothing may move before it is said that payouts wait.
    pub stall: Duration,
}

impl Times {
    /// What suits the Internet.
    pub const STANDARD: Self = Self {
        view: Duration::from_millis(2_000),
        view_more: Duration::from_millis(1_000),
        view_longest: Duration::from_secs(30),
        repair: Duration::from_millis(1_000),
        greet: Duration::from_secs(10),
        stall: Duration::from_secs(60),
    };
}

/// What a share log works with.
pub struct ShareLogParts {
    pub network: NetworkHandle,
    pub agreement: Agreement,
    /// Those of the agreement's pool. What has to be kept goes where they are.
    pub rounds: CertifiedRounds,
    pub policy: Box<dyn QuorumEngine>,
    /// The chain's hash.
    pub hash: Box<dyn HashEngine>,
    pub jobs: Arc<dyn Jobs + Send + Sync>,
    pub times: Times,
}

/// Why a share log does not start.
#[derive(Debug, thiserror::Error)]
pub enum ShareLogStartError {
    #[error(transparent)]
    Rounds(#[from] CertifiedError),
    #[error(
        "{0}: going on might contradict what this node said. Restore the data folder's newest state, or take part as another node"
    )]
    Memory(#[from] MemoryError),
    #[error("a batch of shares on the disk is damaged: {0}")]
    Kept(#[from] BatchError),
    #[error("the rounds are those of pool {rounds}, not of {agreement}")]
    Pool { rounds: adit_network::shares::PoolId, agreement: adit_network::shares::PoolId },
    #[error("the chain's hash: {0}")]
    Hash(#[from] Fault),
    #[error("no thread for shares: {0}")]
    Thread(std::io::Error),
}

impl From<StorageError> for ShareLogStartError {
    fn from(error: StorageError) -> Self {
        Self::Rounds(error.into())
    }
}

/// A running share log.
pub struct ShareLog {
    handle: ShareLogHandle,
    network: NetworkHandle,
    thread: JoinHandle<()>,
}

/// A share that a miner of this node handed in and that was found to meet its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalShare {
    pub job: Job,
    pub payee: Payee,
    /// Its places in a batch's tables are set by the log.
    pub entry: Entry,
}

/// What was counted since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShareCounters {
    /// Shares of this node's miners.
    pub shares_own: u64,
    /// Shares in batches of others.
    pub shares_received: u64,
    /// Batches of others with a wrong share.
    pub batches_wrong: u64,
    /// Shares that were hashed here.
    pub hashed: u64,
    /// Rounds certified since the start.
    pub rounds: u64,
    /// Rounds that say who was proven to say two things at once.
    pub frauds: u64,
    /// Batches and votes that found no room, and were not looked at.
    pub refused: u64,
}

/// How things are: anew with each certified round, and else about twice a second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareStanding {
    /// The newest certified round, who votes, how many batches wait, whether payouts wait, and why this node stopped, where it did.
    pub view: RoundsView,
    pub counters: ShareCounters,
    /// Who sent a wrong share, or signed what is not so: as far as this node found since its start.
    pub liars: Vec<NodeId>,
    /// Why the log ended by itself: what has to be kept could not be.
    pub failure: Option<String>,
}

/// Why a share was not taken. It is credited to nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the share log has more to do than it can take")]
    Busy,
    #[error("the share log has stopped")]
    Stopped,
}

/// The way to the share log.
#[derive(Clone)]
pub struct ShareLogHandle {
    inbox: SyncSender<Inbox>,
    standing: watch::Receiver<Arc<ShareStanding>>,
    rounds: CertifiedRounds,
    node: NodeId,
}

/// What the network brings.
pub(crate) enum Brought {
    /// Batches or votes, to be judged.
    Items { ticket: Ticket, class: Class, from: NodeId, items: Vec<Bytes> },
    /// A peer's question. Where it is not answered, the reply is dropped.
    Question { from: NodeId, ask: Bytes, reply: oneshot::Sender<Bytes> },
    /// What became of a question to a peer.
    Answer { tag: u64, from: Option<NodeId>, answer: Option<Bytes> },
    /// A session with another node that keeps this log.
    Peer,
}

/// What reaches the log's thread.
enum Inbox {
    Share(Box<LocalShare>),
    BlockFound(ShareId),
    ChainMoved,
    Brought(Brought),
    Hashed(Hashed),
    End,
}

impl ShareLog {
    /// Goes on from what the disk has, and takes part.
    pub fn start(parts: ShareLogParts) -> Result<Self, ShareLogStartError> {
        let ShareLogParts { network, agreement, rounds, policy, mut hash, jobs, times } = parts;
        if rounds.pool() != agreement.pool {
            return Err(ShareLogStartError::Pool { rounds: rounds.pool(), agreement: agreement.pool });
        }
        let (inbox, receiver) = sync_channel(INBOX_MAX);
        let price = hashing::measure(&mut *hash)?;
        let back = inbox.clone();
        let tell = move |hashed| drop(back.send(Inbox::Hashed(hashed)));
        let hashing = hashing::start(hash, jobs, tell).map_err(ShareLogStartError::Thread)?;
        let (log, standing) = Log::open(log::LogParts {
            network: network.clone(),
            agreement,
            rounds: rounds.clone(),
            policy,
            price,
            hashing,
            times,
            inbox: receiver,
        })?;
        let handle = ShareLogHandle { inbox, standing, rounds, node: network.identity().node() };
        network.attach(Some(handle.clone()));
        let thread = std::thread::Builder::new().name("adit-shares".to_owned()).spawn(move || log.run());
        let thread = thread.map_err(ShareLogStartError::Thread)?;
        Ok(Self { handle, network, thread })
    }

    /// Returns the way to it.
    pub fn handle(&self) -> &ShareLogHandle {
        &self.handle
    }

    /// Makes durable what has to be, and ends. Others go on without this node.
    pub async fn end(self) {
        self.network.attach(None);
        let Self { handle, thread, .. } = self;
        let ended = tokio::task::spawn_blocking(move || {
            drop(handle.inbox.send(Inbox::End));
            thread.join()
        });
        if !matches!(ended.await, Ok(Ok(()))) {
            tracing::error!("the share log's thread panicked");
        }
    }
}

impl ShareLogHandle {
    /// Hands in a share of one of this node's miners. Does not wait.
    pub fn share(&self, share: LocalShare) -> Result<(), Refused> {
        self.put(Inbox::Share(Box::new(share)))
    }

    /// Says that a share, handed in or about to be, is a block of the chain: the open round is closed with it. Does not wait.
    pub fn block_found(&self, share: ShareId) -> Result<(), Refused> {
        self.put(Inbox::BlockFound(share))
    }

    /// Says that the chain has a block more: shares whose job was not known may be judged now. Does not wait.
    pub fn chain_moved(&self) {
        // What waits is tried again after a while in any case.
        self.put(Inbox::ChainMoved).ok();
    }

    /// Returns how things are, and every later state of it.
    pub fn standing(&self) -> watch::Receiver<Arc<ShareStanding>> {
        self.standing.clone()
    }

    /// Returns the rounds that are final: what payouts follow from.
    pub fn rounds(&self) -> &CertifiedRounds {
        &self.rounds
    }

    /// Returns whose weight this node's shares are: what commitments name.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Brings what the network has. `false` where there is no room.
    pub(crate) fn bring(&self, brought: Brought) -> bool {
        self.put(Inbox::Brought(brought)).is_ok()
    }

    fn put(&self, item: Inbox) -> Result<(), Refused> {
        self.inbox.try_send(item).map_err(|error| match error {
            TrySendError::Full(_) => Refused::Busy,
            TrySendError::Disconnected(_) => Refused::Stopped,
        })
    }
}
