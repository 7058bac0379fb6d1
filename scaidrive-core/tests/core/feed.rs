//! The feed: complete and in order for every reader, cheap in a crowded log, and honest about what it has forgotten.

use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use scaidrive_core::adapters::sql::statements;
use scaidrive_core::model::acl::AceType;
use scaidrive_core::model::{
    Caller, ChangeKind, Error, FeedRow, FileId, FolderId, NodeId, ParentId, ResourceId, Right, Share,
    ShareId, ShareRole,
};
use scaidrive_core::services::bulk::{self, BulkFile};
use scaidrive_core::services::files::{self, NewFile};
use scaidrive_core::services::moves::{self, Target};
use scaidrive_core::services::retention::{self, RAISE, Retention};
use scaidrive_core::services::shares;
use scaidrive_core::services::{feed, folders, members, trash};

use crate::backends::{House, name, share_named};

impl House {
    pub(crate) async fn other_share(&self, text: &str) -> ShareId {
        self.share_of(&self.caller, text).await.id
    }

    /// Makes a share of somebody's own.
    pub(crate) async fn share_of(&self, owner: &Caller, text: &str) -> Share {
        shares::create(&self.drive, owner, share_named(text)).await.unwrap()
    }

    /// Writes so many files into a share, in a few transactions.
    pub(crate) async fn fill(&self, share: ShareId, parent: ParentId, prefix: &str, count: usize) {
        let file = |number: usize| BulkFile {
            parent,
            name: name(&format!("{prefix}{number:06}")),
            modified_at: None,
            bytes: "x".into(),
        };
        for part in (0..count).collect::<Vec<_>>().chunks(1000) {
            let all = part.iter().map(|number| file(*number)).collect();
            for outcome in bulk::write(&self.drive, &self.caller, share, all).await.unwrap() {
                outcome.unwrap();
            }
        }
    }

    pub(crate) async fn shift(&self, id: impl Into<NodeId>, parent: ParentId) {
        let target = Target { parent, name: None };
        match id.into() {
            NodeId::File(id) => moves::file(&self.drive, &self.caller, id, target).await.map(drop),
            NodeId::Folder(id) => moves::folder(&self.drive, &self.caller, id, target).await.map(drop),
        }
        .unwrap();
    }

    /// Follows the feed from a position to its end, in pages of `limit`.
    async fn follow(
        &self,
        caller: &Caller,
        share: Option<ShareId>,
        mut after: i64,
        limit: u32,
    ) -> Vec<FeedRow> {
        let mut all = Vec::new();
        loop {
            let page = feed::changes(&self.drive, caller, share, after, limit).await.unwrap();
            assert!(page.changes.len() <= limit as usize && page.cursor >= after);
            after = page.cursor;
            all.extend(page.changes);
            if !page.has_more {
                return all;
            }
        }
    }
}

fn root(share: ShareId) -> ParentId {
    ParentId::Root(share)
}

fn positions(rows: &[FeedRow]) -> Vec<i64> {
    rows.iter().map(FeedRow::position).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_quiet_share_in_a_crowded_log_costs_few_statements() {
    for house in House::both(|_| {}).await {
        let reader = house.person("reader", Some(ShareRole::Reader)).await;
        let crowded = house.other_share("Crowded").await;
        let start = feed::head(&house.drive, &house.caller).await.unwrap();
        for round in 0..4 {
            house.fill(crowded, root(crowded), &round.to_string(), 1000).await;
            house.doc(None, &format!("mine {round}")).await;
        }
        let head = feed::head(&house.drive, &house.caller).await.unwrap();
        let before = statements();
        let page = feed::changes(&house.drive, &reader, house.share.id, start, 3).await.unwrap();
        let count = statements() - before;
        assert!(count <= 4, "{count} statements for a page");
        assert_eq!((page.changes.len(), page.has_more), (3, true));
        let rest = feed::changes(&house.drive, &reader, house.share.id, page.cursor, 3).await.unwrap();
        assert_eq!((rest.changes.len(), rest.has_more, rest.cursor), (1, false, head), "the rest is skipped");
        let all = house.follow(&house.caller, None, start, 1000).await;
        assert_eq!(positions(&all), (start + 1..=head).collect::<Vec<_>>(), "an administrator sees it all");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_many_shares_gets_their_changes_in_the_order_of_the_commits() {
    for house in House::both(|_| {}).await {
        let reader = house.person("reader", None).await;
        let start = feed::head(&house.drive, &house.caller).await.unwrap();
        let mut expected = Vec::new();
        // More than one statement unites.
        for number in 0..130 {
            let share = house.other_share(&number.to_string()).await;
            if number % 3 == 0 {
                house.fill(share, root(share), "unseen", 1).await;
                continue;
            }
            let principal = "user:reader".parse().unwrap();
            let new = members::NewMember { principal, role: ShareRole::Reader, expires_at: None };
            members::add(&house.drive, &house.caller, share, new).await.unwrap();
            expected.push(share);
        }
        for share in expected.iter().rev().step_by(2) {
            house.fill(*share, root(*share), "late", 2).await;
        }
        for limit in [7, 1000] {
            let rows = house.follow(&reader, None, start, limit).await;
            assert!(positions(&rows).is_sorted_by(|one, next| one < next));
            assert!(rows.iter().all(|row| expected.contains(&row.share_id())));
            // Made, joined; and two files in every second.
            assert_eq!(rows.len(), expected.len() * 2 + expected.len().div_ceil(2) * 2);
        }
        let before = statements();
        feed::changes(&house.drive, &reader, None, start, 5000).await.unwrap();
        let count = statements() - before;
        assert!(count <= 7, "{count} statements for a page of {} shares", expected.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_moved_out_of_sight_is_not_told_of_by_its_past() {
    for house in House::both(|_| {}).await {
        let reader = house.person("reader", Some(ShareRole::Reader)).await;
        let elsewhere = house.other_share("Elsewhere").await;
        let start = feed::head(&house.drive, &house.caller).await.unwrap();
        let (kept, gone, purged) = (
            house.doc(None, "kept").await,
            house.doc(None, "secret plan").await,
            house.doc(None, "shredded").await,
        );
        house.shift(gone, root(elsewhere)).await;
        trash::delete(&house.drive, &house.caller, purged.into(), true).await.unwrap();
        let rows = house.follow(&reader, house.share.id.into(), start, 1000).await;
        let text = serde_json::to_string(&rows).unwrap();
        assert!(!text.contains("secret") && !text.contains("shredded"), "{text}");
        let told: Vec<(String, ChangeKind)> =
            rows.iter().map(|row| (row.resource_id().to_owned(), row.change_type())).collect();
        let expected = [
            (kept.to_string(), ChangeKind::Created),
            (gone.to_string(), ChangeKind::Deleted),
            (purged.to_string(), ChangeKind::Deleted),
        ];
        assert_eq!(told, expected);
        assert!(rows[1..].iter().all(|row| matches!(row, FeedRow::Tombstone(_))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_of_the_past_names_no_folder_that_is_hidden() {
    for house in House::both(|_| {}).await {
        let reader = house.person("reader", Some(ShareRole::Reader)).await;
        let hidden = house.dir(None, "hidden").await;
        let inner = house.dir(Some(hidden), "inner").await;
        house.entry(ResourceId::Node(hidden.into()), "user:reader", AceType::Deny, &[Right::Read]).await;
        let start = feed::head(&house.drive, &house.caller).await.unwrap();
        let file = house.doc(Some(inner), "a.txt").await;
        house.shift(inner, root(house.share.id)).await;
        let rows = house.follow(&reader, house.share.id.into(), start, 1000).await;
        let text = serde_json::to_string(&rows).unwrap();
        assert!(!text.contains("hidden"), "{text}");
        let of_file = rows.iter().find(|row| row.resource_id() == file.to_string()).unwrap();
        assert_eq!(of_file.new_path(), Some("/inner/a.txt"));
        let moved: Vec<ChangeKind> = rows
            .iter()
            .filter(|row| row.resource_id() == inner.to_string())
            .map(FeedRow::change_type)
            .collect();
        assert_eq!(moved, [ChangeKind::Moved, ChangeKind::Updated], "what it inherits is other than before");
        house.shift(inner, ParentId::Folder(hidden)).await;
        let rows = house.follow(&reader, house.share.id.into(), rows.last().unwrap().position(), 10).await;
        assert!(rows.iter().all(|row| matches!(row, FeedRow::Tombstone(_))) && !rows.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_outside_the_retained_log_have_expired() {
    for house in House::both(|_| {}).await {
        let (drive, share) = (&house.drive, house.share.id);
        house.fill(share, root(share), "f", 50).await;
        let head = feed::head(drive, &house.caller).await.unwrap();
        let read = async |after| feed::changes(drive, &house.caller, share, after, 1000).await;
        for beyond in [head + 1, i64::MAX, -1, i64::MIN] {
            assert!(matches!(read(beyond).await, Err(Error::CursorExpired)), "{beyond}");
        }
        let none = Retention { age: Duration::from_secs(3600), rows: 10, batch: 7 };
        assert_eq!(retention::compact(drive, house.caller.tenant, none).await.unwrap(), 0, "all are young");
        let keep = Retention { age: Duration::ZERO, rows: 10, batch: 7 };
        let removed = retention::compact(drive, house.caller.tenant, keep).await.unwrap();
        assert_eq!(removed as i64, head - 10);
        assert!(matches!(read(head - 11).await, Err(Error::CursorExpired)));
        let left = read(head - 10).await.unwrap().changes;
        assert_eq!(positions(&left), (head - 9..=head).collect::<Vec<_>>());
        assert_eq!(retention::compact(drive, house.caller.tenant, keep).await.unwrap(), 0);
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raise_makes_every_older_cursor_expire_and_no_position_is_given_twice() {
    for house in House::both(|_| {}).await {
        let (drive, share) = (&house.drive, house.share.id);
        house.doc(None, "before").await;
        let old = feed::head(drive, &house.caller).await.unwrap();
        let head = retention::raise(drive, house.caller.tenant).await.unwrap();
        assert_eq!(head, old + RAISE);
        for cursor in [0, old - 1, old, old + 1, head - 1, head + 1] {
            let read = feed::changes(drive, &house.caller, share, cursor, 10).await;
            assert!(matches!(read, Err(Error::CursorExpired)), "{cursor}");
        }
        let file = house.doc(None, "after").await;
        let page = feed::changes(drive, &house.caller, share, head, 10).await.unwrap();
        assert_eq!(positions(&page.changes), [head + 1]);
        assert_eq!(page.changes[0].resource_id(), file.to_string());
        // Nobody reaches the rows below the floor: they go, however young.
        let removed = retention::compact(drive, house.caller.tenant, Retention::default()).await.unwrap();
        assert_eq!(removed as i64, old);
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_races_with_a_compaction_meets_no_gap_that_is_not_told() {
    for house in House::both(|_| {}).await {
        let house = Arc::new(house);
        let done = Arc::new(AtomicBool::new(false));
        let start = feed::head(&house.drive, &house.caller).await.unwrap();
        let readers: Vec<_> = (0..4)
            .map(|number| {
                tokio::spawn(read_and_fall_behind(Arc::clone(&house), start, number, Arc::clone(&done)))
            })
            .collect();
        let keep = Retention { age: Duration::ZERO, rows: 2, batch: 25 };
        for round in 0..40 {
            house.fill(house.share.id, root(house.share.id), &format!("{round}-"), 30).await;
            retention::compact(&house.drive, house.caller.tenant, keep).await.unwrap();
        }
        done.store(true, Ordering::Release);
        let (mut read, mut expired) = (0, 0);
        for reader in readers {
            let (rows, told) = reader.await.unwrap();
            read += rows;
            expired += told;
        }
        eprintln!("{read} rows were read, cursors expired {expired} times");
        assert!(read > 0 && expired > 0, "the race was no race");
        house.check().await;
    }
}

/// Reads page by page and demands that each row follow the one before, unless it is told that it cannot.
async fn read_and_fall_behind(
    house: Arc<House>,
    start: i64,
    number: u32,
    done: Arc<AtomicBool>,
) -> (u32, u32) {
    let (mut after, mut read, mut expired) = (start, 0, 0);
    while !done.load(Ordering::Acquire) {
        match feed::changes(&house.drive, &house.caller, None, after, 3 + 5 * number).await {
            Ok(page) => {
                for row in &page.changes {
                    assert_eq!(row.position(), after + 1, "a row was skipped in silence");
                    after += 1;
                    read += 1;
                }
                assert_eq!(page.cursor, after);
            }
            Err(Error::CursorExpired) => {
                expired += 1;
                after = feed::head(&house.drive, &house.caller).await.unwrap();
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    (read, expired)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_names_the_device_that_made_it() {
    let house = House::embedded().await;
    let start = feed::head(&house.drive, &house.caller).await.unwrap();
    let caller = Caller { device: Some("laptop".parse().unwrap()), ..house.caller.clone() };
    let new =
        NewFile { share: house.share.id, folder: None, name: name("a"), mime_type: None, modified_at: None };
    let id: FileId = files::create(&house.drive, &caller, new, Cursor::new(b"x")).await.unwrap().id;
    trash::delete(&house.drive, &caller, id.into(), false).await.unwrap();
    trash::restore(&house.drive, &house.caller, id.into()).await.unwrap();
    let rows = house.follow(&house.caller, house.share.id.into(), start, 10).await;
    let device = |row: &FeedRow| match row {
        FeedRow::Change(change) => change.metadata["device_id"].as_str().map(str::to_owned),
        FeedRow::Tombstone(_) => None,
    };
    let devices: Vec<Option<String>> = rows.iter().map(device).collect();
    assert_eq!(devices, [Some("laptop".to_owned()), Some("laptop".to_owned()), None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_comes_back_says_that_it_brings_what_it_holds() {
    let house = House::embedded().await;
    let elsewhere = house.other_share("Elsewhere").await;
    let folder: FolderId = house.dir(None, "F").await;
    house.doc(Some(folder), "inside").await;
    let start = feed::head(&house.drive, &house.caller).await.unwrap();
    trash::delete(&house.drive, &house.caller, folder.into(), false).await.unwrap();
    trash::restore(&house.drive, &house.caller, folder.into()).await.unwrap();
    house.shift(folder, root(elsewhere)).await;
    folders::create(&house.drive, &house.caller, elsewhere, None, name("new")).await.unwrap();
    let rows = house.follow(&house.caller, None, start, 10).await;
    let covers = |row: &FeedRow| match row {
        FeedRow::Change(change) => change.metadata["covers_subtree"] == true,
        FeedRow::Tombstone(_) => false,
    };
    // Trashed, restored, gone from the one share, come into the other; and a new folder, which is empty.
    assert_eq!(rows.iter().map(covers).collect::<Vec<_>>(), [false, true, false, true, false]);
}
