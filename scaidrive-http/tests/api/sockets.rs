//! Sockets, with a real client: what they tell, whom they let stay, and what they cost.

pub(crate) mod client;
mod crowd;
mod hostile;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use scaidrive_core::adapters::issuer::EmbeddedIssuer;
use scaidrive_core::adapters::local::SystemClock;
use scaidrive_core::model::Scope;
use scaidrive_core::services::retention;
use serde_json::{Value, json};

use self::client::Client;
use crate::server::{Reply, Server};

/// Returns a token that is good for so long.
fn short_token(server: &Server, user: &str, life: Duration) -> String {
    let issuer = EmbeddedIssuer::open(server.dir.path(), Arc::new(SystemClock)).unwrap();
    issuer.mint(server.tenant(), &user.parse().unwrap(), &[Scope::FilesRead], life).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_seen_by_other_clients_as_the_feed_tells_it() {
    for server in Server::on_each() {
        let share = server.share("One").await;
        let token = server.reader(&share, "usr_reader").await;
        let mut follower = Client::follow(&server, &token, "laptop").await;
        let start = server.cursor().await;
        let folder = server.folder(&share, None, "F").await;
        let file = server.upload(&share, Some(&folder), "a.txt", "1").await.created().id();
        server.put(&file, "22").await.ok();
        server.patch(&format!("/files/{file}"), &json!({ "name": "b.txt" })).await.ok();
        server.delete(&format!("/files/{file}")).await.gone_well();
        server.delete(&format!("/folders/{folder}?permanent=true")).await.gone_well();
        let feed = Reply::of(
            server
                .client
                .get(format!("{}/api/v1/sync/changes?cursor={start}", server.url))
                .bearer_auth(&token),
        );
        let feed = feed.await.ok().json["changes"].as_array().unwrap().clone();
        let mut told = Vec::new();
        while told.last().is_none_or(|last: &Value| {
            last["change_type"] != "deleted" || last["resource_id"] != json!(folder)
        }) {
            let frame = follower.hear("change").await;
            assert_eq!(frame["share_id"], json!(share));
            told.push(frame["data"].clone());
        }
        // What is gone by now the feed leaves out; the socket may have told of it while it was there.
        let positions = |rows: &[Value]| -> Vec<i64> {
            rows.iter().map(|change| change["position"].as_i64().unwrap()).collect()
        };
        let (told_at, fed_at) = (positions(&told), positions(&feed));
        assert!(told_at.is_sorted_by(|one, next| one < next), "{told_at:?}");
        assert!(fed_at.len() >= 5 && fed_at.iter().all(|at| told_at.contains(at)), "{fed_at:?} {told_at:?}");
        assert_eq!(told.last(), feed.last(), "the same row");
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_watches_is_told_of_files_and_folders_as_they_are() {
    let server = Server::start();
    let (share, other) = (server.share("One").await, server.share("Other").await);
    let mut watcher = Client::watch(&server, &server.token, &share).await;
    server.upload(&other, None, "elsewhere", "x").await.created();
    let folder = server.folder(&share, None, "F").await;
    let told = watcher.hear("folder_created").await;
    assert_eq!((&told["share_id"], &told["data"]["id"]), (&json!(share), &json!(folder)));
    let file = server.upload(&share, Some(&folder), "a.txt", "1").await.created();
    assert_eq!(watcher.hear("file_created").await["data"], file.json);
    let id = file.id();
    let changed = server.put(&id, "22").await.ok().json;
    assert_eq!(watcher.hear("file_updated").await["data"], changed);
    server.patch(&format!("/folders/{folder}"), &json!({ "name": "G" })).await.ok();
    assert_eq!(watcher.hear("folder_updated").await["data"]["name"], "G");
    server.delete(&format!("/files/{id}")).await.gone_well();
    assert_eq!(watcher.hear("file_deleted").await["data"], json!({ "file_id": id }));
    server.delete(&format!("/folders/{folder}")).await.gone_well();
    assert_eq!(watcher.hear("folder_deleted").await["data"], json!({ "folder_id": folder }));
    watcher.say(&json!({ "type": "unsubscribe", "share_id": share })).await;
    assert_eq!(watcher.hear("unsubscribed").await["share_id"], json!(share));
    server.upload(&share, None, "b.txt", "x").await.created();
    watcher.hears_nothing().await;
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_stay_is_told_by_the_close_code() {
    let server = Server::start();
    server.post("/admin/users", &json!({ "id": "usr_out" })).await.created();
    server.post("/admin/users/usr_out/suspend", &json!({})).await.ok();
    let forged = format!("{}x", server.token);
    let (out, narrow) =
        (server.mint(server.tenant(), "usr_out", &[Scope::All]), server.mint(server.tenant(), "usr_in", &[]));
    // Within the leeway that clocks are given a token lets in, but nobody stays on it.
    let expired = short_token(&server, "usr_in", Duration::ZERO);
    for path in ["/sync/ws/laptop", "/realtime/ws"] {
        for (token, code) in [
            (None, 4401),
            (Some(&forged), 4401),
            (Some(&expired), 4401),
            (Some(&out), 4403),
            (Some(&narrow), 4403),
        ] {
            let mut client = Client::open(&server, path, token.map(String::as_str)).await;
            assert_eq!(client.closed().await, code, "{path} {token:?}");
        }
    }
    for path in ["/sync/ws/laptop", "/realtime/ws"] {
        let plain = server.get(path).await;
        plain.refused(400, "BAD_REQUEST");
    }
    let too_long = format!("/sync/ws/{}", "x".repeat(129));
    let asked = server.request(Method::GET, &too_long).header("connection", "upgrade");
    let asked = asked.header("upgrade", "websocket").header("sec-websocket-version", "13");
    let answer = asked.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_may_come_in_the_query_ends_its_socket_and_is_never_logged() {
    let server = Server::start();
    let token = short_token(&server, "usr_in", Duration::from_secs(2));
    let mut client = Client::open(&server, &format!("/realtime/ws?token={token}"), None).await;
    assert_eq!(client.hear("connected").await["user_id"], "usr_in");
    client.hears_nothing().await;
    assert_eq!(client.closed().await, 4401);
    let log = std::fs::read_to_string(server.dir.path().join("server.log")).unwrap();
    assert!(log.contains("/api/v1/realtime/ws") && !log.contains(&token) && !log.contains("token="), "{log}");
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_had_is_refused_by_a_frame() {
    let server = Server::start();
    let share = server.share("Mine").await;
    let stranger = server.mint(server.tenant(), "usr_stranger", &[Scope::FilesRead]);
    let mut client = Client::open(&server, "/realtime/ws", Some(&stranger)).await;
    client.hear("connected").await;
    for (frame, code) in [
        (json!({ "type": "subscribe", "share_id": share }), "NOT_FOUND"),
        (json!({ "type": "subscribe", "share_id": "shr_01ARZ3NDEKTSV4RRFFQ69G5FAV" }), "NOT_FOUND"),
        (json!({ "type": "subscribe", "share_id": "x" }), "NOT_FOUND"),
        (json!({ "type": "subscribe" }), "VALIDATION_FAILED"),
        (json!({ "type": "shout" }), "BAD_REQUEST"),
        (json!([]), "BAD_REQUEST"),
    ] {
        client.say(&frame).await;
        let answer = client.hear("error").await;
        assert_eq!(answer["code"], code, "{answer}");
    }
    server.upload(&share, None, "a.txt", "x").await.created();
    client.hears_nothing().await;
    client.say(&json!({ "type": "ping", "padding": "x".repeat(100_000) })).await;
    assert_eq!(client.closed().await, 1009);
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoke_ends_the_frames_at_once() {
    for server in Server::on_each() {
        let (share, other) = (server.share("One").await, server.share("Other").await);
        let token = server.reader(&share, "usr_reader").await;
        let (mut follower, mut watcher) =
            (Client::follow(&server, &token, "laptop").await, Client::watch(&server, &token, &share).await);
        let folder = server.folder(&share, None, "F").await;
        follower.hear("change").await;
        watcher.hear("folder_created").await;
        let deny = json!({
            "principal_type": "user", "principal_id": "usr_reader", "ace_type": "deny", "permissions": ["READ"],
        });
        server.post(&format!("/permissions/acl/folder/{folder}"), &deny).await.created();
        let gone = follower.hear("change").await["data"].clone();
        assert_eq!((&gone["change_type"], &gone["new_path"]), (&json!("deleted"), &json!(null)), "{gone}");
        watcher.hear("folder_deleted").await;
        server.upload(&share, Some(&folder), "hidden.txt", "x").await.created();
        server.upload(&share, None, "seen.txt", "x").await.created();
        assert_eq!(follower.hear("change").await["data"]["new_path"], "/seen.txt");
        assert_eq!(watcher.hear("file_created").await["data"]["path"], "/seen.txt");
        // Another share is gained, and then the first one lost.
        let member = json!({ "principal_type": "user", "principal_id": "usr_reader", "role": "reader" });
        server.post(&format!("/shares/{other}/members"), &member).await.created();
        assert_eq!(follower.hear("change").await["share_id"], json!(other));
        let members = server.get(&format!("/shares/{share}/members")).await.ok().json["members"].clone();
        let id =
            members.as_array().unwrap().iter().find(|m| m["principal_id"] == "usr_reader").unwrap()["id"]
                .clone();
        server.delete(&format!("/shares/{share}/members/{}", id.as_str().unwrap())).await.gone_well();
        server.upload(&share, None, "late.txt", "x").await.created();
        for client in [&mut follower, &mut watcher] {
            assert_eq!(client.hear("force_sync").await["share_id"], json!(share));
        }
        assert_eq!(watcher.hear("unsubscribed").await["share_id"], json!(share));
        server.upload(&other, None, "other.txt", "x").await.created();
        assert_eq!(follower.hear("change").await["data"]["new_path"], "/other.txt");
        watcher.hears_nothing().await;
        server.post("/admin/users/usr_reader/suspend", &json!({})).await.ok();
        assert_eq!((follower.closed().await, watcher.closed().await), (4403, 4403));
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_that_goes_to_the_trash_or_comes_back_makes_clients_look_again() {
    for server in Server::on_each() {
        let share = server.share("One").await;
        let mut follower = Client::follow(&server, &server.token, "laptop").await;
        let mut watcher = Client::watch(&server, &server.token, &share).await;
        for kind in ["deleted", "created"] {
            if kind == "deleted" {
                server.delete(&format!("/shares/{share}")).await.gone_well();
            } else {
                server.post(&format!("/shares/{share}/restore"), &json!({})).await.ok();
            }
            let told = follower.hear("change").await["data"].clone();
            assert_eq!((&told["resource_type"], &told["change_type"]), (&json!("share"), &json!(kind)));
            assert_eq!(follower.hear("force_sync").await["share_id"], json!(share));
            assert_eq!(watcher.hear("force_sync").await["share_id"], json!(share));
        }
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_told_of_its_preferences_and_let_go_when_it_is_removed() {
    let server = Server::start();
    let share = server.share("One").await;
    for device in ["laptop", "phone"] {
        server.post("/sync/devices", &json!({ "device_id": device, "device_name": "D" })).await.created();
    }
    let mut laptop = Client::open(&server, "/sync/ws/laptop", Some(&server.token)).await;
    let mut phone = Client::follow(&server, &server.token, "phone").await;
    laptop.hears_nothing().await;
    let path = format!("/sync/preferences?share_id={share}&device_id=laptop");
    let wanted = json!({ "mode": "selected", "folders": [] });
    Reply::of(server.request(Method::PUT, &path).json(&wanted)).await.ok();
    let told = laptop.hear("sync_preference_updated").await;
    assert_eq!((&told["share_id"], &told["device_id"]), (&json!(share), &json!("laptop")));
    server.delete("/sync/devices/laptop").await.gone_well();
    assert_eq!(laptop.closed().await, 4410);
    phone.hears_nothing().await;
    assert_eq!(server.metric_line("scaidrive_sync_websocket_connections").await.as_deref(), Some("1"));
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_end_with_the_server_and_start_again_where_positions_were_raised() {
    let mut server = Server::start();
    let (share, other) = (server.share("One").await, server.share("Other").await);
    let (mut follower, mut watcher) = (
        Client::follow(&server, &server.token, "laptop").await,
        Client::watch(&server, &server.token, &share).await,
    );
    let drive = server.drive().await;
    retention::raise(&drive, server.tenant()).await.unwrap();
    drive.meta.close().await;
    let forced = [follower.hear("force_sync").await, follower.hear("force_sync").await];
    let forced: BTreeSet<&str> = forced.iter().map(|frame| frame["share_id"].as_str().unwrap()).collect();
    assert_eq!(forced, BTreeSet::from([share.as_str(), &other]));
    assert_eq!(watcher.hear("force_sync").await["share_id"], json!(share));
    server.upload(&share, None, "a.txt", "x").await.created();
    assert_eq!(follower.hear("change").await["data"]["new_path"], "/a.txt");
    watcher.hear("file_created").await;
    let stops = tokio::task::spawn_blocking(move || {
        server.stop();
        server
    });
    assert_eq!((follower.closed().await, watcher.closed().await), (1001, 1001));
    drop((follower, watcher));
    let mut server = stops.await.unwrap();
    server.restart();
    server.stop_and_check().await;
}
