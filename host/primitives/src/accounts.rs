//! The trait by which a pool keeps its books, and the values in them.
//!
//! Double entry: a [`Posting`] moves money between accounts, its entries sum to zero, and it names its cause. The journal is only ever
//! appended to; a balance is a sum of entries. The books never decide who is owed what, and never talk to a chain.
//!
//! `store` implements [`Accounts`] over an SQL database; [`MemoryAccounts`] says in plain code what that must do, for tests and
//! simulations. Reading order: [`posting`], [`rows`], this trait, [`memory`].

pub mod memory;
pub mod posting;
pub mod rows;

pub use memory::MemoryAccounts;
pub use posting::{Cause, CauseTextError, Entry, Posting, PostingError, Reserved};
pub use rows::{
    Account, AddressError, Balance, Ban, Banned, Block, BlockState, Era, OperatorChange, Payment, PaymentNumber,
    PaymentOutput, PaymentState, Settlement, ShareSequence, SignedPayment, Worker, WorkerId, check_address,
};

use crate::contract::payout::AccountId;
use crate::{Amount, BlockId, Timestamp};

/// How many rows one read returns at most, whatever was asked for.
pub const ROWS_MAX: usize = 10_000;

/// One change of the books. A commit takes several, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Books a posting.
    Post(Posting),
    /// Adds a block, in state [`BlockState::Found`] and not split.
    Found(Block),
    /// Moves a block on, where [`BlockState::may_become`] allows it. Its bytes are dropped once it is neither found nor immature. One that is
    /// split becomes orphaned behind [`Cause::SplitReversal`] alone.
    BlockState { id: BlockId, to: BlockState },
    /// Notes that a block has been split. It must bring its reward ([`BlockState::brings_reward`]).
    Split { id: BlockId },
    /// Adds a range of shares that a scheme is to pay for.
    Owe(Settlement),
    /// Notes that the range from there on has been paid for.
    Settled { from: ShareSequence },
    /// Adds a payment, in state [`PaymentState::Planned`] and not signed.
    Plan(Payment),
    /// Records what was signed, before anything is sent: [`PaymentState::Signed`].
    Sign { number: PaymentNumber, signed: SignedPayment },
    /// Moves a payment on, where [`PaymentState::may_become`] allows it.
    PaymentState { number: PaymentNumber, to: PaymentState },
    /// Puts a payout scheme in force.
    Era(Era),
    /// Bans, or replaces the ban that there is.
    Ban(Ban),
    /// Lifts a ban.
    Unban(Banned),
    /// Notes what an operator changed.
    Note(OperatorChange),
}

/// What became of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// Everything is in the books, and survives `kill -9` and loss of power.
    Done,
    /// A posting of this cause was there before. Nothing was changed.
    AlreadyPosted { cause: Cause },
}

/// Why the books took nothing or gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountsError {
    #[error("books: {detail}")]
    Storage { detail: String },
    #[error("the books hold what no version of Adit writes: {detail}")]
    Corrupt { detail: String },
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("account {} does not exist", account.0)]
    UnknownAccount { account: AccountId },
    #[error("the balance of account {} would not fit 64 bits", account.0)]
    Overflow { account: AccountId },
    #[error("the books are full: no number is left for another {what}")]
    Full { what: &'static str },
    #[error("block {id} is in the books already")]
    BlockKnown { id: BlockId },
    #[error("block {id} is not in the books")]
    UnknownBlock { id: BlockId },
    #[error("block {id} is {from} and cannot become {to}")]
    BlockTransition { id: BlockId, from: BlockState, to: BlockState },
    #[error("block {id} has been split already")]
    SplitTwice { id: BlockId },
    #[error("block {id} is {state}: it brings nothing to split")]
    NothingToSplit { id: BlockId, state: BlockState },
    #[error("block {id} is split, and cannot be orphaned before that is taken back")]
    SplitStands { id: BlockId },
    #[error("payment {number} is not the next one, which is {next}")]
    PaymentNumber { number: PaymentNumber, next: PaymentNumber },
    #[error("payment {number} is not in the books")]
    UnknownPayment { number: PaymentNumber },
    #[error("payment {number} is {from} and cannot become {to}")]
    PaymentTransition { number: PaymentNumber, from: PaymentState, to: PaymentState },
    #[error("a range of shares from {from} to {to} holds none")]
    SettlementEmpty { from: ShareSequence, to: ShareSequence },
    #[error("the shares from {from} on cannot be owed for: those before {end} are already")]
    SettlementOverlap { from: ShareSequence, end: ShareSequence },
    #[error("no range of shares from {from} on is owed for")]
    UnknownSettlement { from: ShareSequence },
    #[error("a payout scheme is in force from share {last} on; another cannot begin at share {from}")]
    EraOrder { from: ShareSequence, last: ShareSequence },
}

/// Keeps a pool's books. Reads see every commit that has returned; one process has them open at a time.
pub trait Accounts: Send + Sync {
    /// Applies changes, all of them or none. Where the cause of a posting is in the journal already, none, and says so.
    fn commit(&self, changes: &[Change]) -> Result<Committed, AccountsError>;

    /// Returns the account of a payout address, and opens it where there is none.
    fn account_of(&self, address: &str, now: Timestamp) -> Result<AccountId, AccountsError>;

    /// Returns the number of a worker of an account, and gives it one where it has none.
    fn worker_of(&self, account: AccountId, name: &str, now: Timestamp) -> Result<WorkerId, AccountsError>;

    /// Returns account and worker of a name that both were given for before. Makes nothing.
    fn find_worker(&self, address: &str, name: &str) -> Result<Option<(AccountId, WorkerId)>, AccountsError>;

    /// Returns an account.
    fn account(&self, id: AccountId) -> Result<Option<Account>, AccountsError>;

    /// Returns the accounts after `after` in the order of their numbers, [`Reserved`] ones among them.
    fn accounts(&self, after: Option<AccountId>, max: usize) -> Result<Vec<Account>, AccountsError>;

    /// Returns the payees whose mature balance is at least that, the greatest balance first, then the lowest number.
    fn payable(&self, at_least: Amount, max: usize) -> Result<Vec<Account>, AccountsError>;

    /// Returns the workers after `after` in the order of their numbers.
    fn workers(&self, after: Option<WorkerId>, max: usize) -> Result<Vec<Worker>, AccountsError>;

    /// Returns a posting by its cause.
    fn posting(&self, cause: &Cause) -> Result<Option<Posting>, AccountsError>;

    /// Returns the journal from its `first` posting on (the oldest is 0), in the order of booking.
    fn journal(&self, first: u64, max: usize) -> Result<Vec<Posting>, AccountsError>;

    /// Returns a block with its bytes.
    fn block(&self, id: BlockId) -> Result<Option<Block>, AccountsError>;

    /// Returns the blocks that something is still to be done for, in the order of the finds: those found or immature, and those
    /// confirmed and not split.
    fn blocks_open(&self) -> Result<Vec<Block>, AccountsError>;

    /// Returns the newest block that was found before `block` and is immature or confirmed.
    fn block_before(&self, block: BlockId) -> Result<Option<Block>, AccountsError>;

    /// Returns blocks without their bytes, the newest find first, after skipping `skip` of them.
    fn blocks(&self, skip: u64, max: usize) -> Result<Vec<Block>, AccountsError>;

    /// Returns a payment.
    fn payment(&self, number: PaymentNumber) -> Result<Option<Payment>, AccountsError>;

    /// Returns the payments that are neither confirmed nor failed nor cancelled, the oldest first.
    fn payments_open(&self) -> Result<Vec<Payment>, AccountsError>;

    /// Returns payments, the newest first, after skipping `skip` of them.
    fn payments(&self, skip: u64, max: usize) -> Result<Vec<Payment>, AccountsError>;

    /// Returns the ranges of shares that are owed for, the oldest first.
    fn settlements_due(&self) -> Result<Vec<Settlement>, AccountsError>;

    /// Returns where the newest range of shares ends that was ever owed for. Those before are paid for, or will be.
    fn owed_until(&self) -> Result<ShareSequence, AccountsError>;

    /// Returns the payout schemes that were in force, the oldest first.
    fn eras(&self) -> Result<Vec<Era>, AccountsError>;

    /// Returns the bans that end after `now`.
    fn bans(&self, now: Timestamp) -> Result<Vec<Ban>, AccountsError>;

    /// Returns what operators changed, the newest first, after skipping `skip` of them.
    fn notes(&self, skip: u64, max: usize) -> Result<Vec<OperatorChange>, AccountsError>;
}
