//! Two nodes of one chain, of which the first is killed and comes back: work goes on at the second, and returns to the first.

use super::Node;
use crate::adit::{Place, Running, length, wait_for_length};
use crate::pool::bench::{said, text};
use crate::pool::counterparts::free_port;

/// When the turn comes back: soon, for a test.
const QUICK: &str = "settle-ms = 500\nprobe-ms = 100\n";

/// The rules of the example with a pool, every block of 2^20 hashes.
fn rules() -> String {
    let example = include_str!("../../../../../examples/vision/chain.toml");
    let (rules, _) = example.split_once("\n[pool]\n").expect("the example has a table of the pool");
    let retarget = "rule = \"lwma\"\nspacing-seconds = 30\nwindow = 90";
    assert!(rules.contains(retarget), "the example has changed");
    rules.replace(retarget, "rule = \"litecoin\"\nenabled = false\nlimit-bits = 0x1e0fffff")
}

/// Two nodes that know each other, at ports that they have again after a restart.
struct Pair {
    place: Place,
    nodes: [Node; 2],
    urls: [String; 2],
}

impl Pair {
    fn start() -> Self {
        let place = Place::new();
        let ports = [free_port(), free_port()];
        let nodes = ["first", "second"].map(|name| {
            let port = ports[usize::from(name == "second")];
            let tables = format!(
                "\n[node]\napi = \"127.0.0.1:{}\"\ndata-dir = \"data-{name}\"\n[network]\nlisten = [\"127.0.0.1:{port}\"]\n\
                 bootstrap = [\"127.0.0.1:{}\"]\nlan = false\ntable = false\ntraversal = false\n",
                free_port(),
                ports[usize::from(name == "first")]
            );
            place.write(&format!("{name}.toml"), &format!("{}{tables}", rules()));
            let mut node = Node { name: name.to_owned(), port, running: None, url: String::new() };
            node.start(&place, false);
            node
        });
        let urls = nodes.each_ref().map(|node| node.url.clone());
        Self { place, nodes, urls }
    }

    /// Writes the chain for one that works with the nodes, by these further tables.
    fn write(&self, name: &str, tables: &str) {
        let node = format!("\n[node]\ndata-dir = \"data-{name}\"\n{tables}");
        self.place.write(&format!("{name}.toml"), &format!("{}{node}", rules()));
    }

    /// Kills the first node while `worker` works for it, and starts it again.
    fn kill_and_return(&mut self, worker: &mut Running) {
        let [first, second] = &mut self.nodes;
        wait_for_length(&self.urls[0], 4);
        first.kill();
        moves(worker, &self.urls[1], "the one before failed");
        let so_far = length(&self.urls[1]);
        wait_for_length(&self.urls[1], so_far + 3);

        first.start(&self.place, false);
        moves(worker, &self.urls[0], "it is preferred and well again");
        // What is found now is found with the first: the second goes away, and the chain goes on.
        second.kill();
        let so_far = length(&self.urls[0]);
        wait_for_length(&self.urls[0], so_far + 3);
    }
}

/// Waits until the turn goes to a node, for that reason.
#[track_caller]
fn moves(worker: &mut Running, url: &str, why: &str) {
    worker.wait_for(&format!("turn of {url}: {why}"), |entry| {
        let moved = entry["fields"]["message"].as_str()?.ends_with("has the turn");
        (moved && text(entry, "to").trim_end_matches('/') == url && text(entry, "why") == why).then_some(())
    });
}

#[test]
fn a_miner_goes_on_at_the_second_node_and_comes_back_to_the_first() {
    let mut pair = Pair::start();
    let [first, second] = &pair.urls;
    let tables =
        format!("[miner]\nnodes = [\"{first}\", {{ url = \"{second}\", weight = 2 }}]\n[miner.failover]\n{QUICK}");
    pair.write("miner", &tables);
    pair.place.succeed(&["key", "new", "m.key", "--chain", "miner.toml"]);
    let mut miner = pair.place.start(&["miner", "miner.toml", "--key", "m.key", "--threads", "1"]);
    pair.kill_and_return(&mut miner);
    assert!(miner.interrupt().success());
}

#[test]
fn a_pool_goes_on_at_the_second_node_and_comes_back_to_the_first() {
    let mut pair = Pair::start();
    let upstream = |url: &String| format!("[[pool.upstreams]]\nkind = \"adit\"\nurl = \"{url}\"\n");
    let upstreams: String = pair.urls.iter().map(upstream).collect();
    let tables = format!(
        "[pool]\nstratum = \"127.0.0.1:0\"\napi = \"127.0.0.1:0\"\n{upstreams}[pool.failover]\n{QUICK}\
         [pool.shares]\ndifficulty-start = 0.000001\ndifficulty-min = 0.000001\n"
    );
    pair.write("pool", &tables);
    let mut pool = pair.place.start(&["pool", "pool.toml"]);
    let api = pool.wait_for("address of the pool's API", |entry| {
        said(entry, "the pool's API listens").then(|| format!("http://{}", text(entry, "address")))
    });
    let stratum = crate::pool::bench::stratum(&mut pool);
    pair.place.succeed(&["key", "new", "m.key", "--chain", "pool.toml"]);
    let stratum = format!("stratum+tcp://{stratum}");
    let miner = pair.place.start(&["miner", "pool.toml", "--pool", &stratum, "--key", "m.key", "--threads", "1"]);
    pair.kill_and_return(&mut pool);
    let (_, pool_says) = crate::adit::get(&api, "/pool/stats");
    let turns: Vec<_> =
        pool_says["upstreams"].as_array().unwrap().iter().map(|node| node["has_turn"].clone()).collect();
    assert_eq!(turns, [true, false], "{pool_says}");
    assert!(miner.interrupt().success());
    assert!(pool.interrupt().success());
}
