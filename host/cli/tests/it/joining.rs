//! Adit's own miner at a pool of another process: Stratum over loopback, from the command line and by `pool.mode`.

use crate::adit::{Place, Running, get, length, wait_until};
use serde_json::{Value, json};

/// The example with a pool, every block of 2^16 hashes, ports of the system's choice; its own miner is off.
fn vision(name: &str, mine: bool, pool: &str) -> String {
    let example = include_str!("../../../../examples/vision/chain.toml");
    let node = format!(
        "[miner]\nenabled = {mine}\nthreads = 1\nwatts = 40.0\n[node]\napi = \"127.0.0.1:0\"\ndata-dir = \"data-{name}\"\n[pool]\nstratum = \"127.0.0.1:0\"\n"
    );
    let changes = [
        ("bits = 0x1e0fffff", "bits = 0x1f00ffff"),
        (
            "rule = \"lwma\"\nspacing-seconds = 30\nwindow = 90",
            "rule = \"litecoin\"\nenabled = false\nlimit-bits = 0x1f00ffff",
        ),
        ("difficulty-start = 0.001 ", "difficulty-start = 0.000001 "),
        ("difficulty-min = 0.0001", "difficulty-min = 0.000001"),
        ("mode = \"host\"", pool),
        ("[pool]\n", &node),
    ];
    changes.iter().fold(example.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "the example has changed: {from:?}");
        text.replacen(from, to, 1)
    })
}

/// Starts the pool, and returns its process, its API and where miners connect.
fn host(place: &Place) -> (Running, String, String) {
    place.write("pool.toml", &vision("pool", false, "mode = \"host\""));
    let mut pool = place.start(&["up", "pool.toml"]);
    let url = pool.url();
    let stratum = pool.wait_for("address of the pool", |entry| {
        let fields = entry.get("fields")?;
        (fields.get("message")? == "the pool listens for miners")
            .then(|| fields["stratum"].as_str().unwrap().to_owned())
    });
    (pool, url, format!("stratum+tcp://{stratum}"))
}

fn miner(url: &str) -> Value {
    get(url, "/status/detailed").1["mining_stats"]["miner"].clone()
}

#[test]
fn a_miner_from_the_command_line_finds_a_pools_blocks() {
    let place = Place::new();
    let (_pool, url, stratum) = host(&place);
    place.write("miner.toml", &vision("miner", true, "mode = \"solo\""));
    let address = place.succeed(&["key", "new", "m.key", "--chain", "miner.toml"]);
    let address = address.split_whitespace().last().unwrap();
    let mut miner = place.start(&["miner", "miner.toml", "--pool", &stratum, "--user", address, "--worker", "rig"]);
    miner.wait_for("login", |entry| (entry["fields"]["message"] == "the pool let the worker in").then_some(()));
    wait_until("a block of the pool's miner", || (length(&url) > 2).then_some(()));
    assert!(miner.interrupt().success());
}

#[test]
fn a_node_joins_a_pool_and_mines_for_itself_again_while_it_runs() {
    let place = Place::new();
    let (_pool, _, stratum) = host(&place);
    let join = format!("mode = \"join\"\njoin = {{ pools = [\"{stratum}\"], worker = \"rig\" }}");
    place.write("node.toml", &vision("node", true, &join));
    let mut node = place.start(&["up", "node.toml"]);
    let own = node.url();
    let report = wait_until("shares that the pool took", || {
        let report = miner(&own);
        (report["shares"]["accepted"].as_u64()? > 3).then_some(report)
    });
    assert_eq!((&report["pool"]["url"], &report["blocks_accepted"]), (&json!(stratum), &json!(0)));
    let power = &report["power"];
    assert!(power["hashes_per_joule"].as_f64().unwrap() > 0.0 && power["source"].is_string(), "{power}");
    assert_eq!(length(&own), 1, "nothing is mined on the own chain");
    let token = std::fs::read_to_string(place.path("data-node/token")).unwrap();
    let mut answer = ureq::post(format!("{own}/pool/mode"))
        .header("Authorization", format!("Bearer {}", token.trim()))
        .send_json(json!({ "mode": "solo" }))
        .unwrap();
    assert_eq!(answer.status(), 200, "{:?}", answer.body_mut().read_to_string());
    wait_until("a block of its own", || (length(&own) > 2).then_some(()));
    wait_until("a report without a pool", || miner(&own)["pool"].is_null().then_some(()));
    assert!(node.interrupt().success());
}
