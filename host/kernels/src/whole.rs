//! Searches that hash the whole input for each nonce: what baselines do, and kernels where a job lets them compute nothing once.

use crate::kernel::{Finds, Job};

/// Hashes `digests.len()` inputs of `each` bytes one after another.
pub(crate) fn digest_many(hash: fn(&[u8]) -> [u8; 32], inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
    for (number, digest) in digests.iter_mut().enumerate() {
        *digest = hash(&inputs[number * each..][..each]);
    }
}

/// Searches `LANES` nonces at a time with a function of the form of [`Kernel::digest_many`](crate::Kernel::digest_many).
pub(crate) fn search<const LANES: usize>(
    digest_many: impl Fn(&[u8], usize, &mut [[u8; 32]]),
    job: &Job<'_>,
    finds: &mut Finds<'_>,
) -> u64 {
    let mut copies = vec![0; LANES * job.length()];
    let mut digests = [[0; 32]; LANES];
    let mut scanned = 0;
    while scanned < job.count && finds.room() >= LANES * job.inputs().len() {
        let group = usize::try_from(job.count - scanned).map_or(LANES, |left| left.min(LANES));
        let digests = &mut digests[..group];
        for (number, input) in (0..).zip(job.inputs()) {
            for (step, copy) in (scanned..).zip(copies.chunks_exact_mut(job.length()).take(group)) {
                copy.copy_from_slice(input);
                job.write_nonce(copy, job.nonce(step));
            }
            digest_many(&copies, job.length(), digests);
            for (step, _) in (scanned..).zip(&*digests).filter(|(_, digest)| job.is_met_by(digest)) {
                finds.push(job.nonce(step), number);
            }
        }
        scanned += group as u64;
    }
    scanned
}
