//! The plugin, natively built, against the `shabal` crate and the vector that is published with PoC2.

use crate::Poc2;
use crate::nonce::Nonces;
use crate::shabal::Shabal;
use adit_plugin_sdk::plot::{NONCE_BYTES, SCOOP_BYTES, SCOOPS};
use adit_plugin_sdk::simd::Words;
use adit_plugin_sdk::space::hard_score_input;
use adit_plugin_sdk::{Found, Hash256, HashAlgorithm, SearchJob, Target, U256};
use sha2::{Digest, Sha256};
use shabal::Shabal256;

/// Of the vector that is published with PoC2: nonces 1337 to 1368 of this account, and the SHA-256 of their plot.
const ACCOUNT: u64 = 7_900_104_405_094_198_526;
const FIRST: u64 = 1_337;
const NONCES: u64 = 32;
const PLOT: &str = "eebdf7dce694cbea9539f71efc362d4b72f8792def335d7157dadb09bb6d9e5f";

/// Returns a nonce by the crate alone, scoop after scoop.
fn reference(account: u64, number: u64) -> Vec<u8> {
    let mut nonce = vec![0; NONCE_BYTES];
    nonce.extend([account, number].map(u64::to_be_bytes).as_flattened());
    for place in (0..NONCE_BYTES).step_by(32).rev() {
        let behind = place + 32;
        let digest = Shabal256::digest(&nonce[behind..nonce.len().min(behind + 4_096)]);
        nonce[place..behind].copy_from_slice(&digest);
    }
    let whole = Shabal256::digest(&nonce);
    nonce.truncate(NONCE_BYTES);
    nonce.iter_mut().zip(whole.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    let digest = |number: usize| nonce[32 * number..][..32].to_vec();
    (0..SCOOPS).flat_map(|scoop| [digest(2 * scoop), digest(2 * (SCOOPS - 1 - scoop) + 1)].concat()).collect()
}

/// Returns the digest that an input should have, by the crate alone.
fn answer(nonce: &[u8], scoop: u32, challenge: &[u8; 32]) -> Hash256 {
    let scoop = &nonce[scoop as usize * SCOOP_BYTES..][..SCOOP_BYTES];
    let quality = Shabal256::new().chain_update(challenge).chain_update(scoop).finalize();
    let mut digest = [0; 32];
    digest[24..].copy_from_slice(&quality[..8]);
    Hash256(digest)
}

fn input(account: u64, number: u64, scoop: u32, challenge: &[u8; 32]) -> Vec<u8> {
    [&account.to_le_bytes()[..], &number.to_le_bytes(), &scoop.to_le_bytes(), challenge].concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn words_of(message: &[u8]) -> Vec<u32> {
    message.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()
}

#[test]
fn shabal_is_the_crates_at_every_length_of_whole_words() {
    let message: Vec<u8> = (0..80u32).flat_map(|word| word.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
    for length in (0..=message.len()).step_by(4) {
        let digest = Shabal::<u32>::begin().digest(&words_of(&message[..length]));
        let digest: Vec<u8> = digest.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(digest, Shabal256::digest(&message[..length]).to_vec(), "{length} bytes");
    }
}

#[test]
fn an_empty_message_has_the_submissions_digest() {
    let digest: Vec<u8> = Shabal::<u32>::begin().digest(&[]).iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!(hex(&digest), "aec750d11feee9f16271922fbaf5a9be142f62019ef8d720f858940070889014");
}

#[test]
fn four_messages_are_hashed_as_one_after_another() {
    let lane = |lane: u32| (0..40).map(move |word| word * 7 + lane).collect::<Vec<u32>>();
    let four: Vec<Words> = (0..40).map(|word| Words::new([0, 1, 2, 3].map(|at| lane(at)[word]))).collect();
    let digests = Shabal::<Words>::begin().digest(&four).map(Words::words);
    for at in 0..4u32 {
        let alone = Shabal::<u32>::begin().digest(&lane(at));
        assert_eq!(digests.map(|words| words[at as usize]), alone, "lane {at}");
    }
}

#[test]
fn the_published_plot_is_reproduced() {
    let groups: Vec<Nonces<Words>> = (0..NONCES)
        .step_by(4)
        .map(|first| Nonces::make([0, 1, 2, 3].map(|lane| (ACCOUNT, FIRST + first + lane))))
        .collect();
    let mut hasher = Sha256::new();
    for scoop in 0..SCOOPS {
        for group in &groups {
            let mut scoops = [[0; 16]; 4];
            for at in 0..16 {
                let words = group.scoop_word([scoop; 4], at);
                scoops.iter_mut().zip(words).for_each(|(scoop, word)| scoop[at] = word);
            }
            scoops.as_flattened().iter().for_each(|word| hasher.update(word.to_le_bytes()));
        }
    }
    assert_eq!(hex(&hasher.finalize()), PLOT);
}

#[test]
fn digests_are_those_of_the_crate_alone_and_together() {
    let numbers = [0, 1, u64::MAX];
    let nonces = numbers.map(|number| reference(ACCOUNT ^ number, number));
    let questions: Vec<(usize, u32, [u8; 32])> =
        vec![(0, 0, [0; 32]), (1, 4_095, [7; 32]), (2, 2_048, [0xff; 32]), (0, 17, [9; 32]), (1, 2_047, [1; 32])];
    let one = |(nonce, scoop, challenge): &(usize, u32, [u8; 32])| {
        let number = numbers[*nonce];
        (input(ACCOUNT ^ number, number, *scoop, challenge), answer(&nonces[*nonce], *scoop, challenge))
    };
    let (inputs, wanted): (Vec<_>, Vec<_>) = questions.iter().map(one).unzip();
    for count in [1, 2, 5] {
        let mut digests = Vec::new();
        Poc2.digest_many(&inputs[..count].concat(), 52, &mut digests);
        assert_eq!(digests, wanted[..count], "{count} inputs");
    }
}

#[test]
fn an_input_is_what_the_contract_writes() {
    let (key, challenge) = (Hash256([3; 32]), Hash256([0x12; 32]));
    let nonce = reference(adit_plugin_sdk::plot::account(&key.0), 77);
    let digest = Poc2.digest(&hard_score_input(&key, 77, &challenge));
    assert_eq!(digest, answer(&nonce, 0x212, &challenge.0));
}

#[test]
fn what_is_no_question_meets_no_target_but_the_easiest() {
    let question = input(ACCOUNT, 5, 4_096, &[0; 32]);
    for input in [&question[..], &question[..51], &[&question[..], &[0]].concat(), &[]] {
        assert_eq!(Poc2.digest(input), Hash256([0xff; 32]));
        let mut digests = Vec::new();
        Poc2.digest_many(&input.repeat(3), input.len(), &mut digests);
        assert!(digests.iter().all(|digest| *digest == Hash256([0xff; 32])));
        assert_eq!(digests.len(), if input.is_empty() { 0 } else { 3 });
    }
    let mut digests = Vec::new();
    let mixed = [question, input(ACCOUNT, 5, 1, &[0; 32])].concat();
    Poc2.digest_many(&mixed, 52, &mut digests);
    assert_eq!(digests, [Hash256([0xff; 32]), Poc2.digest(&mixed[52..])]);
}

#[test]
fn a_search_finds_the_nonces_whose_digests_meet_the_target() {
    let job = SearchJob {
        inputs: vec![input(ACCOUNT, 0, 9, &[4; 32])],
        nonce_offset: 8,
        nonce_bytes: 8,
        target: Target(U256::MAX >> 1),
    };
    let first = u64::MAX - 2;
    let scan = Poc2.search(&job, first, 6);
    let meets = |nonce: &u64| job.target.is_met_by(&Poc2.digest(&input(ACCOUNT, *nonce, 9, &[4; 32])).0);
    let wanted: Vec<Found> =
        (0..6).map(|step| first.wrapping_add(step)).filter(meets).map(|nonce| Found { nonce, input: 0 }).collect();
    assert_eq!((scan.scanned, scan.found), (6, wanted));
}
