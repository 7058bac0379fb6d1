//! What an administrator does to rights: entries, members, groups, and memberships that end by themselves.

use scaidrive_core::model::acl::{AceType, Trustee};
use scaidrive_core::model::{FolderId, Principal, ResourceId, Right, Rights, SharePath, ShareRole};
use scaidrive_core::services::acl::NewEntry;
use scaidrive_core::services::members::{MemberPatch, NewMember};
use scaidrive_core::services::{acl, groups, members};

use crate::world::World;

impl World {
    /// Somebody gives or takes rights.
    pub(crate) async fn change_rights(&mut self) {
        let number = self.dice.usize(..self.devices.len());
        let user = Principal::User(self.devices[number].user.clone());
        let is_group = self.dice.u32(..4) == 0;
        let who = if is_group { Principal::Group(self.home.group.clone()) } else { user.clone() };
        let items = self.items(self.home.share).await;
        let folders: Vec<(FolderId, SharePath)> =
            items.iter().filter_map(|item| Some((item.node.id.as_folder()?, item.path.clone()))).collect();
        let done = match (self.dice.u32(..100), self.pick(&folders)) {
            (0..25, Some(folder)) => self.deny(folder, who).await,
            (25..50, Some((folder, path))) => {
                let resource = ResourceId::Node(folder.into());
                let replaced = acl::replace(&self.home.drive, &self.home.admin, resource, Vec::new()).await;
                format!("nothing is denied in {path} any more: {}", replaced.is_ok())
            }
            (50..85, _) => self.change_member(who).await,
            (85..100, _) => self.change_group(user).await,
            _ => return,
        };
        self.note(format!("server: {done}"));
    }

    async fn deny(&mut self, (folder, path): (FolderId, SharePath), who: Principal) -> String {
        let rights = [Right::Read, Right::Write, Right::Create, Right::Delete];
        let right = rights[self.dice.usize(..rights.len())];
        // Who may delete what it may not read deletes others' work unseen: that is what those rights say, and the trash
        // has it.
        let hidden = if right == Right::Read { Rights::from(Right::Delete) } else { Rights::from(right) };
        let rights = Rights::from(right) | hidden;
        let entry = NewEntry {
            trustee: Trustee::Principal(who.clone()),
            kind: AceType::Deny,
            rights,
            inherits: true,
        };
        let added =
            acl::add(&self.home.drive, &self.home.admin, ResourceId::Node(folder.into()), entry).await;
        format!("denies {who:?} {right:?} in {path}: {}", added.is_ok())
    }

    async fn change_group(&mut self, who: Principal) -> String {
        let (drive, admin, group) = (&self.home.drive, &self.home.admin, &self.home.group);
        let all = groups::members(drive, admin, group).await.unwrap();
        let is_member = all.iter().any(|member| member.principal_id == who.id());
        groups::set_member(drive, admin, group, who.clone(), !is_member).await.unwrap();
        format!("{who:?} is in the group: {}", !is_member)
    }

    async fn change_member(&mut self, who: Principal) -> String {
        let (drive, admin, share) = (&self.home.drive, &self.home.admin, self.home.share);
        let all = members::list(drive, admin, share, 100, 0).await.unwrap();
        let found = all.members.iter().find(|member| member.principal_id == who.id());
        let Some(member) = found else {
            let member = NewMember { principal: who.clone(), role: ShareRole::Contributor, expires_at: None };
            members::add(drive, admin, share, member).await.unwrap();
            return format!("{who:?} is a member again");
        };
        let role = if self.dice.bool() { ShareRole::Reader } else { ShareRole::Contributor };
        match self.dice.u32(..4) {
            0 => {
                members::remove(drive, admin, share, member.id).await.unwrap();
                format!("{who:?} is no member any more")
            }
            1 => {
                let end = self.home.now().plus(std::time::Duration::from_millis(self.dice.u64(1..3000)));
                let patch = MemberPatch { role: Some(role), expires_at: Some(Some(end)) };
                members::patch(drive, admin, share, member.id, patch).await.unwrap();
                format!("{who:?} is a {role:?} until {end}")
            }
            _ => {
                let patch = MemberPatch { role: Some(role), expires_at: Some(None) };
                members::patch(drive, admin, share, member.id, patch).await.unwrap();
                format!("{who:?} is a {role:?}")
            }
        }
    }
}
