//! What a client may ask for is bounded, and refusals say what is wrong.

use crate::support::{Plan, TestNode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_asks_too_often_has_to_wait() {
    let settings = json!({ "node": { "limits": { "requests-per-second": 1, "requests-burst": 3 } } });
    let node = TestNode::start_with(Plan { settings, ..Plan::default() }).await;
    for _ in 0..3 {
        assert_eq!(node.get("/healthz").await.status, 200);
    }
    let answer = node.http.get(node.url("/healthz")).send().await.unwrap();
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["retry-after"], "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_refused_announced_or_not() {
    let settings = json!({ "node": { "limits": { "request-bytes": 1024 } } });
    let node = TestNode::start_with(Plan { settings, ..Plan::default() }).await;
    node.post("/submit_block", &json!({ "hash": "x".repeat(2000) })).await.refused(413, "too-large");
    // Chunked: no length is announced.
    let mut stream = TcpStream::connect(node.node.address()).await.unwrap();
    let head = "POST /submit_block HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = format!("7d0\r\n{}\r\n0\r\n\r\n", " ".repeat(2000));
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_never_ends_is_cut_off() {
    let settings = json!({ "node": { "limits": { "request-ms": 100, "head-ms": 100 } } });
    let node = TestNode::start_with(Plan { settings, ..Plan::default() }).await;
    for head in [
        "POST /submit_block HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
        "GET /status HTTP/1.1\r\nHost: ",
    ] {
        let mut stream = TcpStream::connect(node.node.address()).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // The node closes the connection: otherwise this never returns.
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_cannot_hold_every_connection() {
    let settings = json!({ "node": { "limits": { "connections-per-address": 2 } } });
    let node = TestNode::start_with(Plan { settings, ..Plan::default() }).await;
    let _held = [
        TcpStream::connect(node.node.address()).await.unwrap(),
        TcpStream::connect(node.node.address()).await.unwrap(),
    ];
    let mut third = TcpStream::connect(node.node.address()).await.unwrap();
    // The node closes it: otherwise this never returns.
    assert_eq!(third.read_to_end(&mut Vec::new()).await.unwrap_or_default(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_no_answer_loses_its_connection() {
    let limits = json!({ "stall-ms": 200, "connections": 1, "requests-burst": 100_000 });
    let settings = json!({ "node": { "limits": limits } });
    let node = TestNode::start_with(Plan { settings, ..Plan::default() }).await;
    let mut stream = TcpStream::connect(node.node.address()).await.unwrap();
    // More answers than the system keeps for a client that does not read.
    let questions = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2_000);
    let asked = stream.write_all(questions.as_bytes());
    let answered = node.get("/healthz");
    // The only place is free again only when the first client is cut off.
    let (_, answer) = tokio::join!(asked, answered);
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_sites_get_nothing() {
    let node = TestNode::start().await;
    let foreign = |request: reqwest::RequestBuilder| request.header("origin", "http://evil.example").send();
    let wish = json!({ "miner_address": node.address() });
    assert_eq!(foreign(node.http.get(node.url("/status"))).await.unwrap().status(), 403);
    assert_eq!(foreign(node.http.post(node.url("/mine_block")).json(&wish)).await.unwrap().status(), 403);
    let subscription = format!("/template?miner_address={}", node.address());
    let upgrade = node.http.get(node.url(&subscription)).header("upgrade", "websocket").header("connection", "upgrade");
    let upgrade = upgrade.header("sec-websocket-version", "13").header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(foreign(upgrade).await.unwrap().status(), 403);
    let own = node.http.post(node.url("/mine_block")).json(&wish).header("origin", node.node.url());
    assert_eq!(own.send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_was_made_to_lead_here_is_no_name_of_the_node() {
    let settings = json!({ "node": { "names": ["node.example"] } });
    let node = TestNode::start_with(Plan { settings, ..Plan::default() }).await;
    for (host, status) in [("evil.example", 403), ("node.example", 200), ("localhost", 200)] {
        let answer = node.http.get(node.url("/status")).header("host", host).send().await.unwrap();
        assert_eq!(answer.status(), status, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused_with_json() {
    let node = TestNode::start().await;
    node.get("/nothing/here").await.refused(404, "not-found");
    node.get("/submit_block").await.refused(405, "method");
    let plain = node.http.post(node.url("/mine_block")).body("{}").send().await.unwrap();
    assert_eq!(plain.status(), 415);
    for body in ["", "{", "[]", "nul", "{\"miner_address\":7}", "{\"miner_address\":\"x\",\"miner_address\":\"y\"}"] {
        let request = node.http.post(node.url("/mine_block")).header("content-type", "application/json").body(body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 400, "{body}");
        assert!(answer.text().await.unwrap().contains("\"code\":\"malformed\""), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_documented_and_the_page_needs_nobody_else() {
    let node = TestNode::start().await;
    let document = node.get("/openapi.json").await.body;
    for path in [
        "/mine_block",
        "/submit_block",
        "/config/refresh",
        "/difficulty/set",
        "/difficulty/restore",
        "/status",
        "/status/detailed",
        "/blockchain",
        "/transaction_pool",
        "/transaction",
        "/transaction/{id}",
        "/address/{address}",
        "/template",
        "/metrics",
        "/identity",
        "/healthz",
        "/readyz",
        "/audit",
    ] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
    for page in ["/", "/docs"] {
        let answer = node.http.get(node.url(page)).send().await.unwrap();
        assert!(answer.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
        let text = answer.text().await.unwrap();
        assert!(!text.contains("http://") && !text.contains("https://"), "{page} loads something from elsewhere");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_follow_prometheus_convention() {
    let node = TestNode::start().await;
    node.mine().await;
    let text = node.http.get(node.url("/metrics")).send().await.unwrap().text().await.unwrap();
    for line in [
        "adit_chain_height 1",
        "adit_blocks_accepted_total 1",
        "adit_http_requests_total{route=\"/submit_block\",status=\"200\"} 1",
        "# TYPE adit_submission_seconds histogram",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_ends_although_connections_are_open() {
    let node = TestNode::start().await;
    let _idle = TcpStream::connect(node.node.address()).await.unwrap();
    node.get("/readyz").await;
    let address = node.node.address();
    node.node.end().await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
