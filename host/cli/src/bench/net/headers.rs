//! A node that follows headers alone: the real transport, machine and chain, and nobody who asks for bodies.

use super::node::{now, transport_settings};
use super::sync::Kept;
use adit_chain::{BlockStatus, ChainReader};
use adit_network::wire::{Features, Locator};
use adit_network::{
    Address, BlockState, Direction, Effect, Effects, Event, Facts, Local, Machine, Moment, NodeId, SessionId, Settings,
    Tip, Verdict,
};
use adit_node::chain::{ChainHandle, ChainParts, ChainThread};
use adit_primitives::contract::KnownBlock;
use adit_primitives::{BlockId, TxId, Work};
use adit_transport::{Happening, Outbox, SecretKey, Transport, TransportHandle};
use anyhow::{Result, bail, ensure};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// A chain keeps no more headers without bodies.
pub const HEADERS_MAX: u32 = 100_000;

/// How long nothing may happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest rest.
const REST_MAX: Duration = Duration::from_millis(500);

/// Follows a peer until so many headers are placed, and returns how long that took from the greeting on.
pub fn follow(file: &Path, peer: u16, headers: u32) -> Result<Duration> {
    let opened = crate::run::open(file.to_owned())?;
    let runtime = crate::run::runtime()?;
    let _guard = runtime.enter();
    let Kept { chain, rules, storage } = Kept::open(&opened)?;
    let chosen = &opened.chain;
    let thread = ChainThread::start(ChainParts {
        chain,
        rules,
        storage,
        checking: vec![Box::new(chosen.hash.plugin.hash(&chosen.hash.config)?)],
        clock: crate::run::clock(),
        choice: adit_node::run::chain_choice(&chosen.settings.node),
        placing: Arc::default(),
    })?;
    let key = SecretKey::from_bytes([9; 32])?;
    let (tell, inbox) = channel();
    let happened = tell.clone();
    let realm: String = chosen.rules.identity().to_string().chars().take(16).collect();
    let transport = Transport::start(&key, transport_settings(&realm)?, move |happening| {
        drop(happened.send(Inbox::Happened(happening)));
    })?;
    let local = Local {
        node: NodeId(key.node().0),
        rules: chosen.rules.clone(),
        features: Features::BLOCKS,
        listen: Vec::new(),
    };
    let follower = Follower {
        machine: Machine::new(Settings::standard("adit bench".to_owned()), local, 1),
        facts: Headers(thread.handle.reader().clone()),
        chain: thread.handle.clone(),
        transport: transport.handle().clone(),
        runtime: runtime.handle().clone(),
        back: tell,
        sessions: HashMap::new(),
        started: now(),
        greeted: None,
    };
    let took = follower.run(&inbox, peer, headers);
    runtime.block_on(async {
        transport.end().await;
        thread.end().await
    })?;
    took
}

enum Inbox {
    Happened(Happening),
    Judged(Event),
}

struct Follower {
    machine: Machine,
    facts: Headers,
    chain: ChainHandle,
    transport: TransportHandle,
    runtime: tokio::runtime::Handle,
    back: Sender<Inbox>,
    sessions: HashMap<SessionId, Outbox>,
    started: Duration,
    greeted: Option<Duration>,
}

impl Follower {
    fn run(mut self, inbox: &Receiver<Inbox>, peer: u16, headers: u32) -> Result<Duration> {
        self.transport.call(format!("127.0.0.1:{peer}").parse()?);
        let (mut effects, mut newest) = (Effects::new(), (0, now()));
        loop {
            let rest = self.machine.wake().map_or(REST_MAX, |moment| moment.since(self.moment())).min(REST_MAX);
            match inbox.recv_timeout(rest) {
                Ok(Inbox::Happened(happening)) => self.happened(happening, &mut effects)?,
                Ok(Inbox::Judged(event)) => self.handle(event, &mut effects),
                Err(_) => {}
            }
            self.handle(Event::Tick, &mut effects);
            let height = self.facts.best_header().height.0;
            if height > newest.0 {
                newest = (height, now());
            }
            if let Some(greeted) = self.greeted
                && height >= u64::from(headers)
            {
                return Ok(now() - greeted);
            }
            ensure!(now() - newest.1 < PATIENCE, "nothing came for {PATIENCE:?}, after {} headers", newest.0);
        }
    }

    fn moment(&self) -> Moment {
        Moment::from_millis(u64::try_from((now() - self.started).as_millis()).unwrap_or(u64::MAX))
    }

    fn happened(&mut self, happening: Happening, effects: &mut Effects) -> Result<()> {
        match happening {
            Happening::Opened { session, node, outbox, .. } => {
                let (session, node) = (SessionId(session.0), NodeId(node.0));
                self.sessions.insert(session, outbox);
                let address = Address::default();
                self.handle(Event::Connected { session, node, address, direction: Direction::Out }, effects);
            }
            Happening::Received(frames) => {
                let session = SessionId(frames.session.0);
                for frame in &frames.frames {
                    self.handle(Event::Received { session, kind: frame.kind, body: frame.body.clone() }, effects);
                }
            }
            Happening::Closed { .. } | Happening::NotReached { .. } => bail!("the peer has gone"),
            _ => {}
        }
        Ok(())
    }

    fn handle(&mut self, event: Event, effects: &mut Effects) {
        self.machine.handle(self.moment(), event, &self.facts, effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Send { session, lane, frame, .. } => {
                    let lane = match lane {
                        adit_network::Lane::Live => adit_transport::Lane::Live,
                        adit_network::Lane::Bulk => adit_transport::Lane::Bulk,
                    };
                    // Questions are few: there is room, unless the session has ended, which is heard of.
                    if let Some(outbox) = self.sessions.get(&session) {
                        let _missed = outbox.send(lane, frame);
                    }
                }
                Effect::Close { session, .. } => self.sessions.get(&session).into_iter().for_each(Outbox::end),
                Effect::Ready { .. } => self.greeted = Some(now()),
                Effect::JudgeHeaders { ticket, headers, .. } => {
                    let (chain, back) = (self.chain.clone(), self.back.clone());
                    self.runtime.spawn(async move {
                        let headers = headers.iter().map(|header| header.to_vec()).collect();
                        let event = match chain.submit_headers(headers).await {
                            Ok(taken) => Event::HeadersJudged {
                                ticket,
                                new: taken.new,
                                last: taken.ids.last().copied(),
                                verdict: if taken.refused.is_none() { Verdict::Valid } else { Verdict::Fault },
                            },
                            Err(_) => Event::HeadersJudged { ticket, new: 0, last: None, verdict: Verdict::Busy },
                        };
                        drop(back.send(Inbox::Judged(event)));
                    });
                }
                _ => {}
            }
        }
    }
}

/// A chain whose headers are all that is wanted: what is placed is whole.
struct Headers(ChainReader);

fn tip_of(block: &KnownBlock) -> Tip {
    Tip { id: block.id, work: block.work, height: block.height }
}

impl Facts for Headers {
    fn block(&self, id: &BlockId) -> BlockState {
        match self.0.status(*id) {
            None => BlockState::Unknown,
            Some(BlockStatus::Invalid) => BlockState::Invalid,
            Some(_) => BlockState::Whole,
        }
    }

    fn work(&self, id: &BlockId) -> Option<Work> {
        self.0.indexed(*id).map(|block| block.known.work)
    }

    fn tip(&self) -> Tip {
        self.best_header()
    }

    fn best_header(&self) -> Tip {
        tip_of(&self.0.best_header())
    }

    fn locator(&self) -> Locator {
        Locator { blocks: self.0.locator(), tips: Vec::new() }
    }

    fn lacking(&self, _: usize, _: &mut Vec<BlockId>) {}

    fn transaction(&self, _: &TxId) -> bool {
        true
    }
}
