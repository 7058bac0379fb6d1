//! Bytes out: verified chunk by chunk, a few ahead of the reader.

use std::collections::HashMap;

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt, TryStreamExt};

use bytes::Bytes;

use super::access::{self, Located, Right};
use super::journal;
use crate::Drive;
use crate::chunking;
use crate::model::{
    AuditCategory, AuditEvent, ByteRange, Caller, ChunkHash, ContentId, Error, FileId, FileInfo, NodeId,
    ResourceKind, Result, Sha256Hash, TenantId, Version, VersionId,
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
    /// The version.
    pub version_id: VersionId,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the whole: the strong ETag.
    pub checksum: Sha256Hash,
    /// When that version was made.
    pub modified_at: crate::model::Timestamp,
    tenant: TenantId,
    content: ContentId,
}

impl Readable {
    /// Returns the only chunk of a content that has no other: its rows need not be read then, for its checksum is the
    /// chunk's hash, and together with the size that makes its name.
    fn lone_chunk(&self) -> Option<ManifestEntry> {
        let size = u32::try_from(self.size).ok()?;
        let id = chunking::content_id([(self.checksum, self.size)]);
        (id == self.content).then_some(ManifestEntry { start: 0, hash: self.checksum, size })
    }
}

/// Returns a file's current content, or that of an old version.
pub async fn open(drive: &Drive, caller: &Caller, id: FileId, version: Option<u32>) -> Result<Readable> {
    open_for(drive, caller, id, version, "file.read").await
}

/// Returns a content for something else than its bytes, which is what the audit is told.
pub(super) async fn open_for(
    drive: &Drive,
    caller: &Caller,
    id: FileId,
    version: Option<u32>,
    action: &'static str,
) -> Result<Readable> {
    let mut rows = drive.read().await?;
    let found = access::file(&mut *rows, caller, id, Right::Read).await?;
    let current = current(&found).ok_or(Error::NotFound)?;
    let readable = match version {
        Some(number) if number != current.version => {
            let old = rows.version(caller.tenant, id, number).await?.ok_or(Error::NotFound)?;
            of_version(current, &old)
        }
        _ => current,
    };
    note(drive, caller, &readable, action, found.path());
    Ok(readable)
}

/// Returns the current contents of files, in the order asked for; nothing where [`open`] would refuse one.
pub async fn open_all(drive: &Drive, caller: &Caller, ids: &[FileId]) -> Result<Vec<Option<Readable>>> {
    let mut nodes: Vec<NodeId> = ids.iter().copied().map(NodeId::from).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let mut found = HashMap::new();
    for located in access::downloadable(&mut *drive.read().await?, caller, &nodes).await? {
        if let Some(readable) = current(&located) {
            note(drive, caller, &readable, "file.read", located.path());
            found.insert(readable.info.id, readable);
        }
    }
    Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
}

fn current(found: &Located) -> Option<Readable> {
    let (info, facts) = (found.file_info()?, found.node().file.as_ref()?);
    Some(Readable {
        version: info.version,
        version_id: info.version_id,
        size: info.size,
        checksum: info.checksum_sha256,
        modified_at: info.modified_at,
        tenant: info.tenant_id,
        content: facts.content,
        info,
    })
}

fn note(drive: &Drive, caller: &Caller, readable: &Readable, action: &'static str, path: String) {
    let event = AuditEvent::new(AuditCategory::FileAccess, action, ResourceKind::File, readable.info.id);
    let payload = serde_json::json!({ "version": readable.version });
    journal::note(drive, caller, event.at(path).with(payload));
}

fn of_version(current: Readable, old: &Version) -> Readable {
    Readable {
        version: old.number,
        version_id: old.id,
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
    let entries = match readable.lone_chunk() {
        Some(entry) => stream::iter([Ok(entry)]).left_stream(),
        None => manifest(drive.clone(), readable.tenant, readable.content, range).right_stream(),
    };
    fetch_ahead(drive.clone(), readable.tenant, entries)
        .map_ok(move |(entry, bytes)| cut(&bytes, entry, range))
        .boxed()
}

/// Returns how a content was cut, and its chunks in order.
pub(super) async fn cuts(drive: &Drive, readable: &Readable) -> Result<(String, Vec<ManifestEntry>)> {
    let row = drive.read().await?.content(readable.tenant, readable.content).await?;
    let torn = || Error::Corrupt { what: format!("content {} has versions but no row", readable.content) };
    let whole = ByteRange { start: 0, end: readable.size };
    let entries = manifest(drive.clone(), readable.tenant, readable.content, whole).try_collect().await?;
    Ok((row.ok_or_else(torn)?.chunking, entries))
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
