//! Every strategy reaches everybody; what each costs is counted.

use crate::with;
use crate::world::World;
use adit_network::wire::Kind;
use adit_network::{Class, Strategies, Strategy};
use bytes::Bytes;

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
fn share(world: &mut World, nodes: usize, rounds: usize, class: Class) {
    for round in 0..rounds {
        for node in 0..nodes {
            world.make_item(node, class, Bytes::from(format!("{round} {node} {}", "x".repeat(400))));
        }
        world.run_for(20);
    }
    world.run_for(10_000);
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
        share(&mut world, 30, 20, Class::Shares);
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
        share(&mut world, 20, 20, Class::Shares);
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
        share(&mut world, 30, 2, Class::Votes);
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

#[test]
fn links_that_bring_what_came_before_are_cut_and_everything_still_comes() {
    let mut world = World::new(9);
    (0..10).for_each(|_| {
        world.add(with(Strategies::all(Strategy::Adaptive)));
    });
    world.connect_all();
    world.run_for(1000);
    let rate = |world: &World| {
        let counters = world.hosts().map(|host| host.machine.counters());
        counters.fold((0, 0), |sum, counters| (sum.0 + counters.items_first, sum.1 + counters.items_again))
    };
    for round in 0..50 {
        for node in 0..10 {
            world.make_item(node, Class::Shares, Bytes::from(format!("a {round} {node}")));
        }
        world.run_for(100);
    }
    let middle = rate(&world);
    for round in 0..50 {
        for node in 0..10 {
            world.make_item(node, Class::Shares, Bytes::from(format!("b {round} {node}")));
        }
        world.run_for(100);
    }
    world.run_for(5000);
    let end = rate(&world);
    everybody_has(&world, 1000);
    let again = |from: (u64, u64), to: (u64, u64)| (to.1 - from.1) as f64 / (to.0 - from.0) as f64;
    println!("repetitions of each item: {:.2} at first, {:.2} later", again((0, 0), middle), again(middle, end));
    assert!(again(middle, end) < again((0, 0), middle) * 0.75);
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
