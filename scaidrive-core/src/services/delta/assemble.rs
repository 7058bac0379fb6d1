//! Contents put together from chunks that are stored already.

use std::collections::{BTreeSet, HashMap, HashSet};

use async_trait::async_trait;
use futures_util::TryStreamExt;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::known::known;
use crate::Drive;
use crate::chunking;
use crate::model::{
    CUT_BY_CLIENT, Caller, ChunkHash, ChunkState, ContentId, Error, Result, Sha256Hash, ShareId, TenantId,
    Timestamp,
};
use crate::ports::metadata::{ContentRow, ManifestEntry};
use crate::ports::{Outcome, Writes};
use crate::services::ingest::StoredContent;
use crate::services::transaction::{Transaction, transact};
use crate::services::{content, files};

/// The most chunks of one content: the whole of a large file in chunks of 64 KiB is less.
const MOST_CHUNKS: usize = 1 << 17;

/// Chunks touched in one transaction: more would hold everybody else up.
const TOUCHED_AT_ONCE: usize = 2000;

/// One content that a client names by its chunks, and its claims about it.
#[derive(Clone, Debug, Default)]
pub struct Claim {
    /// Its chunks in order, each with its size.
    pub chunks: Vec<(ChunkHash, u32)>,
    /// What the client says its size is.
    pub size: Option<u64>,
    /// What the client says its checksum is.
    pub checksum: Option<Sha256Hash>,
}

/// Makes stored contents of claims, in their order; each has its own outcome.
///
/// What a client says of a content is compared and never believed: its chunks must be present for the caller, as
/// [`known`] tells, with the sizes they have; its checksum is the one of bytes that we have read. A content may be cut
/// in other places than we would cut it.
pub async fn assemble(
    drive: &Drive,
    caller: &Caller,
    share: ShareId,
    claims: Vec<Claim>,
) -> Result<Vec<Result<StoredContent>>> {
    let (most, limit) = (drive.chunking.max, files::size_limit(drive, caller).await?);
    let mut drafts: Vec<Result<Draft>> =
        claims.into_iter().map(|claim| Draft::of(claim, most, limit)).collect();
    let known = known(drive, caller, share, &hashes(&drafts)).await?;
    check_all(&mut drafts, |entry| known.get(&entry.hash) == Some(&entry.size));
    let touched = touch(drive, caller.tenant, &hashes(&drafts)).await?;
    // Collected since it was known, which a sender's day and a reader's file do not let happen.
    check_all(&mut drafts, |entry| touched.live.contains(&entry.hash));
    let mut checksums = Checksums::of(drive, caller.tenant, &drafts).await?;
    let mut contents = Vec::with_capacity(drafts.len());
    for draft in drafts {
        contents.push(match draft {
            Ok(draft) => checksums.finish(draft, touched.at).await,
            Err(error) => Err(error),
        });
    }
    Ok(contents)
}

/// A content as its claim describes it, in a form that can be.
struct Draft {
    id: ContentId,
    size: u64,
    entries: Vec<ManifestEntry>,
    claimed: Option<Sha256Hash>,
}

impl Draft {
    fn of(claim: Claim, most: u32, limit: u64) -> Result<Self> {
        if claim.chunks.len() > MOST_CHUNKS {
            let message = format!("a content has at most {MOST_CHUNKS} chunks");
            return Err(Error::invalid("chunks", message, claim.chunks.len()));
        }
        let (mut size, mut entries) = (0, Vec::with_capacity(claim.chunks.len()));
        for (hash, length) in claim.chunks {
            if !(1..=most).contains(&length) {
                return Err(Error::invalid("chunks", format!("a chunk has 1 to {most} bytes"), length));
            }
            entries.push(ManifestEntry { start: size, hash, size: length });
            size += u64::from(length);
        }
        if size > limit {
            return Err(Error::TooLarge { limit });
        }
        if let Some(claimed) = claim.size.filter(|claimed| *claimed != size) {
            return Err(Error::invalid("size", format!("the chunks are {size} bytes together"), claimed));
        }
        let id = chunking::content_id(entries.iter().map(|entry| (entry.hash, u64::from(entry.size))));
        Ok(Self { id, size, entries, claimed: claim.checksum })
    }

    /// Returns the checksum, if it can be told without reading.
    fn plain_checksum(&self) -> Option<Sha256Hash> {
        match self.entries.as_slice() {
            [] => Some(Sha256Hash::of(&[])),
            [only] => Some(only.hash),
            _ => None,
        }
    }
}

/// Returns the chunks of all drafts, each once, in key order.
fn hashes(drafts: &[Result<Draft>]) -> Vec<ChunkHash> {
    let entries = drafts.iter().flatten().flat_map(|draft| &draft.entries);
    entries.map(|entry| entry.hash).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Turns drafts with chunks that are not good into the refusal that names them.
fn check_all(drafts: &mut [Result<Draft>], is_good: impl Fn(&ManifestEntry) -> bool) {
    for outcome in drafts {
        let Ok(draft) = outcome else { continue };
        let missing: BTreeSet<ChunkHash> =
            draft.entries.iter().filter(|entry| !is_good(entry)).map(|entry| entry.hash).collect();
        if !missing.is_empty() {
            let missing = missing.into_iter().map(|hash| json!(hash)).collect();
            *outcome = Err(Error::ChunksMissing { missing });
        }
    }
}

/// When chunks were touched, and which of them are there.
struct Touched {
    at: Timestamp,
    live: HashSet<ChunkHash>,
}

async fn touch(drive: &Drive, tenant: TenantId, hashes: &[ChunkHash]) -> Result<Touched> {
    let mut all = Touched { at: drive.meta.now().await?, live: HashSet::new() };
    for part in hashes.chunks(TOUCHED_AT_ONCE) {
        all.live.extend(transact(drive, TouchFound { tenant, hashes: part.to_vec() }).await?);
    }
    Ok(all)
}

/// Touches chunks that are there, and no others.
struct TouchFound {
    tenant: TenantId,
    hashes: Vec<ChunkHash>,
}

#[async_trait]
impl Transaction for TouchFound {
    type Answer = Vec<ChunkHash>;

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, Vec<ChunkHash>)> {
        let now = rows.now().await?;
        let found = rows.touch_chunks(self.tenant, &self.hashes, now).await?;
        let live = found.iter().filter(|row| row.state == ChunkState::Live).map(|row| row.hash).collect();
        Ok((Outcome::Commit, live))
    }

    fn may_be_lost(&self) -> bool {
        true
    }
}

/// Checksums by content: those that are stored, and those of what was read here.
struct Checksums<'d> {
    drive: &'d Drive,
    tenant: TenantId,
    known: HashMap<ContentId, Sha256Hash>,
}

impl<'d> Checksums<'d> {
    /// Looks up all that are stored.
    async fn of(drive: &'d Drive, tenant: TenantId, drafts: &[Result<Draft>]) -> Result<Self> {
        let open = drafts.iter().flatten().filter(|draft| draft.plain_checksum().is_none());
        let ids: BTreeSet<ContentId> = open.map(|draft| draft.id).collect();
        let ids: Vec<ContentId> = ids.into_iter().collect();
        let stored =
            if ids.is_empty() { Vec::new() } else { drive.read().await?.contents(tenant, &ids).await? };
        let known = stored.into_iter().map(|row| (row.id, row.checksum)).collect();
        Ok(Self { drive, tenant, known })
    }

    async fn finish(&mut self, draft: Draft, touched_at: Timestamp) -> Result<StoredContent> {
        let checksum = match draft.plain_checksum().or_else(|| self.known.get(&draft.id).copied()) {
            Some(checksum) => checksum,
            None => {
                let checksum = digest(self.drive, self.tenant, draft.entries.clone()).await?;
                self.known.insert(draft.id, checksum);
                checksum
            }
        };
        if draft.claimed.is_some_and(|claimed| claimed != checksum) {
            let what = format!("the chunks together have the checksum {checksum}");
            return Err(Error::ChecksumMismatch { what });
        }
        let row = ContentRow {
            id: draft.id,
            size: draft.size,
            checksum,
            chunks: draft.entries.into(),
            chunking: CUT_BY_CLIENT.to_owned(),
        };
        Ok(StoredContent { row, touched_at })
    }
}

/// Reads chunks, verified, and returns the checksum of all of them together.
async fn digest(drive: &Drive, tenant: TenantId, entries: Vec<ManifestEntry>) -> Result<Sha256Hash> {
    let add = |mut hasher: Sha256, bytes: bytes::Bytes| async move {
        let job = tokio::task::spawn_blocking(move || {
            hasher.update(&bytes);
            hasher
        });
        job.await.map_err(|error| Error::internal(format!("hashing broke off: {error}")))
    };
    let hasher = content::chunks(drive, tenant, entries).try_fold(Sha256::new(), add).await?;
    Ok(Sha256Hash::from_bytes(hasher.finalize().into()))
}
