//! How nodes meet and part.

use crate::settings;
use crate::world::{World, claim, hello, rules};
use adit_network::wire::{Frame, Goodbye};
use adit_network::{CloseReason, Event};
use bytes::Bytes;
use std::time::Duration;

#[test]
fn two_nodes_of_one_chain_are_peers_and_know_their_latency() {
    let mut world = World::new(1);
    let (a, b) = (world.add(settings()), world.add(settings()));
    world.latencies(|_, _| 40);
    world.connect(a, b);
    world.run_for(1000);
    for node in [a, b] {
        let peers = world.host(node).machine.peers();
        assert_eq!(peers.len(), 1);
        assert_eq!(peers[0].latency, Some(Duration::from_millis(80)));
        assert_eq!((peers[0].score, peers[0].agent.as_str()), (0, "adit test"));
    }
}

#[test]
fn nodes_of_two_chains_refuse_each_other_and_both_name_the_item() {
    let mut world = World::new(1);
    let a = world.add(settings());
    let b = world.host_of(settings(), rules("another"));
    world.connect(a, b);
    world.run_for(1000);
    for node in [a, b] {
        assert_eq!((world.peers(node), world.host(node).foreign), (0, 1));
        match world.host(node).closed.as_slice() {
            [CloseReason::Foreign { difference }] => assert_eq!(difference.item, "chain name"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_node_that_dials_itself_notices() {
    let mut world = World::new(1);
    let a = world.add(settings());
    world.connect(a, a);
    world.run_for(1000);
    assert_eq!(world.peers(a), 0);
    assert!(world.host(a).closed.contains(&CloseReason::Left { said: Goodbye::Itself }));
}

#[test]
fn of_two_streams_between_two_nodes_both_keep_the_same() {
    for order in [[(0, 1), (1, 0)], [(1, 0), (0, 1)], [(0, 1), (0, 1)]] {
        let mut world = World::new(1);
        let (a, b) = (world.add(settings()), world.add(settings()));
        order.into_iter().for_each(|(from, to)| {
            world.connect(from, to);
        });
        world.run_for(5000);
        assert_eq!((world.peers(a), world.peers(b)), (1, 1));
        let (ours, theirs) = (world.host(a).machine.peers(), world.host(b).machine.peers());
        assert_ne!(ours[0].direction, theirs[0].direction);
        // The stream that was kept still works.
        let block = world.mine(a, false, b"body");
        world.run_for(1000);
        assert!(world.host(b).blocks.contains_key(&block));
    }
}

#[test]
fn who_says_nothing_is_left_and_who_falls_silent_too() {
    let mut world = World::new(1);
    let a = world.add(settings());
    let mute = world.puppet(|_| vec![]);
    let once = world.puppet(|frame| matches!(frame, Frame::Hello(_)).then(|| hello(7, claim(0))).into_iter().collect());
    world.connect(a, mute);
    world.connect(a, once);
    world.run_for(9_000);
    assert_eq!(world.peers(a), 1);
    assert_eq!(world.host(a).closed, []);
    world.run_for(2_000);
    assert_eq!(world.host(a).closed, [CloseReason::NoHello]);
    world.run_for(45_000);
    assert_eq!(world.host(a).closed[1..], [CloseReason::Left { said: Goodbye::Silent }]);
    assert_eq!(world.peers(a), 0);
}

#[test]
fn what_a_peer_calls_itself_is_escaped() {
    let mut world = World::new(1);
    let a = world.add(settings());
    let odd = world.puppet(|frame| matches!(frame, Frame::Hello(_)).then(|| hello(7, claim(0))).into_iter().collect());
    world.connect(odd, a);
    world.run_for(1000);
    assert_eq!(world.host(a).machine.peers()[0].agent, "puppet\\n\\u{1b}");
}

#[test]
fn there_is_room_for_so_many_peers_and_no_more() {
    let mut world = World::new(1);
    let few = adit_network::Settings { sessions_max: 3, ..settings() };
    let a = world.add(few);
    for _ in 0..6 {
        let other = world.add(settings());
        world.connect(other, a);
    }
    world.run_for(1000);
    assert_eq!(world.peers(a), 3);
    assert_eq!(world.host(a).closed, vec![CloseReason::Left { said: Goodbye::Full }; 3]);
}

#[test]
fn a_peer_that_reads_too_slowly_is_left_and_gets_no_shares_before() {
    let mut world = World::new(1);
    let (a, b) = (world.add(settings()), world.add(settings()));
    let (session, _) = world.connect(a, b);
    world.run_for(1000);
    world.event(a, Event::Pressure { session, queued_bytes: 2 << 20, dropped: 3 });
    world.make_item(a, adit_network::Class::Shares, Bytes::from_static(b"a share"));
    world.run_for(1000);
    assert!(world.host(b).items.is_empty());
    assert!(world.host(a).machine.peers()[0].dropped >= 4);
    world.run_for(25_000);
    assert_eq!(world.host(a).closed, [CloseReason::Left { said: Goodbye::Slow }]);
}

#[test]
fn a_node_that_stops_tells_everybody() {
    let mut world = World::new(1);
    let (a, b) = (world.add(settings()), world.add(settings()));
    world.connect(a, b);
    world.run_for(1000);
    world.event(a, Event::Stop);
    world.run_for(1000);
    assert_eq!(world.host(b).closed, [CloseReason::PeerLeft { said: Goodbye::Stopping }]);
    assert_eq!((world.peers(a), world.peers(b)), (0, 0));
}
