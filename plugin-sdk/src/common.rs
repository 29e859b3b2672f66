//! Parts that the rules of many chains share. Nothing here is part of the contract: rules may bring their own.

pub mod difficulty;
pub mod hex;
pub mod subsidy;

pub use difficulty::times_easiest;
pub use hex::from_hex;
pub use subsidy::Subsidy;
