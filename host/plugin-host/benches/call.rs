//! What does the sandbox cost? A call that does nothing, a hash by itself, a fresh instance, a load. In time on the processor,
//! so that a crowded machine gives the same answer.

#[allow(dead_code, clippy::unwrap_used, reason = "the tests' own module, of which this takes a part")]
#[path = "../tests/it/guest.rs"]
mod guest;

use adit_plugin_host::{CacheSettings, PluginSource, Sandbox, Settings};
use adit_primitives::engine::{HashEngine, RulesEngine};
use criterion::{Criterion, criterion_group, criterion_main};
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::time::Duration;

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

/// The time that this thread has spent on the processor.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.try_into().expect("a thread's time is not negative")
}

fn measure<T>(criterion: &mut Criterion, name: &str, mut call: impl FnMut() -> T) {
    criterion.bench_function(name, |bench| {
        bench.iter_custom(|count| {
            let start = processor_time();
            (0..count).for_each(|_| drop(black_box(call())));
            processor_time().saturating_sub(start)
        });
    });
}

fn calls(criterion: &mut Criterion) {
    let sandbox = Sandbox::new(Settings::STANDARD).expect("this machine runs the sandbox");
    let mut nop = guest::HashGuest::default().load_in(&sandbox).hash("{}").expect("it takes any configuration");
    measure(criterion, "a digest that computes nothing", || nop.digest(black_box(&[])));
    measure(criterion, "the same of 80 bytes", || nop.digest(black_box(&[0; 80])));
    let mut sha256d = sandbox.load(&source("sha256d")).expect("it loads").hash("{}").expect("it has no configuration");
    measure(criterion, "double SHA-256 of 80 bytes", || sha256d.digest(black_box(&[0; 80])));
    let rules =
        sandbox.load(&source("longest-chain")).expect("it loads").rules(CONFIG).expect("the configuration is right");
    measure(criterion, "a fresh instance that gives the genesis", || rules.genesis());
    let genesis = [rules.genesis().expect("there is a genesis")];
    measure(criterion, "a fresh instance that decodes a header", || rules.decode(&genesis));
}

fn loads(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    let cache = Some(CacheSettings { directory: directory.path().to_owned(), new_key: [0; 32] });
    let sandbox = Sandbox::new(Settings { cache, ..Settings::STANDARD }).expect("this machine runs the sandbox");
    for name in ["sha256d", "longest-chain"] {
        let source = source(name);
        sandbox.load(&source).expect("it loads");
        measure(criterion, &format!("loading {name} from the cache"), || sandbox.load(&source));
    }
}

criterion_group!(benches, calls, loads);
criterion_main!(benches);
