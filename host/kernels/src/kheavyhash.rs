//! kHeavyHash, Kaspa's proof of work: cSHAKE256, a matrix of nibbles, cSHAKE256.
//!
//! Every backend takes inputs of any length with the nonce anywhere. A search is fast where the input is shorter than 136 bytes and
//! the nonce lies in one word of eight bytes from the 32nd on: Kaspa's 80 bytes with the nonce at 72. Then a matrix is made once for
//! an input, which takes as long as dozens of hashes.
//!
//! Reading order: `matrix`, `vectors` (eight words of AVX-512, four of AVX2, one anywhere, and their products), `keccak`, `search`,
//! then this file's backends.

mod baseline;
mod keccak;
mod matrix;
mod search;
#[cfg(test)]
mod tests;
mod vectors;

use crate::bundled::Algorithm;
use crate::kernel::{Finds, Job, Kernel, table};
use crate::whole;
#[cfg(target_arch = "x86_64")]
use crate::words::avx2::Avx2;
use adit_primitives::kernel::KernelTable;
use vectors::{Words, portable::One};
#[cfg(target_arch = "x86_64")]
use vectors::{
    avx2::Four,
    avx512::{Avx512, Eight},
};

/// The hash plugin's name.
const NAME: &str = "kheavyhash";

static SCALAR: KernelTable = table::<Scalar>();
#[cfg(target_arch = "x86_64")]
static AVX2: KernelTable = table::<Avx2x4>();
#[cfg(target_arch = "x86_64")]
static AVX512: KernelTable = table::<Avx512x8>();
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

/// One input at a time, in plain Rust.
struct Scalar(());

/// Four inputs or nonces at a time.
#[cfg(target_arch = "x86_64")]
struct Avx2x4(Avx2);

/// Eight inputs or nonces at a time, multiplied with VNNI.
#[cfg(target_arch = "x86_64")]
struct Avx512x8(Avx512);

/// Makes a backend a kernel: everything between its two entry points and its vectors is compiled for its features.
macro_rules! kernel {
    ($kernel:ident, $words:ident, $backend:literal, $detect:expr, $(#[$features:meta])?) => {
        impl Kernel for $kernel {
            const ALGORITHM: &'static str = NAME;
            const BACKEND: &'static str = $backend;

            fn detect() -> Option<Self> {
                $detect
            }

            fn digest_many(&self, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
                $(#[$features])?
                fn run(machine: <$words as Words>::Machine, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
                    search::digest_many::<$words>(machine, inputs, each, digests);
                }
                // SAFETY: the machine proves the features.
                #[allow(unused_unsafe, reason = "plain Rust needs no feature")]
                unsafe { run(self.0, inputs, each, digests) }
            }

            fn search(&self, job: &Job<'_>, finds: &mut Finds<'_>) -> u64 {
                $(#[$features])?
                fn run(machine: <$words as Words>::Machine, job: &Job<'_>, finds: &mut Finds<'_>) -> u64 {
                    search::search::<$words>(machine, job, finds)
                }
                if search::fits(job) {
                    // SAFETY: the machine proves the features.
                    #[allow(unused_unsafe, reason = "plain Rust needs no feature")]
                    unsafe { run(self.0, job, finds) }
                } else {
                    let digest_many = |inputs: &[u8], each, out: &mut [[u8; 32]]| self.digest_many(inputs, each, out);
                    whole::search::<{ <$words as Words>::LANES }>(digest_many, job, finds)
                }
            }
        }
    };
}

kernel!(Scalar, One, "scalar", Some(Self(())),);
#[cfg(target_arch = "x86_64")]
kernel!(Avx2x4, Four, "avx2-4", Avx2::detect().map(Self), #[target_feature(enable = "avx2")]);
#[cfg(target_arch = "x86_64")]
kernel!(Avx512x8, Eight, "avx512-8", Avx512::detect().map(Self), #[target_feature(enable = "avx512f,avx512vnni")]);
