//! Groups: who is in them, and which hold which.

use async_trait::async_trait;
use serde::Serialize;
use serde_json::json;

use super::acl::{known_principal, tell_access_changed};
use super::mutation::{self, Mutation, Tx};
use super::users::check_admin;
use crate::Drive;
use crate::model::{
    AuditCategory, AuditEvent, Caller, Error, Group, GroupId, Principal, ResourceKind, Result, Timestamp,
    check_description,
};
use crate::ports::Reads;

/// How many groups may hold each other, one in the next.
pub const DEPTH: u32 = 8;

/// A page of groups.
#[derive(Clone, Debug, Serialize)]
pub struct Groups {
    /// By name.
    pub groups: Vec<Group>,
    /// How many there are in all.
    pub total: u64,
}

/// Returns a page of the tenant's groups, by name.
pub async fn list(drive: &Drive, caller: &Caller, search: &str, limit: u32, offset: u32) -> Result<Groups> {
    check_admin(caller)?;
    let read =
        |mut rows: Box<dyn Reads>| async move { rows.groups(caller.tenant, search, limit, offset).await };
    let (groups, total) = drive.report(read).await?;
    Ok(Groups { groups, total })
}

/// Returns a group.
pub async fn get(drive: &Drive, caller: &Caller, id: &GroupId) -> Result<Group> {
    check_admin(caller)?;
    drive.read().await?.group(caller.tenant, id).await?.ok_or(Error::NotFound)
}

/// What a group is.
#[derive(Clone, Debug, Default)]
pub struct NewGroup {
    /// The identity provider's id; nothing for one of ours.
    pub id: Option<GroupId>,
    /// Its name.
    pub name: String,
    /// In words.
    pub description: Option<String>,
    /// Whether the identity provider told of it.
    pub is_mirrored: bool,
}

fn check_name(name: &str) -> Result<()> {
    let fits =
        (1..=255).contains(&name.len()) && !name.trim().is_empty() && !name.chars().any(char::is_control);
    if fits {
        Ok(())
    } else {
        Err(Error::invalid("name", "a name has 1 to 255 bytes, no control characters", name))
    }
}

/// Creates a group.
pub async fn create(drive: &Drive, caller: &Caller, new: NewGroup) -> Result<Group> {
    check_admin(caller)?;
    check_name(&new.name)?;
    check_description("description", new.description.as_deref())?;
    mutation::run(drive, caller, Create(new)).await
}

struct Create(NewGroup);

#[async_trait]
impl Mutation for Create {
    type Output = Group;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Group> {
        check_admin(tx.caller)?;
        let group = insert(tx, &self.0).await?;
        tx.created(&group.id);
        Ok(group)
    }
}

/// Inserts a group and tells administrators.
pub(super) async fn insert(tx: &mut Tx<'_>, new: &NewGroup) -> Result<Group> {
    let group = Group {
        id: new.id.clone().unwrap_or_else(|| GroupId::new(tx.ulid())),
        tenant_id: tx.caller.tenant,
        name: new.name.clone(),
        description: new.description.clone(),
        provisioning_source: if new.is_mirrored { "scaikey" } else { "local" }.to_owned(),
        created_at: tx.now,
        scaikey_synced_at: new.is_mirrored.then_some(tx.now),
    };
    tx.rows.insert_group(&group).await?;
    tell(tx, "group.create", &group.id, json!({ "name": group.name }));
    Ok(group)
}

fn tell(tx: &mut Tx<'_>, action: &'static str, id: &GroupId, payload: serde_json::Value) {
    tx.audit(AuditEvent::new(AuditCategory::Admin, action, ResourceKind::Group, id).with(payload));
}

/// What a PATCH of a group may change; nothing leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct GroupPatch {
    /// Its name.
    pub name: Option<String>,
    /// In words; `Some(None)` removes it.
    pub description: Option<Option<String>>,
}

/// Changes a group.
pub async fn patch(drive: &Drive, caller: &Caller, id: &GroupId, patch: GroupPatch) -> Result<Group> {
    check_admin(caller)?;
    patch.name.as_deref().map(check_name).transpose()?;
    check_description("description", patch.description.as_ref().and_then(Option::as_deref))?;
    mutation::run(drive, caller, Patch { id: id.clone(), patch }).await
}

struct Patch {
    id: GroupId,
    patch: GroupPatch,
}

#[async_trait]
impl Mutation for Patch {
    type Output = Group;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Group> {
        check_admin(tx.caller)?;
        // One at a time: each lays its change over what the one before has left.
        tx.rows.lock_groups(tx.caller.tenant).await?;
        let mut group = tx.rows.group(tx.caller.tenant, &self.id).await?.ok_or(Error::NotFound)?;
        let patch = self.patch.clone();
        group.name = patch.name.unwrap_or(group.name);
        group.description = patch.description.unwrap_or(group.description);
        tx.rows.update_group(&group).await?;
        tell(tx, "group.update", &self.id, json!({ "name": group.name }));
        Ok(group)
    }
}

/// Removes a group, with its memberships and entries; one that owns a share stays.
pub async fn delete(drive: &Drive, caller: &Caller, id: &GroupId) -> Result<()> {
    check_admin(caller)?;
    mutation::run(drive, caller, Delete(id.clone())).await
}

struct Delete(GroupId);

#[async_trait]
impl Mutation for Delete {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<()> {
        check_admin(tx.caller)?;
        tx.rows.lock_groups(tx.caller.tenant).await?;
        tx.rows.group(tx.caller.tenant, &self.0).await?.ok_or(Error::NotFound)?;
        remove(tx, &self.0).await
    }
}

/// Removes a group and tells everybody concerned.
pub(super) async fn remove(tx: &mut Tx<'_>, id: &GroupId) -> Result<()> {
    let principal = Principal::Group(id.clone());
    let concerned = shares_above(tx, id).await?;
    for share in &concerned {
        let owned = tx.rows.share(tx.caller.tenant, *share).await?.filter(|share| share.owner == principal);
        if let Some(share) = owned {
            let message = format!("owns the share {}: transfer it first", share.name);
            return Err(Error::invalid("id", message, id.as_str()));
        }
    }
    tx.rows.delete_group(tx.caller.tenant, id).await?;
    tell_access_changed(tx, concerned).await?;
    tell(tx, "group.delete", id, serde_json::Value::Null);
    Ok(())
}

/// Returns the shares where a group counts, itself or through a group that holds it.
async fn shares_above(tx: &mut Tx<'_>, id: &GroupId) -> Result<Vec<crate::model::ShareId>> {
    let above = tx.rows.groups_above(tx.caller.tenant, id).await?;
    let principals: Vec<Principal> = above.into_iter().map(|(id, _)| Principal::Group(id)).collect();
    tx.rows.shares_of(tx.caller.tenant, &principals).await
}

/// Who is directly in a group.
#[derive(Clone, Debug, Serialize)]
pub struct GroupMember {
    /// `user` or `group`.
    pub principal_type: &'static str,
    /// Which.
    pub principal_id: String,
    /// The user's id, of a user.
    pub user_id: Option<String>,
    /// What it is called.
    pub name: Option<String>,
    /// When it came in.
    pub added_at: Timestamp,
}

/// Returns who is directly in a group.
pub async fn members(drive: &Drive, caller: &Caller, id: &GroupId) -> Result<Vec<GroupMember>> {
    check_admin(caller)?;
    let mut rows = drive.read().await?;
    rows.group(caller.tenant, id).await?.ok_or(Error::NotFound)?;
    let found = rows.group_members(caller.tenant, id).await?;
    let principals: Vec<Principal> = found.iter().map(|(principal, _)| principal.clone()).collect();
    let names = rows.principal_names(caller.tenant, &principals).await?;
    let member = |(principal, added_at): (Principal, Timestamp)| GroupMember {
        principal_type: principal.kind(),
        principal_id: principal.id().to_owned(),
        user_id: matches!(principal, Principal::User(_)).then(|| principal.id().to_owned()),
        name: names.iter().find(|(who, _)| *who == principal).and_then(|(_, name)| name.clone()),
        added_at,
    };
    Ok(found.into_iter().map(member).collect())
}

/// Puts a user or group into a group, or takes it out.
pub async fn set_member(
    drive: &Drive,
    caller: &Caller,
    id: &GroupId,
    member: Principal,
    is_member: bool,
) -> Result<()> {
    check_admin(caller)?;
    mutation::run(drive, caller, SetMember { id: id.clone(), member, is_member }).await
}

struct SetMember {
    id: GroupId,
    member: Principal,
    is_member: bool,
}

#[async_trait]
impl Mutation for SetMember {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<()> {
        check_admin(tx.caller)?;
        tx.rows.lock_groups(tx.caller.tenant).await?;
        tx.rows.group(tx.caller.tenant, &self.id).await?.ok_or(Error::NotFound)?;
        let changed = if self.is_member {
            known_principal(tx.rows, tx.caller, &self.member).await?;
            join(tx, &self.id, &self.member).await?
        } else {
            leave(tx, &self.id, &self.member).await?
        };
        match (self.is_member, changed) {
            (_, true) => {
                tx.created(&self.member);
                Ok(())
            }
            (true, false) => Err(Error::AlreadyExists { what: format!("member {}", self.member) }),
            (false, false) => Err(Error::NotFound),
        }
    }
}

/// Puts a principal into a group; tells whether it was not in it.
pub(super) async fn join(tx: &mut Tx<'_>, id: &GroupId, member: &Principal) -> Result<bool> {
    if let Principal::Group(inner) = member {
        check_nesting(tx, id, inner).await?;
    }
    let joined = tx.rows.join_group(tx.caller.tenant, id, member, tx.now).await?;
    if joined {
        let concerned = shares_above(tx, id).await?;
        tell_access_changed(tx, concerned).await?;
        tell(tx, "group.member_add", id, json!({ "member": member.to_string() }));
    }
    Ok(joined)
}

/// Takes a principal out of a group; tells whether it was in it. Tokens that claim it are not believed any more.
pub(super) async fn leave(tx: &mut Tx<'_>, id: &GroupId, member: &Principal) -> Result<bool> {
    let left = tx.rows.leave_group(tx.caller.tenant, id, member, tx.now).await?;
    // Whether or not the mirror knew: a token may have claimed it until now.
    let concerned = shares_above(tx, id).await?;
    tell_access_changed(tx, concerned).await?;
    tell(tx, "group.member_remove", id, json!({ "member": member.to_string() }));
    Ok(left)
}

/// Fails if a group would hold itself, or more than [`DEPTH`] would hold each other.
async fn check_nesting(tx: &mut Tx<'_>, outer: &GroupId, inner: &GroupId) -> Result<()> {
    let above = tx.rows.groups_above(tx.caller.tenant, outer).await?;
    if above.iter().any(|(id, _)| id == inner) {
        return Err(Error::Cycle);
    }
    let higher = above.iter().map(|(_, depth)| *depth).max().unwrap_or(0);
    let deeper = tx.rows.depth_below(tx.caller.tenant, inner).await?;
    if higher + 1 + 1 + deeper > DEPTH {
        let message = format!("groups may hold each other {DEPTH} deep");
        return Err(Error::invalid("group_id", message, inner.as_str()));
    }
    Ok(())
}
