//! A native kernel that claims to hash by double SHA-256 and does not: one bit of each digest is wrong.
//!
//! It breaks no rule of the ABI, so that nothing but comparing its answers with the sandboxed plugin's can catch it.

use adit_kernels::{Finds, Job, Kernel, table};
use adit_primitives::kernel::KernelTable;
use adit_primitives::sha256d;

/// The kernel.
struct OneBitOff;

impl Kernel for OneBitOff {
    const ALGORITHM: &'static str = "sha256d";
    const BACKEND: &'static str = "wrong";

    fn detect() -> Option<Self> {
        Some(Self)
    }

    fn digest_many(&self, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
        for (number, digest) in digests.iter_mut().enumerate() {
            *digest = wrong(&inputs[number * each..][..each]);
        }
    }

    fn search(&self, job: &Job<'_>, finds: &mut Finds<'_>) -> u64 {
        let mut inputs: Vec<Vec<u8>> = job.inputs().map(<[u8]>::to_vec).collect();
        let mut steps = 0;
        while steps < job.count && finds.room() >= inputs.len() {
            let nonce = job.nonce(steps);
            for (number, input) in (0..).zip(&mut inputs) {
                job.write_nonce(input, nonce);
                if job.is_met_by(&wrong(input)) {
                    finds.push(nonce, number);
                }
            }
            steps += 1;
        }
        steps
    }
}

/// Returns the digest with its highest bit, the one that decides first against a target, turned over.
fn wrong(input: &[u8]) -> [u8; 32] {
    let mut digest = sha256d(input);
    digest[31] ^= 0x80;
    digest
}

static TABLE: KernelTable = table::<OneBitOff>();

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
    use adit_primitives::engine::HashEngine;

    #[test]
    fn every_digest_is_wrong_and_every_call_is_well_formed() {
        let mut engine = NativeEngine::new(&TABLE).unwrap();
        assert_ne!(engine.digest(b"adit").unwrap().0, sha256d(b"adit"));
    }
}
