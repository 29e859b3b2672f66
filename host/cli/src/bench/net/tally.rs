//! What a node saw of the load: how many shares came, and how long each was on its way.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// How finely times are told apart.
const STEP: Duration = Duration::from_micros(100);

/// What one node made, what reached it, and what that took.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub made: u64,
    pub received: u64,
    /// By [`STEP`]s of the time from the making of a share.
    pub steps: BTreeMap<u64, u64>,
    pub cpu: Duration,
    /// How long it was measured.
    pub wall: Duration,
    pub memory_bytes: u64,
}

impl Outcome {
    /// Counts shares that were so long on their way.
    pub fn took(&mut self, time: Duration, count: u64) {
        let step = u64::try_from(time.as_nanos() / STEP.as_nanos()).unwrap_or(u64::MAX);
        *self.steps.entry(step).or_default() += count;
        self.received += count;
    }

    /// Returns what all saw together.
    pub fn sum(all: &[Self]) -> Self {
        let mut sum = Self::default();
        for one in all {
            one.steps.iter().for_each(|(step, count)| *sum.steps.entry(*step).or_default() += count);
            sum.received += one.received;
        }
        sum
    }

    /// Returns the mean time.
    pub fn mean(&self) -> Duration {
        let total: u128 = self.steps.iter().map(|(step, count)| u128::from(*step) * u128::from(*count)).sum();
        let nanos = total * STEP.as_nanos() / u128::from(self.received.max(1)) + STEP.as_nanos() / 2;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Returns the time that so many of a hundred shares did not take.
    pub fn quantile(&self, hundredths: u64) -> Duration {
        let mut left = self.received * hundredths / 100;
        for (step, count) in &self.steps {
            if left <= *count {
                return STEP * u32::try_from(*step + 1).unwrap_or(u32::MAX);
            }
            left -= count;
        }
        Duration::ZERO
    }

    /// Returns how many cores the node kept busy.
    pub fn cores(&self) -> f64 {
        self.cpu.as_secs_f64() / self.wall.as_secs_f64().max(0.001)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_quantiles_are_those_of_all_nodes() {
        let (mut one, mut other) = (Outcome::default(), Outcome::default());
        one.took(Duration::from_millis(1), 95);
        other.took(Duration::from_millis(21), 5);
        let all = Outcome::sum(&[one, other]);
        assert_eq!(all.mean(), Duration::from_micros(2_050));
        assert_eq!(all.quantile(95), Duration::from_micros(1_100));
        assert_eq!(all.quantile(99), Duration::from_micros(21_100));
    }
}
