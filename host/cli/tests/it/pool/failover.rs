//! Two Litecoin nodes behind a pool, of which the first falls silent, comes back, dies, and comes back.

use super::bench::{Pool, Setup, said, text};
use super::counterparts::{Litecoin, signal};
use super::litecoin::{self, mine};
use super::sockets::Client;
use crate::adit::Place;
use serde_json::{Value, json};

/// When the turn comes back: soon, for a test.
const QUICK: &str = "[pool.failover]\nsettle-ms = 500\nprobe-ms = 100\n";

/// Waits until the pool says that it goes to a node.
#[track_caller]
fn wait_until_it_mines_on(pool: &mut Pool, port: u16) {
    pool.process.wait_for(&format!("turn of {port}"), |entry| {
        let moves = entry["fields"]["message"].as_str()?.ends_with("has the turn");
        (moves && text(entry, "to").trim_end_matches('/').ends_with(&format!(":{port}"))).then_some(())
    });
}

/// Reads a miner's lines until it has a job on a block.
#[track_caller]
fn wait_for_job_on(miner: &mut Client, block: &str) {
    // Stratum writes a hash with its words of four bytes in turn.
    let words: Vec<&str> = (0..8).rev().map(|word| &block[word * 8..][..8]).collect();
    let previous = words.concat();
    loop {
        let line = miner.line().expect("the miner keeps its connection");
        let line: Value = serde_json::from_str(&line).unwrap();
        if line["method"] == "mining.notify" && line["params"][1] == *previous {
            return;
        }
    }
}

#[test]
fn miners_keep_their_connection_when_a_node_falls_silent_or_dies() {
    let Some(mut litecoin) = Litecoin::start() else { return };
    // A node without a peer gives no templates, and the near one is to die.
    let _third = litecoin.another();
    let place = Place::new();
    let (address, user) = (litecoin.pool_address(), litecoin.payee("bech32"));
    let (near, far) = (litecoin.near.port(), litecoin.far.port());
    let cookies = [litecoin.near.cookie(), litecoin.far.cookie()];
    let nodes = [(near, cookies[0].to_str().unwrap()), (far, cookies[1].to_str().unwrap())];
    place.write("chain.toml", &Setup { address: &address, nodes: &nodes, maturity: 100, more: QUICK }.text());
    let mut pool = Pool::start(&place);
    pool.wait_until_ready();
    let mut miner = Client::connect(&pool.stratum);
    assert!(miner.call(1, "mining.subscribe", json!([]))["result"].is_array());
    assert_eq!(miner.call(2, "mining.authorize", json!([user, "x"]))["result"], true);

    let silent = litecoin.near.pid();
    signal(silent, "STOP");
    wait_until_it_mines_on(&mut pool, far);
    litecoin.far.generate(1);
    wait_for_job_on(&mut miner, litecoin.far.ask("getbestblockhash", &[]).as_str().unwrap());
    signal(silent, "CONT");
    wait_until_it_mines_on(&mut pool, near);
    litecoin.near.generate(1);
    wait_for_job_on(&mut miner, litecoin.near.ask("getbestblockhash", &[]).as_str().unwrap());

    litecoin.wait_until_they_agree();
    litecoin.near.fall();
    wait_until_it_mines_on(&mut pool, far);
    litecoin.far.generate(1);
    wait_for_job_on(&mut miner, litecoin.far.ask("getbestblockhash", &[]).as_str().unwrap());
    // What is found now is a block of the one that lives.
    let Some(blocks) = mine(&pool, std::slice::from_ref(&user), 1) else { return };
    for block in &blocks {
        litecoin.far.ask("getblockheader", &[block["hash"].as_str().unwrap()]);
    }
    assert!(litecoin.near.rise());
    wait_until_it_mines_on(&mut pool, near);
    assert!(miner.call(9, "mining.ping", json!([])).is_object());
}

#[test]
fn a_pool_without_its_node_is_not_ready_and_says_why_in_one_line() {
    let Some(mut litecoin) = Litecoin::start() else { return };
    let (place, _) = litecoin::place(&litecoin, litecoin.near.port(), 100);
    litecoin.near.fall();
    let mut pool = Pool::start(&place);
    pool.process.wait_for("complaint", |entry| said(entry, "the node gives no templates").then_some(()));
    assert!(!pool.is_ready());
    assert!(litecoin.near.rise());
    pool.process.wait_for("news", |entry| said(entry, "the node gives templates").then_some(()));
    pool.wait_until_ready();
    let about_the_node = pool.process.log.iter().filter(|entry| entry["fields"]["upstream"].is_string());
    let told: Vec<String> = about_the_node.map(|entry| text(entry, "message")).collect();
    assert_eq!(told, ["the node gives no templates", "the node gives templates"]);
}
