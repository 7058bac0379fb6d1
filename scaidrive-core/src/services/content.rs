//! Bytes out: verified chunk by chunk, a few ahead of the reader.

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt, TryStreamExt};

use bytes::Bytes;

use super::access::{self, Right};
use super::journal;
use crate::Drive;
use crate::model::{
    AuditCategory, AuditEvent, ByteRange, Caller, ChunkHash, ContentId, Error, FileId, FileInfo,
    ResourceKind, Result, Sha256Hash, TenantId, Version,
};
use crate::ports::Key;
use crate::ports::metadata::ManifestEntry;

/// Chunks fetched ahead of the reader: enough to keep two cores verifying, few enough for small memory.
const AHEAD: usize = 4;

/// Chunk list entries read at once.
const MANIFEST_PAGE: u32 = 1000;

/// A content that may be read, and what the wire says of it.
#[derive(Clone, Debug)]
pub struct Readable {
    /// The file.
    pub info: FileInfo,
    /// Number of the version.
    pub version: u32,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the whole: the strong ETag.
    pub checksum: Sha256Hash,
    /// When that version was made.
    pub modified_at: crate::model::Timestamp,
    tenant: TenantId,
    content: ContentId,
}

/// Returns a file's current content, or that of an old version.
pub async fn open(drive: &Drive, caller: &Caller, id: FileId, version: Option<u32>) -> Result<Readable> {
    let mut rows = drive.read().await?;
    let found = access::file(&mut *rows, caller, id, Right::Read).await?;
    let info = found.file_info().ok_or(Error::NotFound)?;
    let facts = found.node().file.as_ref().ok_or(Error::NotFound)?;
    let (content, modified_at) = (facts.content, info.modified_at);
    let current = Readable {
        version: info.version,
        size: info.size,
        checksum: info.checksum_sha256,
        modified_at,
        tenant: caller.tenant,
        content,
        info,
    };
    let readable = match version {
        Some(number) if number != current.version => {
            let old = rows.version(caller.tenant, id, number).await?.ok_or(Error::NotFound)?;
            of_version(current, &old)
        }
        _ => current,
    };
    let event =
        AuditEvent::new(AuditCategory::FileAccess, "file.read", ResourceKind::File, id).at(found.path());
    journal::note(drive, caller, event.with(serde_json::json!({ "version": readable.version })));
    Ok(readable)
}

fn of_version(current: Readable, old: &Version) -> Readable {
    Readable {
        version: old.number,
        size: old.size,
        checksum: old.checksum,
        modified_at: old.created_at,
        content: old.content,
        ..current
    }
}

/// Streams the bytes of a range, or all of them.
///
/// A chunk whose hash does not match ends the stream with `Corrupt`: damaged bytes are never served as good.
pub fn stream(
    drive: &Drive,
    readable: &Readable,
    range: Option<ByteRange>,
) -> BoxStream<'static, Result<Bytes>> {
    let range = range.unwrap_or(ByteRange { start: 0, end: readable.size });
    if range.start >= range.end {
        return stream::empty().boxed();
    }
    let entries = manifest(drive.clone(), readable.tenant, readable.content, range);
    fetch_ahead(drive.clone(), readable.tenant, entries)
        .map_ok(move |(entry, bytes)| cut(&bytes, entry, range))
        .boxed()
}

/// Streams the bytes of chunks, verified.
pub(super) fn chunks(
    drive: &Drive,
    tenant: TenantId,
    entries: Vec<ManifestEntry>,
) -> impl Stream<Item = Result<Bytes>> + Send {
    let entries = stream::iter(entries.into_iter().map(Ok));
    fetch_ahead(drive.clone(), tenant, entries).map_ok(|(_, bytes)| bytes)
}

fn fetch_ahead(
    drive: Drive,
    tenant: TenantId,
    entries: impl Stream<Item = Result<ManifestEntry>> + Send,
) -> impl Stream<Item = Result<(ManifestEntry, Bytes)>> + Send {
    let fetched = move |entry: Result<ManifestEntry>| {
        let drive = drive.clone();
        async move {
            let entry = entry?;
            // On a task of its own, so that fetching and verifying several chunks uses both cores.
            let fetched = tokio::spawn(async move { fetch(&drive, tenant, entry).await }).await;
            let bytes = fetched.map_err(|error| Error::internal(format!("a read broke off: {error}")))??;
            Ok((entry, bytes))
        }
    };
    entries.map(fetched).buffered(AHEAD)
}

/// Streams the chunk list entries of a range, checked for holes.
fn manifest(
    drive: Drive,
    tenant: TenantId,
    content: ContentId,
    range: ByteRange,
) -> impl Stream<Item = Result<ManifestEntry>> + Send {
    stream::try_unfold(range.start, move |from| {
        let drive = drive.clone();
        async move {
            if from >= range.end {
                return Ok::<_, Error>(None);
            }
            let page = drive.read().await?.manifest(tenant, content, from, range.end, MANIFEST_PAGE).await?;
            let next = check_page(&page, content, from)?;
            Ok(Some((stream::iter(page.into_iter().map(Ok::<_, Error>)), next)))
        }
    })
    .try_flatten()
}

/// Fails unless a page starts at or before `from` and goes on without a hole; returns where it ends.
fn check_page(page: &[ManifestEntry], content: ContentId, from: u64) -> Result<u64> {
    let torn = || Error::Corrupt { what: format!("the chunk list of content {content} is torn at {from}") };
    let first = page.first().ok_or_else(torn)?;
    if first.start > from {
        return Err(torn());
    }
    page.iter().try_fold(first.start, |at, entry| {
        if entry.start == at { Ok(at + u64::from(entry.size)) } else { Err(torn()) }
    })
}

/// Returns a chunk's verified bytes.
async fn fetch(drive: &Drive, tenant: TenantId, entry: ManifestEntry) -> Result<Bytes> {
    if let Some(bytes) = drive.cache.get(tenant, entry.hash) {
        return Ok(bytes);
    }
    let bytes = verified(drive, tenant, entry.hash).await?;
    if bytes.len() != entry.size as usize {
        return Err(damaged(entry.hash, "has another size than its content says"));
    }
    drive.cache.put(tenant, entry.hash, &bytes);
    Ok(bytes)
}

/// Returns a chunk's bytes from the store, or what is wrong with them.
pub async fn verified(drive: &Drive, tenant: TenantId, hash: ChunkHash) -> Result<Bytes> {
    let key = Key::chunk(tenant, hash);
    let bytes = drive.blobs.get(&key).await?.ok_or_else(|| damaged(hash, "is missing"))?;
    if Sha256Hash::of(&bytes) == hash { Ok(bytes) } else { Err(damaged(hash, "does not match its hash")) }
}

fn damaged(hash: ChunkHash, how: &str) -> Error {
    tracing::error!(chunk = %hash, how, "a stored chunk is damaged");
    Error::Corrupt { what: format!("chunk {hash} {how}") }
}

/// Returns the part of a chunk that lies in the range.
fn cut(bytes: &Bytes, entry: ManifestEntry, range: ByteRange) -> Bytes {
    let from = range.start.saturating_sub(entry.start) as usize;
    let to = (range.end - entry.start).min(u64::from(entry.size)) as usize;
    bytes.slice(from..to)
}

/// Returns a range's bytes at once: for small contents and tests.
pub async fn read(drive: &Drive, readable: &Readable, range: Option<ByteRange>) -> Result<Vec<u8>> {
    let fold = |mut all: Vec<u8>, bytes: Bytes| async move {
        all.extend_from_slice(&bytes);
        Ok(all)
    };
    stream(drive, readable, range).try_fold(Vec::new(), fold).await
}
