//! Makes plain plots: leaves on all cores, in stretches that are durable before the header says so.
//!
//! A plot in the making has the ending `.part`. Interrupted at any point, it is gone on with where its header says; finished, it is read back and
//! compared, and gets its name only then.

use super::format::{HEADER_BYTES, Header, Layout};
use super::read::PlainPlot;
use crate::collection::Plot;
use crate::disk;
use crate::error::{PlotError, Problem};
use crate::tree::{self, SUBTREE};
use crate::{Progress, Step, finish};
use adit_primitives::space::{LEAF_BYTES, SpaceEngine};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// The ending of a finished plot.
pub const ENDING: &str = "plot";

/// The ending of one that is not.
pub const ENDING_PART: &str = "part";

/// Leaves that a thread makes at once: a mebibyte.
const CHUNK: u64 = 32 * SUBTREE;

/// Leaves between two notes in the header: a quarter of a gibibyte.
const STRETCH: u64 = 256 * CHUNK;

/// What is to be made.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    pub folder: &'a Path,
    /// The owner's public key.
    pub key: [u8; 32],
    /// Random bytes, for a plot that is begun.
    pub seed: [u8; 32],
    /// How large the file may be.
    pub bytes: u64,
    /// How many threads make leaves; one at least.
    pub threads: usize,
    /// Bytes that stay free on the disk.
    pub reserve: u64,
}

/// Makes a plot, or goes on with one of the same key and size that was interrupted in the folder. Returns its file.
pub fn make(order: &Order<'_>, engine: &dyn SpaceEngine, progress: &dyn Progress) -> Result<PathBuf, PlotError> {
    let layout = Layout::within(order.bytes).map_err(|problem| problem.at(order.folder))?;
    std::fs::create_dir_all(order.folder).map_err(|error| Problem::from(error).at(order.folder))?;
    let is_ordered = |plot: &Plot| {
        let Plot::Plain(plot) = plot else { return false };
        plot.header().key == order.key && plot.header().leaves == layout.leaves()
    };
    if let Some(path) = finish::untold(order.folder, &is_ordered, progress)? {
        return Ok(path);
    }
    let mut work = match interrupted(order, layout)? {
        Some(work) => work,
        None => begin(order, layout)?,
    };
    let finished = work.run(order, engine, progress).and_then(|()| finish::finish(&work.path, progress));
    finished.map_err(|problem| problem.at(&work.path))
}

/// Looks for a plot that was interrupted. One that another process works on is not taken.
fn interrupted(order: &Order<'_>, layout: Layout) -> Result<Option<Work>, PlotError> {
    let failed = |error: io::Error| Problem::from(error).at(order.folder);
    for entry in std::fs::read_dir(order.folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_part = path.to_string_lossy().ends_with(&format!(".{ENDING}.{ENDING_PART}"));
        if let Some(work) = is_part.then(|| Work::open(path).ok()).flatten()
            && work.header.key == order.key
            && work.header.leaves == layout.leaves()
        {
            work.take_room(order)?;
            return Ok(Some(work));
        }
    }
    Ok(None)
}

fn begin(order: &Order<'_>, layout: Layout) -> Result<Work, PlotError> {
    disk::check_room(order.folder, layout.bytes(), order.reserve)?;
    let header = Header { key: order.key, seed: order.seed, leaves: layout.leaves(), made: 0, root: [0; 32] };
    let name: String = header.id()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let path = order.folder.join(format!("{name}.{ENDING}.{ENDING_PART}"));
    let begin = || -> Result<Work, Problem> {
        if path.exists() {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists).into());
        }
        // The header comes before the room: whatever takes room says what it is.
        disk::write_whole(&path, &header.to_bytes())?;
        Work::open(path.clone())
    };
    let work = begin().map_err(|problem| problem.at(&path))?;
    work.take_room(order)?;
    Ok(work)
}

/// A plot in the making, locked.
struct Work {
    file: File,
    path: PathBuf,
    header: Header,
}

impl Work {
    fn open(path: PathBuf) -> Result<Self, Problem> {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let mut bytes = [0; HEADER_BYTES];
        file.read_exact_at(&mut bytes, 0)?;
        let header = Header::from_bytes(&bytes)?;
        let (found, expected) = (file.metadata()?.len(), header.layout().bytes());
        // Before the first note it may have had no room yet.
        if found != expected && (header.made > 0 || found > expected) {
            return Err(Problem::Length { found, expected });
        }
        match file.try_lock() {
            Ok(()) => Ok(Self { file, path, header }),
            Err(TryLockError::WouldBlock) => Err(Problem::InUse),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// Takes the room that is missing, where the disk has it.
    fn take_room(&self, order: &Order<'_>) -> Result<(), PlotError> {
        let bytes = self.header.layout().bytes();
        let taken = || -> io::Result<u64> { Ok(self.file.metadata()?.len()) };
        let taken = taken().map_err(|error| Problem::from(error).at(&self.path))?;
        if taken >= bytes {
            return Ok(());
        }
        let take = || {
            disk::take_room(&self.file, bytes)?;
            self.file.sync_all()
        };
        let took = disk::check_room(order.folder, bytes - taken, order.reserve)
            .and_then(|()| take().map_err(|error| Problem::from(error).at(&self.path)));
        if took.is_err() {
            // Room that was taken is given back.
            let _ = std::fs::remove_file(&self.path);
        }
        took
    }

    fn run(&mut self, order: &Order<'_>, engine: &dyn SpaceEngine, progress: &dyn Progress) -> Result<(), Problem> {
        let all = self.header.leaves * LEAF_BYTES as u64;
        let told = |step: Step, done: u64| {
            if progress.done(step, done, all) { Ok(()) } else { Err(Problem::Interrupted) }
        };
        while self.header.made < self.header.leaves {
            told(Step::Plotting, self.header.made * LEAF_BYTES as u64)?;
            let to = self.header.leaves.min(self.header.made + STRETCH);
            // A stretch is short: it is made to its end in any case.
            self.stretch(to, order.threads.max(1), engine, &|done| drop(told(Step::Plotting, done)))?;
            self.file.sync_data()?;
            self.header.made = to;
            self.note()?;
        }
        if !self.header.is_finished() {
            self.header.root = self.raise(engine)?;
            self.file.sync_data()?;
            self.note()?;
        }
        PlainPlot::open(&self.path)?.check(engine, order.threads, &|done| told(Step::ReadingBack, done))
    }

    /// Makes the leaves from what is made on up to `to`, with the nodes over their subtrees. `told` hears the bytes of leaves that are made.
    fn stretch(
        &self,
        to: u64,
        threads: usize,
        engine: &dyn SpaceEngine,
        told: &(dyn Fn(u64) + Sync),
    ) -> Result<(), Problem> {
        let (next, id) = (AtomicU64::new(self.header.made), self.header.id());
        let made = AtomicU64::new(self.header.made * LEAF_BYTES as u64);
        let work = || -> io::Result<()> {
            let mut leaves = vec![0; usize::try_from(CHUNK).expect("a chunk fits memory") * LEAF_BYTES];
            loop {
                let first = next.fetch_add(CHUNK, Ordering::Relaxed);
                if first >= to {
                    return Ok(());
                }
                let count = usize::try_from(CHUNK.min(to - first)).expect("a chunk fits memory");
                let leaves = &mut leaves[..count * LEAF_BYTES];
                engine.leaves(&id, first, leaves);
                self.file.write_all_at(leaves, self.header.layout().leaf(first))?;
                let subtrees = leaves.chunks(usize::try_from(SUBTREE).expect("a thousand") * LEAF_BYTES);
                let nodes: Vec<u8> = subtrees.flat_map(|leaves| tree::subtree(engine, leaves)).collect();
                let at = self.header.layout().node(tree::SUBTREE_LEVELS, first / SUBTREE);
                self.file.write_all_at(&nodes, at)?;
                let more = leaves.len() as u64;
                told(made.fetch_add(more, Ordering::Relaxed) + more);
            }
        };
        thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let ended = running.into_iter().map(|thread| thread.join().map_err(|_| Problem::Panic));
            ended.into_iter().try_for_each(|ended| Ok(ended??))
        })
    }

    /// Makes the levels above the subtrees, and returns the root.
    fn raise(&self, engine: &dyn SpaceEngine) -> Result<tree::Node, Problem> {
        let layout = self.header.layout();
        let lowest = usize::try_from(tree::width(self.header.leaves, tree::SUBTREE_LEVELS)).expect("nodes fit memory");
        let mut nodes = vec![0; lowest * LEAF_BYTES];
        self.file.read_exact_at(&mut nodes, layout.node(tree::SUBTREE_LEVELS, 0))?;
        for level in layout.levels().skip(1) {
            nodes = tree::next_level(engine, level - 1, &nodes);
            self.file.write_all_at(&nodes, layout.node(level, 0))?;
        }
        Ok(*nodes.first_chunk().expect("the highest level is the root"))
    }

    /// Writes the header.
    fn note(&self) -> Result<(), Problem> {
        self.file.write_all_at(&self.header.to_bytes(), 0)?;
        Ok(self.file.sync_data()?)
    }
}
