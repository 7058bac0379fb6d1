//! Rows of partners, tenants, users and shares.

use async_trait::async_trait;

use crate::model::{
    ExternalTenantId, NodeId, PartnerId, Result, Share, ShareId, Tenant, TenantId, Timestamp, User, UserId,
};

/// Reads partners, tenants, users and shares.
#[async_trait]
pub trait TenancyReads: Send {
    /// Returns the oldest partner; there is always one once the first tenant exists.
    async fn first_partner(&mut self) -> Result<Option<PartnerId>>;
    /// Returns a tenant.
    async fn tenant(&mut self, id: TenantId) -> Result<Option<Tenant>>;
    /// Returns the tenant that the identity provider calls this.
    async fn tenant_called(&mut self, external: &ExternalTenantId) -> Result<Option<TenantId>>;
    /// Returns all tenants, oldest first.
    async fn tenants(&mut self) -> Result<Vec<Tenant>>;
    /// Returns a user of the tenant.
    async fn user(&mut self, tenant: TenantId, id: &UserId) -> Result<Option<User>>;
    /// Returns a share of the tenant, trashed ones too; what it uses is a counter of its own (`LedgerReads::usage`).
    async fn share(&mut self, tenant: TenantId, id: ShareId) -> Result<Option<Share>>;
    /// Says of shares what they use.
    async fn fill_usage(&mut self, tenant: TenantId, shares: &mut [Share]) -> Result<()>;
    /// Returns the user's favourites, newest first.
    async fn favorites(&mut self, tenant: TenantId, user: &UserId) -> Result<Vec<(NodeId, Timestamp)>>;
}

/// Writes partners, tenants, users and shares.
#[async_trait]
pub trait TenancyWrites: Send {
    /// Inserts a partner.
    async fn insert_partner(&mut self, id: PartnerId, name: &str, now: Timestamp) -> Result<()>;
    /// Inserts a tenant; tells whether its ids were free.
    async fn insert_tenant(&mut self, tenant: &Tenant) -> Result<bool>;
    /// Returns a tenant, and keeps others from changing it until this commits.
    async fn lock_tenant(&mut self, id: TenantId) -> Result<Option<Tenant>>;
    /// Replaces a tenant's names, status and settings.
    async fn update_tenant(&mut self, tenant: &Tenant) -> Result<()>;
    /// Inserts a user; tells whether there was none (concurrent first requests make one row).
    async fn insert_user(&mut self, user: &User) -> Result<bool>;
    /// Returns a user of the tenant, and keeps others from changing it until this commits.
    async fn lock_user(&mut self, tenant: TenantId, id: &UserId) -> Result<Option<User>>;
    /// Inserts a share.
    async fn insert_share(&mut self, share: &Share) -> Result<()>;
    /// Replaces a share's name, description, settings, quota and trash flag.
    async fn update_share(&mut self, share: &Share) -> Result<()>;
    /// Takes the share row's shared lock: whatever places a node holds it, so no folder moves meanwhile.
    async fn lock_tree_shared(&mut self, tenant: TenantId, id: ShareId) -> Result<Option<Share>>;
    /// Writes the share row: whatever moves, trashes, restores or purges a folder holds it alone.
    async fn lock_tree(&mut self, tenant: TenantId, id: ShareId) -> Result<Option<Share>>;
    /// Marks or unmarks a favourite.
    async fn set_favorite(
        &mut self,
        tenant: TenantId,
        user: &UserId,
        node: NodeId,
        on: bool,
        now: Timestamp,
    ) -> Result<()>;
}
