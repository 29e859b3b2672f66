//! The chain: blocks come in, the tip with the most work is followed, the ledger goes with it.
//!
//! A block's way: size, header decoded, body root, parents known, placed by the rules, time, form of the body; then it is kept, and
//! `follow` moves the selected tip if the block is better. Faults of plugins and storage are never remembered against a block.
//!
//! Reading order: this file, `bulk`, `follow`, `open`.

mod bulk;
mod follow;
mod open;

pub use bulk::{BODILESS_MAX, GATHERED_BYTES_MAX};

use crate::chain::follow::Fresh;
use crate::checker::{check_block, check_unknown, recheck};
use crate::gathered::Gathered;
use crate::headers::{HeaderError, Judge, second_genesis, standing_on};
use crate::ledger::{Law, StoredCoins, check_body, check_merging};
use crate::mempool::Offer;
use crate::record::{HeaderRecord, PendingRecord};
use crate::signed::Signed;
use crate::template::{Source, TemplateCache};
use crate::waiting::{Until, Waited, Waiting};
use crate::{
    Block, BlockIndex, ChainConfig, ChainReader, Checked, Checker, Mempool, MempoolError, MempoolLimits, OrphanLimits,
    Solution, TemplateError, TemplateLimits, TemplateRequest, Transaction, WorkTemplate,
};
use adit_primitives::contract::{HeaderView, KnownBlock, Placement, Requirements, Violation};
use adit_primitives::engine::{Fault, HashEngine, RulesEngine};
use adit_primitives::storage::{Batch, Storage, StorageError, Table};
use adit_primitives::{BlockId, Encode, Hash256, Height, Timestamp, TxId, Work};
use std::sync::Arc;

/// A chain and its state. One owner changes it; readers go through [`Chain::reader`].
pub struct Chain {
    config: ChainConfig,
    storage: Arc<Gathered>,
    judge: Judge,
    index: Arc<BlockIndex>,
    mempool: Mempool,
    signed: Arc<Signed>,
    /// Blocks whose parents are missing. They have proved nothing.
    waiting: Waiting,
    /// Blocks whose time has not come. The rules have placed them: those that have proved nothing do not push them out.
    early: Waiting,
    templates: TemplateCache,
    state_version: u64,
    /// The blocks of a group that were kept, while the tip waits for the rest of it.
    unfollowed: Option<Vec<Fresh>>,
    /// Headers taken since those were last looked for that lead nowhere.
    since_astray: usize,
    /// Whether what is taken becomes durable when it is handed over, and not before.
    gathers: bool,
    /// Why nothing can be changed any more: memory may be ahead of what is kept.
    broken: Option<StorageError>,
}

/// A block that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    pub id: BlockId,
    pub height: Height,
    /// The work behind the block.
    pub work: Work,
    /// Whether the block lies on the selected chain now.
    pub selected: bool,
    /// How the selected chain changed: `None` where its tip stands.
    pub reorg: Option<Reorg>,
}

/// A change of the selected tip: a simple extension where nothing was disconnected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reorg {
    pub from: BlockId,
    pub to: BlockId,
    /// Blocks that left the selected chain, newest first.
    pub disconnected: Vec<BlockId>,
    /// Blocks that joined it, oldest first.
    pub connected: Vec<BlockId>,
}

/// Why a block was not taken. Only [`BlockError::Invalid`] and [`BlockError::KnownInvalid`] say anything about the block itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    #[error("block {id} is known")]
    Known { id: BlockId },
    /// It is kept, within bounds, until its parents come, and it has been checked then.
    #[error("block {id} waits for its parent {missing}")]
    Orphan { id: BlockId, missing: BlockId },
    /// Where `kept`, [`Chain::advance`] takes it when its time has come.
    #[error("block {id} is too early: valid from {valid_from:?}")]
    Early { id: BlockId, valid_from: Timestamp, kept: bool },
    /// See [`OrphanLimits::fork_depth_max`]: its branch is taken when its headers have more work than the tip.
    #[error("block {id} leaves the selected chain too far below its tip, and no better chain leads through it")]
    Deep { id: BlockId },
    /// `id` is `None` where bytes do not decode, or the body is not the one that the header commits to.
    #[error("the block is invalid: {violation}")]
    Invalid { id: Option<BlockId>, violation: Violation },
    #[error("block {id} is known as invalid: {violation}")]
    KnownInvalid { id: BlockId, violation: Violation },
    /// A plugin gave no answer. The block may be offered again.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The chain must be dropped and opened again: its memory may be ahead of what is kept.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a chain does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("the database holds a chain with identity {found}, these rules have {want}")]
    OtherChain { found: Hash256, want: Hash256 },
    #[error("the database has format {found}, this program knows {want}")]
    Format { found: u32, want: u32 },
    #[error("the genesis block is invalid: {violation}")]
    Genesis { violation: Violation },
    #[error("the database is damaged: {detail}")]
    Damaged { detail: String },
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a batch of headers was not taken to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadersError {
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("header {position} of the batch is too early: valid from {valid_from:?}")]
    Early { position: usize, valid_from: Timestamp },
    /// It says nothing about the header: bodies must come first, or [`Chain::forget_headers`] make room.
    #[error("header {position} of the batch has no room: {bodiless} headers wait for their bodies")]
    Full { position: usize, bodiless: usize },
}

/// What became of a batch of headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenHeaders {
    /// The ids of the headers that are placed now, known ones among them, in order up to the first that is not.
    pub ids: Vec<BlockId>,
    /// How many were not known.
    pub new: usize,
    /// Why the batch was not taken to its end.
    pub refused: Option<HeadersError>,
}

impl HeadersError {
    /// Returns the same error for a batch that began so many headers earlier.
    pub fn after(self, headers: usize) -> Self {
        match self {
            Self::Header(error) => Self::Header(error.after(headers)),
            Self::Early { position, valid_from } => Self::Early { position: position + headers, valid_from },
            Self::Full { position, bodiless } => Self::Full { position: position + headers, bodiless },
        }
    }
}

impl Chain {
    /// Opens the chain that the storage holds, or begins one with the rules' genesis. What a crash left half-way is brought to an end.
    pub fn open(
        config: ChainConfig,
        storage: Arc<dyn Storage>,
        rules: Arc<dyn RulesEngine>,
        hash: Box<dyn HashEngine>,
    ) -> Result<Self, OpenError> {
        open::open(config, Arc::new(Gathered::new(storage)), Judge::new(rules, hash))
    }

    /// Judges a block and takes it. When this returns `Ok`, the block survives `kill -9`. Blocks that waited for it are ready then: see
    /// [`Self::take_ready`] and [`Self::take_unchecked`].
    pub fn submit_block(&mut self, now: Timestamp, block: Block) -> Result<Accepted, BlockError> {
        let checked = check_block(&mut self.judge, &self.index, &self.config.ledger, block)?;
        self.submit_checked(now, checked)
    }

    /// The same for a block that a [`Checker`] has seen.
    pub fn submit_checked(&mut self, now: Timestamp, checked: Checked) -> Result<Accepted, BlockError> {
        let before = self.index.tip_id();
        let taken = self.take(now, checked);
        // Rules that were not shown all there is may have refused what is good.
        self.check_whole()?;
        let id = taken?;
        self.waiting.free(id);
        let block = self.index.indexed(id).expect("a block that was taken is in the index");
        let (height, work) = (block.known.height, block.known.work);
        Ok(Accepted { id, height, work, selected: block.selected, reorg: self.reorg_since(before) })
    }

    /// Takes blocks that were too early and are not any more, each with who offered it. To be called about once a second.
    pub fn advance(&mut self, now: Timestamp) -> Vec<(Option<u64>, Result<Accepted, BlockError>)> {
        let due = self.early.take_due(now).into_iter();
        let due: Vec<_> = due.map(|waited| (waited.source, recheck(&self.judge, &self.index, waited))).collect();
        let take = |checked: Result<Checked, BlockError>| self.submit_checked(now, checked?);
        let (sources, checked): (Vec<_>, Vec<_>) = due.into_iter().unzip();
        std::iter::zip(sources, checked.into_iter().map(take)).collect()
    }

    /// Tells whether there are blocks for [`Self::take_ready`].
    pub fn has_ready(&self) -> bool {
        self.waiting.has_ready() && !self.judge.is_dear()
    }

    /// Takes up to `max` blocks that had waited for a parent that has come, to be submitted, each with who offered it: the oldest of each who offered
    /// some, then the next of each.
    pub fn take_ready(&mut self, max: usize) -> Vec<(Option<u64>, Result<Checked, BlockError>)> {
        let max = if self.has_ready() { max } else { 0 };
        let ready = self.waiting.take_ready(max).into_iter();
        ready.map(|waited| (waited.source, recheck(&self.judge, &self.index, waited))).collect()
    }

    /// Tells whether there are blocks for [`Self::take_unchecked`].
    pub fn has_unchecked(&self) -> bool {
        self.waiting.has_ready() && self.judge.is_dear()
    }

    /// The same as [`Self::take_ready`] where digests are dear, so that they are computed beside the chain: these are to be checked first.
    pub fn take_unchecked(&mut self, max: usize) -> Vec<Waited> {
        self.waiting.take_ready(if self.has_unchecked() { max } else { 0 })
    }

    /// Drops what waits of one who offered an invalid block, where digests are dear: no more of them are computed for a liar.
    pub fn blame(&mut self, source: Option<u64>) {
        if self.judge.is_dear() {
            self.waiting.drop_source(source);
        }
    }

    /// Judges a transaction and lets it wait for a block. When this returns `Ok`, it survives `kill -9`.
    pub fn submit_transaction(&mut self, now: Timestamp, transaction: Transaction) -> Result<TxId, MempoolError> {
        let mut answers = self.submit_transactions(now, vec![transaction])?;
        answers.pop().expect("one transaction has one answer")
    }

    /// The same for many, with one commit. One answer for each.
    pub fn submit_transactions(
        &mut self,
        now: Timestamp,
        transactions: Vec<Transaction>,
    ) -> Result<Vec<Result<TxId, MempoolError>>, StorageError> {
        self.check_whole()?;
        let law = Law { signed: &self.signed, rules: &self.config.ledger };
        let height = next_height(&self.index);
        let coins = StoredCoins(&*self.storage);
        let mut batch = Batch::default();
        let mut answers = Vec::with_capacity(transactions.len());
        for transaction in transactions {
            let offer = Offer { transaction, since: now, signed: false };
            answers.push(self.mempool.admit(&coins, law, height, offer).map(|admitted| {
                let pending = admitted.pending;
                admitted.removed.iter().for_each(|id| batch.delete(Table::Mempool, id.to_bytes()));
                let record = PendingRecord { since: pending.since, transaction: pending.transaction.clone() };
                batch.put(Table::Mempool, pending.id.to_bytes(), record.to_bytes());
                pending.id
            }));
        }
        self.commit(batch)?;
        Ok(answers)
    }

    /// Returns work for a miner: from the cache while tips and mempool stand.
    pub fn template(&mut self, now: Timestamp, request: &TemplateRequest) -> Result<Arc<WorkTemplate>, TemplateError> {
        let (templates, source) = self.templates();
        templates.template(&source, now, request)
    }

    /// Chooses the next block's transactions, so that the next template finds them chosen. Tells whether they were not chosen already.
    pub fn choose_transactions(&mut self) -> bool {
        let (templates, source) = self.templates();
        templates.choose(&source)
    }

    /// Puts a solution into a template: the block to submit.
    pub fn assemble(&self, template: &WorkTemplate, solution: Solution) -> Result<Block, TemplateError> {
        template.assemble(&*self.judge.rules, solution)
    }

    /// Returns what the next block must have: difficulty, height, subsidy. `difficulty` asks for another than the one computed.
    pub fn requirements(&mut self, difficulty: Option<u64>) -> Result<Requirements, TemplateError> {
        let (templates, source) = self.templates();
        templates.requirements(&source, difficulty)
    }

    /// Changes what a node chooses while it runs: what has no room any more goes, the worst first.
    pub fn set_limits(
        &mut self,
        mempool: MempoolLimits,
        orphans: OrphanLimits,
        templates: TemplateLimits,
        placement_bytes_max: usize,
    ) -> Result<(), StorageError> {
        self.check_whole()?;
        let mut batch = Batch::default();
        self.mempool.set_limits(mempool.clone()).iter().for_each(|id| batch.delete(Table::Mempool, id.to_bytes()));
        self.waiting.set_limits(orphans.clone());
        self.early.set_limits(orphans.clone());
        self.templates.set_limits(templates.clone());
        (self.config.mempool, self.config.orphans, self.config.templates) = (mempool, orphans, templates);
        self.config.placement_bytes_max = placement_bytes_max;
        self.index.set_placement_bytes(placement_bytes_max);
        self.commit(batch)
    }

    /// Returns the selected tip.
    pub fn tip(&self) -> KnownBlock {
        self.index.tip()
    }

    /// Returns a number that grows with every change of the selected tip, also across restarts. A template with another is stale.
    pub fn state_version(&self) -> u64 {
        self.state_version
    }

    /// Returns the transactions that wait.
    pub fn mempool(&self) -> &Mempool {
        &self.mempool
    }

    /// Returns how many blocks wait for a parent or for their time, and their bytes.
    pub fn waiting(&self) -> (usize, usize) {
        let (orphans, early) = (self.waiting.size(), self.early.size());
        (orphans.0 + early.0, orphans.1 + early.1)
    }

    /// Returns a handle for questions, which any thread may keep.
    pub fn reader(&self) -> ChainReader {
        ChainReader::new(self.storage.clone(), self.index.clone(), self.config.ledger.clone())
    }

    /// Returns a checker of blocks for another thread, with a hash engine of its own.
    pub fn checker(&self, hash: Box<dyn HashEngine>) -> Checker {
        Checker::new(Arc::clone(&self.judge.rules), hash, Arc::clone(&self.index), self.config.ledger.clone())
    }

    /// Returns what the chain was opened with.
    pub fn config(&self) -> &ChainConfig {
        &self.config
    }

    /// Returns the blocks in memory, as plugins see them.
    pub fn index(&self) -> &Arc<BlockIndex> {
        &self.index
    }

    /// Returns the templates, and what they are made from.
    fn templates(&mut self) -> (&mut TemplateCache, Source<'_>) {
        let source = Source {
            rules: &*self.judge.rules,
            index: &self.index,
            storage: &*self.storage,
            mempool: &self.mempool,
            ledger: &self.config.ledger,
            state_version: self.state_version,
        };
        (&mut self.templates, source)
    }

    /// Judges one block, keeps it, and follows it if it is better. `Ok` says that it is kept and, as far as the ledger judged it, valid.
    fn take(&mut self, now: Timestamp, checked: Checked) -> Result<BlockId, BlockError> {
        self.check_whole()?;
        let Checked { block, view, pow, source } = checked;
        let id = view.id;
        check_unknown(&self.index, id)?;
        if self.index.is_deep(&view, self.config.orphans.fork_depth_max) {
            return Err(BlockError::Deep { id });
        }
        // A header that came before its body was placed then.
        let placement = self.index.indexed(id).map(|known| known.placement);
        let (placement, block) = match placement {
            Some(placement) => (placement, block),
            None => self.place(now, Checked { block, view: view.clone(), pow, source })?,
        };
        let rules = &self.config.ledger;
        let judged =
            check_merging(&placement.merge_set, rules).and_then(|()| check_body(&block.body, placement.height, rules));
        let violation = judged.err();
        self.keep(block, view, placement, violation)?;
        match self.index.violation(id) {
            None => Ok(id),
            Some(violation) => {
                self.waiting.drop_above(id);
                Err(BlockError::Invalid { id: Some(id), violation })
            }
        }
    }

    /// Has the rules place a new block, or lets it wait.
    fn place(&mut self, now: Timestamp, checked: Checked) -> Result<(Placement, Block), BlockError> {
        let Checked { block, view, pow, source } = checked;
        let id = view.id;
        if view.parents.is_empty() {
            return Err(BlockError::Invalid { id: Some(id), violation: second_genesis() });
        }
        for parent in &view.parents {
            if !self.index.contains(*parent) {
                self.waiting.add(id, Waited { block, source, pow: None }, Until::Parent(*parent));
                return Err(BlockError::Orphan { id, missing: *parent });
            }
            if let Some(violation) = self.index.violation(*parent) {
                self.waiting.drop_above(id);
                return Err(BlockError::Invalid { id: Some(id), violation: standing_on(*parent, violation) });
            }
        }
        let pow = match pow {
            Some(pow) => pow,
            // Its parents have come since it was checked. Whoever checks what is ready has it hashed beside this thread.
            None if self.judge.is_dear() => {
                let missing = view.parents[0];
                self.waiting.add(id, Waited { block, source, pow: None }, Until::Check);
                return Err(BlockError::Orphan { id, missing });
            }
            None => self.judge.digest_of(&view)?,
        };
        let placement = match self.judge.place_one(&self.index, &block.header, &view, pow)? {
            Ok(placement) => placement,
            Err(violation) => {
                self.waiting.drop_above(id);
                return Err(BlockError::Invalid { id: Some(id), violation });
            }
        };
        let valid_from = placement.valid_from;
        if valid_from > now {
            let ahead = valid_from.to_millis() - now.to_millis();
            let near = ahead <= self.config.orphans.early_ms_max;
            let kept = near && self.early.add(id, Waited { block, source, pow: Some(pow) }, Until::Time(valid_from));
            return Err(BlockError::Early { id, valid_from, kept });
        }
        Ok((placement, block))
    }

    /// Adds a placed block to index and storage, and follows it if it is better, unless it is one of a group that is followed when all of it is kept.
    fn keep(
        &mut self,
        block: Block,
        view: HeaderView,
        placement: Placement,
        violation: Option<Violation>,
    ) -> Result<(), StorageError> {
        let id = view.id;
        let sequence = self.index.insert(&view, &placement, false);
        if let Some(violation) = &violation {
            self.index.invalidate(id, violation);
        }
        self.index.add_body(id);
        let Block { header, body } = block;
        let record = HeaderRecord { header, sequence, body: true, violation, view, placement };
        let mut staged = Batch::default();
        staged.put(Table::Headers, id.to_bytes(), record.to_bytes());
        staged.put(Table::Bodies, id.to_bytes(), body.to_bytes());
        let fresh = Fresh { record, body: Arc::new(body) };
        let kept = match &mut self.unfollowed {
            Some(unfollowed) => {
                unfollowed.push(fresh);
                self.check_whole().and_then(|()| self.storage.commit(staged))
            }
            None => self.follow(staged, &[fresh]),
        };
        self.note(kept)?;
        self.index.settle();
        Ok(())
    }

    fn reorg_since(&self, from: BlockId) -> Option<Reorg> {
        let to = self.index.tip_id();
        let path = self.index.path(from, to);
        (from != to).then_some(Reorg { from, to, disconnected: path.down, connected: path.up })
    }

    /// Commits, and stops everything when that fails.
    fn commit(&mut self, batch: Batch) -> Result<(), StorageError> {
        if batch.changes.is_empty() {
            return Ok(());
        }
        let committed = self.check_whole().and_then(|()| self.storage.commit(batch));
        self.note(committed)
    }

    fn note<T>(&mut self, result: Result<T, StorageError>) -> Result<T, StorageError> {
        if let Err(error) = &result {
            self.broken = Some(error.clone());
        }
        result
    }

    fn check_whole(&self) -> Result<(), StorageError> {
        self.broken.clone().or_else(|| self.index.failure()).map_or(Ok(()), Err)
    }
}

/// Returns the least height of the next block.
fn next_height(index: &BlockIndex) -> Height {
    Height(index.tip().height.0.saturating_add(1))
}
