//! What the workers did: rates, finds, latencies, and what it cost.
//!
//! Nothing here reads a clock: whoever observes says when. Floats are for display only.

use crate::job::JobId;
use serde::Serialize;
use std::collections::VecDeque;
use std::time::Duration;

/// The most observations that a moving rate remembers. Older ones go first.
const OBSERVATIONS_MAX: usize = 128;

/// What became of a submitted find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Accepted,
    Rejected,
    /// It came after its job had been replaced.
    Stale,
    /// Nobody said: the connection broke, or no answer came in time.
    Lost,
}

/// All figures at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statistics {
    /// Hashes a second over the last while, all workers together.
    pub hashes_per_second: f64,
    /// Hashes since the start, workers that are gone included.
    pub hashes: u64,
    /// Finds since the start.
    pub found: u64,
    /// Hashes done for each find, or `None` before the first.
    pub hashes_per_solution: Option<f64>,
    pub accepted: u64,
    pub rejected: u64,
    pub stale: u64,
    pub lost: u64,
    /// From asking for a template to having it.
    pub template_latency: Latency,
    /// From submitting a find to its verdict.
    pub submission_latency: Latency,
    /// What the process holds, in bytes; `None` where the system does not tell.
    pub memory_bytes: Option<u64>,
    /// The job that is searched now.
    #[serde(skip)]
    pub job: Option<JobId>,
    pub workers: Vec<WorkerStatistics>,
}

/// The figures of one worker.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkerStatistics {
    pub worker: usize,
    pub hashes_per_second: f64,
    pub hashes: u64,
    pub found: u64,
    /// How often it was replaced after a failure.
    pub failures: u64,
    /// The number of the core that it is bound to; `None` where it runs anywhere.
    pub core: Option<usize>,
    /// Time on a processor since it started, in milliseconds; `None` where the system does not tell.
    pub processor_ms: Option<u64>,
}

/// How long something took, over all its measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Latency {
    pub measured: u64,
    pub last_us: u64,
    pub mean_us: u64,
    pub max_us: u64,
    #[serde(skip)]
    total_us: u64,
}

impl Latency {
    /// Takes in one measurement.
    pub fn record(&mut self, took: Duration) {
        self.last_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.max_us = self.max_us.max(self.last_us);
        self.measured += 1;
        self.total_us = self.total_us.saturating_add(self.last_us);
        self.mean_us = self.total_us / self.measured;
    }
}

/// A counter's rate over a moving window of observations.
#[derive(Debug, Clone)]
pub struct MovingRate {
    window: Duration,
    /// Moments with the counter's value then, oldest first. The oldest is the last one before the window, where there is one.
    observations: VecDeque<(Duration, u64)>,
}

impl MovingRate {
    /// Begins with a counter that stood at `count`.
    pub fn new(window: Duration, now: Duration, count: u64) -> Self {
        Self { window, observations: VecDeque::from([(now, count)]) }
    }

    /// Takes in the counter's value at a moment, and returns its rate a second over the window.
    pub fn observe(&mut self, now: Duration, count: u64) -> f64 {
        let newest = self.observations.back().map_or(Duration::ZERO, |(then, _)| *then);
        // Callers that observe without pause replace the newest: the window keeps its length in time.
        let spacing = self.window / u32::try_from(OBSERVATIONS_MAX / 2).expect("a small number");
        if self.observations.len() > 1 && now.saturating_sub(newest) < spacing {
            let (then, _) = self.observations[self.observations.len() - 2];
            if newest.saturating_sub(then) < spacing {
                self.observations.pop_back();
            }
        }
        self.observations.push_back((now, count));
        while self.observations.len() > 2
            && (self.observations.len() > OBSERVATIONS_MAX || now.saturating_sub(self.observations[1].0) >= self.window)
        {
            self.observations.pop_front();
        }
        let (then, before) = self.observations[0];
        let seconds = now.saturating_sub(then).as_secs_f64();
        if seconds > 0.0 { count.saturating_sub(before) as f64 / seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[track_caller]
    fn check_rate(rate: f64, want: f64) {
        assert!((rate - want).abs() < want * 0.001 + 0.001, "{rate} is not {want}");
    }

    #[test]
    fn a_steady_counter_has_its_rate_from_the_second_observation_on() {
        let mut rate = MovingRate::new(60 * SECOND, 5 * SECOND, 1_000);
        for second in 1..500 {
            check_rate(rate.observe((5 + second) * SECOND, 1_000 + u64::from(second) * 7), 7.0);
        }
    }

    #[test]
    fn what_lies_before_the_window_is_forgotten() {
        let mut rate = MovingRate::new(10 * SECOND, Duration::ZERO, 0);
        for second in 1..=20 {
            rate.observe(second * SECOND, 1_000_000);
        }
        check_rate(rate.observe(21 * SECOND, 1_000_000), 0.0);
    }

    #[test]
    fn observers_without_pause_neither_shorten_the_window_nor_fill_memory() {
        let mut rate = MovingRate::new(60 * SECOND, Duration::ZERO, 0);
        let mut last = 0.0;
        for milli in 1..100_000 {
            // Twice as fast in the second half: the window of a minute lies over both.
            let count = if milli < 50_000 { milli } else { 2 * milli - 50_000 };
            last = rate.observe(Duration::from_millis(milli), count);
            assert!(rate.observations.len() <= OBSERVATIONS_MAX);
        }
        assert!((1_750.0..1_900.0).contains(&last), "{last}");
    }

    #[test]
    fn a_moment_that_repeats_is_no_division_by_zero() {
        let mut rate = MovingRate::new(SECOND, SECOND, 5);
        check_rate(rate.observe(SECOND, 10), 0.0);
    }

    #[test]
    fn latencies_are_summed_up() {
        let mut latency = Latency::default();
        [10, 30, 20].into_iter().map(Duration::from_micros).for_each(|took| latency.record(took));
        assert_eq!((latency.measured, latency.last_us, latency.mean_us, latency.max_us), (3, 20, 20, 30));
    }
}
