//! The transactions that wait for a block.

use crate::{OutPoint, Transaction, TransactionError};
use adit_primitives::storage::StorageError;
use adit_primitives::{Amount, Hash256, Timestamp, TxId};

/// A transaction that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    pub id: TxId,
    pub transaction: Transaction,
    /// Its leaf in a body's merkle tree.
    pub leaf: Hash256,
    pub fee: Amount,
    /// Canonical bytes.
    pub size: usize,
    /// When this node first took it.
    pub since: Timestamp,
}

/// The transactions that wait, bounded and kept in order of fee rate.
#[derive(Debug)]
pub struct Mempool {}

/// Why a transaction does not wait for a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MempoolError {
    #[error("transaction {id} waits already")]
    Known { id: TxId },
    #[error("a coinbase comes with its block alone")]
    Coinbase,
    #[error(transparent)]
    Invalid(#[from] TransactionError),
    #[error("the fee of {fee:?} is below the least of {least:?}")]
    Fee { fee: Amount, least: Amount },
    #[error("output {previous} is spent by waiting transaction {by}; a replacement needs a fee of at least {least:?}")]
    Conflict { previous: OutPoint, by: TxId, least: Amount },
    #[error("{count} transactions depend on each other, {max} are allowed")]
    Package { count: usize, max: usize },
    #[error("the mempool is full of transactions that pay more")]
    Full,
    #[error(transparent)]
    Storage(#[from] StorageError),
}
