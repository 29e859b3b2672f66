//! Which templates will be asked for next: those that were asked for since the last ones were made.
//!
//! The chain's thread makes these before anybody asks, when a block or transactions have come and nothing else waits. A request that nobody repeats
//! is prepared once more at most. Transactions alone move it at a bounded share of the thread's time.

use adit_chain::TemplateRequest;
use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// The most templates that are prepared at once: those asked for last. As many miners subscribe to a node
/// unless it is told otherwise, and whoever has fewer prepared makes the others wait.
const PREPARED_MAX: usize = 512;

/// How many times as long as the last preparation took must pass before transactions are a reason for another.
const REST: u32 = 9;

/// What was asked for, and what was prepared.
#[derive(Debug)]
pub struct Foresight {
    /// The one asked for longest ago first.
    asked: VecDeque<TemplateRequest>,
    /// Templates that nobody has asked for yet.
    waiting: BTreeSet<u64>,
    /// The newest template that was ever made.
    newest: u64,
    rest_until: Instant,
    templates_made: Instant,
}

/// What there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    Nothing,
    /// Transactions should be chosen.
    Choice,
    /// Transactions should be chosen and templates made.
    Templates,
}

impl Foresight {
    /// Starts with nothing asked.
    pub fn new(now: Instant) -> Self {
        Self { asked: VecDeque::new(), waiting: BTreeSet::new(), newest: 0, rest_until: now, templates_made: now }
    }

    /// Tells what to do about a change: of the blocks, or of the waiting transactions alone. Templates of one state are made anew no more often than
    /// `interval`, as miners take them.
    pub fn due(&self, now: Instant, blocks_changed: bool, interval: Duration) -> Due {
        match (blocks_changed, now < self.rest_until) {
            (true, _) => Due::Templates,
            (false, true) => Due::Nothing,
            (false, false) if now.duration_since(self.templates_made) >= interval => Due::Templates,
            (false, false) => Due::Choice,
        }
    }

    /// Takes the requests to prepare for.
    pub fn take(&mut self) -> VecDeque<TemplateRequest> {
        self.waiting.clear();
        std::mem::take(&mut self.asked)
    }

    /// Notes a template that was prepared.
    pub fn prepared(&mut self, template: u64) {
        self.is_new(template);
        self.waiting.insert(template);
    }

    /// Notes how long a preparation took that has just ended.
    pub fn rest(&mut self, now: Instant, took: Duration, templates: bool) {
        self.rest_until = now + took * REST;
        if templates {
            self.templates_made = now;
        }
    }

    /// Notes that somebody asked for a template.
    pub fn asked(&mut self, request: &TemplateRequest) {
        if let Some(before) = self.asked.iter().position(|asked| asked == request) {
            self.asked.remove(before);
        }
        if self.asked.len() == PREPARED_MAX {
            self.asked.pop_front();
        }
        self.asked.push_back(request.clone());
    }

    /// Tells whether a template was made just now.
    pub fn is_new(&mut self, template: u64) -> bool {
        let new = template > self.newest;
        self.newest = self.newest.max(template);
        new
    }

    /// Tells whether a template was prepared and is now asked for the first time.
    pub fn was_waiting(&mut self, template: u64) -> bool {
        self.waiting.remove(&template)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use adit_chain::PublicKey;

    const SECOND: Duration = Duration::from_secs(1);

    fn request(number: usize) -> TemplateRequest {
        TemplateRequest { pay_to: PublicKey([1; 32]), extra: number.to_le_bytes().to_vec(), difficulty: None }
    }

    #[test]
    fn what_nobody_repeats_is_prepared_once() {
        let mut foresight = Foresight::new(Instant::now());
        foresight.asked(&request(1));
        foresight.asked(&request(1));
        assert_eq!(foresight.take(), [request(1)]);
        assert_eq!(foresight.take(), []);
    }

    #[test]
    fn the_ones_asked_for_last_are_prepared() {
        let mut foresight = Foresight::new(Instant::now());
        (0..=2 * PREPARED_MAX).for_each(|number| foresight.asked(&request(number)));
        foresight.asked(&request(2 * PREPARED_MAX - 50));
        let taken = foresight.take();
        assert_eq!(
            (taken.len(), taken.back(), taken.front()),
            (PREPARED_MAX, Some(&request(2 * PREPARED_MAX - 50)), Some(&request(PREPARED_MAX + 1)))
        );
    }

    #[test]
    fn transactions_wait_for_the_rest_and_blocks_do_not() {
        let start = Instant::now();
        let mut foresight = Foresight::new(start);
        foresight.rest(start, SECOND, true);
        assert_eq!(foresight.due(start + SECOND, false, SECOND), Due::Nothing);
        assert_eq!(foresight.due(start + SECOND, true, SECOND), Due::Templates);
        assert_eq!(foresight.due(start + 9 * SECOND, false, SECOND), Due::Templates);
        assert_eq!(foresight.due(start + 9 * SECOND, false, 10 * SECOND), Due::Choice);
    }

    #[test]
    fn a_prepared_template_is_a_surprise_once() {
        let mut foresight = Foresight::new(Instant::now());
        foresight.prepared(7);
        assert!(!foresight.is_new(7) && foresight.was_waiting(7) && !foresight.was_waiting(7));
        assert!(foresight.is_new(8));
    }
}
