use super::*;
use adit_primitives::space::SCOOPS;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

/// Of the vector that is published with PoC2.
const ACCOUNT: u64 = 7_900_104_405_094_198_526;
const FIRST: u64 = 1_337;
const NONCES: usize = 32;
const PLOT: &str = "eebdf7dce694cbea9539f71efc362d4b72f8792def335d7157dadb09bb6d9e5f";

/// The scoops of nonces, as one plot has them.
fn plot(backend: Backend, nonces: usize) -> Vec<u8> {
    let group = |first: usize| {
        let mut scoops = vec![0; backend.lanes() * NONCE_BYTES];
        backend.nonces(ACCOUNT, FIRST + first as u64, &mut scoops);
        scoops
    };
    let groups: Vec<_> = (0..nonces).step_by(backend.lanes()).map(group).collect();
    let each = backend.lanes() * SCOOP_BYTES;
    let scoops = (0..SCOOPS).flat_map(|scoop| groups.iter().map(move |group| &group[scoop * each..][..each]));
    scoops.collect::<Vec<_>>().concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_published_plot_is_reproduced() {
    // By the widest way: the others are equal to it by another test, at less work.
    assert_eq!(hex(&Sha256::digest(plot(Backend::widest(), NONCES))), PLOT);
}

#[test]
fn every_way_makes_the_nonces_that_the_crate_makes() {
    let mut want = vec![0; NONCE_BYTES];
    Baseline.nonces(ACCOUNT, FIRST + 1, &mut want);
    for backend in Backend::all() {
        let lanes = backend.lanes();
        let mut own = vec![0; lanes * NONCE_BYTES];
        // Its second nonce, where there is one.
        let at = usize::from(lanes > 1);
        backend.nonces(ACCOUNT, FIRST + 1 - at as u64, &mut own);
        for (own, want) in own.chunks(lanes * SCOOP_BYTES).zip(want.chunks(SCOOP_BYTES)) {
            assert_eq!(&own[at * SCOOP_BYTES..][..SCOOP_BYTES], want, "{}", backend.name());
        }
    }
}

#[test]
fn one_scoop_of_nonces_is_the_one_of_all() {
    for backend in Backend::all() {
        let each = backend.lanes() * SCOOP_BYTES;
        let (mut all, mut one) = (vec![0; backend.lanes() * NONCE_BYTES], vec![0; each]);
        backend.nonces(ACCOUNT, FIRST, &mut all);
        for scoop in [0, 1, 2_048, SCOOPS - 1] {
            backend.scoop(ACCOUNT, FIRST, scoop, &mut one);
            assert_eq!(one, all[scoop * each..][..each], "{} {scoop}", backend.name());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn leaves_and_nodes_are_those_of_the_crate(plot: [u8; 32], first: u64, pairs in 0usize..40) {
        let (mut leaves, mut nodes) = (vec![0; 2 * pairs * LEAF_BYTES], vec![0; pairs * LEAF_BYTES]);
        Baseline.leaves(&plot, first, &mut leaves);
        Baseline.nodes(&leaves, &mut nodes);
        for backend in Backend::all() {
            let (mut own, mut above) = (vec![0; leaves.len()], vec![0; nodes.len()]);
            backend.leaves(&plot, first, &mut own);
            prop_assert_eq!(&own, &leaves, "{}", backend.name());
            backend.nodes(&leaves, &mut above);
            prop_assert_eq!(&above, &nodes, "{}", backend.name());
        }
    }

    #[test]
    fn the_best_leaf_is_the_lowest_of_all_scores(challenge: [u8; 32], seed: [u8; 32], count in 0usize..300, repeats in 1usize..4) {
        let mut leaves = vec![0; count * LEAF_BYTES];
        Baseline.leaves(&seed, 0, &mut leaves);
        // Some stand there more than once.
        let leaves: Vec<u8> = leaves.chunks(LEAF_BYTES).flat_map(|leaf| leaf.repeat(repeats)).collect();
        for hash in ScoreHash::ALL {
            let want = Baseline.best_leaf(hash, &challenge, &leaves);
            for backend in Backend::all() {
                prop_assert_eq!(backend.best_leaf(hash, &challenge, &leaves), want, "{} {}", backend.name(), hash);
            }
        }
    }

    #[test]
    fn who_keeps_no_leaf_finds_the_same_best_one(
        challenge: [u8; 32],
        plot: [u8; 32],
        first in prop_oneof![any::<u64>(), Just(u64::MAX - 20)],
        count in 0usize..300,
    ) {
        let mut leaves = vec![0; count * LEAF_BYTES];
        Baseline.leaves(&plot, first, &mut leaves);
        for hash in ScoreHash::ALL {
            let want = Baseline.best_leaf(hash, &challenge, &leaves);
            for backend in Backend::all() {
                let made = backend.best_made(hash, &challenge, &plot, first, count);
                prop_assert_eq!(made, want, "{} {}", backend.name(), hash);
            }
        }
    }

    #[test]
    fn qualities_are_those_of_the_crate(signature: [u8; 32], seed: [u8; 32], count in 0usize..40) {
        let mut scoops = vec![0; count * SCOOP_BYTES];
        Baseline.leaves(&seed, 0, &mut scoops);
        let mut want = vec![0; count];
        Baseline.qualities(&signature, &scoops, &mut want);
        for backend in Backend::all() {
            let mut own = vec![0; count];
            backend.qualities(&signature, &scoops, &mut own);
            prop_assert_eq!(&own, &want, "{}", backend.name());
        }
    }
}
