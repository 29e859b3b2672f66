//! The C ABI of a native kernel: one table of functions for a hash algorithm, written in any language.
//!
//! A kernel only proposes: the host proves it equal to the sandboxed plugin before use and by sampling, and drops it on the first
//! difference. The table is append-only: a host reads the first `min(size, its own)` bytes and checks `abi`.

/// The version of this ABI.
pub const KERNEL_ABI: u32 = 1;

/// The symbol under which a shared library exports a function of type [`KernelEntry`].
pub const KERNEL_SYMBOL: &[u8] = b"adit_kernel_v1\0";

/// The most [`SearchOutput::found`] entries that one group of nonces may need: a kernel stops while this many are free.
pub const FOUND_ROOM_MIN: usize = 1024;

/// The most inputs that a host gives to one search, so that a group of up to 64 nonces fits [`FOUND_ROOM_MIN`].
pub const INPUTS_MAX: usize = 16;

/// The exported function: returns a table that stays valid for the life of the process.
pub type KernelEntry = extern "C" fn() -> *const KernelTable;

/// Work for one search. All pointers are borrowed for the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SearchInput {
    /// `count` inputs of `length` bytes, one after another, at most [`INPUTS_MAX`]. They may differ anywhere but in the nonce field.
    pub inputs: *const u8,
    pub count: usize,
    pub length: usize,
    /// Where the little-endian nonce begins, and its bytes: 1 to 8.
    pub nonce_offset: usize,
    pub nonce_bytes: usize,
    /// The target, little-endian.
    pub target: [u8; 32],
    /// The first nonce, and how many to try; they wrap at the width of the field.
    pub nonce_first: u64,
    pub nonce_count: u64,
}

/// A find: a nonce, and the number of the input.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundNonce {
    pub nonce: u64,
    pub input: u32,
    pub reserved: u32,
}

/// Where a search writes. The host owns the buffer and gives at least [`FOUND_ROOM_MIN`] entries.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SearchOutput {
    pub found: *mut FoundNonce,
    pub found_room: usize,
    /// Written by the kernel: how many entries it filled.
    pub found_count: usize,
    /// Written by the kernel: how many nonces it tried with every input, at least one. Fewer than asked for where room ran short.
    pub scanned: u64,
}

/// A kernel. Functions return 0, or a code of their own on failure; none unwinds, keeps a pointer, or writes outside its output.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct KernelTable {
    /// [`KERNEL_ABI`].
    pub abi: u32,
    /// The size of this table in bytes.
    pub size: u32,
    /// The hash plugin's name, padded with zeros.
    pub algorithm: [u8; 32],
    /// What the kernel is built for (`avx512-16`), padded with zeros.
    pub backend: [u8; 32],
    /// Returns 1 where this machine can run the kernel. Called before anything else.
    pub supported: extern "C" fn() -> u32,
    /// Makes ready for an epoch; a kernel without epochs returns 0.
    pub prepare: extern "C" fn(epoch: u64, seed: *const [u8; 32]) -> i32,
    /// Hashes `count` inputs of `each` bytes into `count` digests of 32 bytes.
    pub digest_many: extern "C" fn(inputs: *const u8, each: usize, count: usize, digests: *mut u8) -> i32,
    /// Searches.
    pub search: extern "C" fn(input: *const SearchInput, output: *mut SearchOutput) -> i32,
}

/// Pads a name with zeros to the length that the table has for it.
pub const fn padded(name: &str) -> [u8; 32] {
    let bytes = name.as_bytes();
    let mut out = [0; 32];
    let mut index = 0;
    while index < bytes.len() {
        out[index] = bytes[index];
        index += 1;
    }
    out
}

/// Reads a padded name.
pub fn unpadded(name: &[u8; 32]) -> String {
    let length = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    String::from_utf8_lossy(&name[..length]).into_owned()
}
