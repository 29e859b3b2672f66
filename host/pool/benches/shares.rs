//! How fast are shares checked? CPU time of one core.
//!
//! Three questions: double SHA-256 of different headers against the `sha2` crate one at a time (2.5 times is wanted), scrypt in batches against
//! the `scrypt` crate (6 times), and whole shares from submission to verdict with a validator that costs nothing, over a block of 4,000
//! transactions. `cargo bench -p adit-pool --bench shares` prints the answers, then criterion's own table.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on says where")]

#[allow(dead_code)]
#[path = "../../kernels/benches/support/cpu.rs"]
mod cpu;

use adit_kernels::{NativeEngine, algorithm, candidates};
use adit_pool::work::check::{Checker, CheckerParts};
use adit_pool::work::extranonce::Extranonce;
use adit_pool::work::job::{Job, JobBook, JobRules};
use adit_pool::work::share::{Outcome, Submission};
use adit_pool::work::template::{Assembly, BlockTemplate, Coinbase, JOB_BYTES};
use adit_pool::work::workers::{WorkerRules, Workers};
use adit_primitives::accounts::WorkerId;
use adit_primitives::contract::payout::AccountId;
use adit_primitives::contract::shares::{Claim, Judgement, ShareDifficulty, ShareVerdict, WorkHistory};
use adit_primitives::engine::{Fault, HashEngine, ShareEngine};
use adit_primitives::{Amount, BlockId, Hash256, Height, Target, Timestamp, U256, sha256d};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::sync::Arc;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_secs(1_000_000);

/// Accepts everything, at no cost.
struct Accepting;

impl ShareEngine for Accepting {
    fn judge(&mut self, claims: &[Claim]) -> Result<Vec<Judgement>, Fault> {
        Ok(vec![Judgement { verdict: ShareVerdict::Accept, audit: false }; claims.len()])
    }

    fn retarget(&mut self, histories: &[WorkHistory]) -> Result<Vec<ShareDifficulty>, Fault> {
        Ok(histories.iter().map(|history| history.difficulty).collect())
    }
}

/// A checker with a job, and shares for it that never come twice.
struct World {
    checker: Checker,
    job: Arc<Job>,
    next: u64,
}

impl World {
    fn new(algorithm: &str, lanes: bool) -> Self {
        let rules = JobRules {
            lifetime_ms: 30_000,
            known_ms: 60_000,
            jobs_max: 8,
            shares_max: usize::MAX,
            gain_thousandths: 10,
        };
        let jobs = Arc::new(JobBook::new(rules, 1));
        let job = jobs.offer(template(), NOW).unwrap().job;
        let workers = WorkerRules { workers_max: 10_000, idle_ms: 1000, shares_per_second: 100 };
        let checker = Checker::new(CheckerParts {
            jobs,
            workers: Arc::new(Workers::new(workers)),
            native: Some(Box::new(fastest(algorithm))),
            sandbox: Box::new(fastest(algorithm)),
            tree: lanes.then(|| Box::new(fastest("sha256d")) as Box<dyn HashEngine>),
            validator: Box::new(Accepting),
        });
        Self { checker, job, next: 0 }
    }

    fn batch(&mut self, count: u64) -> Vec<Submission> {
        let first = self.next;
        self.next += count;
        (first..self.next).map(|number| submission(&self.job, number)).collect()
    }

    /// Checks batches until there were at least `shares`; returns the CPU time of the checks alone.
    fn check(&mut self, shares: u64, batch: u64) -> Duration {
        let mut spent = Duration::ZERO;
        for _ in 0..shares.div_ceil(batch) {
            let batch = self.batch(batch);
            let start = cpu::now();
            let checked = self.checker.check(&batch, NOW, &mut |_| ());
            spent += cpu::now() - start;
            // At the least difficulty all but one share in 65,536 meet their target.
            let accepted =
                checked.outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Accepted { .. })).count();
            assert!(accepted + 2 >= batch.len() && checked.troubles.is_empty());
        }
        spent
    }
}

/// A block of 4,000 transactions.
fn template() -> BlockTemplate {
    BlockTemplate {
        height: Height(840_000),
        version: 0x2000_0000,
        previous: BlockId([9; 32]),
        bits: 0x1703_4219,
        time: 1_000_000,
        earliest: 999_000,
        target: Target(U256::ONE),
        version_mask: 0x1fff_e000,
        coinbase: Coinbase {
            before: [vec![1; 56], vec![0; JOB_BYTES]].concat(),
            base: None,
            extranonce_bytes: 8,
            after: vec![2; 90],
        },
        branch: (0..12).map(|byte| Hash256([byte; 32])).collect(),
        reward: Amount::from_atoms(312_500_000),
        fees: Amount::ZERO,
        assembly: Assembly {
            before_header: vec![],
            before_coinbase: vec![0xfd, 0xa0, 0x0f],
            witness: None,
            after_coinbase: vec![],
        },
    }
}

fn submission(job: &Job, number: u64) -> Submission {
    let bytes = number.to_be_bytes();
    let connection = u32::try_from(number % 1000).unwrap();
    Submission {
        account: AccountId(connection),
        worker: WorkerId(connection),
        job: job.id,
        difficulty: ShareDifficulty::MIN,
        extranonce1: Extranonce::new(&bytes[..4]).unwrap(),
        extranonce2: Extranonce::new(&bytes[4..]).unwrap(),
        time: job.template.time,
        nonce: 0,
        version_bits: None,
        version_mask: 0,
        commitment: None,
    }
}

fn fastest(name: &str) -> NativeEngine {
    let table = adit_kernels::fastest(&candidates(name), Duration::from_millis(40), &cpu::now);
    NativeEngine::new(table.expect("a bundled kernel runs here")).unwrap()
}

/// Hashes different headers in batches by the fastest kernel, and one at a time by `one`; prints both.
fn against(name: &str, mut one: impl FnMut(&[u8]) -> Hash256, headers: usize, repeated: usize, rounds: usize) {
    let mut native = fastest(name);
    let inputs: Vec<u8> = (0..headers).flat_map(|number| number.to_le_bytes().repeat(10)).collect();
    let (mut batch, mut single) = (Vec::with_capacity(headers), Vec::with_capacity(headers));
    let per_second = |spent: Duration| (headers * repeated) as f64 / spent.as_secs_f64();
    let mut measured: Vec<(f64, f64)> = Vec::new();
    for _ in 0..rounds {
        let start = cpu::now();
        for _ in 0..repeated {
            batch.clear();
            native.digest_many(&inputs, 80, &mut batch).unwrap();
        }
        let middle = cpu::now();
        for _ in 0..repeated {
            single.clear();
            single.extend(inputs.chunks(80).map(&mut one));
        }
        let end = cpu::now();
        assert_eq!(batch, single);
        measured.push((per_second(middle - start), per_second(end - middle)));
    }
    measured.sort_by(|left, right| (left.0 / left.1).total_cmp(&(right.0 / right.1)));
    let (batch, single) = measured[rounds / 2];
    let ratio = batch / single;
    println!("{name}: {batch:.0} headers/s in batches ({}), {single:.0} one at a time: x {ratio:.2}", native.backend());
}

fn shares(criterion: &mut Criterion<cpu::CpuTime>) {
    // `cargo test` runs a bench once, to see that it still works.
    let is_test = !std::env::args().any(|argument| argument == "--bench");
    let scale = |count: u64| if is_test { count / 100 } else { count };
    let sha2 = |header: &[u8]| Hash256(sha256d(header));
    against("sha256d", sha2, 1024, usize::try_from(scale(100)).unwrap(), 15);
    let mut scrypt = NativeEngine::new(algorithm("scrypt").unwrap().baseline).unwrap();
    let scrypt = |header: &[u8]| scrypt.digest(header).unwrap();
    against("scrypt", scrypt, 64, if is_test { 1 } else { 25 }, if is_test { 1 } else { 7 });
    for (algorithm, count, batch) in
        [("sha256d", 200_000, 1), ("sha256d", 400_000, 64), ("sha256d", 400_000, 1000), ("scrypt", 3200, 64)]
    {
        for lanes in [false, true] {
            let mut world = World::new(algorithm, lanes);
            let count = scale(count).max(batch);
            let speed = count as f64 / world.check(count, batch).as_secs_f64();
            let how = if lanes { "lanes" } else { "one by one" };
            println!("{algorithm}: {speed:>9.0} shares checked a CPU second in batches of {batch}, trees {how}");
        }
    }
    let mut group = criterion.benchmark_group("check");
    group.throughput(Throughput::Elements(256));
    for lanes in [false, true] {
        let mut world = World::new("sha256d", lanes);
        let id = format!("256 shares, trees {}", if lanes { "in lanes" } else { "one by one" });
        group.bench_function(id, |bencher| bencher.iter_custom(|times| world.check(times * 256, 256)));
    }
    group.finish();
}

criterion_group! { name = benches; config = cpu::criterion(); targets = shares }
criterion_main!(benches);
