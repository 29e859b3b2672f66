//! Making transactions: choosing what to spend, change, fee, signatures.

use crate::{Mempool, OutPoint, PublicKey, SecretKey, Transaction, Unspent};
use adit_primitives::{Amount, Hash256};

/// A payment to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    pub to: PublicKey,
    pub amount: Amount,
    /// In atoms for each 1,000 bytes, rounded up.
    pub fee_per_kilobyte: Amount,
}

/// Why a payment cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaymentError {
    #[error("a payment of nothing")]
    Nothing,
    #[error("{need:?} are needed with the fee, {spendable:?} may be spent")]
    Funds { need: Amount, spendable: Amount },
    #[error("the payment needs more than {max} inputs")]
    Inputs { max: usize },
    #[error("the amounts add up to more money than there can be")]
    Overflow,
}

/// Makes and signs a payment from outputs that all belong to `key`; what is left goes back to it.
pub fn pay(
    _chain: &Hash256,
    _payment: &Payment,
    _spendable: &[(OutPoint, Unspent)],
    _key: &SecretKey,
) -> Result<Transaction, PaymentError> {
    todo!()
}

/// Leaves out what waiting transactions spend already.
pub fn without_pending(_spendable: Vec<(OutPoint, Unspent)>, _mempool: &Mempool) -> Vec<(OutPoint, Unspent)> {
    todo!()
}
