//! The bytes between two nodes: frames of a length, a kind and canonical bytes.
//!
//! `u32` length of the body, little-endian, then `u8` kind, then the body. Every kind has a largest body, known before one
//! byte of it is read, and every list a largest count. One frame has one encoding. Bodies are decoded without copying what
//! they carry: blocks, transactions and items stay slices of the body.
//!
//! Reading order: this file is what a frame may be, [`hello`] how two nodes meet, [`frame`] everything they say after.

mod code;
pub mod frame;
pub mod hello;

pub use frame::{BlockNotice, Frame, Item, ItemId, Locator, PeerAddress};
pub use hello::{Features, Goodbye, Hello};

use adit_primitives::DecodeError;

/// The version of this protocol. Nodes of different versions say goodbye.
pub const VERSION: u16 = 2;
/// A frame's length and kind.
pub const HEAD_BYTES: usize = 5;

/// The largest block, header and body, that the network carries.
pub const BLOCK_BYTES_MAX: usize = 4 << 20;
/// The largest header.
pub const HEADER_BYTES_MAX: usize = 64 << 10;
/// The most bytes of whole blocks in one answer, one block of any size excepted.
pub const BLOCKS_BYTES_MAX: usize = 4 << 20;
/// The largest transaction that the network carries.
pub const TRANSACTION_BYTES_MAX: usize = 1 << 20;
/// The most bytes of transactions in one answer.
pub const TRANSACTIONS_BYTES_MAX: usize = 1 << 20;
/// The most bytes of headers in one answer.
pub const HEADERS_BYTES_MAX: usize = 1 << 20;
/// The most headers in one answer.
pub const HEADERS_MAX: usize = 4096;
/// The most ids in a locator, and as many known tips.
pub const LOCATOR_IDS_MAX: usize = 128;
/// The most blocks announced in one frame.
pub const NOTICES_MAX: usize = 64;
/// The most block ids in one request.
pub const BLOCK_IDS_MAX: usize = 512;
/// The most transaction ids in one frame.
pub const TRANSACTION_IDS_MAX: usize = 1024;
/// The largest item: a batch of shares, a vote.
pub const ITEM_BYTES_MAX: usize = 64 << 10;
/// The most items in one frame.
pub const ITEMS_MAX: usize = 256;
/// The most bytes of items in one frame, one item of any size excepted.
pub const ITEMS_BYTES_MAX: usize = 128 << 10;
/// The most item ids in one frame.
pub const ITEM_IDS_MAX: usize = 1024;
/// The most nodes that a node says it has as peers.
pub const NEIGHBOURS_MAX: usize = crate::settings::SESSIONS_LIMIT;
/// The most addresses in one answer.
pub const PEERS_MAX: usize = 64;
/// The longest address.
pub const ADDRESS_BYTES_MAX: usize = 128;
/// The most addresses at which a node says that it listens.
pub const LISTEN_MAX: usize = 8;
/// The longest name of a program.
pub const AGENT_BYTES_MAX: usize = 64;
/// The longest question about rounds of a pool.
pub const ROUNDS_ASK_BYTES_MAX: usize = 4 << 10;
/// The longest answer about rounds of a pool.
pub const ROUNDS_ANSWER_BYTES_MAX: usize = 4 << 20;

/// What a frame is: its byte on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    Hello = 1,
    Goodbye = 2,
    Ping = 3,
    Pong = 4,
    Busy = 5,
    Announce = 8,
    AnnounceTransactions = 9,
    GetHeaders = 16,
    Headers = 17,
    GetBlocks = 18,
    Blocks = 19,
    GetTransactions = 20,
    Transactions = 21,
    GetPool = 22,
    GetPeers = 24,
    Peers = 25,
    Items = 32,
    Have = 33,
    Want = 34,
    Link = 35,
    Neighbours = 36,
    GetRounds = 40,
    Rounds = 41,
}

/// The first bytes of a frame: what comes and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    pub kind: Kind,
    /// Bytes of the body, no more than the kind allows.
    pub body_bytes: usize,
}

/// Why bytes are no frame. Whoever sends such bytes speaks another protocol or means harm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("no frame is of kind {kind}")]
    Kind { kind: u8 },
    #[error("no session begins with a {kind:?} frame")]
    First { kind: Kind },
    #[error("a {kind:?} frame of {bytes} bytes is longer than {max}")]
    Size { kind: Kind, bytes: usize, max: usize },
    #[error("a {kind:?} frame does not decode: {why}")]
    Body { kind: Kind, why: DecodeError },
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 23] = [
        Self::Hello,
        Self::Goodbye,
        Self::Ping,
        Self::Pong,
        Self::Busy,
        Self::Announce,
        Self::AnnounceTransactions,
        Self::GetHeaders,
        Self::Headers,
        Self::GetBlocks,
        Self::Blocks,
        Self::GetTransactions,
        Self::Transactions,
        Self::GetPool,
        Self::GetPeers,
        Self::Peers,
        Self::Items,
        Self::Have,
        Self::Want,
        Self::Link,
        Self::Neighbours,
        Self::GetRounds,
        Self::Rounds,
    ];

    /// Returns the kind of a frame's byte.
    pub fn from_byte(byte: u8) -> Result<Self, WireError> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte).ok_or(WireError::Kind { kind: byte })
    }

    /// Returns the most bytes that a body of this kind may have.
    pub const fn body_bytes_max(self) -> usize {
        match self {
            Self::Hello => 64 << 10,
            Self::Goodbye | Self::Ping | Self::Pong | Self::Busy | Self::GetPool | Self::GetPeers | Self::Link => 256,
            Self::Announce => 256 << 10,
            Self::AnnounceTransactions | Self::GetTransactions => 64 + TRANSACTION_IDS_MAX * 32,
            Self::GetHeaders => 64 + 2 * LOCATOR_IDS_MAX * 32,
            Self::Headers => 64 + HEADERS_BYTES_MAX + HEADER_BYTES_MAX + 4 * HEADERS_MAX,
            Self::GetBlocks => 64 + BLOCK_IDS_MAX * 32,
            Self::Blocks => 64 + BLOCKS_BYTES_MAX + BLOCK_BYTES_MAX + 5 * BLOCK_IDS_MAX,
            Self::Transactions => 64 + TRANSACTIONS_BYTES_MAX + TRANSACTION_BYTES_MAX + 5 * TRANSACTION_IDS_MAX,
            Self::Peers => 64 + PEERS_MAX * (ADDRESS_BYTES_MAX + 16),
            Self::Items => 64 + ITEMS_BYTES_MAX + ITEM_BYTES_MAX + 5 * ITEMS_MAX,
            Self::Have | Self::Want => 64 + ITEM_IDS_MAX * 16,
            Self::Neighbours => 64 + NEIGHBOURS_MAX * 32,
            Self::GetRounds => 64 + ROUNDS_ASK_BYTES_MAX,
            Self::Rounds => 64 + ROUNDS_ANSWER_BYTES_MAX,
        }
    }

    /// Returns the most bytes that a body of this kind may have as the first of a session; none where it may not be there: a node says
    /// who it is, or that it parts, before anything else.
    pub const fn first_bytes_max(self) -> Option<usize> {
        match self {
            Self::Hello | Self::Goodbye => Some(self.body_bytes_max()),
            _ => None,
        }
    }
}

impl FrameHead {
    /// Reads the head of the frame that a session begins with.
    pub fn read_first(head: [u8; HEAD_BYTES]) -> Result<Self, WireError> {
        let kind = Kind::from_byte(head[HEAD_BYTES - 1])?;
        if kind.first_bytes_max().is_none() { Err(WireError::First { kind }) } else { Self::read(head) }
    }

    /// Reads the first bytes of a frame and refuses a body that is too long before room is made for it.
    pub fn read(head: [u8; HEAD_BYTES]) -> Result<Self, WireError> {
        let [a, b, c, d, kind] = head;
        let kind = Kind::from_byte(kind)?;
        let (bytes, max) = (u32::from_le_bytes([a, b, c, d]) as usize, kind.body_bytes_max());
        if bytes > max { Err(WireError::Size { kind, bytes, max }) } else { Ok(Self { kind, body_bytes: bytes }) }
    }
}
