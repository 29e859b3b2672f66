//! From an upstream's template to a share in the log.
//!
//! Nothing here believes a miner: a share counts because its header was built and hashed here, met its target, and was seen for the first
//! time. A plugin can only refuse more. Nothing here talks to a miner or to a node, and time comes in as an argument.
//!
//! Reading order: [`template`] is what is mined, [`bitcoin`] and [`adit`] make one of what a node says, [`job`] is a template as miners
//! know it, with the shares seen for it (`seen`), [`extranonce`] keeps their work apart, [`share`] is what they send and what they are answered, [`order`] which is looked at first, [`check`] decides,
//! [`log`](mod@log) keeps what counts. [`farm`] and [`partial`] are the same for farmers. [`workers`], [`retarget`], [`limits`] and [`bans`] are what is known of those who send.

pub mod adit;
pub mod bans;
pub mod bitcoin;
pub mod check;
pub mod extranonce;
pub mod farm;
pub mod job;
pub mod limits;
pub mod log;
pub mod order;
pub mod partial;
pub mod retarget;
mod seen;
pub mod share;
pub mod template;
pub mod workers;
