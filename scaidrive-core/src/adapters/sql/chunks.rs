//! Queries of chunks: the states that keep collection from losing data (design §5).

use async_trait::async_trait;

use super::contents::after_hash;
use super::statement::{SqlRow, Statement, sql};
use super::{ROWS_PER_STATEMENT, SqlRows};
use crate::model::{ChunkHash, Error, Result, TenantId, Timestamp};
use crate::ports::metadata::{ChunkReads, ChunkRow, ChunkStats, ChunkWrites};

const CHUNK: &str =
    "SELECT k.hash, k.size, k.state, k.used_at, k.delete_began_at FROM chunks k WHERE k.tenant_id = ?";

fn chunk(row: &SqlRow) -> Result<ChunkRow> {
    Ok(ChunkRow {
        hash: row.hash(0)?,
        size: row.small(1)?,
        state: row.parse(2)?,
        used_at: row.time(3)?,
        delete_began_at: row.opt_time(4)?,
    })
}

fn list(hashes: &[ChunkHash]) -> impl ExactSizeIterator<Item = &[u8]> {
    hashes.iter().map(|hash| hash.as_bytes().as_slice())
}

impl SqlRows<'_> {
    async fn chunk_rows(&mut self, query: Statement) -> Result<Vec<ChunkRow>> {
        self.conn.fetch(query).await?.iter().map(chunk).collect()
    }
}

#[async_trait]
impl ChunkReads for SqlRows<'_> {
    async fn chunks(&mut self, tenant: TenantId, hashes: &[ChunkHash]) -> Result<Vec<ChunkRow>> {
        let mut found = Vec::with_capacity(hashes.len());
        for part in hashes.chunks(ROWS_PER_STATEMENT) {
            let query = sql(CHUNK).push(" AND k.hash IN ").text(tenant).push_list(list(part));
            found.extend(self.chunk_rows(query).await?);
        }
        Ok(found)
    }

    async fn chunk_page(
        &mut self,
        tenant: TenantId,
        after: Option<ChunkHash>,
        limit: u32,
    ) -> Result<Vec<ChunkRow>> {
        let query = sql(CHUNK).push(" AND k.hash > ? ORDER BY k.hash LIMIT ?");
        self.chunk_rows(query.text(tenant).bind(after_hash(after.as_ref())).bind(limit)).await
    }

    async fn unused_chunks(
        &mut self,
        tenant: TenantId,
        cutoff: Timestamp,
        after: Option<ChunkHash>,
        limit: u32,
    ) -> Result<Vec<ChunkRow>> {
        let query = sql(CHUNK).push(
            " AND k.hash > ? AND k.used_at < ? AND k.state <> 'deleting' AND NOT EXISTS (SELECT 1 FROM \
             content_chunks cc WHERE cc.tenant_id = k.tenant_id AND cc.hash = k.hash) AND NOT EXISTS (SELECT 1 \
             FROM upload_chunks uc WHERE uc.tenant_id = k.tenant_id AND uc.hash = k.hash) AND NOT EXISTS (SELECT 1 \
             FROM sent_chunks s WHERE s.tenant_id = k.tenant_id AND s.hash = k.hash) ORDER BY k.hash LIMIT ?",
        );
        let query = query.text(tenant).bind(after_hash(after.as_ref())).bind(cutoff.as_micros()).bind(limit);
        self.chunk_rows(query).await
    }

    async fn deleting_chunks(
        &mut self,
        tenant: TenantId,
        after: Option<ChunkHash>,
        limit: u32,
    ) -> Result<Vec<ChunkRow>> {
        let query = sql(CHUNK).push(" AND k.state = 'deleting' AND k.hash > ? ORDER BY k.hash LIMIT ?");
        self.chunk_rows(query.text(tenant).bind(after_hash(after.as_ref())).bind(limit)).await
    }

    async fn chunk_stats(&mut self, tenant: TenantId) -> Result<ChunkStats> {
        let int = self.dialect().integer();
        let query = sql(format!(
            "SELECT (SELECT COUNT(*) FROM chunks WHERE tenant_id = ?), \
             CAST(COALESCE((SELECT SUM(size) FROM chunks WHERE tenant_id = ?), 0) AS {int}), \
             (SELECT COUNT(*) FROM contents WHERE tenant_id = ?), \
             CAST(COALESCE((SELECT SUM(size) FROM contents WHERE tenant_id = ?), 0) AS {int})"
        ));
        let query = query.text(tenant).text(tenant).text(tenant).text(tenant);
        let row =
            self.conn.fetch_one(query).await?.ok_or_else(|| Error::internal("an aggregate without a row"))?;
        Ok(ChunkStats {
            chunks: row.int(0)?,
            bytes: row.int(1)?,
            contents: row.int(2)?,
            content_bytes: row.int(3)?,
        })
    }
}

#[async_trait]
impl ChunkWrites for SqlRows<'_> {
    async fn touch_chunks(
        &mut self,
        tenant: TenantId,
        hashes: &[ChunkHash],
        now: Timestamp,
    ) -> Result<Vec<ChunkRow>> {
        for part in hashes.chunks(ROWS_PER_STATEMENT) {
            let touch = sql("UPDATE chunks SET used_at = ? WHERE tenant_id = ? AND used_at < ? \
                 AND state <> 'deleting' AND hash IN ");
            let touch = touch.bind(now.as_micros()).text(tenant).bind(now.as_micros()).push_list(list(part));
            self.conn.execute(touch).await?;
        }
        self.chunks(tenant, hashes).await
    }

    async fn insert_writing(
        &mut self,
        tenant: TenantId,
        chunks: &[(ChunkHash, u32)],
        now: Timestamp,
    ) -> Result<()> {
        let keep = self.dialect().keep_existing("size");
        for part in chunks.chunks(ROWS_PER_STATEMENT) {
            let mut insert = sql("INSERT INTO chunks (tenant_id, hash, size, state, used_at) VALUES ")
                .push_groups(part.len(), 5);
            for (hash, size) in part {
                insert = insert
                    .text(tenant)
                    .bind(hash.as_bytes().as_slice())
                    .bind(*size)
                    .bind("writing")
                    .bind(now.as_micros());
            }
            self.conn.execute(insert.push(&keep)).await?;
        }
        Ok(())
    }

    async fn mark_live(&mut self, tenant: TenantId, hashes: &[ChunkHash]) -> Result<u64> {
        let mut live = 0;
        for part in hashes.chunks(ROWS_PER_STATEMENT) {
            let mark = sql(
                "UPDATE chunks SET state = 'live' WHERE tenant_id = ? AND state <> 'deleting' AND hash IN ",
            );
            live += self.conn.execute(mark.text(tenant).push_list(list(part))).await?;
        }
        Ok(live)
    }

    async fn mark_deleting(
        &mut self,
        tenant: TenantId,
        hash: ChunkHash,
        cutoff: Timestamp,
        now: Timestamp,
    ) -> Result<bool> {
        let hash = hash.as_bytes().as_slice();
        let mark = sql("UPDATE chunks SET state = 'deleting', delete_began_at = ? \
             WHERE tenant_id = ? AND hash = ? AND state <> 'deleting' AND used_at < ?");
        let mark = mark.bind(now.as_micros()).text(tenant).bind(hash).bind(cutoff.as_micros());
        if self.conn.execute(mark).await? == 0 {
            return Ok(false);
        }
        // The row is ours now: a reference committed before is seen here, a later one finds `deleting`. Uploads are
        // looked at first: a reference goes from an upload to a content, and must not slip through between the two.
        let lock = self.dialect().current_read();
        for table in ["upload_chunks", "sent_chunks", "content_chunks"] {
            let used = sql(format!("SELECT 1 FROM {table} WHERE tenant_id = ? AND hash = ? LIMIT 1"));
            if self.conn.fetch_one(used.push(lock).text(tenant).bind(hash)).await?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn renew_deleting(
        &mut self,
        tenant: TenantId,
        hash: ChunkHash,
        not_since: Timestamp,
        now: Timestamp,
    ) -> Result<bool> {
        let renew = sql("UPDATE chunks SET delete_began_at = ? WHERE tenant_id = ? AND hash = ? \
             AND state = 'deleting' AND delete_began_at < ?");
        let renew = renew
            .bind(now.as_micros())
            .text(tenant)
            .bind(hash.as_bytes().as_slice())
            .bind(not_since.as_micros());
        Ok(self.conn.execute(renew).await? == 1)
    }

    async fn remove_deleted(
        &mut self,
        tenant: TenantId,
        hash: ChunkHash,
        began_before: Timestamp,
    ) -> Result<bool> {
        let delete = sql("DELETE FROM chunks WHERE tenant_id = ? AND hash = ? AND state = 'deleting' \
             AND delete_began_at < ?");
        let delete = delete.text(tenant).bind(hash.as_bytes().as_slice()).bind(began_before.as_micros());
        Ok(self.conn.execute(delete).await? == 1)
    }
}
