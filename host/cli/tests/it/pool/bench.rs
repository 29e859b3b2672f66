//! A pool as a test sets it up: its `chain.toml`, its process, what it says of itself.

use crate::adit::{Place, Running, get, wait_until};
use serde_json::Value;

/// More blocks and payments than a test makes.
pub const ALL_BLOCKS: &str = "/pool/blocks?limit=1000";
const ALL_PAYMENTS: &str = "/pool/payments?limit=1000";

/// What a pool before Litecoin nodes is set to.
pub struct Setup<'a> {
    /// Whom its blocks pay.
    pub address: &'a str,
    /// Port and file of credentials for each node, in order of preference.
    pub nodes: &'a [(u16, &'a str)],
    /// Blocks above one of ours before it counts.
    pub maturity: u64,
    /// Further tables.
    pub more: &'a str,
}

impl Setup<'_> {
    /// Returns the `chain.toml`: the example's rules, and a pool on ports of the system's choice.
    pub fn text(&self) -> String {
        let example = include_str!("../../../../../examples/litecoin-pool/chain.toml");
        let (rules, _) = example.split_once("\n[pool]\n").expect("the example has a table of the pool");
        let node = |(port, cookie): &(u16, &str)| {
            format!(
                "[[pool.upstreams]]\nkind = \"bitcoin\"\nurl = \"http://127.0.0.1:{port}\"\ncookie-file = \"{cookie}\"\nwallet = \"pool\"\n"
            )
        };
        let nodes: String = self.nodes.iter().map(node).collect();
        let Self { address, maturity, more, .. } = self;
        format!(
            r#"{rules}
[node]
data-dir = "data"
[pool]
name = "test"
address = "{address}"
stratum = "127.0.0.1:0"
api = "127.0.0.1:0"
{nodes}
[pool.money]
foundation-fee = 100
pool-fee = 100
maturity = {maturity}
confirmations = 2
payment-min = 100_000
payment-ms = 1_000
[pool.shares]
base = "scrypt"
difficulty-start = 0.000001
difficulty-min = 0.000001
job-ms = 2_000
{more}"#
        )
    }
}

/// A running pool.
pub struct Pool {
    pub process: Running,
    /// Of its API.
    pub url: String,
    /// Where miners connect.
    pub stratum: String,
}

impl Pool {
    /// Starts `adit pool chain.toml`.
    #[track_caller]
    pub fn start(place: &Place) -> Self {
        let mut process = place.start(&["pool", "chain.toml"]);
        let url = process.wait_for("address of the pool's API", |entry| {
            said(entry, "the pool's API listens").then(|| format!("http://{}", text(entry, "address")))
        });
        let stratum = stratum(&mut process);
        Self { process, url, stratum }
    }

    /// Asks its API, where it answers with success.
    pub fn ask(&self, path: &str) -> Option<Value> {
        let (status, body) = get(&self.url, path);
        (status == 200).then_some(body)
    }

    /// Waits until an answer holds what is wanted.
    #[track_caller]
    pub fn wait_for<T>(&self, what: &str, path: &str, wanted: impl Fn(&Value) -> Option<T>) -> T {
        wait_until(what, || wanted(&self.ask(path)?))
    }

    /// Waits until it has a job for miners.
    #[track_caller]
    pub fn wait_until_ready(&self) {
        wait_until("readiness", || self.is_ready().then_some(()));
    }

    /// What `/pool/readyz` says.
    pub fn is_ready(&self) -> bool {
        get(&self.url, "/pool/readyz").0 == 200
    }

    /// Returns what workers are owed, by their names.
    pub fn owed(&self) -> Vec<(String, i64)> {
        self.wait_for("the workers", "/pool/workers", |answer| {
            let row = |row: &Value| Some((row["worker"].as_str()?.to_owned(), row["balance_atoms"].as_i64()?));
            answer["workers"].as_array()?.iter().map(row).collect()
        })
    }

    /// Returns the blocks that it found.
    pub fn blocks(&self) -> Vec<Value> {
        self.wait_for("the blocks", ALL_BLOCKS, |answer| answer["blocks"].as_array().cloned())
    }

    /// Returns the payments.
    pub fn payments(&self) -> Vec<Value> {
        self.wait_for("the payments", ALL_PAYMENTS, |answer| answer["payments"].as_array().cloned())
    }
}

/// Waits until a process listens for miners, and returns where.
#[track_caller]
pub fn stratum(process: &mut Running) -> String {
    process.wait_for("address for miners", |entry| {
        said(entry, "the pool listens for miners").then(|| text(entry, "stratum"))
    })
}

/// Whether a line of the log has a message.
pub fn said(entry: &Value, message: &str) -> bool {
    entry["fields"]["message"] == message
}

/// A field of a line of the log.
pub fn text(entry: &Value, field: &str) -> String {
    entry["fields"][field].as_str().unwrap_or_default().to_owned()
}

/// Has the books audited, and returns the sums by their names, in atoms.
#[track_caller]
pub fn audit(place: &Place) -> impl Fn(&str) -> i128 + use<> {
    let said = place.succeed(&["--json", "pool", "audit", "chain.toml"]);
    let audit: Value = serde_json::from_str(said.trim()).unwrap();
    assert_eq!(audit["sound"], true, "{audit}");
    move |name| audit["atoms"][name].as_str().unwrap_or_else(|| panic!("{audit}")).parse().unwrap()
}

/// What payments in some states pay to an address.
pub fn paid(payments: &[Value], states: &[&str], to: &str) -> u64 {
    let counted = payments.iter().filter(|payment| states.iter().any(|state| payment["state"] == *state));
    let outputs = counted.flat_map(|payment| payment["outputs"].as_array().unwrap());
    outputs.filter(|output| output["address"] == to).map(|output| output["amount_atoms"].as_u64().unwrap()).sum()
}
