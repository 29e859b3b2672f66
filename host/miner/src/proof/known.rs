//! Nonces that are known to meet a target as hard as those of real chains.

use super::KnownHit;
use adit_primitives::contract::SearchJob;
use adit_primitives::{Target, U256};

const COUNTED_BYTES: u8 = 80;

/// Returns the known hits of an algorithm; none for one that is not listed here.
///
/// Those of double SHA-256 and scrypt are the genesis blocks of Bitcoin and Litecoin. For the others nonces were searched, in the last
/// eight of 80 bytes that count from 0.
pub fn known_hits(algorithm: &str) -> Vec<KnownHit> {
    match algorithm {
        "sha256d" => vec![genesis(
            "3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a",
            (1_231_006_505, 0x1d00_ffff),
            2_083_236_893,
        )],
        "scrypt" => vec![genesis(
            "d9ced4ed1130f7b7faad9be25323ffafa33232a17c3edf6cfd97bee6bafbdd97",
            (1_317_972_665, 0x1e0f_fff0),
            2_084_524_493,
        )],
        "blake3" => vec![counted(32, 3_949_084_151)],
        "kheavyhash" => vec![counted(28, 486_916_200)],
        _ => Vec::new(),
    }
}

/// A genesis block of Bitcoin's form: version 1 and no parent.
fn genesis(root: &str, (time, bits): (u32, u32), nonce: u64) -> KnownHit {
    let mut header = vec![0; 80];
    header[0] = 1;
    for (byte, digits) in header[36..68].iter_mut().zip(root.as_bytes().as_chunks::<2>().0) {
        let digit = |at: usize| char::from(digits[at]).to_digit(16).and_then(|value| u8::try_from(value).ok());
        *byte = digit(0).zip(digit(1)).map(|(high, low)| high << 4 | low).expect("roots are written in hexadecimal");
    }
    header[68..72].copy_from_slice(&time.to_le_bytes());
    header[72..76].copy_from_slice(&bits.to_le_bytes());
    let target = Target::from_compact(bits).expect("the bits of a genesis block hold a target");
    KnownHit { job: SearchJob { inputs: vec![header], nonce_offset: 76, nonce_bytes: 4, target }, nonce }
}

/// A nonce whose digest begins, at its high end, with so many bits of 0.
fn counted(zero_bits: usize, nonce: u64) -> KnownHit {
    let target = Target(U256::MAX >> zero_bits);
    let job = SearchJob { inputs: vec![(0..COUNTED_BYTES).collect()], nonce_offset: 72, nonce_bytes: 8, target };
    KnownHit { job, nonce }
}
