//! Announcements of blocks: a header is judged before anything is fetched, and passed on when the chain took the block.

use super::receive::Judging;
use super::score::{FALSE_ID, INVALID_ANNOUNCED};
use super::session::{bit, slots};
use super::{Machine, Turn};
use crate::effect::{BanReason, Effect, JudgeBlock, Lane};
use crate::event::Verdict;
use crate::facts::BlockState;
use crate::id::{SessionId, Ticket};
use crate::known::{IdHashing, Known, Record, Slots, Stage};
use crate::wire::{BlockNotice, Frame, HEADER_BYTES_MAX};
use adit_primitives::BlockId;
use bytes::Bytes;
use std::collections::VecDeque;

/// Blocks remembered in each of two generations.
const KNOWN_MAX: usize = 4096;

/// Blocks announced by one peer that the host judges at once: where a proof takes long to check, a peer has so many checked for nothing.
const NOTICES_JUDGED_MAX: usize = 4;

/// Blocks of which a new peer is told.
const LATEST_MAX: usize = 8;
/// The most bytes of headers in which it is told.
const LATEST_BYTES_MAX: usize = 64 << 10;

/// Returns the bytes of an announced block that wait for the host.
pub(super) fn bytes_of(notice: &BlockNotice) -> usize {
    notice.header.len() + notice.block.as_ref().map_or(0, Bytes::len)
}

/// Who has which of the latest blocks.
#[derive(Debug)]
pub(super) struct BlockTable {
    known: Known<BlockId>,
    /// The headers of the latest, for new peers: what nothing is built on yet, they hear of in no other way.
    latest: VecDeque<BlockNotice>,
}

impl BlockTable {
    pub fn new(hashing: &IdHashing) -> Self {
        Self { known: Known::new(KNOWN_MAX, hashing), latest: VecDeque::new() }
    }

    pub fn len(&self) -> usize {
        self.known.len()
    }

    pub fn forget_holder(&mut self, slot: Slots) {
        self.known.forget_holder(slot);
    }

    pub fn record(&self, id: &BlockId) -> Record {
        self.known.get(id).copied().unwrap_or_default()
    }

    fn remember(&mut self, notice: &BlockNotice) {
        if self.latest.len() >= LATEST_MAX {
            self.latest.pop_front();
        }
        self.latest.push_back(BlockNotice { level: 0, block: None, ..notice.clone() });
    }

    /// Notes that a peer has a block.
    pub fn note(&mut self, id: BlockId, slot: Slots) {
        self.known.touch(id).holders |= slot;
    }

    /// Notes that a block is one of many that this node was behind: it is no news to others.
    pub fn caught_up(&mut self, id: BlockId) {
        let record = self.known.touch(id);
        if record.stage != Stage::Here {
            record.stage = Stage::Asked;
        }
    }

    /// Forgets that a block is being judged.
    pub fn heard(&mut self, id: &BlockId) {
        if let Some(record) = self.known.get_mut(id)
            && record.stage == Stage::Judging
        {
            record.stage = Stage::Heard;
        }
    }

    fn stage(&mut self, id: &BlockId, stage: Stage) {
        if let Some(record) = self.known.get_mut(id) {
            record.stage = stage;
        }
    }
}

impl Machine {
    /// A peer announced blocks.
    pub(super) fn announced(&mut self, turn: &mut Turn<'_>, slot: usize, notices: Vec<BlockNotice>) {
        for notice in notices {
            let record = self.blocks.known.touch(notice.id);
            record.holders |= bit(slot);
            match turn.facts.block(&notice.id) {
                BlockState::Whole => self.counters.notices_again += 1,
                BlockState::Invalid => self.penalize(turn, slot, INVALID_ANNOUNCED),
                BlockState::Header => self.sync.bodies.want_live(notice.id),
                BlockState::Unknown if record.stage == Stage::Judging => self.counters.notices_again += 1,
                BlockState::Unknown => {
                    record.level = notice.level;
                    self.judge_notice(turn, slot, notice);
                }
            }
            self.sync.wanted = true;
        }
    }

    /// Has the host judge an announced block that it does not know: its header, or all of it where it came along. Where as many as it may of this
    /// peer's are there, it waits: of a peer that is banned for the first, no more are judged.
    fn judge_notice(&mut self, turn: &mut Turn<'_>, slot: usize, notice: BlockNotice) {
        let bytes = bytes_of(&notice);
        if !self.make_room(slot, bytes) {
            return;
        }
        let Some(session) = self.sessions.get_mut(slot) else { return };
        if session.notices_judged >= NOTICES_JUDGED_MAX {
            session.notices.push_back(notice);
            return;
        }
        session.notices_judged += 1;
        let session = session.id;
        self.blocks.stage(&notice.id, Stage::Judging);
        let ticket = self.next_ticket();
        let id = notice.id;
        if let Some(block) = notice.block {
            let blocks = vec![(session, id, block.clone())];
            self.judging.insert(ticket, Judging::Blocks { blocks, live: true, room: Some((session, bytes)) });
            turn.effects.push(Effect::JudgeBlocks { ticket, blocks: vec![JudgeBlock { session, id, bytes: block }] });
        } else {
            let headers = vec![notice.header.clone()];
            let forgettings = turn.facts.forgettings();
            self.judging.insert(ticket, Judging::Notice { session, notice, bytes, forgettings });
            turn.effects.push(Effect::JudgeHeaders { ticket, session, headers });
        }
    }

    /// The host judged headers: of an announcement, or a page that was asked for.
    pub(super) fn headers_judged(
        &mut self,
        turn: &mut Turn<'_>,
        ticket: Ticket,
        new: usize,
        last: Option<BlockId>,
        verdict: Verdict,
    ) {
        match self.judging.remove(&ticket) {
            Some(Judging::Notice { session, notice, bytes, forgettings }) => {
                self.give_room(session, bytes);
                self.notice_judged(turn, session, &notice, forgettings, verdict);
                self.judge_next_notice(turn, session);
            }
            Some(Judging::Headers { session, claim, following, forgettings, more }) => {
                let page = super::sync::Page { claim, following, forgettings, more, new, last };
                self.page_judged(turn, session, page, verdict);
            }
            _ => {}
        }
    }

    /// A block that a peer announced was judged: the next that waits is, unless others brought it meanwhile.
    pub(super) fn judge_next_notice(&mut self, turn: &mut Turn<'_>, session: SessionId) {
        let Some(slot) = self.sessions.slot(session) else { return };
        let mut next = self.sessions.get_mut(slot).and_then(|session| {
            session.notices_judged = session.notices_judged.saturating_sub(1);
            session.notices.pop_front()
        });
        while let Some(notice) = next.take() {
            self.give_room(session, bytes_of(&notice));
            self.announced(turn, slot, vec![notice]);
            next = self.sessions.get_mut(slot).and_then(|session| {
                let free = session.notices_judged < NOTICES_JUDGED_MAX;
                free.then(|| session.notices.pop_front()).flatten()
            });
        }
    }

    fn notice_judged(
        &mut self,
        turn: &mut Turn<'_>,
        session: SessionId,
        notice: &BlockNotice,
        forgettings: u64,
        verdict: Verdict,
    ) {
        self.blocks.stage(&notice.id, Stage::Heard);
        self.sync.wanted = true;
        match verdict {
            Verdict::Valid | Verdict::Known => match turn.facts.block(&notice.id) {
                BlockState::Header => {
                    self.sync.bodies.want_live(notice.id);
                    self.sync.bodies.stale();
                }
                // What was forgotten meanwhile is told of again by the peer's pings.
                BlockState::Unknown if turn.facts.forgettings() != forgettings => {}
                BlockState::Unknown => self.penalize_session(turn, session, FALSE_ID),
                BlockState::Whole | BlockState::Invalid => {}
            },
            Verdict::Orphan { .. } => self.announced_orphan(session, notice.id),
            Verdict::Invalid { rule } => self.ban_session(turn, session, BanReason::InvalidHeader { rule }),
            // The peer's pings will tell of it again.
            Verdict::Early | Verdict::Declined | Verdict::Fault | Verdict::Busy => {}
        }
    }

    /// What is between the block and what is known here is asked of whoever announced it.
    pub(super) fn announced_orphan(&mut self, session: SessionId, id: BlockId) {
        if let Some(session) = self.sessions.slot(session).and_then(|slot| self.sessions.get_mut(slot)) {
            session.follow.orphan(id);
        }
    }

    /// The chain took a block: it is announced, unless this node only catches up.
    pub(super) fn block_accepted(&mut self, turn: &mut Turn<'_>, id: BlockId, header: Bytes, block: Option<Bytes>) {
        self.sync.bodies.arrived(&id);
        let record = self.blocks.known.touch(id);
        let caught_up = std::mem::replace(&mut record.stage, Stage::Here) == Stage::Asked;
        let record = *record;
        if header.len() > HEADER_BYTES_MAX {
            return;
        }
        let block = block.filter(|block| block.len() <= self.settings.inline_block_bytes_max);
        let notice = BlockNotice { id, level: record.level, header, block };
        self.blocks.remember(&notice);
        // Of many blocks that this node was behind the last alone is announced: who lacks it asks for what is before it.
        if caught_up {
            self.sync.unannounced = Some(notice);
            self.sync.wanted |= self.sync.bodies.behind() == 0;
        } else {
            self.pass_block(turn, notice, record);
        }
    }

    /// Announces the latest blocks to a new peer.
    pub(super) fn announce_latest(&mut self, turn: &mut Turn<'_>, slot: usize) {
        let blocks = Vec::from(self.blocks.latest.clone());
        let bytes = blocks.iter().map(|notice| notice.header.len()).sum::<usize>();
        if !blocks.is_empty() && bytes <= LATEST_BYTES_MAX {
            blocks.iter().for_each(|notice| self.blocks.note(notice.id, bit(slot)));
            self.send(turn, slot, Lane::Live, &Frame::Announce { blocks }, false);
        }
    }

    /// Announces the last block that was not, once this node has caught up.
    pub(super) fn announce_caught_up(&mut self, turn: &mut Turn<'_>) {
        if let Some(notice) = self.sync.unannounced.take() {
            let record = self.blocks.record(&notice.id);
            self.pass_block(turn, notice, Record { level: 0, ..record });
        }
    }

    /// Returns the peers, ready to be asked, that have a block.
    pub(super) fn ready_holders(&self, id: &BlockId) -> Slots {
        slots(self.blocks.record(id).holders).filter(|slot| self.is_ready(*slot)).map(bit).sum()
    }
}
