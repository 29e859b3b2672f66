//! Protocols as machines: bytes and time go in, bytes and effects come out.
//!
//! Nothing here opens a socket, reads a clock, computes a proof of work or knows what a share is worth.
//!
//! Reading order: [`mod@line`] cuts a stream into lines, [`stratum`] is what miners and pools say in them, [`proxy`] is what a load
//! balancer says before them.

#![forbid(unsafe_code)]

mod hex;
pub mod line;
pub mod proxy;
pub mod stratum;
