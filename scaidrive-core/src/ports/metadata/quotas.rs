//! Rows of quotas.

use async_trait::async_trait;

use super::Page;
use crate::model::{GroupId, PartnerId, Quota, QuotaTarget, Result, TenantId, Usage, UserId};

/// A quota with what its target uses, as far as one counter tells: a group's is the sum of its members'.
#[derive(Clone, Debug)]
pub struct QuotaState {
    /// The quota.
    pub quota: Quota,
    /// Bytes the target uses; nothing for a group.
    pub used: Option<i64>,
}

/// Reads quotas.
#[async_trait]
pub trait QuotaReads: Send {
    /// Returns the quota of a target.
    async fn quota(&mut self, tenant: TenantId, target: &QuotaTarget) -> Result<Option<Quota>>;
    /// Returns the quotas of these targets and of every group, each with what is used by now.
    async fn quotas_concerned(
        &mut self,
        tenant: TenantId,
        targets: &[QuotaTarget],
    ) -> Result<Vec<QuotaState>>;
    /// Returns the quotas of all users, or of all groups, by id.
    async fn quotas_of_kind(
        &mut self,
        tenant: TenantId,
        kind: &'static str,
        limit: u32,
        offset: u32,
    ) -> Result<Page<Quota>>;
    /// Returns what the users in a group, directly or through groups, use together, and who they are.
    async fn group_usage(&mut self, tenant: TenantId, group: &GroupId) -> Result<(Usage, Vec<UserId>)>;
    /// Returns the limits in bytes of those of these users that have one.
    async fn user_limits(&mut self, tenant: TenantId, users: &[UserId]) -> Result<Vec<(UserId, u64)>>;
    /// Returns what users use, by id.
    async fn user_usages(
        &mut self,
        tenant: TenantId,
        limit: u32,
        offset: u32,
    ) -> Result<Page<(UserId, Usage)>>;
    /// Returns a partner's limit; the outer nothing says that there is no such partner.
    async fn partner_limit(&mut self, partner: PartnerId) -> Result<Option<Option<u64>>>;
    /// Returns the most that each of a partner's tenants can use under its limit; nothing for one without.
    async fn tenant_limits(&mut self, partner: PartnerId) -> Result<Vec<(TenantId, Option<u64>)>>;
}

/// Writes quotas.
#[async_trait]
pub trait QuotaWrites: Send {
    /// Inserts or replaces the quota of its target.
    async fn put_quota(&mut self, tenant: TenantId, quota: &Quota) -> Result<()>;
    /// Notes how a quota stands, its warnings and its grace, and leaves what was set as it is: that may be
    /// another's to write at this very time.
    async fn note_quota(&mut self, tenant: TenantId, quota: &Quota) -> Result<()>;
    /// Removes the quota of a target; tells whether there was one.
    async fn delete_quota(&mut self, tenant: TenantId, target: &QuotaTarget) -> Result<bool>;
    /// Sets a partner's limit.
    async fn set_partner_limit(&mut self, partner: PartnerId, limit: Option<u64>) -> Result<()>;
    /// Keeps others from allocating of a partner's limit until this commits.
    async fn lock_partner(&mut self, partner: PartnerId) -> Result<()>;
}
