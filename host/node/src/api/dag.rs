//! Part of the DAG, for a picture.

use super::ApiState;
use super::body::QueryPart;
use super::error::{ApiError, ErrorBody};
use super::shapes::parse;
use crate::dag::{self, DEPTH, DEPTH_MAX, DagPart, DagWish};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::IntoParams;

/// Which part.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DagQuery {
    /// The id of a block to have in the middle; without it, the newest blocks are shown.
    pub around: Option<String>,
    /// Heights from the lowest to the highest block, at most 400; without it 30.
    pub depth: Option<u64>,
}

/// Returns blocks with their parents and colours, at most 400.
#[utoipa::path(get, path = "/dag", tag = "chain", params(DagQuery), responses(
    (status = 200, body = DagPart),
    (status = 400, body = ErrorBody),
    (status = 404, body = ErrorBody, description = "there is no such block"),
))]
pub async fn part(
    State(api): State<Arc<ApiState>>,
    QueryPart(query): QueryPart<DagQuery>,
) -> Result<Json<DagPart>, ApiError> {
    let around = query.around.as_deref().map(|text| parse("around", text)).transpose()?;
    let depth = query.depth.unwrap_or(DEPTH);
    if !(1..=DEPTH_MAX).contains(&depth) {
        return Err(ApiError::bad_request("depth", format!("depth lies between 1 and {DEPTH_MAX}, not {depth}")));
    }
    let state = Arc::clone(&api);
    let wish = DagWish { around, depth };
    let read = move || Ok(dag::part(state.chain.reader(), &state.identity.chain, wish));
    let found = api.reads.run(read).await?;
    found.map(Json).ok_or_else(|| ApiError::not_found("there is no such block"))
}
