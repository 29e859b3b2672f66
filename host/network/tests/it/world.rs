//! Several nodes, their links with latencies, and peers that a test speaks for: all events of a run in one queue.

use crate::chain::Chain;
use adit_network::wire::{Features, Frame, HEAD_BYTES, Hello, ItemId, Kind, VERSION};
use adit_network::{
    Acceptance, Address, BanReason, Class, CloseReason, Direction, Effect, Event, Facts, Lane, Local, Machine, Moment,
    NodeId, Request, SessionId, Settings, Tip, Verdict,
};
use adit_primitives::identity::{RulePlugin, Rules};
use adit_primitives::{BlockId, Hash256, Height, TxId, U256, Work};
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// What a peer that a test speaks for answers to a frame.
pub type Answers = Box<dyn FnMut(&Frame) -> Vec<Frame>>;

/// A node and its host, or a peer that the test speaks for.
pub struct Node {
    pub id: NodeId,
    pub kind: NodeKind,
}

pub enum NodeKind {
    Host(Box<Host>),
    Puppet { heard: Vec<Frame>, answers: Answers },
}

pub struct Host {
    pub machine: Machine,
    pub chain: Chain,
    /// When each item came here first, by its bytes.
    pub items: BTreeMap<Bytes, u64>,
    /// When each block came here.
    pub blocks: BTreeMap<BlockId, u64>,
    pub bans: Vec<BanReason>,
    pub closed: Vec<CloseReason>,
    /// Blocks that the host was asked to judge, and by how many judgements.
    pub judged_blocks: Vec<BlockId>,
    pub judgements: usize,
    /// How long the host takes to judge.
    pub judge_millis: u64,
    pub foreign: usize,
    pub deliveries: usize,
}

/// Frames sent by kind: how many, and how many bytes.
pub type Traffic = BTreeMap<Kind, (u64, u64)>;

pub struct World {
    pub now: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    events: BTreeMap<u64, (usize, Event)>,
    order: u64,
    pub nodes: Vec<Node>,
    /// Session → the node at each end: who has it, and its other end.
    ends: BTreeMap<SessionId, (usize, SessionId, usize)>,
    sessions: u64,
    latency: Box<dyn Fn(usize, usize) -> u64>,
    last: BTreeMap<(SessionId, bool), u64>,
    /// Of a thousand droppable frames, how many are lost.
    pub loss: u64,
    random: u64,
    pub traffic: Traffic,
    ticks: BTreeMap<usize, u64>,
    pub seed: u64,
    /// Nodes behind a line: its bytes a second, and when what was sent has left.
    lines: BTreeMap<usize, (u64, u64)>,
}

pub fn rules(chain: &str) -> Rules {
    let plugin = |name: &str| RulePlugin { name: name.to_owned(), digest: Hash256([7; 32]), config: "{}".to_owned() };
    Rules {
        chain: chain.to_owned(),
        network: "devnet".to_owned(),
        genesis: BlockId([1; 32]),
        consensus: plugin("c"),
        hash: plugin("h"),
        ledger: "{}".to_owned(),
    }
}

pub fn node_id(number: usize) -> NodeId {
    NodeId(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

pub fn hello(nonce: u64, tip: Tip) -> Frame {
    Frame::Hello(Box::new(Hello {
        version: VERSION,
        rules: rules("test"),
        tip,
        agent: "puppet\n\u{1b}".to_owned(),
        features: Features::BLOCKS.and(Features::SHARES),
        listen: vec![],
        nonce,
    }))
}

pub fn claim(work: u64) -> Tip {
    Tip { id: BlockId([0xaa; 32]), work: Work(U256::from(work)), height: Height(work) }
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self {
            now: 0,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            order: 0,
            nodes: Vec::new(),
            ends: BTreeMap::new(),
            sessions: 0,
            latency: Box::new(|_, _| 10),
            last: BTreeMap::new(),
            loss: 0,
            random: seed | 1,
            traffic: Traffic::new(),
            ticks: BTreeMap::new(),
            lines: BTreeMap::new(),
            seed,
        }
    }

    pub fn latencies(&mut self, latency: impl Fn(usize, usize) -> u64 + 'static) {
        self.latency = Box::new(latency);
    }

    /// Lets what a node sends go through a line of so many bytes a second.
    pub fn behind_line(&mut self, node: usize, bytes_per_second: u64) {
        self.lines.insert(node, (bytes_per_second, 0));
    }

    pub fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    pub fn host_of(&mut self, settings: Settings, rules: Rules) -> usize {
        let number = self.nodes.len();
        let local = Local {
            node: node_id(number),
            rules,
            features: Features::BLOCKS.and(Features::SHARES),
            listen: vec![Address(Bytes::from(vec![1; 8]))],
        };
        let machine = Machine::new(settings, local, self.seed.wrapping_mul(1000) + number as u64);
        let host = Host {
            machine,
            chain: Chain::new(),
            items: BTreeMap::new(),
            blocks: BTreeMap::new(),
            bans: Vec::new(),
            closed: Vec::new(),
            judged_blocks: Vec::new(),
            judgements: 0,
            judge_millis: 1,
            foreign: 0,
            deliveries: 0,
        };
        self.nodes.push(Node { id: node_id(number), kind: NodeKind::Host(Box::new(host)) });
        number
    }

    pub fn add(&mut self, settings: Settings) -> usize {
        self.host_of(settings, rules("test"))
    }

    pub fn puppet(&mut self, answers: impl FnMut(&Frame) -> Vec<Frame> + 'static) -> usize {
        let number = self.nodes.len();
        let kind = NodeKind::Puppet { heard: Vec::new(), answers: Box::new(answers) };
        self.nodes.push(Node { id: node_id(number), kind });
        number
    }

    pub fn host(&mut self, node: usize) -> &mut Host {
        match &mut self.nodes[node].kind {
            NodeKind::Host(host) => host,
            NodeKind::Puppet { .. } => panic!("node {node} is a puppet"),
        }
    }

    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.nodes.iter().filter_map(|node| match &node.kind {
            NodeKind::Host(host) => Some(host.as_ref()),
            NodeKind::Puppet { .. } => None,
        })
    }

    pub fn heard(&self, node: usize) -> &[Frame] {
        match &self.nodes[node].kind {
            NodeKind::Puppet { heard, .. } => heard,
            NodeKind::Host(_) => panic!("node {node} is a host"),
        }
    }

    fn post(&mut self, at: u64, node: usize, event: Event) {
        self.order += 1;
        self.queue.push(Reverse((at, self.order)));
        self.events.insert(self.order, (node, event));
    }

    /// Opens a stream from one node to another; each end's session.
    pub fn connect(&mut self, from: usize, to: usize) -> (SessionId, SessionId) {
        let (ours, theirs) = (SessionId(self.sessions + 1), SessionId(self.sessions + 2));
        self.sessions += 2;
        self.ends.insert(ours, (from, theirs, to));
        self.ends.insert(theirs, (to, ours, from));
        for (node, session, other, direction) in [(from, ours, to, Direction::Out), (to, theirs, from, Direction::In)] {
            let address = Address(Bytes::copy_from_slice(&other.to_le_bytes()));
            let event = Event::Connected { session, node: self.nodes[other].id, address, direction };
            self.post(self.now, node, event);
        }
        (ours, theirs)
    }

    pub fn connect_all(&mut self) {
        for from in 0..self.nodes.len() {
            for to in from + 1..self.nodes.len() {
                self.connect(from, to);
            }
        }
    }

    /// Closes a stream at both ends.
    pub fn cut(&mut self, session: SessionId) {
        if let Some((node, other, peer)) = self.ends.remove(&session) {
            self.ends.remove(&other);
            self.post(self.now, node, Event::Disconnected { session });
            self.post(self.now, peer, Event::Disconnected { session: other });
        }
    }

    /// Cuts every stream between two sets of nodes.
    pub fn partition(&mut self, split: impl Fn(usize, usize) -> bool) {
        let cut: Vec<_> =
            self.ends.iter().filter(|(_, (a, _, b))| split(*a, *b)).map(|(session, _)| *session).collect();
        cut.into_iter().for_each(|session| self.cut(session));
    }

    /// Sends a frame from a session's end, as a puppet's.
    pub fn say(&mut self, session: SessionId, frame: &Frame) {
        self.transmit(session, Lane::Live, frame.to_wire());
    }

    fn transmit(&mut self, session: SessionId, lane: Lane, frame: Bytes) {
        let Some((node, other, peer)) = self.ends.get(&session).copied() else { return };
        let kind = Kind::from_byte(frame[4]).expect("a machine sends known kinds");
        let count = self.traffic.entry(kind).or_default();
        *count = (count.0 + 1, count.1 + frame.len() as u64);
        let key = (session, lane == Lane::Bulk);
        let at = self.through_line(node, frame.len()) + (self.latency)(node, peer);
        let at = at.max(self.last.get(&key).copied().unwrap_or(0));
        self.last.insert(key, at);
        let event = Event::Received { session: other, kind: frame[4], body: frame.slice(HEAD_BYTES..) };
        self.post(at, peer, event);
    }

    /// When a frame has left its node: at once, but through a line that is no wider than it is.
    fn through_line(&mut self, node: usize, bytes: usize) -> u64 {
        let Some((bytes_per_second, free)) = self.lines.get_mut(&node) else { return self.now };
        *free = self.now.max(*free) + bytes as u64 * 1000 / *bytes_per_second;
        *free
    }

    /// Hands a node an event now.
    pub fn event(&mut self, node: usize, event: Event) {
        self.post(self.now, node, event);
    }

    /// Runs until nothing happens before `until`, in milliseconds.
    pub fn run_until(&mut self, until: u64) {
        let mut at_once = (0, 0);
        while let Some(Reverse((at, number))) = self.queue.peek().copied()
            && at <= until
        {
            self.queue.pop();
            at_once = if at_once.0 == at { (at, at_once.1 + 1) } else { (at, 0) };
            assert!(at_once.1 < 2_000_000, "at {at} ms the nodes run in circles");
            self.now = at;
            let (node, event) = self.events.remove(&number).expect("every number has its event");
            if matches!(event, Event::Tick) {
                self.ticks.remove(&node);
            }
            self.handle(node, event);
        }
        self.now = until;
    }

    pub fn run_for(&mut self, millis: u64) {
        self.run_until(self.now + millis);
    }

    fn handle(&mut self, node: usize, event: Event) {
        let now = self.now;
        match &mut self.nodes[node].kind {
            NodeKind::Puppet { heard, answers } => {
                let Event::Received { session, kind, body } = event else { return };
                let frame =
                    Frame::decode(Kind::from_byte(kind).expect("known"), &body).expect("a machine's frame decodes");
                let said = answers(&frame);
                heard.push(frame);
                said.iter().for_each(|frame| self.say(session, frame));
            }
            NodeKind::Host(host) => {
                let mut effects = Vec::new();
                host.machine.handle(Moment::from_millis(now), event, &host.chain, &mut effects);
                effects.into_iter().for_each(|effect| self.effect(node, effect));
                let wake = self.host(node).machine.wake().map(|wake| wake.to_millis().max(now));
                if let Some(wake) = wake.filter(|wake| self.ticks.get(&node).is_none_or(|at| wake < at)) {
                    self.ticks.insert(node, wake);
                    self.post(wake, node, Event::Tick);
                }
            }
        }
    }

    fn effect(&mut self, node: usize, effect: Effect) {
        let now = self.now;
        match effect {
            Effect::Send { session, lane, frame, droppable } => {
                let lost = droppable && self.random() % 1000 < self.loss;
                if !lost {
                    self.transmit(session, lane, frame);
                }
            }
            Effect::Close { session, reason, .. } => {
                self.host(node).closed.push(reason);
                // What is queued is written first.
                let at = self.last.get(&(session, false)).copied().unwrap_or(now);
                if let Some((_, other, peer)) = self.ends.remove(&session) {
                    self.ends.remove(&other);
                    self.post(at, peer, Event::Disconnected { session: other });
                }
            }
            Effect::Ban { reason, .. } => self.host(node).bans.push(reason),
            Effect::Foreign { .. } => self.host(node).foreign += 1,
            Effect::Serve { session, request, asked } => self.serve(node, session, request, asked),
            Effect::Ready { .. } | Effect::Learned { .. } | Effect::Rounds { .. } => {}
            judge => self.judge(node, judge),
        }
    }

    fn judge(&mut self, node: usize, effect: Effect) {
        let at = self.now + self.host(node).judge_millis;
        self.host(node).judgements += 1;
        match effect {
            Effect::JudgeHeaders { ticket, headers, .. } => {
                let (new, last, verdict) = self.host(node).chain.place_headers(&headers);
                self.post(at, node, Event::HeadersJudged { ticket, new, last, verdict });
            }
            Effect::JudgeBlocks { ticket, blocks } => {
                let mut verdicts = Vec::new();
                for block in blocks {
                    self.host(node).judged_blocks.push(block.id);
                    let (verdict, whole) = self.host(node).chain.take(Some(block.id), &block.bytes);
                    verdicts.push(verdict);
                    self.accepted(node, at, whole);
                }
                self.post(at, node, Event::BlocksJudged { ticket, verdicts });
            }
            Effect::JudgeTransactions { ticket, transactions, .. } => {
                let (mut verdicts, mut ids) = (Vec::new(), Vec::new());
                for (id, bytes) in transactions {
                    let sound = TxId(*blake3::hash(&bytes).as_bytes()) == id;
                    if sound {
                        self.host(node).chain.transactions.insert(id, bytes);
                        ids.push(id);
                    }
                    verdicts.push(if sound { Verdict::Valid } else { Verdict::Invalid { rule: "forged".to_owned() } });
                }
                self.post(at, node, Event::TransactionsJudged { ticket, verdicts });
                self.post(at, node, Event::TransactionsAccepted { ids });
            }
            Effect::Deliver { ticket, items, .. } => {
                let now = self.now;
                let host = self.host(node);
                host.deliveries += items.len();
                let answer = |(_, bytes): &(ItemId, Bytes)| match bytes.first() {
                    Some(b'r') => Acceptance::Reject,
                    Some(b'i') => Acceptance::Ignore,
                    _ => Acceptance::Accept,
                };
                let answers = items.iter().map(answer).collect();
                for (_, bytes) in items {
                    host.items.entry(bytes).or_insert(now);
                }
                self.post(at, node, Event::ItemsJudged { ticket, answers });
            }
            _ => {}
        }
    }

    fn accepted(&mut self, node: usize, at: u64, whole: Vec<BlockId>) {
        for id in whole {
            let host = self.host(node);
            host.blocks.insert(id, at);
            let header = host.chain.header_of(&id).expect("it was placed");
            let block = host.chain.block_of(&id);
            self.post(at, node, Event::BlockAccepted { id, header, block });
        }
    }

    fn serve(&mut self, node: usize, session: SessionId, request: adit_network::RequestId, asked: Request) {
        let chain = &self.host(node).chain;
        let frames = match asked {
            Request::Headers { locator } => {
                let (headers, more) = chain.headers_after(&locator);
                vec![Frame::Headers { request, headers, more }]
            }
            Request::Blocks { ids } => {
                let blocks = ids.iter().take(50).map(|id| chain.block_of(id)).collect();
                vec![Frame::Blocks { request, blocks }]
            }
            Request::Transactions { ids } => {
                let transactions = ids.iter().take(50).map(|id| chain.transactions.get(id).cloned()).collect();
                vec![Frame::Transactions { request, transactions }]
            }
            Request::Pool => {
                let frame = |ids| Frame::AnnounceTransactions { level: 0, ids };
                chain.waiting().into_iter().map(frame).collect()
            }
            Request::Peers => vec![Frame::Peers { request, peers: vec![] }],
            Request::Rounds { ask } => vec![Frame::Rounds { request, answer: ask }],
        };
        let mut bytes = 0;
        for frame in frames {
            let frame = frame.to_wire();
            bytes += frame.len();
            self.transmit(session, Lane::Bulk, frame);
        }
        self.post(self.now, node, Event::Served { session, request, bytes });
    }

    /// Has a node make a block.
    pub fn mine(&mut self, node: usize, on_all: bool, body: &[u8]) -> BlockId {
        let nonce = self.random();
        let now = self.now;
        let (id, _, block) = self.host(node).chain.make(on_all, nonce, body);
        let (verdict, whole) = self.host(node).chain.take(Some(id), &block);
        assert_eq!(verdict, Verdict::Valid);
        self.accepted(node, now, whole);
        id
    }

    /// Has a node make a transaction.
    pub fn pay(&mut self, node: usize, text: &[u8]) -> TxId {
        let id = TxId(*blake3::hash(text).as_bytes());
        self.host(node).chain.transactions.insert(id, Bytes::copy_from_slice(text));
        self.event(node, Event::TransactionsAccepted { ids: vec![id] });
        id
    }

    /// Has a node make a share batch or a vote.
    pub fn make_item(&mut self, node: usize, class: Class, bytes: Bytes) {
        let now = self.now;
        self.host(node).items.insert(bytes.clone(), now);
        self.event(node, Event::LocalItems { class, items: vec![bytes] });
    }

    /// The tips of all hosts.
    pub fn tips(&self) -> BTreeSet<BlockId> {
        self.hosts().map(|host| host.chain.tip().id).collect()
    }

    pub fn peers(&mut self, node: usize) -> usize {
        self.host(node).machine.peers().len()
    }
}
