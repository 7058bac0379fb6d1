//! The server, as a client needs it: a trait, so that tests and a simulation can bring a server of their own.
//!
//! The types say what the contract (sync.md) says, already understood: a row of the feed is an item that is there, an
//! item that is gone, or the advice to look at everything again.

mod batch;
mod feed;
mod frames;
mod retrying;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::chunker::{Chunk, ChunkRef, Chunking};
use crate::error::Result;
use crate::model::{DeviceId, ItemId, Sha256Hash, ShareId, VersionId};
use crate::trees::RemoteItem;

pub use batch::{Answer, Batch, ChangeType, ConflictNotice, IncomingChange, Outcome, Strategy};
pub use feed::{Row, SnapshotLine};
pub use frames::{decode_frames, encode_frames};
pub use retrying::{Patience, Retrying};

/// A device, as it makes itself known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Its id, which it chose.
    pub device_id: DeviceId,
    /// Its name for people.
    pub device_name: String,
    /// Its operating system.
    pub platform: String,
    /// This program's version.
    pub client_version: String,
}

/// What happened on the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An item is there, with this state.
    Put(RemoteItem),
    /// A folder that was somewhere else is here, with what it held: if it is not known, nor is that.
    Arrived(RemoteItem),
    /// An item is gone, or out of sight, and so is what it held.
    Gone(ItemId),
    /// More or less may be visible than before, or more appeared than rows tell of: look at everything again.
    LookAgain,
    /// The share is gone.
    ShareGone,
}

/// A page of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// What happened, in order.
    pub changes: Vec<Change>,
    /// Where to go on.
    pub cursor: i64,
    /// Whether more is there already.
    pub has_more: bool,
}

/// Everything in a share that the caller may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Following the feed from here makes it exact.
    pub cursor: i64,
    /// The items, in any order.
    pub items: Vec<RemoteItem>,
}

/// The chunks of a version.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Manifest {
    /// The version's number, by which its bytes can be asked for.
    pub version: u64,
    /// The version.
    pub version_id: VersionId,
    /// Its size in bytes.
    pub size: u64,
    /// The SHA-256 of its content.
    pub checksum_sha256: Sha256Hash,
    /// Its chunks in order.
    pub chunks: Vec<ChunkRef>,
}

/// A share that the caller can see.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Share {
    /// Its id.
    pub id: ShareId,
    /// Its name.
    pub name: String,
}

/// The server.
#[async_trait]
pub trait Remote: Send + Sync + fmt::Debug {
    /// Returns how the server cuts contents.
    async fn chunking(&self) -> Result<Chunking>;

    /// Returns the shares that the caller can see.
    async fn shares(&self) -> Result<Vec<Share>>;

    /// Makes a device known.
    async fn register(&self, device: &Device) -> Result<()>;

    /// Returns everything in a share that the caller may see.
    async fn snapshot(&self, share: &ShareId) -> Result<Snapshot>;

    /// Returns what happened after a position; waits so long for something to happen.
    async fn changes(&self, share: &ShareId, cursor: i64, wait: Duration) -> Result<Changes>;

    /// Tells the server up to where a device has followed the feed: it is what others see of the device.
    async fn acknowledge(&self, share: &ShareId, device: &DeviceId, cursor: i64) -> Result<()>;

    /// Returns which of these chunks, at most ten thousand, must be sent.
    async fn missing(&self, share: &ShareId, hashes: &[Sha256Hash]) -> Result<Vec<Sha256Hash>>;

    /// Sends chunks, at most 64 MiB.
    async fn put_chunks(&self, share: &ShareId, chunks: &[Chunk]) -> Result<()>;

    /// Returns the chunks of the current version of a file.
    async fn manifest(&self, file: &ItemId) -> Result<Manifest>;

    /// Returns bytes of a version of a file.
    async fn read(&self, file: &ItemId, version: u64, offset: u64, length: u64) -> Result<Bytes>;

    /// Returns the current contents of files, at most a thousand, by their hashes; what cannot be read is left out.
    async fn fetch(&self, files: &[ItemId]) -> Result<Vec<Chunk>>;

    /// Applies changes, in order.
    async fn apply(&self, batch: &Batch) -> Result<Answer>;
}
