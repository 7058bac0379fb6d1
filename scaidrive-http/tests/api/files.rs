//! Files: create, versions, copy, move, trash.

use reqwest::Method;
use serde_json::json;

use crate::server::{Reply, Server, noise, sha256};

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_life_of_a_file() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let (first, second) = (noise(1, 3 << 20), noise(2, 1000));
    let file = server.upload(&share, None, "plan.odt", first.clone()).await.created();
    assert_eq!(file.json["path"], "/plan.odt");
    assert_eq!(file.json["size"], first.len());
    assert_eq!(file.json["checksum_sha256"], sha256(&first));
    assert_eq!(file.json["mime_type"], "application/vnd.oasis.opendocument.text");
    assert_eq!((&file.json["version"], &file.json["folder_id"]), (&json!(1), &json!(null)));
    let id = file.id();
    assert_eq!(server.content(&id).await.ok().bytes, first);

    assert_eq!(server.put(&id, second.clone()).await.ok().json["version"], 2);
    assert_eq!(server.content(&id).await.ok().bytes, second);
    assert_eq!(server.get(&format!("/files/{id}/content?version=1")).await.ok().bytes, first);
    let versions = server.get(&format!("/files/{id}/versions")).await.ok().json;
    assert_eq!(versions["total"], 2);
    assert_eq!(versions["versions"][0]["version_number"], 2);
    assert_eq!(versions["versions"][1]["checksum_sha256"], sha256(&first));

    let restored = server.post(&format!("/files/{id}/versions/1/restore"), &json!({})).await.ok();
    assert_eq!(restored.json, json!({ "id": id, "restored_from": 1, "version": 3 }));
    assert_eq!(server.content(&id).await.ok().bytes, first);
    server.delete(&format!("/files/{id}/versions/3")).await.refused(409, "VERSION_CONFLICT");
    server.delete(&format!("/files/{id}/versions/2")).await.gone_well();
    server.get(&format!("/files/{id}/content?version=2")).await.refused(404, "NOT_FOUND");

    server.delete(&format!("/files/{id}")).await.gone_well();
    server.content(&id).await.refused(410, "GONE");
    server.get(&format!("/files/{id}")).await.refused(410, "GONE");
    assert!(server.names(&share, "root").await.is_empty());
    let trash = server.get(&format!("/shares/{share}/trash")).await.ok().json;
    assert_eq!((&trash["total"], &trash["items"][0]["id"]), (&json!(1), &json!(id)));
    server.patch(&format!("/files/{id}"), &json!({ "is_deleted": false })).await.ok();
    assert_eq!(server.content(&id).await.ok().bytes, first);
    server.delete(&format!("/files/{id}?permanent=true")).await.gone_well();
    server.get(&format!("/files/{id}")).await.refused(404, "NOT_FOUND");
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_shares_the_content_and_lives_alone() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let other = server.share("Archive").await;
    let folder = server.folder(&share, None, "Sub").await;
    let bytes = noise(3, 700_000);
    let id = server.upload(&share, None, "a.bin", bytes.clone()).await.created().id();
    let copy = |body| server.post_owned(format!("/files/{id}/copy"), body);
    let twin = copy(json!({ "target_folder_id": folder, "name": "b.bin" })).await.created();
    assert_eq!((&twin.json["version"], &twin.json["path"]), (&json!(1), &json!("/Sub/b.bin")));
    let far = copy(json!({ "target_share_id": other })).await.created();
    assert_eq!(far.json["share_id"], json!(other));
    copy(json!({ "target_share_id": other })).await.refused(409, "NAME_CONFLICT");
    copy(json!({})).await.refused(422, "VALIDATION_FAILED");
    copy(json!({ "target_share_id": other, "target_folder_id": folder }))
        .await
        .refused(422, "VALIDATION_FAILED");
    server.delete(&format!("/files/{id}?permanent=true")).await.gone_well();
    server.collect().await;
    for copy in [twin.id(), far.id()] {
        assert_eq!(server.content(&copy).await.ok().bytes, bytes);
    }
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_keeps_id_and_history() {
    let server = Server::start();
    let (share, other) = (server.share("Projects").await, server.share("Archive").await);
    let folder = server.folder(&share, None, "Sub").await;
    let id = server.upload(&share, None, "a.txt", "one").await.created().id();
    server.put(&id, "two").await.ok();
    let to = |body| server.post_owned(format!("/files/{id}/move"), body);
    assert_eq!(to(json!({ "target_folder_id": folder })).await.ok().json["path"], "/Sub/a.txt");
    let moved = to(json!({ "target_share_id": other, "name": "b.txt" })).await.ok();
    assert_eq!((moved.id(), &moved.json["share_id"]), (id.clone(), &json!(other)));
    assert_eq!(server.get(&format!("/files/{id}/versions")).await.ok().json["total"], 2);
    assert!(server.names(&share, &folder).await.is_empty());
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn siblings_have_one_name_whatever_its_case() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let id = server.upload(&share, None, "Straße.txt", "1").await.created().id();
    server.upload(&share, None, "STRAßE.TXT", "2").await.refused(409, "NAME_CONFLICT");
    // Simple folding, as Windows does it: sharp s is no double s.
    server.upload(&share, None, "strasse.txt", "3").await.created();
    let body = json!({ "share_id": share, "name": "straße.txt" });
    server.post("/folders", &body).await.refused(409, "NAME_CONFLICT");
    let renamed = server.patch(&format!("/files/{id}"), &json!({ "name": "STRAßE.txt" })).await.ok();
    assert_eq!(renamed.json["name"], "STRAßE.txt");
    server
        .patch(&format!("/files/{id}"), &json!({ "name": "strasse.TXT" }))
        .await
        .refused(409, "NAME_CONFLICT");
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_file_finds_a_place_and_a_name() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let folder = server.folder(&share, None, "Sub").await;
    let old = server.upload(&share, Some(&folder), "a.txt", "old").await.created().id();
    server.delete(&format!("/files/{old}")).await.gone_well();
    server.upload(&share, Some(&folder), "a.txt", "new").await.created();
    let restored = server.patch(&format!("/files/{old}"), &json!({ "is_deleted": false })).await.ok();
    assert_eq!(restored.json["path"], "/Sub/a (restored).txt");
    server.delete(&format!("/files/{old}")).await.gone_well();
    server.delete(&format!("/folders/{folder}?permanent=true")).await.gone_well();
    let restored = server.patch(&format!("/files/{old}"), &json!({ "is_deleted": false })).await.ok();
    assert_eq!(restored.json["path"], "/a (restored).txt");
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_can_be_set_and_stays() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let id = server.upload(&share, None, "a.txt", "x").await.created().id();
    let change = json!({ "modified_at": "2001-02-03T04:05:06.789Z", "mime_type": "text/markdown" });
    let changed = server.patch(&format!("/files/{id}"), &change).await.ok();
    assert_eq!(changed.json["modified_at"], "2001-02-03T04:05:06.789Z");
    assert_eq!(server.content(&id).await.ok().header("content-type"), "text/markdown");
    for wrong in
        [json!({ "mime_type": "text" }), json!({ "modified_at": "yesterday" }), json!({ "is_deleted": true })]
    {
        server.patch(&format!("/files/{id}"), &wrong).await.refused(422, "VALIDATION_FAILED");
    }
    server.stop_and_check().await;
}

impl Server {
    /// Posts a body that the caller gives away.
    pub(crate) async fn post_owned(&self, path: String, body: serde_json::Value) -> Reply {
        Reply::of(self.request(Method::POST, &path).json(&body)).await
    }
}
