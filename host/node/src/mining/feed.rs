//! Where work comes from, and where finds go.
//!
//! One task asks, so there is never more than one request for a template on its way. It says [`Fed::Stale`] as soon as it knows that the work handed out
//! is in vain, before the next is there.

use super::MiningFailure;
use super::report::PoolReport;
use super::stratum::{Follower, PoolWork, Pools, Unheard};
use crate::api::blocks::{MineBlockRequest, MineBlockResponse, SubmitBlockRequest, SubmitBlockResponse, SubmitStatus};
use crate::api::shapes::{Hex, time_of};
use crate::api::space::{PLOTS_MAX, PlotBody, PlotsRequest, PlotsResponse};
use crate::chain::{ChainHandle, Client, Found, Proof, Solved, SubmitError, Unavailable};
use crate::client::{NodeClient, NodeNumber, Patience};
use crate::clock::{Clock, Entropy};
use crate::freshness::Freshness;
use crate::pool::api::farm::PartialResponse;
use crate::retry::{BACKOFF_MAX, Failure};
use crate::settings::MinerSettings;
use adit_chain::{BlockError, PublicKey, TemplateRequest, WorkTemplate};
use adit_miner::Verdict;
use adit_primitives::contract::PowInput;
use adit_primitives::contract::space::{Challenge, Registration, SpaceProof};
use adit_primitives::{Encode, Hash256, Height, Target, Timestamp, U256};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

/// How many finds of one template are submitted where the chain merges parallel blocks. While blocks are hard to find the second one is rare and as good as the first;
/// while they are as easy as at a chain's start, more of them would only make each other red.
const PARALLEL_FINDS_MAX: u32 = 4;

/// How often a find is sent to the node that gave its template before it is given up.
const SUBMIT_ATTEMPTS: u32 = 4;

/// How long a node that pushes nothing is asked for templates before it is asked again to push them.
const POLLING_TIME: Duration = Duration::from_secs(30);

/// How long to wait after the chain was too busy to answer.
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// Where work comes from.
pub enum WorkSource {
    /// The chain of this process.
    Own { chain: ChainHandle, pay_to: PublicKey, clock: Clock },
    /// Other nodes.
    Nodes { client: NodeClient, address: String },
    /// Stratum pools.
    Pools(Pools),
}

/// Work for the workers.
#[derive(Debug, Clone)]
pub struct Work {
    pub template: Template,
    pub worth: Worth,
    /// Of the block. Pools do not tell it.
    pub height: Option<u64>,
    /// For people: the chain's own number, or the hashes that a pool's share takes.
    pub difficulty: String,
    pub pow: PowInput,
    pub target: Target,
    /// Where plots win blocks.
    pub space: Option<Box<SpaceWork>>,
}

/// Work for farmers.
#[derive(Debug, Clone)]
pub struct SpaceWork {
    /// The header without its proof: what the winner signs.
    pub header: Vec<u8>,
    pub challenge: Challenge,
    /// The time in the header: when the template was made, by the node's clock.
    pub time: Timestamp,
    /// Plots that wait to be registered.
    pub register: Vec<Registration>,
    /// The key that whoever gave the template signs with.
    pub signer: Option<Hash256>,
}

/// What a find is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// A block. Further finds of a template are blocks of their own only where the chain merges parallel blocks; elsewhere they would be the first one's rivals.
    Block { finds_max: u32 },
    /// A share: every find is one.
    Share,
}

impl Worth {
    /// Returns what finds of a template are worth, on a chain that merges parallel blocks or on one that does not.
    const fn block(parallel: bool) -> Self {
        Self::Block { finds_max: if parallel { PARALLEL_FINDS_MAX } else { 1 } }
    }

    /// Tells whether another find is of use after so many.
    pub const fn wants(self, found: u32) -> bool {
        match self {
            Self::Block { finds_max } => found < finds_max,
            Self::Share => true,
        }
    }
}

impl Work {
    /// Returns what is searched: the same work asks for the same.
    fn asks(&self) -> (PowInput, Target, Option<Vec<u8>>) {
        (self.pow.clone(), self.target, self.space.as_ref().map(|space| space.header.clone()))
    }
}

/// What a find is for.
#[derive(Debug, Clone)]
pub enum Template {
    /// A template of this process's own chain. It is kept, so that no find is lost, whatever the chain's thread forgets.
    Own(Arc<WorkTemplate>),
    /// The number that a node gave to its own: the find goes there.
    Node { node: NodeNumber, id: u64 },
    /// A pool's job.
    Pool(PoolWork),
}

/// What the feed says.
#[derive(Debug)]
pub enum Fed {
    /// Here is work, and how long it took to come where it was asked for.
    Work { work: Work, took: Option<Duration> },
    /// The work handed out is in vain.
    Stale,
    /// There will be no more work.
    Over(MiningFailure),
}

/// A running feed.
pub struct Feed {
    fed: mpsc::Receiver<Fed>,
    refresh: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Feed {
    /// Starts asking for work.
    pub fn start(source: Arc<WorkSource>, settings: &MinerSettings, entropy: Entropy) -> Self {
        let (sender, fed) = mpsc::channel(4);
        let refresh = Arc::new(Notify::new());
        let asking = Asking {
            source,
            sender,
            refresh: Arc::clone(&refresh),
            entropy,
            poll: Duration::from_millis(settings.poll_ms),
        };
        Self { fed, refresh, task: tokio::spawn(asking.run()) }
    }

    /// Waits for what the feed says next.
    pub async fn next(&mut self) -> Option<Fed> {
        self.fed.recv().await
    }

    /// Asks for another template although this one is not stale: all of it was searched, or its find was refused.
    pub fn refresh(&self) {
        self.refresh.notify_one();
    }

    /// Stops asking.
    pub fn end(self) {
        self.task.abort();
    }
}

struct Asking {
    source: Arc<WorkSource>,
    sender: mpsc::Sender<Fed>,
    refresh: Arc<Notify>,
    entropy: Entropy,
    poll: Duration,
}

impl Asking {
    async fn run(self) {
        let outcome = match &*self.source {
            WorkSource::Own { chain, pay_to, clock } => self.own(chain, *pay_to, clock).await,
            WorkSource::Nodes { client, address } => self.nodes(client, address).await,
            WorkSource::Pools(pools) => {
                Err(Follower { pools, sender: &self.sender, refresh: &self.refresh }.run().await)
            }
        };
        if let Ok(failure) = outcome {
            drop(self.sender.send(Fed::Over(failure)).await);
        }
    }

    async fn own(&self, chain: &ChainHandle, pay_to: PublicKey, clock: &Clock) -> Result<MiningFailure, Unheard> {
        let mut extra = vec![0; 4];
        (self.entropy)(&mut extra);
        let request = TemplateRequest { pay_to, extra, difficulty: None };
        let mut snapshots = chain.watch();
        loop {
            let snapshot = snapshots.borrow_and_update().clone();
            let began = Instant::now();
            let template = match chain.template(Client::Own, request.clone()).await {
                Ok(Ok(template)) => template,
                Err(Unavailable::Stopped) => return Ok(MiningFailure::ChainStopped),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the chain gives no work");
                    tokio::time::sleep(self.poll).await;
                    continue;
                }
                Err(Unavailable::Busy) => {
                    tokio::time::sleep(BUSY_PAUSE).await;
                    continue;
                }
            };
            let freshness = Freshness::new(&snapshot, template.expires);
            let work = Work {
                worth: Worth::block(snapshot.dag.is_some()),
                height: Some(template.requirements.height.0),
                difficulty: template.requirements.difficulty.clone(),
                pow: template.pow.clone(),
                target: template.target,
                space: template.challenge.as_ref().map(|challenge| Box::new(space_work(chain, &template, challenge))),
                template: Template::Own(template),
            };
            self.say(Fed::Work { work, took: Some(began.elapsed()) }).await?;
            loop {
                let snapshot = snapshots.borrow_and_update().clone();
                if freshness.is_stale(&snapshot) {
                    self.say(Fed::Stale).await?;
                    break;
                }
                if freshness.is_outdated(&snapshot, clock()) {
                    break;
                }
                tokio::select! {
                    changed = snapshots.changed() => if changed.is_err() { return Ok(MiningFailure::ChainStopped) },
                    () = tokio::time::sleep_until(freshness.wake(&snapshot, clock())) => {}
                    () = self.refresh.notified() => break,
                }
            }
        }
    }

    async fn nodes(&self, client: &NodeClient, address: &str) -> Result<MiningFailure, Unheard> {
        loop {
            let began = Instant::now();
            let heard = match client.subscribe(address, Patience::Attempts(1)).await {
                Ok(subscription) => self.listen(subscription, began).await?,
                Err(failure) => Err(failure),
            };
            match heard {
                // One that ends as soon as it has begun is no reason to begin the next at once.
                Ok(()) => tokio::time::sleep(self.poll.saturating_sub(began.elapsed())).await,
                Err(failure @ Failure::OtherChain { .. }) => return Ok(MiningFailure::NoWork(failure)),
                Err(failure) => {
                    tracing::warn!(%failure, "no node pushes templates: asking for them");
                    if let Some(failure) = self.ask(client, address).await? {
                        return Ok(MiningFailure::NoWork(failure));
                    }
                }
            }
        }
    }

    /// Passes on what a subscription brings. Returns why it ended where it brought nothing.
    async fn listen(
        &self,
        mut subscription: crate::client::Subscription,
        mut began: Instant,
    ) -> Result<Result<(), Failure>, Unheard> {
        let mut brought = false;
        loop {
            let pushed = tokio::select! {
                pushed = subscription.next() => pushed,
                // A fresh subscription begins with a fresh template.
                () = self.refresh.notified() => return Ok(Ok(())),
            };
            match pushed.and_then(|response| work_of(&response, subscription.node())) {
                Ok(work) => self.say(Fed::Work { work, took: Some(began.elapsed()) }).await?,
                Err(failure) if brought => {
                    tracing::warn!(%failure, "the subscription ended");
                    return Ok(Ok(()));
                }
                Err(failure) => return Ok(Err(failure)),
            }
            (began, brought) = (Instant::now(), true);
        }
    }

    /// Asks for templates for a while. Returns a failure that no patience mends.
    async fn ask(&self, client: &NodeClient, address: &str) -> Result<Option<Failure>, Unheard> {
        let mut extra = vec![0; 8];
        (self.entropy)(&mut extra);
        let request = MineBlockRequest {
            miner_address: address.to_owned(),
            client_version: Some(concat!("adit ", env!("CARGO_PKG_VERSION")).to_owned()),
            timestamp: None,
            extra: Some(Hex(extra)),
            compact: true,
        };
        let (until, mut last) = (Instant::now() + POLLING_TIME, None);
        while Instant::now() < until {
            let began = Instant::now();
            let asked = client.ask::<_, MineBlockResponse>("mine_block", Some(&request), Patience::Endless).await;
            match asked.and_then(|(node, response)| work_of(&response, node)) {
                Ok(work) if last.as_ref() != Some(&work.asks()) => {
                    last = Some(work.asks());
                    self.say(Fed::Work { work, took: Some(began.elapsed()) }).await?;
                }
                Ok(_) => {}
                Err(failure @ Failure::OtherChain { .. }) => return Ok(Some(failure)),
                Err(failure) if failure.is_for_good() => return Ok(Some(failure)),
                Err(failure) => {
                    tracing::warn!(%failure, "no work");
                    tokio::time::sleep(BACKOFF_MAX).await;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(self.poll) => {}
                () = self.refresh.notified() => {}
            }
        }
        Ok(None)
    }

    async fn say(&self, fed: Fed) -> Result<(), Unheard> {
        self.sender.send(fed).await.map_err(|_| Unheard)
    }
}

impl WorkSource {
    /// Submits a find, and returns what became of it.
    pub async fn submit(&self, work: &Work, found: Found) -> Verdict {
        match (self, &work.template, found) {
            (Self::Own { chain, .. }, Template::Own(template), found) => submit_own(chain, template, found).await,
            (Self::Nodes { client, .. }, Template::Node { node, id }, Found::Space(proof))
                if work.worth == Worth::Share =>
            {
                submit_share(client, *node, *id, &proof).await
            }
            (Self::Nodes { client, .. }, Template::Node { node, id }, found) => {
                submit_to(client, *node, *id, found).await
            }
            (Self::Pools(_), Template::Pool(work), Found::Work(proof)) => work.submit(proof.nonce, proof.rolled).await,
            _ => Verdict::Rejected,
        }
    }

    /// Names the pool whose work it is: `None` for work of a node.
    pub fn pool_of(&self, work: &Work) -> Option<PoolReport> {
        match (self, &work.template) {
            (Self::Nodes { client, .. }, Template::Node { node, .. }) if work.worth == Worth::Share => {
                Some(PoolReport::new(client.url(*node), work.target))
            }
            (_, Template::Pool(pool)) => Some(PoolReport::new(&pool.pool, work.target)),
            _ => None,
        }
    }

    /// Has plots registered, and returns the height at which each was. `None` where nobody can say it now.
    pub async fn register(&self, plots: Vec<Registration>) -> Option<Vec<Option<Height>>> {
        match self {
            Self::Own { chain, .. } => {
                let known = Arc::clone(chain.plots());
                let heights = tokio::task::spawn_blocking(move || known.register(None, &plots)).await.ok()?;
                heights.inspect_err(|error| tracing::warn!(%error, "nobody says which plots are registered")).ok()
            }
            Self::Nodes { client, .. } => register_at(client, &plots).await,
            Self::Pools(_) => None,
        }
    }
}

/// Has a node register plots, some at a time.
async fn register_at(client: &NodeClient, plots: &[Registration]) -> Option<Vec<Option<Height>>> {
    let mut heights = Vec::with_capacity(plots.len());
    for part in plots.chunks(PLOTS_MAX) {
        let request = PlotsRequest { plots: part.iter().map(|plot| PlotBody::new(plot, None)).collect() };
        let asked = client.ask::<_, PlotsResponse>("plots", Some(&request), Patience::Attempts(SUBMIT_ATTEMPTS)).await;
        let told = |failure: &Failure| tracing::warn!(%failure, "no node says which plots are registered");
        let (_, response) = asked.inspect_err(told).ok()?;
        heights.extend(response.plots.iter().map(|plot| plot.registered.map(Height)));
    }
    (heights.len() == plots.len()).then_some(heights)
}

fn space_work(chain: &ChainHandle, template: &WorkTemplate, challenge: &Challenge) -> SpaceWork {
    let most = usize::try_from(challenge.registrations_max).unwrap_or(usize::MAX);
    let register = chain.plots().waiting_first(most);
    let (header, challenge) = (template.header.clone(), challenge.clone());
    SpaceWork { header, challenge, time: template.time, register, signer: None }
}

async fn submit_own(chain: &ChainHandle, template: &Arc<WorkTemplate>, found: Found) -> Verdict {
    let outcome = loop {
        match chain.submit_proof(Solved::Kept(Arc::clone(template)), found.clone(), None).await {
            Ok(outcome) => break outcome,
            Err(Unavailable::Busy) => tokio::time::sleep(BUSY_PAUSE).await,
            Err(Unavailable::Stopped) => return Verdict::Rejected,
        }
    };
    match outcome {
        Ok(taken) if taken.counts() => {
            tracing::info!(height = taken.accepted.height.0, hash = %taken.accepted.id, "block mined");
            Verdict::Accepted
        }
        Ok(_) | Err(SubmitError::Block(BlockError::Known { .. })) => Verdict::Stale,
        Err(error) => {
            tracing::warn!(%error, "a find was refused");
            Verdict::Rejected
        }
    }
}

async fn submit_to(client: &NodeClient, node: NodeNumber, template: u64, found: Found) -> Verdict {
    let named = SubmitBlockRequest { template_id: Some(template), ..SubmitBlockRequest::default() };
    let request = match found {
        Found::Work(Proof { nonce, rolled }) => SubmitBlockRequest { nonce, rolled, ..named },
        Found::Space(proof) => SubmitBlockRequest { space_proof: Some(Hex(proof.to_bytes())), ..named },
    };
    let sent = client.ask_node::<_, SubmitBlockResponse>(node, "submit_block", Some(&request), SUBMIT_ATTEMPTS).await;
    match sent {
        Ok(SubmitBlockResponse { status: SubmitStatus::Accepted, block_index, hash, .. }) => {
            tracing::info!(height = block_index, hash, "block mined");
            Verdict::Accepted
        }
        Ok(_) => Verdict::Stale,
        // An answer that was lost on the way: the block is there.
        Err(Failure::Rejected { code, .. }) if code == "known" => Verdict::Accepted,
        Err(Failure::Rejected { code, .. }) if code == "unknown-template" => {
            tracing::warn!(template, "a find is lost: the node does not know its template any more");
            Verdict::Stale
        }
        Err(failure) => {
            tracing::warn!(%failure, "a find was refused");
            Verdict::Rejected
        }
    }
}

/// Hands a partial proof in.
async fn submit_share(client: &NodeClient, node: NodeNumber, template: u64, proof: &SpaceProof) -> Verdict {
    let space_proof = Some(Hex(proof.to_bytes()));
    let request = SubmitBlockRequest { template_id: Some(template), space_proof, ..SubmitBlockRequest::default() };
    let sent = client.ask_node::<_, PartialResponse>(node, "submit_block", Some(&request), SUBMIT_ATTEMPTS).await;
    match sent {
        Ok(_) => Verdict::Accepted,
        // An answer that was lost on the way: the share is there.
        Err(Failure::Rejected { code, .. }) if code == "duplicate" => Verdict::Accepted,
        Err(Failure::Rejected { code, .. }) if matches!(&*code, "stale" | "unknown-template") => Verdict::Stale,
        Err(failure) => {
            tracing::warn!(%failure, "a share was refused");
            Verdict::Rejected
        }
    }
}

fn work_of(response: &MineBlockResponse, node: NodeNumber) -> Result<Work, Failure> {
    let garbled = |detail: &str| Failure::Garbled { detail: detail.to_owned() };
    let template = &response.block_template;
    let work = &template.work;
    let target = U256::from_str_radix(&work.target, 16).map_err(|_| garbled("the target is no hexadecimal number"))?;
    let pow = PowInput {
        bytes: work.bytes.0.clone(),
        nonce_offset: work.nonce_offset,
        nonce_bytes: work.nonce_bytes,
        roll_offset: work.roll_offset,
        roll_mask: work.roll_mask,
    };
    let space = template.space.as_ref().map(|space| {
        let (challenge, register) = space.read().ok_or_else(|| garbled("what farmers are asked cannot be read"))?;
        let time = time_of("timestamp", template.timestamp).map_err(|error| garbled(&error.message))?;
        let signer = space.signer.as_ref().map(|key| key.parse()).transpose();
        let signer = signer.map_err(|_| garbled("the key of who signs cannot be read"))?;
        Ok(Box::new(SpaceWork { header: template.header.0.clone(), challenge, time, register, signer }))
    });
    let space = space.transpose()?;
    if (pow.bytes.is_empty() && space.is_none()) || !pow.is_sound() {
        return Err(garbled("the nonce does not lie in the bytes to hash"));
    }
    Ok(Work {
        template: Template::Node { node, id: template.template_id },
        worth: if template.shares { Worth::Share } else { Worth::block(template.parallel) },
        height: Some(template.index),
        difficulty: template.target_difficulty.to_string(),
        pow,
        target: Target(target),
        space,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_find_is_of_use_where_blocks_merge_and_at_a_pool() {
        let wanted = |worth: Worth| (0..10).filter(|found| worth.wants(*found)).count();
        assert_eq!([Worth::block(false), Worth::block(true), Worth::Share].map(wanted), [1, 4, 10]);
    }
}
