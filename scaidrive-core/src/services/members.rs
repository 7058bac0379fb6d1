//! Members of shares: who has which role, until when; and who owns a share or is charged for a file.

use async_trait::async_trait;
use serde::Serialize;
use serde_json::json;

use super::access::{self, Located, Right, Standpoint};
use super::acl::{access_changed, known_principal};
use super::letters::{self, Addressed, Letter};
use super::mutation::{self, Mutation, Tx};
use super::{shares, tree};
use crate::Drive;
use crate::model::{
    AuditCategory, AuditEvent, Caller, Error, Member, MemberId, NodeId, Principal, Queue, ResourceKind,
    Result, Share, ShareId, ShareRole, Timestamp, Usage, UserId, UserStatus,
};
use crate::ports::Reads;
use crate::ports::metadata::JobRow;

/// The job that tells readers of a share when a membership has run out.
pub const EXPIRE: &str = "expire_member";

/// A member as the wire shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MemberInfo {
    /// Its id.
    pub id: MemberId,
    /// `user` or `group`.
    pub principal_type: &'static str,
    /// Which.
    pub principal_id: String,
    /// What it is called.
    pub principal_name: Option<String>,
    /// As what.
    pub role: ShareRole,
    /// From when on it counts for nothing.
    pub expires_at: Option<Timestamp>,
    /// Who made it.
    pub added_by: UserId,
    /// When.
    pub created_at: Timestamp,
}

/// A page of members.
#[derive(Clone, Debug, Serialize)]
pub struct Members {
    /// Oldest first.
    pub members: Vec<MemberInfo>,
    /// How many there are in all.
    pub total: u64,
}

async fn infos(rows: &mut dyn Reads, caller: &Caller, members: Vec<Member>) -> Result<Vec<MemberInfo>> {
    let principals: Vec<Principal> = members.iter().map(|member| member.principal.clone()).collect();
    let names = rows.principal_names(caller.tenant, &principals).await?;
    let info = |member: Member| MemberInfo {
        id: member.id,
        principal_type: member.principal.kind(),
        principal_id: member.principal.id().to_owned(),
        principal_name: names
            .iter()
            .find(|(who, _)| *who == member.principal)
            .and_then(|(_, name)| name.clone()),
        role: member.role,
        expires_at: member.expires_at,
        added_by: member.added_by,
        created_at: member.created_at,
    };
    Ok(members.into_iter().map(info).collect())
}

async fn one(rows: &mut dyn Reads, caller: &Caller, member: Member) -> Result<MemberInfo> {
    let mut all = infos(rows, caller, vec![member]).await?;
    all.pop().ok_or_else(|| Error::internal("one member makes no list"))
}

/// Returns a page of a share's members, oldest first.
pub async fn list(
    drive: &Drive,
    caller: &Caller,
    share: ShareId,
    limit: u32,
    offset: u32,
) -> Result<Members> {
    let mut rows = drive.read().await?;
    access::share(&mut *rows, caller, share, Right::Read).await?;
    let (members, total) = rows.members(caller.tenant, share, limit, offset).await?;
    Ok(Members { members: infos(&mut *rows, caller, members).await?, total })
}

/// Returns a membership.
pub async fn get(drive: &Drive, caller: &Caller, share: ShareId, id: MemberId) -> Result<MemberInfo> {
    let mut rows = drive.read().await?;
    access::share(&mut *rows, caller, share, Right::Read).await?;
    let found = rows.member(caller.tenant, id).await?.filter(|member| member.share == share);
    one(&mut *rows, caller, found.ok_or(Error::NotFound)?).await
}

/// A membership to be.
#[derive(Clone, Debug)]
pub struct NewMember {
    /// Who.
    pub principal: Principal,
    /// As what; nobody becomes an owner this way.
    pub role: ShareRole,
    /// Until when; nothing for ever.
    pub expires_at: Option<Timestamp>,
}

/// Takes a share's row alone and returns it with where the caller stands in it, if it may change permissions there.
pub(super) async fn lock(tx: &mut Tx<'_>, id: ShareId) -> Result<(Share, Standpoint)> {
    access::share(tx.rows, tx.caller, id, Right::ManagePermissions).await?;
    tx.rows.lock_tree(tx.caller.tenant, id).await?.ok_or(Error::NotFound)?;
    access::seen_share(tx.rows, tx.caller, id, Right::ManagePermissions).await
}

/// Takes a share's row alone, in the trash or not, and returns it, if the caller may read it. It is looked at first:
/// who may not know of it neither waits for it nor makes others wait.
pub(super) async fn lock_any(tx: &mut Tx<'_>, id: ShareId) -> Result<Share> {
    access::any_share(tx.rows, tx.caller, id, Right::Read).await?;
    tx.rows.lock_tree(tx.caller.tenant, id).await?.ok_or(Error::NotFound)?;
    access::any_share(tx.rows, tx.caller, id, Right::Read).await
}

/// Fails if a role is above what the caller has itself: nobody grants, changes or takes away such a one.
pub(super) fn check_rank(
    caller: &Caller,
    standpoint: &Standpoint,
    role: ShareRole,
    share: ShareId,
) -> Result<()> {
    if caller.is_admin() || standpoint.role().is_some_and(|own| own >= role) {
        return Ok(());
    }
    Err(Error::PermissionDenied { right: "a role above one's own", resource: format!("share/{share}") })
}

pub(super) fn check_role(role: ShareRole) -> Result<()> {
    if role == ShareRole::Owner {
        let message = "must be admin, contributor or reader; ownership is transferred";
        return Err(Error::invalid("role", message, role.as_str()));
    }
    Ok(())
}

fn check_expiry(expires_at: Option<Timestamp>, now: Timestamp) -> Result<()> {
    match expires_at {
        Some(end) if end <= now => {
            Err(Error::invalid("expires_at", "must lie in the future", end.to_string()))
        }
        _ => Ok(()),
    }
}

/// Makes a user or group a member of a share.
pub async fn add(drive: &Drive, caller: &Caller, share: ShareId, new: NewMember) -> Result<MemberInfo> {
    check_role(new.role)?;
    mutation::run(drive, caller, Add { share, new }).await
}

struct Add {
    share: ShareId,
    new: NewMember,
}

#[async_trait]
impl Mutation for Add {
    type Output = MemberInfo;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<MemberInfo> {
        let (share, standpoint) = lock(tx, self.share).await?;
        check_rank(tx.caller, &standpoint, self.new.role, self.share)?;
        check_expiry(self.new.expires_at, tx.now)?;
        known_principal(tx.rows, tx.caller, &self.new.principal).await?;
        let member = insert(tx, &share, &self.new).await?;
        welcome(tx, &share, &member).await?;
        tx.created(member.id);
        one(tx.rows, tx.caller, member).await
    }
}

/// Asks for the mail that tells a user of a share; a group's members find it among their shares.
async fn welcome(tx: &mut Tx<'_>, share: &Share, member: &Member) -> Result<()> {
    let Principal::User(id) = &member.principal else { return Ok(()) };
    let user = tx.rows.user(tx.caller.tenant, id).await?;
    let Some(to) = user.and_then(letters::address_of).filter(|_| *id != tx.caller.user) else {
        return Ok(());
    };
    let letter = Letter::Shared {
        share: share.name.clone(),
        sharer: letters::name_of_caller(tx).await?,
        role: member.role.to_string(),
        until: member.expires_at.map(|end| end.to_string()),
    };
    tx.mail(&Addressed { to, letter })
}

/// Inserts a membership and tells everybody concerned.
pub(super) async fn insert(tx: &mut Tx<'_>, share: &Share, new: &NewMember) -> Result<Member> {
    let member = Member {
        id: MemberId::new(tx.ulid()),
        share: share.id,
        principal: new.principal.clone(),
        role: new.role,
        expires_at: new.expires_at,
        added_by: tx.caller.user.clone(),
        created_at: tx.now,
    };
    tx.rows.insert_member(tx.caller.tenant, &member).await?;
    schedule(tx, &member);
    tell(tx, share, &member, "member.add");
    Ok(member)
}

/// Asks for the row that tells readers when the membership runs out; evaluation needs none for that.
fn schedule(tx: &mut Tx<'_>, member: &Member) {
    if let Some(end) = member.expires_at {
        let key = format!("{EXPIRE}:{}:{}", member.id, end.as_micros());
        tx.job(Queue::Medium, EXPIRE, key, json!({ "member": member.id }), end);
    }
}

fn tell(tx: &mut Tx<'_>, share: &Share, member: &Member, action: &'static str) {
    tx.change(access_changed(share));
    let payload = json!({
        "principal": member.principal.to_string(), "role": member.role, "expires_at": member.expires_at,
    });
    tx.audit(AuditEvent::new(AuditCategory::Sharing, action, ResourceKind::Share, share.id).with(payload));
}

/// Makes the owner of a new share its first member.
pub(super) async fn insert_owner(tx: &mut Tx<'_>, share: &Share) -> Result<()> {
    let member = Member {
        id: MemberId::new(tx.ulid()),
        share: share.id,
        principal: share.owner.clone(),
        role: ShareRole::Owner,
        expires_at: None,
        added_by: tx.caller.user.clone(),
        created_at: tx.now,
    };
    tx.rows.insert_member(tx.caller.tenant, &member).await
}

/// What a PATCH of a membership may change; nothing leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct MemberPatch {
    /// The role.
    pub role: Option<ShareRole>,
    /// The end; `Some(None)` removes it.
    pub expires_at: Option<Option<Timestamp>>,
}

/// Changes a membership.
pub async fn patch(
    drive: &Drive,
    caller: &Caller,
    share: ShareId,
    id: MemberId,
    patch: MemberPatch,
) -> Result<MemberInfo> {
    patch.role.map_or(Ok(()), check_role)?;
    mutation::run(drive, caller, ChangeMember { share, id, patch }).await
}

struct ChangeMember {
    share: ShareId,
    id: MemberId,
    patch: MemberPatch,
}

async fn member_of(tx: &mut Tx<'_>, share: ShareId, id: MemberId) -> Result<Member> {
    let found = tx.rows.member(tx.caller.tenant, id).await?;
    found.filter(|member| member.share == share).ok_or(Error::NotFound)
}

/// The owner's membership goes with the ownership alone.
fn refuse_owner(share: &Share, member: &Member) -> Result<()> {
    if member.principal == share.owner {
        return Err(Error::OwnerOnly {
            action: "change or remove the owner's membership: transfer the ownership",
        });
    }
    Ok(())
}

#[async_trait]
impl Mutation for ChangeMember {
    type Output = MemberInfo;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<MemberInfo> {
        let (share, standpoint) = lock(tx, self.share).await?;
        let mut member = member_of(tx, self.share, self.id).await?;
        refuse_owner(&share, &member)?;
        check_rank(tx.caller, &standpoint, member.role, self.share)?;
        if let Some(role) = self.patch.role {
            check_rank(tx.caller, &standpoint, role, self.share)?;
            member.role = role;
        }
        if let Some(expires_at) = self.patch.expires_at {
            check_expiry(expires_at, tx.now)?;
            member.expires_at = expires_at;
        }
        tx.rows.update_member(tx.caller.tenant, &member).await?;
        schedule(tx, &member);
        tell(tx, &share, &member, "member.update");
        one(tx.rows, tx.caller, member).await
    }
}

/// Ends a membership, with all that its principal was allowed in the share. A member may also leave by itself.
pub async fn remove(drive: &Drive, caller: &Caller, share: ShareId, id: MemberId) -> Result<()> {
    mutation::run(drive, caller, Remove { share, id }).await
}

struct Remove {
    share: ShareId,
    id: MemberId,
}

#[async_trait]
impl Mutation for Remove {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<()> {
        let found =
            tx.rows.member(tx.caller.tenant, self.id).await?.filter(|member| member.share == self.share);
        let leaves = found.is_some_and(|member| member.principal == Principal::User(tx.caller.user.clone()));
        let (share, standpoint) = if leaves {
            tx.rows.lock_tree(tx.caller.tenant, self.share).await?;
            access::seen_share(tx.rows, tx.caller, self.share, Right::Read).await?
        } else {
            lock(tx, self.share).await?
        };
        let member = member_of(tx, self.share, self.id).await?;
        refuse_owner(&share, &member)?;
        if !leaves {
            check_rank(tx.caller, &standpoint, member.role, self.share)?;
        }
        tx.rows.delete_member(tx.caller.tenant, member.id).await?;
        tx.rows.delete_allows(tx.caller.tenant, self.share, &member.principal).await?;
        tell(tx, &share, &member, "member.remove");
        Ok(())
    }
}

/// Tells readers of a share that a membership has run out, and ends the job that this is.
pub(crate) async fn expire(drive: &Drive, caller: &Caller, job: &JobRow, id: MemberId) -> Result<()> {
    mutation::run_job(drive, caller, job, Expire { id }).await
}

struct Expire {
    id: MemberId,
}

#[async_trait]
impl Mutation for Expire {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<()> {
        // Removed or prolonged since this was asked for: then there is nothing to tell.
        let member = tx.rows.member(tx.caller.tenant, self.id).await?;
        let Some(member) = member.filter(|member| member.expires_at.is_some_and(|end| end <= tx.now)) else {
            return Ok(());
        };
        if let Some(share) = tx.rows.share(tx.caller.tenant, member.share).await? {
            tell(tx, &share, &member, "member.expire");
        }
        Ok(())
    }
}

/// Hands a share over to another user or group: the old owner's rights end.
pub async fn transfer_share(
    drive: &Drive,
    caller: &Caller,
    id: ShareId,
    new_owner: impl Into<NewOwner>,
) -> Result<Share> {
    mutation::run(drive, caller, TransferShare { id, new_owner: new_owner.into() }).await
}

/// Who becomes an owner.
#[derive(Clone, Debug)]
pub enum NewOwner {
    /// This user or this group.
    Principal(Principal),
    /// Whoever has this id: a user before a group.
    Id(String),
}

impl From<Principal> for NewOwner {
    fn from(principal: Principal) -> Self {
        Self::Principal(principal)
    }
}

impl From<&str> for NewOwner {
    fn from(id: &str) -> Self {
        Self::Id(id.to_owned())
    }
}

struct TransferShare {
    id: ShareId,
    new_owner: NewOwner,
}

#[async_trait]
impl Mutation for TransferShare {
    type Output = Share;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Share> {
        let tenant = tx.caller.tenant;
        let mut share = lock_any(tx, self.id).await?;
        check_owner(tx.caller, tx.caller.is(&share.owner))?;
        let new_owner = match &self.new_owner {
            NewOwner::Principal(principal) => principal.clone(),
            NewOwner::Id(id) => shares::known_owner(tx.rows, tx.caller, "new_owner_id", id).await?,
        };
        known_principal(tx.rows, tx.caller, &new_owner).await?;
        let (members, _) = tx.rows.members(tenant, self.id, u32::MAX, 0).await?;
        for member in members.iter().filter(|m| m.principal == share.owner || m.principal == new_owner) {
            tx.rows.delete_member(tenant, member.id).await?;
        }
        let old_owner = std::mem::replace(&mut share.owner, new_owner);
        if old_owner != share.owner {
            // As with every member who goes: nothing that it was allowed here stays behind.
            tx.rows.delete_allows(tenant, self.id, &old_owner).await?;
        }
        share.modified_at = tx.now;
        tx.rows.update_share(&share).await?;
        insert_owner(tx, &share).await?;
        tx.change(access_changed(&share));
        let payload = json!({ "from": old_owner.to_string(), "to": share.owner.to_string() });
        let event = AuditEvent::new(AuditCategory::Sharing, "share.transfer", ResourceKind::Share, share.id);
        tx.audit(event.with(payload));
        Ok(share)
    }
}

fn check_owner(caller: &Caller, owns: bool) -> Result<()> {
    if owns || caller.is_admin() {
        Ok(())
    } else {
        Err(Error::OwnerOnly { action: "transfer the ownership" })
    }
}

/// Charges another user for a file or folder; rights do not change.
pub async fn transfer_node(drive: &Drive, caller: &Caller, id: NodeId, new_owner: UserId) -> Result<Located> {
    mutation::run(drive, caller, TransferNode { id, new_owner }).await
}

struct TransferNode {
    id: NodeId,
    new_owner: UserId,
}

#[async_trait]
impl Mutation for TransferNode {
    type Output = Located;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Located> {
        let found = tree::locked_node(tx, self.id, Right::Read).await?;
        check_owner(tx.caller, found.node().owner == tx.caller.user)?;
        let user = tx.rows.user(tx.caller.tenant, &self.new_owner).await?;
        if user.is_none_or(|user| user.status == UserStatus::Deleted) {
            return Err(Error::invalid("new_owner_id", "no such user", self.new_owner.as_str()));
        }
        let usage = charged(tx, &found).await?;
        tx.charge(found.share.id, &found.node().owner, usage.negated());
        tx.charge(found.share.id, &self.new_owner, usage);
        tx.rows.set_node_owner(tx.caller.tenant, self.id, &self.new_owner).await?;
        let mut node = found.node().clone();
        let payload = json!({ "from": node.owner, "to": self.new_owner });
        node.owner = self.new_owner.clone();
        tx.change(tree::change(&node, crate::model::ChangeKind::Updated, found.path()));
        tx.audit(tree::audit("owner.transfer", self.id, found.path()).with(payload));
        Ok(found.with_node(node))
    }
}

/// Returns what the owner of a node is charged for it alone.
async fn charged(tx: &mut Tx<'_>, found: &Located) -> Result<Usage> {
    let node = found.node();
    let mut usage = tree::usage_of(node);
    if found.trashed_at().is_some() {
        usage = Usage { trash_bytes: usage.file_bytes, ..Usage::default() };
    }
    if let Some(file) = node.id.as_file() {
        let all = tx.rows.version_bytes(node.tenant, &[file]).await?;
        usage.version_bytes = all.iter().map(|(_, bytes)| bytes).sum::<i64>() - node.size() as i64;
    }
    Ok(usage)
}
