//! Rows of delta transfer: chunks that users sent, and which files hold a chunk.

use async_trait::async_trait;

use super::{ContentRow, SeenEntry};
use crate::model::{Caller, ChunkHash, ContentId, FileId, Result, ShareId, TenantId, Timestamp, UserId};

/// A chunk that a user sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentChunk {
    /// Its hash.
    pub hash: ChunkHash,
    /// Its size in bytes.
    pub size: u32,
    /// When it was sent last, by the database's clock.
    pub sent_at: Timestamp,
}

/// A place where a content holds a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkUse {
    /// The chunk.
    pub hash: ChunkHash,
    /// Its size in bytes.
    pub size: u32,
    /// The content.
    pub content: ContentId,
}

/// A version that has a content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentUse {
    /// The content.
    pub content: ContentId,
    /// The file and who is charged for it, if it lies in the share that was asked for and not in the trash itself.
    pub file: Option<(FileId, UserId)>,
}

/// Reads what delta transfer asks for.
#[async_trait]
pub trait DeltaReads: Send {
    /// Returns those of these chunks that the user sent, long ago or not.
    async fn sent_chunks(
        &mut self,
        tenant: TenantId,
        user: &UserId,
        hashes: &[ChunkHash],
    ) -> Result<Vec<SentChunk>>;
    /// Returns where contents hold these chunks, of all tenants' users; `most` rows at most, so that a chunk which
    /// everybody has costs no more than others.
    async fn chunk_uses(
        &mut self,
        tenant: TenantId,
        hashes: &[ChunkHash],
        most: u32,
    ) -> Result<Vec<ChunkUse>>;
    /// Returns the versions that have these contents, a row each, and of which file in the share; `most` rows at
    /// most.
    async fn content_uses(
        &mut self,
        tenant: TenantId,
        share: ShareId,
        contents: &[ContentId],
        most: u32,
    ) -> Result<Vec<ContentUse>>;
    /// Returns those of these contents that are stored, without their chunks.
    async fn contents(&mut self, tenant: TenantId, ids: &[ContentId]) -> Result<Vec<ContentRow>>;
    /// Sums the sizes of what the user sent since, and has made no file of.
    async fn pending_chunk_bytes(&mut self, tenant: TenantId, user: &UserId, since: Timestamp)
    -> Result<i64>;
    /// Returns every entry in a share that matches the caller, wherever it is.
    async fn entries_in(&mut self, caller: &Caller, share: ShareId) -> Result<Vec<SeenEntry>>;
    /// Returns chunks that were sent and have no live row.
    async fn dangling_sent(&mut self, tenant: TenantId, limit: u32) -> Result<Vec<ChunkHash>>;
}

/// Writes which chunks users sent.
#[async_trait]
pub trait DeltaWrites: Send {
    /// Notes that a user sent chunks of which nothing is noted yet; they are pending.
    async fn insert_sent(
        &mut self,
        tenant: TenantId,
        user: &UserId,
        chunks: &[(ChunkHash, u32)],
        at: Timestamp,
    ) -> Result<()>;
    /// Notes that a user sent chunks again; they stay pending or not.
    async fn renew_sent(
        &mut self,
        tenant: TenantId,
        user: &UserId,
        hashes: &[ChunkHash],
        at: Timestamp,
    ) -> Result<()>;
    /// Forgets that a user sent chunks.
    async fn remove_sent(&mut self, tenant: TenantId, user: &UserId, hashes: &[ChunkHash]) -> Result<()>;
    /// Says that a file holds these chunks now: those that the user sent are not pending any more.
    async fn settle_sent(&mut self, tenant: TenantId, user: &UserId, hashes: &[ChunkHash]) -> Result<()>;
    /// Forgets some of what was sent before, the oldest first; tells how many, which is none once all is forgotten.
    async fn forget_sent(&mut self, tenant: TenantId, before: Timestamp) -> Result<u64>;
}
