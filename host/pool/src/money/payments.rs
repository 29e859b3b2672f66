//! How money leaves the pool: one transaction to many, booked before it is made, recorded before it is sent.
//!
//! ```text
//!          plan            sign: id and bytes         send              N confirmations
//! balances ───▶ planned ──────────────────▶ signed ───────▶ sent ──────────────────────▶ confirmed
//!                  │ cancel                    └───────┬──────┘ a conflict N deep
//!                  ▼                                   ▼
//!              cancelled                             failed          both give the balances back
//! ```
//!
//! A payment's bytes are made once. Whatever happens between two steps, [`next`] says what to do, and doing a step again does no harm:
//! what is signed is looked up by its id, and the same bytes are sent again, which spend the same inputs and so cannot pay twice. Only
//! when another transaction that spends those inputs counts as final are the balances given back, or when the operator says so, of a payment
//! whose inputs are gone ([`write_off`]).

use adit_primitives::accounts::{
    Account, Accounts, AccountsError, Cause, Change, Committed, Entry, OperatorChange, Payment, PaymentNumber,
    PaymentOutput, PaymentState, Posting, PostingError, Reserved, SignedPayment,
};
use adit_primitives::{Amount, Timestamp, TxId};
use std::collections::{BTreeMap, BTreeSet};

#[cfg(test)]
mod tests;

/// What the operator sets for payments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentSettings {
    /// The least balance that is paid.
    pub threshold: Amount,
    /// How many outputs a payment has at most.
    pub outputs_max: usize,
    /// At how many confirmations a payment, or one in conflict with it, counts as final.
    pub confirmations: u64,
    /// Who bears what the network takes.
    pub fee_bearer: FeeBearer,
    /// Where the operator's balance is paid to. `None`: it stays in the pool's wallet.
    pub operator: Option<String>,
    /// Where the foundation's balance is paid to. `None`: it stays in the pool's wallet.
    pub foundation: Option<String>,
    /// Addresses that the wallet does not pay. Their balances wait, and hold up nobody else's.
    pub unpayable: BTreeSet<String>,
}

/// Who bears the network's fee of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeeBearer {
    /// The pool's operator.
    Operator,
    /// Each output is made smaller by this amount, which goes to the operator, who bears the fee.
    Payees { each: Amount },
}

/// What an upstream knows of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sighting {
    /// Nothing.
    Unknown,
    /// It waits for a block.
    Waiting,
    /// It is in the chain, under so many blocks with its own.
    Confirmed { confirmations: u64 },
    /// Another transaction that spends one of its inputs is in the chain, under so many blocks with its own.
    Conflicted { confirmations: u64 },
}

/// What is to be done for a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Make a transaction with these outputs, sign it, and hand it to [`signed`]. Nothing may be sent.
    Make { outputs: Vec<PaymentOutput> },
    /// Ask the upstream for this transaction, and hand the answer to [`observed`].
    LookUp { id: TxId },
    /// Send these bytes, and then call [`sent`], whatever the upstream answers: what it knows is asked of it by id.
    Send { id: TxId, raw: Vec<u8> },
    /// Nothing for now.
    Wait,
    /// Nothing ever.
    Done { state: PaymentState },
}

/// Why a payment was not moved on.
#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    #[error(transparent)]
    Books(#[from] AccountsError),
    #[error(transparent)]
    Posting(#[from] PostingError),
    #[error("payment {number} is not in the books")]
    Unknown { number: PaymentNumber },
    #[error("payment {number} is {found}, and must be {must} for this")]
    State { number: PaymentNumber, found: PaymentState, must: PaymentState },
    #[error("payment {number} is {found}: it has come to its end")]
    Final { number: PaymentNumber, found: PaymentState },
    #[error("payment {number} moves more than 63 bits of atoms")]
    TooMuch { number: PaymentNumber },
    #[error("{cause} is to be taken back and not in the books")]
    Missing { cause: Cause },
    #[error("{cause} is in the journal, and payment {number} is not where that leaves it")]
    Inconsistent { number: PaymentNumber, cause: Cause },
}

/// Plans a payment of the balances that are mature and large enough, the greatest first: debits them and records the outputs in one commit.
/// `None` where no balance is, or where a payment waits to be signed or sent: one is made at a time, so that no two are given the same
/// coins.
pub fn plan(books: &dyn Accounts, settings: &PaymentSettings, now: Timestamp) -> Result<Option<Payment>, PaymentError> {
    let open = books.payments_open()?;
    if open.iter().any(|payment| payment.state != PaymentState::Sent) {
        return Ok(None);
    }
    let debits = debits(books, settings)?;
    if debits.is_empty() {
        return Ok(None);
    }
    let last = books.payments(0, 1)?.first().map_or(0, |payment| payment.number.0);
    let number = PaymentNumber(last + 1);
    let entries = entries(&debits).ok_or(PaymentError::TooMuch { number })?;
    let outputs = debits.into_iter().map(|debit| debit.output).collect();
    let payment = Payment { number, state: PaymentState::Planned, planned: now, outputs, signed: None };
    let posting = Posting::new(Cause::Payment(number), now, entries)?;
    done(books, number, &[Change::Plan(payment.clone()), Change::Post(posting)])?;
    Ok(Some(payment))
}

/// Says what to do for a payment as it stands in the books: after a start, and after each step.
pub fn next(payment: &Payment) -> Step {
    match (&payment.signed, payment.state) {
        (_, state) if state.is_final() => Step::Done { state },
        (Some(signed), _) => Step::LookUp { id: signed.id },
        (None, _) => Step::Make { outputs: payment.outputs.clone() },
    }
}

/// Records the transaction that was made for a planned payment, and books its fee. It may be sent when this has returned, not before.
pub fn signed(
    books: &dyn Accounts,
    number: PaymentNumber,
    signed: SignedPayment,
    now: Timestamp,
) -> Result<Step, PaymentError> {
    let payment = read(books, number)?;
    if payment.state != PaymentState::Planned {
        return Err(PaymentError::State { number, found: payment.state, must: PaymentState::Planned });
    }
    let mut entries = Vec::new();
    if signed.fee != Amount::ZERO {
        let (gives, gets) = (Reserved::Operator.id(), Reserved::NetworkFees.id());
        let pair = Entry::gives(gives, signed.fee).zip(Entry::gets(gets, signed.fee));
        let (operator, network) = pair.ok_or(PaymentError::TooMuch { number })?;
        entries = vec![operator, network];
    }
    let posting = Posting::new(Cause::PaymentFee(number), now, entries)?;
    let step = Step::Send { id: signed.id, raw: signed.raw.clone() };
    done(books, number, &[Change::Sign { number, signed }, Change::Post(posting)])?;
    Ok(step)
}

/// Notes that a payment's bytes were given to an upstream.
pub fn sent(books: &dyn Accounts, number: PaymentNumber) -> Result<(), PaymentError> {
    let payment = read(books, number)?;
    match payment.state {
        PaymentState::Signed => {
            books.commit(&[Change::PaymentState { number, to: PaymentState::Sent }])?;
            Ok(())
        }
        PaymentState::Sent => Ok(()),
        found => Err(PaymentError::State { number, found, must: PaymentState::Signed }),
    }
}

/// Books what an upstream knows of a payment's transaction, and says what to do then.
pub fn observed(
    books: &dyn Accounts,
    number: PaymentNumber,
    sighting: Sighting,
    settings: &PaymentSettings,
    now: Timestamp,
) -> Result<Step, PaymentError> {
    let payment = read(books, number)?;
    let Some(signed) = payment.signed.filter(|_| !payment.state.is_final()) else {
        return Ok(next(&read(books, number)?));
    };
    match sighting {
        Sighting::Confirmed { confirmations } if confirmations >= settings.confirmations => {
            let to = PaymentState::Confirmed;
            books.commit(&[Change::PaymentState { number, to }])?;
            Ok(Step::Done { state: to })
        }
        Sighting::Conflicted { confirmations } if confirmations >= settings.confirmations => {
            fail(books, number, None, now)?;
            Ok(Step::Done { state: PaymentState::Failed })
        }
        Sighting::Unknown => Ok(Step::Send { id: signed.id, raw: signed.raw }),
        Sighting::Waiting | Sighting::Confirmed { .. } | Sighting::Conflicted { .. } => Ok(Step::Wait),
    }
}

/// Takes a payment back that nothing was signed for, such as one that the wallet cannot make. Gives the balances back.
pub fn cancel(
    books: &dyn Accounts,
    number: PaymentNumber,
    note: Option<OperatorChange>,
    now: Timestamp,
) -> Result<(), PaymentError> {
    let payment = read(books, number)?;
    if payment.state != PaymentState::Planned {
        return Err(PaymentError::State { number, found: payment.state, must: PaymentState::Planned });
    }
    let causes = [(Cause::Payment(number), Cause::PaymentReversal(number))];
    give_back(books, number, PaymentState::Cancelled, &causes, note, now)
}

/// Takes a payment back that can be in no block any more, and gives the balances back. The caller has made sure that an output which it spends
/// is gone, or nothing was signed.
pub fn write_off(
    books: &dyn Accounts,
    number: PaymentNumber,
    note: OperatorChange,
) -> Result<PaymentState, PaymentError> {
    let now = note.time;
    match read(books, number)?.state {
        PaymentState::Planned => cancel(books, number, Some(note), now).map(|()| PaymentState::Cancelled),
        PaymentState::Signed | PaymentState::Sent => {
            fail(books, number, Some(note), now).map(|()| PaymentState::Failed)
        }
        found => Err(PaymentError::Final { number, found }),
    }
}

/// One account's part of a payment.
struct Debit {
    output: PaymentOutput,
    /// What the account gives beyond its output, for the network's fee.
    fee_part: Amount,
}

fn debits(books: &dyn Accounts, settings: &PaymentSettings) -> Result<Vec<Debit>, PaymentError> {
    let own = [(Reserved::Operator, &settings.operator), (Reserved::Foundation, &settings.foundation)];
    let mut debits = Vec::new();
    for (reserved, address) in own {
        let account = address.as_ref().map(|_| books.account(reserved.id())).transpose()?.flatten();
        debits.extend(account.zip(address.as_ref()).and_then(|(account, address)| debit(&account, address, settings)));
    }
    let payees = books.payable(settings.threshold, settings.outputs_max)?;
    let payees = payees.iter().filter_map(|account| debit(account, &account.address, settings));
    // Miners first: what does not fit waits, and the pool's own balances can wait best.
    Ok(payees.chain(debits).take(settings.outputs_max).collect())
}

/// Returns what an account is paid, or `None` where its mature balance is below the threshold or leaves nothing after the fee, or where nobody
/// can pay its address.
fn debit(account: &Account, address: &str, settings: &PaymentSettings) -> Option<Debit> {
    if settings.unpayable.contains(address) {
        return None;
    }
    let mature = u64::try_from(account.balance.mature()).ok().map(Amount::from_atoms);
    let mature = mature.filter(|mature| *mature >= settings.threshold)?;
    let fee_part = match settings.fee_bearer {
        FeeBearer::Operator => Amount::ZERO,
        // The fee is the operator's own: it is not taken from him for himself.
        FeeBearer::Payees { .. } if account.id == Reserved::Operator.id() => Amount::ZERO,
        FeeBearer::Payees { each } => each,
    };
    let amount = mature.checked_sub(fee_part).filter(|amount| *amount != Amount::ZERO)?;
    Some(Debit { output: PaymentOutput { account: account.id, address: address.to_owned(), amount }, fee_part })
}

/// Returns the entries that debit each account: what is paid goes to [`Reserved::Paid`], the parts of the fee to the operator.
fn entries(debits: &[Debit]) -> Option<Vec<Entry>> {
    let mut sums: BTreeMap<_, i64> = BTreeMap::new();
    let mut add = |entry: Entry| {
        let sum = sums.entry(entry.account).or_default();
        *sum = sum.checked_add(entry.atoms)?;
        Some(())
    };
    for Debit { output, fee_part } in debits {
        add(Entry::gives(output.account, output.amount.checked_add(*fee_part)?)?)?;
        add(Entry::gets(Reserved::Paid.id(), output.amount)?)?;
        add(Entry::gets(Reserved::Operator.id(), *fee_part)?)?;
    }
    let entries = sums.into_iter().filter(|(_, atoms)| *atoms != 0);
    Some(entries.map(|(account, atoms)| Entry { account, atoms }).collect())
}

fn read(books: &dyn Accounts, number: PaymentNumber) -> Result<Payment, PaymentError> {
    books.payment(number)?.ok_or(PaymentError::Unknown { number })
}

/// Commits, where a posting that is there already would mean that the books contradict themselves.
fn done(books: &dyn Accounts, number: PaymentNumber, changes: &[Change]) -> Result<(), PaymentError> {
    match books.commit(changes)? {
        Committed::Done => Ok(()),
        Committed::AlreadyPosted { cause } => Err(PaymentError::Inconsistent { number, cause }),
    }
}

fn fail(
    books: &dyn Accounts,
    number: PaymentNumber,
    note: Option<OperatorChange>,
    now: Timestamp,
) -> Result<(), PaymentError> {
    let causes = [
        (Cause::Payment(number), Cause::PaymentReversal(number)),
        (Cause::PaymentFee(number), Cause::FeeReversal(number)),
    ];
    give_back(books, number, PaymentState::Failed, &causes, note, now)
}

fn give_back(
    books: &dyn Accounts,
    number: PaymentNumber,
    to: PaymentState,
    causes: &[(Cause, Cause)],
    note: Option<OperatorChange>,
    now: Timestamp,
) -> Result<(), PaymentError> {
    let mut changes = vec![Change::PaymentState { number, to }];
    for (cause, reversal) in causes {
        let posting = books.posting(cause)?.ok_or_else(|| PaymentError::Missing { cause: cause.clone() })?;
        changes.push(Change::Post(posting.reversed(reversal.clone(), now)));
    }
    changes.extend(note.map(Change::Note));
    done(books, number, &changes)
}
