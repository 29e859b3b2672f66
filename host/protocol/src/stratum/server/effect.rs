//! What a session asks of its caller, and what the caller answers with.

use crate::stratum::job::{JobId, rolled_version};
use crate::stratum::message::Id;
use adit_primitives::contract::shares::ShareDifficulty;
use std::sync::Arc;

/// What the caller is to do. What is to be sent stands in the output already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Give the miner its place: answer with [`super::Session::subscribed`]. Nothing else is sent until then.
    Subscribe(Subscription),
    /// Judge a worker's name: answer with [`super::Session::authorized`].
    Authorize(Login),
    /// Judge a share: answer with [`super::Session::judged`].
    Submit(Submission),
    /// The miner wishes a difficulty. Nothing is owed.
    Wish(Wish),
    /// The miner answered [`super::Session::ask_version`]: its name and version.
    Version(Box<str>),
    /// Send what stands in the output and disconnect. The session takes nothing more.
    Close(CloseReason),
}

/// A request that waits for the caller's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket(pub(super) Id);

/// A miner asks for its place among the extranonces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    pub ticket: Ticket,
    /// The miner's name and version; empty where it says nothing.
    pub agent: Box<str>,
    /// The session that it had before, whose extranonce it would like to keep.
    pub session: Option<Box<str>>,
}

/// A worker asks to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub ticket: Ticket,
    /// `<payout address>.<worker>` or `<payout address>`.
    pub user: Arc<str>,
    pub password: Box<str>,
    /// The difficulty that the password asks for, by `d=` or `diff=`.
    pub difficulty: Option<ShareDifficulty>,
}

/// A share, with what its job was sent with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    pub ticket: Ticket,
    /// The worker's full name, as it was authorized.
    pub worker: Arc<str>,
    pub job: JobId,
    pub difficulty: ShareDifficulty,
    pub extranonce1: Extranonce,
    /// As long as the session was told.
    pub extranonce2: Extranonce,
    /// The bits that the miner may roll.
    pub version_mask: u32,
    /// The bits that it rolled, if it says so: they may lie outside of the mask.
    pub version_bits: Option<u32>,
    /// Seconds since the epoch.
    pub time: u32,
    pub nonce: u32,
}

impl Submission {
    /// Returns the version that was hashed, given the job's.
    pub fn version(&self, job: u32) -> u32 {
        rolled_version(job, self.version_mask, self.version_bits)
    }

    /// Tells whether the miner rolled bits that it may not.
    pub fn version_outside(&self) -> bool {
        self.version_bits.is_some_and(|bits| bits & !self.version_mask != 0)
    }
}

/// A difficulty that a miner asks for, rounded down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// To begin with.
    Start(ShareDifficulty),
    /// Never less than that.
    Least(ShareDifficulty),
}

/// Up to 8 bytes: some firmware bears no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Extranonce {
    length: u8,
    bytes: [u8; Self::BYTES_MAX],
}

impl Extranonce {
    pub const BYTES_MAX: usize = 8;

    /// Takes bytes, or returns `None` where they are too many.
    pub fn from_bytes(from: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::BYTES_MAX];
        bytes.get_mut(..from.len())?.copy_from_slice(from);
        Some(Self { length: u8::try_from(from.len()).ok()?, bytes })
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// A miner's place: what tells its coinbase from every other's, and how much room it has of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NonceSpace {
    pub extranonce1: Extranonce,
    /// At most [`Extranonce::BYTES_MAX`].
    pub extranonce2_bytes: u8,
}

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    #[error("no worker was authorized within {max_ms} ms")]
    LoginTimeout { max_ms: u64 },
    #[error("nothing came for {max_ms} ms")]
    Idle { max_ms: u64 },
    #[error("the first line was not Stratum")]
    NotStratum,
    #[error("{count} lines could not be read")]
    Malformed { count: u8 },
    #[error("more than {max} bytes wait for the answer to a subscription")]
    Flood { max: usize },
    #[error("{count} subscriptions wait for their answer")]
    Subscriptions { count: u8 },
}
