//! The rows of the books beside the journal: who is paid, what was found, what was sent, who is banned.

use crate::contract::payout::{AccountId, Economics, PayoutPlan};
use crate::{Amount, BlockId, Height, Timestamp, TxId, Work};
use std::fmt;
use std::net::IpAddr;

/// The longest address and the longest name of a worker, in bytes.
pub const NAME_BYTES_MAX: usize = 128;

/// A place in the log of shares. A range of shares runs from one place up to another, without the share at the latter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ShareSequence(pub u64);

/// The number of a worker. Unlike its name it is short enough for the log of shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u32);

/// The number of a payment: the first is 1, the next one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PaymentNumber(pub u64);

/// An account, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: AccountId,
    /// Where it is paid, or the name of a reserved account.
    pub address: String,
    pub opened: Timestamp,
    pub balance: Balance,
}

/// What an account is owed, in atoms. Negative where the account owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    /// The sum of the account's entries.
    pub total: i64,
    /// The part of it that comes from blocks which are not confirmed.
    pub immature: i64,
}

impl Balance {
    /// Returns what may be paid out: the part that no block can take back. Stops at the ends of 64 bits.
    pub const fn mature(self) -> i64 {
        self.total.saturating_sub(self.immature)
    }
}

/// A worker of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    pub id: WorkerId,
    pub account: AccountId,
    /// Empty for shares that name no worker.
    pub name: String,
    pub first_seen: Timestamp,
}

/// A block that the pool found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub id: BlockId,
    pub height: Height,
    /// What its coinbase pays: what the block creates and the fees that it collects.
    pub reward: Amount,
    /// The part of the reward that is fees.
    pub fees: Amount,
    /// The expected hashes of a block at its difficulty.
    pub work: Work,
    pub finder: AccountId,
    pub worker: WorkerId,
    /// The shares before this place were submitted before the find or with it: its window ends here.
    pub shares_end: ShareSequence,
    pub found: Timestamp,
    pub state: BlockState,
    /// Whether its reward has been split.
    pub split: bool,
    /// The whole block, so that it can be submitted again after a crash. Empty once it is confirmed, refused or orphaned.
    pub bytes: Vec<u8>,
}

/// How far a found block has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockState {
    /// Found. Whether the upstream takes it is not known yet.
    Found,
    /// The upstream refused it: it never brought anything.
    Refused,
    /// In the chain, and not deep enough.
    Immature,
    /// Deep enough that it counts as final.
    Confirmed,
    /// Another block took its place, deep enough that this counts as final.
    Orphaned,
}

impl BlockState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Found, Self::Refused, Self::Immature, Self::Confirmed, Self::Orphaned];

    /// Tells whether a block in this state may come into that one.
    pub fn may_become(self, to: Self) -> bool {
        matches!(
            (self, to),
            (Self::Found, Self::Refused | Self::Immature) | (Self::Immature, Self::Confirmed | Self::Orphaned)
        )
    }

    /// Tells whether what a block in this state brings is there to be split.
    pub fn brings_reward(self) -> bool {
        matches!(self, Self::Immature | Self::Confirmed)
    }

    /// Returns the word for it, in the books and on screens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Refused => "refused",
            Self::Immature => "immature",
            Self::Confirmed => "confirmed",
            Self::Orphaned => "orphaned",
        }
    }
}

/// Shares that a scheme is to pay for, at the economics of their time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    pub from: ShareSequence,
    /// Where the range ends, without the share there.
    pub to: ShareSequence,
    /// The scheme that pays, as in [`Era::scheme`].
    pub scheme: String,
    pub economics: Economics,
}

/// A payment to many accounts by one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    pub number: PaymentNumber,
    pub state: PaymentState,
    pub planned: Timestamp,
    pub outputs: Vec<PaymentOutput>,
    /// What is to be sent, from the moment it is signed. These bytes alone are ever sent for this payment.
    pub signed: Option<SignedPayment>,
}

/// A signed transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedPayment {
    pub id: TxId,
    /// The bytes to send.
    pub raw: Vec<u8>,
    /// What the transaction pays to the network.
    pub fee: Amount,
}

/// One output of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentOutput {
    pub account: AccountId,
    pub address: String,
    pub amount: Amount,
}

/// How far a payment has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentState {
    /// Booked. Nothing is signed, so nothing can have been sent.
    Planned,
    /// Signed and recorded. It may have been sent.
    Signed,
    /// Sent at least once.
    Sent,
    /// Deep enough in the chain that it counts as final.
    Confirmed,
    /// A transaction that spends the same money is deep enough in the chain: this one can never follow.
    Failed,
    /// Taken back before anything was signed.
    Cancelled,
}

impl PaymentState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Planned, Self::Signed, Self::Sent, Self::Confirmed, Self::Failed, Self::Cancelled];

    /// Tells whether a payment in this state may come into that one.
    pub fn may_become(self, to: Self) -> bool {
        matches!(
            (self, to),
            (Self::Planned, Self::Signed | Self::Cancelled)
                | (Self::Signed, Self::Sent | Self::Confirmed | Self::Failed)
                | (Self::Sent, Self::Confirmed | Self::Failed)
        )
    }

    /// Tells whether nothing is left to be done for it.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Confirmed | Self::Failed | Self::Cancelled)
    }

    /// Returns the word for it, in the books and on screens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Signed => "signed",
            Self::Sent => "sent",
            Self::Confirmed => "confirmed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A payout scheme in force from some share on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Era {
    /// The first share that counts by it.
    pub from: ShareSequence,
    /// The plugin with its digest and configuration, as the operator's tables show it.
    pub scheme: String,
    pub plan: PayoutPlan,
    pub began: Timestamp,
}

/// A ban, lifted by time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    pub who: Banned,
    pub until: Timestamp,
    pub reason: String,
}

/// Who is banned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Banned {
    /// Everybody who connects from there.
    Origin(IpAddr),
    /// A Stratum user name.
    User(String),
}

/// For logs: what others chose is escaped.
impl fmt::Display for Banned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Origin(origin) => write!(f, "address {origin}"),
            Self::User(user) => write!(f, "name {user:?}"),
        }
    }
}

/// What an operator changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorChange {
    pub time: Timestamp,
    pub who: String,
    pub what: String,
    pub reason: String,
}

/// Why a text can be no account's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("an address has 1 to {NAME_BYTES_MAX} characters, this one has {length}")]
    Length { length: usize },
    #[error("an address holds no {found:?}")]
    Character { found: char },
}

/// Checks that a text could be a payout address: visible ASCII characters, of which the first is no `#`. Whether the chain knows such
/// addresses is for the upstream to say.
pub fn check_address(address: &str) -> Result<(), AddressError> {
    if address.is_empty() || address.len() > NAME_BYTES_MAX {
        return Err(AddressError::Length { length: address.len() });
    }
    let bad = address.chars().enumerate().find(|(at, found)| !found.is_ascii_graphic() || *at == 0 && *found == '#');
    bad.map_or(Ok(()), |(_, found)| Err(AddressError::Character { found }))
}

macro_rules! shown_as_number {
    ($($id:ident),*) => {
        $(impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        })*
    };
}
shown_as_number!(ShareSequence, WorkerId, PaymentNumber);

macro_rules! shown_as_name {
    ($($state:ident),*) => {
        $(impl fmt::Display for $state {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        })*
    };
}
shown_as_name!(BlockState, PaymentState);
