//! What goes into the machine: what the transport saw, what the host judged, what is new at the host.

use crate::id::{Address, Class, Direction, NodeId, RequestId, SessionId, Ticket};
use crate::wire::{Goodbye, WireError};
use adit_primitives::{BlockId, TxId};
use bytes::Bytes;

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// Time passed, or nothing more is at hand: what waits to be sent together is sent, limits of time are looked at. A host
    /// handles it whenever its inbox is empty, and no later than [`crate::Machine::wake`] says.
    Tick,

    /// A stream with an authenticated node is open. Nothing was said yet.
    Connected { session: SessionId, node: NodeId, address: Address, direction: Direction },
    /// The stream is closed, whoever closed it. Nothing of the session comes after.
    Disconnected { session: SessionId },
    /// A whole frame came: the byte of its kind, and its body, no longer than [`crate::wire::FrameHead::read`] let pass.
    Received { session: SessionId, kind: u8, body: Bytes },
    /// What came is no frame.
    Broken { session: SessionId, error: WireError },
    /// How full the session's live queue is, said whenever it grew past or fell below half its bound, and when frames were
    /// dropped from it: `dropped` since the last time.
    Pressure { session: SessionId, queued_bytes: usize, dropped: u64 },
    /// An [`crate::Effect::Serve`] is done: so many bytes were queued, none where the session went away.
    Served { session: SessionId, request: RequestId, bytes: usize },

    /// `verdict` is [`Verdict::Valid`] where all headers are placed, else it is about the first that is not. `new` were not
    /// placed before; `last` is the last that is placed.
    HeadersJudged { ticket: Ticket, new: usize, last: Option<BlockId>, verdict: Verdict },
    /// One verdict for each block, in their order.
    BlocksJudged { ticket: Ticket, verdicts: Vec<Verdict> },
    /// One verdict for each transaction, in their order.
    TransactionsJudged { ticket: Ticket, verdicts: Vec<Verdict> },
    /// One answer for each item, in their order.
    ItemsJudged { ticket: Ticket, answers: Vec<Acceptance> },

    /// The chain took a valid block with its body, whoever offered it: a miner, the API, a peer, or an orphan that waited.
    /// The whole block comes along where it is at hand and small ([`crate::Settings::inline_block_bytes_max`]).
    BlockAccepted { id: BlockId, header: Bytes, block: Option<Bytes> },
    /// A block of a peer's had waited at the host for its parents or its time ([`Verdict::Orphan`], [`Verdict::Early`]), and breaks a rule: the peer is
    /// banned as if that had been the first verdict.
    BlockRefused { node: NodeId, id: BlockId, rule: String },
    /// The mempool took transactions, whoever offered them.
    TransactionsAccepted { ids: Vec<TxId> },
    /// This node made shares or votes: they are passed on, and not delivered back.
    LocalItems { class: Class, items: Vec<Bytes> },

    /// Asks a peer for addresses; they come as [`crate::Effect::Learned`].
    AskPeers { session: SessionId },
    /// Asks a peer about rounds of a pool; the answer comes as [`crate::Effect::Rounds`] with the same `tag`.
    AskRounds { session: SessionId, tag: u64, ask: Bytes },

    /// The host ends a session, on an operator's word or to make room.
    Leave { session: SessionId, goodbye: Goodbye },
    /// The host found a peer at fault outside this machine (a fraud among votes, a lie in gossip): its score falls by `points`.
    Blame { node: NodeId, points: u32 },
    /// The host is about to stop: everybody is told.
    Stop,
}

/// What the host found about bytes that a peer sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Valid and taken.
    Valid,
    /// Valid, and here before.
    Known,
    /// Its parents are not here. The host may keep it; the machine asks for what is missing.
    Orphan { missing: Vec<BlockId> },
    /// Not before some later time. Nobody is blamed.
    Early,
    /// Not taken for a reason of this node's own: a fee below its floor, no room. Nobody is blamed.
    Declined,
    /// It breaks a rule, or is not what was asked for: whoever sent it pays.
    Invalid { rule: String },
    /// The host could not judge it (a plugin failed, a disk is full). Nobody is blamed, and it is tried again later.
    Fault,
    /// The host has no room to judge it now. It is tried again soon.
    Busy,
}

/// What is to become of a share batch or a vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// Good: it is passed on.
    Accept,
    /// Of no use, without anybody's fault: it is not passed on.
    Ignore,
    /// It breaks a rule: it is not passed on, and whoever sent it pays.
    Reject,
}
