//! What a block does to the unspent outputs, and how that is undone.
//!
//! The order is: the merge set, block by block, then the block itself; of each block its payments, then its coinbase. Money is created by coinbases
//! alone, so at any tip the unspent outputs add up to what the applied coinbases created less the fees of the applied payments.
//!
//! Under [`Conflicts::RefuseBlock`] each payment must be valid and no block merges others. Under [`Conflicts::SkipTransaction`] a payment that cannot be
//! applied is left out and its block stays valid: no well-formed block is refused, so no verdict hangs on which chain a node followed
//! first. A blue block is paid what it earned: its subsidy, and the fees of those of its payments that were applied. A coinbase that
//! claims more is paid in the order of its outputs until that is used up. A red block creates nothing, and the fees of its payments are
//! destroyed: nobody gains by making others red.

use crate::record::{self, SpentOutput, Undo};
use crate::signed::Signed;
use crate::{Conflicts, LedgerRules, OutPoint, Output, Transaction};
use adit_primitives::contract::{MergedBlock, Violation};
use adit_primitives::storage::{Batch, Storage, StorageError, Table};
use adit_primitives::{Amount, BlockId, Encode, Height, TxId, canonical_struct};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An output that nobody has spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unspent {
    pub output: Output,
    /// The height of the block that created it.
    pub height: Height,
    pub coinbase: bool,
}

canonical_struct!(Unspent { output, height, coinbase });

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
    #[error("the amounts add up to more money than there can be")]
    Sum,
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

/// Where outputs are looked up.
pub(crate) trait Coins {
    fn unspent(&self, at: &OutPoint) -> Result<Option<Unspent>, StorageError>;
}

/// Why a check came to no good end: the transaction's fault, or the storage's.
#[derive(Debug)]
pub(crate) enum Failure<E> {
    Invalid(E),
    Storage(StorageError),
}

/// The ledger's parameters, and the signatures of its chain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Law<'a> {
    pub(crate) signed: &'a Signed,
    pub(crate) rules: &'a LedgerRules,
}

/// What a payment spends.
pub(crate) struct Spending {
    /// In the order of its inputs.
    pub(crate) spent: Vec<Output>,
    pub(crate) fee: Amount,
    /// Whether the amounts are the same on every branch. What a coinbase pays is not, on a chain that cuts coinbases.
    pub(crate) settled: bool,
}

/// The ledger as the storage has it.
pub(crate) struct StoredCoins<'a>(pub(crate) &'a dyn Storage);

/// The ledger with changes that are not kept yet.
pub(crate) struct Overlay<'a> {
    storage: &'a dyn Storage,
    changes: BTreeMap<OutPoint, Change>,
    /// Transactions that were accepted (`true`) or undone since the storage was written.
    accepted: BTreeMap<TxId, bool>,
    /// Changes of other tables, in order.
    batch: Batch,
}

/// An output before and after.
#[derive(Debug, Clone, Copy)]
struct Change {
    stored: Option<Unspent>,
    now: Option<Unspent>,
}

/// A block to be applied.
pub(crate) struct Application<'a> {
    pub(crate) id: BlockId,
    pub(crate) height: Height,
    /// What the coinbase may create, fees not counted.
    pub(crate) subsidy: u64,
    pub(crate) body: &'a [Transaction],
    /// The merge set in its order.
    pub(crate) merged: &'a [MergedBody],
}

/// A block of a merge set.
pub(crate) struct MergedBody {
    pub(crate) id: BlockId,
    /// What its coinbase may create here: nothing where the block is red.
    pub(crate) subsidy: Option<u64>,
    pub(crate) body: Arc<Vec<Transaction>>,
}

/// What a block holds, whether it is merged or merges.
struct Body<'a> {
    id: BlockId,
    /// What its coinbase may create, fees not counted. `None` where the block is red.
    subsidy: Option<u64>,
    transactions: &'a [Transaction],
}

impl TransactionError {
    /// Returns the rule's name, as in `Violation::rule`.
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Version { .. } => "transaction-version",
            Self::NoInputs | Self::NoOutputs | Self::ZeroOutput { .. } => "transaction-form",
            Self::Data { .. } | Self::Size { .. } => "transaction-size",
            Self::Sum => "transaction-amounts",
            Self::SpentTwice { .. } | Self::Missing { .. } => "transaction-inputs",
            Self::Immature { .. } => "coinbase-maturity",
            Self::Signature { .. } => "transaction-signature",
            Self::Overspent { .. } => "transaction-value",
        }
    }
}

impl<E> From<StorageError> for Failure<E> {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl From<TransactionError> for Failure<TransactionError> {
    fn from(error: TransactionError) -> Self {
        Self::Invalid(error)
    }
}

impl Coins for StoredCoins<'_> {
    fn unspent(&self, at: &OutPoint) -> Result<Option<Unspent>, StorageError> {
        record::read(self.0, Table::Unspent, &at.to_bytes())
    }
}

impl Coins for Overlay<'_> {
    fn unspent(&self, at: &OutPoint) -> Result<Option<Unspent>, StorageError> {
        match self.changes.get(at) {
            Some(change) => Ok(change.now),
            None => StoredCoins(self.storage).unspent(at),
        }
    }
}

/// Checks what a payment shows by itself.
pub(crate) fn check_form(transaction: &Transaction, rules: &LedgerRules) -> Result<(), TransactionError> {
    check_outputs(transaction, rules)?;
    let bytes = transaction.size();
    if transaction.inputs.is_empty() {
        return Err(TransactionError::NoInputs);
    }
    if transaction.outputs.is_empty() {
        return Err(TransactionError::NoOutputs);
    }
    if bytes > rules.block_bytes_max {
        return Err(TransactionError::Size { bytes, max: rules.block_bytes_max });
    }
    let mut seen = BTreeSet::new();
    match transaction.inputs.iter().find(|input| !seen.insert(input.previous)) {
        Some(input) => Err(TransactionError::SpentTwice { previous: input.previous }),
        None => Ok(()),
    }
}

/// Checks version, outputs and data: of a coinbase too.
fn check_outputs(transaction: &Transaction, rules: &LedgerRules) -> Result<(), TransactionError> {
    let Transaction { version, outputs, data, .. } = transaction;
    if *version != crate::transaction::TRANSACTION_VERSION {
        return Err(TransactionError::Version { version: *version });
    }
    if data.len() > rules.data_bytes_max {
        return Err(TransactionError::Data { bytes: data.len(), max: rules.data_bytes_max });
    }
    if let Some(index) = outputs.iter().position(|output| output.amount == Amount::ZERO) {
        return Err(TransactionError::ZeroOutput { index });
    }
    match transaction.output_sum() {
        Some(sum) if sum <= rules.money_max => Ok(()),
        _ => Err(TransactionError::Sum),
    }
}

/// Checks a well-formed payment, but for its signatures, against the outputs it spends, for a block of the given height.
pub(crate) fn check_spending(
    coins: &dyn Coins,
    rules: &LedgerRules,
    transaction: &Transaction,
    height: Height,
) -> Result<Spending, Failure<TransactionError>> {
    let spent = spendable(coins, rules, transaction, height)?;
    let fee = fee(transaction, &spent, rules)?;
    let settled = rules.conflicts == Conflicts::RefuseBlock || !spent.iter().any(|unspent| unspent.coinbase);
    Ok(Spending { spent: outputs_of(&spent), fee, settled })
}

/// Returns the outputs that a payment spends, in the order of its inputs.
fn spendable(
    coins: &dyn Coins,
    rules: &LedgerRules,
    transaction: &Transaction,
    height: Height,
) -> Result<Vec<Unspent>, Failure<TransactionError>> {
    let mut spent = Vec::with_capacity(transaction.inputs.len());
    for input in &transaction.inputs {
        let previous = input.previous;
        let unspent = coins.unspent(&previous)?.ok_or(TransactionError::Missing { previous })?;
        let mature = Height(unspent.height.0.saturating_add(rules.coinbase_maturity));
        if unspent.coinbase && height < mature {
            return Err(TransactionError::Immature { previous, created: unspent.height, mature }.into());
        }
        spent.push(unspent);
    }
    Ok(spent)
}

fn outputs_of(spent: &[Unspent]) -> Vec<Output> {
    spent.iter().map(|unspent| unspent.output).collect()
}

fn fee(transaction: &Transaction, spent: &[Unspent], rules: &LedgerRules) -> Result<Amount, TransactionError> {
    let inputs = Amount::checked_sum(spent.iter().map(|unspent| unspent.output.amount))
        .filter(|sum| *sum <= rules.money_max)
        .ok_or(TransactionError::Sum)?;
    let outputs = transaction.output_sum().ok_or(TransactionError::Sum)?;
    inputs.checked_sub(outputs).ok_or(TransactionError::Overspent { inputs, outputs })
}

/// Checks that a block merges others only where the ledger can leave out what conflicts.
pub(crate) fn check_merging(merge_set: &[MergedBlock], rules: &LedgerRules) -> Result<(), Violation> {
    match rules.conflicts {
        Conflicts::RefuseBlock if !merge_set.is_empty() => {
            let detail =
                format!("{} blocks are merged; `conflicts` of this chain's ledger allows none", merge_set.len());
            Err(violation("merge", detail))
        }
        _ => Ok(()),
    }
}

/// Checks what a body shows by itself: not too many transactions, a coinbase first and nowhere else, every transaction well-formed.
pub(crate) fn check_body(body: &[Transaction], height: Height, rules: &LedgerRules) -> Result<(), Violation> {
    let max = rules.block_transactions_max;
    if body.len() > max as usize {
        return Err(violation("block-transactions", format!("{} transactions, {max} are allowed", body.len())));
    }
    let Some((coinbase, payments)) = body.split_first() else {
        return Err(violation("coinbase", "the body is empty".to_owned()));
    };
    if !coinbase.is_coinbase() {
        return Err(violation("coinbase", "the first transaction has inputs".to_owned()));
    }
    match coinbase.coinbase_data() {
        None => return Err(violation("coinbase", "the coinbase names no height".to_owned())),
        Some(data) if data.height != height => {
            let detail = format!("the coinbase names height {}, the block has {height}", data.height);
            return Err(violation("coinbase-height", detail));
        }
        Some(_) => {}
    }
    check_outputs(coinbase, rules).map_err(|error| transaction_violation(0, &error))?;
    for (position, payment) in (1..).zip(payments) {
        check_form(payment, rules).map_err(|error| transaction_violation(position, &error))?;
    }
    Ok(())
}

fn transaction_violation(position: usize, error: &TransactionError) -> Violation {
    violation(error.rule(), format!("transaction {position}: {error}"))
}

fn violation(rule: &str, detail: String) -> Violation {
    Violation { rule: rule.to_owned(), detail }
}

impl<'a> Overlay<'a> {
    pub(crate) fn new(storage: &'a dyn Storage) -> Self {
        Self { storage, changes: BTreeMap::new(), accepted: BTreeMap::new(), batch: Batch::default() }
    }

    /// Applies a block whose body is well-formed, after those that it merges. After a failure the overlay is worth nothing and must be dropped.
    pub(crate) fn apply(&mut self, law: Law<'_>, block: &Application<'_>) -> Result<(), Failure<Violation>> {
        let mut undo = Undo::default();
        for merged in block.merged {
            let MergedBody { id, subsidy, body } = merged;
            self.apply_body(law, block, &Body { id: *id, subsidy: *subsidy, transactions: body }, &mut undo)?;
        }
        let own = Body { id: block.id, subsidy: Some(block.subsidy), transactions: block.body };
        self.apply_body(law, block, &own, &mut undo)?;
        self.batch.put(Table::Undo, block.id.to_bytes(), undo.to_bytes());
        self.batch.put(Table::Selected, record::height_key(block.height), block.id.to_bytes());
        Ok(())
    }

    /// Undoes the newest applied block.
    pub(crate) fn undo(&mut self, id: BlockId, height: Height) -> Result<(), StorageError> {
        let undo: Undo =
            self.pending_undo(id)?.ok_or_else(|| record::damaged(Table::Undo, &format!("block {id} has no record")))?;
        for spent in undo.spent.iter().rev() {
            self.set(spent.at, Some(spent.was))?;
        }
        for created in undo.created.iter().rev() {
            self.set(*created, None)?;
        }
        for id in &undo.accepted {
            self.batch.delete(Table::Transactions, id.to_bytes());
            self.accepted.insert(*id, false);
        }
        self.batch.delete(Table::Undo, id.to_bytes());
        self.batch.delete(Table::Selected, record::height_key(height));
        Ok(())
    }

    /// Tells whether a transaction was accepted since the storage was written.
    pub(crate) fn accepts(&self, id: TxId) -> bool {
        self.accepted.get(&id).is_some_and(|accepted| *accepted)
    }

    /// Returns the outputs that may not be what the storage has.
    pub(crate) fn changed(&self) -> impl Iterator<Item = &OutPoint> {
        self.changes.keys()
    }

    /// Returns the changes as one batch.
    pub(crate) fn into_batch(self) -> Batch {
        let mut batch = self.batch;
        for (at, change) in &self.changes {
            match (change.stored, change.now) {
                (stored, now) if stored == now => {}
                (_, Some(now)) => record::put_unspent(&mut batch, at, &now),
                (Some(stored), None) => record::delete_unspent(&mut batch, at, &stored),
                (None, None) => {}
            }
        }
        batch
    }

    fn pending_undo(&self, id: BlockId) -> Result<Option<Undo>, StorageError> {
        record::read(self.storage, Table::Undo, &id.to_bytes())
    }

    /// Applies the payments of one body, then its coinbase.
    fn apply_body(
        &mut self,
        law: Law<'_>,
        block: &Application<'_>,
        body: &Body<'_>,
        undo: &mut Undo,
    ) -> Result<(), Failure<Violation>> {
        let mut fees = Amount::ZERO;
        for (position, payment) in (0..).zip(body.transactions).skip(1) {
            let id = payment.id();
            match self.apply_payment(law, block, payment, id, undo) {
                Ok(fee) => {
                    // There is not so much money: rules bound what all blocks together create.
                    fees = fees.checked_add(fee).unwrap_or(Amount::from_atoms(u64::MAX));
                    self.accept(block.id, body.id, position_u32(position), id, undo);
                }
                Err(Failure::Invalid(_)) if law.rules.conflicts == Conflicts::SkipTransaction => {}
                Err(Failure::Invalid(error)) => {
                    return Err(Failure::Invalid(transaction_violation(position, &error)));
                }
                Err(Failure::Storage(error)) => return Err(Failure::Storage(error)),
            }
        }
        self.apply_coinbase(law, block, body, fees, undo)
    }

    /// Checks a payment and applies it, or changes nothing. Returns its fee.
    fn apply_payment(
        &mut self,
        law: Law<'_>,
        block: &Application<'_>,
        payment: &Transaction,
        id: TxId,
        undo: &mut Undo,
    ) -> Result<Amount, Failure<TransactionError>> {
        let spent = spendable(self, law.rules, payment, block.height)?;
        let fee = fee(payment, &spent, law.rules)?;
        law.signed.check(payment, &outputs_of(&spent))?;
        for (input, was) in std::iter::zip(&payment.inputs, spent) {
            let change = self.changes.entry(input.previous).or_insert(Change { stored: Some(was), now: None });
            change.now = None;
            undo.spent.push(SpentOutput { at: input.previous, was });
        }
        for (at, output) in Transaction::out_points(id, payment.outputs.len()).zip(&payment.outputs) {
            self.create(at, Unspent { output: *output, height: block.height, coinbase: false }, undo);
        }
        Ok(fee)
    }

    /// Lets a coinbase create what its block earned: subsidy and fees.
    fn apply_coinbase(
        &mut self,
        law: Law<'_>,
        block: &Application<'_>,
        body: &Body<'_>,
        fees: Amount,
        undo: &mut Undo,
    ) -> Result<(), Failure<Violation>> {
        let (Some(coinbase), Some(subsidy)) = (body.transactions.first(), body.subsidy) else { return Ok(()) };
        let id = coinbase.id_in(body.id, law.rules.conflicts);
        let earned = Amount::from_atoms(subsidy).checked_add(fees);
        let claimed = coinbase.output_sum();
        let cuts = law.rules.conflicts == Conflicts::SkipTransaction;
        if !cuts && (claimed.is_none() || claimed > earned) {
            let detail = format!("the coinbase creates {claimed:?}, subsidy and fees allow {earned:?}");
            return Err(Failure::Invalid(violation("coinbase-value", detail)));
        }
        // A payment cannot come twice, as its inputs are gone. Nothing but this keeps a coinbase from it.
        if self.is_accepted(id)? {
            return Err(Failure::Invalid(violation("coinbase", format!("coinbase {id} was accepted before"))));
        }
        let mut left = earned.unwrap_or(law.rules.money_max);
        for (at, output) in Transaction::out_points(id, coinbase.outputs.len()).zip(&coinbase.outputs) {
            let amount = output.amount.min(left);
            left = left.checked_sub(amount).unwrap_or(Amount::ZERO);
            if amount > Amount::ZERO {
                let output = Output { amount, ..*output };
                self.create(at, Unspent { output, height: block.height, coinbase: true }, undo);
            }
        }
        self.accept(block.id, body.id, 0, id, undo);
        Ok(())
    }

    /// Creates an output. It does not exist: no transaction is accepted twice.
    fn create(&mut self, at: OutPoint, unspent: Unspent, undo: &mut Undo) {
        self.changes.entry(at).or_insert(Change { stored: None, now: None }).now = Some(unspent);
        undo.created.push(at);
    }

    fn accept(&mut self, accepted_by: BlockId, block: BlockId, position: u32, id: TxId, undo: &mut Undo) {
        let location = record::Location { accepted_by, block, position };
        self.batch.put(Table::Transactions, id.to_bytes(), location.to_bytes());
        self.accepted.insert(id, true);
        undo.accepted.push(id);
    }

    fn is_accepted(&self, id: TxId) -> Result<bool, StorageError> {
        match self.accepted.get(&id) {
            Some(accepted) => Ok(*accepted),
            None => Ok(self.storage.get(Table::Transactions, &id.to_bytes())?.is_some()),
        }
    }

    fn set(&mut self, at: OutPoint, now: Option<Unspent>) -> Result<(), StorageError> {
        if let Some(change) = self.changes.get_mut(&at) {
            change.now = now;
            return Ok(());
        }
        let stored = StoredCoins(self.storage).unspent(&at)?;
        self.changes.insert(at, Change { stored, now });
        Ok(())
    }
}

fn position_u32(position: usize) -> u32 {
    u32::try_from(position).expect("a body of bounded bytes has fewer than 2^32 transactions")
}
