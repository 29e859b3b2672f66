//! The thread that checks farmers' proofs, and keeps those that count.
//!
//! They are few beside hashed shares, and each is dear: one thread takes what waits together, so that the sandbox scores in lanes. A proof is answered
//! when it is in the log and would survive `kill -9`, not before; a block leaves for the upstream the moment it is scored.

use super::super::checking::{Solved, Warden};
use super::super::solved::Note;
use crate::clock::Clock;
use adit_pool::work::log::{NewShare, ShareLog};
use adit_pool::work::partial::{Partial, PartialChecker};
use adit_pool::work::retarget::ConnectionId;
use adit_pool::work::share::{Outcome, Refusal};
use adit_primitives::Timestamp;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};

/// Proofs that may wait. Who finds no room waits with its request.
const WAITING_MAX: usize = 1_024;

/// Proofs that are taken up at once.
const BATCH_MAX: usize = 64;

/// A partial proof, with what its answer needs.
pub struct Handed {
    pub partial: Partial,
    pub origin: IpAddr,
    /// The worker's full name, for bans.
    pub user: Arc<str>,
    pub connection: ConnectionId,
    pub reply: oneshot::Sender<Result<(), Refusal>>,
}

/// What the thread works with.
pub struct FarmersChecking {
    pub checker: PartialChecker,
    pub log: Arc<ShareLog>,
    pub warden: Warden,
    pub clock: Clock,
    /// Where blocks go.
    pub solved: mpsc::UnboundedSender<Solved>,
}

/// The running thread. It ends when every way to it is dropped, after what waits.
pub struct FarmersThread(JoinHandle<()>);

/// Starts the thread, and returns the way to it.
pub fn start(checking: FarmersChecking) -> std::io::Result<(mpsc::Sender<Handed>, FarmersThread)> {
    let (sender, handed) = mpsc::channel(WAITING_MAX);
    let builder = std::thread::Builder::new().name("adit-check-farm".to_owned());
    Ok((sender, FarmersThread(builder.spawn(move || checking.run(handed))?)))
}

impl FarmersThread {
    /// Waits for its end.
    pub fn join(self) {
        if self.0.join().is_err() {
            tracing::error!("the thread that checks farmers' proofs panicked");
        }
    }
}

impl FarmersChecking {
    fn run(mut self, mut handed: mpsc::Receiver<Handed>) {
        while let Some(first) = handed.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH_MAX
                && let Ok(next) = handed.try_recv()
            {
                batch.push(next);
            }
            self.take(batch);
        }
    }

    /// Checks a batch, writes what counts, then answers.
    fn take(&mut self, batch: Vec<Handed>) {
        let now = (self.clock)();
        let (mut partials, mut askers) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        for Handed { partial, origin, user, connection, reply } in batch {
            partials.push(partial);
            askers.push((origin, user, connection, reply));
        }
        let (solved, mut blocks) = (&self.solved, Vec::new());
        let mut checked = self.checker.check(&partials, now, &mut |block| {
            let (sender, shares_end) = oneshot::channel();
            blocks.push(sender);
            let (note, hashed) = (Note::of_space(&block, now), Instant::now());
            // Without anyone to take it the pool is at its end, and the find is in this log line alone.
            if solved.send(Solved { note, shares_end, hashed }).is_err() {
                tracing::error!(block = %block.id, "a block was won while the pool ended");
            }
        });
        for trouble in &checked.troubles {
            self.warden.metrics.troubles.inc();
            tracing::error!(%trouble, "checking proofs");
        }
        self.log(&partials, &mut checked.outcomes, now);
        let end = self.log.next();
        for block in blocks {
            // Whoever follows the block ends with the pool alone.
            let _ = block.send(end);
        }
        for (((origin, user, connection, reply), partial), outcome) in
            askers.into_iter().zip(&partials).zip(checked.outcomes)
        {
            self.warden.metrics.share(outcome);
            let answer = match outcome {
                Outcome::Accepted { .. } => {
                    self.warden.connections.credit(connection, &[partial.difficulty], now);
                    Ok(())
                }
                Outcome::Refused(refusal) => Err(refusal),
            };
            let invalid = u64::from(answer.is_err_and(Refusal::is_invalid));
            let count = invalid.max(u64::from(answer.is_ok()));
            // Its farmer may have gone; it counts all the same.
            let _ = reply.send(answer);
            self.warden.note(origin, &[(user, count, invalid)], now);
        }
    }

    /// Writes what counts. Where the log fails, nothing does.
    fn log(&self, partials: &[Partial], outcomes: &mut [Outcome], now: Timestamp) {
        let counts = |outcome: &Outcome| matches!(outcome, Outcome::Accepted { .. });
        let rows: Vec<NewShare> = partials
            .iter()
            .zip(&*outcomes)
            .filter(|(_, outcome)| counts(outcome))
            .map(|(partial, _)| {
                let Partial { account, worker, difficulty, .. } = *partial;
                NewShare { account, worker, time: now, difficulty }
            })
            .collect();
        if let Err(error) = self.log.append(&rows) {
            tracing::error!(%error, shares = rows.len(), "shares were not kept: they do not count");
            let lost = outcomes.iter_mut().filter(|outcome| counts(outcome));
            lost.for_each(|outcome| *outcome = Outcome::Refused(Refusal::Unjudged));
        }
    }
}
