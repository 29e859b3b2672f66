//! rusty-kaspa's placing of blocks, over its own stores in memory.

use crate::dag::Dag;
use kaspa_consensus::model::services::reachability::MTReachabilityService;
use kaspa_consensus::model::stores::ghostdag::{GhostdagStore, MemoryGhostdagStore};
use kaspa_consensus::model::stores::headers::{CompactHeaderData, HeaderStoreReader, HeaderWithBlockLevel};
use kaspa_consensus::model::stores::reachability::MemoryReachabilityStore;
use kaspa_consensus::model::stores::relations::{MemoryRelationsStore, RelationsStoreReader};
use kaspa_consensus::processes::ghostdag::protocol::GhostdagManager;
use kaspa_consensus::processes::reachability::inquirer;
use kaspa_consensus::processes::relations::RelationsStoreExtensions;
use kaspa_consensus_core::BlockHashSet;
use kaspa_consensus_core::blockhash::{BlockHashes, ORIGIN};
use kaspa_consensus_core::header::Header;
use kaspa_database::prelude::{ReadLock, StoreError};
use kaspa_hashes::Hash;
use parking_lot::RwLock;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// What every block of the DAGs declares.
const BITS: u32 = 0x207f_ffff;

/// What rusty-kaspa says of a block.
pub struct Placed {
    pub selected: u32,
    /// Without the selected parent, blues first.
    pub merged: Vec<u32>,
    pub blue_score: u64,
}

/// Places every block: colouring, reachability and stores.
pub fn place(dag: &Dag) -> Vec<Placed> {
    let relations = Relations::default();
    let reachability = Arc::new(RwLock::new(started()));
    let ghostdag = Arc::new(MemoryGhostdagStore::new());
    let service = MTReachabilityService::new(reachability.clone());
    let manager = GhostdagManager::new(hash(0), dag.k, ghostdag.clone(), relations.clone(), Arc::new(Headers), service);
    ghostdag.insert(ORIGIN, manager.origin_ghostdag_data()).expect("the store is empty");
    let mut best = None;
    let mut placed = Vec::with_capacity(dag.parents.len());
    for (block, parents) in (0..).zip(&dag.parents) {
        let parents = if block == 0 { vec![ORIGIN] } else { parents.iter().map(|parent| hash(*parent)).collect() };
        let data = if block == 0 { manager.genesis_ghostdag_data() } else { manager.ghostdag(&parents) };
        let merged: Vec<Hash> = data.mergeset_blues.iter().skip(1).chain(data.mergeset_reds.iter()).copied().collect();
        let hint = best.replace(data.blue_score.max(best.unwrap_or(0))) < Some(data.blue_score);
        add(&mut reachability.write(), hash(block), data.selected_parent, &mut merged.iter().copied(), hint);
        relations.0.borrow_mut().insert(hash(block), BlockHashes::new(parents)).expect("a store in memory");
        placed.push(Placed {
            selected: if block == 0 { 0 } else { number(data.selected_parent) },
            merged: merged.into_iter().map(number).collect(),
            blue_score: data.blue_score,
        });
        ghostdag.insert(hash(block), Arc::new(data)).expect("each block comes once");
    }
    placed
}

/// Puts blocks whose placement is known into the reachability store alone.
pub fn reachability(_: &Dag, placed: &[Placed]) -> MemoryReachabilityStore {
    let mut store = started();
    let mut best = None;
    for (block, known) in (0..).zip(placed) {
        let selected = if block == 0 { ORIGIN } else { hash(known.selected) };
        let hint = best.replace(known.blue_score.max(best.unwrap_or(0))) < Some(known.blue_score);
        add(&mut store, hash(block), selected, &mut known.merged.iter().map(|merged| hash(*merged)), hint);
    }
    store
}

pub fn is_ancestor(store: &MemoryReachabilityStore, ancestor: u32, descendant: u32) -> bool {
    inquirer::is_dag_ancestor_of(store, hash(ancestor), hash(descendant)).expect("both are known")
}

fn started() -> MemoryReachabilityStore {
    let mut store = MemoryReachabilityStore::new();
    inquirer::init(&mut store).expect("a store in memory");
    store
}

/// As its header processor does: the block, then a hint where the selected chain has grown.
fn add(
    store: &mut MemoryReachabilityStore,
    block: Hash,
    selected: Hash,
    merged: &mut dyn Iterator<Item = Hash>,
    hint: bool,
) {
    inquirer::add_block(store, block, selected, merged).expect("parents are known");
    if hint {
        inquirer::hint_virtual_selected_parent(store, block).expect("the block is known");
    }
}

/// The hash that the recorded DAGs give a block: its number and one, in the last bytes.
fn hash(block: u32) -> Hash {
    Hash::from_u64_word(u64::from(block) + 1)
}

fn number(hash: Hash) -> u32 {
    let bytes = hash.as_bytes();
    let word = u64::from_le_bytes(bytes[24..].try_into().expect("eight bytes"));
    u32::try_from(word - 1).expect("a block's number")
}

/// Relations that can grow while a manager reads them.
#[derive(Clone, Default)]
struct Relations(Rc<RefCell<MemoryRelationsStore>>);

impl RelationsStoreReader for Relations {
    fn get_parents(&self, hash: Hash) -> Result<BlockHashes, StoreError> {
        self.0.borrow().get_parents(hash)
    }

    fn get_children(&self, hash: Hash) -> Result<ReadLock<BlockHashSet>, StoreError> {
        self.0.borrow().get_children(hash)
    }

    fn has(&self, hash: Hash) -> Result<bool, StoreError> {
        self.0.borrow().has(hash)
    }

    fn counts(&self) -> Result<(usize, usize), StoreError> {
        self.0.borrow().counts()
    }
}

/// Headers that differ in nothing that is asked: colouring reads only the bits.
struct Headers;

impl HeaderStoreReader for Headers {
    fn get_daa_score(&self, hash: Hash) -> Result<u64, StoreError> {
        self.get_compact_header_data(hash).map(|data| data.daa_score)
    }

    fn get_blue_score(&self, hash: Hash) -> Result<u64, StoreError> {
        self.get_compact_header_data(hash).map(|data| data.blue_score)
    }

    fn get_timestamp(&self, hash: Hash) -> Result<u64, StoreError> {
        self.get_compact_header_data(hash).map(|data| data.timestamp)
    }

    fn get_bits(&self, _: Hash) -> Result<u32, StoreError> {
        Ok(BITS)
    }

    fn get_header(&self, hash: Hash) -> Result<Arc<Header>, StoreError> {
        Ok(Arc::new(Header::from_precomputed_hash(hash, Vec::new())))
    }

    fn get_header_with_block_level(&self, hash: Hash) -> Result<HeaderWithBlockLevel, StoreError> {
        Ok(HeaderWithBlockLevel { header: self.get_header(hash)?, block_level: 0 })
    }

    fn get_compact_header_data(&self, _: Hash) -> Result<CompactHeaderData, StoreError> {
        Ok(CompactHeaderData { daa_score: 0, timestamp: 0, bits: BITS, blue_score: 0 })
    }
}
