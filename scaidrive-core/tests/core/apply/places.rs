//! Where things go, and who may put them there: the rights of the single operations.

use scaidrive_core::adapters::sql::statements;
use scaidrive_core::model::acl::AceType;
use scaidrive_core::model::{ChangeKind, ResourceId, Right, Rights, ShareRole, Strategy};
use scaidrive_core::services::acl::{self, NewEntry};
use scaidrive_core::services::apply::{Applied, Batch};
use scaidrive_core::services::devices::{self, NewDevice};
use scaidrive_core::services::journal;
use serde_json::json;

use super::{Device, delete, folder, relocate, tree, with};
use crate::backends::House;

/// Denies a right on an item to everybody who is no administrator.
pub(super) async fn deny(house: &House, id: impl Into<ResourceId>, right: Right, inherits: bool) {
    let trustee = "everyone".parse().unwrap();
    let entry = NewEntry { trustee, kind: AceType::Deny, rights: Rights::from(right), inherits };
    acl::add(&house.drive, &house.caller, id.into(), entry).await.unwrap();
}

/// Returns a device of the administrator in another share.
pub(super) async fn elsewhere(house: &House) -> Device<'_> {
    let share = house.other_share("Other").await;
    Device { share, ..house.device("owner") }
}

async fn with_parents(device: &Device<'_>, change: serde_json::Value) -> Vec<&'static str> {
    let batch = device.batch(Strategy::KeepBoth, &[change]);
    let outcome = device.run(Batch { creates_parents: true, ..batch }).await.unwrap();
    outcome.errors.iter().map(|refused| refused.error.code()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_parents_are_made_only_where_that_is_asked_for() {
    for house in House::both(|_| {}).await {
        let device = house.device("laptop");
        assert_eq!(device.refusal(device.file("/a/b/c", "x").await).await, "NOT_FOUND");
        assert!(with_parents(&device, device.file("/a/b/c", "x").await).await.is_empty());
        let item = device.plain(device.file("/top", "y").await).await;
        assert_eq!(device.refusal(relocate(&item, "/top", "/new/top")).await, "NOT_FOUND");
        assert!(with_parents(&device, relocate(&item, "/top", "/new/top")).await.is_empty());
        assert_eq!(with_parents(&device, device.file("/new/top/x", "x").await).await, ["NOT_FOUND"]);
        let now = [("/a", "dir"), ("/a/b", "dir"), ("/a/b/c", "x"), ("/new", "dir"), ("/new/top", "y")];
        assert_eq!(house.tree().await, tree(&now));
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_told_by_its_id_is_found_wherever_it_went() {
    for house in House::both(|_| {}).await {
        let device = house.device("laptop");
        let above = device.plain(folder("/above")).await;
        let parent = device.plain(folder("/above/parent")).await;
        device.plain(relocate(&above, "/above", "/renamed")).await;
        let by_path = device.file("/above/parent/a", "x").await;
        assert_eq!(device.refusal(by_path.clone()).await, "NOT_FOUND");
        let by_id = with(by_path, json!({ "parent_id": parent.resource_id }));
        assert_eq!(device.plain(by_id).await.path, "/renamed/parent/a");
        let root = with(device.file("/x/y/b", "y").await, json!({ "parent_id": house.share.id }));
        assert_eq!(device.plain(root).await.path, "/b");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_may_not_write_and_a_stranger_may_not_know() {
    for house in House::both(|_| {}).await {
        let owner = house.device("owner");
        let item = owner.plain(owner.file("/a", "x").await).await;
        let dir = owner.plain(folder("/d")).await;
        let reader = house.device_of("usr_reader", Some(ShareRole::Reader)).await;
        let same = json!({ "chunks": owner.content("x").await["chunks"] });
        let copy = json!({ "resource_type": "file", "change_type": "created", "new_path": "/b" });
        let edit =
            json!({ "resource_type": "file", "change_type": "updated", "resource_id": item.resource_id });
        for change in [
            with(copy, same.clone()),
            folder("/c"),
            with(edit, json!({ "chunks": [] })),
            delete(&item),
            delete(&dir),
            relocate(&item, "/a", "/b"),
            relocate(&item, "/a", "/d/a"),
            relocate(&dir, "/d", "/e"),
        ] {
            assert_eq!(reader.refusal(change.clone()).await, "PERMISSION_DENIED", "{change}");
        }
        assert_eq!(reader.plain(folder("/D")).await.resource_id, dir.resource_id, "it is there already");
        let stranger = house.device_of("usr_stranger", None).await;
        let refused = stranger.run(stranger.batch(Strategy::KeepBoth, &[folder("/c")])).await;
        assert_eq!(refused.unwrap_err().code(), "NOT_FOUND");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_stays_hidden_and_keeps_its_name() {
    for house in House::both(|_| {}).await {
        let owner = house.device("owner");
        let hidden = owner.plain(folder("/hidden")).await;
        let inside = owner.plain(owner.file("/hidden/a", "secret").await).await;
        deny(&house, hidden.resource_id, Right::Read, true).await;
        let device = house.device_of("usr_ann", Some(ShareRole::Contributor)).await;
        for change in [
            device.file("/hidden/b", "x").await,
            delete(&inside),
            delete(&hidden),
            device.edit(&inside, "x").await,
            relocate(&inside, "/hidden/a", "/a"),
            with(device.file("/b", "x").await, json!({ "parent_id": hidden.resource_id })),
            json!({ "resource_type": "file", "change_type": "deleted", "old_path": "/hidden/a" }),
        ] {
            assert_eq!(device.refusal(change.clone()).await, "NOT_FOUND", "{change}");
        }
        let (applied, met) = device.clash(Strategy::KeepBoth, folder("/HIDDEN")).await;
        assert_ne!(applied.unwrap().resource_id, hidden.resource_id);
        assert_eq!((met.resource_id, met.server_version_id), (None, None), "its id is not told");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_foreign_or_absent_costs_the_same_and_only_the_audit_tells_them_apart() {
    for house in House::both(|_| {}).await {
        let owner = house.device("owner");
        let hidden = owner.plain(owner.file("/hidden", "secret").await).await;
        deny(&house, hidden.resource_id, Right::Read, true).await;
        let elsewhere = elsewhere(&house).await;
        let foreign = elsewhere.plain(elsewhere.file("/foreign", "x").await).await;
        let device = house.device_of("usr_ann", Some(ShareRole::Contributor)).await;
        let never = json!("fil_01ARZ3NDEKTSV4RRFFQ69G5FAV");
        for what in [delete, |item: &Applied| relocate(item, "/a", "/b")] {
            let mut costs = Vec::new();
            for id in [json!(hidden.resource_id), json!(foreign.resource_id), never.clone()] {
                let change = with(what(&hidden), json!({ "resource_id": id }));
                let before = statements();
                assert_eq!(device.refusal(change).await, "NOT_FOUND");
                costs.push(statements() - before);
            }
            assert!(costs.iter().all(|cost| *cost == costs[0]), "{costs:?}");
        }
        journal::flush(&house.drive).await.unwrap();
        let events = house.drive.read().await.unwrap().audit_events(house.caller.tenant, 100).await.unwrap();
        let refused: Vec<_> = events.iter().filter(|event| event.action == "refused").collect();
        assert_eq!(refused.len(), 2, "{refused:?}");
        assert!(refused.iter().all(|event| event.resource_id == hidden.resource_id.to_string()));
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_named_after_the_device_as_its_user_calls_it() {
    for house in House::both(|_| {}).await {
        let device = house.device("id-of-a-laptop");
        let new = NewDevice {
            device_id: "id-of-a-laptop".parse().unwrap(),
            device_name: "Ada's \"laptop\"".to_owned(),
            platform: None,
            client_version: None,
        };
        devices::register(&house.drive, &house.caller, new).await.unwrap();
        device.plain(device.file("/plan.odt", "one").await).await;
        let (copy, _) = device.clash(Strategy::KeepBoth, device.file("/plan.odt", "two").await).await;
        let path = copy.unwrap().path;
        assert!(path.starts_with("/plan (conflict, Ada's _laptop_, 20"), "{path}");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_needs_several_rights_is_made_with_all_of_them_or_not_at_all() {
    for house in House::both(|_| {}).await {
        let owner = house.device("owner");
        let dir = owner.plain(folder("/dir")).await;
        let item = owner.plain(owner.file("/dir/a", "base").await).await;
        let fixed = owner.plain(owner.file("/dir/fixed", "x").await).await;
        let device = house.device_of("usr_ann", Some(ShareRole::Contributor)).await;
        owner.plain(owner.edit(&item, "theirs").await).await;
        // Nothing new may come into the folder: neither the copy that a late edit asks for, nor anything moved there.
        deny(&house, dir.resource_id, Right::Create, false).await;
        assert_eq!(device.refusal(device.edit(&item, "ours").await).await, "PERMISSION_DENIED");
        let top = owner.plain(owner.file("/top", "x").await).await;
        assert_eq!(device.refusal(relocate(&top, "/top", "/dir/top")).await, "PERMISSION_DENIED");
        // One item below that must stay keeps the whole folder.
        deny(&house, fixed.resource_id, Right::Delete, false).await;
        assert_eq!(device.refusal(delete(&dir)).await, "PERMISSION_DENIED");
        // A move with a new content needs WRITE for that, too.
        deny(&house, top.resource_id, Right::Write, false).await;
        let both = with(relocate(&top, "/top", "/other"), device.content("new").await);
        assert_eq!(device.refusal(both).await, "PERMISSION_DENIED");
        assert_eq!(
            house.tree().await,
            tree(&[("/dir", "dir"), ("/dir/a", "theirs"), ("/dir/fixed", "x"), ("/top", "x")])
        );
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_may_bring_a_new_content_along() {
    for house in House::both(|_| {}).await {
        let device = house.device("laptop");
        device.plain(folder("/d")).await;
        let item = device.plain(device.file("/a", "base").await).await;
        let change = relocate(&item, "/a", "/d/b");
        let both = with(change, json!({ "change_type": "updated", "base_version_id": item.version_id }));
        let applied = device.plain(with(both, device.content("new").await)).await;
        assert_eq!((applied.resource_id, applied.path.as_str()), (item.resource_id, "/d/b"));
        assert_ne!(applied.version_id, item.version_id);
        // A late edit in a move: the item moves, and the content goes beside it.
        let late = with(relocate(&item, "/d/b", "/c"), json!({ "base_version_id": item.version_id }));
        let (copy, _) = device.clash(Strategy::KeepBoth, with(late, device.content("late").await)).await;
        assert!(copy.unwrap().path.starts_with("/c (conflict, laptop, "));
        assert!(house.tree().await.contains(&("/c".to_owned(), "new".to_owned())));
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_moved_out_of_its_fence_is_told_by_the_row_that_moves_it() {
    for house in House::both(|_| {}).await {
        let device = house.device("one");
        let fenced = device.plain(folder("/fenced")).await;
        let inner = device.plain(folder("/fenced/inner")).await;
        deny(&house, fenced.resource_id, Right::Write, true).await;
        let moved = device.plain(relocate(&inner, "/fenced/inner", "/inner")).await;
        let mut rows = house.drive.read().await.unwrap();
        let head = rows.head(house.caller.tenant).await.unwrap();
        let last = rows.changes(house.caller.tenant, head - 2, 2).await.unwrap();
        assert_eq!(last[1].metadata["access_changed"], true);
        assert_eq!((Some(last[0].id), last[0].change_type), (moved.change_id, ChangeKind::Moved));
        drop(rows);
        house.check().await;
    }
}
