//! The farmer's connection to a chain: its own node's thread, or other nodes.
//!
//! A feed brings templates with what farmers are asked, the farm of `adit-space` looks through the plots, and the [`Farming`] task stands between them: it asks,
//! signs what wins, hands it in, and publishes what was done. It reads no file and judges nothing; the secret key stays here.
//!
//! A challenge stands over many templates: the mempool changes and the challenge does not. The farm is asked once for each challenge, and what it finds is
//! signed into the newest template that answers it.

mod report;

pub use report::{FarmReport, PlotReport};

use crate::chain::Found;
use crate::clock::{Clock, Entropy};
use crate::mining::feed::{Fed, Feed, Work};
use crate::mining::{MinerReport, MiningFailure, Tally, WorkSource};
use crate::server::{FAREWELL, ended};
use crate::settings::MinerSettings;
use crate::settings::farm::FarmSettings;
use adit_chain::SecretKey;
use adit_miner::Verdict;
use adit_primitives::contract::space::{Challenge, Registration, SpaceClaim, SpaceProof};
use adit_primitives::space::SpaceEngine;
use adit_primitives::{Hash256, Height};
use adit_space::farm::{Answer, Best, Farm, Finished, Question, Scoring, Standing};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

/// How many challenges are remembered, so that a proof that comes a little late can still be handed in.
const CHALLENGES: usize = 8;

/// How many answers of the farm may wait.
const ANSWERS: usize = 256;

/// How often figures are published.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// How often it is asked again which plots are registered.
const REGISTER_INTERVAL: Duration = Duration::from_secs(10);

/// What a farmer is started with.
pub struct FarmingParts {
    /// Where work comes from. A pool gives none.
    pub source: Arc<WorkSource>,
    /// Signs what wins, and owns the plots.
    pub key: SecretKey,
    /// How nodes are asked.
    pub miner: MinerSettings,
    pub settings: FarmSettings,
    /// Reads plots natively.
    pub engine: Arc<dyn SpaceEngine>,
    /// How leaves are scored.
    pub scoring: Scoring,
    pub clock: Clock,
    pub entropy: Entropy,
    /// Where figures are published.
    pub report: watch::Sender<Arc<MinerReport>>,
    /// Settings as they change; none for a farmer without a node of its own.
    pub changes: Option<watch::Receiver<FarmSettings>>,
}

/// A running farmer.
pub struct Farming {
    ending: watch::Sender<bool>,
    task: JoinHandle<Result<(), MiningFailure>>,
}

impl Farming {
    /// Starts farm and feed.
    pub fn start(parts: FarmingParts) -> std::io::Result<Self> {
        let (said, answers) = mpsc::channel(ANSWERS);
        // Ends with the task that listens.
        let say = move |answer| drop(said.blocking_send(answer));
        let farm = Farm::start(parts.settings.in_force(), Arc::clone(&parts.engine), say)?;
        let (ending, ending_receiver) = watch::channel(false);
        let (_, unchanging) = watch::channel(parts.settings.clone());
        let changes = parts.changes.unwrap_or(unchanging);
        let feed = Feed::start(Arc::clone(&parts.source), &parts.miner, parts.entropy);
        let key = Hash256(parts.key.public().0);
        let task = Task {
            farm,
            source: parts.source,
            secret: Arc::new(parts.key),
            key,
            backend: parts.engine.name(),
            scoring: parts.scoring,
            clock: parts.clock,
            report: parts.report,
            works: VecDeque::new(),
            registered: BTreeMap::new(),
            registering: JoinSet::new(),
            submissions: JoinSet::new(),
            blocks: Tally::default(),
            won: BTreeSet::new(),
            last: None,
            problems: BTreeMap::new(),
        };
        let task = tokio::spawn(task.run(feed, answers, changes, ending_receiver));
        Ok(Self { ending, task })
    }

    /// Runs until `signal` comes or no work can be had any more; then ends.
    pub async fn run_until(mut self, signal: impl Future<Output = ()>) -> Result<(), MiningFailure> {
        tokio::select! {
            () = signal => self.end().await,
            ended = &mut self.task => ended.unwrap_or(Err(MiningFailure::Panic)),
        }
    }

    /// Ends farm and feed; what wins and is on its way gets as long as a commit may take.
    pub async fn end(self) -> Result<(), MiningFailure> {
        self.ending.send_replace(true);
        self.task.await.unwrap_or(Err(MiningFailure::Panic))
    }
}

/// What stands between feed and farm.
struct Task {
    farm: Farm,
    source: Arc<WorkSource>,
    secret: Arc<SecretKey>,
    /// The secret's public key.
    key: Hash256,
    backend: &'static str,
    scoring: Scoring,
    clock: Clock,
    report: watch::Sender<Arc<MinerReport>>,
    /// The newest work for each of the last challenges, the newest challenge last.
    works: VecDeque<Arc<Work>>,
    /// Own plots that must be registered, and where they are.
    registered: BTreeMap<Registration, Option<Height>>,
    registering: JoinSet<Option<Vec<(Registration, Option<Height>)>>>,
    submissions: JoinSet<Verdict>,
    blocks: Tally,
    /// The challenges that were answered with a proof that wins.
    won: BTreeSet<Hash256>,
    /// How the last challenge that was scanned ended.
    last: Option<Standing>,
    /// What is wrong with files and folders, by their names.
    problems: BTreeMap<String, String>,
}

impl Task {
    async fn run(
        mut self,
        mut feed: Feed,
        mut answers: mpsc::Receiver<Answer>,
        mut changes: watch::Receiver<FarmSettings>,
        mut ending: watch::Receiver<bool>,
    ) -> Result<(), MiningFailure> {
        let mut tick = tokio::time::interval(REPORT_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut register = tokio::time::interval(REGISTER_INTERVAL);
        register.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let outcome = loop {
            tokio::select! {
                () = ended(&mut ending) => break Ok(()),
                fed = feed.next() => match fed {
                    Some(Fed::Work { work, .. }) => match self.take_work(work) {
                        Ok(()) => {}
                        Err(failure) => break Err(failure),
                    },
                    // The next challenge takes the place of the one before.
                    Some(Fed::Stale) => {}
                    Some(Fed::Over(failure)) => break Err(failure),
                    None => break Err(MiningFailure::ChainStopped),
                },
                Some(answer) = answers.recv() => self.take_answer(answer),
                Some(done) = self.submissions.join_next() => {
                    if let Ok(verdict) = done {
                        self.blocks.count(verdict);
                        self.publish();
                    }
                }
                Some(done) = self.registering.join_next() => {
                    if let Ok(Some(heights)) = done {
                        self.take_registered(heights);
                    }
                }
                Ok(()) = changes.changed() => {
                    let settings = changes.borrow_and_update().clone();
                    if let Err(error) = self.farm.set_settings(settings.in_force()) {
                        tracing::warn!(%error, "fewer plots are scanned at once than the settings ask for");
                    }
                }
                _ = register.tick() => self.register(),
                _ = tick.tick() => self.publish(),
            }
        };
        feed.end();
        let all = async {
            while let Some(done) = self.submissions.join_next().await {
                done.into_iter().for_each(|verdict| self.blocks.count(verdict));
            }
        };
        if tokio::time::timeout(FAREWELL, all).await.is_err() {
            tracing::warn!("proofs were still on their way at the end");
        }
        self.publish();
        // Nobody listens any more: the farm's threads do not wait for room.
        drop(answers);
        let Self { farm, .. } = self;
        drop(tokio::task::spawn_blocking(move || drop(farm)).await);
        outcome
    }

    /// Takes a template, and asks the farm where its challenge is a new one.
    fn take_work(&mut self, work: Work) -> Result<(), MiningFailure> {
        let challenge = work.space.as_ref().ok_or(MiningFailure::NotSpace)?.challenge.clone();
        tracing::debug!(height = work.height, challenge = %challenge.challenge, "new work");
        let place = self.works.iter().position(|known| challenge_of(known) == challenge.challenge);
        match place {
            Some(place) => self.works[place] = Arc::new(work),
            None => {
                self.works.push_back(Arc::new(work));
                if let Some(gone) = (self.works.len() > CHALLENGES).then(|| self.works.pop_front()).flatten() {
                    self.won.remove(&challenge_of(&gone));
                }
                if challenge.registered_by.is_some() {
                    self.register();
                }
                self.ask(challenge);
            }
        }
        Ok(())
    }

    fn ask(&self, challenge: Challenge) {
        let left = challenge.closes.to_millis().saturating_sub((self.clock)().to_millis());
        let registered = self.registered.iter();
        self.farm.ask(Question {
            deadline: Instant::now() + Duration::from_millis(left),
            challenge,
            keys: BTreeSet::from([self.key]),
            scoring: self.scoring.clone(),
            registered: registered.filter_map(|(plot, height)| Some((*plot, (*height)?))).collect(),
        });
    }

    fn take_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Plots { joined, vanished } => {
                joined.iter().for_each(|plot| tracing::info!(plot = %plot.display(), "a plot joined"));
                vanished.iter().for_each(|plot| tracing::warn!(plot = %plot.display(), "a plot is gone"));
                self.register();
            }
            Answer::Problem(problem) => {
                tracing::warn!(%problem, "not farmed");
                self.problems.insert(problem.path.display().to_string(), problem.problem.to_string());
            }
            Answer::Best(best) if best.wins => self.hand_in(&best),
            Answer::Best(_) => {}
            Answer::Finished(finished) => {
                let (plots, bytes, took) = (finished.plots, finished.bytes, finished.took);
                tracing::debug!(plots, bytes, ?took, coverage = finished.coverage_permille, "scanned");
                self.last = Some(ended_standing(&finished));
            }
        }
    }

    /// Signs a proof that wins into the newest template for its challenge, and hands it in. One for each challenge: another would only be the
    /// first one's rival.
    fn hand_in(&mut self, best: &Best) {
        let Some(work) = self.works.iter().find(|work| challenge_of(work) == best.challenge) else {
            tracing::warn!(challenge = %best.challenge, "a proof is lost: its challenge was replaced too long ago");
            return;
        };
        let Some(claim) = best.claim(self.registrations(work)) else { return };
        if !self.won.insert(best.challenge) {
            return;
        }
        tracing::info!(plot = %best.plot.display(), challenge = %best.challenge, "a proof wins");
        let (source, work, secret) = (Arc::clone(&self.source), Arc::clone(work), Arc::clone(&self.secret));
        self.submissions.spawn(async move {
            let plain = SpaceClaim { registrations: Vec::new(), ..claim.clone() };
            let registers = !claim.registrations.is_empty();
            let verdict = source.submit(&work, sign(&secret, &work, claim)).await;
            // What others ask to be registered must not cost the block.
            if verdict == Verdict::Rejected && registers {
                return source.submit(&work, sign(&secret, &work, plain)).await;
            }
            verdict
        });
    }

    /// Returns the plots that a claim registers: own ones, then those that wait at the node.
    fn registrations(&self, work: &Work) -> Vec<Registration> {
        let Some(space) = &work.space else { return Vec::new() };
        let most = usize::try_from(space.challenge.registrations_max).unwrap_or(usize::MAX);
        let own = self.registered.iter().filter(|(_, height)| height.is_none()).map(|(plot, _)| *plot);
        let mut all: Vec<Registration> = Vec::new();
        for plot in own.chain(space.register.iter().copied()) {
            if all.len() < most && !all.contains(&plot) && plot.is_sound() {
                all.push(plot);
            }
        }
        all
    }

    /// Asks which of the own plots are registered, and has the others registered.
    fn register(&mut self) {
        let needed = self.works.back().and_then(|work| work.space.as_ref());
        if needed.is_none_or(|space| space.challenge.registrations_max == 0) || !self.registering.is_empty() {
            return;
        }
        let plots = self.farm.registrations().into_iter();
        let plots: Vec<Registration> = plots.filter(|plot| plot.key == self.key).collect();
        if plots.is_empty() {
            return;
        }
        let source = Arc::clone(&self.source);
        self.registering.spawn(async move {
            let heights = source.register(plots.clone()).await?;
            Some(plots.into_iter().zip(heights).collect())
        });
    }

    fn take_registered(&mut self, heights: Vec<(Registration, Option<Height>)>) {
        let before = std::mem::replace(&mut self.registered, heights.into_iter().collect());
        let now = self.works.back().and_then(|work| Some(work.space.as_ref()?.challenge.clone()));
        if let Some(challenge) = now.filter(|challenge| challenge.registered_by.is_some() && self.registered != before)
        {
            self.ask(challenge);
        }
    }

    fn publish(&self) {
        let figures = self.farm.figures();
        let target = self.works.back().map(|work| work.target);
        let farm =
            FarmReport::new(&figures, self.farm.progress().as_ref().or(self.last.as_ref()), target, &self.problems);
        let report = MinerReport {
            running: true,
            backend: self.backend.to_owned(),
            solutions: figures.wins,
            blocks_accepted: self.blocks.accepted,
            blocks_stale: self.blocks.stale,
            blocks_refused: self.blocks.refused,
            farm: Some(farm),
            ..MinerReport::default()
        };
        self.report.send_replace(Arc::new(report));
    }
}

/// Returns the challenge that work is about.
fn challenge_of(work: &Work) -> Hash256 {
    work.space.as_ref().map(|space| space.challenge.challenge).unwrap_or_default()
}

/// Returns how far a challenge got that is over.
fn ended_standing(finished: &Finished) -> Standing {
    let all = finished.bytes.saturating_mul(1_000).checked_div(u64::from(finished.coverage_permille)).unwrap_or(0);
    Standing {
        challenge: finished.challenge,
        scanned: finished.bytes,
        all,
        best: finished.best.as_ref().map(|best| best.score),
        left: None,
    }
}

fn sign(secret: &SecretKey, work: &Work, claim: SpaceClaim) -> Found {
    let header = work.space.as_ref().map(|space| space.header.as_slice()).unwrap_or_default();
    let signature = secret.sign(&claim.message(header)).0;
    SpaceProof { claim, signature }.into()
}
