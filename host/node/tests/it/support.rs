//! A node on a port of its own, and a miner that searches by hand.

use adit_chain::{AddressPrefix, Block, Conflicts, LedgerRules, SecretKey, WorkTemplate};
use adit_node::api::blocks::{MineBlockResponse, SubmitBlockRequest};
use adit_node::client::{NodeClient, Patience, Subscription};
use adit_node::clock::{Clock, Entropy};
use adit_node::mining::MinerReport;
use adit_node::reload::{Diagnostic, Loaded, SettingsSource, Severity};
use adit_node::run::{Node, NodeParts};
use adit_node::settings::Settings;
use adit_plugin_longest_chain::LongestChain;
use adit_plugin_sdk::{Consensus, judge};
use adit_primitives::contract::{
    Candidate, Draft, Found, HeaderView, Placement, Requirements, Scan, SearchJob, Template, Violation,
};
use adit_primitives::engine::{Fault, HashEngine, RulesEngine, SharedView};
use adit_primitives::identity::{RulePlugin, Rules};
use adit_primitives::storage::{MemoryStorage, Storage};
use adit_primitives::{Amount, BlockId, Hash256, Target, Timestamp, U256, sha256d};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;
use tokio::sync::watch;

/// When the tests' chain begins. The clock stands an hour later.
const GENESIS_SECONDS: u64 = 1_700_000_000;

/// The rules, without a sandbox around them, and how many headers they have read.
struct NativeRules(LongestChain, Arc<AtomicU64>);

impl RulesEngine for NativeRules {
    fn genesis(&self) -> Result<Vec<u8>, Fault> {
        Ok(self.0.genesis())
    }

    fn decode(&self, headers: &[Vec<u8>]) -> Result<Vec<Result<HeaderView, Violation>>, Fault> {
        self.1.fetch_add(headers.len() as u64, Ordering::Relaxed);
        Ok(headers.iter().map(|header| self.0.decode(header)).collect())
    }

    fn place(&self, view: &SharedView, candidates: &[Candidate]) -> Result<Vec<Result<Placement, Violation>>, Fault> {
        Ok(judge::judge(&self.0, &**view, candidates))
    }

    fn next(
        &self,
        view: &SharedView,
        tips: &[BlockId],
        wish: Option<u64>,
    ) -> Result<Result<Requirements, Violation>, Fault> {
        Ok(self.0.next(&**view, tips, wish))
    }

    fn encode(&self, draft: &Draft) -> Result<Result<Template, Violation>, Fault> {
        Ok(self.0.encode(draft))
    }

    fn difficulty(&self, bits: u32) -> Result<Result<String, Violation>, Fault> {
        Ok(self.0.difficulty(bits))
    }

    fn seal(&self, header: &[u8], nonce: u64, rolled: u32) -> Result<Result<Vec<u8>, Violation>, Fault> {
        Ok(self.0.seal(header, nonce, rolled))
    }
}

/// Double SHA-256, one after another.
pub struct NativeHash;

impl HashEngine for NativeHash {
    fn digest_many(&mut self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) -> Result<(), Fault> {
        digests.extend(inputs.chunks_exact(each).map(|input| Hash256(sha256d(input))));
        Ok(())
    }

    fn search(&mut self, job: &SearchJob, first: u64, count: u64) -> Result<Scan, Fault> {
        let mut found = Vec::new();
        for (input, bytes) in (0u32..).zip(&job.inputs) {
            let mut bytes = bytes.clone();
            for nonce in (0..count).map(|step| first.wrapping_add(step)) {
                job.write_nonce(&mut bytes, nonce);
                if job.target.is_met_by(&sha256d(&bytes)) {
                    found.push(Found { nonce, input });
                }
            }
        }
        Ok(Scan { scanned: count, found })
    }
}

/// The same, counted.
struct CountingHash(Arc<AtomicU64>);

impl HashEngine for CountingHash {
    fn digest_many(&mut self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) -> Result<(), Fault> {
        self.0.fetch_add((inputs.len() / each) as u64, Ordering::Relaxed);
        NativeHash.digest_many(inputs, each, digests)
    }

    fn search(&mut self, job: &SearchJob, first: u64, count: u64) -> Result<Scan, Fault> {
        NativeHash.search(job, first, count)
    }
}

/// What a test node differs in.
pub struct Plan {
    pub network: &'static str,
    pub chain: &'static str,
    /// The settings file's content.
    pub settings: Value,
    /// How often the file is looked at; never where it would race with the test.
    pub watch_ms: u64,
    /// Whether the node keeps a share log.
    pub keeps_shares: bool,
    /// The node's secret key among others; drawn where there is none.
    pub node_key: Option<[u8; 32]>,
}

impl Default for Plan {
    fn default() -> Self {
        Self { network: "devnet", chain: "test", settings: json!({}), watch_ms: 0, keeps_shares: false, node_key: None }
    }
}

/// Settings in a JSON file: what the cli does with TOML.
struct FileSource {
    path: PathBuf,
    folder: PathBuf,
    watch_ms: u64,
}

impl SettingsSource for FileSource {
    fn files(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }

    fn load(&self) -> Result<Loaded, Vec<Diagnostic>> {
        let wrong = |message: String| {
            vec![Diagnostic {
                severity: Severity::Error,
                key: "node".to_owned(),
                message,
                place: Some("test:1".into()),
            }]
        };
        let text = std::fs::read_to_string(&self.path).map_err(|error| wrong(error.to_string()))?;
        let mut settings: Settings = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        settings.node.data_dir = self.folder.clone();
        settings.node.api.set_port(0);
        settings.node.watch_ms = self.watch_ms;
        Ok(Loaded { settings, identity: Hash256::default(), diagnostics: Vec::new() })
    }
}

/// A running node and what a test does with it.
pub struct TestNode {
    pub node: Node,
    pub folder: TempDir,
    pub http: reqwest::Client,
    pub prefix: AddressPrefix,
    pub identity: Rules,
    pub key: SecretKey,
    pub storage: Arc<dyn Storage>,
    decoded: Arc<AtomicU64>,
    hashed: Arc<AtomicU64>,
}

impl TestNode {
    pub async fn start() -> Self {
        Self::start_with(Plan::default()).await
    }

    pub async fn start_with(plan: Plan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.json");
        std::fs::write(&path, plan.settings.to_string()).unwrap();
        if let Some(key) = plan.node_key {
            let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
            std::fs::write(folder.path().join("node.key"), digits).unwrap();
        }
        let source = Arc::new(FileSource { path, folder: folder.path().to_owned(), watch_ms: plan.watch_ms });
        let (decoded, hashed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let rules: Arc<dyn RulesEngine> = Arc::new(NativeRules(rules(), Arc::clone(&decoded)));
        let ledger = ledger();
        let identity = identity(&plan, &ledger, &*rules);
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
        let (_, miner) = watch::channel(Arc::new(MinerReport::default()));
        let parts = NodeParts {
            loaded: source.load().unwrap(),
            source,
            identity: identity.clone(),
            rules,
            hash: Box::new(NativeHash),
            checking: vec![Box::new(CountingHash(Arc::clone(&hashed))), Box::new(CountingHash(Arc::clone(&hashed)))],
            ledger,
            prefix: prefix(),
            storage: Arc::clone(&storage),
            keeps_shares: plan.keeps_shares,
            clock: test_clock(),
            entropy: test_entropy(),
            set_log_level: Box::new(|_| {}),
            pool: NodeParts::no_pool(),
            miner,
        };
        let node = Node::start(parts).await.unwrap();
        let http = reqwest::Client::builder().tls_backend_preconfigured(trusting_nobody()).no_proxy().build().unwrap();
        let key = SecretKey::from_bytes([7; 32]).unwrap();
        Self { node, folder, http, prefix: prefix(), identity, key, storage, decoded, hashed }
    }

    /// The address that the test's miner works for.
    pub fn address(&self) -> String {
        self.prefix.address(self.key.public()).to_string()
    }

    pub fn token(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("token")).unwrap().trim().to_owned()
    }

    pub fn write_settings(&self, settings: &Value) {
        std::fs::write(self.folder.path().join("settings.json"), settings.to_string()).unwrap();
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.node.url())
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::read(self.http.get(self.url(path)).send().await.unwrap()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::read(self.http.post(self.url(path)).json(body).send().await.unwrap()).await
    }

    pub async fn post_with_token(&self, path: &str, body: &Value) -> Answer {
        let request = self.http.post(self.url(path)).bearer_auth(self.token()).json(body);
        Answer::read(request.send().await.unwrap()).await
    }

    /// How many headers the rules have read.
    pub fn decoded(&self) -> u64 {
        self.decoded.load(Ordering::Relaxed)
    }

    /// How many headers of others were hashed.
    pub fn hashed(&self) -> u64 {
        self.hashed.load(Ordering::Relaxed)
    }

    /// Asks for work.
    pub async fn work(&self) -> MineBlockResponse {
        let answer = self.post("/mine_block", &json!({ "miner_address": self.address() })).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        serde_json::from_value(answer.body).unwrap()
    }

    /// Mines a block and submits it by its template.
    pub async fn mine(&self) -> Value {
        let work = self.work().await;
        let body = json!({ "template_id": work.block_template.template_id, "nonce": solve(&work) });
        let answer = self.post("/submit_block", &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.body
    }
}

/// An answer with its body.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Value,
}

impl Answer {
    async fn read(response: reqwest::Response) -> Self {
        let status = response.status();
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self { status, body }
    }

    /// Checks that this is a refusal with a code.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> &str {
        assert_eq!((self.status.as_u16(), self.body["error"]["code"].as_str()), (status, Some(code)), "{self:?}");
        self.body["error"]["message"].as_str().unwrap()
    }
}

/// Subscribes to templates for the test's miner.
pub async fn subscribe(node: &TestNode) -> Subscription {
    let client = NodeClient::new(&[node.node.url()], None, node.identity.clone(), test_entropy()).unwrap();
    client.subscribe(&node.address(), Patience::Attempts(1)).await.unwrap()
}

/// Makes headers one on the other above the genesis, none of whose proofs is worth anything.
pub fn worthless_headers(count: usize) -> Vec<Vec<u8>> {
    let rules = rules();
    let mut below = rules.decode(&rules.genesis()).unwrap();
    let mut headers = Vec::with_capacity(count);
    while headers.len() < count {
        let time = Timestamp::from_millis(below.time.to_millis() + 10_000);
        let draft = Draft { parents: vec![below.id], bits: below.bits, time, body_root: Hash256::default() };
        headers.push(worthless(&rules, &draft));
        below = rules.decode(headers.last().unwrap()).unwrap();
    }
    headers
}

/// Returns the same block with a proof that is worth nothing.
pub fn without_proof(block: &Block) -> Block {
    let rules = rules();
    let HeaderView { parents, bits, time, body_root, .. } = rules.decode(&block.header).unwrap();
    Block { header: worthless(&rules, &Draft { parents, bits, time, body_root }), body: block.body.clone() }
}

fn worthless(rules: &LongestChain, draft: &Draft) -> Vec<u8> {
    let Template { header, pow, target } = rules.encode(draft).unwrap();
    let rolled = u32::from_le_bytes(*pow.bytes[pow.roll_offset as usize..].first_chunk().unwrap());
    let mut sealed = (0..).map(|nonce| rules.seal(&header, nonce, rolled).unwrap());
    let missed = |header: &Vec<u8>| !target.is_met_by(&sha256d(&rules.decode(header).unwrap().pow.bytes));
    sealed.find(missed).unwrap()
}

/// Finds the first nonce that solves a template of the node's own process.
pub fn nonce(template: &WorkTemplate) -> u64 {
    let pow = &template.pow;
    let (offset, length) = (pow.nonce_offset as usize, pow.nonce_bytes as usize);
    let mut bytes = pow.bytes.clone();
    let mut nonces = 0u64..;
    let solves = |nonce: &u64| {
        bytes[offset..offset + length].copy_from_slice(&nonce.to_le_bytes()[..length]);
        template.target.is_met_by(&sha256d(&bytes))
    };
    nonces.find(solves).unwrap()
}

/// Finds the first nonce that solves a template.
pub fn solve(work: &MineBlockResponse) -> u64 {
    search(work, true)
}

/// Finds the first nonce that does not.
pub fn fail(work: &MineBlockResponse) -> u64 {
    search(work, false)
}

fn search(work: &MineBlockResponse, meets: bool) -> u64 {
    let it = &work.block_template.work;
    let target = Target(U256::from_str_radix(&it.target, 16).unwrap());
    let (offset, length) = (it.nonce_offset as usize, it.nonce_bytes as usize);
    let mut bytes = it.bytes.0.clone();
    let mut nonces = 0u64..;
    nonces
        .find(|nonce| {
            bytes[offset..offset + length].copy_from_slice(&nonce.to_le_bytes()[..length]);
            target.is_met_by(&sha256d(&bytes)) == meets
        })
        .unwrap()
}

/// A submission with every part of the block, as ChainCore's miner sends it.
pub fn whole(work: &MineBlockResponse) -> SubmitBlockRequest {
    let template = work.block_template.clone();
    SubmitBlockRequest {
        nonce: solve(work),
        index: Some(template.index),
        previous_hash: Some(template.previous_hash),
        merkle_root: Some(template.merkle_root),
        timestamp: Some(template.timestamp),
        target_difficulty: template.target_difficulty.as_f64(),
        transactions: template.transactions,
        ..SubmitBlockRequest::default()
    }
}

/// Draws that follow no pattern; no two nodes of a process have them in common, else they would take each other for themselves.
pub fn test_entropy() -> Entropy {
    static NODES: AtomicU64 = AtomicU64::new(0);
    let next = AtomicU64::new(1 + (NODES.fetch_add(1, Ordering::Relaxed) << 32));
    Arc::new(move |bytes| {
        for byte in bytes {
            let drawn = next.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            *byte = drawn.to_be_bytes()[0];
        }
    })
}

pub fn trusting_nobody() -> tokio_rustls::rustls::ClientConfig {
    adit_node::tls::client(adit_node::tls::Authorities::Nobody).unwrap()
}

/// A clock that stands still: a template never expires by itself.
pub fn test_clock() -> Clock {
    Arc::new(|| Timestamp::from_secs(GENESIS_SECONDS + 3600))
}

fn prefix() -> AddressPrefix {
    AddressPrefix::new("test").unwrap()
}

fn rules() -> LongestChain {
    let config = json!({
        "genesis": { "time-seconds": GENESIS_SECONDS, "difficulty": 1, "message": "test" },
        "retarget": { "rule": "interval", "difficulty": 1, "max": 4, "spacing-seconds": 10, "free-difficulty": true },
        "subsidy": { "initial-atoms": 5_000_000_000_u64 },
    });
    LongestChain::new(serde_json::from_value(config).unwrap()).unwrap()
}

fn ledger() -> LedgerRules {
    LedgerRules {
        coinbase_maturity: 1,
        conflicts: Conflicts::RefuseBlock,
        block_bytes_max: 1_000_000,
        block_transactions_max: 100_000,
        header_bytes_max: 1_000,
        data_bytes_max: 100,
        money_max: Amount::from_atoms(2_100_000_000_000_000),
    }
}

fn identity(plan: &Plan, ledger: &LedgerRules, rules: &dyn RulesEngine) -> Rules {
    let genesis = rules.genesis().unwrap();
    let view = rules.decode(&[genesis]).unwrap().remove(0).unwrap();
    let plugin = |name: &str| RulePlugin { name: name.into(), digest: Hash256::default(), config: "{}".into() };
    Rules {
        chain: plan.chain.to_owned(),
        network: plan.network.to_owned(),
        genesis: view.id,
        consensus: plugin("longest-chain"),
        hash: plugin("sha256d"),
        ledger: ledger.canonical_json(),
    }
}
