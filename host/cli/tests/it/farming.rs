//! Blocks won by plots: `adit up` and `adit miner` on chains of both kinds, with what goes wrong with disks and processes.

mod flood;
mod miners;
mod pool;

use crate::adit::{Place, Running, agent, get, length, post, wait_for_length, wait_until, work_request};
use crate::pool::counterparts::free_port;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::path::PathBuf;

/// Writes a chain that sixteen mebibytes win about each second.
fn chain(place: &Place, name: &str, leaf: &str, hash: &str, more: &str) -> PathBuf {
    // A nonce takes 256 KiB, a leaf 32 bytes.
    let bits = if leaf == "hard" { "0x2001ffff" } else { "0x1e0fffff" };
    place.write(
        &format!("{name}.toml"),
        &format!(
            r#"
[chain]
name = "{name}"
network = "devnet"
[consensus]
plugin = "proof-of-space"
[consensus.config]
leaf = "{leaf}"
challenge-seconds = 1
spacing-seconds = 1
window = 10
registration-age = 3
limit-bits = 0x207fffff
[consensus.config.genesis]
time-seconds = 1700000000
bits = {bits}
[consensus.config.subsidy]
initial-atoms = 5_000_000_000
[hash]
plugin = "{hash}"
[ledger]
address-prefix = "tt"
coinbase-maturity = 2
[node]
api = "127.0.0.1:0"
data-dir = "data-{name}"
{more}
"#
        ),
    )
}

/// A folder with a key and a plot.
pub fn farm(leaf: &str) -> Place {
    let place = Place::new();
    place.succeed(&["key", "new"]);
    place.succeed(&["plot", "create", "--dir", "plots", "--size", "16MiB", "--leaf", leaf]);
    place
}

pub fn address(place: &Place, chain: &str, key: &str) -> String {
    place.succeed(&["key", "show", key, "--chain", chain]).split_whitespace().last().unwrap().to_owned()
}

fn balance(url: &str, address: &str) -> u64 {
    get(url, &format!("/address/{address}")).1["balance_atoms"].as_u64().unwrap_or(0)
}

/// What the farmer of a node's own process tells.
fn told(url: &str) -> Value {
    get(url, "/status/detailed").1["mining_stats"]["miner"]["farm"].clone()
}

#[test]
fn a_hard_plot_wins_blocks_and_its_owner_is_paid() {
    let place = farm("hard");
    chain(&place, "space", "hard", "poc2", "");
    assert!(place.succeed(&["plot", "list"]).contains("1 plots"), "the folder was noted");
    let mut node = place.start(&["up", "space.toml"]);
    let url = node.url();
    wait_for_length(&url, 6);
    let owner = address(&place, "space.toml", "miner.key");
    wait_until("the subsidy", || (balance(&url, &owner) >= 5_000_000_000).then_some(()));
    let told = wait_until("the farmer's figures", || {
        let told = told(&url);
        (told["wins"].as_u64()? >= 5).then_some(told)
    });
    assert_eq!(told["plots"].as_array().unwrap().len(), 1, "{told}");
    assert_eq!(told["space_bytes"], 16 << 20);
    assert!(told["challenges"].as_u64().unwrap() >= 5 && told["proofs"].as_u64().unwrap() >= 5, "{told}");
    assert!(node.interrupt().success());
}

#[test]
fn a_plain_plot_counts_once_its_registration_is_old_enough() {
    let place = farm("plain");
    chain(&place, "space", "plain", "sha256", "");
    let mut node = place.start(&["up", "space.toml"]);
    let url = node.url();
    wait_for_length(&url, 8);

    // A farmer who comes later has its plot registered by whoever wins, and wins then.
    let other = farm("plain");
    chain(&other, "space", "plain", "sha256", "");
    let _farmer: Running = other.start(&["miner", "space.toml", "--node", &url]);
    let owner = address(&other, "space.toml", "miner.key");
    wait_until("a block of the second farmer", || (balance(&url, &owner) > 0).then_some(()));

    let plots: Vec<Value> =
        serde_json::from_str(&std::fs::read_to_string(other.path("plots/plots.json")).unwrap()).unwrap();
    let plot = &plots[0];
    let named = json!({ "key": plot["key"], "seed": plot["seed"], "leaves": plot["count"], "root": plot["root"] });
    let (status, answer) = post(&url, "/plots", &json!({ "plots": [named] }));
    assert_eq!(status, 200, "{answer}");
    assert!(answer["plots"][0]["registered"].as_u64().unwrap() >= 3, "{answer}");
    let mut torn = named.clone();
    torn["leaves"] = json!(1_000);
    assert_eq!(post(&url, "/plots", &json!({ "plots": [torn] })).0, 400);
    assert!(node.interrupt().success());
}

/// Waits until a farmer says in its log that a plot of a folder joined.
#[track_caller]
fn wait_for_plot(farmer: &mut Running, folder: &str) {
    farmer.wait_for("plot", |entry| {
        let fields = entry.get("fields")?;
        let joined = fields.get("message")? == "a plot joined" && fields["plot"].as_str()?.contains(folder);
        joined.then_some(())
    });
}

#[test]
fn what_is_plotted_while_a_farmer_runs_is_farmed_and_a_farmer_pauses() {
    let place = Place::new();
    place.succeed(&["key", "new"]);
    let wait = "watch-ms = 100\n[miner]\nenabled = false\n";
    chain(&place, "space", "plain", "sha256", wait);
    let mut node = place.start(&["up", "space.toml"]);
    let url = node.url();
    let plots = |url: &str| told(url)["plots"].as_array().map_or(0, Vec::len);
    // A folder that was not there when the node began.
    place.succeed(&["plot", "create", "--dir", "late", "--size", "16MiB", "--leaf", "plain"]);
    wait_until("the new folder", || (plots(&url) == 1).then_some(()));
    assert_eq!((length(&url), &told(&url)["challenges"]), (1, &Value::from(0)), "it was to wait");
    chain(&place, "space", "plain", "sha256", &wait.replace("false", "true"));
    wait_for_length(&url, 3);
    let told_now = told(&url);
    assert!(told_now["submitted"].as_u64().unwrap() >= 2, "{told_now}");
    // A plot's figures are known when its scan has ended, which may be after its win.
    for name in ["farm_plot_bytes_per_second{plot=", "farm_plot_quality{plot=", "farm_proofs_submitted_total "] {
        let metrics = || agent().get(format!("{url}/metrics")).call().unwrap().body_mut().read_to_string().unwrap();
        wait_until(name, || metrics().contains(&format!("adit_{name}")).then_some(()));
    }
    chain(&place, "space", "plain", "sha256", wait);
    let status = || get(&url, "/status/detailed").1["mining_stats"]["miner"]["running"].clone();
    wait_until("the pause", || (status() == false).then_some(()));
    let before = told(&url)["challenges"].clone();
    let owner = address(&place, "space.toml", "miner.key");
    let challenge =
        || post(&url, "/mine_block", &work_request(&owner)).1["block_template"]["space"]["challenge"].clone();
    for _ in 0..2 {
        let now = challenge();
        assert!(!now.is_null());
        wait_until("another challenge", || (challenge() != now).then_some(()));
    }
    assert_eq!(told(&url)["challenges"], before, "nothing is asked while it pauses");

    // A farmer without a node of its own reads its file again too.
    let other = Place::new();
    other.succeed(&["key", "new"]);
    let file = |more: &str| chain(&other, "space", "plain", "sha256", &format!("watch-ms = 100\n[farm]\n{more}"));
    file("");
    let mut farmer = other.start(&["miner", "space.toml", "--node", &url]);
    other.succeed(&["plot", "create", "--dir", "one", "--size", "1MiB", "--leaf", "plain"]);
    wait_for_plot(&mut farmer, "one");
    let elsewhere = Place::new();
    let two = elsewhere.path("two").display().to_string();
    elsewhere.succeed(&[
        "plot",
        "create",
        "--dir",
        &two,
        "--size",
        "1MiB",
        "--leaf",
        "plain",
        "--owner",
        &"11".repeat(32),
    ]);
    file(&format!("folders = [{two:?}]\n"));
    wait_for_plot(&mut farmer, "two");
    assert!(farmer.interrupt().success());
    assert!(node.interrupt().success());
}

#[test]
fn any_hash_plugin_scores_plain_plots() {
    let place = farm("plain");
    // No native code scores by double SHA-256.
    chain(&place, "space", "plain", "sha256d", "");
    let mut node = place.start(&["up", "space.toml"]);
    let url = node.url();
    // Past the height from which plots must be registered: the first blocks did that.
    wait_for_length(&url, 7);
    assert!(node.interrupt().success());
}

#[test]
fn a_plot_that_is_cut_short_under_the_farmer_is_named_and_the_others_win() {
    let place = farm("hard");
    place.succeed(&["plot", "create", "--dir", "more", "--size", "16MiB", "--start", "64"]);
    chain(&place, "space", "hard", "poc2", "[farm]\nrescan-seconds = 1\n");
    let mut node = place.start(&["up", "space.toml"]);
    let url = node.url();
    wait_for_length(&url, 3);
    assert_eq!(told(&url)["plots"].as_array().unwrap().len(), 2);
    let listed = std::fs::read_dir(place.path("more")).unwrap().map(|entry| entry.unwrap().path());
    let plot = listed.into_iter().find(|path| path.extension().is_none()).unwrap();
    OpenOptions::new().write(true).open(&plot).unwrap().set_len(1 << 20).unwrap();
    let problems = wait_until("the problem's name", || {
        let told = told(&url);
        told["problems"].as_object().filter(|problems| !problems.is_empty()).cloned()
    });
    assert!(problems.keys().any(|file| *file == plot.display().to_string()), "{problems:?}");
    let before = length(&url);
    wait_for_length(&url, before + 3);
    assert!(node.interrupt().success());
}

#[test]
fn a_killed_farmer_comes_back_and_keeps_every_block_that_it_won() {
    let place = farm("hard");
    chain(&place, "space", "hard", "poc2", "");
    let hash_at = |url: &str, height: u64| {
        let (_, page) = get(url, &format!("/blockchain?from={height}&limit=1"));
        page["chain"][0]["hash"].as_str().map(str::to_owned)
    };
    let mut kept: Vec<(u64, String)> = Vec::new();
    for round in 0..6 {
        let mut node = place.start(&["up", "space.toml"]);
        let url = node.url();
        for (height, hash) in &kept {
            assert_eq!(hash_at(&url, *height).as_ref(), Some(hash), "round {round}: block {height} is gone");
        }
        let before = length(&url);
        wait_for_length(&url, before + 1);
        let newest = length(&url) - 1;
        kept.push((newest, hash_at(&url, newest).unwrap()));
        node.kill();
    }
}

#[test]
fn two_farmers_on_a_network_are_one_chain_and_whoever_was_away_judges_every_proof() {
    let network = |listen: u16, other: u16| {
        format!(
            "[network]\nlisten = [\"127.0.0.1:{listen}\"]\nbootstrap = [\"127.0.0.1:{other}\"]\nlan = false\ntable = false\ntraversal = false\n"
        )
    };
    let (ports, places) = ([free_port(), free_port()], [farm("hard"), farm("hard")]);
    for (number, place) in places.iter().enumerate() {
        let path = chain(place, "space", "hard", "poc2", &network(ports[number], ports[1 - number]));
        // Both win about every fourth second together: each judges the other's blocks in between, however busy the machine is.
        let text = std::fs::read_to_string(&path).unwrap();
        let rare = text.replace("spacing-seconds = 1\n", "spacing-seconds = 4\n").replace("0x2001ffff", "0x20007fff");
        std::fs::write(&path, rare).unwrap();
    }
    let start = |place: &Place| {
        let mut running = place.start(&["up", "space.toml"]);
        let url = running.url();
        (running, url)
    };
    let hash_at = |url: &str, height: u64| {
        let (_, page) = get(url, &format!("/blockchain?from={height}&limit=1"));
        page["chain"][0]["hash"].as_str().map(str::to_owned)
    };
    // The newest blocks may have rivals at any moment; those below are the same.
    let agree = |one: &str, other: &str, height: u64| {
        wait_for_length(one, height + 3);
        wait_for_length(other, height + 3);
        wait_until("one block of both", || (hash_at(one, height)? == hash_at(other, height)?).then_some(()));
    };
    let ((_first, one), (second, other)) = (start(&places[0]), start(&places[1]));
    agree(&one, &other, 2);
    second.kill();
    let before = length(&one);
    wait_for_length(&one, before + 3);
    let (_second, other) = start(&places[1]);
    agree(&one, &other, before);
    let owners = [0, 1].map(|number| address(&places[number], "space.toml", "miner.key"));
    wait_until("both are paid", || {
        owners.iter().all(|owner| balance(&one, owner) > 0 && balance(&other, owner) > 0).then_some(())
    });
}

#[test]
fn what_cannot_be_farmed_is_said_at_the_start() {
    let place = farm("hard");
    chain(
        &place,
        "space",
        "hard",
        "poc2",
        "[pool]\nmode = \"join\"\n[pool.join]\npools = [\"stratum+tcp://127.0.0.1:9\"]\n",
    );
    assert!(place.fail(&["up", "space.toml"]).contains("farmers reach a pool by its API"));
    assert!(place.fail(&["miner", "space.toml"]).contains("farmers reach a pool by its API"));
    chain(&place, "space", "hard", "poc2", "");
    assert!(place.fail(&["miner", "space.toml"]).contains("--node"));
    chain(&place, "other", "hard", "sha256", "");
    assert!(place.fail(&["chain", "check", "other.toml"]).contains("scored by `poc2`"));
    chain(&place, "other", "plain", "poc2", "");
    assert!(place.fail(&["chain", "check", "other.toml"]).contains("scores no plain plots"));
    // Plots of another key are no reason to stop: they are named.
    chain(&place, "space", "hard", "poc2", "");
    place.succeed(&["key", "new", "other.key"]);
    let mut node = place.start(&["up", "space.toml", "--key", "other.key"]);
    let url = node.url();
    let problems = wait_until("the problem's name", || {
        let told = told(&url);
        told["problems"].as_object().filter(|problems| !problems.is_empty()).cloned()
    });
    assert!(problems.values().next().unwrap().as_str().unwrap().contains("nobody signs with"), "{problems:?}");
    assert!(node.interrupt().success());
}
