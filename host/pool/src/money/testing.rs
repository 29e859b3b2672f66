//! What the tests of money share: a log in memory, payout schemes written out, and books with a few payees.

use crate::money::fees::{BasisPoints, Fees};
use crate::money::history::{LoggedShare, ShareHistory};
use crate::money::rounds::{RoundSettings, Rounds, RoundsError, SplitOutcome};
use crate::money::schemes::{Schemes, switch};
use adit_primitives::accounts::{Accounts, Block, BlockState, Era, MemoryAccounts, Reserved, ShareSequence, WorkerId};
use adit_primitives::contract::payout::{
    AccountId, Credit, Economics, FoundBlock, PayoutPlan, Pays, ShareToWeigh, Weight, Window,
};
use adit_primitives::contract::shares::ShareDifficulty;
use adit_primitives::engine::{Fault, FaultClass, PayoutEngine};
use adit_primitives::storage::StorageError;
use adit_primitives::{Amount, BlockId, Height, Timestamp, U256, Work};
use std::ops::{ControlFlow, Range};
use std::sync::Mutex;

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
pub(crate) const ALICE: AccountId = AccountId(16);
pub(crate) const BOB: AccountId = AccountId(17);
pub(crate) const CAROL: AccountId = AccountId(18);
/// What each block of these tests brings.
pub(crate) const REWARD: Amount = Amount::from_atoms(1_000_000);
/// How many confirmations make a block final here.
pub(crate) const CONFIRMATIONS: u64 = 10;

/// A log of shares in memory, shown a few at a time.
#[derive(Debug, Default)]
pub(crate) struct History {
    log: Mutex<Vec<LoggedShare>>,
    forgotten: Mutex<ShareSequence>,
}

impl History {
    /// Logs shares of one second after another: whose they are, and the logarithm of their work.
    pub(crate) fn log(&self, shares: &[(AccountId, u8)]) -> ShareSequence {
        let mut log = self.log.lock().unwrap();
        for (account, log2) in shares {
            let sequence = log.len() as u64;
            log.push(LoggedShare {
                sequence: ShareSequence(sequence),
                account: *account,
                worker: WorkerId(1),
                time: Timestamp::from_secs(NOW.to_secs() + sequence),
                difficulty: ShareDifficulty::from_log2_hashes(*log2),
            });
        }
        ShareSequence(log.len() as u64)
    }

    /// Shows no share before that place any more.
    pub(crate) fn forget(&self, before: ShareSequence) {
        *self.forgotten.lock().unwrap() = before;
    }
}

impl ShareHistory for History {
    fn newest_first(
        &self,
        range: Range<ShareSequence>,
        visit: &mut dyn FnMut(&[LoggedShare]) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        let (log, forgotten) = (self.log.lock().unwrap(), *self.forgotten.lock().unwrap());
        let shown = |share: &&LoggedShare| range.contains(&share.sequence) && share.sequence >= forgotten;
        let shares: Vec<_> = log.iter().rev().filter(shown).copied().collect();
        for chunk in shares.chunks(3) {
            if visit(chunk).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// A payout scheme written out in a test.
pub(crate) struct Scheme {
    pub(crate) plan: PayoutPlan,
    pub(crate) weigh: fn(&ShareToWeigh) -> u64,
    /// What is to be paid, in place of what the plan's kind of scheme would pay.
    pub(crate) answer: Option<Result<Vec<Credit>, Fault>>,
}

impl Scheme {
    pub(crate) fn new(pays: Pays, window: Window) -> Self {
        Self { plan: PayoutPlan { pays, window, weighs: false }, weigh: |share| share.work, answer: None }
    }
}

impl PayoutEngine for Scheme {
    fn plan(&mut self) -> Result<PayoutPlan, Fault> {
        Ok(self.plan)
    }

    fn weigh(&mut self, shares: &[ShareToWeigh]) -> Result<Vec<u64>, Fault> {
        Ok(shares.iter().map(self.weigh).collect())
    }

    fn split(&mut self, block: &FoundBlock, weights: &[Weight]) -> Result<Vec<Credit>, Fault> {
        let all = Credit { account: block.finder, atoms: block.distributable };
        let by_weight = || proportional(weights, block.distributable);
        let fair = || if self.plan.window == Window::None { vec![all] } else { by_weight() };
        self.answer.clone().unwrap_or_else(|| Ok(fair()))
    }

    fn settle(&mut self, shares: &[Weight], economics: &Economics) -> Result<Vec<Credit>, Fault> {
        let worth = |share: &Weight| share.weight * U256::from(economics.subsidy) / economics.work.0;
        let fair = || shares.iter().map(|share| Credit { account: share.account, atoms: worth(share).to() }).collect();
        self.answer.clone().unwrap_or_else(|| Ok(fair()))
    }
}

/// Splits by weight, each part rounded down.
pub(crate) fn proportional(weights: &[Weight], atoms: u64) -> Vec<Credit> {
    let sum = weights.iter().fold(U256::ZERO, |sum, weight| sum + weight.weight);
    let part = |weight: &Weight| (weight.weight * U256::from(atoms) / sum).to();
    weights.iter().map(|weight| Credit { account: weight.account, atoms: part(weight) }).collect()
}

pub(crate) fn fault() -> Fault {
    let (plugin, function, detail) = ("hostile".to_owned(), "split".to_owned(), "it trapped".to_owned());
    Fault { class: FaultClass::Plugin, plugin, function, detail }
}

/// A pool of three payees with 1 % for the foundation and 2 % for the pool.
pub(crate) struct Pool {
    pub(crate) books: MemoryAccounts,
    pub(crate) history: History,
    pub(crate) schemes: Schemes,
}

impl Pool {
    pub(crate) fn new() -> Self {
        let books = MemoryAccounts::default();
        let payees = ["alice", "bob", "carol"].map(|address| books.account_of(address, NOW).unwrap());
        assert_eq!(payees, [ALICE, BOB, CAROL]);
        Self { books, history: History::default(), schemes: Schemes::new() }
    }

    /// Puts a scheme in force from the next share on.
    pub(crate) fn adopt(&mut self, name: &str, scheme: Scheme, economics: Option<Economics>) {
        let from = self.history.log(&[]);
        let era = Era { from, scheme: name.to_owned(), plan: scheme.plan, began: NOW };
        self.schemes.insert(name.to_owned(), Box::new(scheme));
        switch(&self.books, era, economics, None).unwrap();
    }

    pub(crate) fn rounds(&self) -> Rounds<'_> {
        let fees = Fees::new(BasisPoints(100), BasisPoints(200)).unwrap();
        let settings = RoundSettings { fees, confirmations: CONFIRMATIONS, pays_miners: false };
        Rounds { books: &self.books, history: &self.history, settings }
    }

    pub(crate) fn split_due(&mut self) -> Result<Vec<SplitOutcome>, RoundsError> {
        let mut schemes = std::mem::take(&mut self.schemes);
        let outcomes = self.rounds().split_due(&mut schemes, NOW);
        self.schemes = schemes;
        outcomes
    }

    /// Records a find of Alice's after all shares so far. A block takes the work of 2^20 hashes.
    pub(crate) fn find(&self, number: u8) -> BlockId {
        let shares_end = self.history.log(&[]);
        let block = Block {
            id: BlockId([number; 32]),
            height: Height(number.into()),
            reward: REWARD,
            fees: Amount::ZERO,
            work: Work(U256::from(1u64 << 20)),
            finder: ALICE,
            worker: WorkerId(1),
            shares_end,
            found: Timestamp::from_secs(NOW.to_secs() + shares_end.0),
            state: BlockState::Found,
            split: false,
            bytes: vec![number; 90],
        };
        assert!(self.rounds().found(&block).unwrap());
        block.id
    }

    /// Records a find that the upstream accepts.
    pub(crate) fn mine(&self, number: u8) -> BlockId {
        let id = self.find(number);
        self.rounds().accepted(id, NOW).unwrap();
        id
    }

    /// Returns what every account is owed: Alice, Bob, Carol, the operator, the foundation, and income that waits.
    pub(crate) fn owed(&self) -> [i64; 6] {
        let reserved = [Reserved::Operator, Reserved::Foundation, Reserved::Income].map(Reserved::id);
        let ids = [ALICE, BOB, CAROL, reserved[0], reserved[1], reserved[2]];
        ids.map(|id| self.books.account(id).unwrap().unwrap().balance.total)
    }
}
