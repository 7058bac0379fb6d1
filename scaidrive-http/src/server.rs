//! The hyper stack: accepts connections, serves HTTP/1.1 and HTTP/2 on them, and stops gracefully.

use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::Version;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
#[cfg(target_os = "linux")]
use socket2::{SockFilter, SockRef};
use tokio::net::{TcpListener, TcpStream};
use tower_http::cors::{Any, CorsLayer};

use crate::app::App;
use crate::dispatch::{self, Origin};
use crate::reply::Body;
use crate::routes::Audience;
use crate::socket::{Presence, Socket};

/// How long a client may take over the head of a request.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);

/// How long requests under way may take after the stop.
const LAST_REQUESTS: Duration = Duration::from_secs(30);

/// How long connections may take that others have begun to open when the listener closes.
const LAST_HANDSHAKES: Duration = Duration::from_millis(250);

/// How long connections that were opened last may take to bring their request, of those that had notice.
const LAST_ARRIVALS: Duration = Duration::from_secs(1);

/// Bytes kept for the head of a request; the limit that is told lies below, see `dispatch`.
const HEAD_BUFFER: usize = 64 << 10;

/// A listener that serves one audience: everybody, or the operators.
pub(crate) struct Server {
    listener: TcpListener,
    door: Door,
}

/// What becomes of connections.
struct Door {
    app: App,
    audience: Audience,
    protocol: auto::Builder<TokioExecutor>,
    graceful: GracefulShutdown,
}

impl Server {
    /// Binds an address.
    pub(crate) async fn bind(app: App, address: SocketAddr, audience: Audience) -> std::io::Result<Self> {
        let door = Door { app, audience, protocol: protocol(), graceful: GracefulShutdown::new() };
        Ok(Self { listener: TcpListener::bind(address).await?, door })
    }

    /// Returns the address, with the port that was chosen.
    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` comes, then ends what is under way.
    pub(crate) async fn run(self, stop: impl Future<Output = ()>) {
        let Self { listener, door } = self;
        tokio::select! {
            () = door.accept(&listener) => {}
            () = stop => {}
        }
        // Where nobody waits for a drain, nobody waits for these.
        let patience = |longest: Duration| door.app.config.drain_delay.min(longest);
        if let Err(error) = refuse_more(&listener) {
            tracing::warn!(%error, "connections that come now will be cut off");
        }
        drop(tokio::time::timeout(patience(LAST_HANDSHAKES), door.accept(&listener)).await);
        if let Err(error) = door.close(listener) {
            tracing::warn!(%error, "the last connections could not be accepted");
        }
        tokio::time::sleep(patience(LAST_ARRIVALS)).await;
        if tokio::time::timeout(LAST_REQUESTS, door.graceful.shutdown()).await.is_err() {
            tracing::warn!("requests were still under way after 30 s and were cut off");
        }
    }
}

impl Door {
    /// Accepts connections for ever.
    async fn accept(&self, listener: &TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.serve(stream, peer),
                Err(error) => {
                    // Mostly too many open files: some will be closed.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Stops listening. Who is connected by now, a balancer with a request in hand, is not turned away for it: the
    /// system itself is asked who that is, because the runtime may not have been told yet.
    fn close(&self, listener: TcpListener) -> std::io::Result<()> {
        let listener = listener.into_std()?;
        loop {
            match listener.accept() {
                Ok((stream, peer)) => {
                    stream.set_nonblocking(true)?;
                    self.serve(TcpStream::from_std(stream)?, peer);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // Of one that went again, say: the others are still there.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr) {
        // Answers are written whole; waiting for more would only delay them.
        drop(stream.set_nodelay(true));
        let app = self.app.clone();
        let presence = Presence::new();
        let origin = Origin { audience: self.audience, peer, presence: presence.clone() };
        let service = tower::service_fn(move |request| {
            let (app, origin) = (app.clone(), origin.clone());
            async move { Ok::<_, std::convert::Infallible>(answer(app, origin, request).await) }
        });
        let service =
            tower::ServiceBuilder::new().layer(cors(&self.app.config.cors_origins)).service(service);
        let connection = self
            .protocol
            .serve_connection_with_upgrades(
                TokioIo::new(Socket::new(stream, presence)),
                TowerToHyperService::new(service),
            )
            .into_owned();
        let watched = self.graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = watched.await {
                tracing::debug!(error, "a connection ended early");
            }
        });
    }
}

/// Lets nobody begin to connect any more, while those who have begun still can: one who comes between the last look at
/// the queue and its end would be cut off. What others send is dropped, as if it were lost on the way; when they send it
/// again, nobody listens, and a balancer asks another replica.
#[cfg(target_os = "linux")]
fn refuse_more(listener: &TcpListener) -> std::io::Result<()> {
    /// Byte 13 of a TCP header has the flags; whoever begins to connect sends SYN, the second of them.
    const NO_SYN: [SockFilter; 4] = [
        SockFilter::new(0x30, 0, 0, 13),
        SockFilter::new(0x45, 0, 1, 0x02),
        SockFilter::new(0x06, 0, 0, 0),
        SockFilter::new(0x06, 0, 0, u32::MAX),
    ];
    SockRef::from(listener).attach_filter(&NO_SYN)
}

#[cfg(not(target_os = "linux"))]
fn refuse_more(_listener: &TcpListener) -> std::io::Result<()> {
    Ok(())
}

/// Answers; from the time that no more requests are wanted, the last on its connection. Else a balancer would keep that,
/// and have its next request on the way when it is closed.
async fn answer(app: App, origin: Origin, request: hyper::Request<Incoming>) -> hyper::Response<Body> {
    let (own, has_own_end) = (app.clone(), request.version() >= Version::HTTP_2);
    let mut response = dispatch::answer(app, origin, request).await;
    let is_upgraded = response.status() == hyper::StatusCode::SWITCHING_PROTOCOLS;
    if own.health.is_draining() && !has_own_end && !is_upgraded {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn protocol() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD_BUFFER)
        // A client that has sent all it has may close its side and still wants the answer.
        .half_close(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_BUFFER as u32)
        .max_concurrent_streams(128)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// Returns what browsers of these origins may do; `*` stands for all.
fn cors(origins: &[String]) -> CorsLayer {
    let layer = CorsLayer::new()
        .allow_methods(Any)
        .allow_headers([
            AUTHORIZATION,
            CONTENT_TYPE,
            hyper::header::RANGE,
            hyper::header::IF_MATCH,
            hyper::header::IF_NONE_MATCH,
            hyper::header::IF_RANGE,
            HeaderName::from_static("x-request-id"),
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("x-chunk-sha256"),
        ])
        .expose_headers([
            hyper::header::ETAG,
            hyper::header::CONTENT_DISPOSITION,
            hyper::header::CONTENT_RANGE,
            hyper::header::RETRY_AFTER,
            HeaderName::from_static("x-ratelimit-limit"),
            HeaderName::from_static("x-ratelimit-remaining"),
            HeaderName::from_static("x-ratelimit-reset"),
            HeaderName::from_static("digest"),
            HeaderName::from_static("x-request-id"),
        ])
        .max_age(Duration::from_secs(3600));
    if origins.iter().any(|origin| origin == "*") {
        layer.allow_origin(Any)
    } else {
        let listed: Vec<HeaderValue> = origins.iter().filter_map(|origin| origin.parse().ok()).collect();
        layer.allow_origin(listed)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_connected_is_served_and_nobody_else_gets_connected() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let early = TcpStream::connect(address).await.unwrap();
        refuse_more(&listener).unwrap();
        // Asked once, so that its first packet is on the way before the listener goes.
        let mut late = Box::pin(TcpStream::connect(address));
        assert!(futures_util::poll!(&mut late).is_pending());
        let (mut served, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, early.local_addr().unwrap());
        // Bytes of those who are connected still come.
        tokio::io::AsyncWriteExt::write_all(&mut { early }, b"x").await.unwrap();
        assert_eq!(tokio::io::AsyncReadExt::read_u8(&mut served).await.unwrap(), b'x');
        drop(listener);
        assert_eq!(late.await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
}
