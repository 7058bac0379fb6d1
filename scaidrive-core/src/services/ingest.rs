//! Bytes in: stream → chunks → durable objects, and the touches that keep the collector away (design §5).
//!
//! A row precedes its object, so no object exists without a row. Every chunk that will be referred to is
//! touched first, found or new; one that somebody else is still writing is put as well (same bytes, same key).

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio::task::JoinSet;

use super::transaction::{Transaction, transact};
use crate::Drive;
use crate::chunking::{self, ChunkReader};
use crate::model::{
    CUT_BY_CLIENT, Chunk, ChunkHash, ChunkState, Error, FileFacts, Result, Sha256Hash, TenantId, Timestamp,
};
use crate::ports::metadata::{ContentRow, ManifestEntry};
use crate::ports::{Key, Outcome, Writes};

/// Bytes of chunks that all transfers together may hold before they are put.
const BUFFERED_BYTES: usize = 48 << 20;

/// The window of one transfer: large ones share syncs, small ones leave memory to the others.
const WINDOW_BYTES: std::ops::RangeInclusive<usize> = (2 << 20)..=(8 << 20);

/// Windows of one transfer under way at once: one is put while the next is read.
pub(super) const WINDOWS: usize = 2;

/// How long a writer waits for a chunk that is being removed: longer than a removal that goes well.
const DELETING_PATIENCE: Duration = Duration::from_secs(90);

/// A content whose chunks are durable, and touched long enough ago to tell.
#[derive(Clone, Debug)]
pub struct StoredContent {
    /// The content, as its rows will say it.
    pub row: ContentRow,
    /// The oldest touch among its chunks, by the database's clock.
    pub touched_at: Timestamp,
}

impl StoredContent {
    /// Returns what is said of a file whose current version has this content, all else as it was.
    pub(super) fn facts(&self, before: FileFacts) -> FileFacts {
        FileFacts { size: self.row.size, checksum: self.row.checksum, content: self.row.id, ..before }
    }

    /// Fails once a touch is older than half the grace: then nobody may refer to its chunks any more.
    pub fn check_fresh(&self, now: Timestamp, grace: Duration) -> Result<()> {
        check_fresh(self.touched_at, now, grace)
    }

    /// Tells whether a client named its chunks, so that it may have sent some of them for it.
    pub(super) fn is_assembled(&self) -> bool {
        self.row.chunking == CUT_BY_CLIENT
    }

    /// Returns its chunks.
    pub(super) fn hashes(&self) -> impl Iterator<Item = ChunkHash> {
        self.row.chunks.iter().map(|entry| entry.hash)
    }
}

/// Fails once a touch is older than half the grace.
pub(super) fn check_fresh(touched_at: Timestamp, now: Timestamp, grace: Duration) -> Result<()> {
    if now.since(touched_at) < grace / 2 { Ok(()) } else { Err(Error::TouchExpired) }
}

/// Stores what a reader gives, of at most `limit` bytes; nothing refers to it yet.
pub async fn store(
    drive: &Drive,
    tenant: TenantId,
    reader: impl AsyncRead + Send + Unpin + 'static,
    limit: u64,
) -> Result<StoredContent> {
    let transfer = Transfer::begin();
    let mut chunks = ChunkReader::new(reader, drive.chunking);
    let mut manifest = Manifest::default();
    let mut windows = Windows::new(drive, tenant);
    let mut window = Vec::new();
    let mut window_bytes = 0;
    while let Some(chunk) = chunks.next().await.map_err(stream_error)? {
        window_bytes += chunk.bytes.len();
        manifest.push(&chunk, limit)?;
        window.push(chunk);
        if window_bytes >= transfer.window_bytes() {
            windows.start(std::mem::take(&mut window)).await?;
            window_bytes = 0;
        }
    }
    let digest = chunks.finish().await.map_err(stream_error)?;
    windows.start(window).await?;
    let touched_at = windows.finish().await?;
    Ok(manifest.into_content(drive, digest.size, digest.checksum, touched_at))
}

/// Stores many contents that are in memory already; they share transactions and syncs.
pub async fn store_all(drive: &Drive, tenant: TenantId, contents: Vec<Bytes>) -> Result<Vec<StoredContent>> {
    let params = drive.chunking;
    let cut = tokio::task::spawn_blocking(move || {
        contents.into_iter().map(|bytes| chunking::cut_bytes(bytes, &params)).collect::<Vec<_>>()
    });
    let cut = cut.await.map_err(|error| Error::internal(format!("chunking broke off: {error}")))?;
    let all: Vec<Chunk> = cut.iter().flat_map(|(chunks, _)| chunks.iter().cloned()).collect();
    let touched_at = secure(drive, tenant, &all).await?;
    cut.into_iter()
        .map(|(chunks, digest)| {
            let mut manifest = Manifest::default();
            chunks.iter().try_for_each(|chunk| manifest.push(chunk, u64::MAX))?;
            Ok(manifest.into_content(drive, digest.size, digest.checksum, touched_at))
        })
        .collect()
}

/// Touches the chunks of a stored content again, after its touches grew too old.
pub async fn touch_again(drive: &Drive, tenant: TenantId, content: &StoredContent) -> Result<StoredContent> {
    let chunks = content.row.chunks.iter().map(|entry| (entry.hash, entry.size)).collect();
    let touched = touch(drive, tenant, chunks).await?;
    // Collected in the meantime: the bytes are gone from here, only the sender still has them.
    if !touched.to_put.is_empty() {
        return Err(Error::TouchExpired);
    }
    Ok(StoredContent { touched_at: touched.at, ..content.clone() })
}

/// Says what a broken stream means; a limit or a cut-off told from inside the stream passes through.
pub(super) fn stream_error(error: std::io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(inner) => inner,
        Err(error) => Error::BadStream { reason: error.to_string() },
    }
}

/// The chunk list of a content as it grows.
#[derive(Default)]
struct Manifest {
    entries: Vec<ManifestEntry>,
    size: u64,
}

impl Manifest {
    fn push(&mut self, chunk: &Chunk, limit: u64) -> Result<()> {
        let size =
            u32::try_from(chunk.bytes.len()).map_err(|_| Error::internal("a chunk larger than 4 GiB"))?;
        self.entries.push(ManifestEntry { start: self.size, hash: chunk.hash, size });
        self.size += u64::from(size);
        if self.size > limit { Err(Error::TooLarge { limit }) } else { Ok(()) }
    }

    fn into_content(
        self,
        drive: &Drive,
        size: u64,
        checksum: Sha256Hash,
        touched_at: Timestamp,
    ) -> StoredContent {
        let id = chunking::content_id(self.entries.iter().map(|entry| (entry.hash, u64::from(entry.size))));
        let row = ContentRow {
            id,
            size,
            checksum,
            chunks: self.entries.into(),
            chunking: drive.chunking.to_string(),
        };
        StoredContent { row, touched_at }
    }
}

/// Counts transfers, so that each knows its part of the memory.
pub(super) struct Transfer;

static TRANSFERS: AtomicUsize = AtomicUsize::new(0);

impl Transfer {
    pub(super) fn begin() -> Self {
        TRANSFERS.fetch_add(1, Ordering::Relaxed);
        Self
    }

    #[expect(clippy::unused_self, reason = "only somebody who counts may ask")]
    pub(super) fn window_bytes(&self) -> usize {
        let fair = BUFFERED_BYTES / TRANSFERS.load(Ordering::Relaxed).max(1) / (WINDOWS + 1);
        fair.clamp(*WINDOW_BYTES.start(), *WINDOW_BYTES.end())
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        TRANSFERS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The windows of one transfer that are being made durable; dropped, they are given up.
struct Windows<'d> {
    drive: &'d Drive,
    tenant: TenantId,
    running: JoinSet<Result<Timestamp>>,
    oldest_touch: Option<Timestamp>,
}

impl<'d> Windows<'d> {
    fn new(drive: &'d Drive, tenant: TenantId) -> Self {
        Self { drive, tenant, running: JoinSet::new(), oldest_touch: None }
    }

    async fn start(&mut self, chunks: Vec<Chunk>) -> Result<()> {
        while self.running.len() >= WINDOWS {
            self.join_one().await?;
        }
        let (drive, tenant) = (self.drive.clone(), self.tenant);
        self.running.spawn(async move { secure(&drive, tenant, &chunks).await });
        Ok(())
    }

    async fn join_one(&mut self) -> Result<()> {
        if let Some(joined) = self.running.join_next().await {
            let at = joined.map_err(|error| Error::internal(format!("a window broke off: {error}")))??;
            self.oldest_touch = Some(self.oldest_touch.map_or(at, |oldest| oldest.min(at)));
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Timestamp> {
        while !self.running.is_empty() {
            self.join_one().await?;
        }
        self.oldest_touch.ok_or_else(|| Error::internal("a transfer without a window"))
    }
}

/// Makes chunks durable and live; returns when they were touched.
pub(super) async fn secure(drive: &Drive, tenant: TenantId, chunks: &[Chunk]) -> Result<Timestamp> {
    let distinct: HashMap<ChunkHash, &Bytes> =
        chunks.iter().map(|chunk| (chunk.hash, &chunk.bytes)).collect();
    let mut sizes: Vec<(ChunkHash, u32)> =
        distinct.iter().map(|(hash, bytes)| (*hash, bytes.len() as u32)).collect();
    // In key order, so that two writers of the same chunks wait for each other instead of deadlocking.
    sizes.sort_unstable();
    let touched = touch(drive, tenant, sizes).await?;
    drive.deduplicated.add(tenant, chunks.len() - touched.to_put.len());
    if touched.to_put.is_empty() {
        return Ok(touched.at);
    }
    let objects =
        touched.to_put.iter().map(|hash| (Key::chunk(tenant, *hash), distinct[hash].clone())).collect();
    drive.blobs.put_all(objects).await?;
    let mark = MarkLive { tenant, hashes: touched.to_put, touched_at: touched.at, grace: drive.gc_grace };
    transact(drive, mark).await?;
    Ok(touched.at)
}

/// What a touch found.
#[derive(Clone, Debug, Default)]
struct Touched {
    /// When, by the database's clock.
    at: Timestamp,
    /// Chunks whose objects must be put: new, or not known to be durable.
    to_put: Vec<ChunkHash>,
    /// Chunks that are being removed.
    deleting: Vec<ChunkHash>,
}

/// Touches chunks, and inserts those that are new; waits for those that are being removed to be gone.
async fn touch(drive: &Drive, tenant: TenantId, chunks: Vec<(ChunkHash, u32)>) -> Result<Touched> {
    let mut wait = Duration::from_millis(50);
    let mut waited = Duration::ZERO;
    loop {
        let found = transact(drive, Touch { tenant, chunks: chunks.clone() }).await?;
        if found.deleting.is_empty() {
            return Ok(found);
        }
        if waited > DELETING_PATIENCE {
            return Err(Error::unavailable("a chunk that is being removed", Duration::from_secs(60)));
        }
        tokio::time::sleep(wait).await;
        waited += wait;
        wait = (wait * 2).min(Duration::from_secs(5));
    }
}

/// Touches before any reference exists; losing it in a power cut loses the writer too.
struct Touch {
    tenant: TenantId,
    chunks: Vec<(ChunkHash, u32)>,
}

#[async_trait]
impl Transaction for Touch {
    type Answer = Touched;

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, Touched)> {
        let at = rows.now().await?;
        let hashes: Vec<ChunkHash> = self.chunks.iter().map(|(hash, _)| *hash).collect();
        let mut known = rows.touch_chunks(self.tenant, &hashes, at).await?;
        if known.len() < hashes.len() {
            let seen: std::collections::HashSet<ChunkHash> = known.iter().map(|row| row.hash).collect();
            let new: Vec<_> = self.chunks.iter().filter(|(hash, _)| !seen.contains(hash)).copied().collect();
            rows.insert_writing(self.tenant, &new, at).await?;
            // Read again: a rival may have inserted some of them first, and may even have come further.
            known = rows.touch_chunks(self.tenant, &hashes, at).await?;
        }
        let mut found = Touched { at, ..Touched::default() };
        if known.len() < hashes.len() {
            // One that was being removed when it was touched first is gone by now: it is there to be made next time.
            let there: std::collections::HashSet<ChunkHash> = known.iter().map(|row| row.hash).collect();
            found.deleting.extend(hashes.iter().filter(|hash| !there.contains(*hash)));
        }
        for row in known {
            match row.state {
                ChunkState::Live => {}
                ChunkState::Writing => found.to_put.push(row.hash),
                ChunkState::Deleting => found.deleting.push(row.hash),
            }
        }
        Ok((Outcome::Commit, found))
    }

    fn may_be_lost(&self) -> bool {
        true
    }
}

/// Says that objects are durable. Losing it costs putting them again.
///
/// Only while the touch is fresh: a writer that slept through the collection of its object would otherwise call
/// live what a rival has only begun to write.
struct MarkLive {
    tenant: TenantId,
    hashes: Vec<ChunkHash>,
    touched_at: Timestamp,
    grace: Duration,
}

#[async_trait]
impl Transaction for MarkLive {
    type Answer = ();

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, ())> {
        check_fresh(self.touched_at, rows.now().await?, self.grace)?;
        let live = rows.mark_live(self.tenant, &self.hashes).await?;
        if live == self.hashes.len() as u64 { Ok((Outcome::Commit, ())) } else { Err(Error::TouchExpired) }
    }

    fn may_be_lost(&self) -> bool {
        true
    }
}
