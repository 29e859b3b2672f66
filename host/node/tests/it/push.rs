//! Templates are pushed.

use crate::support::{Plan, TestNode, solve, test_entropy};
use adit_node::client::{NodeClient, Patience};
use futures_util::StreamExt;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

fn client(node: &TestNode) -> NodeClient {
    NodeClient::new(&[node.node.url()], None, node.identity.clone(), test_entropy()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_tip_is_pushed_at_once() {
    let node = TestNode::start().await;
    let client = client(&node);
    let mut subscription = client.subscribe(&node.address(), Patience::Attempts(1)).await.unwrap();
    let first = subscription.next().await.unwrap();
    assert_eq!((first.block_template.index, &first.block_template.transactions), (1, &None));
    node.mine().await;
    let second = subscription.next().await.unwrap();
    assert_eq!(second.block_template.index, 2);
    assert!(second.block_template.state_version > first.block_template.state_version);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_template_can_be_solved_and_submitted() {
    let node = TestNode::start().await;
    let mut subscription = client(&node).subscribe(&node.address(), Patience::Attempts(1)).await.unwrap();
    let work = subscription.next().await.unwrap();
    let body = json!({ "template_id": work.block_template.template_id, "nonce": solve(&work) });
    assert_eq!(node.post("/submit_block", &body).await.body["status"], "accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_subscribers_never_search_the_same_inputs() {
    let node = TestNode::start().await;
    let client = client(&node);
    let mut roots = Vec::new();
    for _ in 0..2 {
        let mut subscription = client.subscribe(&node.address(), Patience::Attempts(1)).await.unwrap();
        roots.push(subscription.next().await.unwrap().block_template.merkle_root);
    }
    assert_ne!(roots[0], roots[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_difficulty_is_pushed() {
    let node = TestNode::start().await;
    let mut subscription = client(&node).subscribe(&node.address(), Patience::Attempts(1)).await.unwrap();
    subscription.next().await.unwrap();
    node.post_with_token("/difficulty/set", &json!({ "difficulty": 2 })).await;
    assert_eq!(subscription.next().await.unwrap().target_difficulty.as_u64(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_for_no_valid_address_is_refused() {
    let node = TestNode::start().await;
    node.get("/template?miner_address=x").await.refused(400, "address");
    node.get(&format!("/template?miner_address={}", node.address())).await.refused(426, "websocket");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_holds_its_connection_s_place() {
    let settings = json!({ "node": { "limits": { "connections-per-address": 1 } } });
    let node = TestNode::start_with(Plan { settings, ..Plan::default() }).await;
    let (mut socket, _) = tokio_tungstenite::client_async(
        format!("ws://{}/template?miner_address={}", node.node.address(), node.address()),
        TcpStream::connect(node.node.address()).await.unwrap(),
    )
    .await
    .unwrap();
    socket.next().await.unwrap().unwrap();
    let mut second = TcpStream::connect(node.node.address()).await.unwrap();
    // The node closes it: otherwise this never returns.
    assert_eq!(second.read_to_end(&mut Vec::new()).await.unwrap_or_default(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_end_ends_the_subscription() {
    let node = TestNode::start().await;
    let mut subscription = client(&node).subscribe(&node.address(), Patience::Attempts(1)).await.unwrap();
    subscription.next().await.unwrap();
    node.node.end().await.unwrap();
    subscription.next().await.unwrap_err();
}
