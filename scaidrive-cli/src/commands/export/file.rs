//! One file out of a share: under a name of its own until it is whole, with its time.

use std::fs::Permissions;
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::TryStreamExt;
use scaidrive_core::model::{Caller, Error, FileId, Result, Timestamp};
use scaidrive_core::services::content::{self, Readable};
use tempfile::NamedTempFile;
use tokio::sync::mpsc;

use super::cannot;
use crate::session::Session;

/// Files up to this size are read whole and written in one go, in bytes.
const SMALL: u64 = 1 << 20;

/// Chunks read ahead of the disk.
const AHEAD: usize = 4;

/// A file on its way out.
pub(super) struct Job {
    pub(super) id: FileId,
    pub(super) target: PathBuf,
    pub(super) size: u64,
    pub(super) modified_at: Timestamp,
}

/// What became of a file.
pub(super) enum Outcome {
    /// It is there now.
    Written(u64),
    /// It was there already.
    Unchanged(u64),
    /// Somebody removed it from the share meanwhile.
    Gone(String),
    /// Its bytes are not what they were: nothing was written.
    Damaged(String),
}

/// Writes a file, unless it is there with its size and time.
pub(super) async fn write(session: &Session, caller: &Caller, job: Job, checksum: bool) -> Result<Outcome> {
    if !checksum && is_there(&job) {
        return Ok(Outcome::Unchanged(job.size));
    }
    let shown = job.target.display().to_string();
    let written = match content::open(&session.drive, caller, job.id, None).await {
        Ok(readable) if readable.size <= SMALL => small(session, readable, job.target).await,
        Ok(readable) => large(session, readable, job.target).await,
        Err(error) => Err(error),
    };
    match written {
        Ok(bytes) => Ok(Outcome::Written(bytes)),
        Err(Error::NotFound | Error::Gone { .. }) => Ok(Outcome::Gone(shown)),
        Err(Error::Corrupt { .. }) => Ok(Outcome::Damaged(shown)),
        Err(error) => Err(error),
    }
}

/// Tells whether the file is there with its size and time.
fn is_there(job: &Job) -> bool {
    let found = std::fs::symlink_metadata(&job.target)
        .ok()
        .filter(|found| found.is_file() && found.len() == job.size);
    found.and_then(|found| found.modified().ok()).is_some_and(|at| at == time(job.modified_at))
}

fn time(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(at.as_micros()).unwrap_or(0))
}

async fn small(session: &Session, readable: Readable, target: PathBuf) -> Result<u64> {
    let bytes = content::read(&session.drive, &readable, None).await?;
    let at = time(readable.modified_at);
    blocking(move || {
        let write = || {
            let mut draft = draft(&target)?;
            draft.write_all(&bytes)?;
            finish(draft, &target, at)
        };
        write().map_err(|error| cannot(&target, &error))
    })
    .await?;
    Ok(readable.size)
}

/// Streams a large file to one task that writes: a hop to the disk for every chunk would cost more than the chunk.
async fn large(session: &Session, readable: Readable, target: PathBuf) -> Result<u64> {
    let (sender, inbox) = mpsc::channel::<Bytes>(AHEAD);
    let at = time(readable.modified_at);
    let size = readable.size;
    let writer = blocking(move || receive(inbox, &target, size, at).map_err(|error| cannot(&target, &error)));
    let reader = async move {
        let mut parts = content::stream(&session.drive, &readable, None);
        while let Some(part) = parts.try_next().await? {
            // A writer that has given up says why itself.
            if sender.send(part).await.is_err() {
                break;
            }
        }
        Ok::<_, Error>(())
    };
    let (read, written) = tokio::join!(reader, writer);
    // A reader that failed leaves the writer with too few bytes: its own reason comes first.
    read.and(written).map(|()| size)
}

/// Writes what comes until `size` bytes are there; with fewer nothing gets the file's name.
fn receive(
    mut inbox: mpsc::Receiver<Bytes>,
    target: &Path,
    size: u64,
    at: SystemTime,
) -> std::io::Result<()> {
    let mut out = BufWriter::new(draft(target)?);
    let mut left = size;
    while let Some(part) = inbox.blocking_recv() {
        out.write_all(&part)?;
        left = left.saturating_sub(part.len() as u64);
    }
    if left > 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    finish(out.into_inner().map_err(std::io::IntoInnerError::into_error)?, target, at)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::internal(error.to_string()))?
}

/// Makes a file beside the target that nobody else uses, and that vanishes unless it is finished.
fn draft(target: &Path) -> std::io::Result<NamedTempFile> {
    let dir = target.parent().unwrap_or(Path::new("."));
    // As open as any new file: the umask decides.
    tempfile::Builder::new().prefix(".scaidrive-").permissions(Permissions::from_mode(0o666)).tempfile_in(dir)
}

/// Sets the time and gives the file its name, in place of whatever had it.
fn finish(draft: NamedTempFile, target: &Path, at: SystemTime) -> std::io::Result<()> {
    draft.as_file().set_modified(at)?;
    draft.persist(target).map(drop).map_err(|error| error.error)
}
