//! Queries of the audit and its seals.

use async_trait::async_trait;

use super::SqlRows;
use super::ledger::{AUDIT_COLUMNS, audit_at};
use super::statement::{SqlRow, Statement, sql};
use crate::model::{AuditEventId, Error, Result, TenantId, Timestamp};
use crate::ports::metadata::{AuditHead, AuditQuery, AuditReads, AuditRow, AuditWrites, SealedRow};

fn sealed(row: &SqlRow) -> Result<SealedRow> {
    Ok(SealedRow { row: audit_at(row)?, seq: row.opt_int(15)?, mac: row.opt_bytes(16)? })
}

fn matching(query: Statement, tenant: TenantId, wanted: &AuditQuery) -> Statement {
    let mut query = query.push(" WHERE tenant_id = ?").text(tenant);
    if let Some(user) = &wanted.user {
        query = query.push(" AND user_id = ?").raw(user.as_str());
    }
    if let Some(id) = &wanted.resource_id {
        query = query.push(" AND resource_id = ?").raw(id);
    }
    let words = [
        (" AND category = ?", wanted.category.map(|word| word.to_string())),
        (" AND severity = ?", wanted.severity.map(|word| word.to_string())),
        (" AND action = ?", wanted.action.clone()),
        (" AND resource_type = ?", wanted.resource_type.clone()),
        (" AND result = ?", wanted.result.clone()),
    ];
    for (text, word) in words {
        if let Some(word) = word {
            query = query.push(text).bind(word);
        }
    }
    if let Some(from) = wanted.from {
        query = query.push(" AND at >= ?").bind(from.as_micros());
    }
    match wanted.to {
        Some(to) => query.push(" AND at < ?").bind(to.as_micros()),
        None => query,
    }
}

#[async_trait]
impl AuditReads for SqlRows<'_> {
    async fn find_audit(&mut self, tenant: TenantId, wanted: &AuditQuery) -> Result<Vec<SealedRow>> {
        let mut query =
            matching(sql(format!("SELECT {AUDIT_COLUMNS}, seal_seq, seal FROM audit")), tenant, wanted);
        if let Some(after) = wanted.after {
            query = query.push(if wanted.ascending { " AND id > ?" } else { " AND id < ?" }).text(after);
        }
        let order = if wanted.ascending { " ORDER BY id LIMIT ?" } else { " ORDER BY id DESC LIMIT ?" };
        self.conn.fetch(query.push(order).bind(wanted.limit)).await?.iter().map(sealed).collect()
    }

    async fn count_audit(&mut self, tenant: TenantId, wanted: &AuditQuery, most: u32) -> Result<u64> {
        let query = matching(sql("SELECT COUNT(*) FROM (SELECT 1 FROM audit"), tenant, wanted);
        let count = self.conn.fetch_number(query.push(" LIMIT ?) found").bind(most)).await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    async fn sealed_after(&mut self, tenant: TenantId, seq: i64, limit: u32) -> Result<Vec<SealedRow>> {
        let query = sql(format!(
            "SELECT {AUDIT_COLUMNS}, seal_seq, seal FROM audit WHERE tenant_id = ? AND seal_seq > ? \
             ORDER BY seal_seq, id LIMIT ?"
        ));
        self.conn.fetch(query.text(tenant).bind(seq).bind(limit)).await?.iter().map(sealed).collect()
    }

    async fn unsealed(&mut self, tenant: TenantId, limit: u32) -> Result<Vec<AuditRow>> {
        let query = sql(format!(
            "SELECT {AUDIT_COLUMNS} FROM audit WHERE tenant_id = ? AND seal_seq IS NULL ORDER BY id LIMIT ?"
        ));
        self.conn.fetch(query.text(tenant).bind(limit)).await?.iter().map(audit_at).collect()
    }

    async fn count_unsealed(&mut self, before: Timestamp) -> Result<i64> {
        let query = sql("SELECT COUNT(*) FROM tenants t CROSS JOIN audit a ON a.tenant_id = t.id \
             AND a.seal_seq IS NULL AND a.at < ?");
        self.conn.fetch_number(query.bind(before.as_micros())).await
    }

    async fn audit_head(&mut self, tenant: TenantId) -> Result<AuditHead> {
        let query = sql("SELECT seq, mac FROM audit_heads WHERE tenant_id = ?").text(tenant);
        match self.conn.fetch_one(query).await? {
            Some(row) => Ok(AuditHead { seq: row.int(0)?, mac: row.bytes(1)? }),
            None => Ok(AuditHead { seq: 0, mac: Vec::new() }),
        }
    }
}

#[async_trait]
impl AuditWrites for SqlRows<'_> {
    async fn lock_audit_head(&mut self, tenant: TenantId, now: Timestamp) -> Result<AuditHead> {
        let keep = self.dialect().keep_existing("tenant_id");
        let insert =
            sql("INSERT INTO audit_heads (tenant_id, seq, mac, sealed_at) VALUES (?, 0, ?, ?)").push(&keep);
        let insert = insert.text(tenant).bind([].as_slice()).bind(now.as_micros());
        self.conn.execute(insert).await?;
        // Written, not only read: of two sealers the second waits here, and then sees what the first has done.
        let touch = sql("UPDATE audit_heads SET sealed_at = ? WHERE tenant_id = ?");
        self.conn.execute(touch.bind(now.as_micros()).text(tenant)).await?;
        self.audit_head(tenant).await
    }

    async fn seal(&mut self, tenant: TenantId, id: AuditEventId, seq: i64, mac: &[u8]) -> Result<()> {
        let update = sql(
            "UPDATE audit SET seal_seq = ?, seal = ? WHERE tenant_id = ? AND id = ? AND seal_seq IS NULL",
        );
        match self.conn.execute(update.bind(seq).bind(mac).text(tenant).text(id)).await? {
            1 => Ok(()),
            _ => Err(Error::internal("an audit event was sealed twice")),
        }
    }

    async fn set_audit_head(&mut self, tenant: TenantId, head: &AuditHead, now: Timestamp) -> Result<()> {
        let update = sql("UPDATE audit_heads SET seq = ?, mac = ?, sealed_at = ? WHERE tenant_id = ?");
        let update = update.bind(head.seq).bind(head.mac.as_slice()).bind(now.as_micros()).text(tenant);
        self.conn.execute(update).await.map(drop)
    }
}
