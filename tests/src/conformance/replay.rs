//! A recorded chain in memory, and headers judged in batches above it.

use super::{Example, Subject};
use adit_primitives::contract::{Candidate, HeaderView, KnownBlock, Placement, Requirements, Violation};
use adit_primitives::engine::{ChainView, RulesEngine, SharedView};
use adit_primitives::{BlockId, Hash256, Height, Timestamp, Work};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Headers judged in one call.
const BATCH: usize = 1000;

/// One chain without branches. May have gaps: it shows what it holds.
#[derive(Debug, Clone, Default)]
pub struct RecordedChain {
    horizon: Height,
    blocks: BTreeMap<Height, KnownBlock>,
    heights: HashMap<BlockId, Height>,
}

impl RecordedChain {
    /// Makes a chain whose history below `horizon` was cut off.
    pub fn from_horizon(horizon: Height) -> Self {
        Self { horizon, ..Self::default() }
    }

    /// Puts a block at its height.
    pub fn add(&mut self, block: KnownBlock) {
        self.heights.insert(block.id, block.height);
        self.blocks.insert(block.height, block);
    }

    /// Returns the block at `height`.
    pub fn at(&self, height: Height) -> Option<&KnownBlock> {
        self.blocks.get(&height)
    }

    /// Returns the highest block.
    pub fn tip(&self) -> Option<&KnownBlock> {
        self.blocks.values().next_back()
    }

    /// Lends the chain as it stands.
    pub fn share(&self) -> SharedView {
        Arc::new(self.clone())
    }
}

impl ChainView for RecordedChain {
    fn horizon(&self) -> Height {
        self.horizon
    }

    fn block(&self, id: BlockId) -> Option<KnownBlock> {
        self.at(*self.heights.get(&id)?).cloned()
    }

    fn is_ancestor(&self, ancestor: BlockId, descendant: BlockId) -> bool {
        let height = |id| self.heights.get(&id);
        height(ancestor).zip(height(descendant)).is_some_and(|(above, below)| above <= below)
    }

    fn selected_past(&self, from: BlockId, count: u32) -> Vec<KnownBlock> {
        let Some(from) = self.heights.get(&from) else { return Vec::new() };
        let down = (0..=from.0).rev().map(|height| self.at(Height(height)));
        down.map_while(Option::<&KnownBlock>::cloned).take(count as usize).collect()
    }

    fn selected_ancestor(&self, from: BlockId, height: Height) -> Option<KnownBlock> {
        let from = self.heights.get(&from)?;
        self.at(height).filter(|block| block.height <= *from).cloned()
    }
}

/// A chain of `examples/`, judged by a subject.
pub struct Replay<'a> {
    subject: &'a dyn Subject,
    hash: String,
    rules: Arc<dyn RulesEngine>,
    pub chain: RecordedChain,
}

/// The header at which a run ended, by its place in the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub index: usize,
    pub rule: String,
}

impl<'a> Replay<'a> {
    /// Begins with no block at all.
    pub fn new(subject: &'a dyn Subject, example: &Example) -> Self {
        let rules = subject.rules(&example.consensus, &example.config);
        Self { subject, hash: example.hash.clone(), rules, chain: RecordedChain::default() }
    }

    /// Begins with `header`, which nobody judges, as the oldest block.
    pub fn from_middle(subject: &'a dyn Subject, example: &Example, header: &[u8], height: Height) -> Self {
        let mut replay = Self::new(subject, example);
        replay.chain = RecordedChain::from_horizon(height);
        let view = replay.decode(&[header.to_vec()]).remove(0).expect("a recorded header decodes");
        replay.chain.add(known(&view, height, Work::ZERO));
        replay
    }

    /// Goes on from blocks that are there already.
    pub fn with_chain(self, chain: RecordedChain) -> Self {
        Self { chain, ..self }
    }

    /// Judges headers in batches, adding those that are valid, up to the first that is not.
    pub fn run(&mut self, headers: &[Vec<u8>]) -> Result<(), Refused> {
        for (number, batch) in headers.chunks(BATCH).enumerate() {
            let views = self.decode(batch);
            let placements = self.place(batch);
            for (index, (view, placement)) in views.into_iter().zip(placements).enumerate() {
                match placement {
                    Ok(placement) => self.chain.add(placed(&view.expect("what was placed decodes"), placement)),
                    Err(Violation { rule, .. }) => return Err(Refused { index: number * BATCH + index, rule }),
                }
            }
        }
        Ok(())
    }

    /// Reads headers.
    pub fn decode(&self, headers: &[Vec<u8>]) -> Vec<Result<HeaderView, Violation>> {
        self.rules.decode(headers).expect("the plugin answers")
    }

    /// Judges headers above the chain as it stands.
    pub fn place(&self, headers: &[Vec<u8>]) -> Vec<Result<Placement, Violation>> {
        let digests = self.digests(headers);
        let pairs = headers.iter().zip(digests);
        let candidates: Vec<_> = pairs.map(|(header, pow)| Candidate { header: header.clone(), pow }).collect();
        self.rules.place(&self.chain.share(), &candidates).expect("the plugin answers")
    }

    /// Returns what the block above the tip must have.
    pub fn next(&self) -> Requirements {
        let tip = self.chain.tip().expect("the chain has a block").id;
        let answer = self.rules.next(&self.chain.share(), &[tip], None).expect("the plugin answers");
        answer.expect("the chain goes on")
    }

    fn digests(&self, headers: &[Vec<u8>]) -> Vec<Hash256> {
        let pairs = headers.iter().zip(self.decode(headers));
        let inputs: Vec<_> = pairs.map(|(header, view)| view.map_or(header.clone(), |view| view.pow.bytes)).collect();
        let each = inputs.iter().map(Vec::len).max().unwrap_or(0);
        self.subject.digests(&self.hash, &inputs.concat(), each)
    }
}

/// Returns a block of recorded facts that no plugin has placed.
pub fn known(view: &HeaderView, height: Height, work: Work) -> KnownBlock {
    KnownBlock {
        id: view.id,
        parents: view.parents.clone(),
        selected_parent: view.parents.first().copied(),
        merge_set: Vec::new(),
        time: view.time,
        bits: view.bits,
        height,
        work,
        state: Vec::new(),
    }
}

/// Returns a block of which time and bits alone are known. Its id is its height.
pub fn bare(height: Height, time: Timestamp, bits: u32) -> KnownBlock {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&height.0.to_le_bytes());
    let id = BlockId(id);
    KnownBlock {
        id,
        parents: Vec::new(),
        selected_parent: None,
        merge_set: Vec::new(),
        time,
        bits,
        height,
        work: Work::ZERO,
        state: Vec::new(),
    }
}

fn placed(view: &HeaderView, placement: Placement) -> KnownBlock {
    KnownBlock {
        id: view.id,
        parents: view.parents.clone(),
        selected_parent: placement.selected_parent,
        merge_set: placement.merge_set,
        time: view.time,
        bits: view.bits,
        height: placement.height,
        work: placement.work,
        state: placement.state,
    }
}
