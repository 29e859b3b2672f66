//! The `sha2` crate's compression function, with midstate: what backends are compared with, never mined with.

use super::{NAME, plain};
use crate::kernel::{Finds, Job, Kernel};

/// The comparison.
pub(super) struct Baseline;

impl Kernel for Baseline {
    const ALGORITHM: &'static str = NAME;
    const BACKEND: &'static str = "sha2-crate";

    fn detect() -> Option<Self> {
        Some(Self)
    }

    fn digest_many(&self, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
        plain::digest_many(compress, inputs, each, digests);
    }

    fn search(&self, job: &Job<'_>, finds: &mut Finds<'_>) -> u64 {
        plain::search(compress, job, finds)
    }
}

fn compress(state: &mut [u32; 8], block: &[u8; 64]) {
    sha2::block_api::compress256(state, std::slice::from_ref(block));
}
