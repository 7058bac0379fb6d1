//! Bodies that lie about their length, stop in the middle, or never end.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use futures_util::{StreamExt, stream};
use reqwest::{Body, Method};
use serde_json::{Value, json};

use super::is_short;
use crate::delta::{framed, statuses};
use crate::server::{Reply, Server, noise, sha256};
use crate::transfers::peak_mib;

/// Memory that a server may have had resident, whatever was thrown at it, in MiB.
const MOST_MEMORY: u64 = 200;

/// Returns the head of a frame: a hash, and a length that may be any.
fn head(hash: &str, length: u32) -> Vec<u8> {
    let mut head = framed([&b""[..]]);
    for (at, byte) in head[..32].iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hash[at * 2..at * 2 + 2], 16).unwrap();
    }
    head[32..].copy_from_slice(&length.to_be_bytes());
    head
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_whose_length_lies_harm_only_what_follows_them() {
    let server = Server::start();
    let share = server.share("One").await;
    let (good, late) = (framed([&b"good"[..]]), framed([&b"late"[..]]));
    let lie = |hash: &[u8], length: u32, bytes: &[u8]| [head(&sha256(hash), length), bytes.to_vec()].concat();
    let put = async |lie: Vec<u8>| {
        let body = [good.clone(), lie, late.clone()].concat();
        server.put_frames(&share, body).await
    };
    // Longer than what comes, as long as all bodies may be, longer than that: what follows cannot be told.
    put(lie(b"a", 100, b"a")).await.refused(400, "BAD_REQUEST");
    put(lie(b"a", (1 << 20) + 1, b"a")).await.refused(400, "BAD_REQUEST");
    put(lie(b"a", (64 << 20) - 200, b"a")).await.refused(400, "BAD_REQUEST");
    put(lie(b"a", 64 << 20, b"a")).await.refused(413, "PAYLOAD_TOO_LARGE");
    put(lie(b"a", u32::MAX, b"a")).await.refused(413, "PAYLOAD_TOO_LARGE");
    // Shorter than what comes: the rest is read as a frame, whatever it is.
    let shorter = put(lie(b"abc", 2, b"abc")).await;
    assert!(matches!(shorter.status.as_u16(), 400 | 413), "{shorter:?}");
    // Exactly as long as to swallow the next frame.
    let swallowed = put(lie(b"a", late.len() as u32, &[])).await.ok();
    assert_eq!(statuses(&swallowed), ["exists", "CHECKSUM_MISMATCH"]);
    let hashes = [&b"good"[..], b"late", b"a", b"ab", b"abc", b""].map(sha256);
    assert_eq!(server.missing(&share, &hashes).await, hashes[1..], "only what was true is kept");
    server.stop_and_check().await;
}

/// Says that so many bytes come, sends these and no more; returns the answer, if there is one.
fn half_sent(server: &Server, path: &str, method: &str, told: usize, sent: &[u8]) -> String {
    let mut stream = begin(server, path, method, told, sent);
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

fn begin(server: &Server, path: &str, method: &str, told: usize, sent: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    let head = format!(
        "{method} /api/v1{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: {told}\r\n\r\n",
        server.token
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(sent).unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn half_sent_bodies_leave_no_more_than_the_frames_that_came_whole() {
    let server = Server::start();
    let share = server.share("One").await;
    let contents: Vec<Vec<u8>> = (0..50).map(|number| noise(number + 1, 50_000)).collect();
    let body = framed(contents.iter().map(Vec::as_slice));
    let frames = format!("/sync/chunks?share_id={share}");
    for cut in [0, 1, 31, 36, 37, 50_036, body.len() / 2, body.len() - 1] {
        let answer = half_sent(&server, &frames, "POST", body.len(), &body[..cut]);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{cut}: {answer}");
        let hashes: Vec<String> = contents.iter().map(|content| sha256(content)).collect();
        assert_eq!(server.missing(&share, &hashes).await, hashes[cut / 50_036..], "{cut} bytes came");
    }
    let chunk = noise(99, 1000);
    let path = format!("/sync/chunks/{}?share_id={share}", sha256(&chunk));
    let answer = half_sent(&server, &path, "PUT", 1000, &chunk[..999]);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(server.missing(&share, &[sha256(&chunk)]).await.len(), 1);
    let batch = json!({
        "device_id": "laptop", "share_id": share,
        "changes": [{ "client_change_id": "1", "resource_type": "folder", "change_type": "created", "new_path": "/a" }],
    });
    let batch = batch.to_string();
    // Whole as JSON and one byte short of what was announced.
    let answer = half_sent(&server, "/sync/apply", "POST", batch.len() + 1, batch.as_bytes());
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(server.names(&share, "root").await.is_empty());
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_stop_in_the_middle_keep_nobody_out_and_take_little() {
    let server = Server::start();
    server.lift_limits().await;
    let share = server.share("One").await;
    let before = peak_mib(server.pid());
    // Each announces the largest frame there may be, so that whoever believed it would set aside a MiB for each.
    let start = head(&sha256(b"never"), 1 << 20);
    let path = format!("/sync/chunks?share_id={share}");
    let waiting: Vec<TcpStream> = (0..300)
        .map(|_| begin(&server, &path, "POST", 64 << 20, &[&start[..], &[7; 1000]].concat()))
        .collect();
    let batches: Vec<TcpStream> =
        (0..100).map(|_| begin(&server, "/sync/apply", "POST", 16 << 20, &[b' '; 1000])).collect();
    let body = framed([&b"quick"[..]]);
    for _ in 0..20 {
        server.put_frames(&share, body.clone()).await.ok();
        server.get("/sync/changes").await.ok();
    }
    drop((waiting, batches));
    server.put_frames(&share, body).await.ok();
    let peak = peak_mib(server.pid());
    eprintln!("{before} MiB before, {peak} MiB after 400 half bodies");
    assert!(peak < MOST_MEMORY, "the server took {peak} MiB");
    server.stop_and_check().await;
}

/// Returns a question for so many hashes as it is written, piece by piece, so that nobody holds it at once.
fn endless_question(share: &str, hashes: usize) -> Body {
    let first = format!("{{\"share_id\":\"{share}\",\"hashes\":[\"{}\"", "0".repeat(64));
    let piece = format!(",\"{}\"", "1".repeat(64)).repeat(1000).into_bytes();
    let pieces = stream::iter((0..hashes / 1000).map(move |_| Ok::<_, std::io::Error>(piece.clone())));
    let first = stream::iter([Ok(first.into_bytes())]);
    Body::wrap_stream(first.chain(pieces).chain(stream::iter([Ok(b"]}".to_vec())])))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_hashes_in_a_question_are_refused_in_little_memory() {
    let server = Server::start();
    server.lift_limits().await;
    let share = server.share("One").await;
    let ask = || {
        let body = endless_question(&share, 1_000_000);
        Reply::of(server.request(Method::POST, "/sync/chunks/check").body(body))
    };
    let replies: Vec<Reply> = stream::iter((0..16).map(|_| ask())).buffer_unordered(16).collect().await;
    for reply in replies {
        let refused = reply.refused(422, "VALIDATION_FAILED");
        assert_eq!(refused.json["detail"][0]["loc"], json!(["body", "hashes"]));
        is_short(&refused);
    }
    // In the largest batch there may be: as many chunks of one file as fit.
    let batch = |device: usize| {
        let chunk = format!("{{\"sha256\":\"{}\",\"size\":1}}", "1".repeat(64));
        let chunks = vec![chunk; 180_000].join(",");
        let body = format!(
            "{{\"device_id\":\"{device}\",\"share_id\":\"{share}\",\"changes\":[{{\"client_change_id\":\"1\",\
             \"resource_type\":\"file\",\"change_type\":\"created\",\"new_path\":\"/a\",\"chunks\":[{chunks}]}}]}}"
        );
        assert!(body.len() < 16 << 20);
        Reply::of(server.request(Method::POST, "/sync/apply").body(body))
    };
    let replies: Vec<Reply> = stream::iter((0..4).map(batch)).buffer_unordered(4).collect().await;
    for reply in replies {
        let refused: Value = reply.ok().json["errors"][0].clone();
        assert_eq!(refused["code"], "VALIDATION_FAILED", "{refused}");
    }
    let peak = peak_mib(server.pid());
    eprintln!("peak memory of the server: {peak} MiB");
    assert!(peak < MOST_MEMORY, "the server took {peak} MiB");
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_other_kinds_than_asked_for_are_refused() {
    let server = Server::start();
    let share = server.share("One").await;
    let wrong = [noise(1, 100), framed([&b"x"[..]]), vec![0; 36], b"{}".to_vec(), b"[]".to_vec(), Vec::new()];
    for body in wrong {
        for path in ["/sync/chunks/check", "/sync/apply", "/sync/fetch"] {
            let reply = super::post_raw(&server, path, body.clone()).await;
            assert!(matches!(reply.status.as_u16(), 400 | 422), "{path}: {reply:?}");
            is_short(&reply);
        }
    }
    for no_frames in [&b"{\"hashes\":[]}"[..], &[0xff; 5000]] {
        let reply = server.put_frames(&share, no_frames.to_vec()).await;
        assert!(matches!(reply.status.as_u16(), 400 | 413), "{reply:?}");
        is_short(&reply);
    }
    // Of a frame of zeros, which stands for nothing where contents are fetched, there is nothing to keep.
    let nothing = server.put_frames(&share, vec![0; 36]).await.ok();
    assert_eq!(statuses(&nothing), ["VALIDATION_FAILED"]);
    let many: Vec<u8> = framed([&b""[..]]).repeat((1 << 16) + 1);
    is_short(&server.put_frames(&share, many).await.refused(422, "VALIDATION_FAILED"));
    server.stop_and_check().await;
}
