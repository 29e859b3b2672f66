//! Stratum V1: one JSON object a line between miners and a pool.
//!
//! Neither side computes a proof of work here or decides what a share is worth: the machines read, remember what they sent, and ask.
//!
//! Reading order: [`difficulty`] is the field's number for how hard a share is, [`job`] what is mined, [`message`] the lines,
//! [`server`] the pool's side of a connection, [`client`] the miner's.

pub mod client;
pub mod difficulty;
pub mod job;
pub mod message;
pub mod server;
