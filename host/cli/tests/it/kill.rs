//! Loss of power at any moment: `kill -9` over a mining node with transactions, and over one whose blocks come side by side.

use crate::adit::{Place, Running, agent, get, length, post, wait_for_length, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::mpsc::channel;
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

/// How many blocks are found side by side over one state, on how many connections they come, and how often the node is killed among them.
const WIDTH: usize = 20;
const CONNECTIONS: usize = 4;
const WIDE_KILLS: usize = 12;

#[test]
fn a_dag_killed_among_blocks_of_several_connections_keeps_every_acknowledged_one_slow() {
    let place = Place::new();
    wide_chain(&place, "wide");
    let address = place.succeed(&["key", "new", "m.key", "--chain", "wide.toml"]);
    let address = address.split_whitespace().last().unwrap();
    let mut acknowledged: Vec<String> = Vec::new();
    let (mut cut_off, mut tips_most) = (0, 0);
    for round in 0..WIDE_KILLS {
        let mut node: Running = place.start(&["node", "wide.toml"]);
        let url = node.url();
        let known = dag_of(&url);
        for hash in &acknowledged {
            assert!(known.contains_key(hash), "round {round}: block {hash} is gone");
        }
        tips_most = tips_most.max(known.values().filter(|block| block["tip"] == true).count());
        let found: Vec<Value> =
            (0..WIDTH).map(|extra| solved(&crate::dag::work(&url, address, round * WIDTH + extra))).collect();
        // The kill comes with an acknowledgement: what the other connections have sent is on its way.
        let kill_after = 8 + round * 5 % 11;
        let (sender, answers) = channel();
        std::thread::scope(|scope| {
            for connection in 0..CONNECTIONS {
                let (sender, found, url) = (sender.clone(), &found, &url);
                scope.spawn(move || {
                    let agent = agent();
                    for solution in found.iter().skip(connection).step_by(CONNECTIONS) {
                        let answer = agent.post(format!("{url}/submit_block")).send_json(solution);
                        sender.send(answer.ok().and_then(accepted)).unwrap();
                    }
                });
            }
            drop(sender);
            let mut answered = answers.iter();
            acknowledged.extend(answered.by_ref().take(kill_after).map(|hash| hash.expect("the node runs")));
            node.kill();
            for answer in answered {
                match answer {
                    Some(hash) => acknowledged.push(hash),
                    None => cut_off += 1,
                }
            }
        });
    }
    assert!(cut_off > WIDE_KILLS, "{cut_off} blocks of {} were on their way at a kill", WIDE_KILLS * WIDTH);
    assert!(tips_most >= 18, "{tips_most} tips at most");
    let mut node = place.start(&["node", "wide.toml"]);
    let url = node.url();
    let known = dag_of(&url);
    assert!(acknowledged.iter().all(|hash| known.contains_key(hash)));
    check_straight_run(&place, &url, &known);
}

/// A DAG whose API takes as many requests as a test has.
fn wide_chain(place: &Place, name: &str) {
    crate::dag::dag_chain(place, name);
    let text = std::fs::read_to_string(place.path(&format!("{name}.toml"))).unwrap();
    place.write(&format!("{name}.toml"), &format!("{text}[node.limits]\nrequests-burst = 100_000\n"));
}

/// Finds a nonce for a template: what is to be submitted.
fn solved(template: &Value) -> Value {
    json!({ "template_id": template["template_id"], "nonce": crate::dag::nonce(template) })
}

/// Returns the id of a block that the node says it has taken.
fn accepted(mut answer: ureq::http::Response<ureq::Body>) -> Option<String> {
    let body: Value = answer.body_mut().read_json().ok()?;
    assert_eq!((answer.status().as_u16(), &body["status"]), (200, &json!("accepted")), "{body}");
    Some(body["hash"].as_str()?.to_owned())
}

/// Returns every block of a small DAG by its id.
fn dag_of(url: &str) -> BTreeMap<String, Value> {
    let (_, dag) = get(url, "/dag?depth=400");
    assert_eq!(dag["more"], false, "{dag}");
    let blocks = dag["blocks"].as_array().unwrap().iter();
    blocks.map(|block| (block["hash"].as_str().unwrap().to_owned(), block.clone())).collect()
}

/// Gives the blocks of a node to one that was never killed, and compares where each of them stands.
#[track_caller]
fn check_straight_run(place: &Place, url: &str, known: &BTreeMap<String, Value>) {
    let text = std::fs::read_to_string(place.path("wide.toml")).unwrap().replace("data-wide", "data-straight");
    place.write("straight.toml", &text);
    let mut node = place.start(&["node", "straight.toml"]);
    let straight = node.url();
    let detail = |url: &str, hash: &str| get(url, &format!("/block/{hash}")).1;
    // A block stands higher than all that it names.
    let mut blocks: Vec<&Value> = known.values().collect();
    blocks.sort_by_key(|block| block["height"].as_u64());
    for block in &blocks[1..] {
        let bytes = detail(url, block["hash"].as_str().unwrap())["bytes"].clone();
        assert_eq!(post(&straight, "/block", &json!({ "bytes": bytes })).0, 200, "{block}");
    }
    assert_eq!(dag_of(&straight), *known);
    for hash in known.keys() {
        assert_eq!(detail(&straight, hash), detail(url, hash), "place, colour and bytes");
    }
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
