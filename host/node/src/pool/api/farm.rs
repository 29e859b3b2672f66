//! Farming for a pool: the routes of a node that a farmer needs, under `/pool/farm`. `adit miner --pool http://…` and whatever farms for a node speak them.

use super::PoolApi;
use crate::api::blocks::{BlockTemplate, MineBlockRequest, MineBlockResponse, MiningMetadata, SubmitBlockRequest};
use crate::api::body::{JsonBody, QueryPart};
use crate::api::error::{ApiError, ErrorBody};
use crate::api::line::Line;
use crate::api::push::SubscribeQuery;
use crate::api::shapes::{Hex, IdentityBody, WorkBody, decimal, difficulty_number, seconds};
use crate::api::space::{PlotsRequest, PlotsResponse, SpaceBody};
use crate::pool::farmers::{FarmerError, Farmers, Given};
use crate::server::{ClientAddress, Place, ended};
use adit_pool::work::share::target_of;
use adit_primitives::contract::space::SpaceProof;
use adit_primitives::contract::{PowInput, Template};
use adit_primitives::{Amount, Decode, Hash256};
use adit_protocol::stratum::server::USER_BYTES_MAX;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// How long to wait before work is asked for again that was not there.
const PAUSE: Duration = Duration::from_secs(1);

/// A partial proof counts: it is in the pool's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartialResponse {
    /// `accepted`.
    pub status: String,
}

/// How far the pool's chain is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FarmStatusResponse {
    /// The height that is farmed: so many blocks stand below.
    pub blockchain_length: u64,
}

/// Names the chain's rules, for farmers to compare with their own.
#[utoipa::path(get, path = "/pool/farm/identity", tag = "farming", responses(
    (status = 200, body = IdentityBody),
    (status = 404, body = ErrorBody, description = "plots win nothing on this chain"),
    (status = 503, body = ErrorBody, description = "no pool runs here"),
))]
pub async fn identity(State(api): State<Arc<PoolApi>>) -> Result<Json<IdentityBody>, ApiError> {
    Ok(Json(IdentityBody::new(api.farmers()?.identity())))
}

/// Says how far the pool's chain is.
#[utoipa::path(get, path = "/pool/farm/status", tag = "farming", responses(
    (status = 200, body = FarmStatusResponse),
    (status = 503, body = ErrorBody, description = "no pool runs here, or there is no job yet"),
))]
pub async fn status(State(api): State<Arc<PoolApi>>) -> Result<Json<FarmStatusResponse>, ApiError> {
    let job = api.farmers()?.jobs().borrow().clone().ok_or_else(|| farmer_error(&FarmerError::NoJob))?;
    Ok(Json(FarmStatusResponse { blockchain_length: job.template.height.0 }))
}

/// Returns what a farmer is asked: a compact template with the target of a share. `miner_address` may have a machine's name behind a dot.
#[utoipa::path(post, path = "/pool/farm/mine_block", tag = "farming", request_body = MineBlockRequest, responses(
    (status = 200, body = MineBlockResponse),
    (status = 403, body = ErrorBody, description = "the pool does not let it in; the message says why"),
    (status = 503, body = ErrorBody, description = "no pool runs here, it is full, or there is no job yet"),
))]
pub async fn mine_block(
    State(api): State<Arc<PoolApi>>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    JsonBody(request): JsonBody<MineBlockRequest>,
) -> Result<Json<MineBlockResponse>, ApiError> {
    let farmers = api.farmers()?;
    let given = work(&farmers, from.ip(), &request.miner_address).await?;
    Ok(Json(template(&given, farmers.signer())))
}

/// Pushes each new template, as an answer to `/pool/farm/mine_block`, in a text message.
#[utoipa::path(get, path = "/pool/farm/template", tag = "farming", params(SubscribeQuery), responses(
    (status = 101, description = "a WebSocket; each message is an answer to /pool/farm/mine_block", body = MineBlockResponse),
    (status = 403, body = ErrorBody, description = "the pool does not let it in; the message says why"),
    (status = 503, body = ErrorBody, description = "no pool runs here, it is full, or there is no job yet"),
))]
pub async fn subscribe(
    State(api): State<Arc<PoolApi>>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    Extension(connection): Extension<Place>,
    QueryPart(query): QueryPart<SubscribeQuery>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let (farmers, origin, user) = (api.farmers()?, from.ip(), query.miner_address);
    // Whoever is not let in hears why before anything is upgraded.
    work(&farmers, origin, &user).await?;
    let upgrade = Line::bounds(upgrade)?;
    Ok(upgrade.on_upgrade(move |socket| async move {
        let _connection = connection;
        push(&farmers, origin, &user, Line::new(socket)).await;
    }))
}

/// Takes a partial proof: `template_id` and `space_proof`. When it is answered with success, it is kept and counts.
#[utoipa::path(post, path = "/pool/farm/submit_block", tag = "farming", request_body = SubmitBlockRequest, responses(
    (status = 200, body = PartialResponse),
    (status = 400, body = ErrorBody, description = "it does not count; the message says why"),
    (status = 409, body = ErrorBody, description = "its template is not known"),
    (status = 503, body = ErrorBody, description = "no pool runs here"),
))]
pub async fn submit_block(
    State(api): State<Arc<PoolApi>>,
    JsonBody(request): JsonBody<SubmitBlockRequest>,
) -> Result<Json<PartialResponse>, ApiError> {
    let malformed = |detail: String| ApiError::bad_request("space-proof", detail);
    let (Some(id), Some(Hex(bytes))) = (request.template_id, &request.space_proof) else {
        return Err(malformed("template_id and space_proof are wanted".to_owned()));
    };
    let proof = SpaceProof::from_bytes(bytes).map_err(|error| malformed(format!("space_proof: {error}")))?;
    api.farmers()?.hand_in(id, proof).await.map_err(|error| farmer_error(&error))?;
    Ok(Json(PartialResponse { status: "accepted".to_owned() }))
}

/// Has plots registered, and says which are.
#[utoipa::path(post, path = "/pool/farm/plots", tag = "farming", request_body = PlotsRequest, responses(
    (status = 200, body = PlotsResponse),
    (status = 400, body = ErrorBody, description = "a plot is none"),
    (status = 503, body = ErrorBody, description = "no pool runs here, or its node does not say"),
))]
pub async fn register(
    State(api): State<Arc<PoolApi>>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    JsonBody(request): JsonBody<PlotsRequest>,
) -> Result<Json<PlotsResponse>, ApiError> {
    let plots = request.read()?;
    let heights = api.farmers()?.register(from.ip(), plots.clone()).await.map_err(|error| farmer_error(&error))?;
    Ok(Json(PlotsResponse::new(&plots, &heights)))
}

impl PoolApi {
    /// Returns the pool's farmers, while there is one.
    fn farmers(&self) -> Result<Arc<Farmers>, ApiError> {
        let farmers = self.running()?.farmers.clone();
        farmers
            .ok_or_else(|| ApiError::not_found("on this chain work wins blocks, not space: there is nothing to farm"))
    }
}

async fn work(farmers: &Farmers, origin: IpAddr, user: &str) -> Result<Given, ApiError> {
    if user.len() > USER_BYTES_MAX {
        let message = format!("miner_address has at most {USER_BYTES_MAX} characters");
        return Err(ApiError::bad_request("name", message));
    }
    farmers.work(origin.to_canonical(), user).await.map_err(|error| farmer_error(&error))
}

/// Sends each job until one side ends it.
async fn push(farmers: &Farmers, origin: IpAddr, user: &str, mut line: Line) {
    let (mut jobs, mut ending) = (farmers.jobs(), farmers.ending());
    loop {
        jobs.mark_unchanged();
        let text = match work(farmers, origin, user).await {
            Ok(given) => serde_json::to_string(&template(&given, farmers.signer())),
            Err(error) if error.status == StatusCode::SERVICE_UNAVAILABLE => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Err(error) => {
                let text = serde_json::to_string(&ErrorBody::from(&error)).expect("an answer is plain data");
                // It ends whether the farmer hears why or not.
                let _ = line.say(text).await;
                break;
            }
        };
        if !line.say(text.expect("an answer is plain data")).await {
            break;
        }
        tokio::select! {
            changed = jobs.changed() => if changed.is_err() { break },
            () = line.gone() => break,
            () = ended(&mut ending) => break,
        }
    }
    line.close().await;
}

fn template(given: &Given, signer: Hash256) -> MineBlockResponse {
    let Given { id, job, difficulty } = given;
    let template = &job.template;
    let target_difficulty = difficulty_number(&difficulty.work().to_string());
    let created = template.reward.to_atoms().saturating_sub(template.fees.to_atoms());
    let pow = PowInput { bytes: Vec::new(), nonce_offset: 0, nonce_bytes: 0, roll_offset: 0, roll_mask: 0 };
    MineBlockResponse {
        status: "template_created".to_owned(),
        block_template: BlockTemplate {
            template_id: *id,
            state_version: job.id.0.into(),
            index: template.height.0,
            previous_hash: template.previous.to_string(),
            transactions: None,
            timestamp: seconds(template.time),
            expires: seconds(template.challenge.closes),
            target_difficulty: target_difficulty.clone(),
            bits: template.bits,
            merkle_root: template.body_root.to_string(),
            parallel: false,
            shares: true,
            header: Hex(template.header.clone()),
            work: WorkBody::new(&Template { header: Vec::new(), pow, target: target_of(*difficulty) }),
            space: Some(SpaceBody {
                signer: Some(signer.to_string()),
                ..SpaceBody::new(&template.challenge, &template.register)
            }),
        },
        target_difficulty,
        mining_metadata: MiningMetadata {
            transaction_count: template.transactions.len().saturating_sub(1),
            total_fees: decimal(template.fees),
            total_fees_atoms: template.fees.to_atoms(),
            block_reward: decimal(Amount::from_atoms(created)),
            block_reward_atoms: created,
        },
    }
}

fn farmer_error(error: &FarmerError) -> ApiError {
    let (status, code) = match error {
        FarmerError::NoJob | FarmerError::Full | FarmerError::Unasked { .. } | FarmerError::Ending => {
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
        }
        FarmerError::Refused { .. } => (StatusCode::FORBIDDEN, "refused"),
        FarmerError::UnknownTemplate { .. } => (StatusCode::CONFLICT, "unknown-template"),
        FarmerError::TooFast => (StatusCode::BAD_REQUEST, "too-fast"),
        FarmerError::Share(refusal) => (StatusCode::BAD_REQUEST, refusal.name()),
    };
    ApiError::new(status, code, error.to_string())
}
