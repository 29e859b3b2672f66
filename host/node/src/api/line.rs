//! A WebSocket on which only the server speaks: bounded messages, and a subscriber that has gone is noticed.

use super::error::ApiError;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use std::time::Duration;
use tokio::time::Instant;

/// The most bytes that a subscriber may send in one message: it has nothing to say but "still here".
const MESSAGE_BYTES_MAX: usize = 1024;

/// How often a subscriber is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(15);

/// How many questions may stay without an answer: when another is due, the subscriber is dropped.
const QUESTIONS_MAX: u32 = 2;

/// How long a message may take to leave: a subscriber that does not read is dropped.
const SEND_TIME: Duration = Duration::from_secs(10);

/// The server's end.
pub struct Line {
    socket: WebSocket,
    presence: Presence,
}

impl Line {
    /// Takes a request to speak over a WebSocket, and bounds what its other end may send.
    pub fn bounds(upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>) -> Result<WebSocketUpgrade, ApiError> {
        let refused = |rejection: WebSocketUpgradeRejection| {
            ApiError::new(StatusCode::UPGRADE_REQUIRED, "websocket", rejection.body_text())
        };
        let upgrade = upgrade.map_err(refused)?;
        Ok(upgrade.max_message_size(MESSAGE_BYTES_MAX).max_frame_size(MESSAGE_BYTES_MAX))
    }

    /// Begins.
    pub fn new(socket: WebSocket) -> Self {
        Self { socket, presence: Presence::new(Instant::now()) }
    }

    /// Sends a text. `false`: the subscriber is gone.
    pub async fn say(&mut self, text: String) -> bool {
        self.send(Message::text(text)).await
    }

    /// Waits until the subscriber is gone, and asks it now and then whether it is. May be dropped and called again.
    pub async fn gone(&mut self) {
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(self.presence.due()) => {
                    if !self.presence.ask(Instant::now()) || !self.send(Message::Ping(Vec::new().into())).await {
                        return;
                    }
                }
                message = self.socket.recv() => match message {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                    Some(Ok(_)) => self.presence.heard(),
                },
            }
        }
    }

    /// Says good-bye.
    pub async fn close(mut self) {
        drop(tokio::time::timeout(SEND_TIME, self.socket.send(Message::Close(None))).await);
    }

    async fn send(&mut self, message: Message) -> bool {
        matches!(tokio::time::timeout(SEND_TIME, self.socket.send(message)).await, Ok(Ok(())))
    }
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
