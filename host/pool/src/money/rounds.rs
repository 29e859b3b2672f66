//! What happens to a block that the pool found: recorded, accepted, split, and followed until it is confirmed or orphaned.
//!
//! Fees are taken when the upstream accepts the block; the rest is income until the scheme has split it. A scheme that faults, or whose
//! split is refused, delays that and loses nothing: the income waits. An orphaned block's postings are taken back exactly.
//!
//! Steps may be taken side by side. Each is decided by what was read and committed later: the books take it only where it still fits.

use crate::money::fees::{Divided, Fees};
use crate::money::history::ShareHistory;
use crate::money::schemes::{Asked, Eras, Ruling, Schemes, SplitBy, splits_by_shares};
use crate::money::split::{Checked, SplitError, check_split};
use crate::money::window::{Ownership, WeighError};
use adit_primitives::accounts::{
    Accounts, AccountsError, Block, BlockState, Cause, Change, Committed, Entry, Posting, PostingError, Reserved,
    ShareSequence,
};
use adit_primitives::contract::payout::{FoundBlock, Pays, Window};
use adit_primitives::engine::{Fault, PayoutEngine};
use adit_primitives::storage::StorageError;
use adit_primitives::{Amount, BlockId, Timestamp};
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};

#[cfg(test)]
mod tests;

/// The pool's blocks in the books.
pub struct Rounds<'a> {
    pub books: &'a dyn Accounts,
    pub history: &'a dyn ShareHistory,
    pub settings: RoundSettings,
}

/// What the operator sets for blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundSettings {
    /// Those in force for blocks that are accepted from now on.
    pub fees: Fees,
    /// At how many confirmations a block counts as final. A coinbase must be spendable by then.
    pub confirmations: u64,
    /// Whether the coinbases of blocks pay the miners themselves: nothing is then owed to anybody, and what a block brings is paid with it.
    pub pays_miners: bool,
}

/// What the upstream says of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is in the chain, under so many blocks with itself.
    OnChain { confirmations: u64 },
    /// It is not in the chain, which has so many blocks from its height on.
    OffChain { blocks_from_its_height: u64 },
}

/// What became of an accepted block that waits to be split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SplitOutcome {
    /// The posting is in the books.
    Split { block: BlockId, distributed: Amount },
    /// Nothing was booked, the money is income still; to be tried again.
    Postponed { block: BlockId, why: Postponed },
}

/// Why money waits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Postponed {
    #[error("no payout scheme was in force")]
    NoScheme,
    #[error("the payout scheme {scheme} is not loaded")]
    NotLoaded { scheme: String },
    #[error("the payout scheme gave no answer: {0}")]
    Fault(#[from] Fault),
    #[error("the scheme weighed {found} of {asked} rows")]
    Rows { asked: usize, found: usize },
    #[error("the split is refused: {0}")]
    Refused(#[from] SplitError),
    #[error("whether the upstream took an earlier block is not known yet")]
    EarlierBlock,
    #[error("it was orphaned meanwhile")]
    Orphaned,
}

/// Why nothing could be done at all.
#[derive(Debug, thiserror::Error)]
pub enum RoundsError {
    #[error(transparent)]
    Books(#[from] AccountsError),
    #[error(transparent)]
    History(#[from] StorageError),
    #[error(transparent)]
    Posting(#[from] PostingError),
    #[error("block {id} is not in the books")]
    UnknownBlock { id: BlockId },
    #[error("{cause} moves more than 63 bits of atoms")]
    TooMuch { cause: Cause },
    #[error("{cause} is to be taken back and not in the books")]
    Missing { cause: Cause },
}

impl Rounds<'_> {
    /// Records a find. Returns `false` where the block is in the books already.
    pub fn found(&self, block: &Block) -> Result<bool, RoundsError> {
        match self.books.commit(&[Change::Found(block.clone())]) {
            Ok(_) => Ok(true),
            Err(AccountsError::BlockKnown { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Books that the upstream took the block: fees at once, the rest as income. Nothing where that is booked already.
    pub fn accepted(&self, id: BlockId, now: Timestamp) -> Result<(), RoundsError> {
        let block = self.block(id)?;
        if block.state != BlockState::Found {
            return Ok(());
        }
        let posting = self.reward(&block, now)?;
        let changes = [Change::BlockState { id, to: BlockState::Immature }, Change::Post(posting)];
        unless_moved(self.books.commit(&changes))
    }

    /// Books that the upstream refused the block. Nothing where it is not merely found.
    pub fn refused(&self, id: BlockId) -> Result<(), RoundsError> {
        if self.block(id)?.state == BlockState::Found {
            unless_moved(self.books.commit(&[Change::BlockState { id, to: BlockState::Refused }]))?;
        }
        Ok(())
    }

    /// Books what the upstream says of a block, and returns the state that it is in then. A block off the chain counts as orphaned only
    /// when those in its place are as many as a confirmation takes: until then it may come back.
    pub fn follow(&self, id: BlockId, standing: Standing, now: Timestamp) -> Result<BlockState, RoundsError> {
        let enough = self.settings.confirmations;
        let mut state = self.block(id)?.state;
        if state == BlockState::Found {
            match standing {
                Standing::OnChain { .. } => self.accepted(id, now)?,
                Standing::OffChain { blocks_from_its_height } if blocks_from_its_height >= enough => {
                    self.refused(id)?
                }
                Standing::OffChain { .. } => {}
            }
            state = self.block(id)?.state;
        }
        match standing {
            _ if state != BlockState::Immature => {}
            Standing::OnChain { confirmations } if confirmations >= enough => {
                unless_moved(self.books.commit(&[Change::BlockState { id, to: BlockState::Confirmed }]))?;
            }
            Standing::OffChain { blocks_from_its_height } if blocks_from_its_height >= enough => {
                self.orphan(id, now)?;
            }
            _ => return Ok(state),
        }
        Ok(self.block(id)?.state)
    }

    /// Splits every accepted block that waits for it, in the order of the finds.
    pub fn split_due(&self, schemes: &mut Schemes, now: Timestamp) -> Result<Vec<SplitOutcome>, RoundsError> {
        let eras = Eras::read(self.books)?;
        let mut earlier_open = false;
        let mut outcomes = Vec::new();
        for block in self.books.blocks_open()? {
            if block.state == BlockState::Found {
                earlier_open = true;
            } else if !block.split {
                let split = match earlier_open && !self.settings.pays_miners {
                    // Where its window begins hangs on the earlier block.
                    true => Err(Postponed::EarlierBlock),
                    false => self.split(&block, &eras, schemes, now)?,
                };
                outcomes.push(match split {
                    Ok(distributed) => SplitOutcome::Split { block: block.id, distributed },
                    Err(why) => SplitOutcome::Postponed { block: block.id, why },
                });
            }
        }
        Ok(outcomes)
    }

    /// Returns what is still to be asked of each scheme, by its name. One that is not among them is asked for nothing any more, unless it is in force.
    pub fn asked(&self) -> Result<BTreeMap<String, Asked>, RoundsError> {
        let eras = Eras::read(self.books)?;
        let mut asked: BTreeMap<String, Asked> = BTreeMap::new();
        for due in self.books.settlements_due()? {
            asked.entry(due.scheme).or_default().shares += due.to.0.saturating_sub(due.from.0);
        }
        if self.settings.pays_miners {
            return Ok(asked);
        }
        for block in self.books.blocks_open()?.iter().filter(|block| !block.split) {
            if let Some(Ruling::Split(by)) = self.ruling(block, &eras)? {
                asked.entry(by.scheme).or_default().blocks += 1;
            }
        }
        // A share is forgotten when no window can reach it any more.
        for (era, shares) in eras.with_shares().filter(|(era, _)| splits_by_shares(&era.plan)) {
            if self.has_any(shares)? {
                asked.entry(era.scheme.clone()).or_default().may_split = true;
            }
        }
        if let Some((current, shares)) = eras.with_shares().last()
            && !self.has_any(shares)?
            && let Some(before) = eras.begun_before(current.from).filter(|era| era.plan.pays == Pays::Blocks)
        {
            asked.entry(before.scheme.clone()).or_default().may_split = true;
        }
        Ok(asked)
    }

    fn has_any(&self, shares: Range<ShareSequence>) -> Result<bool, StorageError> {
        let mut has_any = false;
        self.history.newest_first(shares, &mut |_| {
            has_any = true;
            ControlFlow::Break(())
        })?;
        Ok(has_any)
    }

    fn ruling(&self, block: &Block, eras: &Eras) -> Result<Option<Ruling>, RoundsError> {
        let previous_end = self.books.block_before(block.id)?.map(|before| before.shares_end).unwrap_or_default();
        Ok(eras.ruling(block, previous_end, self.history)?)
    }

    fn block(&self, id: BlockId) -> Result<Block, RoundsError> {
        self.books.block(id)?.ok_or(RoundsError::UnknownBlock { id })
    }

    fn reward(&self, block: &Block, now: Timestamp) -> Result<Posting, RoundsError> {
        let cause = Cause::BlockReward(block.id);
        let divided = match self.settings.pays_miners {
            true => Divided { foundation: Amount::ZERO, pool: Amount::ZERO, distributable: block.reward },
            false => self.settings.fees.divide(block.reward),
        };
        let entries = [
            Entry::gives(Reserved::Blocks.id(), block.reward),
            Entry::gets(Reserved::Income.id(), divided.distributable),
            Entry::gets(Reserved::Operator.id(), divided.pool),
            Entry::gets(Reserved::Foundation.id(), divided.foundation),
        ];
        let entries: Option<Vec<Entry>> = entries.into_iter().collect();
        let entries = entries.ok_or_else(|| RoundsError::TooMuch { cause: cause.clone() })?;
        Ok(Posting::new(cause, now, entries.into_iter().filter(|entry| entry.atoms != 0).collect())?)
    }

    fn orphan(&self, id: BlockId, now: Timestamp) -> Result<(), RoundsError> {
        loop {
            match self.books.commit(&self.reversals(id, now)?) {
                // It was split since it was read, which happens once.
                Err(AccountsError::SplitStands { .. }) => {}
                committed => return unless_moved(committed),
            }
        }
    }

    /// Returns what takes back all that is booked for a block.
    fn reversals(&self, id: BlockId, now: Timestamp) -> Result<Vec<Change>, RoundsError> {
        let pairs = [
            (Cause::BlockSplit(id), Cause::SplitReversal(id), self.block(id)?.split),
            (Cause::BlockReward(id), Cause::RewardReversal(id), true),
        ];
        let mut changes = Vec::new();
        for (cause, reversal, _) in pairs.into_iter().filter(|(_, _, booked)| *booked) {
            let posting = self.books.posting(&cause)?.ok_or(RoundsError::Missing { cause })?;
            changes.push(Change::Post(posting.reversed(reversal, now)));
        }
        changes.push(Change::BlockState { id, to: BlockState::Orphaned });
        Ok(changes)
    }

    fn split(
        &self,
        block: &Block,
        eras: &Eras,
        schemes: &mut Schemes,
        now: Timestamp,
    ) -> Result<Result<Amount, Postponed>, RoundsError> {
        let reward = Cause::BlockReward(block.id);
        let posting = self.books.posting(&reward)?.ok_or(RoundsError::Missing { cause: reward })?;
        let income = u64::try_from(posting.of(Reserved::Income.id())).unwrap_or(0);
        let available = Amount::from_atoms(income);
        let checked = match self.decide(block, eras, schemes, available)? {
            Ok(checked) => checked,
            Err(why) => return Ok(Err(why)),
        };
        let cause = Cause::BlockSplit(block.id);
        let entries = checked.entries(Reserved::Income).ok_or_else(|| RoundsError::TooMuch { cause: cause.clone() })?;
        let changes = [Change::Post(Posting::new(cause, now, entries)?), Change::Split { id: block.id }];
        match self.books.commit(&changes) {
            Err(AccountsError::NothingToSplit { .. }) => Ok(Err(Postponed::Orphaned)),
            committed => Ok(committed.map(|_| Ok(checked.sum()))?),
        }
    }

    /// Asks the scheme that the block is split by, and checks its answer.
    fn decide(
        &self,
        block: &Block,
        eras: &Eras,
        schemes: &mut Schemes,
        available: Amount,
    ) -> Result<Result<Checked, Postponed>, RoundsError> {
        if self.settings.pays_miners {
            return Ok(Ok(Checked::all_to(Reserved::Paid.id(), available)));
        }
        match self.ruling(block, eras)? {
            None => Ok(Err(Postponed::NoScheme)),
            Some(Ruling::Operator) => Ok(Ok(Checked::all_to(Reserved::Operator.id(), available))),
            Some(Ruling::Split(by)) => {
                let Some(engine) = schemes.get_mut(&by.scheme) else {
                    return Ok(Err(Postponed::NotLoaded { scheme: by.scheme }));
                };
                self.ask(block, &by, &eras.ownership(), engine.as_mut(), available)
            }
        }
    }

    fn ask(
        &self,
        block: &Block,
        by: &SplitBy,
        ownership: &Ownership,
        engine: &mut dyn PayoutEngine,
        available: Amount,
    ) -> Result<Result<Checked, Postponed>, RoundsError> {
        let weights = match by.window.weights(self.history, ownership, &by.plan, engine) {
            Ok(weights) => weights,
            Err(WeighError::History(error)) => return Err(error.into()),
            Err(WeighError::Fault(fault)) => return Ok(Err(fault.into())),
            Err(WeighError::Rows { asked, found }) => return Ok(Err(Postponed::Rows { asked, found })),
        };
        let payees = match by.plan.window {
            Window::None => vec![block.finder],
            _ => weights.iter().map(|weight| weight.account).collect(),
        };
        if payees.is_empty() {
            // The log holds no share of the window, not even the one that found the block: its finder is all that is known.
            return Ok(Ok(Checked::all_to(block.finder, available)));
        }
        let facts = FoundBlock {
            height: block.height,
            finder: block.finder,
            distributable: available.to_atoms(),
            work: block.work,
        };
        Ok(match engine.split(&facts, &weights) {
            Ok(credits) => check_split(&credits, available, &payees).map_err(Postponed::from),
            Err(fault) => Err(fault.into()),
        })
    }
}

/// A step that comes after another one took the block elsewhere has nothing left to do.
fn unless_moved(committed: Result<Committed, AccountsError>) -> Result<(), RoundsError> {
    match committed {
        Ok(_) | Err(AccountsError::BlockTransition { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
