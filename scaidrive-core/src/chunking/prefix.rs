//! A content cut piece by piece, with long breaks: by whoever goes on, from what was written down.

use std::io;

use bytes::Bytes;
use sha2::digest::common::hazmat::SerializableState;
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use super::cutter::Cutter;
use super::hashed;
use crate::model::{Chunk, ChunkingParams, Sha256Hash};

/// The SHA-256 of a content's beginning, which can be written down and gone on with.
///
/// What is written down is good for every 0.11 of the `sha2` crate; a test pins it.
#[derive(Clone, Debug, Default)]
pub struct PrefixHash(Sha256);

impl PrefixHash {
    /// Returns the state that was written down; nothing if these bytes are none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let state = bytes.try_into().ok()?;
        Sha256::deserialize(&state).ok().map(Self)
    }

    /// Returns the state to be written down: a little more than 100 bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.serialize().to_vec()
    }

    /// Returns the hash if nothing follows.
    pub fn finish(self) -> Sha256Hash {
        Sha256Hash::from_bytes(self.0.finalize().into())
    }
}

/// What could be cut off the bytes at hand.
#[derive(Debug)]
pub struct CutPrefix {
    /// The chunks, in order.
    pub chunks: Vec<Chunk>,
    /// The hash of the content up to their end.
    pub hash: PrefixHash,
    /// What is left: its end depends on bytes to come.
    pub rest: Bytes,
}

/// Cuts all chunks off bytes that begin at a chunk's boundary, and hashes them into `hash`, on two cores.
///
/// FastCDC starts anew at every boundary, so the chunks are those of the whole content, wherever the breaks are.
///
/// # Errors
/// That a job panicked.
///
/// # Panics
/// If `params` lie outside the limits of FastCDC.
pub async fn cut_prefix(
    bytes: Bytes,
    is_last: bool,
    params: ChunkingParams,
    mut hash: PrefixHash,
) -> io::Result<CutPrefix> {
    let cutter = Cutter::new(&params);
    let (pieces, rest) = spawn_blocking(move || cutter.cut(bytes, is_last)).await?;
    let whole = pieces.clone();
    let summing = spawn_blocking(move || {
        for piece in whole {
            hash.0.update(&piece);
        }
        hash
    });
    let chunks = spawn_blocking(move || pieces.into_iter().map(hashed).collect()).await?;
    Ok(CutPrefix { chunks, hash: summing.await?, rest })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::cut_bytes;
    use super::*;

    const TINY: ChunkingParams =
        ChunkingParams { algorithm: "fastcdc-v2020", min: 64, avg: 256, max: 1024, normalization: 2 };

    #[test]
    fn the_state_written_down_is_the_one_agreed() {
        let hash = PrefixHash(Sha256::new_with_prefix(b"abc"));
        let text: String = hash.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let agreed = "67e6096a85ae67bb72f36e3c3af54fa57f520e518c68059babd9831f19cde05b0000000000000000"
            .to_owned()
            + "03616263"
            + &"00".repeat(60);
        assert_eq!(text, agreed);
        assert_eq!(PrefixHash::from_bytes(&hash.to_bytes()).unwrap().finish(), Sha256Hash::of(b"abc"));
        assert!(PrefixHash::from_bytes(b"").is_none() && PrefixHash::from_bytes(&[0xFF; 104]).is_none());
    }

    proptest! {
        #[test]
        fn breaks_change_neither_chunks_nor_checksum(
            content in prop::collection::vec(any::<u8>(), 0..20_000),
            steps in prop::collection::vec(1..3000_usize, 1..8),
        ) {
            let content = Bytes::from(content);
            let (wanted, digest) = cut_bytes(content.clone(), &TINY);
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
            let (mut at, mut state, mut chunks) = (0, PrefixHash::default().to_bytes(), Vec::new());
            let mut seen = 0;
            for step in steps.into_iter().cycle() {
                seen = (seen + step).min(content.len());
                let hash = PrefixHash::from_bytes(&state).unwrap();
                let is_last = seen == content.len();
                let cut = runtime.block_on(cut_prefix(content.slice(at..seen), is_last, TINY, hash)).unwrap();
                at = seen - cut.rest.len();
                state = cut.hash.to_bytes();
                chunks.extend(cut.chunks.into_iter().map(|chunk| chunk.hash));
                if is_last {
                    break;
                }
            }
            prop_assert_eq!(at, content.len());
            prop_assert_eq!(chunks, wanted.into_iter().map(|chunk| chunk.hash).collect::<Vec<_>>());
            prop_assert_eq!(PrefixHash::from_bytes(&state).unwrap().finish(), digest.checksum);
        }
    }
}
