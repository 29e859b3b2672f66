//! What lies in a store's directory, and who may open it.
//!
//! ```text
//! LOCK          locked while a process has the store open; empty
//! FORMAT        "adit store 1": written first, so nothing else is read in a format that is not ours
//! database/     the engine's files
//! database.new/ an unfinished creation; never held a record, removed at the next opening
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The version of everything below the directory: the engine's files, the tables and their names.
pub const FORMAT_VERSION: u32 = 1;

const FORMAT_PREFIX: &str = "adit store ";
const FORMAT_BYTES_MAX: usize = 64;

/// Every name that this module makes.
const NAMES: [&str; 5] = ["LOCK", "FORMAT", "FORMAT.new", "database", "database.new"];

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{}: another process has this store open", path.display())]
    InUse { path: PathBuf },
    #[error("{}: holds other files and is not a store: {found} was found and no FORMAT", path.display())]
    Foreign { path: PathBuf, found: String },
    #[error("{}: is not a store: FORMAT reads {found:?}", path.display())]
    UnknownFormat { path: PathBuf, found: String },
    #[error("{}: was written in format {found} by an older version; this version reads {FORMAT_VERSION} only", path.display())]
    OlderFormat { path: PathBuf, found: u32 },
    #[error("{}: was written in format {found} by a newer version; this version reads {FORMAT_VERSION} only", path.display())]
    NewerFormat { path: PathBuf, found: u32 },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{}: the database does not open: {detail}", path.display())]
    Engine { path: PathBuf, detail: String },
}

/// A directory that this process alone may use, in the format of this version.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Holds the lock until it is dropped; the system drops it even when the process is killed.
    _lock: File,
}

impl Directory {
    /// Locks the directory, making it where there is none, and checks its format.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        // Before the first write: another program's directory is left as it is.
        if !path.join("FORMAT").exists()
            && let Some(found) = foreign_name(path)?
        {
            return Err(OpenError::Foreign { path: path.to_owned(), found });
        }
        fs::create_dir_all(path).map_err(at(path))?;
        let directory = Self { path: path.to_owned(), _lock: lock(path)? };
        directory.check_format()?;
        Ok(directory)
    }

    /// Returns the place of the engine's files. `create` fills an empty directory when there are none yet; a creation that
    /// was cut off leaves nothing behind that is taken for a database.
    pub fn database(&self, create: impl FnOnce(&Path) -> Result<(), OpenError>) -> Result<PathBuf, OpenError> {
        let (database, unfinished) = (self.path.join("database"), self.path.join("database.new"));
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(at(&unfinished))?;
        }
        if !database.exists() {
            create(&unfinished)?;
            fs::rename(&unfinished, &database).map_err(at(&database))?;
            sync_directory(&self.path)?;
        }
        Ok(database)
    }

    fn check_format(&self) -> Result<(), OpenError> {
        let file = self.path.join("FORMAT");
        match fs::read(&file) {
            Ok(bytes) => check_format_text(&self.path, &bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.write_format(),
            Err(source) => Err(OpenError::File { path: file, source }),
        }
    }

    fn write_format(&self) -> Result<(), OpenError> {
        let (file, unfinished) = (self.path.join("FORMAT"), self.path.join("FORMAT.new"));
        let write = || -> io::Result<()> {
            let mut new = File::create(&unfinished)?;
            writeln!(new, "{FORMAT_PREFIX}{FORMAT_VERSION}")?;
            new.sync_all()?;
            fs::rename(&unfinished, &file)
        };
        write().map_err(at(&file))?;
        sync_directory(&self.path)
    }
}

fn check_format_text(path: &Path, bytes: &[u8]) -> Result<(), OpenError> {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(FORMAT_BYTES_MAX)]);
    let version = text.strip_prefix(FORMAT_PREFIX).and_then(|rest| rest.trim_end().parse::<u32>().ok());
    let path = path.to_owned();
    match version {
        None => Err(OpenError::UnknownFormat { path, found: text.into_owned() }),
        Some(found) if found < FORMAT_VERSION => Err(OpenError::OlderFormat { path, found }),
        Some(found) if found > FORMAT_VERSION => Err(OpenError::NewerFormat { path, found }),
        Some(_) => Ok(()),
    }
}

/// Returns the first name, in byte order, that this module does not make.
fn foreign_name(path: &Path) -> Result<Option<String>, OpenError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(OpenError::File { path: path.to_owned(), source }),
    };
    let mut first: Option<String> = None;
    for entry in entries {
        let name = entry.map_err(at(path))?.file_name().to_string_lossy().into_owned();
        if !NAMES.contains(&name.as_str()) && first.as_ref().is_none_or(|first| name < *first) {
            first = Some(name);
        }
    }
    Ok(first)
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let name = path.join("LOCK");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&name).map_err(at(&name))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(OpenError::File { path: name, source }),
    }
}

/// Makes renames in a directory survive a loss of power.
fn sync_directory(path: &Path) -> Result<(), OpenError> {
    #[cfg(unix)]
    File::open(path).and_then(|directory| directory.sync_all()).map_err(at(path))?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::File { path, source }
}
