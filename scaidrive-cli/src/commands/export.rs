//! `scaidrive export`: a share or a folder of it into a directory, bit for bit.
//!
//! Every chunk is verified as it is read. Files appear under their names only when they are whole; nothing is
//! written through a symbolic link.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use scaidrive_core::model::{Caller, Error, FileId, Result, SharePath, Timestamp};
use scaidrive_core::services::access::Right;
use scaidrive_core::services::{content, folders, paths};
use serde::Serialize;
use tokio::io::AsyncWriteExt;

use super::{places, progress};
use crate::args::{Args, Export};
use crate::exit::Code;
use crate::output::size;
use crate::session::Session;

/// Files on their way at once.
const AT_ONCE: usize = 8;

/// Files up to this size are read whole and written in one go, in bytes.
const SMALL: u64 = 1 << 20;

/// What an export did.
#[derive(Debug, Default, Serialize)]
struct Summary {
    files: u64,
    folders: u64,
    bytes: u64,
    written: u64,
    unchanged: u64,
    seconds: f64,
    skipped: Vec<String>,
}

/// A file on its way out.
struct Job {
    id: FileId,
    target: PathBuf,
    size: u64,
    modified_at: Timestamp,
}

/// What became of a file.
enum Outcome {
    Written(u64),
    Unchanged(u64),
    Gone(String),
}

pub(crate) async fn run(session: &Session, args: &Args, what: &Export) -> Result<Code> {
    let began = Instant::now();
    let caller = session.caller(args).await?;
    let share = places::share(&session.drive, &caller, &what.share).await?;
    let from = places::path(&what.from)?;
    let place = paths::place(&session.drive, &caller, share.id, &from, Right::Read).await?;
    let walked = folders::walk(&session.drive, &caller, share.id, place.id().folder()).await?;
    std::fs::create_dir_all(&what.target).map_err(|error| cannot(&what.target, &error))?;
    let mut summary = Summary::default();
    let mut jobs = Vec::new();
    for found in walked {
        let target = below(&what.target, &found.path);
        match found.node.id.as_file() {
            Some(id) => {
                jobs.push(Job { id, target, size: found.node.size(), modified_at: found.node.modified_at });
            }
            None => {
                make_folder(&target)?;
                summary.folders += 1;
            }
        }
    }
    let bar = progress::bar(jobs.iter().map(|job| job.size).sum(), session.out.json);
    write_all(session, &caller, jobs, what.checksum, &bar, &mut summary).await?;
    bar.finish_and_clear();
    summary.seconds = began.elapsed().as_secs_f64();
    for skipped in summary.skipped.iter().filter(|_| !session.out.json) {
        eprintln!("skipped: {skipped}: removed meanwhile");
    }
    session.out.print(&summary, || text(&summary))?;
    Ok(if summary.skipped.is_empty() { Code::Done } else { Code::Skipped })
}

fn text(done: &Summary) -> String {
    format!(
        "{} files, {} folders, {} in {:.1} s ({:.1} MB/s); {} written, {} there already",
        done.files,
        done.folders,
        size(done.bytes),
        done.seconds,
        done.bytes as f64 / 1e6 / done.seconds.max(0.001),
        done.written,
        done.unchanged,
    )
}

/// Returns where a path lies below the target; its names are checked ones, so none leads out of it.
fn below(target: &Path, path: &SharePath) -> PathBuf {
    path.names().iter().fold(target.to_owned(), |at, name| at.join(name.as_str()))
}

fn cannot(path: &Path, error: &std::io::Error) -> Error {
    Error::invalid("target", error.to_string(), path.display().to_string())
}

/// Makes a directory; a symbolic link in its place is refused, because it may lead anywhere.
fn make_folder(path: &Path) -> Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(cannot(path, &std::io::Error::other("something that is no directory is in the way"))),
        Err(_) => std::fs::create_dir(path).map_err(|error| cannot(path, &error)),
    }
}

async fn write_all(
    session: &Session,
    caller: &Caller,
    jobs: Vec<Job>,
    checksum: bool,
    bar: &ProgressBar,
    summary: &mut Summary,
) -> Result<()> {
    let mut done =
        stream::iter(jobs).map(|job| write(session, caller, job, checksum)).buffer_unordered(AT_ONCE);
    while let Some(outcome) = done.try_next().await? {
        match outcome {
            Outcome::Written(bytes) => {
                summary.written += 1;
                summary.bytes += bytes;
                bar.inc(bytes);
            }
            Outcome::Unchanged(bytes) => {
                summary.unchanged += 1;
                summary.bytes += bytes;
                bar.inc(bytes);
            }
            Outcome::Gone(path) => summary.skipped.push(path),
        }
    }
    summary.files = summary.written + summary.unchanged;
    Ok(())
}

async fn write(session: &Session, caller: &Caller, job: Job, checksum: bool) -> Result<Outcome> {
    if !checksum && is_there(&job) {
        return Ok(Outcome::Unchanged(job.size));
    }
    let readable = match content::open(&session.drive, caller, job.id, None).await {
        Ok(readable) => readable,
        Err(Error::NotFound | Error::Gone { .. }) => {
            return Ok(Outcome::Gone(job.target.display().to_string()));
        }
        Err(error) => return Err(error),
    };
    let (size, at) = (readable.size, time(readable.modified_at));
    if size <= SMALL {
        let bytes = content::read(&session.drive, &readable, None).await?;
        let written = tokio::task::spawn_blocking(move || {
            let draft = draft(&job.target);
            std::fs::write(&draft, bytes)
                .and_then(|()| finish(&draft, &job.target, at))
                .map_err(|error| cannot(&job.target, &error))
        });
        written.await.map_err(|error| Error::internal(error.to_string()))??;
    } else {
        let draft = draft(&job.target);
        let failed = |error: std::io::Error| cannot(&job.target, &error);
        let mut file = tokio::fs::File::create_new(&draft).await.map_err(failed)?;
        let mut bytes = content::stream(&session.drive, &readable, None).boxed();
        while let Some(part) = bytes.try_next().await? {
            file.write_all(&part).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)?;
        finish(&draft, &job.target, at).map_err(failed)?;
    }
    Ok(Outcome::Written(size))
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

/// Returns a name beside the target that nobody else uses; what an export that was killed left is overwritten.
fn draft(target: &Path) -> PathBuf {
    let name = format!(".scaidrive-{}-{:x}", std::process::id(), fingerprint(target));
    let path = target.with_file_name(name);
    // Not there is as good as removed.
    let _ = std::fs::remove_file(&path);
    path
}

fn fingerprint(path: &Path) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

/// Sets the time and gives the file its name, in place of whatever had it.
fn finish(draft: &Path, target: &Path, at: SystemTime) -> std::io::Result<()> {
    std::fs::File::options().write(true).open(draft)?.set_modified(at)?;
    std::fs::rename(draft, target).inspect_err(|_| drop(std::fs::remove_file(draft)))
}
