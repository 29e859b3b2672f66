//! Which of several upstreams has the turn: nodes behind a pool, pools of a miner, peers that answer the same questions.
//!
//! It is told what every upstream did (answered in a time, failed, gave a sign of life), and says who is to be asked, who is to be tried meanwhile, and
//! why the turn went elsewhere. An upstream that fails is left alone by its breaker; it gets the turn back by itself once it has been well for long
//! enough, and longer each time that it failed soon after. It asks nobody itself, and knows upstreams by their number in the list.
//!
//! Reading order: this file is what it is told and what it says; `health` what is kept of one upstream; `order` who is preferred.

mod health;
mod order;

#[cfg(test)]
mod tests;

use super::breaker;
use super::suspicion;
use crate::id::Moment;
use crate::random::Random;
use health::Health;
use std::fmt;
use std::time::Duration;

/// How the turn goes from one upstream to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailoverStrategy {
    /// The first of the list that is well. The first failure gives the turn to the next at once.
    Immediate,
    /// The first of the list that is well. It takes failures in a row to lose the turn, and nothing is taken from an upstream before what it was asked
    /// is answered.
    Graceful,
    /// Everybody in turn, as often as its weight and its health say.
    Weighted,
    /// Those of the configured region first, then whoever is near by measured latency.
    Geographic,
    /// Whoever answers fastest, with failures and silence counted as slowness.
    Adaptive,
}

/// An upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// For people.
    pub name: String,
    /// How often it gets the turn beside others, by [`FailoverStrategy::Weighted`]. At least one.
    pub weight: u32,
    /// Where it is, by the operator's names.
    pub region: Option<String>,
}

/// When the turn changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub strategy: FailoverStrategy,
    /// Where this node is.
    pub region: Option<String>,
    /// When an upstream is left alone. By [`FailoverStrategy::Immediate`] the first failure is enough.
    pub breaker: breaker::Settings,
    /// How long an upstream must have been well, and preferred, before it takes the turn from one that is well too.
    pub settle_time: Duration,
    /// The same for one that has lost the turn again and again soon after it got it: the time doubles up to this.
    pub settle_max: Duration,
    /// Between two tries of an upstream that is well and has not the turn.
    pub probe_interval: Duration,
    /// By how many percent another must be faster to be preferred for that.
    pub margin_percent: u64,
    /// How long an upstream that loses the turn has for what it was asked.
    pub drain_time: Duration,
    /// An upstream suspected more strongly counts as failed ([`super::Suspicion::phi`]).
    pub phi_max: f64,
    /// Signs of life, where an upstream gives them regularly.
    pub heartbeat: suspicion::Settings,
}

/// The upstream to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    pub member: usize,
    /// Set where the turn has just changed. By [`FailoverStrategy::Weighted`], where that is the rule, only where nobody was well.
    pub moved: Option<Move>,
}

/// That the turn went from one upstream to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// `None` for the first turn, and after nobody had it.
    pub from: Option<usize>,
    pub to: usize,
    pub why: Why,
}

/// Why the turn changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// Nobody had it.
    First,
    /// The one before failed.
    Failed,
    /// The one before gave no sign of life for too long.
    Suspected,
    /// One that is preferred is well again.
    Recovered,
    /// Another is faster.
    Faster,
}

/// What is known of an upstream, for people and metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HealthView {
    pub breaker: breaker::State,
    /// A running mean of the time that answers took; none before the first.
    pub latency: Option<Duration>,
    /// A running mean of how many of 1,000 questions failed.
    pub failures_permille: u32,
    /// Nothing where it gives no signs of life.
    pub phi: f64,
    pub in_flight: u32,
}

/// Who has the turn.
#[derive(Debug, Clone)]
pub struct Failover {
    settings: Settings,
    members: Vec<Member>,
    health: Vec<Health>,
    current: Option<usize>,
    /// Since when `current` has the turn.
    since: Moment,
    /// Who is preferred to `current`, and since when.
    rival: Option<(usize, Moment)>,
    random: Random,
}

impl Failover {
    /// Begins with nobody's turn. There must be a member.
    pub fn new(mut settings: Settings, members: Vec<Member>, seed: u64, now: Moment) -> Self {
        if settings.strategy == FailoverStrategy::Immediate {
            settings.breaker.failures_max = 1;
        }
        let health = members.iter().map(|_| Health::new(&settings)).collect();
        Self { settings, members, health, current: None, since: now, rival: None, random: Random::new(seed) }
    }

    /// Returns the upstreams, in the order of their numbers.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Returns who has the turn, without changing it.
    pub fn current(&self) -> Option<usize> {
        self.current
    }

    /// Says who is to be asked now, `None` while nobody may be ([`Failover::due`]). To be asked before every question by
    /// [`FailoverStrategy::Weighted`], else whenever something was told.
    pub fn pick(&mut self, now: Moment) -> Option<Turn> {
        if self.settings.strategy == FailoverStrategy::Weighted
            && let Some(member) = self.weighted(now)
        {
            self.current = Some(member);
            return Some(Turn { member, moved: None });
        }
        let moved = match self.current.filter(|current| self.is_well(now, *current)) {
            Some(current) => self.preferred(now, current),
            None => Some(self.fallback(now)?),
        };
        if let Some(Move { from, to, why }) = moved {
            if let Some(from) = from.filter(|from| *from != to) {
                let had = now.since(self.since);
                self.health[from].leave(now, (why == Why::Suspected).then_some(had), &self.settings);
            }
            (self.current, self.since, self.rival) = (Some(to), now, None);
        }
        // Who keeps the turn after a failure, for want of others, has not moved.
        let moved = moved.filter(|moved| moved.from != Some(moved.to));
        self.current.map(|member| Turn { member, moved })
    }

    /// Says whom to try now, beside the one that has the turn: whoever failed, when its breaker lets a question through, and whoever would be preferred.
    /// What comes of it is told by [`Failover::answered`] or [`Failover::failed`].
    pub fn probe(&mut self, now: Moment) -> Option<usize> {
        let due = (0..self.members.len()).find(|member| self.wants_probe(*member) && self.probe_due(*member) <= now)?;
        self.health[due].probe(now).then_some(due)
    }

    /// Returns when somebody is to be tried, or to be asked again after nobody could be. Signs of life that stop are seen by asking
    /// [`Failover::pick`] now and then.
    pub fn due(&self) -> Option<Moment> {
        let probes = (0..self.members.len()).filter(|member| self.wants_probe(*member));
        probes.map(|member| self.probe_due(member)).min()
    }

    /// Takes in that an upstream is asked something that has no answer yet.
    pub fn began(&mut self, member: usize) {
        self.health[member].began();
    }

    /// Takes in an answer, `took` after the question; `None` where it waited for news, and how long it took says nothing of the upstream. Signs of life
    /// that nobody asked for are [`Failover::heard`].
    pub fn answered(&mut self, now: Moment, member: usize, took: Option<Duration>) {
        let lately = self.lately();
        self.health[member].answered(now, took, lately);
    }

    /// Takes in that a question was not answered, or a connection was lost.
    pub fn failed(&mut self, now: Moment, member: usize) {
        let had = (self.current == Some(member)).then(|| now.since(self.since));
        let random = self.random.bits();
        self.health[member].failed(now, had, &self.settings, random);
    }

    /// Takes in that nobody waits for an answer any more: nothing is known by that, and another question may be let through.
    pub fn abandoned(&mut self, member: usize) {
        self.health[member].abandoned();
    }

    /// Takes in that an upstream is of no use, and never will be: it keeps another chain. It is not asked again.
    pub fn strike(&mut self, member: usize) {
        self.health[member].strike();
    }

    /// Takes in a sign of life that comes at regular times while a connection stands: a template, a job, an answer to a ping.
    pub fn heard(&mut self, now: Moment, member: usize) {
        self.health[member].heard(now, self.settings.heartbeat);
    }

    /// Tells whether an upstream that lost the turn still owes answers that are worth waiting for: its connection is kept that long.
    pub fn is_draining(&self, now: Moment, member: usize) -> bool {
        self.current != Some(member) && self.health[member].is_draining(now, self.settings.drain_time)
    }

    /// Returns what is known of an upstream.
    pub fn view(&self, now: Moment, member: usize) -> HealthView {
        self.health[member].view(now)
    }

    /// Tells whether an upstream may have the turn.
    pub fn is_well(&self, now: Moment, member: usize) -> bool {
        self.health[member].is_closed() && !self.is_suspected(now, member)
    }

    /// Tells whether an upstream that failed was let one question, which has no answer yet.
    pub fn is_on_trial(&self, now: Moment, member: usize) -> bool {
        self.health[member].is_on_trial(now)
    }

    /// Returns whose breaker lets the next question through, the first of the list among those that let through everything: for a question that cannot
    /// wait, while [`Failover::pick`] gives nobody. `None` where all are struck.
    pub fn soonest(&self) -> Option<usize> {
        let asked = (0..self.members.len()).filter(|member| !self.health[*member].is_struck());
        asked.min_by_key(|member| self.health[*member].opens())
    }

    fn is_suspected(&self, now: Moment, member: usize) -> bool {
        self.health[member].phi(now) > self.settings.phi_max
    }

    /// How far apart answers may be that show that an upstream has been well.
    fn lately(&self) -> Duration {
        self.settings.probe_interval.saturating_mul(2)
    }

    /// Finds somebody where the one that has the turn is not well: the best of those that are, else one that may be tried again.
    fn fallback(&mut self, now: Moment) -> Option<Move> {
        let from = self.current;
        let well = self.best(now, |member| Some(member) != from && self.is_well(now, member));
        let to = match well {
            Some(to) => to,
            None => {
                let open = self.best(now, |member| self.health[member].admits(now))?;
                self.health[open].probe(now);
                open
            }
        };
        let why = match from {
            None => Why::First,
            Some(from) if self.health[from].is_closed() && self.is_suspected(now, from) => Why::Suspected,
            Some(_) => Why::Failed,
        };
        Some(Move { from, to, why })
    }

    /// Finds somebody who is to take the turn from one that is well.
    fn preferred(&mut self, now: Moment, current: usize) -> Option<Move> {
        let rival = self
            .best(now, |member| member != current && self.is_well(now, member) && self.is_better(now, member, current));
        let Some(to) = rival else {
            self.rival = None;
            return None;
        };
        let since = match self.rival {
            Some((rival, since)) if rival == to => since,
            _ => now,
        };
        self.rival = Some((to, since));
        let settle = self.health[to].settle();
        let well_for = self.health[to].was_well_for(now, self.lately());
        let settled = well_for >= settle && now.since(since) >= self.settings.settle_time;
        // Whoever still owes answers keeps the turn for them, within bounds.
        let patient = self.settings.strategy == FailoverStrategy::Graceful && self.health[current].in_flight() > 0;
        let bound = self.settings.settle_time.saturating_add(self.settings.drain_time);
        if !settled || patient && now.since(since) < bound {
            return None;
        }
        let by_list = matches!(self.settings.strategy, FailoverStrategy::Immediate | FailoverStrategy::Graceful);
        let why = if by_list || !self.is_faster_reason(current, to) { Why::Recovered } else { Why::Faster };
        Some(Move { from: Some(current), to, why })
    }
}

impl FailoverStrategy {
    /// Every strategy.
    pub const ALL: [Self; 5] = [Self::Immediate, Self::Graceful, Self::Weighted, Self::Geographic, Self::Adaptive];

    /// Returns its name in settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Immediate => "immediate",
            Self::Graceful => "graceful",
            Self::Weighted => "weighted",
            Self::Geographic => "geographic",
            Self::Adaptive => "adaptive",
        }
    }

    /// Returns the strategy of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.name() == name)
    }
}

impl fmt::Display for FailoverStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "nobody had the turn",
            Self::Failed => "the one before failed",
            Self::Suspected => "the one before gave no sign of life",
            Self::Recovered => "it is preferred and well again",
            Self::Faster => "it is faster",
        })
    }
}

impl Settings {
    /// The values that hold where an operator asks for no others.
    pub const fn standard(strategy: FailoverStrategy) -> Self {
        const fn seconds(seconds: u64) -> Duration {
            Duration::from_secs(seconds)
        }
        Self {
            strategy,
            region: None,
            breaker: breaker::Settings {
                failures_max: 3,
                open: super::Backoff { first: seconds(1), max: seconds(60) },
                probes: 1,
                probe_time: seconds(30),
            },
            settle_time: seconds(30),
            settle_max: seconds(1800),
            probe_interval: seconds(15),
            margin_percent: 25,
            drain_time: seconds(10),
            phi_max: 8.0,
            heartbeat: suspicion::Settings { interval: seconds(30), deviation_min: seconds(3) },
        }
    }
}
