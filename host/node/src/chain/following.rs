//! Brings back blocks that have waited for a parent: they are checked beside the chain's thread like any other.

use super::{ChainHandle, Request};
use std::sync::Arc;
use tokio::sync::Notify;

/// Has blocks checked and submitted whenever some are `ready`, until the chain's thread ends.
pub async fn follow(chain: ChainHandle, ready: Arc<Notify>) {
    loop {
        tokio::select! {
            () = ready.notified() => {}
            () = chain.ended() => return,
        }
        let mut checked = Vec::new();
        loop {
            let Ok(waited) = chain.ask_in_turn(|reply| Request::Follow { checked, reply }).await else { return };
            if waited.is_empty() {
                break;
            }
            checked = chain.checks.check_waited(waited).await;
        }
    }
}
