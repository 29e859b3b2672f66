//! The pool between real counterparts: Litecoin Core behind it, a miner of another language in front of it, connections that behave badly.
//!
//! Reading order: [`counterparts`] finds and starts what the pool works with, [`bench`]
//! starts the pool itself; every other module is one kind of claim. Where a server is missing a test says that it did not run.

mod bans;
pub mod bench;
pub mod counterparts;
mod failover;
mod http;
mod kills;
mod litecoin;
mod otedama;
mod relay;
mod schemes;
mod sockets;
mod vision;
