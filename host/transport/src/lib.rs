//! Encrypted sessions between nodes, and how nodes find each other.
//!
//! The one crate with libp2p. It carries frames of bytes in order over one stream between two nodes, opens and closes such sessions when told,
//! and reports addresses that it hears of. It never reads a frame, never decides whom to talk to, and knows nothing of chains: what is said is
//! `network`'s, and `node` puts the two together.
//!
//! What one session may hold is bounded in both directions: bytes that wait to be sent ([`Outbox`]), and bytes that were read and not looked at
//! yet ([`Frames`], whose room is given back when they are dropped), so that a peer that floods is slowed by its own connection.
//!
//! Reading order: [`settings`] what is chosen; [`identity`] the node's key; [`address`] where nodes are; `behaviour` the parts of libp2p that are
//! used, and how; `session` one stream; [`swarm`] the task that has them all.

pub mod address;
mod behaviour;
pub mod identity;
mod session;
pub mod settings;
pub mod swarm;

pub use address::{Address, AddressError};
pub use identity::{NodeKey, SecretKey};
pub use session::{Ended, Frame, Frames, Full, Head, Lane, Outbox};
pub use settings::{BodyMax, TransportSettings};
pub use swarm::{Acceptance, GossipNumber, Happening, Source, StartError, Transport, TransportHandle, Unreached};

/// Names a session. Never used again while the process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionNumber(pub u64);
