//! What is simulated: the network, the miners, what goes wrong, for how long.

use adit_network::Strategies;
use std::time::Duration;

/// Microseconds since the simulation began.
pub type Micros = u64;

/// The most nodes.
pub const NODES_MAX: u32 = 20_000;

/// Everything that a simulation depends on, besides the chain's rules: the same scenario gives the same report to the last byte.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    pub seed: u64,
    /// At least 2, at most [`NODES_MAX`].
    pub nodes: u32,
    /// The first so many nodes mine.
    pub miners: u32,
    pub hash_rates: HashRates,
    /// Sessions that each node opens; others open as many with it on average.
    pub peers: u32,
    pub topology: Topology,
    /// The mean time of a byte from one node to another.
    pub latency: Duration,
    /// Bytes a second that a node sends at most, and as many that it takes.
    pub bandwidth: u64,
    /// How many of a million packets are lost. The stream brings them again, later: what is behind them waits.
    pub loss_ppm: u32,
    /// How long is mined. The network runs on for [`Scenario::settle`], so that the last blocks reach everybody.
    pub duration: Duration,
    pub settle: Duration,
    /// The mean time between blocks at the difficulty that the rules first ask for: it gives the miners' hash rate.
    pub interval: Duration,
    pub surge: Option<Surge>,
    pub strategies: Strategies,
    pub partition: Option<Partition>,
    pub churn: Option<Churn>,
    /// Transactions a second in all.
    pub transactions: f64,
    /// Shares a second in all, of 200 bytes, none of which is a block.
    pub shares: f64,
    /// The most bytes of a block.
    pub block_bytes_max: usize,
    /// Threads that work on it: no part of what comes out.
    pub threads: usize,
}

/// How the hash rate is shared among the miners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashRates {
    /// All have the same.
    Equal,
    /// The second has half of what the first has, the third a third, and so on: about what pools of large chains have.
    Skewed,
}

/// With whom a node opens sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topology {
    /// Anybody.
    Random,
    /// Every second peer is the nearest of eight drawn at random.
    Near,
}

/// The hash rate changes once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Surge {
    pub at: Duration,
    /// What the hash rate is multiplied by from then on.
    pub factor: f64,
}

/// Two halves of the network hear nothing of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    pub from: Duration,
    pub to: Duration,
}

/// Nodes go without a word, and come back with what they knew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Churn {
    /// The mean time that a node stays.
    pub up: Duration,
    /// The mean time that it is away.
    pub away: Duration,
}

/// Why a scenario cannot be simulated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    #[error("{nodes} nodes are not between 2 and {NODES_MAX}")]
    Nodes { nodes: u32 },
    #[error("{miners} miners are not between 1 and the {nodes} nodes")]
    Miners { miners: u32, nodes: u32 },
    #[error("{peers} sessions for each node are not between 1 and 24")]
    Peers { peers: u32 },
    #[error("the {what} is not more than nothing")]
    Nothing { what: &'static str },
    #[error("{loss_ppm} of a million packets is more than half of them")]
    Loss { loss_ppm: u32 },
    #[error("the partition does not end after it begins")]
    Partition,
}

impl Scenario {
    /// Returns a network of ordinary nodes for so long, at a mean time between blocks. Nothing goes wrong in it.
    pub fn standard(duration: Duration, interval: Duration) -> Self {
        Self {
            seed: 1,
            nodes: 200,
            miners: 20,
            hash_rates: HashRates::Skewed,
            peers: 8,
            topology: Topology::Random,
            latency: Duration::from_millis(100),
            bandwidth: 12_500_000,
            loss_ppm: 0,
            duration,
            settle: Duration::from_secs(90),
            interval,
            surge: None,
            strategies: Strategies::hybrid(),
            partition: None,
            churn: None,
            transactions: 0.0,
            shares: 0.0,
            block_bytes_max: 1_000_000,
            threads: 1,
        }
    }

    /// Checks that the scenario can be simulated.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let nothing = |what| Err(ScenarioError::Nothing { what });
        if !(2..=NODES_MAX).contains(&self.nodes) {
            Err(ScenarioError::Nodes { nodes: self.nodes })
        } else if !(1..=self.nodes).contains(&self.miners) {
            Err(ScenarioError::Miners { miners: self.miners, nodes: self.nodes })
        } else if !(1..=24).contains(&self.peers) {
            Err(ScenarioError::Peers { peers: self.peers })
        } else if self.latency.is_zero() {
            nothing("latency")
        } else if self.bandwidth == 0 {
            nothing("bandwidth")
        } else if self.duration.is_zero() {
            nothing("duration")
        } else if self.interval.is_zero() {
            nothing("time between blocks")
        } else if self.surge.is_some_and(|surge| surge.factor.is_nan() || surge.factor <= 0.0) {
            nothing("hash rate")
        } else if self.loss_ppm > 500_000 {
            Err(ScenarioError::Loss { loss_ppm: self.loss_ppm })
        } else if self.partition.is_some_and(|partition| partition.to <= partition.from) {
            Err(ScenarioError::Partition)
        } else {
            Ok(())
        }
    }

    /// Tells whether two nodes hear nothing of each other: in a partition nodes of even numbers are one half, the others the other.
    pub fn parted(&self, now: Micros, one: u32, other: u32) -> bool {
        let within = |partition: &Partition| (micros(partition.from)..micros(partition.to)).contains(&now);
        one % 2 != other % 2 && self.partition.as_ref().is_some_and(within)
    }
}

/// Returns whole microseconds.
pub fn micros(duration: Duration) -> Micros {
    duration.as_micros().try_into().unwrap_or(u64::MAX)
}
