//! Queries of versions, and the recount that proves the ledger.

use std::collections::BTreeMap;

use super::statement::{SqlRow, sql};
use super::{ROWS_PER_STATEMENT, SqlRows};
use crate::model::{FileId, Result, ShareId, TenantId, Timestamp, Usage, UserId, Version};

const VERSION: &str =
    "SELECT id, file_id, number, size, checksum, content_id, created_by, created_at, comment FROM versions";

fn version(row: &SqlRow) -> Result<Version> {
    Ok(Version {
        id: row.parse(0)?,
        file: row.parse(1)?,
        number: row.small(2)?,
        size: row.unsigned(3)?,
        checksum: row.hash(4)?,
        content: row.hash(5)?,
        created_by: row.parse_raw(6)?,
        created_at: row.time(7)?,
        comment: row.opt_string(8)?,
    })
}

impl SqlRows<'_> {
    pub(super) async fn version_page(
        &mut self,
        tenant: TenantId,
        file: FileId,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<Version>> {
        let query =
            sql(VERSION).push(" WHERE tenant_id = ? AND file_id = ? ORDER BY number DESC LIMIT ? OFFSET ?");
        let rows = self.conn.fetch(query.text(tenant).text(file).bind(limit).bind(offset)).await?;
        rows.iter().map(version).collect()
    }

    pub(super) async fn version_row(
        &mut self,
        tenant: TenantId,
        file: FileId,
        number: u32,
    ) -> Result<Option<Version>> {
        let query = sql(VERSION).push(" WHERE tenant_id = ? AND file_id = ? AND number = ?");
        let row = self.conn.fetch_one(query.text(tenant).text(file).bind(number)).await?;
        row.as_ref().map(version).transpose()
    }

    pub(super) async fn add_versions(&mut self, tenant: TenantId, versions: &[Version]) -> Result<()> {
        for part in versions.chunks(ROWS_PER_STATEMENT) {
            let mut insert =
                sql("INSERT INTO versions (tenant_id, file_id, number, id, content_id, size, checksum, \
                 created_by, created_at, comment) VALUES ")
                .push_groups(part.len(), 10);
            for version in part {
                insert = insert
                    .text(tenant)
                    .text(version.file)
                    .bind(version.number)
                    .text(version.id)
                    .bind(version.content.as_bytes().as_slice())
                    .bind(version.size)
                    .bind(version.checksum.as_bytes().as_slice())
                    .raw(version.created_by.as_str())
                    .bind(version.created_at.as_micros())
                    .bind(version.comment.clone());
            }
            self.conn.execute(insert).await?;
        }
        Ok(())
    }

    /// Removing what may be the last reference touches the content, so that nobody collects it under a reader.
    pub(super) async fn drop_versions(
        &mut self,
        tenant: TenantId,
        files: &[FileId],
        now: Timestamp,
    ) -> Result<()> {
        for part in files.chunks(ROWS_PER_STATEMENT) {
            let ids = || part.iter().map(ToString::to_string);
            let touch = sql("UPDATE contents SET used_at = ? WHERE tenant_id = ? AND used_at < ? AND id IN \
                 (SELECT content_id FROM versions WHERE tenant_id = ? AND file_id IN ")
            .bind(now.as_micros())
            .text(tenant)
            .bind(now.as_micros())
            .text(tenant)
            .push_list(ids())
            .push(")");
            self.conn.execute(touch).await?;
            let delete =
                sql("DELETE FROM versions WHERE tenant_id = ? AND file_id IN ").text(tenant).push_list(ids());
            self.conn.execute(delete).await?;
        }
        Ok(())
    }

    pub(super) async fn sum_versions(
        &mut self,
        tenant: TenantId,
        files: &[FileId],
    ) -> Result<Vec<(FileId, i64)>> {
        let int = self.dialect().integer();
        let mut sums = Vec::with_capacity(files.len());
        for part in files.chunks(ROWS_PER_STATEMENT) {
            let query = sql(format!(
                "SELECT file_id, CAST(SUM(size) AS {int}) FROM versions WHERE tenant_id = ? AND file_id IN "
            ))
            .text(tenant)
            .push_list(part.iter().map(ToString::to_string))
            .push(" GROUP BY file_id");
            for row in self.conn.fetch(query).await? {
                sums.push((row.parse(0)?, row.int(1)?));
            }
        }
        Ok(sums)
    }

    /// Counts from the rows themselves; deliberately not written like the code that keeps the counters.
    pub(super) async fn recount_usage(&mut self, tenant: TenantId) -> Result<Vec<(ShareId, UserId, Usage)>> {
        let int = self.dialect().integer();
        let mut found: BTreeMap<(ShareId, UserId), Usage> = BTreeMap::new();
        // A node counts as trash if it, or anything above it, is: walk down from what is trashed.
        let current = sql(format!(
            "WITH RECURSIVE dead (id) AS ( \
             SELECT id FROM nodes WHERE tenant_id = ? AND trashed_at IS NOT NULL \
             UNION \
             SELECT c.id FROM dead CROSS JOIN nodes c ON c.tenant_id = ? AND c.parent_id = dead.id) \
             SELECT n.share_id, n.owner_id, \
             CAST(COALESCE(SUM(CASE WHEN d.id IS NULL THEN n.size ELSE 0 END), 0) AS {int}), \
             CAST(COALESCE(SUM(CASE WHEN d.id IS NULL THEN 0 ELSE n.size END), 0) AS {int}), \
             CAST(COALESCE(SUM(CASE WHEN d.id IS NULL AND n.version IS NOT NULL THEN 1 ELSE 0 END), 0) AS {int}), \
             CAST(COALESCE(SUM(CASE WHEN d.id IS NULL AND n.version IS NULL THEN 1 ELSE 0 END), 0) AS {int}) \
             FROM nodes n LEFT JOIN dead d ON d.id = n.id WHERE n.tenant_id = ? GROUP BY n.share_id, n.owner_id"
        ));
        for row in self.conn.fetch(current.text(tenant).text(tenant).text(tenant)).await? {
            *found.entry((row.parse(0)?, row.parse_raw(1)?)).or_default() += Usage {
                file_bytes: row.int(2)?,
                trash_bytes: row.int(3)?,
                file_count: row.int(4)?,
                folder_count: row.int(5)?,
                version_bytes: 0,
            };
        }
        let old = sql(format!(
            "SELECT n.share_id, n.owner_id, CAST(SUM(v.size) AS {int}) FROM versions v \
             JOIN nodes n ON n.tenant_id = v.tenant_id AND n.id = v.file_id \
             WHERE v.tenant_id = ? AND v.number <> n.version GROUP BY n.share_id, n.owner_id"
        ));
        for row in self.conn.fetch(old.text(tenant)).await? {
            *found.entry((row.parse(0)?, row.parse_raw(1)?)).or_default() +=
                Usage { version_bytes: row.int(2)?, ..Usage::default() };
        }
        // Content that waits for somebody to decide costs its sender what an old version costs.
        let waiting = sql(format!(
            "SELECT share_id, user_id, CAST(SUM(content_size) AS {int}) FROM conflicts \
             WHERE tenant_id = ? AND content_id IS NOT NULL GROUP BY share_id, user_id"
        ));
        for row in self.conn.fetch(waiting.text(tenant)).await? {
            *found.entry((row.parse(0)?, row.parse_raw(1)?)).or_default() +=
                Usage { version_bytes: row.int(2)?, ..Usage::default() };
        }
        Ok(found.into_iter().map(|((share, owner), usage)| (share, owner, usage)).collect())
    }
}
