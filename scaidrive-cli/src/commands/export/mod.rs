//! `scaidrive export`: a share or a folder of it into a directory, bit for bit.
//!
//! Every chunk is verified as it is read. Files appear under their names only when they are whole; nothing is
//! written through a symbolic link. A damaged file is left out and told: the others are still wanted.

mod file;

use std::path::{Path, PathBuf};
use std::time::Instant;

use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use scaidrive_core::model::{Error, Result, SharePath};
use scaidrive_core::services::folders;
use serde::Serialize;

use super::skipped::{self, Skipped};
use super::{places, progress};
use crate::args::{Args, Export};
use crate::exit::{self, Code};
use crate::output::size;
use crate::session::Session;
use file::{Job, Outcome};

/// Files on their way at once.
const AT_ONCE: usize = 8;

/// What an export did.
#[derive(Debug, Default, Serialize)]
struct Summary {
    files: u64,
    folders: u64,
    bytes: u64,
    written: u64,
    unchanged: u64,
    seconds: f64,
    files_per_second: f64,
    bytes_per_second: f64,
    damaged: u64,
    skipped: Vec<Skipped>,
}

pub(crate) async fn run(session: &Session, args: &Args, what: &Export) -> exit::Result<Code> {
    let began = Instant::now();
    let caller = session.caller(args).await?;
    let share = places::share(&session.drive, &caller, &what.share).await?;
    let from = places::path(&what.from)?;
    let place = places::folder(&session.drive, &caller, &share, &from).await?;
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
    let mut done = stream::iter(jobs)
        .map(|job| file::write(session, &caller, job, what.checksum))
        .buffer_unordered(AT_ONCE);
    while let Some(outcome) = done.try_next().await? {
        summary.count(outcome, &bar);
    }
    bar.finish_and_clear();
    // Less than a millisecond is not worth dividing by.
    summary.seconds = began.elapsed().as_secs_f64().max(0.001);
    summary.files_per_second = summary.files as f64 / summary.seconds;
    summary.bytes_per_second = summary.bytes as f64 / summary.seconds;
    session.out.print(&summary, || text(&summary))?;
    let code = skipped::tell(&summary.skipped, session.out);
    Ok(if summary.damaged > 0 { Code::Damaged } else { code })
}

fn text(done: &Summary) -> String {
    format!(
        "{} files, {} folders, {} in {:.1} s ({:.0} files/s, {:.1} MB/s); {} written, {} there already",
        done.files,
        done.folders,
        size(done.bytes),
        done.seconds,
        done.files_per_second,
        done.bytes_per_second / 1e6,
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

impl Summary {
    fn count(&mut self, outcome: Outcome, bar: &ProgressBar) {
        let bytes = match outcome {
            Outcome::Written(bytes) => {
                self.written += 1;
                bytes
            }
            Outcome::Unchanged(bytes) => {
                self.unchanged += 1;
                bytes
            }
            Outcome::Gone(path) => return self.skipped.push(Skipped::new(path, "removed meanwhile")),
            Outcome::Damaged(path) => {
                self.damaged += 1;
                return self.skipped.push(Skipped::new(path, "its stored content is damaged or missing"));
            }
        };
        self.files += 1;
        self.bytes += bytes;
        bar.inc(bytes);
    }
}
