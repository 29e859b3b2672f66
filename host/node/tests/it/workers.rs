//! Real workers mine: for the node of their own process, and for one over the network.

use crate::support::{NativeHash, TestNode, test_entropy};
use adit_node::client::{NodeClient, Patience};
use adit_node::mining::{MinerReport, Mining, MiningFailure, MiningParts, WorkSource};
use adit_node::run::run_both;
use adit_node::settings::MinerSettings;
use adit_primitives::{Height, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

fn start(source: WorkSource, changes: Option<watch::Receiver<MinerSettings>>) -> Mining {
    let began = Instant::now();
    let parts = MiningParts {
        source: Arc::new(source),
        settings: MinerSettings { threads: Some(2), pin: false, ..MinerSettings::unset() },
        factory: Arc::new(|_| Ok(Box::new(NativeHash))),
        backend: "test".to_owned(),
        clock: Arc::new(move || began.elapsed()),
        entropy: test_entropy(),
        report: watch::channel(Arc::new(MinerReport::default())).0,
        changes,
    };
    Mining::start(parts).unwrap()
}

fn own(node: &TestNode) -> WorkSource {
    let clock = Arc::new(|| Timestamp::from_secs(1_700_003_600));
    WorkSource::Own { chain: node.node.chain().clone(), pay_to: node.key.public(), clock }
}

fn over_http(node: &TestNode) -> WorkSource {
    let client = NodeClient::new(&[node.node.url()], None, node.identity.clone(), test_entropy()).unwrap();
    WorkSource::Nodes { client, address: node.address() }
}

async fn reaches(node: &TestNode, height: u64) {
    let mut snapshots = node.node.chain().watch();
    snapshots.wait_for(|snapshot| snapshot.tip.height >= Height(height)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miner_extends_the_chain_of_its_own_process() {
    let node = TestNode::start().await;
    let mining = start(own(&node), None);
    reaches(&node, 5).await;
    let report = mining.report();
    assert_eq!(mining.end().await.unwrap().abandoned, []);
    let report = report.borrow().clone();
    assert!(report.blocks_accepted >= 5 && report.hashes > 0 && report.workers.len() == 2, "{report:?}");
    assert!(report.template_latency.measured >= 5, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_miners_extend_one_nodes_chain_over_http() {
    let node = TestNode::start().await;
    let miners = [start(over_http(&node), None), start(over_http(&node), None)];
    reaches(&node, 5).await;
    for mining in miners {
        let report = mining.report();
        mining.end().await.unwrap();
        assert_eq!(report.borrow().blocks_refused, 0);
    }
}

/// A proxy before a node, which ends each WebSocket as soon as it is open. Returns its URL, and how many it has ended.
async fn without_sockets(node: &TestNode) -> (String, Arc<AtomicUsize>) {
    let url = node.node.url();
    let behind = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (address, ended) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&ended);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut node = TcpStream::connect(&behind).await.unwrap();
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let mut request = vec![0; 16_384];
                let bytes = client.read(&mut request).await.unwrap_or_default();
                node.write_all(&request[..bytes]).await.unwrap();
                if String::from_utf8_lossy(&request[..bytes]).to_ascii_lowercase().contains("upgrade: websocket") {
                    let mut answer = Vec::new();
                    while !answer.ends_with(b"\r\n\r\n") {
                        answer.push(node.read_u8().await.unwrap());
                    }
                    client.write_all(&answer).await.unwrap();
                    count.fetch_add(1, Ordering::Relaxed);
                } else {
                    drop(tokio::io::copy_bidirectional(&mut client, &mut node).await);
                }
            });
        }
    });
    (format!("http://{address}"), ended)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miner_asks_where_subscriptions_end_as_soon_as_they_begin() {
    let node = TestNode::start().await;
    let (url, ended) = without_sockets(&node).await;
    let client = NodeClient::new(&[url], None, node.identity.clone(), test_entropy()).unwrap();
    let mining = start(WorkSource::Nodes { client, address: node.address() }, None);
    reaches(&node, 3).await;
    mining.end().await.unwrap();
    assert_eq!(ended.load(Ordering::Relaxed), 1, "it asks for a while before it subscribes again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miner_ends_by_itself_where_the_node_keeps_another_chain() {
    let node = TestNode::start().await;
    let mut ours = node.identity.clone();
    ours.chain = "other".to_owned();
    let client = NodeClient::new(&[node.node.url()], None, ours, test_entropy()).unwrap();
    let mining = start(WorkSource::Nodes { client, address: node.address() }, None);
    let ended = mining.run_until(std::future::pending()).await.unwrap_err();
    assert!(
        matches!(&ended, MiningFailure::NoWork(failure) if failure.to_string().contains("chain name: ours is other"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_workers_changes_while_they_run() {
    let node = TestNode::start().await;
    let settings = |threads, enabled| MinerSettings { threads: Some(threads), enabled, ..MinerSettings::unset() };
    let (change, changes) = watch::channel(settings(2, true));
    let mining = start(own(&node), Some(changes));
    let mut report = mining.report();
    for (threads, enabled, want) in [(3, true, 3), (1, true, 1), (1, false, 0)] {
        change.send_replace(settings(threads, enabled));
        report.wait_for(|report| report.workers.len() == want && report.running == enabled).await.unwrap();
    }
    mining.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn node_and_miner_end_together_on_a_signal() {
    let node = TestNode::start().await;
    let mining = start(own(&node), None);
    let (chain, mut snapshots) = (node.node.chain().clone(), node.node.chain().watch());
    let five = async move { drop(snapshots.wait_for(|snapshot| snapshot.tip.height >= Height(5)).await) };
    run_both(node.node, |signal| mining.run_until(signal), five).await.unwrap();
    assert!(!chain.is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miner_ends_when_the_chain_stops() {
    let node = TestNode::start().await;
    let mining = start(own(&node), None);
    reaches(&node, 1).await;
    node.node.end().await.unwrap();
    let ended = mining.run_until(std::future::pending()).await.unwrap_err();
    assert!(matches!(ended, MiningFailure::ChainStopped));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_miner_at_work_still_answers() {
    let node = TestNode::start().await;
    let mining = start(own(&node), None);
    reaches(&node, 3).await;
    let client = NodeClient::new(&[node.node.url()], None, node.identity.clone(), test_entropy()).unwrap();
    client.handshake(Patience::Attempts(1)).await.unwrap();
    assert_eq!(node.get("/status").await.status, 200);
    mining.end().await.unwrap();
}
