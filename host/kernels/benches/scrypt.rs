//! How much faster than the `scrypt` crate does each backend search? CPU time, one core, all in one run.
//!
//! 8 times is wanted of AVX-512, and was set against the crate's release 0.11, which makes 3.8 to 4.0 kH/s on one core of the reference
//! machine (Emerald Rapids). Release 0.12 has vector code of its own: it is the baseline, and 0.11 is measured beside it.
//! `cargo bench -p adit-kernels --bench scrypt` prints the ratios first, then criterion's own table.

#[path = "support/cpu.rs"]
mod cpu;

use adit_kernels::choose::{fastest, measure, sample_job};
use adit_kernels::{NativeEngine, candidates};
use criterion::{criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;

const BUDGET: Duration = Duration::from_millis(60);

/// Prints how fast the crate's release 0.11 is, and how many times that the fastest backend makes in the same rounds.
fn against_0_11() {
    let kernel = fastest(&candidates("scrypt"), BUDGET, &cpu::now).expect("a bundled kernel runs everywhere");
    let mut engine = NativeEngine::new(kernel).expect("it has just run");
    let rounds = if cpu::is_test() { 1 } else { 15 };
    let mut speeds: Vec<[u64; 2]> = (0..rounds)
        .map(|_| {
            let own = measure(&mut engine, &sample_job(1), BUDGET, &cpu::now).expect("bundled kernels do not fail");
            [release_0_11(), own]
        })
        .collect();
    speeds.sort_unstable_by_key(|[old, own]| own * 100 / old);
    let [old, own] = speeds[rounds / 2];
    println!("scrypt 0.11 {old} H/s, {} {own} H/s  x {}.{:02}", engine.backend(), own / old, own * 100 / old % 100);
}

/// Returns how many hashes a second release 0.11 makes, one after another.
fn release_0_11() -> u64 {
    const HASHES: u32 = 256;
    let params = scrypt_0_11::Params::new(10, 1, 1, 32).expect("2^10, 1 and 1 are within scrypt's limits");
    let (mut input, mut digest) = ([7; 80], [0; 32]);
    let start = cpu::now();
    for nonce in 0..HASHES {
        input[76..].copy_from_slice(&nonce.to_le_bytes());
        scrypt_0_11::scrypt(&input, &input, &params, &mut digest).expect("32 bytes are a length that scrypt gives");
        black_box(digest);
    }
    let nanoseconds = (cpu::now() - start).as_nanos().max(1);
    u64::try_from(u128::from(HASHES) * 1_000_000_000 / nanoseconds).unwrap_or(u64::MAX).max(1)
}

fn scrypt(criterion: &mut criterion::Criterion<cpu::CpuTime>) {
    against_0_11();
    cpu::compare("scrypt", criterion);
}

criterion_group! { name = benches; config = cpu::criterion(); targets = scrypt }
criterion_main!(benches);
