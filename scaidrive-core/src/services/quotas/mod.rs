//! Quotas: how much may be used, by whom; set, shown, kept.
//!
//! They are kept where usage is: inside the transaction of each change, after its counters were raised. Those rows
//! are then this transaction's own, the tenant's always among them, so that of writers who race for the last bytes
//! each sees what the others have taken.

mod enforce;
mod usage;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::json;

pub(super) use self::enforce::{Warning, check_pending, enforce};
pub use self::usage::{UsageInfo, UserUsages, group_usage, prove, tenant_usage, user_usage, user_usages};
use super::access::{self, Right};
use super::mutation::{self, Mutation, Tx};
use super::users::check_admin;
use crate::Drive;
use crate::model::{
    AdminRole, AuditCategory, AuditEvent, Caller, Error, LimitType, Limits, PartnerId, Quota, QuotaId,
    QuotaTarget, ResourceKind, Result, ShareId, TenantId, Timestamp, UserId,
};
use crate::ports::Reads;

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
