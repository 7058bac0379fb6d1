//! Conflicts that wait for somebody to decide: kept, charged, listed, settled.

use std::time::Duration;

use scaidrive_core::model::acl::AceType;
use scaidrive_core::model::{
    Conflict, ConflictStatus, ConflictType, Error, Limits, QuotaTarget, ResourceId, ShareRole, Strategy,
    UsageTarget,
};
use scaidrive_core::ports::metadata::ConflictQuery;
use scaidrive_core::services::access::Right;
use scaidrive_core::services::apply::conflicts;
use scaidrive_core::services::collect::{self, Plan};
use scaidrive_core::services::devices::{self, NewDevice};
use scaidrive_core::services::{quotas, trash};

use super::{Device, at, delete, folder, relocate, tree};
use crate::backends::House;

const QUERY: ConflictQuery =
    ConflictQuery { device: None, share: None, include_resolved: false, after: None, limit: 1000 };

impl Device<'_> {
    async fn conflicts(&self, query: ConflictQuery) -> Vec<Conflict> {
        conflicts::list(&self.house.drive, &self.caller, query).await.unwrap()
    }

    async fn resolve(&self, conflict: &Conflict, strategy: Strategy) -> Result<Conflict, Error> {
        conflicts::resolve(&self.house.drive, &self.caller, conflict.id.unwrap(), strategy).await
    }

    async fn has_open(&self) -> bool {
        let mut rows = self.house.drive.read().await.unwrap();
        let caller = &self.caller;
        rows.has_open_conflicts(caller.tenant, self.share, &caller.user, &self.id.parse().unwrap())
            .await
            .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_changes_nothing_visible_and_is_not_collected() {
    for house in House::both(|_| {}).await {
        let (one, other) = (house.device("one"), house.device("other"));
        let base = one.plain(one.file("/a.txt", "base").await).await;
        one.plain(one.edit(&base, "theirs").await).await;
        let head = house.drive.read().await.unwrap().head(house.caller.tenant).await.unwrap();
        let ours = "what nobody else has";
        let (applied, met) = other.clash(Strategy::Manual, other.edit(&base, ours).await).await;
        assert_eq!((applied, met.status, met.resolution), (None, ConflictStatus::Open, None));
        assert!(other.has_open().await && !one.has_open().await);
        let mut rows = house.drive.read().await.unwrap();
        assert_eq!(rows.head(house.caller.tenant).await.unwrap(), head, "nobody is told");
        let usage = rows.usage(house.caller.tenant, &UsageTarget::Share(house.share.id)).await.unwrap();
        assert_eq!(usage.version_bytes, ("base".len() + ours.len()) as i64);
        drop(rows);
        house.check().await;
        // What was sent a day ago is held by nothing but the conflict.
        let plan = Plan { grace: Duration::ZERO, dry_run: false, quarantine: Duration::ZERO };
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            collect::run(&house.drive, house.caller.tenant, plan).await.unwrap();
        }
        let settled = other.resolve(&met, Strategy::KeepBoth).await.unwrap();
        assert_eq!(
            (settled.status, settled.resolution),
            (ConflictStatus::Resolved, Some(Strategy::KeepBoth))
        );
        let texts: Vec<String> = house.tree().await.into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, [ours, "theirs"]);
        assert!(!other.has_open().await);
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_strategy_settles_what_waits_as_it_would_have_at_once() {
    for house in House::both(|_| {}).await {
        let (one, other) = (house.device("one"), house.device("other"));
        for (strategy, versions) in [
            (Strategy::KeepBoth, vec![(2, true, "theirs"), (1, false, "base")]),
            (Strategy::LastWriterWins, vec![(3, true, "theirs"), (2, false, "ours"), (1, false, "base")]),
            (Strategy::ClientWins, vec![(3, true, "ours"), (2, false, "theirs"), (1, false, "base")]),
            (Strategy::ServerWins, vec![(3, true, "theirs"), (2, false, "ours"), (1, false, "base")]),
        ] {
            let base = one.plain(one.file(&format!("/{strategy}"), "base").await).await;
            one.plain(one.edit(&base, "theirs").await).await;
            let (_, met) = other.clash(Strategy::Manual, at(other.edit(&base, "ours").await, -60)).await;
            let settled = other.resolve(&met, strategy).await.unwrap();
            assert!(settled.client_version_id.is_some());
            assert_eq!(settled.resolved_by.as_ref(), Some(&house.caller.user));
            let found = house.versions(base.resource_id.as_file().unwrap()).await;
            let found: Vec<_> =
                found.iter().map(|(n, current, text)| (*n, *current, text.as_str())).collect();
            assert_eq!(found, versions, "{strategy}");
            assert_eq!(other.resolve(&met, strategy).await.unwrap(), settled, "again, the same");
            let differently =
                if strategy == Strategy::KeepBoth { Strategy::ServerWins } else { Strategy::KeepBoth };
            let refused = other.resolve(&met, differently).await;
            assert!(matches!(refused, Err(Error::AlreadyExists { .. })), "{refused:?}");
            assert!(matches!(other.resolve(&met, Strategy::Manual).await, Err(Error::Invalid { .. })));
        }
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_without_content_wait_too() {
    for house in House::both(|_| {}).await {
        let (one, other) = (house.device("one"), house.device("other"));
        let base = one.plain(one.file("/a", "base").await).await;
        one.plain(one.edit(&base, "theirs").await).await;
        let dir = one.plain(folder("/d")).await;
        one.plain(folder("/x")).await;
        one.plain(relocate(&dir, "/d", "/x/d")).await;
        let (_, deleted) = other.clash(Strategy::Manual, delete(&base)).await;
        let (_, moved) = other.clash(Strategy::Manual, relocate(&dir, "/d", "/e")).await;
        let (_, taken) = other.clash(Strategy::Manual, other.file("/x", "a file").await).await;
        let types = [deleted.conflict_type, moved.conflict_type, taken.conflict_type];
        assert_eq!(types, [ConflictType::DeleteEdit, ConflictType::MoveMove, ConflictType::NameTaken]);
        assert_eq!(house.tree().await, tree(&[("/a", "theirs"), ("/x", "dir"), ("/x/d", "dir")]));
        other.resolve(&deleted, Strategy::ServerWins).await.unwrap();
        other.resolve(&moved, Strategy::ClientWins).await.unwrap();
        other.resolve(&taken, Strategy::KeepBoth).await.unwrap();
        let paths: Vec<String> = house.tree().await.into_iter().map(|(path, _)| path).collect();
        assert_eq!((paths.len(), paths[0].as_str(), paths[1].as_str()), (4, "/a", "/e"), "{paths:?}");
        assert!(paths[3].starts_with("/x (conflict, other, "), "{paths:?}");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_is_saved_even_where_its_file_is_gone_for_good() {
    for house in House::both(|_| {}).await {
        let (one, other) = (house.device("one"), house.device("other"));
        for strategy in [Strategy::KeepBoth, Strategy::ServerWins] {
            let dir = one.plain(folder("/d")).await;
            let base = one.plain(one.file("/d/a", "base").await).await;
            one.plain(one.edit(&base, "theirs").await).await;
            let edit =
                super::with(other.edit(&base, "ours").await, serde_json::json!({ "new_path": "/d/a" }));
            let (_, met) = other.clash(Strategy::Manual, edit).await;
            let (_, new) = other.clash(Strategy::Manual, other.file("/d/A", "new").await).await;
            trash::delete(&house.drive, &house.caller, dir.resource_id, true).await.unwrap();
            for met in [&met, &new] {
                let settled = other.resolve(met, strategy).await.unwrap();
                assert!(settled.client_version_id.is_some());
            }
            let texts: Vec<String> = house.tree().await.into_iter().map(|(_, text)| text).collect();
            assert!(texts.contains(&"ours".to_owned()) && texts.contains(&"new".to_owned()), "{texts:?}");
        }
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_is_its_users_alone() {
    for house in House::both(|_| {}).await {
        let one = house.device("one");
        let ann = house.device_of("usr_ann", Some(ShareRole::Contributor)).await;
        let bob = house.device_of("usr_bob", Some(ShareRole::Contributor)).await;
        let base = one.plain(one.file("/a", "base").await).await;
        one.plain(one.edit(&base, "theirs").await).await;
        let (_, met) = ann.clash(Strategy::Manual, ann.edit(&base, "hers").await).await;
        let (_, settled) = ann.clash(Strategy::KeepBoth, ann.edit(&base, "hers, too").await).await;
        for stranger in [&one, &bob] {
            assert!(stranger.conflicts(QUERY).await.is_empty());
            assert!(matches!(stranger.resolve(&met, Strategy::KeepBoth).await, Err(Error::NotFound)));
        }
        let ids = |all: Vec<Conflict>| all.into_iter().map(|conflict| conflict.id).collect::<Vec<_>>();
        assert_eq!(ids(ann.conflicts(QUERY).await), [met.id]);
        let all = ConflictQuery { include_resolved: true, ..QUERY };
        assert_eq!(ids(ann.conflicts(all.clone()).await), [settled.id, met.id], "newest first");
        assert_eq!(ids(ann.conflicts(ConflictQuery { limit: 1, ..all.clone() }).await), [settled.id]);
        assert_eq!(ids(ann.conflicts(ConflictQuery { after: settled.id, ..all.clone() }).await), [met.id]);
        let elsewhere = ConflictQuery { device: Some("another".parse().unwrap()), ..all };
        assert!(ann.conflicts(elsewhere).await.is_empty());
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_on_a_hidden_file_is_listed_and_settled_as_on_one_that_is_gone() {
    for house in House::both(|_| {}).await {
        let one = house.device("one");
        let ann = house.device_of("usr_ann", Some(ShareRole::Contributor)).await;
        let mut listed = Vec::new();
        for number in 0..2 {
            let dir = one.plain(folder(&format!("/d{number}"))).await;
            let path = format!("/d{number}/a");
            let base = one.plain(one.file(&path, "base").await).await;
            one.plain(one.edit(&base, "theirs").await).await;
            let edit = super::with(ann.edit(&base, "hers").await, serde_json::json!({ "new_path": path }));
            let (_, met) = ann.clash(Strategy::Manual, edit).await;
            if number == 0 {
                let who = format!("user:{}", ann.caller.user);
                let on = ResourceId::Node(dir.resource_id);
                house.entry(on, &who, AceType::Deny, &[Right::Read]).await;
            } else {
                trash::delete(&house.drive, &house.caller, dir.resource_id, true).await.unwrap();
            }
            listed.insert(0, met);
            assert_eq!(ann.conflicts(QUERY).await, listed);
        }
        for met in listed {
            let settled = ann.resolve(&met, Strategy::KeepBoth).await.unwrap();
            assert!(settled.client_version_id.is_some());
        }
        assert!(ann.conflicts(QUERY).await.is_empty());
        let unknown =
            ConflictQuery { share: Some("shr_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap()), ..QUERY };
        let refused = conflicts::list(&house.drive, &ann.caller, unknown).await;
        assert!(matches!(refused, Err(Error::NotFound)), "{refused:?}");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_needs_room_as_versions_do() {
    for house in House::both(|_| {}).await {
        let (one, other) = (house.device("one"), house.device("other"));
        let base = one.plain(one.file("/a", "0123456789").await).await;
        one.plain(one.edit(&base, "9876543210").await).await;
        let changes = [other.edit(&base, "ours 67890").await];
        let limits = Limits { limit_bytes: Some(29), ..Limits::default() };
        quotas::set(&house.drive, &house.caller, QuotaTarget::Share(house.share.id), limits).await.unwrap();
        let outcome = other.apply(Strategy::Manual, &changes).await;
        assert_eq!(outcome.errors[0].error.code(), "QUOTA_EXCEEDED", "{outcome:?}");
        assert!(other.conflicts(QUERY).await.is_empty());
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_told_that_something_waits_for_it() {
    for house in House::both(|_| {}).await {
        let (one, other) = (house.device("one"), house.device("other"));
        let id = other.id.parse().unwrap();
        let new = NewDevice {
            device_id: other.id.parse().unwrap(),
            device_name: "Other".to_owned(),
            platform: None,
            client_version: None,
        };
        devices::register(&house.drive, &house.caller, new).await.unwrap();
        let waits = async || {
            devices::status(&house.drive, &house.caller, house.share.id, &id).await.unwrap().has_conflicts
        };
        let base = one.plain(one.file("/a.txt", "base").await).await;
        one.plain(one.edit(&base, "theirs").await).await;
        assert!(!waits().await);
        let (_, met) = other.clash(Strategy::Manual, other.edit(&base, "ours").await).await;
        assert!(waits().await);
        other.resolve(&met, Strategy::KeepBoth).await.unwrap();
        assert!(!waits().await);
        house.check().await;
    }
}
