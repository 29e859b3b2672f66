//! Real sessions over loopback.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use adit_transport::settings::Topic;
use adit_transport::swarm::{GossipNumber, Source};
use adit_transport::{
    Acceptance, Address, BodyMax, Ended, Frame, Happening, Lane, NodeKey, Outbox, SecretKey, SessionNumber, Transport,
    TransportSettings, Unreached,
};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

fn frame(kind: u8, body: &[u8]) -> bytes::Bytes {
    let length = u32::try_from(body.len()).unwrap().to_le_bytes();
    [&length[..], &[kind], body].concat().into()
}

/// How long a test waits for what must come: far longer than it takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Node {
    transport: Transport,
    key: NodeKey,
    address: Address,
    happenings: UnboundedReceiver<Happening>,
}

fn settings() -> TransportSettings {
    TransportSettings {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        announce: Vec::new(),
        realm: "test".to_owned(),
        agent: "adit test".to_owned(),
        lan: false,
        table: true,
        traversal: false,
        relays: Vec::new(),
        relay: false,
        inbound_max: 8,
        outbound_max: 8,
        memory_max: usize::MAX,
        body_max: BodyMax { first: |_| Some(100_000), later: |_| Some(100_000) },
        topics: vec![Topic { name: "news", bytes_max: 1000 }],
    }
}

impl Node {
    async fn start(secret: u8, settings: TransportSettings) -> Self {
        let secret = SecretKey::from_bytes([secret; 32]).unwrap();
        let (sender, mut happenings) = unbounded_channel();
        let transport = Transport::start(&secret, settings, move |happening| drop(sender.send(happening))).unwrap();
        let Happening::Listening(address) = next(&mut happenings).await else { panic!("it does not listen") };
        Self { transport, key: secret.node(), address, happenings }
    }

    async fn next(&mut self) -> Happening {
        next(&mut self.happenings).await
    }

    async fn opened(&mut self) -> (SessionNumber, NodeKey, bool, Outbox) {
        loop {
            match self.next().await {
                Happening::Opened { session, node, outbound, outbox, .. } => return (session, node, outbound, outbox),
                Happening::Closed { .. } | Happening::Listening(_) | Happening::Discovered { .. } => {}
                other => panic!("no session, but {other:?}"),
            }
        }
    }

    async fn received(&mut self) -> Vec<Frame> {
        loop {
            match self.next().await {
                Happening::Received(frames) => return frames.frames,
                Happening::Discovered { .. } => {}
                other => panic!("no frames, but {other:?}"),
            }
        }
    }

    async fn closed(&mut self) -> Ended {
        loop {
            match self.next().await {
                Happening::Closed { ended, .. } => return ended,
                Happening::Discovered { .. } | Happening::Received(_) => {}
                other => panic!("not closed, but {other:?}"),
            }
        }
    }
}

async fn next(happenings: &mut UnboundedReceiver<Happening>) -> Happening {
    tokio::time::timeout(PATIENCE, happenings.recv()).await.expect("nothing happens").expect("the transport has ended")
}

#[tokio::test]
async fn frames_go_both_ways_and_an_end_is_heard() {
    let (mut near, mut far) = (Node::start(1, settings()).await, Node::start(2, settings()).await);
    near.transport.handle().call(far.address.clone());
    let (_, node, outbound, near_outbox) = near.opened().await;
    assert_eq!((node, outbound), (far.key, true));
    let (_, node, outbound, far_outbox) = far.opened().await;
    assert_eq!((node, outbound), (near.key, false));
    near_outbox.send(Lane::Live, frame(7, b"there")).unwrap();
    assert_eq!(far.received().await[0].body.as_ref(), b"there");
    far_outbox.send(Lane::Bulk, frame(8, b"and back")).unwrap();
    assert_eq!(near.received().await[0].kind, 8);
    far_outbox.end();
    near.closed().await;
    assert!(near_outbox.send(Lane::Live, frame(7, b"")).is_err());
}

#[tokio::test]
async fn nodes_that_call_each_other_keep_one_session() {
    let (mut near, mut far) = (Node::start(1, settings()).await, Node::start(2, settings()).await);
    for _ in 0..3 {
        near.transport.handle().call(far.address.clone());
        far.transport.handle().call(near.address.clone());
    }
    // Whatever else was opened on the way: one stays on both sides, and it is the same.
    let settled = async |node: &mut Node| {
        let mut open = std::collections::BTreeMap::new();
        loop {
            match tokio::time::timeout(Duration::from_secs(2), node.happenings.recv()).await {
                Ok(Some(Happening::Opened { session, outbound, outbox, .. })) => {
                    drop(open.insert(session, (outbound, outbox)))
                }
                Ok(Some(Happening::Closed { session, .. })) => drop(open.remove(&session)),
                Ok(_) => {}
                Err(_) if open.len() == 1 => return open.into_values().next().unwrap(),
                Err(_) => {}
            }
        }
    };
    let (near_side, far_side) = tokio::join!(settled(&mut near), settled(&mut far));
    assert_ne!(near_side.0, far_side.0, "one called, the other was called");
    near_side.1.send(Lane::Live, frame(1, b"still there")).unwrap();
    assert_eq!(far.received().await[0].body.as_ref(), b"still there");
}

#[tokio::test]
async fn a_banned_node_is_cut_off_and_stays_out() {
    let (mut near, mut far) = (Node::start(1, settings()).await, Node::start(2, settings()).await);
    near.transport.handle().call(far.address.clone());
    near.opened().await;
    far.opened().await;
    far.transport.handle().ban(near.key);
    near.closed().await;
    far.closed().await;
    near.transport.handle().call(far.address.clone());
    loop {
        match near.next().await {
            Happening::NotReached { .. } => break,
            Happening::Opened { .. } => {
                near.closed().await;
                break;
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_call_into_the_void_is_answered() {
    let mut near = Node::start(1, settings()).await;
    let address: Address = "127.0.0.1:1".parse().unwrap();
    near.transport.handle().call(address.clone());
    let Happening::NotReached { address: at, reason } = near.next().await else { panic!("something else happened") };
    assert_eq!(at, address);
    assert_eq!(reason, Unreached::Failed("Connection refused (os error 111)".to_owned()));
}

#[tokio::test]
async fn a_call_of_its_own_address_and_of_a_name_that_nobody_has_say_why_they_fail() {
    let mut near = Node::start(1, settings()).await;
    let own = near.address.without_node();
    near.transport.handle().call(own.clone());
    let Happening::NotReached { address, reason } = near.next().await else { panic!("something else happened") };
    assert_eq!((address, reason), (own, Unreached::Itself));
    // RFC 6761: nobody has a name that ends so.
    let nobody: Address = "nobody.invalid:8647".parse().unwrap();
    near.transport.handle().call(nobody.clone());
    let Happening::NotReached { address, reason } = near.next().await else { panic!("something else happened") };
    assert_eq!(address, nobody);
    assert!(matches!(reason, Unreached::Name(_)), "{reason}");
}

#[tokio::test]
async fn a_node_hears_of_others_through_the_table() {
    // Each says where it is reached, so that the table takes it up.
    let announced = |port: u16| {
        let at: Address = format!("127.0.0.1:{port}").parse().unwrap();
        TransportSettings { listen: vec![at.clone()], announce: vec![at], ..settings() }
    };
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (mut hub, mut first, mut second) = (
        Node::start(1, announced(free())).await,
        Node::start(2, announced(free())).await,
        Node::start(3, announced(free())).await,
    );
    first.transport.handle().call(hub.address.clone());
    first.opened().await;
    hub.opened().await;
    second.transport.handle().call(hub.address.clone());
    loop {
        if let Happening::Discovered { node, addresses, source } = second.next().await
            && node == first.key
        {
            assert_eq!(source, Source::Table);
            assert!(!addresses.is_empty());
            return;
        }
    }
}

#[tokio::test]
async fn gossip_goes_on_when_it_is_accepted_and_not_before() {
    let (first, mut middle, mut last) =
        (Node::start(1, settings()).await, Node::start(2, settings()).await, Node::start(3, settings()).await);
    first.transport.handle().call(middle.address.clone());
    last.transport.handle().call(middle.address.clone());
    let gossiped = async |node: &mut Node| -> Option<(GossipNumber, Vec<u8>)> {
        let wait = async {
            loop {
                if let Some(Happening::Gossiped { item, bytes, .. }) = node.happenings.recv().await {
                    return (item, bytes);
                }
            }
        };
        tokio::time::timeout(Duration::from_millis(500), wait).await.ok()
    };
    // Who listens is known after a moment: until then what is published goes nowhere.
    let mut counter = 0_u32;
    let item = loop {
        counter += 1;
        first.transport.handle().publish("news", counter.to_be_bytes().to_vec());
        if let Some((item, _)) = gossiped(&mut middle).await {
            break item;
        }
        assert!(counter < 100, "nothing is heard");
    };
    assert!(gossiped(&mut last).await.is_none(), "it went on before it was accepted");
    middle.transport.handle().worth(item, Acceptance::Accept);
    for _ in 0..100 {
        if gossiped(&mut last).await.is_some() {
            return;
        }
        counter += 1;
        first.transport.handle().publish("news", counter.to_be_bytes().to_vec());
        if let Some((item, _)) = gossiped(&mut middle).await {
            middle.transport.handle().worth(item, Acceptance::Accept);
        }
    }
    panic!("what was accepted did not go on");
}
