//! Nodes behind the pool that are dead, on another chain, or answer nonsense.

use crate::support::test_clock;
use adit_node::pool::upstream::bitcoin::{BitcoinNode, CoinbaseShape};
use adit_node::pool::upstream::rpc::RpcError;
use adit_node::pool::upstream::{Upstream, UpstreamError};
use adit_node::pool::upstreams::{Upstreams, Verdict};
use adit_node::settings::pool::{UpstreamKind, UpstreamSettings};
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
struct Scripted {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Scripted {
    async fn start(script: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
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
fn sound(height: u32) -> impl Fn(&str) -> String + Send + Sync {
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

fn node(url: &str, folder: &tempfile::TempDir) -> Upstream {
    let cookie = folder.path().join(".cookie");
    std::fs::write(&cookie, "__cookie__:secret").unwrap();
    let settings = UpstreamSettings {
        kind: UpstreamKind::Bitcoin,
        url: url.to_owned(),
        user: None,
        password_file: None,
        cookie_file: Some(cookie),
        wallet: None,
    };
    let shape = CoinbaseShape { extranonce_bytes: 12, tag: b"/test/".to_vec() };
    Upstream::Bitcoin(BitcoinNode::new(&settings, GENESIS, Some("pool".to_owned()), shape).unwrap())
}

fn upstreams(urls: &[&str], folder: &tempfile::TempDir) -> Upstreams {
    Upstreams::new(urls.iter().map(|url| node(url, folder)).collect(), test_clock())
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
    assert_eq!(fetched.template.height.0, 9);
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
