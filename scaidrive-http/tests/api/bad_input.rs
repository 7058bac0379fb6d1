//! What clients send that they should not: the right refusal, and nothing changed.

use std::io::{Read, Write};
use std::net::TcpStream;

use reqwest::{Body, Method};
use serde_json::json;

use crate::server::{Reply, Server, noise};

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_are_refused() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let long = "x".repeat(256);
    for name in ["a/b", "a\0b", ".", "..", "", "tab\there", "line\nbreak", "\u{7f}", long.as_str(), "\u{85}"]
    {
        let body = json!({ "share_id": share, "name": name });
        let reply = server.post("/folders", &body).await.refused(422, "VALIDATION_FAILED");
        assert_eq!(reply.json["detail"][0]["loc"], json!(["body", "name"]), "{name:?}");
        if !name.is_empty() {
            server.upload(&share, None, name, "x").await.refused(422, "VALIDATION_FAILED");
        }
    }
    assert!(server.names(&share, "root").await.is_empty());
    for odd in ["CON", "a:b*c?", "trailing ", "dots..", "😀", &"é".repeat(127), "-rf", "%2e%2e", "a\\b"] {
        server.upload(&share, None, odd, "x").await.created();
    }
    let composed = server.upload(&share, None, "e\u{301}", "x").await.created();
    assert_eq!(composed.json["name"], "\u{e9}");
    server.upload(&share, None, "\u{e9}", "x").await.refused(409, "NAME_CONFLICT");
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_that_lack_or_double_something_are_refused() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let part = || reqwest::multipart::Part::bytes(b"bytes".to_vec());
    let form = reqwest::multipart::Form::new;
    let send =
        |form: reqwest::multipart::Form| Reply::of(server.request(Method::POST, "/files").multipart(form));
    let missing = send(form().text("name", "a")).await.refused(422, "VALIDATION_FAILED");
    let named: Vec<_> =
        missing.json["detail"].as_array().unwrap().iter().map(|fault| fault["loc"][1].clone()).collect();
    assert_eq!(named, ["share_id", "file"]);
    send(form().part("file", part()).text("name", "a")).await.refused(422, "VALIDATION_FAILED");
    send(form().text("share_id", share.clone()).part("file", part())).await.refused(422, "VALIDATION_FAILED");
    send(form().text("share_id", "shr_x").part("file", part()).text("name", "a"))
        .await
        .refused(422, "VALIDATION_FAILED");
    let doubled =
        form().text("share_id", share.clone()).part("file", part()).part("file", part()).text("name", "a");
    send(doubled).await.refused(422, "VALIDATION_FAILED");
    let long = form().text("share_id", share.clone()).text("name", "x".repeat(10_000)).part("file", part());
    send(long).await.refused(422, "VALIDATION_FAILED");
    let absent =
        form().text("share_id", "shr_01ARZ3NDEKTSV4RRFFQ69G5FAV").text("name", "a").part("file", part());
    send(absent).await.refused(404, "NOT_FOUND");
    let plain = server.request(Method::POST, "/files").body("no form");
    Reply::of(plain).await.refused(400, "BAD_REQUEST");
    let torn =
        server.request(Method::POST, "/files").header("content-type", "multipart/form-data; boundary=x");
    Reply::of(torn.body("--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nhalf"))
        .await
        .refused(400, "BAD_REQUEST");
    assert!(server.names(&share, "root").await.is_empty());
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_cannot_be_are_not_found() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let folder = server.folder(&share, None, "F").await;
    let lower = folder.to_lowercase();
    for id in [
        "x",
        "fil_",
        "fil_0",
        &share,
        &lower,
        "fil_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "%20",
        "fil_01ARZ3NDEKTSV4RRFFQ69G5FA%56x",
        "..%2f",
    ] {
        server.get(&format!("/files/{id}")).await.refused(404, "NOT_FOUND");
        server.delete(&format!("/files/{id}")).await.refused(404, "NOT_FOUND");
        server.get(&format!("/folders/{id}/children?share_id={share}")).await.refused(404, "NOT_FOUND");
    }
    server.get("/files/%ff").await.refused(400, "BAD_REQUEST");
    let body = json!({ "share_id": share, "parent_id": share, "name": "x" });
    server.post("/folders", &body).await.refused(422, "VALIDATION_FAILED");
    let body = json!({ "share_id": share, "parent_id": "fld_01ARZ3NDEKTSV4RRFFQ69G5FAV", "name": "x" });
    server.post("/folders", &body).await.refused(404, "NOT_FOUND");
    let other = server.share("Other").await;
    let body = json!({ "share_id": other, "parent_id": folder, "name": "x" });
    server.post("/folders", &body).await.refused(404, "NOT_FOUND");
    for wrong in ["0", "-1", "x", "99999999999"] {
        let id = server.upload(&share, None, &format!("v{wrong}"), "x").await.created().id();
        server
            .post(&format!("/files/{id}/versions/{wrong}/restore"), &json!({}))
            .await
            .refused(404, "NOT_FOUND");
    }
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_of_the_wrong_kind_is_refused() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let send = |body: &'static str| {
        let request = server.request(Method::POST, "/folders").header("content-type", "application/json");
        Reply::of(request.body(body))
    };
    for syntax in ["", "{", "\u{feff}{}x", "{'a':1}", "nul"] {
        send(syntax).await.refused(400, "BAD_REQUEST");
    }
    for shape in ["[]", "7", "null", "{}", r#"{"share_id":7,"name":"x"}"#, r#"{"share_id":null,"name":"x"}"#]
    {
        send(shape).await.refused(422, "VALIDATION_FAILED");
    }
    let binary = server.request(Method::POST, "/folders").body(vec![0xff, 0xfe, b'{']);
    Reply::of(binary).await.refused(400, "BAD_REQUEST");
    let huge = server.request(Method::POST, "/folders").body(vec![b' '; 2 << 20]);
    let refused = Reply::of(huge).await.refused(413, "PAYLOAD_TOO_LARGE");
    assert_eq!(refused.header("connection"), "close", "what is left of the body is no request");
    let nested = "[".repeat(100_000);
    Reply::of(server.request(Method::POST, "/folders").body(nested)).await.refused(400, "BAD_REQUEST");
    let unknown = json!({ "share_id": share, "name": "x", "colour": "red" });
    server.post("/folders?also=unknown", &unknown).await.created();
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_methods_are_told_apart() {
    let server = Server::start();
    server.get("/nothing").await.refused(404, "NOT_FOUND");
    let reply = Reply::of(server.request(Method::PUT, "/shares")).await.refused(405, "METHOD_NOT_ALLOWED");
    assert_eq!(reply.header("allow"), "GET, POST");
    Reply::of(server.request(Method::from_bytes(b"BREW").unwrap(), "/shares"))
        .await
        .refused(405, "METHOD_NOT_ALLOWED");
    server.get("/shares/").await.ok();
    let outside = Reply::of(server.client.get(format!("{}/", server.url))).await;
    outside.refused(404, "NOT_FOUND");
    let large = server.request(Method::GET, "/shares").header("x-large", "x".repeat(10_000));
    Reply::of(large).await.refused(431, "BAD_REQUEST");
    server.get(&format!("/shares?x={}", "x".repeat(9000))).await.refused(414, "BAD_REQUEST");
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_over_the_cap_is_refused_and_leaves_nothing() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let id = server.upload(&share, None, "a", "before").await.created().id();
    set_cap(&server, 1_000_000).await;
    let big = noise(5, 1_000_001);
    server.upload(&share, None, "big", big.clone()).await.refused(413, "PAYLOAD_TOO_LARGE");
    server.put(&id, big.clone()).await.refused(413, "PAYLOAD_TOO_LARGE");
    // Without a length in its head the body is measured as it comes, and the answer arrives all the same.
    let pieces: Vec<_> =
        big.repeat(8).chunks(65_536).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    let stream = Body::wrap_stream(futures_util::stream::iter(pieces));
    let chunked = server.request(Method::PUT, &format!("/files/{id}/content")).body(stream);
    Reply::of(chunked).await.refused(413, "PAYLOAD_TOO_LARGE");
    server.put(&id, noise(5, 1_000_000)).await.ok();
    assert_eq!(server.names(&share, "root").await, ["a"]);
    server.collect().await;
    server.stop_and_check().await;
}

async fn set_cap(server: &Server, bytes: u64) {
    use scaidrive_core::services::tenants;
    let drive = server.drive().await;
    let caller = tenants::caller_for(&drive, server.tenant(), &"admin".parse().unwrap()).await.unwrap();
    let mut settings = tenants::get(&drive, server.tenant()).await.unwrap().settings;
    settings.max_file_size_bytes = bytes;
    tenants::set_settings(&drive, &caller, settings).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_cut_off_changes_nothing() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let id = server.upload(&share, None, "a", "before").await.created().id();
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    for cut in [0, 1, 100_000, 900_000] {
        let mut stream = TcpStream::connect(&address).unwrap();
        let head = format!(
            "PUT /api/v1/files/{id}/content HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 1000000\r\n\r\n",
            server.token
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&noise(6, cut)).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        // Told why, or simply hung up on: both are fine, as long as nothing changed.
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    let file = server.get(&format!("/files/{id}")).await.ok();
    assert_eq!(
        (file.json["version"].as_u64(), server.content(&id).await.ok().bytes.as_ref()),
        (Some(1), &b"before"[..])
    );
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_instead_of_http_harms_nobody() {
    let server = Server::start();
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    let garbage: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\x00\x01",
        b"GET\r\n\r\n",
        &[0xff; 10_000],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage",
        b"POST /api/v1/shares HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    ];
    for bytes in garbage {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 2") && !answer.starts_with(b"HTTP/1.1 5"), "{answer:?}");
    }
    server.get("/shares").await.ok();
    server.stop_and_check().await;
}
