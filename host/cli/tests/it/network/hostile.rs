//! Peers that mean harm, against running nodes: what they cost is bounded, they are banned or cut, and nothing is lost.

use super::stranger::{Enemy, soon};
use super::{Node, agree};
use crate::adit::{Place, get, length, wait_for_length, wait_until};
use adit_network::RequestId;
use adit_network::wire::{BlockNotice, Frame, Hello, Kind, Locator};
use adit_primitives::BlockId;
use futures_util::AsyncReadExt;
use std::io::Write;
use std::net::TcpStream;

/// What a node may take in memory beyond what it took before anybody attacked it.
const GROWTH_MAX: u64 = 192 << 20;

/// A node that mines, one that follows it, and what the first took in memory when nobody meant harm.
struct Besieged {
    place: Place,
    miner: Node,
    honest: Node,
    memory: u64,
}

impl Besieged {
    fn start() -> Self {
        let place = Place::new();
        let mut miner = Node::write(&place, "miner", &[], "");
        miner.start(&place, true);
        let mut honest = Node::write(&place, "honest", &[miner.port], "");
        honest.start(&place, false);
        wait_for_length(&honest.url, 4);
        let memory = miner.running.as_ref().unwrap().memory();
        Self { place, miner, honest, memory }
    }

    /// Asserts that the node answers, is no larger than it may be, and goes on with whoever is honest.
    #[track_caller]
    fn stands(&self, after: &str) {
        let memory = self.miner.running.as_ref().unwrap().memory();
        assert!(memory < self.memory + GROWTH_MAX, "{after}: {memory} bytes, {} before", self.memory);
        let (status, body) = get(&self.miner.url, "/status");
        assert_eq!(status, 200, "{after}: {body}");
        wait_for_length(&self.honest.url, length(&self.miner.url) + 2);
        agree(&[&self.miner, &self.honest]);
    }

    /// Waits until the node says why it has banned somebody.
    #[track_caller]
    fn banned(&mut self, enemy: &Enemy) -> String {
        let name = enemy.name.to_string();
        self.miner.running.as_mut().unwrap().wait_for(&format!("ban of {name}"), |entry| {
            let fields = entry.get("fields")?;
            let is_ban = fields["message"] == "a node is banned" && fields["peer"] == name.as_str();
            is_ban.then(|| fields["reason"].as_str().unwrap().to_owned())
        })
    }

    fn knows(&self, enemy: &Enemy) -> bool {
        self.miner.peers().iter().any(|peer| peer["node"] == enemy.name.to_string())
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn ping(hello: &Hello) -> Frame {
    Frame::Ping { nonce: 1, tip: hello.tip }
}

/// Blocks announced by ids that are not theirs: the header is one that the node itself told of.
async fn lies(enemy: &mut Enemy) -> Vec<u8> {
    let header = loop {
        if let Some(Frame::Announce { blocks }) = soon("news of a block", enemy.hear()).await {
            break blocks[0].header.clone();
        }
    };
    let notice = |number: u8| BlockNotice { id: BlockId([number; 32]), level: 0, header: header.clone(), block: None };
    Frame::Announce { blocks: (1..=8).map(notice).collect() }.to_wire().to_vec()
}

/// Makes what is sent behind a greeting.
type Attack<'a> = &'a dyn Fn(&Hello) -> Vec<u8>;

#[test]
fn who_breaks_the_protocol_is_banned_and_nothing_is_lost() {
    let mut besieged = Besieged::start();
    let runtime = runtime();
    // What is sent after a greeting, and what the node says to that.
    let attacks: [(&str, Attack); 6] = [
        ("no frame is of kind 200", &|_| vec![0, 0, 0, 0, 200]),
        ("longer than", &|_| vec![0xff, 0xff, 0xff, 0xff, Kind::Headers as u8]),
        ("does not decode", &|_| [&[64, 0, 0, 0, Kind::Announce as u8][..], &[0xff; 64]].concat()),
        ("second hello", &|hello| Frame::Hello(Box::new(hello.clone())).to_wire().to_vec()),
        ("sending more than its allowance", &|hello| ping(hello).to_wire().repeat(100_000)),
        ("sending more than its allowance", &|_| {
            let ask = |request| {
                let locator = Locator { blocks: vec![BlockId([7; 32]); 100], tips: Vec::new() };
                Frame::GetHeaders { request: RequestId(request), locator }.to_wire()
            };
            (0..4000).flat_map(ask).collect()
        }),
    ];
    for (reason, bytes) in attacks {
        let enemy = runtime.block_on(async {
            let (mut enemy, hello) = Enemy::greeted(&besieged.miner).await;
            flood(&mut enemy, bytes(&hello)).await;
            enemy
        });
        let said = besieged.banned(&enemy);
        // Of too many questions at a time each costs a point as well.
        assert!(said.contains(reason) || said.contains("too many questions"), "{reason}: {said}");
        besieged.stands(reason);
    }
    let early = runtime.block_on(async {
        let mut enemy = Enemy::meet(&besieged.miner).await;
        flood(&mut enemy, Frame::GetPeers { request: RequestId(1) }.to_wire().to_vec()).await;
        enemy
    });
    assert!(besieged.banned(&early).contains("no session begins with a GetPeers frame"));
    let liar = runtime.block_on(async {
        let (mut enemy, _) = Enemy::greeted(&besieged.miner).await;
        let bytes = lies(&mut enemy).await;
        flood(&mut enemy, bytes).await;
        enemy
    });
    assert!(besieged.banned(&liar).contains("announcing a block by a false id"));
    besieged.stands("lies about ids");
    wait_until("the honest node as the only peer", || (besieged.miner.peers().len() == 1).then_some(()));
}

/// Sends and reads at once, up to the end that the node makes.
async fn flood(enemy: &mut Enemy, bytes: Vec<u8>) {
    use futures_util::AsyncWriteExt;
    let (mut read, mut write) = (&mut enemy.stream).split();
    let mut rest = vec![0; 1 << 16];
    let hearing = async { while read.read(&mut rest).await.is_ok_and(|count| count > 0) {} };
    let sending = async {
        // The node may have ended the session before all of it is sent.
        if write.write_all(&bytes).await.is_ok() {
            drop(write.flush().await);
        }
    };
    soon("the end of a session", async { tokio::join!(hearing, sending) }).await;
}

/// Peers that stay with half of a frame as large as there is.
async fn half_messages(node: &Node, greets: bool) -> Vec<Enemy> {
    let mut enemies = Vec::new();
    for _ in 0..16 {
        let mut enemy = Enemy::meet(node).await;
        if greets {
            enemy.greet().await;
        }
        let length = u32::try_from(Kind::Blocks.body_bytes_max()).unwrap().to_le_bytes();
        // Where the node ends the session at once, that is as good.
        drop(enemy.send(&[&length[..], &[Kind::Blocks as u8]].concat()).await);
        drop(enemy.send(&vec![0; Kind::Blocks.body_bytes_max() / 2]).await);
        enemies.push(enemy);
    }
    enemies
}

#[test]
fn half_messages_slow_readers_and_thousands_of_connections_cost_a_bounded_amount() {
    let besieged = Besieged::start();
    let port = besieged.miner.port;
    // Connections that say nothing, and connections that say what no handshake is.
    for round in 0..4 {
        let mut open: Vec<TcpStream> = (0..500).filter_map(|_| TcpStream::connect(("127.0.0.1", port)).ok()).collect();
        for stream in open.iter_mut().skip(round % 2) {
            // Whom the node has left already cannot be written to.
            drop(stream.write_all(&[0xaa; 512]));
        }
        besieged.stands("connections without a handshake");
    }

    let runtime = runtime();
    // A frame's head promises as much as may be, half of it comes, and nothing after. Who has not greeted is left at the head.
    for greets in [false, true] {
        let mut halves = runtime.block_on(half_messages(&besieged.miner, greets));
        besieged.stands("half messages");
        if !greets {
            halves.iter_mut().for_each(|enemy| runtime.block_on(enemy.hear_out()));
        }
        drop(halves);
        besieged.stands("the end of half messages");
    }

    // It asks, and reads no answer.
    let deaf = runtime.block_on(async {
        let (mut enemy, hello) = Enemy::greeted(&besieged.miner).await;
        let pings = ping(&hello).to_wire().repeat(45_000);
        drop(enemy.send(&pings).await);
        enemy
    });
    wait_until("the end of who does not read", || (!besieged.knows(&deaf)).then_some(()));
    besieged.stands("a peer that does not read");

    // All places are taken by peers that greet and then only keep quiet: who comes after finds one nevertheless.
    let quiet = runtime.block_on(async {
        let mut enemies = Vec::new();
        for _ in 0..50 {
            let mut enemy = Enemy::meet(&besieged.miner).await;
            enemy.greet().await;
            enemies.push(enemy);
        }
        enemies
    });
    let mut late = Node::write(&besieged.place, "late", &[port], "");
    late.start(&besieged.place, false);
    wait_for_length(&late.url, length(&besieged.miner.url));
    drop(quiet);
    besieged.stands("places taken by the quiet");
    agree(&[&besieged.miner, &late]);
}
