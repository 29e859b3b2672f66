//! What can be wrong with a plot.

use adit_primitives::engine::Fault;
use std::io;
use std::path::{Path, PathBuf};

/// What is wrong with a file, and with which.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct PlotError {
    pub path: PathBuf,
    pub problem: Problem,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("{0}")]
    File(#[from] io::Error),
    #[error("it is no plot")]
    Foreign,
    #[error("its header was changed: the checksum is another")]
    Checksum,
    #[error("it is of version {found}; this version of Adit reads version {known}")]
    Version { found: u32, known: u32 },
    #[error("it has {found} bytes and must have {expected}")]
    Length { found: u64, expected: u64 },
    #[error("it is not finished: {done} of {all} bytes are made")]
    Unfinished { done: u64, all: u64 },
    #[error("its {what} at byte {offset} are not what its key and seed give")]
    Wrong { what: &'static str, offset: u64 },
    #[error("another process works on it")]
    InUse,
    #[error("the disk has {free} bytes left and the plot takes {needed}; {reserve} bytes are to stay free")]
    Full { free: u64, needed: u64, reserve: u64 },
    #[error("{bytes} bytes are too few: a plot has {least} at least")]
    Small { bytes: u64, least: u64 },
    #[error("it was interrupted; what is done stays, and the same command goes on with it")]
    Interrupted,
    #[error("a thread that worked on it panicked")]
    Panic,
    #[error("its disk gives no answer")]
    Silent,
    #[error("it is the same file as {}", first.display())]
    Twice { first: PathBuf },
    #[error("it is another plot than before")]
    Changed,
    #[error("it belongs to a key that nobody signs with here")]
    Owner,
    #[error("the chain counts plots of the other kind alone")]
    Kind,
    #[error("its leaves cannot be scored: {0}")]
    Score(#[from] Fault),
}

impl Problem {
    /// Says with which file.
    pub fn at(self, path: &Path) -> PlotError {
        PlotError { path: path.to_owned(), problem: self }
    }
}
