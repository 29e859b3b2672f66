//! How rows become values. A row that no version of Adit writes is told as such, never guessed at.

use super::failed;
use super::write::number;
use adit_primitives::accounts::{
    Account, AccountsError, Balance, Ban, Banned, Block, BlockState, Cause, Entry, Era, OperatorChange, Payment,
    PaymentNumber, PaymentOutput, PaymentState, Posting, ROWS_MAX, Reserved, Settlement, ShareSequence, SignedPayment,
    Worker, WorkerId,
};
use adit_primitives::contract::payout::{AccountId, Economics, PayoutPlan, Pays, Window};
use adit_primitives::{Amount, BlockId, Height, Timestamp, U256, Work};
use rusqlite::types::FromSql;
use rusqlite::{Connection, Params, Row, params};
use std::fmt::Display;
use std::str::FromStr;

type Read<T> = Result<T, AccountsError>;

const ACCOUNT: &str = "SELECT number, address, opened, total, immature FROM accounts";
const WORKER: &str = "SELECT number, account, name, first_seen FROM workers";
const POSTING: &str = "SELECT number, cause, booked FROM postings";
const BLOCK: &str =
    "SELECT id, height, reward, fees, work, finder, worker, shares_end, found, state, split, bytes FROM blocks";
/// Without the bytes, which a list has no use for.
const BLOCK_BRIEF: &str =
    "SELECT id, height, reward, fees, work, finder, worker, shares_end, found, state, split, NULL FROM blocks";
const PAYMENT: &str = "SELECT number, state, planned, tx_id, raw, fee FROM payments";

pub(super) fn account_of(connection: &Connection, address: &str) -> Read<Option<AccountId>> {
    let ids = rows(connection, "SELECT number FROM accounts WHERE address = ?1", [address], |row| at(row, 0));
    Ok(ids?.pop().map(AccountId))
}

pub(super) fn worker_of(connection: &Connection, account: AccountId, name: &str) -> Read<Option<WorkerId>> {
    let query = "SELECT number FROM workers WHERE account = ?1 AND name = ?2";
    Ok(rows(connection, query, params![account.0, name], |row| at(row, 0))?.pop().map(WorkerId))
}

pub(super) fn account(connection: &Connection, id: AccountId) -> Read<Option<Account>> {
    Ok(rows(connection, &format!("{ACCOUNT} WHERE number = ?1"), [id.0], to_account)?.pop())
}

pub(super) fn accounts(connection: &Connection, after: Option<AccountId>, max: usize) -> Read<Vec<Account>> {
    let after = after.map_or(-1, |after| i64::from(after.0));
    let query = format!("{ACCOUNT} WHERE number > ?1 ORDER BY number LIMIT ?2");
    rows(connection, &query, params![after, limit(max)], to_account)
}

pub(super) fn payable(connection: &Connection, at_least: Amount, max: usize) -> Read<Vec<Account>> {
    // Nobody has more than 63 bits hold.
    let Ok(at_least) = i64::try_from(at_least.to_atoms()) else { return Ok(Vec::new()) };
    let query = format!(
        "{ACCOUNT} WHERE total - immature >= ?1 AND number >= ?2 ORDER BY total - immature DESC, number LIMIT ?3"
    );
    rows(connection, &query, params![at_least, Reserved::PAYEES_FROM.0, limit(max)], to_account)
}

pub(super) fn workers(connection: &Connection, after: Option<WorkerId>, max: usize) -> Read<Vec<Worker>> {
    let after = after.map_or(-1, |after| i64::from(after.0));
    let query = format!("{WORKER} WHERE number > ?1 ORDER BY number LIMIT ?2");
    rows(connection, &query, params![after, limit(max)], |row| {
        Ok(Worker {
            id: WorkerId(at(row, 0)?),
            account: AccountId(at(row, 1)?),
            name: at(row, 2)?,
            first_seen: time(row, 3)?,
        })
    })
}

pub(super) fn posting_number(connection: &Connection, cause: &Cause) -> Read<Option<i64>> {
    let query = "SELECT number FROM postings WHERE cause = ?1";
    Ok(rows(connection, query, [cause.to_string()], |row| at(row, 0))?.pop())
}

pub(super) fn posting(connection: &Connection, cause: &Cause) -> Read<Option<Posting>> {
    let query = format!("{POSTING} WHERE cause = ?1");
    Ok(with_entries(connection, &query, [cause.to_string()])?.pop())
}

pub(super) fn journal(connection: &Connection, first: u64, max: usize) -> Read<Vec<Posting>> {
    // Postings are numbered from 1 without gaps.
    let Ok(first) = number(first) else { return Ok(Vec::new()) };
    let query = format!("{POSTING} WHERE number > ?1 ORDER BY number LIMIT ?2");
    with_entries(connection, &query, params![first, limit(max)])
}

fn with_entries(connection: &Connection, query: &str, values: impl Params) -> Read<Vec<Posting>> {
    let heads = rows(connection, query, values, |row| Ok((at::<i64>(row, 0)?, text::<Cause>(row, 1)?, time(row, 2)?)))?;
    let entries = "SELECT account, atoms FROM entries WHERE posting = ?1 ORDER BY account";
    heads
        .into_iter()
        .map(|(number, cause, booked)| {
            let entries = rows(connection, entries, [number], |row| {
                Ok(Entry { account: AccountId(at(row, 0)?), atoms: at(row, 1)? })
            })?;
            Posting::new(cause, booked, entries).map_err(|error| AccountsError::Corrupt { detail: error.to_string() })
        })
        .collect()
}

/// Returns the entries of all postings that stand or fall with a block.
pub(super) fn entries_of_block(connection: &Connection, id: BlockId) -> Read<Vec<(AccountId, i64)>> {
    let query = "SELECT account, atoms FROM entries, postings WHERE posting = number AND block = ?1";
    rows(connection, query, [id.to_string()], |row| Ok((AccountId(at(row, 0)?), at(row, 1)?)))
}

pub(super) fn block(connection: &Connection, id: BlockId) -> Read<Option<Block>> {
    Ok(rows(connection, &format!("{BLOCK} WHERE id = ?1"), [id.to_string()], to_block)?.pop())
}

pub(super) fn block_state(connection: &Connection, id: BlockId) -> Read<BlockState> {
    let query = "SELECT state FROM blocks WHERE id = ?1";
    let state = rows(connection, query, [id.to_string()], |row| block_state_at(row, 0))?.pop();
    state.ok_or(AccountsError::UnknownBlock { id })
}

pub(super) fn is_split(connection: &Connection, id: BlockId) -> Read<bool> {
    let split = rows(connection, "SELECT split FROM blocks WHERE id = ?1", [id.to_string()], |row| at(row, 0))?.pop();
    split.ok_or(AccountsError::UnknownBlock { id })
}

pub(super) fn blocks_open(connection: &Connection) -> Read<Vec<Block>> {
    let query = format!(
        "{BLOCK} WHERE state IN ('found', 'immature') OR state = 'confirmed' AND split = 0 ORDER BY number LIMIT ?1"
    );
    rows(connection, &query, [limit(ROWS_MAX)], to_block)
}

pub(super) fn block_before(connection: &Connection, block: BlockId) -> Read<Option<Block>> {
    block_state(connection, block)?;
    let query = format!(
        "{BLOCK} WHERE number < (SELECT number FROM blocks WHERE id = ?1) AND state IN ('immature', 'confirmed') \
         ORDER BY number DESC LIMIT 1"
    );
    Ok(rows(connection, &query, [block.to_string()], to_block)?.pop())
}

pub(super) fn blocks(connection: &Connection, skip: u64, max: usize) -> Read<Vec<Block>> {
    let Ok(skip) = number(skip) else { return Ok(Vec::new()) };
    let query = format!("{BLOCK_BRIEF} ORDER BY number DESC LIMIT ?2 OFFSET ?1");
    rows(connection, &query, params![skip, limit(max)], to_block)
}

pub(super) fn payment(connection: &Connection, payment: PaymentNumber) -> Read<Option<Payment>> {
    let query = format!("{PAYMENT} WHERE number = ?1");
    Ok(with_outputs(connection, &query, [number(payment.0)?])?.pop())
}

pub(super) fn payment_state(connection: &Connection, payment: PaymentNumber) -> Read<PaymentState> {
    let query = "SELECT state FROM payments WHERE number = ?1";
    let state = rows(connection, query, [number(payment.0)?], |row| payment_state_at(row, 0))?.pop();
    state.ok_or(AccountsError::UnknownPayment { number: payment })
}

pub(super) fn payments_open(connection: &Connection) -> Read<Vec<Payment>> {
    let query = format!("{PAYMENT} WHERE state IN ('planned', 'signed', 'sent') ORDER BY number LIMIT ?1");
    with_outputs(connection, &query, [limit(ROWS_MAX)])
}

pub(super) fn payments(connection: &Connection, skip: u64, max: usize) -> Read<Vec<Payment>> {
    let Ok(skip) = number(skip) else { return Ok(Vec::new()) };
    with_outputs(connection, &format!("{PAYMENT} ORDER BY number DESC LIMIT ?2 OFFSET ?1"), params![skip, limit(max)])
}

fn with_outputs(connection: &Connection, query: &str, values: impl Params) -> Read<Vec<Payment>> {
    let mut payments = rows(connection, query, values, to_payment)?;
    let outputs = "SELECT account, address, amount FROM payment_outputs WHERE payment = ?1 ORDER BY place";
    for payment in &mut payments {
        payment.outputs = rows(connection, outputs, [number(payment.number.0)?], |row| {
            Ok(PaymentOutput { account: AccountId(at(row, 0)?), address: at(row, 1)?, amount: amount(row, 2)? })
        })?;
    }
    Ok(payments)
}

pub(super) fn settlements_due(connection: &Connection) -> Read<Vec<Settlement>> {
    let query = "SELECT shares_from, shares_to, scheme, subsidy, mean_fees, work FROM settlements WHERE paid = 0 \
                 ORDER BY shares_from LIMIT ?1";
    rows(connection, query, [limit(ROWS_MAX)], |row| {
        let economics = Economics { subsidy: unsigned(row, 3)?, mean_fees: unsigned(row, 4)?, work: work(row, 5)? };
        let (from, to) = (ShareSequence(unsigned(row, 0)?), ShareSequence(unsigned(row, 1)?));
        Ok(Settlement { from, to, scheme: at(row, 2)?, economics })
    })
}

pub(super) fn owed_until(connection: &Connection) -> Read<ShareSequence> {
    let end = number_max(connection, "SELECT MAX(shares_to) FROM settlements")?;
    u64::try_from(end).map(ShareSequence).map_err(|_| corrupt("end of shares", &end))
}

pub(super) fn eras(connection: &Connection) -> Read<Vec<Era>> {
    let query = "SELECT shares_from, scheme, pays, share_window, thousandths, weighs, began FROM eras ORDER BY number";
    rows(connection, query, [], |row| {
        let pays = match at::<String>(row, 2)?.as_str() {
            "blocks" => Pays::Blocks,
            "shares" => Pays::Shares,
            other => return Err(corrupt("what a scheme pays for", &other)),
        };
        let window = match at::<String>(row, 3)?.as_str() {
            "none" => Window::None,
            "since-block" => Window::SinceBlock,
            "last-work" => Window::LastWork { thousandths: unsigned(row, 4)? },
            other => return Err(corrupt("window", &other)),
        };
        let plan = PayoutPlan { pays, window, weighs: at(row, 5)? };
        Ok(Era { from: ShareSequence(unsigned(row, 0)?), scheme: at(row, 1)?, plan, began: time(row, 6)? })
    })
}

pub(super) fn bans(connection: &Connection, now: Timestamp) -> Read<Vec<Ban>> {
    let Ok(now) = number(now.to_millis()) else { return Ok(Vec::new()) };
    let query = "SELECT kind, who, ends, reason FROM bans WHERE ends > ?1 ORDER BY kind, who LIMIT ?2";
    rows(connection, query, params![now, limit(ROWS_MAX)], |row| {
        let who = match at::<String>(row, 0)?.as_str() {
            ORIGIN => Banned::Origin(text(row, 1)?),
            USER => Banned::User(at(row, 1)?),
            other => return Err(corrupt("kind of ban", &other)),
        };
        Ok(Ban { who, until: time(row, 2)?, reason: at(row, 3)? })
    })
}

pub(super) fn notes(connection: &Connection, skip: u64, max: usize) -> Read<Vec<OperatorChange>> {
    let Ok(skip) = number(skip) else { return Ok(Vec::new()) };
    let query = "SELECT written, who, what, reason FROM notes ORDER BY number DESC LIMIT ?2 OFFSET ?1";
    rows(connection, query, params![skip, limit(max)], |row| {
        Ok(OperatorChange { time: time(row, 0)?, who: at(row, 1)?, what: at(row, 2)?, reason: at(row, 3)? })
    })
}

/// Returns the greatest number that a query finds, 0 where there is none.
pub(super) fn number_max(connection: &Connection, query: &str) -> Read<i64> {
    let found: Option<i64> = rows(connection, query, [], |row| at(row, 0))?.pop().flatten();
    Ok(found.unwrap_or(0))
}

const ORIGIN: &str = "origin";
const USER: &str = "user";

/// Returns the kind and the name under which a ban is kept.
pub(super) fn banned_text(who: &Banned) -> (&'static str, String) {
    match who {
        Banned::Origin(origin) => (ORIGIN, origin.to_string()),
        Banned::User(user) => (USER, user.clone()),
    }
}

fn to_account(row: &Row<'_>) -> Read<Account> {
    let balance = Balance { total: at(row, 3)?, immature: at(row, 4)? };
    Ok(Account { id: AccountId(at(row, 0)?), address: at(row, 1)?, opened: time(row, 2)?, balance })
}

fn to_block(row: &Row<'_>) -> Read<Block> {
    Ok(Block {
        id: text(row, 0)?,
        height: Height(unsigned(row, 1)?),
        reward: amount(row, 2)?,
        fees: amount(row, 3)?,
        work: work(row, 4)?,
        finder: AccountId(at(row, 5)?),
        worker: WorkerId(at(row, 6)?),
        shares_end: ShareSequence(unsigned(row, 7)?),
        found: time(row, 8)?,
        state: block_state_at(row, 9)?,
        split: at(row, 10)?,
        bytes: at::<Option<Vec<u8>>>(row, 11)?.unwrap_or_default(),
    })
}

/// Reads a payment without its outputs.
fn to_payment(row: &Row<'_>) -> Read<Payment> {
    let signed = match at::<Option<String>>(row, 3)? {
        Some(_) => Some(SignedPayment { id: text(row, 3)?, raw: at(row, 4)?, fee: amount(row, 5)? }),
        None => None,
    };
    let (number, planned) = (PaymentNumber(unsigned(row, 0)?), time(row, 2)?);
    Ok(Payment { number, state: payment_state_at(row, 1)?, planned, outputs: Vec::new(), signed })
}

fn block_state_at(row: &Row<'_>, index: usize) -> Read<BlockState> {
    let name: String = at(row, index)?;
    BlockState::ALL.into_iter().find(|state| state.name() == name).ok_or_else(|| corrupt("state of a block", &name))
}

fn payment_state_at(row: &Row<'_>, index: usize) -> Read<PaymentState> {
    let name: String = at(row, index)?;
    PaymentState::ALL.into_iter().find(|state| state.name() == name).ok_or_else(|| corrupt("state of a payment", &name))
}

fn at<T: FromSql>(row: &Row<'_>, index: usize) -> Read<T> {
    row.get(index).map_err(failed)
}

fn unsigned(row: &Row<'_>, index: usize) -> Read<u64> {
    let value: i64 = at(row, index)?;
    u64::try_from(value).map_err(|_| corrupt("number", &value))
}

fn amount(row: &Row<'_>, index: usize) -> Read<Amount> {
    unsigned(row, index).map(Amount::from_atoms)
}

fn time(row: &Row<'_>, index: usize) -> Read<Timestamp> {
    unsigned(row, index).map(Timestamp::from_millis)
}

fn work(row: &Row<'_>, index: usize) -> Read<Work> {
    text::<U256>(row, index).map(Work)
}

fn text<T: FromStr>(row: &Row<'_>, index: usize) -> Read<T> {
    let text: String = at(row, index)?;
    text.parse().map_err(|_| corrupt("text", &text))
}

fn corrupt(what: &str, found: &dyn Display) -> AccountsError {
    AccountsError::Corrupt { detail: format!("{found} as {what}") }
}

fn limit(max: usize) -> i64 {
    i64::try_from(max.min(ROWS_MAX)).unwrap_or(i64::MAX)
}

/// Runs a query and reads each of its rows.
fn rows<T>(
    connection: &Connection,
    query: &str,
    values: impl Params,
    read: impl Fn(&Row<'_>) -> Read<T>,
) -> Read<Vec<T>> {
    let mut statement = connection.prepare_cached(query).map_err(failed)?;
    let mut found = statement.query(values).map_err(failed)?;
    let mut values = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        values.push(read(row)?);
    }
    Ok(values)
}
