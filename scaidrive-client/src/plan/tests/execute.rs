//! Plans are executed to the letter: what does not fit, or would lose something, panics.

use std::collections::BTreeMap;

use super::super::steps::{Download, ParentRef, Source};
use super::super::{LocalStep, Plan, RemoteStep};
use super::world::{Entry, World, hash};
use crate::model::{ItemId, Timestamp, TreePath, VersionId, fold, with_marker};
use crate::trees::{RemoteFile, RemoteItem, SyncedFile, SyncedItem};

impl World {
    /// Takes all steps that `may` be taken; panics where one does not fit or would lose something.
    pub(super) fn execute(&mut self, plan: Plan, mut may: impl FnMut() -> bool) {
        for id in &plan.forgotten {
            self.synced.remove(id);
        }
        plan.agreed.into_iter().for_each(|item| self.synced.insert(item));
        for step in plan.local {
            assert!(!self.refused.contains(&step.signature()), "{step:?} was refused");
            if !may() {
                return;
            }
            self.change_here(step);
        }
        let mut created = BTreeMap::new();
        for step in plan.remote {
            assert!(!self.refused.contains(&step.signature()), "{step:?} was refused");
            if !may() {
                return;
            }
            self.change_there(step, &mut created);
        }
        for download in plan.downloads {
            if may() {
                self.download(download);
            }
        }
    }

    fn change_here(&mut self, step: LocalStep) {
        match step {
            LocalStep::MakeFolder { id, parent, path } => {
                let entry = Entry { number: self.number(), content: None };
                self.create(&path, entry.clone());
                let name = self.remote.get(&id).unwrap().name.clone();
                self.agree(id, parent, name, &entry, None);
            }
            LocalStep::Move { id, from, to, stamp, follows } => {
                let entry = self.disk[&from].clone();
                assert_eq!(self.stamp(&entry).key, stamp.key);
                self.rename(&from, &to);
                if let (Some(id), Some((parent, name))) = (id, follows)
                    && let Some(mut item) = self.synced.get(&id).cloned()
                {
                    (item.parent, item.name) = (parent, name);
                    self.synced.insert(item);
                }
            }
            LocalStep::RemoveFile { id, path, .. } => {
                let entry = self.disk.remove(&path).unwrap();
                assert!(self.stored.contains_key(&hash(entry.content.unwrap())), "{path} is nowhere else");
                self.synced.remove(&id);
            }
            LocalStep::RemoveFolder { id, path } => {
                assert_eq!(self.disk.remove(&path).unwrap().content, None);
                self.disk.retain(|below, _| {
                    let is_below = below.names().starts_with(path.names());
                    assert!(
                        !is_below || below.names()[path.names().len()] == "junk",
                        "{below} is in the way"
                    );
                    !is_below
                });
                self.synced.remove(&id);
            }
        }
    }

    pub(super) fn create(&mut self, path: &TreePath, entry: Entry) {
        let parent = path.parent().unwrap();
        assert!(parent == TreePath::root() || self.disk[&parent].content.is_none(), "{path} has no folder");
        assert!(self.disk.insert(path.clone(), entry).is_none(), "{path} is there already");
    }

    pub(super) fn rename(&mut self, from: &TreePath, to: &TreePath) {
        let is_below = |path: &TreePath, above: &TreePath| path.names().starts_with(above.names());
        assert!(!is_below(to, from) || from == to, "{from} cannot go into itself");
        let moved: Vec<TreePath> = self.disk.keys().filter(|path| is_below(path, from)).cloned().collect();
        let moved: Vec<(TreePath, Entry)> =
            moved.into_iter().map(|path| (path.clone(), self.disk.remove(&path).unwrap())).collect();
        for (path, entry) in moved {
            let rest = &path.names()[from.names().len()..];
            let path: TreePath = to.names().iter().chain(rest).cloned().collect();
            self.create(&path, entry);
        }
    }

    fn agree(
        &mut self,
        id: ItemId,
        parent: Option<ItemId>,
        name: String,
        entry: &Entry,
        version: Option<VersionId>,
    ) {
        let file = version.map(|version| SyncedFile {
            version,
            checksum: hash(entry.content.unwrap()),
            is_settled: true,
        });
        self.synced.insert(SyncedItem { id, parent, name, stamp: self.stamp(entry), file });
    }

    fn change_there(&mut self, step: RemoteStep, created: &mut BTreeMap<TreePath, ItemId>) {
        match step {
            RemoteStep::CreateFolder { local, to, replaces, .. } => {
                let parent = parent(&to.parent, created);
                let id = self.put(parent.clone(), to.path.name().unwrap(), None);
                let entry = self.disk[&local].clone();
                self.agree(id.clone(), parent, to.path.name().unwrap().to_owned(), &entry, None);
                if let Some(old) = replaces {
                    self.replace(&old, &id);
                }
                created.insert(to.path, id);
            }
            RemoteStep::CreateFile { source, to, replaces } => {
                let parent = parent(&to.parent, created);
                let name = to.path.name().unwrap().to_owned();
                let id = self.put(parent.clone(), &name, Some(self.read(&source)));
                let version = self.remote.get(&id).unwrap().file.clone().unwrap().version;
                let entry = self.disk[&source.path].clone();
                self.agree(id, parent, name, &entry, Some(version));
                replaces.map(|old| self.synced.remove(&old));
            }
            RemoteStep::Edit { id, base, source, .. } => self.edit(id, &base, &source),
            RemoteStep::Move { id, to, .. } => {
                let parent = parent(&to.parent, created);
                let name = to.path.name().unwrap().to_owned();
                let rival = self.child(parent.as_ref(), &name);
                assert!(rival.is_none_or(|rival| rival == id), "{} is taken", to.path);
                let mut item = self.remote.get(&id).unwrap().clone();
                (item.parent, item.name) = (parent.clone(), name.clone());
                self.remote.insert(item);
                assert!(self.remote.path(&id).is_some(), "a loop");
                let mut item = self.synced.get(&id).unwrap().clone();
                (item.parent, item.name) = (parent, name);
                self.synced.insert(item);
            }
            RemoteStep::Delete { id, .. } => {
                for gone in self.remote_below(&id) {
                    let path = self.remote.path(&gone).unwrap();
                    let is_junk = path.names().iter().any(|name| name == "junk");
                    let base = self.synced.remove(&gone);
                    assert!(is_junk || base.is_some(), "{path} was never here");
                    let there = self.remote.get(&gone).and_then(|item| item.file.as_ref());
                    let known = base.and_then(|base| base.file);
                    let is_known = there.zip(known).is_none_or(|(there, known)| {
                        there.version == known.version || there.checksum == known.checksum
                    });
                    assert!(is_junk || is_known, "{path} was edited by somebody else");
                }
                self.remote.remove_all(&id);
            }
        }
    }

    fn remote_below(&self, id: &ItemId) -> Vec<ItemId> {
        let mut found = vec![id.clone()];
        let mut next = 0;
        while let Some(id) = found.get(next).cloned() {
            found.extend(self.remote.children(Some(&id)).map(|item| item.id.clone()));
            next += 1;
        }
        found
    }

    fn replace(&mut self, old: &ItemId, new: &ItemId) {
        self.synced.remove(old);
        let children: Vec<SyncedItem> = self.synced.children(Some(old)).cloned().collect();
        for mut child in children {
            child.parent = Some(new.clone());
            self.synced.insert(child);
        }
    }

    fn read(&self, source: &Source) -> u32 {
        let content = self.disk[&source.path].content.unwrap();
        assert_eq!(hash(content), source.hash, "{}", source.path);
        content
    }

    pub(super) fn child(&self, parent: Option<&ItemId>, name: &str) -> Option<ItemId> {
        self.remote.children(parent).find(|item| fold(&item.name) == fold(name)).map(|item| item.id.clone())
    }

    /// Puts something new on the server, under another name if this one is taken.
    pub(super) fn put(&mut self, parent: Option<ItemId>, name: &str, content: Option<u32>) -> ItemId {
        assert!(parent.as_ref().is_none_or(|id| self.remote.get(id).unwrap().file.is_none()));
        let mut name = name.to_owned();
        while let Some(rival) = self.child(parent.as_ref(), &name) {
            if content.is_none() {
                assert!(self.remote.get(&rival).unwrap().file.is_none(), "a folder meets a file");
                return rival;
            }
            name = with_marker(&name, " (conflict)");
        }
        let id = ItemId::new(format!("i{:04}", self.number()));
        let file = content.map(|content| self.version(content));
        self.remote.insert(RemoteItem { id: id.clone(), parent, name, file });
        id
    }

    pub(super) fn version(&mut self, content: u32) -> RemoteFile {
        self.stored.insert(hash(content), content);
        RemoteFile {
            version: VersionId::new(format!("v{:04}", self.number())),
            checksum: hash(content),
            size: 4,
            modified_at: Timestamp::from_micros(i64::from(content)),
        }
    }

    fn edit(&mut self, id: ItemId, base: &VersionId, source: &Source) {
        let content = self.read(source);
        let mut item = self.remote.get(&id).unwrap().clone();
        let entry = self.disk[&source.path].clone();
        let place = self.synced.get(&id).map(|base| (base.parent.clone(), base.name.clone())).unwrap();
        if item.file.as_ref().unwrap().version == *base {
            item.file = Some(self.version(content));
            let version = item.file.clone().unwrap().version;
            self.remote.insert(item);
            return self.agree(id, place.0, place.1, &entry, Some(version));
        }
        let copy = self.put(item.parent.clone(), &item.name, Some(content));
        let version = self.remote.get(&copy).unwrap().file.clone().unwrap().version;
        // The local file is the copy from now on, and has the name that the other one shall have.
        self.synced.remove(&id);
        self.agree(copy, item.parent, item.name, &entry, Some(version));
    }

    fn download(&mut self, download: Download) {
        let content = self.stored[&download.file.checksum];
        let entry = Entry { number: self.number(), content: Some(content) };
        match (self.disk.get(&download.path), download.over) {
            (Some(old), Some(over)) => {
                assert_eq!(self.stamp(old), over);
                assert!(
                    self.stored.contains_key(&hash(old.content.unwrap())),
                    "{} is nowhere else",
                    download.path
                );
                self.disk.insert(download.path, entry.clone());
            }
            (None, None) => self.create(&download.path, entry.clone()),
            other => panic!("{}: {other:?}", download.path),
        }
        let item = self.remote.get(&download.id).unwrap().clone();
        let place = match self.synced.get(&item.id) {
            Some(base) if download.over.is_some() => (base.parent.clone(), base.name.clone()),
            _ => (item.parent, item.name),
        };
        self.agree(item.id, place.0, place.1, &entry, Some(download.file.version));
    }
}

fn parent(parent: &ParentRef, created: &BTreeMap<TreePath, ItemId>) -> Option<ItemId> {
    match parent {
        ParentRef::Root => None,
        ParentRef::Id(id) => Some(id.clone()),
        ParentRef::Created(path) => Some(created[path].clone()),
    }
}
