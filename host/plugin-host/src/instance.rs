//! A running plugin: a store with one instance in it, and the guard around each call.

use crate::abi::Contract;
use crate::engine::Chamber;
use crate::fault::{Refusal, classify};
use crate::limits::Limits;
use crate::view::Window;
use adit_primitives::engine::{Fault, FaultClass};
use rustix::time::{ClockId, clock_gettime};
use std::fmt;
use std::time::Duration;
use wasmtime::{ResourceLimiter, Store, UpdateDeadline};

/// What the host keeps beside an instance.
#[derive(Debug)]
pub(crate) struct Guest {
    quota: Quota,
    watch: Watch,
    /// The message of the panic that the plugin reported last.
    pub panicked: Option<String>,
    /// The chain as this call may see it.
    pub window: Window,
}

/// An instance. It is dropped after any failure, for nobody can say what state a trap left.
pub(crate) struct Instance<C> {
    store: Store<Guest>,
    contract: C,
    limits: Limits,
    plugin: String,
}

impl<C: Contract> Instance<C> {
    /// Starts an instance. `plugin` names it in faults.
    pub fn start(chamber: &Chamber, ready: &C::Ready, plugin: &str) -> Result<Self, Fault> {
        let limits = &chamber.limits;
        let guest = Guest {
            quota: Quota {
                memory_bytes: 0,
                memory_bytes_max: limits.memory_bytes_max,
                table_elements: 0,
                table_elements_max: limits.table_elements_max,
            },
            watch: Watch { tick: chamber.tick, ticks: limits.ticks_per_call.div_ceil(2), since: None },
            panicked: None,
            window: Window::closed(limits),
        };
        let mut store = Store::new(&chamber.engine, guest);
        store.epoch_deadline_callback(|mut store| Ok(store.data_mut().watch.look(cpu_time())));
        store.limiter(|guest| &mut guest.quota);
        store.set_hostcall_fuel(limits.answer_bytes_max);
        // The start function runs here, so the call's guard has to be up.
        arm(&mut store, limits, 0);
        match C::start(ready, &mut store) {
            Ok(contract) => Ok(Self { store, contract, limits: limits.clone(), plugin: plugin.to_owned() }),
            Err(error) => Err(fault(&mut store, plugin, "start", &error)),
        }
    }

    /// Calls a function that works on `rows` rows.
    pub fn call<T>(
        &mut self,
        function: &'static str,
        rows: usize,
        call: impl FnOnce(&C, &mut Store<Guest>) -> wasmtime::Result<T>,
    ) -> Result<T, Fault> {
        arm(&mut self.store, &self.limits, rows);
        call(&self.contract, &mut self.store).map_err(|error| fault(&mut self.store, &self.plugin, function, &error))
    }

    /// Opens or closes the plugin's window on the chain.
    pub fn set_window(&mut self, window: Window) {
        self.store.data_mut().window = window;
    }
}

impl<C> fmt::Debug for Instance<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("plugin", &self.plugin).finish_non_exhaustive()
    }
}

/// Sets the allowance of the next call.
fn arm(store: &mut Store<Guest>, limits: &Limits, rows: usize) {
    let watch = &mut store.data_mut().watch;
    watch.since = None;
    let ticks = watch.ticks;
    store.set_epoch_deadline(ticks);
    if let Some(fuel) = limits.fuel {
        store.set_fuel(fuel.allowance(rows)).expect("the engine was built to count fuel");
    }
}

/// Stops a call that computes for too long. Ticks alone would blame a plugin for a machine that did not run it: a second look, after as many ticks
/// again, asks what the thread has computed since the first, and where that is little there is another one.
#[derive(Debug)]
struct Watch {
    tick: Duration,
    /// Between two looks: half of what a call may take.
    ticks: u64,
    /// The thread's CPU time at the first look of this call. Not before: asking for it costs as much as a call does.
    since: Option<Duration>,
}

impl Watch {
    fn look(&mut self, now: Duration) -> UpdateDeadline {
        let since = *self.since.get_or_insert(now);
        // The two clocks do not beat together: three quarters are taken for all.
        let enough = self.tick * u32::try_from(self.ticks).unwrap_or(u32::MAX) * 3 / 4;
        if now.saturating_sub(since) >= enough {
            UpdateDeadline::Interrupt
        } else {
            UpdateDeadline::Continue(self.ticks)
        }
    }
}

/// The CPU time of this thread.
fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

fn fault(store: &mut Store<Guest>, plugin: &str, function: &str, error: &wasmtime::Error) -> Fault {
    let (class, mut detail) = classify(error);
    if let Some(message) = store.data_mut().panicked.take() {
        detail = format!("{message}: {detail}");
    }
    Fault { class, plugin: plugin.to_owned(), function: function.to_owned(), detail }
}

/// The fault of an answer that breaks the contract.
pub(crate) fn broken(plugin: &str, function: &str, detail: impl ToString) -> Fault {
    Fault {
        class: FaultClass::Plugin,
        plugin: plugin.to_owned(),
        function: function.to_owned(),
        detail: detail.to_string(),
    }
}

/// Counts all memories and all tables of a store together. Growing past a limit traps.
#[derive(Debug)]
struct Quota {
    memory_bytes: usize,
    memory_bytes_max: usize,
    table_elements: usize,
    table_elements_max: usize,
}

impl ResourceLimiter for Quota {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let bytes = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        if bytes > self.memory_bytes_max {
            return Err(wasmtime::Error::new(Refusal::Memory { bytes, max: self.memory_bytes_max }));
        }
        self.memory_bytes = bytes;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(wasmtime::Error::new(Refusal::System { detail: format!("{error:#}") }))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let elements = self.table_elements.saturating_add(desired.saturating_sub(current));
        if elements > self.table_elements_max {
            return Err(wasmtime::Error::new(Refusal::Table { elements, max: self.table_elements_max }));
        }
        self.table_elements = elements;
        Ok(true)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(wasmtime::Error::new(Refusal::System { detail: format!("{error:#}") }))
    }

    // A component that the SDK builds has three core instances with one memory and a table or two.
    fn instances(&self) -> usize {
        16
    }

    fn tables(&self) -> usize {
        8
    }

    fn memories(&self) -> usize {
        4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_stopped_for_what_it_computed_and_not_for_what_the_machine_let_it_wait() {
        let mut watch = Watch { tick: Duration::from_millis(10), ticks: 100, since: None };
        let goes_on = |deadline| matches!(deadline, UpdateDeadline::Continue(100));
        let at = |millis: u64| Duration::from_millis(5_000 + millis);
        assert!(goes_on(watch.look(at(0))));
        // Looks come every second, and the thread had a third of each.
        assert!(goes_on(watch.look(at(330))));
        assert!(goes_on(watch.look(at(660))));
        assert!(matches!(watch.look(at(990)), UpdateDeadline::Interrupt));
    }
}
