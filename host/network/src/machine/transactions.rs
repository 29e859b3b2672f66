//! Transactions: announced by id, asked for once, judged, passed on when the pool takes them.

use super::receive::Judging;
use super::score::INVALID_TRANSACTION;
use super::session::{Ask, bit};
use super::{Machine, Turn};
use crate::effect::Effect;
use crate::event::Verdict;
use crate::id::{SessionId, Ticket};
use crate::known::{IdHashing, Known, Record, Slots, Stage};
use crate::wire::{Frame, TRANSACTION_IDS_MAX};
use adit_primitives::TxId;
use bytes::Bytes;
use std::collections::BTreeMap;

/// Transactions remembered in each of two generations.
const KNOWN_MAX: usize = 32_768;

/// Transactions that wait to be asked of one peer.
const WANTED_MAX: usize = 16_384;
/// Questions for transactions that one peer may have open.
const TRANSACTION_REQUESTS_MAX: usize = 2;

/// What is known of transactions on their way.
#[derive(Debug)]
pub(super) struct TransactionTable {
    known: Known<TxId>,
}

impl TransactionTable {
    pub fn new(hashing: &IdHashing) -> Self {
        Self { known: Known::new(KNOWN_MAX, hashing) }
    }

    pub fn len(&self) -> usize {
        self.known.len()
    }

    pub fn forget_holder(&mut self, slot: Slots) {
        self.known.forget_holder(slot);
    }

    pub fn record(&self, id: &TxId) -> Record {
        self.known.get(id).copied().unwrap_or_default()
    }

    /// Tells whether a peer has not heard of a transaction, and notes that it has now.
    pub fn tell(&mut self, id: &TxId, slot: Slots) -> bool {
        let Some(record) = self.known.get_mut(id) else { return true };
        let new = record.holders & slot == 0;
        record.holders |= slot;
        new
    }
}

impl Machine {
    /// A peer announced transactions: those that nobody was asked for are asked for.
    pub(super) fn transactions_announced(&mut self, turn: &mut Turn<'_>, slot: usize, level: u8, ids: Vec<TxId>) {
        // What waits now means nothing to a node that is far behind.
        if self.sync.catching_up() {
            return;
        }
        let mut wanted = Vec::new();
        for id in ids {
            let record = self.transactions.known.touch(id);
            record.holders |= bit(slot);
            if record.stage == Stage::Heard {
                record.level = level;
                if turn.facts.transaction(&id) {
                    record.stage = Stage::Here;
                } else {
                    record.stage = Stage::Asked;
                    wanted.push(id);
                }
            }
        }
        self.want_transactions(turn, slot, wanted);
    }

    /// Asks a peer for transactions: those for which there is no question now wait for an answer.
    fn want_transactions(&mut self, turn: &mut Turn<'_>, slot: usize, ids: Vec<TxId>) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let room = WANTED_MAX.saturating_sub(session.transactions_wanted.len()).min(ids.len());
        let (taken, left) = ids.split_at(room);
        session.transactions_wanted.extend(taken);
        for id in left {
            if let Some(record) = self.transactions.known.get_mut(id) {
                record.stage = Stage::Heard;
            }
        }
        self.ask_transactions(turn, slot);
    }

    /// Asks for what waits to be asked of a peer, many at a time.
    pub(super) fn ask_transactions(&mut self, turn: &mut Turn<'_>, slot: usize) {
        while let Some(session) = self.sessions.get_mut(slot)
            && session.transaction_requests() < TRANSACTION_REQUESTS_MAX
            && !session.transactions_wanted.is_empty()
        {
            let count = session.transactions_wanted.len().min(TRANSACTION_IDS_MAX);
            let ids: Vec<_> = session.transactions_wanted.drain(..count).collect();
            let asked = ids.clone();
            let frame = |request| Frame::GetTransactions { request, ids: asked };
            self.ask(turn, slot, Ask::Transactions { ids }, frame);
        }
    }

    /// A peer answered with transactions.
    pub(super) fn transactions_came(
        &mut self,
        turn: &mut Turn<'_>,
        slot: usize,
        ids: &[TxId],
        found: Vec<Option<Bytes>>,
        bytes: usize,
    ) {
        let rest = ids.get(found.len()..).unwrap_or_default();
        if found.is_empty() {
            return self.transactions_unanswered(turn, bit(slot), rest);
        }
        self.want_transactions(turn, slot, rest.to_vec());
        let (mut here, mut absent) = (Vec::new(), Vec::new());
        for (id, bytes) in ids.iter().zip(found) {
            match bytes {
                Some(bytes) => here.push((*id, bytes)),
                None => absent.push(*id),
            }
        }
        self.transactions_unanswered(turn, bit(slot), &absent);
        let Some(session) = self.sessions.get(slot).map(|session| session.id) else { return };
        if here.is_empty() {
            return;
        }
        let room = self.make_room(slot, bytes);
        for (id, _) in &here {
            if let Some(record) = self.transactions.known.get_mut(id) {
                record.stage = if room { Stage::Judging } else { Stage::Heard };
            }
        }
        if room {
            let ticket = self.next_ticket();
            let ids = here.iter().map(|(id, _)| *id).collect();
            self.judging.insert(ticket, Judging::Transactions { session, ids, bytes });
            turn.effects.push(Effect::JudgeTransactions { ticket, session, transactions: here });
        }
    }

    /// A peer did not have transactions, or did not answer: others who have them are asked.
    pub(super) fn transactions_unanswered(&mut self, turn: &mut Turn<'_>, slots: Slots, ids: &[TxId]) {
        let mut others: BTreeMap<usize, Vec<TxId>> = BTreeMap::new();
        for id in ids {
            let Some(record) = self.transactions.known.get_mut(id) else { continue };
            if record.stage != Stage::Asked {
                continue;
            }
            record.holders &= !slots;
            record.stage = Stage::Heard;
            let holders = record.holders;
            if let Some(other) = self.pick(holders) {
                others.entry(other).or_default().push(*id);
            }
        }
        for (slot, ids) in others {
            // A peer that is asked too much already would send the question back here: it must have one holder less then.
            for id in &ids {
                if let Some(record) = self.transactions.known.get_mut(id) {
                    record.stage = Stage::Asked;
                }
            }
            self.want_transactions(turn, slot, ids);
        }
    }

    /// The host judged transactions.
    pub(super) fn transactions_judged(&mut self, turn: &mut Turn<'_>, ticket: Ticket, verdicts: Vec<Verdict>) {
        let Some(Judging::Transactions { session, ids, bytes }) = self.judging.remove(&ticket) else { return };
        self.give_room(session, bytes);
        for (id, verdict) in ids.into_iter().zip(verdicts) {
            let stage = match verdict {
                Verdict::Valid | Verdict::Known => Stage::Here,
                Verdict::Declined | Verdict::Early => Stage::Refused,
                Verdict::Invalid { .. } => {
                    self.transaction_invalid(turn, session, id);
                    continue;
                }
                // It may be told again.
                Verdict::Orphan { .. } | Verdict::Fault | Verdict::Busy => Stage::Heard,
            };
            if let Some(record) = self.transactions.known.get_mut(&id) {
                record.stage = stage;
            }
        }
    }

    /// The id does not cover signatures: another peer may have the same transaction with a good one.
    fn transaction_invalid(&mut self, turn: &mut Turn<'_>, session: SessionId, id: TxId) {
        if let Some(record) = self.transactions.known.get_mut(&id) {
            record.stage = Stage::Asked;
        }
        let slots = self.sessions.slot(session).map_or(0, bit);
        self.penalize_session(turn, session, INVALID_TRANSACTION);
        self.transactions_unanswered(turn, slots, &[id]);
    }

    /// The pool took transactions: they are passed on.
    pub(super) fn transactions_accepted(&mut self, turn: &mut Turn<'_>, ids: &[TxId]) {
        for id in ids {
            let record = self.transactions.known.touch(*id);
            record.stage = Stage::Here;
            let record = *record;
            self.pass_transaction(turn, *id, record);
        }
    }
}
