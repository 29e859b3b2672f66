//! What miners work on: a header without its proof, and the body that it commits to.

use crate::{Pending, PublicKey, Transaction};
use adit_primitives::contract::{PowInput, Requirements, Violation};
use adit_primitives::engine::Fault;
use adit_primitives::{Amount, Target, Timestamp};
use std::sync::Arc;

/// What a miner asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TemplateRequest {
    /// Who is paid.
    pub pay_to: PublicKey,
    /// The miner's own bytes in the coinbase: a message, an extranonce.
    pub extra: Vec<u8>,
    /// A difficulty other than the one computed, where the chain allows that.
    pub difficulty: Option<u64>,
}

/// Work for miners. It stays valid while [`WorkTemplate::state_version`] is the chain's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkTemplate {
    /// Unique within one run of the node.
    pub id: u64,
    /// [`crate::Chain::state_version`] when it was made.
    pub state_version: u64,
    /// When it was made.
    pub created: Timestamp,
    /// When a fresh one should be asked for.
    pub expires: Timestamp,
    /// The header without its proof.
    pub header: Vec<u8>,
    pub pow: PowInput,
    pub target: Target,
    /// The time in the header.
    pub time: Timestamp,
    /// Parents, bits, difficulty, height and subsidy.
    pub requirements: Requirements,
    /// What the transactions pay.
    pub fees: Amount,
    pub coinbase: Transaction,
    /// What follows the coinbase, in order.
    pub transactions: Arc<Vec<Arc<Pending>>>,
}

/// A proof that a miner found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Solution {
    pub nonce: u64,
    /// The little-endian `u32` at `PowInput::roll_offset` as it was hashed. Ignored where nothing may be rolled.
    pub rolled: u32,
}

/// Why there is no template, or no block from it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The rules refuse: most often a difficulty that was wished for.
    #[error("the rules allow no such block: {0}")]
    Refused(Violation),
    #[error("{bytes} bytes of coinbase data, {max} are allowed")]
    Extra { bytes: usize, max: usize },
    #[error("the rules named a parent that the chain does not have")]
    Parents,
    #[error("subsidy and fees add up to more money than there can be")]
    Reward,
    #[error(transparent)]
    Fault(#[from] Fault),
}
