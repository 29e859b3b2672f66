//! A chain that merges blocks, as its users see it: counted, drawn, read back from disk.

use crate::adit::{PATIENCE, Place, get, post, wait_until};
use adit_primitives::{Target, U256, sha256d};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// Blocks found at the same time, in each of [`ROUNDS`] rounds.
const WIDTH: usize = 3;
const ROUNDS: usize = 4;

/// A DAG whose blocks are found at once.
pub fn dag_chain(place: &Place, name: &str) {
    let text = format!(
        r#"
[chain]
name = "{name}"
network = "devnet"
[consensus]
plugin = "ghostdag"
[consensus.config]
k = 18
[consensus.config.genesis]
time-ms = 1735689600000
bits = 0x207fffff
message = "{name}"
[consensus.config.difficulty]
rule = "fixed"
[hash]
plugin = "sha256d"
[ledger]
conflicts = "skip-transaction"
[node]
api = "127.0.0.1:0"
data-dir = "data-{name}"
"#
    );
    place.write(&format!("{name}.toml"), &text);
}

/// Asks for work with the miner's own bytes.
pub fn work(url: &str, address: &str, extra: usize) -> Value {
    let (status, work) =
        post(url, "/mine_block", &json!({ "miner_address": address, "extra": format!("{extra:04x}") }));
    assert_eq!(status, 200, "{work}");
    work["block_template"].clone()
}

/// Returns the first nonce that solves a template.
pub fn nonce(template: &Value) -> u64 {
    let work = &template["work"];
    let text = work["bytes"].as_str().unwrap();
    let mut bytes: Vec<u8> =
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect();
    let target = Target(U256::from_str_radix(work["target"].as_str().unwrap(), 16).unwrap());
    let number = |key: &str| usize::try_from(work[key].as_u64().unwrap()).unwrap();
    let (offset, length) = (number("nonce_offset"), number("nonce_bytes"));
    let meets = |nonce: &u64| {
        bytes[offset..offset + length].copy_from_slice(&nonce.to_le_bytes()[..length]);
        target.is_met_by(&sha256d(&bytes))
    };
    (0..).find(meets).unwrap()
}

/// Submits the first nonce that solves a template, and returns the block's id.
pub fn solve(url: &str, template: &Value) -> String {
    let solution = json!({ "template_id": template["template_id"], "nonce": nonce(template) });
    let (status, answer) = post(url, "/submit_block", &solution);
    assert_eq!((status, &answer["status"]), (200, &json!("accepted")), "{answer}");
    answer["hash"].as_str().unwrap().to_owned()
}

/// Mines rounds of parallel blocks, each over all of the round before.
fn mine(url: &str, address: &str) -> BTreeSet<String> {
    let mut blocks = BTreeSet::new();
    for _ in 0..ROUNDS {
        let templates: Vec<Value> = (0..WIDTH).map(|extra| work(url, address, extra)).collect();
        blocks.extend(templates.iter().map(|template| solve(url, template)));
    }
    blocks
}

/// The blocks of a picture.
fn drawn(place: &Place, file: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(place.path(file)).unwrap();
    let document = roxmltree::Document::parse(&text).unwrap();
    let blocks: Vec<_> = document.descendants().filter_map(|node| node.attribute("data-block")).collect();
    let set: BTreeSet<String> = blocks.iter().map(|block| (*block).to_owned()).collect();
    assert_eq!(set.len(), blocks.len(), "a block is drawn twice");
    set
}

#[test]
fn parallel_blocks_are_merged_counted_and_drawn() {
    let place = Place::new();
    dag_chain(&place, "wide");
    let address = place.succeed(&["key", "new", "m.key", "--chain", "wide.toml"]);
    let address = address.split_whitespace().last().unwrap();
    let mut node = place.start(&["node", "wide.toml"]);
    let url = node.url();
    let mut blocks = mine(&url, address);
    assert_eq!(blocks.len(), WIDTH * ROUNDS);
    let (_, status) = get(&url, "/status/detailed");
    let dag = &status["dag"];
    let want = json!({
        "tips": WIDTH,
        "blue_score": WIDTH * (ROUNDS - 1) + 1,
        "blue_ratio": 1.0,
        "red_blocks": 0,
        "unmerged_blocks": WIDTH - 1,
        "merge_set_last": WIDTH - 1,
        "merge_set_mean": ((WIDTH - 1) * (ROUNDS - 1) * WIDTH) as f64 / (WIDTH * ROUNDS) as f64,
    });
    assert_eq!(*dag, want);
    let said = place.succeed(&["stats", "--node", &url]);
    assert!(
        said.contains(
            "  Blocks Found: 12\n  Blocks Accepted: 12 (100.00%)\n  Blocks Rejected: 0\n  Blue Blocks: 10 (83.33%)\n"
        ),
        "{said}"
    );
    let figures: Value =
        serde_json::from_str(&place.succeed(&["--json", "stats", "wide.toml", "--node", &url])).unwrap();
    assert_eq!(
        (&figures["blocks_selected"], &figures["blocks_merged_blue"]),
        (&json!(ROUNDS), &json!((WIDTH - 1) * (ROUNDS - 1)))
    );
    blocks.insert(status["identity"]["genesis"].as_str().unwrap().to_owned());
    place.succeed(&["dag", "wide.toml", "--node", &url, "--out", "asked.svg"]);
    assert_eq!(drawn(&place, "asked.svg"), blocks);
    let text = place.succeed(&["dag", "wide.toml", "--node", &url, "--text"]);
    assert_eq!(text.matches("(tip)").count(), WIDTH);
    assert!(node.interrupt().success());
    // No node runs: the database is read.
    let at_rest = std::fs::read_to_string(place.path("wide.toml")).unwrap().replace("127.0.0.1:0", "127.0.0.1:1");
    place.write("rest.toml", &at_rest);
    let wrote = place.succeed(&["dag", "rest.toml"]);
    assert!(wrote.contains("dag.svg: 13 blocks"), "{wrote}");
    assert_eq!(drawn(&place, "dag.svg"), blocks);
}

#[test]
fn a_picture_has_the_wished_block_in_its_middle() {
    let place = Place::new();
    dag_chain(&place, "middle");
    let address = place.succeed(&["key", "new", "m.key", "--chain", "middle.toml"]);
    let address = address.split_whitespace().last().unwrap();
    let mut node = place.start(&["node", "middle.toml"]);
    let url = node.url();
    mine(&url, address);
    let (_, all) = get(&url, "/dag");
    let blocks = all["blocks"].as_array().unwrap();
    let middle = blocks.iter().find(|block| block["colour"] == "blue").unwrap();
    let (hash, height) = (middle["hash"].as_str().unwrap(), middle["height"].as_u64().unwrap());
    place.succeed(&["dag", "middle.toml", "--node", &url, "--around", hash, "--depth", "4", "--out", "middle.svg"]);
    let near = |block: &&Value| block["height"].as_u64().unwrap().abs_diff(height) <= 2;
    let want: BTreeSet<String> =
        blocks.iter().filter(near).map(|block| block["hash"].as_str().unwrap().to_owned()).collect();
    assert_eq!(drawn(&place, "middle.svg"), want);
    let said = place.fail(&["dag", "middle.toml", "--node", &url, "--around", &"ab".repeat(32)]);
    assert!(said.contains("there is no such block"), "{said}");
}

#[test]
fn without_node_and_database_there_is_nothing_to_draw() {
    let place = Place::new();
    dag_chain(&place, "nothing");
    let text = std::fs::read_to_string(place.path("nothing.toml")).unwrap().replace("127.0.0.1:0", "127.0.0.1:1");
    place.write("nothing.toml", &text);
    let said = place.fail(&["dag", "nothing.toml"]);
    assert!(said.contains("no node answers at http://127.0.0.1:1"), "{said}");
    assert!(!place.path("data-nothing").exists());
}

#[test]
fn miners_of_a_dag_find_blocks_that_count() {
    let place = Place::new();
    dag_chain(&place, "mined");
    let mut node = place.start(&["up", "mined.toml", "--threads", "1"]);
    let url = node.url();
    wait_until("50 blocks", || (get(&url, "/stats").1["blocks_accepted"].as_u64()? >= 50).then_some(()));
    let (_, figures) = get(&url, "/stats");
    assert_eq!(figures["blocks_rejected"], 0, "{figures}");
    assert!(node.interrupt().success());
}

/// Blocks offered from several sides at once, children before their parents, make the same chain.
#[test]
fn whole_blocks_go_from_one_node_to_another_in_any_order() {
    let place = Place::new();
    dag_chain(&place, "from");
    let text = std::fs::read_to_string(place.path("from.toml")).unwrap();
    place.write("to.toml", &text.replace("data-from", "data-to"));
    let address = place.succeed(&["key", "new", "m.key", "--chain", "from.toml"]);
    let address = address.split_whitespace().last().unwrap();
    let (mut from, mut to) = (place.start(&["node", "from.toml"]), place.start(&["node", "to.toml"]));
    let (from, to) = (from.url(), to.url());
    let blocks: Vec<String> = mine(&from, address).into_iter().collect();
    let bytes = |hash: &String| get(&from, &format!("/block/{hash}")).1["bytes"].clone();
    let offers: Vec<Value> = blocks.iter().map(|hash| json!({ "bytes": bytes(hash) })).collect();
    std::thread::scope(|scope| {
        for side in 0..3 {
            let (offers, to) = (&offers, &to);
            scope.spawn(move || {
                for at in 0..offers.len() {
                    // Each side begins elsewhere, so that every block is offered three times and most of them too early.
                    let (status, answer) = post(to, "/block", &offers[(at * 5 + side * 4) % offers.len()]);
                    assert!([200, 202, 409].contains(&status), "{answer}");
                }
            });
        }
    });
    let tip = |url: &str| get(url, "/dag").1["tip"].clone();
    assert_eq!(tip(&to), tip(&from));
    for hash in &blocks {
        let detail = |url: &str| get(url, &format!("/block/{hash}")).1;
        assert_eq!(detail(&to), detail(&from), "place, colour and bytes are the same");
    }
    let (status, answer) = post(&to, "/block", &json!({ "bytes": "00" }));
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("bytes")), "{answer}");
    assert_eq!(get(&to, &format!("/block/{}", "ab".repeat(32))).0, 404);
}

/// A miner's WebSocket, read as the bytes that it is.
struct Subscription(BufReader<TcpStream>);

impl Subscription {
    fn open(url: &str, address: &str) -> Self {
        let host = url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
        write!(stream, "GET /template?miner_address={address} HTTP/1.1\r\nHost: {host}\r\n{upgrade}\r\n\r\n").unwrap();
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).unwrap() > 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        Self(lines)
    }

    /// Waits for the next template, and returns the parents that its block names.
    fn parents(&mut self) -> BTreeSet<String> {
        const TEXT: u8 = 1;
        loop {
            let mut head = [0; 2];
            self.0.read_exact(&mut head).unwrap();
            let length = match head[1] {
                126 => u64::from(u16::from_be_bytes(self.bytes())),
                127 => u64::from_be_bytes(self.bytes()),
                short => short.into(),
            };
            let mut message = vec![0; usize::try_from(length).unwrap()];
            self.0.read_exact(&mut message).unwrap();
            if head[0] & 0x0f == TEXT {
                let message: Value = serde_json::from_slice(&message).unwrap();
                return parents(&message["block_template"]);
            }
        }
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }
}

/// Reads the parents behind a header's 88 bytes. An id is written from its last byte to its first.
fn parents(template: &Value) -> BTreeSet<String> {
    let header = template["header"].as_str().unwrap().as_bytes();
    let id = |digits: &[u8]| digits.rchunks(2).map(|byte| std::str::from_utf8(byte).unwrap()).collect();
    header[2 * 88..].chunks(64).map(id).collect()
}

/// A block beside the tip changes what the next one merges: who searches is told at once, not when its template expires.
#[test]
fn a_block_beside_the_tip_is_pushed_to_whoever_searches() {
    let place = Place::new();
    dag_chain(&place, "pushed");
    let path = place.path("pushed.toml");
    let text = std::fs::read_to_string(&path).unwrap() + "[node.sizes]\ntemplate-ttl-ms = 600_000\n";
    std::fs::write(&path, text).unwrap();
    let address = place.succeed(&["key", "new", "m.key", "--chain", "pushed.toml"]);
    let address = address.split_whitespace().last().unwrap();
    let mut node = place.start(&["node", "pushed.toml"]);
    let url = node.url();
    let mut subscription = Subscription::open(&url, address);
    let genesis = get(&url, "/status/detailed").1["identity"]["genesis"].as_str().unwrap().to_owned();
    assert_eq!(subscription.parents(), BTreeSet::from([genesis]));
    let siblings = [1, 2, 3].map(|extra| work(&url, address, extra));
    let mut found = BTreeSet::new();
    for template in &siblings {
        found.insert(solve(&url, template));
        assert_eq!(subscription.parents(), found);
    }
    assert!(node.interrupt().success());
}
