//! The backends whose lanes are those of a vector.

use super::tail::{self, Part};
use super::{NAME, many, plain, scan};
use crate::kernel::{Finds, Job, Kernel};
use crate::words::avx2::{Avx2, Words8};
use crate::words::avx512::{Avx512, Words16};

/// Eight inputs or nonces at a time.
pub(super) struct Avx2x8(Avx2);

impl Kernel for Avx2x8 {
    const ALGORITHM: &'static str = NAME;
    const BACKEND: &'static str = "avx2-8";

    fn detect() -> Option<Self> {
        Avx2::detect().map(Self)
    }

    fn digest_many(&self, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
        #[target_feature(enable = "avx2")]
        fn run(machine: Avx2, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
            many::digest_many::<Words8, 8>(machine, inputs, each, digests);
        }
        // SAFETY: `Avx2` proves the feature.
        unsafe { run(self.0, inputs, each, digests) }
    }

    fn search(&self, job: &Job<'_>, finds: &mut Finds<'_>) -> u64 {
        #[target_feature(enable = "avx2")]
        fn run(machine: Avx2, part: &Part, range: (u32, u32), top: u32, hits: &mut [u32; 16]) -> u32 {
            scan::scan::<Words8>(machine, part, range, top, hits)
        }
        if !tail::fits(job) {
            return plain::search(job, finds);
        }
        // SAFETY: `Avx2` proves the feature.
        tail::search(job, finds, 8, &|part, range, top, hits| unsafe { run(self.0, part, range, top, hits) })
    }
}

/// Sixteen inputs or nonces at a time.
pub(super) struct Avx512x16(Avx512);

impl Kernel for Avx512x16 {
    const ALGORITHM: &'static str = NAME;
    const BACKEND: &'static str = "avx512-16";

    fn detect() -> Option<Self> {
        Avx512::detect().map(Self)
    }

    fn digest_many(&self, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
        #[target_feature(enable = "avx512f")]
        fn run(machine: Avx512, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
            many::digest_pairs::<Words16, 16>(machine, inputs, each, digests);
        }
        // SAFETY: `Avx512` proves the feature.
        unsafe { run(self.0, inputs, each, digests) }
    }

    fn search(&self, job: &Job<'_>, finds: &mut Finds<'_>) -> u64 {
        #[target_feature(enable = "avx512f")]
        fn run(machine: Avx512, part: &Part, range: (u32, u32), top: u32, hits: &mut [u32; 16]) -> u32 {
            scan::scan::<Words16>(machine, part, range, top, hits)
        }
        if !tail::fits(job) {
            return plain::search(job, finds);
        }
        // SAFETY: `Avx512` proves the feature.
        tail::search(job, finds, 16, &|part, range, top, hits| unsafe { run(self.0, part, range, top, hits) })
    }
}
