//! What a block does to the unspent outputs, and how that is undone.

use crate::{OutPoint, Output};
use adit_primitives::{Amount, Height};

/// An output that nobody has spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unspent {
    pub output: Output,
    /// The height of the block that created it.
    pub height: Height,
    pub coinbase: bool,
}

/// Why a transaction cannot be applied to the ledger as it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    #[error("transaction version {version} is not known")]
    Version { version: u32 },
    #[error("a payment needs an input")]
    NoInputs,
    #[error("a payment needs an output")]
    NoOutputs,
    #[error("output {index} pays nothing")]
    ZeroOutput { index: usize },
    #[error("{bytes} bytes of data, {max} are allowed")]
    Data { bytes: usize, max: usize },
    #[error("the transaction has {bytes} bytes, {max} are allowed")]
    Size { bytes: usize, max: usize },
    #[error("the outputs add up to more money than there can be")]
    OutputSum,
    #[error("output {previous} is spent twice within the transaction")]
    SpentTwice { previous: OutPoint },
    #[error("output {previous} does not exist or is spent already")]
    Missing { previous: OutPoint },
    #[error("coinbase output {previous} of height {created} may be spent from height {mature} on")]
    Immature { previous: OutPoint, created: Height, mature: Height },
    #[error("the signature of input {index} does not hold")]
    Signature { index: usize },
    #[error("the outputs pay {outputs:?}, the inputs hold {inputs:?}")]
    Overspent { inputs: Amount, outputs: Amount },
}

impl TransactionError {
    /// Returns the rule's name, as in `Violation::rule`.
    pub const fn rule(&self) -> &'static str {
        todo!()
    }
}
