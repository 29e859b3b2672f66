//! Whose turn it is among several upstreams, as the tasks that ask them see it: nodes behind a pool, nodes or pools that a miner works for.
//!
//! It gives the rules of [`Failover`] a clock, writes to the log who has the turn and why, and counts that. It asks nobody: whoever does holds a
//! [`Question`] meanwhile. Nothing here is kept from one start to the next.

use adit_network::Moment;
use adit_network::peers::failover::{self, HealthView, Member};
use adit_network::peers::{Failover, FailoverStrategy, Why};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long somebody keeps the turn by [`FailoverStrategy::Weighted`]: a connection is worth making for it.
const TURN_TIME: Duration = Duration::from_secs(60);

/// How often is asked at least whether signs of life have stopped.
const TICK: Duration = Duration::from_secs(1);

/// The shortest wait: nobody spins, whatever is due.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// Whose turn it is.
pub struct Turns {
    /// What the upstreams are, for people.
    kind: &'static str,
    state: Mutex<State>,
    holder: watch::Sender<Option<usize>>,
    metrics: TurnMetrics,
    /// The time since this was made.
    clock: Box<dyn Fn() -> Duration + Send + Sync>,
}

struct State {
    failover: Failover,
    strategy: FailoverStrategy,
    /// When the turn is passed on by weights.
    until: Moment,
    /// Who had the turn and was well when that was last said, and why the turn went on since.
    told: Option<usize>,
    why: Why,
}

/// What is counted.
#[derive(Debug, Clone, Default)]
pub struct TurnMetrics {
    moves: Family<WhyLabels, Counter>,
    holder: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WhyLabels {
    why: &'static str,
}

/// A question to an upstream that has no answer yet. Dropped without a word, it was abandoned.
pub struct Question<'a> {
    turns: &'a Turns,
    member: usize,
    began: Duration,
    is_told: bool,
}

impl Turns {
    /// Begins with nobody's turn. There must be a member. `kind` says what they are, for people; `seed` differs between processes.
    pub fn new(kind: &'static str, settings: failover::Settings, members: Vec<Member>, seed: u64) -> Self {
        let began = Instant::now();
        Self::by_clock(kind, settings, members, seed, Box::new(move || began.elapsed()))
    }

    fn by_clock(
        kind: &'static str,
        settings: failover::Settings,
        members: Vec<Member>,
        seed: u64,
        clock: Box<dyn Fn() -> Duration + Send + Sync>,
    ) -> Self {
        let strategy = settings.strategy;
        let failover = Failover::new(settings, members, seed, Moment::default());
        let metrics = TurnMetrics::default();
        metrics.holder.set(-1);
        Self {
            kind,
            state: Mutex::new(State { failover, strategy, until: Moment::default(), told: None, why: Why::First }),
            holder: watch::channel(None).0,
            metrics,
            clock,
        }
    }

    /// Says who is to be asked now, `None` while nobody may be.
    pub fn turn(&self) -> Option<usize> {
        let now = self.now();
        let mut state = self.lock();
        let kept = self.holder.borrow().filter(|holder| state.keeps(now, *holder));
        if kept.is_some() {
            return kept;
        }
        let turn = state.failover.pick(now);
        state.until = now.after(TURN_TIME);
        if let Some(turn) = turn {
            let by_weights = state.strategy == FailoverStrategy::Weighted;
            let kept = if by_weights { Why::First } else { state.why };
            state.why = turn.moved.map_or(kept, |moved| moved.why);
            self.tell(now, &mut state, turn.member);
        }
        let holder = turn.map(|turn| turn.member);
        self.metrics.holder.set(holder.map_or(-1, |holder| i64::try_from(holder).unwrap_or(i64::MAX)));
        self.holder.send_if_modified(|before| std::mem::replace(before, holder) != holder);
        holder
    }

    /// Says who is to be asked where an answer cannot wait until somebody may be. `None` where all are struck.
    pub fn turn_or_soonest(&self) -> Option<usize> {
        self.turn().or_else(|| self.lock().failover.soonest())
    }

    /// Waits until somebody has the turn.
    pub async fn next(&self) -> usize {
        let mut changes = self.holder.subscribe();
        loop {
            if let Some(holder) = self.turn() {
                return holder;
            }
            self.wait(&mut changes).await;
        }
    }

    /// Waits until the turn is not `member`'s any more. Meanwhile whoever is to be tried is, by `attempt`, which asks it something without waiting for that
    /// here.
    pub async fn leaves(&self, member: usize, attempt: impl Fn(usize)) {
        let mut changes = self.holder.subscribe();
        while self.turn() == Some(member) {
            self.attempt_due(&attempt);
            self.wait(&mut changes).await;
        }
    }

    /// Has whoever is to be tried now be tried, as by [`Turns::leaves`].
    pub fn attempt_due(&self, attempt: impl Fn(usize)) {
        while let Some(tried) = self.probe() {
            attempt(tried);
        }
    }

    /// Begins a question.
    pub fn ask(&self, member: usize) -> Question<'_> {
        self.lock().failover.began(member);
        Question { turns: self, member, began: (self.clock)(), is_told: false }
    }

    /// Takes in a sign of life that comes at regular times.
    pub fn heard(&self, member: usize) {
        let now = self.now();
        self.lock().failover.heard(now, member);
    }

    /// Takes in that an upstream is never to be asked again.
    pub fn strike(&self, member: usize) {
        self.lock().failover.strike(member);
        self.turn();
    }

    /// Tells whether another upstream might be given the turn instead.
    pub fn has_other(&self, member: usize) -> bool {
        let now = self.now();
        let state = self.lock();
        (0..state.failover.members().len()).any(|other| other != member && state.failover.is_well(now, other))
    }

    /// Returns what is known of an upstream.
    pub fn view(&self, member: usize) -> HealthView {
        let now = self.now();
        self.lock().failover.view(now, member)
    }

    /// Returns what is counted.
    pub fn metrics(&self) -> &TurnMetrics {
        &self.metrics
    }

    fn probe(&self) -> Option<usize> {
        let now = self.now();
        self.lock().failover.probe(now)
    }

    /// Waits until something may be due, or the turn has changed.
    async fn wait(&self, changes: &mut watch::Receiver<Option<usize>>) {
        let due = self.lock().failover.due();
        let wait = due.map_or(TICK, |due| due.since(self.now())).clamp(WAIT_MIN, TICK);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            changed = changes.changed() => changed.expect("its sender is `self`"),
        }
    }

    /// Says who has the turn, where that is new. Whoever is only tried, because nobody is well, is not spoken of before it answers.
    fn tell(&self, now: Moment, state: &mut State, to: usize) {
        let by_weights = state.strategy == FailoverStrategy::Weighted && state.told.is_some();
        if state.told == Some(to) || !state.failover.is_well(now, to) {
            return;
        }
        let from = state.told.replace(to);
        let (why, members) = (state.why, state.failover.members());
        // By weights the turn goes round: that is the rule, and no news.
        if by_weights && why == Why::First {
            return;
        }
        self.metrics.moves.get_or_create(&WhyLabels { why: name(why) }).inc();
        let (to, from) = (members[to].name.as_str(), from.map(|from| members[from].name.as_str()));
        match why {
            _ if members.len() == 1 => tracing::debug!(to, "the only {} has the turn", self.kind),
            Why::Failed | Why::Suspected => tracing::warn!(to, from, %why, "another {} has the turn", self.kind),
            Why::First | Why::Recovered | Why::Faster => {
                tracing::info!(to, from, %why, "another {} has the turn", self.kind);
            }
        }
    }

    fn now(&self) -> Moment {
        Moment::default().after((self.clock)())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Tells whether whoever has the turn keeps it without being compared with others: while its one question after a failure is on its way, and for its time
    /// by weights.
    fn keeps(&self, now: Moment, holder: usize) -> bool {
        let by_weights = self.strategy == FailoverStrategy::Weighted;
        let has_time = by_weights && now < self.until && self.failover.is_well(now, holder);
        has_time || self.failover.is_on_trial(now, holder)
    }
}

impl Question<'_> {
    /// Takes in the answer.
    pub fn answered(self) {
        let took = (self.turns.clock)().saturating_sub(self.began);
        self.end(|failover, now, member| failover.answered(now, member, Some(took)));
    }

    /// Takes in the answer to a question that waited for news.
    pub fn had_news(self) {
        self.end(|failover, now, member| {
            failover.heard(now, member);
            failover.answered(now, member, None);
        });
    }

    /// Takes in that there is no answer that can be used.
    pub fn failed(self) {
        self.end(|failover, now, member| failover.failed(now, member));
    }

    fn end(mut self, told: impl FnOnce(&mut Failover, Moment, usize)) {
        self.is_told = true;
        let now = self.turns.now();
        told(&mut self.turns.lock().failover, now, self.member);
        self.turns.turn();
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        if !self.is_told {
            self.turns.lock().failover.abandoned(self.member);
        }
    }
}

impl TurnMetrics {
    /// Registers them. The names begin with what the registry's do.
    pub fn register(&self, registry: &mut Registry) {
        let moves = "Times that the turn went to another upstream, by reason";
        registry.register("upstream_moves", moves, self.moves.clone());
        let turn = "Which upstream of the list has the turn, from 0; -1 while none has";
        registry.register("upstream_turn", turn, self.holder.clone());
    }
}

/// Returns the reason as a label.
const fn name(why: Why) -> &'static str {
    match why {
        Why::First => "first",
        Why::Failed => "failed",
        Why::Suspected => "suspected",
        Why::Recovered => "recovered",
        Why::Faster => "faster",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Turns of members with these weights, and the milliseconds that their clock shows.
    fn turns(strategy: FailoverStrategy, weights: &[u32]) -> (Turns, Arc<AtomicU64>) {
        let millis = Arc::new(AtomicU64::new(0));
        let shown = Arc::clone(&millis);
        let clock = Box::new(move || Duration::from_millis(shown.load(Ordering::Relaxed)));
        let member = |weight: &u32| Member { name: "upstream".to_owned(), weight: *weight, region: None };
        let members = weights.iter().map(member).collect();
        (Turns::by_clock("upstream", failover::Settings::standard(strategy), members, 1, clock), millis)
    }

    fn pass(millis: &AtomicU64, time: Duration) {
        millis.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }

    fn counted(turns: &Turns) -> String {
        let mut registry = Registry::default();
        turns.metrics().register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn by_weights_the_turn_lasts_a_minute_and_is_no_news() {
        let (turns, millis) = turns(FailoverStrategy::Weighted, &[2, 1]);
        let mut held = Vec::new();
        for _ in 0..6 {
            let holder = turns.turn().unwrap();
            pass(&millis, TURN_TIME - Duration::from_millis(1));
            assert_eq!(turns.turn(), Some(holder), "its minute is not over");
            pass(&millis, Duration::from_millis(1));
            held.push(holder);
        }
        assert_eq!(held, [0, 1, 0, 0, 1, 0]);
        assert!(counted(&turns).contains("upstream_moves_total{why=\"first\"} 1"), "{}", counted(&turns));
    }

    #[test]
    fn whoever_is_only_tried_is_not_said_to_have_the_turn_before_it_answers() {
        let (turns, millis) = turns(FailoverStrategy::Immediate, &[1, 1]);
        turns.ask(turns.turn().unwrap()).answered();
        for _ in 0..50 {
            if let Some(holder) = turns.turn() {
                turns.ask(holder).failed();
            }
            pass(&millis, Duration::from_secs(7));
        }
        // The second was thought to be well until it was asked.
        assert!(counted(&turns).contains("upstream_moves_total{why=\"failed\"} 1"), "{}", counted(&turns));
        pass(&millis, Duration::from_secs(120));
        let holder = turns.turn().unwrap();
        turns.ask(holder).answered();
        assert_eq!(turns.turn(), Some(holder));
        assert!(counted(&turns).contains(&format!("upstream_turn {holder}")), "{}", counted(&turns));
    }

    #[test]
    fn who_falls_silent_loses_the_turn_though_no_question_failed() {
        let (turns, millis) = turns(FailoverStrategy::Immediate, &[1, 1]);
        for _ in 0..30 {
            turns.heard(0);
            assert_eq!(turns.turn(), Some(0));
            pass(&millis, Duration::from_secs(30));
        }
        pass(&millis, Duration::from_secs(60));
        assert_eq!(turns.turn(), Some(1));
        assert!(counted(&turns).contains("upstream_moves_total{why=\"suspected\"} 1"), "{}", counted(&turns));
    }
}
