//! Once: whatever is sent again, by whom and however often at once, has one effect and one answer.

use std::time::Duration;

use futures_util::future::join_all;
use scaidrive_core::model::{Strategy, Usage, UsageTarget};
use scaidrive_core::services::{apply, feed, once};
use serde_json::json;

use super::{Device, delete, folder, incoming, relocate, with};
use crate::backends::{House, rounds};

impl House {
    async fn state(&self) -> (i64, Usage) {
        let mut rows = self.drive.read().await.unwrap();
        let usage = rows.usage(self.caller.tenant, &UsageTarget::Tenant).await.unwrap();
        (feed::head(&self.drive, &self.caller).await.unwrap(), usage)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_sent_again_is_answered_again() {
    for house in House::both(|_| {}).await {
        let device = house.device("laptop");
        let base = device.plain(device.file("/base", "base").await).await;
        device.plain(device.edit(&base, "newer").await).await;
        let changes = [
            folder("/d"),
            device.file("/d/a", "a").await,
            device.edit(&base, "late").await,
            device.file("/base", "taken").await,
            relocate(&base, "/base", "/d/base"),
            delete(&base),
            device.file("/no/parent", "x").await,
        ];
        for strategy in [Strategy::KeepBoth, Strategy::Manual] {
            let batch = device.batch(strategy, &changes);
            let first = device.run(batch.clone()).await.unwrap();
            let state = house.state().await;
            for _ in 0..2 {
                let again = device.run(batch.clone()).await.unwrap();
                assert_eq!(
                    (again.applied, again.conflicts),
                    (first.applied.clone(), first.conflicts.clone())
                );
                assert_eq!(again.errors.len(), first.errors.len());
                assert!(again.new_conflicts.is_empty() && !first.new_conflicts.is_empty());
                assert_eq!(house.state().await, state, "nothing happened again");
            }
        }
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_went_elsewhere_is_meant_by_its_path_in_a_batch_that_is_sent_again() {
    for house in House::both(|_| {}).await {
        let device = house.device("laptop");
        device.plain(device.file("/x", "a file").await).await;
        // The first half of a batch went through, its answer was lost.
        let changes = [folder("/x"), device.file("/x/inside", "y").await];
        let batch = device.batch(Strategy::KeepBoth, &changes);
        let half = apply::Batch { changes: batch.changes[..1].to_vec(), ..batch.clone() };
        device.run(half).await.unwrap();
        let outcome = device.run(batch).await.unwrap();
        assert_eq!((outcome.applied.len(), outcome.errors.len()), (2, 0), "{outcome:?}");
        assert_eq!(outcome.applied[1].path, format!("{}/inside", outcome.applied[0].path));
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_stands_for_one_change_of_one_device_of_one_user() {
    for house in House::both(|_| {}).await {
        let device = house.device("laptop");
        let named = |change| with(change, json!({ "client_change_id": "same" }));
        let both = [named(folder("/a")), named(folder("/b")), named(folder("/a"))];
        let outcome = device.apply(Strategy::KeepBoth, &both).await;
        assert_eq!((outcome.applied.len(), outcome.errors.len()), (2, 1), "{outcome:?}");
        assert_eq!(outcome.errors[0].error.code(), "VALIDATION_FAILED");
        assert_eq!(outcome.applied[0], outcome.applied[1]);
        assert_eq!(device.refusal(named(folder("/c"))).await, "VALIDATION_FAILED");
        house.device("phone").plain(named(folder("/c"))).await;
        let ann = house.device_of("usr_ann", Some(scaidrive_core::model::ShareRole::Contributor)).await;
        Device { id: "laptop".to_owned(), ..ann }.plain(named(folder("/d"))).await;
        // What was refused was not remembered: the id is free.
        let missing =
            named(json!({ "resource_type": "folder", "change_type": "created", "new_path": "/x/y" }));
        let missing = with(missing, json!({ "client_change_id": "free" }));
        assert_eq!(device.refusal(missing).await, "NOT_FOUND");
        device.plain(with(folder("/x"), json!({ "client_change_id": "free" }))).await;
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_same_batch_many_times_at_once_there_is_one_effect() {
    for house in House::both(|_| {}).await {
        let device = house.device("laptop");
        let base = device.plain(device.file("/base", "0").await).await;
        for round in 0..rounds(200) / 10 {
            let changes = [
                folder(&format!("/d{round}")),
                device.file(&format!("/d{round}/a"), "a").await,
                device.edit(&base, &format!("late {round}")).await,
            ];
            let batch = device.batch(Strategy::KeepBoth, &changes);
            let start = house.state().await.0;
            let all = join_all((0..4).map(|_| device.run(batch.clone()))).await;
            let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
            assert!(all.iter().all(|outcome| outcome.applied == all[0].applied), "{all:?}");
            assert!(all.iter().all(|outcome| outcome.errors.is_empty()), "{all:?}");
            assert_eq!(house.state().await.0, start + 3, "three changes, whoever was first");
        }
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_needs_none_of_its_chunks_any_more() {
    let grace = Duration::from_millis(100);
    for house in House::both(|ports| ports.gc_grace = grace).await {
        let device = house.device("laptop");
        let batch = device.batch(Strategy::KeepBoth, &[device.file("/a", "soon gone").await]);
        let first = device.run(batch.clone()).await.unwrap();
        // Another user has neither sent the chunk nor a file that shows it.
        let ann = house.device_of("usr_ann", Some(scaidrive_core::model::ShareRole::Contributor)).await;
        let foreign = Device { id: "laptop".to_owned(), ..ann };
        let id = first.applied[0].resource_id;
        scaidrive_core::services::trash::delete(&house.drive, &house.caller, id, true).await.unwrap();
        let refused = foreign.run(batch.clone()).await.unwrap();
        assert_eq!(refused.errors[0].error.code(), "CHUNKS_MISSING");
        assert_eq!(device.run(batch).await.unwrap().applied, first.applied);
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_a_month_old_is_forgotten() {
    for house in House::both(|_| {}).await {
        let device = house.device("laptop");
        let change = folder("/a");
        let batch = device.batch(Strategy::KeepBoth, std::slice::from_ref(&change));
        device.run(batch.clone()).await.unwrap();
        once::forget(&house.drive, house.caller.tenant).await.unwrap();
        let id = vec![batch.changes[0].client_change_id.clone()];
        let known = async |since| {
            let mut rows = house.drive.read().await.unwrap();
            let user = &house.caller.user;
            rows.client_changes(house.caller.tenant, user, &"laptop".parse().unwrap(), &id, since)
                .await
                .unwrap()
                .len()
        };
        assert_eq!(known(house.drive.clock.now().minus(Duration::from_secs(60))).await, 1, "not yet");
        assert_eq!(known(house.drive.clock.now().plus(Duration::from_secs(60))).await, 0);
        assert_eq!(incoming(&with(change, json!({ "client_change_id": id[0] }))).client_change_id, id[0]);
    }
}
