//! The pool's routes: what it does and holds is open to everyone, as JSON and as metrics; miners may work over them; what changes it, and whom it bans,
//! needs a token.
//!
//! Money comes twice: as a decimal string, and as an integer of atoms under the same name with `_atoms`.

#[allow(unused_qualifications, reason = "utoipa's path macro writes them")]
pub mod bans;
#[allow(unused_qualifications, reason = "utoipa's path macro writes them")]
pub mod control;
#[allow(unused_qualifications, reason = "utoipa's path macro writes them")]
pub mod farm;
#[allow(unused_qualifications, reason = "utoipa's path macro writes them")]
pub mod mining;
#[allow(unused_qualifications, reason = "utoipa's path macro writes them")]
pub mod reads;
#[allow(unused_qualifications, reason = "utoipa's path macro writes them")]
pub mod shared;

use super::READY_WITHIN;
use super::Running;
use super::hosting::{Orders, Standing};
use super::metrics::PoolReadout;
use crate::api::error::ApiError;
use crate::api::origin::Names;
use crate::rate::RateLimiter;
use crate::server::ClientAddress;
use crate::settings::Limits;
use crate::token::Token;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::watch;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What the handlers share.
pub struct PoolApi {
    /// Opens what changes something, and what is not everybody's to see.
    pub token: Token,
    pub standing: watch::Receiver<Standing>,
    pub orders: Orders,
}

/// Stands before the routes where no node's API does.
pub struct Guard {
    pub limits: Limits,
    pub limiter: Mutex<RateLimiter>,
    pub names: Names,
}

/// The document at `/pool/openapi.json`, without its paths: those come from the router.
#[derive(OpenApi)]
#[openapi(info(
    title = "Adit pool",
    description = "The API of an Adit pool. Times are seconds since 1970, with a fraction. Sums of money come twice: as a decimal string, and as an \
        integer of atoms under the same name with `_atoms`. Every refusal is `{\"error\":{\"code\":…,\"message\":…}}`."
))]
struct Document;

/// Returns the routes under `/pool`.
pub fn router(api: Arc<PoolApi>) -> Router {
    let (open, document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(reads::stats))
        .routes(routes!(reads::workers))
        .routes(routes!(reads::blocks))
        .routes(routes!(reads::payments))
        .routes(routes!(shared::split))
        .routes(routes!(shared::split_of))
        .routes(routes!(reads::metrics))
        .routes(routes!(reads::ready))
        .routes(routes!(control::mode))
        .routes(routes!(mining::register))
        .routes(routes!(mining::job))
        .routes(routes!(mining::share))
        .routes(routes!(farm::identity))
        .routes(routes!(farm::status))
        .routes(routes!(farm::mine_block))
        .routes(routes!(farm::subscribe))
        .routes(routes!(farm::submit_block))
        .routes(routes!(farm::register))
        .merge(
            OpenApiRouter::new()
                .routes(routes!(control::set_mode))
                .routes(routes!(control::start))
                .routes(routes!(control::stop))
                .routes(routes!(control::configure))
                .routes(routes!(control::write_off))
                .routes(routes!(bans::bans))
                .routes(routes!(bans::lift))
                .route_layer(from_fn_with_state(Arc::clone(&api), need_token)),
        )
        .split_for_parts();
    let document = axum::body::Bytes::from(document.to_json().expect("the document is plain data"));
    let json = [(header::CONTENT_TYPE, "application/json")];
    open.route("/pool/openapi.json", get(move || async move { (json, document) })).with_state(api)
}

/// Returns the routes by which a supervisor asks a pool that runs by itself whether it does, and whether miners can be served.
pub fn probes(api: Arc<PoolApi>) -> Router {
    let ready = get(reads::ready);
    Router::new().route("/healthz", get(|| async { "ok" })).route("/readyz", ready).with_state(api)
}

/// Puts the routes of a pool that runs by itself behind a guard.
pub fn standalone(pool: Router, guard: Guard) -> Router {
    pool.fallback(no_route).layer(from_fn_with_state(Arc::new(guard), bounds))
}

async fn no_route() -> ApiError {
    ApiError::not_found("there is no such route: /pool/openapi.json lists them")
}

async fn need_token(State(api): State<Arc<PoolApi>>, request: Request, next: Next) -> Result<Response, ApiError> {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if given.is_some_and(|given| api.token.opens(given)) {
        return Ok(next.run(request).await);
    }
    let message = "send the token of the data folder: Authorization: Bearer …";
    Err(ApiError::new(StatusCode::UNAUTHORIZED, "token", message))
}

/// Bounds who asks, how often, how much and for how long.
async fn bounds(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Result<Response, ApiError> {
    guard.names.check(request.uri().authority(), request.headers())?;
    if let Some(ClientAddress(address)) = request.extensions().get() {
        let admitted = guard.limiter.lock().unwrap_or_else(PoisonError::into_inner).admit(Instant::now(), address.ip());
        if let Err(too_many) = admitted {
            let message = "this address asks too often: wait as long as Retry-After says";
            let refusal = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", message);
            return Err(ApiError { retry_after: Some(too_many.wait), ..refusal });
        }
    }
    DefaultBodyLimit::max(guard.limits.request_bytes as usize).apply(&mut request);
    match tokio::time::timeout(guard.limits.request_time(), next.run(request)).await {
        Ok(response) => Ok(response),
        Err(_) => Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the request took too long")),
    }
}

impl PoolApi {
    /// Returns the pool, while there is one.
    fn running(&self) -> Result<Arc<Running>, ApiError> {
        let running = self.standing.borrow().running.clone();
        running.ok_or_else(|| ApiError::unavailable("no pool runs here: POST /pool/start starts one"))
    }
}

impl Running {
    /// Returns what the metrics are read off.
    pub fn readout(&self) -> PoolReadout {
        let (workers, hashes_per_second) = self.front.workers.totals((self.front.clock)());
        PoolReadout {
            connections: self.front.connections.count(),
            workers,
            hashes_per_second,
            shares_remembered: self.front.book.sizes().1,
            upstream_up: self.upstreams.are_ready(READY_WITHIN),
        }
    }
}
