//! The published surface, end to end: bundled plugins as components in the sandbox.

mod conformance;
mod fuzz;
mod kernels;
mod pool;
mod sandbox;
