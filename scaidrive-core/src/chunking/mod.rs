//! Content becomes chunks here: where it is cut, what its pieces and the whole hash to, and how a stream of
//! any size goes through that in bounded memory. Where chunks are kept is not this module's business.

mod cutter;
mod pipeline;
mod prefix;
mod reader;

use bytes::Bytes;
use sha2::{Digest, Sha256};

pub use self::prefix::{CutPrefix, PrefixHash, cut_prefix};
pub use self::reader::ChunkReader;
use crate::model::{Chunk, ChunkHash, ChunkingParams, ContentId, Sha256Hash};
use cutter::Cutter;

/// What is known about a content once its last byte was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentDigest {
    /// Bytes in all.
    pub size: u64,
    /// SHA-256 over all of them, as a client computes it.
    pub checksum: Sha256Hash,
}

/// Cuts a content that is in memory as a whole; the chunks share its bytes.
///
/// Works on the caller's thread, about 1 ms per MiB: larger contents belong into a [`ChunkReader`]. An empty
/// content has no chunks.
///
/// # Panics
/// If `params` lie outside the limits of FastCDC.
pub fn cut_bytes(bytes: Bytes, params: &ChunkingParams) -> (Vec<Chunk>, ContentDigest) {
    cut_whole(bytes, &Cutter::new(params))
}

/// Does what `cut_bytes` does, with a cutter that exists.
fn cut_whole(bytes: Bytes, cutter: &Cutter) -> (Vec<Chunk>, ContentDigest) {
    let whole = bytes.clone();
    let (pieces, _) = cutter.cut(bytes, true);
    let chunks: Vec<Chunk> = pieces.into_iter().map(hashed).collect();
    let checksum = match chunks.as_slice() {
        [only] => only.hash,
        _ => Sha256Hash::of(&whole),
    };
    (chunks, ContentDigest { size: whole.len() as u64, checksum })
}

/// Returns the name of the content that consists of these chunks, each with its size, in this order.
///
/// It is the SHA-256 over each hash's 32 bytes followed by the size as 64 bits, little endian.
pub fn content_id(chunks: impl IntoIterator<Item = (ChunkHash, u64)>) -> ContentId {
    let mut hasher = Sha256::new();
    for (hash, size) in chunks {
        hasher.update(hash.as_bytes());
        hasher.update(size.to_le_bytes());
    }
    Sha256Hash::from_bytes(hasher.finalize().into())
}

/// Returns the piece as a chunk under its hash.
fn hashed(bytes: Bytes) -> Chunk {
    Chunk { hash: Sha256Hash::of(&bytes), bytes }
}

#[cfg(test)]
mod tests;
