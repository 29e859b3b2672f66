//! Forks of any shape, in any order of arrival, lead to the ledger that a plain model finds.

use crate::rules::{SUBSIDY, TestRules};
use crate::world::{MATURITY, Made, NOW, World, config, key, merging, output, plain, spend};
use adit_chain::{BlockError, OutPoint, Output, TemplateRequest, Transaction, Unspent};
use adit_primitives::storage::{Batch, Entries, MemoryStorage, Storage, StorageError, Table};
use adit_primitives::{BlockId, Encode, Height};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How one block of a random forest is made.
#[derive(Debug, Clone)]
pub struct Plan {
    parent: usize,
    work: u32,
    /// Which outputs it spends, to whom.
    payments: Vec<(usize, u8)>,
    /// Whether its coinbase claims an atom too many.
    greedy: bool,
}

pub fn plan() -> impl Strategy<Value = Plan> {
    let payments = prop::collection::vec((any::<usize>(), 1u8..5), 0..3);
    (any::<usize>(), 1u32..20, payments, prop::bool::weighted(0.08)).prop_map(|(parent, work, payments, greedy)| Plan {
        parent,
        work,
        payments,
        greedy,
    })
}

/// A block with the ledger that it leads to, found without undo and without a database.
#[derive(Debug, Clone)]
pub struct Modelled {
    pub made: Made,
    unspent: BTreeMap<OutPoint, Unspent>,
    work: u64,
    valid: bool,
}

fn owner(output: &Output) -> u8 {
    (1..10).find(|seed| key(*seed).public() == output.key).unwrap()
}

fn apply(unspent: &mut BTreeMap<OutPoint, Unspent>, transaction: &Transaction, height: u64) {
    transaction.inputs.iter().for_each(|input| assert!(unspent.remove(&input.previous).is_some()));
    for index in 0..transaction.outputs.len() {
        let (at, output) = output(transaction, index);
        unspent.insert(at, Unspent { output, height: Height(height), coinbase: transaction.is_coinbase() });
    }
}

/// Grows a forest. Parents are chosen among the newest blocks, so that branches get long.
pub fn forest(genesis: Made, plans: &[Plan]) -> Vec<Modelled> {
    let mut blocks = vec![Modelled { made: genesis, unspent: BTreeMap::new(), work: 1, valid: true }];
    for (nonce, plan) in (0u64..).zip(plans) {
        let newest = blocks.len().min(6);
        let parent = blocks[blocks.len() - 1 - plan.parent % newest].clone();
        let height = parent.made.height + 1;
        let mut unspent = parent.unspent.clone();
        let mut recipe = plain(&parent.made, 1 + u8::try_from(nonce % 4).unwrap());
        (recipe.work, recipe.nonce) = (plan.work, nonce);
        for (choice, to) in &plan.payments {
            let mature = |unspent: &Unspent| !unspent.coinbase || unspent.height.0 + MATURITY <= height;
            let spendable: Vec<_> = unspent.iter().filter(|(_, unspent)| mature(unspent)).collect();
            let Some((at, from)) = spendable.get(choice % spendable.len().max(1)) else { continue };
            let (half, fee) = (from.output.amount.to_atoms() / 2, 10);
            if half <= fee {
                continue;
            }
            let rest = from.output.amount.to_atoms() - half - fee;
            let payment = spend(&[(**at, from.output)], owner(&from.output), &[(*to, half), (*to, rest)]);
            apply(&mut unspent, &payment, height);
            recipe.reward += fee;
            recipe.payments.push(payment);
        }
        recipe.reward += u64::from(plan.greedy);
        let made = recipe.make();
        apply(&mut unspent, &made.block.body[0], height);
        let work = parent.work + u64::from(plan.work);
        blocks.push(Modelled { made, unspent, work, valid: parent.valid && !plan.greedy });
    }
    blocks
}

fn best(blocks: &[Modelled]) -> &Modelled {
    blocks.iter().filter(|block| block.valid).max_by_key(|block| (block.work, block.made.id)).unwrap()
}

fn submit(world: &mut World, blocks: &[Modelled], order: &[usize]) {
    for at in order {
        match world.submit(&blocks[*at].made) {
            Ok(_) | Err(BlockError::Orphan { .. } | BlockError::Invalid { .. } | BlockError::KnownInvalid { .. }) => {}
            // An orphan that its parent brought in.
            Err(BlockError::Known { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

fn check(world: &World, want: &Modelled) {
    assert_eq!(world.chain.tip().id, want.made.id);
    check_ledger(world, want);
}

fn check_ledger(world: &World, want: &Modelled) {
    let stored = world.storage.scan(Table::Unspent, &[], usize::MAX).unwrap();
    let modelled: BTreeMap<Vec<u8>, Vec<u8>> =
        want.unspent.iter().map(|(at, unspent)| (at.to_bytes(), unspent.to_bytes())).collect();
    assert_eq!(stored.into_iter().collect::<BTreeMap<_, _>>(), modelled);
    // Fees come back in coinbases, so that all money is subsidies, one for each block above the genesis.
    assert_eq!(world.money(), u128::from(want.made.height * SUBSIDY));
    let owned = world.storage.scan(Table::Owned, &[], usize::MAX).unwrap();
    assert_eq!(owned.len(), want.unspent.len());
}

/// Storage that fails from some commit on, as if the machine stopped there.
pub struct Mortal {
    pub inner: MemoryStorage,
    pub commits_left: AtomicUsize,
}

impl Storage for Mortal {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.inner.get(table, key)
    }

    fn scan(&self, table: Table, first: &[u8], max: usize) -> Result<Entries, StorageError> {
        self.inner.scan(table, first, max)
    }

    fn commit(&self, batch: Batch) -> Result<(), StorageError> {
        let left = self.commits_left.load(Ordering::Relaxed);
        if left == 0 {
            return Err(StorageError { detail: "the machine stopped".to_owned() });
        }
        self.commits_left.store(left - 1, Ordering::Relaxed);
        self.inner.commit(batch)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_arrival_gives_the_models_ledger(
        plans in prop::collection::vec(plan(), 1..40),
        order in Just((1..=40usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let mut world = World::new();
        let blocks = forest(world.genesis(), &plans);
        let order: Vec<usize> = order.into_iter().filter(|at| *at < blocks.len()).collect();
        submit(&mut world, &blocks, &order);
        check(&world, best(&blocks));
        let mut straight = World::new();
        submit(&mut straight, &blocks, &(1..blocks.len()).collect::<Vec<_>>());
        prop_assert_eq!(world.ledger(), straight.ledger());
        let world = world.reopened();
        check(&world, best(&blocks));
    }

    #[test]
    fn a_machine_that_stops_anywhere_starts_whole(
        plans in prop::collection::vec(plan(), 1..30),
        commits in 1usize..30,
    ) {
        let mortal = Arc::new(Mortal { inner: MemoryStorage::default(), commits_left: AtomicUsize::new(commits) });
        let mut world = World::over(config(), TestRules::default(), mortal.clone());
        let blocks = forest(world.genesis(), &plans);
        let mut kept: Vec<BlockId> = Vec::new();
        for block in &blocks[1..] {
            match world.submit(&block.made) {
                Ok(accepted) => kept.push(accepted.id),
                Err(BlockError::Storage(_)) => break,
                Err(_) => {}
            }
        }
        mortal.commits_left.store(usize::MAX, Ordering::Relaxed);
        let mut world = world.reopened();
        let tip = world.chain.tip().id;
        check_ledger(&world, blocks.iter().find(|block| block.made.id == tip).unwrap());
        for id in kept {
            prop_assert!(world.chain.reader().block(id).unwrap().is_some(), "an acknowledged block is gone");
        }
        submit(&mut world, &blocks, &(1..blocks.len()).collect::<Vec<_>>());
        check(&world, best(&blocks));
    }
}

#[test]
fn the_heavier_branch_wins_and_the_lighter_ones_payments_wait_again() {
    let mut world = World::new();
    let base = world.mine(3, 1);
    let payment = spend(&[base[0].reward()], 1, &[(2, SUBSIDY - 1000)]);
    let mut light = plain(&base[2], 2);
    light.payments = vec![payment.clone()];
    light.reward += 1000;
    let light = light.make();
    world.submit(&light).unwrap();
    let before = world.chain.state_version();
    let side = plain(&base[2], 3).make();
    let top = plain(&side, 3).make();
    let first = world.submit(&side).unwrap();
    assert_eq!(first.selected, side.id > light.id, "of equals the placement's tie decides");
    world.submit(&top).unwrap();
    assert_eq!(world.chain.tip().id, top.id);
    assert!(world.chain.state_version() > before);
    assert_eq!(world.chain.mempool().get(payment.id()).unwrap().fee.to_atoms(), 1000);
    assert!(world.chain.reader().transaction(payment.id()).unwrap().is_none());
    let world = world.reopened();
    assert!(world.chain.mempool().get(payment.id()).is_some(), "it survives a restart too");
}

#[test]
fn a_branch_that_turns_out_invalid_leaves_no_trace() {
    let mut world = World::new();
    let base = world.mine(3, 1);
    let top = world.mine(2, 1).remove(1);
    let before = world.ledger();
    let good = plain(&base[2], 2).make();
    let mut bad = plain(&good, 2);
    bad.reward += 1;
    bad.work = 5;
    let bad = bad.make();
    let mut heavy = plain(&bad, 2);
    heavy.work = 100;
    let heavy = heavy.make();
    world.submit(&good).unwrap();
    world.submit(&bad).unwrap();
    assert!(matches!(world.submit(&heavy), Err(BlockError::Invalid { .. })));
    assert_eq!((world.chain.tip().id, world.ledger()), (top.id, before));
    let mut world = world.reopened();
    assert!(matches!(world.submit(&heavy), Err(BlockError::KnownInvalid { .. })));
    assert!(matches!(world.submit(&bad), Err(BlockError::KnownInvalid { .. })));
}

#[test]
fn a_reorganisation_is_told_block_by_block() {
    let mut world = World::new();
    let base = world.mine(1, 1).remove(0);
    let old = world.mine(3, 1);
    let mut line = vec![plain(&base, 2).make()];
    line.push(plain(&line[0], 2).make());
    line.push({
        let mut heavy = plain(&line[1], 2);
        heavy.work = 100;
        heavy.make()
    });
    for aside in &line[..2] {
        assert_eq!(world.submit(aside).unwrap().reorg, None);
    }
    let accepted = world.submit(&line[2]).unwrap();
    let reorg = accepted.reorg.unwrap();
    assert_eq!(reorg.disconnected, [old[2].id, old[1].id, old[0].id]);
    assert_eq!(reorg.connected, line.iter().map(|made| made.id).collect::<Vec<_>>());
    assert!(accepted.selected);
}

/// A coinbase that is cut on one branch and whole on another has one name and two amounts, and signatures cover amounts.
#[test]
fn a_signature_checked_on_one_branch_is_checked_again_on_another() {
    let mut world = World::with(merging(), TestRules::default());
    let base = world.mine(3, 1);
    let mut left = plain(&base[2], 1);
    left.payments = vec![spend(&[base[0].merged_reward()], 1, &[(2, SUBSIDY - 400)])];
    left.reward += 400;
    let left = left.make();
    let above = plain(&left, 1).make();
    let mut top = plain(&above, 1);
    top.work = 50;
    let top = top.make();
    let mut right = plain(&base[2], 3);
    right.payments = vec![spend(&[base[0].merged_reward()], 1, &[(3, SUBSIDY)])];
    right.work = 15;
    let right = right.make();
    let mut merger = plain(&right, 3);
    merger.parents = vec![right.id, left.id];
    merger.height += 1;
    let merger = merger.make();
    let mut heavy = plain(&merger, 3);
    heavy.work = 80;
    let heavy = heavy.make();
    // It is signed for the reward with its fee, and spends less than the reward without.
    let payment = spend(&[left.merged_reward()], 1, &[(2, SUBSIDY - 5000)]);
    let mut last = plain(&heavy, 3);
    last.payments = vec![payment.clone()];
    let last = last.make();

    for made in [&left, &above, &top] {
        world.submit(made).unwrap();
    }
    world.chain.submit_transaction(NOW, payment.clone()).unwrap();
    for made in [&right, &merger, &heavy, &last] {
        world.submit(made).unwrap();
    }
    assert_eq!(world.chain.tip().id, last.id);
    assert!(world.chain.mempool().get(payment.id()).is_none(), "it cannot be applied on this branch");
    let mut straight = World::with(merging(), TestRules::default());
    straight.mine(3, 1);
    for made in [&left, &right, &merger, &heavy, &last] {
        straight.submit(made).unwrap();
    }
    assert_eq!(world.ledger(), straight.ledger(), "whether a node saw the payment before its block changes nothing");
}

#[test]
fn after_a_change_of_branches_waits_what_neither_touched_and_what_can_be_applied_again() {
    let mut world = World::new();
    let base = world.mine(4 + MATURITY, 1);
    let below = base.last().unwrap();
    let pay = |from: usize, to: u8| spend(&[base[from].reward()], 1, &[(to, SUBSIDY - 1000)]);
    let (undone, apart, rival, winner) = (pay(0, 1), pay(1, 2), pay(2, 2), pay(2, 3));
    let child = spend(&[output(&undone, 0)], 1, &[(2, SUBSIDY - 2000)]);
    let orphan = spend(&[output(&rival, 0)], 2, &[(2, SUBSIDY - 2000)]);
    let mut light = plain(below, 1);
    light.payments = vec![undone.clone()];
    light.reward += 1000;
    world.submit(&light.make()).unwrap();
    for payment in [&apart, &rival, &child, &orphan] {
        world.chain.submit_transaction(NOW, payment.clone()).unwrap();
    }
    let mut heavy = plain(below, 1);
    heavy.payments = vec![winner];
    heavy.work += 1;
    let heavy = heavy.make();
    world.submit(&heavy).unwrap();
    assert_eq!(world.chain.tip().id, heavy.id);
    let waiting = |world: &World| -> BTreeSet<_> {
        world.chain.mempool().best_first(usize::MAX).iter().map(|pending| pending.id).collect()
    };
    let want = BTreeSet::from([undone.id(), apart.id(), child.id()]);
    assert_eq!(waiting(&world), want);
    assert_eq!(waiting(&world.reopened()), want, "the storage holds the same");
}

#[test]
fn what_a_branch_that_lost_carried_is_mined_again() {
    let mut world = World::new();
    let base = world.mine(1 + MATURITY, 1);
    let below = base.last().unwrap();
    let payment = spend(&[base[0].reward()], 1, &[(2, SUBSIDY - 1000)]);
    let mut light = plain(below, 1);
    light.payments = vec![payment.clone()];
    light.reward += 1000;
    let mut heavy = plain(below, 1);
    heavy.work += 1;
    world.submit(&light.make()).unwrap();
    world.submit(&heavy.make()).unwrap();
    let request = TemplateRequest { pay_to: key(4).public(), extra: Vec::new(), difficulty: None };
    let template = world.chain.template(NOW, &request).unwrap();
    assert_eq!(template.requirements.parents.len(), 1, "nothing is merged here");
    assert_eq!(template.transactions.iter().map(|pending| pending.id).collect::<Vec<_>>(), [payment.id()]);
}

/// A world whose branches may leave the selected chain five heights below its tip, with ten blocks.
fn shallow() -> (World, Vec<Made>) {
    let mut config = config();
    config.orphans.fork_depth_max = 5;
    let mut world = World::with(config, TestRules::default());
    let line = world.mine(10, 1);
    (world, line)
}

#[test]
fn a_block_that_leaves_the_chain_far_below_the_tip_is_not_kept() {
    let (mut world, line) = shallow();
    let kept = world.kept();
    for parent in [&world.genesis(), &line[3]] {
        let deep = plain(parent, 9).make();
        assert_eq!(world.submit(&deep), Err(BlockError::Deep { id: deep.id }));
    }
    assert_eq!((world.kept(), world.chain.waiting()), (kept, (0, 0)));
    assert!(!world.submit(&plain(&line[4], 9).make()).unwrap().selected);
}

#[test]
fn a_deep_branch_is_taken_once_its_headers_have_more_work_than_the_tip() {
    let (mut world, _) = shallow();
    let mut branch = vec![world.genesis()];
    for _ in 0..11 {
        branch.push(plain(branch.last().unwrap(), 9).make());
    }
    let branch = branch.split_off(1);
    let headers: Vec<Vec<u8>> = branch.iter().map(|made| made.block.header.clone()).collect();
    assert_eq!(world.chain.submit_headers(NOW, &headers[..9]).unwrap().new, 9);
    assert_eq!(world.submit(&branch[0]), Err(BlockError::Deep { id: branch[0].id }));
    assert_eq!(world.chain.submit_headers(NOW, &headers).unwrap().new, 2);
    branch.iter().for_each(|made| drop(world.submit(made).unwrap()));
    assert_eq!(world.chain.tip().id, branch[10].id);
}
