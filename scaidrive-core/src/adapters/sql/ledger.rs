//! Queries of usage, the change log and the audit.

use async_trait::async_trait;

use super::statement::{SqlRow, sql};
use super::tenancy::json;
use super::{ROWS_PER_STATEMENT, SqlRows};
use crate::model::{AuditEventId, LoggedChange, Result, TenantId, Timestamp, Usage, UsageDelta, UsageTarget};
use crate::ports::metadata::{AuditRow, LedgerReads, LedgerWrites};

const USAGE: &str =
    "SELECT file_bytes, version_bytes, trash_bytes, file_count, folder_count, target FROM counters";
/// The columns that `change` reads, in its order, from a table called `c`.
pub(super) const CHANGE_COLUMNS: &str = "c.id, c.position, c.tenant_id, c.share_id, c.resource_type, c.resource_id, \
     c.change_type, c.changed_by, c.changed_at, c.old_path, c.new_path, c.version_id, c.metadata";
/// The columns that `audit_at` reads, in its order.
pub(super) const AUDIT_COLUMNS: &str = "id, at, category, severity, action, user_id, service_account, ip, user_agent, \
     resource_type, resource_id, path, result, request_id, payload";

fn usage(row: &SqlRow) -> Result<Usage> {
    Ok(Usage {
        file_bytes: row.int(0)?,
        version_bytes: row.int(1)?,
        trash_bytes: row.int(2)?,
        file_count: row.int(3)?,
        folder_count: row.int(4)?,
    })
}

pub(super) fn change(row: &SqlRow) -> Result<LoggedChange> {
    Ok(LoggedChange {
        id: row.parse(0)?,
        position: row.int(1)?,
        tenant_id: row.parse(2)?,
        share_id: row.parse(3)?,
        resource_type: row.parse(4)?,
        resource_id: row.raw(5)?,
        change_type: row.parse(6)?,
        changed_by: row.parse_raw(7)?,
        changed_at: row.time(8)?,
        old_path: row.opt_string(9)?,
        new_path: row.opt_string(10)?,
        version_id: row.opt_parse(11)?,
        metadata: row.json(12)?,
    })
}

/// Reads an event whose columns come first.
pub(super) fn audit_at(row: &SqlRow) -> Result<AuditRow> {
    Ok(AuditRow {
        id: row.parse(0)?,
        at: row.time(1)?,
        category: row.parse(2)?,
        severity: row.parse(3)?,
        action: row.string(4)?,
        user: row.parse_raw(5)?,
        service_account: row.opt_string(6)?,
        ip: row.opt_string(7)?,
        user_agent: row.opt_string(8)?,
        resource: row.parse(9)?,
        resource_id: row.raw(10)?,
        path: row.opt_string(11)?,
        result: row.string(12)?,
        request_id: row.string(13)?,
        payload: row.json(14)?,
    })
}

#[async_trait]
impl LedgerReads for SqlRows<'_> {
    async fn now(&mut self) -> Result<Timestamp> {
        match self.dialect().now() {
            Some(query) => self.conn.fetch_number(sql(query)).await.map(Timestamp::from_micros),
            None => Ok(self.clock.now()),
        }
    }

    async fn usage(&mut self, tenant: TenantId, target: &UsageTarget) -> Result<Usage> {
        let query =
            sql(USAGE).push(" WHERE tenant_id = ? AND target = ?").text(tenant).raw(&target.to_string());
        self.conn.fetch_one(query).await?.as_ref().map_or(Ok(Usage::default()), usage)
    }

    async fn usages(&mut self, tenant: TenantId) -> Result<Vec<(String, Usage)>> {
        let query = sql(USAGE).push(" WHERE tenant_id = ? ORDER BY target").text(tenant);
        self.conn.fetch(query).await?.iter().map(|row| Ok((row.raw(5)?, usage(row)?))).collect()
    }

    async fn head(&mut self, tenant: TenantId) -> Result<i64> {
        let query = sql("SELECT position FROM counters WHERE tenant_id = ? AND target = ?").text(tenant);
        self.conn.fetch_number(query.raw(&UsageTarget::Tenant.to_string())).await
    }

    async fn changes(&mut self, tenant: TenantId, after: i64, limit: u32) -> Result<Vec<LoggedChange>> {
        let query = sql(format!(
            "SELECT {CHANGE_COLUMNS} FROM change_log c WHERE c.tenant_id = ? AND c.position > ? \
             ORDER BY c.position LIMIT ?"
        ));
        let rows = self.conn.fetch(query.text(tenant).bind(after).bind(limit)).await?;
        rows.iter().map(change).collect()
    }

    async fn audit_event(&mut self, tenant: TenantId, id: AuditEventId) -> Result<Option<AuditRow>> {
        let query = sql(format!("SELECT {AUDIT_COLUMNS} FROM audit WHERE tenant_id = ? AND id = ?"));
        let query = query.text(tenant).text(id);
        self.conn.fetch_one(query).await?.as_ref().map(audit_at).transpose()
    }

    async fn audit_events(&mut self, tenant: TenantId, limit: u32) -> Result<Vec<AuditRow>> {
        let query =
            sql(format!("SELECT {AUDIT_COLUMNS} FROM audit WHERE tenant_id = ? ORDER BY id DESC LIMIT ?"));
        let query = query.text(tenant).bind(limit);
        self.conn.fetch(query).await?.iter().map(audit_at).collect()
    }
}

#[async_trait]
impl LedgerWrites for SqlRows<'_> {
    async fn advance(
        &mut self,
        tenant: TenantId,
        usage: &[(UsageTarget, UsageDelta)],
        positions: u32,
    ) -> Result<i64> {
        let add = self.dialect().add_to_existing(
            "counters",
            "tenant_id, target",
            &["position", "file_bytes", "version_bytes", "trash_bytes", "file_count", "folder_count"],
        );
        let mut upsert =
            sql("INSERT INTO counters (tenant_id, target, position, file_bytes, version_bytes, \
             trash_bytes, file_count, folder_count) VALUES ")
            .push_groups(usage.len(), 8);
        for (target, delta) in usage {
            let steps = if *target == UsageTarget::Tenant { i64::from(positions) } else { 0 };
            upsert = upsert
                .text(tenant)
                .raw(&target.to_string())
                .bind(steps)
                .bind(delta.file_bytes)
                .bind(delta.version_bytes)
                .bind(delta.trash_bytes)
                .bind(delta.file_count)
                .bind(delta.folder_count);
        }
        self.conn.execute(upsert.push(&add)).await?;
        self.head(tenant).await
    }

    async fn append_changes(&mut self, changes: &[LoggedChange]) -> Result<()> {
        for part in changes.chunks(ROWS_PER_STATEMENT) {
            let mut insert = sql("INSERT INTO change_log (tenant_id, position, id, share_id, resource_type, \
                 resource_id, change_type, changed_by, changed_at, old_path, new_path, version_id, metadata) VALUES ")
            .push_groups(part.len(), 13);
            for change in part {
                insert = insert
                    .text(change.tenant_id)
                    .bind(change.position)
                    .text(change.id)
                    .text(change.share_id)
                    .text(change.resource_type)
                    .raw(&change.resource_id)
                    .text(change.change_type)
                    .raw(change.changed_by.as_str())
                    .bind(change.changed_at.as_micros())
                    .bind(change.old_path.clone())
                    .bind(change.new_path.clone())
                    .bind(change.version_id.map(|id| id.to_string()))
                    .bind(json(&change.metadata)?);
            }
            self.conn.execute(insert).await?;
        }
        Ok(())
    }

    async fn append_audit(&mut self, tenant: TenantId, events: &[AuditRow]) -> Result<()> {
        for part in events.chunks(ROWS_PER_STATEMENT) {
            let mut insert = sql("INSERT INTO audit (tenant_id, id, at, category, severity, action, user_id, \
                 service_account, ip, user_agent, resource_type, resource_id, path, result, request_id, payload) \
                 VALUES ")
            .push_groups(part.len(), 16);
            for event in part {
                insert = insert
                    .text(tenant)
                    .text(event.id)
                    .bind(event.at.as_micros())
                    .text(event.category)
                    .text(event.severity)
                    .bind(event.action.as_str())
                    .raw(event.user.as_str())
                    .bind(event.service_account.clone())
                    .bind(event.ip.clone())
                    .bind(event.user_agent.clone())
                    .text(event.resource)
                    .raw(&event.resource_id)
                    .bind(event.path.clone())
                    .bind(event.result.as_str())
                    .bind(event.request_id.as_str())
                    .bind(json(&event.payload)?);
            }
            self.conn.execute(insert).await?;
        }
        Ok(())
    }
}
