//! Queries of resumable uploads.

use async_trait::async_trait;

use super::statement::{SqlRow, Statement, sql};
use super::{ROWS_PER_STATEMENT, SqlRows};
use crate::model::{
    ChunkHash, FileName, Layout, MimeType, Result, Sha256Hash, TenantId, Timestamp, UploadId, UploadStatus,
    UserId,
};
use crate::ports::metadata::{
    ChunkWrites, MadeFile, ManifestEntry, PartRow, UploadChunk, UploadReads, UploadRow, UploadWrites,
};

/// The columns that `upload` reads, in its order.
const UPLOAD: &str = "SELECT id, tenant_id, user_id, share_id, folder_id, file_name, mime_type, file_size, chunk_size, \
     checksum, replace_file_id, base_version_id, status, created_at, expires_at, ended_at, received, revision, \
     generation, frontier, hash_state, lease_holder, lease_until, file_id, version, version_id, content_checksum, \
     owner_id FROM upload_sessions";

/// Narrows to a session's own rows in `upload_parts` and `upload_chunks`.
const OF_SESSION: &str = " WHERE tenant_id = ? AND session_id = ?";

/// What counts as live, as `UploadStatus::is_live` says.
const IS_LIVE: &str = "status IN ('open', 'completing')";

/// Says of a session that it has neither parts nor chunks.
const HAS_NOTHING: &str = "NOT EXISTS (SELECT 1 FROM upload_chunks c \
     WHERE c.tenant_id = upload_sessions.tenant_id AND c.session_id = upload_sessions.id) \
     AND NOT EXISTS (SELECT 1 FROM upload_parts p \
     WHERE p.tenant_id = upload_sessions.tenant_id AND p.session_id = upload_sessions.id)";

fn upload(row: &SqlRow) -> Result<UploadRow> {
    let lease = match (row.opt_string(21)?, row.opt_time(22)?) {
        (Some(holder), Some(until)) => Some((holder, until)),
        _ => None,
    };
    Ok(UploadRow {
        id: row.parse(0)?,
        tenant: row.parse(1)?,
        user: row.parse_raw(2)?,
        owner: row.parse_raw(27)?,
        share: row.parse(3)?,
        folder: row.opt_parse(4)?,
        name: FileName::parse(&row.string(5)?)?,
        mime_type: row.opt_string(6)?.map(|text| MimeType::parse(&text)).transpose()?,
        layout: Layout { size: row.unsigned(7)?, part_size: row.small(8)? },
        checksum: row.opt_hash(9)?,
        replaces: row.opt_parse(10)?,
        base: row.opt_parse(11)?,
        status: row.parse(12)?,
        created_at: row.time(13)?,
        expires_at: row.time(14)?,
        ended_at: row.opt_time(15)?,
        received: row.small(16)?,
        revision: row.small(17)?,
        generation: row.small(18)?,
        frontier: row.unsigned(19)?,
        hash_state: row.bytes(20)?,
        lease,
        made: made(row)?,
    })
}

fn made(row: &SqlRow) -> Result<Option<MadeFile>> {
    let Some(file) = row.opt_parse(23)? else { return Ok(None) };
    Ok(Some(MadeFile { file, version: row.small(24)?, version_id: row.parse(25)?, checksum: row.hash(26)? }))
}

fn entry(row: &SqlRow) -> Result<ManifestEntry> {
    Ok(ManifestEntry { start: row.unsigned(0)?, hash: row.hash(1)?, size: row.small(2)? })
}

fn of_session(statement: Statement, tenant: TenantId, id: UploadId) -> Statement {
    statement.push(OF_SESSION).text(tenant).text(id)
}

fn bytes(hash: Option<Sha256Hash>) -> Option<Vec<u8>> {
    hash.map(|hash| hash.as_bytes().to_vec())
}

fn text(value: Option<impl ToString>) -> Option<String> {
    value.map(|value| value.to_string())
}

impl SqlRows<'_> {
    async fn upload_row(
        &mut self,
        tenant: TenantId,
        id: UploadId,
        lock: &'static str,
    ) -> Result<Option<UploadRow>> {
        let query = sql(UPLOAD).push(" WHERE tenant_id = ? AND id = ?").push(lock).text(tenant).text(id);
        self.conn.fetch_one(query).await?.as_ref().map(upload).transpose()
    }

    async fn entries(&mut self, query: Statement) -> Result<Vec<ManifestEntry>> {
        self.conn.fetch(query).await?.iter().map(entry).collect()
    }
}

#[async_trait]
impl UploadReads for SqlRows<'_> {
    async fn upload(&mut self, tenant: TenantId, id: UploadId) -> Result<Option<UploadRow>> {
        self.upload_row(tenant, id, "").await
    }

    async fn upload_part_numbers(&mut self, tenant: TenantId, id: UploadId) -> Result<Vec<u32>> {
        let query = of_session(sql("SELECT part FROM upload_parts"), tenant, id).push(" ORDER BY part");
        self.conn.fetch(query).await?.iter().map(|row| row.small(0)).collect()
    }

    async fn upload_parts(
        &mut self,
        tenant: TenantId,
        id: UploadId,
        from: u32,
        limit: u32,
    ) -> Result<Vec<PartRow>> {
        let query = of_session(sql("SELECT part, hash, promoted_in FROM upload_parts"), tenant, id)
            .push(" AND part >= ? ORDER BY part LIMIT ?")
            .bind(from)
            .bind(limit);
        let part = |row: &SqlRow| {
            Ok(PartRow { part: row.small(0)?, hash: row.hash(1)?, promoted_in: row.opt_small(2)? })
        };
        self.conn.fetch(query).await?.iter().map(part).collect()
    }

    async fn upload_manifest(&mut self, tenant: TenantId, id: UploadId) -> Result<Vec<ManifestEntry>> {
        let query = of_session(sql("SELECT start, hash, size FROM upload_chunks"), tenant, id);
        self.entries(query.push(" AND listed = 1 ORDER BY start")).await
    }

    async fn upload_checkpoint(
        &mut self,
        tenant: TenantId,
        id: UploadId,
        offset: u64,
    ) -> Result<Option<(u64, Vec<u8>)>> {
        let query = of_session(sql("SELECT start, hash_state FROM upload_chunks"), tenant, id)
            .push(" AND listed = 1 AND start <= ? AND hash_state IS NOT NULL ORDER BY start DESC LIMIT 1");
        let row = self.conn.fetch_one(query.bind(offset)).await?;
        row.map(|row| Ok((row.unsigned(0)?, row.bytes(1)?))).transpose()
    }

    async fn upload_generation(
        &mut self,
        tenant: TenantId,
        id: UploadId,
        generation: u32,
        from: u64,
        to: u64,
    ) -> Result<Vec<ManifestEntry>> {
        let query = of_session(sql("SELECT start, hash, size FROM upload_chunks"), tenant, id)
            .push(" AND generation = ? AND start < ? AND start + size > ? ORDER BY start");
        self.entries(query.bind(generation).bind(to).bind(from)).await
    }

    async fn pending_uploads(&mut self, tenant: TenantId, owner: &UserId, now: Timestamp) -> Result<i64> {
        let int = self.dialect().integer();
        let query = sql(format!(
            "SELECT CAST(COALESCE(SUM(file_size), 0) AS {int}) FROM upload_sessions \
             WHERE tenant_id = ? AND owner_id = ? AND {IS_LIVE} AND expires_at > ?"
        ));
        self.conn.fetch_number(query.text(tenant).raw(owner.as_str()).bind(now.as_micros())).await
    }

    async fn overdue_uploads(
        &mut self,
        tenant: TenantId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<UploadId>> {
        let query = sql(format!(
            "SELECT id FROM upload_sessions WHERE tenant_id = ? AND {IS_LIVE} AND expires_at <= ? LIMIT ?"
        ));
        let query = query.text(tenant).bind(now.as_micros()).bind(limit);
        self.conn.fetch(query).await?.iter().map(|row| row.parse(0)).collect()
    }

    async fn leftover_uploads(&mut self, tenant: TenantId, limit: u32) -> Result<Vec<UploadId>> {
        let query = sql(format!(
            "SELECT id FROM upload_sessions WHERE tenant_id = ? AND ended_at IS NOT NULL \
             AND NOT ({HAS_NOTHING}) LIMIT ?"
        ));
        let rows = self.conn.fetch(query.text(tenant).bind(limit)).await?;
        rows.iter().map(|row| row.parse(0)).collect()
    }

    async fn upload_statuses(&mut self, ids: &[UploadId]) -> Result<Vec<(UploadId, UploadStatus)>> {
        let mut found = Vec::new();
        for part in ids.chunks(ROWS_PER_STATEMENT) {
            let query = sql("SELECT id, status FROM upload_sessions WHERE id IN ");
            for row in self.conn.fetch(query.push_list(part.iter().map(ToString::to_string))).await? {
                found.push((row.parse(0)?, row.parse(1)?));
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl UploadWrites for SqlRows<'_> {
    async fn insert_upload(&mut self, upload: &UploadRow) -> Result<()> {
        let insert = sql("INSERT INTO upload_sessions (id, tenant_id, user_id, share_id, folder_id, file_name, \
             mime_type, file_size, chunk_size, checksum, replace_file_id, base_version_id, status, created_at, \
             expires_at, received, revision, generation, frontier, hash_state, owner_id) VALUES ")
        .push_groups(1, 21)
        .text(upload.id)
        .text(upload.tenant)
        .raw(upload.user.as_str())
        .text(upload.share)
        .bind(text(upload.folder))
        .bind(upload.name.as_str())
        .bind(text(upload.mime_type.as_ref()))
        .bind(upload.layout.size)
        .bind(upload.layout.part_size)
        .bind(bytes(upload.checksum).as_deref())
        .bind(text(upload.replaces))
        .bind(text(upload.base))
        .text(upload.status)
        .bind(upload.created_at.as_micros())
        .bind(upload.expires_at.as_micros())
        .bind(upload.received)
        .bind(upload.revision)
        .bind(upload.generation)
        .bind(upload.frontier)
        .bind(upload.hash_state.as_slice())
        .raw(upload.owner.as_str());
        self.conn.execute(insert).await.map(drop)
    }

    async fn lock_upload(&mut self, tenant: TenantId, id: UploadId) -> Result<Option<UploadRow>> {
        let lock = self.dialect().current_read();
        self.upload_row(tenant, id, lock).await
    }

    async fn update_upload(&mut self, upload: &UploadRow) -> Result<()> {
        let update =
            sql("UPDATE upload_sessions SET status = ?, expires_at = ?, ended_at = ?, received = ?, \
             revision = ?, generation = ?, frontier = ?, hash_state = ?, lease_holder = ?, lease_until = ?, \
             file_id = ?, version = ?, version_id = ?, content_checksum = ? WHERE tenant_id = ? AND id = ?");
        let (holder, until) = upload.lease.clone().unzip();
        let update = update
            .text(upload.status)
            .bind(upload.expires_at.as_micros())
            .bind(upload.ended_at.map(Timestamp::as_micros))
            .bind(upload.received)
            .bind(upload.revision)
            .bind(upload.generation)
            .bind(upload.frontier)
            .bind(upload.hash_state.as_slice())
            .bind(holder)
            .bind(until.map(Timestamp::as_micros))
            .bind(text(upload.made.map(|made| made.file)))
            .bind(upload.made.map(|made| i64::from(made.version)))
            .bind(text(upload.made.map(|made| made.version_id)))
            .bind(bytes(upload.made.map(|made| made.checksum)).as_deref())
            .text(upload.tenant)
            .text(upload.id);
        self.conn.execute(update).await.map(drop)
    }

    async fn put_upload_part(&mut self, tenant: TenantId, id: UploadId, part: &PartRow) -> Result<()> {
        self.delete_upload_part(tenant, id, part.part).await?;
        let insert = sql("INSERT INTO upload_parts (tenant_id, session_id, part, hash, promoted_in) VALUES ")
            .push_groups(1, 5)
            .text(tenant)
            .text(id)
            .bind(part.part)
            .bind(part.hash.as_bytes().as_slice())
            .bind(part.promoted_in.map(i64::from));
        self.conn.execute(insert).await.map(drop)
    }

    async fn delete_upload_part(&mut self, tenant: TenantId, id: UploadId, part: u32) -> Result<()> {
        let delete = of_session(sql("DELETE FROM upload_parts"), tenant, id).push(" AND part = ?");
        self.conn.execute(delete.bind(part)).await.map(drop)
    }

    async fn promote_upload_parts(
        &mut self,
        tenant: TenantId,
        id: UploadId,
        before: u32,
        generation: u32,
    ) -> Result<()> {
        let update = of_session(sql("UPDATE upload_parts SET promoted_in = ?").bind(generation), tenant, id)
            .push(" AND part < ? AND promoted_in IS NULL");
        self.conn.execute(update.bind(before)).await.map(drop)
    }

    async fn insert_upload_chunks(
        &mut self,
        tenant: TenantId,
        id: UploadId,
        generation: u32,
        chunks: &[UploadChunk],
    ) -> Result<()> {
        for part in chunks.chunks(ROWS_PER_STATEMENT) {
            let mut insert =
                sql("INSERT INTO upload_chunks (tenant_id, session_id, generation, start, hash, size, \
                 listed, hash_state) VALUES ")
                .push_groups(part.len(), 8);
            for chunk in part {
                insert = insert
                    .text(tenant)
                    .text(id)
                    .bind(generation)
                    .bind(chunk.entry.start)
                    .bind(chunk.entry.hash.as_bytes().as_slice())
                    .bind(chunk.entry.size)
                    .bind(chunk.is_listed)
                    .bind(chunk.hash_state.as_deref());
            }
            self.conn.execute(insert).await?;
        }
        Ok(())
    }

    async fn unlist_upload_chunks(&mut self, tenant: TenantId, id: UploadId, from: u64) -> Result<()> {
        let update = of_session(sql("UPDATE upload_chunks SET listed = 0"), tenant, id)
            .push(" AND listed = 1 AND start >= ?");
        self.conn.execute(update.bind(from)).await.map(drop)
    }

    async fn drop_upload_chunks(
        &mut self,
        tenant: TenantId,
        id: UploadId,
        limit: u32,
        now: Timestamp,
    ) -> Result<bool> {
        let query = of_session(sql("SELECT hash, generation, start FROM upload_chunks"), tenant, id)
            .push(" ORDER BY generation, start LIMIT ?");
        let rows = self.conn.fetch(query.bind(limit)).await?;
        let Some(last) = rows.last() else { return Ok(true) };
        let mut hashes = rows.iter().map(|row| row.hash(0)).collect::<Result<Vec<ChunkHash>>>()?;
        hashes.sort_unstable();
        hashes.dedup();
        self.touch_chunks(tenant, &hashes, now).await?;
        let (generation, start) = (last.int(1)?, last.int(2)?);
        let delete = of_session(sql("DELETE FROM upload_chunks"), tenant, id)
            .push(" AND (generation < ? OR (generation = ? AND start <= ?))");
        self.conn.execute(delete.bind(generation).bind(generation).bind(start)).await?;
        Ok(rows.len() < limit as usize)
    }

    async fn drop_upload_parts(&mut self, tenant: TenantId, id: UploadId) -> Result<()> {
        self.conn.execute(of_session(sql("DELETE FROM upload_parts"), tenant, id)).await.map(drop)
    }

    async fn forget_uploads(&mut self, tenant: TenantId, before: Timestamp) -> Result<()> {
        let delete = sql(format!(
            "DELETE FROM upload_sessions WHERE tenant_id = ? AND ended_at < ? AND {HAS_NOTHING}"
        ));
        self.conn.execute(delete.text(tenant).bind(before.as_micros())).await.map(drop)
    }
}
