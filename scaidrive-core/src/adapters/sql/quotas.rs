//! Queries of quotas.

use async_trait::async_trait;

use super::SqlRows;
use super::statement::{SqlRow, Statement, sql};
use crate::model::{
    GroupId, Limits, PartnerId, Principal, Quota, QuotaTarget, Result, TenantId, Timestamp, Usage, UserId,
};
use crate::ports::metadata::{Page, QuotaReads, QuotaState, QuotaWrites};

const QUOTA: &str = "q.id, q.target, q.limit_bytes, q.limit_type, q.warning_1, q.warning_2, q.warning_3, q.grace_days, \
     q.grace_percent, q.grace_started_at, q.exempt, q.exempt_reason, q.warned";

fn quota(row: &SqlRow) -> Result<Quota> {
    Ok(Quota {
        id: row.parse(0)?,
        target: row.parse_raw(1)?,
        limits: Limits {
            limit_bytes: limit(row, 2)?,
            limit_type: row.parse(3)?,
            warning_threshold_1: row.small(4)?,
            warning_threshold_2: row.small(5)?,
            warning_threshold_3: row.small(6)?,
            grace_period_days: row.small(7)?,
            grace_extra_percent: row.small(8)?,
        },
        grace_started_at: row.opt_time(9)?,
        exempt: row.int(10)? != 0,
        exempt_reason: row.opt_string(11)?,
        warned: row.small(12)?,
    })
}

fn limit(row: &SqlRow, column: usize) -> Result<Option<u64>> {
    Ok(row.opt_int(column)?.map(|bytes| u64::try_from(bytes).unwrap_or(0)))
}

fn bytes(limit: Option<u64>) -> Option<i64> {
    limit.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX))
}

fn usage(row: &SqlRow, at: usize) -> Result<Usage> {
    Ok(Usage {
        file_bytes: row.int(at)?,
        version_bytes: row.int(at + 1)?,
        trash_bytes: row.int(at + 2)?,
        file_count: row.int(at + 3)?,
        folder_count: row.int(at + 4)?,
    })
}

/// Narrows to targets of a kind: what begins with `kind:` lies between it and `kind;`.
fn of_kind(query: Statement, kind: &str) -> Statement {
    query.raw(&format!("{kind}:")).raw(&format!("{kind};"))
}

#[async_trait]
impl QuotaReads for SqlRows<'_> {
    async fn quota(&mut self, tenant: TenantId, target: &QuotaTarget) -> Result<Option<Quota>> {
        let query = sql(format!("SELECT {QUOTA} FROM quotas q WHERE q.tenant_id = ? AND q.target = ?"));
        let query = query.text(tenant).raw(&target.to_string());
        self.conn.fetch_one(query).await?.as_ref().map(quota).transpose()
    }

    async fn quotas_concerned(
        &mut self,
        tenant: TenantId,
        targets: &[QuotaTarget],
    ) -> Result<Vec<QuotaState>> {
        let query = sql(format!(
            "SELECT {QUOTA}, c.file_bytes + c.version_bytes + c.trash_bytes FROM quotas q \
             LEFT JOIN counters c ON c.tenant_id = q.tenant_id AND c.target = q.target \
             WHERE q.tenant_id = ? AND ((q.target >= ? AND q.target < ?) OR q.target IN "
        ));
        let query = of_kind(query.text(tenant), "group").push_raw_list(targets).push(")");
        let state = |row: &SqlRow| {
            let quota = quota(row)?;
            let used = match quota.target {
                QuotaTarget::Group(_) => None,
                _ => Some(row.opt_int(13)?.unwrap_or(0)),
            };
            Ok(QuotaState { quota, used })
        };
        self.conn.fetch(query).await?.iter().map(state).collect()
    }

    async fn quotas_of_kind(
        &mut self,
        tenant: TenantId,
        kind: &'static str,
        limit: u32,
        offset: u32,
    ) -> Result<Page<Quota>> {
        const RANGE: &str = "FROM quotas q WHERE q.tenant_id = ? AND q.target >= ? AND q.target < ?";
        let count = of_kind(sql(format!("SELECT COUNT(*) {RANGE}")).text(tenant), kind);
        let total = self.conn.fetch_number(count).await?;
        let page = of_kind(sql(format!("SELECT {QUOTA} {RANGE}")).text(tenant), kind);
        let page = page.push(" ORDER BY q.target LIMIT ? OFFSET ?").bind(limit).bind(offset);
        let quotas = self.conn.fetch(page).await?.iter().map(quota).collect::<Result<_>>()?;
        Ok((quotas, u64::try_from(total).unwrap_or(0)))
    }

    async fn group_usage(&mut self, tenant: TenantId, group: &GroupId) -> Result<(Usage, Vec<UserId>)> {
        let query = sql("WITH RECURSIVE g (member, depth) AS ( \
             SELECT member, 1 FROM group_members WHERE tenant_id = ? AND holder = ? \
             UNION SELECT c.member, g.depth + 1 FROM g CROSS JOIN group_members c \
             ON c.tenant_id = ? AND c.holder = g.member WHERE g.depth < 8) \
             SELECT m.member, COALESCE(c.file_bytes, 0), COALESCE(c.version_bytes, 0), COALESCE(c.trash_bytes, 0), \
             COALESCE(c.file_count, 0), COALESCE(c.folder_count, 0) FROM (SELECT DISTINCT member FROM g) m \
             LEFT JOIN counters c ON c.tenant_id = ? AND c.target = m.member");
        let holder = Principal::Group(group.clone()).to_string();
        let rows = self.conn.fetch(query.text(tenant).raw(&holder).text(tenant).text(tenant)).await?;
        let (mut sum, mut users) = (Usage::default(), Vec::new());
        for row in &rows {
            if let Principal::User(id) = row.parse_raw(0)? {
                sum += usage(row, 1)?;
                users.push(id);
            }
        }
        Ok((sum, users))
    }

    async fn user_limits(&mut self, tenant: TenantId, users: &[UserId]) -> Result<Vec<(UserId, u64)>> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let targets = users.iter().cloned().map(QuotaTarget::User);
        let query = sql(
            "SELECT target, limit_bytes FROM quotas WHERE tenant_id = ? AND limit_bytes IS NOT NULL AND target IN ",
        );
        let mut found = Vec::new();
        for row in self.conn.fetch(query.text(tenant).push_raw_list(targets)).await? {
            if let QuotaTarget::User(id) = row.parse_raw(0)? {
                found.push((id, row.unsigned(1)?));
            }
        }
        Ok(found)
    }

    async fn user_usages(
        &mut self,
        tenant: TenantId,
        limit: u32,
        offset: u32,
    ) -> Result<Page<(UserId, Usage)>> {
        const RANGE: &str = "FROM counters WHERE tenant_id = ? AND target >= ? AND target < ?";
        let count = of_kind(sql(format!("SELECT COUNT(*) {RANGE}")).text(tenant), "user");
        let total = self.conn.fetch_number(count).await?;
        let page = sql(format!(
            "SELECT target, file_bytes, version_bytes, trash_bytes, file_count, folder_count {RANGE} \
             ORDER BY target LIMIT ? OFFSET ?"
        ));
        let rows = self.conn.fetch(of_kind(page.text(tenant), "user").bind(limit).bind(offset)).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            if let Principal::User(id) = row.parse_raw(0)? {
                found.push((id, usage(row, 1)?));
            }
        }
        Ok((found, u64::try_from(total).unwrap_or(0)))
    }

    async fn partner_limit(&mut self, partner: PartnerId) -> Result<Option<Option<u64>>> {
        let query = sql("SELECT quota_bytes FROM partners WHERE id = ?").text(partner);
        self.conn.fetch_one(query).await?.map(|row| limit(&row, 0)).transpose()
    }

    async fn tenant_limits(&mut self, partner: PartnerId) -> Result<Vec<(TenantId, Option<u64>)>> {
        let query = sql(format!(
            "SELECT {QUOTA}, t.id FROM tenants t \
             LEFT JOIN quotas q ON q.tenant_id = t.id AND q.target = ? WHERE t.partner_id = ? ORDER BY t.id"
        ))
        .raw(&QuotaTarget::Tenant.to_string())
        .text(partner);
        let most = |row: &SqlRow| {
            let set = if row.opt_string(0)?.is_some() { Some(quota(row)?) } else { None };
            Ok((row.parse(13)?, set.and_then(|quota| quota.most())))
        };
        self.conn.fetch(query).await?.iter().map(most).collect()
    }
}

#[async_trait]
impl QuotaWrites for SqlRows<'_> {
    async fn put_quota(&mut self, tenant: TenantId, quota: &Quota) -> Result<()> {
        self.delete_quota(tenant, &quota.target).await?;
        let limits = &quota.limits;
        let insert =
            sql("INSERT INTO quotas (tenant_id, target, id, limit_bytes, limit_type, warning_1, warning_2, \
             warning_3, grace_days, grace_percent, grace_started_at, exempt, exempt_reason, warned) VALUES ")
            .push_groups(1, 14)
            .text(tenant)
            .raw(&quota.target.to_string())
            .text(quota.id)
            .bind(bytes(limits.limit_bytes))
            .text(limits.limit_type)
            .bind(limits.warning_threshold_1)
            .bind(limits.warning_threshold_2)
            .bind(limits.warning_threshold_3)
            .bind(limits.grace_period_days)
            .bind(limits.grace_extra_percent)
            .bind(quota.grace_started_at.map(Timestamp::as_micros))
            .bind(quota.exempt)
            .bind(quota.exempt_reason.clone())
            .bind(quota.warned);
        self.conn.execute(insert).await.map(drop)
    }

    async fn note_quota(&mut self, tenant: TenantId, quota: &Quota) -> Result<()> {
        let update =
            sql("UPDATE quotas SET warned = ?, grace_started_at = ? WHERE tenant_id = ? AND target = ?")
                .bind(quota.warned)
                .bind(quota.grace_started_at.map(Timestamp::as_micros))
                .text(tenant)
                .raw(&quota.target.to_string());
        self.conn.execute(update).await.map(drop)
    }

    async fn delete_quota(&mut self, tenant: TenantId, target: &QuotaTarget) -> Result<bool> {
        let delete = sql("DELETE FROM quotas WHERE tenant_id = ? AND target = ?");
        Ok(self.conn.execute(delete.text(tenant).raw(&target.to_string())).await? > 0)
    }

    async fn set_partner_limit(&mut self, partner: PartnerId, limit: Option<u64>) -> Result<()> {
        let update = sql("UPDATE partners SET quota_bytes = ? WHERE id = ?");
        self.conn.execute(update.bind(bytes(limit)).text(partner)).await.map(drop)
    }

    async fn lock_partner(&mut self, partner: PartnerId) -> Result<()> {
        self.write_lock(partner, "limit").await?;
        let query = sql("SELECT 1 FROM partners WHERE id = ?").push(self.dialect().current_read());
        self.conn.fetch_one(query.text(partner)).await.map(drop)
    }
}
