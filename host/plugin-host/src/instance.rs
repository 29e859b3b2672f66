//! A running plugin: a store with one instance in it, and the guard around each call.

use crate::abi::Contract;
use crate::engine::Chamber;
use crate::fault::{Refusal, classify};
use crate::limits::Limits;
use crate::view::Window;
use adit_primitives::engine::{Fault, FaultClass};
use std::fmt;
use wasmtime::{ResourceLimiter, Store};

/// What the host keeps beside an instance.
#[derive(Debug)]
pub(crate) struct Guest {
    quota: Quota,
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
            panicked: None,
            window: Window::closed(limits),
        };
        let mut store = Store::new(&chamber.engine, guest);
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
    store.set_epoch_deadline(limits.ticks_per_call);
    if let Some(fuel) = limits.fuel {
        store.set_fuel(fuel.allowance(rows)).expect("the engine was built to count fuel");
    }
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
