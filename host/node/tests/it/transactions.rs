//! Money moves.

use crate::support::TestNode;
use adit_chain::{Input, OutPoint, Output, PublicKey, SecretKey, Signature, Transaction};
use adit_node::api::shapes::TransactionBody;
use adit_primitives::Amount;
use serde_json::{Value, json};

const FEE: u64 = 1_000;

/// Mines until the miner holds something, and spends it.
pub async fn payment(node: &TestNode) -> (Value, PublicKey) {
    node.mine().await;
    node.mine().await;
    payment_in_parts(node, 1).await
}

/// Spends what the miner holds, to so many outputs of one receiver.
pub async fn payment_in_parts(node: &TestNode, parts: u64) -> (Value, PublicKey) {
    let holdings = node.get(&format!("/address/{}", node.address())).await.body;
    let unspent = &holdings["unspent"][0];
    let atoms = unspent["amount_atoms"].as_u64().unwrap();
    let previous = OutPoint {
        transaction: unspent["transaction_id"].as_str().unwrap().parse().unwrap(),
        index: unspent["output_index"].as_u64().unwrap().try_into().unwrap(),
    };
    let to = SecretKey::from_bytes([9; 32]).unwrap().public();
    let output = |atoms, key| Output { amount: Amount::from_atoms(atoms), key };
    let mut transaction = Transaction {
        version: 1,
        inputs: vec![Input { previous, signature: Signature([0; 64]) }],
        outputs: (0..parts).map(|_| output((atoms - FEE * parts) / parts, to)).collect(),
        data: Vec::new(),
    };
    transaction.sign(&node.identity.identity(), &[output(atoms, node.key.public())], &node.key);
    (json!(TransactionBody::new(&transaction, None, &node.prefix)), to)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_waits_is_mined_and_belongs_to_its_receiver() {
    let node = TestNode::start().await;
    let (body, to) = payment(&node).await;
    let taken = node.post("/transaction", &body).await;
    assert_eq!(taken.status, 200, "{taken:?}");
    let id = taken.body["transaction_id"].as_str().unwrap().to_owned();
    let pool = node.get("/transaction_pool").await.body;
    assert_eq!((&pool["pool_size"], &pool["total_fees"]), (&json!(1), &json!("0.00001000")));
    assert_eq!(pool["pending_transactions"][0]["transaction_id"], json!(id));
    assert_eq!(node.get(&format!("/transaction/{id}")).await.body["status"], "pending");
    let work = node.work().await;
    assert_eq!((work.mining_metadata.transaction_count, work.mining_metadata.total_fees_atoms), (1, FEE));
    node.mine().await;
    let located = node.get(&format!("/transaction/{id}")).await.body;
    assert_eq!(
        (&located["status"], &located["block_index"], &located["confirmations"]),
        (&json!("confirmed"), &json!(3), &json!(1))
    );
    let held = node.get(&format!("/address/{}", node.prefix.address(to))).await.body;
    assert_eq!(held["balance_atoms"], 5_000_000_000 - FEE);
    assert_eq!(node.get("/transaction_pool").await.body["pool_size"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_breaks_a_rule_is_refused_and_leaves_no_trace() {
    let node = TestNode::start().await;
    let (body, _) = payment(&node).await;
    let mut forged = body.clone();
    forged["inputs"][0]["signature"] = json!("00".repeat(64));
    node.post("/transaction", &forged).await.refused(400, "invalid-transaction");
    let mut greedy = body.clone();
    greedy["outputs"][0]["amount_atoms"] = json!(5_000_000_001_u64);
    node.post("/transaction", &greedy).await.refused(400, "invalid-transaction");
    let mut short = body.clone();
    short["inputs"][0]["signature"] = json!("00");
    node.post("/transaction", &short).await.refused(400, "signature");
    let mut coinbase = body.clone();
    coinbase["inputs"] = json!([]);
    node.post("/transaction", &coinbase).await.refused(400, "coinbase");
    assert_eq!(node.get("/transaction_pool").await.body["pool_size"], 0);
    assert_eq!(node.post("/transaction", &body).await.status, 200);
    node.post("/transaction", &body).await.refused(409, "known");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_not_found() {
    let node = TestNode::start().await;
    node.get(&format!("/transaction/{}", "11".repeat(32))).await.refused(404, "not-found");
    node.get("/transaction/xyz").await.refused(400, "malformed");
    node.get("/address/xyz").await.refused(400, "address");
    let empty = node.get(&format!("/address/{}", node.address())).await.body;
    assert_eq!((&empty["balance"], &empty["unspent"]), (&json!("0.00000000"), &json!([])));
}
