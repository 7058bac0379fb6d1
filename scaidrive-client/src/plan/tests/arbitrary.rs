//! Plans for worlds that nobody could have brought about: three trees that need not have anything to do with each other.
//!
//! A log that lost its end, a directory that was restored from somewhere, a server that came back from a backup: what is
//! remembered may be wrong in any way. The plan must come to an end and lose nothing all the same.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::world::{Entry, World, hash};
use super::{NAMES, pick};
use crate::model::{ItemId, TreePath, VersionId};
use crate::trees::{RemoteItem, SyncedFile, SyncedItem};

/// Something at a place, in some tree: which item or number, in which folder, under which name, with which content.
type Seed = (usize, usize, usize, u32);

fn seeds() -> impl Strategy<Value = Vec<Seed>> {
    prop::collection::vec((0..12usize, 0..12usize, 0..NAMES.len(), 0..4u32), 0..14)
}

/// Returns an item's id. Even ones are folders, in every tree: an id never changes what it stands for.
fn id(which: usize) -> ItemId {
    ItemId::new(format!("i{which:04}"))
}

fn is_folder(which: usize) -> bool {
    which.is_multiple_of(2)
}

/// Returns the folder that an item lies in: some folder of these, or the root.
fn parent(folders: &[usize], which: usize) -> Option<ItemId> {
    let folder = pick(folders, which).filter(|_| !which.is_multiple_of(3));
    folder.map(id)
}

impl World {
    /// Makes a world of unrelated trees.
    fn of(remote: &[Seed], synced: &[Seed], disk: &[Seed], has_births: bool) -> Self {
        let mut world = Self::new(has_births);
        // Numbers that nothing made here will be given.
        for _ in 0..100 {
            world.number();
        }
        for seed in remote {
            world.seed_remote(*seed);
        }
        for seed in synced {
            world.seed_synced(*seed);
        }
        for seed in disk {
            world.seed_disk(*seed);
        }
        world
    }

    fn seed_remote(&mut self, (which, place, name, content): Seed) {
        let folders: Vec<usize> =
            (0..12).filter(|which| is_folder(*which) && self.remote.get(&id(*which)).is_some()).collect();
        let (parent, name) = (parent(&folders, place), NAMES[name]);
        if self.remote.get(&id(which)).is_none() && self.child(parent.as_ref(), name).is_none() {
            let file = (!is_folder(which)).then(|| self.version(content));
            self.remote.insert(RemoteItem { id: id(which), parent, name: name.to_owned(), file });
        }
    }

    /// Remembers something: it may be what the server has, an older version of it, or nothing that anybody has.
    fn seed_synced(&mut self, (which, place, name, content): Seed) {
        let folders: Vec<usize> = (0..12).filter(|which| is_folder(*which)).collect();
        let there = self.remote.get(&id(which)).cloned();
        let entry = Entry { number: which as u64, content: (!is_folder(which)).then_some(content) };
        let file = (!is_folder(which)).then(|| {
            self.stored.insert(hash(content), content);
            let current = there.as_ref().and_then(|item| item.file.clone());
            let version = match current.filter(|current| current.checksum == hash(content)) {
                Some(current) => current.version,
                None => VersionId::new(format!("old{which}")),
            };
            SyncedFile { version, checksum: hash(content), is_settled: true }
        });
        let (parent, name) = match there.filter(|_| place.is_multiple_of(2)) {
            Some(there) => (there.parent, there.name),
            None => (parent(&folders, place), NAMES[name].to_owned()),
        };
        let stamp = self.stamp(&entry);
        self.synced.insert(SyncedItem { id: id(which), parent, name, stamp, file });
    }

    fn seed_disk(&mut self, (which, place, name, content): Seed) {
        let mut folders: Vec<TreePath> = self
            .disk
            .iter()
            .filter(|(_, entry)| entry.content.is_none())
            .map(|(path, _)| path.clone())
            .collect();
        folders.push(TreePath::root());
        let path = pick(&folders, place).unwrap_or_default().join(NAMES[name]);
        let numbers: BTreeSet<u64> = self.disk.values().map(|entry| entry.number).collect();
        if !self.disk.contains_key(&path) && !numbers.contains(&(which as u64)) {
            let content = (!is_folder(which)).then_some(content);
            self.create(&path, Entry { number: which as u64, content });
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_whatever_was_remembered(
        remote in seeds(), synced in seeds(), disk in seeds(), has_births: bool,
    ) {
        let mut world = World::of(&remote, &synced, &disk, has_births);
        let contents: Vec<_> = world.here().into_values().flatten().collect();
        let left = world.settle();
        if left.notes.is_empty() {
            prop_assert_eq!(world.here(), world.there());
        }
        for content in contents {
            prop_assert!(
                world.stored.contains_key(&content) || world.here().values().any(|here| *here == Some(content))
            );
        }
    }
}
