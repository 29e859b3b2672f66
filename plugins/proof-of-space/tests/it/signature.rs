//! Signatures: the same verdict as that of the library which the host's ledger uses.

use crate::farm::key;
use adit_chain::{PublicKey, Signature};
use adit_plugin_proof_of_space::proof::is_signed;
use adit_plugin_sdk::Hash256;
use adit_plugin_sdk::common::from_hex;
use proptest::prelude::*;

/// The vectors of BIP-340 for messages of 32 bytes.
const VECTORS: &str = include_str!("../bip340.csv");

/// Asks both.
#[track_caller]
fn verdict(public: [u8; 32], message: [u8; 32], signature: [u8; 64]) -> bool {
    let own = is_signed(&Hash256(public), &Hash256(message), &signature);
    assert_eq!(own, PublicKey(public).verifies(&Hash256(message), &Signature(signature)), "the host's verdict");
    own
}

fn bytes<const N: usize>(digits: &str) -> [u8; N] {
    from_hex(digits).and_then(|bytes| bytes.try_into().ok()).expect("hexadecimal digits of the right length")
}

#[test]
fn the_vectors_of_the_proposal_are_judged_as_it_says() {
    let mut judged = 0;
    for line in VECTORS.lines().skip(1) {
        let [number, public, message, signature, valid] = Vec::from_iter(line.split(','))[..] else {
            panic!("five fields: {line}");
        };
        assert_eq!(verdict(bytes(public), bytes(message), bytes(signature)).to_string(), valid, "vector {number}");
        judged += 1;
    }
    assert_eq!(judged, 15);
}

proptest! {
    #[test]
    fn a_signature_holds_for_its_key_and_message_alone(message: [u8; 32], owner in 1u8..=254, at in 0usize..128, mask in 1u8..=255) {
        let owner = key(owner);
        let signature = owner.sign(&Hash256(message)).0;
        prop_assert!(verdict(owner.public().0, message, signature));
        let mut all = [&owner.public().0[..], &message, &signature].concat();
        all[at] ^= mask;
        let (public, rest) = all.split_at(32);
        let (message, signature) = rest.split_at(32);
        let changed = verdict(
            public.try_into().expect("32 bytes"),
            message.try_into().expect("32 bytes"),
            signature.try_into().expect("64 bytes"),
        );
        prop_assert!(!changed);
    }

    #[test]
    fn of_any_bytes_both_think_the_same(public: [u8; 32], message: [u8; 32], low: [u8; 32], high: [u8; 32]) {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&low);
        signature[32..].copy_from_slice(&high);
        prop_assert!(!verdict(public, message, signature));
    }
}
