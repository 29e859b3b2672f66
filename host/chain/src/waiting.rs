//! Blocks that cannot be judged yet: their parent is missing, or their time has not come. Bounded; the oldest go first.

use crate::{Block, OrphanLimits};
use adit_primitives::{BlockId, Timestamp};
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
    bytes: usize,
    arrivals: u64,
}

#[derive(Debug)]
struct WaitingBlock {
    id: BlockId,
    block: Block,
    bytes: usize,
    until: Until,
}

/// What a block waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    Parent(BlockId),
    Time(Timestamp),
}

impl Waiting {
    pub(crate) fn new(limits: OrphanLimits) -> Self {
        Self {
            limits,
            blocks: BTreeMap::new(),
            ids: BTreeMap::new(),
            for_parent: BTreeSet::new(),
            for_time: BTreeSet::new(),
            bytes: 0,
            arrivals: 0,
        }
    }

    /// Lets a block wait. One that waits already, or is larger than all the room, is left out. Returns whether it waits.
    pub(crate) fn add(&mut self, id: BlockId, block: Block, until: Until) -> bool {
        let bytes = block.size();
        if bytes > self.limits.bytes_max || self.limits.blocks_max == 0 {
            return false;
        }
        if self.ids.contains_key(&id) {
            return true;
        }
        self.arrivals += 1;
        let arrival = self.arrivals;
        match until {
            Until::Parent(parent) => self.for_parent.insert((parent, arrival)),
            Until::Time(time) => self.for_time.insert((time, arrival)),
        };
        self.ids.insert(id, arrival);
        self.blocks.insert(arrival, WaitingBlock { id, block, bytes, until });
        self.bytes += bytes;
        self.make_room();
        true
    }

    /// Changes how much may wait; the oldest go where there is no room any more.
    pub(crate) fn set_limits(&mut self, limits: OrphanLimits) {
        self.limits = limits;
        self.make_room();
    }

    fn make_room(&mut self) {
        while self.blocks.len() > self.limits.blocks_max || self.bytes > self.limits.bytes_max {
            let oldest = self.blocks.keys().next().copied();
            if oldest.and_then(|oldest| self.take(oldest)).is_none() {
                break;
            }
        }
    }

    /// Takes the blocks that waited for a parent, oldest first.
    pub(crate) fn take_children(&mut self, parent: BlockId) -> Vec<Block> {
        let arrivals: Vec<u64> =
            self.for_parent.range((parent, 0)..=(parent, u64::MAX)).map(|(_, arrival)| *arrival).collect();
        arrivals.into_iter().filter_map(|arrival| self.take(arrival)).map(|waiting| waiting.block).collect()
    }

    /// Takes the blocks whose time has come, earliest first.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Vec<Block> {
        let arrivals: Vec<u64> = self.for_time.range(..=(now, u64::MAX)).map(|(_, arrival)| *arrival).collect();
        arrivals.into_iter().filter_map(|arrival| self.take(arrival)).map(|waiting| waiting.block).collect()
    }

    /// Drops what waits for a block that turned out invalid, and what waits for that.
    pub(crate) fn drop_above(&mut self, parent: BlockId) {
        let mut open = vec![parent];
        while let Some(parent) = open.pop() {
            let above: Vec<u64> =
                self.for_parent.range((parent, 0)..=(parent, u64::MAX)).map(|(_, arrival)| *arrival).collect();
            open.extend(above.into_iter().filter_map(|arrival| self.take(arrival)).map(|waiting| waiting.id));
        }
    }

    /// Returns how many blocks wait, and their bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.blocks.len(), self.bytes)
    }

    fn take(&mut self, arrival: u64) -> Option<WaitingBlock> {
        let waiting = self.blocks.remove(&arrival)?;
        match waiting.until {
            Until::Parent(parent) => self.for_parent.remove(&(parent, arrival)),
            Until::Time(time) => self.for_time.remove(&(time, arrival)),
        };
        self.ids.remove(&waiting.id);
        self.bytes -= waiting.bytes;
        Some(waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(blocks_max: usize) -> Waiting {
        Waiting::new(OrphanLimits { blocks_max, bytes_max: 1000, early_ms_max: 0 })
    }

    fn block(byte: u8) -> (BlockId, Block) {
        (BlockId([byte; 32]), Block { header: vec![byte; 80], body: Vec::new() })
    }

    fn add(waiting: &mut Waiting, byte: u8, until: Until) {
        let (id, block) = block(byte);
        assert!(waiting.add(id, block, until));
    }

    #[test]
    fn the_oldest_goes_when_there_is_no_room() {
        let mut waiting = waiting(2);
        (1..=3).for_each(|byte| add(&mut waiting, byte, Until::Parent(BlockId([9; 32]))));
        assert_eq!(waiting.take_children(BlockId([9; 32])), [block(2).1, block(3).1]);
        assert_eq!(waiting.size(), (0, 0));
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mut waiting = waiting(100);
        (1..=50).for_each(|byte| add(&mut waiting, byte, Until::Parent(BlockId([99; 32]))));
        assert!(waiting.size().1 <= 1000);
        let huge = Block { header: vec![0; 2000], body: Vec::new() };
        assert!(!waiting.add(BlockId([77; 32]), huge, Until::Time(Timestamp::from_millis(1))));
    }

    #[test]
    fn a_block_is_taken_when_its_time_has_come() {
        let mut waiting = waiting(5);
        add(&mut waiting, 1, Until::Time(Timestamp::from_millis(10)));
        assert!(waiting.take_due(Timestamp::from_millis(9)).is_empty());
        assert_eq!(waiting.take_due(Timestamp::from_millis(10)), [block(1).1]);
    }

    #[test]
    fn what_stands_on_an_invalid_block_is_dropped() {
        let mut waiting = waiting(5);
        add(&mut waiting, 1, Until::Parent(BlockId([9; 32])));
        add(&mut waiting, 2, Until::Parent(BlockId([1; 32])));
        waiting.drop_above(BlockId([9; 32]));
        assert_eq!(waiting.size(), (0, 0));
    }
}
