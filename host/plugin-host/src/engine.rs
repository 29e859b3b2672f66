//! The sandbox: one engine for each kind's limits, and the watchdog over both.

use crate::cache::{Cache, CacheError};
use crate::limits::{Limits, Settings};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use wasmtime::{Config, Engine, OperatorCost, OptLevel, VariableOperatorCost, WasmFeatures};

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("this machine cannot run the sandbox: {detail}")]
    Engine { detail: String },
    #[error("the watchdog's thread did not start: {source}")]
    Ticker { source: std::io::Error },
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// Runs plugins. Held by every plugin that it loaded.
#[derive(Debug)]
pub struct Sandbox {
    pub(crate) rules: Chamber,
    pub(crate) services: Chamber,
    pub(crate) cache: Option<Cache>,
    pub(crate) plugin_bytes_max: usize,
    pub(crate) ticker: Ticker,
}

/// An engine with the limits that it was built for.
#[derive(Debug)]
pub(crate) struct Chamber {
    pub engine: Engine,
    pub limits: Limits,
    /// How often the watchdog's clock ticks.
    pub tick: Duration,
    /// Differs where compiled code of one engine does not fit another.
    pub compatibility: [u8; 32],
}

impl Sandbox {
    /// Builds both engines and starts the watchdog.
    pub fn new(settings: Settings) -> Result<Arc<Self>, SandboxError> {
        let cache = settings.cache.as_ref().map(Cache::open).transpose()?;
        let rules = Chamber::new(settings.rules, settings.tick)?;
        let services = Chamber::new(settings.services, settings.tick)?;
        let ticker = Ticker::start(settings.tick, [rules.engine.clone(), services.engine.clone()])?;
        Ok(Arc::new(Self { rules, services, cache, plugin_bytes_max: settings.plugin_bytes_max, ticker }))
    }
}

impl Chamber {
    fn new(limits: Limits, tick: Duration) -> Result<Self, SandboxError> {
        let engine =
            Engine::new(&config(&limits)).map_err(|error| SandboxError::Engine { detail: format!("{error:#}") })?;
        let mut digest = DigestOfHash(blake3::Hasher::new());
        engine.precompile_compatibility_hash().hash(&mut digest);
        Ok(Self { engine, limits, tick, compatibility: digest.0.finalize().into() })
    }
}

/// What a plugin may be written in: what rustc emits by default, and vectors of fixed width. Everything else is off, above all
/// what could answer differently on two machines: relaxed vectors (one file gave two hashes under two of its settings) and threads.
const FEATURES: [WasmFeatures; 11] = [
    WasmFeatures::COMPONENT_MODEL,
    WasmFeatures::MUTABLE_GLOBAL,
    WasmFeatures::SIGN_EXTENSION,
    WasmFeatures::FLOATS,
    WasmFeatures::SATURATING_FLOAT_TO_INT,
    WasmFeatures::MULTI_VALUE,
    WasmFeatures::BULK_MEMORY,
    WasmFeatures::REFERENCE_TYPES,
    WasmFeatures::EXTENDED_CONST,
    WasmFeatures::SIMD,
    WasmFeatures::CALL_INDIRECT_OVERLONG,
];

fn config(limits: &Limits) -> Config {
    let mut config = Config::new();
    config.wasm_features(WasmFeatures::all(), false);
    for feature in FEATURES {
        config.wasm_features(feature, true);
    }
    config
        // NaN payloads differ between processors.
        .cranelift_nan_canonicalization(true)
        .cranelift_opt_level(if limits.optimised { OptLevel::Speed } else { OptLevel::None })
        .max_wasm_stack(limits.stack_bytes)
        .consume_fuel(limits.fuel.is_some())
        .operator_cost(operator_cost())
        .epoch_interruption(true)
        // Concurrent calls would make every call almost four times as dear.
        .concurrency_support(false)
        // A memory is reserved whole, so that growing fails by the limit and not by what the system has free.
        .memory_may_move(false);
    config
}

/// The fuel that each operator costs, written out whole: an upgrade of the engine must not change what a call costs.
#[rustfmt::skip]
fn operator_cost() -> OperatorCost {
    macro_rules! table {
        ($(@$proposal:ident $operator:ident $({ $($argument:ident: $type:ty),* })? => $visit:ident ($($rest:tt)*))*) => {
            OperatorCost {
                $($operator: match stringify!($operator).as_bytes() {
                    // No machine code comes of these.
                    b"Nop" | b"Drop" | b"Block" | b"Loop" | b"Else" | b"End" | b"Return" | b"Unreachable" => 0,
                    _ => 1,
                },)*
                variable: VariableOperatorCost {
                    memory_copy_per_byte: 1, memory_fill_per_byte: 1, memory_init_per_byte: 1, memory_grow_per_page: 255,
                    table_copy_per_element: 1, table_fill_per_element: 1, table_init_per_element: 1, table_grow_per_element: 1,
                    // These belong to garbage collection, which is off.
                    array_copy_per_element: 1, array_fill_per_element: 1, array_new_data_per_element: 1, array_init_data_per_element: 1,
                    array_new_elem_per_element: 1, array_init_elem_per_element: 1, array_new_default_per_element: 1, array_new_per_element: 1,
                },
            }
        };
    }
    wasmparser::for_each_operator!(table)
}

/// Moves the watchdog's clock: one thread, which ends with the sandbox.
#[derive(Debug)]
pub(crate) struct Ticker {
    ticks: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(tick: Duration, engines: [Engine; 2]) -> Result<Self, SandboxError> {
        let (ticks, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (ticks_of_thread, stop_of_thread) = (Arc::clone(&ticks), Arc::clone(&stop));
        let run = move || {
            while !stop_of_thread.load(Ordering::Acquire) {
                thread::park_timeout(tick);
                ticks_of_thread.fetch_add(1, Ordering::Relaxed);
                engines.iter().for_each(Engine::increment_epoch);
            }
        };
        let thread = thread::Builder::new()
            .name("plugin-watchdog".to_owned())
            .spawn(run)
            .map_err(|source| SandboxError::Ticker { source })?;
        Ok(Self { ticks, stop, thread: Some(thread) })
    }

    /// The ticks so far.
    pub(crate) fn ticks(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A watchdog that panicked has already said so; there is nothing left to stop.
            drop(thread.join());
        }
    }
}

/// Turns what is hashed into a digest that outlives the process, unlike the standard hasher's.
struct DigestOfHash(blake3::Hasher);

impl Hasher for DigestOfHash {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let (head, _) = self
            .0
            .finalize()
            .as_bytes()
            .split_first_chunk()
            .map(|(head, rest)| (*head, rest))
            .expect("a digest has 32 bytes");
        u64::from_le_bytes(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_async_feature_is_not_built_in() {
        let engine = Engine::new(&Config::new()).unwrap();
        assert!(!engine.get_concurrency_support(), "take component-model-async out of the build");
    }

    #[test]
    fn the_watchdog_ends_with_the_sandbox() {
        let sandbox = Sandbox::new(Settings::STANDARD).unwrap();
        let ticks = Arc::downgrade(&sandbox.ticker.ticks);
        drop(sandbox);
        assert_eq!(ticks.strong_count(), 0);
    }
}
