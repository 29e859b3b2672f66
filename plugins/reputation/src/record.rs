//! What a worker's record says of its rate of invalid shares: a Beta posterior, in integers.

use adit_plugin_sdk::WorkerRecord;
use adit_plugin_sdk::common::fixed::{ONE_Q16, log2_q16};

/// Counts beyond this say nothing new, and sums of their logarithms fit their numbers.
const SHARES_MAX: u64 = 1 << 32;

/// Returns the inverse of the posterior's mean, rounded down: one share in so many is expected to be invalid.
pub fn audit_period(record: &WorkerRecord) -> u64 {
    let (valid, invalid) = (record.valid.min(SHARES_MAX), record.invalid.min(SHARES_MAX));
    ((valid + invalid + 2) / (invalid + 1)).max(1)
}

/// Returns how certain it is that the rate of invalid shares is above `bad_percent`: at least so many bits, the base-two logarithm of the odds.
///
/// For X ~ Beta(i + 1, n − i + 1), P(X ≤ b) = P(Binomial(n + 1, b) ≥ i + 1) ≤ 2^(−(n + 1) · KL((i + 1) / (n + 1) ‖ b)) where
/// the record's rate is above b; 0 where it is not.
pub fn certainty_bits(record: &WorkerRecord, bad_percent: u32) -> u64 {
    let (valid, invalid) = (record.valid.min(SHARES_MAX), record.invalid.min(SHARES_MAX));
    let (bad, all) = (invalid + 1, invalid + valid + 1);
    let percent = u64::from(bad_percent.clamp(1, 99));
    if bad * 100 <= all * percent {
        return 0;
    }
    // (n + 1) · KL = bad · log2(bad / (all · b)) + good · log2(good / (all · (1 − b)))
    let log =
        |count: u64, percent: u64| log2_q16(u128::from(count) * 100) - log2_q16(u128::from(all) * u128::from(percent));
    let term =
        |count: u64, percent: u64| i128::from(count) * i128::from(if count == 0 { 0 } else { log(count, percent) });
    let divergence = (term(bad, percent) + term(valid, 100 - percent)) / i128::from(ONE_Q16);
    u64::try_from(divergence).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(valid: u64, invalid: u64, want_period: u64, want_bits: u64) {
        let record = WorkerRecord { valid, invalid, known_ms: 0 };
        assert_eq!((audit_period(&record), certainty_bits(&record, 50)), (want_period, want_bits));
    }

    #[test]
    fn the_period_is_the_inverse_of_the_mean_and_each_bad_share_alone_is_a_bit() {
        check(0, 0, 2, 1);
        check(0, 39, 1, 40);
        check(1_000, 0, 1_002, 0);
        check(100, 10, 10, 0);
        // 101 · KL(81 / 101 ‖ 1/2) = 101 · (1 − H(81 / 101)) = 101 · (1 − 0.7179…) = 28.4…
        check(20, 80, 1, 28);
        check(u64::MAX, u64::MAX, 2, 0);
    }
}
