//! What becomes of blocks: order of arrival, bounds, faults, restarts.

use crate::bulk::checker;
use crate::rules::{AHEAD_MS, BAD_NONCE, TestHash, TestRules};
use crate::world::{Made, NOW, World, config, key, plain};
use adit_chain::{
    Block, BlockError, BlockStatus, Chain, HeaderChain, HeaderError, HeadersError, IndexedBlock, OpenError, PageLimits,
    TakenHeaders, Transaction,
};
use adit_primitives::engine::ChainView;
use adit_primitives::{Hash256, Height, Timestamp};
use std::ops::Range;
use std::sync::atomic::Ordering;

/// Blocks on the genesis, one on the other, not submitted.
fn line(world: &World, blocks: u8) -> Vec<Made> {
    let mut line = vec![world.genesis()];
    for _ in 0..blocks {
        line.push(plain(line.last().unwrap(), 1).make());
    }
    line.split_off(1)
}

#[track_caller]
fn check_rule(answer: Result<adit_chain::Accepted, BlockError>, want: &str) {
    match answer {
        Err(BlockError::Invalid { violation, .. }) => assert_eq!(violation.rule, want, "{}", violation.detail),
        other => panic!("{other:?} is not a violation of {want}"),
    }
}

#[test]
fn a_block_on_the_tip_extends_the_chain() {
    let mut world = World::new();
    let block = &line(&world, 1)[0];
    let genesis = world.genesis().id;
    let accepted = world.submit(block).unwrap();
    let reorg = accepted.reorg.unwrap();
    assert_eq!((reorg.from, reorg.to, reorg.connected), (genesis, block.id, vec![block.id]));
    assert!(accepted.selected && reorg.disconnected.is_empty());
    assert_eq!(world.chain.tip().height, Height(1));
    assert_eq!(world.chain.reader().block(block.id).unwrap().unwrap(), block.block);
}

#[test]
fn a_known_block_is_not_taken_twice() {
    let mut world = World::new();
    let block = &line(&world, 1)[0];
    world.submit(block).unwrap();
    assert_eq!(world.submit(block), Err(BlockError::Known { id: block.id }));
}

#[test]
fn orphans_are_connected_when_their_parent_comes() {
    let mut world = World::new();
    let line = line(&world, 5);
    for pair in line.windows(2).rev() {
        let want = BlockError::Orphan { id: pair[1].id, missing: pair[0].id };
        assert_eq!(world.submit(&pair[1]), Err(want));
    }
    world.chain.submit_block(NOW, line[0].block.clone()).unwrap();
    assert_eq!((world.chain.tip().id, world.chain.waiting().0), (line[0].id, 4), "what is ready waits to be checked");
    assert_eq!(world.settle(), line[1..].iter().map(|made| made.id).collect::<Vec<_>>());
    assert_eq!(world.chain.tip().id, line[4].id);
    assert_eq!(world.chain.waiting(), (0, 0));
}

#[test]
fn more_orphans_than_allowed_push_out_the_oldest() {
    let mut config = config();
    config.orphans.blocks_max = 3;
    let mut world = World::with(config, TestRules::default());
    let line = line(&world, 6);
    line[1..].iter().for_each(|orphan| assert!(world.submit(orphan).is_err()));
    assert_eq!(world.chain.waiting().0, 3);
    world.submit(&line[0]).unwrap();
    assert_eq!(world.chain.tip().id, line[0].id, "the orphan that followed was pushed out");
}

#[test]
fn an_early_block_is_taken_when_its_time_has_come() {
    let mut world = World::new();
    let block = &line(&world, 1)[0];
    let mut late = plain(&world.genesis(), 1);
    late.time = Timestamp::from_millis(50_000);
    let late = late.make();
    let early = world.chain.submit_block(Timestamp::from_millis(0), late.block.clone());
    let valid_from = Timestamp::from_millis(50_000 - AHEAD_MS);
    assert_eq!(early, Err(BlockError::Early { id: late.id, valid_from, kept: true }));
    assert!(world.chain.advance(Timestamp::from_millis(48_999)).is_empty());
    let taken = world.chain.advance(valid_from);
    assert!(matches!(&taken[..], [(None, Ok(accepted))] if accepted.id == late.id));
    assert_eq!(world.chain.tip().id, late.id);
    assert_eq!(world.submit(block).unwrap().reorg.is_some(), block.id > late.id);
}

#[test]
fn an_early_block_that_proves_invalid_is_told_with_who_offered_it() {
    let mut world = World::new();
    let mut late = plain(&world.genesis(), 1);
    (late.time, late.reward) = (Timestamp::from_millis(50_000), late.reward + 1);
    let late = late.make();
    let checked = checker(&world).check(late.block.clone()).unwrap().from_source(7);
    let early = world.chain.submit_checked(Timestamp::from_millis(0), checked);
    assert!(matches!(early, Err(BlockError::Early { kept: true, .. })));
    let mut taken = world.chain.advance(Timestamp::from_millis(50_000));
    let (source, refused) = taken.pop().unwrap();
    assert_eq!((source, taken.len()), (Some(7), 0));
    check_rule(refused, "coinbase-value");
    assert_eq!(world.chain.waiting(), (0, 0));
}

#[test]
fn orphans_do_not_push_out_blocks_that_wait_for_their_time() {
    let mut config = config();
    config.orphans.blocks_max = 2;
    let mut world = World::with(config, TestRules::default());
    let mut late = plain(&world.genesis(), 1);
    late.time = Timestamp::from_millis(50_000);
    let late = late.make();
    world.chain.submit_block(Timestamp::from_millis(0), late.block.clone()).unwrap_err();
    let unknown = plain(&world.genesis(), 9).make();
    for nonce in 0..5 {
        let mut orphan = plain(&unknown, 1);
        orphan.nonce = nonce;
        assert!(matches!(world.submit(&orphan.make()), Err(BlockError::Orphan { .. })));
    }
    assert_eq!(world.chain.waiting().0, 3, "two orphans and the early block");
    world.chain.advance(Timestamp::from_millis(50_000));
    assert_eq!(world.chain.tip().id, late.id);
}

#[test]
fn a_block_far_ahead_of_its_time_is_not_kept() {
    let mut world = World::new();
    let mut late = plain(&world.genesis(), 1);
    late.time = Timestamp::from_millis(1_000_000);
    let answer = world.chain.submit_block(Timestamp::from_millis(0), late.make().block);
    assert!(matches!(answer, Err(BlockError::Early { kept: false, .. })));
    assert_eq!(world.chain.waiting(), (0, 0));
}

#[test]
fn a_header_that_breaks_a_rule_is_refused_by_its_name() {
    let mut world = World::new();
    let mut recipe = plain(&world.genesis(), 1);
    recipe.nonce = BAD_NONCE;
    check_rule(world.submit(&recipe.make()), "proof-of-work");
}

#[test]
fn a_second_genesis_is_refused() {
    let mut world = World::new();
    let mut recipe = plain(&world.genesis(), 1);
    recipe.parents.clear();
    check_rule(world.submit(&recipe.make()), "parents");
}

#[test]
fn bytes_that_are_no_header_are_refused() {
    let mut world = World::new();
    let mut made = line(&world, 1).remove(0);
    made.block.header.truncate(20);
    check_rule(world.submit(&made), "header");
    made.block.header = vec![0; 2000];
    check_rule(world.submit(&made), "block-size");
}

#[test]
fn another_body_under_the_same_header_says_nothing_of_the_block() {
    let mut world = World::new();
    let made = line(&world, 1).remove(0);
    let mut forged = made.clone();
    forged.block.body[0].data.push(1);
    check_rule(world.submit(&forged), "body-root");
    forged.block.body = Vec::new();
    check_rule(world.submit(&forged), "body-root");
    forged.block.body = vec![made.block.body[0].clone(), made.block.body[0].clone()];
    check_rule(world.submit(&forged), "body-root");
    world.submit(&made).unwrap();
}

#[test]
fn a_fault_is_not_held_against_the_block() {
    let mut world = World::new();
    let block = &line(&world, 1)[0];
    world.rules.faulty.store(true, Ordering::Relaxed);
    assert!(matches!(world.submit(block), Err(BlockError::Fault(_))));
    world.rules.faulty.store(false, Ordering::Relaxed);
    world.submit(block).unwrap();
}

#[test]
fn an_invalid_block_stays_invalid_across_a_restart_and_so_do_its_children() {
    let mut world = World::new();
    let good = world.mine(1, 1).remove(0);
    let mut recipe = plain(&good, 1);
    recipe.reward += 1;
    let greedy = recipe.make();
    check_rule(world.submit(&greedy), "coinbase-value");
    let mut world = world.reopened();
    assert!(matches!(world.submit(&greedy), Err(BlockError::KnownInvalid { .. })));
    check_rule(world.submit(&plain(&greedy, 1).make()), "coinbase-value");
    assert_eq!(world.chain.tip().id, good.id);
    assert_eq!(world.chain.reader().indexed(greedy.id).unwrap().status, BlockStatus::Invalid);
}

#[test]
fn a_coinbase_must_be_first_alone_and_name_its_height() {
    let mut world = World::new();
    let genesis = world.genesis();
    let mut recipe = plain(&genesis, 1);
    recipe.payments = vec![plain(&genesis, 2).make().block.body.remove(0)];
    check_rule(world.submit(&recipe.make()), "transaction-form");
    let mut recipe = plain(&genesis, 3);
    recipe.height = 7;
    recipe.time = Timestamp::from_millis(1000);
    check_rule(world.submit(&recipe.make()), "coinbase-height");
}

#[test]
fn a_restart_finds_the_same_chain() {
    let mut world = World::new();
    world.mine(20, 1);
    let (tip, version, ledger) = (world.chain.tip(), world.chain.state_version(), world.ledger());
    let world = world.reopened();
    assert_eq!((world.chain.tip(), world.chain.state_version(), world.ledger()), (tip, version, ledger));
}

#[test]
fn another_chains_database_is_refused() {
    let world = World::new();
    let mut other = config();
    other.identity = Hash256([1; 32]);
    let answer = Chain::open(other, world.storage, world.rules, Box::new(TestHash)).map(|_| ());
    assert!(matches!(answer, Err(OpenError::OtherChain { .. })));
}

#[test]
fn headers_may_come_before_bodies() {
    let mut world = World::new();
    let line = line(&world, 4);
    let headers: Vec<Vec<u8>> = line.iter().map(|made| made.block.header.clone()).collect();
    let ids: Vec<_> = line.iter().map(|made| made.id).collect();
    let taken = |new| TakenHeaders { ids: ids.clone(), new, refused: None };
    assert_eq!(world.chain.submit_headers(NOW, &headers), Ok(taken(4)));
    assert_eq!(world.chain.submit_headers(NOW, &headers), Ok(taken(0)));
    assert_eq!(world.chain.tip().height, Height(0), "the ledger waits for bodies");
    world.submit(&line[1]).unwrap();
    assert_eq!(world.chain.tip().height, Height(0), "a body is missing below");
    let mut world = world.reopened();
    world.submit(&line[0]).unwrap();
    assert_eq!(world.chain.tip().id, line[1].id);
}

#[test]
fn headers_are_taken_up_to_the_first_bad_one() {
    let mut world = World::new();
    let mut line = line(&world, 4);
    let mut bad = plain(&line[1], 1);
    bad.nonce = BAD_NONCE;
    line[2] = bad.make();
    let headers: Vec<Vec<u8>> = line.iter().map(|made| made.block.header.clone()).collect();
    let TakenHeaders { ids, new, refused } = world.chain.submit_headers(NOW, &headers).unwrap();
    assert_eq!((ids, new), (vec![line[0].id, line[1].id], 2));
    assert!(matches!(refused, Some(HeadersError::Header(HeaderError::Invalid { position: 2, .. }))), "{refused:?}");
    assert!(world.chain.index().block(line[1].id).is_some());
    assert!(world.chain.index().block(line[2].id).is_none());
}

#[test]
fn a_header_chain_follows_the_work() {
    let world = World::new();
    let line = line(&world, 30);
    let mut headers = HeaderChain::from_genesis(world.rules.clone(), Box::new(TestHash)).unwrap();
    let bytes: Vec<Vec<u8>> = line.iter().map(|made| made.block.header.clone()).collect();
    assert_eq!(headers.append(&bytes), Ok(30));
    assert_eq!(headers.tip().id, line[29].id);
    let anchor = headers.index().block(line[9].id).unwrap();
    let mut cut = HeaderChain::from_anchor(anchor, world.rules.clone(), Box::new(TestHash));
    assert_eq!(cut.append(&bytes[10..]), Ok(20));
    assert_eq!((cut.tip().id, cut.tip().work), (headers.tip().id, headers.tip().work));
    assert_eq!(cut.horizon(), Height(10));
    assert_eq!(cut.index().selected_ancestor(line[29].id, Height(9)), None);
    assert_eq!(cut.index().selected_ancestor(line[29].id, Height(15)).map(|known| known.id), Some(line[14].id));
}

#[test]
fn a_page_of_the_chain_is_bounded() {
    let mut world = World::new();
    let mined = world.mine(10, 1);
    let reader = world.chain.reader();
    let ids =
        |page: Vec<(IndexedBlock, Block)>| -> Vec<_> { page.iter().map(|(indexed, _)| indexed.known.id).collect() };
    let want = |range: Range<usize>| -> Vec<_> { mined[range].iter().map(|made| made.id).collect() };
    let three = PageLimits { blocks_max: 3, bytes_max: usize::MAX };
    assert_eq!(ids(reader.page(Height(4), three).unwrap()), want(3..6));
    assert_eq!(ids(reader.newest(three).unwrap()), want(7..10));
    assert!(reader.page(Height(11), three).unwrap().is_empty());
    // Blocks of this chain are equally large.
    let size = mined[3].block.size();
    for (bytes_max, count) in [(2 * size, 2), (2 * size - 1, 1), (0, 1)] {
        let limits = PageLimits { blocks_max: 3, bytes_max };
        assert_eq!(ids(reader.page(Height(4), limits).unwrap()), want(3..3 + count));
        assert_eq!(ids(reader.newest(limits).unwrap()), want(10 - count..10));
    }
}

#[test]
fn a_transaction_is_found_with_its_block() {
    let mut world = World::new();
    let mined = world.mine(2, 1);
    let coinbase: &Transaction = &mined[1].block.body[0];
    let found = world.chain.reader().transaction(coinbase.id()).unwrap().unwrap();
    assert_eq!((&found.transaction, found.block, found.height), (coinbase, mined[1].id, Height(2)));
    let holdings = world.chain.reader().holdings(key(1).public(), 100).unwrap();
    assert_eq!(holdings.spendable.len(), 1);
    assert!(world.chain.reader().holdings(key(1).public(), 1).unwrap().more);
}

#[test]
fn a_chain_may_move_to_another_thread_and_readers_may_be_shared() {
    fn moves<T: Send>() {}
    fn shared<T: Send + Sync>() {}
    moves::<Chain>();
    shared::<adit_chain::ChainReader>();
}
