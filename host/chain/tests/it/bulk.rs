//! Blocks in groups lead to the same state as blocks one by one, and headers without bodies are never taken for blocks.

use crate::dag;
use crate::forks::{self, Mortal};
use crate::rules::{BAD_NONCE, Header, TestHash, TestRules};
use crate::world::{Made, NOW, World, config, key, merging, plain};
use adit_chain::{
    Accepted, BODILESS_MAX, Block, BlockError, BlockStatus, Chain, ChainConfig, Checked, Checker, Conflicts,
    HeaderError, HeadersError, PageLimits, Reorg, TemplateRequest,
};
use adit_primitives::contract::{Scan, SearchJob};
use adit_primitives::engine::{Fault, HashEngine};
use adit_primitives::storage::{Entries, MemoryStorage, StorageError, Table};
use adit_primitives::{BlockId, Encode, Hash256, Height, Timestamp, sha256d};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub fn checker(world: &World) -> Checker {
    world.chain.checker(Box::new(TestHash))
}

/// Checks blocks together and submits them as one group.
fn submit_group(world: &mut World, checker: &mut Checker, group: &[Made]) -> Vec<Result<Accepted, BlockError>> {
    let blocks: Vec<Block> = group.iter().map(|made| made.block.clone()).collect();
    let checked: Vec<Result<Checked, BlockError>> = checker.check_all(blocks);
    let sound = checked.iter().flatten().cloned().collect();
    let mut answers = world.chain.submit_blocks(NOW, sound).into_iter();
    let answers = checked.into_iter().map(|checked| checked.and_then(|_| answers.next().unwrap())).collect();
    world.settle();
    answers
}

/// What is said of a block whether it came alone or with others, and what is kept. Where blocks merge, the tip moves once for a group, so that how it
/// moves, and the count of its moves, are told of the group's last.
fn told(config: &ChainConfig, answer: Result<Accepted, BlockError>) -> Result<Accepted, BlockError> {
    match config.ledger.conflicts {
        Conflicts::RefuseBlock => answer,
        Conflicts::SkipTransaction => answer.map(|accepted| Accepted { selected: false, reorg: None, ..accepted }),
    }
}

fn kept(world: &World, config: &ChainConfig) -> Vec<(Table, Entries)> {
    let mut kept = world.kept();
    if config.ledger.conflicts == Conflicts::SkipTransaction {
        let meta = kept.iter_mut().filter(|(table, _)| *table == Table::Meta);
        meta.for_each(|(_, entries)| entries.retain(|(key, _)| key != b"chain state version"));
    }
    kept
}

/// Takes some headers first, then all blocks in groups and one by one: answers and every byte kept must be the same.
fn check_groups(config: &ChainConfig, blocks: &[Made], headers: &[usize], groups: &[usize]) {
    let mut grouped = World::with(config.clone(), TestRules::default());
    let mut single = World::with(config.clone(), TestRules::default());
    for world in [&mut grouped, &mut single] {
        for at in headers.iter().filter(|at| **at < blocks.len()) {
            world.chain.submit_headers(NOW, &[blocks[*at].block.header.clone()]).unwrap();
        }
    }
    let mut checker = checker(&grouped);
    let (mut left, mut sizes) = (blocks, groups.iter().cycle());
    while !left.is_empty() {
        let (group, after) = left.split_at(left.len().min(*sizes.next().unwrap()));
        left = after;
        let answers = submit_group(&mut grouped, &mut checker, group);
        for (made, answer) in std::iter::zip(group, answers) {
            assert_eq!(told(config, answer), told(config, single.chain.submit_block(NOW, made.block.clone())));
        }
        single.settle();
        assert_eq!(kept(&grouped, config), kept(&single, config));
    }
    assert_eq!(grouped.chain.waiting(), single.chain.waiting());
    assert_eq!(kept(&grouped.reopened(), config), kept(&single.reopened(), config));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_split_into_groups_keeps_the_same_bytes_where_branches_fork(
        plans in prop::collection::vec(forks::plan(), 1..30),
        order in Just((1..=30usize).collect::<Vec<_>>()).prop_shuffle(),
        straight: bool,
        headers in prop::collection::vec(0usize..30, 0..10),
        groups in prop::collection::vec(1usize..12, 1..6),
    ) {
        let forest = forks::forest(World::new().genesis(), &plans);
        let mut order: Vec<usize> = order.into_iter().filter(|at| *at < forest.len()).collect();
        if straight {
            order.sort_unstable();
        }
        let blocks: Vec<Made> = order.iter().map(|at| forest[*at].made.clone()).collect();
        check_groups(&config(), &blocks, &headers, &groups);
    }

    #[test]
    fn any_split_into_groups_keeps_the_same_bytes_where_blocks_merge(
        plans in prop::collection::vec(dag::plan(), 1..24),
        order in Just((1..=24usize).collect::<Vec<_>>()).prop_shuffle(),
        straight: bool,
        headers in prop::collection::vec(0usize..24, 0..10),
        groups in prop::collection::vec(1usize..12, 1..6),
    ) {
        let nodes = dag::grow(World::with(merging(), TestRules::default()).genesis(), &plans);
        let mut order: Vec<usize> = order.into_iter().filter(|at| *at < nodes.len()).collect();
        if straight {
            order.sort_unstable();
        }
        let blocks: Vec<Made> = order.iter().map(|at| nodes[*at].made.clone()).collect();
        check_groups(&merging(), &blocks, &headers, &groups);
    }

    #[test]
    fn a_machine_that_stops_between_groups_has_kept_those_that_were_answered(
        plans in prop::collection::vec(forks::plan(), 1..30),
        size in 1usize..8,
        commits in 1usize..8,
    ) {
        let mortal = Arc::new(Mortal { inner: MemoryStorage::default(), commits_left: AtomicUsize::new(commits) });
        let mut world = World::over(config(), TestRules::default(), mortal.clone());
        let blocks: Vec<Made> = forks::forest(world.genesis(), &plans).into_iter().map(|block| block.made).collect();
        let (mut checker, mut kept) = (checker(&world), Vec::new());
        let mut groups = 0;
        for group in blocks[1..].chunks(size) {
            let answers = submit_group(&mut world, &mut checker, group);
            if answers.iter().any(|answer| matches!(answer, Err(BlockError::Storage(_)))) {
                prop_assert!(!answers.iter().any(Result::is_ok), "a group is answered that is not kept");
                break;
            }
            groups += usize::from(answers.iter().any(Result::is_ok));
            kept.extend(answers.into_iter().flatten().map(|accepted| accepted.id));
        }
        prop_assert!(groups < commits, "a group that is kept costs a commit");
        mortal.commits_left.store(usize::MAX, Ordering::Relaxed);
        let mut world = world.reopened();
        for id in kept {
            prop_assert!(world.chain.reader().block(id).unwrap().is_some(), "an acknowledged block is gone");
        }
        blocks[1..].iter().for_each(|made| drop(world.submit(made)));
        let mut straight = World::new();
        blocks[1..].iter().for_each(|made| drop(straight.submit(made)));
        prop_assert_eq!(world.ledger(), straight.ledger());
    }
}

/// Blocks on the genesis, one on the other, not submitted.
pub fn line(world: &World, blocks: usize) -> Vec<Made> {
    let mut line = vec![world.genesis()];
    for _ in 0..blocks {
        line.push(plain(line.last().unwrap(), 1).make());
    }
    line.split_off(1)
}

pub fn headers(line: &[Made]) -> Vec<Vec<u8>> {
    line.iter().map(|made| made.block.header.clone()).collect()
}

#[test]
fn a_group_is_one_commit() {
    let mortal = Arc::new(Mortal { inner: MemoryStorage::default(), commits_left: AtomicUsize::new(100) });
    let mut world = World::over(config(), TestRules::default(), mortal.clone());
    let line = line(&world, 50);
    mortal.commits_left.store(1, Ordering::Relaxed);
    let mut checker = checker(&world);
    let answers = submit_group(&mut world, &mut checker, &line);
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(world.chain.tip().id, line[49].id);
}

#[test]
fn after_a_group_that_could_not_be_kept_nothing_is_taken() {
    let mortal = Arc::new(Mortal { inner: MemoryStorage::default(), commits_left: AtomicUsize::new(100) });
    let mut world = World::over(config(), TestRules::default(), mortal.clone());
    let line = line(&world, 4);
    mortal.commits_left.store(0, Ordering::Relaxed);
    let mut checker = checker(&world);
    let lost = |answer: &Result<Accepted, BlockError>| matches!(answer, Err(BlockError::Storage(StorageError { .. })));
    assert!(submit_group(&mut world, &mut checker, &line[..2]).iter().all(lost));
    mortal.commits_left.store(100, Ordering::Relaxed);
    assert!(lost(&world.submit(&line[2])), "memory is ahead of what is kept");
    assert_eq!(world.reopened().chain.tip().height, Height(0));
}

/// A fault of one block's answer is no verdict on the others of its group.
#[test]
fn a_fault_in_a_group_is_not_held_against_its_blocks() {
    let mut world = World::new();
    let line = line(&world, 3);
    let mut checker = checker(&world);
    world.rules.faulty.store(true, Ordering::Relaxed);
    let answers = submit_group(&mut world, &mut checker, &line);
    assert!(answers.iter().all(|answer| matches!(answer, Err(BlockError::Fault(_)))), "{answers:?}");
    world.rules.faulty.store(false, Ordering::Relaxed);
    assert!(submit_group(&mut world, &mut checker, &line).iter().all(Result::is_ok));
}

#[test]
fn headers_alone_are_neither_tips_nor_mined_on_nor_shown() {
    let mut world = World::with(merging(), TestRules { dag: true, ..TestRules::default() });
    let mined = world.mine(1, 1).remove(0);
    let mut above = vec![plain(&mined, 2).make()];
    above.push(plain(&above[0], 2).make());
    let taken = world.chain.submit_headers(NOW, &headers(&above)).unwrap();
    assert_eq!((taken.new, taken.refused), (2, None));
    let mut world = world.reopened();
    let reader = world.chain.reader();
    assert_eq!(reader.best_header().id, above[1].id);
    assert_eq!(reader.status(above[1].id), Some(BlockStatus::Header));
    assert_eq!((reader.tip().id, reader.tips(10).len()), (mined.id, 1));
    assert_eq!(reader.block(above[0].id), Ok(None));
    assert_eq!(reader.blocks(&[above[0].id, mined.id], 1 << 20).unwrap()[0], None);
    assert_eq!(reader.page(Height(0), PageLimits { blocks_max: 10, bytes_max: 1 << 20 }).unwrap().len(), 2);
    let request = TemplateRequest { pay_to: key(4).public(), extra: Vec::new(), difficulty: None };
    assert_eq!(world.chain.template(NOW, &request).unwrap().requirements.parents, [mined.id]);
    assert_eq!(reader.lacking_bodies(above[1].id, 10), [above[0].id, above[1].id]);
}

#[test]
fn headers_whose_bodies_never_come_hold_nothing_up() {
    let mut world = World::new();
    let mut withheld = plain(&world.genesis(), 3);
    withheld.work = 35;
    let withheld = withheld.make();
    let line = line(&world, 4);
    world.chain.submit_headers(NOW, &headers(std::slice::from_ref(&withheld))).unwrap();
    world.chain.submit_headers(NOW, &headers(&line[..3])).unwrap();
    let reader = world.chain.reader();
    let heads: Vec<_> = reader.heads_ahead(10).iter().map(|head| head.id).collect();
    assert_eq!(heads, [withheld.id, line[2].id], "the next best can be fetched");
    assert_eq!(reader.lacking_bodies(line[2].id, 2), [line[0].id, line[1].id]);
    line.iter().for_each(|made| drop(world.submit(made).unwrap()));
    assert_eq!((world.chain.tip().id, reader.heads_ahead(10).len()), (line[3].id, 0));
    let world = world.reopened();
    assert_eq!((world.chain.tip().id, world.chain.reader().best_header().id), (line[3].id, line[3].id));
}

#[test]
fn a_body_that_breaks_a_rule_turns_the_search_to_the_next_best_header() {
    let mut world = World::new();
    let mut greedy = plain(&world.genesis(), 1);
    greedy.reward += 1;
    let greedy = greedy.make();
    let above = plain(&greedy, 1).make();
    let other = plain(&world.genesis(), 2).make();
    world.chain.submit_headers(NOW, &headers(&[greedy.clone(), above.clone(), other.clone()])).unwrap();
    assert_eq!(world.chain.reader().best_header().id, above.id);
    assert!(matches!(world.submit(&greedy), Err(BlockError::Invalid { .. })));
    assert_eq!(world.chain.reader().best_header().id, other.id);
    assert!(world.chain.reader().lacking_bodies(above.id, 10).is_empty());
    let mut world = world.reopened();
    assert_eq!(world.chain.reader().best_header().id, other.id);
    for refused in [above, greedy] {
        let taken = world.chain.submit_headers(NOW, &headers(&[refused])).unwrap();
        assert!(matches!(taken.refused, Some(HeadersError::Header(HeaderError::Invalid { position: 0, .. }))));
        assert_eq!(taken.new, 0, "what stands on an invalid block is not kept");
    }
}

#[test]
fn a_restart_forgets_headers_that_lead_nowhere_and_nothing_else() {
    let mut world = World::new();
    let line = line(&world, 6);
    let mut astray = vec![plain(&line[1], 2).make()];
    astray.push(plain(&astray[0], 2).make());
    world.chain.submit_headers(NOW, &headers(&line[..3])).unwrap();
    world.chain.submit_headers(NOW, &headers(&astray)).unwrap();
    world.chain.submit_headers(NOW, &headers(&line[3..])).unwrap();
    // A body is kept whatever it stands on.
    let other = [plain(&astray[0], 3).make(), plain(&line[0], 3).make()];
    other.iter().for_each(|made| drop(world.submit(made).unwrap()));
    let mut world = world.reopened().reopened();
    let reader = world.chain.reader();
    assert_eq!(reader.status(astray[1].id), None);
    assert_eq!(reader.status(astray[0].id), Some(BlockStatus::Header), "a body stands on it");
    other.iter().for_each(|made| assert_eq!(reader.status(made.id), Some(BlockStatus::Body)));
    assert_eq!(reader.lacking_bodies(reader.best_header().id, 10).len(), 6);
    line.iter().for_each(|made| drop(world.submit(made).unwrap()));
    let mut straight = World::new();
    line.iter().for_each(|made| drop(straight.submit(made).unwrap()));
    assert_eq!(world.reopened().ledger(), straight.ledger());
}

#[test]
fn headers_whose_bodies_nobody_has_can_be_forgotten() {
    let mut world = World::new();
    let line = line(&world, 3);
    let mut withheld = vec![plain(&line[0], 3).make()];
    withheld[0] = {
        let mut heavy = plain(&line[0], 3);
        heavy.work = 1000;
        heavy.make()
    };
    withheld.push(plain(&withheld[0], 3).make());
    world.submit(&line[0]).unwrap();
    for branch in [&line, &withheld] {
        world.chain.submit_headers(NOW, &headers(branch)).unwrap();
    }
    assert_eq!(world.chain.forget_headers(withheld[1].id), Ok(2));
    assert_eq!(world.chain.forget_headers(withheld[1].id), Ok(0));
    assert_eq!(world.chain.reader().best_header().id, line[2].id);
    assert_eq!(world.chain.reader().lacking_bodies(line[2].id, 9), [line[1].id, line[2].id]);
    let taken = world.chain.submit_headers(NOW, &headers(&withheld)).unwrap();
    assert_eq!((taken.new, taken.refused), (2, None), "they may come again");
    let mut world = world.reopened();
    assert_eq!(world.chain.reader().best_header().id, withheld[1].id);
    for made in &withheld {
        world.submit(made).unwrap();
    }
    assert_eq!(world.chain.tip().id, withheld[1].id);
}

/// Headers of one work each above a block, one on the other, for which there are no bodies.
fn bare_headers(from: &Made, work: u32, count: usize) -> Vec<Vec<u8>> {
    let mut parent = from.id;
    let header = |height: u64| {
        let time = Timestamp::from_millis(height);
        let header = Header { parents: vec![parent], body_root: Hash256::default(), time, nonce: 0, work }.to_bytes();
        parent = BlockId(sha256d(&header));
        header
    };
    (1u64..).take(count).map(header).collect()
}

/// Cheap headers that no body follows fill a bounded room, and make it for others when they lead nowhere.
#[test]
fn headers_without_bodies_are_bounded_slow() {
    let mut world = World::new();
    let genesis = world.genesis();
    let junk = bare_headers(&genesis, 1, BODILESS_MAX + 10);
    let submit = |world: &mut World, headers: &[Vec<u8>]| {
        let taken = headers.chunks(5_000).map(|batch| world.chain.submit_headers(NOW, batch).unwrap());
        taken.last().unwrap()
    };
    let full = HeadersError::Full { position: 0, bodiless: BODILESS_MAX };
    assert_eq!(submit(&mut world, &junk).refused, Some(full.clone()));
    let mut honest = vec![genesis];
    for _ in 0..200 {
        let mut next = plain(honest.last().unwrap(), 1);
        next.work = 1000;
        honest.push(next.make());
    }
    let honest = honest.split_off(1);
    assert_eq!(submit(&mut world, &headers(&honest)).refused, Some(full), "the junk is the best yet");
    assert_eq!(world.chain.forget_headers(BlockId(sha256d(&junk[7]))), Ok(BODILESS_MAX));
    assert_eq!(submit(&mut world, &headers(&honest)).refused, None);
    honest.iter().for_each(|made| drop(world.submit(made).unwrap()));
    assert_eq!(submit(&mut world, &junk[..BODILESS_MAX]).refused, None);
    let more = bare_headers(honest.last().unwrap(), 9, 10);
    let taken = submit(&mut world, &more);
    assert_eq!((taken.new, taken.refused), (10, None), "what leads nowhere made room");
}

#[test]
fn headers_are_taken_up_to_one_without_a_parent_or_one_too_early() {
    let mut world = World::new();
    let line = line(&world, 5);
    let mut gap = headers(&line);
    gap.remove(2);
    let taken = world.chain.submit_headers(NOW, &gap).unwrap();
    let orphan = HeaderError::Orphan { position: 2, parent: line[2].id };
    assert_eq!((taken.new, taken.refused), (2, Some(HeadersError::Header(orphan))));
    // The test's rules let a header come a second before its time.
    let now = Timestamp::from_millis(3000);
    let taken = world.chain.submit_headers(now, &headers(&line)).unwrap();
    let early = HeadersError::Early { position: 4, valid_from: Timestamp::from_millis(4000) };
    assert_eq!((taken.new, taken.ids.len(), taken.refused), (2, 4, Some(early)));
    let mut bad = plain(&line[0], 9);
    bad.nonce = BAD_NONCE;
    let batch = headers(&[line[0].clone(), bad.make(), line[4].clone()]);
    let taken = world.chain.submit_headers(NOW, &batch).unwrap();
    assert_eq!((taken.new, taken.ids), (0, vec![line[0].id]));
    let long = [line[4].block.header.clone(), vec![0; 2000]];
    let taken = world.chain.submit_headers(NOW, &long).unwrap();
    assert!(matches!(taken.refused, Some(HeadersError::Header(HeaderError::Invalid { position: 1, .. }))));
    assert_eq!(taken.new, 1);
}

/// A hash engine that counts.
pub struct Counting(pub Arc<AtomicUsize>);

impl HashEngine for Counting {
    fn digest_many(&mut self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) -> Result<(), Fault> {
        self.0.fetch_add(inputs.len() / each, Ordering::Relaxed);
        TestHash.digest_many(inputs, each, digests)
    }

    fn search(&mut self, job: &SearchJob, first: u64, count: u64) -> Result<Scan, Fault> {
        TestHash.search(job, first, count)
    }
}

#[test]
fn orphans_and_bodies_of_placed_headers_are_not_hashed() {
    let hashed = Arc::new(AtomicUsize::new(0));
    let (storage, rules) = (Arc::new(MemoryStorage::default()), Arc::new(TestRules::default()));
    let chain = Chain::open(config(), storage.clone(), rules.clone(), Box::new(Counting(hashed.clone()))).unwrap();
    let mut world = World { chain, storage, rules };
    let line = line(&world, 4);
    let count = |want: usize| assert_eq!(hashed.swap(0, Ordering::Relaxed), want);
    count(1);
    assert!(matches!(world.submit(&line[3]), Err(BlockError::Orphan { .. })));
    count(0);
    world.chain.submit_headers(NOW, &headers(&line[..2])).unwrap();
    count(2);
    world.chain.submit_headers(NOW, &headers(&line[..2])).unwrap();
    count(0);
    let mut checker = world.chain.checker(Box::new(Counting(hashed.clone())));
    let answers = submit_group(&mut world, &mut checker, &line[..3]);
    assert_eq!((answers[2].is_ok(), world.chain.tip().id), (true, line[3].id));
    count(2);
}

#[test]
fn another_block_than_was_asked_for_is_refused_and_not_hashed() {
    let mut world = World::new();
    let line = line(&world, 3);
    let hashed = Arc::new(AtomicUsize::new(0));
    let mut checker = world.chain.checker(Box::new(Counting(hashed.clone())));
    let other = plain(&world.genesis(), 7).make();
    let asked = [(Some(line[0].id), &line[0]), (Some(line[1].id), &other), (None, &line[1])];
    let mut answers = checker.check_asked(asked.map(|(id, made)| (id, made.block.clone())).into());
    assert_eq!(hashed.load(Ordering::Relaxed), 2);
    let Err(BlockError::Invalid { id: None, violation }) = answers.remove(1) else { panic!("{answers:?}") };
    assert_eq!(violation.rule, "id");
    let taken = world.chain.submit_blocks(NOW, answers.into_iter().flatten().collect());
    assert_eq!(taken.iter().filter(|taken| taken.is_ok()).count(), 2);
}

#[test]
fn an_orphan_is_bounded_by_its_source() {
    let mut config = config();
    config.orphans.blocks_max = 4;
    let mut world = World::with(config, TestRules::default());
    let line = line(&world, 3);
    let mut checker = checker(&world);
    let mut offer = |world: &mut World, made: &Made, source: u64| {
        let checked = checker.check(made.block.clone()).unwrap().from_source(source);
        assert!(matches!(world.chain.submit_checked(NOW, checked), Err(BlockError::Orphan { .. })));
    };
    offer(&mut world, &line[1], 1);
    offer(&mut world, &line[2], 1);
    for nonce in 0..20 {
        let mut junk = plain(&line[2], 1);
        junk.nonce = 1 + nonce;
        offer(&mut world, &junk.make(), 2);
    }
    assert_eq!(world.chain.waiting().0, 4);
    world.chain.submit_block(NOW, line[0].block.clone()).unwrap();
    assert_eq!(world.settle()[..2], [line[1].id, line[2].id]);
}

/// One after another each would undo what the one before had applied.
#[test]
fn for_a_group_of_blocks_beside_each_other_the_tip_moves_once() {
    let mut world = World::with(merging(), TestRules::default());
    let genesis = world.genesis();
    let beside: Vec<Made> = (1..=9).map(|seed| plain(&genesis, seed).make()).collect();
    let (mut checker, before) = (checker(&world), world.chain.state_version());
    let taken = submit_group(&mut world, &mut checker, &beside).into_iter().collect::<Result<Vec<_>, _>>().unwrap();
    let tip = world.chain.tip().id;
    assert_eq!(world.chain.state_version(), before + 1);
    assert!(beside.iter().all(|made| made.id <= tip), "of equals the highest id counts");
    let selected: Vec<BlockId> =
        taken.iter().filter(|accepted| accepted.selected).map(|accepted| accepted.id).collect();
    assert_eq!(selected, [tip]);
    let (last, others) = taken.split_last().unwrap();
    assert!(others.iter().all(|accepted| accepted.reorg.is_none()));
    let moved = Reorg { from: genesis.id, to: tip, disconnected: Vec::new(), connected: vec![tip] };
    assert_eq!(last.reorg, Some(moved));
}

/// Where a digest is dear, the chain's own thread computes none, whatever the order in which blocks come.
#[test]
fn where_plots_win_orphans_and_early_blocks_are_not_hashed_when_they_are_placed() {
    let hashed = Arc::new(AtomicUsize::new(0));
    let (storage, rules) =
        (Arc::new(MemoryStorage::default()), Arc::new(TestRules { space: true, ..TestRules::default() }));
    let chain = Chain::open(config(), storage.clone(), rules.clone(), Box::new(Counting(hashed.clone()))).unwrap();
    let mut world = World { chain, storage, rules };
    let line = line(&world, 4);
    let mut beside = checker(&world);
    hashed.store(0, Ordering::Relaxed);
    let mut offer = |world: &mut World, now: Timestamp, block: Block| {
        let checked = beside.check(block).map(|checked| checked.from_source(1));
        checked.and_then(|checked| world.chain.submit_checked(now, checked))
    };
    let mut bad = plain(&line[1], 1);
    bad.nonce = BAD_NONCE;
    for orphan in [&bad.make(), &line[2], &line[3], &line[1]] {
        assert!(matches!(offer(&mut world, NOW, orphan.block.clone()), Err(BlockError::Orphan { .. })));
    }
    // Checked while its parent was missing, placed when that had come.
    let late = checker(&world).check(line[1].block.clone()).unwrap();
    offer(&mut world, NOW, line[0].block.clone()).unwrap();
    assert!(matches!(world.chain.submit_checked(NOW, late), Err(BlockError::Orphan { .. })));
    assert!(!world.chain.has_ready() && world.chain.take_ready(9).is_empty());
    while world.chain.has_unchecked() {
        for waited in world.chain.take_unchecked(1) {
            if let Err(BlockError::Invalid { .. }) = offer(&mut world, NOW, waited.block) {
                world.chain.blame(waited.source);
            }
        }
    }
    assert_eq!(world.chain.tip().id, line[1].id, "nothing more of a liar is hashed");
    assert_eq!(world.chain.waiting(), (0, 0));
    let early = Timestamp::from_millis(0);
    assert!(matches!(offer(&mut world, early, line[2].block.clone()), Err(BlockError::Early { kept: true, .. })));
    assert_eq!(world.chain.advance(NOW).len(), 1);
    assert_eq!(world.chain.tip().id, line[2].id);
    assert_eq!(hashed.load(Ordering::Relaxed), 0);
}
