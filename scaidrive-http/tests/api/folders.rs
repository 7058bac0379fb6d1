//! Folders: tree, listing, archive.

use std::io::{Cursor, Read};

use serde_json::json;

use crate::server::{Server, noise};

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_moves_with_all_it_holds() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let a = server.folder(&share, None, "A").await;
    let b = server.folder(&share, Some(&a), "B").await;
    let file = server.upload(&share, Some(&b), "f.txt", "x").await.created().id();
    let c = server.folder(&share, None, "C").await;
    let to = |id: &str, target: &str| {
        server.post_owned(format!("/folders/{id}/move"), json!({ "target_folder_id": target }))
    };
    to(&a, &a).await.refused(409, "CYCLE");
    to(&a, &b).await.refused(409, "CYCLE");
    assert_eq!(to(&a, &c).await.ok().json["path"], "/C/A");
    assert_eq!(server.get(&format!("/files/{file}")).await.ok().json["path"], "/C/A/B/f.txt");
    server.patch(&format!("/folders/{c}"), &json!({ "name": "D" })).await.ok();
    assert_eq!(server.get(&format!("/files/{file}")).await.ok().json["path"], "/D/A/B/f.txt");
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_moves_and_copies_to_another_share() {
    let server = Server::start();
    let (share, other) = (server.share("Projects").await, server.share("Archive").await);
    let a = server.folder(&share, None, "A").await;
    let b = server.folder(&share, Some(&a), "B").await;
    let file = server.upload(&share, Some(&b), "f.txt", "x").await.created().id();
    let copy = server
        .post(&format!("/folders/{a}/copy"), &json!({ "target_share_id": other, "name": "Copy" }))
        .await;
    let copied = copy.created().id();
    assert_eq!(server.names(&other, &copied).await, ["B"]);
    server.post(&format!("/folders/{a}/copy"), &json!({ "target_folder_id": b })).await.refused(409, "CYCLE");
    server.post(&format!("/folders/{a}/move"), &json!({ "target_share_id": other })).await.ok();
    assert_eq!(server.get(&format!("/files/{file}")).await.ok().json["share_id"], json!(other));
    assert!(server.names(&share, "root").await.is_empty());
    assert_eq!(server.names(&other, "root").await, ["A", "Copy"]);
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trash_takes_and_gives_back_a_subtree() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let a = server.folder(&share, None, "A").await;
    let file = server.upload(&share, Some(&a), "f.txt", "x").await.created().id();
    server.delete(&format!("/folders/{a}")).await.gone_well();
    server.content(&file).await.refused(410, "GONE");
    server.get(&format!("/folders/{a}/children?share_id={share}")).await.refused(410, "GONE");
    server.upload(&share, Some(&a), "g.txt", "x").await.refused(410, "GONE");
    let restored = server.patch(&format!("/folders/{a}"), &json!({ "is_deleted": false })).await.ok();
    assert_eq!(restored.json["is_deleted"], false);
    assert_eq!(server.names(&share, &a).await, ["f.txt"]);
    server.delete(&format!("/folders/{a}")).await.gone_well();
    server.delete(&format!("/shares/{share}/trash")).await.gone_well();
    server.get(&format!("/folders/{a}")).await.refused(404, "NOT_FOUND");
    let stats = server.get("/users/me/stats").await.ok().json;
    assert_eq!((&stats["totals"]["used_bytes"], &stats["totals"]["folder_count"]), (&json!(0), &json!(0)));
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn children_come_in_pages_and_in_order() {
    let server = Server::start();
    let share = server.share("Projects").await;
    for (number, name) in ["b", "A", "c", "D", "e"].iter().enumerate() {
        server.upload(&share, None, name, noise(number as u64, 10 - number)).await.created();
    }
    server.folder(&share, None, "folder").await;
    assert_eq!(server.names(&share, "root").await, ["A", "b", "c", "D", "e", "folder"]);
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let page = server
            .get(&format!("/folders/root/children?share_id={share}&limit=2&sort=size&after={after}"))
            .await
            .ok();
        let items = page.json["items"].as_array().unwrap();
        assert!(items.len() <= 2);
        assert_eq!(page.json.get("total").is_some(), after.is_empty());
        found.extend(items.iter().map(|item| item["name"].as_str().unwrap().to_owned()));
        match page.json["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(found, ["folder", "e", "D", "c", "A", "b"]);
    for wrong in ["limit=0", "limit=1001", "sort=color", "after=nonsense", "include_deleted=perhaps"] {
        let reply = server.get(&format!("/folders/root/children?share_id={share}&{wrong}")).await;
        assert_eq!(reply.refused(422, "VALIDATION_FAILED").json["detail"][0]["loc"][0], "query");
    }
    server.get("/folders/root/children").await.refused(422, "VALIDATION_FAILED");
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_folder_is_listed_whole() {
    use scaidrive_core::services::{bulk, tenants};
    let server = Server::start();
    let share = server.share("Projects").await;
    let drive = server.drive().await;
    let caller = tenants::caller_for(&drive, server.tenant(), &"admin".parse().unwrap()).await.unwrap();
    let id = share.parse().unwrap();
    let file = |number: usize| bulk::BulkFile {
        parent: scaidrive_core::model::ParentId::Root(id),
        name: scaidrive_core::model::FileName::parse(&format!("{number:05}")).unwrap(),
        modified_at: None,
        bytes: bytes::Bytes::from_static(b"same"),
    };
    for batch in [0..1000, 1000..2000, 2000..2500] {
        bulk::write(&drive, &caller, id, batch.map(file).collect()).await.unwrap();
    }
    let all = server.get(&format!("/folders/root/children?share_id={share}")).await.ok().json;
    let names: Vec<_> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, (0..2500).map(|number| format!("{number:05}")).collect::<Vec<_>>());
    assert_eq!((&all["total"], &all["next"], &all["path"]), (&json!(2500), &json!(null), &json!("/")));
    drop(drive);
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_holds_the_folder_bit_for_bit() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let top = server.folder(&share, None, "Top: 1").await;
    let empty = server.folder(&share, Some(&top), "empty").await;
    let bytes = noise(9, 1_500_000);
    server.upload(&share, Some(&top), "a?.bin", bytes.clone()).await.created();
    server.upload(&share, Some(&top), "a*.bin", "small").await.created();
    let reply = server.get(&format!("/folders/{top}/archive")).await.ok();
    assert!(reply.header("content-disposition").contains("Top_ 1.zip"), "{reply:?}");
    let mut zip = zip::ZipArchive::new(Cursor::new(reply.bytes)).unwrap();
    let mut names: Vec<String> = zip.file_names().map(str::to_owned).collect();
    names.sort();
    assert_eq!(names, ["a_ (2).bin", "a_.bin", "empty/"]);
    let mut unpacked = Vec::new();
    zip.by_name("a_ (2).bin").unwrap().read_to_end(&mut unpacked).unwrap();
    assert!(unpacked == bytes);
    let tar = server.get(&format!("/folders/{top}/archive?format=tar")).await.ok();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.tar"), &tar.bytes).unwrap();
    let untar =
        std::process::Command::new("tar").args(["xf", "a.tar"]).current_dir(dir.path()).status().unwrap();
    assert!(untar.success());
    assert!(std::fs::read(dir.path().join("a_ (2).bin")).unwrap() == bytes);
    server.get(&format!("/folders/{empty}/archive?format=rar")).await.refused(422, "VALIDATION_FAILED");
    server.get(&format!("/folders/{empty}/archive")).await.ok();
    server.stop_and_check().await;
}
