//! What miners get to work on.

use crate::rules::{SUBSIDY, TestRules};
use crate::world::{CHAIN, MATURITY, NOW, World, atoms, config, key, merging, output, spend};
use adit_chain::payment::without_pending;
use adit_chain::{Output, Payment, PaymentError, Solution, TemplateError, TemplateRequest, payment};
use adit_primitives::{Height, Timestamp};
use std::sync::Arc;

fn request(seed: u8) -> TemplateRequest {
    TemplateRequest { pay_to: key(seed).public(), extra: b"a test".to_vec(), difficulty: None }
}

/// Mines the chain's own template, as a miner would.
pub fn mine_template(world: &mut World) {
    let template = world.chain.template(NOW, &request(5)).unwrap();
    let block = world.chain.assemble(&template, Solution::Nonce { nonce: 77, rolled: 0 }).unwrap();
    assert!(world.chain.submit_block(Timestamp::from_millis(NOW.to_millis() * 2), block).unwrap().selected);
}

#[test]
fn a_solved_template_is_a_valid_block() {
    let mut world = World::new();
    let mined = world.mine(1 + MATURITY, 1).remove(0);
    world.chain.submit_transaction(NOW, spend(&[mined.reward()], 1, &[(2, SUBSIDY - 700)])).unwrap();
    let template = world.chain.template(NOW, &request(5)).unwrap();
    assert_eq!((template.fees, template.transactions.len()), (atoms(700), 1));
    assert_eq!(template.requirements.height, Height(4));
    assert_eq!(template.coinbase.outputs[0].amount, atoms(SUBSIDY + 700));
    mine_template(&mut world);
    assert_eq!(world.chain.mempool().count(), 0);
    assert_ne!(world.chain.state_version(), template.state_version, "the old template is stale");
}

#[test]
fn a_template_is_reused_while_tips_and_mempool_stand() {
    let mut world = World::new();
    let mined = world.mine(1 + MATURITY, 1).remove(0);
    let first = world.chain.template(NOW, &request(5)).unwrap();
    assert!(Arc::ptr_eq(&first, &world.chain.template(NOW, &request(5)).unwrap()));
    assert!(!Arc::ptr_eq(&first, &world.chain.template(NOW, &request(6)).unwrap()));
    world.chain.submit_transaction(NOW, spend(&[mined.reward()], 1, &[(2, SUBSIDY - 700)])).unwrap();
    let second = world.chain.template(NOW, &request(5)).unwrap();
    assert_eq!((first.transactions.len(), second.transactions.len()), (0, 1));
    world.mine(1, 1);
    assert_ne!(world.chain.template(NOW, &request(5)).unwrap().requirements, second.requirements);
}

#[test]
fn what_was_made_before_a_change_is_held_by_nobody() {
    let mut world = World::new();
    let old: Vec<_> = (5..9).map(|seed| world.chain.template(NOW, &request(seed)).unwrap()).collect();
    world.mine(1, 1);
    world.chain.template(NOW, &request(5)).unwrap();
    assert!(old.iter().all(|template| Arc::strong_count(template) == 1));
}

#[test]
fn a_template_expires() {
    let mut world = World::new();
    let first = world.chain.template(NOW, &request(5)).unwrap();
    let later = Timestamp::from_millis(NOW.to_millis() + 30_000);
    let second = world.chain.template(later, &request(5)).unwrap();
    assert_eq!((first.expires, second.time), (later, later));
}

#[test]
fn templates_are_remembered_within_bounds() {
    let mut world = World::new();
    let made: Vec<_> = (1..=9).map(|seed| world.chain.template(NOW, &request(seed)).unwrap()).collect();
    assert!(Arc::ptr_eq(&made[1], &world.chain.template(NOW, &request(2)).unwrap()));
    assert!(!Arc::ptr_eq(&made[0], &world.chain.template(NOW, &request(1)).unwrap()));
}

#[test]
fn a_later_run_numbers_its_templates_on() {
    let later = Timestamp::from_millis(NOW.to_millis() + 1);
    let mut numbers = Vec::new();
    for now in [NOW, later] {
        let mut run = World::new();
        numbers.extend((1..=9).map(|seed| run.chain.template(now, &request(seed)).unwrap().id));
    }
    assert!(numbers.is_sorted_by(|earlier, later| earlier < later), "{numbers:?}");
}

#[test]
fn a_template_says_what_its_header_commits_to() {
    let mut world = World::new();
    let mined = world.mine(1 + MATURITY, 1);
    let paid = spend(&[mined[0].reward()], 1, &[(2, SUBSIDY - 700)]);
    world.chain.submit_transaction(NOW, paid).unwrap();
    let template = world.chain.template(NOW, &request(5)).unwrap();
    let block = world.chain.assemble(&template, Solution::Nonce { nonce: 0, rolled: 0 }).unwrap();
    assert_eq!((block.body.len(), block.body_root().unwrap()), (2, template.body_root));
}

#[test]
fn a_wish_for_a_difficulty_reaches_the_rules() {
    let mut world = World::new();
    let wish = |difficulty| TemplateRequest { difficulty: Some(difficulty), ..request(5) };
    assert_eq!(world.chain.template(NOW, &wish(3)).unwrap().requirements.difficulty, "3");
    assert!(matches!(world.chain.template(NOW, &wish(u64::MAX)), Err(TemplateError::Refused(_))));
}

#[test]
fn too_long_a_message_is_refused() {
    let mut world = World::new();
    let long = TemplateRequest { extra: vec![0; 93], ..request(5) };
    assert_eq!(world.chain.template(NOW, &long), Err(TemplateError::Extra { bytes: 101, max: 100 }));
}

#[test]
fn a_child_that_pays_well_brings_its_parent_into_a_full_block() {
    let mut config = config();
    // Room for two payments besides header and coinbase at their largest.
    config.ledger.block_bytes_max = 8 + 1000 + 156 + 2 * 156;
    let mut world = World::with(config, TestRules::default());
    let mined = world.mine(2 + MATURITY, 1);
    let poor = spend(&[mined[0].reward()], 1, &[(1, SUBSIDY - 200)]);
    let rich = spend(&[output(&poor, 0)], 1, &[(1, SUBSIDY - 9200)]);
    let middle = spend(&[mined[1].reward()], 1, &[(1, SUBSIDY - 2000)]);
    for transaction in [&poor, &middle, &rich] {
        world.chain.submit_transaction(NOW, transaction.clone()).unwrap();
    }
    let template = world.chain.template(NOW, &request(5)).unwrap();
    let ids: Vec<_> = template.transactions.iter().map(|pending| pending.id).collect();
    assert_eq!(ids, [poor.id(), rich.id()]);
    mine_template(&mut world);
}

#[test]
fn a_template_on_a_dag_names_every_tip() {
    let mut world = World::with(merging(), TestRules { dag: true, ..TestRules::default() });
    let base = world.mine(1, 1).remove(0);
    let (left, right) = (crate::world::plain(&base, 2).make(), crate::world::plain(&base, 3).make());
    world.submit(&left).unwrap();
    world.submit(&right).unwrap();
    let template = world.chain.template(NOW, &request(5)).unwrap();
    assert_eq!(template.requirements.parents.len(), 2);
    assert!(template.requirements.parents.contains(&left.id) && template.requirements.parents.contains(&right.id));
}

#[test]
fn a_wallet_pays_with_change_and_never_twice_from_the_same_output() {
    let mut world = World::new();
    world.mine(1 + MATURITY, 1);
    let spendable = |world: &World| {
        let holdings = world.chain.reader().holdings(key(1).public(), 100).unwrap();
        without_pending(holdings.spendable, world.chain.mempool())
    };
    let wish =
        Payment { outputs: vec![Output { amount: atoms(1000), key: key(2).public() }], fee_per_kilobyte: atoms(1000) };
    for _ in 0..2 {
        let transaction = payment::pay(&CHAIN, &wish, &spendable(&world), &key(1)).unwrap();
        assert_eq!(transaction.outputs.len(), 2);
        world.chain.submit_transaction(NOW, transaction).unwrap();
    }
    let answer = payment::pay(&CHAIN, &wish, &spendable(&world), &key(1));
    assert!(matches!(answer, Err(PaymentError::Funds { .. })), "both rewards wait to be spent");
    mine_template(&mut world);
    assert_eq!(world.chain.reader().holdings(key(2).public(), 100).unwrap().spendable_sum, atoms(2000));
}

#[test]
fn a_payment_of_everything_leaves_no_change() {
    let mut world = World::new();
    world.mine(MATURITY, 1);
    let spendable = world.chain.reader().holdings(key(1).public(), 100).unwrap().spendable;
    let pay = |amount| {
        let wish = Payment {
            outputs: vec![Output { amount: atoms(amount), key: key(2).public() }],
            fee_per_kilobyte: atoms(1000),
        };
        payment::pay(&CHAIN, &wish, &spendable, &key(1))
    };
    assert_eq!(pay(SUBSIDY - 156).unwrap().outputs.len(), 1);
    assert!(matches!(pay(SUBSIDY - 155), Err(PaymentError::Funds { .. })));
    assert_eq!(pay(0), Err(PaymentError::Nothing));
}
