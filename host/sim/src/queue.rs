//! What happens when: events in an order that no thread can change.

use crate::scenario::Micros;
use adit_network::wire::Kind;
use adit_network::{RequestId, SessionId, Ticket};
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Something that happens to a node.
#[derive(Debug)]
pub struct Event {
    pub key: Key,
    pub node: u32,
    pub what: What,
}

/// The order of events: by time, then by who caused them, then in the order in which that node did. No two are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub time: Micros,
    pub cause: u32,
    pub count: u32,
}

/// What happens.
#[derive(Debug)]
pub enum What {
    /// The machine's limits of time are looked at.
    Wake,
    /// A frame is at the node's door.
    Arrive {
        session: SessionId,
        parcel: Parcel,
    },
    /// A frame that came through the door.
    Receive {
        session: SessionId,
        parcel: Parcel,
    },
    /// Another node dials.
    Called {
        session: SessionId,
        from: u32,
    },
    /// The dialled node took the call.
    Opened {
        session: SessionId,
        to: u32,
    },
    /// Nobody took the call.
    Unreachable {
        session: SessionId,
    },
    /// The other side closed the stream.
    Closed {
        session: SessionId,
    },
    /// Blocks were judged. An answer to what an earlier life of the node asked is no use to the next.
    Judged {
        life: u32,
        ticket: Ticket,
        blocks: Vec<u32>,
    },
    /// The node looks for peers.
    Dial {
        life: u32,
    },
    /// The node exchanges one of its peers for another.
    Rotate {
        life: u32,
    },
    /// Somebody pays through this node.
    Pay {
        count: u64,
    },
    /// A miner of a peer-to-peer pool at this node found a share.
    Share {
        count: u64,
    },
    /// The node found a block.
    Found {
        block: u32,
    },
    Leave,
    Return,
}

/// A frame on its way. Long answers are written down when they arrive: on their way they are but lists.
#[derive(Debug)]
pub enum Parcel {
    Frame(Bytes),
    Headers { request: RequestId, blocks: Vec<u32>, more: bool },
    Blocks { request: RequestId, blocks: Vec<Option<u32>> },
    Transactions { request: RequestId, numbers: Vec<Option<u64>> },
}

impl Parcel {
    /// Returns what kind of frame it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Frame(frame) => frame.get(4).and_then(|byte| Kind::from_byte(*byte).ok()).unwrap_or(Kind::Busy),
            Self::Headers { .. } => Kind::Headers,
            Self::Blocks { .. } => Kind::Blocks,
            Self::Transactions { .. } => Kind::Transactions,
        }
    }
}

/// Events to come.
#[derive(Debug, Default)]
pub struct Queue {
    order: BinaryHeap<Reverse<(Key, u32)>>,
    events: Vec<Option<(u32, What)>>,
    free: Vec<u32>,
}

impl Queue {
    /// Adds an event.
    pub fn push(&mut self, event: Event) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            u32::try_from(self.events.len() - 1).expect("fewer than 2^32 events wait at a time")
        });
        self.events[slot as usize] = Some((event.node, event.what));
        self.order.push(Reverse((event.key, slot)));
    }

    /// Returns when the next event happens.
    pub fn next(&self) -> Option<Micros> {
        self.order.peek().map(|Reverse((key, _))| key.time)
    }

    /// Takes the next event where it happens before `end`.
    pub fn pop_before(&mut self, end: Micros) -> Option<Event> {
        let Reverse((key, slot)) = *self.order.peek()?;
        if key.time >= end {
            return None;
        }
        self.order.pop();
        self.free.push(slot);
        let (node, what) = self.events[slot as usize].take()?;
        Some(Event { key, node, what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_then_by_cause_then_in_their_order() {
        let mut keys: Vec<Key> =
            (0..60).map(|number: u32| Key { time: u64::from(number % 5), cause: number % 3, count: number }).collect();
        let mut queue = Queue::default();
        keys.iter().rev().for_each(|key| queue.push(Event { key: *key, node: 0, what: What::Wake }));
        keys.sort_unstable();
        let first: Vec<Key> = std::iter::from_fn(|| queue.pop_before(3)).map(|event| event.key).collect();
        assert_eq!(first.as_slice(), &keys[..36]);
        assert_eq!(queue.next(), Some(3));
    }
}
