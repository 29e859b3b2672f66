//! What a farm holds: its plots, what is known of them, and the question at hand.
//!
//! All threads of a farm share it behind a lock. Nothing here reads a file or waits.

use super::Settings;
use super::answer::{Answer, Best, Finished};
use super::figures::{Figures, PlotFigures, Standing};
use super::question::Question;
use super::record::{Record, Speed};
use super::round::{Asked, Disk, Entrant, Job, Leader, Round};
use super::score::Scored;
use super::threads::Finding;
use crate::collection::{Collection, FileId, Plot};
use crate::error::{PlotError, Problem};
use adit_primitives::contract::space::{Challenge, PlotPlace, Registration};
use adit_primitives::{Hash256, Height, U256};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::mem::Discriminant;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Questions that are over and owe a proof.
const OWED_MAX: usize = 16;

/// Scores that a pool counts and that have no proof yet. Beyond them they are lost: the pool asks for lower ones before that.
const SHARES_MAX: usize = 4_096;

/// The most answers that wait. Where nobody listens, the oldest are lost.
const UNTOLD_MAX: usize = 65_536;

/// A plot of the collection.
struct Farmed {
    plot: Arc<Plot>,
    file: Option<FileId>,
    disk: Disk,
    record: Record,
}

/// What a thread saw of its part.
pub struct Seen {
    pub entries: u64,
    pub took: Duration,
}

/// What the desk does next.
pub enum Step {
    Tell(Vec<Answer>),
    /// Make the proof for the lowest score.
    Prove(Arc<Asked>, Leader),
    /// Make the proofs for scores that a pool counts.
    ProveShares(Vec<(Arc<Asked>, Leader)>),
    /// Wait until something changes, or until then.
    Wait(Option<Instant>),
}

/// The lowest score that a proof was made for.
struct Proven {
    scored: Scored,
    field: usize,
    place: PlotPlace,
}

/// What all threads of a farm share.
pub struct Barn {
    pub settings: Settings,
    /// Counts the changes of settings: the folders are looked at anew.
    pub changes: u64,
    pub is_closing: bool,
    /// The threads that scan, by their numbers.
    pub scanners: BTreeSet<usize>,
    /// The folders that a thread looks into.
    pub scouts: BTreeSet<PathBuf>,
    /// How many threads there are, of all kinds.
    pub living: usize,
    plots: BTreeMap<Arc<Path>, Farmed>,
    /// Folders that were looked at once.
    known: BTreeSet<PathBuf>,
    /// Disks that somebody reads.
    busy: BTreeSet<Disk>,
    speeds: BTreeMap<Disk, Speed>,
    /// What was last said to be wrong with a file.
    named: BTreeMap<PathBuf, Arc<PlotError>>,
    /// What is to be told.
    untold: VecDeque<Answer>,
    round: Option<Round>,
    told: Option<U256>,
    proven: Option<Proven>,
    /// What won under questions that are over and was not proved in time: whoever signs it has a block all the same.
    owed: VecDeque<(Arc<Asked>, Leader)>,
    /// What a pool counts, before it is proved.
    shares: Vec<(Arc<Asked>, Leader)>,
    challenges: u64,
    proofs: u64,
    wins: u64,
}

impl Farmed {
    fn new(plot: Plot, file: Option<FileId>, disk: Disk) -> Self {
        Self { plot: Arc::new(plot), file, disk, record: Record::default() }
    }
}

/// Tells whether a path is a folder, or that of a file in it.
fn lies_in(path: &Path, folder: &Path) -> bool {
    path == folder || path.parent() == Some(folder)
}

impl Leader {
    /// Says it, with its place where that is proved.
    fn best(&self, challenge: &Challenge, place: Option<PlotPlace>) -> Best {
        Best {
            challenge: challenge.challenge,
            key: self.entrant.key,
            score: self.scored.score,
            wins: self.scored.score <= challenge.target.0 && place.is_some(),
            place,
            plot: self.entrant.path.to_path_buf(),
        }
    }
}

impl Barn {
    /// Begins with nothing.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            changes: 0,
            is_closing: false,
            scanners: BTreeSet::new(),
            scouts: BTreeSet::new(),
            living: 0,
            plots: BTreeMap::new(),
            known: BTreeSet::new(),
            busy: BTreeSet::new(),
            speeds: BTreeMap::new(),
            named: BTreeMap::new(),
            untold: VecDeque::new(),
            round: None,
            told: None,
            proven: None,
            owed: VecDeque::new(),
            shares: Vec::new(),
            challenges: 0,
            proofs: 0,
            wins: 0,
        }
    }

    /// Takes other settings. Plots of folders that are not among them go, and all folders are looked at anew.
    pub fn change(&mut self, settings: Settings) {
        self.settings = settings;
        self.changes += 1;
        let wanted = |path: &Path| self.settings.folders.iter().any(|folder| lies_in(path, folder));
        self.known.retain(|folder| self.settings.folders.contains(folder));
        self.named.retain(|path, _| wanted(path));
        let vanished: Vec<Arc<Path>> = self.plots.keys().filter(|path| !wanted(path)).cloned().collect();
        self.forget(&vanished);
        if !vanished.is_empty() {
            self.say_plots(&[], &vanished);
        }
    }

    /// Tells whether a folder is to be looked into.
    pub fn wants(&self, folder: &Path) -> bool {
        !self.is_closing && self.settings.folders.iter().any(|wanted| wanted == folder)
    }

    /// Tells whether every folder was looked at once.
    fn is_known(&self) -> bool {
        self.settings.folders.iter().all(|folder| self.known.contains(folder))
    }

    /// Takes what lies in a folder now.
    pub fn found(&mut self, folder: &Path, finding: Finding, now: Instant) {
        let Finding { collection: Collection { found, missing }, disks } = finding;
        self.known.insert(folder.to_owned());
        let seen: BTreeSet<&Path> = found.iter().map(|file| &*file.path).collect();
        let is_gone = |path: &Path| lies_in(path, folder) && !seen.contains(path);
        let is_missing = |path: &Path| missing.iter().any(|error| error.path == path);
        self.named.retain(|path, _| !is_gone(path) || is_missing(path));
        let sound: BTreeSet<&Path> = found.iter().filter(|file| file.plot.is_ok()).map(|file| &*file.path).collect();
        let of_folder = self.plots.keys().filter(|path| lies_in(path, folder));
        let vanished: Vec<Arc<Path>> = of_folder.filter(|path| !sound.contains(&***path)).cloned().collect();
        self.forget(&vanished);
        let mut joined = Vec::new();
        for error in missing {
            self.name(Arc::new(error));
        }
        for (found, disk) in found.into_iter().zip(disks) {
            match found.plot {
                Err(error) => self.name(Arc::new(error)),
                Ok(plot) => joined.extend(self.join(found.path.into(), Farmed::new(plot, found.file, disk))),
            }
        }
        if !joined.is_empty() || !vanished.is_empty() {
            self.say_plots(&joined, &vanished);
        }
        self.enlist(joined, now);
    }

    /// Takes a plot in. Returns its path where it was not there before, and is there by no other name.
    fn join(&mut self, path: Arc<Path>, new: Farmed) -> Option<Arc<Path>> {
        let is_known = |known: &Farmed| known.plot.is_same(&new.plot) && known.disk == new.disk;
        if self.plots.get(&path).is_some_and(is_known) {
            return None;
        }
        let is_twin = |known: &Farmed| new.file.is_some() && known.file == new.file && known.plot.is_same(&new.plot);
        let mut others = self.plots.iter().filter(|(other, _)| **other != path);
        if let Some((first, _)) = others.find(|(_, known)| is_twin(known)) {
            let twice = Problem::Twice { first: first.to_path_buf() };
            self.name(Arc::new(twice.at(&path)));
            return None;
        }
        self.named.remove(&*path);
        self.plots.insert(Arc::clone(&path), new);
        Some(path)
    }

    fn forget(&mut self, vanished: &[Arc<Path>]) {
        vanished.iter().for_each(|path| drop(self.plots.remove(path)));
        // What was the same file may be farmed under its other name now.
        if !vanished.is_empty() && self.named.values().any(|error| matches!(error.problem, Problem::Twice { .. })) {
            self.changes += 1;
        }
    }

    fn say_plots(&mut self, joined: &[Arc<Path>], vanished: &[Arc<Path>]) {
        let [joined, vanished] =
            [joined, vanished].map(|paths| paths.iter().map(|path| path.to_path_buf()).collect::<Vec<_>>());
        self.say(Answer::Plots { joined, vanished });
    }

    /// Takes a question. The one before ends.
    pub fn ask(&mut self, question: Question, number: u64, now: Instant) {
        self.owe();
        // A pool counts nothing that comes late, but for a block.
        let challenge = question.challenge.challenge;
        self.shares.retain(|(asked, share)| {
            let Challenge { challenge: before, target, .. } = &asked.question.challenge;
            *before == challenge || share.scored.score <= target.0
        });
        self.end(now);
        self.challenges += 1;
        let limit = self.settings.timeout.and_then(|timeout| now.checked_add(timeout));
        let deadline = limit.map_or(question.deadline, |limit| limit.min(question.deadline));
        let asked = Asked {
            number,
            question,
            begun: now,
            deadline,
            scanned: AtomicU64::new(0),
            instances: Mutex::new(Vec::new()),
        };
        self.round = Some(Round::new(asked));
        (self.told, self.proven) = (None, None);
        self.enlist(self.plots.keys().cloned().collect(), now);
    }

    /// Ends the question at hand. What wins is still proved.
    pub fn rest(&mut self, now: Instant) {
        self.owe();
        self.end(now);
    }

    /// Notes what wins under the question at hand and is not proved yet.
    fn owe(&mut self) {
        let Some(round) = &self.round else { return };
        let target = round.asked.question.challenge.target.0;
        let leader = round.leader().filter(|leader| leader.scored.score <= target);
        if let Some(leader) = leader.filter(|leader| self.proven_of(leader).is_none())
            && self.owed.len() < OWED_MAX
        {
            self.owed.push_back((Arc::clone(&round.asked), leader));
        }
    }

    /// Lets plots take part in the question at hand, where it is theirs.
    fn enlist(&mut self, paths: Vec<Arc<Path>>, now: Instant) {
        let Some(mut round) = self.round.take() else { return };
        let mut entrants = Vec::new();
        for path in paths {
            match self.entrant(&round.asked.question, &path) {
                Ok(entrant) => entrants.extend(entrant),
                Err(problem) => self.name(Arc::new(problem.at(&path))),
            }
        }
        let concurrent = self.settings.concurrent.max(1);
        round.enlist(entrants, now, &|disk, disks| {
            // Where fewer are read at once than there are, each has its part of the time.
            let share = |speed: u64| speed * concurrent.min(disks) as u64 / disks.max(1) as u64;
            self.speeds.get(&disk).and_then(|speed| speed.bytes_per_second()).map(share)
        });
        self.round = Some(round);
    }

    /// Looks at whether a plot may answer. `None` where its time has not come.
    fn entrant(&self, question: &Question, path: &Arc<Path>) -> Result<Option<Entrant>, Problem> {
        let Some(Farmed { plot, disk, .. }) = self.plots.get(path) else { return Ok(None) };
        if plot.kind() != question.challenge.plots {
            return Err(Problem::Kind);
        }
        let key = match &**plot {
            Plot::Plain(plot) => Some(Hash256(plot.header().key)).filter(|key| question.keys.contains(key)),
            Plot::Hard(plot) => question.key_of(plot.name().account),
        };
        let key = key.ok_or(Problem::Owner)?;
        let registered = plot.registration().map_or(Some(Height(0)), |plot| question.registration(&plot));
        let (path, plot, disk) = (Arc::clone(path), Arc::clone(plot), *disk);
        Ok(registered.map(|registered| Entrant { path, plot, disk, key, registered }))
    }

    /// Hands out work: to one thread for each disk.
    pub fn take(&mut self, now: Instant) -> Option<Job> {
        let (busy, threads) = (&self.busy, self.settings.threads.max(1));
        let round = self.round.as_mut().filter(|round| now < round.asked.deadline)?;
        let job = round.take(&|disk| busy.contains(&disk), threads)?;
        self.busy.insert(job.entrant.disk);
        Some(job)
    }

    /// Notes a score. Tells whether it is its plot's lowest.
    pub fn note(&mut self, job: &Job, scored: Scored) -> bool {
        self.round_of(job.asked.number).is_some_and(|round| round.note(job.part.field, scored))
    }

    /// Notes scores that a pool counts.
    pub fn owe_shares(&mut self, job: &Job, shares: Vec<Scored>) {
        let (asked, entrant, field) = (&job.asked, &job.entrant, job.part.field);
        for scored in shares {
            if self.shares.len() < SHARES_MAX {
                self.shares.push((Arc::clone(asked), Leader { entrant: entrant.clone(), field, scored }));
            }
        }
    }

    /// Notes that a thread is done with its part.
    pub fn done(&mut self, job: &Job, seen: Result<Seen, Problem>) {
        self.busy.remove(&job.entrant.disk);
        let each = job.entrant.plot.each();
        let entries = seen.as_ref().map_or(0, |seen| seen.entries);
        if let Ok(seen) = &seen {
            self.speeds.entry(job.entrant.disk).or_default().measure(seen.entries * each, seen.took);
            if let Some(farmed) = self.plots.get_mut(&job.entrant.path) {
                farmed.record.speed.measure(seen.entries * each, seen.took);
            }
        }
        let Some(round) = self.round_of(job.asked.number) else { return };
        let whole = round.done(&job.part, entries);
        if let Err(problem) = seen {
            self.fail(job.part.field, &job.entrant.path, problem);
        } else if let Some(best) = whole
            && let Some(farmed) = self.plots.get_mut(&job.entrant.path)
        {
            farmed.record.answered += 1;
            farmed.record.scored(best.score, farmed.plot.entries());
            // It could be read again. What is rotten stays so, whether a challenge comes upon it or not.
            let path = &*job.entrant.path;
            if self.named.get(path).is_some_and(|error| !matches!(error.problem, Problem::Wrong { .. })) {
                self.named.remove(path);
            }
        }
    }

    fn round_of(&mut self, number: u64) -> Option<&mut Round> {
        self.round.as_mut().filter(|round| round.asked.number == number)
    }

    /// Notes that something is wrong with a plot under the question at hand.
    fn fail(&mut self, field: usize, path: &Path, problem: Problem) {
        let Some(round) = &mut self.round else { return };
        let is_new = !round.failed.contains_key(path);
        let error = round.fail(field, problem);
        if let Some(farmed) = self.plots.get_mut(path)
            && is_new
        {
            farmed.record.failed += 1;
        }
        self.name(error);
    }

    /// Says what is wrong with a file, unless the same was said before.
    fn name(&mut self, error: Arc<PlotError>) {
        let before = self.named.insert(error.path.clone(), Arc::clone(&error));
        if before.is_none_or(|before| kind_of(&before.problem) != kind_of(&error.problem)) {
            self.say(Answer::Problem(error));
        }
    }

    fn say(&mut self, answer: Answer) {
        if self.untold.len() >= UNTOLD_MAX {
            self.untold.pop_front();
        }
        self.untold.push_back(answer);
    }

    /// Returns what the desk does next. It makes so many proofs of shares at once.
    pub fn step(&mut self, now: Instant, proving: usize) -> Step {
        if !self.untold.is_empty() {
            return Step::Tell(self.untold.drain(..).collect());
        }
        if let Some((asked, leader)) = self.owed.pop_front() {
            return Step::Prove(asked, leader);
        }
        // A block waits for no share, and what is asked now for nothing that was asked before.
        if !self.shares.is_empty() {
            self.shares.sort_by_key(|(asked, share)| (Reverse(asked.number), share.scored.score));
            let rest = self.shares.split_off(proving.clamp(1, self.shares.len()));
            return Step::ProveShares(std::mem::replace(&mut self.shares, rest));
        }
        let Some(round) = &self.round else { return Step::Wait(None) };
        let leader = round.leader();
        let is_over = now >= round.asked.deadline || self.is_known() && round.is_through();
        if let Some(leader) = leader {
            let is_proven = self.proven_of(&leader).is_some();
            let wins = leader.scored.score <= round.asked.question.challenge.target.0;
            let is_better = self.told.is_none_or(|told| leader.scored.score < told);
            if !is_proven && (is_over || wins && is_better) {
                return Step::Prove(Arc::clone(&round.asked), leader);
            }
            if is_better {
                self.told = Some(leader.scored.score);
                return Step::Tell(self.best().map(Answer::Best).into_iter().collect());
            }
        }
        if is_over {
            self.end(now);
            return Step::Tell(self.untold.drain(..).collect());
        }
        Step::Wait(Some(round.asked.deadline))
    }

    /// Notes how it went with a proof.
    pub fn proved(&mut self, asked: &Asked, leader: &Leader, place: Result<PlotPlace, Problem>) {
        let target = asked.question.challenge.target.0;
        let Some(round) = self.round_of(asked.number) else {
            if let Ok(place) = place
                && leader.scored.score <= target
            {
                (self.proofs, self.wins) = (self.proofs + 1, self.wins + 1);
                self.say(Answer::Best(leader.best(&asked.question.challenge, Some(place))));
            }
            return;
        };
        match place {
            Err(problem) => {
                // Whatever the reason is: what cannot be shown is no answer.
                round.withdraw(leader.field);
                self.fail(leader.field, &leader.entrant.path, problem);
            }
            Ok(place) => {
                self.proofs += 1;
                let has_won = self.proven.as_ref().is_some_and(|proven| proven.scored.score <= target);
                if leader.scored.score <= target && !has_won {
                    self.wins += 1;
                }
                self.proven = Some(Proven { scored: leader.scored, field: leader.field, place });
            }
        }
    }

    /// Notes how it went with the proof of a score that a pool counts.
    pub fn proved_share(&mut self, asked: &Asked, share: &Leader, place: Result<PlotPlace, Problem>) {
        match place {
            Ok(place) => {
                self.proofs += 1;
                self.say(Answer::Share(share.best(&asked.question.challenge, Some(place))));
            }
            // Under another question it fails again, or it was a matter of the moment.
            Err(problem) if self.round_of(asked.number).is_some() => {
                self.fail(share.field, &share.entrant.path, problem);
            }
            Err(_) => {}
        }
    }

    fn proven_of(&self, leader: &Leader) -> Option<&Proven> {
        self.proven.as_ref().filter(|proven| proven.field == leader.field && proven.scored == leader.scored)
    }

    /// Returns the lowest score.
    fn best(&self) -> Option<Best> {
        let round = self.round.as_ref()?;
        let leader = round.leader()?;
        let place = self.proven_of(&leader).map(|proven| proven.place.clone());
        Some(leader.best(&round.asked.question.challenge, place))
    }

    /// Ends the question at hand.
    fn end(&mut self, now: Instant) {
        let best = self.best();
        let Some(round) = self.round.take() else { return };
        for (path, best, entries) in round.partly() {
            if let Some(farmed) = self.plots.get_mut(path) {
                farmed.record.scored(best.score, entries);
            }
        }
        self.say(Answer::Finished(Finished {
            challenge: round.asked.question.challenge.challenge,
            best,
            plots: round.count(),
            bytes: round.scanned(),
            coverage_permille: round.coverage_permille(),
            failed: round.failed.into_values().collect(),
            took: now.saturating_duration_since(round.asked.begun),
        }));
    }

    /// Returns how plain plots are registered.
    pub fn registrations(&self) -> Vec<Registration> {
        self.plots.values().filter_map(|farmed| farmed.plot.registration()).collect()
    }

    /// Returns how far the question at hand is.
    pub fn standing(&self, now: Instant) -> Option<Standing> {
        let round = self.round.as_ref()?;
        Some(Standing {
            challenge: round.asked.question.challenge.challenge,
            scanned: round.scanned(),
            all: round.all,
            best: round.leader().map(|leader| leader.scored.score),
            left: round.left(now),
        })
    }

    /// Returns what the farm did since it was started.
    pub fn figures(&self) -> Figures {
        let plots = self.plots.iter().map(|(path, farmed)| PlotFigures {
            path: path.to_path_buf(),
            kind: farmed.plot.kind(),
            space: farmed.plot.space(),
            bytes_per_second: farmed.record.speed.bytes_per_second(),
            answered: farmed.record.answered,
            failed: farmed.record.failed,
            best: farmed.record.best,
            quality_permille: farmed.record.quality_permille(),
            problem: self.named.get(&**path).map(|error| error.problem.to_string()),
        });
        let problems = self.named.values().cloned().collect();
        Figures { challenges: self.challenges, proofs: self.proofs, wins: self.wins, plots: plots.collect(), problems }
    }
}

/// Tells problems apart, whatever their numbers.
fn kind_of(problem: &Problem) -> (Discriminant<Problem>, Option<io::ErrorKind>) {
    let kind = if let Problem::File(error) = problem { Some(error.kind()) } else { None };
    (std::mem::discriminant(problem), kind)
}
