//! Rows that permissions come from: what stands above a resource, entries, members, groups, invitations.

use async_trait::async_trait;

use super::ChildQuery;
use crate::model::acl::{Ace, AceType};
use crate::model::{
    AclEntry, Caller, Group, GroupId, Invitation, InvitationId, Member, MemberId, Node, NodeId, PartnerId,
    Principal, ResourceId, Result, Share, ShareId, ShareRole, TenantId, TenantSettings, Timestamp, Trustee,
    User, UserId, UserStatus,
};

/// Who a user is: itself, its groups, and whether its tenant may act.
#[derive(Clone, Debug)]
pub struct Account {
    /// Whether the tenant may act.
    pub tenant_status: UserStatus,
    /// The partner above it.
    pub partner: PartnerId,
    /// What the tenant set for itself.
    pub settings: TenantSettings,
    /// The user, if it is known.
    pub user: Option<User>,
    /// Every group the user is in, directly or through groups.
    pub groups: Vec<GroupId>,
    /// When the newest token that the user came with was issued.
    pub last_token_at: Option<Timestamp>,
}

/// An entry that matches the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenEntry {
    /// Whom it is about.
    pub trustee: Trustee,
    /// What it says.
    pub ace: Ace,
}

/// A membership that matches the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenMember {
    /// Who is a member: the caller or a group of the caller's.
    pub principal: Principal,
    /// As what.
    pub role: ShareRole,
    /// Whether it has run out by now.
    pub is_expired: bool,
}

/// A share with all that matches the caller on its root.
#[derive(Clone, Debug)]
pub struct SeenShare {
    /// The share.
    pub share: Share,
    /// Entries on its root.
    pub entries: Vec<SeenEntry>,
    /// Memberships.
    pub members: Vec<SeenMember>,
}

/// A node, all above it, and what matches the caller on each.
#[derive(Clone, Debug)]
pub struct SeenChain {
    /// The node first, then its ancestors up to the share's root child.
    pub nodes: Vec<(Node, Vec<SeenEntry>)>,
    /// The share that holds it.
    pub share: SeenShare,
}

/// A page of principals or groups, and how many there are.
pub type Page<T> = (Vec<T>, u64);

/// Reads what permissions come from.
#[async_trait]
pub trait AccessReads: Send {
    /// Returns who the caller is now, in one look; nothing for an unknown tenant.
    async fn account(&mut self, caller: &Caller) -> Result<Option<Account>>;
    /// Returns those of these nodes that are there, with everything above them and all that matches the caller: one
    /// query, whatever the depth, and whatever is there.
    async fn seen_chains(&mut self, caller: &Caller, ids: &[NodeId]) -> Result<Vec<SeenChain>>;
    /// Returns a node with everything above it and all that matches the caller.
    async fn seen_chain(&mut self, caller: &Caller, id: NodeId) -> Result<Option<SeenChain>> {
        Ok(self.seen_chains(caller, &[id]).await?.pop())
    }
    /// Returns a share with all that matches the caller.
    async fn seen_share(&mut self, caller: &Caller, id: ShareId) -> Result<Option<SeenShare>>;
    /// Returns the shares that the caller owns, is a member of, or has entries on, and public ones; or all of the
    /// tenant. By name.
    async fn seen_shares(
        &mut self,
        caller: &Caller,
        all: bool,
        include_trashed: bool,
    ) -> Result<Vec<SeenShare>>;
    /// Returns the entries on these resources that match the caller, in no order.
    async fn seen_entries(
        &mut self,
        caller: &Caller,
        resources: &[ResourceId],
    ) -> Result<Vec<(ResourceId, SeenEntry)>>;
    /// Returns the first children of a place: which inherit, and which have entries that match the caller.
    async fn fenced_children(
        &mut self,
        caller: &Caller,
        parent: crate::model::ParentId,
        include_trashed: bool,
        most: u32,
    ) -> Result<Vec<(NodeId, bool, Option<SeenEntry>)>>;
    /// Returns a page of children, each with the entries on it that match the caller.
    async fn seen_children(
        &mut self,
        caller: &Caller,
        query: &ChildQuery,
    ) -> Result<Vec<(Node, Vec<SeenEntry>)>>;
    /// Returns the nodes below a folder, branches in the trash left out, that have entries matching the caller or
    /// do not inherit.
    async fn fenced_below(&mut self, caller: &Caller, root: NodeId) -> Result<Vec<NodeId>>;
    /// Returns every entry on a resource.
    async fn acl(&mut self, tenant: TenantId, resource: ResourceId) -> Result<Vec<AclEntry>>;
    /// Returns members of a share, oldest first.
    async fn members(
        &mut self,
        tenant: TenantId,
        share: ShareId,
        limit: u32,
        offset: u32,
    ) -> Result<Page<Member>>;
    /// Returns a membership.
    async fn member(&mut self, tenant: TenantId, id: MemberId) -> Result<Option<Member>>;
    /// Returns the memberships that ran out between two times, by time.
    async fn expired_members(
        &mut self,
        tenant: TenantId,
        after: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<Member>>;
    /// Returns groups by name.
    async fn groups(
        &mut self,
        tenant: TenantId,
        search: &str,
        limit: u32,
        offset: u32,
    ) -> Result<Page<Group>>;
    /// Returns a group.
    async fn group(&mut self, tenant: TenantId, id: &GroupId) -> Result<Option<Group>>;
    /// Returns the direct members of a group, by kind and id.
    async fn group_members(&mut self, tenant: TenantId, id: &GroupId) -> Result<Vec<(Principal, Timestamp)>>;
    /// Returns what a group is in: itself at depth 0, groups that hold it at 1, and so on.
    async fn groups_above(&mut self, tenant: TenantId, id: &GroupId) -> Result<Vec<(GroupId, u32)>>;
    /// Returns how many groups the longest chain below a group has.
    async fn depth_below(&mut self, tenant: TenantId, id: &GroupId) -> Result<u32>;
    /// Returns the shares where one of these principals is owner, member, or has entries.
    async fn shares_of(&mut self, tenant: TenantId, principals: &[Principal]) -> Result<Vec<ShareId>>;
    /// Returns the names of users and groups.
    async fn principal_names(
        &mut self,
        tenant: TenantId,
        principals: &[Principal],
    ) -> Result<Vec<(Principal, Option<String>)>>;
    /// Returns invitations to a share, newest first.
    async fn invitations(&mut self, tenant: TenantId, share: ShareId) -> Result<Vec<Invitation>>;
    /// Returns invitations to an address that nobody has answered, newest first.
    async fn invitations_to(&mut self, tenant: TenantId, email: &str) -> Result<Vec<Invitation>>;
    /// Returns an invitation.
    async fn invitation(&mut self, tenant: TenantId, id: InvitationId) -> Result<Option<Invitation>>;
    /// Returns users whose id, name or address holds a text, by name.
    async fn search_users(&mut self, tenant: TenantId, query: &UserSearch) -> Result<Page<User>>;
}

/// Which users a listing shows.
#[derive(Clone, Debug, Default)]
pub struct UserSearch {
    /// A part of the id, name or address, whatever its case.
    pub search: Option<String>,
    /// Only these.
    pub status: Option<UserStatus>,
    /// Only administrators, or only others.
    pub is_admin: Option<bool>,
    /// At most so many.
    pub limit: u32,
    /// After so many.
    pub offset: u32,
}

/// Writes what permissions come from.
#[async_trait]
pub trait AccessWrites: Send {
    /// Replaces everything about a user but its id and when it was made.
    async fn update_user(&mut self, user: &User) -> Result<()>;
    /// Notes the first sign-in; tells whether it was that.
    async fn note_first_login(&mut self, tenant: TenantId, user: &UserId, at: Timestamp) -> Result<bool>;
    /// Notes when a user came with which token, by its time of issue; tells whether it is newer than all before.
    async fn note_token(&mut self, tenant: TenantId, user: &UserId, issued_at: Timestamp) -> Result<bool>;
    /// Notes when a user was here.
    async fn note_login(&mut self, tenant: TenantId, user: &UserId, at: Timestamp) -> Result<()>;
    /// Inserts an entry; `AlreadyExists` if its resource has one of that trustee and type.
    async fn insert_ace(&mut self, tenant: TenantId, entry: &AclEntry) -> Result<()>;
    /// Removes an entry; tells whether there was one.
    async fn delete_ace(
        &mut self,
        tenant: TenantId,
        resource: ResourceId,
        trustee: &Trustee,
        kind: AceType,
    ) -> Result<bool>;
    /// Removes every entry on a resource.
    async fn clear_acl(&mut self, tenant: TenantId, resource: ResourceId) -> Result<()>;
    /// Removes a principal's allow entries everywhere in a share.
    async fn delete_allows(&mut self, tenant: TenantId, share: ShareId, principal: &Principal) -> Result<()>;
    /// Says that something below a share's root has entries of its own, or does not inherit.
    async fn mark_acl(&mut self, tenant: TenantId, share: ShareId) -> Result<()>;
    /// Says that the entries on a node and on everything below it lie in another share now. What a principal was
    /// allowed whose membership in the old share has run out by `now` ends: nothing holds it back in the new one.
    async fn move_acl(
        &mut self,
        tenant: TenantId,
        root: NodeId,
        from_to: (ShareId, ShareId),
        now: Timestamp,
    ) -> Result<()>;
    /// Hands a file or folder's charge to another user.
    async fn set_node_owner(&mut self, tenant: TenantId, id: NodeId, owner: &UserId) -> Result<()>;
    /// Inserts a membership; `AlreadyExists` if the principal is a member.
    async fn insert_member(&mut self, tenant: TenantId, member: &Member) -> Result<()>;
    /// Replaces a membership's role and expiry.
    async fn update_member(&mut self, tenant: TenantId, member: &Member) -> Result<()>;
    /// Removes a membership.
    async fn delete_member(&mut self, tenant: TenantId, id: MemberId) -> Result<()>;
    /// Inserts a group; `AlreadyExists` if its id is taken.
    async fn insert_group(&mut self, group: &Group) -> Result<()>;
    /// Replaces a group's name, description and sync time.
    async fn update_group(&mut self, group: &Group) -> Result<()>;
    /// Removes a group, its memberships both ways, its entries and its memberships in shares.
    async fn delete_group(&mut self, tenant: TenantId, id: &GroupId) -> Result<()>;
    /// Puts a principal into a group, and forgets that it was removed; tells whether it was not in it.
    async fn join_group(
        &mut self,
        tenant: TenantId,
        group: &GroupId,
        member: &Principal,
        now: Timestamp,
    ) -> Result<bool>;
    /// Takes a principal out of a group, and remembers that, whether it was in it or not; tells whether it was.
    async fn leave_group(
        &mut self,
        tenant: TenantId,
        group: &GroupId,
        member: &Principal,
        now: Timestamp,
    ) -> Result<bool>;
    /// Keeps others from changing which groups hold which until this commits.
    async fn lock_groups(&mut self, tenant: TenantId) -> Result<()>;
    /// Inserts an invitation.
    async fn insert_invitation(&mut self, tenant: TenantId, invitation: &Invitation) -> Result<()>;
    /// Answers an invitation that is pending; tells whether it was.
    async fn answer_invitation(&mut self, tenant: TenantId, invitation: &Invitation) -> Result<bool>;
}
