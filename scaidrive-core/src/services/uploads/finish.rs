//! Completion: what is left of the content is taken, then the file appears.
//!
//! A request waits for it below a proxy's time limit. After that the work goes on as a job, and asking again joins it:
//! whoever works, the lease and the session's row keep them apart, and what was made is told to everybody.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::Serialize;
use serde_json::json;

use super::ending::CLEAR;
use super::frontier::{self, Progress, Reach};
use super::{check_base, check_size, check_target, missing, of_file_name, own};
use crate::Drive;
use crate::chunking::{self, PrefixHash};
use crate::model::{
    Caller, Error, FileId, FileInfo, JobId, Queue, Result, Right, Sha256Hash, TenantId, Timestamp, UploadId,
    UploadStatus, VersionId,
};
use crate::ports::metadata::{ContentRow, JobRow, MadeFile, UploadRow};
use crate::ports::{Outcome, Writes};
use crate::services::files::{self, NewFile};
use crate::services::ingest::StoredContent;
use crate::services::mutation::{self, Mutation, Tx};
use crate::services::transaction::{Transaction, transact};
use crate::services::{queue, tenants, tree};

/// The job that goes on with a completion.
pub const COMPLETE: &str = "complete_upload";

/// How long one job works on a completion, then another one does: a worker has more to do.
const JOB_TIME: Duration = Duration::from_secs(2 * 60);

/// How soon a client should ask again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How long to wait while somebody else moves the frontier.
const POLL: Duration = Duration::from_millis(100);

/// A finished upload as the wire shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Completed {
    /// The file.
    pub file_id: FileId,
    /// The number of its version.
    pub version: u32,
    /// The version.
    pub version_id: VersionId,
    /// Its size.
    pub size: u64,
    /// Its checksum.
    pub checksum_sha256: Sha256Hash,
}

impl Completed {
    fn of(row: &UploadRow, made: &MadeFile) -> Self {
        Self {
            file_id: made.file,
            version: made.version,
            version_id: made.version_id,
            size: row.layout.size,
            checksum_sha256: made.checksum,
        }
    }
}

/// Makes the file, or answers what was made.
///
/// # Errors
/// `Unavailable` where it takes longer than a request may: then it goes on, and asking again joins it.
pub async fn complete(drive: &Drive, caller: &Caller, id: UploadId) -> Result<Completed> {
    let mut rows = drive.read().await?;
    let row = own(&mut *rows, caller, id).await?;
    if let Some(made) = &row.made {
        return Ok(Completed::of(&row, made));
    }
    row.check_live(drive.clock.now())?;
    if let Err(error) = check_target(&mut *rows, caller, &row).await {
        // A rival may have made the file since, and it is that which is in the way.
        let row = own(&mut *rows, caller, id).await?;
        return row.made.map(|made| Completed::of(&row, &made)).ok_or(error);
    }
    drop(rows);
    begin(drive, &row).await?;
    let time = drive.uploads.complete_within;
    let (worker, who) = (drive.clone(), caller.clone());
    // On a task of its own: a client that goes away leaves nothing half done.
    let work = tokio::spawn(async move { work(&worker, &who, id, time).await });
    let outcome = match tokio::time::timeout(time, work).await {
        Ok(ended) => ended.map_err(|error| Error::internal(format!("a completion broke off: {error}")))?,
        Err(_) => Ok(None),
    };
    match outcome? {
        Some(completed) => Ok(completed),
        None => {
            hand_over(drive, &row).await?;
            Err(Error::unavailable("the upload, which is still being completed", RETRY_AFTER))
        }
    }
}

/// Goes on with a completion that a request gave up, in the name of its user.
///
/// What the user has to know is told when the completion is asked for again.
pub async fn go_on(drive: &Drive, tenant: TenantId, id: UploadId) -> Result<()> {
    let Some(row) = drive.read().await?.upload(tenant, id).await? else { return Ok(()) };
    if row.status != UploadStatus::Completing {
        return Ok(());
    }
    let worked = async {
        let caller = tenants::caller_for(drive, tenant, &row.user).await?;
        work(drive, &caller, id, JOB_TIME).await
    };
    match worked.await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => hand_over(drive, &row).await,
        Err(error) if is_for_the_client(&error) => {
            tracing::info!(%error, upload = %id, "an upload cannot be completed as it is");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Tells whether only the client can do something about it; then the session is open again.
fn is_for_the_client(error: &Error) -> bool {
    !(error.is_internal()
        || matches!(error, Error::Unavailable { .. } | Error::TouchExpired | Error::InProgress))
}

/// Says that no more bytes are to come, if all are there.
async fn begin(drive: &Drive, row: &UploadRow) -> Result<()> {
    let begin = SetStatus { to: UploadStatus::Completing, row: row.clone(), now: drive.clock.now() };
    if transact(drive, begin).await? { Ok(()) } else { Err(parts_missing(drive, row).await?) }
}

async fn parts_missing(drive: &Drive, row: &UploadRow) -> Result<Error> {
    let mut rows = drive.read().await?;
    let row = rows.upload(row.tenant, row.id).await?.ok_or(Error::NotFound)?;
    let missing = missing(&mut *rows, &row).await?;
    Ok(Error::ChunksMissing { missing: missing.into_iter().map(Into::into).collect() })
}

/// Asks for a job that goes on from where the frontier is by now: another one than that which has come so far.
async fn hand_over(drive: &Drive, row: &UploadRow) -> Result<()> {
    let Some(now) = drive.read().await?.upload(row.tenant, row.id).await? else { return Ok(()) };
    let key = format!("{COMPLETE}:{}:{}:{}", row.id, now.generation, now.frontier);
    let job = JobRow {
        tenant: Some(row.tenant),
        queue: Queue::High,
        payload: json!({ "upload": row.id }),
        ..JobRow::new(JobId::new(drive.ids.ulid()), COMPLETE, key, drive.meta.now().await?)
    };
    queue::ask(drive, job).await
}

/// Turns a live session into one that is being completed, or open again; tells whether all parts are there.
struct SetStatus {
    row: UploadRow,
    to: UploadStatus,
    now: Timestamp,
}

#[async_trait]
impl Transaction for SetStatus {
    type Answer = bool;

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, bool)> {
        let mut row = rows.lock_upload(self.row.tenant, self.row.id).await?.ok_or(Error::NotFound)?;
        let is_whole = row.received == row.layout.count();
        if row.status == UploadStatus::Completed {
            // By a rival: who goes on finds what was made.
            return Ok((Outcome::RollBack, true));
        }
        row.check_live(self.now)?;
        if self.to == UploadStatus::Completing && !is_whole {
            return Ok((Outcome::RollBack, false));
        }
        row.status = self.to;
        row.note_activity(self.now);
        rows.update_upload(&row).await?;
        Ok((Outcome::Commit, is_whole))
    }
}

/// Completes an upload within a time; nothing if that is not enough.
async fn work(drive: &Drive, caller: &Caller, id: UploadId, time: Duration) -> Result<Option<Completed>> {
    let until = Instant::now() + time;
    let outcome = take_the_rest(drive, caller, id, until).await;
    if let Err(error) = &outcome
        && is_for_the_client(error)
        && let Some(row) = drive.read().await?.upload(caller.tenant, id).await?
    {
        let reopen = SetStatus { row, to: UploadStatus::Open, now: drive.clock.now() };
        transact(drive, reopen).await?;
    }
    outcome
}

async fn take_the_rest(
    drive: &Drive,
    caller: &Caller,
    id: UploadId,
    until: Instant,
) -> Result<Option<Completed>> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let Some(mover) = drive.uploads.mover(left).await else { return Ok(None) };
        let reach = Reach { bytes: u64::MAX, time: left };
        let progress = frontier::advance(drive, caller.tenant, id, reach).await;
        drop(mover);
        match progress {
            Ok(Progress::Done) => match finish(drive, caller, id).await? {
                Some(completed) => return Ok(Some(completed)),
                None => continue,
            },
            Ok(Progress::Gap) => {
                let row = drive.read().await?.upload(caller.tenant, id).await?.ok_or(Error::NotFound)?;
                return Err(parts_missing(drive, &row).await?);
            }
            Ok(Progress::Busy | Progress::Paused) | Err(Error::TouchExpired) => {}
            Err(error) => return Err(error),
        }
        if Instant::now() >= until {
            return Ok(None);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Makes the file of a session of which all is stored; nothing if its frontier went back meanwhile.
async fn finish(drive: &Drive, caller: &Caller, id: UploadId) -> Result<Option<Completed>> {
    let mut rows = drive.read().await?;
    let row = own(&mut *rows, caller, id).await?;
    if let Some(made) = &row.made {
        return Ok(Some(Completed::of(&row, made)));
    }
    row.check_live(drive.clock.now())?;
    if row.frontier != row.layout.size {
        return Ok(None);
    }
    let checksum = PrefixHash::from_bytes(&row.hash_state)
        .ok_or_else(|| Error::internal(format!("upload {id} has no state of a hash")))?
        .finish();
    if let Some(wanted) = row.checksum.filter(|wanted| *wanted != checksum) {
        let what = format!("the content hashes to {checksum}, and was to hash to {wanted}");
        return Err(Error::ChecksumMismatch { what });
    }
    let chunks = rows.upload_manifest(row.tenant, id).await?;
    let whole =
        chunks.iter().try_fold(0, |at, entry| (entry.start == at).then(|| at + u64::from(entry.size)));
    if whole != Some(row.layout.size) {
        return Err(Error::Corrupt { what: format!("the chunk list of upload {id} is torn") });
    }
    drop(rows);
    let content = ContentRow {
        id: chunking::content_id(chunks.iter().map(|entry| (entry.hash, u64::from(entry.size)))),
        size: row.layout.size,
        checksum,
        chunks: chunks.into(),
        chunking: drive.chunking.to_string(),
    };
    mutation::run(drive, caller, Finish { row, content, grace: drive.gc_grace }).await
}

/// Makes the session's content a file, or a version of one.
struct Finish {
    /// The session as it was when its chunks were read.
    row: UploadRow,
    content: ContentRow,
    grace: Duration,
}

#[async_trait]
impl Mutation for Finish {
    type Output = Option<Completed>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Option<Completed>> {
        let mut row = tx.rows.lock_upload(self.row.tenant, self.row.id).await?.ok_or(Error::NotFound)?;
        if let Some(made) = &row.made {
            return Ok(Some(Completed::of(&row, made)));
        }
        row.check_live(tx.now)?;
        if row.revision != self.row.revision || row.frontier != row.layout.size {
            return Ok(None);
        }
        check_size(tx.rows, tx.caller, row.layout.size).await?;
        // The session refers to every chunk, and is locked: that is as good as a touch made now.
        let touched_at = tx.rows.now().await?;
        let content = StoredContent { row: self.content.clone(), touched_at };
        let file = match row.replaces {
            Some(id) => self.replace(tx, &row, id, &content).await?,
            None => {
                files::create_in(tx, &new_file(&row), &content, self.grace).await.map_err(of_file_name)?
            }
        };
        let made = MadeFile {
            file: file.id,
            version: file.version,
            version_id: file.version_id,
            checksum: file.checksum_sha256,
        };
        row.made = Some(made);
        row.end(UploadStatus::Completed, tx.now);
        tx.rows.update_upload(&row).await?;
        tx.job(Queue::Low, CLEAR, format!("{CLEAR}:{}", row.id), json!({ "upload": row.id }), tx.now);
        Ok(Some(Completed::of(&row, &made)))
    }
}

fn new_file(row: &UploadRow) -> NewFile {
    NewFile {
        share: row.share,
        folder: row.folder,
        name: row.name.clone(),
        mime_type: row.mime_type.clone(),
        modified_at: None,
    }
}

impl Finish {
    async fn replace(
        &self,
        tx: &mut Tx<'_>,
        row: &UploadRow,
        id: FileId,
        content: &StoredContent,
    ) -> Result<FileInfo> {
        let found = tree::locked_node(tx, id.into(), Right::Write).await?.live()?;
        check_base(row, &found)?;
        let mut facts = found.node().file.clone().ok_or(Error::NotFound)?;
        facts.mime_type = row.mime_type.clone().unwrap_or(facts.mime_type);
        files::write_in(tx, (found, facts), content, None, self.grace).await
    }
}
