//! Miners that speak HTTP: each is a Stratum connection within this process, so that one path checks, limits and bans all.
//!
//! Who registers gets a secret to ask for jobs and to send shares with. It is forgotten after two minutes without a word, and its connection with it.

use super::connection::Connection;
use super::front::Front;
use crate::api::shapes::Hex;
use crate::clock::Entropy;
use crate::server::ended;
use adit_pool::work::job::JobId;
use adit_primitives::Height;
use adit_protocol::line::LineBuffer;
use adit_protocol::stratum::client::{Assignment, Client, Dialect, Event, Settings, ShareId};
use adit_protocol::stratum::job::{Choice, rolled_version};
use adit_protocol::stratum::server::job_of;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Miners that may be registered at once.
const MINERS_MAX: usize = 10_000;

/// How long a miner may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// Bytes between a miner and its connection.
const PIPE_BYTES: usize = 16 * 1024;

/// How long a connection may take nothing of what a miner says.
const WRITE_TIME: Duration = Duration::from_secs(30);

/// Jobs that a miner may still send shares for.
const JOBS_MAX: usize = 16;

/// Questions of one miner that may wait.
const ASKS_MAX: usize = 64;

/// How long the pool may take to answer itself.
const ANSWER_MS_MAX: u64 = 10_000;

/// How often a miner's connection looks at the time.
const TICK: Duration = Duration::from_secs(1);

/// Whatever bits of a version the pool allows may be rolled.
const VERSION_MASK: u32 = u32::MAX;

/// What a miner sends as a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebShare {
    pub job: String,
    pub extranonce2: Vec<u8>,
    pub time: u32,
    pub nonce: u32,
    /// The version that was hashed, where it was rolled.
    pub version: Option<u32>,
}

/// Why a miner's request came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebError {
    #[error("no such miner: register again")]
    Unknown,
    #[error("as many miners are registered as the pool takes")]
    Full,
    #[error("the pool lets this miner not in: {reason}")]
    Refused { reason: String },
    #[error("there is no job yet")]
    NoJob,
    #[error("{code}: {reason}")]
    Share { code: u8, reason: String },
    #[error("the share was not answered in time; it may count")]
    Unanswered,
}

/// A miner's job, and what only the pool knows of it.
#[derive(Debug, Clone)]
pub struct WebJob {
    pub assignment: Arc<Assignment>,
    pub height: Height,
}

enum Ask {
    Job(oneshot::Sender<Result<WebJob, WebError>>),
    Share(WebShare, oneshot::Sender<Result<(), WebError>>),
}

/// The miners that are registered.
pub struct WebMiners {
    front: Arc<Front>,
    entropy: Entropy,
    miners: Mutex<HashMap<String, mpsc::Sender<Ask>>>,
}

impl WebMiners {
    /// Begins with nobody.
    pub fn new(front: Arc<Front>, entropy: Entropy) -> Self {
        Self { front, entropy, miners: Mutex::default() }
    }

    /// Lets a miner in, and returns its secret and its first job.
    pub async fn register(
        self: &Arc<Self>,
        origin: IpAddr,
        user: String,
        password: String,
    ) -> Result<(String, WebJob), WebError> {
        let refused = |reason: &str| WebError::Refused { reason: reason.to_owned() };
        let place = Arc::clone(&self.front).admit(origin).ok_or_else(|| refused("too many connections, or banned"))?;
        let mut secret = vec![0; 16];
        (self.entropy)(&mut secret);
        let secret = Hex(secret).to_string();
        let (asks, asked) = mpsc::channel(ASKS_MAX);
        {
            let mut miners = self.miners();
            if miners.len() >= MINERS_MAX {
                return Err(WebError::Full);
            }
            miners.insert(secret.clone(), asks);
        }
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let front = Arc::clone(&self.front);
        tokio::spawn(async move {
            let _place = place;
            Connection::serve(front, far, origin, Vec::new()).await;
        });
        let settings = Arc::new(Settings {
            agent: concat!("http/", env!("CARGO_PKG_VERSION")).to_owned(),
            user,
            password,
            base: self.front.session.base,
            version_mask: VERSION_MASK,
            answer_ms_max: ANSWER_MS_MAX,
            silence_ms_max: u64::MAX,
        });
        let (first, answer) = oneshot::channel();
        let (registered, name) = (Arc::clone(self), secret.clone());
        tokio::spawn(async move {
            WebMiner::new(settings, near, Arc::clone(&registered.front), first).run(asked).await;
            registered.miners().remove(&name);
        });
        let assignment = answer.await.map_err(|_| refused("the connection ended"))??;
        Ok((secret, assignment))
    }

    /// Returns a miner's job.
    pub async fn job(&self, secret: &str) -> Result<WebJob, WebError> {
        self.ask(secret, Ask::Job).await
    }

    /// Takes a share.
    pub async fn share(&self, secret: &str, share: WebShare) -> Result<(), WebError> {
        self.ask(secret, |reply| Ask::Share(share, reply)).await
    }

    async fn ask<T>(
        &self,
        secret: &str,
        ask: impl FnOnce(oneshot::Sender<Result<T, WebError>>) -> Ask,
    ) -> Result<T, WebError> {
        let asks = self.miners().get(secret).cloned().ok_or(WebError::Unknown)?;
        let (reply, answer) = oneshot::channel();
        asks.send(ask(reply)).await.map_err(|_| WebError::Unknown)?;
        answer.await.map_err(|_| WebError::Unknown)?
    }

    fn miners(&self) -> MutexGuard<'_, HashMap<String, mpsc::Sender<Ask>>> {
        self.miners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One miner's end of its connection.
struct WebMiner {
    client: Client,
    stream: DuplexStream,
    front: Arc<Front>,
    out: Vec<u8>,
    /// Newest last.
    jobs: VecDeque<WebJob>,
    shares: BTreeMap<ShareId, oneshot::Sender<Result<(), WebError>>>,
    /// Who waits for the first job, until the miner was let in and has one.
    first: Option<oneshot::Sender<Result<WebJob, WebError>>>,
    refusal: String,
}

impl WebMiner {
    fn new(
        settings: Arc<Settings>,
        stream: DuplexStream,
        front: Arc<Front>,
        first: oneshot::Sender<Result<WebJob, WebError>>,
    ) -> Self {
        let mut out = Vec::new();
        let client = Client::open(settings, Dialect::Full, None, (front.clock)(), &mut out);
        let (jobs, shares, refusal) = (VecDeque::new(), BTreeMap::new(), "there is no job yet".to_owned());
        Self { client, stream, front, out, jobs, shares, first: Some(first), refusal }
    }

    /// Runs until the miner is silent for too long, or the pool ends the connection.
    async fn run(mut self, mut asked: mpsc::Receiver<Ask>) {
        let mut ending = self.front.ending.clone();
        let mut lines = LineBuffer::new(self.front.line_bytes_max.max(PIPE_BYTES));
        let mut input = [0; 4096];
        let (mut heard, mut tick) = (Instant::now(), Instant::now() + TICK);
        loop {
            let out = std::mem::take(&mut self.out);
            // Both ends write before they read: where both pipes are full, neither would go on.
            let written = tokio::time::timeout(WRITE_TIME, self.stream.write_all(&out)).await;
            if !matches!(written, Ok(Ok(()))) {
                break;
            }
            let mut events = Vec::new();
            tokio::select! {
                read = self.stream.read(&mut input) => {
                    let Ok(count @ 1..) = read else { break };
                    let mut bytes = &input[..count];
                    loop {
                        match lines.next(&mut bytes) {
                            Ok(Some(line)) => self.client.receive(line, (self.front.clock)(), &mut self.out, &mut events),
                            Ok(None) => break,
                            Err(error) => {
                                self.refusal = format!("a job is too long for a miner over HTTP: {error}");
                                return self.part();
                            }
                        }
                    }
                }
                ask = asked.recv() => {
                    let Some(ask) = ask else { break };
                    heard = Instant::now();
                    self.answer(ask);
                }
                () = tokio::time::sleep_until(tick) => {
                    tick = Instant::now() + TICK;
                    self.client.tick((self.front.clock)(), &mut self.out, &mut events);
                    if heard.elapsed() > SILENCE_MAX {
                        break;
                    }
                }
                () = ended(&mut ending) => break,
            }
            if !events.into_iter().all(|event| self.take(event)) {
                break;
            }
            self.welcome();
        }
        self.part();
    }

    /// Tells whoever waits for the first job that there is none.
    fn part(self) {
        if let Some(first) = self.first {
            // Nobody waits any more.
            let _ = first.send(Err(WebError::Refused { reason: self.refusal }));
        }
    }

    /// Tells a miner that was let in its first job.
    fn welcome(&mut self) {
        let Some(job) = self.jobs.back().filter(|_| self.client.is_authorized()) else { return };
        if let Some(first) = self.first.take() {
            let _ = first.send(Ok(job.clone()));
        }
    }

    fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Job(reply) => {
                let _ = reply.send(self.jobs.back().cloned().ok_or(WebError::NoJob));
            }
            Ask::Share(share, reply) => match self.submit(&share) {
                Ok(id) => _ = self.shares.insert(id, reply),
                Err(error) => _ = reply.send(Err(error)),
            },
        }
    }

    fn submit(&mut self, share: &WebShare) -> Result<ShareId, WebError> {
        let other = |reason: String| WebError::Share { code: 20, reason };
        let job = self.jobs.iter().map(|job| &job.assignment).find(|job| *job.notify.id == *share.job);
        let job = job.ok_or_else(|| WebError::Share { code: 21, reason: "job not found".to_owned() })?;
        let stated = job.notify.job.version;
        let version = share.version.unwrap_or(stated);
        if rolled_version(stated, job.version_mask, Some(version & job.version_mask)) != version {
            return Err(other("version bits outside of the mask".to_owned()));
        }
        let choice = Choice { version, time: share.time, nonce: share.nonce };
        let now = (self.front.clock)();
        self.client
            .submit(job, &share.extranonce2, choice, now, &mut self.out)
            .map_err(|error| other(error.to_string()))
    }

    /// Takes in what the pool said. `false`: it is over.
    fn take(&mut self, event: Event) -> bool {
        match event {
            Event::Work(assignment) => {
                // A job is forgotten long after it was sent: one that is has another behind it.
                let known = job_of(&assignment.notify.id).and_then(|id| self.front.book.job(JobId(id.0)));
                let height = known.map(|job| job.template.height);
                self.jobs.extend(height.map(|height| WebJob { assignment, height }));
                if self.jobs.len() > JOBS_MAX {
                    self.jobs.pop_front();
                }
            }
            Event::Accepted(id) => self.judged(id, Ok(())),
            Event::Refused(id, refusal) => {
                self.judged(id, Err(WebError::Share { code: refusal.code, reason: refusal.text.into_owned() }));
            }
            Event::Unanswered(id) => self.judged(id, Err(WebError::Unanswered)),
            Event::Authorized | Event::Message(_) => {}
            Event::Reconnect { .. } => return false,
            Event::Close(reason) => {
                self.refusal = reason.to_string();
                return false;
            }
        }
        true
    }

    fn judged(&mut self, id: ShareId, verdict: Result<(), WebError>) {
        if let Some(reply) = self.shares.remove(&id) {
            // The miner may have gone; its share counts all the same.
            let _ = reply.send(verdict);
        }
    }
}
