//! What is counted, and what is made before it is asked for.

use crate::support::{Plan, TestNode, fail, solve, test_entropy};
use adit_node::api::blocks::MineBlockResponse;
use adit_node::client::{NodeClient, Patience};
use adit_node::statistics::StatisticsReport;
use serde_json::{Value, json};

async fn statistics(node: &TestNode) -> StatisticsReport {
    serde_json::from_value(node.get("/stats").await.body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn finds_are_counted_with_what_became_of_them() {
    let node = TestNode::start().await;
    node.mine().await;
    node.mine().await;
    let work = node.work().await;
    let template = work.block_template.template_id;
    node.post("/submit_block", &json!({ "template_id": template, "nonce": fail(&work) }))
        .await
        .refused(400, "invalid-block");
    node.post("/submit_block", &json!({ "template_id": 999, "nonce": 0 })).await.refused(409, "unknown-template");
    let report = statistics(&node).await;
    assert_eq!((report.blocks_found, report.blocks_accepted, report.blocks_rejected), (4, 2, 2));
    assert_eq!((report.blocks_selected, report.blocks_unmerged), (2, 0));
    assert_eq!((report.placement.measured, report.template.measured), (2, 3));
    assert_eq!(report.rejected_by_rule["unknown-template"], 1);
    assert_eq!(report.rejected_by_rule.values().sum::<u64>(), 2);
    assert!(report.placement.max_ms > 0.0 && report.template.max_ms > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_beside_the_selected_chain_is_unmerged() {
    let node = TestNode::start().await;
    let (one, other) =
        (node.work().await, node.post("/mine_block", &json!({ "miner_address": node.address(), "extra": "01" })).await);
    let other = serde_json::from_value(other.body).unwrap();
    for work in [one, other] {
        let body = json!({ "template_id": work.block_template.template_id, "nonce": solve(&work) });
        assert_eq!(node.post("/submit_block", &body).await.status, 200);
    }
    let report = statistics(&node).await;
    assert_eq!((report.blocks_selected, report.blocks_unmerged, report.blue_ratio), (1, 1, Some(1.0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscribers_next_template_is_there_before_it_is_asked_for() {
    let node = TestNode::start().await;
    let client = NodeClient::new(&[node.node.url()], None, node.identity.clone(), test_entropy()).unwrap();
    let mut subscription = client.subscribe(&node.address(), Patience::Attempts(1)).await.unwrap();
    subscription.next().await.unwrap();
    assert_eq!(statistics(&node).await.since_start.template_hits_prepared, 0);
    node.mine().await;
    assert_eq!(subscription.next().await.unwrap().block_template.index, 2);
    let totals = statistics(&node).await.since_start;
    // The subscriber's first and the miner's were made when they asked; then one for each was made ahead, and one of those was fetched.
    assert_eq!((totals.template_requests, totals.template_hits, totals.template_hits_prepared), (3, 1, 1));
    assert_eq!(totals.templates_built, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_nobody_repeats_is_prepared_once() {
    let node = TestNode::start().await;
    node.work().await;
    let mine_for_another = async || {
        let answer = node.post("/mine_block", &json!({ "miner_address": node.address(), "extra": "02" })).await;
        let work: MineBlockResponse = serde_json::from_value(answer.body).unwrap();
        let body = json!({ "template_id": work.block_template.template_id, "nonce": solve(&work) });
        assert_eq!(node.post("/submit_block", &body).await.body["status"], "accepted");
    };
    mine_for_another().await;
    let after_one = statistics(&node).await.since_start.templates_built;
    mine_for_another().await;
    mine_for_another().await;
    // Each of these made one template ahead, for whoever asked since the block before.
    assert_eq!((after_one, statistics(&node).await.since_start.templates_built), (4, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_blocks_that_are_counted_changes_while_the_node_runs() {
    let node = TestNode::start().await;
    assert_eq!(statistics(&node).await.blocks_max, 100);
    node.write_settings(&json!({ "node": { "sizes": { "statistics-blocks": 10 } } }));
    assert_eq!(node.post_with_token("/config/refresh", &json!({})).await.status, 200);
    for _ in 0..12 {
        node.mine().await;
    }
    let report = statistics(&node).await;
    assert_eq!((report.blocks_max, report.blocks_accepted, report.since_start.blocks_accepted), (10, 10, 12));
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_metrics() {
    let node = TestNode::start().await;
    node.mine().await;
    node.post("/submit_block", &json!({ "template_id": 999, "nonce": 0 })).await.refused(409, "unknown-template");
    let Value::String(text) = node.get("/metrics").await.body else { panic!("metrics are text") };
    for line in [
        "adit_blocks_found_total 2",
        "adit_blocks_rejected_total 1",
        "adit_recent_blocks_rejected{rule=\"unknown-template\"} 1",
        "adit_template_requests_total 1",
        "adit_placements_total 1",
        "adit_recent_blocks_blue 1",
        "adit_abnormal{metric=\"reject-rate\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

/// How a metric stands.
async fn watched(node: &TestNode, metric: &str) -> Value {
    let report = node.get("/events").await.body;
    let watched = report["watched"].as_array().unwrap().clone();
    watched.into_iter().find(|watched| watched["metric"] == metric).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refused_blocks_is_an_event() {
    let settings = json!({ "node": { "anomalies": { "interval-ms": 10 }, "limits": { "requests-per-second": 1_000_000, "requests-burst": 1_000_000 } } });
    let node = TestNode::start_with(Plan { settings, ..Plan::default() }).await;
    while watched(&node, "reject-rate").await["readings"].as_u64().unwrap() < 20 {
        node.mine().await;
    }
    assert_eq!(watched(&node, "reject-rate").await["abnormal"], false);
    while watched(&node, "reject-rate").await["anomalies"] == 0 {
        node.post("/submit_block", &json!({ "template_id": 99_999, "nonce": 0 })).await;
    }
    let report = node.get("/events").await.body;
    let event =
        report["events"].as_array().unwrap().iter().find(|event| event["metric"] == "reject-rate").unwrap().clone();
    assert!(event["z"].as_f64().unwrap() > 3.5, "{event}");
    assert_eq!(node.get("/status/detailed").await.body["anomalies"]["watched"].as_array().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_are_chosen_before_a_template_is_asked_for() {
    let node = TestNode::start().await;
    let (payment, _) = crate::transactions::payment(&node).await;
    let before = statistics(&node).await.since_start;
    assert_eq!(node.post("/transaction", &payment).await.status, 200);
    let chosen = loop {
        // Each question gives the chain's thread a moment in which nothing waits.
        let now = statistics(&node).await.since_start;
        if now.selections > before.selections {
            break now;
        }
    };
    assert_eq!(chosen.template_requests, before.template_requests);
    assert_eq!(node.work().await.mining_metadata.transaction_count, 1);
    assert_eq!(statistics(&node).await.since_start.selections, chosen.selections);
}
