//! What transactions may do.

use crate::rules::{SUBSIDY, TestRules};
use crate::world::{CHAIN, Made, World, atoms, config, key, merging, output, plain, spend};
use adit_chain::{ChainConfig, OutPoint, Output, Transaction};

/// A world in which key 1 owns three rewards, the first two of them mature, and the newest block.
fn funded() -> (World, Vec<Made>) {
    funded_with(config())
}

fn funded_with(config: ChainConfig) -> (World, Vec<Made>) {
    let mut world = World::with(config, TestRules::default());
    let mined = world.mine(3, 1);
    (world, mined)
}

/// Submits a block with these payments, whose fees go to the miner.
#[track_caller]
fn check(world: &mut World, parent: &Made, payments: Vec<Transaction>, fees: u64, want: Result<(), &str>) {
    let mut recipe = plain(parent, 9);
    recipe.payments = payments;
    recipe.reward += fees;
    let before = world.ledger();
    let answer = world.submit(&recipe.make());
    match (answer, want) {
        (Ok(_), Ok(())) => {}
        (Err(adit_chain::BlockError::Invalid { violation, .. }), Err(rule)) => {
            assert_eq!(violation.rule, rule, "{}", violation.detail);
            assert_eq!(world.ledger(), before, "a refused block leaves no trace in the ledger");
        }
        (answer, want) => panic!("{answer:?} instead of {want:?}"),
    }
}

#[test]
fn a_payment_moves_money_and_pays_its_fee() {
    let (mut world, mined) = funded();
    let payment = spend(&[mined[0].reward()], 1, &[(2, SUBSIDY - 500)]);
    check(&mut world, &mined[2], vec![payment], 500, Ok(()));
    let reader = world.chain.reader();
    assert_eq!(reader.holdings(key(2).public(), 10).unwrap().spendable_sum, atoms(SUBSIDY - 500));
    assert_eq!(world.money(), u128::from(4 * SUBSIDY));
}

#[test]
fn a_coinbase_may_claim_no_atom_too_many() {
    let (mut world, mined) = funded();
    let payment = spend(&[mined[0].reward()], 1, &[(2, SUBSIDY - 500)]);
    check(&mut world, &mined[2], vec![payment], 501, Err("coinbase-value"));
}

#[test]
fn an_output_is_spent_once() {
    let (mut world, mined) = funded();
    let first = spend(&[mined[0].reward()], 1, &[(2, SUBSIDY)]);
    let second = spend(&[mined[0].reward()], 1, &[(3, SUBSIDY)]);
    check(&mut world, &mined[2], vec![first.clone(), second.clone()], 0, Err("transaction-inputs"));
    check(&mut world, &mined[2], vec![first], 0, Ok(()));
    let tip = Made { height: 4, id: world.chain.tip().id, ..mined[0].clone() };
    check(&mut world, &tip, vec![second], 0, Err("transaction-inputs"));
}

#[test]
fn an_output_named_twice_in_one_payment_is_refused() {
    let (mut world, mined) = funded();
    let twice = spend(&[mined[0].reward(), mined[0].reward()], 1, &[(2, 2 * SUBSIDY)]);
    check(&mut world, &mined[2], vec![twice], 0, Err("transaction-inputs"));
}

#[test]
fn a_payment_may_spend_what_the_same_block_created_before_it() {
    let (mut world, mined) = funded();
    let first = spend(&[mined[0].reward()], 1, &[(2, SUBSIDY)]);
    let second = spend(&[output(&first, 0)], 2, &[(3, SUBSIDY)]);
    check(&mut world, &mined[2], vec![second.clone(), first.clone()], 0, Err("transaction-inputs"));
    check(&mut world, &mined[2], vec![first, second], 0, Ok(()));
}

#[test]
fn more_than_the_inputs_hold_is_not_paid() {
    let (mut world, mined) = funded();
    let payment = spend(&[mined[0].reward()], 1, &[(2, SUBSIDY + 1)]);
    check(&mut world, &mined[2], vec![payment], 0, Err("transaction-value"));
}

#[test]
fn sums_that_do_not_fit_are_refused() {
    let (mut world, mined) = funded();
    let payment = spend(&[mined[0].reward()], 1, &[(2, u64::MAX), (2, 2)]);
    check(&mut world, &mined[2], vec![payment], 0, Err("transaction-amounts"));
    let payment = spend(&[mined[0].reward()], 1, &[(2, 1 << 61)]);
    check(&mut world, &mined[2], vec![payment], 0, Err("transaction-amounts"));
}

#[test]
fn nothing_is_paid_in_no_output() {
    let (mut world, mined) = funded();
    let payment = spend(&[mined[0].reward()], 1, &[(2, 0)]);
    check(&mut world, &mined[2], vec![payment], 0, Err("transaction-form"));
    let payment = spend(&[mined[0].reward()], 1, &[]);
    check(&mut world, &mined[2], vec![payment], 0, Err("transaction-form"));
}

#[test]
fn an_immature_reward_is_not_spent() {
    let (mut world, mined) = funded();
    let payment = spend(&[mined[2].reward()], 1, &[(2, SUBSIDY)]);
    check(&mut world, &mined[2], vec![payment.clone()], 0, Err("coinbase-maturity"));
    let next = world.mine(1, 1).remove(0);
    check(&mut world, &next, vec![payment], 0, Ok(()));
}

#[test]
fn a_stranger_cannot_sign() {
    let (mut world, mined) = funded();
    let payment = spend(&[mined[0].reward()], 2, &[(2, SUBSIDY)]);
    check(&mut world, &mined[2], vec![payment], 0, Err("transaction-signature"));
}

#[test]
fn a_signature_covers_every_output() {
    let (mut world, mined) = funded();
    let mut payment = spend(&[mined[0].reward()], 1, &[(2, SUBSIDY)]);
    payment.outputs[0].key = key(3).public();
    check(&mut world, &mined[2], vec![payment], 0, Err("transaction-signature"));
}

#[test]
fn a_signature_for_another_chain_does_not_hold() {
    let (mut world, mined) = funded();
    let (at, spent) = mined[0].reward();
    let mut payment = spend(&[(at, spent)], 1, &[(2, SUBSIDY)]);
    let mut other = CHAIN;
    other.0[0] ^= 1;
    payment.sign(&other, &[spent], &key(1));
    check(&mut world, &mined[2], vec![payment], 0, Err("transaction-signature"));
}

#[test]
fn an_output_that_never_was_is_not_spent() {
    let (mut world, mined) = funded();
    let at = OutPoint { index: 7, ..mined[0].reward().0 };
    let payment = spend(&[(at, Output { amount: atoms(5), key: key(1).public() })], 1, &[(2, 5)]);
    check(&mut world, &mined[2], vec![payment], 0, Err("transaction-inputs"));
}

#[test]
fn data_is_bounded_and_versions_are_known() {
    let (mut world, mined) = funded();
    let (at, spent) = mined[0].reward();
    let mut payment = spend(&[(at, spent)], 1, &[(2, SUBSIDY)]);
    payment.data = vec![0; 101];
    payment.sign(&CHAIN, &[spent], &key(1));
    check(&mut world, &mined[2], vec![payment.clone()], 0, Err("transaction-size"));
    payment.data.pop();
    payment.version = 2;
    check(&mut world, &mined[2], vec![payment.clone()], 0, Err("transaction-version"));
    payment.version = 1;
    payment.sign(&CHAIN, &[spent], &key(1));
    check(&mut world, &mined[2], vec![payment], 0, Ok(()));
}

#[test]
fn merged_blocks_are_applied_without_what_conflicts() {
    let (mut world, mined) = funded_with(merging());
    let ours = spend(&[mined[0].merged_reward()], 1, &[(2, SUBSIDY)]);
    let rival = spend(&[mined[0].merged_reward()], 1, &[(3, SUBSIDY)]);
    let other = spend(&[mined[1].merged_reward()], 1, &[(4, SUBSIDY - 7)]);
    let mut left = plain(&mined[2], 8);
    left.payments = vec![ours];
    left.work = 11;
    let left = left.make();
    let mut right = plain(&mined[2], 7);
    right.payments = vec![rival, other];
    right.reward += 7;
    let right = right.make();
    let mut merge = plain(&left, 6);
    merge.parents = vec![left.id, right.id];
    merge.height = 6;
    let merge = merge.make();
    for made in [&left, &right, &merge] {
        world.submit(made).unwrap();
    }
    assert_eq!(world.chain.tip().id, merge.id);
    let reader = world.chain.reader();
    let sum = |seed: u8| {
        let holdings = reader.holdings(key(seed).public(), 10).unwrap();
        holdings.spendable_sum.checked_add(holdings.immature_sum).unwrap()
    };
    assert_eq!((sum(2), sum(3), sum(4)), (atoms(SUBSIDY), atoms(0), atoms(SUBSIDY - 7)));
    assert_eq!((sum(8), sum(7), sum(6)), (atoms(SUBSIDY), atoms(SUBSIDY + 7), atoms(SUBSIDY)));
    assert_eq!(world.money(), u128::from(6 * SUBSIDY));
}
