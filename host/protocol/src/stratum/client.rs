//! The miner's side of a connection: for mining at Adit's pool or at any other.
//!
//! A client believes nothing about its pool but what the lines say: a job is mined with the difficulty and the extranonce that came before
//! it, answers are matched by id, and what a pool leaves unanswered ends by the clock that it is handed. It computes no proof of
//! work, and goes nowhere by itself: where to connect, and when again, is its caller's matter.
//!
//! Requests go out one after another, because pools differ in what they bear: the extensions of BIP310 first, then the subscription,
//! then the worker with `mining.extranonce.subscribe`. A pool that hangs up before it let the worker in is tried again in
//! [`Dialect::Plain`].
//!
//! Reading order: [`Client`], [`Event`] for what it tells, `lines` for what pools say.

mod event;
mod lines;

pub use event::{Assignment, CloseReason, Event, ShareId};

use super::difficulty::{Base, Decimal};
use super::job::Choice;
use super::message::{self, Id, Message};
use adit_primitives::{Target, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Who mines, and how long a pool may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The miner's name and version.
    pub agent: String,
    pub user: String,
    pub password: String,
    /// How Stratum's numbers count for the chain's algorithm.
    pub base: Base,
    /// The bits of the version that the miner can roll; 0 where it rolls none.
    pub version_mask: u32,
    /// How long a pool may take to answer, in milliseconds.
    pub answer_ms_max: u64,
    /// How long a pool may say nothing at all, in milliseconds: pools send a job about every minute.
    pub silence_ms_max: u64,
}

/// How much of the protocol a pool is spoken to with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// With version rolling, changing extranonces, and the session of the last connection.
    Full,
    /// Subscription and login alone, as the oldest miners.
    Plain,
}

/// Pools that do not know BIP310 often say nothing to it: they are not waited for longer, in milliseconds.
const CONFIGURE_MS_MAX: u64 = 5_000;

/// How many shares may wait for their answer.
pub const SHARES_WAITING_MAX: usize = 4096;

/// The longest extranonce of either part, in bytes.
pub const EXTRANONCE_BYTES_MAX: usize = 32;

/// How many lines that cannot be read a pool may send.
const MALFORMED_MAX: u8 = 10;

/// A connection with a pool.
#[derive(Debug)]
pub struct Client {
    settings: Arc<Settings>,
    dialect: Dialect,
    /// When the last line came.
    heard: Timestamp,
    next_id: u64,
    waiting: BTreeMap<u64, Waiting>,
    shares_waiting: usize,
    subscribed: bool,
    authorized: bool,
    closed: bool,
    malformed: u8,
    /// The session to come back with.
    session: Option<Box<str>>,
    extranonce1: Box<[u8]>,
    extranonce2_bytes: usize,
    target: Target,
    version_mask: u32,
    /// What is mined now.
    current: Option<Arc<Assignment>>,
}

/// A request that has no answer yet.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    asked: Asked,
    since: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Configure,
    Subscribe,
    Authorize,
    Extranonce,
    Share,
}

/// Why a share is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    #[error("the pool has not let the worker in")]
    NotAuthorized,
    #[error("{waiting} shares wait for their answer")]
    TooMany { waiting: usize },
    #[error("extranonce2 has {found} bytes instead of {want}")]
    Extranonce { found: usize, want: usize },
}

impl Client {
    /// Opens a conversation: appends the first request to `out`. `session` is that of the last connection with this pool.
    pub fn open(
        settings: Arc<Settings>,
        dialect: Dialect,
        session: Option<&str>,
        now: Timestamp,
        out: &mut Vec<u8>,
    ) -> Self {
        let target = settings.base.target(Decimal::ONE);
        let mut client = Self {
            settings,
            dialect,
            heard: now,
            next_id: 1,
            waiting: BTreeMap::new(),
            shares_waiting: 0,
            subscribed: false,
            authorized: false,
            closed: false,
            malformed: 0,
            session: session.map(Box::from),
            extranonce1: Box::default(),
            extranonce2_bytes: 0,
            target,
            version_mask: 0,
            current: None,
        };
        if dialect == Dialect::Full && client.settings.version_mask != 0 {
            client.configure(now, out);
        } else {
            client.subscribe(now, out);
        }
        client
    }

    /// Takes a line from the pool. What is to be sent is appended to `out`, what happened to `events`, in order.
    pub fn receive(&mut self, line: &[u8], now: Timestamp, out: &mut Vec<u8>, events: &mut Vec<Event>) {
        if self.closed {
            return;
        }
        self.heard = now;
        match Message::parse(line) {
            Ok(Message::Request(request)) => self.told(request, out, events),
            Ok(Message::Answer(answer)) => self.answered(&answer, now, out, events),
            Err(_) => self.malformed(events),
        }
    }

    /// Submits a share: `choice.version` is the whole version that was hashed. The answer comes as an event.
    pub fn submit(
        &mut self,
        work: &Assignment,
        extranonce2: &[u8],
        choice: Choice,
        now: Timestamp,
        out: &mut Vec<u8>,
    ) -> Result<ShareId, SubmitError> {
        if !self.authorized || self.closed {
            return Err(SubmitError::NotAuthorized);
        }
        if self.shares_waiting >= SHARES_WAITING_MAX {
            return Err(SubmitError::TooMany { waiting: self.shares_waiting });
        }
        if extranonce2.len() != work.extranonce2_bytes {
            return Err(SubmitError::Extranonce { found: extranonce2.len(), want: work.extranonce2_bytes });
        }
        self.shares_waiting += 1;
        let settings = Arc::clone(&self.settings);
        let id = self.ask(Asked::Share, now, out, |out| {
            message::write_text(&settings.user, out);
            out.push(b',');
            message::write_text(&work.notify.id, out);
            let version = (work.version_mask != 0).then_some(choice.version & work.version_mask);
            let numbers = [Some(choice.time), Some(choice.nonce), version].map(|number| number.map(u32::to_be_bytes));
            out.push(b',');
            message::write_hex(extranonce2, out);
            for number in numbers.iter().flatten() {
                out.push(b',');
                message::write_hex(number, out);
            }
        });
        Ok(ShareId(id))
    }

    /// Gives up on what took too long. To be called every second or so.
    pub fn tick(&mut self, now: Timestamp, out: &mut Vec<u8>, events: &mut Vec<Event>) {
        if self.closed {
            return;
        }
        let since = |then: Timestamp| now.to_millis().saturating_sub(then.to_millis());
        let (answer_ms_max, silence_ms_max) = (self.settings.answer_ms_max, self.settings.silence_ms_max);
        if since(self.heard) > silence_ms_max {
            return self.close(CloseReason::Silent { max_ms: silence_ms_max }, events);
        }
        let max_ms =
            |asked| if asked == Asked::Configure { CONFIGURE_MS_MAX.min(answer_ms_max) } else { answer_ms_max };
        let overdue = self.waiting.extract_if(.., |_, waiting| since(waiting.since) > max_ms(waiting.asked));
        for (id, Waiting { asked, .. }) in overdue.collect::<Vec<_>>() {
            match asked {
                Asked::Configure => self.subscribe(now, out),
                Asked::Extranonce => {}
                Asked::Share => {
                    self.shares_waiting -= 1;
                    events.push(Event::Unanswered(ShareId(id)));
                }
                Asked::Subscribe | Asked::Authorize => {
                    self.close(CloseReason::Unanswered { method: asked.method(), max_ms: answer_ms_max }, events);
                }
            }
        }
    }

    /// Returns how to speak to this pool on the next connection: as now if the worker got in that way, else the other way.
    pub fn next_dialect(&self) -> Dialect {
        match self.dialect {
            dialect if self.authorized => dialect,
            Dialect::Full => Dialect::Plain,
            Dialect::Plain => Dialect::Full,
        }
    }

    /// Returns the session to come back with, if the pool gave one.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// Tells whether the pool let the worker in.
    pub fn is_authorized(&self) -> bool {
        self.authorized
    }

    fn configure(&mut self, now: Timestamp, out: &mut Vec<u8>) {
        let mask = self.settings.version_mask;
        self.ask(Asked::Configure, now, out, |out| {
            out.extend_from_slice(b"[\"version-rolling\"],{\"version-rolling.mask\":");
            message::write_hex(&mask.to_be_bytes(), out);
            // BIP310 wants a count; what a pool grants is taken whatever it is.
            out.extend_from_slice(b",\"version-rolling.min-bit-count\":1}");
        });
    }

    fn subscribe(&mut self, now: Timestamp, out: &mut Vec<u8>) {
        let (settings, session) = (Arc::clone(&self.settings), self.session.clone());
        let full = self.dialect == Dialect::Full;
        self.ask(Asked::Subscribe, now, out, |out| {
            if full {
                message::write_text(&settings.agent, out);
                if let Some(session) = session {
                    out.push(b',');
                    message::write_text(&session, out);
                }
            }
        });
    }

    fn authorize(&mut self, now: Timestamp, out: &mut Vec<u8>) {
        let settings = Arc::clone(&self.settings);
        self.ask(Asked::Authorize, now, out, |out| {
            message::write_text(&settings.user, out);
            out.push(b',');
            message::write_text(&settings.password, out);
        });
        if self.dialect == Dialect::Full {
            self.ask(Asked::Extranonce, now, out, |_| ());
        }
    }

    fn ask(&mut self, asked: Asked, now: Timestamp, out: &mut Vec<u8>, params: impl FnOnce(&mut Vec<u8>)) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.waiting.insert(id, Waiting { asked, since: now });
        message::write_request(&Id::Number(id), asked.method(), out, params);
        id
    }

    fn malformed(&mut self, events: &mut Vec<Event>) {
        self.malformed += 1;
        if self.malformed >= MALFORMED_MAX {
            self.close(CloseReason::Malformed { count: self.malformed }, events);
        }
    }

    fn close(&mut self, reason: CloseReason, events: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.closed, true) {
            events.push(Event::Close(reason));
        }
    }
}

impl Asked {
    const fn method(self) -> &'static str {
        match self {
            Self::Configure => "mining.configure",
            Self::Subscribe => "mining.subscribe",
            Self::Authorize => "mining.authorize",
            Self::Extranonce => "mining.extranonce.subscribe",
            Self::Share => "mining.submit",
        }
    }
}
