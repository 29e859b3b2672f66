//! What farmers are asked on a chain whose blocks are won by plots, and the plots that wait to be registered.

use super::ApiState;
use super::body::JsonBody;
use super::error::{ApiError, ErrorBody};
use super::shapes::parse;
use crate::chain::plots::PlotsError;
use crate::server::ClientAddress;
use adit_primitives::contract::space::{Challenge, PlotKind, Registration};
use adit_primitives::{Hash256, Height, Target, Timestamp, U256};
use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// The most plots in one request.
pub const PLOTS_MAX: usize = 1_000;

/// What farmers are asked for the block of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpaceBody {
    /// Which plots count: `plain` or `hard`.
    pub plots: String,
    /// What leaves and nonces are scored under: 64 hexadecimal digits.
    pub challenge: String,
    /// The number that the score, a digest by the chain's hash plugin read as a little-endian integer, must not exceed: 64 hexadecimal digits, the highest
    /// first.
    pub target: String,
    /// The earliest time that a header which answers may carry, in milliseconds since 1970.
    pub opens_ms: u64,
    /// When the next challenge takes this one's place, in milliseconds since 1970.
    pub closes_ms: u64,
    /// The greatest height at which a plot may have been registered; none where plots need not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_by: Option<u64>,
    /// How many plots a header may register.
    #[serde(default)]
    pub registrations_max: u32,
    /// Plots that wait to be registered: whoever wins may put them into the claim.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub register: Vec<PlotBody>,
    /// The public key that whoever gave this template signs with, as 64 hexadecimal digits: plots of that key are farmed without its secret, and their proofs
    /// handed in with a signature of zeros. A pool's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
}

/// A plain plot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlotBody {
    /// The owner's public key, 64 hexadecimal digits.
    pub key: String,
    pub seed: String,
    /// How many leaves it has: a multiple of 1,024.
    pub leaves: u64,
    /// The root of the tree over them.
    pub root: String,
    /// The height at which the chain registered it; none where it has not. Ignored in requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered: Option<u64>,
}

/// Plots to be registered.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PlotsRequest {
    /// At most 1,000.
    pub plots: Vec<PlotBody>,
}

/// How plots stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlotsResponse {
    /// The same plots in the same order. Those that are not registered wait for a block that does it.
    pub plots: Vec<PlotBody>,
}

/// Has plots registered, and says which are.
#[utoipa::path(post, path = "/plots", tag = "mining", request_body = PlotsRequest, responses(
    (status = 200, body = PlotsResponse),
    (status = 400, body = ErrorBody, description = "a plot is none, or plots need not be registered on this chain"),
))]
pub async fn register(
    State(api): State<Arc<ApiState>>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    JsonBody(request): JsonBody<PlotsRequest>,
) -> Result<Json<PlotsResponse>, ApiError> {
    let plots = request.read()?;
    let chain = api.chain.clone();
    let register = move || {
        let heights = chain.plots().register(Some(from.ip()), &plots).map_err(|error| match error {
            PlotsError::NotNeeded => ApiError::bad_request("no-plots", error.to_string()),
            PlotsError::Fault(_) | PlotsError::Storage(_) => ApiError::internal(&error),
        })?;
        Ok(Json(PlotsResponse::new(&plots, &heights)))
    };
    api.reads.run(register).await
}

impl PlotsRequest {
    /// Reads the plots.
    pub fn read(&self) -> Result<Vec<Registration>, ApiError> {
        if self.plots.len() > PLOTS_MAX {
            let message = format!("plots has at most {PLOTS_MAX} entries, not {}", self.plots.len());
            return Err(ApiError::bad_request("plots", message));
        }
        self.plots.iter().map(PlotBody::read).collect()
    }
}

impl PlotsResponse {
    /// Shows plots, and where each is registered.
    pub fn new(plots: &[Registration], heights: &[Option<Height>]) -> Self {
        Self { plots: plots.iter().zip(heights).map(|(plot, height)| PlotBody::new(plot, *height)).collect() }
    }
}

impl SpaceBody {
    /// Shows what farmers are asked, and what they are asked to register.
    pub fn new(challenge: &Challenge, register: &[Registration]) -> Self {
        Self {
            plots: kind_name(challenge.plots).to_owned(),
            challenge: challenge.challenge.to_string(),
            target: challenge.target.to_string(),
            opens_ms: challenge.opens.to_millis(),
            closes_ms: challenge.closes.to_millis(),
            registered_by: challenge.registered_by.map(|height| height.0),
            registrations_max: challenge.registrations_max,
            register: register.iter().map(|plot| PlotBody::new(plot, None)).collect(),
            signer: None,
        }
    }

    /// Reads what farmers are asked. `None` where a field is none.
    pub fn read(&self) -> Option<(Challenge, Vec<Registration>)> {
        let challenge = Challenge {
            plots: [PlotKind::Plain, PlotKind::Hard].into_iter().find(|kind| kind_name(*kind) == self.plots)?,
            challenge: self.challenge.parse().ok()?,
            target: Target(U256::from_str_radix(&self.target, 16).ok()?),
            opens: Timestamp::from_millis(self.opens_ms),
            closes: Timestamp::from_millis(self.closes_ms),
            registered_by: self.registered_by.map(Height),
            registrations_max: self.registrations_max,
        };
        let register = self.register.iter().map(|plot| plot.read().ok()).collect::<Option<_>>()?;
        Some((challenge, register))
    }
}

impl PlotBody {
    /// Shows a plot.
    pub fn new(plot: &Registration, registered: Option<Height>) -> Self {
        Self {
            key: plot.key.to_string(),
            seed: plot.seed.to_string(),
            leaves: plot.leaves,
            root: plot.root.to_string(),
            registered: registered.map(|height| height.0),
        }
    }

    fn read(&self) -> Result<Registration, ApiError> {
        let hash = |field, text: &str| parse::<Hash256>(field, text);
        let plot = Registration {
            key: hash("key", &self.key)?,
            seed: hash("seed", &self.seed)?,
            leaves: self.leaves,
            root: hash("root", &self.root)?,
        };
        if plot.is_sound() {
            return Ok(plot);
        }
        Err(ApiError::bad_request("leaves", format!("leaves is a multiple of 1024, not {}", self.leaves)))
    }
}

/// Returns the word for a kind of plots.
pub const fn kind_name(kind: PlotKind) -> &'static str {
    match kind {
        PlotKind::Plain => "plain",
        PlotKind::Hard => "hard",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_read_as_it_was_shown() {
        let hash = |byte| Hash256([byte; 32]);
        let plot = Registration { key: hash(1), seed: hash(2), leaves: 2_048, root: hash(3) };
        let challenge = Challenge {
            plots: PlotKind::Plain,
            challenge: hash(9),
            target: Target(U256::from(77u64) << 200usize),
            opens: Timestamp::from_millis(5),
            closes: Timestamp::from_millis(9_007_199_254_740_993),
            registered_by: Some(Height(8)),
            registrations_max: 16,
        };
        let body = SpaceBody::new(&challenge, &[plot]);
        let text = serde_json::to_string(&body).unwrap();
        let read: SpaceBody = serde_json::from_str(&text).unwrap();
        assert_eq!(read.read(), Some((challenge, vec![plot])));
        assert_eq!(SpaceBody { plots: "soft".to_owned(), ..body }.read(), None);
    }
}
