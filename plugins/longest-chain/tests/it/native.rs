//! The plugin as a rules engine, without a sandbox.

use adit_plugin_longest_chain::LongestChain;
use adit_plugin_scrypt::Scrypt;
use adit_plugin_sdk::testing::{NativeHash, NativeRules};
use adit_plugin_sdk::{Consensus, HashAlgorithm, NoConfig, config};
use adit_plugin_sha256d::Sha256d;
use adit_primitives::engine::{HashEngine, RulesEngine};
use adit_tests::conformance::Subject;
use serde_json::Value;
use std::sync::Arc;

/// Native code for the rules and for the hashes.
pub struct Native;

impl Subject for Native {
    fn rules(&self, _: &str, config: &Value) -> Arc<dyn RulesEngine> {
        Arc::new(NativeRules(chain(config)))
    }

    fn hash(&self, plugin: &str) -> Box<dyn HashEngine> {
        match plugin {
            "sha256d" => native_hash::<Sha256d>(),
            "scrypt" => native_hash::<Scrypt>(),
            other => panic!("no hash {other}"),
        }
    }
}

/// Configures the plugin.
pub fn chain(config: &Value) -> LongestChain {
    let config = config::parse(&config.to_string()).unwrap_or_else(|error| panic!("{error:?}"));
    LongestChain::new(config).unwrap_or_else(|error| panic!("{error:?}"))
}

fn native_hash<H: HashAlgorithm<Config = NoConfig> + Send + 'static>() -> Box<dyn HashEngine> {
    Box::new(NativeHash(H::new(NoConfig {}).expect("a hash without settings")))
}
