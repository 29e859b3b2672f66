//! Which transactions wait, in which order, and which go.

use crate::rules::{SUBSIDY, TestRules};
use crate::world::{MATURITY, Made, NOW, World, config, output, plain, spend};
use adit_chain::{MempoolError, Transaction, TransactionError};
use adit_primitives::TxId;
use proptest::prelude::*;

/// A world where key 1 owns `rewards` mature rewards.
fn funded(rewards: u64) -> (World, Vec<Made>) {
    funded_with(rewards, |_| {})
}

fn funded_with(rewards: u64, change: impl FnOnce(&mut adit_chain::ChainConfig)) -> (World, Vec<Made>) {
    let mut config = config();
    change(&mut config);
    let mut world = World::with(config, TestRules::default());
    let mut mined = world.mine(rewards + MATURITY, 1);
    mined.truncate(usize::try_from(rewards).unwrap());
    (world, mined)
}

fn pay(from: &Made, fee: u64) -> Transaction {
    spend(&[from.reward()], 1, &[(1, SUBSIDY - fee)])
}

fn submit(world: &mut World, transaction: &Transaction) -> Result<TxId, MempoolError> {
    world.chain.submit_transaction(NOW, transaction.clone())
}

fn waiting(world: &World) -> Vec<TxId> {
    world.chain.mempool().best_first(usize::MAX).iter().map(|pending| pending.id).collect()
}

#[test]
fn transactions_wait_in_order_of_fee_rate() {
    let (mut world, mined) = funded(3);
    let payments = [pay(&mined[0], 2000), pay(&mined[1], 3000), pay(&mined[2], 1000)];
    payments.iter().for_each(|payment| assert!(submit(&mut world, payment).is_ok()));
    assert_eq!(waiting(&world), [payments[1].id(), payments[0].id(), payments[2].id()]);
    assert_eq!(submit(&mut world, &payments[0]), Err(MempoolError::Known { id: payments[0].id() }));
}

#[test]
fn what_no_block_could_hold_does_not_wait() {
    let (mut world, mined) = funded(1);
    let coinbase = mined[0].block.body[0].clone();
    assert_eq!(submit(&mut world, &coinbase), Err(MempoolError::Coinbase));
    let overspent = spend(&[mined[0].reward()], 1, &[(1, SUBSIDY + 1)]);
    let answer = submit(&mut world, &overspent);
    assert!(matches!(answer, Err(MempoolError::Invalid(TransactionError::Overspent { .. }))), "{answer:?}");
    let stranger = spend(&[mined[0].reward()], 2, &[(1, SUBSIDY - 1000)]);
    let answer = submit(&mut world, &stranger);
    assert_eq!(answer, Err(MempoolError::Invalid(TransactionError::Signature { index: 0 })));
}

#[test]
fn less_than_the_least_fee_is_refused_by_one_atom() {
    let (mut world, mined) = funded(1);
    // 156 bytes at 1,000 atoms for 1,000 bytes.
    assert_eq!(pay(&mined[0], 1).size(), 156);
    assert!(matches!(submit(&mut world, &pay(&mined[0], 155)), Err(MempoolError::Fee { .. })));
    assert!(submit(&mut world, &pay(&mined[0], 156)).is_ok());
}

#[test]
fn a_replacement_pays_for_what_it_drives_out_and_for_itself() {
    let (mut world, mined) = funded(1);
    let first = pay(&mined[0], 1000);
    let child = spend(&[output(&first, 0)], 1, &[(1, SUBSIDY - 2000)]);
    submit(&mut world, &first).unwrap();
    submit(&mut world, &child).unwrap();
    assert!(matches!(submit(&mut world, &pay(&mined[0], 2155)), Err(MempoolError::Conflict { .. })));
    let better = pay(&mined[0], 2156);
    submit(&mut world, &better).unwrap();
    assert_eq!(waiting(&world), [better.id()]);
}

#[test]
fn a_replacement_cannot_spend_what_it_drives_out() {
    let (mut world, mined) = funded(1);
    let first = pay(&mined[0], 1000);
    submit(&mut world, &first).unwrap();
    let greedy = spend(&[mined[0].reward(), output(&first, 0)], 1, &[(1, SUBSIDY)]);
    assert!(matches!(submit(&mut world, &greedy), Err(MempoolError::Conflict { .. })));
    assert_eq!(waiting(&world), [first.id()]);
}

#[test]
fn a_full_pool_drops_the_worst_for_a_better_one() {
    let (mut world, mined) = funded_with(4, |config| config.mempool.transactions_max = 2);
    let (low, mid, high) = (pay(&mined[0], 1000), pay(&mined[1], 2000), pay(&mined[2], 3000));
    submit(&mut world, &low).unwrap();
    submit(&mut world, &mid).unwrap();
    assert_eq!(submit(&mut world, &pay(&mined[3], 1000)), Err(MempoolError::Full));
    submit(&mut world, &high).unwrap();
    assert_eq!(waiting(&world), [high.id(), mid.id()]);
    let world = world.reopened();
    assert_eq!(waiting(&world), [high.id(), mid.id()], "what was dropped stays away");
}

#[test]
fn bytes_are_bounded() {
    let (mut world, mined) = funded_with(3, |config| config.mempool.bytes_max = 350);
    for (made, fee) in mined.iter().zip([1000, 2000, 3000]) {
        submit(&mut world, &pay(made, fee)).unwrap();
    }
    assert_eq!((world.chain.mempool().count(), world.chain.mempool().bytes()), (2, 312));
}

#[test]
fn a_chain_of_dependent_transactions_is_bounded() {
    let (mut world, mined) = funded_with(1, |config| config.mempool.package_max = 3);
    let mut last = pay(&mined[0], 1000);
    for _ in 0..3 {
        submit(&mut world, &last).unwrap();
        let left = last.outputs[0].amount.to_atoms() - 1000;
        last = spend(&[output(&last, 0)], 1, &[(1, left)]);
    }
    assert_eq!(submit(&mut world, &last), Err(MempoolError::Package { count: 4, max: 3 }));
}

#[test]
fn a_block_takes_out_its_transactions_and_their_rivals() {
    let (mut world, mined) = funded(2);
    let (confirmed, rival) = (pay(&mined[0], 1000), pay(&mined[1], 1000));
    let child = spend(&[output(&confirmed, 0)], 1, &[(1, SUBSIDY - 2000)]);
    let heir = spend(&[output(&rival, 0)], 1, &[(1, SUBSIDY - 2000)]);
    for transaction in [&confirmed, &rival, &child, &heir] {
        submit(&mut world, transaction).unwrap();
    }
    let tip = world.chain.tip();
    let parent = Made { id: tip.id, height: tip.height.0, ..mined[0].clone() };
    let mut recipe = plain(&parent, 2);
    recipe.payments = vec![confirmed, spend(&[mined[1].reward()], 1, &[(3, SUBSIDY)])];
    recipe.reward += 1000;
    world.submit(&recipe.make()).unwrap();
    assert_eq!(waiting(&world), [child.id()]);
    let world = world.reopened();
    assert_eq!(waiting(&world), [child.id()]);
}

#[test]
fn acknowledged_transactions_survive_a_restart_with_their_children() {
    let (mut world, mined) = funded(1);
    let mut last = pay(&mined[0], 1000);
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(submit(&mut world, &last).unwrap());
        let left = last.outputs[0].amount.to_atoms() - 1000;
        last = spend(&[output(&last, 0)], 1, &[(1, left)]);
    }
    let world = world.reopened();
    assert!(ids.iter().all(|id| world.chain.mempool().get(*id).is_some()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Random transactions, dependent and conflicting, in a small pool: what a template takes is always a valid block, and the pool keeps to its bounds.
    #[test]
    fn any_pool_fills_a_valid_block(choices in prop::collection::vec((any::<usize>(), 200u64..5000, any::<bool>()), 1..60)) {
        let (mut world, mined) = funded_with(6, |config| {
            config.mempool.transactions_max = 12;
            config.mempool.package_max = 5;
            config.ledger.block_bytes_max = 1156 + 156 + 8 + 156 * 8;
        });
        let mut spendable: Vec<_> = mined.iter().map(Made::reward).collect();
        for (choice, fee, split) in choices {
            let (at, from) = spendable[choice % spendable.len()];
            let left = from.amount.to_atoms();
            if left < 2 * fee + 2 {
                continue;
            }
            let outputs = if split { vec![(1, left / 2), (1, left - left / 2 - fee)] } else { vec![(1, left - fee)] };
            let payment = spend(&[(at, from)], 1, &outputs);
            if submit(&mut world, &payment).is_ok() {
                spendable.extend((0..outputs.len()).map(|index| output(&payment, index)));
            }
            let pool = world.chain.mempool();
            prop_assert!(pool.count() <= 12);
            prop_assert_eq!(pool.bytes(), pool.best_first(99).iter().map(|pending| pending.size).sum::<usize>());
        }
        while world.chain.mempool().count() > 0 {
            let before = world.chain.mempool().count();
            crate::templates::mine_template(&mut world);
            prop_assert!(world.chain.mempool().count() < before, "each block takes some");
        }
    }
}
