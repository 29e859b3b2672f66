//! The journal: postings, their entries, and what caused them.

use super::rows::{PaymentNumber, ShareSequence};
use crate::contract::payout::AccountId;
use crate::hash::HashTextError;
use crate::{Amount, BlockId, Timestamp};
use std::collections::BTreeSet;
use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// The accounts that every pool has. Their numbers are part of the schema; payees have numbers from [`Reserved::PAYEES_FROM`] on.
///
/// A positive balance is owed to the account's owner. What blocks created is therefore the negative balance of [`Reserved::Blocks`],
/// and all balances sum to zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reserved {
    /// Where money comes from: minus what the pool's blocks created and collected.
    Blocks = 1,
    /// What blocks brought and no split has credited yet.
    Income = 2,
    /// The pool's operator: the pool fee, and the risk of schemes that pay per share.
    Operator = 3,
    /// The foundation: its fee, and what rounding leaves.
    Foundation = 4,
    /// What left the pool by payments.
    Paid = 5,
    /// What payments paid to the network.
    NetworkFees = 6,
}

impl Reserved {
    /// Every reserved account.
    pub const ALL: [Self; 6] =
        [Self::Blocks, Self::Income, Self::Operator, Self::Foundation, Self::Paid, Self::NetworkFees];

    /// The lowest number of a payee.
    pub const PAYEES_FROM: AccountId = AccountId(16);

    /// Returns the account's number.
    pub const fn id(self) -> AccountId {
        AccountId(self as u32)
    }

    /// Returns what stands in the books in place of an address. No address begins with `#`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blocks => "#blocks",
            Self::Income => "#income",
            Self::Operator => "#operator",
            Self::Foundation => "#foundation",
            Self::Paid => "#paid",
            Self::NetworkFees => "#network-fees",
        }
    }

    /// Tells whether an account is a payee's, not a reserved one.
    pub const fn is_payee(id: AccountId) -> bool {
        id.0 >= Self::PAYEES_FROM.0
    }
}

/// Why money moved. A cause stands in the journal once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// A block was accepted: its reward is income.
    BlockReward(BlockId),
    /// Income from a block was split.
    BlockSplit(BlockId),
    /// A block was orphaned: takes [`Self::BlockReward`] back.
    RewardReversal(BlockId),
    /// A block was orphaned: takes [`Self::BlockSplit`] back.
    SplitReversal(BlockId),
    /// The shares from the first up to the second, without it, were paid for.
    Settlement { from: ShareSequence, to: ShareSequence },
    /// A payment was planned.
    Payment(PaymentNumber),
    /// A payment was signed, so that its fee is known.
    PaymentFee(PaymentNumber),
    /// A payment can never be confirmed: takes [`Self::Payment`] back.
    PaymentReversal(PaymentNumber),
    /// A payment can never be confirmed: takes [`Self::PaymentFee`] back.
    FeeReversal(PaymentNumber),
}

impl Cause {
    /// Returns the block by whose fate the posting stands or falls: while it is immature, so are the posting's entries.
    pub fn block(&self) -> Option<BlockId> {
        match self {
            Self::BlockReward(id) | Self::BlockSplit(id) | Self::RewardReversal(id) | Self::SplitReversal(id) => {
                Some(*id)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BlockReward(id) => write!(f, "block-reward:{id}"),
            Self::BlockSplit(id) => write!(f, "block-split:{id}"),
            Self::RewardReversal(id) => write!(f, "reward-reversal:{id}"),
            Self::SplitReversal(id) => write!(f, "split-reversal:{id}"),
            Self::Settlement { from, to } => write!(f, "settlement:{from}-{to}"),
            Self::Payment(number) => write!(f, "payment:{number}"),
            Self::PaymentFee(number) => write!(f, "payment-fee:{number}"),
            Self::PaymentReversal(number) => write!(f, "payment-reversal:{number}"),
            Self::FeeReversal(number) => write!(f, "fee-reversal:{number}"),
        }
    }
}

/// Why a text names no cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CauseTextError {
    #[error("{text:?} is no kind of cause")]
    Kind { text: String },
    #[error("cause with a bad block id: {0}")]
    Block(#[from] HashTextError),
    #[error("cause with a bad number: {0}")]
    Number(#[from] ParseIntError),
}

impl FromStr for Cause {
    type Err = CauseTextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || CauseTextError::Kind { text: text.to_owned() };
        let (kind, of) = text.split_once(':').ok_or_else(unknown)?;
        Ok(match kind {
            "block-reward" => Self::BlockReward(of.parse()?),
            "block-split" => Self::BlockSplit(of.parse()?),
            "reward-reversal" => Self::RewardReversal(of.parse()?),
            "split-reversal" => Self::SplitReversal(of.parse()?),
            "settlement" => {
                let (from, to) = of.split_once('-').ok_or_else(unknown)?;
                Self::Settlement { from: ShareSequence(from.parse()?), to: ShareSequence(to.parse()?) }
            }
            "payment" => Self::Payment(PaymentNumber(of.parse()?)),
            "payment-fee" => Self::PaymentFee(PaymentNumber(of.parse()?)),
            "payment-reversal" => Self::PaymentReversal(PaymentNumber(of.parse()?)),
            "fee-reversal" => Self::FeeReversal(PaymentNumber(of.parse()?)),
            _ => return Err(unknown()),
        })
    }
}

/// One account's part of a posting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub account: AccountId,
    /// What the account gets, or gives where negative. Never zero.
    pub atoms: i64,
}

impl Entry {
    /// Returns an entry by which an account gets an amount, or `None` where that does not fit the journal's 63 bits.
    pub fn gets(account: AccountId, amount: Amount) -> Option<Self> {
        Some(Self { account, atoms: i64::try_from(amount.to_atoms()).ok()? })
    }

    /// Returns an entry by which an account gives an amount, or `None` where that does not fit the journal's 63 bits.
    pub fn gives(account: AccountId, amount: Amount) -> Option<Self> {
        Some(Self { account, atoms: -i64::try_from(amount.to_atoms()).ok()? })
    }
}

/// Why entries are no posting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostingError {
    #[error("the entries of {cause} sum to {sum} atoms and not to zero")]
    Unbalanced { cause: Cause, sum: i128 },
    #[error("an entry of {cause} for account {} is zero", account.0)]
    Zero { cause: Cause, account: AccountId },
    #[error("account {} has two entries in {cause}", account.0)]
    Twice { cause: Cause, account: AccountId },
    #[error("an entry of {cause} cannot be taken back: it does not fit 64 bits with the other sign")]
    Extreme { cause: Cause },
}

/// A movement of money: entries that sum to zero, each account at most once, none of them zero. There may be no entry at all: then
/// nothing moved, and the journal says that this was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    cause: Cause,
    time: Timestamp,
    entries: Vec<Entry>,
}

impl Posting {
    /// Makes a posting of balanced entries. They are kept in the order of the accounts.
    pub fn new(cause: Cause, time: Timestamp, mut entries: Vec<Entry>) -> Result<Self, PostingError> {
        let mut seen = BTreeSet::new();
        for Entry { account, atoms } in &entries {
            match *atoms {
                0 => return Err(PostingError::Zero { cause, account: *account }),
                i64::MIN => return Err(PostingError::Extreme { cause }),
                _ if !seen.insert(*account) => return Err(PostingError::Twice { cause, account: *account }),
                _ => {}
            }
        }
        // Fewer entries than there are account numbers, each of 64 bits: the sum fits 96 bits.
        let sum: i128 = entries.iter().map(|entry| i128::from(entry.atoms)).sum();
        if sum != 0 {
            return Err(PostingError::Unbalanced { cause, sum });
        }
        entries.sort_by_key(|entry| entry.account);
        Ok(Self { cause, time, entries })
    }

    /// Returns the posting that takes this one back.
    pub fn reversed(&self, cause: Cause, time: Timestamp) -> Self {
        let entries = self.entries.iter().map(|entry| Entry { account: entry.account, atoms: -entry.atoms });
        Self { cause, time, entries: entries.collect() }
    }

    /// Returns why money moved.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// Returns when it was booked.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// Returns the entries, in the order of the accounts.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns what an account gets by this posting, 0 where it has no part in it.
    pub fn of(&self, account: AccountId) -> i64 {
        self.entries.iter().find(|entry| entry.account == account).map_or(0, |entry| entry.atoms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAUSE: Cause = Cause::Payment(PaymentNumber(7));

    #[track_caller]
    fn check(entries: &[(u32, i64)], want: Result<(), PostingError>) {
        let entries = entries.iter().map(|(account, atoms)| Entry { account: AccountId(*account), atoms: *atoms });
        assert_eq!(Posting::new(CAUSE, Timestamp::default(), entries.collect()).map(|_| ()), want);
    }

    #[test]
    fn one_atom_too_much_is_no_posting() {
        check(&[(16, 5), (2, -5)], Ok(()));
        check(&[(16, 6), (2, -5)], Err(PostingError::Unbalanced { cause: CAUSE, sum: 1 }));
        check(
            &[(16, i64::MAX), (17, i64::MAX)],
            Err(PostingError::Unbalanced { cause: CAUSE, sum: 2 * i128::from(i64::MAX) }),
        );
    }

    #[test]
    fn an_account_has_one_entry() {
        check(&[(16, 5), (16, -5)], Err(PostingError::Twice { cause: CAUSE, account: AccountId(16) }));
        check(&[(16, 0)], Err(PostingError::Zero { cause: CAUSE, account: AccountId(16) }));
        check(&[(16, i64::MIN)], Err(PostingError::Extreme { cause: CAUSE }));
    }

    #[test]
    fn every_cause_reads_back_from_its_text() {
        let (block, payment) = (BlockId([7; 32]), PaymentNumber(3));
        for cause in [
            Cause::BlockReward(block),
            Cause::BlockSplit(block),
            Cause::RewardReversal(block),
            Cause::SplitReversal(block),
            Cause::Settlement { from: ShareSequence(0), to: ShareSequence(u64::MAX) },
            Cause::Payment(payment),
            Cause::PaymentFee(payment),
            Cause::PaymentReversal(payment),
            Cause::FeeReversal(payment),
        ] {
            assert_eq!(cause.to_string().parse(), Ok(cause));
        }
        assert_eq!("gift:7".parse::<Cause>(), Err(CauseTextError::Kind { text: "gift:7".to_owned() }));
    }
}
