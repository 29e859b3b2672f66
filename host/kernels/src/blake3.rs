//! BLAKE3 with 32 bytes of output.
//!
//! Every backend takes inputs of any length with the nonce anywhere: up to 1024 bytes, one input in each lane; above that, the
//! `blake3` crate. A search is fast where the nonce's low word is the fourth of the input's last block of 64 bytes: Bitcoin's header
//! of 80 bytes and Adit's of 88 both have it there.
//!
//! Reading order: `compress`, `digest` (different inputs), `search` (one input, many nonces), then this file's backends.

mod baseline;
pub(crate) mod compress;
mod digest;
mod search;
#[cfg(test)]
mod tests;

use crate::bundled::Algorithm;
use crate::kernel::{Finds, Job, Kernel, table};
use crate::whole;
use crate::words::portable::Portable;
#[cfg(target_arch = "x86_64")]
use crate::words::{
    avx2::{Avx2, Words8},
    avx512::{Avx512, Words16},
};
use adit_primitives::kernel::KernelTable;
use search::Part;

/// The hash plugin's name.
const NAME: &str = "blake3";

static SCALAR: KernelTable = table::<Scalar>();
#[cfg(target_arch = "x86_64")]
static AVX2: KernelTable = table::<Avx2x8>();
#[cfg(target_arch = "x86_64")]
static AVX512: KernelTable = table::<Avx512x16>();
static BASELINE: KernelTable = table::<baseline::Baseline>();

/// This algorithm's kernels.
pub(crate) static ALGORITHM: Algorithm = Algorithm {
    name: NAME,
    kernels: &[
        #[cfg(target_arch = "x86_64")]
        &AVX512,
        #[cfg(target_arch = "x86_64")]
        &AVX2,
        &SCALAR,
    ],
    baseline: &BASELINE,
};

/// A way to hash in lanes.
trait Lanes {
    /// Hashes inputs of at most [`digest::CHUNK`] bytes.
    fn digest_chunks(&self, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]);

    /// Does [`search::scan`].
    fn scan(&self, part: &Part, count: u32, top: u32, candidates: &mut Vec<u32>);
}

fn digest_many(lanes: &impl Lanes, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
    if each > digest::CHUNK {
        whole::digest_many(baseline::hash, inputs, each, digests);
    } else if digests.len() == 1 {
        // Alone in the lanes it would take longer than by itself.
        Scalar.digest_chunks(inputs, each, digests);
    } else {
        lanes.digest_chunks(inputs, each, digests);
    }
}

fn search<const LANES: usize>(lanes: &impl Lanes, job: &Job<'_>, finds: &mut Finds<'_>) -> u64 {
    if search::fits(job) {
        let scan = |part: &Part, count, top, candidates: &mut Vec<u32>| lanes.scan(part, count, top, candidates);
        search::search::<LANES>(job, finds, scan)
    } else {
        whole::search::<LANES>(|inputs, each, digests| digest_many(lanes, inputs, each, digests), job, finds)
    }
}

/// One input at a time, in plain Rust.
struct Scalar;

impl Lanes for Scalar {
    fn digest_chunks(&self, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
        digest::digest_many::<Portable<1>, 1>((), inputs, each, digests);
    }

    fn scan(&self, part: &Part, count: u32, top: u32, candidates: &mut Vec<u32>) {
        search::scan::<Portable<1>>((), part, count, top, candidates);
    }
}

/// Eight inputs or nonces at a time.
#[cfg(target_arch = "x86_64")]
struct Avx2x8(Avx2);

#[cfg(target_arch = "x86_64")]
impl Lanes for Avx2x8 {
    fn digest_chunks(&self, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
        #[target_feature(enable = "avx2")]
        fn run(machine: Avx2, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
            digest::digest_many::<Words8, 8>(machine, inputs, each, digests);
        }
        // SAFETY: `Avx2` proves the feature.
        unsafe { run(self.0, inputs, each, digests) }
    }

    fn scan(&self, part: &Part, count: u32, top: u32, candidates: &mut Vec<u32>) {
        #[target_feature(enable = "avx2")]
        fn run(machine: Avx2, part: &Part, count: u32, top: u32, candidates: &mut Vec<u32>) {
            search::scan::<Words8>(machine, part, count, top, candidates);
        }
        // SAFETY: `Avx2` proves the feature.
        unsafe { run(self.0, part, count, top, candidates) }
    }
}

/// Sixteen inputs or nonces at a time.
#[cfg(target_arch = "x86_64")]
struct Avx512x16(Avx512);

#[cfg(target_arch = "x86_64")]
impl Lanes for Avx512x16 {
    fn digest_chunks(&self, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
        #[target_feature(enable = "avx512f")]
        fn run(machine: Avx512, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
            digest::digest_many::<Words16, 16>(machine, inputs, each, digests);
        }
        // SAFETY: `Avx512` proves the feature.
        unsafe { run(self.0, inputs, each, digests) }
    }

    fn scan(&self, part: &Part, count: u32, top: u32, candidates: &mut Vec<u32>) {
        #[target_feature(enable = "avx512f")]
        fn run(machine: Avx512, part: &Part, count: u32, top: u32, candidates: &mut Vec<u32>) {
            search::scan::<Words16>(machine, part, count, top, candidates);
        }
        // SAFETY: `Avx512` proves the feature.
        unsafe { run(self.0, part, count, top, candidates) }
    }
}

/// Makes a backend a kernel.
macro_rules! kernel {
    ($lanes:ident, $backend:literal, $width:literal, $detect:expr) => {
        impl Kernel for $lanes {
            const ALGORITHM: &'static str = NAME;
            const BACKEND: &'static str = $backend;

            fn detect() -> Option<Self> {
                $detect
            }

            fn digest_many(&self, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
                digest_many(self, inputs, each, digests);
            }

            fn search(&self, job: &Job<'_>, finds: &mut Finds<'_>) -> u64 {
                search::<$width>(self, job, finds)
            }
        }
    };
}

kernel!(Scalar, "scalar", 1, Some(Self));
#[cfg(target_arch = "x86_64")]
kernel!(Avx2x8, "avx2-8", 8, Avx2::detect().map(Self));
#[cfg(target_arch = "x86_64")]
kernel!(Avx512x16, "avx512-16", 16, Avx512::detect().map(Self));
