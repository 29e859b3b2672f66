//! The thread that recomputes batches: headers are built, and hashed as far as they are checked here.

use super::price::{HashPrice, Metered, Spent};
use adit_network::shares::{BatchVerdict, Jobs, SealedBatch, Which, judge};
use adit_primitives::engine::{Fault, HashEngine};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The bytes of a header, and how many are hashed to see how long that takes.
const HEADER_BYTES: usize = 80;
const MEASURED: usize = 64;

/// A batch to be recomputed.
struct Task {
    batch: Arc<SealedBatch>,
    which: Which,
}

/// A batch that was.
pub struct Hashed {
    pub batch: Arc<SealedBatch>,
    pub which: Which,
    pub verdict: BatchVerdict,
    /// How many of its shares were to be hashed.
    pub shares: usize,
    pub took: Duration,
    /// What the hashing of it took.
    pub spent: Spent,
}

/// The way to the thread. It ends when this is dropped.
pub struct Hashing {
    tasks: Sender<Task>,
    thread: JoinHandle<()>,
}

impl Hashing {
    /// Has a batch recomputed. What waits is bounded by the batches that a machine of rounds holds.
    pub fn judge(&self, batch: Arc<SealedBatch>, which: Which) {
        // The thread ends after its owner alone.
        drop(self.tasks.send(Task { batch, which }));
    }

    /// Ends the thread, once what it is at is done.
    pub fn end(self) {
        drop(self.tasks);
        if self.thread.join().is_err() {
            tracing::error!("the thread that hashes shares panicked");
        }
    }
}

/// Starts. Every task is answered by `tell`, in order.
pub fn start(
    mut hash: Box<dyn HashEngine>,
    jobs: Arc<dyn Jobs + Send + Sync>,
    tell: impl Fn(Hashed) + Send + 'static,
) -> std::io::Result<Hashing> {
    let (tasks, receiver) = channel::<Task>();
    let run = move || {
        for Task { batch, which } in receiver {
            let began = Instant::now();
            let mut metered = Metered::new(&mut *hash);
            let verdict = judge(batch.batch(), &which, &*jobs, &mut metered);
            let (spent, shares) = (metered.spent, count(&batch, &which));
            tell(Hashed { batch, which, verdict, shares, took: began.elapsed(), spent });
        }
    };
    let thread = std::thread::Builder::new().name("adit-shares-hash".to_owned()).spawn(run)?;
    Ok(Hashing { tasks, thread })
}

/// Returns how many shares of a batch are to be hashed.
pub fn count(batch: &SealedBatch, which: &Which) -> usize {
    match which {
        Which::All => batch.batch().entries.len(),
        Which::Some(places) => places.len(),
    }
}

/// Returns what one hash costs here: the second time, since the first one warms the engine up.
pub fn measure(hash: &mut dyn HashEngine) -> Result<HashPrice, Fault> {
    let inputs: Vec<u8> = (0u8..=255).cycle().take(HEADER_BYTES * MEASURED).collect();
    let mut spent = Spent::default();
    for _ in 0..2 {
        let mut metered = Metered::new(hash);
        metered.digest_many(&inputs, HEADER_BYTES, &mut Vec::with_capacity(MEASURED))?;
        spent = metered.spent;
    }
    Ok(HashPrice::new(spent))
}
