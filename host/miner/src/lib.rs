//! Searches for nonces: hands out work, runs a worker per core, and lets no native kernel mine unproven.
//!
//! It knows bytes, a nonce's place in them and a target, and never what a block is. It opens no socket, asks no wall clock and draws
//! no randomness: clock and random numbers are handed in, finds and failures go out as events. It reports no find that the
//! reference has not confirmed, unless the reference gives no answer, or so many hashes are finds that only a part of them is; and tries no nonce twice for one job, unless the engine that had it failed.
//!
//! Reading order: [`job`] is what to search, [`work`] who searches which part, [`proof`] and [`proven`] why a native kernel's word is
//! good enough, [`workers`] the threads, [`events`] what they say, [`stats`] what they did, [`power`] what it costs.

#![forbid(unsafe_code)]

pub mod events;
pub mod job;
pub mod power;
pub mod proof;
pub mod proven;
mod random;
pub mod stats;
#[cfg(test)]
mod testing;
mod usage;
pub mod work;
pub mod workers;

pub use events::{Event, Find, WorkerId};
pub use job::{JobError, JobId, MiningJob};
pub use power::PowerMeter;
pub use proof::{Difference, KnownHit, Plan, Search, prove};
pub use proven::{ProvenEngine, Sampling, Trust};
pub use stats::{Statistics, Verdict};
pub use workers::{Config, Miner, Reporter, Shutdown, StartError};
