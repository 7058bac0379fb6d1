//! Rows of contents and chunks. The protocol that keeps them safe is in `services::ingest` and `services::collect`.

use async_trait::async_trait;

use crate::model::{ChunkHash, ChunkState, ContentId, Result, Sha256Hash, TenantId, Timestamp};

/// One chunk of a content, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManifestEntry {
    /// Offset of its first byte in the content.
    pub start: u64,
    /// Its hash.
    pub hash: ChunkHash,
    /// Its size in bytes.
    pub size: u32,
}

/// A content and its chunks.
#[derive(Clone, Debug)]
pub struct ContentRow {
    /// SHA-256 over its chunk list.
    pub id: ContentId,
    /// Logical size in bytes.
    pub size: u64,
    /// SHA-256 of the whole.
    pub checksum: Sha256Hash,
    /// Its chunks in order; shared, because a mutation may run several times.
    pub chunks: std::sync::Arc<[ManifestEntry]>,
    /// How it was cut.
    pub chunking: String,
}

/// A chunk's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRow {
    /// Its hash.
    pub hash: ChunkHash,
    /// Its size in bytes.
    pub size: u32,
    /// Where it stands.
    pub state: ChunkState,
    /// When it was last needed, by the database's clock; only ever raised.
    pub used_at: Timestamp,
    /// When the last attempt to remove the object began, for a chunk in `deleting`.
    pub delete_began_at: Option<Timestamp>,
}

/// What a tenant's chunks come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ChunkStats {
    /// Chunks in every state.
    pub chunks: i64,
    /// Their bytes, stored once each.
    pub bytes: i64,
    /// Contents.
    pub contents: i64,
    /// Their logical bytes, each content once.
    pub content_bytes: i64,
}

/// Reads contents.
#[async_trait]
pub trait ContentReads: Send {
    /// Returns size, checksum and chunking of a content, without its chunks.
    async fn content(&mut self, tenant: TenantId, id: ContentId) -> Result<Option<ContentRow>>;
    /// Returns the chunks that hold bytes from `from` on and start before `to`, in order, at most `limit`.
    async fn manifest(
        &mut self,
        tenant: TenantId,
        id: ContentId,
        from: u64,
        to: u64,
        limit: u32,
    ) -> Result<Vec<ManifestEntry>>;
    /// Returns contents without a version that were last needed before `cutoff`, after `after`, by id.
    async fn unused_contents(
        &mut self,
        tenant: TenantId,
        cutoff: Timestamp,
        after: Option<ContentId>,
        limit: u32,
    ) -> Result<Vec<ContentId>>;
    /// Returns contents that lack a chunk row, or name one that is not live, after `after`, by id.
    async fn dangling_contents(
        &mut self,
        tenant: TenantId,
        limit: u32,
    ) -> Result<Vec<(ContentId, ChunkHash)>>;
}

/// Writes contents.
#[async_trait]
pub trait ContentWrites: Send {
    /// Raises a content's `used_at`; tells whether the content is there, and then it stays until this commits.
    async fn touch_content(&mut self, tenant: TenantId, id: ContentId, now: Timestamp) -> Result<bool>;
    /// Raises many contents' `used_at`; returns those that are there.
    async fn touch_contents(
        &mut self,
        tenant: TenantId,
        ids: &[ContentId],
        now: Timestamp,
    ) -> Result<Vec<ContentId>>;
    /// Inserts contents with their chunk lists; `AlreadyExists`, and nothing inserted, if one is there by now.
    async fn insert_contents(
        &mut self,
        tenant: TenantId,
        contents: &[ContentRow],
        now: Timestamp,
    ) -> Result<()>;
    /// Removes a content and its chunk list if it was not needed since `cutoff` and has no version now; its
    /// chunks are touched with `now`.
    async fn remove_content(
        &mut self,
        tenant: TenantId,
        id: ContentId,
        cutoff: Timestamp,
        now: Timestamp,
    ) -> Result<bool>;
}

/// Reads chunks.
#[async_trait]
pub trait ChunkReads: Send {
    /// Returns the rows of these chunks that exist.
    async fn chunks(&mut self, tenant: TenantId, hashes: &[ChunkHash]) -> Result<Vec<ChunkRow>>;
    /// Returns a page of all chunks by hash, after `after`.
    async fn chunk_page(
        &mut self,
        tenant: TenantId,
        after: Option<ChunkHash>,
        limit: u32,
    ) -> Result<Vec<ChunkRow>>;
    /// Returns chunks without references that were last needed before `cutoff`, after `after`, by hash.
    async fn unused_chunks(
        &mut self,
        tenant: TenantId,
        cutoff: Timestamp,
        after: Option<ChunkHash>,
        limit: u32,
    ) -> Result<Vec<ChunkRow>>;
    /// Returns chunks that are being removed, after `after`, by hash.
    async fn deleting_chunks(
        &mut self,
        tenant: TenantId,
        after: Option<ChunkHash>,
        limit: u32,
    ) -> Result<Vec<ChunkRow>>;
    /// Sums up a tenant's chunks and contents.
    async fn chunk_stats(&mut self, tenant: TenantId) -> Result<ChunkStats>;
}

/// Writes chunks.
#[async_trait]
pub trait ChunkWrites: Send {
    /// Raises `used_at` of those of these chunks that are `writing` or `live`, and returns the rows of all that
    /// exist, `deleting` ones included, as they are now.
    async fn touch_chunks(
        &mut self,
        tenant: TenantId,
        hashes: &[ChunkHash],
        now: Timestamp,
    ) -> Result<Vec<ChunkRow>>;
    /// Inserts chunks as `writing`; one that another writer inserted meanwhile stays as it is.
    async fn insert_writing(
        &mut self,
        tenant: TenantId,
        chunks: &[(ChunkHash, u32)],
        now: Timestamp,
    ) -> Result<()>;
    /// Turns `writing` into `live` after the object was put; returns how many are `live` now.
    async fn mark_live(&mut self, tenant: TenantId, hashes: &[ChunkHash]) -> Result<u64>;
    /// Turns one unused chunk into `deleting` if it was not needed since `cutoff`, unless something refers to it
    /// now (a current read, after the row is ours).
    async fn mark_deleting(
        &mut self,
        tenant: TenantId,
        hash: ChunkHash,
        cutoff: Timestamp,
        now: Timestamp,
    ) -> Result<bool>;
    /// Records that another attempt to remove a `deleting` chunk's object begins; tells whether it is ours to make,
    /// which it is not while another attempt is younger than `not_since`.
    async fn renew_deleting(
        &mut self,
        tenant: TenantId,
        hash: ChunkHash,
        not_since: Timestamp,
        now: Timestamp,
    ) -> Result<bool>;
    /// Removes the row of a `deleting` chunk whose last attempt began before `began_before`.
    async fn remove_deleted(
        &mut self,
        tenant: TenantId,
        hash: ChunkHash,
        began_before: Timestamp,
    ) -> Result<bool>;
}
