//! Mining over HTTP: who is let in, what it is given to do, and its shares.

use super::PoolApi;
use crate::api::body::{JsonBody, QueryPart};
use crate::api::error::{ApiError, ErrorBody};
use crate::api::shapes::Hex;
use crate::pool::web::{WebError, WebJob, WebShare};
use crate::server::ClientAddress;
use adit_primitives::sha256d;
use adit_protocol::stratum::job::Choice;
use adit_protocol::stratum::server::USER_BYTES_MAX;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

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
    /// The height of the block: that of the block before it and one.
    pub height: u64,
    /// The block's place in the total order of the chain's blocks, counted from 0 for the genesis. It is the height: blocks whose headers have 80 bytes have one
    /// parent, and merge no others.
    pub topoheight: u64,
    /// The double SHA-256 of the job's header as it stands: version and time as below, the miner's own extranonce all zeros, nonce 0. Who computes the same puts
    /// coinbase, merkle root and header together as the pool does. Hexadecimal, in the order of the hash's bytes.
    pub header_hash: String,
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
#[into_params(parameter_in = Query)]
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

/// Lets a miner in that works over HTTP, and gives it its first job.
#[utoipa::path(post, path = "/pool/register", tag = "mining", request_body = RegisterRequest, responses(
    (status = 200, body = RegisterResponse),
    (status = 400, body = ErrorBody),
    (status = 403, body = ErrorBody, description = "the pool does not let it in; the message says why"),
    (status = 404, body = ErrorBody, description = "plots win this chain's blocks"),
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
    if pool.farmers.is_some() {
        return Err(ApiError::not_found(
            "on this chain plots win blocks, not work: farmers are served under /pool/farm",
        ));
    }
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

fn job_body(given: &WebJob) -> JobBody {
    let WebJob { assignment: work, height } = given;
    let job = &work.notify.job;
    let as_stated = Choice { version: job.version, time: job.time, nonce: 0 };
    let header = work.header(&vec![0; work.extranonce2_bytes], as_stated);
    let hex = |bytes: &[u8]| Hex(bytes.to_vec()).to_string();
    JobBody {
        job_id: work.notify.id.to_string(),
        height: height.0,
        topoheight: height.0,
        header_hash: hex(&sha256d(&header)),
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
