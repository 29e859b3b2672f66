//! Whether the books add up: everything that they sum up or say twice is computed again from the journal and compared.
//!
//! One pass over the journal and one over each table; memory grows with accounts, blocks and payments. It changes nothing.

use adit_primitives::accounts::{
    Account, Accounts, AccountsError, Balance, Block, BlockState, Cause, Payment, PaymentState, Posting, ROWS_MAX,
    Reserved,
};
use adit_primitives::contract::payout::AccountId;
use adit_primitives::{Amount, BlockId};
use std::collections::{BTreeMap, BTreeSet};

#[cfg(test)]
mod tests;

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    pub totals: Totals,
    /// The first thing that does not add up. `None`: everything does, to the last atom.
    pub difference: Option<Difference>,
}

/// What the books hold in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    pub accounts: u64,
    pub postings: u64,
    pub entries: u64,
    pub blocks: u64,
    pub payments: u64,
    /// What blocks brought and orphans did not take back, in atoms. Like the rest, a sum of the journal.
    pub brought: i128,
    /// What waits to be split.
    pub income: i128,
    /// What the operator is owed; negative where he owes.
    pub operator: i128,
    pub foundation: i128,
    /// What miners are owed and were not paid.
    pub payees: i128,
    /// What payments take along that are planned, signed or sent.
    pub on_its_way: i128,
    /// What left for good: by payments that are confirmed, and by coinbases that pay the miners themselves.
    pub paid: i128,
    /// What payments paid to the network.
    pub network_fees: i128,
    /// Shares that wait to be paid for, by schemes that pay for each.
    pub shares_due: u64,
}

/// Something that does not add up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    #[error("all entries together sum to {sum} atoms and not to zero")]
    Unbalanced { sum: i128 },
    #[error("{cause} stands in the journal twice")]
    CauseTwice { cause: Cause },
    #[error("{cause} names a block that is not in the books")]
    UnknownBlock { cause: Cause },
    #[error("{cause} names a payment that is not in the books")]
    UnknownPayment { cause: Cause },
    #[error("{cause} has an entry for account {}, which does not exist", account.0)]
    UnknownAccount { cause: Cause, account: AccountId },
    #[error("account {}: the books say {} atoms, {} of them immature; the journal says {} and {}",
        account.0, books.total, books.immature, journal.total, journal.immature)]
    Balance { account: AccountId, books: Balance, journal: Balance },
    #[error("account {} sums to more than 64 bits hold", account.0)]
    Overflow { account: AccountId },
    #[error("block {id} is {state}, so {cause} must {}be in the journal", if *must { "" } else { "not " })]
    BlockPosting { id: BlockId, state: BlockState, cause: Cause, must: bool },
    #[error("block {id} brought {journal} atoms by the journal, its reward is {}", reward.to_atoms())]
    Reward { id: BlockId, reward: Amount, journal: i128 },
    #[error("block {id} is not split exactly: {left} atoms of its income are left")]
    Income { id: BlockId, left: i128 },
    #[error("payment {} is {state}, so {cause} must {}be in the journal", number, if *must { "" } else { "not " })]
    PaymentPosting { number: u64, state: PaymentState, cause: Cause, must: bool },
    #[error("payment {number} has outputs of {outputs} atoms, the journal paid {journal}")]
    Outputs { number: u64, outputs: i128, journal: i128 },
    #[error("payment {number} pays account {} its output of {} atoms and the journal took {journal} from it", account.0, output.to_atoms())]
    Output { number: u64, account: AccountId, output: Amount, journal: i128 },
    #[error("payment {number} has a fee of {fee} atoms, the journal booked {journal}")]
    Fee { number: u64, fee: i128, journal: i128 },
    #[error("{reversal} does not take {cause} back exactly")]
    Reversal { cause: Cause, reversal: Cause },
}

/// Audits the books. The first difference found is told; without one the totals can be relied on.
pub fn audit(books: &dyn Accounts) -> Result<Audit, AccountsError> {
    let blocks = paged(|skip| books.blocks(skip, ROWS_MAX))?;
    let payments = paged(|skip| books.payments(skip, ROWS_MAX))?;
    let accounts = all_accounts(books)?;
    let mut ledger = Ledger::new(&blocks, &payments, &accounts);
    let due = books.settlements_due()?;
    let mut totals = Totals {
        accounts: count(accounts.len()),
        blocks: count(blocks.len()),
        payments: count(payments.len()),
        shares_due: due.iter().map(|due| due.to.0.saturating_sub(due.from.0)).sum(),
        ..Totals::default()
    };
    let mut difference = None;
    let journal = Journal { books, read: 0, page: Vec::new().into_iter() };
    for posting in journal {
        let posting = posting?;
        totals.postings += 1;
        totals.entries += count(posting.entries().len());
        difference = difference.or(ledger.take(posting).err());
    }
    ledger.totals(&mut totals);
    let rest = || ledger.balances().and_then(|()| ledger.blocks()).and_then(|()| ledger.payments()).err();
    Ok(Audit { difference: difference.or_else(rest), totals })
}

/// The journal read again, with what it must agree with.
struct Ledger<'a> {
    blocks: BTreeMap<BlockId, &'a Block>,
    payments: BTreeMap<u64, &'a Payment>,
    accounts: BTreeMap<AccountId, &'a Account>,
    /// Account → total, and the immature part of it.
    sums: BTreeMap<AccountId, (i128, i128)>,
    /// The postings of blocks and payments. Those of shares are only summed up.
    postings: BTreeMap<Cause, Posting>,
    settlements: BTreeSet<Cause>,
}

impl<'a> Ledger<'a> {
    fn new(blocks: &'a [Block], payments: &'a [Payment], accounts: &'a [Account]) -> Self {
        Self {
            blocks: blocks.iter().map(|block| (block.id, block)).collect(),
            payments: payments.iter().map(|payment| (payment.number.0, payment)).collect(),
            accounts: accounts.iter().map(|account| (account.id, account)).collect(),
            sums: BTreeMap::new(),
            postings: BTreeMap::new(),
            settlements: BTreeSet::new(),
        }
    }

    /// Sums up a posting, and checks what it names.
    fn take(&mut self, posting: Posting) -> Result<(), Difference> {
        let cause = posting.cause().clone();
        let block = match cause.block() {
            Some(id) => Some(*self.blocks.get(&id).ok_or(Difference::UnknownBlock { cause: cause.clone() })?),
            None => None,
        };
        if payment_of(&cause).is_some_and(|number| !self.payments.contains_key(&number)) {
            return Err(Difference::UnknownPayment { cause });
        }
        let immature = block.is_some_and(|block| block.state == BlockState::Immature);
        for entry in posting.entries() {
            if !self.accounts.contains_key(&entry.account) {
                return Err(Difference::UnknownAccount { cause, account: entry.account });
            }
            let (total, part) = self.sums.entry(entry.account).or_default();
            *total += i128::from(entry.atoms);
            *part += if immature { i128::from(entry.atoms) } else { 0 };
        }
        let twice = match &cause {
            Cause::Settlement { .. } => !self.settlements.insert(cause.clone()),
            _ => self.postings.insert(cause.clone(), posting).is_some(),
        };
        if twice { Err(Difference::CauseTwice { cause }) } else { Ok(()) }
    }

    fn totals(&self, totals: &mut Totals) {
        let of = |account: Reserved| self.sums.get(&account.id()).map_or(0, |sum| sum.0);
        totals.brought = -of(Reserved::Blocks);
        totals.income = of(Reserved::Income);
        totals.operator = of(Reserved::Operator);
        totals.foundation = of(Reserved::Foundation);
        let open = self.payments.values().filter(|payment| !payment.state.is_final());
        totals.on_its_way = open.map(|payment| self.booked(&Cause::Payment(payment.number), Reserved::Paid.id())).sum();
        totals.paid = of(Reserved::Paid) - totals.on_its_way;
        totals.network_fees = of(Reserved::NetworkFees);
        let payees = self.sums.iter().filter(|(account, _)| Reserved::is_payee(**account));
        totals.payees = payees.map(|(_, (total, _))| total).sum();
    }

    /// Compares each balance with the sum of the account's entries.
    fn balances(&self) -> Result<(), Difference> {
        let sum: i128 = self.sums.values().map(|(total, _)| total).sum();
        if sum != 0 {
            return Err(Difference::Unbalanced { sum });
        }
        for (id, account) in &self.accounts {
            let (total, immature) = self.sums.get(id).copied().unwrap_or_default();
            let sums = i64::try_from(total).ok().zip(i64::try_from(immature).ok());
            let (total, immature) = sums.ok_or(Difference::Overflow { account: *id })?;
            let journal = Balance { total, immature };
            if journal != account.balance {
                return Err(Difference::Balance { account: *id, books: account.balance, journal });
            }
        }
        Ok(())
    }

    /// Compares each block with its postings.
    fn blocks(&self) -> Result<(), Difference> {
        self.blocks.values().try_for_each(|block| self.block(block))
    }

    fn block(&self, block: &Block) -> Result<(), Difference> {
        let Block { id, state, .. } = *block;
        let accepted = matches!(state, BlockState::Immature | BlockState::Confirmed | BlockState::Orphaned);
        let orphaned = state == BlockState::Orphaned;
        let wanted = [
            (Cause::BlockReward(id), accepted),
            (Cause::BlockSplit(id), block.split),
            (Cause::RewardReversal(id), orphaned),
            (Cause::SplitReversal(id), orphaned && block.split),
        ];
        for (cause, must) in wanted {
            if self.postings.contains_key(&cause) != must {
                return Err(Difference::BlockPosting { id, state, cause, must });
            }
        }
        if accepted {
            let journal = -self.booked(&Cause::BlockReward(id), Reserved::Blocks.id());
            if journal != i128::from(block.reward.to_atoms()) {
                return Err(Difference::Reward { id, reward: block.reward, journal });
            }
        }
        if block.split {
            let income = |cause| self.booked(&cause, Reserved::Income.id());
            let left = income(Cause::BlockReward(id)) + income(Cause::BlockSplit(id));
            if left != 0 {
                return Err(Difference::Income { id, left });
            }
        }
        self.taken_back(Cause::BlockReward(id), Cause::RewardReversal(id))?;
        self.taken_back(Cause::BlockSplit(id), Cause::SplitReversal(id))
    }

    /// Compares each payment with its postings.
    fn payments(&self) -> Result<(), Difference> {
        self.payments.values().try_for_each(|payment| self.payment(payment))
    }

    fn payment(&self, payment: &Payment) -> Result<(), Difference> {
        let Payment { number, state, .. } = *payment;
        let (failed, cancelled) = (state == PaymentState::Failed, state == PaymentState::Cancelled);
        let wanted = [
            (Cause::Payment(number), true),
            (Cause::PaymentFee(number), payment.signed.is_some()),
            (Cause::PaymentReversal(number), failed || cancelled),
            (Cause::FeeReversal(number), failed),
        ];
        for (cause, must) in wanted {
            if self.postings.contains_key(&cause) != must {
                return Err(Difference::PaymentPosting { number: number.0, state, cause, must });
            }
        }
        let outputs: i128 = payment.outputs.iter().map(|output| i128::from(output.amount.to_atoms())).sum();
        let journal = self.booked(&Cause::Payment(number), Reserved::Paid.id());
        if outputs != journal {
            return Err(Difference::Outputs { number: number.0, outputs, journal });
        }
        for output in payment.outputs.iter().filter(|output| Reserved::is_payee(output.account)) {
            let journal = -self.booked(&Cause::Payment(number), output.account);
            if journal < i128::from(output.amount.to_atoms()) {
                let (account, output) = (output.account, output.amount);
                return Err(Difference::Output { number: number.0, account, output, journal });
            }
        }
        let fee = payment.signed.as_ref().map_or(0, |signed| i128::from(signed.fee.to_atoms()));
        let journal = self.booked(&Cause::PaymentFee(number), Reserved::NetworkFees.id());
        if fee != journal {
            return Err(Difference::Fee { number: number.0, fee, journal });
        }
        self.taken_back(Cause::Payment(number), Cause::PaymentReversal(number))?;
        self.taken_back(Cause::PaymentFee(number), Cause::FeeReversal(number))
    }

    /// Returns what an account got by a posting, 0 where there is none.
    fn booked(&self, cause: &Cause, account: AccountId) -> i128 {
        self.postings.get(cause).map_or(0, |posting| i128::from(posting.of(account)))
    }

    /// Checks that a reversal, where there is one, is its posting with the other sign.
    fn taken_back(&self, cause: Cause, reversal: Cause) -> Result<(), Difference> {
        let (Some(posting), Some(back)) = (self.postings.get(&cause), self.postings.get(&reversal)) else {
            return Ok(());
        };
        let exact = posting.reversed(reversal.clone(), back.time()) == *back;
        if exact { Ok(()) } else { Err(Difference::Reversal { cause, reversal }) }
    }
}

fn payment_of(cause: &Cause) -> Option<u64> {
    match cause {
        Cause::Payment(number)
        | Cause::PaymentFee(number)
        | Cause::PaymentReversal(number)
        | Cause::FeeReversal(number) => Some(number.0),
        _ => None,
    }
}

/// The journal from its first posting to its last, read in pages.
struct Journal<'a> {
    books: &'a dyn Accounts,
    read: u64,
    page: std::vec::IntoIter<Posting>,
}

impl Iterator for Journal<'_> {
    type Item = Result<Posting, AccountsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0 {
            match self.books.journal(self.read, ROWS_MAX) {
                Ok(page) => {
                    self.read += count(page.len());
                    self.page = page.into_iter();
                }
                Err(error) => return Some(Err(error)),
            }
        }
        self.page.next().map(Ok)
    }
}

/// Reads all rows of what skips over those that were read.
fn paged<T>(read: impl Fn(u64) -> Result<Vec<T>, AccountsError>) -> Result<Vec<T>, AccountsError> {
    let mut rows = Vec::new();
    loop {
        let page = read(count(rows.len()))?;
        if page.is_empty() {
            return Ok(rows);
        }
        rows.extend(page);
    }
}

fn all_accounts(books: &dyn Accounts) -> Result<Vec<Account>, AccountsError> {
    let mut rows: Vec<Account> = Vec::new();
    loop {
        let page = books.accounts(rows.last().map(|account| account.id), ROWS_MAX)?;
        if page.is_empty() {
            return Ok(rows);
        }
        rows.extend(page);
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
