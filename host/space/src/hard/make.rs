//! Makes hard plots: nonces in passes, each written scoop by scoop and read back while the next is made.
//!
//! A plot in the making has the ending `.part` and, behind its last scoop, a note of how many nonces are made and durable. Interrupted at any point, it
//! is gone on with behind those; finished, it is cut to its length and gets its name.

use super::name::{GROUP, NONCES_STEP, Name};
use super::pass::{Makers, Pass};
use crate::collection::Plot;
use crate::disk::{self, Reading};
use crate::error::{PlotError, Problem};
use crate::{Progress, Step, finish};
use adit_primitives::space::{NONCE_BYTES, SCOOP_BYTES, SpaceEngine};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The ending of a plot in the making.
pub const ENDING_PART: &str = "part";

/// The bytes of the note: one sector, so that it is on the disk whole or not at all.
const NOTE_BYTES: usize = disk::SECTOR;

/// What a file system counts the room of files in.
const BLOCK_BYTES: u64 = 512;

/// What the note begins with.
const NOTE: &[u8; 8] = b"ADITPOC2";

/// How many scoops are written, or compared, between two words on how far the making is.
const SCOOPS_TOLD: u64 = 128;

/// What is to be made.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    pub folder: &'a Path,
    /// Whose nonces: [`super::account`] of a public key.
    pub account: u64,
    pub start: Start,
    /// How large the file may be.
    pub bytes: u64,
    /// How many threads make nonces; one at least.
    pub threads: usize,
    /// How much memory nonces may take: the half is made while the other is written. More makes longer writes.
    pub memory: u64,
    /// Bytes that stay free on the disk.
    pub reserve: u64,
}

/// Where the nonces begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At this number, and at no other.
    At(u64),
    /// Where a plot begins that was interrupted, or else at this number.
    Any(u64),
}

impl Order<'_> {
    fn is_for(&self, name: Name, nonces: u64) -> bool {
        let begins = match self.start {
            Start::At(start) => name.start == start,
            Start::Any(_) => true,
        };
        begins && name.account == self.account && name.nonces == nonces
    }
}

/// Makes a plot, or goes on with one of the same account and size that was interrupted in the folder. Returns its file.
pub fn make(order: &Order<'_>, engine: &dyn SpaceEngine, progress: &dyn Progress) -> Result<PathBuf, PlotError> {
    let nonces = order.bytes / NONCE_BYTES as u64 / NONCES_STEP * NONCES_STEP;
    if nonces == 0 {
        let least = NONCES_STEP * NONCE_BYTES as u64;
        return Err(Problem::Small { bytes: order.bytes, least }.at(order.folder));
    }
    std::fs::create_dir_all(order.folder).map_err(|error| Problem::from(error).at(order.folder))?;
    let is_ordered = |plot: &Plot| matches!(plot, Plot::Hard(plot) if order.is_for(plot.name(), nonces));
    if let Some(path) = finish::untold(order.folder, &is_ordered, progress)? {
        return Ok(path);
    }
    let (Start::At(start) | Start::Any(start)) = order.start;
    let name = Name { account: order.account, start, nonces };
    let work = match interrupted(order, nonces)? {
        Some(work) => work,
        None => begin(order, name)?,
    };
    let finished = work.run(order, engine, progress).and_then(|()| work.finish(progress));
    finished.map_err(|problem| problem.at(&work.path))
}

fn interrupted(order: &Order<'_>, nonces: u64) -> Result<Option<Work>, PlotError> {
    let failed = |error: io::Error| Problem::from(error).at(order.folder);
    for entry in std::fs::read_dir(order.folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let Some(name) = name_of_part(&path).filter(|name| order.is_for(*name, nonces)) else { continue };
        if let Ok(work) = Work::open(path, name) {
            return work.with_room(order).map(Some);
        }
    }
    Ok(None)
}

/// Reads the name of a plot in the making.
pub fn name_of_part(path: &Path) -> Option<Name> {
    let is_part = path.extension().is_some_and(|ending| ending == ENDING_PART);
    is_part.then(|| path.file_stem()?.to_str()?.parse().ok()).flatten()
}

/// Reads how many nonces of a plot in the making are made.
pub fn made(path: &Path, name: Name) -> Result<u64, Problem> {
    read_note(&disk::open(path)?, name)
}

fn read_note(file: &File, name: Name) -> Result<u64, Problem> {
    let (found, expected) = (file.metadata()?.len(), name.bytes() + NOTE_BYTES as u64);
    // The note is cut off once all is made, and the name follows.
    if found == name.bytes() {
        return Ok(name.nonces);
    }
    if found > name.bytes() && found != expected {
        return Err(Problem::Length { found, expected });
    }
    let mut note = [0; NOTE_BYTES];
    if found == expected {
        file.read_exact_at(&mut note, name.bytes())?;
    }
    // It was left before the first note.
    if note == [0; NOTE_BYTES] {
        return Ok(0);
    }
    let number = u64::from_le_bytes(*note[8..].first_chunk().expect("a note is longer"));
    if note[..] == note_bytes(number) && number <= name.nonces { Ok(number) } else { Err(Problem::Checksum) }
}

fn note_bytes(made: u64) -> [u8; NOTE_BYTES] {
    let mut note = [0; NOTE_BYTES];
    note[..8].copy_from_slice(NOTE);
    note[8..16].copy_from_slice(&made.to_le_bytes());
    let checksum = Sha256::digest(&note[..16]);
    note[16..48].copy_from_slice(&checksum);
    note
}

fn begin(order: &Order<'_>, name: Name) -> Result<Work, PlotError> {
    let path = order.folder.join(format!("{name}.{ENDING_PART}"));
    let is_new = OpenOptions::new().write(true).create_new(true).open(&path);
    if let Err(error) = is_new {
        return Err(Problem::File(error).at(&path));
    }
    let work = Work::open(path.clone(), name).map_err(|problem| problem.at(&path))?;
    work.with_room(order).inspect_err(|_| {
        // Room that was taken is given back.
        let _ = std::fs::remove_file(&path);
    })
}

/// A plot in the making, locked.
struct Work {
    file: File,
    path: PathBuf,
    name: Name,
    made: u64,
}

impl Work {
    fn open(path: PathBuf, name: Name) -> Result<Self, Problem> {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { made: read_note(&file, name)?, file, path, name }),
            Err(TryLockError::WouldBlock) => Err(Problem::InUse),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// Notes what is made, and takes the room of all: an interruption may have come before that.
    fn with_room(self, order: &Order<'_>) -> Result<Self, PlotError> {
        let whole = self.name.bytes() + NOTE_BYTES as u64;
        let prepare = || -> io::Result<()> {
            if self.made == 0 {
                // First of all: from here on the file has its length, and says that nothing of it is made.
                self.file.write_all_at(&note_bytes(0), self.name.bytes())?;
            }
            disk::take_room(&self.file, whole)?;
            self.file.sync_all()?;
            disk::sync_folder(&self.path)
        };
        let failed = |error: io::Error| Problem::File(error).at(&self.path);
        let file = self.file.metadata().map_err(failed)?;
        // A whole plot has its room, and its note is gone.
        if file.len() != self.name.bytes() {
            let missing = whole.saturating_sub(file.blocks() * BLOCK_BYTES);
            // What has its room takes none, however full the disk is by now.
            if missing > 0 {
                disk::check_room(order.folder, missing, order.reserve)?;
            }
            prepare().map_err(failed)?;
        }
        Ok(self)
    }

    /// Makes all that is missing. While some nonces are written, synced and read back, the next are made.
    fn run(&self, order: &Order<'_>, engine: &dyn SpaceEngine, progress: &dyn Progress) -> Result<(), Problem> {
        let makers = Makers { engine, name: self.name, threads: order.threads, memory: order.memory };
        let done =
            Done { progress, quarters: AtomicU64::new(4 * self.made * NONCE_BYTES as u64), all: self.name.bytes() };
        let group = (GROUP * NONCE_BYTES) as u64;
        let mut made = self.made;
        let mut keep = |pass: &Pass| -> Result<(), Problem> {
            // What is made is kept, whatever is asked for meanwhile.
            let told = |scoop: u64| {
                if scoop.is_multiple_of(SCOOPS_TOLD) {
                    done.goes_on(SCOOPS_TOLD * pass.nonces() * SCOOP_BYTES as u64);
                }
                Ok(())
            };
            pass.write(&self.file, self.name, &told)?;
            self.file.sync_data()?;
            pass.compare(&Reading::open(&self.path)?, self.name, &told)?;
            made += pass.nonces();
            self.file.write_all_at(&note_bytes(made), self.name.bytes())?;
            Ok(self.file.sync_data()?)
        };
        let mut missing = (self.made..self.name.nonces).step_by(GROUP);
        makers.run(&mut missing, &|groups| done.goes_on(2 * groups * group), &mut keep)
    }

    /// Gives the plot its length and its name.
    fn finish(&self, progress: &dyn Progress) -> Result<PathBuf, Problem> {
        self.file.set_len(self.name.bytes())?;
        self.file.sync_all()?;
        finish::finish(&self.path, progress)
    }
}

/// How far the making is: a half of a nonce's bytes count when it is made, a quarter when it is written, and the last when it was read back.
struct Done<'a> {
    progress: &'a dyn Progress,
    quarters: AtomicU64,
    all: u64,
}

impl Done<'_> {
    /// Takes so many quarters of a byte that are done besides. Returns whether it goes on.
    fn goes_on(&self, quarters: u64) -> bool {
        let before = self.quarters.fetch_add(quarters, Ordering::Relaxed);
        self.progress.done(Step::Plotting, (before + quarters) / 4, self.all)
    }
}
