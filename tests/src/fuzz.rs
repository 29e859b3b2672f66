//! One function for each decoder that reads what others send: it must not panic, hang, or take memory beyond its input's size.
//!
//! `tests/it/fuzz.rs` feeds them for a moment in every test run; `tests/fuzz` gives each to libFuzzer. [`verifier`] asks rules, in the sandbox or not,
//! whether they let pass what does not win.

mod network;
mod space;
pub mod verifier;

use adit_chain::{Block, Transaction};
use adit_network::shares::archive::Answer;
use adit_network::shares::panel::Finding;
use adit_network::shares::votes::Message;
use adit_network::shares::{Batch, CertifiedRound, Question};
use adit_primitives::contract::payout::{Credit, ShareToWeigh, Weight};
use adit_primitives::contract::shares::ShareDifficulty;
use adit_primitives::contract::shares::{Claim, Judgement, WorkHistory};
use adit_primitives::contract::space::{Challenge, Registration, SpaceClaim, SpaceProof};
use adit_primitives::contract::{
    Candidate, Draft, HeaderView, KnownBlock, Placement, Requirements, Scan, SearchJob, Template, Violation, read_rows,
};
use adit_primitives::{Decode, Encode, Target, Timestamp};
use adit_protocol::line::LineBuffer;
use adit_protocol::proxy;
use adit_protocol::stratum::client::{self, Client, Dialect};
use adit_protocol::stratum::difficulty::Base;
use adit_protocol::stratum::job::{Announcement, Job, JobId};
use adit_protocol::stratum::server::{self, Effect, Extranonce, NonceSpace, Session};
use std::sync::Arc;

/// A decoder under test.
pub struct Decoder {
    pub name: &'static str,
    pub run: fn(&[u8]),
}

/// Every decoder that needs no sandbox.
pub const DECODERS: &[Decoder] = &[
    Decoder { name: "transaction", run: one::<Transaction> },
    Decoder { name: "block", run: one::<Block> },
    Decoder { name: "header-view-rows", run: rows::<Result<HeaderView, Violation>> },
    Decoder { name: "placement-rows", run: rows::<Result<Placement, Violation>> },
    Decoder { name: "known-block-rows", run: rows::<Option<KnownBlock>> },
    Decoder { name: "candidate-rows", run: rows::<Candidate> },
    Decoder { name: "requirements", run: one::<Requirements> },
    Decoder { name: "draft", run: one::<Draft> },
    Decoder { name: "template", run: one::<Template> },
    Decoder { name: "search-job", run: one::<SearchJob> },
    Decoder { name: "scan", run: one::<Scan> },
    Decoder { name: "credit-rows", run: rows::<Credit> },
    Decoder { name: "weight-rows", run: rows::<Weight> },
    Decoder { name: "share-to-weigh-rows", run: rows::<ShareToWeigh> },
    Decoder { name: "claim-rows", run: rows::<Claim> },
    Decoder { name: "judgement-rows", run: rows::<Judgement> },
    Decoder { name: "work-history-rows", run: rows::<WorkHistory> },
    Decoder { name: "challenge", run: one::<Challenge> },
    Decoder { name: "registration-rows", run: rows::<Registration> },
    Decoder { name: "space-claim", run: one::<SpaceClaim> },
    Decoder { name: "space-proof", run: one::<SpaceProof> },
    Decoder { name: "plot-header", run: space::header },
    Decoder { name: "plot-name", run: space::name },
    Decoder { name: "compact-target", run: compact },
    Decoder { name: "stratum-session", run: session },
    Decoder { name: "stratum-client", run: client },
    Decoder { name: "proxy-header", run: proxy },
    Decoder { name: "network-frame", run: network::frame },
    Decoder { name: "network-session", run: network::session },
    Decoder { name: "share-batch", run: one::<Batch> },
    Decoder { name: "share-batch-signed", run: network::batch },
    Decoder { name: "share-message", run: one::<Message> },
    Decoder { name: "share-question", run: one::<Question> },
    Decoder { name: "share-answer", run: one::<Answer> },
    Decoder { name: "share-round", run: one::<CertifiedRound> },
    Decoder { name: "share-finding", run: one::<Finding> },
];

/// Whatever decodes has exactly the bytes that it came from.
fn one<T: Decode + Encode>(bytes: &[u8]) {
    if let Ok(value) = T::from_bytes(bytes) {
        assert_eq!(value.to_bytes(), bytes, "a value with two encodings");
    }
}

fn rows<T: Decode + Encode>(bytes: &[u8]) {
    if let Ok(rows) = read_rows::<T>(bytes) {
        assert_eq!(rows.to_bytes(), bytes, "rows with two encodings");
    }
}

fn compact(bytes: &[u8]) {
    if let Some(bits) = bytes.first_chunk().copied().map(u32::from_le_bytes)
        && let Ok(target) = Target::from_compact(bits)
    {
        assert_eq!(Target::from_compact(target.to_compact()), Ok(target));
        assert!(target.work().0 >= adit_primitives::U256::ONE);
    }
}

/// A miner's stream, to a pool that lets everyone in: what is sent is JSON, an object a line.
fn session(bytes: &[u8]) {
    let settings = server::Settings {
        base: Base::Sha256,
        version_mask: 0x1fff_e000,
        login_ms_max: 30_000,
        idle_ms_max: 600_000,
        version: "adit".to_owned(),
    };
    let now = Timestamp::from_millis(0);
    let mut session = Session::new(Arc::new(settings), ShareDifficulty::MIN, now);
    let job = Job {
        previous: [1; 32],
        coinbase_head: vec![2; 40],
        coinbase_tail: vec![3; 40],
        branches: vec![[4; 32]],
        version: 5,
        bits: 6,
        time: 7,
    };
    let job = Announcement::new(JobId(1), &job);
    let space = NonceSpace { extranonce1: Extranonce::default(), extranonce2_bytes: 4 };
    let (mut out, mut effects) = (Vec::new(), Vec::new());
    for_each_line(bytes, |line| {
        session.receive(line, now, &mut out, &mut effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Subscribe(subscription) => session.subscribed(subscription, "s", space, &mut out),
                Effect::Authorize(login) => session.authorized(login, Ok(()), &mut out),
                Effect::Submit(share) => session.judged(&share.ticket, Ok(()), &mut out),
                Effect::Wish(_) | Effect::Version(_) | Effect::Close(_) => {}
            }
        }
        session.job(&job, true, &mut out);
        check_sent(&mut out);
    });
}

/// A pool's stream, to a miner.
fn client(bytes: &[u8]) {
    let settings = client::Settings {
        agent: "adit".to_owned(),
        user: "address.rig".to_owned(),
        password: "x".to_owned(),
        base: Base::Scrypt,
        version_mask: 0x1fff_e000,
        answer_ms_max: 30_000,
        silence_ms_max: 150_000,
    };
    let now = Timestamp::from_millis(0);
    let (mut out, mut events) = (Vec::new(), Vec::new());
    let mut client = Client::open(Arc::new(settings), Dialect::Full, None, now, &mut out);
    for_each_line(bytes, |line| {
        client.receive(line, now, &mut out, &mut events);
        events.clear();
        check_sent(&mut out);
    });
}

fn for_each_line(mut bytes: &[u8], mut each: impl FnMut(&[u8])) {
    let mut lines = LineBuffer::new(1024);
    while let Ok(Some(line)) = lines.next(&mut bytes) {
        each(line);
    }
}

fn check_sent(out: &mut Vec<u8>) {
    for line in out.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let sent: serde_json::Result<serde_json::Map<String, serde_json::Value>> = serde_json::from_slice(line);
        assert!(sent.is_ok(), "what is sent is an object: {}", String::from_utf8_lossy(line));
    }
    out.clear();
}

fn proxy(bytes: &[u8]) {
    if let Ok(Some(header)) = proxy::parse(bytes) {
        assert!(header.bytes <= bytes.len());
        assert_eq!(proxy::parse(&bytes[..header.bytes]), Ok(Some(header)), "a header that reads on past its end");
    }
}
