//! The plugin as a rules engine, without a sandbox.

use adit_plugin_ghostdag::Ghostdag;
use adit_plugin_kheavyhash::KHeavyHash;
use adit_plugin_sdk::testing::{NativeHash, NativeRules};
use adit_plugin_sdk::{HashAlgorithm, NoConfig};
use adit_plugin_sha256d::Sha256d;
use adit_primitives::engine::{HashEngine, RulesEngine};
use adit_tests::conformance::Subject;
use serde_json::Value;
use std::sync::Arc;

/// Native code for the rules and for the hashes.
pub struct Native;

impl Subject for Native {
    fn rules(&self, _: &str, config: &Value) -> Arc<dyn RulesEngine> {
        Arc::new(NativeRules::<Ghostdag>::new(&config.to_string()))
    }

    fn hash(&self, plugin: &str) -> Box<dyn HashEngine> {
        match plugin {
            "sha256d" => native_hash::<Sha256d>(),
            "kheavyhash" => native_hash::<KHeavyHash>(),
            other => panic!("no hash {other}"),
        }
    }
}

fn native_hash<H: HashAlgorithm<Config = NoConfig> + Send + 'static>() -> Box<dyn HashEngine> {
    Box::new(NativeHash(H::new(NoConfig {}).expect("a hash without settings")))
}
