//! A miner speaks only to nodes that prove who they are, and that keep its own chain.

use crate::support::{Plan, TestNode, test_entropy};
use adit_node::api::blocks::MineBlockResponse;
use adit_node::client::{ClientError, NodeClient, Patience};
use adit_node::retry::Failure;
use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use std::path::PathBuf;
use tempfile::TempDir;
use tokio::net::TcpListener;

/// An authority, a certificate that it signed for this machine, and the files of both.
pub struct Authority {
    folder: TempDir,
}

impl Authority {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
        write("ca.pem", issuer.pem());
        write("node.pem", certificate.pem());
        write("node.key", key.serialize_pem());
        Self { folder }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn node(&self) -> TestNode {
        let tls = json!({ "certificate": self.file("node.pem"), "key": self.file("node.key") });
        TestNode::start_with(Plan { settings: json!({ "node": { "tls": tls } }), ..Plan::default() }).await
    }

    fn client(&self, node: &TestNode) -> NodeClient {
        NodeClient::new(&[node.node.url()], Some(&self.file("ca.pem")), node.identity.clone(), test_entropy()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_certificate_of_our_authority_is_believed() {
    let authority = Authority::new();
    let node = authority.node().await;
    assert!(node.node.url().starts_with("https://"));
    let client = authority.client(&node);
    client.handshake(Patience::Attempts(1)).await.unwrap();
    let mut subscription = client.subscribe(&node.address(), Patience::Attempts(1)).await.unwrap();
    assert_eq!(subscription.next().await.unwrap().block_template.index, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_foreign_certificate_is_refused() {
    let node = Authority::new().node().await;
    let client = Authority::new().client(&node);
    let refused = client.handshake(Patience::Attempts(1)).await.unwrap_err();
    assert!(matches!(refused, Failure::Tls { .. }), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_speaks_no_tls_is_refused_over_https() {
    let node = TestNode::start().await;
    let url = node.node.url().replace("http:", "https:");
    let authority = Authority::new();
    let client =
        NodeClient::new(&[url], Some(&authority.file("ca.pem")), node.identity.clone(), test_entropy()).unwrap();
    let refused = client.handshake(Patience::Attempts(1)).await.unwrap_err();
    assert!(matches!(refused, Failure::Tls { .. }), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_chain_is_refused_with_the_differences_named() {
    let node = TestNode::start_with(Plan { network: "testnet", ..Plan::default() }).await;
    let mut ours = node.identity.clone();
    ours.network = "devnet".to_owned();
    ours.hash.name = "scrypt".to_owned();
    let client = NodeClient::new(&[node.node.url()], None, ours, test_entropy()).unwrap();
    let Failure::OtherChain { differences } = client.handshake(Patience::Endless).await.unwrap_err() else {
        panic!("the node was not refused for its chain");
    };
    assert_eq!(
        differences,
        ["network: ours is devnet, theirs is testnet", "hash plugin: ours is scrypt, theirs is sha256d"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_node_answers_where_the_first_is_down_or_of_another_chain() {
    let (other, node) =
        (TestNode::start_with(Plan { chain: "other", ..Plan::default() }).await, TestNode::start().await);
    let gone = TestNode::start().await;
    let urls = [gone.node.url(), other.node.url(), node.node.url()];
    gone.node.end().await.unwrap();
    let client = NodeClient::new(&urls, None, node.identity.clone(), test_entropy()).unwrap();
    let answered = client.handshake(Patience::Attempts(5)).await.unwrap();
    assert_eq!(client.url(answered), format!("{}/", urls[2]));
}

/// A node of the same chain that finds fault with everything it is asked. Returns its address.
async fn fault_finder(like: &TestNode) -> String {
    let identity = like.http.get(like.node.url() + "/identity").send().await.unwrap().text().await.unwrap();
    let refused = || async { (StatusCode::BAD_REQUEST, r#"{"error":{"code":"address","message":"not here"}}"#) };
    let json = [(CONTENT_TYPE, "application/json")];
    let routes = Router::new().route("/identity", get(move || async move { (json, identity) })).fallback(refused);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_that_finds_fault_with_a_question_ends_nothing_and_all_of_them_do() {
    let node = TestNode::start().await;
    let faulty = [fault_finder(&node).await, fault_finder(&node).await];
    let ask = async |urls: &[String]| {
        let client = NodeClient::new(urls, None, node.identity.clone(), test_entropy()).unwrap();
        let request = json!({ "miner_address": node.address() });
        let answer = client.ask::<_, MineBlockResponse>("mine_block", Some(&request), Patience::Endless).await;
        answer.map(|(answered, work)| (client.url(answered).to_owned(), work.block_template.index))
    };
    let answered = ask(&[faulty[0].clone(), node.node.url()]).await.unwrap();
    assert_eq!(answered, (format!("{}/", node.node.url()), 1));
    for refusing in [&faulty[..1], &faulty[..]] {
        let refused = ask(refusing).await.unwrap_err();
        assert!(refused.is_for_good(), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_no_nodes_is_refused() {
    let node = TestNode::start().await;
    for wrong in ["", "node:8645", "ftp://node", "http://node/path", "http://node/?query"] {
        let made = NodeClient::new(&[wrong.to_owned()], None, node.identity.clone(), test_entropy());
        assert!(matches!(made, Err(ClientError::Url { .. })), "{wrong}");
    }
    assert!(matches!(NodeClient::new(&[], None, node.identity.clone(), test_entropy()), Err(ClientError::NoNodes)));
}
