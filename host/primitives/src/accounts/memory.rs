//! Books that live as long as the process.

use super::{
    Account, Accounts, AccountsError, AddressError, Balance, Ban, Banned, Block, BlockState, Cause, Change, Committed,
    Era, OperatorChange, Payment, PaymentNumber, PaymentState, Posting, ROWS_MAX, Reserved, Settlement, ShareSequence,
    SignedPayment, Worker, WorkerId, check_address, rows::NAME_BYTES_MAX,
};
use crate::contract::payout::AccountId;
use crate::{Amount, BlockId, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// [`Accounts`] in memory. A commit copies the books first, so that a refused one leaves nothing behind: not made for large pools.
#[derive(Debug, Default)]
pub struct MemoryAccounts {
    books: Mutex<Books>,
}

#[derive(Debug, Clone)]
struct Books {
    accounts: BTreeMap<AccountId, Account>,
    workers: BTreeMap<WorkerId, Worker>,
    journal: Vec<Posting>,
    /// In the order of the finds.
    blocks: Vec<Block>,
    payments: BTreeMap<PaymentNumber, Payment>,
    due: BTreeMap<ShareSequence, Settlement>,
    owed_until: ShareSequence,
    eras: Vec<Era>,
    bans: BTreeMap<Banned, Ban>,
    notes: Vec<OperatorChange>,
}

impl Default for Books {
    fn default() -> Self {
        let reserved = Reserved::ALL.map(|reserved| {
            let (id, address) = (reserved.id(), reserved.name().to_owned());
            (id, Account { id, address, opened: Timestamp::default(), balance: Balance::default() })
        });
        Self {
            accounts: reserved.into(),
            workers: BTreeMap::new(),
            journal: Vec::new(),
            blocks: Vec::new(),
            payments: BTreeMap::new(),
            due: BTreeMap::new(),
            owed_until: ShareSequence::default(),
            eras: Vec::new(),
            bans: BTreeMap::new(),
            notes: Vec::new(),
        }
    }
}

impl MemoryAccounts {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn apply(&mut self, change: &Change) -> Result<(), AccountsError> {
        match change {
            Change::Post(posting) => self.post(posting),
            Change::Found(block) => self.found(block),
            Change::BlockState { id, to } => self.block_state(*id, *to),
            Change::Split { id } => self.split(*id),
            Change::Owe(settlement) => self.owe(settlement),
            Change::Settled { from } => {
                self.due.remove(from).map(|_| ()).ok_or(AccountsError::UnknownSettlement { from: *from })
            }
            Change::Plan(payment) => self.plan(payment),
            Change::Sign { number, signed } => self.sign(*number, signed),
            Change::PaymentState { number, to } => self.payment_state(*number, *to),
            Change::Era(era) => self.era(era),
            Change::Ban(ban) => {
                self.bans.insert(ban.who.clone(), ban.clone());
                Ok(())
            }
            Change::Unban(who) => {
                self.bans.remove(who);
                Ok(())
            }
            Change::Note(note) => {
                self.notes.push(note.clone());
                Ok(())
            }
        }
    }

    fn post(&mut self, posting: &Posting) -> Result<(), AccountsError> {
        let block = posting.cause().block();
        let immature = block.map(|id| self.block_index(id)).transpose()?.is_some_and(|at| {
            // A block's reward is posted in the commit that makes it immature; either may come first.
            self.blocks[at].state == BlockState::Immature
        });
        for entry in posting.entries() {
            self.add(entry.account, entry.atoms, if immature { entry.atoms } else { 0 })?;
        }
        self.journal.push(posting.clone());
        Ok(())
    }

    fn add(&mut self, id: AccountId, total: i64, immature: i64) -> Result<(), AccountsError> {
        let account = self.accounts.get_mut(&id).ok_or(AccountsError::UnknownAccount { account: id })?;
        let overflow = AccountsError::Overflow { account: id };
        let balance = &mut account.balance;
        balance.total = balance.total.checked_add(total).ok_or_else(|| overflow.clone())?;
        balance.immature = balance.immature.checked_add(immature).ok_or(overflow)?;
        Ok(())
    }

    fn block_index(&self, id: BlockId) -> Result<usize, AccountsError> {
        self.blocks.iter().position(|block| block.id == id).ok_or(AccountsError::UnknownBlock { id })
    }

    fn found(&mut self, block: &Block) -> Result<(), AccountsError> {
        if self.block_index(block.id).is_ok() {
            return Err(AccountsError::BlockKnown { id: block.id });
        }
        if !self.accounts.contains_key(&block.finder) {
            return Err(AccountsError::UnknownAccount { account: block.finder });
        }
        self.blocks.push(Block { state: BlockState::Found, split: false, ..block.clone() });
        Ok(())
    }

    fn block_state(&mut self, id: BlockId, to: BlockState) -> Result<(), AccountsError> {
        let at = self.block_index(id)?;
        let from = self.blocks[at].state;
        if !from.may_become(to) {
            return Err(AccountsError::BlockTransition { id, from, to });
        }
        let taken_back = || self.journal.iter().any(|posting| *posting.cause() == Cause::SplitReversal(id));
        if to == BlockState::Orphaned && self.blocks[at].split && !taken_back() {
            return Err(AccountsError::SplitStands { id });
        }
        self.blocks[at].state = to;
        if to != BlockState::Immature {
            self.blocks[at].bytes.clear();
        }
        let sign = i64::from(to == BlockState::Immature) - i64::from(from == BlockState::Immature);
        let entries: Vec<_> =
            self.journal.iter().filter(|posting| posting.cause().block() == Some(id)).cloned().collect();
        for entry in entries.iter().flat_map(Posting::entries) {
            self.add(entry.account, 0, sign * entry.atoms)?;
        }
        Ok(())
    }

    fn split(&mut self, id: BlockId) -> Result<(), AccountsError> {
        let at = self.block_index(id)?;
        let Block { split, state, .. } = self.blocks[at];
        if !state.brings_reward() {
            return Err(AccountsError::NothingToSplit { id, state });
        }
        if split {
            return Err(AccountsError::SplitTwice { id });
        }
        self.blocks[at].split = true;
        Ok(())
    }

    fn owe(&mut self, settlement: &Settlement) -> Result<(), AccountsError> {
        let (from, to) = (settlement.from, settlement.to);
        if from >= to {
            return Err(AccountsError::SettlementEmpty { from, to });
        }
        if from < self.owed_until {
            return Err(AccountsError::SettlementOverlap { from, end: self.owed_until });
        }
        self.owed_until = settlement.to;
        self.due.insert(settlement.from, settlement.clone());
        Ok(())
    }

    fn plan(&mut self, payment: &Payment) -> Result<(), AccountsError> {
        let next = PaymentNumber(self.payments.last_key_value().map_or(1, |(last, _)| last.0 + 1));
        if payment.number != next {
            return Err(AccountsError::PaymentNumber { number: payment.number, next });
        }
        if let Some(output) = payment.outputs.iter().find(|output| !self.accounts.contains_key(&output.account)) {
            return Err(AccountsError::UnknownAccount { account: output.account });
        }
        self.payments.insert(next, Payment { state: PaymentState::Planned, signed: None, ..payment.clone() });
        Ok(())
    }

    fn sign(&mut self, number: PaymentNumber, signed: &SignedPayment) -> Result<(), AccountsError> {
        self.payment_state(number, PaymentState::Signed)?;
        let payment = self.payments.get_mut(&number).ok_or(AccountsError::UnknownPayment { number })?;
        payment.signed = Some(signed.clone());
        Ok(())
    }

    fn payment_state(&mut self, number: PaymentNumber, to: PaymentState) -> Result<(), AccountsError> {
        let payment = self.payments.get_mut(&number).ok_or(AccountsError::UnknownPayment { number })?;
        if !payment.state.may_become(to) {
            return Err(AccountsError::PaymentTransition { number, from: payment.state, to });
        }
        payment.state = to;
        Ok(())
    }

    fn era(&mut self, era: &Era) -> Result<(), AccountsError> {
        match self.eras.last() {
            Some(last) if era.from < last.from => Err(AccountsError::EraOrder { from: era.from, last: last.from }),
            _ => {
                self.eras.push(era.clone());
                Ok(())
            }
        }
    }
}

impl Accounts for MemoryAccounts {
    fn commit(&self, changes: &[Change]) -> Result<Committed, AccountsError> {
        let mut books = self.books();
        let mut next = books.clone();
        for change in changes {
            if let Change::Post(posting) = change
                && next.journal.iter().any(|known| known.cause() == posting.cause())
            {
                return Ok(Committed::AlreadyPosted { cause: posting.cause().clone() });
            }
            next.apply(change)?;
        }
        *books = next;
        Ok(Committed::Done)
    }

    fn account_of(&self, address: &str, now: Timestamp) -> Result<AccountId, AccountsError> {
        check_address(address)?;
        let mut books = self.books();
        if let Some(account) = books.accounts.values().find(|account| account.address == address) {
            return Ok(account.id);
        }
        let last = books.accounts.last_key_value().map_or(0, |(last, _)| last.0);
        let next = last.checked_add(1).ok_or(AccountsError::Full { what: "account" })?;
        let id = AccountId(next.max(Reserved::PAYEES_FROM.0));
        let account = Account { id, address: address.to_owned(), opened: now, balance: Balance::default() };
        books.accounts.insert(id, account);
        Ok(id)
    }

    fn worker_of(&self, account: AccountId, name: &str, now: Timestamp) -> Result<WorkerId, AccountsError> {
        if name.len() > NAME_BYTES_MAX {
            return Err(AddressError::Length { length: name.len() }.into());
        }
        let mut books = self.books();
        if !books.accounts.contains_key(&account) {
            return Err(AccountsError::UnknownAccount { account });
        }
        if let Some(worker) = books.workers.values().find(|worker| worker.account == account && worker.name == name) {
            return Ok(worker.id);
        }
        let last = books.workers.last_key_value().map_or(0, |(last, _)| last.0);
        let id = WorkerId(last.checked_add(1).ok_or(AccountsError::Full { what: "worker" })?);
        books.workers.insert(id, Worker { id, account, name: name.to_owned(), first_seen: now });
        Ok(id)
    }

    fn find_worker(&self, address: &str, name: &str) -> Result<Option<(AccountId, WorkerId)>, AccountsError> {
        let books = self.books();
        let account = books.accounts.values().find(|account| account.address == address).map(|account| account.id);
        let is_it = |worker: &&Worker| Some(worker.account) == account && worker.name == name;
        Ok(books.workers.values().find(is_it).map(|worker| (worker.account, worker.id)))
    }

    fn account(&self, id: AccountId) -> Result<Option<Account>, AccountsError> {
        Ok(self.books().accounts.get(&id).cloned())
    }

    fn accounts(&self, after: Option<AccountId>, max: usize) -> Result<Vec<Account>, AccountsError> {
        let books = self.books();
        let rows = books.accounts.values().filter(|account| Some(account.id) > after);
        Ok(rows.take(max.min(ROWS_MAX)).cloned().collect())
    }

    fn payable(&self, at_least: Amount, max: usize) -> Result<Vec<Account>, AccountsError> {
        let books = self.books();
        let enough = |account: &&Account| {
            u64::try_from(account.balance.mature()).is_ok_and(|mature| mature >= at_least.to_atoms())
        };
        let payees = books.accounts.values().filter(|account| Reserved::is_payee(account.id));
        let mut rows: Vec<_> = payees.filter(enough).cloned().collect();
        rows.sort_by_key(|account| (std::cmp::Reverse(account.balance.mature()), account.id));
        rows.truncate(max.min(ROWS_MAX));
        Ok(rows)
    }

    fn workers(&self, after: Option<WorkerId>, max: usize) -> Result<Vec<Worker>, AccountsError> {
        let books = self.books();
        let rows = books.workers.values().filter(|worker| Some(worker.id) > after);
        Ok(rows.take(max.min(ROWS_MAX)).cloned().collect())
    }

    fn posting(&self, cause: &Cause) -> Result<Option<Posting>, AccountsError> {
        Ok(self.books().journal.iter().find(|posting| posting.cause() == cause).cloned())
    }

    fn journal(&self, first: u64, max: usize) -> Result<Vec<Posting>, AccountsError> {
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        Ok(self.books().journal.iter().skip(first).take(max.min(ROWS_MAX)).cloned().collect())
    }

    fn block(&self, id: BlockId) -> Result<Option<Block>, AccountsError> {
        Ok(self.books().blocks.iter().find(|block| block.id == id).cloned())
    }

    fn blocks_open(&self) -> Result<Vec<Block>, AccountsError> {
        let open = |block: &&Block| match block.state {
            BlockState::Found | BlockState::Immature => true,
            BlockState::Confirmed => !block.split,
            BlockState::Refused | BlockState::Orphaned => false,
        };
        Ok(self.books().blocks.iter().filter(open).take(ROWS_MAX).cloned().collect())
    }

    fn block_before(&self, block: BlockId) -> Result<Option<Block>, AccountsError> {
        let books = self.books();
        let at = books.block_index(block)?;
        let counts = |block: &&Block| matches!(block.state, BlockState::Immature | BlockState::Confirmed);
        Ok(books.blocks[..at].iter().rev().find(counts).cloned())
    }

    fn blocks(&self, skip: u64, max: usize) -> Result<Vec<Block>, AccountsError> {
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let books = self.books();
        let rows = books.blocks.iter().rev().skip(skip).take(max.min(ROWS_MAX));
        Ok(rows.map(|block| Block { bytes: Vec::new(), ..block.clone() }).collect())
    }

    fn payment(&self, number: PaymentNumber) -> Result<Option<Payment>, AccountsError> {
        Ok(self.books().payments.get(&number).cloned())
    }

    fn payments_open(&self) -> Result<Vec<Payment>, AccountsError> {
        let books = self.books();
        Ok(books.payments.values().filter(|payment| !payment.state.is_final()).take(ROWS_MAX).cloned().collect())
    }

    fn payments(&self, skip: u64, max: usize) -> Result<Vec<Payment>, AccountsError> {
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        Ok(self.books().payments.values().rev().skip(skip).take(max.min(ROWS_MAX)).cloned().collect())
    }

    fn settlements_due(&self) -> Result<Vec<Settlement>, AccountsError> {
        Ok(self.books().due.values().take(ROWS_MAX).cloned().collect())
    }

    fn owed_until(&self) -> Result<ShareSequence, AccountsError> {
        Ok(self.books().owed_until)
    }

    fn eras(&self) -> Result<Vec<Era>, AccountsError> {
        Ok(self.books().eras.clone())
    }

    fn bans(&self, now: Timestamp) -> Result<Vec<Ban>, AccountsError> {
        Ok(self.books().bans.values().filter(|ban| ban.until > now).take(ROWS_MAX).cloned().collect())
    }

    fn notes(&self, skip: u64, max: usize) -> Result<Vec<OperatorChange>, AccountsError> {
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        Ok(self.books().notes.iter().rev().skip(skip).take(max.min(ROWS_MAX)).cloned().collect())
    }
}
