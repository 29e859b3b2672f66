//! Each bound, from both sides of it.

use crate::{pools, sessions};
use adit_primitives::Timestamp;
use adit_primitives::contract::shares::ShareDifficulty;
use adit_protocol::stratum::client::{self, Client, Dialect, Event, SubmitError};
use adit_protocol::stratum::job::{Announcement, Choice, JobId};
use adit_protocol::stratum::server::{
    AGENT_BYTES_MAX, CloseReason, Effect, SHARES_WAITING_MAX, Session, USER_BYTES_MAX, WORKERS_MAX,
};

const NOW: Timestamp = Timestamp::from_millis(0);

/// A session, what it said last, and what it asked for.
struct Miner {
    session: Session,
    effects: Vec<Effect>,
}

impl Miner {
    fn new() -> Self {
        let session = Session::new(sessions::settings(), ShareDifficulty::from_log2_hashes(40), NOW);
        Self { session, effects: Vec::new() }
    }

    fn subscribed() -> Self {
        let mut miner = Self::new();
        miner.says(r#"{"id":1,"method":"mining.subscribe","params":[]}"#);
        let Some(Effect::Subscribe(subscription)) = miner.effects.pop() else { panic!("a subscription is asked for") };
        miner.session.subscribed(subscription, "s", sessions::space(&[1]), &mut Vec::new());
        miner
    }

    /// Says a line and returns the answer.
    fn says(&mut self, line: &str) -> String {
        let mut out = Vec::new();
        self.session.receive(line.as_bytes(), NOW, &mut out, &mut self.effects);
        String::from_utf8(out).unwrap()
    }

    fn logs_in(&mut self, user: &str) -> String {
        self.says(&format!(r#"{{"id":2,"method":"mining.authorize","params":["{user}","x"]}}"#))
    }
}

#[test]
fn as_many_workers_as_allowed_log_in_and_no_more() {
    let mut miner = Miner::subscribed();
    for worker in 0..WORKERS_MAX {
        assert_eq!(miner.logs_in(&format!("address.{worker}")), "", "worker {worker} waits for the pool's word");
    }
    assert!(miner.logs_in("address.more").contains("[20,\"too many workers"), "those that wait count");
    for effect in std::mem::take(&mut miner.effects) {
        let Effect::Authorize(login) = effect else { panic!("{effect:?}") };
        miner.session.authorized(login, Ok(()), &mut Vec::new());
    }
    assert_eq!(miner.session.workers().len(), WORKERS_MAX);
    assert!(miner.logs_in("address.more").contains("[20,\"too many workers"));
}

#[test]
fn a_name_may_be_as_long_as_allowed_and_no_longer() {
    let mut miner = Miner::subscribed();
    assert_eq!(miner.logs_in(&"u".repeat(USER_BYTES_MAX)), "");
    assert!(miner.logs_in(&"u".repeat(USER_BYTES_MAX + 1)).contains("[20,\"the worker's name"));
}

#[test]
fn a_miners_own_name_is_passed_over_where_it_is_too_long() {
    let agent = |bytes: usize| {
        let mut miner = Miner::new();
        miner.says(&format!(r#"{{"id":1,"method":"mining.subscribe","params":["{}"]}}"#, "a".repeat(bytes)));
        let Some(Effect::Subscribe(subscription)) = miner.effects.pop() else { panic!("a subscription is asked for") };
        subscription.agent.len()
    };
    assert_eq!(agent(AGENT_BYTES_MAX), AGENT_BYTES_MAX);
    assert_eq!(agent(AGENT_BYTES_MAX + 1), 0);
}

#[test]
fn shares_wait_up_to_a_bound_and_one_answer_makes_room_for_one_more() {
    let mut miner = Miner::subscribed();
    miner.logs_in("address");
    let Some(Effect::Authorize(login)) = miner.effects.pop() else { panic!("a login is asked for") };
    miner.session.authorized(login, Ok(()), &mut Vec::new());
    miner.session.job(&Announcement::new(JobId(1), &sessions::job()), true, &mut Vec::new());
    let share = r#"{"id":4,"method":"mining.submit","params":["address","100","00000000","60000000","00000000"]}"#;
    for _ in 0..SHARES_WAITING_MAX {
        assert_eq!(miner.says(share), "");
    }
    assert!(miner.says(share).contains("[20,\"too many requests"));
    let Some(Effect::Submit(first)) = miner.effects.pop() else { panic!("shares were handed on") };
    miner.session.judged(&first.ticket, Ok(()), &mut Vec::new());
    assert_eq!(miner.says(share), "");
    assert!(miner.says(share).contains("[20,\"too many requests"));
}

#[test]
fn a_flood_behind_an_unanswered_subscription_ends_the_session() {
    let mut miner = Miner::new();
    miner.says(r#"{"id":1,"method":"mining.subscribe","params":[]}"#);
    let lines = (1..10_000).find(|_| {
        assert_eq!(miner.says(r#"{"id":2,"method":"mining.ping"}"#), "", "nothing comes before the answer");
        matches!(miner.effects.last(), Some(Effect::Close(_)))
    });
    assert!(lines.is_some_and(|lines| lines < 1_000), "closed after {lines:?} lines");
    let said = miner.effects.len();
    miner.says(r#"{"id":3,"method":"mining.subscribe","params":[]}"#);
    assert_eq!(miner.effects.len(), said, "a closed session asks for nothing");
}

#[test]
fn a_flood_of_subscriptions_ends_the_session() {
    let mut miner = Miner::new();
    for _ in 0..100 {
        miner.says(r#"{"id":1,"method":"mining.subscribe","params":[]}"#);
    }
    let [asked @ .., Effect::Close(reason)] = &miner.effects[..] else { panic!("{:?}", miner.effects) };
    assert_eq!((asked.len(), *reason), (8, CloseReason::Subscriptions { count: 8 }));
}

#[test]
fn a_client_keeps_no_more_shares_waiting_than_allowed() {
    let (mut out, mut events) = (Vec::new(), Vec::new());
    let mut client = Client::open(pools::settings(), Dialect::Plain, None, NOW, &mut out);
    for line in [
        r#"{"id":1,"result":[[],"01",4],"error":null}"#,
        r#"{"id":2,"result":true,"error":null}"#,
        &format!(
            r#"{{"id":null,"method":"mining.notify","params":["1","{}","","",[],"20000000","1d00ffff","60000000",true]}}"#,
            "00".repeat(32)
        ),
    ] {
        client.receive(line.as_bytes(), NOW, &mut out, &mut events);
    }
    let Some(Event::Work(work)) = events.pop() else { panic!("{events:?}") };
    let choice = Choice { version: 0, time: 0, nonce: 0 };
    let submit = |client: &mut Client| client.submit(&work, &[0; 4], choice, NOW, &mut Vec::new());
    for _ in 0..client::SHARES_WAITING_MAX {
        submit(&mut client).unwrap();
    }
    let waiting = client::SHARES_WAITING_MAX;
    assert_eq!(submit(&mut client), Err(SubmitError::TooMany { waiting }));
    let late = Timestamp::from_secs(31);
    events.clear();
    client.tick(late, &mut out, &mut events);
    assert_eq!(events.len(), waiting, "each is given up");
    assert!(submit(&mut client).is_ok());
}

#[test]
fn a_session_ends_when_it_said_and_not_before() {
    let after = |millis: u64| Timestamp::from_millis(NOW.to_millis() + millis);
    for logs_in in [false, true] {
        let mut miner = Miner::subscribed();
        assert_eq!(miner.session.due(), after(30_001), "nobody has logged in");
        if logs_in {
            miner.logs_in("address.1");
            let Some(Effect::Authorize(login)) = miner.effects.pop() else { panic!("a login is asked for") };
            miner.session.authorized(login, Ok(()), &mut Vec::new());
            assert_eq!(miner.session.due(), after(600_001));
        }
        let due = miner.session.due();
        miner.session.tick(Timestamp::from_millis(due.to_millis() - 1), &mut miner.effects);
        assert!(miner.effects.is_empty(), "{:?}", miner.effects);
        miner.session.tick(due, &mut miner.effects);
        assert!(matches!(miner.effects[..], [Effect::Close(_)]), "{:?}", miner.effects);
    }
}
