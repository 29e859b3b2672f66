//! The routes: JSON over HTTP, templates over a WebSocket, pages for people.
//!
//! Handlers read a request, ask the chain's thread or its reader, and show the answer. They hold no state of the chain and decide nothing about it.
//! What changes the node's own behaviour (configuration, difficulty) needs the token; blocks and transactions need none, since the rules judge them.
//! Pages of other sites get nothing, whoever looks at them.
//!
//! Reading order: [`shapes`] is what goes over the wire, [`error`] what a refusal looks like, [`body`] how requests are read, [`origin`] which
//! pages may send them, [`reads`] how answers are read off the disk; then one file for each group of routes: [`blocks`], [`block`], [`space`], [`dag`], [`push`], [`transactions`], [`status`], [`peers`], [`rounds`], [`statistics`], [`control`], [`pages`].

#[allow(unused_qualifications, reason = "utoipa's path macro writes them")]
pub mod block;
#[allow(unused_qualifications, reason = "utoipa's path macro writes them")]
pub mod blocks;
pub mod body;
#[allow(unused_qualifications, reason = "utoipa's path macro writes them")]
pub mod control;
#[allow(unused_qualifications, reason = "utoipa's path macro writes them")]
pub mod dag;
pub mod error;
pub mod line;
pub mod origin;
pub mod pages;
#[allow(unused_qualifications, reason = "utoipa's path macro writes them")]
pub mod peers;
#[allow(unused_qualifications, reason = "utoipa's path macro writes them")]
pub mod push;
pub mod reads;
#[allow(unused_qualifications, reason = "utoipa's path macro writes them")]
pub mod rounds;
pub mod shapes;
#[allow(unused_qualifications, reason = "utoipa's path macro writes them")]
pub mod space;
pub mod statistics;
pub mod status;
#[allow(unused_qualifications, reason = "utoipa's path macro writes them")]
pub mod transactions;

use crate::anomaly::AnomalyReport;
use crate::chain::ChainHandle;
use crate::clock::Clock;
use crate::metrics::{Metrics, RequestLabels};
use crate::mining::MinerReport;
use crate::network::NetworkHandle;
use crate::rate::{Rate, RateLimiter};
use crate::reload::{RefreshRequest, Standing};
use crate::server::ClientAddress;
use crate::settings::Limits;
use crate::token::Token;
use adit_chain::AddressPrefix;
use adit_primitives::engine::RulesEngine;
use adit_primitives::identity::Rules;
use adit_primitives::storage::Storage;
use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use error::ApiError;
use lru::LruCache;
use origin::Names;
use reads::Reads;
use serde_json::Number;
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::{Semaphore, mpsc, watch};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How many answers may be read off the disk at once. Others wait, as long as a request may take.
pub const READS_MAX: usize = 8;

/// How many difficulties are remembered by their coding in headers.
const DIFFICULTIES: NonZeroUsize = NonZeroUsize::new(256).expect("256 is not 0");

/// What the handlers share.
pub struct ApiState {
    pub chain: ChainHandle,
    /// `None` where the node talks with miners and wallets alone.
    pub network: Option<NetworkHandle>,
    pub rules: Arc<dyn RulesEngine>,
    pub storage: Arc<dyn Storage>,
    pub identity: Rules,
    pub prefix: AddressPrefix,
    pub token: Token,
    pub clock: Clock,
    pub metrics: Metrics,
    /// What the node's own miner does.
    pub miner: watch::Receiver<Arc<MinerReport>>,
    /// What is out of the ordinary.
    pub anomalies: watch::Receiver<Arc<AnomalyReport>>,
    pub standing: watch::Receiver<Arc<Standing>>,
    pub refresh: mpsc::Sender<RefreshRequest>,
    pub ending: watch::Receiver<bool>,
    pub started: Instant,
    /// A random number that tells this run's coinbases from those of others.
    pub run_id: u32,
    /// By which names it may be asked for.
    pub names: Names,
    pub subscriptions: AtomicU32,
    pub subscribers: Arc<Semaphore>,
    pub limiter: Mutex<RateLimiter>,
    pub difficulties: Mutex<LruCache<u32, Number>>,
    pub reads: Reads,
}

/// The document at `/openapi.json`, without its paths: those come from the router.
#[derive(OpenApi)]
#[openapi(
    info(title = "Adit", description = "The API of an Adit node. Times are seconds since 1970, with a fraction. Sums of money come \
        twice: as a decimal string, and as an integer of atoms under the same name with `_atoms`; requests give atoms. What changes \
        the node's behaviour needs the token from the token file in the data folder, as `Authorization: Bearer …`. Browsers may \
        send requests from the node's own pages alone: another `Origin` is refused (403 `origin`), the WebSocket's too, and so is \
        a `Host` that is no IP address, `localhost` or one of `node.names` where the node listens on loopback or has names (403 `host`). Every refusal \
        is `{\"error\":{\"code\":…,\"message\":…}}`: programs branch on the code, people read the message."),
    modifiers(&BearerToken),
)]
struct Document;

struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        document.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

impl ApiState {
    /// Makes a limiter as the settings have it.
    pub fn rate_limiter(limits: &Limits) -> Mutex<RateLimiter> {
        Mutex::new(RateLimiter::new(rate(limits), limits.addresses))
    }

    /// Makes the memory of difficulties.
    pub fn difficulty_memory() -> Mutex<LruCache<u32, Number>> {
        Mutex::new(LruCache::new(DIFFICULTIES))
    }

    /// Takes up changed limits.
    pub fn set_limits(&self, limits: &Limits) {
        let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
        limiter.set(rate(limits), limits.addresses);
    }

    /// Returns what a header's `bits` are called, as the rules say it. May wait for the sandbox: not for async tasks.
    pub fn difficulty_of(&self, bits: u32) -> Result<Number, ApiError> {
        let known = || self.difficulties.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(difficulty) = known().get(&bits).cloned() {
            return Ok(difficulty);
        }
        let text = self.rules.difficulty(bits).map_err(|fault| ApiError::internal(&fault))?;
        let difficulty = shapes::difficulty_number(&text.map_err(|violation| ApiError::internal(&violation))?);
        known().put(bits, difficulty.clone());
        Ok(difficulty)
    }

    fn limits(&self) -> Limits {
        self.standing.borrow().settings.node.limits.clone()
    }
}

/// Returns all routes, those of the process's pool among them.
pub fn router(api: Arc<ApiState>, pool: Router) -> Router {
    let (open, document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(blocks::mine_block))
        .routes(routes!(blocks::submit_block))
        .routes(routes!(blocks::blockchain))
        .routes(routes!(space::register))
        .routes(routes!(block::block))
        .routes(routes!(block::offer))
        .routes(routes!(dag::part))
        .routes(routes!(push::subscribe))
        .routes(routes!(transactions::transaction_pool))
        .routes(routes!(transactions::submit_transaction))
        .routes(routes!(transactions::transaction))
        .routes(routes!(transactions::address))
        .routes(routes!(status::status))
        .routes(routes!(status::detailed))
        .routes(routes!(status::identity))
        .routes(routes!(status::healthz))
        .routes(routes!(status::readyz))
        .routes(routes!(status::metrics))
        .routes(routes!(peers::peers))
        .routes(routes!(rounds::rounds))
        .routes(routes!(rounds::round))
        .routes(routes!(statistics::statistics))
        .routes(routes!(statistics::events))
        .merge(
            OpenApiRouter::new()
                .routes(routes!(control::refresh))
                .routes(routes!(control::set_difficulty))
                .routes(routes!(control::restore_difficulty))
                .routes(routes!(control::audit))
                .route_layer(from_fn_with_state(Arc::clone(&api), need_token)),
        )
        .split_for_parts();
    let document = axum::body::Bytes::from(document.to_json().expect("the document is plain data"));
    let json = [(header::CONTENT_TYPE, "application/json")];
    open.route("/", get(pages::home))
        .route("/docs", get(pages::docs))
        .route("/openapi.json", get(move || async move { (json, document) }))
        .with_state(Arc::clone(&api))
        .merge(pool)
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(from_fn_with_state(Arc::clone(&api), origin::need_own_page))
        .layer(from_fn_with_state(Arc::clone(&api), bounds))
        .layer(from_fn_with_state(api, count))
}

fn rate(limits: &Limits) -> Rate {
    Rate { per_second: limits.requests_per_second, burst: limits.requests_burst }
}

async fn no_route() -> ApiError {
    ApiError::not_found("there is no such route: /docs lists them")
}

async fn no_method(method: Method) -> ApiError {
    let message = format!("this route does not answer to {method}: /docs lists what it answers to");
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method", message)
}

async fn need_token(State(api): State<Arc<ApiState>>, request: Request, next: Next) -> Result<Response, ApiError> {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if given.is_some_and(|given| api.token.opens(given)) {
        return Ok(next.run(request).await);
    }
    let message = "send the node's token: Authorization: Bearer …";
    Err(ApiError::new(StatusCode::UNAUTHORIZED, "token", message))
}

/// Counts what is answered, and measures how long that takes.
async fn count(State(api): State<Arc<ApiState>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let response = next.run(request).await;
    // Paths that no route matches go under one name: a client must not be able to fill the memory with others.
    let labels = RequestLabels { route: path.unwrap_or_else(|| "none".to_owned()), status: response.status().as_u16() };
    api.metrics.requests.get_or_create(&labels).inc();
    api.metrics.request_seconds.observe(began.elapsed().as_secs_f64());
    response
}

/// Bounds how often an address asks, how much it sends, and how long an answer takes.
async fn bounds(State(api): State<Arc<ApiState>>, mut request: Request, next: Next) -> Result<Response, ApiError> {
    let limits = api.limits();
    if let Some(ClientAddress(address)) = request.extensions().get() {
        let admitted = api.limiter.lock().unwrap_or_else(PoisonError::into_inner).admit(Instant::now(), address.ip());
        if let Err(too_many) = admitted {
            api.metrics.requests_limited.inc();
            let message = "this address asks too often: wait as long as Retry-After says";
            let refusal = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", message);
            return Err(ApiError { retry_after: Some(too_many.wait), ..refusal });
        }
    }
    let bytes_max = limits.request_bytes as usize;
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|bytes: u64| bytes > u64::from(limits.request_bytes)) {
        let message = format!("the request's body is larger than the {bytes_max} bytes that this node takes");
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", message));
    }
    DefaultBodyLimit::max(bytes_max).apply(&mut request);
    match tokio::time::timeout(limits.request_time(), next.run(request)).await {
        Ok(response) => Ok(response),
        Err(_) => Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the request took too long")),
    }
}
