//! Who may open the books, how, and in which version.

use adit_primitives::accounts::Reserved;
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The version of the schema that this version of Adit reads and writes: the number of [`MIGRATIONS`].
pub const SCHEMA_VERSION: u32 = 1;

/// What brings books from each version to the next; the first makes new ones.
const MIGRATIONS: [&str; SCHEMA_VERSION as usize] = [include_str!("schema.sql")];

/// How long a statement waits for readers of other processes at a checkpoint.
const BUSY_MAX: Duration = Duration::from_secs(10);

/// How many prepared statements a connection keeps.
const STATEMENTS_MAX: usize = 64;

/// Why books could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BooksError {
    #[error("{}: another process has these books open", path.display())]
    InUse { path: PathBuf },
    #[error("{}: there are no books", path.display())]
    Missing { path: PathBuf },
    #[error("{}: a database, but not a pool's books", path.display())]
    Foreign { path: PathBuf },
    #[error("{}: written in version {found} by a newer Adit; this one reads up to {SCHEMA_VERSION}", path.display())]
    Newer { path: PathBuf, found: u32 },
    #[error("{}: written in version {found} by an older Adit; start the pool once to bring them up to {SCHEMA_VERSION}", path.display())]
    Older { path: PathBuf, found: u32 },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{}: the database does not open: {detail}", path.display())]
    Engine { path: PathBuf, detail: String },
}

/// Locks the books for writing. The lock is a file of its own beside them, since the engine's own locks come and go with statements.
pub(super) fn lock(path: &Path) -> Result<File, BooksError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|source| BooksError::File { path: folder.to_owned(), source })?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let at = |source| BooksError::File { path: name.clone(), source };
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&name).map_err(at)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(BooksError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(at(source)),
    }
}

/// Opens the books for writing, and makes or migrates them where needed.
pub(super) fn for_writing(path: &Path) -> Result<Connection, BooksError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = connect(path, flags)?;
    let found = version(path, &connection)?;
    if found > SCHEMA_VERSION {
        return Err(BooksError::Newer { path: path.to_owned(), found });
    }
    // A write ahead log that is synced at each commit: an answered commit outlives a loss of power.
    let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;";
    connection.execute_batch(settings).map_err(engine(path))?;
    if found < SCHEMA_VERSION {
        migrate(&mut connection, found).map_err(engine(path))?;
    }
    Ok(connection)
}

/// Opens books that are there for reading.
pub(super) fn for_reading(path: &Path) -> Result<Connection, BooksError> {
    if !path.exists() {
        return Err(BooksError::Missing { path: path.to_owned() });
    }
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

/// Opens books that are there for reading in one transaction, which ends with the connection. Its moment is that of the first statement.
pub(super) fn for_reading_one_moment(path: &Path) -> Result<Connection, BooksError> {
    let connection = for_reading(path)?;
    connection.execute_batch("BEGIN DEFERRED").map_err(engine(path))?;
    Ok(connection)
}

/// Refuses books of another version.
pub(super) fn check_version(path: &Path, connection: &Connection) -> Result<(), BooksError> {
    let path = path.to_owned();
    match version(&path, connection)? {
        0 => Err(BooksError::Foreign { path }),
        found if found > SCHEMA_VERSION => Err(BooksError::Newer { path, found }),
        found if found < SCHEMA_VERSION => Err(BooksError::Older { path, found }),
        _ => Ok(()),
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, BooksError> {
    let connection = Connection::open_with_flags(path, flags).map_err(engine(path))?;
    connection.busy_timeout(BUSY_MAX).map_err(engine(path))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(connection)
}

/// Reads the version of the schema: 0 where nothing was ever written.
fn version(path: &Path, connection: &Connection) -> Result<u32, BooksError> {
    let tables = "SELECT COUNT(*), COUNT(CASE WHEN name = 'meta' THEN 1 END) FROM sqlite_master WHERE type = 'table'";
    let row = connection.query_row(tables, [], |row| Ok((row.get(0)?, row.get(1)?)));
    let (tables, meta): (u32, u32) = row.map_err(engine(path))?;
    let foreign = || BooksError::Foreign { path: path.to_owned() };
    match (tables, meta) {
        (0, _) => Ok(0),
        (_, 0) => Err(foreign()),
        _ => {
            let read = "SELECT value FROM meta WHERE name = 'adit books'";
            let found = connection.query_row(read, [], |row| row.get(0)).optional().map_err(|_| foreign())?;
            found.and_then(|text: String| text.parse().ok()).filter(|version| *version > 0).ok_or_else(foreign)
        }
    }
}

/// Applies what is missing, all of it or nothing.
fn migrate(connection: &mut Connection, found: u32) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for migration in &MIGRATIONS[found as usize..] {
        transaction.execute_batch(migration)?;
    }
    if found == 0 {
        let open = "INSERT INTO accounts (number, address, opened, total, immature) VALUES (?1, ?2, 0, 0, 0)";
        for reserved in Reserved::ALL {
            transaction.execute(open, params![reserved.id().0, reserved.name()])?;
        }
        transaction.execute("INSERT INTO meta (name, value) VALUES ('adit books', '0')", [])?;
    }
    let version = "UPDATE meta SET value = ?1 WHERE name = 'adit books'";
    transaction.execute(version, [SCHEMA_VERSION.to_string()])?;
    transaction.commit()
}

fn engine(path: &Path) -> impl FnOnce(rusqlite::Error) -> BooksError {
    let path = path.to_owned();
    move |error| BooksError::Engine { path, detail: error.to_string() }
}
