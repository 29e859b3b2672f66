//! Blocks and headers from outside are checked beside the chain's thread, on as many threads as the machine has cores, and reach it ready to be placed.
//!
//! Whoever submits more waits for a free checker with its block: what is held at once is bounded by the connections.

use adit_chain::{Block, BlockError, Checked, CheckedHeaders, Checker};
use adit_primitives::engine::{Fault, FaultClass};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Checkers, lent to one block at a time.
#[derive(Clone)]
pub struct Checks {
    checkers: Arc<Mutex<Vec<Checker>>>,
    free: Arc<Semaphore>,
    /// How many there are.
    count: usize,
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
        Self { checkers: Arc::new(Mutex::new(checkers)), free: Arc::new(Semaphore::new(count)), count }
    }

    /// Checks a block as soon as a checker is free.
    pub async fn check(&self, block: Block) -> Result<Checked, BlockError> {
        self.lend(move |checker| checker.check(block)).await.unwrap_or_else(|fault| Err(fault.into()))
    }

    /// Checks blocks with all checkers at once. One answer for each, in order.
    pub async fn check_all(&self, blocks: Vec<Block>) -> Vec<Result<Checked, BlockError>> {
        let parts = parts(blocks, self.count);
        let mut checking = Vec::with_capacity(parts.len());
        for part in parts {
            let (count, checks) = (part.len(), self.clone());
            let check = async move { checks.lend(move |checker| checker.check_all(part)).await };
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

    /// Reads headers, and hashes those that are not known with all checkers at once.
    pub async fn check_headers(&self, headers: Vec<Vec<u8>>) -> Result<CheckedHeaders, Fault> {
        let mut decoded = self.lend(move |checker| checker.decode_headers(headers)).await??;
        let mut hashing = Vec::with_capacity(self.count);
        for part in decoded.split(self.count) {
            let checks = self.clone();
            hashing.push(tokio::spawn(async move { checks.lend(move |checker| checker.hash_headers(part)).await? }));
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
