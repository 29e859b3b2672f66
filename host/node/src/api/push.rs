//! Templates pushed over a WebSocket: miners hold one connection and learn of a new tip at once.

use super::ApiState;
use super::blocks::MineBlockResponse;
use super::body::QueryPart;
use super::error::{ApiError, ErrorBody};
use super::line::Line;
use super::shapes::Hex;
use crate::chain::Client;
use crate::freshness::Freshness;
use crate::server::{ClientAddress, Place, ended};
use adit_chain::{TemplateRequest, WorkTemplate};
use adit_primitives::Timestamp;
use axum::Extension;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use utoipa::IntoParams;

/// How many templates a subscription keeps: a find for one of the last may be on its way.
const KEPT: usize = 4;

/// Who subscribes.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SubscribeQuery {
    /// Who is paid.
    pub miner_address: String,
    /// The miner's own bytes in the coinbase, as hex, at most 32. Without it the node gives each subscriber different ones, so that no two search
    /// the same inputs.
    #[param(value_type = Option<String>)]
    pub extra: Option<Hex>,
}

/// Pushes each new template, as a compact answer to `/mine_block`, in a text message.
#[utoipa::path(get, path = "/template", tag = "mining", params(SubscribeQuery), responses(
    (status = 101, description = "a WebSocket; each message is a compact answer to /mine_block", body = MineBlockResponse),
    (status = 400, body = ErrorBody),
    (status = 503, body = ErrorBody, description = "there are as many subscribers as this node takes"),
))]
pub async fn subscribe(
    State(api): State<Arc<ApiState>>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    Extension(connection): Extension<Place>,
    QueryPart(query): QueryPart<SubscribeQuery>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let extra = query.extra.map_or_else(|| api.next_extra(), |extra| extra.0);
    let wanted = api.template_request(&query.miner_address, extra)?;
    let upgrade = Line::bounds(upgrade)?;
    let full = |_| ApiError::unavailable("there are as many subscribers as this node takes");
    let place = Arc::clone(&api.subscribers).try_acquire_owned().map_err(full)?;
    Ok(upgrade.on_upgrade(move |socket| async move {
        api.metrics.subscribers.inc();
        let client = Client::Subscriber(from.ip());
        let kept = VecDeque::new();
        Subscription {
            api: Arc::clone(&api),
            client,
            wanted,
            line: Line::new(socket),
            kept,
            _places: (place, connection),
        }
        .run()
        .await;
        api.metrics.subscribers.dec();
    }))
}

impl ApiState {
    /// Returns coinbase bytes that no other subscriber of this run has.
    fn next_extra(&self) -> Vec<u8> {
        let number = self.subscriptions.fetch_add(1, Ordering::Relaxed);
        [self.run_id.to_le_bytes(), number.to_le_bytes()].concat()
    }
}

struct Subscription {
    api: Arc<ApiState>,
    client: Client,
    wanted: TemplateRequest,
    line: Line,
    /// Templates that it was sent, the newest last. Kept here they stay known, however many others ask.
    kept: VecDeque<Arc<WorkTemplate>>,
    /// Among the subscribers, and among the connections.
    _places: (OwnedSemaphorePermit, Place),
}

impl Subscription {
    async fn run(mut self) {
        let mut snapshots = self.api.chain.watch();
        let mut ending = self.api.ending.clone();
        let mut sent: Option<Freshness> = None;
        loop {
            let snapshot = snapshots.borrow_and_update().clone();
            if sent.as_ref().is_none_or(|sent| sent.is_outdated(&snapshot, (self.api.clock)())) {
                match self.push().await {
                    Some(expires) => sent = Some(Freshness::new(&snapshot, expires)),
                    None => break,
                }
            }
            let wake = sent.as_ref().map_or_else(Instant::now, |sent| sent.wake(&snapshot, (self.api.clock)()));
            tokio::select! {
                changed = snapshots.changed() => if changed.is_err() { break },
                () = tokio::time::sleep_until(wake) => {}
                () = self.line.gone() => break,
                () = ended(&mut ending) => break,
            }
        }
        self.line.close().await;
    }

    /// Sends a fresh template and returns when it expires, or `None` where the subscriber is gone.
    async fn push(&mut self) -> Option<Timestamp> {
        let (text, expires) = match self.api.template(self.client, self.wanted.clone()).await {
            Ok(template) => {
                let work = self.api.show(&template, true);
                let expires = template.expires;
                self.keep(template);
                (serde_json::to_string(&work).expect("an answer is plain data"), expires)
            }
            Err(error) if error.status.is_server_error() => {
                // The chain is busy for a moment: the next second will show.
                tracing::debug!(code = error.code, message = error.message, "no template for a subscriber");
                let soon = (self.api.clock)().to_millis().saturating_add(1000);
                return Some(Timestamp::from_millis(soon));
            }
            Err(error) => {
                let body = ErrorBody::from(&error);
                // It ends whether the subscriber hears why or not.
                let _ = self.line.say(serde_json::to_string(&body).expect("an answer is plain data")).await;
                return None;
            }
        };
        self.line.say(text).await.then_some(expires)
    }

    fn keep(&mut self, template: Arc<WorkTemplate>) {
        self.kept.push_back(template);
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
    }
}
