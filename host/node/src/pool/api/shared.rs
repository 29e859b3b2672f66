//! What blocks of a peer-to-peer pool pay: anybody may compare the answers of its nodes with each other, and with the chain.

use super::PoolApi;
use crate::api::body::PathPart;
use crate::api::error::{ApiError, ErrorBody};
use crate::api::shapes::decimal;
use crate::pool::shared::{SharedPool, job_of};
use adit_pool::money::credited::PaidOutput;
use adit_primitives::{Amount, BlockId};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// What a block pays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SplitResponse {
    /// The block. Without it: the one that miners work on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    pub height: u64,
    /// The certified round as which it pays: see `/pool/rounds`.
    pub round: u64,
    /// The round's root: the same at every node that pays the same.
    pub root: String,
    pub reward: String,
    pub reward_atoms: u64,
    /// In the order of the coinbase.
    pub outputs: Vec<SplitOutput>,
}

/// An output of a coinbase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SplitOutput {
    pub address: String,
    pub amount: String,
    pub amount_atoms: u64,
}

/// Says what the block that miners work on pays.
#[utoipa::path(get, path = "/pool/split", tag = "pool", responses(
    (status = 200, body = SplitResponse),
    (status = 404, body = ErrorBody, description = "the pool is this node's alone"),
    (status = 503, body = ErrorBody, description = "no pool runs here, or there is no work yet"),
))]
pub async fn split(State(api): State<Arc<PoolApi>>) -> Result<Json<SplitResponse>, ApiError> {
    let shared = shared(&api)?;
    let current = api.running()?.front.jobs.borrow().clone();
    let job = current.as_ref().and_then(|current| job_of(&current.job.template));
    let job = job.ok_or_else(|| ApiError::unavailable("there is no work yet"))?;
    let payouts = Arc::clone(&shared.payouts);
    let (asked, base) = (job.clone(), job.base);
    let outputs = tokio::task::spawn_blocking(move || payouts.pays(&asked)).await;
    let outputs = outputs.map_err(|error| ApiError::internal(&error))?;
    let outputs = outputs.map_err(|error| ApiError::unavailable(error.to_string()))?;
    Ok(Json(SplitResponse {
        hash: None,
        height: job.height.0,
        round: base.round,
        root: base.root.to_string(),
        reward: decimal(job.reward),
        reward_atoms: job.reward.to_atoms(),
        outputs: outputs.iter().map(|paid| output(&shared, paid)).collect(),
    }))
}

/// Says as which round a block of the chain pays, computed anew by this node: of the pool's newest blocks.
#[utoipa::path(get, path = "/pool/split/{hash}", tag = "pool", params(("hash" = String, Path)), responses(
    (status = 200, body = SplitResponse),
    (status = 404, body = ErrorBody, description = "no such block, or it does not pay as any of the newest rounds says"),
    (status = 503, body = ErrorBody, description = "no pool runs here"),
))]
pub async fn split_of(
    State(api): State<Arc<PoolApi>>,
    PathPart(hash): PathPart<String>,
) -> Result<Json<SplitResponse>, ApiError> {
    let shared = shared(&api)?;
    let id: BlockId = hash.parse().map_err(|_| ApiError::bad_request("hash", "a block's hash has 64 digits"))?;
    let payouts = Arc::clone(&shared.payouts);
    let found = tokio::task::spawn_blocking(move || payouts.recognize(id)).await;
    let found = found.map_err(|error| ApiError::internal(&error))?.map_err(|error| ApiError::internal(&error))?;
    let block = found.ok_or_else(|| ApiError::not_found("no block that pays as one of the newest rounds says"))?;
    Ok(Json(SplitResponse {
        hash: Some(block.id.to_string()),
        height: block.height.0,
        round: block.base.round,
        root: block.base.root.to_string(),
        reward: decimal(block.reward),
        reward_atoms: block.reward.to_atoms(),
        outputs: block.outputs.iter().map(|paid| output(&shared, paid)).collect(),
    }))
}

fn shared(api: &PoolApi) -> Result<SharedPool, ApiError> {
    api.running()?.shared.clone().ok_or_else(|| ApiError::not_found("this pool is its node's alone"))
}

fn output(shared: &SharedPool, paid: &PaidOutput) -> SplitOutput {
    let amount: Amount = paid.amount;
    SplitOutput {
        address: shared.payouts.address_of(paid.key),
        amount: decimal(amount),
        amount_atoms: amount.to_atoms(),
    }
}
