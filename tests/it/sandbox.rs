//! The bundled plugins in the sandbox that nodes run.

use adit_plugin_bundle::bundled;
use adit_plugin_host::{Plugin, PluginSource, Sandbox, SandboxedHash, Settings};
use adit_primitives::Hash256;
use adit_primitives::engine::{HashEngine, RulesEngine};
use adit_tests::conformance::Subject;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::LazyLock;

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
    fn rules(&self, config: &Value) -> Box<dyn RulesEngine> {
        let rules = PLUGINS["longest-chain"].rules(&config.to_string());
        Box::new(rules.expect("the plugin takes its configuration"))
    }

    fn digests(&self, algorithm: &str, inputs: &[u8], each: usize) -> Vec<Hash256> {
        let mut hash = hash(algorithm);
        let mut digests = Vec::new();
        hash.digest_many(inputs, each, &mut digests).expect("the plugin answers");
        digests
    }
}

/// Starts a bundled hash plugin.
pub fn hash(algorithm: &str) -> SandboxedHash {
    PLUGINS[algorithm].hash("{}").expect("a hash without settings")
}
