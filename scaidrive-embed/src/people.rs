//! Users and groups of a drive.

use scaidrive_core::model::{Group, GroupId, Principal, Result, User, UserId, UserStatus};
use scaidrive_core::services::groups::{self, GroupMember, NewGroup};
use scaidrive_core::services::tenants::NewUser;
use scaidrive_core::services::users;

use crate::ScaiDrive;

/// Groups read at once.
const GROUPS: u32 = 1000;

/// Users and groups. All of this is for administrators: others get
/// [`Error::PermissionDenied`](crate::Error::PermissionDenied).
impl ScaiDrive {
    /// Creates a user.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`](crate::Error::AlreadyExists) if the id is taken.
    pub async fn create_user(&self, id: Option<UserId>, name: Option<&str>) -> Result<User> {
        let new = NewUser { id, name: name.map(str::to_owned), ..NewUser::default() };
        users::create(self.core(), &self.now().await?, new).await.map(|info| info.user)
    }

    /// Locks a user out: what it does next fails, through whatever handle.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such user,
    /// [`Error::Invalid`](crate::Error::Invalid) for the acting user itself.
    pub async fn suspend_user(&self, user: &UserId) -> Result<User> {
        self.set_status(user, UserStatus::Suspended).await
    }

    /// Lets a user act again.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such user.
    pub async fn activate_user(&self, user: &UserId) -> Result<User> {
        self.set_status(user, UserStatus::Active).await
    }

    async fn set_status(&self, user: &UserId, status: UserStatus) -> Result<User> {
        let changed = users::set_status(self.core(), &self.now().await?, user, status).await?;
        Ok(changed.user)
    }

    /// Creates a group. Names need not be unique.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for a name that is empty or longer than 255 bytes.
    pub async fn create_group(&self, name: &str) -> Result<Group> {
        let new = NewGroup { name: name.to_owned(), ..NewGroup::default() };
        groups::create(self.core(), &self.now().await?, new).await
    }

    /// Returns all groups, by name.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn groups(&self) -> Result<Vec<Group>> {
        let caller = self.now().await?;
        let mut all: Vec<Group> = Vec::new();
        loop {
            let page = groups::list(self.core(), &caller, "", GROUPS, all.len() as u32).await?.groups;
            let is_last = page.len() < GROUPS as usize;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Removes a group, its memberships and its permissions.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such group,
    /// [`Error::Invalid`](crate::Error::Invalid) while it owns a share.
    pub async fn remove_group(&self, group: &GroupId) -> Result<()> {
        groups::delete(self.core(), &self.now().await?, group).await
    }

    /// Returns who is directly in a group.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such group.
    pub async fn group_members(&self, group: &GroupId) -> Result<Vec<GroupMember>> {
        groups::members(self.core(), &self.now().await?, group).await
    }

    /// Puts a user or group into a group.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such group,
    /// [`Error::Invalid`](crate::Error::Invalid) if there is no such user or group to put in, or groups would hold
    /// each other more than eight deep, [`Error::Cycle`](crate::Error::Cycle) if a group would hold itself,
    /// [`Error::AlreadyExists`](crate::Error::AlreadyExists) for who is in it already.
    pub async fn add_group_member(&self, group: &GroupId, member: &Principal) -> Result<()> {
        groups::set_member(self.core(), &self.now().await?, group, member.clone(), true).await
    }

    /// Takes a user or group out of a group: what it had through it, it has no more.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such group, or who is not in it.
    pub async fn remove_group_member(&self, group: &GroupId, member: &Principal) -> Result<()> {
        groups::set_member(self.core(), &self.now().await?, group, member.clone(), false).await
    }
}
