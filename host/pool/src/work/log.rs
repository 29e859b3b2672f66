//! The log of shares that count: appended to, read backwards for a block's window, and pruned at its old end.
//!
//! ```text
//! key: number of the segment's first share, u64 big-endian
//! value: version 1 | for each share: account u32, worker u32, milliseconds since 1970 u48, log2 of the difficulty u8, little-endian
//! ```
//! A segment holds [`SEGMENT_SHARES`] shares, the last one fewer: it is written again, whole, with each append until it is full. So a share
//! takes about 15 bytes, keys follow from numbers, and a range is read in few and bounded steps however shares came in. An append is in the
//! storage, durable, when it returns.

#[cfg(test)]
mod tests;

use crate::money::history::{LoggedShare, ShareHistory};
use adit_primitives::accounts::{ShareSequence, WorkerId};
use adit_primitives::contract::payout::AccountId;
use adit_primitives::contract::shares::ShareDifficulty;
use adit_primitives::storage::{Batch, Storage, StorageError, Table};
use adit_primitives::{Decode, DecodeError, Reader, Timestamp};
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shares of one record.
pub const SEGMENT_SHARES: u64 = 256;

/// Segments read in one step: 16,384 shares, half a megabyte in memory.
const SEGMENTS_AT_ONCE: u64 = 64;

/// Segments removed by one commit.
const PRUNED_AT_ONCE: u64 = 1024;

/// The version of a segment's bytes.
const VERSION: u8 = 1;

/// The bytes of a share.
const ROW_BYTES: usize = 15;

/// A share about to be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewShare {
    pub account: AccountId,
    pub worker: WorkerId,
    pub time: Timestamp,
    pub difficulty: ShareDifficulty,
}

/// Why the log took nothing or gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShareLogError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(
        "the shares from {first} on were written by a newer version of Adit: format {version}, this one reads {VERSION}"
    )]
    Version { first: u64, version: u8 },
    #[error("the log holds no readable shares from {first} on: {detail}")]
    Corrupt { first: u64, detail: String },
}

/// The log. One at a time is open over a storage; reads may run beside appends and see what had returned when they began.
pub struct ShareLog {
    storage: Arc<dyn Storage>,
    /// The oldest segment kept.
    first: AtomicU64,
    tail: Mutex<Tail>,
}

/// Where the log ends.
#[derive(Debug, Clone)]
struct Tail {
    next: u64,
    /// The value of the segment that `next` falls into, as it is stored.
    segment: Vec<u8>,
}

impl ShareLog {
    /// Opens the log and finds its end.
    pub fn open(storage: Arc<dyn Storage>) -> Result<Self, ShareLogError> {
        let Some((first, _)) = segment_from(storage.as_ref(), 0)? else {
            let tail = Tail { next: 0, segment: vec![VERSION] };
            return Ok(Self { storage, first: AtomicU64::new(0), tail: Mutex::new(tail) });
        };
        let (last, value) = last_segment(storage.as_ref(), first)?;
        let shares = rows(last, &value)?.len() / ROW_BYTES;
        let next = last + shares as u64;
        let segment = if shares as u64 == SEGMENT_SHARES { vec![VERSION] } else { value };
        Ok(Self { storage, first: AtomicU64::new(first), tail: Mutex::new(Tail { next, segment }) })
    }

    /// Appends shares and returns their numbers. When it returns they survive `kill -9` and loss of power. Callers wait for each other, so
    /// that many shares in one call cost as little as one.
    pub fn append(&self, shares: &[NewShare]) -> Result<Range<ShareSequence>, ShareLogError> {
        let mut tail = self.lock();
        let first = tail.next;
        if shares.is_empty() {
            return Ok(ShareSequence(first)..ShareSequence(first));
        }
        let mut ahead = tail.clone();
        let mut batch = Batch::default();
        for share in shares {
            write_row(share, &mut ahead.segment);
            ahead.next += 1;
            if ahead.next.is_multiple_of(SEGMENT_SHARES) {
                let full = std::mem::replace(&mut ahead.segment, vec![VERSION]);
                batch.put(Table::Shares, key(ahead.next - SEGMENT_SHARES), full);
            }
        }
        if ahead.segment.len() > 1 {
            batch.put(Table::Shares, key(segment_of(ahead.next)), ahead.segment.clone());
        }
        // Where this fails the same numbers are written again: nothing was counted.
        self.storage.commit(batch)?;
        *tail = ahead;
        Ok(ShareSequence(first)..ShareSequence(tail.next))
    }

    /// Returns the number that the next share gets.
    pub fn next(&self) -> ShareSequence {
        ShareSequence(self.lock().next)
    }

    /// Returns the numbers that are kept.
    pub fn kept(&self) -> Range<ShareSequence> {
        let next = self.next();
        ShareSequence(self.first.load(Ordering::Acquire)).min(next)..next
    }

    /// Shows the shares of a range, the oldest first, in chunks that are never empty, until `visit` has enough.
    pub fn oldest_first(
        &self,
        range: Range<ShareSequence>,
        visit: &mut dyn FnMut(&[LoggedShare]) -> ControlFlow<()>,
    ) -> Result<(), ShareLogError> {
        let range = self.cut(range);
        let mut chunk = Vec::new();
        let mut segment = segment_of(range.start);
        while segment < range.end {
            let end = (segment + SEGMENTS_AT_ONCE * SEGMENT_SHARES).min(range.end);
            self.read(segment..end, &range, &mut chunk)?;
            if !chunk.is_empty() && visit(&chunk).is_break() {
                break;
            }
            segment = end;
        }
        Ok(())
    }

    /// Shows the shares of a range, the newest first, in chunks that are never empty, until `visit` has enough.
    pub fn newest_first(
        &self,
        range: Range<ShareSequence>,
        visit: &mut dyn FnMut(&[LoggedShare]) -> ControlFlow<()>,
    ) -> Result<(), ShareLogError> {
        let range = self.cut(range);
        let mut chunk = Vec::new();
        let mut end = range.end;
        while end > range.start {
            let begin = segment_of(end - 1).saturating_sub((SEGMENTS_AT_ONCE - 1) * SEGMENT_SHARES);
            let begin = begin.max(segment_of(range.start));
            self.read(begin..end, &range, &mut chunk)?;
            chunk.reverse();
            if !chunk.is_empty() && visit(&chunk).is_break() {
                break;
            }
            end = begin;
        }
        Ok(())
    }

    /// Removes the shares before `below`, in whole segments: some of them may stay, and those of the last segment always do. Returns how many went.
    pub fn prune(&self, below: ShareSequence) -> Result<u64, ShareLogError> {
        let kept = self.kept();
        let end = segment_of(below.0.min(kept.end.0.saturating_sub(1)));
        let first = kept.start.0;
        let mut from = first;
        while from < end {
            let to = end.min(from + PRUNED_AT_ONCE * SEGMENT_SHARES);
            let mut batch = Batch::default();
            let segments = (from..to).step_by(usize::try_from(SEGMENT_SHARES).expect("a small number"));
            segments.for_each(|segment| batch.delete(Table::Shares, key(segment)));
            // First said, then done: who reads meanwhile does not miss them.
            self.first.fetch_max(to, Ordering::AcqRel);
            self.storage.commit(batch)?;
            from = to;
        }
        Ok(end.saturating_sub(first))
    }

    fn lock(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cut(&self, range: Range<ShareSequence>) -> Range<u64> {
        let kept = self.kept();
        range.start.max(kept.start).0..range.end.min(kept.end).0
    }

    /// Reads the segments that begin in `segments`, and keeps of them what is in `range`, the oldest first.
    fn read(
        &self,
        segments: Range<u64>,
        range: &Range<u64>,
        chunk: &mut Vec<LoggedShare>,
    ) -> Result<(), ShareLogError> {
        chunk.clear();
        let count = (segments.end - segments.start).div_ceil(SEGMENT_SHARES);
        let count = usize::try_from(count).expect("few segments are read at once");
        let mut wanted = segments.start;
        for (stored, value) in self.storage.scan(Table::Shares, &key(segments.start), count)? {
            let first = read_key(&stored)?;
            if first >= segments.end {
                break;
            }
            self.check_gap(wanted, first)?;
            wanted = first + SEGMENT_SHARES;
            let rows = rows(first, &value)?;
            let needed = usize::try_from(segments.end.min(wanted) - first).expect("a segment is small");
            if rows.len() < needed * ROW_BYTES {
                return Err(corrupt(first, "some are missing"));
            }
            for (sequence, row) in (first..).zip(rows.as_chunks::<ROW_BYTES>().0) {
                if range.contains(&sequence) {
                    chunk.push(read_row(sequence, row).map_err(|error| corrupt(sequence, &error.to_string()))?);
                }
            }
        }
        self.check_gap(wanted, segments.end)
    }

    /// Refuses shares that are missing where they were not pruned meanwhile.
    fn check_gap(&self, wanted: u64, found: u64) -> Result<(), ShareLogError> {
        let pruned = wanted < self.first.load(Ordering::Acquire);
        if found <= wanted || pruned { Ok(()) } else { Err(corrupt(wanted, "they are missing")) }
    }
}

impl ShareHistory for ShareLog {
    fn newest_first(
        &self,
        range: Range<ShareSequence>,
        visit: &mut dyn FnMut(&[LoggedShare]) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        Self::newest_first(self, range, visit).map_err(|error| match error {
            ShareLogError::Storage(error) => error,
            other => StorageError { detail: other.to_string() },
        })
    }
}

/// Returns the number of the first share of the segment that a share is in.
fn segment_of(sequence: u64) -> u64 {
    sequence - sequence % SEGMENT_SHARES
}

fn key(segment: u64) -> Vec<u8> {
    segment.to_be_bytes().to_vec()
}

fn read_key(key: &[u8]) -> Result<u64, ShareLogError> {
    let number = key.try_into().map(u64::from_be_bytes).ok().filter(|first| first.is_multiple_of(SEGMENT_SHARES));
    number.ok_or_else(|| corrupt(0, "a key is not the number of a segment"))
}

/// Reads the first segment at or after a place.
fn segment_from(storage: &dyn Storage, place: u64) -> Result<Option<(u64, Vec<u8>)>, ShareLogError> {
    let entries = storage.scan(Table::Shares, &key(place), 1)?;
    entries.into_iter().next().map(|(stored, value)| Ok((read_key(&stored)?, value))).transpose()
}

/// Finds the last segment, by halving: storage is read upwards only. `first` is one that is there.
fn last_segment(storage: &dyn Storage, first: u64) -> Result<(u64, Vec<u8>), ShareLogError> {
    let mut found = segment_from(storage, first)?;
    let (mut there, mut beyond) = (first, u64::MAX / SEGMENT_SHARES * SEGMENT_SHARES);
    while beyond - there > SEGMENT_SHARES {
        let middle = there + segment_of((beyond - there) / 2);
        match segment_from(storage, middle)? {
            Some((segment, value)) => {
                there = segment;
                found = Some((segment, value));
            }
            None => beyond = middle,
        }
    }
    found.ok_or_else(|| corrupt(first, "they went while they were read"))
}

/// Returns the rows of a segment.
fn rows(first: u64, value: &[u8]) -> Result<&[u8], ShareLogError> {
    match value.split_first() {
        Some((&VERSION, rows)) => {
            let shares = rows.len() / ROW_BYTES;
            let whole = rows.len().is_multiple_of(ROW_BYTES) && (1..=SEGMENT_SHARES).contains(&(shares as u64));
            if whole { Ok(rows) } else { Err(corrupt(first, &format!("{} bytes are no segment", rows.len()))) }
        }
        Some((&version, _)) => Err(ShareLogError::Version { first, version }),
        None => Err(corrupt(first, "the segment is empty")),
    }
}

fn write_row(share: &NewShare, out: &mut Vec<u8>) {
    out.extend_from_slice(&share.account.0.to_le_bytes());
    out.extend_from_slice(&share.worker.0.to_le_bytes());
    // 48 bits last until the year 10889.
    out.extend_from_slice(&share.time.to_millis().to_le_bytes()[..6]);
    out.push(share.difficulty.to_log2_hashes());
}

fn read_row(sequence: u64, row: &[u8; ROW_BYTES]) -> Result<LoggedShare, DecodeError> {
    let mut reader = Reader::new(row);
    let (account, worker) = (AccountId::decode(&mut reader)?, WorkerId(u32::decode(&mut reader)?));
    let mut millis = [0; 8];
    millis[..6].copy_from_slice(reader.take("time", 6)?);
    let time = Timestamp::from_millis(u64::from_le_bytes(millis));
    let difficulty = ShareDifficulty::decode(&mut reader)?;
    Ok(LoggedShare { sequence: ShareSequence(sequence), account, worker, time, difficulty })
}

fn corrupt(first: u64, detail: &str) -> ShareLogError {
    ShareLogError::Corrupt { first, detail: detail.to_owned() }
}
