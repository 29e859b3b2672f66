//! The search of one worker: fetch a range, go through it slice by slice, drop it when it is stale, give it back when the engine fails.

use super::shared::{Assignment, Counters, Shared};
use crate::events::{Event, Find, WorkerId};
use crate::work::{Held, Pace, Range};
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

/// What a worker has in its hands. What of it is not searched when the worker lets go of it, in a panic as well, is given back.
struct Hold<'a> {
    shared: &'a Shared,
    held: Arc<Held>,
    generation: u64,
    done: u64,
    failed: bool,
}

impl<'a> Hold<'a> {
    fn new(shared: &'a Shared, range: Range, generation: u64) -> Self {
        let held = Arc::new(Held::new(range));
        shared.hold(&held, generation);
        Self { shared, held, generation, done: 0, failed: true }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.shared.let_go(&self.held);
        let before = self.held.range().again;
        let rest = self.held.give_up(self.done).filter(|_| !(before && self.failed));
        if let Some(rest) = rest {
            self.shared.give_back(Range { again: before || self.failed, ..rest }, self.generation);
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
        match self.shared.take(&self.pace) {
            Assignment::Work(range, generation) => self.search_range(range, generation).map(|()| Turn::Worked),
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

    fn search_range(&mut self, range: Range, generation: u64) -> Result<(), Fault> {
        let versions = range.search.inputs.len() as u64;
        let shared = self.shared.clone();
        let mut hold = Hold::new(&shared, range, generation);
        while !self.is_stale(generation) {
            let Some(slice) = hold.held.slice(hold.done, self.pace.hashes_per_slice() / versions) else { break };
            let begin = (self.shared.clock)();
            let scan = self.engine.search(&slice.search, slice.first, slice.count)?;
            let took = (self.shared.clock)().saturating_sub(begin);
            if scan.scanned == 0 || scan.scanned > slice.count {
                return Err(miscounted(slice.count, &scan));
            }
            hold.done += scan.scanned;
            let hashes = scan.scanned.saturating_mul(versions);
            self.pace.measured(hashes, took);
            self.counters.hashes.fetch_add(hashes, Ordering::Relaxed);
            self.report(&slice, generation, &scan)?;
        }
        hold.failed = false;
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
