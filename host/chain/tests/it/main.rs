//! The published surface of the chain, under rules made for tests.

mod blocks;
mod forks;
mod ledger;
mod mempool;
mod rules;
mod templates;
mod world;
