//! What the transport is told.

use crate::Address;

/// How a node listens and is found.
#[derive(Debug, Clone)]
pub struct TransportSettings {
    /// Where it listens. A port of 0 is chosen by the system.
    pub listen: Vec<Address>,
    /// Where others reach it, where an operator knows: a forwarded port, a public address.
    pub announce: Vec<Address>,
    /// Distinguishes chains: the distributed table, and the topics, of nodes with another are not this node's. At most 32 letters and digits.
    pub realm: String,
    /// What the node says of itself to whoever asks, at most 64 bytes.
    pub agent: String,
    /// Whether nodes of the same local network are found by multicast.
    pub lan: bool,
    /// Whether nodes are found through a distributed table.
    pub table: bool,
    /// Whether the router is asked for a port, and others whether they reach this node; they are told the same.
    pub traversal: bool,
    /// Relays through which this node may be reached where nothing else helps, each with its node's key.
    pub relays: Vec<Address>,
    /// Whether this node relays for others.
    pub relay: bool,
    /// Sessions that others may open.
    pub inbound_max: u32,
    /// Sessions that this node opens.
    pub outbound_max: u32,
    /// Memory of the whole process, in bytes, above which no connection is taken.
    pub memory_max: usize,
    /// How long frames may be.
    pub body_max: BodyMax,
    /// Topics by which outsiders hear of what is new, with the most bytes of an item: taken part in by gossip.
    pub topics: Vec<Topic>,
}

impl TransportSettings {
    /// Tells whether this node reaches others, or is reached, through relays.
    pub(crate) fn is_relayed(&self) -> bool {
        self.traversal || !self.relays.is_empty()
    }
}

/// The most bytes that the body of a frame may have, by its kind; `None` where such a frame may not be there. What breaks this ends its session
/// before the body is read.
#[derive(Debug, Clone, Copy)]
pub struct BodyMax {
    /// Of the frame that a session begins with, when nothing is known of who sends it.
    pub first: fn(kind: u8) -> Option<usize>,
    /// Of every frame after it.
    pub later: fn(kind: u8) -> Option<usize>,
}

/// A topic. What is an item of one is none of another: items are told apart by their bytes alone.
#[derive(Debug, Clone)]
pub struct Topic {
    /// Its name within the realm.
    pub name: &'static str,
    /// The most bytes of an item.
    pub bytes_max: usize,
}
