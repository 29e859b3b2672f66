//! The published surface of the chain, under rules made for tests.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod blocks;
mod bulk;
mod dag;
mod forks;
mod headers;
mod ledger;
mod mempool;
mod placements;
mod rules;
mod sync;
mod templates;
mod world;
