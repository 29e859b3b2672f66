//! The machine's bounds and choices.

use crate::id::Class;
use std::time::Duration;

/// The score at which a peer is banned. A peer without fault has 0; faults take points, time gives them back.
pub const SCORE_BAN: i32 = -100;
/// Questions of one peer that the host answers at a time; one more is a fault.
pub const SERVES_OPEN_MAX: usize = 8;
/// The most sessions that a machine can hold, whatever the settings say.
pub const SESSIONS_LIMIT: usize = 128;

/// What a machine may take and how it speaks.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// This program, as peers see it: printable ASCII, at most [`crate::wire::AGENT_BYTES_MAX`] bytes.
    pub agent: String,
    /// How blocks, transactions, shares and votes are passed on.
    pub strategies: Strategies,
    /// Sessions at a time, at most [`SESSIONS_LIMIT`].
    pub sessions_max: usize,
    /// Peers to whom gossip passes an item at once; the others hear its id.
    pub mesh: usize,
    /// How long a new session may take to say hello.
    pub hello_time: Duration,
    /// Between pings.
    pub ping_interval: Duration,
    /// A session that said nothing for so long is left.
    pub silence_max: Duration,
    /// How long a peer may take to answer, besides what the bytes that are asked of it take.
    pub request_time: Duration,
    /// Bytes a second of the slowest line that is waited for: a peer may take so much longer to answer.
    pub line_rate_min: u64,
    /// How long the next block in order may keep others waiting before a second peer is asked for it and what was asked with it.
    pub stall_time: Duration,
    /// How long an item that is passed on may wait for others to be sent with it: by then some of those who are to have it have sent it themselves. What
    /// begins at this node waits a millisecond at most, and takes along what waits: a little less than the time of a batch of shares has what came after
    /// one batch go with the next. Zero: a frame for each.
    pub flush_interval: Duration,
    /// How long an id waits before it is told to those who were not sent the item itself.
    pub lazy_interval: Duration,
    /// How long after an id was heard its item is asked for, where it has not come by itself.
    pub repair_time: Duration,
    /// What a peer may send unasked.
    pub allowance: Allowance,
    /// How long a ban holds.
    pub ban_time: Duration,
    /// How long the address of a node of another chain is not dialled.
    pub foreign_time: Duration,
    /// How long what the host could not judge waits before it is tried again.
    pub fault_retry: Duration,
    /// Bytes of bodies that synchronisation may hold, asked for or here.
    pub window_bytes_max: usize,
    /// Blocks that synchronisation looks ahead.
    pub window_blocks_max: usize,
    /// Blocks handed to the host at a time.
    pub group_blocks_max: usize,
    /// Bytes of whole blocks handed to the host at a time, one block of any size excepted.
    pub group_bytes_max: usize,
    /// Bytes of live blocks, headers, transactions and items that may be at the host to be judged.
    pub judging_bytes_max: usize,
    /// Bytes of shares and votes kept for peers that missed them.
    pub store_bytes_max: usize,
    /// The largest block that an announcement carries whole. Zero: none.
    pub inline_block_bytes_max: usize,
    /// A session whose live queue holds more is slow: it is not sent what it can do without.
    pub slow_bytes: usize,
    /// A session that was slow for so long is left.
    pub slow_time: Duration,
}

/// A bucket of units: filled at a rate, emptied by what a peer sends. A unit is about a microsecond of this node's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    pub units_per_second: u64,
    /// What the bucket holds at most, and at first.
    pub burst: u64,
}

/// A strategy for each class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strategies {
    pub blocks: Strategy,
    pub transactions: Strategy,
    pub shares: Strategy,
    pub votes: Strategy,
}

/// To whom something new is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strategy {
    /// To everybody who has it not.
    Flood,
    /// To a few peers at once; the others hear the id a little later and ask if they miss it.
    Gossip,
    /// Along a tree: one peer in each bucket by XOR distance of the nodes' ids passes it on in its part. The others hear the
    /// id a little later.
    Structured,
    /// As gossip, over links that are cut where they bring what came before and made anew where something was missed: what
    /// is left is a tree of the fastest links.
    Adaptive,
}

impl Strategies {
    /// Every class by one strategy.
    pub const fn all(strategy: Strategy) -> Self {
        Self { blocks: strategy, transactions: strategy, shares: strategy, votes: strategy }
    }

    /// Each class as suits it: blocks and votes, which are few and urgent, flood; transactions and shares, which are many,
    /// are gossiped.
    pub const fn hybrid() -> Self {
        Self {
            blocks: Strategy::Flood,
            transactions: Strategy::Gossip,
            shares: Strategy::Gossip,
            votes: Strategy::Flood,
        }
    }

    /// Returns the strategy of a class.
    pub const fn of(&self, class: Class) -> Strategy {
        match class {
            Class::Blocks => self.blocks,
            Class::Transactions => self.transactions,
            Class::Shares => self.shares,
            Class::Votes => self.votes,
        }
    }
}

impl Settings {
    /// Returns how long so many bytes take on the slowest line that is waited for.
    pub fn line_time(&self, bytes: u64) -> Duration {
        Duration::from_millis(bytes.saturating_mul(1000) / self.line_rate_min.max(1))
    }

    /// The values that hold where an operator asks for no others.
    pub fn standard(agent: String) -> Self {
        const MIB: usize = 1 << 20;
        Self {
            agent,
            strategies: Strategies::hybrid(),
            sessions_max: 48,
            mesh: 6,
            hello_time: Duration::from_secs(10),
            ping_interval: Duration::from_secs(15),
            silence_max: Duration::from_secs(45),
            request_time: Duration::from_secs(20),
            line_rate_min: 64 << 10,
            stall_time: Duration::from_secs(2),
            flush_interval: Duration::from_millis(9),
            lazy_interval: Duration::from_millis(100),
            repair_time: Duration::from_millis(200),
            allowance: Allowance { units_per_second: 100_000, burst: 500_000 },
            ban_time: Duration::from_secs(3600),
            foreign_time: Duration::from_secs(3600),
            fault_retry: Duration::from_secs(5),
            window_bytes_max: 32 * MIB,
            window_blocks_max: 4096,
            group_blocks_max: 512,
            group_bytes_max: 4 * MIB,
            judging_bytes_max: 32 * MIB,
            store_bytes_max: 16 * MIB,
            inline_block_bytes_max: 2048,
            slow_bytes: MIB,
            slow_time: Duration::from_secs(20),
        }
    }
}
