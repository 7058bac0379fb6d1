//! Parts as they come: each checked, put where it belongs, and noted; then the frontier moves if it can.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, TryStreamExt};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::frontier::{self, Reach};
use super::own;
use crate::Drive;
use crate::chunking;
use crate::model::{Caller, Error, Result, Sha256Hash, TenantId, Timestamp, UploadId, UploadStatus, UserId};
use crate::ports::metadata::{ManifestEntry, PartRow, UploadChunk, UploadRow};
use crate::ports::{Key, Outcome, Writes};
use crate::services::ingest;
use crate::services::transaction::{Transaction, transact};

/// How often a part is placed anew because the frontier moved meanwhile.
const ATTEMPTS: u32 = 8;

/// How long the frontier may be moved on behalf of one part.
const PUSH_TIME: Duration = Duration::from_secs(5);

/// What a client says of a part before it sends it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claimed {
    /// Its size.
    pub length: Option<u64>,
    /// Its hash.
    pub hash: Option<Sha256Hash>,
}

/// A part that is stored, as the wire shows it.
#[derive(Clone, Debug, Serialize)]
pub struct StoredPart {
    /// Its number.
    pub index: u32,
    /// Its size.
    pub size: u32,
    /// Its hash.
    pub sha256: Sha256Hash,
    /// How many parts are there now.
    pub received_chunks: u32,
    /// How many there will be.
    pub total_chunks: u32,
}

/// Stores a part; one that was there is replaced.
pub async fn put_part(
    drive: &Drive,
    caller: &Caller,
    id: UploadId,
    index: u32,
    claimed: Claimed,
    body: impl Stream<Item = std::io::Result<Bytes>> + Send + Unpin,
) -> Result<StoredPart> {
    let row = own(&mut *drive.read().await?, caller, id).await?;
    row.check_live(drive.clock.now())?;
    let size = row.layout.part_len(index)?;
    if claimed.length.is_some_and(|length| length != u64::from(size)) {
        return Err(wrong_size(index, size));
    }
    let _room = drive.uploads.admit(caller, size).await?;
    let (bytes, hash) = receive(body, index, size).await?;
    if claimed.hash.is_some_and(|claimed| claimed != hash) {
        let what = format!("part {index} is not what X-Chunk-SHA256 says: it hashes to {hash}");
        return Err(Error::ChecksumMismatch { what });
    }
    let part = Part { tenant: caller.tenant, user: caller.user.clone(), id, index, hash, bytes };
    let row = part.place(drive).await?;
    if frontier::is_worth_moving(drive, &row).await? {
        let reach = Reach { bytes: drive.uploads.reach, time: PUSH_TIME };
        frontier::push(drive, row.tenant, id, reach).await;
    }
    Ok(StoredPart {
        index,
        size,
        sha256: hash,
        received_chunks: row.received,
        total_chunks: row.layout.count(),
    })
}

fn wrong_size(index: u32, size: u32) -> Error {
    Error::invalid("body", format!("part {index} has exactly {size} bytes"), index)
}

/// Reads a body of exactly `size` bytes.
async fn receive(
    mut body: impl Stream<Item = std::io::Result<Bytes>> + Send + Unpin,
    index: u32,
    size: u32,
) -> Result<(Bytes, Sha256Hash)> {
    let mut bytes = BytesMut::with_capacity(size as usize);
    let mut hasher = Sha256::new();
    while let Some(piece) = body.try_next().await.map_err(ingest::stream_error)? {
        if bytes.len() + piece.len() > size as usize {
            return Err(wrong_size(index, size));
        }
        hasher.update(&piece);
        bytes.extend_from_slice(&piece);
    }
    if bytes.len() != size as usize {
        return Err(wrong_size(index, size));
    }
    Ok((bytes.freeze(), Sha256Hash::from_bytes(hasher.finalize().into())))
}

/// A part that came.
struct Part {
    tenant: TenantId,
    user: UserId,
    id: UploadId,
    index: u32,
    hash: Sha256Hash,
    bytes: Bytes,
}

/// Where a part that came belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It is there already, as chunks.
    There,
    /// Under its number, in the object store.
    Object,
    /// Into chunks: the frontier has passed other bytes of it.
    Chunks,
}

fn place_of(row: &UploadRow, old: Option<&PartRow>, index: u32, hash: Sha256Hash) -> Result<Place> {
    match old {
        Some(old) if old.hash == hash && old.promoted_in.is_some() => Ok(Place::There),
        Some(old) if old.hash != hash && row.status == UploadStatus::Completing => {
            let what = format!("part {index} came with other bytes, and the upload is being completed");
            Err(Error::VersionConflict { what })
        }
        Some(old) if old.hash != hash && row.layout.start(index) < row.frontier => Ok(Place::Chunks),
        _ => Ok(Place::Object),
    }
}

impl Part {
    /// Puts the part where it belongs, and notes it.
    async fn place(&self, drive: &Drive) -> Result<UploadRow> {
        for _ in 0..ATTEMPTS {
            let mut rows = drive.read().await?;
            let row = rows.upload(self.tenant, self.id).await?.ok_or(Error::NotFound)?;
            let old = rows.upload_parts(self.tenant, self.id, self.index, 1).await?;
            drop(rows);
            let old = old.first().filter(|old| old.part == self.index);
            let place = place_of(&row, old, self.index, self.hash)?;
            let (chunks, touched_at) = match place {
                Place::There => (Vec::new(), Timestamp::default()),
                Place::Object => {
                    drive.blobs.put_all(vec![(Key::part(self.id, self.index), self.bytes.clone())]).await?;
                    (Vec::new(), Timestamp::default())
                }
                Place::Chunks => self.store_chunks(drive, &row).await?,
            };
            if let Some(row) = transact(drive, self.note(drive, place, chunks, touched_at)).await? {
                return Ok(row);
            }
        }
        Err(Error::unavailable("a part that is being moved again and again", Duration::from_secs(1)))
    }

    async fn store_chunks(&self, drive: &Drive, row: &UploadRow) -> Result<(Vec<UploadChunk>, Timestamp)> {
        let (bytes, params) = (self.bytes.clone(), drive.chunking);
        let cut = tokio::task::spawn_blocking(move || chunking::cut_bytes(bytes, &params).0).await;
        let cut = cut.map_err(|error| Error::internal(format!("chunking broke off: {error}")))?;
        let touched_at = ingest::secure(drive, self.tenant, &cut).await?;
        let mut start = row.layout.start(self.index);
        let chunks = cut.iter().map(|chunk| {
            let entry = ManifestEntry { start, hash: chunk.hash, size: chunk.bytes.len() as u32 };
            start += u64::from(entry.size);
            UploadChunk { entry, is_listed: false, hash_state: None }
        });
        Ok((chunks.collect(), touched_at))
    }

    fn note(&self, drive: &Drive, place: Place, chunks: Vec<UploadChunk>, touched_at: Timestamp) -> Note {
        Note {
            tenant: self.tenant,
            user: self.user.clone(),
            id: self.id,
            index: self.index,
            hash: self.hash,
            place,
            chunks,
            touched_at,
            grace: drive.gc_grace,
            now: drive.clock.now(),
        }
    }
}

/// Notes a part that was put in its place; nothing if that is not its place any more.
struct Note {
    tenant: TenantId,
    user: UserId,
    id: UploadId,
    index: u32,
    hash: Sha256Hash,
    place: Place,
    chunks: Vec<UploadChunk>,
    touched_at: Timestamp,
    grace: Duration,
    now: Timestamp,
}

#[async_trait]
impl Transaction for Note {
    type Answer = Option<UploadRow>;

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, Option<UploadRow>)> {
        let row = rows.lock_upload(self.tenant, self.id).await?;
        let mut row = row.filter(|row| row.user == self.user).ok_or(Error::NotFound)?;
        row.check_live(self.now)?;
        let old = rows.upload_parts(self.tenant, self.id, self.index, 1).await?;
        let old = old.first().filter(|old| old.part == self.index);
        let place = place_of(&row, old, self.index, self.hash)?;
        if place != self.place && place != Place::There {
            return Ok((Outcome::RollBack, None));
        }
        match (place, old) {
            (Place::There, _) => {}
            (Place::Object, Some(old)) if old.hash == self.hash => {}
            (Place::Object, old) => {
                row.received += u32::from(old.is_none());
                row.revision += u32::from(old.is_some());
                let part = PartRow { part: self.index, hash: self.hash, promoted_in: None };
                rows.put_upload_part(self.tenant, self.id, &part).await?;
            }
            (Place::Chunks, _) => self.replace_behind(rows, &mut row).await?,
        }
        row.note_activity(self.now);
        rows.update_upload(&row).await?;
        Ok((Outcome::Commit, Some(row)))
    }
}

impl Note {
    /// Makes the chunks the part's bytes, in a generation of their own, and takes the frontier back before it.
    async fn replace_behind(&self, rows: &mut dyn Writes, row: &mut UploadRow) -> Result<()> {
        ingest::check_fresh(self.touched_at, rows.now().await?, self.grace)?;
        row.generation += 1;
        rows.insert_upload_chunks(self.tenant, self.id, row.generation, &self.chunks).await?;
        let part = PartRow { part: self.index, hash: self.hash, promoted_in: Some(row.generation) };
        rows.put_upload_part(self.tenant, self.id, &part).await?;
        frontier::go_back(rows, row, row.layout.start(self.index)).await
    }
}
