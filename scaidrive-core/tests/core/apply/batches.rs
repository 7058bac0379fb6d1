//! Many changes in one call: order, outcomes of their own, cost, all or nothing.

use scaidrive_core::adapters::sql::statements;
use scaidrive_core::model::{Error, Limits, QuotaTarget, Strategy};
use scaidrive_core::services::apply::Batch;
use scaidrive_core::services::{feed, quotas};
use serde_json::json;

use super::{delete, folder, relocate, tree, with};
use crate::backends::House;

#[tokio::test(flavor = "multi_thread")]
async fn later_changes_see_earlier_ones() {
    for house in House::both(|_| {}).await {
        let device = house.device("laptop");
        let by_path = |change: &str, old: &str, new: &str| json!({ "resource_type": "file", "change_type": change, "old_path": old, "new_path": new });
        let edit = json!({ "resource_type": "file", "change_type": "updated", "new_path": "/b/y" });
        let changes = [
            folder("/a"),
            device.file("/a/x", "one").await,
            folder("/A"),
            by_path("renamed", "/a/x", "/a/y"),
            json!({ "resource_type": "folder", "change_type": "renamed", "old_path": "/a", "new_path": "/b" }),
            with(edit, device.content("two").await),
            device.file("/b/z", "three").await,
            json!({ "resource_type": "file", "change_type": "deleted", "old_path": "/b/z" }),
            device.file("/b/z", "four").await,
            by_path("moved", "/b/z", "/Z"),
            device.file("/empty", "").await,
        ];
        let outcome = device.apply(Strategy::KeepBoth, &changes).await;
        assert!(outcome.errors.is_empty() && outcome.conflicts.is_empty(), "{outcome:?}");
        assert_eq!(outcome.applied.len(), changes.len());
        assert_eq!(outcome.applied[2].change_id, None, "the folder is there");
        assert_eq!(outcome.applied[2].resource_id, outcome.applied[0].resource_id);
        assert_eq!(outcome.applied[9].path, "/Z");
        let now = tree(&[("/Z", "four"), ("/b", "dir"), ("/b/y", "two"), ("/empty", "")]);
        assert_eq!(house.tree().await, now);
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_a_batch_tells_its_device_and_is_named_in_the_answer() {
    for house in House::both(|_| {}).await {
        let device = house.device("laptop");
        let start = feed::head(&house.drive, &house.caller).await.unwrap();
        let mut batch = device.batch(Strategy::KeepBoth, &[device.file("/a/b/c", "x").await, folder("/d")]);
        batch.creates_parents = true;
        let outcome = device.run(batch).await.unwrap();
        let rows = feed::changes(&house.drive, &house.caller, house.share.id, start, 100).await.unwrap();
        assert_eq!(outcome.cursor, rows.cursor);
        let mut rows_of = house.drive.read().await.unwrap();
        let rows = rows_of.changes(house.caller.tenant, start, 100).await.unwrap();
        let paths: Vec<_> = rows.iter().map(|row| row.new_path.clone().unwrap()).collect();
        assert_eq!(paths, ["/a", "/a/b", "/a/b/c", "/d"]);
        assert!(rows.iter().all(|row| row.metadata["device_id"] == "laptop"), "{rows:?}");
        assert_eq!(outcome.applied[0].change_id, Some(rows[2].id));
        assert_eq!(outcome.applied[1].change_id, Some(rows[3].id));
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_change_that_is_refused_leaves_nothing_and_holds_nobody_up() {
    for house in House::both(|_| {}).await {
        let device = house.device("laptop");
        let kept = device.plain(device.file("/kept", "kept").await).await;
        let missing = json!({ "resource_type": "file", "change_type": "created", "new_path": "/lost",
            "chunks": [{ "sha256": "00".repeat(32), "size": 5 }] });
        let wrong = with(device.file("/wrong", "right").await, json!({ "checksum_sha256": "00".repeat(32) }));
        let start = feed::head(&house.drive, &house.caller).await.unwrap();
        let changes = [
            device.file("/one", "1").await,
            missing,
            wrong,
            device.file("/no/such/folder", "x").await,
            relocate(&kept, "/kept", "/no/such/kept"),
            with(delete(&kept), json!({ "resource_id": "fil_01ARZ3NDEKTSV4RRFFQ69G5FAV" })),
            device.file("/one/below", "x").await,
            device.file("/two", "2").await,
        ];
        let outcome = device.apply(Strategy::KeepBoth, &changes).await;
        assert_eq!(outcome.applied.len(), 2, "{outcome:?}");
        let codes: Vec<_> = outcome.errors.iter().map(|refused| refused.error.code()).collect();
        let not_found = "NOT_FOUND";
        assert_eq!(
            codes,
            ["CHUNKS_MISSING", "CHECKSUM_MISMATCH", not_found, not_found, not_found, not_found]
        );
        assert_eq!(feed::head(&house.drive, &house.caller).await.unwrap(), start + 2);
        assert_eq!(house.tree().await, tree(&[("/kept", "kept"), ("/one", "1"), ("/two", "2")]));
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_or_nothing_is_one_or_the_other_and_tells_all() {
    for house in House::both(|_| {}).await {
        let device = house.device("laptop");
        let first = device.plain(device.file("/first", "1").await).await;
        device.plain(device.edit(&first, "2").await).await;
        let atomic = |changes: &[serde_json::Value]| Batch {
            is_atomic: true,
            ..device.batch(Strategy::KeepBoth, changes)
        };
        let start = feed::head(&house.drive, &house.caller).await.unwrap();
        let stale = device.edit(&first, "3").await;
        let changes = [folder("/a"), stale, device.file("/a/b", "x").await, device.file("/c/d", "x").await];
        let outcome = device.run(atomic(&changes)).await.unwrap();
        assert!(outcome.applied.is_empty(), "{outcome:?}");
        assert_eq!((outcome.conflicts.len(), outcome.errors.len()), (1, 1), "{outcome:?}");
        assert_eq!(outcome.conflicts[0].id, None, "it is not recorded");
        assert_eq!(feed::head(&house.drive, &house.caller).await.unwrap(), start);
        // The same ids go through once nothing is in their way: nothing of them was remembered.
        let changes = [folder("/a"), device.file("/a/b", "x").await];
        let outcome = device.run(atomic(&changes)).await.unwrap();
        assert_eq!(outcome.applied.len(), 2, "{outcome:?}");
        assert_eq!(house.tree().await, tree(&[("/a", "dir"), ("/a/b", "x"), ("/first", "2")]));
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_lets_in_what_fits_and_refuses_the_rest() {
    for house in House::both(|_| {}).await {
        let device = house.device("laptop");
        let ten = "0123456789";
        let mut changes = Vec::new();
        for number in 0..12 {
            changes.push(device.file(&format!("/{number:02}"), &format!("{ten}{number:02}")).await);
        }
        let limits = Limits { limit_bytes: Some(62), ..Limits::default() };
        quotas::set(&house.drive, &house.caller, QuotaTarget::Share(house.share.id), limits).await.unwrap();
        let outcome = device.apply(Strategy::KeepBoth, &changes).await;
        assert_eq!((outcome.applied.len(), outcome.errors.len()), (5, 7), "{outcome:?}");
        let paths: Vec<_> = outcome.applied.iter().map(|applied| applied.path.as_str()).collect();
        assert_eq!(paths, ["/00", "/01", "/02", "/03", "/04"], "in order, as if each had come alone");
        assert!(outcome.errors.iter().all(|refused| refused.error.code() == "QUOTA_EXCEEDED"));
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_or_nothing_that_does_not_fit_names_the_change_that_was_too_much() {
    for house in House::both(|_| {}).await {
        let device = house.device("laptop");
        let old = device.plain(device.file("/old", "0123456789").await).await;
        let targets = [QuotaTarget::Share(house.share.id), QuotaTarget::User(house.caller.user.clone())];
        for target in targets {
            let limits = Limits { limit_bytes: Some(40), ..Limits::default() };
            let named = |id: &str, change| with(change, json!({ "client_change_id": id }));
            let changes = [
                named("folder", folder("/d")),
                named("fits", device.file("/d/1", "01234567891").await),
                named("fits, too", device.file("/d/2", "01234567892").await),
                named("too much", device.file("/d/3", "01234567893").await),
                named("a move", relocate(&old, "/old", "/d/old")),
                named("after it", device.file("/d/4", "4").await),
            ];
            quotas::set(&house.drive, &house.caller, target.clone(), limits).await.unwrap();
            let start = feed::head(&house.drive, &house.caller).await.unwrap();
            let atomic = |changes| Batch { is_atomic: true, ..device.batch(Strategy::KeepBoth, changes) };
            let outcome = device.run(atomic(&changes)).await.unwrap();
            assert!(outcome.applied.is_empty() && outcome.conflicts.is_empty(), "{outcome:?}");
            let [refused] = outcome.errors.as_slice() else { panic!("{outcome:?}") };
            assert_eq!(refused.client_change_id, "too much");
            assert!(matches!(refused.error, Error::QuotaExceeded { level } if level == target.kind()));
            assert_eq!(feed::head(&house.drive, &house.caller).await.unwrap(), start, "nothing was applied");
            quotas::set(&house.drive, &house.caller, target, Limits::default()).await.unwrap();
        }
        // Nothing of them was remembered.
        let changes = [with(folder("/other"), json!({ "client_change_id": "folder" }))];
        assert_eq!(device.apply(Strategy::KeepBoth, &changes).await.applied[0].path, "/other");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contents_of_one_call_have_a_size_together_and_one_alone_may_be_larger() {
    for house in House::both(|_| {}).await {
        let device = house.device("laptop");
        let claim = |path: &str, chunks: usize, size: u32| {
            let chunk = json!({ "sha256": "00".repeat(32), "size": size });
            json!({
                "resource_type": "file", "change_type": "created", "new_path": path,
                "chunks": vec![chunk; chunks],
            })
        };
        let mebibyte = 1 << 20;
        let refused = async |changes: &[serde_json::Value]| {
            let outcome = device.run(device.batch(Strategy::KeepBoth, changes)).await;
            matches!(outcome, Err(Error::Invalid { fields }) if fields[0].field == "changes"
                && fields[0].message.contains("1073741824 bytes") && fields[0].message.contains("32768 chunks"))
        };
        let large = claim("/large", 1500, mebibyte);
        let small = device.file("/small", "x").await;
        assert!(
            !refused(&[large.clone(), claim("/a", 1024, mebibyte)]).await,
            "one of them may be of any size"
        );
        assert!(refused(&[large.clone(), claim("/a", 1024, mebibyte), small.clone()]).await);
        assert!(refused(&[claim("/a", 32_769, 1), claim("/b", 32_769, 1)]).await);
        let outcome = device.apply(Strategy::KeepBoth, &[large, small, folder("/d")]).await;
        assert_eq!((outcome.applied.len(), outcome.errors.len()), (2, 1), "{outcome:?}");
        assert_eq!(outcome.errors[0].error.code(), "CHUNKS_MISSING");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_small_files_cost_few_statements() {
    for house in House::both(|_| {}).await {
        let device = house.device("laptop");
        let content = device.content("the same").await;
        let mut changes = vec![folder("/many")];
        for number in 1..1000 {
            let path = format!("/many/{number}");
            let change = json!({ "resource_type": "file", "change_type": "created", "new_path": path });
            changes.push(with(change, content.clone()));
        }
        let batch = device.batch(Strategy::KeepBoth, &changes);
        let before = statements();
        let outcome = device.run(batch).await.unwrap();
        let count = statements() - before;
        assert_eq!(outcome.applied.len(), 1000);
        eprintln!("{count} statements for 1,000 changes");
        assert!(count < 250, "{count} statements");
        house.check().await;
    }
}
