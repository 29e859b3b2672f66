//! When to leave somebody alone: a circuit breaker. After failures in a row nothing is asked for a while, then one question is let through, and
//! what comes of it decides. Whoever is overloaded is not asked by everybody at once when it comes back.

use super::backoff::Backoff;
use crate::id::Moment;
use std::time::Duration;

/// When a breaker opens and closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Failures in a row that open it, at least one.
    pub failures_max: u32,
    /// How long it stays open: longer each time that a probe failed.
    pub open: Backoff,
    /// Probes in a row that must succeed before it closes, at least one.
    pub probes: u32,
    /// How long a probe is waited for before another may be made.
    pub probe_time: Duration,
}

/// Whether somebody may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Everything goes through.
    Closed { failures: u32 },
    /// Nothing goes through before the moment. `times` counts how often it opened since it was last closed.
    Open { until: Moment, times: u32 },
    /// One question at a time goes through. `since` is when the one on its way was let through.
    HalfOpen { since: Option<Moment>, successes: u32, times: u32 },
}

/// The breaker before one upstream.
#[derive(Debug, Clone)]
pub struct Breaker {
    settings: Settings,
    state: State,
}

impl Breaker {
    /// Begins closed.
    pub fn new(settings: Settings) -> Self {
        Self { settings, state: State::Closed { failures: 0 } }
    }

    /// Returns the state as it was left: one that is open for long enough is half open at the next [`Breaker::admit`].
    pub fn state(&self) -> State {
        self.state
    }

    /// Tells whether everything goes through.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// Tells whether a question would go through now.
    pub fn admits(&self, now: Moment) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Open { until, .. } => now >= until,
            State::HalfOpen { since: None, .. } => true,
            State::HalfOpen { since: Some(since), .. } => now >= since.after(self.settings.probe_time),
        }
    }

    /// Lets a question through where it may go, and tells whether it may.
    pub fn admit(&mut self, now: Moment) -> bool {
        let admitted = self.admits(now);
        self.state = match self.state {
            State::Open { times, .. } if admitted => State::HalfOpen { since: Some(now), successes: 0, times },
            State::HalfOpen { successes, times, .. } if admitted => {
                State::HalfOpen { since: Some(now), successes, times }
            }
            state => state,
        };
        admitted
    }

    /// Takes in an answer. One that comes while the breaker is open was asked for before, and changes nothing.
    pub fn succeeded(&mut self) {
        self.state = match self.state {
            State::Closed { .. } => State::Closed { failures: 0 },
            State::HalfOpen { successes, .. } if successes + 1 >= self.settings.probes => State::Closed { failures: 0 },
            State::HalfOpen { successes, times, .. } => {
                State::HalfOpen { since: None, successes: successes + 1, times }
            }
            open @ State::Open { .. } => open,
        };
    }

    /// Takes in a failure. `random` is 64 bits for the wait's jitter.
    pub fn failed(&mut self, now: Moment, random: u64) {
        let open = |times: u32| {
            let times = times.saturating_add(1);
            State::Open { until: now.after(self.settings.open.wait(times, random)), times }
        };
        self.state = match self.state {
            State::Closed { failures } if failures + 1 >= self.settings.failures_max => open(0),
            State::Closed { failures } => State::Closed { failures: failures + 1 },
            State::HalfOpen { times, .. } => open(times),
            // A question from before: the wait is not made longer by what was on its way.
            open @ State::Open { .. } => open,
        };
    }

    /// Takes in that nobody waits any more for the answer to a question that was let through: another may be.
    pub fn abandoned(&mut self) {
        if let State::HalfOpen { since, .. } = &mut self.state {
            *since = None;
        }
    }

    /// Returns when something may go through again: at once where it may now.
    pub fn due(&self) -> Moment {
        match self.state {
            State::Closed { .. } | State::HalfOpen { since: None, .. } => Moment::default(),
            State::Open { until, .. } => until,
            State::HalfOpen { since: Some(since), .. } => since.after(self.settings.probe_time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SETTINGS: Settings = Settings {
        failures_max: 3,
        open: Backoff { first: Duration::from_secs(1), max: Duration::from_secs(60) },
        probes: 2,
        probe_time: Duration::from_secs(10),
    };

    fn at(millis: u64) -> Moment {
        Moment::from_millis(millis)
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_between_them_does_not_let_them() {
        let mut breaker = Breaker::new(SETTINGS);
        for _ in 0..10 {
            breaker.failed(at(0), 0);
            breaker.failed(at(0), 0);
            breaker.succeeded();
        }
        assert!(breaker.is_closed());
        (0..3).for_each(|_| breaker.failed(at(0), 0));
        assert!(!breaker.admit(at(499)) && breaker.due() == at(500));
    }

    #[test]
    fn one_question_goes_through_at_a_time_until_enough_were_answered() {
        let mut breaker = Breaker::new(SETTINGS);
        (0..3).for_each(|_| breaker.failed(at(0), 0));
        assert!(breaker.admit(at(500)));
        assert!(!breaker.admit(at(501)));
        breaker.succeeded();
        assert!(!breaker.is_closed() && breaker.admit(at(502)) && !breaker.admit(at(503)));
        breaker.succeeded();
        assert!(breaker.is_closed());
    }

    #[test]
    fn a_probe_that_is_never_answered_makes_room_for_another() {
        let mut breaker = Breaker::new(SETTINGS);
        (0..3).for_each(|_| breaker.failed(at(0), 0));
        assert!(breaker.admit(at(500)) && !breaker.admit(at(10_499)) && breaker.admit(at(10_500)));
    }

    #[test]
    fn each_probe_that_fails_makes_the_wait_longer() {
        let mut breaker = Breaker::new(SETTINGS);
        (0..3).for_each(|_| breaker.failed(at(0), u64::MAX));
        let mut waits = Vec::new();
        for _ in 0..8 {
            let due = breaker.due();
            assert!(breaker.admit(due));
            breaker.failed(due, u64::MAX);
            waits.push(breaker.due().since(due).as_secs_f64().round());
        }
        assert_eq!(waits, [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]);
    }

    proptest! {
        #[test]
        fn between_two_questions_to_a_dead_upstream_lies_half_the_wait_at_least(
            steps in proptest::collection::vec((0..5_000_u64, any::<u64>()), 1..300),
        ) {
            let (mut breaker, mut now, mut asked, mut opened) = (Breaker::new(SETTINGS), 0, 0, 0);
            for (step, random) in steps {
                now += step;
                if breaker.admit(at(now)) {
                    asked += 1;
                    breaker.failed(at(now), random);
                    if let State::Open { until, times } = breaker.state() {
                        opened += 1;
                        prop_assert_eq!(times, opened);
                        prop_assert!(until >= at(now + 500) && until <= at(now + 60_000));
                    }
                }
            }
            // Two failures before it opens, then one for each time that it was open.
            prop_assert!(asked <= 2 + opened);
        }
    }
}
