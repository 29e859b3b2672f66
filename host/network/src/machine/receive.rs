//! What each frame does, and the verdicts on what it carried.

use super::score::TOO_MANY_QUESTIONS;
use super::session::Ask;
use super::sync::Came;
use super::{Machine, Turn};
use crate::effect::{BanReason, Effect, Request};
use crate::id::{Class, RequestId, SessionId, Tip};
use crate::settings::SERVES_OPEN_MAX;
use crate::wire::{BlockNotice, Frame, Goodbye, Hello, ItemId, Kind, VERSION, WireError};
use adit_primitives::{BlockId, TxId};
use bytes::Bytes;

/// What the host is judging.
#[derive(Debug)]
pub(super) enum Judging {
    /// The header of an announced block.
    Notice {
        session: SessionId,
        notice: BlockNotice,
        bytes: usize,
        forgettings: u64,
    },
    /// A page of headers that were asked for.
    Headers {
        session: SessionId,
        claim: Tip,
        following: u64,
        forgettings: u64,
        more: Option<BlockId>,
    },
    /// Blocks of the window; or one that an announcement carried, with the room that it takes.
    Blocks {
        blocks: Vec<(SessionId, BlockId, Bytes)>,
        live: bool,
        room: Option<(SessionId, usize)>,
    },
    Transactions {
        session: SessionId,
        ids: Vec<TxId>,
        bytes: usize,
    },
    Items {
        session: SessionId,
        class: Class,
        items: Vec<(ItemId, Bytes)>,
        bytes: usize,
    },
}

impl Machine {
    /// A frame came.
    pub(super) fn received(&mut self, turn: &mut Turn<'_>, session: SessionId, kind: u8, body: Bytes) {
        let Some(slot) = self.sessions.slot(session) else { return };
        let session = self.sessions.get_mut(slot).expect("a slot found by its session is taken");
        let bytes = (body.len() + crate::wire::HEAD_BYTES) as u64;
        session.heard = turn.now;
        session.bytes_in += bytes;
        self.counters.bytes_in += bytes;
        self.counters.frames_in += 1;
        let ready = session.ready();
        let kind = match Kind::from_byte(kind) {
            Ok(kind) => kind,
            Err(error) => return self.malformed(turn, slot, error),
        };
        // Hellos of other versions may look otherwise: their version is what matters.
        if kind == Kind::Hello && Hello::version_of(&body).is_some_and(|version| version != VERSION) {
            return self.leave(turn, slot, Goodbye::Version { version: VERSION });
        }
        match Frame::decode(kind, &body) {
            Err(error) => self.malformed(turn, slot, error),
            Ok(Frame::Goodbye(said)) => self.peer_left(turn, slot, said),
            Ok(Frame::Hello(hello)) if !ready => self.greeted(turn, slot, *hello),
            Ok(Frame::Hello(_)) => self.ban(turn, slot, BanReason::OutOfPlace { frame: "second hello" }),
            Ok(_) if !ready => self.ban(turn, slot, BanReason::OutOfPlace { frame: "first" }),
            Ok(frame) => self.frame(turn, slot, frame, body.len()),
        }
    }

    /// What a session sent is no frame.
    pub(super) fn malformed(&mut self, turn: &mut Turn<'_>, slot: usize, why: WireError) {
        self.ban(turn, slot, BanReason::Malformed { why });
    }

    fn frame(&mut self, turn: &mut Turn<'_>, slot: usize, frame: Frame, bytes: usize) {
        if !is_answer(&frame) && !self.charge(turn, slot, cost(&frame, bytes)) {
            if let Some(request) = question(&frame) {
                self.say_busy(turn, slot, request);
            }
            return;
        }
        match frame {
            // Handled before: a hello and a goodbye have their places.
            Frame::Hello(_) | Frame::Goodbye(_) => {}
            Frame::Ping { nonce, tip } => self.pinged(turn, slot, nonce, tip),
            Frame::Pong { nonce, tip } => self.ponged(turn, slot, nonce, tip),
            Frame::Busy { request } => self.peer_busy(turn, slot, request),
            Frame::Announce { blocks } => self.announced(turn, slot, blocks),
            Frame::AnnounceTransactions { level, ids } => self.transactions_announced(turn, slot, level, ids),
            Frame::GetHeaders { request, locator } => self.serve(turn, slot, request, Request::Headers { locator }),
            Frame::GetBlocks { request, ids } => self.serve(turn, slot, request, Request::Blocks { ids }),
            Frame::GetTransactions { request, ids } => self.serve(turn, slot, request, Request::Transactions { ids }),
            Frame::GetPool { request } => self.serve(turn, slot, request, Request::Pool),
            Frame::GetPeers { request } => self.serve(turn, slot, request, Request::Peers),
            Frame::GetRounds { request, ask } => self.serve(turn, slot, request, Request::Rounds { ask }),
            Frame::Items { class, items } => self.items_came(turn, slot, class, items, bytes),
            Frame::Have { class, ids } => self.ids_came(turn, slot, class, ids),
            Frame::Want { class, ids } => self.items_wanted(turn, slot, class, ids),
            Frame::Link { class, eager } => self.link_set(slot, class, eager),
            Frame::Neighbours { nodes } => self.neighbours_came(slot, nodes),
            frame @ (Frame::Headers { .. }
            | Frame::Blocks { .. }
            | Frame::Transactions { .. }
            | Frame::Peers { .. }
            | Frame::Rounds { .. }) => self.answer(turn, slot, frame, bytes),
        }
    }

    fn answer(&mut self, turn: &mut Turn<'_>, slot: usize, frame: Frame, bytes: usize) {
        let (Frame::Headers { request, .. }
        | Frame::Blocks { request, .. }
        | Frame::Transactions { request, .. }
        | Frame::Peers { request, .. }
        | Frame::Rounds { request, .. }) = &frame
        else {
            return;
        };
        let Some(ask) = self.answered(turn, slot, *request, bytes) else { return };
        let Some(session) = self.sessions.get(slot).map(|session| session.id) else { return };
        match (ask, frame) {
            (Ask::Headers { claim, following, forgettings }, Frame::Headers { headers, more, .. }) => {
                self.headers_came(turn, slot, following, Came { claim, forgettings, headers, more });
            }
            (Ask::Blocks { ids }, Frame::Blocks { blocks, .. }) if blocks.len() <= ids.len() => {
                self.blocks_came(turn, slot, &ids, blocks);
            }
            (Ask::Transactions { ids }, Frame::Transactions { transactions, .. })
                if transactions.len() <= ids.len() =>
            {
                self.transactions_came(turn, slot, &ids, transactions, bytes);
            }
            (Ask::Peers, Frame::Peers { peers, .. }) => turn.effects.push(Effect::Learned { session, peers }),
            (Ask::Rounds { tag }, Frame::Rounds { answer, .. }) => {
                turn.effects.push(Effect::Rounds { session, tag, answer: Some(answer) });
            }
            (ask, _) => self.misanswered(turn, slot, ask),
        }
        self.ask_transactions(turn, slot);
    }

    /// Has the host answer a question.
    fn serve(&mut self, turn: &mut Turn<'_>, slot: usize, request: RequestId, asked: Request) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        if session.serving >= SERVES_OPEN_MAX {
            self.say_busy(turn, slot, request);
            return self.penalize(turn, slot, TOO_MANY_QUESTIONS);
        }
        session.serving += 1;
        turn.effects.push(Effect::Serve { session: session.id, request, asked });
    }

    /// The host answered a question.
    pub(super) fn served(&mut self, slot: usize, bytes: usize) {
        if let Some(session) = self.sessions.get_mut(slot) {
            session.serving = session.serving.saturating_sub(1);
            session.bytes_out += bytes as u64;
            self.counters.bytes_out += bytes as u64;
            self.counters.frames_out += 1;
        }
    }
}

fn is_answer(frame: &Frame) -> bool {
    matches!(
        frame,
        Frame::Headers { .. }
            | Frame::Blocks { .. }
            | Frame::Transactions { .. }
            | Frame::Peers { .. }
            | Frame::Rounds { .. }
            | Frame::Busy { .. }
    )
}

fn question(frame: &Frame) -> Option<RequestId> {
    match frame {
        Frame::GetHeaders { request, .. }
        | Frame::GetBlocks { request, .. }
        | Frame::GetTransactions { request, .. }
        | Frame::GetPool { request }
        | Frame::GetPeers { request }
        | Frame::GetRounds { request, .. } => Some(*request),
        _ => None,
    }
}

/// Returns what a frame takes from its sender's allowance, in units of about a microsecond of this node's work.
fn cost(frame: &Frame, bytes: usize) -> u64 {
    let items = match frame {
        // A header is judged by a plugin, and its block may be fetched.
        Frame::Announce { blocks } => 200 * blocks.len(),
        Frame::AnnounceTransactions { ids, .. } => 2 * ids.len(),
        Frame::GetHeaders { .. } => 2000,
        Frame::GetBlocks { ids, .. } => 100 + 4 * ids.len(),
        Frame::GetTransactions { ids, .. } => 20 + 2 * ids.len(),
        Frame::GetPool { .. } => 5000,
        Frame::GetPeers { .. } | Frame::GetRounds { .. } => 1000,
        Frame::Items { items, .. } => items.len(),
        Frame::Have { ids, .. } => 4 * ids.len(),
        Frame::Want { ids, .. } => 16 * ids.len(),
        Frame::Link { .. } => 20,
        Frame::Neighbours { nodes } => 20 + nodes.len(),
        _ => 0,
    };
    10 + (items + bytes / 256) as u64
}
