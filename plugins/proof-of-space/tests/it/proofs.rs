//! Proofs: chains that plots win, and everything that wins nothing.

use crate::farm::{Attempt, Chain, HARD, LEAVES, Plain, Plot, hard_chain, key, plain_chain, rule, win, winning};
use adit_plugin_sdk::space::{PlotKind, PlotPlace, SpaceProof};
use adit_plugin_sdk::{BlockId, Consensus, Decode, Encode, Hash256, Height, Timestamp};
use proptest::prelude::*;

/// A plain chain with one block to win, by a plot that does.
fn plain() -> (Chain, Plain, Attempt) {
    let mut chain = plain_chain(&[]);
    let plot = Plain::new(1, 1);
    let genesis = chain.genesis();
    let parent = win(&mut chain, &plot, genesis);
    let (attempt, _) = winning(&chain, &plot, parent, Timestamp::default());
    (chain, plot, attempt)
}

/// Changes a winning block of a plain chain, has the plot's owner sign it anew, and checks by which rule it is refused.
#[track_caller]
fn check(change: impl FnOnce(&mut Attempt), want: &str) {
    let (mut chain, plot, mut attempt) = plain();
    change(&mut attempt);
    let verdict = attempt.header(&chain, plot.owner()).and_then(|header| chain.place(&header));
    assert_eq!(rule(verdict).as_deref(), Some(want));
}

/// Changes the place of a winning block of a plain chain.
#[track_caller]
fn check_place(change: impl FnOnce(&mut u64, &mut u64, &mut Hash256, &mut Hash256, &mut Vec<Hash256>), want: &str) {
    check(
        |attempt| match &mut attempt.claim.place {
            PlotPlace::Plain { seed, leaves, root, index, path, .. } => change(index, leaves, seed, root, path),
            PlotPlace::Hard { .. } => panic!("a plain plot"),
        },
        want,
    );
}

#[test]
fn a_chain_is_won_by_plain_plots() {
    let mut chain = plain_chain(&[("registration-age", 1_000.into())]);
    let plots = [Plain::new(1, 1), Plain::new(2, 1), Plain::new(1, 2)];
    let mut tip = chain.genesis();
    for number in 0..48 {
        tip = win(&mut chain, &plots[number % plots.len()], tip);
    }
    assert_eq!(chain.placement(tip).height, Height(48));
    assert_eq!(chain.best(), tip);
}

#[test]
fn a_chain_is_won_by_hard_plots() {
    let mut chain = hard_chain(&[]);
    let mut tip = chain.genesis();
    for number in 0..24 {
        tip = win(&mut chain, &HARD[number % HARD.len()], tip);
    }
    assert_eq!(chain.placement(tip).height, Height(24));
    assert_eq!(chain.placement(tip).subsidy, 50);
}

/// Changes each bit of a header in turn.
#[track_caller]
fn no_bit_may_change(chain: &mut Chain, header: &[u8]) {
    for (at, mask) in (0..header.len()).flat_map(|at| (0..8).map(move |bit| (at, 1u8 << bit))) {
        let mut changed = header.to_vec();
        changed[at] ^= mask;
        assert!(chain.place(&changed).is_err(), "byte {at} with {mask:#04x}");
    }
    for end in 0..header.len() {
        assert!(chain.place(&header[..end]).is_err(), "{end} bytes");
    }
    assert!(chain.place(&[header, &[0]].concat()).is_err(), "a byte more");
    chain.place(header).expect("the header itself is valid");
}

#[test]
fn no_bit_of_a_plain_plots_block_may_change() {
    let (mut chain, plot, mut attempt) = plain();
    attempt.claim.registrations.push(Plain::new(3, 1).registration());
    let header = attempt.header(&chain, plot.owner()).expect("a sound draft");
    no_bit_may_change(&mut chain, &header);
}

#[test]
fn no_bit_of_a_hard_plots_block_may_change() {
    let mut chain = hard_chain(&[]);
    let (attempt, _) = winning(&chain, &HARD[0], chain.genesis(), Timestamp::default());
    let header = attempt.header(&chain, HARD[0].owner()).expect("a sound draft");
    no_bit_may_change(&mut chain, &header);
}

#[test]
fn a_leaf_cannot_be_invented() {
    check_place(|index, _, _, _, _| *index ^= 1, "leaf");
    check_place(|_, _, seed, _, _| seed.0[0] ^= 1, "leaf");
    check_place(|_, _, _, root, _| root.0[0] ^= 1, "leaf");
    check_place(|_, _, _, _, path| path[3].0[0] ^= 1, "leaf");
    check_place(|_, _, _, _, path| path.swap(0, 1), "leaf");
}

#[test]
fn a_leaf_lies_in_its_plot_and_a_path_has_the_height_of_its_tree() {
    check_place(|index, _, _, _, _| *index = LEAVES, "leaf");
    check_place(|index, _, _, _, _| *index += LEAVES, "leaf");
    check_place(|_, leaves, _, _, _| *leaves *= 2, "leaf");
    check_place(|_, _, _, _, path| _ = path.pop(), "leaf");
    check_place(|_, _, _, _, path| path.push(Hash256::default()), "leaf");
    check_place(|_, _, _, _, path| *path = vec![Hash256::default(); 51], "leaf");
}

#[test]
fn a_tree_over_leaves_from_behind_a_plots_end_wins_nothing() {
    for first in [LEAVES, 5 * LEAVES, u64::MAX - LEAVES] {
        let (mut chain, plot) = (plain_chain(&[]), Plain::beginning_at(first, 1, 1));
        let (attempt, _) = winning(&chain, &plot, chain.genesis(), Timestamp::default());
        let header = attempt.header(&chain, plot.owner()).expect("a sound draft");
        assert_eq!(rule(chain.place(&header)).as_deref(), Some("leaf"), "leaves from {first}");
    }
}

#[test]
fn a_plot_has_a_size_that_plots_can_have() {
    for size in [0, 1, 1_000, 1_025, (1 << 51) + 1_024, u64::MAX] {
        check_place(|_, leaves, _, _, _| *leaves = size, "plot-size");
    }
}

#[test]
fn a_leaf_that_does_not_win_is_refused() {
    let (mut chain, plot, attempt) = plain();
    let PlotPlace::Plain { index: best, .. } = attempt.claim.place else { panic!("a plain plot") };
    let mut attempt = attempt;
    attempt.claim.place = plot.place((best + 1) % LEAVES);
    let header = attempt.header(&chain, plot.owner()).expect("a sound draft");
    assert_eq!(rule(chain.place(&header)).as_deref(), Some("score"));
}

#[test]
fn another_key_does_not_own_the_leaf_and_cannot_sign_for_its_owner() {
    let other = Plain::new(2, 1);
    check(|attempt| attempt.claim.key = other.key(), "leaf");
    let (mut chain, _, attempt) = plain();
    let header = attempt.header(&chain, &key(9)).expect("a sound draft");
    assert_eq!(rule(chain.place(&header)).as_deref(), Some("signature"));
    check(|attempt| attempt.claim.key = Hash256([0xff; 32]), "leaf");
}

#[test]
fn an_owner_may_sign_no_other_challenge() {
    check(|attempt| attempt.claim.challenge.0[0] ^= 1, "challenge");
}

#[test]
fn a_proof_holds_in_its_round_alone() {
    let length = 5_000;
    let moved = |by: u64| {
        move |attempt: &mut Attempt| attempt.draft.time = Timestamp::from_millis(attempt.draft.time.to_millis() + by)
    };
    check(moved(length), "challenge");
    check(moved(1_000 * length), "challenge");
    let (mut chain, plot, mut attempt) = plain();
    moved(length - 2)(&mut attempt);
    let header = attempt.header(&chain, plot.owner()).expect("a sound draft");
    chain.place(&header).expect("any time within the round is as good");
}

#[test]
fn a_proof_holds_over_its_parent_alone() {
    let (chain, _, _) = plain();
    let (genesis, bits) = (chain.genesis(), crate::farm::next(&chain, chain.genesis()).bits);
    check(move |attempt| (attempt.draft.parents, attempt.draft.bits) = (vec![genesis], bits), "challenge");
    check(|attempt| attempt.draft.parents = vec![BlockId([5; 32])], "parent-unknown");
}

#[test]
fn a_block_is_later_than_its_parent() {
    let (chain, _, _) = plain();
    let parent = chain.rules().decode(chain.header(chain.best())).expect("it was placed");
    for back in [0, 1, 1_000_000] {
        let time = Timestamp::from_millis(parent.time.to_millis() - back);
        check(|attempt| attempt.draft.time = time, "time-too-old");
    }
}

#[test]
fn a_block_states_the_target_that_the_rules_give() {
    check(|attempt| attempt.draft.bits += 1, "bits");
    check(|attempt| attempt.draft.bits = 0x207f_ffff, "bits");
    check(|attempt| attempt.draft.bits = 0x2080_0000, "bits");
}

#[test]
fn a_chain_counts_one_kind_of_plots() {
    check(|attempt| attempt.claim.place = PlotPlace::Hard { nonce: 0 }, "plot-kind");
    let mut chain = hard_chain(&[]);
    let (mut attempt, asked) = winning(&chain, &HARD[0], chain.genesis(), Timestamp::default());
    assert_eq!((asked.plots, asked.registered_by, asked.registrations_max), (PlotKind::Hard, None, 0));
    let right = attempt.claim.place.clone();
    attempt.claim.place = Plain::new(1, 1).place(5);
    let plain = attempt.header(&chain, HARD[0].owner()).and_then(|header| chain.place(&header));
    assert_eq!(rule(plain).as_deref(), Some("plot-kind"));
    attempt.claim.place = right;
    attempt.claim.registrations = vec![Plain::new(1, 1).registration()];
    let registering = attempt.header(&chain, HARD[0].owner()).and_then(|header| chain.place(&header));
    assert_eq!(rule(registering).as_deref(), Some("registrations"));
}

#[test]
fn another_nonce_or_another_account_wins_nothing() {
    let mut chain = hard_chain(&[("genesis", serde_json::json!({"time-seconds": 1_700_000_000, "bits": 0x2000_ffff}))]);
    let (attempt, _) = winning(&chain, &HARD[0], chain.genesis(), Timestamp::default());
    let mut other = attempt.clone();
    let PlotPlace::Hard { nonce } = attempt.claim.place else { panic!("a hard plot") };
    other.claim.place = PlotPlace::Hard { nonce: nonce ^ 1 };
    let header = other.header(&chain, HARD[0].owner()).expect("a sound draft");
    assert_eq!(rule(chain.place(&header)).as_deref(), Some("score"));
    let mut stolen = attempt.clone();
    stolen.claim.key = HARD[1].key();
    let header = stolen.header(&chain, HARD[1].owner()).expect("a sound draft");
    assert_eq!(rule(chain.place(&header)).as_deref(), Some("score"));
}

#[test]
fn an_earlier_round_wins_over_a_lower_score_and_a_lower_score_over_a_higher() {
    let mut chain = hard_chain(&[]);
    let genesis = chain.genesis();
    let mut blocks = Vec::new();
    let mut from = Timestamp::default();
    for _ in 0..4 {
        for plot in &*HARD {
            let (attempt, asked) = winning(&chain, plot, genesis, from);
            let header = attempt.header(&chain, plot.owner()).expect("a sound draft");
            let score = plot.answer(&asked.challenge).score;
            blocks.push((asked.opens, score, chain.place(&header).expect("a winning block is valid")));
            from = asked.closes;
        }
        from = Timestamp::from_millis(from.to_millis() - 5_000);
    }
    // By round, then by score: from the best to the worst.
    blocks.sort();
    blocks.dedup_by_key(|(_, _, id)| *id);
    let ties: Vec<Hash256> = blocks.iter().map(|(_, _, id)| chain.placement(*id).tie).collect();
    assert!(ties.is_sorted_by(|better, worse| better > worse), "{ties:?}");
    assert_eq!(chain.best(), blocks[0].2);
}

/// The bytes of a valid proof.
fn proof_bytes() -> Vec<u8> {
    let (chain, plot, mut attempt) = plain();
    attempt.claim.registrations = vec![Plain::new(3, 1).registration()];
    attempt.header(&chain, plot.owner()).expect("a sound draft").split_off(80)
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic_and_have_one_writing(
        cuts in prop::collection::vec((0usize..900, 0usize..40, prop::collection::vec(any::<u8>(), 0..40)), 0..4),
        fresh in prop::option::of(prop::collection::vec(any::<u8>(), 0..2_000)),
    ) {
        let mut bytes = fresh.unwrap_or_else(proof_bytes);
        for (at, removed, put) in cuts {
            let start = at.min(bytes.len());
            bytes.splice(start..(start + removed).min(bytes.len()), put);
        }
        if let Ok(proof) = SpaceProof::from_bytes(&bytes) {
            prop_assert_eq!(proof.to_bytes(), bytes.clone());
        }
        let chain = plain_chain(&[]);
        let mut header = chain.rules().genesis();
        header.extend(&bytes);
        let verdict = rule(chain.rules().decode(&header));
        prop_assert!(verdict.is_some() || bytes.is_empty());
    }
}
