//! Several nodes: one has the turn, another takes its place when it fails, and it comes back when it is well again.

use super::upstream::{Fetched, Mark, Submitted, Upstream, UpstreamError, WalletError};
use crate::clock::Clock;
use crate::settings::pool::PoolSettings;
use crate::turns::{TurnMetrics, Turns};
use adit_network::peers::failover::{HealthView, Member};
use adit_pool::money::payments::Sighting;
use adit_pool::money::rounds::Standing;
use adit_primitives::accounts::{PaymentOutput, SignedPayment};
use adit_primitives::contract::payout::Economics;
use adit_primitives::contract::space::Registration;
use adit_primitives::{BlockId, Height, Timestamp, TxId};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a node that failed is left alone at most.
const LEFT_ALONE_MAX: Duration = Duration::from_secs(5);

/// How a node has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamStatus {
    pub name: String,
    pub up: bool,
    /// When that began.
    pub since: Option<Timestamp>,
    /// When it last gave a template.
    pub last_template: Option<Timestamp>,
    /// Why it is down.
    pub problem: Option<String>,
}

/// What the nodes make of a block together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// One at least has it.
    Taken,
    /// Of those that answer, none takes it.
    Refused {
        reason: String,
        /// How many gave no answer.
        silent: usize,
    },
}

/// The nodes.
pub struct Upstreams {
    nodes: Vec<Arc<Upstream>>,
    turns: Turns,
    /// The height that miners work at.
    mined: AtomicU64,
    statuses: Mutex<Vec<UpstreamStatus>>,
    clock: Clock,
}

impl Upstreams {
    /// Begins with nobody's turn. There must be a node. They are those of `settings.upstreams`, in that order, or the one of this process; `seed` differs
    /// between processes.
    pub fn new(nodes: Vec<Upstream>, settings: &PoolSettings, seed: u64, clock: Clock) -> Self {
        let status = |node: &Upstream| UpstreamStatus {
            name: node.name().to_owned(),
            up: false,
            since: None,
            last_template: None,
            problem: None,
        };
        let member = |(number, node): (usize, &Upstream)| {
            let said = settings.upstreams.get(number);
            let weight = said.map_or(1, |said| said.weight);
            Member { name: node.name().to_owned(), weight, region: said.and_then(|said| said.region.clone()) }
        };
        let mut rules = settings.failover.rules(LEFT_ALONE_MAX);
        // A node that has no news answers when the job is old: until then silence is in order.
        rules.heartbeat.interval = settings.shares.job_time();
        rules.heartbeat.deviation_min = settings.shares.job_time() / 4;
        let members = nodes.iter().enumerate().map(member).collect();
        Self {
            turns: Turns::new("node behind the pool", rules, members, seed),
            mined: AtomicU64::new(0),
            statuses: Mutex::new(nodes.iter().map(status).collect()),
            nodes: nodes.into_iter().map(Arc::new).collect(),
            clock,
        }
    }

    /// Returns how each node has done, in order of preference.
    pub fn statuses(&self) -> Vec<UpstreamStatus> {
        self.lock().clone()
    }

    /// Tells whether a node has given a template lately.
    pub fn are_ready(&self, within: Duration) -> bool {
        let now = (self.clock)().to_millis();
        let within = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        let fresh = |at: Timestamp| now.saturating_sub(at.to_millis()) <= within;
        self.lock().iter().any(|status| status.up && status.last_template.is_some_and(fresh))
    }

    /// Returns the number of the node that has the turn; while nobody has, of the one that is tried next.
    pub fn active(&self) -> usize {
        self.turns.turn_or_soonest().expect("no node of a pool is struck")
    }

    /// Returns what is known of a node's answers.
    pub fn health(&self, node: usize) -> HealthView {
        self.turns.view(node)
    }

    /// Returns how often the turn changed, and why.
    pub fn turn_metrics(&self) -> &TurnMetrics {
        self.turns.metrics()
    }

    /// Waits until a node has the turn.
    pub async fn next(&self) -> usize {
        self.turns.next().await
    }

    /// Waits until the turn is not this node's any more. Meanwhile the others are tried when that is due.
    pub async fn leaves(self: &Arc<Self>, node: usize) {
        let attempt = |tried| {
            let upstreams = Arc::clone(self);
            tokio::spawn(async move { drop(upstreams.ask(tried, None, Duration::ZERO, true).await) });
        };
        self.turns.leaves(node, attempt).await;
    }

    /// Notes the height that miners work at.
    pub fn mines_at(&self, height: Height) {
        self.mined.store(height.0, Ordering::Relaxed);
    }

    /// Asks a node for a template that can be mined; without a mark, whether it keeps our chain first. One of a block before that which is mined is no
    /// template where another node may be asked.
    pub async fn template(
        &self,
        node: usize,
        since: Option<&Mark>,
        patience: Duration,
    ) -> Result<Fetched, UpstreamError> {
        let others = since.is_none() && self.turns.has_other(node);
        self.ask(node, since, patience, others).await
    }

    /// Asks a node for a template. With `caught_up` it is to be of the height that is mined, or of a later one.
    async fn ask(
        &self,
        node: usize,
        since: Option<&Mark>,
        patience: Duration,
        caught_up: bool,
    ) -> Result<Fetched, UpstreamError> {
        let question = self.turns.ask(node);
        let fetched = self.fetch(node, since, patience).await;
        let mined = Height(self.mined.load(Ordering::Relaxed));
        let fetched = fetched.and_then(|fetched| match fetched.template.height() {
            height if caught_up && height < mined => Err(UpstreamError::Behind { height, mined }),
            _ => Ok(fetched),
        });
        match &fetched {
            Ok(_) if since.is_some() => question.had_news(),
            Ok(_) => question.answered(),
            Err(_) => question.failed(),
        }
        self.note(node, fetched.as_ref().err());
        fetched
    }

    async fn fetch(&self, node: usize, since: Option<&Mark>, patience: Duration) -> Result<Fetched, UpstreamError> {
        let upstream = &self.nodes[node];
        if since.is_none() {
            upstream.agree().await?;
        }
        let fetched = upstream.template(since, patience).await?;
        fetched.template.check()?;
        Ok(fetched)
    }

    /// Returns what a block is worth now by the first node that gives a template.
    pub async fn economics(&self) -> Option<Economics> {
        for node in 0..self.nodes.len() {
            if let Ok(fetched) = self.template(node, None, Duration::ZERO).await {
                return Some(fetched.template.economics());
            }
        }
        None
    }

    /// Hands a block to every node at once, and returns as soon as one takes it: the others are waited for by nobody, and are given it all the
    /// same. An error where none gives a verdict.
    pub async fn submit(&self, block: &Arc<[u8]>) -> Result<Verdict, UpstreamError> {
        let first = self.active();
        let others = (0..self.nodes.len()).filter(|node| *node != first);
        let hand_in = |node: usize| {
            let (node, was_up, block) = (Arc::clone(&self.nodes[node]), self.is_up(node), Arc::clone(block));
            tokio::spawn(async move {
                let answer = node.submit(&block).await;
                // That a node is down is said once, elsewhere.
                match &answer {
                    Ok(Submitted::Refused { reason }) if was_up => {
                        tracing::warn!(upstream = node.name(), reason, "a block was not taken here");
                    }
                    Err(error) if was_up => {
                        tracing::warn!(
                            upstream = node.name(),
                            reason = error.to_string(),
                            "a block was not taken here"
                        );
                    }
                    _ => {}
                }
                answer
            })
        };
        let mut answers: FuturesUnordered<_> = std::iter::once(first).chain(others).map(hand_in).collect();
        let (mut refused, mut silent, mut failed) = (None, 0, None);
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(Ok(Submitted::Taken)) => return Ok(Verdict::Taken),
                Ok(Ok(Submitted::Refused { reason })) => refused = refused.or(Some(reason)),
                Ok(Err(error)) => (silent, failed) = (silent + 1, failed.or(Some(error))),
                Err(_) => silent += 1,
            }
        }
        match (refused, failed) {
            (Some(reason), _) => Ok(Verdict::Refused { reason, silent }),
            (None, Some(error)) => Err(error),
            (None, None) => Err(UpstreamError::Chain { detail: "handing in panicked".to_owned() }),
        }
    }

    /// See [`Upstream::standing`].
    pub async fn standing(&self, id: BlockId, height: Height) -> Result<Option<Standing>, UpstreamError> {
        self.asked().standing(id, height).await
    }

    /// See [`Upstream::register`].
    pub async fn register(
        &self,
        source: IpAddr,
        plots: Vec<Registration>,
    ) -> Result<Vec<Option<Height>>, UpstreamError> {
        self.asked().register(source, plots).await
    }

    /// See [`Upstream::address`].
    pub async fn address(&self, text: &str) -> Result<Option<String>, UpstreamError> {
        self.asked().address(text).await
    }

    /// See [`Upstream::sign`]. The wallet is that of the first node: money is never moved from two.
    pub async fn sign(&self, outputs: &[PaymentOutput]) -> Result<SignedPayment, WalletError> {
        self.nodes[0].sign(outputs).await
    }

    /// See [`Upstream::send`].
    pub async fn send(&self, raw: &[u8]) -> Result<(), UpstreamError> {
        self.nodes[0].send(raw).await
    }

    /// See [`Upstream::sighting`].
    pub async fn sighting(&self, id: TxId) -> Result<Sighting, UpstreamError> {
        self.nodes[0].sighting(id).await
    }

    /// See [`Upstream::holds_inputs`].
    pub async fn holds_inputs(&self, raw: &[u8]) -> Result<bool, UpstreamError> {
        self.nodes[0].holds_inputs(raw).await
    }

    fn is_up(&self, node: usize) -> bool {
        self.lock()[node].up
    }

    fn asked(&self) -> &Upstream {
        &self.nodes[self.active()]
    }

    /// Notes how a node did, and tells the operator where that changes: one line, not one for each attempt.
    fn note(&self, node: usize, error: Option<&UpstreamError>) {
        let now = (self.clock)();
        let mut statuses = self.lock();
        let status = &mut statuses[node];
        let problem = error.map(ToString::to_string);
        if status.up != problem.is_none() || status.since.is_none() {
            status.up = problem.is_none();
            status.since = Some(now);
            match &problem {
                None => tracing::info!(upstream = status.name, "the node gives templates"),
                Some(problem) => tracing::error!(upstream = status.name, problem, "the node gives no templates"),
            }
        }
        if problem.is_none() {
            status.last_template = Some(now);
        }
        status.problem = problem;
    }

    fn lock(&self) -> MutexGuard<'_, Vec<UpstreamStatus>> {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
