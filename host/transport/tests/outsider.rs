//! What a libp2p program that is not Adit's hears by gossip.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use adit_transport::settings::Topic;
use adit_transport::{Acceptance, Address, BodyMax, Happening, SecretKey, Transport, TransportSettings};
use futures_util::StreamExt;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Swarm, SwarmBuilder, gossipsub, noise, tcp, yamux};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// How long a test waits for what must come: far longer than it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between items, until somebody listens.
const GLANCE: Duration = Duration::from_millis(20);

/// Items that are published one right after another.
const ITEMS: u32 = 50;

struct Node {
    transport: Transport,
    address: Address,
    happenings: UnboundedReceiver<Happening>,
}

impl Node {
    async fn start(secret: u8) -> Self {
        let settings = TransportSettings {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            announce: Vec::new(),
            realm: "test".to_owned(),
            agent: "adit test".to_owned(),
            lan: false,
            table: false,
            traversal: false,
            relays: Vec::new(),
            relay: false,
            inbound_max: 8,
            outbound_max: 8,
            memory_max: usize::MAX,
            body_max: BodyMax { first: |_| Some(100), later: |_| Some(100) },
            topics: vec![Topic { name: "news", bytes_max: 1000 }],
        };
        let (sender, mut happenings) = unbounded_channel();
        let key = SecretKey::from_bytes([secret; 32]).unwrap();
        let transport = Transport::start(&key, settings, move |happening| drop(sender.send(happening))).unwrap();
        let Some(Happening::Listening(address)) = happenings.recv().await else { panic!("it does not listen") };
        Self { transport, address, happenings }
    }

    fn publish(&self, item: u32) {
        self.transport.handle().publish("news", item.to_be_bytes().to_vec());
    }
}

/// Connects with a node as a program that sets what unsigned messages need, and leaves the rest as the library has it.
fn outsider(node: &Node) -> Swarm<gossipsub::Behaviour> {
    let builder = SwarmBuilder::with_new_identity().with_tokio();
    let builder = builder.with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default).unwrap();
    let behaviour = |_: &_| {
        let mut config = gossipsub::ConfigBuilder::default();
        config.validation_mode(gossipsub::ValidationMode::Anonymous);
        config.message_id_fn(|message| message.data.clone().into());
        let mut gossip =
            gossipsub::Behaviour::new(gossipsub::MessageAuthenticity::Anonymous, config.build().unwrap()).unwrap();
        gossip.subscribe(&gossipsub::IdentTopic::new("/adit/test/news")).unwrap();
        gossip
    };
    let mut swarm = builder.with_behaviour(behaviour).unwrap().build();
    swarm.dial(node.address.to_string().parse::<Multiaddr>().unwrap()).unwrap();
    swarm
}

async fn heard(outsider: &mut Swarm<gossipsub::Behaviour>) -> u32 {
    loop {
        if let SwarmEvent::Behaviour(gossipsub::Event::Message { message, .. }) = outsider.select_next_some().await {
            return u32::from_be_bytes(message.data.try_into().unwrap());
        }
    }
}

/// Lets `publish` make items until one is heard: who listens is known after a moment. Then all that follow must be heard.
async fn hears_all(outsider: &mut Swarm<gossipsub::Behaviour>, publish: impl Fn(u32)) {
    let mut next = 0;
    loop {
        publish(next);
        next += 1;
        if tokio::time::timeout(GLANCE, heard(outsider)).await.is_ok() {
            break;
        }
    }
    let mut missing: BTreeSet<u32> = (next..next + ITEMS).collect();
    missing.iter().for_each(|item| publish(*item));
    while !missing.is_empty() {
        missing.remove(&heard(outsider).await);
    }
}

#[tokio::test]
async fn an_outsider_hears_every_item_of_a_node() {
    let node = Node::start(1).await;
    let mut outsider = outsider(&node);
    let all = hears_all(&mut outsider, |item| node.publish(item));
    tokio::time::timeout(PATIENCE, all).await.expect("an item is not heard");
}

#[tokio::test]
async fn an_outsider_hears_every_item_that_its_node_accepts_from_others() {
    let (source, mut middle) = (Node::start(1).await, Node::start(2).await);
    source.transport.handle().call(middle.address.clone());
    let mut outsider = outsider(&middle);
    let handle = middle.transport.handle().clone();
    let accepting = async {
        while let Some(happening) = middle.happenings.recv().await {
            if let Happening::Gossiped { item, .. } = happening {
                handle.worth(item, Acceptance::Accept);
            }
        }
    };
    let all = tokio::time::timeout(PATIENCE, hears_all(&mut outsider, |item| source.publish(item)));
    tokio::select! {
        all = all => all.expect("an item is not heard"),
        () = accepting => panic!("the node in the middle has ended"),
    }
}
