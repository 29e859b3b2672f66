//! Nonces in passes, as many as memory holds: while those of one are put on the disk, or compared with what lies there, the next are made.

use super::name::{GROUP, NONCES_STEP, Name, STEP_GROUPS};
use crate::disk::{Buffer, Reading, SECTOR};
use crate::error::Problem;
use adit_primitives::space::{NONCE_BYTES, SCOOP_BYTES, SCOOPS, SpaceEngine};
use rustix::io::pwritev;
use std::fs::File;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Pieces that the system writes in one call.
const PIECES_MAX: usize = 1_024;

/// A group's part of a scoop, in bytes.
const PIECE: usize = GROUP * SCOOP_BYTES;

/// Says how far a pass is with its scoops, and whether it is to go on.
pub type Told<'a> = &'a dyn Fn(u64) -> Result<(), Problem>;

/// Groups of nonces in memory, in the order of the plot.
#[derive(Debug, Default)]
pub struct Pass {
    /// The first nonce of each group, counted from the plot's first.
    pub firsts: Vec<u64>,
    /// Each group's nonces scoop by scoop. There may be room for more groups than there are.
    groups: Vec<Vec<u8>>,
}

/// Makes the nonces of a plot in passes.
pub struct Makers<'a> {
    pub engine: &'a dyn SpaceEngine,
    pub name: Name,
    /// How many threads make nonces; one at least.
    pub threads: usize,
    /// The bytes that nonces may take at once. Where they hold two passes of [`NONCES_STEP`], one is made while the other is kept.
    pub memory: u64,
}

impl Makers<'_> {
    /// Makes the groups that begin at `firsts`, and gives them to `keep` pass by pass, on a thread of its own. `told` hears before each pass and after each
    /// group how many groups were made since; where it says no, whole steps of [`NONCES_STEP`] that are made are still kept, and the work ends.
    pub fn run(
        &self,
        firsts: &mut dyn Iterator<Item = u64>,
        told: &(dyn Fn(u64) -> bool + Sync),
        mut keep: impl FnMut(&Pass) -> Result<(), Problem> + Send,
    ) -> Result<(), Problem> {
        let (made, to_keep) = channel::<Pass>();
        let (kept, idle) = channel::<Pass>();
        let steps = usize::try_from(self.memory / NONCE_BYTES as u64 / NONCES_STEP).unwrap_or(usize::MAX);
        let passes = if steps < 2 { 1 } else { 2 };
        let groups = (steps / passes).max(1) * STEP_GROUPS;
        (0..passes).for_each(|_| _ = kept.send(Pass::default()));
        let keeping = move || -> Result<(), Problem> {
            for pass in to_keep {
                keep(&pass)?;
                // Whoever makes them may have ended.
                let _ = kept.send(pass);
            }
            Ok(())
        };
        thread::scope(|scope| {
            let keeper = scope.spawn(keeping);
            let ended = self.make_all(firsts, groups, told, (idle, made));
            keeper.join().map_err(|_| Problem::Panic)?.and(ended)
        })
    }

    fn make_all(
        &self,
        firsts: &mut dyn Iterator<Item = u64>,
        groups: usize,
        told: &(dyn Fn(u64) -> bool + Sync),
        (idle, made): (Receiver<Pass>, Sender<Pass>),
    ) -> Result<(), Problem> {
        loop {
            // Where the keeper failed, it says why.
            let Ok(mut pass) = idle.recv() else { return Ok(()) };
            pass.firsts = firsts.take(groups).collect();
            if pass.firsts.is_empty() {
                return Ok(());
            }
            if !told(0) {
                return Err(Problem::Interrupted);
            }
            let asked = pass.firsts.len();
            let done = self.make(&mut pass, told)?;
            let whole = if done < asked { done / STEP_GROUPS * STEP_GROUPS } else { done };
            pass.firsts.truncate(whole);
            if made.send(pass).is_err() {
                return Ok(());
            }
            if whole < asked {
                return Err(Problem::Interrupted);
            }
        }
    }

    /// Makes the groups of a pass on all threads. Returns how many are made: fewer than asked for where it does not go on.
    fn make(&self, pass: &mut Pass, told: &(dyn Fn(u64) -> bool + Sync)) -> Result<usize, Problem> {
        let all = pass.firsts.len();
        if pass.groups.len() < all {
            pass.groups.resize_with(all, || vec![0; GROUP * NONCE_BYTES]);
        }
        let (queue, is_over) = (Mutex::new(pass.firsts.iter().zip(&mut pass.groups)), AtomicBool::new(false));
        let work = || {
            let mut done = 0;
            while !is_over.load(Ordering::Relaxed) {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((first, group)) = next else { break };
                make_group(self.engine, self.name.account, self.name.start + first, group);
                done += 1;
                if !told(1) {
                    is_over.store(true, Ordering::Relaxed);
                }
            }
            done
        };
        thread::scope(|scope| {
            let running: Vec<_> = (0..self.threads.clamp(1, all)).map(|_| scope.spawn(work)).collect();
            let ended: Vec<_> = running.into_iter().map(|thread| thread.join().map_err(|_| Problem::Panic)).collect();
            // Groups are taken in order, and each that is taken is made.
            ended.into_iter().sum()
        })
    }
}

impl Pass {
    /// Returns how many nonces there are, in whole groups.
    pub fn nonces(&self) -> u64 {
        (self.firsts.len() * GROUP) as u64
    }

    fn groups(&self) -> &[Vec<u8>] {
        &self.groups[..self.firsts.len()]
    }

    /// Writes each scoop of all groups in one piece. They follow one another in the plot.
    pub fn write(&self, file: &File, name: Name, told: Told<'_>) -> Result<(), Problem> {
        let Some(first) = self.firsts.first() else { return Ok(()) };
        for scoop in 0..SCOOPS {
            let pieces: Vec<&[u8]> = self.groups().iter().map(|group| &group[scoop * PIECE..][..PIECE]).collect();
            let mut offset = name.at(scoop as u64, *first);
            for pieces in pieces.chunks(PIECES_MAX) {
                write_pieces(file, pieces, offset)?;
                offset += (pieces.len() * PIECE) as u64;
            }
            told(scoop as u64 + 1)?;
        }
        Ok(())
    }

    /// Reads what lies in the file, past the cache and from its beginning to its end, and compares. Groups that follow one another are read at once.
    pub fn compare(&self, reading: &Reading, name: Name, told: Told<'_>) -> Result<(), Problem> {
        let follows = |two: &(&u64, &u64)| *two.1 == *two.0 + GROUP as u64;
        let mut runs = Vec::new();
        let mut from = 0;
        for (last, two) in self.firsts.iter().zip(self.firsts.iter().skip(1)).enumerate() {
            if !follows(&two) {
                runs.push(from..last + 1);
                from = last + 1;
            }
        }
        runs.push(from..self.firsts.len());
        let longest = runs.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
        let mut buffer = Buffer::new((longest * PIECE + SECTOR).next_multiple_of(SECTOR));
        for scoop in 0..SCOOPS {
            for run in &runs {
                let Some(first) = self.firsts.get(run.start) else { continue };
                // The last group of a plot by others may be cut short.
                let nonces = (run.len() * GROUP).min(usize::try_from(name.nonces - first).unwrap_or(usize::MAX));
                let offset = name.at(scoop as u64, *first);
                let found = reading.read_any(&mut buffer, offset, nonces * SCOOP_BYTES)?;
                let pairs = found.chunks(PIECE).zip(&self.groups()[run.clone()]).enumerate();
                for (place, (found, group)) in pairs {
                    let want = &group[scoop * PIECE..][..found.len()];
                    if found != want {
                        let byte = found.iter().zip(want).take_while(|(found, want)| found == want).count();
                        let offset = offset + (place * PIECE + byte) as u64;
                        return Err(Problem::Wrong { what: "scoops", offset });
                    }
                }
            }
            told(scoop as u64 + 1)?;
        }
        Ok(())
    }
}

/// Makes [`GROUP`] nonces, scoop by scoop, whatever the lanes.
fn make_group(engine: &dyn SpaceEngine, account: u64, first: u64, group: &mut [u8]) {
    let lanes = engine.lanes();
    if lanes == GROUP {
        return engine.nonces(account, first, group);
    }
    let mut some = vec![0; lanes * NONCE_BYTES];
    for part in 0..GROUP / lanes {
        engine.nonces(account, first + (part * lanes) as u64, &mut some);
        for (scoop, made) in some.chunks(lanes * SCOOP_BYTES).enumerate() {
            let at = scoop * PIECE + part * lanes * SCOOP_BYTES;
            group[at..at + made.len()].copy_from_slice(made);
        }
    }
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
