//! Templates pushed over a WebSocket: miners hold one connection and learn of a new tip at once.

use super::ApiState;
use super::blocks::MineBlockResponse;
use super::body::QueryPart;
use super::error::{ApiError, ErrorBody};
use super::shapes::Hex;
use crate::chain::Client;
use crate::freshness::Freshness;
use crate::server::{ClientAddress, Place, ended};
use adit_chain::{TemplateRequest, WorkTemplate};
use adit_primitives::Timestamp;
use axum::Extension;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use utoipa::IntoParams;

/// The most bytes that a subscriber may send in one message: it has nothing to say but "still here".
const MESSAGE_BYTES_MAX: usize = 1024;

/// How often a subscriber is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(15);

/// How many questions may stay without an answer: when another is due, the subscriber is dropped.
const QUESTIONS_MAX: u32 = 2;

/// How many templates a subscription keeps: a find for one of the last may be on its way.
const KEPT: usize = 4;

/// How long a message may take to leave: a subscriber that does not read is dropped.
const SEND_TIME: Duration = Duration::from_secs(10);

/// Who subscribes.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
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
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let extra = query.extra.map_or_else(|| api.next_extra(), |extra| extra.0);
    let wanted = api.template_request(&query.miner_address, extra)?;
    let upgrade =
        upgrade.map_err(|rejection| ApiError::new(StatusCode::UPGRADE_REQUIRED, "websocket", rejection.body_text()))?;
    let full = |_| ApiError::unavailable("there are as many subscribers as this node takes");
    let place = Arc::clone(&api.subscribers).try_acquire_owned().map_err(full)?;
    let upgrade = upgrade.max_message_size(MESSAGE_BYTES_MAX).max_frame_size(MESSAGE_BYTES_MAX);
    Ok(upgrade.on_upgrade(move |socket| async move {
        api.metrics.subscribers.inc();
        let client = Client::Subscriber(from.ip());
        let kept = VecDeque::new();
        Subscription { api: Arc::clone(&api), client, wanted, socket, kept, _places: (place, connection) }.run().await;
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
    socket: WebSocket,
    /// Templates that it was sent, the newest last. Kept here they stay known, however many others ask.
    kept: VecDeque<Arc<WorkTemplate>>,
    /// Among the subscribers, and among the connections.
    _places: (OwnedSemaphorePermit, Place),
}

/// Whether a subscriber is still there. The questions have times of their own: what else wakes the subscription does not put them off.
struct Presence {
    /// When to ask next.
    due: Instant,
    /// Questions since it was heard last.
    unanswered: u32,
}

impl Presence {
    fn new(now: Instant) -> Self {
        Self { due: now + PING_INTERVAL, unanswered: 0 }
    }

    fn due(&self) -> Instant {
        self.due
    }

    fn heard(&mut self) {
        self.unanswered = 0;
    }

    /// Notes that a question is sent now, or tells that one more makes no sense.
    fn ask(&mut self, now: Instant) -> bool {
        self.due = now + PING_INTERVAL;
        self.unanswered += 1;
        self.unanswered <= QUESTIONS_MAX
    }
}

/// Why a subscription goes on.
enum Event {
    /// A fresh template is due.
    Fresh,
    /// It is time to ask whether the subscriber is there.
    Ask,
    /// The subscriber said something.
    Heard,
    /// It has gone, or the node ends.
    Over,
}

impl Subscription {
    async fn run(mut self) {
        let mut snapshots = self.api.chain.watch();
        let mut ending = self.api.ending.clone();
        let mut presence = Presence::new(Instant::now());
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
            let event = tokio::select! {
                changed = snapshots.changed() => if changed.is_ok() { Event::Fresh } else { Event::Over },
                () = tokio::time::sleep_until(wake) => Event::Fresh,
                () = tokio::time::sleep_until(presence.due()) => Event::Ask,
                message = self.socket.recv() => match message {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => Event::Over,
                    Some(Ok(_)) => Event::Heard,
                },
                () = ended(&mut ending) => Event::Over,
            };
            match event {
                Event::Fresh => {}
                Event::Heard => presence.heard(),
                Event::Ask => {
                    if !presence.ask(Instant::now()) || !self.send(Message::Ping(Vec::new().into())).await {
                        break;
                    }
                }
                Event::Over => break,
            }
        }
        drop(tokio::time::timeout(SEND_TIME, self.socket.send(Message::Close(None))).await);
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
                let _ = self.send(Message::text(serde_json::to_string(&body).expect("an answer is plain data"))).await;
                return None;
            }
        };
        self.send(Message::text(text)).await.then_some(expires)
    }

    fn keep(&mut self, template: Arc<WorkTemplate>) {
        self.kept.push_back(template);
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
    }

    async fn send(&mut self, message: Message) -> bool {
        matches!(tokio::time::timeout(SEND_TIME, self.socket.send(message)).await, Ok(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_that_never_answers_is_dropped_however_often_the_chain_moves() {
        let start = Instant::now();
        let mut presence = Presence::new(start);
        let mut asked = Vec::new();
        // The chain moves every second, and each time the subscription waits anew.
        for second in 0..60 {
            let now = start + Duration::from_secs(second);
            if presence.due() <= now {
                asked.push((second, presence.ask(now)));
            }
        }
        assert_eq!(asked, [(15, true), (30, true), (45, false)]);
    }

    #[test]
    fn a_subscriber_that_answers_stays() {
        let mut presence = Presence::new(Instant::now());
        for _ in 0..9 {
            assert!(presence.ask(presence.due()));
            presence.heard();
        }
    }
}
