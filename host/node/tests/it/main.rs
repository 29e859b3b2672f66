//! The node as its users meet it: real HTTP over loopback, over a chain with the longest-chain rules run natively. Nothing waits for time to pass.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

mod bounds;
mod control;
mod farming;
mod mining;
mod peers;
mod pools;
mod push;
mod settings;
mod sharelog;
mod silence;
mod statistics;
mod tls;
mod transactions;
mod upstreams;
mod workers;
