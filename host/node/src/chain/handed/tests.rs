use super::*;
use adit_chain::{CoinbaseData, PublicKey, Transaction};
use adit_primitives::contract::{PowInput, Requirements};
use adit_primitives::{Amount, Hash256, Height, Target, U256};

const STATE: u64 = 7;
const NOW: Moment = Moment { now: Timestamp::from_millis(1_000), state_version: STATE };

fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn request(number: u8) -> TemplateRequest {
    TemplateRequest { pay_to: PublicKey([1; 32]), extra: vec![number], difficulty: None }
}

/// A template that expires after a second.
fn template(id: u64, state_version: u64) -> Arc<WorkTemplate> {
    let requirements = Requirements {
        parents: Vec::new(),
        bits: 0,
        target: Target(U256::ZERO),
        difficulty: "1".to_owned(),
        height: Height(1),
        subsidy: 0,
        earliest: Timestamp::from_millis(0),
    };
    Arc::new(WorkTemplate {
        id,
        state_version,
        created: NOW.now,
        expires: Timestamp::from_millis(2_000),
        header: Vec::new(),
        pow: PowInput { bytes: Vec::new(), nonce_offset: 0, nonce_bytes: 0, roll_offset: 0, roll_mask: 0 },
        challenge: None,
        target: Target(U256::ZERO),
        time: NOW.now,
        body_root: Hash256::default(),
        requirements,
        fees: Amount::ZERO,
        coinbase: Transaction::coinbase(&CoinbaseData { height: Height(1), extra: Vec::new() }, Vec::new()),
        transactions: Arc::default(),
    })
}

/// Hands out a template of its own for a request of its own.
fn hand(handed: &mut Handed, client: Client, id: u8, moment: Moment) -> Result<(), Full> {
    handed.hand(client, &request(id), &template(u64::from(id), moment.state_version), moment)
}

#[test]
fn an_address_that_asks_for_much_loses_its_own_templates_alone() {
    let mut handed = Handed::new(16);
    hand(&mut handed, Client::Visitor(address(1)), 1, NOW).unwrap();
    (10..=200).for_each(|id| hand(&mut handed, Client::Visitor(address(2)), id, NOW).unwrap());
    assert!(handed.get(1).is_some());
    let left: Vec<u64> = (10..=200).filter(|id| handed.get(*id).is_some()).collect();
    assert_eq!(left, [197, 198, 199, 200], "a quarter of the room");
}

#[test]
fn where_all_are_good_the_next_is_refused_and_none_is_lost() {
    let mut handed = Handed::new(4);
    (1..=4).for_each(|id| hand(&mut handed, Client::Visitor(address(id)), id, NOW).unwrap());
    assert_eq!(hand(&mut handed, Client::Visitor(address(5)), 5, NOW), Err(Full));
    assert!((1..=4).all(|id| handed.get(id).is_some()) && handed.get(5).is_none());
}

#[test]
fn room_is_made_by_what_is_worth_least() {
    let next = Moment { state_version: STATE + 1, ..NOW };
    let mut handed = Handed::new(4);
    hand(&mut handed, Client::Visitor(address(2)), 1, next).unwrap();
    hand(&mut handed, Client::Visitor(address(1)), 2, NOW).unwrap();
    handed.hand(Client::Visitor(address(3)), &request(3), &template(3, STATE + 1), next).unwrap();
    hand(&mut handed, Client::Visitor(address(4)), 4, next).unwrap();
    hand(&mut handed, Client::Visitor(address(5)), 5, next).unwrap();
    assert!(handed.get(2).is_none(), "the stale one went");
    let later = Moment { now: Timestamp::from_millis(2_000), ..next };
    hand(&mut handed, Client::Visitor(address(6)), 6, later).unwrap();
    assert!(handed.get(1).is_none(), "then the oldest that has expired");
    assert!((3..=6).all(|id| handed.get(id).is_some()));
}

#[test]
fn a_replaced_template_gives_way_to_one_that_is_searched() {
    let mut handed = Handed::new(8);
    let [one, two] = [1, 2].map(|last| Client::Visitor(address(last)));
    handed.hand(one, &request(1), &template(1, STATE), NOW).unwrap();
    handed.hand(two, &request(2), &template(2, STATE), NOW).unwrap();
    handed.hand(two, &request(2), &template(3, STATE), NOW).unwrap();
    handed.hand(two, &request(4), &template(4, STATE), NOW).unwrap();
    assert!(handed.get(2).is_none() && [1, 3, 4].iter().all(|id| handed.get(*id).is_some()));
}

#[test]
fn what_a_subscriber_keeps_is_known_while_it_keeps_it() {
    let mut handed = Handed::new(4);
    (1..=4).for_each(|id| hand(&mut handed, Client::Visitor(address(id)), id, NOW).unwrap());
    let kept: Vec<_> = (10..20).map(|id| template(id, STATE)).collect();
    kept.iter().for_each(|kept| handed.hand(Client::Subscriber(address(9)), &request(9), kept, NOW).unwrap());
    assert!((1..=4).chain(10..20).all(|id| handed.get(id).is_some()), "and nobody lost one");
    drop(kept);
    assert!((10..20).all(|id| handed.get(id).is_none()));
    handed.hand(Client::Subscriber(address(9)), &request(9), &template(21, STATE), NOW).unwrap();
    assert_eq!(handed.kept.len(), 1, "what nobody keeps takes no room");
}

#[test]
fn a_find_may_come_when_its_connection_has_broken() {
    let mut handed = Handed::new(4);
    let kept = template(1, STATE);
    handed.hand(Client::Subscriber(address(1)), &request(1), &kept, NOW).unwrap();
    drop(kept);
    assert!(handed.get(1).is_some());
}

#[test]
fn one_template_for_two_addresses_is_lost_to_neither() {
    let mut handed = Handed::new(4);
    let shared = template(1, STATE);
    for last in [1, 2] {
        handed.hand(Client::Visitor(address(last)), &request(1), &shared, NOW).unwrap();
    }
    hand(&mut handed, Client::Visitor(address(1)), 2, NOW).unwrap();
    assert!(handed.get(1).is_some());
}

#[test]
fn less_room_forgets_what_is_worth_least() {
    let mut handed = Handed::new(16);
    (1..=3).for_each(|id| hand(&mut handed, Client::Visitor(address(1)), id, NOW).unwrap());
    handed.set_max(2, NOW);
    assert_eq!([1, 2, 3].map(|id| handed.get(id).is_some()), [false, true, true]);
}

#[test]
fn what_was_made_long_ago_goes_although_there_is_room() {
    let mut handed = Handed::new(1_000);
    let at = |state_version| Moment { state_version, ..NOW };
    hand(&mut handed, Client::Visitor(address(1)), 1, at(STATE)).unwrap();
    hand(&mut handed, Client::Visitor(address(2)), 2, at(STATE + 1)).unwrap();
    hand(&mut handed, Client::Visitor(address(2)), 3, at(STATE + STATES_KEPT)).unwrap();
    assert!((1..=3).all(|id| handed.get(id).is_some()));
    hand(&mut handed, Client::Visitor(address(2)), 4, at(STATE + STATES_KEPT + 1)).unwrap();
    assert!(handed.get(1).is_none() && (2..=4).all(|id| handed.get(id).is_some()));
    assert_eq!((handed.count, handed.remembered.len()), (3, 1));
}
