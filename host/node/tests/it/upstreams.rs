//! Nodes behind the pool that are dead, on another chain, or answer nonsense.

use crate::support::test_clock;
use adit_node::pool::upstream::bitcoin::{BitcoinNode, CoinbaseShape};
use adit_node::pool::upstream::rpc::RpcError;
use adit_node::pool::upstream::{Upstream, UpstreamError};
use adit_node::pool::upstreams::{Upstreams, Verdict};
use adit_node::settings::failover::{FailoverSettings, TurnStrategy};
use adit_node::settings::pool::{PoolSettings, UpstreamKind, UpstreamSettings};
use adit_primitives::BlockId;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const GENESIS: BlockId = BlockId([7; 32]);

/// What a node says to a call.
type Script = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// A node that answers by a script, and how often it was asked.
pub struct Scripted {
    pub url: String,
    asked: Arc<AtomicUsize>,
}

impl Scripted {
    pub async fn start(script: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self::start_after(Arc::new(AtomicUsize::new(1)), script).await
    }

    /// Starts one that answers nothing before a count is above nought.
    async fn start_after(count: Arc<AtomicUsize>, script: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (script, asked): (Script, _) = (Arc::new(script), Arc::new(AtomicUsize::new(0)));
        let counts = (count, Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&script), counts.clone()));
            }
        });
        Self { url, asked }
    }
}

/// Answers the requests of one connection, once the first count is above nought; the second counts them.
async fn answer(mut stream: TcpStream, script: Script, (before, asked): (Arc<AtomicUsize>, Arc<AtomicUsize>)) {
    let mut held = Vec::new();
    loop {
        let mut input = [0; 4096];
        let Ok(count @ 1..) = stream.read(&mut input).await else { return };
        held.extend_from_slice(&input[..count]);
        let text = String::from_utf8_lossy(&held).into_owned();
        let Some((_, body)) = text.split_once("\r\n\r\n") else { continue };
        let Ok(call) = serde_json::from_str::<Value>(body) else { continue };
        held.clear();
        asked.fetch_add(1, Ordering::Relaxed);
        while before.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        let body = script(call["method"].as_str().unwrap());
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn result(value: &Value) -> String {
    json!({ "result": value, "error": null, "id": "adit" }).to_string()
}

/// A node that is well, with a template at that height.
pub fn sound(height: u32) -> impl Fn(&str) -> String + Send + Sync {
    move |method| match method {
        "getblockhash" => result(&json!(GENESIS.to_string())),
        "validateaddress" => result(
            &json!({ "isvalid": true, "address": "pool", "scriptPubKey": "00140000000000000000000000000000000000000000" }),
        ),
        "submitblock" => result(&Value::Null),
        _ => result(&json!({
            "version": 0x2000_0000, "rules": ["segwit"], "previousblockhash": "11".repeat(32), "transactions": [],
            "coinbasevalue": 5_000_000_000_u64, "target": format!("7fffff{}", "00".repeat(29)), "mintime": 1_700_000_000,
            "curtime": 1_700_000_100, "bits": "207fffff", "height": height,
        })),
    }
}

pub fn settings(url: &str, folder: &tempfile::TempDir) -> UpstreamSettings {
    let cookie = folder.path().join(".cookie");
    std::fs::write(&cookie, "__cookie__:secret").unwrap();
    UpstreamSettings {
        kind: UpstreamKind::Bitcoin,
        url: url.to_owned(),
        user: None,
        password_file: None,
        cookie_file: Some(cookie),
        wallet: None,
        weight: 1,
        region: None,
    }
}

pub fn node(settings: &UpstreamSettings) -> Upstream {
    let shape = CoinbaseShape {
        extranonce_bytes: 12,
        extranonce_bytes_min: 8,
        tag: b"/test/".to_vec(),
        version_mask: 0x1fff_e000,
    };
    Upstream::Bitcoin(BitcoinNode::new(settings, GENESIS, Some("pool".to_owned()), shape).unwrap())
}

fn upstreams(urls: &[&str], folder: &tempfile::TempDir) -> Upstreams {
    upstreams_by(FailoverSettings::unset(), urls.iter().map(|url| settings(url, folder)).collect())
}

fn upstreams_by(failover: FailoverSettings, upstreams: Vec<UpstreamSettings>) -> Upstreams {
    let settings = PoolSettings { upstreams, failover, ..PoolSettings::unset() };
    Upstreams::new(settings.upstreams.iter().map(node).collect(), &settings, 1, test_clock())
}

async fn problem(script: impl Fn(&str) -> String + Send + Sync + 'static) -> UpstreamError {
    let (folder, scripted) = (tempfile::tempdir().unwrap(), Scripted::start(script).await);
    let upstreams = upstreams(&[&scripted.url], &folder);
    let error = upstreams.template(0, None, Duration::ZERO).await.err().expect("no template can be made of this");
    let status = &upstreams.statuses()[0];
    assert!(!status.up && status.last_template.is_none(), "{status:?}");
    assert_eq!(status.problem.as_deref(), Some(error.to_string().as_str()));
    assert!(!upstreams.are_ready(Duration::from_secs(3600)));
    error
}

#[tokio::test]
async fn a_node_that_is_well_gives_a_template_and_takes_a_block() {
    let (folder, scripted) = (tempfile::tempdir().unwrap(), Scripted::start(sound(9)).await);
    let upstreams = upstreams(&[&scripted.url], &folder);
    let fetched = upstreams.template(0, None, Duration::ZERO).await.unwrap();
    assert_eq!(fetched.template.height().0, 9);
    assert!(upstreams.are_ready(Duration::from_secs(3600)));
    assert_eq!(upstreams.submit(&block()).await.unwrap(), Verdict::Taken);
}

#[tokio::test]
async fn nothing_listens_there() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = upstreams(&[&url], &folder).template(0, None, Duration::ZERO).await.err();
    assert!(matches!(error, Some(UpstreamError::Rpc(RpcError::Connection { .. }))), "{error:?}");
}

#[tokio::test]
async fn a_node_of_another_chain_is_named_and_never_mined_on() {
    let other = BlockId([8; 32]);
    let error = problem(move |method| match method {
        "getblockhash" => result(&json!(other.to_string())),
        method => sound(9)(method),
    });
    let found = matches!(error.await, UpstreamError::OtherChain { found, want } if found == other.to_string() && want == GENESIS.to_string());
    assert!(found);
}

#[tokio::test]
async fn nonsense_is_no_template() {
    let nonsense: [&'static str; 6] =
        ["", "<html>busy</html>", "{}", "null", r#"{"result":{},"error":null}"#, r#"{"result":[1,"#];
    for body in nonsense {
        let error =
            problem(move |method| if method == "getblocktemplate" { body.to_owned() } else { sound(9)(method) }).await;
        assert!(matches!(error, UpstreamError::Rpc(RpcError::Garbled { .. })), "{body}: {error}");
    }
}

#[tokio::test]
async fn a_template_that_contradicts_itself_is_refused() {
    let error = problem(|method| match method {
        "getblocktemplate" => sound(9)(method).replace("207fffff", "1d00ffff"),
        method => sound(9)(method),
    });
    assert!(matches!(error.await, UpstreamError::Template(_)));
}

#[tokio::test]
async fn a_nodes_own_refusal_is_passed_on_with_its_code() {
    let error = problem(|method| match method {
        "getblocktemplate" => {
            json!({ "result": null, "error": { "code": -9, "message": "not connected" } }).to_string()
        }
        method => sound(9)(method),
    });
    assert!(matches!(error.await, UpstreamError::Rpc(RpcError::Refused { code: -9, .. })));
}

fn refusing(method: &str) -> String {
    match method {
        "submitblock" => result(&json!("high-hash")),
        method => sound(9)(method),
    }
}

fn block() -> Arc<[u8]> {
    Arc::new([1, 2, 3])
}

#[tokio::test]
async fn a_block_goes_to_every_node_and_counts_where_one_takes_it() {
    let folder = tempfile::tempdir().unwrap();
    let (refusing, taking) = (Scripted::start(refusing).await, Scripted::start(sound(9)).await);
    let both = upstreams(&[&refusing.url, &taking.url], &folder);
    assert_eq!(both.submit(&block()).await.unwrap(), Verdict::Taken);
    // Whoever is not waited for is asked all the same.
    while refusing.asked.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let alone = upstreams(&[&refusing.url], &folder);
    let refused = Verdict::Refused { reason: "high-hash".to_owned(), silent: 0 };
    assert_eq!(alone.submit(&block()).await.unwrap(), refused);
}

#[tokio::test]
async fn a_node_that_is_slow_to_answer_holds_no_block_up() {
    let folder = tempfile::tempdir().unwrap();
    let quick = Scripted::start(refusing).await;
    // It answers only when the other was asked: one after the other, it would give no answer in time.
    let slow = Scripted::start_after(Arc::clone(&quick.asked), refusing).await;
    let refused = Verdict::Refused { reason: "high-hash".to_owned(), silent: 0 };
    assert_eq!(upstreams(&[&slow.url, &quick.url], &folder).submit(&block()).await.unwrap(), refused);
}

#[tokio::test]
async fn a_refusal_says_how_many_nodes_are_silent() {
    let folder = tempfile::tempdir().unwrap();
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", dead.local_addr().unwrap());
    drop(dead);
    let refusing = Scripted::start(refusing).await;
    let both = upstreams(&[&url, &refusing.url], &folder);
    let refused = Verdict::Refused { reason: "high-hash".to_owned(), silent: 1 };
    assert_eq!(both.submit(&block()).await.unwrap(), refused);
    assert!(upstreams(&[&url], &folder).submit(&block()).await.is_err());
}

/// Settings under which a node is seen to be well at once.
fn quick() -> FailoverSettings {
    FailoverSettings { settle_ms: 100, probe_ms: 50, ..FailoverSettings::unset() }
}

/// A node whose templates have the height that a test sets; at nought it is ill.
async fn at_height(height: &Arc<AtomicUsize>) -> Scripted {
    let height = Arc::clone(height);
    Scripted::start(move |method| match height.load(Ordering::Relaxed) {
        0 => String::new(),
        height => sound(u32::try_from(height).unwrap())(method),
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_turn_goes_to_the_next_node_and_back_to_the_first_once_that_is_well_and_has_caught_up() {
    let folder = tempfile::tempdir().unwrap();
    let heights = [9, 9].map(|height| Arc::new(AtomicUsize::new(height)));
    let nodes = [at_height(&heights[0]).await, at_height(&heights[1]).await];
    let upstreams = upstreams_by(quick(), nodes.iter().map(|node| settings(&node.url, &folder)).collect());
    let upstreams = Arc::new(upstreams);
    let template = |node| upstreams.template(node, None, Duration::ZERO);
    assert_eq!(upstreams.next().await, 0);
    let height = template(0).await.unwrap().template.height();
    upstreams.mines_at(height);

    heights[0].store(0, Ordering::Relaxed);
    assert!(template(0).await.is_err());
    assert_eq!(upstreams.next().await, 1);
    assert_eq!(template(1).await.unwrap().template.height(), height);

    // It answers, and lags behind: it is tried, and not given the turn.
    heights[0].store(8, Ordering::Relaxed);
    let is_behind = async {
        while !upstreams.statuses()[0].problem.as_ref().is_some_and(|problem| problem.contains("9 is mined")) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = upstreams.leaves(1) => panic!("a node that lags got the turn"),
        () = is_behind => {}
    }
    assert_eq!(upstreams.active(), 1);

    heights[0].store(9, Ordering::Relaxed);
    upstreams.leaves(1).await;
    assert_eq!((upstreams.next().await, upstreams.statuses()[0].up), (0, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lags_is_mined_on_where_no_other_is_well() {
    let folder = tempfile::tempdir().unwrap();
    let heights = [9, 8].map(|height| Arc::new(AtomicUsize::new(height)));
    let nodes = [at_height(&heights[0]).await, at_height(&heights[1]).await];
    let upstreams = upstreams_by(quick(), nodes.iter().map(|node| settings(&node.url, &folder)).collect());
    let height = upstreams.template(0, None, Duration::ZERO).await.unwrap().template.height();
    upstreams.mines_at(height);
    assert!(matches!(upstreams.template(1, None, Duration::ZERO).await, Err(UpstreamError::Behind { .. })));
    heights[0].store(0, Ordering::Relaxed);
    assert!(upstreams.template(0, None, Duration::ZERO).await.is_err());
    assert_eq!(upstreams.template(1, None, Duration::ZERO).await.unwrap().template.height().0, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_strategy_gives_the_first_turn_by_its_own_rule() {
    let folder = tempfile::tempdir().unwrap();
    for (strategy, first) in [
        (TurnStrategy::Immediate, 0),
        (TurnStrategy::Graceful, 0),
        (TurnStrategy::Weighted, 1),
        (TurnStrategy::Geographic, 2),
        (TurnStrategy::Adaptive, 0),
    ] {
        let mut nodes = ["http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"]
            .map(|url| settings(url, &folder))
            .to_vec();
        nodes[1].weight = 5;
        nodes[2].region = Some("here".to_owned());
        let upstreams = upstreams_by(FailoverSettings { strategy, region: Some("here".to_owned()), ..quick() }, nodes);
        assert_eq!(upstreams.next().await, first, "{strategy:?}");
        // Whoever has the turn keeps it until something is heard of it.
        assert_eq!(upstreams.next().await, first, "{strategy:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_nobody_waits_for_any_more_counts_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let released = Arc::new(AtomicUsize::new(0));
    let slow = Scripted::start_after(Arc::clone(&released), sound(9)).await;
    let upstreams = upstreams(&[&slow.url], &folder);
    tokio::select! {
        _ = upstreams.template(0, None, Duration::ZERO) => panic!("it answers nothing yet"),
        () = async { while slow.asked.load(Ordering::Relaxed) == 0 { tokio::task::yield_now().await } } => {}
    }
    let health = upstreams.health(0);
    assert_eq!((health.in_flight, health.failures_permille, health.latency), (0, 0, None));
    released.store(1, Ordering::Relaxed);
    assert!(upstreams.template(upstreams.next().await, None, Duration::ZERO).await.is_ok());
    assert!(upstreams.health(0).latency.is_some());
}
