//! What does distribution cost over calling the engine directly? And what does the proof cost before, and sampling while, a kernel mines?

use adit_miner::{Config, Event, JobId, Miner, MiningJob, Plan, ProvenEngine, Sampling, Trust, prove};
use adit_primitives::contract::{Found, PowInput, Scan, SearchJob};
use adit_primitives::engine::{Fault, HashEngine};
use adit_primitives::{Hash256, Target, U256, sha256d};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const NONCES: u64 = 1 << 18;

struct Sha256d;

impl HashEngine for Sha256d {
    fn digest_many(&mut self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) -> Result<(), Fault> {
        digests.extend(inputs.chunks_exact(each).map(|input| Hash256(sha256d(input))));
        Ok(())
    }

    fn search(&mut self, job: &SearchJob, first: u64, count: u64) -> Result<Scan, Fault> {
        let mask = job.nonces().map_or(u64::MAX, |nonces| nonces - 1);
        let mut found = Vec::new();
        for (input, base) in (0..).zip(&job.inputs) {
            let mut bytes = base.clone();
            for nonce in (0..count).map(|step| first.wrapping_add(step) & mask) {
                job.write_nonce(&mut bytes, nonce);
                if job.target.is_met_by(&sha256d(&bytes)) {
                    found.push(Found { nonce, input });
                }
            }
        }
        Ok(Scan { scanned: count, found })
    }
}

/// A job of 2^18 hashes: a nonce of two bytes, four versions.
fn job(id: u64, roll_mask: u32) -> MiningJob {
    let pow = PowInput { bytes: vec![9; 88], nonce_offset: 76, nonce_bytes: 2, roll_offset: 0, roll_mask };
    MiningJob { id: JobId(id), pow, target: Target(U256::MAX >> 60) }
}

fn config() -> Config {
    Config {
        workers: 1,
        pin: true,
        versions_max: 16,
        slice: Duration::from_millis(2),
        range: Duration::from_millis(40),
        backoff_first: Duration::from_millis(100),
        backoff_max: Duration::from_secs(30),
        events_max: 64,
        rate_window: Duration::from_secs(60),
    }
}

fn overhead(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("search_of_2^18_hashes");
    group.sample_size(20).throughput(Throughput::Elements(NONCES));
    let search = {
        let job = job(0, 0);
        SearchJob { inputs: vec![job.pow.bytes], nonce_offset: 76, nonce_bytes: 8, target: job.target }
    };
    group.bench_function("engine_alone", |bencher| {
        bencher.iter(|| black_box(Sha256d.search(&search, 0, NONCES).expect("it never fails")));
    });
    let begin = Instant::now();
    let clock = Arc::new(move || begin.elapsed());
    let (miner, events) =
        Miner::start(config(), Arc::new(|_| Ok(Box::new(Sha256d))), clock).expect("a thread for the worker");
    let mut id = 0;
    group.bench_function("one_worker_to_exhaustion", |bencher| {
        bencher.iter(|| {
            id += 1;
            miner.set_job(job(id, 0x6000), id).expect("the job is sound");
            while events.recv().expect("the miner runs") != (Event::Exhausted { job: JobId(id) }) {}
        });
    });
    group.bench_function("proven_one_in_512", |bencher| {
        let sampling = Sampling { one_in: 512, seed: 1 };
        let mut engine = ProvenEngine::new(Sha256d, Sha256d, Arc::new(Trust::default()), sampling, Box::new(|_| ()));
        bencher.iter(|| {
            for first in (0..NONCES).step_by(4_096) {
                black_box(engine.search(&search, first, 4_096).expect("it never fails"));
            }
        });
    });
    group.finish();
}

fn proof(criterion: &mut Criterion) {
    let plan = Plan::thorough(1);
    criterion.bench_function("thorough_proof", |bencher| {
        bencher.iter(|| prove(&mut Sha256d, &mut Sha256d, black_box(&plan)).expect("they are the same"));
    });
}

criterion_group!(benches, overhead, proof);
criterion_main!(benches);
