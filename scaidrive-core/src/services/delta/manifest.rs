//! How a content is cut, so that a client can tell which of its chunks it has.

use serde::Serialize;

use crate::Drive;
use crate::model::{Caller, ChunkHash, FileId, RecordedChunking, Result, Sha256Hash, VersionId};
use crate::services::content;

/// One chunk of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cut {
    /// Its hash.
    pub sha256: ChunkHash,
    /// Its size in bytes.
    pub size: u32,
}

/// A version of a file, chunk by chunk.
#[derive(Clone, Debug, Serialize)]
pub struct Manifest {
    /// The file.
    pub file_id: FileId,
    /// Number of the version.
    pub version: u32,
    /// The version.
    pub version_id: VersionId,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the whole.
    pub checksum_sha256: Sha256Hash,
    /// How it was cut.
    pub chunking: RecordedChunking,
    /// Its chunks in order.
    pub chunks: Vec<Cut>,
}

/// Returns how a file's current content, or that of an old version, is cut.
pub async fn manifest(drive: &Drive, caller: &Caller, id: FileId, version: Option<u32>) -> Result<Manifest> {
    let readable = content::open_for(drive, caller, id, version, "file.manifest").await?;
    let (chunking, entries) = content::cuts(drive, &readable).await?;
    Ok(Manifest {
        file_id: id,
        version: readable.version,
        version_id: readable.version_id,
        size: readable.size,
        checksum_sha256: readable.checksum,
        chunking: RecordedChunking::parse(&chunking),
        chunks: entries.iter().map(|entry| Cut { sha256: entry.hash, size: entry.size }).collect(),
    })
}
