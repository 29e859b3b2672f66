//! A chain in memory, for the tests of consensus rules.

use crate::judge::{judge, known};
use crate::{
    BlockId, Candidate, ChainView, Consensus, Draft, Hash256, Height, KnownBlock, Placement, Requirements, Timestamp,
    Violation, sha256d,
};
use std::collections::{BTreeMap, BTreeSet};

/// More nonces than a test should try: an easier target is the remedy.
const NONCES_MAX: u64 = 1 << 24;

/// A chain in memory, judged by the rules under test. Every block that [`TestChain::place`] accepts is known to those after it.
pub struct TestChain<C> {
    rules: C,
    hash: fn(&[u8]) -> Hash256,
    blocks: BTreeMap<BlockId, Block>,
    genesis: BlockId,
}

struct Block {
    known: KnownBlock,
    placement: Placement,
    header: Vec<u8>,
}

impl<C: Consensus> TestChain<C> {
    /// Begins a chain with the genesis of the rules that `config` describes. Proofs of work are double SHA-256.
    ///
    /// # Panics
    /// Where the rules refuse the configuration or their own genesis.
    #[track_caller]
    pub fn new(config: &str) -> Self {
        Self::with_hash(config, |input| Hash256(sha256d(input)))
    }

    /// Begins a chain whose proofs of work are made by `hash`.
    ///
    /// # Panics
    /// Where the rules refuse the configuration or their own genesis.
    #[track_caller]
    pub fn with_hash(config: &str, hash: fn(&[u8]) -> Hash256) -> Self {
        let rules = crate::config::parse(config).and_then(C::new);
        let rules = rules.unwrap_or_else(|error| panic!("configuration is refused: {}: {}", error.key, error.detail));
        let genesis = rules.genesis();
        let mut chain = Self { rules, hash, blocks: BTreeMap::new(), genesis: BlockId::default() };
        chain.genesis = chain.place(&genesis).unwrap_or_else(|broken| panic!("genesis is refused: {broken}"));
        chain
    }

    /// Returns the rules under test.
    pub fn rules(&self) -> &C {
        &self.rules
    }

    /// Returns the id of the genesis.
    pub fn genesis(&self) -> BlockId {
        self.genesis
    }

    /// Returns the blocks that no other names as parent.
    pub fn tips(&self) -> Vec<BlockId> {
        let named: BTreeSet<&BlockId> = self.blocks.values().flat_map(|block| &block.known.parents).collect();
        self.blocks.keys().filter(|id| !named.contains(id)).copied().collect()
    }

    /// Returns the tip with the most work.
    pub fn best(&self) -> BlockId {
        let rank = |id: &BlockId| self.blocks.get(id).map(|block| (block.placement.work, block.placement.tie));
        self.tips().into_iter().max_by_key(rank).expect("there is the genesis")
    }

    /// Returns where a block stands.
    ///
    /// # Panics
    /// Where the block was never placed.
    #[track_caller]
    pub fn placement(&self, id: BlockId) -> &Placement {
        &self.blocks.get(&id).expect("the block was placed").placement
    }

    /// Returns a block's header.
    ///
    /// # Panics
    /// Where the block was never placed.
    #[track_caller]
    pub fn header(&self, id: BlockId) -> &[u8] {
        &self.blocks.get(&id).expect("the block was placed").header
    }

    /// Judges a header and keeps it where it is valid.
    pub fn place(&mut self, header: &[u8]) -> Result<BlockId, Violation> {
        let view = self.rules.decode(header)?;
        let candidate = Candidate { header: header.to_owned(), pow: self.digest(&view.pow.bytes) };
        let placement = judge(&self.rules, self, &[candidate]).pop().expect("one answer for one candidate")?;
        let block = Block { known: known(&view, &placement), placement, header: header.to_owned() };
        self.blocks.insert(view.id, block);
        Ok(view.id)
    }

    /// Returns what the next block over `tips` must have.
    pub fn next(&self, tips: &[BlockId]) -> Result<Requirements, Violation> {
        self.rules.next(self, tips, None)
    }

    /// Mines a block at `time` over the best tip, as the rules ask for it, and places it.
    pub fn mine(&mut self, time: Timestamp) -> Result<BlockId, Violation> {
        self.mine_over(&[self.best()], time)
    }

    /// Mines a block at `time` over `tips`, as the rules ask for it, and places it.
    pub fn mine_over(&mut self, tips: &[BlockId], time: Timestamp) -> Result<BlockId, Violation> {
        let next = self.next(tips)?;
        let header =
            self.solve(&Draft { parents: next.parents, bits: next.bits, time, body_root: Hash256::default() })?;
        self.place(&header)
    }

    /// Builds a header as drafted, right or wrong, with a proof of work that meets its target.
    ///
    /// # Panics
    /// Where none of the first 2^24 nonces meets the target.
    pub fn solve(&self, draft: &Draft) -> Result<Vec<u8>, Violation> {
        let template = self.rules.encode(draft)?;
        let mut bytes = template.pow.bytes.clone();
        if bytes.is_empty() {
            return Ok(template.header);
        }
        let start = template.pow.nonce_offset as usize;
        let length = template.pow.nonce_bytes as usize;
        let nonce = (0..NONCES_MAX).find(|nonce| {
            bytes[start..start + length].copy_from_slice(&nonce.to_le_bytes()[..length]);
            template.target.is_met_by(&self.digest(&bytes).0)
        });
        let nonce = nonce.expect("a target for tests is met within 2^24 nonces");
        let rolled = match template.pow.roll_mask {
            0 => 0,
            _ => {
                let start = template.pow.roll_offset as usize;
                u32::from_le_bytes(bytes[start..start + 4].try_into().expect("four bytes were taken"))
            }
        };
        self.rules.seal(&template.header, nonce, rolled)
    }

    fn digest(&self, input: &[u8]) -> Hash256 {
        if input.is_empty() { Hash256::default() } else { (self.hash)(input) }
    }

    fn selected_chain(&self, from: BlockId) -> impl Iterator<Item = &KnownBlock> {
        let block = |id: BlockId| self.blocks.get(&id).map(|block| &block.known);
        std::iter::successors(block(from), move |known| block(known.selected_parent?))
    }
}

impl<C: Consensus> ChainView for TestChain<C> {
    fn horizon(&self) -> Height {
        Height(0)
    }

    fn block(&self, id: BlockId) -> Option<KnownBlock> {
        self.blocks.get(&id).map(|block| block.known.clone())
    }

    fn is_ancestor(&self, ancestor: BlockId, descendant: BlockId) -> bool {
        let (mut seen, mut left) = (BTreeSet::new(), vec![descendant]);
        while let Some(id) = left.pop() {
            if let Some(block) = self.blocks.get(&id).filter(|_| seen.insert(id)) {
                left.extend(&block.known.parents);
            }
        }
        seen.contains(&ancestor)
    }

    fn selected_past(&self, from: BlockId, count: u32) -> Vec<KnownBlock> {
        self.selected_chain(from).take(count as usize).cloned().collect()
    }

    fn selected_ancestor(&self, from: BlockId, height: Height) -> Option<KnownBlock> {
        self.selected_chain(from).find(|block| block.height <= height).cloned()
    }
}
