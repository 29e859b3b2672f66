//! This node's questions: numbered, limited in time, each answered once.

use super::score::LATE_ANSWER;
use super::session::{Ask, Asked, bit};
use super::{Machine, Turn};
use crate::effect::{Effect, Lane};
use crate::id::{RequestId, SessionId};
use crate::settings::SERVES_OPEN_MAX;
use crate::wire::Frame;
use bytes::Bytes;

/// Questions to one peer that may be open: fewer than it serves at a time.
const ASKED_MAX: usize = SERVES_OPEN_MAX - 1;

impl Machine {
    /// Numbers a question.
    pub(super) fn next_request(&mut self) -> RequestId {
        self.requests = self.requests.wrapping_add(1);
        RequestId(self.requests)
    }

    /// Asks a peer, unless too much is asked of it already: then the question is as good as unanswered.
    pub(super) fn ask(&mut self, turn: &mut Turn<'_>, slot: usize, what: Ask, frame: impl FnOnce(RequestId) -> Frame) {
        let request = self.next_request();
        let Some(session) = self.sessions.get_mut(slot) else { return };
        if session.asked.len() >= ASKED_MAX {
            let id = session.id;
            return self.unanswered(turn, id, what);
        }
        // Answers come one after another over one line.
        let bytes = session.asked_bytes() + what.answer_bytes();
        let deadline = turn.now.after(self.settings.request_time + self.settings.line_time(bytes));
        let Some(session) = self.sessions.get_mut(slot) else { return };
        session.asked.push(Asked { request, what, deadline });
        self.send(turn, slot, Lane::Live, &frame(request), false);
        self.due(deadline);
    }

    /// Asks a peer for addresses.
    pub(super) fn ask_peers(&mut self, turn: &mut Turn<'_>, slot: usize) {
        self.ask(turn, slot, Ask::Peers, |request| Frame::GetPeers { request });
    }

    /// Asks a peer about rounds.
    pub(super) fn ask_rounds(&mut self, turn: &mut Turn<'_>, session: SessionId, tag: u64, ask: Bytes) {
        let sound = ask.len() <= crate::wire::ROUNDS_ASK_BYTES_MAX;
        match self.sessions.slot(session).filter(|slot| sound && self.is_ready(*slot)) {
            Some(slot) => self.ask(turn, slot, Ask::Rounds { tag }, |request| Frame::GetRounds { request, ask }),
            None => turn.effects.push(Effect::Rounds { session, tag, answer: None }),
        }
    }

    /// A peer answered: takes the question off. An answer to no question is most likely one that came too late; it is paid
    /// for as what nobody asked for.
    pub(super) fn answered(
        &mut self,
        turn: &mut Turn<'_>,
        slot: usize,
        request: RequestId,
        bytes: usize,
    ) -> Option<Ask> {
        let session = self.sessions.get_mut(slot)?;
        let place = session.asked.iter().position(|asked| asked.request == request);
        let Some(place) = place else {
            self.charge(turn, slot, 100 + bytes as u64 / 16);
            return None;
        };
        Some(session.asked.swap_remove(place).what)
    }

    /// A peer answered by a frame that does not fit the question.
    pub(super) fn misanswered(&mut self, turn: &mut Turn<'_>, slot: usize, what: Ask) {
        let id = self.sessions.get(slot).map(|session| session.id);
        self.penalize(turn, slot, LATE_ANSWER);
        if let Some(id) = id {
            self.unanswered(turn, id, what);
        }
    }

    /// A peer cannot answer now.
    pub(super) fn peer_busy(&mut self, turn: &mut Turn<'_>, slot: usize, request: RequestId) {
        let Some(what) = self.answered(turn, slot, request, 0) else { return };
        let later = turn.now.after(self.settings.stall_time);
        let Some(session) = self.sessions.get_mut(slot) else { return };
        match &what {
            Ask::Headers { .. } => session.follow.headers_from = later,
            Ask::Blocks { .. } => session.follow.bodies_from = later,
            Ask::Transactions { .. } | Ask::Peers | Ask::Rounds { .. } => {}
        }
        let id = session.id;
        self.due(later);
        self.unanswered(turn, id, what);
    }

    /// Takes questions off that were not answered in time.
    pub(super) fn expire(&mut self, turn: &mut Turn<'_>, slot: usize) {
        while let Some(session) = self.sessions.get_mut(slot) {
            let late = session.asked.iter().position(|asked| asked.deadline <= turn.now);
            let Some(place) = late else { return };
            let what = session.asked.swap_remove(place).what;
            let id = session.id;
            match what {
                Ask::Headers { .. } => session.follow.headers_from = turn.now.after(self.settings.request_time),
                Ask::Blocks { .. } => session.follow.bodies_from = turn.now.after(self.settings.request_time),
                Ask::Transactions { .. } | Ask::Peers | Ask::Rounds { .. } => {}
            }
            self.counters.timeouts += 1;
            self.unanswered(turn, id, what);
            self.penalize(turn, slot, LATE_ANSWER);
        }
    }

    /// What becomes of a question that its peer will not answer: others are asked.
    pub(super) fn unanswered(&mut self, turn: &mut Turn<'_>, session: SessionId, what: Ask) {
        let slots = self.sessions.slot(session).map_or(0, bit);
        match what {
            Ask::Headers { following, .. } => self.sync.headers_ended(following),
            Ask::Blocks { ids } => self.sync.bodies.unanswered(session, slots, &ids),
            Ask::Transactions { ids } => self.transactions_unanswered(turn, slots, &ids),
            Ask::Peers => {}
            Ask::Rounds { tag } => turn.effects.push(Effect::Rounds { session, tag, answer: None }),
        }
        self.sync.wanted = true;
    }

    /// Says to a peer that its question is not answered now.
    pub(super) fn say_busy(&mut self, turn: &mut Turn<'_>, slot: usize, request: RequestId) {
        self.send(turn, slot, Lane::Live, &Frame::Busy { request }, false);
    }

    /// Tells whether what a peer sent may wait at the host for its verdict, and notes its bytes if so: no peer may fill more
    /// than a quarter of the room.
    pub(super) fn make_room(&mut self, slot: usize, bytes: usize) -> bool {
        let max = self.settings.judging_bytes_max;
        let Some(session) = self.sessions.get_mut(slot) else { return false };
        if self.judging_bytes + bytes > max || session.judging_bytes + bytes > max / 4 {
            self.counters.refused += 1;
            return false;
        }
        session.judging_bytes += bytes;
        self.judging_bytes += bytes;
        true
    }

    /// Gives back the room of [`Machine::make_room`].
    pub(super) fn give_room(&mut self, session: SessionId, bytes: usize) {
        self.judging_bytes = self.judging_bytes.saturating_sub(bytes);
        if let Some(session) = self.sessions.slot(session).and_then(|slot| self.sessions.get_mut(slot)) {
            session.judging_bytes = session.judging_bytes.saturating_sub(bytes);
        }
    }
}
