//! Accepts connections, over TLS or not, and hands their requests to the API's router.
//!
//! It bounds how many connections there are, how long a handshake and a request's head may take, how long an answer may lie untaken, and how long the
//! end may take. It knows no route.

mod places;
mod stall;

pub use places::Place;
pub use stall::Unstalled;

use crate::settings::Limits;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use places::Places;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tower::ServiceExt;

/// The most bytes that a request's head may have.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How long open requests have to finish at the end.
pub const FAREWELL: Duration = Duration::from_secs(2);

/// How long accepting pauses when the system has no more file descriptors.
const BREATHER: Duration = Duration::from_millis(50);

/// The address at the other end of a connection, given to handlers as a request extension, as its [`Place`] is: who takes the connection over keeps it.
#[derive(Debug, Clone, Copy)]
pub struct ClientAddress(pub SocketAddr);

/// What serving needs.
pub struct Server {
    pub listener: TcpListener,
    /// HTTPS where there is one, HTTP otherwise.
    pub tls: Option<Arc<ServerConfig>>,
    pub router: Router,
    pub limits: Limits,
    /// Turns true when the node ends.
    pub ending: watch::Receiver<bool>,
}

impl Server {
    /// Serves until the node ends; then lets open requests finish, for at most [`FAREWELL`].
    pub async fn run(mut self) {
        let places = Places::new(self.limits.connections, self.limits.connections_per_address);
        let acceptor = self.tls.take().map(TlsAcceptor::from);
        let mut connections = JoinSet::new();
        loop {
            let place = tokio::select! {
                () = ended(&mut self.ending) => break,
                // Connections past the limit wait in the system's queue, which is bounded too.
                place = places.free() => place,
            };
            let accepted = tokio::select! {
                () = ended(&mut self.ending) => break,
                accepted = self.listener.accept() => accepted,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((stream, address)) => {
                    let Some(place) = places.take(place, address.ip()) else {
                        tracing::debug!(%address, "connection refused: this address holds as many as it may");
                        continue;
                    };
                    drop(stream.set_nodelay(true));
                    let stream = Unstalled::new(stream, self.limits.stall_time());
                    let connection = Connection {
                        address: ClientAddress(address),
                        router: self.router.clone(),
                        head_time: self.limits.head_time(),
                        ending: self.ending.clone(),
                        place,
                    };
                    match acceptor.clone() {
                        None => drop(connections.spawn(connection.serve(stream))),
                        Some(acceptor) => drop(connections.spawn(connection.serve_tls(acceptor, stream))),
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "no connection accepted");
                    tokio::time::sleep(BREATHER).await;
                }
            }
        }
        drop(self.listener);
        let all_done = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, all_done).await.is_err() {
            tracing::info!("connections that were still open are closed");
        }
    }
}

/// Waits until the node ends.
pub async fn ended(ending: &mut watch::Receiver<bool>) {
    // A sender that is gone means the end as well.
    drop(ending.wait_for(|ending| *ending).await);
}

struct Connection {
    address: ClientAddress,
    router: Router,
    head_time: Duration,
    ending: watch::Receiver<bool>,
    place: Place,
}

impl Connection {
    async fn serve_tls(self, acceptor: TlsAcceptor, stream: Unstalled<TcpStream>) {
        match tokio::time::timeout(self.head_time, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.serve(stream).await,
            Ok(Err(error)) => tracing::debug!(address = %self.address.0, %error, "no TLS handshake"),
            Err(_) => tracing::debug!(address = %self.address.0, "TLS handshake took too long"),
        }
    }

    async fn serve(mut self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let (router, address, place) = (self.router, self.address, self.place);
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(address);
            request.extensions_mut().insert(place.clone());
            router.clone().oneshot(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.head_time)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let outcome = tokio::select! {
            outcome = connection.as_mut() => outcome,
            () = ended(&mut self.ending) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = outcome {
            tracing::debug!(address = %address.0, %error, "connection ended early");
        }
    }
}
