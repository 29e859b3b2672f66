//! Whom to call, and which of the sessions that this node opened is left.

use super::{ANCHORS_MAX, ASK_INTERVAL, Action, Call, Choice, Leaving, Peer, Purpose};
use crate::id::{Address, Direction, Moment, SessionId};
use crate::peers::book::Entry;
use crate::peers::place::{Group, Place};
use adit_primitives::Work;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Addresses of which the best is called, where it is the best that is wanted.
const DRAWS: usize = 4;

/// Whom a call may go to.
pub(super) struct Taken {
    /// Sessions and calls from here, by network.
    pub groups: BTreeMap<Group, usize>,
    addresses: BTreeSet<Address>,
    nodes: BTreeSet<[u8; 32]>,
}

impl Choice {
    /// Returns the addresses of the best sessions from here, to be called first after a restart.
    pub fn anchors(&self, now: Moment) -> Vec<Address> {
        let sound = self.kept().filter(|(_, peer)| peer.ready && self.trouble(now, peer).is_none());
        let mut sound: Vec<_> = sound.map(|(_, peer)| peer).collect();
        sound.sort_by_key(|peer| peer.since);
        sound.into_iter().take(ANCHORS_MAX).map(|peer| peer.opened.address.clone()).collect()
    }

    /// Returns how many sessions from here are missing, with those that calls may bring.
    pub(super) fn missing(&self) -> usize {
        let calls = self.calls.values().filter(|call| matches!(call.purpose, Purpose::Fill | Purpose::Anchor));
        self.settings.outbound.saturating_sub(self.kept().count() + calls.count())
    }

    /// Calls while sessions are missing.
    pub(super) fn fill(&mut self, now: Moment, actions: &mut Vec<Action>) {
        while self.missing() > 0 && self.calls.len() < self.settings.calls_max {
            let Some((place, purpose)) = self.next(now) else { return };
            self.call(now, place, purpose, actions);
        }
    }

    /// Calls somebody new where a session is no good, and now and then where all are.
    pub(super) fn replace(&mut self, now: Moment, actions: &mut Vec<Action>) {
        let busy = self.calls.values().any(|call| call.purpose == Purpose::Replace) || self.missing() > 0;
        let bad = self.kept().any(|(_, peer)| self.trouble(now, peer).is_some());
        if busy || self.calls.len() >= self.settings.calls_max || !(bad || now >= self.rotate_due) {
            return;
        }
        if now >= self.rotate_due {
            self.rotate_due = self.around(now, self.settings.rotate_interval);
        }
        let taken = self.taken();
        if let Some(place) = self.drawn(now, &taken) {
            self.call(now, place, Purpose::Replace, actions);
        }
    }

    /// Tests an address now and then: one that must prove itself before others.
    pub(super) fn feel(&mut self, now: Moment, actions: &mut Vec<Action>) {
        if now < self.feeler_due || self.calls.len() >= self.settings.calls_max {
            return;
        }
        self.feeler_due = self.around(now, self.settings.feeler_interval);
        let taken = self.taken();
        let free = |entry: &Entry| taken.is_free(entry) && entry.may_be_called(now);
        let challenged = self.book.challenged().find(|entry| free(entry));
        let entry = challenged.or_else(|| self.book.draw(false, &mut self.random, free));
        if let Some(place) = entry.map(|entry| entry.place.clone()) {
            self.call(now, place, Purpose::Feeler, actions);
        }
    }

    /// Asks a peer for addresses while there is nobody to call.
    pub(super) fn ask(&mut self, now: Moment, actions: &mut Vec<Action>) {
        if self.missing() == 0 || now < self.ask_due {
            return;
        }
        self.ask_due = now.after(ASK_INTERVAL);
        let ready: Vec<_> = self.peers.iter().filter(|(_, peer)| peer.ready).map(|(session, _)| *session).collect();
        if !ready.is_empty() {
            actions.push(Action::AskPeers { session: ready[self.random.below(ready.len())] });
        }
    }

    /// Ends calls of which nothing was heard.
    pub(super) fn forget_calls(&mut self, now: Moment) {
        let over = |call: &Call| now >= call.since.after(self.settings.call_time);
        let silent: Vec<_> =
            self.calls.iter().filter(|(_, call)| over(call)).map(|(address, _)| address.clone()).collect();
        for address in silent {
            self.failed(now, &address, super::Failure::Unreachable);
        }
    }

    /// Leaves the worst of the sessions from here while there are too many.
    pub(super) fn trim(&mut self, now: Moment, actions: &mut Vec<Action>) {
        let ready: Vec<_> = self.kept().filter(|(_, peer)| peer.ready).collect();
        let many = ready.len().saturating_sub(self.settings.outbound);
        let mut worst: Vec<_> = ready.iter().map(|(id, peer)| (self.rank(now, *id, peer), *id)).collect();
        worst.sort();
        let why = |id: SessionId| self.trouble(now, &self.peers[&id]).unwrap_or(Leaving::Rotated);
        let left: Vec<_> = worst.into_iter().take(many).map(|(_, id)| (id, why(id))).collect();
        for (session, why) in left {
            self.leave(session, why, actions);
        }
    }

    /// Returns what is wrong with a peer.
    pub(super) fn trouble(&self, now: Moment, peer: &Peer) -> Option<Leaving> {
        if !peer.ready {
            return None;
        }
        match () {
            () if peer.standing.score <= self.settings.score_min => Some(Leaving::Score),
            () if peer.suspicion.phi(now) > self.settings.phi_max => Some(Leaving::Suspected),
            () if peer.standing.work < self.stale_work(now, peer) => Some(Leaving::Stale),
            () => None,
        }
    }

    /// Returns the work that a peer must claim at least: what this node had some time ago, if the peer was there then.
    fn stale_work(&self, now: Moment, peer: &Peer) -> Work {
        if now.since(peer.since) < self.settings.stale_time {
            return Work::default();
        }
        let old = self.past.iter().rev().find(|(at, _)| now.since(*at) >= self.settings.stale_time);
        old.map_or(Work::default(), |(_, work)| *work)
    }

    /// Orders sessions: the lowest is left first. One that is no good, then one of a network with another session, then whoever is slow; the two
    /// best that are here longest, and the newest, are left last.
    fn rank(&self, now: Moment, id: SessionId, peer: &Peer) -> (bool, bool, bool, Reverse<Duration>, SessionId) {
        let sound = self.trouble(now, peer).is_none();
        let alone = self.kept().filter(|(_, other)| other.group == peer.group).count() == 1;
        let newest = self.kept().filter(|(_, other)| other.ready).map(|(id, _)| id).max() == Some(id);
        let anchor = self.anchors(now).contains(&peer.opened.address);
        (sound, newest || anchor, alone, Reverse(peer.latency_min.unwrap_or_default()), id)
    }

    /// Returns sessions from here that are to stay.
    pub(super) fn kept(&self) -> impl Iterator<Item = (SessionId, &Peer)> {
        let kept =
            |peer: &Peer| peer.opened.direction == Direction::Out && peer.purpose != Purpose::Feeler && !peer.leaving;
        self.peers.iter().map(|(id, peer)| (*id, peer)).filter(move |(_, peer)| kept(peer))
    }

    fn call(&mut self, now: Moment, place: Place, purpose: Purpose, actions: &mut Vec<Action>) {
        self.book.called(now, &place.address);
        self.calls.insert(place.address.clone(), Call { purpose, group: place.group(), since: now });
        actions.push(Action::Call { place, purpose });
    }

    /// Returns whom to call where a session is missing.
    fn next(&mut self, now: Moment) -> Option<(Place, Purpose)> {
        let taken = self.taken();
        while let Some(address) = self.anchors.pop() {
            let entry = self.book.entry(&address).filter(|entry| taken.is_free(entry) && entry.may_be_called(now));
            if let Some(entry) = entry {
                return Some((entry.place.clone(), Purpose::Anchor));
            }
        }
        let alone = !self.peers.values().any(|peer| peer.ready);
        let named = if alone { self.named(now, &taken) } else { None };
        let place = named.or_else(|| self.drawn(now, &taken)).or_else(|| self.named(now, &taken));
        place.or_else(|| self.crowded(now, &taken)).map(|place| (place, Purpose::Fill))
    }

    /// Draws one of those that an operator named.
    fn named(&mut self, now: Moment, taken: &Taken) -> Option<Place> {
        let free: Vec<_> = self.book.named().filter(|entry| taken.is_free(entry) && entry.may_be_called(now)).collect();
        let entry = free.get(self.random.below(free.len()))?;
        Some(entry.place.clone())
    }

    /// Draws somebody of a network that no session is in. Every second time it is the best of a few.
    fn drawn(&mut self, now: Moment, taken: &Taken) -> Option<Place> {
        let fit = |entry: &Entry| {
            taken.is_free(entry) && entry.may_be_called(now) && !taken.groups.contains_key(&entry.place.group())
        };
        self.draw(fit)
    }

    /// Draws somebody of a network with a session, where nobody of another can be called: up to a part of all sessions, or without bound where all
    /// that is known is in networks that are not public.
    fn crowded(&mut self, now: Moment, taken: &Taken) -> Option<Place> {
        let outbound = self.settings.outbound;
        let bound = (outbound / 4).max(2).min(outbound.saturating_sub(1)).max(1);
        let public = self.book.entries().any(|entry| !entry.place.group().is_local() && entry.has_hope(now));
        let fit = |entry: &Entry| {
            let group = entry.place.group();
            let room = group.is_local() && !public || taken.groups.get(&group).is_none_or(|count| *count < bound);
            taken.is_free(entry) && entry.may_be_called(now) && room
        };
        self.draw(fit)
    }

    fn draw(&mut self, fit: impl Fn(&Entry) -> bool) -> Option<Place> {
        let draws = if self.random.below(2) == 0 { 1 } else { DRAWS };
        let mut best: Option<&Entry> = None;
        for _ in 0..draws {
            let met = self.random.below(2) == 0;
            let drawn = self.book.draw(met, &mut self.random, &fit);
            let drawn = drawn.or_else(|| self.book.draw(!met, &mut self.random, &fit));
            // Whoever never failed, then whoever is near; of whom nothing is known is between the near and the far.
            const UNKNOWN: Duration = Duration::from_millis(150);
            let worth = |entry: &Entry| (entry.failures, entry.latency.unwrap_or(UNKNOWN));
            best = [best, drawn].into_iter().flatten().min_by_key(|entry| worth(entry));
        }
        best.map(|entry| entry.place.clone())
    }

    pub(super) fn taken(&self) -> Taken {
        let mut groups = BTreeMap::new();
        let calls = self.calls.values().filter(|call| call.purpose != Purpose::Feeler).map(|call| call.group);
        for group in self.kept().map(|(_, peer)| peer.group).chain(calls) {
            *groups.entry(group).or_default() += 1;
        }
        let sessions = self.peers.values().map(|peer| peer.opened.address.clone());
        Taken {
            groups,
            addresses: sessions.chain(self.calls.keys().cloned()).collect(),
            nodes: self.peers.values().map(|peer| peer.opened.node.0).collect(),
        }
    }
}

impl Taken {
    /// Tells whether there is no session with whoever is at an address, and no call to it.
    fn is_free(&self, entry: &Entry) -> bool {
        !self.addresses.contains(&entry.place.address) && entry.node.is_none_or(|node| !self.nodes.contains(&node.0))
    }
}
