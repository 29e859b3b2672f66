//! Whose shares count in a block's split, and how much.
//!
//! One pass over the log, the newest share first: memory grows with accounts and never with shares.

use crate::money::history::{LoggedShare, ShareHistory};
use adit_primitives::accounts::ShareSequence;
use adit_primitives::contract::payout::{AccountId, PayoutPlan, ShareToWeigh, Weight, Window};
use adit_primitives::engine::{Fault, PayoutEngine};
use adit_primitives::storage::StorageError;
use adit_primitives::{Timestamp, U256, Work};
use std::collections::{BTreeMap, HashMap};
use std::ops::{ControlFlow, Range};

#[cfg(test)]
mod tests;

/// How many rows a scheme is asked to weigh at once.
const ROWS_PER_CALL: usize = 8_192;

/// The window of one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowOf {
    /// Where the window may begin: at the end of the block before for a window since the last block, at 0 for one by work.
    pub range: Range<ShareSequence>,
    /// How much work it holds at most; the oldest share is cut to fit. `None`: all that is in the range.
    pub work_max: Option<U256>,
    /// When the block was found: shares are as old as they were then.
    pub found: Timestamp,
}

/// Who owns which shares: the miner who submitted them, but for those that were paid for one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ownership {
    /// Who owns the shares that were paid for.
    pub buyer: AccountId,
    /// The ranges of shares that were paid for, in order.
    pub bought: Vec<Range<ShareSequence>>,
}

/// Why shares could not be weighed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WeighError {
    #[error(transparent)]
    History(#[from] StorageError),
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("the scheme weighed {found} of {asked} rows")]
    Rows { asked: usize, found: usize },
}

impl Ownership {
    /// Tells who owns a share.
    pub fn owner(&self, share: &LoggedShare) -> AccountId {
        let bought = self.bought.iter().any(|range| range.contains(&share.sequence));
        if bought { self.buyer } else { share.account }
    }
}

impl WindowOf {
    /// Returns the window that a plan asks for. `previous_end` is where the window of the pool's block before ended.
    pub fn new(window: Window, end: ShareSequence, previous_end: ShareSequence, work: Work, found: Timestamp) -> Self {
        let (begin, work_max) = match window {
            Window::None => (end, None),
            Window::SinceBlock => (previous_end.min(end), None),
            Window::LastWork { thousandths } => (ShareSequence(0), Some(thousandths_of(work, thousandths))),
        };
        Self { range: begin..end, work_max, found }
    }

    /// Shows the shares of the window with the work that counts of each, the newest first, until `visit` has enough.
    pub fn visit(
        &self,
        history: &dyn ShareHistory,
        visit: &mut dyn FnMut(&LoggedShare, u64) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        let mut left = self.work_max.unwrap_or(U256::MAX);
        history.newest_first(self.range.clone(), &mut |chunk| {
            for share in chunk {
                let work = share.difficulty.work();
                let counted = u64::try_from(left.min(U256::from(work))).unwrap_or(work);
                if counted == 0 {
                    return ControlFlow::Break(());
                }
                left = left.saturating_sub(U256::from(counted));
                visit(share, counted)?;
            }
            ControlFlow::Continue(())
        })
    }

    /// Tells whether the window holds a share before `end` and from `begin` on.
    pub fn holds(&self, history: &dyn ShareHistory, shares: Range<ShareSequence>) -> Result<bool, StorageError> {
        let mut holds = false;
        self.visit(history, &mut |share, _| {
            holds = shares.contains(&share.sequence);
            if holds || share.sequence < shares.start { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(holds)
    }

    /// Sums the work of each account.
    pub fn work_by_owner(&self, history: &dyn ShareHistory, of: &Ownership) -> Result<Vec<Weight>, StorageError> {
        let mut sums = WorkSums::default();
        self.visit(history, &mut |share, work| {
            sums.add(of.owner(share), work);
            ControlFlow::Continue(())
        })?;
        Ok(sums.into_weights())
    }

    /// Sums what the shares of each account weigh: their work, or what the scheme says where its plan says that it does.
    pub fn weights(
        &self,
        history: &dyn ShareHistory,
        of: &Ownership,
        plan: &PayoutPlan,
        engine: &mut dyn PayoutEngine,
    ) -> Result<Vec<Weight>, WeighError> {
        if !plan.weighs {
            return Ok(self.work_by_owner(history, of)?);
        }
        let mut scale = Scale { engine, weights: BTreeMap::new(), rows: Vec::new() };
        let mut second = Second { age_ms: 0, works: BTreeMap::new() };
        let mut failed = None;
        self.visit(history, &mut |share, work| {
            let age_ms = self.found.to_millis().saturating_sub(share.time.to_millis());
            match second.add(of.owner(share), work, age_ms, &mut scale) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        failed.map_or(Ok(()), Err)?;
        second.close(&mut scale)?;
        scale.weigh()?;
        Ok(into_weights(scale.weights))
    }
}

/// Returns a part of the work of a block, rounded down; at most what 256 bits hold.
pub(crate) fn thousandths_of(work: Work, thousandths: u64) -> U256 {
    let (part, factor) = (U256::from(1_000u64), U256::from(thousandths));
    match work.0.checked_mul(factor) {
        Some(product) => product / part,
        None => (work.0 / part).saturating_mul(factor),
    }
}

fn into_weights(sums: BTreeMap<AccountId, U256>) -> Vec<Weight> {
    let some = sums.into_iter().filter(|(_, weight)| !weight.is_zero());
    some.map(|(account, weight)| Weight { account, weight }).collect()
}

/// Sums of work by account. Shares of one account often follow each other.
#[derive(Default)]
pub(crate) struct WorkSums {
    sums: HashMap<AccountId, u128>,
    last: Option<(AccountId, u128)>,
}

impl WorkSums {
    pub(crate) fn add(&mut self, account: AccountId, work: u64) {
        // 2^128 is the work of 2^66 of the greatest shares: no log holds as many.
        match &mut self.last {
            Some((last, sum)) if *last == account => *sum = sum.saturating_add(work.into()),
            _ => {
                self.flush();
                self.last = Some((account, work.into()));
            }
        }
    }

    fn flush(&mut self) {
        if let Some((account, work)) = self.last.take() {
            let sum = self.sums.entry(account).or_default();
            *sum = sum.saturating_add(work);
        }
    }

    pub(crate) fn into_weights(mut self) -> Vec<Weight> {
        self.flush();
        into_weights(self.sums.into_iter().map(|(account, work)| (account, U256::from(work))).collect())
    }
}

/// Shares of one second, merged by account, so that a scheme has fewer rows to weigh.
struct Second {
    /// The age of the share that was put in first, the newest.
    age_ms: u64,
    works: BTreeMap<AccountId, u64>,
}

impl Second {
    fn add(&mut self, account: AccountId, work: u64, age_ms: u64, scale: &mut Scale<'_>) -> Result<(), WeighError> {
        if age_ms / 1_000 != self.age_ms / 1_000 {
            self.close(scale)?;
        }
        if self.works.is_empty() {
            self.age_ms = age_ms;
        }
        let sum = self.works.entry(account).or_default();
        match sum.checked_add(work) {
            Some(more) => *sum = more,
            None => {
                let full = std::mem::replace(sum, work);
                scale.put(ShareToWeigh { account, work: full, age_ms: self.age_ms })?;
            }
        }
        Ok(())
    }

    fn close(&mut self, scale: &mut Scale<'_>) -> Result<(), WeighError> {
        for (account, work) in std::mem::take(&mut self.works) {
            scale.put(ShareToWeigh { account, work, age_ms: self.age_ms })?;
        }
        Ok(())
    }
}

/// Asks a scheme what shares weigh, many at once.
struct Scale<'a> {
    engine: &'a mut dyn PayoutEngine,
    weights: BTreeMap<AccountId, U256>,
    rows: Vec<ShareToWeigh>,
}

impl Scale<'_> {
    fn put(&mut self, row: ShareToWeigh) -> Result<(), WeighError> {
        self.rows.push(row);
        if self.rows.len() < ROWS_PER_CALL { Ok(()) } else { self.weigh() }
    }

    fn weigh(&mut self) -> Result<(), WeighError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let answers = self.engine.weigh(&self.rows)?;
        if answers.len() != self.rows.len() {
            return Err(WeighError::Rows { asked: self.rows.len(), found: answers.len() });
        }
        for (row, weight) in self.rows.drain(..).zip(answers) {
            let sum = self.weights.entry(row.account).or_default();
            *sum = sum.saturating_add(U256::from(weight));
        }
        Ok(())
    }
}
