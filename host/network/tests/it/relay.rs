//! Every strategy reaches everybody; what each costs is counted.

use crate::with;
use crate::world::{World, claim, hello, node_id};
use adit_network::wire::{Frame, Item, Kind};
use adit_network::{Class, Strategies, Strategy};
use bytes::Bytes;
use std::ops::Range;

const ALL: [Strategy; 4] = [Strategy::Flood, Strategy::Gossip, Strategy::Structured, Strategy::Adaptive];

/// A network of `nodes`, each dialling `dials` others.
fn network(seed: u64, nodes: usize, dials: usize, strategies: Strategies) -> World {
    let mut world = World::new(seed);
    world.latencies(|a, b| 10 + 3 * ((a * 7 + b * 11) % 17) as u64);
    (0..nodes).for_each(|_| {
        world.add(with(strategies));
    });
    for node in 0..nodes {
        for dial in 1..=dials {
            // Strides that differ: a network of short ways.
            world.connect(node, (node + dial * dial * dial) % nodes);
        }
    }
    world.run_for(2000);
    world
}

/// Has every node make items for a while, then waits.
fn share(world: &mut World, nodes: usize, rounds: Range<usize>, class: Class) {
    for round in rounds {
        for node in 0..nodes {
            world.make_item(node, class, Bytes::from(format!("{round} {node} {}", "x".repeat(400))));
        }
        world.run_for(20);
    }
    world.run_for(10_000);
}

/// How often items came to the hosts: for the first time, again, after they had to be asked for.
fn arrivals(world: &World) -> [u64; 3] {
    let counters = world.hosts().map(|host| host.machine.counters());
    counters.fold([0; 3], |[first, again, repaired], counters| {
        [first + counters.items_first, again + counters.items_again, repaired + counters.items_repaired]
    })
}

#[track_caller]
fn everybody_has(world: &World, items: usize) {
    for (node, host) in world.hosts().enumerate() {
        assert_eq!(host.items.len(), items, "node {node}");
        assert_eq!((host.bans.len(), host.machine.counters().refused), (0, 0), "node {node}");
    }
}

#[test]
fn shares_reach_every_node_by_every_strategy() {
    for strategy in ALL {
        let mut world = network(3, 30, 3, Strategies::all(strategy));
        share(&mut world, 30, 0..20, Class::Shares);
        everybody_has(&world, 600);
        let sent = world.hosts().map(|host| host.machine.counters()).fold((0, 0), |sum, counters| {
            (sum.0 + counters.items_first + counters.items_again, sum.1 + counters.items_repaired)
        });
        let each = sent.0 as f64 / (600.0 * 29.0);
        println!("{strategy:?}: an item came {each:.2} times to each node, {} were repaired", sent.1);
        assert!(each < 8.0);
    }
}

#[test]
fn shares_reach_every_node_by_every_strategy_where_frames_are_lost() {
    for strategy in ALL {
        let mut world = network(4, 20, 3, Strategies::all(strategy));
        world.loss = 100;
        share(&mut world, 20, 0..20, Class::Shares);
        let have: usize = world.hosts().map(|host| host.items.len()).sum();
        println!("{strategy:?}: of {} items, {have} came, with one frame of ten lost", 400 * 20);
        match strategy {
            // Nothing repairs a flood but its other ways.
            Strategy::Flood => assert!(have > 400 * 20 * 99 / 100),
            _ => assert!(have > 400 * 20 * 999 / 1000, "{strategy:?}: {have}"),
        }
    }
}

#[test]
fn votes_blocks_and_transactions_reach_every_node_by_every_strategy() {
    for strategy in ALL {
        let mut world = network(5, 30, 3, Strategies::all(strategy));
        share(&mut world, 30, 0..2, Class::Votes);
        everybody_has(&world, 60);
        for round in 0..5_usize {
            let block = world.mine(round * 5, false, &vec![1; round * 1500]);
            let payment = world.pay(round * 3, format!("payment {round}").as_bytes());
            world.run_for(20_000);
            for (node, host) in world.hosts().enumerate() {
                assert!(host.blocks.contains_key(&block), "{strategy:?}: block {round} never came to {node}");
                assert!(host.chain.transactions.contains_key(&payment), "{strategy:?}: payment {round}, node {node}");
            }
        }
        // A body is fetched once, whoever announces it.
        for host in world.hosts() {
            assert!(host.judged_blocks.len() <= 5);
        }
    }
}

/// Returns how often each item came again under `Adaptive` to ten nodes that know each other: in the first five seconds, and in the next.
fn repetitions(seed: u64) -> [f64; 2] {
    let mut world = World::new(seed);
    (0..10).for_each(|_| {
        world.add(with(Strategies::all(Strategy::Adaptive)));
    });
    world.connect_all();
    world.run_for(1000);
    let mut counts = vec![arrivals(&world)];
    for half in ["a", "b"] {
        for round in 0..50 {
            for node in 0..10 {
                world.make_item(node, Class::Shares, Bytes::from(format!("{half} {round} {node}")));
            }
            world.run_for(100);
        }
        counts.push(arrivals(&world));
    }
    world.run_for(5000);
    everybody_has(&world, 1000);
    // The network still works when a node that others rely on dies.
    world.partition(|a, b| a == 0 || b == 0);
    for round in 0..20 {
        for node in 1..10 {
            world.make_item(node, Class::Shares, Bytes::from(format!("c {round} {node}")));
        }
        world.run_for(100);
    }
    world.run_for(5000);
    for node in 1..10 {
        assert_eq!(world.host(node).items.len(), 1000 + 180, "node {node}");
    }
    let again = |half: usize| {
        let [from, to] = [counts[half], counts[half + 1]];
        (to[1] - from[1]) as f64 / (to[0] - from[0]) as f64
    };
    [again(0), again(1)]
}

#[test]
fn links_that_bring_what_came_before_are_cut_and_everything_still_comes() {
    // Which links are cut is chance: of one world it may be few for long.
    let sum = (1..=8).map(repetitions).fold([0.0; 2], |sum, [first, later]| [sum[0] + first, sum[1] + later]);
    println!("repetitions of each item: {:.2} at first, {:.2} later", sum[0] / 8.0, sum[1] / 8.0);
    assert!(sum[1] < sum[0] * 0.75);
}

#[test]
fn a_block_costs_a_flood_no_more_than_an_announcement_for_each_link() {
    let mut world = network(6, 20, 3, Strategies::hybrid());
    let announced = |world: &World| world.traffic.get(&Kind::Announce).map_or(0, |count| count.0);
    let (before, blocks) = (announced(&world), 10);
    for round in 0..blocks {
        world.mine(round, false, &[1; 10_000]);
        world.run_for(5000);
    }
    let links = world.hosts().map(|host| host.machine.peers().len() as u64).sum::<u64>();
    assert!(announced(&world) - before <= blocks as u64 * links);
    let fetched = world.traffic[&Kind::Blocks].0;
    assert_eq!(fetched, blocks as u64 * 19);
}

#[test]
fn what_the_host_rejects_costs_its_sender_and_goes_no_further() {
    let mut world = World::new(2);
    (0..3).for_each(|_| {
        world.add(with(Strategies::hybrid()));
    });
    world.connect(0, 1);
    world.connect(1, 2);
    world.run_for(1000);
    for text in ["reject this", "ignore this", "accept this"] {
        world.make_item(0, Class::Shares, Bytes::from_static(text.as_bytes()));
    }
    world.run_for(3000);
    assert_eq!(world.host(2).items.len(), 1);
    let scores: Vec<_> = world.host(1).machine.peers().iter().map(|peer| peer.score).collect();
    assert!(scores.contains(&-20), "{scores:?}");
}

#[test]
fn a_new_peer_learns_what_waits_in_the_pool() {
    let mut world = World::new(2);
    let (a, b) = (world.add(with(Strategies::hybrid())), world.add(with(Strategies::hybrid())));
    let ids: Vec<_> = (0..1500).map(|number| world.pay(a, format!("payment {number}").as_bytes())).collect();
    world.run_for(100);
    world.connect(b, a);
    world.run_for(20_000);
    assert!(ids.iter().all(|id| world.host(b).chain.transactions.contains_key(id)));
}

fn ten_that_know_each_other() -> World {
    let mut world = World::new(11);
    (0..10).for_each(|_| {
        world.add(with(Strategies::hybrid()));
    });
    world.connect_all();
    world.run_for(5000);
    world
}

#[test]
fn what_its_maker_sends_to_all_comes_once_and_whoever_has_one_peer_has_it_too() {
    let mut world = ten_that_know_each_other();
    share(&mut world, 10, 0..20, Class::Shares);
    everybody_has(&world, 200);
    assert_eq!(arrivals(&world), [200 * 9, 0, 0]);
    // Beyond one of them is another that nobody else knows.
    let far = world.add(with(Strategies::hybrid()));
    world.connect(3, far);
    world.run_for(5000);
    share(&mut world, 10, 20..40, Class::Shares);
    assert_eq!(world.host(far).items.len(), 200);
    assert_eq!(arrivals(&world), [200 * 9 + 200 * 10, 0, 0]);
}

#[test]
fn who_is_no_peer_of_the_maker_any_more_is_sent_what_it_makes_by_others() {
    let mut world = ten_that_know_each_other();
    world.partition(|a, b| a.min(b) == 0 && a.max(b) > 2);
    world.run_for(5000);
    share(&mut world, 10, 0..20, Class::Shares);
    everybody_has(&world, 200);
    assert_eq!(arrivals(&world)[2], 0, "nothing had to be asked for");
}

/// A node that says that it has everybody as a peer.
fn liar(world: &mut World) -> usize {
    world.puppet(|frame| match frame {
        Frame::Hello(_) => vec![hello(77, claim(0)), Frame::Neighbours { nodes: (0..100).map(node_id).collect() }],
        _ => Vec::new(),
    })
}

#[test]
fn of_a_flood_nobody_is_left_out_whatever_the_maker_says() {
    for (strategies, at_once) in [(Strategies::all(Strategy::Flood), true), (Strategies::hybrid(), false)] {
        let mut world = World::new(12);
        let (passes, other) = (world.add(with(strategies)), world.add(with(Strategies::hybrid())));
        let liar = liar(&mut world);
        world.connect(passes, other);
        world.connect(liar, other);
        let served = world.connect(liar, passes).0;
        world.run_for(5000);
        let items = vec![Item { level: Item::TO_ALL, bytes: Bytes::from_static(b"accept") }];
        world.say(served, &Frame::Items { class: Class::Shares, items });
        world.run_for(50);
        assert_eq!(world.host(other).items.len(), usize::from(at_once), "{strategies:?}");
        world.run_for(1000);
        assert_eq!(world.host(other).items.len(), 1, "{strategies:?}");
    }
}

#[test]
fn who_says_that_it_sends_to_all_and_does_not_keeps_nothing_back() {
    let mut world = ten_that_know_each_other();
    let liar = liar(&mut world);
    let sessions: Vec<_> = (0..10).map(|node| world.connect(liar, node).0).collect();
    world.run_for(5000);
    for number in 0..20 {
        let items = vec![Item { level: Item::TO_ALL, bytes: Bytes::from(format!("accept {number}")) }];
        world.say(sessions[0], &Frame::Items { class: Class::Shares, items });
    }
    world.run_for(2000);
    everybody_has(&world, 20);
    // Two heard the id of each from the one that the liar served, and asked; the others had it from those.
    let [first, _, repaired] = arrivals(&world);
    assert_eq!((first, repaired), (200, 2 * 20));
    assert!(world.heard(liar).iter().any(|frame| matches!(frame, Frame::Neighbours { nodes } if nodes.len() == 10)));
}
