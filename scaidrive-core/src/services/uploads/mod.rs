//! Resumable uploads: a content in parts, in any order, over days, through any replica.
//!
//! A session's row is the truth about it, and every step locks it. Parts lie in the object store under their numbers.
//! The *frontier* is how many bytes of the content are cut into chunks and stored already: it always stands on a
//! chunk's boundary, because FastCDC starts anew at every one, so that all it takes to go on is that offset and the
//! state of the SHA-256 ([`PrefixHash`]). A part is removed once it lies wholly behind
//! the frontier; what was cut of the part in which the frontier stands is read again with it.
//!
//! Chunks behind the frontier are referred to by the session ([`UploadChunk`]), and collection respects that as it
//! does a content's reference: it is made while the touch is fresh, and removing it touches. A part behind the
//! frontier that is sent again with other bytes becomes chunks at once, and the frontier goes back before it; what
//! followed is cut again from the chunks of before, which stay referred to until the session ends. So an object under
//! a part's number is never needed again once the part was promoted, and a delete of it that comes late harms nobody.
//!
//! Nothing that was read is trusted: a part whose object does not hash to what its row says counts as vanished.
//!
//! [`UploadChunk`]: crate::ports::metadata::UploadChunk

mod ending;
mod finish;
mod frontier;
mod intake;
mod parts;
mod source;

use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::json;

pub use ending::{CLEAR, abort, clear, sweep, sweep_orphans};
pub use finish::{COMPLETE, Completed, complete, go_on};
pub use intake::Uploads;
pub use parts::{Claimed, StoredPart, put_part};

use super::access::{self, Right};
use super::mutation::{self, Mutation, Tx};
use crate::Drive;
use crate::chunking::PrefixHash;
use crate::model::{
    AuditCategory, AuditEvent, Caller, Error, FieldError, FileId, FileName, FolderId, Layout, MimeType,
    NodeId, ParentId, ResourceKind, Result, Sha256Hash, ShareId, Timestamp, UploadId, UploadStatus, UserId,
    VersionId,
};
use crate::ports::Reads;
use crate::ports::metadata::UploadRow;

/// The size of parts that nobody chose.
pub const DEFAULT_PART_SIZE: u32 = 4 << 20;

/// How long a session lives without activity.
const IDLE: Duration = Duration::from_secs(24 * 3600);

/// How long it lives at most: the bucket's lifecycle rule may remove parts after 48 h.
const LONGEST: Duration = Duration::from_secs(47 * 3600);

/// What somebody wants to upload.
#[derive(Clone, Debug)]
pub struct NewUpload {
    /// The share.
    pub share: ShareId,
    /// The folder; nothing for the share's root.
    pub folder: Option<FolderId>,
    /// The file's name.
    pub name: FileName,
    /// Its size in bytes.
    pub size: u64,
    /// The size of its parts.
    pub part_size: u32,
    /// Its type; nothing to guess it from the name.
    pub mime_type: Option<MimeType>,
    /// The checksum that it must have.
    pub checksum: Option<Sha256Hash>,
    /// The file that it becomes a version of, instead of a new one.
    pub replaces: Option<FileId>,
    /// The version that this file must have.
    pub base: Option<VersionId>,
}

/// A new session as the wire shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Created {
    /// The session.
    pub session_id: UploadId,
    /// The size of its parts.
    pub chunk_size: u32,
    /// How many there are.
    pub total_chunks: u32,
    /// When the session ends if nothing comes.
    pub expires_at: Timestamp,
}

/// A session as the wire shows it.
#[derive(Clone, Debug, Serialize)]
pub struct UploadInfo {
    /// The session.
    pub session_id: UploadId,
    /// Where it stands.
    pub status: UploadStatus,
    /// The file's name.
    pub file_name: FileName,
    /// Its size in bytes.
    pub file_size: u64,
    /// The size of its parts.
    pub chunk_size: u32,
    /// How many there are.
    pub total_chunks: u32,
    /// How many of them came.
    pub received_chunks: u32,
    /// Which did not; none of a session that has ended.
    pub missing: Vec<u32>,
    /// When the session ends if nothing comes.
    pub expires_at: Timestamp,
    /// The file that it became.
    pub file_id: Option<FileId>,
}

impl From<&UploadRow> for Created {
    fn from(row: &UploadRow) -> Self {
        Self {
            session_id: row.id,
            chunk_size: row.layout.part_size,
            total_chunks: row.layout.count(),
            expires_at: row.expires_at,
        }
    }
}

impl UploadRow {
    /// Puts the end of the session off.
    fn note_activity(&mut self, now: Timestamp) {
        self.expires_at = now.plus(IDLE).min(self.created_at.plus(LONGEST));
    }

    /// Fails unless the session can still become a file.
    fn check_live(&self, now: Timestamp) -> Result<()> {
        match self.status {
            UploadStatus::Aborted => Err(Error::SessionExpired { why: "it was aborted" }),
            UploadStatus::Completed => Err(Error::SessionExpired { why: "it is complete" }),
            UploadStatus::Open | UploadStatus::Completing if now < self.expires_at => Ok(()),
            _ => Err(Error::SessionExpired { why: "nothing came for too long" }),
        }
    }

    /// Ends the session.
    fn end(&mut self, how: UploadStatus, now: Timestamp) {
        self.status = how;
        self.ended_at = Some(now);
        self.lease = None;
    }

    /// Returns where it stands by now: nobody may have noticed yet that its time is over.
    fn status_at(&self, now: Timestamp) -> UploadStatus {
        if self.status.is_live() && now >= self.expires_at { UploadStatus::Expired } else { self.status }
    }

    /// Returns an event about the session.
    fn audit(&self, action: &'static str) -> AuditEvent {
        let event = AuditEvent::new(AuditCategory::FileModification, action, ResourceKind::Upload, self.id);
        event.with(json!({
            "share_id": self.share, "folder_id": self.folder, "file_name": self.name, "file_size": self.layout.size,
            "replace_file_id": self.replaces,
        }))
    }
}

/// Returns a session of the caller's; those of others are not there.
async fn own(rows: &mut dyn Reads, caller: &Caller, id: UploadId) -> Result<UploadRow> {
    let found = rows.upload(caller.tenant, id).await?;
    found.filter(|row| row.user == caller.user).ok_or(Error::NotFound)
}

/// Begins an upload, if by what is known now it may become a file.
pub async fn create(drive: &Drive, caller: &Caller, new: NewUpload) -> Result<Created> {
    let layout = layout(drive, caller, &new).await?;
    if new.base.is_some() && new.replaces.is_none() {
        let message = "goes with replace_file_id";
        return Err(Error::invalid("base_version_id", message, new.base.map(|id| id.to_string())));
    }
    mutation::run(drive, caller, Create { new, layout }).await
}

/// A file that is too large is told so, whatever its parts; the mutation looks again.
async fn layout(drive: &Drive, caller: &Caller, new: &NewUpload) -> Result<Layout> {
    let part_size = Layout::new(0, new.part_size)?.part_size;
    check_size(&mut *drive.read().await?, caller, new.size).await?;
    Layout::new(new.size, part_size)
}

struct Create {
    new: NewUpload,
    layout: Layout,
}

#[async_trait]
impl Mutation for Create {
    type Output = Created;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Created> {
        let mut row = self.row(tx);
        row.owner = check_target(tx.rows, tx.caller, &row).await?;
        check_folder_of_replaced(tx.rows, &row).await?;
        // What else may become pending for that user waits, so that each sees what the others have.
        tx.rows.lock_user(row.tenant, &row.owner).await?;
        tx.rows.insert_upload(&row).await?;
        tx.announce(row.share, &row.owner, row.layout.size);
        tx.audit(row.audit("upload.create"));
        tx.created(row.id);
        Ok(Created::from(&row))
    }
}

impl Create {
    fn row(&self, tx: &Tx<'_>) -> UploadRow {
        let mut row = UploadRow {
            id: UploadId::new(tx.ulid()),
            tenant: tx.caller.tenant,
            user: tx.caller.user.clone(),
            owner: tx.caller.user.clone(),
            share: self.new.share,
            folder: self.new.folder,
            name: self.new.name.clone(),
            mime_type: self.new.mime_type.clone(),
            layout: self.layout,
            checksum: self.new.checksum,
            replaces: self.new.replaces,
            base: self.new.base,
            status: UploadStatus::Open,
            created_at: tx.now,
            expires_at: tx.now,
            ended_at: None,
            received: 0,
            revision: 0,
            generation: 0,
            frontier: 0,
            hash_state: PrefixHash::default().to_bytes(),
            lease: None,
            made: None,
        };
        row.note_activity(tx.now);
        row
    }
}

/// Fails with `TooLarge` above what the tenant accepts.
async fn check_size(rows: &mut dyn Reads, caller: &Caller, size: u64) -> Result<()> {
    let tenant = rows.tenant(caller.tenant).await?.ok_or(Error::NotFound)?;
    let limit = tenant.settings.max_file_size_bytes;
    if size > limit { Err(Error::TooLarge { limit }) } else { Ok(()) }
}

/// Fails unless an upload may become the file it is meant for; returns who will be charged for it.
async fn check_target(rows: &mut dyn Reads, caller: &Caller, row: &UploadRow) -> Result<UserId> {
    check_size(rows, caller, row.layout.size).await?;
    if let Some(id) = row.replaces {
        let found = access::file(rows, caller, id, Right::Write).await?;
        check_base(row, &found)?;
        return Ok(found.node().owner.clone());
    }
    let place = access::place(rows, caller, row.share, row.folder, Right::Create).await?;
    place.check_limits(row.name.as_str()).map_err(of_file_name)?;
    match rows.child(caller.tenant, place.id(), &row.name.key()).await? {
        Some(_) => Err(Error::NameConflict { name: row.name.to_string() }),
        None => Ok(caller.user.clone()),
    }
}

/// Fails unless a file that is to be replaced lies in the session's share, and has the version that the client saw.
fn check_base(row: &UploadRow, found: &access::Located) -> Result<()> {
    let facts = found.node().file.as_ref().filter(|_| found.share.id == row.share).ok_or(Error::NotFound)?;
    match row.base {
        Some(base) if base != facts.version_id => {
            Err(Error::VersionConflict { what: format!("the file has version {} by now", facts.version_id) })
        }
        _ => Ok(()),
    }
}

/// Fails if a folder is named that a file to be replaced does not lie in. It may move until the upload is complete.
async fn check_folder_of_replaced(rows: &mut dyn Reads, row: &UploadRow) -> Result<()> {
    let (Some(file), Some(folder)) = (row.replaces, row.folder) else { return Ok(()) };
    let found = rows.node(row.tenant, NodeId::File(file)).await?.ok_or(Error::NotFound)?;
    if found.parent == ParentId::Folder(folder) {
        return Ok(());
    }
    let message = "is not where the file of replace_file_id lies; leave it out";
    Err(Error::invalid("folder_id", message, folder.to_string()))
}

/// The wire calls an upload's name otherwise than the core does.
fn of_file_name(error: Error) -> Error {
    match error {
        Error::Invalid { fields } => {
            let renamed = |fault| FieldError { field: "file_name".to_owned(), ..fault };
            Error::Invalid { fields: fields.into_iter().map(renamed).collect() }
        }
        error => error,
    }
}

/// Returns a session as its creation told it, for a request that is repeated.
pub async fn created(drive: &Drive, caller: &Caller, id: UploadId) -> Result<Created> {
    Ok(Created::from(&own(&mut *drive.read().await?, caller, id).await?))
}

/// Returns a session of the caller's. Looking is no activity.
pub async fn get(drive: &Drive, caller: &Caller, id: UploadId) -> Result<UploadInfo> {
    let mut rows = drive.read().await?;
    let row = own(&mut *rows, caller, id).await?;
    let status = row.status_at(drive.clock.now());
    let missing = if status.is_live() { missing(&mut *rows, &row).await? } else { Vec::new() };
    Ok(UploadInfo {
        session_id: row.id,
        status,
        file_name: row.name.clone(),
        file_size: row.layout.size,
        chunk_size: row.layout.part_size,
        total_chunks: row.layout.count(),
        received_chunks: row.received,
        missing,
        expires_at: row.expires_at,
        file_id: row.made.map(|made| made.file),
    })
}

/// Returns the numbers of the parts that are not there.
async fn missing(rows: &mut dyn Reads, row: &UploadRow) -> Result<Vec<u32>> {
    if row.received == row.layout.count() {
        return Ok(Vec::new());
    }
    let mut there = rows.upload_part_numbers(row.tenant, row.id).await?.into_iter().peekable();
    Ok((0..row.layout.count()).filter(|part| there.next_if_eq(part).is_none()).collect())
}
