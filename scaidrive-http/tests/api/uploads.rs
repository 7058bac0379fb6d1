//! Uploads in parts, as clients send them: in any order, through kills, and with everything that clients get wrong.

use std::io::{Read, Write};
use std::net::TcpStream;

use futures_util::{StreamExt, stream};
use reqwest::Method;
use scaidrive_core::model::Scope;
use serde_json::{Value, json};

use crate::server::{Reply, Server, noise, sha256};

/// The smallest part there may be.
const PART: usize = 64 << 10;

/// An upload under way.
struct Upload {
    id: String,
    bytes: Vec<u8>,
}

impl Upload {
    async fn begin(server: &Server, share: &str, name: &str, bytes: Vec<u8>) -> Self {
        let body =
            json!({ "share_id": share, "file_name": name, "file_size": bytes.len(), "chunk_size": PART });
        let reply = server.post("/uploads", &body).await.created();
        Self { id: reply.json["session_id"].as_str().unwrap().to_owned(), bytes }
    }

    fn path(&self) -> String {
        format!("/uploads/{}", self.id)
    }

    fn part(&self, index: usize) -> Vec<u8> {
        self.bytes[index * PART..self.bytes.len().min((index + 1) * PART)].to_vec()
    }

    fn put(&self, server: &Server, index: impl std::fmt::Display) -> reqwest::RequestBuilder {
        server.request(Method::PUT, &format!("{}/chunks/{index}", self.path()))
    }

    async fn send(&self, server: &Server, index: usize) -> Reply {
        Reply::of(self.put(server, index).body(self.part(index))).await
    }

    async fn complete(&self, server: &Server) -> Reply {
        server.post(&format!("{}/complete", self.path()), &json!({})).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_in_any_order_become_a_file() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let folder = server.folder(&share, None, "F").await;
    let bytes = noise(1, 5 * PART + 10);
    let body = json!({
        "share_id": share, "folder_id": folder, "file_name": "plan.odt", "file_size": bytes.len(), "chunk_size": PART,
        "mime_type": "text/x-plan", "checksum_sha256": sha256(&bytes),
    });
    let created = server.post("/uploads", &body).await.created().json;
    assert_eq!((&created["chunk_size"], &created["total_chunks"]), (&json!(PART), &json!(6)));
    let upload = Upload { id: created["session_id"].as_str().unwrap().to_owned(), bytes };
    assert!(upload.id.starts_with("upl_"));
    for (sent, index) in [5, 0, 3, 1, 4].into_iter().enumerate() {
        let hash = sha256(&upload.part(index));
        let put =
            upload.put(&server, index).header("X-Chunk-SHA256", hash.to_uppercase()).body(upload.part(index));
        let stored = Reply::of(put).await.ok().json;
        let size = upload.part(index).len();
        assert_eq!(
            stored,
            json!({ "index": index, "size": size, "sha256": hash, "received_chunks": sent + 1, "total_chunks": 6 })
        );
    }
    let missing = upload.complete(&server).await.refused(409, "CHUNKS_MISSING").json;
    assert_eq!(missing["error"]["details"]["missing"], json!([2]));
    assert_status(&server, &upload, 5, &[2]).await;
    upload.send(&server, 2).await.ok();
    let made = upload.complete(&server).await.ok().json;
    let id = made["file_id"].as_str().unwrap().to_owned();
    let file = server.get(&format!("/files/{id}")).await.ok().json;
    assert_eq!(
        made,
        json!({
            "file_id": id, "version": 1, "version_id": file["version_id"], "size": upload.bytes.len(),
            "checksum_sha256": sha256(&upload.bytes),
        })
    );
    assert_eq!((&file["path"], &file["mime_type"]), (&json!("/F/plan.odt"), &json!("text/x-plan")));
    assert!(server.content(&id).await.ok().bytes == upload.bytes);
    server.put(&id, "changed since").await.ok();
    assert_eq!(upload.complete(&server).await.ok().json, made, "asking again answers the same");
    assert_eq!(server.get(&upload.path()).await.ok().json["file_id"], id);
    server.delete(&upload.path()).await.refused(410, "SESSION_EXPIRED");
    upload.send(&server, 0).await.refused(410, "SESSION_EXPIRED");
    server.stop_and_check().await;
}

/// Demands what an open upload of `plan.odt` in six parts looks like.
async fn assert_status(server: &Server, upload: &Upload, received: usize, missing: &[usize]) {
    let status = server.get(&upload.path()).await.ok().json;
    let expires_at = status["expires_at"].clone();
    assert_eq!(
        status,
        json!({
            "session_id": upload.id, "status": "open", "file_name": "plan.odt", "file_size": upload.bytes.len(),
            "chunk_size": PART, "total_chunks": 6, "received_chunks": received, "missing": missing, "expires_at": expires_at,
            "file_id": null,
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_has_no_parts() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let body = json!({ "share_id": share, "file_name": "empty", "file_size": 0 });
    let created = server.post("/uploads", &body).await.created().json;
    assert_eq!((&created["chunk_size"], &created["total_chunks"]), (&json!(4 << 20), &json!(0)));
    let upload = Upload { id: created["session_id"].as_str().unwrap().to_owned(), bytes: Vec::new() };
    Reply::of(upload.put(&server, 0).body("")).await.refused(422, "VALIDATION_FAILED");
    let made = upload.complete(&server).await.ok().json;
    assert_eq!((&made["size"], &made["checksum_sha256"]), (&json!(0), &json!(sha256(b""))));
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_upload_is_gone() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let upload = Upload::begin(&server, &share, "a", noise(2, 2 * PART)).await;
    upload.send(&server, 1).await.ok();
    for _ in 0..2 {
        server.delete(&upload.path()).await.gone_well();
    }
    upload.send(&server, 0).await.refused(410, "SESSION_EXPIRED");
    upload.complete(&server).await.refused(410, "SESSION_EXPIRED");
    assert_eq!(server.get(&upload.path()).await.ok().json["status"], "aborted");
    assert!(server.names(&share, "root").await.is_empty());
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_beginning_is_one_session() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let begin = |size: usize| {
        let body = json!({ "share_id": share, "file_name": "a", "file_size": size });
        Reply::of(server.request(Method::POST, "/uploads").header("Idempotency-Key", "k1").json(&body))
    };
    let first = begin(10).await.created().json;
    assert_eq!(begin(10).await.created().json, first);
    begin(11).await.refused(422, "VALIDATION_FAILED");
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_needs_the_version_it_was_made_from() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let file = server.upload(&share, None, "a", "first").await.created();
    let bytes = noise(3, PART + 1);
    let body = json!({
        "share_id": share, "file_name": "a", "file_size": bytes.len(), "chunk_size": PART,
        "replace_file_id": file.id(), "base_version_id": file.json["version_id"],
    });
    let begin = || server.post("/uploads", &body);
    let created = begin().await.created().json;
    let upload = Upload { id: created["session_id"].as_str().unwrap().to_owned(), bytes: bytes.clone() };
    for index in 0..2 {
        upload.send(&server, index).await.ok();
    }
    server.put(&file.id(), "second").await.ok();
    upload.complete(&server).await.refused(409, "VERSION_CONFLICT");
    begin().await.refused(409, "VERSION_CONFLICT");
    assert_eq!(server.get(&upload.path()).await.ok().json["status"], "open");
    assert!(server.content(&file.id()).await.ok().bytes == b"second"[..]);
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_forgets_no_part_that_it_acknowledged() {
    let mut server = Server::start();
    server.lift_limits().await;
    let share = server.share("Projects").await;
    let upload = Upload::begin(&server, &share, "a", noise(4, 160 * PART + 5)).await;
    let total = 161;
    let mut order: Vec<usize> = (0..total).collect();
    order.sort_by_key(|index| sha256(&index.to_le_bytes()));
    for (round, part) in order.chunks(40).enumerate() {
        let acknowledged = std::sync::Mutex::new(Vec::new());
        let send = |index: usize| {
            let (server, upload, acknowledged) = (&server, &upload, &acknowledged);
            async move {
                let sent = upload.put(server, index).body(upload.part(index)).send().await;
                // The kill cuts some of them off: those may be there or not.
                if sent.is_ok_and(|reply| reply.status() == 200) {
                    acknowledged.lock().unwrap().push(index);
                }
            }
        };
        let sending = stream::iter(part.iter().copied().map(send)).for_each_concurrent(6, |sent| sent);
        let pid = server.pid().to_string();
        let kill = async {
            tokio::time::sleep(std::time::Duration::from_millis(40 + 60 * round as u64)).await;
            std::process::Command::new("kill").args(["-9", &pid]).status().unwrap();
        };
        tokio::join!(sending, kill);
        server.kill_and_restart();
        let missing = missing(&server, &upload).await;
        let acknowledged = acknowledged.into_inner().unwrap();
        eprintln!("round {round}: {} of {} were acknowledged", acknowledged.len(), part.len());
        let lost: Vec<_> = acknowledged.iter().filter(|index| missing.contains(index)).collect();
        assert!(lost.is_empty(), "lost {lost:?}");
    }
    // A completion that is killed, too.
    for index in missing(&server, &upload).await {
        upload.send(&server, index).await.ok();
    }
    let pid = server.pid().to_string();
    let completing = server.request(Method::POST, &format!("{}/complete", upload.path()));
    let killed = async {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        std::process::Command::new("kill").args(["-9", &pid]).status().unwrap();
    };
    let (_, ()) = tokio::join!(completing.send(), killed);
    server.kill_and_restart();
    let made = upload.complete(&server).await.ok().json;
    assert_eq!(made["checksum_sha256"], sha256(&upload.bytes));
    assert!(server.content(made["file_id"].as_str().unwrap()).await.ok().bytes == upload.bytes);
    assert_eq!(server.names(&share, "root").await, ["a"]);
    server.stop_and_check().await;
}

async fn missing(server: &Server, upload: &Upload) -> Vec<usize> {
    let status = server.get(&upload.path()).await.ok().json;
    status["missing"].as_array().unwrap().iter().map(|index| index.as_u64().unwrap() as usize).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn beginnings_that_cannot_be_are_refused() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let good = json!({ "share_id": share, "file_name": "a", "file_size": 10 });
    let begin = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        let server = &server;
        async move { server.post("/uploads", &body).await }
    };
    for (field, value) in [
        ("file_size", json!(-1)),
        ("file_size", json!(1.5)),
        ("file_size", json!("10")),
        ("file_size", Value::Null),
        ("chunk_size", json!(0)),
        ("chunk_size", json!(-65_536)),
        ("chunk_size", json!(65_535)),
        ("chunk_size", json!(98_304)),
        ("chunk_size", json!(32_768)),
        ("chunk_size", json!(8 << 20)),
        ("chunk_size", json!(1_u64 << 40)),
        ("file_name", json!("a/b")),
        ("file_name", json!("")),
        ("file_name", json!("x".repeat(256))),
        ("mime_type", json!("no type")),
        ("checksum_sha256", json!("abc")),
        ("replace_file_id", json!("fil_x")),
        ("base_version_id", json!("ver_01ARZ3NDEKTSV4RRFFQ69G5FAV")),
        ("share_id", json!("shr_x")),
    ] {
        let refused = begin(field, value.clone()).await.refused(422, "VALIDATION_FAILED");
        assert_eq!(refused.json["detail"][0]["loc"], json!(["body", field]), "{field} {value}");
    }
    for size in [json!(5_368_709_121_u64), json!(i64::MAX), json!(u64::MAX)] {
        begin("file_size", size).await.refused(413, "PAYLOAD_TOO_LARGE");
    }
    begin("share_id", json!("shr_01ARZ3NDEKTSV4RRFFQ69G5FAV")).await.refused(404, "NOT_FOUND");
    begin("replace_file_id", json!("fil_01ARZ3NDEKTSV4RRFFQ69G5FAV")).await.refused(404, "NOT_FOUND");
    for field in ["share_id", "file_name", "file_size"] {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(field);
        let refused = server.post("/uploads", &body).await.refused(422, "VALIDATION_FAILED");
        assert_eq!(refused.json["detail"][0]["loc"], json!(["body", field]));
    }
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_are_not_what_they_should_be_are_refused() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let upload = Upload::begin(&server, &share, "a", noise(5, 2 * PART + 7)).await;
    let put = |index: &str, bytes: Vec<u8>| Reply::of(upload.put(&server, index).body(bytes));
    for (index, size) in [("0", 0), ("0", PART - 1), ("0", PART + 1), ("2", PART), ("2", 6), ("2", 8)] {
        let refused = put(index, vec![1; size]).await.refused(422, "VALIDATION_FAILED");
        assert_eq!(refused.json["detail"][0]["loc"], json!(["body"]));
    }
    put("0", vec![1; (5 << 20) + 1]).await.refused(413, "PAYLOAD_TOO_LARGE");
    let beyond = put("3", vec![1; 7]).await.refused(422, "VALIDATION_FAILED");
    assert_eq!(beyond.json["detail"][0]["loc"], json!(["path", "index"]));
    put("4294967295", vec![1; 7]).await.refused(422, "VALIDATION_FAILED");
    for index in ["-1", "x", "4294967296", "0x0", "%20", "1.0"] {
        put(index, vec![1; PART]).await.refused(404, "NOT_FOUND");
    }
    let streamed = |size: usize| {
        let pieces = stream::iter(
            (0..size).step_by(1000).map(move |at| Ok::<_, std::io::Error>(vec![1; 1000.min(size - at)])),
        );
        Reply::of(upload.put(&server, 0).body(reqwest::Body::wrap_stream(pieces)))
    };
    for size in [PART - 1, PART + 1] {
        streamed(size).await.refused(422, "VALIDATION_FAILED");
    }
    let hashed =
        |hash: &str| Reply::of(upload.put(&server, 0).header("X-Chunk-SHA256", hash).body(upload.part(0)));
    hashed(&sha256(b"something else")).await.refused(422, "CHECKSUM_MISMATCH");
    for malformed in ["", "abc", &"z".repeat(64), &"a".repeat(65)] {
        hashed(malformed).await.refused(400, "BAD_REQUEST");
    }
    for session in ["x", "upl_01ARZ3NDEKTSV4RRFFQ69G5FAV", &share] {
        let put = server.request(Method::PUT, &format!("/uploads/{session}/chunks/0")).body(upload.part(0));
        Reply::of(put).await.refused(404, "NOT_FOUND");
        server.get(&format!("/uploads/{session}")).await.refused(404, "NOT_FOUND");
    }
    assert_eq!(server.get(&upload.path()).await.ok().json["received_chunks"], 0);
    server.stop_and_check().await;
}

/// Sends the head of a part and some of its bytes, and returns the open connection.
fn half_a_part(server: &Server, upload: &Upload, token: &str, sent: usize) -> TcpStream {
    let address = server.url.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(address).unwrap();
    let head = format!(
        "PUT /api/v1{}/chunks/0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {PART}\r\n\r\n",
        upload.path()
    );
    connection.write_all(head.as_bytes()).unwrap();
    connection.write_all(&upload.part(0)[..sent]).unwrap();
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_breaks_off_is_not_there() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let upload = Upload::begin(&server, &share, "a", noise(6, PART)).await;
    let mut connection = half_a_part(&server, &upload, &server.token, PART / 2);
    connection.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(server.get(&upload.path()).await.ok().json["missing"], json!([0]));
    upload.send(&server, 0).await.ok();
    upload.complete(&server).await.ok();
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_slowly_on_many_connections_keeps_nobody_else_out() {
    let server = Server::start();
    server.lift_limits().await;
    let share = server.share("Projects").await;
    let large = 4 << 20;
    let body = json!({ "share_id": share, "file_name": "slow", "file_size": large });
    let slow = server.post("/uploads", &body).await.created().json["session_id"].as_str().unwrap().to_owned();
    let address = server.url.strip_prefix("http://").unwrap();
    let _connections: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut connection = TcpStream::connect(address).unwrap();
            let head = format!(
                "PUT /api/v1/uploads/{slow}/chunks/0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
                 Content-Length: {large}\r\n\r\nx",
                server.token
            );
            connection.write_all(head.as_bytes()).unwrap();
            connection
        })
        .collect();
    let other = json!({ "id": "other", "email": "other@example.com" });
    server.post("/admin/users", &other).await.created();
    let member = json!({ "principal_type": "user", "principal_id": "other", "role": "contributor" });
    server.post(&format!("/shares/{share}/members"), &member).await.created();
    let token = server.mint(server.tenant(), "other", &[Scope::FilesWrite]);
    let quick = server.client.post(format!("{}/api/v1/uploads", server.url)).bearer_auth(&token);
    let body = json!({ "share_id": share, "file_name": "quick", "file_size": large });
    let quick = Reply::of(quick.json(&body)).await.created().json["session_id"].as_str().unwrap().to_owned();
    let url = format!("{}/api/v1/uploads/{quick}", server.url);
    Reply::of(server.client.put(format!("{url}/chunks/0")).bearer_auth(&token).body(vec![7; large]))
        .await
        .ok();
    Reply::of(server.client.post(format!("{url}/complete")).bearer_auth(&token)).await.ok();
    // A session is its user's own, whatever the others may do in the share.
    server.get(&format!("/uploads/{quick}")).await.refused(404, "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_and_completions_cost_as_transfers_do() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let upload = Upload::begin(&server, &share, "a", noise(7, PART)).await;
    let left = |reply: &Reply| reply.header("x-ratelimit-remaining").parse::<i64>().unwrap();
    let looked = left(&server.get(&upload.path()).await.ok());
    let sent = left(&upload.send(&server, 0).await.ok());
    let completed = left(&upload.complete(&server).await.ok());
    assert_eq!((looked - sent, sent - completed), (5, 5));
    server.stop_and_check().await;
}
