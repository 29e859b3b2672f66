//! Gives up headers whose bodies nobody has: they fill the room of others, and hold up the branch that is next best.

use super::NetworkStanding;
use crate::chain::ChainHandle;
use adit_primitives::BlockId;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long the same body may be the first that lacks, while there are peers to ask. The largest block takes half a minute through a slow line.
const PATIENCE: Duration = Duration::from_secs(300);

/// How often that is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// Which body lacks first, and since when.
#[derive(Debug, Default)]
struct Lacking(Option<(BlockId, Instant)>);

impl Lacking {
    /// Takes note of the first body that lacks now, if any does and somebody can be asked. Tells whether it has lacked for too long.
    fn has_lasted(&mut self, first: Option<BlockId>, now: Instant) -> bool {
        let since = match (self.0, first) {
            (Some((before, since)), Some(first)) if before == first => since,
            _ => now,
        };
        self.0 = first.map(|first| (first, since));
        now.duration_since(since) >= PATIENCE
    }
}

/// Has headers forgotten on whose bodies this node waits in vain, until the network or the chain ends.
pub async fn watch(chain: ChainHandle, standing: watch::Receiver<Arc<NetworkStanding>>) {
    let mut lacking = Lacking::default();
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while standing.has_changed().is_ok() {
        look.tick().await;
        let (best, asked) = (chain.snapshot().best_header.id, !standing.borrow().peers.is_empty());
        let first = if asked && best != chain.snapshot().tip.id { first_lacking(&chain, best).await } else { None };
        if lacking.has_lasted(first, Instant::now()) {
            let Ok(headers) = chain.forget_headers(best).await else { return };
            lacking = Lacking::default();
            tracing::warn!(headers, towards = %best, "nobody has the bodies of these headers: they are forgotten");
        }
    }
}

async fn first_lacking(chain: &ChainHandle, towards: BlockId) -> Option<BlockId> {
    let reader = chain.reader().clone();
    let first = move || reader.lacking_bodies(towards, 1).pop();
    tokio::task::spawn_blocking(first).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_given_up_when_it_alone_has_lacked_for_long() {
        let (one, other) = (Some(BlockId([1; 32])), Some(BlockId([2; 32])));
        let (start, mut lacking) = (Instant::now(), Lacking::default());
        let mut after = |patience: f64, first| lacking.has_lasted(first, start + PATIENCE.mul_f64(patience));
        for (patience, first) in [(0.0, one), (0.9, one), (1.0, other), (1.9, other), (2.5, None), (9.0, one)] {
            assert!(!after(patience, first), "{patience}");
        }
        assert!(after(10.0, one));
    }
}
