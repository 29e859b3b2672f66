//! What an operator changes: configuration and difficulty. Each needs the token, and each is recorded.

use super::ApiState;
use super::body::{JsonBody, QueryPart};
use super::error::{ApiError, ErrorBody};
use super::shapes::difficulty_number;
use crate::audit::{self, AuditEntry};
use crate::chain::{DifficultyChange, DifficultyError, DifficultyOrder};
use crate::reload::{Changes, RefreshRequest, Refused};
use crate::server::ClientAddress;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::Number;
use std::sync::Arc;
use tokio::sync::oneshot;
use utoipa::{IntoParams, ToSchema};

/// The most characters of a reason.
const REASON_MAX: usize = 500;

/// The most entries of the record on a page.
const AUDIT_PAGE_MAX: usize = 1000;

/// What reading the configuration again brought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RefreshResponse {
    /// `success`.
    pub status: String,
    pub message: String,
    /// By key: what it was and is, and whether it waits for a restart.
    pub changes: Changes,
}

/// An override of the difficulty.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DifficultyRequest {
    /// In the unit of `/status/detailed`.
    pub difficulty: u64,
    /// Replaces an override that is in force already.
    #[serde(default)]
    pub force: bool,
    /// Kept in the record, at most 500 characters.
    #[serde(default)]
    pub reason: String,
}

/// The end of an override.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RestoreRequest {
    /// Kept in the record, at most 500 characters.
    pub reason: String,
}

/// What the difficulty was, and is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DifficultyResponse {
    /// `success`.
    pub status: String,
    pub message: String,
    #[schema(value_type = f64)]
    pub old_difficulty: Number,
    #[schema(value_type = f64)]
    pub new_difficulty: Number,
    pub override_active: bool,
}

/// Which part of the record.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// The first sequence number; without it 1.
    pub from: Option<u64>,
    /// How many, at most 1,000; without it 100.
    pub limit: Option<usize>,
}

/// Part of the record of changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditResponse {
    pub entries: Vec<AuditEntry>,
}

/// Reads the configuration again, and applies what can change while the node runs. A wrong file changes nothing.
#[utoipa::path(post, path = "/config/refresh", tag = "control", security(("token" = [])), responses(
    (status = 200, body = RefreshResponse),
    (status = 401, body = ErrorBody),
    (status = 422, body = ErrorBody, description = "the file is wrong; what held before still holds"),
))]
pub async fn refresh(
    State(api): State<Arc<ApiState>>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
) -> Result<Json<RefreshResponse>, ApiError> {
    let (reply, answer) = oneshot::channel();
    let request = RefreshRequest { from: from.ip().to_string(), reply };
    api.refresh.try_send(request).map_err(|_| ApiError::unavailable("the configuration is being read already"))?;
    let stopped = |_| ApiError::unavailable("the configuration is not watched any more");
    let changes = answer.await.map_err(stopped)??;
    let waiting = changes.values().filter(|change| change.needs_restart).count();
    let message = match (changes.len(), waiting) {
        (0, _) => "Configuration reloaded, nothing has changed".to_owned(),
        (_, 0) => "Configuration reloaded successfully".to_owned(),
        (all, waiting) => format!("Configuration reloaded: {waiting} of {all} changes wait for a restart"),
    };
    Ok(Json(RefreshResponse { status: "success".to_owned(), message, changes }))
}

/// Overrides the difficulty, on networks whose rules allow that.
#[utoipa::path(post, path = "/difficulty/set", tag = "control", security(("token" = [])), request_body = DifficultyRequest, responses(
    (status = 200, body = DifficultyResponse),
    (status = 401, body = ErrorBody),
    (status = 403, body = ErrorBody, description = "this is mainnet"),
    (status = 409, body = ErrorBody, description = "an override is in force, or the rules refuse the difficulty"),
))]
pub async fn set_difficulty(
    State(api): State<Arc<ApiState>>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    JsonBody(request): JsonBody<DifficultyRequest>,
) -> Result<Json<DifficultyResponse>, ApiError> {
    let DifficultyRequest { difficulty, force, reason } = request;
    let from = from.ip().to_string();
    order(&api, DifficultyOrder { difficulty: Some(difficulty), force, reason, from }).await
}

/// Takes an override back: the configured difficulty holds again.
#[utoipa::path(post, path = "/difficulty/restore", tag = "control", security(("token" = [])), request_body = RestoreRequest, responses(
    (status = 200, body = DifficultyResponse),
    (status = 401, body = ErrorBody),
))]
pub async fn restore_difficulty(
    State(api): State<Arc<ApiState>>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    JsonBody(RestoreRequest { reason }): JsonBody<RestoreRequest>,
) -> Result<Json<DifficultyResponse>, ApiError> {
    order(&api, DifficultyOrder { difficulty: None, force: true, reason, from: from.ip().to_string() }).await
}

async fn order(api: &ApiState, order: DifficultyOrder) -> Result<Json<DifficultyResponse>, ApiError> {
    if api.identity.network == "mainnet" {
        let message = "on mainnet the difficulty is the rules' alone";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "mainnet", message));
    }
    if order.reason.chars().count() > REASON_MAX {
        return Err(ApiError::bad_request("reason", format!("reason has at most {REASON_MAX} characters")));
    }
    let DifficultyChange { old, new, forced } = api.chain.order_difficulty(order).await??;
    let message = if forced.is_some() { "Mining difficulty updated" } else { "Mining difficulty restored" };
    Ok(Json(DifficultyResponse {
        status: "success".to_owned(),
        message: message.to_owned(),
        old_difficulty: difficulty_number(&old),
        new_difficulty: difficulty_number(&new),
        override_active: forced.is_some(),
    }))
}

/// Returns the record of changes.
#[utoipa::path(get, path = "/audit", tag = "control", security(("token" = [])), params(AuditQuery), responses(
    (status = 200, body = AuditResponse),
    (status = 401, body = ErrorBody),
))]
pub async fn audit(
    State(api): State<Arc<ApiState>>,
    QueryPart(query): QueryPart<AuditQuery>,
) -> Result<Json<AuditResponse>, ApiError> {
    let limit = query.limit.unwrap_or(100).clamp(1, AUDIT_PAGE_MAX);
    let storage = Arc::clone(&api.storage);
    let first = query.from.unwrap_or(1);
    let read = move || audit::read(&*storage, first, limit).map_err(|error| ApiError::internal(&error));
    api.reads.run(read).await.map(|entries| Json(AuditResponse { entries }))
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "configuration", refused.to_string())
    }
}

impl From<DifficultyError> for ApiError {
    fn from(error: DifficultyError) -> Self {
        let message = error.to_string();
        match error {
            DifficultyError::Active { .. } => Self::new(StatusCode::CONFLICT, "override-active", message),
            DifficultyError::Refused(_) => Self::new(StatusCode::CONFLICT, "refused-by-rules", message),
            DifficultyError::Fault(fault) => Self::internal(&fault),
            DifficultyError::Storage(error) => Self::internal(&error),
        }
    }
}
