//! One node: its machine, what it knows, its streams. It does what a real node's host does for the machine, but for judging, which the
//! [`crate::tree`] did once for all.
//!
//! A node is told what happens and puts out events for itself and for others; those for others lie in the future by no less than the
//! shortest latency, so that nodes can run side by side.
//!
//! Reading order: this file is a node's life, [`effects`] carries out what its machine wants, [`peers`] finds and loses peers.

mod effects;
mod peers;

use crate::knowledge::{Knowledge, NodeFacts, Taken};
use crate::link::{Line, Link};
use crate::queue::{Event as Happening, Key, Parcel, What};
use crate::random::Random;
use crate::scenario::{Micros, micros};
use crate::tally::Tally;
use crate::world::World;
use adit_network::wire::{Features, Frame};
use adit_network::{Address, Class, Effects, Event, Local, Machine, Moment, SessionId, Ticket, Verdict};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// See the module.
pub struct Node {
    pub number: u32,
    pub knowledge: Knowledge,
    machine: Machine,
    /// Room for what the machine wants, used again and again.
    effects: Effects,
    /// Which life this is: nodes go and come back. Away in between.
    life: u32,
    away: bool,
    links: BTreeMap<SessionId, Link>,
    /// Calls that nobody took yet.
    calls: BTreeMap<SessionId, u32>,
    /// Sessions that the node opened, ever.
    called: u32,
    /// Nodes that are not called before.
    shunned: BTreeMap<u32, Micros>,
    line: Line,
    /// When the line is free to take more.
    taking: Micros,
    random: Random,
    /// When the machine is to be woken next.
    wake: Option<Micros>,
    /// Events that this node caused.
    caused: u32,
    pub sent: Traffic,
    pub received: Traffic,
}

/// Frames and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    pub frames: u64,
    pub bytes: u64,
}

/// What surrounds an event.
pub struct Turn<'a> {
    pub now: Micros,
    pub world: &'a World,
    /// What is caused.
    pub out: &'a mut Vec<Happening>,
    pub tally: &'a mut Tally,
    /// What the machine is to hear.
    pub events: VecDeque<Event>,
}

impl Node {
    /// Makes a node that is about to begin.
    pub fn new(number: u32, world: &World) -> Self {
        let mut random = world.random_of(number);
        let scenario = &world.scenario;
        let line = Random::new(random.bits(), 0);
        Self {
            number,
            knowledge: Knowledge::new(),
            machine: machine(number, world, random.bits()),
            effects: Effects::new(),
            life: 0,
            away: false,
            links: BTreeMap::new(),
            calls: BTreeMap::new(),
            called: 0,
            shunned: BTreeMap::new(),
            line: Line::new(scenario.bandwidth, scenario.loss_ppm, line),
            taking: 0,
            random,
            wake: None,
            caused: 0,
            sent: Traffic::default(),
            received: Traffic::default(),
        }
    }

    /// Plans what happens by itself.
    pub fn begin(&mut self, turn: &mut Turn<'_>) {
        self.start_life(turn, 1_000_000);
        self.plan(turn, What::Pay { count: 0 });
        self.plan(turn, What::Share { count: 0 });
    }

    /// Tells whether the node is away.
    pub fn is_away(&self) -> bool {
        self.away
    }

    /// Something happens.
    pub fn happens(&mut self, turn: &mut Turn<'_>, what: What) {
        turn.tally.events += 1;
        match what {
            What::Wake => {
                if self.wake.take_if(|wake| *wake <= turn.now).is_some() {
                    self.tell(turn, Event::Tick);
                }
            }
            What::Arrive { session, parcel } => self.arrive(turn, session, parcel),
            What::Receive { session, parcel } => self.receive(turn, session, parcel),
            What::Called { session, from } => self.take_call(turn, session, from),
            What::Opened { session, to } => self.call_taken(turn, session, to),
            What::Unreachable { session } => self.call_failed(turn, session),
            What::Closed { session } => self.closed(turn, session),
            What::Judged { life, ticket, blocks } if life == self.life => self.judged(turn, ticket, &blocks),
            What::Dial { life } if life == self.life => self.dial(turn),
            What::Rotate { life } if life == self.life => self.rotate(turn),
            What::Judged { .. } | What::Dial { .. } | What::Rotate { .. } => {}
            What::Pay { count } => self.pay(turn, count),
            What::Share { count } => self.share(turn, count),
            What::Found { block } => self.found(turn, block),
            What::Leave => self.leave(turn),
            What::Return => self.come_back(turn),
        }
    }

    /// A life begins: peers are looked for within `patience`.
    fn start_life(&mut self, turn: &mut Turn<'_>, patience: u32) {
        let life = self.life;
        let soon = turn.now + 1 + u64::from(self.random.below(patience));
        self.post(turn, soon, What::Dial { life });
        self.plan_rotation(turn);
        if let Some(churn) = turn.world.scenario.churn {
            let stays = exponential(&mut self.random, micros(churn.up));
            self.post(turn, turn.now.max(crate::world::WARM_UP) + stays, What::Leave);
        }
    }

    fn leave(&mut self, turn: &mut Turn<'_>) {
        let Some(churn) = turn.world.scenario.churn.filter(|_| turn.now < turn.world.end_of_work()) else { return };
        self.away = true;
        self.life += 1;
        self.wake = None;
        self.calls.clear();
        for (session, link) in std::mem::take(&mut self.links) {
            self.hang_up(turn, session, &link);
        }
        let away = exponential(&mut self.random, micros(churn.away));
        // Everybody is back at the end, to be asked what they know.
        let back = (turn.now + away).min(turn.world.end_of_work());
        self.post(turn, back, What::Return);
    }

    fn come_back(&mut self, turn: &mut Turn<'_>) {
        self.away = false;
        self.machine = machine(self.number, turn.world, self.random.bits());
        self.start_life(turn, 1_000_000);
    }

    /// Somebody pays through this node; the next payment is planned.
    fn pay(&mut self, turn: &mut Turn<'_>, count: u64) {
        let Some(source) = turn.world.payments else { return };
        let number = source.number(self.number, count);
        if !self.away {
            self.knowledge.transactions.insert(number);
            self.tell(turn, Event::TransactionsAccepted { ids: vec![source.id(number)] });
        }
        self.plan(turn, What::Pay { count: count + 1 });
    }

    /// A miner of a pool found a share; the next share is planned.
    fn share(&mut self, turn: &mut Turn<'_>, count: u64) {
        let Some(source) = turn.world.shares else { return };
        if !self.away {
            let items = vec![source.share(source.number(self.number, count))];
            self.tell(turn, Event::LocalItems { class: Class::Shares, items });
        }
        self.plan(turn, What::Share { count: count + 1 });
    }

    fn plan(&mut self, turn: &mut Turn<'_>, what: What) {
        let (source, count) = match &what {
            What::Pay { count } => (turn.world.payments, *count),
            What::Share { count } => (turn.world.shares, *count),
            _ => return,
        };
        let Some(source) = source else { return };
        let time = source.time(source.number(self.number, count));
        if time < turn.world.end_of_work() {
            self.post(turn, time, what);
        }
    }

    /// The node's own miner found a block.
    fn found(&mut self, turn: &mut Turn<'_>, block: u32) {
        self.take_block(turn, block);
        self.drive(turn);
    }

    fn judged(&mut self, turn: &mut Turn<'_>, ticket: Ticket, blocks: &[u32]) {
        let verdicts = blocks.iter().map(|block| self.take_block(turn, *block)).collect();
        turn.events.push_front(Event::BlocksJudged { ticket, verdicts });
        self.drive(turn);
    }

    /// Takes a valid block, and notes what the machine is to hear of it.
    fn take_block(&mut self, turn: &mut Turn<'_>, block: u32) -> Verdict {
        let tree = &turn.world.tree;
        let (blocks, reorg) = match self.knowledge.take(tree, block) {
            Taken::Known => return Verdict::Known,
            Taken::Orphan { missing } => return Verdict::Orphan { missing: tree.ids(&missing) },
            Taken::Whole { blocks, reorg } => (blocks, reorg),
        };
        reorg.into_iter().for_each(|reorg| turn.tally.reorg(reorg));
        self.knowledge.transactions.forget_below(tree.settled());
        for number in blocks {
            let block = tree.block(number);
            turn.tally.arrival(number, turn.now - block.found);
            for transaction in &block.transactions {
                self.knowledge.transactions.insert(*transaction);
            }
            let inline = block.bytes <= turn.world.settings.inline_block_bytes_max;
            let bytes = inline.then(|| tree.bytes_of(number));
            let accepted = Event::BlockAccepted { id: block.id, header: block.header.clone(), block: bytes };
            turn.events.push_back(accepted);
        }
        Verdict::Valid
    }

    /// A frame is at the door: it comes in once the line has brought what came before.
    fn arrive(&mut self, turn: &mut Turn<'_>, session: SessionId, parcel: Parcel) {
        if !self.links.contains_key(&session) {
            return;
        }
        let takes = self.line.takes(effects::bytes_of(turn.world, &parcel));
        self.taking = turn.now.saturating_sub(takes).max(self.taking) + takes;
        if self.taking <= turn.now {
            self.receive(turn, session, parcel);
        } else {
            self.post(turn, self.taking, What::Receive { session, parcel });
        }
    }

    fn receive(&mut self, turn: &mut Turn<'_>, session: SessionId, parcel: Parcel) {
        if !self.links.contains_key(&session) {
            return;
        }
        let frame = effects::written(turn.world, parcel);
        self.received.frames += 1;
        self.received.bytes += frame.len() as u64;
        let (kind, body) = (frame[4], frame.slice(adit_network::wire::HEAD_BYTES..));
        self.tell(turn, Event::Received { session, kind, body });
    }

    /// Tells the machine, and does what it wants.
    fn tell(&mut self, turn: &mut Turn<'_>, event: Event) {
        turn.events.push_back(event);
        self.drive(turn);
    }

    /// Tells the machine all that it is to hear, and does what it wants.
    fn drive(&mut self, turn: &mut Turn<'_>) {
        let now = Moment::from_millis(turn.now / 1000);
        loop {
            while let Some(event) = turn.events.pop_front() {
                self.handle(turn, now, event);
            }
            if self.machine.wake().is_some_and(|wake| wake <= now) {
                self.handle(turn, now, Event::Tick);
            }
            if turn.events.is_empty() {
                break;
            }
        }
        let Some(wake) = self.machine.wake() else { return };
        let wake = (wake.to_millis() * 1000).max(turn.now + 1000);
        if self.wake.is_none_or(|planned| wake < planned) {
            self.wake = Some(wake);
            self.post(turn, wake, What::Wake);
        }
    }

    fn handle(&mut self, turn: &mut Turn<'_>, now: Moment, event: Event) {
        let facts = NodeFacts {
            tree: &turn.world.tree,
            knowledge: &self.knowledge,
            transactions: turn.world.payments.as_ref(),
        };
        let mut effects = std::mem::take(&mut self.effects);
        self.machine.handle(now, event, &facts, &mut effects);
        for effect in effects.drain(..) {
            self.carry_out(turn, effect);
        }
        self.effects = effects;
    }

    /// Plans something for this node.
    fn post(&mut self, turn: &mut Turn<'_>, time: Micros, what: What) {
        let key = self.key(time);
        turn.out.push(Happening { key, node: self.number, what });
    }

    /// Plans something for another node.
    fn post_to(&mut self, turn: &mut Turn<'_>, node: u32, time: Micros, what: What) {
        let key = self.key(time);
        debug_assert!(time >= turn.now + turn.world.globe.nearest(), "nothing is faster than the shortest line");
        turn.out.push(Happening { key, node, what });
    }

    fn key(&mut self, time: Micros) -> Key {
        self.caused += 1;
        Key { time, cause: self.number, count: self.caused }
    }
}

fn machine(number: u32, world: &World, seed: u64) -> Machine {
    let local = Local {
        node: world.ids[number as usize],
        rules: world.identity.clone(),
        features: Features::BLOCKS.and(Features::SHARES),
        listen: vec![address(number)],
    };
    Machine::new(world.settings.clone(), local, seed)
}

/// Returns where a node is reached.
fn address(number: u32) -> Address {
    Address(Bytes::copy_from_slice(&number.to_le_bytes()))
}

fn exponential(random: &mut Random, mean: Micros) -> Micros {
    #[expect(clippy::cast_precision_loss, reason = "no simulation lasts 2^53 microseconds")]
    let mean = mean as f64;
    crate::globe::whole(random.exponential(mean))
}

/// A frame as it goes on the stream.
fn wire(frame: &Frame) -> Bytes {
    frame.to_wire()
}
