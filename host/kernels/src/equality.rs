//! What every kernel has to pass: its digests and its finds are those of a reference that hashes one input at a time.

use crate::NativeEngine;
use crate::bundled::candidates;
use adit_primitives::contract::{Found, SearchJob};
use adit_primitives::engine::HashEngine;
use adit_primitives::kernel::FOUND_ROOM_MIN;
use adit_primitives::{Hash256, Target, U256};

/// The function that a kernel has to equal.
pub(crate) type Reference = fn(&[u8]) -> [u8; 32];

/// An engine for each kernel of the algorithm that this machine can run.
pub(crate) fn engines(algorithm: &str) -> Vec<NativeEngine> {
    let tables = candidates(algorithm);
    assert!(!tables.is_empty());
    tables.into_iter().map(|table| NativeEngine::new(table).unwrap()).collect()
}

/// Returns bytes that look random and are the same on each run.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

/// Returns a job of `inputs` inputs, equal but for their first four bytes, as rolled versions are.
pub(crate) fn rolled(length: usize, nonce: std::ops::Range<u32>, inputs: u8, target: Target) -> SearchJob {
    let input = |number| {
        let mut bytes = noise(length, 7);
        if nonce.start > 0 {
            bytes[0] = number;
        }
        bytes
    };
    SearchJob {
        inputs: (0..inputs).map(input).collect(),
        nonce_offset: nonce.start,
        nonce_bytes: nonce.end - nonce.start,
        target,
    }
}

/// Returns a target that one digest in 2^`bits` meets.
pub(crate) fn one_in(bits: usize) -> Target {
    Target(U256::MAX >> bits)
}

/// Checks digests of `count` inputs of `each` bytes.
#[track_caller]
pub(crate) fn check_digests(engine: &mut NativeEngine, reference: Reference, each: usize, count: usize) {
    let inputs = noise(each * count, each as u64);
    let mut digests = Vec::new();
    engine.digest_many(&inputs, each, &mut digests).unwrap();
    let wanted: Vec<Hash256> = inputs.chunks_exact(each.max(1)).map(|input| Hash256(reference(input))).collect();
    assert_eq!(digests, wanted, "{}: {count} inputs of {each} bytes", engine.backend());
}

/// Checks a search, and returns the number of finds.
#[track_caller]
pub(crate) fn check_search(
    engine: &mut NativeEngine,
    reference: Reference,
    job: &SearchJob,
    first: u64,
    count: u64,
) -> usize {
    let mut scan = engine.search(job, first, count).unwrap();
    let mask = job.nonces().map_or(u64::MAX, |nonces| nonces - 1);
    assert!(scan.scanned <= count && (scan.scanned > 0 || count == 0));
    let mut wanted = Vec::new();
    for (input, bytes) in (0..).zip(&job.inputs) {
        let mut bytes = bytes.clone();
        for step in 0..scan.scanned {
            let nonce = first.wrapping_add(step) & mask;
            job.write_nonce(&mut bytes, nonce);
            if job.target.is_met_by(&reference(&bytes)) {
                wanted.push(Found { nonce, input });
            }
        }
    }
    scan.found.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(scan.found, wanted, "{}: {count} nonces from {first:#x}", engine.backend());
    if wanted.len() < FOUND_ROOM_MIN {
        assert_eq!(scan.scanned, count.min(mask.saturating_add(1)), "{}: stopped without a reason", engine.backend());
    }
    wanted.len()
}
