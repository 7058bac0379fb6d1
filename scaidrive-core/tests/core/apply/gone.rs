//! Edits of what is in the trash or gone for good: no strategy loses their bytes.

use scaidrive_core::adapters::sql::statements;
use scaidrive_core::model::{ConflictStatus, ConflictType, NodeId, ShareRole, Strategy};
use scaidrive_core::services::apply::{Applied, conflicts};
use scaidrive_core::services::trash;
use serde_json::{Value, json};

use super::{Device, at, delete, folder, relocate, with};
use crate::backends::House;

const SETTLING: [Strategy; 4] =
    [Strategy::KeepBoth, Strategy::LastWriterWins, Strategy::ClientWins, Strategy::ServerWins];

async fn purge(house: &House, id: NodeId) {
    trash::delete(&house.drive, &house.caller, id, true).await.unwrap();
}

impl Device<'_> {
    /// Returns an edit as a client sends it: with the path that it knows.
    async fn edit_at(&self, base: &Applied, path: &str, text: &str) -> Value {
        with(self.edit(base, text).await, json!({ "new_path": path }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_a_deleted_file_with_the_bytes_it_had_brings_it_back() {
    for house in House::both(|_| {}).await {
        let (one, other) = (house.device("one"), house.device("other"));
        for strategy in SETTLING {
            for (is_later, seconds) in [(true, 60), (false, -60)] {
                let path = format!("/{strategy}{is_later}");
                let base = one.plain(one.file(&path, "base").await).await;
                one.plain(delete(&base)).await;
                let (applied, met) =
                    other.clash(strategy, at(other.edit(&base, "base").await, seconds)).await;
                assert_eq!(
                    (met.conflict_type, met.resource_id),
                    (ConflictType::EditDelete, Some(base.resource_id))
                );
                let is_back = strategy != Strategy::LastWriterWins || is_later;
                assert_eq!(applied.map(|applied| applied.resource_id), is_back.then_some(base.resource_id));
                assert_eq!(house.tree().await.contains(&(path, "base".to_owned())), is_back, "{strategy}");
                assert_eq!(house.versions(base.resource_id.as_file().unwrap()).await.len(), 1, "{strategy}");
            }
        }
        let base = one.plain(one.file("/waits", "base").await).await;
        one.plain(delete(&base)).await;
        let (_, met) = other.clash(Strategy::Manual, other.edit(&base, "base").await).await;
        assert_eq!(met.status, ConflictStatus::Open);
        conflicts::resolve(&house.drive, &house.caller, met.id.unwrap(), Strategy::KeepBoth).await.unwrap();
        assert!(house.tree().await.contains(&("/waits".to_owned(), "base".to_owned())));
        // Moved and deleted, the same bytes again: back where the move leads.
        let moved = one.plain(one.file("/m", "base").await).await;
        one.plain(delete(&moved)).await;
        let both = with(relocate(&moved, "/m", "/n"), other.content("base").await);
        assert_eq!(other.clash(Strategy::ServerWins, both).await.0.unwrap().path, "/n");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_what_is_gone_for_good_becomes_a_new_file() {
    for house in House::both(|_| {}).await {
        let (one, other) = (house.device("one"), house.device("other"));
        let dir = one.plain(folder("/d")).await;
        for strategy in SETTLING {
            let path = format!("/d/{strategy}");
            let base = one.plain(one.file(&path, "base").await).await;
            purge(&house, base.resource_id).await;
            let edit = at(other.edit_at(&base, &path, strategy.as_str()).await, -60);
            let (applied, met) = other.clash(strategy, edit.clone()).await;
            let applied = applied.unwrap();
            assert_eq!((met.conflict_type, met.resource_id), (ConflictType::EditDelete, None), "{strategy}");
            assert_eq!((met.base_version_id, met.client_version_id), (base.version_id, applied.version_id));
            assert_eq!((met.status, met.resolution), (ConflictStatus::Resolved, Some(strategy)));
            assert_eq!(applied.path, path, "its name is free");
            assert!(house.tree().await.contains(&(path.clone(), strategy.to_string())));
            // The same bytes at that place are what it wanted; others stay beside it.
            assert_eq!(other.plain(edit).await.resource_id, applied.resource_id);
            let again = other.edit_at(&base, &path, "more").await;
            let (beside, _) = other.clash(strategy, again).await;
            assert!(beside.unwrap().path.starts_with(&format!("{path} (conflict, other, ")));
        }
        // Moved and edited, and gone: its new place counts.
        let base = one.plain(one.file("/d/m", "base").await).await;
        purge(&house, base.resource_id).await;
        let both = with(relocate(&base, "/d/m", "/m"), json!({ "base_version_id": base.version_id }));
        let both = with(both, other.content("moved").await);
        assert_eq!(other.clash(Strategy::KeepBoth, both).await.0.unwrap().path, "/m");
        // Its folder went along: nobody says where it should be, unless folders may be made.
        let base = one.plain(one.file("/d/x", "base").await).await;
        purge(&house, dir.resource_id).await;
        let edit = other.edit_at(&base, "/d/x", "edited").await;
        assert_eq!(other.refusal(edit.clone()).await, "NOT_FOUND");
        let mut batch = other.batch(Strategy::KeepBoth, &[edit]);
        batch.creates_parents = true;
        assert_eq!(other.run(batch).await.unwrap().applied[0].path, "/d/x");
        // What no edit is does not become a file.
        assert_eq!(other.refusal(delete(&base)).await, "NOT_FOUND");
        assert_eq!(other.refusal(relocate(&base, "/d/x", "/x")).await, "NOT_FOUND");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_what_is_gone_for_good_waits_under_manual_and_is_resolved() {
    for house in House::both(|_| {}).await {
        let (one, other) = (house.device("one"), house.device("other"));
        one.plain(folder("/d")).await;
        for strategy in SETTLING {
            let path = format!("/d/{strategy}");
            let base = one.plain(one.file(&path, "base").await).await;
            purge(&house, base.resource_id).await;
            let edit = other.edit_at(&base, &path, strategy.as_str()).await;
            let (applied, met) = other.clash(Strategy::Manual, edit).await;
            assert_eq!((applied, met.status), (None, ConflictStatus::Open));
            assert_eq!(met.conflict_type, ConflictType::EditDelete);
            let id = met.id.unwrap();
            let settled = conflicts::resolve(&house.drive, &house.caller, id, strategy).await.unwrap();
            assert!(settled.client_version_id.is_some());
            assert!(house.tree().await.contains(&(path, strategy.to_string())), "{strategy}");
        }
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_told_no_path_is_saved_when_its_file_goes_while_it_waits() {
    for house in House::both(|_| {}).await {
        let (one, other) = (house.device("one"), house.device("other"));
        let dir = one.plain(folder("/d")).await;
        for goes_with_it in [false, true] {
            let base = one.plain(one.file(&format!("/d/{goes_with_it}.txt"), "base").await).await;
            one.plain(one.edit(&base, "theirs").await).await;
            let ours = format!("ours {goes_with_it}");
            let (_, met) = other.clash(Strategy::Manual, other.edit(&base, &ours).await).await;
            purge(&house, if goes_with_it { dir.resource_id } else { base.resource_id }).await;
            let id = met.id.unwrap();
            let settled =
                conflicts::resolve(&house.drive, &house.caller, id, Strategy::KeepBoth).await.unwrap();
            assert!(settled.client_version_id.is_some());
            let path = format!("{}/{goes_with_it}.txt", if goes_with_it { "" } else { "/d" });
            assert!(house.tree().await.contains(&(path, ours)), "{:?}", house.tree().await);
        }
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_what_is_hidden_foreign_purged_or_never_was_is_answered_and_costs_alike() {
    use scaidrive_core::model::Right;
    for house in House::both(|_| {}).await {
        let owner = house.device("owner");
        let hidden = owner.plain(owner.file("/hidden", "secret").await).await;
        super::places::deny(&house, hidden.resource_id, Right::Read, true).await;
        let purged = owner.plain(owner.file("/purged", "x").await).await;
        purge(&house, purged.resource_id).await;
        let foreign = super::places::elsewhere(&house).await;
        let foreign = foreign.plain(foreign.file("/foreign", "x").await).await;
        owner.plain(owner.file("/known", "ours").await).await;
        let never = json!("fil_01ARZ3NDEKTSV4RRFFQ69G5FAV");
        let device = house.device_of("usr_ann", Some(ShareRole::Contributor)).await;
        let reader = house.device_of("usr_bob", Some(ShareRole::Reader)).await;
        for strategy in [Strategy::KeepBoth, Strategy::Manual] {
            let (mut costs, mut answers) = (Vec::new(), Vec::new());
            let ids = [
                json!(hidden.resource_id),
                json!(foreign.resource_id),
                json!(purged.resource_id),
                never.clone(),
            ];
            for (number, id) in ids.into_iter().enumerate() {
                let path = format!("/new {strategy} {number}");
                let edit = device.edit_at(&hidden, &path, "ours").await;
                let edit = with(edit, json!({ "resource_id": id }));
                assert_eq!(
                    reader.refusal(with(edit.clone(), reader.content("ours").await)).await,
                    "PERMISSION_DENIED"
                );
                let before = statements();
                let (applied, met) = device.clash(strategy, edit).await;
                costs.push(statements() - before);
                answers.push((
                    applied.map(|applied| applied.path.len()),
                    met.resource_id,
                    met.server_version_id,
                ));
            }
            assert!(costs.iter().all(|cost| *cost == costs[0]), "{costs:?}");
            assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        }
        assert_eq!(house.text(hidden.resource_id.as_file().unwrap(), None).await, "secret");
        house.check().await;
    }
}
