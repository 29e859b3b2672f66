//! From the upstreams' templates to the job that every miner has: fetched when the tip moves or the job is old, told to all at once.

use super::metrics::PoolMetrics;
use super::upstream::{Fetched, Mark, Wanted};
use super::upstreams::Upstreams;
use crate::clock::Clock;
use crate::server::ended;
use adit_pool::money::mean_fees::MeanFees;
use adit_pool::work::farm::{SpaceBook, SpaceJob, SpaceTemplate};
use adit_pool::work::job::{Job, JobBook};
use adit_pool::work::template::{BlockTemplate, Commitment};
use adit_primitives::contract::payout::Economics;
use adit_primitives::{Amount, BlockId, Height, Target, Timestamp};
use adit_protocol::stratum::job as wire;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// The longest time without a job: there are miners that give a silent pool up after two minutes.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// The shortest time between two templates.
const PATIENCE_MIN: Duration = Duration::from_millis(50);

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
    pub fees: Arc<Mutex<MeanFees>>,
}

impl Following {
    /// Runs until the pool ends.
    pub async fn run(self) {
        let mut ending = self.ending.clone();
        tokio::select! {
            () = self.follow() => {}
            () = self.keep_telling() => {}
            () = ended(&mut ending) => {}
        }
    }

    async fn follow(&self) {
        let upstreams = Arc::clone(&self.upstreams);
        // What to wait for news with, and the node that gave it.
        let mut mark: Option<(usize, Mark)> = None;
        loop {
            let node = upstreams.next().await;
            let since = mark.take().filter(|(of, _)| *of == node).map(|(_, since)| since);
            tokio::select! {
                fetched = upstreams.template(node, since.as_ref(), self.patience()) => if let Ok(fetched) = fetched {
                    mark = Some((node, self.offer(fetched).await));
                },
                () = upstreams.leaves(node) => {}
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
    async fn offer(&self, fetched: Fetched) -> Mark {
        let (height, worth) = (fetched.template.height(), fetched.template.economics());
        self.upstreams.mines_at(height);
        self.metrics.templates.inc();
        let is_new = match fetched.template {
            Wanted::Work(template) => self.put_before(template),
            Wanted::Space(template) => self.put_before_farmers(template),
        };
        // Miners have the job by now: they do not wait for the disk.
        match self.note_fees(height, Amount::from_atoms(worth.mean_fees)).await {
            Ok(mean) if is_new => {
                self.economics.send_replace(Some(Economics { mean_fees: mean.to_atoms(), ..worth }));
            }
            Ok(_) => {}
            Err(problem) => {
                tracing::error!(problem, "the fees of templates are not kept: shares earn as they did before")
            }
        }
        fetched.mark
    }

    /// Makes a template the farmers' job, and tells whether it is a new one.
    fn put_before_farmers(&self, template: SpaceTemplate) -> bool {
        let offered = match self.space_book.offer(template, (self.clock)()) {
            Ok(offered) => offered,
            Err(error) => {
                tracing::error!(%error, "an upstream's template cannot be farmed");
                return false;
            }
        };
        if !offered.is_new {
            return false;
        }
        let (job, SpaceTemplate { height, challenge, .. }) = (&offered.job, &offered.job.template);
        tracing::debug!(job = %job.id, height = height.0, challenge = %challenge.challenge, "new job for farmers");
        self.metrics.jobs.inc();
        self.metrics.height.set(i64::try_from(height.0).unwrap_or(i64::MAX));
        self.space.send_replace(Some(offered.job));
        true
    }

    /// Keeps the fees that a template offers, on a thread where that may wait for a disk. Returns the mean.
    async fn note_fees(&self, height: Height, fees: Amount) -> Result<Amount, String> {
        let kept = Arc::clone(&self.fees);
        let note = move || kept.lock().unwrap_or_else(PoisonError::into_inner).note(height, fees);
        match tokio::task::spawn_blocking(note).await {
            Ok(noted) => noted.map_err(|error| error.to_string()),
            Err(_) => Err("a write panicked".to_owned()),
        }
    }

    /// Makes a template the miners' job, and tells whether it is a new one.
    fn put_before(&self, template: BlockTemplate) -> bool {
        let offered = match self.book.offer(template, (self.clock)()) {
            Ok(offered) => offered,
            Err(error) => {
                tracing::error!(%error, "an upstream's template cannot be mined");
                return false;
            }
        };
        if !offered.is_new {
            return false;
        }
        let job = offered.job;
        let template = &job.template;
        tracing::debug!(job = %job.id, height = template.height.0, clean = offered.clean, "new job");
        self.metrics.jobs.inc();
        self.metrics.height.set(i64::try_from(template.height.0).unwrap_or(i64::MAX));
        let announcement =
            wire::Announcement::new(wire::JobId(job.id.0), &wire_job(&job, None)).rolling(template.version_mask);
        let current = Current { announcement, tip: template.previous, target: template.target, job };
        self.current.send_replace(Some(Arc::new(current)));
        true
    }

    /// Says the job again whenever miners would hear nothing for too long: nodes may be silent for longer, or say nothing that is news. Never returns.
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
