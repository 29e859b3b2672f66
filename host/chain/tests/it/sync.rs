//! Two nodes that know different blocks: by locators and pages alone one comes to know what the other's tip stands on.

use crate::dag;
use crate::forks;
use crate::rules::TestRules;
use crate::world::{Made, NOW, World, merging, plain};
use adit_chain::{Block, BlockError, Checked, HeadersPage, PageLimits};
use adit_primitives::engine::ChainView;
use adit_primitives::{BlockId, Decode};
use proptest::prelude::*;
use std::collections::BTreeSet;

const ALL: PageLimits = PageLimits { blocks_max: 2000, bytes_max: 1 << 20 };

/// Takes pages until there are no more. Returns how many there were, and how many headers were on them.
fn take_headers(client: &mut World, server: &World, limits: PageLimits) -> (usize, usize) {
    let (reader, most) = (server.chain.reader(), server.chain.index().count() + 1);
    let mut locator = client.chain.reader().locator();
    let mut headers = 0;
    for page in 1..=most {
        let HeadersPage { headers: found, more } = reader.headers_after(&locator, &[], limits).unwrap();
        let taken = client.chain.submit_headers(NOW, &found).unwrap();
        assert_eq!(taken.refused, None, "parents come before children");
        headers += found.len();
        let Some(last) = more else { return (page, headers) };
        assert_eq!(taken.ids.last(), Some(&last));
        locator = client.chain.reader().locator_from(last);
    }
    panic!("{most} pages lead nowhere");
}

/// Takes the bodies that are lacking, a few at a time.
fn take_bodies(client: &mut World, server: &World) {
    let mut checker = client.chain.checker(Box::new(crate::rules::TestHash));
    loop {
        let reader = client.chain.reader();
        let lacking = reader.lacking_bodies(reader.best_header().id, 7);
        if lacking.is_empty() {
            return;
        }
        let blocks = server.chain.reader().blocks(&lacking, 2000).unwrap();
        assert!(!blocks.is_empty() && blocks.len() <= lacking.len());
        let blocks: Vec<Block> = blocks.into_iter().map(|bytes| Block::from_bytes(&bytes.unwrap()).unwrap()).collect();
        let checked: Vec<Checked> = checker.check_all(blocks).into_iter().map(Result::unwrap).collect();
        for answer in client.chain.submit_blocks(NOW, checked) {
            // One that had waited followed its parent.
            assert!(matches!(answer, Ok(_) | Err(BlockError::Known { .. })), "{answer:?}");
        }
    }
}

/// Asserts that `client` has the header of every block that the server's tip stands on.
fn check_headers(client: &World, server: &World, blocks: &[BlockId]) {
    let tip = server.chain.tip().id;
    for id in blocks.iter().filter(|id| server.chain.index().is_ancestor(**id, tip)) {
        assert!(client.chain.reader().status(*id).is_some());
    }
}

fn submit(world: &mut World, blocks: &[Made], which: impl Fn(usize) -> bool) {
    for (at, made) in blocks.iter().enumerate().skip(1) {
        if which(at) {
            drop(world.submit(made));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_node_comes_to_know_what_anothers_tip_stands_on_where_branches_fork(
        plans in prop::collection::vec(forks::plan(), 1..40),
        client_has in any::<u64>(),
        server_has in any::<u64>(),
        blocks_max in 1usize..9,
    ) {
        let (mut client, mut server) = (World::new(), World::new());
        let forest = forks::forest(client.genesis(), &plans);
        let blocks: Vec<Made> = forest.into_iter().map(|block| block.made).collect();
        submit(&mut client, &blocks, |at| client_has >> at & 1 == 1);
        submit(&mut server, &blocks, |at| server_has >> at & 1 == 1);
        let ids: Vec<BlockId> = blocks.iter().map(|made| made.id).collect();
        take_headers(&mut client, &server, PageLimits { blocks_max, ..ALL });
        check_headers(&client, &server, &ids);
        take_bodies(&mut client, &server);
        prop_assert!(client.chain.tip().work >= server.chain.tip().work);
        prop_assert!(client.chain.index().is_ancestor(client.chain.tip().id, client.chain.reader().best_header().id));
    }

    #[test]
    fn a_node_comes_to_know_what_anothers_tip_stands_on_where_blocks_merge(
        plans in prop::collection::vec(dag::plan(), 1..40),
        client_has in any::<u64>(),
        server_lacks in any::<u64>(),
        blocks_max in 1usize..9,
        bytes_max in 1usize..2000,
    ) {
        let world = || World::with(merging(), TestRules::default());
        let (mut client, mut server) = (world(), world());
        let blocks: Vec<Made> = dag::grow(client.genesis(), &plans).into_iter().map(|node| node.made).collect();
        submit(&mut client, &blocks, |at| client_has >> at & 1 == 1);
        submit(&mut server, &blocks, |at| server_lacks >> at & 3 != 3);
        let ids: Vec<BlockId> = blocks.iter().map(|made| made.id).collect();
        take_headers(&mut client, &server, PageLimits { blocks_max, bytes_max });
        check_headers(&client, &server, &ids);
        take_bodies(&mut client, &server);
        prop_assert!(client.chain.tip().work >= server.chain.tip().work);
        if client.chain.tip().id == server.chain.tip().id {
            prop_assert_eq!(client.ledger(), server.ledger());
        }
    }
}

/// A world whose headers have room for many parents.
fn wide() -> World {
    let mut config = merging();
    config.ledger.header_bytes_max = 10_000;
    World::with(config, TestRules::default())
}

/// A world whose blocks merge all those of the layer below, and the blocks: (world, layers).
fn layered(width: usize, layers: usize) -> (World, Vec<Vec<Made>>) {
    let mut world = wide();
    let mut made = vec![vec![world.genesis()]];
    for layer in 0..layers {
        let below = made.last().unwrap();
        let heaviest = below.iter().max_by_key(|made| made.id).unwrap().clone();
        let parents: Vec<BlockId> = below.iter().map(|made| made.id).collect();
        let beside = (0..width).map(|number| {
            let mut recipe = plain(&heaviest, 1);
            recipe.parents.clone_from(&parents);
            recipe.height = heaviest.height + parents.len() as u64;
            recipe.nonce = (layer * width + number) as u64;
            recipe.make()
        });
        let beside: Vec<Made> = beside.collect();
        beside.iter().for_each(|made| drop(world.submit(made).unwrap()));
        made.push(beside);
    }
    (world, made)
}

#[test]
fn pages_of_a_wide_dag_lead_on_even_where_a_merge_set_is_longer_than_a_page() {
    let (server, layers) = layered(40, 12);
    let mut client = wide();
    let (pages, headers) = take_headers(&mut client, &server, PageLimits { blocks_max: 8, ..ALL });
    let ids: Vec<BlockId> = layers.iter().flatten().map(|made| made.id).collect();
    check_headers(&client, &server, &ids);
    assert!(pages <= 14 && headers <= ids.len(), "{pages} pages, {headers} headers");
    take_bodies(&mut client, &server);
    assert_eq!(client.chain.tip().id, server.chain.tip().id);
    let mut whole = wide();
    let (pages, headers) = take_headers(&mut whole, &server, ALL);
    assert_eq!((pages, headers), (1, ids.len() - 1), "each once, those beside the tip among them");
}

#[test]
fn a_peer_that_knows_all_but_the_newest_is_sent_little_more() {
    let (server, layers) = layered(40, 12);
    let mut client = wide();
    let (newest, known) = layers[1..].split_last().unwrap();
    known.iter().flatten().for_each(|made| drop(client.submit(made).unwrap()));
    let best: Vec<BlockId> = client.chain.reader().tips(40).iter().map(|tip| tip.id).collect();
    let reader = server.chain.reader();
    let page = reader.headers_after(&client.chain.reader().locator(), &best, ALL).unwrap();
    assert_eq!((page.headers.len(), page.more), (newest.len(), None), "nothing that is in the past of what it named");
    let page = reader.headers_after(&reader.locator(), &[], ALL).unwrap();
    assert_eq!((page.headers.len(), page.more), (newest.len() - 1, None), "what stands beside the tip");
    let tips: Vec<BlockId> = reader.tips(40).iter().map(|tip| tip.id).collect();
    let page = reader.headers_after(&reader.locator(), &tips, ALL).unwrap();
    assert_eq!((page.headers.len(), page.more), (0, None));
}

#[test]
fn branches_that_lost_long_ago_are_not_told_of() {
    let mut server = World::with(merging(), TestRules::default());
    let dead = plain(&server.genesis(), 9).make();
    let first = plain(&server.genesis(), 1).make();
    server.submit(&dead).unwrap();
    let mut second = plain(&first, 1);
    second.work = 50;
    server.submit(&first).unwrap();
    server.submit(&second.make()).unwrap();
    let reader = server.chain.reader();
    let tips =
        |reader: &adit_chain::ChainReader| reader.headers_after(&reader.locator(), &[], ALL).unwrap().headers.len();
    assert_eq!(tips(&reader), 1, "a young one is");
    server.mine(1001, 1);
    assert_eq!(tips(&reader), 0);
}

#[test]
fn the_headers_of_a_chain_are_those_of_its_selected_branch() {
    let mut server = World::new();
    let mined = server.mine(6, 1);
    server.submit(&plain(&mined[2], 2).make()).unwrap();
    let reader = server.chain.reader();
    let locator = [mined[1].id, server.genesis().id];
    let page = reader.headers_after(&locator, &[], PageLimits { blocks_max: 3, ..ALL }).unwrap();
    let want = |made: &[Made]| -> Vec<Vec<u8>> { made.iter().map(|made| made.block.header.clone()).collect() };
    assert_eq!(page, HeadersPage { headers: want(&mined[2..5]), more: Some(mined[4].id) });
    let page = reader.headers_after(&locator, &[mined[4].id], ALL).unwrap();
    assert_eq!(page, HeadersPage { headers: want(&mined[5..]), more: None });
    assert_eq!(reader.headers_after(&[BlockId([9; 32])], &[], ALL).unwrap().headers, want(&mined), "from the genesis");
}

#[test]
fn blocks_are_answered_as_far_as_there_is_room() {
    let mut server = World::new();
    let mined = server.mine(4, 1);
    let ids: BTreeSet<BlockId> = mined.iter().map(|made| made.id).collect();
    let mut ids: Vec<BlockId> = ids.into_iter().collect();
    ids.insert(1, BlockId([7; 32]));
    let reader = server.chain.reader();
    let size = mined[0].block.size();
    let whole = reader.blocks(&ids, 4 * size).unwrap();
    assert_eq!(whole.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true, true, true]);
    assert_eq!(reader.blocks(&ids, 2 * size).unwrap(), whole[..3]);
    assert_eq!(reader.blocks(&ids, 0).unwrap(), whole[..1], "one at least");
    let made = mined.iter().find(|made| made.id == ids[0]).unwrap();
    assert_eq!(Block::from_bytes(whole[0].as_ref().unwrap()), Ok(made.block.clone()));
}
