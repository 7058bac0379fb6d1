//! Use-cases that no front door shows as clearly: usage, collection, versions of the feed, foreign commits.

use std::io::Cursor;
use std::time::Duration;

use scaidrive_core::config::Config;
use scaidrive_core::jobs::Worker;
use scaidrive_core::model::{Error, FileInfo, ParentId, Queue, SharePath, Usage, UsageTarget};
use scaidrive_core::open;
use scaidrive_core::ports::{News, Nudge};
use scaidrive_core::services::bulk::{self, BulkFile, BulkOutcome};
use scaidrive_core::services::collect::{self, Collected, Plan};
use scaidrive_core::services::files::{self, NewFile};
use scaidrive_core::services::moves::Target;
use scaidrive_core::services::{copies, folders, foreign, trash, versions};

use crate::backends::{House, name};

impl House {
    pub(crate) async fn put(&self, text: &str, bytes: Vec<u8>) -> FileInfo {
        let new = NewFile {
            share: self.share.id,
            folder: None,
            name: name(text),
            mime_type: None,
            modified_at: None,
        };
        files::create(&self.drive, &self.caller, new, Cursor::new(bytes)).await.unwrap()
    }

    async fn usage(&self) -> Usage {
        let mut rows = self.drive.read().await.unwrap();
        rows.usage(self.caller.tenant, &UsageTarget::Share(self.share.id)).await.unwrap()
    }

    pub(crate) async fn collect(&self, grace: Duration) -> Collected {
        let plan = Plan { grace, dry_run: false, quarantine: Duration::ZERO };
        collect::run(&self.drive, self.caller.tenant, plan).await.unwrap()
    }

    async fn chunks(&self) -> i64 {
        self.drive.read().await.unwrap().chunk_stats(self.caller.tenant).await.unwrap().chunks
    }
}

fn noise(seed: u32, length: usize) -> Vec<u8> {
    (0..length as u32)
        .map(|at| (at.wrapping_mul(2_654_435_761).wrapping_add(seed * 131) >> 9) as u8)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_follows_every_step_of_a_file() {
    for house in House::both(|_| {}).await {
        let file = house.put("a", vec![1; 1000]).await;
        files::write(
            &house.drive,
            &house.caller,
            file.id,
            files::IfMatch::default(),
            Cursor::new(vec![2; 300]),
        )
        .await
        .unwrap();
        let usage = house.usage().await;
        assert_eq!((usage.file_bytes, usage.version_bytes, usage.file_count), (300, 1000, 1));
        let target = Target { parent: ParentId::Root(house.share.id), name: Some(name("copy")) };
        copies::file(&house.drive, &house.caller, file.id, target).await.unwrap();
        assert_eq!(house.usage().await.file_bytes, 600);
        trash::delete(&house.drive, &house.caller, file.id.into(), false).await.unwrap();
        let usage = house.usage().await;
        assert_eq!((usage.file_bytes, usage.trash_bytes, usage.version_bytes), (300, 300, 1000));
        trash::restore(&house.drive, &house.caller, file.id.into()).await.unwrap();
        versions::delete(&house.drive, &house.caller, file.id, 1).await.unwrap();
        assert_eq!(house.usage().await.version_bytes, 0);
        trash::delete(&house.drive, &house.caller, file.id.into(), true).await.unwrap();
        assert_eq!(house.usage().await.total_bytes(), 300);
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn collection_takes_what_nothing_needs_and_nothing_else() {
    for house in House::both(|_| {}).await {
        let (kept, shared) = (noise(1, 1_000_000), noise(2, 1_000_000));
        let one = house.put("kept", kept.clone()).await;
        let two = house.put("gone", shared.clone()).await;
        let target = Target { parent: ParentId::Root(house.share.id), name: Some(name("copy")) };
        let copy = copies::file(&house.drive, &house.caller, two.id, target).await.unwrap();
        let all = house.chunks().await;
        trash::delete(&house.drive, &house.caller, two.id.into(), true).await.unwrap();
        assert_eq!(house.collect(Duration::ZERO).await.chunks, 0, "the copy needs them");
        trash::delete(&house.drive, &house.caller, copy.id.into(), true).await.unwrap();
        assert_eq!(house.collect(Duration::from_secs(3600)).await, Collected::default(), "too young");
        tokio::time::sleep(Duration::from_millis(5)).await;
        let dry = Plan { grace: Duration::ZERO, dry_run: true, quarantine: Duration::ZERO };
        let told = collect::run(&house.drive, house.caller.tenant, dry).await.unwrap();
        assert!(told.contents == 1, "{told:?}");
        assert_eq!(house.chunks().await, all, "a dry run removes nothing");
        // Removing the last reference touches the chunks: their turn is the next run.
        assert_eq!(house.collect(Duration::ZERO).await, Collected { contents: 1, ..Collected::default() });
        tokio::time::sleep(Duration::from_millis(5)).await;
        let done = house.collect(Duration::ZERO).await;
        assert!(done.chunks > 0 && done.contents == 0, "{done:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(house.collect(Duration::ZERO).await.freed_rows, done.chunks);
        assert_eq!(house.chunks().await, all - done.chunks as i64);
        // What was collected can be stored again.
        house.put("again", shared).await;
        let readable =
            scaidrive_core::services::content::open(&house.drive, &house.caller, one.id, None).await.unwrap();
        let bytes = scaidrive_core::services::content::read(&house.drive, &readable, None).await.unwrap();
        assert!(bytes == kept);
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_tells_each_file_its_own_fate() {
    for house in House::both(|_| {}).await {
        let root = ParentId::Root(house.share.id);
        house.put("same", b"same".to_vec()).await;
        house.put("old", b"old".to_vec()).await;
        folders::create(&house.drive, &house.caller, house.share.id, None, name("folder")).await.unwrap();
        let elsewhere = ParentId::Folder("fld_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap());
        let file = |parent, text: &str, bytes: &'static [u8]| BulkFile {
            parent,
            name: name(text),
            modified_at: None,
            bytes: bytes::Bytes::from_static(bytes),
        };
        let batch = vec![
            file(root, "new", b"new"),
            file(root, "same", b"same"),
            file(root, "old", b"newer"),
            file(root, "FOLDER", b"x"),
            file(root, "NEW", b"x"),
            file(elsewhere, "lost", b"x"),
            file(root, "Same", b"x"),
        ];
        let fates = bulk::write(&house.drive, &house.caller, house.share.id, batch).await.unwrap();
        assert!(matches!(fates[0], Ok(BulkOutcome::Created)), "{fates:?}");
        assert!(matches!(fates[1], Ok(BulkOutcome::Unchanged)), "{fates:?}");
        assert!(matches!(fates[2], Ok(BulkOutcome::Updated)), "{fates:?}");
        for taken in [3, 4, 6] {
            assert!(matches!(fates[taken], Err(Error::NameConflict { .. })), "{taken}: {fates:?}");
        }
        assert!(matches!(fates[5], Err(Error::NotFound)), "{fates:?}");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_are_made_once_whatever_their_spelling() {
    for house in House::both(|_| {}).await {
        let root = ParentId::Root(house.share.id);
        let paths = |all: &[&str]| all.iter().map(|path| SharePath::parse(path).unwrap()).collect::<Vec<_>>();
        let wanted = paths(&["a", "a/b", "A/B/c", "a/b/C", "d"]);
        let made = bulk::ensure_folders(&house.drive, &house.caller, house.share.id, root, wanted.clone())
            .await
            .unwrap();
        assert_eq!(made[&wanted[2]], made[&wanted[3]]);
        let again = bulk::ensure_folders(&house.drive, &house.caller, house.share.id, root, wanted.clone())
            .await
            .unwrap();
        assert!(wanted.iter().all(|path| made[path] == again[path]));
        assert_eq!(folders::walk(&house.drive, &house.caller, house.share.id, None).await.unwrap().len(), 4);
        house.put("file", Vec::new()).await;
        let blocked = bulk::ensure_folders(
            &house.drive,
            &house.caller,
            house.share.id,
            root,
            paths(&["FILE", "FILE/x"]),
        );
        assert!(matches!(blocked.await, Err(Error::NameConflict { .. })));
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_run_when_they_are_due_and_once() {
    for house in House::both(|_| {}).await {
        let worker = Worker::new(house.drive.clone());
        worker.schedule().await.unwrap();
        worker.schedule().await.unwrap();
        assert_eq!(
            worker.run_due().await.unwrap(),
            7,
            "collection, compaction, forgetting requests, ending uploads, sweeping trash and versions, counting"
        );
        assert_eq!(worker.run_due().await.unwrap(), 0, "not again before its time");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_collection_marks_is_freed_right_after_its_quarantine() {
    let grace = Duration::from_millis(100);
    for house in House::both(|ports| ports.gc_grace = grace).await {
        let file = house.put("a", b"soon gone".to_vec()).await;
        trash::delete(&house.drive, &house.caller, file.id.into(), true).await.unwrap();
        tokio::time::sleep(grace * 2).await;
        assert_eq!(house.collect(grace).await.contents, 1);
        tokio::time::sleep(grace * 2).await;
        let worker = Worker::new(house.drive.clone());
        worker.schedule().await.unwrap();
        assert_eq!(worker.run_due().await.unwrap(), 7);
        let next = house.drive.read().await.unwrap().next_job_at(Queue::ALL).await.unwrap().unwrap();
        let wait = next.since(house.drive.meta.now().await.unwrap());
        assert!(wait > Duration::from_secs(55) && wait < Duration::from_secs(62), "{wait:?}");
    }
}

fn nudged(news: News) -> Nudge {
    match news {
        News::Nudge(nudge) => nudge,
        News::Lost => panic!("nothing is lost within a process"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_of_another_process_are_nudged() {
    let house = House::embedded().await;
    let mut nudges = house.drive.pubsub.subscribe();
    let drive = house.drive.clone();
    let watcher = tokio::spawn(async move { foreign::watch(&drive).await });
    let patience = Duration::from_secs(20);
    let first = nudged(tokio::time::timeout(patience, nudges.recv()).await.expect("a first look").unwrap());
    let other = open::open(&Config::embedded(house.dir.path())).await.unwrap();
    folders::create(&other, &house.caller, house.share.id, None, name("from afar")).await.unwrap();
    let nudge = nudged(tokio::time::timeout(patience, nudges.recv()).await.expect("a nudge").unwrap());
    assert_eq!((nudge.tenant, nudge.share), (house.caller.tenant, None));
    assert_eq!(nudge.position, first.position + 1);
    watcher.abort();
    other.meta.close().await;
}
