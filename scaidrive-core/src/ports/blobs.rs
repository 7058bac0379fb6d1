//! The object store: immutable bytes under keys.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::model::{ChunkHash, Result, TenantId, UploadId};

/// Where an object lies; the layout is part of the contract (files.md), and holds no user, share, file or time.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// Returns the key of a tenant's chunk: `chunks/{tenant}/{h[0:2]}/{h[2:4]}/{h}`.
    pub fn chunk(tenant: TenantId, hash: ChunkHash) -> Self {
        let hex = hash.to_string();
        Self(format!("chunks/{tenant}/{}/{}/{hex}", &hex[0..2], &hex[2..4]))
    }

    /// Returns the prefix under which all chunks of a tenant lie.
    pub fn chunks_of(tenant: TenantId) -> Self {
        Self(format!("chunks/{tenant}"))
    }

    /// Returns the key of a part of an upload: `uploads/{session}/chunks/{index}`.
    pub fn part(upload: UploadId, index: u32) -> Self {
        Self(format!("uploads/{upload}/chunks/{index}"))
    }

    /// Returns the prefix under which all parts of an upload lie.
    pub fn parts_of(upload: UploadId) -> Self {
        Self(format!("uploads/{upload}"))
    }

    /// Returns the prefix under which the parts of all uploads lie.
    pub fn all_parts() -> Self {
        Self("uploads".to_owned())
    }

    /// Returns the key with this text, as a listing found it.
    pub fn from_listing(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the chunk that this key names, if it names one.
    pub fn as_chunk(&self) -> Option<(TenantId, ChunkHash)> {
        let mut parts = self.0.split('/');
        let (Some("chunks"), Some(tenant), Some(_), Some(_), Some(hash), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        Some((tenant.parse().ok()?, hash.parse().ok()?))
    }

    /// Returns the upload to which the part belongs that this key names, if it names one.
    pub fn as_part(&self) -> Option<UploadId> {
        let mut parts = self.0.split('/');
        let (Some("uploads"), Some(upload), Some("chunks"), Some(index), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        index.parse::<u32>().ok()?;
        upload.parse().ok()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a listing or a head request tells about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobMeta {
    /// Where it lies.
    pub key: Key,
    /// Its size in bytes.
    pub size: u64,
}

/// A store of immutable objects.
///
/// Contract (`testing::blobs` holds every adapter to it): when a put answers `Ok`, all its objects survive a
/// power cut; on an error nothing is known about any of them. A put replaces what lies under its key. A listing
/// ends in an error rather than early.
#[async_trait]
pub trait BlobStore: Send + Sync + fmt::Debug {
    /// Makes all these objects durable; many small ones may share their syncs.
    async fn put_all(&self, objects: Vec<(Key, Bytes)>) -> Result<()>;

    /// Returns an object's bytes, or nothing if there is none.
    async fn get(&self, key: &Key) -> Result<Option<Bytes>>;

    /// Returns what is known about an object without its bytes.
    async fn head(&self, key: &Key) -> Result<Option<BlobMeta>>;

    /// Removes an object; one that is not there is no error.
    ///
    /// Runs without client retries and ends within 20 s: a delete that arrived later could hit a fresh put of
    /// the same key (design §5, late requests).
    async fn delete(&self, key: &Key) -> Result<()>;

    /// Streams everything under a prefix, in no order.
    fn list(&self, prefix: &Key) -> BoxStream<'_, Result<BlobMeta>>;

    /// Fails unless the store can be reached.
    async fn ping(&self) -> Result<()>;
}
