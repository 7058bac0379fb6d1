//! A client of sockets.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::server::Server;

/// A frame that does not come within this never will.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Client(pub(crate) WebSocketStream<TcpStream>);

impl Client {
    /// Opens a socket with a token in the header.
    pub(crate) async fn open(server: &Server, path: &str, token: Option<&str>) -> Self {
        Self::open_small(server, path, token, None).await
    }

    /// Opens a socket that can hold few bytes that were not read.
    pub(crate) async fn open_small(
        server: &Server,
        path: &str,
        token: Option<&str>,
        buffer: Option<u32>,
    ) -> Self {
        let address = server.url.strip_prefix("http://").unwrap();
        let mut request = format!("ws://{address}/api/v1{path}").into_client_request().unwrap();
        if let Some(token) = token {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(bytes) = buffer {
            socket.set_recv_buffer_size(bytes).unwrap();
        }
        let stream = socket.connect(address.parse().unwrap()).await.unwrap();
        let (wire, response) = client_async(request, stream).await.unwrap();
        assert_eq!(response.status(), 101);
        assert!(response.headers().contains_key("x-request-id"));
        Self(wire)
    }

    /// Opens the socket of a device and follows everything.
    pub(crate) async fn follow(server: &Server, token: &str, device: &str) -> Self {
        let mut client = Self::open(server, &format!("/sync/ws/{device}"), Some(token)).await;
        client.say(&json!({ "type": "subscribe" })).await;
        client.hear("subscribed").await;
        client
    }

    /// Opens a socket that looks at a share.
    pub(crate) async fn watch(server: &Server, token: &str, share: &str) -> Self {
        let mut client = Self::open(server, "/realtime/ws", Some(token)).await;
        client.hear("connected").await;
        client.say(&json!({ "type": "subscribe", "share_id": share })).await;
        assert_eq!(client.hear("subscribed").await["share_id"], share);
        client
    }

    pub(crate) async fn say(&mut self, frame: &Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// Returns the next frame of the server's.
    pub(crate) async fn next(&mut self) -> Value {
        // One for all: that the server asks whether somebody is there is no frame that comes.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let message = timeout_at(deadline, self.0.next()).await.expect("a frame comes");
            match message.expect("the socket is open").unwrap() {
                Message::Text(text) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    assert!(frame["type"].is_string() && frame["type"] == frame["event_type"], "{frame}");
                    return frame;
                }
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Returns the next frame, which must be of this kind.
    pub(crate) async fn hear(&mut self, kind: &str) -> Value {
        let frame = self.next().await;
        assert_eq!(frame["type"], kind, "{frame}");
        frame
    }

    /// Fails if the server has anything to say but that it is there.
    pub(crate) async fn hears_nothing(&mut self) {
        self.say(&json!({ "type": "ping" })).await;
        self.hear("pong").await;
    }

    /// Returns the code that the socket is closed with, whatever comes before.
    pub(crate) async fn closed(&mut self) -> u16 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let message = timeout_at(deadline, self.0.next()).await.expect("the socket is closed");
            match message {
                Some(Ok(Message::Close(Some(last)))) => return last.code.into(),
                Some(Ok(_)) => {}
                Some(Err(Error::ConnectionClosed)) | None => panic!("closed without a word"),
                Some(Err(error)) => panic!("{error}"),
            }
        }
    }
}
