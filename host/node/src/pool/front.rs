//! Where miners connect: listeners, bounds on who may, and what all connections share.

use super::checking::Checking;
use super::connection::Connection;
use super::connections::Connections;
use super::jobs::Current;
use super::members::Members;
use super::metrics::PoolMetrics;
use super::shared::SharedPool;
use crate::clock::Clock;
use crate::server::{Unstalled, ended};
use adit_pool::work::extranonce::{Extranonce, Extranonces};
use adit_pool::work::farm::SpaceJob;
use adit_pool::work::job::JobBook;
use adit_pool::work::limits::{AddressShares, Bucket, Connections as OpenConnections, ShareRates, TooFast};
use adit_pool::work::retarget::DifficultyBounds;
use adit_pool::work::workers::Workers;
use adit_primitives::accounts::WorkerId;
use adit_primitives::contract::shares::ShareDifficulty;
use adit_protocol::proxy;
use adit_protocol::stratum::difficulty::target_difficulty;
use adit_protocol::stratum::server::Settings;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// How long accepting pauses when the system has no more file descriptors.
const BREATHER: Duration = Duration::from_millis(50);

/// What all connections share.
pub struct Front {
    pub session: Arc<Settings>,
    pub difficulties: Difficulties,
    pub extranonce2_bytes: u8,
    pub line_bytes_max: usize,
    /// How long a TLS handshake, or a proxy's header, may take.
    pub login_time: Duration,
    /// How long a miner may take nothing of what is sent to it.
    pub stall_time: Duration,
    /// Whether a proxy says who connects.
    pub proxied: bool,
    /// Room for connections whose proxy has yet to say that.
    pub introductions: Semaphore,
    pub extranonces: Mutex<Extranonces>,
    pub open: Mutex<OpenConnections>,
    pub rates: ShareRates,
    pub address_shares: Mutex<AddressShares>,
    pub connections: Arc<Connections>,
    /// The other nodes, in a peer-to-peer pool.
    pub shared: Option<SharedPool>,
    pub jobs: watch::Receiver<Option<Arc<Current>>>,
    /// The jobs that are known.
    pub book: Arc<JobBook>,
    /// The job that farmers have.
    pub space: watch::Receiver<Option<Arc<SpaceJob>>>,
    pub checking: Checking,
    pub members: Members,
    pub workers: Arc<Workers>,
    pub metrics: Arc<PoolMetrics>,
    pub clock: Clock,
    pub ending: watch::Receiver<bool>,
}

/// How hard shares are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difficulties {
    pub start: ShareDifficulty,
    pub least: ShareDifficulty,
    /// Besides a block's.
    pub greatest: ShareDifficulty,
}

/// A port that miners connect to.
pub struct Port {
    pub listener: TcpListener,
    /// TLS where there is one.
    pub tls: Option<Arc<ServerConfig>>,
}

impl Front {
    /// Returns within which difficulties lie now.
    pub fn bounds(&self) -> DifficultyBounds {
        let hashed = self.jobs.borrow().as_ref().map(|current| current.target);
        let target = hashed.or_else(|| self.space.borrow().as_ref().map(|job| job.template.challenge.target));
        let block = target.map_or(ShareDifficulty::MAX, target_difficulty);
        let Difficulties { least, greatest, .. } = self.difficulties;
        DifficultyBounds { least, greatest: greatest.min(block) }
    }

    /// Gives a connection its place among the extranonces: the one that it had before, where that is free.
    pub fn place(&self, wanted: Option<Extranonce>) -> Option<Extranonce> {
        let mut extranonces = self.extranonces.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.and_then(|wanted| extranonces.resume(wanted)).or_else(|| extranonces.allocate())
    }

    /// Takes back the place of a connection that has gone.
    pub fn leave(&self, extranonce: Extranonce) {
        self.extranonces.lock().unwrap_or_else(PoisonError::into_inner).release(extranonce);
    }

    /// Counts a share of a worker against its connection, itself and its address, or says whose it is one too many of. Asked before anything is computed.
    ///
    /// In this order, so that who floods under one name, or over one connection, takes nothing from others at its address.
    pub fn admit_share(&self, connection: &mut Bucket, worker: WorkerId, origin: IpAddr) -> Result<(), TooFast> {
        let now = (self.clock)();
        let refused = if !connection.take(self.rates.connection, now) {
            TooFast::Connection
        } else if !self.workers.admit(worker, now) {
            TooFast::Worker
        } else if !self.address_shares.lock().unwrap_or_else(PoisonError::into_inner).take(origin, now) {
            TooFast::Address
        } else {
            return Ok(());
        };
        self.metrics.limited.inc();
        Err(refused)
    }

    fn open(&self) -> MutexGuard<'_, OpenConnections> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes connections until the pool ends.
    pub async fn listen(self: Arc<Self>, port: Port) {
        let acceptor = port.tls.map(TlsAcceptor::from);
        let mut ending = self.ending.clone();
        let mut failing = false;
        loop {
            let accepted = tokio::select! {
                accepted = port.listener.accept() => accepted,
                () = ended(&mut ending) => return,
            };
            match accepted {
                Ok((stream, address)) => {
                    failing = false;
                    drop(tokio::spawn(Arc::clone(&self).receive(stream, address, acceptor.clone())))
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "no miner's connection is accepted");
                    }
                    tokio::time::sleep(BREATHER).await;
                }
            }
        }
    }

    /// Counts a connection, or turns it away. It is counted off when the place is dropped.
    pub fn admit(self: Arc<Self>, origin: IpAddr) -> Option<Place> {
        if !self.members.admits(origin) {
            self.metrics.turned_away("banned");
            return None;
        }
        if let Err(refusal) = self.open().open(origin) {
            tracing::debug!(%origin, %refusal, "a miner's connection is refused");
            self.metrics.turned_away("limit");
            return None;
        }
        Some(Place { front: self, origin })
    }

    /// Serves one who connects. What only the beginning needs is boxed: a task keeps room for its largest step for as long as it lives, and a
    /// miner's is nearly always idle.
    async fn receive(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, acceptor: Option<TlsAcceptor>) {
        drop(stream.set_nodelay(true));
        let stream = Unstalled::new(stream, self.stall_time);
        let introduced = if self.proxied {
            Box::pin(self.introduction(stream, peer)).await
        } else {
            Some(Introduced { stream, origin: peer.ip().to_canonical(), first: Vec::new() })
        };
        let Some(Introduced { stream, origin, first }) = introduced else { return };
        let Some(_place) = Arc::clone(&self).admit(origin) else { return };
        match acceptor {
            None => Connection::serve(self, stream, origin, first).await,
            Some(acceptor) => Box::pin(self.receive_tls(acceptor, stream, origin, first)).await,
        }
    }

    /// Lets a proxy say who is behind it; `None` where it does not.
    async fn introduction(&self, mut stream: Unstalled<TcpStream>, peer: SocketAddr) -> Option<Introduced> {
        // Who has not said where it comes from is counted nowhere else.
        let Ok(_permit) = self.introductions.try_acquire() else {
            self.metrics.turned_away("limit");
            return None;
        };
        match tokio::time::timeout(self.login_time, introduced(&mut stream)).await {
            Ok(Ok((source, first))) => {
                let origin = source.map_or(peer.ip(), |source| source.ip()).to_canonical();
                return Some(Introduced { stream, origin, first });
            }
            Ok(Err(error)) => tracing::debug!(%peer, %error, "no PROXY header"),
            Err(_) => tracing::debug!(%peer, "a PROXY header took too long"),
        }
        None
    }

    /// Serves a miner behind TLS. What a proxy's header was read with may hold the beginning of the handshake.
    async fn receive_tls(
        self: Arc<Self>,
        acceptor: TlsAcceptor,
        stream: Unstalled<TcpStream>,
        origin: IpAddr,
        first: Vec<u8>,
    ) {
        let accepting = acceptor.accept(Preceded { first, stream });
        match tokio::time::timeout(self.login_time, accepting).await {
            Ok(Ok(stream)) => Connection::serve(self, Box::new(stream), origin, Vec::new()).await,
            Ok(Err(error)) => tracing::debug!(%origin, %error, "no TLS handshake"),
            Err(_) => tracing::debug!(%origin, "a TLS handshake took too long"),
        }
    }
}

/// A connection of which it is known where it comes from.
struct Introduced {
    stream: Unstalled<TcpStream>,
    origin: IpAddr,
    /// What was read of it already.
    first: Vec<u8>,
}

/// A connection's place among those that may be open.
pub struct Place {
    front: Arc<Front>,
    origin: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.front.open().close(self.origin);
    }
}

/// Reads a proxy's header: who is behind it, and what was read beyond it.
async fn introduced<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<(Option<SocketAddr>, Vec<u8>)> {
    let mut held = Vec::new();
    let mut input = [0; 1024];
    loop {
        let count = stream.read(&mut input).await?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        held.extend_from_slice(&input[..count]);
        let parsed = proxy::parse(&held).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        if let Some(header) = parsed {
            return Ok((header.source, held.split_off(header.bytes)));
        }
    }
}

/// A stream of which some bytes were read already.
struct Preceded<S> {
    first: Vec<u8>,
    stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Preceded<S> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        into: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        if self.first.is_empty() {
            return std::pin::Pin::new(&mut self.stream).poll_read(context, into);
        }
        let count = self.first.len().min(into.remaining());
        into.put_slice(&self.first[..count]);
        self.first.drain(..count);
        std::task::Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Preceded<S> {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        std::pin::Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
