//! Names: nodes, sessions, addresses, moments, and the numbers that tie an answer to its question.

use adit_primitives::{BlockId, Decode, DecodeError, Encode, Height, Reader, U256, Work};
use bytes::Bytes;
use std::fmt;
use std::time::Duration;

/// A node, by its ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; 32]);

/// One connection with a node. The host numbers them and never gives a number twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// Names a judgement that the machine asked the host for. The machine numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Names a question to one peer, so that answers may come in any order. The asker numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u32);

/// Milliseconds since the process began, by a clock that never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(u64);

/// Where a node is reached: the transport's own bytes (a multiaddr), at most [`crate::wire::ADDRESS_BYTES_MAX`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Address(pub Bytes);

/// Who opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// This node dialled.
    Out,
    /// The other node dialled.
    In,
}

/// What is passed on: each class has its own strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    Blocks,
    Transactions,
    /// Batches of shares of a peer-to-peer pool: opaque here.
    Shares,
    /// Votes of share validators: opaque here.
    Votes,
}

/// A block at the end of a chain, and what is behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    pub id: BlockId,
    /// Of the chain (the past) that ends with the block, itself included.
    pub work: Work,
    pub height: Height,
}

impl Encode for NodeId {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl Decode for NodeId {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array("node").map(Self)
    }
}

impl Encode for Tip {
    fn encode(&self, out: &mut Vec<u8>) {
        self.id.encode(out);
        self.work.0.encode(out);
        self.height.0.encode(out);
    }
}

impl Decode for Tip {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let id = BlockId::decode(reader)?;
        let work = Work(U256::decode(reader)?);
        Ok(Self { id, work, height: Height(u64::decode(reader)?) })
    }
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 4] = [Self::Blocks, Self::Transactions, Self::Shares, Self::Votes];
}

impl Moment {
    /// Makes a moment from milliseconds since the process began.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Returns milliseconds since the process began.
    pub const fn to_millis(self) -> u64 {
        self.0
    }

    /// Returns the moment `duration` later, whole milliseconds; the last moment where there is none.
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_millis().try_into().unwrap_or(u64::MAX)))
    }

    /// Returns the first moment from this one on that is a multiple of `step`, whole milliseconds.
    pub fn rounded_up(self, step: Duration) -> Self {
        let step = u64::try_from(step.as_millis()).unwrap_or(u64::MAX).max(1);
        Self(self.0.checked_next_multiple_of(step).unwrap_or(u64::MAX))
    }

    /// Returns how long ago `earlier` was: nothing where it is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blocks => "blocks",
            Self::Transactions => "transactions",
            Self::Shares => "shares",
            Self::Votes => "votes",
        })
    }
}
