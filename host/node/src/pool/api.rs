//! The pool's routes: what it does and holds is open to everyone, as JSON and as metrics.
//!
//! Money comes twice: as a decimal string, and as an integer of atoms under the same name with `_atoms`.

use super::hosting::{Configuration, OrderError, Orders, Standing};
use super::metrics::PoolReadout;
use super::upstreams::UpstreamStatus;
use super::web::{WebError, WebShare};
use super::{READY_WITHIN, Running};
use crate::api::body::{JsonBody, QueryPart};
use crate::api::error::{ApiError, ErrorBody};
use crate::api::origin::Names;
use crate::api::shapes::{Hex, decimal, seconds};
use crate::rate::RateLimiter;
use crate::server::ClientAddress;
use crate::settings::Limits;
use crate::settings::pool::PoolMode;
use crate::token::Token;
use adit_primitives::Amount;
use adit_primitives::accounts::{AccountsError, Worker, WorkerId};
use adit_protocol::stratum::client::Assignment;
use adit_protocol::stratum::server::USER_BYTES_MAX;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::watch;
use utoipa::{IntoParams, OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The most characters of a reason.
const REASON_MAX: usize = 500;

/// The most rows of an answer, and how many without a wish.
const ROWS_MAX: usize = 1_000;
const ROWS: usize = 100;

/// What the handlers share.
pub struct PoolApi {
    /// Opens what changes something.
    pub token: Token,
    pub standing: watch::Receiver<Standing>,
    pub orders: Orders,
}

/// Stands before the routes where no node's API does.
pub struct Guard {
    pub limits: Limits,
    pub limiter: Mutex<RateLimiter>,
    pub names: Names,
}

/// The document at `/pool/openapi.json`, without its paths: those come from the router.
#[derive(OpenApi)]
#[openapi(info(
    title = "Adit pool",
    description = "The API of an Adit pool. Times are seconds since 1970, with a fraction. Sums of money come twice: as a decimal string, and as an \
        integer of atoms under the same name with `_atoms`. Every refusal is `{\"error\":{\"code\":…,\"message\":…}}`."
))]
struct Document;

/// Which rows.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(default)]
pub struct RowsQuery {
    /// How many to leave out first.
    pub skip: u64,
    /// How many, at most 1,000; without it 100.
    pub limit: Option<usize>,
}

/// Which workers.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(default)]
pub struct WorkersQuery {
    /// The number of the last worker that was seen already.
    pub after: Option<u32>,
    /// How many, at most 1,000; without it 100.
    pub limit: Option<usize>,
}

/// How the pool stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatsResponse {
    pub name: String,
    /// The payout scheme, its plugin's digest and configuration.
    pub scheme: String,
    /// Hundredths of a percent that go to the foundation.
    pub foundation_fee: u16,
    /// Hundredths of a percent that the pool keeps.
    pub pool_fee: u16,
    pub uptime_seconds: f64,
    pub height: u64,
    pub connections: usize,
    /// Workers that sent shares lately.
    pub workers: usize,
    /// Over ten minutes, by the shares.
    pub hashes_per_second: u64,
    pub shares_valid: u64,
    pub shares_invalid: u64,
    pub shares_invalid_by_reason: BTreeMap<String, u64>,
    /// Parts of all shares, 0 to 1.
    pub invalid_rate: f64,
    pub blocks_found: u64,
    /// The part of all jobs sent that needed no template of their own, 0 to 1.
    pub templates_avoided: f64,
    pub upstreams: Vec<UpstreamBody>,
}

/// A node behind the pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpstreamBody {
    pub name: String,
    pub up: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_template: Option<f64>,
}

/// Workers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkersResponse {
    pub workers: Vec<WorkerBody>,
    /// What to give as `after` for more, where there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
}

/// A worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkerBody {
    /// `<address>.<name>`.
    pub worker: String,
    /// Over ten minutes, by its shares.
    pub hashes_per_second: u64,
    pub shares_valid: u64,
    pub shares_invalid: u64,
    pub shares_stale: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_share: Option<f64>,
    /// What its account is owed, immature credits among it.
    pub balance: String,
    pub balance_atoms: i64,
}

/// Blocks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BlocksResponse {
    pub blocks: Vec<BlockBody>,
}

/// A block that the pool found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BlockBody {
    pub hash: String,
    pub height: u64,
    /// `found`, `refused`, `immature`, `confirmed` or `orphaned`.
    pub state: String,
    pub split: bool,
    pub reward: String,
    pub reward_atoms: u64,
    pub fees_atoms: u64,
    pub found: f64,
}

/// Payments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PaymentsResponse {
    pub payments: Vec<PaymentBody>,
}

/// A payment to many accounts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PaymentBody {
    pub number: u64,
    /// `planned`, `signed`, `sent`, `confirmed`, `failed` or `cancelled`.
    pub state: String,
    pub planned: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction: Option<String>,
    pub outputs: Vec<PaymentOutputBody>,
}

/// Who is paid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PaymentOutputBody {
    pub address: String,
    pub amount: String,
    pub amount_atoms: u64,
}

/// What the process does besides keeping a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModeBody {
    /// `solo`, `host` or `join`.
    #[schema(value_type = String)]
    pub mode: PoolMode,
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderResponse {
    /// `success`.
    pub status: String,
    #[schema(value_type = String)]
    pub mode: PoolMode,
    /// Whether a pool runs here.
    pub running: bool,
}

/// A miner that wants to work over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    /// Who is paid.
    pub address: String,
    /// The machine's name.
    #[serde(default)]
    pub worker: String,
    /// May ask for a difficulty: `d=0.01`.
    #[serde(default)]
    pub password: String,
}

/// A miner was let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegisterResponse {
    /// The secret to ask for jobs and to send shares with. It is forgotten after two minutes without a word.
    pub worker_id: String,
    pub job: JobBody,
}

/// What to mine: a coinbase of `coinbase_head`, `extranonce1`, an extranonce of the miner's own and `coinbase_tail`; its double SHA-256 folded with
/// `branches` is the merkle root of a header of 80 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobBody {
    pub job_id: String,
    /// As the header has it.
    pub previous_hash: String,
    pub coinbase_head: String,
    pub extranonce1: String,
    /// How many bytes the miner's own part has: no two miners have the same `extranonce1`, so all of it may be used.
    pub extranonce2_bytes: usize,
    pub coinbase_tail: String,
    pub branches: Vec<String>,
    pub version: u32,
    /// The bits of the version that may be rolled.
    pub version_mask: u32,
    pub bits: u32,
    /// Seconds since 1970. It may be raised.
    pub time: u32,
    /// What a share's digest, read as a little-endian number, must not exceed: hexadecimal, the highest digit first.
    pub target: String,
    /// Whether earlier jobs are void.
    pub clean: bool,
}

/// Which miner.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, IntoParams)]
pub struct JobQuery {
    /// What `/pool/register` gave.
    pub worker_id: String,
}

/// A share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShareRequest {
    pub worker_id: String,
    pub job_id: String,
    /// Hexadecimal.
    pub extranonce2: String,
    pub time: u32,
    pub nonce: u32,
    /// The version that was hashed, where it was rolled.
    #[serde(default)]
    pub version: Option<u32>,
}

/// The share counts: it is in the pool's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShareResponse {
    /// `accepted`.
    pub status: String,
}

/// Returns the routes under `/pool`.
pub fn router(api: Arc<PoolApi>) -> Router {
    let (open, document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(stats))
        .routes(routes!(workers))
        .routes(routes!(blocks))
        .routes(routes!(payments))
        .routes(routes!(metrics))
        .routes(routes!(ready))
        .routes(routes!(mode))
        .routes(routes!(register))
        .routes(routes!(job))
        .routes(routes!(share))
        .merge(
            OpenApiRouter::new()
                .routes(routes!(set_mode))
                .routes(routes!(start))
                .routes(routes!(stop))
                .routes(routes!(configure))
                .route_layer(from_fn_with_state(Arc::clone(&api), need_token)),
        )
        .split_for_parts();
    let document = axum::body::Bytes::from(document.to_json().expect("the document is plain data"));
    let json = [(header::CONTENT_TYPE, "application/json")];
    open.route("/pool/openapi.json", get(move || async move { (json, document) })).with_state(api)
}

/// Puts the routes of a pool that runs by itself behind a guard, with those that say whether it does.
pub fn standalone(pool: Router, guard: Guard) -> Router {
    pool.route("/healthz", get(|| async { "ok" })).fallback(no_route).layer(from_fn_with_state(Arc::new(guard), bounds))
}

async fn no_route() -> ApiError {
    ApiError::not_found("there is no such route: /pool/openapi.json lists them")
}

async fn need_token(State(api): State<Arc<PoolApi>>, request: Request, next: Next) -> Result<Response, ApiError> {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if given.is_some_and(|given| api.token.opens(given)) {
        return Ok(next.run(request).await);
    }
    let message = "send the token of the data folder: Authorization: Bearer …";
    Err(ApiError::new(StatusCode::UNAUTHORIZED, "token", message))
}

/// Bounds who asks, how often, how much and for how long.
async fn bounds(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Result<Response, ApiError> {
    guard.names.check(request.uri().authority(), request.headers())?;
    if let Some(ClientAddress(address)) = request.extensions().get() {
        let admitted = guard.limiter.lock().unwrap_or_else(PoisonError::into_inner).admit(Instant::now(), address.ip());
        if let Err(too_many) = admitted {
            let message = "this address asks too often: wait as long as Retry-After says";
            let refusal = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", message);
            return Err(ApiError { retry_after: Some(too_many.wait), ..refusal });
        }
    }
    DefaultBodyLimit::max(guard.limits.request_bytes as usize).apply(&mut request);
    match tokio::time::timeout(guard.limits.request_time(), next.run(request)).await {
        Ok(response) => Ok(response),
        Err(_) => Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the request took too long")),
    }
}

/// Says how the pool stands.
#[utoipa::path(get, path = "/pool/stats", tag = "pool", responses(
    (status = 200, body = StatsResponse),
    (status = 503, body = ErrorBody, description = "no pool runs here"),
))]
pub async fn stats(State(api): State<Arc<PoolApi>>) -> Result<Json<StatsResponse>, ApiError> {
    let api = api.running()?;
    let fees = api.terms.lock().unwrap_or_else(PoisonError::into_inner).rounds.fees;
    let readout = api.readout();
    let (valid, invalid) = api.metrics.shares();
    let rate = |part: u64, other: u64| if part == 0 { 0.0 } else { part as f64 / (part + other) as f64 };
    let height = api.front.jobs.borrow().as_ref().map_or(0, |current| current.job.template.height.0);
    Ok(Json(StatsResponse {
        name: api.name.clone(),
        scheme: api.scheme.clone(),
        foundation_fee: fees.foundation().0,
        pool_fee: fees.pool().0,
        uptime_seconds: api.started.elapsed().as_secs_f64(),
        height,
        connections: readout.connections,
        workers: readout.workers,
        hashes_per_second: readout.hashes_per_second,
        shares_valid: valid,
        shares_invalid: invalid,
        shares_invalid_by_reason: api.metrics.refusals(),
        invalid_rate: rate(invalid, valid),
        blocks_found: api.metrics.blocks_found.get(),
        templates_avoided: api.metrics.templates_avoided(),
        upstreams: api.upstreams.statuses().into_iter().map(upstream_body).collect(),
    }))
}

/// Lists the workers with what they did lately and what their accounts are owed.
#[utoipa::path(get, path = "/pool/workers", tag = "pool", params(WorkersQuery), responses(
    (status = 200, body = WorkersResponse),
    (status = 400, body = ErrorBody),
))]
pub async fn workers(
    State(api): State<Arc<PoolApi>>,
    QueryPart(query): QueryPart<WorkersQuery>,
) -> Result<Json<WorkersResponse>, ApiError> {
    let max = limit(query.limit)?;
    let rows = read(&api, move |api| {
        let known = api.books.workers(query.after.map(WorkerId), max)?;
        known.into_iter().map(|worker| worker_body(api, &worker).map(|body| (worker.id, body))).collect()
    })
    .await?;
    let rows: Vec<(WorkerId, WorkerBody)> = rows;
    let next = rows.last().filter(|_| rows.len() == max).map(|(id, _)| id.0);
    Ok(Json(WorkersResponse { workers: rows.into_iter().map(|(_, body)| body).collect(), next }))
}

/// Lists the blocks that the pool found, the newest first.
#[utoipa::path(get, path = "/pool/blocks", tag = "pool", params(RowsQuery), responses(
    (status = 200, body = BlocksResponse),
    (status = 400, body = ErrorBody),
))]
pub async fn blocks(
    State(api): State<Arc<PoolApi>>,
    QueryPart(query): QueryPart<RowsQuery>,
) -> Result<Json<BlocksResponse>, ApiError> {
    let max = limit(query.limit)?;
    let blocks = read(&api, move |api| api.books.blocks(query.skip, max)).await?;
    let body = |block: adit_primitives::accounts::Block| BlockBody {
        hash: block.id.to_string(),
        height: block.height.0,
        state: block.state.to_string(),
        split: block.split,
        reward: decimal(block.reward),
        reward_atoms: block.reward.to_atoms(),
        fees_atoms: block.fees.to_atoms(),
        found: seconds(block.found),
    };
    Ok(Json(BlocksResponse { blocks: blocks.into_iter().map(body).collect() }))
}

/// Lists the payments, the newest first.
#[utoipa::path(get, path = "/pool/payments", tag = "pool", params(RowsQuery), responses(
    (status = 200, body = PaymentsResponse),
    (status = 400, body = ErrorBody),
))]
pub async fn payments(
    State(api): State<Arc<PoolApi>>,
    QueryPart(query): QueryPart<RowsQuery>,
) -> Result<Json<PaymentsResponse>, ApiError> {
    let max = limit(query.limit)?;
    let payments = read(&api, move |api| api.books.payments(query.skip, max)).await?;
    let output = |output: adit_primitives::accounts::PaymentOutput| PaymentOutputBody {
        address: output.address,
        amount: decimal(output.amount),
        amount_atoms: output.amount.to_atoms(),
    };
    let body = |payment: adit_primitives::accounts::Payment| PaymentBody {
        number: payment.number.0,
        state: payment.state.to_string(),
        planned: seconds(payment.planned),
        transaction: payment.signed.map(|signed| signed.id.to_string()),
        outputs: payment.outputs.into_iter().map(output).collect(),
    };
    Ok(Json(PaymentsResponse { payments: payments.into_iter().map(body).collect() }))
}

/// Everything that is counted, in Prometheus' text form.
#[utoipa::path(get, path = "/pool/metrics", tag = "pool", responses((status = 200, body = String)))]
pub async fn metrics(State(api): State<Arc<PoolApi>>) -> Result<Response, ApiError> {
    let pool = api.running()?;
    let text = pool.metrics.text(&pool.readout());
    Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response())
}

/// Tells whether miners can be served: a pool runs, and a node gives it templates.
#[utoipa::path(get, path = "/pool/readyz", tag = "pool", responses(
    (status = 200, body = String),
    (status = 503, body = ErrorBody, description = "no pool runs here, or no node has given a template lately"),
))]
pub async fn ready(State(api): State<Arc<PoolApi>>) -> Result<&'static str, ApiError> {
    let pool = api.running()?;
    let has_job = pool.front.jobs.borrow().is_some();
    if has_job && pool.upstreams.are_ready(READY_WITHIN) {
        return Ok("ready");
    }
    Err(ApiError::unavailable("no node has given a template lately"))
}

/// Lets a miner in that works over HTTP, and gives it its first job.
#[utoipa::path(post, path = "/pool/register", tag = "mining", request_body = RegisterRequest, responses(
    (status = 200, body = RegisterResponse),
    (status = 400, body = ErrorBody),
    (status = 403, body = ErrorBody, description = "the pool does not let it in; the message says why"),
    (status = 503, body = ErrorBody, description = "no pool runs here, or it is full"),
))]
pub async fn register(
    State(api): State<Arc<PoolApi>>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    JsonBody(request): JsonBody<RegisterRequest>,
) -> Result<Json<RegisterResponse>, ApiError> {
    let RegisterRequest { address, worker, password } = request;
    if address.len() + worker.len() >= USER_BYTES_MAX || address.contains('.') {
        let message = format!("address and worker have at most {USER_BYTES_MAX} characters, and an address has no dot");
        return Err(ApiError::bad_request("name", message));
    }
    let user = if worker.is_empty() { address } else { format!("{address}.{worker}") };
    let pool = api.running()?;
    let registered = pool.web.register(from.ip().to_canonical(), user, password).await;
    let (worker_id, job) = registered.map_err(|error| web_error(&error))?;
    Ok(Json(RegisterResponse { worker_id, job: job_body(&job) }))
}

/// Gives a miner its job.
#[utoipa::path(get, path = "/pool/job", tag = "mining", params(JobQuery), responses(
    (status = 200, body = JobBody),
    (status = 404, body = ErrorBody, description = "no such miner: register again"),
    (status = 503, body = ErrorBody),
))]
pub async fn job(
    State(api): State<Arc<PoolApi>>,
    QueryPart(query): QueryPart<JobQuery>,
) -> Result<Json<JobBody>, ApiError> {
    let pool = api.running()?;
    let job = pool.web.job(&query.worker_id).await.map_err(|error| web_error(&error))?;
    Ok(Json(job_body(&job)))
}

/// Takes a share. When it is answered with success, it is kept and counts.
#[utoipa::path(post, path = "/pool/share", tag = "mining", request_body = ShareRequest, responses(
    (status = 200, body = ShareResponse),
    (status = 400, body = ErrorBody, description = "it does not count; the message begins with Stratum's code"),
    (status = 404, body = ErrorBody, description = "no such miner: register again"),
    (status = 503, body = ErrorBody),
))]
pub async fn share(
    State(api): State<Arc<PoolApi>>,
    JsonBody(request): JsonBody<ShareRequest>,
) -> Result<Json<ShareResponse>, ApiError> {
    let malformed = || ApiError::bad_request("malformed", "extranonce2 is hexadecimal");
    let share = WebShare {
        job: request.job_id,
        extranonce2: Hex::parse(&request.extranonce2).ok_or_else(malformed)?.0,
        time: request.time,
        nonce: request.nonce,
        version: request.version,
    };
    let pool = api.running()?;
    pool.web.share(&request.worker_id, share).await.map_err(|error| web_error(&error))?;
    Ok(Json(ShareResponse { status: "accepted".to_owned() }))
}

fn web_error(error: &WebError) -> ApiError {
    let (status, code) = match error {
        WebError::Unknown => (StatusCode::NOT_FOUND, "unknown-worker"),
        WebError::Full | WebError::NoJob => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        WebError::Refused { .. } => (StatusCode::FORBIDDEN, "refused"),
        WebError::Share { .. } => (StatusCode::BAD_REQUEST, "share"),
        WebError::Unanswered => (StatusCode::GATEWAY_TIMEOUT, "unanswered"),
    };
    ApiError::new(status, code, error.to_string())
}

fn job_body(work: &Assignment) -> JobBody {
    let job = &work.notify.job;
    let hex = |bytes: &[u8]| Hex(bytes.to_vec()).to_string();
    JobBody {
        job_id: work.notify.id.to_string(),
        previous_hash: hex(&job.previous),
        coinbase_head: hex(&job.coinbase_head),
        extranonce1: hex(&work.extranonce1),
        extranonce2_bytes: work.extranonce2_bytes,
        coinbase_tail: hex(&job.coinbase_tail),
        branches: job.branches.iter().map(|branch| hex(branch)).collect(),
        version: job.version,
        version_mask: work.version_mask,
        bits: job.bits,
        time: job.time,
        target: work.target.to_string(),
        clean: work.notify.clean,
    }
}

/// Tells what the process does besides keeping a chain.
#[utoipa::path(get, path = "/pool/mode", tag = "control", responses((status = 200, body = ModeBody)))]
pub async fn mode(State(api): State<Arc<PoolApi>>) -> Json<ModeBody> {
    Json(ModeBody { mode: api.standing.borrow().mode })
}

/// Has the process mine for itself, host a pool, or mine for another one. Needs the token.
#[utoipa::path(post, path = "/pool/mode", tag = "control", security(("token" = [])), request_body = ModeBody, responses(
    (status = 200, body = OrderResponse),
    (status = 401, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "it cannot be done; the message says why"),
))]
pub async fn set_mode(
    State(api): State<Arc<PoolApi>>,
    JsonBody(body): JsonBody<ModeBody>,
) -> Result<Json<OrderResponse>, ApiError> {
    done(&api, api.orders.mode(body.mode).await)
}

/// Starts hosting a pool. Needs the token.
#[utoipa::path(post, path = "/pool/start", tag = "control", security(("token" = [])), responses(
    (status = 200, body = OrderResponse),
    (status = 401, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "it cannot be done; the message says why"),
))]
pub async fn start(State(api): State<Arc<PoolApi>>) -> Result<Json<OrderResponse>, ApiError> {
    done(&api, api.orders.mode(PoolMode::Host).await)
}

/// Ends the pool: shares that came are kept, miners are disconnected. Needs the token.
#[utoipa::path(post, path = "/pool/stop", tag = "control", security(("token" = [])), responses(
    (status = 200, body = OrderResponse),
    (status = 401, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "it cannot be done; the message says why"),
))]
pub async fn stop(State(api): State<Arc<PoolApi>>) -> Result<Json<OrderResponse>, ApiError> {
    done(&api, api.orders.stop().await)
}

/// Changes fees and the least payment of the running pool, until its next start. Recorded in the books. Needs the token.
#[utoipa::path(post, path = "/pool/configure", tag = "control", security(("token" = [])), request_body = Configuration, responses(
    (status = 200, body = OrderResponse),
    (status = 400, body = ErrorBody),
    (status = 401, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "no pool runs here"),
))]
pub async fn configure(
    State(api): State<Arc<PoolApi>>,
    JsonBody(change): JsonBody<Configuration>,
) -> Result<Json<OrderResponse>, ApiError> {
    if change.reason.chars().count() > REASON_MAX {
        return Err(ApiError::bad_request("reason", format!("reason has at most {REASON_MAX} characters")));
    }
    done(&api, api.orders.configure(change).await)
}

fn done(api: &PoolApi, outcome: Result<(), OrderError>) -> Result<Json<OrderResponse>, ApiError> {
    match outcome {
        Ok(()) => {
            let standing = api.standing.borrow();
            let running = standing.running.is_some();
            Ok(Json(OrderResponse { status: "success".to_owned(), mode: standing.mode, running }))
        }
        Err(OrderError::Value { detail }) => Err(ApiError::bad_request("value", detail)),
        Err(error) => Err(ApiError::new(StatusCode::CONFLICT, "order", error.to_string())),
    }
}

impl PoolApi {
    fn running(&self) -> Result<Arc<Running>, ApiError> {
        let running = self.standing.borrow().running.clone();
        running.ok_or_else(|| ApiError::unavailable("no pool runs here: POST /pool/start starts one"))
    }
}

impl Running {
    /// Returns what the metrics are read off.
    pub fn readout(&self) -> PoolReadout {
        let (workers, hashes_per_second) = self.front.workers.totals((self.front.clock)());
        PoolReadout {
            connections: self.front.connections.count(),
            workers,
            hashes_per_second,
            upstream_up: self.upstreams.are_ready(READY_WITHIN),
        }
    }
}

fn worker_body(api: &Running, worker: &Worker) -> Result<WorkerBody, AccountsError> {
    let account = api.books.account(worker.account)?;
    let status = api.front.workers.status(worker.id, (api.front.clock)());
    let address = account.as_ref().map(|account| account.address.as_str()).unwrap_or_default();
    let balance = account.as_ref().map_or(0, |account| account.balance.total);
    let name = if worker.name.is_empty() { address.to_owned() } else { format!("{address}.{}", worker.name) };
    let sign = if balance < 0 { "-" } else { "" };
    Ok(WorkerBody {
        worker: name,
        hashes_per_second: status.map_or(0, |status| status.rate_10m),
        shares_valid: status.map_or(0, |status| status.record.valid),
        shares_invalid: status.map_or(0, |status| status.record.invalid),
        shares_stale: status.map_or(0, |status| status.stale),
        last_share: status.map(|status| seconds(status.last_seen)),
        balance: format!("{sign}{}", decimal(Amount::from_atoms(balance.unsigned_abs()))),
        balance_atoms: balance,
    })
}

fn upstream_body(status: UpstreamStatus) -> UpstreamBody {
    let UpstreamStatus { name, up, since, last_template, .. } = status;
    UpstreamBody { name, up, since: since.map(seconds), last_template: last_template.map(seconds) }
}

fn limit(wish: Option<usize>) -> Result<usize, ApiError> {
    match wish.unwrap_or(ROWS) {
        limit @ 1..=ROWS_MAX => Ok(limit),
        limit => Err(ApiError::bad_request("limit", format!("limit lies between 1 and {ROWS_MAX}, not {limit}"))),
    }
}

/// Reads the books, on a thread where that may take its time.
async fn read<T: Send + 'static>(
    api: &Arc<PoolApi>,
    question: impl FnOnce(&Running) -> Result<T, AccountsError> + Send + 'static,
) -> Result<T, ApiError> {
    let api = api.running()?;
    let asked = tokio::task::spawn_blocking(move || question(&api)).await;
    asked.map_err(|_| ApiError::internal(&"a read of the books panicked"))?.map_err(|error| ApiError::internal(&error))
}
