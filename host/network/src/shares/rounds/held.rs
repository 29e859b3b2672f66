//! Batches at hand that are not in a certified round yet, and what is known of them.
//!
//! Bounded for each node, by [`super::room`].

use super::room::{Parcel, Room};
use crate::id::NodeId;
use crate::shares::batch::{BatchId, SealedBatch};
use crate::shares::judge::{BatchVerdict, Which};
use crate::shares::record::ShareId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most batches that are remembered to be wrong though they had to make room.
const WRONG_MAX: usize = 1_024;

const FIRST_ID: BatchId = BatchId([0; 32]);
const LAST_ID: BatchId = BatchId([u8::MAX; 32]);

#[derive(Debug, Default)]
pub(super) struct Held {
    items: BTreeMap<BatchId, Item>,
    /// Each node's batches, in the order in which they came.
    order: BTreeSet<(NodeId, u64, BatchId)>,
    room: Room,
    /// Batches that were wrong and made room, each with the number it had.
    wrong: BTreeMap<BatchId, u64>,
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

    /// Tells whether there is room for a batch as things are.
    pub fn has_room(&self, batch: &SealedBatch, is_weighty: bool) -> bool {
        self.room.fits(&parcel(batch, is_weighty))
    }

    /// Returns which batches have to make room for one for which there is none: `None` where none do. Those that are `named` by a proposal
    /// stay, and so do those that are being recomputed: what waits to be hashed is bounded as the room is.
    pub fn make_room(&self, batch: &SealedBatch, is_weighty: bool, named: &BTreeSet<BatchId>) -> Option<Vec<BatchId>> {
        let free = |node| {
            // The newest goes first: the oldest may be in the next proposal already.
            let its = self.order.range((node, 0, FIRST_ID)..=(node, u64::MAX, LAST_ID)).rev();
            its.filter_map(|(_, _, id)| {
                let item = &self.items[id];
                let is_free = item.is_weighty == is_weighty && item.awaited == 0 && !named.contains(id);
                is_free.then(|| (*id, item.batch.bytes().len()))
            })
        };
        self.room.make(&parcel(batch, is_weighty), named.contains(&batch.id()), free)
    }

    /// Takes a batch in.
    pub fn insert(&mut self, batch: Arc<SealedBatch>, which: Which, is_weighty: bool) {
        let (number, standing) = (self.count, Standing::Judging);
        self.count += 1;
        self.room.add(parcel(&batch, is_weighty));
        self.order.insert((batch.batch().node, number, batch.id()));
        let item = Item { batch, number, standing, shares: None, which, awaited: 1, is_weighty };
        self.items.insert(item.batch.id(), item);
    }

    /// Tells whether a batch was found wrong here.
    pub fn is_wrong(&self, id: &BatchId) -> bool {
        self.wrong.contains_key(id)
            || self.items.get(id).is_some_and(|item| matches!(item.standing, Standing::Wrong { .. }))
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
        for item in ids.iter().filter_map(|id| self.items.remove(id)) {
            self.room.remove(parcel(&item.batch, item.is_weighty));
            self.order.remove(&(item.batch.batch().node, item.number, item.batch.id()));
        }
    }

    /// Forgets batches that make room; not which of them are wrong.
    pub fn push_out(&mut self, ids: &[BatchId]) {
        let is_wrong = |id: &&BatchId| self.is_wrong(id);
        let wrong: Vec<_> = ids.iter().filter(is_wrong).map(|id| (*id, self.items[id].number)).collect();
        self.wrong.extend(wrong);
        while self.wrong.len() > WRONG_MAX {
            let oldest = self.wrong.iter().min_by_key(|(_, number)| **number).map(|(id, _)| *id);
            oldest.map(|id| self.wrong.remove(&id));
        }
        self.remove(ids);
    }
}

fn parcel(batch: &SealedBatch, is_weighty: bool) -> Parcel {
    Parcel { node: batch.batch().node, bytes: batch.bytes().len(), is_weighty }
}

impl Item {
    /// Tells whether the batch was found valid.
    pub fn is_valid(&self) -> bool {
        self.standing == Standing::Valid
    }
}
