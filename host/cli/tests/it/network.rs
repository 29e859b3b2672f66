//! Real nodes that find each other, agree, and survive.
//!
//! Reading order: this file is nodes among themselves, `ways` what is between them, `chaos` many of them that are cut off, killed and started, `failover` who works with
//! several of them; `stranger` what is not Adit's, `foreign` the one that means well, `hostile` the other; `bench` what is measured.

mod bench;
mod chaos;
mod failover;
mod foreign;
mod hostile;
mod stranger;
mod ways;

use crate::adit::{Place, Running, get, length, wait_for_length, wait_until};
use crate::pool::counterparts::free_port;
use serde_json::Value;

/// A node's files and process.
struct Node {
    name: String,
    port: u16,
    running: Option<Running>,
    url: String,
}

impl Node {
    /// Writes the chain for a node that begins with others. Nothing is found but through these.
    fn write(place: &Place, name: &str, bootstrap: &[u16], more: &str) -> Self {
        let port = free_port();
        let others: Vec<String> = bootstrap.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
        let network = format!(
            "[network]\nlisten = [\"127.0.0.1:{port}\"]\nbootstrap = [{}]\nlan = false\ntable = false\ntraversal = false\n{more}",
            others.join(", ")
        );
        place.fast_chain(name, &network);
        // One chain, whatever the node is called.
        let path = place.path(&format!("{name}.toml"));
        let text = std::fs::read_to_string(&path).unwrap();
        let named = text.replace(&format!("name = \"{name}\""), "name = \"net\"");
        std::fs::write(&path, named.replace(&format!("message = \"{name}\""), "message = \"net\"")).unwrap();
        Self { name: name.to_owned(), port, running: None, url: String::new() }
    }

    /// Starts it as a node, or with a miner beside it.
    fn start(&mut self, place: &Place, mines: bool) {
        let file = format!("{}.toml", self.name);
        let key = format!("{}.key", self.name);
        let mut running = if mines {
            if !place.path(&key).exists() {
                place.succeed(&["key", "new", &key, "--chain", &file]);
            }
            place.start(&["up", &file, "--key", &key, "--threads", "1"])
        } else {
            place.start(&["node", &file])
        };
        self.url = running.url();
        self.running = Some(running);
    }

    /// Ends the process as a loss of power would.
    fn kill(&mut self) {
        self.running.take().unwrap().kill();
    }

    fn tip(&self) -> Value {
        get(&self.url, "/status").1["tip"].clone()
    }

    fn peers(&self) -> Vec<Value> {
        get(&self.url, "/peers").1["peers"].as_array().cloned().unwrap_or_default()
    }
}

/// Waits until all nodes have one tip, and returns it.
#[track_caller]
fn agree(nodes: &[&Node]) -> Value {
    wait_until("one tip of all nodes", || {
        let tip = nodes[0].tip();
        nodes[1..].iter().all(|node| node.tip() == tip).then_some(tip)
    })
}

#[test]
fn nodes_with_one_bootstrap_line_are_one_chain_and_a_killed_one_comes_back() {
    let place = Place::new();
    let mut miner = Node::write(&place, "miner", &[], "");
    miner.start(&place, true);
    let mut near = Node::write(&place, "near", &[miner.port], "");
    near.start(&place, false);
    // It knows the near one alone, and hears of the miner from it.
    let mut far = Node::write(&place, "far", &[near.port], "");
    far.start(&place, false);
    wait_for_length(&far.url, 6);
    agree(&[&miner, &near, &far]);
    wait_until("the miner among the far node's peers", || (far.peers().len() >= 2).then_some(()));
    let told = place.succeed(&["peers", "--node", &far.url]);
    assert!(told.contains("latency") && told.contains("adit/"), "{told}");

    far.kill();
    let missed = length(&near.url) + 4;
    wait_for_length(&near.url, missed);
    far.start(&place, false);
    wait_for_length(&far.url, missed);
    agree(&[&miner, &near, &far]);
}

#[test]
fn halves_that_mined_apart_become_one_chain_with_one_ledger() {
    let place = Place::new();
    let mut halves: Vec<Vec<Node>> = Vec::new();
    for half in ["a", "b"] {
        let mut nodes: Vec<Node> = Vec::new();
        for number in 0..4 {
            let bootstrap: Vec<u16> = nodes.iter().map(|node| node.port).collect();
            let mut node = Node::write(&place, &format!("{half}{number}"), &bootstrap, "");
            node.start(&place, number == 0);
            nodes.push(node);
        }
        halves.push(nodes);
    }
    for nodes in &halves {
        wait_for_length(&nodes[3].url, 8);
    }
    assert_ne!(halves[0][1].tip(), halves[1][1].tip(), "the halves are not apart");
    // Mining goes on while two nodes that know both halves bring them together.
    let mut bridges: Vec<Node> = Vec::new();
    for number in 0..2 {
        let ports = [halves[0][number + 1].port, halves[1][number + 1].port];
        let mut bridge = Node::write(&place, &format!("bridge{number}"), &ports, "");
        bridge.start(&place, false);
        bridges.push(bridge);
    }
    let all: Vec<&Node> = halves.iter().flatten().chain(&bridges).collect();
    agree(&all);
    // The same tip is the same state, whichever way a node came to it.
    let addresses: Vec<String> = ["a0", "b0"]
        .iter()
        .map(|name| {
            let said = place.succeed(&["key", "show", &format!("{name}.key"), "--chain", &format!("{name}.toml")]);
            said.split_whitespace().last().unwrap().to_owned()
        })
        .collect();
    wait_until("equal ledgers at one tip", || {
        let before: Vec<Value> = all.iter().map(|node| node.tip()).collect();
        let ledgers: Vec<Vec<Value>> = all
            .iter()
            .map(|node| addresses.iter().map(|address| get(&node.url, &format!("/address/{address}")).1).collect())
            .collect();
        let after: Vec<Value> = all.iter().map(|node| node.tip()).collect();
        if before != after || before.iter().any(|tip| *tip != before[0]) {
            return None;
        }
        for (node, ledger) in all.iter().zip(&ledgers) {
            assert_eq!(*ledger, ledgers[0], "{} has another state at the same tip", node.name);
        }
        Some(())
    });
}

#[test]
fn a_node_of_other_rules_is_refused_and_both_say_why() {
    let place = Place::new();
    let mut ours = Node::write(&place, "ours", &[], "");
    ours.start(&place, false);
    let mut theirs = Node::write(&place, "theirs", &[ours.port], "");
    let path = place.path("theirs.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("spacing-seconds = 1\n", "spacing-seconds = 2\n")).unwrap();
    theirs.start(&place, false);
    for node in [&mut theirs, &mut ours] {
        let reason = node.running.as_mut().unwrap().wait_for("refusal", |entry| {
            let fields = entry.get("fields")?;
            (fields["message"] == "a session ends").then(|| fields["reason"].as_str().unwrap().to_owned())
        });
        assert!(reason.contains("consensus configuration"), "{reason}");
    }
    assert!(ours.peers().is_empty() && theirs.peers().is_empty());
}
