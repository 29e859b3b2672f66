//! The plugin as a rules engine, without a sandbox.

use adit_plugin_longest_chain::LongestChain;
use adit_plugin_sdk::judge::judge;
use adit_plugin_sdk::{Consensus, config};
use adit_primitives::contract::{Candidate, Draft, HeaderView, Placement, Requirements, Template, Violation};
use adit_primitives::engine::{Fault, RulesEngine, SharedView};
use adit_primitives::{BlockId, Hash256, sha256d};
use adit_tests::conformance::Subject;
use serde_json::Value;

/// Native code for the rules and for the hashes.
pub struct Native;

impl Subject for Native {
    fn rules(&self, config: &Value) -> Box<dyn RulesEngine> {
        Box::new(NativeRules(chain(config)))
    }

    fn digests(&self, algorithm: &str, inputs: &[u8], each: usize) -> Vec<Hash256> {
        let digest = match algorithm {
            "sha256d" => sha256d,
            "scrypt" => scrypt,
            other => panic!("no hash {other}"),
        };
        inputs.chunks_exact(each).map(|input| Hash256(digest(input))).collect()
    }
}

/// Configures the plugin.
pub fn chain(config: &Value) -> LongestChain {
    let config = config::parse(&config.to_string()).unwrap_or_else(|error| panic!("{error:?}"));
    LongestChain::new(config).unwrap_or_else(|error| panic!("{error:?}"))
}

fn scrypt(input: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    let params = scrypt::Params::new(10, 1, 1).expect("Litecoin's parameters");
    scrypt::scrypt(input, input, &params, &mut digest).expect("32 bytes are a valid length");
    digest
}

struct NativeRules(LongestChain);

impl RulesEngine for NativeRules {
    fn genesis(&self) -> Result<Vec<u8>, Fault> {
        Ok(self.0.genesis())
    }

    fn decode(&self, headers: &[Vec<u8>]) -> Result<Vec<Result<HeaderView, Violation>>, Fault> {
        Ok(headers.iter().map(|header| self.0.decode(header)).collect())
    }

    fn place(&self, view: &SharedView, candidates: &[Candidate]) -> Result<Vec<Result<Placement, Violation>>, Fault> {
        Ok(judge(&self.0, &**view, candidates))
    }

    fn next(
        &self,
        view: &SharedView,
        tips: &[BlockId],
        wish: Option<u64>,
    ) -> Result<Result<Requirements, Violation>, Fault> {
        Ok(self.0.next(&**view, tips, wish))
    }

    fn encode(&self, draft: &Draft) -> Result<Result<Template, Violation>, Fault> {
        Ok(self.0.encode(draft))
    }

    fn difficulty(&self, bits: u32) -> Result<Result<String, Violation>, Fault> {
        Ok(self.0.difficulty(bits))
    }

    fn seal(&self, header: &[u8], nonce: u64, rolled: u32) -> Result<Result<Vec<u8>, Violation>, Fault> {
        Ok(self.0.seal(header, nonce, rolled))
    }
}
