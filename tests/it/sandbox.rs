//! The bundled plugins in the sandbox that nodes run.

use adit_plugin_bundle::bundled;
use adit_plugin_host::{Plugin, PluginSource, Sandbox, SandboxedHash, SandboxedPayout, SandboxedShares, Settings};
use adit_primitives::engine::{HashEngine, RulesEngine};
use adit_tests::conformance::Subject;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// Components for the rules and for the hashes.
pub struct Sandboxed;

/// Compiled once for all tests.
static PLUGINS: LazyLock<BTreeMap<&str, Plugin>> = LazyLock::new(|| {
    let sandbox = Sandbox::new(Settings::STANDARD).expect("this machine runs the sandbox");
    let load = |bytes: &[u8]| sandbox.load(&PluginSource { bytes: bytes.to_vec(), pinned: None });
    let loaded = bundled().iter().map(|plugin| (plugin.name, load(plugin.bytes).expect("a bundled plugin loads")));
    loaded.collect()
});

impl Subject for Sandboxed {
    fn rules(&self, plugin: &str, config: &Value) -> Arc<dyn RulesEngine> {
        Arc::new(PLUGINS[plugin].rules(&config.to_string()).expect("the plugin takes its configuration"))
    }

    fn hash(&self, plugin: &str) -> Box<dyn HashEngine> {
        Box::new(hash(plugin))
    }
}

/// A bundled plugin.
pub fn plugin(name: &str) -> &'static Plugin {
    &PLUGINS[name]
}

/// Starts a bundled hash plugin.
pub fn hash(algorithm: &str) -> SandboxedHash {
    PLUGINS[algorithm].hash("{}").expect("a hash without settings")
}

/// Starts a bundled payout scheme.
pub fn payout(scheme: &str, config: &str) -> SandboxedPayout {
    PLUGINS[scheme].payout(config).expect("the scheme takes its configuration")
}

/// Starts a bundled share validator.
pub fn shares(validator: &str, config: &str) -> SandboxedShares {
    PLUGINS[validator].shares(config).expect("the validator takes its configuration")
}
