//! What is kept for a while and then goes: the trash, and versions that were replaced long ago.
//!
//! How long is the tenant's word (`trash_retention_days`, `version_retention_days`), and a share's own settings of the
//! same names go before it. Whoever restores an item in time keeps it: the sweep looks again where it removes.

use std::time::Duration;

use async_trait::async_trait;

use super::access::Right;
use super::mutation::{self, Mutation, Tx};
use super::{shares, tenants, trash, tree, versions};
use crate::Drive;
use crate::model::{Caller, Error, FileId, NodeId, Result, Share, Tenant, Timestamp, Version};

/// Items, or files, looked at in one go.
const PAGE: u32 = 500;

/// Versions of one file removed in one transaction; the next run goes on.
const VERSIONS: u32 = 1000;

const DAY: u64 = 24 * 3600;

/// Returns the time before which what a share keeps is too old; nothing where it keeps all.
fn cutoff(share: &Share, setting: &str, tenants: Option<u32>, now: Timestamp) -> Option<Timestamp> {
    let own = share.settings.get(setting).and_then(serde_json::Value::as_u64);
    let days = own.or(tenants.map(u64::from))?;
    Some(now.minus(Duration::from_secs(days.saturating_mul(DAY))))
}

/// Removes what lies in a tenant's trash for too long; returns how many items did.
pub async fn trash(drive: &Drive, tenant: &Tenant) -> Result<u64> {
    let system = tenants::system_caller(drive, tenant.id, "jobs")?;
    let kept = Some(tenant.settings.trash_retention_days);
    let mut removed = 0;
    for share in all_shares(drive, &system).await? {
        let Some(before) = cutoff(&share, "trash_retention_days", kept, drive.clock.now()) else { continue };
        // What cannot be removed now is passed over, and met again by the next run.
        let mut after = (before, NodeId::File(FileId::new(ulid::Ulid::from_parts(u64::MAX, u128::MAX))));
        loop {
            let page = drive.read().await?.trash(tenant.id, share.id, Some(after), PAGE).await?;
            for node in &page {
                removed += u64::from(mutation::run(drive, &system, Purge { id: node.id, before }).await?);
                after = (node.trashed_at.unwrap_or(before), node.id);
            }
            if page.len() < PAGE as usize {
                break;
            }
        }
    }
    Ok(removed)
}

async fn all_shares(drive: &Drive, system: &Caller) -> Result<Vec<Share>> {
    let all = shares::visible(&mut *drive.read().await?, system, true).await?;
    Ok(all.into_iter().map(|(share, _)| share).collect())
}

struct Purge {
    id: NodeId,
    before: Timestamp,
}

#[async_trait]
impl Mutation for Purge {
    type Output = bool;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let found = match tree::locked_node(tx, self.id, Right::Delete).await {
            Err(Error::NotFound) => return Ok(false),
            found => found?,
        };
        let is_due = found.node().trashed_at.is_some_and(|at| at <= self.before);
        if is_due {
            trash::purge(tx, &found).await?;
        }
        Ok(is_due)
    }
}

/// Removes versions of a tenant's files that were replaced too long ago; returns how many.
pub async fn versions(drive: &Drive, tenant: &Tenant) -> Result<u64> {
    let system = tenants::system_caller(drive, tenant.id, "jobs")?;
    let (kept, now) = (tenant.settings.version_retention_days, drive.clock.now());
    let shares = all_shares(drive, &system).await?;
    let latest = shares.iter().filter_map(|share| cutoff(share, "version_retention_days", kept, now)).max();
    let Some(latest) = latest else { return Ok(0) };
    let (mut removed, mut after) = (0, None);
    loop {
        let page = drive.read().await?.files_with_history(tenant.id, latest, after, PAGE).await?;
        for file in &page {
            removed += mutation::run(drive, &system, Prune { file: *file, kept }).await?;
        }
        after = page.last().copied();
        if page.len() < PAGE as usize {
            return Ok(removed);
        }
    }
}

struct Prune {
    file: FileId,
    kept: Option<u32>,
}

#[async_trait]
impl Mutation for Prune {
    type Output = u64;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<u64> {
        let found = match tree::locked_node(tx, self.file.into(), Right::Delete).await {
            Err(Error::NotFound) => return Ok(0),
            found => found?,
        };
        // The trash has a time of its own.
        if found.trashed_at().is_some() {
            return Ok(0);
        }
        let Some(before) = cutoff(&found.share, "version_retention_days", self.kept, tx.now) else {
            return Ok(0);
        };
        // The oldest ones: there may be more than are looked at.
        let count = tx.rows.count_versions(tx.caller.tenant, self.file).await?;
        let offset = u32::try_from(count).unwrap_or(u32::MAX).saturating_sub(VERSIONS);
        let all = tx.rows.versions(tx.caller.tenant, self.file, VERSIONS, offset).await?;
        let old: Vec<Version> = replaced_before(&all, before).cloned().collect();
        if old.is_empty() {
            return Ok(0);
        }
        versions::remove(tx, &found, &old, "file.prune_versions").await?;
        Ok(old.len() as u64)
    }
}

/// Returns the versions, of some from the newer to the older, whose successor was there before a time.
fn replaced_before(all: &[Version], before: Timestamp) -> impl Iterator<Item = &Version> {
    all.iter().zip(all.iter().skip(1)).filter(move |(next, _)| next.created_at <= before).map(|(_, old)| old)
}
