//! Rivals on the same rows, round after round, on every database; `SCAIDRIVE_TEST_ROUNDS` sets how many.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use scaidrive_core::model::{Error, FileId, FileInfo, FolderId, NodeId, ParentId, Result};
use scaidrive_core::services::access::{self, Right};
use scaidrive_core::services::collect::{self, Plan};
use scaidrive_core::services::files::{self, NewFile};
use scaidrive_core::services::moves::{self, Target};
use scaidrive_core::services::{content, feed, folders, trash};

use crate::backends::{House, name, rounds};

impl House {
    fn file(&self, folder: Option<FolderId>, text: &str) -> NewFile {
        NewFile { share: self.share.id, folder, name: name(text), mime_type: None, modified_at: None }
    }

    async fn write(&self, folder: Option<FolderId>, text: &str, bytes: &'static [u8]) -> Result<FileInfo> {
        files::create(&self.drive, &self.caller, self.file(folder, text), Cursor::new(bytes)).await
    }

    async fn folder(&self, text: &str) -> FolderId {
        folders::create(&self.drive, &self.caller, self.share.id, None, name(text)).await.unwrap().id
    }

    async fn relocate(&self, id: FolderId, parent: ParentId) -> Result<()> {
        moves::folder(&self.drive, &self.caller, id, Target { parent, name: None }).await.map(drop)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn opposite_moves_never_detach_a_loop() {
    for house in House::both(|_| {}).await {
        let (a, b) = (house.folder("A").await, house.folder("B").await);
        let root = ParentId::Root(house.share.id);
        for _ in 0..rounds(200) {
            let (one, other) =
                tokio::join!(house.relocate(a, ParentId::Folder(b)), house.relocate(b, ParentId::Folder(a)));
            let outcomes = [&one, &other];
            assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
            assert!(outcomes.iter().any(|outcome| matches!(outcome, Err(Error::Cycle))), "{outcomes:?}");
            for id in [a, b] {
                let mut rows = house.drive.read().await.unwrap();
                let found =
                    access::node(&mut *rows, &house.caller, NodeId::from(id), Right::Read).await.unwrap();
                assert!(found.reaches_root(), "{id} hangs in the air");
            }
            house.relocate(a, root).await.unwrap();
            house.relocate(b, root).await.unwrap();
        }
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_created_inside_a_trashed_folder() {
    for house in House::both(|_| {}).await {
        let (mut before, mut refused) = (0, 0);
        for round in 0..rounds(200) {
            let folder = house.folder(&format!("F{round}")).await;
            let start = feed::head(&house.drive, &house.caller).await.unwrap();
            let content = files::store(&house.drive, &house.caller, Cursor::new(b"bytes")).await.unwrap();
            let new = house.file(Some(folder), "inside");
            let create = files::create_from(&house.drive, &house.caller, new, content);
            let delete = trash::delete(&house.drive, &house.caller, folder.into(), false);
            // Who is first in line takes turns.
            let (created, deleted) = if round % 2 == 0 {
                tokio::join!(create, delete)
            } else {
                let (deleted, created) = tokio::join!(delete, create);
                (created, deleted)
            };
            deleted.unwrap();
            let changes =
                feed::changes(&house.drive, &house.caller, house.share.id, start, 100).await.unwrap().changes;
            let at = |id: String| changes.iter().position(|change| change.resource_id() == id);
            match created {
                Ok(file) => {
                    before += 1;
                    assert!(
                        at(file.id.to_string()) < at(folder.to_string()),
                        "created after its folder went"
                    );
                    let gone = files::get(&house.drive, &house.caller, file.id).await;
                    assert!(matches!(gone, Err(Error::Gone { .. })), "{gone:?}");
                }
                Err(Error::Gone { .. }) => {
                    refused += 1;
                    assert_eq!(changes.len(), 1, "a refused create changes nothing");
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert!(before > 0 && refused > 0, "the race was no race");
        eprintln!("created before the trash {before} times, refused {refused} times");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_creates_of_one_name_one_wins() {
    for house in House::both(|_| {}).await {
        for round in 0..rounds(200) {
            let (lower, upper) = (format!("name {round}"), format!("NAME {round}"));
            let (one, other) = tokio::join!(house.write(None, &lower, b"1"), house.write(None, &upper, b"2"));
            let outcomes = [&one, &other];
            assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
            let taken = |outcome: &&&Result<FileInfo>| matches!(outcome, Err(Error::NameConflict { .. }));
            assert_eq!(outcomes.iter().filter(taken).count(), 1, "{outcomes:?}");
        }
        house.check().await;
    }
}

/// So short that collection and writers meet all the time.
const GRACE: Duration = Duration::from_millis(60);

#[tokio::test(flavor = "multi_thread")]
async fn collection_never_takes_what_a_writer_needs() {
    for house in House::both(|ports| ports.gc_grace = GRACE).await {
        let house = Arc::new(house);
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let collector = {
            let (house, stop) = (Arc::clone(&house), Arc::clone(&stop));
            let plan = Plan { grace: GRACE, dry_run: false, quarantine: Duration::from_millis(5) };
            tokio::spawn(async move {
                let mut chunks = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let done = collect::run(&house.drive, house.caller.tenant, plan).await.unwrap();
                    chunks += done.chunks;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                chunks
            })
        };
        let writers: Vec<_> =
            (0..4).map(|writer| tokio::spawn(write_and_purge(Arc::clone(&house), writer))).collect();
        for writer in writers {
            writer.await.unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let collected = collector.await.unwrap();
        eprintln!("{collected} chunks were collected under the writers");
        assert!(collected > 0, "the race was no race");
        house.check().await;
    }
}

/// Writes contents that others write and purge too, waits in unlucky places, and demands every byte back.
async fn write_and_purge(house: Arc<House>, writer: u64) {
    let mut kept: Vec<(FileId, Vec<u8>)> = Vec::new();
    for round in 0..u64::from(rounds(200)) / 4 {
        // Few different contents, so that writers meet on the same chunks.
        let bytes = format!("shared content {}", round % 7).into_bytes();
        let content = loop {
            match files::store(&house.drive, &house.caller, Cursor::new(bytes.clone())).await {
                Ok(content) => break content,
                Err(Error::Unavailable { .. } | Error::TouchExpired) => {}
                Err(error) => panic!("{error}"),
            }
        };
        // Up to well beyond half the grace: then the touch is too old, and must be made again.
        tokio::time::sleep(Duration::from_millis((writer * 13 + round * 7) % 80)).await;
        let new = house.file(None, &format!("{writer}-{round}"));
        match files::create_from(&house.drive, &house.caller, new, content).await {
            Ok(file) => kept.push((file.id, bytes)),
            Err(Error::TouchExpired | Error::Unavailable { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
        if round % 3 == 0 {
            for (id, _) in kept.drain(..) {
                trash::delete(&house.drive, &house.caller, id.into(), true).await.unwrap();
            }
        }
        for (id, bytes) in &kept {
            let readable = content::open(&house.drive, &house.caller, *id, None).await.unwrap();
            assert_eq!(&content::read(&house.drive, &readable, None).await.unwrap(), bytes);
        }
    }
}
