//! What the handle and the threads have in common: the current job, the way events go out, and the end.

use super::{Clock, Config};
use crate::events::Event;
use crate::job::{CheckedJob, JobId};
use crate::usage::ThreadUsage;
use crate::work::{Distribution, Held, Pace, Range};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// How often a worker whose event finds no place looks again.
const FULL_CHANNEL_PAUSE: Duration = Duration::from_millis(1);

pub struct Shared {
    pub config: Config,
    pub clock: Clock,
    events: SyncSender<Event>,
    /// Counts assignments. A worker compares it between slices: one load.
    generation: AtomicU64,
    ending: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    work: Option<Distribution>,
    /// What workers of this job could not search: handed out before anything else.
    returned: Vec<Range>,
    /// What workers of this job have in their hands: one range each.
    held: Vec<Arc<Held>>,
    threads: usize,
}

/// The figures that a worker's thread keeps.
#[derive(Default)]
pub struct Counters {
    pub hashes: AtomicU64,
    pub found: AtomicU64,
    pub failures: AtomicU64,
    /// The core that the thread is bound to. Empty until the thread has begun.
    pub core: OnceLock<Option<usize>>,
    pub usage: OnceLock<Option<ThreadUsage>>,
    /// The thread has ended.
    pub gone: AtomicBool,
}

/// What a worker gets when it asks for work.
pub enum Assignment {
    /// A range, with the generation in which it was handed out.
    Work(Range, u64),
    /// The job's last range is gone: this worker says so.
    Exhausted(JobId),
    /// There is no job.
    Nothing,
}

impl State {
    fn steal(&self, hashes_per_slice: u64) -> Option<Range> {
        let victim = self.held.iter().max_by_key(|held| held.slices_left())?;
        let versions = victim.range().search.inputs.len() as u64;
        victim.steal(hashes_per_slice / versions.max(1))
    }
}

impl Counters {
    pub fn processor_time(&self) -> Option<Duration> {
        self.usage.get()?.as_ref()?.processor_time()
    }
}

impl Shared {
    pub fn new(config: Config, clock: Clock, events: SyncSender<Event>) -> Self {
        Self {
            config,
            clock,
            events,
            generation: AtomicU64::new(0),
            ending: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Replaces the job. From here on every range handed out before is stale.
    pub fn assign(&self, job: Option<(CheckedJob, u64)>) {
        let work = job.map(|(job, random)| Distribution::new(job, self.config.versions_max, random));
        let mut state = self.lock();
        state.work = work;
        state.returned.clear();
        state.held.clear();
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_all();
    }

    /// Hands out a range for a worker of this pace: a fresh one, or when there is none a part of what the worker with the most left has in its hands.
    pub fn take(&self, pace: &Pace) -> Assignment {
        let mut state = self.lock();
        if let Some(range) = state.returned.pop() {
            return Assignment::Work(range, self.generation());
        }
        let Some(work) = &mut state.work else {
            let stolen = state.steal(pace.hashes_per_slice());
            return stolen.map_or(Assignment::Nothing, |range| Assignment::Work(range, self.generation()));
        };
        match work.take(pace.hashes_per_range()) {
            Some(range) => Assignment::Work(range, self.generation()),
            None => {
                let job = work.job();
                state.work = None;
                Assignment::Exhausted(job)
            }
        }
    }

    /// Lets others steal from a range, unless its job has been replaced.
    pub fn hold(&self, held: &Arc<Held>, generation: u64) {
        let mut state = self.lock();
        if self.generation() == generation {
            state.held.push(Arc::clone(held));
        }
    }

    /// Ends that.
    pub fn let_go(&self, held: &Arc<Held>) {
        self.lock().held.retain(|other| !Arc::ptr_eq(other, held));
    }

    /// Takes back what a worker has not searched, unless the job has been replaced.
    pub fn give_back(&self, range: Range, generation: u64) {
        let mut state = self.lock();
        if self.generation() == generation {
            state.returned.push(range);
            self.changed.notify_all();
        }
    }

    pub fn job(&self) -> Option<JobId> {
        self.lock().work.as_ref().map(Distribution::job)
    }

    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    pub fn end(&self) {
        self.ending.store(true, Ordering::Release);
        self.wake_all();
    }

    pub fn wake_all(&self) {
        // Taking the lock orders this after the look of a worker that is about to wait.
        drop(self.lock());
        self.changed.notify_all();
    }

    /// Waits until there is work or `over` says that nothing more is to be done.
    pub fn wait_for_work(&self, over: &dyn Fn() -> bool) {
        let state = self.lock();
        let idle = |state: &mut State| state.work.is_none() && state.returned.is_empty() && !over();
        drop(self.changed.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits for a time, or less when `over`.
    pub fn pause(&self, time: Duration, over: &dyn Fn() -> bool) {
        let state = self.lock();
        drop(self.changed.wait_timeout_while(state, time, |_| !over()).unwrap_or_else(PoisonError::into_inner));
    }

    /// Sends an event. Where there is no place, waits for one until `over`; then the event is of no use any more.
    pub fn tell(&self, mut event: Event, over: &dyn Fn() -> bool) {
        loop {
            match self.events.try_send(event) {
                Ok(()) | Err(TrySendError::Disconnected(_)) => return,
                Err(TrySendError::Full(back)) if !over() => event = back,
                Err(TrySendError::Full(_)) => return,
            }
            self.pause(FULL_CHANNEL_PAUSE, over);
        }
    }

    pub fn thread_begins(&self) {
        self.lock().threads += 1;
    }

    pub fn thread_ends(&self, counters: &Counters) {
        let mut state = self.lock();
        counters.gone.store(true, Ordering::Release);
        state.threads -= 1;
        self.changed.notify_all();
    }

    /// Waits until every thread has ended, at most so long.
    pub fn wait_until_gone(&self, at_most: Duration) {
        let state = self.lock();
        let _ = self.changed.wait_timeout_while(state, at_most, |state| state.threads > 0);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
