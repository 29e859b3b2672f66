//! The pool of `examples/otedama`: several real processes that are one pool, without anybody who holds the money.

use super::bench::stratum;
use super::counterparts::{Miner, free_port};
use crate::adit::{Place, Running, get, wait_until};
use serde_json::Value;

/// How many of the newest blocks are compared.
const COMPARED: u64 = 12;

/// How many of the newest rounds are compared.
const ROUNDS_COMPARED: u64 = 40;

/// A node's process, and its API.
struct Node {
    name: &'static str,
    process: Running,
    url: String,
}

/// What a node needs to be one of the pool.
struct Plan {
    name: &'static str,
    mines: bool,
    network: u16,
    bootstrap: Vec<u16>,
    founder: Option<String>,
}

/// The example with blocks of 2^24 hashes, rounds of half a second whose work soon outweighs the founder's, and ports of its own.
fn quick_otedama(plan: &Plan) -> String {
    let example = include_str!("../../../../../examples/otedama/chain.toml");
    let Plan { name, mines, network, bootstrap, founder } = plan;
    let local = format!(
        "[miner]\nenabled = {mines}\nthreads = 1\n[node]\napi = \"127.0.0.1:0\"\ndata-dir = \"data-{name}\"\n[pool]\nstratum = \"127.0.0.1:{}\"\n",
        free_port()
    );
    let others: Vec<String> = bootstrap.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
    let network = format!(
        "[network]\nlisten = [\"127.0.0.1:{network}\"]\nbootstrap = [{}]\nlan = false\ntable = false\ntraversal = false\n",
        others.join(", ")
    );
    let founders = founder.as_ref().map_or(String::new(), |founder| format!("founders = [\"{founder}\"]\n"));
    let changes = [
        ("bits = 0x1e0fffff", "bits = 0x1e010000"),
        (
            "rule = \"lwma\"\nspacing-seconds = 30\nwindow = 90",
            "rule = \"litecoin\"\nenabled = false\nlimit-bits = 0x1e010000",
        ),
        ("coinbase-maturity = 10", "coinbase-maturity = 2"),
        ("round-ms = 10_000", "round-ms = 500"),
        ("founding-work-log2 = 34", "founding-work-log2 = 22"),
        ("[pool]\n", &local),
        ("difficulty-start = 0.001 ", "difficulty-start = 0.00006103515625 "),
        ("difficulty-min = 0.0001", "difficulty-min = 0.0000152587890625"),
        ("maturity = 10\n\n[pool.shared]\n", &format!("maturity = 2\n\n[pool.shared]\n{founders}")),
        ("[network]\n", &network),
    ];
    changes.iter().fold(example.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "the example has changed: {from:?}");
        text.replacen(from, to, 1)
    })
}

impl Node {
    fn start(place: &Place, plan: &Plan) -> Self {
        let file = format!("{}.toml", plan.name);
        if !place.path(&file).exists() {
            place.write(&file, &quick_otedama(plan));
        }
        let mut process = place.start(&["up", &file]);
        let url = process.url();
        Self { name: plan.name, process, url }
    }

    /// Returns its name in the network, as its log has it.
    fn node(&mut self) -> String {
        self.process.wait_for("the pool's beginning", |entry| {
            let fields = entry.get("fields")?;
            (fields["message"] == "this node takes part in a peer-to-peer pool")
                .then(|| fields["node"].as_str().unwrap().to_owned())
        })
    }

    fn round(&self) -> u64 {
        get(&self.url, "/pool/rounds").1["pool"]["round"].as_u64().unwrap_or(0)
    }

    /// Returns what a block pays as this node computes it. `None` while it does not know the round.
    fn split(&self, hash: &str) -> Option<Value> {
        let (status, split) = get(&self.url, &format!("/pool/split/{hash}"));
        (status == 200).then_some(split)
    }
}

/// Waits until all nodes have certified a round, and compares who is credited with what in the newest rounds up to there: the
/// root of each is over all before it.
#[track_caller]
fn compare_credits(nodes: &[&Node], from: u64) -> u64 {
    let newest = wait_until("a later round at all nodes", || {
        let newest = nodes.iter().map(|node| node.round()).min().unwrap();
        (newest > from).then_some(newest)
    });
    for round in newest.saturating_sub(ROUNDS_COMPARED).max(1)..=newest {
        let credits: Vec<Value> = nodes.iter().map(|node| get(&node.url, &format!("/pool/rounds/{round}")).1).collect();
        assert!(credits[0]["credits"].as_array().is_some_and(|credits| !credits.is_empty()), "{}", credits[0]);
        for (node, other) in nodes.iter().zip(&credits) {
            assert_eq!(*other, credits[0], "{} has another round {round}", node.name);
        }
    }
    newest
}

/// Compares the newest blocks of the chain with what each node says that they have to pay.
#[track_caller]
fn compare_coinbases(nodes: &[&Node]) {
    // What was found while the nodes are asked may not be at all of them yet.
    wait_until("coinbases that all nodes know", || {
        let (_, page) = get(&nodes[0].url, &format!("/blockchain?limit={COMPARED}"));
        for block in page["chain"].as_array()?.iter().filter(|block| block["index"] != 0) {
            let hash = block["hash"].as_str()?;
            let pairs = |outputs: &Value, address: &str| -> Vec<(Value, Value)> {
                let pair = |output: &Value| (output[address].clone(), output["amount_atoms"].clone());
                outputs.as_array().unwrap().iter().map(pair).collect()
            };
            let paid = pairs(&block["transactions"][0]["outputs"], "recipient_address");
            assert!(!paid.is_empty(), "block {hash} pays nobody");
            for node in nodes {
                let split = node.split(hash)?;
                assert_eq!(pairs(&split["outputs"], "address"), paid, "{} computes another block {hash}", node.name);
            }
        }
        Some(())
    });
}

#[test]
fn several_processes_are_one_pool_that_pays_its_miners_and_survives_kills() {
    let place = Place::new();
    let ports = [free_port(), free_port(), free_port()];
    let plan_a = Plan { name: "a", mines: true, network: ports[0], bootstrap: vec![], founder: None };
    let mut a = Node::start(&place, &plan_a);
    let founder = a.node();
    let plan = |name, at: usize, mines, bootstrap| Plan {
        name,
        mines,
        network: ports[at],
        bootstrap,
        founder: Some(founder.clone()),
    };
    let (plan_b, plan_c) = (plan("b", 1, true, vec![ports[0]]), plan("c", 2, false, vec![ports[0], ports[1]]));
    let b = Node::start(&place, &plan_b);
    let mut c = Node::start(&place, &plan_c);
    let at_c = stratum(&mut c.process);

    // Work of both miners is paid by one coinbase.
    wait_until("a block that pays both miners", || {
        let (_, split) = get(&c.url, "/pool/split");
        (split["outputs"].as_array()?.len() >= 2).then_some(())
    });
    // A miner of another language, at the node that has none of its own, is paid by blocks that others find.
    let said = place.succeed(&["key", "new", "guest.key", "--chain", "c.toml"]);
    let guest = said.split_whitespace().last().unwrap().to_owned();
    let easiest = ["--password", "d=0.0000152587890625"];
    if let Some(_miner) = Miner::start(&at_c, &format!("{guest}.rig"), &easiest) {
        wait_until("the guest's part of a block", || {
            let (_, held) = get(&a.url, &format!("/address/{guest}"));
            (held["balance_atoms"].as_u64()? > 0).then_some(())
        });
    }
    let round = compare_credits(&[&a, &b, &c], 3);
    compare_coinbases(&[&a, &b, &c]);

    c.process.kill();
    let round = wait_until("rounds without the one that is gone", || {
        let now = a.round();
        (now > round + 3).then_some(now)
    });
    let c = Node::start(&place, &plan_c);
    let round = compare_credits(&[&a, &b, &c], round);

    b.process.kill();
    let b = Node::start(&place, &plan_b);
    compare_credits(&[&a, &b, &c], round + 3);
    compare_coinbases(&[&a, &b, &c]);

    // The node without miners has the blocks of the others in its books, and owes nobody anything.
    wait_until("blocks of others in the books", || {
        let (_, books) = get(&c.url, "/pool/blocks");
        let blocks = books["blocks"].as_array()?;
        blocks.iter().any(|block| block["split"] == true).then_some(())
    });
    let (_, payments) = get(&c.url, "/pool/payments");
    assert_eq!(payments["payments"].as_array().map(Vec::len), Some(0));
    for node in [a, b, c] {
        assert!(node.process.interrupt().success());
    }
}

#[test]
fn tables_that_are_no_peer_to_peer_pool_are_refused_with_a_sentence() {
    let place = Place::new();
    let plan = Plan { name: "a", mines: false, network: free_port(), bootstrap: vec![], founder: None };
    let good = quick_otedama(&plan);
    let refused = |from: &str, to: &str, want: &str| {
        assert!(good.contains(from), "{from:?}");
        place.write("wrong.toml", &good.replacen(from, to, 1));
        let said = place.fail(&["up", "wrong.toml"]);
        assert!(said.contains(want), "{said}");
    };
    let network = good.find("[network]").unwrap();
    refused(&good[network..], "", "`pool.shared` needs the [network] table");
    refused("plugin = \"pplns\"", "plugin = \"solo\"", "none for a peer-to-peer pool");
    let shares = &good[good.find("[shares]").unwrap()..good.find("[miner]").unwrap()];
    refused(shares, "[shares]\nplugin = \"standard\"\n", "standard says nothing on how nodes of a pool agree");
    refused("[pool.money]\n", "[pool.money]\npool-fee = 10\n", "no operator");
    refused("[pool.shared]\n", "[pool.shared]\nfounders = [\"nobody\"]\n", "not the name of a node");
}
