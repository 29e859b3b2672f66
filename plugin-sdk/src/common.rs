//! Parts that many plugins share: the rules of chains, payout schemes, share validators. Nothing here is part of the contract: rules may bring their own.

pub mod difficulty;
pub mod fixed;
pub mod hex;
pub mod pace;
pub mod share_rules;
pub mod split;
pub mod subsidy;

pub use difficulty::times_easiest;
pub use hex::from_hex;
pub use pace::Pace;
pub use share_rules::{check_grace, judge_facts};
pub use split::{expected, proportional};
pub use subsidy::Subsidy;
