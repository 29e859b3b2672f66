//! Compiled plugins on disk.
//!
//! Machine code from a file runs without a sandbox around its making, so a file is believed only with the seal that this
//! installation's key puts on it. Whatever is in doubt is compiled again; nothing unsealed is ever deserialised.

use crate::engine::Chamber;
use crate::inspect::Outline;
use crate::limits::CacheSettings;
use adit_primitives::{Decode, Encode, Hash256, Reader};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use wasmtime::component::Component;

/// The layout of an entry. Entries of other layouts are never found.
const FORMAT: u32 = 1;
const MAGIC: &[u8; 8] = b"adit-aot";
const SEAL_BYTES: usize = 32;
const KEY_FILE: &str = "key";
/// The largest entry that is read. Machine code takes about three times the component's size.
const ENTRY_BYTES_MAX: u64 = 256 << 20;

/// Why there is no cache.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("the directory of compiled plugins {}: {source}", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("the key of compiled plugins {}: {source}", path.display())]
    Key { path: PathBuf, source: io::Error },
}

/// A directory of compiled plugins that belongs to this installation.
#[derive(Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
    key: Key,
}

struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(secret)")
    }
}

impl Cache {
    /// Opens the directory, making it and its key where they are missing.
    pub fn open(settings: &CacheSettings) -> Result<Self, CacheError> {
        let directory = settings.directory.clone();
        make_private(&directory).map_err(|source| CacheError::Directory { path: directory.clone(), source })?;
        let path = directory.join(KEY_FILE);
        let key = read_or_make_key(&path, settings.new_key).map_err(|source| CacheError::Key { path, source })?;
        Ok(Self { directory, key: Key(key) })
    }

    /// Returns what [`Cache::put`] kept of a plugin, or nothing where there is any doubt.
    pub fn get(&self, chamber: &Chamber, digest: Hash256) -> Option<(Outline, Component)> {
        let name = entry_name(chamber, digest);
        let bytes = read_bounded(&self.path(name)).ok()?;
        let (seal, payload) = split(&bytes)?;
        if blake3::Hash::from(*seal) != self.seal(name, payload) {
            return None;
        }
        let mut reader = Reader::new(payload);
        let outline = Outline::decode(&mut reader).ok()?;
        let code = reader.take("compiled code", reader.left()).ok()?;
        // SAFETY: the seal shows that this installation wrote these bytes, and the name under the seal that they came from
        // `Component::serialize` on an engine with the same compatibility hash.
        #[allow(unsafe_code)]
        let component = unsafe { Component::deserialize(&chamber.engine, code) }.ok()?;
        Some((outline, component))
    }

    /// Keeps a compiled plugin.
    pub fn put(&self, chamber: &Chamber, digest: Hash256, outline: &Outline, component: &Component) -> io::Result<()> {
        let name = entry_name(chamber, digest);
        let mut payload = outline.to_bytes();
        payload.extend(component.serialize().map_err(|error| io::Error::other(format!("{error:#}")))?);
        let seal = self.seal(name, &payload);
        let path = self.path(name);
        let temporary = temporary_path(&path);
        let written = write_new(&temporary, &[MAGIC, seal.as_bytes(), &payload]);
        written.and_then(|()| fs::rename(&temporary, &path)).inspect_err(|_| drop(fs::remove_file(&temporary)))
    }

    fn path(&self, name: Hash256) -> PathBuf {
        self.directory.join(format!("{name}.aot"))
    }

    fn seal(&self, name: Hash256, payload: &[u8]) -> blake3::Hash {
        blake3::Hasher::new_keyed(&self.key.0).update(&name.0).update(payload).finalize()
    }
}

/// Names an entry by all that decides whether its code fits.
fn entry_name(chamber: &Chamber, digest: Hash256) -> Hash256 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&FORMAT.to_le_bytes()).update(&digest.0).update(&chamber.compatibility);
    hasher.update(std::env::consts::ARCH.as_bytes()).update(b" ").update(std::env::consts::OS.as_bytes());
    Hash256(hasher.finalize().into())
}

fn split(entry: &[u8]) -> Option<(&[u8; SEAL_BYTES], &[u8])> {
    entry.strip_prefix(MAGIC)?.split_first_chunk()
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    if length > ENTRY_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.take(ENTRY_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Makes a directory that is its owner's alone, or makes one so.
pub(crate) fn make_private(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let permissions = fs::metadata(directory)?.permissions();
    if permissions.mode() & 0o077 != 0 {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Reads the key; one that others could have read or written is replaced, which makes every entry void.
fn read_or_make_key(path: &Path, new_key: [u8; 32]) -> io::Result<[u8; 32]> {
    match File::open(path) {
        Ok(mut file) => {
            let metadata = file.metadata()?;
            let mut bytes = Vec::new();
            (&mut file).take(33).read_to_end(&mut bytes)?;
            match <[u8; 32]>::try_from(bytes) {
                Ok(key) if metadata.mode() & 0o077 == 0 => return Ok(key),
                _ => fs::remove_file(path)?,
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let temporary = temporary_path(path);
    write_new(&temporary, &[&new_key])?;
    // Another process may have been faster; then its key is the one.
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary)?;
    match linked {
        Ok(()) => Ok(new_key),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::read(path)?.try_into().map_err(|_| io::ErrorKind::InvalidData.into())
        }
        Err(error) => Err(error),
    }
}

/// Writes a file that must not exist yet, for its owner alone.
pub(crate) fn write_new(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    parts.iter().try_for_each(|part| file.write_all(part))?;
    file.sync_all()
}

/// A name beside `path` that no other writer has.
pub(crate) fn temporary_path(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}-{number}.new", process::id()));
    PathBuf::from(name)
}
