//! Opening a chain: from nothing, or from what the storage holds.

use super::{Chain, OpenError};
use crate::gathered::Gathered;
use crate::headers::{Judge, Judged};
use crate::index::Arrival;
use crate::record::{self, FORMAT, HeaderRecord, meta};
use crate::signed::Signed;
use crate::template::TemplateCache;
use crate::waiting::Waiting;
use crate::{BlockIndex, ChainConfig, Mempool};
use adit_primitives::contract::Violation;
use adit_primitives::engine::ChainView;
use adit_primitives::storage::{Batch, Storage, StorageError, Table};
use adit_primitives::{BlockId, Encode, Hash256, Height};
use std::sync::Arc;

pub(super) fn open(config: ChainConfig, storage: Arc<Gathered>, mut judge: Judge) -> Result<Chain, OpenError> {
    let genesis = judge.genesis()?.map_err(|violation| OpenError::Genesis { violation })?;
    let index = genesis.root().over(storage.clone(), config.placement_bytes_max);
    let state_version = match record::read::<u32>(&*storage, Table::Meta, meta::FORMAT)? {
        None => {
            begin(&config, &*storage, &genesis)?;
            0
        }
        Some(FORMAT) => load(&config, &*storage, &genesis, &index)?,
        Some(found) => return Err(OpenError::Format { found, want: FORMAT }),
    };
    let mut chain = Chain {
        mempool: Mempool::new(config.mempool.clone()),
        signed: Arc::new(Signed::new(config.identity)),
        waiting: Waiting::new(config.orphans.clone()),
        early: Waiting::new(config.orphans.clone()),
        templates: TemplateCache::new(config.templates.clone()),
        config,
        storage,
        judge,
        index: Arc::new(index),
        state_version,
        unfollowed: None,
        since_astray: 0,
        gathers: false,
        broken: None,
    };
    chain.forget_astray()?;
    chain.load_mempool()?;
    chain.follow(Batch::default(), &[])?;
    Ok(chain)
}

/// Writes the genesis: it has no body, and no effect on the ledger.
fn begin(config: &ChainConfig, storage: &dyn Storage, genesis: &Judged) -> Result<(), StorageError> {
    let Judged { header, view, placement } = genesis.clone();
    let id = view.id;
    let height = placement.height;
    let record = HeaderRecord { header, sequence: 0, body: true, violation: None, view, placement };
    let mut batch = Batch::default();
    batch.put(Table::Meta, meta::FORMAT, FORMAT.to_bytes());
    batch.put(Table::Meta, meta::IDENTITY, config.identity.to_bytes());
    batch.put(Table::Meta, meta::TIP, id.to_bytes());
    batch.put(Table::Meta, meta::STATE_VERSION, 0u64.to_bytes());
    batch.put(Table::Headers, id.to_bytes(), record.to_bytes());
    batch.put(Table::Bodies, id.to_bytes(), Vec::<crate::Transaction>::new().to_bytes());
    batch.put(Table::Selected, record::height_key(height), id.to_bytes());
    storage.commit(batch)
}

/// Reads every header into the index, and checks that ledger and headers fit each other. Returns the version of the state.
fn load(config: &ChainConfig, storage: &dyn Storage, genesis: &Judged, index: &BlockIndex) -> Result<u64, OpenError> {
    let found: Hash256 = required(storage, meta::IDENTITY)?;
    if found != config.identity {
        return Err(OpenError::OtherChain { found, want: config.identity });
    }
    load_headers(storage, genesis, index)?;
    let tip: BlockId = required(storage, meta::TIP)?;
    let height = match index.stamps(&[tip]).pop().flatten() {
        Some(tip) => tip.height,
        None => return Err(damaged(format!("the tip {tip} is not among the blocks"))),
    };
    index.select(tip);
    let selected: Option<BlockId> = record::read(storage, Table::Selected, &record::height_key(height))?;
    if selected != Some(tip) {
        return Err(damaged(format!("the tip is {tip}, but the ledger has {selected:?} at its height {height}")));
    }
    let above = Height(height.0.saturating_add(1));
    if let Some((key, _)) = storage.scan(Table::Selected, &record::height_key(above), 1)?.first() {
        return Err(damaged(format!("the tip has height {height}, but the ledger goes on above it: {key:?}")));
    }
    required(storage, meta::STATE_VERSION)
}

fn load_headers(storage: &dyn Storage, genesis: &Judged, index: &BlockIndex) -> Result<(), OpenError> {
    // Without what rules said of them: that stays in the storage until it is asked for.
    let mut blocks: Vec<(Arrival, Option<Violation>)> = Vec::new();
    record::for_each(storage, Table::Headers, |_, value| {
        let record: HeaderRecord = record::decode(Table::Headers, value)?;
        blocks.push((Arrival::kept(&record), record.violation));
        Ok(())
    })?;
    blocks.sort_unstable_by_key(|(block, _)| block.sequence());
    let mut blocks = blocks.into_iter();
    match blocks.next() {
        Some((first, _)) if first.id() == genesis.view.id => {}
        first => {
            let found = first.map(|(first, _)| first.id());
            return Err(damaged(format!("it begins with {found:?}, the rules' genesis is {}", genesis.view.id)));
        }
    }
    let mut last = 0;
    for (block, violation) in blocks {
        let (id, sequence) = (block.id(), block.sequence());
        if sequence <= last || !block.below().all(|below| index.contains(below)) {
            return Err(damaged(format!("block {id} does not follow those before it")));
        }
        index.restore(block);
        last = sequence;
        if let Some(violation) = &violation {
            index.invalidate(id, violation);
        }
    }
    Ok(())
}

fn required<T: adit_primitives::Decode>(storage: &dyn Storage, key: &[u8]) -> Result<T, OpenError> {
    record::read(storage, Table::Meta, key)?
        .ok_or_else(|| damaged(format!("{} is missing", String::from_utf8_lossy(key))))
}

fn damaged(detail: String) -> OpenError {
    OpenError::Damaged { detail }
}
