//! What rules said of old blocks lies in the storage alone, and nobody can tell.

use crate::rules::TestRules;
use crate::world::{Made, NOW, World, merging, plain};
use adit_chain::{BlockError, ChainConfig};
use adit_primitives::BlockId;
use adit_primitives::engine::ChainView;
use adit_primitives::storage::{Batch, Entries, MemoryStorage, Storage, StorageError, Table};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const LAYERS: u64 = 80;
const BESIDE: u64 = 3;

fn world(placement_bytes_max: usize) -> World {
    World::with(ChainConfig { placement_bytes_max, ..merging() }, TestRules::default())
}

/// Makes layers of blocks that do not know each other, over all of the layer before.
fn layers(genesis: Made) -> Vec<Made> {
    let (mut all, mut last) = (Vec::new(), vec![genesis]);
    for layer in 0..LAYERS {
        let parents: Vec<BlockId> = last.iter().map(|made| made.id).collect();
        let heaviest = last.iter().max_by_key(|made| made.id).unwrap().clone();
        let block = |beside| {
            let mut recipe = plain(&heaviest, 1);
            recipe.parents.clone_from(&parents);
            recipe.height = heaviest.height + parents.len() as u64;
            recipe.nonce = BESIDE * layer + beside;
            recipe.make()
        };
        last = (0..BESIDE).map(block).collect();
        all.extend(last.clone());
    }
    all
}

/// Compares all that can be asked of the blocks of two worlds.
fn check_alike(world: &World, other: &World, ids: &[BlockId]) {
    for id in ids {
        assert_eq!(world.chain.reader().indexed(*id), other.chain.reader().indexed(*id));
        assert_eq!(world.chain.index().block(*id), other.chain.index().block(*id));
        assert_eq!(world.chain.reader().standing(*id), other.chain.reader().standing(*id));
    }
    for topoheight in 0..=ids.len() as u64 {
        let at = |world: &World| world.chain.reader().id_at_topoheight(topoheight);
        assert_eq!(at(world), at(other), "{topoheight}");
    }
    let tip = world.chain.tip().id;
    let past = |world: &World| world.chain.index().selected_past(tip, u32::MAX);
    assert_eq!(past(world), past(other));
    assert_eq!(world.chain.reader().tips(10), other.chain.reader().tips(10));
}

#[test]
fn what_memory_has_no_room_for_comes_back() {
    const ROOM: usize = 8_000;
    let (mut narrow, mut wide) = (world(ROOM), world(usize::MAX));
    let blocks = layers(narrow.genesis());
    for made in &blocks {
        narrow.submit(made).unwrap();
        wide.submit(made).unwrap();
    }
    let ids: Vec<BlockId> = std::iter::once(narrow.genesis().id).chain(blocks.iter().map(|made| made.id)).collect();
    let whole = wide.chain.reader().placement_figures();
    assert!((whole.hits, whole.misses, whole.older_bytes) == (0, 0, 0) && whole.bytes > 4 * ROOM, "{whole:?}");
    check_alike(&narrow, &wide, &ids);
    let figures = narrow.chain.reader().placement_figures();
    assert!(figures.bytes <= ROOM && figures.misses > 0, "{figures:?}");
    let saved = wide.chain.reader().index_bytes() - narrow.chain.reader().index_bytes();
    assert!(saved >= whole.bytes - ROOM, "{saved}");
    let (mut narrow, mut wide) = (narrow.reopened(), wide.reopened());
    assert!(narrow.chain.reader().placement_figures().bytes <= ROOM);
    check_alike(&narrow, &wide, &ids);
    // All are asked for again and again: half of the room is for them then.
    for _ in 0..20 {
        check_alike(&narrow, &wide, &ids);
        let next =
            plain(&Made { id: narrow.chain.tip().id, height: narrow.chain.tip().height.0, ..blocks[0].clone() }, 1);
        let next = next.make();
        narrow.submit(&next).unwrap();
        wide.submit(&next).unwrap();
    }
    let figures = narrow.chain.reader().placement_figures();
    assert!(figures.bytes <= ROOM && figures.older_bytes_max == ROOM / 2, "{figures:?}");
}

#[test]
fn the_room_can_be_changed_while_the_chain_runs() {
    let mut world = world(usize::MAX);
    let blocks = layers(world.genesis());
    for made in &blocks {
        world.submit(made).unwrap();
    }
    let ChainConfig { mempool, orphans, templates, .. } = world.chain.config().clone();
    world.chain.set_limits(mempool, orphans, templates, 4_000).unwrap();
    let figures = world.chain.reader().placement_figures();
    assert!(figures.bytes <= 4_000 && figures.older_bytes_max <= 2_000, "{figures:?}");
    assert_eq!(world.chain.index().block(blocks[0].id).unwrap().parents, [world.genesis().id]);
}

/// Storage whose headers cannot be read any more from some moment on.
struct Failing {
    inner: MemoryStorage,
    failing: AtomicBool,
}

impl Storage for Failing {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        if table == Table::Headers && self.failing.load(Ordering::Relaxed) {
            return Err(StorageError { detail: "input/output error".to_owned() });
        }
        self.inner.get(table, key)
    }

    fn scan(&self, table: Table, first: &[u8], max: usize) -> Result<Entries, StorageError> {
        self.inner.scan(table, first, max)
    }

    fn commit(&self, batch: Batch) -> Result<(), StorageError> {
        self.inner.commit(batch)
    }
}

/// Rules that are shown nothing of a parent's notes refuse its child. Nobody may believe them.
#[test]
fn a_storage_that_fails_makes_no_block_invalid() {
    let failing = Arc::new(Failing { inner: MemoryStorage::default(), failing: AtomicBool::new(false) });
    let config = ChainConfig { placement_bytes_max: 0, ..merging() };
    let mut world = World::over(config, TestRules::default(), failing.clone());
    let blocks = layers(world.genesis());
    let (before, after) = blocks.split_at(30);
    for made in before {
        world.submit(made).unwrap();
    }
    failing.failing.store(true, Ordering::Relaxed);
    match world.chain.submit_block(NOW, after[0].block.clone()) {
        Err(BlockError::Storage(error)) => assert_eq!(error.detail, "input/output error"),
        other => panic!("{other:?}"),
    }
    let again = world.chain.submit_block(NOW, after[1].block.clone());
    assert!(matches!(again, Err(BlockError::Storage(_))), "it takes nothing from then on: {again:?}");
    failing.failing.store(false, Ordering::Relaxed);
    let mut world = world.reopened();
    assert_eq!(world.chain.index().count(), 1 + before.len());
    for made in after {
        world.submit(made).unwrap();
    }
}
