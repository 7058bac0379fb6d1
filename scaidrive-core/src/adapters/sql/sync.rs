//! Queries of the log as its readers page through it, of snapshots, devices and cursors.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::ledger::{CHANGE_COLUMNS, change};
use super::statement::{SqlRow, Statement, sql};
use super::tenancy::json;
use super::tree::{NODE, node};
use super::{ROWS_PER_STATEMENT, SqlRows};
use crate::model::{
    Cursor, Device, DeviceId, Error, Node, NodeId, NodeKind, Preferences, ResourceId, Result, ShareId,
    TenantId, Timestamp, UsageTarget, UserId,
};
use crate::ports::metadata::{LogBounds, LogPage, LogRow, Seat, SyncReads, SyncWrites};

/// Shares whose rows one statement brings together: databases bound how many selects one may unite.
const SHARES_PER_STATEMENT: usize = 100;

/// Nodes that one statement starts from.
const STARTS: usize = 5 * ROWS_PER_STATEMENT;

/// Where the columns of a change end in a row of the log.
const FLOOR_AT: usize = 13;

const DEVICE: &str =
    "SELECT id, device_id, device_name, platform, client_version, last_seen_at, created_at FROM devices";

fn device(row: &SqlRow) -> Result<Device> {
    Ok(Device {
        id: row.parse(0)?,
        device_id: row.parse_raw(1)?,
        device_name: row.string(2)?,
        platform: row.opt_string(3)?,
        client_version: row.opt_string(4)?,
        last_seen_at: row.time(5)?,
        created_at: row.time(6)?,
    })
}

fn of_device(statement: Statement, tenant: TenantId, user: &UserId, id: &DeviceId) -> Statement {
    statement.text(tenant).raw(user.as_str()).raw(id.as_str())
}

fn of_seat(statement: Statement, seat: Seat<'_>) -> Statement {
    of_device(statement, seat.tenant, seat.user, seat.device).text(seat.share)
}

/// Reads rows and the floor: the one row of a log without any says the floor alone.
fn rows_and_floor(rows: &[SqlRow]) -> Result<(Vec<LogRow>, i64)> {
    let floor = rows.first().map_or(Ok(0), |row| row.int(FLOOR_AT))?;
    let mut told = Vec::with_capacity(rows.len());
    for row in rows {
        if row.opt_int(1)?.is_some() {
            told.push(LogRow { change: change(row)?, is_in_share: row.int(FLOOR_AT + 1)? != 0 });
        }
    }
    Ok((told, floor))
}

/// What a query of the log is about.
struct Wanted<'w> {
    tenant: TenantId,
    shares: Option<&'w [ShareId]>,
    after: i64,
    up_to: i64,
    limit: u32,
}

impl SqlRows<'_> {
    /// Returns rows and the floor with one statement: no row can be gone without the floor telling.
    async fn log_rows(&mut self, wanted: &Wanted<'_>) -> Result<(Vec<LogRow>, i64)> {
        let mut query =
            sql(format!("SELECT {CHANGE_COLUMNS}, k.feed_floor, n.id IS NOT NULL FROM counters k "));
        query = match wanted.shares {
            None => query
                .push("LEFT JOIN change_log c ON c.tenant_id = ? AND c.position > ? AND c.position <= ?")
                .text(wanted.tenant)
                .bind(wanted.after)
                .bind(wanted.up_to),
            Some([only]) => query
                .push(
                    "LEFT JOIN change_log c ON c.tenant_id = ? AND c.share_id = ? AND c.position > ? \
                     AND c.position <= ?",
                )
                .text(wanted.tenant)
                .text(only)
                .bind(wanted.after)
                .bind(wanted.up_to),
            Some(several) => united(query, wanted, several),
        };
        let query = query
            .push(&format!(
                " LEFT JOIN nodes n ON n.tenant_id = c.tenant_id AND n.id = {} AND n.share_id = c.share_id \
                 WHERE k.tenant_id = ? AND k.target = ? ORDER BY c.position LIMIT ?",
                self.dialect().text_of("c.resource_id")
            ))
            .text(wanted.tenant)
            .raw(&UsageTarget::Tenant.to_string())
            .bind(wanted.limit);
        rows_and_floor(&self.conn.fetch(query).await?)
    }

    /// Returns those of these shares that have rows after a position.
    async fn shares_with_news(
        &mut self,
        tenant: TenantId,
        shares: &[ShareId],
        after: i64,
    ) -> Result<Vec<ShareId>> {
        let mut found = Vec::new();
        for part in shares.chunks(STARTS) {
            let query = sql(
                "SELECT s.id FROM shares s WHERE s.tenant_id = ? AND EXISTS (SELECT 1 FROM change_log c \
                 WHERE c.tenant_id = s.tenant_id AND c.share_id = s.id AND c.position > ?) AND s.id IN ",
            );
            let query =
                query.text(tenant).bind(after).push_list(part.iter().map(std::string::ToString::to_string));
            for row in self.conn.fetch(query).await? {
                found.push(row.parse(0)?);
            }
        }
        Ok(found)
    }

    /// Returns rows and the floor of more shares than one statement unites.
    async fn log_rows_of_many(
        &mut self,
        wanted: &Wanted<'_>,
        shares: &[ShareId],
    ) -> Result<(Vec<LogRow>, i64)> {
        let active = self.shares_with_news(wanted.tenant, shares, wanted.after).await?;
        let mut found: BTreeMap<i64, LogRow> = BTreeMap::new();
        for part in active.chunks(SHARES_PER_STATEMENT) {
            let (rows, _) = self.log_rows(&Wanted { shares: Some(part), ..*wanted }).await?;
            found.extend(rows.into_iter().map(|row| (row.change.position, row)));
        }
        // The floor as of after the last row was read.
        let floor = self.log_bounds(wanted.tenant).await?.floor;
        Ok((found.into_values().take(wanted.limit as usize).collect(), floor))
    }
}

/// Joins the first rows of each of several shares: given as alternatives of one condition, databases sort all that
/// follows to find them.
fn united(query: Statement, wanted: &Wanted<'_>, shares: &[ShareId]) -> Statement {
    let mut query = query.push("LEFT JOIN (");
    for (number, share) in shares.iter().enumerate() {
        let union = if number == 0 { "" } else { " UNION ALL " };
        query = query
            .push(&format!(
                "{union}SELECT position FROM (SELECT position FROM change_log WHERE tenant_id = ? \
                 AND share_id = ? AND position > ? AND position <= ? ORDER BY position LIMIT ?) s{number}"
            ))
            .text(wanted.tenant)
            .text(share)
            .bind(wanted.after)
            .bind(wanted.up_to)
            .bind(wanted.limit);
    }
    query
        .push(") f ON 1 = 1 LEFT JOIN change_log c ON c.tenant_id = ? AND c.position = f.position")
        .text(wanted.tenant)
}

#[async_trait]
impl SyncReads for SqlRows<'_> {
    async fn log_bounds(&mut self, tenant: TenantId) -> Result<LogBounds> {
        let query = sql("SELECT feed_floor, position FROM counters WHERE tenant_id = ? AND target = ?");
        let row = self.conn.fetch_one(query.text(tenant).raw(&UsageTarget::Tenant.to_string())).await?;
        let bounds = |row: SqlRow| Ok(LogBounds { floor: row.int(0)?, head: row.int(1)? });
        row.map_or(Ok(LogBounds { floor: 0, head: 0 }), bounds)
    }

    async fn log_page(
        &mut self,
        tenant: TenantId,
        shares: Option<&[ShareId]>,
        after: i64,
        limit: u32,
    ) -> Result<LogPage> {
        // The head comes first, by a statement of its own. One statement may see a change and not yet the one before it:
        // MariaDB notes one by one which transactions still run, and two that waited for each other may both end
        // meanwhile. What it shows of the head was preceded by all that lies below, for every later statement.
        let bounds = self.log_bounds(tenant).await?;
        if !(bounds.floor..bounds.head).contains(&after) {
            return Ok(LogPage { bounds, rows: Vec::new() });
        }
        let wanted = Wanted { tenant, shares, after, up_to: bounds.head, limit };
        let (rows, floor) = match shares {
            Some([]) => (Vec::new(), bounds.floor),
            Some(many) if many.len() > SHARES_PER_STATEMENT => self.log_rows_of_many(&wanted, many).await?,
            _ => self.log_rows(&wanted).await?,
        };
        Ok(LogPage { bounds: LogBounds { floor, ..bounds }, rows })
    }

    async fn count_log(
        &mut self,
        tenant: TenantId,
        share: ShareId,
        after: i64,
        most: u32,
    ) -> Result<(u32, Option<Timestamp>)> {
        const FIRST: &str = "SELECT position FROM change_log WHERE tenant_id = ? AND share_id = ? \
             AND position > ? ORDER BY position LIMIT ?";
        let bind = |query: Statement| query.text(tenant).text(share).bind(after);
        let count = sql(format!("SELECT COUNT(*) FROM ({FIRST}) found"));
        let count = self.conn.fetch_number(bind(count).bind(most)).await?;
        let first = sql(format!(
            "SELECT c.changed_at FROM ({FIRST}) f CROSS JOIN change_log c ON c.tenant_id = ? AND c.position = f.position"
        ));
        let first = self.conn.fetch_one(bind(first).bind(1_u32).text(tenant)).await?;
        Ok((u32::try_from(count).unwrap_or(most), first.map(|row| row.time(0)).transpose()?))
    }

    async fn oldest_changes(&mut self, tenant: TenantId, limit: u32) -> Result<Vec<(i64, Timestamp)>> {
        let query =
            sql("SELECT position, changed_at FROM change_log WHERE tenant_id = ? ORDER BY position LIMIT ?");
        let rows = self.conn.fetch(query.text(tenant).bind(limit)).await?;
        rows.iter().map(|row| Ok((row.int(0)?, row.time(1)?))).collect()
    }

    async fn ancestry(&mut self, tenant: TenantId, ids: &[NodeId]) -> Result<Vec<Node>> {
        let mut found: BTreeMap<NodeId, Node> = BTreeMap::new();
        for part in ids.chunks(STARTS) {
            let query = sql("WITH RECURSIVE up (id, parent_id) AS ( \
                 SELECT id, parent_id FROM nodes WHERE tenant_id = ? AND id IN ")
            .text(tenant)
            .push_list(part.iter().map(ToString::to_string))
            .push(&format!(
                " UNION SELECT p.id, p.parent_id FROM up CROSS JOIN nodes p \
                 ON p.tenant_id = ? AND p.id = up.parent_id) \
                 SELECT {NODE} FROM up CROSS JOIN nodes n ON n.tenant_id = ? AND n.id = up.id"
            ))
            .text(tenant)
            .text(tenant);
            for row in self.conn.fetch(query).await? {
                let node = node(&row)?;
                found.insert(node.id, node);
            }
        }
        Ok(found.into_values().collect())
    }

    async fn have_entries(&mut self, tenant: TenantId, ids: &[ResourceId]) -> Result<bool> {
        for part in ids.chunks(STARTS) {
            let query = sql("SELECT 1 FROM acl_entries WHERE tenant_id = ? AND resource_id IN ").text(tenant);
            let query = query.push_list(part.iter().map(ToString::to_string)).push(" LIMIT 1");
            if self.conn.fetch_one(query).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn living(
        &mut self,
        tenant: TenantId,
        share: ShareId,
        kind: NodeKind,
        after: Option<NodeId>,
        limit: u32,
    ) -> Result<Vec<Node>> {
        // Ids of one kind lie between its prefix with an underscore and that with the character behind it.
        let (from, to) = match kind {
            NodeKind::Folder => ("fld_", "fld`"),
            NodeKind::File => ("fil_", "fil`"),
        };
        let query = sql(format!(
            "SELECT {NODE} FROM nodes n WHERE n.tenant_id = ? AND n.share_id = ? AND n.trashed_at IS NULL \
             AND n.id > ? AND n.id < ? ORDER BY n.id LIMIT ?"
        ));
        let query = query.text(tenant).text(share);
        let query = query.bind(after.map_or_else(|| from.to_owned(), |id| id.to_string())).bind(to);
        self.conn.fetch(query.bind(limit)).await?.iter().map(node).collect()
    }

    async fn devices(&mut self, tenant: TenantId, user: &UserId) -> Result<Vec<Device>> {
        let query = sql(DEVICE).push(" WHERE tenant_id = ? AND user_id = ? ORDER BY id");
        self.conn.fetch(query.text(tenant).raw(user.as_str())).await?.iter().map(device).collect()
    }

    async fn device(&mut self, tenant: TenantId, user: &UserId, id: &DeviceId) -> Result<Option<Device>> {
        let query = sql(DEVICE).push(" WHERE tenant_id = ? AND user_id = ? AND device_id = ?");
        self.conn.fetch_one(of_device(query, tenant, user, id)).await?.as_ref().map(device).transpose()
    }

    async fn cursor(&mut self, seat: Seat<'_>) -> Result<Option<Cursor>> {
        let query = sql("SELECT position, synced_at FROM cursors \
             WHERE tenant_id = ? AND user_id = ? AND device_id = ? AND share_id = ?");
        let row = self.conn.fetch_one(of_seat(query, seat)).await?;
        row.map(|row| Ok(Cursor { position: row.int(0)?, synced_at: row.opt_time(1)? })).transpose()
    }

    async fn preferences(&mut self, seat: Seat<'_>) -> Result<Option<Preferences>> {
        let query = sql("SELECT mode, folders FROM sync_preferences \
             WHERE tenant_id = ? AND user_id = ? AND device_id = ? AND share_id = ?");
        let row = self.conn.fetch_one(of_seat(query, seat)).await?;
        row.map(|row| Ok(Preferences { mode: row.parse(0)?, folders: row.json(1)? })).transpose()
    }

    async fn preference_times(
        &mut self,
        tenant: TenantId,
        user: &UserId,
        id: &DeviceId,
    ) -> Result<Vec<(ShareId, Timestamp)>> {
        let query = sql("SELECT share_id, updated_at FROM sync_preferences \
             WHERE tenant_id = ? AND user_id = ? AND device_id = ?");
        let rows = self.conn.fetch(of_device(query, tenant, user, id)).await?;
        rows.iter().map(|row| Ok((row.parse(0)?, row.time(1)?))).collect()
    }
}

#[async_trait]
impl SyncWrites for SqlRows<'_> {
    async fn cut_log(&mut self, tenant: TenantId, through: i64) -> Result<()> {
        let delete = sql("DELETE FROM change_log WHERE tenant_id = ? AND position <= ?");
        self.conn.execute(delete.text(tenant).bind(through)).await?;
        let raise =
            sql("UPDATE counters SET feed_floor = ? WHERE tenant_id = ? AND target = ? AND feed_floor < ?");
        let raise = raise.bind(through).text(tenant).raw(&UsageTarget::Tenant.to_string());
        self.conn.execute(raise.bind(through)).await.map(drop)
    }

    async fn raise_log(&mut self, tenant: TenantId, by: i64) -> Result<()> {
        // The floor first: MySQL sees what was set further to the left, SQLite what was there before.
        let raise = sql("UPDATE counters SET feed_floor = position + ?, position = position + ? \
             WHERE tenant_id = ? AND target = ?");
        let raise = raise.bind(by).bind(by).text(tenant).raw(&UsageTarget::Tenant.to_string());
        match self.conn.execute(raise).await? {
            1 => Ok(()),
            _ => Err(Error::internal("a tenant has no counter to raise")),
        }
    }

    async fn put_device(&mut self, tenant: TenantId, user: &UserId, device: &Device) -> Result<()> {
        let put = sql("INSERT INTO devices (tenant_id, user_id, device_id, id, device_name, platform, \
             client_version, last_seen_at, created_at) VALUES ")
        .push_groups(1, 9)
        .push(&self.dialect().replace_existing(
            "tenant_id, user_id, device_id",
            &["device_name", "platform", "client_version", "last_seen_at"],
        ));
        let put = of_device(put, tenant, user, &device.device_id)
            .text(device.id)
            .bind(device.device_name.as_str())
            .bind(device.platform.clone())
            .bind(device.client_version.clone())
            .bind(device.last_seen_at.as_micros())
            .bind(device.created_at.as_micros());
        self.conn.execute(put).await.map(drop)
    }

    async fn note_device(
        &mut self,
        tenant: TenantId,
        user: &UserId,
        id: &DeviceId,
        at: Timestamp,
    ) -> Result<()> {
        let note =
            sql("UPDATE devices SET last_seen_at = ? WHERE tenant_id = ? AND user_id = ? AND device_id = ?");
        self.conn.execute(of_device(note.bind(at.as_micros()), tenant, user, id)).await.map(drop)
    }

    async fn delete_device(&mut self, tenant: TenantId, user: &UserId, id: &DeviceId) -> Result<bool> {
        for text in [
            "DELETE FROM cursors WHERE tenant_id = ? AND user_id = ? AND device_id = ?",
            "DELETE FROM sync_preferences WHERE tenant_id = ? AND user_id = ? AND device_id = ?",
        ] {
            self.conn.execute(of_device(sql(text), tenant, user, id)).await?;
        }
        let delete = sql("DELETE FROM devices WHERE tenant_id = ? AND user_id = ? AND device_id = ?");
        Ok(self.conn.execute(of_device(delete, tenant, user, id)).await? == 1)
    }

    async fn make_cursor(&mut self, seat: Seat<'_>, position: i64) -> Result<()> {
        let make = sql("INSERT INTO cursors (tenant_id, user_id, device_id, share_id, position) VALUES ")
            .push_groups(1, 5)
            .push(&self.dialect().keep_existing("position"));
        self.conn.execute(of_seat(make, seat).bind(position)).await.map(drop)
    }

    async fn set_cursor(&mut self, seat: Seat<'_>, cursor: Cursor) -> Result<()> {
        let set =
            sql("INSERT INTO cursors (tenant_id, user_id, device_id, share_id, position, synced_at) VALUES ")
                .push_groups(1, 6)
                .push(
                    &self.dialect().replace_existing(
                        "tenant_id, user_id, device_id, share_id",
                        &["position", "synced_at"],
                    ),
                );
        let set = of_seat(set, seat).bind(cursor.position).bind(cursor.synced_at.map(Timestamp::as_micros));
        self.conn.execute(set).await.map(drop)
    }

    async fn set_preferences(&mut self, seat: Seat<'_>, wanted: &Preferences, at: Timestamp) -> Result<()> {
        let set = sql(
            "INSERT INTO sync_preferences (tenant_id, user_id, device_id, share_id, mode, folders, updated_at) VALUES ",
        )
        .push_groups(1, 7)
        .push(&self.dialect().replace_existing(
            "tenant_id, user_id, device_id, share_id",
            &["mode", "folders", "updated_at"],
        ));
        let set = of_seat(set, seat).text(wanted.mode).bind(json(&wanted.folders)?).bind(at.as_micros());
        self.conn.execute(set).await.map(drop)
    }
}
