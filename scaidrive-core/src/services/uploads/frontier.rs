//! The frontier: moved by whoever holds its lease, one step of bounded size after the other.
//!
//! A step is committed only if the lease, the frontier and the parts are what they were when it began. So a holder
//! that slept, or one whose lease ran out while it worked, changes nothing; a crashed one is waited for until its
//! lease ends.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};

use super::source::{self, Next};
use crate::Drive;
use crate::chunking::{self, PrefixHash};
use crate::model::{Chunk, Error, Result, TenantId, Timestamp, UploadId};
use crate::ports::metadata::{ManifestEntry, PartRow, UploadChunk, UploadRow};
use crate::ports::{Key, Outcome, Writes};
use crate::services::ingest;
use crate::services::transaction::{Transaction, transact};

/// Objects of promoted parts that are removed at once.
const REMOVALS: usize = 8;

/// How far, and how long, a frontier may be moved.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    pub(super) bytes: u64,
    pub(super) time: Duration,
}

/// How moving a frontier ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// All is cut and stored, or the session has ended.
    Done,
    /// A part is missing.
    Gap,
    /// Somebody else moves it, or has changed what was read.
    Busy,
    /// It was moved as far as asked for.
    Paused,
}

/// Tells whether so much follows the frontier that it should be moved, and nobody is doing it.
pub(super) async fn is_worth_moving(drive: &Drive, row: &UploadRow) -> Result<bool> {
    if row.frontier == row.layout.size {
        return Ok(false);
    }
    let wanted = (row.frontier + drive.uploads.worth).min(row.layout.size);
    let first = row.layout.parts_before(row.frontier);
    let count = row.layout.parts_before(wanted - 1) + 1 - first;
    let mut rows = drive.read().await?;
    if let Some((_, until)) = &row.lease
        && *until > rows.now().await?
    {
        return Ok(false);
    }
    let found = rows.upload_parts(row.tenant, row.id, first, count).await?;
    Ok(found.iter().map(|part| part.part).eq(first..first + count))
}

/// Moves the frontier a little on behalf of a part that came. The part is stored whatever comes of it, and whoever
/// sends the next one, or completes the upload, goes on.
pub(super) async fn push(drive: &Drive, tenant: TenantId, id: UploadId, reach: Reach) {
    let drive = drive.clone();
    // On a task of its own: a client that goes away must not leave a lease behind.
    let pushing = tokio::spawn(async move {
        let Some(_mover) = drive.uploads.mover(Duration::ZERO).await else { return };
        if let Err(error) = advance(&drive, tenant, id, reach).await {
            tracing::warn!(%error, upload = %id, "a frontier was not moved; the next part tries again");
        }
    });
    // A panic in it is told by the runtime, and harms the part as little as an error does.
    let _ = pushing.await;
}

/// Moves the frontier as far as there are parts, within the reach.
pub(super) async fn advance(drive: &Drive, tenant: TenantId, id: UploadId, reach: Reach) -> Result<Progress> {
    let until = Instant::now() + reach.time;
    let holder = drive.ids.ulid().to_string();
    let take = Lease { tenant, id, holder: holder.clone(), time: Some(drive.uploads.lease) };
    let row = match transact(drive, take).await? {
        Taken::Lease(row) => *row,
        Taken::Busy => return Ok(Progress::Busy),
        Taken::Done => return Ok(Progress::Done),
    };
    let goal = row.frontier.saturating_add(reach.bytes);
    let mut mover = Mover { drive, holder: holder.clone(), row, promoted: VecDeque::new() };
    let progress = mover.run(goal, until).await;
    transact(drive, Lease { tenant, id, holder, time: None }).await?;
    progress
}

/// Takes the lease, or gives it back. Losing it in a power cut loses its holder too.
struct Lease {
    tenant: TenantId,
    id: UploadId,
    holder: String,
    time: Option<Duration>,
}

enum Taken {
    Lease(Box<UploadRow>),
    Busy,
    Done,
}

#[async_trait]
impl Transaction for Lease {
    type Answer = Taken;

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, Taken)> {
        let now = rows.now().await?;
        let mut row = rows.lock_upload(self.tenant, self.id).await?.ok_or(Error::NotFound)?;
        let is_others =
            row.lease.as_ref().is_some_and(|(holder, until)| *holder != self.holder && *until > now);
        if is_others {
            return Ok((Outcome::RollBack, Taken::Busy));
        }
        let is_done = !row.status.is_live() || row.frontier == row.layout.size;
        row.lease = self.time.filter(|_| !is_done).map(|time| (self.holder.clone(), now.plus(time)));
        rows.update_upload(&row).await?;
        Ok((Outcome::Commit, if is_done { Taken::Done } else { Taken::Lease(Box::new(row)) }))
    }

    fn may_be_lost(&self) -> bool {
        true
    }
}

/// Who holds the lease.
struct Mover<'d> {
    drive: &'d Drive,
    holder: String,
    row: UploadRow,
    /// Parts that were read as objects and do not lie behind the frontier yet.
    promoted: VecDeque<u32>,
}

/// So much of the content as is stored and noted at once.
struct Step {
    chunks: Vec<Chunk>,
    before: PrefixHash,
    after: PrefixHash,
    /// Parts of which bytes were read as objects.
    objects: Vec<u32>,
}

impl Mover<'_> {
    /// Stores each step while the next one is read, cut and hashed.
    async fn run(&mut self, goal: u64, until: Instant) -> Result<Progress> {
        let mut feed = Feed::new(self.drive, &self.row, goal, until)?;
        let mut next = feed.step().await?;
        while let Some(step) = next {
            let (drive, tenant) = (self.drive, self.row.tenant);
            let (touched_at, after) = tokio::join!(ingest::secure(drive, tenant, &step.chunks), feed.step());
            if !self.commit(step, touched_at?).await? {
                return Ok(Progress::Busy);
            }
            next = after?;
        }
        if let Some(part) = feed.vanished {
            tracing::warn!(upload = %self.row.id, part = part.part, "a part of an upload vanished");
            let forget = Forget { row: self.row.clone(), part };
            return Ok(if transact(self.drive, forget).await? { Progress::Gap } else { Progress::Busy });
        }
        Ok(feed.ended.unwrap_or(if self.row.frontier == self.row.layout.size {
            Progress::Done
        } else {
            Progress::Gap
        }))
    }

    /// Notes that a step is stored, and removes the parts that it leaves behind; tells whether it still was ours.
    async fn commit(&mut self, step: Step, touched_at: Timestamp) -> Result<bool> {
        let mut start = self.row.frontier;
        let mut hash_state = Some(step.before.to_bytes());
        let chunks = step.chunks.iter().map(|chunk| {
            let entry = ManifestEntry { start, hash: chunk.hash, size: chunk.bytes.len() as u32 };
            start += u64::from(entry.size);
            UploadChunk { entry, is_listed: true, hash_state: hash_state.take() }
        });
        let advance = Advance {
            holder: self.holder.clone(),
            chunks: chunks.collect(),
            to: start,
            hash_state: step.after.to_bytes(),
            touched_at,
            grace: self.drive.gc_grace,
            lease: self.drive.uploads.lease,
            now: self.drive.clock.now(),
            row: self.row.clone(),
        };
        let Some(row) = transact(self.drive, advance).await? else { return Ok(false) };
        self.row = row;
        self.promoted.extend(step.objects);
        self.remove_promoted().await;
        Ok(true)
    }

    /// Removes what nobody needs any more; what stays for some reason goes when the session ends.
    async fn remove_promoted(&mut self) {
        let mut keys = Vec::new();
        while let Some(part) =
            self.promoted.pop_front_if(|part| self.row.layout.end(*part) <= self.row.frontier)
        {
            keys.push(Key::part(self.row.id, part));
        }
        let blobs = &self.drive.blobs;
        let remove = |key: Key| async move {
            if let Err(error) = blobs.delete(&key).await {
                tracing::debug!(%error, %key, "a promoted part could not be removed yet");
            }
        };
        stream::iter(keys.into_iter().map(remove)).buffer_unordered(REMOVALS).collect::<Vec<()>>().await;
    }
}

/// Reads, cuts and hashes what follows the frontier.
struct Feed<'d> {
    drive: &'d Drive,
    pieces: BoxStream<'static, Result<Next>>,
    /// What was read and not cut.
    rest: Bytes,
    hash: PrefixHash,
    /// How far was read.
    read: u64,
    size: u64,
    goal: u64,
    until: Instant,
    /// Set where it ended before the parts did.
    ended: Option<Progress>,
    vanished: Option<PartRow>,
}

impl<'d> Feed<'d> {
    fn new(drive: &'d Drive, row: &UploadRow, goal: u64, until: Instant) -> Result<Self> {
        let hash = PrefixHash::from_bytes(&row.hash_state)
            .ok_or_else(|| Error::internal(format!("upload {} has no state of a hash", row.id)))?;
        Ok(Self {
            drive,
            pieces: source::pieces(drive, row),
            rest: Bytes::new(),
            hash,
            read: row.frontier,
            size: row.layout.size,
            goal,
            until,
            ended: None,
            vanished: None,
        })
    }

    /// Returns the next step; nothing where the parts end, or what was asked for.
    async fn step(&mut self) -> Result<Option<Step>> {
        if self.read < self.size && (self.read >= self.goal || Instant::now() >= self.until) {
            self.ended = Some(Progress::Paused);
            return Ok(None);
        }
        let mut bytes = BytesMut::from(std::mem::take(&mut self.rest));
        let mut objects = Vec::new();
        while bytes.len() < self.drive.uploads.step && self.vanished.is_none() {
            match self.pieces.try_next().await? {
                None => break,
                Some(Next::Vanished(part)) => self.vanished = Some(part),
                Some(Next::Piece(part, piece)) => {
                    bytes.extend_from_slice(&piece);
                    self.read += piece.len() as u64;
                    objects.extend(part.promoted_in.is_none().then_some(part.part));
                }
            }
        }
        let (before, params) = (self.hash.clone(), self.drive.chunking);
        let cut = chunking::cut_prefix(bytes.freeze(), self.read == self.size, params, before.clone()).await;
        let cut = cut.map_err(|error| Error::internal(format!("chunking broke off: {error}")))?;
        (self.rest, self.hash) = (cut.rest, cut.hash.clone());
        let step = Step { chunks: cut.chunks, before, after: cut.hash, objects };
        Ok(Some(step).filter(|step| !step.chunks.is_empty()))
    }
}

/// Notes a step, if nothing that it rests on has changed.
struct Advance {
    /// The session as it was when the step began.
    row: UploadRow,
    holder: String,
    chunks: Vec<UploadChunk>,
    to: u64,
    hash_state: Vec<u8>,
    touched_at: Timestamp,
    grace: Duration,
    lease: Duration,
    now: Timestamp,
}

#[async_trait]
impl Transaction for Advance {
    type Answer = Option<UploadRow>;

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, Option<UploadRow>)> {
        let (tenant, id) = (self.row.tenant, self.row.id);
        let mut row = rows.lock_upload(tenant, id).await?.ok_or(Error::NotFound)?;
        let is_mine = row.lease.as_ref().is_some_and(|(holder, _)| *holder == self.holder);
        let is_as_read = row.revision == self.row.revision && row.frontier == self.row.frontier;
        if !(is_mine && is_as_read && row.status.is_live()) {
            return Ok((Outcome::RollBack, None));
        }
        let now = rows.now().await?;
        ingest::check_fresh(self.touched_at, now, self.grace)?;
        rows.insert_upload_chunks(tenant, id, row.generation, &self.chunks).await?;
        rows.promote_upload_parts(tenant, id, row.layout.parts_before(self.to), row.generation).await?;
        row.frontier = self.to;
        row.hash_state.clone_from(&self.hash_state);
        row.lease = Some((self.holder.clone(), now.plus(self.lease)));
        row.note_activity(self.now);
        rows.update_upload(&row).await?;
        Ok((Outcome::Commit, Some(row)))
    }
}

/// Forgets a part that vanished, if it is still the one that was looked for; tells whether it was.
struct Forget {
    row: UploadRow,
    part: PartRow,
}

#[async_trait]
impl Transaction for Forget {
    type Answer = bool;

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, bool)> {
        let (tenant, id, part) = (self.row.tenant, self.row.id, self.part.part);
        let mut row = rows.lock_upload(tenant, id).await?.ok_or(Error::NotFound)?;
        let found = rows.upload_parts(tenant, id, part, 1).await?;
        if row.revision != self.row.revision || found.first() != Some(&self.part) {
            return Ok((Outcome::RollBack, false));
        }
        rows.delete_upload_part(tenant, id, part).await?;
        row.received = row.received.saturating_sub(1);
        if row.layout.start(part) < row.frontier {
            go_back(rows, &mut row, self.row.layout.start(part)).await?;
        } else {
            row.revision += 1;
        }
        rows.update_upload(&row).await?;
        Ok((Outcome::Commit, true))
    }
}

/// Takes the frontier of a locked session back to where it may go on at or before an offset. What is cut anew is of
/// another generation.
pub(super) async fn go_back(rows: &mut dyn Writes, row: &mut UploadRow, offset: u64) -> Result<()> {
    let found = rows.upload_checkpoint(row.tenant, row.id, offset).await?;
    let (at, hash_state) =
        found.ok_or_else(|| Error::internal(format!("upload {} has no way back to {offset}", row.id)))?;
    rows.unlist_upload_chunks(row.tenant, row.id, at).await?;
    (row.frontier, row.hash_state) = (at, hash_state);
    row.generation += 1;
    row.revision += 1;
    Ok(())
}
