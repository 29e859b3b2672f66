//! What comes out of the machine: what to send, what to judge, whom to leave.

use crate::id::{Address, Class, Moment, NodeId, RequestId, SessionId, Ticket};
use crate::wire::{Goodbye, ItemId, Locator, PeerAddress, WireError};
use adit_primitives::identity::Difference;
use adit_primitives::{BlockId, TxId};
use bytes::Bytes;
use std::time::Duration;

/// Effects in the order in which the host carries them out.
pub type Effects = Vec<Effect>;

/// Something for the host to do.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Queues a frame, head and body, on the session's stream. A frame that is `droppable` may be left out where the queue is
    /// full; where another finds no room, the session ends.
    Send { session: SessionId, lane: Lane, frame: Bytes, droppable: bool },
    /// Closes the stream once what is queued was written, or after a second. The session is forgotten here already.
    Close { session: SessionId, node: NodeId, reason: CloseReason },
    /// The handshake is done: the peer counts from now.
    Ready { session: SessionId, node: NodeId },
    /// A node misbehaved: nothing is accepted from it, or from its address, until the moment.
    Ban { node: NodeId, address: Address, until: Moment, reason: BanReason },
    /// A node is of another chain: its address is not dialled for the time.
    Foreign { node: NodeId, address: Address, avoid: Duration },

    /// Judge headers, in topological order. The answer is [`crate::Event::HeadersJudged`].
    JudgeHeaders { ticket: Ticket, session: SessionId, headers: Vec<Bytes> },
    /// Judge whole blocks, parents before children, in one durable step. The answer is [`crate::Event::BlocksJudged`].
    JudgeBlocks { ticket: Ticket, blocks: Vec<JudgeBlock> },
    /// Judge transactions; one that has not the id that was asked for is invalid. The answer is
    /// [`crate::Event::TransactionsJudged`].
    JudgeTransactions { ticket: Ticket, session: SessionId, transactions: Vec<(TxId, Bytes)> },
    /// Judge shares or votes. The answer is [`crate::Event::ItemsJudged`].
    Deliver { ticket: Ticket, class: Class, session: SessionId, items: Vec<(ItemId, Bytes)> },

    /// Answer a peer's question by a frame of the answering kind on the bulk lane, or by [`crate::wire::Frame::Busy`], then
    /// say so by [`crate::Event::Served`]. A session has at most [`crate::settings::SERVES_OPEN_MAX`] such questions open.
    Serve { session: SessionId, request: RequestId, asked: Request },
    /// A peer told addresses: hearsay.
    Learned { session: SessionId, peers: Vec<PeerAddress> },
    /// A peer's answer to [`crate::Event::AskRounds`], or none.
    Rounds { session: SessionId, tag: u64, answer: Option<Bytes> },
}

/// A block to be judged, and who sent it.
#[derive(Debug, Clone)]
pub struct JudgeBlock {
    pub session: SessionId,
    /// What was asked for: bytes with another id are invalid.
    pub id: BlockId,
    /// Header and body.
    pub bytes: Bytes,
}

/// The two queues of a session's writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// What is news: before everything of the other lane.
    Live,
    /// Answers with headers and bodies.
    Bulk,
}

/// What a peer asks for, within the counts and sizes of [`crate::wire`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Answered by `Frame::Headers`, at most [`crate::wire::HEADERS_MAX`] of [`crate::wire::HEADERS_BYTES_MAX`].
    Headers { locator: Locator },
    /// Answered by `Frame::Blocks`, whole blocks up to [`crate::wire::BLOCKS_BYTES_MAX`], at least one.
    Blocks { ids: Vec<BlockId> },
    /// Answered by `Frame::Transactions`, up to [`crate::wire::TRANSACTIONS_BYTES_MAX`], at least one.
    Transactions { ids: Vec<TxId> },
    /// Answered by `Frame::AnnounceTransactions`, as many as are needed.
    Pool,
    /// Answered by `Frame::Peers`.
    Peers,
    /// Answered by `Frame::Rounds`.
    Rounds { ask: Bytes },
}

/// Why the machine left a peer. Its text may be shown: what came from the peer is escaped in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    #[error("this node left: {said}")]
    Left { said: Goodbye },
    #[error("the peer left: {said}")]
    PeerLeft { said: Goodbye },
    #[error("the chains differ: {difference}")]
    Foreign { difference: Difference },
    #[error("no greeting came in time")]
    NoHello,
    #[error("{reason}")]
    Banned { reason: BanReason },
}

/// What a peer is banned for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BanReason {
    #[error("what it sent is no frame: {why}")]
    Malformed { why: WireError },
    #[error("its {frame} frame had no place there")]
    OutOfPlace { frame: &'static str },
    #[error("its block {id} breaks a rule: {}", .rule.escape_debug())]
    InvalidBlock { id: BlockId, rule: String },
    #[error("its headers break a rule: {}", .rule.escape_debug())]
    InvalidHeader { rule: String },
    #[error("its score fell to {score}, at last for {last}")]
    Score { score: i32, last: &'static str },
}
