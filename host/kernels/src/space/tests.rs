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
fn every_way_makes_the_same_nonces() {
    let wide = Backend::widest();
    let first = plot(wide, wide.lanes());
    for backend in Backend::all() {
        let own = plot(backend, backend.lanes());
        let (each, wide_each) = (backend.lanes() * SCOOP_BYTES, wide.lanes() * SCOOP_BYTES);
        for (own, wide) in own.chunks(each).zip(first.chunks(wide_each)) {
            assert_eq!(own, &wide[..each], "{}", backend.name());
        }
    }
}

#[test]
fn every_way_finds_the_same_qualities_in_any_number_of_scoops() {
    let scoops: Vec<u8> = (0..37u32 * 64).map(|index| index.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let quality = |backend: Backend| {
        let mut qualities = vec![0; 37];
        backend.qualities(&[9; 32], &scoops, &mut qualities);
        qualities
    };
    let ways: Vec<Vec<u64>> = Backend::all().into_iter().map(quality).collect();
    assert!(ways.iter().all(|qualities| *qualities == ways[0]));
    assert!(ways[0].windows(2).all(|pair| pair[0] != pair[1]));
}

/// What the scheme says, with the crates that everybody uses.
fn plain_leaf(plot: &[u8; 32], index: u64) -> [u8; 32] {
    Sha256::new().chain_update(plot).chain_update(index.to_le_bytes()).finalize().into()
}

fn plain_score(hash: ScoreHash, challenge: &[u8; 32], leaf: &[u8]) -> [u8; 32] {
    let joined = [&challenge[..], leaf].concat();
    match hash {
        ScoreHash::Sha256 => Sha256::digest(joined).into(),
        ScoreHash::Blake3 => *::blake3::hash(&joined).as_bytes(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn leaves_and_nodes_are_what_the_scheme_says(plot: [u8; 32], first: u64, pairs in 0usize..40) {
        let expected: Vec<u8> =
            (0..2 * pairs as u64).flat_map(|index| plain_leaf(&plot, first.wrapping_add(index))).collect();
        let over: Vec<u8> = expected.chunks(2 * LEAF_BYTES).flat_map(Sha256::digest).collect();
        for backend in Backend::all() {
            let mut leaves = vec![0; expected.len()];
            backend.leaves(&plot, first, &mut leaves);
            prop_assert_eq!(&leaves, &expected, "{}", backend.name());
            let mut nodes = vec![0; over.len()];
            backend.nodes(&leaves, &mut nodes);
            prop_assert_eq!(&nodes, &over, "{}", backend.name());
        }
    }

    #[test]
    fn the_best_leaf_is_the_lowest_of_all_scores(challenge: [u8; 32], seed: u8, count in 0usize..300, repeats in 1usize..4) {
        let leaf = |index: usize| Sha256::new().chain_update([seed]).chain_update((index / repeats).to_le_bytes()).finalize();
        let leaves: Vec<u8> = (0..count).flat_map(leaf).collect();
        for hash in ScoreHash::ALL {
            let scores = leaves.chunks(LEAF_BYTES).map(|leaf| plain_score(hash, &challenge, leaf));
            let reversed = |mut score: [u8; 32]| { score.reverse(); score };
            let lowest = scores.enumerate().min_by_key(|(index, score)| (reversed(*score), *index));
            let want = lowest.map(|(index, score)| BestLeaf { index, score });
            for backend in Backend::all() {
                prop_assert_eq!(backend.best_leaf(hash, &challenge, &leaves), want, "{} {}", backend.name(), hash);
            }
        }
    }
}
