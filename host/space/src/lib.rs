//! Plots: files whose bytes cost work to make and are cheap to look up, and so prove that space was set aside.
//!
//! Knows files, threads and a [`SpaceEngine`](adit_primitives::space::SpaceEngine); never a chain, a socket or a secret key: a plot belongs to a
//! public key. What a file says is never believed: a proof is computed again by the chain's plugin, and a file that cannot be read, is
//! cut short or was changed is named and left alone.
//!
//! Reading order: [`error`] is what can be wrong with a file, [`disk`] how files are read and written, [`tree`] the Merkle tree over leaves,
//! [`plain`] and [`hard`] the two kinds of plots (their layout, how they are made, checked and scanned), [`collection`] what lies in a folder, [`farm`] who looks through it when a challenge
//! comes.
//! `docs/plots.md` draws the files byte by byte.

#![forbid(unsafe_code)]

pub mod collection;
pub mod disk;
pub mod error;
pub mod farm;
pub mod hard;
pub mod plain;
pub mod tree;

pub use collection::{Collection, Found, Plot};
pub use error::PlotError;
pub use farm::Farm;

/// Says how far a long work is, and whether it is to go on.
pub trait Progress: Sync {
    /// Called now and then with the bytes that are done, of all. `false` ends the work; what is done stays.
    fn done(&self, bytes: u64, of: u64) -> bool;
}

/// Goes on to the end and tells nobody.
pub struct Silent;

impl Progress for Silent {
    fn done(&self, _: u64, _: u64) -> bool {
        true
    }
}
