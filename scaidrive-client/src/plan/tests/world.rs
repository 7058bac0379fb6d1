//! A directory, a share and what they agreed on, as plain values.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Ignore, Naming, Plan, Signature, Situation, Verdict, plan};
use crate::model::{Kind, Sha256Hash, TreePath};
use crate::trees::{Content, FileKey, LocalKind, LocalTree, RemoteItem, Stamp, SyncedItem, Tree};

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) number: u64,
    /// The content; nothing for a directory.
    pub(super) content: Option<u32>,
}

pub(super) struct Nothing;

impl Ignore for Nothing {
    fn verdict(&self, path: &TreePath, _kind: Kind) -> Verdict {
        match path.name() {
            Some("ignored") => Verdict::LeftOut,
            Some("junk") => Verdict::Junk,
            _ => Verdict::Synced,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) remote: Tree<RemoteItem>,
    pub(super) synced: Tree<SyncedItem>,
    pub(super) disk: BTreeMap<TreePath, Entry>,
    /// Whether the file system tells when a file came to be.
    pub(super) has_births: bool,
    /// Files that cannot be read just now.
    pub(super) busy: BTreeSet<u64>,
    /// Directories that cannot be listed just now.
    pub(super) closed: BTreeSet<u64>,
    /// Steps that fail whenever they are tried.
    pub(super) refused: BTreeSet<Signature>,
    /// All contents that the server was ever given.
    pub(super) stored: BTreeMap<Sha256Hash, u32>,
    naming: Naming,
    next: u64,
}

pub(super) fn hash(content: u32) -> Sha256Hash {
    Sha256Hash::of(&content.to_le_bytes())
}

impl World {
    pub(super) fn new(has_births: bool) -> Self {
        let marker = " (conflict, laptop, 2026-11-23)".to_owned();
        Self {
            remote: Tree::default(),
            synced: Tree::default(),
            disk: BTreeMap::new(),
            has_births,
            busy: BTreeSet::new(),
            closed: BTreeSet::new(),
            refused: BTreeSet::new(),
            stored: BTreeMap::new(),
            naming: Naming { is_case_sensitive: true, is_windows: false, marker },
            next: 1,
        }
    }

    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn stamp(&self, entry: &Entry) -> Stamp {
        let born = self.has_births.then_some(entry.number as i64);
        // Without births numbers are given again and again.
        let number = if self.has_births { entry.number } else { entry.number % 5 };
        let key = FileKey { number, born };
        match entry.content {
            Some(content) => {
                Stamp { key, size: 4, modified: i64::from(content), changed: i64::from(content) }
            }
            None => Stamp { key, ..Stamp::default() },
        }
    }

    /// Returns what a scanner would see.
    pub(super) fn scan(&self) -> LocalTree {
        let mut tree = LocalTree::empty(true);
        let mut numbers = BTreeMap::from([(TreePath::root(), 0)]);
        // Paths sort below their folders, and siblings by name.
        for (path, entry) in &self.disk {
            let Some(parent) = path.parent().and_then(|parent| numbers.get(&parent).copied()) else {
                continue;
            };
            let is_closed = self.closed.contains(&entry.number);
            let is_settled = true;
            let kind = match entry.content {
                _ if path.name() == Some("ignored") => LocalKind::Other { is_junk: false },
                _ if path.name() == Some("junk") => LocalKind::Other { is_junk: true },
                None => LocalKind::Folder { is_complete: !is_closed },
                Some(_) if self.busy.contains(&entry.number) => LocalKind::File { content: Content::Unknown },
                Some(content) => {
                    LocalKind::File { content: Content::Known { hash: hash(content), is_settled } }
                }
            };
            let is_open = matches!(kind, LocalKind::Folder { .. }) && !is_closed;
            let name = path.name().unwrap_or_default();
            let number = tree.add(parent, name, kind, self.stamp(entry));
            if is_open {
                numbers.insert(path.clone(), number);
            }
        }
        tree
    }

    pub(super) fn plan(&self) -> Plan {
        let local = self.scan();
        let situation = Situation {
            remote: &self.remote,
            synced: &self.synced,
            local: &local,
            ignore: &Nothing,
            naming: &self.naming,
            held: &self.refused,
        };
        plan(&situation)
    }

    /// Returns what is on the server, by path, apart from what is left out.
    pub(super) fn there(&self) -> BTreeMap<TreePath, Option<Sha256Hash>> {
        let content = |item: &RemoteItem| item.file.as_ref().map(|file| file.checksum);
        let all = self.remote.walk().into_iter();
        let all = all.map(|item| (self.remote.path(&item.id).unwrap(), content(item)));
        all.filter(|(path, _)| path.names().iter().all(|name| name != "ignored" && name != "junk")).collect()
    }

    /// Returns what is here, by path, apart from what is left out.
    pub(super) fn here(&self) -> BTreeMap<TreePath, Option<Sha256Hash>> {
        let all = self.disk.iter().map(|(path, entry)| (path.clone(), entry.content.map(hash)));
        all.filter(|(path, _)| path.names().iter().all(|name| name != "ignored" && name != "junk")).collect()
    }
}
