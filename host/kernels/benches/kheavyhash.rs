//! How much faster than kHeavyHash on the `keccak` crate does each backend search? CPU time, one core, all in one run.
//!
//! `cargo bench -p adit-kernels --bench kheavyhash` prints the ratios first, then criterion's own table. The comparison with Kaspa's own
//! crate is in `tests/against-kaspa-pow`.

#[path = "support/cpu.rs"]
mod cpu;

use criterion::{criterion_group, criterion_main};

fn kheavyhash(criterion: &mut criterion::Criterion<cpu::CpuTime>) {
    cpu::compare("kheavyhash", criterion);
}

criterion_group! { name = benches; config = cpu::criterion(); targets = kheavyhash }
criterion_main!(benches);
