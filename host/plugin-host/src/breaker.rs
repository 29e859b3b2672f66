//! Keeps a plugin that fails again and again from costing a restart each time.

use adit_primitives::engine::Fault;

/// Failures in a row that are put up with before a rest.
const FAILURES_FREE: u32 = 3;
/// The longest rest, as a power of two.
const REST_MAX_LOG2: u32 = 10;

/// A circuit breaker that counts in calls, so that it needs no clock: after three failures in a row it refuses one call,
/// after each further failure twice as many, up to 1024, and then lets one through to see.
#[derive(Debug, Clone)]
pub struct Breaker {
    failures_in_row: u32,
    failures: u64,
    rest: u32,
    last: Option<Fault>,
}

impl Breaker {
    pub(crate) fn new() -> Self {
        Self { failures_in_row: 0, failures: 0, rest: 0, last: None }
    }

    /// The failures since the last success.
    pub fn failures_in_row(&self) -> u32 {
        self.failures_in_row
    }

    /// All failures so far.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// How many calls will be refused before one is tried.
    pub fn rest(&self) -> u32 {
        self.rest
    }

    /// The last failure.
    pub fn last(&self) -> Option<&Fault> {
        self.last.as_ref()
    }

    /// Refuses a call during a rest.
    pub(crate) fn admit(&mut self, plugin: &str, function: &str) -> Result<(), Fault> {
        let (Some(rest), Some(last)) = (self.rest.checked_sub(1), &self.last) else { return Ok(()) };
        self.rest = rest;
        Err(Fault {
            class: last.class,
            plugin: plugin.to_owned(),
            function: function.to_owned(),
            detail: format!(
                "not called after {} failures in a row ({rest} more calls are refused); the last, in {}: {}",
                self.failures_in_row, last.function, last.detail
            ),
        })
    }

    pub(crate) fn failed(&mut self, fault: &Fault) {
        self.failures = self.failures.saturating_add(1);
        self.failures_in_row = self.failures_in_row.saturating_add(1);
        self.rest = match self.failures_in_row.checked_sub(FAILURES_FREE) {
            Some(beyond) => 1 << beyond.min(REST_MAX_LOG2),
            None => 0,
        };
        self.last = Some(fault.clone());
    }

    pub(crate) fn succeeded(&mut self) {
        self.failures_in_row = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use adit_primitives::engine::FaultClass;

    fn fault() -> Fault {
        let class = FaultClass::Plugin;
        Fault { class, plugin: "p".to_owned(), function: "f".to_owned(), detail: "d".to_owned() }
    }

    #[track_caller]
    fn check(failures: u32, want_refused: u32) {
        let mut breaker = Breaker::new();
        for _ in 0..failures {
            breaker.failed(&fault());
        }
        let refused = (0..5000).take_while(|_| breaker.admit("p", "f").is_err()).count();
        assert_eq!(u32::try_from(refused).ok(), Some(want_refused));
    }

    #[test]
    fn two_failures_are_put_up_with() {
        check(2, 0);
    }

    #[test]
    fn rests_double_from_the_third_failure_up_to_a_bound() {
        check(3, 1);
        check(4, 2);
        check(8, 32);
        check(100, 1024);
    }

    #[test]
    fn a_success_ends_the_row() {
        let mut breaker = Breaker::new();
        (0..3).for_each(|_| breaker.failed(&fault()));
        breaker.succeeded();
        breaker.failed(&fault());
        assert_eq!((breaker.rest(), breaker.failures()), (0, 4));
    }
}
