//! When a connection's difficulty is looked at again, and what the share validator is told of its past.
//!
//! Policy is the validator's. Here is only when it is asked, what a connection did in slices of time, and the bounds that its answer is
//! cut to.

use adit_primitives::Timestamp;
use adit_primitives::contract::shares::{ShareDifficulty, WorkHistory, WorkSlice};
use adit_primitives::engine::{Fault, FaultClass, ShareEngine};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The most slices that a validator is shown.
const SLICES_MAX: usize = 32;

/// When connections are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetargetRules {
    /// The length of a slice of the past, in milliseconds.
    pub slice_ms: u64,
    /// Shares after which a connection is looked at without waiting.
    pub shares_due: u64,
    /// The longest time between two looks, in milliseconds: a connection without shares is looked at then.
    pub quiet_ms: u64,
    /// The longest time between two looks at a connection without shares whose difficulty is as low as it gets, in milliseconds: the time doubles up to there.
    pub idle_ms: u64,
}

/// Within which a difficulty has to lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DifficultyBounds {
    /// The least that the server bears.
    pub least: ShareDifficulty,
    /// That of a block. Where it is less than the least, the least holds.
    pub greatest: ShareDifficulty,
}

/// A connection, as its owner numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// What connections have done lately, and when each is looked at.
#[derive(Debug)]
pub struct Retargets {
    rules: RetargetRules,
    connections: BTreeMap<ConnectionId, Past>,
    /// When each connection is looked at next.
    due: BTreeSet<(Timestamp, ConnectionId)>,
}

/// A change that the validator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retargeted {
    pub connection: ConnectionId,
    pub difficulty: ShareDifficulty,
}

#[derive(Debug)]
struct Past {
    difficulty: ShareDifficulty,
    due: Timestamp,
    /// The time between the last look and the next.
    pause_ms: u64,
    shares_since: u64,
    /// When the newest slice began.
    slice_began: Timestamp,
    newest: WorkSlice,
    /// The whole slices before it, the newest first, back to the first with a share.
    older: VecDeque<WorkSlice>,
    /// How many slices without a share came before those.
    empty: usize,
}

impl DifficultyBounds {
    /// Cuts a difficulty to the bounds.
    pub fn cut(self, difficulty: ShareDifficulty) -> ShareDifficulty {
        difficulty.min(self.greatest).max(self.least)
    }
}

impl Retargets {
    /// Begins with no connection.
    pub fn new(rules: RetargetRules) -> Self {
        Self { rules, connections: BTreeMap::new(), due: BTreeSet::new() }
    }

    /// Adds a connection with the difficulty that it starts with.
    pub fn open(&mut self, connection: ConnectionId, difficulty: ShareDifficulty, now: Timestamp) {
        self.close(connection);
        let due = later(now, self.rules.quiet_ms);
        self.due.insert((due, connection));
        let past = Past {
            difficulty,
            due,
            pause_ms: self.rules.quiet_ms,
            shares_since: 0,
            slice_began: now,
            newest: WorkSlice::default(),
            older: VecDeque::new(),
            empty: 0,
        };
        self.connections.insert(connection, past);
    }

    /// Drops a connection.
    pub fn close(&mut self, connection: ConnectionId) {
        if let Some(past) = self.connections.remove(&connection) {
            self.due.remove(&(past.due, connection));
        }
    }

    /// Notes a share that counted.
    pub fn credit(&mut self, connection: ConnectionId, difficulty: ShareDifficulty, now: Timestamp) {
        let Some(past) = self.connections.get_mut(&connection) else { return };
        past.advance(&self.rules, now);
        past.newest.shares += 1;
        past.newest.work = past.newest.work.saturating_add(difficulty.work());
        past.shares_since += 1;
        // Who was looked at ever more rarely is a miner like others again.
        let latest = match past.shares_since == self.rules.shares_due {
            true => now,
            false => later(now, self.rules.quiet_ms),
        };
        if latest < past.due {
            self.due.remove(&(past.due, connection));
            past.due = latest;
            self.due.insert((latest, connection));
        }
    }

    /// Sets a difficulty that did not come from here: a miner's own wish, cut to the bounds.
    pub fn set(&mut self, connection: ConnectionId, difficulty: ShareDifficulty) {
        if let Some(past) = self.connections.get_mut(&connection) {
            past.difficulty = difficulty;
        }
    }

    /// Returns when the next connection is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Asks the validator about the connections that are due, at most `max`; returns those whose difficulty changes. Where it gives no answer
    /// they keep theirs, and are asked about again in their turn.
    pub fn ask(
        &mut self,
        validator: &mut dyn ShareEngine,
        bounds: DifficultyBounds,
        max: usize,
        now: Timestamp,
    ) -> Result<Vec<Retargeted>, Fault> {
        let connections = self.take_due(bounds.least, max, now);
        if connections.is_empty() {
            return Ok(Vec::new());
        }
        let histories: Vec<_> = connections.iter().map(|id| self.history(*id, bounds, now)).collect();
        let answers = validator.retarget(&histories)?;
        if answers.len() != connections.len() {
            let detail = format!("{} answers to {} questions", answers.len(), connections.len());
            let (class, function) = (FaultClass::Plugin, "retarget-many".to_owned());
            return Err(Fault { class, plugin: String::new(), function, detail });
        }
        let changed = connections.into_iter().zip(answers).filter_map(|(connection, answer)| {
            let difficulty = bounds.cut(answer);
            let past = self.connections.get_mut(&connection)?;
            let changed = past.difficulty != difficulty;
            past.difficulty = difficulty;
            changed.then_some(Retargeted { connection, difficulty })
        });
        Ok(changed.collect())
    }

    /// Takes connections whose time has come, and notes when it comes again.
    fn take_due(&mut self, least: ShareDifficulty, max: usize, now: Timestamp) -> Vec<ConnectionId> {
        let mut taken = Vec::new();
        while let Some((due, connection)) =
            self.due.first().copied().filter(|(due, _)| *due <= now && taken.len() < max)
        {
            self.due.remove(&(due, connection));
            let past = self.connections.get_mut(&connection).expect("what is due is a connection");
            let is_idle = past.shares_since == 0 && past.difficulty <= least;
            past.pause_ms = match is_idle {
                true => past.pause_ms.saturating_mul(2).min(self.rules.idle_ms),
                false => self.rules.quiet_ms,
            }
            .max(1);
            past.due = later(now, past.pause_ms);
            past.shares_since = 0;
            self.due.insert((past.due, connection));
            taken.push(connection);
        }
        taken
    }

    fn history(&mut self, connection: ConnectionId, bounds: DifficultyBounds, now: Timestamp) -> WorkHistory {
        let past = self.connections.get_mut(&connection).expect("what is due is a connection");
        past.advance(&self.rules, now);
        let length_ms = now.to_millis().saturating_sub(past.slice_began.to_millis());
        let newest = WorkSlice { length_ms, ..past.newest };
        WorkHistory {
            difficulty: past.difficulty,
            least: bounds.least,
            greatest: bounds.greatest.max(bounds.least),
            slices: std::iter::once(newest).chain(past.before(&self.rules)).take(SLICES_MAX).collect(),
        }
    }
}

impl Past {
    /// Begins new slices until the newest one holds `now`.
    fn advance(&mut self, rules: &RetargetRules, now: Timestamp) {
        let slice_ms = rules.slice_ms.max(1);
        let passed = now.to_millis().saturating_sub(self.slice_began.to_millis()) / slice_ms;
        for _ in 0..passed.min(SLICES_MAX as u64) {
            let whole = WorkSlice { length_ms: slice_ms, ..std::mem::take(&mut self.newest) };
            match whole.shares == 0 && self.older.is_empty() {
                true => self.empty = (self.empty + 1).min(SLICES_MAX),
                false => self.older.push_front(whole),
            }
        }
        self.older.truncate(SLICES_MAX - 1);
        self.slice_began = later(self.slice_began, passed.saturating_mul(slice_ms));
    }

    /// Returns the whole slices, the newest first.
    fn before(&self, rules: &RetargetRules) -> impl Iterator<Item = WorkSlice> {
        let empty = WorkSlice { length_ms: rules.slice_ms.max(1), ..WorkSlice::default() };
        self.older.iter().copied().chain(std::iter::repeat_n(empty, self.empty))
    }
}

fn later(time: Timestamp, by_ms: u64) -> Timestamp {
    Timestamp::from_millis(time.to_millis().saturating_add(by_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use adit_primitives::contract::shares::{Claim, Judgement};

    const RULES: RetargetRules = RetargetRules { slice_ms: 1000, shares_due: 8, quiet_ms: 5000, idle_ms: 15_000 };
    const START: ShareDifficulty = ShareDifficulty::from_log2_hashes(20);
    const BOUNDS: DifficultyBounds = DifficultyBounds {
        least: ShareDifficulty::from_log2_hashes(16),
        greatest: ShareDifficulty::from_log2_hashes(40),
    };
    const ONE: ConnectionId = ConnectionId(1);

    /// Answers one difficulty and keeps what it was asked.
    struct Wish(u8, Vec<WorkHistory>);

    impl ShareEngine for Wish {
        fn judge(&mut self, _: &[Claim]) -> Result<Vec<Judgement>, Fault> {
            unreachable!("only difficulties are asked for")
        }

        fn retarget(&mut self, histories: &[WorkHistory]) -> Result<Vec<ShareDifficulty>, Fault> {
            self.1.extend_from_slice(histories);
            Ok(vec![ShareDifficulty::from_log2_hashes(self.0); histories.len()])
        }
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + ms)
    }

    fn opened() -> Retargets {
        let mut retargets = Retargets::new(RULES);
        retargets.open(ONE, START, at(0));
        retargets
    }

    #[track_caller]
    fn check_asked(retargets: &mut Retargets, wish: u8, now: Timestamp, want: Option<u8>) -> Vec<WorkHistory> {
        let mut validator = Wish(wish, Vec::new());
        let changed = retargets.ask(&mut validator, BOUNDS, 100, now).unwrap();
        let difficulty = changed.first().map(|changed| changed.difficulty.to_log2_hashes());
        assert_eq!(difficulty, want);
        validator.1
    }

    #[test]
    fn a_flood_is_looked_at_at_once_and_silence_in_its_turn() {
        let mut retargets = opened();
        assert_eq!(check_asked(&mut retargets, 30, at(4999), None), []);
        (0..8).for_each(|_| retargets.credit(ONE, START, at(100)));
        let asked = check_asked(&mut retargets, 30, at(100), Some(30));
        assert_eq!(asked[0].slices, [WorkSlice { length_ms: 100, shares: 8, work: 8 << 20 }]);
        assert_eq!(check_asked(&mut retargets, 10, at(5099), None), []);
        let silent = check_asked(&mut retargets, 10, at(5100), Some(16));
        assert_eq!(silent[0].slices.len(), 6);
        assert_eq!(silent[0].slices.iter().map(|slice| slice.length_ms).sum::<u64>(), 5100);
        assert_eq!(silent[0].slices[5].work, 8 << 20);
    }

    #[test]
    fn who_sends_nothing_at_the_least_difficulty_is_looked_at_ever_more_rarely() {
        let mut retargets = Retargets::new(RULES);
        retargets.open(ONE, BOUNDS.least, at(0));
        let mut waits = Vec::new();
        for _ in 0..4 {
            let due = retargets.next_due().unwrap();
            let asked = check_asked(&mut retargets, 16, due, None);
            let told_ms: u64 = asked[0].slices.iter().map(|slice| slice.length_ms).sum();
            assert_eq!(told_ms, (due.to_millis() - at(0).to_millis()).min(31_000), "as much as of others");
            waits.push(retargets.next_due().unwrap().to_millis() - due.to_millis());
        }
        assert_eq!(waits, [10_000, 15_000, 15_000, 15_000]);
        assert!(retargets.connections[&ONE].older.capacity() == 0, "silence takes no memory");
        retargets.credit(ONE, BOUNDS.least, at(46_000));
        assert_eq!(retargets.next_due(), Some(at(51_000)), "a share makes it a miner like others");
        let asked = check_asked(&mut retargets, 16, at(51_000), None);
        assert_eq!((asked[0].slices.len(), asked[0].slices[5].shares), (SLICES_MAX, 1));
        assert_eq!(retargets.next_due(), Some(at(56_000)));
    }

    #[test]
    fn answers_are_cut_to_the_bounds() {
        check_asked(&mut opened(), 0, at(5000), Some(16));
        check_asked(&mut opened(), 62, at(5000), Some(40));
        check_asked(&mut opened(), 20, at(5000), None);
        let crossed = DifficultyBounds { least: BOUNDS.greatest, greatest: BOUNDS.least };
        assert_eq!(crossed.cut(START), BOUNDS.greatest, "what protects the server holds");
    }

    #[test]
    fn a_long_past_is_cut_and_a_closed_connection_is_gone() {
        let mut retargets = opened();
        retargets.credit(ONE, START, at(0));
        let asked = check_asked(&mut retargets, 20, at(1_000_000_000), None);
        assert_eq!(asked[0].slices.len(), SLICES_MAX);
        assert_eq!(asked[0].slices.iter().map(|slice| slice.shares).sum::<u64>(), 0);
        retargets.close(ONE);
        assert_eq!((retargets.next_due(), retargets.connections.len()), (None, 0));
    }
}
