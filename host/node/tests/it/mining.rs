//! Work is asked for, solved and submitted.

use crate::support::{TestNode, fail, nonce, solve, subscribe, whole};
use crate::transactions::payment_in_parts;
use adit_chain::TemplateRequest;
use adit_node::chain::{Client, Proof, Solved, SubmitError};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_solved_template_becomes_the_newest_block() {
    let node = TestNode::start().await;
    let taken = node.mine().await;
    assert_eq!((&taken["status"], &taken["block_index"]), (&json!("accepted"), &json!(1)));
    assert_eq!(taken["confirmation"]["chain_length"], 2);
    let status = node.get("/status").await.body;
    assert_eq!((&status["blockchain_length"], &status["tip"]), (&json!(2), &taken["hash"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_has_chaincores_fields() {
    let node = TestNode::start().await;
    let work = node
        .post("/mine_block", &json!({ "miner_address": node.address(), "client_version": "2.0", "timestamp": 1.5 }))
        .await
        .body;
    let template = &work["block_template"];
    for key in ["index", "previous_hash", "transactions", "timestamp", "target_difficulty", "merkle_root"] {
        assert!(!template[key].is_null(), "{key}");
    }
    assert_eq!((&work["status"], &work["target_difficulty"]), (&json!("template_created"), &json!(1)));
    let reward = &work["mining_metadata"];
    assert_eq!(
        (&reward["block_reward"], &reward["block_reward_atoms"]),
        (&json!("50.00000000"), &json!(5_000_000_000_u64))
    );
    assert_eq!(template["transactions"].as_array().unwrap().len(), 1, "the coinbase");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_given_by_its_parts_is_taken_whatever_hash_it_claims() {
    let node = TestNode::start().await;
    let mut request = whole(&node.work().await);
    request.hash = Some("00".repeat(32));
    let answer = node.post("/submit_block", &json!(request)).await;
    assert_eq!((answer.status.as_u16(), &answer.body["status"]), (200, &json!("accepted")), "{answer:?}");
    assert!(answer.body["message"].as_str().unwrap().contains("hash was ignored"));
    assert_ne!(answer.body["hash"], json!("00".repeat(32)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_that_claims_enough_work_does_not_make_a_block_valid() {
    let node = TestNode::start().await;
    let work = node.work().await;
    let body = json!({ "template_id": work.block_template.template_id, "nonce": fail(&work), "hash": "00".repeat(32) });
    let answer = node.post("/submit_block", &body).await;
    assert!(answer.refused(400, "invalid-block").starts_with("proof-of-work"), "{answer:?}");
    assert_eq!(node.get("/status").await.body["blockchain_length"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_find_for_a_state_that_is_gone_is_stale() {
    let node = TestNode::start().await;
    let late = node.work().await;
    let first = node.post("/mine_block", &json!({ "miner_address": node.address(), "extra": "01" })).await.body;
    let first: adit_node::api::blocks::MineBlockResponse = serde_json::from_value(first).unwrap();
    let body = json!({ "template_id": first.block_template.template_id, "nonce": solve(&first) });
    assert_eq!(node.post("/submit_block", &body).await.body["status"], "accepted");
    let body = json!({ "template_id": late.block_template.template_id, "nonce": solve(&late) });
    let answer = node.post("/submit_block", &body).await;
    assert_eq!((answer.status.as_u16(), &answer.body["status"]), (200, &json!("stale")), "{answer:?}");
    let aside = node.get(&format!("/block/{}", answer.body["hash"].as_str().unwrap())).await.body;
    assert_eq!((&aside["block"]["index"], &aside["block"]["topoheight"]), (&json!(1), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_is_shown_by_its_place_in_the_order_too() {
    let node = TestNode::start().await;
    let taken = node.mine().await;
    let shown = node.get(&format!("/block/{}", taken["hash"].as_str().unwrap())).await.body;
    assert_eq!(shown["block"]["topoheight"], 1);
    assert_eq!(node.get("/block/1").await.body, shown);
    node.get("/block/2").await.refused(404, "not-found");
    node.get("/block/100000000000000000000000").await.refused(400, "malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_block_twice_is_known() {
    let node = TestNode::start().await;
    let work = node.work().await;
    let body = json!({ "template_id": work.block_template.template_id, "nonce": solve(&work) });
    node.post("/submit_block", &body).await;
    node.post("/submit_block", &body).await.refused(409, "known");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_nobody_made_is_unknown() {
    let node = TestNode::start().await;
    node.post("/submit_block", &json!({ "template_id": 99, "nonce": 0 })).await.refused(409, "unknown-template");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_for_every_template_makes_nobody_elses_find_worthless() {
    let node = TestNode::start().await;
    let mut subscription = subscribe(&node).await;
    let pushed = subscription.next().await.unwrap();
    for number in 0..300u16 {
        let extra = format!("{number:04x}");
        let answer = node.post("/mine_block", &json!({ "miner_address": node.address(), "extra": extra })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let body = json!({ "template_id": pushed.block_template.template_id, "nonce": solve(&pushed) });
    assert_eq!(node.post("/submit_block", &body).await.body["status"], "accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_find_of_the_nodes_own_miner_needs_no_memory_of_its_template() {
    let node = TestNode::start().await;
    let chain = node.node.chain();
    let request = |extra: u16| TemplateRequest {
        pay_to: node.key.public(),
        extra: extra.to_le_bytes().to_vec(),
        difficulty: None,
    };
    let template = chain.template(Client::Own, request(0)).await.unwrap().unwrap();
    for number in 1..=300 {
        chain.template(Client::Visitor([192, 0, 2, 1].into()), request(number)).await.unwrap().unwrap();
    }
    let proof = Proof { nonce: nonce(&template), rolled: None };
    let named = chain.submit_proof(Solved::Named(template.id), proof, None).await.unwrap();
    assert_eq!(named, Err(SubmitError::UnknownTemplate { id: template.id }));
    assert!(chain.submit_proof(Solved::Kept(template), proof, None).await.unwrap().unwrap().counts());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_find_whose_template_is_gone_is_counted_by_that_name() {
    let node = TestNode::start().await;
    node.post("/submit_block", &json!({ "template_id": 99, "nonce": 0 })).await.refused(409, "unknown-template");
    let report = node.node.chain().statistics().await.unwrap();
    assert_eq!(report.rejected_by_rule.get("unknown-template"), Some(&1));
}

#[tokio::test(flavor = "multi_thread")]
async fn work_is_shown_without_asking_a_plugin() {
    let node = TestNode::start().await;
    node.work().await;
    let before = node.decoded();
    let work = node.work().await;
    assert_eq!(node.decoded(), before);
    assert_eq!(work.block_template.merkle_root.len(), 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_ends_where_its_blocks_are_large_together() {
    let node = TestNode::start().await;
    node.mine().await;
    node.mine().await;
    for _ in 0..3 {
        // Of 400,000 bytes: two of them fit on a page.
        let (payment, _) = payment_in_parts(&node, 10_000).await;
        assert_eq!(node.post("/transaction", &payment).await.status, 200);
        node.mine().await;
    }
    let heights = |page: &Value| -> Vec<u64> {
        page["chain"].as_array().unwrap().iter().map(|block| block["index"].as_u64().unwrap()).collect()
    };
    let page = node.get("/blockchain?from=3&limit=500").await.body;
    assert_eq!((heights(&page), &page["next"]), (vec![3, 4], &json!(5)));
    let newest = node.get("/blockchain").await.body;
    assert_eq!((heights(&newest), &newest["from"], &newest["next"]), (vec![4, 5], &json!(4), &Value::Null));
}

/// Submits a whole block with one field changed.
async fn changed(field: &str, value: Value) -> crate::support::Answer {
    let node = TestNode::start().await;
    let mut request = json!(whole(&node.work().await));
    request[field] = value;
    let answer = node.post("/submit_block", &request).await;
    assert_eq!(node.get("/status").await.body["blockchain_length"], 1, "the state is unchanged");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_part_of_a_block_is_refused_by_name() {
    let cases = [
        ("previous_hash", json!("11".repeat(32)), 409, "unknown-parent"),
        ("previous_hash", json!("xyz"), 400, "malformed"),
        ("merkle_root", json!("11".repeat(32)), 400, "merkle-root"),
        ("index", json!(7), 400, "index"),
        ("timestamp", json!(-1.0), 400, "timestamp"),
        ("timestamp", json!("now"), 400, "malformed"),
        ("nonce", json!(-1), 400, "malformed"),
        ("transactions", json!([]), 400, "transactions"),
        ("transactions", json!(7), 400, "malformed"),
        ("transactions", Value::Null, 400, "missing"),
        ("hash", json!("00"), 400, "malformed"),
        ("miner_address", json!("somebody"), 400, "address"),
        ("target_difficulty", json!(-2), 400, "target-difficulty"),
        ("_mining_metadata", json!({ "hash_rate": -1.0 }), 400, "mining-metadata"),
    ];
    for (field, value, status, code) in cases {
        changed(field, value).await.refused(status, code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_for_no_valid_address_is_refused() {
    let node = TestNode::start().await;
    for wrong in ["", "test1qqqq", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"] {
        node.post("/mine_block", &json!({ "miner_address": wrong })).await.refused(400, "address");
    }
    let long = json!({ "miner_address": node.address(), "client_version": "x".repeat(65) });
    node.post("/mine_block", &long).await.refused(400, "client-version");
    let long = json!({ "miner_address": node.address(), "extra": "00".repeat(33) });
    node.post("/mine_block", &long).await.refused(400, "extra");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_is_shown_page_by_page() {
    let node = TestNode::start().await;
    for _ in 0..5 {
        node.mine().await;
    }
    let heights = |page: &Value| -> Vec<u64> {
        page["chain"].as_array().unwrap().iter().map(|block| block["index"].as_u64().unwrap()).collect()
    };
    let first = node.get("/blockchain?from=0&limit=4").await.body;
    assert_eq!((heights(&first), &first["next"], &first["length"]), (vec![0, 1, 2, 3], &json!(4), &json!(6)));
    let rest = node.get("/blockchain?from=4&limit=4").await.body;
    assert_eq!((heights(&rest), &rest["next"]), (vec![4, 5], &Value::Null));
    let newest = node.get("/blockchain?limit=2").await.body;
    assert_eq!(heights(&newest), [4, 5]);
    assert_eq!(newest["chain"][1]["previous_hash"], newest["chain"][0]["hash"]);
    assert!(heights(&node.get("/blockchain?from=99").await.body).is_empty());
    node.get("/blockchain?limit=0").await.refused(400, "limit");
    node.get("/blockchain?limit=501").await.refused(400, "limit");
    node.get("/blockchain?from=-1").await.refused(400, "query");
}
