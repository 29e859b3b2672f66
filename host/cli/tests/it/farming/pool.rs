//! Pools of farmers: partial proofs are shares, and whoever handed them in is paid.

use super::{address, balance, chain, farm};
use crate::adit::{Place, Running, get, post, wait_until, work_request};
use crate::pool::bench::{Pool, audit, paid};
use crate::pool::counterparts::free_port;
use serde_json::{Value, json};

/// What makes the chain of a test one with a pool. A share takes about an eighth of a block.
fn pool(leaf: &str, port: u16) -> String {
    let difficulty = if leaf == "hard" { "2e-9" } else { "1.6e-5" };
    format!(
        r#"api = "127.0.0.1:{port}"
[payout]
plugin = "proportional"
[shares]
plugin = "standard"
[pool]
mode = "host"
[pool.shares]
difficulty-start = {difficulty}
difficulty-min = 1e-9
[pool.money]
foundation-fee = 100
maturity = 2
confirmations = 2
payment-min = 1_000
payment-ms = 1_000
"#
    )
}

/// Writes the chain of a pool that keeps its port over a restart, and returns where it will be.
pub fn pool_chain(place: &Place, leaf: &str, hash: &str) -> String {
    let port = free_port();
    let path = chain(place, "chain", leaf, hash, "");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        text.replace(
            "api = \"127.0.0.1:0\"\n",
            &pool(leaf, port).replacen("[payout]", "data-dir = \"data\"\n[payout]", 1),
        )
        .replace("data-dir = \"data-chain\"\n", ""),
    )
    .unwrap();
    format!("http://127.0.0.1:{port}")
}

pub fn up(place: &Place) -> Pool {
    let mut process = place.start(&["up", "chain.toml"]);
    let url = process.url();
    Pool { process, url, stratum: String::new() }
}

/// A farmer with a plot of its own, and its address. `change` does to its file of the chain what was done to the pool's.
pub fn farmer(leaf: &str, hash: &str, url: &str, change: impl Fn(&Place)) -> (Place, Running, String) {
    let place = farm(leaf);
    chain(&place, "chain", leaf, hash, "");
    change(&place);
    let process = place.start(&["miner", "chain.toml", "--pool", url, "--worker", "shed"]);
    let owner = address(&place, "chain.toml", "miner.key");
    (place, process, owner)
}

pub fn stats(url: &str) -> Value {
    get(url, "/pool/stats").1
}

/// Bytes of a claim of a hard plot's nonce, signed by nobody: challenge, key, kind, nonce, no registrations; then the signature.
fn forged(challenge: &str, nonce: u64) -> Vec<u8> {
    let challenge = (0..32).map(|byte| u8::from_str_radix(&challenge[2 * byte..][..2], 16).unwrap());
    challenge.chain([9; 32]).chain([1]).chain(nonce.to_le_bytes()).chain([0; 4]).chain([7; 64]).collect()
}

/// How many shares counted of each worker's address.
pub fn valid(url: &str, owner: &str) -> u64 {
    let (_, told) = get(url, "/pool/workers");
    let workers = told["workers"].as_array().cloned().unwrap_or_default();
    let is_its = |worker: &&Value| worker["worker"] == format!("{owner}.shed");
    workers.iter().filter(is_its).filter_map(|worker| worker["shares_valid"].as_u64()).sum()
}

#[test]
fn farmers_of_a_pool_are_paid_for_partial_proofs_over_a_kill() {
    let place = Place::new();
    let url = pool_chain(&place, "plain", "sha256");
    let pool = up(&place);
    let farmers = [farmer("plain", "sha256", &url, |_| ()), farmer("plain", "sha256", &url, |_| ())];
    // Past the height from which plots must have been registered: by the pool, for farmers.
    wait_until("blocks of the pool", || (pool.blocks().len() >= 6).then_some(()));
    for block in pool.blocks() {
        let (status, known) = get(&url, &format!("/block/{}", block["hash"].as_str().unwrap()));
        assert_eq!(status, 200, "{known}");
    }
    // Two farmers win often under one challenge: one block goes out, and both are credited.
    let mut heights: Vec<u64> = pool.blocks().iter().filter_map(|block| block["height"].as_u64()).collect();
    heights.sort_unstable();
    assert!(heights.windows(2).all(|two| two[0] < two[1]), "rivals of its own: {heights:?}");
    let both = || farmers.iter().all(|(_, _, owner)| valid(&url, owner) > 0);
    wait_until("shares of both", || both().then_some(()));
    let refused = &stats(&url)["shares_invalid_by_reason"];
    for reason in ["proof", "duplicate", "low-difficulty"] {
        assert!(refused[reason].as_u64().unwrap_or(0) == 0, "{refused}");
    }
    pool.process.kill();

    let pool = up(&place);
    wait_until("confirmed payments to both", || {
        let payments = pool.payments();
        farmers.iter().all(|(_, _, owner)| paid(&payments, &["confirmed"], owner) > 0).then_some(())
    });
    for (_, _, owner) in &farmers {
        let before = paid(&pool.payments(), &["confirmed"], owner);
        let has = balance(&url, owner);
        let after = paid(&pool.payments(), &["signed", "sent", "confirmed"], owner);
        assert!(before <= has && has <= after, "{owner} was to have {before} to {after}, and has {has}");
    }
    audit(&place)("paid_out");
    assert!(pool.process.interrupt().success());
}

#[test]
fn shares_of_hard_plots_count_and_proofs_that_do_not_hold_do_not() {
    let place = Place::new();
    let url = pool_chain(&place, "hard", "poc2");
    let pool = up(&place);
    let (_farm, _farmer, owner) = farmer("hard", "poc2", &url, |_| ());
    wait_until("shares and a block", || (valid(&url, &owner) >= 3 && !pool.blocks().is_empty()).then_some(()));
    let told = stats(&url);
    assert!(told["shares_valid"].as_u64().unwrap() >= 3 && told["workers"] == 1, "{told}");

    let farm = |path: &str, body: &Value| post(&url, &format!("/pool/farm/{path}"), body);
    let (status, given) = farm("mine_block", &work_request(&format!("{owner}.other")));
    assert_eq!(status, 200, "{given}");
    let template = &given["block_template"];
    assert_eq!((&template["shares"], &template["space"]["plots"]), (&json!(true), &json!("hard")), "{given}");
    assert!(template["work"]["target"].as_str() > template["space"]["target"].as_str(), "a share is easier: {given}");
    let number = &template["template_id"];
    let refused = |proof: Vec<u8>, number: &Value| {
        let hex: String = proof.iter().map(|byte| format!("{byte:02x}")).collect();
        let (status, answer) = farm("submit_block", &json!({ "template_id": number, "space_proof": hex }));
        (status, answer["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(refused(vec![0; 7], number), (400, "space-proof".to_owned()));
    let proof = forged(template["space"]["challenge"].as_str().unwrap(), 0);
    assert_eq!(refused(proof.clone(), number), (400, "proof".to_owned()));
    assert_eq!(refused(proof.clone(), &json!(u64::from(u32::MAX) << 32)), (409, "unknown-template".to_owned()));

    // A plot of the pool's key needs nobody's secret here: the pool signs what it wins.
    let (other, signer) = (Place::new(), template["space"]["signer"].as_str().unwrap());
    other.succeed(&["key", "new"]);
    other.succeed(&["plot", "create", "--dir", "plots", "--size", "16MiB", "--owner", signer]);
    chain(&other, "chain", "hard", "poc2", "");
    let _other = other.start(&["miner", "chain.toml", "--pool", &url, "--worker", "shed"]);
    let other = address(&other, "chain.toml", "miner.key");
    wait_until("shares of the pool's own plots", || (valid(&url, &other) >= 1).then_some(()));

    let (status, answer) = farm("mine_block", &work_request("nobody"));
    assert_eq!((status, &answer["error"]["code"]), (403, &json!("refused")));
    assert_eq!(stats(&url)["shares_invalid_by_reason"]["proof"], 1);
    assert!(pool.process.interrupt().success());
}
