//! Queries of shares, each with what it is charged.

use super::SqlRows;
use super::statement::{SqlRow, sql};
use super::tenancy::json;
use crate::model::{Result, Share, ShareId, TenantId, UsageTarget};

/// The columns that `share_at` reads, in its order, from a table called `s`.
pub(super) const SHARE_COLUMNS: &str = "s.id, s.tenant_id, s.name, s.description, s.share_type, s.owner, s.is_public, \
     s.trashed_at, s.quota_bytes, s.settings, s.created_at, s.modified_at, s.has_acl";

/// Reads a share whose columns begin at `at`.
pub(super) fn share_at(row: &SqlRow, at: usize) -> Result<Share> {
    Ok(Share {
        id: row.parse(at)?,
        tenant_id: row.parse(at + 1)?,
        name: row.string(at + 2)?,
        description: row.opt_string(at + 3)?,
        share_type: row.parse(at + 4)?,
        owner: row.parse_raw(at + 5)?,
        is_public: row.int(at + 6)? != 0,
        is_deleted: row.opt_int(at + 7)?.is_some(),
        quota_bytes: row.opt_int(at + 8)?.map(|bytes| u64::try_from(bytes).unwrap_or(0)),
        used_bytes: 0,
        settings: row.json(at + 9)?,
        created_at: row.time(at + 10)?,
        modified_at: row.time(at + 11)?,
        has_acl: row.int(at + 12)? != 0,
    })
}

impl SqlRows<'_> {
    /// Returns a share without its usage where `lock` is given: the counters are locked last of all.
    pub(super) async fn share_row(
        &mut self,
        tenant: TenantId,
        id: ShareId,
        lock: &str,
    ) -> Result<Option<Share>> {
        let query =
            sql(format!("SELECT {SHARE_COLUMNS} FROM shares s WHERE s.tenant_id = ? AND s.id = ?{lock}"));
        self.conn.fetch_one(query.text(tenant).text(id)).await?.map(|row| share_at(&row, 0)).transpose()
    }

    pub(super) async fn fill_share_usage(&mut self, tenant: TenantId, shares: &mut [Share]) -> Result<()> {
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
            sql("INSERT INTO shares (tenant_id, id, name, description, share_type, owner, is_public, \
             quota_bytes, settings, tree_version, created_at, modified_at) VALUES ")
            .push_groups(1, 12)
            .text(share.tenant_id)
            .text(share.id)
            .bind(share.name.as_str())
            .bind(share.description.clone())
            .text(share.share_type)
            .raw(&share.owner.to_string())
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
            "UPDATE shares SET name = ?, description = ?, owner = ?, is_public = ?, quota_bytes = ?, settings = ?, \
             trashed_at = ?, modified_at = ?, tree_version = tree_version + 1 WHERE tenant_id = ? AND id = ?",
        )
        .bind(share.name.as_str())
        .bind(share.description.clone())
        .raw(&share.owner.to_string())
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
