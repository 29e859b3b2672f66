//! Connections simulated second by second: shares come at random, from a seed.

use super::*;
use std::collections::VecDeque;

/// How long a slice is, and how often the difficulty is asked for.
const SLICE_MS: u64 = 5_000;
const SLICES_MAX: usize = 32;

/// A connection whose miner has a constant hash rate.
struct Connection {
    /// Hashes a millisecond, with 16 binary digits behind the point.
    rate_q16: u128,
    state: u64,
    history: WorkHistory,
    slices: VecDeque<WorkSlice>,
}

impl Connection {
    /// `fit_q16` is the ratio of the miner's rate to the one that `log2` fits at the standard pace, with 16 binary digits behind the point.
    fn new(log2: u8, fit_q16: u128, seed: u64) -> Self {
        let difficulty = ShareDifficulty::from_log2_hashes(log2);
        let history =
            WorkHistory { difficulty, least: ShareDifficulty::MIN, greatest: ShareDifficulty::MAX, slices: Vec::new() };
        Self {
            rate_q16: u128::from(difficulty.work()) * 20 * fit_q16 / 60_000,
            state: seed,
            history,
            slices: VecDeque::new(),
        }
    }

    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Lets a slice pass, a millisecond at a time. Returns its shares.
    fn mine(&mut self) -> u64 {
        let chance = u64::try_from((self.rate_q16 << 16) / u128::from(self.history.difficulty.work())).unwrap();
        let mut shares = 0;
        for _ in 0..SLICE_MS {
            shares += (chance >> 32) + u64::from(self.random() >> 32 < chance & 0xffff_ffff);
        }
        let work = shares * self.history.difficulty.work();
        self.slices.push_front(WorkSlice { length_ms: SLICE_MS, shares, work });
        self.slices.truncate(SLICES_MAX);
        shares
    }

    /// Asks for the difficulty. Tells whether it changed.
    fn retarget(&mut self) -> bool {
        self.history.slices = self.slices.iter().copied().collect();
        let next = Pace::STANDARD.difficulty(&self.history);
        std::mem::replace(&mut self.history.difficulty, next) != next
    }

    /// The shares a minute that the miner sends at its difficulty, in thousandths, over a long time.
    fn pace_thousandths(&self) -> u64 {
        let hashes = (self.rate_q16 * 60_000 * 1_000) >> 16;
        u64::try_from(hashes / u128::from(self.history.difficulty.work())).unwrap()
    }
}

/// Starts 1,000 connections `fit_q16` off. Returns how many are within three times the pace after a minute, and after two.
fn settled(name: &str, fit_q16: u128) -> (usize, usize) {
    let (mut after_one, mut after_two) = (Vec::new(), Vec::new());
    for seed in 0..1_000 {
        let mut connection = Connection::new(36, fit_q16, seed);
        for slice in 1..=(120_000 / SLICE_MS) {
            connection.mine();
            connection.retarget();
            if slice == 60_000 / SLICE_MS {
                after_one.push(connection.pace_thousandths());
            }
        }
        after_two.push(connection.pace_thousandths());
    }
    let near = |paces: &[u64]| paces.iter().filter(|pace| (20_000 / 3..=20_000 * 3).contains(*pace)).count();
    let span = |paces: &[u64]| format!("{:?} to {:?}", paces.iter().min(), paces.iter().max());
    println!(
        "{name}: {} of 1,000 within three times the pace after a minute ({}), {} after two ({}), thousandths of a share a minute",
        near(&after_one),
        span(&after_one),
        near(&after_two),
        span(&after_two)
    );
    (near(&after_one), near(&after_two))
}

#[test]
fn a_start_1000_times_too_low_settles_within_a_minute() {
    assert_eq!(settled("1,000 × too low", 1_000 << 16), (1_000, 1_000));
}

#[test]
fn a_start_1000_times_too_high_settles_within_a_minute() {
    let (one, two) = settled("1,000 × too high", (1 << 16) / 1_000);
    assert!(one >= 900 && two >= 990, "{one} and {two}");
}

#[test]
fn a_steady_miners_difficulty_rarely_changes() {
    let (mut asked, mut changed, mut off) = (0u64, 0u64, 0u64);
    let (mut slowest, mut fastest) = (u64::MAX, 0);
    for seed in 0..60 {
        // Rates all over the octave between two difficulties, and two hours of each after ten minutes to settle.
        let fit = (1u128 << 16) * (100 + u128::from(seed) * 5 / 3) / 100;
        let mut connection = Connection::new(40, fit, 1_000 + seed);
        for slice in 0..(130 * 60_000 / SLICE_MS) {
            connection.mine();
            let moved = connection.retarget();
            if slice >= 10 * 60_000 / SLICE_MS {
                asked += 1;
                changed += u64::from(moved);
                let pace = connection.pace_thousandths();
                off += u64::from(!(10_000..=40_000).contains(&pace));
                (slowest, fastest) = (slowest.min(pace), fastest.max(pace));
            }
        }
    }
    println!(
        "steady: {changed} changes in {asked}; {off} times more than twice off; {slowest} to {fastest} thousandths of a share a minute"
    );
    assert!(changed * 300 < asked && off * 100 < asked, "{changed} changes, {off} times off, in {asked}");
    assert!(slowest >= 2_500 && fastest <= 160_000, "{slowest} to {fastest}");
}

#[track_caller]
fn check(history: &WorkHistory, want: u8) {
    assert_eq!(Pace::STANDARD.difficulty(history).to_log2_hashes(), want);
}

fn history(slices: &[(u64, u64)]) -> WorkHistory {
    let difficulty = ShareDifficulty::from_log2_hashes(32);
    let slice = |(length_ms, shares): &(u64, u64)| WorkSlice {
        length_ms: *length_ms,
        shares: *shares,
        work: shares.saturating_mul(difficulty.work()),
    };
    WorkHistory {
        difficulty,
        least: ShareDifficulty::MIN,
        greatest: ShareDifficulty::MAX,
        slices: slices.iter().map(slice).collect(),
    }
}

#[test]
fn nothing_known_changes_nothing() {
    check(&history(&[]), 32);
    check(&history(&[(0, 0)]), 32);
}

#[test]
fn a_miner_at_the_pace_keeps_its_difficulty() {
    check(&history(&[(60_000, 20)]), 32);
    check(&history(&[(60_000, 12), (60_000, 33)]), 32);
}

#[test]
fn no_share_at_all_lowers_the_difficulty() {
    check(&history(&[(5_000, 0)]), 32);
    check(&history(&[(30_000, 0)]), 29);
    check(&history(&[(600_000, 0)]), 25);
}

#[test]
fn a_flood_raises_it_at_once() {
    check(&history(&[(1_000, 333)]), 39);
}

#[test]
fn bounds_hold_and_a_blocks_difficulty_comes_first() {
    let mut flood = history(&[(1_000, 333)]);
    flood.greatest = ShareDifficulty::from_log2_hashes(35);
    check(&flood, 35);
    let mut silent = history(&[(600_000, 0)]);
    silent.least = ShareDifficulty::from_log2_hashes(30);
    check(&silent, 30);
    silent.greatest = ShareDifficulty::from_log2_hashes(5);
    check(&silent, 5);
}

proptest::proptest! {
    #[test]
    fn no_history_is_too_strange(log2 in 0u8..=62, slices: Vec<(u64, u64, u64)>) {
        let slices = slices.into_iter().map(|(length_ms, shares, work)| WorkSlice { length_ms, shares, work }).collect();
        let difficulty = ShareDifficulty::from_log2_hashes(log2);
        let history = WorkHistory { difficulty, least: ShareDifficulty::MIN, greatest: ShareDifficulty::MAX, slices };
        Pace::STANDARD.difficulty(&history);
    }
}
