//! Nodes come to the same tip, from whatever start.

use crate::settings;
use crate::world::{World, claim, hello};
use adit_network::wire::{BlockNotice, Frame};
use adit_network::{Event, Facts, Phase, Settings};

/// Has a node make `count` blocks, with the time standing still.
fn mine_many(world: &mut World, node: usize, count: usize, on_all: bool) {
    for _ in 0..count {
        world.mine(node, on_all, &[1; 200]);
    }
}

#[track_caller]
fn agree(world: &World, blocks: usize) {
    assert_eq!(world.tips().len(), 1, "the nodes have different tips");
    for (node, host) in world.hosts().enumerate() {
        assert_eq!(host.chain.len(), blocks, "node {node}");
        assert_eq!(host.bans, [], "node {node}");
        assert_eq!(host.machine.peers().iter().map(|peer| peer.score).min(), Some(0), "node {node} blames somebody");
    }
}

#[test]
fn a_block_reaches_every_node_of_a_line() {
    let mut world = World::new(1);
    (0..8).for_each(|_| {
        world.add(settings());
    });
    (1..8).for_each(|node| {
        world.connect(node - 1, node);
    });
    world.run_for(1000);
    for node in [0, 7, 3] {
        world.mine(node, false, b"small");
        world.run_for(2000);
        world.mine(node, false, &[1; 50_000]);
        world.run_for(2000);
    }
    agree(&world, 7);
}

#[test]
fn a_node_that_was_offline_catches_up_from_several_peers_in_parallel() {
    let mut world = World::new(1);
    let sources: Vec<_> = (0..4).map(|_| world.add(settings())).collect();
    world.connect_all();
    world.run_for(500);
    for _ in 0..30 {
        mine_many(&mut world, 0, 50, false);
        world.run_for(3000);
    }
    agree(&world, 1501);
    let late = world.add(settings());
    for source in &sources {
        world.connect(late, *source);
    }
    let before: Vec<_> = world.hosts().map(|host| host.machine.counters().bytes_out).collect();
    world.run_for(20);
    assert_eq!(world.host(late).chain.len(), 1);
    world.run_for(5_000);
    agree(&world, 1501);
    for (source, before) in sources.iter().zip(before) {
        let sent = world.host(*source).machine.counters().bytes_out - before;
        assert!(sent > 30_000, "node {source} sent only {sent} bytes");
    }
    // Nothing was fetched twice, and the host was handed groups.
    let host = world.host(late);
    assert_eq!(host.judged_blocks.len(), 1500);
    assert!(host.judgements < 200, "{} judgements", host.judgements);
    assert!(host.chain.lacking_calls.get() < 200, "{} questions", host.chain.lacking_calls.get());
    // Of all these blocks it announced the last.
    assert!(host.machine.counters().frames_out < 200, "{:?}", host.machine.counters());
    let view = host.machine.sync(adit_network::Moment::from_millis(25_000), &host.chain);
    assert_eq!((view.phase, view.target.0, view.blocks.0), (Phase::Idle, 1500, 1500));
}

#[test]
fn two_halves_that_grew_apart_become_one_chain() {
    for on_all in [false, true] {
        let mut world = World::new(3);
        (0..6).for_each(|_| {
            world.add(settings());
        });
        world.connect_all();
        world.run_for(500);
        mine_many(&mut world, 0, 5, on_all);
        world.run_for(2000);
        world.partition(|a, b| (a < 3) != (b < 3));
        for _ in 0..40 {
            world.mine(0, on_all, &[1; 100]);
            world.mine(4, on_all, &[2; 100]);
            world.run_for(500);
        }
        mine_many(&mut world, 4, 250, on_all);
        world.run_for(5000);
        assert_eq!(world.tips().len(), 2);
        world.connect(1, 5);
        world.connect(2, 3);
        world.run_for(60_000);
        assert_eq!(world.tips().len(), 1);
        // On a DAG, the next block joins what both halves made.
        world.mine(1, on_all, b"join");
        world.run_for(5_000);
        assert_eq!(world.tips().len(), 1);
        if on_all {
            world.mine(5, on_all, b"join");
            world.run_for(5_000);
            agree(&world, 1 + 5 + 40 + 40 + 250 + 2);
        }
        assert!(world.hosts().all(|host| host.bans.is_empty()));
    }
}

#[test]
fn a_fork_deeper_than_a_page_of_headers_is_followed_to_its_end() {
    let mut world = World::new(1);
    let (a, b) = (world.add(settings()), world.add(settings()));
    for node in [a, b] {
        world.host(node).chain.page = 20;
    }
    mine_many(&mut world, a, 300, false);
    mine_many(&mut world, b, 310, false);
    world.run_for(10);
    world.connect(a, b);
    world.run_for(60_000);
    assert_eq!(world.tips().len(), 1);
    assert_eq!(world.host(a).chain.tip().height.0, 310);
}

#[test]
fn a_page_of_headers_is_on_its_way_while_the_one_before_it_is_judged() {
    let mut world = World::new(1);
    let (a, b) = (world.add(settings()), world.add(settings()));
    world.host(a).chain.page = 20;
    world.host(b).judge_millis = 20;
    mine_many(&mut world, a, 300, false);
    world.run_for(10);
    world.connect(a, b);
    // Fifteen pages: one after the other, each would take its way there and back, 20 ms, and 20 more to be judged.
    world.run_for(400);
    assert_eq!(world.host(b).chain.best_header().height.0, 300);
    world.run_for(60_000);
    agree(&world, 301);
}

/// Pages are on their way, at the host, or waiting for it when what they stand on is forgotten: whenever that is, they are asked for again.
#[test]
fn who_sends_headers_above_what_this_node_forgot_meanwhile_is_not_blamed() {
    for forget_at in (25..400).step_by(5) {
        let mut world = World::new(1);
        let (a, b) = (world.add(settings()), world.add(settings()));
        world.host(a).chain.page = 20;
        world.host(b).judge_millis = 30;
        mine_many(&mut world, a, 200, false);
        world.run_for(10);
        world.connect(a, b);
        world.run_until(forget_at);
        world.host(b).chain.forget_headers();
        world.run_for(60_000);
        agree(&world, 201);
    }
}

#[test]
fn an_announced_header_that_was_forgotten_before_its_verdict_came_is_not_called_false() {
    let mut world = World::new(1);
    let (a, b) = (world.add(settings()), world.add(settings()));
    world.connect(a, b);
    world.run_for(1000);
    world.host(b).judge_millis = 50;
    world.mine(a, false, &[1; 5000]);
    world.run_for(40);
    assert_eq!(world.host(b).chain.best_header().height.0, 1, "it is placed, and its verdict is on its way");
    world.host(b).chain.forget_headers();
    world.run_for(60_000);
    agree(&world, 2);
}

#[test]
fn a_slow_line_takes_its_time_and_costs_its_node_nothing() {
    let mut world = World::new(1);
    let (slow, late) = (world.add(settings()), world.add(settings()));
    // Three blocks are one answer, which takes a minute through this line.
    world.behind_line(slow, 66_000);
    for _ in 0..3 {
        world.mine(slow, false, &[1; 1_300_000]);
    }
    world.run_for(10);
    world.connect(late, slow);
    world.run_for(120_000);
    agree(&world, 4);
    assert_eq!(world.host(late).machine.counters().timeouts, 0);
    assert!(world.hosts().all(|host| host.closed.is_empty()));
}

#[test]
fn beside_a_fast_peer_a_slow_one_holds_nothing_up_and_is_not_banned() {
    let mut world = World::new(1);
    let (slow, fast) = (world.add(settings()), world.add(settings()));
    for _ in 0..1500 {
        world.mine(fast, false, &[1; 2000]);
    }
    world.connect(slow, fast);
    world.run_for(60_000);
    agree(&world, 1501);
    let late = world.add(settings());
    world.behind_line(slow, 10_000);
    world.connect(late, slow);
    world.connect(late, fast);
    let began = world.now;
    while world.host(late).chain.len() < 1501 {
        world.run_for(100);
        assert!(world.now - began < 60_000, "{} blocks came", world.host(late).chain.len());
        let scores = world.host(late).machine.peers().into_iter().map(|peer| peer.score);
        assert!(scores.min().is_none_or(|score| score >= -20));
    }
    world.run_for(600_000);
    agree(&world, 1501);
}

#[test]
fn a_dag_of_many_miners_is_the_same_everywhere() {
    let mut world = World::new(5);
    world.latencies(|a, b| 20 + 7 * ((a * 5 + b * 3) % 11) as u64);
    (0..8).for_each(|_| {
        world.add(settings());
    });
    for node in 0..8 {
        world.connect(node, (node + 1) % 8);
        world.connect(node, (node + 3) % 8);
    }
    world.run_for(1000);
    for round in 0..200 {
        let body = if round % 3 == 0 { vec![1; 3000] } else { vec![1; 10] };
        let node = usize::try_from(world.random() % 8).expect("below eight");
        world.mine(node, true, &body);
        world.run_for(15);
    }
    world.run_for(60_000);
    agree(&world, 201);
    let late = world.add(settings());
    world.connect(late, 0);
    world.connect(late, 4);
    world.run_for(20_000);
    // What nothing is built on yet comes with the next block that merges it.
    world.mine(0, true, b"join");
    world.run_for(20_000);
    agree(&world, 202);
}

#[test]
fn announcements_that_were_lost_are_made_good_by_pings() {
    let mut world = World::new(1);
    let (a, b) = (world.add(settings()), world.add(settings()));
    world.connect(a, b);
    world.run_for(1000);
    // The host took a block and never said so.
    let (_, _, block) = world.host(a).chain.make(false, 9, b"quiet");
    world.host(a).chain.take(None, &block);
    world.run_for(20_000);
    agree(&world, 2);
}

#[test]
fn a_supplier_that_dies_or_stalls_is_replaced() {
    let mut world = World::new(1);
    let small = Settings { window_bytes_max: 20_000, ..settings() };
    let (a, b) = (world.add(settings()), world.add(settings()));
    mine_many(&mut world, a, 600, false);
    world.run_for(10);
    world.connect(a, b);
    world.run_for(10_000);
    agree(&world, 601);
    let late = world.add(small);
    let (dying, _) = world.connect(late, a);
    world.run_for(150);
    let stalled = world.host(late).chain.len();
    assert!(stalled < 601);
    world.cut(dying);
    world.connect(late, b);
    world.run_for(60_000);
    agree(&world, 601);
}

#[test]
fn a_block_of_a_dag_that_was_made_alone_is_told_to_new_peers() {
    let mut world = World::new(1);
    let (a, b) = (world.add(settings()), world.add(settings()));
    mine_many(&mut world, a, 5, true);
    let alone = world.mine(b, true, &[1; 300]);
    world.run_for(10);
    world.connect(a, b);
    world.run_for(5_000);
    assert!(world.host(a).blocks.contains_key(&alone), "it has less work than the tip, and counts all the same");
}

#[test]
fn an_announced_block_that_its_announcer_keeps_back_comes_from_another() {
    let mut world = World::new(1);
    let (a, b) = (world.add(settings()), world.add(settings()));
    let greet = |frame: &Frame| matches!(frame, Frame::Hello(_)).then(|| hello(7, claim(0))).into_iter().collect();
    let keeper = world.puppet(greet);
    world.connect(a, b);
    let (_, keepers) = world.connect(b, keeper);
    world.run_for(1000);
    // Both announce the block, the keeper first.
    let (id, header, block) = world.host(a).chain.make(false, 9, &[1; 5000]);
    world.say(
        keepers,
        &Frame::Announce { blocks: vec![BlockNotice { id, level: 0, header: header.clone(), block: None }] },
    );
    world.run_for(100);
    world.host(a).chain.take(None, &block);
    world.event(a, Event::BlockAccepted { id, header, block: None });
    world.run_for(3000);
    assert!(world.host(b).blocks.contains_key(&id));
}

#[test]
fn a_host_that_cannot_judge_blames_nobody_and_tries_again() {
    let mut world = World::new(1);
    let (a, b) = (world.add(settings()), world.add(settings()));
    mine_many(&mut world, a, 100, false);
    world.run_for(10);
    world.host(b).chain.faults = 3;
    world.connect(a, b);
    world.run_for(60_000);
    agree(&world, 101);
    world.host(b).chain.faults = 2;
    world.mine(a, false, &[1; 5000]);
    world.run_for(60_000);
    agree(&world, 102);
}

#[test]
fn a_window_of_bytes_bounds_what_is_held_whatever_the_blocks_weigh() {
    let mut world = World::new(1);
    let small = Settings { window_bytes_max: 300_000, group_bytes_max: 100_000, ..settings() };
    let (a, b) = (world.add(settings()), world.add(small));
    for number in 0..200 {
        world.mine(a, false, &vec![1; if number % 20 == 0 { 200_000 } else { 500 }]);
    }
    world.run_for(10);
    world.connect(a, b);
    let mut most = 0;
    while world.host(b).chain.len() < 201 && world.now < 60_000 {
        world.run_for(1);
        most = most.max(world.host(b).machine.held().bytes);
    }
    agree(&world, 201);
    // The mean weight foretells badly: a few times the bound is what may come before it knows better.
    assert!(most < 1_500_000, "{most} bytes were held");
}
