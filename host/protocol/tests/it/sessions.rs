//! The server's side, against recorded and constructed miners.
//!
//! The caller of these sessions lets everyone in but who is called `banned`, takes every share, and answers at once; after
//! `@ slow` it answers one request for each `@ answer`.

use crate::script::{Log, Side, play};
use adit_primitives::Timestamp;
use adit_primitives::contract::shares::ShareDifficulty;
use adit_protocol::line::{LINE_BYTES_MAX, LineBuffer};
use adit_protocol::stratum::difficulty::Base;
use adit_protocol::stratum::job::{Announcement, Job, JobId};
use adit_protocol::stratum::message::Refusal;
use adit_protocol::stratum::server::{Effect, Extranonce, Login, NonceSpace, Session, Settings, Submission, Wish};
use std::collections::VecDeque;
use std::sync::Arc;

#[test]
fn miners_of_the_field_get_exactly_these_answers() {
    play("sessions", Pool::new);
}

pub fn settings() -> Arc<Settings> {
    Arc::new(Settings {
        base: Base::Sha256,
        version_mask: 0x1fff_e000,
        login_ms_max: 30_000,
        idle_ms_max: 600_000,
        version: "adit/0.1.0".to_owned(),
    })
}

pub fn job() -> Job {
    Job {
        previous: std::array::from_fn(|index| u8::try_from(index).unwrap()),
        coinbase_head: vec![0xc0, 0x01],
        coinbase_tail: vec![0xc0, 0x02],
        branches: vec![[0xb1; 32]],
        version: 0x2000_0000,
        bits: 0x1d00_ffff,
        time: 0x6000_0000,
    }
}

pub fn space(extranonce1: &[u8]) -> NonceSpace {
    NonceSpace { extranonce1: Extranonce::from_bytes(extranonce1).unwrap(), extranonce2_bytes: 4 }
}

struct Pool {
    session: Session,
    lines: LineBuffer,
    now: u64,
    /// What jobs leave free of their versions.
    mask: u32,
    slow: bool,
    waiting: VecDeque<Effect>,
    out: Vec<u8>,
    open: bool,
}

impl Pool {
    fn new() -> Self {
        let start = 1_600_000_000_000;
        let difficulty = ShareDifficulty::from_log2_hashes(42);
        Self {
            session: Session::new(settings(), difficulty, Timestamp::from_millis(start)),
            lines: LineBuffer::new(LINE_BYTES_MAX),
            now: start,
            mask: u32::MAX,
            slow: false,
            waiting: VecDeque::new(),
            out: Vec::new(),
            open: true,
        }
    }

    fn note(&mut self, effects: Vec<Effect>, log: &mut Log) {
        log.sent(&mut self.out);
        for effect in effects {
            log.happened(describe(&effect));
            match effect {
                Effect::Close(_) => self.open = false,
                Effect::Wish(_) | Effect::Version(_) => {}
                asked => self.waiting.push_back(asked),
            }
            while !self.slow && !self.waiting.is_empty() {
                self.answer(Ok(()), log);
            }
        }
    }

    fn answer(&mut self, verdict: Result<(), Refusal>, log: &mut Log) {
        let out = &mut self.out;
        match self.waiting.pop_front().expect("something waits for an answer") {
            Effect::Subscribe(subscription) => {
                let again = subscription.session.as_deref() == Some("before");
                let extranonce1 = if again { [9, 8, 7, 6] } else { [1, 2, 3, 4] };
                self.session.subscribed(subscription, "s1", space(&extranonce1), out);
            }
            Effect::Authorize(login) => {
                let verdict = if login.user.starts_with("banned") { Err(Refusal::UNAUTHORIZED) } else { verdict };
                self.session.authorized(login, verdict, out);
            }
            Effect::Submit(share) => self.session.judged(&share.ticket, verdict, out),
            other => unreachable!("{other:?} waits for nothing"),
        }
        log.sent(&mut self.out);
    }
}

impl Side for Pool {
    fn hear(&mut self, mut bytes: &[u8], log: &mut Log) {
        while self.open {
            match self.lines.next(&mut bytes) {
                Ok(Some(line)) => {
                    let mut effects = Vec::new();
                    self.session.receive(line, Timestamp::from_millis(self.now), &mut self.out, &mut effects);
                    self.note(effects, log);
                }
                Ok(None) => return,
                Err(error) => {
                    log.happened(format!("close: {error}"));
                    self.open = false;
                }
            }
        }
    }

    fn act(&mut self, words: &[&str], log: &mut Log) {
        let mut effects = Vec::new();
        match words {
            ["slow"] => self.slow = true,
            ["answer"] => self.answer(Ok(()), log),
            ["answer", "stale"] => self.answer(Err(Refusal::STALE), log),
            ["answer", "duplicate"] => self.answer(Err(Refusal::DUPLICATE), log),
            ["answer", "low"] => self.answer(Err(Refusal::LOW_DIFFICULTY), log),
            ["job", id] => self.session.job(&announcement(id).rolling(self.mask), false, &mut self.out),
            ["job", id, "clean"] => self.session.job(&announcement(id).rolling(self.mask), true, &mut self.out),
            ["mask", digits] => self.mask = u32::from_str_radix(digits, 16).unwrap(),
            ["space", last, bytes] => {
                let wider = NonceSpace {
                    extranonce2_bytes: bytes.parse().unwrap(),
                    ..space(&[0, 0, 0, last.parse().unwrap()])
                };
                let moved = self.session.set_extranonce(wider);
                log.happened(format!("moved: {moved}"));
            }
            ["difficulty", log2] => {
                self.session.set_difficulty(ShareDifficulty::from_log2_hashes(log2.parse().unwrap()));
            }
            ["extranonce", last] => {
                let moved = self.session.set_extranonce(space(&[0, 0, 0, last.parse().unwrap()]));
                log.happened(format!("moved: {moved}"));
            }
            ["reconnect"] => self.session.reconnect(None, 0, &mut self.out),
            ["reconnect", host, port, wait_s] => {
                let place = Some((*host, port.parse().unwrap()));
                self.session.reconnect(place, wait_s.parse().unwrap(), &mut self.out);
            }
            ["show", text @ ..] => self.session.show_message(&text.join(" "), &mut self.out),
            ["version"] => self.session.ask_version(&mut self.out),
            ["wait", millis] => {
                self.now += millis.parse::<u64>().unwrap();
                self.session.tick(Timestamp::from_millis(self.now), &mut effects);
            }
            ["repeat", count, text] => self.hear(text.repeat(count.parse().unwrap()).as_bytes(), log),
            other => panic!("the caller cannot {other:?}"),
        }
        self.note(effects, log);
    }
}

fn announcement(id: &str) -> Announcement {
    Announcement::new(JobId(id.parse().unwrap()), &job())
}

fn describe(effect: &Effect) -> String {
    let log2 = |difficulty: ShareDifficulty| format!("2^{}", difficulty.to_log2_hashes());
    match effect {
        Effect::Subscribe(it) => match &it.session {
            None => format!("subscribe: {:?}", it.agent),
            Some(session) => format!("subscribe: {:?} again as {session:?}", it.agent),
        },
        Effect::Authorize(Login { user, password, difficulty, .. }) => {
            let difficulty = difficulty.map(|difficulty| format!(" wants {}", log2(difficulty)));
            format!("authorize: {user:?} {password:?}{}", difficulty.unwrap_or_default())
        }
        Effect::Submit(share) => describe_share(share, &log2(share.difficulty)),
        Effect::Wish(Wish::Start(difficulty)) => format!("wish: begin with {}", log2(*difficulty)),
        Effect::Wish(Wish::Least(difficulty)) => format!("wish: at least {}", log2(*difficulty)),
        Effect::Version(version) => format!("version: {version:?}"),
        Effect::Close(reason) => format!("close: {reason}"),
    }
}

fn describe_share(share: &Submission, difficulty: &str) -> String {
    let hex =
        |extranonce: Extranonce| extranonce.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!(
        "share: {} job {} at {difficulty}, {}|{}, time {:08x}, nonce {:08x}, version {:08x}{}",
        share.worker,
        share.job.0,
        hex(share.extranonce1),
        hex(share.extranonce2),
        share.time,
        share.nonce,
        share.version(job().version),
        if share.version_outside() { " outside of the mask" } else { "" },
    )
}
