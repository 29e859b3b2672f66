//! What a farm tells of itself: how fast its plots are read, how good their answers are, how far it is.

use crate::error::PlotError;
use adit_primitives::contract::space::PlotKind;
use adit_primitives::{Hash256, U256};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A farm since it was started.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Questions that were asked.
    pub challenges: u64,
    /// Proofs that were made.
    pub proofs: u64,
    /// Challenges under which a score met the target.
    pub wins: u64,
    /// In the order of their paths.
    pub plots: Vec<PlotFigures>,
    /// What is wrong with files and folders, plots or not, in the order of their paths.
    pub problems: Vec<Arc<PlotError>>,
}

/// A plot since it joined.
#[derive(Debug, Clone)]
pub struct PlotFigures {
    pub path: PathBuf,
    pub kind: PlotKind,
    /// Bytes of its leaves or nonces.
    pub space: u64,
    /// How fast it is read and scored: a mean that forgets. `None` until it was scanned.
    pub bytes_per_second: Option<u64>,
    /// Challenges under which it was scanned whole.
    pub answered: u64,
    /// Challenges under which something went wrong with it.
    pub failed: u64,
    /// The lowest score that it ever had.
    pub best: Option<U256>,
    /// How low its best scores are against what as many random numbers have, in thousandths: about 1,000 where all is well and many challenges were
    /// answered, less where parts of it repeat themselves, as holes do. What rotted otherwise scores like any other bytes until it
    /// is the best, and then counts as failed. `None` until it was scanned.
    pub quality_permille: Option<u32>,
    /// What is wrong with it.
    pub problem: Option<String>,
}

/// How far the farm is with the question at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub challenge: Hash256,
    /// Bytes that were looked at.
    pub scanned: u64,
    /// Bytes that the challenge asks for.
    pub all: u64,
    /// The lowest score so far.
    pub best: Option<U256>,
    /// What the rest takes at today's speeds. `None` where nothing was measured yet.
    pub left: Option<Duration>,
}
