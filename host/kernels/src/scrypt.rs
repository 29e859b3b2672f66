//! scrypt with N = 1024, r = 1, p = 1 and 32 bytes of output, the input as password and as salt: the proof of work of Litecoin.
//!
//! Knows neither headers nor jobs beyond what [`Kernel`](crate::Kernel) gives. Reading order: `romix` (where the time goes), `pbkdf2` (what
//! stands around it), then this file (batches and backends).

mod baseline;
mod pbkdf2;
mod romix;
#[cfg(test)]
mod tests;

use crate::bundled::Algorithm;
use crate::kernel::{Finds, Job, Kernel, table};
use crate::whole;
use crate::words::{Words, portable::Portable};
#[cfg(target_arch = "x86_64")]
use crate::words::{
    avx2::{Avx2, Words8},
    avx512::{Avx512, Words16},
};
use adit_primitives::kernel::KernelTable;
use pbkdf2::Hmac;
use romix::{Block, Memory, ROWS, Row, romix};
use std::cell::RefCell;

/// The hash plugin's name.
const NAME: &str = "scrypt";

static SCALAR: KernelTable = table::<Scalar>();
#[cfg(target_arch = "x86_64")]
static AVX2: KernelTable = table::<Avx2x8>();
#[cfg(target_arch = "x86_64")]
static AVX512: KernelTable = table::<Avx512x16>();
static BASELINE: KernelTable = table::<baseline::Baseline>();

/// This algorithm's kernels.
pub(crate) static ALGORITHM: Algorithm = Algorithm {
    name: NAME,
    #[cfg(target_arch = "x86_64")]
    kernels: &[&AVX512, &AVX2, &SCALAR],
    #[cfg(not(target_arch = "x86_64"))]
    kernels: &[&SCALAR],
    baseline: &BASELINE,
};

/// The most hashes that any backend runs at once.
const LANES_MAX: usize = 16;

/// A way to run ROMix on several hashes at once.
trait Mixer {
    /// How many hashes it takes at once: at most [`LANES_MAX`].
    const LANES: usize;

    /// Runs ROMix on the first [`Mixer::LANES`] states.
    fn mix(&self, states: &mut [Row; LANES_MAX], memory: &mut Vec<Row>);
}

thread_local! {
    /// The working memory of this thread: 128 KiB for each lane, kept from one call to the next.
    static MEMORY: RefCell<Vec<Row>> = const { RefCell::new(Vec::new()) };
}

/// Hashes at most [`Mixer::LANES`] inputs, one for each digest.
fn digest_batch<'a, M: Mixer>(mixer: &M, inputs: impl Iterator<Item = &'a [u8]>, digests: &mut [[u8; 32]]) {
    let mut states = [[Block([0; 16]); 2]; LANES_MAX];
    let mut keys = [None; LANES_MAX];
    for ((input, state), key) in inputs.zip(&mut states).zip(&mut keys) {
        *state = key.insert(Hmac::new(input)).expand(input);
    }
    MEMORY.with_borrow_mut(|memory| match digests.len() {
        // Twice as fast as vectors with one lane in use.
        1 => Scalar.mix(&mut states, memory),
        _ => mixer.mix(&mut states, memory),
    });
    for ((digest, state), key) in digests.iter_mut().zip(&states).zip(keys.iter().flatten()) {
        *digest = key.extract(state);
    }
}

fn digest_many<M: Mixer>(mixer: &M, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
    let mut inputs = (0..).map(|number| &inputs[number * each..][..each]);
    for digests in digests.chunks_mut(M::LANES) {
        digest_batch(mixer, inputs.by_ref().take(digests.len()), digests);
    }
}

/// Runs ROMix with one hash in each of `H` lanes.
#[inline(always)]
fn mix_lanes<V: Words, const H: usize>(machine: V::Machine, states: &mut [Row; LANES_MAX], memory: &mut Vec<Row>) {
    if memory.len() < ROWS * H {
        memory.resize(ROWS * H, [Block([0; 16]); 2]);
    }
    let memory: &mut Memory<H> =
        memory.as_chunks_mut().0.first_chunk_mut().expect("it has just been made large enough");
    let states = states.first_chunk_mut().expect("no backend has more lanes than there are states");
    romix::<V, H>(machine, states, memory);
}

/// One hash at a time, in plain Rust.
struct Scalar;

impl Mixer for Scalar {
    const LANES: usize = 1;

    fn mix(&self, states: &mut [Row; LANES_MAX], memory: &mut Vec<Row>) {
        mix_lanes::<Portable<1>, 1>((), states, memory);
    }
}

/// Eight hashes at a time.
#[cfg(target_arch = "x86_64")]
struct Avx2x8(Avx2);

#[cfg(target_arch = "x86_64")]
impl Mixer for Avx2x8 {
    const LANES: usize = 8;

    fn mix(&self, states: &mut [Row; LANES_MAX], memory: &mut Vec<Row>) {
        #[target_feature(enable = "avx2")]
        fn mix(machine: Avx2, states: &mut [Row; LANES_MAX], memory: &mut Vec<Row>) {
            mix_lanes::<Words8, 8>(machine, states, memory);
        }
        // SAFETY: `Avx2` proves the feature.
        unsafe { mix(self.0, states, memory) }
    }
}

/// Sixteen hashes at a time.
#[cfg(target_arch = "x86_64")]
struct Avx512x16(Avx512);

#[cfg(target_arch = "x86_64")]
impl Mixer for Avx512x16 {
    const LANES: usize = 16;

    fn mix(&self, states: &mut [Row; LANES_MAX], memory: &mut Vec<Row>) {
        #[target_feature(enable = "avx512f")]
        fn mix(machine: Avx512, states: &mut [Row; LANES_MAX], memory: &mut Vec<Row>) {
            mix_lanes::<Words16, 16>(machine, states, memory);
        }
        // SAFETY: `Avx512` proves the feature.
        unsafe { mix(self.0, states, memory) }
    }
}

/// Makes a mixer a kernel.
macro_rules! kernel {
    ($mixer:ident, $backend:literal, $detect:expr) => {
        impl Kernel for $mixer {
            const ALGORITHM: &'static str = NAME;
            const BACKEND: &'static str = $backend;

            fn detect() -> Option<Self> {
                $detect
            }

            fn digest_many(&self, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
                digest_many(self, inputs, each, digests);
            }

            fn search(&self, job: &Job<'_>, finds: &mut Finds<'_>) -> u64 {
                whole::search::<{ Self::LANES }>(
                    |inputs, each, digests| digest_many(self, inputs, each, digests),
                    job,
                    finds,
                )
            }
        }
    };
}

kernel!(Scalar, "scalar", Some(Self));
#[cfg(target_arch = "x86_64")]
kernel!(Avx2x8, "avx2-8", Avx2::detect().map(Self));
#[cfg(target_arch = "x86_64")]
kernel!(Avx512x16, "avx512-16", Avx512::detect().map(Self));
