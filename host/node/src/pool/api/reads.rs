//! What the pool does and holds: open to everyone.

use super::PoolApi;
use crate::api::body::QueryPart;
use crate::api::error::{ApiError, ErrorBody};
use crate::api::shapes::{decimal, seconds};
use crate::pool::upstreams::{UpstreamStatus, Upstreams};
use crate::pool::{READY_WITHIN, Running};
use adit_primitives::Amount;
use adit_primitives::accounts::{AccountsError, Worker, WorkerId};
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use utoipa::{IntoParams, ToSchema};

/// The most rows of an answer, and how many without a wish.
const ROWS_MAX: usize = 1_000;
const ROWS: usize = 100;

/// Which rows.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct RowsQuery {
    /// How many to leave out first.
    pub skip: u64,
    /// How many, at most 1,000; without it 100.
    pub limit: Option<usize>,
}

/// Which workers.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
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
    /// Shares that counted in this run and in those before it. In a peer-to-peer pool 0: its nodes keep one log together.
    pub shares_logged: u64,
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
    /// Whether it is the one that is mined on.
    pub has_turn: bool,
    /// How long its answers take, where it has answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_ms: Option<f64>,
    /// The part of the questions to it that fail lately, 0 to 1.
    pub failure_rate: f64,
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
    let hashed = api.front.jobs.borrow().as_ref().map(|current| current.job.template.height.0);
    let farmed = || api.front.space.borrow().as_ref().map(|job| job.template.height.0);
    let height = hashed.or_else(farmed).unwrap_or(0);
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
        shares_logged: api.log.next().0,
        invalid_rate: rate(invalid, valid),
        blocks_found: api.metrics.blocks_found.get(),
        templates_avoided: api.metrics.templates_avoided(),
        upstreams: upstream_bodies(&api.upstreams),
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
    let has_job = pool.front.jobs.borrow().is_some() || pool.front.space.borrow().is_some();
    if has_job && pool.upstreams.are_ready(READY_WITHIN) {
        return Ok("ready");
    }
    Err(ApiError::unavailable("no node has given a template lately"))
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

fn upstream_bodies(upstreams: &Upstreams) -> Vec<UpstreamBody> {
    let active = upstreams.active();
    let body = |(number, status): (usize, UpstreamStatus)| {
        let UpstreamStatus { name, up, since, last_template, .. } = status;
        let health = upstreams.health(number);
        UpstreamBody {
            name,
            up,
            has_turn: number == active,
            answer_ms: health.latency.map(|latency| latency.as_secs_f64() * 1000.0),
            failure_rate: f64::from(health.failures_permille) / 1000.0,
            since: since.map(seconds),
            last_template: last_template.map(seconds),
        }
    };
    upstreams.statuses().into_iter().enumerate().map(body).collect()
}

/// Returns how many rows an answer has.
pub(super) fn limit(wish: Option<usize>) -> Result<usize, ApiError> {
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
