//! What a farm says.

use crate::error::PlotError;
use adit_primitives::contract::space::{PlotPlace, Registration, SpaceClaim};
use adit_primitives::{Hash256, U256};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What a farm says, in the order in which it happens.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The folders hold other plots than before.
    Plots { joined: Vec<PathBuf>, vanished: Vec<PathBuf> },
    /// A file or a folder that is not farmed, or only in part. Said once, and again where something else is wrong with it.
    Problem(Arc<PlotError>),
    /// A lower score than what was said of this challenge before.
    Best(Best),
    /// A score that a pool counts. Said once for each place, under one question; it may be the lowest too.
    Share(Best),
    /// All that there was time for is scanned, or another question came.
    Finished(Finished),
}

/// A score under a challenge: the lowest so far, or one that a pool counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Best {
    /// The challenge that it answers.
    pub challenge: Hash256,
    /// The public key of the plot's owner, who has to sign.
    pub key: Hash256,
    pub score: U256,
    /// Whether the score meets the challenge's target. What is said to win was made again from its key, and its proof holds.
    pub wins: bool,
    /// The place in the plot, with its proof: made for what wins, and for the best of all at the end.
    pub place: Option<PlotPlace>,
    /// The file.
    pub plot: PathBuf,
}

/// How a challenge was answered.
#[derive(Debug, Clone)]
pub struct Finished {
    pub challenge: Hash256,
    pub best: Option<Best>,
    /// How many plots were asked: those whose owner signs here, and which count.
    pub plots: usize,
    /// Bytes that were looked at.
    pub bytes: u64,
    /// The part of what the challenge asks for that was looked at, in thousandths.
    pub coverage_permille: u16,
    /// What went wrong with plots under this challenge, in the order of their paths.
    pub failed: Vec<Arc<PlotError>>,
    /// Since it was asked.
    pub took: Duration,
}

impl Best {
    /// Returns what a header says of it, before it is signed. `None` where no proof was made.
    pub fn claim(&self, registrations: Vec<Registration>) -> Option<SpaceClaim> {
        let place = self.place.clone()?;
        Some(SpaceClaim { challenge: self.challenge, key: self.key, place, registrations })
    }
}
