//! How a commit is applied. The caller holds a transaction, and undoes everything where one change fails.

use super::{failed, read};
use adit_primitives::accounts::{
    AccountsError, AddressError, Ban, Block, BlockState, Cause, Change, Era, OperatorChange, Payment, PaymentNumber,
    PaymentState, Posting, Reserved, Settlement, ShareSequence, SignedPayment, WorkerId, rows::NAME_BYTES_MAX,
};
use adit_primitives::contract::payout::{AccountId, Pays, Window};
use adit_primitives::{BlockId, Timestamp};
use rusqlite::{Connection, Params, params};

pub(super) fn apply(connection: &Connection, change: &Change) -> Result<(), AccountsError> {
    match change {
        Change::Post(posting) => post(connection, posting),
        Change::Found(block) => found(connection, block),
        Change::BlockState { id, to } => block_state(connection, *id, *to),
        Change::Split { id } => split(connection, *id),
        Change::Owe(settlement) => owe(connection, settlement),
        Change::Settled { from } => settled(connection, *from),
        Change::Plan(payment) => plan(connection, payment),
        Change::Sign { number, signed } => sign(connection, *number, signed),
        Change::PaymentState { number, to } => payment_state(connection, *number, *to),
        Change::Era(era) => begin_era(connection, era),
        Change::Ban(ban) => put_ban(connection, ban),
        Change::Unban(who) => {
            let (kind, who) = read::banned_text(who);
            run(connection, "DELETE FROM bans WHERE kind = ?1 AND who = ?2", params![kind, who]).map(|_| ())
        }
        Change::Note(note) => put_note(connection, note),
    }
}

/// Opens an account where there is none.
pub(super) fn account_of(connection: &Connection, address: &str, now: Timestamp) -> Result<AccountId, AccountsError> {
    if let Some(id) = read::account_of(connection, address)? {
        return Ok(id);
    }
    let last = read::number_max(connection, "SELECT MAX(number) FROM accounts")?;
    let next = u32::try_from(last + 1).map_err(|_| AccountsError::Full { what: "account" })?;
    let id = AccountId(next.max(Reserved::PAYEES_FROM.0));
    let insert = "INSERT INTO accounts (number, address, opened, total, immature) VALUES (?1, ?2, ?3, 0, 0)";
    run(connection, insert, params![id.0, address, number(now.to_millis())?])?;
    Ok(id)
}

/// Gives a worker a number where it has none.
pub(super) fn worker_of(
    connection: &Connection,
    account: AccountId,
    name: &str,
    now: Timestamp,
) -> Result<WorkerId, AccountsError> {
    if let Some(id) = read::worker_of(connection, account, name)? {
        return Ok(id);
    }
    must_exist(connection, account)?;
    let last = read::number_max(connection, "SELECT MAX(number) FROM workers")?;
    let id = WorkerId(u32::try_from(last + 1).map_err(|_| AccountsError::Full { what: "worker" })?);
    let insert = "INSERT INTO workers (number, account, name, first_seen) VALUES (?1, ?2, ?3, ?4)";
    run(connection, insert, params![id.0, account.0, name, number(now.to_millis())?])?;
    Ok(id)
}

/// Refuses a worker's name that is too long.
pub(super) fn check_name(name: &str) -> Result<(), AccountsError> {
    if name.len() > NAME_BYTES_MAX { Err(AddressError::Length { length: name.len() }.into()) } else { Ok(()) }
}

fn post(connection: &Connection, posting: &Posting) -> Result<(), AccountsError> {
    let block = posting.cause().block();
    let immature = match block {
        Some(id) => read::block_state(connection, id)? == BlockState::Immature,
        None => false,
    };
    let next = read::number_max(connection, "SELECT MAX(number) FROM postings")? + 1;
    let insert = "INSERT INTO postings (number, cause, block, booked) VALUES (?1, ?2, ?3, ?4)";
    let (cause, block) = (posting.cause().to_string(), block.map(|id| id.to_string()));
    run(connection, insert, params![next, cause, block, number(posting.time().to_millis())?])?;
    let insert = "INSERT INTO entries (posting, account, atoms) VALUES (?1, ?2, ?3)";
    for entry in posting.entries() {
        add(connection, entry.account, entry.atoms, if immature { entry.atoms } else { 0 })?;
        run(connection, insert, params![next, entry.account.0, entry.atoms])?;
    }
    Ok(())
}

/// Adds to a balance. The sum is made here, since SQL engines differ in what they do where it does not fit.
fn add(connection: &Connection, account: AccountId, total: i64, immature: i64) -> Result<(), AccountsError> {
    let row = read::account(connection, account)?.ok_or(AccountsError::UnknownAccount { account })?;
    let sums = row.balance.total.checked_add(total).zip(row.balance.immature.checked_add(immature));
    let (total, immature) = sums.ok_or(AccountsError::Overflow { account })?;
    let update = "UPDATE accounts SET total = ?2, immature = ?3 WHERE number = ?1";
    run(connection, update, params![account.0, total, immature]).map(|_| ())
}

fn found(connection: &Connection, block: &Block) -> Result<(), AccountsError> {
    if read::block(connection, block.id)?.is_some() {
        return Err(AccountsError::BlockKnown { id: block.id });
    }
    must_exist(connection, block.finder)?;
    let next = read::number_max(connection, "SELECT MAX(number) FROM blocks")? + 1;
    let insert = "INSERT INTO blocks (number, id, height, reward, fees, work, finder, worker, shares_end, found, state, \
                  split, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 0, ?12)";
    let row = params![
        next,
        block.id.to_string(),
        number(block.height.0)?,
        number(block.reward.to_atoms())?,
        number(block.fees.to_atoms())?,
        block.work.0.to_string(),
        block.finder.0,
        block.worker.0,
        number(block.shares_end.0)?,
        number(block.found.to_millis())?,
        BlockState::Found.name(),
        block.bytes,
    ];
    run(connection, insert, row).map(|_| ())
}

fn block_state(connection: &Connection, id: BlockId, to: BlockState) -> Result<(), AccountsError> {
    let from = read::block_state(connection, id)?;
    if !from.may_become(to) {
        return Err(AccountsError::BlockTransition { id, from, to });
    }
    if to == BlockState::Orphaned
        && read::is_split(connection, id)?
        && read::posting_number(connection, &Cause::SplitReversal(id))?.is_none()
    {
        return Err(AccountsError::SplitStands { id });
    }
    run(connection, "UPDATE blocks SET state = ?2 WHERE id = ?1", params![id.to_string(), to.name()])?;
    if to != BlockState::Immature {
        run(connection, "UPDATE blocks SET bytes = ?2 WHERE id = ?1", params![id.to_string(), Vec::<u8>::new()])?;
    }
    let sign = i64::from(to == BlockState::Immature) - i64::from(from == BlockState::Immature);
    for (account, atoms) in read::entries_of_block(connection, id)? {
        add(connection, account, 0, sign * atoms)?;
    }
    Ok(())
}

fn split(connection: &Connection, id: BlockId) -> Result<(), AccountsError> {
    let state = read::block_state(connection, id)?;
    if !state.brings_reward() {
        return Err(AccountsError::NothingToSplit { id, state });
    }
    let changed = run(connection, "UPDATE blocks SET split = 1 WHERE id = ?1 AND split = 0", [id.to_string()])?;
    if changed == 1 { Ok(()) } else { Err(AccountsError::SplitTwice { id }) }
}

fn owe(connection: &Connection, settlement: &Settlement) -> Result<(), AccountsError> {
    let (from, to) = (settlement.from, settlement.to);
    if from >= to {
        return Err(AccountsError::SettlementEmpty { from, to });
    }
    let end = read::owed_until(connection)?;
    if from < end {
        return Err(AccountsError::SettlementOverlap { from, end });
    }
    let insert = "INSERT INTO settlements (shares_from, shares_to, scheme, subsidy, mean_fees, work, paid) \
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)";
    let economics = &settlement.economics;
    let row = params![
        number(from.0)?,
        number(to.0)?,
        settlement.scheme,
        number(economics.subsidy)?,
        number(economics.mean_fees)?,
        economics.work.0.to_string(),
    ];
    run(connection, insert, row).map(|_| ())
}

fn settled(connection: &Connection, from: ShareSequence) -> Result<(), AccountsError> {
    let update = "UPDATE settlements SET paid = 1 WHERE shares_from = ?1 AND paid = 0";
    let changed = run(connection, update, [number(from.0)?])?;
    if changed == 1 { Ok(()) } else { Err(AccountsError::UnknownSettlement { from }) }
}

fn plan(connection: &Connection, payment: &Payment) -> Result<(), AccountsError> {
    let last = read::number_max(connection, "SELECT MAX(number) FROM payments")?;
    let next = PaymentNumber(u64::try_from(last + 1).unwrap_or_default());
    if payment.number != next {
        return Err(AccountsError::PaymentNumber { number: payment.number, next });
    }
    let insert = "INSERT INTO payments (number, state, planned) VALUES (?1, ?2, ?3)";
    let planned = number(payment.planned.to_millis())?;
    run(connection, insert, params![last + 1, PaymentState::Planned.name(), planned])?;
    let insert = "INSERT INTO payment_outputs (payment, place, account, address, amount) VALUES (?1, ?2, ?3, ?4, ?5)";
    for (place, output) in (0i64..).zip(&payment.outputs) {
        must_exist(connection, output.account)?;
        let amount = number(output.amount.to_atoms())?;
        run(connection, insert, params![last + 1, place, output.account.0, output.address, amount])?;
    }
    Ok(())
}

fn sign(connection: &Connection, payment: PaymentNumber, signed: &SignedPayment) -> Result<(), AccountsError> {
    payment_state(connection, payment, PaymentState::Signed)?;
    let update = "UPDATE payments SET tx_id = ?2, raw = ?3, fee = ?4 WHERE number = ?1";
    let (id, fee) = (signed.id.to_string(), number(signed.fee.to_atoms())?);
    run(connection, update, params![number(payment.0)?, id, signed.raw, fee]).map(|_| ())
}

fn payment_state(connection: &Connection, payment: PaymentNumber, to: PaymentState) -> Result<(), AccountsError> {
    let from = read::payment_state(connection, payment)?;
    if !from.may_become(to) {
        return Err(AccountsError::PaymentTransition { number: payment, from, to });
    }
    let update = "UPDATE payments SET state = ?2 WHERE number = ?1";
    run(connection, update, params![number(payment.0)?, to.name()]).map(|_| ())
}

fn begin_era(connection: &Connection, era: &Era) -> Result<(), AccountsError> {
    if let Some(last) = read::eras(connection)?.last().map(|last| last.from)
        && era.from < last
    {
        return Err(AccountsError::EraOrder { from: era.from, last });
    }
    let next = read::number_max(connection, "SELECT MAX(number) FROM eras")? + 1;
    let pays = match era.plan.pays {
        Pays::Blocks => "blocks",
        Pays::Shares => "shares",
    };
    let (window, thousandths) = match era.plan.window {
        Window::None => ("none", None),
        Window::SinceBlock => ("since-block", None),
        Window::LastWork { thousandths } => ("last-work", Some(number(thousandths)?)),
    };
    let insert = "INSERT INTO eras (number, shares_from, scheme, pays, share_window, thousandths, weighs, began) \
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let (from, began) = (number(era.from.0)?, number(era.began.to_millis())?);
    let row = params![next, from, era.scheme, pays, window, thousandths, i64::from(era.plan.weighs), began];
    run(connection, insert, row).map(|_| ())
}

fn put_ban(connection: &Connection, ban: &Ban) -> Result<(), AccountsError> {
    let (kind, who) = read::banned_text(&ban.who);
    run(connection, "DELETE FROM bans WHERE kind = ?1 AND who = ?2", params![kind, who])?;
    let insert = "INSERT INTO bans (kind, who, ends, reason) VALUES (?1, ?2, ?3, ?4)";
    run(connection, insert, params![kind, who, number(ban.until.to_millis())?, ban.reason]).map(|_| ())
}

fn put_note(connection: &Connection, note: &OperatorChange) -> Result<(), AccountsError> {
    let next = read::number_max(connection, "SELECT MAX(number) FROM notes")? + 1;
    let insert = "INSERT INTO notes (number, written, who, what, reason) VALUES (?1, ?2, ?3, ?4, ?5)";
    let row = params![next, number(note.time.to_millis())?, note.who, note.what, note.reason];
    run(connection, insert, row).map(|_| ())
}

fn must_exist(connection: &Connection, account: AccountId) -> Result<(), AccountsError> {
    read::account(connection, account)?.map(|_| ()).ok_or(AccountsError::UnknownAccount { account })
}

/// Returns a number as SQL keeps it.
pub(super) fn number(value: u64) -> Result<i64, AccountsError> {
    i64::try_from(value).map_err(|_| AccountsError::Storage { detail: format!("{value} does not fit 63 bits") })
}

/// Runs one statement, and returns how many rows it changed.
fn run(connection: &Connection, statement: &str, values: impl Params) -> Result<usize, AccountsError> {
    connection.prepare_cached(statement).and_then(|mut statement| statement.execute(values)).map_err(failed)
}
