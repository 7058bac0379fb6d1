//! Queries of shares, each with what it is charged.

use super::SqlRows;
use super::statement::{SqlRow, Statement, sql};
use super::tenancy::json;
use crate::model::{Result, Share, ShareId, TenantId, UsageTarget};
use crate::ports::metadata::ShareQuery;

const SHARE: &str = "SELECT s.id, s.tenant_id, s.name, s.description, s.share_type, s.owner_id, s.is_public, \
     s.trashed_at, s.quota_bytes, s.settings, s.created_at, s.modified_at FROM shares s";

fn share(row: &SqlRow) -> Result<Share> {
    Ok(Share {
        id: row.parse(0)?,
        tenant_id: row.parse(1)?,
        name: row.string(2)?,
        description: row.opt_string(3)?,
        share_type: row.parse(4)?,
        owner_id: row.parse_raw(5)?,
        is_public: row.int(6)? != 0,
        is_deleted: row.opt_int(7)?.is_some(),
        quota_bytes: row.opt_int(8)?.map(|bytes| u64::try_from(bytes).unwrap_or(0)),
        used_bytes: 0,
        settings: row.json(9)?,
        created_at: row.time(10)?,
        modified_at: row.time(11)?,
    })
}

/// Narrows a query of shares to what the caller may see.
fn filter(statement: Statement, tenant: TenantId, query: &ShareQuery) -> Statement {
    let mut statement = statement.push(" WHERE s.tenant_id = ?").text(tenant);
    if !query.include_trashed {
        statement = statement.push(" AND s.trashed_at IS NULL");
    }
    if let Some(user) = &query.visible_to {
        statement = statement.push(" AND (s.owner_id = ? OR s.is_public = 1)").raw(user.as_str());
    }
    statement
}

impl SqlRows<'_> {
    /// Returns a share without its usage where `lock` is given: the counters are locked last of all.
    pub(super) async fn share_row(
        &mut self,
        tenant: TenantId,
        id: ShareId,
        lock: &str,
    ) -> Result<Option<Share>> {
        let query = sql(SHARE).push(" WHERE s.tenant_id = ? AND s.id = ?").push(lock).text(tenant).text(id);
        self.conn.fetch_one(query).await?.as_ref().map(share).transpose()
    }

    pub(super) async fn share_page(
        &mut self,
        tenant: TenantId,
        query: &ShareQuery,
    ) -> Result<(Vec<Share>, u64)> {
        let count = filter(sql("SELECT COUNT(*) FROM shares s"), tenant, query);
        let total = self.conn.fetch_number(count).await?;
        let page = filter(sql(SHARE), tenant, query).push(" ORDER BY s.name, s.id LIMIT ? OFFSET ?");
        let rows = self.conn.fetch(page.bind(query.limit).bind(query.offset)).await?;
        let mut shares: Vec<Share> = rows.iter().map(share).collect::<Result<_>>()?;
        self.fill_usage(tenant, &mut shares).await?;
        Ok((shares, u64::try_from(total).unwrap_or(0)))
    }

    async fn fill_usage(&mut self, tenant: TenantId, shares: &mut [Share]) -> Result<()> {
        if shares.is_empty() {
            return Ok(());
        }
        let targets: Vec<String> =
            shares.iter().map(|share| UsageTarget::Share(share.id).to_string()).collect();
        let query = sql("SELECT target, file_bytes + version_bytes + trash_bytes FROM counters \
             WHERE tenant_id = ? AND target IN ")
        .text(tenant)
        .push_list(targets.iter().map(std::string::String::as_bytes));
        for row in self.conn.fetch(query).await? {
            let (target, used) = (row.raw(0)?, row.int(1)?);
            if let Some(at) = targets.iter().position(|known| *known == target) {
                shares[at].used_bytes = u64::try_from(used).unwrap_or(0);
            }
        }
        Ok(())
    }

    pub(super) async fn add_share(&mut self, share: &Share) -> Result<()> {
        let insert =
            sql("INSERT INTO shares (tenant_id, id, name, description, share_type, owner_id, is_public, \
             quota_bytes, settings, tree_version, created_at, modified_at) VALUES ")
            .push_groups(1, 12)
            .text(share.tenant_id)
            .text(share.id)
            .bind(share.name.as_str())
            .bind(share.description.clone())
            .text(share.share_type)
            .raw(share.owner_id.as_str())
            .bind(share.is_public)
            .bind(share.quota_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)))
            .bind(json(&share.settings)?)
            .bind(0i64)
            .bind(share.created_at.as_micros())
            .bind(share.modified_at.as_micros());
        self.conn.execute(insert).await.map(drop)
    }

    pub(super) async fn replace_share(&mut self, share: &Share) -> Result<()> {
        let trashed_at = share.is_deleted.then(|| share.modified_at.as_micros());
        let update = sql(
            "UPDATE shares SET name = ?, description = ?, is_public = ?, quota_bytes = ?, settings = ?, \
             trashed_at = ?, modified_at = ?, tree_version = tree_version + 1 WHERE tenant_id = ? AND id = ?",
        )
        .bind(share.name.as_str())
        .bind(share.description.clone())
        .bind(share.is_public)
        .bind(share.quota_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)))
        .bind(json(&share.settings)?)
        .bind(trashed_at)
        .bind(share.modified_at.as_micros())
        .text(share.tenant_id)
        .text(share.id);
        self.conn.execute(update).await.map(drop)
    }
}
