//! What people do, on their devices and on the server.

use bytes::Bytes;
use scaidrive_client::model::TreePath;
use scaidrive_core::model::acl::{AceType, Trustee};
use scaidrive_core::model::{
    FileName, FolderId, NodeId, ParentId, Principal, ResourceId, Right, Rights, ShareRole,
};
use scaidrive_core::services::acl::NewEntry;
use scaidrive_core::services::folders::Walked;
use scaidrive_core::services::members::{MemberPatch, NewMember};
use scaidrive_core::services::{acl, content, files, folders, members, moves, trash};

use crate::world::World;

/// Names that collide often, also by case and by form.
const NAMES: [&str; 7] = ["a", "b", "A", "c", "plan.odt", "Plan.odt", "é"];

/// Returns what tells an id from others of its run.
fn short(id: impl ToString) -> String {
    let id = id.to_string();
    id[id.len() - 6..].to_owned()
}

/// Returns where something goes, in words.
fn place(folder: Option<FolderId>) -> String {
    folder.map_or("the root".to_owned(), short)
}

impl World {
    fn pick<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        (!all.is_empty()).then(|| all[self.dice.usize(..all.len())].clone())
    }

    fn name(&mut self) -> &'static str {
        NAMES[self.dice.usize(..NAMES.len())]
    }

    fn content(&mut self) -> Bytes {
        let is_large = self.dice.u32(..100) < 3;
        self.ledger.write(is_large)
    }

    /// Somebody does something on a device.
    pub(crate) fn act_here(&mut self) {
        let number = self.dice.usize(..self.devices.len());
        let all = self.devices[number].disk.all();
        let files: Vec<TreePath> =
            all.iter().filter(|(_, bytes)| bytes.is_some()).map(|(path, _)| path.clone()).collect();
        let mut folders: Vec<TreePath> =
            all.iter().filter(|(_, bytes)| bytes.is_none()).map(|(path, _)| path.clone()).collect();
        folders.push(TreePath::root());
        let everything: Vec<TreePath> = all.keys().cloned().collect();
        let folder = self.pick(&folders).unwrap_or_default();
        let to = folder.join(self.name());
        let (file, thing) = (self.pick(&files), self.pick(&everything));
        let what = match (self.dice.u32(..100), file, thing) {
            (0..30, _, _) if !all.contains_key(&to) => self.write_here(number, &to, None),
            (30..42, _, _) if !all.contains_key(&to) => {
                self.devices[number].disk.make_folder(&to).unwrap();
                format!("makes {to}/")
            }
            (42..60, Some(file), _) => self.write_here(number, &file, all[&file].as_ref()),
            (60..64, Some(file), _) => self.save_by_renaming(number, &file, all[&file].as_ref()),
            (64..85, _, Some(from)) => self.rename_here(number, &from, &to, all.get(&to)),
            (85..100, _, Some(gone)) => {
                let below = all.iter().filter(|(path, _)| path.names().starts_with(gone.names()));
                below.filter_map(|(_, bytes)| bytes.as_ref()).for_each(|bytes| self.ledger.supersede(bytes));
                self.devices[number].disk.remove_all(&gone).unwrap();
                format!("removes {gone}")
            }
            _ => return,
        };
        self.note(format!("d{number} {what}"));
    }

    fn write_here(&mut self, number: usize, path: &TreePath, old: Option<&Bytes>) -> String {
        if let Some(old) = old {
            self.ledger.supersede(old);
        }
        let content = self.content();
        let token = crate::ledger::token(&content);
        self.devices[number].disk.write(path, content).unwrap();
        format!("writes {token} to {path}")
    }

    /// Saves as many programs do: the old file becomes a backup, which goes.
    fn save_by_renaming(&mut self, number: usize, path: &TreePath, old: Option<&Bytes>) -> String {
        let backup = path.parent().unwrap_or_default().join("backup.tmp");
        let disk = self.devices[number].disk.clone();
        if disk.rename(path, &backup).is_err() {
            return "cannot save".to_owned();
        }
        let what = self.write_here(number, path, old);
        disk.remove_all(&backup).unwrap();
        format!("{what} by renaming")
    }

    fn rename_here(
        &mut self,
        number: usize,
        from: &TreePath,
        to: &TreePath,
        over: Option<&Option<Bytes>>,
    ) -> String {
        match self.devices[number].disk.rename(from, to) {
            Ok(()) => {
                if let Some(Some(over)) = over.filter(|_| from != to) {
                    self.ledger.supersede(over);
                }
                format!("renames {from} to {to}")
            }
            Err(error) => format!("cannot rename {from} to {to}: {error}"),
        }
    }

    async fn items(&self) -> Vec<Walked> {
        folders::walk(&self.home.drive, &self.home.admin, self.home.share, None).await.unwrap()
    }

    /// Somebody does something on the server, with a browser.
    pub(crate) async fn act_there(&mut self) {
        let items = self.items().await;
        let folder = self.pick(&items).and_then(|item| item.node.id.as_folder());
        let name = FileName::parse(self.name()).unwrap();
        let item = self.pick(&items);
        let done = match (self.dice.u32(..100), item) {
            (0..30, _) => self.create_there(folder, name).await,
            (30..50, Some(item)) => self.edit_there(&item).await,
            (50..75, Some(item)) => self.move_there(&item, folder, name).await,
            (75..92, Some(item)) => self.delete_there(&items, &item).await,
            (92..97, _) => self.restore_there().await,
            (97..100, _) => {
                trash::empty(&self.home.drive, &self.home.admin, self.home.share).await.unwrap();
                "empties the trash".to_owned()
            }
            _ => return,
        };
        self.note(format!("server: {done}"));
    }

    async fn create_there(&mut self, folder: Option<FolderId>, name: FileName) -> String {
        let (drive, admin, share) = (self.home.drive.clone(), self.home.admin.clone(), self.home.share);
        if self.dice.u32(..3) == 0 {
            let made = folders::create(&drive, &admin, share, folder, name.clone()).await;
            return format!("makes {name}/ in {}: {:?}", place(folder), made.map(|made| short(made.id)));
        }
        let taken = self.items().await.iter().any(|item| {
            item.node.parent == folder.map_or(ParentId::Root(share), ParentId::Folder)
                && item.node.name.key() == name.key()
        });
        if taken {
            return "nothing".to_owned();
        }
        let content = self.content();
        let token = crate::ledger::token(&content);
        let new = files::NewFile { share, folder, name: name.clone(), mime_type: None, modified_at: None };
        let made = files::create(&drive, &admin, new, std::io::Cursor::new(content)).await.unwrap();
        format!("writes {token} to {}", made.path)
    }

    async fn text(&self, item: &Walked) -> Option<Bytes> {
        let readable =
            content::open(&self.home.drive, &self.home.admin, item.node.id.as_file()?, None).await.unwrap();
        Some(content::read(&self.home.drive, &readable, None).await.unwrap().into())
    }

    async fn edit_there(&mut self, item: &Walked) -> String {
        let (Some(file), Some(old)) = (item.node.id.as_file(), self.text(item).await) else {
            return "nothing".to_owned();
        };
        self.ledger.supersede(&old);
        let content = self.content();
        let token = crate::ledger::token(&content);
        let (drive, admin) = (&self.home.drive, &self.home.admin);
        let body = std::io::Cursor::new(content);
        files::write(drive, admin, file, files::IfMatch::default(), body).await.unwrap();
        format!("writes {token} over {}", item.path)
    }

    async fn move_there(&mut self, item: &Walked, folder: Option<FolderId>, name: FileName) -> String {
        let parent = folder.map_or(ParentId::Root(self.home.share), ParentId::Folder);
        let target = moves::Target { parent, name: Some(name.clone()) };
        let (drive, admin) = (&self.home.drive, &self.home.admin);
        let moved = match item.node.id {
            NodeId::File(id) => moves::file(drive, admin, id, target).await.map(|file| file.path),
            NodeId::Folder(id) => moves::folder(drive, admin, id, target).await.map(|folder| folder.path),
        };
        format!("moves {} to {name} in {}: {moved:?}", item.path, place(folder))
    }

    async fn delete_there(&mut self, items: &[Walked], item: &Walked) -> String {
        for below in items.iter().filter(|below| below.path.names().starts_with(item.path.names())) {
            if let Some(bytes) = self.text(below).await {
                self.ledger.supersede(&bytes);
            }
        }
        let permanent = self.dice.u32(..4) == 0;
        trash::delete(&self.home.drive, &self.home.admin, item.node.id, permanent).await.unwrap();
        format!("deletes {}, permanently: {permanent}", item.path)
    }

    async fn restore_there(&mut self) -> String {
        let (drive, admin) = (&self.home.drive, &self.home.admin);
        let trash = trash::list(drive, admin, self.home.share, None, 100).await.unwrap();
        let ids: Vec<NodeId> = trash.items.iter().map(|item| item.id).collect();
        let Some(id) = self.pick(&ids) else { return "nothing".to_owned() };
        let restored = trash::restore(&self.home.drive, &self.home.admin, id).await;
        format!("restores {}: {}", short(id), restored.is_ok())
    }

    /// Somebody gives or takes rights.
    pub(crate) async fn change_rights(&mut self) {
        let number = self.dice.usize(..self.devices.len());
        let who = Principal::User(self.devices[number].user.clone());
        let items = self.items().await;
        let folders: Vec<FolderId> = items.iter().filter_map(|item| item.node.id.as_folder()).collect();
        let done = match (self.dice.u32(..100), self.pick(&folders)) {
            (0..30, Some(folder)) => self.deny(folder, who).await,
            (30..60, Some(folder)) => {
                let resource = ResourceId::Node(folder.into());
                let replaced = acl::replace(&self.home.drive, &self.home.admin, resource, Vec::new()).await;
                format!("nothing is denied in {} any more: {}", short(folder), replaced.is_ok())
            }
            (60..100, _) => self.change_member(who).await,
            _ => return,
        };
        self.note(format!("server: {done}"));
    }

    async fn deny(&mut self, folder: FolderId, who: Principal) -> String {
        let rights = [Right::Read, Right::Write, Right::Create, Right::Delete];
        let right = rights[self.dice.usize(..rights.len())];
        let rights = Rights::from(right);
        let entry = NewEntry {
            trustee: Trustee::Principal(who.clone()),
            kind: AceType::Deny,
            rights,
            inherits: true,
        };
        let added =
            acl::add(&self.home.drive, &self.home.admin, ResourceId::Node(folder.into()), entry).await;
        format!("denies {who:?} {right:?} in {}: {}", short(folder), added.is_ok())
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
        match self.dice.u32(..3) {
            0 => {
                members::remove(drive, admin, share, member.id).await.unwrap();
                format!("{who:?} is no member any more")
            }
            other => {
                let role = if other == 1 { ShareRole::Reader } else { ShareRole::Contributor };
                let patch = MemberPatch { role: Some(role), expires_at: None };
                members::patch(drive, admin, share, member.id, patch).await.unwrap();
                format!("{who:?} is a {role:?}")
            }
        }
    }
}
