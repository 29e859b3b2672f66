//! The bundled plugins in the sandbox that nodes run.

use adit_plugin_bundle::bundled;
use adit_plugin_host::{Plugin, PluginSource, Sandbox, SandboxedHash, SandboxedPayout, SandboxedShares, Settings};
use adit_primitives::engine::{HashEngine, RulesEngine};
use adit_tests::conformance::Subject;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, OnceLock};

/// Components for the rules and for the hashes.
pub struct Sandboxed;

static SANDBOX: LazyLock<Arc<Sandbox>> =
    LazyLock::new(|| Sandbox::new(Settings::STANDARD).expect("this machine runs the sandbox"));

/// Each is compiled when a test first asks for it: compiling all of them takes longer than most tests.
static PLUGINS: LazyLock<BTreeMap<&str, OnceLock<Plugin>>> =
    LazyLock::new(|| bundled().iter().map(|plugin| (plugin.name, OnceLock::new())).collect());

impl Subject for Sandboxed {
    fn rules(&self, plugin: &str, config: &Value) -> Arc<dyn RulesEngine> {
        Arc::new(self::plugin(plugin).rules(&config.to_string()).expect("the plugin takes its configuration"))
    }

    fn hash(&self, plugin: &str) -> Box<dyn HashEngine> {
        Box::new(hash(plugin))
    }
}

/// A bundled plugin.
pub fn plugin(name: &str) -> &'static Plugin {
    let load = || {
        let bytes = bundled().iter().find(|plugin| plugin.name == name).expect("a bundled plugin").bytes;
        SANDBOX.load(&PluginSource { bytes: bytes.to_vec(), pinned: None }).expect("a bundled plugin loads")
    };
    PLUGINS[name].get_or_init(load)
}

/// Starts a bundled hash plugin.
pub fn hash(algorithm: &str) -> SandboxedHash {
    plugin(algorithm).hash("{}").expect("a hash without settings")
}

/// Starts a bundled payout scheme.
pub fn payout(scheme: &str, config: &str) -> SandboxedPayout {
    plugin(scheme).payout(config).expect("the scheme takes its configuration")
}

/// Starts a bundled share validator.
pub fn shares(validator: &str, config: &str) -> SandboxedShares {
    plugin(validator).shares(config).expect("the validator takes its configuration")
}
