//! What rules said of each block when they placed it. That of the newest blocks stands at the blocks; that of older ones lies in the storage, behind a cache.
//!
//! A chain only grows, and memory does not. What fork choice and questions about ancestors need stays in the index: some hundred bytes a block.
//! Merge sets and the rules' own notes are most of a block's weight, and are asked for near the tip: beyond a bound in bytes they leave memory, the oldest
//! first, as soon as the storage has them, and come back for whoever asks. How much of the bound is for those that came back follows how often they are
//! asked for again.

use super::{Dag, Place};
use crate::record::{self, HeaderRecord};
use adit_primitives::BlockId;
use adit_primitives::contract::{MergedBlock, Placement};
use adit_primitives::storage::{Storage, StorageError, Table};
use adit_primitives::{Encode, Timestamp};
use lru::LruCache;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// What one entry of the cache takes beside its placement: its key, its links, its place in the table.
const ENTRY_BYTES: usize = 96;

/// The part of the bound that those which came back have at least and at most: one in so many.
const SHARE_MIN: usize = 16;
const SHARE_MAX: usize = 2;

/// So many questions about older blocks are counted before their part of the bound changes.
const COUNTED: u64 = 1_000;

/// What rules said of a block, beside what its place in the index tells, and the ids that it names: to look those up would cost more than the rest.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) parents: Vec<BlockId>,
    pub(super) merge_set: Vec<MergedBlock>,
    pub(super) state: Vec<u8>,
    pub(super) valid_from: Timestamp,
    pub(super) subsidy: u64,
}

/// Older blocks' placements.
pub(super) struct Placements {
    storage: Arc<dyn Storage>,
    /// Bytes for all placements in memory.
    bytes_max: AtomicUsize,
    back: Mutex<Back>,
    hits: AtomicU64,
    misses: AtomicU64,
    /// Why one could not be read. Nothing that was asked since may be believed.
    failure: OnceLock<StorageError>,
}

/// Placements that came back.
struct Back {
    placed: LruCache<BlockId, Arc<Placed>>,
    bytes: usize,
    /// Bytes that they may take.
    share: usize,
    /// Questions since the share was last thought about, and how many of them the storage answered.
    asked: u64,
    missed: u64,
}

/// How placements in memory are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlacementFigures {
    /// Bytes that they take.
    pub bytes: usize,
    /// Of them, those of older blocks that were asked for.
    pub older_bytes: usize,
    /// Bytes that older ones may take, as questions have it now.
    pub older_bytes_max: usize,
    /// Questions about older blocks that memory answered.
    pub hits: u64,
    /// Questions about older blocks for which the storage was read.
    pub misses: u64,
}

impl Placed {
    pub(super) fn of(parents: &[BlockId], placement: &Placement) -> Self {
        let Placement { merge_set, state, valid_from, subsidy, .. } = placement;
        let (parents, merge_set, state) = (parents.to_vec(), merge_set.clone(), state.clone());
        Self { parents, merge_set, state, valid_from: *valid_from, subsidy: *subsidy }
    }

    /// Stands in where there is none: of a block that was forgotten meanwhile, or where the storage failed.
    pub(super) fn unknown() -> Self {
        let (parents, merge_set, state) = (Vec::new(), Vec::new(), Vec::new());
        Self { parents, merge_set, state, valid_from: Timestamp::from_millis(0), subsidy: 0 }
    }

    /// Returns the bytes that it takes, with the two counts before it.
    pub(super) fn bytes(&self) -> usize {
        let ids = self.parents.capacity() * size_of::<BlockId>();
        let lists = ids + self.merge_set.capacity() * size_of::<MergedBlock>() + self.state.capacity();
        size_of::<Self>() + 2 * size_of::<usize>() + lists
    }
}

impl Placements {
    pub(super) fn new(storage: Arc<dyn Storage>, bytes_max: usize) -> Self {
        let back = Back { placed: LruCache::unbounded(), bytes: 0, share: bytes_max / SHARE_MIN, asked: 0, missed: 0 };
        let (hits, misses) = (AtomicU64::new(0), AtomicU64::new(0));
        Self {
            storage,
            bytes_max: AtomicUsize::new(bytes_max),
            back: Mutex::new(back),
            hits,
            misses,
            failure: OnceLock::new(),
        }
    }

    /// Returns why a placement could not be read, where one could not.
    pub(super) fn failure(&self) -> Option<&StorageError> {
        self.failure.get()
    }

    /// Returns what rules said of a block that the storage has. `None` where it has none, or fails.
    pub(super) fn read(&self, id: BlockId) -> Option<Arc<Placed>> {
        if let Some(found) = self.back().find(&id) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Some(found);
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let record = record::read::<HeaderRecord>(&*self.storage, Table::Headers, &id.to_bytes());
        let record = record.unwrap_or_else(|error| {
            self.fail(error);
            None
        })?;
        let placed = Arc::new(Placed::of(&record.view.parents, &record.placement));
        self.back().keep(id, Arc::clone(&placed));
        Some(placed)
    }

    /// Notes that a placement which must be there is not.
    pub(super) fn lacks(&self, id: BlockId) {
        self.fail(record::damaged(Table::Headers, &format!("block {id} is missing")));
    }

    fn fail(&self, error: StorageError) {
        // The first reason is the one to tell.
        let _ = self.failure.set(error);
    }

    fn back(&self) -> MutexGuard<'_, Back> {
        // Nothing panics between two changes of it.
        self.back.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the bytes that placements of the newest blocks may take, after a thought about those of older ones.
    fn newest_max(&self) -> usize {
        let mut back = self.back();
        let bytes_max = self.bytes_max.load(Ordering::Relaxed);
        back.think(bytes_max);
        bytes_max.saturating_sub(back.share)
    }

    fn figures(&self, newest_bytes: usize) -> PlacementFigures {
        let back = self.back();
        PlacementFigures {
            bytes: newest_bytes + back.bytes,
            older_bytes: back.bytes,
            older_bytes_max: back.share,
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }
}

impl std::fmt::Debug for Placements {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Placements").field("bytes_max", &self.bytes_max).finish_non_exhaustive()
    }
}

impl Back {
    fn find(&mut self, id: &BlockId) -> Option<Arc<Placed>> {
        self.asked += 1;
        let found = self.placed.get(id).cloned();
        self.missed += u64::from(found.is_none());
        found
    }

    fn keep(&mut self, id: BlockId, placed: Arc<Placed>) {
        if ENTRY_BYTES + placed.bytes() > self.share {
            return;
        }
        self.bytes += ENTRY_BYTES + placed.bytes();
        if let Some((_, before)) = self.placed.push(id, placed) {
            self.bytes -= ENTRY_BYTES + before.bytes();
        }
        self.fit();
    }

    fn fit(&mut self) {
        while self.bytes > self.share {
            let Some((_, oldest)) = self.placed.pop_lru() else { break };
            self.bytes -= ENTRY_BYTES + oldest.bytes();
        }
    }

    /// Takes more of the bound where one question in ten is answered by the storage, and gives some back where hardly any is.
    fn think(&mut self, bytes_max: usize) {
        if self.asked < COUNTED {
            return;
        }
        if self.missed * 10 > self.asked {
            self.share = self.share.saturating_mul(2).min(bytes_max / SHARE_MAX);
        } else if self.missed * 100 < self.asked {
            self.share = (self.share - self.share / 8).max(bytes_max / SHARE_MIN);
        }
        (self.asked, self.missed) = (0, 0);
        self.fit();
    }
}

impl super::BlockIndex {
    /// Lets placements go that memory has no room for. To be called when the storage has those of all blocks.
    pub(crate) fn settle(&self) {
        let Some(placements) = &self.placements else { return };
        let room = placements.newest_max();
        if self.read().placed_bytes > room {
            // Nothing changes that anybody could see, so neither does the version.
            self.dag.write().unwrap_or_else(PoisonError::into_inner).shed(room);
        }
    }

    /// Takes another bound in bytes.
    pub(crate) fn set_placement_bytes(&self, bytes_max: usize) {
        if let Some(placements) = &self.placements {
            placements.bytes_max.store(bytes_max, Ordering::Relaxed);
            let mut back = placements.back();
            back.share = back.share.clamp(bytes_max / SHARE_MIN, bytes_max / SHARE_MAX);
            back.fit();
        }
        self.settle();
    }

    /// Returns why the storage gave no placement that was asked for, where that happened: then nothing that rules or ledger said since may be believed.
    pub(crate) fn failure(&self) -> Option<StorageError> {
        self.placements.as_ref().and_then(|placements| placements.failure().cloned())
    }

    /// Returns how placements in memory are used.
    pub fn placement_figures(&self) -> PlacementFigures {
        let bytes = self.read().placed_bytes;
        let alone = PlacementFigures { bytes, ..PlacementFigures::default() };
        self.placements.as_ref().map_or(alone, |placements| placements.figures(bytes))
    }
}

impl Dag {
    /// Lets the oldest placements go until the others take no more than so many bytes. The root's stays.
    fn shed(&mut self, room: usize) {
        while self.placed_bytes > room && self.placed_from < self.next_place() {
            let place = self.placed_from;
            self.placed_from += 1;
            if let Some(placed) = self.node_mut(place).placed.take() {
                self.placed_bytes -= placed.bytes();
            }
        }
    }

    /// Notes a block's placement, where there is one.
    pub(super) fn add_placed(&mut self, place: Place) {
        self.placed_bytes += self.node(place).placed.as_ref().map_or(0, |placed| placed.bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use adit_primitives::storage::MemoryStorage;

    fn placed(bytes: usize) -> Arc<Placed> {
        Arc::new(Placed { state: vec![0; bytes], ..Placed::unknown() })
    }

    fn id(number: u8) -> BlockId {
        BlockId([number; 32])
    }

    #[test]
    fn those_that_were_not_asked_for_longest_make_room() {
        let placements = Placements::new(Arc::new(MemoryStorage::default()), 16 * 1_000);
        let mut back = placements.back();
        (1..=3).for_each(|number| back.keep(id(number), placed(120)));
        assert!(back.bytes <= 1_000 && back.find(&id(1)).is_some(), "{}", back.bytes);
        back.keep(id(4), placed(120));
        assert_eq!([1, 2, 3, 4].map(|number| back.find(&id(number)).is_some()), [true, false, true, true]);
        back.keep(id(5), placed(5_000));
        assert_eq!(back.placed.len(), 3, "what fits nowhere drives nobody out");
    }

    #[test]
    fn their_part_follows_how_often_the_storage_is_read() {
        let placements = Placements::new(Arc::new(MemoryStorage::default()), 1 << 20);
        let ask = |number: u64, missed: u64| {
            let mut back = placements.back();
            (back.asked, back.missed) = (number, missed);
        };
        ask(COUNTED - 1, COUNTED - 1);
        assert_eq!(placements.newest_max(), (1 << 20) - (1 << 16), "too few to know");
        let mut seen = Vec::new();
        for _ in 0..5 {
            ask(COUNTED, COUNTED / 2);
            seen.push((1 << 20) - placements.newest_max());
        }
        assert_eq!(seen, [1 << 17, 1 << 18, 1 << 19, 1 << 19, 1 << 19]);
        ask(COUNTED, COUNTED / 50);
        assert_eq!(placements.newest_max(), 1 << 19, "neither many nor hardly any");
        for _ in 0..100 {
            ask(COUNTED, 0);
            placements.newest_max();
        }
        assert_eq!(placements.newest_max(), (1 << 20) - (1 << 16));
    }

    #[test]
    fn a_storage_that_fails_is_remembered() {
        let placements = Placements::new(Arc::new(MemoryStorage::default()), 1_000);
        assert!(placements.read(id(1)).is_none() && placements.failure().is_none());
        placements.lacks(id(1));
        placements.lacks(id(2));
        let detail = &placements.failure().unwrap().detail;
        assert!(detail.contains("0101"), "the first is told: {detail}");
    }
}
