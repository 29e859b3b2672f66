//! What is kept of one upstream: its breaker, its signs of life, how fast and how reliably it answers, and how long it has been well.

use super::{HealthView, Settings};
use crate::id::Moment;
use crate::peers::breaker::{self, Breaker};
use crate::peers::suspicion::{self, Suspicion};
use std::time::Duration;

/// A new value's part in a running mean: 1 of so many.
const MEAN_PART: u64 = 8;
/// What [`Health::cost`] takes for the time of answers that never came.
const UNKNOWN: Duration = Duration::from_millis(250);
/// Who fails within so many settling times after it got the turn got it too early.
const SOON: u32 = 60;

/// What is known of one upstream.
#[derive(Debug, Clone)]
pub struct Health {
    breaker: Breaker,
    suspicion: Option<Suspicion>,
    latency: Option<Duration>,
    failures_permille: u64,
    in_flight: u32,
    /// The first and the last answer since it last failed.
    well: Option<(Moment, Moment)>,
    /// How long it has to be well before it takes the turn from another.
    settle: Duration,
    /// When it was last tried or answered.
    tried: Option<Moment>,
    /// When it lost the turn.
    left: Option<Moment>,
    /// It is never asked again.
    struck: bool,
    /// Its account by smooth weighted round robin.
    pub credit: i64,
}

impl Health {
    pub fn new(settings: &Settings) -> Self {
        Self {
            breaker: Breaker::new(settings.breaker),
            suspicion: None,
            latency: None,
            failures_permille: 0,
            in_flight: 0,
            well: None,
            settle: settings.settle_time,
            tried: None,
            left: None,
            struck: false,
            credit: 0,
        }
    }

    pub fn began(&mut self) {
        self.in_flight = self.in_flight.saturating_add(1);
    }

    /// Answers further apart than `lately` are no row.
    pub fn answered(&mut self, now: Moment, took: Option<Duration>, lately: Duration) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.breaker.succeeded();
        self.tried = Some(now);
        let row = self.well.filter(|(_, last)| now.since(*last) <= lately);
        self.well = Some((row.map_or(now, |(first, _)| first), now));
        let mean = |took: Duration| self.latency.map_or(took, |old| (old * 7 + took) / 8);
        self.latency = took.map(mean).or(self.latency);
        self.failures_permille -= self.failures_permille.div_ceil(MEAN_PART);
    }

    /// `had` is how long it had the turn, where it has it.
    pub fn failed(&mut self, now: Moment, had: Option<Duration>, settings: &Settings, random: u64) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.failures_permille += (1000 - self.failures_permille).div_ceil(MEAN_PART);
        let was_closed = self.breaker.is_closed();
        self.breaker.failed(now, random);
        (self.tried, self.well, self.suspicion) = (Some(now), None, None);
        let opened = was_closed && !self.breaker.is_closed();
        if let Some(had) = had.filter(|_| opened) {
            self.lose(had, settings);
        }
    }

    pub fn abandoned(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.breaker.abandoned();
    }

    pub fn strike(&mut self) {
        self.struck = true;
    }

    /// Takes in that it failed after it had the turn for so long.
    fn lose(&mut self, had: Duration, settings: &Settings) {
        let soon = had < settings.settle_time.saturating_mul(SOON);
        let longer = self.settle.saturating_mul(2).min(settings.settle_max);
        self.settle = if soon { longer } else { settings.settle_time };
    }

    pub fn heard(&mut self, now: Moment, settings: suspicion::Settings) {
        match &mut self.suspicion {
            Some(suspicion) => suspicion.heard(now),
            none => *none = Some(Suspicion::new(settings, now)),
        }
    }

    /// Takes in that it lost the turn: its signs of life may end with that. `suspected` is how long it had the turn, where it lost it for its silence:
    /// what it answered before that counts no more.
    pub fn leave(&mut self, now: Moment, suspected: Option<Duration>, settings: &Settings) {
        (self.left, self.suspicion) = (Some(now), None);
        if let Some(had) = suspected {
            (self.well, self.tried) = (None, Some(now));
            self.lose(had, settings);
        }
    }

    /// Lets a question through its breaker, and tells whether it may be asked.
    pub fn probe(&mut self, now: Moment) -> bool {
        let admitted = self.breaker.admit(now);
        if admitted {
            self.tried = Some(now);
        }
        admitted
    }

    pub fn admits(&self, now: Moment) -> bool {
        !self.struck && self.breaker.admits(now)
    }

    pub fn is_struck(&self) -> bool {
        self.struck
    }

    pub fn is_closed(&self) -> bool {
        !self.struck && self.breaker.is_closed()
    }

    pub fn is_on_trial(&self, now: Moment) -> bool {
        !self.struck && !self.breaker.admits(now) && matches!(self.breaker.state(), breaker::State::HalfOpen { .. })
    }

    /// Returns when its breaker lets a question through: at the beginning of time where it lets through everything.
    pub fn opens(&self) -> Moment {
        self.breaker.due()
    }

    pub fn phi(&self, now: Moment) -> f64 {
        self.suspicion.as_ref().map_or(0.0, |suspicion| suspicion.phi(now))
    }

    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub fn is_draining(&self, now: Moment, drain_time: Duration) -> bool {
        self.in_flight > 0 && self.left.is_some_and(|left| now.since(left) < drain_time)
    }

    pub fn settle(&self) -> Duration {
        self.settle
    }

    /// Returns how long answers have come without a failure between them, nothing where the last did not come lately.
    pub fn was_well_for(&self, now: Moment, lately: Duration) -> Duration {
        let well = self.well.filter(|(_, last)| now.since(*last) <= lately);
        well.map_or(Duration::ZERO, |(first, last)| last.since(first))
    }

    /// Returns when it may be tried: when its breaker lets a question through, or an interval after the last time.
    pub fn probe_due(&self, interval: Duration) -> Moment {
        let after = self.tried.map_or(Moment::default(), |tried| tried.after(interval));
        if self.breaker.is_closed() { after } else { self.breaker.due() }
    }

    pub fn latency(&self) -> Duration {
        self.latency.unwrap_or(UNKNOWN)
    }

    /// Returns how many of 1,000 questions are answered, at least one.
    pub fn answered_permille(&self) -> u64 {
        (1000 - self.failures_permille).max(1)
    }

    /// Returns how long an answer takes, with failures and silence counted in: a question that fails is asked again, and one to somebody who is
    /// suspected waits.
    pub fn cost(&self, now: Moment) -> Duration {
        let again = self.latency() * 1000 / u32::try_from(self.answered_permille()).expect("at most 1,000");
        again.mul_f64(1.0 + self.phi(now).min(100.0))
    }

    pub fn view(&self, now: Moment) -> HealthView {
        HealthView {
            breaker: self.breaker.state(),
            latency: self.latency,
            failures_permille: u32::try_from(self.failures_permille).expect("at most 1,000"),
            phi: self.phi(now),
            in_flight: self.in_flight,
        }
    }
}
