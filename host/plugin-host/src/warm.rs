//! One warm instance of a service plugin: dropped after any failure, started anew, and rested by the breaker.

use crate::abi::Contract;
use crate::breaker::Breaker;
use crate::instance::{Guest, Instance, broken};
use crate::load::{ConfigureError, Loaded};
use adit_primitives::engine::Fault;
use std::fmt;
use std::sync::Arc;
use wasmtime::Store;

/// Starts an instance with a configuration.
type Start<C> = fn(&Loaded, &str) -> Result<Instance<C>, ConfigureError>;

/// A plugin at work with one configuration.
pub(crate) struct Warm<C: Contract> {
    plugin: Arc<Loaded>,
    config: String,
    start: Start<C>,
    /// In a box, because each call takes it out and puts it back.
    instance: Option<Box<Instance<C>>>,
    breaker: Breaker,
}

impl<C: Contract> Warm<C> {
    /// Starts the first instance, which shows that the plugin takes the configuration.
    pub fn start(plugin: Arc<Loaded>, config: &str, start: Start<C>) -> Result<Self, ConfigureError> {
        let instance = Some(Box::new(start(&plugin, config)?));
        Ok(Self { plugin, config: config.to_owned(), start, instance, breaker: Breaker::new() })
    }

    /// The plugin.
    pub fn plugin(&self) -> &Loaded {
        &self.plugin
    }

    /// What the failures so far have led to.
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Drops the instance: the next call starts another.
    pub fn cool(&mut self) {
        self.instance = None;
    }

    /// The rows that one call may carry.
    pub fn rows_max(&self) -> usize {
        self.plugin.sandbox.services.limits.rows_max.max(1)
    }

    /// Calls a function, checks its answer, and keeps the instance only where both went well.
    pub fn ask<A, T>(
        &mut self,
        function: &'static str,
        rows: usize,
        call: impl FnOnce(&C, &mut Store<Guest>) -> wasmtime::Result<A>,
        check: impl FnOnce(A) -> Result<T, String>,
    ) -> Result<T, Fault> {
        self.ask_woken(function, rows, |_| Ok(()), call, check)
    }

    /// The same, where a new instance needs `wake` before anything else.
    pub fn ask_woken<A, T>(
        &mut self,
        function: &'static str,
        rows: usize,
        wake: impl FnOnce(&mut Instance<C>) -> Result<(), Fault>,
        call: impl FnOnce(&C, &mut Store<Guest>) -> wasmtime::Result<A>,
        check: impl FnOnce(A) -> Result<T, String>,
    ) -> Result<T, Fault> {
        self.breaker.admit(&self.plugin.label, function)?;
        let answer = self.running(wake).and_then(|mut instance| {
            let answer = instance.call(function, rows, call)?;
            let checked = check(answer).map_err(|detail| broken(&self.plugin.label, function, detail))?;
            Ok((instance, checked))
        });
        match answer {
            Ok((instance, checked)) => {
                self.breaker.succeeded();
                if !self.plugin.sandbox.services.limits.fresh {
                    self.instance = Some(instance);
                }
                Ok(checked)
            }
            Err(fault) => {
                self.breaker.failed(&fault);
                Err(fault)
            }
        }
    }

    /// Takes the warm instance, or starts and wakes another.
    fn running(&mut self, wake: impl FnOnce(&mut Instance<C>) -> Result<(), Fault>) -> Result<Box<Instance<C>>, Fault> {
        if let Some(instance) = self.instance.take() {
            return Ok(instance);
        }
        let mut instance = Box::new((self.start)(&self.plugin, &self.config).map_err(|error| match error {
            ConfigureError::Fault(fault) => fault,
            // The same text was taken before: an instance that thinks otherwise remembers something.
            other => broken(&self.plugin.label, "configure", other),
        })?);
        wake(&mut instance)?;
        Ok(instance)
    }
}

impl<C: Contract> fmt::Debug for Warm<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Warm").field("plugin", &self.plugin.label).field("config", &self.config).finish_non_exhaustive()
    }
}
