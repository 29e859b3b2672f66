//! The window of blocks that are fetched: which are wanted, asked for, here, or being judged.
//!
//! Two kinds share it: blocks in the order of synchronisation, handed to the host in that order, and live blocks, which were
//! announced and are handed over as they come.

use crate::effect::JudgeBlock;
use crate::facts::Facts;
use crate::id::{Moment, SessionId};
use crate::known::{IdHashing, IdMap, Slots};
use crate::settings::Settings;
use adit_primitives::BlockId;
use bytes::Bytes;
use std::collections::VecDeque;

/// Live blocks that may be wanted at a time; what does not fit is found again by pings.
const LIVE_MAX: usize = 256;
/// Groups of blocks that may be at the host.
const GROUPS_MAX: usize = 2;
/// What a block is thought to have before any came, in bytes.
const BLOCK_BYTES_FIRST: usize = 1024;
/// What one request should bring, in bytes.
const REQUEST_BYTES: usize = 512 << 10;
/// Blocks of one request at most.
const REQUEST_BLOCKS_MAX: usize = 256;
/// Blocks of one request at least, where more are wanted: less would cost more in messages than it gains in parallel.
const REQUEST_BLOCKS_MIN: usize = 16;

/// See the module.
#[derive(Debug)]
pub(super) struct Bodies {
    order: VecDeque<BlockId>,
    /// Nothing before this place of `order` is wanted.
    cursor: usize,
    live: Vec<BlockId>,
    entries: IdMap<BlockId, Entry>,
    held_bytes: usize,
    /// Blocks of the order that were asked for.
    asked: usize,
    block_bytes_mean: usize,
    /// Groups at the host, and their blocks.
    groups: usize,
    at_host: usize,
    round: u64,
    /// The host may lack other blocks than when it was last asked.
    stale: bool,
    /// It lacked more than it said then.
    more: bool,
}

#[derive(Debug)]
struct Entry {
    state: State,
    live: bool,
    /// In the order of this round.
    round: u64,
    /// Peers that did not bring it.
    failed: Slots,
}

#[derive(Debug)]
enum State {
    Wanted,
    /// Others are asked for it when it is `due`.
    Asked {
        session: SessionId,
        due: Moment,
    },
    Here {
        session: SessionId,
        bytes: Bytes,
    },
    Judging,
}

impl Bodies {
    pub fn new(hashing: &IdHashing) -> Self {
        Self {
            order: VecDeque::new(),
            cursor: 0,
            live: Vec::new(),
            entries: IdMap::with_hasher(hashing.clone()),
            held_bytes: 0,
            asked: 0,
            block_bytes_mean: BLOCK_BYTES_FIRST,
            groups: 0,
            at_host: 0,
            round: 0,
            stale: true,
            more: false,
        }
    }

    /// Returns the bytes of blocks that are here or at the host.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Returns how many blocks are in the window.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns how many blocks of the order are not judged.
    pub fn behind(&self) -> usize {
        self.order.len() + self.at_host
    }

    /// The host may lack other blocks than before: it is asked again.
    pub fn stale(&mut self) {
        self.stale = true;
    }

    /// Tells whether blocks are wanted, and nobody was asked for any.
    pub fn stuck(&self) -> bool {
        let wanted = |id: &BlockId| self.entries.get(id).is_some_and(|entry| matches!(entry.state, State::Wanted));
        self.asked == 0 && self.groups == 0 && self.order.front().is_some_and(wanted)
    }

    /// Takes the order anew from what the host lacks, once half of it is done.
    pub fn refill(&mut self, settings: &Settings, facts: &dyn Facts) {
        if !(self.stale || self.more) || self.order.len() > settings.window_blocks_max / 2 {
            return;
        }
        let mut lacking = Vec::new();
        facts.lacking(settings.window_blocks_max, &mut lacking);
        self.stale = false;
        self.more = lacking.len() >= settings.window_blocks_max;
        if lacking.is_empty() && self.order.is_empty() {
            return;
        }
        self.round += 1;
        let round = self.round;
        self.order.clear();
        self.cursor = 0;
        for id in lacking.into_iter().take(settings.window_blocks_max) {
            let fresh = Entry { state: State::Wanted, live: false, round, failed: 0 };
            let entry = self.entries.entry(id).or_insert(fresh);
            entry.round = round;
            if !matches!(entry.state, State::Judging) && !entry.live {
                self.order.push_back(id);
            }
        }
        let (mut held, mut asked) = (0, 0);
        self.entries.retain(|_, entry| {
            let kept = entry.live || entry.round == round || matches!(entry.state, State::Judging);
            match &entry.state {
                State::Here { bytes, .. } if !kept => held += bytes.len(),
                State::Asked { .. } if !kept => asked += 1,
                _ => {}
            }
            kept
        });
        self.held_bytes -= held;
        self.asked -= asked;
    }

    /// Wants a block that was announced.
    pub fn want_live(&mut self, id: BlockId) {
        if self.live.len() < LIVE_MAX && !self.entries.contains_key(&id) {
            self.entries.insert(id, Entry { state: State::Wanted, live: true, round: 0, failed: 0 });
            self.live.push(id);
        }
    }

    /// Returns the live blocks that are wanted, each with the peers that did not bring it.
    pub fn wanted_live(&self) -> Vec<(BlockId, Slots)> {
        let wanted = |id: &BlockId| {
            let entry = self.entries.get(id)?;
            matches!(entry.state, State::Wanted).then_some((*id, entry.failed))
        };
        self.live.iter().filter_map(wanted).collect()
    }

    /// Gives a live block up.
    pub fn give_up(&mut self, id: &BlockId) {
        self.drop_entry(id);
    }

    /// Chooses blocks of the order to ask one of `peers` peers for, at most as many as the window has room for.
    pub fn choose(&mut self, settings: &Settings, slot: Slots, peers: usize) -> Vec<BlockId> {
        let expected = self.held_bytes + self.asked * self.block_bytes_mean;
        let room = settings.window_bytes_max.saturating_sub(expected) / self.block_bytes_mean;
        // An empty window has room for one block of any size.
        let room = if expected == 0 { room.max(1) } else { room };
        let share = (self.order.len() / (2 * peers.max(1))).max(REQUEST_BLOCKS_MIN);
        let count = (REQUEST_BYTES / self.block_bytes_mean).clamp(1, REQUEST_BLOCKS_MAX).min(share).min(room);
        let mut chosen = Vec::new();
        let mut all_before_taken = true;
        for place in self.cursor..self.order.len() {
            if chosen.len() >= count {
                break;
            }
            let entry = self.entries.get(&self.order[place]);
            if let Some(entry) = entry.filter(|entry| matches!(entry.state, State::Wanted)) {
                if entry.failed & slot == 0 {
                    chosen.push(self.order[place]);
                } else {
                    all_before_taken = false;
                }
            }
            if all_before_taken {
                self.cursor = place + 1;
            }
        }
        chosen
    }

    /// Notes that blocks are asked for. Returns when others are to be asked, where they have not come: later where more is on its way from this peer,
    /// since a slow line is no fault.
    pub fn ask(&mut self, now: Moment, settings: &Settings, session: SessionId, ids: &[BlockId]) -> Moment {
        let open = self.asked_of(session).len() + ids.len();
        let due = now.after(settings.stall_time + settings.line_time((open * self.block_bytes_mean) as u64));
        for id in ids {
            if let Some(entry) = self.entries.get_mut(id) {
                self.asked += usize::from(!entry.live && !matches!(entry.state, State::Asked { .. }));
                entry.state = State::Asked { session, due };
            }
        }
        due
    }

    /// Blocks that a peer was asked for will not come from it.
    pub fn unanswered(&mut self, session: SessionId, slots: Slots, ids: &[BlockId]) {
        for id in ids {
            let Some(entry) = self.entries.get_mut(id) else { continue };
            entry.failed |= slots;
            if matches!(entry.state, State::Asked { session: asked, .. } if asked == session) {
                entry.state = State::Wanted;
                self.asked -= usize::from(!entry.live);
                self.cursor = 0;
            }
        }
    }

    /// Blocks were left over by an answer that was full: its peer may be asked again.
    pub fn left_over(&mut self, session: SessionId, ids: &[BlockId]) {
        self.unanswered(session, 0, ids);
    }

    /// Forgets who failed: everybody did, and may not the next time.
    pub fn forgive(&mut self) {
        self.entries.values_mut().for_each(|entry| entry.failed = 0);
        self.cursor = 0;
    }

    /// A peer's slot is free: what it failed at is not its successor's failure.
    pub fn forget_holder(&mut self, slot: Slots) {
        self.entries.values_mut().for_each(|entry| entry.failed &= !slot);
    }

    /// Takes a block that came. Returns it where it is live: it waits for no other.
    pub fn came(&mut self, session: SessionId, id: &BlockId, bytes: Bytes) -> Option<JudgeBlock> {
        let entry = self.entries.get_mut(id)?;
        match entry.state {
            State::Here { .. } | State::Judging => return None,
            State::Asked { .. } => self.asked -= usize::from(!entry.live),
            State::Wanted => {}
        }
        self.block_bytes_mean = ((self.block_bytes_mean * 15 + bytes.len()) / 16).max(64);
        self.held_bytes += bytes.len();
        if entry.live {
            entry.state = State::Judging;
            return Some(JudgeBlock { session, id: *id, bytes });
        }
        entry.state = State::Here { session, bytes };
        None
    }

    /// Takes the next group for the host, in order, where one is complete and the host has room.
    pub fn group(&mut self, settings: &Settings) -> Option<Vec<JudgeBlock>> {
        if self.groups >= GROUPS_MAX {
            return None;
        }
        let (mut group, mut total) = (Vec::new(), 0);
        while let Some(id) = self.order.front().copied() {
            let entry = self.entries.get_mut(&id);
            let Some(Entry { state, .. }) = entry else {
                self.pop();
                continue;
            };
            let State::Here { session, bytes } = state else { break };
            let full = group.len() >= settings.group_blocks_max || total + bytes.len() > settings.group_bytes_max;
            if full && !group.is_empty() {
                break;
            }
            total += bytes.len();
            group.push(JudgeBlock { session: *session, id, bytes: bytes.clone() });
            *state = State::Judging;
            self.pop();
        }
        self.groups += usize::from(!group.is_empty());
        self.at_host += group.len();
        (!group.is_empty()).then_some(group)
    }

    fn pop(&mut self) {
        self.order.pop_front();
        self.cursor = self.cursor.saturating_sub(1);
    }

    /// A group of so many blocks came back from the host.
    pub fn group_judged(&mut self, blocks: usize) {
        self.groups -= 1;
        self.at_host -= blocks;
    }

    /// A block was judged for good.
    pub fn judged(&mut self, id: &BlockId, bytes: usize) {
        self.held_bytes -= bytes;
        self.entries.remove(id);
        self.live.retain(|live| live != id);
    }

    /// Blocks could not be judged: they are handed over again later, in the same order.
    pub fn again(&mut self, blocks: Vec<(SessionId, BlockId, Bytes)>) {
        for (session, id, bytes) in blocks.into_iter().rev() {
            let Some(entry) = self.entries.get_mut(&id) else {
                self.held_bytes -= bytes.len();
                continue;
            };
            if std::mem::take(&mut entry.live) {
                self.live.retain(|live| *live != id);
            }
            entry.state = State::Here { session, bytes };
            self.order.push_front(id);
            self.cursor += 1;
        }
    }

    /// The chain has a block, by whatever way: it is not wanted any more.
    pub fn arrived(&mut self, id: &BlockId) {
        if self.entries.get(id).is_some_and(|entry| !matches!(entry.state, State::Judging)) {
            self.drop_entry(id);
        }
    }

    fn drop_entry(&mut self, id: &BlockId) {
        let Some(entry) = self.entries.remove(id) else { return };
        self.live.retain(|live| live != id);
        match entry.state {
            State::Here { bytes, .. } => self.held_bytes -= bytes.len(),
            State::Asked { .. } => self.asked -= usize::from(!entry.live),
            State::Wanted | State::Judging => {}
        }
    }

    /// Returns the live blocks that were not brought in time, each with whom it was asked of.
    pub fn stalled_live(&self, now: Moment) -> Vec<(BlockId, SessionId)> {
        let stalled = |id: &BlockId| match self.entries.get(id)?.state {
            State::Asked { session, due } => (due <= now).then_some((*id, session)),
            _ => None,
        };
        self.live.iter().filter_map(stalled).collect()
    }

    /// Returns whom the next block in order was asked of, and when it is due.
    pub fn awaited(&self) -> Option<(SessionId, Moment)> {
        match self.entries.get(self.order.front()?)?.state {
            State::Asked { session, due } => Some((session, due)),
            _ => None,
        }
    }

    /// Returns the blocks that a peer was asked for and has not brought.
    pub fn asked_of(&self, session: SessionId) -> Vec<BlockId> {
        let asked = |id: &&BlockId| {
            let state = self.entries.get(*id).map(|entry| &entry.state);
            matches!(state, Some(State::Asked { session: asked, .. }) if *asked == session)
        };
        self.order.iter().chain(&self.live).filter(asked).copied().collect()
    }
}
