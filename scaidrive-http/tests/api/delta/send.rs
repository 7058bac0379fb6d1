//! Chunks on their way in: what is new, what is refused, what is kept.

use reqwest::{Body, Method};
use scaidrive_core::model::Scope;
use serde_json::{Value, json};

use super::{framed, statuses};
use crate::server::{Reply, Server, noise, sha256};

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_is_new_once_and_then_known() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let hashes = [sha256(b"one"), sha256(b"never")];
    assert_eq!(server.missing(&share, &hashes).await, hashes);
    let reply = server.put_chunk(&share, b"one").await.created();
    assert_eq!(reply.json, json!({ "sha256": hashes[0], "size": 3, "status": "created" }));
    assert_eq!(server.put_chunk(&share, b"one").await.ok().json["status"], "exists");
    let asked = [&hashes[..], &hashes[..]].concat();
    assert_eq!(server.missing(&share, &asked).await, hashes[1..]);
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_that_are_not_what_they_say_are_refused() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let put = |hash: &str, bytes: Vec<u8>| {
        let path = format!("/sync/chunks/{hash}?share_id={share}");
        Reply::of(server.request(Method::PUT, &path).body(bytes))
    };
    put(&sha256(b"a"), b"b".to_vec()).await.refused(422, "CHECKSUM_MISMATCH");
    put(&sha256(b""), Vec::new()).await.refused(422, "VALIDATION_FAILED");
    put("no-hash", b"a".to_vec()).await.refused(400, "BAD_REQUEST");
    let large = noise(1, (1 << 20) + 1);
    put(&sha256(&large), large.clone()).await.refused(413, "PAYLOAD_TOO_LARGE");
    let unsized_body =
        Body::wrap_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(large.clone())]));
    let path = format!("/sync/chunks/{}?share_id={share}", sha256(&large));
    let unsized_put = Reply::of(server.request(Method::PUT, &path).body(unsized_body));
    unsized_put.await.refused(413, "PAYLOAD_TOO_LARGE");
    put(&sha256(&large[1..]), large[1..].to_vec()).await.created();
    let path = format!("/sync/chunks/{}", sha256(b"a"));
    let nowhere = |query: &str| Reply::of(server.request(Method::PUT, &format!("{path}{query}")).body("a"));
    nowhere("").await.refused(422, "VALIDATION_FAILED");
    nowhere("?share_id=x").await.refused(422, "VALIDATION_FAILED");
    nowhere("?share_id=shr_01ARZ3NDEKTSV4RRFFQ69G5FAV").await.refused(404, "NOT_FOUND");
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_have_a_size_and_a_form() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let ask = |hashes: Value| {
        let body = json!({ "share_id": share, "hashes": hashes });
        let server = &server;
        async move { server.post("/sync/chunks/check", &body).await }
    };
    let hash = sha256(b"x");
    let many = |number: usize| json!(vec![hash.clone(); number]);
    assert_eq!(ask(many(10_000)).await.ok().json["missing"], json!([hash]));
    for number in [10_001, 20_000, 1_000_000] {
        let refused = ask(many(number)).await.refused(422, "VALIDATION_FAILED");
        assert_eq!(refused.json["detail"][0]["loc"], json!(["body", "hashes"]), "{number}");
    }
    for wrong in [json!(["x"]), json!([1]), json!("x"), json!([hash, hash[1..]]), Value::Null] {
        let refused = ask(wrong).await.refused(422, "VALIDATION_FAILED");
        assert_eq!(refused.json["detail"][0]["loc"][0], "body");
    }
    server.post("/sync/chunks/check", &json!({ "hashes": [] })).await.refused(422, "VALIDATION_FAILED");
    assert_eq!(ask(json!([])).await.ok().json, json!({ "missing": [] }));
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_chunks_travel_in_one_body_each_with_its_own_answer() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let mut body = framed([&b"one"[..], b"two"]);
    let wrong = framed([&b"three"[..]]);
    body.extend_from_slice(&wrong[..40]);
    body.extend_from_slice(b"T");
    let large = noise(2, (1 << 20) + 1);
    body.extend(framed([&large[..], b"", b"one", b"four"]));
    let reply = server.put_frames(&share, body).await.ok();
    let (mismatch, too_large, invalid) = ("CHECKSUM_MISMATCH", "PAYLOAD_TOO_LARGE", "VALIDATION_FAILED");
    assert_eq!(statuses(&reply), ["created", "created", mismatch, too_large, invalid, "exists", "created"]);
    assert_eq!(reply.json["results"][0]["sha256"], sha256(b"one"));
    assert!(server.put_frames(&share, Vec::new()).await.ok().json["results"].as_array().unwrap().is_empty());
    let hashes = [&b"one"[..], b"two", b"three", b"four"].map(sha256);
    assert_eq!(server.missing(&share, &hashes).await, [sha256(b"three")]);
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_body_keeps_the_frames_before_the_tear() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let contents: Vec<Vec<u8>> = (0..200).map(|number| noise(number + 1, 100_000)).collect();
    let body = framed(contents.iter().map(Vec::as_slice));
    let torn = body[..body.len() - 1].to_vec();
    server.put_frames(&share, torn).await.refused(400, "BAD_REQUEST");
    let hashes: Vec<String> = contents.iter().map(|content| sha256(content)).collect();
    assert_eq!(server.missing(&share, &hashes).await, hashes[199..]);
    server.put_frames(&share, b"no frame".to_vec()).await.refused(400, "BAD_REQUEST");
    let reply = server.put_frames(&share, body).await.ok();
    assert_eq!(statuses(&reply), [vec!["exists"; 199], vec!["created"]].concat());
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_more_than_64_mib_is_refused() {
    let server = Server::start();
    server.lift_limits().await;
    let share = server.share("Projects").await;
    let content = noise(3, 1 << 20);
    let fits = framed(std::iter::repeat_n(content.as_slice(), 63));
    assert_eq!(statuses(&server.put_frames(&share, fits.clone()).await.ok()).len(), 63);
    let body = framed(std::iter::repeat_n(content.as_slice(), 64));
    server.put_frames(&share, body.clone()).await.refused(413, "PAYLOAD_TOO_LARGE");
    let pieces: Vec<_> = body.chunks(1 << 20).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    let unsized_body = Body::wrap_stream(futures_util::stream::iter(pieces));
    server.put_frames(&share, unsized_body).await.refused(413, "PAYLOAD_TOO_LARGE");
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_ends_what_may_be_pending() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let quota = json!({ "limit_bytes": 1000 });
    let path = "/quotas/users/admin";
    Reply::of(server.request(Method::PUT, path).json(&quota)).await.ok();
    server.put_chunk(&share, &noise(1, 600)).await.created();
    let refused = server.put_chunk(&share, &noise(2, 600)).await.refused(507, "QUOTA_EXCEEDED");
    assert_eq!(refused.json["error"]["details"]["level"], "user");
    let body = framed([&noise(2, 600)[..]]);
    server.put_frames(&share, body).await.refused(507, "QUOTA_EXCEEDED");
    server.put_chunk(&share, &noise(1, 600)).await.ok();
    server.put_chunk(&share, &noise(3, 400)).await.created();
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_read_sends_nothing_and_strangers_learn_nothing() {
    let mut server = Server::start();
    let share = server.share("Projects").await;
    server.upload(&share, None, "a", "secret").await.created();
    server.put_chunk(&share, b"sent").await.created();
    for id in ["usr_reader", "usr_stranger"] {
        server.post("/admin/users", &json!({ "id": id })).await.created();
    }
    let member = json!({ "principal_type": "user", "principal_id": "usr_reader", "role": "reader" });
    server.post(&format!("/shares/{share}/members"), &member).await.created();
    server.token = server.mint(server.tenant(), "usr_reader", &[Scope::All]);
    server.put_chunk(&share, b"x").await.refused(403, "PERMISSION_DENIED");
    server.put_frames(&share, framed([&b"x"[..]])).await.refused(403, "PERMISSION_DENIED");
    let hashes = [&b"secret"[..], b"sent", b"never"].map(sha256);
    assert_eq!(server.missing(&share, &hashes).await, hashes[1..]);
    server.token = server.mint(server.tenant(), "usr_stranger", &[Scope::All]);
    server.put_chunk(&share, b"x").await.refused(404, "NOT_FOUND");
    for hash in &hashes {
        let asked = json!({ "share_id": share, "hashes": [hash] });
        server.post("/sync/chunks/check", &asked).await.refused(404, "NOT_FOUND");
    }
    server.stop_and_check().await;
}
