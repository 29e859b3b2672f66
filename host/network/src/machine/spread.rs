//! To whom something new goes, and when: the strategies, what waits to be sent together, what is told late.

use super::neighbours::mesh_beyond;
use super::session::{Session, bit, slots};
use super::{Machine, Turn};
use crate::effect::Lane;
use crate::id::{Class, Moment};
use crate::known::{Record, Slots, Stage};
use crate::settings::Strategy;
use crate::wire::{
    BlockNotice, Features, Frame, ITEM_IDS_MAX, ITEMS_BYTES_MAX, ITEMS_MAX, Item, ItemId, TRANSACTION_IDS_MAX,
};
use adit_primitives::TxId;
use std::collections::VecDeque;
use std::time::Duration;

/// Ids that wait to be told late; the oldest is told early where there are more.
const LATE_MAX: usize = 16_384;
/// Peers who are told an id late.
const LATE_PEERS_MAX: usize = 6;
/// Of them, those who were promised the item by its maker.
const LATE_PROMISED_MAX: usize = 2;
/// In how many steps the time until ids are told is counted: ids that wait for the same step go in one frame.
const LATE_STEPS: u32 = 2;
/// Between two looks at which links bring what came before.
const ADAPT_INTERVAL: Duration = Duration::from_secs(1);

/// What is to be sent, and over which links.
#[derive(Debug, Default)]
pub(super) struct Spread {
    /// Sessions for whom something waits.
    waiting: Slots,
    flush_due: Option<Moment>,
    flushed: Moment,
    late: VecDeque<(Moment, Late)>,
    /// Peers to whom gossip passes on at once, by class.
    mesh: [Slots; 4],
    /// Peers who may be sent a class.
    eligible: [Slots; 4],
    pub(super) stale: bool,
    /// When peers are told which nodes are this node's peers.
    pub(super) neighbours_due: Option<Moment>,
    adapt_due: Option<Moment>,
}

/// Something whose id is told late to those who were not sent it.
#[derive(Debug)]
enum Late {
    Item(Class, ItemId),
    Transaction(TxId),
    Block(BlockNotice),
}

/// To whom something is passed on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Targets {
    pub eager: Slots,
    /// Others are told its id late.
    pub late: bool,
}

impl Spread {
    /// Returns when something is due.
    pub fn due(&self) -> Option<Moment> {
        let late = self.late.front().map(|(due, _)| *due);
        [self.flush_due, late, self.neighbours_due, self.adapt_due].into_iter().flatten().min()
    }

    /// Tells whether what waits is to be sent: what was passed on this moment waits for more, however often time is looked at.
    pub fn is_flush_due(&self, now: Moment) -> bool {
        self.flush_due.is_some_and(|due| due <= now)
    }

    /// Items come: how useful each link is will be looked at.
    pub fn look_at_links(&mut self, now: Moment) {
        self.adapt_due.get_or_insert(now.after(ADAPT_INTERVAL));
    }

    /// Returns how much waits.
    pub fn len(&self) -> usize {
        self.late.len()
    }
}

impl Session {
    /// Returns how much waits to be sent.
    pub(super) fn waiting(&self) -> usize {
        let outbound = &self.outbound;
        let items = outbound.items.iter().chain(&outbound.have).map(Vec::len).sum::<usize>();
        let notices = self.notices.len();
        outbound.transactions.len() + items + self.asked.len() + self.transactions_wanted.len() + notices
    }
}

impl Machine {
    fn refresh(&mut self) {
        if !std::mem::take(&mut self.spread.stale) {
            return;
        }
        for class in Class::ALL {
            let needs = match class {
                Class::Blocks | Class::Transactions => Features::default(),
                Class::Shares | Class::Votes => Features::SHARES,
            };
            let eligible = self.sessions.ready().filter(|(_, session)| session.offers(needs));
            let eligible = eligible.fold(0, |set, (slot, _)| set | bit(slot));
            let kept = self.spread.mesh[class as usize] & eligible;
            self.spread.eligible[class as usize] = eligible;
            self.spread.mesh[class as usize] = self.fill(kept, eligible, self.settings.mesh);
        }
    }

    /// Adds members of `from` at random until the set has `count`.
    fn fill(&mut self, mut set: Slots, from: Slots, count: usize) -> Slots {
        while (set.count_ones() as usize) < count {
            let Some(slot) = self.pick(from & !set) else { break };
            set |= bit(slot);
        }
        set
    }

    /// Returns a member of a set at random.
    pub(super) fn pick(&mut self, set: Slots) -> Option<usize> {
        let place = self.random.below(set.count_ones() as usize);
        slots(set).nth(place)
    }

    /// Chooses to whom something goes.
    fn targets(&mut self, class: Class, record: Record) -> Targets {
        self.refresh();
        let others = self.spread.eligible[class as usize] & !record.holders;
        let mesh = self.spread.mesh[class as usize];
        match self.settings.strategies.of(class) {
            Strategy::Flood => Targets { eager: others, late: false },
            Strategy::Gossip if record.stage == Stage::Made => Targets { eager: others, late: true },
            Strategy::Gossip => Targets { eager: mesh_beyond(mesh, others, record.promised), late: true },
            Strategy::Structured => Targets { eager: self.delegates(record.level, others), late: true },
            Strategy::Adaptive => Targets { eager: self.pushed(class, others), late: true },
        }
    }

    /// Chooses one peer of each bucket that is ours to serve.
    fn delegates(&mut self, level: u8, others: Slots) -> Slots {
        // A maker that sends to all its peers knows nothing of buckets.
        let level = if level == Item::TO_ALL { 0 } else { level };
        let bucket = |machine: &Self, slot: usize| machine.sessions.get(slot).map_or(0, |session| session.bucket);
        let mut left: Slots = slots(others).filter(|slot| bucket(self, *slot) >= level).map(bit).sum();
        let mut chosen = 0;
        while left != 0 {
            let first = left.trailing_zeros() as usize;
            let wanted = bucket(self, first);
            let same: Slots = slots(left).filter(|slot| bucket(self, *slot) == wanted).map(bit).sum();
            chosen |= self.pick(same).map_or(0, bit);
            left &= !same;
        }
        chosen
    }

    fn pushed(&self, class: Class, others: Slots) -> Slots {
        let wants = |slot: &usize| match (self.sessions.get(*slot), link_of(class)) {
            (Some(session), Some(link)) => session.links[link].push,
            (Some(_), None) => true,
            (None, _) => false,
        };
        slots(others).filter(wants).map(bit).sum()
    }

    /// Returns the level with which something goes to a peer: the receiver serves the buckets nearer to it than this node.
    fn level_for(&self, class: Class, slot: usize) -> u8 {
        match self.settings.strategies.of(class) {
            Strategy::Structured => self.sessions.get(slot).map_or(0, |session| session.bucket.saturating_add(1)),
            Strategy::Flood | Strategy::Gossip | Strategy::Adaptive => 0,
        }
    }

    /// Passes an item on.
    pub(super) fn pass_item(&mut self, turn: &mut Turn<'_>, class: Class, id: ItemId, record: Record) {
        let Some(link) = link_of(class) else { return };
        let targets = self.targets(class, record);
        for slot in slots(targets.eager) {
            if let Some(session) = self.sessions.get_mut(slot) {
                session.outbound.items[link].push(id);
            }
        }
        self.wait(turn, targets.eager);
        if targets.late {
            self.tell_late(turn, Late::Item(class, id));
        }
    }

    /// Passes a transaction's id on.
    pub(super) fn pass_transaction(&mut self, turn: &mut Turn<'_>, id: TxId, record: Record) {
        let targets = self.targets(Class::Transactions, record);
        for slot in slots(targets.eager) {
            if let Some(session) = self.sessions.get_mut(slot) {
                session.outbound.transactions.push(id);
            }
        }
        self.wait(turn, targets.eager);
        if targets.late {
            self.tell_late(turn, Late::Transaction(id));
        }
    }

    /// Announces a block, at once: it waits for nothing.
    pub(super) fn pass_block(&mut self, turn: &mut Turn<'_>, notice: BlockNotice, record: Record) {
        let targets = self.targets(Class::Blocks, record);
        for slot in slots(targets.eager) {
            let notice = BlockNotice { level: self.level_for(Class::Blocks, slot), ..notice.clone() };
            self.announce(turn, slot, notice);
        }
        if targets.late {
            self.tell_late(turn, Late::Block(notice));
        }
    }

    fn announce(&mut self, turn: &mut Turn<'_>, slot: usize, notice: BlockNotice) {
        self.blocks.note(notice.id, bit(slot));
        self.send(turn, slot, Lane::Live, &Frame::Announce { blocks: vec![notice] }, false);
    }

    /// Has a session sent an item that it asked for.
    pub(super) fn resend(&mut self, turn: &mut Turn<'_>, slot: usize, class: Class, ids: Vec<ItemId>) {
        let (Some(session), Some(link)) = (self.sessions.get_mut(slot), link_of(class)) else { return };
        session.outbound.items[link].extend(ids);
        self.wait(turn, bit(slot));
    }

    fn wait(&mut self, turn: &mut Turn<'_>, set: Slots) {
        if set != 0 {
            self.spread.waiting |= set;
            let due = turn.now.after(self.settings.flush_interval);
            self.spread.flush_due.get_or_insert(due);
        }
    }

    /// Has what waits sent in this millisecond, or in the next where something was sent in this one: what begins here was gathered before, what is passed
    /// on may wait for more.
    pub(super) fn hurry(&mut self, turn: &Turn<'_>) {
        let soon = turn.now.max(self.spread.flushed.after(Duration::from_millis(1)));
        self.spread.flush_due = self.spread.flush_due.map(|due| due.min(soon));
    }

    fn tell_late(&mut self, turn: &mut Turn<'_>, late: Late) {
        if self.spread.late.len() >= LATE_MAX
            && let Some((_, first)) = self.spread.late.pop_front()
        {
            self.told_late(turn, first);
        }
        // What falls due together is told together.
        let step = self.settings.lazy_interval / LATE_STEPS;
        let due = turn.now.after(self.settings.lazy_interval).rounded_up(step);
        self.spread.late.push_back((due, late));
    }

    /// Tells late what is due, and asks for items whose ids came without them.
    pub(super) fn spread_due(&mut self, turn: &mut Turn<'_>) {
        while let Some((_, late)) = self.spread.late.pop_front_if(|(due, _)| *due <= turn.now) {
            self.told_late(turn, late);
        }
        self.repair(turn);
        self.tell_neighbours(turn);
        if self.spread.adapt_due.is_some_and(|due| due <= turn.now) {
            self.spread.adapt_due = None;
            self.adapt(turn);
        }
    }

    fn told_late(&mut self, turn: &mut Turn<'_>, late: Late) {
        self.refresh();
        let (class, record) = match &late {
            Late::Item(class, id) => (*class, self.items.record(*class, id)),
            Late::Transaction(id) => (Class::Transactions, self.transactions.record(id)),
            Late::Block(notice) => (Class::Blocks, self.blocks.record(&notice.id)),
        };
        let others = self.spread.eligible[class as usize] & !record.holders;
        let chosen = self.fill(0, others & !record.promised, LATE_PEERS_MAX);
        let promised = LATE_PROMISED_MAX.min(LATE_PEERS_MAX - chosen.count_ones() as usize);
        let chosen = chosen | self.fill(0, others & record.promised, promised);
        for slot in slots(chosen) {
            let level = self.level_for(class, slot);
            let Some(session) = self.sessions.get_mut(slot) else { continue };
            match &late {
                Late::Item(class, id) => {
                    link_of(*class).into_iter().for_each(|link| session.outbound.have[link].push(*id))
                }
                Late::Transaction(id) => session.outbound.transactions.push(*id),
                Late::Block(notice) => self.announce(turn, slot, BlockNotice { level, ..notice.clone() }),
            }
        }
        self.wait(turn, chosen);
    }

    /// Sends what waits.
    pub(super) fn flush(&mut self, turn: &mut Turn<'_>) {
        let waiting = std::mem::take(&mut self.spread.waiting);
        self.spread.flush_due = None;
        self.spread.flushed = turn.now;
        for slot in slots(waiting) {
            for class in [Class::Shares, Class::Votes] {
                self.flush_items(turn, slot, class);
                self.flush_ids(turn, slot, class);
            }
            self.flush_transactions(turn, slot);
        }
    }

    fn flush_items(&mut self, turn: &mut Turn<'_>, slot: usize, class: Class) {
        let (level, link) = (self.level_for(class, slot), link_of(class).expect("shares and votes have links"));
        let gossip = self.settings.strategies.of(class) == Strategy::Gossip;
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let mut ids = std::mem::take(&mut session.outbound.items[link]);
        let droppable = class == Class::Shares;
        if droppable && session.slow_since.is_some() {
            session.dropped += ids.len() as u64;
            self.counters.dropped += ids.len() as u64;
            ids.clear();
        }
        let (mut items, mut bytes) = (Vec::with_capacity(ids.len().min(ITEMS_MAX)), 0);
        for id in ids.drain(..) {
            let Some((made, found)) = self.items.for_peer(class, &id, bit(slot)) else { continue };
            if items.len() >= ITEMS_MAX || (!items.is_empty() && bytes + found.len() > ITEMS_BYTES_MAX) {
                self.send(
                    turn,
                    slot,
                    Lane::Live,
                    &Frame::Items { class, items: std::mem::take(&mut items) },
                    droppable,
                );
                bytes = 0;
            }
            bytes += found.len();
            items.push(Item { level: if gossip && made { Item::TO_ALL } else { level }, bytes: found });
        }
        if !items.is_empty() {
            self.send(turn, slot, Lane::Live, &Frame::Items { class, items }, droppable);
        }
        // The room is used again: nothing is allocated for each flush.
        if let Some(session) = self.sessions.get_mut(slot) {
            session.outbound.items[link] = ids;
        }
    }

    fn flush_ids(&mut self, turn: &mut Turn<'_>, slot: usize, class: Class) {
        let link = link_of(class).expect("shares and votes have links");
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let mut ids = std::mem::take(&mut session.outbound.have[link]);
        ids.retain(|id| self.items.record(class, id).holders & bit(slot) == 0);
        for ids in ids.chunks(ITEM_IDS_MAX) {
            self.send(turn, slot, Lane::Live, &Frame::Have { class, ids: ids.to_vec() }, true);
        }
    }

    fn flush_transactions(&mut self, turn: &mut Turn<'_>, slot: usize) {
        let level = self.level_for(Class::Transactions, slot);
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let mut ids = std::mem::take(&mut session.outbound.transactions);
        ids.retain(|id| self.transactions.tell(id, bit(slot)));
        for ids in ids.chunks(TRANSACTION_IDS_MAX) {
            self.send(turn, slot, Lane::Live, &Frame::AnnounceTransactions { level, ids: ids.to_vec() }, true);
        }
    }
}

/// Returns the place of a class among those whose items have links.
pub(super) fn link_of(class: Class) -> Option<usize> {
    match class {
        Class::Shares => Some(0),
        Class::Votes => Some(1),
        Class::Blocks | Class::Transactions => None,
    }
}
