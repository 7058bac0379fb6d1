//! Rows of resumable uploads. What they mean to each other is in `services::uploads`.

use async_trait::async_trait;

use super::ManifestEntry;
use crate::model::{
    FileId, FolderId, Layout, MimeType, Result, Sha256Hash, ShareId, TenantId, Timestamp, UploadId,
    UploadStatus, UserId, VersionId,
};

/// An upload session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadRow {
    /// Its id.
    pub id: UploadId,
    /// Its tenant.
    pub tenant: TenantId,
    /// Whose it is.
    pub user: UserId,
    /// Who will be charged for the file: the user, or the owner of the one that is replaced.
    pub owner: UserId,
    /// Where the file goes.
    pub share: ShareId,
    /// In which folder; nothing for the share's root.
    pub folder: Option<FolderId>,
    /// Under which name.
    pub name: crate::model::FileName,
    /// Its type, if that was told.
    pub mime_type: Option<MimeType>,
    /// Its size, and that of its parts.
    pub layout: Layout,
    /// The checksum that it must have.
    pub checksum: Option<Sha256Hash>,
    /// The file that it becomes a version of.
    pub replaces: Option<FileId>,
    /// The version that this file must have by then.
    pub base: Option<VersionId>,
    /// Where it stands.
    pub status: UploadStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How many parts are there.
    pub received: u32,
    /// Raised whenever bytes that were there become others.
    pub revision: u32,
    /// Raised when the frontier goes back.
    pub generation: u32,
    /// How many bytes are cut and stored.
    pub frontier: u64,
    /// The state of the SHA-256 over them.
    pub hash_state: Vec<u8>,
    /// Who moves the frontier, and until when nobody else may.
    pub lease: Option<(String, Timestamp)>,
    /// What it became.
    pub made: Option<MadeFile>,
}

/// What an upload became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MadeFile {
    /// The file.
    pub file: FileId,
    /// The number of its version.
    pub version: u32,
    /// The version.
    pub version_id: VersionId,
    /// The checksum of the content.
    pub checksum: Sha256Hash,
}

/// A part that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartRow {
    /// Its number, from 0.
    pub part: u32,
    /// The hash of its bytes.
    pub hash: Sha256Hash,
    /// The generation of chunks that holds its bytes; nothing while it is an object of its own.
    pub promoted_in: Option<u32>,
}

/// A chunk that a session refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadChunk {
    /// Where it begins, its hash and its size.
    pub entry: ManifestEntry,
    /// Whether it is of the content as it stands.
    pub is_listed: bool,
    /// The state of the SHA-256 over all before it, where it was kept.
    pub hash_state: Option<Vec<u8>>,
}

/// Reads uploads.
#[async_trait]
pub trait UploadReads: Send {
    /// Returns a session.
    async fn upload(&mut self, tenant: TenantId, id: UploadId) -> Result<Option<UploadRow>>;
    /// Returns the numbers of all parts that are there, in order.
    async fn upload_part_numbers(&mut self, tenant: TenantId, id: UploadId) -> Result<Vec<u32>>;
    /// Returns parts from a number on, in order, at most `limit`.
    async fn upload_parts(
        &mut self,
        tenant: TenantId,
        id: UploadId,
        from: u32,
        limit: u32,
    ) -> Result<Vec<PartRow>>;
    /// Returns the chunks of the content as it stands, in order.
    async fn upload_manifest(&mut self, tenant: TenantId, id: UploadId) -> Result<Vec<ManifestEntry>>;
    /// Returns the last place at or before an offset where the state of the hash was kept, with that state.
    async fn upload_checkpoint(
        &mut self,
        tenant: TenantId,
        id: UploadId,
        offset: u64,
    ) -> Result<Option<(u64, Vec<u8>)>>;
    /// Returns the chunks of a generation that hold bytes of a range, in order.
    async fn upload_generation(
        &mut self,
        tenant: TenantId,
        id: UploadId,
        generation: u32,
        from: u64,
        to: u64,
    ) -> Result<Vec<ManifestEntry>>;
    /// Sums the sizes of the uploads under way that a user will be charged for.
    async fn pending_uploads(&mut self, tenant: TenantId, owner: &UserId, now: Timestamp) -> Result<i64>;
    /// Returns live sessions whose time is over.
    async fn overdue_uploads(
        &mut self,
        tenant: TenantId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<UploadId>>;
    /// Returns sessions that have ended and still have parts or chunks.
    async fn leftover_uploads(&mut self, tenant: TenantId, limit: u32) -> Result<Vec<UploadId>>;
    /// Returns where those of these sessions stand that are known, of whatever tenant.
    async fn upload_statuses(&mut self, ids: &[UploadId]) -> Result<Vec<(UploadId, UploadStatus)>>;
}

/// Writes uploads.
#[async_trait]
pub trait UploadWrites: Send {
    /// Inserts a session.
    async fn insert_upload(&mut self, upload: &UploadRow) -> Result<()>;
    /// Keeps others from changing a session and its parts until this commits, and returns it as it is now.
    async fn lock_upload(&mut self, tenant: TenantId, id: UploadId) -> Result<Option<UploadRow>>;
    /// Replaces everything of a locked session that moves: status, times, counts, frontier, lease, what it made.
    async fn update_upload(&mut self, upload: &UploadRow) -> Result<()>;
    /// Inserts or replaces a part.
    async fn put_upload_part(&mut self, tenant: TenantId, id: UploadId, part: &PartRow) -> Result<()>;
    /// Forgets a part.
    async fn delete_upload_part(&mut self, tenant: TenantId, id: UploadId, part: u32) -> Result<()>;
    /// Says that parts before a number that are objects lie in a generation of chunks now.
    async fn promote_upload_parts(
        &mut self,
        tenant: TenantId,
        id: UploadId,
        before: u32,
        generation: u32,
    ) -> Result<()>;
    /// Inserts references to chunks.
    async fn insert_upload_chunks(
        &mut self,
        tenant: TenantId,
        id: UploadId,
        generation: u32,
        chunks: &[UploadChunk],
    ) -> Result<()>;
    /// Says that chunks from an offset on are not of the content any more; they stay referred to.
    async fn unlist_upload_chunks(&mut self, tenant: TenantId, id: UploadId, from: u64) -> Result<()>;
    /// Removes at most `limit` references of a session, and touches their chunks; tells whether none is left.
    async fn drop_upload_chunks(
        &mut self,
        tenant: TenantId,
        id: UploadId,
        limit: u32,
        now: Timestamp,
    ) -> Result<bool>;
    /// Removes the parts of a session.
    async fn drop_upload_parts(&mut self, tenant: TenantId, id: UploadId) -> Result<()>;
    /// Forgets sessions that ended before a time and have nothing left.
    async fn forget_uploads(&mut self, tenant: TenantId, before: Timestamp) -> Result<()>;
}
