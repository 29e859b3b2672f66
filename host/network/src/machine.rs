//! The machine: every session of a node, what is passed on to whom, and what is asked of whom.
//!
//! It holds no blocks but those on their way, and knows of each thing that is passed on only who has it. All that it keeps is
//! bounded by [`Settings`] or by a constant with a name.
//!
//! Reading order: [`session`] is one peer, [`greet`] how sessions begin and end, [`receive`] what each frame does, [`ask`]
//! and [`score`] questions and faults; [`spread`] and [`neighbours`] choose to whom something goes, [`items`], [`transactions`] and [`blocks`]
//! are the classes; [`sync`] fetches what is missing, [`bodies`] its window of blocks.

mod ask;
mod blocks;
mod bodies;
mod greet;
mod items;
mod neighbours;
mod receive;
mod score;
mod session;
mod spread;
mod sync;
mod transactions;

use crate::effect::{BanReason, Effect, Effects, Lane};
use crate::event::Event;
use crate::facts::Facts;
use crate::id::{Address, Moment, NodeId, SessionId, Ticket};
use crate::known::{IdHashing, Slots};
use crate::random::Random;
use crate::settings::{SESSIONS_LIMIT, Settings};
use crate::view::{Counters, PeerView, SyncView};
use crate::wire::{Features, Frame};
use adit_primitives::identity::Rules;
use std::collections::HashMap;

/// What this node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    pub node: NodeId,
    pub rules: Rules,
    pub features: Features,
    /// Where the node listens, at most [`crate::wire::LISTEN_MAX`].
    pub listen: Vec<Address>,
}

/// The protocols of one node. The host hands it events one by one with the time, and carries out what comes out.
///
/// Two machines that get the same settings, seed, events, times and facts put out the same effects.
#[derive(Debug)]
pub struct Machine {
    settings: Settings,
    local: Local,
    random: Random,
    /// Drawn once: whoever greets with it is this node.
    nonce: u64,
    sessions: session::Sessions,
    /// No session's limit of time ends before.
    sessions_due: Option<Moment>,
    bans: score::Bans,
    /// The last number of a question.
    requests: u32,
    tickets: u64,
    judging: HashMap<Ticket, receive::Judging>,
    judging_bytes: usize,
    spread: spread::Spread,
    items: items::ItemTables,
    transactions: transactions::TransactionTable,
    blocks: blocks::BlockTable,
    sync: sync::Sync,
    counters: Counters,
}

/// One event's surroundings: when it is, what the host knows, where effects go.
struct Turn<'a> {
    now: Moment,
    facts: &'a dyn Facts,
    effects: &'a mut Effects,
}

impl Machine {
    /// Makes a machine without sessions. What it draws at random follows from `seed`.
    pub fn new(settings: Settings, local: Local, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let hashing = IdHashing::new(random.bits());
        Self {
            nonce: random.bits(),
            random,
            sessions: session::Sessions::default(),
            sessions_due: None,
            bans: score::Bans::default(),
            requests: 0,
            tickets: 0,
            judging: HashMap::new(),
            judging_bytes: 0,
            spread: spread::Spread::default(),
            items: items::ItemTables::new(settings.store_bytes_max, &hashing),
            transactions: transactions::TransactionTable::new(&hashing),
            blocks: blocks::BlockTable::new(&hashing),
            sync: sync::Sync::new(&hashing),
            counters: Counters::default(),
            settings,
            local,
        }
    }

    /// Handles one event at `now`, which never goes back, and appends what is to be done.
    pub fn handle(&mut self, now: Moment, event: Event, facts: &dyn Facts, effects: &mut Effects) {
        let mut turn = Turn { now, facts, effects };
        self.take(&mut turn, event);
        if self.sync.wanted {
            self.drive(&mut turn);
        }
        if self.settings.flush_interval.is_zero() {
            self.flush(&mut turn);
        }
    }

    fn take(&mut self, turn: &mut Turn<'_>, event: Event) {
        match event {
            Event::Tick => self.tick(turn),
            Event::Connected { session, node, address, direction } => {
                self.connected(turn, session, node, address, direction);
            }
            Event::Received { session, kind, body } => self.received(turn, session, kind, body),
            Event::HeadersJudged { ticket, new, last, verdict } => {
                self.headers_judged(turn, ticket, new, last, verdict)
            }
            Event::BlocksJudged { ticket, verdicts } => self.blocks_judged(turn, ticket, verdicts),
            Event::TransactionsJudged { ticket, verdicts } => self.transactions_judged(turn, ticket, verdicts),
            Event::ItemsJudged { ticket, answers } => self.items_judged(turn, ticket, &answers),
            Event::BlockAccepted { id, header, block } => self.block_accepted(turn, id, header, block),
            Event::BlockRefused { node, id, rule } => {
                self.ban_by_name(turn, node, BanReason::InvalidBlock { id, rule })
            }
            Event::TransactionsAccepted { ids } => self.transactions_accepted(turn, &ids),
            Event::LocalItems { class, items } => self.local_items(turn, class, items),
            Event::AskRounds { session, tag, ask } => self.ask_rounds(turn, session, tag, ask),
            Event::Blame { node, points } => self.blame(turn, node, points),
            Event::Stop => self.stop(turn),
            Event::Disconnected { session }
            | Event::Broken { session, .. }
            | Event::Pressure { session, .. }
            | Event::Served { session, .. }
            | Event::AskPeers { session }
            | Event::Leave { session, .. } => {
                if let Some(slot) = self.sessions.slot(session) {
                    self.of_session(turn, slot, event);
                }
            }
        }
    }

    fn of_session(&mut self, turn: &mut Turn<'_>, slot: usize, event: Event) {
        match event {
            Event::Disconnected { .. } => {
                self.forget(turn, slot);
            }
            Event::Broken { error, .. } => self.malformed(turn, slot, error),
            Event::Pressure { queued_bytes, dropped, .. } => self.pressed(turn, slot, queued_bytes, dropped),
            Event::Served { bytes, .. } => self.served(slot, bytes),
            Event::AskPeers { .. } if self.is_ready(slot) => self.ask_peers(turn, slot),
            Event::Leave { goodbye, .. } => self.leave(turn, slot, goodbye),
            _ => {}
        }
    }

    fn tick(&mut self, turn: &mut Turn<'_>) {
        if self.sessions_due.is_some_and(|due| due <= turn.now) {
            self.look_at_sessions(turn);
        }
        self.spread_due(turn);
        if self.sync.due.is_some_and(|due| due <= turn.now) {
            self.sync.due = None;
            self.sync.wanted = true;
        }
        if self.spread.is_flush_due(turn.now) {
            self.flush(turn);
        }
    }

    /// Returns when [`Event::Tick`] is due at the latest; nothing where nothing waits.
    pub fn wake(&self) -> Option<Moment> {
        [self.sessions_due, self.spread.due(), self.items.due(), self.sync.due].into_iter().flatten().min()
    }

    /// Sees to it that sessions' limits of time are looked at when `moment` comes.
    fn due(&mut self, moment: Moment) {
        self.sessions_due = Some(self.sessions_due.map_or(moment, |due| due.min(moment)));
    }

    /// Queues a frame.
    fn send(&mut self, turn: &mut Turn<'_>, slot: usize, lane: Lane, frame: &Frame, droppable: bool) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let frame = frame.to_wire();
        session.bytes_out += frame.len() as u64;
        self.counters.bytes_out += frame.len() as u64;
        self.counters.frames_out += 1;
        turn.effects.push(Effect::Send { session: session.id, lane, frame, droppable });
    }

    fn next_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn is_ready(&self, slot: usize) -> bool {
        self.sessions.get(slot).is_some_and(session::Session::ready)
    }

    /// Forgets what a session has, before another gets its slot.
    fn forget_holder(&mut self, slot: Slots) {
        self.items.forget_holder(slot);
        self.transactions.forget_holder(slot);
        self.blocks.forget_holder(slot);
    }

    /// Takes in where the node listens, at most [`crate::wire::LISTEN_MAX`] addresses: said to whoever is greeted from now on.
    pub fn listens(&mut self, listen: Vec<Address>) {
        self.local.listen = listen;
        self.local.listen.truncate(crate::wire::LISTEN_MAX);
    }

    /// Returns the peers whose handshake is done.
    pub fn peers(&self) -> Vec<PeerView> {
        self.sessions.iter().filter_map(|(_, session)| session.view()).collect()
    }

    /// Returns one peer.
    pub fn peer(&self, session: SessionId) -> Option<PeerView> {
        self.sessions.get(self.sessions.slot(session)?)?.view()
    }

    /// Goes through the nodes that have a session, and those whose session ended lately.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.sessions.iter().map(|(_, session)| session.node).chain(self.bans.departed())
    }

    /// Returns how far the node is.
    pub fn sync(&self, now: Moment, facts: &dyn Facts) -> SyncView {
        self.sync_view(now, facts)
    }

    /// Returns what was counted since the machine was made.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Returns how many bytes and entries the machine holds that peers can make grow: for tests of its bounds, and metrics.
    pub fn held(&self) -> Held {
        Held {
            bytes: self.judging_bytes + self.items.store_bytes() + self.sync.held_bytes(),
            entries: self.judging.len()
                + self.items.len()
                + self.transactions.len()
                + self.blocks.len()
                + self.sync.bodies.len()
                + self.spread.len()
                + self.sessions.iter().map(|(_, session)| session.waiting()).sum::<usize>(),
        }
    }
}

/// What a machine holds of its peers' making.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    pub bytes: usize,
    pub entries: usize,
}

const _: () = assert!(SESSIONS_LIMIT == Slots::BITS as usize);
