//! What a client reads when something is wrong: `{"error":{"code":…,"message":…}}`. It says what is wrong and how it would be right, and
//! nothing about the inside of the node.

use crate::chain::Unavailable;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// The body of every answer that is no success.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    pub error: ErrorDetail,
}

/// What is wrong.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ErrorDetail {
    /// A name that programs may branch on: it does not change.
    #[schema(example = "stale")]
    pub code: String,
    /// A sentence for people: it may change.
    pub message: String,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
    /// When asking again makes sense.
    pub retry_after: Option<Duration>,
}

impl ApiError {
    /// Makes a refusal with a status, a stable code and a message.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    /// The request is malformed.
    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// There is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", message)
    }

    /// The node cannot answer now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// Something failed that the client can do nothing about. What it was goes to the log, not to the client.
    pub fn internal(what: &dyn std::fmt::Display) -> Self {
        tracing::error!(error = %what, "a request failed inside the node");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the node failed to answer; its log says why")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(ErrorBody::from(&self))).into_response();
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_millis().div_ceil(1000).max(1).to_string();
            let value = HeaderValue::from_str(&seconds).expect("digits are a valid header value");
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}

impl From<&ApiError> for ErrorBody {
    fn from(error: &ApiError) -> Self {
        Self { error: ErrorDetail { code: error.code.to_owned(), message: error.message.clone() } }
    }
}

impl From<Unavailable> for ApiError {
    fn from(error: Unavailable) -> Self {
        Self { retry_after: Some(Duration::from_secs(1)), ..Self::unavailable(error.to_string()) }
    }
}
