//! Cuts contents as the server does, so that both know a chunk by the same hash.

use std::io::{self, Read};

use bytes::Bytes;
use fastcdc::v2020::{Normalization, StreamCDC};
use serde::{Deserialize, Serialize};

use crate::model::Sha256Hash;

/// How contents are cut: what `GET /config` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunking {
    /// The algorithm's name.
    pub algorithm: String,
    /// Smallest chunk in bytes, except the last of a content.
    pub min: u32,
    /// Size aimed at.
    pub avg: u32,
    /// Largest chunk.
    pub max: u32,
    /// How strongly sizes are pulled towards the average.
    pub normalization: u8,
}

/// A chunk of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRef {
    /// The SHA-256 of its bytes.
    pub sha256: Sha256Hash,
    /// Its size in bytes.
    pub size: u32,
}

/// A chunk with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The SHA-256 of the bytes.
    pub hash: Sha256Hash,
    /// The bytes.
    pub bytes: Bytes,
}

impl Chunk {
    /// Returns the chunk of these bytes.
    pub fn of(bytes: Bytes) -> Self {
        Self { hash: Sha256Hash::of(&bytes), bytes }
    }

    /// Returns what names the chunk in a content.
    pub fn to_ref(&self) -> ChunkRef {
        ChunkRef { sha256: self.hash, size: self.bytes.len() as u32 }
    }
}

impl Chunking {
    /// Tells whether this client can cut like that. If not it still may: chunks of any bounds are good chunks, only
    /// fewer of them are known to the server.
    fn is_understood(&self) -> bool {
        let bounds = [(64, 1 << 20), (256, 4 << 20), (1024, 16 << 20)];
        let sizes = [self.min, self.avg, self.max];
        let fit =
            sizes.iter().zip(bounds).all(|(size, (low, high))| (low..=high).contains(size) && size % 2 == 0);
        self.algorithm == "fastcdc-v2020" && fit && self.min <= self.avg && self.avg <= self.max
    }

    /// Cuts a content into chunks.
    pub fn cut<R: Read>(&self, content: R) -> impl Iterator<Item = io::Result<Chunk>> {
        let level = match self.normalization {
            0 => Normalization::Level0,
            1 => Normalization::Level1,
            2 => Normalization::Level2,
            _ => Normalization::Level3,
        };
        let sizes = if self.is_understood() {
            [self.min, self.avg, self.max]
        } else {
            [128 << 10, 256 << 10, 1 << 20]
        };
        let [min, avg, max] = sizes.map(|size| size as usize);
        StreamCDC::with_level(content, min, avg, max, level)
            .map(|piece| piece.map(|piece| Chunk::of(piece.data.into())).map_err(io::Error::from))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use scaidrive_core::model::ChunkingParams;

    use super::*;

    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(seed);
        std::iter::repeat_with(|| random.u8(..)).take(length).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn client_and_server_cut_at_the_same_places(seed: u64, length in 0..3_000_000usize, repeats in 1..3usize) {
            let content = noise(seed, length).repeat(repeats);
            let params = ChunkingParams::default();
            let json = serde_json::to_string(&params).unwrap();
            let chunking: Chunking = serde_json::from_str(&json).unwrap();
            let here: Vec<_> = chunking.cut(&content[..]).map(|chunk| chunk.unwrap().to_ref()).collect();
            let (there, _) = scaidrive_core::chunking::cut_bytes(content.clone().into(), &params);
            let there: Vec<_> = there.iter().map(|chunk| (chunk.hash.to_string(), chunk.bytes.len())).collect();
            let here: Vec<_> = here.iter().map(|chunk| (chunk.sha256.to_string(), chunk.size as usize)).collect();
            prop_assert_eq!(here, there);
        }
    }
}
