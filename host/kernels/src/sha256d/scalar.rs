//! Portable code, for any machine.

use super::{NAME, plain};
use crate::kernel::{Finds, Job, Kernel};

/// The backend.
pub(super) struct Scalar;

impl Kernel for Scalar {
    const ALGORITHM: &'static str = NAME;
    const BACKEND: &'static str = "scalar";

    fn detect() -> Option<Self> {
        Some(Self)
    }

    fn digest_many(&self, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
        plain::digest_many(plain::compress, inputs, each, digests);
    }

    fn search(&self, job: &Job<'_>, finds: &mut Finds<'_>) -> u64 {
        plain::search(plain::compress, job, finds)
    }
}
