//! Loss of power at any moment: `kill -9` over a mining node with transactions.

use crate::adit::{Place, get, length, wait_for_length, wait_until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often the node is killed.
const KILLS: u32 = 100;

/// Moments after the first new block at which the node is killed, spread by a fixed sequence over what a block takes.
fn moment(round: u32) -> Duration {
    Duration::from_millis(u64::from(round.wrapping_mul(2_654_435_761) >> 24))
}

#[test]
fn a_killed_node_comes_back_whole_and_keeps_every_acknowledged_block_slow() {
    let place = Place::new();
    place.fast_chain("killed", "");
    let address = place.succeed(&["key", "new", "other.key", "--chain", "killed.toml"]);
    let address = address.split_whitespace().last().unwrap().to_owned();
    place.succeed(&["key", "new", "miner.key", "--chain", "killed.toml"]);
    let mut acknowledged = BTreeMap::new();
    let mut sent: Vec<String> = Vec::new();
    for round in 0..KILLS {
        let mut node = place.start(&["up", "killed.toml", "--key", "miner.key"]);
        let url = node.url();
        let before = length(&url);
        for (height, hash) in &acknowledged {
            assert_eq!(hash_at(&url, *height), *hash, "round {round}: block {height} is gone");
        }
        wait_for_length(&url, before + 1);
        if before > 4 && round % 5 == 0 {
            let said = place.succeed(&[
                "send",
                "killed.toml",
                "--node",
                &url,
                "--key",
                "miner.key",
                "--to",
                &address,
                "--amount",
                "0.5",
            ]);
            sent.push(said.split(':').next().unwrap().to_owned());
        }
        // Only the newest hundred: a check of all of them in each round would grow with the square of the rounds.
        let newest = length(&url) - 1;
        acknowledged.insert(newest, hash_at(&url, newest));
        if acknowledged.len() > 20 {
            acknowledged.pop_first();
        }
        std::thread::park_timeout(moment(round));
        node.kill();
    }
    let mut node = place.start(&["up", "killed.toml", "--key", "miner.key"]);
    let url = node.url();
    check_links(&url);
    for id in &sent {
        wait_until("a transaction that was acknowledged", || {
            let (status, body) = get(&url, &format!("/transaction/{id}"));
            (status == 200 && body["status"] == "confirmed").then_some(())
        });
    }
    let want = sent.len() as u64 * 50_000_000;
    let (_, holdings) = get(&url, &format!("/address/{address}"));
    assert_eq!(holdings["balance_atoms"], want, "{holdings}");
}

fn hash_at(url: &str, height: u64) -> String {
    let (_, page) = get(url, &format!("/blockchain?from={height}&limit=1"));
    page["chain"][0]["hash"].as_str().unwrap_or_default().to_owned()
}

/// Walks the whole chain: heights without gaps, each block on the one before, no more money than the subsidies made.
fn check_links(url: &str) {
    let mut previous: Option<Value> = None;
    let mut from = 0;
    loop {
        let (_, page) = get(url, &format!("/blockchain?from={from}&limit=100"));
        let blocks = page["chain"].as_array().unwrap().clone();
        if blocks.is_empty() {
            return;
        }
        for block in blocks {
            if let Some(previous) = &previous {
                assert_eq!(block["previous_hash"], previous["hash"]);
                assert_eq!(block["index"].as_u64(), previous["index"].as_u64().map(|index| index + 1));
            }
            from = block["index"].as_u64().unwrap() + 1;
            previous = Some(block);
        }
    }
}
