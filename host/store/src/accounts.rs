//! A pool's books in an SQL database: one file that an operator can open with any SQLite tool.
//!
//! It keeps what it is given and checks that it is consistent; what is right to book, it never decides. One process writes; others may
//! read beside it. The statements are plain SQL, so that the same books fit PostgreSQL.
//!
//! Reading order: `schema.sql` is what is kept, `open` who may open it and in which version, `write` how a commit is applied, `read` how
//! rows become values.

mod open;
mod read;
mod write;

pub use open::{BooksError, SCHEMA_VERSION};

use adit_primitives::accounts::{
    Account, Accounts, AccountsError, Ban, Block, Cause, Change, Committed, Era, OperatorChange, Payment,
    PaymentNumber, Posting, Settlement, ShareSequence, Worker, WorkerId,
};
use adit_primitives::contract::payout::AccountId;
use adit_primitives::{Amount, BlockId, Timestamp};
use rusqlite::{Connection, TransactionBehavior};
use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A pool's books in a file. What a commit has returned for survives `kill -9` and loss of power.
#[derive(Debug)]
pub struct Books {
    /// `None` where the books are open for reading only.
    writer: Option<Mutex<Connection>>,
    /// Apart from the writer, so that who reads does not wait for a sync.
    reader: Mutex<Connection>,
    /// Locked while this process may write; the system drops it even when the process is killed.
    _lock: Option<File>,
}

impl Books {
    /// Opens the books, or makes new ones. Books of an older version are brought up to this one.
    pub fn open(path: &Path) -> Result<Self, BooksError> {
        let lock = open::lock(path)?;
        let writer = open::for_writing(path)?;
        let reader = open::for_reading(path)?;
        Ok(Self { writer: Some(Mutex::new(writer)), reader: Mutex::new(reader), _lock: Some(lock) })
    }

    /// Opens books to read them, beside a process that writes them or without one: as they are now, whatever is written meanwhile, so that
    /// all that is read fits together. They must be there, in this version.
    pub fn open_to_read(path: &Path) -> Result<Self, BooksError> {
        let reader = open::for_reading_one_moment(path)?;
        open::check_version(path, &reader)?;
        Ok(Self { writer: None, reader: Mutex::new(reader), _lock: None })
    }

    fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` in one transaction. It is committed where `work` answers with `true` beside its value, else undone.
    fn write<T>(&self, work: impl FnOnce(&Connection) -> Result<(T, bool), AccountsError>) -> Result<T, AccountsError> {
        let read_only = || AccountsError::Storage { detail: "the books are open for reading only".to_owned() };
        let writer = self.writer.as_ref().ok_or_else(read_only)?;
        // A panic between two statements left a transaction that its drop has undone.
        let mut connection = writer.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let (value, keep) = work(&transaction)?;
        if keep {
            transaction.commit().map_err(failed)?;
        }
        Ok(value)
    }
}

impl Accounts for Books {
    fn commit(&self, changes: &[Change]) -> Result<Committed, AccountsError> {
        self.write(|connection| {
            for change in changes {
                if let Change::Post(posting) = change
                    && read::posting_number(connection, posting.cause())?.is_some()
                {
                    return Ok((Committed::AlreadyPosted { cause: posting.cause().clone() }, false));
                }
                write::apply(connection, change)?;
            }
            Ok((Committed::Done, true))
        })
    }

    fn account_of(&self, address: &str, now: Timestamp) -> Result<AccountId, AccountsError> {
        adit_primitives::accounts::check_address(address)?;
        if let Some(id) = read::account_of(&self.reader(), address)? {
            return Ok(id);
        }
        self.write(|connection| Ok((write::account_of(connection, address, now)?, true)))
    }

    fn worker_of(&self, account: AccountId, name: &str, now: Timestamp) -> Result<WorkerId, AccountsError> {
        write::check_name(name)?;
        if let Some(id) = read::worker_of(&self.reader(), account, name)? {
            return Ok(id);
        }
        self.write(|connection| Ok((write::worker_of(connection, account, name, now)?, true)))
    }

    fn find_worker(&self, address: &str, name: &str) -> Result<Option<(AccountId, WorkerId)>, AccountsError> {
        let reader = self.reader();
        let Some(account) = read::account_of(&reader, address)? else { return Ok(None) };
        Ok(read::worker_of(&reader, account, name)?.map(|worker| (account, worker)))
    }

    fn account(&self, id: AccountId) -> Result<Option<Account>, AccountsError> {
        read::account(&self.reader(), id)
    }

    fn accounts(&self, after: Option<AccountId>, max: usize) -> Result<Vec<Account>, AccountsError> {
        read::accounts(&self.reader(), after, max)
    }

    fn payable(&self, at_least: Amount, max: usize) -> Result<Vec<Account>, AccountsError> {
        read::payable(&self.reader(), at_least, max)
    }

    fn workers(&self, after: Option<WorkerId>, max: usize) -> Result<Vec<Worker>, AccountsError> {
        read::workers(&self.reader(), after, max)
    }

    fn posting(&self, cause: &Cause) -> Result<Option<Posting>, AccountsError> {
        read::posting(&self.reader(), cause)
    }

    fn journal(&self, first: u64, max: usize) -> Result<Vec<Posting>, AccountsError> {
        read::journal(&self.reader(), first, max)
    }

    fn block(&self, id: BlockId) -> Result<Option<Block>, AccountsError> {
        read::block(&self.reader(), id)
    }

    fn blocks_open(&self) -> Result<Vec<Block>, AccountsError> {
        read::blocks_open(&self.reader())
    }

    fn block_before(&self, block: BlockId) -> Result<Option<Block>, AccountsError> {
        read::block_before(&self.reader(), block)
    }

    fn blocks(&self, skip: u64, max: usize) -> Result<Vec<Block>, AccountsError> {
        read::blocks(&self.reader(), skip, max)
    }

    fn payment(&self, number: PaymentNumber) -> Result<Option<Payment>, AccountsError> {
        read::payment(&self.reader(), number)
    }

    fn payments_open(&self) -> Result<Vec<Payment>, AccountsError> {
        read::payments_open(&self.reader())
    }

    fn payments(&self, skip: u64, max: usize) -> Result<Vec<Payment>, AccountsError> {
        read::payments(&self.reader(), skip, max)
    }

    fn settlements_due(&self) -> Result<Vec<Settlement>, AccountsError> {
        read::settlements_due(&self.reader())
    }

    fn owed_until(&self) -> Result<ShareSequence, AccountsError> {
        read::owed_until(&self.reader())
    }

    fn eras(&self) -> Result<Vec<Era>, AccountsError> {
        read::eras(&self.reader())
    }

    fn bans(&self, now: Timestamp) -> Result<Vec<Ban>, AccountsError> {
        read::bans(&self.reader(), now)
    }

    fn notes(&self, skip: u64, max: usize) -> Result<Vec<OperatorChange>, AccountsError> {
        read::notes(&self.reader(), skip, max)
    }
}

fn failed(error: rusqlite::Error) -> AccountsError {
    AccountsError::Storage { detail: error.to_string() }
}
