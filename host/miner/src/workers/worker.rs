//! The search of one worker: fetch a range, go through it slice by slice, drop it when it is stale, give it back when the engine fails.

use super::shared::{Assignment, Counters, Shared};
use crate::events::{Event, Find, WorkerId};
use crate::work::{Pace, Range};
use adit_primitives::contract::Scan;
use adit_primitives::engine::{Fault, FaultClass, HashEngine};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A worker with its engine. Its thread drives it; a test can, too.
pub struct Search {
    pub id: WorkerId,
    pub engine: Box<dyn HashEngine>,
    pub pace: Pace,
    pub shared: Arc<Shared>,
    pub stop: Arc<AtomicBool>,
    pub counters: Arc<Counters>,
}

/// A range in the hands of a worker. What of it is not searched when the worker lets go of it, in a panic as well, is given back.
struct Held<'a> {
    shared: &'a Shared,
    range: &'a Range,
    generation: u64,
    done: u64,
    failed: bool,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let again = self.range.again || self.failed;
        if self.done < self.range.count && !(self.range.again && self.failed) {
            self.shared.give_back(Range { again, ..self.range.rest(self.done) }, self.generation);
        }
    }
}

/// What came of asking for work.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// A range was searched, or dropped as stale.
    Worked,
    /// There is no job.
    Idle,
}

impl Search {
    /// Fetches a range and searches it.
    pub fn turn(&mut self) -> Result<Turn, Fault> {
        match self.shared.take(self.pace.hashes_per_range()) {
            Assignment::Work(range, generation) => self.search_range(&range, generation).map(|()| Turn::Worked),
            Assignment::Exhausted(job) => {
                self.shared.tell(Event::Exhausted { job }, &|| self.is_over());
                Ok(Turn::Worked)
            }
            Assignment::Nothing => Ok(Turn::Idle),
        }
    }

    /// Tells whether this worker should end.
    pub fn is_over(&self) -> bool {
        self.stop.load(Ordering::Acquire) || self.shared.is_ending()
    }

    fn search_range(&mut self, range: &Range, generation: u64) -> Result<(), Fault> {
        let versions = range.search.inputs.len() as u64;
        let shared = self.shared.clone();
        let mut held = Held { shared: &shared, range, generation, done: 0, failed: true };
        while held.done < range.count && !self.is_stale(generation) {
            let rest = range.rest(held.done);
            let count = (self.pace.hashes_per_slice() / versions).clamp(1, rest.count);
            let begin = (self.shared.clock)();
            let scan = self.engine.search(&range.search, rest.first, count)?;
            let took = (self.shared.clock)().saturating_sub(begin);
            if scan.scanned == 0 || scan.scanned > count {
                return Err(miscounted(count, &scan));
            }
            held.done += scan.scanned;
            let hashes = scan.scanned.saturating_mul(versions);
            self.pace.measured(hashes, took);
            self.counters.hashes.fetch_add(hashes, Ordering::Relaxed);
            self.report(range, generation, &scan)?;
        }
        held.failed = false;
        Ok(())
    }

    fn report(&self, range: &Range, generation: u64, scan: &Scan) -> Result<(), Fault> {
        for found in &scan.found {
            let input = range.search.inputs.get(found.input as usize).ok_or_else(|| miscounted(scan.scanned, scan))?;
            let (job, rolled) = (range.job.id(), range.job.rolled(input));
            self.counters.found.fetch_add(1, Ordering::Relaxed);
            let find = Find { job, nonce: found.nonce, rolled, worker: self.id };
            self.shared.tell(Event::Found(find), &|| self.is_stale(generation));
        }
        Ok(())
    }

    fn is_stale(&self, generation: u64) -> bool {
        self.shared.generation() != generation || self.is_over()
    }
}

/// An answer that breaks the contract: a bare engine without a reference beside it may give one.
fn miscounted(asked: u64, scan: &Scan) -> Fault {
    Fault {
        class: FaultClass::Plugin,
        plugin: String::new(),
        function: "search".to_owned(),
        detail: format!(
            "asked for {asked} nonces, it tried {} and named an input that there is not, or none",
            scan.scanned
        ),
    }
}
