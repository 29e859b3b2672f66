//! A network of many nodes in one process, by a clock of its own: what a chain's rules do before the chain is launched.
//!
//! Every node is the machine of `adit-network` that real nodes run; the rules are the chain's own plugin, through the same trait.
//! Only what is outside is simulated: lines with their latency, bandwidth and losses, clocks, and miners, who find blocks by
//! a random process at the difficulty that the rules ask for. Nobody hashes: proofs of work are taken as given. Nothing here opens a
//! socket or reads a clock, and every number drawn follows from the scenario's seed: the same scenario gives the same report, whatever
//! the machine and however many its threads.
//!
//! Reading order: [`scenario`] is what is simulated, [`report`] what comes of it, [`simulation`] the run. Beneath: [`world`] is what nodes
//! share ([`globe`], [`tree`] of blocks, [`transaction`]s), [`node`] one of them ([`knowledge`], [`link`]s), [`queue`] the events,
//! [`shard`] those of a thread, [`mining`] who finds blocks, [`tally`] what is counted, [`random`] the numbers.

mod globe;
mod knowledge;
mod link;
mod mining;
mod node;
mod queue;
mod random;
pub mod report;
pub mod scenario;
mod shard;
pub mod simulation;
mod tally;
mod text;
mod transaction;
mod tree;
mod world;

pub use report::Report;
pub use scenario::{Churn, HashRates, Partition, Scenario, ScenarioError, Surge, Topology};
pub use simulation::{Simulation, SimulationError};
pub use tree::RulesError;
