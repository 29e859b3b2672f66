//! The transactions that wait for a block: bounded, and kept in order of fee rate as they come and go.
//!
//! A transaction may spend outputs of other waiting ones, in packages of at most [`MempoolLimits::package_max`]. What a miner takes first
//! is ordered by the lesser of a transaction's own fee rate and that of it with all it depends on; what is dropped first, when there is no room, by the
//! greater of its own rate and that of it with all that depend on it. A waiting transaction is replaced by one that spends the same output when the
//! newcomer pays a higher rate than each it conflicts with, pays as much as all that it drives out together and the least fee for its own bytes
//! on top, and drives out no more than [`REPLACED_MAX`]; no transaction needs to announce that it may be replaced.
//!
//! Reading order: `order` compares rates, this file lets transactions in and out, `selection` fills blocks.

pub(crate) mod order;
pub(crate) mod selection;
#[cfg(test)]
mod tests;

use crate::ledger::{Coins, Failure, Law, Spending, check_form, check_spending};
use crate::mempool::order::{EvictionKey, MiningKey, Rate, Sums};
use crate::{MempoolLimits, OutPoint, Transaction, TransactionError, Unspent};
use adit_primitives::storage::StorageError;
use adit_primitives::{Amount, Hash256, Height, Timestamp, TxId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The most waiting transactions that one newcomer drives out.
pub const REPLACED_MAX: usize = 100;

/// A transaction that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    pub id: TxId,
    pub transaction: Transaction,
    /// Its leaf in a body's merkle tree.
    pub leaf: Hash256,
    pub fee: Amount,
    /// Canonical bytes.
    pub size: usize,
    /// When this node first took it.
    pub since: Timestamp,
}

/// The transactions that wait, bounded and kept in order of fee rate.
#[derive(Debug)]
pub struct Mempool {
    limits: MempoolLimits,
    entries: HashMap<TxId, Entry>,
    spends: BTreeMap<OutPoint, TxId>,
    mining: BTreeMap<MiningKey, Mined>,
    eviction: BTreeMap<EvictionKey, TxId>,
    bytes: usize,
    version: u64,
    arrivals: u64,
}

/// Why a transaction does not wait for a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MempoolError {
    #[error("transaction {id} waits already")]
    Known { id: TxId },
    #[error("a coinbase comes with its block alone")]
    Coinbase,
    #[error(transparent)]
    Invalid(#[from] TransactionError),
    #[error("the fee of {fee:?} is below the least of {least:?}")]
    Fee { fee: Amount, least: Amount },
    #[error(
        "output {previous} is spent by waiting transaction {by}; a replacement needs a higher rate and a fee of at least {least:?}"
    )]
    Conflict { previous: OutPoint, by: TxId, least: Amount },
    #[error("it would drive out {count} waiting transactions, {max} are allowed")]
    Replaced { count: usize, max: usize },
    #[error("{count} transactions depend on each other, {max} are allowed")]
    Package { count: usize, max: usize },
    #[error("the mempool is full of transactions that pay more")]
    Full,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

#[derive(Debug)]
struct Entry {
    pending: Arc<Pending>,
    arrival: u64,
    parents: BTreeSet<TxId>,
    children: BTreeSet<TxId>,
    /// The transaction with all it depends on.
    above: Sums,
    /// The transaction with all that depend on it.
    below: Sums,
}

#[derive(Debug)]
struct Mined {
    pending: Arc<Pending>,
    /// Nothing depends on it, and it depends on nothing.
    alone: bool,
}

/// How a transaction came in.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) pending: Arc<Pending>,
    /// What had to go for it.
    pub(crate) removed: Vec<TxId>,
}

/// A transaction on its way in.
pub(crate) struct Offer {
    pub(crate) transaction: Transaction,
    pub(crate) since: Timestamp,
    /// Whether its signatures were seen to hold by an earlier run of the node.
    pub(crate) signed: bool,
}

/// The ledger with the outputs of waiting transactions.
struct PoolCoins<'a> {
    pool: &'a Mempool,
    base: &'a dyn Coins,
    height: Height,
}

impl Coins for PoolCoins<'_> {
    fn unspent(&self, at: &OutPoint) -> Result<Option<Unspent>, StorageError> {
        let Some(entry) = self.pool.entries.get(&at.transaction) else { return self.base.unspent(at) };
        let output = entry.pending.transaction.outputs.get(at.index as usize);
        Ok(output.map(|output| Unspent { output: *output, height: self.height, coinbase: false }))
    }
}

impl Mempool {
    pub(crate) fn new(limits: MempoolLimits) -> Self {
        Self {
            limits,
            entries: HashMap::new(),
            spends: BTreeMap::new(),
            mining: BTreeMap::new(),
            eviction: BTreeMap::new(),
            bytes: 0,
            version: 0,
            arrivals: 0,
        }
    }

    /// Returns a waiting transaction.
    pub fn get(&self, id: TxId) -> Option<&Arc<Pending>> {
        self.entries.get(&id).map(|entry| &entry.pending)
    }

    /// Returns how many transactions wait.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// Returns their canonical bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the waiting transactions, best fee rate first, at most `max`.
    pub fn best_first(&self, max: usize) -> Vec<Arc<Pending>> {
        self.mining.values().rev().take(max).map(|mined| mined.pending.clone()).collect()
    }

    /// Returns a number that grows with every change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns the waiting transaction that spends an output.
    pub fn spender(&self, at: &OutPoint) -> Option<TxId> {
        self.spends.get(at).copied()
    }

    /// Lets a transaction in, or changes nothing. `height` is that of the next block.
    pub(crate) fn admit(
        &mut self,
        coins: &dyn Coins,
        law: Law<'_>,
        height: Height,
        offer: Offer,
    ) -> Result<Admitted, MempoolError> {
        let Offer { transaction, since, signed } = offer;
        let id = transaction.id();
        if self.entries.contains_key(&id) {
            return Err(MempoolError::Known { id });
        }
        if transaction.is_coinbase() {
            return Err(MempoolError::Coinbase);
        }
        check_form(&transaction, law.rules)?;
        let pool = PoolCoins { pool: self, base: coins, height };
        let Spending { spent, fee, settled } = check_spending(&pool, law.rules, &transaction, height)?;
        let size = transaction.size();
        let least = self.least_fee(size);
        if fee < least {
            return Err(MempoolError::Fee { fee, least });
        }
        let doomed = self.check_replacement(&transaction, fee, size)?;
        let ancestors = self.check_package(&transaction)?;
        let leaving = if doomed.is_empty() {
            self.plan_eviction(&ancestors, fee, size)?
        } else {
            self.check_room(&doomed, size)?;
            doomed
        };
        // Signatures last: they cost most.
        if !(signed && settled) {
            law.signed.check(&transaction, &spent)?;
        }
        let removed = self.remove_family(leaving);
        let leaf = transaction.leaf();
        let pending = Arc::new(Pending { id, transaction, leaf, fee, size, since });
        self.insert(pending.clone(), &ancestors);
        Ok(Admitted { pending, removed })
    }

    /// Takes out payments that the ledger accepted, and what can never be valid beside them. Returns what left.
    pub(crate) fn confirm<'a>(&mut self, payments: impl Iterator<Item = (TxId, &'a Transaction)>) -> Vec<TxId> {
        let mut removed = Vec::new();
        for (id, payment) in payments {
            if self.entries.contains_key(&id) {
                self.remove(id);
                removed.push(id);
            }
            let rivals: Vec<TxId> = payment.inputs.iter().filter_map(|input| self.spender(&input.previous)).collect();
            for rival in rivals {
                let family = self.descendants(rival);
                removed.extend(self.remove_family(family));
            }
        }
        removed
    }

    /// Changes how much may wait, and for how little. Returns what had to go: the worst first, with all that depend on it.
    pub(crate) fn set_limits(&mut self, limits: MempoolLimits) -> Vec<TxId> {
        self.limits = limits;
        let mut removed = Vec::new();
        while !self.has_room(self.bytes, self.entries.len()) {
            let Some(worst) = self.eviction.first_key_value().map(|(_, id)| *id) else { break };
            let family = self.descendants(worst);
            removed.extend(self.remove_family(family));
        }
        removed
    }

    /// Takes everything out, parents before children.
    pub(crate) fn drain(&mut self) -> Vec<Arc<Pending>> {
        let all = self.parents_first(self.entries.keys());
        *self = Self { version: self.version + 1, arrivals: self.arrivals, ..Self::new(self.limits.clone()) };
        all
    }

    /// Takes out what spends one of these outputs, with all that depend on it, parents before children.
    pub(crate) fn take_spenders<'a>(&mut self, outputs: impl Iterator<Item = &'a OutPoint>) -> Vec<Arc<Pending>> {
        let spenders: BTreeSet<TxId> = outputs.filter_map(|at| self.spender(at)).collect();
        let families: BTreeSet<TxId> = spenders.into_iter().flat_map(|id| self.descendants(id)).collect();
        let taken = self.parents_first(families.iter());
        self.remove_family(families);
        taken
    }

    fn parents_first<'a>(&self, ids: impl Iterator<Item = &'a TxId>) -> Vec<Arc<Pending>> {
        let mut entries: Vec<&Entry> = ids.map(|id| &self.entries[id]).collect();
        entries.sort_unstable_by_key(|entry| (entry.above.count, entry.arrival));
        entries.into_iter().map(|entry| entry.pending.clone()).collect()
    }

    /// Returns the least fee for a number of bytes, rounded up.
    fn least_fee(&self, size: usize) -> Amount {
        let rate = u128::from(self.limits.fee_per_kilobyte_min.to_atoms());
        let atoms = (rate * size as u128).div_ceil(1000);
        Amount::from_atoms(u64::try_from(atoms).unwrap_or(u64::MAX))
    }

    /// Returns what must go for a newcomer, or why it may not drive that out.
    fn check_replacement(
        &self,
        transaction: &Transaction,
        fee: Amount,
        size: usize,
    ) -> Result<BTreeSet<TxId>, MempoolError> {
        let mut doomed = BTreeSet::new();
        let mut rivals = Vec::new();
        for input in &transaction.inputs {
            if let Some(by) = self.spender(&input.previous) {
                rivals.push((input.previous, by));
                doomed.extend(self.descendants(by));
            }
        }
        let Some((previous, by)) = rivals.first().copied() else { return Ok(doomed) };
        if doomed.len() > REPLACED_MAX {
            return Err(MempoolError::Replaced { count: doomed.len(), max: REPLACED_MAX });
        }
        let sum = Amount::checked_sum(doomed.iter().map(|id| self.entries[id].pending.fee));
        let least = sum.and_then(|sum| sum.checked_add(self.least_fee(size))).unwrap_or(Amount::from_atoms(u64::MAX));
        let rate = Rate::of(fee, size);
        let outbids = rivals.iter().all(|(_, by)| rate > Rate::of_pending(&self.entries[by].pending));
        let hangs_on_doomed = transaction.inputs.iter().any(|input| doomed.contains(&input.previous.transaction));
        if fee < least || !outbids || hangs_on_doomed {
            return Err(MempoolError::Conflict { previous, by, least });
        }
        Ok(doomed)
    }

    /// Returns the waiting transactions that a newcomer depends on, or why it makes their package too large.
    fn check_package(&self, transaction: &Transaction) -> Result<BTreeSet<TxId>, MempoolError> {
        let parents = transaction.inputs.iter().map(|input| input.previous.transaction);
        let mut ancestors = BTreeSet::new();
        let mut open: Vec<TxId> = parents.filter(|id| self.entries.contains_key(id)).collect();
        while let Some(id) = open.pop() {
            if ancestors.insert(id) {
                open.extend(&self.entries[&id].parents);
            }
        }
        let below = ancestors.iter().map(|id| self.entries[id].below.count + 1).max().unwrap_or(1);
        let count = below.max(ancestors.len() + 1);
        let max = self.limits.package_max;
        if count > max { Err(MempoolError::Package { count, max }) } else { Ok(ancestors) }
    }

    /// Checks that a replacement fits without driving out bystanders.
    fn check_room(&self, doomed: &BTreeSet<TxId>, size: usize) -> Result<(), MempoolError> {
        let freed: usize = doomed.iter().map(|id| self.entries[id].pending.size).sum();
        let fits = self.has_room(self.bytes - freed + size, self.entries.len() - doomed.len() + 1);
        if fits { Ok(()) } else { Err(MempoolError::Full) }
    }

    /// Returns what must go to make room: the worst first, each with all that depend on it. A newcomer finds no room where
    /// those pay as much as it, or where it depends on one of them.
    fn plan_eviction(
        &self,
        ancestors: &BTreeSet<TxId>,
        fee: Amount,
        size: usize,
    ) -> Result<BTreeSet<TxId>, MempoolError> {
        let mut leaving = BTreeSet::new();
        let mut bytes = self.bytes + size;
        let mut worst = self.eviction.iter();
        while !self.has_room(bytes, self.entries.len() + 1 - leaving.len()) {
            let (key, id) = worst.next().ok_or(MempoolError::Full)?;
            let family = self.descendants(*id);
            if key.rate >= Rate::of(fee, size) || !family.is_disjoint(ancestors) {
                return Err(MempoolError::Full);
            }
            let fresh = family.difference(&leaving).map(|id| self.entries[id].pending.size);
            bytes -= fresh.sum::<usize>();
            leaving.extend(family);
        }
        Ok(leaving)
    }

    fn has_room(&self, bytes: usize, count: usize) -> bool {
        bytes <= self.limits.bytes_max && count <= self.limits.transactions_max
    }

    fn insert(&mut self, pending: Arc<Pending>, ancestors: &BTreeSet<TxId>) {
        let own = Sums::of(&pending);
        let mut above = own;
        for ancestor in ancestors {
            above.add(&Sums::of(&self.entries[ancestor].pending));
            self.update(*ancestor, |entry| entry.below.add(&own));
        }
        let inputs = &pending.transaction.inputs;
        let parents: BTreeSet<TxId> =
            inputs.iter().map(|input| input.previous.transaction).filter(|id| ancestors.contains(id)).collect();
        for parent in &parents {
            self.update(*parent, |entry| {
                entry.children.insert(pending.id);
            });
        }
        self.spends.extend(inputs.iter().map(|input| (input.previous, pending.id)));
        self.bytes += pending.size;
        self.version += 1;
        self.arrivals += 1;
        let entry = Entry { pending, arrival: self.arrivals, parents, children: BTreeSet::new(), above, below: own };
        self.put_in_order(entry);
    }

    /// Takes one transaction out. Those that depend on it stay, as if it were in a block.
    fn remove(&mut self, id: TxId) {
        let descendants = self.descendants(id);
        let ancestors = self.ancestors(id);
        let Some(entry) = self.take_out_of_order(id) else { return };
        let own = Sums::of(&entry.pending);
        for ancestor in ancestors {
            self.update(ancestor, |above| {
                above.below.subtract(&own);
                above.children.remove(&id);
            });
        }
        for descendant in descendants.into_iter().filter(|descendant| *descendant != id) {
            self.update(descendant, |below| {
                below.above.subtract(&own);
                below.parents.remove(&id);
            });
        }
        for input in &entry.pending.transaction.inputs {
            self.spends.remove(&input.previous);
        }
        self.bytes -= entry.pending.size;
        self.version += 1;
    }

    /// Takes out transactions together with all that depend on them, children before parents.
    fn remove_family(&mut self, family: BTreeSet<TxId>) -> Vec<TxId> {
        let mut family: Vec<TxId> = family.into_iter().collect();
        family.sort_by_key(|id| std::cmp::Reverse(self.entries[id].above.count));
        family.iter().for_each(|id| self.remove(*id));
        family
    }

    /// Returns a waiting transaction and all that depend on it.
    fn descendants(&self, id: TxId) -> BTreeSet<TxId> {
        let mut found = BTreeSet::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            if let Some(entry) = self.entries.get(&id)
                && found.insert(id)
            {
                open.extend(&entry.children);
            }
        }
        found
    }

    /// Returns all waiting transactions that one depends on.
    fn ancestors(&self, id: TxId) -> BTreeSet<TxId> {
        let mut found = BTreeSet::new();
        let mut open: Vec<TxId> =
            self.entries.get(&id).map_or_else(Vec::new, |entry| entry.parents.iter().copied().collect());
        while let Some(id) = open.pop() {
            if let Some(entry) = self.entries.get(&id)
                && found.insert(id)
            {
                open.extend(&entry.parents);
            }
        }
        found
    }

    fn update(&mut self, id: TxId, change: impl FnOnce(&mut Entry)) {
        if let Some(mut entry) = self.take_out_of_order(id) {
            change(&mut entry);
            self.put_in_order(entry);
        }
    }

    fn put_in_order(&mut self, entry: Entry) {
        let alone = entry.above.count == 1 && entry.below.count == 1;
        self.mining.insert(entry.mining_key(), Mined { pending: entry.pending.clone(), alone });
        self.eviction.insert(entry.eviction_key(), entry.pending.id);
        self.entries.insert(entry.pending.id, entry);
    }

    fn take_out_of_order(&mut self, id: TxId) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.mining.remove(&entry.mining_key());
        self.eviction.remove(&entry.eviction_key());
        Some(entry)
    }
}

impl Entry {
    fn mining_key(&self) -> MiningKey {
        MiningKey::new(Rate::of_pending(&self.pending).min(self.above.rate()), self.arrival)
    }

    fn eviction_key(&self) -> EvictionKey {
        EvictionKey::new(Rate::of_pending(&self.pending).max(self.below.rate()), self.arrival)
    }
}

impl From<Failure<TransactionError>> for MempoolError {
    fn from(failure: Failure<TransactionError>) -> Self {
        match failure {
            Failure::Invalid(error) => Self::Invalid(error),
            Failure::Storage(error) => Self::Storage(error),
        }
    }
}
