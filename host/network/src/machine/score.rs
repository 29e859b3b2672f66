//! What faults cost: points, allowances, bans.

use super::session::Session;
use super::{Machine, Turn};
use crate::effect::{BanReason, CloseReason, Effect};
use crate::id::{Address, Moment, NodeId, SessionId};
use crate::settings::SCORE_BAN;
use crate::wire::Goodbye;
use std::collections::{BTreeMap, VecDeque};

/// Bans remembered; the one that ends first makes room.
const BANS_MAX: usize = 4096;
/// Sessions that ended of which a late verdict still finds the node.
const DEPARTED_MAX: usize = 256;
/// Milliseconds in which one point is given back.
const FORGIVE_MILLIS: u64 = 10_000;

/// A fault and its points.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    pub points: i32,
    pub name: &'static str,
}

const fn fault(points: i32, name: &'static str) -> Fault {
    Fault { points, name }
}

pub(super) const ALLOWANCE_SPENT: Fault = fault(1, "sending more than its allowance");
pub(super) const TOO_MANY_QUESTIONS: Fault = fault(1, "too many questions at a time");
pub(super) const LATE_ANSWER: Fault = fault(10, "not answering in time");
pub(super) const STALLING: Fault = fault(2, "keeping the next block back");
pub(super) const FALSE_ID: Fault = fault(50, "announcing a block by a false id");
pub(super) const FALSE_CLAIM: Fault = fault(50, "claiming work that it does not have");
pub(super) const LOOSE_HEADERS: Fault = fault(20, "headers without their parents");
pub(super) const MISSING_BLOCK: Fault = fault(10, "announcing a block that it does not have");
pub(super) const INVALID_ANNOUNCED: Fault = fault(20, "announcing a block that breaks a rule");
pub(super) const INVALID_TRANSACTION: Fault = fault(20, "a transaction that breaks a rule");
pub(super) const REJECTED_ITEM: Fault = fault(20, "a share or vote that breaks a rule");
pub(super) const MISSING_ITEM: Fault = fault(2, "telling ids of items that it does not have");
pub(super) const BLAMED: Fault = fault(0, "what the host found");

/// Who is banned, and who was here.
#[derive(Debug, Default)]
pub(super) struct Bans {
    until: BTreeMap<NodeId, Moment>,
    departed: VecDeque<(SessionId, NodeId, Address)>,
}

impl Bans {
    /// Tells whether a node is banned.
    pub fn holds(&self, now: Moment, node: &NodeId) -> bool {
        self.until.get(node).is_some_and(|until| *until > now)
    }

    fn insert(&mut self, now: Moment, node: NodeId, until: Moment) {
        if self.until.len() >= BANS_MAX {
            self.until.retain(|_, until| *until > now);
        }
        if self.until.len() >= BANS_MAX
            && let Some(first) = self.until.iter().min_by_key(|(_, until)| **until).map(|(node, _)| *node)
        {
            self.until.remove(&first);
        }
        self.until.insert(node, until);
    }

    /// Goes through the nodes whose session ended, the last first.
    pub fn departed(&self) -> impl Iterator<Item = NodeId> {
        self.departed.iter().rev().map(|(_, node, _)| *node)
    }

    /// Remembers a session that ended.
    pub fn depart(&mut self, session: SessionId, node: NodeId, address: Address) {
        if self.departed.len() >= DEPARTED_MAX {
            self.departed.pop_front();
        }
        self.departed.push_back((session, node, address));
    }
}

impl Session {
    /// Gives back the points of the time that passed.
    pub(super) fn forgive(&mut self, now: Moment) {
        let forgiven = now.to_millis().saturating_sub(self.score_at.to_millis()) / FORGIVE_MILLIS;
        self.score_at = Moment::from_millis(self.score_at.to_millis() + forgiven * FORGIVE_MILLIS);
        self.score = self.score.saturating_add(i32::try_from(forgiven).unwrap_or(i32::MAX)).min(0);
    }
}

impl Machine {
    /// Takes units from a session's allowance. Where they are not there the frame is refused, which costs a point.
    pub(super) fn charge(&mut self, turn: &mut Turn<'_>, slot: usize, units: u64) -> bool {
        let allowance = self.settings.allowance;
        let Some(session) = self.sessions.get_mut(slot) else { return false };
        if session.allowance.take(allowance, turn.now, units) {
            return true;
        }
        self.counters.refused += 1;
        self.penalize(turn, slot, ALLOWANCE_SPENT);
        false
    }

    /// Takes points from a session, and bans its node where they are used up.
    pub(super) fn penalize(&mut self, turn: &mut Turn<'_>, slot: usize, fault: Fault) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        session.forgive(turn.now);
        session.score = session.score.saturating_sub(fault.points);
        if session.score <= SCORE_BAN {
            let reason = BanReason::Score { score: session.score, last: fault.name };
            self.ban(turn, slot, reason);
        }
    }

    /// As [`Machine::penalize`], by the session's id, which may have ended.
    pub(super) fn penalize_session(&mut self, turn: &mut Turn<'_>, session: SessionId, fault: Fault) {
        if let Some(slot) = self.sessions.slot(session) {
            self.penalize(turn, slot, fault);
        }
    }

    /// Bans the node of a session and leaves it.
    pub(super) fn ban(&mut self, turn: &mut Turn<'_>, slot: usize, reason: BanReason) {
        let Some(session) = self.sessions.get(slot) else { return };
        let (node, address) = (session.node, session.address.clone());
        self.close(turn, slot, Goodbye::Banned, CloseReason::Banned { reason: reason.clone() });
        self.ban_node(turn, node, address, reason);
    }

    /// As [`Machine::ban`], by the session's id: a node that left after the deed is banned too.
    pub(super) fn ban_session(&mut self, turn: &mut Turn<'_>, id: SessionId, reason: BanReason) {
        if let Some(slot) = self.sessions.slot(id) {
            return self.ban(turn, slot, reason);
        }
        let departed = self.bans.departed.iter().rev().find(|(session, ..)| *session == id);
        if let Some(node) = departed.map(|(_, node, _)| *node) {
            // It may be back by another session.
            self.ban_by_name(turn, node, reason);
        }
    }

    /// As [`Machine::ban`], by the node's name, whose session may have ended.
    pub(super) fn ban_by_name(&mut self, turn: &mut Turn<'_>, node: NodeId, reason: BanReason) {
        let slot = self.sessions.iter().find(|(_, session)| session.node == node).map(|(slot, _)| slot);
        if let Some(slot) = slot {
            return self.ban(turn, slot, reason);
        }
        let departed = self.bans.departed.iter().rev().find(|(_, departed, _)| *departed == node);
        if let Some(address) = departed.map(|(.., address)| address.clone()) {
            self.ban_node(turn, node, address, reason);
        }
    }

    fn ban_node(&mut self, turn: &mut Turn<'_>, node: NodeId, address: Address, reason: BanReason) {
        let until = turn.now.after(self.settings.ban_time);
        self.bans.insert(turn.now, node, until);
        self.counters.bans += 1;
        turn.effects.push(Effect::Ban { node, address, until, reason });
    }

    /// Takes points from a node by the host's word.
    pub(super) fn blame(&mut self, turn: &mut Turn<'_>, node: NodeId, points: u32) {
        let slot = self.sessions.iter().find(|(_, session)| session.node == node).map(|(slot, _)| slot);
        if let Some(slot) = slot {
            let points = i32::try_from(points).unwrap_or(i32::MAX);
            self.penalize(turn, slot, Fault { points, ..BLAMED });
        }
    }
}
