//! The feed over HTTP: pages, cursors, waiting, snapshots, devices.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use scaidrive_core::model::Scope;
use serde_json::{Value, json};

use crate::server::{Reply, Server};

impl Server {
    pub(crate) async fn cursor(&self) -> i64 {
        self.get("/sync/changes").await.ok().json["cursor"].as_i64().unwrap()
    }

    /// Asks as somebody else.
    fn asks(&self, token: &str, path: &str) -> reqwest::RequestBuilder {
        self.client.get(format!("{}/api/v1{path}", self.url)).bearer_auth(token)
    }

    /// Makes a user who is a reader of a share; returns its token.
    pub(crate) async fn reader(&self, share: &str, id: &str) -> String {
        self.post("/admin/users", &json!({ "id": id })).await.created();
        let member = json!({ "principal_type": "user", "principal_id": id, "role": "reader" });
        self.post(&format!("/shares/{share}/members"), &member).await.created();
        self.mint(self.tenant(), id, &[Scope::FilesRead])
    }

    pub(crate) async fn metric_line(&self, line: &str) -> Option<String> {
        let text = self.client.get(format!("{}/metrics", self.operators)).send().await.unwrap();
        let text = text.text().await.unwrap();
        text.lines().find_map(|found| found.strip_prefix(line).map(|rest| rest.trim().to_owned()))
    }
}

fn kinds(page: &Value) -> Vec<(&str, &str)> {
    let word = |change: &'_ Value, name: &str| change[name].as_str().unwrap().to_owned();
    let all = page["changes"].as_array().unwrap();
    all.iter()
        .map(|change| (change["change_type"].as_str().unwrap(), change["resource_type"].as_str().unwrap()))
        .inspect(|_| assert!(all.iter().all(|change| word(change, "id").starts_with("chg_"))))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_the_cursor_of_a_share_or_of_all() {
    let server = Server::start();
    let (one, other) = (server.share("One").await, server.share("Other").await);
    let now = server.get("/sync/changes").await.ok().json;
    assert_eq!(
        (&now["changes"], &now["has_more"], &now["share_id"]),
        (&json!([]), &json!(false), &json!(null))
    );
    let start = now["cursor"].as_i64().unwrap();
    let folder = server.folder(&one, None, "F").await;
    let file = server.upload(&one, Some(&folder), "a.txt", "12345").await.created().json;
    server.upload(&other, None, "b.txt", "x").await.created();
    let page = server.get(&format!("/sync/changes?share_id={one}&cursor={start}&limit=1")).await.ok();
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!((kinds(&page.json), &page.json["has_more"]), (vec![("created", "folder")], &json!(true)));
    let next = &page.json["cursor"];
    let page = server.get(&format!("/sync/changes?share_id={one}&cursor={next}&limit=1")).await.ok().json;
    let change = &page["changes"][0];
    assert_eq!((&page["has_more"], &page["cursor"]), (&json!(false), &json!(start + 3)), "{page}");
    for (field, value) in [
        ("resource_id", &file["id"]),
        ("share_id", &json!(one)),
        ("new_path", &json!("/F/a.txt")),
        ("version_id", &file["version_id"]),
        ("tenant_id", &file["tenant_id"]),
        ("changed_by", &file["created_by"]),
    ] {
        assert_eq!(&change[field], value, "{field}");
    }
    let told = &change["metadata"];
    assert_eq!(
        (&told["size"], &told["name"], &told["parent_id"]),
        (&json!(5), &json!("a.txt"), &json!(folder))
    );
    assert_eq!(told["checksum_sha256"], file["checksum_sha256"]);
    let all = server.get(&format!("/sync/changes?cursor={start}")).await.ok().json;
    assert_eq!(kinds(&all).len(), 3);
    assert_eq!(server.metric_line("scaidrive_sync_changes_fetched_total").await.as_deref(), Some("5"));
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_and_bounds_that_cannot_be_are_refused() {
    let server = Server::start();
    let share = server.share("One").await;
    let head = server.cursor().await;
    for beyond in
        [(head + 1).to_string(), "9223372036854775807".to_owned(), "99999999999999999999".to_owned()]
    {
        server.get(&format!("/sync/changes?cursor={beyond}")).await.refused(410, "CURSOR_EXPIRED");
    }
    for wrong in ["cursor=-1", "cursor=x", "limit=0", "limit=5001", "wait=51", "wait=-1"] {
        server.get(&format!("/sync/changes?{wrong}")).await.refused(422, "VALIDATION_FAILED");
    }
    for unknown in ["shr_01ARZ3NDEKTSV4RRFFQ69G5FAV", "nonsense"] {
        server.get(&format!("/sync/changes?share_id={unknown}")).await.refused(404, "NOT_FOUND");
        server.get(&format!("/sync/snapshot?share_id={unknown}")).await.refused(404, "NOT_FOUND");
    }
    server.get("/sync/snapshot").await.refused(422, "VALIDATION_FAILED");
    server.get(&format!("/sync/changes?cursor={head}&limit=5000&share_id={share}")).await.ok();
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_waits_is_answered_by_the_change_it_waits_for() {
    let server = Server::start();
    let (share, other) = (server.share("One").await, server.share("Other").await);
    let token = server.reader(&share, "usr_reader").await;
    let start = server.cursor().await;
    let path = format!("/sync/changes?share_id={share}&cursor={start}&wait=50");
    let began = Instant::now();
    let waits = tokio::spawn(Reply::of(server.asks(&token, &path)));
    // What it may not see, and what happens elsewhere, does not answer it.
    server.upload(&other, None, "elsewhere.txt", "x").await.created();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waits.is_finished());
    server.upload(&share, None, "a.txt", "x").await.created();
    let page = waits.await.unwrap().ok().json;
    assert_eq!(kinds(&page), [("created", "file")]);
    assert!(began.elapsed() < Duration::from_secs(40), "it was woken");
    let began = Instant::now();
    let path = format!("/sync/changes?share_id={share}&cursor={}&wait=1", page["cursor"]);
    let page = server.get(&path).await.ok().json;
    assert_eq!(kinds(&page), []);
    assert!(began.elapsed() >= Duration::from_secs(1));
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_wait_hold_nothing_that_others_need() {
    let server = Server::start();
    server.lift_limits().await;
    let share = server.share("One").await;
    let start = server.cursor().await;
    let path = format!("/sync/changes?share_id={share}&cursor={start}&wait=50");
    let wait = || tokio::spawn(Reply::of(server.request(Method::GET, &path)));
    let waiting: Vec<_> = (0..200).map(|_| wait()).collect();
    // Each reads the database once before it waits.
    tokio::time::sleep(Duration::from_millis(500)).await;
    for number in 0..20 {
        let began = Instant::now();
        server.get(&format!("/shares/{share}")).await.ok();
        assert!(began.elapsed() < Duration::from_secs(5), "request {number} found no connection");
    }
    assert!(waiting.iter().all(|waits| !waits.is_finished()));
    server.upload(&share, None, "a.txt", "x").await.created();
    for waits in waiting {
        assert_eq!(kinds(&waits.await.unwrap().ok().json), [("created", "file")]);
    }
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_loses_the_share_while_waiting_is_told_at_once() {
    let server = Server::start();
    let share = server.share("One").await;
    let token = server.reader(&share, "usr_reader").await;
    let start = server.cursor().await;
    let path = format!("/sync/changes?share_id={share}&cursor={start}&wait=50");
    let began = Instant::now();
    let (lost, suspended) =
        (tokio::spawn(Reply::of(server.asks(&token, &path))), server.reader(&share, "usr_other").await);
    // Its joining was a change: from there on.
    let path = format!("/sync/changes?share_id={share}&wait=50");
    let suspended = tokio::spawn(Reply::of(server.asks(&suspended, &path)));
    assert_eq!(kinds(&lost.await.unwrap().ok().json), [("updated", "share")]);
    let path = format!("/sync/changes?share_id={share}&cursor={}&wait=50", server.cursor().await);
    let lost = tokio::spawn(Reply::of(server.asks(&token, &path)));
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.post("/admin/users/usr_other/suspend", &json!({})).await.ok();
    suspended.await.unwrap().refused(403, "AUTHZ_USER_SUSPENDED");
    let members = server.get(&format!("/shares/{share}/members")).await.ok().json;
    let mine =
        members["members"].as_array().unwrap().iter().find(|m| m["principal_id"] == "usr_reader").unwrap();
    let id = mine["id"].as_str().unwrap();
    server.delete(&format!("/shares/{share}/members/{id}")).await.gone_well();
    lost.await.unwrap().refused(404, "NOT_FOUND");
    assert!(began.elapsed() < Duration::from_secs(40), "they were woken");
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_with_the_client_and_with_the_server() {
    let mut server = Server::start();
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    let ask = || {
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        let head = format!(
            "GET /api/v1/sync/changes?wait=50 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
            server.token
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    let began = Instant::now();
    let line = "scaidrive_requests_total{method=\"GET\",path=\"/api/v1/sync/changes\",status=\"200\"}";
    let gone = ask();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(server.metric_line(line).await, None, "it waits");
    drop(gone);
    while server.metric_line(line).await.is_none() {
        assert!(began.elapsed() < Duration::from_secs(40), "nobody noticed that the client has gone");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut stays = ask();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = Instant::now();
    server.stop();
    let mut answer = String::new();
    stays.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"changes\":[]"), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(20), "the stop waited");
    server.restart();
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_a_cursor_and_a_line_for_each_thing() {
    let server = Server::start();
    let share = server.share("One").await;
    let folder = server.folder(&share, None, "F").await;
    let file = server.upload(&share, Some(&folder), "a.txt", "12345").await.created().json;
    let trashed = server.upload(&share, None, "old.txt", "x").await.created().id();
    server.delete(&format!("/files/{trashed}")).await.gone_well();
    let reply = server.get(&format!("/sync/snapshot?share_id={share}")).await.ok();
    assert_eq!(reply.header("content-type"), "application/x-ndjson");
    let text = String::from_utf8(reply.bytes.to_vec()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], json!({ "cursor": server.cursor().await, "share_id": share }));
    assert_eq!(lines.len(), 3, "{text}");
    let (dir, doc) = (&lines[1], &lines[2]);
    assert_eq!(
        (&dir["resource_type"], &dir["resource_id"], &dir["path"]),
        (&json!("folder"), &json!(folder), &json!("/F"))
    );
    assert_eq!((&dir["parent_id"], &dir["name"], dir.get("size")), (&json!(null), &json!("F"), None));
    for (field, value) in [
        ("resource_type", &json!("file")),
        ("resource_id", &file["id"]),
        ("parent_id", &json!(folder)),
        ("name", &json!("a.txt")),
        ("path", &json!("/F/a.txt")),
        ("version_id", &file["version_id"]),
        ("version", &json!(1)),
        ("size", &json!(5)),
        ("checksum_sha256", &file["checksum_sha256"]),
        ("mime_type", &file["mime_type"]),
        ("modified_at", &file["modified_at"]),
    ] {
        assert_eq!(&doc[field], value, "{field}");
    }
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_are_registered_listed_and_removed() {
    let server = Server::start();
    let share = server.share("One").await;
    let id = "laptop 7/ä";
    let body = json!({ "device_id": id, "device_name": "L", "platform": "linux", "client_version": "1.2" });
    let device = server.post("/sync/devices", &body).await.created().json;
    assert!(device["id"].as_str().unwrap().starts_with("dev_") && device["is_active"] == true, "{device}");
    let body = json!({ "device_id": id, "device_name": "L2", "platform": "linux", "client_version": "1.3" });
    let again = server.post("/sync/devices", &body).await.ok().json;
    assert_eq!((&again["id"], &again["device_name"]), (&device["id"], &json!("L2")));
    let all = server.get("/sync/devices").await.ok().json;
    assert_eq!((all.as_array().unwrap().len(), &all[0]["client_version"]), (1, &json!("1.3")));
    for wrong in [
        json!({ "device_id": "", "device_name": "L" }),
        json!({ "device_id": "x".repeat(129), "device_name": "L" }),
        json!({ "device_id": "a\nb", "device_name": "L" }),
        json!({ "device_id": "a", "device_name": "" }),
        json!({ "device_id": "a", "device_name": "x".repeat(256) }),
        json!({ "device_id": "a" }),
    ] {
        server.post("/sync/devices", &wrong).await.refused(422, "VALIDATION_FAILED");
    }
    let encoded = "laptop%207%2F%C3%A4";
    server.get(&format!("/sync/status?share_id={share}&device_id={encoded}")).await.ok();
    server.delete(&format!("/sync/devices/{encoded}")).await.gone_well();
    server.delete(&format!("/sync/devices/{encoded}")).await.refused(404, "NOT_FOUND");
    for what in ["status", "preferences"] {
        let path = format!("/sync/{what}?share_id={share}&device_id={encoded}");
        server.get(&path).await.refused(404, "NOT_FOUND");
    }
    assert_eq!(server.get("/sync/devices").await.ok().json, json!([]));
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_has_a_cursor_and_preferences_in_each_share() {
    let server = Server::start();
    let share = server.share("One").await;
    server.post("/sync/devices", &json!({ "device_id": "laptop", "device_name": "L" })).await.created();
    let query = format!("share_id={share}&device_id=laptop");
    let head = server.cursor().await;
    let status = server.get(&format!("/sync/status?{query}")).await.ok().json;
    let expected = json!({
        "cursor_position": head, "last_sync_at": null, "pending_changes": 0, "has_conflicts": false,
    });
    assert_eq!(status, expected);
    server.upload(&share, None, "a.txt", "x").await.created();
    assert_eq!(server.get(&format!("/sync/status?{query}")).await.ok().json["pending_changes"], 1);
    let set = async |position: i64| {
        server.post(&format!("/sync/cursor?{query}&position={position}"), &json!({})).await
    };
    let moved = set(head + 1).await.ok().json;
    assert!(moved["cursor_position"] == head + 1 && moved["last_sync_at"].is_string(), "{moved}");
    set(head - 1).await.ok();
    for wrong in [head + 2, -1] {
        set(wrong).await.refused(422, "VALIDATION_FAILED");
    }
    server.post(&format!("/sync/cursor?{query}"), &json!({})).await.refused(422, "VALIDATION_FAILED");
    let wanted = json!({ "mode": "selected", "folders": ["fld_x", "/a/b"] });
    let path = format!("/sync/preferences?{query}");
    assert_eq!(server.get(&path).await.ok().json, json!({ "mode": "all", "folders": [] }));
    assert_eq!(Reply::of(server.request(Method::PUT, &path).json(&wanted)).await.ok().json, wanted);
    assert_eq!(server.get(&path).await.ok().json, wanted);
    let wrong = server.request(Method::PUT, &path).json(&json!({ "mode": "some" }));
    Reply::of(wrong).await.refused(422, "VALIDATION_FAILED");
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_may_name_its_device_and_metrics_may_name_shares() {
    let server = Server::start_with(&[("SCAIDRIVE_METRICS_DETAIL", "1")]);
    let share = server.share("One").await;
    let start = server.cursor().await;
    let make = |device: &str| {
        let body = json!({ "share_id": share, "name": device });
        server.request(Method::POST, "/folders").header("X-Device-Id", device).json(&body)
    };
    Reply::of(make("laptop")).await.created();
    Reply::of(make(&"x".repeat(129))).await.refused(400, "BAD_REQUEST");
    let page = server.get(&format!("/sync/changes?cursor={start}")).await.ok().json;
    assert_eq!(page["changes"][0]["metadata"]["device_id"], "laptop");
    server.post("/sync/devices", &json!({ "device_id": "laptop", "device_name": "L" })).await.created();
    server.get(&format!("/sync/status?share_id={share}&device_id=laptop")).await.ok();
    let line = format!("scaidrive_sync_changes_fetched_total{{share_id=\"{share}\"}}");
    assert_eq!(server.metric_line(&line).await.as_deref(), Some("1"));
    let line = "scaidrive_sync_cursor_lag_seconds{device_id=\"laptop\"}";
    assert_eq!(server.metric_line(line).await.as_deref(), Some("0"));
    let key = |key: &str| {
        let body = json!({ "device_id": "phone", "device_name": "P" });
        server.request(Method::POST, "/sync/devices").header("Idempotency-Key", key).json(&body)
    };
    let first = Reply::of(key("k")).await.created().json;
    let again = Reply::of(key("k")).await;
    assert_eq!((again.status, &again.json), (StatusCode::CREATED, &first), "the same answer again");
    server.stop_and_check().await;
}
