//! What is used, by whom: shown, and proven by a recount.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::json;

use crate::Drive;
use crate::model::{
    AuditCategory, AuditEvent, Caller, Error, GroupId, ResourceKind, Result, Severity, TenantId, Timestamp,
    Usage, UsageChanges, UsageTarget, UserId,
};
use crate::ports::Reads;
use crate::services::mutation::{self, Mutation, Tx};
use crate::services::tenants;
use crate::services::users::check_admin;

/// What a target uses.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UsageInfo {
    /// `tenant`, `user` or `group`.
    pub target_type: &'static str,
    /// Which.
    pub target_id: String,
    /// All bytes: current, old versions and trash.
    pub used_bytes: i64,
    /// Files outside the trash.
    pub file_count: i64,
    /// Folders outside the trash.
    pub folder_count: i64,
    /// Bytes of old versions.
    pub version_bytes: i64,
    /// Bytes in the trash.
    pub trash_bytes: i64,
    /// As of when.
    pub calculated_at: Timestamp,
    /// By how many bytes the books were wrong, where a recount was asked for: always 0, or somebody must look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift_bytes: Option<i64>,
}

fn usage_info(kind: &'static str, id: impl ToString, usage: Usage, at: Timestamp) -> UsageInfo {
    UsageInfo {
        target_type: kind,
        target_id: id.to_string(),
        used_bytes: usage.total_bytes(),
        file_count: usage.file_count,
        folder_count: usage.folder_count,
        version_bytes: usage.version_bytes,
        trash_bytes: usage.trash_bytes,
        calculated_at: at,
        drift_bytes: None,
    }
}

/// Returns what the tenant uses; `recalculate` counts all of it anew and mends the books where they are wrong.
pub async fn tenant_usage(drive: &Drive, caller: &Caller, recalculate: bool) -> Result<UsageInfo> {
    check_admin(caller)?;
    let drift = if recalculate { Some(mutation::run(drive, caller, Recount).await?) } else { None };
    let read =
        |mut rows: Box<dyn Reads>| async move { rows.usage(caller.tenant, &UsageTarget::Tenant).await };
    let usage = drive.report(read).await?;
    Ok(UsageInfo { drift_bytes: drift, ..usage_info("tenant", caller.tenant, usage, drive.clock.now()) })
}

/// Counts everything anew, and mends the books of a tenant where they are wrong; returns by how many bytes they were.
///
/// It looks first without keeping anybody from anything: only what is wrong is counted while nobody can change it.
pub async fn prove(drive: &Drive, tenant: TenantId) -> Result<u64> {
    let mut rows = drive.meta.snapshot().await?;
    let drift = drift(&mut *rows, tenant).await?;
    drop(rows);
    if drift.is_empty() {
        return Ok(0);
    }
    for (target, off) in &drift {
        tracing::error!(tenant_id = %tenant, %target, ?off, "what is used was miscounted; it is mended");
    }
    let caller = tenants::system_caller(drive, tenant, "jobs")?;
    let bytes = mutation::run(drive, &caller, Recount).await?.unsigned_abs();
    drive.drifted.add(tenant, usize::try_from(bytes).unwrap_or(usize::MAX));
    Ok(bytes)
}

/// Counts everything anew; returns what the counters are off by, as of one instant if the rows are.
async fn drift(rows: &mut dyn Reads, tenant: TenantId) -> Result<Vec<(UsageTarget, Usage)>> {
    let mut wanted = UsageChanges::default();
    for (share, owner, usage) in rows.recount(tenant).await? {
        wanted.charge(share, &owner, usage);
    }
    let counted = wanted.into_sorted().into_iter();
    let mut off: BTreeMap<String, (UsageTarget, Usage)> =
        counted.map(|(target, usage)| (target.to_string(), (target, usage))).collect();
    for (key, booked) in rows.usages(tenant).await? {
        match off.get_mut(&key) {
            Some((_, usage)) => *usage += booked.negated(),
            None => {
                let target = key.parse().map_err(|_| Error::internal("a counter of nothing"))?;
                off.insert(key, (target, booked.negated()));
            }
        }
    }
    Ok(off.into_values().filter(|(_, usage)| *usage != Usage::default()).collect())
}

/// Counts everything anew while nobody can change it, and charges what the counters are off by.
struct Recount;

#[async_trait]
impl Mutation for Recount {
    type Output = i64;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<i64> {
        let tenant = tx.caller.tenant;
        // Whoever commits a change raises this row first: what is committed is counted on both sides, and nothing else.
        tx.rows.advance(tenant, &[(UsageTarget::Tenant, Usage::default())], 0).await?;
        let drift = drift(tx.rows, tenant).await?;
        let bytes = drift.iter().map(|(_, usage)| usage.total_bytes().abs()).max().unwrap_or(0);
        let event = AuditEvent::new(AuditCategory::Admin, "quota.recalculate", ResourceKind::Tenant, tenant);
        let severity = if drift.is_empty() { Severity::Info } else { Severity::Critical };
        tx.audit(AuditEvent { severity, ..event }.with(json!({ "drift_bytes": bytes })));
        if !drift.is_empty() {
            tx.rows.advance(tenant, &drift, 0).await?;
        }
        Ok(bytes)
    }
}

/// A page of what users use.
#[derive(Clone, Debug, Serialize)]
pub struct UserUsages {
    /// By id.
    pub usage: Vec<UsageInfo>,
    /// How many there are in all.
    pub total: u64,
}

/// Returns what users use, by id.
pub async fn user_usages(drive: &Drive, caller: &Caller, limit: u32, offset: u32) -> Result<UserUsages> {
    check_admin(caller)?;
    let now = drive.clock.now();
    let read = |mut rows: Box<dyn Reads>| async move { rows.user_usages(caller.tenant, limit, offset).await };
    let (found, total) = drive.report(read).await?;
    let usage = found.into_iter().map(|(id, usage)| usage_info("user", id, usage, now)).collect();
    Ok(UserUsages { usage, total })
}

/// Returns what a user uses: its own business, and the administrators'.
pub async fn user_usage(drive: &Drive, caller: &Caller, id: &UserId) -> Result<UsageInfo> {
    let mut rows = drive.read().await?;
    if *id != caller.user {
        check_admin(caller)?;
        rows.user(caller.tenant, id).await?.ok_or(Error::NotFound)?;
    }
    let usage = rows.usage(caller.tenant, &UsageTarget::User(id.clone())).await?;
    Ok(usage_info("user", id, usage, drive.clock.now()))
}

/// Returns what the users in a group use together.
pub async fn group_usage(drive: &Drive, caller: &Caller, id: &GroupId) -> Result<UsageInfo> {
    check_admin(caller)?;
    let usage = drive
        .report(|mut rows| async move {
            rows.group(caller.tenant, id).await?.ok_or(Error::NotFound)?;
            Ok(rows.group_usage(caller.tenant, id).await?.0)
        })
        .await?;
    Ok(usage_info("group", id, usage, drive.clock.now()))
}
