//! Settings change while the node runs, or say why they do not.

use crate::support::{Plan, TestNode};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_applied_and_reported() {
    let node = TestNode::start().await;
    node.write_settings(&json!({ "node": { "limits": { "request-bytes": 2048 }, "name": "other" } }));
    let answer = node.post_with_token("/config/refresh", &json!({})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let changes = &answer.body["changes"];
    assert_eq!(changes["node.limits.request-bytes"], json!({ "old": 4_194_304, "new": 2048, "needs_restart": false }));
    assert_eq!(changes["node.name"], json!({ "old": "adit", "new": "other", "needs_restart": true }));
    let long = json!({ "miner_address": "x".repeat(3000) });
    node.post("/mine_block", &long).await.refused(413, "too-large");
    assert_eq!(node.get("/status").await.body["node_id"], "adit");
    let record = adit_node::audit::read(&*node.storage, 1, 10).unwrap();
    assert_eq!((record[0].action.as_str(), &record[0].new["node.name"]), ("configuration-reloaded", &json!("other")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_file_changes_nothing_and_is_shown() {
    let node = TestNode::start().await;
    let before = node.node.standing().borrow().settings.clone();
    node.write_settings(&json!({ "node": { "nmae": "typo" } }));
    let answer = node.post_with_token("/config/refresh", &json!({})).await;
    assert!(answer.refused(422, "configuration").contains("nmae"));
    assert_eq!(node.node.standing().borrow().settings, before);
    let shown = node.get("/status/detailed").await.body["configuration"].clone();
    assert_eq!((&shown["valid"], &shown["diagnostics"][0]["severity"]), (&json!(false), &json!("error")));
    node.write_settings(&json!({}));
    assert_eq!(node.post_with_token("/config/refresh", &json!({})).await.status, 200);
    assert_eq!(node.get("/status/detailed").await.body["configuration"]["valid"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_is_watched() {
    let node = TestNode::start_with(Plan { watch_ms: 20, ..Plan::default() }).await;
    let mut standing = node.node.standing();
    node.write_settings(&json!({ "node": { "difficulty": 2 } }));
    standing.wait_for(|standing| standing.settings.node.difficulty == Some(2)).await.unwrap();
    let mut snapshots = node.node.chain().watch();
    snapshots.wait_for(|snapshot| snapshot.next.difficulty == "2").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn presets_give_sizes_that_the_file_overrides() {
    let settings = json!({ "node": { "preset": "pool", "sizes": { "templates": 9 } } });
    let node = TestNode::start_with(Plan { settings, ..Plan::default() }).await;
    let sizes = node.get("/status/detailed").await.body["configuration"]["sizes"].clone();
    assert_eq!((&sizes["templates"], &sizes["template-ttl-ms"]), (&json!(9), &json!(1000)));
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_and_preset_change_while_the_node_runs() {
    let node = TestNode::start().await;
    let expires = async || {
        let template = node.work().await.block_template;
        template.expires - template.timestamp
    };
    assert!((expires().await - 10.0).abs() < 1e-3);
    node.write_settings(&json!({ "node": { "preset": "pool", "sizes": { "mempool-transactions": 7 } } }));
    let answer = node.post_with_token("/config/refresh", &json!({})).await;
    assert_eq!(
        answer.body["changes"]["node.preset"],
        json!({ "old": "development", "new": "pool", "needs_restart": false })
    );
    let sizes = node.get("/status/detailed").await.body["configuration"]["sizes"].clone();
    assert_eq!((&sizes["mempool-transactions"], &sizes["statistics-blocks"]), (&json!(7), &json!(100_000)));
    // A template that was handed out lives on; the next one has the new lifetime.
    node.mine().await;
    assert!((expires().await - 1.0).abs() < 1e-3);
}
