//! scrypt with N = 1024, r = 1, p = 1 and 32 bytes of output, the input as password and as salt: the proof of work of Litecoin.
//!
//! Knows neither headers nor jobs beyond what [`Kernel`](crate::Kernel) gives. Reading order: `romix` (where the time goes), `pbkdf2` (what
//! stands around it), then this file (batches and backends).

mod baseline;
mod pbkdf2;
mod romix;

use crate::bundled::Algorithm;
use crate::kernel::{Finds, Job, Kernel, table};
#[cfg(target_arch = "x86_64")]
use crate::words::{
    avx2::{Avx2, Words8},
    avx512::{Avx512, Words16},
};
use crate::words::{Quads, portable::Portable};
use adit_primitives::kernel::KernelTable;
use pbkdf2::Hmac;
use romix::{Block, Memory, ROWS, Row, romix};
use std::cell::RefCell;

/// The hash plugin's name.
const NAME: &str = "scrypt";

static PORTABLE: KernelTable = table::<Portable2>();
#[cfg(target_arch = "x86_64")]
static AVX2: KernelTable = table::<Avx2x6>();
#[cfg(target_arch = "x86_64")]
static AVX512: KernelTable = table::<Avx512x16>();
static BASELINE: KernelTable = table::<baseline::Baseline>();

/// This algorithm's kernels.
pub(crate) static ALGORITHM: Algorithm = Algorithm {
    name: NAME,
    #[cfg(target_arch = "x86_64")]
    kernels: &[&AVX512, &AVX2, &PORTABLE],
    #[cfg(not(target_arch = "x86_64"))]
    kernels: &[&PORTABLE],
    baseline: &BASELINE,
};

/// The most hashes that any backend runs at once.
const IN_FLIGHT_MAX: usize = 16;

/// A way to run ROMix on several hashes at once.
trait Mixer {
    /// How many hashes it takes at once: at most [`IN_FLIGHT_MAX`].
    const IN_FLIGHT: usize;

    /// Runs ROMix on the first `count` states; what becomes of the others does not matter.
    fn mix(&self, states: &mut [Row; IN_FLIGHT_MAX], count: usize, memory: &mut Vec<Row>);
}

thread_local! {
    /// The working memory of this thread: 128 KiB for each hash in flight, kept from one call to the next.
    static MEMORY: RefCell<Vec<Row>> = const { RefCell::new(Vec::new()) };
}

/// Hashes up to [`Mixer::IN_FLIGHT`] inputs at once.
fn digest_batch<'a>(mixer: &impl Mixer, inputs: impl Iterator<Item = &'a [u8]>, digests: &mut [[u8; 32]]) {
    let mut states = [[Block([0; 16]); 2]; IN_FLIGHT_MAX];
    let mut keys = [None; IN_FLIGHT_MAX];
    for ((input, state), key) in inputs.zip(&mut states).zip(&mut keys) {
        let hmac = key.insert(Hmac::new(input));
        *state = hmac.expand(input);
    }
    MEMORY.with_borrow_mut(|memory| mixer.mix(&mut states, digests.len(), memory));
    for ((digest, state), key) in digests.iter_mut().zip(&states).zip(keys.iter().flatten()) {
        *digest = key.extract(state);
    }
}

fn digest_many<M: Mixer>(mixer: &M, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
    let mut input = (0..).map(|number| &inputs[number * each..][..each]);
    for digests in digests.chunks_mut(M::IN_FLIGHT) {
        digest_batch(mixer, input.by_ref().take(digests.len()), digests);
    }
}

fn search<M: Mixer>(mixer: &M, job: &Job<'_>, finds: &mut Finds<'_>) -> u64 {
    let mut bytes = vec![0; M::IN_FLIGHT * job.length()];
    let mut digests = [[0; 32]; IN_FLIGHT_MAX];
    let mut scanned = 0;
    while scanned < job.count && finds.room() >= M::IN_FLIGHT * job.inputs().len() {
        let digests = &mut digests[..M::IN_FLIGHT.min(usize::try_from(job.count - scanned).unwrap_or(usize::MAX))];
        for (number, input) in (0..).zip(job.inputs()) {
            for (nonce, copy) in (scanned..).zip(bytes.chunks_exact_mut(job.length())) {
                copy.copy_from_slice(input);
                job.write_nonce(copy, job.nonce(nonce));
            }
            digest_batch(mixer, bytes.chunks_exact(job.length()).take(digests.len()), digests);
            for (nonce, digest) in (scanned..).zip(&*digests) {
                if job.is_met_by(digest) {
                    finds.push(job.nonce(nonce), number);
                }
            }
        }
        scanned += digests.len() as u64;
    }
    scanned
}

/// Runs `G` groups of `V`, where the entry point has made sure that the vector instructions are there.
#[inline(always)]
fn mix_groups<V: Quads, const G: usize, const H: usize>(
    machine: V::Machine,
    states: &mut [Row; IN_FLIGHT_MAX],
    memory: &mut Vec<Row>,
) {
    if memory.len() < ROWS * H {
        memory.resize(ROWS * H, [Block([0; 16]); 2]);
    }
    let (rows, _) = memory.as_chunks_mut();
    let memory: &mut Memory<H> = rows.first_chunk_mut().expect("the memory has just been made large enough");
    let states = states.first_chunk_mut().expect("no backend has more hashes in flight than there are states");
    romix::<V, G, H>(machine, states, memory);
}

/// Makes a backend: its mixer with a few hashes and with many, and its kernel.
macro_rules! backend {
    ($(#[$doc:meta])* $kernel:ident: $name:literal, $machine:ty, $detect:expr, $vector:ty, $(#[$feature:meta])?
        few: $few:literal groups of $few_hashes:literal, many: $many:literal groups of $many_hashes:literal) => {
        $(#[$doc])*
        struct $kernel($machine);

        impl Mixer for $kernel {
            const IN_FLIGHT: usize = $many * $many_hashes;

            fn mix(&self, states: &mut [Row; IN_FLIGHT_MAX], count: usize, memory: &mut Vec<Row>) {
                $(#[$feature])?
                fn few(machine: $machine, states: &mut [Row; IN_FLIGHT_MAX], memory: &mut Vec<Row>) {
                    mix_groups::<$vector, $few, { $few * $few_hashes }>(machine, states, memory);
                }
                $(#[$feature])?
                fn many(machine: $machine, states: &mut [Row; IN_FLIGHT_MAX], memory: &mut Vec<Row>) {
                    mix_groups::<$vector, $many, { $many * $many_hashes }>(machine, states, memory);
                }
                let is_few = count <= $few * $few_hashes;
                // SAFETY: `self.0` proves that the CPU has the feature, where one is named.
                #[allow(unused_unsafe)]
                unsafe {
                    if is_few { few(self.0, states, memory) } else { many(self.0, states, memory) }
                }
            }
        }

        impl Kernel for $kernel {
            const ALGORITHM: &'static str = NAME;
            const BACKEND: &'static str = $name;

            fn detect() -> Option<Self> {
                $detect.map(Self)
            }

            fn digest_many(&self, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
                digest_many(self, inputs, each, digests);
            }

            fn search(&self, job: &Job<'_>, finds: &mut Finds<'_>) -> u64 {
                search(self, job, finds)
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
backend! {
    /// Four hashes in each vector.
    Avx512x16: "avx512-16", Avx512, Avx512::detect(), Words16, #[target_feature(enable = "avx512f")]
    few: 1 groups of 4, many: 4 groups of 4
}

#[cfg(target_arch = "x86_64")]
backend! {
    /// Two hashes in each vector.
    Avx2x6: "avx2-6", Avx2, Avx2::detect(), Words8, #[target_feature(enable = "avx2")]
    few: 1 groups of 2, many: 3 groups of 2
}

backend! {
    /// One hash in each vector of plain Rust.
    Portable2: "portable-2", (), Some(()), Portable<4>,
    few: 1 groups of 1, many: 2 groups of 1
}
