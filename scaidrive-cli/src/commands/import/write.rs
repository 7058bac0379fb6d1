//! Files into the share: small ones in batches that share transactions and syncs, large ones as streams.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use indicatif::ProgressBar;
use scaidrive_core::model::{Error, Node, ParentId, Result};
use scaidrive_core::services::bulk::{self, BulkFile, BulkOutcome, FILE_BATCH};
use scaidrive_core::services::files::{self, IfMatch, NewFile};

use super::scan::Found;
use super::{Skipped, Summary, Target};

/// Files up to this size go in batches, in bytes.
const SMALL: u64 = 1 << 20;

/// Bytes of a batch: several are in memory at once.
const BATCH_BYTES: u64 = 16 << 20;

/// Batches on their way at once: one is read while another is cut and a third is written.
const BATCHES: usize = 3;

/// Large files on their way at once.
const STREAMS: usize = 2;

/// A file to write, and what is in its place.
pub(crate) type Work = (ParentId, Found, Option<Node>);

/// What became of one file.
type Outcome = (Found, Result<BulkOutcome>);

/// Writes all, and counts.
pub(crate) async fn all(
    target: &Target<'_>,
    work: Vec<Work>,
    bar: &ProgressBar,
    summary: &mut Summary,
) -> Result<()> {
    let (small, large): (Vec<_>, Vec<_>) = work.into_iter().partition(|(_, file, _)| file.size <= SMALL);
    let mut batches =
        stream::iter(batches(small)).map(|batch| write_batch(target, batch)).buffer_unordered(BATCHES);
    while let Some(outcomes) = batches.next().await {
        for outcome in outcomes? {
            count(outcome, bar, summary)?;
        }
    }
    let mut streams = stream::iter(large).map(|work| write_large(target, work)).buffer_unordered(STREAMS);
    while let Some(outcome) = streams.next().await {
        count(outcome, bar, summary)?;
    }
    Ok(())
}

/// Cuts the work into batches that are neither too many files nor too many bytes.
fn batches(work: Vec<Work>) -> Vec<Vec<(ParentId, Found)>> {
    let (mut all, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
    for (parent, file, _) in work {
        if batch.len() == FILE_BATCH || bytes + file.size > BATCH_BYTES {
            all.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += file.size;
        batch.push((parent, file));
    }
    if !batch.is_empty() {
        all.push(batch);
    }
    all
}

async fn write_batch(target: &Target<'_>, batch: Vec<(ParentId, Found)>) -> Result<Vec<Outcome>> {
    let read = tokio::task::spawn_blocking(move || read_batch(batch)).await;
    let (read, mut outcomes) = read.map_err(|error| Error::internal(error.to_string()))?;
    let (found, files): (Vec<Found>, Vec<BulkFile>) = read.into_iter().unzip();
    let session = target.session;
    let written = bulk::write(&session.drive, &target.caller, target.share.id, files).await?;
    outcomes.extend(found.into_iter().zip(written));
    Ok(outcomes)
}

/// Reads the files of a batch; one that cannot be read is an outcome already.
fn read_batch(batch: Vec<(ParentId, Found)>) -> (Vec<(Found, BulkFile)>, Vec<Outcome>) {
    let (mut read, mut failed) = (Vec::with_capacity(batch.len()), Vec::new());
    for (parent, mut found) in batch {
        match std::fs::read(&found.source) {
            Ok(bytes) => {
                found.size = bytes.len() as u64;
                let file = BulkFile {
                    parent,
                    name: found.name.clone(),
                    modified_at: Some(found.modified_at),
                    bytes: Bytes::from(bytes),
                };
                read.push((found, file));
            }
            Err(error) => failed.push((found, Err(Error::BadStream { reason: error.to_string() }))),
        }
    }
    (read, failed)
}

async fn write_large(target: &Target<'_>, (parent, mut found, existing): Work) -> Outcome {
    let outcome = stream_one(target, parent, &mut found, existing).await;
    (found, outcome)
}

async fn stream_one(
    target: &Target<'_>,
    parent: ParentId,
    found: &mut Found,
    existing: Option<Node>,
) -> Result<BulkOutcome> {
    let (drive, caller) = (&target.session.drive, &target.caller);
    let conflict = || Error::NameConflict { name: found.name.to_string() };
    if existing.as_ref().is_some_and(|node| node.name != found.name || node.file.is_none()) {
        return Err(conflict());
    }
    let unreadable = |error: std::io::Error| Error::BadStream { reason: error.to_string() };
    let file = tokio::fs::File::open(&found.source).await.map_err(unreadable)?;
    let content = files::store(drive, caller, file).await?;
    found.size = content.row.size;
    let at = Some(found.modified_at);
    let node = existing.as_ref().and_then(|node| Some((node.id.as_file()?, node.file.as_ref()?)));
    match node {
        None => {
            let new = NewFile {
                share: target.share.id,
                folder: parent.folder(),
                name: found.name.clone(),
                mime_type: None,
                modified_at: at,
            };
            files::create_from(drive, caller, new, content).await?;
            Ok(BulkOutcome::Created)
        }
        Some((id, facts)) if facts.content == content.row.id => {
            let patch = files::FilePatch { modified_at: at, ..files::FilePatch::default() };
            files::patch(drive, caller, id, patch, IfMatch::default()).await?;
            Ok(BulkOutcome::Unchanged)
        }
        Some((id, _)) => {
            files::write_from(drive, caller, id, IfMatch::default(), at, content).await?;
            Ok(BulkOutcome::Updated)
        }
    }
}

/// Counts an outcome. What cannot be stored is skipped; what is our fault ends the import.
fn count((found, outcome): Outcome, bar: &ProgressBar, summary: &mut Summary) -> Result<()> {
    bar.inc(found.size);
    match outcome {
        Ok(outcome) => {
            summary.files += 1;
            summary.bytes += found.size;
            match outcome {
                BulkOutcome::Created => summary.created += 1,
                BulkOutcome::Updated => summary.updated += 1,
                BulkOutcome::Unchanged => summary.unchanged += 1,
            }
            Ok(())
        }
        Err(error) if error.is_internal() => Err(error),
        Err(error) => {
            summary.skipped.push(Skipped::new(found.shown(), error.to_string()));
            Ok(())
        }
    }
}
