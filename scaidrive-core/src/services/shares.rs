//! Shares: create, look at, list, change, put in the trash, restore.

use async_trait::async_trait;
use serde::Serialize;
use serde_json::{Map, Value};

use super::access::{self, Right};
use super::mutation::{self, Mutation, Tx};
use crate::Drive;
use crate::model::{
    AuditCategory, AuditEvent, Caller, Change, ChangeKind, Error, ResourceKind, Result, Share, ShareId,
    ShareRole, ShareType, Usage, UsageTarget, UserId,
};
use crate::ports::Reads;
use crate::ports::metadata::ShareQuery;

/// What a new share is.
#[derive(Clone, Debug)]
pub struct NewShare {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub share_type: ShareType,
    /// Who owns it; nothing for the caller.
    pub owner: Option<UserId>,
    /// In words.
    pub description: Option<String>,
    /// Hard limit of its bytes; only a tenant admin may set it.
    pub quota_bytes: Option<u64>,
}

/// A page of shares.
#[derive(Clone, Debug, Serialize)]
pub struct Shares {
    /// By name.
    pub shares: Vec<Share>,
    /// How many there are in all.
    pub total: u64,
}

/// Checks a share's name: 1 to 255 bytes without control characters.
fn check_name(name: &str) -> Result<()> {
    let fits =
        (1..=255).contains(&name.len()) && !name.trim().is_empty() && !name.chars().any(char::is_control);
    if fits {
        Ok(())
    } else {
        Err(Error::invalid("name", "a name has 1 to 255 bytes, no control characters", name))
    }
}

/// Creates a share: a tenant admin any, a user project shares of its own where the tenant allows it.
pub async fn create(drive: &Drive, caller: &Caller, new: NewShare) -> Result<Share> {
    check_name(&new.name)?;
    mutation::run(drive, caller, CreateShare(new)).await
}

struct CreateShare(NewShare);

#[async_trait]
impl Mutation for CreateShare {
    type Output = Share;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Share> {
        let tenant = tx.rows.tenant(tx.caller.tenant).await?.ok_or(Error::NotFound)?;
        let owner = self.0.owner.clone().unwrap_or_else(|| tx.caller.user.clone());
        if !tx.caller.is_admin() {
            let own_project = self.0.share_type == ShareType::Project && owner == tx.caller.user;
            if !own_project || self.0.quota_bytes.is_some() || !tenant.settings.users_create_project_shares {
                return Err(denied("CREATE", "share"));
            }
        }
        if tx.rows.user(tx.caller.tenant, &owner).await?.is_none() {
            return Err(Error::invalid("owner_id", "no such user", owner.as_str()));
        }
        let share = Share {
            id: ShareId::new(tx.ulid()),
            tenant_id: tx.caller.tenant,
            name: self.0.name.clone(),
            description: self.0.description.clone(),
            share_type: self.0.share_type,
            owner_id: owner,
            is_public: false,
            is_deleted: false,
            quota_bytes: self.0.quota_bytes.or(tenant.settings.default_share_quota_bytes),
            used_bytes: 0,
            settings: Map::new(),
            created_at: tx.now,
            modified_at: tx.now,
        };
        tx.rows.insert_share(&share).await?;
        tell(tx, &share, ChangeKind::Created, "share.create");
        Ok(share)
    }
}

fn denied(right: &'static str, resource: impl Into<String>) -> Error {
    Error::PermissionDenied { right, resource: resource.into() }
}

fn tell(tx: &mut Tx<'_>, share: &Share, kind: ChangeKind, action: &'static str) {
    tx.change(Change {
        share: share.id,
        resource: ResourceKind::Share,
        resource_id: share.id.to_string(),
        kind,
        old_path: None,
        new_path: None,
        version: None,
        metadata: serde_json::json!({ "name": share.name }),
    });
    tx.audit(AuditEvent::new(AuditCategory::Sharing, action, ResourceKind::Share, share.id));
}

async fn with_usage(rows: &mut dyn Reads, caller: &Caller, mut share: Share) -> Result<Share> {
    let usage = rows.usage(caller.tenant, &UsageTarget::Share(share.id)).await?;
    share.used_bytes = u64::try_from(usage.total_bytes()).unwrap_or(0);
    Ok(share)
}

/// Returns a share, in the trash or not.
pub async fn get(drive: &Drive, caller: &Caller, id: ShareId) -> Result<Share> {
    let mut rows = drive.read().await?;
    let share = access::any_share(&mut *rows, caller, id, Right::Read).await?;
    with_usage(&mut *rows, caller, share).await
}

/// Returns the shares the caller can see; `whole_tenant` is for its admins.
pub async fn list(
    drive: &Drive,
    caller: &Caller,
    whole_tenant: bool,
    include_trashed: bool,
    limit: u32,
    offset: u32,
) -> Result<Shares> {
    if whole_tenant && !caller.is_admin() {
        return Err(denied("READ", "tenant"));
    }
    let visible_to = (!caller.is_admin()).then(|| caller.user.clone());
    let query = ShareQuery { visible_to, include_trashed, limit, offset };
    let (shares, total) = drive.read().await?.shares(caller.tenant, &query).await?;
    Ok(Shares { shares, total })
}

/// A share as one of its users sees it.
#[derive(Clone, Debug, Serialize)]
pub struct MyShare {
    /// Its id.
    pub id: ShareId,
    /// Its name.
    pub name: String,
    /// What it is for.
    #[serde(rename = "type")]
    pub share_type: ShareType,
    /// What the caller is in it.
    pub role: ShareRole,
    /// Who owns it.
    pub owner_id: UserId,
    /// Hard limit of its bytes.
    pub quota_bytes: Option<u64>,
    /// Bytes in use.
    pub used_bytes: u64,
    /// When it was made.
    pub created_at: crate::model::Timestamp,
}

/// Returns a share as the caller sees it.
pub fn mine(caller: &Caller, share: Share) -> Option<MyShare> {
    Some(MyShare {
        role: access::role(caller, &share)?,
        id: share.id,
        name: share.name,
        share_type: share.share_type,
        owner_id: share.owner_id,
        quota_bytes: share.quota_bytes,
        used_bytes: share.used_bytes,
        created_at: share.created_at,
    })
}

/// What a PATCH of a share may change; nothing leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct SharePatch {
    /// Its name.
    pub name: Option<String>,
    /// In words; `Some(None)` removes it.
    pub description: Option<Option<String>>,
    /// What its owner set.
    pub settings: Option<Map<String, Value>>,
    /// Hard limit of its bytes, for tenant admins; `Some(None)` removes it.
    pub quota_bytes: Option<Option<u64>>,
    /// Whether everybody in the tenant may read it.
    pub is_public: Option<bool>,
}

/// Changes a share.
pub async fn patch(drive: &Drive, caller: &Caller, id: ShareId, patch: SharePatch) -> Result<Share> {
    patch.name.as_deref().map(check_name).transpose()?;
    let share = mutation::run(drive, caller, PatchShare { id, patch }).await?;
    with_usage(&mut *drive.read().await?, caller, share).await
}

struct PatchShare {
    id: ShareId,
    patch: SharePatch,
}

#[async_trait]
impl Mutation for PatchShare {
    type Output = Share;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Share> {
        tx.rows.lock_tree(tx.caller.tenant, self.id).await?.ok_or(Error::NotFound)?;
        let mut share = access::share(tx.rows, tx.caller, self.id, Right::ManagePermissions).await?;
        let patch = self.patch.clone();
        if let Some(quota) = patch.quota_bytes {
            if !tx.caller.is_admin() {
                return Err(denied("quota_bytes", format!("share/{}", self.id)));
            }
            share.quota_bytes = quota;
        }
        share.name = patch.name.unwrap_or(share.name);
        share.description = patch.description.unwrap_or(share.description);
        share.settings = patch.settings.unwrap_or(share.settings);
        share.is_public = patch.is_public.unwrap_or(share.is_public);
        share.modified_at = tx.now;
        tx.rows.update_share(&share).await?;
        tell(tx, &share, ChangeKind::Updated, "share.update");
        Ok(share)
    }
}

/// Puts a share in the trash: its owner or a tenant admin.
pub async fn delete(drive: &Drive, caller: &Caller, id: ShareId) -> Result<()> {
    mutation::run(drive, caller, TrashShare { id, trashed: true }).await.map(drop)
}

/// Takes a share out of the trash: its owner or a tenant admin.
pub async fn restore(drive: &Drive, caller: &Caller, id: ShareId) -> Result<Share> {
    let share = mutation::run(drive, caller, TrashShare { id, trashed: false }).await?;
    with_usage(&mut *drive.read().await?, caller, share).await
}

struct TrashShare {
    id: ShareId,
    trashed: bool,
}

#[async_trait]
impl Mutation for TrashShare {
    type Output = Share;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Share> {
        tx.rows.lock_tree(tx.caller.tenant, self.id).await?.ok_or(Error::NotFound)?;
        let mut share = access::any_share(tx.rows, tx.caller, self.id, Right::Read).await?;
        if share.owner_id != tx.caller.user && !tx.caller.is_admin() {
            return Err(Error::OwnerOnly { action: "delete or restore a share" });
        }
        if share.is_deleted == self.trashed {
            return if self.trashed {
                Err(Error::Gone { what: format!("share/{}", self.id) })
            } else {
                Ok(share)
            };
        }
        share.is_deleted = self.trashed;
        share.modified_at = tx.now;
        tx.rows.update_share(&share).await?;
        let (kind, action) = if self.trashed {
            (ChangeKind::Deleted, "share.delete")
        } else {
            (ChangeKind::Created, "share.restore")
        };
        tell(tx, &share, kind, action);
        Ok(share)
    }
}

/// What a share uses, in parts.
#[derive(Clone, Debug, Serialize)]
pub struct ShareStats {
    /// The share.
    pub share_id: ShareId,
    /// Its name.
    pub share_name: String,
    /// Files outside the trash.
    pub file_count: i64,
    /// Folders outside the trash.
    pub folder_count: i64,
    /// Bytes in use, all together.
    pub used_bytes: i64,
    /// Bytes in the trash.
    pub trash_bytes: i64,
    /// Bytes of old versions.
    pub version_bytes: i64,
}

/// Returns what each share the caller can see uses.
pub async fn stats(drive: &Drive, caller: &Caller) -> Result<Vec<ShareStats>> {
    let all = list(drive, caller, false, false, 10_000, 0).await?.shares;
    let usages = drive.read().await?.usages(caller.tenant).await?;
    let find = |share: &Share| {
        let key = UsageTarget::Share(share.id).to_string();
        usages.iter().find(|(target, _)| *target == key).map_or_else(Usage::default, |(_, usage)| *usage)
    };
    let stats = |share: Share| {
        let usage = find(&share);
        ShareStats {
            share_id: share.id,
            share_name: share.name,
            file_count: usage.file_count,
            folder_count: usage.folder_count,
            used_bytes: usage.total_bytes(),
            trash_bytes: usage.trash_bytes,
            version_bytes: usage.version_bytes,
        }
    };
    Ok(all.into_iter().map(stats).collect())
}
