//! Which local file or directory is which item.

use std::collections::{BTreeMap, BTreeSet};

use super::{Situation, Verdict};
use crate::model::{ItemId, Kind, Sha256Hash, fold};
use crate::trees::{Content, FileKey, LocalKind, LocalNode, LocalTree, Placed, SyncedItem, Tree};

/// What belongs together.
pub(super) struct Bound {
    /// The item that each local entry is; nothing for what is new or not synced.
    pub(super) item_of: Vec<Option<ItemId>>,
    /// Items that were agreed on and are not seen, but may well be there: nothing may be concluded from that.
    pub(super) hidden: BTreeSet<ItemId>,
    /// Items that were agreed on at places that are left out by now.
    pub(super) left_out: BTreeSet<ItemId>,
}

/// Finds out what belongs together.
pub(super) fn bind(situation: &Situation<'_>) -> Bound {
    let mut binder = Binder::new(situation);
    binder.by_place(0);
    binder.folders_by_key();
    binder.files_by_key();
    binder.files_by_content();
    let (hidden, left_out) = binder.unseen();
    binder.adopt(&hidden);
    Bound { item_of: binder.item_of, hidden, left_out }
}

/// Returns what an entry is, if it can be synced.
pub(super) fn kind_of(node: &LocalNode) -> Option<Kind> {
    match node.kind {
        LocalKind::Folder { .. } => Some(Kind::Folder),
        LocalKind::File { .. } => Some(Kind::File),
        LocalKind::Other { .. } => None,
    }
}

struct Binder<'a> {
    situation: &'a Situation<'a>,
    synced: &'a Tree<SyncedItem>,
    local: &'a LocalTree,
    item_of: Vec<Option<ItemId>>,
    entry_of: BTreeMap<ItemId, usize>,
}

impl<'a> Binder<'a> {
    fn new(situation: &'a Situation<'a>) -> Self {
        Self {
            situation,
            synced: situation.synced,
            local: situation.local,
            item_of: vec![None; situation.local.nodes().len()],
            entry_of: BTreeMap::new(),
        }
    }

    fn node(&self, number: usize) -> &'a LocalNode {
        &self.local.nodes()[number]
    }

    fn bind(&mut self, number: usize, id: &ItemId) {
        self.item_of[number] = Some(id.clone());
        self.entry_of.insert(id.clone(), number);
    }

    fn is_free(&self, number: usize, kind: Kind) -> bool {
        number != 0 && self.item_of[number].is_none() && kind_of(self.node(number)) == Some(kind)
    }

    /// Returns what a directory holds, those first whose names are as the server has them.
    fn entries(&self, folder: usize) -> Vec<usize> {
        let mut entries = self.node(folder).children.clone();
        entries.sort_by_key(|entry| self.node(*entry).agreed_name() != self.node(*entry).name);
        entries
    }

    /// Binds what lies where it was agreed to lie, in a directory that is bound and all below.
    ///
    /// The place comes before the number: programs save files by renaming new ones over old ones, and people mean
    /// the same document then.
    fn by_place(&mut self, folder: usize) {
        let mut open = vec![folder];
        while let Some(folder) = open.pop() {
            let synced = self.synced.children(self.item_of[folder].as_ref());
            let agreed: BTreeMap<(&str, Kind), &ItemId> =
                synced.map(|item| ((item.name(), item.kind()), item.id())).collect();
            for entry in self.entries(folder) {
                let Some(kind) = kind_of(self.node(entry)) else { continue };
                let name = self.node(entry).agreed_name();
                let Some(id) = agreed.get(&(name.as_str(), kind)) else { continue };
                if self.item_of[entry].is_none() && !self.entry_of.contains_key(*id) {
                    self.bind(entry, id);
                    if kind == Kind::Folder {
                        open.push(entry);
                    }
                }
            }
        }
    }

    /// Returns what is still missing, by number; where the file system has none there is nothing to go by.
    fn missing_by_key(&self, kind: Kind) -> BTreeMap<FileKey, &'a SyncedItem> {
        let known = self.missing(kind).filter(|item| item.stamp.key != FileKey::default());
        known.map(|item| (item.stamp.key, item)).collect()
    }

    fn missing(&self, kind: Kind) -> impl Iterator<Item = &'a SyncedItem> {
        self.synced.iter().filter(move |item| item.kind() == kind && !self.entry_of.contains_key(&item.id))
    }

    /// Binds directories that were moved or renamed, and what lies in them.
    fn folders_by_key(&mut self) {
        let missing = self.missing_by_key(Kind::Folder);
        for number in 0..self.item_of.len() {
            let Some(item) = missing.get(&self.node(number).stamp.key) else { continue };
            let is_free = self.is_free(number, Kind::Folder) && !self.entry_of.contains_key(&item.id);
            if is_free && self.is_same_folder(number, item) {
                self.bind(number, &item.id);
                self.by_place(number);
            }
        }
    }

    /// Tells whether a number that was given again can be ruled out.
    fn is_same_folder(&self, number: usize, item: &SyncedItem) -> bool {
        let names: BTreeSet<&str> = self.synced.children(Some(&item.id)).map(Placed::name).collect();
        let entries = &self.node(number).children;
        item.stamp.key.born.is_some()
            || (names.is_empty() && entries.is_empty())
            || entries.iter().any(|entry| names.contains(self.node(*entry).agreed_name().as_str()))
    }

    /// Binds files that were moved or renamed, edited or not.
    fn files_by_key(&mut self) {
        let missing = self.missing_by_key(Kind::File);
        for number in 0..self.item_of.len() {
            let node = self.node(number);
            let Some(item) = missing.get(&node.stamp.key).filter(|_| self.is_free(number, Kind::File)) else {
                continue;
            };
            let is_same = item.stamp.key.born.is_some()
                || hash_of(node)
                    .is_some_and(|hash| Some(hash) == item.file.as_ref().map(|file| file.checksum));
            if is_same && !self.entry_of.contains_key(&item.id) {
                self.bind(number, &item.id);
            }
        }
    }

    /// Binds files that were moved by copying, where it is clear which.
    fn files_by_content(&mut self) {
        let mut missing: BTreeMap<Sha256Hash, Vec<&SyncedItem>> = BTreeMap::new();
        for item in self.missing(Kind::File).filter(|item| item.stamp.size > 0) {
            let Some(file) = &item.file else { continue };
            missing.entry(file.checksum).or_default().push(item);
        }
        let mut found: BTreeMap<Sha256Hash, Vec<usize>> = BTreeMap::new();
        for number in (0..self.item_of.len()).filter(|number| self.is_free(*number, Kind::File)) {
            let Some(hash) = hash_of(self.node(number)).filter(|hash| missing.contains_key(hash)) else {
                continue;
            };
            found.entry(hash).or_default().push(number);
        }
        for (hash, numbers) in found {
            if let ([number], [item]) = (numbers.as_slice(), missing[&hash].as_slice()) {
                self.bind(*number, &item.id);
            }
        }
    }

    /// Returns the items that are not seen, but may be there: below what could not be read, and left out by now.
    fn unseen(&self) -> (BTreeSet<ItemId>, BTreeSet<ItemId>) {
        let (mut hidden, mut left_out) = (BTreeSet::new(), BTreeSet::new());
        for item in self.synced.walk().into_iter().filter(|item| !self.entry_of.contains_key(&item.id)) {
            let folder = match &item.parent {
                None => Some(0),
                Some(parent) => self.entry_of.get(parent).copied(),
            };
            let is_below = |set: &BTreeSet<ItemId>| {
                folder.is_none() && item.parent.as_ref().is_some_and(|parent| set.contains(parent))
            };
            let path = self.synced.path(&item.id);
            let is_left_out =
                path.is_some_and(|path| self.situation.ignore.verdict(&path, item.kind()) != Verdict::Synced);
            if is_left_out || is_below(&left_out) {
                left_out.insert(item.id.clone());
            } else if is_below(&hidden) || folder.is_some_and(|folder| self.hides(folder, item.name())) {
                hidden.insert(item.id.clone());
            }
        }
        (hidden, left_out)
    }

    /// Tells whether a directory may hold something of this name although it was not seen.
    fn hides(&self, folder: usize, name: &str) -> bool {
        let node = self.node(folder);
        let is_in_the_way =
            |entry: &usize| kind_of(self.node(*entry)).is_none() && self.node(*entry).agreed_name() == name;
        node.kind == LocalKind::Folder { is_complete: false } || node.children.iter().any(is_in_the_way)
    }

    /// Binds new local things to things of the server at the same place, where they are the same.
    fn adopt(&mut self, hidden: &BTreeSet<ItemId>) {
        let remote = self.situation.remote;
        for folder in 0..self.item_of.len() {
            let is_bound = folder == 0 || self.item_of[folder].is_some();
            if !is_bound || kind_of(self.node(folder)) != Some(Kind::Folder) {
                continue;
            }
            let there = remote.children(self.item_of[folder].as_ref());
            let there: BTreeMap<String, _> = there.map(|item| (fold(item.name()), item)).collect();
            for entry in self.entries(folder) {
                let Some(item) = there.get(&fold(&self.node(entry).name)) else { continue };
                let is_free = self.item_of[entry].is_none()
                    && !self.entry_of.contains_key(&item.id)
                    && !hidden.contains(&item.id);
                let is_same = match &item.file {
                    None => self.is_free(entry, Kind::Folder),
                    Some(file) => hash_of(self.node(entry)) == Some(file.checksum),
                };
                if is_free && is_same {
                    self.bind(entry, &item.id);
                }
            }
        }
    }
}

/// Returns the hash of a file's content, where it is known.
fn hash_of(node: &LocalNode) -> Option<Sha256Hash> {
    match &node.kind {
        LocalKind::File { content } => Content::hash(content),
        _ => None,
    }
}
