//! A farm: the plots of some folders, and who looks through them when a challenge comes.
//!
//! Knows files, threads and how leaves are scored; never a chain, a socket or a secret key. What it finds it proposes: the chain's plugin computes it again.
//! One part of one plot is read from a disk at a time, past the cache, while what was read is scored. Memory is bounded by the threads that
//! read: a mebibyte each.
//!
//! Where a challenge has less time than its plots take, pieces that are spread evenly over all plots are read first and the rest after them,
//! and under the next challenge another plot comes first: so each plot's chance is in proportion to its size.
//!
//! Reading order: [`question`] is what a farm is asked, [`answer`] what it says, [`figures`] what it tells of itself; `plan` is what is read in which order,
//! `round` a question at hand, `score` how entries are scored and proved, `record` what is known of a plot, `drive` which disk it lies on, `barn` what all threads share and
//! decide, `threads` those.

pub mod answer;
mod barn;
mod drive;
pub mod figures;
mod plan;
pub mod question;
mod record;
mod round;
mod score;
mod threads;

use adit_primitives::contract::space::Registration;
use adit_primitives::space::SpaceEngine;
use barn::Barn;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use threads::{Finding, Look, Shared, desk, scanner, scout};

pub use crate::disk::THREADS;
pub use answer::{Answer, Best, Finished};
pub use figures::{Figures, PlotFigures, Standing};
pub use question::{EngineFactory, Question, Scoring};

/// How long the end of a farm may take. A thread that a disk does not answer is left behind.
pub const SHUTDOWN_MAX: Duration = Duration::from_secs(2);

/// More plots than any machine has disks to scan them from.
pub const CONCURRENT_MAX: usize = 1_024;

/// More threads than help any disk.
pub const THREADS_MAX: usize = 64;

/// How a farm works. All of it may change while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where plots lie: in the folders, not below them.
    pub folders: Vec<PathBuf>,
    /// How many plots are scanned at once, over all disks: from 1 to [`CONCURRENT_MAX`], and brought there. From one disk one plot is read at a time.
    pub concurrent: usize,
    /// How many threads work on each of them: while one scores what it read, others read. From 1 to [`THREADS_MAX`], and brought there;
    /// [`THREADS`] unless there is a reason.
    pub threads: usize,
    /// How often the folders are looked at again.
    pub rescan: Duration,
    /// The most time for a challenge. `None` where its own deadline is enough.
    pub timeout: Option<Duration>,
}

/// What a farm computes with.
#[derive(Clone)]
pub struct Engines {
    /// Scans plots, and makes the leaves and nodes of plain ones.
    pub scan: Arc<dyn SpaceEngine>,
    /// Makes a nonce of a hard plot again: of those at hand, the one that makes a single nonce in the shortest time. One that fills many lanes takes
    /// twice as long for one as for all of them one after another.
    pub single: Arc<dyn SpaceEngine>,
}

/// Plots, and the threads that look through them. Dropped, it ends within [`SHUTDOWN_MAX`].
pub struct Farm {
    shared: Arc<Shared>,
}

impl Farm {
    /// Starts a farm. `tell` hears what it says, on a thread of the farm's: while it does not come back nothing else is told, and
    /// scans go on.
    ///
    /// # Errors
    /// Where the system gives no threads.
    pub fn start(settings: Settings, engines: Engines, tell: impl FnMut(Answer) + Send + 'static) -> io::Result<Self> {
        Self::start_with(settings, engines, tell, Box::new(Finding::look))
    }

    fn start_with(
        settings: Settings,
        engines: Engines,
        tell: impl FnMut(Answer) + Send + 'static,
        look: Box<Look>,
    ) -> io::Result<Self> {
        let settings = settings.within_bounds();
        let farm = Self { shared: Arc::new(Shared::new(Barn::new(settings.clone()), engines, look)) };
        let shared = Arc::clone(&farm.shared);
        farm.shared.spawn("desk", move |_| desk(&shared, tell))?;
        farm.set_settings(settings)?;
        Ok(farm)
    }

    /// Asks a question. The one before ends with what was found until then.
    pub fn ask(&self, question: Question) {
        let mut barn = self.shared.lock();
        // From here on scans of the one before end between reads.
        let number = self.shared.current.fetch_add(1, Ordering::Relaxed) + 1;
        barn.ask(question, number, Instant::now());
        self.shared.wake();
    }

    /// Ends the question at hand with what was found until now. Nothing is scanned until another is asked.
    pub fn rest(&self) {
        let mut barn = self.shared.lock();
        self.shared.current.fetch_add(1, Ordering::Relaxed);
        barn.rest(Instant::now());
        self.shared.wake();
    }

    /// Goes on with other settings: the folders are looked at at once, and the time for a challenge holds from the next one on.
    ///
    /// # Errors
    /// Where the system gives no more threads. Those that run go on.
    pub fn set_settings(&self, settings: Settings) -> io::Result<()> {
        let mut barn = self.shared.lock();
        barn.change(settings.within_bounds());
        let scanners: Vec<usize> =
            (0..barn.settings.concurrent).filter(|number| barn.scanners.insert(*number)).collect();
        let folders = barn.settings.folders.clone();
        let scouts: Vec<PathBuf> = folders.into_iter().filter(|folder| barn.scouts.insert(folder.clone())).collect();
        drop(barn);
        self.shared.wake();
        let ended = self.spawn_missing(&scouts, &scanners);
        if let Err((done, _)) = &ended {
            let mut barn = self.shared.lock();
            scouts.iter().skip(*done).for_each(|folder| _ = barn.scouts.remove(folder));
            let done = done.saturating_sub(scouts.len());
            scanners.iter().skip(done).for_each(|number| _ = barn.scanners.remove(number));
        }
        ended.map_err(|(_, error)| error)
    }

    /// Starts threads. Where the system gives no more, tells how many it gave.
    fn spawn_missing(&self, scouts: &[PathBuf], scanners: &[usize]) -> Result<(), (usize, io::Error)> {
        for (done, folder) in scouts.iter().cloned().enumerate() {
            let spawned = self.shared.spawn(&format!("scout-{done}"), move |shared| scout(shared, &folder));
            spawned.map_err(|error| (done, error))?;
        }
        for (done, number) in scanners.iter().copied().enumerate() {
            let spawned = self.shared.spawn(&format!("scan-{number}"), move |shared| scanner(shared, number));
            spawned.map_err(|error| (scouts.len() + done, error))?;
        }
        Ok(())
    }

    /// Returns how far the question at hand is. `None` where there is none.
    pub fn progress(&self) -> Option<Standing> {
        self.shared.lock().standing(Instant::now())
    }

    /// Returns what the farm did since it was started.
    pub fn figures(&self) -> Figures {
        self.shared.lock().figures()
    }

    /// Returns how the plain plots at hand are registered, whoever they belong to, in the order of their paths.
    pub fn registrations(&self) -> Vec<Registration> {
        self.shared.lock().registrations()
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        let end = Instant::now() + SHUTDOWN_MAX;
        let mut barn = self.shared.lock();
        barn.is_closing = true;
        self.shared.current.fetch_add(1, Ordering::Relaxed);
        self.shared.wake();
        while barn.living > 0 && Instant::now() < end {
            barn = self.shared.wait(barn, Some(end));
        }
    }
}

impl Settings {
    fn within_bounds(self) -> Self {
        Self {
            concurrent: self.concurrent.clamp(1, CONCURRENT_MAX),
            threads: self.threads.clamp(1, THREADS_MAX),
            ..self
        }
    }
}

#[cfg(test)]
mod tests;
