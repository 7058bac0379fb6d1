//! The law of the feed under fire: sixteen writers, four readers, mutations that come to nothing, callers that go away,
//! connections that break in the middle of COMMIT. No reader ever misses or reorders a position.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use scaidrive_core::config::ObjectsConfig;
use scaidrive_core::model::{
    Caller, Error, FeedRow, FileId, LimitType, Limits, ParentId, QuotaTarget, Result, ShareId, ShareRole,
};
use scaidrive_core::services::bulk::{self, BulkFile};
use scaidrive_core::services::files::{self, NewFile};
use scaidrive_core::services::moves::{self, Target};
use scaidrive_core::services::{feed, quotas, trash};

use crate::backends::{House, mariadb, name, rounds};
use crate::failures::Breaker;

const WRITERS: u32 = 16;
const READERS: u32 = 4;

/// A house with two shares, and somebody who may write but has no room left.
pub(crate) struct Battlefield {
    house: House,
    other: ShareId,
    poor: Caller,
    /// Whether connections break.
    is_breaking: bool,
}

impl Battlefield {
    pub(crate) async fn of(house: House, is_breaking: bool) -> Arc<Self> {
        let other = house.other_share("Other").await;
        let poor = house.person("poor", Some(ShareRole::Contributor)).await;
        let limits = Limits { limit_bytes: Some(0), limit_type: LimitType::Hard, ..Limits::default() };
        quotas::set(&house.drive, &house.caller, QuotaTarget::User(poor.user.clone()), limits).await.unwrap();
        Arc::new(Self { house, other, poor, is_breaking })
    }

    fn new_file(&self, title: &str) -> NewFile {
        NewFile {
            share: self.house.share.id,
            folder: None,
            name: name(title),
            mime_type: None,
            modified_at: None,
        }
    }

    async fn create(&self, caller: &Caller, title: &str) -> Result<FileId> {
        let bytes = std::io::Cursor::new(title.as_bytes().to_vec());
        Ok(files::create(&self.house.drive, caller, self.new_file(title), bytes).await?.id)
    }

    /// Does what a round of a writer is: some of it commits, some comes to nothing.
    async fn round(self: &Arc<Self>, title: &str, kind: u32) -> Result<()> {
        let (drive, caller) = (&self.house.drive, &self.house.caller);
        match kind {
            // Fails when its positions have been handed out already.
            0 => match self.create(&self.poor, title).await {
                Err(Error::QuotaExceeded { .. }) => Ok(()),
                Ok(id) => panic!("{id} has no room"),
                Err(error) => Err(error),
            },
            // Its caller goes away somewhere on the way.
            1 => {
                let (field, own_title) = (Arc::clone(self), title.to_owned());
                let task = tokio::spawn(async move { field.create(&field.house.caller, &own_title).await });
                tokio::time::sleep(Duration::from_micros(u64::from(title_number(title)) % 5000)).await;
                task.abort();
                Ok(())
            }
            2 => {
                let file = |number: u32| BulkFile {
                    parent: ParentId::Root(self.other),
                    name: name(&format!("{title}-{number}")),
                    modified_at: None,
                    bytes: "x".into(),
                };
                let all = (0..7).map(file).collect();
                bulk::write(drive, caller, self.other, all).await.map(drop)
            }
            // Two rows, one in each share.
            3 => {
                let id = self.create(caller, title).await?;
                let target = Target { parent: ParentId::Root(self.other), name: None };
                moves::file(drive, caller, id, target).await.map(drop)
            }
            _ => {
                let id = self.create(caller, title).await?;
                trash::delete(drive, caller, id.into(), kind == 4).await
            }
        }
    }

    async fn write(self: Arc<Self>, writer: u32) {
        for round in 0..rounds(200).div_ceil(10) {
            match self.round(&format!("{writer}-{round}"), (writer + round) % 6).await {
                Err(error) if self.is_breaking && is_of_a_break(&error) => {}
                outcome => outcome.unwrap(),
            }
        }
    }

    /// Follows the feed until the writers are done and nothing is left; returns what it read and how far it came.
    async fn read(
        self: Arc<Self>,
        share: Option<ShareId>,
        limit: u32,
        done: Arc<AtomicBool>,
    ) -> (i64, Vec<FeedRow>) {
        let (mut after, mut all) = (0, Vec::new());
        loop {
            // Before the look: what was done by then is seen by it.
            let is_last = done.load(Ordering::Acquire);
            let page = match feed::changes(&self.house.drive, &self.house.caller, share, after, limit).await {
                Ok(page) => page,
                // Its own connection broke.
                Err(error) if self.is_breaking && is_of_a_break(&error) => continue,
                Err(error) => panic!("{error:?}"),
            };
            for row in &page.changes {
                let follows =
                    if share.is_none() { row.position() == after + 1 } else { row.position() > after };
                assert!(follows, "{} came after {after}", row.position());
                after = row.position();
            }
            assert!(page.cursor >= after, "the cursor went back");
            after = page.cursor;
            all.extend(page.changes);
            if is_last && !page.has_more {
                return (after, all);
            }
        }
    }

    async fn fight(self: Arc<Self>) {
        self.fight_until(async {}).await;
    }

    /// Lets writers and readers at it, then waits for quiet, and checks what came of it.
    pub(crate) async fn fight_until(self: Arc<Self>, quiet: impl Future<Output = ()>) {
        let done = Arc::new(AtomicBool::new(false));
        let wanted = [None, Some(self.house.share.id), None, Some(self.other)];
        let readers: Vec<_> = (0..READERS)
            .map(|number| {
                let share = wanted[number as usize];
                tokio::spawn(Arc::clone(&self).read(share, 1 + number * 37, Arc::clone(&done)))
            })
            .collect();
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| tokio::spawn(Arc::clone(&self).write(writer))).collect();
        for writer in writers {
            writer.await.unwrap();
        }
        quiet.await;
        // Who went away left mutations behind that still run to their ends; this one comes after them, or breaks.
        drop(self.create(&self.house.caller, "last").await);
        let head = feed::head(&self.house.drive, &self.house.caller).await.unwrap();
        done.store(true, Ordering::Release);
        for (reader, share) in readers.into_iter().zip(wanted) {
            let (end, read) = reader.await.unwrap();
            assert!(end >= head, "it has read what was there");
            self.compare(share, end, &read).await;
        }
        self.house.check().await;
    }

    /// Demands that a reader have read what the log holds up to its end.
    async fn compare(&self, share: Option<ShareId>, end: i64, read: &[FeedRow]) {
        let mut log = self.house.drive.read().await.unwrap();
        let written =
            log.changes(self.house.caller.tenant, 0, u32::try_from(end).unwrap() + 1).await.unwrap();
        let written = written
            .into_iter()
            .filter(|row| row.position <= end && share.is_none_or(|share| share == row.share_id));
        let written: Vec<String> = written.map(|row| told(&FeedRow::Change(Box::new(row)))).collect();
        assert_eq!(read.iter().map(told).collect::<Vec<_>>(), written);
        assert!(read.len() > 100, "only {} rows were written", read.len());
    }
}

/// Tells whether an error says that a connection broke, or that the first part of what was done was lost with its answer.
pub(crate) fn is_of_a_break(error: &Error) -> bool {
    matches!(
        error,
        Error::CommitUnknown { .. }
            | Error::Unavailable { .. }
            | Error::Database { .. }
            | Error::NotFound
            | Error::NameConflict { .. }
            | Error::TouchExpired
    )
}

fn told(row: &FeedRow) -> String {
    format!("{} {} {}", row.position(), row.resource_id(), row.change_type())
}

/// Returns a number that differs from title to title.
fn title_number(title: &str) -> u32 {
    title.bytes().fold(17, |sum: u32, byte| sum.wrapping_mul(31).wrapping_add(byte.into()))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_reader_misses_or_reorders_a_position_whatever_writers_do() {
    for house in House::both(|_| {}).await {
        Battlefield::of(house, false).await.fight().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_when_connections_break_in_the_middle_of_commits() {
    let Some(url) = mariadb() else { return };
    let (breaker, through) = Breaker::before(&url).await;
    let configure = |config: &mut scaidrive_core::config::Config| {
        config.database_url = Some(through.clone());
        config.objects = ObjectsConfig::Memory;
    };
    let field = Battlefield::of(House::build(configure, |_| {}).await, true).await;
    breaker.breaking.store(true, Ordering::Relaxed);
    field.fight().await;
    let broken = breaker.broken.load(Ordering::Relaxed);
    eprintln!("{broken} commits were broken");
    assert!(broken > 50, "{broken} commits were broken");
}
