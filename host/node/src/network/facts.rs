//! What the machine asks and is told at once: the chain's index, and which transactions were seen.

use adit_chain::{BlockStatus, ChainReader};
use adit_network::wire::Locator;
use adit_network::{BlockState, Facts, Tip};
use adit_primitives::contract::KnownBlock;
use adit_primitives::{BlockId, TxId, Work};
use std::collections::HashSet;

/// The most transactions of a generation that are remembered.
const SEEN_MAX: usize = 50_000;

/// Branches with more work than the tip that are looked at.
const HEADS_MAX: usize = 4;

/// Tips beside the best header that a locator names.
const TIPS_MAX: usize = 16;

/// The chain as the machine sees it.
pub struct ChainFacts {
    reader: ChainReader,
    seen: Seen,
}

/// Transactions that came, in two generations: the older one goes when the newer is full.
#[derive(Default)]
struct Seen {
    newer: HashSet<TxId>,
    older: HashSet<TxId>,
}

impl ChainFacts {
    pub fn new(reader: ChainReader) -> Self {
        Self { reader, seen: Seen::default() }
    }

    /// Notes a transaction that waits or was judged: nobody needs to be asked for it.
    pub fn saw(&mut self, id: TxId) {
        if self.seen.newer.len() >= SEEN_MAX {
            self.seen.older = std::mem::take(&mut self.seen.newer);
        }
        self.seen.newer.insert(id);
    }
}

fn tip_of(block: &KnownBlock) -> Tip {
    Tip { id: block.id, work: block.work, height: block.height }
}

impl Facts for ChainFacts {
    fn block(&self, id: &BlockId) -> BlockState {
        match self.reader.status(*id) {
            None => BlockState::Unknown,
            Some(BlockStatus::Header) => BlockState::Header,
            Some(BlockStatus::Body | BlockStatus::Valid) => BlockState::Whole,
            Some(BlockStatus::Invalid) => BlockState::Invalid,
        }
    }

    fn work(&self, id: &BlockId) -> Option<Work> {
        self.reader.indexed(*id).map(|block| block.known.work)
    }

    fn tip(&self) -> Tip {
        tip_of(&self.reader.tip())
    }

    fn best_header(&self) -> Tip {
        tip_of(&self.reader.best_header())
    }

    fn locator(&self) -> Locator {
        let tips = self.reader.tips(TIPS_MAX).into_iter().map(|tip| tip.id).collect();
        Locator { blocks: self.reader.locator(), tips }
    }

    fn forgettings(&self) -> u64 {
        self.reader.forgettings()
    }

    fn lacking(&self, max: usize, out: &mut Vec<BlockId>) {
        let best = self.reader.lacking_bodies(self.reader.best_header().id, max);
        let before = out.len();
        out.extend(best);
        if out.len() > before {
            return;
        }
        // Nothing is missing on the way to the best: then on the way to whatever else has more work than the tip.
        for head in self.reader.heads_ahead(HEADS_MAX) {
            out.extend(self.reader.lacking_bodies(head.id, max.saturating_sub(out.len() - before)));
        }
    }

    fn transaction(&self, id: &TxId) -> bool {
        self.seen.newer.contains(id) || self.seen.older.contains(id)
    }
}
