//! Peers that lie, flood and break off: each is banned or bounded, and nobody else pays.

use crate::chain::{INVALID, block, header, id_of};
use crate::settings;
use crate::world::{World, claim, hello, node_id};
use adit_network::wire::{BlockNotice, Frame, Item, ItemId, VERSION};
use adit_network::{BanReason, Class, Event, SessionId};
use adit_primitives::{BlockId, TxId};
use bytes::Bytes;

/// A host and a peer that the test speaks for, greeted; the peer's session.
fn meet(answers: impl FnMut(&Frame) -> Vec<Frame> + 'static) -> (World, usize, SessionId) {
    let mut world = World::new(1);
    let host = world.add(settings());
    let puppet = world.puppet(answers);
    let (session, _) = world.connect(puppet, host);
    world.say(session, &hello(77, claim(0)));
    world.run_for(1000);
    assert_eq!(world.peers(host), 1);
    (world, host, session)
}

fn silent(_: &Frame) -> Vec<Frame> {
    Vec::new()
}

#[test]
fn what_is_no_frame_bans() {
    let [low, high] = VERSION.to_le_bytes();
    let cases =
        [(0, vec![]), (255, vec![1]), (3, vec![1, 2]), (8, vec![0xff; 40]), (1, vec![low, high, 9]), (32, vec![9; 30])];
    for (kind, body) in cases {
        let (mut world, host, session) = meet(silent);
        let theirs = SessionId(session.0 + 1);
        world.event(host, Event::Received { session: theirs, kind, body: body.into() });
        world.run_for(100);
        assert!(matches!(world.host(host).bans.as_slice(), [BanReason::Malformed { .. }]), "kind {kind}");
        assert_eq!(world.peers(host), 0);
        // It may come back, and is not let in.
        let (again, _) = world.connect(1, host);
        world.say(again, &hello(78, claim(0)));
        world.run_for(1000);
        assert_eq!(world.peers(host), 0);
    }
}

#[test]
fn a_frame_before_hello_and_a_second_hello_ban() {
    let mut world = World::new(1);
    let host = world.add(settings());
    let puppet = world.puppet(silent);
    let (session, _) = world.connect(puppet, host);
    world.say(session, &Frame::Ping { nonce: 1, tip: claim(0) });
    world.run_for(100);
    assert!(matches!(world.host(host).bans.as_slice(), [BanReason::OutOfPlace { .. }]));

    let (mut world, host, session) = meet(silent);
    world.say(session, &hello(77, claim(0)));
    world.run_for(100);
    assert!(matches!(world.host(host).bans.as_slice(), [BanReason::OutOfPlace { .. }]));
}

#[test]
fn a_block_that_breaks_a_rule_bans_its_sender() {
    for inline in [false, true] {
        let bad = header(&[crate::chain::Chain::new().tips()[0]], 5, 0);
        let whole = block(&bad, &[INVALID; 10]);
        let answer = whole.clone();
        let (mut world, host, session) = meet(move |frame| match frame {
            Frame::GetBlocks { request, ids } => {
                vec![Frame::Blocks { request: *request, blocks: ids.iter().map(|_| Some(answer.clone())).collect() }]
            }
            _ => vec![],
        });
        let notice = BlockNotice { id: id_of(&bad), level: 0, header: bad, block: inline.then_some(whole) };
        world.say(session, &Frame::Announce { blocks: vec![notice] });
        world.run_for(1000);
        assert!(matches!(world.host(host).bans.as_slice(), [BanReason::InvalidBlock { .. }]), "inline {inline}");
    }
}

#[test]
fn a_header_that_breaks_a_rule_bans_its_sender_even_after_it_left() {
    let bad = header(&[crate::chain::Chain::new().tips()[0]], 5, INVALID);
    let (mut world, host, session) = meet(silent);
    world.host(host).judge_millis = 500;
    let notice = BlockNotice { id: id_of(&bad), level: 0, header: bad, block: None };
    world.say(session, &Frame::Announce { blocks: vec![notice] });
    world.run_for(50);
    world.cut(session);
    world.run_for(1000);
    assert!(matches!(world.host(host).bans.as_slice(), [BanReason::InvalidHeader { .. }]));
}

/// Announces many headers above the genesis at once.
fn announce_many(world: &mut World, session: SessionId, count: u64, flag: u8) {
    let genesis = crate::chain::Chain::new().tips()[0];
    let headers = (0..count).map(|nonce| header(&[genesis], nonce, flag));
    let blocks = headers.map(|header| BlockNotice { id: id_of(&header), level: 0, header, block: None }).collect();
    world.say(session, &Frame::Announce { blocks });
}

#[test]
fn of_many_bad_headers_announced_at_once_few_are_judged() {
    let (mut world, host, session) = meet(silent);
    world.host(host).judge_millis = 500;
    announce_many(&mut world, session, 60, INVALID);
    world.run_for(5000);
    let bans = &world.host(host).bans;
    assert!(!bans.is_empty() && bans.iter().all(|ban| matches!(ban, BanReason::InvalidHeader { .. })), "{bans:?}");
    assert_eq!(world.host(host).chain.headers_judged, 4);
    assert_eq!(world.host(host).machine.held().bytes, 0, "what waited is let go");
}

#[test]
fn of_many_good_headers_announced_at_once_all_are_judged_a_few_at_a_time() {
    let (mut world, host, session) = meet(silent);
    world.host(host).judge_millis = 500;
    announce_many(&mut world, session, 60, 0);
    world.run_for(600);
    assert_eq!(world.host(host).chain.headers_judged, 8);
    world.run_for(7_500);
    assert_eq!(world.host(host).chain.headers_judged, 60);
    assert_eq!(world.host(host).machine.peers().len(), 1);
}

#[test]
fn a_fault_of_the_host_costs_nobody() {
    let (mut world, host, session) = meet(silent);
    for nonce in 0..50 {
        world.host(host).chain.faults = 1;
        let good = header(&[crate::chain::Chain::new().tips()[0]], nonce, 0);
        let notice = BlockNotice { id: id_of(&good), level: 0, header: good, block: None };
        world.say(session, &Frame::Announce { blocks: vec![notice] });
        world.run_for(20);
    }
    assert_eq!(world.host(host).machine.peers()[0].score, 0);
}

#[test]
fn who_claims_work_that_it_has_not_is_dropped() {
    let (mut world, host, session) = meet(|frame| match frame {
        Frame::GetHeaders { request, .. } => vec![Frame::Headers { request: *request, headers: vec![], more: None }],
        _ => vec![],
    });
    for number in 0..4 {
        let mut tip = claim(1_000_000 + number);
        tip.id = BlockId([u8::try_from(number).expect("small"); 32]);
        world.say(session, &Frame::Ping { nonce: 1, tip });
        world.run_for(200);
    }
    assert!(matches!(world.host(host).bans.as_slice(), [BanReason::Score { .. }]));
    assert_eq!(world.host(host).machine.sync(adit_network::Moment::from_millis(9), &world_chain()).target.0, 0);
}

#[test]
fn who_says_that_a_page_ends_otherwise_than_it_does_is_dropped() {
    let genesis = crate::chain::Chain::new().tips()[0];
    let (mut world, host, session) = meet(move |frame| match frame {
        Frame::GetHeaders { request, .. } => {
            let headers = vec![header(&[genesis], request.0.into(), 0)];
            vec![Frame::Headers { request: *request, headers, more: Some(BlockId([7; 32])) }]
        }
        _ => vec![],
    });
    for number in 0..2 {
        let mut tip = claim(1_000_000 + number);
        tip.id = BlockId([u8::try_from(number).expect("small"); 32]);
        world.say(session, &Frame::Ping { nonce: 1, tip });
        world.run_for(200);
    }
    assert!(matches!(world.host(host).bans.as_slice(), [BanReason::Score { .. }]));
}

fn world_chain() -> crate::chain::Chain {
    crate::chain::Chain::new()
}

#[test]
fn who_announces_by_false_ids_is_banned() {
    let (mut world, host, session) = meet(silent);
    for nonce in 0..3 {
        let good = header(&[crate::chain::Chain::new().tips()[0]], nonce, 0);
        let notice = BlockNotice { id: BlockId([9; 32]), level: 0, header: good, block: None };
        world.say(session, &Frame::Announce { blocks: vec![notice] });
        world.run_for(100);
    }
    assert_eq!(world.host(host).bans.len(), 1);
}

#[test]
fn a_flood_is_refused_at_a_bounded_cost_and_then_banned() {
    let (mut world, host, session) = meet(silent);
    let before = world.host(host).judgements;
    for number in 0_u64..20_000 {
        // Headers whose parents nobody has: each would have to be judged.
        let orphan = header(&[BlockId([7; 32])], number, 0);
        let notice = BlockNotice { id: id_of(&orphan), level: 0, header: orphan, block: None };
        world.say(session, &Frame::Announce { blocks: vec![notice] });
    }
    world.run_for(500);
    let judged = world.host(host).judgements - before;
    assert!(judged < 3000, "{judged} judgements");
    assert!(matches!(world.host(host).bans.as_slice(), [BanReason::Score { .. }]));
    let held = world.host(host).machine.held();
    assert!(held.entries < 20_000 && held.bytes < 1 << 20, "{held:?}");
}

#[test]
fn ids_of_items_that_nobody_has_are_soon_not_followed() {
    let (mut world, host, session) = meet(silent);
    for number in 0_u64..2000 {
        let ids = (0..1024_u64).map(|place| ItemId::of(&(number * 1024 + place).to_le_bytes())).collect();
        world.say(session, &Frame::Have { class: Class::Shares, ids });
    }
    world.run_for(100);
    let held = world.host(host).machine.held();
    assert!(held.entries < 40_000, "{held:?}");
    world.run_for(300_000);
    assert_eq!(world.host(host).bans.len(), 1);
}

#[test]
fn a_peer_that_never_answers_loses_its_score_and_the_pool_comes_from_another() {
    let (mut world, host, session) = meet(silent);
    let good = world.add(settings());
    let id = world.pay(good, b"a payment");
    world.say(session, &Frame::AnnounceTransactions { level: 0, ids: vec![id] });
    world.run_for(100);
    world.connect(host, good);
    world.run_for(25_000);
    assert!(world.host(host).chain.transactions.contains_key(&id));
    let scores: Vec<_> = world.host(host).machine.peers().iter().map(|peer| peer.score).collect();
    assert!(scores.contains(&0) && scores.iter().any(|score| *score < 0), "{scores:?}");
}

#[test]
fn a_forged_transaction_costs_its_sender_and_is_fetched_from_another() {
    let (mut world, host, session) = meet(|frame| match frame {
        Frame::GetTransactions { request, ids } => {
            let transactions = ids.iter().map(|_| Some(Bytes::from_static(b"forged"))).collect();
            vec![Frame::Transactions { request: *request, transactions }]
        }
        _ => vec![],
    });
    let good = world.add(settings());
    world.connect(host, good);
    world.run_for(1000);
    let text = b"a real payment".as_slice();
    let id = TxId(*blake3::hash(text).as_bytes());
    world.say(session, &Frame::AnnounceTransactions { level: 0, ids: vec![id] });
    world.pay(good, text);
    world.run_for(5000);
    assert!(world.host(host).chain.transactions.contains_key(&id));
    assert!(world.host(host).machine.peers().iter().any(|peer| peer.score == -20));
}

#[test]
fn huge_answers_that_nobody_asked_for_cost_their_sender() {
    let (mut world, host, session) = meet(silent);
    let request = adit_network::RequestId(12345);
    for _ in 0..200 {
        let blocks = vec![Some(Bytes::from(vec![0; 1 << 20]))];
        world.say(session, &Frame::Blocks { request, blocks });
    }
    world.run_for(1000);
    assert_eq!(world.host(host).bans.len(), 1);
    assert!(world.host(host).machine.held().bytes < 1 << 20);
}

#[test]
fn questions_beyond_the_allowance_are_answered_busy_and_not_by_the_host() {
    let (mut world, host, session) = meet(silent);
    for number in 0..2000 {
        let request = adit_network::RequestId(number);
        world.say(session, &Frame::GetPool { request });
    }
    world.run_for(1000);
    let busy = world.heard(1).iter().filter(|frame| matches!(frame, Frame::Busy { .. })).count();
    assert!(busy >= 90, "{busy} were refused");
    assert_eq!(world.host(host).bans.len(), 1);
}

#[test]
fn rejected_shares_ban_in_the_end() {
    let (mut world, host, session) = meet(silent);
    for number in 0..10 {
        let items = vec![Item { level: 0, bytes: Bytes::from(format!("reject {number}")) }];
        world.say(session, &Frame::Items { class: Class::Shares, items });
        world.run_for(100);
    }
    assert_eq!(world.host(host).bans.len(), 1);
    assert_eq!(world.host(host).deliveries, 5);
}

#[test]
fn a_block_that_had_waited_and_proves_invalid_bans_its_sender_even_after_it_left() {
    for leaves in [false, true] {
        let (mut world, host, session) = meet(silent);
        if leaves {
            world.cut(session);
            world.run_for(100);
        }
        world.event(host, Event::BlockRefused { node: node_id(1), id: BlockId([4; 32]), rule: "late".to_owned() });
        // Nobody is named by this.
        world.event(host, Event::BlockRefused { node: node_id(9), id: BlockId([4; 32]), rule: "late".to_owned() });
        world.run_for(100);
        assert!(matches!(world.host(host).bans.as_slice(), [BanReason::InvalidBlock { .. }]), "leaves {leaves}");
        let (again, _) = world.connect(1, host);
        world.say(again, &hello(78, claim(0)));
        world.run_for(1000);
        assert_eq!(world.peers(host), 0);
    }
}
