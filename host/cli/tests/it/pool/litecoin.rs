//! Blocks and money with Litecoin Core: what it accepts, what it confirms, what it takes back, and what a crash leaves.

use super::bench::{Pool, Setup, audit};
use super::counterparts::{Litecoin, Miner, atoms};
use crate::adit::Place;
use serde_json::{Value, json};

/// Litecoin's own.
const MATURITY: u64 = 100;

/// A place with a pool that mines on the near node.
fn place(litecoin: &Litecoin, maturity: u64) -> (Place, String) {
    let place = Place::new();
    let address = litecoin.pool_address();
    let cookie = litecoin.near.cookie();
    let nodes = [(litecoin.near.port(), cookie.to_str().unwrap())];
    place.write("chain.toml", &Setup { address: &address, nodes: &nodes, maturity, more: "" }.text());
    (place, address)
}

/// Has each user find shares; on this network about each second one is a block.
#[track_caller]
fn mine(pool: &Pool, users: &[String], shares: usize) -> Option<String> {
    let shares = shares.to_string();
    let arguments = ["--algorithm", "scrypt", "--hash-rate", "10", "--shares", &shares];
    let miners = users.iter().map(|user| Miner::start(&pool.stratum, user, &arguments));
    let miners: Vec<Miner> = miners.collect::<Option<_>>()?;
    Some(miners.into_iter().map(Miner::finish).collect())
}

/// A block of the pool as the node has it: right height, our address, the whole reward, the witness commitment.
#[track_caller]
fn check_block(litecoin: &Litecoin, ours: &Value, address: &str) {
    let block = litecoin.near.ask("getblock", &[ours["hash"].as_str().unwrap(), "2"]);
    assert_eq!(block["height"], ours["height"]);
    let outputs = block["tx"][0]["vout"].as_array().unwrap();
    assert_eq!(outputs[0]["scriptPubKey"]["addresses"], json!([address]), "{block}");
    assert_eq!(json!(atoms(&outputs[0]["value"])), ours["reward_atoms"], "{block}");
    let script = |output: &Value| output["scriptPubKey"]["hex"].as_str().unwrap().to_owned();
    assert!(outputs.iter().any(|output| script(output).starts_with("6a24aa21a9ed")), "{block}");
}

fn in_state<'a>(blocks: &'a [Value], state: &'a str) -> impl Iterator<Item = &'a Value> {
    blocks.iter().filter(move |block| block["state"] == state)
}

#[test]
fn litecoin_takes_the_pools_blocks_and_confirms_a_payment_to_three_miners() {
    let Some(litecoin) = Litecoin::start() else { return };
    let (place, address) = place(&litecoin, MATURITY);
    let pool = Pool::start(&place);
    let payees = ["legacy", "p2sh-segwit", "bech32"].map(|kind| litecoin.payee(kind));
    let Some(said) = mine(&pool, &payees.clone().map(|payee| format!("{payee}.rig")), 3) else { return };
    assert!(said.lines().filter(|line| line.starts_with("accepted")).count() >= 9, "{said}");
    assert!(said.contains(" block"), "{said}");
    pool.wait_for("split blocks", "/pool/blocks", |answer| {
        let blocks = answer["blocks"].as_array()?;
        (!blocks.is_empty() && blocks.iter().all(|block| block["split"] == true)).then_some(())
    });
    assert!(pool.owed().iter().filter(|(_, owed)| *owed > 0).count() == 3, "{:?}", pool.owed());
    assert!(pool.payments().is_empty(), "immature money was paid");

    litecoin.near.generate(MATURITY);
    let blocks = pool.wait_for("the end of all blocks", "/pool/blocks", |answer| {
        let blocks = answer["blocks"].as_array()?;
        blocks.iter().all(|block| block["state"] != "immature").then(|| blocks.clone())
    });
    in_state(&blocks, "confirmed").for_each(|block| check_block(&litecoin, block, &address));
    let earned: i128 =
        in_state(&blocks, "confirmed").map(|block| i128::from(block["reward_atoms"].as_u64().unwrap())).sum();
    assert!(earned > 0, "{blocks:?}");

    pool.wait_for("a payment on its way", "/pool/payments", |answer| {
        (answer["payments"][0]["state"] == "sent").then_some(())
    });
    litecoin.near.generate(2);
    let payment = pool.wait_for("a confirmed payment", "/pool/payments", |answer| {
        (answer["payments"][0]["state"] == "confirmed").then(|| answer["payments"][0].clone())
    });
    let outputs = payment["outputs"].as_array().unwrap();
    assert_eq!(outputs.len(), 3, "{payment}");
    for output in outputs {
        let at = output["address"].as_str().unwrap();
        assert!(payees.iter().any(|payee| payee == at), "{payment}");
        assert_eq!(json!(litecoin.near.unspent_at(at)), output["amount_atoms"]);
    }
    let sums = audit(&place);
    assert_eq!(sums("brought_by_blocks"), earned);
    let received: i128 = payees.iter().map(|payee| i128::from(litecoin.near.unspent_at(payee))).sum();
    assert_eq!(sums("paid_out"), received);
    // What is left is in the node's wallet, to the last atom.
    let left = litecoin.near.ask("getbalances", &[])["mine"].clone();
    let left = i128::from(atoms(&left["trusted"]) + atoms(&left["immature"]) + atoms(&left["untrusted_pending"]));
    assert_eq!(left, earned - received - sums("network_fees"));
}
