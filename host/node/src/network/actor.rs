//! The thread that owns the machine: one event after another goes in, what comes out is carried out.
//!
//! It never waits for a disk, for the chain or for a socket: what takes time runs in tasks that report back.

use super::ahead::Ahead;
use super::calls::{Calls, Step};
use super::facts::ChainFacts;
use super::shares::Question;
use super::{NetworkStanding, judge, serve, shares};
use crate::chain::{ChainHandle, News};
use crate::sharelog::ShareLogHandle;
use adit_network::wire::{Frame, FrameHead, Kind};
use adit_network::{
    BlockState, Direction, Effect, Effects, Event, Facts, Machine, Moment, NodeId, Request, RequestId, SessionId,
    Verdict,
};
use adit_primitives::{BlockId, Encode};
use adit_transport::{Ended, GossipNumber, Happening, NodeKey, Outbox, SessionNumber, TransportHandle};
use bytes::Bytes;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Blocks told of by one neighbour outside of sessions that are judged at once: no more of its nonsense is, before it is known for that.
const GOSSIP_JUDGED_MAX: usize = 4;

/// Events handled before time is looked at again.
const AT_ONCE: usize = 256;

/// The longest rest.
const REST_MAX: Duration = Duration::from_millis(500);

/// Between looks at the queues of sessions, at whom to call, and what is published of it.
const ROUND: Duration = Duration::from_millis(500);

/// Bytes of a live queue from which on the machine is told.
const PRESSURE: usize = 1 << 20;

/// The topic on which outsiders hear of blocks: an id and a header.
pub const BLOCKS_TOPIC: &str = "blocks";

/// What reaches the thread.
pub enum Inbox {
    Happened(Happening),
    Machine(Event),
    News(News),
    /// Transactions that nobody needs to be asked for, with what became of them.
    Judged(Event, Vec<adit_primitives::TxId>),
    /// What a neighbour told of outside of sessions was judged.
    GossipJudged(Option<NodeKey>),
    /// A question that a share log puts to a peer.
    Question(Question),
    End,
}

/// What the thread is made of.
pub struct Actor {
    pub machine: Machine,
    pub facts: ChainFacts,
    pub calls: Calls,
    pub chain: ChainHandle,
    pub transport: TransportHandle,
    pub runtime: tokio::runtime::Handle,
    pub inbox: Receiver<Inbox>,
    pub back: Sender<Inbox>,
    pub standing: watch::Sender<Arc<NetworkStanding>>,
    pub started: Instant,
    pub sessions: HashMap<SessionId, Open>,
    pub banned: HashMap<NodeId, Moment>,
    /// Blocks told of outside of sessions that are being judged, by who passed them on.
    pub gossip: HashMap<Option<NodeKey>, usize>,
    /// What is too far ahead of this machine's time.
    pub ahead: Arc<Ahead>,
    /// Whether the operator says where others reach this node.
    pub announces: bool,
    /// The share log of this process's pool.
    pub shares: watch::Receiver<Option<ShareLogHandle>>,
    /// Whom it asked last.
    pub asked_last: Option<SessionId>,
}

/// A session's way out.
pub struct Open {
    pub node: NodeId,
    outbox: Outbox,
    /// Frames that found no room since the machine was told.
    dropped: u64,
    pressed: bool,
}

impl Actor {
    /// Runs until it is told to end.
    pub fn run(mut self) {
        let mut effects = Effects::new();
        let mut round = self.now();
        loop {
            let now = self.now();
            let due = self.machine.wake().map_or(REST_MAX, |moment| moment.since(now)).min(REST_MAX);
            match self.inbox.recv_timeout(due) {
                Ok(first) => {
                    let mut next = Some(first);
                    let mut count = 0;
                    while let Some(event) = next.take() {
                        if matches!(event, Inbox::End) {
                            return self.end();
                        }
                        self.take(event, &mut effects);
                        count += 1;
                        next = if count < AT_ONCE { self.inbox.try_recv().ok() } else { None };
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.end(),
            }
            self.handle(Event::Tick, &mut effects);
            let now = self.now();
            if now.since(round) >= ROUND {
                round = now;
                self.look_around(&mut effects);
            }
        }
    }

    /// Says goodbye to everybody.
    fn end(mut self) {
        let mut effects = Effects::new();
        self.handle(Event::Stop, &mut effects);
        self.calls.save(self.now())();
    }

    fn now(&self) -> Moment {
        Moment::from_millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn handle(&mut self, event: Event, effects: &mut Effects) {
        let now = self.now();
        self.machine.handle(now, event, &self.facts, effects);
        for effect in effects.drain(..) {
            self.carry_out(now, effect);
        }
    }

    fn take(&mut self, event: Inbox, effects: &mut Effects) {
        match event {
            Inbox::Happened(happening) => self.happened(happening, effects),
            Inbox::Machine(event) => self.handle(event, effects),
            Inbox::Judged(event, seen) => {
                seen.into_iter().for_each(|id| self.facts.saw(id));
                self.handle(event, effects);
            }
            Inbox::News(News::Block { id, header, source }) => {
                let header = Bytes::copy_from_slice(&header);
                // What came from a peer is on its way there already.
                if source.is_none() {
                    self.transport.publish(BLOCKS_TOPIC, announcement(id, &header));
                }
                self.handle(Event::BlockAccepted { id, header, block: None }, effects);
            }
            Inbox::News(News::Invalid { id, rule, source }) => {
                let node = self.machine.nodes().find(|node| judge::source_of(node) == source);
                if let Some(node) = node {
                    self.handle(Event::BlockRefused { node, id, rule }, effects);
                }
            }
            Inbox::News(News::Transactions(ids)) => {
                ids.iter().for_each(|id| self.facts.saw(*id));
                self.handle(Event::TransactionsAccepted { ids: ids.to_vec() }, effects);
            }
            Inbox::GossipJudged(node) => {
                if let Entry::Occupied(mut judged) = self.gossip.entry(node) {
                    *judged.get_mut() -= 1;
                    if *judged.get() == 0 {
                        judged.remove();
                    }
                }
            }
            Inbox::Question(question) => self.ask_rounds(question, effects),
            Inbox::End => {}
        }
    }

    fn happened(&mut self, happening: Happening, effects: &mut Effects) {
        let now = self.now();
        match happening {
            Happening::Listening(address) => {
                tracing::info!(%address, "the network listens");
                // Where the operator says how others reach this node, it is not told where it listens.
                if !self.announces {
                    self.listens(address);
                }
            }
            Happening::Reachable(address) => {
                tracing::info!(%address, "others reach this node");
                self.listens(address);
            }
            Happening::Opened { session, node, address, outbound, outbox } => {
                let (session, node) = (SessionId(session.0), NodeId(node.0));
                self.sessions.insert(session, Open { node, outbox, dropped: 0, pressed: false });
                let direction = if outbound { Direction::Out } else { Direction::In };
                let step = self.calls.opened(now, session, node, &address, direction);
                let address = super::address::told(&address);
                self.handle(Event::Connected { session, node, address, direction }, effects);
                self.step(step, effects);
            }
            Happening::Received(frames) => {
                let session = SessionId(frames.session.0);
                if frames.frames.iter().any(|frame| frame.kind == Kind::Pong as u8) {
                    self.calls.heartbeat(now, session);
                }
                for frame in &frames.frames {
                    let event = Event::Received { session, kind: frame.kind, body: frame.body.clone() };
                    self.handle(event, effects);
                }
            }
            Happening::Closed { session: SessionNumber(session), ended } => {
                let session = SessionId(session);
                if let Ended::Broken { head, first } = ended
                    && let Err(error) = if first { FrameHead::read_first(head) } else { FrameHead::read(head) }
                {
                    self.handle(Event::Broken { session, error }, effects);
                }
                self.sessions.remove(&session);
                self.calls.closed(now, session);
                self.handle(Event::Disconnected { session }, effects);
            }
            Happening::NotReached { address, reason } => {
                tracing::debug!(%address, %reason, "a node was not reached");
                self.calls.not_reached(now, &address, &reason);
            }
            Happening::Discovered { node, addresses, source } => {
                tracing::trace!(peer = %node, ?source, "heard of a node");
                self.calls.discovered(now, &addresses, source);
            }
            Happening::Gossiped { item, node, bytes, .. } => self.gossiped(item, node, &bytes),
        }
    }

    /// Somebody told of a block by its header. What the chain places goes on, and the body is asked of peers like any that is missing.
    fn gossiped(&mut self, item: GossipNumber, node: Option<NodeKey>, bytes: &[u8]) {
        use adit_transport::Acceptance;
        let Some((id, header)) = bytes.split_first_chunk::<32>() else {
            return self.transport.worth(item, Acceptance::Reject);
        };
        let id = BlockId(*id);
        match self.facts.block(&id) {
            BlockState::Invalid => self.transport.worth(item, Acceptance::Reject),
            // Known or not: whether the header is that of the id has to be seen, or anything could be told of a known block.
            BlockState::Whole | BlockState::Header | BlockState::Unknown => {
                let judged = self.gossip.entry(node).or_default();
                if *judged >= GOSSIP_JUDGED_MAX {
                    return self.transport.worth(item, Acceptance::Ignore);
                }
                *judged += 1;
                let (chain, transport, header) = (self.chain.clone(), self.transport.clone(), header.to_vec());
                let (back, ahead) = (self.back.clone(), Arc::clone(&self.ahead));
                self.runtime.spawn(async move {
                    let acceptance = match judge::header(&chain, &ahead, id, header).await {
                        Verdict::Valid | Verdict::Known => Acceptance::Accept,
                        Verdict::Invalid { .. } => Acceptance::Reject,
                        _ => Acceptance::Ignore,
                    };
                    transport.worth(item, acceptance);
                    drop(back.send(Inbox::GossipJudged(node)));
                });
            }
        }
    }

    fn carry_out(&mut self, now: Moment, effect: Effect) {
        match effect {
            Effect::Send { session, lane, frame, droppable } => self.send(session, lane, frame, droppable),
            Effect::Close { session, node, reason } => {
                tracing::info!(peer = %NodeKey(node.0), %reason, "a session ends");
                self.calls.ends(now, session, &reason);
                if let Some(open) = self.sessions.get(&session) {
                    open.outbox.end();
                }
            }
            Effect::Ready { session, node } => {
                tracing::info!(peer = %NodeKey(node.0), "a session with a node of this chain");
                if let Some(peer) = self.machine.peer(session) {
                    self.calls.ready(now, &peer);
                    self.met(&peer);
                }
            }
            Effect::Ban { node, until, reason, .. } => {
                tracing::warn!(peer = %NodeKey(node.0), %reason, "a node is banned");
                self.banned.insert(node, until);
                self.calls.banned(now, node, until);
                self.transport.ban(NodeKey(node.0));
            }
            // The session's end says so as well.
            Effect::Foreign { .. } => {}
            Effect::JudgeHeaders { ticket, headers, .. } => {
                self.ask(judge::headers(self.chain.clone(), Arc::clone(&self.ahead), ticket, headers));
            }
            Effect::JudgeBlocks { ticket, blocks } => {
                let sender = blocks.first().and_then(|block| self.sessions.get(&block.session)).map(|open| open.node);
                self.ask(judge::blocks(self.chain.clone(), ticket, blocks, sender));
            }
            Effect::JudgeTransactions { ticket, transactions, .. } => {
                let (chain, back) = (self.chain.clone(), self.back.clone());
                self.runtime.spawn(async move {
                    let (event, seen) = judge::transactions(chain, ticket, transactions).await;
                    drop(back.send(Inbox::Judged(event, seen)));
                });
            }
            Effect::Deliver { ticket, class, session, items } => self.deliver(ticket, class, session, items),
            Effect::Serve { session, request, asked } => self.serve(now, session, request, asked),
            Effect::Learned { peers, session } => self.calls.learned(now, session, &peers),
            Effect::Rounds { session, tag, answer } => self.answered(session, tag, answer),
        }
    }

    /// Waits for the chain's answer beside the thread.
    fn ask(&self, judging: impl Future<Output = Event> + Send + 'static) {
        let back = self.back.clone();
        self.runtime.spawn(async move { drop(back.send(Inbox::Machine(judging.await))) });
    }

    fn send(&mut self, session: SessionId, lane: adit_network::Lane, frame: Bytes, droppable: bool) {
        let Some(open) = self.sessions.get_mut(&session) else { return };
        let lane = match lane {
            adit_network::Lane::Live => adit_transport::Lane::Live,
            adit_network::Lane::Bulk => adit_transport::Lane::Bulk,
        };
        if open.outbox.send(lane, frame).is_ok() {
            return;
        }
        open.dropped += 1;
        if !droppable {
            open.outbox.end();
        }
    }

    fn serve(&mut self, now: Moment, session: SessionId, request: RequestId, asked: Request) {
        let Some(open) = self.sessions.get(&session) else { return };
        let (outbox, back) = (open.outbox.clone(), self.back.clone());
        let node = open.node;
        let (chain, known) =
            (self.chain.clone(), matches!(asked, Request::Peers).then(|| self.calls.sample(now, session)));
        let rounds = match &asked {
            Request::Rounds { ask } => Some(self.question(node, ask.clone())),
            _ => None,
        };
        self.runtime.spawn(async move {
            let frames = match (known, rounds) {
                (Some(peers), _) => vec![Frame::Peers { request, peers }],
                (None, Some(answer)) => vec![shares::answer(request, answer).await],
                (None, None) => serve::answer(&chain, request, asked).await,
            };
            let mut bytes = 0;
            for frame in frames {
                let frame = frame.to_wire();
                bytes += frame.len();
                if outbox.send(adit_transport::Lane::Bulk, frame).is_err() {
                    // It asks and does not read.
                    outbox.end();
                    bytes = 0;
                    break;
                }
            }
            drop(back.send(Inbox::Machine(Event::Served { session, request, bytes })));
        });
    }

    /// Tells the machine of full queues, calls whom there is to call, ends bans, and publishes how things are.
    fn look_around(&mut self, effects: &mut Effects) {
        let now = self.now();
        let mut told = Vec::new();
        for (session, open) in &mut self.sessions {
            let queued_bytes = open.outbox.waiting();
            let pressed = queued_bytes > PRESSURE;
            if pressed != open.pressed || open.dropped > 0 {
                open.pressed = pressed;
                let dropped = std::mem::take(&mut open.dropped);
                told.push(Event::Pressure { session: *session, queued_bytes, dropped });
            }
        }
        told.into_iter().for_each(|event| self.handle(event, effects));
        let over: Vec<NodeId> = self.banned.iter().filter(|(_, until)| **until <= now).map(|(node, _)| *node).collect();
        for node in over {
            self.banned.remove(&node);
            self.transport.unban(NodeKey(node.0));
        }
        let peers = self.machine.peers();
        let sync = self.machine.sync(now, &self.facts);
        for step in self.calls.due(now, &peers, &sync, self.facts.tip().work) {
            self.step(Some(step), effects);
        }
        if let Some(save) = self.calls.save_due(now) {
            self.runtime.spawn_blocking(save);
        }
        let counters = self.machine.counters();
        let listening = self.calls.listen_addresses().to_vec();
        let (known, named) = (self.calls.known(), self.calls.named());
        let ahead = self.ahead.lately(Instant::now());
        let standing = NetworkStanding { peers, sync, ahead, counters, listening, known, named, now };
        self.standing.send_replace(Arc::new(standing));
    }

    fn step(&mut self, step: Option<Step>, effects: &mut Effects) {
        match step {
            None => {}
            Some(Step::Call(address)) => self.transport.call(address),
            Some(Step::AskPeers(session)) => self.handle(Event::AskPeers { session }, effects),
            Some(Step::Leave(session, goodbye)) => self.handle(Event::Leave { session, goodbye }, effects),
        }
    }

    /// Takes in where this node is reached, to tell it to whoever is greeted from now on.
    fn listens(&mut self, address: adit_transport::Address) {
        if self.calls.listening(address) {
            self.machine.listens(self.calls.listen_addresses().iter().map(super::address::told).collect());
        }
    }
}

/// What outsiders are told of a block.
fn announcement(id: BlockId, header: &[u8]) -> Vec<u8> {
    let mut bytes = id.to_bytes();
    bytes.extend_from_slice(header);
    bytes
}
