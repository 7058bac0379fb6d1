//! Shares: create, look at, list, change, put in the trash, restore.

use async_trait::async_trait;
use serde::Serialize;
use serde_json::{Map, Value};

use super::access::{self, Right, Standpoint};
use super::mutation::{self, Mutation, Tx};
use super::{acl, members, quotas};
use crate::Drive;
use crate::model::{
    AuditCategory, AuditEvent, Caller, Change, ChangeKind, Error, GroupId, Principal, ResourceKind, Result,
    Share, ShareId, ShareRole, ShareType, Usage, UsageTarget, User, UserId, UserStatus, check_description,
    check_settings,
};
use crate::ports::Reads;

/// What a new share is.
#[derive(Clone, Debug)]
pub struct NewShare {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub share_type: ShareType,
    /// Who owns it: the id of a user or of a group; nothing for the caller.
    pub owner: Option<String>,
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
    check_description("description", new.description.as_deref())?;
    mutation::run(drive, caller, CreateShare(new)).await
}

struct CreateShare(NewShare);

#[async_trait]
impl Mutation for CreateShare {
    type Output = Share;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Share> {
        let tenant = tx.rows.tenant(tx.caller.tenant).await?.ok_or(Error::NotFound)?;
        let owner = match &self.0.owner {
            Some(id) => known_owner(tx.rows, tx.caller, "owner_id", id).await?,
            None => Principal::User(tx.caller.user.clone()),
        };
        if !tx.caller.is_admin() {
            let own_project = self.0.share_type == ShareType::Project && tx.caller.is(&owner);
            if !own_project || self.0.quota_bytes.is_some() || !tenant.settings.users_create_project_shares {
                return Err(denied("CREATE", "share"));
            }
        }
        let share = Share {
            description: self.0.description.clone(),
            quota_bytes: self.0.quota_bytes.or(tenant.settings.default_share_quota_bytes),
            ..new_share(tx, self.0.name.clone(), self.0.share_type, owner)
        };
        tx.rows.insert_share(&share).await?;
        quotas::set_share_limit(tx, share.id, share.quota_bytes).await?;
        members::insert_owner(tx, &share).await?;
        tell(tx, &share, ChangeKind::Created, "share.create");
        tx.created(share.id);
        Ok(share)
    }
}

fn new_share(tx: &Tx<'_>, name: String, share_type: ShareType, owner: Principal) -> Share {
    Share {
        id: ShareId::new(tx.ulid()),
        tenant_id: tx.caller.tenant,
        name,
        description: None,
        share_type,
        owner,
        is_public: false,
        is_deleted: false,
        has_acl: false,
        quota_bytes: None,
        used_bytes: 0,
        settings: Map::new(),
        created_at: tx.now,
        modified_at: tx.now,
    }
}

/// Returns the user or group of an id that a field of the request gives; a user where both have it.
pub(super) async fn known_owner(
    rows: &mut dyn Reads,
    caller: &Caller,
    field: &'static str,
    id: &str,
) -> Result<Principal> {
    let unknown = || Error::invalid(field, "no such user or group", id);
    let user: UserId = id.parse().map_err(|_| unknown())?;
    let found = rows.user(caller.tenant, &user).await?;
    if found.is_some_and(|found| found.status != UserStatus::Deleted) {
        return Ok(Principal::User(user));
    }
    let group: GroupId = id.parse().map_err(|_| unknown())?;
    match rows.group(caller.tenant, &group).await? {
        Some(group) => Ok(Principal::Group(group.id)),
        None => Err(unknown()),
    }
}

/// Makes the share that a user has of its own from the first sign-in on.
pub(super) async fn make_personal(tx: &mut Tx<'_>, user: &User) -> Result<()> {
    let tenant = tx.rows.tenant(tx.caller.tenant).await?.ok_or(Error::NotFound)?;
    let name = user.display_name.as_ref().or(user.name.as_ref()).or(user.email.as_ref());
    let name = name.filter(|name| check_name(name).is_ok()).cloned().unwrap_or_else(|| "Personal".to_owned());
    let share = Share {
        quota_bytes: tenant.settings.default_share_quota_bytes,
        ..new_share(tx, name, ShareType::Personal, Principal::User(user.id.clone()))
    };
    tx.rows.insert_share(&share).await?;
    quotas::set_share_limit(tx, share.id, share.quota_bytes).await?;
    members::insert_owner(tx, &share).await?;
    tell(tx, &share, ChangeKind::Created, "share.create");
    Ok(())
}

pub(super) fn denied(right: &'static str, resource: impl Into<String>) -> Error {
    Error::PermissionDenied { right, resource: resource.into() }
}

pub(super) fn tell(tx: &mut Tx<'_>, share: &Share, kind: ChangeKind, action: &'static str) {
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
    let mut rows = drive.read().await?;
    let all: Vec<Share> =
        visible(&mut *rows, caller, include_trashed).await?.into_iter().map(|(share, _)| share).collect();
    let total = all.len() as u64;
    let mut shares: Vec<Share> = all.into_iter().skip(offset as usize).take(limit as usize).collect();
    rows.fill_usage(caller.tenant, &mut shares).await?;
    Ok(Shares { shares, total })
}

/// Returns every share that the caller may read, by name, and where it stands in each: with one query.
pub(super) async fn visible(
    rows: &mut dyn Reads,
    caller: &Caller,
    include_trashed: bool,
) -> Result<Vec<(Share, Standpoint)>> {
    let candidates = rows.seen_shares(caller, caller.is_admin(), include_trashed).await?;
    let judged = candidates.into_iter().map(|seen| {
        let standpoint = Standpoint::of(caller, &seen);
        (seen.share, standpoint)
    });
    Ok(judged.filter(|(_, standpoint)| standpoint.rights().has(Right::Read)).collect())
}

/// Returns every share that the caller has a role in or may read, by name; to an administrator that is not all of
/// the tenant.
pub async fn mine(drive: &Drive, caller: &Caller) -> Result<Vec<MyShare>> {
    let mut rows = drive.read().await?;
    let candidates = rows.seen_shares(caller, false, false).await?;
    let mut found = Vec::new();
    for seen in candidates {
        let standpoint = Standpoint::of(caller, &seen);
        if standpoint.rights().has(Right::Read) {
            found.push((seen.share, standpoint.role().unwrap_or(ShareRole::Reader)));
        }
    }
    let (mut shares, roles): (Vec<Share>, Vec<ShareRole>) = found.into_iter().unzip();
    rows.fill_usage(caller.tenant, &mut shares).await?;
    Ok(shares.into_iter().zip(roles).map(|(share, role)| MyShare::of(share, role)).collect())
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
    pub owner_id: String,
    /// Hard limit of its bytes.
    pub quota_bytes: Option<u64>,
    /// Bytes in use.
    pub used_bytes: u64,
    /// When it was made.
    pub created_at: crate::model::Timestamp,
}

impl MyShare {
    fn of(share: Share, role: ShareRole) -> Self {
        Self {
            role,
            id: share.id,
            name: share.name,
            share_type: share.share_type,
            owner_id: share.owner.id().to_owned(),
            quota_bytes: share.quota_bytes,
            used_bytes: share.used_bytes,
            created_at: share.created_at,
        }
    }
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
    check_description("description", patch.description.as_ref().and_then(Option::as_deref))?;
    patch.settings.as_ref().map(check_settings).transpose()?;
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
        let (mut share, _) = members::lock(tx, self.id).await?;
        let patch = self.patch.clone();
        if let Some(quota) = patch.quota_bytes {
            if !tx.caller.is_admin() {
                return Err(denied("quota_bytes", format!("share/{}", self.id)));
            }
            share.quota_bytes = quota;
            quotas::set_share_limit(tx, share.id, quota).await?;
        }
        share.name = patch.name.unwrap_or(share.name);
        share.description = patch.description.unwrap_or(share.description);
        share.settings = patch.settings.unwrap_or(share.settings);
        let was_public = share.is_public;
        share.is_public = patch.is_public.unwrap_or(share.is_public);
        share.modified_at = tx.now;
        tx.rows.update_share(&share).await?;
        tell(tx, &share, ChangeKind::Updated, "share.update");
        if share.is_public != was_public {
            tx.change(acl::access_changed(&share));
        }
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
        let mut share = members::lock_any(tx, self.id).await?;
        if !tx.caller.is(&share.owner) && !tx.caller.is_admin() {
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
    let mut rows = drive.read().await?;
    let all = visible(&mut *rows, caller, false).await?.into_iter().map(|(share, _)| share);
    let usages = rows.usages(caller.tenant).await?;
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
    Ok(all.map(stats).collect())
}
