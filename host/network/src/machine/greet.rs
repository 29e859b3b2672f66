//! How sessions begin and end: hello, ping, silence, goodbye.

use super::session::{Outbound, Peer, Session, bit};
use super::{Machine, Turn};
use crate::bucket::Bucket;
use crate::effect::{CloseReason, Effect, Lane};
use crate::id::{Address, Direction, Moment, NodeId, SessionId, Tip};
use crate::wire::{Frame, Goodbye, Hello, VERSION};
use adit_primitives::identity::Difference;

/// The longest value of a differing item that is kept, to be shown.
const DIFFERENCE_CHARS_MAX: usize = 160;

impl Machine {
    /// A stream is open: says hello, unless the node is not wanted.
    pub(super) fn connected(
        &mut self,
        turn: &mut Turn<'_>,
        id: SessionId,
        node: NodeId,
        address: Address,
        direction: Direction,
    ) {
        let refusal = if node == self.local.node {
            Some(Goodbye::Itself)
        } else if self.bans.holds(turn.now, &node) {
            Some(Goodbye::Banned)
        } else {
            self.twin(turn, node, direction)
        };
        let session = self.session(turn.now, id, node, address, direction);
        let Some(slot) = self.sessions.insert(session) else {
            let frame = Frame::Goodbye(Goodbye::Full).to_wire();
            turn.effects.push(Effect::Send { session: id, lane: Lane::Live, frame, droppable: false });
            let reason = CloseReason::Left { said: Goodbye::Full };
            turn.effects.push(Effect::Close { session: id, node, reason });
            return;
        };
        let full = self.sessions.iter().count() > self.settings.sessions_max;
        if let Some(said) = refusal.or(full.then_some(Goodbye::Full)) {
            return self.leave(turn, slot, said);
        }
        let hello = self.hello(turn.facts.tip());
        self.send(turn, slot, Lane::Live, &Frame::Hello(Box::new(hello)), false);
        self.due(turn.now.after(self.settings.hello_time));
    }

    fn session(&self, now: Moment, id: SessionId, node: NodeId, address: Address, direction: Direction) -> Session {
        Session {
            id,
            node,
            address,
            direction,
            since: now,
            heard: now,
            peer: None,
            allowance: Bucket::new(self.settings.allowance, now),
            score: 0,
            score_at: now,
            latency: None,
            ping: None,
            ping_next: now,
            slow_since: None,
            bytes_in: 0,
            bytes_out: 0,
            dropped: 0,
            serving: 0,
            asked: Vec::new(),
            transactions_wanted: Vec::new(),
            outbound: Outbound::default(),
            links: Default::default(),
            follow: Default::default(),
            neighbours: Vec::new(),
            beside: self.beside(&node),
            bucket: bucket_of(&self.local.node, &node),
            judging_bytes: 0,
            notices_judged: 0,
            notices: Default::default(),
            pool_wanted: false,
        }
    }

    fn hello(&self, tip: Tip) -> Hello {
        Hello {
            version: VERSION,
            rules: self.local.rules.clone(),
            tip,
            agent: self.settings.agent.clone(),
            features: self.local.features,
            listen: self.local.listen.clone(),
            nonce: self.nonce,
        }
    }

    /// Settles which of two sessions with one node stays: of two by the same dialler the newer, since the older may be dead;
    /// of two by different diallers the one of the smaller id, so that both nodes keep the same.
    fn twin(&mut self, turn: &mut Turn<'_>, node: NodeId, direction: Direction) -> Option<Goodbye> {
        let (slot, older) = self
            .sessions
            .iter()
            .find(|(_, session)| session.node == node)
            .map(|(slot, session)| (slot, session.direction))?;
        let kept = if self.local.node < node { Direction::Out } else { Direction::In };
        if older != direction && older == kept {
            return Some(Goodbye::Twice);
        }
        self.leave(turn, slot, Goodbye::Twice);
        None
    }

    /// The peer's hello: refused with what differs, or the peer counts from now.
    pub(super) fn greeted(&mut self, turn: &mut Turn<'_>, slot: usize, hello: Hello) {
        let Some(session) = self.sessions.get(slot) else { return };
        let (id, node) = (session.id, session.node);
        if hello.version != VERSION {
            return self.leave(turn, slot, Goodbye::Version { version: VERSION });
        }
        if hello.nonce == self.nonce {
            return self.leave(turn, slot, Goodbye::Itself);
        }
        if let Some(difference) = self.local.rules.differences(&hello.rules).into_iter().next() {
            return self.part_from_foreign(turn, slot, difference);
        }
        let session = self.sessions.get_mut(slot).expect("it was there a moment ago");
        session.peer = Some(Peer {
            agent: hello.agent.escape_default().to_string(),
            features: hello.features,
            listen: hello.listen,
            tip: hello.tip,
        });
        session.ping_next = turn.now;
        session.pool_wanted = session.direction == Direction::Out;
        turn.effects.push(Effect::Ready { session: id, node });
        self.membership_changed(turn.now);
        self.due(turn.now);
        self.sync.wanted = true;
        if !self.sync.catching_up() {
            self.announce_latest(turn, slot);
        }
    }

    fn part_from_foreign(&mut self, turn: &mut Turn<'_>, slot: usize, difference: Difference) {
        let Some(session) = self.sessions.get(slot) else { return };
        let (node, address) = (session.node, session.address.clone());
        let shown = |value: &str| value.escape_debug().take(DIFFERENCE_CHARS_MAX).collect::<String>();
        let difference =
            Difference { item: difference.item, ours: shown(&difference.ours), theirs: shown(&difference.theirs) };
        turn.effects.push(Effect::Foreign { node, address, avoid: self.settings.foreign_time });
        let said = Goodbye::Rules { item: difference.item.to_owned() };
        self.close(turn, slot, said, CloseReason::Foreign { difference });
    }

    /// A frame that says goodbye: the peer closes, so does this node.
    pub(super) fn peer_left(&mut self, turn: &mut Turn<'_>, slot: usize, said: Goodbye) {
        if let Some((session, node)) = self.forget(turn, slot) {
            turn.effects.push(Effect::Close { session, node, reason: CloseReason::PeerLeft { said } });
        }
    }

    /// Says goodbye and forgets the session.
    pub(super) fn leave(&mut self, turn: &mut Turn<'_>, slot: usize, said: Goodbye) {
        self.close(turn, slot, said.clone(), CloseReason::Left { said });
    }

    pub(super) fn close(&mut self, turn: &mut Turn<'_>, slot: usize, said: Goodbye, reason: CloseReason) {
        self.send(turn, slot, Lane::Live, &Frame::Goodbye(said), false);
        if let Some((session, node)) = self.forget(turn, slot) {
            turn.effects.push(Effect::Close { session, node, reason });
        }
    }

    /// Forgets a session: what was asked of it is asked of others.
    pub(super) fn forget(&mut self, turn: &mut Turn<'_>, slot: usize) -> Option<(SessionId, NodeId)> {
        let session = self.sessions.remove(slot)?;
        let (id, node) = (session.id, session.node);
        self.bans.depart(id, node, session.address);
        let waiting: usize = session.notices.iter().map(super::blocks::bytes_of).sum();
        self.judging_bytes = self.judging_bytes.saturating_sub(waiting);
        if session.peer.is_some() {
            self.membership_changed(turn.now);
            self.forget_holder(bit(slot));
            self.forget_neighbour(bit(slot));
        }
        for asked in session.asked {
            self.unanswered(turn, id, asked.what);
        }
        self.transactions_unanswered(turn, bit(slot), &session.transactions_wanted);
        self.sync.left(id, bit(slot));
        Some((id, node))
    }

    pub(super) fn pinged(&mut self, turn: &mut Turn<'_>, slot: usize, nonce: u64, tip: Tip) {
        self.claimed(slot, tip);
        let pong = Frame::Pong { nonce, tip: turn.facts.tip() };
        self.send(turn, slot, Lane::Live, &pong, false);
    }

    pub(super) fn ponged(&mut self, turn: &mut Turn<'_>, slot: usize, nonce: u64, tip: Tip) {
        self.claimed(slot, tip);
        let Some(session) = self.sessions.get_mut(slot) else { return };
        if let Some((_, sent)) = session.ping.take_if(|(ours, _)| *ours == nonce) {
            let took = turn.now.since(sent);
            session.latency = Some(session.latency.map_or(took, |mean| (mean * 3 + took) / 4));
        }
    }

    /// Takes a peer's word on where it stands: what it says in pings finds what announcements lost.
    fn claimed(&mut self, slot: usize, tip: Tip) {
        if let Some(peer) = self.sessions.get_mut(slot).and_then(|session| session.peer.as_mut())
            && peer.tip != tip
        {
            peer.tip = tip;
            self.sync.wanted = true;
        }
    }

    /// Looks at each session's limits of time: greeting, silence, slowness, pings, questions.
    pub(super) fn look_at_sessions(&mut self, turn: &mut Turn<'_>) {
        let mut next = None;
        for slot in 0..crate::settings::SESSIONS_LIMIT {
            let Some(session) = self.sessions.get(slot) else { continue };
            if let Some((said, reason)) = self.over_time(turn.now, session) {
                self.close(turn, slot, said, reason);
                continue;
            }
            self.ping(turn, slot);
            self.sessions.get_mut(slot).into_iter().for_each(|session| session.forgive(turn.now));
            self.expire(turn, slot);
            self.ask_transactions(turn, slot);
            let Some(session) = self.sessions.get(slot) else { continue };
            let due = self.next_of(session);
            next = Some(next.map_or(due, |next: Moment| next.min(due)));
        }
        self.sessions_due = next;
    }

    fn over_time(&self, now: Moment, session: &Session) -> Option<(Goodbye, CloseReason)> {
        let left = |said: Goodbye| Some((said.clone(), CloseReason::Left { said }));
        if !session.ready() && now >= session.since.after(self.settings.hello_time) {
            return Some((Goodbye::Silent, CloseReason::NoHello));
        }
        if now >= self.silent_at(session) {
            return left(Goodbye::Silent);
        }
        let slow = session.slow_since.is_some_and(|since| now >= since.after(self.settings.slow_time));
        if slow { left(Goodbye::Slow) } else { None }
    }

    /// Returns when a session that goes on saying nothing is left. A long answer on its way holds everything else up.
    fn silent_at(&self, session: &Session) -> Moment {
        session.heard.after(self.settings.silence_max + self.settings.line_time(session.asked_bytes()))
    }

    fn ping(&mut self, turn: &mut Turn<'_>, slot: usize) {
        let interval = self.settings.ping_interval;
        let nonce = self.random.bits();
        let Some(session) = self.sessions.get_mut(slot) else { return };
        if !session.ready() || turn.now < session.ping_next {
            return;
        }
        session.ping_next = turn.now.after(interval);
        session.ping = Some((nonce, turn.now));
        let ping = Frame::Ping { nonce, tip: turn.facts.tip() };
        self.send(turn, slot, Lane::Live, &ping, false);
    }

    fn next_of(&self, session: &Session) -> Moment {
        let mut next = self.silent_at(session);
        let mut sooner = |moment: Moment| next = next.min(moment);
        match session.ready() {
            true => sooner(session.ping_next),
            false => sooner(session.since.after(self.settings.hello_time)),
        }
        if let Some(since) = session.slow_since {
            sooner(since.after(self.settings.slow_time));
        }
        session.asked.iter().for_each(|asked| sooner(asked.deadline));
        next
    }

    /// How full a session's queue is.
    pub(super) fn pressed(&mut self, turn: &mut Turn<'_>, slot: usize, queued_bytes: usize, dropped: u64) {
        let (bound, time) = (self.settings.slow_bytes, self.settings.slow_time);
        self.counters.dropped += dropped;
        let Some(session) = self.sessions.get_mut(slot) else { return };
        session.dropped += dropped;
        if queued_bytes <= bound {
            session.slow_since = None;
        } else if session.slow_since.is_none() {
            session.slow_since = Some(turn.now);
            self.due(turn.now.after(time));
        }
    }

    /// Everybody is told that this node stops.
    pub(super) fn stop(&mut self, turn: &mut Turn<'_>) {
        for slot in 0..crate::settings::SESSIONS_LIMIT {
            if self.sessions.get(slot).is_some() {
                self.leave(turn, slot, Goodbye::Stopping);
            }
        }
    }
}

/// Returns how many leading bits two ids share, 255 where they share more.
fn bucket_of(ours: &NodeId, theirs: &NodeId) -> u8 {
    let mut bits = 0_u8;
    for (ours, theirs) in ours.0.iter().zip(&theirs.0) {
        let zeros = (ours ^ theirs).leading_zeros();
        bits = bits.saturating_add(u8::try_from(zeros).expect("a byte has eight bits"));
        if zeros < 8 {
            break;
        }
    }
    bits
}
