//! The `scrypt` crate: what backends are compared with, never mined with.

use crate::kernel::{Finds, Job, Kernel};
use crate::whole;

/// The comparison.
pub(super) struct Baseline;

impl Kernel for Baseline {
    const ALGORITHM: &'static str = super::NAME;
    const BACKEND: &'static str = "scrypt-crate";

    fn detect() -> Option<Self> {
        Some(Self)
    }

    fn digest_many(&self, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
        whole::digest_many(hash, inputs, each, digests);
    }

    fn search(&self, job: &Job<'_>, finds: &mut Finds<'_>) -> u64 {
        whole::search::<1>(|inputs, each, digests| self.digest_many(inputs, each, digests), job, finds)
    }
}

pub(super) fn hash(input: &[u8]) -> [u8; 32] {
    let params = scrypt::Params::new(10, 1, 1).expect("2^10, 1 and 1 are within scrypt's limits");
    let mut digest = [0; 32];
    scrypt::scrypt(input, input, &params, &mut digest).expect("32 bytes are a length that scrypt gives");
    digest
}
