//! Makes hard plots: as many nonces as memory holds at once, then written scoop by scoop.
//!
//! A plot in the making has the ending `.part` and, behind its last scoop, a note of how many nonces are made and durable. Interrupted at any point, it
//! is gone on with behind those; finished, it is cut to its length and gets its name.

use super::name::{GROUP, NONCES_STEP, Name};
use super::read::HardPlot;
use crate::Progress;
use crate::disk::{self, Buffer, Reading};
use crate::error::{PlotError, Problem};
use adit_primitives::space::{NONCE_BYTES, SCOOP_BYTES, SCOOPS, SpaceEngine};
use rustix::io::pwritev;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// The ending of a plot in the making.
pub const ENDING_PART: &str = "part";

/// The bytes of the note: one sector, so that it is on the disk whole or not at all.
const NOTE_BYTES: usize = disk::SECTOR;

/// What the note begins with.
const NOTE: &[u8; 8] = b"ADITPOC2";

/// Pieces that the system writes in one call.
const PIECES_MAX: usize = 1_024;

/// A group's part of a scoop, in bytes.
const PIECE: usize = GROUP * SCOOP_BYTES;

/// What is to be made.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    pub folder: &'a Path,
    /// Whose nonces: [`super::account`] of a public key.
    pub account: u64,
    /// The number of the first nonce, for a plot that is begun.
    pub start: u64,
    /// How large the file may be.
    pub bytes: u64,
    /// How many threads make nonces; one at least.
    pub threads: usize,
    /// How much memory nonces may take before they are written. More makes longer writes.
    pub memory: u64,
    /// Bytes that stay free on the disk.
    pub reserve: u64,
}

/// Makes a plot, or goes on with one of the same account and size that was interrupted in the folder. Returns its file.
pub fn make(order: &Order<'_>, engine: &dyn SpaceEngine, progress: &dyn Progress) -> Result<PathBuf, PlotError> {
    let nonces = order.bytes / NONCE_BYTES as u64 / NONCES_STEP * NONCES_STEP;
    if nonces == 0 {
        let least = NONCES_STEP * NONCE_BYTES as u64;
        return Err(Problem::Small { bytes: order.bytes, least }.at(order.folder));
    }
    std::fs::create_dir_all(order.folder).map_err(|error| Problem::from(error).at(order.folder))?;
    let name = Name { account: order.account, start: order.start, nonces };
    let mut work = match interrupted(order, nonces)? {
        Some(work) => work,
        None => begin(order, name)?,
    };
    let finished = work.run(order, engine, progress).and_then(|()| work.finish());
    let path = finished.map_err(|problem| problem.at(&work.path))?;
    HardPlot::open(&path).map(|_| path)
}

fn interrupted(order: &Order<'_>, nonces: u64) -> Result<Option<Work>, PlotError> {
    let failed = |error: io::Error| Problem::from(error).at(order.folder);
    for entry in std::fs::read_dir(order.folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let Some(name) = name_of_part(&path).filter(|name| name.account == order.account && name.nonces == nonces)
        else {
            continue;
        };
        if let Ok(work) = Work::open(path, name) {
            return Ok(Some(work));
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
    if found != expected {
        return Err(Problem::Length { found, expected });
    }
    let mut note = [0; NOTE_BYTES];
    file.read_exact_at(&mut note, name.bytes())?;
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
    disk::check_room(order.folder, name.bytes(), order.reserve)?;
    let path = order.folder.join(format!("{name}.{ENDING_PART}"));
    let file = open_anew(&path, name).map_err(|problem| problem.at(&path))?;
    let prepare = || {
        disk::take_room(&file, name.bytes() + NOTE_BYTES as u64)?;
        file.write_all_at(&note_bytes(0), name.bytes())?;
        file.sync_all()?;
        disk::sync_folder(&path)
    };
    if let Err(error) = prepare() {
        // Room that was taken is given back.
        let _ = std::fs::remove_file(&path);
        return Err(Problem::File(error).at(&path));
    }
    Work::open(path.clone(), name).map_err(|problem| problem.at(&path))
}

/// Opens a file for a new plot. One that is there may have been left before its first note was written.
fn open_anew(path: &Path, name: Name) -> Result<File, Problem> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    if file.metadata()?.len() < name.bytes() || has_no_note(&file, name)? {
        return Ok(file);
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists).into())
}

fn has_no_note(file: &File, name: Name) -> Result<bool, Problem> {
    let mut note = [0; NOTE_BYTES];
    let whole = file.metadata()?.len() == name.bytes() + NOTE_BYTES as u64;
    if whole {
        file.read_exact_at(&mut note, name.bytes())?;
    }
    Ok(whole && note == [0; NOTE_BYTES])
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
        let made = read_note(&file, name)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, path, name, made }),
            Err(TryLockError::WouldBlock) => Err(Problem::InUse),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    fn run(&mut self, order: &Order<'_>, engine: &dyn SpaceEngine, progress: &dyn Progress) -> Result<(), Problem> {
        // Whole sectors of each scoop.
        let pass = (order.memory / NONCE_BYTES as u64 / NONCES_STEP).max(1) * NONCES_STEP;
        let mut groups: Vec<Vec<u8>> = Vec::new();
        while self.made < self.name.nonces {
            if !progress.done(self.made * NONCE_BYTES as u64, self.name.bytes()) {
                return Err(Problem::Interrupted);
            }
            let count = pass.min(self.name.nonces - self.made);
            groups.resize_with(usize::try_from(count / GROUP as u64).expect("groups fit memory"), Vec::new);
            self.compute(&mut groups, order.threads, engine, progress)?;
            self.write(&groups)?;
            self.file.sync_data()?;
            self.compare(&groups)?;
            self.made += count;
            self.file.write_all_at(&note_bytes(self.made), self.name.bytes())?;
            self.file.sync_data()?;
        }
        progress.done(self.name.bytes(), self.name.bytes());
        Ok(())
    }

    /// Makes the nonces of all groups, on all threads.
    fn compute(
        &self,
        groups: &mut [Vec<u8>],
        threads: usize,
        engine: &dyn SpaceEngine,
        progress: &dyn Progress,
    ) -> Result<(), Problem> {
        let all = groups.len();
        let queue = Mutex::new(groups.iter_mut().enumerate());
        let work = || -> Result<(), Problem> {
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((number, group)) = next else { return Ok(()) };
                let first = self.made + (number * GROUP) as u64;
                *group = group_of(engine, self.name.account, self.name.start + first);
                if !progress.done(first * NONCE_BYTES as u64, self.name.bytes()) {
                    return Err(Problem::Interrupted);
                }
            }
        };
        thread::scope(|scope| {
            let running: Vec<_> = (0..threads.clamp(1, all)).map(|_| scope.spawn(work)).collect();
            let ended: Vec<_> = running.into_iter().map(|thread| thread.join().map_err(|_| Problem::Panic)).collect();
            ended.into_iter().try_for_each(|ended| ended?)
        })
    }

    /// Writes each scoop of all groups in one piece.
    fn write(&self, groups: &[Vec<u8>]) -> Result<(), Problem> {
        for scoop in 0..SCOOPS {
            let pieces: Vec<&[u8]> = groups.iter().map(|group| &group[scoop * PIECE..][..PIECE]).collect();
            let mut offset = self.name.at(scoop as u64, self.made);
            for pieces in pieces.chunks(PIECES_MAX) {
                write_pieces(&self.file, pieces, offset)?;
                offset += (pieces.len() * PIECE) as u64;
            }
        }
        Ok(())
    }

    /// Reads back what was written, past the cache, and compares.
    fn compare(&self, groups: &[Vec<u8>]) -> Result<(), Problem> {
        let reading = Reading::open(&self.path)?;
        let mut buffer = Buffer::new(groups.len() * PIECE);
        for scoop in 0..SCOOPS {
            let offset = self.name.at(scoop as u64, self.made);
            reading.read(&mut buffer, offset, groups.len() * PIECE)?;
            let pairs = buffer.bytes().chunks(PIECE).zip(groups);
            if pairs.into_iter().any(|(found, group)| found != &group[scoop * PIECE..][..PIECE]) {
                return Err(Problem::Wrong { what: "scoops", offset });
            }
        }
        Ok(())
    }

    /// Gives the plot its length and its name.
    fn finish(&self) -> Result<PathBuf, Problem> {
        self.file.set_len(self.name.bytes())?;
        self.file.sync_all()?;
        let path = self.path.with_extension("");
        std::fs::rename(&self.path, &path)?;
        disk::sync_folder(&path)?;
        Ok(path)
    }
}

/// Makes [`GROUP`] nonces, scoop by scoop, whatever the lanes.
pub(super) fn group_of(engine: &dyn SpaceEngine, account: u64, first: u64) -> Vec<u8> {
    let lanes = engine.lanes();
    let mut group = vec![0; GROUP * NONCE_BYTES];
    if lanes == GROUP {
        engine.nonces(account, first, &mut group);
        return group;
    }
    let mut some = vec![0; lanes * NONCE_BYTES];
    for part in 0..GROUP / lanes {
        engine.nonces(account, first + (part * lanes) as u64, &mut some);
        for (scoop, made) in some.chunks(lanes * SCOOP_BYTES).enumerate() {
            let at = scoop * PIECE + part * lanes * SCOOP_BYTES;
            group[at..at + made.len()].copy_from_slice(made);
        }
    }
    group
}

/// Writes pieces one behind the other.
fn write_pieces(file: &File, pieces: &[&[u8]], mut offset: u64) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut left = &mut slices[..];
    while !left.is_empty() {
        match pwritev(file, left, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                offset += count as u64;
                IoSlice::advance_slices(&mut left, count);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
