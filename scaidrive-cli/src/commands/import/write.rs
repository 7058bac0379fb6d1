//! Files into the share: small ones in batches that share transactions and syncs, large ones as streams.

use std::fs::File;
use std::io::Read;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use scaidrive_core::model::{Error, Node, ParentId, Result};
use scaidrive_core::services::bulk::{self, BulkFile, BulkOutcome, FILE_BATCH};
use scaidrive_core::services::files::{self, IfMatch, NewFile};

use super::scan::Found;
use super::{Skipped, Summary, Target};

/// Files up to this size go in batches, in bytes.
const SMALL: u64 = 1 << 20;

/// Bytes of a batch: several are in memory at once.
const BATCH_BYTES: u64 = 32 << 20;

/// A file to write, and what is in its place.
pub(crate) type Work = (ParentId, Found, Option<Node>);

/// What became of one file.
type Outcome = (Found, Result<BulkOutcome>);

/// What became of a batch.
#[derive(Default)]
struct Written {
    outcomes: Vec<Outcome>,
    /// Files that have grown too large for a batch since they were looked at.
    grown: Vec<Work>,
}

/// What one job writes.
enum Unit {
    Large(Box<Work>),
    Batch(Vec<Work>),
}

/// Writes all, `jobs` batches or large files at once, and counts.
///
/// While one batch is read, another is cut and a third is written: one at a time would leave cores idle. Large files
/// go first, so that none of them is left to be written alone at the end.
pub(crate) async fn all(
    target: &Target<'_>,
    work: Vec<Work>,
    jobs: usize,
    bar: &ProgressBar,
    summary: &mut Summary,
) -> Result<()> {
    let (small, large): (Vec<_>, Vec<_>) = work.into_iter().partition(|(_, file, _)| file.size <= SMALL);
    let large = large.into_iter().map(|work| Unit::Large(Box::new(work)));
    let mut units: Vec<Unit> = large.chain(batches(small).into_iter().map(Unit::Batch)).collect();
    while !units.is_empty() {
        let mut running = stream::iter(units).map(|unit| write_unit(target, unit)).buffer_unordered(jobs);
        let mut grown = Vec::new();
        while let Some(written) = running.try_next().await? {
            grown.extend(written.grown.into_iter().map(|work| Unit::Large(Box::new(work))));
            for outcome in written.outcomes {
                count(outcome, bar, summary)?;
            }
        }
        units = grown;
    }
    Ok(())
}

async fn write_unit(target: &Target<'_>, unit: Unit) -> Result<Written> {
    match unit {
        Unit::Large(work) => {
            let outcomes = vec![write_large(target, *work).await];
            Ok(Written { outcomes, grown: Vec::new() })
        }
        Unit::Batch(batch) => write_batch(target, batch).await,
    }
}

/// Cuts the work into batches that are neither too many files nor too many bytes.
fn batches(work: Vec<Work>) -> Vec<Vec<Work>> {
    let (mut all, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
    for work in work {
        let size = work.1.size;
        if batch.len() == FILE_BATCH || bytes + size > BATCH_BYTES {
            all.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += size;
        batch.push(work);
    }
    if !batch.is_empty() {
        all.push(batch);
    }
    all
}

async fn write_batch(target: &Target<'_>, batch: Vec<Work>) -> Result<Written> {
    let read = tokio::task::spawn_blocking(move || read_batch(batch)).await;
    let (read, mut written) = read.map_err(|error| Error::internal(error.to_string()))?;
    let (found, files): (Vec<Found>, Vec<BulkFile>) = read.into_iter().unzip();
    let session = target.session;
    let outcomes = bulk::write(&session.drive, &target.caller, target.share.id, files).await?;
    written.outcomes.extend(found.into_iter().zip(outcomes));
    Ok(written)
}

/// Reads the files of a batch; one that cannot be read is an outcome already.
fn read_batch(batch: Vec<Work>) -> (Vec<(Found, BulkFile)>, Written) {
    let (mut read, mut written) = (Vec::with_capacity(batch.len()), Written::default());
    for (parent, mut found, existing) in batch {
        match read_small(&found) {
            Ok(Some(bytes)) => {
                found.size = bytes.len() as u64;
                let name = found.name.clone();
                let file = BulkFile { parent, name, modified_at: Some(found.modified_at), bytes };
                read.push((found, file));
            }
            Ok(None) => written.grown.push((parent, found, existing)),
            Err(error) => written.outcomes.push((found, Err(unreadable(error)))),
        }
    }
    (read, written)
}

/// Returns a file's bytes; nothing if they are more than a batch should hold.
fn read_small(found: &Found) -> std::io::Result<Option<Bytes>> {
    // One byte of room more than expected, so that the end is found without growing.
    let mut bytes = Vec::with_capacity(found.size as usize + 1);
    File::open(&found.source)?.take(2 * SMALL + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= 2 * SMALL).then(|| bytes.into()))
}

fn unreadable(error: std::io::Error) -> Error {
    Error::BadStream { reason: error.to_string() }
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
