//! Blocks that cannot be judged yet: their parent is missing, or their time has not come.
//!
//! One whose parent comes is ready: it waits on, within the same bounds, until somebody checks it.
//!
//! Bounded: where there is no room, the oldest block of the source that takes the most room goes, so that no source pushes out more than its own
//! once all have equal shares.

use crate::{Block, OrphanLimits};
use adit_primitives::{BlockId, Hash256, Timestamp};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The blocks that wait.
#[derive(Debug)]
pub(crate) struct Waiting {
    limits: OrphanLimits,
    /// By order of arrival.
    blocks: BTreeMap<u64, WaitingBlock>,
    ids: BTreeMap<BlockId, u64>,
    for_parent: BTreeSet<(BlockId, u64)>,
    for_time: BTreeSet<(Timestamp, u64)>,
    ready: usize,
    /// Those that nobody named are of one source. No more sources than blocks.
    sources: BTreeMap<Option<u64>, Share>,
    bytes: usize,
    arrivals: u64,
}

/// A block that has waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waited {
    pub block: Block,
    /// Who offered it, as far as that was said.
    pub source: Option<u64>,
    /// The digest of its proof of work, where it has been computed.
    pub(crate) pow: Option<Hash256>,
}

#[derive(Debug)]
struct WaitingBlock {
    id: BlockId,
    waited: Waited,
    bytes: usize,
    until: Until,
}

/// What waits of one source.
#[derive(Debug, Default)]
struct Share {
    arrivals: BTreeSet<u64>,
    /// Those that are ready.
    ready: BTreeSet<u64>,
    bytes: usize,
}

/// What a block waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    Parent(BlockId),
    Time(Timestamp),
    Check,
}

impl Waiting {
    pub(crate) fn new(limits: OrphanLimits) -> Self {
        Self {
            limits,
            blocks: BTreeMap::new(),
            ids: BTreeMap::new(),
            for_parent: BTreeSet::new(),
            for_time: BTreeSet::new(),
            ready: 0,
            sources: BTreeMap::new(),
            bytes: 0,
            arrivals: 0,
        }
    }

    /// Lets a block wait. One that waits already, or is larger than all the room, is left out. Returns whether it waits.
    pub(crate) fn add(&mut self, id: BlockId, waited: Waited, until: Until) -> bool {
        let bytes = waited.block.size();
        if bytes > self.limits.bytes_max || self.limits.blocks_max == 0 {
            return false;
        }
        if self.ids.contains_key(&id) {
            return true;
        }
        self.arrivals += 1;
        let arrival = self.arrivals;
        self.ids.insert(id, arrival);
        let share = self.sources.entry(waited.source).or_default();
        share.arrivals.insert(arrival);
        share.bytes += bytes;
        match until {
            Until::Parent(parent) => drop(self.for_parent.insert((parent, arrival))),
            Until::Time(time) => drop(self.for_time.insert((time, arrival))),
            Until::Check => {
                share.ready.insert(arrival);
                self.ready += 1;
            }
        }
        self.blocks.insert(arrival, WaitingBlock { id, waited, bytes, until });
        self.bytes += bytes;
        self.make_room();
        self.ids.contains_key(&id)
    }

    /// Changes how much may wait.
    pub(crate) fn set_limits(&mut self, limits: OrphanLimits) {
        self.limits = limits;
        self.make_room();
    }

    fn make_room(&mut self) {
        while self.blocks.len() > self.limits.blocks_max || self.bytes > self.limits.bytes_max {
            let many = self.blocks.len() > self.limits.blocks_max;
            let room = |share: &Share| if many { share.arrivals.len() } else { share.bytes };
            // Of equals, the one whose oldest is the oldest of all.
            let greediest =
                self.sources.values().max_by_key(|share| (room(share), Reverse(share.arrivals.first().copied())));
            let oldest = greediest.and_then(|share| share.arrivals.first().copied());
            if oldest.and_then(|oldest| self.take(oldest)).is_none() {
                break;
            }
        }
    }

    /// Makes the blocks that waited for a parent ready.
    pub(crate) fn free(&mut self, parent: BlockId) {
        for arrival in self.above(parent) {
            self.for_parent.remove(&(parent, arrival));
            let Some(waiting) = self.blocks.get_mut(&arrival) else { continue };
            waiting.until = Until::Check;
            self.ready += 1;
            if let Some(share) = self.sources.get_mut(&waiting.waited.source) {
                share.ready.insert(arrival);
            }
        }
    }

    /// Tells whether blocks are ready to be checked.
    pub(crate) fn has_ready(&self) -> bool {
        self.ready > 0
    }

    /// Takes up to `max` blocks that are ready: of each source the oldest, then of each the next.
    pub(crate) fn take_ready(&mut self, max: usize) -> Vec<Waited> {
        let mut taken = Vec::new();
        while self.has_ready() && taken.len() < max {
            let oldest = self.sources.values().filter_map(|share| share.ready.first().copied());
            let oldest: BTreeSet<u64> = oldest.collect();
            taken.extend(self.take_all(oldest.into_iter().take(max - taken.len())));
        }
        taken
    }

    /// Takes the blocks whose time has come, earliest first.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Vec<Waited> {
        let arrivals: Vec<u64> = self.for_time.range(..=(now, u64::MAX)).map(|(_, arrival)| *arrival).collect();
        self.take_all(arrivals)
    }

    fn take_all(&mut self, arrivals: impl IntoIterator<Item = u64>) -> Vec<Waited> {
        arrivals.into_iter().filter_map(|arrival| self.take(arrival)).map(|waiting| waiting.waited).collect()
    }

    /// Returns what waits for a parent, oldest first.
    fn above(&self, parent: BlockId) -> Vec<u64> {
        self.for_parent.range((parent, 0)..=(parent, u64::MAX)).map(|(_, arrival)| *arrival).collect()
    }

    /// Drops what waits for a block that turned out invalid, and what waits for that.
    pub(crate) fn drop_above(&mut self, parent: BlockId) {
        let mut open = vec![parent];
        while let Some(parent) = open.pop() {
            let above = self.above(parent);
            open.extend(above.into_iter().filter_map(|arrival| self.take(arrival)).map(|waiting| waiting.id));
        }
    }

    /// Drops all that waits of one source.
    pub(crate) fn drop_source(&mut self, source: Option<u64>) {
        let arrivals = self.sources.get(&source).map(|share| share.arrivals.clone());
        self.take_all(arrivals.unwrap_or_default());
    }

    /// Returns how many blocks wait, and their bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.blocks.len(), self.bytes)
    }

    fn take(&mut self, arrival: u64) -> Option<WaitingBlock> {
        let waiting = self.blocks.remove(&arrival)?;
        match waiting.until {
            Until::Parent(parent) => drop(self.for_parent.remove(&(parent, arrival))),
            Until::Time(time) => drop(self.for_time.remove(&(time, arrival))),
            Until::Check => self.ready -= 1,
        }
        self.ids.remove(&waiting.id);
        self.bytes -= waiting.bytes;
        if let Some(share) = self.sources.get_mut(&waiting.waited.source) {
            share.arrivals.remove(&arrival);
            share.ready.remove(&arrival);
            share.bytes -= waiting.bytes;
            if share.arrivals.is_empty() {
                self.sources.remove(&waiting.waited.source);
            }
        }
        Some(waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(blocks_max: usize) -> Waiting {
        Waiting::new(OrphanLimits { blocks_max, bytes_max: 1000, early_ms_max: 0, fork_depth_max: 0 })
    }

    fn block(byte: u8) -> (BlockId, Block) {
        (BlockId([byte; 32]), Block { header: vec![byte; 80], body: Vec::new() })
    }

    fn add(waiting: &mut Waiting, byte: u8, until: Until) {
        add_from(waiting, byte, until, None);
    }

    fn add_from(waiting: &mut Waiting, byte: u8, until: Until, source: Option<u64>) {
        let (id, block) = block(byte);
        assert!(waiting.add(id, waited(block, source), until));
    }

    fn waited(block: Block, source: Option<u64>) -> Waited {
        Waited { block, source, pow: None }
    }

    fn blocks(taken: Vec<Waited>) -> Vec<Block> {
        taken.into_iter().map(|waited| waited.block).collect()
    }

    /// Takes all that waited for a parent.
    fn take_children(waiting: &mut Waiting, parent: BlockId) -> Vec<Waited> {
        waiting.free(parent);
        let ready = waiting.take_ready(usize::MAX);
        assert!(!waiting.has_ready());
        ready
    }

    #[test]
    fn the_oldest_goes_when_there_is_no_room() {
        let mut waiting = waiting(2);
        (1..=3).for_each(|byte| add(&mut waiting, byte, Until::Parent(BlockId([9; 32]))));
        assert_eq!(blocks(take_children(&mut waiting, BlockId([9; 32]))), [block(2).1, block(3).1]);
        assert_eq!(waiting.size(), (0, 0));
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mut waiting = waiting(100);
        (1..=50).for_each(|byte| add(&mut waiting, byte, Until::Parent(BlockId([99; 32]))));
        assert!(waiting.size().1 <= 1000);
        let huge = Block { header: vec![0; 2000], body: Vec::new() };
        assert!(!waiting.add(BlockId([77; 32]), waited(huge, None), Until::Time(Timestamp::from_millis(1))));
    }

    #[test]
    fn a_block_is_taken_when_its_time_has_come() {
        let mut waiting = waiting(5);
        add(&mut waiting, 1, Until::Time(Timestamp::from_millis(10)));
        assert!(waiting.take_due(Timestamp::from_millis(9)).is_empty());
        assert_eq!(blocks(waiting.take_due(Timestamp::from_millis(10))), [block(1).1]);
    }

    #[test]
    fn one_sources_blocks_are_dropped_and_no_others() {
        let mut waiting = waiting(5);
        add_from(&mut waiting, 1, Until::Parent(BlockId([9; 32])), Some(1));
        add_from(&mut waiting, 2, Until::Parent(BlockId([8; 32])), Some(1));
        add_from(&mut waiting, 3, Until::Parent(BlockId([9; 32])), None);
        waiting.drop_source(Some(1));
        waiting.drop_source(Some(7));
        assert_eq!(waiting.size().0, 1);
        assert_eq!(blocks(take_children(&mut waiting, BlockId([9; 32]))), [block(3).1]);
    }

    #[test]
    fn what_stands_on_an_invalid_block_is_dropped() {
        let mut waiting = waiting(5);
        add(&mut waiting, 1, Until::Parent(BlockId([9; 32])));
        add(&mut waiting, 2, Until::Parent(BlockId([1; 32])));
        waiting.drop_above(BlockId([9; 32]));
        assert_eq!(waiting.size(), (0, 0));
    }

    #[test]
    fn a_flood_pushes_out_its_own_blocks_and_no_others() {
        let mut waiting = waiting(6);
        let parent = Until::Parent(BlockId([99; 32]));
        add_from(&mut waiting, 1, parent, Some(1));
        add_from(&mut waiting, 2, parent, None);
        (10..40).for_each(|byte| add_from(&mut waiting, byte, parent, Some(7)));
        let left = take_children(&mut waiting, BlockId([99; 32]));
        let want = [(1, Some(1)), (2, None), (36, Some(7)), (37, Some(7)), (38, Some(7)), (39, Some(7))];
        assert_eq!(left, want.map(|(byte, from)| waited(block(byte).1, from)));
    }

    #[test]
    fn what_is_ready_is_taken_of_each_source_in_turn_and_is_bounded_until_then() {
        let mut waiting = waiting(5);
        let parent = Until::Parent(BlockId([9; 32]));
        (1..=3).for_each(|byte| add_from(&mut waiting, byte, parent, Some(1)));
        add_from(&mut waiting, 4, parent, Some(2));
        add_from(&mut waiting, 5, Until::Check, Some(3));
        waiting.free(BlockId([9; 32]));
        assert_eq!(blocks(waiting.take_ready(2)), [block(1).1, block(4).1]);
        (6..=8).for_each(|byte| add_from(&mut waiting, byte, parent, Some(1)));
        assert_eq!(waiting.size().0, 5, "the oldest of the greediest has gone");
        assert_eq!(blocks(waiting.take_ready(9)), [block(3).1, block(5).1]);
        assert_eq!((waiting.has_ready(), waiting.size().0), (false, 3));
    }

    #[test]
    fn bytes_are_taken_from_the_source_with_the_most() {
        let mut waiting = waiting(100);
        let parent = Until::Parent(BlockId([99; 32]));
        add_from(&mut waiting, 1, parent, Some(1));
        let large = |byte: u8| Block { header: vec![byte; 400], body: Vec::new() };
        let mut add = |byte| waiting.add(BlockId([byte; 32]), waited(large(byte), Some(2)), parent);
        assert!((2..6).all(&mut add));
        assert_eq!(blocks(take_children(&mut waiting, BlockId([99; 32]))), [block(1).1, large(4), large(5)]);
    }
}
