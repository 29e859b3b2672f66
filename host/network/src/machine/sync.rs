//! Synchronisation: headers of one peer after the other, the one with the most claimed work first, a page on its way while the
//! one before it is judged; then bodies of all peers that have them, in parallel, handed to the host in order.

use super::bodies::Bodies;
use super::receive::Judging;
use super::score::{FALSE_CLAIM, FALSE_ID, LOOSE_HEADERS, MISSING_BLOCK, STALLING};
use super::session::{Ask, Session, bit, slots};
use super::{Machine, Turn};
use crate::effect::{BanReason, Effect, JudgeBlock, Lane};
use crate::event::Verdict;
use crate::facts::{BlockState, Facts};
use crate::id::{Moment, SessionId, Ticket, Tip};
use crate::known::{IdHashing, Slots};
use crate::view::{Phase, Rate, SyncView};
use crate::wire::{BlockNotice, Features, Frame, LOCATOR_IDS_MAX, Locator};
use adit_primitives::BlockId;
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

/// A node that lacks more blocks catches up: it announces nothing and asks for no transactions.
const BEHIND_MAX: usize = 16;
/// Questions for blocks that one peer may have open.
const BLOCK_REQUESTS_MAX: usize = 2;
/// Further questions that it may have open for blocks that were announced.
const LIVE_REQUESTS_MAX: usize = 2;
/// Pages of headers in a row that may bring nothing new.
const IDLE_PAGES_MAX: u32 = 2;
/// Before everybody who failed is asked again.
const FORGIVE_AFTER: Duration = Duration::from_secs(1);
/// Before a peer is asked again whose headers are from the future.
const EARLY_RETRY: Duration = Duration::from_secs(10);

/// What is fetched, and from whom.
#[derive(Debug)]
pub(super) struct Sync {
    /// Something changed: what to ask is to be looked at.
    pub wanted: bool,
    /// When to look at it in any case.
    pub due: Option<Moment>,
    /// Whose headers are on their way, or at the host.
    headers: Option<Following>,
    /// How often a peer was followed.
    followings: u64,
    pub bodies: Bodies,
    /// The last block that was taken while catching up.
    pub unannounced: Option<BlockNotice>,
    /// Nothing is handed to the host before.
    paused: Option<Moment>,
    blocks_rate: Rate,
    headers_rate: Rate,
}

/// A peer whose headers are followed, page after page. Pages are judged in order, one at a time.
#[derive(Debug)]
struct Following {
    session: SessionId,
    /// Tells its pages from those of other times.
    number: u64,
    /// A page is at the host.
    judging: bool,
    /// The page that waits for it.
    next: Option<Came>,
}

/// A page of headers that came.
#[derive(Debug)]
pub(super) struct Came {
    /// What the peer claimed when it was asked.
    pub claim: Tip,
    /// How often this node had forgotten headers then.
    pub forgettings: u64,
    pub headers: Vec<Bytes>,
    pub more: Option<BlockId>,
}

/// A page of headers that was judged.
pub(super) struct Page {
    pub claim: Tip,
    pub following: u64,
    pub forgettings: u64,
    /// The last of the page by the peer's word, where more follow.
    pub more: Option<BlockId>,
    pub new: usize,
    /// The last that is placed.
    pub last: Option<BlockId>,
}

impl Page {
    /// A page whose beginning this node forgot since it asked, or while it judged, is not the peer's fault: it is asked for again.
    fn excused(&self, facts: &dyn Facts, verdict: Verdict) -> Verdict {
        let torn = match &verdict {
            Verdict::Orphan { .. } => true,
            Verdict::Valid | Verdict::Known => {
                let false_claim = self.more.is_none() && facts.block(&self.claim.id) == BlockState::Unknown;
                false_claim || self.more.is_some_and(|more| Some(more) != self.last)
            }
            _ => false,
        };
        if torn && facts.forgettings() != self.forgettings { Verdict::Busy } else { verdict }
    }
}

impl Sync {
    pub fn new(hashing: &IdHashing) -> Self {
        Self {
            wanted: false,
            due: None,
            headers: None,
            followings: 0,
            bodies: Bodies::new(hashing),
            unannounced: None,
            paused: None,
            blocks_rate: Rate::default(),
            headers_rate: Rate::default(),
        }
    }

    /// Tells whether the node is so far behind that news mean nothing to it.
    pub fn catching_up(&self) -> bool {
        self.bodies.behind() > BEHIND_MAX
    }

    /// A question for headers stays without an answer.
    pub fn headers_ended(&mut self, following: u64) {
        self.headers.take_if(|current| current.number == following);
    }

    /// Returns the bytes of headers and blocks that are here or at the host.
    pub fn held_bytes(&self) -> usize {
        let waiting = self.headers.as_ref().and_then(|following| following.next.as_ref());
        let headers = waiting.map_or(0, |page| page.headers.iter().map(Bytes::len).sum());
        headers + self.bodies.held_bytes()
    }

    /// A session ended.
    pub fn left(&mut self, session: SessionId, slot: Slots) {
        self.headers.take_if(|following| following.session == session);
        self.bodies.forget_holder(slot);
        self.wanted = true;
    }

    fn look_at(&mut self, moment: Moment) {
        self.due = Some(self.due.map_or(moment, |due| due.min(moment)));
    }
}

impl Machine {
    /// Asks for whatever is missing, of whoever may have it.
    pub(super) fn drive(&mut self, turn: &mut Turn<'_>) {
        self.sync.wanted = false;
        self.look_at_orphans(turn);
        if self.sync.headers.is_none() {
            self.follow_next(turn);
        }
        self.sync.bodies.refill(&self.settings, turn.facts);
        self.unstall(turn);
        self.ask_live(turn);
        self.ask_bodies(turn);
        self.hand_over(turn);
        if !self.sync.catching_up() {
            if self.sync.bodies.behind() == 0 {
                self.announce_caught_up(turn);
            }
            if self.sync.headers.is_none() {
                self.ask_pools(turn);
            }
        }
    }

    /// Wants the bodies of announced blocks whose parents have become known.
    fn look_at_orphans(&mut self, turn: &mut Turn<'_>) {
        let (sessions, bodies) = (&mut self.sessions, &mut self.sync.bodies);
        for session in sessions.iter_mut() {
            session.follow.orphans.retain(|id| match turn.facts.block(id) {
                BlockState::Unknown => true,
                BlockState::Header => {
                    bodies.want_live(*id);
                    false
                }
                BlockState::Whole | BlockState::Invalid => false,
            });
        }
    }

    /// Asks the next peer for headers: one whose claim has more work than any header here, the most first; else one that
    /// announced a block whose parents are unknown.
    fn follow_next(&mut self, turn: &mut Turn<'_>) {
        let best = turn.facts.best_header();
        let unknown = |id: &BlockId| turn.facts.block(id) == BlockState::Unknown;
        let mut next: Option<(bool, adit_primitives::Work, Reverse<Duration>, Reverse<usize>)> = None;
        let mut later: Option<Moment> = None;
        for (slot, session) in self.sessions.ready().filter(|(_, session)| session.offers(Features::BLOCKS)) {
            let Some(tip) = session.tip() else { continue };
            let heavier = tip.work > best.work && session.follow.done != Some(tip.id) && unknown(&tip.id);
            let orphan = !session.follow.orphans.is_empty();
            if !heavier && !orphan {
                continue;
            }
            if session.follow.headers_from > turn.now {
                later = Some(later.map_or(session.follow.headers_from, |at| at.min(session.follow.headers_from)));
                continue;
            }
            let latency = Reverse(session.latency.unwrap_or(Duration::MAX));
            next = next.max(Some((heavier, tip.work, latency, Reverse(slot))));
        }
        if let Some((.., Reverse(slot))) = next {
            self.follow(turn, slot);
        } else if let Some(later) = later {
            self.sync.look_at(later);
        }
    }

    fn follow(&mut self, turn: &mut Turn<'_>, slot: usize) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        session.follow.idle_pages = 0;
        let session = session.id;
        self.sync.followings += 1;
        let number = self.sync.followings;
        self.sync.headers = Some(Following { session, number, judging: false, next: None });
        self.ask_headers(turn, slot, number, None);
    }

    /// Asks for the headers above `last`, a header of the page that came before.
    fn ask_headers(&mut self, turn: &mut Turn<'_>, slot: usize, following: u64, last: Option<BlockId>) {
        let Some(claim) = self.sessions.get(slot).and_then(Session::tip) else { return };
        // What is forgotten from here on, the peer takes as known.
        let forgettings = turn.facts.forgettings();
        let known = turn.facts.locator();
        let with_last = |ids: Vec<BlockId>| last.into_iter().chain(ids).take(LOCATOR_IDS_MAX).collect();
        let locator = Locator { blocks: with_last(known.blocks), tips: with_last(known.tips) };
        let what = Ask::Headers { claim, following, forgettings };
        self.ask(turn, slot, what, |request| Frame::GetHeaders { request, locator });
    }

    /// A page of headers came: it is judged once the one before it is.
    pub(super) fn headers_came(&mut self, turn: &mut Turn<'_>, slot: usize, number: u64, page: Came) {
        let current = self.sync.headers.as_mut().filter(|following| following.number == number);
        match current {
            // Nobody waits for it any more.
            None => {}
            Some(following) if following.judging => following.next = Some(page),
            Some(following) => {
                following.judging = true;
                self.judge_page(turn, slot, number, page);
            }
        }
    }

    fn judge_page(&mut self, turn: &mut Turn<'_>, slot: usize, following: u64, page: Came) {
        let Some(session) = self.sessions.get(slot).map(|session| session.id) else { return };
        let Came { claim, forgettings, headers, more } = page;
        if headers.is_empty() {
            let page = Page { claim, following, forgettings, more: None, new: 0, last: None };
            return self.page_judged(turn, session, page, Verdict::Valid);
        }
        let ticket = self.next_ticket();
        self.judging.insert(ticket, Judging::Headers { session, claim, following, forgettings, more });
        turn.effects.push(Effect::JudgeHeaders { ticket, session, headers });
        if more.is_some() {
            self.ask_headers(turn, slot, following, more);
        }
    }

    /// A page of headers was judged: the next is, or the peer was followed to the end of its claim.
    pub(super) fn page_judged(&mut self, turn: &mut Turn<'_>, session: SessionId, page: Page, verdict: Verdict) {
        let current = self.sync.headers.take_if(|following| following.number == page.following);
        self.sync.headers_rate.count(turn.now, page.new);
        self.sync.bodies.stale();
        self.sync.wanted = true;
        let slot = self.sessions.slot(session);
        let follow = slot.and_then(|slot| self.sessions.get_mut(slot)).map(|session| &mut session.follow);
        let later = match page.excused(turn.facts, verdict) {
            Verdict::Valid | Verdict::Known => {
                let (Some(slot), Some(follow)) = (slot, follow) else { return };
                follow.idle_pages = if page.new == 0 { follow.idle_pages + 1 } else { 0 };
                if page.more.is_none() || follow.idle_pages >= IDLE_PAGES_MAX {
                    return self.followed(turn, slot, &page);
                }
                if page.more != page.last {
                    follow.done = Some(page.claim.id);
                    return self.penalize(turn, slot, FALSE_ID);
                }
                return self.go_on(turn, slot, current);
            }
            Verdict::Invalid { rule } => return self.ban_session(turn, session, BanReason::InvalidHeader { rule }),
            Verdict::Orphan { .. } => {
                if let Some(follow) = follow {
                    follow.done = Some(page.claim.id);
                    follow.orphans.clear();
                }
                return self.penalize_session(turn, session, LOOSE_HEADERS);
            }
            Verdict::Early => EARLY_RETRY,
            Verdict::Declined | Verdict::Fault | Verdict::Busy => self.settings.fault_retry,
        };
        let later = turn.now.after(later);
        follow.into_iter().for_each(|follow| follow.headers_from = later);
        self.sync.look_at(later);
    }

    /// The page after one that was judged is, where it is here.
    fn go_on(&mut self, turn: &mut Turn<'_>, slot: usize, current: Option<Following>) {
        let Some(mut following) = current else { return };
        let (number, next) = (following.number, following.next.take());
        following.judging = next.is_some();
        self.sync.headers = Some(following);
        if let Some(page) = next {
            self.judge_page(turn, slot, number, page);
        }
    }

    /// A peer's headers are all here: is its claim true?
    fn followed(&mut self, turn: &mut Turn<'_>, slot: usize, page: &Page) {
        self.look_at_orphans(turn);
        let Some(session) = self.sessions.get_mut(slot) else { return };
        session.follow.done = Some(page.claim.id);
        let loose = !std::mem::take(&mut session.follow.orphans).is_empty();
        let state = turn.facts.block(&page.claim.id);
        // Where more was to come, or the peer has another tip by now with more work, nothing is known to be false.
        let short =
            state == BlockState::Unknown && page.more.is_none() && turn.facts.best_header().work < page.claim.work;
        let other = turn.facts.work(&page.claim.id).is_some_and(|work| work != page.claim.work);
        if short || other {
            self.penalize(turn, slot, FALSE_CLAIM);
        } else if loose && page.more.is_none() && turn.facts.forgettings() == page.forgettings {
            self.penalize(turn, slot, MISSING_BLOCK);
        }
    }

    /// Asks for announced blocks, each of a peer that has it: the least busy, of those the nearest.
    fn ask_live(&mut self, turn: &mut Turn<'_>) {
        let mut chosen: BTreeMap<usize, Vec<BlockId>> = BTreeMap::new();
        for (id, failed) in self.sync.bodies.wanted_live() {
            let holders = self.ready_holders(&id) & !failed;
            let load = |slot: &usize| {
                let session = self.sessions.get(*slot)?;
                let free = session.block_requests() < BLOCK_REQUESTS_MAX + LIVE_REQUESTS_MAX;
                free.then_some((session.block_requests(), session.latency.unwrap_or(Duration::MAX), *slot))
            };
            if holders == 0 {
                self.sync.bodies.give_up(&id);
            } else if let Some((.., slot)) = slots(holders).filter_map(|slot| load(&slot)).min() {
                chosen.entry(slot).or_default().push(id);
            }
        }
        for (slot, ids) in chosen {
            self.ask_blocks(turn, slot, ids);
        }
    }

    /// Other peers are asked for blocks that were not brought soon: for those that were announced, and for the next in order,
    /// which keeps all others waiting, with all that is asked of the same peer.
    fn unstall(&mut self, turn: &mut Turn<'_>) {
        for (id, session) in self.sync.bodies.stalled_live(turn.now) {
            self.replace_supplier(turn, &[id], session, self.ready_holders(&id));
        }
        let Some((session, due)) = self.sync.bodies.awaited() else { return };
        if turn.now < due {
            return self.sync.look_at(due);
        }
        let suppliers = self.suppliers(turn).into_iter().map(bit).sum();
        let ids = self.sync.bodies.asked_of(session);
        self.replace_supplier(turn, &ids, session, suppliers);
    }

    /// Somebody else brings blocks, where somebody else can. A slow line does not make a peer bad: it is blamed once for as
    /// long as it takes to forgive that, and asked for no blocks in order meanwhile.
    fn replace_supplier(&mut self, turn: &mut Turn<'_>, ids: &[BlockId], session: SessionId, others: Slots) {
        let Some(slot) = self.sessions.slot(session).filter(|slot| others & !bit(*slot) != 0) else { return };
        self.sync.bodies.unanswered(session, bit(slot), ids);
        let rest = turn.now.after(self.settings.request_time);
        let Some(session) = self.sessions.get_mut(slot) else { return };
        if session.follow.bodies_from <= turn.now {
            session.follow.bodies_from = rest;
            self.penalize(turn, slot, STALLING);
        }
    }

    /// Returns the peers that can be asked for blocks, the least busy and nearest first.
    fn suppliers(&self, turn: &Turn<'_>) -> Vec<usize> {
        let work = turn.facts.tip().work;
        let able = |session: &Session| {
            session.offers(Features::BLOCKS)
                && session.follow.bodies_from <= turn.now
                && session.block_requests() < BLOCK_REQUESTS_MAX
                && session.tip().is_some_and(|tip| tip.work > work)
        };
        let mut able: Vec<_> = self.sessions.ready().filter(|(_, session)| able(session)).collect();
        able.sort_by_key(|(slot, session)| (session.block_requests(), session.latency.unwrap_or(Duration::MAX), *slot));
        able.into_iter().map(|(slot, _)| slot).collect()
    }

    fn ask_bodies(&mut self, turn: &mut Turn<'_>) {
        if self.sync.bodies.behind() == 0 {
            return;
        }
        for _ in 0..BLOCK_REQUESTS_MAX {
            let suppliers = self.suppliers(turn);
            for slot in &suppliers {
                let ids = self.sync.bodies.choose(&self.settings, bit(*slot), suppliers.len());
                if !ids.is_empty() {
                    self.ask_blocks(turn, *slot, ids);
                }
            }
        }
        if self.sync.bodies.stuck() {
            self.sync.bodies.forgive();
            self.sync.look_at(turn.now.after(FORGIVE_AFTER));
        }
    }

    fn ask_blocks(&mut self, turn: &mut Turn<'_>, slot: usize, ids: Vec<BlockId>) {
        let Some(session) = self.sessions.get(slot).map(|session| session.id) else { return };
        let due = self.sync.bodies.ask(turn.now, &self.settings, session, &ids);
        self.sync.look_at(due);
        let asked = ids.clone();
        self.ask(turn, slot, Ask::Blocks { ids }, |request| Frame::GetBlocks { request, ids: asked });
    }

    /// A peer answered with blocks.
    pub(super) fn blocks_came(
        &mut self,
        turn: &mut Turn<'_>,
        slot: usize,
        ids: &[BlockId],
        blocks: Vec<Option<Bytes>>,
    ) {
        let Some(session) = self.sessions.get(slot).map(|session| session.id) else { return };
        let (answered, rest) = ids.split_at(blocks.len());
        if blocks.is_empty() {
            self.sync.bodies.unanswered(session, bit(slot), rest);
        } else {
            self.sync.bodies.left_over(session, rest);
        }
        let mut brought = false;
        for (id, block) in answered.iter().zip(blocks) {
            let Some(block) = block else {
                self.sync.bodies.unanswered(session, bit(slot), &[*id]);
                continue;
            };
            brought = true;
            if let Some(block) = self.sync.bodies.came(session, id, block) {
                self.judge_blocks(turn, vec![block], true);
            }
        }
        if !brought && let Some(session) = self.sessions.get_mut(slot) {
            session.follow.bodies_from = turn.now.after(FORGIVE_AFTER);
            self.sync.look_at(turn.now.after(FORGIVE_AFTER));
        }
        self.sync.wanted = true;
    }

    /// Hands what is complete to the host, in order.
    fn hand_over(&mut self, turn: &mut Turn<'_>) {
        if self.sync.paused.is_some_and(|until| until > turn.now) {
            return;
        }
        self.sync.paused = None;
        while let Some(group) = self.sync.bodies.group(&self.settings) {
            if self.sync.catching_up() {
                group.iter().for_each(|block| self.blocks.caught_up(block.id));
            }
            self.judge_blocks(turn, group, false);
        }
    }

    fn judge_blocks(&mut self, turn: &mut Turn<'_>, blocks: Vec<JudgeBlock>, live: bool) {
        let ticket = self.next_ticket();
        let judged = blocks.iter().map(|block| (block.session, block.id, block.bytes.clone())).collect();
        self.judging.insert(ticket, Judging::Blocks { blocks: judged, live, room: None });
        turn.effects.push(Effect::JudgeBlocks { ticket, blocks });
    }

    /// The host judged blocks: of the window, or one that an announcement carried.
    pub(super) fn blocks_judged(&mut self, turn: &mut Turn<'_>, ticket: Ticket, verdicts: Vec<Verdict>) {
        let Some(Judging::Blocks { blocks, live, room }) = self.judging.remove(&ticket) else { return };
        self.sync.wanted = true;
        if let Some((session, bytes)) = room {
            self.give_room(session, bytes);
        } else if !live {
            self.sync.bodies.group_judged(blocks.len());
        }
        let in_window = room.is_none();
        let mut again = Vec::new();
        let mut verdicts = verdicts.into_iter();
        for (session, id, bytes) in blocks {
            // What the host did not answer for, it could not judge.
            let verdict = verdicts.next().unwrap_or(Verdict::Fault);
            if let Some(later) = self.retry_after(&verdict).filter(|_| in_window) {
                self.pause(turn, later);
                again.push((session, id, bytes));
                continue;
            }
            if in_window {
                self.sync.bodies.judged(&id, bytes.len());
            } else {
                self.blocks.heard(&id);
            }
            self.block_judged(turn, session, id, live, verdict);
        }
        self.sync.bodies.again(again);
        if let Some((session, _)) = room {
            self.judge_next_notice(turn, session);
        }
    }

    fn retry_after(&self, verdict: &Verdict) -> Option<Duration> {
        match verdict {
            Verdict::Fault => Some(self.settings.fault_retry),
            Verdict::Busy => Some(self.settings.stall_time / 10),
            _ => None,
        }
    }

    /// The next group waits, so that what goes wrong again and again does so slowly.
    fn pause(&mut self, turn: &Turn<'_>, time: Duration) {
        let until = turn.now.after(time);
        self.sync.paused = Some(until);
        self.sync.look_at(until);
    }

    fn block_judged(&mut self, turn: &mut Turn<'_>, session: SessionId, id: BlockId, live: bool, verdict: Verdict) {
        match verdict {
            Verdict::Valid => self.sync.blocks_rate.count(turn.now, 1),
            Verdict::Known => {}
            Verdict::Orphan { missing } if live => self.live_orphan(turn, session, id, &missing),
            Verdict::Invalid { rule } => {
                self.sync.bodies.stale();
                self.ban_session(turn, session, BanReason::InvalidBlock { id, rule });
            }
            // Pings tell of it again.
            Verdict::Early | Verdict::Declined | Verdict::Fault | Verdict::Busy if live => {}
            // The order is taken anew: what is still lacking will be in it.
            Verdict::Orphan { .. } | Verdict::Early | Verdict::Declined | Verdict::Fault | Verdict::Busy => {
                self.sync.bodies.stale();
                self.pause(turn, FORGIVE_AFTER);
            }
        }
    }

    /// A live block lacks parents: bodies where their headers are here, else the peer's headers.
    fn live_orphan(&mut self, turn: &mut Turn<'_>, session: SessionId, id: BlockId, missing: &[BlockId]) {
        let slots = self.sessions.slot(session).map_or(0, bit);
        let mut unknown = missing.is_empty();
        for parent in missing {
            match turn.facts.block(parent) {
                BlockState::Header => {
                    self.blocks.note(*parent, slots);
                    self.sync.bodies.want_live(*parent);
                }
                BlockState::Unknown => unknown = true,
                BlockState::Whole | BlockState::Invalid => {}
            }
        }
        if unknown {
            self.announced_orphan(session, id);
        }
    }

    /// Asks peers that this node dialled for what waits in their pools, once each.
    fn ask_pools(&mut self, turn: &mut Turn<'_>) {
        let wanted = |session: &Session| session.pool_wanted && session.offers(Features::BLOCKS);
        let from: Slots = self.sessions.ready().filter(|(_, s)| wanted(s)).map(|(slot, _)| bit(slot)).sum();
        for slot in slots(from) {
            let request = self.next_request();
            self.sessions.get_mut(slot).into_iter().for_each(|session| session.pool_wanted = false);
            self.send(turn, slot, Lane::Live, &Frame::GetPool { request }, false);
        }
    }

    pub(super) fn sync_view(&self, now: Moment, facts: &dyn Facts) -> SyncView {
        let (tip, best) = (facts.tip(), facts.best_header());
        let claims = self.sessions.ready().filter_map(|(_, session)| session.tip());
        let claimed = claims.filter(|claim| claim.work > best.work).max_by_key(|claim| claim.work);
        let phase = if self.sync.headers.is_some() {
            Phase::Headers
        } else if self.sync.bodies.behind() > 0 {
            Phase::Blocks
        } else {
            Phase::Idle
        };
        SyncView {
            phase,
            headers: best.height,
            blocks: tip.height,
            target: claimed.map_or(best.height, |claim| claim.height.max(best.height)),
            blocks_per_second: self.sync.blocks_rate.per_second(now),
            headers_per_second: self.sync.headers_rate.per_second(now),
        }
    }
}
