//! Users as their administrators see them: search, change, suspend, remove.

use async_trait::async_trait;
use serde::Serialize;
use serde_json::json;

use super::letters;
use super::mutation::{self, Mutation, Tx};
use super::quotas;
use super::tenants::{self, NewUser};
use crate::Drive;
use crate::model::{
    AdminRole, AuditCategory, AuditEvent, Caller, Error, Group, ResourceKind, Result, User, UserId,
    UserStatus, check_description,
};
use crate::ports::Reads;
use crate::ports::metadata::UserSearch;

/// Fails unless the caller administers its tenant by its role in the database: a claim alone is not enough.
pub(super) fn check_admin(caller: &Caller) -> Result<()> {
    if caller.is_admin() {
        return Ok(());
    }
    Err(Error::PermissionDenied { right: "administration", resource: format!("tenant/{}", caller.tenant) })
}

/// A user as administrators see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UserInfo {
    /// The user.
    #[serde(flatten)]
    pub user: User,
    /// Whether the user may act.
    pub is_active: bool,
    /// Whether the user administers the tenant.
    pub is_admin: bool,
    /// The user's own limit in bytes.
    pub quota_bytes: Option<u64>,
}

impl UserInfo {
    fn of(user: User, quota_bytes: Option<u64>) -> Self {
        Self {
            is_active: user.status == UserStatus::Active,
            is_admin: user.admin_role.is_some(),
            quota_bytes,
            user,
        }
    }
}

async fn shown(drive: &Drive, user: User) -> Result<UserInfo> {
    let limits = drive.read().await?.user_limits(user.tenant_id, std::slice::from_ref(&user.id)).await?;
    Ok(UserInfo::of(user, limits.first().map(|(_, limit)| *limit)))
}

/// A page of users.
#[derive(Clone, Debug, Serialize)]
pub struct Users {
    /// By id.
    pub users: Vec<UserInfo>,
    /// How many there are in all.
    pub total: u64,
}

/// Returns the users that are looked for, by id.
pub async fn list(drive: &Drive, caller: &Caller, search: &UserSearch) -> Result<Users> {
    check_admin(caller)?;
    let (users, total, limits) = drive
        .report(|mut rows| async move {
            let (users, total) = rows.search_users(caller.tenant, search).await?;
            let ids: Vec<UserId> = users.iter().map(|user| user.id.clone()).collect();
            let limits = rows.user_limits(caller.tenant, &ids).await?;
            Ok((users, total, limits))
        })
        .await?;
    let info = |user: User| {
        let limit = limits.iter().find(|(id, _)| *id == user.id).map(|(_, limit)| *limit);
        UserInfo::of(user, limit)
    };
    Ok(Users { users: users.into_iter().map(info).collect(), total })
}

/// Returns a user.
pub async fn get(drive: &Drive, caller: &Caller, id: &UserId) -> Result<UserInfo> {
    check_admin(caller)?;
    let user = drive.read().await?.user(caller.tenant, id).await?.ok_or(Error::NotFound)?;
    shown(drive, user).await
}

/// Creates a user.
pub async fn create(drive: &Drive, caller: &Caller, new: NewUser) -> Result<UserInfo> {
    check_admin(caller)?;
    check_role(caller, new.admin_role)?;
    check_address(new.email.as_deref())?;
    check_texts([("name", &new.name), ("display_name", &new.display_name)])?;
    check_limit(new.quota_bytes)?;
    let quota_bytes = new.quota_bytes;
    Ok(UserInfo::of(tenants::create_user(drive, caller, new).await?, quota_bytes))
}

fn check_address(email: Option<&str>) -> Result<()> {
    email.filter(|email| !letters::is_address(email)).map_or(Ok(()), |email| Err(letters::no_address(email)))
}

fn check_texts<'t>(texts: impl IntoIterator<Item = (&'t str, &'t Option<String>)>) -> Result<()> {
    for (field, text) in texts {
        let fits = |text: &&String| text.len() <= 255 && !text.chars().any(char::is_control);
        if let Some(text) = text.as_ref().filter(|text| !fits(text)) {
            return Err(Error::invalid(field, "has at most 255 bytes, no control characters", text.as_str()));
        }
    }
    Ok(())
}

fn check_limit(quota_bytes: Option<u64>) -> Result<()> {
    match quota_bytes {
        Some(bytes) if i64::try_from(bytes).is_err() => {
            Err(Error::invalid("quota_bytes", "at most 2^63 - 1", bytes))
        }
        _ => Ok(()),
    }
}

/// Nobody makes an administrator of the installation who is none.
fn check_role(caller: &Caller, role: Option<AdminRole>) -> Result<()> {
    if role == Some(AdminRole::SuperAdmin) && caller.admin_role != Some(AdminRole::SuperAdmin) {
        return Err(Error::PermissionDenied { right: "super_admin", resource: "admin_role".to_owned() });
    }
    Ok(())
}

/// What a PATCH of a user may change; nothing leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct UserPatch {
    /// Address; `Some(None)` removes it.
    pub email: Option<Option<String>>,
    /// Name; `Some(None)` removes it.
    pub name: Option<Option<String>>,
    /// What to call the user; `Some(None)` removes it.
    pub display_name: Option<Option<String>>,
    /// Where a picture lies; `Some(None)` removes it.
    pub avatar_url: Option<Option<String>>,
    /// Whether the user may act.
    pub status: Option<UserStatus>,
    /// Administrative role; `Some(None)` removes it.
    pub admin_role: Option<Option<AdminRole>>,
    /// The user's own limit in bytes; `Some(None)` removes its quota.
    pub quota_bytes: Option<Option<u64>>,
}

/// Changes a user.
pub async fn patch(drive: &Drive, caller: &Caller, id: &UserId, patch: UserPatch) -> Result<UserInfo> {
    check_admin(caller)?;
    let flat = |text: &Option<Option<String>>| text.clone().flatten();
    let texts = [flat(&patch.name), flat(&patch.display_name)];
    check_address(patch.email.as_ref().and_then(Option::as_deref))?;
    check_texts(["name", "display_name"].into_iter().zip(&texts))?;
    check_description("avatar_url", patch.avatar_url.as_ref().and_then(Option::as_deref))?;
    check_role(caller, patch.admin_role.flatten())?;
    check_limit(patch.quota_bytes.flatten())?;
    let user =
        mutation::run(drive, caller, ChangeUser { id: id.clone(), patch, action: "user.update" }).await?;
    shown(drive, user).await
}

/// Suspends a user, effective on the next request, or lets it act again.
pub async fn set_status(drive: &Drive, caller: &Caller, id: &UserId, status: UserStatus) -> Result<UserInfo> {
    check_admin(caller)?;
    let action = match status {
        UserStatus::Suspended => "user.suspend",
        UserStatus::Active => "user.activate",
        UserStatus::Deleted => "user.delete",
        UserStatus::Inactive | UserStatus::Pending => "user.update",
    };
    let patch = UserPatch { status: Some(status), ..UserPatch::default() };
    let user = mutation::run(drive, caller, ChangeUser { id: id.clone(), patch, action }).await?;
    shown(drive, user).await
}

struct ChangeUser {
    id: UserId,
    patch: UserPatch,
    action: &'static str,
}

#[async_trait]
impl Mutation for ChangeUser {
    type Output = User;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<User> {
        check_admin(tx.caller)?;
        let mut user = tx.rows.lock_user(tx.caller.tenant, &self.id).await?.ok_or(Error::NotFound)?;
        check_role(tx.caller, user.admin_role)?;
        let before = user.clone();
        apply(&mut user, self.patch.clone());
        let loses = user.status != UserStatus::Active || user.admin_role.is_none();
        if self.id == tx.caller.user && loses {
            let message = "an administrator cannot suspend, remove or demote itself";
            return Err(Error::invalid("id", message, self.id.as_str()));
        }
        tx.rows.update_user(&user).await?;
        // Who may act no more, or may see less, is not served any longer by what is open.
        tx.wake(&user.id);
        let payload = json!({
            "status": [before.status, user.status], "admin_role": [before.admin_role, user.admin_role],
        });
        tx.audit(
            AuditEvent::new(AuditCategory::Admin, self.action, ResourceKind::User, &user.id).with(payload),
        );
        if let Some(quota_bytes) = self.patch.quota_bytes {
            quotas::set_user_limit(tx, &user.id, quota_bytes).await?;
        }
        Ok(user)
    }
}

fn apply(user: &mut User, patch: UserPatch) {
    user.email = patch.email.unwrap_or_else(|| user.email.take());
    user.name = patch.name.unwrap_or_else(|| user.name.take());
    user.display_name = patch.display_name.unwrap_or_else(|| user.display_name.take());
    user.avatar_url = patch.avatar_url.unwrap_or_else(|| user.avatar_url.take());
    user.status = patch.status.unwrap_or(user.status);
    user.admin_role = patch.admin_role.unwrap_or(user.admin_role);
}

/// What a search for members to be finds.
#[derive(Clone, Debug, Serialize)]
pub struct FoundPrincipals {
    /// Users, by id.
    pub users: Vec<FoundUser>,
    /// Groups, by name.
    pub groups: Vec<FoundGroup>,
}

/// A user as everybody in the tenant may know it.
#[derive(Clone, Debug, Serialize)]
pub struct FoundUser {
    /// Its id.
    pub id: UserId,
    /// Address, if known.
    pub email: Option<String>,
    /// Name, if known.
    pub name: Option<String>,
    /// What to call it.
    pub display_name: Option<String>,
}

/// A group as everybody in the tenant may know it.
#[derive(Clone, Debug, Serialize)]
pub struct FoundGroup {
    /// Its id.
    pub id: crate::model::GroupId,
    /// Its name.
    pub name: String,
}

/// Returns active users and groups that a text leads to, for whoever wants to share with them.
pub async fn search(
    drive: &Drive,
    caller: &Caller,
    text: &str,
    kind: Option<&str>,
    limit: u32,
) -> Result<FoundPrincipals> {
    drive.report(|rows| find(rows, caller, text, kind, limit)).await
}

async fn find(
    mut rows: Box<dyn Reads>,
    caller: &Caller,
    text: &str,
    kind: Option<&str>,
    limit: u32,
) -> Result<FoundPrincipals> {
    let mut found = FoundPrincipals { users: Vec::new(), groups: Vec::new() };
    if kind != Some("group") {
        let search = UserSearch {
            search: Some(text.to_owned()),
            status: Some(UserStatus::Active),
            limit,
            ..UserSearch::default()
        };
        let (users, _) = rows.search_users(caller.tenant, &search).await?;
        let user = |user: User| FoundUser {
            id: user.id,
            email: user.email,
            name: user.name,
            display_name: user.display_name,
        };
        found.users = users.into_iter().map(user).collect();
    }
    if kind != Some("user") {
        let (groups, _) = rows.groups(caller.tenant, text, limit, 0).await?;
        found.groups = groups.into_iter().map(|Group { id, name, .. }| FoundGroup { id, name }).collect();
    }
    Ok(found)
}
