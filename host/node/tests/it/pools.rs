//! The miner works for Stratum pools: it hands in every share, follows the pool's word, and goes to the next pool when one fails.

use crate::support::{NativeHash, TestNode, test_entropy};
use crate::tls::Authority;
use adit_node::mining::stratum::{Pools, PoolsError, PoolsParts};
use adit_node::mining::{MinerReport, Mining, MiningParts, SourceSwitch, Tally, WorkSource};
use adit_node::settings::MinerSettings;
use adit_node::settings::failover::{DescribedPlace, FailoverSettings, TurnStrategy, UpstreamPlace};
use adit_node::settings::pool::{DifficultyBase, JoinSettings};
use adit_primitives::{Height, Target, Timestamp, U256, sha256d};
use adit_protocol::stratum::job::{Choice, Job, rolled_version};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, ReadHalf, WriteHalf};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// A guard against waiting for ever: no test passes or fails by how long something takes below it.
const PATIENCE: Duration = Duration::from_secs(120);

/// 2^-20: a share takes 4,096 hashes.
const DIFFICULTY: &str = "0.00000095367431640625";
const EXTRANONCE1: [u8; 4] = [0xad, 0x17, 0, 1];
const EXTRANONCE2_BYTES: usize = 4;
const VERSION_MASK: u32 = 0x0000_6000;
const EASY: Target = Target(U256::from_limbs([0, 0, 0, 0x000f_fff0_0000_0000]));

trait Both: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Both for S {}

/// A pool in the hands of a test: it says and takes what the test writes down.
struct TestPool {
    listener: TcpListener,
    address: SocketAddr,
}

/// A miner at it.
struct Peer {
    lines: tokio::io::Lines<BufReader<ReadHalf<Box<dyn Both>>>>,
    out: WriteHalf<Box<dyn Both>>,
    /// Headers of all shares so far.
    headers: BTreeSet<[u8; 80]>,
    login: Vec<Value>,
}

/// A share as it was sent.
struct Sent {
    id: Value,
    job: String,
}

fn job(number: u32) -> Job {
    Job {
        previous: [7; 32],
        coinbase_head: number.to_be_bytes().to_vec(),
        coinbase_tail: vec![3; 40],
        branches: vec![[9; 32], [8; 32]],
        version: 0x2000_0000,
        bits: 0x1d00_ffff,
        time: 1_700_000_000,
    }
}

fn hex(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn number(text: &Value) -> u32 {
    u32::from_be_bytes(hex(text).try_into().unwrap())
}

impl TestPool {
    async fn new() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap()).await
    }

    async fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    fn url(&self) -> String {
        format!("stratum+tcp://{}", self.address)
    }

    async fn accept(&self) -> Peer {
        Peer::new(Box::new(self.listener.accept().await.unwrap().0))
    }

    /// Takes a miner, lets it in, and gives it its first job.
    async fn serve(&self) -> Peer {
        let mut peer = self.accept().await;
        peer.let_in().await;
        peer.notify(1, true).await;
        peer
    }
}

impl Peer {
    fn new(stream: Box<dyn Both>) -> Self {
        let (read, out) = tokio::io::split(stream);
        Self { lines: BufReader::new(read).lines(), out, headers: BTreeSet::new(), login: Vec::new() }
    }

    async fn next(&mut self) -> Value {
        self.next_or_end().await.expect("the miner is there")
    }

    /// Waits for what the miner says next. `None` where it went.
    async fn next_or_end(&mut self) -> Option<Value> {
        let line = self.lines.next_line().await.ok().flatten()?;
        Some(serde_json::from_str(&line).unwrap())
    }

    async fn say(&mut self, line: &Value) {
        self.out.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn answer(&mut self, id: &Value, result: Value, error: Value) {
        self.say(&json!({ "id": id, "result": result, "error": error })).await;
    }

    /// Answers all that comes before the first share.
    async fn let_in(&mut self) {
        let mut open = BTreeSet::from(["mining.authorize", "mining.extranonce.subscribe"]);
        while !open.is_empty() {
            let request = self.next().await;
            let method = request["method"].as_str().unwrap();
            let result = match method {
                "mining.configure" => {
                    json!({ "version-rolling": true, "version-rolling.mask": format!("{VERSION_MASK:08x}") })
                }
                "mining.subscribe" => json!([[["mining.notify", "session"]], "ad170001", EXTRANONCE2_BYTES]),
                _ => json!(true),
            };
            self.answer(&request["id"], result, Value::Null).await;
            open.remove(method);
            self.login.push(request);
        }
        self.say(
            &json!({ "id": null, "method": "mining.set_difficulty", "params": [DIFFICULTY.parse::<f64>().unwrap()] }),
        )
        .await;
    }

    async fn notify(&mut self, number: u32, clean: bool) {
        let job = job(number);
        let mut previous = job.previous;
        previous.as_chunks_mut::<4>().0.iter_mut().for_each(|word| word.reverse());
        let branches: Vec<_> = job.branches.iter().map(|branch| text(branch)).collect();
        let [version, bits, time] = [job.version, job.bits, job.time].map(|number| text(&number.to_be_bytes()));
        let (head, tail) = (text(&job.coinbase_head), text(&job.coinbase_tail));
        let params = json!([format!("{number:x}"), text(&previous), head, tail, branches, version, bits, time, clean]);
        self.say(&json!({ "id": null, "method": "mining.notify", "params": params })).await;
    }

    /// Waits for a share, and checks that it is one and that it is new.
    async fn share(&mut self) -> Sent {
        let request = self.next().await;
        self.read(&request)
    }

    fn read(&mut self, request: &Value) -> Sent {
        assert_eq!(request["method"], "mining.submit", "{request}");
        let params = request["params"].as_array().unwrap();
        let name = params[1].as_str().unwrap();
        let job = job(u32::from_str_radix(name, 16).unwrap());
        let root = job.merkle_root(&job.coinbase(&EXTRANONCE1, &hex(&params[2])));
        let version = rolled_version(job.version, VERSION_MASK, Some(number(&params[5])));
        let header = job.header(&root, Choice { version, time: number(&params[3]), nonce: number(&params[4]) });
        assert!(EASY.is_met_by(&sha256d(&header)), "the share does not meet its target: {request}");
        assert!(self.headers.insert(header), "the share came twice: {request}");
        Sent { id: request["id"].clone(), job: name.to_owned() }
    }

    /// Takes so many shares.
    async fn take(&mut self, shares: usize) {
        for _ in 0..shares {
            let share = self.share().await;
            self.answer(&share.id, json!(true), Value::Null).await;
        }
    }
}

fn source(pools: &[String], ca_file: Option<&Path>) -> WorkSource {
    let failover = FailoverSettings { settle_ms: 100, probe_ms: 50, ..FailoverSettings::unset() };
    source_by(failover, pools.iter().cloned().map(UpstreamPlace::from).collect(), ca_file)
}

fn source_by(failover: FailoverSettings, pools: Vec<UpstreamPlace>, ca_file: Option<&Path>) -> WorkSource {
    let join = JoinSettings { pools, ..JoinSettings::unset() };
    let began = Instant::now();
    let clock = Arc::new(move || Timestamp::from_secs(1_700_000_000 + began.elapsed().as_secs()));
    let parts = PoolsParts {
        join,
        address: "an-address".to_owned(),
        base: DifficultyBase::Sha256,
        failover,
        clock,
        entropy: test_entropy(),
    };
    WorkSource::Pools(Pools::new(parts, ca_file).unwrap())
}

fn start(source: WorkSource) -> Mining {
    let began = Instant::now();
    let parts = MiningParts {
        source: Arc::new(source),
        settings: MinerSettings { threads: Some(1), pin: false, watts: Some(10.0), ..MinerSettings::unset() },
        factory: Arc::new(|_| Ok(Box::new(NativeHash))),
        backend: "test".to_owned(),
        clock: Arc::new(move || began.elapsed()),
        entropy: test_entropy(),
        report: watch::channel(Arc::new(MinerReport::default())).0,
        changes: None,
    };
    Mining::start(parts).unwrap()
}

fn mine_for(pools: &[&TestPool]) -> Mining {
    start(source(&pools.iter().map(|pool| pool.url()).collect::<Vec<_>>(), None))
}

async fn reported(mining: &Mining, wanted: impl Fn(&MinerReport) -> bool) -> Arc<MinerReport> {
    mining.report().wait_for(|report| wanted(report)).await.unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_share_of_a_job_is_handed_in_once() {
    let pool = TestPool::new().await;
    let mining = mine_for(&[&pool]);
    let mut peer = pool.serve().await;
    peer.take(60).await;
    let versions: BTreeSet<_> = peer.headers.iter().map(|header| header[1]).collect();
    assert!(versions.len() > 1, "versions are rolled: {versions:?}");
    let report = reported(&mining, |report| report.shares.accepted >= 60 && report.hashes_per_second > 0.0).await;
    assert_eq!((report.blocks_accepted, report.shares.refused), (0, 0));
    assert_eq!(report.pool.as_ref().unwrap().url, pool.url());
    assert_eq!(report.pool.as_ref().unwrap().share_target, EASY.to_string());
    let power = report.power.expect("it is configured");
    assert!(power.hashes_per_joule > 0.0, "{power:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_logs_in_with_its_names() {
    let pool = TestPool::new().await;
    let _mining = mine_for(&[&pool]);
    let peer = pool.serve().await;
    let params = |method: &str| peer.login.iter().find(|line| line["method"] == method).unwrap()["params"].clone();
    assert_eq!(params("mining.authorize"), json!(["an-address.adit", "x"]));
    assert!(params("mining.subscribe")[0].as_str().unwrap().starts_with("adit/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_job_takes_the_place_of_the_one_before() {
    let pool = TestPool::new().await;
    let _mining = mine_for(&[&pool]);
    let mut peer = pool.serve().await;
    peer.take(5).await;
    peer.notify(2, true).await;
    // Shares that were on their way are of the old job, in any order with the first of the new one: then all are of the new.
    let only_the_new = async {
        let mut in_a_row = 0;
        while in_a_row < 20 {
            let share = peer.share().await;
            peer.answer(&share.id, json!(true), Value::Null).await;
            in_a_row = if share.job == "2" { in_a_row + 1 } else { 0 };
        }
    };
    tokio::time::timeout(PATIENCE, only_the_new).await.expect("the old job goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_pool_answers_is_what_is_counted() {
    let pool = TestPool::new().await;
    let mining = mine_for(&[&pool]);
    let mut peer = pool.serve().await;
    for (result, error) in [
        (json!(true), Value::Null),
        (Value::Null, json!([21, "job not found"])),
        (json!(false), json!([20, "Stale", null])),
        (Value::Null, json!([23, "low difficulty share", null])),
        (json!(false), Value::Null),
    ] {
        let share = peer.share().await;
        peer.answer(&share.id, result, error).await;
    }
    let report = reported(&mining, |report| report.shares.refused == 2).await;
    assert_eq!(report.shares, Tally { accepted: 1, stale: 2, refused: 2, lost: 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_hangs_up_is_come_back_to_and_its_unanswered_shares_are_counted() {
    let pool = TestPool::new().await;
    let mining = mine_for(&[&pool]);
    let mut peer = pool.serve().await;
    peer.take(1).await;
    peer.share().await;
    drop(peer);
    let mut peer = pool.serve().await;
    peer.take(3).await;
    let resumed = peer.login.iter().find(|line| line["method"] == "mining.subscribe").unwrap();
    assert_eq!(resumed["params"][1], "session", "with the session of the last connection");
    reported(&mining, |report| report.shares.accepted >= 4 && report.shares.lost >= 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_pool_is_mined_for_while_the_first_is_away_and_the_first_when_it_is_back() {
    let (first, second) = (TestPool::new().await, TestPool::new().await);
    let (address, urls) = (first.address, [first.url(), second.url()]);
    drop(first);
    let mining = start(source(&urls, None));
    let mut peer = second.serve().await;
    peer.take(3).await;
    let first = TestPool::at(address).await;
    // It is logged in at to see whether it is well: the connection that brings a share is the one that is mined for.
    let (mut back, share) = loop {
        let mut peer = first.serve().await;
        if let Some(share) = peer.next_or_end().await {
            break (peer, share);
        }
    };
    let share = back.read(&share);
    back.answer(&share.id, json!(true), Value::Null).await;
    back.take(2).await;
    let at_first = |report: &MinerReport| report.pool.as_ref().is_some_and(|pool| pool.url == first.url());
    reported(&mining, |report| at_first(report) && report.shares.accepted >= 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_of_this_region_is_mined_for_though_another_is_named_first() {
    let (far, near) = (TestPool::new().await, TestPool::new().await);
    let place = |pool: &TestPool, region: &str| {
        UpstreamPlace::Described(DescribedPlace { url: pool.url(), weight: 1, region: Some(region.to_owned()) })
    };
    let region = Some("here".to_owned());
    let failover = FailoverSettings { strategy: TurnStrategy::Geographic, region, ..FailoverSettings::unset() };
    let mining = start(source_by(failover, vec![place(&far, "there"), place(&near, "here")], None));
    let mut peer = near.serve().await;
    peer.take(3).await;
    reported(&mining, |report| report.pool.as_ref().is_some_and(|pool| pool.url == near.url())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_lets_nobody_in_gives_its_turn_to_the_next() {
    let (first, second) = (TestPool::new().await, TestPool::new().await);
    let _mining = mine_for(&[&first, &second]);
    let refusing = async {
        let mut peer = first.accept().await;
        loop {
            let request = peer.next().await;
            match request["method"].as_str().unwrap() {
                "mining.authorize" => break peer.answer(&request["id"], json!(false), Value::Null).await,
                "mining.subscribe" => peer.answer(&request["id"], json!([[], "00", 4]), Value::Null).await,
                _ => peer.answer(&request["id"], json!({}), Value::Null).await,
            }
        }
    };
    refusing.await;
    second.serve().await.take(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_knows_no_extensions_is_tried_again_without_them() {
    let pool = TestPool::new().await;
    let _mining = mine_for(&[&pool]);
    let mut peer = pool.accept().await;
    assert_eq!(peer.next().await["method"], "mining.configure");
    drop(peer);
    let mut peer = pool.accept().await;
    assert_eq!(peer.next().await["method"], "mining.subscribe");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_may_send_its_miners_to_another_port_of_its_host() {
    let (pool, other) = (TestPool::new().await, TestPool::new().await);
    let _mining = mine_for(&[&pool]);
    let mut peer = pool.serve().await;
    peer.take(1).await;
    let (host, port) = ("127.0.0.1", other.address.port());
    peer.say(&json!({ "id": null, "method": "client.reconnect", "params": [host, port, 0] })).await;
    other.serve().await.take(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_sends_its_miners_to_a_stranger_is_not_followed() {
    let (pool, stranger) = (TestPool::new().await, TestPool::at("127.0.0.2:0".parse().unwrap()).await);
    let _mining = mine_for(&[&pool]);
    let mut peer = pool.serve().await;
    let (host, port) = ("127.0.0.2", stranger.address.port());
    peer.say(&json!({ "id": null, "method": "client.reconnect", "params": [host, port, 0] })).await;
    tokio::select! {
        () = peer.take(50) => {}
        _ = stranger.accept() => panic!("the miner went to a stranger"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_behind_tls_is_believed_by_its_certificate_alone() {
    let authority = Authority::new();
    let pool = TestPool::new().await;
    let url = pool.url().replace("+tcp", "+ssl");
    let server = adit_node::tls::server(&authority.file("node.pem"), &authority.file("node.key")).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(server);
    let distrusting = start(source(std::slice::from_ref(&url), Some(&Authority::new().file("ca.pem"))));
    let (stream, _) = pool.listener.accept().await.unwrap();
    acceptor.accept(stream).await.unwrap_err();
    distrusting.end().await.unwrap();
    let _mining = start(source(&[url], Some(&authority.file("ca.pem"))));
    let mut peer = loop {
        let (stream, _) = pool.listener.accept().await.unwrap();
        if let Ok(stream) = acceptor.accept(stream).await {
            break Peer::new(Box::new(stream));
        }
    };
    peer.let_in().await;
    peer.notify(1, true).await;
    peer.take(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miner_changes_between_its_own_chain_and_a_pool_while_it_runs() {
    let (node, pool) = (TestNode::start().await, TestPool::new().await);
    let clock = Arc::new(|| Timestamp::from_secs(1_700_003_600));
    let own = WorkSource::Own { chain: node.node.chain().clone(), pay_to: node.key.public(), clock };
    let mining = start(own);
    let switch: SourceSwitch = mining.switch();
    let solo = switch.source();
    reaches(&node, 2).await;
    switch.set(Arc::new(source(&[pool.url()], None)));
    let mut peer = pool.serve().await;
    peer.take(5).await;
    let mined = node.node.chain().snapshot().tip.height.0;
    switch.set(solo);
    reaches(&node, mined + 2).await;
    reported(&mining, |report| report.pool.is_none() && report.shares.accepted >= 5 && report.blocks_accepted >= 4)
        .await;
    mining.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_whose_answer_comes_after_the_change_still_counts() {
    let (node, pool) = (TestNode::start().await, TestPool::new().await);
    let mining = start(source(&[pool.url()], None));
    let mut peer = pool.serve().await;
    let share = peer.share().await;
    let clock = Arc::new(|| Timestamp::from_secs(1_700_003_600));
    let own = WorkSource::Own { chain: node.node.chain().clone(), pay_to: node.key.public(), clock };
    mining.switch().set(Arc::new(own));
    reaches(&node, 1).await;
    peer.answer(&share.id, json!(true), Value::Null).await;
    reported(&mining, |report| report.shares.accepted == 1).await;
}

async fn reaches(node: &TestNode, height: u64) {
    let mut snapshots = node.node.chain().watch();
    snapshots.wait_for(|snapshot| snapshot.tip.height >= Height(height)).await.unwrap();
}

#[tokio::test]
async fn a_list_without_a_pool_or_with_what_is_none_is_refused() {
    let parts = |pools: &[&str]| PoolsParts {
        join: JoinSettings {
            pools: pools.iter().map(|url| UpstreamPlace::Address((*url).to_owned())).collect(),
            ..JoinSettings::unset()
        },
        address: String::new(),
        base: DifficultyBase::Scrypt,
        failover: FailoverSettings::unset(),
        clock: Arc::new(|| Timestamp::from_secs(0)),
        entropy: test_entropy(),
    };
    assert!(matches!(Pools::new(parts(&[]), None), Err(PoolsError::NoPools)));
    let wrong = Pools::new(parts(&["stratum+tcp://good:1", "http://bad:1"]), None);
    assert!(matches!(wrong, Err(PoolsError::Url { url }) if url == "http://bad:1"));
}
