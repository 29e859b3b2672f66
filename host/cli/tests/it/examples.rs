//! Chains of `examples/` that run, as they stand but for ports and folders.

use crate::adit::{Place, Running, get, length, wait_for_length, wait_until};
use crate::farming::{address, farm};
use crate::pool::counterparts::free_port;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const TOS: &str = include_str!("../../../../examples/tos/chain.toml");
const SPACETIME: &str = include_str!("../../../../examples/spacetime/chain.toml");
const SPACETIME_PLAIN: &str = include_str!("../../../../examples/spacetime/plain.toml");
const SPACETIME_POOL: &str = include_str!("../../../../examples/spacetime/pool.toml");

/// Writes an example with tables of the node behind it.
fn example(place: &Place, name: &str, text: &str, more: &str) {
    let node = format!("\n[node]\napi = \"127.0.0.1:0\"\ndata-dir = \"data-{name}\"\n{more}");
    place.write(&format!("{name}.toml"), &format!("{text}{node}"));
}

/// The example with the easiest target that its rules allow: a small plot answers most challenges.
fn easy(text: &str) -> String {
    let (from, to) = ("\nbits = 0x1f_04_00_00", "\nbits = 0x20_0f_ff_ff");
    assert!(text.contains(from) && text.contains("limit-bits = 0x20_0f_ff_ff"), "the example has changed");
    text.replace(from, to)
}

/// Returns the newest blocks of a DAG by their ids.
fn blocks(url: &str) -> BTreeMap<String, Value> {
    let (_, dag) = get(url, "/dag?depth=400");
    let blocks = dag["blocks"].as_array().cloned().unwrap_or_default();
    blocks.into_iter().map(|block| (block["hash"].as_str().unwrap().to_owned(), block)).collect()
}

#[test]
fn several_miners_of_two_nodes_find_blocks_side_by_side_which_all_merge_alike() {
    let place = Place::new();
    let ports = [free_port(), free_port()];
    let mut nodes: Vec<(Running, String)> = Vec::new();
    for (number, port) in ports.iter().enumerate() {
        let other = ports[1 - number];
        let network = format!(
            "[network]\nlisten = [\"127.0.0.1:{port}\"]\nbootstrap = [\"127.0.0.1:{other}\"]\nlan = false\ntable = false\ntraversal = false\n"
        );
        example(&place, &format!("tos{number}"), TOS, &network);
        let mut node = place.start(&["node", &format!("tos{number}.toml")]);
        let url = node.url();
        nodes.push((node, url));
    }
    let (one, other) = (nodes[0].1.clone(), nodes[1].1.clone());
    let miner = |name: &str, url: &str| {
        let key = format!("{name}.key");
        let said = place.succeed(&["key", "new", &key, "--chain", "tos0.toml"]);
        let address = said.split_whitespace().last().unwrap().to_owned();
        let arguments = ["miner", "tos0.toml", "--node", url, "--address", &address, "--threads", "1"];
        (place.start(&arguments), address)
    };
    let miners = [miner("a", &one), miner("b", &one), miner("c", &other)];
    let merged = |url: &str| blocks(url).values().filter(|block| block["colour"] == "blue").count();
    wait_until("merged blocks at both", || (merged(&one) >= 3 && merged(&other) >= 3).then_some(()));
    let paid = |url: &str| -> BTreeSet<String> {
        let detail = |hash: &String| get(url, &format!("/block/{hash}")).1;
        let to = |block: Value| {
            let output = &block["block"]["transactions"][0]["outputs"][0];
            output["recipient_address"].as_str().map(str::to_owned)
        };
        blocks(url).keys().filter_map(|hash| to(detail(hash))).collect()
    };
    let everybody: BTreeSet<String> = miners.iter().map(|(_, address)| address.clone()).collect();
    wait_until("a block of each miner", || (paid(&one) == everybody).then_some(()));
    for (miner, _) in miners {
        assert!(miner.interrupt().success());
    }
    // What was found last is on its way for a moment. Then tips, places and colours are the same.
    wait_until("one view of both nodes", || (blocks(&one) == blocks(&other)).then_some(()));
    let (_, status) = get(&one, "/status/detailed");
    assert!(status["dag"]["merge_set_mean"].as_f64().is_some_and(|mean| mean > 0.0), "{status}");
    for (node, _) in nodes {
        assert!(node.interrupt().success());
    }
}

#[test]
fn plain_plots_win_the_example_for_study() {
    let place = Place::new();
    place.succeed(&["key", "new"]);
    place.succeed(&["plot", "create", "--leaf", "plain", "--size", "256MiB", "--dir", "plots"]);
    example(&place, "plain", SPACETIME_PLAIN, "");
    let mut node = place.start(&["up", "plain.toml"]);
    let url = node.url();
    wait_for_length(&url, 3);
    assert!(node.interrupt().success());
}

#[test]
fn hard_plots_win_the_example_and_its_pool_pays_their_farmer() {
    let place = farm("hard");
    example(&place, "space", &easy(SPACETIME), "");
    let mut node = place.start(&["up", "space.toml"]);
    let url = node.url();
    wait_for_length(&url, 2);
    assert!(node.interrupt().success());

    // The pool's node has no plots: what it wins, its farmer won.
    let pool = Place::new();
    example(&pool, "pool", &easy(SPACETIME_POOL), "");
    let mut up = pool.start(&["up", "pool.toml"]);
    let url = up.url();
    let before = length(&url);
    let owner = address(&place, "space.toml", "miner.key");
    let farmer = place.start(&["miner", "space.toml", "--pool", &url]);
    wait_for_length(&url, before + 1);
    wait_until("the farmer's share", || {
        let (_, workers) = get(&url, "/pool/workers");
        workers.to_string().contains(&owner).then_some(())
    });
    assert!(farmer.interrupt().success());
    assert!(up.interrupt().success());
}
