//! How long to wait before another attempt: exponentially longer, and never the same for two nodes.

use std::time::Duration;

/// The bounds of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure, at most.
    pub first: Duration,
    /// The longest wait.
    pub max: Duration,
}

impl Backoff {
    /// Returns the wait after so many failures in a row: between half of and the whole of `first` · 2^(`failures` − 1), at most `max`. Nothing after
    /// none. `random` is 64 bits, which decide where between.
    pub fn wait(self, failures: u32, random: u64) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        let whole = self.first.saturating_mul(1 << doublings.min(30)).min(self.max);
        whole / 2 + part(whole / 2, random)
    }
}

/// Returns a part of a time, whole milliseconds, evenly between none and all of it by 64 random bits.
pub(super) fn part(time: Duration, random: u64) -> Duration {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let part = (u128::from(millis) * u128::from(random)) >> 64;
    Duration::from_millis(u64::try_from(part).expect("a part of `millis` has 64 bits"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nobody_waits_before_anything_failed() {
        assert_eq!(Backoff { first: Duration::from_secs(1), max: Duration::from_secs(9) }.wait(0, 7), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn waits_double_up_to_their_bound_and_are_spread_over_half_of_it(
            first in 1..100_000_u64, max in 1..10_000_000_u64, failures in 1_u32.., random: u64,
        ) {
            let backoff = Backoff { first: Duration::from_millis(first), max: Duration::from_millis(max) };
            let wait = backoff.wait(failures, random);
            prop_assert!(wait <= backoff.max);
            prop_assert!(wait >= backoff.wait(failures, 0) && wait <= backoff.wait(failures, u64::MAX));
            prop_assert!(backoff.wait(failures, 0) <= backoff.wait(failures.saturating_add(1), 0));
            let whole = u128::from(first).saturating_mul(1 << failures.min(40)) / 2;
            let whole = whole.min(u128::from(max));
            prop_assert!(wait.as_millis() + 1 >= whole / 2 && wait.as_millis() <= whole);
        }
    }
}
