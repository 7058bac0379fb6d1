//! Quotas kept: every change is judged by those that it concerns, inside its own transaction.

use serde_json::json;

use crate::model::{
    AuditCategory, AuditEvent, Error, Quota, QuotaTarget, ResourceKind, Result, Severity, TenantId,
    Timestamp, UsageDelta, UsageTarget, UserId,
};
use crate::ports::{Reads, Writes};
use crate::services::delta;

/// Returns what a user will be charged for and is not yet: every kind of bytes that wait to become a file's counts
/// here. What is on its way in this transaction must be among its rows by now.
pub(in crate::services) async fn pending_bytes(
    rows: &mut dyn Reads,
    tenant: TenantId,
    user: &UserId,
    now: Timestamp,
) -> Result<i64> {
    let since = delta::since(rows.now().await?);
    let chunks = rows.pending_chunk_bytes(tenant, user, since).await?;
    Ok(rows.pending_uploads(tenant, user, now).await?.saturating_add(chunks))
}

/// Judges a change by every quota that it concerns; returns the thresholds that were passed, or fails with
/// `QuotaExceeded`. Called with the counters as the change leaves them.
///
/// What is `announced` needs room as if it were used, but is charged to nobody yet.
pub(in crate::services) async fn enforce(
    rows: &mut dyn Writes,
    tenant: TenantId,
    deltas: &[(UsageTarget, UsageDelta)],
    announced: &[(QuotaTarget, u64)],
    now: Timestamp,
) -> Result<Vec<Warning>> {
    let changed = deltas.iter().filter(|(_, delta)| delta.total_bytes() != 0);
    let mut targets: Vec<QuotaTarget> = changed.map(|(target, _)| target.into()).collect();
    targets.extend(announced.iter().map(|(target, _)| target.clone()));
    if targets.is_empty() {
        return Ok(Vec::new());
    }
    let mut news = Vec::new();
    for state in rows.quotas_concerned(tenant, &targets).await? {
        let (used, concerned) = match (&state.quota.target, state.used) {
            (QuotaTarget::Group(group), _) => {
                let (usage, users) = rows.group_usage(tenant, group).await?;
                let in_group =
                    |target: &&QuotaTarget| matches!(target, QuotaTarget::User(id) if users.contains(id));
                let concerned: Vec<QuotaTarget> = targets.iter().filter(in_group).cloned().collect();
                if concerned.is_empty() {
                    continue;
                }
                (usage.total_bytes(), concerned)
            }
            (target, used) => (used.unwrap_or(0), vec![target.clone()]),
        };
        let mut standing = Standing::of(used, &concerned, deltas, announced);
        if let (QuotaTarget::User(user), true) = (&state.quota.target, standing.is_growing) {
            standing.pending = pending_bytes(rows, tenant, user, now).await?;
        }
        news.extend(judge(rows, tenant, state.quota, standing, now).await?);
    }
    Ok(news)
}

/// How a quota's target stands after a change.
struct Standing {
    used: i64,
    /// What will be used, as far as that is known.
    pending: i64,
    is_growing: bool,
}

impl Standing {
    fn of(
        used: i64,
        concerned: &[QuotaTarget],
        deltas: &[(UsageTarget, UsageDelta)],
        announced: &[(QuotaTarget, u64)],
    ) -> Self {
        let adds = |(target, delta): &(UsageTarget, UsageDelta)| {
            delta.total_bytes() > 0 && concerned.contains(&target.into())
        };
        let announced = announced.iter().filter(|(target, _)| concerned.contains(target));
        let pending =
            announced.map(|(_, bytes)| i64::try_from(*bytes).unwrap_or(i64::MAX)).max().unwrap_or(0);
        Self { used, pending, is_growing: pending > 0 || deltas.iter().any(adds) }
    }
}

async fn judge(
    rows: &mut dyn Writes,
    tenant: TenantId,
    mut quota: Quota,
    standing: Standing,
    now: Timestamp,
) -> Result<Option<Warning>> {
    let verdict = quota.judge(standing.used, now);
    if standing.is_growing && !quota.judge(standing.used.saturating_add(standing.pending), now).may_grow {
        return Err(Error::QuotaExceeded { level: quota.target.kind() });
    }
    let warns = verdict.passed > quota.warned;
    if verdict.passed != quota.warned || verdict.grace_started_at != quota.grace_started_at {
        quota.warned = verdict.passed;
        quota.grace_started_at = verdict.grace_started_at;
        rows.note_quota(tenant, &quota).await?;
    }
    Ok(warns.then_some(Warning { quota, used: standing.used }))
}

/// A quota that passed a threshold.
pub(in crate::services) struct Warning {
    pub(in crate::services) quota: Quota,
    /// In bytes.
    pub(in crate::services) used: i64,
}

impl Warning {
    /// Returns what administrators read of it.
    pub(in crate::services) fn event(&self) -> AuditEvent {
        let Self { quota, used } = self;
        let payload = json!({
            "target_type": quota.target.kind(), "target_id": quota.target.id(), "threshold": quota.warned,
            "used_bytes": used, "limit_bytes": quota.limits.limit_bytes,
        });
        let severity = if quota.warned >= 3 { Severity::Critical } else { Severity::Warning };
        let event = AuditEvent::new(AuditCategory::Admin, "quota.warning", ResourceKind::Quota, quota.id);
        AuditEvent { severity, ..event }.with(payload)
    }
}

/// Fails with `QuotaExceeded` unless so much more fits into the user's quota, beside what it uses and has pending.
pub(in crate::services) async fn check_pending(
    rows: &mut dyn Reads,
    tenant: TenantId,
    user: &UserId,
    more: u64,
) -> Result<()> {
    let Some(quota) = rows.quota(tenant, &QuotaTarget::User(user.clone())).await? else { return Ok(()) };
    if more == 0 || quota.limits.limit_bytes.is_none() {
        return Ok(());
    }
    let used = rows.usage(tenant, &UsageTarget::User(user.clone())).await?.total_bytes();
    let now = rows.now().await?;
    let pending = pending_bytes(rows, tenant, user, now).await?;
    let all = used.saturating_add(pending).saturating_add(i64::try_from(more).unwrap_or(i64::MAX));
    let may_grow = quota.judge(all, now).may_grow;
    if may_grow { Ok(()) } else { Err(Error::QuotaExceeded { level: quota.target.kind() }) }
}
