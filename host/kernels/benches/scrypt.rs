//! How much faster than the `scrypt` crate does each backend search? CPU time, one core, all in one run.
//!
//! On one core of the reference machine (Emerald Rapids, where the crate makes 3.8 to 4.0 kH/s) 8 times is wanted of AVX-512.
//! `cargo bench -p adit-kernels --bench scrypt` prints the ratios first, then criterion's own table.

#[path = "support/cpu.rs"]
mod cpu;

use criterion::{criterion_group, criterion_main};

fn scrypt(criterion: &mut criterion::Criterion<cpu::CpuTime>) {
    cpu::compare("scrypt", criterion);
}

criterion_group! { name = benches; config = cpu::criterion(); targets = scrypt }
criterion_main!(benches);
