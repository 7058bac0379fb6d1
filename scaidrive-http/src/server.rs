//! The hyper stack: accepts connections, serves HTTP/1.1 and HTTP/2 on them, and stops gracefully.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::FutureExt;
use hyper::Version;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
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

/// How long connections that were opened last may take to bring their request, of those that had notice.
const LAST_ARRIVALS: Duration = Duration::from_secs(1);

/// Bytes kept for the head of a request; the limit that is told lies below, see `dispatch`.
const HEAD_BUFFER: usize = 64 << 10;

/// A listener that serves one audience: everybody, or the operators.
pub(crate) struct Server {
    app: App,
    listener: TcpListener,
    audience: Audience,
}

impl Server {
    /// Binds an address.
    pub(crate) async fn bind(app: App, address: SocketAddr, audience: Audience) -> std::io::Result<Self> {
        Ok(Self { app, listener: TcpListener::bind(address).await?, audience })
    }

    /// Returns the address, with the port that was chosen.
    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` comes, then ends what is under way.
    pub(crate) async fn run(self, stop: impl Future<Output = ()>) {
        let graceful = GracefulShutdown::new();
        let protocol = protocol();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => self.serve(&protocol, &graceful, stream, peer),
                    Err(error) => {
                        // Mostly too many open files: some will be closed.
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                () = &mut stop => break,
            }
        }
        self.close(&protocol, &graceful).await;
        if tokio::time::timeout(LAST_REQUESTS, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests were still under way after 30 s and were cut off");
        }
    }

    /// Stops listening. Who is connected already, a balancer with a request in hand, is not turned away for it.
    async fn close(self, protocol: &auto::Builder<TokioExecutor>, graceful: &GracefulShutdown) {
        while let Some(Ok((stream, peer))) = self.listener.accept().now_or_never() {
            self.serve(protocol, graceful, stream, peer);
        }
        drop(self.listener);
        // Where nobody waits for a drain, nobody waits for this.
        tokio::time::sleep(self.app.config.drain_delay.min(LAST_ARRIVALS)).await;
    }

    fn serve(
        &self,
        protocol: &auto::Builder<TokioExecutor>,
        graceful: &GracefulShutdown,
        stream: TcpStream,
        peer: SocketAddr,
    ) {
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
        let connection = protocol
            .serve_connection_with_upgrades(
                TokioIo::new(Socket::new(stream, presence)),
                TowerToHyperService::new(service),
            )
            .into_owned();
        let watched = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = watched.await {
                tracing::debug!(error, "a connection ended early");
            }
        });
    }
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
