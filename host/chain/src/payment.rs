//! Making transactions: choosing what to spend, change, fee, signatures.

use crate::transaction::TRANSACTION_VERSION;
use crate::{Input, Mempool, OutPoint, Output, SecretKey, Signature, Transaction, Unspent};
use adit_primitives::{Amount, Hash256};
use std::cmp::Reverse;

/// The most inputs of a payment that [`pay`] makes.
pub const INPUTS_MAX: usize = 500;

/// A payment to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// Who gets how much.
    pub outputs: Vec<Output>,
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

/// Makes and signs a payment from outputs that all belong to `key`, the largest first; what is left goes back to it.
/// Change that would cost more in fees than it is worth goes to the miner.
pub fn pay(
    chain: &Hash256,
    payment: &Payment,
    spendable: &[(OutPoint, Unspent)],
    key: &SecretKey,
) -> Result<Transaction, PaymentError> {
    if payment.outputs.is_empty() || payment.outputs.iter().any(|output| output.amount == Amount::ZERO) {
        return Err(PaymentError::Nothing);
    }
    let mut candidates: Vec<(OutPoint, Output)> = spendable.iter().map(|(at, unspent)| (*at, unspent.output)).collect();
    candidates.sort_unstable_by_key(|(at, output)| (Reverse(output.amount), *at));
    let mut inputs = Vec::new();
    let mut sum = Amount::ZERO;
    let mut need = payment.needs(inputs.len(), 0)?;
    for (at, output) in candidates {
        if sum >= need {
            break;
        }
        if inputs.len() == INPUTS_MAX {
            return Err(PaymentError::Inputs { max: INPUTS_MAX });
        }
        inputs.push((at, output));
        sum = sum.checked_add(output.amount).ok_or(PaymentError::Overflow)?;
        need = payment.needs(inputs.len(), 0)?;
    }
    if sum < need {
        return Err(PaymentError::Funds { need, spendable: sum });
    }
    let mut outputs = payment.outputs.clone();
    let change = sum.checked_sub(payment.needs(inputs.len(), 1)?).unwrap_or(Amount::ZERO);
    // Spending it later takes an input's bytes.
    if change > payment.fee(INPUT_BYTES)? {
        outputs.push(Output { amount: change, key: key.public() });
    }
    let (places, spent): (Vec<OutPoint>, Vec<Output>) = inputs.into_iter().unzip();
    let unsigned = |previous| Input { previous, signature: Signature([0; 64]) };
    let inputs = places.into_iter().map(unsigned).collect();
    let mut transaction = Transaction { version: TRANSACTION_VERSION, inputs, outputs, data: Vec::new() };
    transaction.sign(chain, &spent, key);
    Ok(transaction)
}

/// Leaves out what waiting transactions spend already.
pub fn without_pending(mut spendable: Vec<(OutPoint, Unspent)>, mempool: &Mempool) -> Vec<(OutPoint, Unspent)> {
    spendable.retain(|(at, _)| mempool.spender(at).is_none());
    spendable
}

const INPUT_BYTES: usize = 36 + 64;
const OUTPUT_BYTES: usize = 40;
/// Version, three lengths.
const REST_BYTES: usize = 16;

impl Payment {
    fn fee(&self, bytes: usize) -> Result<Amount, PaymentError> {
        let atoms = (u128::from(self.fee_per_kilobyte.to_atoms()) * bytes as u128).div_ceil(1000);
        u64::try_from(atoms).map(Amount::from_atoms).map_err(|_| PaymentError::Overflow)
    }

    /// Returns amounts and fee for a number of inputs, and of outputs for change.
    fn needs(&self, inputs: usize, changes: usize) -> Result<Amount, PaymentError> {
        let outputs = self.outputs.len() + changes;
        let fee = self.fee(REST_BYTES + inputs * INPUT_BYTES + outputs * OUTPUT_BYTES)?;
        let amounts = Amount::checked_sum(self.outputs.iter().map(|output| output.amount));
        amounts.and_then(|amounts| amounts.checked_add(fee)).ok_or(PaymentError::Overflow)
    }
}
