//! Loss of power at any moment: `kill -9` over a mining node with transactions, and over one whose blocks come side by side.

use crate::adit::{Place, Running, get, length, wait_for_length, wait_until};
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

/// Templates taken before a kill are solved after others, so that blocks stand beside and far behind the newest: many tips at every moment.
#[test]
fn a_killed_dag_comes_back_whole_with_all_its_tips_slow() {
    const ROUNDS: usize = 25;
    const WIDTH: usize = 4;
    let place = Place::new();
    crate::dag::dag_chain(&place, "wide");
    let address = place.succeed(&["key", "new", "m.key", "--chain", "wide.toml"]);
    let address = address.split_whitespace().last().unwrap();
    let mut acknowledged: Vec<String> = Vec::new();
    let mut tips = None;
    let is_known = |url: &str, hash: &str| get(url, &format!("/dag?around={hash}&depth=1")).0 == 200;
    for round in 0..ROUNDS {
        let mut node: Running = place.start(&["node", "wide.toml"]);
        let url = node.url();
        for hash in acknowledged.iter().rev().take(3 * WIDTH) {
            assert!(is_known(&url, hash), "round {round}: block {hash} is gone");
        }
        let (_, status) = get(&url, "/status/detailed");
        assert_eq!(*tips.get_or_insert(status["dag"]["tips"].clone()), status["dag"]["tips"], "round {round}");
        let templates: Vec<Value> =
            (0..WIDTH).map(|extra| crate::dag::work(&url, address, round * WIDTH + extra)).collect();
        // The last of them waits for blocks above the others: it is merged late.
        let (late, early) = templates.split_last().unwrap();
        acknowledged.extend(early.iter().map(|template| crate::dag::solve(&url, template)));
        let above = crate::dag::work(&url, address, 60_000 + round);
        acknowledged.push(crate::dag::solve(&url, &above));
        acknowledged.push(crate::dag::solve(&url, late));
        tips = Some(get(&url, "/status/detailed").1["dag"]["tips"].clone());
        assert!(tips.as_ref().and_then(Value::as_u64).is_some_and(|tips| tips >= 2), "{tips:?}");
        node.kill();
    }
    let mut node = place.start(&["node", "wide.toml"]);
    let url = node.url();
    assert!(acknowledged.iter().all(|hash| is_known(&url, hash)));
    // Whoever mines next merges all of them: nothing was forgotten, nothing counted twice.
    crate::dag::solve(&url, &crate::dag::work(&url, address, 65_000));
    let (_, status) = get(&url, "/status/detailed");
    assert_eq!(status["dag"]["blue_score"], acknowledged.len() + 1, "{status}");
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
