//! How many recorded headers a second do the sandboxed rules judge on one core? Reads, hashes and places Bitcoin's headers 40,000 to
//! 49,999 in batches of 1,000.

use adit_plugin_bundle::find;
use adit_plugin_host::{Plugin, PluginSource, Sandbox, Settings};
use adit_primitives::Height;
use adit_primitives::engine::{HashEngine, RulesEngine};
use adit_tests::conformance::replay::Replay;
use adit_tests::conformance::{Example, Subject};
use adit_tests::recorded;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::Value;
use std::sync::Arc;

struct Sandboxed {
    rules: Plugin,
    hash: Plugin,
}

impl Subject for Sandboxed {
    fn rules(&self, _: &str, config: &Value) -> Arc<dyn RulesEngine> {
        Arc::new(self.rules.rules(&config.to_string()).expect("the plugin takes its configuration"))
    }

    fn hash(&self, _: &str) -> Box<dyn HashEngine> {
        Box::new(self.hash.hash("{}").expect("a hash without settings"))
    }
}

fn load(sandbox: &Arc<Sandbox>, name: &str) -> Plugin {
    let bytes = find(name).expect("the plugin is bundled").bytes.to_vec();
    sandbox.load(&PluginSource { bytes, pinned: None }).expect("a bundled plugin loads")
}

fn replay(criterion: &mut Criterion) {
    let Some(bytes) = recorded::bytes("bitcoin/mainnet-40000-49999.bin") else { return };
    let headers: Vec<Vec<u8>> = bytes.chunks_exact(80).map(<[u8]>::to_vec).collect();
    let sandbox = Sandbox::new(Settings::STANDARD).expect("this machine runs the sandbox");
    let subject = Sandboxed { rules: load(&sandbox, "longest-chain"), hash: load(&sandbox, "sha256d") };
    let example = Example::read("bitcoin");
    let mut group = criterion.benchmark_group("replay");
    group.throughput(Throughput::Elements(headers.len() as u64 - 1)).sample_size(10);
    group.bench_function("bitcoin headers, sandboxed", |bencher| {
        bencher.iter(|| {
            let mut replay = Replay::from_middle(&subject, &example, &headers[0], Height(40_000));
            replay.run(&headers[1..]).expect("recorded headers are valid");
        });
    });
}

criterion_group!(benches, replay);
criterion_main!(benches);
