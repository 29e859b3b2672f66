//! Transactions that wait, those that the ledger took, and what an address holds.

use super::ApiState;
use super::blocks::PAGE_BYTES_MAX;
use super::body::{JsonBody, PathPart, QueryPart};
use super::error::{ApiError, ErrorBody};
use super::shapes::{self, TransactionBody, decimal, parse};
use adit_chain::MempoolError;
use adit_primitives::{Amount, TxId};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// The most waiting transactions on a page, and how many without a wish.
pub const POOL_PAGE_MAX: usize = 1000;
const POOL_PAGE: usize = 100;

/// The most outputs of an address that are looked at.
const OUTPUTS_MAX: usize = 2000;

/// Which part of the pool.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PoolQuery {
    /// How many to pass over.
    pub from: Option<usize>,
    /// How many to show, at most 1,000; without it 100. Fewer come where they are large together.
    pub limit: Option<usize>,
}

/// The transactions that wait for a block, best fee rate first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PoolResponse {
    pub pending_transactions: Vec<TransactionBody>,
    /// How many wait in all.
    pub pool_size: usize,
    /// What all of them pay.
    pub total_fees: String,
    pub total_fees_atoms: u64,
}

/// A transaction was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransactionResponse {
    /// `accepted`: it waits for a block.
    pub status: String,
    pub transaction_id: String,
}

/// A transaction and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LocatedBody {
    /// `pending` or `confirmed`.
    pub status: String,
    pub transaction: TransactionBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_index: Option<u64>,
    /// 1 for a transaction of the newest block.
    pub confirmations: u64,
}

/// What an address holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HoldingsResponse {
    pub address: String,
    /// What may be spent in the next block. Waiting transactions are not counted.
    pub balance: String,
    pub balance_atoms: u64,
    /// Rewards that may not be spent yet.
    pub immature: String,
    pub immature_atoms: u64,
    pub unspent: Vec<UnspentBody>,
    /// Whether there are more outputs than were looked at: the sums are then too low.
    pub more: bool,
}

/// An output that may be spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnspentBody {
    pub transaction_id: String,
    pub output_index: u32,
    pub amount: String,
    pub amount_atoms: u64,
    /// The height of the block that created it.
    pub block_index: u64,
    pub coinbase: bool,
    /// Whether a waiting transaction spends it already.
    pub spent_by_pending: bool,
}

/// Returns transactions that wait for a block.
#[utoipa::path(get, path = "/transaction_pool", tag = "transactions", params(PoolQuery), responses(
    (status = 200, body = PoolResponse),
    (status = 400, body = ErrorBody),
))]
pub async fn transaction_pool(
    State(api): State<Arc<ApiState>>,
    QueryPart(query): QueryPart<PoolQuery>,
) -> Result<Json<PoolResponse>, ApiError> {
    let limit = query.limit.unwrap_or(POOL_PAGE);
    if !(1..=POOL_PAGE_MAX).contains(&limit) {
        return Err(ApiError::bad_request("limit", format!("limit lies between 1 and {POOL_PAGE_MAX}, not {limit}")));
    }
    let pool = api.chain.pool().await?;
    let total = Amount::checked_sum(pool.iter().map(|pending| pending.fee))
        .ok_or_else(|| ApiError::internal(&"the fees that wait add up to more than fits"))?;
    let mut bytes = 0;
    let page = pool.iter().skip(query.from.unwrap_or(0)).take(limit).take_while(|pending| {
        let first = bytes == 0;
        bytes += pending.size;
        first || bytes <= PAGE_BYTES_MAX
    });
    let pending = page.map(|pending| TransactionBody::new(&pending.transaction, Some(pending.fee), &api.prefix));
    Ok(Json(PoolResponse {
        pending_transactions: pending.collect(),
        pool_size: pool.len(),
        total_fees: decimal(total),
        total_fees_atoms: total.to_atoms(),
    }))
}

/// Takes a transaction.
#[utoipa::path(post, path = "/transaction", tag = "transactions", request_body = TransactionBody, responses(
    (status = 200, body = TransactionResponse),
    (status = 400, body = ErrorBody, description = "a field is wrong, or the transaction breaks a rule, which the message names"),
    (status = 409, body = ErrorBody, description = "it waits already, or spends what another one spends"),
    (status = 503, body = ErrorBody, description = "the pool is full of transactions that pay more, or the chain is busy"),
))]
pub async fn submit_transaction(
    State(api): State<Arc<ApiState>>,
    JsonBody(body): JsonBody<TransactionBody>,
) -> Result<Json<TransactionResponse>, ApiError> {
    let transaction = body.read(&api.prefix)?;
    let id = api.chain.submit_transaction(transaction).await??;
    Ok(Json(TransactionResponse { status: "accepted".to_owned(), transaction_id: id.to_string() }))
}

/// Returns a transaction.
#[utoipa::path(get, path = "/transaction/{id}", tag = "transactions", params(("id" = String, Path)), responses(
    (status = 200, body = LocatedBody),
    (status = 404, body = ErrorBody),
))]
pub async fn transaction(
    State(api): State<Arc<ApiState>>,
    PathPart(id): PathPart<String>,
) -> Result<Json<LocatedBody>, ApiError> {
    let id: TxId = parse("id", &id)?;
    if let Some(pending) = api.chain.pending(id).await? {
        let transaction = TransactionBody::new(&pending.transaction, Some(pending.fee), &api.prefix);
        let status = "pending".to_owned();
        return Ok(Json(LocatedBody { status, transaction, block_hash: None, block_index: None, confirmations: 0 }));
    }
    let reader = api.chain.reader().clone();
    let located = api.reads.run(move || reader.transaction(id).map_err(|error| ApiError::internal(&error))).await?;
    let located = located.ok_or_else(|| ApiError::not_found(format!("no transaction {id} is known")))?;
    let tip = api.chain.snapshot().tip.height.0;
    Ok(Json(LocatedBody {
        status: "confirmed".to_owned(),
        transaction: TransactionBody {
            transaction_id: id.to_string(),
            ..TransactionBody::new(&located.transaction, None, &api.prefix)
        },
        block_hash: Some(located.block.to_string()),
        block_index: Some(located.height.0),
        confirmations: (tip + 1).saturating_sub(located.height.0).max(1),
    }))
}

/// Returns what an address holds.
#[utoipa::path(get, path = "/address/{address}", tag = "transactions", params(("address" = String, Path)), responses(
    (status = 200, body = HoldingsResponse),
    (status = 400, body = ErrorBody),
))]
pub async fn address(
    State(api): State<Arc<ApiState>>,
    PathPart(text): PathPart<String>,
) -> Result<Json<HoldingsResponse>, ApiError> {
    let address = shapes::address(&api.prefix, "address", &text)?;
    let (reader, key) = (api.chain.reader().clone(), address.key);
    let held = api.reads.run(move || reader.holdings(key, OUTPUTS_MAX).map_err(|error| ApiError::internal(&error)));
    let held = held.await?;
    let pool = api.chain.pool().await?;
    let spent: std::collections::BTreeSet<_> =
        pool.iter().flat_map(|pending| pending.transaction.inputs.iter().map(|input| input.previous)).collect();
    let unspent = held.spendable.iter().map(|(point, unspent)| UnspentBody {
        transaction_id: point.transaction.to_string(),
        output_index: point.index,
        amount: decimal(unspent.output.amount),
        amount_atoms: unspent.output.amount.to_atoms(),
        block_index: unspent.height.0,
        coinbase: unspent.coinbase,
        spent_by_pending: spent.contains(point),
    });
    Ok(Json(HoldingsResponse {
        address: address.to_string(),
        balance: decimal(held.spendable_sum),
        balance_atoms: held.spendable_sum.to_atoms(),
        immature: decimal(held.immature_sum),
        immature_atoms: held.immature_sum.to_atoms(),
        unspent: unspent.collect(),
        more: held.more,
    }))
}

impl From<MempoolError> for ApiError {
    fn from(error: MempoolError) -> Self {
        let message = error.to_string();
        match error {
            MempoolError::Known { .. } => Self::new(StatusCode::CONFLICT, "known", message),
            MempoolError::Conflict { .. } => Self::new(StatusCode::CONFLICT, "conflict", message),
            MempoolError::Coinbase => Self::bad_request("coinbase", message),
            MempoolError::Fee { .. } => Self::bad_request("fee", message),
            MempoolError::Package { .. } | MempoolError::Replaced { .. } => Self::bad_request("package", message),
            MempoolError::Invalid(_) => Self::bad_request("invalid-transaction", message),
            MempoolError::Full => Self::new(StatusCode::SERVICE_UNAVAILABLE, "full", message),
            MempoolError::Storage(error) => Self::internal(&error),
        }
    }
}
