//! Whom to talk to: which addresses are known, which of them are called, who is left, and which upstream has the turn.
//!
//! The time and a seed go in, actions come out: nothing here opens a connection, reads a clock or a file, or looks a name up. What a stranger says
//! about addresses is hearsay, and every table of it is bounded in a way that one network of addresses cannot fill.
//!
//! Reading order: [`place`] is an address with what has to be known of it, [`backoff`] how long to wait, [`suspicion`] how likely a peer is gone,
//! [`breaker`] when to leave somebody alone; [`book`] keeps addresses, [`choice`] calls them and makes room, [`failover`] gives one of several
//! upstreams the turn.

pub mod backoff;
pub mod book;
pub mod breaker;
pub mod choice;
pub mod failover;
pub mod place;
pub mod suspicion;

pub use backoff::Backoff;
pub use book::{Book, BookError, Source};
pub use breaker::Breaker;
pub use choice::{Action, Admission, Choice, Failure, Leaving, Purpose, Standing};
pub use failover::{Failover, FailoverStrategy, Member, Move, Why};
pub use place::{Group, Place, Reach};
pub use suspicion::Suspicion;
