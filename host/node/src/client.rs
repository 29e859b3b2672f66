//! Speaks to other nodes: HTTPS with keep-alive, a WebSocket for templates, several nodes of which one has the turn.
//!
//! Before a node is trusted with anything it names its chain's rules, and is refused with the differences spelled out where they are not ours.
//! Certificates are verified always. How failures are answered stands in [`crate::retry`].

use crate::api::blocks::MineBlockResponse;
use crate::api::error::ErrorBody;
use crate::api::shapes::IdentityBody;
use crate::clock::{Entropy, random_u32, random_u64};
use crate::retry::{self, Failure, Next};
use crate::settings::failover::{FailoverSettings, UpstreamPlace};
use crate::tls::{self, Authorities, TlsError};
use crate::token::Token;
use crate::turns::{Question, Turns};
use adit_primitives::identity::Rules;
use futures_util::StreamExt;
use reqwest::header::{AUTHORIZATION, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// The most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Where a pool has a node's routes for farmers.
pub const FARM: &str = "/pool/farm/";

/// How long an idle connection is kept for the next request.
const KEEP_ALIVE: Duration = Duration::from_secs(90);

/// How often nodes ask a subscriber whether it is there.
const PING_INTERVAL: Duration = Duration::from_secs(15);

/// How long a silent template subscription is believed to be alive.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// How long a node that failed is left alone at most.
const LEFT_ALONE_MAX: Duration = Duration::from_secs(15);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no node is named")]
    NoNodes,
    #[error("{url:?} is not the address of a node: http://host:port or https://host:port")]
    Url { url: String },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("no HTTP client: {detail}")]
    Http { detail: String },
}

/// A client of one or more nodes of one chain. What is cloned has the same turns.
#[derive(Clone)]
pub struct NodeClient(Arc<Nodes>);

struct Nodes {
    http: reqwest::Client,
    tls: Arc<ClientConfig>,
    nodes: Vec<Node>,
    turns: Turns,
    /// The height that is mined, by the newest template that was pushed.
    mined: AtomicU64,
    ours: Rules,
    entropy: Entropy,
}

struct Node {
    url: Url,
    /// Whether its rules were compared with ours since the connection to it last failed.
    agreed: AtomicBool,
}

/// Of a node's status, what tells whether it has caught up.
#[derive(serde::Deserialize)]
struct Length {
    blockchain_length: u64,
}

/// Which node answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeNumber(usize);

/// How long to go on asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Until this many attempts have failed.
    Attempts(u32),
    /// Until the caller gives up by dropping the request.
    Endless,
}

impl NodeClient {
    /// Makes a client of nodes of which the first that is well is asked; nothing is connected yet. `ca_file` names the authorities to trust instead of the
    /// system's.
    pub fn new(nodes: &[String], ca_file: Option<&Path>, ours: Rules, entropy: Entropy) -> Result<Self, ClientError> {
        let places: Vec<_> = nodes.iter().cloned().map(UpstreamPlace::from).collect();
        Self::with_turns(&places, &FailoverSettings::unset(), ca_file, ours, entropy)
    }

    /// Makes a client of nodes that have the turn by these settings.
    pub fn with_turns(
        places: &[UpstreamPlace],
        failover: &FailoverSettings,
        ca_file: Option<&Path>,
        ours: Rules,
        entropy: Entropy,
    ) -> Result<Self, ClientError> {
        let nodes: Vec<_> = places.iter().map(|place| node(place.url())).collect::<Result<_, _>>()?;
        let encrypted = nodes.iter().any(|node| node.url.scheme() == "https");
        if nodes.is_empty() {
            return Err(ClientError::NoNodes);
        }
        let (http, tls) = http(encrypted, ca_file)?;
        let mut rules = failover.rules(LEFT_ALONE_MAX);
        rules.heartbeat.interval = PING_INTERVAL;
        let members = places.iter().map(UpstreamPlace::member).collect();
        let turns = Turns::new("node", rules, members, random_u64(&entropy));
        let mined = AtomicU64::new(0);
        Ok(Self(Arc::new(Nodes { http, tls: Arc::new(tls), nodes, turns, mined, ours, entropy })))
    }

    /// Compares the rules of the node whose turn it is with ours.
    pub async fn handshake(&self, patience: Patience) -> Result<NodeNumber, Failure> {
        let mut rounds = Rounds::new(&self.0, patience);
        loop {
            let (number, attempt) = rounds.node()?;
            let question = self.0.turns.ask(number.0);
            match self.0.agree(number, attempt).await {
                Ok(()) => {
                    question.answered();
                    return Ok(number);
                }
                Err(failure) => rounds.failed(number, question, failure).await?,
            }
        }
    }

    /// Asks whichever node answers.
    pub async fn ask<Q: Serialize + Sync, A: DeserializeOwned>(
        &self,
        path: &str,
        body: Option<&Q>,
        patience: Patience,
    ) -> Result<(NodeNumber, A), Failure> {
        self.attempt_due();
        let mut rounds = Rounds::new(&self.0, patience);
        loop {
            let (number, attempt) = rounds.node()?;
            let question = self.0.turns.ask(number.0);
            let answer = match self.0.agree(number, attempt).await {
                Ok(()) => self.0.send(number, path, body, attempt).await,
                Err(failure) => Err(failure),
            };
            match answer {
                Ok(answer) => {
                    question.answered();
                    return Ok((number, answer));
                }
                Err(failure) => rounds.failed(number, question, failure).await?,
            }
        }
    }

    /// Subscribes to templates at whichever node answers.
    pub async fn subscribe(&self, miner_address: &str, patience: Patience) -> Result<Subscription, Failure> {
        let mut rounds = Rounds::new(&self.0, patience);
        loop {
            let (number, attempt) = rounds.node()?;
            let question = self.0.turns.ask(number.0);
            match self.0.subscribe_at(number, attempt, miner_address).await {
                Ok(socket) => {
                    question.answered();
                    return Ok(Subscription { client: self.clone(), node: number, socket });
                }
                Err(failure) => rounds.failed(number, question, failure).await?,
            }
        }
    }

    /// Asks one node alone, some times.
    pub async fn ask_node<Q: Serialize + Sync, A: DeserializeOwned>(
        &self,
        number: NodeNumber,
        path: &str,
        body: Option<&Q>,
        attempts: u32,
    ) -> Result<A, Failure> {
        let mut attempt = 0;
        loop {
            let failure = match self.0.send(number, path, body, attempt).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let wait = match failure.rule(attempt, random_u32(&self.0.entropy)) {
                Next::Again { wait } | Next::Failed { wait } if attempt + 1 < attempts => wait,
                _ => return Err(failure),
            };
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    /// Returns the URL of a node.
    pub fn url(&self, number: NodeNumber) -> &str {
        self.0.url(number)
    }

    /// Has the nodes tried that are to be.
    fn attempt_due(&self) {
        if self.0.nodes.len() > 1 {
            self.0.turns.attempt_due(|tried| self.attempt(NodeNumber(tried)));
        }
    }

    /// Waits until another node has the turn, and has the others tried when that is due.
    async fn leaves(&self, NodeNumber(number): NodeNumber) {
        if self.0.nodes.len() == 1 {
            return std::future::pending().await;
        }
        self.0.turns.leaves(number, |tried| self.attempt(NodeNumber(tried))).await;
    }

    /// Tries a node, beside whoever waits.
    fn attempt(&self, number: NodeNumber) {
        let nodes = Arc::clone(&self.0);
        tokio::spawn(async move {
            let question = nodes.turns.ask(number.0);
            match nodes.has_caught_up(number).await {
                Ok(()) => question.answered(),
                Err(Failure::OtherChain { .. }) => nodes.turns.strike(number.0),
                Err(failure) => {
                    tracing::debug!(node = nodes.url(number), %failure, "a node is not well yet");
                    nodes.forget(number);
                    question.failed();
                }
            }
        });
    }
}

impl Nodes {
    fn url(&self, NodeNumber(number): NodeNumber) -> &str {
        self.nodes[number].url.as_str()
    }

    /// Asks a node whether it keeps our chain, and has the blocks that are mined on.
    async fn has_caught_up(&self, number: NodeNumber) -> Result<(), Failure> {
        self.agree(number, 0).await?;
        let status: Length = self.send(number, "status", None::<&()>, 0).await?;
        let (length, mined) = (status.blockchain_length, self.mined.load(Ordering::Relaxed));
        if length < mined { Err(Failure::Behind { length, mined }) } else { Ok(()) }
    }

    async fn subscribe_at(
        &self,
        number: NodeNumber,
        attempt: u32,
        miner_address: &str,
    ) -> Result<WebSocketStream<Box<dyn Stream>>, Failure> {
        self.agree(number, attempt).await?;
        let limit = retry::timeout(attempt);
        let opened = tokio::time::timeout(limit, self.open(number, miner_address)).await;
        opened.map_err(|_| Failure::Timeout { limit })?
    }

    /// Has the node's rules compared again before the next request.
    fn forget(&self, NodeNumber(number): NodeNumber) {
        self.nodes[number].agreed.store(false, Ordering::Relaxed);
    }

    async fn agree(&self, number: NodeNumber, attempt: u32) -> Result<(), Failure> {
        let node = &self.nodes[number.0];
        if node.agreed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let theirs: IdentityBody = self.send(number, "identity", None::<&()>, attempt).await?;
        let theirs = theirs.read().map_err(|error| Failure::Garbled { detail: error.message })?;
        if theirs != self.ours {
            let differences = self.ours.differences(&theirs).iter().map(ToString::to_string).collect();
            return Err(Failure::OtherChain { differences });
        }
        node.agreed.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn send<Q: Serialize + Sync, A: DeserializeOwned>(
        &self,
        NodeNumber(number): NodeNumber,
        path: &str,
        body: Option<&Q>,
        attempt: u32,
    ) -> Result<A, Failure> {
        exchange(request(&self.http, &self.nodes[number].url, path, body)?, retry::timeout(attempt)).await
    }

    async fn open(&self, number: NodeNumber, miner_address: &str) -> Result<WebSocketStream<Box<dyn Stream>>, Failure> {
        let garbled = |detail: String| Failure::Garbled { detail };
        let url = &self.nodes[number.0].url;
        let host = url.host_str().ok_or_else(|| garbled("the URL names no host".to_owned()))?.to_owned();
        let bare = host.trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().unwrap_or(80);
        let tls = (url.scheme() == "https").then_some(&self.tls);
        let stream = connect(&bare, port, tls).await?;
        // The stream is encrypted already where it has to be: this URL only fills the request's head.
        let request = format!("ws://{host}:{port}{}template?miner_address={miner_address}", url.path());
        let config = WebSocketConfig::default().max_message_size(Some(ANSWER_BYTES_MAX));
        let opened = client_async_with_config(request, stream, Some(config)).await;
        opened.map(|(socket, _)| socket).map_err(|error| match error {
            tungstenite::Error::Http(response) => {
                refusal(response.status(), None, response.body().as_deref().unwrap_or_default())
            }
            tungstenite::Error::Io(error) => Failure::Refused { detail: error.to_string() },
            other => garbled(other.to_string()),
        })
    }
}

/// A node of whatever chain, asked for what no money hangs on: its rules are not compared with anyone's.
pub struct AnyNode {
    http: reqwest::Client,
    url: Url,
    token: Option<Token>,
}

impl AnyNode {
    /// Makes a client; nothing is connected yet. `ca_file` names the authorities to trust instead of the system's.
    pub fn new(url: &str, ca_file: Option<&Path>) -> Result<Self, ClientError> {
        let Node { url, .. } = node(url)?;
        let (http, _) = http(url.scheme() == "https", ca_file)?;
        Ok(Self { http, url, token: None })
    }

    /// Shows a token with every request from now on.
    pub fn with_token(self, token: Token) -> Self {
        Self { token: Some(token), ..self }
    }

    /// Asks once.
    pub async fn ask<A: DeserializeOwned>(&self, path: &str) -> Result<A, Failure> {
        self.send(path, None::<&()>).await
    }

    /// Has something done, once.
    pub async fn order<Q: Serialize + Sync, A: DeserializeOwned>(&self, path: &str, body: &Q) -> Result<A, Failure> {
        self.send(path, Some(body)).await
    }

    async fn send<Q: Serialize + Sync, A: DeserializeOwned>(&self, path: &str, body: Option<&Q>) -> Result<A, Failure> {
        let mut request = request(&self.http, &self.url, path, body)?;
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.header());
        }
        exchange(request, retry::timeout(0)).await
    }
}

fn http(encrypted: bool, ca_file: Option<&Path>) -> Result<(reqwest::Client, ClientConfig), ClientError> {
    let authorities = match (encrypted, ca_file) {
        (_, Some(file)) => Authorities::File(file),
        (true, None) => Authorities::System,
        (false, None) => Authorities::Nobody,
    };
    let tls = tls::client(authorities)?;
    let http = reqwest::Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .pool_idle_timeout(KEEP_ALIVE)
        .tcp_nodelay(true)
        .build()
        .map_err(|error| ClientError::Http { detail: error.to_string() })?;
    Ok((http, tls))
}

fn request<Q: Serialize>(
    http: &reqwest::Client,
    url: &Url,
    path: &str,
    body: Option<&Q>,
) -> Result<RequestBuilder, Failure> {
    let url = url.join(path).map_err(|error| Failure::Garbled { detail: error.to_string() })?;
    Ok(match body {
        Some(body) => http.request(Method::POST, url).json(body),
        None => http.request(Method::GET, url),
    })
}

async fn exchange<A: DeserializeOwned>(request: RequestBuilder, limit: Duration) -> Result<A, Failure> {
    let response = request.timeout(limit).send().await.map_err(|error| classify(&error, limit))?;
    let status = response.status();
    let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let bytes = read(response, limit).await?;
    if status == StatusCode::OK {
        return serde_json::from_slice(&bytes).map_err(|error| Failure::Garbled { detail: error.to_string() });
    }
    Err(refusal(status, wait.map(Duration::from_secs), &bytes))
}

/// The attempts of one request, over all nodes.
struct Rounds<'a> {
    client: &'a Nodes,
    patience: Patience,
    /// Attempts in a row at one node: they lengthen its time limit.
    at_node: u32,
    in_all: u32,
    /// Nodes that refused the request.
    refused: usize,
    /// Times that nobody else was there to be asked: they lengthen the wait.
    rounds: u32,
    /// Why the last node was struck.
    other_chain: Option<Failure>,
}

impl<'a> Rounds<'a> {
    fn new(client: &'a Nodes, patience: Patience) -> Self {
        Self { client, patience, at_node: 0, in_all: 0, refused: 0, rounds: 0, other_chain: None }
    }

    /// Returns which node to ask now, and for the how manieth time.
    fn node(&mut self) -> Result<(NodeNumber, u32), Failure> {
        let all_struck = || Failure::OtherChain { differences: Vec::new() };
        let number = self.client.turns.turn_or_soonest().map(NodeNumber);
        number.map(|number| (number, self.at_node)).ok_or_else(|| self.other_chain.take().unwrap_or_else(all_struck))
    }

    /// Takes in a failure, and waits as long as its rule says. Returns it where there is no use in going on.
    async fn failed(&mut self, number: NodeNumber, question: Question<'_>, failure: Failure) -> Result<(), Failure> {
        let client = self.client;
        self.in_all += 1;
        tracing::warn!(node = client.url(number), %failure, attempt = self.in_all, "a request failed");
        let next = failure.rule(self.at_node, random_u32(&client.entropy));
        let elsewhere = client.nodes.len() > 1;
        match next {
            // Of several nodes, one that refuses is asked no more for a while: another may answer.
            Next::GiveUp if elsewhere => question.failed(),
            // A refusal is an answer.
            Next::GiveUp => question.answered(),
            Next::Again { .. } => drop(question),
            Next::Failed { .. } => {
                question.failed();
                client.forget(number);
            }
            Next::StrikeNode => {
                drop(question);
                client.turns.strike(number.0);
            }
        }
        let exhausted = matches!(self.patience, Patience::Attempts(most) if self.in_all >= most);
        match next {
            Next::StrikeNode => (self.at_node, self.other_chain) = (0, Some(failure)),
            _ if exhausted => return Err(failure),
            Next::GiveUp if elsewhere && self.refused + 1 < client.nodes.len() => {
                (self.at_node, self.refused) = (0, self.refused + 1);
                // Where the turn stays, so does the answer.
                if client.turns.turn_or_soonest() == Some(number.0) {
                    return Err(failure);
                }
            }
            Next::GiveUp => return Err(failure),
            // Only where nobody else is well is there reason to wait: another node may answer at once.
            Next::Failed { .. } if client.turns.turn().is_some_and(|turn| turn != number.0) => self.at_node = 0,
            Next::Failed { wait } => {
                let pause = retry::backoff(self.rounds, random_u32(&client.entropy));
                (self.at_node, self.rounds) = (self.at_node + 1, self.rounds + 1);
                tokio::time::sleep(if wait.is_zero() { wait } else { wait.max(pause) }).await;
            }
            Next::Again { wait } => {
                self.at_node += 1;
                tokio::time::sleep(wait).await;
            }
        }
        Ok(())
    }
}

/// Templates as they come.
pub struct Subscription {
    client: NodeClient,
    node: NodeNumber,
    socket: WebSocketStream<Box<dyn Stream>>,
}

impl Subscription {
    /// Returns the node that gives these templates: their solutions go to it alone.
    pub fn node(&self) -> NodeNumber {
        self.node
    }

    /// Waits for the next template. [`Failure::Elsewhere`] once another node has the turn.
    pub async fn next(&mut self) -> Result<MineBlockResponse, Failure> {
        let (client, turns) = (&self.client, &self.client.0.turns);
        loop {
            let heard = tokio::select! {
                heard = tokio::time::timeout(SILENCE_MAX, self.socket.next()) => heard,
                () = client.leaves(self.node) => return Err(Failure::Elsewhere),
            };
            let failure = match heard {
                Err(_) => Failure::Timeout { limit: SILENCE_MAX },
                Ok(None) => Failure::Refused { detail: "the node ended the subscription".to_owned() },
                Ok(Some(Err(error))) => Failure::Refused { detail: error.to_string() },
                Ok(Some(Ok(Message::Text(text)))) => {
                    let template = template(text.as_str())?;
                    client.0.mined.store(template.block_template.index, Ordering::Relaxed);
                    return Ok(template);
                }
                // Answers to pings are sent by the next read.
                Ok(Some(Ok(message))) => {
                    if message.is_ping() {
                        turns.heard(self.node.0);
                    }
                    continue;
                }
            };
            turns.ask(self.node.0).failed();
            return Err(failure);
        }
    }
}

/// A connection, encrypted or not.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Connects to a port, over TLS where `tls` says whom to believe. `host` is a name or an address without brackets.
pub async fn connect(host: &str, port: u16, tls: Option<&Arc<ClientConfig>>) -> Result<Box<dyn Stream>, Failure> {
    let refused = |error: std::io::Error| Failure::Refused { detail: error.to_string() };
    let stream = TcpStream::connect((host, port)).await.map_err(refused)?;
    stream.set_nodelay(true).map_err(refused)?;
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    let name = ServerName::try_from(host.to_owned()).map_err(|error| Failure::Tls { detail: error.to_string() })?;
    let connected = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
    Ok(Box::new(connected.map_err(|error| Failure::Tls { detail: error.to_string() })?))
}

fn template(text: &str) -> Result<MineBlockResponse, Failure> {
    serde_json::from_str(text).map_err(|error| match serde_json::from_str::<ErrorBody>(text) {
        Ok(ErrorBody { error }) => Failure::Rejected { status: 400, code: error.code, message: error.message },
        Err(_) => Failure::Garbled { detail: error.to_string() },
    })
}

fn node(text: &str) -> Result<Node, ClientError> {
    let wrong = || ClientError::Url { url: text.to_owned() };
    let url: Url = text.parse().map_err(|_| wrong())?;
    let path = matches!(url.path(), "/" | FARM);
    let sound = matches!(url.scheme(), "http" | "https") && url.has_host() && path && url.query().is_none();
    if !sound {
        return Err(wrong());
    }
    Ok(Node { url, agreed: AtomicBool::new(false) })
}

async fn read(mut response: reqwest::Response, limit: Duration) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| classify(&error, limit))? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Failure::Garbled { detail: format!("it has more than {ANSWER_BYTES_MAX} bytes") });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn refusal(status: StatusCode, wait: Option<Duration>, body: &[u8]) -> Failure {
    let number = status.as_u16();
    let explained = serde_json::from_slice::<ErrorBody>(body).ok().map(|body| body.error);
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT => {
            Failure::Busy { status: number, wait, said: explained.map(|error| error.message) }
        }
        status if status.is_server_error() => Failure::Broken { status: number },
        _ => match explained {
            Some(error) => Failure::Rejected { status: number, code: error.code, message: error.message },
            None => Failure::Garbled { detail: format!("status {number} without an explanation") },
        },
    }
}

fn classify(error: &reqwest::Error, limit: Duration) -> Failure {
    if error.is_timeout() {
        return Failure::Timeout { limit };
    }
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let texts: Vec<_> = causes.clone().map(ToString::to_string).collect();
    let detail = texts.last().cloned().unwrap_or_else(|| error.to_string());
    // What is no fault of the certificate is one of the connection: not made, or broken while the answer came.
    if causes.clone().any(is_tls) { Failure::Tls { detail } } else { Failure::Refused { detail } }
}

/// Tells whether rustls is the cause: it comes wrapped in I/O errors, which hide it from `source`.
fn is_tls(cause: &(dyn std::error::Error + 'static)) -> bool {
    let wrapped = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    cause.is::<tokio_rustls::rustls::Error>() || wrapped.is_some_and(|inner| is_tls(inner))
}
