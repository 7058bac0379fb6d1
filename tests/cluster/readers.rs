//! Clients that read: contents, the feed, and sockets.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::load::Work;
use crate::sha256;

/// How long a socket waits before it connects again, and how long a reader that has nothing to read yet.
const PAUSE: Duration = Duration::from_millis(100);

/// Reads files that were acknowledged, whichever.
pub(crate) async fn reads(work: Work) {
    let mut number = work.number << 20;
    while work.goes_on() {
        number += 1;
        let Some(file) = work.ledger.some(number) else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let path = format!("/files/{}/content", file.id);
        match work.caller.ask(work.caller.request(Method::GET, &path)).await {
            Ok(bytes) if sha256(&bytes) == file.checksum => work.done(),
            Ok(_) => work.caller.tally.fault(format!("{} has other bytes", file.path)),
            Err(wait) => tokio::time::sleep(wait).await,
        }
    }
}

/// Reads what may come from the replica: the audit, and who uses how much.
pub(crate) async fn reports(work: Work) {
    while work.goes_on() {
        for path in ["/admin/audit?limit=20", "/quotas/usage/users"] {
            match work.caller.ask(work.caller.request(Method::GET, path)).await {
                Ok(_) => work.done(),
                Err(wait) => tokio::time::sleep(wait).await,
            }
        }
    }
}

/// Follows the feed of everything: each position must be the one after the last. Ends once it has nothing more.
pub(crate) async fn follow(work: Work, mut cursor: u64) {
    loop {
        let last_look = !work.goes_on();
        let path = format!("/sync/changes?cursor={cursor}&limit=500&wait={}", if last_look { 0 } else { 5 });
        let told = work.caller.get(&path).await;
        let changes = told["changes"].as_array().unwrap();
        for change in changes {
            if change["position"] != cursor + 1 {
                work.caller.tally.fault(format!("after {cursor} the feed has {change}"));
            }
            cursor = change["position"].as_u64().unwrap();
            work.ledger.read(change["id"].as_str().unwrap());
        }
        work.done();
        if last_look && changes.is_empty() {
            return;
        }
    }
}

/// Hears of changes on a socket, and connects again whenever it ends.
pub(crate) async fn hears(work: Work) {
    while work.goes_on() {
        if let Some(mut socket) = connect(&work).await {
            while work.goes_on() {
                match tokio::time::timeout(Duration::from_secs(1), socket.next()).await {
                    Ok(Some(Ok(Message::Text(text)))) => {
                        let frame: Value = serde_json::from_str(&text).unwrap();
                        if frame["type"] == "change" {
                            work.done();
                        }
                    }
                    // Nothing for a while; or a ping, which is answered when the next frame is asked for.
                    Err(_) | Ok(Some(Ok(Message::Ping(_)))) => {}
                    Ok(_) => break,
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

async fn connect(work: &Work) -> Option<Socket> {
    let address = work.caller.url().replacen("http", "ws", 1);
    let mut request = format!("{address}/sync/ws/socket-{}", work.number).into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {}", work.caller.token()).parse().unwrap());
    let (mut socket, _) = connect_async(request).await.ok()?;
    socket.send(Message::text(json!({ "type": "subscribe" }).to_string())).await.ok()?;
    Some(socket)
}
