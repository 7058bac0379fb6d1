//! Chunks of content: their hashes, their states and how content is cut into them.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::text_enum;

/// A SHA-256 digest, written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256Hash([u8; 32]);

/// The SHA-256 of a chunk's bytes: its name inside a tenant.
pub type ChunkHash = Sha256Hash;

/// The SHA-256 over the ordered (chunk hash, size) pairs of a content: its name inside a tenant.
///
/// It is computed by us from verified chunks, so no client's claim can name somebody else's content.
pub type ContentId = Sha256Hash;

impl Sha256Hash {
    /// Returns the digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Returns the digest with these 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Sha256Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Says that a text is not 64 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidHash;

impl fmt::Display for InvalidHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a SHA-256 in hex")
    }
}

impl std::error::Error for InvalidHash {}

impl FromStr for Sha256Hash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(InvalidHash);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let nibble = |digit: u8| char::from(digit).to_digit(16).ok_or(InvalidHash);
            *byte = (nibble(pair[0])? << 4 | nibble(pair[1])?) as u8;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Sha256Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A piece of content with its hash; the bytes are shared, not copied.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// SHA-256 of `bytes`.
    pub hash: ChunkHash,
    /// The bytes themselves.
    pub bytes: Bytes,
}

text_enum! {
    /// Where a chunk stands between its first mention and its end.
    pub enum ChunkState {
        /// A row exists, the object may not: never to be trusted without putting it.
        Writing = "writing",
        /// The object was put and acknowledged as durable.
        Live = "live",
        /// The collector is removing the object; nobody may refer to the chunk until the row is gone.
        Deleting = "deleting",
    }
}

/// How content is cut: FastCDC v2020 with these sizes in bytes. Published, so that clients cut alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ChunkingParams {
    /// The algorithm's name on the wire.
    pub algorithm: &'static str,
    /// Smallest chunk, except the last of a content.
    pub min: u32,
    /// Size aimed at.
    pub avg: u32,
    /// Largest chunk.
    pub max: u32,
    /// How strongly sizes are pulled towards the average (FastCDC's normalisation level).
    pub normalization: u8,
}

impl Default for ChunkingParams {
    /// Returns the product's parameters (design §11: 4 MiB chunks save nothing, 256 KiB a third).
    fn default() -> Self {
        Self { algorithm: "fastcdc-v2020", min: 128 << 10, avg: 256 << 10, max: 1 << 20, normalization: 2 }
    }
}

/// What is recorded of a content that a client cut, in places that only the client knows the reason of.
pub const CUT_BY_CLIENT: &str = "client";

impl fmt::Display for ChunkingParams {
    /// Writes the form recorded with every content, so that old manifests stay readable after a change.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}:{}:{}", self.algorithm, self.min, self.avg, self.max, self.normalization)
    }
}

/// How a stored content was cut, as its row records it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecordedChunking {
    /// The algorithm's name on the wire; `client` where only the client knows.
    pub algorithm: String,
    /// Its parameters, where it has any.
    #[serde(flatten)]
    pub params: Option<RecordedParams>,
}

/// Parameters of FastCDC as they were when a content was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RecordedParams {
    /// Smallest chunk, except the last.
    pub min: u32,
    /// Size aimed at.
    pub avg: u32,
    /// Largest chunk.
    pub max: u32,
    /// FastCDC's normalisation level.
    pub normalization: u8,
}

impl RecordedChunking {
    /// Reads what was recorded; what cannot be read is an algorithm that we do not know, without parameters.
    pub fn parse(recorded: &str) -> Self {
        let (algorithm, rest) = recorded.split_once(':').unwrap_or((recorded, ""));
        let parts: Vec<&str> = rest.split(':').collect();
        let params = match parts.as_slice() {
            [min, avg, max, normalization] => (|| {
                let [min, avg, max] = [min.parse().ok()?, avg.parse().ok()?, max.parse().ok()?];
                Some(RecordedParams { min, avg, max, normalization: normalization.parse().ok()? })
            })(),
            _ => None,
        };
        Self { algorithm: algorithm.to_owned(), params }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_reads_back_what_it_writes() {
        let hash = Sha256Hash::of(b"abc");
        assert_eq!(hash.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_eq!("zz".repeat(32).parse::<Sha256Hash>(), Err(InvalidHash));
        assert_eq!("é".repeat(32).parse::<Sha256Hash>(), Err(InvalidHash));
    }

    #[test]
    fn what_is_recorded_of_a_cut_is_read_again() {
        let params = ChunkingParams::default();
        let read = RecordedChunking::parse(&params.to_string());
        let told = serde_json::json!(read);
        assert_eq!(told, serde_json::json!(params), "published and recorded alike");
        let client = serde_json::json!(RecordedChunking::parse(CUT_BY_CLIENT));
        assert_eq!(client, serde_json::json!({ "algorithm": "client" }));
    }
}
