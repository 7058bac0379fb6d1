//! Fetches what is new on the server: small files many at once, large ones by the chunks that are not here yet.

mod large;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::{Engine, Event, Moved, Ports, Round, blocking};
use crate::chunker::Chunking;
use crate::error::{Error, Result};
use crate::fs::{Draft, LocalFs};
use crate::model::{ItemId, Sha256Hash, TreePath, nfc};
use crate::plan::Download;
use crate::scan::is_settled;
use crate::state::Record;
use crate::trees::{LocalTree, Stamp, SyncedFile, SyncedItem};
use sources::Sources;

/// Files up to this size are fetched many at once, in bytes: they are one chunk each.
const SMALL: u64 = 128 << 10;

/// Files fetched at once, and the bytes after which no more are added.
const MOST_FILES: usize = 500;
const MOST_BYTES: u64 = 16 << 20;

/// Jobs after which what is done is remembered.
const REMEMBERED_AFTER: usize = 64;

/// What is fetched together.
enum Job {
    Small(Vec<Download>),
    Large(Download),
}

/// A file that was fetched, or was not.
struct Fetched {
    download: Download,
    outcome: Result<Stamp, Failure>,
}

/// Why a file was not fetched.
enum Failure {
    /// Something is not as the plan thought, on either side: the next plan knows.
    Changed(&'static str),
    /// It failed, and would again.
    Refused(String),
    /// The server cannot be asked any more.
    Fatal(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound(_) => Self::Changed("it is gone from the server"),
            Error::Damaged(_) => Self::Changed("it came with wrong bytes"),
            Error::Denied(_) | Error::Refused { .. } => Self::Refused(error.to_string()),
            error => Self::Fatal(error),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Changed("its folder is gone"),
            _ => Self::Refused(error.to_string()),
        }
    }
}

impl Engine {
    /// Fetches files, several at once, and remembers what arrived.
    pub(super) async fn fetch(
        &mut self,
        downloads: Vec<Download>,
        local: &LocalTree,
        round: &mut Round,
    ) -> Result<()> {
        let Some(chunking) = self.chunking.clone().filter(|_| !downloads.is_empty()) else { return Ok(()) };
        let wanted: BTreeSet<Sha256Hash> = downloads.iter().map(|download| download.file.checksum).collect();
        let sources = Arc::new(Sources::of(local, &wanted));
        let mut jobs = jobs(downloads).into_iter();
        loop {
            self.control.check().await?;
            let some: Vec<Job> = jobs.by_ref().take(REMEMBERED_AFTER).collect();
            if some.is_empty() {
                return Ok(());
            }
            let (ports, chunking, sources) = (&self.ports, &chunking, &sources);
            let transfers = self.options.transfers.max(1);
            let fetched: Vec<Vec<Fetched>> = stream::iter(some)
                .map(|job| fetch(ports, chunking, sources, transfers, job))
                .buffer_unordered(transfers)
                .collect()
                .await;
            self.arrived(fetched.into_iter().flatten().collect(), round).await?;
        }
    }

    /// Remembers what arrived, once it is there to stay.
    async fn arrived(&mut self, fetched: Vec<Fetched>, round: &mut Round) -> Result<()> {
        let (mut placed, mut fatal) = (Vec::new(), None);
        for Fetched { download, outcome } in fetched {
            let (reason, is_final) = match outcome {
                Ok(stamp) => {
                    placed.push((download, stamp));
                    continue;
                }
                Err(Failure::Fatal(error)) => {
                    fatal = Some(error);
                    continue;
                }
                Err(Failure::Changed(reason)) => (reason.to_owned(), false),
                Err(Failure::Refused(reason)) => (reason, true),
            };
            round.failed += 1;
            self.failed(download.signature(), &download.path, &reason, is_final);
        }
        round.taken += self.remember_placed(placed).await?;
        fatal.map_or(Ok(()), Err)
    }

    async fn remember_placed(&mut self, placed: Vec<(Download, Stamp)>) -> Result<usize> {
        let folders = placed.iter().filter_map(|(download, _)| download.path.parent()).collect();
        let fs = Arc::clone(&self.ports.fs);
        let (synced, placed) = blocking(move || (fs.sync_folders(&folders), still_there(&*fs, placed))).await;
        synced.map_err(|error| Error::local(&TreePath::root(), error))?;
        let (count, now) = (placed.len(), self.ports.system.now());
        let mut records = Vec::with_capacity(count);
        for (download, stamp) in placed {
            self.ports.observer.event(&Event::Here("downloaded", &download.path));
            let is_settled = is_settled(&stamp, now);
            self.contents.learn(stamp, download.file.checksum, is_settled);
            records.push(Record::Synced(self.synced(download, stamp, is_settled)));
        }
        self.commit(records)?;
        Ok(count)
    }

    fn synced(&self, download: Download, stamp: Stamp, is_settled: bool) -> SyncedItem {
        // What was only given new content is where it was agreed to be: its place is another step's.
        let known = self.state().synced.get(&download.id).filter(|_| download.over.is_some());
        let (parent, name) = match known {
            Some(known) => (known.parent.clone(), known.name.clone()),
            None => (download.parent, nfc(download.path.name().unwrap_or_default())),
        };
        let file =
            SyncedFile { version: download.file.version, checksum: download.file.checksum, is_settled };
        SyncedItem { id: download.id, parent, name, stamp, file: Some(file) }
    }
}

/// Returns the files that are as they were placed: what changed since is for the next look.
fn still_there(fs: &dyn LocalFs, placed: Vec<(Download, Stamp)>) -> Vec<(Download, Stamp)> {
    let is_there = |(download, stamp): &(Download, Stamp)| {
        fs.look(&download.path).is_ok_and(|found| found.is_some_and(|found| found.stamp == *stamp))
    };
    placed.into_iter().filter(is_there).collect()
}

/// Puts small files together.
fn jobs(downloads: Vec<Download>) -> Vec<Job> {
    let (mut jobs, mut small, mut bytes) = (Vec::new(), Vec::new(), 0);
    for download in downloads {
        if download.file.size > SMALL {
            jobs.push(Job::Large(download));
            continue;
        }
        bytes += download.file.size;
        small.push(download);
        if small.len() >= MOST_FILES || bytes >= MOST_BYTES {
            jobs.push(Job::Small(std::mem::take(&mut small)));
            bytes = 0;
        }
    }
    if !small.is_empty() {
        jobs.push(Job::Small(small));
    }
    jobs
}

async fn fetch(
    ports: &Ports,
    chunking: &Chunking,
    sources: &Arc<Sources>,
    transfers: usize,
    job: Job,
) -> Vec<Fetched> {
    match job {
        Job::Small(downloads) => small(ports, downloads).await,
        Job::Large(download) => {
            let outcome = large::fetch(ports, chunking, sources, &download, transfers).await;
            vec![Fetched { download, outcome }]
        }
    }
}

/// Fetches small files in one request; what changed on the server meanwhile is left for the next plan.
async fn small(ports: &Ports, downloads: Vec<Download>) -> Vec<Fetched> {
    let ids: Vec<ItemId> = downloads.iter().map(|download| download.id.clone()).collect();
    let contents = match ports.remote.fetch(&ids).await {
        Ok(contents) => contents,
        Err(error) => return failed(downloads, error),
    };
    let contents: BTreeMap<Sha256Hash, Bytes> =
        contents.into_iter().map(|content| (content.hash, content.bytes)).collect();
    let fs = Arc::clone(&ports.fs);
    let fetched = blocking(move || {
        let place = |download: Download| {
            let outcome = match contents.get(&download.file.checksum) {
                Some(bytes) => write_small(&*fs, &download, bytes),
                None => Err(Failure::Changed("it changes on the server all the time")),
            };
            Fetched { download, outcome }
        };
        downloads.into_iter().map(place).collect::<Vec<_>>()
    })
    .await;
    let bytes = fetched.iter().map(|fetched| fetched.download.file.size).sum();
    ports.observer.event(&Event::Received(Moved { bytes, travelled: bytes }));
    fetched
}

/// Says of all files that they failed, for the one reason.
fn failed(downloads: Vec<Download>, error: Error) -> Vec<Fetched> {
    let mut error = Some(error);
    let fail = |download| {
        let failure = error.take().map_or(Failure::Changed("others failed"), Failure::from);
        Fetched { download, outcome: Err(failure) }
    };
    downloads.into_iter().map(fail).collect()
}

fn write_small(fs: &dyn LocalFs, download: &Download, bytes: &Bytes) -> Result<Stamp, Failure> {
    let mut draft = fs.draft()?;
    draft.write_all(bytes)?;
    finish(draft, download)
}

/// Puts a whole file at its place.
fn finish(draft: Box<dyn Draft>, download: &Download) -> Result<Stamp, Failure> {
    let modified = download.file.modified_at.as_micros().saturating_mul(1000);
    let placed = draft.place(&download.path, download.over.as_ref(), modified)?;
    placed.ok_or(Failure::Changed("its place changes all the time"))
}
