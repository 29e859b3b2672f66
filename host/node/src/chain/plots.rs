//! Which plots the chain has registered, and which wait for a block that registers them: for chains whose plots must be.
//!
//! What is registered follows from the headers of the selected chain. It is read when somebody asks, and from there on only what is new; a change of
//! branches is followed back. What waits is kept in memory alone: a farmer says it again when it comes back.

use adit_chain::{ChainReader, PageLimits};
use adit_primitives::contract::space::Registration;
use adit_primitives::engine::{Fault, RulesEngine};
use adit_primitives::storage::StorageError;
use adit_primitives::{BlockId, Height};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most plots that wait. Then the oldest goes.
pub const WAITING_MAX: usize = 1_024;

/// How much of the chain is read at once.
const PAGE: PageLimits = PageLimits { blocks_max: 256, bytes_max: 4 << 20 };

/// The plots of a chain.
pub struct Plots {
    rules: Arc<dyn RulesEngine>,
    reader: ChainReader,
    registered: Mutex<Registered>,
    waiting: Mutex<VecDeque<Registration>>,
}

/// What the selected chain has registered, as far as it was read.
#[derive(Debug, Default)]
struct Registered {
    /// The blocks that were read, each at its height, with what it registers.
    blocks: Vec<(BlockId, Vec<Registration>)>,
    /// For each plot the heights at which it was, ascending.
    heights: BTreeMap<Registration, Vec<Height>>,
}

/// Why the chain could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlotsError {
    #[error("the chain's plots need not be registered")]
    NotNeeded,
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Plots {
    pub(super) fn new(rules: Arc<dyn RulesEngine>, reader: ChainReader) -> Self {
        Self { rules, reader, registered: Mutex::default(), waiting: Mutex::default() }
    }

    /// Returns the height at which each plot was registered first, on the selected chain as it is now. Those that were not wait for a block that does it
    /// from now on. May read the disk and wait for the sandbox: not for async tasks.
    pub fn register(&self, plots: &[Registration]) -> Result<Vec<Option<Height>>, PlotsError> {
        let mut registered = self.registered.lock().unwrap_or_else(PoisonError::into_inner);
        self.catch_up(&mut registered)?;
        let heights: Vec<Option<Height>> = plots.iter().map(|plot| registered.first(plot)).collect();
        let mut waiting = self.waiting();
        waiting.retain(|plot| registered.first(plot).is_none());
        for (plot, _) in plots.iter().zip(&heights).filter(|(_, height)| height.is_none()) {
            if !waiting.contains(plot) {
                waiting.push_back(*plot);
            }
        }
        let over = waiting.len().saturating_sub(WAITING_MAX);
        waiting.drain(..over);
        Ok(heights)
    }

    /// Returns plots that wait, the oldest first, at most `max`.
    pub fn waiting_first(&self, max: usize) -> Vec<Registration> {
        self.waiting().iter().take(max).copied().collect()
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Registration>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what the selected chain has registered since it was read.
    fn catch_up(&self, registered: &mut Registered) -> Result<(), PlotsError> {
        let space = self.rules.space().ok_or(PlotsError::NotNeeded)?;
        registered.go_back(|height, id| self.reader.id_at(height) == Some(id));
        loop {
            let page = self.reader.page(registered.next(), PAGE)?;
            if page.is_empty() {
                return Ok(());
            }
            for (indexed, block) in page {
                // The chain changed its branch meanwhile: the next question follows it.
                let stands_on = registered.blocks.last().map(|(id, _)| *id);
                if indexed.known.height != registered.next() || indexed.known.selected_parent != stands_on {
                    return Ok(());
                }
                // The genesis has no claim, and registers nothing.
                let plots = space.registered(&block.header)?.unwrap_or_default();
                registered.push(indexed.known.id, plots);
            }
        }
    }
}

impl Registered {
    fn first(&self, plot: &Registration) -> Option<Height> {
        self.heights.get(plot)?.first().copied()
    }

    /// Returns the height of the next block to read.
    fn next(&self) -> Height {
        Height(self.blocks.len() as u64)
    }

    fn push(&mut self, id: BlockId, plots: Vec<Registration>) {
        let height = self.next();
        plots.iter().for_each(|plot| self.heights.entry(*plot).or_default().push(height));
        self.blocks.push((id, plots));
    }

    /// Forgets blocks, the newest first, until one is on the selected chain.
    fn go_back(&mut self, is_selected: impl Fn(Height, BlockId) -> bool) {
        while let Some((id, plots)) = self.blocks.pop() {
            let height = self.next();
            if is_selected(height, id) {
                self.blocks.push((id, plots));
                return;
            }
            for plot in plots {
                if let Some(heights) = self.heights.get_mut(&plot) {
                    heights.retain(|other| *other < height);
                    if heights.is_empty() {
                        self.heights.remove(&plot);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use adit_primitives::Hash256;

    fn plot(number: u8) -> Registration {
        let hash = Hash256([number; 32]);
        Registration { key: hash, seed: hash, leaves: 1_024, root: hash }
    }

    fn id(number: u8) -> BlockId {
        BlockId([number; 32])
    }

    #[test]
    fn a_plot_stands_at_its_first_height_until_that_block_goes() {
        let mut registered = Registered::default();
        registered.push(id(0), vec![]);
        registered.push(id(1), vec![plot(1), plot(2)]);
        registered.push(id(2), vec![plot(1)]);
        let heights = |registered: &Registered| [1, 2, 3].map(|number| registered.first(&plot(number)).map(|at| at.0));
        assert_eq!(heights(&registered), [Some(1), Some(1), None]);
        registered.go_back(|_, block| block != id(2));
        assert_eq!((heights(&registered), registered.next()), ([Some(1), Some(1), None], Height(2)));
        registered.go_back(|_, block| block == id(0));
        assert_eq!((heights(&registered), registered.next()), ([None, None, None], Height(1)));
        registered.push(id(9), vec![plot(3)]);
        assert_eq!(heights(&registered), [None, None, Some(1)]);
    }

    #[test]
    fn nothing_goes_back_where_the_chain_only_grew() {
        let mut registered = Registered::default();
        (0..4).for_each(|number| registered.push(id(number), vec![plot(number)]));
        registered.go_back(|height, block| block == id(u8::try_from(height.0).unwrap()));
        assert_eq!(registered.next(), Height(4));
    }
}
