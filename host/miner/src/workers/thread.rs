//! The life of a worker's thread: bind it to a core, give it an engine, and another one after each failure, until it is over.

use super::shared::Counters;
use super::worker::{Search, Turn};
use super::{Config, EngineFactory, Reporter};
use crate::events::Event;
use crate::usage::ThreadUsage;
use crate::work::Pace;
use adit_primitives::engine::HashEngine;
use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// What a thread starts with.
pub struct Life {
    pub reporter: Reporter,
    pub factory: EngineFactory,
    pub stop: Arc<AtomicBool>,
    pub counters: Arc<Counters>,
    pub core: Option<core_affinity::CoreId>,
}

impl Life {
    /// Begins the thread.
    pub fn begin(self) -> io::Result<JoinHandle<()>> {
        let (shared, counters) = (self.reporter.shared.clone(), self.counters.clone());
        shared.thread_begins();
        let name = format!("miner-{}", self.reporter.worker.0);
        let thread = Builder::new().name(name).spawn(move || {
            self.pin();
            self.live();
            self.reporter.shared.thread_ends(&self.counters);
        });
        thread.inspect_err(|_| shared.thread_ends(&counters))
    }

    /// Binds the thread to its core. Where the system does not allow that, the worker runs anywhere, and its figures say so.
    fn pin(&self) {
        let core = self.core.filter(|core| core_affinity::set_for_current(*core)).map(|core| core.id);
        self.counters.core.get_or_init(|| core);
        self.counters.usage.get_or_init(ThreadUsage::of_this_thread);
    }

    fn live(&self) {
        let mut failures_in_row = 0;
        let mut hashes_at_failure = 0;
        while !self.is_over() {
            let Err(reason) = self.work(failures_in_row) else { return };
            // Work between two failures means that the engine is of use: the pauses begin anew.
            let hashes = self.counters.hashes.load(Ordering::Relaxed);
            failures_in_row = if hashes > hashes_at_failure { 1 } else { failures_in_row + 1 };
            hashes_at_failure = hashes;
            self.counters.failures.fetch_add(1, Ordering::Relaxed);
            self.tell(Event::WorkerFailed { worker: self.reporter.worker, reason });
            self.reporter.shared.pause(backoff(&self.reporter.shared.config, failures_in_row), &|| self.is_over());
        }
    }

    /// Works with one engine until it is over. An error says why the engine is of no use any more.
    fn work(&self, failures_in_row: u32) -> Result<(), String> {
        // What a panic may leave half done is the engine, and it is thrown away.
        let working = catch_unwind(AssertUnwindSafe(|| {
            let engine = (self.factory)(&self.reporter).map_err(|fault| fault.to_string())?;
            if failures_in_row > 0 {
                self.tell(Event::WorkerReplaced { worker: self.reporter.worker, attempt: failures_in_row });
            }
            self.search(engine)
        }));
        working.unwrap_or_else(|panic| Err(format!("panicked: {}", message(&*panic))))
    }

    fn search(&self, engine: Box<dyn HashEngine>) -> Result<(), String> {
        let shared = &self.reporter.shared;
        let mut search = Search {
            id: self.reporter.worker,
            engine,
            pace: Pace::new(shared.config.slice, shared.config.range),
            shared: shared.clone(),
            stop: self.stop.clone(),
            counters: self.counters.clone(),
        };
        while !self.is_over() {
            if search.turn().map_err(|fault| fault.to_string())? == Turn::Idle {
                shared.wait_for_work(&|| self.is_over());
            }
        }
        Ok(())
    }

    fn tell(&self, event: Event) {
        self.reporter.shared.tell(event, &|| self.is_over());
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Acquire) || self.reporter.shared.is_ending()
    }
}

/// Returns the pause after so many failures in a row, at least one.
fn backoff(config: &Config, failures_in_row: u32) -> Duration {
    let doublings = 1_u32.checked_shl(failures_in_row.saturating_sub(1)).unwrap_or(u32::MAX);
    config.backoff_first.saturating_mul(doublings).min(config.backoff_max)
}

/// Returns what a panic said.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workers::tests::config;

    #[test]
    fn pauses_double_up_to_their_bound() {
        let config =
            Config { backoff_first: Duration::from_millis(100), backoff_max: Duration::from_secs(30), ..config(1) };
        let millis = |failures| backoff(&config, failures).as_millis();
        assert_eq!([1, 2, 3, 9, 10, 33, u32::MAX].map(millis), [100, 200, 400, 25_600, 30_000, 30_000, 30_000]);
    }
}
