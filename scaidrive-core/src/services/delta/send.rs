//! Chunks that a client sends before it tells which content they are for.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt, TryStreamExt};

use super::{REMEMBERED, since};
use crate::Drive;
use crate::model::{
    Caller, Chunk, ChunkHash, Error, Result, Sha256Hash, ShareId, TenantId, Timestamp, UserId,
};
use crate::ports::{Outcome, Reads, Writes};
use crate::services::transaction::{Transaction, transact};
use crate::services::{access, ingest, quotas};

/// How long what was sent is kept: longer than it counts, so that nothing is forgotten while it is renewed.
const KEPT: Duration = REMEMBERED.saturating_add(Duration::from_secs(3600));

/// Chunks stored and noted in one transaction: more would hold everybody else up.
const SENT_AT_ONCE: usize = 2000;

/// How often chunks whose touches grew too old are stored again.
const ATTEMPTS: u32 = 3;

/// Fails unless the caller may send chunks for a share: it must have READ on it, and CREATE or WRITE somewhere in it.
///
/// Where exactly is judged when a file is made of them: an entry below the root that allows either is enough here.
pub async fn check_send(drive: &Drive, caller: &Caller, share: ShareId) -> Result<()> {
    access::may_write_in(&mut *drive.read().await?, caller, share).await
}

/// A chunk as it arrived: nothing of it is believed yet.
#[derive(Clone, Debug)]
pub struct Frame {
    /// What its sender says its hash is.
    pub hash: ChunkHash,
    /// Its bytes; nothing where they were more than a chunk may have, and were skipped.
    pub bytes: Option<Bytes>,
}

/// What became of a frame: whether its sender had not sent it in the last 24 h, or why it was refused.
pub type Receipt = (ChunkHash, Result<bool>);

/// Verifies and stores what a client sends, in bounded memory, and remembers who sent it; returns what became of each
/// frame, in order.
///
/// What is kept is durable when this returns, and stays for 24 h whatever happens. So long it is the caller's pending
/// bytes, but for what it makes a file of. Where the frames break off, those before are kept and the error is
/// returned; the same where the caller's quota ends.
pub async fn receive(
    drive: &Drive,
    caller: &Caller,
    frames: impl Stream<Item = Result<Frame>> + Send + 'static,
) -> Result<Vec<Receipt>> {
    let store = |window: Result<Vec<Frame>>| {
        let (drive, caller) = (drive.clone(), caller.clone());
        async move {
            let window = window?;
            let stored = tokio::spawn(async move { receive_window(&drive, &caller, window).await }).await;
            stored.map_err(|error| Error::internal(format!("a window broke off: {error}")))?
        }
    };
    let windows = windows(frames.boxed(), ingest::Transfer::begin());
    windows.map(store).buffered(ingest::WINDOWS).try_concat().await
}

/// Gathers frames that are stored together. An error comes after the frames before it.
fn windows(
    frames: BoxStream<'static, Result<Frame>>,
    transfer: ingest::Transfer,
) -> impl Stream<Item = Result<Vec<Frame>>> + Send {
    stream::unfold(Some((frames, transfer)), |open| async {
        let (mut frames, transfer) = open?;
        let (mut window, mut bytes) = (Vec::new(), 0);
        while bytes < transfer.window_bytes() && window.len() < SENT_AT_ONCE {
            match frames.next().await {
                Some(Ok(frame)) => {
                    bytes += frame.bytes.as_ref().map_or(0, Bytes::len);
                    window.push(frame);
                }
                Some(Err(error)) => {
                    let last = [Ok(window), Err(error)];
                    return Some((stream::iter(last).left_stream(), None));
                }
                None if window.is_empty() => return None,
                None => return Some((stream::once(std::future::ready(Ok(window))).right_stream(), None)),
            }
        }
        Some((stream::once(std::future::ready(Ok(window))).right_stream(), Some((frames, transfer))))
    })
    .flatten()
}

async fn receive_window(drive: &Drive, caller: &Caller, window: Vec<Frame>) -> Result<Vec<Receipt>> {
    let most = drive.chunking.max;
    let verify = move || window.into_iter().map(|frame| verified(frame, most)).collect::<Vec<_>>();
    let verified = tokio::task::spawn_blocking(verify).await;
    let verified = verified.map_err(|error| Error::internal(format!("hashing broke off: {error}")))?;
    let chunks: Vec<Chunk> = verified.iter().filter_map(|(_, chunk)| chunk.as_ref().ok()).cloned().collect();
    let mut new = if chunks.is_empty() { HashSet::new() } else { send(drive, caller, &chunks).await? };
    let receipt = |(hash, chunk): (ChunkHash, Result<Chunk>)| (hash, chunk.map(|_| new.remove(&hash)));
    Ok(verified.into_iter().map(receipt).collect())
}

fn verified(frame: Frame, most: u32) -> (ChunkHash, Result<Chunk>) {
    let hash = frame.hash;
    let chunk = match frame.bytes {
        None => Err(Error::TooLarge { limit: most.into() }),
        Some(bytes) if bytes.is_empty() => {
            Err(Error::invalid("chunk", format!("a chunk has 1 to {most} bytes"), 0))
        }
        Some(bytes) if bytes.len() > most as usize => Err(Error::TooLarge { limit: most.into() }),
        Some(bytes) if Sha256Hash::of(&bytes) == hash => Ok(Chunk { hash, bytes }),
        Some(_) => {
            Err(Error::ChecksumMismatch { what: format!("the bytes of a chunk are not those of {hash}") })
        }
    };
    (hash, chunk)
}

/// Stores verified chunks; returns those that the caller had not sent in the last 24 h.
async fn send(drive: &Drive, caller: &Caller, chunks: &[Chunk]) -> Result<HashSet<ChunkHash>> {
    let sizes: BTreeMap<ChunkHash, u32> =
        chunks.iter().map(|chunk| (chunk.hash, chunk.bytes.len() as u32)).collect();
    let sent = Sent {
        tenant: caller.tenant,
        user: caller.user.clone(),
        chunks: sizes.into_iter().collect(),
        grace: drive.gc_grace,
    };
    // Judged before as well: what is refused is not stored first.
    sent.split(&mut *drive.read().await?).await?;
    for _ in 0..ATTEMPTS {
        let touched_at = ingest::secure(drive, caller.tenant, chunks).await?;
        match transact(drive, Keep { sent: sent.clone(), touched_at }).await {
            Err(Error::TouchExpired) => {}
            outcome => return outcome,
        }
    }
    Err(Error::TouchExpired)
}

/// Chunks of one user.
#[derive(Clone)]
struct Sent {
    tenant: TenantId,
    user: UserId,
    chunks: Vec<(ChunkHash, u32)>,
    grace: Duration,
}

/// What is known of chunks that a user sends.
#[derive(Default)]
struct Split {
    /// Sent in the last 24 h.
    fresh: Vec<ChunkHash>,
    /// Sent before that, and not forgotten yet.
    stale: Vec<ChunkHash>,
    /// Not sent in the last 24 h.
    new: Vec<(ChunkHash, u32)>,
}

impl Sent {
    /// Tells what was sent before; fails if the rest does not fit into the user's quota.
    async fn split(&self, rows: &mut dyn Reads) -> Result<Split> {
        let hashes: Vec<ChunkHash> = self.chunks.iter().map(|(hash, _)| *hash).collect();
        let since = since(rows.now().await?);
        let before = rows.sent_chunks(self.tenant, &self.user, &hashes).await?;
        let (fresh, stale): (HashSet<_>, HashSet<_>) = (
            before.iter().filter(|chunk| chunk.sent_at >= since).map(|chunk| chunk.hash).collect(),
            before.iter().filter(|chunk| chunk.sent_at < since).map(|chunk| chunk.hash).collect(),
        );
        let new: Vec<_> = self.chunks.iter().filter(|(hash, _)| !fresh.contains(hash)).copied().collect();
        let more = new.iter().map(|(_, size)| u64::from(*size)).sum();
        quotas::check_pending(rows, self.tenant, &self.user, more).await?;
        let in_order =
            |set: HashSet<ChunkHash>| hashes.iter().filter(|hash| set.contains(hash)).copied().collect();
        Ok(Split { fresh: in_order(fresh), stale: in_order(stale), new })
    }
}

/// Remembers who sent chunks that are live: a reference like that of a content, under the same rule (design §5).
struct Keep {
    sent: Sent,
    touched_at: Timestamp,
}

#[async_trait]
impl Transaction for Keep {
    type Answer = HashSet<ChunkHash>;

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, HashSet<ChunkHash>)> {
        let Sent { tenant, user, grace, .. } = &self.sent;
        let now = rows.now().await?;
        ingest::check_fresh(self.touched_at, now, *grace)?;
        // One at a time for a user, so that each sees what the others have pending.
        rows.lock_user(*tenant, user).await?;
        let split = self.sent.split(rows).await?;
        rows.renew_sent(*tenant, user, &split.fresh, now).await?;
        rows.remove_sent(*tenant, user, &split.stale).await?;
        rows.insert_sent(*tenant, user, &split.new, now).await?;
        Ok((Outcome::Commit, split.new.into_iter().map(|(hash, _)| hash).collect()))
    }
}

/// Forgets what was sent too long ago to count.
pub(crate) async fn forget(drive: &Drive, tenant: TenantId) -> Result<()> {
    let before = drive.meta.now().await?.minus(KEPT);
    while transact(drive, Forget { tenant, before }).await? > 0 {}
    Ok(())
}

struct Forget {
    tenant: TenantId,
    before: Timestamp,
}

#[async_trait]
impl Transaction for Forget {
    type Answer = u64;

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, u64)> {
        Ok((Outcome::Commit, rows.forget_sent(self.tenant, self.before).await?))
    }
}
