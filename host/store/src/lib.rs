//! Keeps the host's tables in a database on disk, and a pool's books in another: the only crate that knows the engines and the file formats.
//!
//! It knows bytes, tables and batches, rows and sums, and never what they mean: no blocks, no coins, no rules. It never answers a commit before
//! the disk has it, and never repairs a directory that it did not make: what it cannot read, it refuses with a sentence.
//!
//! Reading order: [`Store`] in `database` is the whole surface for tables, `directory` is what lies on disk and who may open it, `writer`
//! is the one thread that writes, and how commits share a sync. [`Books`] in `accounts` keeps a pool's books in SQL.

mod accounts;
mod database;
mod directory;
mod writer;

pub use accounts::{Books, BooksError, SCHEMA_VERSION};
pub use database::{Options, Store};
pub use directory::{FORMAT_VERSION, OpenError};
