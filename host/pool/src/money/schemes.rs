//! Which payout scheme a block is split by, and how an operator changes it while the pool runs.
//!
//! Nobody who worked under one scheme loses by the change to another:
//! - Shares that a per-share scheme paid for belong to the operator, who bought them. Whichever scheme splits a block, they count for him.
//! - A block is split by the scheme in force before the change for as long as its window holds a share from before: that share is paid
//!   by the rule under which it was submitted, as often as it would have been.
//! - What a per-share scheme owes is closed with the change, at the economics of that moment.
//!
//! Under the last rule nobody gains by timing either: shares from before and after the change weigh by one rule in one window.

use crate::money::history::ShareHistory;
use crate::money::window::{Ownership, WindowOf};
use adit_primitives::accounts::{
    Accounts, AccountsError, Block, Change, Era, OperatorChange, Reserved, Settlement, ShareSequence,
};
use adit_primitives::contract::payout::{Economics, PayoutPlan, Pays, Window};
use adit_primitives::engine::PayoutEngine;
use adit_primitives::storage::StorageError;
use std::collections::BTreeMap;
use std::ops::Range;

#[cfg(test)]
mod tests;

/// The schemes that are loaded, by [`Era::scheme`]: the one in force, and those that something [is still to be asked of](super::rounds::Rounds::asked).
pub type Schemes = BTreeMap<String, Box<dyn PayoutEngine>>;

/// The schemes that were in force, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eras {
    eras: Vec<Era>,
}

/// How a block is to be split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// By a scheme.
    Split(SplitBy),
    /// Every share that could have a part in it was paid for: the operator gets it.
    Operator,
}

/// The scheme by which a block is split, and the shares that count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitBy {
    pub scheme: String,
    pub plan: PayoutPlan,
    pub window: WindowOf,
}

/// What is still to be asked of a scheme, as the books and the log are now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// Blocks that wait to be split by it.
    pub blocks: u64,
    /// Shares that wait to be paid for by it.
    pub shares: u64,
    /// Whether shares of its time are kept by which it may split blocks to come.
    pub may_split: bool,
}

/// Why no scheme could be put in force.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    #[error(transparent)]
    Books(#[from] AccountsError),
    #[error("the shares since the last settlement are not paid for: the worth of a share is not known now")]
    NoEconomics,
}

impl Eras {
    /// Reads them from the books.
    pub fn read(books: &dyn Accounts) -> Result<Self, AccountsError> {
        Ok(Self { eras: books.eras()? })
    }

    /// Returns the scheme in force.
    pub fn current(&self) -> Option<&Era> {
        self.eras.last()
    }

    /// Returns who owns which shares.
    pub fn ownership(&self) -> Ownership {
        let paid = self.with_shares().filter(|(era, _)| era.plan.pays == Pays::Shares);
        Ownership { buyer: Reserved::Operator.id(), bought: paid.map(|(_, shares)| shares).collect() }
    }

    /// Returns the scheme by which a block is split: the oldest that split blocks and whose window still holds a share of its own time,
    /// else the one in force at the find. `previous_end` is where the window of the pool's block before ended. `None` where no scheme
    /// was ever in force.
    pub fn ruling(
        &self,
        block: &Block,
        previous_end: ShareSequence,
        history: &dyn ShareHistory,
    ) -> Result<Option<Ruling>, StorageError> {
        let by = |era: &Era| {
            let window = WindowOf::new(era.plan.window, block.shares_end, previous_end, block.work, block.found);
            SplitBy { scheme: era.scheme.clone(), plan: era.plan, window }
        };
        // The share that found the block lies before its end: what begins at the end came later.
        let begun = self.with_shares().filter(|(era, _)| era.from < block.shares_end || era.from.0 == 0);
        let begun: Vec<_> = begun.collect();
        let Some((current, earlier)) = begun.split_last() else { return Ok(None) };
        for (era, own) in earlier.iter().filter(|(era, _)| splits_by_shares(&era.plan)) {
            let by = by(era);
            if by.window.holds(history, own.clone())? {
                return Ok(Some(Ruling::Split(by)));
            }
        }
        let (era, _) = current;
        Ok(Some(match era.plan.pays {
            Pays::Shares => Ruling::Operator,
            Pays::Blocks => Ruling::Split(by(era)),
        }))
    }

    /// Returns the newest era that began before the share at `end`: that of a block found by a share which is not in the log, where `end` is the next.
    pub(super) fn begun_before(&self, end: ShareSequence) -> Option<&Era> {
        self.eras.iter().rev().find(|era| era.from < end || era.from.0 == 0)
    }

    /// Returns each era with the shares of its time.
    pub(super) fn with_shares(&self) -> impl Iterator<Item = (&Era, Range<ShareSequence>)> {
        let ends = self.eras.iter().skip(1).map(|era| era.from).chain([ShareSequence(u64::MAX)]);
        self.eras.iter().zip(ends).map(|(era, end)| (era, era.from..end))
    }

    /// Returns the range of shares up to `to` that the scheme in force pays for and that nobody has owed for, with the scheme. `None`
    /// where there is none.
    pub(crate) fn unowed(
        &self,
        owed_until: ShareSequence,
        to: ShareSequence,
    ) -> Option<(Range<ShareSequence>, String)> {
        let era = self.current().filter(|era| era.plan.pays == Pays::Shares)?;
        let from = era.from.max(owed_until);
        (from < to).then(|| (from..to, era.scheme.clone()))
    }
}

pub(super) fn splits_by_shares(plan: &PayoutPlan) -> bool {
    plan.pays == Pays::Blocks && plan.window != Window::None
}

/// Puts a scheme in force from `era.from` on, which must be the next share's place in the log. What the scheme before owes for shares is
/// closed in the same commit, at `economics`. Where the scheme is in force already, nothing happens; `note` tells operators who did it.
pub fn switch(
    books: &dyn Accounts,
    era: Era,
    economics: Option<Economics>,
    note: Option<OperatorChange>,
) -> Result<bool, SwitchError> {
    let eras = Eras::read(books)?;
    if eras.current().is_some_and(|current| current.scheme == era.scheme && current.plan == era.plan) {
        return Ok(false);
    }
    let mut changes = Vec::new();
    if let Some((range, scheme)) = eras.unowed(books.owed_until()?, era.from) {
        let economics = economics.ok_or(SwitchError::NoEconomics)?;
        changes.push(Change::Owe(Settlement { from: range.start, to: range.end, scheme, economics }));
    }
    changes.push(Change::Era(era));
    changes.extend(note.map(Change::Note));
    books.commit(&changes)?;
    Ok(true)
}
