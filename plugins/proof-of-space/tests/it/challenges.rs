//! Challenges: what they follow from, and that a chain never stands still for want of an answer.

use crate::farm::{Chain, HARD, Plain, Plot, START, asked, hard_chain, next, plain_chain, rule, win, winning};
use adit_plugin_sdk::{BlockId, Hash256, ProofOfSpace, Timestamp};
use serde_json::json;

/// Returns the challenge of the first round over a block.
fn first_challenge(chain: &Chain, parent: BlockId) -> Hash256 {
    asked(chain, parent, next(chain, parent).earliest).expect("the chain goes on").challenge
}

/// Lets a plot win the same round twice, with different bodies and times, and returns both blocks.
fn two_bodies(chain: &mut Chain) -> [BlockId; 2] {
    let (attempt, _) = winning(chain, &HARD[0], chain.genesis(), Timestamp::default());
    [0, 1].map(|number| {
        let mut attempt = attempt.clone();
        attempt.draft.body_root = Hash256([number; 32]);
        attempt.draft.time = Timestamp::from_millis(attempt.draft.time.to_millis() + u64::from(number));
        let header = attempt.header(chain, HARD[0].owner()).expect("a sound draft");
        chain.place(&header).expect("a winning block is valid")
    })
}

#[test]
fn a_winner_cannot_choose_the_next_challenge_by_body_or_time() {
    let mut chain = hard_chain(&[]);
    let [one, other] = two_bodies(&mut chain);
    assert_ne!(one, other);
    assert_eq!(first_challenge(&chain, one), first_challenge(&chain, other));
}

#[test]
fn where_the_parents_id_is_the_source_a_winner_can() {
    let mut chain = hard_chain(&[("challenge", json!("parent"))]);
    let [one, other] = two_bodies(&mut chain);
    assert_ne!(first_challenge(&chain, one), first_challenge(&chain, other));
}

#[test]
fn a_challenge_follows_from_the_winners_key() {
    let mut chain = plain_chain(&[]);
    let genesis = chain.genesis();
    let blocks = [1, 2].map(|owner| win(&mut chain, &Plain::new(owner, 1), genesis));
    assert_ne!(first_challenge(&chain, blocks[0]), first_challenge(&chain, blocks[1]));
    // Another plot of the same owner changes nothing.
    let again = win(&mut chain, &Plain::new(1, 2), genesis);
    assert_eq!(first_challenge(&chain, blocks[0]), first_challenge(&chain, again));
}

#[test]
fn a_challenge_nobody_answers_gives_way_to_the_next() {
    let chain = plain_chain(&[]);
    let at = |ms| asked(&chain, chain.genesis(), Timestamp::from_millis(START + ms)).expect("a challenge");
    let (first, last_of_first, second) = (at(1), at(4_999), at(5_000));
    assert_eq!(first, last_of_first);
    assert_ne!(first.challenge, second.challenge);
    let span = |ms: [u64; 2]| ms.map(|ms| Timestamp::from_millis(START + ms));
    assert_eq!([first.opens, first.closes], span([1, 5_000]));
    assert_eq!([second.opens, second.closes], span([5_000, 10_000]));
    assert_eq!(first.target, second.target);
}

#[test]
fn a_chain_goes_on_after_any_number_of_rounds_without_a_winner() {
    let mut chain = plain_chain(&[]);
    let plot = Plain::new(1, 1);
    let year = Timestamp::from_millis(START + 365 * 86_400_000);
    let (attempt, asked) = winning(&chain, &plot, chain.genesis(), year);
    assert!(asked.opens.to_millis() > year.to_millis() - 5_000);
    let header = attempt.header(&chain, plot.owner()).expect("a sound draft");
    let block = chain.place(&header).expect("a winning block is valid");
    // The block after it is easier, by no more than the long solve time counts for.
    let (before, after) = (next(&chain, chain.genesis()).target.0, next(&chain, block).target.0);
    assert!(after > before && after <= before + before / adit_plugin_sdk::U256::from(10u64));
}

#[test]
fn nothing_is_asked_before_the_parents_time_or_over_what_is_unknown() {
    let chain = plain_chain(&[]);
    let at = |parents: &[BlockId], ms| {
        rule(chain.rules().challenge(&chain, parents, Timestamp::from_millis(ms))).unwrap_or_default()
    };
    let genesis = chain.genesis();
    assert_eq!(at(&[genesis], START), "time-too-old");
    assert_eq!(at(&[genesis], 0), "time-too-old");
    assert_eq!(at(&[genesis], START + 1), "");
    assert_eq!(at(&[BlockId([1; 32])], START + 1), "parent-unknown");
    assert_eq!(at(&[], START + 1), "parent-unknown");
    assert_eq!(at(&[genesis, genesis], START + 1), "parent-unknown");
    // The last round of all times ends with them.
    assert_eq!(at(&[genesis], u64::MAX), "");
}
