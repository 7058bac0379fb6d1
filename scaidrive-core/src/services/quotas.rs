//! Quotas: how much may be used, by whom; set, shown, kept.
//!
//! They are kept where usage is: inside the transaction of each change, after its counters were raised. Those rows
//! are then this transaction's own, the tenant's always among them, so that of writers who race for the last bytes
//! each sees what the others have taken.

use async_trait::async_trait;
use serde::Serialize;
use serde_json::json;

use super::access::{self, Right};
use super::delta;
use super::mutation::{self, Mutation, Tx};
use super::users::check_admin;
use crate::Drive;
use crate::model::{
    AdminRole, AuditCategory, AuditEvent, Caller, Error, GroupId, LimitType, Limits, PartnerId, Quota,
    QuotaId, QuotaTarget, ResourceKind, Result, Severity, ShareId, TenantId, Timestamp, Usage, UsageDelta,
    UsageTarget, UserId,
};
use crate::ports::{Reads, Writes};

/// Returns what a user will be charged for and is not yet: every kind of bytes that wait to become a file's counts
/// here. What is on its way in this transaction must be among its rows by now.
pub(super) async fn pending_bytes(
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
pub(super) async fn enforce(
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
pub(super) struct Warning {
    pub(super) quota: Quota,
    /// In bytes.
    pub(super) used: i64,
}

impl Warning {
    /// Returns what administrators read of it.
    pub(super) fn event(&self) -> AuditEvent {
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
pub(super) async fn check_pending(
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

/// A quota as the wire shows it; without an id where none is set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QuotaInfo {
    /// Its id.
    pub id: Option<QuotaId>,
    /// The tenant; nothing for a partner's.
    pub tenant_id: Option<TenantId>,
    /// `tenant`, `share`, `user`, `group` or `partner`.
    pub target_type: &'static str,
    /// Which.
    pub target_id: String,
    /// What was set.
    #[serde(flatten)]
    pub limits: Limits,
    /// Since when a soft limit is passed.
    pub grace_started_at: Option<Timestamp>,
    /// Whether it is not applied.
    pub exempt: bool,
    /// Why not.
    pub exempt_reason: Option<String>,
}

impl QuotaInfo {
    fn of(tenant: TenantId, target: &QuotaTarget, quota: Option<Quota>) -> Self {
        let target_id = target.id().unwrap_or_else(|| tenant.to_string());
        let (id, quota) =
            (quota.as_ref().map(|quota| quota.id), quota.unwrap_or_else(|| Quota::unlimited(target.clone())));
        Self {
            id,
            tenant_id: Some(tenant),
            target_type: target.kind(),
            target_id,
            limits: quota.limits,
            grace_started_at: quota.grace_started_at,
            exempt: quota.exempt,
            exempt_reason: quota.exempt_reason,
        }
    }

    fn of_partner(partner: PartnerId, limit_bytes: Option<u64>) -> Self {
        Self {
            id: None,
            tenant_id: None,
            target_type: "partner",
            target_id: partner.to_string(),
            limits: Limits { limit_bytes, limit_type: LimitType::Hard, ..Limits::default() },
            grace_started_at: None,
            exempt: false,
            exempt_reason: None,
        }
    }
}

/// Fails unless there is such a target, and the caller may know its quota.
async fn check_target(rows: &mut dyn Reads, caller: &Caller, target: &QuotaTarget) -> Result<()> {
    match target {
        QuotaTarget::Share(id) => access::share(rows, caller, *id, Right::Read).await.map(drop),
        QuotaTarget::Tenant => check_admin(caller),
        QuotaTarget::User(id) => {
            check_admin(caller)?;
            rows.user(caller.tenant, id).await?.map(drop).ok_or(Error::NotFound)
        }
        QuotaTarget::Group(id) => {
            check_admin(caller)?;
            rows.group(caller.tenant, id).await?.map(drop).ok_or(Error::NotFound)
        }
    }
}

/// Returns a quota; what is not set has no limit.
pub async fn get(drive: &Drive, caller: &Caller, target: &QuotaTarget) -> Result<QuotaInfo> {
    let mut rows = drive.read().await?;
    check_target(&mut *rows, caller, target).await?;
    let quota = rows.quota(caller.tenant, target).await?;
    Ok(QuotaInfo::of(caller.tenant, target, quota))
}

/// A page of quotas.
#[derive(Clone, Debug, Serialize)]
pub struct Quotas {
    /// By target.
    pub quotas: Vec<QuotaInfo>,
    /// How many there are in all.
    pub total: u64,
}

/// Returns the quotas that are set for users, or for groups.
pub async fn list(
    drive: &Drive,
    caller: &Caller,
    kind: &'static str,
    limit: u32,
    offset: u32,
) -> Result<Quotas> {
    check_admin(caller)?;
    let (found, total) = drive.read().await?.quotas_of_kind(caller.tenant, kind, limit, offset).await?;
    let info = |quota: Quota| QuotaInfo::of(caller.tenant, &quota.target.clone(), Some(quota));
    Ok(Quotas { quotas: found.into_iter().map(info).collect(), total })
}

fn check_limits(limits: &Limits) -> Result<()> {
    let thresholds = [limits.warning_threshold_1, limits.warning_threshold_2, limits.warning_threshold_3];
    if !thresholds.is_sorted() || thresholds.iter().any(|part| !(1..=100).contains(part)) {
        let message = "thresholds are percents from 1 to 100, in rising order";
        return Err(Error::invalid("warning_threshold_1", message, json!(thresholds)));
    }
    if limits.limit_bytes.is_some_and(|bytes| i64::try_from(bytes).is_err()) {
        return Err(Error::invalid("limit_bytes", "at most 2^63 - 1", limits.limit_bytes.unwrap_or(0)));
    }
    if limits.grace_period_days > 3650 || limits.grace_extra_percent > 1000 {
        let message = "a grace has at most 3650 days and 1000 percent";
        return Err(Error::invalid("grace_period_days", message, limits.grace_period_days));
    }
    Ok(())
}

/// Sets a quota of the caller's tenant: administrators of the tenant, and for the tenant itself those above it.
pub async fn set(drive: &Drive, caller: &Caller, target: QuotaTarget, limits: Limits) -> Result<QuotaInfo> {
    check_limits(&limits)?;
    check_admin(caller)?;
    if target == QuotaTarget::Tenant {
        return set_tenant(drive, caller, caller.tenant, limits).await;
    }
    mutation::run(drive, caller, Change { target, edit: Edit::Limits(limits) }).await
}

/// Sets whether a quota is applied.
pub async fn set_exempt(
    drive: &Drive,
    caller: &Caller,
    target: QuotaTarget,
    exempt: bool,
    reason: Option<String>,
) -> Result<QuotaInfo> {
    check_admin(caller)?;
    mutation::run(drive, caller, Change { target, edit: Edit::Exempt(exempt, reason) }).await
}

/// Removes a quota.
pub async fn remove(drive: &Drive, caller: &Caller, target: QuotaTarget) -> Result<()> {
    check_admin(caller)?;
    mutation::run(drive, caller, Change { target, edit: Edit::Remove }).await.map(drop)
}

struct Change {
    target: QuotaTarget,
    edit: Edit,
}

#[derive(Clone)]
enum Edit {
    Limits(Limits),
    Exempt(bool, Option<String>),
    Remove,
}

#[async_trait]
impl Mutation for Change {
    type Output = QuotaInfo;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<QuotaInfo> {
        check_admin(tx.caller)?;
        if self.target == QuotaTarget::Tenant {
            check_above(tx.caller)?;
        }
        check_target(tx.rows, tx.caller, &self.target).await?;
        let tenant = tx.caller.tenant;
        let old = tx.rows.quota(tenant, &self.target).await?;
        let id = QuotaId::new(tx.ulid());
        let mut quota = old.unwrap_or_else(|| Quota { id, ..Quota::unlimited(self.target.clone()) });
        match self.edit.clone() {
            Edit::Limits(limits) => quota.limits = limits,
            Edit::Exempt(exempt, reason) => {
                quota.exempt = exempt;
                quota.exempt_reason = reason.filter(|_| exempt);
            }
            Edit::Remove => {
                if !tx.rows.delete_quota(tenant, &self.target).await? {
                    return Err(Error::NotFound);
                }
                quota = Quota::unlimited(self.target.clone());
            }
        }
        if !matches!(self.edit, Edit::Remove) {
            tx.rows.put_quota(tenant, &quota).await?;
        }
        if self.target == QuotaTarget::Tenant {
            check_allocation(tx, tenant, quota.most()).await?;
        }
        mirror(tx, &quota).await?;
        tell(tx, tenant, &quota);
        let set = (!matches!(self.edit, Edit::Remove)).then_some(quota);
        Ok(QuotaInfo::of(tenant, &self.target, set))
    }
}

fn tell(tx: &mut Tx<'_>, tenant: TenantId, quota: &Quota) {
    // Who sets the quotas of several tenants must be told of which this is.
    let target = match &quota.target {
        QuotaTarget::Tenant => format!("tenant:{tenant}"),
        other => other.to_string(),
    };
    let payload = json!({
        "target": target, "limits": quota.limits, "exempt": quota.exempt, "exempt_reason": quota.exempt_reason,
    });
    tx.audit(AuditEvent::new(AuditCategory::Admin, "quota.set", ResourceKind::Quota, target).with(payload));
}

/// Keeps the limit that a share shows of itself.
async fn mirror(tx: &mut Tx<'_>, quota: &Quota) -> Result<()> {
    if let QuotaTarget::Share(id) = quota.target
        && let Some(mut share) = tx.rows.lock_tree(tx.caller.tenant, id).await?
    {
        share.quota_bytes = quota.limits.limit_bytes;
        tx.rows.update_share(&share).await?;
    }
    Ok(())
}

/// Sets the hard limit of a share, as creating and changing a share do.
pub(super) async fn set_share_limit(tx: &mut Tx<'_>, share: ShareId, limit_bytes: Option<u64>) -> Result<()> {
    let target = QuotaTarget::Share(share);
    let old = tx.rows.quota(tx.caller.tenant, &target).await?;
    if old.as_ref().and_then(|quota| quota.limits.limit_bytes) == limit_bytes {
        return Ok(());
    }
    let id = QuotaId::new(tx.ulid());
    let mut quota = old.unwrap_or_else(|| Quota { id, ..Quota::unlimited(target.clone()) });
    quota.limits.limit_bytes = limit_bytes;
    tx.rows.put_quota(tx.caller.tenant, &quota).await
}

/// Sets the limit of a user, or removes its quota, as creating and changing a user do; what else was set stays. What is
/// so already is no change, and nobody is told.
pub(super) async fn set_user_limit(tx: &mut Tx<'_>, user: &UserId, limit_bytes: Option<u64>) -> Result<()> {
    let target = QuotaTarget::User(user.clone());
    let old = tx.rows.quota(tx.caller.tenant, &target).await?;
    if old.as_ref().and_then(|quota| quota.limits.limit_bytes) == limit_bytes && limit_bytes.is_some() {
        return Ok(());
    }
    let edit = match (old, limit_bytes) {
        (None, None) => return Ok(()),
        (Some(_), None) => Edit::Remove,
        (old, _) => {
            let limits = old.map_or_else(|| Quota::unlimited(target.clone()).limits, |quota| quota.limits);
            Edit::Limits(Limits { limit_bytes, ..limits })
        }
    };
    Change { target, edit }.apply(tx).await.map(drop)
}

/// Sets a tenant's quota: administrators of the installation, within what its partner may allocate.
pub async fn set_tenant(
    drive: &Drive,
    caller: &Caller,
    tenant: TenantId,
    limits: Limits,
) -> Result<QuotaInfo> {
    check_limits(&limits)?;
    check_above(caller)?;
    mutation::run(drive, caller, SetTenant { tenant, limits }).await
}

fn check_above(caller: &Caller) -> Result<()> {
    if caller.admin_role == Some(AdminRole::SuperAdmin) {
        return Ok(());
    }
    Err(Error::PermissionDenied { right: "administration", resource: "partner".to_owned() })
}

struct SetTenant {
    tenant: TenantId,
    limits: Limits,
}

#[async_trait]
impl Mutation for SetTenant {
    type Output = QuotaInfo;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<QuotaInfo> {
        check_above(tx.caller)?;
        tx.rows.tenant(self.tenant).await?.ok_or(Error::NotFound)?;
        let old = tx.rows.quota(self.tenant, &QuotaTarget::Tenant).await?;
        let id = QuotaId::new(tx.ulid());
        let quota = Quota {
            limits: self.limits.clone(),
            ..old.unwrap_or_else(|| Quota { id, ..Quota::unlimited(QuotaTarget::Tenant) })
        };
        check_allocation(tx, self.tenant, quota.most()).await?;
        tx.rows.put_quota(self.tenant, &quota).await?;
        tell(tx, self.tenant, &quota);
        Ok(QuotaInfo::of(self.tenant, &QuotaTarget::Tenant, Some(quota)))
    }
}

/// Fails if what a tenant is to have is, with what its partner's other tenants have, more than the partner's limit.
async fn check_allocation(tx: &mut Tx<'_>, tenant: TenantId, wanted: Option<u64>) -> Result<()> {
    let partner = tx.rows.tenant(tenant).await?.ok_or(Error::NotFound)?.partner_id;
    tx.rows.lock_partner(partner).await?;
    let mut limits = tx.rows.tenant_limits(partner).await?;
    for (_, limit) in limits.iter_mut().filter(|(other, _)| *other == tenant) {
        *limit = wanted;
    }
    check_fits(tx.rows.partner_limit(partner).await?.flatten(), &limits)
}

/// Fails if what a partner's tenants can use is together more than the partner's own limit.
fn check_fits(most: Option<u64>, limits: &[(TenantId, Option<u64>)]) -> Result<()> {
    let Some(most) = most else { return Ok(()) };
    let sum = limits.iter().try_fold(0u128, |sum, (_, limit)| limit.map(|limit| sum + u128::from(limit)));
    if sum.is_some_and(|sum| sum <= u128::from(most)) {
        return Ok(());
    }
    let message =
        format!("the partner has {most} bytes to allocate, and every tenant needs a limit within them");
    Err(Error::invalid("limit_bytes", message, most))
}

/// Returns the quota of a partner, the caller's own where none is named.
pub async fn partner(drive: &Drive, caller: &Caller, partner: Option<PartnerId>) -> Result<QuotaInfo> {
    check_above(caller)?;
    let mut rows = drive.read().await?;
    let partner = match partner {
        Some(partner) => partner,
        None => rows.tenant(caller.tenant).await?.ok_or(Error::NotFound)?.partner_id,
    };
    let limit = rows.partner_limit(partner).await?.ok_or(Error::NotFound)?;
    Ok(QuotaInfo::of_partner(partner, limit))
}

/// Sets a partner's limit, which its tenants' limits must fit in already.
pub async fn set_partner(
    drive: &Drive,
    caller: &Caller,
    partner: PartnerId,
    limit_bytes: Option<u64>,
) -> Result<QuotaInfo> {
    check_above(caller)?;
    mutation::run(drive, caller, SetPartner { partner, limit_bytes }).await
}

struct SetPartner {
    partner: PartnerId,
    limit_bytes: Option<u64>,
}

#[async_trait]
impl Mutation for SetPartner {
    type Output = QuotaInfo;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<QuotaInfo> {
        check_above(tx.caller)?;
        tx.rows.lock_partner(self.partner).await?;
        tx.rows.partner_limit(self.partner).await?.ok_or(Error::NotFound)?;
        let limits = tx.rows.tenant_limits(self.partner).await?;
        check_fits(self.limit_bytes, &limits)?;
        tx.rows.set_partner_limit(self.partner, self.limit_bytes).await?;
        let event = AuditEvent::new(AuditCategory::Admin, "quota.set", ResourceKind::Quota, self.partner);
        tx.audit(event.with(json!({ "limit_bytes": self.limit_bytes })));
        Ok(QuotaInfo::of_partner(self.partner, self.limit_bytes))
    }
}

/// Returns a tenant's quota, to administrators of the installation.
pub async fn tenant(drive: &Drive, caller: &Caller, tenant: TenantId) -> Result<QuotaInfo> {
    check_above(caller)?;
    let mut rows = drive.read().await?;
    rows.tenant(tenant).await?.ok_or(Error::NotFound)?;
    let quota = rows.quota(tenant, &QuotaTarget::Tenant).await?;
    Ok(QuotaInfo::of(tenant, &QuotaTarget::Tenant, quota))
}

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
    let usage = drive.read().await?.usage(caller.tenant, &UsageTarget::Tenant).await?;
    Ok(UsageInfo { drift_bytes: drift, ..usage_info("tenant", caller.tenant, usage, drive.clock.now()) })
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
        let mut wanted = crate::model::UsageChanges::default();
        for (share, owner, usage) in tx.rows.recount(tenant).await? {
            wanted.charge(share, &owner, usage);
        }
        let mut off: std::collections::BTreeMap<String, (UsageTarget, Usage)> = wanted
            .into_sorted()
            .into_iter()
            .map(|(target, usage)| (target.to_string(), (target, usage)))
            .collect();
        for (key, booked) in tx.rows.usages(tenant).await? {
            let target = match off.remove(&key) {
                Some((target, mut usage)) => {
                    usage += booked.negated();
                    off.insert(key, (target, usage));
                    continue;
                }
                None => key.parse().map_err(|_| Error::internal("a counter of nothing"))?,
            };
            off.insert(key, (target, booked.negated()));
        }
        let drift: Vec<(UsageTarget, Usage)> =
            off.into_values().filter(|(_, usage)| *usage != Usage::default()).collect();
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
    let (found, total) = drive.read().await?.user_usages(caller.tenant, limit, offset).await?;
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
    let mut rows = drive.read().await?;
    rows.group(caller.tenant, id).await?.ok_or(Error::NotFound)?;
    let (usage, _) = rows.group_usage(caller.tenant, id).await?;
    Ok(usage_info("group", id, usage, drive.clock.now()))
}
