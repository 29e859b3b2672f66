//! The windows of past blocks from which difficulty and median time are computed (KIP-4).
//!
//! The past is counted along the selected chain: for each chain block its selected parent, then the rest of its merge set from the greatest
//! down. Blocks too deep in blue score, and the genesis, are not counted. One of so many that are counted is sampled, and a window is the
//! greatest of all samples. A window belongs to a block, since what that merges is in it.

use crate::colour::{Candidate, Coloured, rank};
use crate::config::{Config, Difficulty};
use crate::past::{Block, Past};
use adit_plugin_sdk::{BlockId, Stamp, Target, Violation};
use ruint::Uint;
use std::sync::Arc;

/// Wide enough for every sum of targets, times what it took to find them.
pub type Wide = Uint<512, 8>;

/// How blocks are counted and sampled.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sampling {
    /// How deep in blue score a block still counts. `None`: at any depth.
    pub depth: Option<u64>,
    pub difficulty: Option<Sample>,
    pub median: Option<Sample>,
}

/// One of `rate` counted blocks, `size` of them.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub size: usize,
    pub rate: u64,
}

/// A window: the greatest samples, in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    blocks: Vec<Stamp>,
    /// The sum of their targets.
    targets: Wide,
}

/// The windows of a block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Windows {
    pub difficulty: Window,
    pub median: Window,
}

/// The samples among what one block merges, from the greatest down.
struct Samples {
    difficulty: Vec<Stamp>,
    median: Vec<Stamp>,
    /// How many blocks count.
    counted: u64,
}

impl Sampling {
    /// Reads the rules of a configuration.
    pub fn new(config: &Config) -> Self {
        let sample = |size: u32, rate: u32| Sample { size: size as usize, rate: rate.into() };
        let window = match &config.difficulty {
            Difficulty::Window(window) => Some(window),
            Difficulty::Fixed => None,
        };
        Self {
            depth: window.map(|window| u64::from(window.size) * u64::from(window.sample_rate)),
            difficulty: window.map(|window| sample(window.size, window.sample_rate)),
            median: config.median_time.map(|median| sample(median.size, median.sample_rate)),
        }
    }

    /// Tells how many of the blocks that a block merges count, and returns the block's windows.
    pub fn after(&self, past: &mut Past<'_>, coloured: &Coloured) -> Result<(u64, Windows), Violation> {
        let merged = coloured.merged.iter().rev().map(|Candidate { stamp, .. }| stamp);
        let samples = self.samples(&coloured.selected, coloured.blue_score(), merged);
        let counted = samples.counted;
        if self.difficulty.is_none() && self.median.is_none() {
            return Ok((counted, Windows::default()));
        }
        let below = self.of(past, &coloured.selected)?;
        let extend = |window: &Window, sample: Option<Sample>, found| match sample {
            Some(sample) => window.with(found, sample.size),
            None => Window::default(),
        };
        let windows = Windows {
            difficulty: extend(&below.difficulty, self.difficulty, samples.difficulty),
            median: extend(&below.median, self.median, samples.median),
        };
        Ok((counted, windows))
    }

    /// Returns the windows of a placed block.
    fn of(&self, past: &mut Past<'_>, block: &Block) -> Result<Arc<Windows>, Violation> {
        if let Some(windows) = past.memory.windows(block.stamp.id) {
            return Ok(windows);
        }
        let windows = Arc::new(self.read(past, block.stamp.id)?);
        past.memory.keep_windows(block.stamp.id, Arc::clone(&windows));
        Ok(windows)
    }

    /// Collects the windows of a placed block along its selected chain.
    fn read(&self, past: &Past<'_>, id: BlockId) -> Result<Windows, Violation> {
        let (mut difficulty, mut median) = (Vec::new(), Vec::new());
        for piece in past.chain(id) {
            let piece = piece?;
            let merged = piece.windows(2).flat_map(|pair| &pair[0].merge_set);
            let merged: Vec<BlockId> = merged.map(|merged| merged.id).collect();
            let mut stamps = past.stamps(&merged)?.into_iter();
            for (above, below) in std::iter::zip(&piece, piece.iter().skip(1)) {
                let (block, selected) = (&above.block, &below.block);
                let merged: Vec<Stamp> = stamps.by_ref().take(above.merge_set.len()).collect();
                let samples = self.samples(selected, block.stamp.height.0, merged.iter().rev());
                difficulty.extend(samples.difficulty);
                median.extend(samples.median);
                if is_full(&difficulty, self.difficulty, selected) && is_full(&median, self.median, selected) {
                    return Ok(self.windows(difficulty, median));
                }
            }
        }
        Ok(self.windows(difficulty, median))
    }

    fn windows(&self, difficulty: Vec<Stamp>, median: Vec<Stamp>) -> Windows {
        let window = |samples, sample: Option<Sample>| match sample {
            Some(sample) => Window::default().with(samples, sample.size),
            None => Window::default(),
        };
        Windows { difficulty: window(difficulty, self.difficulty), median: window(median, self.median) }
    }

    /// Counts and samples what a block of this blue score merges: its selected parent, then the others from the greatest down.
    fn samples<'a>(&self, selected: &'a Block, blue_score: u64, merged: impl Iterator<Item = &'a Stamp>) -> Samples {
        let mut samples = Samples { difficulty: Vec::new(), median: Vec::new(), counted: 0 };
        if selected.selected_parent.is_none() {
            return samples;
        }
        let lowest = self.depth.map_or(0, |depth| blue_score.saturating_sub(depth));
        for stamp in std::iter::once(&selected.stamp).chain(merged).filter(|stamp| stamp.height.0 >= lowest) {
            samples.counted += 1;
            let number = selected.notes.daa_score + samples.counted;
            let taken = |sample: Option<Sample>| sample.is_some_and(|sample| number.is_multiple_of(sample.rate));
            if taken(self.difficulty) {
                samples.difficulty.push(*stamp);
            }
            if taken(self.median) {
                samples.median.push(*stamp);
            }
        }
        samples
    }
}

impl Window {
    /// Returns the window's blocks, in ascending order.
    pub fn blocks(&self) -> &[Stamp] {
        &self.blocks
    }

    /// Returns the sum of the blocks' targets.
    pub fn targets(&self) -> Wide {
        self.targets
    }

    /// Returns the window with more samples: the greatest `size` of all.
    fn with(&self, mut samples: Vec<Stamp>, size: usize) -> Self {
        let mut blocks = Vec::with_capacity(self.blocks.len() + samples.len());
        blocks.extend_from_slice(&self.blocks);
        let mut targets = self.targets;
        samples.sort_unstable_by_key(rank);
        for sample in samples {
            // A new sample belongs near the end.
            let below = blocks.iter().rposition(|block| rank(block) < rank(&sample));
            blocks.insert(below.map_or(0, |below| below + 1), sample);
            targets += target(&sample);
        }
        for dropped in blocks.drain(..blocks.len().saturating_sub(size)) {
            targets -= target(&dropped);
        }
        Self { blocks, targets }
    }
}

/// Tells whether no block below a chain block can enter a window any more: it is full, and all in it are greater.
fn is_full(samples: &[Stamp], sample: Option<Sample>, selected: &Block) -> bool {
    let greater = || samples.iter().filter(|stamp| rank(stamp) > rank(&selected.stamp)).count();
    sample.is_none_or(|sample| samples.len() >= sample.size && greater() >= sample.size)
}

fn target(stamp: &Stamp) -> Wide {
    Target::from_compact(stamp.bits).map_or(Wide::ZERO, |target| Wide::from(target.0))
}
