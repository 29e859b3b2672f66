//! Every block of the simulation, placed once by the chain's rules: a verdict depends on a block and its past alone, so all nodes
//! share it. Which blocks a node knows is the node's ([`crate::knowledge`]).
//!
//! Blocks are numbered as they are found: parents have smaller numbers than their children.

use crate::scenario::Micros;
use crate::transaction::transaction_bytes;
use adit_chain::{BlockIndex, HeaderChain, HeaderError};
use adit_primitives::contract::{Draft, PowInput, Requirements, Violation};
use adit_primitives::engine::{ChainView, Fault, HashEngine, RulesEngine, SharedView};
use adit_primitives::{BlockId, Encode, Hash256, Height, Target, Timestamp, Work};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The number of the genesis.
pub const GENESIS: u32 = 0;
/// What a block has beside its header and its payments: lengths, and a coinbase.
const COINBASE_BYTES: usize = 160;
/// A transaction so far below the tip is taken as settled.
const SETTLED_DEPTH: u64 = 30;

/// See the module.
pub struct Tree {
    rules: Arc<dyn RulesEngine>,
    /// Only ever reached from one thread: the lock makes the rest of the tree fit to be read by several.
    chain: Mutex<HeaderChain>,
    index: Arc<BlockIndex>,
    blocks: Vec<Block>,
    by_id: HashMap<BlockId, u32>,
    by_header: HashMap<Bytes, u32>,
    /// Blocks that a transaction is in.
    included: HashMap<u64, Vec<u32>>,
    settled: u64,
}

/// A block.
#[derive(Debug)]
pub struct Block {
    pub id: BlockId,
    pub header: Bytes,
    pub parents: Vec<u32>,
    pub selected_parent: u32,
    pub height: Height,
    pub work: Work,
    pub tie: Hash256,
    pub valid_from: Timestamp,
    /// How many blocks it merges beside its selected parent, and how many of them red.
    pub merged: usize,
    pub red: usize,
    /// When it was found, and by which node.
    pub found: Micros,
    pub node: u32,
    /// The expected hashes of finding it, and the difficulty in the chain's own unit.
    pub hashes: f64,
    pub difficulty: String,
    pub transactions: Vec<u64>,
    /// Header and body.
    pub bytes: usize,
}

/// What a block is made of, beside what the rules ask for.
#[derive(Debug)]
pub struct Find {
    pub node: u32,
    pub found: Micros,
    /// By the finder's clock.
    pub time: Timestamp,
    /// Makes the block another than all others.
    pub nonce: u64,
    pub transactions: Vec<u64>,
}

/// Why the rules do not carry a simulation.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("the rules refuse a block made as they ask for it: {0}")]
    Refused(#[from] Violation),
    #[error("{0} did not come back from the rules")]
    Missing(&'static str),
}

/// A proof of work that is taken as given: a digest below any target.
struct Given;

impl HashEngine for Given {
    fn digest_many(&mut self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) -> Result<(), Fault> {
        digests.extend(inputs.chunks(each.max(1)).map(|_| Hash256::default()));
        Ok(())
    }

    fn search(
        &mut self,
        _: &adit_primitives::contract::SearchJob,
        _: u64,
        count: u64,
    ) -> Result<adit_primitives::contract::Scan, Fault> {
        Ok(adit_primitives::contract::Scan { scanned: count, found: Vec::new() })
    }
}

impl Tree {
    /// Starts with the genesis.
    pub fn new(rules: Arc<dyn RulesEngine>) -> Result<Self, RulesError> {
        let chain = HeaderChain::from_genesis(Arc::clone(&rules), Box::new(Given))?;
        let header = rules.genesis()?;
        let index = Arc::clone(chain.index());
        let genesis = index.tip_id();
        let mut tree = Self {
            rules,
            chain: Mutex::new(chain),
            index,
            blocks: Vec::new(),
            by_id: HashMap::new(),
            by_header: HashMap::new(),
            included: HashMap::new(),
            settled: 0,
        };
        let find = Find { node: 0, found: 0, time: Timestamp::default(), nonce: 0, transactions: Vec::new() };
        tree.add(genesis, header, find, Target::MAX, String::new())?;
        Ok(tree)
    }

    /// Returns a block.
    pub fn block(&self, number: u32) -> &Block {
        &self.blocks[number as usize]
    }

    /// Returns the ids of blocks.
    pub fn ids(&self, numbers: &[u32]) -> Vec<BlockId> {
        numbers.iter().map(|number| self.block(*number).id).collect()
    }

    /// Returns how many blocks there are.
    pub fn count(&self) -> u32 {
        u32::try_from(self.blocks.len()).expect("blocks are numbered by 32 bits")
    }

    /// Returns the number of a block.
    pub fn number(&self, id: &BlockId) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    /// Returns the number of the block with this header.
    pub fn number_of_header(&self, header: &Bytes) -> Option<u32> {
        self.by_header.get(header).copied()
    }

    /// Tells whether one block is the other or in its past.
    pub fn is_ancestor(&self, ancestor: u32, descendant: u32) -> bool {
        match ancestor.cmp(&descendant) {
            std::cmp::Ordering::Equal => true,
            std::cmp::Ordering::Greater => false,
            std::cmp::Ordering::Less => {
                ancestor == GENESIS || self.index.is_ancestor(self.block(ancestor).id, self.block(descendant).id)
            }
        }
    }

    /// Tells whether fork choice prefers a block to another that was seen before it.
    pub fn beats(&self, block: u32, other: u32) -> bool {
        let rank = |number: u32| (self.block(number).work, self.block(number).tie);
        rank(block) > rank(other)
    }

    /// Returns the newest block of the selected chain of `from` that is not above `height`.
    pub fn selected_ancestor(&self, from: u32, height: Height) -> u32 {
        let known = self.index.selected_ancestor(self.block(from).id, height);
        known.and_then(|known| self.number(&known.id)).unwrap_or(GENESIS)
    }

    /// Goes down the selected chain of a block, from the block itself to the genesis.
    pub fn selected_chain(&self, from: u32) -> impl Iterator<Item = u32> {
        let below = |number: &u32| (*number != GENESIS).then(|| self.block(*number).selected_parent);
        std::iter::successors(Some(from), below)
    }

    /// Returns what the rules ask of a block over these tips, best first.
    pub fn required(&self, tips: &[u32]) -> Result<Requirements, RulesError> {
        let view: SharedView = Arc::clone(&self.index) as SharedView;
        let ids = self.ids(tips);
        let required = self.rules.next(&view, &ids, None)??;
        // Rules that prefer another tip than the node selected are shown that one alone, as a node does.
        if required.parents.contains(&ids[0]) {
            Ok(required)
        } else {
            Ok(self.rules.next(&view, &ids[..1], None)??)
        }
    }

    /// Makes a block as the rules asked for it, and places it.
    pub fn find(&mut self, required: Requirements, find: Find) -> Result<u32, RulesError> {
        let time = required.earliest.max(find.time);
        let mut root = Hash256::default();
        root.0[..8].copy_from_slice(&find.nonce.to_le_bytes());
        root.0[8..12].copy_from_slice(&self.count().to_le_bytes());
        let draft = Draft { parents: required.parents, bits: required.bits, time, body_root: root };
        let template = self.rules.encode(&draft)??;
        let header =
            self.rules.seal(&template.header, find.nonce & nonces(&template.pow), unrolled(&template.pow))??;
        let view = self.rules.decode(std::slice::from_ref(&header))?.pop().ok_or(RulesError::Missing("a header"))??;
        self.chain.get_mut().unwrap_or_else(PoisonError::into_inner).append(std::slice::from_ref(&header))?;
        self.add(view.id, header, find, template.target, required.difficulty)
    }

    fn add(
        &mut self,
        id: BlockId,
        header: Vec<u8>,
        find: Find,
        target: Target,
        difficulty: String,
    ) -> Result<u32, RulesError> {
        let indexed = self.index.indexed(id).ok_or(RulesError::Missing("a placed block"))?;
        let number = self.count();
        let header = Bytes::from(header);
        let payments: usize = find.transactions.iter().map(|number| transaction_bytes(*number)).sum();
        let placement = indexed.placement;
        for transaction in &find.transactions {
            self.included.entry(*transaction).or_default().push(number);
        }
        self.by_id.insert(id, number);
        self.by_header.insert(header.clone(), number);
        self.blocks.push(Block {
            id,
            parents: indexed.known.parents.iter().filter_map(|parent| self.number(parent)).collect(),
            selected_parent: placement.selected_parent.and_then(|id| self.number(&id)).unwrap_or(GENESIS),
            height: placement.height,
            work: placement.work,
            tie: placement.tie,
            valid_from: placement.valid_from,
            merged: placement.merge_set.len(),
            red: placement.merge_set.iter().filter(|merged| !merged.blue).count(),
            found: find.found,
            node: find.node,
            hashes: expected_hashes(target),
            difficulty,
            transactions: find.transactions,
            bytes: 8 + header.len() + COINBASE_BYTES + payments,
            header,
        });
        self.settle();
        Ok(number)
    }

    /// Returns a block's bytes: the header with its length, and as much more as coinbase and payments take.
    pub fn bytes_of(&self, number: u32) -> Bytes {
        let block = self.block(number);
        let mut bytes = Vec::with_capacity(block.bytes);
        block.header.as_ref().encode(&mut bytes);
        bytes.resize(block.bytes, 0);
        bytes.into()
    }

    /// Tells whether bytes are a block: the header that belongs to the number, and as long as it is.
    pub fn is_block(&self, number: u32, bytes: &Bytes) -> bool {
        let block = self.block(number);
        bytes.len() == block.bytes && bytes.get(4..4 + block.header.len()) == Some(block.header.as_ref())
    }

    /// Tells whether a transaction is in a block of a block's past.
    pub fn confirmed(&self, transaction: u64, tip: u32) -> bool {
        let blocks = self.included.get(&transaction);
        blocks.is_some_and(|blocks| blocks.iter().any(|block| self.is_ancestor(*block, tip)))
    }

    /// Returns a number below which all transactions are settled.
    pub fn settled(&self) -> u64 {
        self.settled
    }

    /// Forgets in which blocks transactions are that nobody will doubt any more.
    fn settle(&mut self) {
        let Some(best) = self.number(&self.index.tip_id()) else { return };
        let deep = self.block(best).height.0.saturating_sub(SETTLED_DEPTH);
        while self
            .included
            .get(&self.settled)
            .is_some_and(|blocks| blocks.iter().any(|block| self.block(*block).height.0 < deep))
        {
            self.included.remove(&self.settled);
            self.settled += 1;
        }
    }

    /// Returns the block that fork choice prefers among all.
    pub fn best(&self) -> u32 {
        self.number(&self.index.tip_id()).unwrap_or(GENESIS)
    }

    /// Returns the time of the genesis by its header, in milliseconds.
    pub fn genesis_millis(&self) -> u64 {
        self.index.block(self.block(GENESIS).id).map_or(0, |known| known.time.to_millis())
    }
}

/// Returns the numbers that a nonce field holds, as a mask.
fn nonces(pow: &PowInput) -> u64 {
    1_u64.checked_shl(8 * pow.nonce_bytes).map_or(u64::MAX, |end| end - 1)
}

/// Returns the rolled field as it stands in the bytes.
fn unrolled(pow: &PowInput) -> u32 {
    let offset = pow.roll_offset as usize;
    pow.bytes.get(offset..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Returns the expected hashes of meeting a target.
pub fn expected_hashes(target: Target) -> f64 {
    f64::from(target.work().0)
}
