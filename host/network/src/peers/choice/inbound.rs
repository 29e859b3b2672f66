//! Who gives way where there is no room: as in Bitcoin, those are protected whom an attacker could only become by being useful, near, here for long, or
//! in many networks; of the rest the largest network loses its youngest session.

use super::{Admission, Choice, Peer};
use crate::id::{Direction, Moment, SessionId};
use crate::peers::place::Group;
use crate::random::Random;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

impl Choice {
    /// Tells whether a session that another node opens may stay, before it is told by [`Choice::opened`]. Where another has to make room for it, that
    /// is left, and so counts no more.
    pub fn admit(&mut self, now: Moment, ip: Option<IpAddr>) -> Admission {
        let admission = self.admission(now, ip);
        if let Admission::Instead(session) = admission {
            self.peers.entry(session).and_modify(|peer| peer.leaving = true);
        }
        admission
    }

    fn admission(&self, now: Moment, ip: Option<IpAddr>) -> Admission {
        if ip.is_some_and(|ip| self.book.is_banned(now, ip)) {
            return Admission::Banned;
        }
        let staying = |peer: &Peer| peer.opened.direction == Direction::In && !peer.leaving;
        let inbound = self.peers.iter().filter(|(_, peer)| staying(peer));
        let mut open: Vec<_> = inbound.map(|(id, peer)| (*id, peer)).collect();
        if open.len() < self.settings.inbound {
            return Admission::Welcome;
        }
        self.protect(&mut open);
        let mut groups: BTreeMap<Group, usize> = BTreeMap::new();
        for (_, peer) in &open {
            *groups.entry(peer.group).or_default() += 1;
        }
        let group = ip.map_or(Group::Private, Group::of);
        let newcomers = groups.get(&group).copied().unwrap_or(0) + 1;
        let Some(largest) = groups.values().max().copied() else { return Admission::Full };
        // A network that would only push out its own, or a smaller one, does not get in.
        if newcomers > largest {
            return Admission::Full;
        }
        let crowd = open.iter().filter(|(_, peer)| groups[&peer.group] == largest);
        let youngest = crowd.max_by_key(|(id, peer)| (peer.since, *id));
        youngest.map_or(Admission::Full, |(id, _)| Admission::Instead(*id))
    }

    /// Takes out those who stay: tenths by a secret order of networks and by use, a fifth by latency, and of the rest half by age.
    fn protect(&self, open: &mut Vec<(SessionId, &Peer)>) {
        let tenth = (self.settings.inbound / 10).max(1);
        let secret = |group: Group| {
            let [a, b, c, d, e] = group.to_bytes();
            Random::new(self.seed ^ u64::from_le_bytes([a, b, c, d, e, 0, 0, 0])).bits()
        };
        keep(open, tenth, |peer| secret(peer.group));
        keep(open, 2 * tenth, |peer| peer.latency_min.unwrap_or(Duration::MAX));
        keep(open, tenth, |peer| Reverse(peer.standing.useful));
        keep(open, open.len() / 2, |peer| peer.since);
    }
}

/// Takes out the first so many in an order.
fn keep<K: Ord>(open: &mut Vec<(SessionId, &Peer)>, count: usize, order: impl Fn(&Peer) -> K) {
    open.sort_by_key(|(id, peer)| (order(peer), *id));
    open.drain(..count.min(open.len()));
}
