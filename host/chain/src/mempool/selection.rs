//! Filling a block: packages in order of their fee rate, dependencies first.

use super::order::{MiningKey, Sums};
use super::{Mempool, Pending};
use adit_primitives::{Amount, TxId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// How many packages in a row may be found too large before a block counts as full.
const MISSES_MAX: usize = 200;

/// How much a block has room for, its coinbase left out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Canonical bytes.
    pub(crate) bytes: usize,
    pub(crate) transactions: usize,
}

/// What goes into a block.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    /// In an order in which they can be applied.
    pub(crate) transactions: Vec<Arc<Pending>>,
    pub(crate) fees: Amount,
    pub(crate) bytes: usize,
}

/// A selection in the making. Transactions that depend on others are looked at again when some of those are in the block:
/// what is left of their package is then worth another rate.
struct Filling<'a> {
    pool: &'a Mempool,
    room: Room,
    selection: Selection,
    /// In the block, or applied before it.
    taken: BTreeSet<TxId>,
    refused: BTreeSet<TxId>,
    rest: HashMap<TxId, Sums>,
    rest_order: BTreeMap<MiningKey, TxId>,
    misses: usize,
}

impl Mempool {
    /// Chooses transactions for a block. Those `carried` will be applied before it: they are left out, and others may depend on them.
    pub(crate) fn select(&self, room: Room, carried: &BTreeSet<TxId>) -> Selection {
        let mut filling = Filling {
            pool: self,
            room,
            selection: Selection::default(),
            taken: BTreeSet::new(),
            refused: BTreeSet::new(),
            rest: HashMap::new(),
            rest_order: BTreeMap::new(),
            misses: 0,
        };
        filling.selection.transactions.reserve(self.count());
        for id in carried.iter().filter(|id| self.entries.contains_key(id)) {
            filling.taken.insert(*id);
            filling.reconsider_descendants(*id);
        }
        for (key, mined) in self.mining.iter().rev() {
            while let Some(better) = filling.better_rest(key) {
                filling.take_package(better);
            }
            if filling.misses > MISSES_MAX {
                return filling.selection;
            }
            if mined.alone {
                filling.take_alone(&mined.pending);
            } else if !filling.rest.contains_key(&mined.pending.id) {
                filling.take_package(mined.pending.id);
            }
        }
        while let Some((_, id)) = filling.rest_order.pop_last() {
            filling.take_package(id);
        }
        filling.selection
    }
}

impl Filling<'_> {
    /// Takes the best of the looked-at-again that comes before `key`.
    fn better_rest(&mut self, key: &MiningKey) -> Option<TxId> {
        let (best, _) = self.rest_order.last_key_value()?;
        if best > key { self.rest_order.pop_last().map(|(_, id)| id) } else { None }
    }

    fn take_alone(&mut self, pending: &Arc<Pending>) {
        if self.taken.contains(&pending.id) {
            return;
        }
        match self.has_room(1, pending.size, Some(pending.fee)) {
            true => self.push(pending.clone()),
            false => self.misses += 1,
        }
    }

    /// Tells whether some transactions fit, and their fees with those of the selection can be counted.
    fn has_room(&self, count: usize, bytes: usize, fees: Option<Amount>) -> bool {
        let Selection { transactions, fees: sum, bytes: taken } = &self.selection;
        let fees = fees.and_then(|fees| sum.checked_add(fees));
        transactions.len() + count <= self.room.transactions && taken + bytes <= self.room.bytes && fees.is_some()
    }

    /// Takes a transaction with what it depends on and is not taken yet, if all of it fits.
    fn take_package(&mut self, id: TxId) {
        if self.taken.contains(&id) || self.refused.contains(&id) {
            return;
        }
        let mut package: Vec<TxId> =
            self.pool.ancestors(id).into_iter().filter(|id| !self.taken.contains(id)).collect();
        package.push(id);
        // Whoever depends on another depends on all that this one depends on: the number of ancestors is an order.
        package.sort_unstable_by_key(|id| (self.pool.entries[id].above.count, *id));
        let pending = |id: &TxId| &self.pool.entries[id].pending;
        let bytes: usize = package.iter().map(|id| pending(id).size).sum();
        let fees = Amount::checked_sum(package.iter().map(|id| pending(id).fee));
        if !self.has_room(package.len(), bytes, fees) {
            self.misses += 1;
            self.refused.insert(id);
            return;
        }
        for id in package {
            self.push(self.pool.entries[&id].pending.clone());
            self.taken.insert(id);
            self.reconsider_descendants(id);
        }
    }

    fn reconsider_descendants(&mut self, taken: TxId) {
        let own = Sums::of(&self.pool.entries[&taken].pending);
        for id in self.pool.descendants(taken) {
            if id == taken || self.taken.contains(&id) {
                continue;
            }
            let entry = &self.pool.entries[&id];
            let key =
                |rest: &Sums| MiningKey::new(super::Rate::of_pending(&entry.pending).min(rest.rate()), entry.arrival);
            let rest = self.rest.entry(id).or_insert(entry.above);
            self.rest_order.remove(&key(rest));
            rest.subtract(&own);
            self.rest_order.insert(key(rest), id);
        }
    }

    fn push(&mut self, pending: Arc<Pending>) {
        self.misses = 0;
        self.selection.bytes += pending.size;
        self.selection.fees = self.selection.fees.checked_add(pending.fee).expect("has_room was asked");
        self.selection.transactions.push(pending);
    }
}
