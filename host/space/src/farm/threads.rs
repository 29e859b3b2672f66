//! The threads of a farm: scouts that look into a folder each, scanners that read and score, and a desk that makes proofs and tells.

use super::Engines;
use super::answer::Answer;
use super::barn::{Barn, Seen, Step};
use super::drive::Drives;
use super::round::{Asked, Disk, Job, Leader};
use super::score::{Scored, Scorer};
use crate::collection::{Collection, Plot};
use crate::error::Problem;
use adit_primitives::contract::space::{PlotPlace, scoop_of};
use std::collections::BTreeSet;
use std::io;
use std::num::NonZero;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The most proofs of shares that are made at once.
const PROVING_MAX: usize = 16;

/// How long the proof of a leaf may take: some dozens of reads.
const PROVING_TIME: Duration = Duration::from_secs(3);

/// What lies in a folder, and on which disks.
pub struct Finding {
    pub collection: Collection,
    /// The disk of each file that was found.
    pub disks: Vec<Disk>,
}

/// Looks into a folder, for as long as that takes.
pub type Look = dyn Fn(&Path) -> Finding + Send + Sync;

/// What the threads of a farm share.
pub struct Shared {
    barn: Mutex<Barn>,
    /// Woken by whatever may concern another thread.
    changed: Condvar,
    /// The number of the question at hand: scans look at it between reads.
    pub current: AtomicU64,
    pub engines: Engines,
    /// How many proofs of shares are made at once.
    proving: usize,
    look: Box<Look>,
}

impl Finding {
    /// Looks into a folder of this machine.
    pub fn look(folder: &Path) -> Self {
        let (collection, mut drives) = (Collection::open(&[folder.to_owned()]), Drives::new());
        let disks = collection.found.iter();
        let disks = disks.map(|found| found.file.map_or(0, |file| drives.of(file.device, &found.path))).collect();
        Self { collection, disks }
    }
}

impl Shared {
    pub fn new(barn: Barn, engines: Engines, look: Box<Look>) -> Self {
        // The other cores are for whoever scores them: often a pool on the same machine.
        let proving = (thread::available_parallelism().map_or(1, NonZero::get) / 2).clamp(1, PROVING_MAX);
        Self { barn: Mutex::new(barn), changed: Condvar::new(), current: AtomicU64::new(0), engines, proving, look }
    }

    pub fn lock(&self) -> MutexGuard<'_, Barn> {
        self.barn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until another thread changed something, or until then.
    pub fn wait<'b>(&self, barn: MutexGuard<'b, Barn>, until: Option<Instant>) -> MutexGuard<'b, Barn> {
        let Some(until) = until else { return self.changed.wait(barn).unwrap_or_else(PoisonError::into_inner) };
        let left = until.saturating_duration_since(Instant::now());
        self.changed.wait_timeout(barn, left).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Wakes the other threads.
    pub fn wake(&self) {
        self.changed.notify_all();
    }

    /// Starts a thread, counted while it lives.
    pub fn spawn(self: &Arc<Self>, name: &str, work: impl FnOnce(&Self) + Send + 'static) -> io::Result<()> {
        self.lock().living += 1;
        let living = Living(Arc::clone(self));
        // Where no thread is given, the count goes down with what it would have owned.
        let run = move || {
            let living = living;
            work(&living.0);
        };
        thread::Builder::new().name(format!("adit-farm-{name}")).spawn(run).map(drop)
    }
}

/// Counts a thread for as long as it lives.
struct Living(Arc<Shared>);

impl Drop for Living {
    fn drop(&mut self) {
        self.0.lock().living -= 1;
        self.0.wake();
    }
}

/// Looks into a folder now and then, and when the settings change, for as long as it is wanted. One that gives no answer keeps nobody else waiting.
pub fn scout(shared: &Shared, folder: &Path) {
    let mut barn = shared.lock();
    while barn.wants(folder) {
        let changes = barn.changes;
        drop(barn);
        let finding = (shared.look)(folder);
        let now = Instant::now();
        barn = shared.lock();
        // The answer may have come late.
        if barn.wants(folder) {
            barn.found(folder, finding, now);
            shared.wake();
        }
        let next = now.checked_add(barn.settings.rescan);
        while !barn.is_closing && barn.changes == changes && next.is_none_or(|next| Instant::now() < next) {
            barn = shared.wait(barn, next);
        }
    }
    barn.scouts.remove(folder);
}

/// Makes proofs and tells what there is to tell.
pub fn desk(shared: &Arc<Shared>, mut tell: impl FnMut(Answer)) {
    let mut barn = shared.lock();
    loop {
        match barn.step(Instant::now(), shared.proving) {
            Step::Wait(_) if barn.is_closing => return,
            Step::Wait(until) => barn = shared.wait(barn, until),
            Step::Tell(answers) => {
                drop(barn);
                answers.into_iter().for_each(&mut tell);
                barn = shared.lock();
            }
            Step::Prove(asked, leader) => {
                drop(barn);
                let place = prove(shared, &asked, &leader);
                barn = shared.lock();
                barn.proved(&asked, &leader, place);
                shared.wake();
            }
            Step::ProveShares(shares) => {
                drop(barn);
                let places = prove_all(shared, &shares);
                barn = shared.lock();
                for ((asked, share), place) in shares.iter().zip(places) {
                    barn.proved_share(asked, share, place);
                }
                shared.wake();
            }
        }
    }
}

/// Makes proofs: those of nonces at once, since each takes a while; others one after the other.
fn prove_all(shared: &Arc<Shared>, shares: &[(Arc<Asked>, Leader)]) -> Vec<Result<PlotPlace, Problem>> {
    let is_hard = |(_, share): &(Arc<Asked>, Leader)| matches!(&*share.entrant.plot, Plot::Hard(_));
    if shares.len() < 2 || !shares.iter().all(is_hard) {
        return prove_in_turn(shared, shares);
    }
    let prove_one = |(asked, share): &(Arc<Asked>, Leader)| prove(shared, asked, share);
    thread::scope(|scope| {
        let started: Vec<_> = shares.iter().map(|share| scope.spawn(|| prove_one(share))).collect();
        started.into_iter().map(|proof| proof.join().unwrap_or(Err(Problem::Panic))).collect()
    })
}

/// Makes proofs one after the other. A plot that gives no answer is asked once.
fn prove_in_turn(shared: &Arc<Shared>, shares: &[(Arc<Asked>, Leader)]) -> Vec<Result<PlotPlace, Problem>> {
    let mut silent: BTreeSet<&Path> = BTreeSet::new();
    let mut places = Vec::with_capacity(shares.len());
    for (asked, share) in shares {
        let path = &*share.entrant.path;
        let place = if silent.contains(path) { Err(Problem::Silent) } else { prove(shared, asked, share) };
        if matches!(place, Err(Problem::Silent)) {
            silent.insert(path);
        }
        places.push(place);
    }
    places
}

/// Makes a proof. That of a leaf is read from the plot, by a thread of its own: where its disk gives no answer, nobody waits for it any longer.
fn prove(shared: &Arc<Shared>, asked: &Arc<Asked>, leader: &Leader) -> Result<PlotPlace, Problem> {
    if matches!(&*leader.entrant.plot, Plot::Hard(_)) {
        return prove_here(shared, asked, leader);
    }
    let (sender, place) = sync_channel(1);
    let (shared, asked, leader) = (Arc::clone(shared), Arc::clone(asked), leader.clone());
    let prove = move || drop(sender.send(prove_here(&shared, &asked, &leader)));
    thread::Builder::new().name("adit-farm-proof".to_owned()).spawn(prove)?;
    place.recv_timeout(PROVING_TIME).unwrap_or(Err(Problem::Silent))
}

fn prove_here(shared: &Shared, asked: &Asked, leader: &Leader) -> Result<PlotPlace, Problem> {
    let scorer = Scorer { engines: &shared.engines, question: &asked.question, instances: &asked.instances };
    let prove = || scorer.prove(&leader.entrant.plot, leader.scored, leader.entrant.registered);
    catch_unwind(AssertUnwindSafe(prove)).unwrap_or(Err(Problem::Panic))
}

/// Reads and scores parts of plots, one after the other, for as long as so many scanners are wanted.
pub fn scanner(shared: &Shared, number: usize) {
    let mut barn = shared.lock();
    loop {
        if barn.is_closing || number >= barn.settings.concurrent.max(1) {
            barn.scanners.remove(&number);
            return;
        }
        let Some(job) = barn.take(Instant::now()) else {
            barn = shared.wait(barn, None);
            continue;
        };
        drop(barn);
        let seen = catch_unwind(AssertUnwindSafe(|| scan(shared, &job))).unwrap_or(Err(Problem::Panic));
        barn = shared.lock();
        barn.done(&job, seen);
        shared.wake();
    }
}

/// Reads and scores a part of a plot, for as long as its question is at hand and its time is not over.
fn scan(shared: &Shared, job: &Job) -> Result<Seen, Problem> {
    let (begun, asked, plot) = (Instant::now(), &job.asked, &*job.entrant.plot);
    if job.is_first {
        plot.again(&job.entrant.path)?;
    }
    let scorer = Scorer { engines: &shared.engines, question: &asked.question, instances: &asked.instances };
    let (entries, failure, lowest) = (AtomicU64::new(0), Mutex::new(None), Mutex::new(None));
    let look = |first: u64, bytes: &[u8]| -> Result<(), Problem> {
        let scored = scorer.best(plot, first, bytes)?;
        entries.fetch_add(bytes.len() as u64 / plot.each(), Ordering::Relaxed);
        asked.scanned.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let check = |scored: &Scored| {
            let each = usize::try_from(plot.each()).expect("a few bytes");
            let at = usize::try_from(scored.entry - first).expect("it is among them") * each;
            scorer.check_leaf(plot, scored.entry, &bytes[at..][..each])
        };
        if let Some(most) = asked.question.shares.filter(|most| scored.is_some_and(|best| best.score <= most.0)) {
            let shares = scorer.up_to(most.0, plot, first, bytes)?;
            shares.iter().try_for_each(check)?;
            shared.lock().owe_shares(job, shares);
            shared.wake();
        }
        if let Some(scored) = scored.filter(|scored| lowers(&lowest, scored)) {
            check(&scored)?;
            if shared.lock().note(job, scored) {
                shared.wake();
            }
        }
        Ok(())
    };
    let visit = |first: u64, bytes: &[u8]| {
        if let Err(problem) = look(first, bytes) {
            failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(problem);
            return ControlFlow::Break(());
        }
        let goes_on = shared.current.load(Ordering::Relaxed) == asked.number && Instant::now() < asked.deadline;
        if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let part = job.part.entries.clone();
    match plot {
        Plot::Plain(plot) => plot.show(part, job.threads, &visit)?,
        Plot::Hard(plot) => {
            plot.show(scoop_of(&asked.question.challenge.challenge).into(), part, job.threads, &visit)?;
        }
    }
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(problem) => Err(problem),
        None => Ok(Seen { entries: entries.into_inner(), took: begun.elapsed() }),
    }
}

/// Tells whether a score is the lowest of a part so far, and notes it.
fn lowers(lowest: &Mutex<Option<Scored>>, scored: &Scored) -> bool {
    let mut lowest = lowest.lock().unwrap_or_else(PoisonError::into_inner);
    let is_lower = lowest.is_none_or(|lowest| scored.score < lowest.score);
    if is_lower {
        *lowest = Some(*scored);
    }
    is_lower
}
