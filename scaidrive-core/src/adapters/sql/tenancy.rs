//! Queries of partners, tenants, users and favourites.

use async_trait::async_trait;

use super::SqlRows;
use super::statement::{SqlRow, sql};
use crate::model::{
    ExternalTenantId, NodeId, PartnerId, Result, Share, ShareId, Tenant, TenantId, Timestamp, User, UserId,
};
use crate::ports::metadata::{TenancyReads, TenancyWrites};

const TENANT: &str =
    "SELECT id, partner_id, name, status, settings, created_at, display_name, external_id FROM tenants";
/// The columns that `user_at` reads, in its order, from a table called `u`.
pub(super) const USER_COLUMNS: &str = "u.id, u.tenant_id, u.email, u.name, u.status, u.admin_role, u.created_at, \
     u.display_name, u.avatar_url, u.provisioning_source, u.synced_at, u.last_login_at";

fn tenant(row: &SqlRow) -> Result<Tenant> {
    Ok(Tenant {
        id: row.parse(0)?,
        partner_id: row.parse(1)?,
        name: row.string(2)?,
        status: row.parse(3)?,
        settings: row.json(4)?,
        created_at: row.time(5)?,
        display_name: row.opt_string(6)?,
        external_id: row.opt_bytes(7)?.is_some().then(|| row.parse_raw(7)).transpose()?,
    })
}

/// Reads a user whose columns come first.
pub(super) fn user_at(row: &SqlRow) -> Result<User> {
    Ok(User {
        id: row.parse_raw(0)?,
        tenant_id: row.parse(1)?,
        email: row.opt_string(2)?,
        name: row.opt_string(3)?,
        status: row.parse(4)?,
        admin_role: row.opt_parse(5)?,
        created_at: row.time(6)?,
        display_name: row.opt_string(7)?,
        avatar_url: row.opt_string(8)?,
        provisioning_source: row.string(9)?,
        scaikey_synced_at: row.opt_time(10)?,
        last_login_at: row.opt_time(11)?,
    })
}

impl SqlRows<'_> {
    async fn tenant_row(&mut self, id: TenantId, lock: &str) -> Result<Option<Tenant>> {
        let row = self.conn.fetch_one(sql(TENANT).push(" WHERE id = ?").push(lock).text(id)).await?;
        row.as_ref().map(tenant).transpose()
    }

    async fn user_row(&mut self, tenant: TenantId, id: &UserId, lock: &str) -> Result<Option<User>> {
        let query = sql(format!("SELECT {USER_COLUMNS} FROM users u WHERE u.tenant_id = ? AND u.id = ?"));
        let row = self.conn.fetch_one(query.push(lock).text(tenant).raw(id.as_str())).await?;
        row.as_ref().map(user_at).transpose()
    }
}

#[async_trait]
impl TenancyReads for SqlRows<'_> {
    async fn first_partner(&mut self) -> Result<Option<PartnerId>> {
        let row = self.conn.fetch_one(sql("SELECT id FROM partners ORDER BY created_at, id LIMIT 1")).await?;
        row.map(|row| row.parse(0)).transpose()
    }

    async fn tenant(&mut self, id: TenantId) -> Result<Option<Tenant>> {
        self.tenant_row(id, "").await
    }

    async fn tenant_called(&mut self, external: &ExternalTenantId) -> Result<Option<TenantId>> {
        let query = sql("SELECT id FROM tenants WHERE external_id = ?").raw(external.as_str());
        self.conn.fetch_one(query).await?.map(|row| row.parse(0)).transpose()
    }

    async fn tenants(&mut self) -> Result<Vec<Tenant>> {
        self.conn.fetch(sql(TENANT).push(" ORDER BY created_at, id")).await?.iter().map(tenant).collect()
    }

    async fn user(&mut self, tenant: TenantId, id: &UserId) -> Result<Option<User>> {
        self.user_row(tenant, id, "").await
    }

    async fn share(&mut self, tenant: TenantId, id: ShareId) -> Result<Option<Share>> {
        self.share_row(tenant, id, "").await
    }

    async fn fill_usage(&mut self, tenant: TenantId, shares: &mut [Share]) -> Result<()> {
        self.fill_share_usage(tenant, shares).await
    }

    async fn favorites(&mut self, tenant: TenantId, user: &UserId) -> Result<Vec<(NodeId, Timestamp)>> {
        let query = sql("SELECT node_id, created_at FROM favorites WHERE tenant_id = ? AND user_id = ? \
             ORDER BY created_at DESC, node_id LIMIT 1000");
        let rows = self.conn.fetch(query.text(tenant).raw(user.as_str())).await?;
        rows.iter().map(|row| Ok((row.parse(0)?, row.time(1)?))).collect()
    }
}

#[async_trait]
impl TenancyWrites for SqlRows<'_> {
    async fn insert_partner(&mut self, id: PartnerId, name: &str, now: Timestamp) -> Result<()> {
        let insert = sql("INSERT INTO partners (id, name, created_at) VALUES (?, ?, ?)");
        self.conn.execute(insert.text(id).bind(name).bind(now.as_micros())).await.map(drop)
    }

    async fn insert_tenant(&mut self, tenant: &Tenant) -> Result<bool> {
        let insert = sql(
            "INSERT INTO tenants (id, partner_id, name, status, settings, created_at, display_name, external_id) VALUES ",
        )
        .push_groups(1, 8);
        let insert = insert
            .text(tenant.id)
            .text(tenant.partner_id)
            .bind(tenant.name.as_str())
            .text(tenant.status)
            .bind(json(&tenant.settings)?)
            .bind(tenant.created_at.as_micros())
            .bind(tenant.display_name.clone())
            .bind(tenant.external_id.as_ref().map(|id| id.as_str().as_bytes()));
        super::errors::unless_duplicate(self.conn.execute(insert).await)
    }

    async fn update_tenant(&mut self, tenant: &Tenant) -> Result<()> {
        let update =
            sql("UPDATE tenants SET name = ?, display_name = ?, status = ?, settings = ? WHERE id = ?");
        let update = update
            .bind(tenant.name.as_str())
            .bind(tenant.display_name.clone())
            .text(tenant.status)
            .bind(json(&tenant.settings)?)
            .text(tenant.id);
        self.conn.execute(update).await.map(drop)
    }

    async fn insert_user(&mut self, user: &User) -> Result<bool> {
        let insert = sql(
            "INSERT INTO users (id, tenant_id, email, name, status, admin_role, created_at, display_name, \
             avatar_url, provisioning_source, synced_at, last_login_at) VALUES ",
        )
        .push_groups(1, 12);
        let insert = insert
            .raw(user.id.as_str())
            .text(user.tenant_id)
            .bind(user.email.clone())
            .bind(user.name.clone())
            .text(user.status)
            .bind(user.admin_role.map(|role| role.to_string()))
            .bind(user.created_at.as_micros())
            .bind(user.display_name.clone())
            .bind(user.avatar_url.clone())
            .bind(user.provisioning_source.as_str())
            .bind(user.scaikey_synced_at.map(Timestamp::as_micros))
            .bind(user.last_login_at.map(Timestamp::as_micros));
        super::errors::unless_duplicate(self.conn.execute(insert).await)
    }

    async fn lock_tenant(&mut self, id: TenantId) -> Result<Option<Tenant>> {
        let lock = self.dialect().current_read();
        self.tenant_row(id, lock).await
    }

    async fn lock_user(&mut self, tenant: TenantId, id: &UserId) -> Result<Option<User>> {
        let lock = self.dialect().current_read();
        self.user_row(tenant, id, lock).await
    }

    async fn insert_share(&mut self, share: &Share) -> Result<()> {
        self.add_share(share).await
    }

    async fn update_share(&mut self, share: &Share) -> Result<()> {
        self.replace_share(share).await
    }

    async fn lock_tree_shared(&mut self, tenant: TenantId, id: ShareId) -> Result<Option<Share>> {
        // Rivals on other nodes meet nothing that was only locked.
        if self.writes_locks {
            return self.lock_tree(tenant, id).await;
        }
        let lock = self.dialect().share_lock();
        self.share_row(tenant, id, lock).await
    }

    async fn lock_tree(&mut self, tenant: TenantId, id: ShareId) -> Result<Option<Share>> {
        let update = sql("UPDATE shares SET tree_version = tree_version + 1 WHERE tenant_id = ? AND id = ?");
        match self.conn.execute(update.text(tenant).text(id)).await? {
            0 => Ok(None),
            _ => self.share_row(tenant, id, "").await,
        }
    }

    async fn set_favorite(
        &mut self,
        tenant: TenantId,
        user: &UserId,
        node: NodeId,
        on: bool,
        now: Timestamp,
    ) -> Result<()> {
        let delete = sql("DELETE FROM favorites WHERE tenant_id = ? AND user_id = ? AND node_id = ?");
        self.conn.execute(delete.text(tenant).raw(user.as_str()).text(node)).await?;
        if on {
            let insert =
                sql("INSERT INTO favorites (tenant_id, user_id, node_id, created_at) VALUES (?, ?, ?, ?)");
            self.conn
                .execute(insert.text(tenant).raw(user.as_str()).text(node).bind(now.as_micros()))
                .await?;
        }
        Ok(())
    }
}

/// Writes a value as the JSON text of a column.
pub(super) fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| crate::model::Error::internal(error.to_string()))
}
