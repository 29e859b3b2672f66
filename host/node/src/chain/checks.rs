//! Blocks from outside are checked beside the chain's thread, on as many threads as the machine has cores, and reach it ready to be placed.
//!
//! Whoever submits more waits for a free checker with its block: what is held at once is bounded by the connections.

use adit_chain::{Block, BlockError, Checked, Checker};
use adit_primitives::engine::{Fault, FaultClass};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Checkers, lent to one block at a time.
#[derive(Clone)]
pub struct Checks {
    checkers: Arc<Mutex<Vec<Checker>>>,
    free: Arc<Semaphore>,
}

/// A checker that goes back to the others, whatever becomes of its block.
struct Lent {
    checker: Option<Checker>,
    home: Arc<Mutex<Vec<Checker>>>,
}

impl Checks {
    /// Takes the checkers. At least one is needed.
    pub fn new(checkers: Vec<Checker>) -> Self {
        let free = Arc::new(Semaphore::new(checkers.len()));
        Self { checkers: Arc::new(Mutex::new(checkers)), free }
    }

    /// Checks a block as soon as a checker is free.
    pub async fn check(&self, block: Block) -> Result<Checked, BlockError> {
        let permit = Arc::clone(&self.free).acquire_owned().await;
        let home = Arc::clone(&self.checkers);
        let checked = tokio::task::spawn_blocking(move || {
            // The place is free again only when the checker is back.
            let _permit = permit;
            let checker = home.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut lent = Lent { checker, home };
            lent.checker.as_mut().map(|checker| checker.check(block))
        });
        checked.await.ok().flatten().unwrap_or_else(|| Err(no_checker().into()))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.lock().unwrap_or_else(PoisonError::into_inner).extend(self.checker.take());
    }
}

/// The check of this block came to no end: the block may be offered again.
fn no_checker() -> Fault {
    Fault {
        class: FaultClass::Environment,
        plugin: String::new(),
        function: "check".to_owned(),
        detail: "the thread that checked the block panicked".to_owned(),
    }
}
