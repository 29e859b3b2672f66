//! What is known of a plot or a disk from what it did.

use adit_primitives::U256;
use std::time::Duration;

/// How fast something is read and scored: a mean in which each measurement counts a quarter.
#[derive(Debug, Clone, Copy, Default)]
pub struct Speed(Option<u64>);

/// How a plot answered.
#[derive(Debug, Clone, Default)]
pub struct Record {
    pub speed: Speed,
    /// Challenges under which it was scanned whole.
    pub answered: u64,
    /// Challenges under which something was wrong.
    pub failed: u64,
    /// The lowest score.
    pub best: Option<U256>,
    /// Challenges under which it was scanned, whole or in part.
    scored: u64,
    /// The sum of its best scores, each in thousandths of what is expected of so many entries.
    scores: u128,
}

impl Speed {
    /// Takes a measurement in.
    pub fn measure(&mut self, bytes: u64, took: Duration) {
        if bytes == 0 {
            return;
        }
        let now = u128::from(bytes) * 1_000_000_000 / took.as_nanos().max(1);
        let mean = self.0.map_or(now, |before| (3 * u128::from(before) + now) / 4);
        self.0 = Some(u64::try_from(mean).unwrap_or(u64::MAX));
    }

    /// Returns the mean.
    pub fn bytes_per_second(&self) -> Option<u64> {
        self.0
    }
}

impl Record {
    /// Takes the best score of a challenge in, of so many entries.
    pub fn scored(&mut self, score: U256, entries: u64) {
        self.scored += 1;
        self.best = Some(self.best.map_or(score, |best| best.min(score)));
        // The lowest of n numbers below 2^256 is 2^256 / (n + 1) in the mean.
        let top = u128::from(u64::try_from(score >> 192).expect("64 bits are left"));
        let expected = u128::from(entries) + 1;
        self.scores = self.scores.saturating_add(top.saturating_mul(expected * 1_000) >> 64);
    }

    /// Returns what is expected of its best scores over what they are in the mean, in thousandths.
    pub fn quality_permille(&self) -> Option<u32> {
        let expected = u128::from(self.scored) * 1_000;
        (self.scored > 0).then(|| u32::try_from(expected * 1_000 / self.scores.max(1)).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The record of a plot that answers as well as `answering` of its `entries` do: each challenge's best is the lowest of so many numbers.
    fn after(challenges: u64, entries: u64, answering: u64) -> Record {
        let (mut record, mut state) = (Record::default(), 1u64);
        let mut draw = || {
            // Steele, Lea, Flood: SplitMix64.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        };
        for _ in 0..challenges {
            let lowest = (0..answering).map(|_| draw()).min().unwrap();
            record.scored(U256::from(lowest) << 192, entries);
        }
        record
    }

    #[test]
    fn a_good_plot_answers_as_well_as_random_numbers_do() {
        let quality = after(2_000, 1_000, 1_000).quality_permille().unwrap();
        assert!((900..1_100).contains(&quality), "{quality}");
    }

    #[test]
    fn a_plot_with_half_of_it_gone_answers_half_as_well() {
        let quality = after(2_000, 1_000, 500).quality_permille().unwrap();
        assert!((450..550).contains(&quality), "{quality}");
        assert_eq!(Record::default().quality_permille(), None);
    }

    #[test]
    fn the_largest_plot_and_the_worst_score_are_within_the_numbers() {
        let mut record = Record::default();
        record.scored(U256::MAX, u64::MAX);
        assert_eq!(record.quality_permille(), Some(0));
        record.scored(U256::ZERO, 1);
        assert_eq!(record.best, Some(U256::ZERO));
    }

    #[test]
    fn a_mean_follows_what_is_measured() {
        let mut speed = Speed::default();
        speed.measure(0, Duration::ZERO);
        assert_eq!(speed.bytes_per_second(), None);
        speed.measure(1_000, Duration::from_secs(1));
        assert_eq!(speed.bytes_per_second(), Some(1_000));
        speed.measure(5_000, Duration::from_secs(1));
        assert_eq!(speed.bytes_per_second(), Some(2_000));
        speed.measure(u64::MAX, Duration::ZERO);
        assert_eq!(speed.bytes_per_second(), Some(u64::MAX));
    }
}
