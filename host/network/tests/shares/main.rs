//! A pool's rounds, with many nodes in one deterministic world.

mod agreement;
mod panels;
mod recompute;
mod world;
