//! Double SHA-256.
//!
//! Every backend takes inputs of any length with the nonce anywhere. The vector backends are fast where the nonce's low 32 bits are
//! the fourth word of the last padded block: Bitcoin's header of 80 bytes and Adit's of 88 both have it there. For everything else
//! they hash one message after another.
//!
//! Reading order: `plain` (one message after another), `rounds` (SHA-256 itself), `tail` (what a job lets one compute once), `scan`
//! (the search on lanes), `many` (an input in each lane), then the backends `vectors` and `sha_ni`.

#[cfg(target_arch = "x86_64")]
mod many;
pub(crate) mod plain;
pub(crate) mod rounds;
#[cfg(target_arch = "x86_64")]
mod scan;
#[cfg(target_arch = "x86_64")]
mod sha_ni;
#[cfg(target_arch = "x86_64")]
mod tail;
#[cfg(target_arch = "x86_64")]
mod vectors;

use crate::bundled::Algorithm;
use crate::kernel::table;
use adit_primitives::kernel::KernelTable;

/// The hash plugin's name.
const NAME: &str = "sha256d";

#[cfg(target_arch = "x86_64")]
static AVX512: KernelTable = table::<vectors::Avx512x16>();
#[cfg(target_arch = "x86_64")]
static AVX2: KernelTable = table::<vectors::Avx2x8>();
#[cfg(target_arch = "x86_64")]
static SHA_NI: KernelTable = table::<sha_ni::ShaNi>();
static PORTABLE: KernelTable = table::<plain::Portable>();

/// This algorithm's kernels.
pub(crate) static ALGORITHM: Algorithm = Algorithm {
    name: NAME,
    kernels: &[
        #[cfg(target_arch = "x86_64")]
        &AVX512,
        #[cfg(target_arch = "x86_64")]
        &AVX2,
        #[cfg(target_arch = "x86_64")]
        &SHA_NI,
        &PORTABLE,
    ],
    baseline: &PORTABLE,
};

#[cfg(test)]
mod tests {
    use super::NAME;
    use crate::equality::{check_digests, check_search, engines, noise, one_in, rolled};
    use adit_primitives::contract::SearchJob;
    use adit_primitives::{Target, sha256d};
    use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

    /// The headers that mining is about: Bitcoin's with a nonce of 4 bytes, Adit's with one of 8.
    const HEADERS: [(usize, std::ops::Range<u32>); 2] = [(80, 76..80), (88, 76..84)];

    #[track_caller]
    fn check(job: &SearchJob, first: u64, count: u64) -> usize {
        let finds = engines(NAME).iter_mut().map(|engine| check_search(engine, sha256d, job, first, count)).max();
        finds.expect("one kernel runs everywhere")
    }

    #[test]
    fn digests_are_right_at_every_length() {
        for engine in &mut engines(NAME) {
            for each in 1..1024 {
                check_digests(engine, sha256d, each, 19);
            }
        }
    }

    #[test]
    fn digests_are_right_for_every_number_of_inputs() {
        for engine in &mut engines(NAME) {
            for count in 0..70 {
                check_digests(engine, sha256d, 80, count);
                check_digests(engine, sha256d, 88, count);
            }
        }
    }

    #[test]
    fn nothing_at_all_has_a_digest() {
        use adit_primitives::engine::HashEngine;
        for engine in &mut engines(NAME) {
            assert_eq!(engine.digest(&[]).unwrap().0, sha256d(&[]));
        }
    }

    #[test]
    fn the_first_nonce_of_bitcoin_is_found() {
        let mut header = noise(80, 0);
        // The genesis header of Bitcoin's main network.
        let hex = "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c";
        for (byte, digits) in header.iter_mut().zip(hex.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
        }
        let target = Target::from_compact(0x1d00_ffff).unwrap();
        let job = SearchJob { inputs: vec![header], nonce_offset: 76, nonce_bytes: 4, target };
        assert_eq!(check(&job, 0x7c2b_ac1d - 1000, 2001), 1);
    }

    #[test]
    fn finds_are_right_whatever_the_target() {
        for (length, nonce) in HEADERS {
            for bits in [0, 1, 2, 5, 8, 11, 30, 33, 255] {
                check(&rolled(length, nonce.clone(), 1, one_in(bits)), 12_345, 3000);
                check(&rolled(length, nonce.clone(), 3, one_in(bits)), 12_345, 500);
            }
        }
    }

    #[test]
    fn a_hit_is_found_in_each_lane() {
        // One nonce at a time has each digest in turn as its target, so that every lane brings the only find once.
        for (length, nonce) in HEADERS {
            let mut job = rolled(length, nonce, 2, Target::MAX);
            for step in 0..64 {
                let mut bytes = job.inputs[1].clone();
                job.write_nonce(&mut bytes, 1000 + step);
                job.target = Target(adit_primitives::U256::from_le_bytes(sha256d(&bytes)));
                assert!(check(&job, 1000, 64) >= 1);
            }
        }
    }

    #[test]
    fn any_count_of_nonces_is_tried_to_the_last() {
        for (length, nonce) in HEADERS {
            let job = rolled(length, nonce, 1, one_in(3));
            for count in 0..100 {
                check(&job, 5, count);
            }
        }
    }

    #[test]
    fn the_low_word_carries_into_the_high_one() {
        let job = rolled(88, 76..84, 2, one_in(4));
        check(&job, 0xffff_ff00, 600);
        check(&job, 0x1_ffff_fff3, 600);
        check(&job, 0xffff_ffff_ffff_ff01, 600);
        check(&rolled(86, 76..82, 2, one_in(4)), 0xffff_ffff_ff01, 600);
    }

    #[test]
    fn a_nonce_wraps_at_the_width_of_its_field() {
        check(&rolled(80, 76..80, 2, one_in(4)), 0xffff_ff00, 600);
        check(&rolled(78, 76..78, 1, one_in(4)), 0xff00, 600);
        check(&rolled(77, 76..77, 1, one_in(2)), 250, 1000);
    }

    #[test]
    fn a_nonce_may_lie_anywhere() {
        for offset in 0..150 {
            check(&rolled(160, offset..offset + 5, 1, one_in(3)), 0xffff_ffe0, 60);
        }
    }

    #[test]
    fn inputs_with_different_last_blocks_are_searched_together() {
        let mut job = rolled(80, 76..80, 9, one_in(4));
        for (number, input) in (0u8..).zip(&mut job.inputs) {
            input[70] = number / 2;
        }
        check(&job, 77, 700);
    }

    #[test]
    fn more_inputs_than_a_kernel_takes_at_once_are_searched_all_the_same() {
        check(&rolled(80, 76..80, 40, one_in(6)), 9, 1000);
        check(&rolled(80, 76..80, 40, Target::MAX), 9, 1000);
    }

    /// Lengths with an offset and a width of the nonce; half of them where the vector backends are fast.
    fn places() -> impl Strategy<Value = (usize, u32, u32)> {
        let fast = (0u32..3, 4u32..=8).prop_flat_map(|(blocks, bytes)| {
            let offset = 64 * blocks + 12;
            (offset + bytes..=offset + 43, Just(offset), Just(bytes))
        });
        let anywhere = (0u32..300, 1u32..=8)
            .prop_flat_map(|(offset, bytes)| (offset + bytes..offset + 200, Just(offset), Just(bytes)));
        prop_oneof![fast, anywhere].prop_map(|(length, offset, bytes)| (length as usize, offset, bytes))
    }

    proptest! {
        #[test]
        fn every_backend_finds_what_the_reference_finds(
            (length, offset, bytes) in places(),
            contents in any::<u64>(),
            inputs in 1u8..6,
            first in prop_oneof![any::<u64>(), 0xffff_ff00u64..0x1_0000_0000],
            count in 1u64..300,
            bits in 0usize..9,
        ) {
            let mut job = rolled(length, offset..offset + bytes, inputs, one_in(bits));
            for (number, input) in (0u8..).zip(&mut job.inputs) {
                let other = noise(length, contents);
                // Differences before the last block in some, everywhere in others.
                let upto = if contents % 2 == 0 { length.min(offset as usize / 64 * 64) } else { length };
                input[..upto].copy_from_slice(&other[..upto]);
                if upto > 0 {
                    input[0] = number;
                }
            }
            check(&job, first, count);
        }
    }
}
