//! What farmers are asked: rounds, generation signatures, challenges.
//!
//! ```text
//! generation of the genesis = SHA-256("adit generation 1" | body root)
//! generation of a block     = SHA-256("adit generation 1" | generation of its parent | owner)
//! challenge of a round      = SHA-256("adit challenge 1" | source | height | round)     numbers in 8 bytes little-endian
//! ```
//! The owner is what the winning plot was made for: the key of a plain one, the account of a hard one in 8 bytes little-endian, since several keys have one
//! account and each could sign. The source is the parent's generation signature (`challenge = "chained"`) or its id (`"parent"`). A block's id follows from its body and its
//! time, so whoever wins a block of a chain with `"parent"` can try bodies until the next challenge suits their own plots: it is there for study. A
//! generation signature follows from the winners' plots alone, so a winner's one choice is to publish or not, or which of several plots that win
//! to show.
//!
//! Rounds are counted from the parent's time. A challenge that nobody answers in its round gives way to the next one, so a chain never stands still
//! because no plot has an answer.

use crate::config::{Config, Source};
use adit_plugin_sdk::plot::account;
use adit_plugin_sdk::space::{PlotPlace, SpaceClaim};
use adit_plugin_sdk::{BlockId, Hash256, Height, Timestamp};
use sha2::{Digest, Sha256};

const GENERATION: &[u8] = b"adit generation 1";
const CHALLENGE: &[u8] = b"adit challenge 1";

/// Returns the generation signature of a genesis.
pub fn first_generation(body_root: &Hash256) -> Hash256 {
    hash(&[GENERATION, &body_root.0])
}

/// Returns the generation signature of a block that was won by that claim.
pub fn next_generation(parent: &Hash256, claim: &SpaceClaim) -> Hash256 {
    match &claim.place {
        PlotPlace::Hard { .. } => hash(&[GENERATION, &parent.0, &account(&claim.key.0).to_le_bytes()]),
        PlotPlace::Plain { .. } => hash(&[GENERATION, &parent.0, &claim.key.0]),
    }
}

/// Returns the challenge of a round over a parent with that id and generation signature. `height` is that of the block which answers.
pub fn challenge(source: Source, generation: &Hash256, parent: BlockId, height: Height, round: u64) -> Hash256 {
    let source = match source {
        Source::Chained => &generation.0,
        Source::Parent => &parent.0,
    };
    hash(&[CHALLENGE, source, &height.0.to_le_bytes(), &round.to_le_bytes()])
}

fn hash(parts: &[&[u8]]) -> Hash256 {
    Hash256(parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part)).finalize().into())
}

/// The rounds over a parent.
#[derive(Debug, Clone, Copy)]
pub struct Rounds {
    start_ms: u64,
    length_ms: u64,
}

impl Rounds {
    /// The rounds over a parent of that time.
    pub fn over(parent: Timestamp, config: &Config) -> Self {
        Self { start_ms: parent.to_millis(), length_ms: 1000 * u64::from(config.challenge_seconds) }
    }

    /// Returns the round that a time lies in. `None` for a time that is not later than the parent's.
    pub fn at(self, time: Timestamp) -> Option<u64> {
        let passed = time.to_millis().checked_sub(self.start_ms).filter(|passed| *passed > 0)?;
        Some(passed / self.length_ms)
    }

    /// Returns the earliest time that a block of that round may carry.
    pub fn opens(self, round: u64) -> Timestamp {
        // A block is later than its parent, in the first round too.
        let passed = round.saturating_mul(self.length_ms).max(1);
        Timestamp::from_millis(self.start_ms.saturating_add(passed))
    }

    /// Returns the earliest time that belongs to the next round.
    pub fn closes(self, round: u64) -> Timestamp {
        self.opens(round.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUNDS: Rounds = Rounds { start_ms: 1_000_000, length_ms: 5_000 };

    #[test]
    fn a_time_lies_in_the_round_that_opened_last() {
        let at = |ms| ROUNDS.at(Timestamp::from_millis(ms));
        assert_eq!([at(0), at(1_000_000)], [None, None]);
        assert_eq!([at(1_000_001), at(1_004_999)], [Some(0), Some(0)]);
        assert_eq!([at(1_005_000), at(1_009_999), at(1_010_000)], [Some(1), Some(1), Some(2)]);
        for round in [0, 1, 77] {
            assert_eq!(ROUNDS.at(ROUNDS.opens(round)), Some(round));
            assert_eq!(ROUNDS.at(ROUNDS.closes(round)), Some(round + 1));
        }
    }

    #[test]
    fn the_last_times_that_can_be_written_have_rounds_too() {
        let round = ROUNDS.at(Timestamp::from_millis(u64::MAX)).unwrap();
        assert_eq!(ROUNDS.closes(round), Timestamp::from_millis(u64::MAX));
    }

    #[test]
    fn every_part_changes_a_challenge() {
        let (generation, parent) = (Hash256([1; 32]), BlockId([2; 32]));
        let chained = |generation, height, round| challenge(Source::Chained, generation, parent, Height(height), round);
        let all = [
            chained(&generation, 5, 0),
            chained(&generation, 6, 0),
            chained(&generation, 5, 1),
            chained(&Hash256([3; 32]), 5, 0),
            challenge(Source::Parent, &generation, parent, Height(5), 0),
            challenge(Source::Parent, &generation, BlockId([4; 32]), Height(5), 0),
        ];
        for (place, one) in all.iter().enumerate() {
            assert!(!all[..place].contains(one), "number {place}");
        }
    }
}
