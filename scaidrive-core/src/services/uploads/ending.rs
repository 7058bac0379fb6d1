//! How sessions end, and what is removed then.
//!
//! Ending a session is a mutation; what it leaves behind is removed by a job that the mutation asks for, and whatever
//! that one missed (it died, a part was put after it) by an hourly run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use crate::Drive;
use crate::model::{Caller, Error, Queue, Result, TenantId, Timestamp, UploadId, UploadStatus};
use crate::ports::{Key, Outcome, Writes};
use crate::services::mutation::{self, Mutation, Tx};
use crate::services::tenants;
use crate::services::transaction::{Transaction, transact};

/// The job that removes what a session left behind.
pub const CLEAR: &str = "clear_upload";

/// How long a session that has ended is still known, to answer those who ask for it again.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long no session lives, in any installation, with an hour for clocks that differ.
const LONGEST_ANYWHERE: Duration = Duration::from_secs(48 * 3600);

/// Sessions, and objects, looked at in one go.
const PAGE: u32 = 500;

/// References removed in one transaction.
const REFERENCES: u32 = 1000;

/// Objects removed at once.
const REMOVALS: usize = 8;

/// Gives a session up; once it was given up, that is done.
pub async fn abort(drive: &Drive, caller: &Caller, id: UploadId) -> Result<()> {
    mutation::run(drive, caller, Abort { id }).await
}

struct Abort {
    id: UploadId,
}

#[async_trait]
impl Mutation for Abort {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<()> {
        let row = tx.rows.lock_upload(tx.caller.tenant, self.id).await?;
        let row = row.filter(|row| row.user == tx.caller.user).ok_or(Error::NotFound)?;
        if row.status == UploadStatus::Aborted {
            return Ok(());
        }
        row.check_live(tx.now)?;
        end(tx, row, UploadStatus::Aborted, "upload.abort").await
    }
}

/// Ends a session because its time is over, if it is.
struct Expire {
    id: UploadId,
}

#[async_trait]
impl Mutation for Expire {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<()> {
        let row = tx.rows.lock_upload(tx.caller.tenant, self.id).await?;
        match row.filter(|row| row.status.is_live() && row.expires_at <= tx.now) {
            Some(row) => end(tx, row, UploadStatus::Expired, "upload.expire").await,
            None => Ok(()),
        }
    }
}

async fn end(
    tx: &mut Tx<'_>,
    mut row: crate::ports::metadata::UploadRow,
    how: UploadStatus,
    action: &'static str,
) -> Result<()> {
    row.end(how, tx.now);
    tx.rows.update_upload(&row).await?;
    tx.audit(row.audit(action));
    tx.job(Queue::Low, CLEAR, format!("{CLEAR}:{}", row.id), json!({ "upload": row.id }), tx.now);
    Ok(())
}

/// Removes what a session that has ended left behind: its parts, and its references to chunks.
pub async fn clear(drive: &Drive, tenant: TenantId, id: UploadId) -> Result<()> {
    let found = drive.read().await?.upload(tenant, id).await?;
    if found.is_some_and(|row| row.status.is_live()) {
        return Ok(());
    }
    let keys = drive.blobs.list(&Key::parts_of(id)).map_ok(|meta| meta.key).try_collect().await?;
    remove(drive, keys).await?;
    while !transact(drive, DropReferences { tenant, id }).await? {}
    Ok(())
}

async fn remove(drive: &Drive, keys: Vec<Key>) -> Result<()> {
    let removals = keys.into_iter().map(|key| async move { drive.blobs.delete(&key).await });
    stream::iter(removals).buffer_unordered(REMOVALS).try_collect().await
}

/// Removes some of a session's references, the parts' rows with the last; tells whether none is left.
struct DropReferences {
    tenant: TenantId,
    id: UploadId,
}

#[async_trait]
impl Transaction for DropReferences {
    type Answer = bool;

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, bool)> {
        let now = rows.now().await?;
        let is_last = rows.drop_upload_chunks(self.tenant, self.id, REFERENCES, now).await?;
        if is_last {
            rows.drop_upload_parts(self.tenant, self.id).await?;
        }
        Ok((Outcome::Commit, is_last))
    }
}

/// Ends a tenant's sessions whose time is over, removes what others left behind, and forgets those of long ago.
pub async fn sweep(drive: &Drive, tenant: TenantId) -> Result<()> {
    let now = drive.clock.now();
    let system = tenants::system_caller(drive, tenant, "jobs")?;
    loop {
        let page = drive.read().await?.overdue_uploads(tenant, now, PAGE).await?;
        for id in &page {
            mutation::run(drive, &system, Expire { id: *id }).await?;
        }
        if page.len() < PAGE as usize {
            break;
        }
    }
    loop {
        let page = drive.read().await?.leftover_uploads(tenant, PAGE).await?;
        for id in &page {
            clear(drive, tenant, *id).await?;
        }
        if page.len() < PAGE as usize {
            break;
        }
    }
    transact(drive, Forget { tenant, before: now.minus(REMEMBERED) }).await
}

struct Forget {
    tenant: TenantId,
    before: Timestamp,
}

#[async_trait]
impl Transaction for Forget {
    type Answer = ();

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, ())> {
        rows.forget_uploads(self.tenant, self.before).await?;
        Ok((Outcome::Commit, ()))
    }
}

/// Removes parts of sessions that can never need them again; returns how many.
///
/// That are those that have ended, and those that nobody knows and that were made longer ago than any may live, as
/// their ids tell: a younger one may belong to another installation that keeps its objects in the same place.
pub async fn sweep_orphans(drive: &Drive) -> Result<u64> {
    let oldest = drive.clock.now().minus(LONGEST_ANYWHERE);
    let is_old =
        |id: &UploadId| i64::try_from(id.ulid().timestamp_ms()).is_ok_and(|ms| ms < oldest.as_secs() * 1000);
    let mut removed = 0;
    let mut pages = drive.blobs.list(&Key::all_parts()).try_chunks(PAGE as usize);
    while let Some(page) = pages.try_next().await.map_err(|error| error.1)? {
        let parts: Vec<(UploadId, Key)> =
            page.into_iter().filter_map(|meta| Some((meta.key.as_part()?, meta.key))).collect();
        let ids: BTreeSet<UploadId> = parts.iter().map(|(id, _)| *id).collect();
        let ids: Vec<UploadId> = ids.into_iter().collect();
        let known: BTreeMap<UploadId, UploadStatus> =
            drive.read().await?.upload_statuses(&ids).await?.into_iter().collect();
        let is_orphan = |id: &UploadId| known.get(id).map_or_else(|| is_old(id), |status| !status.is_live());
        let orphans: Vec<Key> =
            parts.into_iter().filter(|(id, _)| is_orphan(id)).map(|(_, key)| key).collect();
        removed += orphans.len() as u64;
        remove(drive, orphans).await?;
    }
    Ok(removed)
}
