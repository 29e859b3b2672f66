//! How far work on plots is: a bar on a terminal; where there is none, a line of the log now and then.

use crate::peers::bytes as said;
use crate::terminal::{LOG_INTERVAL, bytes_bar};
use indicatif::{HumanDuration, ProgressBar};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Speed is of so long, or since the work was begun or gone on with.
const WINDOW: Duration = Duration::from_secs(60);

/// How often it is noted.
const NOTED: Duration = Duration::from_secs(1);

/// Work on so many bytes, shown until it is done or somebody interrupts it.
pub struct Shown {
    ended: Arc<AtomicBool>,
    /// `None` where a line of the log says it.
    bar: Option<ProgressBar>,
    work: Mutex<Option<Work>>,
}

struct Work {
    what: &'static str,
    done: u64,
    of: u64,
    pace: Pace,
    logged: Instant,
}

/// What was done at which times: the newest last, one at least.
struct Pace(VecDeque<(Instant, u64)>);

impl Shown {
    /// Shows nothing until something is done. `is_live` says that somebody looks at a terminal.
    pub fn new(is_live: bool, ended: &Arc<AtomicBool>) -> Self {
        Self { ended: Arc::clone(ended), bar: is_live.then(bytes_bar), work: Mutex::new(None) }
    }

    /// Takes how far the work is. Returns whether it goes on.
    pub fn goes_on(&self, what: &'static str, done: u64, of: u64) -> bool {
        if let Some(line) = self.take(what, done, of, Instant::now()) {
            tracing::info!("{line}");
        }
        !self.ended.load(Ordering::Relaxed)
    }

    /// Returns what the log is to say, where it is its turn.
    fn take(&self, what: &'static str, done: u64, of: u64, now: Instant) -> Option<String> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let work = match &mut *work {
            Some(work) if work.what == what => work,
            // What was done before this began took none of its time.
            other => other.insert(Work { what, done, of, pace: Pace::begin(now, done), logged: now }),
        };
        // Threads tell in no set order: it never goes back.
        work.done = work.done.max(done);
        work.pace.note(now, work.done);
        let Some(bar) = &self.bar else {
            let is_due = now.saturating_duration_since(work.logged) >= LOG_INTERVAL;
            return is_due.then(|| {
                work.logged = now;
                format!("{what}: {}", work.said(now))
            });
        };
        bar.set_length(of);
        bar.set_position(work.done);
        bar.set_message(what);
        bar.set_prefix(work.said(now));
        None
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Work {
    fn said(&self, now: Instant) -> String {
        let far = format!("{} of {}", said(self.done), said(self.of));
        let Some(speed) = self.pace.bytes_per_second(now) else { return far };
        let left = Duration::from_secs(self.of.saturating_sub(self.done) / speed.max(1));
        format!("{far}, {}/s, {} left", said(speed), HumanDuration(left))
    }
}

impl Pace {
    fn begin(now: Instant, done: u64) -> Self {
        Self([(now, done)].into())
    }

    fn note(&mut self, now: Instant, done: u64) {
        let is_due = |(last, _): &(Instant, u64)| now.saturating_duration_since(*last) >= NOTED;
        if self.0.back().is_none_or(is_due) {
            self.0.push_back((now, done));
        }
        while self.0.get(1).is_some_and(|(second, _)| now.saturating_duration_since(*second) >= WINDOW) {
            self.0.pop_front();
        }
    }

    /// `None` until there is something to tell it from.
    fn bytes_per_second(&self, now: Instant) -> Option<u64> {
        let ((first, from), (last, to)) = (self.0.front()?, self.0.back()?);
        // Where nothing was done for a while, that counts too.
        let passed = now.saturating_duration_since(*first).max(last.saturating_duration_since(*first));
        let done = u128::from(to.saturating_sub(*from));
        let speed = (done * 1_000).checked_div(passed.as_millis()).filter(|_| last > first)?;
        u64::try_from(speed).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn work(done: u64, pace: Pace, now: Instant) -> Work {
        Work { what: "plotting", done, of: 1_000 * MIB, pace, logged: now }
    }

    #[test]
    fn time_left_after_a_resumption_is_what_the_rest_takes() {
        let begun = Instant::now();
        let mut pace = Pace::begin(begun, 900 * MIB);
        assert_eq!(pace.bytes_per_second(begun), None);
        let now = begun + Duration::from_secs(10);
        pace.note(now, 920 * MIB);
        assert_eq!(work(920 * MIB, pace, now).said(now), "920.0 MiB of 1000.0 MiB, 2.0 MiB/s, 40 seconds left");
    }

    #[test]
    fn speed_is_that_of_the_last_minute() {
        let begun = Instant::now();
        let mut pace = Pace::begin(begun, 0);
        let at = |second: u64| begun + Duration::from_secs(second);
        // Fast for a minute, then slow for longer.
        (0..60).for_each(|second| pace.note(at(second), second * 10 * MIB));
        assert_eq!(pace.bytes_per_second(at(59)), Some(10 * MIB));
        (60..200).for_each(|second| pace.note(at(second), (540 + second) * MIB));
        assert_eq!(pace.bytes_per_second(at(199)), Some(MIB));
        assert!(pace.0.len() <= 62, "{}", pace.0.len());
        // A disk that stands still shows.
        assert!(pace.bytes_per_second(at(800)).unwrap() < MIB / 8);
    }

    #[test]
    fn without_a_terminal_the_log_says_every_half_minute_how_far_it_is() {
        let shown = Shown::new(false, &Arc::new(AtomicBool::new(false)));
        let begun = Instant::now();
        let lines = (0..100).filter_map(|second| {
            shown.take("plotting", (second + 900) * MIB, 1_000 * MIB, begun + Duration::from_secs(second))
        });
        let lines: Vec<String> = lines.collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(lines[0], "plotting: 930.0 MiB of 1000.0 MiB, 1.0 MiB/s, 70 seconds left");
    }

    #[test]
    fn each_step_of_the_work_begins_anew_and_none_goes_back() {
        let shown = Shown::new(false, &Arc::new(AtomicBool::new(false)));
        let done = || shown.work.lock().unwrap().as_ref().map(|work| (work.what, work.done, work.of)).unwrap();
        assert!(shown.goes_on("plotting", 7, 10) && shown.goes_on("plotting", 5, 10));
        assert_eq!(done(), ("plotting", 7, 10));
        assert!(shown.goes_on("reading back", 1, 10));
        assert_eq!(done(), ("reading back", 1, 10));
        shown.ended.store(true, Ordering::Relaxed);
        assert!(!shown.goes_on("reading back", 2, 10));
    }
}
