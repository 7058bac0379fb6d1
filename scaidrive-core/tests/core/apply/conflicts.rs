//! Every conflict under every strategy, on real trees: what is where afterwards, and that every byte is somewhere.

use scaidrive_core::model::{ConflictStatus, ConflictType, Strategy};
use scaidrive_core::services::apply::{Batch, conflicts};
use serde_json::json;

use super::{at, delete, relocate, tree, with};
use crate::backends::House;

const SETTLING: [Strategy; 4] =
    [Strategy::KeepBoth, Strategy::LastWriterWins, Strategy::ClientWins, Strategy::ServerWins];

fn today() -> String {
    let now = at(json!({}), 0)["modified_at"].as_str().unwrap().to_owned();
    now.split('T').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_what_was_edited_loses_nothing_under_any_strategy() {
    for house in House::both(|_| {}).await {
        let (one, other) = (house.device("one"), house.device("other"));
        for (number, strategy) in SETTLING.into_iter().enumerate() {
            for (is_later, seconds) in [(true, 60), (false, -60)] {
                let path = format!("/{number}{is_later}.txt");
                let base = one.plain(one.file(&path, "base").await).await;
                let theirs = one.plain(one.edit(&base, "theirs").await).await;
                let ours = at(other.edit(&base, "ours").await, seconds);
                let (applied, met) = other.clash(strategy, ours).await;
                assert_eq!(met.conflict_type, ConflictType::EditEdit);
                assert_eq!((met.status, met.resolution), (ConflictStatus::Resolved, Some(strategy)));
                assert_eq!(met.resource_id, Some(base.resource_id));
                assert_eq!(
                    (met.base_version_id, met.server_version_id),
                    (base.version_id, theirs.version_id)
                );
                let file = base.resource_id.as_file().unwrap();
                let versions = house.versions(file).await;
                let texts = |all: &[(u32, bool, String)]| {
                    let text = |(number, current, text): &(u32, bool, String)| {
                        format!("{number}{}{text}", if *current { "*" } else { " " })
                    };
                    all.iter().map(text).collect::<Vec<_>>()
                };
                let client_wins =
                    strategy == Strategy::ClientWins || (strategy == Strategy::LastWriterWins && is_later);
                if strategy == Strategy::KeepBoth {
                    assert_eq!(texts(&versions), ["2*theirs", "1 base"]);
                    let copy = applied.unwrap();
                    assert_eq!(copy.path, format!("/{number}{is_later} (conflict, other, {}).txt", today()));
                    assert_eq!(copy.version_id, met.client_version_id);
                    assert_eq!(house.text(copy.resource_id.as_file().unwrap(), None).await, "ours");
                } else if client_wins {
                    assert_eq!(texts(&versions), ["3*ours", "2 theirs", "1 base"]);
                    assert_eq!(applied.unwrap().version_id, met.client_version_id);
                } else {
                    assert_eq!(texts(&versions), ["3*theirs", "2 ours", "1 base"]);
                    assert!(applied.is_none(), "the server's stays");
                    // It is the version that it was: who made the next edit of it is not late.
                    one.plain(one.edit(&theirs, "next").await).await;
                }
            }
        }
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_what_was_deleted_brings_it_back_or_keeps_the_bytes() {
    for house in House::both(|_| {}).await {
        let (one, other) = (house.device("one"), house.device("other"));
        for (number, strategy) in SETTLING.into_iter().enumerate() {
            for (is_later, seconds) in [(true, 60), (false, -60)] {
                let path = format!("/{number}{is_later}");
                let base = one.plain(one.file(&path, "base").await).await;
                one.plain(delete(&base)).await;
                let ours = at(other.edit(&base, "ours").await, seconds);
                let (applied, met) = other.clash(strategy, ours).await;
                assert_eq!(met.conflict_type, ConflictType::EditDelete);
                let versions = house.versions(base.resource_id.as_file().unwrap()).await;
                if strategy == Strategy::LastWriterWins && !is_later {
                    assert!(applied.is_none(), "the later delete stays");
                    assert_eq!(versions, [(2, true, "base".to_owned()), (1, false, "ours".to_owned())]);
                } else {
                    let applied = applied.unwrap();
                    assert_eq!((applied.resource_id, applied.path), (base.resource_id, path));
                    assert_eq!(versions, [(2, true, "ours".to_owned()), (1, false, "base".to_owned())]);
                }
                assert!(met.client_version_id.is_some());
            }
        }
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_file_comes_back_beside_what_has_its_place() {
    for house in House::both(|_| {}).await {
        let (one, other) = (house.device("one"), house.device("other"));
        let base = one.plain(one.file("/a.txt", "base").await).await;
        one.plain(delete(&base)).await;
        one.plain(one.file("/a.txt", "another").await).await;
        let (applied, _) = other.clash(Strategy::KeepBoth, other.edit(&base, "ours").await).await;
        assert_eq!(applied.unwrap().path, "/a (restored).txt");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_beats_an_edit_only_where_the_client_or_the_later_wins() {
    for house in House::both(|_| {}).await {
        let (one, other) = (house.device("one"), house.device("other"));
        for (number, strategy) in SETTLING.into_iter().enumerate() {
            for (is_later, seconds) in [(true, 60), (false, -60)] {
                let path = format!("/{number}{is_later}");
                let base = one.plain(one.file(&path, "base").await).await;
                one.plain(one.edit(&base, "theirs").await).await;
                let (applied, met) = other.clash(strategy, at(delete(&base), seconds)).await;
                assert_eq!((met.conflict_type, met.client_version_id), (ConflictType::DeleteEdit, None));
                let wins =
                    strategy == Strategy::ClientWins || (strategy == Strategy::LastWriterWins && is_later);
                assert_eq!(applied.is_some(), wins);
                let is_there = house.tree().await.contains(&(path, "theirs".to_owned()));
                assert_eq!(is_there, !wins, "{strategy} {is_later}");
                assert_eq!(house.versions(base.resource_id.as_file().unwrap()).await.len(), 2);
            }
        }
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_gives_a_second_file_and_the_same_bytes_give_one() {
    for house in House::both(|_| {}).await {
        let (one, other) = (house.device("one"), house.device("other"));
        for strategy in SETTLING {
            let path = format!("/{strategy}.txt");
            let first = one.plain(one.file(&path, "theirs").await).await;
            let same = other.plain(other.file(&path, "theirs").await).await;
            assert_eq!((same.resource_id, same.change_id), (first.resource_id, None));
            let (applied, met) = other.clash(strategy, other.file(&path, "ours").await).await;
            let applied = applied.unwrap();
            assert_eq!(met.conflict_type, ConflictType::NameTaken);
            assert_eq!(applied.path, format!("/{strategy} (conflict, other, {}).txt", today()));
            assert_eq!(met.client_version_id, applied.version_id);
            let (again, _) = other.clash(strategy, other.file(&path, "more").await).await;
            assert_eq!(again.unwrap().path, format!("/{strategy} (conflict, other, {} 2).txt", today()));
            // A folder of that name, and what the device puts in it.
            let inside = other.file(&format!("{path}/inside"), strategy.as_str()).await;
            let changes = [super::folder(&path), inside];
            let outcome = other.apply(strategy, &changes).await;
            assert_eq!((outcome.applied.len(), outcome.conflicts.len()), (2, 1), "{outcome:?}");
            let place = format!("/{strategy} (conflict, other, {} 3).txt", today());
            assert_eq!(outcome.applied[1].path, format!("{place}/inside"));
        }
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_moves_the_first_stays_unless_the_client_or_the_last_wins() {
    for house in House::both(|_| {}).await {
        let (one, other) = (house.device("one"), house.device("other"));
        for target in ["/A", "/B"] {
            one.plain(super::folder(target)).await;
        }
        for strategy in SETTLING {
            let item = one.plain(one.file(&format!("/{strategy}"), strategy.as_str()).await).await;
            let (from, to) = (format!("/{strategy}"), |folder: &str| format!("{folder}/{strategy}"));
            one.plain(relocate(&item, &from, &to("/A"))).await;
            // To the same place there is nothing to fight about.
            other.plain(relocate(&item, &from, &to("/A"))).await;
            let (applied, met) = other.clash(strategy, relocate(&item, &from, &to("/B"))).await;
            assert_eq!(met.conflict_type, ConflictType::MoveMove);
            let moves = matches!(strategy, Strategy::ClientWins | Strategy::LastWriterWins);
            assert_eq!(applied.map(|applied| applied.path), moves.then(|| to("/B")));
            let now = (to(if moves { "/B" } else { "/A" }), strategy.to_string());
            assert!(house.tree().await.contains(&now), "{strategy}");
        }
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_strategy_makes_a_loop() {
    for house in House::both(|_| {}).await {
        let (one, other) = (house.device("one"), house.device("other"));
        for strategy in Strategy::ALL {
            let (a, b) = (format!("/a {strategy}"), format!("/b {strategy}"));
            let above = one.plain(super::folder(&a)).await;
            let below = one.plain(super::folder(&b)).await;
            let inside = format!("{a}{a}");
            let (applied, met) = one.clash(*strategy, relocate(&above, &a, &inside)).await;
            assert_eq!((applied, met.conflict_type), (None, ConflictType::Cycle));
            assert_eq!(met.status, ConflictStatus::Resolved, "the server's tree stays under every strategy");
            // Two opposite moves of two devices: the second says by id where it goes, for paths have changed.
            one.plain(relocate(&below, &b, &format!("{a}{b}"))).await;
            let move_back =
                with(relocate(&above, &a, &format!("{b}{a}")), json!({ "parent_id": below.resource_id }));
            let (applied, met) = other.clash(*strategy, move_back).await;
            assert_eq!((applied, met.conflict_type), (None, ConflictType::Cycle));
        }
        assert_eq!(house.tree().await.len(), 10);
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_edit_by_two_devices_is_one() {
    for house in House::both(|_| {}).await {
        let (one, other) = (house.device("one"), house.device("other"));
        let base = one.plain(one.file("/a", "base").await).await;
        let first = one.plain(one.edit(&base, "same").await).await;
        let second = other.plain(other.edit(&base, "same").await).await;
        assert_eq!((second.version_id, second.change_id), (first.version_id, None));
        one.plain(delete(&first)).await;
        let again = other.plain(delete(&first)).await;
        assert_eq!(again.change_id, None, "gone is gone");
        assert!(house.tree().await.is_empty());
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_of_what_was_deleted_brings_it_back_with_all_it_held() {
    for house in House::both(|_| {}).await {
        let (one, other) = (house.device("one"), house.device("other"));
        for strategy in SETTLING {
            let (before, after) = (format!("/{strategy}"), format!("/{strategy} new"));
            let item = one.plain(super::folder(&before)).await;
            one.plain(one.file(&format!("{before}/x"), "x").await).await;
            one.plain(delete(&item)).await;
            let (applied, met) = other.clash(strategy, at(relocate(&item, &before, &after), 60)).await;
            assert_eq!(met.conflict_type, ConflictType::EditDelete);
            let is_back = strategy != Strategy::ServerWins;
            assert_eq!(applied.is_some(), is_back, "{strategy}");
            let inside = (format!("{after}/x"), "x".to_owned());
            assert_eq!(house.tree().await.contains(&inside), is_back, "{strategy}");
        }
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_meets_a_folder_of_its_name_goes_into_it() {
    for house in House::both(|_| {}).await {
        let device = house.device("one");
        let from = device.plain(super::folder("/from")).await;
        for path in ["/into", "/from/deep", "/into/deep"] {
            device.plain(super::folder(path)).await;
        }
        for (path, text) in [
            ("/from/a", "a"),
            ("/from/same", "same"),
            ("/into/same", "same"),
            ("/from/deep/x.txt", "ours"),
            ("/into/deep/X.txt", "theirs"),
            ("/into/b", "b"),
        ] {
            device.plain(device.file(path, text).await).await;
        }
        let stays = device.clash(Strategy::Manual, relocate(&from, "/from", "/into")).await;
        assert_eq!((stays.0, stays.1.status), (None, ConflictStatus::Open), "nothing visible changes");
        let (applied, met) = device.clash(Strategy::ServerWins, relocate(&from, "/from", "/into")).await;
        assert_eq!((applied.unwrap().path.as_str(), met.conflict_type), ("/into", ConflictType::NameTaken));
        let copy = format!("/into/deep/x (conflict, one, {}).txt", today());
        let now = [
            ("/into", "dir"),
            ("/into/a", "a"),
            ("/into/b", "b"),
            ("/into/deep", "dir"),
            ("/into/deep/X.txt", "theirs"),
            (copy.as_str(), "ours"),
            ("/into/same", "same"),
        ];
        let mut now = tree(&now);
        now.sort();
        assert_eq!(house.tree().await, now);
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_not_deleted_with_what_its_deleter_has_not_seen() {
    for house in House::both(|_| {}).await {
        let (one, other) = (house.device("one"), house.device("other"));
        let head = async || house.drive.read().await.unwrap().head(house.caller.tenant).await.unwrap();
        for (strategy, is_later) in [
            (Strategy::KeepBoth, true),
            (Strategy::ServerWins, true),
            (Strategy::LastWriterWins, false),
            (Strategy::LastWriterWins, true),
            (Strategy::ClientWins, false),
        ] {
            let path = format!("/{strategy}{is_later}");
            let dir = one.plain(super::folder(&path)).await;
            let file = one.plain(one.file(&format!("{path}/old"), "old").await).await;
            let seen = head().await;
            let remove = at(delete(&dir), if is_later { 60 } else { -60 });
            let batch = |change| Batch { seen: Some(seen), ..other.batch(strategy, &[change]) };
            // What happened elsewhere, and what the device did itself, is nothing to it.
            one.plain(one.file(&format!("{path} elsewhere"), "x").await).await;
            other.plain(other.file(&format!("{path}/own"), "own").await).await;
            one.plain(one.edit(&file, "edited").await).await;
            let outcome = other.run(batch(remove)).await.unwrap();
            assert_eq!(outcome.conflicts[0].conflict_type, ConflictType::DeleteEdit, "{outcome:?}");
            let is_gone =
                strategy == Strategy::ClientWins || (strategy == Strategy::LastWriterWins && is_later);
            assert_eq!(outcome.applied.len(), usize::from(is_gone), "{outcome:?}");
            let inside = (format!("{path}/old"), "edited".to_owned());
            assert_eq!(house.tree().await.contains(&inside), !is_gone, "{strategy}");
        }
        let dir = one.plain(super::folder("/read")).await;
        one.plain(one.file("/read/x", "x").await).await;
        let read = Batch { seen: Some(head().await), ..other.batch(Strategy::KeepBoth, &[delete(&dir)]) };
        assert!(other.run(read).await.unwrap().conflicts.is_empty(), "it has seen all of it");
        let dir = one.plain(super::folder("/wait")).await;
        let seen = Some(head().await);
        one.plain(one.file("/wait/x", "x").await).await;
        let wait = Batch { seen, ..other.batch(Strategy::Manual, &[delete(&dir)]) };
        let met = other.run(wait).await.unwrap().conflicts.pop().unwrap();
        let id = met.id.unwrap();
        conflicts::resolve(&house.drive, &house.caller, id, Strategy::KeepBoth).await.unwrap();
        assert!(house.tree().await.contains(&("/wait/x".to_owned(), "x".to_owned())));
        house.check().await;
    }
}
