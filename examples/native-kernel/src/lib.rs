//! A native kernel as a shared library: double SHA-256, one input after another.
//!
//! What it answers is only a proposal: the host proves it equal to the sandboxed plugin before use and by sampling. The C table that
//! it exports is drawn in `adit_primitives::kernel`, and a kernel in another language fills that in directly. In Rust one
//! implements [`Kernel`] and lets [`table`] make the table.

use adit_kernels::{Finds, Job, Kernel, table};
use adit_primitives::kernel::KernelTable;
use adit_primitives::sha256d;

/// The kernel.
struct OneByOne;

impl Kernel for OneByOne {
    const ALGORITHM: &'static str = "sha256d";
    const BACKEND: &'static str = "example";

    fn detect() -> Option<Self> {
        Some(Self)
    }

    fn digest_many(&self, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
        for (number, digest) in digests.iter_mut().enumerate() {
            *digest = sha256d(&inputs[number * each..][..each]);
        }
    }

    fn search(&self, job: &Job<'_>, finds: &mut Finds<'_>) -> u64 {
        let mut inputs: Vec<Vec<u8>> = job.inputs().map(<[u8]>::to_vec).collect();
        let mut steps = 0;
        while steps < job.count && finds.room() >= inputs.len() {
            let nonce = job.nonce(steps);
            for (number, input) in (0..).zip(&mut inputs) {
                job.write_nonce(input, nonce);
                if job.is_met_by(&sha256d(input)) {
                    finds.push(nonce, number);
                }
            }
            steps += 1;
        }
        steps
    }
}

static TABLE: KernelTable = table::<OneByOne>();

/// Returns the table of this library's kernel.
// SAFETY: no other symbol of this name is linked into the library; its type is the one that hosts look up.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn adit_kernel_v1() -> *const KernelTable {
    &raw const TABLE
}

#[cfg(test)]
mod tests {
    use super::*;
    use adit_kernels::NativeEngine;
    use adit_primitives::contract::SearchJob;
    use adit_primitives::engine::HashEngine;
    use adit_primitives::{Target, U256};

    #[test]
    fn the_kernel_hashes_and_finds() {
        let mut engine = NativeEngine::new(&TABLE).unwrap();
        assert_eq!(engine.digest(b"adit").unwrap().0, sha256d(b"adit"));
        let target = Target(U256::MAX >> 4);
        let job = SearchJob { inputs: vec![vec![1; 80]], nonce_offset: 76, nonce_bytes: 4, target };
        let scan = engine.search(&job, 0, 256).unwrap();
        assert_eq!(scan.scanned, 256);
        assert!(!scan.found.is_empty());
        for found in scan.found {
            let mut input = job.inputs[0].clone();
            job.write_nonce(&mut input, found.nonce);
            assert!(target.is_met_by(&sha256d(&input)));
        }
    }
}
