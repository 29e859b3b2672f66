//! The farmer's connection to a chain: its own node's thread, or other nodes.
//!
//! A feed brings templates with what farmers are asked, the farm of `adit-space` looks through the plots, and the [`Farming`] task stands between them: it asks,
//! signs what wins, hands it in, and publishes what was done. It reads no file and judges nothing; the secret key stays here.
//!
//! For a pool, every score up to a share's target is signed and handed in, once, and counts as a share; the pool sees itself whether it is a block.
//!
//! A challenge stands over many templates: the mempool changes and the challenge does not. The farm is asked once for each challenge, and what it finds is
//! signed into the newest template that answers it, and into the next one where it was not taken.

mod report;

pub use report::{FarmReport, PlotReport};

use crate::chain::Found;
use crate::clock::Entropy;
use crate::mining::feed::{Fed, Feed, Work, Worth};
use crate::mining::{MinerReport, MiningFailure, SourceSwitch, Tally, WorkSource};
use crate::server::{FAREWELL, ended};
use crate::settings::MinerSettings;
use crate::settings::farm::FarmSettings;
use adit_chain::SecretKey;
use adit_miner::Verdict;
use adit_primitives::contract::space::{Challenge, PlotPlace, Registration, SpaceClaim, SpaceProof};
use adit_primitives::{BlockId, Encode, Hash256, Height};
use adit_space::farm::{Answer, Best, Engines, Farm, Finished, Question, Scoring, Standing};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

/// How many challenges are remembered, so that a proof that comes a little late can still be handed in.
const CHALLENGES: usize = 8;

/// How many answers of the farm may wait.
const ANSWERS: usize = 256;

/// The longest time that a challenge is given, in milliseconds: ten days, as rules have it.
const DEADLINE_MS_MAX: u64 = 864_000_000;

/// How many shares may be on their way at once. A pool takes a tenth of a second or more to score one of a hard plot: those that wait here are still the
/// farmer's to choose from, and those that wait there come late.
const SHARES_OUT: usize = 1;

/// How many shares may wait to go out.
const SHARES_WAITING: usize = 256;

/// How often figures are published.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// How often the log says how plots do.
const TELL_INTERVAL: Duration = Duration::from_secs(600);

/// Of so many plots at most, those that do worst.
const PLOTS_TOLD: usize = 32;

/// How often it is asked again which plots are registered.
const REGISTER_INTERVAL: Duration = Duration::from_secs(10);

/// What a farmer is started with.
pub struct FarmingParts {
    /// Where work comes from. A Stratum pool gives none.
    pub source: Arc<WorkSource>,
    /// Signs what wins, and owns the plots.
    pub key: SecretKey,
    /// The chain's first block: signatures are for this chain alone.
    pub genesis: BlockId,
    /// How nodes are asked.
    pub miner: MinerSettings,
    pub settings: FarmSettings,
    /// Read plots natively.
    pub engines: Engines,
    /// How leaves are scored.
    pub scoring: Scoring,
    pub entropy: Entropy,
    /// Where figures are published.
    pub report: watch::Sender<Arc<MinerReport>>,
    /// Settings as they change. `None` where they do not.
    pub changes: Option<watch::Receiver<FarmOrders>>,
}

/// What a farmer follows while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FarmOrders {
    pub farm: FarmSettings,
    /// `miner.enabled`: where it is false, no plot is looked at.
    pub enabled: bool,
}

/// A running farmer.
pub struct Farming {
    ending: watch::Sender<bool>,
    switch: SourceSwitch,
    task: JoinHandle<Result<(), MiningFailure>>,
}

impl Farming {
    /// Starts farm and feed.
    pub fn start(parts: FarmingParts) -> std::io::Result<Self> {
        let (said, answers) = mpsc::channel(ANSWERS);
        // Ends with the task that listens.
        let say = move |answer| drop(said.blocking_send(answer));
        let farm = Farm::start(parts.settings.in_force(), parts.engines.clone(), say)?;
        let (ending, ending_receiver) = watch::channel(false);
        let enabled = parts.miner.enabled;
        let (_, unchanging) = watch::channel(FarmOrders { farm: parts.settings.clone(), enabled });
        let changes = parts.changes.unwrap_or(unchanging);
        let (switch, sources) = SourceSwitch::new(Arc::clone(&parts.source));
        let key = Hash256(parts.key.public().0);
        let task = Task {
            farm,
            enabled,
            submitted: 0,
            source: parts.source,
            miner: parts.miner,
            entropy: parts.entropy,
            signer: Arc::new(Signer { secret: parts.key, genesis: parts.genesis }),
            key,
            backend: parts.engines.scan.name(),
            scoring: parts.scoring,
            report: parts.report,
            works: VecDeque::new(),
            registered: BTreeMap::new(),
            registering: JoinSet::new(),
            submissions: JoinSet::new(),
            blocks: Tally::default(),
            shares: JoinSet::new(),
            room: share_room(),
            outgoing: VecDeque::new(),
            shared: Tally::default(),
            given: BTreeMap::new(),
            asked: None,
            closes: None,
            wins: BTreeMap::new(),
            last: None,
        };
        let task = tokio::spawn(task.run(answers, changes, sources, ending_receiver));
        Ok(Self { ending, switch, task })
    }

    /// Returns what changes where work comes from.
    pub fn switch(&self) -> SourceSwitch {
        self.switch.clone()
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
    /// Whether plots are looked at.
    enabled: bool,
    /// Proofs that were handed in.
    submitted: u64,
    source: Arc<WorkSource>,
    miner: MinerSettings,
    entropy: Entropy,
    signer: Arc<Signer>,
    /// The signer's public key.
    key: Hash256,
    backend: &'static str,
    scoring: Scoring,
    report: watch::Sender<Arc<MinerReport>>,
    /// The newest work for each of the last challenges, the one at hand last.
    works: VecDeque<Arc<Work>>,
    /// Own plots that must be registered, and where they are.
    registered: Registered,
    registering: JoinSet<Option<Registered>>,
    submissions: JoinSet<(Arc<Work>, Verdict)>,
    blocks: Tally,
    /// Shares on their way to a pool, and what became of others.
    shares: JoinSet<Verdict>,
    /// For shares that are on their way to the source at hand: one before may never answer.
    room: Arc<Semaphore>,
    shared: Tally,
    /// Shares that are to go out, with their challenges, the newest last.
    outgoing: VecDeque<(Hash256, SpaceClaim)>,
    /// Places that were handed in as shares, by challenge: no more challenges than there are works.
    given: BTreeMap<Hash256, BTreeSet<Vec<u8>>>,
    /// What the farm was asked last.
    asked: Option<Hash256>,
    /// When that gives way to the next.
    closes: Option<Instant>,
    /// What wins, by challenge: no more than there are works.
    wins: BTreeMap<Hash256, Win>,
    /// How the last challenge that was scanned ended.
    last: Option<Standing>,
}

/// Plots, and the height at which each was registered.
type Registered = BTreeMap<Registration, Option<Height>>;

/// A proof that wins.
struct Win {
    best: Best,
    standing: WinStanding,
    /// What it was last signed into.
    signed: Option<Arc<Work>>,
}

/// How far a proof that wins is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WinStanding {
    /// Not taken yet, or not any more: it goes into the next template for its challenge.
    Open,
    /// On its way.
    Sent,
    /// A block.
    Taken,
}

/// Signs what wins.
struct Signer {
    secret: SecretKey,
    genesis: BlockId,
}

impl Task {
    async fn run(
        mut self,
        mut answers: mpsc::Receiver<Answer>,
        mut changes: watch::Receiver<FarmOrders>,
        mut sources: watch::Receiver<Arc<WorkSource>>,
        mut ending: watch::Receiver<bool>,
    ) -> Result<(), MiningFailure> {
        let mut feed = self.feed();
        let mut tick = tokio::time::interval(REPORT_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut register = tokio::time::interval(REGISTER_INTERVAL);
        register.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut tell = tokio::time::interval_at(tokio::time::Instant::now() + TELL_INTERVAL, TELL_INTERVAL);
        tell.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
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
                    if let Ok((work, verdict)) = done {
                        self.take_verdict(&work, verdict);
                        self.publish();
                    }
                }
                Some(done) = self.shares.join_next() => {
                    done.into_iter().for_each(|verdict| self.shared.count(verdict));
                    self.send_shares();
                }
                Some(done) = self.registering.join_next() => {
                    if let Ok(Some(heights)) = done {
                        self.take_registered(heights);
                    }
                }
                Ok(()) = sources.changed() => {
                    self.source = Arc::clone(&sources.borrow_and_update());
                    feed.end();
                    self.begin_anew();
                    feed = self.feed();
                }
                Ok(()) = changes.changed() => {
                    let orders = changes.borrow_and_update().clone();
                    self.follow(&orders);
                }
                _ = tell.tick() => self.tell(),
                _ = register.tick() => self.register(),
                _ = tick.tick() => self.publish(),
            }
        };
        feed.end();
        let all = async {
            while let Some(done) = self.submissions.join_next().await {
                done.into_iter().for_each(|(_, verdict)| self.blocks.count(verdict));
            }
            while let Some(done) = self.shares.join_next().await {
                done.into_iter().for_each(|verdict| self.shared.count(verdict));
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

    fn feed(&self) -> Feed {
        Feed::start(Arc::clone(&self.source), &self.miner, Arc::clone(&self.entropy))
    }

    /// Forgets the work of another source. What is on its way goes on there.
    fn begin_anew(&mut self) {
        self.works.clear();
        self.wins.clear();
        self.given.clear();
        self.outgoing.clear();
        (self.registered, self.asked) = (BTreeMap::new(), None);
        (self.registering, self.room) = (JoinSet::new(), share_room());
    }

    /// Takes a template, and asks the farm where its challenge is another than the one at hand.
    fn take_work(&mut self, work: Work) -> Result<(), MiningFailure> {
        let Some(space) = &work.space else {
            return match &*self.source {
                WorkSource::Own { .. } => Err(MiningFailure::NotSpace),
                // Another node may still ask for something.
                WorkSource::Nodes { .. } | WorkSource::Pools(_) => {
                    tracing::warn!("a template that asks farmers for nothing is left alone");
                    Ok(())
                }
            };
        };
        let challenge = space.challenge.clone();
        let id = challenge.challenge;
        tracing::debug!(height = work.height, challenge = %id, "new work");
        self.works.retain(|known| challenge_of(known) != id);
        self.works.push_back(Arc::new(work));
        if let Some(gone) = (self.works.len() > CHALLENGES).then(|| self.works.pop_front()).flatten() {
            self.wins.remove(&challenge_of(&gone));
            self.given.remove(&challenge_of(&gone));
        }
        match self.wins.get(&id).map(|win| win.standing) {
            Some(WinStanding::Open) => self.hand_in(id),
            Some(_) => {}
            None if self.asked == Some(id) => {}
            None => {
                self.register();
                self.ask(challenge);
            }
        }
        Ok(())
    }

    /// Takes other settings.
    fn follow(&mut self, orders: &FarmOrders) {
        if let Err(error) = self.farm.set_settings(orders.farm.in_force()) {
            tracing::warn!(%error, "folders are not looked at, or fewer plots at once than the settings ask for");
        }
        if std::mem::replace(&mut self.enabled, orders.enabled) == orders.enabled {
            return;
        }
        tracing::info!(enabled = orders.enabled, "the farmer {}", if orders.enabled { "goes on" } else { "pauses" });
        self.asked = None;
        if !orders.enabled {
            self.farm.rest();
        } else if let Some(challenge) = self.works.back().and_then(|work| Some(work.space.as_ref()?.challenge.clone()))
        {
            self.ask(challenge);
        }
    }

    /// Says in the log how plots do.
    fn tell(&self) {
        let report = FarmReport::new(&self.farm.figures(), None, None);
        report.lines(PLOTS_TOLD).iter().for_each(|line| tracing::info!("{line}"));
    }

    fn ask(&mut self, challenge: Challenge) {
        let Some(work) = self.works.back().filter(|_| self.enabled) else { return };
        let Some(space) = &work.space else { return };
        let shares = (work.worth == Worth::Share).then_some(work.target);
        let keys = BTreeSet::from_iter([Some(self.key), space.signer].into_iter().flatten());
        // By the clock of whoever made the template: this one's may go otherwise.
        let left = challenge.closes.to_millis().saturating_sub(space.time.to_millis());
        let deadline = Instant::now() + Duration::from_millis(left.min(DEADLINE_MS_MAX));
        (self.asked, self.closes) = (Some(challenge.challenge), Some(deadline));
        let registered = self.registered.iter();
        let registered = registered.filter_map(|(plot, height)| Some((*plot, (*height)?))).collect();
        self.farm.ask(Question { deadline, challenge, shares, keys, scoring: self.scoring.clone(), registered });
    }

    fn take_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Plots { joined, vanished } => {
                joined.iter().for_each(|plot| tracing::info!(plot = %plot.display(), "a plot joined"));
                vanished.iter().for_each(|plot| tracing::warn!(plot = %plot.display(), "a plot is gone"));
                self.register();
            }
            Answer::Problem(problem) => tracing::warn!(%problem, "not farmed"),
            Answer::Best(best) if best.wins => self.take_win(best),
            Answer::Best(_) => {}
            Answer::Share(share) => self.take_share(share),
            Answer::Finished(finished) => {
                let (plots, bytes, took) = (finished.plots, finished.bytes, finished.took);
                tracing::debug!(plots, bytes, ?took, coverage = finished.coverage_permille, "scanned");
                self.last = Some(ended_standing(&finished));
            }
        }
    }

    /// Notes a proof that wins. Where one is on its way or taken, another would only be its rival.
    fn take_win(&mut self, best: Best) {
        let id = best.challenge;
        tracing::info!(plot = %best.plot.display(), challenge = %id, "a proof wins");
        if self.work_for(id).is_some_and(|work| work.worth == Worth::Share) {
            // It goes to the pool with the other shares.
            return;
        }
        if self.wins.get(&id).is_none_or(|win| win.standing == WinStanding::Open) {
            self.wins.insert(id, Win { best, standing: WinStanding::Open, signed: None });
            self.hand_in(id);
        }
    }

    /// Signs a proof that a pool counts, and hands it in: once, however often the challenge is looked at again.
    fn take_share(&mut self, share: Best) {
        let id = share.challenge;
        let Some(work) = self.work_for(id).cloned() else {
            return tracing::warn!(challenge = %id, "a share is lost: its challenge was replaced too long ago");
        };
        let own = own_registration(&share, &work);
        let others = self.registrations(&work, own);
        let Some(claim) = share.claim(own.into_iter().chain(others).collect()) else { return };
        if work.worth != Worth::Share || !self.given.entry(id).or_default().insert(claim.place.to_bytes()) {
            return;
        }
        self.outgoing.push_back((id, claim));
        if self.outgoing.len() > SHARES_WAITING {
            self.outgoing.pop_front();
            self.shared.count(Verdict::Lost);
        }
        self.send_shares();
    }

    /// Hands in shares as others were answered, those of the newest challenge first.
    fn send_shares(&mut self) {
        while let Ok(place) = Arc::clone(&self.room).try_acquire_owned()
            && let Some((id, claim)) = self.outgoing.pop_back()
        {
            // What answers an older challenge would come late.
            let Some(work) = self.works.back().filter(|work| challenge_of(work) == id).cloned() else {
                self.shared.count(Verdict::Lost);
                continue;
            };
            let source = Arc::clone(&self.source);
            let proof = if claim.key == self.key {
                self.signer.sign(&work, claim)
            } else {
                // A plot of the pool's own key: the pool signs.
                SpaceProof { claim, signature: [0; 64] }.into()
            };
            self.submitted += 1;
            self.shares.spawn(async move {
                let verdict = source.submit(&work, proof).await;
                drop(place);
                verdict
            });
        }
    }

    fn work_for(&self, challenge: Hash256) -> Option<&Arc<Work>> {
        self.works.iter().find(|work| challenge_of(work) == challenge)
    }

    /// Signs a proof that wins into the newest template for its challenge, and hands it in.
    fn hand_in(&mut self, challenge: Hash256) {
        let Some(work) = self.work_for(challenge) else {
            tracing::warn!(%challenge, "a proof is lost: its challenge was replaced too long ago");
            self.wins.remove(&challenge);
            return;
        };
        let Some(win) = self.wins.get(&challenge) else { return };
        let own = own_registration(&win.best, work);
        let others = self.registrations(work, own);
        let Some(claim) = win.best.claim(own.into_iter().chain(others).collect()) else { return };
        let (source, work, signer) = (Arc::clone(&self.source), Arc::clone(work), Arc::clone(&self.signer));
        if let Some(win) = self.wins.get_mut(&challenge) {
            (win.standing, win.signed) = (WinStanding::Sent, Some(Arc::clone(&work)));
        }
        self.submitted += 1;
        self.submissions.spawn(async move {
            let plain = SpaceClaim { registrations: own.into_iter().collect(), ..claim.clone() };
            let registers = claim.registrations.len() > plain.registrations.len();
            let verdict = source.submit(&work, signer.sign(&work, claim)).await;
            // What others ask to be registered must not cost the block.
            if verdict == Verdict::Rejected && registers {
                let again = source.submit(&work, signer.sign(&work, plain)).await;
                return (work, again);
            }
            (work, verdict)
        });
    }

    /// Takes what became of a proof. One that was not taken goes into the template that came meanwhile, if any did.
    fn take_verdict(&mut self, work: &Arc<Work>, verdict: Verdict) {
        self.blocks.count(verdict);
        let id = challenge_of(work);
        let signed = |win: &&mut Win| win.signed.as_ref().is_some_and(|signed| Arc::ptr_eq(signed, work));
        // What another source says is about another win.
        let Some(win) = self.wins.get_mut(&id).filter(signed) else { return };
        if verdict == Verdict::Accepted {
            win.standing = WinStanding::Taken;
            return;
        }
        win.standing = WinStanding::Open;
        if self.work_for(id).is_some_and(|newest| !Arc::ptr_eq(newest, work)) {
            self.hand_in(id);
        }
    }

    /// Returns the plots that a claim registers besides the one that wins: own ones, then those that wait at the node.
    fn registrations(&self, work: &Work, wins: Option<Registration>) -> Vec<Registration> {
        let Some(space) = &work.space else { return Vec::new() };
        let most = usize::try_from(space.challenge.registrations_max).unwrap_or(usize::MAX);
        let most = most.saturating_sub(usize::from(wins.is_some()));
        let own = self.registered.iter().filter(|(_, height)| height.is_none()).map(|(plot, _)| *plot);
        let mut all: Vec<Registration> = Vec::new();
        for plot in own.chain(space.register.iter().copied()) {
            if all.len() < most && Some(plot) != wins && !all.contains(&plot) && plot.is_sound() {
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
        let signer = needed.and_then(|space| space.signer);
        let plots: Vec<Registration> = plots.filter(|plot| plot.key == self.key || Some(plot.key) == signer).collect();
        if plots.is_empty() {
            return;
        }
        let source = Arc::clone(&self.source);
        self.registering.spawn(async move {
            let heights = source.register(plots.clone()).await?;
            Some(plots.into_iter().zip(heights).collect())
        });
    }

    fn take_registered(&mut self, heights: Registered) {
        let before = std::mem::replace(&mut self.registered, heights);
        let now = self.works.back().and_then(|work| Some(work.space.as_ref()?.challenge.clone()));
        if let Some(challenge) = now.filter(|challenge| challenge.registered_by.is_some() && self.registered != before)
        {
            self.ask(challenge);
        }
    }

    fn publish(&self) {
        let figures = self.farm.figures();
        // A block's target, also where a pool asks for less.
        let work = self.works.back();
        let target = work.and_then(|work| Some(work.space.as_ref()?.challenge.target));
        let farm = FarmReport::new(&figures, self.farm.progress().as_ref().or(self.last.as_ref()), target);
        let left = self.closes.filter(|_| self.enabled).map(|closes| closes.saturating_duration_since(Instant::now()));
        let challenge_seconds_left = left.map(|left| left.as_secs_f64());
        let farm = FarmReport { submitted: self.submitted, challenge_seconds_left, ..farm };
        let report = MinerReport {
            running: self.enabled,
            backend: self.backend.to_owned(),
            solutions: figures.wins,
            blocks_accepted: self.blocks.accepted,
            blocks_stale: self.blocks.stale,
            blocks_refused: self.blocks.refused,
            shares: self.shared,
            pool: work.and_then(|work| self.source.pool_of(work)),
            farm: Some(farm),
            ..MinerReport::default()
        };
        self.report.send_replace(Arc::new(report));
    }
}

fn share_room() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(SHARES_OUT))
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

/// Returns the winning plot as its claim has to register it. `None` where it was registered before, or need not be.
fn own_registration(best: &Best, work: &Work) -> Option<Registration> {
    let space = work.space.as_ref().filter(|space| space.challenge.registered_by.is_none())?;
    match best.place.as_ref().filter(|_| space.challenge.registrations_max > 0)? {
        PlotPlace::Plain { seed, leaves, root, .. } => {
            Some(Registration { key: best.key, seed: *seed, leaves: *leaves, root: *root })
        }
        PlotPlace::Hard { .. } => None,
    }
}

impl Signer {
    fn sign(&self, work: &Work, claim: SpaceClaim) -> Found {
        let header = work.space.as_ref().map(|space| space.header.as_slice()).unwrap_or_default();
        let signature = self.secret.sign(&claim.message(&self.genesis, header)).0;
        SpaceProof { claim, signature }.into()
    }
}
