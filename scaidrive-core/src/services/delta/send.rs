//! Chunks that a client sends before it tells which content they are for.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;

use super::{REMEMBERED, since};
use crate::Drive;
use crate::model::{Caller, Chunk, ChunkHash, Error, Result, ShareId, TenantId, Timestamp, UserId};
use crate::ports::{Outcome, Reads, Writes};
use crate::services::transaction::{Transaction, transact};
use crate::services::{access, ingest, quotas};

/// How long what was sent is kept: longer than it counts, so that nothing is forgotten while it is renewed.
const KEPT: Duration = REMEMBERED.saturating_add(Duration::from_secs(3600));

/// How often chunks whose touches grew too old are stored again.
const ATTEMPTS: u32 = 3;

/// Fails unless the caller may send chunks for a share: it must have READ on it, and CREATE or WRITE somewhere in it.
///
/// Where exactly is judged when a file is made of them: an entry below the root that allows either is enough here.
pub async fn check_send(drive: &Drive, caller: &Caller, share: ShareId) -> Result<()> {
    access::may_write_in(&mut *drive.read().await?, caller, share).await
}

/// Stores chunks whose hashes are verified, and remembers who sent them; returns those that the caller had not sent
/// in the last 24 h.
///
/// When this returns they are durable, and kept for 24 h whatever happens. So long they are the caller's pending
/// bytes, but for those that it makes a file of.
pub async fn send(drive: &Drive, caller: &Caller, chunks: &[Chunk]) -> Result<HashSet<ChunkHash>> {
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
