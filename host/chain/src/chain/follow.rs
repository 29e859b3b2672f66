//! Following the best tip: undoing and applying blocks, in batches that leave the storage whole at every moment.
//!
//! A batch ends where the chain is better than before: what is undone and what is applied up to there happens together or not at all.
//! So a branch that turns out invalid is left without a trace, and a crash loses no more than the step under way.

use super::{Chain, next_height};
use crate::index::Path;
use crate::ledger::{Application, Coins, Failure, Law, MergedBody, Overlay, StoredCoins};
use crate::mempool::Offer;
use crate::record::{self, HeaderRecord, PendingRecord, meta};
use crate::transaction::OutPoint;
use crate::{MempoolError, Transaction};
use adit_primitives::contract::{MergedBlock, Violation};
use adit_primitives::storage::{Batch, Storage, StorageError, Table};
use adit_primitives::{BlockId, Encode, Height, Timestamp, TxId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How many bytes of blocks are had in memory at once, about, so that the signatures of those to come are checked while one is applied.
const AHEAD_BYTES: usize = 16 << 20;

/// A block that has just been taken: it need not be read from the storage, where it may not be yet.
pub(super) struct Fresh {
    pub(super) record: HeaderRecord,
    pub(super) body: Arc<Vec<Transaction>>,
}

/// A block to be applied, with what it merges.
struct Next {
    id: BlockId,
    body: Arc<Vec<Transaction>>,
    merged: Vec<MergedBody>,
}

/// What was undone and applied since the last commit.
#[derive(Default)]
struct Step {
    /// Newest first: the bodies that a block applied, in its order, with the block's time.
    undone: Vec<(Timestamp, Vec<Arc<Vec<Transaction>>>)>,
    /// Oldest first. Nothing where something was undone.
    applied: Vec<Arc<Vec<Transaction>>>,
}

/// A block that the ledger refused.
struct Refused {
    id: BlockId,
    violation: Violation,
}

impl Chain {
    /// Moves the selected tip to the best block that is valid, and commits `staged` with the first step, or by itself.
    pub(super) fn follow(&mut self, mut staged: Batch, fresh: &[Fresh]) -> Result<(), StorageError> {
        loop {
            let path = self.index.path(self.index.tip_id(), self.index.best());
            if path.up.is_empty() {
                break;
            }
            if let Some(Refused { id, violation }) = self.walk(&path, &mut staged, fresh)? {
                self.index.invalidate(id, &violation);
                let mut record = self.header_record(id, fresh)?;
                record.violation = Some(violation);
                staged.put(Table::Headers, id.to_bytes(), record.to_bytes());
            }
        }
        self.check_whole()?;
        if staged.changes.is_empty() { Ok(()) } else { self.storage.commit(staged) }
    }

    /// Walks a path, committing wherever the chain is better than at the last commit. Stops at a block that the ledger refuses.
    fn walk(&mut self, path: &Path, staged: &mut Batch, fresh: &[Fresh]) -> Result<Option<Refused>, StorageError> {
        let storage = self.storage.clone();
        let mut overlay = Overlay::new(&*storage);
        let mut step = Step::default();
        for id in &path.down {
            let (height, time) = self.standing(*id)?;
            overlay.undo(*id, height)?;
            let merged = self.merged(*id, fresh)?.into_iter().map(|merged| merged.body);
            step.undone.push((time, merged.chain([self.body(*id, fresh)?]).collect()));
        }
        let mut ids = path.up.iter();
        while !ids.as_slice().is_empty() {
            let (mut part, mut bytes) = (Vec::new(), 0);
            while bytes < AHEAD_BYTES
                && let Some(id) = ids.next()
            {
                let next = Next { id: *id, body: self.body(*id, fresh)?, merged: self.merged(*id, fresh)? };
                bytes += next.transactions().map(Transaction::size).sum::<usize>();
                part.push(next);
            }
            let payments = part.iter().flat_map(Next::transactions).filter(|transaction| !transaction.is_coinbase());
            let payments: Vec<&Transaction> = payments.collect();
            // Where the storage fails, it does so again when the payment is applied.
            let stored = |at: &OutPoint| Some(StoredCoins(&*storage).unspent(at).ok()??.output);
            let signed = Arc::clone(&self.signed);
            let up = || {
                for next in &part {
                    if let Some(refused) = self.walk_to(next, &mut overlay, &mut step)? {
                        return Ok(Some(refused));
                    }
                    if self.index.beats_tip(next.id) {
                        let done = std::mem::replace(&mut overlay, Overlay::new(&*storage));
                        self.commit_step(next.id, done, std::mem::take(&mut step), std::mem::take(staged))?;
                    }
                }
                Ok(None)
            };
            if let Some(refused) = signed.beside(&payments, stored, up)? {
                return Ok(Some(refused));
            }
        }
        Ok(None)
    }

    /// Applies the next block of a path.
    fn walk_to(
        &self,
        next: &Next,
        overlay: &mut Overlay<'_>,
        step: &mut Step,
    ) -> Result<Option<Refused>, StorageError> {
        let Next { id, body, merged } = next;
        let block = self.index.indexed(*id).ok_or_else(|| unknown(*id))?;
        let law = Law { signed: &self.signed, rules: &self.config.ledger };
        let (height, subsidy) = (block.known.height, block.placement.subsidy);
        match overlay.apply(law, &Application { id: *id, height, subsidy, body, merged }) {
            // After a change of branches the mempool is told by outputs.
            Ok(()) if !step.undone.is_empty() => {}
            Ok(()) => step.applied.extend(next.bodies().cloned()),
            Err(Failure::Invalid(violation)) => return Ok(Some(Refused { id: *id, violation })),
            Err(Failure::Storage(error)) => return Err(error),
        }
        Ok(None)
    }

    /// Returns what a block merges, in its order.
    fn merged(&self, id: BlockId, fresh: &[Fresh]) -> Result<Vec<MergedBody>, StorageError> {
        let block = self.index.indexed(id).ok_or_else(|| unknown(id))?;
        let read = |other: &MergedBlock| {
            let subsidy = self.index.indexed(other.id).ok_or_else(|| unknown(other.id))?.placement.subsidy;
            Ok(MergedBody { id: other.id, subsidy: other.blue.then_some(subsidy), body: self.body(other.id, fresh)? })
        };
        block.placement.merge_set.iter().map(read).collect()
    }

    /// Commits a step that ends at a better tip, with what it means for the mempool.
    fn commit_step(
        &mut self,
        tip: BlockId,
        overlay: Overlay<'_>,
        step: Step,
        staged: Batch,
    ) -> Result<(), StorageError> {
        let mut batch = staged;
        let (height, _) = self.standing(tip)?;
        if step.undone.is_empty() {
            let payments = step.applied.iter().flat_map(|body| body.iter()).filter(|payment| !payment.is_coinbase());
            // What was left out says nothing about others that spend the same outputs.
            let applied = payments.map(|payment| (payment.id(), payment)).filter(|(id, _)| overlay.accepts(*id));
            let removed = self.mempool.confirm(applied);
            removed.iter().for_each(|id| batch.delete(Table::Mempool, id.to_bytes()));
        } else {
            self.refill_mempool(&overlay, step, Height(height.0.saturating_add(1)), &mut batch)?;
        }
        batch.changes.extend(overlay.into_batch().changes);
        let state_version = self.state_version + 1;
        batch.put(Table::Meta, meta::TIP, tip.to_bytes());
        batch.put(Table::Meta, meta::STATE_VERSION, state_version.to_bytes());
        self.check_whole()?;
        self.storage.commit(batch)?;
        self.state_version = state_version;
        self.index.select(tip);
        Ok(())
    }

    /// Judges what was undone, and after it those waiting transactions for which something changed: an output that they spend, or what they
    /// depend on. On a DAG the tip changes as often as blocks are found at once, so that the others must cost nothing.
    fn refill_mempool(
        &mut self,
        overlay: &Overlay<'_>,
        step: Step,
        height: Height,
        batch: &mut Batch,
    ) -> Result<(), StorageError> {
        // Below the height for which they were let in, coinbases may not be mature.
        let waited = match height < next_height(&self.index) {
            true => self.mempool.drain(),
            false => self.mempool.take_spenders(overlay.changed()),
        };
        let before: BTreeSet<TxId> = waited.iter().map(|pending| pending.id).collect();
        let mut gone = before.clone();
        let undone = step.undone.into_iter().rev().flat_map(|(since, bodies)| {
            bodies.into_iter().flat_map(Arc::unwrap_or_clone).map(move |transaction| (since, transaction))
        });
        let waited = waited.into_iter().map(|pending| (pending.since, Arc::unwrap_or_clone(pending).transaction));
        let law = Law { signed: &self.signed, rules: &self.config.ledger };
        let mut fresh = Vec::new();
        for (since, transaction) in undone.chain(waited) {
            let offer = Offer { transaction, since, signed: false };
            match self.mempool.admit(overlay, law, height, offer) {
                Ok(admitted) => {
                    gone.extend(admitted.removed);
                    fresh.push(admitted.pending.id);
                }
                Err(MempoolError::Storage(error)) => return Err(error),
                Err(_) => {}
            }
        }
        for id in gone.iter().filter(|id| self.mempool.get(**id).is_none()) {
            batch.delete(Table::Mempool, id.to_bytes());
        }
        for pending in fresh.iter().filter(|id| !before.contains(id)).filter_map(|id| self.mempool.get(*id)) {
            let record = PendingRecord { since: pending.since, transaction: pending.transaction.clone() };
            batch.put(Table::Mempool, pending.id.to_bytes(), record.to_bytes());
        }
        Ok(())
    }

    /// Lets in what waited when the node last stopped; what cannot be valid any more is forgotten.
    pub(super) fn load_mempool(&mut self) -> Result<(), StorageError> {
        let mut open = Vec::new();
        let mut kept = Vec::new();
        record::for_each(&*self.storage, Table::Mempool, |_, value| {
            let record = record::decode::<PendingRecord>(Table::Mempool, value)?;
            kept.push(record.transaction.id());
            open.push(record);
            Ok(())
        })?;
        open.sort_by_key(|record| record.since);
        let law = Law { signed: &self.signed, rules: &self.config.ledger };
        let coins = StoredCoins(&*self.storage);
        let height = next_height(&self.index);
        // Parents before children: each round lets in at least one more generation, and packages are bounded.
        for _ in 0..self.config.mempool.package_max {
            let mut refused = Vec::new();
            for record in open {
                let offer = Offer { transaction: record.transaction.clone(), since: record.since, signed: true };
                match self.mempool.admit(&coins, law, height, offer) {
                    Ok(_) => {}
                    Err(MempoolError::Storage(error)) => return Err(error),
                    Err(_) => refused.push(record),
                }
            }
            open = refused;
        }
        let mut batch = Batch::default();
        for id in kept.iter().filter(|id| self.mempool.get(**id).is_none()) {
            batch.delete(Table::Mempool, id.to_bytes());
        }
        if batch.changes.is_empty() { Ok(()) } else { self.storage.commit(batch) }
    }

    fn body(&self, id: BlockId, fresh: &[Fresh]) -> Result<Arc<Vec<Transaction>>, StorageError> {
        if let Some(fresh) = fresh.iter().find(|fresh| fresh.record.view.id == id) {
            return Ok(Arc::clone(&fresh.body));
        }
        record::read(&*self.storage, Table::Bodies, &id.to_bytes())?
            .map(Arc::new)
            .ok_or_else(|| record::damaged(Table::Bodies, &format!("block {id} has no body")))
    }

    fn header_record(&self, id: BlockId, fresh: &[Fresh]) -> Result<HeaderRecord, StorageError> {
        if let Some(fresh) = fresh.iter().find(|fresh| fresh.record.view.id == id) {
            return Ok(fresh.record.clone());
        }
        record::read(&*self.storage, Table::Headers, &id.to_bytes())?
            .ok_or_else(|| record::damaged(Table::Headers, &format!("block {id} has no header")))
    }

    fn standing(&self, id: BlockId) -> Result<(Height, Timestamp), StorageError> {
        let block = self.index.indexed(id).ok_or_else(|| unknown(id))?;
        Ok((block.known.height, block.known.time))
    }
}

impl Next {
    /// The bodies in the order in which they are applied.
    fn bodies(&self) -> impl Iterator<Item = &Arc<Vec<Transaction>>> {
        self.merged.iter().map(|merged| &merged.body).chain([&self.body])
    }

    fn transactions(&self) -> impl Iterator<Item = &Transaction> {
        self.bodies().flat_map(|body| body.iter())
    }
}

fn unknown(id: BlockId) -> StorageError {
    record::damaged(Table::Headers, &format!("block {id} is not in the index"))
}
