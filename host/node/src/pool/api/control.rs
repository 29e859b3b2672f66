//! What an operator changes: the mode, whether a pool runs, its fees. Each needs the token.

use super::PoolApi;
use crate::api::body::JsonBody;
use crate::api::error::{ApiError, ErrorBody};
use crate::pool::hosting::{Configuration, OrderError, WriteOff};
use crate::settings::pool::PoolMode;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// The most characters of a reason.
pub(super) const REASON_MAX: usize = 500;

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

/// Takes a payment back that can be in no block any more, since what it spends is gone: its sums are owed again. Recorded in the books. Needs
/// the token.
#[utoipa::path(post, path = "/pool/payments/write-off", tag = "control", security(("token" = [])), request_body = WriteOff, responses(
    (status = 200, body = OrderResponse),
    (status = 400, body = ErrorBody),
    (status = 401, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "it may yet be in a block, or no pool runs here; the message says why"),
))]
pub async fn write_off(
    State(api): State<Arc<PoolApi>>,
    JsonBody(wish): JsonBody<WriteOff>,
) -> Result<Json<OrderResponse>, ApiError> {
    if !(1..=REASON_MAX).contains(&wish.reason.chars().count()) {
        return Err(ApiError::bad_request("reason", format!("reason has 1 to {REASON_MAX} characters")));
    }
    done(&api, api.orders.write_off(wish).await)
}

/// Answers an order.
pub(super) fn done(api: &PoolApi, outcome: Result<(), OrderError>) -> Result<Json<OrderResponse>, ApiError> {
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
