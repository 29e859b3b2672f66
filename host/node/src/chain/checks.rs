//! Blocks and headers from outside are checked beside the chain's thread, on as many threads as the machine has cores, and reach it ready to be placed.
//!
//! Whoever submits more waits for a free checker with its block: what is held at once is bounded by the connections. Blocks of one address never
//! have more than half of the checkers, so that others are not held up by one who sends what takes long to refuse.

use super::Followed;
use crate::places::Places;
use adit_chain::{Asked, Block, BlockError, Checked, CheckedHeaders, Checker, DecodedHeaders, Waited};
use adit_pool::work::limits::network_of;
use adit_primitives::engine::{Fault, FaultClass};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// The fewest headers that a checker hashes at a time: as many as lanes of any kernel hold, so that none stays empty.
pub const LANES: usize = 16;

/// How long a checker hashes headers before they are judged, where it gets through more than [`LANES`] of them.
const PART_TIME: Duration = Duration::from_millis(250);

/// Set in the numbers of sources that are addresses, and in no other.
const ADDRESS: u64 = 1 << 63;

/// Checkers, lent to one block at a time.
#[derive(Clone)]
pub struct Checks {
    checkers: Arc<Mutex<Vec<Checker>>>,
    free: Arc<Semaphore>,
    /// How many there are.
    count: usize,
    /// What each address may have of them.
    places: Arc<Places>,
    /// Nanoseconds that a header's hash took lately; 0 before the first.
    hash_ns: Arc<AtomicU64>,
}

/// A checker that goes back to the others, whatever becomes of its block.
struct Lent {
    checker: Option<Checker>,
    home: Arc<Mutex<Vec<Checker>>>,
}

impl Checks {
    /// Takes the checkers. At least one is needed.
    pub fn new(checkers: Vec<Checker>) -> Self {
        let count = checkers.len();
        let (checkers, free) = (Arc::new(Mutex::new(checkers)), Arc::new(Semaphore::new(count)));
        let places = Arc::new(Places::new(count.div_ceil(2)));
        Self { checkers, free, count, places, hash_ns: Arc::default() }
    }

    /// Checks a block as soon as a checker is free, and one that whoever sent it may have.
    pub async fn check(&self, block: Block, from: Option<IpAddr>) -> Result<Checked, BlockError> {
        let own = match from.map(|from| self.places.of(from)) {
            Some(places) => places.acquire_owned().await.ok(),
            None => None,
        };
        let check = move |checker: &mut Checker| {
            // Held until the check has ended, even if nobody waits for it any more.
            let _own = own;
            let checked = checker.check(block)?;
            Ok(match from {
                Some(from) => checked.from_source(source_of(from)),
                None => checked,
            })
        };
        self.lend(check).await.unwrap_or_else(|fault| Err(fault.into()))
    }

    /// Checks blocks with all checkers at once. One answer for each, in order.
    pub async fn check_all(&self, blocks: Vec<Asked>) -> Vec<Result<Checked, BlockError>> {
        let parts = parts(blocks, self.count);
        let mut checking = Vec::with_capacity(parts.len());
        for part in parts {
            let (count, checks) = (part.len(), self.clone());
            let check = async move { checks.lend(move |checker| checker.check_asked(part)).await };
            checking.push((count, tokio::spawn(check)));
        }
        let mut answers = Vec::new();
        for (count, part) in checking {
            match part.await.unwrap_or_else(|_| Err(no_checker())) {
                Ok(part) => answers.extend(part),
                Err(fault) => answers.extend(std::iter::repeat_n(Err(fault.into()), count)),
            }
        }
        answers
    }

    /// Checks blocks that have waited, with one checker, so that whoever offers others finds one free.
    pub async fn check_waited(&self, waited: Vec<Waited>) -> Vec<Followed> {
        let (sources, blocks): (Vec<Option<u64>>, Vec<Asked>) =
            waited.into_iter().map(|waited| (waited.source, (None, waited.block))).unzip();
        let checked = self.lend(move |checker| checker.check_asked(blocks)).await;
        let checked = checked.unwrap_or_else(|fault| vec![Err(fault.into()); sources.len()]);
        let followed = std::iter::zip(checked, sources).map(|(checked, source)| {
            let named = |checked: Checked| match source {
                Some(source) => checked.from_source(source),
                None => checked,
            };
            Followed { checked: checked.map(named), source }
        });
        followed.collect()
    }

    /// Reads headers, and tells which of them are to be hashed.
    pub async fn decode_headers(&self, headers: Vec<Vec<u8>>) -> Result<DecodedHeaders, Fault> {
        self.lend(move |checker| checker.decode_headers(headers)).await?
    }

    /// Returns how many headers of a page are to be hashed before they are judged, after so many of it were good: no more than those, so that nonsense
    /// costs what was paid for, but one batch in any case, and what all checkers hash in a short time at the most.
    pub fn part(&self, good: usize) -> usize {
        let hash_ns = u128::from(self.hash_ns.load(Ordering::Relaxed));
        let soon =
            PART_TIME.as_nanos().checked_div(hash_ns).map_or(0, |count| usize::try_from(count).unwrap_or(usize::MAX));
        let batch = soon.max(LANES);
        good.clamp(batch, batch.saturating_mul(self.count.max(1)))
    }

    /// Hashes headers with as many checkers at once as have their lanes filled.
    pub async fn hash_headers(&self, mut decoded: DecodedHeaders) -> Result<CheckedHeaders, Fault> {
        let checkers = decoded.open().div_ceil(LANES).clamp(1, self.count.max(1));
        let mut hashing = Vec::with_capacity(checkers);
        for part in decoded.split(checkers) {
            let (checks, hash_ns) = (self.clone(), Arc::clone(&self.hash_ns));
            let hash = move |checker: &mut Checker| {
                let (count, start) = (part.len() as u64, Instant::now());
                let hashed = checker.hash_headers(part);
                let each = start.elapsed().as_nanos() / u128::from(count.max(1));
                // A few alone take longer than each of many.
                if count >= LANES as u64 {
                    hash_ns.store(u64::try_from(each).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
                }
                hashed
            };
            hashing.push(tokio::spawn(async move { checks.lend(hash).await? }));
        }
        let mut hashed = Vec::with_capacity(hashing.len());
        for part in hashing {
            hashed.push(part.await.unwrap_or_else(|_| Err(no_checker()))?);
        }
        Ok(decoded.hashed(hashed))
    }

    /// Lends a checker as soon as one is free.
    async fn lend<T: Send + 'static>(&self, work: impl FnOnce(&mut Checker) -> T + Send + 'static) -> Result<T, Fault> {
        let permit = Arc::clone(&self.free).acquire_owned().await;
        let home = Arc::clone(&self.checkers);
        let done = tokio::task::spawn_blocking(move || {
            // The place is free again only when the checker is back.
            let _permit = permit;
            let checker = home.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut lent = Lent { checker, home };
            lent.checker.as_mut().map(work)
        });
        done.await.ok().flatten().ok_or_else(no_checker)
    }
}

/// Returns the number of an address among the sources of blocks.
fn source_of(from: IpAddr) -> u64 {
    let mut hasher = DefaultHasher::new();
    network_of(from).hash(&mut hasher);
    hasher.finish() | ADDRESS
}

/// Returns the number of a session of the network among the sources of blocks, by any number that stands for whom it is with.
pub fn session(number: u64) -> u64 {
    number & !ADDRESS
}

/// Tells whether a source of blocks is a session of the network.
pub fn is_session(source: u64) -> bool {
    source & ADDRESS == 0
}

/// Splits into at most `count` parts of about equal size.
fn parts<T>(items: Vec<T>, count: usize) -> Vec<Vec<T>> {
    let each = items.len().div_ceil(count.max(1)).max(1);
    let mut left = items.into_iter();
    let part = || Some(left.by_ref().take(each).collect::<Vec<_>>()).filter(|part| !part.is_empty());
    std::iter::from_fn(part).collect()
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.lock().unwrap_or_else(PoisonError::into_inner).extend(self.checker.take());
    }
}

/// The check came to no end: what was checked may be offered again.
fn no_checker() -> Fault {
    Fault {
        class: FaultClass::Environment,
        plugin: String::new(),
        function: "check".to_owned(),
        detail: "the thread that checked panicked".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(count: usize, hash: Duration, parts: &[(usize, usize)]) {
        let checks = Checks { count, ..Checks::new(Vec::new()) };
        checks.hash_ns.store(u64::try_from(hash.as_nanos()).unwrap(), Ordering::Relaxed);
        for (good, part) in parts {
            assert_eq!(checks.part(*good), *part, "after {good} good ones");
        }
    }

    #[test]
    fn where_a_hash_takes_long_a_page_is_hashed_in_batches_that_grow_with_what_was_good() {
        check(2, Duration::from_millis(35), &[(0, 16), (16, 16), (32, 32), (500, 32)]);
        check(8, Duration::from_millis(35), &[(0, 16), (48, 48), (500, 128)]);
        check(2, Duration::from_millis(1), &[(0, 250), (250, 250), (750, 500)]);
    }

    #[test]
    fn where_it_takes_no_time_a_page_is_hashed_at_once() {
        check(2, Duration::from_nanos(500), &[(0, 500_000)]);
    }

    #[test]
    fn before_anything_was_measured_it_is_taken_to_be_long() {
        check(4, Duration::ZERO, &[(0, 16), (16, 16), (1_000, 64)]);
    }
}
