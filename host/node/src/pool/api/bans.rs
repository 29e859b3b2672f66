//! Who is banned, and the end of a ban before its time. Both need the token: bans name miners' addresses.

use super::PoolApi;
use super::control::{OrderResponse, REASON_MAX, done};
use super::reads::{RowsQuery, limit};
use crate::api::body::{JsonBody, QueryPart};
use crate::api::error::{ApiError, ErrorBody};
use crate::api::shapes::seconds;
use crate::pool::hosting::LiftBan;
use adit_primitives::Timestamp;
use adit_primitives::accounts::{Ban, Banned};
use adit_protocol::stratum::server::USER_BYTES_MAX;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// Bans in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BansResponse {
    /// Addresses in their order, then names in theirs.
    pub bans: Vec<BanBody>,
    /// How many there are in all.
    pub total: usize,
}

/// A ban.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BanBody {
    /// The IP address, of IPv6 the first of its network of 64 bits; or the name, `<address>.<worker>`.
    pub who: String,
    /// `address` or `name`.
    pub kind: String,
    pub reason: String,
    /// When it ends by itself: seconds since 1970.
    pub until: f64,
    /// How long that is from now.
    pub seconds_left: f64,
}

/// Lists the bans in force. Needs the token.
#[utoipa::path(get, path = "/pool/bans", tag = "control", security(("token" = [])), params(RowsQuery), responses(
    (status = 200, body = BansResponse),
    (status = 400, body = ErrorBody),
    (status = 401, body = ErrorBody),
    (status = 503, body = ErrorBody, description = "no pool runs here"),
))]
pub async fn bans(
    State(api): State<Arc<PoolApi>>,
    QueryPart(query): QueryPart<RowsQuery>,
) -> Result<Json<BansResponse>, ApiError> {
    let max = limit(query.limit)?;
    let pool = api.running()?;
    let now = (pool.front.clock)();
    let (total, bans) = pool.warden.list(usize::try_from(query.skip).unwrap_or(usize::MAX), max, now);
    Ok(Json(BansResponse { bans: bans.into_iter().map(|ban| body(ban, now)).collect(), total }))
}

/// Lifts the ban of a name or of an address, over restarts too. The shares that led to it count no more. Recorded in the books. Needs the token.
#[utoipa::path(post, path = "/pool/bans/lift", tag = "control", security(("token" = [])), request_body = LiftBan, responses(
    (status = 200, body = OrderResponse),
    (status = 400, body = ErrorBody),
    (status = 401, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "nobody of that name or address is banned, or no pool runs here; the message says which"),
))]
pub async fn lift(
    State(api): State<Arc<PoolApi>>,
    JsonBody(wish): JsonBody<LiftBan>,
) -> Result<Json<OrderResponse>, ApiError> {
    if !(1..=USER_BYTES_MAX).contains(&wish.who.len()) {
        return Err(ApiError::bad_request("who", format!("who has 1 to {USER_BYTES_MAX} characters")));
    }
    if wish.reason.chars().count() > REASON_MAX {
        return Err(ApiError::bad_request("reason", format!("reason has at most {REASON_MAX} characters")));
    }
    done(&api, api.orders.lift_ban(wish).await)
}

fn body(ban: Ban, now: Timestamp) -> BanBody {
    let Ban { who, until, reason } = ban;
    let (kind, who) = match who {
        Banned::Origin(origin) => ("address", origin.to_string()),
        Banned::User(user) => ("name", user),
    };
    let left = until.to_millis().saturating_sub(now.to_millis());
    BanBody { who, kind: kind.to_owned(), reason, until: seconds(until), seconds_left: left as f64 / 1000.0 }
}
