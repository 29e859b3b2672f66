//! Work from Stratum V1 pools: Adit's own or any other, one or several.
//!
//! One of them has the turn: by default the first of the list that gives work. One that fails gives its turn to the next at once; only a whole round without
//! success is followed by a wait, which grows and is never the same for two miners. Those that might be preferred are tried now and then, with a whole login,
//! and take over once they have been well for a while; until then, and until they give work, the other is mined for. A pool may send its miners to another
//! port, to names below its own, and to other pools of the list; it is followed nowhere else.
//!
//! Reading order: [`Pools`], `place` for where pools are, `link` for one connection, `inputs` for what of a job is searched.

mod inputs;
mod link;
mod place;

pub use link::LinkFailure;
pub use place::Place;

use super::feed::{Fed, Template, Work, Worth};
use crate::client;
use crate::clock::{Clock, Entropy, random_u32, random_u64};
use crate::retry;
use crate::settings::failover::{FailoverSettings, UpstreamPlace};
use crate::settings::pool::{DifficultyBase, JoinSettings};
use crate::tls::{self, Authorities, TlsError};
use crate::turns::Turns;
use adit_miner::Verdict;
use adit_protocol::stratum::client::{Assignment, Dialect, Settings};
use adit_protocol::stratum::difficulty::Base;
use adit_protocol::stratum::job::Choice;
use inputs::{Input, Inputs};
use link::{Link, LinkParts, Memory, News, Share};
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_rustls::rustls::ClientConfig;

/// The bits of a version that miners roll (BIP323). A pool grants some of them, BIP320's as a rule, or none.
const VERSION_MASK: u32 = 0x1fff_ffe0;

/// How long a pool may take to answer, and to say nothing at all, in milliseconds: pools send a job about every minute.
const ANSWER_MS_MAX: u64 = 30_000;
const SILENCE_MS_MAX: u64 = 180_000;

/// How long a pool has from the first packet to the first job.
const OPENING_MAX: Duration = Duration::from_secs(30);

/// How often a pool may send a miner on before it gave work.
const MOVES_MAX: u32 = 3;

/// The longest wait that a pool may ask for before its miners connect again.
const MOVE_WAIT_MAX: Duration = Duration::from_secs(60);

/// How long a pool that failed is left alone at most.
const LEFT_ALONE_MAX: Duration = Duration::from_secs(60);

/// How often pools send jobs, before it was measured, and how late one may be in any case: they owe nobody regularity.
const JOB_INTERVAL: Duration = Duration::from_secs(60);
const JOB_DEVIATION_MIN: Duration = Duration::from_secs(15);

/// What pools are joined with.
pub struct PoolsParts {
    pub join: JoinSettings,
    /// Who is paid where `join` names nobody.
    pub address: String,
    /// How Stratum counts difficulty for the chain's algorithm.
    pub base: DifficultyBase,
    /// Which of them is mined for.
    pub failover: FailoverSettings,
    pub clock: Clock,
    pub entropy: Entropy,
}

/// Why no pool can be joined.
#[derive(Debug, thiserror::Error)]
pub enum PoolsError {
    #[error("no pool is named")]
    NoPools,
    #[error("{url:?} is not the address of a pool: stratum+tcp://host:port or stratum+ssl://host:port")]
    Url { url: String },
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The pools that a miner works for. What is cloned has the same turns.
#[derive(Clone)]
pub struct Pools(Arc<Joinable>);

/// What is joined, and how.
struct Joinable {
    pools: Vec<Pool>,
    turns: Turns,
    settings: Arc<Settings>,
    tls: Arc<ClientConfig>,
    /// The next extranonce2: never the same twice, over all jobs and connections.
    counter: AtomicU64,
    clock: Clock,
    entropy: Entropy,
}

/// A pool of the list.
struct Pool {
    place: Place,
    memory: Arc<Mutex<Memory>>,
}

/// What a share is made of, besides its proof.
#[derive(Debug, Clone)]
pub struct PoolWork {
    /// The pool's address, for people.
    pub pool: Arc<str>,
    job: Arc<Assignment>,
    extranonce2: Box<[u8]>,
    time: u32,
    shares: mpsc::Sender<Share>,
}

/// The feed's end of the pools: who follows them, and where it tells of work.
pub(super) struct Follower<'a> {
    pub pools: &'a Pools,
    pub sender: &'a mpsc::Sender<Fed>,
    pub refresh: &'a Notify,
}

/// A connection that gives work, with the first of it.
struct Joined {
    number: usize,
    name: Arc<str>,
    place: Place,
    link: Link,
    first: Arc<Assignment>,
}

/// Nobody listens any more.
pub(super) struct Unheard;

/// A connection that is being made, to take the place of the one in use. `None` where it fails.
type Replacement<'a> = Pin<Box<dyn Future<Output = Option<Joined>> + Send + 'a>>;

impl Pools {
    /// Reads the list; nothing is connected yet. `ca_file` names the authorities to trust instead of the system's.
    pub fn new(parts: PoolsParts, ca_file: Option<&Path>) -> Result<Self, PoolsError> {
        let PoolsParts { join, address, base, failover, clock, entropy } = parts;
        let memory = || Arc::new(Mutex::new(Memory { dialect: Dialect::Full, session: None }));
        let pool = |place: &UpstreamPlace| {
            let place = Place::parse(place.url()).ok_or_else(|| PoolsError::Url { url: place.url().to_owned() })?;
            Ok::<_, PoolsError>(Pool { place, memory: memory() })
        };
        let pools: Vec<_> = join.pools.iter().map(pool).collect::<Result<_, _>>()?;
        if pools.is_empty() {
            return Err(PoolsError::NoPools);
        }
        let encrypted = pools.iter().any(|pool| pool.place.encrypted);
        let authorities = match (encrypted, ca_file) {
            (_, Some(file)) => Authorities::File(file),
            (true, None) => Authorities::System,
            (false, None) => Authorities::Nobody,
        };
        let mut rules = failover.rules(LEFT_ALONE_MAX);
        (rules.heartbeat.interval, rules.heartbeat.deviation_min) = (JOB_INTERVAL, JOB_DEVIATION_MIN);
        let members = join.pools.iter().map(UpstreamPlace::member).collect();
        let settings = Settings {
            agent: concat!("adit/", env!("CARGO_PKG_VERSION")).to_owned(),
            user: format!("{}.{}", join.user.unwrap_or(address), join.worker),
            password: join.password,
            base: base.into(),
            version_mask: VERSION_MASK,
            answer_ms_max: ANSWER_MS_MAX,
            silence_ms_max: SILENCE_MS_MAX,
        };
        Ok(Self(Arc::new(Joinable {
            pools,
            turns: Turns::new("pool", rules, members, random_u64(&entropy)),
            settings: Arc::new(settings),
            tls: Arc::new(tls::client(authorities)?),
            counter: AtomicU64::new(random_u64(&entropy)),
            clock,
            entropy,
        })))
    }

    /// Waits until another pool than this one has the turn, and has the others tried when that is due.
    async fn leaves(&self, number: usize) {
        let attempt = |tried| {
            let pools = Arc::clone(&self.0);
            tokio::spawn(async move { drop(pools.join(tried).await) });
        };
        self.0.turns.leaves(number, attempt).await;
    }
}

impl Joinable {
    /// Logs in at a pool of the list, and notes whether it gives work.
    async fn join(&self, number: usize) -> Option<Joined> {
        let question = self.turns.ask(number);
        let place = &self.pools[number].place;
        match self.join_at(number, place).await {
            Ok(joined) => {
                question.answered();
                Some(joined)
            }
            Err(failure) => {
                tracing::warn!(pool = %place, %failure, "a pool gives no work");
                question.failed();
                None
            }
        }
    }

    /// Logs in at a pool until it gives work, in the other dialect as well where it hangs up at the first.
    async fn join_at(&self, number: usize, place: &Place) -> Result<Joined, LinkFailure> {
        let dialect = || self.pools[number].memory.lock().unwrap_or_else(PoisonError::into_inner).dialect;
        let before = dialect();
        match self.join_once(number, place.clone()).await {
            Err(LinkFailure::Closed | LinkFailure::Broken(_)) if dialect() != before => {
                self.join_once(number, place.clone()).await
            }
            joined => joined,
        }
    }

    async fn join_once(&self, number: usize, mut place: Place) -> Result<Joined, LinkFailure> {
        let limit = OPENING_MAX;
        for _ in 0..=MOVES_MAX {
            let opening = async {
                let tls = place.encrypted.then_some(&self.tls);
                let stream = client::connect(&place.host, place.port, tls).await?;
                let mut link = Link::start(LinkParts {
                    stream,
                    place: place.to_string(),
                    settings: Arc::clone(&self.settings),
                    memory: Arc::clone(&self.pools[number].memory),
                    clock: Arc::clone(&self.clock),
                });
                loop {
                    match link.next().await {
                        News::Steady => {}
                        news => return Ok::<_, LinkFailure>((link, news)),
                    }
                }
            };
            let (link, news) =
                tokio::time::timeout(limit, opening).await.map_err(|_| LinkFailure::NoWork { limit })??;
            match news {
                News::Work(first) => {
                    let name = place.to_string().into();
                    return Ok(Joined { number, name, place, link, first });
                }
                News::Move { host, port, .. } => {
                    place = self.sent_to(number, host.as_deref(), port).ok_or_else(|| elsewhere(host))?;
                }
                News::Over(failure) => return Err(failure),
                News::Steady => {}
            }
        }
        Err(LinkFailure::Moves)
    }

    /// Returns where a pool may send us: to its own host, to that of another pool of the list, or to a name below one of them.
    fn sent_to(&self, number: usize, host: Option<&str>, port: Option<u16>) -> Option<Place> {
        let from = &self.pools[number].place;
        let listed = || self.pools.iter().find_map(|pool| pool.place.sent_to(host, port));
        let place = from.sent_to(host, port).or_else(listed)?;
        Some(Place { encrypted: from.encrypted, ..place })
    }

    /// Joins whoever has the turn now. `None` where that gives no work, or is `number` again.
    async fn successor(&self, number: usize) -> Option<Joined> {
        let next = self.turns.next().await;
        if next == number { None } else { self.join(next).await }
    }

    /// Connects again as a pool asked, after the wait that it asked for.
    async fn moved(&self, number: usize, place: Place, wait: Duration) -> Option<Joined> {
        tokio::time::sleep(wait.min(MOVE_WAIT_MAX)).await;
        let joined = self.join_at(number, &place).await;
        joined
            .inspect_err(|failure| tracing::warn!(pool = %place, %failure, "the pool gives no work where it sent us"))
            .ok()
    }
}

impl Follower<'_> {
    /// Follows the pools for as long as someone listens.
    pub async fn run(&self) -> Unheard {
        let pools = &self.pools.0;
        let (mut next, mut lost) = (None, 0_usize);
        loop {
            let joined = match next.take() {
                Some(joined) => joined,
                None => self.first().await,
            };
            let number = joined.number;
            tracing::info!(pool = %joined.name, "mining for this pool");
            match self.follow(joined).await {
                Ok(Ended::Replaced(joined)) => next = Some(joined),
                Ok(Ended::Failed { steady }) => {
                    pools.turns.ask(number).failed();
                    if self.sender.send(Fed::Stale).await.is_err() {
                        return Unheard;
                    }
                    // Pools that hang up before they took a share are not called without a pause.
                    lost = if steady { 0 } else { lost + 1 };
                    if let Some(round) = lost.checked_sub(pools.pools.len()) {
                        let round = u32::try_from(round).unwrap_or(u32::MAX);
                        tokio::time::sleep(retry::backoff(round, random_u32(&pools.entropy))).await;
                    }
                }
                Err(unheard) => return unheard,
            }
        }
    }

    /// Joins whoever has the turn, until one gives work.
    async fn first(&self) -> Joined {
        let pools = &self.pools.0;
        loop {
            let number = pools.turns.next().await;
            if let Some(joined) = pools.join(number).await {
                return joined;
            }
        }
    }

    /// Hands on what one pool gives, until it fails or another connection takes its place.
    async fn follow(&self, joined: Joined) -> Result<Ended, Unheard> {
        let Joined { number, name, place, mut link, first } = joined;
        let pools = &self.pools.0;
        // What is to take the connection's place, while it is being made.
        let mut replacement: Option<Replacement<'_>> = None;
        let mut inputs = Inputs::new(first);
        let mut steady = false;
        self.hand_out(&mut inputs, &name, &link).await?;
        loop {
            let is_stable = replacement.is_none();
            tokio::select! {
                news = link.next() => match news {
                    News::Work(job) => {
                        pools.turns.heard(number);
                        inputs = Inputs::new(job);
                        self.hand_out(&mut inputs, &name, &link).await?;
                    }
                    News::Steady => steady = true,
                    News::Move { host, port, wait } => match pools.sent_to(number, host.as_deref(), port) {
                        Some(to) => {
                            tracing::info!(pool = %name, %to, ?wait, "the pool sends its miners on");
                            replacement = Some(Box::pin(pools.moved(number, to, wait)));
                        }
                        None => tracing::warn!(pool = %name, failure = %elsewhere(host), "not followed"),
                    },
                    News::Over(failure) => {
                        tracing::warn!(pool = %place, %failure, "the pool is lost");
                        return Ok(Ended::Failed { steady });
                    }
                },
                next = made(&mut replacement) => match next {
                    Some(joined) => return Ok(Ended::Replaced(joined)),
                    None => replacement = None,
                },
                () = self.pools.leaves(number), if is_stable => {
                    replacement = Some(Box::pin(pools.successor(number)));
                }
                () = self.refresh.notified() => self.hand_out(&mut inputs, &name, &link).await?,
            }
        }
    }

    async fn hand_out(&self, inputs: &mut Inputs, name: &Arc<str>, link: &Link) -> Result<(), Unheard> {
        let fed = match inputs.next(self.pools.0.counter.fetch_add(1, Ordering::Relaxed)) {
            Some(Input { extranonce2, time, pow }) => {
                let job = Arc::clone(inputs.job());
                let target = job.target;
                Fed::Work {
                    took: None,
                    work: Work {
                        height: None,
                        difficulty: target.work().to_string(),
                        pow,
                        target,
                        worth: Worth::Share,
                        space: None,
                        template: Template::Pool(PoolWork {
                            pool: Arc::clone(name),
                            job,
                            extranonce2,
                            time,
                            shares: link.shares(),
                        }),
                    },
                }
            }
            // Until the pool sends another job there is nothing left that it would take.
            None => Fed::Stale,
        };
        self.sender.send(fed).await.map_err(|_| Unheard)
    }
}

/// Waits for a connection that is being made; for ever where none is.
async fn made(replacement: &mut Option<Replacement<'_>>) -> Option<Joined> {
    match replacement {
        Some(replacement) => replacement.await,
        None => std::future::pending().await,
    }
}

/// How following a connection ended.
enum Ended {
    Replaced(Joined),
    /// `steady` tells whether the pool had taken a share.
    Failed {
        steady: bool,
    },
}

impl PoolWork {
    /// Submits a share, and waits for the pool's word. `rolled` is the version as it was hashed.
    pub async fn submit(&self, nonce: u64, rolled: Option<u32>) -> Verdict {
        let Ok(nonce) = u32::try_from(nonce) else { return Verdict::Rejected };
        let version = rolled.unwrap_or(self.job.notify.job.version);
        let (answer, verdict) = oneshot::channel();
        let share = Share {
            job: Arc::clone(&self.job),
            extranonce2: self.extranonce2.clone(),
            choice: Choice { version, time: self.time, nonce },
            answer,
        };
        if self.shares.send(share).await.is_err() {
            tracing::warn!(pool = %self.pool, "a share is lost: its connection has ended");
            return Verdict::Lost;
        }
        verdict.await.unwrap_or(Verdict::Lost)
    }
}

impl From<DifficultyBase> for Base {
    fn from(base: DifficultyBase) -> Self {
        match base {
            DifficultyBase::Sha256 => Self::Sha256,
            DifficultyBase::Scrypt => Self::Scrypt,
        }
    }
}

fn elsewhere(host: Option<Box<str>>) -> LinkFailure {
    LinkFailure::Elsewhere { host: host.map(String::from).unwrap_or_default() }
}
