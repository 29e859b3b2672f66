//! Reads plain plots: checks them against what their key and seed give, shows their leaves, and proves that one is there.

use super::format::{HEADER_BYTES, Header};
use crate::disk::{self, Buffer, READ, Reading};
use crate::error::{PlotError, Problem};
use crate::tree::{self, Node, SUBTREE, SUBTREE_LEVELS};
use adit_primitives::space::{LEAF_BYTES, SpaceEngine};
use std::io;
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// A finished plot.
#[derive(Debug)]
pub struct PlainPlot {
    path: PathBuf,
    header: Header,
}

/// What shows that a leaf is in a plot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    pub leaf: Node,
    pub index: u64,
    /// The node beside the leaf's own on each level, from the lowest.
    pub path: Vec<Node>,
}

impl PlainPlot {
    /// Opens a plot, finished or not: see [`Header::is_finished`]. Reads the header alone.
    pub(crate) fn open(path: &Path) -> Result<Self, Problem> {
        let file = disk::open(path)?;
        let mut bytes = [0; HEADER_BYTES];
        let length = file.metadata()?.len();
        if length < HEADER_BYTES as u64 {
            return Err(Problem::Foreign);
        }
        file.read_exact_at(&mut bytes, 0)?;
        let header = Header::from_bytes(&bytes)?;
        let expected = header.layout().bytes();
        if length != expected {
            return Err(Problem::Length { found: length, expected });
        }
        Ok(Self { path: path.to_owned(), header })
    }

    /// Opens a plot that can be farmed.
    ///
    /// # Errors
    /// Where it is not finished, not whole or no plot.
    pub fn finished(path: &Path) -> Result<Self, PlotError> {
        let plot = Self::open(path).map_err(|problem| problem.at(path))?;
        if plot.header.is_finished() {
            return Ok(plot);
        }
        let bytes = |leaves: u64| leaves * LEAF_BYTES as u64;
        Err(Problem::Unfinished { done: bytes(plot.header.made), all: bytes(plot.header.leaves) }.at(path))
    }

    /// Returns what the header says.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Makes every leaf and node again and compares. `told` hears the bytes of leaves that are done, and may end it.
    pub fn check(
        &self,
        engine: &dyn SpaceEngine,
        threads: usize,
        told: &(dyn Fn(u64) -> Result<(), Problem> + Sync),
    ) -> Result<(), Problem> {
        let subtrees = READ / LEAF_BYTES / usize::try_from(SUBTREE).expect("a thousand");
        let (next, done, ended) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
        let id = self.header.id();
        let work = || -> Result<Vec<(u64, Vec<u8>)>, Problem> {
            let (reading, mut buffer, mut want) = (Reading::open(&self.path)?, Buffer::new(READ), vec![0; READ]);
            let mut nodes = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                let first = next.fetch_add(subtrees as u64 * SUBTREE, Ordering::Relaxed);
                if first >= self.header.leaves {
                    break;
                }
                let count = usize::try_from((self.header.leaves - first).min(READ as u64 / LEAF_BYTES as u64));
                let bytes = count.expect("a mebibyte of leaves") * LEAF_BYTES;
                let offset = self.header.layout().leaf(first);
                reading.read(&mut buffer, offset, bytes)?;
                let (found, want) = (&buffer.bytes()[..bytes], &mut want[..bytes]);
                engine.leaves(&id, first, want);
                if let Some(place) = found.iter().zip(&*want).position(|(found, want)| found != want) {
                    return Err(Problem::Wrong { what: "leaves", offset: offset + place as u64 });
                }
                let each = usize::try_from(SUBTREE).expect("a thousand") * LEAF_BYTES;
                nodes.push((
                    first / SUBTREE,
                    found.chunks(each).flat_map(|leaves| tree::subtree(engine, leaves)).collect(),
                ));
                told(done.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64)?;
            }
            Ok(nodes)
        };
        let parts = thread::scope(|scope| {
            // One that fails ends all.
            let watched = || work().inspect_err(|_| ended.store(true, Ordering::Relaxed));
            let running: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(watched)).collect();
            running.into_iter().map(|thread| thread.join().map_err(|_| Problem::Panic)?).collect::<Vec<_>>()
        });
        let mut nodes: Vec<(u64, Vec<u8>)> = Vec::new();
        for part in parts {
            nodes.extend(part?);
        }
        nodes.sort_unstable_by_key(|(first, _)| *first);
        self.check_nodes(engine, nodes.into_iter().flat_map(|(_, nodes)| nodes).collect())
    }

    /// Compares the kept levels with those over the lowest.
    fn check_nodes(&self, engine: &dyn SpaceEngine, mut nodes: Vec<u8>) -> Result<(), Problem> {
        let (file, layout) = (disk::open(&self.path)?, self.header.layout());
        for level in layout.levels() {
            if level > SUBTREE_LEVELS {
                nodes = tree::next_level(engine, level - 1, &nodes);
            }
            let (mut found, offset) = (vec![0; nodes.len()], layout.node(level, 0));
            file.read_exact_at(&mut found, offset)?;
            if let Some(place) = found.iter().zip(&nodes).position(|(found, want)| found != want) {
                return Err(Problem::Wrong { what: "nodes", offset: offset + place as u64 });
            }
        }
        let root_is_right = nodes[..] == self.header.root;
        if root_is_right { Ok(()) } else { Err(Problem::Wrong { what: "header's root", offset: 96 }) }
    }

    /// Shows leaves to `visit`, some at a time with the number of the first, on so many threads: see [`disk::stream`].
    pub fn show(
        &self,
        leaves: Range<u64>,
        threads: usize,
        visit: &(dyn Fn(u64, &[u8]) -> ControlFlow<()> + Sync),
    ) -> io::Result<()> {
        let (from, layout) = (self.header.layout().leaf(0), self.header.layout());
        let part = layout.leaf(leaves.start)..layout.leaf(leaves.end.min(self.header.leaves));
        disk::stream(&self.path, part, LEAF_BYTES, threads, &|at, bytes| visit((at - from) / LEAF_BYTES as u64, bytes))
    }

    /// Proves that a leaf is in the plot: reads its subtree and one node on each level above.
    pub fn prove(&self, engine: &dyn SpaceEngine, index: u64) -> Result<Proof, Problem> {
        let (file, layout) = (disk::open(&self.path)?, self.header.layout());
        let first = index / SUBTREE * SUBTREE;
        let mut nodes = vec![0; usize::try_from(SUBTREE).expect("a thousand") * LEAF_BYTES];
        file.read_exact_at(&mut nodes, layout.leaf(first))?;
        let node = |nodes: &[u8], at: u64| -> Node {
            let at = usize::try_from(at).expect("a subtree fits memory") * LEAF_BYTES;
            *nodes[at..].first_chunk().expect("the node is there")
        };
        let leaf = node(&nodes, index - first);
        let mut path = Vec::new();
        for level in 0..SUBTREE_LEVELS {
            path.push(node(&nodes, ((index - first) >> level) ^ 1));
            nodes = tree::next_level(engine, level, &nodes);
        }
        for level in SUBTREE_LEVELS..tree::height(self.header.leaves) {
            let beside = (index >> level) ^ 1;
            let mut found = tree::missing(level);
            if beside < tree::width(self.header.leaves, level) {
                file.read_exact_at(&mut found, layout.node(level, beside))?;
            }
            path.push(found);
        }
        let proof = Proof { leaf, index, path };
        let mut made = [0; LEAF_BYTES];
        engine.leaves(&self.header.id(), index, &mut made);
        // A plot that rotted since it was checked proves nothing, and a tree over leaves that were made up neither.
        if made == leaf && tree::root_of(&proof.leaf, index, &proof.path) == self.header.root {
            Ok(proof)
        } else {
            Err(Problem::Wrong { what: "leaves", offset: layout.leaf(first) })
        }
    }
}
