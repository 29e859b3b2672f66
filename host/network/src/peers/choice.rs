//! Whom to call, whom to leave, and whom to let in.
//!
//! A few sessions are opened from here, over networks as different as the book has: whoever owns one network, with however many addresses, has a part
//! of them at most. Which addresses are tried is drawn, and only half of the draws prefer those that are near and sound, so that nobody becomes
//! everybody's choice by being fast. Sessions that others opened are more, and where there is no room one of them gives way.
//!
//! It calls nobody itself: it says whom ([`Action`]), and is told what came of it. Reading order: this file is what it is told; `outbound` chooses
//! whom to call and whom to leave, `inbound` who gives way.

mod inbound;
mod outbound;

#[cfg(test)]
mod tests;

use super::backoff::part;
use super::book::{Book, Source};
use super::place::{Group, Place};
use super::suspicion::{self, Suspicion};
use crate::effect::CloseReason;
use crate::id::{Address, Direction, Moment, NodeId, SessionId};
use crate::random::Random;
use crate::wire::Goodbye;
use adit_primitives::Work;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Addresses of the best sessions that are called first after a restart.
pub const ANCHORS_MAX: usize = 2;
/// How long the address at which this node met itself is left alone.
const ITSELF_TIME: Duration = Duration::from_secs(7 * 24 * 3600);
/// Between two looks at whether somebody is to be called.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Between two questions for addresses while the book has nobody to call.
const ASK_INTERVAL: Duration = Duration::from_secs(60);
/// Points of the chain's past against which peers are compared.
const PAST_MAX: usize = 32;

/// How many sessions there are to be, and how slowly they change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Sessions that this node opens.
    pub outbound: usize,
    /// Sessions that others open.
    pub inbound: usize,
    /// Calls that are open at a time.
    pub calls_max: usize,
    /// A call of which nothing was heard for so long is over.
    pub call_time: Duration,
    /// Between two calls that only test whether an address answers.
    pub feeler_interval: Duration,
    /// Between two calls that replace a session by a new one, though nothing is wrong with it.
    pub rotate_interval: Duration,
    /// A peer whose chain is not further than this node's was so long ago is stale.
    pub stale_time: Duration,
    /// A peer whose score fell to this is replaced.
    pub score_min: i32,
    /// A peer suspected more strongly is replaced ([`Suspicion::phi`]).
    pub phi_max: f64,
    pub heartbeat: suspicion::Settings,
}

/// What the host is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Open a session. [`Choice::opened`] or [`Choice::failed`] says what came of it.
    Call { place: Place, purpose: Purpose },
    /// End a session.
    Leave { session: SessionId, why: Leaving },
    /// Ask a peer for addresses.
    AskPeers { session: SessionId },
}

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// A session is missing.
    Fill,
    /// As [`Purpose::Fill`], to one of the best peers of the last run.
    Anchor,
    /// To take the place of another session.
    Replace,
    /// To learn whether the address answers.
    Feeler,
}

/// Why a session is ended that nothing forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Leaving {
    /// Its address answered: that was all to be known.
    Tested,
    /// Its chain has not moved for too long.
    Stale,
    /// Its score is low.
    Score,
    /// It is probably gone.
    Suspected,
    /// A new one took its place.
    Rotated,
}

/// Why no session came of a call, or why it ended before the greeting was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nobody answered, or not as a node does.
    Unreachable,
    /// It is of another chain, or will have nothing to do with this node, and is not called for so long.
    Foreign { avoid: Duration },
    /// It is this node.
    Itself,
    /// There is a session with the same node already.
    Twice,
    /// It has no room, or left for a reason of its own.
    Full,
}

/// How a peer does: what [`crate::PeerView`] says of it, and when it was of use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    pub latency: Option<Duration>,
    pub score: i32,
    /// Of the chain that it claims.
    pub work: Work,
    /// When it last brought something valid that nobody had brought.
    pub useful: Option<Moment>,
}

/// Whether a session that another node opened may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Welcome,
    /// It may, and this one has to be left.
    Instead(SessionId),
    /// There is no room for it.
    Full,
    /// Its machine is banned.
    Banned,
}

/// A session as it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    pub node: NodeId,
    pub direction: Direction,
    /// As it was called, as in [`Action::Call`]; of a session that another node opened, as it came.
    pub address: Address,
    /// The other machine, as far as the transport sees.
    pub ip: Option<IpAddr>,
}

/// A session.
#[derive(Debug, Clone)]
struct Peer {
    opened: Opened,
    group: Group,
    purpose: Purpose,
    since: Moment,
    ready: bool,
    /// It was said to be left.
    leaving: bool,
    standing: Standing,
    latency_min: Option<Duration>,
    suspicion: Suspicion,
}

/// A call that nothing was heard of yet.
#[derive(Debug, Clone, Copy)]
struct Call {
    purpose: Purpose,
    group: Group,
    since: Moment,
}

/// Who chooses.
#[derive(Debug, Clone)]
pub struct Choice {
    settings: Settings,
    book: Book,
    random: Random,
    /// Decides which networks are protected: fixed for the process, known to nobody.
    seed: u64,
    peers: BTreeMap<SessionId, Peer>,
    calls: BTreeMap<Address, Call>,
    anchors: Vec<Address>,
    look_due: Moment,
    ask_due: Moment,
    feeler_due: Moment,
    rotate_due: Moment,
    /// This node's work at moments of the past, oldest first.
    past: VecDeque<(Moment, Work)>,
}

impl Choice {
    /// Begins without sessions. `anchors` are what [`Choice::anchors`] gave in the last run.
    pub fn new(settings: Settings, book: Book, anchors: Vec<Address>, seed: u64, now: Moment) -> Self {
        let mut choice = Self {
            settings,
            book,
            random: Random::new(seed),
            seed,
            peers: BTreeMap::new(),
            calls: BTreeMap::new(),
            anchors,
            look_due: now,
            ask_due: now,
            feeler_due: now,
            rotate_due: now,
            past: VecDeque::new(),
        };
        choice.anchors.truncate(ANCHORS_MAX);
        choice.feeler_due = choice.around(now, settings.feeler_interval);
        choice.rotate_due = choice.around(now, settings.rotate_interval);
        choice
    }

    /// Returns the book.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// Returns the book, to put into it what is heard.
    pub fn book_mut(&mut self) -> &mut Book {
        &mut self.book
    }

    /// Says what is to be done now. To be asked at [`Choice::wake`], and whenever something was told.
    pub fn act(&mut self, now: Moment, actions: &mut Vec<Action>) {
        self.forget_calls(now);
        if now >= self.look_due {
            self.look_due = now.after(LOOK_INTERVAL);
            self.fill(now, actions);
            self.replace(now, actions);
            self.feel(now, actions);
            self.ask(now, actions);
        }
    }

    /// Returns when [`Choice::act`] may have something to say.
    pub fn wake(&self) -> Moment {
        let calls = self.calls.values().map(|call| call.since.after(self.settings.call_time));
        calls.chain([self.look_due]).min().unwrap_or(self.look_due)
    }

    /// Takes in a session that begins, before anything was said. Another node's is asked about first ([`Choice::admit`]).
    pub fn opened(&mut self, now: Moment, session: SessionId, opened: Opened) {
        let call = match opened.direction {
            Direction::Out => self.calls.remove(&opened.address),
            Direction::In => None,
        };
        let entry = self.book.entry(&opened.address).filter(|_| opened.direction == Direction::Out);
        let group = entry.map(|entry| entry.place.group()).or_else(|| opened.ip.map(Group::of));
        let nothing = Standing { latency: None, score: 0, work: Work::default(), useful: None };
        let peer = Peer {
            group: group.unwrap_or(Group::Private),
            purpose: call.map_or(Purpose::Fill, |call| call.purpose),
            since: now,
            ready: false,
            leaving: false,
            standing: nothing,
            latency_min: None,
            suspicion: Suspicion::new(self.settings.heartbeat, now),
            opened,
        };
        self.peers.insert(session, peer);
    }

    /// Takes in that the greeting of a session is done: the node is of this chain, has `work`, and says that it listens at `listen`.
    pub fn ready(&mut self, now: Moment, session: SessionId, work: Work, listen: &[Place], actions: &mut Vec<Action>) {
        let Some(peer) = self.peers.get_mut(&session) else { return };
        peer.ready = true;
        peer.standing.work = work;
        peer.suspicion.heard(now);
        let (opened, purpose) = (peer.opened.clone(), peer.purpose);
        match opened.direction {
            Direction::Out => self.book.succeeded(now, &opened.address, opened.node),
            Direction::In => self.hear_caller(now, &opened, listen),
        }
        if opened.direction == Direction::Out && purpose == Purpose::Feeler {
            // It may stay where it could have been called for that.
            let group = self.peers[&session].group;
            if self.missing() == 0 || self.taken().groups.contains_key(&group) {
                return self.leave(session, Leaving::Tested, actions);
            }
            self.peers.entry(session).and_modify(|peer| peer.purpose = Purpose::Fill);
        }
        if opened.direction == Direction::Out {
            actions.push(Action::AskPeers { session });
        }
        self.trim(now, actions);
    }

    /// Takes in that no session came of a call.
    pub fn failed(&mut self, now: Moment, address: &Address, failure: Failure) {
        self.calls.remove(address);
        self.note_failure(now, address, failure);
    }

    /// Takes in that a session ended. `failure` says why, where the greeting was not done.
    pub fn closed(&mut self, now: Moment, session: SessionId, failure: Option<Failure>) {
        let Some(peer) = self.peers.remove(&session) else { return };
        if peer.opened.direction == Direction::In {
            return;
        }
        let address = peer.opened.address;
        match failure {
            Some(Failure::Twice) => self.book.belongs(&address, peer.opened.node),
            _ if peer.ready && peer.leaving => {}
            // It was there: it is called again after a while.
            _ if peer.ready => self.book.failed(now, &address, false, self.random.bits()),
            failure => self.note_failure(now, &address, failure.unwrap_or(Failure::Unreachable)),
        }
    }

    /// Takes in a heartbeat: an answer to a ping, which come at regular times.
    pub fn heard(&mut self, now: Moment, session: SessionId) {
        if let Some(peer) = self.peers.get_mut(&session) {
            peer.suspicion.heard(now);
        }
    }

    /// Takes in how a peer does.
    pub fn observe(&mut self, now: Moment, session: SessionId, standing: Standing) {
        let Some(peer) = self.peers.get_mut(&session) else { return };
        peer.standing = standing;
        peer.latency_min = [peer.latency_min, standing.latency].into_iter().flatten().min();
        let (address, latency) = (peer.opened.address.clone(), peer.latency_min);
        if peer.opened.direction == Direction::Out && peer.ready {
            self.book.lasts(now, &address, latency);
        }
    }

    /// Takes in the work of this node's own chain.
    pub fn tip(&mut self, now: Moment, work: Work) {
        // The times are spread over twice what is asked for.
        let step = self.settings.stale_time * 2 / u32::try_from(PAST_MAX).expect("a small number");
        if self.past.back().is_some_and(|(at, _)| now.since(*at) < step) {
            return;
        }
        if self.past.len() >= PAST_MAX {
            self.past.pop_front();
        }
        self.past.push_back((now, work));
    }

    /// Returns how strongly a peer is suspected to be gone.
    pub fn phi(&self, now: Moment, session: SessionId) -> Option<f64> {
        self.peers.get(&session).map(|peer| peer.suspicion.phi(now))
    }

    /// Takes in a ban. Its sessions are ended by whoever bans.
    pub fn banned(&mut self, now: Moment, address: &Address, ip: Option<IpAddr>, until: Moment) {
        self.book.ban(now, address, ip, until);
    }

    fn note_failure(&mut self, now: Moment, address: &Address, failure: Failure) {
        // Where nobody answers, it is probably this node that is cut off.
        let certain = self.peers.values().any(|peer| peer.ready);
        match failure {
            Failure::Unreachable | Failure::Full => self.book.failed(now, address, certain, self.random.bits()),
            Failure::Foreign { avoid } => self.book.foreign(now, address, avoid),
            Failure::Itself => self.book.foreign(now, address, ITSELF_TIME),
            Failure::Twice => {}
        }
    }

    /// Says that a session is to be left. It is none any more for everything that is decided here.
    fn leave(&mut self, session: SessionId, why: Leaving, actions: &mut Vec<Action>) {
        if let Some(peer) = self.peers.get_mut(&session) {
            peer.leaving = true;
            actions.push(Action::Leave { session, why });
        }
    }

    /// Takes in where a node says that it listens: it may be there, and is where it came from.
    fn hear_caller(&mut self, now: Moment, opened: &Opened, listen: &[Place]) {
        let Some(from) = opened.ip else { return };
        for place in listen.iter().take(crate::wire::LISTEN_MAX) {
            let address = place.address.clone();
            let taken = self.book.hear(now, place.clone(), Source::Inbound { from }, Duration::ZERO);
            if taken && place.ip.is_some_and(|ip| ip.to_canonical() == from.to_canonical()) {
                self.book.belongs(&address, opened.node);
            }
        }
    }

    /// Returns a moment about an interval from now: no two nodes do things at the same time.
    fn around(&mut self, now: Moment, interval: Duration) -> Moment {
        now.after(interval / 2 + part(interval, self.random.bits()))
    }
}

impl Failure {
    /// Returns what becomes of an address by how a session with it ended before the greeting was done. Whoever is of another chain, or has banned this
    /// node, is not called for `avoid`.
    pub fn of(reason: &CloseReason, avoid: Duration) -> Self {
        match reason {
            CloseReason::Foreign { .. } => Self::Foreign { avoid },
            CloseReason::Left { said } | CloseReason::PeerLeft { said } => match said {
                Goodbye::Version { .. } | Goodbye::Rules { .. } | Goodbye::Banned => Self::Foreign { avoid },
                Goodbye::Itself => Self::Itself,
                Goodbye::Twice => Self::Twice,
                Goodbye::Full | Goodbye::Done => Self::Full,
                Goodbye::Silent | Goodbye::Slow | Goodbye::Stopping => Self::Unreachable,
            },
            CloseReason::NoHello | CloseReason::Banned { .. } => Self::Unreachable,
        }
    }
}

impl fmt::Display for Leaving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tested => "its address answered, which was all to be known",
            Self::Stale => "its chain has stood still for too long",
            Self::Score => "its score is low",
            Self::Suspected => "it is probably gone",
            Self::Rotated => "a new session took its place",
        })
    }
}

impl Settings {
    /// The values that hold where an operator asks for no others.
    pub const fn standard() -> Self {
        Self {
            outbound: 8,
            inbound: 40,
            calls_max: 4,
            call_time: Duration::from_secs(20),
            feeler_interval: Duration::from_secs(120),
            rotate_interval: Duration::from_secs(1800),
            stale_time: Duration::from_secs(900),
            score_min: -50,
            phi_max: 8.0,
            heartbeat: suspicion::Settings {
                interval: Duration::from_secs(15),
                deviation_min: Duration::from_millis(1500),
            },
        }
    }
}
