//! When a template is due for replacement: one rule for the miners of this process and for those that subscribe.

use crate::chain::Snapshot;
use adit_primitives::{BlockId, Timestamp};
use std::time::Duration;
use tokio::time::Instant;

/// The least time between two templates of one state: more transactions are no reason to hurry.
pub const SAME_STATE_INTERVAL: Duration = Duration::from_secs(1);

/// What a template was made for.
#[derive(Debug, Clone, PartialEq)]
pub struct Freshness {
    state_version: u64,
    difficulty: String,
    parents: Vec<BlockId>,
    pool_version: u64,
    made: Instant,
    expires: Timestamp,
}

impl Freshness {
    /// Takes down what a template is made for. Take the snapshot first: a template may only be newer.
    pub fn new(snapshot: &Snapshot, expires: Timestamp) -> Self {
        Self {
            state_version: snapshot.state_version,
            difficulty: snapshot.next.difficulty.clone(),
            parents: snapshot.next.parents.clone(),
            pool_version: snapshot.pool.version,
            made: Instant::now(),
            expires,
        }
    }

    /// Tells whether work on the template is in vain: the tip has moved, or the difficulty. Where blocks are merged, a find for a state
    /// that is gone is as good a block as any, until the next template comes.
    pub fn is_stale(&self, snapshot: &Snapshot) -> bool {
        snapshot.dag.is_none() && self.has_moved(snapshot)
    }

    /// Tells whether a better template can be had.
    pub fn is_outdated(&self, snapshot: &Snapshot, now: Timestamp) -> bool {
        self.has_moved(snapshot) || now >= self.expires || self.misses_transactions(snapshot, SAME_STATE_INTERVAL)
    }

    /// Returns when to look again although nothing happens.
    pub fn wake(&self, snapshot: &Snapshot, now: Timestamp) -> Instant {
        let left = Duration::from_millis(self.expires.to_millis().saturating_sub(now.to_millis()).max(1));
        let expiry = Instant::now() + left;
        let misses = self.misses_transactions(snapshot, Duration::ZERO);
        if misses { expiry.min(self.made + SAME_STATE_INTERVAL) } else { expiry }
    }

    fn has_moved(&self, snapshot: &Snapshot) -> bool {
        self.state_version != snapshot.state_version
            || self.difficulty != snapshot.next.difficulty
            || self.parents != snapshot.next.parents
    }

    fn misses_transactions(&self, snapshot: &Snapshot, age: Duration) -> bool {
        self.pool_version != snapshot.pool.version && self.made.elapsed() >= age
    }
}
