//! What a backend is: a trait over slices, and the C table that is made from it.

use adit_primitives::kernel::{
    FOUND_ROOM_MIN, FoundNonce, INPUTS_MAX, KERNEL_ABI, KernelTable, SearchInput, SearchOutput, padded,
};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One backend of one hash algorithm.
///
/// A value of the type is the proof that this machine can run it: [`Kernel::detect`] is its only source, so the other functions may
/// call code for the detected CPU features.
pub trait Kernel: Sized {
    /// The hash plugin's name.
    const ALGORITHM: &'static str;
    /// What the backend is built for: `avx512-16` for sixteen lanes of AVX-512.
    const BACKEND: &'static str;

    /// Looks whether this machine can run the backend. Cheap: it is asked before each call.
    fn detect() -> Option<Self>;

    /// Makes ready for an epoch, where the algorithm has them.
    fn prepare(&self, _epoch: u64, _seed: &[u8; 32]) {}

    /// Hashes `digests.len()` inputs of `each` bytes.
    fn digest_many(&self, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]);

    /// Tries the job's nonces in order and returns how many were tried, at least one. It goes on while `finds` has room for
    /// whatever the next group of nonces may bring: at most [`FOUND_ROOM_MIN`] entries.
    fn search(&self, job: &Job<'_>, finds: &mut Finds<'_>) -> u64;
}

/// Work for one search, checked: the inputs are whole and the nonce field lies inside them.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    inputs: &'a [u8],
    length: usize,
    nonce_offset: usize,
    nonce_bytes: usize,
    /// The target, little-endian.
    pub target: [u8; 32],
    /// The first nonce, within the width of the field.
    pub first: u64,
    /// How many nonces to try, at least one and at most as many as the field can hold.
    pub count: u64,
}

/// Where a search leaves what it found.
#[derive(Debug)]
pub struct Finds<'a> {
    entries: &'a mut [MaybeUninit<FoundNonce>],
    filled: usize,
}

/// The call has a null pointer, an impossible size or an empty range.
const BAD_CALL: i32 = 1;
/// This machine cannot run the backend.
const UNSUPPORTED: i32 = 2;
/// The backend panicked.
const PANICKED: i32 = 3;

impl<'a> Job<'a> {
    /// Checks a description of work; `None` where it makes no sense.
    pub fn new(
        inputs: &'a [u8],
        length: usize,
        nonce: std::ops::Range<usize>,
        target: [u8; 32],
        range: (u64, u64),
    ) -> Option<Self> {
        let nonce_bytes = nonce.end.checked_sub(nonce.start)?;
        if !(1..=8).contains(&nonce_bytes) || nonce.end > length || !inputs.len().is_multiple_of(length) {
            return None;
        }
        if !(1..=INPUTS_MAX).contains(&(inputs.len() / length)) {
            return None;
        }
        let mut job =
            Self { inputs, length, nonce_offset: nonce.start, nonce_bytes, target, first: range.0, count: range.1 };
        job.first &= job.mask();
        job.count = job.count.min(job.mask().saturating_add(1));
        (job.count > 0).then_some(job)
    }

    /// Returns the inputs with their numbers.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        self.inputs.chunks_exact(self.length)
    }

    /// Returns the length of an input.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Returns where the little-endian nonce begins.
    pub fn nonce_offset(&self) -> usize {
        self.nonce_offset
    }

    /// Returns how many bytes the nonce has.
    pub fn nonce_bytes(&self) -> usize {
        self.nonce_bytes
    }

    /// Returns the greatest nonce that the field can hold; all its bits are set.
    pub fn mask(&self) -> u64 {
        u64::MAX >> (64 - 8 * self.nonce_bytes)
    }

    /// Returns the nonce that stands `steps` after the first one.
    pub fn nonce(&self, steps: u64) -> u64 {
        self.first.wrapping_add(steps) & self.mask()
    }

    /// Returns how many nonces from the one `steps` after the first differ in the low 32 bits alone, counting up without a carry.
    pub fn straight_run(&self, steps: u64) -> u64 {
        let low_mask = self.mask().min(u64::from(u32::MAX));
        (low_mask - (self.nonce(steps) & low_mask) + 1).min(self.count - steps)
    }

    /// Writes a nonce into a copy of an input.
    pub fn write_nonce(&self, input: &mut [u8], nonce: u64) {
        input[self.nonce_offset..self.nonce_offset + self.nonce_bytes]
            .copy_from_slice(&nonce.to_le_bytes()[..self.nonce_bytes]);
    }

    /// Tells whether a digest, read as a little-endian integer, does not exceed the target.
    pub fn is_met_by(&self, digest: &[u8; 32]) -> bool {
        digest.iter().rev().le(self.target.iter().rev())
    }

    /// Returns the highest 32 bits of the target: a digest whose last four bytes are above them can be dropped.
    pub fn target_top(&self) -> u32 {
        u32::from_le_bytes([self.target[28], self.target[29], self.target[30], self.target[31]])
    }
}

impl<'a> Finds<'a> {
    /// Wraps a buffer.
    pub fn new(entries: &'a mut [MaybeUninit<FoundNonce>]) -> Self {
        Self { entries, filled: 0 }
    }

    /// Notes a find. The caller has made sure of [`Finds::room`].
    pub fn push(&mut self, nonce: u64, input: u32) {
        self.entries[self.filled].write(FoundNonce { nonce, input, reserved: 0 });
        self.filled += 1;
    }

    /// Returns how many entries are free.
    pub fn room(&self) -> usize {
        self.entries.len() - self.filled
    }
}

/// Makes the C table of a backend.
#[expect(clippy::cast_possible_truncation, reason = "the table has some hundred bytes")]
pub const fn table<K: Kernel>() -> KernelTable {
    KernelTable {
        abi: KERNEL_ABI,
        size: size_of::<KernelTable>() as u32,
        algorithm: padded(K::ALGORITHM),
        backend: padded(K::BACKEND),
        supported: supported::<K>,
        prepare: prepare::<K>,
        digest_many: digest_many::<K>,
        search: search::<K>,
    }
}

/// Runs a backend for a C caller: no panic crosses the border.
fn call<K: Kernel>(act: impl FnOnce(&K) -> i32) -> i32 {
    catch_unwind(AssertUnwindSafe(|| K::detect().map_or(UNSUPPORTED, |kernel| act(&kernel)))).unwrap_or(PANICKED)
}

extern "C" fn supported<K: Kernel>() -> u32 {
    u32::from(call::<K>(|_| 0) == 0)
}

extern "C" fn prepare<K: Kernel>(epoch: u64, seed: *const [u8; 32]) -> i32 {
    call::<K>(|kernel| {
        // SAFETY: the ABI gives a pointer to 32 readable bytes for the length of the call, or null.
        let Some(seed) = (unsafe { seed.as_ref() }) else { return BAD_CALL };
        kernel.prepare(epoch, seed);
        0
    })
}

extern "C" fn digest_many<K: Kernel>(inputs: *const u8, each: usize, count: usize, digests: *mut u8) -> i32 {
    call::<K>(|kernel| {
        let Some(bytes) = each.checked_mul(count).filter(|bytes| isize::try_from(*bytes).is_ok()) else {
            return BAD_CALL;
        };
        if inputs.is_null() || digests.is_null() {
            return BAD_CALL;
        }
        // SAFETY: the ABI gives `each * count` readable bytes, neither null nor larger than an object can be.
        let inputs = unsafe { std::slice::from_raw_parts(inputs, bytes) };
        // SAFETY: the ABI gives room for `count` digests that nobody else touches during the call; any bytes are a digest.
        let digests = unsafe { std::slice::from_raw_parts_mut(digests.cast::<[u8; 32]>(), count) };
        kernel.digest_many(inputs, each, digests);
        0
    })
}

extern "C" fn search<K: Kernel>(input: *const SearchInput, output: *mut SearchOutput) -> i32 {
    call::<K>(|kernel| {
        // SAFETY: the ABI gives pointers to whole structures that outlive the call, or null.
        let (Some(input), Some(output)) = (unsafe { input.as_ref() }, unsafe { output.as_mut() }) else {
            return BAD_CALL;
        };
        let bytes = input.length.checked_mul(input.count).filter(|bytes| isize::try_from(*bytes).is_ok());
        let nonce_end = input.nonce_offset.checked_add(input.nonce_bytes);
        let (Some(bytes @ 1..), Some(nonce_end)) = (bytes, nonce_end) else { return BAD_CALL };
        if input.inputs.is_null() || output.found.is_null() || output.found_room < FOUND_ROOM_MIN {
            return BAD_CALL;
        }
        // SAFETY: the ABI gives `count * length` readable bytes, neither null nor larger than an object can be.
        let inputs = unsafe { std::slice::from_raw_parts(input.inputs, bytes) };
        // SAFETY: the ABI gives `found_room` entries that nobody else touches during the call; they need no value yet.
        let entries = unsafe { std::slice::from_raw_parts_mut(output.found.cast(), output.found_room) };
        let range = (input.nonce_first, input.nonce_count);
        let Some(job) = Job::new(inputs, input.length, input.nonce_offset..nonce_end, input.target, range) else {
            return BAD_CALL;
        };
        let mut finds = Finds::new(entries);
        output.scanned = kernel.search(&job, &mut finds);
        output.found_count = finds.filled;
        0
    })
}
