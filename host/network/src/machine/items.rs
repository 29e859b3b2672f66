//! Shares and votes: whole items that come, ids that are told, what was missed and is asked for.

use super::receive::Judging;
use super::score::{MISSING_ITEM, REJECTED_ITEM};
use super::session::bit;
use super::spread::link_of;
use super::{Machine, Turn};
use crate::effect::{BanReason, Effect, Lane};
use crate::event::Acceptance;
use crate::id::{Class, Moment, Ticket};
use crate::known::{IdHashing, IdMap, Known, Record, Slots, Stage};
use crate::settings::Strategy;
use crate::wire::{Features, Frame, ITEM_BYTES_MAX, Item, ItemId};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Items of a class remembered in each of two generations.
const KNOWN_MAX: usize = 65_536;
/// Items of a class whose ids were told and that have not come; further ids are not followed.
const MISSING_MAX: usize = 8192;
/// How often an item is asked for.
const TRIES_MAX: u32 = 3;
/// Peers from whom whole items are wanted at least, so that one may fail without a gap.
const PULL_MIN: usize = 2;
/// Of fewer repetitions nothing is learned about a link.
const AGAINS_MIN: u32 = 8;

/// How long links are left alone after one was made anew for the first time.
const CALM_MIN: Duration = Duration::from_secs(1);
/// How long at most.
const CALM_MAX: Duration = Duration::from_secs(8);

/// What is known of shares and votes, and the items themselves for those who missed them.
#[derive(Debug)]
pub(super) struct ItemTables {
    tables: [Table; 2],
    store: IdMap<ItemId, Bytes>,
    stored: VecDeque<ItemId>,
    store_bytes: usize,
    store_bytes_max: usize,
}

#[derive(Debug)]
struct Table {
    known: Known<ItemId>,
    missing: VecDeque<Missing>,
    /// A link was made anew since the last look.
    relinked: bool,
    /// No link is cut before: each time that one has to be made anew, the links are left alone for twice as long.
    calm_until: Moment,
    calm: Duration,
}

#[derive(Debug)]
struct Missing {
    due: Moment,
    id: ItemId,
    tries: u32,
    asked: Slots,
}

impl ItemTables {
    pub fn new(store_bytes_max: usize, hashing: &IdHashing) -> Self {
        let table = || Table {
            known: Known::new(KNOWN_MAX, hashing),
            missing: VecDeque::new(),
            relinked: false,
            calm_until: Moment::default(),
            calm: CALM_MIN,
        };
        Self {
            tables: [table(), table()],
            store: IdMap::with_hasher(hashing.clone()),
            stored: VecDeque::new(),
            store_bytes: 0,
            store_bytes_max,
        }
    }

    pub fn store_bytes(&self) -> usize {
        self.store_bytes
    }

    pub fn len(&self) -> usize {
        self.stored.len() + self.tables.iter().map(|table| table.known.len() + table.missing.len()).sum::<usize>()
    }

    pub fn forget_holder(&mut self, slot: Slots) {
        for table in &mut self.tables {
            table.known.forget_holder(slot);
            table.missing.iter_mut().for_each(|missing| missing.asked &= !slot);
        }
    }

    /// Returns what is known of an item: nothing where it was forgotten.
    pub fn record(&self, class: Class, id: &ItemId) -> Record {
        let table = link_of(class).map(|link| &self.tables[link]);
        table.and_then(|table| table.known.get(id)).copied().unwrap_or_default()
    }

    /// Returns an item that a peer has not and is not promised, and whether this node made it; notes that the peer has it now.
    pub fn for_peer(&mut self, class: Class, id: &ItemId, slot: Slots) -> Option<(bool, Bytes)> {
        let record = self.tables[link_of(class)?].known.get_mut(id)?;
        if (record.holders | record.promised) & slot != 0 {
            return None;
        }
        record.holders |= slot;
        Some((record.stage == Stage::Made, self.store.get(id)?.clone()))
    }

    /// Returns when the first missing item is due to be asked for.
    pub fn due(&self) -> Option<Moment> {
        self.tables.iter().filter_map(|table| table.missing.front()).map(|missing| missing.due).min()
    }

    /// Keeps a copy of an item: a slice would keep the whole frame that it came in.
    fn keep(&mut self, id: ItemId, bytes: &Bytes) {
        if self.store.insert(id, Bytes::copy_from_slice(bytes)).is_some() {
            return;
        }
        self.stored.push_back(id);
        self.store_bytes += bytes.len();
        while self.store_bytes > self.store_bytes_max {
            let Some(oldest) = self.stored.pop_front() else { return };
            self.store_bytes -= self.store.remove(&oldest).map_or(0, |bytes| bytes.len());
        }
    }
}

impl Machine {
    /// This node made items.
    pub(super) fn local_items(&mut self, turn: &mut Turn<'_>, class: Class, items: Vec<Bytes>) {
        let Some(link) = link_of(class) else { return };
        for bytes in items.into_iter().filter(|bytes| bytes.len() <= ITEM_BYTES_MAX) {
            let id = ItemId::of(&bytes);
            let record = self.items.tables[link].known.touch(id);
            if matches!(record.stage, Stage::Here | Stage::Made) {
                continue;
            }
            record.stage = Stage::Made;
            let record = *record;
            self.items.keep(id, &bytes);
            self.pass_item(turn, class, id, record);
        }
        self.hurry(turn);
    }

    /// A peer sent items: those that are new go to the host.
    pub(super) fn items_came(
        &mut self,
        turn: &mut Turn<'_>,
        slot: usize,
        class: Class,
        items: Vec<Item>,
        bytes: usize,
    ) {
        let Some(link) = link_of(class) else {
            return self.ban(turn, slot, BanReason::OutOfPlace { frame: "items" });
        };
        if !self.local.features.has(Features::SHARES) || !self.make_room(slot, bytes) {
            return;
        }
        let mut fresh = Vec::with_capacity(items.len());
        let (mut again, mut repaired) = (0, 0);
        for item in items {
            let id = ItemId::of(&item.bytes);
            let promised = self.promised(slot, class, item.level);
            let record = self.items.tables[link].known.touch(id);
            record.holders |= bit(slot);
            record.promised |= promised;
            match record.stage {
                Stage::Judging | Stage::Here | Stage::Made | Stage::Refused => again += 1,
                Stage::Heard | Stage::Asked => {
                    repaired += u32::from(record.stage == Stage::Asked);
                    record.stage = Stage::Judging;
                    record.level = item.level;
                    fresh.push((id, item.bytes));
                }
            }
        }
        self.count_items(turn, slot, link, [fresh.len(), again, repaired as usize]);
        let Some(session) = self.sessions.get(slot).map(|session| session.id) else { return };
        if fresh.is_empty() {
            return self.give_room(session, bytes);
        }
        let ticket = self.next_ticket();
        self.judging.insert(ticket, Judging::Items { session, class, items: fresh.clone(), bytes });
        turn.effects.push(Effect::Deliver { ticket, class, session, items: fresh });
    }

    fn count_items(&mut self, turn: &mut Turn<'_>, slot: usize, link: usize, [first, again, repaired]: [usize; 3]) {
        self.counters.items_first += first as u64;
        self.counters.items_again += again as u64;
        self.counters.items_repaired += repaired as u64;
        if let Some(session) = self.sessions.get_mut(slot) {
            let link = &mut session.links[link];
            let grow = |count: u32, by: usize| count.saturating_add(u32::try_from(by).unwrap_or(u32::MAX));
            link.firsts = grow(link.firsts, first);
            link.agains = grow(link.agains, again);
        }
        self.spread.look_at_links(turn.now);
    }

    /// The host answered which items are good.
    pub(super) fn items_judged(&mut self, turn: &mut Turn<'_>, ticket: Ticket, answers: &[Acceptance]) {
        let Some(Judging::Items { session, class, items, bytes }) = self.judging.remove(&ticket) else { return };
        self.give_room(session, bytes);
        let Some(link) = link_of(class) else { return };
        for (place, (id, bytes)) in items.iter().enumerate() {
            let record = self.items.tables[link].known.touch(*id);
            // What the host did not answer for is of no use.
            match answers.get(place).copied().unwrap_or(Acceptance::Ignore) {
                Acceptance::Accept => {
                    record.stage = Stage::Here;
                    let record = *record;
                    self.items.keep(*id, bytes);
                    self.pass_item(turn, class, *id, record);
                }
                Acceptance::Ignore => record.stage = Stage::Refused,
                Acceptance::Reject => {
                    record.stage = Stage::Refused;
                    self.penalize_session(turn, session, REJECTED_ITEM);
                }
            }
        }
    }

    /// A peer told ids: what does not come by itself will be asked for.
    pub(super) fn ids_came(&mut self, turn: &mut Turn<'_>, slot: usize, class: Class, ids: Vec<ItemId>) {
        let Some(link) = link_of(class) else {
            return self.ban(turn, slot, BanReason::OutOfPlace { frame: "have" });
        };
        if !self.local.features.has(Features::SHARES) {
            return;
        }
        let due = turn.now.after(self.settings.repair_time);
        let table = &mut self.items.tables[link];
        for id in ids {
            if let Some(record) = table.known.get_mut(&id) {
                record.holders |= bit(slot);
            } else if table.missing.len() < MISSING_MAX {
                table.known.touch(id).holders |= bit(slot);
                table.missing.push_back(Missing { due, id, tries: 0, asked: 0 });
            }
        }
    }

    /// Asks for items whose ids came without them.
    pub(super) fn repair(&mut self, turn: &mut Turn<'_>) {
        for class in [Class::Shares, Class::Votes] {
            let mut wants: BTreeMap<usize, Vec<ItemId>> = BTreeMap::new();
            let mut silent = 0;
            while let Some((slot, id, asked)) = self.next_missing(turn.now, class) {
                silent |= asked;
                if let Some(slot) = slot {
                    wants.entry(slot).or_default().push(id);
                }
            }
            for (slot, ids) in wants {
                self.relink(turn, slot, class);
                for ids in ids.chunks(crate::wire::ITEM_IDS_MAX) {
                    self.send(turn, slot, Lane::Live, &Frame::Want { class, ids: ids.to_vec() }, false);
                }
            }
            for slot in super::session::slots(silent) {
                self.penalize(turn, slot, MISSING_ITEM);
            }
        }
    }

    /// Returns the next item that is due and still missing: whom to ask, and who did not answer.
    fn next_missing(&mut self, now: Moment, class: Class) -> Option<(Option<usize>, ItemId, Slots)> {
        let retry = now.after(self.settings.repair_time * 5);
        let link = link_of(class)?;
        loop {
            let table = &mut self.items.tables[link];
            let mut missing = table.missing.pop_front_if(|missing| missing.due <= now)?;
            let Some(record) = table.known.get_mut(&missing.id) else { continue };
            if !matches!(record.stage, Stage::Heard | Stage::Asked) {
                continue;
            }
            let (silent, id) = (missing.asked, missing.id);
            record.holders &= !silent;
            record.stage = Stage::Asked;
            let holders = record.holders;
            let slot = if missing.tries < TRIES_MAX { self.pick(holders) } else { None };
            let table = &mut self.items.tables[link];
            match slot {
                Some(slot) => {
                    missing = Missing { due: retry, id, tries: missing.tries + 1, asked: bit(slot) };
                    // Retries are due later than what comes first now: the queue stays nearly in order, which is enough.
                    table.missing.push_back(missing);
                }
                None => table.known.remove(&id),
            }
            return Some((slot, id, silent));
        }
    }

    /// A peer asks for items that it missed.
    pub(super) fn items_wanted(&mut self, turn: &mut Turn<'_>, slot: usize, class: Class, ids: Vec<ItemId>) {
        let Some(link) = link_of(class) else {
            return self.ban(turn, slot, BanReason::OutOfPlace { frame: "want" });
        };
        for id in &ids {
            if let Some(record) = self.items.tables[link].known.get_mut(id) {
                record.holders &= !bit(slot);
                record.promised &= !bit(slot);
            }
        }
        self.resend(turn, slot, class, ids);
    }

    /// A peer says whether it wants whole items.
    pub(super) fn link_set(&mut self, slot: usize, class: Class, eager: bool) {
        if let (Some(session), Some(link)) = (self.sessions.get_mut(slot), link_of(class)) {
            session.links[link].push = eager;
        }
    }

    /// Something was missed that a peer had: whole items are wanted of it from now, one such peer between two looks.
    fn relink(&mut self, turn: &mut Turn<'_>, slot: usize, class: Class) {
        let Some(link) = link_of(class) else { return };
        let adaptive = self.settings.strategies.of(class) == Strategy::Adaptive;
        let pulls = self.sessions.get(slot).is_some_and(|session| session.links[link].pull);
        if adaptive && !pulls && !self.items.tables[link].relinked {
            let table = &mut self.items.tables[link];
            table.relinked = true;
            table.calm_until = turn.now.after(table.calm);
            table.calm = (table.calm * 2).min(CALM_MAX);
            self.pull(turn, slot, class, true);
        }
    }

    fn pull(&mut self, turn: &mut Turn<'_>, slot: usize, class: Class, eager: bool) {
        let (Some(session), Some(link)) = (self.sessions.get_mut(slot), link_of(class)) else { return };
        session.links[link].pull = eager;
        self.send(turn, slot, Lane::Live, &Frame::Link { class, eager }, false);
    }

    /// Cuts links that bring little but what came before, the worst half of them, and keeps two at least.
    pub(super) fn adapt(&mut self, turn: &mut Turn<'_>) {
        for class in [Class::Shares, Class::Votes] {
            let Some(link) = link_of(class) else { continue };
            let calm = self.items.tables[link].calm_until > turn.now;
            if self.settings.strategies.of(class) == Strategy::Adaptive && !calm {
                self.cut(turn, class, link);
            }
            self.items.tables[link].relinked = false;
        }
        self.sessions.halve_links();
    }

    fn cut(&mut self, turn: &mut Turn<'_>, class: Class, link: usize) {
        let pulled = |session: &super::session::Session| session.links[link].pull;
        let pulls = self.sessions.ready().filter(|(_, session)| pulled(session)).count();
        let idle = |session: &super::session::Session| {
            let link = session.links[link];
            link.agains >= AGAINS_MIN && link.agains > link.firsts.saturating_mul(2)
        };
        let worst = self.sessions.ready().filter(|(_, session)| pulled(session) && idle(session));
        // By firsts for each again: the smaller, the worse; the slower link of two alike goes.
        let ratio = |session: &super::session::Session| {
            let link = session.links[link];
            u64::from(link.firsts) * 1000 / u64::from(link.agains)
        };
        let mut worst: Vec<_> =
            worst.map(|(slot, session)| (ratio(session), std::cmp::Reverse(session.latency), slot)).collect();
        worst.sort_unstable();
        let count = worst.len().div_ceil(2).min(pulls.saturating_sub(PULL_MIN));
        for (_, _, slot) in worst.into_iter().take(count) {
            self.pull(turn, slot, class, false);
        }
    }
}
