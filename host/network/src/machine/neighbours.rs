//! Who else has whom as a peer, so that nobody is sent what the maker sends it.
//!
//! Under gossip a maker sends its items to all its peers and says so ([`Item::TO_ALL`]); whoever passes them on leaves those out who told that they have
//! the maker as a peer too: flooding with self-pruning (H. Lim, C. Kim: Flooding in wireless ad hoc networks, 2001), but that each node speaks for itself
//! alone. Who lies of its own peers is served later, and who lies of sending to all is covered up for by ids told late: neither keeps anything from
//! anybody.

use super::session::bit;
use super::{Machine, Turn};
use crate::effect::Lane;
use crate::id::{Class, Moment, NodeId};
use crate::known::Slots;
use crate::settings::Strategy;
use crate::wire::{Features, Frame, Item};
use std::time::Duration;

/// How long a change waits before it is told: peers mostly come several at a time.
const TELL_DELAY: Duration = Duration::from_secs(1);

impl Machine {
    /// A session's handshake is done, or it is gone: the others will be told.
    pub(super) fn membership_changed(&mut self, now: Moment) {
        self.spread.stale = true;
        if self.local.features.has(Features::SHARES) {
            self.spread.neighbours_due.get_or_insert(now.after(TELL_DELAY));
        }
    }

    /// Tells everybody who takes shares which other such nodes are this node's peers, where that is due.
    pub(super) fn tell_neighbours(&mut self, turn: &mut Turn<'_>) {
        if self.spread.neighbours_due.is_none_or(|due| due > turn.now) {
            return;
        }
        self.spread.neighbours_due = None;
        let sharers = self.sessions.ready().filter(|(_, session)| session.offers(Features::SHARES));
        let (sharers, nodes): (Vec<usize>, Vec<NodeId>) = sharers.map(|(slot, session)| (slot, session.node)).unzip();
        let frame = Frame::Neighbours { nodes };
        for slot in sharers {
            self.send(turn, slot, Lane::Live, &frame, false);
        }
    }

    /// A peer told which nodes are its peers.
    pub(super) fn neighbours_came(&mut self, slot: usize, mut nodes: Vec<NodeId>) {
        nodes.sort_unstable();
        for session in self.sessions.iter_mut() {
            let beside = nodes.binary_search(&session.node).is_ok();
            session.beside = if beside { session.beside | bit(slot) } else { session.beside & !bit(slot) };
        }
        if let Some(session) = self.sessions.get_mut(slot) {
            session.neighbours = nodes;
        }
    }

    /// Returns the sessions whose nodes told that they have `node` as a peer.
    pub(super) fn beside(&self, node: &NodeId) -> Slots {
        let beside = self.sessions.iter().filter(|(_, session)| session.neighbours.binary_search(node).is_ok());
        beside.fold(0, |set, (slot, _)| set | bit(slot))
    }

    /// Nobody speaks for a session that is gone.
    pub(super) fn forget_neighbour(&mut self, slot: Slots) {
        self.sessions.iter_mut().for_each(|session| session.beside &= !slot);
    }

    /// Returns those to whom a session's node sends an item of that level itself, where this node prunes by that: of a flood nobody is left out.
    pub(super) fn promised(&self, slot: usize, class: Class, level: u8) -> Slots {
        let prunes = level == Item::TO_ALL && self.settings.strategies.of(class) == Strategy::Gossip;
        self.sessions.get(slot).filter(|_| prunes).map_or(0, |session| session.beside)
    }
}

/// Chooses those of the mesh to whom the maker does not send; all to whom it does not, where they are no more than gossip would choose.
pub(super) fn mesh_beyond(mesh: Slots, others: Slots, promised: Slots) -> Slots {
    let (near, open) = (mesh & others, others & !promised);
    if open.count_ones() > near.count_ones() { near & open } else { open }
}
