//! Variable difficulty: a forecast of a connection's hash rate, and the difficulty at which it sends shares at a set pace.
//!
//! Shares come at random, so a count says little about a rate: of a miner who sends 20 a minute, one minute in thirty shows fewer than 13 or more than 28.
//! The forecast is a Gamma posterior over the ratio of the true rate to the one that the current difficulty fits. Its prior is worth two
//! shares at that rate. It is over the newest slices, back to where they speak most strongly for a change; what came before the change is
//! forgotten.
//!
//! The difficulty stays while the rate may well be within a factor of 3/2 of the pace: it changes only where slices would be that far off by
//! chance less than once in 2^[`EVIDENCE_BITS`] times (Chernoff's bound on a Poisson count), and then goes to the forecast at
//! once, however far. A connection that has sent hardly any share yet needs less: nothing speaks for the difficulty that it was given.
//!
//! # What it does
//! Simulated at 20 shares a minute, slices of 5 seconds, asked after each (`cargo test -p adit-plugin-sdk pace -- --nocapture` prints it):
//!
//! | | |
//! |---|---|
//! | a start 1,000 times too low | all of 1,000 connections within three times the pace after a minute |
//! | a start 1,000 times too high | 930 of 1,000 after a minute, 999 after two |
//! | steady miners, 120 hours of them, at rates all over an octave | the difficulty changes at 0.19 % of the questions (once in 43 minutes); 0.19 % of them find it more than twice off; at worst 4 and 81 shares a minute |

use crate::ConfigError;
use crate::common::fixed::{LOG2_E_Q16, ONE_Q16, log2_q16};
use adit_primitives::contract::shares::{ShareDifficulty, WorkHistory, WorkSlice};

/// How sure a change has to be, as the base-two logarithm of the odds.
pub const EVIDENCE_BITS: i64 = 7;

/// How sure it has to be while fewer than [`SHARES_FIRST`] shares have come, and little speaks for the difficulty that the connection has.
pub const EVIDENCE_BITS_FIRST: i64 = 3;

/// The shares that make a connection known.
pub const SHARES_FIRST: u64 = 12;

/// The shares that the prior is worth.
const PRIOR_SHARES: i64 = 2;

/// How far the rate of shares may be from the pace before the difficulty changes, with 16 binary digits behind the point.
const TOLERANCE: i64 = ONE_Q16 * 3 / 2;

/// The longest slice and the most shares in one that count: beyond them nothing new is learnt, and sums fit their numbers.
const LENGTH_MS_MAX: u64 = 1 << 24;
const SHARES_MAX: u64 = 1 << 24;

/// At what pace a connection should send shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Shares a minute.
    shares_per_minute: u32,
}

impl Pace {
    /// What pools of the field aim at: every three seconds.
    pub const STANDARD: Self = Self { shares_per_minute: 20 };
    /// The slowest pace, in shares a minute.
    pub const MIN: u32 = 1;
    /// The fastest pace, in shares a minute.
    pub const MAX: u32 = 600;

    /// Takes a pace in shares a minute, and refuses one out of its bounds by the name of the key that it came from.
    pub fn from_shares_per_minute(shares_per_minute: u32, key: &str) -> Result<Self, ConfigError> {
        match (Self::MIN..=Self::MAX).contains(&shares_per_minute) {
            true => Ok(Self { shares_per_minute }),
            false => {
                let detail = format!("{shares_per_minute} is not between {} and {}", Self::MIN, Self::MAX);
                Err(ConfigError::new(key, detail))
            }
        }
    }

    /// Returns the difficulty for the next shares of a connection, within the history's bounds.
    pub fn difficulty(self, history: &WorkHistory) -> ShareDifficulty {
        let shares = history.slices.iter().fold(0u64, |sum, slice| sum.saturating_add(slice.shares));
        let wanted = ONE_Q16 * if shares < SHARES_FIRST { EVIDENCE_BITS_FIRST } else { EVIDENCE_BITS };
        let steps = self.strongest(history).filter(|found| found.bits > wanted).map_or(0, Evidence::steps);
        let log2 = (i64::from(history.difficulty.to_log2_hashes()) + steps).clamp(0, 62);
        let next = ShareDifficulty::from_log2_hashes(u8::try_from(log2).expect("62 at most"));
        next.max(history.least).min(history.greatest)
    }

    /// Returns what speaks most strongly for a change: the newest slices, back to where that is strongest.
    fn strongest(self, history: &WorkHistory) -> Option<Evidence> {
        let mut evidence = Evidence { shares: 0, expected: 0, bits: 0 };
        let mut strongest: Option<Evidence> = None;
        for (slice, ease) in history.slices.iter().zip(eases(history)) {
            let length_ms = i64::try_from(slice.length_ms.min(LENGTH_MS_MAX)).expect("24 bits");
            evidence.shares += i64::try_from(slice.shares.min(SHARES_MAX)).expect("24 bits");
            let expected = i128::from(ease) * i128::from(length_ms) * i128::from(self.shares_per_minute) / 60_000;
            evidence.expected += i64::try_from(expected.min(EXPECTED_MAX)).expect("40 bits");
            evidence.weigh();
            if strongest.is_none_or(|strongest| evidence.bits > strongest.bits) {
                strongest = Some(evidence);
            }
        }
        strongest
    }
}

/// The most shares that a slice is expected to bring, with 16 binary digits behind the point: beyond it nothing new is learnt.
const EXPECTED_MAX: i128 = 1 << 40;

/// The greatest ratio of difficulties that counts, with 16 binary digits behind the point.
const EASE_MAX: u128 = 1 << 48;

/// What some slices say together.
#[derive(Debug, Clone, Copy)]
struct Evidence {
    /// The shares that came.
    shares: i64,
    /// The shares that would have come at the pace, with 16 binary digits behind the point.
    expected: i64,
    /// How unlikely that is while the rate is within tolerance: the base-two logarithm of the odds, with 16 binary digits behind the point.
    bits: i64,
}

impl Evidence {
    /// Computes the odds: the Poisson deviance from the nearer end of what is tolerated.
    fn weigh(&mut self) {
        let came = self.shares * ONE_Q16;
        let bound = match (times(self.expected, TOLERANCE, ONE_Q16), times(self.expected, ONE_Q16, TOLERANCE)) {
            (most, _) if came > most => most,
            (_, least) if came < least => least,
            _ => {
                self.bits = 0;
                return;
            }
        };
        let log = |number: i64| log2_q16(u128::try_from(number).unwrap_or(0));
        let surprise = if self.shares == 0 { 0 } else { self.shares * (log(came) - log(bound.max(1))) };
        let surplus = i128::from(came - bound) * i128::from(LOG2_E_Q16) / i128::from(ONE_Q16);
        self.bits = surprise - i64::try_from(surplus).expect("as small as the numbers of shares");
    }

    /// Returns how many times the difficulty should double: the posterior's mean in whole powers of two.
    fn steps(self) -> i64 {
        let log = |number: i64| log2_q16(u128::try_from(number + PRIOR_SHARES * ONE_Q16).unwrap_or(1));
        let ratio = log(self.shares * ONE_Q16) - log(self.expected);
        (ratio + ONE_Q16 / 2).div_euclid(ONE_Q16)
    }
}

/// Returns for each slice, the newest first, how many times easier its shares were than the current difficulty, with 16 binary
/// digits behind the point.
///
/// A slice without shares does not say at what difficulty it passed. One between slices with shares had the harder of theirs. The
/// newest ones went from that of the last share to the current one, by equal steps. The oldest ones are left out: they were before the first share.
fn eases(history: &WorkHistory) -> Vec<i64> {
    let current = u128::from(history.difficulty.work());
    let told: Vec<Option<i64>> = history.slices.iter().map(|slice| ease(slice, current)).collect();
    let Some(first) = told.iter().position(Option::is_some) else { return vec![ONE_Q16; told.len()] };
    let last_share = told[first].map_or(ONE_Q16, |ease| ease.min(ONE_Q16));
    let mut newer = None;
    let mut eases = Vec::with_capacity(told.len());
    for (index, own) in told.iter().enumerate() {
        let Some(older) = told[index..].iter().flatten().next().copied() else { break };
        eases.push(own.unwrap_or_else(|| match newer {
            Some(newer) => older.min(newer),
            None => ONE_Q16 - (ONE_Q16 - last_share) * signed(index) / signed(first),
        }));
        newer = own.or(newer);
    }
    eases
}

/// Returns `number` · `over` / `under`, where the result is as small as what is counted here.
fn times(number: i64, over: i64, under: i64) -> i64 {
    i64::try_from(i128::from(number) * i128::from(over) / i128::from(under)).unwrap_or(i64::MAX)
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Returns how many times easier a slice's shares were than `current`, where it has any.
fn ease(slice: &WorkSlice, current: u128) -> Option<i64> {
    let shares = slice.shares.min(SHARES_MAX);
    let ease = ((current * u128::from(shares)) << 16) / u128::from(slice.work.max(1));
    (shares > 0).then(|| i64::try_from(ease.min(EASE_MAX)).expect("48 bits"))
}

#[cfg(test)]
mod tests;
