//! A pool's rounds, with many nodes in one deterministic world.

mod agreement;
mod recompute;
mod world;
