//! A libp2p node that is not Adit's: it asks who a node is, searches its table, and hears of its blocks.

use super::Node;
use super::stranger::{SpokenEvent, happens, meet, name};
use crate::adit::{Place, get, wait_for_length, wait_until};
use adit_primitives::BlockId;
use libp2p::swarm::SwarmEvent;
use libp2p::{gossipsub, identify, kad};

/// Lets a node take part in the distributed table, at an address that it says.
fn with_table(place: &Place, node: &Node) {
    let path = place.path(&format!("{}.toml", node.name));
    let text = std::fs::read_to_string(&path).unwrap();
    let announced = format!("table = true\nannounce = [\"127.0.0.1:{}\"]", node.port);
    std::fs::write(&path, text.replace("table = false", &announced)).unwrap();
}

/// Blocks of which the stranger hears one after another.
const IN_A_ROW: usize = 5;

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the first block that was heard of and those on it, without a gap: a header has its parent's id in it.
fn in_a_row(heard: &[(BlockId, Vec<u8>)]) -> Vec<(BlockId, Vec<u8>)> {
    let above = |below: &(BlockId, Vec<u8>)| {
        let names_it = |header: &[u8]| header.windows(32).any(|bytes| bytes == below.0.0);
        heard.iter().find(|(_, header)| names_it(header)).cloned()
    };
    std::iter::successors(heard.first().cloned(), above).collect()
}

#[test]
fn a_program_that_is_not_adits_talks_identify_kademlia_and_gossipsub_with_a_node() {
    let place = Place::new();
    let mut miner = Node::write(&place, "miner", &[], "");
    with_table(&place, &miner);
    miner.start(&place, true);
    let mut other = Node::write(&place, "other", &[miner.port], "");
    with_table(&place, &other);
    other.start(&place, false);
    wait_for_length(&other.url, 3);
    wait_until("a session of both", || (miner.peers().len() == 1).then_some(()));

    let identity = get(&miner.url, "/status").1["identity"].as_str().unwrap().to_owned();
    let realm: String = identity.chars().take(16).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let heard = runtime.block_on(async {
        let mut stranger = meet(&miner, &realm);
        let info = happens("who the node is", &mut stranger, |event| match event {
            SwarmEvent::Behaviour(SpokenEvent::Identify(identify::Event::Received { info, .. })) => Some(info),
            _ => None,
        })
        .await;
        assert!(info.agent_version.starts_with("adit/"), "{}", info.agent_version);
        assert_eq!(info.protocol_version, "/adit/1");
        let spoken: Vec<&str> = info.protocols.iter().map(AsRef::as_ref).collect();
        for protocol in ["/adit/session/1", &format!("/adit/{realm}/kad/1"), "/ipfs/id/1.0.0"] {
            assert!(spoken.contains(&protocol), "{protocol} is not among {spoken:?}");
        }

        let wanted = name(&other);
        stranger.behaviour_mut().table.get_closest_peers(wanted);
        let found = happens("an answer of the table", &mut stranger, |event| match event {
            SwarmEvent::Behaviour(SpokenEvent::Table(kad::Event::OutboundQueryProgressed {
                result: kad::QueryResult::GetClosestPeers(found),
                ..
            })) => Some(found.unwrap().peers),
            _ => None,
        })
        .await;
        assert!(found.iter().any(|peer| peer.peer_id == wanted), "{found:?}");

        // Blocks that stand on each other: it hears of every one. They may come by two ways, and out of order.
        let mut heard = Vec::new();
        while in_a_row(&heard).len() < IN_A_ROW {
            let next = happens("news of the next block", &mut stranger, |event| match event {
                SwarmEvent::Behaviour(SpokenEvent::Gossip(gossipsub::Event::Message { message, .. })) => Some(message),
                _ => None,
            });
            let news = next.await.data;
            let (id, header) = news.split_first_chunk().unwrap();
            heard.push((BlockId(*id), header.to_vec()));
        }
        in_a_row(&heard)
    });
    // The headers that it heard are those of blocks of the chain, by their ids.
    for (id, header) in heard {
        let block = wait_until("a block that was told of", || {
            let (status, block) = get(&other.url, &format!("/block/{id}"));
            (status == 200).then_some(block)
        });
        assert!(block["bytes"].as_str().unwrap().contains(&digits(&header)), "{block}");
    }
}
