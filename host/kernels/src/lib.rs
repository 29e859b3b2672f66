//! Native hash kernels: the only crate with SIMD.
//!
//! A kernel proposes and never decides: it knows no plugin, no chain, no clock and no thread, and what it answers counts only
//! after the host has found it equal to the sandboxed plugin. A shared library enters through the same table as a bundled kernel.
//!
//! Reading order: [`kernel`] (what a backend is, written as plain Rust, and the C table made from it), [`native`] (a table as a
//! [`HashEngine`](adit_primitives::engine::HashEngine)), [`bundled`] (the list of algorithms), [`choose`] (the fastest backend here),
//! [`bench`](mod@bench) (backends against the crates that everybody uses), then one module for each algorithm; [`space`] stands by itself.

#![allow(unsafe_code)]

pub mod bench;
mod blake3;
pub mod bundled;
pub mod choose;
#[cfg(test)]
mod equality;
pub mod kernel;
mod kheavyhash;
pub mod native;
mod scrypt;
mod sha256d;
pub mod space;
mod whole;
mod words;

pub use bundled::{Algorithm, algorithm, candidates};
pub use choose::fastest;
pub use kernel::{Finds, Job, Kernel, table};
pub use native::{KernelError, NativeEngine};
