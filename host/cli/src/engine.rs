//! What searches: the fastest native kernel that proves equal to the sandboxed plugin, or the plugin alone.

use crate::config::plugins::{ChosenPlugin, parse_pin};
use crate::sandbox::random;
use adit_kernels::{NativeEngine, candidates, fastest};
use adit_miner::workers::{EngineFactory, Reporter};
use adit_miner::{Plan, ProvenEngine, Sampling, Trust, prove};
use adit_node::settings::{BundledKernel, NativeKernel};
use adit_plugin_host::{ConfigureError, KernelSource, Plugin, SandboxedHash, load_kernel};
use adit_primitives::engine::{Fault, FaultClass, HashEngine};
use adit_primitives::kernel::{KernelTable, unpadded};
use anyhow::{Context, Result};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long each kernel is measured when the fastest is chosen.
const MEASURE: Duration = Duration::from_millis(40);

/// From here on the thorough proof would take seconds.
const SLOW_DIGEST: Duration = Duration::from_micros(30);

/// One of so many searches is compared with the sandbox.
const SAMPLE_ONE_IN: u64 = 256;

/// A way to search, chosen once for a process.
pub struct Search {
    /// The kernel's name, or `sandbox`.
    pub backend: String,
    /// Makes an engine for each worker.
    pub factory: EngineFactory,
}

/// Chooses by the operator's setting.
pub fn choose(hash: &ChosenPlugin, native: &NativeKernel, scratch: &Path) -> Result<Search> {
    let seed = u64::from_le_bytes(random()?);
    Ok(match proven_kernel(hash, native, scratch, seed)? {
        Some(table) => proven(hash, table, seed),
        None => sandboxed(hash),
    })
}

/// Returns the kernel that the operator's setting asks for, or the fastest bundled one. One that is not equal to the plugin is named in the log
/// and not used.
pub fn proven_kernel(
    hash: &ChosenPlugin,
    native: &NativeKernel,
    scratch: &Path,
    seed: u64,
) -> Result<Option<&'static KernelTable>> {
    let name = hash.plugin.info().name.clone();
    let table = match native {
        NativeKernel::Bundled(BundledKernel::Off) => None,
        NativeKernel::Bundled(BundledKernel::Auto) => fastest(&candidates(&name), MEASURE, &cpu_time),
        NativeKernel::File(kernel) => {
            let digest = parse_pin(&kernel.digest).map_err(anyhow::Error::msg)?;
            let source =
                KernelSource { path: kernel.file.clone(), digest, algorithm: name, scratch: scratch.join("kernels") };
            let table =
                load_kernel(&source).with_context(|| format!("the kernel {} is not loaded", kernel.file.display()))?;
            tracing::warn!(file = %kernel.file.display(), digest = %kernel.digest, "native code from a file runs outside the sandbox, by this configuration");
            Some(table)
        }
    };
    let Some(table) = table else { return Ok(None) };
    let mut kernel = NativeEngine::new(table)?;
    let mut reference = hash.plugin.hash(&hash.config)?;
    let plan = plan(&mut reference, seed)?.with_known_hits(&hash.plugin.info().name);
    match prove(&mut kernel, &mut reference, &plan) {
        Ok(()) => Ok(Some(table)),
        Err(difference) => {
            tracing::error!(kernel = unpadded(&table.backend), %difference, "the native kernel is not equal to the plugin and is not used");
            Ok(None)
        }
    }
}

/// The thorough proof, or the brief one for an algorithm that takes the sandbox long.
fn plan(reference: &mut SandboxedHash, seed: u64) -> Result<Plan> {
    let start = cpu_time();
    reference.digest(&[0; 80])?;
    Ok(if cpu_time().saturating_sub(start) > SLOW_DIGEST { Plan::brief(seed) } else { Plan::thorough(seed) })
}

fn sandboxed(hash: &ChosenPlugin) -> Search {
    let (plugin, config) = (hash.plugin.clone(), hash.config.clone());
    let factory = move |_: &Reporter| Ok(Box::new(start(&plugin, &config)?) as Box<dyn HashEngine>);
    Search { backend: "sandbox".to_owned(), factory: Arc::new(factory) }
}

fn proven(hash: &ChosenPlugin, table: &'static KernelTable, seed: u64) -> Search {
    let (plugin, config) = (hash.plugin.clone(), hash.config.clone());
    let trust = Arc::new(Trust::default());
    let factory = move |reporter: &Reporter| {
        let reference = start(&plugin, &config)?;
        let native = NativeEngine::new(table).map_err(|error| fault(&plugin, error.to_string()))?;
        let sampling = Sampling { one_in: SAMPLE_ONE_IN, seed: seed ^ u64::from(reporter.worker().0) };
        let reporter = reporter.clone();
        let on_drop = Box::new(move |difference| reporter.kernel_dropped(difference));
        Ok(Box::new(ProvenEngine::new(native, reference, Arc::clone(&trust), sampling, on_drop)) as Box<dyn HashEngine>)
    };
    Search { backend: unpadded(&table.backend), factory: Arc::new(factory) }
}

fn start(plugin: &Plugin, config: &str) -> Result<SandboxedHash, Fault> {
    plugin.hash(config).map_err(|error| match error {
        ConfigureError::Fault(fault) => fault,
        other => fault(plugin, other.to_string()),
    })
}

fn fault(plugin: &Plugin, detail: String) -> Fault {
    let info = plugin.info();
    Fault {
        class: FaultClass::Environment,
        plugin: format!("{} {}", info.name, info.version),
        function: "start".to_owned(),
        detail,
    }
}

/// The CPU time of this thread.
pub fn cpu_time() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(spent).unwrap_or_default()
}

/// The time since the first call.
pub fn monotonic() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}
