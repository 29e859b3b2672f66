//! Batches at hand that are not in a certified round yet, and what is known of them.
//!
//! Bounded for each node: nobody's batches push out another's.

use crate::id::NodeId;
use crate::shares::batch::{BatchId, SealedBatch};
use crate::shares::judge::{BatchVerdict, Which};
use crate::shares::record::ShareId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most bytes of batches of one node that has weight.
const NODE_BYTES_MAX: usize = 4 << 20;
/// The most bytes of batches of all nodes without weight together, and of one of them.
const STRANGERS_BYTES_MAX: usize = 8 << 20;
const STRANGER_BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Held {
    items: BTreeMap<BatchId, Item>,
    /// Numbers batches in the order in which they came.
    count: u64,
}

#[derive(Debug)]
pub(super) struct Item {
    pub batch: Arc<SealedBatch>,
    pub number: u64,
    pub standing: Standing,
    /// The ids of its shares, once the headers were built.
    pub shares: Option<Arc<Vec<ShareId>>>,
    /// Which shares are being hashed, or were.
    pub which: Which,
    /// How many verdicts are awaited.
    pub awaited: u32,
    is_weighty: bool,
}

/// What is known of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is being recomputed.
    Judging,
    /// It could not be judged; it is tried again.
    Later,
    Valid,
    Wrong {
        share: u16,
    },
}

impl Held {
    pub fn get(&self, id: &BatchId) -> Option<&Item> {
        self.items.get(id)
    }

    pub fn get_mut(&mut self, id: &BatchId) -> Option<&mut Item> {
        self.items.get_mut(id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&BatchId, &Item)> {
        self.items.iter()
    }

    /// Returns batches that were found valid here, in the order in which they came.
    pub fn valid(&self) -> Vec<&Item> {
        let mut valid: Vec<&Item> = self.items.values().filter(|item| item.is_valid()).collect();
        valid.sort_by_key(|item| item.number);
        valid
    }

    /// Takes a batch in, where there is room: `false` where there is none.
    pub fn insert(&mut self, batch: Arc<SealedBatch>, which: Which, is_weighty: bool) -> bool {
        let node = batch.batch().node;
        let of_node = self.bytes(|item| item.batch.batch().node == node) + batch.bytes().len();
        let fits = if is_weighty {
            of_node <= NODE_BYTES_MAX
        } else {
            let strangers = self.bytes(|item| !item.is_weighty) + batch.bytes().len();
            of_node <= STRANGER_BYTES_MAX && strangers <= STRANGERS_BYTES_MAX
        };
        if fits {
            let (number, standing) = (self.count, Standing::Judging);
            self.count += 1;
            let item = Item { batch, number, standing, shares: None, which, awaited: 1, is_weighty };
            self.items.insert(item.batch.id(), item);
        }
        fits
    }

    fn bytes(&self, of: impl Fn(&Item) -> bool) -> usize {
        self.items.values().filter(|item| of(item)).map(|item| item.batch.bytes().len()).sum()
    }

    /// Notes a verdict, and returns the batch's node where the batch is held and turned out wrong by it.
    pub fn note(&mut self, id: &BatchId, verdict: BatchVerdict) -> Option<(NodeId, u16)> {
        let item = self.items.get_mut(id)?;
        item.awaited = item.awaited.saturating_sub(1);
        match verdict {
            BatchVerdict::Valid { shares } => {
                item.shares = Some(Arc::new(shares));
                // A share that was found wrong stays so, whatever others are right.
                if !matches!(item.standing, Standing::Wrong { .. }) {
                    item.standing = Standing::Valid;
                }
                None
            }
            BatchVerdict::Wrong { share } => {
                let was = std::mem::replace(&mut item.standing, Standing::Wrong { share });
                (!matches!(was, Standing::Wrong { .. })).then(|| (item.batch.batch().node, share))
            }
            BatchVerdict::Unknown | BatchVerdict::Fault => {
                if item.standing == Standing::Judging {
                    item.standing = Standing::Later;
                }
                None
            }
        }
    }

    /// Marks what is to be tried again as being judged, and returns it.
    pub fn retry(&mut self) -> Vec<(Arc<SealedBatch>, Which)> {
        let later = self.items.values_mut().filter(|item| item.standing == Standing::Later);
        later
            .map(|item| {
                item.standing = Standing::Judging;
                item.awaited += 1;
                (Arc::clone(&item.batch), item.which.clone())
            })
            .collect()
    }

    /// Forgets batches.
    pub fn remove(&mut self, ids: &[BatchId]) {
        ids.iter().for_each(|id| drop(self.items.remove(id)));
    }
}

impl Item {
    /// Tells whether the batch was found valid.
    pub fn is_valid(&self) -> bool {
        self.standing == Standing::Valid
    }
}
