//! Headers of peers that are too far ahead of this machine's time: nobody is to blame, one of the clocks is wrong, and people are told.

use crate::clock::Clock;
use adit_primitives::Timestamp;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Clocks that are in order differ by less than this.
const AHEAD_MIN: Duration = Duration::from_secs(10);

/// Between two lines of the log about it. For so long it is shown, too: a node asks again sooner.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// What was seen of it.
pub struct Ahead {
    clock: Clock,
    last: Mutex<Option<Last>>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    at: Instant,
    by: Duration,
    logged: Instant,
}

impl Ahead {
    pub fn new(clock: Clock) -> Self {
        Self { clock, last: Mutex::new(None) }
    }

    /// Takes in that a peer's header may not be taken before a time, and says so in the log now and then.
    pub fn note(&self, valid_from: Timestamp) {
        let now = (self.clock)();
        let by = Duration::from_millis(valid_from.to_millis().saturating_sub(now.to_millis()));
        if self.is_news(by, Instant::now()) {
            tracing::warn!(
                here = utc(now),
                valid_from = utc(valid_from),
                ahead_seconds = by.as_secs(),
                "a peer's header is too far ahead of this machine's time: one of the two clocks is wrong"
            );
        }
    }

    /// Returns by how much a header was too far ahead lately.
    pub fn lately(&self, now: Instant) -> Option<Duration> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.filter(|last| now.saturating_duration_since(last.at) < LOG_INTERVAL).map(|last| last.by)
    }

    /// Tells whether the log is to say it.
    fn is_news(&self, by: Duration, at: Instant) -> bool {
        if by < AHEAD_MIN {
            return false;
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let logged = last.map(|last| last.logged).filter(|logged| at.saturating_duration_since(*logged) < LOG_INTERVAL);
        *last = Some(Last { at, by, logged: logged.unwrap_or(at) });
        logged.is_none()
    }
}

/// Writes a time as people read it: `2026-11-22T15:08:19Z`.
fn utc(time: Timestamp) -> String {
    let seconds = time.to_millis() / 1000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // The civil calendar by Howard Hinnant's `civil_from_days`: years begin in March, 400 of them are 146 097 days.
    let day = days + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day + 2) / 153;
    let day = day - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_header_ahead_of_time_is_said_once_a_minute_and_shown_for_as_long() {
        let ahead = Ahead::new(Arc::new(|| Timestamp::from_millis(0)));
        let (start, hour) = (Instant::now(), Duration::from_secs(3600));
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!ahead.is_news(Duration::from_secs(1), start), "clocks differ by that much");
        assert_eq!(ahead.lately(start), None);
        let said: Vec<u64> = (0..=120).step_by(10).filter(|second| ahead.is_news(hour, at(*second))).collect();
        assert_eq!(said, [0, 60, 120]);
        assert_eq!(ahead.lately(at(179)), Some(hour));
        assert_eq!(ahead.lately(at(180)), None);
    }

    #[test]
    fn times_are_written_as_people_read_them() {
        // Of `date -u -d @…`.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_827_696, "2000-02-29T12:34:56Z"),
            (1_795_359_499, "2026-11-22T14:58:19Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(Timestamp::from_millis(seconds * 1000)), text);
        }
    }
}
