//! Ranges and conditions: what a client has, wants a part of, or insists on.

use reqwest::Method;
use reqwest::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};
use serde_json::json;

use crate::server::{Reply, Server, noise, sha256};

#[tokio::test(flavor = "multi_thread")]
async fn ranges_give_exactly_what_was_asked() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let bytes = noise(4, 2_000_000);
    let id = server.upload(&share, None, "a.bin", bytes.clone()).await.created().id();
    let path = format!("/files/{id}/content");
    let ask = |range: &str| Reply::of(server.request(Method::GET, &path).header(RANGE, range));
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=999990-1000009", 999_990, 1_000_010),
        ("bytes=-5", 1_999_995, 2_000_000),
        ("bytes=1500000-", 1_500_000, 2_000_000),
    ] {
        let reply = ask(range).await;
        assert_eq!(reply.status, 206);
        assert_eq!(reply.header("content-range"), format!("bytes {from}-{}/2000000", to - 1));
        assert!(reply.bytes == bytes[from..to], "{range}");
    }
    let several = ask("bytes=0-9,1999990-").await;
    assert!(several.header("content-type").starts_with("multipart/byteranges"));
    assert_eq!(several.header("content-length"), several.bytes.len().to_string());
    let boundary = several.header("content-type").split_once("boundary=").unwrap().1.to_owned();
    let parts = split_parts(&several.bytes, &boundary);
    assert_eq!(parts.len(), 2);
    assert!(parts[0].0.contains("Content-Range: bytes 0-9/2000000") && parts[0].1 == bytes[..10]);
    assert!(parts[1].1 == bytes[1_999_990..]);
    assert_eq!(ask("pages=1-2").await.ok().bytes.len(), bytes.len());
    for malformed in
        ["bytes", "bytes=", "bytes=5-1", "bytes=a-b", "bytes=1-2-3", "bytes=--1", &"bytes=0-0,".repeat(70)]
    {
        ask(malformed).await.refused(400, "BAD_REQUEST");
    }
    for outside in ["bytes=2000000-", "bytes=9999999999999999999999-", "bytes=-0"] {
        let reply = ask(outside).await.refused(416, "RANGE_NOT_SATISFIABLE");
        assert_eq!(reply.header("content-range"), "bytes */2000000");
    }
    server.stop_and_check().await;
}

fn split_parts(body: &[u8], boundary: &str) -> Vec<(String, Vec<u8>)> {
    let mark = format!("\r\n--{boundary}");
    let mut rest = body;
    let mut parts = Vec::new();
    while let Some(at) = find(rest, mark.as_bytes()) {
        if !rest[..at].is_empty() {
            let head = find(rest, b"\r\n\r\n").unwrap();
            parts.push((String::from_utf8(rest[..head].to_vec()).unwrap(), rest[head + 4..at].to_vec()));
        }
        rest = &rest[at + mark.len()..];
    }
    assert_eq!(rest, b"--\r\n");
    parts
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_is_whole_and_has_no_range() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let id = server.upload(&share, None, "empty", "").await.created().id();
    let reply = server.content(&id).await.ok();
    assert_eq!((reply.bytes.len(), reply.header("content-length")), (0, "0"));
    let ranged = server.request(Method::GET, &format!("/files/{id}/content")).header(RANGE, "bytes=0-");
    Reply::of(ranged).await.refused(416, "RANGE_NOT_SATISFIABLE");
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_tell_what_the_bytes_are() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let id = server.upload(&share, None, "Übung 1.html", "<script>").await.created().id();
    let reply = server.content(&id).await.ok();
    assert_eq!(reply.header("etag"), format!("\"{}\"", sha256(b"<script>")));
    assert_eq!(
        reply.header("content-disposition"),
        "attachment; filename=\"_bung 1.html\"; filename*=UTF-8''%C3%9Cbung%201.html"
    );
    assert_eq!((reply.header("x-content-type-options"), reply.header("accept-ranges")), ("nosniff", "bytes"));
    assert!(reply.header("digest").starts_with("sha-256="));
    let head = server.request(Method::HEAD, &format!("/files/{id}/content")).send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.headers()["content-length"].to_str().unwrap()), (200, "8"));
    assert!(head.bytes().await.unwrap().is_empty());
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_client_has_is_not_sent_again() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let file = server.upload(&share, None, "a.txt", "one").await.created();
    let (id, old) = (file.id(), format!("\"{}\"", sha256(b"one")));
    let path = format!("/files/{id}/content");
    let ask = |name, value: &str| Reply::of(server.request(Method::GET, &path).header(name, value));
    let same = ask(IF_NONE_MATCH, &old).await;
    assert_eq!((same.status.as_u16(), same.header("etag"), same.bytes.len()), (304, old.as_str(), 0));
    let date = server.content(&id).await.header("last-modified").to_owned();
    assert_eq!(ask(IF_MODIFIED_SINCE, &date).await.status, 304);
    let half = server.request(Method::GET, &path).header(RANGE, "bytes=0-0").header(IF_RANGE, &old);
    assert_eq!(Reply::of(half).await.status, 206);
    server.put(&id, "two").await.ok();
    assert_eq!(ask(IF_NONE_MATCH, &old).await.ok().bytes, "two");
    let half = server.request(Method::GET, &path).header(RANGE, "bytes=0-0").header(IF_RANGE, &old);
    assert_eq!(Reply::of(half).await.ok().bytes, "two");

    let metadata = server.get(&format!("/files/{id}")).await.ok();
    let held =
        server.request(Method::GET, &format!("/files/{id}")).header(IF_NONE_MATCH, metadata.header("etag"));
    assert_eq!(Reply::of(held).await.status, 304);
    server.patch(&format!("/files/{id}"), &json!({ "name": "b.txt" })).await.ok();
    assert_ne!(server.get(&format!("/files/{id}")).await.ok().header("etag"), metadata.header("etag"));
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_on_a_stale_base_is_refused() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let file = server.upload(&share, None, "a.txt", "one").await.created();
    let (id, first_version) = (file.id(), file.json["version_id"].as_str().unwrap().to_owned());
    let put = |tag: String, body: &'static str| {
        Reply::of(
            server.request(Method::PUT, &format!("/files/{id}/content")).header(IF_MATCH, tag).body(body),
        )
    };
    put(format!("\"{}\"", sha256(b"one")), "two").await.ok();
    put(format!("\"{first_version}\""), "three").await.refused(412, "PRECONDITION_FAILED");
    put("\"nonsense\"".to_owned(), "three").await.refused(412, "PRECONDITION_FAILED");
    let current =
        server.get(&format!("/files/{id}")).await.ok().json["version_id"].as_str().unwrap().to_owned();
    put(format!("\"{current}\""), "three").await.ok();
    put("*".to_owned(), "four").await.ok();
    let rename = server.request(Method::PATCH, &format!("/files/{id}")).json(&json!({ "name": "b" }));
    Reply::of(rename.header(IF_MATCH, "\"old\"")).await.refused(412, "PRECONDITION_FAILED");
    assert_eq!(server.content(&id).await.ok().bytes, "four");
    let folder = server.folder(&share, None, "F").await;
    let tag = server.get(&format!("/folders/{folder}")).await.ok().header("etag").to_owned();
    let rename = |tag: String, name: &str| {
        let body = json!({ "name": name });
        Reply::of(
            server.request(Method::PATCH, &format!("/folders/{folder}")).header(IF_MATCH, tag).json(&body),
        )
    };
    rename(tag.clone(), "G").await.ok();
    rename(tag, "H").await.refused(412, "PRECONDITION_FAILED");
    server.stop_and_check().await;
}
