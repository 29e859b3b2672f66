//! The rounds of a peer-to-peer pool: who decides, what is certified, and who is credited.

use super::ApiState;
use super::body::PathPart;
use super::error::ApiError;
use crate::sharelog::{ShareLogHandle, ShareStanding, halt_reason};
use adit_network::NodeId;
use adit_network::shares::Past;
use adit_transport::NodeKey;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

/// The share log of a peer-to-peer pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoundsResponse {
    /// Whether this process takes part in a peer-to-peer pool. Where it does not, nothing else is said.
    pub enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolRoundsBody>,
}

/// How the nodes of a pool agree, as this one sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolRoundsBody {
    /// The digest of all that the nodes agreed on beforehand.
    pub id: String,
    /// This node's name.
    pub node: String,
    /// The newest certified round. 0 before the first.
    pub round: u64,
    pub root: String,
    /// The attempt at the round after it, from 0.
    pub view: u32,
    /// Who votes in it.
    pub validators: Vec<ValidatorBody>,
    /// The weight of all of them, as a decimal number.
    pub weight: String,
    /// The weight of those who were heard.
    pub weight_heard: String,
    /// Batches of shares that are in no certified round yet.
    pub batches: usize,
    /// Nothing was certified for long, though there are shares: payouts wait.
    pub waiting: bool,
    /// Rounds that others have certified and this node has not, so many at the least, once that lasts: its miners work on what is
    /// old. 0 where it is level.
    #[serde(default)]
    pub behind: u64,
    /// Why this node takes no further part, where it does not.
    pub halted: Option<String>,
    /// Nodes that sent a wrong share, or signed what is not so, since this one started.
    pub liars: Vec<String>,
}

/// A node that votes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ValidatorBody {
    pub node: String,
    /// Verified work within the window, capped, as a decimal number.
    pub weight: String,
}

/// A certified round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoundResponse {
    pub round: u64,
    pub root: String,
    /// Who is credited with what, by account, worker and node.
    pub credits: Vec<CreditBody>,
    /// Everybody who was proven to lie up to this round.
    pub punished: Vec<String>,
}

/// What a worker is credited with in a round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreditBody {
    pub account: String,
    pub worker: String,
    /// The node that took the shares.
    pub node: String,
    pub shares: u64,
    /// Their expected hashes, as a decimal number.
    pub work: String,
}

fn name(node: NodeId) -> String {
    NodeKey(node.0).to_string()
}

impl PoolRoundsBody {
    fn new(log: &ShareLogHandle, standing: &ShareStanding) -> Self {
        let ShareStanding { view, liars, failure, .. } = standing;
        let validator = |(node, weight): (NodeId, u128)| ValidatorBody { node: name(node), weight: weight.to_string() };
        Self {
            id: log.rounds().pool().to_string(),
            node: name(log.node()),
            round: view.base.round,
            root: view.base.root.to_string(),
            view: view.view,
            validators: view.validators.nodes().map(validator).collect(),
            weight: view.validators.total().to_string(),
            weight_heard: view.heard.to_string(),
            batches: view.batches,
            waiting: view.waiting,
            behind: view.behind.map_or(0, |lag| lag.rounds),
            halted: failure.clone().or_else(|| view.halted.as_ref().map(halt_reason)),
            liars: liars.iter().copied().map(name).collect(),
        }
    }
}

impl RoundResponse {
    fn new(past: &Past) -> Self {
        let mut sums = BTreeMap::<_, (u64, u128)>::new();
        for credit in &past.credits {
            let (shares, work) = sums.entry((&credit.account, &credit.worker, credit.node)).or_default();
            *shares += 1;
            *work += u128::from(credit.difficulty.work());
        }
        let credits = sums.into_iter().map(|((account, worker, node), (shares, work))| CreditBody {
            account: account.clone(),
            worker: worker.clone(),
            node: name(node),
            shares,
            work: work.to_string(),
        });
        Self {
            round: past.base.round,
            root: past.base.root.to_string(),
            credits: credits.collect(),
            punished: past.punished.iter().copied().map(name).collect(),
        }
    }
}

fn share_log(api: &ApiState) -> Option<ShareLogHandle> {
    api.network.as_ref()?.share_log()
}

/// Returns how the nodes of this process's peer-to-peer pool agree.
#[utoipa::path(get, path = "/pool/rounds", tag = "status", responses((status = 200, body = RoundsResponse)))]
pub async fn rounds(State(api): State<Arc<ApiState>>) -> Json<RoundsResponse> {
    let pool = share_log(&api).map(|log| {
        let standing = log.standing().borrow().clone();
        PoolRoundsBody::new(&log, &standing)
    });
    Json(RoundsResponse { enabled: pool.is_some(), pool })
}

/// Returns who is credited with what in a certified round of this process's peer-to-peer pool.
#[utoipa::path(get, path = "/pool/rounds/{round}", tag = "status", params(("round" = u64, Path, description = "Its number, from 1")), responses(
    (status = 200, body = RoundResponse),
    (status = 400, body = super::error::ErrorBody),
    (status = 404, body = super::error::ErrorBody),
))]
pub async fn round(
    State(api): State<Arc<ApiState>>,
    PathPart(round): PathPart<u64>,
) -> Result<Json<RoundResponse>, ApiError> {
    let log = share_log(&api).ok_or_else(|| ApiError::not_found("this process takes part in no peer-to-peer pool"))?;
    let read = api.reads.run(move || {
        let past = log.rounds().past(round).map_err(|error| ApiError::internal(&error))?;
        let past = past.ok_or_else(|| ApiError::not_found("that round is not certified here"))?;
        Ok(RoundResponse::new(&past))
    });
    read.await.map(Json)
}
