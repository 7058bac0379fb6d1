//! What no decent device sends: refused, change by change, and nothing happens.

use scaidrive_core::model::{Error, Strategy};
use scaidrive_core::services::apply::{Batch, MOST_CHANGES};
use scaidrive_core::services::{feed, tenants};
use serde_json::{Value, json};

use super::{Device, delete, folder, relocate, with};
use crate::backends::House;

#[tokio::test(flavor = "multi_thread")]
async fn names_and_paths_that_lead_astray_are_refused_one_by_one() {
    for house in House::both(|_| {}).await {
        let device = house.device("laptop");
        let start = feed::head(&house.drive, &house.caller).await.unwrap();
        let (long, deep) = (format!("/{}", "x".repeat(256)), "/a".repeat(257));
        let far = format!("/{}", vec!["x".repeat(250); 17].join("/"));
        let paths = [
            "",
            "/",
            "//",
            "/a//b",
            "/a/",
            "/..",
            "/../a",
            "/a/../../b",
            "/.",
            "/a\0b",
            "/a\u{7f}",
            &long,
            &deep,
            &far,
        ];
        let changes: Vec<Value> = paths.iter().map(|path| folder(path)).collect();
        let batch = device.batch(Strategy::ClientWins, &changes);
        let outcome = device.run(Batch { creates_parents: true, ..batch }).await.unwrap();
        assert_eq!(outcome.errors.len(), paths.len(), "{outcome:?}");
        for (refused, path) in outcome.errors.iter().zip(paths) {
            assert_eq!(refused.error.code(), "VALIDATION_FAILED", "{path:?}");
            assert!(refused.error.to_string().len() < 300);
        }
        assert_eq!(feed::head(&house.drive, &house.caller).await.unwrap(), start);
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_changes_and_ids_that_are_none_fail_the_whole_request() {
    let house = House::embedded().await;
    let device = house.device("laptop");
    let too_many = vec![folder("/a"); MOST_CHANGES + 1];
    let long = "x".repeat(129);
    for batch in [
        device.batch(Strategy::KeepBoth, &too_many),
        device.batch(Strategy::KeepBoth, &[]),
        device.batch(Strategy::KeepBoth, &[with(folder("/a"), json!({ "client_change_id": "" }))]),
        device.batch(Strategy::KeepBoth, &[with(folder("/a"), json!({ "client_change_id": long }))]),
    ] {
        assert!(matches!(device.run(batch).await, Err(Error::Invalid { .. })));
    }
    assert!(house.tree().await.is_empty());
    let at_most = vec![folder("/a"); MOST_CHANGES];
    assert_eq!(device.apply(Strategy::KeepBoth, &at_most).await.applied.len(), MOST_CHANGES);
    // 128 characters may have four bytes each.
    let wide = Device { id: "\u{1F600}".repeat(128), ..house.device("") };
    wide.plain(with(folder("/b"), json!({ "client_change_id": "\u{1F600}".repeat(128) }))).await;
    let (copy, _) = wide.clash(Strategy::KeepBoth, wide.file("/b", "x").await).await;
    assert!(copy.unwrap().path.starts_with("/b (conflict, \u{1F600}"));
    house.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn items_of_other_shares_and_other_tenants_are_not_there() {
    for house in House::both(|_| {}).await {
        let device = house.device("laptop");
        let other_share = house.other_share("Other").await;
        let elsewhere = Device { share: other_share, ..house.device("laptop") };
        let item = elsewhere.plain(elsewhere.file("/theirs", "x").await).await;
        let dir = elsewhere.plain(folder("/dir")).await;
        let own = device.plain(device.file("/own", "own").await).await;
        let never = |id: &str| with(delete(&item), json!({ "resource_id": id }));
        for change in [
            delete(&item),
            delete(&dir),
            relocate(&item, "/theirs", "/stolen"),
            device.edit(&item, "y").await,
            with(relocate(&own, "/own", "/own"), json!({ "parent_id": dir.resource_id })),
            with(folder("/a"), json!({ "parent_id": other_share })),
            never("fil_01ARZ3NDEKTSV4RRFFQ69G5FAV"),
            never("fil_x"),
            never(""),
        ] {
            assert_eq!(device.refusal(change.clone()).await, "NOT_FOUND", "{change}");
        }
        // Another tenant: its share is not there, and neither are our items in its own.
        let tenant = tenants::create(&house.drive, "Rivals").await.unwrap();
        let caller = tenants::system_caller(&house.drive, tenant.id, "test").unwrap();
        let rival = Device { caller: caller.clone(), ..house.device("laptop") };
        let refused = rival.run(rival.batch(Strategy::KeepBoth, &[delete(&own)])).await;
        assert_eq!(refused.unwrap_err().code(), "NOT_FOUND");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contradictions_are_refused_or_come_to_nothing() {
    for house in House::both(|_| {}).await {
        let device = house.device("laptop");
        let dir = device.plain(folder("/dir")).await;
        let item = device.plain(device.file("/a", "x").await).await;
        let as_file = with(delete(&dir), json!({ "resource_type": "file" }));
        assert_eq!(device.refusal(as_file).await, "NOT_FOUND");
        let by_path = json!({ "resource_type": "file", "change_type": "deleted", "old_path": "/dir" });
        assert_eq!(device.refusal(by_path).await, "NOT_FOUND");
        let root = json!({ "resource_type": "folder", "change_type": "deleted", "old_path": "/" });
        assert_eq!(device.refusal(root).await, "VALIDATION_FAILED");
        let shorter = with(device.file("/b", "four").await, json!({ "size": 3 }));
        assert_eq!(device.refusal(shorter).await, "VALIDATION_FAILED");
        let claims = with(
            device.file("/b", "four").await,
            json!({ "chunks": [{ "sha256": "00".repeat(32), "size": 4 }] }),
        );
        assert_eq!(device.refusal(claims).await, "CHUNKS_MISSING");
        let lies = with(device.file("/b", "four").await, json!({ "mime_type": "a\r\nb" }));
        assert_eq!(device.refusal(lies).await, "VALIDATION_FAILED");
        let touched =
            json!({ "resource_type": "folder", "change_type": "updated", "resource_id": dir.resource_id });
        assert_eq!(device.plain(touched).await.change_id, None, "a folder has nothing to update");
        let same = relocate(&item, "/a", "/a");
        assert_eq!(device.plain(same).await.change_id, None);
        device.plain(delete(&item)).await;
        let touch = json!({ "resource_type": "file", "change_type": "updated", "resource_id": item.resource_id,
            "mime_type": "text/plain" });
        assert_eq!(device.refusal(touch).await, "GONE");
        house.check().await;
    }
}
