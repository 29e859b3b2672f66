//! The task that has all connections, and the handle by which it is told what to do.

use crate::behaviour::{self, Behaviour, BehaviourEvent, SESSION, topic};
use crate::session::{self, Ended, Frames, Outbox};
use crate::{Address, NodeKey, SecretKey, SessionNumber, TransportSettings};
use futures_util::StreamExt;
use libp2p::gossipsub::{self, MessageAcceptance, MessageId};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError, Stream, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, SwarmBuilder, identify, kad, mdns, noise, tcp, upnp, yamux};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How long a connection stays open that nobody uses.
const IDLE: Duration = Duration::from_secs(20);

/// How long a session's stream may take to be agreed on.
const OPEN_TIME: Duration = Duration::from_secs(10);

/// Gossiped items whose worth is being found out. Older ones are ignored.
const GOSSIP_OPEN_MAX: usize = 4096;

/// Commands that may wait.
const COMMANDS_MAX: usize = 4096;

/// Streams that wait for word of their connections. The oldest goes first.
const EARLY_MAX: usize = 64;

/// Addresses of one node that are reported.
const ADDRESSES_MAX: usize = 8;

/// What happens.
#[derive(Debug)]
pub enum Happening {
    /// The node listens here. One for each address of the machine.
    Listening(Address),
    /// Others were seen to reach this node here.
    Reachable(Address),
    /// A session begins.
    Opened { session: SessionNumber, node: NodeKey, address: Address, outbound: bool, outbox: Outbox },
    /// It sent frames.
    Received(Frames),
    /// It has ended. Nothing more comes of it.
    Closed { session: SessionNumber, ended: Ended },
    /// No session came of a call to this address.
    NotReached { address: Address, reason: Unreached },
    /// A node may be here: heard of, not tried.
    Discovered { node: NodeKey, addresses: Vec<Address>, source: Source },
    /// An item of a topic. It goes on when it is said to be worth that.
    Gossiped { item: GossipNumber, node: Option<NodeKey>, topic: &'static str, bytes: Vec<u8> },
}

/// Why no session came of a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreached {
    #[error("it is this node itself")]
    Itself,
    #[error("there is a session with it")]
    Twice,
    #[error("its name cannot be resolved: {0}")]
    Name(String),
    #[error("{0}")]
    Failed(String),
}

/// How a node was heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// In the same local network, which says nothing of its chain.
    Lan,
    /// In the distributed table of this realm.
    Table,
}

/// Names a gossiped item until its worth is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GossipNumber(u64);

/// What a gossiped item is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// It goes on.
    Accept,
    /// It does not go on; nobody is blamed.
    Ignore,
    /// It does not go on, and counts against whoever sent it.
    Reject,
}

enum Command {
    Call(Address),
    Ban(NodeKey),
    Unban(NodeKey),
    Publish { topic: &'static str, bytes: Vec<u8> },
    Worth { item: GossipNumber, acceptance: Acceptance },
    End,
}

/// Why there is no transport.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the parts of the network do not start: {0}")]
    Build(behaviour::BuildError),
    #[error("nothing can listen at {address}: {detail}")]
    Listen { address: Address, detail: String },
}

/// The way to the task.
#[derive(Clone)]
pub struct TransportHandle(mpsc::Sender<Command>);

/// The running task.
pub struct Transport {
    handle: TransportHandle,
    task: JoinHandle<()>,
}

impl Transport {
    /// Starts. `tell` is called for whatever happens, from several tasks; it must not wait.
    pub fn start(
        key: &SecretKey,
        settings: TransportSettings,
        tell: impl Fn(Happening) + Send + Sync + 'static,
    ) -> Result<Self, StartError> {
        let mut swarm = build(key, &settings).map_err(StartError::Build)?;
        for address in &settings.listen {
            let listening = swarm.listen_on(address.multiaddr().clone());
            let failed = |error: libp2p::TransportError<_>| StartError::Listen {
                address: address.clone(),
                detail: error.to_string(),
            };
            listening.map_err(failed)?;
        }
        for address in &settings.announce {
            swarm.add_external_address(address.multiaddr().clone());
        }
        for relay in &settings.relays {
            let through = relay.multiaddr().clone().with(libp2p::core::multiaddr::Protocol::P2pCircuit);
            if let Err(error) = swarm.listen_on(through) {
                tracing::warn!(%relay, %error, "this relay cannot be used");
            }
        }
        let mut control = swarm.behaviour().streams.new_control();
        let incoming = control.accept(SESSION).map_err(|error| StartError::Build(error.into()))?;
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let (reports, session_reports) = mpsc::unbounded_channel();
        tokio::spawn(take_streams(incoming, reports.clone()));
        let tell: Tell = Arc::new(tell);
        let task = SwarmTask {
            swarm,
            own: key.node(),
            settings,
            tell,
            reports,
            calls: HashMap::new(),
            addresses: HashMap::new(),
            sessions: HashMap::new(),
            early: VecDeque::new(),
            asked: HashSet::new(),
            next_session: 0,
            open_items: HashMap::new(),
            next_item: 0,
        };
        let task = tokio::spawn(task.run(commands, session_reports));
        Ok(Self { handle: TransportHandle(sender), task })
    }

    /// Returns the way to the task.
    pub fn handle(&self) -> &TransportHandle {
        &self.handle
    }

    /// Ends every connection.
    pub async fn end(self) {
        drop(self.handle.0.send(Command::End).await);
        drop(self.task.await);
    }
}

impl TransportHandle {
    /// Calls a node. [`Happening::Opened`] or [`Happening::NotReached`] follows.
    pub fn call(&self, address: Address) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.0.try_send(Command::Call(address)) {
            tracing::debug!("too many calls wait: this one is left out");
        }
    }

    /// Ends all that there is with a node, and takes no connection of it any more.
    pub fn ban(&self, node: NodeKey) {
        drop(self.0.try_send(Command::Ban(node)));
    }

    /// Takes connections of a node again.
    pub fn unban(&self, node: NodeKey) {
        drop(self.0.try_send(Command::Unban(node)));
    }

    /// Tells outsiders of something new, if there is room.
    pub fn publish(&self, topic: &'static str, bytes: Vec<u8>) {
        drop(self.0.try_send(Command::Publish { topic, bytes }));
    }

    /// Says what a gossiped item is worth.
    pub fn worth(&self, item: GossipNumber, acceptance: Acceptance) {
        drop(self.0.try_send(Command::Worth { item, acceptance }));
    }
}

type Tell = Arc<dyn Fn(Happening) + Send + Sync>;

fn build(key: &SecretKey, settings: &TransportSettings) -> Result<Swarm<Behaviour>, behaviour::BuildError> {
    let builder = SwarmBuilder::with_existing_identity(key.keypair()).with_tokio();
    let builder = builder.with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?;
    let idle = |config: libp2p::swarm::Config| config.with_idle_connection_timeout(IDLE);
    Ok(if settings.is_relayed() {
        let builder = builder.with_relay_client(noise::Config::new, yamux::Config::default)?;
        let builder = builder.with_behaviour(|key, relayed| Behaviour::new(key, Some(relayed), settings))?;
        builder.with_swarm_config(idle).build()
    } else {
        builder.with_behaviour(|key| Behaviour::new(key, None, settings))?.with_swarm_config(idle).build()
    })
}

impl Unreached {
    /// Says what an operator can act on.
    fn of(error: &DialError, own: NodeKey) -> Self {
        match error {
            // A call is of one address, and the library leaves out those at which this node listens.
            DialError::LocalPeerId { .. } | DialError::NoAddresses => Self::Itself,
            DialError::WrongPeerId { obtained, .. } if NodeKey::of(obtained) == Some(own) => Self::Itself,
            DialError::WrongPeerId { obtained, .. } => Self::Failed(format!("another node answers there: {obtained}")),
            // Of many layers that failed the innermost says why.
            DialError::Transport(errors) => errors.last().map_or_else(
                || Self::Failed(error.to_string()),
                |(_, error)| {
                    let mut cause: &dyn std::error::Error = error;
                    while let Some(inner) = cause.source() {
                        cause = inner;
                    }
                    Self::Failed(cause.to_string())
                },
            ),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// What the tasks of single sessions report.
enum Report {
    /// A stream that another node asked for.
    Incoming {
        peer: PeerId,
        stream: Stream,
    },
    /// A stream that this node asked for.
    Stream {
        address: Address,
        peer: PeerId,
        stream: Result<Stream, Unreached>,
    },
    /// A host's name was looked up.
    Resolved {
        address: Address,
        found: Result<Vec<Address>, Unreached>,
    },
    Ended {
        session: SessionNumber,
        ended: Ended,
    },
}

/// Takes streams as they come. The library keeps one and drops what comes while it waits, so this does nothing else.
async fn take_streams(mut incoming: libp2p_stream::IncomingStreams, reports: mpsc::UnboundedSender<Report>) {
    while let Some((peer, stream)) = incoming.next().await {
        if reports.send(Report::Incoming { peer, stream }).is_err() {
            return;
        }
    }
}

/// A running session, as the task knows it.
struct Running {
    session: SessionNumber,
    outbound: bool,
    outbox: Outbox,
}

struct SwarmTask {
    swarm: Swarm<Behaviour>,
    own: NodeKey,
    settings: TransportSettings,
    tell: Tell,
    reports: mpsc::UnboundedSender<Report>,
    /// Connections that are made in order to have a session.
    calls: HashMap<ConnectionId, Address>,
    /// Where each connected node is.
    addresses: HashMap<PeerId, Vec<(ConnectionId, Multiaddr)>>,
    sessions: HashMap<PeerId, Running>,
    /// Streams of connections that the swarm has not told of yet: they come by ways of their own.
    early: VecDeque<(PeerId, Stream)>,
    /// Nodes that were asked for a session and have not answered.
    asked: HashSet<PeerId>,
    next_session: u64,
    open_items: HashMap<GossipNumber, (MessageId, PeerId)>,
    next_item: u64,
}

impl SwarmTask {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>, mut reports: mpsc::UnboundedReceiver<Report>) {
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.happened(event),
                Some(report) = reports.recv() => self.reported(report),
                command = commands.recv() => match command {
                    None | Some(Command::End) => break,
                    Some(command) => self.obey(command),
                },
            }
        }
        // What waits to be sent has a moment: a goodbye that nobody hears explains nothing.
        self.sessions.values().for_each(|running| running.outbox.end());
        let all = async {
            while !self.sessions.is_empty() {
                tokio::select! {
                    _ = self.swarm.select_next_some() => {}
                    Some(report) = reports.recv() => self.reported(report),
                }
            }
        };
        drop(tokio::time::timeout(Duration::from_secs(1), all).await);
    }

    fn obey(&mut self, command: Command) {
        let behaviour = self.swarm.behaviour_mut();
        match command {
            Command::Call(address) => self.call(address.clone(), address),
            Command::Ban(node) => {
                if let Some(peer) = node.peer() {
                    if let Some(running) = self.sessions.get(&peer) {
                        running.outbox.end();
                    }
                    behaviour.banned.block_peer(peer);
                    behaviour.gossip.blacklist_peer(&peer);
                }
            }
            Command::Unban(node) => {
                if let Some(peer) = node.peer() {
                    behaviour.banned.unblock_peer(peer);
                    behaviour.gossip.remove_blacklisted_peer(&peer);
                }
            }
            Command::Publish { topic: name, bytes } => {
                // Nobody listens, or it is known already: both are as they should be.
                if let Err(error) = behaviour.gossip.publish(topic(&self.settings.realm, name), bytes) {
                    tracing::trace!(%error, name, "nothing was published");
                }
            }
            Command::Worth { item, acceptance } => {
                let Some((message, peer)) = self.open_items.remove(&item) else { return };
                let acceptance = match acceptance {
                    Acceptance::Accept => MessageAcceptance::Accept,
                    Acceptance::Ignore => MessageAcceptance::Ignore,
                    Acceptance::Reject => MessageAcceptance::Reject,
                };
                behaviour.gossip.report_message_validation_result(&message, &peer, acceptance);
            }
            Command::End => {}
        }
    }

    /// Begins to have a session with whoever is at an address. What comes of it is told of the one that was `asked` for, which may be a name.
    fn call(&mut self, asked: Address, address: Address) {
        if let Some((host, port)) = address.name() {
            let reports = self.reports.clone();
            tokio::spawn(async move {
                let found = tokio::time::timeout(OPEN_TIME, tokio::net::lookup_host((host.as_str(), port))).await;
                let found = match found {
                    Ok(Ok(sockets)) => Ok(sockets.map(Address::of_socket).take(ADDRESSES_MAX).collect()),
                    Ok(Err(error)) => Err(Unreached::Name(error.to_string())),
                    Err(_) => Err(Unreached::Name("no answer came in time".to_owned())),
                };
                drop(reports.send(Report::Resolved { address: asked, found }));
            });
            return;
        }
        let peer = address.peer();
        if let Some(peer) = peer.filter(|peer| self.swarm.is_connected(peer)) {
            return self.open(peer, asked);
        }
        // From a port of its own: two nodes that call each other from the ports that they listen at would meet in one connection that both
        // began, and neither could go on with it.
        let dial = match peer {
            Some(peer) => DialOpts::peer_id(peer)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .addresses(vec![address.multiaddr().clone()])
                .allocate_new_port()
                .build(),
            None => DialOpts::unknown_peer_id().address(address.multiaddr().clone()).allocate_new_port().build(),
        };
        let id = dial.connection_id();
        match self.swarm.dial(dial) {
            Ok(()) => drop(self.calls.insert(id, asked)),
            Err(error) => {
                (self.tell)(Happening::NotReached { address: asked, reason: Unreached::of(&error, self.own) })
            }
        }
    }

    /// Asks a connected node for a session.
    fn open(&mut self, peer: PeerId, address: Address) {
        if self.sessions.contains_key(&peer) || !self.asked.insert(peer) {
            return (self.tell)(Happening::NotReached { address, reason: Unreached::Twice });
        }
        let mut control = self.swarm.behaviour().streams.new_control();
        let reports = self.reports.clone();
        tokio::spawn(async move {
            let stream = match tokio::time::timeout(OPEN_TIME, control.open_stream(peer, SESSION)).await {
                Ok(stream) => stream.map_err(|error| Unreached::Failed(error.to_string())),
                Err(_) => Err(Unreached::Failed("no session was agreed on in time".to_owned())),
            };
            drop(reports.send(Report::Stream { address, peer, stream }));
        });
    }

    fn reported(&mut self, report: Report) {
        if let Report::Stream { peer, .. } = &report {
            self.asked.remove(peer);
        }
        match report {
            Report::Incoming { peer, stream } => self.opened(peer, stream, None),
            Report::Stream { address, peer, stream: Ok(stream) } => self.opened(peer, stream, Some(address)),
            Report::Stream { address, stream: Err(reason), .. } | Report::Resolved { address, found: Err(reason) } => {
                (self.tell)(Happening::NotReached { address, reason });
            }
            Report::Resolved { address, found: Ok(found) } => {
                let node = address.node();
                match found.into_iter().next() {
                    Some(found) => self.call(address, node.map_or(found.clone(), |node| found.with_node(node))),
                    None => {
                        let reason = Unreached::Name("it has no address".to_owned());
                        (self.tell)(Happening::NotReached { address, reason });
                    }
                }
            }
            Report::Ended { session, ended } => {
                self.sessions.retain(|_, running| running.session != session);
                (self.tell)(Happening::Closed { session, ended });
            }
        }
    }

    /// Takes up a session. Two nodes that call each other at once keep the session of the one whose key is smaller; one that calls again has lost
    /// the session that it had.
    fn opened(&mut self, peer: PeerId, stream: Stream, called: Option<Address>) {
        if called.is_none() && !self.addresses.contains_key(&peer) {
            if self.early.len() >= EARLY_MAX {
                self.early.pop_front();
            }
            return self.early.push_back((peer, stream));
        }
        let failed = |reason: &str| Unreached::Failed(reason.to_owned());
        let refuse = |reason: Unreached| {
            if let Some(address) = called.clone() {
                (self.tell)(Happening::NotReached { address, reason });
            }
        };
        let Some(node) = NodeKey::of(&peer) else { return refuse(failed("it is no node of Adit")) };
        let outbound = called.is_some();
        if let Some(running) = self.sessions.get(&peer) {
            let replaces = if running.outbound == outbound { !outbound } else { outbound == (self.own < node) };
            if !replaces {
                return refuse(Unreached::Twice);
            }
            running.outbox.end();
        } else {
            let count = self.sessions.values().filter(|running| running.outbound == outbound).count();
            let max = if outbound { self.settings.outbound_max } else { self.settings.inbound_max };
            if count >= max as usize {
                return refuse(failed("there are as many sessions as may be"));
            }
        }
        let session = SessionNumber(self.next_session);
        self.next_session += 1;
        let known = self.addresses.get(&peer).and_then(|all| all.first()).map(|(_, at)| Address::new(at.clone()));
        let Some(address) = called.clone().or(known) else { return refuse(failed("its connection has ended")) };
        let (outbox, drain) = Outbox::new();
        self.sessions.insert(peer, Running { session, outbound, outbox: outbox.clone() });
        let address = address.with_node(node);
        (self.tell)(Happening::Opened { session, node, address, outbound, outbox: outbox.clone() });
        let (tell, reports, body_max) = (Arc::clone(&self.tell), self.reports.clone(), self.settings.body_max);
        tokio::spawn(async move {
            let take = move |frames: Frames| tell(Happening::Received(frames));
            let ended = session::run(stream, session, outbox, drain, body_max, take).await;
            drop(reports.send(Report::Ended { session, ended }));
        });
    }

    fn happened(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::NewListenAddr { address, .. } => {
                (self.tell)(Happening::Listening(Address::new(address).with_node(self.own)));
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "the network does not listen any more"),
            SwarmEvent::ExternalAddrConfirmed { address } => {
                (self.tell)(Happening::Reachable(Address::new(address).with_node(self.own)));
            }
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                let at = endpoint.get_remote_address().clone();
                self.addresses.entry(peer_id).or_default().push((connection_id, at));
                if let Some(place) = self.early.iter().position(|(peer, _)| *peer == peer_id)
                    && let Some((_, stream)) = self.early.remove(place)
                {
                    self.opened(peer_id, stream, None);
                }
                if let Some(address) = self.calls.remove(&connection_id) {
                    if peer_id == *self.swarm.local_peer_id() {
                        (self.tell)(Happening::NotReached { address, reason: Unreached::Itself });
                    } else {
                        self.open(peer_id, address);
                    }
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, .. } => {
                if num_established == 0 {
                    self.addresses.remove(&peer_id);
                } else if let Some(all) = self.addresses.get_mut(&peer_id) {
                    all.retain(|(id, _)| *id != connection_id);
                }
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                if let Some(address) = self.calls.remove(&connection_id) {
                    (self.tell)(Happening::NotReached { address, reason: Unreached::of(&error, self.own) });
                }
            }
            SwarmEvent::Behaviour(event) => self.behaved(event),
            _ => {}
        }
    }

    fn behaved(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.identified(peer_id, &info)
            }
            BehaviourEvent::Lan(mdns::Event::Discovered(found)) => {
                let mut nodes: HashMap<PeerId, Vec<Multiaddr>> = HashMap::new();
                found.into_iter().for_each(|(peer, address)| nodes.entry(peer).or_default().push(address));
                nodes.into_iter().for_each(|(peer, addresses)| self.discovered(peer, addresses, Source::Lan));
            }
            BehaviourEvent::Table(kad::Event::RoutingUpdated { peer, addresses, is_new_peer: true, .. }) => {
                self.discovered(peer, addresses.into_vec(), Source::Table);
            }
            BehaviourEvent::Table(kad::Event::OutboundQueryProgressed {
                result: kad::QueryResult::GetClosestPeers(Ok(found)),
                ..
            }) => found.peers.into_iter().for_each(|peer| self.discovered(peer.peer_id, peer.addrs, Source::Table)),
            BehaviourEvent::Ports(upnp::Event::NewExternalAddr { external_addr, .. }) => {
                tracing::info!(address = %external_addr, "the router forwards a port to this node");
            }
            BehaviourEvent::Gossip(gossipsub::Event::Message { propagation_source, message_id, message }) => {
                self.gossiped(propagation_source, message_id, message);
            }
            BehaviourEvent::Gossip(gossipsub::Event::SlowPeer { peer_id, .. }) => {
                tracing::debug!(peer = %peer_id, "it takes gossip more slowly than it comes");
            }
            _ => {}
        }
    }

    /// Lets the distributed table know where a node of the same realm is.
    fn identified(&mut self, peer: PeerId, info: &identify::Info) {
        let protocol = behaviour::table_protocol(&self.settings.realm);
        if !info.protocols.contains(&protocol) {
            return;
        }
        let Some(table) = self.swarm.behaviour_mut().table.as_mut() else { return };
        for address in info.listen_addrs.iter().take(ADDRESSES_MAX) {
            table.add_address(&peer, address.clone());
        }
    }

    fn discovered(&self, peer: PeerId, addresses: Vec<Multiaddr>, source: Source) {
        let Some(node) = NodeKey::of(&peer).filter(|node| *node != self.own) else { return };
        let addresses = addresses.into_iter().take(ADDRESSES_MAX).map(|at| Address::new(at).with_node(node)).collect();
        (self.tell)(Happening::Discovered { node, addresses, source });
    }

    fn gossiped(&mut self, peer: PeerId, message_id: MessageId, message: gossipsub::Message) {
        let of = |name: &'static str| topic(&self.settings.realm, name).hash() == message.topic;
        let name = self.settings.topics.iter().map(|topic| topic.name).find(|name| of(name));
        let Some(name) = name.filter(|_| self.open_items.len() < GOSSIP_OPEN_MAX) else {
            let gossip = &mut self.swarm.behaviour_mut().gossip;
            gossip.report_message_validation_result(&message_id, &peer, MessageAcceptance::Ignore);
            return;
        };
        let item = GossipNumber(self.next_item);
        self.next_item += 1;
        self.open_items.insert(item, (message_id, peer));
        (self.tell)(Happening::Gossiped { item, node: NodeKey::of(&peer), topic: name, bytes: message.data });
    }
}
