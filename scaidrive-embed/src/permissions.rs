//! Who is a member of a share, and who may do what to it and to what it holds.

use scaidrive_core::model::acl::AceType;
use scaidrive_core::model::{
    Caller, Error, Principal, ResourceId, Result, Rights, SharePath, ShareRole, Timestamp, Trustee, UserId,
};
use scaidrive_core::services::acl::{self, AclInfo, EntryInfo, Inheritance, NewEntry, Which};
use scaidrive_core::services::members::{self, MemberInfo, NewMember};
use scaidrive_core::services::paths;
use scaidrive_core::services::permissions::{self, Effective};

use crate::Share;

/// Members read at once.
const MEMBERS: u32 = 1000;

/// Members, and permissions by path, where `/` is the share itself. Every change counts for whatever comes after it,
/// also through handles that were made before. Changing anything here, and looking at entries, takes
/// [`Right::ManagePermissions`](crate::Right::ManagePermissions).
impl Share {
    /// Returns who is a member, the oldest first.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the acting user does not see the share.
    pub async fn members(&self) -> Result<Vec<MemberInfo>> {
        self.members_to(&self.caller().await?).await
    }

    async fn members_to(&self, caller: &Caller) -> Result<Vec<MemberInfo>> {
        let mut all: Vec<MemberInfo> = Vec::new();
        loop {
            let page = members::list(self.drive(), caller, self.id(), MEMBERS, all.len() as u32).await?;
            let is_last = page.members.len() < MEMBERS as usize;
            all.extend(page.members);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Makes a user or group a member, for ever or until a time.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] for a member, [`Error::PermissionDenied`] for a role above one's own,
    /// [`Error::Invalid`] for somebody unknown, for the role of an owner, and for a time that is over.
    pub async fn add_member(
        &self,
        who: &Principal,
        role: ShareRole,
        expires_at: Option<Timestamp>,
    ) -> Result<MemberInfo> {
        let new = NewMember { principal: who.clone(), role, expires_at };
        members::add(self.drive(), &self.caller().await?, self.id(), new).await
    }

    /// Ends a membership, with all that was allowed to the member in the share.
    ///
    /// # Errors
    /// [`Error::NotFound`] for who is no member, [`Error::OwnerOnly`] for the owner,
    /// [`Error::PermissionDenied`] for a role above one's own.
    pub async fn remove_member(&self, who: &Principal) -> Result<()> {
        let caller = self.caller().await?;
        let is_meant =
            |member: &MemberInfo| member.principal_type == who.kind() && member.principal_id == who.id();
        let found = self.members_to(&caller).await?.into_iter().find(is_meant).ok_or(Error::NotFound)?;
        members::remove(self.drive(), &caller, self.id(), found.id).await
    }

    /// Returns what is at a path; nothing says yet that the caller may know of it.
    async fn resource(&self, caller: &Caller, path: &str) -> Result<ResourceId> {
        let (share, path) = (self.id(), SharePath::parse(path)?);
        let mut rows = self.drive().read().await?;
        let found = paths::resolve(&mut *rows, caller, share, &path).await?;
        Ok(found.map_or(ResourceId::Share(share), ResourceId::Node))
    }

    /// Returns the entries at a path: its own, then those it inherits, the nearest first.
    ///
    /// # Errors
    /// As said at [`Share`].
    pub async fn acl(&self, path: &str) -> Result<AclInfo> {
        let caller = self.caller().await?;
        let resource = self.resource(&caller, path).await?;
        acl::get(self.drive(), &caller, resource).await
    }

    /// Allows somebody something, at a path and below: beyond its role, and over what is denied farther above.
    ///
    /// # Errors
    /// As [`add_entry`](Self::add_entry).
    pub async fn grant(
        &self,
        path: &str,
        whom: impl Into<Trustee>,
        rights: impl Into<Rights>,
    ) -> Result<EntryInfo> {
        self.add(path, whom.into(), AceType::Allow, rights.into()).await
    }

    /// Denies somebody something, at a path and below: whatever its role, and over what is allowed farther above.
    ///
    /// # Errors
    /// As [`add_entry`](Self::add_entry).
    pub async fn deny(
        &self,
        path: &str,
        whom: impl Into<Trustee>,
        rights: impl Into<Rights>,
    ) -> Result<EntryInfo> {
        self.add(path, whom.into(), AceType::Deny, rights.into()).await
    }

    async fn add(&self, path: &str, trustee: Trustee, kind: AceType, rights: Rights) -> Result<EntryInfo> {
        self.add_entry(path, NewEntry { trustee, kind, rights, inherits: true }).await
    }

    /// Adds an entry at a path, which need not count below.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] where the same is allowed or denied something already: remove that first;
    /// [`Error::Invalid`] for somebody unknown and for no rights at all.
    pub async fn add_entry(&self, path: &str, entry: NewEntry) -> Result<EntryInfo> {
        let caller = self.caller().await?;
        let resource = self.resource(&caller, path).await?;
        acl::add(self.drive(), &caller, resource, entry).await
    }

    /// Removes an entry at a path.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none.
    pub async fn remove_entry(&self, path: &str, whom: impl Into<Trustee>, kind: AceType) -> Result<()> {
        let caller = self.caller().await?;
        let resource = self.resource(&caller, path).await?;
        acl::remove(self.drive(), &caller, resource, Which::Of(whom.into(), kind)).await
    }

    /// Makes what lies above count at a path, or not: then its own entries alone count there and below, but owner and
    /// admins of the share keep all rights. `copies` turns what was inherited so far into entries of its own, which
    /// may take rights away, as the answer tells, but never gives any.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the share itself, and for copies of what counts anyway.
    pub async fn set_inheritance(&self, path: &str, inherits: bool, copies: bool) -> Result<Inheritance> {
        let caller = self.caller().await?;
        let resource = self.resource(&caller, path).await?;
        acl::set_inheritance(self.drive(), &caller, resource, inherits, copies).await
    }

    /// Returns what the acting user may do at a path.
    ///
    /// # Errors
    /// As said at [`Share`].
    pub async fn effective(&self, path: &str) -> Result<Rights> {
        let caller = self.caller().await?;
        let resource = self.resource(&caller, path).await?;
        let found = permissions::effective(self.drive(), &caller, resource, None, false).await?;
        Rights::from_bits(found.permissions).ok_or_else(|| Error::internal("rights that there are not"))
    }

    /// Returns what the acting user, or another one, may do at a path, and what decides each right.
    ///
    /// # Errors
    /// [`Error::PermissionDenied`] for another user without
    /// [`Right::ManagePermissions`](crate::Right::ManagePermissions), [`Error::Invalid`] for an unknown one.
    pub async fn explain(&self, path: &str, other: Option<&UserId>) -> Result<Effective> {
        let caller = self.caller().await?;
        let resource = self.resource(&caller, path).await?;
        permissions::effective(self.drive(), &caller, resource, other, true).await
    }
}
