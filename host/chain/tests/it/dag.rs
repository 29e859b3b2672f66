//! Blocks that merge others, in any order of arrival, lead to the ledger that a plain model finds.

use crate::rules::{SUBSIDY, TestRules};
use crate::world::{CHAIN, MATURITY, Made, NOW, World, atoms, key, merging, output, plain, spend};
use adit_chain::{BlockError, ChainConfig, Colour, Conflicts, OutPoint, Output, Standing, Transaction, Unspent};
use adit_primitives::storage::Table;
use adit_primitives::{BlockId, Encode, Height, TxId};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// How one block of a random DAG is made.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Which of the newest blocks it names.
    parents: Vec<usize>,
    work: u32,
    /// Few values, so that parallel blocks have equal coinbases now and then.
    nonce: u64,
    /// What its coinbase claims beside the subsidy.
    claim: u64,
    payments: Vec<Payment>,
}

#[derive(Debug, Clone)]
enum Payment {
    /// Spends an output that some block created, whether that can be spent here or not.
    New { output: usize, to: u8, fee: u64 },
    /// Repeats a payment of another block.
    Again(usize),
    /// Repeats a payment of another block with a signature that does not hold.
    Forged(usize),
}

fn payment() -> impl Strategy<Value = Payment> {
    prop_oneof![
        6 => (any::<usize>(), 1u8..5, 0u64..50).prop_map(|(output, to, fee)| Payment::New { output, to, fee }),
        2 => any::<usize>().prop_map(Payment::Again),
        1 => any::<usize>().prop_map(Payment::Forged),
    ]
}

pub fn plan() -> impl Strategy<Value = Plan> {
    let parents = prop::collection::vec(0usize..5, 1..4);
    let payments = prop::collection::vec(payment(), 0..4);
    (parents, 1u32..20, 0u64..2, 0u64..120, payments).prop_map(|(parents, work, nonce, claim, payments)| Plan {
        parents,
        work,
        nonce,
        claim,
        payments,
    })
}

/// A block as the rules place it.
#[derive(Debug, Clone)]
pub struct Node {
    pub made: Made,
    past: BTreeSet<usize>,
    selected: usize,
    /// In order; whether each is blue.
    merged: Vec<(usize, bool)>,
    own_work: u64,
    work: u64,
}

/// A ledger found from nothing, block by block in the total order.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    unspent: BTreeMap<OutPoint, Unspent>,
    /// Who applied each transaction, and whose body held it.
    accepted: BTreeMap<TxId, (BlockId, BlockId)>,
    order: Vec<(BlockId, Colour, BlockId)>,
    minted: u64,
    fees: u64,
}

fn owner(output: &Output) -> u8 {
    (1..10).find(|seed| key(*seed).public() == output.key).unwrap()
}

/// Grows a DAG. Only the newest blocks are named, so that branches get long.
pub fn grow(genesis: Made, plans: &[Plan]) -> Vec<Node> {
    let root = Node { made: genesis, past: BTreeSet::new(), selected: 0, merged: Vec::new(), own_work: 1, work: 1 };
    let mut nodes = vec![root];
    for plan in plans {
        let newest = nodes.len().min(5);
        let named: BTreeSet<usize> = plan.parents.iter().map(|parent| nodes.len() - 1 - parent % newest).collect();
        // A parent in the past of another is left out.
        let parents: Vec<usize> =
            named.iter().copied().filter(|one| !named.iter().any(|other| nodes[*other].past.contains(one))).collect();
        let mut past: BTreeSet<usize> = parents.iter().flat_map(|parent| &nodes[*parent].past).copied().collect();
        past.extend(&parents);
        let rank = |node: &usize| (nodes[*node].work, nodes[*node].made.id);
        let selected = *parents.iter().max_by_key(|node| rank(node)).unwrap();
        let mut merged: Vec<usize> =
            past.iter().copied().filter(|node| *node != selected && !nodes[selected].past.contains(node)).collect();
        merged.sort_by_key(rank);
        let merged: Vec<(usize, bool)> = merged.into_iter().map(|node| (node, nodes[node].own_work % 3 != 0)).collect();
        let mut recipe = plain(&nodes[selected].made, 1 + u8::try_from(plan.nonce).unwrap());
        recipe.parents = parents.iter().map(|parent| nodes[*parent].made.id).collect();
        recipe.height += merged.len() as u64;
        (recipe.work, recipe.nonce, recipe.reward) = (plan.work, plan.nonce, SUBSIDY + plan.claim);
        for payment in plan.payments.iter().filter_map(|payment| pay(&nodes, payment)) {
            // A body cannot hold a transaction twice: its merkle root would not be one.
            if !recipe.payments.contains(&payment) {
                recipe.payments.push(payment);
            }
        }
        let made = recipe.make();
        if nodes.iter().any(|node| node.made.id == made.id) {
            continue;
        }
        let merged_work: u64 = merged.iter().map(|(node, _)| nodes[*node].own_work).sum();
        let work = nodes[selected].work + u64::from(plan.work) + merged_work;
        nodes.push(Node { made, past, selected, merged, own_work: plan.work.into(), work });
    }
    nodes
}

fn pay(nodes: &[Node], payment: &Payment) -> Option<Transaction> {
    let all: Vec<&Transaction> = nodes.iter().flat_map(|node| &node.made.block.body).collect();
    let payments: Vec<&&Transaction> = all.iter().filter(|transaction| !transaction.is_coinbase()).collect();
    match payment {
        Payment::New { output: choice, to, fee } => {
            let mut outputs: Vec<(OutPoint, Output)> =
                nodes[1..].iter().map(|node| node.made.merged_reward()).collect();
            outputs.extend(payments.iter().flat_map(|tx| (0..tx.outputs.len()).map(|index| output(tx, index))));
            let (at, from) = outputs.get(choice % outputs.len().max(1))?;
            let half = from.amount.to_atoms() / 2;
            let rest = (from.amount.to_atoms() - half).checked_sub(*fee).filter(|rest| *rest > 0)?;
            (half > 0).then(|| spend(&[(*at, *from)], owner(from), &[(*to, half), (*to, rest)]))
        }
        Payment::Again(choice) => payments.get(choice % payments.len().max(1)).map(|payment| (**payment).clone()),
        Payment::Forged(choice) => payments.get(choice % payments.len().max(1)).map(|payment| {
            let mut forged = (**payment).clone();
            forged.inputs[0].signature.0[7] ^= 1;
            forged
        }),
    }
}

fn best(nodes: &[Node]) -> usize {
    (0..nodes.len()).max_by_key(|node| (nodes[*node].work, nodes[*node].made.id)).unwrap()
}

fn model(nodes: &[Node], tip: usize) -> Model {
    let mut chain = vec![tip];
    while let Some(last) = chain.last().copied().filter(|last| *last != 0) {
        chain.push(nodes[last].selected);
    }
    let mut model = Model::default();
    for at in chain.into_iter().rev() {
        let merging = &nodes[at];
        for (merged, blue) in &merging.merged {
            let colour = if *blue { Colour::Blue } else { Colour::Red };
            model.order.push((nodes[*merged].made.id, colour, merging.made.id));
            model.apply(&nodes[*merged].made, *blue, &merging.made);
        }
        model.order.push((merging.made.id, Colour::Selected, merging.made.id));
        model.apply(&merging.made, true, &merging.made);
    }
    model
}

impl Model {
    fn apply(&mut self, made: &Made, paid: bool, by: &Made) {
        let mut fees = 0;
        for payment in made.block.body.iter().skip(1) {
            let inputs: Option<Vec<Unspent>> =
                payment.inputs.iter().map(|input| self.unspent.get(&input.previous).copied()).collect();
            let Some(inputs) = inputs else { continue };
            let mature = inputs.iter().all(|input| !input.coinbase || input.height.0 + MATURITY <= by.height);
            let outputs: Vec<Output> = inputs.iter().map(|input| input.output).collect();
            let message = payment.signature_hash(&CHAIN, &outputs);
            let signed = std::iter::zip(&payment.inputs, &outputs)
                .all(|(input, output)| output.key.verifies(&message, &input.signature));
            let sum = |outputs: &[Output]| outputs.iter().map(|output| output.amount.to_atoms()).sum::<u64>();
            let fee = sum(&outputs).checked_sub(sum(&payment.outputs));
            let Some(fee) = fee.filter(|_| mature && signed) else { continue };
            for input in &payment.inputs {
                self.unspent.remove(&input.previous);
            }
            self.create(payment, payment.id(), u64::MAX, by, made);
            fees += fee;
            self.fees += fee;
        }
        if let Some(coinbase) = made.block.body.first().filter(|_| paid) {
            let id = coinbase.id_in(made.id, Conflicts::SkipTransaction);
            self.minted += self.create(coinbase, id, SUBSIDY + fees, by, made);
        }
    }

    fn create(&mut self, transaction: &Transaction, id: TxId, most: u64, by: &Made, of: &Made) -> u64 {
        let mut left = most;
        for (index, output) in (0..).zip(&transaction.outputs) {
            let (at, mut output) = (OutPoint { transaction: id, index }, *output);
            output.amount = atoms(output.amount.to_atoms().min(left));
            left -= output.amount.to_atoms();
            if output.amount > atoms(0) {
                let unspent = Unspent { output, height: Height(by.height), coinbase: transaction.is_coinbase() };
                assert!(self.unspent.insert(at, unspent).is_none(), "no output is created twice");
            }
        }
        self.accepted.insert(id, (by.id, of.id));
        most - left
    }
}

fn submit(world: &mut World, nodes: &[Node], order: &[usize]) {
    for at in order {
        match world.submit(&nodes[*at].made) {
            Ok(_) | Err(BlockError::Orphan { .. } | BlockError::Known { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

fn check(world: &World, nodes: &[Node]) {
    let tip = best(nodes);
    assert_eq!(world.chain.tip().id, nodes[tip].made.id);
    let want = model(nodes, tip);
    let stored = world.storage.scan(Table::Unspent, &[], usize::MAX).unwrap();
    let modelled: BTreeMap<Vec<u8>, Vec<u8>> =
        want.unspent.iter().map(|(at, unspent)| (at.to_bytes(), unspent.to_bytes())).collect();
    assert_eq!(stored.into_iter().collect::<BTreeMap<_, _>>(), modelled);
    assert_eq!(world.money(), u128::from(want.minted - want.fees), "coinbases create money and fees destroy it");
    let reader = world.chain.reader();
    for node in &nodes[1..] {
        for transaction in &node.made.block.body {
            let id = reader.transaction_id(transaction, node.made.id);
            let located = reader.transaction(id).unwrap();
            let found = located.map(|located| (located.accepted_by, located.block));
            assert_eq!(found, want.accepted.get(&id).copied());
        }
    }
    check_order(world, nodes, &want);
}

fn check_order(world: &World, nodes: &[Node], want: &Model) {
    let reader = world.chain.reader();
    for (topoheight, (id, colour, by)) in (0u64..).zip(&want.order) {
        let standing = Standing { colour: *colour, applied_by: Some(*by), topoheight: Some(topoheight) };
        assert_eq!(reader.standing(*id), Some(standing));
        assert_eq!(reader.id_at_topoheight(topoheight), Some(*id));
    }
    assert_eq!(reader.id_at_topoheight(want.order.len() as u64), None);
    for node in nodes.iter().filter(|node| !want.order.iter().any(|(id, ..)| *id == node.made.id)) {
        assert_eq!(reader.standing(node.made.id).unwrap().colour, Colour::Unmerged);
    }
}

fn dag_world() -> World {
    World::with(merging(), TestRules::default())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_arrival_gives_the_models_ledger(
        plans in prop::collection::vec(plan(), 1..24),
        order in Just((1..=24usize).collect::<Vec<_>>()).prop_shuffle(),
        restart in 0usize..24,
    ) {
        let mut world = dag_world();
        let nodes = grow(world.genesis(), &plans);
        let order: Vec<usize> = order.into_iter().filter(|at| *at < nodes.len()).collect();
        let (before, after) = order.split_at(restart.min(order.len()));
        submit(&mut world, &nodes, before);
        let mut world = world.reopened();
        submit(&mut world, &nodes, after);
        // Blocks that waited for a parent when the node stopped are offered again.
        submit(&mut world, &nodes, &order);
        check(&world, &nodes);
        let mut straight = dag_world();
        submit(&mut straight, &nodes, &(1..nodes.len()).collect::<Vec<_>>());
        prop_assert_eq!(world.ledger(), straight.ledger());
        check(&world.reopened(), &nodes);
    }

    #[test]
    fn what_waits_can_be_applied_over_the_tip(
        plans in prop::collection::vec(plan(), 1..24),
        order in Just((1..=24usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let mut config = merging();
        config.mempool.fee_per_kilobyte_min = atoms(0);
        let mut world = World::with(config, TestRules::default());
        let nodes = grow(world.genesis(), &plans);
        let order: Vec<usize> = order.into_iter().filter(|at| *at < nodes.len()).collect();
        for (at, early) in std::iter::zip(&order, order.iter().rev()) {
            // Payments come before their blocks too. Some do not hold yet, or nowhere.
            let payments = nodes[*early].made.block.body[1..].to_vec();
            world.chain.submit_transactions(NOW, payments).unwrap();
            submit(&mut world, &nodes, &[*at]);
        }
        let tip = best(&nodes);
        prop_assert_eq!(world.chain.tip().id, nodes[tip].made.id);
        let mut ledger = model(&nodes, tip);
        let waiting: Vec<Transaction> =
            world.chain.mempool().best_first(usize::MAX).iter().map(|pending| pending.transaction.clone()).collect();
        // Dependent ones come after those that they depend on, in some number of rounds.
        let mut left = waiting;
        for _ in 0..24 {
            let next = Made { height: nodes[tip].made.height + 1, ..nodes[tip].made.clone() };
            left.retain(|payment| {
                let block = adit_chain::Block { header: Vec::new(), body: vec![payment.clone(), payment.clone()] };
                ledger.apply(&Made { block, ..next.clone() }, false, &next);
                !ledger.accepted.contains_key(&payment.id())
            });
        }
        prop_assert!(left.is_empty(), "a payment waits that cannot be applied");
        let ids = |world: &World| -> BTreeSet<TxId> {
            world.chain.mempool().best_first(usize::MAX).iter().map(|pending| pending.id).collect()
        };
        let waiting = ids(&world);
        prop_assert_eq!(ids(&world.reopened()), waiting, "the storage holds the same");
    }
}

/// Makes two blocks beside each other and one that merges them: (selected, merged, merger).
fn merge(world: &mut World, payments: [Vec<Transaction>; 2], works: [u32; 2], rewards: [u64; 2]) -> (Made, Made, Made) {
    let tip = world.chain.tip();
    let base =
        Made { id: tip.id, block: adit_chain::Block { header: Vec::new(), body: Vec::new() }, height: tip.height.0 };
    let beside = |number: usize| {
        let mut recipe = plain(&base, 7 + u8::try_from(number).unwrap());
        (recipe.work, recipe.reward) = (works[number], rewards[number]);
        recipe.payments.clone_from(&payments[number]);
        recipe.make()
    };
    let (selected, merged) = (beside(0), beside(1));
    let mut merger = plain(&selected, 9);
    merger.parents = vec![selected.id, merged.id];
    merger.height += 1;
    let merger = merger.make();
    for made in [&selected, &merged, &merger] {
        world.submit(made).unwrap();
    }
    (selected, merged, merger)
}

#[test]
fn the_first_of_two_conflicting_payments_wins_and_both_blocks_stay() {
    let mut world = dag_world();
    let base = world.mine(3, 1);
    let first = spend(&[base[0].merged_reward()], 1, &[(2, SUBSIDY - 500)]);
    let second = spend(&[base[0].merged_reward()], 1, &[(3, SUBSIDY - 900)]);
    let (selected, merged, merger) =
        merge(&mut world, [vec![first.clone()], vec![second.clone()]], [20, 10], [SUBSIDY + 500, SUBSIDY + 900]);
    let reader = world.chain.reader();
    assert_eq!(world.chain.tip().id, merger.id);
    assert_eq!(reader.transaction(first.id()).unwrap().unwrap().accepted_by, selected.id);
    assert_eq!(reader.transaction(second.id()).unwrap(), None);
    assert_eq!(reader.standing(merged.id).unwrap().colour, Colour::Blue);
    let paid = reader.unspent(&merged.merged_reward().0).unwrap().unwrap().output.amount;
    assert_eq!(paid, atoms(SUBSIDY), "the miner of the losing payment has lost its fee, and nothing else");
}

#[test]
fn a_red_block_is_paid_nothing_and_its_fees_are_gone() {
    let mut world = dag_world();
    let base = world.mine(3, 1);
    let payment = spend(&[base[0].merged_reward()], 1, &[(2, SUBSIDY - 900)]);
    let before = world.money();
    let (_, red, merger) = merge(&mut world, [vec![], vec![payment.clone()]], [20, 12], [SUBSIDY, SUBSIDY + 900]);
    let reader = world.chain.reader();
    assert_eq!(reader.standing(red.id).unwrap().colour, Colour::Red);
    assert_eq!(reader.transaction(payment.id()).unwrap().unwrap().accepted_by, merger.id);
    assert_eq!(reader.unspent(&red.merged_reward().0).unwrap(), None);
    assert_eq!(world.money(), before + 2 * u128::from(SUBSIDY) - 900);
}

#[test]
fn a_chain_that_refuses_conflicts_merges_nothing() {
    let mut world = World::new();
    let base = world.mine(1, 1).remove(0);
    let (left, right) = (plain(&base, 2).make(), plain(&base, 3).make());
    let mut merger = plain(if left.id > right.id { &left } else { &right }, 4);
    merger.parents = vec![left.id, right.id];
    merger.height += 1;
    let merger = merger.make();
    world.submit(&left).unwrap();
    world.submit(&right).unwrap();
    match world.submit(&merger) {
        Err(BlockError::Invalid { violation, .. }) => assert_eq!(violation.rule, "merge"),
        other => panic!("{other:?}"),
    }
    // Nor does it ask miners for what it would refuse.
    let before = world.chain.tip();
    assert_eq!(world.chain.requirements(None).unwrap().parents, [before.id]);
    super::templates::mine_template(&mut world);
    assert_eq!(world.chain.tip().selected_parent, Some(before.id));
}

#[test]
fn a_payment_that_a_block_left_out_drives_nothing_out_of_the_mempool() {
    let mut world = dag_world();
    let base = world.mine(3, 1);
    let honest = spend(&[base[0].merged_reward()], 1, &[(2, SUBSIDY - 1000)]);
    let mut forged = spend(&[base[0].merged_reward()], 1, &[(3, SUBSIDY - 900)]);
    forged.inputs[0].signature.0[3] ^= 1;
    world.chain.submit_transaction(NOW, honest.clone()).unwrap();
    merge(&mut world, [vec![], vec![forged]], [20, 10], [SUBSIDY, SUBSIDY]);
    assert!(world.chain.mempool().get(honest.id()).is_some());
    merge(&mut world, [vec![], vec![honest.clone()]], [20, 10], [SUBSIDY, SUBSIDY]);
    assert!(world.chain.mempool().get(honest.id()).is_none(), "a merged block has brought it");
}

#[test]
fn a_template_leaves_out_what_parallel_blocks_carry_and_takes_what_depends_on_it() {
    let mut world = World::with(merging(), TestRules { dag: true, ..TestRules::default() });
    let base = world.mine(3, 1);
    let carried = spend(&[base[0].merged_reward()], 1, &[(1, SUBSIDY - 1000)]);
    let child = spend(&[output(&carried, 0)], 1, &[(2, SUBSIDY - 2000)]);
    for payment in [&carried, &child] {
        world.chain.submit_transaction(NOW, payment.clone()).unwrap();
    }
    let request = adit_chain::TemplateRequest { pay_to: key(4).public(), extra: Vec::new(), difficulty: None };
    let ids = |world: &mut World| -> Vec<TxId> {
        let template = world.chain.template(NOW, &request).unwrap();
        template.transactions.iter().map(|pending| pending.id).collect()
    };
    assert_eq!(ids(&mut world), [carried.id(), child.id()]);
    let mut light = plain(&base[2], 5);
    light.work = 5;
    light.payments = vec![carried.clone()];
    let heavy = plain(&base[2], 6).make();
    world.submit(&heavy).unwrap();
    world.submit(&light.make()).unwrap();
    assert_eq!(world.chain.tip().id, heavy.id);
    assert_eq!(ids(&mut world), [child.id()], "the light block will be merged before");
}

#[test]
fn equal_coinbases_of_parallel_blocks_are_both_paid() {
    let mut world = dag_world();
    let base = world.mine(1, 1).remove(0);
    let mut left = plain(&base, 7);
    let mut right = left.clone();
    (left.work, right.work) = (11, 13);
    let (left, right) = (left.make(), right.make());
    assert_eq!(left.block.body, right.block.body, "one template, two solutions");
    let mut merger = plain(&right, 6);
    merger.parents = vec![left.id, right.id];
    merger.height += 1;
    for made in [&left, &right, &merger.make()] {
        world.submit(made).unwrap();
    }
    assert_eq!(world.money(), u128::from(4 * SUBSIDY));
}

/// A coinbase's outputs may hold less on another branch, and signatures are over what they hold.
#[test]
fn a_spend_of_a_cut_coinbase_waits_only_where_its_signature_holds() {
    let mut world = dag_world();
    let base = world.mine(1, 1).remove(0);
    let mut greedy = plain(&base, 1);
    greedy.reward = SUBSIDY + 777;
    let greedy = greedy.make();
    world.submit(&greedy).unwrap();
    world.mine(2, 2);
    let (at, claimed) = greedy.merged_reward();
    let paid = Output { amount: atoms(SUBSIDY), ..claimed };
    let wrong = spend(&[(at, claimed)], 1, &[(2, SUBSIDY - 5000)]);
    world.chain.submit_transaction(NOW, wrong).unwrap_err();
    let right = spend(&[(at, paid)], 1, &[(2, SUBSIDY - 5000)]);
    world.chain.submit_transaction(NOW, right).unwrap();
}

#[test]
fn more_transactions_than_allowed_are_refused_and_templates_hold_fewer() {
    let mut config = merging();
    config.ledger.block_transactions_max = 2;
    let mut world = World::with(config, TestRules::default());
    let base = world.mine(4, 1);
    let payments: Vec<Transaction> =
        base[..2].iter().map(|made| spend(&[made.merged_reward()], 1, &[(2, SUBSIDY - 1000)])).collect();
    let mut full = plain(&base[3], 2);
    full.payments.clone_from(&payments);
    match world.submit(&full.make()) {
        Err(BlockError::Invalid { violation, .. }) => assert_eq!(violation.rule, "block-transactions"),
        other => panic!("{other:?}"),
    }
    for payment in payments {
        world.chain.submit_transaction(NOW, payment).unwrap();
    }
    let request = adit_chain::TemplateRequest { pay_to: key(4).public(), extra: Vec::new(), difficulty: None };
    assert_eq!(world.chain.template(NOW, &request).unwrap().transactions.len(), 1);
}

#[test]
fn a_thousand_placements_take_less_than_two_megabytes() {
    let config = ChainConfig { placement_bytes_max: usize::MAX, ..merging() };
    let mut world = World::with(config, TestRules::default());
    let mut last = vec![world.genesis()];
    for round in 0..250u64 {
        let parents: Vec<BlockId> = last.iter().map(|made| made.id).collect();
        let heaviest = last.iter().max_by_key(|made| made.id).unwrap().clone();
        // Works are equal, so that the greatest id is the selected parent.
        last = (0..4)
            .map(|beside| {
                let mut recipe = plain(&heaviest, 1);
                recipe.parents.clone_from(&parents);
                recipe.height = heaviest.height + parents.len() as u64;
                recipe.nonce = 4 * round + beside;
                let made = recipe.make();
                world.submit(&made).unwrap();
                made
            })
            .collect();
    }
    assert_eq!(world.chain.index().count(), 1001);
    let bytes = world.chain.reader().index_bytes();
    assert!(bytes < 2_000_000 && bytes > 100 * 1001, "{bytes}");
}
