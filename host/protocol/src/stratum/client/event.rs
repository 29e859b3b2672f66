//! What a client tells its caller, and the work that it hands on.

use crate::stratum::job::{Choice, HEADER_BYTES, Notify};
use crate::stratum::message::Refusal;
use adit_primitives::Target;
use std::sync::Arc;

/// A share that was submitted, numbered within its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareId(pub u64);

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The pool let the worker in.
    Authorized,
    /// Mine this from now on.
    Work(Arc<Assignment>),
    /// The pool took a share.
    Accepted(ShareId),
    /// The pool refused a share.
    Refused(ShareId, Refusal),
    /// No answer to a share came in time. The pool may have counted it.
    Unanswered(ShareId),
    /// The pool asks to connect again, elsewhere if it names a place. Who follows trusts the pool with its hash rate: a caller goes
    /// only to hosts that its owner allows.
    Reconnect { host: Option<Box<str>>, port: Option<u16>, wait_s: u32 },
    /// The pool wants its text shown.
    Message(Box<str>),
    /// Disconnect. The client takes nothing more.
    Close(CloseReason),
}

/// A job and what it is to be mined with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    pub notify: Notify,
    /// What a share's hash must not exceed.
    pub target: Target,
    pub extranonce1: Box<[u8]>,
    /// How long the miner's own part of the extranonce is.
    pub extranonce2_bytes: usize,
    /// The bits of the version that may be rolled.
    pub version_mask: u32,
}

impl Assignment {
    /// Returns the bytes to hash. `extranonce2` has [`Self::extranonce2_bytes`].
    pub fn header(&self, extranonce2: &[u8], choice: Choice) -> [u8; HEADER_BYTES] {
        let job = &self.notify.job;
        let root = job.merkle_root(&job.coinbase(&self.extranonce1, extranonce2));
        job.header(&root, choice)
    }
}

/// Why a connection is of no more use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    #[error("the pool did not answer {method} within {max_ms} ms")]
    Unanswered { method: &'static str, max_ms: u64 },
    #[error("the pool said nothing for {max_ms} ms")]
    Silent { max_ms: u64 },
    #[error("the pool refused the subscription: {text}")]
    NotSubscribed { text: Box<str> },
    #[error("the pool refused the worker: {text}")]
    NotAuthorized { text: Box<str> },
    #[error("the pool's answer to the subscription has no extranonce of at most {max} bytes")]
    NoExtranonce { max: usize },
    #[error("the pool sent {count} lines that cannot be read")]
    Malformed { count: u8 },
}
