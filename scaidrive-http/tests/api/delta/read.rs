//! Contents on their way out, what they cost, and that somebody read them.

use reqwest::Method;
use scaidrive_core::model::{FileName, ParentId, Scope};
use scaidrive_core::services::bulk::{self, BulkFile};
use scaidrive_core::services::tenants;
use serde_json::{Value, json};

use super::{framed, frames};
use crate::server::{Reply, Server, noise, sha256};

#[tokio::test(flavor = "multi_thread")]
async fn fetched_files_come_in_order_and_zeros_stand_for_what_does_not() {
    let mut server = Server::start();
    let share = server.share("Projects").await;
    let large = noise(4, 3_000_000);
    let a = server.upload(&share, None, "a", "first").await.created().id();
    let b = server.upload(&share, None, "b", large.clone()).await.created().id();
    let empty = server.upload(&share, None, "empty", "").await.created().id();
    let gone = server.upload(&share, None, "gone", "gone").await.created().id();
    server.delete(&format!("/files/{gone}")).await.gone_well();
    let never = "fil_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let asked = json!({ "file_ids": [b, a, never, empty, "nonsense", gone, a] });
    let reply = server.post("/sync/fetch", &asked).await.ok();
    let absent = ("0".repeat(64), Vec::new());
    let frame = |bytes: &[u8]| (sha256(bytes), bytes.to_vec());
    let wanted = [
        frame(&large),
        frame(b"first"),
        absent.clone(),
        frame(b""),
        absent.clone(),
        absent.clone(),
        frame(b"first"),
    ];
    assert!(frames(&reply.bytes) == wanted);
    assert_eq!(reply.header("content-length"), reply.bytes.len().to_string());
    assert!(server.post("/sync/fetch", &json!({ "file_ids": [] })).await.ok().bytes.is_empty());
    let many = json!({ "file_ids": vec![a.clone(); 1001] });
    server.post("/sync/fetch", &many).await.refused(422, "VALIDATION_FAILED");
    server.post("/sync/fetch", &json!({ "file_ids": a })).await.refused(422, "VALIDATION_FAILED");
    server.post("/admin/users", &json!({ "id": "usr_stranger" })).await.created();
    server.token = server.mint(server.tenant(), "usr_stranger", &[Scope::All]);
    let reply = server.post("/sync/fetch", &json!({ "file_ids": [a, never] })).await.ok();
    assert_eq!(frames(&reply.bytes), [absent.clone(), absent]);
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_small_files_are_fetched_at_once() {
    let server = Server::start();
    server.lift_limits().await;
    let share = server.share("Projects").await;
    let drive = server.drive().await;
    let caller = tenants::caller_for(&drive, server.tenant(), &"admin".parse().unwrap()).await.unwrap();
    let files = bulk::write(
        &drive,
        &caller,
        share.parse().unwrap(),
        (0..1000)
            .map(|number| BulkFile {
                parent: ParentId::Root(share.parse().unwrap()),
                name: FileName::parse(&format!("{number:04}")).unwrap(),
                modified_at: None,
                bytes: noise(number + 1, 1000).into(),
            })
            .collect(),
    );
    files.await.unwrap();
    drive.meta.close().await;
    let children = server.get(&format!("/folders/root/children?share_id={share}&limit=1000")).await.ok();
    let ids: Vec<&Value> =
        children.json["items"].as_array().unwrap().iter().map(|item| &item["id"]).collect();
    let reply = server.post("/sync/fetch", &json!({ "file_ids": ids })).await.ok();
    let wanted: Vec<_> = (0..1000).map(|number| noise(number + 1, 1000)).collect();
    let got: Vec<_> = frames(&reply.bytes).into_iter().map(|(_, bytes)| bytes).collect();
    assert!(got == wanted);
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_tell_how_each_version_is_cut() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let bytes = noise(5, 2_000_000);
    let file = server.upload(&share, None, "a", bytes.clone()).await.created();
    server.put(&file.id(), "short").await.ok();
    let old = server.get(&format!("/sync/manifest/{}?version=1", file.id())).await.ok().json;
    assert_eq!(old["checksum_sha256"], sha256(&bytes));
    assert_eq!((&old["version"], &old["size"]), (&json!(1), &json!(2_000_000)));
    assert_eq!(old["version_id"], file.json["version_id"]);
    assert_eq!(old["chunking"], server.get("/config").await.ok().json["chunking"]);
    let mut at = 0;
    for chunk in old["chunks"].as_array().unwrap() {
        let end = at + chunk["size"].as_u64().unwrap() as usize;
        assert_eq!(chunk["sha256"], sha256(&bytes[at..end]));
        at = end;
    }
    assert_eq!(at, bytes.len());
    let new = server.get(&format!("/sync/manifest/{}", file.id())).await.ok().json;
    assert_eq!(new["chunks"], json!([{ "sha256": sha256(b"short"), "size": 5 }]));
    server.get(&format!("/sync/manifest/{}?version=3", file.id())).await.refused(404, "NOT_FOUND");
    server.get(&format!("/sync/manifest/{}?version=x", file.id())).await.refused(422, "VALIDATION_FAILED");
    server.get("/sync/manifest/x").await.refused(404, "NOT_FOUND");
    let empty = server.upload(&share, None, "empty", "").await.created().id();
    assert_eq!(server.get(&format!("/sync/manifest/{empty}")).await.ok().json["chunks"], json!([]));
    server.delete(&format!("/files/{}", file.id())).await.gone_well();
    server.get(&format!("/sync/manifest/{}", file.id())).await.refused(410, "GONE");
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_take_their_range_from_the_query() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let bytes = noise(6, 1_000_000);
    let id = server.upload(&share, None, "a", bytes.clone()).await.created().id();
    let path = format!("/sync/download/{id}");
    let whole = server.get(&path).await.ok();
    assert!(whole.bytes == bytes);
    assert_eq!(whole.header("etag"), format!("\"{}\"", sha256(&bytes)));
    for (query, range) in [
        ("range_start=0&range_end=0", 0..1),
        ("range_start=300000&range_end=700000", 300_000..700_001),
        ("range_start=999999", 999_999..1_000_000),
        ("range_end=9", 0..10),
        ("range_start=999990&range_end=2000000", 999_990..1_000_000),
    ] {
        let reply = server.get(&format!("{path}?{query}")).await;
        assert_eq!(reply.status, 206, "{query}");
        assert!(reply.bytes == bytes[range.clone()], "{query}");
        let told = format!("bytes {}-{}/1000000", range.start, range.end - 1);
        assert_eq!(reply.header("content-range"), told);
    }
    server.get(&format!("{path}?range_start=1000000")).await.refused(416, "RANGE_NOT_SATISFIABLE");
    for wrong in ["range_start=x", "range_end=-1", "range_start=5&range_end=4"] {
        server.get(&format!("{path}?{wrong}")).await.refused(422, "VALIDATION_FAILED");
    }
    let header = Reply::of(server.request(Method::GET, &path).header("range", "bytes=5-9")).await;
    assert!(header.status == 206 && header.bytes == bytes[5..10]);
    server.put(&id, "new").await.ok();
    assert!(server.get(&format!("{path}?version=1&range_end=99")).await.bytes == bytes[..100]);
    server.get("/sync/download/x").await.refused(404, "NOT_FOUND");
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_cost_units_and_are_counted() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let left = |reply: &Reply| reply.header("x-ratelimit-remaining").parse::<i64>().unwrap();
    let chunk = vec![7; 1 << 20];
    let body = framed(std::iter::repeat_n(chunk.as_slice(), 9));
    let size = body.len() as u64;
    let before = left(&server.get("/users/me").await.ok());
    let sent = server.put_frames(&share, body).await.ok();
    assert_eq!(before - left(&sent), 3, "9 MiB and a little");
    let chunk = server.put_chunk(&share, b"small").await.created();
    assert_eq!(left(&sent) - left(&chunk), 1);
    let id = server.upload(&share, None, "a", noise(1, 12 << 20)).await.created().id();
    let before = left(&server.get("/users/me").await.ok());
    let whole = server.get(&format!("/sync/download/{id}")).await.ok();
    assert_eq!(before - left(&whole), 4);
    let part = server.get(&format!("/sync/download/{id}?range_end=99")).await;
    assert_eq!(left(&whole) - left(&part), 1);
    let fetched = server.post("/sync/fetch", &json!({ "file_ids": [id] })).await.ok();
    assert_eq!(left(&part) - left(&fetched), 4);
    let (up, down) = (
        server.metric("scaidrive_uploads_bytes_total").await,
        server.metric("scaidrive_downloads_bytes_total").await,
    );
    assert_eq!(up, size - 9 * 36 + 5 + (12 << 20));
    assert_eq!(down, 2 * (12 << 20) + 100 + 36);
    assert!(
        server.metric("scaidrive_chunks_deduplicated_total").await >= 7,
        "eight in one window, one object"
    );
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_larger_than_the_limit_can_be_had() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let id = server.upload(&share, None, "a", noise(1, 60 << 20)).await.created().id();
    let settings = json!({ "settings": { "rate_limit_token": 12 } });
    server.patch("/admin/tenant", &settings).await.ok();
    let fresh = server.mint(server.tenant(), "admin", &[Scope::FilesRead]);
    let ask = || server.client.get(format!("{}/api/v1/sync/download/{id}", server.url)).bearer_auth(&fresh);
    assert_eq!(Reply::of(ask()).await.ok().bytes.len(), 60 << 20);
    Reply::of(ask()).await.refused(429, "RATE_LIMITED");
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_are_in_the_audit() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let id = server.upload(&share, None, "a", "x").await.created().id();
    server.get(&format!("/sync/manifest/{id}")).await.ok();
    server.post("/sync/fetch", &json!({ "file_ids": [id] })).await.ok();
    server.get(&format!("/sync/download/{id}")).await.ok();
    let mut actions = Vec::new();
    for _ in 0..50 {
        let events = server.get(&format!("/admin/audit?resource_id={id}")).await.ok().json;
        let events = events["events"].as_array().unwrap().clone();
        actions = events.iter().map(|event| event["action"].as_str().unwrap().to_owned()).collect();
        if actions.len() == 4 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    actions.sort();
    assert_eq!(actions, ["file.create", "file.manifest", "file.read", "file.read"]);
    server.stop_and_check().await;
}
