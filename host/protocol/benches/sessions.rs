//! How many shares does a core read and answer, hashing and logging aside? How long does a new job take to 50,000 sessions?

use adit_primitives::Timestamp;
use adit_primitives::contract::shares::ShareDifficulty;
use adit_protocol::line::{LINE_BYTES_MAX, LineBuffer};
use adit_protocol::stratum::difficulty::Base;
use adit_protocol::stratum::job::{Announcement, Job, JobId};
use adit_protocol::stratum::server::{Effect, Extranonce, NonceSpace, Session, Settings};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;

const NOW: Timestamp = Timestamp::from_millis(0);

/// How many lines come in one read of a busy connection.
const LINES: usize = 100;

const SESSIONS: usize = 50_000;

fn session(settings: &Arc<Settings>) -> Session {
    let mut session = Session::new(Arc::clone(settings), ShareDifficulty::from_log2_hashes(40), NOW);
    let (mut out, mut effects) = (Vec::new(), Vec::new());
    session.receive(br#"{"id":1,"method":"mining.subscribe","params":["miner/1.0"]}"#, NOW, &mut out, &mut effects);
    session.receive(
        br#"{"id":2,"method":"mining.authorize","params":["address.rig","x"]}"#,
        NOW,
        &mut out,
        &mut effects,
    );
    let extranonce1 = Extranonce::from_bytes(&[1, 2, 3, 4]).expect("four bytes fit");
    for effect in effects {
        match effect {
            Effect::Subscribe(subscription) => {
                session.subscribed(subscription, "s", NonceSpace { extranonce1, extranonce2_bytes: 4 }, &mut out);
            }
            Effect::Authorize(login) => session.authorized(login, Ok(()), &mut out),
            _ => {}
        }
    }
    session
}

fn settings() -> Arc<Settings> {
    Arc::new(Settings {
        base: Base::Sha256,
        version_mask: 0x1fff_e000,
        login_ms_max: 30_000,
        idle_ms_max: 600_000,
        version: "adit".to_owned(),
    })
}

/// A job of a full block: twelve branches, a coinbase with a witness commitment and a few outputs.
fn job(id: u32) -> Announcement {
    let job = Job {
        previous: [7; 32],
        coinbase_head: vec![1; 60],
        coinbase_tail: vec![2; 200],
        branches: vec![[3; 32]; 12],
        version: 0x2000_0000,
        bits: 0x1d00_ffff,
        time: 1_700_000_000,
    };
    Announcement::new(JobId(id), &job)
}

fn shares(criterion: &mut Criterion) {
    let line =
        r#"{"id": 4, "method": "mining.submit", "params": ["address.rig", "100", "0a0b0c0d", "6553f100", "deadbeef"]}"#;
    let read = format!("{line}\n").repeat(LINES);
    let mut session = session(&settings());
    let (mut lines, mut out, mut effects) = (LineBuffer::new(LINE_BYTES_MAX), Vec::new(), Vec::new());
    session.job(&job(1), true, &mut out);
    let mut group = criterion.benchmark_group("shares");
    group.throughput(Throughput::Elements(LINES as u64));
    group.bench_function("read_and_answered", |bencher| {
        bencher.iter(|| {
            let mut input = black_box(read.as_bytes());
            out.clear();
            while let Ok(Some(line)) = lines.next(&mut input) {
                session.receive(line, NOW, &mut out, &mut effects);
            }
            for effect in effects.drain(..) {
                let Effect::Submit(share) = effect else { panic!("every line is a share: {effect:?}") };
                session.judged(&share.ticket, Ok(()), &mut out);
            }
            out.len()
        });
    });
    group.finish();
}

fn broadcast(criterion: &mut Criterion) {
    let settings = settings();
    let mut sessions: Vec<_> = (0..SESSIONS).map(|_| session(&settings)).collect();
    let mut out = Vec::new();
    let mut id = 0;
    let mut group = criterion.benchmark_group("job");
    group.sample_size(20).throughput(Throughput::Elements(SESSIONS as u64));
    group.bench_function("to_50000_sessions", |bencher| {
        bencher.iter(|| {
            id += 1;
            let job = job(id);
            for session in &mut sessions {
                out.clear();
                session.job(&job, true, &mut out);
                black_box(&out);
            }
        });
    });
    group.finish();
}

criterion_group!(benches, shares, broadcast);
criterion_main!(benches);
