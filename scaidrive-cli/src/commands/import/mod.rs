//! `scaidrive import`: a tree into a share, many files to a transaction.
//!
//! Scan, make the folders, leave out what is there already, write small files in batches and large ones as
//! streams. What cannot be represented (a symbolic link, a name that is not UTF-8, a name that a sibling has in
//! another case) is skipped, listed and told by the exit code; everything else is right.

mod scan;
mod write;

use std::collections::HashMap;
use std::time::Instant;

use futures_util::{StreamExt, TryStreamExt, stream};
use scaidrive_core::model::{Caller, Error, FileName, NameKey, Node, ParentId, Result, Share, SharePath};
use scaidrive_core::services::{access::Right, bulk, folders, paths};
use serde::Serialize;
use tokio::sync::oneshot;

use super::skipped::{self, Skipped};
use super::{places, progress};
use crate::args::{Args, Import};
use crate::exit::{self, Code};
use crate::output::size;
use crate::session::Session;
use scan::{Found, Scanned};

/// Folders whose content is looked up at once.
const LOOKUPS: usize = 4;

/// What a share holds: by place and name.
type Known = HashMap<(ParentId, NameKey), Node>;

/// What an import did.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Summary {
    /// Files that are in the share now, unchanged ones included.
    pub(crate) files: u64,
    /// Folders that are in the share now.
    pub(crate) folders: u64,
    /// Bytes of these files.
    pub(crate) bytes: u64,
    /// New files.
    pub(crate) created: u64,
    /// Files with a new version.
    pub(crate) updated: u64,
    /// Files that were there already.
    pub(crate) unchanged: u64,
    /// Bytes of chunks that were new to the store.
    pub(crate) new_chunk_bytes: i64,
    /// Bytes imported for each byte stored; nothing where no byte was.
    pub(crate) dedup_ratio: Option<f64>,
    /// How long it took.
    pub(crate) seconds: f64,
    /// Files a second.
    pub(crate) files_per_second: f64,
    /// Bytes a second.
    pub(crate) bytes_per_second: f64,
    /// What was left out.
    pub(crate) skipped: Vec<Skipped>,
}

/// Where an import goes.
pub(crate) struct Target<'s> {
    session: &'s Session,
    caller: Caller,
    share: Share,
}

pub(crate) async fn run(session: &Session, args: &Args, what: &Import) -> exit::Result<Code> {
    let caller = session.caller(args).await?;
    let share = places::share(&session.drive, &caller, &what.share).await?;
    let target = Target { session, caller, share };
    let began = Instant::now();
    let before = target.stored().await?;
    let mut summary = target.import(what).await?;
    summary.new_chunk_bytes = target.stored().await? - before;
    let ratio = summary.bytes as f64 / summary.new_chunk_bytes as f64;
    summary.dedup_ratio = (summary.new_chunk_bytes > 0).then_some(ratio);
    // Less than a millisecond is not worth dividing by.
    summary.seconds = began.elapsed().as_secs_f64().max(0.001);
    summary.files_per_second = summary.files as f64 / summary.seconds;
    summary.bytes_per_second = summary.bytes as f64 / summary.seconds;
    session.out.print(&summary, || text(&summary))?;
    Ok(skipped::tell(&summary.skipped, session.out))
}

fn text(done: &Summary) -> String {
    format!(
        "{} files, {} folders, {} in {:.1} s ({:.0} files/s, {:.1} MB/s)\n\
         {} new, {} updated, {} unchanged, {} skipped; {} of new chunks{}",
        done.files,
        done.folders,
        size(done.bytes),
        done.seconds,
        done.files_per_second,
        done.bytes_per_second / 1e6,
        done.created,
        done.updated,
        done.unchanged,
        done.skipped.len(),
        size(u64::try_from(done.new_chunk_bytes).unwrap_or(0)),
        done.dedup_ratio.map(|ratio| format!(", dedup ratio {ratio:.2}")).unwrap_or_default(),
    )
}

impl Target<'_> {
    /// Returns the bytes of all chunks of the tenant.
    async fn stored(&self) -> Result<i64> {
        Ok(self.session.drive.read().await?.chunk_stats(self.caller.tenant).await?.bytes)
    }

    async fn import(&self, what: &Import) -> exit::Result<Summary> {
        scan::check(&what.source)?;
        let top = self.top(&what.to).await?;
        let (scanned, known) = self.look(what, top).await?;
        let mut summary = Summary { skipped: scanned.skipped, ..Summary::default() };
        let folders =
            self.folders(top, scanned.folders, known.as_ref().unwrap_or(&Known::new()), &mut summary).await?;
        let mut files = Vec::with_capacity(scanned.files.len());
        for file in scanned.files {
            match folders.get(&file.folder) {
                Some(parent) => files.push((*parent, file)),
                None => summary.skipped.push(Skipped::new(file.shown(), "its folder was skipped")),
            }
        }
        let bar = progress::bar(files.iter().map(|(_, file)| file.size).sum(), self.session.out.json);
        let known = match known {
            Some(known) => known,
            None => self.named(&files).await?,
        };
        let work = changed(files, known, what.checksum, &mut summary);
        bar.inc(summary.bytes);
        write::all(self, work, what.jobs.into(), &bar, &mut summary).await?;
        bar.finish_and_clear();
        Ok(summary)
    }

    /// Looks at the source and, once that turns out to be large, at the share at the same time.
    async fn look(&self, what: &Import, top: ParentId) -> Result<(Scanned, Option<Known>)> {
        let source = what.source.clone();
        let (is_large, soon) = oneshot::channel();
        let scanned = tokio::task::spawn_blocking(move || scan::scan(&source, is_large));
        let known = async {
            // A scan that ends without a word was small.
            if soon.await.is_ok() { self.below(top).await.map(Some) } else { Ok(None) }
        };
        let (scanned, known) = tokio::join!(scanned, known);
        Ok((scanned.map_err(|error| Error::internal(error.to_string()))??, known?))
    }

    /// Returns the place that the import goes to, made where it is missing.
    async fn top(&self, to: &str) -> exit::Result<ParentId> {
        let path = places::path(to)?;
        let (drive, share) = (&self.session.drive, self.share.id);
        let root = paths::place(drive, &self.caller, share, &SharePath::default(), Right::Create).await?;
        let all = (1..=path.names().len()).map(|depth| path.prefix(depth)).collect();
        let found = bulk::ensure_folders(drive, &self.caller, share, root.id(), all).await?;
        let top = found.get(&path).copied();
        Ok(top.ok_or_else(|| Error::internal("a folder that was made is not there"))?)
    }

    /// Makes the folders; where one cannot be made, it and all it holds is skipped.
    async fn folders(
        &self,
        top: ParentId,
        wanted: Vec<SharePath>,
        known: &Known,
        summary: &mut Summary,
    ) -> Result<HashMap<SharePath, ParentId>> {
        let (drive, share) = (&self.session.drive, self.share.id);
        let (mut found, missing) = there_already(top, wanted, known);
        summary.folders = found.len() as u64 - 1;
        match bulk::ensure_folders(drive, &self.caller, share, top, missing.clone()).await {
            Ok(made) => {
                summary.folders += missing.len() as u64;
                found.extend(made);
                return Ok(found);
            }
            Err(error) if error.is_internal() => return Err(error),
            Err(_) => {}
        }
        // One of them is in the way of all: find out which, one by one.
        for path in missing {
            let parent = path.split_last().and_then(|(above, _)| found.get(&above).copied());
            let Some(name) = path.names().last().filter(|_| parent.is_some()) else {
                summary.skipped.push(Skipped::new(path.to_string(), "its folder was skipped"));
                continue;
            };
            let alone = SharePath::default().join(name.clone());
            let made =
                bulk::ensure_folders(drive, &self.caller, share, parent.unwrap_or(top), vec![alone.clone()]);
            match made.await {
                Ok(made) => {
                    summary.folders += 1;
                    found.extend(made.get(&alone).map(|id| (path, *id)));
                }
                Err(error) if error.is_internal() => return Err(error),
                Err(error) => summary.skipped.push(Skipped::new(path.to_string(), error.to_string())),
            }
        }
        Ok(found)
    }

    /// Returns everything below a place: for a large tree one walk is quicker than a look into each folder.
    async fn below(&self, top: ParentId) -> Result<Known> {
        let walked = folders::walk(&self.session.drive, &self.caller, self.share.id, top.folder()).await?;
        Ok(walked.into_iter().map(|found| ((found.node.parent, found.node.name.key()), found.node)).collect())
    }

    /// Returns what is in the places of these files under their names.
    async fn named(&self, files: &[(ParentId, Found)]) -> Result<Known> {
        let mut names: HashMap<ParentId, Vec<FileName>> = HashMap::new();
        for (parent, file) in files {
            names.entry(*parent).or_default().push(file.name.clone());
        }
        let lookups = names.into_iter().map(|(parent, names)| async move {
            let found = bulk::existing(&self.session.drive, &self.caller, parent, &names).await?;
            Ok::<_, Error>(
                found.into_iter().map(move |(key, node)| ((parent, key), node)).collect::<Vec<_>>(),
            )
        });
        let mut lookups = stream::iter(lookups).buffer_unordered(LOOKUPS);
        let mut known = HashMap::new();
        while let Some(found) = lookups.try_next().await? {
            known.extend(found);
        }
        Ok(known)
    }
}

/// Returns the folders that are there already, and those that are not.
fn there_already(
    top: ParentId,
    wanted: Vec<SharePath>,
    known: &Known,
) -> (HashMap<SharePath, ParentId>, Vec<SharePath>) {
    let mut found = HashMap::from([(SharePath::default(), top)]);
    let mut missing = Vec::new();
    for path in wanted {
        let parent = path.split_last().and_then(|(above, name)| Some((*found.get(&above)?, name.key())));
        let node = parent.and_then(|slot| known.get(&slot)).and_then(|node| node.id.as_folder());
        match node {
            Some(id) => drop(found.insert(path, ParentId::Folder(id))),
            None => missing.push(path),
        }
    }
    (found, missing)
}

/// Leaves out the files that are in the share with the same size and time.
fn changed(
    files: Vec<(ParentId, Found)>,
    mut known: Known,
    checksum: bool,
    summary: &mut Summary,
) -> Vec<write::Work> {
    let mut work = Vec::new();
    for (parent, file) in files {
        let node = known.remove(&(parent, file.name.key()));
        if !checksum && node.as_ref().is_some_and(|node| file.is(node)) {
            summary.files += 1;
            summary.unchanged += 1;
            summary.bytes += file.size;
        } else {
            work.push((parent, file, node));
        }
    }
    work
}
