//! Which plots the chain has registered, and which wait for a block that registers them: for chains whose plots must be.
//!
//! What is registered follows from the headers of the selected chain. It is read when somebody asks, some blocks at a time, and from there on only what is
//! new; a change of branches is followed back. What waits is kept in memory alone: a farmer says it again when it comes back. Whoever has more
//! wait than others makes room first, and everybody's come in turn.

use adit_chain::{ChainReader, PageLimits};
use adit_primitives::contract::space::Registration;
use adit_primitives::engine::{Fault, RulesEngine};
use adit_primitives::storage::StorageError;
use adit_primitives::{BlockId, Height};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most plots that wait. Then the oldest goes of whoever has the most.
pub const WAITING_MAX: usize = 1_024;

/// How much of the chain is read at once, and how often for one question: on a long chain the first questions are answered by what was read so far.
const PAGE: PageLimits = PageLimits { blocks_max: 256, bytes_max: 4 << 20 };
const PAGES_MAX: usize = 8;

/// The plots of a chain.
pub struct Plots {
    rules: Arc<dyn RulesEngine>,
    reader: ChainReader,
    registered: Mutex<Registered>,
    waiting: Mutex<Waiting>,
}

/// Plots that wait for a block, by who asked; nobody's address stands for this process. The oldest of each first.
#[derive(Debug, Default)]
struct Waiting(BTreeMap<Option<IpAddr>, VecDeque<Registration>>);

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

    /// Returns the height at which each plot was registered first, on the selected chain as far as it was read. Those that were not wait for a block that
    /// does it from now on. May read the disk and wait for the sandbox: not for async tasks.
    pub fn register(&self, source: Option<IpAddr>, plots: &[Registration]) -> Result<Vec<Option<Height>>, PlotsError> {
        let mut registered = self.registered.lock().unwrap_or_else(PoisonError::into_inner);
        self.catch_up(&mut registered)?;
        let heights: Vec<Option<Height>> = plots.iter().map(|plot| registered.first(plot)).collect();
        let mut waiting = self.waiting();
        waiting.forget(|plot| registered.first(plot).is_some());
        let unknown = plots.iter().zip(&heights).filter(|(_, height)| height.is_none());
        unknown.for_each(|(plot, _)| waiting.add(source, *plot));
        Ok(heights)
    }

    /// Returns plots that wait, at most `max`: one of everybody who asked, then the next of everybody.
    pub fn waiting_first(&self, max: usize) -> Vec<Registration> {
        self.waiting().in_turn(max)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what the selected chain has registered since it was read.
    fn catch_up(&self, registered: &mut Registered) -> Result<(), PlotsError> {
        let space = self.rules.space().ok_or(PlotsError::NotNeeded)?;
        registered.go_back(|height, id| self.reader.id_at(height) == Some(id));
        for _ in 0..PAGES_MAX {
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
        Ok(())
    }
}

impl Waiting {
    fn add(&mut self, source: Option<IpAddr>, plot: Registration) {
        if self.0.values().any(|plots| plots.contains(&plot)) {
            return;
        }
        self.0.entry(source).or_default().push_back(plot);
        if self.0.values().map(VecDeque::len).sum::<usize>() > WAITING_MAX
            && let Some(most) = self.0.values_mut().max_by_key(|plots| plots.len())
        {
            most.pop_front();
        }
    }

    fn forget(&mut self, is_over: impl Fn(&Registration) -> bool) {
        self.0.values_mut().for_each(|plots| plots.retain(|plot| !is_over(plot)));
        self.0.retain(|_, plots| !plots.is_empty());
    }

    fn in_turn(&self, max: usize) -> Vec<Registration> {
        let longest = self.0.values().map(VecDeque::len).max().unwrap_or(0);
        let turns = (0..longest).flat_map(|turn| self.0.values().filter_map(move |plots| plots.get(turn)));
        turns.take(max).copied().collect()
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
    fn whoever_asks_for_much_makes_room_and_waits_its_turn() {
        let many = |number: u64| Registration { leaves: number, ..plot(1) };
        let (spammer, farmer) = (Some(IpAddr::from([192, 0, 2, 1])), Some(IpAddr::from([192, 0, 2, 2])));
        let mut waiting = Waiting::default();
        waiting.add(farmer, plot(7));
        (0..2 * WAITING_MAX as u64).for_each(|number| waiting.add(spammer, many(number)));
        waiting.add(None, plot(8));
        assert_eq!(waiting.0.values().map(VecDeque::len).sum::<usize>(), WAITING_MAX);
        let first = waiting.in_turn(4);
        assert!(first[..3].contains(&plot(7)) && first[..3].contains(&plot(8)), "{first:?}");
        waiting.forget(|plot| plot.leaves != 1_024);
        assert_eq!(waiting.in_turn(9), [plot(8), plot(7)]);
    }

    #[test]
    fn nothing_goes_back_where_the_chain_only_grew() {
        let mut registered = Registered::default();
        (0..4).for_each(|number| registered.push(id(number), vec![plot(number)]));
        registered.go_back(|height, block| block == id(u8::try_from(height.0).unwrap()));
        assert_eq!(registered.next(), Height(4));
    }
}
