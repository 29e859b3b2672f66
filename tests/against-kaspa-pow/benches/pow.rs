//! How much faster than the `kaspa-pow` crate does each backend search for kHeavyHash? CPU time, one core, all in one run.
//!
//! `cargo bench` in `tests/against-kaspa-pow` prints medians over rounds in which each is measured once. Before that, every backend has
//! to find the values that `kaspa-pow` computes.

use adit_kernels::choose::measure;
use adit_kernels::{NativeEngine, candidates};
use adit_primitives::contract::SearchJob;
use adit_primitives::engine::HashEngine;
use adit_primitives::{Target, U256};
use kaspa_consensus_core::hashing::header::hash_override_nonce_time;
use kaspa_consensus_core::header::Header;
use std::hint::black_box;
use std::time::Duration;

const ROUNDS: usize = 21;
const NONCES: u64 = 1 << 16;
const TIME_MS: u64 = 1_662_278_194_958;

fn main() {
    let mut header = Header::from_precomputed_hash(42.into(), vec![7.into()]);
    header.timestamp = TIME_MS;
    let state = kaspa_pow::State::new(&header);
    let mut input = hash_override_nonce_time(&header, 0, 0).as_bytes().to_vec();
    input.extend(TIME_MS.to_le_bytes());
    input.extend([0; 40]);
    let job = SearchJob { inputs: vec![input], nonce_offset: 72, nonce_bytes: 8, target: Target(U256::ZERO) };

    let mut engines: Vec<(NativeEngine, Vec<f64>, Vec<f64>)> = Vec::new();
    for table in candidates("kheavyhash") {
        let mut engine = NativeEngine::new(table).expect("a candidate runs here");
        assert_equal(&mut engine, &state, &job);
        engines.push((engine, Vec::new(), Vec::new()));
    }
    let mut kaspa = Vec::new();
    for _ in 0..ROUNDS {
        let start = now();
        for nonce in 0..NONCES {
            black_box(state.calculate_pow(black_box(nonce)));
        }
        let per_second = NONCES as f64 / (now() - start).as_secs_f64();
        kaspa.push(per_second);
        for (engine, speeds, ratios) in &mut engines {
            let speed = measure(engine, &job, Duration::from_millis(50), &now).expect("kernels do not fail") as f64;
            speeds.push(speed);
            ratios.push(speed / per_second);
        }
    }
    println!("{:>12} {:>9.0} kH/s  x 1.00", "kaspa-pow", median(kaspa) / 1e3);
    for (engine, speeds, ratios) in engines {
        println!("{:>12} {:>9.0} kH/s  x {:.2}", engine.backend(), median(speeds) / 1e3, median(ratios));
    }
}

/// Checks that an engine's digests are `kaspa-pow`'s, and that a search finds each of them where it is the target.
fn assert_equal(engine: &mut NativeEngine, state: &kaspa_pow::State, job: &SearchJob) {
    for nonce in (0..1000).chain([u64::MAX]) {
        let wanted = state.calculate_pow(nonce).to_le_bytes();
        let mut input = job.inputs[0].clone();
        job.write_nonce(&mut input, nonce);
        assert_eq!(engine.digest(&input).expect("kernels do not fail").0, wanted, "nonce {nonce}");
        let job = SearchJob { target: Target(U256::from_le_bytes(wanted)), ..job.clone() };
        let found = engine.search(&job, nonce, 1).expect("kernels do not fail").found;
        assert!(found.iter().any(|find| find.nonce == nonce), "nonce {nonce} is found");
    }
}

/// Returns the CPU time of this thread: what other programs take from the core does not count.
fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("CPU time is not negative")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
