//! Laws: bytes have one meaning, nothing panics, and what is held stays bounded, whatever comes in whatever order.

use crate::chain::Chain;
use crate::settings;
use crate::world::{claim, hello, node_id, rules};
use adit_network::wire::{
    BlockNotice, Features, Frame, FrameHead, Goodbye, HEAD_BYTES, Item, ItemId, Kind, Locator, PeerAddress, WireError,
};
use adit_network::{
    Acceptance, Address, Class, Direction, Effect, Event, Local, Machine, Moment, RequestId, SessionId, Settings,
    Ticket, Verdict,
};
use adit_primitives::{BlockId, TxId};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

fn id() -> impl Strategy<Value = BlockId> {
    prop_oneof![(0..8_u8).prop_map(|byte| BlockId([byte; 32])), Just(Chain::new().tips()[0])]
}

fn item() -> impl Strategy<Value = Item> {
    (prop_oneof![any::<u8>(), Just(Item::TO_ALL)], 0..30_u8)
        .prop_map(|(level, byte)| Item { level, bytes: vec![byte; 1 + usize::from(byte)].into() })
}

fn class() -> impl Strategy<Value = Class> {
    prop_oneof![Just(Class::Blocks), Just(Class::Transactions), Just(Class::Shares), Just(Class::Votes)]
}

fn frame() -> impl Strategy<Value = Frame> {
    let request = || (0..40_u32).prop_map(RequestId);
    let bytes = || vec(any::<u8>(), 0..50).prop_map(Bytes::from);
    let header =
        || (vec(id(), 0..3), any::<u64>()).prop_map(|(parents, nonce)| crate::chain::header(&parents, nonce, 0));
    let tx = || (0..20_u8).prop_map(|byte| TxId([byte; 32]));
    let item_id = || (0..30_u8).prop_map(|byte| ItemId::of(&vec![byte; 1 + usize::from(byte)]));
    prop_oneof![
        any::<u64>().prop_map(|nonce| hello(nonce, claim(nonce))),
        Just(Frame::Goodbye(Goodbye::Rules { item: "x".to_owned() })),
        (any::<u64>(), any::<u64>()).prop_map(|(nonce, work)| Frame::Ping { nonce, tip: claim(work) }),
        (any::<u64>(), any::<u64>()).prop_map(|(nonce, work)| Frame::Pong { nonce, tip: claim(work) }),
        request().prop_map(|request| Frame::Busy { request }),
        vec((id(), any::<u8>(), header(), proptest::option::of(bytes())), 0..4).prop_map(|blocks| {
            let notice = |(id, level, header, block)| BlockNotice { id, level, header, block };
            Frame::Announce { blocks: blocks.into_iter().map(notice).collect() }
        }),
        (any::<u8>(), vec(tx(), 0..6)).prop_map(|(level, ids)| Frame::AnnounceTransactions { level, ids }),
        (request(), vec(id(), 0..4), vec(id(), 0..4))
            .prop_map(|(request, blocks, tips)| Frame::GetHeaders { request, locator: Locator { blocks, tips } }),
        (request(), vec(header(), 0..4), proptest::option::of(id()))
            .prop_map(|(request, headers, more)| Frame::Headers { request, headers, more }),
        (request(), vec(id(), 0..4)).prop_map(|(request, ids)| Frame::GetBlocks { request, ids }),
        (request(), vec(proptest::option::of(bytes()), 0..4))
            .prop_map(|(request, blocks)| Frame::Blocks { request, blocks }),
        (request(), vec(tx(), 0..4)).prop_map(|(request, ids)| Frame::GetTransactions { request, ids }),
        (request(), vec(proptest::option::of(bytes()), 0..4))
            .prop_map(|(request, transactions)| Frame::Transactions { request, transactions }),
        request().prop_map(|request| Frame::GetPool { request }),
        request().prop_map(|request| Frame::GetPeers { request }),
        (request(), vec((bytes(), any::<u32>()), 0..3)).prop_map(|(request, peers)| {
            let peer = |(address, seen_secs)| PeerAddress { address: Address(address), seen_secs };
            Frame::Peers { request, peers: peers.into_iter().map(peer).collect() }
        }),
        (class(), vec(item(), 0..5)).prop_map(|(class, items)| Frame::Items { class, items }),
        (class(), vec(item_id(), 0..5)).prop_map(|(class, ids)| Frame::Have { class, ids }),
        (class(), vec(item_id(), 0..5)).prop_map(|(class, ids)| Frame::Want { class, ids }),
        (class(), any::<bool>()).prop_map(|(class, eager)| Frame::Link { class, eager }),
        vec((0..6_usize).prop_map(node_id), 0..5).prop_map(|nodes| Frame::Neighbours { nodes }),
        (request(), bytes()).prop_map(|(request, ask)| Frame::GetRounds { request, ask }),
        (request(), bytes()).prop_map(|(request, answer)| Frame::Rounds { request, answer }),
    ]
}

/// A step of a run: an event, or an answer to something that the machine asked the host.
#[derive(Debug, Clone)]
enum Step {
    Event(Event),
    Verdicts(Verdict),
    Wait(u64),
}

fn session() -> impl Strategy<Value = SessionId> {
    (0..6_u64).prop_map(SessionId)
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(Verdict::Valid),
        Just(Verdict::Known),
        vec(id(), 0..3).prop_map(|missing| Verdict::Orphan { missing }),
        Just(Verdict::Early),
        Just(Verdict::Declined),
        Just(Verdict::Invalid { rule: "r".to_owned() }),
        Just(Verdict::Fault),
        Just(Verdict::Busy),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let greet = (session(), any::<u64>()).prop_map(|(session, nonce)| received(session, &hello(nonce, claim(nonce))));
    let event = prop_oneof![
        1 => Just(Event::Tick),
        2 => (session(), 0..6_usize, any::<bool>()).prop_map(|(session, node, out)| Event::Connected {
            session,
            node: node_id(node),
            address: Address::default(),
            direction: if out { Direction::Out } else { Direction::In },
        }),
        2 => greet,
        1 => session().prop_map(|session| Event::Disconnected { session }),
        12 => (session(), frame()).prop_map(|(session, frame)| received(session, &frame)),
        1 => (session(), any::<u8>(), vec(any::<u8>(), 0..60))
            .prop_map(|(session, kind, body)| Event::Received { session, kind, body: body.into() }),
        1 => (session(), 0..4_194_304_usize).prop_map(|(session, queued_bytes)| Event::Pressure { session, queued_bytes, dropped: 1 }),
        1 => (session(), 0..40_u32).prop_map(|(session, request)| Event::Served { session, request: RequestId(request), bytes: 9 }),
        1 => (id(), vec(any::<u8>(), 0..90)).prop_map(|(id, header)| Event::BlockAccepted { id, header: header.into(), block: None }),
        1 => (0..6_usize, id()).prop_map(|(node, id)| Event::BlockRefused { node: node_id(node), id, rule: "r".to_owned() }),
        1 => (0..20_u8).prop_map(|byte| Event::TransactionsAccepted { ids: vec![TxId([byte; 32])] }),
        1 => (class(), vec(any::<u8>(), 0..90)).prop_map(|(class, item)| Event::LocalItems { class, items: vec![item.into()] }),
        1 => session().prop_map(|session| Event::AskPeers { session }),
        1 => (session(), any::<u64>()).prop_map(|(session, tag)| Event::AskRounds { session, tag, ask: Bytes::new() }),
        1 => (0..6_usize, 0..50_u32).prop_map(|(node, points)| Event::Blame { node: node_id(node), points }),
    ];
    prop_oneof![
        8 => event.prop_map(Step::Event),
        4 => verdict().prop_map(Step::Verdicts),
        2 => prop_oneof![0..5_u64, 100..30_000_u64].prop_map(Step::Wait),
    ]
}

fn received(session: SessionId, frame: &Frame) -> Event {
    let wire = frame.to_wire();
    Event::Received { session, kind: wire[4], body: wire.slice(HEAD_BYTES..) }
}

/// Answers what the machine asked, with the same verdict for all.
fn answer(effect: &Effect, verdict: &Verdict) -> Option<Event> {
    let verdicts = |count: usize| vec![verdict.clone(); count];
    match effect {
        Effect::JudgeHeaders { ticket, headers, .. } => {
            let last = Some(BlockId([3; 32]));
            Some(Event::HeadersJudged { ticket: *ticket, new: headers.len(), last, verdict: verdict.clone() })
        }
        Effect::JudgeBlocks { ticket, blocks } => {
            Some(Event::BlocksJudged { ticket: *ticket, verdicts: verdicts(blocks.len()) })
        }
        Effect::JudgeTransactions { ticket, transactions, .. } => {
            Some(Event::TransactionsJudged { ticket: *ticket, verdicts: verdicts(transactions.len()) })
        }
        Effect::Deliver { ticket, items, .. } => {
            let answers =
                vec![if *verdict == Verdict::Valid { Acceptance::Accept } else { Acceptance::Reject }; items.len()];
            Some(Event::ItemsJudged { ticket: *ticket, answers })
        }
        _ => None,
    }
}

fn machine(settings: Settings) -> Machine {
    let features = Features::BLOCKS.and(Features::SHARES);
    Machine::new(settings, Local { node: node_id(99), rules: rules("test"), features, listen: vec![] }, 5)
}

/// Runs steps on a machine; the effects of all, as text.
fn run(machine: &mut Machine, steps: &[Step]) -> String {
    let (chain, mut now, mut effects, mut text) = (Chain::new(), 0, Vec::new(), String::new());
    let mut open: Vec<Effect> = Vec::new();
    for step in steps {
        let event = match step {
            Step::Event(event) => event.clone(),
            Step::Wait(millis) => {
                now += millis;
                Event::Tick
            }
            Step::Verdicts(verdict) => match open.pop().and_then(|effect| answer(&effect, verdict)) {
                Some(event) => event,
                None => Event::ItemsJudged { ticket: Ticket(9999), answers: vec![] },
            },
        };
        machine.handle(Moment::from_millis(now), event, &chain, &mut effects);
        text.push_str(&format!("{effects:?}"));
        open.extend(effects.drain(..).filter(|effect| answer(effect, &Verdict::Valid).is_some()));
        let held = machine.held();
        assert!(held.bytes < 1 << 20 && held.entries < 10_000, "{held:?}");
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn a_frame_is_what_its_bytes_say_and_has_one_encoding(frame in frame()) {
        let wire = frame.to_wire();
        let head = FrameHead::read(*wire.first_chunk().unwrap()).unwrap();
        prop_assert_eq!(head.body_bytes, wire.len() - HEAD_BYTES);
        prop_assert_eq!(Frame::decode(head.kind, &wire.slice(HEAD_BYTES..)), Ok(frame));
    }

    #[test]
    fn bytes_of_any_kind_decode_to_one_frame_or_to_none(kind in 0..Kind::ALL.len(), body in vec(any::<u8>(), 0..300)) {
        let kind = Kind::ALL[kind];
        let body = Bytes::from(body);
        if let Ok(frame) = Frame::decode(kind, &body) {
            prop_assert_eq!(frame.to_wire().slice(HEAD_BYTES..), body);
        }
    }

    #[test]
    fn whatever_happens_nothing_panics_what_is_held_is_bounded_and_a_second_run_is_the_same(
        steps in vec(step(), 1..200),
        flush in any::<bool>(),
        strategy in 0..4_usize,
    ) {
        use adit_network::Strategy::{Adaptive, Flood, Gossip, Structured};
        let strategy = [Flood, Gossip, Structured, Adaptive][strategy];
        let mut settings = Settings { strategies: adit_network::Strategies::all(strategy), ..settings() };
        if flush {
            settings.flush_interval = std::time::Duration::ZERO;
        }
        let first = run(&mut machine(settings.clone()), &steps);
        prop_assert_eq!(first, run(&mut machine(settings), &steps));
    }
}

#[test]
fn a_body_longer_than_its_kind_allows_is_refused_by_its_head() {
    for kind in Kind::ALL {
        let length = u32::try_from(kind.body_bytes_max()).unwrap() + 1;
        let [a, b, c, d] = length.to_le_bytes();
        let read = FrameHead::read([a, b, c, d, kind as u8]);
        assert!(matches!(read, Err(WireError::Size { .. })));
    }
}

#[test]
fn a_session_begins_with_a_hello_or_a_goodbye_and_with_nothing_else() {
    for kind in Kind::ALL {
        let read = FrameHead::read_first([1, 0, 0, 0, kind as u8]);
        match kind {
            Kind::Hello | Kind::Goodbye => assert_eq!(read, Ok(FrameHead { kind, body_bytes: 1 })),
            _ => assert_eq!(read, Err(WireError::First { kind })),
        }
    }
    let large = FrameHead::read_first([0, 0, 2, 0, Kind::Hello as u8]);
    assert!(matches!(large, Err(WireError::Size { .. })), "{large:?}");
}

#[test]
fn a_list_that_lies_about_its_length_is_refused_without_room_for_it() {
    for kind in [Kind::Announce, Kind::GetHeaders, Kind::Items, Kind::Have, Kind::Peers, Kind::Blocks] {
        let body = Bytes::from(vec![0xff; 64]);
        assert!(Frame::decode(kind, &body).is_err());
    }
}
