//! What the book promises: bounds that no teller gets past, and a file that survives anything.

use super::*;
use adit_primitives::Timestamp;
use bytes::Bytes;
use proptest::prelude::*;
use std::net::Ipv4Addr;

const HOUR: Duration = Duration::from_secs(3600);

fn at(seconds: u64) -> Moment {
    Moment::from_millis(seconds * 1000)
}

fn place(ip: impl Into<IpAddr>, port: u16) -> Place {
    let ip = ip.into();
    Place { address: Address(Bytes::from(format!("{ip}:{port}"))), ip: Some(ip), port, relayed: false }
}

fn v4(number: u32) -> Place {
    place(Ipv4Addr::from_bits(number), 8646)
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn told_by(teller: &str) -> Source {
    Source::Exchange { teller: Some(ip(teller)) }
}

/// Addresses of as many networks as wanted, one for each.
fn networks(count: u32) -> impl Iterator<Item = Place> {
    (0..count).map(|number| v4(0x0b00_0001 + (number << 16)))
}

fn book() -> Book {
    Book::new([7; 32])
}

#[test]
fn a_hundred_thousand_addresses_of_one_network_fill_two_buckets_of_each_source() {
    let mut book = book();
    for number in 0..100_000_u32 {
        let place =
            place(Ipv4Addr::from_bits(0x0506_0000 + number % 65_536), 1000 + u16::try_from(number % 977).unwrap());
        let told = book.hear(at(0), place.clone(), told_by("5.6.7.8"), Duration::ZERO);
        if told {
            book.called(at(0), &place.address);
            book.succeeded(at(0), &place.address, NodeId([9; 32]));
        }
    }
    assert!(book.len() <= 3 * 32, "{}", book.len());
    assert!(book.len() > 32);
}

#[test]
fn a_teller_fills_a_small_part_of_the_book_whatever_it_tells() {
    let mut book = book();
    for place in networks(40_000) {
        book.hear(at(0), place, told_by("5.6.7.8"), Duration::ZERO);
    }
    let part = usize::from(BUCKETS_PER_SOURCE) * 32;
    assert!(book.len() <= part && part * 20 < ADDRESSES_MAX);
    // Another teller is heard all the same.
    let before = book.len();
    let taken = networks(100).filter(|place| {
        let other = v4(u32::from_be_bytes([60, 0, 0, 1])
            + Ipv4Addr::to_bits(match place.ip {
                Some(IpAddr::V4(ip)) => ip,
                _ => unreachable!(),
            }));
        book.hear(at(0), other, told_by("9.9.9.9"), Duration::ZERO)
    });
    assert!(taken.count() > 50 && book.len() > before);
}

#[test]
fn telling_again_and_again_pushes_nothing_out() {
    let mut book = book();
    let honest: Vec<_> = networks(3000).filter(|place| book.hear(at(0), place.clone(), Source::Table, HOUR)).collect();
    for round in 0..20_u32 {
        for number in 0..2000 {
            book.hear(at(10), v4(0x9900_0000 + round * 70_000 + number), told_by("5.6.7.8"), Duration::ZERO);
            book.hear(at(10), v4(0x9900_0000 + round * 70_000 + number), Source::Table, Duration::ZERO);
        }
    }
    assert!(honest.iter().all(|place| book.entry(&place.address).is_some()));
}

#[test]
fn an_address_that_never_answers_gives_its_place_to_another() {
    let mut book = book();
    let told = |number: u32| v4(0x0506_0000 + number);
    let first: Vec<_> = (0..100).filter(|number| book.hear(at(0), told(*number), Source::Table, HOUR)).collect();
    assert_eq!(first.len(), 32);
    for _ in 0..3 {
        book.called(at(100), &told(first[5]).address);
        book.failed(at(100), &told(first[5]).address, true, 0);
    }
    assert!(!book.hear(at(110), told(1000), Source::Table, HOUR));
    assert!(book.hear(at(200), told(1001), Source::Table, HOUR));
    assert!(book.entry(&told(first[5]).address).is_none());
}

#[test]
fn where_this_node_is_cut_off_nobody_is_given_up() {
    let mut book = book();
    book.hear(at(0), v4(0x0506_0708), Source::Table, HOUR);
    let address = v4(0x0506_0708).address;
    for minute in 0..1000 {
        book.called(at(minute * 60), &address);
        book.failed(at(minute * 60), &address, false, 0);
    }
    assert!(book.entry(&address).is_some_and(|entry| entry.failures == 2 && entry.has_hope(at(100_000))));
}

#[test]
fn calls_of_one_address_come_less_and_less_often_and_a_named_one_is_never_given_up() {
    let mut book = book();
    let (named, other) = (v4(0x0506_0708), v4(0x0507_0708));
    book.name(at(0), named.clone());
    book.hear(at(0), other.clone(), Source::Table, HOUR);
    let mut calls = |address: &Address| {
        let mut count = 0;
        let mut second = 0;
        while second < 86_400 {
            if !book.entry(address).is_some_and(|entry| entry.may_be_called(at(second))) {
                second += 1;
                continue;
            }
            count += 1;
            book.called(at(second), address);
            book.failed(at(second), address, true, u64::MAX);
        }
        count
    };
    assert!((1440..1500).contains(&calls(&named.address)));
    assert!((24..40).contains(&calls(&other.address)));
    assert!(book.entry(&named.address).is_some_and(|entry| entry.has_hope(at(86_400))));
}

#[test]
fn the_one_met_longest_ago_is_asked_before_it_makes_room() {
    let mut book = book();
    let all: Vec<_> = (0..400).map(|number| v4(0x0506_0000 + number)).collect();
    let mut times = 0;
    for place in &all {
        times += 1;
        book.hear(at(times), place.clone(), Source::Inbound { from: place.ip.unwrap() }, Duration::ZERO);
        book.succeeded(at(times), &place.address, NodeId([1; 32]));
    }
    let challenged: Vec<_> = book.challenged().map(|entry| entry.place.clone()).collect();
    assert!(!challenged.is_empty() && challenged.len() <= CHALLENGES_MAX);
    let incumbent = &challenged[0].address;
    // It answers, and stays.
    book.succeeded(at(1000), incumbent, NodeId([1; 32]));
    assert!(book.entry(incumbent).is_some_and(Entry::is_tried));
    assert!(book.challenged().all(|entry| entry.place.address != *incumbent));
    // It does not, and goes.
    let incumbent = book.challenged().next().expect("another").place.address.clone();
    let challenger = book.challenges.iter().find(|(_, other)| **other == incumbent).expect("its challenger").0.clone();
    book.failed(at(1000), &incumbent, true, 0);
    assert!(book.entry(&challenger).is_some_and(Entry::is_tried));
    assert!(book.entry(&incumbent).is_none_or(|entry| !entry.is_tried()));
}

#[test]
fn what_a_teller_cannot_know_or_nobody_can_call_is_left_out() {
    let mut book = book();
    let mut heard = |place: Place, source| book.hear(at(0), place, source, Duration::ZERO);
    assert!(!heard(place(ip("192.168.1.4"), 1), told_by("5.6.7.8")));
    assert!(!heard(place(ip("127.0.0.1"), 1), told_by("192.168.1.2")));
    assert!(!heard(place(ip("192.168.1.4"), 1), Source::Table));
    assert!(!heard(place(ip("224.0.0.1"), 1), told_by("5.6.7.8")));
    assert!(!heard(place(ip("5.6.7.9"), 0), told_by("5.6.7.8")));
    assert!(!heard(Place { ip: None, ..place(ip("5.6.7.9"), 1) }, told_by("5.6.7.8")));
    assert!(!heard(Place { address: Address(Bytes::from(vec![b'a'; 129])), ..v4(0x0506_0708) }, told_by("5.6.7.8")));
    assert!(!heard(Place { ip: None, relayed: true, ..place(ip("5.6.7.9"), 1) }, told_by("5.6.7.8")));
    assert!(heard(place(ip("192.168.1.4"), 1), told_by("192.168.1.2")));
    assert!(heard(place(ip("192.168.1.5"), 1), Source::Lan));
    assert!(heard(place(ip("127.0.0.1"), 1), told_by("127.0.0.1")));
    assert!(heard(place(ip("5.6.7.9"), 1), told_by("5.6.7.8")));
}

#[test]
fn what_is_told_was_met_and_can_be_reached_by_whoever_asks() {
    let mut book = book();
    let from = |place: &Place| Source::Inbound { from: place.ip.unwrap() };
    let (public, private, local) = (v4(0x0506_0708), place(ip("10.0.0.1"), 1), place(ip("127.0.0.1"), 1));
    for place in [&public, &private, &local] {
        assert!(book.hear(at(0), place.clone(), from(place), Duration::ZERO));
    }
    // Hearsay, a relay, one that claims to listen at another's machine, one that is banned.
    let (hearsay, claimed, banned) = (v4(0x0507_0708), v4(0x0508_0708), v4(0x0509_0708));
    book.hear(at(0), hearsay, told_by("5.6.7.8"), Duration::ZERO);
    book.hear(at(0), claimed, Source::Inbound { from: ip("5.6.7.8") }, Duration::ZERO);
    let relayed = Place { relayed: true, ..v4(0x050a_0708) };
    book.hear(at(0), relayed.clone(), from(&relayed), Duration::ZERO);
    book.hear(at(0), banned.clone(), from(&banned), Duration::ZERO);
    book.ban(at(0), &banned.address, banned.ip, at(1000));
    let named = Place { ip: None, ..v4(0x050b_0708) };
    book.name(at(0), named.clone());
    book.succeeded(at(0), &named.address, NodeId([1; 32]));
    let told = |asker: &str| {
        let mut told: Vec<_> = book.sample(at(60), Some(ip(asker)), 1).into_iter().collect();
        told.sort_by(|a, b| a.address.cmp(&b.address));
        assert!(told.iter().all(|peer| peer.seen_secs == 60));
        told.into_iter().map(|peer| peer.address).collect::<Vec<_>>()
    };
    let sorted = |places: &[&Place]| {
        let mut addresses: Vec<_> = places.iter().map(|place| place.address.clone()).collect();
        addresses.sort();
        addresses
    };
    assert_eq!(told("8.8.8.8"), sorted(&[&public]));
    assert_eq!(told("10.9.9.9"), sorted(&[&public, &private]));
    assert_eq!(told("127.0.0.1"), sorted(&[&public, &private, &local]));
}

#[test]
fn nobody_is_told_the_whole_of_a_large_book() {
    let mut book = book();
    for place in networks(5000) {
        book.hear(at(0), place.clone(), Source::Inbound { from: place.ip.unwrap() }, Duration::ZERO);
    }
    let told = book.sample(at(0), Some(ip("8.8.8.8")), 3);
    assert_eq!(told.len(), PEERS_MAX);
    assert_ne!(told, book.sample(at(0), Some(ip("8.8.8.8")), 4));
    assert_eq!(told, book.sample(at(0), Some(ip("8.8.8.8")), 3));
}

#[test]
fn hearsay_of_a_peer_is_bounded_and_parsed_by_the_host() {
    let mut book = book();
    let told: Vec<_> = (0..200)
        .map(|number| PeerAddress { address: v4(0x0b00_0001 + (number << 16)).address, seen_secs: u32::MAX })
        .collect();
    let parse = |address: &Address| {
        let text = std::str::from_utf8(&address.0).ok()?;
        let socket: std::net::SocketAddr = text.parse().ok()?;
        Some(place(socket.ip(), socket.port()))
    };
    assert_eq!(book.hear_told(at(0), Some(ip("5.6.7.8")), &told, parse), PEERS_MAX);
    assert!(book.entries().all(|entry| entry.heard.age(at(0)) <= AGE_MAX));
}

#[test]
fn a_ban_holds_for_a_machine_until_it_ends_and_never_for_this_one() {
    let mut book = book();
    let (v6, neighbour) = (ip("2a01:4f8:1:2::1"), ip("2a01:4f8:1:2:ffff::9"));
    book.ban(at(0), &Address::default(), Some(v6), at(100));
    assert!(book.is_banned(at(99), neighbour) && !book.is_banned(at(99), ip("2a01:4f8:1:3::1")));
    assert!(!book.is_banned(at(100), v6));
    book.ban(at(0), &Address::default(), Some(ip("127.0.0.1")), at(100));
    assert!(!book.is_banned(at(1), ip("127.0.0.1")));
    book.unban(v6);
    assert!(!book.is_banned(at(1), neighbour));
    for number in 0..5000 {
        book.ban(at(0), &Address::default(), v4(0x0506_0708 + number).ip, at(100 + u64::from(number)));
    }
    assert_eq!(book.bans.len(), BANS_MAX);
    assert!(book.is_banned(at(1), v4(0x0506_0708 + 4999).ip.unwrap()));
}

/// A book in which everything that an entry may say is said.
fn lived_in() -> Book {
    let mut book = book();
    for (number, place) in networks(300).enumerate() {
        let source =
            [Source::Table, Source::Lan, told_by("9.9.9.9"), Source::Inbound { from: place.ip.unwrap() }][number % 4];
        book.hear(at(1000), place.clone(), source, Duration::from_secs(60 * number as u64));
        match number % 5 {
            0 => book.succeeded(at(2000), &place.address, NodeId([3; 32])),
            1 => book.foreign(at(2000), &place.address, HOUR),
            2 => book.ban(at(2000), &place.address, place.ip, at(9000)),
            3 => book.failed(at(2000), &place.address, true, 0),
            _ => book.lasts(at(2000), &place.address, Some(Duration::from_millis(33))),
        }
    }
    book.name(at(0), Place { ip: None, ..place(ip("5.5.5.5"), 9) });
    book
}

#[test]
fn the_book_comes_back_from_its_file_in_a_process_of_another_clock() {
    let book = lived_in();
    let bytes = book.encode(at(3000), Timestamp::from_secs(1_800_000_000));
    let read = Book::decode(&bytes, at(5), Timestamp::from_secs(1_800_000_010)).expect("its own bytes");
    assert_eq!(read.len(), book.len());
    assert_eq!(read.encode(at(5), Timestamp::from_secs(1_800_000_010)), bytes);
    for (old, new) in book.entries().zip(read.entries()) {
        assert_eq!((&old.place, old.source, old.failures, old.node), (&new.place, new.source, new.failures, new.node));
        // Ten seconds passed between the two.
        assert_eq!(old.heard.age(at(3010)), new.heard.age(at(5)));
        assert_eq!(old.met.map(|met| met.age(at(3010))), new.met.map(|met| met.age(at(5))));
        assert_eq!(old.is_tried(), new.is_tried());
        assert_eq!(old.has_hope(at(3010)), new.has_hope(at(5)));
    }
    let banned = networks(300).nth(2).and_then(|place| place.ip).unwrap();
    assert!(read.is_banned(at(5), banned) && read.is_banned(at(5990), banned) && !read.is_banned(at(6000), banned));
}

#[test]
fn a_clock_that_went_back_bans_nobody_for_years() {
    let bytes = lived_in().encode(at(3000), Timestamp::from_secs(1_800_000_000));
    let read = Book::decode(&bytes, at(0), Timestamp::from_secs(1_000)).expect("its own bytes");
    let week = 7 * 24 * 3600;
    assert!(networks(300).all(|place| !read.is_banned(at(week), place.ip.unwrap())));
    assert!(read.entries().all(|entry| entry.heard <= Stamp::at(at(0))));
}

#[test]
fn a_file_with_one_bit_changed_is_refused() {
    let bytes = lived_in().encode(at(3000), Timestamp::from_secs(1_800_000_000));
    for position in (0..bytes.len()).step_by(97) {
        let mut damaged = bytes.clone();
        damaged[position] ^= 1 << (position % 8);
        assert!(Book::decode(&damaged, at(0), Timestamp::from_secs(1_800_000_000)).is_err());
    }
    assert_eq!(Book::decode(&[], at(0), Timestamp::from_secs(0)).err(), Some(BookError::Mark));
}

/// Bytes with a checksum that fits, as somebody writes them who may write the file.
fn sealed(body: &[u8]) -> Vec<u8> {
    [b"aditbk\0\x01".as_slice(), blake3::hash(body).as_bytes(), body].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn arbitrary_bytes_are_a_book_within_bounds_or_an_error(bytes: Vec<u8>, today: u64, now in 0..u64::MAX / 2) {
        let (now, today) = (Moment::from_millis(now), Timestamp::from_millis(today));
        let _ = Book::decode(&bytes, now, today);
        let _ = Book::decode(&sealed(&bytes), now, today);
    }

    #[test]
    fn a_file_that_was_written_by_an_enemy_fills_no_bucket_beyond_its_bound(
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40), today: u64, now in 0..u64::MAX / 2,
    ) {
        let (now, today) = (Moment::from_millis(now), Timestamp::from_millis(today));
        let bytes = lived_in().encode(at(3000), Timestamp::from_secs(1_800_000_000));
        let mut body = bytes[40..].to_vec();
        for (place, byte) in cuts {
            let place = place.index(body.len());
            body[place] = byte;
        }
        if let Ok(book) = Book::decode(&sealed(&body), now, today) {
            prop_assert!(book.len() <= ADDRESSES_MAX + NAMED_MAX);
            prop_assert!(book.entries().all(|entry| is_sound(&entry.place)));
            // Whatever it says, it can be used.
            let _ = book.sample(now, None, 0);
            let again = book.encode(now, today);
            prop_assert!(Book::decode(&again, now, today).is_ok());
        }
    }

    #[test]
    fn whatever_happens_both_tables_agree_with_the_entries(
        steps in proptest::collection::vec((0..8_u8, 0..3000_u32, 0..4_u8), 1..2000),
    ) {
        let mut book = book();
        for (number, (what, which, group)) in steps.into_iter().enumerate() {
            let place = v4(0x0b00_0001 + (which << 8 | u32::from(group)));
            let (now, address) = (at(number as u64 * 7), place.address.clone());
            match what {
                0..=2 => { book.hear(now, place, [Source::Table, Source::Lan, told_by("9.9.9.9")][usize::from(what)], HOUR); }
                3 => book.called(now, &address),
                4 => book.failed(now, &address, group > 0, 9),
                5 => book.succeeded(now, &address, NodeId([group; 32])),
                6 => book.ban(now, &address, place.ip, at(number as u64 * 7 + 1000)),
                _ => { book.name(now, place); }
            }
        }
        let standing = |bucket: Bucket, address: &Address| book.entry(address).is_some_and(|entry| entry.standing == Standing::In(bucket));
        let buckets = [false, true].into_iter().flat_map(|met| book.tables.filled(met));
        let mut in_buckets = 0;
        for bucket in buckets {
            let addresses = book.tables.addresses(bucket);
            in_buckets += addresses.len();
            prop_assert!(addresses.len() <= 32 && addresses.iter().all(|address| standing(bucket, address)));
        }
        prop_assert_eq!(in_buckets + book.named().count(), book.len());
        prop_assert!(book.named().count() <= NAMED_MAX && book.challenges.len() <= CHALLENGES_MAX);
        prop_assert!(book.challenges.iter().all(|(one, other)| book.entry(one).is_some() && book.entry(other).is_some()));
    }
}
