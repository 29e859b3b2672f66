//! Headers and blocks in bulk, as a node takes them that has been away.
//!
//! Headers come first and are judged in batches; their bodies need no rule any more. A group of blocks is one durable commit: each block is judged
//! exactly as by itself, and none of the answers goes out before all of the group is kept.

use super::{Accepted, BlockError, Chain, HeadersError, TakenHeaders};
use crate::checker::decode_headers;
use crate::headers::{CheckedHeaders, HeaderError, Judged};
use crate::record::HeaderRecord;
use crate::{Checked, Conflicts};
use adit_primitives::engine::ChainView;
use adit_primitives::storage::{Batch, Committed, StorageError, Table};
use adit_primitives::{BlockId, Encode, Timestamp};
use std::ops::ControlFlow;
use std::vec::IntoIter;

/// How many bytes may be gathered before they are committed: what comes after is another commit.
pub const GATHERED_BYTES_MAX: usize = 32 << 20;

/// The most headers that wait for their bodies, about a kilobyte each: anybody who has done their work may send them. On the way to the tip a node
/// takes headers and bodies in turns.
pub const BODILESS_MAX: usize = 100_000;

/// How many headers must have come before those that lead nowhere are looked for again.
const ASTRAY_INTERVAL: usize = BODILESS_MAX / 8;

impl Chain {
    /// Judges headers in order and takes them, without bodies, up to the first that is refused. With many headers
    /// in a call a plugin decodes, hashes and places them in bulk. When this returns, what was taken survives `kill -9`.
    pub fn submit_headers(&mut self, now: Timestamp, headers: &[Vec<u8>]) -> Result<TakenHeaders, StorageError> {
        self.check_whole()?;
        let decoded = decode_headers(&self.judge, &self.index, &self.config.ledger, headers.to_vec());
        let checked = decoded.and_then(|mut decoded| {
            let fresh = decoded.split(1).into_iter().map(|part| self.judge.hash_headers(part));
            fresh.collect::<Result<_, _>>().map(|parts| decoded.hashed(parts))
        });
        match checked {
            Ok(checked) => self.submit_checked_headers(now, checked),
            Err(fault) => Ok(TakenHeaders { ids: Vec::new(), new: 0, refused: Some(HeaderError::Fault(fault).into()) }),
        }
    }

    /// The same for headers that [`Checker`](crate::Checker)s have read and hashed.
    pub fn submit_checked_headers(
        &mut self,
        now: Timestamp,
        mut checked: CheckedHeaders,
    ) -> Result<TakenHeaders, StorageError> {
        self.check_whole()?;
        self.make_room(checked.fresh.len())?;
        let index = self.index.clone();
        let mut ids = std::mem::take(&mut checked.ids);
        let mut batch = Batch::default();
        let (mut new, mut ended, before) = (0, None, index.bodiless());
        let stopped = self.judge.place_headers(&index, checked, &mut |position, judged| {
            let Judged { header, view, placement } = judged;
            if placement.valid_from > now {
                ended = Some(HeadersError::Early { position, valid_from: placement.valid_from });
                return ControlFlow::Break(());
            }
            if before + new >= BODILESS_MAX {
                ended = Some(HeadersError::Full { position, bodiless: before + new });
                return ControlFlow::Break(());
            }
            let sequence = index.insert(&view, &placement, false);
            let record = HeaderRecord { header, sequence, body: false, violation: None, view, placement };
            batch.put(Table::Headers, record.view.id.to_bytes(), record.to_bytes());
            new += 1;
            ControlFlow::Continue(())
        });
        // What was taken before a failure is in the index, so it is kept.
        self.commit(batch)?;
        self.index.settle();
        let stopped = stopped.unwrap_or_else(|fault| Some(HeaderError::Fault(fault)));
        let placed = ids.iter().take_while(|id| index.block(**id).is_some()).count();
        ids.truncate(placed);
        self.since_astray += new;
        Ok(TakenHeaders { ids, new, refused: ended.or(stopped.map(HeadersError::Header)) })
    }

    /// Forgets the headers that stand on the first body lacking on the way to a block: nobody seems to have it. Returns how many. They may
    /// be offered again.
    pub fn forget_headers(&mut self, towards: BlockId) -> Result<usize, StorageError> {
        self.check_whole()?;
        let gone = self.index.forget_towards(towards);
        self.forget(&gone)
    }

    /// Forgets headers that do not lead to the best one.
    pub(super) fn forget_astray(&mut self) -> Result<(), StorageError> {
        self.since_astray = 0;
        let gone = self.index.forget_astray();
        self.forget(&gone).map(drop)
    }

    fn make_room(&mut self, fresh: usize) -> Result<(), StorageError> {
        let full = self.index.bodiless() + fresh > BODILESS_MAX;
        if full && self.since_astray >= ASTRAY_INTERVAL { self.forget_astray() } else { Ok(()) }
    }

    fn forget(&mut self, gone: &[BlockId]) -> Result<usize, StorageError> {
        let mut batch = Batch::default();
        gone.iter().for_each(|id| batch.delete(Table::Headers, id.to_bytes()));
        self.commit(batch)?;
        Ok(gone.len())
    }

    /// Judges blocks in order, each as [`Self::submit_checked`] does, and keeps them by one commit, or by several in order where they are very large.
    /// One answer for each; when this returns, blocks with `Ok` survive `kill -9`, unless the chain [gathers](Self::gather).
    ///
    /// Where blocks merge others, the tip moves once for all that one commit keeps, and the last block that was taken tells of it: of blocks beside each
    /// other each would otherwise undo what the one before had applied, and apply it again.
    pub fn submit_blocks(&mut self, now: Timestamp, blocks: Vec<Checked>) -> Vec<Result<Accepted, BlockError>> {
        let mut answers = Vec::with_capacity(blocks.len());
        let mut left = blocks.into_iter();
        loop {
            self.storage.begin();
            let mut group = match self.config.ledger.conflicts {
                Conflicts::RefuseBlock => self.take_group(now, &mut left),
                Conflicts::SkipTransaction => self.take_beside(now, &mut left),
            };
            let is_last = left.len() == 0;
            if !is_last || !self.gathers {
                self.end_group(&mut group);
            }
            answers.extend(group);
            if is_last {
                return answers;
            }
        }
    }

    /// Takes blocks, until so much is gathered that it is to be committed.
    fn take_group(&mut self, now: Timestamp, left: &mut IntoIter<Checked>) -> Vec<Result<Accepted, BlockError>> {
        let mut answers = Vec::with_capacity(left.len());
        while self.storage.bytes() < GATHERED_BYTES_MAX
            && let Some(checked) = left.next()
        {
            answers.push(self.submit_checked(now, checked));
        }
        answers
    }

    /// The same, with one move of the tip when all of them are kept.
    fn take_beside(&mut self, now: Timestamp, left: &mut IntoIter<Checked>) -> Vec<Result<Accepted, BlockError>> {
        let before = self.index.tip_id();
        self.unfollowed = Some(Vec::new());
        let mut answers = self.take_group(now, left);
        let fresh = self.unfollowed.take().unwrap_or_default();
        let followed = self.follow(Batch::default(), &fresh);
        if let Err(error) = self.note(followed) {
            answers.iter_mut().for_each(|answer| *answer = Err(error.clone().into()));
            return answers;
        }
        for answer in &mut answers {
            let Ok(accepted) = answer else { continue };
            match self.index.violation(accepted.id) {
                None => accepted.selected = self.index.indexed(accepted.id).is_some_and(|block| block.selected),
                Some(violation) => {
                    self.waiting.drop_above(accepted.id);
                    *answer = Err(BlockError::Invalid { id: Some(accepted.id), violation });
                }
            }
        }
        if let Some(last) = answers.iter_mut().rev().find_map(|answer| answer.as_mut().ok()) {
            last.reorg = self.reorg_since(before);
        }
        answers
    }

    /// From now on nothing that is taken is durable before it was handed over by [`Self::hand_over`] and that was told of: more can be taken meanwhile.
    pub fn gather(&mut self) {
        self.gathers = true;
        self.storage.begin();
    }

    /// Hands over what was taken since the last time, to be made durable at once. `committed` is told, on another thread; before that nothing
    /// may be handed over again. Returns `false` where there is nothing: then nobody is told.
    ///
    /// # Errors
    /// Where the storage has failed before.
    pub fn hand_over(&mut self, committed: Committed) -> Result<bool, StorageError> {
        self.check_whole()?;
        Ok(self.storage.hand_over(committed))
    }

    /// Returns the bytes of what was taken and not handed over.
    pub fn gathered_bytes(&self) -> usize {
        self.storage.bytes()
    }

    /// Makes what was taken since something was handed over durable, and waits for that. What is under way ends by itself.
    pub fn keep_all(&mut self) -> Result<(), StorageError> {
        self.check_whole()?;
        let ended = self.storage.end();
        if self.gathers {
            self.storage.begin();
        }
        self.note(ended)
    }

    /// Commits what a group of blocks has gathered. Where that fails, none of them is kept as far as anybody can tell.
    fn end_group(&mut self, answers: &mut [Result<Accepted, BlockError>]) {
        let ended = match self.check_whole() {
            Ok(()) => self.storage.end(),
            Err(error) => {
                self.storage.abandon();
                Err(error)
            }
        };
        if let Err(error) = self.note(ended) {
            answers.iter_mut().for_each(|answer| *answer = Err(error.clone().into()));
        }
    }
}
