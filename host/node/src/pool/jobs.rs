//! From the upstreams' templates to the job that every miner has: fetched when the tip moves or the job is old, told to all at once.

use super::metrics::PoolMetrics;
use super::upstream::{Fetched, Mark};
use super::upstreams::Upstreams;
use crate::clock::Clock;
use crate::server::ended;
use adit_pool::work::job::{Job, JobBook};
use adit_pool::work::template::{BlockTemplate, Commitment};
use adit_primitives::contract::payout::Economics;
use adit_primitives::{BlockId, Height, Target};
use adit_protocol::stratum::job as wire;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long to wait after every node has failed.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a node that is preferred to the one in use is looked after.
const BETTER_INTERVAL: Duration = Duration::from_secs(30);

/// The longest time without a job: there are miners that give a silent pool up after two minutes.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// Blocks over which fees are averaged.
const FEES_BLOCKS: usize = 144;

/// The job that miners have.
#[derive(Debug)]
pub struct Current {
    /// As every miner has it. In a peer-to-peer pool each has its own, and nobody this one.
    pub announcement: wire::Announcement,
    /// The block that it builds on.
    pub tip: BlockId,
    /// That of a block.
    pub target: Target,
    pub job: Arc<Job>,
}

/// Follows the upstreams.
pub struct Following {
    pub upstreams: Arc<Upstreams>,
    pub book: Arc<JobBook>,
    pub lifetime: Duration,
    pub current: watch::Sender<Option<Arc<Current>>>,
    pub economics: watch::Sender<Option<Economics>>,
    pub metrics: Arc<PoolMetrics>,
    pub clock: Clock,
    pub ending: watch::Receiver<bool>,
    pub fees: BTreeMap<u64, u64>,
}

impl Following {
    /// Runs until the pool ends.
    pub async fn run(mut self) {
        let mut ending = self.ending.clone();
        tokio::select! {
            () = self.follow() => {}
            () = ended(&mut ending) => {}
        }
    }

    async fn follow(&mut self) {
        let mut mark: Option<Mark> = None;
        let mut better_due = Instant::now() + BETTER_INTERVAL;
        // Looking for a better node keeps nobody from following the one in use. At most one task.
        let mut looking = JoinSet::new();
        loop {
            let node = self.upstreams.active();
            if node > 0 && looking.is_empty() && Instant::now() >= better_due {
                better_due = Instant::now() + BETTER_INTERVAL;
                looking.spawn(better(Arc::clone(&self.upstreams), node, self.height()));
            }
            let (patience, upstreams) = (self.patience(), Arc::clone(&self.upstreams));
            tokio::select! {
                fetched = upstreams.template(node, mark.as_ref(), patience) => match fetched {
                    Ok(fetched) => mark = Some(self.offer(node, fetched)),
                    Err(_) => {
                        mark = None;
                        self.turn_from(node).await;
                    }
                },
                Some(found) = looking.join_next() => if let Ok(Some((better, fetched))) = found && better < node {
                    self.upstreams.choose(better);
                    mark = Some(self.offer(better, fetched));
                },
                // Nodes may be silent for longer than miners bear.
                () = self.keep_telling() => {}
            }
        }
    }

    /// Gives the turn to the node after one that failed. Rests where it was the last.
    async fn turn_from(&self, node: usize) {
        let next = (node + 1) % self.upstreams.count();
        self.upstreams.choose(next);
        if next <= node {
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = self.keep_telling() => {}
            }
        }
    }

    /// Returns the height that is mined.
    fn height(&self) -> Height {
        self.book.newest().map_or(Height(0), |job| job.template.height)
    }

    /// How long the current job may go on.
    fn patience(&self) -> Duration {
        let age = self.book.newest().map(|job| (self.clock)().to_millis().saturating_sub(job.made.to_millis()));
        age.map_or(Duration::ZERO, |age| self.lifetime.saturating_sub(Duration::from_millis(age)))
            .max(Duration::from_millis(50))
    }

    /// Makes a node's template the job, where it is news. Returns what to wait for a newer one with.
    fn offer(&mut self, node: usize, fetched: Fetched) -> Mark {
        self.upstreams.mines_on(node);
        self.metrics.templates.inc();
        self.put_before(fetched.template);
        fetched.mark
    }

    fn put_before(&mut self, template: BlockTemplate) {
        self.fees.insert(template.height.0, template.fees.to_atoms());
        while self.fees.len() > FEES_BLOCKS {
            self.fees.pop_first();
        }
        let offered = match self.book.offer(template, (self.clock)()) {
            Ok(offered) => offered,
            Err(error) => return tracing::error!(%error, "an upstream's template cannot be mined"),
        };
        if !offered.is_new {
            return;
        }
        let job = offered.job;
        let template = &job.template;
        self.economics.send_replace(Some(Economics {
            subsidy: template.reward.to_atoms().saturating_sub(template.fees.to_atoms()),
            mean_fees: self.fees.values().sum::<u64>() / u64::try_from(self.fees.len()).unwrap_or(1).max(1),
            work: template.target.work(),
        }));
        tracing::debug!(job = %job.id, height = template.height.0, clean = offered.clean, "new job");
        self.metrics.jobs.inc();
        self.metrics.height.set(i64::try_from(template.height.0).unwrap_or(i64::MAX));
        let announcement = wire::Announcement::new(wire::JobId(job.id.0), &wire_job(&job, None));
        let current = Current { announcement, tip: template.previous, target: template.target, job };
        self.current.send_replace(Some(Arc::new(current)));
    }

    /// Says the job again whenever miners would hear nothing for too long. Never returns while there is a job that is said anew elsewhere.
    async fn keep_telling(&self) {
        let mut heard = self.current.subscribe();
        loop {
            heard.mark_unchanged();
            match tokio::time::timeout(SILENCE_MAX, heard.changed()).await {
                Ok(_) => {}
                Err(_) => self.current.send_modify(|_| ()),
            }
        }
    }
}

/// Looks for a node that is preferred to the one in use, gives templates again, and has caught up.
async fn better(upstreams: Arc<Upstreams>, than: usize, height: Height) -> Option<(usize, Fetched)> {
    for node in 0..than {
        if let Ok(fetched) = upstreams.template(node, None, Duration::ZERO).await
            && fetched.template.height >= height
        {
            return Some((node, fetched));
        }
    }
    None
}

/// Returns a job's fields as the wire has them: in a peer-to-peer pool as a worker with this commitment has them.
pub(super) fn wire_job(job: &Job, commitment: Option<&Commitment>) -> wire::Job {
    let template = &job.template;
    wire::Job {
        previous: template.previous.0,
        coinbase_head: template.coinbase.before_of(commitment),
        coinbase_tail: template.coinbase.after.clone(),
        branches: template.branch.iter().map(|branch| branch.0).collect(),
        version: template.version,
        bits: template.bits,
        time: template.time,
    }
}
