//! How a node finds peers and loses them. It dials nodes at random until it has as many sessions of its own as the scenario asks for, and
//! exchanges one of them every few minutes, so that no half of the network stays alone.

use super::{Node, Turn, address};
use crate::link::Link;
use crate::queue::What;
use crate::scenario::{Micros, Topology};
use adit_network::wire::Goodbye;
use adit_network::{Direction, Event, SessionId};

/// Latencies until a called node may say its first word, and until the caller may: a connection, its encryption, its stream.
const CALL_TIMES: u64 = 3;
/// How long a call that nobody takes is waited for.
const CALL_PATIENCE: Micros = 3_000_000;
/// Before a lost peer is replaced: so much, and up to as much again.
const REDIAL: u32 = 1_000_000;
/// Before a peer is exchanged: so much, and up to as much again.
const ROTATE: u32 = 120_000_000;
/// Nodes of which the nearest is called.
const NEAR_DRAWS: usize = 8;
/// Draws before a node waits for better times.
const DRAWS_MAX: usize = 20;

impl Node {
    fn outbound(&self) -> usize {
        self.links.values().filter(|link| link.direction == Direction::Out).count()
    }

    /// Dials until there are peers enough.
    pub(super) fn dial(&mut self, turn: &mut Turn<'_>) {
        let wanted = turn.world.scenario.peers as usize;
        for _ in self.outbound() + self.calls.len()..wanted {
            if !self.call(turn) {
                self.dial_later(turn);
                return;
            }
        }
    }

    fn dial_later(&mut self, turn: &mut Turn<'_>) {
        let later = turn.now + u64::from(REDIAL) + u64::from(self.random.below(REDIAL));
        let life = self.life;
        self.post(turn, later, What::Dial { life });
    }

    /// Calls a node at random, where one is found.
    fn call(&mut self, turn: &mut Turn<'_>) -> bool {
        let near = turn.world.scenario.topology == Topology::Near && self.called.is_multiple_of(2);
        let draws = if near { NEAR_DRAWS } else { 1 };
        let drawn: Vec<u32> = (0..draws).filter_map(|_| self.draw(turn)).collect();
        let latency = |node: &u32| (turn.world.globe.latency(self.number, *node), *node);
        let Some(to) = drawn.into_iter().min_by_key(latency) else { return false };
        let session = SessionId(u64::from(self.number) << 32 | u64::from(self.called));
        self.called += 1;
        self.calls.insert(session, to);
        if turn.world.scenario.parted(turn.now, self.number, to) {
            self.post(turn, turn.now + CALL_PATIENCE, What::Unreachable { session });
        } else {
            let arrives = turn.now + CALL_TIMES * turn.world.globe.latency(self.number, to);
            let from = self.number;
            self.post_to(turn, to, arrives, What::Called { session, from });
        }
        true
    }

    /// Draws a node that is no peer and not shunned.
    fn draw(&mut self, turn: &Turn<'_>) -> Option<u32> {
        for _ in 0..DRAWS_MAX {
            let node = self.random.below(turn.world.scenario.nodes);
            let peer = self.links.values().any(|link| link.peer == node) || self.calls.values().any(|to| *to == node);
            let shunned = self.shunned.get(&node).is_some_and(|until| *until > turn.now);
            if node != self.number && !peer && !shunned {
                return Some(node);
            }
        }
        None
    }

    /// Another node calls.
    pub(super) fn take_call(&mut self, turn: &mut Turn<'_>, session: SessionId, from: u32) {
        let latency = turn.world.globe.latency(self.number, from);
        if self.away || turn.world.scenario.parted(turn.now, self.number, from) {
            return self.post_to(turn, from, turn.now + CALL_PATIENCE.max(latency), What::Unreachable { session });
        }
        let to = self.number;
        self.post_to(turn, from, turn.now + latency, What::Opened { session, to });
        self.open(turn, session, from, Direction::In);
    }

    /// A call was taken.
    pub(super) fn call_taken(&mut self, turn: &mut Turn<'_>, session: SessionId, to: u32) {
        if self.calls.remove(&session).is_none() || self.away {
            let link = Link::new(to, Direction::Out, turn.world.globe.latency(self.number, to), turn.now);
            return self.hang_up(turn, session, &link);
        }
        self.open(turn, session, to, Direction::Out);
    }

    /// A call was not taken: another node is called.
    pub(super) fn call_failed(&mut self, turn: &mut Turn<'_>, session: SessionId) {
        if self.calls.remove(&session).is_some() {
            self.dial_later(turn);
        }
    }

    fn open(&mut self, turn: &mut Turn<'_>, session: SessionId, peer: u32, direction: Direction) {
        turn.tally.opened += 1;
        let latency = turn.world.globe.latency(self.number, peer);
        self.links.insert(session, Link::new(peer, direction, latency, turn.now));
        let node = turn.world.ids[peer as usize];
        self.tell(turn, Event::Connected { session, node, address: address(peer), direction });
    }

    /// The machine leaves a session.
    pub(super) fn close(&mut self, turn: &mut Turn<'_>, session: SessionId) {
        if let Some(link) = self.links.remove(&session) {
            self.hang_up(turn, session, &link);
            self.lost(turn, &link);
        }
    }

    /// Tells the other side that a stream is closed, after all that was sent.
    pub(super) fn hang_up(&mut self, turn: &mut Turn<'_>, session: SessionId, link: &Link) {
        turn.tally.closed += 1;
        if !link.broken && !turn.world.scenario.parted(turn.now, self.number, link.peer) {
            let arrives = link.last_arrival().max(turn.now + link.latency);
            self.post_to(turn, link.peer, arrives, What::Closed { session });
        }
    }

    /// The other side closed a stream.
    pub(super) fn closed(&mut self, turn: &mut Turn<'_>, session: SessionId) {
        if let Some(link) = self.links.remove(&session) {
            turn.tally.closed += 1;
            self.lost(turn, &link);
            self.tell(turn, Event::Disconnected { session });
        }
    }

    fn lost(&mut self, turn: &mut Turn<'_>, link: &Link) {
        if link.direction == Direction::Out {
            self.dial_later(turn);
        }
    }

    /// Leaves the peer that was dialled first, and dials another.
    pub(super) fn rotate(&mut self, turn: &mut Turn<'_>) {
        let outbound = self.links.iter().filter(|(_, link)| link.direction == Direction::Out);
        let oldest = outbound.min_by_key(|(session, link)| (link.since, **session)).map(|(session, _)| *session);
        let enough = self.outbound() >= turn.world.scenario.peers as usize;
        if let Some(session) = oldest.filter(|_| enough) {
            self.tell(turn, Event::Leave { session, goodbye: Goodbye::Full });
        }
        self.plan_rotation(turn);
    }

    pub(super) fn plan_rotation(&mut self, turn: &mut Turn<'_>) {
        let later = turn.now + u64::from(ROTATE) + u64::from(self.random.below(ROTATE));
        let life = self.life;
        self.post(turn, later, What::Rotate { life });
    }
}
