//! Collection: removes what nothing refers to, and never what something does (design §5).
//!
//! `tests/collection_model` proves the protocol: touch before reference, mark before delete, look for
//! references after marking, and keep a marked row until no delete of it can still be on its way.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::Serialize;

use super::delta;
use super::transaction::{Transaction, transact};
use crate::Drive;
use crate::model::{ChunkHash, ChunkState, ContentId, Error, Result, TenantId, Timestamp};
use crate::ports::{Key, Outcome, Writes};

/// How long a row stays `deleting` after the last attempt began: three times a delete's deadline.
pub const QUARANTINE: Duration = Duration::from_secs(60);

/// How long after its mark a delete may still be on its way.
const DELETE_DEADLINE: Duration = Duration::from_secs(20);

/// Candidates looked at in one go.
const PAGE: u32 = 500;

/// What a collection did, or would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Contents that no version refers to, removed with their chunk lists.
    pub contents: u64,
    /// Chunks whose objects were removed.
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Chunk rows freed after their quarantine.
    pub freed_rows: u64,
    /// Objects whose removal failed; the next run tries again.
    pub failed: u64,
}

/// How a collection runs.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What was needed more recently stays.
    pub grace: Duration,
    /// Only tells what it would do.
    pub dry_run: bool,
    /// How long a row stays after its object's removal began; never less than [`QUARANTINE`] but in tests.
    pub quarantine: Duration,
}

impl Plan {
    /// Returns the plan of a scheduled run.
    pub fn scheduled(drive: &Drive) -> Self {
        Self { grace: drive.gc_grace, dry_run: false, quarantine: QUARANTINE }
    }
}

/// Collects what a tenant does not need any more.
///
/// A failing listing or query ends the run with its error: it is never taken for "nothing there".
pub async fn run(drive: &Drive, tenant: TenantId, plan: Plan) -> Result<Collected> {
    let mut done = Collected::default();
    if !plan.dry_run {
        delta::forget(drive, tenant).await?;
    }
    let now = drive.meta.now().await?;
    let cutoff = now.minus(plan.grace);
    resume(drive, tenant, plan, &mut done).await?;
    contents(drive, tenant, plan, cutoff, &mut done).await?;
    chunks(drive, tenant, plan, cutoff, &mut done).await?;
    Ok(done)
}

/// Ends what an earlier run began: tries deletes again that may have failed, frees rows after their quarantine.
async fn resume(drive: &Drive, tenant: TenantId, plan: Plan, done: &mut Collected) -> Result<()> {
    let mut after = None;
    loop {
        let page = drive.read().await?.deleting_chunks(tenant, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.hash);
        if plan.dry_run {
            continue;
        }
        for row in page {
            let rested = drive.meta.now().await?.minus(plan.quarantine);
            if row.delete_began_at.is_none_or(|began| began >= rested) {
                continue;
            }
            // The delete may never have reached the store: look, and try once more if it did not.
            match drive.blobs.head(&Key::chunk(tenant, row.hash)).await? {
                Some(_) => {
                    remove(
                        drive,
                        tenant,
                        row.hash,
                        Claim::Again { not_since: rested },
                        u64::from(row.size),
                        done,
                    )
                    .await?;
                }
                None => done.freed_rows += u64::from(free(drive, tenant, row.hash, rested).await?),
            }
        }
    }
}

async fn contents(
    drive: &Drive,
    tenant: TenantId,
    plan: Plan,
    cutoff: Timestamp,
    done: &mut Collected,
) -> Result<()> {
    let mut after = None;
    loop {
        let page = drive.read().await?.unused_contents(tenant, cutoff, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(*last);
        for id in page {
            let gone = plan.dry_run || transact(drive, Step::RemoveContent { tenant, id, cutoff }).await?;
            done.contents += u64::from(gone);
        }
    }
}

async fn chunks(
    drive: &Drive,
    tenant: TenantId,
    plan: Plan,
    cutoff: Timestamp,
    done: &mut Collected,
) -> Result<()> {
    let mut after = None;
    loop {
        let page = drive.read().await?.unused_chunks(tenant, cutoff, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.hash);
        for row in page {
            if plan.dry_run {
                debug_assert_ne!(row.state, ChunkState::Deleting);
                done.chunks += 1;
                done.bytes += u64::from(row.size);
            } else {
                remove(drive, tenant, row.hash, Claim::First { cutoff }, u64::from(row.size), done).await?;
            }
        }
    }
}

/// How a removal makes a row its own.
#[derive(Clone, Copy)]
enum Claim {
    First { cutoff: Timestamp },
    Again { not_since: Timestamp },
}

/// Marks a chunk and removes its object. The row goes in a later run, after its quarantine.
async fn remove(
    drive: &Drive,
    tenant: TenantId,
    hash: ChunkHash,
    claim: Claim,
    size: u64,
    done: &mut Collected,
) -> Result<()> {
    let step = match claim {
        Claim::First { cutoff } => Step::MarkDeleting { tenant, hash, cutoff },
        Claim::Again { not_since } => Step::RenewDeleting { tenant, hash, not_since },
    };
    let began = Instant::now();
    if !transact(drive, step).await? {
        return Ok(());
    }
    // The quarantine counts from the mark: a delete that is sent long after it could outlive the row.
    let Some(left) = DELETE_DEADLINE.checked_sub(began.elapsed()) else {
        done.failed += 1;
        return Ok(());
    };
    let deleted = tokio::time::timeout(left, drive.blobs.delete(&Key::chunk(tenant, hash))).await;
    match deleted.unwrap_or_else(|_| Err(Error::unavailable("the object store", QUARANTINE))) {
        Ok(()) => {
            done.chunks += 1;
            done.bytes += size;
        }
        Err(error) => {
            tracing::warn!(%error, chunk = %hash, "a chunk's object could not be removed; the next run tries again");
            done.failed += 1;
        }
    }
    Ok(())
}

async fn free(drive: &Drive, tenant: TenantId, hash: ChunkHash, began_before: Timestamp) -> Result<bool> {
    transact(drive, Step::FreeRow { tenant, hash, began_before }).await
}

/// One step of the protocol, each in a transaction of its own.
#[derive(Clone, Copy)]
enum Step {
    RemoveContent { tenant: TenantId, id: ContentId, cutoff: Timestamp },
    MarkDeleting { tenant: TenantId, hash: ChunkHash, cutoff: Timestamp },
    RenewDeleting { tenant: TenantId, hash: ChunkHash, not_since: Timestamp },
    FreeRow { tenant: TenantId, hash: ChunkHash, began_before: Timestamp },
}

#[async_trait]
impl Transaction for Step {
    type Answer = bool;

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, bool)> {
        let now = rows.now().await?;
        let took = match *self {
            Step::RemoveContent { tenant, id, cutoff } => {
                rows.remove_content(tenant, id, cutoff, now).await?
            }
            Step::MarkDeleting { tenant, hash, cutoff } => {
                rows.mark_deleting(tenant, hash, cutoff, now).await?
            }
            Step::RenewDeleting { tenant, hash, not_since } => {
                rows.renew_deleting(tenant, hash, not_since, now).await?
            }
            Step::FreeRow { tenant, hash, began_before } => {
                rows.remove_deleted(tenant, hash, began_before).await?
            }
        };
        // A chunk or content that is needed after all stays as it was.
        Ok((if took { Outcome::Commit } else { Outcome::RollBack }, took))
    }
}
