//! What the machine itself costs, without encryption or sockets: shares between ten nodes, and small messages between two.
//!
//! `cargo bench -p adit-network --bench machine`

use adit_network::wire::{Features, HEAD_BYTES, Locator};
use adit_network::{
    Acceptance, Address, BlockState, Class, Direction, Effect, Event, Facts, Local, Machine, Moment, NodeId, SessionId,
    Settings, Strategies, Strategy, Tip,
};
use adit_primitives::identity::{RulePlugin, Rules};
use adit_primitives::{BlockId, Hash256, Height, TxId, Work};
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Duration;

/// A chain of one block.
struct Nothing;

impl Facts for Nothing {
    fn block(&self, _: &BlockId) -> BlockState {
        BlockState::Whole
    }

    fn work(&self, _: &BlockId) -> Option<Work> {
        Some(Work::ZERO)
    }

    fn tip(&self) -> Tip {
        Tip { id: BlockId([0; 32]), work: Work::ZERO, height: Height(0) }
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

/// Nodes, each connected with each: the session of `a` with `b` is `a × nodes + b`.
struct Mesh {
    machines: Vec<Machine>,
    events: VecDeque<(usize, Event)>,
    delivered: u64,
}

impl Mesh {
    fn new(nodes: usize, strategy: Strategy) -> Self {
        let mut mesh = Self { machines: Vec::new(), events: VecDeque::new(), delivered: 0 };
        for node in 0..nodes {
            let settings = Settings { strategies: Strategies::all(strategy), ..Settings::standard("bench".to_owned()) };
            let features = Features::BLOCKS.and(Features::SHARES);
            let local = Local { node: id_of(node), rules: rules(), features, listen: Vec::new() };
            mesh.machines.push(Machine::new(settings, local, node as u64));
        }
        for a in 0..nodes {
            for b in (0..nodes).filter(|b| *b != a) {
                let direction = if a < b { Direction::Out } else { Direction::In };
                let session = SessionId((a * nodes + b) as u64);
                let event = Event::Connected { session, node: id_of(b), address: Address::default(), direction };
                mesh.events.push_back((a, event));
            }
        }
        mesh.settle(0);
        mesh
    }

    /// Handles everything at one moment, each node's inbox before its tick.
    fn settle(&mut self, now: u64) {
        let (now, nodes) = (Moment::from_millis(now), self.machines.len());
        let mut effects = Vec::new();
        loop {
            while let Some((node, event)) = self.events.pop_front() {
                self.machines[node].handle(now, event, &Nothing, &mut effects);
                self.carry_out(node, nodes, &mut effects);
            }
            for node in 0..nodes {
                self.machines[node].handle(now, Event::Tick, &Nothing, &mut effects);
                self.carry_out(node, nodes, &mut effects);
            }
            if self.events.is_empty() {
                return;
            }
        }
    }

    fn carry_out(&mut self, node: usize, nodes: usize, effects: &mut Vec<Effect>) {
        for effect in effects.drain(..) {
            match effect {
                Effect::Send { session, frame, .. } => {
                    let other = usize::try_from(session.0).expect("small") % nodes;
                    let session = SessionId((other * nodes + node) as u64);
                    let event = Event::Received { session, kind: frame[4], body: frame.slice(HEAD_BYTES..) };
                    self.events.push_back((other, event));
                }
                Effect::Deliver { ticket, items, .. } => {
                    self.delivered += items.len() as u64;
                    let answers = vec![Acceptance::Accept; items.len()];
                    self.events.push_back((node, Event::ItemsJudged { ticket, answers }));
                }
                _ => {}
            }
        }
    }

    fn bytes(&self) -> u64 {
        self.machines.iter().map(|machine| machine.counters().bytes_out).sum()
    }
}

fn id_of(node: usize) -> NodeId {
    NodeId(*blake3::hash(&node.to_le_bytes()).as_bytes())
}

fn rules() -> Rules {
    let plugin = RulePlugin { name: "p".to_owned(), digest: Hash256([0; 32]), config: "{}".to_owned() };
    Rules {
        chain: "bench".to_owned(),
        network: "devnet".to_owned(),
        genesis: BlockId([0; 32]),
        consensus: plugin.clone(),
        hash: plugin,
        ledger: "{}".to_owned(),
    }
}

/// Processor time of this process so far, as Linux counts it: other processes on the machine do not disturb the figures.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").expect("the bench runs on Linux");
    Duration::from_nanos(
        text.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("the first number is nanoseconds"),
    )
}

/// Ten nodes, 10,000 shares of 200 bytes a second, in batches of 10 ms: processor time for each second of the network, once
/// links have settled.
fn shares(strategy: Strategy) {
    let mut mesh = Mesh::new(10, strategy);
    let mut run = |from: u64, seconds: u64| {
        let (before, delivered, start) = (mesh.bytes(), mesh.delivered, processor_time());
        for step in (from * 100..).take(usize::try_from(seconds * 100).expect("small")) {
            for node in 0..10 {
                let mut batch = vec![0; 2000];
                batch[..8].copy_from_slice(&step.to_le_bytes());
                batch[8] = node;
                let items = vec![batch.into()];
                mesh.events.push_back((usize::from(node), Event::LocalItems { class: Class::Shares, items }));
            }
            mesh.settle(1000 + step * 10);
        }
        let took = (processor_time() - start) / u32::try_from(seconds).expect("small");
        let copies = (mesh.bytes() - before) as f64 / (seconds * 1000 * 2000 * 9) as f64;
        (took, copies, mesh.delivered - delivered)
    };
    run(0, 30);
    let (took, copies, delivered) = run(30, 4);
    // What is repaired comes a little later than the last.
    assert!(delivered >= 4 * 1000 * 9 * 95 / 100, "{delivered} batches came");
    println!(
        "10 nodes, 10,000 shares/s, {strategy:?}: {took:.1?} a second in all, {copies:.2} times the bytes that are needed"
    );
}

/// Two nodes, messages of 200 bytes, each an item of its own.
fn messages() {
    const COUNT: u64 = 200_000;
    let mut mesh = Mesh::new(2, Strategy::Flood);
    let mut messages = (0..COUNT).map(|number| {
        let mut message = vec![0; 200];
        message[..8].copy_from_slice(&number.to_le_bytes());
        Bytes::from(message)
    });
    let start = processor_time();
    for step in 0.. {
        let items: Vec<_> = messages.by_ref().take(500).collect();
        if items.is_empty() {
            break;
        }
        mesh.events.push_back((0, Event::LocalItems { class: Class::Shares, items }));
        mesh.settle(1000 + step * 10);
    }
    let took = processor_time() - start;
    assert_eq!(mesh.delivered, COUNT);
    println!("2 nodes, messages of 200 bytes: {:.0} for each second of one core", COUNT as f64 / took.as_secs_f64());
}

fn main() {
    for strategy in [Strategy::Flood, Strategy::Gossip, Strategy::Structured, Strategy::Adaptive] {
        shares(strategy);
    }
    messages();
}
