//! The thread that checks farmers' proofs, and keeps those that count.
//!
//! They are few beside hashed shares, and each is dear: what waits together is scored together, so that the sandbox's lanes are full, on several threads where that
//! is enough to do for them. What answers the challenge that stands comes first. A proof is answered when it is in the log and would survive `kill -9`, not before; a block leaves for the upstream the moment it is scored.

use super::super::checking::Solved;
use super::super::solved::Note;
use super::super::warden::Warden;
use super::rivals::Rivals;
use crate::clock::Clock;
use adit_pool::work::limits::network_of;
use adit_pool::work::log::{NewShare, ShareLog};
use adit_pool::work::partial::{Partial, PartialChecker};
use adit_pool::work::retarget::ConnectionId;
use adit_pool::work::share::{Outcome, Refusal};
use adit_primitives::Timestamp;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

/// Proofs that may wait. Who finds no room waits with its request.
const WAITING_MAX: usize = 1_024;

/// Proofs of one address that may wait, and as many again of farmers of whom none was good yet.
pub const WAITING_OF_ADDRESS: usize = WAITING_MAX / 8;

/// Of those, how many are checked at a time: so many may be nonsense before anybody can tell.
pub const STRANGERS_AT_ONCE: usize = 4;

/// The most late proofs that are checked with those in time, which wait for no more than these.
const LATE_AT_ONCE: usize = 1;

/// A partial proof, with what its answer needs.
pub struct Handed {
    pub partial: Partial,
    pub origin: IpAddr,
    /// The worker's full name, for bans.
    pub user: Arc<str>,
    pub connection: ConnectionId,
    /// Its place among those of its address: another may come when it has its answer.
    pub place: OwnedSemaphorePermit,
    /// Where its farmer has shown nothing yet: one of the few turns of such at its address.
    pub turn: Option<OwnedSemaphorePermit>,
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
        let (rivals, mut waiting) = (Arc::default(), Vec::new());
        loop {
            if waiting.is_empty() {
                let Some(first) = handed.blocking_recv() else { return };
                waiting.push(first);
            }
            while waiting.len() < WAITING_MAX
                && let Ok(next) = handed.try_recv()
            {
                waiting.push(next);
            }
            let now = (self.clock)();
            let stale_ms = |handed: &Handed| handed.partial.job.stale_ms(now);
            // Who gave up waiting is credited for nothing, and what is late is hardly a block.
            waiting.retain(|handed| !handed.reply.is_closed() || stale_ms(handed) == 0);
            let from = |handed: &Handed| network_of(handed.origin);
            let batch = newest_first(&mut waiting, self.checker.batch(), stale_ms, from);
            if !batch.is_empty() {
                self.take(batch, &rivals);
            }
        }
    }

    /// Checks a batch, writes what counts, then answers.
    fn take(&mut self, batch: Vec<Handed>, rivals: &Arc<Rivals>) {
        let now = (self.clock)();
        let (mut partials, mut askers) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        for Handed { partial, origin, user, connection, place, turn, reply } in batch {
            partials.push(partial);
            askers.push((origin, user, connection, (place, turn), reply));
        }
        let (solved, mut blocks) = (&self.solved, Vec::new());
        let mut checked = self.checker.check(&partials, now, &mut |block| {
            let (sender, shares_end) = oneshot::channel();
            blocks.push(sender);
            let (parent, note) = (block.job.template.previous, Note::of_space(&block, now));
            let found = Solved { note, shares_end, hashed: Instant::now(), rivals: None };
            let Some(out) = rivals.enter(parent, found) else {
                tracing::info!(block = %block.id, "a win is a share alone: a block of the pool's on the same parent is out");
                return false;
            };
            // Without anyone to take it the pool is at its end, and the find is in this log line alone.
            if solved.send(out).is_err() {
                tracing::error!(block = %block.id, "a block was won while the pool ended");
            }
            true
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
        for (((origin, user, connection, places, reply), partial), outcome) in
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
            drop(places);
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

/// Takes up to `most` out of what answers the challenge that stands, of each address in turn, each in the order in which it came, and a few of what comes
/// late, the latest first. Where more comes than can be checked, something of everybody counts: in the order of arrival everything would be late in the end, and
/// so it would where many late ones, or those of one who sends what was never proved, kept the next challenge's waiting.
fn newest_first<T, F: Ord>(
    waiting: &mut Vec<T>,
    most: usize,
    stale_ms: impl Fn(&T) -> u64,
    from: impl Fn(&T) -> F,
) -> Vec<T> {
    let mut turns = BTreeMap::new();
    let order = |next: T| match stale_ms(&next) {
        0 => {
            let turn: &mut usize = turns.entry(from(&next)).or_default();
            *turn += 1;
            ((0, *turn), next)
        }
        stale_ms => ((stale_ms, 0), next),
    };
    let mut ordered: Vec<((u64, usize), T)> = waiting.drain(..).map(order).collect();
    ordered.sort_by_key(|(order, _)| *order);
    let in_time = ordered.iter().take_while(|((stale_ms, _), _)| *stale_ms == 0).count();
    waiting.extend(ordered.into_iter().map(|(_, next)| next));
    let late: Vec<T> = waiting.drain(in_time..waiting.len().min(in_time + LATE_AT_ONCE)).collect();
    waiting.drain(..in_time.min(most)).chain(late).collect()
}

#[cfg(test)]
mod tests {
    use super::newest_first;

    #[test]
    fn what_answers_the_challenge_that_stands_is_checked_before_what_comes_late() {
        let mut waiting: Vec<u64> = vec![900, 0, 20, 0, 0];
        let mut next = |most| newest_first(&mut waiting, most, |stale_ms| *stale_ms, |_| ());
        assert_eq!(next(2), [0, 0, 20]);
        assert_eq!(next(2), [0, 900]);
        assert!(next(2).is_empty());
    }

    #[test]
    fn each_is_taken_in_the_order_in_which_it_came() {
        let mut waiting = vec![("a", 0), ("late", 9), ("b", 0), ("later", 9), ("c", 0)];
        let mut next = |most| -> Vec<&str> {
            let taken = newest_first(&mut waiting, most, |(_, stale_ms)| *stale_ms, |_| ());
            taken.into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!((next(2), next(2)), (vec!["a", "b", "late"], vec!["c", "later"]));
    }

    #[test]
    fn who_sends_much_waits_for_itself_alone() {
        let mut waiting = vec![(1, 'a'), (1, 'b'), (1, 'c'), (2, 'd'), (3, 'e'), (2, 'f')];
        let mut next = || -> String {
            newest_first(&mut waiting, 3, |_| 0, |(from, _)| *from).into_iter().map(|(_, name)| name).collect()
        };
        assert_eq!((next(), next()), ("ade".to_owned(), "bfc".to_owned()));
    }

    #[test]
    fn what_comes_late_is_checked_one_at_a_time() {
        let mut waiting: Vec<u64> = vec![3, 2, 1];
        let mut next = || newest_first(&mut waiting, 64, |stale_ms| *stale_ms, |_| ());
        assert_eq!((next(), next(), next()), (vec![1], vec![2], vec![3]));
    }
}
