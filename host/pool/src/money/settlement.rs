//! Schemes that pay for each share: which shares are owed for, and the posting that pays for them.
//!
//! Owing comes first and names the economics of its time, paying follows: a scheme that faults delays what it pays and does not change
//! it. The operator's account pays, and gets the blocks in return.

use crate::money::history::ShareHistory;
use crate::money::rounds::{Postponed, RoundsError};
use crate::money::schemes::{Eras, Schemes};
use crate::money::split::check_settlement;
use crate::money::window::WorkSums;
use adit_primitives::accounts::{Accounts, Cause, Change, Posting, Reserved, Settlement, ShareSequence};
use adit_primitives::contract::payout::{Economics, Weight};
use adit_primitives::storage::StorageError;
use adit_primitives::{Amount, Timestamp};
use std::ops::ControlFlow;

#[cfg(test)]
mod tests;

/// What became of a range of shares that is owed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// The posting is in the books.
    Paid { from: ShareSequence, to: ShareSequence, sum: Amount },
    /// Nothing was booked; to be tried again.
    Postponed { from: ShareSequence, to: ShareSequence, why: Postponed },
}

/// Closes the range of shares before `to` that the scheme in force pays for, at `economics`: to be called whenever these change, and
/// every so often between. Returns whether anything is newly owed; nothing is under schemes that split blocks.
pub fn owe(books: &dyn Accounts, to: ShareSequence, economics: Economics) -> Result<bool, RoundsError> {
    let Some((range, scheme)) = Eras::read(books)?.unowed(books.owed_until()?, to) else { return Ok(false) };
    books.commit(&[Change::Owe(Settlement { from: range.start, to: range.end, scheme, economics })])?;
    Ok(true)
}

/// Pays for what is owed, the oldest range first.
pub fn settle_due(
    books: &dyn Accounts,
    history: &dyn ShareHistory,
    schemes: &mut Schemes,
    now: Timestamp,
) -> Result<Vec<Settled>, RoundsError> {
    let mut outcomes = Vec::new();
    for due in books.settlements_due()? {
        let (from, to) = (due.from, due.to);
        outcomes.push(match settle(books, history, schemes, &due, now)? {
            Ok(sum) => Settled::Paid { from, to, sum },
            Err(why) => Settled::Postponed { from, to, why },
        });
    }
    Ok(outcomes)
}

fn settle(
    books: &dyn Accounts,
    history: &dyn ShareHistory,
    schemes: &mut Schemes,
    due: &Settlement,
    now: Timestamp,
) -> Result<Result<Amount, Postponed>, RoundsError> {
    let Some(engine) = schemes.get_mut(&due.scheme) else {
        return Ok(Err(Postponed::NotLoaded { scheme: due.scheme.clone() }));
    };
    let shares = work_by_account(history, due)?;
    let credits = if shares.is_empty() { Ok(Vec::new()) } else { engine.settle(&shares, &due.economics) };
    let checked = match credits.map(|credits| check_settlement(&credits, &shares, &due.economics)) {
        Ok(Ok(checked)) => checked,
        Ok(Err(refused)) => return Ok(Err(refused.into())),
        Err(fault) => return Ok(Err(fault.into())),
    };
    let cause = Cause::Settlement { from: due.from, to: due.to };
    let entries = checked.entries(Reserved::Operator).ok_or_else(|| RoundsError::TooMuch { cause: cause.clone() })?;
    books.commit(&[Change::Post(Posting::new(cause, now, entries)?), Change::Settled { from: due.from }])?;
    Ok(Ok(checked.sum()))
}

fn work_by_account(history: &dyn ShareHistory, due: &Settlement) -> Result<Vec<Weight>, StorageError> {
    let mut sums = WorkSums::default();
    history.newest_first(due.from..due.to, &mut |chunk| {
        chunk.iter().for_each(|share| sums.add(share.account, share.difficulty.work()));
        ControlFlow::Continue(())
    })?;
    Ok(sums.into_weights())
}
