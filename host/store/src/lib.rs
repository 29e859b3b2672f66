//! Keeps the host's tables in a database on disk: the only crate that knows the engine and the file format.
//!
//! It knows bytes, tables and batches, and never what they mean: no blocks, no coins, no rules. It never answers a commit before
//! the disk has it, and never repairs a directory that it did not make: what it cannot read, it refuses with a sentence.
//!
//! Reading order: [`Store`] in `database` is the whole surface, `directory` is what lies on disk and who may open it, `writer`
//! is the one thread that writes, and how commits share a sync.

mod database;
mod directory;
mod writer;

pub use database::{Options, Store};
pub use directory::{FORMAT_VERSION, OpenError};
