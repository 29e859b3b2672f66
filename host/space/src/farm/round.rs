//! A question at hand: which plots are asked, what is left to read of them, and what they answered.

use super::plan::{Field, Part, one_in, plan};
use super::question::Question;
use super::score::Scored;
use crate::collection::Plot;
use crate::error::{PlotError, Problem};
use adit_primitives::engine::HashEngine;
use adit_primitives::{Hash256, Height};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Names a disk: the number of its drive, or of its file system where nothing is known of a drive.
pub type Disk = u64;

/// A question, and what the threads that work on it share.
pub struct Asked {
    /// Tells questions apart: they are counted.
    pub number: u64,
    pub question: Question,
    pub begun: Instant,
    pub deadline: Instant,
    /// Bytes that were looked at.
    pub scanned: AtomicU64,
    /// Instances of the hash plugin that no thread uses at the moment.
    pub instances: Mutex<Vec<Box<dyn HashEngine>>>,
}

/// A plot that is asked.
#[derive(Clone)]
pub struct Entrant {
    pub path: Arc<Path>,
    pub plot: Arc<Plot>,
    pub disk: Disk,
    /// Whose it is.
    pub key: Hash256,
    /// What its claim says of where it was registered.
    pub registered: Height,
}

/// What is left of a disk.
#[derive(Default)]
struct Queue {
    parts: VecDeque<Part>,
    /// Bytes that were begun with.
    begun: u64,
}

/// How a plot did.
struct State {
    entrant: Entrant,
    /// Entries that nobody looked at yet.
    left: u64,
    is_opened: bool,
    /// Whether a thread works on a part of it.
    is_read: bool,
    /// Whether what it answers is not believed any more.
    is_out: bool,
    best: Option<Scored>,
}

/// Work for one thread: a part of one plot.
pub struct Job {
    pub asked: Arc<Asked>,
    pub entrant: Entrant,
    pub part: Part,
    /// Whether the file is to be opened anew before: nobody looked at it under this challenge.
    pub is_first: bool,
    pub threads: usize,
}

/// The lowest score of all plots.
#[derive(Clone)]
pub struct Leader {
    pub entrant: Entrant,
    /// Its place among the plots.
    pub field: usize,
    pub scored: Scored,
}

/// A question at hand.
pub struct Round {
    pub asked: Arc<Asked>,
    plots: Vec<State>,
    queues: BTreeMap<Disk, Queue>,
    /// Parts that threads work on.
    running: usize,
    /// Bytes that the challenge asks for.
    pub all: u64,
    /// What went wrong, by path.
    pub failed: BTreeMap<PathBuf, Arc<PlotError>>,
}

impl Round {
    /// Begins with no plot.
    pub fn new(asked: Asked) -> Self {
        let asked = Arc::new(asked);
        Self { asked, plots: Vec::new(), queues: BTreeMap::new(), running: 0, all: 0, failed: BTreeMap::new() }
    }

    /// Takes plots in. `speed` tells how fast a disk is read when it is one of so many, in bytes a second, where that is known.
    pub fn enlist(&mut self, entrants: Vec<Entrant>, now: Instant, speed: &dyn Fn(Disk, usize) -> Option<u64>) {
        let mut disks = BTreeMap::<Disk, Vec<Entrant>>::new();
        for entrant in entrants {
            disks.entry(entrant.disk).or_default().push(entrant);
        }
        let left = self.asked.deadline.saturating_duration_since(now);
        let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        let (rotation, count) = (rotation(&self.asked.question.challenge.challenge), disks.len());
        for (disk, entrants) in disks {
            let fields: Vec<Field> = entrants
                .iter()
                .map(|entrant| Field { entries: entrant.plot.entries(), each: entrant.plot.each() })
                .collect();
            let bytes = fields.iter().map(|field| field.entries * field.each).sum();
            let one_in = speed(disk, count).map_or(1, |speed| one_in(bytes, speed, left));
            let before = self.plots.len();
            let parts = plan(&fields, rotation, one_in);
            let parts = parts.into_iter().map(|part| Part { field: part.field + before, ..part });
            self.queues.entry(disk).or_default().parts.extend(parts);
            self.plots.extend(entrants.into_iter().map(|entrant| State {
                left: entrant.plot.entries(),
                entrant,
                is_opened: false,
                is_read: false,
                is_out: false,
                best: None,
            }));
            self.all += bytes;
        }
    }

    /// Returns how many plots are asked.
    pub fn count(&self) -> usize {
        self.plots.len()
    }

    /// Hands out the next part, of a disk that is not `busy`: of the one that had the least so far.
    pub fn take(&mut self, busy: &dyn Fn(Disk) -> bool, threads: usize) -> Option<Job> {
        let idle = self.queues.iter_mut().filter(|(disk, queue)| !queue.parts.is_empty() && !busy(**disk));
        let (_, queue) = idle.min_by_key(|(_, queue)| queue.begun)?;
        let part = queue.parts.pop_front()?;
        let plot = &mut self.plots[part.field];
        queue.begun += (part.entries.end - part.entries.start) * plot.entrant.plot.each();
        self.running += 1;
        plot.is_read = true;
        let is_first = !std::mem::replace(&mut plot.is_opened, true);
        Some(Job { asked: Arc::clone(&self.asked), entrant: plot.entrant.clone(), part, is_first, threads })
    }

    /// Notes a score. Tells whether it is the plot's lowest.
    pub fn note(&mut self, field: usize, scored: Scored) -> bool {
        let State { best, is_out, .. } = &mut self.plots[field];
        let is_lower = !*is_out && best.is_none_or(|best| scored.score < best.score);
        if is_lower {
            *best = Some(scored);
        }
        is_lower
    }

    /// Notes that a thread is done with a part, of which it looked at so many entries. Returns the plot's best entry where it was looked at whole.
    pub fn done(&mut self, part: &Part, entries: u64) -> Option<Scored> {
        self.running -= 1;
        let plot = &mut self.plots[part.field];
        plot.left = plot.left.saturating_sub(entries);
        plot.is_read = false;
        let is_whole = plot.left == 0 && !self.failed.contains_key(&*plot.entrant.path);
        plot.best.filter(|_| is_whole)
    }

    /// Notes that something is wrong with a plot: no more of it is read. What it answered until then counts, unless that is what is wrong.
    pub fn fail(&mut self, field: usize, problem: Problem) -> Arc<PlotError> {
        if matches!(problem, Problem::Wrong { .. } | Problem::Changed) {
            self.withdraw(field);
        }
        let plot = &self.plots[field];
        if let Some(queue) = self.queues.get_mut(&plot.entrant.disk) {
            queue.parts.retain(|part| part.field != field);
        }
        let error = Arc::new(problem.at(&plot.entrant.path));
        self.failed.insert(plot.entrant.path.to_path_buf(), Arc::clone(&error));
        error
    }

    /// Forgets what a plot answered, and hears no more of it.
    pub fn withdraw(&mut self, field: usize) {
        (self.plots[field].best, self.plots[field].is_out) = (None, true);
    }

    /// Returns the lowest score of all plots; of equal ones the first plot's.
    pub fn leader(&self) -> Option<Leader> {
        let scored = self.plots.iter().enumerate().filter_map(|(field, plot)| Some((field, plot, plot.best?)));
        let (field, plot, scored) = scored.min_by_key(|(_, _, scored)| scored.score)?;
        Some(Leader { entrant: plot.entrant.clone(), field, scored })
    }

    /// Returns the best entries of plots that were looked at in part, and how many entries that was of each.
    pub fn partly(&self) -> impl Iterator<Item = (&Arc<Path>, Scored, u64)> {
        // What a thread has in hand has a best entry and no count yet.
        let counted = self.plots.iter().filter(|plot| plot.left > 0 && !plot.is_read);
        counted.filter_map(|plot| {
            let looked_at = plot.entrant.plot.entries() - plot.left;
            Some((&plot.entrant.path, plot.best?, looked_at)).filter(|_| looked_at > 0)
        })
    }

    /// Tells whether everything is looked at.
    pub fn is_through(&self) -> bool {
        self.running == 0 && self.queues.values().all(|queue| queue.parts.is_empty())
    }

    /// Returns the bytes that were looked at.
    pub fn scanned(&self) -> u64 {
        self.asked.scanned.load(Ordering::Relaxed).min(self.all)
    }

    /// Returns the part that was looked at, in thousandths.
    pub fn coverage_permille(&self) -> u16 {
        let permille = u128::from(self.scanned()) * 1_000 / u128::from(self.all.max(1));
        u16::try_from(permille).expect("a part of the whole")
    }

    /// Returns what the rest takes, if it goes on as it went.
    pub fn left(&self, now: Instant) -> Option<Duration> {
        let (scanned, took) = (self.scanned(), now.saturating_duration_since(self.asked.begun));
        let left = took.as_nanos().saturating_mul(u128::from(self.all - scanned)).checked_div(u128::from(scanned))?;
        Some(Duration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX)))
    }
}

/// Returns by how much the order of plots is turned under a challenge.
fn rotation(challenge: &Hash256) -> u64 {
    u64::from_le_bytes(*challenge.0.first_chunk().expect("a challenge has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::super::question::Scoring;
    use super::*;
    use crate::plain::{Header, PlainPlot};
    use adit_primitives::contract::space::{Challenge, PlotKind};
    use adit_primitives::space::ScoreHash;
    use adit_primitives::{Target, Timestamp, U256};

    /// A plot of a gibibyte, but for its header of holes.
    fn entrant(folder: &Path, number: u8, disk: Disk) -> Entrant {
        let (path, leaves) = (folder.join(format!("{number}.plot")), 1 << 25);
        let header = Header { key: [1; 32], seed: [number; 32], leaves, made: leaves, root: [1; 32] };
        std::fs::write(&path, header.to_bytes()).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(header.layout().bytes()).unwrap();
        let plot = Arc::new(Plot::Plain(PlainPlot::finished(&path).unwrap()));
        Entrant { path: path.into(), plot, disk, key: Hash256([1; 32]), registered: Height(0) }
    }

    fn round(seconds: u64) -> Round {
        let challenge = Challenge {
            plots: PlotKind::Plain,
            challenge: Hash256([9; 32]),
            target: Target::MAX,
            opens: Timestamp::from_millis(0),
            closes: Timestamp::from_millis(1),
            registered_by: None,
            registrations_max: 0,
        };
        let (begun, scoring) = (Instant::now(), Scoring::Native(ScoreHash::Sha256));
        let deadline = begun + Duration::from_secs(seconds);
        let (keys, registered) = ([Hash256([1; 32])].into(), BTreeMap::new());
        let question = Question { challenge, shares: None, keys, scoring, registered, deadline };
        let (scanned, instances) = (AtomicU64::new(0), Mutex::new(Vec::new()));
        Round::new(Asked { number: 1, question, begun, deadline, scanned, instances })
    }

    fn bytes(job: &Job) -> u64 {
        (job.part.entries.end - job.part.entries.start) * 32
    }

    #[test]
    fn a_disk_that_is_short_of_time_is_sampled_over_all_its_plots_first() {
        let folder = tempfile::tempdir().unwrap();
        let mut round = round(10);
        let plots = [(0, 0), (1, 0), (2, 7)].map(|(number, disk)| entrant(folder.path(), number, disk));
        let begun = round.asked.begun;
        // Disk 0 takes 215 seconds for its two plots, disk 7 one for its own.
        round.enlist(plots.into(), begun, &|disk, _| Some(if disk == 0 { 10_000_000 } else { 1 << 30 }));
        assert_eq!((round.count(), round.all), (3, 3 << 30));
        let whole = round.take(&|disk| disk == 0, 1).unwrap();
        assert_eq!((whole.part.field, bytes(&whole), whole.is_first), (2, 1 << 30, true));
        assert!(round.take(&|disk| disk == 0, 1).is_none(), "disk 7 has nothing else");
        let jobs: Vec<Job> = std::iter::from_fn(|| round.take(&|disk| disk == 7, 1)).collect();
        assert_eq!(jobs.iter().map(bytes).sum::<u64>(), 2 << 30);
        // Of 128 pieces each 43rd, before anything else.
        let sampled: Vec<&Job> = jobs.iter().take_while(|job| bytes(job) == 16 << 20).collect();
        assert!((2..=4).contains(&sampled.len()), "{}", sampled.len());
        assert!((0..2).all(|field| sampled.iter().any(|job| job.part.field == field)), "each plot is among them");
        assert_eq!(jobs.iter().filter(|job| job.is_first).count(), 2);
        assert!(!round.is_through());
    }

    #[test]
    fn what_was_scanned_in_part_is_counted_and_what_is_wrong_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let mut round = round(10);
        let begun = round.asked.begun;
        round.enlist(vec![entrant(folder.path(), 1, 0), entrant(folder.path(), 2, 1)], begun, &|_, _| None);
        let [one, other] = [1, 0].map(|busy| round.take(&|disk| disk == busy, 1).unwrap());
        let scored = |entry, score| Scored { entry, score: U256::from(score) };
        assert!(round.note(one.part.field, scored(5, 70)) && !round.note(one.part.field, scored(6, 70)));
        assert!(round.note(other.part.field, scored(5, 60)));
        assert_eq!(round.leader().unwrap().scored, scored(5, 60));
        assert_eq!(round.partly().count(), 0, "threads have both in hand");
        assert_eq!(round.done(&one.part, 1_000), None);
        assert_eq!(
            round.partly().map(|(_, best, entries)| (best, entries)).collect::<Vec<_>>(),
            [(scored(5, 70), 1_000)]
        );
        // The other is wrong, and whatever its threads still say is not heard.
        round.done(&other.part, 0);
        round.fail(other.part.field, Problem::Wrong { what: "leaves", offset: 0 });
        assert!(!round.note(other.part.field, scored(7, 1)));
        assert_eq!(round.leader().unwrap().scored, scored(5, 70));
        assert!(round.is_through() && round.failed.len() == 1);
        // A read that failed takes nothing from what was read before.
        round.fail(one.part.field, Problem::Panic);
        assert_eq!(round.leader().unwrap().scored, scored(5, 70));
        round.asked.scanned.fetch_add(1 << 29, Ordering::Relaxed);
        assert_eq!((round.scanned(), round.coverage_permille()), (1 << 29, 250));
        assert_eq!(round.left(begun + Duration::from_secs(2)), Some(Duration::from_secs(6)));
    }
}
