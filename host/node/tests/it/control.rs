//! What an operator changes needs the token, is recorded, and can be taken back.

use crate::support::{Plan, TestNode};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn without_the_token_nothing_changes() {
    let node = TestNode::start().await;
    for path in ["/config/refresh", "/difficulty/set", "/difficulty/restore"] {
        node.post(path, &json!({ "difficulty": 2 })).await.refused(401, "token");
        let wrong = node.http.post(node.url(path)).bearer_auth("x".repeat(64)).json(&json!({ "difficulty": 2 }));
        assert_eq!(wrong.send().await.unwrap().status(), 401);
    }
    node.get("/audit").await.refused(401, "token");
    assert_eq!(node.get("/status/detailed").await.body["difficulty_status"]["override_active"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_override_is_mined_with_shown_recorded_and_taken_back() {
    let node = TestNode::start().await;
    let order = json!({ "difficulty": 2, "reason": "Network optimization" });
    let set = node.post_with_token("/difficulty/set", &order).await.body;
    assert_eq!(
        (&set["old_difficulty"], &set["new_difficulty"], &set["override_active"]),
        (&json!(1), &json!(2), &json!(true))
    );
    let layers = node.get("/status/detailed").await.body["difficulty_status"].clone();
    assert_eq!(
        (
            &layers["genesis_difficulty"],
            &layers["config_difficulty"],
            &layers["current_mining_difficulty"],
            &layers["target_difficulty"]
        ),
        (&json!(1), &json!(1), &json!(2), &json!(2)),
    );
    assert_eq!(node.work().await.target_difficulty.as_u64(), Some(2));
    assert_eq!(node.mine().await["status"], "accepted");
    node.post_with_token("/difficulty/set", &json!({ "difficulty": 3 })).await.refused(409, "override-active");
    let forced = node.post_with_token("/difficulty/set", &json!({ "difficulty": 3, "force": true })).await.body;
    assert_eq!(forced["new_difficulty"], 3);
    let restored = node.post_with_token("/difficulty/restore", &json!({ "reason": "done" })).await.body;
    assert_eq!((&restored["new_difficulty"], &restored["override_active"]), (&json!(1), &json!(false)));
    assert_eq!(node.work().await.target_difficulty.as_u64(), Some(1));
    let audit = node.http.get(node.url("/audit")).bearer_auth(node.token()).send().await.unwrap();
    let audit: serde_json::Value = serde_json::from_str(&audit.text().await.unwrap()).unwrap();
    let actions: Vec<_> =
        audit["entries"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["difficulty-set", "difficulty-set", "difficulty-restored"]);
    assert_eq!(audit["entries"][0]["reason"], "Network optimization");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difficulty_outside_of_the_rules_bounds_is_refused() {
    let node = TestNode::start().await;
    for wrong in [0, 5, u64::MAX] {
        node.post_with_token("/difficulty/set", &json!({ "difficulty": wrong })).await.refused(409, "refused-by-rules");
    }
    node.post_with_token("/difficulty/set", &json!({ "difficulty": -1 })).await.refused(400, "malformed");
    let long = json!({ "difficulty": 2, "reason": "x".repeat(501) });
    node.post_with_token("/difficulty/set", &long).await.refused(400, "reason");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_mainnet_the_difficulty_is_nobodys_to_set() {
    let node = TestNode::start_with(Plan { network: "mainnet", ..Plan::default() }).await;
    node.post_with_token("/difficulty/set", &json!({ "difficulty": 2 })).await.refused(403, "mainnet");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_difficulty_is_a_layer_of_its_own() {
    let node = TestNode::start_with(Plan { settings: json!({ "node": { "difficulty": 2 } }), ..Plan::default() }).await;
    let layers = node.get("/status/detailed").await.body["difficulty_status"].clone();
    assert_eq!(
        (&layers["genesis_difficulty"], &layers["config_difficulty"], &layers["adjustment_enabled"]),
        (&json!(1), &json!(2), &json!(false)),
    );
    assert_eq!(node.work().await.target_difficulty.as_u64(), Some(2));
}
