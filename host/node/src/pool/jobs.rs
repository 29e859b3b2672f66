//! From the upstreams' templates to the job that every miner has: fetched when the tip moves or the job is old, told to all at once.

use super::metrics::PoolMetrics;
use super::upstream::{Fetched, Mark, Wanted};
use super::upstreams::Upstreams;
use crate::clock::Clock;
use crate::server::ended;
use adit_pool::work::farm::{SpaceBook, SpaceJob, SpaceTemplate};
use adit_pool::work::job::{Job, JobBook};
use adit_pool::work::template::{BlockTemplate, Commitment};
use adit_primitives::contract::payout::Economics;
use adit_primitives::{Amount, BlockId, Height, Target, Timestamp};
use adit_protocol::stratum::job as wire;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The longest time without a job: there are miners that give a silent pool up after two minutes.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// The shortest time between two templates.
const PATIENCE_MIN: Duration = Duration::from_millis(50);

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
    /// The same two for farmers.
    pub space_book: Arc<SpaceBook>,
    pub space: watch::Sender<Option<Arc<SpaceJob>>>,
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
        let upstreams = Arc::clone(&self.upstreams);
        // What to wait for news with, and the node that gave it.
        let mut mark: Option<(usize, Mark)> = None;
        loop {
            let node = tokio::select! {
                node = upstreams.next() => node,
                // Nodes may be silent for longer than miners bear.
                () = self.keep_telling() => continue,
            };
            let since = mark.take().filter(|(of, _)| *of == node).map(|(_, since)| since);
            tokio::select! {
                fetched = upstreams.template(node, since.as_ref(), self.patience()) => if let Ok(fetched) = fetched {
                    mark = Some((node, self.offer(fetched)));
                },
                () = upstreams.leaves(node) => {}
                () = self.keep_telling() => {}
            }
        }
    }

    /// How long the current job may go on: farmers' no longer than its challenge.
    fn patience(&self) -> Duration {
        let now = (self.clock)().to_millis();
        let left = |made: Timestamp, whole: Duration| {
            whole.saturating_sub(Duration::from_millis(now.saturating_sub(made.to_millis())))
        };
        let hashed = self.book.newest().map(|job| left(job.made, self.lifetime));
        let farmed = self.space_book.newest().map(|job| {
            // By the clock of whoever made the template: this one's may go otherwise.
            let SpaceTemplate { challenge, time, .. } = &job.template;
            let stands = challenge.closes.to_millis().saturating_sub(time.to_millis());
            left(job.made, self.lifetime.min(Duration::from_millis(stands)))
        });
        hashed.or(farmed).unwrap_or_default().max(PATIENCE_MIN)
    }

    /// Makes a template the job, where it is news. Returns what to wait for a newer one with.
    fn offer(&mut self, fetched: Fetched) -> Mark {
        self.upstreams.mines_at(fetched.template.height());
        self.metrics.templates.inc();
        match fetched.template {
            Wanted::Work(template) => self.put_before(template),
            Wanted::Space(template) => self.put_before_farmers(template),
        }
        fetched.mark
    }

    fn put_before_farmers(&mut self, template: SpaceTemplate) {
        self.note_fees(template.height, template.fees);
        let offered = match self.space_book.offer(template, (self.clock)()) {
            Ok(offered) => offered,
            Err(error) => return tracing::error!(%error, "an upstream's template cannot be farmed"),
        };
        if !offered.is_new {
            return;
        }
        let (job, SpaceTemplate { height, reward, fees, challenge, .. }) = (&offered.job, &offered.job.template);
        self.tell_worth(*reward, *fees, challenge.target);
        tracing::debug!(job = %job.id, height = height.0, challenge = %challenge.challenge, "new job for farmers");
        self.metrics.jobs.inc();
        self.metrics.height.set(i64::try_from(height.0).unwrap_or(i64::MAX));
        self.space.send_replace(Some(offered.job));
    }

    fn note_fees(&mut self, height: Height, fees: Amount) {
        self.fees.insert(height.0, fees.to_atoms());
        while self.fees.len() > FEES_BLOCKS {
            self.fees.pop_first();
        }
    }

    /// Says what shares of a block are worth.
    fn tell_worth(&self, reward: Amount, fees: Amount, target: Target) {
        self.economics.send_replace(Some(Economics {
            subsidy: reward.to_atoms().saturating_sub(fees.to_atoms()),
            mean_fees: self.fees.values().sum::<u64>() / u64::try_from(self.fees.len()).unwrap_or(1).max(1),
            work: target.work(),
        }));
    }

    fn put_before(&mut self, template: BlockTemplate) {
        self.note_fees(template.height, template.fees);
        let offered = match self.book.offer(template, (self.clock)()) {
            Ok(offered) => offered,
            Err(error) => return tracing::error!(%error, "an upstream's template cannot be mined"),
        };
        if !offered.is_new {
            return;
        }
        let job = offered.job;
        let template = &job.template;
        self.tell_worth(template.reward, template.fees, template.target);
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
