//! One of the small nodes: transport and machine as a node has them, shares that come out of nowhere, and nobody who judges them.
//!
//! It is told what to do by lines on its standard input, and says what happens by lines on its standard output.

use super::Relay;
use super::tally::Outcome;
use crate::bench::figures::Figures;
use adit_network::wire::{Features, Kind, Locator};
use adit_network::{
    Acceptance, Address, Allowance, BlockState, Class, Direction, Effect, Effects, Event, Facts, Local, Machine,
    Moment, NodeId, SessionId, Settings, Strategies, Strategy, Tip,
};
use adit_primitives::identity::{RulePlugin, Rules};
use adit_primitives::{BlockId, Hash256, Height, TxId, Work};
use adit_transport::{BodyMax, Happening, Outbox, SecretKey, Transport, TransportHandle, TransportSettings};
use anyhow::{Context, Result};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::BufRead;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// What a share has, in bytes: when it was made, whose it is, and nothing.
const SHARE_BYTES: usize = 200;

/// How long shares wait for others to go with them, as a pool's nodes let them.
const BATCH_TIME: Duration = Duration::from_millis(10);

/// Messages that are made at once, and bytes of a session's queue up to which more are made.
const MESSAGES_AT_ONCE: usize = 256;
const QUEUED_MAX: usize = 512 << 10;

/// Events handled before time is looked at again, as in a node.
const AT_ONCE: usize = 256;

/// The longest rest.
const REST_MAX: Duration = Duration::from_millis(500);

/// Before somebody is called again.
const AGAIN_TIME: Duration = Duration::from_millis(100);

/// How long after the end of the load the last shares may come.
const LATE_MAX: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub struct NodeArguments {
    #[arg(long)]
    number: u16,
    #[arg(long)]
    nodes: u16,
    #[arg(long)]
    rate: Option<u32>,
    #[arg(long)]
    seconds: u32,
    #[arg(long, value_enum)]
    strategy: Relay,
}

/// What a node is told.
#[derive(Debug, Serialize, Deserialize)]
pub enum Told {
    Call(String),
    /// When to begin, by [`now`].
    Begin(Duration),
}

/// What a node says.
#[derive(Debug, Serialize, Deserialize)]
pub enum Said {
    Listens(String),
    Peers(usize),
    Saw(Outcome),
}

/// The time since the system started: the same for all processes.
pub fn now() -> Duration {
    Duration::try_from(rustix::time::clock_gettime(rustix::time::ClockId::Monotonic)).unwrap_or_default()
}

/// Runs until its standard input ends.
pub fn run(arguments: &NodeArguments) -> Result<ExitCode> {
    let runtime = crate::run::runtime()?;
    let guard = runtime.enter();
    let secret: [u8; 32] = *blake3::hash(&arguments.number.to_le_bytes()).as_bytes();
    let key = SecretKey::from_bytes(secret)?;
    let seed = *key.node().0.first_chunk().context("a key has 32 bytes")?;
    let (tell, inbox) = channel();
    let happened = tell.clone();
    let transport = Transport::start(&key, transport_settings("bench")?, move |happening| {
        drop(happened.send(Inbox::Happened(happening)));
    })?;
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if serde_json::from_str(&line).is_ok_and(|told| tell.send(Inbox::Told(told)).is_err()) {
                return;
            }
        }
        drop(tell.send(Inbox::End));
    });
    let features = Features::BLOCKS.and(Features::SHARES);
    let local = Local { node: NodeId(key.node().0), rules: rules(), features, listen: Vec::new() };
    let node = Node {
        machine: Machine::new(settings(arguments), local, u64::from_le_bytes(seed)),
        transport: transport.handle().clone(),
        inbox,
        back: Vec::new(),
        sessions: HashMap::new(),
        called: HashMap::new(),
        again: Vec::new(),
        peers: 0,
        started: now(),
        maker: None,
        load: None,
        outcome: Outcome::default(),
        arguments,
    };
    node.run()?;
    drop(guard);
    runtime.block_on(transport.end());
    Ok(ExitCode::SUCCESS)
}

/// A transport on loopback that finds nobody by itself, in a realm of nodes.
pub(super) fn transport_settings(realm: &str) -> Result<TransportSettings> {
    Ok(TransportSettings {
        listen: vec!["127.0.0.1:0".parse()?],
        announce: Vec::new(),
        realm: realm.to_owned(),
        agent: "adit bench".to_owned(),
        lan: false,
        table: false,
        traversal: false,
        relays: Vec::new(),
        relay: false,
        inbound_max: 100,
        outbound_max: 100,
        memory_max: usize::MAX,
        body_max: BodyMax {
            first: |kind| Kind::from_byte(kind).ok()?.first_bytes_max(),
            later: |kind| Kind::from_byte(kind).ok().map(Kind::body_bytes_max),
        },
        topics: Vec::new(),
    })
}

fn settings(arguments: &NodeArguments) -> Settings {
    let standard = Settings::standard("adit bench".to_owned());
    let allowance = match arguments.rate {
        Some(_) => standard.allowance,
        None => Allowance { units_per_second: u64::from(u32::MAX), burst: u64::from(u32::MAX) },
    };
    Settings {
        strategies: match arguments.strategy {
            Relay::Flood => Strategies::all(Strategy::Flood),
            Relay::Gossip => Strategies::all(Strategy::Gossip),
            Relay::Structured => Strategies::all(Strategy::Structured),
            Relay::Hybrid => Strategies::hybrid(),
            Relay::Adaptive => Strategies::all(Strategy::Adaptive),
        },
        sessions_max: 56,
        allowance,
        ..standard
    }
}

fn rules() -> Rules {
    let plugin = RulePlugin { name: "bench".to_owned(), digest: Hash256::default(), config: "{}".to_owned() };
    Rules {
        chain: "bench".to_owned(),
        network: "devnet".to_owned(),
        genesis: BlockId::default(),
        consensus: plugin.clone(),
        hash: plugin,
        ledger: "{}".to_owned(),
    }
}

enum Inbox {
    Happened(Happening),
    Told(Told),
    End,
}

/// From when to when shares are made, and what the process had spent at the beginning.
struct Load {
    begin: Duration,
    end: Duration,
    spent: Option<Duration>,
}

struct Node<'a> {
    machine: Machine,
    transport: TransportHandle,
    inbox: Receiver<Inbox>,
    /// What the machine's effects brought about at once.
    back: Vec<Event>,
    sessions: HashMap<SessionId, Outbox>,
    /// Whom this node called.
    called: HashMap<SessionId, adit_transport::Address>,
    /// Who is to be called again, and when.
    again: Vec<(Duration, adit_transport::Address)>,
    peers: usize,
    started: Duration,
    maker: Option<Maker>,
    load: Option<Load>,
    outcome: Outcome,
    arguments: &'a NodeArguments,
}

impl Node<'_> {
    fn run(mut self) -> Result<()> {
        let mut effects = Effects::new();
        loop {
            match self.inbox.recv_timeout(self.rest()) {
                Ok(first) => {
                    let mut next = Some(first);
                    for _ in 0..AT_ONCE {
                        let Some(event) = next.take() else { break };
                        if !self.take(event, &mut effects)? {
                            return Ok(());
                        }
                        next = self.inbox.try_recv().ok();
                    }
                    if let Some(event) = next
                        && !self.take(event, &mut effects)?
                    {
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            self.call_again();
            self.make(&mut effects);
            self.handle(Event::Tick, &mut effects);
            self.look_at_load()?;
        }
    }

    /// How long nothing has to be done unless something happens.
    fn rest(&self) -> Duration {
        let machine = self.machine.wake().map_or(REST_MAX, |moment| moment.since(self.moment()));
        let maker = self.maker.as_ref().map_or(REST_MAX, |maker| maker.due().saturating_sub(now()));
        let message = if self.pumps() { Duration::from_millis(1) } else { REST_MAX };
        let again = if self.again.is_empty() { REST_MAX } else { AGAIN_TIME };
        machine.min(maker).min(message).min(again).min(REST_MAX)
    }

    fn moment(&self) -> Moment {
        Moment::from_millis(u64::try_from((now() - self.started).as_millis()).unwrap_or(u64::MAX))
    }

    fn take(&mut self, event: Inbox, effects: &mut Effects) -> Result<bool> {
        match event {
            Inbox::Happened(happening) => self.happened(happening, effects)?,
            Inbox::Told(Told::Call(address)) => self.transport.call(address.parse()?),
            Inbox::Told(Told::Begin(begin)) => {
                let end = begin + Duration::from_secs(self.arguments.seconds.into());
                self.load = Some(Load { begin, end, spent: None });
                self.maker = self.arguments.rate.map(|rate| Maker::new(self.arguments, rate, begin, end));
            }
            Inbox::End => return Ok(false),
        }
        Ok(true)
    }

    fn happened(&mut self, happening: Happening, effects: &mut Effects) -> Result<()> {
        match happening {
            Happening::Listening(address) => say(&Said::Listens(address.to_string()))?,
            Happening::Opened { session, node, outbound, outbox, address } => {
                let (session, node) = (SessionId(session.0), NodeId(node.0));
                if outbound {
                    self.called.insert(session, address);
                }
                self.sessions.insert(session, outbox);
                let direction = if outbound { Direction::Out } else { Direction::In };
                let address = Address::default();
                self.handle(Event::Connected { session, node, address, direction }, effects);
            }
            Happening::Received(frames) => {
                let session = SessionId(frames.session.0);
                for frame in &frames.frames {
                    self.handle(Event::Received { session, kind: frame.kind, body: frame.body.clone() }, effects);
                }
            }
            Happening::Closed { session, .. } => {
                let session = SessionId(session.0);
                self.sessions.remove(&session);
                if let Some(address) = self.called.remove(&session) {
                    self.again.push((now() + AGAIN_TIME, address));
                }
                self.handle(Event::Disconnected { session }, effects);
            }
            // Who is called by many at once takes them one after another: as a node does, this one calls again.
            Happening::NotReached { address, .. } => self.again.push((now() + AGAIN_TIME, address)),
            Happening::Reachable(_) | Happening::Discovered { .. } | Happening::Gossiped { .. } => {}
        }
        let peers = self.machine.peers().len();
        if peers != self.peers {
            self.peers = peers;
            say(&Said::Peers(peers))?;
        }
        Ok(())
    }

    fn call_again(&mut self) {
        let now = now();
        let (due, later) = std::mem::take(&mut self.again).into_iter().partition(|(when, _)| *when <= now);
        self.again = later;
        let due: Vec<(Duration, adit_transport::Address)> = due;
        due.into_iter().for_each(|(_, address)| self.transport.call(address));
    }

    fn handle(&mut self, event: Event, effects: &mut Effects) {
        let mut event = Some(event);
        while let Some(next) = event {
            let moment = self.moment();
            self.machine.handle(moment, next, &NoChain, effects);
            for effect in effects.drain(..) {
                match effect {
                    Effect::Send { session, lane, frame, .. } => {
                        let lane = match lane {
                            adit_network::Lane::Live => adit_transport::Lane::Live,
                            adit_network::Lane::Bulk => adit_transport::Lane::Bulk,
                        };
                        if let Some(outbox) = self.sessions.get(&session) {
                            // What finds no room is missed: the tally says so.
                            let _missed = outbox.send(lane, frame);
                        }
                    }
                    Effect::Close { session, .. } => {
                        self.sessions.get(&session).into_iter().for_each(Outbox::end);
                    }
                    Effect::Deliver { ticket, items, .. } => {
                        let now = now();
                        let answers = vec![Acceptance::Accept; items.len()];
                        for (_, bytes) in items {
                            count(&mut self.outcome, now, &bytes);
                        }
                        self.back.push(Event::ItemsJudged { ticket, answers });
                    }
                    _ => {}
                }
            }
            event = self.back.pop();
        }
    }

    /// Makes the shares that are due, or as many messages as their way has room for.
    fn make(&mut self, effects: &mut Effects) {
        let mut items = Vec::new();
        if let Some(maker) = &mut self.maker {
            while let Some(batch) = maker.take_due(now()) {
                items.push(batch);
            }
            self.outcome.made = maker.made;
        } else if self.pumps() && self.sessions.values().all(|outbox| outbox.waiting() < QUEUED_MAX) {
            for _ in 0..MESSAGES_AT_ONCE {
                self.outcome.made += 1;
                items.push(Bytes::copy_from_slice(&share(now(), self.arguments.number, self.outcome.made)));
            }
        }
        if !items.is_empty() {
            self.handle(Event::LocalItems { class: Class::Shares, items }, effects);
        }
    }

    /// Tells whether messages are to be made.
    fn pumps(&self) -> bool {
        let open = |load: &Load| (load.begin..load.end).contains(&now());
        self.arguments.rate.is_none() && self.load.as_ref().is_some_and(open)
    }

    /// Notes what was spent at the beginning, and says what came of it at the end.
    fn look_at_load(&mut self) -> Result<()> {
        let Some(load) = &mut self.load else { return Ok(()) };
        let now = now();
        if now < load.begin {
            return Ok(());
        }
        let figures = || Figures::of(std::process::id());
        let spent = match load.spent {
            Some(spent) => spent,
            None => *load.spent.insert(figures()?.cpu),
        };
        let others: u64 = match self.arguments.rate {
            Some(rate) => u64::from(rate) * u64::from(self.arguments.seconds) - self.outcome.made,
            None => 0,
        };
        let complete = now >= load.end && self.outcome.received >= others;
        if complete || now >= load.end + LATE_MAX {
            let figures = figures()?;
            self.outcome.cpu = figures.cpu.saturating_sub(spent);
            self.outcome.wall = now - load.begin;
            self.outcome.memory_bytes = figures.memory_bytes;
            self.load = None;
            say(&Said::Saw(self.outcome.clone()))?;
        }
        Ok(())
    }
}

fn say(said: &Said) -> Result<()> {
    use std::io::Write;
    let mut line = serde_json::to_string(said)?;
    line.push('\n');
    std::io::stdout().write_all(line.as_bytes()).context("nobody listens any more")
}

/// Makes a share.
fn share(made: Duration, node: u16, number: u64) -> [u8; SHARE_BYTES] {
    let mut share = [0; SHARE_BYTES];
    let made = u64::try_from(made.as_nanos()).unwrap_or(u64::MAX);
    share[..8].copy_from_slice(&made.to_le_bytes());
    share[8..10].copy_from_slice(&node.to_le_bytes());
    share[10..18].copy_from_slice(&number.to_le_bytes());
    share
}

/// Counts the shares of a batch by the times that they took.
fn count(outcome: &mut Outcome, now: Duration, batch: &[u8]) {
    for share in batch.chunks_exact(SHARE_BYTES) {
        let made = share.first_chunk().map_or(0, |nanos| u64::from_le_bytes(*nanos));
        outcome.took(now.saturating_sub(Duration::from_nanos(made)), 1);
    }
}

/// Shares that are made evenly in time, in batches.
struct Maker {
    node: u16,
    /// When the next share is made, and each after the one before.
    next: Duration,
    step: Duration,
    end: Duration,
    made: u64,
    /// Of this node.
    most: u64,
    batch: Vec<u8>,
    batch_due: Option<Duration>,
}

impl Maker {
    fn new(arguments: &NodeArguments, rate: u32, begin: Duration, end: Duration) -> Self {
        let (number, nodes) = (u32::from(arguments.number), u32::from(arguments.nodes));
        let all = u64::from(rate) * u64::from(arguments.seconds);
        // Nodes take turns: the shares of all together are even in time as well.
        let most = all / u64::from(nodes) + u64::from(u64::from(number) < all % u64::from(nodes));
        let step = Duration::from_secs(1) * nodes / rate;
        let next = begin + Duration::from_secs(1) * number / rate;
        Self { node: arguments.number, next, step, end, made: 0, most, batch: Vec::new(), batch_due: None }
    }

    /// When there is something to do.
    fn due(&self) -> Duration {
        if self.made >= self.most && self.batch.is_empty() {
            return Duration::MAX;
        }
        self.batch_due.unwrap_or(self.next)
    }

    /// Returns a batch that has waited long enough.
    fn take_due(&mut self, now: Duration) -> Option<Bytes> {
        let until = |due: Option<Duration>| due.map_or(now, |due| due.min(now));
        while self.made < self.most && self.next <= until(self.batch_due) {
            self.batch_due.get_or_insert(self.next + BATCH_TIME);
            self.made += 1;
            self.batch.extend_from_slice(&share(self.next, self.node, self.made));
            self.next = (self.next + self.step).min(self.end);
        }
        self.batch_due.take_if(|due| *due <= now)?;
        Some(std::mem::take(&mut self.batch).into())
    }
}

/// A chain of one block, on which nothing happens.
struct NoChain;

impl Facts for NoChain {
    fn block(&self, _: &BlockId) -> BlockState {
        BlockState::Whole
    }

    fn work(&self, _: &BlockId) -> Option<Work> {
        Some(Work::ZERO)
    }

    fn tip(&self) -> Tip {
        Tip { id: BlockId::default(), work: Work::ZERO, height: Height(0) }
    }

    fn best_header(&self) -> Tip {
        self.tip()
    }

    fn locator(&self) -> Locator {
        Locator::default()
    }

    fn lacking(&self, _: usize, _: &mut Vec<BlockId>) {}

    fn transaction(&self, _: &TxId) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_share_is_made_once_in_batches_of_ten_milliseconds() {
        let arguments = NodeArguments { number: 2, nodes: 3, rate: Some(1_000), seconds: 2, strategy: Relay::Hybrid };
        let begin = Duration::from_secs(50);
        let mut maker = Maker::new(&arguments, 1_000, begin, begin + Duration::from_secs(2));
        let (mut outcome, mut batches) = (Outcome::default(), 0);
        for milli in 0..3_000 {
            let now = begin + Duration::from_millis(milli);
            while let Some(batch) = maker.take_due(now) {
                batches += 1;
                count(&mut outcome, now, &batch);
            }
        }
        assert_eq!((maker.made, outcome.received), (666, 666));
        assert!((150..=200).contains(&batches), "{batches}");
        assert!(outcome.quantile(100) <= Duration::from_micros(11_100), "{:?}", outcome.quantile(100));
        assert_eq!(maker.due(), Duration::MAX);
    }
}
