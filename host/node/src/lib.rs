//! The running whole: tasks, sockets, the API, the miner's connection to a node.
//!
//! The only crate with tokio and axum. It decides nothing about blocks or money: it carries requests to the chain's thread and answers back,
//! within bounds of size, time and number. It makes neither time nor randomness itself, and holds no lock over an `.await`.
//!
//! Reading order: [`settings`] is what an operator chooses; [`chain`] the thread that owns the chain; [`api`] the routes over it, [`token`],
//! [`rate`], [`tls`] and [`server`] what stands before them, [`freshness`] when a template is due; [`audit`] the record of changes and [`reload`] where they come from; [`turns`] whose turn it is
//! among several upstreams; [`retry`], [`client`] and [`mining`] the miner's side, [`farming`] the farmer's; [`run`] puts everything together; [`metrics`] what is counted, [`statistics`] what was
//! done over the newest blocks, [`anomaly`] what of that is out of the ordinary, [`dag`]
//! what a picture of the DAG shows. [`network`] is the node among others, [`pool`] the pool,
//! [`sharelog`] the shares of a pool that many nodes are.

pub mod anomaly;
pub mod api;
pub mod audit;
pub mod chain;
pub mod client;
pub mod clock;
pub mod dag;
pub mod farming;
pub mod freshness;
pub mod metrics;
pub mod mining;
pub mod network;
mod places;
pub mod pool;
pub mod rate;
pub mod reload;
pub mod retry;
pub mod run;
pub mod server;
pub mod settings;
pub mod sharelog;
pub mod statistics;
pub mod tls;
pub mod token;
pub mod turns;
