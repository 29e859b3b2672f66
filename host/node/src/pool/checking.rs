//! The threads that check shares, and the one that keeps those that count.
//!
//! A connection hands its shares to one checker, always the same, and hears of them in order. A share that counts is answered when it is
//! in the log and would survive `kill -9`, not before; several checkers' shares go into the log together. Where more waits for a
//! checker than it takes up at once, workers' records set the order. A block leaves for the upstream the moment it is hashed. In a
//! peer-to-peer pool shares go to the log that all its nodes keep, which says when they are certified.

#[cfg(test)]
mod tests;

use super::connections::{self, Connections};
use super::farmers::Rivals;
use super::metrics::PoolMetrics;
use super::shared::{MinerName, SharedPool};
use super::solved::Note;
use super::warden::Warden;
use crate::clock::Clock;
use adit_pool::work::check::{Checker, Trouble};
use adit_pool::work::job::JobBook;
use adit_pool::work::log::{NewShare, ShareLog};
use adit_pool::work::order::{Order, Standing};
use adit_pool::work::retarget::ConnectionId;
use adit_pool::work::share::{Outcome, Refusal, Submission};
use adit_primitives::Timestamp;
use adit_primitives::accounts::ShareSequence;
use adit_protocol::stratum::message;
use adit_protocol::stratum::server::Ticket;
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};

/// Parcels that may wait on the way to one checker, and as many again where it puts them in order. A connection whose parcel finds no room waits, and reads
/// no further.
const PARCELS_WAITING_MAX: usize = 256;

/// Shares that a checker takes up at once.
const BATCH_MAX: usize = 1024;

/// Batches that may wait for the log.
const GROUPS_WAITING_MAX: usize = 64;

/// Shares that go into the log by one commit, about.
const COMMIT_MAX: usize = 16 * 1024;

/// The shares that a connection sent at once.
pub struct Parcel {
    pub connection: ConnectionId,
    pub origin: IpAddr,
    pub shares: Vec<Claimed>,
    /// In a peer-to-peer pool: whom the connection's work pays.
    pub name: Option<Arc<MinerName>>,
}

/// A share with what its answer needs.
pub struct Claimed {
    pub ticket: Ticket,
    /// The worker's full name, for bans.
    pub user: Arc<str>,
    pub submission: Submission,
}

/// A block, with the place in the log that its window ends at, once that is known.
pub struct Solved {
    pub note: Note,
    pub shares_end: oneshot::Receiver<ShareSequence>,
    /// When the checker had its hash.
    pub hashed: Instant,
    /// What may go out in its place where it is refused.
    pub rivals: Option<Arc<Rivals>>,
}

/// What checking needs besides the checkers.
pub struct CheckingParts {
    /// One for each thread.
    pub checkers: Vec<Checker>,
    pub log: Arc<ShareLog>,
    pub metrics: Arc<PoolMetrics>,
    pub clock: Clock,
    /// Where blocks go.
    pub solved: mpsc::UnboundedSender<Solved>,
    pub warden: Warden,
    pub jobs: Arc<JobBook>,
    /// The other nodes, in a peer-to-peer pool.
    pub shared: Option<SharedPool>,
}

/// The way to the checkers.
#[derive(Clone)]
pub struct Checking {
    checkers: Arc<[mpsc::Sender<Parcel>]>,
}

/// The running threads. They end when every [`Checking`] is dropped, after what waits.
pub struct CheckingThreads {
    threads: Vec<JoinHandle<()>>,
}

/// A batch that was checked.
struct Group {
    parcels: Vec<Parcel>,
    outcomes: Vec<Outcome>,
    blocks: Vec<oneshot::Sender<ShareSequence>>,
}

impl Checking {
    /// Starts the threads.
    pub fn start(parts: CheckingParts) -> std::io::Result<(Self, CheckingThreads)> {
        let CheckingParts { checkers, log, metrics, clock, solved, warden, jobs, shared } = parts;
        let (groups, group_receiver) = mpsc::channel(GROUPS_WAITING_MAX);
        let keeper = Keeper {
            log,
            connections: Arc::clone(&warden.connections),
            metrics: Arc::clone(&metrics),
            clock: Arc::clone(&clock),
            warden,
            jobs,
            shared,
        };
        let mut threads = Vec::with_capacity(checkers.len() + 1);
        let mut senders = Vec::with_capacity(checkers.len());
        for (number, checker) in checkers.into_iter().enumerate() {
            let (sender, parcels) = mpsc::channel(PARCELS_WAITING_MAX);
            let (groups, solved) = (groups.clone(), solved.clone());
            let thread = CheckerThread { checker, clock: Arc::clone(&clock), metrics: Arc::clone(&metrics), solved };
            let builder = std::thread::Builder::new().name(format!("adit-check-{number}"));
            threads.push(builder.spawn(move || thread.run(parcels, &groups))?);
            senders.push(sender);
        }
        let builder = std::thread::Builder::new().name("adit-share-log".to_owned());
        threads.push(builder.spawn(move || keeper.run(group_receiver))?);
        Ok((Self { checkers: senders.into() }, CheckingThreads { threads }))
    }

    /// Hands shares in; waits where too many wait already. `false`: there are no checkers, or they have ended.
    pub async fn hand_in(&self, parcel: Parcel) -> bool {
        let count = u64::try_from(self.checkers.len()).unwrap_or(1).max(1);
        let place = usize::try_from(parcel.connection.0 % count).unwrap_or_default();
        match self.checkers.get(place) {
            Some(checker) => checker.send(parcel).await.is_ok(),
            None => false,
        }
    }
}

impl CheckingThreads {
    /// Waits for the threads. Every [`Checking`] must have been dropped.
    pub fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread that checks shares panicked");
            }
        }
    }
}

struct CheckerThread {
    checker: Checker,
    clock: Clock,
    metrics: Arc<PoolMetrics>,
    solved: mpsc::UnboundedSender<Solved>,
}

impl CheckerThread {
    fn run(mut self, mut parcels: mpsc::Receiver<Parcel>, groups: &mpsc::Sender<Group>) {
        let mut order = Order::default();
        let push =
            |order: &mut Order<Parcel>, parcel: Parcel| order.push(parcel.connection, parcel.shares.len(), parcel);
        loop {
            if order.is_empty() {
                let Some(first) = parcels.blocking_recv() else { return };
                push(&mut order, first);
            }
            while order.len() < PARCELS_WAITING_MAX
                && let Ok(parcel) = parcels.try_recv()
            {
                push(&mut order, parcel);
            }
            let batch = order.take(BATCH_MAX, |parcel| self.standing(parcel));
            let group = self.check(batch);
            if groups.blocking_send(group).is_err() {
                return;
            }
        }
    }

    /// Returns how good the records are of those whose shares came together.
    fn standing(&self, parcel: &Parcel) -> Standing {
        // Nearly all connections have one worker.
        let workers = parcel.shares.chunk_by(|one, other| one.submission.worker == other.submission.worker);
        self.checker.workers().standing(workers.map(|of_one| of_one[0].submission.worker))
    }

    fn check(&mut self, parcels: Vec<Parcel>) -> Group {
        let shares: Vec<_> = parcels.iter().flat_map(|parcel| &parcel.shares).map(|share| share.submission).collect();
        let (solved, mut blocks, now) = (&self.solved, Vec::new(), (self.clock)());
        let checked = self.checker.check(&shares, now, &mut |block| {
            let hashed = Instant::now();
            if block.job.template.coinbase.base.is_some_and(|base| base.round == 0) {
                return tracing::info!(block = %block.id, "a block found before any share was credited is kept back: it would pay nobody");
            }
            let (sender, shares_end) = oneshot::channel();
            blocks.push(sender);
            // Without anyone to take it the pool is at its end, and the find is in the checker's log line alone.
            let note = Note::new(&block, now);
            if solved.send(Solved { note, shares_end, hashed, rivals: None }).is_err() {
                tracing::error!("a block was found while the pool ended");
            }
        });
        self.tell(&checked.troubles);
        Group { parcels, outcomes: checked.outcomes, blocks }
    }

    fn tell(&self, troubles: &[Trouble]) {
        for trouble in troubles {
            self.metrics.troubles.inc();
            tracing::error!(%trouble, "checking shares");
        }
    }
}

/// Owns the log.
struct Keeper {
    log: Arc<ShareLog>,
    connections: Arc<Connections>,
    metrics: Arc<PoolMetrics>,
    clock: Clock,
    warden: Warden,
    jobs: Arc<JobBook>,
    shared: Option<SharedPool>,
}

impl Keeper {
    fn run(self, mut groups: mpsc::Receiver<Group>) {
        while let Some(first) = groups.blocking_recv() {
            let mut count = first.outcomes.len();
            let mut together = vec![first];
            while count < COMMIT_MAX
                && let Ok(group) = groups.try_recv()
            {
                count += group.outcomes.len();
                together.push(group);
            }
            self.keep(together);
        }
    }

    /// Writes what counts, then answers.
    fn keep(&self, mut groups: Vec<Group>) {
        let now = (self.clock)();
        match &self.shared {
            Some(shared) => groups.iter_mut().for_each(|group| self.share(shared, group)),
            None => self.log(&mut groups, now),
        }
        let end = self.log.next();
        for group in groups {
            for block in group.blocks {
                // Whoever follows the block ends with the pool alone.
                let _ = block.send(end);
            }
            let mut outcomes = group.outcomes.into_iter();
            for parcel in group.parcels {
                self.answer(parcel, &mut outcomes, now);
            }
        }
    }

    /// Puts the shares that count before all nodes of the pool. One that finds no room counts for nobody, and is answered so.
    fn share(&self, shared: &SharedPool, group: &mut Group) {
        let claimed = group.parcels.iter().flat_map(|parcel| parcel.shares.iter().map(|share| (&parcel.name, share)));
        for ((name, share), outcome) in claimed.zip(&mut group.outcomes) {
            let submission = &share.submission;
            let Outcome::Accepted { is_block } = *outcome else { continue };
            let given = match (name, self.jobs.job(submission.job)) {
                (Some(name), Some(job)) => {
                    shared.share(&job, name, submission, is_block).map_err(|error| error.to_string())
                }
                _ => Err("its job is forgotten".to_owned()),
            };
            if let Err(problem) = given {
                tracing::warn!(problem, "a share does not reach the pool's log");
                *outcome = Outcome::Refused(Refusal::Unjudged);
            }
        }
    }

    /// Writes the shares that count into the log of this node.
    fn log(&self, groups: &mut [Group], now: Timestamp) {
        let counted = |(share, outcome): (&Claimed, &Outcome)| {
            let Submission { account, worker, difficulty, .. } = share.submission;
            matches!(outcome, Outcome::Accepted { .. }).then_some(NewShare { account, worker, time: now, difficulty })
        };
        let rows: Vec<NewShare> = groups.iter().flat_map(Group::shares).filter_map(counted).collect();
        if let Err(error) = self.log.append(&rows) {
            tracing::error!(%error, shares = rows.len(), "shares were not kept: they do not count");
            for outcome in groups.iter_mut().flat_map(|group| &mut group.outcomes) {
                if matches!(outcome, Outcome::Accepted { .. }) {
                    *outcome = Outcome::Refused(Refusal::Unjudged);
                }
            }
        }
    }

    fn answer(&self, parcel: Parcel, outcomes: &mut impl Iterator<Item = Outcome>, now: Timestamp) {
        let Parcel { connection, origin, shares, .. } = parcel;
        let mut answers = Vec::with_capacity(shares.len());
        let mut credits = Vec::with_capacity(shares.len());
        // Nearly all connections have one worker.
        let mut tallies: Vec<(Arc<str>, u64, u64)> = Vec::with_capacity(1);
        for (share, outcome) in shares.into_iter().zip(outcomes) {
            self.metrics.share(outcome);
            let place = tallies.iter().position(|(user, ..)| *user == share.user).unwrap_or_else(|| {
                tallies.push((share.user, 0, 0));
                tallies.len() - 1
            });
            let (_, count, invalid) = &mut tallies[place];
            let verdict = match outcome {
                Outcome::Accepted { .. } => {
                    credits.push(share.submission.difficulty);
                    *count += 1;
                    Ok(())
                }
                Outcome::Refused(refusal) => {
                    if refusal.is_invalid() {
                        *count += 1;
                        *invalid += 1;
                    }
                    Err(refusal_of(refusal))
                }
            };
            answers.push((share.ticket, verdict));
        }
        self.connections.credit(connection, &credits, now);
        self.connections.tell(connection, connections::Note::Judged(answers));
        self.warden.note(origin, &tallies, now);
    }
}

impl Group {
    fn shares(&self) -> impl Iterator<Item = (&Claimed, &Outcome)> {
        self.parcels.iter().flat_map(|parcel| &parcel.shares).zip(&self.outcomes)
    }
}

/// Says a refusal as miners know it.
fn refusal_of(refusal: Refusal) -> message::Refusal {
    let code = u8::try_from(refusal.code()).unwrap_or(20);
    message::Refusal { code, text: Cow::Borrowed(refusal.text()) }
}
