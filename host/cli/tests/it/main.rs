//! The `adit` binary as a user runs it.

#![allow(clippy::unwrap_used)]

mod adit;
mod bodies;
mod chains;
mod dag;
mod examples;
mod farming;
mod joining;
mod kernels;
mod kill;
mod network;
mod plots;
mod plugins;
mod pool;
mod replay;
mod running;
mod sim;
mod written;
