//! Sockets of a server in this process, whose clock is set by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::{SinkExt, StreamExt};
use scaidrive_core::adapters::issuer::EmbeddedIssuer;
use scaidrive_core::config::{Config, ObjectsConfig};
use scaidrive_core::model::{Scope, Timestamp};
use scaidrive_core::ports::Clock;
use scaidrive_core::services::devices::{self, NewDevice};
use scaidrive_core::services::tenants;
use scaidrive_core::{Drive, open};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::*;
use crate::app::App;
use crate::routes::Audience;
use crate::server::Server;

/// How long the tokens of these tests are good.
const LIFE: i64 = 3600;

/// A clock that stands until it is told to go on.
#[derive(Debug, Default)]
struct HandClock(AtomicI64);

impl HandClock {
    fn advance(&self, secs: i64) {
        self.0.fetch_add(secs, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros((1_800_000_000 + self.0.load(Ordering::SeqCst)) * 1_000_000)
    }
}

struct Running {
    app: App,
    clock: Arc<HandClock>,
    token: String,
    url: String,
    _dir: tempfile::TempDir,
}

impl Running {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::embedded(dir.path());
        config.objects = ObjectsConfig::Memory;
        let clock = Arc::new(HandClock::default());
        let issuer = EmbeddedIssuer::open(dir.path(), Arc::clone(&clock) as Arc<_>).unwrap();
        let mut ports = open::ports(&config).await.unwrap();
        ports.clock = Arc::clone(&clock) as Arc<_>;
        let drive = Drive::new(ports);
        open::migrate(&drive).await.unwrap();
        let (tenant, admin, _) = tenants::bootstrap(&drive).await.unwrap();
        let life = std::time::Duration::from_secs(LIFE.unsigned_abs());
        let token = issuer.mint(tenant.id, &admin.id, &[Scope::All], life).unwrap();
        let mut ports = open::ports(&config).await.unwrap();
        ports.clock = Arc::clone(&clock) as Arc<_>;
        ports.identity = Some(Arc::new(issuer));
        let app = App::new(Drive::new(ports), config);
        let server = Server::bind(app.clone(), ([127, 0, 0, 1], 0).into(), Audience::Public).await.unwrap();
        let url = format!("ws://{}/api/v1", server.address().unwrap());
        let (stopped, nudged) = (app.clone(), app.clone());
        tokio::spawn(server.run(async move { stopped.stopping().await }));
        tokio::spawn(async move { nudged.nudges.listen(&nudged.drive).await });
        Self { app, clock, token, url, _dir: dir }
    }

    async fn open(&self, path: &str) -> WebSocketStream<TcpStream> {
        let request = format!("{}{path}?token={}", self.url, self.token).into_client_request().unwrap();
        let address = request.uri().authority().unwrap().to_string();
        let stream = TcpStream::connect(address).await.unwrap();
        client_async(request, stream).await.unwrap().0
    }
}

async fn hears(client: &mut WebSocketStream<TcpStream>, kind: &str) {
    let text = client.next().await.unwrap().unwrap().into_text().unwrap();
    assert!(text.contains(&format!("\"type\":\"{kind}\"")), "{text}");
}

async fn says(client: &mut WebSocketStream<TcpStream>, kind: &str) {
    client.send(Message::text(format!(r#"{{"type":"{kind}"}}"#))).await.unwrap();
}

/// Returns the code that comes next, and nothing before it.
async fn closed(client: &mut WebSocketStream<TcpStream>) -> u16 {
    match client.next().await.unwrap().unwrap() {
        Message::Close(Some(last)) => last.code.into(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_told_nothing_after_its_token_has_expired() {
    let running = Running::start().await;
    let mut watcher = running.open("/realtime/ws").await;
    hears(&mut watcher, "connected").await;
    let mut follower = running.open("/sync/ws/laptop").await;
    says(&mut follower, "subscribe").await;
    hears(&mut follower, "subscribed").await;
    running.clock.advance(LIFE - 1);
    says(&mut watcher, "ping").await;
    hears(&mut watcher, "pong").await;
    running.clock.advance(1);
    says(&mut watcher, "ping").await;
    assert_eq!(closed(&mut watcher).await, 4401, "when it asks");
    let tenant = tenants::first(&running.app.drive).await.unwrap().id;
    let caller = tenants::caller_for(&running.app.drive, tenant, &"admin".parse().unwrap()).await.unwrap();
    let device = NewDevice {
        device_id: "laptop".parse().unwrap(),
        device_name: "D".to_owned(),
        platform: None,
        client_version: None,
    };
    devices::register(&running.app.drive, &caller, device).await.unwrap();
    assert_eq!(closed(&mut follower).await, 4401, "and when there is news");
    // Beyond the leeway of clocks it does not even let in.
    running.clock.advance(LIFE);
    assert_eq!(closed(&mut running.open("/realtime/ws").await).await, 4401);
    running.app.stop();
    running.app.sockets.ended().await;
}

#[test]
fn what_a_client_says_is_understood_or_refused() {
    assert_eq!(said(r#"{"type":"ping"}"#).unwrap(), Said::Ping);
    assert_eq!(said(r#"{"type":"subscribe"}"#).unwrap(), Said::Subscribe(None));
    let share = Some("shr_x".to_owned());
    assert_eq!(said(r#"{"type":"unsubscribe","share_id":"shr_x"}"#).unwrap(), Said::Unsubscribe(share));
    for wrong in ["", "{", "[]", "{}", r#"{"type":7}"#, r#"{"type":"shout"}"#] {
        assert_eq!(said(wrong).unwrap_err().code(), "BAD_REQUEST", "{wrong}");
    }
}

#[test]
fn a_frame_says_its_kind_twice() {
    assert_eq!(
        frame("change", json!({ "share_id": "s" })),
        json!({ "type": "change", "event_type": "change", "share_id": "s" })
    );
}

#[test]
fn sockets_rest_longer_the_more_there_are() {
    assert_eq!(Sockets::default().rest(), Duration::ZERO);
    assert_eq!(rest_among(1000), Duration::from_millis(200));
    assert_eq!(rest_among(1_000_000), Duration::from_secs(2));
}
