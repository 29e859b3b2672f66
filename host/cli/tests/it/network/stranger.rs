//! Programs that are not Adit's: a few lines with libp2p each. One keeps to its protocols, one says whatever a test wants over a session.

use super::Node;
use crate::adit::{PATIENCE, get};
use adit_network::wire::{Frame, HEAD_BYTES, Hello, Kind};
use bytes::Bytes;
use futures_util::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::identity::Keypair;
use libp2p::swarm::{NetworkBehaviour, Stream, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, gossipsub, identify, kad, noise, tcp, yamux};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;

/// What the stranger that means well speaks.
#[derive(NetworkBehaviour)]
pub struct Spoken {
    pub identify: identify::Behaviour,
    pub table: kad::Behaviour<kad::store::MemoryStore>,
    pub gossip: gossipsub::Behaviour,
}

fn address(node: &Node) -> Multiaddr {
    format!("/ip4/127.0.0.1/tcp/{}", node.port).parse().unwrap()
}

/// A node's name, as libp2p has it.
pub fn name(node: &Node) -> PeerId {
    get(&node.url, "/peers").1["node"].as_str().unwrap().parse().unwrap()
}

/// Returns what comes next, within the patience of all tests.
pub async fn soon<T>(what: &str, coming: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, coming).await;
    waited.unwrap_or_else(|_| panic!("{what} did not come"))
}

fn swarm<B: NetworkBehaviour>(behaviour: impl FnOnce(&Keypair) -> B) -> Swarm<B> {
    let builder = SwarmBuilder::with_new_identity().with_tokio();
    let builder = builder.with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default);
    let builder = builder.unwrap().with_behaviour(behaviour).unwrap();
    builder.with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE)).build()
}

/// Connects with a node as one that takes part in its table and hears of its blocks.
pub fn meet(node: &Node, realm: &str) -> Swarm<Spoken> {
    let mut stranger = swarm(|key| {
        let id = key.public().to_peer_id();
        let agent =
            identify::Config::new("/stranger/1".to_owned(), key.public()).with_agent_version("stranger/1".into());
        let table = kad::Config::new(StreamProtocol::try_from_owned(format!("/adit/{realm}/kad/1")).unwrap());
        let mut config = gossipsub::ConfigBuilder::default();
        config.validation_mode(gossipsub::ValidationMode::Anonymous);
        // The library names messages by author and number, which unsigned ones have not: all would be one.
        config.message_id_fn(|message| Sha256::digest(&message.data).to_vec().into());
        let anonymous = gossipsub::MessageAuthenticity::Anonymous;
        let mut gossip = gossipsub::Behaviour::new(anonymous, config.build().unwrap()).unwrap();
        gossip.subscribe(&gossipsub::IdentTopic::new(format!("/adit/{realm}/blocks"))).unwrap();
        Spoken {
            identify: identify::Behaviour::new(agent),
            table: kad::Behaviour::with_config(id, kad::store::MemoryStore::new(id), table),
            gossip,
        }
    });
    stranger.behaviour_mut().table.add_address(&name(node), address(node));
    stranger.dial(address(node)).unwrap();
    stranger
}

/// Waits for something that happens at a swarm.
pub async fn happens<B: NetworkBehaviour, T>(
    what: &str,
    swarm: &mut Swarm<B>,
    wanted: impl Fn(SwarmEvent<B::ToSwarm>) -> Option<T>,
) -> T {
    let coming = async {
        loop {
            if let Some(wanted) = wanted(swarm.select_next_some().await) {
                return wanted;
            }
        }
    };
    soon(what, coming).await
}

/// A node that means harm: it opens a session as Adit's nodes do, and sends what it is told to.
pub struct Enemy {
    pub name: PeerId,
    pub stream: Stream,
    swarm: JoinHandle<()>,
}

impl Enemy {
    /// Opens a session under a new name.
    pub async fn meet(node: &Node) -> Self {
        let mut swarm = swarm(|_| libp2p_stream::Behaviour::new());
        let (own, theirs) = (*swarm.local_peer_id(), name(node));
        let mut control = swarm.behaviour().new_control();
        swarm.dial(address(node)).unwrap();
        let connected = async {
            loop {
                match swarm.select_next_some().await {
                    SwarmEvent::ConnectionEstablished { .. } => return,
                    // Others may hold all places of those who are about to come.
                    SwarmEvent::OutgoingConnectionError { .. } => swarm.dial(address(node)).unwrap(),
                    _ => {}
                }
            }
        };
        soon("a connection", connected).await;
        let swarm = tokio::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
        let opening = control.open_stream(theirs, StreamProtocol::new("/adit/session/1"));
        let stream = soon("a session", opening).await.unwrap();
        Self { name: own, stream, swarm }
    }

    /// Opens a session and greets, as one of the same rules and with the same tip.
    pub async fn greeted(node: &Node) -> (Self, Hello) {
        let mut enemy = Self::meet(node).await;
        let hello = enemy.greet().await.unwrap();
        (enemy, hello)
    }

    /// Hears a greeting and answers it. None where the node has no place for it.
    pub async fn greet(&mut self) -> Option<Hello> {
        let Some(Frame::Hello(theirs)) = soon("a greeting", self.hear()).await else { return None };
        let nonce = theirs.nonce ^ 1;
        let ours = Hello { agent: "enemy\u{1b}[2J".to_owned(), listen: Vec::new(), nonce, ..(*theirs).clone() };
        self.send(&Frame::Hello(Box::new(ours)).to_wire()).await.ok()?;
        Some(*theirs)
    }

    pub async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Reads a frame; none where the node has ended the session.
    pub async fn hear(&mut self) -> Option<Frame> {
        let mut head = [0; HEAD_BYTES];
        self.stream.read_exact(&mut head).await.ok()?;
        let [a, b, c, d, kind] = head;
        let mut body = vec![0; u32::from_le_bytes([a, b, c, d]) as usize];
        self.stream.read_exact(&mut body).await.ok()?;
        Some(Frame::decode(Kind::from_byte(kind).unwrap(), &Bytes::from(body)).unwrap())
    }

    /// Reads up to the end that the node makes.
    pub async fn hear_out(&mut self) {
        soon("the end of a session", async { while self.hear().await.is_some() {} }).await;
    }
}

impl Drop for Enemy {
    fn drop(&mut self) {
        self.swarm.abort();
    }
}
