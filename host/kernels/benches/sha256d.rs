//! How much faster than the `sha2` crate with midstate does each backend search? CPU time, one core, all in one run.
//!
//! On one core of the reference machine (Emerald Rapids, where the crate makes 8.8 MH/s) 3.6 times is wanted of AVX-512, 1.5 of
//! the SHA instructions and 1.2 of AVX2. `cargo bench -p adit-kernels --bench sha256d` prints the ratios first, then criterion's
//! own table.

#[path = "support/cpu.rs"]
mod cpu;

use criterion::{criterion_group, criterion_main};

fn sha256d(criterion: &mut criterion::Criterion<cpu::CpuTime>) {
    cpu::compare("sha256d", criterion);
}

criterion_group! { name = benches; config = cpu::criterion(); targets = sha256d }
criterion_main!(benches);
