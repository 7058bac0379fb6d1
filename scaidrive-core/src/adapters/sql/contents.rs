//! Queries of contents and their chunk lists.

use std::sync::Arc;

use async_trait::async_trait;

use super::errors::unless_duplicate;
use super::statement::sql;
use super::{ROWS_PER_STATEMENT, SqlRows};
use crate::model::{ChunkHash, ContentId, Error, Result, TenantId, Timestamp};
use crate::ports::metadata::{ContentReads, ContentRow, ContentWrites, ManifestEntry};

/// The tables whose `content_id` keeps a content: versions, and conflicts that wait for somebody to decide.
const REFERENCES: [&str; 2] = ["versions", "conflicts"];

/// No chunk is larger, whatever parameters it was cut with (FastCDC's own limit): how far before a range its
/// first chunk can start.
const LARGEST_CHUNK: u64 = 16 << 20;

#[async_trait]
impl ContentReads for SqlRows<'_> {
    async fn content(&mut self, tenant: TenantId, id: ContentId) -> Result<Option<ContentRow>> {
        let query = sql("SELECT id, size, checksum, chunking FROM contents WHERE tenant_id = ? AND id = ?");
        let row = self.conn.fetch_one(query.text(tenant).bind(id.as_bytes().as_slice())).await?;
        row.map(|row| {
            Ok(ContentRow {
                id: row.hash(0)?,
                size: row.unsigned(1)?,
                checksum: row.hash(2)?,
                chunks: Arc::from([]),
                chunking: row.string(3)?,
            })
        })
        .transpose()
    }

    async fn manifest(
        &mut self,
        tenant: TenantId,
        id: ContentId,
        from: u64,
        to: u64,
        limit: u32,
    ) -> Result<Vec<ManifestEntry>> {
        let query =
            sql("SELECT start, hash, size FROM content_chunks WHERE tenant_id = ? AND content_id = ? \
             AND start > ? AND start < ? AND start + size > ? ORDER BY start LIMIT ?")
            .text(tenant)
            .bind(id.as_bytes().as_slice())
            .bind(i64::try_from(from.saturating_sub(LARGEST_CHUNK)).unwrap_or(i64::MAX) - 1)
            .bind(to)
            .bind(from)
            .bind(limit);
        let rows = self.conn.fetch(query).await?;
        rows.iter()
            .map(|row| Ok(ManifestEntry { start: row.unsigned(0)?, hash: row.hash(1)?, size: row.small(2)? }))
            .collect()
    }

    async fn unused_contents(
        &mut self,
        tenant: TenantId,
        cutoff: Timestamp,
        after: Option<ContentId>,
        limit: u32,
    ) -> Result<Vec<ContentId>> {
        let unused = REFERENCES.map(|table| {
            format!("AND NOT EXISTS (SELECT 1 FROM {table} r WHERE r.tenant_id = c.tenant_id AND r.content_id = c.id)")
        });
        let query = sql(format!(
            "SELECT c.id FROM contents c WHERE c.tenant_id = ? AND c.id > ? AND c.used_at < ? {} ORDER BY c.id LIMIT ?",
            unused.join(" ")
        ));
        let query = query.text(tenant).bind(after_hash(after.as_ref())).bind(cutoff.as_micros()).bind(limit);
        self.conn.fetch(query).await?.iter().map(|row| row.hash(0)).collect()
    }

    async fn dangling_contents(
        &mut self,
        tenant: TenantId,
        limit: u32,
    ) -> Result<Vec<(ContentId, ChunkHash)>> {
        let query = sql("SELECT cc.content_id, cc.hash FROM content_chunks cc \
             LEFT JOIN chunks k ON k.tenant_id = cc.tenant_id AND k.hash = cc.hash \
             WHERE cc.tenant_id = ? AND (k.state IS NULL OR k.state <> 'live') LIMIT ?");
        let rows = self.conn.fetch(query.text(tenant).bind(limit)).await?;
        rows.iter().map(|row| Ok((row.hash(0)?, row.hash(1)?))).collect()
    }
}

/// Returns the key after which a page starts; nothing sorts before the empty one.
pub(super) fn after_hash(after: Option<&ContentId>) -> &[u8] {
    after.map_or(&[], |hash| hash.as_bytes().as_slice())
}

#[async_trait]
impl ContentWrites for SqlRows<'_> {
    async fn touch_content(&mut self, tenant: TenantId, id: ContentId, now: Timestamp) -> Result<bool> {
        Ok(!self.touch_contents(tenant, &[id], now).await?.is_empty())
    }

    async fn touch_contents(
        &mut self,
        tenant: TenantId,
        ids: &[ContentId],
        now: Timestamp,
    ) -> Result<Vec<ContentId>> {
        let mut found = Vec::with_capacity(ids.len());
        for part in ids.chunks(ROWS_PER_STATEMENT) {
            let list = || part.iter().map(|id| id.as_bytes().as_slice());
            // Written even if the time stays: the row is ours until the commit, and its remover waits.
            let touch = sql("UPDATE contents SET used_at = CASE WHEN used_at < ? THEN ? ELSE used_at END \
                 WHERE tenant_id = ? AND id IN ");
            let touch = touch.bind(now.as_micros()).bind(now.as_micros()).text(tenant).push_list(list());
            if self.conn.execute(touch).await? > 0 {
                let select = sql("SELECT id FROM contents WHERE tenant_id = ? AND id IN ").text(tenant);
                for row in self.conn.fetch(select.push_list(list())).await? {
                    found.push(row.hash(0)?);
                }
            }
        }
        Ok(found)
    }

    async fn insert_contents(
        &mut self,
        tenant: TenantId,
        contents: &[ContentRow],
        now: Timestamp,
    ) -> Result<()> {
        for part in contents.chunks(ROWS_PER_STATEMENT) {
            let mut insert =
                sql("INSERT INTO contents (tenant_id, id, size, checksum, chunking, used_at) VALUES ")
                    .push_groups(part.len(), 6);
            for content in part {
                insert = insert
                    .text(tenant)
                    .bind(content.id.as_bytes().as_slice())
                    .bind(content.size)
                    .bind(content.checksum.as_bytes().as_slice())
                    .bind(content.chunking.as_str())
                    .bind(now.as_micros());
            }
            if !unless_duplicate(self.conn.execute(insert).await)? {
                return Err(Error::AlreadyExists { what: "a content".to_owned() });
            }
        }
        let entries: Vec<_> = contents
            .iter()
            .flat_map(|content| content.chunks.iter().map(|entry| (content.id, *entry)))
            .collect();
        for part in entries.chunks(ROWS_PER_STATEMENT) {
            let mut insert =
                sql("INSERT INTO content_chunks (tenant_id, content_id, start, hash, size) VALUES ")
                    .push_groups(part.len(), 5);
            for (content, entry) in part {
                insert = insert
                    .text(tenant)
                    .bind(content.as_bytes().as_slice())
                    .bind(entry.start)
                    .bind(entry.hash.as_bytes().as_slice())
                    .bind(entry.size);
            }
            self.conn.execute(insert).await?;
        }
        Ok(())
    }

    async fn remove_content(
        &mut self,
        tenant: TenantId,
        id: ContentId,
        cutoff: Timestamp,
        now: Timestamp,
    ) -> Result<bool> {
        let id = id.as_bytes().as_slice();
        // First make the row ours: whoever reuses this content writes it too, before or after, never between.
        let claim =
            sql("UPDATE contents SET used_at = used_at + 1 WHERE tenant_id = ? AND id = ? AND used_at < ?");
        if self.conn.execute(claim.text(tenant).bind(id).bind(cutoff.as_micros())).await? == 0 {
            return Ok(false);
        }
        let lock = self.dialect().current_read();
        for table in REFERENCES {
            let used =
                sql(format!("SELECT 1 FROM {table} WHERE tenant_id = ? AND content_id = ? LIMIT 1{lock}"));
            if self.conn.fetch_one(used.text(tenant).bind(id)).await?.is_some() {
                return Ok(false);
            }
        }
        let touch = sql("UPDATE chunks SET used_at = ? WHERE tenant_id = ? AND used_at < ? AND hash IN \
             (SELECT hash FROM content_chunks WHERE tenant_id = ? AND content_id = ?)");
        let micros = now.as_micros();
        self.conn.execute(touch.bind(micros).text(tenant).bind(micros).text(tenant).bind(id)).await?;
        for table in [
            "content_chunks WHERE tenant_id = ? AND content_id = ?",
            "contents WHERE tenant_id = ? AND id = ?",
        ] {
            self.conn.execute(sql(format!("DELETE FROM {table}")).text(tenant).bind(id)).await?;
        }
        Ok(true)
    }
}
