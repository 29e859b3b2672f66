//! Reads requests: what axum would answer in plain text becomes an [`ApiError`].

use super::error::ApiError;
use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

/// A JSON body.
#[derive(Debug, Clone, Copy)]
pub struct JsonBody<T>(pub T);

/// The query behind the path.
#[derive(Debug, Clone, Copy)]
pub struct QueryPart<T>(pub T);

/// What stands in the path.
#[derive(Debug, Clone, Copy)]
pub struct PathPart<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        Json::from_request(request, state).await.map(|Json(body)| Self(body)).map_err(|rejection| refusal(&rejection))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryPart<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        query.map(|Query(query)| Self(query)).map_err(|rejection| ApiError::bad_request("query", rejection.body_text()))
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathPart<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path: Result<Path<T>, PathRejection> = Path::from_request_parts(parts, state).await;
        path.map(|Path(path)| Self(path)).map_err(|rejection| ApiError::bad_request("path", rejection.body_text()))
    }
}

fn refusal(rejection: &JsonRejection) -> ApiError {
    let status = rejection.status();
    match (rejection, status) {
        (_, StatusCode::PAYLOAD_TOO_LARGE) => {
            ApiError::new(status, "too-large", "the request's body is larger than this node takes")
        }
        (JsonRejection::MissingJsonContentType(_), _) => {
            ApiError::new(status, "content-type", "send the header Content-Type: application/json")
        }
        (JsonRejection::JsonDataError(_) | JsonRejection::JsonSyntaxError(_), _) => {
            ApiError::bad_request("malformed", rejection.body_text())
        }
        _ => ApiError::bad_request("malformed", "the request's body could not be read"),
    }
}
