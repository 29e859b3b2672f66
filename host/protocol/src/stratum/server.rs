//! The pool's side of a connection: what a miner was told, and what it may therefore say.
//!
//! A session never sends a byte of its own accord before it has answered the miner's subscription: there are miners that take the
//! first line for that answer. A difficulty or an extranonce takes effect with the next job, right before which it is sent; a share is
//! read with what its job was sent with. Ids are echoed and never used. It keeps no share, so that duplicates are the pool's matter.
//!
//! Reading order: [`Session`], [`Effect`] for what it asks, `requests` for what miners say, `configure` for the extensions of BIP310.

mod configure;
mod effect;
mod requests;

pub use effect::{CloseReason, Effect, Extranonce, Login, NonceSpace, Submission, Subscription, Ticket, Wish};

use super::difficulty::Base;
use super::job::{Announcement, JobId};
use super::message::{self, Id, Refusal};
use crate::hex;
use adit_primitives::Timestamp;
use adit_primitives::contract::shares::ShareDifficulty;
use std::collections::VecDeque;
use std::sync::Arc;

/// What all sessions of a port share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How Stratum's numbers count for the chain's algorithm.
    pub base: Base,
    /// The bits of the version that miners may roll: `0x1fffe000` by BIP320, `0x1fffffe0` by BIP323. 0 where there are none.
    pub version_mask: u32,
    /// How long a miner may take until a worker is authorized, in milliseconds.
    pub login_ms_max: u64,
    /// How long an authorized miner may be silent, in milliseconds. One that finds no share says nothing.
    pub idle_ms_max: u64,
    /// What miners that ask for the server's version are told.
    pub version: String,
}

/// How many jobs a session remembers. Shares of older ones are refused as unknown.
pub const JOBS_MAX: usize = 16;

/// How many workers may be authorized on one connection, those that wait for it among them.
pub const WORKERS_MAX: usize = 64;

/// How many shares of a session may wait for their judgement.
pub const SHARES_WAITING_MAX: u16 = 4096;

/// How many subscriptions of a session may wait for their answer: miners repeat one that takes long.
const SUBSCRIPTIONS_WAITING_MAX: u8 = 8;

/// The longest name of a worker, in bytes.
pub const USER_BYTES_MAX: usize = 256;

/// The longest name of a miner's software, or of a session to come back to, in bytes: longer ones are passed over.
pub const AGENT_BYTES_MAX: usize = 128;

/// How many lines that cannot be read a miner may send.
const MALFORMED_MAX: u8 = 10;

/// How many bytes may wait behind the answer to a subscription.
const HELD_BYTES_MAX: usize = 16 * 1024;

/// The id of the only request that a server makes: far from those that miners count their own by.
const VERSION_ID: Id = Id::Number(1_000_000);

/// A connection with a miner.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    opened: Timestamp,
    /// When the last line came.
    heard: Timestamp,
    /// What jobs are sent with: `None` until the first subscription is answered.
    space: Option<NonceSpace>,
    /// Whether the miner has yet to be told of its space.
    space_due: bool,
    /// Whether the miner knows `mining.set_extranonce`.
    takes_extranonce: bool,
    /// Subscriptions that wait for the caller's answer.
    subscribing: u8,
    closed: bool,
    malformed: u8,
    /// Workers that wait for the caller's word.
    authorizing: u8,
    shares_waiting: u16,
    /// What the next job is sent with.
    difficulty: ShareDifficulty,
    /// What the miner was told last.
    difficulty_told: Option<ShareDifficulty>,
    /// What the miner was granted: both it and the settings allow these bits.
    version_mask: u32,
    /// What the newest job leaves free.
    job_mask: u32,
    workers: Vec<Arc<str>>,
    /// The newest last.
    jobs: VecDeque<SentJob>,
    /// Bytes that wait for the answer to a subscription.
    held: Vec<u8>,
    /// The job that waits for it.
    waiting: Option<Box<(Announcement, bool)>>,
}

/// A job as it was sent.
#[derive(Debug, Clone, Copy)]
struct SentJob {
    id: JobId,
    /// Which time of sending this was: the same job may be sent again with another difficulty.
    turn: u8,
    difficulty: ShareDifficulty,
    space: NonceSpace,
    version_mask: u32,
}

impl SentJob {
    /// Returns what miners call it.
    fn wire_id(&self) -> u64 {
        u64::from(self.id.0) << TURN_BITS | u64::from(self.turn)
    }
}

/// How many bits of a job's name on the wire say which time of sending it was.
const TURN_BITS: u32 = 8;

/// Returns the pool's number of a job, given its name on the wire. `None` where no session could have given that name.
pub fn job_of(name: &str) -> Option<JobId> {
    u32::try_from(hex::number(name)? >> TURN_BITS).ok().map(JobId)
}

impl Session {
    /// Begins a connection. Its first job is sent with `difficulty`.
    pub fn new(settings: Arc<Settings>, difficulty: ShareDifficulty, now: Timestamp) -> Self {
        Self {
            settings,
            opened: now,
            heard: now,
            space: None,
            space_due: false,
            takes_extranonce: false,
            subscribing: 0,
            closed: false,
            malformed: 0,
            authorizing: 0,
            shares_waiting: 0,
            difficulty,
            difficulty_told: None,
            version_mask: 0,
            job_mask: u32::MAX,
            workers: Vec::new(),
            jobs: VecDeque::new(),
            held: Vec::new(),
            waiting: None,
        }
    }

    /// Answers a subscription. `session` is what the miner may come back with; what waited is sent behind the answer.
    pub fn subscribed(&mut self, subscription: Subscription, session: &str, space: NonceSpace, out: &mut Vec<u8>) {
        if self.closed {
            return;
        }
        self.space = Some(space);
        self.space_due = false;
        // A miner that subscribes again begins with difficulty 1.
        self.difficulty_told = None;
        self.subscribing = self.subscribing.saturating_sub(1);
        message::write_result(&subscription.ticket.0, out, |out| {
            out.extend_from_slice(b"[[[\"mining.set_difficulty\",");
            message::write_text(session, out);
            out.extend_from_slice(b"],[\"mining.notify\",");
            message::write_text(session, out);
            out.extend_from_slice(b"]],");
            write_space(space, out);
            out.push(b']');
        });
        if self.subscribing == 0 {
            out.append(&mut std::mem::take(&mut self.held));
            if let Some(waiting) = self.waiting.take() {
                self.job(&waiting.0, waiting.1, out);
            }
        }
    }

    /// Answers a worker's login.
    pub fn authorized(&mut self, login: Login, verdict: Result<(), Refusal>, out: &mut Vec<u8>) {
        self.authorizing = self.authorizing.saturating_sub(1);
        if verdict.is_ok() && !self.knows(&login.user) {
            // Nearly all connections have one worker.
            self.workers.reserve_exact(1);
            self.workers.push(login.user);
        }
        self.answer(&login.ticket.0, verdict, out);
    }

    /// Answers a share.
    pub fn judged(&mut self, ticket: &Ticket, verdict: Result<(), Refusal>, out: &mut Vec<u8>) {
        self.shares_waiting = self.shares_waiting.saturating_sub(1);
        self.answer(&ticket.0, verdict, out);
    }

    /// Sends a job, with the difficulty and the extranonce that are due before it. `clean` tells the miner that work on earlier jobs
    /// is worth nothing any more. Before the subscription is answered the newest job waits. The same job may be sent again: it goes
    /// out under another name and with a later time, so that it is other work, and with what is due by then.
    pub fn job(&mut self, job: &Announcement, clean: bool, out: &mut Vec<u8>) {
        if self.closed {
            return;
        }
        let Some(space) = self.space.filter(|_| self.subscribing == 0) else {
            let clean = clean || self.waiting.as_ref().is_some_and(|waiting| waiting.1);
            self.waiting = Some(Box::new((job.clone(), clean)));
            return;
        };
        if std::mem::take(&mut self.space_due) {
            message::write_request(&Id::Null, "mining.set_extranonce", out, |out| write_space(space, out));
        }
        if self.difficulty_told != Some(self.difficulty) {
            self.difficulty_told = Some(self.difficulty);
            let base = self.settings.base;
            message::write_request(&Id::Null, "mining.set_difficulty", out, |out| base.write(self.difficulty, out));
        }
        let before = self.rolled();
        self.job_mask = job.version_mask();
        if self.rolled() != before {
            let mask = self.rolled().to_be_bytes();
            message::write_request(&Id::Null, "mining.set_version_mask", out, |out| message::write_hex(&mask, out));
        }
        let sent = self.remember(job.id(), space);
        job.write(sent.wire_id(), sent.turn, clean, out);
    }

    fn remember(&mut self, id: JobId, space: NonceSpace) -> SentJob {
        let before = self.jobs.iter().rev().find(|sent| sent.id == id);
        let turn = before.map_or(0, |sent| sent.turn.wrapping_add(1));
        let sent = SentJob { id, turn, difficulty: self.difficulty, space, version_mask: self.rolled() };
        if self.jobs.len() == JOBS_MAX {
            self.jobs.pop_front();
        }
        self.jobs.push_back(sent);
        sent
    }

    /// Sets what later jobs are sent with.
    pub fn set_difficulty(&mut self, difficulty: ShareDifficulty) {
        self.difficulty = difficulty;
    }

    /// Returns what the next job is sent with.
    pub fn difficulty(&self) -> ShareDifficulty {
        self.difficulty
    }

    /// Gives later jobs another place among the extranonces, and tells whether the miner is there: `false` where it does not know how
    /// to move, and has to subscribe anew.
    #[must_use]
    pub fn set_extranonce(&mut self, space: NonceSpace) -> bool {
        if self.space == Some(space) {
            return true;
        }
        let moves = self.takes_extranonce && self.space.is_some();
        if moves {
            self.space = Some(space);
            self.space_due = true;
        }
        moves
    }

    /// Asks the miner to connect again after `wait_s` seconds, to the same place where none is named.
    pub fn reconnect(&mut self, place: Option<(&str, u16)>, wait_s: u32, out: &mut Vec<u8>) {
        message::write_request(&Id::Null, "client.reconnect", self.own(out), |out| {
            let (host, port) = place.unwrap_or(("", 0));
            if place.is_some() {
                message::write_text(host, out);
                out.push(b',');
                message::write_number(port.into(), out);
                out.push(b',');
                message::write_number(wait_s.into(), out);
            }
        });
    }

    /// Shows the miner's owner a text.
    pub fn show_message(&mut self, text: &str, out: &mut Vec<u8>) {
        message::write_request(&Id::Null, "client.show_message", self.own(out), |out| message::write_text(text, out));
    }

    /// Asks for the miner's name and version: [`Effect::Version`], if it answers.
    pub fn ask_version(&mut self, out: &mut Vec<u8>) {
        message::write_request(&VERSION_ID, "client.get_version", self.own(out), |_| ());
    }

    /// Returns when [`Self::tick`] ends the session, unless the miner does something before.
    pub fn due(&self) -> Timestamp {
        let after = |then: Timestamp, max: u64| then.to_millis().saturating_add(max).saturating_add(1);
        let idle = after(self.heard, self.settings.idle_ms_max);
        let login = after(self.opened, self.settings.login_ms_max);
        Timestamp::from_millis(if self.workers.is_empty() { idle.min(login) } else { idle })
    }

    /// Ends a session that ran out of time. To be called when [`Self::due`] says so: before, it does nothing.
    pub fn tick(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let since = |then: Timestamp| now.to_millis().saturating_sub(then.to_millis());
        let (login, idle) = (self.settings.login_ms_max, self.settings.idle_ms_max);
        if self.workers.is_empty() && since(self.opened) > login {
            self.close(CloseReason::LoginTimeout { max_ms: login }, effects);
        } else if since(self.heard) > idle {
            self.close(CloseReason::Idle { max_ms: idle }, effects);
        }
    }

    /// Tells whether a job would be sent at once, with the difficulty that is set now.
    pub fn takes_jobs(&self) -> bool {
        !self.closed && self.space.is_some() && self.subscribing == 0
    }

    /// Tells whether the miner has its extranonce.
    pub fn is_subscribed(&self) -> bool {
        self.space.is_some()
    }

    /// Returns the workers that were let in, in the order in which they were.
    pub fn workers(&self) -> &[Arc<str>] {
        &self.workers
    }

    /// Returns the bits that the miner may roll in the newest job.
    fn rolled(&self) -> u32 {
        self.version_mask & self.job_mask
    }

    fn knows(&self, user: &str) -> bool {
        self.workers.iter().any(|known| **known == *user)
    }

    fn close(&mut self, reason: CloseReason, effects: &mut Vec<Effect>) {
        if !std::mem::replace(&mut self.closed, true) {
            effects.push(Effect::Close(reason));
        }
    }

    fn answer(&mut self, id: &Id, verdict: Result<(), Refusal>, out: &mut Vec<u8>) {
        let out = self.answers(out);
        match verdict {
            Ok(()) => message::write_true(id, out),
            Err(refusal) => message::write_refusal(id, &refusal, out),
        }
    }

    /// Returns where answers go: behind that to a subscription which waits.
    fn answers<'a>(&'a mut self, out: &'a mut Vec<u8>) -> &'a mut Vec<u8> {
        if self.subscribing > 0 { &mut self.held } else { out }
    }

    /// Returns where lines go that nobody asked for: behind the answer to the first subscription.
    fn own<'a>(&'a mut self, out: &'a mut Vec<u8>) -> &'a mut Vec<u8> {
        if self.subscribing > 0 || self.space.is_none() { &mut self.held } else { out }
    }
}

fn write_space(space: NonceSpace, out: &mut Vec<u8>) {
    message::write_hex(space.extranonce1.as_bytes(), out);
    out.push(b',');
    message::write_number(space.extranonce2_bytes.into(), out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_session_takes_less_than_a_kilobyte() {
        let settings = Arc::new(Settings {
            base: Base::Sha256,
            version_mask: 0x1fff_e000,
            login_ms_max: 30_000,
            idle_ms_max: 600_000,
            version: "adit".to_owned(),
        });
        let now = Timestamp::from_millis(0);
        let job = super::super::job::Job {
            previous: [0; 32],
            coinbase_head: vec![0; 200],
            coinbase_tail: vec![0; 200],
            branches: vec![[0; 32]; 12],
            version: 0x2000_0000,
            bits: 0x1d00_ffff,
            time: 0,
        };
        let mut session = Session::new(settings, ShareDifficulty::from_log2_hashes(32), now);
        let (mut out, mut effects) = (Vec::new(), Vec::new());
        session.job(&Announcement::new(JobId(0), &job), true, &mut out);
        session.show_message("welcome", &mut out);
        let user = "u".repeat(90);
        for line in [
            r#"{"id":1,"method":"mining.subscribe","params":["miner/1.0"]}"#.to_owned(),
            format!(r#"{{"id":2,"method":"mining.authorize","params":["{user}","x"]}}"#),
        ] {
            session.receive(line.as_bytes(), now, &mut out, &mut effects);
        }
        let space = NonceSpace { extranonce1: Extranonce::from_bytes(&[0; 4]).unwrap(), extranonce2_bytes: 4 };
        for effect in effects {
            match effect {
                Effect::Subscribe(subscription) => session.subscribed(subscription, "s", space, &mut out),
                Effect::Authorize(login) => session.authorized(login, Ok(()), &mut out),
                other => panic!("{other:?}"),
            }
        }
        for id in 0..100 {
            session.job(&Announcement::new(JobId(id), &job), false, &mut out);
        }
        let name = session.workers.iter().map(|worker| worker.len() + 2 * size_of::<usize>()).sum::<usize>();
        let heap = session.jobs.capacity() * size_of::<SentJob>()
            + session.workers.capacity() * size_of::<Arc<str>>()
            + name
            + session.held.capacity();
        assert!(session.waiting.is_none());
        let bytes = size_of::<Session>() + heap;
        println!("an idle session takes {bytes} bytes, {heap} of them on the heap");
        assert!(bytes < 1024, "{bytes}");
    }
}
