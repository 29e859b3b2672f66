//! One miner's connection: bytes to the session, what the session asks to the rest of the pool, and the answers back.
//!
//! A connection that is idle holds no buffer. One that does not read what is sent to it, or waits for its shares' answers, is not read from.

use super::checking::{Claimed, Parcel};
use super::connections::Note;
use super::front::Front;
use super::jobs::{Current, wire_job};
use super::members::Member;
use super::shared::MinerName;
use crate::api::shapes::Hex;
use crate::server::ended;
use adit_pool::work::extranonce::Extranonce;
use adit_pool::work::job::JobId;
use adit_pool::work::limits::Bucket;
use adit_pool::work::retarget::ConnectionId;
use adit_pool::work::share::Submission;
use adit_pool::work::template::Commitment;
use adit_primitives::BlockId;
use adit_primitives::contract::shares::ShareDifficulty;
use adit_protocol::line::{LineBuffer, LineTooLong};
use adit_protocol::stratum::job::{self as wire, Announcement};
use adit_protocol::stratum::message::Refusal;
use adit_protocol::stratum::server::{
    self as stratum, Effect, JOBS_MAX, Login, NonceSpace, Session, Subscription, Wish,
};
use futures_channel::mpsc;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::ready;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;
use tokio::time::Instant;

/// The longest that a session does not look at its limits of time, whatever they are.
const REST_MAX: Duration = Duration::from_secs(3600);

/// The most bytes that are read at once.
const READ_BYTES: usize = 16 * 1024;

/// More capacity than that is given back after a write, and all of it where no share waits for an answer.
const OUTPUT_KEPT: usize = 512;

/// How long a miner has to take what it is told at the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// What the owner of a banned miner is shown.
const BANNED: &str = "banned for a while: too many invalid shares";

const ONE_WORKER: Refusal = Refusal::other("in a peer-to-peer pool each worker has a connection of its own");
const LONG_NAME: Refusal = Refusal::other("the worker's name is longer than 64 bytes");

thread_local! {
    /// Where bytes are read into: they are taken before anything else runs on the thread.
    static INPUT: RefCell<Box<[u8; READ_BYTES]>> = RefCell::new(Box::new([0; READ_BYTES]));
}

/// A connection.
pub struct Connection<S> {
    front: Arc<Front>,
    stream: S,
    origin: IpAddr,
    id: ConnectionId,
    notes: mpsc::UnboundedReceiver<Note>,
    jobs: watch::Receiver<Option<Arc<Current>>>,
    session: Session,
    lines: LineBuffer,
    out: Vec<u8>,
    effects: Vec<Effect>,
    extranonce: Option<Extranonce>,
    /// Who sends shares here. Nearly always one.
    members: Vec<(Arc<str>, Member)>,
    /// What it may send.
    shares: Bucket,
    /// When those shares were handed in that wait for their answer, the oldest first.
    waiting: VecDeque<Instant>,
    /// The tip of the job that was sent last.
    tip: Option<BlockId>,
    /// What the miner wants at least.
    least: ShareDifficulty,
    /// Whether the miner has yet to be asked for its name and version: it did not say them when it subscribed.
    nameless: bool,
    /// In a peer-to-peer pool: whom its work pays, from the first login on.
    own: Option<Own>,
    /// Whether it is to connect anew, and was told so.
    leaves: bool,
}

/// The work of one miner of a peer-to-peer pool.
struct Own {
    user: Arc<str>,
    name: Arc<MinerName>,
    /// What jobs were sent with, the newest last.
    sent: VecDeque<(JobId, ShareDifficulty, Commitment)>,
}

/// Why a connection ends.
enum End {
    /// By the miner, or by what the session said.
    Here,
    Broken(io::Error),
    TooLong(LineTooLong),
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    /// Serves a connection until one side ends it. `first` was read from it already.
    ///
    /// Not an `async fn`: its future would keep room for the arguments beside the connection that they become part of.
    pub fn serve(front: Arc<Front>, stream: S, origin: IpAddr, first: Vec<u8>) -> impl Future<Output = ()> {
        let (now, start) = ((front.clock)(), front.difficulties.start);
        let (id, notes) = front.connections.open(origin, start, now);
        let mut connection = Box::new(Self {
            stream,
            origin,
            id,
            notes,
            jobs: front.jobs.clone(),
            session: Session::new(Arc::clone(&front.session), start, now),
            lines: LineBuffer::new(front.line_bytes_max),
            out: Vec::new(),
            effects: Vec::new(),
            extranonce: None,
            members: Vec::new(),
            shares: Bucket::default(),
            waiting: VecDeque::new(),
            tip: None,
            least: ShareDifficulty::MIN,
            nameless: false,
            own: None,
            leaves: false,
            front,
        });
        connection.jobs.mark_unchanged();
        async move {
            match connection.run(&first).await {
                End::Here => {}
                End::Broken(error) => tracing::debug!(%origin, %error, "a miner's connection broke"),
                End::TooLong(error) => tracing::debug!(%origin, %error, "a miner was disconnected"),
            }
            // Whatever waits is given up: a miner that has gone takes its socket and memory with it.
        }
    }

    async fn run(&mut self, first: &[u8]) -> End {
        if let Err(error) = self.take(first) {
            return End::TooLong(error);
        }
        let mut ending = self.front.ending.clone();
        // Both outlive a turn of the loop: to wait anew for each share would lock the runtime's timers and the channel's list twice.
        let (end, tick) = (ended(&mut ending), tokio::time::sleep(self.rest()));
        tokio::pin!(end, tick);
        loop {
            match self.settle().await {
                Ok(true) => {}
                Ok(false) => return End::Here,
                Err(error) => return End::Broken(error),
            }
            tokio::select! {
                read = poll_fn(|context| {
                    INPUT.with_borrow_mut(|input| {
                        let mut into = ReadBuf::new(&mut input[..]);
                        ready!(std::pin::Pin::new(&mut self.stream).poll_read(context, &mut into))?;
                        let mut bytes = into.filled();
                        if bytes.is_empty() {
                            return std::task::Poll::Ready(Ok(None));
                        }
                        let now = (self.front.clock)();
                        loop {
                            match self.lines.next(&mut bytes) {
                                Ok(Some(line)) => self.session.receive(line, now, &mut self.out, &mut self.effects),
                                Ok(None) => return std::task::Poll::Ready(Ok(Some(Ok(())))),
                                Err(error) => return std::task::Poll::Ready(Ok(Some(Err(error)))),
                            }
                        }
                    })
                }) => match read {
                    Ok(Some(Ok(()))) => {}
                    Ok(Some(Err(error))) => return End::TooLong(error),
                    Ok(None) => return End::Here,
                    Err(error) => return End::Broken(error),
                },
                note = self.notes.recv() => match note {
                    Ok(note) => if !self.hear(note) { return self.part().await },
                    Err(_) => return End::Here,
                },
                changed = self.jobs.changed() => {
                    if changed.is_err() {
                        return self.send_home().await;
                    }
                    self.send_job();
                }
                () = &mut tick => {
                    self.session.tick((self.front.clock)(), &mut self.effects);
                    tick.as_mut().reset(Instant::now() + self.rest());
                }
                () = &mut end => return self.send_home().await,
            }
        }
    }

    /// Returns how long no limit of time can end the session. What comes meanwhile makes it longer: that is seen when it is over, and most miners' timers
    /// are never touched by what they send.
    fn rest(&self) -> Duration {
        let (now, due) = ((self.front.clock)(), self.session.due());
        Duration::from_millis(due.to_millis().saturating_sub(now.to_millis())).min(REST_MAX)
    }

    /// Gives bytes to the session.
    fn take(&mut self, mut bytes: &[u8]) -> Result<(), LineTooLong> {
        let now = (self.front.clock)();
        while let Some(line) = self.lines.next(&mut bytes)? {
            self.session.receive(line, now, &mut self.out, &mut self.effects);
        }
        Ok(())
    }

    /// Does what the session asks for, then writes what is to be said. `false` where the connection is over.
    async fn settle(&mut self) -> io::Result<bool> {
        let mut shares = Vec::new();
        let mut open = true;
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Subscribe(subscription) => open &= self.subscribe(subscription),
                // Boxed: it happens once, and every turn would keep room for it.
                Effect::Authorize(login) => Box::pin(self.authorize(login)).await,
                Effect::Submit(submission) => self.submit(submission, &mut shares),
                Effect::Wish(Wish::Start(difficulty)) => self.wish(difficulty),
                Effect::Wish(Wish::Least(difficulty)) => {
                    self.least = difficulty;
                    self.wish(self.session.difficulty().max(difficulty));
                }
                Effect::Version(version) => tracing::debug!(origin = %self.origin, version, "a miner names itself"),
                Effect::Close(reason) => {
                    tracing::debug!(origin = %self.origin, %reason, "a miner is disconnected");
                    open = false;
                }
            }
        }
        if !shares.is_empty() {
            let name = self.own.as_ref().map(|own| Arc::clone(&own.name));
            let parcel = Parcel { connection: self.id, origin: self.origin, shares, name };
            self.waiting.push_back(Instant::now());
            open &= self.front.checking.hand_in(parcel).await;
        }
        self.write().await?;
        Ok(open && !self.leaves)
    }

    /// Writes what is to be said.
    async fn write(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            self.stream.write_all(&self.out).await?;
            self.stream.flush().await?;
            self.out.clear();
            if self.out.capacity() > OUTPUT_KEPT || self.waiting.is_empty() {
                self.out = Vec::new();
            }
        }
        Ok(())
    }

    /// Ends a connection because the pool ends. Miners that would give a lost pool up come back to one that says so.
    async fn send_home(&mut self) -> End {
        self.session.reconnect(None, 0, &mut self.out);
        self.part().await
    }

    /// Writes what is to be said at the end. A miner that takes nothing keeps nobody waiting.
    async fn part(&mut self) -> End {
        match tokio::time::timeout(FAREWELL, self.write()).await {
            Ok(Err(error)) => End::Broken(error),
            Ok(Ok(())) | Err(_) => End::Here,
        }
    }

    /// Takes in what the rest of the pool says, together with all that has come meanwhile. `false`: it is to go.
    fn hear(&mut self, first: Note) -> bool {
        let mut next = Some(first);
        while let Some(note) = next {
            match note {
                Note::Judged(answers) => {
                    if let Some(handed_in) = self.waiting.pop_front() {
                        self.front.metrics.shares_answered(handed_in.elapsed());
                    }
                    for (ticket, verdict) in answers {
                        self.session.judged(&ticket, verdict, &mut self.out);
                    }
                }
                Note::Difficulty(difficulty) => {
                    let difficulty = self.front.bounds().cut(difficulty.max(self.least));
                    self.set_difficulty(difficulty);
                }
                Note::Leave => {
                    self.session.show_message(BANNED, &mut self.out);
                    return false;
                }
            }
            next = self.notes.try_recv().ok();
        }
        true
    }

    fn subscribe(&mut self, subscription: Subscription) -> bool {
        let wanted = subscription.session.as_deref().and_then(unhex);
        let given = match self.extranonce {
            // Who subscribes twice keeps its place.
            Some(extranonce) => Some(extranonce),
            None => self.front.place(wanted),
        };
        let Some(extranonce) = given else {
            tracing::warn!("a miner is turned away: every extranonce of this front-end is in use");
            return false;
        };
        self.extranonce = Some(extranonce);
        self.nameless = subscription.agent.is_empty();
        let job = self.jobs.borrow().clone();
        let space = self.space(extranonce, job.as_deref());
        self.session.subscribed(subscription, &Hex(extranonce.as_bytes().to_vec()).to_string(), space, &mut self.out);
        self.tip = None;
        self.send_job();
        true
    }

    async fn authorize(&mut self, login: Login) {
        let entered = self.front.members.enter(self.origin, &login.user).await;
        let entered = entered.and_then(|member| self.commit_to(&login.user, &member).map(|()| member));
        if let Ok(member) = &entered {
            let user = Arc::clone(&login.user);
            self.front.connections.name(self.id, &user);
            match self.members.iter_mut().find(|(known, _)| *known == user) {
                Some(known) => known.1 = member.clone(),
                None => self.members.push((user, member.clone())),
            }
        }
        let (wish, is_in) = (login.difficulty.filter(|_| entered.is_ok()), entered.is_ok());
        self.session.authorized(login, entered.map(|_| ()), &mut self.out);
        if is_in && std::mem::take(&mut self.nameless) {
            self.session.ask_version(&mut self.out);
        }
        if let Some(difficulty) = wish {
            self.wish(difficulty);
        }
        // Before somebody was let in, nobody knew whom its work pays.
        if is_in && self.own.as_ref().is_some_and(|own| own.sent.is_empty()) {
            self.send_job();
        }
    }

    /// Ties the connection's work to who logs in, in a peer-to-peer pool: its coinbases say so.
    fn commit_to(&mut self, user: &Arc<str>, member: &Member) -> Result<(), Refusal> {
        match &self.own {
            _ if self.front.shared.is_none() => Ok(()),
            Some(own) if own.user == *user => Ok(()),
            Some(_) => Err(ONE_WORKER),
            None if !member.name.fits() => Err(LONG_NAME),
            None => {
                let (user, name) = (Arc::clone(user), Arc::clone(&member.name));
                self.own = Some(Own { user, name, sent: VecDeque::new() });
                Ok(())
            }
        }
    }

    fn submit(&mut self, share: stratum::Submission, shares: &mut Vec<Claimed>) {
        // The session lets nobody submit who was not let in.
        let Some((_, member)) = self.members.iter().find(|(user, _)| *user == share.worker) else { return };
        if let Err(too_fast) = self.front.admit_share(&mut self.shares, member.worker, self.origin) {
            let refusal = Refusal::other(too_fast.text());
            return self.session.judged(&share.ticket, Err(refusal), &mut self.out);
        }
        let part = |part: stratum::Extranonce| Extranonce::new(part.as_bytes()).unwrap_or_default();
        let submission = Submission {
            account: member.account,
            worker: member.worker,
            job: JobId(share.job.0),
            difficulty: share.difficulty,
            extranonce1: part(share.extranonce1),
            extranonce2: part(share.extranonce2),
            time: share.time,
            nonce: share.nonce,
            version_bits: share.version_bits,
            version_mask: share.version_mask,
            commitment: self.own.as_ref().and_then(|own| own.committed(JobId(share.job.0), share.difficulty)),
        };
        shares.push(Claimed { ticket: share.ticket, user: share.worker, submission });
    }

    /// Grants a difficulty that the miner asks for, within bounds.
    fn wish(&mut self, difficulty: ShareDifficulty) {
        let granted = self.front.bounds().cut(difficulty);
        self.front.connections.set_difficulty(self.id, granted);
        self.set_difficulty(granted);
    }

    /// A difficulty holds from the next job on: so there is one at once.
    fn set_difficulty(&mut self, difficulty: ShareDifficulty) {
        if difficulty != self.session.difficulty() {
            self.session.set_difficulty(difficulty);
            if self.session.is_subscribed() {
                self.send_job();
            }
        }
    }

    /// Returns what a miner may fill in: of a job's extranonce what the pool's part leaves. Coinbases of different nodes may have room for more or less.
    fn space(&self, extranonce: Extranonce, job: Option<&Current>) -> NonceSpace {
        let own = |job: &Current| {
            let bytes = job.job.template.coinbase.extranonce_bytes.checked_sub(extranonce.as_bytes().len())?;
            u8::try_from(bytes).ok()
        };
        NonceSpace {
            extranonce1: stratum::Extranonce::from_bytes(extranonce.as_bytes())
                .expect("both parts have at most eight bytes"),
            extranonce2_bytes: job.and_then(own).unwrap_or(self.front.extranonce2_bytes),
        }
    }

    fn send_job(&mut self) {
        let Some(current) = self.jobs.borrow_and_update().clone() else { return };
        let Some(extranonce) = self.extranonce.filter(|_| self.session.is_subscribed()) else { return };
        if !self.session.set_extranonce(self.space(extranonce, Some(&current))) {
            // It does not know how to move: it gets the new size when it subscribes anew.
            self.leaves = true;
            return self.session.reconnect(None, 0, &mut self.out);
        }
        let clean = self.tip != Some(current.tip);
        let Some(shared) = self.front.shared.as_ref() else {
            self.tip = Some(current.tip);
            self.front.metrics.jobs_sent.inc();
            return self.session.job(&current.announcement, clean, &mut self.out);
        };
        // A job that waited could go out with another difficulty than its coinbase says.
        let Some(own) = self.own.as_mut().filter(|_| self.session.takes_jobs()) else { return };
        let difficulty = self.session.difficulty();
        let Some(commitment) = shared.commitment(&current.job, &own.name, difficulty) else { return };
        if own.sent.len() == JOBS_MAX {
            own.sent.pop_front();
        }
        own.sent.push_back((current.job.id, difficulty, commitment));
        self.tip = Some(current.tip);
        self.front.metrics.jobs_sent.inc();
        let announcement = Announcement::new(wire::JobId(current.job.id.0), &wire_job(&current.job, Some(&commitment)))
            .rolling(current.job.template.version_mask);
        self.session.job(&announcement, clean, &mut self.out);
    }
}

impl Own {
    /// Returns what a job was sent with.
    fn committed(&self, job: JobId, difficulty: ShareDifficulty) -> Option<Commitment> {
        let is_it = |sent: &&(JobId, ShareDifficulty, Commitment)| (sent.0, sent.1) == (job, difficulty);
        self.sent.iter().rev().find(is_it).map(|sent| sent.2)
    }
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        self.front.connections.close(self.id);
        if let Some(extranonce) = self.extranonce {
            self.front.leave(extranonce);
        }
    }
}

fn unhex(text: &str) -> Option<Extranonce> {
    Hex::parse(text).and_then(|hex| Extranonce::new(&hex.0))
}
