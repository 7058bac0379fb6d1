//! Every item once, with what the three trees say of it and where it shall end.

use std::collections::BTreeMap;

use super::bind::{Bound, kind_of};
use super::{Note, Situation, Verdict};
use crate::model::{ItemId, Kind, Sha256Hash, TreePath};
use crate::trees::{LocalKind, LocalNode, LocalTree, Placed, RemoteItem, SyncedItem};

/// Whether an item shall be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// On both sides.
    Keep,
    /// On neither.
    Drop,
    /// Too little is known: everything stays as it is.
    Frozen,
}

/// Which way content goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transfer {
    /// It is the same, or nothing is known of it.
    Nothing,
    /// The local content is new.
    Up,
    /// The server's content is new.
    Down,
}

/// An item: what is known of it, and what is decided.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) id: Option<&'a ItemId>,
    pub(super) kind: Kind,
    pub(super) base: Option<&'a SyncedItem>,
    pub(super) remote: Option<&'a RemoteItem>,
    pub(super) local: Option<usize>,
    pub(super) base_parent: Option<usize>,
    pub(super) remote_parent: Option<usize>,
    pub(super) local_parent: Option<usize>,
    /// Whether it is not seen, but may be there.
    pub(super) is_unknown: bool,
    /// Where it shall be.
    pub(super) parent: usize,
    /// What it shall be called.
    pub(super) name: String,
    pub(super) fate: Fate,
    pub(super) transfer: Transfer,
    /// Whether the place it shall have is another one's by now: the server says what becomes of both.
    pub(super) is_contested: bool,
    /// Whether it cannot have the place it shall have, so that it stays on both sides where it is.
    pub(super) is_stuck: bool,
}

/// Something on the server that is not synced.
pub(super) struct LeftOut<'a> {
    /// The folder that holds it.
    pub(super) folder: usize,
    pub(super) name: &'a str,
    /// Whether it goes with its folder.
    pub(super) is_junk: bool,
}

/// All items; the first is the root.
pub(super) struct Graph<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) local: &'a LocalTree,
    /// What is left out on the server.
    pub(super) left_out: Vec<LeftOut<'a>>,
    pub(super) notes: Vec<Note>,
    by_id: BTreeMap<&'a ItemId, usize>,
    of_entry: Vec<Option<usize>>,
}

impl<'a> Graph<'a> {
    /// Puts together what is known.
    pub(super) fn build(situation: &Situation<'a>, bound: &'a Bound) -> Self {
        let mut graph = Self {
            nodes: vec![Node::new(None, Kind::Folder)],
            local: situation.local,
            left_out: Vec::new(),
            notes: Vec::new(),
            by_id: BTreeMap::new(),
            of_entry: vec![None; situation.local.nodes().len()],
        };
        graph.nodes[0].local = Some(0);
        graph.of_entry[0] = Some(0);
        graph.add_remote(situation);
        for item in situation.synced.iter() {
            let node = graph.node_of(&item.id, item.kind());
            let is_left_out = bound.left_out.contains(&item.id);
            // What is left out here and was moved on the server to where it is not is as good as new.
            if is_left_out && graph.nodes[node].remote.is_some() {
                continue;
            }
            graph.nodes[node].base = Some(item);
            graph.nodes[node].is_unknown = is_left_out || bound.hidden.contains(&item.id);
        }
        graph.add_local(&bound.item_of);
        graph.link();
        graph
    }

    /// Adds what the server has; what is left out stays in the way of other names.
    fn add_remote(&mut self, situation: &Situation<'a>) {
        let mut paths: BTreeMap<&ItemId, (usize, TreePath)> = BTreeMap::new();
        for item in situation.remote.walk() {
            let above = match &item.parent {
                None => Some((0, TreePath::root())),
                Some(parent) => paths.get(parent).cloned(),
            };
            let Some((parent, above)) = above else { continue };
            let path = above.join(&item.name);
            let fault = situation.naming.fault(&item.name);
            if let Some(reason) = fault {
                self.notes.push(Note { path: path.clone(), reason: reason.to_owned() });
            }
            let verdict = situation.ignore.verdict(&path, item.kind());
            if fault.is_some() || verdict != Verdict::Synced {
                let is_junk = verdict == Verdict::Junk;
                self.left_out.push(LeftOut { folder: parent, name: &item.name, is_junk });
                continue;
            }
            let node = self.node_of(&item.id, item.kind());
            self.nodes[node].remote = Some(item);
            self.nodes[node].remote_parent = Some(parent);
            if item.kind() == Kind::Folder {
                paths.insert(&item.id, (node, path));
            }
        }
    }

    fn add_local(&mut self, item_of: &'a [Option<ItemId>]) {
        for (number, entry) in self.local.nodes().iter().enumerate().skip(1) {
            let Some(kind) = kind_of(entry) else { continue };
            let node = match &item_of[number] {
                Some(id) => self.node_of(id, kind),
                None => self.push(Node::new(None, kind)),
            };
            self.nodes[node].local = Some(number);
            self.of_entry[number] = Some(node);
        }
    }

    fn node_of(&mut self, id: &'a ItemId, kind: Kind) -> usize {
        if let Some(known) = self.by_id.get(id) {
            return *known;
        }
        let node = self.push(Node::new(Some(id), kind));
        self.by_id.insert(id, node);
        node
    }

    fn push(&mut self, node: Node<'a>) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn link(&mut self) {
        for number in 1..self.nodes.len() {
            let local =
                self.nodes[number].local.and_then(|entry| self.of_entry[self.local.nodes()[entry].parent]);
            let base = self.nodes[number].base.map(|base| match &base.parent {
                None => Some(0),
                Some(parent) => self.by_id.get(parent).copied(),
            });
            self.nodes[number].local_parent = local;
            self.nodes[number].base_parent = base.flatten();
        }
    }

    /// Returns the entry of the directory that a node is.
    pub(super) fn entry(&self, node: usize) -> Option<&'a LocalNode> {
        self.nodes[node].local.map(|entry| &self.local.nodes()[entry])
    }

    /// Returns the hash of what a file holds here, where it is known.
    pub(super) fn local_hash(&self, node: usize) -> Option<Sha256Hash> {
        match &self.entry(node)?.kind {
            LocalKind::File { content } => content.hash(),
            _ => None,
        }
    }

    /// Tells whether a directory holds something that is not synced and that nobody may remove.
    pub(super) fn holds_strangers(&self, node: usize) -> bool {
        let is_stranger =
            |entry: &usize| self.local.nodes()[*entry].kind == LocalKind::Other { is_junk: false };
        self.entry(node).is_some_and(|entry| entry.children.iter().any(is_stranger))
    }

    /// Tells whether a directory may hold more than was seen: nothing is put into it then.
    pub(super) fn may_hold_more(&self, node: usize) -> bool {
        self.entry(node).is_some_and(|entry| entry.kind == LocalKind::Folder { is_complete: false })
    }

    /// Returns the path that people know a node by.
    pub(super) fn shown_path(&self, node: usize) -> TreePath {
        if let Some(entry) = self.nodes[node].local {
            return self.local.path(entry);
        }
        self.wanted_path(node)
    }

    /// Returns the folders that a node shall be in, the closest first, without the root.
    pub(super) fn above(&self, node: usize) -> Vec<usize> {
        let (mut above, mut next) = (Vec::new(), self.nodes[node].parent);
        while next != 0 && next != node && !above.contains(&next) {
            above.push(next);
            next = self.nodes[next].parent;
        }
        above
    }

    /// Returns the path that a node shall have.
    pub(super) fn wanted_path(&self, node: usize) -> TreePath {
        let names = self.above(node).into_iter().rev().chain([node]);
        TreePath::new(names.map(|node| self.nodes[node].name.clone()).collect())
    }

    /// Tells people why something cannot be synced as it is.
    pub(super) fn note(&mut self, node: usize, reason: &str) {
        let path = self.shown_path(node);
        self.notes.push(Note { path, reason: reason.to_owned() });
    }
}

impl<'a> Node<'a> {
    fn new(id: Option<&'a ItemId>, kind: Kind) -> Self {
        Self {
            id,
            kind,
            base: None,
            remote: None,
            local: None,
            base_parent: None,
            remote_parent: None,
            local_parent: None,
            is_unknown: false,
            parent: 0,
            name: String::new(),
            fate: Fate::Keep,
            transfer: Transfer::Nothing,
            is_contested: false,
            is_stuck: false,
        }
    }

    /// Tells whether the server does not have it (any more).
    pub(super) fn is_new(&self) -> bool {
        self.remote.is_none() && self.local.is_some()
    }
}
