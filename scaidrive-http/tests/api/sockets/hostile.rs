//! Clients that break the rules of sockets, on purpose or half-way.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::client::Client;
use crate::server::{Reply, Server};

const OPEN: &str = "scaidrive_sync_websocket_connections";

/// Returns the head of a request that asks for a socket, with more lines in it.
fn handshake(server: &Server, more: &str) -> String {
    format!(
        "GET /api/v1/realtime/ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Authorization: Bearer {}\r\n{more}\r\n",
        server.token
    )
}

async fn connect(server: &Server) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.connect(server.url.strip_prefix("http://").unwrap().parse().unwrap()).await.unwrap()
}

/// Opens a socket by hand and sends bytes on it; returns the code that it is closed with.
async fn send_raw(server: &Server, bytes: &[u8]) -> u16 {
    let mut stream = connect(server).await;
    stream.write_all(handshake(server, "").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "the answer to this key, by RFC 6455: {head}");
    stream.write_all(bytes).await.unwrap();
    Client(WebSocketStream::from_raw_socket(stream, Role::Client, None).await).closed().await
}

/// Returns a frame with a mask of zeros: what it holds is what is sent.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126).unwrap();
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_are_none_end_the_socket_and_say_why() {
    let server = Server::start();
    let too_many_parts: Vec<u8> = [masked(0x01, b"[")]
        .into_iter()
        .chain((0..700).map(|_| masked(0x00, &[b' '; 100])))
        .flatten()
        .collect();
    for (bytes, code, what) in [
        (b"\x81\x02{}".to_vec(), 1002, "without a mask"),
        (masked(0x83, b""), 1002, "of a kind that there is not"),
        (masked(0xC1, b"{}"), 1002, "with a bit that nobody agreed on"),
        (masked(0x80, b"{}"), 1002, "that goes on with nothing"),
        (masked(0x09, b"x"), 1002, "of control in parts"),
        (masked(0x81, b"\xFF\xFE"), 1007, "that is no text"),
        (b"\x81\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0\0\0\0".to_vec(), 1009, "of 2^64 bytes"),
        (b"\x81\xFF\0\0\0\x01\0\0\0\0\0\0\0\0".to_vec(), 1009, "of 4 GiB"),
        (too_many_parts, 1009, "in parts without an end"),
        (masked(0x88, &1000_u16.to_be_bytes()), 1000, "of farewell is answered"),
    ] {
        assert_eq!(send_raw(&server, &bytes).await, code, "a frame {what}");
    }
    let mut client = Client::open(&server, "/realtime/ws", Some(&server.token)).await;
    client.hear("connected").await;
    client.0.send(Message::binary(b"{}".to_vec())).await.unwrap();
    assert_eq!(client.hear("error").await["code"], "BAD_REQUEST");
    let deep = "[".repeat(60_000);
    client.0.send(Message::text(deep)).await.unwrap();
    assert_eq!(client.hear("error").await["code"], "BAD_REQUEST");
    client.hears_nothing().await;
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_are_none_are_refused() {
    let server = Server::start();
    let ask = |method, without: &'static str| {
        let fields = [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let fields = fields.into_iter().filter(move |(name, _)| *name != without);
        fields.fold(server.request(method, "/realtime/ws"), |request, (name, value)| {
            request.header(name, value)
        })
    };
    for without in ["connection", "upgrade", "sec-websocket-version", "sec-websocket-key"] {
        Reply::of(ask(Method::GET, without)).await.refused(400, "BAD_REQUEST");
    }
    Reply::of(ask(Method::GET, "sec-websocket-version").header("sec-websocket-version", "8"))
        .await
        .refused(400, "BAD_REQUEST");
    Reply::of(ask(Method::GET, "sec-websocket-key").header("sec-websocket-key", "short"))
        .await
        .refused(400, "BAD_REQUEST");
    // What follows would be read as frames by one and as a body by another.
    Reply::of(ask(Method::GET, "").body("GET /health HTTP/1.1\r\n\r\n")).await.refused(400, "BAD_REQUEST");
    Reply::of(ask(Method::POST, "")).await.refused(405, "METHOD_NOT_ALLOWED");
    let head = ask(Method::HEAD, "").send().await.unwrap();
    assert_eq!(head.status(), 400);
    assert_eq!(server.metric_line(OPEN).await.as_deref(), Some("0"));
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_half_way_leaves_nothing_behind() {
    let server = Server::start();
    server.lift_limits().await;
    for number in 0..100 {
        let mut stream = connect(&server).await;
        let head = handshake(&server, "");
        let sent = if number % 4 == 0 { head.len() / 2 } else { head.len() };
        stream.write_all(&head.as_bytes()[..sent]).await.unwrap();
        if number % 2 == 0 {
            // Part of a frame follows, before anybody said that frames may.
            stream.write_all(b"\x81\xFE\x00").await.unwrap();
        }
        if number % 3 == 0 {
            stream.set_zero_linger().unwrap();
        }
        drop(stream);
    }
    let mut client = Client::open(&server, "/realtime/ws", Some(&server.token)).await;
    client.hear("connected").await;
    let began = Instant::now();
    while server.metric_line(OPEN).await.as_deref() != Some("1") {
        assert!(began.elapsed() < Duration::from_secs(60), "sockets stay open without their clients");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    client.hears_nothing().await;
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_frames_are_answered_one_by_one_and_count_as_requests() {
    const FRAMES: usize = 10_000;
    let server = Server::start();
    let share = server.share("One").await;
    let token = server.reader(&share, "usr_loud").await;
    let mut client = Client::open(&server, "/realtime/ws", Some(&token)).await;
    client.hear("connected").await;
    let (mut says, mut hears) = client.0.split();
    let frame = json!({ "type": "subscribe", "share_id": share }).to_string();
    let sends = async {
        for _ in 0..FRAMES {
            says.feed(Message::text(frame.clone())).await.unwrap();
        }
        says.flush().await.unwrap();
    };
    let counts = async {
        let (mut done, mut refused) = (0, 0);
        while done + refused < FRAMES {
            let Message::Text(text) = hears.next().await.unwrap().unwrap() else { continue };
            let told: serde_json::Value = serde_json::from_str(&text).unwrap();
            match (told["type"].as_str(), told["code"].as_str()) {
                (Some("subscribed"), _) => done += 1,
                (Some("error"), Some("RATE_LIMITED")) if told["retry_after"].is_u64() => refused += 1,
                _ => panic!("{told}"),
            }
        }
        (done, refused)
    };
    let ((), (done, refused)) = tokio::join!(sends, counts);
    eprintln!("{done} were answered, {refused} refused");
    assert!(done >= 900 && refused >= FRAMES / 2, "what is said counts against the token: {done} {refused}");
    // It still hears what it asked for, and once only.
    server.upload(&share, None, "a.txt", "x").await.created();
    let Some(Ok(Message::Text(text))) = hears.next().await else { panic!("nothing came") };
    assert!(text.contains("file_created"), "{text}");
    server.stop_and_check().await;
}
