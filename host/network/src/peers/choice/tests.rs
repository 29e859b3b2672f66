//! A small world of addresses, some of which answer, and what is chosen in it.

use super::*;
use crate::effect::CloseReason;
use crate::peers::book::Entry;
use crate::wire::Goodbye;
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

fn place(number: u32) -> Place {
    at_port(number, 8646)
}

fn at_port(number: u32, port: u16) -> Place {
    let ip = Ipv4Addr::from_bits(number);
    Place { address: Address(Bytes::from(format!("{ip}:{port}"))), ip: Some(ip.into()), port, relayed: false }
}

/// An address of a network of its own.
fn honest(number: u32) -> Place {
    place(0x0b00_0001 + (number << 16))
}

/// An address of the one network that an attacker has.
fn hostile(number: u32) -> Place {
    place(0x0506_0000 + number)
}

fn is_hostile(address: &Address) -> bool {
    address.0.starts_with(b"5.6.")
}

fn node(address: &Address) -> NodeId {
    NodeId(*blake3::hash(&address.0).as_bytes())
}

fn work(number: u64) -> Work {
    Work(adit_primitives::U256::from(number))
}

const TABLE: Source = Source::Table;

/// Addresses, and the node that chooses among them. Calls are answered at once.
struct World {
    choice: Choice,
    millis: u64,
    sessions: u64,
    /// Whoever answers.
    up: BTreeSet<Address>,
    calls: Vec<(u64, Address, Purpose)>,
    left: Vec<(SessionId, Leaving)>,
    asked: usize,
    standing: BTreeMap<Address, Standing>,
    /// Whoever sends no heartbeats.
    silent: BTreeSet<Address>,
}

impl World {
    fn new(seed: u64) -> Self {
        Self::with(Settings::standard(), Book::new([5; 32]), Vec::new(), seed)
    }

    fn with(settings: Settings, book: Book, anchors: Vec<Address>, seed: u64) -> Self {
        Self {
            choice: Choice::new(settings, book, anchors, seed, Moment::from_millis(0)),
            millis: 0,
            sessions: 0,
            up: BTreeSet::new(),
            calls: Vec::new(),
            left: Vec::new(),
            asked: 0,
            standing: BTreeMap::new(),
            silent: BTreeSet::new(),
        }
    }

    fn now(&self) -> Moment {
        Moment::from_millis(self.millis)
    }

    /// Puts an address into the book, and lets it answer.
    fn live(&mut self, place: &Place, source: Source) {
        let now = self.now();
        self.choice.book_mut().hear(now, place.clone(), source, Duration::ZERO);
        self.up.insert(place.address.clone());
    }

    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.millis += 1000;
            let now = self.now();
            if self.millis.is_multiple_of(15_000) {
                self.beat();
            }
            if self.choice.wake() <= now {
                let mut actions = Vec::new();
                self.choice.act(now, &mut actions);
                self.obey(actions);
            }
            self.check();
        }
    }

    fn beat(&mut self) {
        let now = self.now();
        let peers: Vec<_> = self.choice.peers.iter().map(|(id, peer)| (*id, peer.opened.address.clone())).collect();
        for (id, address) in peers {
            if !self.silent.contains(&address) {
                self.choice.heard(now, id);
            }
            if let Some(standing) = self.standing.get(&address) {
                self.choice.observe(now, id, *standing);
            }
        }
    }

    fn obey(&mut self, mut actions: Vec<Action>) {
        while !actions.is_empty() {
            let mut more = Vec::new();
            for action in actions {
                match action {
                    Action::Call { place, purpose } => self.answer(place.address, purpose, &mut more),
                    Action::Leave { session, why } => {
                        self.left.push((session, why));
                        self.choice.closed(self.now(), session, None);
                    }
                    Action::AskPeers { .. } => self.asked += 1,
                }
            }
            actions = more;
        }
    }

    fn answer(&mut self, address: Address, purpose: Purpose, more: &mut Vec<Action>) {
        let now = self.now();
        self.calls.push((self.millis, address.clone(), purpose));
        if !self.up.contains(&address) {
            return self.choice.failed(now, &address, Failure::Unreachable);
        }
        self.sessions += 1;
        let session = SessionId(self.sessions);
        let ip = self.choice.book().entry(&address).and_then(|entry| entry.place.ip);
        let opened = Opened { node: node(&address), direction: Direction::Out, address, ip };
        self.choice.opened(now, session, opened);
        self.choice.ready(now, session, work(0), &[], more);
    }

    /// Bounds that hold at every moment.
    #[track_caller]
    fn check(&self) {
        let settings = &self.choice.settings;
        assert!(self.choice.calls.len() <= settings.calls_max);
        assert!(self.choice.kept().count() <= settings.outbound + settings.calls_max);
    }

    fn outbound(&self) -> Vec<Address> {
        self.choice.kept().map(|(_, peer)| peer.opened.address.clone()).collect()
    }

    fn hostile(&self) -> usize {
        self.outbound().iter().filter(|address| is_hostile(address)).count()
    }

    fn inbound(&mut self, ip: Place) -> Result<SessionId, Admission> {
        let now = self.now();
        match self.choice.admit(now, ip.ip) {
            Admission::Instead(session) => self.choice.closed(now, session, None),
            Admission::Welcome => {}
            refused => return Err(refused),
        }
        self.sessions += 1;
        self.millis += 1;
        let (session, now) = (SessionId(self.sessions), self.now());
        let node = NodeId(*blake3::hash(&self.sessions.to_le_bytes()).as_bytes());
        let opened = Opened { node, direction: Direction::In, address: ip.address, ip: ip.ip };
        self.choice.opened(now, session, opened);
        self.choice.ready(now, session, work(0), &[], &mut Vec::new());
        Ok(session)
    }
}

#[test]
fn sessions_are_opened_over_distinct_networks_and_no_more_than_wanted() {
    let mut world = World::new(1);
    for number in 0..50 {
        world.live(&honest(number), TABLE);
        world.live(&place(0x0b00_0002 + (number << 16)), TABLE);
    }
    world.run(60);
    let groups: BTreeSet<_> = world.choice.kept().map(|(_, peer)| peer.group).collect();
    assert_eq!((world.outbound().len(), groups.len()), (8, 8));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn one_network_of_a_hundred_thousand_addresses_never_has_more_than_its_part(seed: u64, known in 1..60_u32) {
        let mut world = World::new(seed);
        let teller = Source::Exchange { teller: hostile(1).ip };
        for number in 0..100_000 {
            let hostile = at_port(0x0506_0000 + number % 65_536, if number < 65_536 { 8646 } else { 8647 });
            world.live(&hostile, if number % 2 == 0 { teller } else { TABLE });
        }
        // Of others a third answers.
        for number in 0..known {
            world.live(&honest(number), Source::Exchange { teller: honest(number).ip });
        }
        for number in (1..known).filter(|number| number % 3 != 0) {
            world.up.remove(&honest(number).address);
        }
        for _ in 0..15 {
            world.run(60);
            prop_assert!(world.hostile() <= 2, "{:?}", world.outbound());
            prop_assert!(world.outbound().len() > world.hostile());
            // Those that are tried again and again are told again and again.
            for number in 0..1000 {
                world.live(&hostile(number), teller);
            }
        }
    }
}

#[test]
fn networks_that_are_not_public_fill_all_sessions_where_nothing_else_is_known() {
    for base in [0x7f00_0001, 0x0a00_0001, 0xc0a8_0001] {
        let mut world = World::new(3);
        (0..30).for_each(|number| world.live(&place(base + number), Source::Lan));
        world.run(60);
        assert_eq!(world.outbound().len(), 8);
    }
}

#[test]
fn one_public_network_alone_gets_a_quarter() {
    let mut world = World::new(3);
    (0..30).for_each(|number| world.live(&hostile(number), TABLE));
    world.run(600);
    assert_eq!(world.outbound().len(), 2);
}

#[test]
fn a_bootstrap_node_is_called_for_ever_and_first_while_nobody_is_there() {
    let mut world = World::new(4);
    let (now, named) = (world.now(), honest(1));
    world.choice.book_mut().name(now, named.clone());
    for number in 10..30 {
        world.choice.book_mut().hear(now, honest(number), TABLE, Duration::ZERO);
    }
    world.run(1);
    assert_eq!(world.calls[0].1, named.address);
    world.run(12 * 3600);
    let calls: Vec<_> = world.calls.iter().filter(|(_, address, _)| *address == named.address).collect();
    let longest = calls.windows(2).map(|pair| pair[1].0 - pair[0].0).max();
    assert!(longest.is_some_and(|longest| longest <= 62_000) && calls.len() > 700, "{longest:?} {}", calls.len());
    world.up.insert(named.address.clone());
    world.run(62);
    assert_eq!(world.outbound(), [named.address]);
}

#[test]
fn an_address_that_does_not_answer_is_called_at_growing_intervals() {
    let mut world = World::new(5);
    world.live(&honest(1), TABLE);
    let now = world.now();
    world.choice.book_mut().hear(now, honest(2), TABLE, Duration::ZERO);
    world.run(24 * 3600);
    let times: Vec<_> =
        world.calls.iter().filter(|(_, address, _)| *address == honest(2).address).map(|(at, ..)| *at).collect();
    assert!((24..60).contains(&times.len()), "{}", times.len());
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 10_000));
}

#[test]
fn the_best_sessions_are_the_first_after_a_restart() {
    let mut world = World::new(6);
    (0..100).for_each(|number| world.live(&honest(number), TABLE));
    world.run(300);
    let anchors = world.choice.anchors(world.now());
    assert_eq!(anchors.len(), ANCHORS_MAX);
    let mut again = World::with(Settings::standard(), world.choice.book().clone(), anchors.clone(), 9);
    again.up = world.up;
    again.run(1);
    let first: BTreeSet<_> = again.calls.iter().take(2).map(|(_, address, _)| address.clone()).collect();
    assert_eq!(first, anchors.into_iter().collect());
    assert!(again.calls[..2].iter().all(|(.., purpose)| *purpose == Purpose::Anchor));
}

/// Makes one of eight peers bad, and returns why it was left.
fn left_for(spoil: impl Fn(&mut World, &Address)) -> Option<Leaving> {
    let mut world = World::new(7);
    (0..60).for_each(|number| world.live(&honest(number), TABLE));
    let settings = Settings { rotate_interval: Duration::from_secs(1 << 40), ..Settings::standard() };
    world.choice.settings = settings;
    world.choice.rotate_due = Moment::from_millis(u64::MAX);
    world.run(300);
    assert_eq!(world.left.iter().filter(|(_, why)| *why != Leaving::Tested).count(), 0);
    let bad = world.outbound()[3].clone();
    let session = world.choice.kept().find(|(_, peer)| peer.opened.address == bad).map(|(id, _)| id);
    spoil(&mut world, &bad);
    world.run(120);
    assert_eq!(world.outbound().len(), 8);
    let left: Vec<_> = world.left.iter().filter(|(_, why)| *why != Leaving::Tested).collect();
    assert!(left.len() <= 1 && left.iter().all(|(id, _)| Some(*id) == session));
    left.first().map(|(_, why)| *why)
}

const SOUND: Standing = Standing { latency: None, score: 0, work: Work::ZERO, useful: None };

#[test]
fn a_peer_with_a_low_score_is_replaced() {
    let why = left_for(|world, bad| {
        world.standing.insert(bad.clone(), Standing { score: -60, ..SOUND });
    });
    assert_eq!(why, Some(Leaving::Score));
}

#[test]
fn a_peer_that_fell_silent_is_replaced() {
    let why = left_for(|world, bad| assert!(world.silent.insert(bad.clone())));
    assert_eq!(why, Some(Leaving::Suspected));
}

#[test]
fn a_peer_that_is_sound_stays() {
    assert_eq!(left_for(|_, _| {}), None);
}

#[test]
fn a_peer_whose_chain_stands_still_is_replaced_and_one_a_little_behind_is_not() {
    let after = |minutes: u64| {
        left_for(|world, bad| {
            for minute in 0..minutes {
                let now = world.now();
                world.choice.tip(now, work(minute));
                for address in world.outbound() {
                    let claimed = if address == *bad { 5 } else { minute.saturating_sub(1) };
                    world.standing.insert(address, Standing { work: work(claimed), ..SOUND });
                }
                world.run(60);
            }
        })
    };
    assert_eq!(after(15), None);
    assert_eq!(after(30), Some(Leaving::Stale));
}

#[test]
fn addresses_are_tested_now_and_then_and_known_after() {
    let mut world = World::new(8);
    (0..100).for_each(|number| world.live(&honest(number), TABLE));
    world.run(2 * 3600);
    let feelers = world.calls.iter().filter(|(.., purpose)| *purpose == Purpose::Feeler).count();
    // One in two minutes, by and large.
    assert!((40..90).contains(&feelers), "{feelers}");
    let tried = world.choice.book().entries().filter(|entry| entry.is_tried()).count();
    assert!(tried > feelers, "{tried}");
    assert_eq!(world.outbound().len(), 8);
}

#[test]
fn sessions_rotate_slowly_and_the_two_oldest_stay() {
    let mut world = World::new(9);
    (0..100).for_each(|number| world.live(&honest(number), TABLE));
    world.run(300);
    let anchors = world.choice.anchors(world.now());
    world.run(24 * 3600);
    let rotated = world.left.iter().filter(|(_, why)| *why == Leaving::Rotated).count();
    // One in half an hour.
    assert!((40..60).contains(&rotated), "{rotated}");
    assert_eq!(world.choice.anchors(world.now()), anchors);
}

#[test]
fn a_node_with_which_a_session_is_open_is_not_called_at_its_other_addresses() {
    let mut world = World::new(10);
    world.live(&honest(1), TABLE);
    world.run(2);
    let (now, other) = (world.now(), honest(2));
    world.choice.book_mut().hear(now, other.clone(), TABLE, Duration::ZERO);
    let mut actions = Vec::new();
    world.millis += 5000;
    world.choice.act(world.now(), &mut actions);
    let session = SessionId(77);
    let opened = Opened {
        node: node(&honest(1).address),
        direction: Direction::Out,
        address: other.address.clone(),
        ip: other.ip,
    };
    world.choice.opened(world.now(), session, opened);
    world.choice.closed(world.now(), session, Some(Failure::Twice));
    world.run(3600);
    assert!(world.calls.iter().all(|(_, address, _)| *address != other.address));
}

#[test]
fn who_calls_is_called_back_only_after_it_left() {
    let mut world = World::new(11);
    let (caller, now) = (honest(1), world.now());
    world.up.insert(caller.address.clone());
    let opened = Opened { node: NodeId([1; 32]), direction: Direction::In, address: Address::default(), ip: caller.ip };
    world.choice.opened(now, SessionId(900), opened);
    world.choice.ready(now, SessionId(900), work(0), &[caller.clone(), honest(2)], &mut Vec::new());
    world.run(600);
    assert!(world.calls.iter().all(|(_, address, _)| *address == honest(2).address));
    assert!(world.choice.book().entry(&caller.address).is_some_and(|entry| entry.met.is_some()));
    assert!(world.choice.book().entry(&honest(2).address).is_some_and(|entry| entry.met.is_none()));
    world.choice.closed(world.now(), SessionId(900), None);
    world.run(10);
    assert_eq!(world.outbound(), [caller.address]);
}

#[test]
fn the_address_of_this_node_itself_and_of_another_chain_is_left_alone() {
    for failure in [Failure::Itself, Failure::Foreign { avoid: Duration::from_secs(3600) }] {
        let mut world = World::new(12);
        let now = world.now();
        world.choice.book_mut().name(now, honest(1));
        world.choice.failed(now, &honest(1).address, failure);
        world.run(3599);
        assert_eq!(world.calls.len(), 0, "{failure:?}");
    }
}

#[test]
fn how_a_session_ended_says_what_becomes_of_its_address() {
    let (foreign, avoid) = (Duration::from_secs(3600), Duration::from_secs(3600));
    let left = |said: Goodbye| Failure::of(&CloseReason::Left { said }, foreign);
    let peer_left = |said: Goodbye| Failure::of(&CloseReason::PeerLeft { said }, foreign);
    assert_eq!(left(Goodbye::Itself), Failure::Itself);
    assert_eq!(peer_left(Goodbye::Twice), Failure::Twice);
    assert_eq!(peer_left(Goodbye::Full), Failure::Full);
    assert_eq!(peer_left(Goodbye::Version { version: 9 }), Failure::Foreign { avoid });
    assert_eq!(peer_left(Goodbye::Rules { item: "genesis".to_owned() }), Failure::Foreign { avoid });
    assert_eq!(peer_left(Goodbye::Banned), Failure::Foreign { avoid });
    assert_eq!(peer_left(Goodbye::Stopping), Failure::Unreachable);
    assert_eq!(peer_left(Goodbye::Done), Failure::Full);
    assert_eq!(Failure::of(&CloseReason::NoHello, foreign), Failure::Unreachable);
}

#[test]
fn peers_are_asked_for_addresses_while_sessions_are_missing() {
    let mut world = World::new(13);
    world.live(&honest(1), TABLE);
    world.run(600);
    assert!((10..=12).contains(&world.asked), "{}", world.asked);
}

#[test]
fn a_call_of_which_nothing_is_heard_makes_room_for_another() {
    let mut choice = Choice::new(Settings::standard(), Book::new([0; 32]), Vec::new(), 1, Moment::from_millis(0));
    for number in 0..40 {
        choice.book_mut().hear(Moment::from_millis(0), honest(number), TABLE, Duration::ZERO);
    }
    let mut calls = |seconds: u64| {
        let mut actions = Vec::new();
        choice.act(Moment::from_millis(seconds * 1000), &mut actions);
        actions.len()
    };
    assert_eq!([calls(1), calls(10), calls(22)], [4, 0, 4]);
}

#[test]
fn a_full_house_gives_the_place_of_the_largest_networks_youngest_to_another_network() {
    let mut world = World::new(14);
    for number in 0..30 {
        world.inbound(hostile(number)).expect("room");
    }
    for number in 0..10 {
        world.inbound(honest(number)).expect("room");
    }
    // Its own network does not get in by pushing out others.
    assert_eq!(world.inbound(hostile(31)), Err(Admission::Full));
    let admission = world.choice.admit(world.now(), honest(50).ip);
    let Admission::Instead(session) = admission else { panic!("{admission:?}") };
    assert!(is_hostile(&world.choice.peers[&session].opened.address));
    // It still closes when the next one comes: nobody gives way twice.
    assert_eq!(world.choice.admit(world.now(), honest(50).ip), Admission::Welcome);
    let opened = Opened { node: NodeId([1; 32]), direction: Direction::In, address: Address::default(), ip: None };
    world.choice.opened(world.now(), SessionId(900), opened);
    let Admission::Instead(other) = world.choice.admit(world.now(), honest(51).ip) else { panic!("there is room") };
    assert!(other < session);
}

#[test]
fn however_many_come_from_other_networks_the_near_the_useful_and_the_old_stay() {
    let mut world = World::new(15);
    let sessions: Vec<_> = (0..40).map(|number| world.inbound(honest(number)).expect("room")).collect();
    let near: BTreeSet<_> = sessions[30..38].iter().copied().collect();
    let useful: BTreeSet<_> = sessions[38..].iter().copied().collect();
    for session in &sessions {
        let millis = if near.contains(session) { 2 } else { 200 };
        let useful = useful.contains(session).then(|| world.now());
        let standing = Standing { latency: Some(Duration::from_millis(millis)), useful, ..SOUND };
        world.choice.observe(world.now(), *session, standing);
    }
    for number in 0..200 {
        let _ = world.inbound(honest(number + 100));
    }
    let stays = |session: &SessionId| world.choice.peers.contains_key(session);
    assert!(near.iter().chain(&useful).all(stays));
    assert!(sessions[..8].iter().all(stays));
    assert_eq!(world.choice.peers.len(), 40);
}

#[test]
fn a_banned_machine_is_not_let_in() {
    let mut world = World::new(16);
    let until = Moment::from_millis(3_600_000);
    world.choice.banned(Moment::from_millis(0), &Address::default(), hostile(1).ip, until);
    assert_eq!(world.inbound(hostile(1)), Err(Admission::Banned));
    assert!(world.inbound(hostile(2)).is_ok());
    world.millis = 3_600_000;
    assert!(world.inbound(hostile(1)).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_happens_bounds_hold_and_nothing_panics(
        seed: u64, steps in proptest::collection::vec((0..9_u8, 0..60_u32, 0..100_u64), 1..400),
    ) {
        let mut world = World::new(seed);
        for (what, which, number) in steps {
            let now = world.now();
            let session = world.choice.peers.keys().nth(which as usize).copied().unwrap_or(SessionId(number));
            match what {
                0 => world.live(&honest(which), TABLE),
                1 => world.live(&hostile(which), Source::Lan),
                2 => drop(world.up.remove(&honest(which).address)),
                3 => world.choice.closed(now, session, None),
                4 => world.choice.closed(now, session, Some(Failure::Full)),
                5 => world.choice.observe(now, session, Standing { score: -(which as i32) * 2, ..SOUND }),
                6 => drop(world.inbound(if number < 50 { honest(which) } else { hostile(which) })),
                7 => world.choice.tip(now, work(number)),
                _ => world.run(number),
            }
            world.check();
            let inbound = world.choice.peers.values().filter(|peer| peer.opened.direction == Direction::In).count();
            prop_assert!(inbound <= 40);
            let entries: Vec<&Entry> = world.choice.book().entries().collect();
            prop_assert!(entries.len() <= 120);
        }
    }
}
