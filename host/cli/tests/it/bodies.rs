//! Whatever is sent to the routes of a node and its pool: each request is answered, what is wrong is said, and both go on. The routes and what they take
//! stand in the API's own documents, so that none is forgotten.

use crate::adit::{Place, agent, get, length, post, wait_for_length, wait_until, work_request};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Requests for each route that takes a body, and for each that takes parameters alone.
const BODIES: usize = 150;
const QUERIES: usize = 25;

/// The same requests in each run.
const SEED: u64 = 0x0ad1_7b0d_1e50_0001;

/// A node with a pool, on a chain whose blocks anybody may find.
const CHAIN: &str = r#"
[chain]
name = "bodies"
network = "devnet"
[consensus]
plugin = "longest-chain"
[consensus.config]
header = "bitcoin"
[consensus.config.genesis]
time-seconds = 1700000000
difficulty = 1
message = "bodies"
[consensus.config.retarget]
rule = "interval"
difficulty = 1
min = 1
max = 12
spacing-seconds = 1
interval = 10
free-difficulty = true
[consensus.config.subsidy]
initial-atoms = 5_000_000_000
[hash]
plugin = "sha256d"
[ledger]
address-prefix = "tt"
coinbase-maturity = 2
[payout]
plugin = "pplns"
[shares]
plugin = "standard"
[miner]
enabled = false
[node]
api = "127.0.0.1:0"
data-dir = "data"
[node.limits]
requests-per-second = 1_000_000
requests-burst = 1_000_000
[pool]
mode = "host"
name = "bodies"
stratum = "127.0.0.1:0"
"#;

/// A route as the document has it.
struct Route<'a> {
    method: &'a str,
    path: &'a str,
    parameters: &'a [Value],
    /// The schema of its body.
    body: Option<&'a Value>,
    document: &'a Value,
}

/// What requests are made of.
struct Draws {
    state: u64,
    /// Texts that mean something to this node, and texts that mean nothing.
    texts: Vec<String>,
}

#[test]
fn whatever_is_sent_is_answered_and_node_and_pool_go_on() {
    let place = Place::new();
    place.write("bodies.toml", CHAIN);
    place.write("miner.toml", &CHAIN.replace("enabled = false", "enabled = true"));
    let address = place.succeed(&["key", "new", "miner.key", "--chain", "bodies.toml"]);
    let address = address.split_whitespace().last().unwrap().to_owned();
    let mut node = place.start(&["up", "bodies.toml"]);
    let url = node.url();
    wait_until("the pool", || (get(&url, "/pool/stats").0 == 200).then_some(()));
    let token = format!("Bearer {}", std::fs::read_to_string(place.path("data/token")).unwrap().trim());
    let documents = ["/openapi.json", "/pool/openapi.json"].map(|path| get(&url, path).1);
    let mut routes: Vec<Route> = documents.iter().flat_map(routes).collect();
    // What ends the pool comes last.
    routes.sort_by_key(|route| (["/pool/stop", "/pool/mode"].contains(&route.path), route.path));
    assert!(routes.iter().filter(|route| route.body.is_some()).count() >= 10, "the documents show the routes");
    let mut draws = Draws { state: SEED, texts: texts(&url, &address) };
    for route in &routes {
        let requests = if route.body.is_some() { BODIES } else { QUERIES };
        (0..requests).for_each(|_| check(&url, &token, route, &mut draws));
    }
    // The difficulty is the chain's own again, and the pool there.
    for path in ["/difficulty/restore", "/pool/start"] {
        let answer = send("POST", &format!("{url}{path}"), &token, Some(b"{}"));
        assert_eq!(answer.0, 200, "{path}: {}", answer.1);
    }
    wait_until("the pool", || (get(&url, "/pool/stats").0 == 200).then_some(()));
    let blocks = length(&url);
    let miner = place.start(&["miner", "miner.toml", "--node", &url, "--address", &address, "--threads", "1"]);
    wait_for_length(&url, blocks + 2);
    assert!(miner.interrupt().success() && node.interrupt().success());
}

#[test]
fn parameters_stand_in_the_path_or_the_query_as_the_documents_say() {
    let place = Place::new();
    place.write("bodies.toml", CHAIN);
    let mut node = place.start(&["up", "bodies.toml"]);
    let url = node.url();
    wait_until("the pool", || (get(&url, "/pool/stats").0 == 200).then_some(()));
    for document in ["/openapi.json", "/pool/openapi.json"].map(|path| get(&url, path).1) {
        let (mut paths, mut queries) = (0, 0);
        for Route { path, parameters, .. } in routes(&document) {
            let braces: BTreeSet<&str> =
                path.split('{').skip(1).map(|part| part.split_once('}').expect("a brace is closed").0).collect();
            let names = |place: &str| -> BTreeSet<&str> {
                let there = parameters.iter().filter(|parameter| parameter["in"] == place);
                there.map(|parameter| parameter["name"].as_str().unwrap()).collect()
            };
            assert_eq!(names("path"), braces, "{path}");
            paths += braces.len();
            queries += names("query").len();
        }
        assert!(paths > 0 && queries > 0, "{paths} parameters in paths and {queries} in queries");
    }
}

/// Sends a request, and checks that the answer is one of those that the document speaks of.
#[track_caller]
fn check(url: &str, token: &str, route: &Route, draws: &mut Draws) {
    let target = format!("{url}{}", draws.target(route));
    let body = route.body.map(|schema| draws.body(schema, route.document));
    let (status, answer) = send(&route.method.to_uppercase(), &target, token, body.as_deref());
    let what = || {
        let body = String::from_utf8_lossy(body.as_deref().unwrap_or_default()).chars().take(2_000).collect::<String>();
        format!("{} {target} with {body:?} was answered {status}: {answer}", route.method)
    };
    assert!(status < 500 || status == 503, "{}", what());
    let code =
        serde_json::from_str::<Value>(&answer).ok().and_then(|answer| answer["error"]["code"].as_str().map(str::len));
    assert!(status < 400 || code.is_some_and(|length| length > 0), "{}", what());
}

fn send(method: &str, url: &str, token: &str, body: Option<&[u8]>) -> (u16, String) {
    let request = ureq::http::Request::builder().method(method).uri(url).header("authorization", token);
    let request = request.header("content-type", "application/json").body(body.unwrap_or_default()).unwrap();
    let mut answer = agent().run(request).unwrap_or_else(|error| panic!("{method} {url} has no answer: {error}"));
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}

/// Reads a document's routes.
fn routes(document: &Value) -> Vec<Route<'_>> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, methods)| methods.as_object().unwrap().iter().map(move |of| (path, of)));
    let routes = operations.map(|(path, (method, operation))| Route {
        method,
        path,
        parameters: operation["parameters"].as_array().map_or(&[], Vec::as_slice),
        body: operation.pointer("/requestBody/content/application~1json/schema"),
        document,
    });
    routes.collect()
}

/// Returns texts of the kinds that requests hold, and others.
fn texts(url: &str, address: &str) -> Vec<String> {
    let (_, work) = post(url, "/mine_block", &work_request(address));
    let tip = work["block_template"]["previous_hash"].as_str().unwrap().to_owned();
    let (_, block) = get(url, &format!("/block/{tip}"));
    let (_, worker) = post(url, "/pool/register", &json!({ "address": address, "worker": "rig" }));
    let known = [&work["block_template"]["header"], &block["bytes"], &worker["worker_id"], &worker["job"]["job_id"]];
    let known = known.into_iter().map(|text| text.as_str().unwrap().to_owned());
    let other = [
        "",
        "0",
        "-1",
        "1e400",
        "\u{0}",
        "\u{1F480}",
        "../..",
        "rig.1",
        "d=0.01",
        "host",
        "0x",
        "fF",
        "[object Object]",
    ];
    let long = ["00".repeat(32), "f".repeat(64), "5".repeat(3_000), "\"".repeat(300)];
    known.chain(other.map(str::to_owned)).chain(long).chain([address.to_owned(), tip]).collect()
}

impl Draws {
    /// Returns the next number (SplitMix64).
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    /// Once in so many times.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn text(&mut self) -> String {
        let place = self.below(self.texts.len());
        self.texts[place].clone()
    }

    /// Returns a path with its parameters and a query.
    fn target(&mut self, route: &Route) -> String {
        let (mut path, mut query) = (route.path.to_owned(), Vec::new());
        for parameter in route.parameters {
            let name = parameter["name"].as_str().unwrap();
            let value = match self.value(&parameter["schema"], route.document) {
                Value::String(text) => escaped(text.as_bytes()),
                _ if self.once_in(8) => "%ff%".to_owned(),
                other => escaped(other.to_string().as_bytes()),
            };
            match parameter["in"].as_str() {
                Some("path") => path = path.replace(&format!("{{{name}}}"), &value),
                _ if self.once_in(4) => {}
                _ => query.push(format!("{name}={value}")),
            }
        }
        if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
    }

    /// Returns a body that mostly has the right form, and sometimes is no JSON at all.
    fn body(&mut self, schema: &Value, document: &Value) -> Vec<u8> {
        let mut bytes = self.value(schema, document).to_string().into_bytes();
        match self.below(10) {
            0 => bytes.truncate(self.below(bytes.len() + 1)),
            1 if !bytes.is_empty() => {
                let place = self.below(bytes.len());
                bytes[place] = self.next().to_le_bytes()[0];
            }
            2 => bytes.extend_from_slice(b"{}"),
            _ => {}
        }
        bytes
    }

    /// Returns a value for a schema, or one that has nothing to do with it.
    fn value(&mut self, schema: &Value, document: &Value) -> Value {
        if self.once_in(16) {
            return self.anything();
        }
        if let Some(reference) = schema["$ref"].as_str() {
            return self.value(document.pointer(reference.trim_start_matches('#')).unwrap(), document);
        }
        if let Some(choices) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()).or(schema["enum"].as_array()) {
            let choice = choices[self.below(choices.len())].clone();
            return if schema["enum"].is_array() { choice } else { self.value(&choice, document) };
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => &kinds[self.below(kinds.len())],
            kind => kind,
        };
        match kind.as_str() {
            Some("object") => self.object(schema, document),
            Some("array") => (0..self.below(4)).map(|_| self.value(&schema["items"], document)).collect(),
            Some("string") => Value::String(self.text()),
            Some("integer" | "number") => self.number(),
            Some("boolean") => Value::Bool(self.once_in(2)),
            _ => self.anything(),
        }
    }

    fn object(&mut self, schema: &Value, document: &Value) -> Value {
        let mut object = Map::new();
        let required =
            |name: &String| schema["required"].as_array().is_some_and(|names| names.iter().any(|of| of == name));
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            let left_out = if required(name) { self.once_in(20) } else { self.once_in(2) };
            if !left_out {
                object.insert(name.clone(), self.value(schema, document));
            }
        }
        if self.once_in(12) {
            object.insert(self.text(), self.anything());
        }
        Value::Object(object)
    }

    fn number(&mut self) -> Value {
        let drawn = self.next();
        let edges = [0, 1, 2, 80, 1 << 31, 1 << 32, 1 << 53, 1 << 63, u64::MAX, drawn, drawn % 1_000];
        match self.below(edges.len() + 4) {
            0 => json!(-1),
            1 => json!(0.5),
            2 => json!(1e300),
            3 => json!(i64::MIN),
            place => json!(edges[place - 4]),
        }
    }

    fn anything(&mut self) -> Value {
        let deep = |depth: usize| (0..depth).fold(Value::Null, |inner, _| json!([inner]));
        match self.below(7) {
            0 => Value::Null,
            1 => json!({}),
            2 => json!([[], {}, null, ""]),
            // Just below and just above what a reader of JSON goes into.
            3 => deep(100),
            4 => deep(200),
            5 => Value::String(self.text()),
            _ => self.number(),
        }
    }
}

/// Writes bytes as part of a URL.
fn escaped(bytes: &[u8]) -> String {
    let escape = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(*byte).to_string(),
        _ => format!("%{byte:02x}"),
    };
    bytes.iter().map(escape).collect()
}
