//! One connection with a pool: a task that owns the socket and the protocol's machine.
//!
//! What the pool says goes out as [`News`], shares come in with a way for their answer. A link that is given up goes on for a while without its owner, because
//! shares on their way are money.

use crate::client::Stream;
use crate::clock::Clock;
use crate::retry::Failure;
use adit_miner::Verdict;
use adit_protocol::line::{LineBuffer, LineTooLong};
use adit_protocol::stratum::client::{Assignment, Client, CloseReason, Dialect, Event, Settings, ShareId};
use adit_protocol::stratum::job::Choice;
use adit_protocol::stratum::message::Refusal;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// How much of what the pool said may wait to be heard.
const NEWS_MAX: usize = 16;

/// How many shares may wait to be written.
const SHARES_MAX: usize = 64;

/// The most bytes that are read at once.
const READ_BYTES: usize = 16 * 1024;

/// The longest line that a pool may send: a job with a coinbase that pays hundreds.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// How often the protocol's time limits are looked at.
const TICK: Duration = Duration::from_secs(1);

/// How long a pool may take nothing of what is sent to it.
const STALL: Duration = Duration::from_secs(10);

/// For how long a link that was given up still hands in shares and waits for answers.
const DRAIN: Duration = Duration::from_secs(5);

/// A connection that gives work.
#[derive(Debug)]
pub struct Link {
    news: mpsc::Receiver<News>,
    shares: mpsc::Sender<Share>,
}

/// What a pool said that its follower acts on.
#[derive(Debug)]
pub enum News {
    /// Mine this from now on.
    Work(Arc<Assignment>),
    /// The pool took a first share: it is in order.
    Steady,
    /// Connect again, elsewhere if it names a place.
    Move { host: Option<Box<str>>, port: Option<u16>, wait: Duration },
    /// There is nothing more.
    Over(LinkFailure),
}

/// A share on its way.
#[derive(Debug)]
pub struct Share {
    pub job: Arc<Assignment>,
    pub extranonce2: Box<[u8]>,
    pub choice: Choice,
    /// Where the pool's word goes. Dropped where none comes.
    pub answer: oneshot::Sender<Verdict>,
}

/// What is remembered of a pool from one connection to the next.
#[derive(Debug, Clone)]
pub struct Memory {
    pub dialect: Dialect,
    pub session: Option<String>,
}

/// Why a pool gives no work.
#[derive(Debug, thiserror::Error)]
pub enum LinkFailure {
    #[error(transparent)]
    Connect(#[from] Failure),
    #[error(transparent)]
    Close(#[from] CloseReason),
    #[error(transparent)]
    Line(#[from] LineTooLong),
    #[error("the pool closed the connection")]
    Closed,
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("the pool took nothing of what was sent to it for {limit:?}")]
    Stalled { limit: Duration },
    #[error("the pool gave no work within {limit:?}")]
    NoWork { limit: Duration },
    #[error("the pool sends its miners on and on")]
    Moves,
    #[error("the pool sends its miners to {host:?}, which is not below its own name")]
    Elsewhere { host: String },
}

/// What a link is made of.
pub struct LinkParts {
    pub stream: Box<dyn Stream>,
    /// Where the stream leads to, for people.
    pub place: String,
    pub settings: Arc<Settings>,
    /// Read at the start, written at the end.
    pub memory: Arc<Mutex<Memory>>,
    pub clock: Clock,
}

impl Link {
    /// Begins a conversation.
    pub fn start(parts: LinkParts) -> Self {
        let LinkParts { stream, place, settings, memory, clock } = parts;
        let (news_sender, news) = mpsc::channel(NEWS_MAX);
        let (shares, share_receiver) = mpsc::channel(SHARES_MAX);
        let before = memory.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut out = Vec::new();
        let client = Client::open(settings, before.dialect, before.session.as_deref(), clock(), &mut out);
        let task = Task {
            stream,
            place,
            client,
            lines: LineBuffer::new(LINE_BYTES_MAX),
            out,
            events: Vec::new(),
            news: news_sender,
            shares: share_receiver,
            waiting: BTreeMap::new(),
            early: None,
            steady: false,
            clock,
        };
        tokio::spawn(task.run(memory));
        Self { news, shares }
    }

    /// Waits for what the pool says next.
    pub async fn next(&mut self) -> News {
        self.news.recv().await.unwrap_or(News::Over(LinkFailure::Closed))
    }

    /// Returns the way for shares.
    pub fn shares(&self) -> mpsc::Sender<Share> {
        self.shares.clone()
    }
}

struct Task {
    stream: Box<dyn Stream>,
    place: String,
    client: Client,
    lines: LineBuffer,
    out: Vec<u8>,
    events: Vec<Event>,
    news: mpsc::Sender<News>,
    shares: mpsc::Receiver<Share>,
    waiting: BTreeMap<ShareId, oneshot::Sender<Verdict>>,
    /// Work that came before the pool let the worker in: its shares could not be handed in.
    early: Option<Arc<Assignment>>,
    steady: bool,
    clock: Clock,
}

impl Task {
    async fn run(mut self, memory: Arc<Mutex<Memory>>) {
        let failure = self.live().await.err();
        let after = Memory { dialect: self.client.next_dialect(), session: self.client.session().map(str::to_owned) };
        *memory.lock().unwrap_or_else(PoisonError::into_inner) = after;
        if !self.waiting.is_empty() {
            tracing::warn!(
                pool = self.place,
                shares = self.waiting.len(),
                "the pool's answers are lost with the connection"
            );
        }
        if let Some(failure) = failure {
            drop(self.news.send(News::Over(failure)).await);
        }
    }

    /// Lives until the connection ends, or until its owner has gone and nothing is on its way.
    async fn live(&mut self) -> Result<(), LinkFailure> {
        let mut input = vec![0; READ_BYTES];
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let (mut given_up, mut all_in) = (None, false);
        loop {
            self.settle().await?;
            if all_in && self.waiting.is_empty() {
                return Ok(());
            }
            tokio::select! {
                read = self.stream.read(&mut input) => match read? {
                    0 => return Err(LinkFailure::Closed),
                    length => self.take(&input[..length])?,
                },
                share = self.shares.recv(), if !all_in => match share {
                    Some(share) => self.submit(share),
                    // Whoever could have sent one has gone, the link's owner as well.
                    None => all_in = true,
                },
                _ = tick.tick() => self.client.tick((self.clock)(), &mut self.out, &mut self.events),
                () = self.news.closed(), if given_up.is_none() => given_up = Some(Instant::now() + DRAIN),
                () = tokio::time::sleep_until(given_up.unwrap_or_else(Instant::now)), if given_up.is_some() => return Ok(()),
            }
        }
    }

    fn take(&mut self, mut bytes: &[u8]) -> Result<(), LinkFailure> {
        let now = (self.clock)();
        while let Some(line) = self.lines.next(&mut bytes)? {
            self.client.receive(line, now, &mut self.out, &mut self.events);
        }
        Ok(())
    }

    fn submit(&mut self, share: Share) {
        let Share { job, extranonce2, choice, answer } = share;
        match self.client.submit(&job, &extranonce2, choice, (self.clock)(), &mut self.out) {
            Ok(id) => drop(self.waiting.insert(id, answer)),
            Err(error) => tracing::warn!(pool = self.place, %error, "a share is not sent"),
        }
    }

    /// Sends what is to be sent, and passes on what happened.
    async fn settle(&mut self) -> Result<(), LinkFailure> {
        if !self.out.is_empty() {
            let sent = async {
                self.stream.write_all(&self.out).await?;
                self.stream.flush().await
            };
            tokio::time::timeout(STALL, sent).await.map_err(|_| LinkFailure::Stalled { limit: STALL })??;
            self.out.clear();
        }
        for event in std::mem::take(&mut self.events) {
            if let Some(news) = self.heard(event)? {
                // Without a listener the link is being given up.
                drop(self.news.send(news).await);
            }
        }
        Ok(())
    }

    fn heard(&mut self, event: Event) -> Result<Option<News>, LinkFailure> {
        match event {
            Event::Authorized => {
                tracing::info!(pool = self.place, "the pool let the worker in");
                return Ok(self.early.take().map(News::Work));
            }
            Event::Work(work) if self.client.is_authorized() => return Ok(Some(News::Work(work))),
            Event::Work(work) => self.early = Some(work),
            Event::Accepted(share) => {
                self.answer(share, Verdict::Accepted);
                return Ok((!std::mem::replace(&mut self.steady, true)).then_some(News::Steady));
            }
            Event::Refused(share, refusal) => {
                tracing::warn!(
                    pool = self.place,
                    code = refusal.code,
                    reason = &*refusal.text,
                    "the pool refused a share"
                );
                self.answer(share, verdict(&refusal));
            }
            Event::Unanswered(share) => {
                tracing::warn!(pool = self.place, "the pool never answered a share");
                self.answer(share, Verdict::Lost);
            }
            Event::Reconnect { host, port, wait_s } => {
                return Ok(Some(News::Move { host, port, wait: Duration::from_secs(wait_s.into()) }));
            }
            Event::Message(text) => tracing::info!(pool = self.place, text = &*text, "the pool says"),
            Event::Close(reason) => return Err(reason.into()),
        }
        Ok(None)
    }

    fn answer(&mut self, share: ShareId, verdict: Verdict) {
        if let Some(answer) = self.waiting.remove(&share) {
            // Whoever submitted it may have ended.
            let _ = answer.send(verdict);
        }
    }
}

/// Tells what is late from what is wrong: pools with codes of their own still say it in words.
fn verdict(refusal: &Refusal) -> Verdict {
    let text = refusal.text.to_ascii_lowercase();
    let stale = refusal.code == Refusal::STALE.code || text.contains("stale") || text.contains("job not found");
    if stale { Verdict::Stale } else { Verdict::Rejected }
}
