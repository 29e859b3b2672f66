//! The `blake3` crate, one input after another: what backends are compared with, never mined with.

use crate::kernel::{Finds, Job, Kernel};
use crate::whole;

/// The comparison.
pub(super) struct Baseline;

impl Kernel for Baseline {
    const ALGORITHM: &'static str = super::NAME;
    const BACKEND: &'static str = "blake3-crate";

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
    blake3::hash(input).into()
}
