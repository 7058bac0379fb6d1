//! Queries of conflicts, and of what became of changes that devices sent.

use async_trait::async_trait;

use super::errors::is_duplicate;
use super::statement::{SqlRow, Statement, sql};
use super::tenancy::json;
use super::{ROWS_PER_STATEMENT, SqlRows};
use crate::model::{
    Conflict, ConflictId, ConflictStatus, DeviceId, Error, Result, ShareId, TenantId, Timestamp, UserId,
};
use crate::ports::metadata::{ClientChange, ConflictQuery, ConflictReads, ConflictRow, ConflictWrites};

/// The columns that `conflict` reads, in its order.
const CONFLICT: &str = "SELECT id, share_id, device_id, client_change_id, resource_type, resource_id, conflict_type, \
     base_version_id, server_version_id, client_version_id, status, resolution, created_at, resolved_at, resolved_by";

fn conflict(row: &SqlRow) -> Result<Conflict> {
    Ok(Conflict {
        id: Some(row.parse(0)?),
        share_id: row.parse(1)?,
        device_id: row.parse_raw(2)?,
        client_change_id: row.raw(3)?,
        resource_type: row.parse(4)?,
        resource_id: row.opt_parse(5)?,
        conflict_type: row.parse(6)?,
        base_version_id: row.opt_parse(7)?,
        server_version_id: row.opt_parse(8)?,
        client_version_id: row.opt_parse(9)?,
        status: row.parse(10)?,
        resolution: row.opt_parse(11)?,
        created_at: row.time(12)?,
        resolved_at: row.opt_time(13)?,
        resolved_by: row.opt_bytes(14)?.map(|_| row.parse_raw(14)).transpose()?,
    })
}

/// Reads a conflict and what else there is of it, whose columns come after it.
fn conflict_row(tenant: TenantId, row: &SqlRow) -> Result<ConflictRow> {
    let waiting =
        row.opt_bytes(17)?.map(|_| Ok::<_, Error>((row.hash(17)?, row.unsigned(18)?))).transpose()?;
    Ok(ConflictRow {
        id: row.parse(0)?,
        tenant,
        user: row.parse_raw(15)?,
        conflict: conflict(row)?,
        incoming: row.opt_string(16)?.map(|_| row.json(16)).transpose()?,
        waiting,
    })
}

fn opt<T: ToString>(value: Option<&T>) -> Option<String> {
    value.map(ToString::to_string)
}

fn of_device(query: Statement, tenant: TenantId, user: &UserId, device: &DeviceId) -> Statement {
    query.text(tenant).raw(user.as_str()).raw(device.as_str())
}

#[async_trait]
impl ConflictReads for SqlRows<'_> {
    async fn conflict(&mut self, tenant: TenantId, id: ConflictId) -> Result<Option<ConflictRow>> {
        let query = sql(format!(
            "{CONFLICT}, user_id, incoming, content_id, content_size FROM conflicts WHERE tenant_id = ? AND id = ?"
        ));
        let row = self.conn.fetch_one(query.text(tenant).text(id)).await?;
        row.as_ref().map(|row| conflict_row(tenant, row)).transpose()
    }

    async fn conflicts(&mut self, tenant: TenantId, ids: &[ConflictId]) -> Result<Vec<Conflict>> {
        let mut found = Vec::with_capacity(ids.len());
        for part in ids.chunks(ROWS_PER_STATEMENT) {
            let query = sql(CONFLICT).push(" FROM conflicts WHERE tenant_id = ? AND id IN ").text(tenant);
            let query = query.push_list(part.iter().map(ToString::to_string));
            for row in self.conn.fetch(query).await? {
                found.push(conflict(&row)?);
            }
        }
        Ok(found)
    }

    async fn conflicts_of(
        &mut self,
        tenant: TenantId,
        user: &UserId,
        query: &ConflictQuery,
    ) -> Result<Vec<Conflict>> {
        let mut select = sql(CONFLICT)
            .push(" FROM conflicts WHERE tenant_id = ? AND user_id = ?")
            .text(tenant)
            .raw(user.as_str());
        if !query.include_resolved {
            select = select.push(" AND status = ?").text(ConflictStatus::Open);
        }
        if let Some(share) = query.share {
            select = select.push(" AND share_id = ?").text(share);
        }
        if let Some(device) = &query.device {
            select = select.push(" AND device_id = ?").raw(device.as_str());
        }
        if let Some(after) = query.after {
            select = select.push(" AND id < ?").text(after);
        }
        let select = select.push(" ORDER BY id DESC LIMIT ?").bind(query.limit);
        self.conn.fetch(select).await?.iter().map(conflict).collect()
    }

    async fn has_open_conflicts(
        &mut self,
        tenant: TenantId,
        share: ShareId,
        user: &UserId,
        device: &DeviceId,
    ) -> Result<bool> {
        let query = sql("SELECT 1 FROM conflicts WHERE tenant_id = ? AND user_id = ? AND status = ? \
             AND share_id = ? AND device_id = ? LIMIT 1");
        let query =
            query.text(tenant).raw(user.as_str()).text(ConflictStatus::Open).text(share).raw(device.as_str());
        Ok(self.conn.fetch_one(query).await?.is_some())
    }

    async fn client_changes(
        &mut self,
        tenant: TenantId,
        user: &UserId,
        device: &DeviceId,
        ids: &[String],
        since: Timestamp,
    ) -> Result<Vec<ClientChange>> {
        let mut found = Vec::new();
        for part in ids.chunks(ROWS_PER_STATEMENT) {
            // The sign keeps SQLite from reading a month of everybody's changes by their age.
            let query =
                sql("SELECT client_change_id, digest, outcome FROM client_changes WHERE tenant_id = ? \
                 AND user_id = ? AND device_id = ? AND +created_at >= ? AND client_change_id IN ");
            let query = of_device(query, tenant, user, device).bind(since.as_micros()).push_raw_list(part);
            for row in self.conn.fetch(query).await? {
                let change = ClientChange { id: row.raw(0)?, digest: row.hash(1)?, outcome: row.json(2)? };
                found.push(change);
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl ConflictWrites for SqlRows<'_> {
    async fn insert_conflicts(&mut self, conflicts: &[ConflictRow]) -> Result<()> {
        for part in conflicts.chunks(ROWS_PER_STATEMENT) {
            let insert = sql("INSERT INTO conflicts (tenant_id, id, user_id, share_id, device_id, \
                 client_change_id, resource_type, resource_id, conflict_type, base_version_id, server_version_id, \
                 created_at, incoming, content_id, content_size, client_version_id, status, resolution, \
                 resolved_at, resolved_by) VALUES ")
            .push_groups(part.len(), 20);
            let mut bound = insert;
            for row in part {
                let met = &row.conflict;
                bound = bound
                    .text(row.tenant)
                    .text(row.id)
                    .raw(row.user.as_str())
                    .text(met.share_id)
                    .raw(met.device_id.as_str())
                    .raw(&met.client_change_id)
                    .text(met.resource_type)
                    .bind(opt(met.resource_id.as_ref()))
                    .text(met.conflict_type)
                    .bind(opt(met.base_version_id.as_ref()))
                    .bind(opt(met.server_version_id.as_ref()))
                    .bind(met.created_at.as_micros())
                    .bind(row.incoming.as_ref().map(json).transpose()?)
                    .bind(row.waiting.as_ref().map(|(content, _)| content.as_bytes().as_slice()))
                    .bind(row.waiting.map_or(0, |(_, size)| size));
                bound = bind_settlement(bound, met);
            }
            self.conn.execute(bound).await?;
        }
        Ok(())
    }

    async fn settle_conflict(&mut self, settled: &ConflictRow) -> Result<bool> {
        let update = sql("UPDATE conflicts SET incoming = NULL, content_id = NULL, content_size = 0, \
             client_version_id = ?, status = ?, resolution = ?, resolved_at = ?, resolved_by = ? \
             WHERE tenant_id = ? AND id = ? AND status = ?");
        let update = bind_settlement(update, &settled.conflict);
        let update = update.text(settled.tenant).text(settled.id).text(ConflictStatus::Open);
        Ok(self.conn.execute(update).await? == 1)
    }

    async fn note_client_changes(
        &mut self,
        tenant: TenantId,
        user: &UserId,
        device: &DeviceId,
        changes: &[ClientChange],
        since: Timestamp,
        now: Timestamp,
    ) -> Result<()> {
        for part in changes.chunks(ROWS_PER_STATEMENT) {
            let forget =
                sql("DELETE FROM client_changes WHERE tenant_id = ? AND user_id = ? AND device_id = ? \
                 AND +created_at < ? AND client_change_id IN ");
            let ids = part.iter().map(|change| change.id.as_bytes());
            let forget = of_device(forget, tenant, user, device).bind(since.as_micros()).push_list(ids);
            self.conn.execute(forget).await?;
            let mut insert =
                sql("INSERT INTO client_changes (tenant_id, user_id, device_id, client_change_id, \
                 digest, outcome, created_at) VALUES ")
                .push_groups(part.len(), 7);
            for change in part {
                insert = of_device(insert, tenant, user, device)
                    .raw(&change.id)
                    .bind(change.digest.as_bytes().as_slice())
                    .bind(json(&change.outcome)?)
                    .bind(now.as_micros());
            }
            let taken = |error| if is_duplicate(&error) { Error::InProgress } else { error };
            self.conn.execute(insert).await.map_err(taken)?;
        }
        Ok(())
    }

    async fn forget_client_changes(&mut self, tenant: TenantId, before: Timestamp) -> Result<()> {
        let forget = sql("DELETE FROM client_changes WHERE tenant_id = ? AND created_at < ?");
        self.conn.execute(forget.text(tenant).bind(before.as_micros())).await.map(drop)
    }
}

fn bind_settlement(statement: Statement, met: &Conflict) -> Statement {
    statement
        .bind(opt(met.client_version_id.as_ref()))
        .text(met.status)
        .bind(opt(met.resolution.as_ref()))
        .bind(met.resolved_at.map(Timestamp::as_micros))
        .bind(met.resolved_by.as_ref().map(|user| user.as_str().as_bytes()))
}
