//! The node among others: sessions, what is passed on over them, and how far this node is behind.
//!
//! `transport` carries frames, `adit_network` says what is in them and what is to be done about it, the chain judges. This room puts the three
//! together, and decides nothing itself.
//!
//! Reading order: this file is what others see; `actor` the thread that owns the machine; `facts`, `judge` and `serve` what it asks of the chain;
//! `calls` whom it talks to, `named` what became of those that the operator named; `ahead` headers from the future; `patience` which headers are given
//! up; `shares` the way to a pool's share log; `address` and `key` are values, [`metrics`] what is counted.

mod actor;
mod address;
mod ahead;
mod calls;
mod facts;
mod judge;
mod key;
pub mod metrics;
mod named;
mod patience;
mod serve;
mod shares;

pub use calls::Known;
pub use key::NodeKeyError;
pub use named::NamedView;
pub(crate) use shares::Question;

use crate::chain::{ChainHandle, News};
use crate::clock::{Clock, Entropy};
use crate::settings::network::{NetworkSettings, PropagationStrategy};
use crate::sharelog::ShareLogHandle;
use actor::{Actor, Inbox};
use adit_network::shares::Identity;
use adit_network::wire::{Features, Kind};
use adit_network::{Counters, Local, Machine, Moment, NodeId, PeerView, Strategies, Strategy, SyncView};
use adit_primitives::identity::Rules;
use adit_transport::settings::Topic;
use adit_transport::{Address, AddressError, BodyMax, NodeKey, StartError, Transport, TransportSettings};
use ahead::Ahead;
use calls::{Calls, CallsParts};
use facts::ChainFacts;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, watch};

/// Memory of the process above which no connection is taken.
const MEMORY_MAX: usize = 4 << 30;

/// What the network works with.
pub struct NetworkParts {
    pub settings: NetworkSettings,
    /// The folder of the node's key and its address book.
    pub data_dir: PathBuf,
    pub chain: ChainHandle,
    pub rules: Rules,
    /// Whether this process keeps the share log of a peer-to-peer pool: peers are told, and send shares to those who do.
    pub keeps_shares: bool,
    pub clock: Clock,
    pub entropy: Entropy,
}

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
pub enum NetworkStartError {
    #[error(transparent)]
    Key(#[from] NodeKeyError),
    #[error("[network] {0}")]
    Address(#[from] AddressError),
    #[error("the network does not start: {0}")]
    Transport(#[from] StartError),
    #[error("no thread for the network: {0}")]
    Thread(std::io::Error),
}

/// How things are, about twice a second.
#[derive(Debug, Clone)]
pub struct NetworkStanding {
    pub peers: Vec<PeerView>,
    pub sync: SyncView,
    /// By how much a header of a peer was lately too far ahead of this machine's time.
    pub ahead: Option<Duration>,
    pub counters: Counters,
    /// Where others reach this node, as far as it knows.
    pub listening: Vec<Address>,
    /// What is in the address book.
    pub known: Known,
    /// What became of the addresses that the operator named.
    pub named: Vec<NamedView>,
    /// When this was so.
    pub now: Moment,
}

/// The way to the network.
#[derive(Clone)]
pub struct NetworkHandle {
    node: NodeKey,
    identity: Identity,
    standing: watch::Receiver<Arc<NetworkStanding>>,
    inbox: Sender<Inbox>,
    shares: watch::Sender<Option<ShareLogHandle>>,
}

/// The running network.
pub struct Network {
    handle: NetworkHandle,
    transport: Transport,
    thread: JoinHandle<()>,
}

impl NetworkHandle {
    /// Returns this node's name.
    pub fn node(&self) -> NodeKey {
        self.node
    }

    /// Returns how things are.
    pub fn standing(&self) -> Arc<NetworkStanding> {
        self.standing.borrow().clone()
    }

    /// Returns every later state of it.
    pub fn watch(&self) -> watch::Receiver<Arc<NetworkStanding>> {
        self.standing.clone()
    }
}

impl Network {
    /// Starts. To be called within the runtime.
    pub fn start(parts: NetworkParts) -> Result<Self, NetworkStartError> {
        let NetworkParts { settings, data_dir, chain, rules, keeps_shares, clock, entropy } = parts;
        let file = settings.key_file.clone().unwrap_or_else(|| data_dir.join("node.key"));
        let (key, identity) = key::load_or_create(&file, &entropy)?;
        let facts = ChainFacts::new(chain.reader().clone());
        let (inbox, receiver) = channel();
        let back = inbox.clone();
        let tell = move |happening| drop(back.send(Inbox::Happened(happening)));
        let transport = Transport::start(&key, transport_settings(&settings, &rules)?, tell)?;
        let machine_settings = machine_settings(&settings);
        let node = key.node();
        let announce: Vec<Address> = parse(&settings.announce)?;
        let local = Local {
            node: NodeId(node.0),
            rules,
            features: if keeps_shares { Features::BLOCKS.and(Features::SHARES) } else { Features::BLOCKS },
            listen: announce.iter().map(address::told).collect(),
        };
        let (mut seed, mut book_key) = ([0; 8], [0; 32]);
        entropy(&mut seed);
        entropy(&mut book_key);
        let seed = u64::from_le_bytes(seed);
        let machine = Machine::new(machine_settings, local, seed);
        let ahead = Arc::new(Ahead::new(Arc::clone(&clock)));
        let calls = Calls::open(CallsParts {
            file: data_dir.join("peers"),
            bootstrap: parse(&settings.bootstrap)?,
            announce,
            outbound: usize::from(settings.outbound),
            inbound: usize::from(settings.inbound),
            key: book_key,
            seed,
            clock,
        });
        let empty = NetworkStanding {
            peers: Vec::new(),
            sync: machine.sync(Moment::default(), &facts),
            ahead: None,
            counters: machine.counters(),
            listening: Vec::new(),
            known: calls.known(),
            named: calls.named(),
            now: Moment::default(),
        };
        let (standing, standing_receiver) = watch::channel(Arc::new(empty));
        let shares = watch::channel(None).0;
        let actor = Actor {
            machine,
            facts,
            calls,
            chain: chain.clone(),
            transport: transport.handle().clone(),
            runtime: tokio::runtime::Handle::current(),
            inbox: receiver,
            back: inbox.clone(),
            standing,
            started: Instant::now(),
            sessions: HashMap::new(),
            banned: HashMap::new(),
            gossip: HashMap::new(),
            ahead,
            announces: !settings.announce.is_empty(),
            shares: shares.subscribe(),
            asked_last: None,
        };
        tokio::spawn(pass_news(chain.news(), inbox.clone()));
        tokio::spawn(patience::watch(chain, standing_receiver.clone()));
        let thread = std::thread::Builder::new().name("adit-network".to_owned()).spawn(move || actor.run());
        let thread = thread.map_err(NetworkStartError::Thread)?;
        let handle = NetworkHandle { node, identity, standing: standing_receiver, inbox, shares };
        Ok(Self { handle, transport, thread })
    }

    /// Returns the way to it.
    pub fn handle(&self) -> &NetworkHandle {
        &self.handle
    }

    /// Says goodbye to all peers and ends.
    pub async fn end(self) {
        drop(self.handle.inbox.send(Inbox::End));
        let thread = self.thread;
        if !matches!(tokio::task::spawn_blocking(move || thread.join()).await, Ok(Ok(()))) {
            tracing::error!("the network's thread panicked");
        }
        self.transport.end().await;
    }
}

fn parse(texts: &[String]) -> Result<Vec<Address>, AddressError> {
    texts.iter().map(|text| text.parse()).collect()
}

/// Hands on what the chain takes. What is lost to a slow reader, peers learn by the tips that are exchanged with every ping.
async fn pass_news(mut news: broadcast::Receiver<News>, inbox: Sender<Inbox>) {
    loop {
        match news.recv().await {
            Ok(news) => {
                if inbox.send(Inbox::News(news)).is_err() {
                    return;
                }
            }
            Err(broadcast::error::RecvError::Lagged(count)) => tracing::debug!(count, "news were not announced"),
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

fn transport_settings(settings: &NetworkSettings, rules: &Rules) -> Result<TransportSettings, AddressError> {
    let realm = rules.identity().to_string().chars().take(16).collect();
    Ok(TransportSettings {
        listen: settings.listen.iter().copied().map(Address::of_socket).collect(),
        announce: parse(&settings.announce)?,
        realm,
        agent: agent(),
        lan: settings.lan,
        table: settings.table,
        traversal: settings.traversal,
        relays: parse(&settings.relays)?,
        relay: settings.relay,
        inbound_max: u32::from(settings.inbound) + calls::EXTRA,
        outbound_max: u32::from(settings.outbound) + calls::EXTRA,
        memory_max: MEMORY_MAX,
        body_max: BodyMax {
            first: |kind| Kind::from_byte(kind).ok()?.first_bytes_max(),
            later: |kind| Kind::from_byte(kind).ok().map(Kind::body_bytes_max),
        },
        topics: vec![Topic { name: actor::BLOCKS_TOPIC, bytes_max: 66 << 10 }],
    })
}

fn agent() -> String {
    format!("adit/{}", env!("CARGO_PKG_VERSION"))
}

fn machine_settings(settings: &NetworkSettings) -> adit_network::Settings {
    let sessions = usize::from(settings.outbound) + usize::from(settings.inbound) + 2 * calls::EXTRA as usize;
    adit_network::Settings {
        strategies: match settings.strategy {
            PropagationStrategy::Flood => Strategies::all(Strategy::Flood),
            PropagationStrategy::Gossip => Strategies::all(Strategy::Gossip),
            PropagationStrategy::Structured => Strategies::all(Strategy::Structured),
            PropagationStrategy::Hybrid => Strategies::hybrid(),
            PropagationStrategy::Adaptive => Strategies::all(Strategy::Adaptive),
        },
        sessions_max: sessions,
        ..adit_network::Settings::standard(agent())
    }
}
