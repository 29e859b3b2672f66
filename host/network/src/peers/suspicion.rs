//! How likely a peer is gone: the φ accrual failure detector (Hayashibara, Défago, Yared, Katayama 2004).
//!
//! φ is −log₁₀ of the chance that a heartbeat comes later than now, by what the peer's heartbeats were like: φ = 1 is wrong once in ten times, φ = 8
//! once in 10⁸. Whoever is regular is suspected early, whoever is not later. Its floats decide whom to prefer, never what is valid.

use crate::id::Moment;
use std::collections::VecDeque;
use std::time::Duration;

/// Intervals that are remembered.
pub const WINDOW: usize = 200;
/// An interval counts as no longer than this: one long pause does not make a peer unsuspected for days.
const INTERVAL_MILLIS_MAX: u64 = 3_600_000;

/// What is expected before anything was measured, and what is always granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The interval between heartbeats, as it is arranged.
    pub interval: Duration,
    /// The least standard deviation: heartbeats that were never late are granted this much all the same.
    pub deviation_min: Duration,
}

/// What is known of one peer's heartbeats.
#[derive(Debug, Clone)]
pub struct Suspicion {
    deviation_min: u64,
    intervals: VecDeque<u64>,
    sum: u64,
    sum_of_squares: u128,
    last: Moment,
}

impl Suspicion {
    /// Begins as if a heartbeat came now, and two before it, a quarter of the interval early and late.
    pub fn new(settings: Settings, now: Moment) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).min(INTERVAL_MILLIS_MAX);
        let interval = millis(settings.interval).max(1);
        let mut suspicion = Self {
            deviation_min: millis(settings.deviation_min).max(1),
            intervals: VecDeque::with_capacity(2),
            sum: 0,
            sum_of_squares: 0,
            last: now,
        };
        suspicion.remember(interval - interval / 4);
        suspicion.remember(interval + interval / 4);
        suspicion
    }

    /// Takes in a heartbeat.
    pub fn heard(&mut self, now: Moment) {
        let interval = now.to_millis().saturating_sub(self.last.to_millis());
        self.last = self.last.max(now);
        self.remember(interval);
    }

    /// Returns how strongly the peer is suspected. Grows while nothing is heard.
    pub fn phi(&self, now: Moment) -> f64 {
        let silence = now.to_millis().saturating_sub(self.last.to_millis());
        let (mean, deviation) = self.mean_and_deviation();
        #[expect(
            clippy::cast_precision_loss,
            reason = "intervals are below 2^52 milliseconds, and this is an estimate"
        )]
        let y = (silence as f64 - mean) / deviation;
        // The logistic curve nearest to the normal distribution: 1 − Φ(y) ≈ 1 / (1 + e^x), x = y (1.5976 + 0.070566 y²) (Page 1977; the error is below
        // 0.0002). −ln of that is ln(1 + e^x), which is written so that nothing overflows.
        let x = y * (1.5976 + 0.070_566 * y * y);
        (x.max(0.0) + (-x.abs()).exp().ln_1p()) / std::f64::consts::LN_10
    }

    /// Returns when something was heard last.
    pub fn last(&self) -> Moment {
        self.last
    }

    fn remember(&mut self, interval: u64) {
        let interval = interval.min(INTERVAL_MILLIS_MAX);
        if self.intervals.len() == WINDOW
            && let Some(oldest) = self.intervals.pop_front()
        {
            self.sum -= oldest;
            self.sum_of_squares -= u128::from(oldest) * u128::from(oldest);
        }
        self.intervals.push_back(interval);
        self.sum += interval;
        self.sum_of_squares += u128::from(interval) * u128::from(interval);
    }

    #[expect(clippy::cast_precision_loss, reason = "the sums are exact, and this is an estimate")]
    fn mean_and_deviation(&self) -> (f64, f64) {
        let count = self.intervals.len() as u128;
        let sum = u128::from(self.sum);
        // n Σx² − (Σx)² is the variance times n², in whole numbers: it never falls below nothing.
        let variance = (count * self.sum_of_squares - sum * sum) as f64 / (count * count) as f64;
        (self.sum as f64 / count as f64, variance.sqrt().max(self.deviation_min as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SETTINGS: Settings =
        Settings { interval: Duration::from_secs(15), deviation_min: Duration::from_millis(500) };

    fn beating(intervals: impl IntoIterator<Item = u64>) -> (Suspicion, u64) {
        let mut now = 0;
        let mut suspicion = Suspicion::new(SETTINGS, Moment::from_millis(now));
        for interval in intervals {
            now += interval;
            suspicion.heard(Moment::from_millis(now));
        }
        (suspicion, now)
    }

    #[test]
    fn a_peer_that_just_spoke_is_not_suspected_and_one_long_silent_is() {
        let (suspicion, now) = beating((0..300).map(|number| 15_000 + number % 7 * 100));
        assert!(suspicion.phi(Moment::from_millis(now)) < 0.001);
        assert!(suspicion.phi(Moment::from_millis(now + 15_000)) < 1.0);
        assert!(suspicion.phi(Moment::from_millis(now + 20_000)) > 8.0);
    }

    #[test]
    fn whoever_is_irregular_is_suspected_later() {
        let at = |intervals: [u64; 2]| {
            let (suspicion, now) = beating((0..100).map(|number| intervals[number % 2]));
            suspicion.phi(Moment::from_millis(now + 22_000))
        };
        assert!(at([15_000, 15_000]) > 8.0);
        assert!(at([5_000, 25_000]) < 2.0);
    }

    #[test]
    fn half_of_all_heartbeats_come_after_their_mean() {
        let (suspicion, now) = beating([15_000; 250]);
        let phi = suspicion.phi(Moment::from_millis(now + 15_000));
        assert!((phi - 2_f64.log10()).abs() < 1e-9, "{phi}");
    }

    #[test]
    fn a_fresh_peer_is_granted_the_arranged_interval() {
        let suspicion = Suspicion::new(SETTINGS, Moment::from_millis(0));
        assert!(suspicion.phi(Moment::from_millis(15_000)) < 1.0);
        assert!(suspicion.phi(Moment::from_millis(60_000)) > 8.0);
    }

    proptest! {
        #[test]
        fn suspicion_grows_in_silence_and_is_a_number(
            intervals in proptest::collection::vec(0..100_000_u64, 0..300), times in proptest::collection::vec(0..u64::MAX / 2, 2),
        ) {
            let (suspicion, now) = beating(intervals);
            prop_assert!(suspicion.intervals.len() <= WINDOW);
            let (early, late) = (times[0].min(times[1]), times[0].max(times[1]));
            let phi = |silence: u64| suspicion.phi(Moment::from_millis(now.saturating_add(silence)));
            prop_assert!(phi(early) >= 0.0 && phi(late).is_finite());
            prop_assert!(phi(early) <= phi(late));
            prop_assert!(phi(early % 100_000) <= phi(early % 100_000 + 1));
        }

        #[test]
        fn sums_are_those_of_the_window(intervals in proptest::collection::vec(0..10_000_000_u64, 0..500)) {
            let (suspicion, _) = beating(intervals);
            prop_assert_eq!(suspicion.sum, suspicion.intervals.iter().sum::<u64>());
            let squares: u128 = suspicion.intervals.iter().map(|interval| u128::from(*interval).pow(2)).sum();
            prop_assert_eq!(suspicion.sum_of_squares, squares);
        }
    }
}
