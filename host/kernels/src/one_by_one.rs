//! Any hash function, one input after another: what baselines do, and kernels where they have no faster way.

use crate::kernel::{Finds, Job};

/// Hashes `digests.len()` inputs of `each` bytes.
pub(crate) fn digest_many(hash: fn(&[u8]) -> [u8; 32], inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
    for (number, digest) in digests.iter_mut().enumerate() {
        *digest = hash(&inputs[number * each..][..each]);
    }
}

/// Searches, with the whole input hashed for each nonce.
pub(crate) fn search(hash: fn(&[u8]) -> [u8; 32], job: &Job<'_>, finds: &mut Finds<'_>) -> u64 {
    let mut inputs: Vec<Vec<u8>> = job.inputs().map(<[u8]>::to_vec).collect();
    let mut scanned = 0;
    while scanned < job.count && finds.room() >= inputs.len() {
        for (number, input) in (0..).zip(&mut inputs) {
            job.write_nonce(input, job.nonce(scanned));
            if job.is_met_by(&hash(input)) {
                finds.push(job.nonce(scanned), number);
            }
        }
        scanned += 1;
    }
    scanned
}
