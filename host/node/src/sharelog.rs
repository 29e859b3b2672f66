//! The share log of a peer-to-peer pool, running over the network.
//!
//! `adit_network::shares` says how nodes agree; here are its thread, its disk and its way to peers. Nothing here knows a coinbase or a payout
//! scheme: the pool says which coinbase a job has to have ([`adit_network::shares::Jobs`]), and reads which shares are credited.
//!
//! Reading order: this file is what goes in; [`agreement`] is what nodes agree on beforehand, [`certified`] the rounds that are final, on
//! disk and in memory.

pub mod agreement;
pub mod certified;

pub use agreement::{Agreement, AgreementError};
pub use certified::{CertifiedError, CertifiedRounds};

use adit_network::NodeId;
use adit_network::shares::{Entry, Job, Payee, RoundsView, ShareId};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use tokio::sync::watch;

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
    /// Nodes that were proven to say two things at once.
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

/// What reaches the log's thread.
pub(crate) enum Inbox {
    Share(Box<LocalShare>),
    BlockFound(ShareId),
}

impl ShareLogHandle {
    /// Hands in a share of one of this node's miners. Does not wait.
    pub fn share(&self, share: LocalShare) -> Result<(), Refused> {
        self.bring(Inbox::Share(Box::new(share)))
    }

    /// Says that a share, handed in or about to be, is a block of the chain: the open round is closed with it. Does not wait.
    pub fn block_found(&self, share: ShareId) -> Result<(), Refused> {
        self.bring(Inbox::BlockFound(share))
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

    pub(crate) fn bring(&self, item: Inbox) -> Result<(), Refused> {
        self.inbox.try_send(item).map_err(|error| match error {
            TrySendError::Full(_) => Refused::Busy,
            TrySendError::Disconnected(_) => Refused::Stopped,
        })
    }
}
