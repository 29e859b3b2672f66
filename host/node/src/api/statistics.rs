//! What was done over the newest blocks.

use super::ApiState;
use super::error::{ApiError, ErrorBody};
use crate::anomaly::AnomalyReport;
use crate::statistics::StatisticsReport;
use axum::Json;
use axum::extract::State;
use std::sync::Arc;

/// Returns what was found, accepted and refused over the newest blocks, and how long each part of the work took.
#[utoipa::path(get, path = "/stats", tag = "status", responses(
    (status = 200, body = StatisticsReport),
    (status = 503, body = ErrorBody, description = "the chain is busy"),
))]
pub async fn statistics(State(api): State<Arc<ApiState>>) -> Result<Json<StatisticsReport>, ApiError> {
    api.statistics().await.map(Json)
}

/// Returns what is watched for anomalies, and the ones that were found, the newest first.
#[utoipa::path(get, path = "/events", tag = "status", responses((status = 200, body = AnomalyReport)))]
pub async fn events(State(api): State<Arc<ApiState>>) -> Json<AnomalyReport> {
    Json((**api.anomalies.borrow()).clone())
}

impl ApiState {
    /// Asks the chain for its figures.
    pub async fn statistics(&self) -> Result<StatisticsReport, ApiError> {
        let report = self.chain.statistics().await?;
        Ok(StatisticsReport { uptime_seconds: self.started.elapsed().as_secs(), ..report })
    }
}
