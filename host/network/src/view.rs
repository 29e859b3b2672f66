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
