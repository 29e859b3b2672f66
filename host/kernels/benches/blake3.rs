//! How much faster than one-at-a-time calls of the `blake3` crate does each backend search? CPU time, one core, all in one run.
//!
//! On one core of the reference machine (Emerald Rapids, where the crate makes 7.2 MH/s) 15 times is wanted of AVX-512.
//! `cargo bench -p adit-kernels --bench blake3` prints the ratios first, then criterion's own table.

#[path = "support/cpu.rs"]
mod cpu;

use criterion::{criterion_group, criterion_main};

fn blake3(criterion: &mut criterion::Criterion<cpu::CpuTime>) {
    cpu::compare("blake3", criterion);
}

criterion_group! { name = benches; config = cpu::criterion(); targets = blake3 }
criterion_main!(benches);
