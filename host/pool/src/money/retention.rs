//! Which shares may be forgotten: none that somebody is or may yet be paid for.

use crate::money::history::ShareHistory;
use crate::money::rounds::RoundsError;
use crate::money::schemes::{Eras, splits_by_shares};
use crate::money::window::WindowOf;
use adit_primitives::accounts::{Accounts, AccountsError, Block, BlockState, ShareSequence};
use adit_primitives::contract::payout::Window;
use adit_primitives::storage::StorageError;
use adit_primitives::{Timestamp, Work};
use std::ops::ControlFlow;

#[cfg(test)]
mod tests;

/// How many blocks are read at once.
const BLOCKS_AT_ONCE: usize = 100;

/// How many windows of today's difficulty are kept: a window grows with the difficulty, and must not meet its pruned end.
const WINDOWS: u64 = 2;

/// Returns the place in the log before which no share is needed: not for what is owed, not for blocks that wait to be split, and not for
/// blocks to come, whose work may be up to twice `work`. `next` is the place of the next share.
pub fn needed_from(
    books: &dyn Accounts,
    history: &dyn ShareHistory,
    next: ShareSequence,
    work: Work,
) -> Result<ShareSequence, RoundsError> {
    let eras = Eras::read(books)?;
    if eras.current().is_none() {
        return Ok(ShareSequence(0));
    }
    let waiting: Vec<Block> = books.blocks_open()?.into_iter().filter(|block| !block.split).collect();
    let end = waiting.iter().map(|block| block.shares_end).chain([next]).min().unwrap_or(next);
    let work = waiting.iter().map(|block| block.work).chain([work]).max().unwrap_or(work);
    let final_end = final_end(books, end)?;
    let mut needed = end;
    for (era, own) in eras.with_shares().filter(|(era, _)| splits_by_shares(&era.plan)) {
        let begin = begin(era.plan.window, end, final_end, work, history)?;
        // A scheme that is no more in force splits blocks for as long as its windows hold shares of its time.
        if own.end > begin {
            needed = needed.min(begin);
        }
    }
    let due = books.settlements_due()?.first().map(|due| due.from);
    let unowed = eras.unowed(books.owed_until()?, next).map(|(range, _)| range.start);
    Ok([due, unowed].into_iter().flatten().fold(needed, ShareSequence::min))
}

/// Returns where a window that ends at `end` or later begins at the earliest.
fn begin(
    window: Window,
    end: ShareSequence,
    final_end: ShareSequence,
    work: Work,
    history: &dyn ShareHistory,
) -> Result<ShareSequence, StorageError> {
    let Window::LastWork { thousandths } = window else { return Ok(final_end) };
    let wide = Window::LastWork { thousandths: thousandths.saturating_mul(WINDOWS) };
    let window = WindowOf::new(wide, end, final_end, work, Timestamp::default());
    let mut begin = end;
    window.visit(history, &mut |share, _| {
        begin = share.sequence;
        ControlFlow::Continue(())
    })?;
    Ok(begin)
}

/// Returns where the last round ended, before `end`, that no orphan can open again.
fn final_end(books: &dyn Accounts, end: ShareSequence) -> Result<ShareSequence, AccountsError> {
    let mut skip = 0;
    loop {
        let page = books.blocks(skip, BLOCKS_AT_ONCE)?;
        let last = page.iter().find(|block| block.state == BlockState::Confirmed && block.shares_end < end);
        match last {
            Some(block) => return Ok(block.shares_end),
            None if page.is_empty() => return Ok(ShareSequence(0)),
            None => skip += u64::try_from(page.len()).unwrap_or(u64::MAX),
        }
    }
}
