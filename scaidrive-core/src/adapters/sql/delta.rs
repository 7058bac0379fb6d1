//! Queries of delta transfer: chunks that users sent, and which files hold a chunk.

use std::sync::Arc;

use async_trait::async_trait;

use super::statement::{SqlRow, Statement, sql};
use super::{ROWS_PER_STATEMENT, SqlRows};
use crate::model::{Caller, ChunkHash, ContentId, FileId, Result, ShareId, TenantId, Timestamp, UserId};
use crate::ports::metadata::{
    ChunkUse, ContentRow, ContentUse, DeltaReads, DeltaWrites, SeenEntry, SentChunk,
};

/// Hashes looked for by one statement.
const HASHES_PER_STATEMENT: usize = 5 * ROWS_PER_STATEMENT;

/// About how much is forgotten in one transaction: others write in between.
const FORGOTTEN_AT_ONCE: u32 = 5000;

fn list(hashes: &[ChunkHash]) -> impl ExactSizeIterator<Item = &[u8]> {
    hashes.iter().map(|hash| hash.as_bytes().as_slice())
}

fn content_use(row: &SqlRow) -> Result<ContentUse> {
    let file = match row.opt_parse::<FileId>(1)? {
        Some(file) => Some((file, row.parse_raw(2)?)),
        None => None,
    };
    Ok(ContentUse { content: row.hash(0)?, file })
}

impl SqlRows<'_> {
    /// Runs a statement on parts of what a user sent.
    async fn change_sent(
        &mut self,
        start: impl Fn() -> Statement,
        tenant: TenantId,
        user: &UserId,
        hashes: &[ChunkHash],
    ) -> Result<()> {
        for part in hashes.chunks(ROWS_PER_STATEMENT) {
            let change = start().push(" WHERE tenant_id = ? AND user_id = ? AND hash IN ");
            self.conn.execute(change.text(tenant).raw(user.as_str()).push_list(list(part))).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl DeltaReads for SqlRows<'_> {
    async fn sent_chunks(
        &mut self,
        tenant: TenantId,
        user: &UserId,
        hashes: &[ChunkHash],
    ) -> Result<Vec<SentChunk>> {
        let mut found = Vec::new();
        for part in hashes.chunks(HASHES_PER_STATEMENT) {
            let query = sql("SELECT hash, size, sent_at FROM sent_chunks \
                 WHERE tenant_id = ? AND user_id = ? AND hash IN ");
            let query = query.text(tenant).raw(user.as_str()).push_list(list(part));
            for row in self.conn.fetch(query).await? {
                found.push(SentChunk { hash: row.hash(0)?, size: row.small(1)?, sent_at: row.time(2)? });
            }
        }
        Ok(found)
    }

    async fn chunk_uses(
        &mut self,
        tenant: TenantId,
        hashes: &[ChunkHash],
        most: u32,
    ) -> Result<Vec<ChunkUse>> {
        // Of its own accord SQLite reads all chunks of the tenant for a long list.
        let index = self.dialect().by_index("content_chunks_by_hash");
        let query = sql(format!(
            "SELECT hash, size, content_id FROM content_chunks {index} WHERE tenant_id = ? AND hash IN "
        ));
        let query = query.text(tenant).push_list(list(hashes)).push(" LIMIT ?").bind(most);
        let rows = self.conn.fetch(query).await?;
        rows.iter()
            .map(|row| Ok(ChunkUse { hash: row.hash(0)?, size: row.small(1)?, content: row.hash(2)? }))
            .collect()
    }

    async fn content_uses(
        &mut self,
        tenant: TenantId,
        share: ShareId,
        contents: &[ContentId],
        most: u32,
    ) -> Result<Vec<ContentUse>> {
        // What bounds the work is how many versions are looked at, wherever they are.
        let query =
            sql("SELECT v.content_id, n.id, n.owner_id FROM (SELECT content_id, file_id FROM versions \
             WHERE tenant_id = ? AND content_id IN ")
            .text(tenant)
            .push_list(list(contents))
            .push(
                " LIMIT ?) v LEFT JOIN nodes n ON n.tenant_id = ? AND n.id = v.file_id AND n.share_id = ? \
             AND n.trashed_at IS NULL",
            );
        let rows = self.conn.fetch(query.bind(most).text(tenant).text(share)).await?;
        rows.iter().map(content_use).collect()
    }

    async fn contents(&mut self, tenant: TenantId, ids: &[ContentId]) -> Result<Vec<ContentRow>> {
        let mut found = Vec::new();
        for part in ids.chunks(HASHES_PER_STATEMENT) {
            let query =
                sql("SELECT id, size, checksum, chunking FROM contents WHERE tenant_id = ? AND id IN ");
            for row in self.conn.fetch(query.text(tenant).push_list(list(part))).await? {
                found.push(ContentRow {
                    id: row.hash(0)?,
                    size: row.unsigned(1)?,
                    checksum: row.hash(2)?,
                    chunks: Arc::from([]),
                    chunking: row.string(3)?,
                });
            }
        }
        Ok(found)
    }

    async fn pending_chunk_bytes(
        &mut self,
        tenant: TenantId,
        user: &UserId,
        since: Timestamp,
    ) -> Result<i64> {
        let int = self.dialect().integer();
        let query = sql(format!(
            "SELECT CAST(COALESCE(SUM(size), 0) AS {int}) FROM sent_chunks \
             WHERE tenant_id = ? AND user_id = ? AND pending = 1 AND sent_at >= ?"
        ));
        self.conn.fetch_number(query.text(tenant).raw(user.as_str()).bind(since.as_micros())).await
    }

    async fn entries_in(&mut self, caller: &Caller, share: ShareId) -> Result<Vec<SeenEntry>> {
        self.read_entries_in(caller, share).await
    }

    async fn dangling_sent(&mut self, tenant: TenantId, limit: u32) -> Result<Vec<ChunkHash>> {
        let query = sql("SELECT s.hash FROM sent_chunks s \
             LEFT JOIN chunks k ON k.tenant_id = s.tenant_id AND k.hash = s.hash \
             WHERE s.tenant_id = ? AND (k.state IS NULL OR k.state <> 'live') LIMIT ?");
        self.conn.fetch(query.text(tenant).bind(limit)).await?.iter().map(|row| row.hash(0)).collect()
    }
}

#[async_trait]
impl DeltaWrites for SqlRows<'_> {
    async fn insert_sent(
        &mut self,
        tenant: TenantId,
        user: &UserId,
        chunks: &[(ChunkHash, u32)],
        at: Timestamp,
    ) -> Result<()> {
        for part in chunks.chunks(ROWS_PER_STATEMENT) {
            let mut insert =
                sql("INSERT INTO sent_chunks (tenant_id, hash, user_id, size, sent_at, pending) VALUES ")
                    .push_groups(part.len(), 6);
            for (hash, size) in part {
                insert = insert
                    .text(tenant)
                    .bind(hash.as_bytes().as_slice())
                    .raw(user.as_str())
                    .bind(*size)
                    .bind(at.as_micros())
                    .bind(true);
            }
            self.conn.execute(insert).await?;
        }
        Ok(())
    }

    async fn renew_sent(
        &mut self,
        tenant: TenantId,
        user: &UserId,
        hashes: &[ChunkHash],
        at: Timestamp,
    ) -> Result<()> {
        let renew = || sql("UPDATE sent_chunks SET sent_at = ?").bind(at.as_micros());
        self.change_sent(renew, tenant, user, hashes).await
    }

    async fn remove_sent(&mut self, tenant: TenantId, user: &UserId, hashes: &[ChunkHash]) -> Result<()> {
        self.change_sent(|| sql("DELETE FROM sent_chunks"), tenant, user, hashes).await
    }

    async fn settle_sent(&mut self, tenant: TenantId, user: &UserId, hashes: &[ChunkHash]) -> Result<()> {
        self.change_sent(|| sql("UPDATE sent_chunks SET pending = 0"), tenant, user, hashes).await
    }

    async fn forget_sent(&mut self, tenant: TenantId, before: Timestamp) -> Result<u64> {
        let oldest = sql("SELECT sent_at FROM sent_chunks WHERE tenant_id = ? AND sent_at < ? \
             ORDER BY sent_at LIMIT 1 OFFSET ?");
        let oldest = oldest.text(tenant).bind(before.as_micros()).bind(FORGOTTEN_AT_ONCE);
        let until = self.conn.fetch_one(oldest).await?.map(|row| row.int(0)).transpose()?;
        let forget = sql("DELETE FROM sent_chunks WHERE tenant_id = ? AND sent_at <= ?");
        let until = until.unwrap_or(before.as_micros() - 1);
        self.conn.execute(forget.text(tenant).bind(until)).await
    }
}
