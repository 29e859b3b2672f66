//! What does the sandbox cost? A call that does nothing, a hash by itself, a fresh instance, a load.

#[allow(dead_code, clippy::unwrap_used, reason = "the tests' own module, of which this takes a part")]
#[path = "../tests/it/guest.rs"]
mod guest;

use adit_plugin_host::{CacheSettings, PluginSource, Sandbox, Settings};
use adit_primitives::engine::{HashEngine, RulesEngine};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;

/// ChainCore's rules.
const CONFIG: &str = r#"{
    "header": "adit",
    "genesis": {"time-seconds": 1647888000, "difficulty": 2, "message": "bench"},
    "retarget": {"rule": "interval", "difficulty": 4, "min": 1, "max": 12, "spacing-seconds": 10, "interval": 10,
        "max-change": 4, "steps": "measured", "free-difficulty": true},
    "subsidy": {"initial-atoms": 5000000000}
}"#;

fn source(name: &str) -> PluginSource {
    PluginSource { bytes: adit_plugin_bundle::find(name).expect("it is bundled").bytes.to_vec(), pinned: None }
}

fn calls(criterion: &mut Criterion) {
    let sandbox = Sandbox::new(Settings::STANDARD).expect("this machine runs the sandbox");
    let mut nop = guest::HashGuest::default().load_in(&sandbox).hash("{}").expect("it takes any configuration");
    criterion.bench_function("a digest that computes nothing", |bench| bench.iter(|| nop.digest(black_box(&[]))));
    criterion.bench_function("the same of 80 bytes", |bench| bench.iter(|| nop.digest(black_box(&[0; 80]))));
    let mut sha256d = sandbox.load(&source("sha256d")).expect("it loads").hash("{}").expect("it has no configuration");
    criterion.bench_function("double SHA-256 of 80 bytes", |bench| bench.iter(|| sha256d.digest(black_box(&[0; 80]))));
    let rules =
        sandbox.load(&source("longest-chain")).expect("it loads").rules(CONFIG).expect("the configuration is right");
    criterion.bench_function("a fresh instance that gives the genesis", |bench| bench.iter(|| rules.genesis()));
    let genesis = [rules.genesis().expect("there is a genesis")];
    criterion.bench_function("a fresh instance that decodes a header", |bench| bench.iter(|| rules.decode(&genesis)));
}

fn loads(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    let cache = Some(CacheSettings { directory: directory.path().to_owned(), new_key: [0; 32] });
    let sandbox = Sandbox::new(Settings { cache, ..Settings::STANDARD }).expect("this machine runs the sandbox");
    for name in ["sha256d", "longest-chain"] {
        let source = source(name);
        sandbox.load(&source).expect("it loads");
        criterion
            .bench_function(&format!("loading {name} from the cache"), |bench| bench.iter(|| sandbox.load(&source)));
    }
}

criterion_group!(benches, calls, loads);
criterion_main!(benches);
