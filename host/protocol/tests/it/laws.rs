//! What holds whatever comes: no panic, no half line, no word before the answer to the subscription, no growth.

use crate::{pools, sessions};
use adit_primitives::Timestamp;
use adit_primitives::contract::shares::ShareDifficulty;
use adit_protocol::line::LineBuffer;
use adit_protocol::stratum::client::{Client, Dialect};
use adit_protocol::stratum::job::{Announcement, JobId};
use adit_protocol::stratum::server::{Effect, Session};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_millis(0);

/// Words that mean something.
const WORDS: &[&str] = &[
    "mining.subscribe",
    "mining.authorize",
    "mining.submit",
    "mining.configure",
    "mining.suggest_difficulty",
    "mining.suggest_target",
    "mining.extranonce.subscribe",
    "mining.notify",
    "mining.set_difficulty",
    "mining.set_extranonce",
    "mining.set_version_mask",
    "mining.ping",
    "client.get_version",
    "client.reconnect",
    "version-rolling",
    "version-rolling.mask",
    "minimum-difficulty",
    "minimum-difficulty.value",
    "worker",
    "100",
    "200",
    "01020304",
    "1e999",
    "d=0.0001,x",
];

/// One of them, digits, or any text.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => proptest::sample::select(WORDS).prop_map(str::to_owned),
        1 => "[0-9a-fA-F]{0,80}",
        1 => any::<String>(),
    ]
}

fn json() -> impl Strategy<Value = String> {
    let text = word().prop_map(|word| serde_json::to_string(&word).unwrap());
    let leaf = prop_oneof![
        6 => text,
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<f64>().prop_map(|number| serde_json::to_string(&number).unwrap()),
        1 => Just("null".to_owned()),
        1 => Just("1e999".to_owned()),
        1 => Just(r#""\ud800""#.to_owned()),
        1 => Just("true".to_owned()),
    ];
    leaf.prop_recursive(3, 24, 8, |inner| {
        let pair = (word(), inner.clone())
            .prop_map(|(key, value)| format!("{}:{value}", serde_json::to_string(&key).unwrap()));
        prop_oneof![
            prop::collection::vec(inner, 0..8).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(pair, 0..4).prop_map(|items| format!("{{{}}}", items.join(","))),
        ]
    })
}

/// A line that is nearly right, or anything at all.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let request = (
        json(),
        word(),
        prop_oneof![json(), prop::collection::vec(json(), 0..9).prop_map(|items| format!("[{}]", items.join(",")))],
    );
    prop_oneof![
        6 => request.prop_map(|(id, method, params)| {
            format!("{{\"id\":{id},\"method\":{},\"params\":{params}}}", serde_json::to_string(&method).unwrap()).into_bytes()
        }),
        1 => (0..9_u8, json(), json()).prop_map(|(id, result, error)| {
            format!("{{\"id\":{id},\"result\":{result},\"error\":{error}}}").into_bytes()
        }),
        1 => any::<Vec<u8>>(),
    ]
}

/// Checks that what is sent is one JSON object a line.
fn check_sent(sent: &[u8]) {
    assert!(sent.is_empty() || sent.ends_with(b"\n"), "half a line");
    for line in sent.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let value: serde_json::Value = serde_json::from_slice(line).expect("what is sent is JSON");
        assert!(value.is_object(), "{value}");
    }
}

fn new_session() -> Session {
    Session::new(sessions::settings(), ShareDifficulty::from_log2_hashes(40), NOW)
}

proptest! {
    #[test]
    fn a_session_says_one_object_a_line_whatever_it_hears(lines in prop::collection::vec((line(), any::<bool>()), 0..40)) {
        let mut session = new_session();
        let job = Announcement::new(JobId(1), &sessions::job());
        let mut out = Vec::new();
        for (line, prompt) in lines {
            let mut effects = Vec::new();
            session.receive(&line, NOW, &mut out, &mut effects);
            session.job(&job, false, &mut out);
            for effect in effects.into_iter().filter(|_| prompt) {
                match effect {
                    Effect::Subscribe(it) => session.subscribed(it, "s\"1", sessions::space(&[1]), &mut out),
                    Effect::Authorize(login) => session.authorized(login, Ok(()), &mut out),
                    Effect::Submit(share) => session.judged(&share.ticket, Ok(()), &mut out),
                    _ => {}
                }
            }
            check_sent(&out);
            out.clear();
        }
    }

    #[test]
    fn nothing_that_was_not_asked_for_is_sent_before_the_subscription(lines in prop::collection::vec(line(), 0..20)) {
        let mut session = new_session();
        let mut out = Vec::new();
        for line in lines {
            session.receive(&line, NOW, &mut out, &mut Vec::new());
            session.job(&Announcement::new(JobId(1), &sessions::job()), true, &mut out);
            session.show_message("hello", &mut out);
            session.ask_version(&mut out);
            session.reconnect(None, 0, &mut out);
            check_sent(&out);
            let sent = String::from_utf8(std::mem::take(&mut out)).unwrap();
            prop_assert!(!sent.contains("\"method\":"), "{}", sent);
            prop_assert!(sent.lines().count() <= 1, "{}", sent);
        }
    }

    #[test]
    fn a_client_says_one_object_a_line_whatever_it_hears(lines in prop::collection::vec(line(), 0..40), full: bool) {
        let dialect = if full { Dialect::Full } else { Dialect::Plain };
        let mut out = Vec::new();
        let mut client = Client::open(pools::settings(), dialect, Some("s\"1"), NOW, &mut out);
        for (second, line) in (0..).zip(lines) {
            let now = Timestamp::from_secs(second);
            client.receive(&line, now, &mut out, &mut Vec::new());
            client.tick(now, &mut out, &mut Vec::new());
            check_sent(&out);
            out.clear();
        }
    }

    #[test]
    fn lines_are_never_longer_than_allowed(stream: Vec<u8>, max in 1usize..50) {
        let mut buffer = LineBuffer::new(max);
        let mut input = stream.as_slice();
        while let Ok(Some(line)) = buffer.next(&mut input) {
            prop_assert!(!line.is_empty() && line.len() <= max);
        }
    }
}
