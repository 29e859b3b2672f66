//! Plots: files whose bytes cost work to make and are cheap to look up, and so prove that space was set aside.
//!
//! Knows files, threads and a [`SpaceEngine`](adit_primitives::space::SpaceEngine); never a chain, a socket or a secret key: a plot belongs to a
//! public key. What a file says is never believed: a proof is computed again by the chain's plugin, and a file that cannot be read, is
//! cut short or was changed is named and left alone.
//!
//! Reading order: [`error`] is what can be wrong with a file, [`disk`] how files are read and written, [`tree`] the Merkle tree over leaves,
//! [`plain`] and [`hard`] the two kinds of plots (their layout, how they are made, checked and scanned), `finish` how one gets its name, [`collection`] what lies in a folder, [`farm`] who looks through it when a challenge
//! comes.
//! `docs/plots.md` draws the files byte by byte.

#![forbid(unsafe_code)]

pub mod collection;
pub mod disk;
pub mod error;
pub mod farm;
mod finish;
pub mod hard;
pub mod plain;
pub mod tree;

pub use collection::{Collection, Found, Plot};
pub use error::PlotError;
pub use farm::Farm;

use std::io;
use std::path::Path;

/// The steps of a long work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A plot is made. Hard ones are read back meanwhile.
    Plotting,
    /// A plain plot that is made is read back whole.
    ReadingBack,
}

/// Says how far a long work is, and whether it is to go on.
pub trait Progress: Sync {
    /// Called now and then with the bytes of a step that are done, of all. `false` ends the work; what is done stays.
    fn done(&self, step: Step, bytes: u64, of: u64) -> bool;

    /// Called when the plot has its name, at least once: again where the process ended before it came back, or where it fails. Until it came back,
    /// the same order makes no other plot.
    ///
    /// # Errors
    /// Where the plot cannot be noted: the order fails, and may be given again.
    fn made(&self, _plot: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// Goes on to the end and tells nobody.
pub struct Silent;

impl Progress for Silent {
    fn done(&self, _: Step, _: u64, _: u64) -> bool {
        true
    }
}
