//! One whole block: asked for by its id, and offered in its bytes.

use super::ApiState;
use super::blocks::{BlockBody, SubmitBlockResponse, block_bodies, submitted};
use super::body::{JsonBody, PathPart};
use super::error::{ApiError, ErrorBody};
use super::shapes::{Hex, parse};
use crate::dag::DagColour;
use crate::server::ClientAddress;
use adit_chain::Block;
use adit_primitives::{BlockId, Decode, Encode};
use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Instant;
use utoipa::ToSchema;

/// A block with its place in the total order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BlockDetail {
    pub block: BlockBody,
    /// What the selected chain makes of it.
    pub colour: DagColour,
    /// How many blocks stand before it in the total order, once it is part of it.
    pub order: Option<u64>,
    /// The block of the selected chain whose application applied it.
    pub applied_by: Option<String>,
    /// The whole block in canonical bytes, as hex: what `POST /block` takes.
    #[schema(value_type = String)]
    pub bytes: Hex,
}

/// A whole block.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct OfferedBlock {
    /// Header and body in canonical bytes, as hex.
    #[schema(value_type = String)]
    pub bytes: Hex,
}

/// The most digits of a topoheight.
const TOPOHEIGHT_DIGITS_MAX: usize = 20;

/// Returns a block, named by its id or, in decimal digits, by its topoheight.
#[utoipa::path(get, path = "/block/{id}", tag = "chain", params(("id" = String, Path)), responses(
    (status = 200, body = BlockDetail),
    (status = 400, body = ErrorBody),
    (status = 404, body = ErrorBody, description = "no such block is known, or its body has not come"),
))]
pub async fn block(
    State(api): State<Arc<ApiState>>,
    PathPart(id): PathPart<String>,
) -> Result<Json<BlockDetail>, ApiError> {
    let id = named(&api, &id)?;
    let state = Arc::clone(&api);
    let read = move || {
        let reader = state.chain.reader();
        let block = reader.block(id).map_err(|error| ApiError::internal(&error))?;
        let Some((block, indexed)) = block.zip(reader.indexed(id)) else {
            return Err(ApiError::not_found(format!("no block {id} is known")));
        };
        let bytes = Hex(block.to_bytes());
        let standing = reader.standing(id);
        let colour = DagColour::of(&indexed, standing);
        let mut bodies = block_bodies(&state, &[(indexed, block)])?;
        let block = bodies.pop().ok_or_else(|| ApiError::not_found(format!("block {id} cannot be shown")))?;
        let order = standing.and_then(|standing| standing.topoheight);
        let applied_by = standing.and_then(|standing| standing.applied_by).map(|by| by.to_string());
        Ok(Json(BlockDetail { block, colour, order, applied_by, bytes }))
    };
    api.reads.run(read).await
}

/// Returns the id of a block that is named by it or by its topoheight, which has fewer digits.
fn named(api: &ApiState, name: &str) -> Result<BlockId, ApiError> {
    let number = Some(name).filter(|name| name.len() <= TOPOHEIGHT_DIGITS_MAX).and_then(|name| name.parse().ok());
    let Some(topoheight) = number else { return parse("id", name) };
    let unknown = || ApiError::not_found(format!("no block with topoheight {topoheight} is known"));
    api.chain.reader().id_at_topoheight(topoheight).ok_or_else(unknown)
}

/// Takes a whole block. What it shows by itself is checked on all cores; blocks are placed in the order in which that ends.
#[utoipa::path(post, path = "/block", tag = "chain", request_body = OfferedBlock, responses(
    (status = 200, body = SubmitBlockResponse, description = "the block is valid and kept: `accepted` or `stale`"),
    (status = 202, body = ErrorBody, description = "the block waits for its parent, or for its time"),
    (status = 400, body = ErrorBody, description = "the bytes are no block, or the block breaks a rule, which the message names"),
    (status = 409, body = ErrorBody, description = "the block is known"),
    (status = 503, body = ErrorBody, description = "the chain is busy"),
))]
pub async fn offer(
    State(api): State<Arc<ApiState>>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    JsonBody(offered): JsonBody<OfferedBlock>,
) -> Result<Json<SubmitBlockResponse>, ApiError> {
    let began = Instant::now();
    let wrong = |error: adit_primitives::DecodeError| ApiError::bad_request("bytes", error.to_string());
    let block = Block::from_bytes(&offered.bytes.0).map_err(wrong)?;
    let outcome = api.chain.submit_block(block, Some(from.ip())).await?;
    api.metrics.submission_seconds.observe(began.elapsed().as_secs_f64());
    Ok(Json(submitted(&outcome?, None)))
}
