//! What people see of the network: the peers, and how far the node is.

use crate::id::{Address, Direction, Moment, NodeId, SessionId, Tip};
use crate::wire::Features;
use adit_primitives::Height;
use std::time::Duration;

/// A peer as `adit peers` shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerView {
    pub session: SessionId,
    pub node: NodeId,
    pub address: Address,
    pub direction: Direction,
    /// The peer's program: printable ASCII, escaped.
    pub agent: String,
    pub features: Features,
    /// Where the peer listens, as it says.
    pub listen: Vec<Address>,
    /// A running mean of the round trip; none before the first.
    pub latency: Option<Duration>,
    /// 0 for a peer without fault, down to [`crate::settings::SCORE_BAN`], where it is banned.
    pub score: i32,
    /// The end of its chain, as it last claimed.
    pub tip: Tip,
    /// When the session began.
    pub since: Moment,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Frames that were dropped because the peer read too slowly.
    pub dropped: u64,
}

/// How far the node is behind its peers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SyncView {
    pub phase: Phase,
    /// Height of the heaviest header here.
    pub headers: Height,
    /// Height of the tip: blocks whole and valid.
    pub blocks: Height,
    /// The height claimed by the peer with the most work, no less than `headers`.
    pub target: Height,
    /// Blocks placed a second, over the last seconds.
    pub blocks_per_second: f64,
    /// Headers placed a second, over the last seconds.
    pub headers_per_second: f64,
}

/// What synchronisation is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is known to be missing.
    Idle,
    /// Headers come.
    Headers,
    /// All headers are here, bodies come.
    Blocks,
}

/// What the machine counted since it began, for metrics and for comparing strategies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    pub frames_in: u64,
    pub frames_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Shares and votes that came for the first time.
    pub items_first: u64,
    /// Shares and votes that had come before.
    pub items_again: u64,
    /// Shares and votes that had to be asked for, since only their ids came.
    pub items_repaired: u64,
    /// Block announcements that told nothing new.
    pub notices_again: u64,
    /// Frames that were not sent to a peer that read too slowly.
    pub dropped: u64,
    /// Frames refused because a peer's allowance was spent.
    pub refused: u64,
    /// Requests that nobody answered in time.
    pub timeouts: u64,
    pub bans: u64,
}

/// Events counted over the last seconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rate {
    /// By second, modulo their number.
    seconds: [(u64, u64); RATE_SECONDS],
}

/// Seconds over which a rate is taken.
const RATE_SECONDS: usize = 8;

impl Rate {
    /// Counts events.
    pub fn count(&mut self, now: Moment, events: usize) {
        let second = now.to_millis() / 1000;
        let place = &mut self.seconds[usize::try_from(second % RATE_SECONDS as u64).expect("below eight")];
        *place = if place.0 == second { (second, place.1 + events as u64) } else { (second, events as u64) };
    }

    /// Returns the events of a second, over the whole seconds that have passed and the one that runs.
    pub fn per_second(&self, now: Moment) -> f64 {
        let second = now.to_millis() / 1000;
        let lately = |at: u64| at <= second && second - at < RATE_SECONDS as u64;
        let events: u64 = self.seconds.iter().filter(|(at, _)| lately(*at)).map(|(_, events)| events).sum();
        let millis = now.to_millis().min((RATE_SECONDS as u64 - 1) * 1000 + now.to_millis() % 1000).max(1);
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let rate = events as f64 * 1000.0 / millis as f64;
        rate
    }
}
