//! How plots are read and written: past the cache where the system lets us, at places, whole or not at all.
//!
//! Reading a disk through the cache costs more time than the hashing does, and throws out what others keep there.

use crate::error::{PlotError, Problem};
use rustix::fs::{Advice, FallocateFlags, OFlags, fadvise, fallocate, statvfs};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// What direct reading asks of offsets, lengths and addresses: the largest sector in use.
pub const SECTOR: usize = 4_096;

/// Bytes that stay free on a disk unless told otherwise.
pub const RESERVE: u64 = 1 << 30;

/// A buffer whose bytes begin at a multiple of [`SECTOR`].
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    length: usize,
}

impl Buffer {
    /// Makes one of so many bytes.
    pub fn new(length: usize) -> Self {
        let bytes = vec![0; length + SECTOR];
        // The vector never grows, so its address stays.
        let start = bytes.as_ptr().align_offset(SECTOR);
        Self { bytes, start, length }
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.length]
    }

    /// Returns the bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.length]
    }
}

/// A file that is read past the cache.
#[derive(Debug)]
pub struct Reading {
    file: File,
    direct: bool,
}

impl Reading {
    /// Opens a file. Where its file system knows no direct reading, the cache is asked to forget what was read.
    pub fn open(path: &Path) -> io::Result<Self> {
        match open_with(path, OFlags::DIRECT) {
            Ok(file) => Ok(Self { file, direct: true }),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
                Ok(Self { file: open(path)?, direct: false })
            }
            Err(error) => Err(error),
        }
    }

    /// Fills `buffer` up to `length` bytes from `offset`, a multiple of [`SECTOR`]. `length` may be any up to the buffer's.
    ///
    /// # Errors
    /// Where the file ends before.
    pub fn read(&self, buffer: &mut Buffer, offset: u64, length: usize) -> io::Result<()> {
        let room = buffer.bytes_mut();
        let asked = if self.direct { length.next_multiple_of(SECTOR).min(room.len()) } else { length };
        let mut filled = 0;
        while filled < length {
            let at = offset + filled as u64;
            match self.file.read_at(&mut room[filled..asked], at) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                // A direct read is short at the end of the file alone.
                Ok(count) if self.direct && filled + count < length && !count.is_multiple_of(SECTOR) => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if !self.direct {
            let length = std::num::NonZeroU64::new(length as u64);
            // Advice: nothing depends on it.
            let _ = fadvise(&self.file, offset, length, Advice::DontNeed);
        }
        Ok(())
    }

    /// Reads `length` bytes from anywhere. The buffer has room for a sector more than those.
    ///
    /// # Errors
    /// Where the file ends before.
    pub fn read_any<'b>(&self, buffer: &'b mut Buffer, offset: u64, length: usize) -> io::Result<&'b [u8]> {
        let before = usize::try_from(offset % SECTOR as u64).expect("less than a sector");
        self.read(buffer, offset - before as u64, before + length)?;
        Ok(&buffer.bytes()[before..before + length])
    }

    /// Returns the file's length in bytes.
    pub fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

/// Opens a file to be read.
///
/// # Errors
/// Where it is none: a pipe or a device by a plot's name would keep whoever opens it waiting.
pub fn open(path: &Path) -> io::Result<File> {
    open_with(path, OFlags::empty())
}

fn open_with(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = i32::try_from((flags | OFlags::NONBLOCK).bits()).expect("flags of a few bits");
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

/// Bytes that are read at once.
pub const READ: usize = 1 << 20;

/// So many threads keep a disk busy while they score what they read, where there are cores for it.
pub const THREADS: usize = 4;

/// Shows a part of a file to `visit`, piece by piece: whole multiples of `each` bytes, with their place in the file.
///
/// So many threads take the pieces in order; each reads one and looks at it, so that some read while others look. A piece is in memory for each thread, and
/// no more. Where `visit` says [`ControlFlow::Break`], no further piece is taken.
///
/// # Errors
/// Where the file cannot be read, or ends before. What was read until then was shown.
pub fn stream(
    path: &Path,
    part: Range<u64>,
    each: usize,
    threads: usize,
    visit: &(dyn Fn(u64, &[u8]) -> ControlFlow<()> + Sync),
) -> io::Result<()> {
    let reading = Reading::open(path)?;
    let most = (READ / each * each) as u64;
    let length = part.end.saturating_sub(part.start);
    let room = usize::try_from(length.min(most)).expect("a piece fits memory") + 2 * SECTOR;
    let (next, ended) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = || -> io::Result<()> {
        let mut buffer = Buffer::new(room.next_multiple_of(SECTOR));
        while !ended.load(Ordering::Relaxed) {
            let done = next.fetch_add(most, Ordering::Relaxed);
            if done >= length {
                break;
            }
            let (at, count) = (part.start + done, (length - done).min(most));
            let count = usize::try_from(count).expect("a piece fits memory");
            if visit(at, reading.read_any(&mut buffer, at, count)?).is_break() {
                ended.store(true, Ordering::Relaxed);
            }
        }
        Ok(())
    };
    // One that fails ends all.
    let watched = || work().inspect_err(|_| ended.store(true, Ordering::Relaxed));
    let pieces = usize::try_from(length.div_ceil(most)).unwrap_or(usize::MAX);
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(pieces)).map(|_| scope.spawn(watched)).collect();
        let own = watched();
        let others = others.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        others.fold(own, Result::and)
    })
}

/// Refuses a plot that would fill its disk.
pub fn check_room(folder: &Path, needed: u64, reserve: u64) -> Result<(), PlotError> {
    let disk = statvfs(folder).map_err(|error| Problem::File(error.into()).at(folder))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free >= needed.saturating_add(reserve) {
        Ok(())
    } else {
        Err(Problem::Full { free, needed, reserve }.at(folder))
    }
}

/// Gives a file its whole room now, so that it cannot run out of it later.
pub fn take_room(file: &File, bytes: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        // Where the file system cannot, a write that finds no room is told when it happens.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => file.set_len(bytes),
        given => Ok(given?),
    }
}

/// Writes a small file whole or not at all.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    sync_folder(path)
}

/// Makes the names in a file's folder survive a loss of power.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
