//! What the benches share: criterion over CPU time, and the comparison of an algorithm's backends.

use adit_kernels::bench::{Plan, compare as compare_engines, contenders};
use adit_kernels::choose::sample_job;
use adit_kernels::{NativeEngine, algorithm, candidates};
use adit_primitives::engine::HashEngine;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, Throughput};
use std::time::Duration;

/// The CPU time of this thread: what other programs take from the core does not count.
pub struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        now()
    }

    fn end(&self, start: Duration) -> Duration {
        now().saturating_sub(start)
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

/// Returns the CPU time of this thread.
pub fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("CPU time is not negative")
}

/// Returns a criterion that measures CPU time.
pub fn criterion() -> Criterion<CpuTime> {
    Criterion::default()
        .with_measurement(CpuTime)
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args()
}

/// Tells whether `cargo test` runs the bench, once, to see that it still works.
pub fn is_test() -> bool {
    !std::env::args().any(|argument| argument == "--bench")
}

/// Prints an algorithm's backends against its baseline, then measures each with criterion.
pub fn compare(name: &str, criterion: &mut Criterion<CpuTime>) {
    let algorithm = algorithm(name).expect("the bench names a bundled algorithm");
    let plan =
        Plan { rounds: if is_test() { 1 } else { 15 }, budget: Duration::from_millis(if is_test() { 1 } else { 60 }) };
    let rows = compare_engines(contenders(algorithm, 16), plan, &now).expect("bundled kernels do not fail");
    for row in &rows {
        let (kilohashes, percent) = (row.hashes_per_second() / 1000, row.percent_of(&rows[0]));
        let (whole, hundredths) = (percent / 100, percent % 100);
        println!("{name} {:>12} {:>2} inputs {kilohashes:>9} kH/s  x {whole}.{hundredths:02}", row.backend, row.inputs);
    }
    let mut group = criterion.benchmark_group(name);
    let (job, count) = (sample_job(1), 1 << 12);
    group.throughput(Throughput::Elements(count));
    for table in candidates(name) {
        let mut engine = NativeEngine::new(table).expect("a candidate runs here");
        group.bench_function(engine.backend(), |bencher| bencher.iter(|| engine.search(&job, 0, count)));
    }
    let headers = vec![7; 80 * 1024];
    group.throughput(Throughput::Elements(1024));
    for table in candidates(name) {
        let mut engine = NativeEngine::new(table).expect("a candidate runs here");
        let id = format!("{} whole headers", engine.backend());
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                let mut digests = Vec::new();
                engine.digest_many(&headers, 80, &mut digests).map(|()| digests)
            });
        });
    }
    group.finish();
}
