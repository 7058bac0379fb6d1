//! A tree of one side as it will be after the steps so far: who is where, and which names are free.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::TreePath;

/// What has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Holder {
    /// An item.
    Node(usize),
    /// Something that no step moves.
    Stranger(usize),
}

/// A tree of nodes by number; the root is number 0.
pub(super) struct VirtualTree {
    /// What two siblings may not have in common.
    key: fn(&str) -> String,
    places: BTreeMap<usize, (usize, String)>,
    holders: BTreeMap<(usize, String), Holder>,
    children: BTreeMap<usize, BTreeSet<Holder>>,
    strangers: usize,
}

impl VirtualTree {
    /// Returns a tree that holds nothing.
    pub(super) fn new(key: fn(&str) -> String) -> Self {
        Self {
            key,
            places: BTreeMap::new(),
            holders: BTreeMap::new(),
            children: BTreeMap::new(),
            strangers: 0,
        }
    }

    /// Puts a node at a place, wherever it was.
    pub(super) fn put(&mut self, node: usize, parent: usize, name: &str) {
        self.take(node);
        self.places.insert(node, (parent, name.to_owned()));
        self.hold(Holder::Node(node), parent, name);
    }

    /// Puts something at a place that no step moves.
    pub(super) fn put_stranger(&mut self, parent: usize, name: &str) {
        self.strangers += 1;
        self.hold(Holder::Stranger(self.strangers), parent, name);
    }

    fn hold(&mut self, holder: Holder, parent: usize, name: &str) {
        self.holders.insert((parent, (self.key)(name)), holder);
        self.children.entry(parent).or_default().insert(holder);
    }

    /// Takes a node out.
    pub(super) fn take(&mut self, node: usize) {
        let Some((parent, name)) = self.places.remove(&node) else { return };
        let slot = (parent, (self.key)(&name));
        if self.holders.get(&slot) == Some(&Holder::Node(node)) {
            self.holders.remove(&slot);
        }
        if let Some(children) = self.children.get_mut(&parent) {
            children.remove(&Holder::Node(node));
        }
    }

    /// Tells whether a node is in the tree.
    pub(super) fn has(&self, node: usize) -> bool {
        node == 0 || self.places.contains_key(&node)
    }

    /// Returns the place of a node.
    pub(super) fn place(&self, node: usize) -> Option<(usize, &str)> {
        self.places.get(&node).map(|(parent, name)| (*parent, name.as_str()))
    }

    /// Returns what has a name.
    pub(super) fn holder(&self, parent: usize, name: &str) -> Option<Holder> {
        self.holders.get(&(parent, (self.key)(name))).copied()
    }

    /// Tells whether a node may take a name: nobody has it, or the node itself.
    pub(super) fn is_free_for(&self, node: usize, parent: usize, name: &str) -> bool {
        self.holder(parent, name).is_none_or(|holder| holder == Holder::Node(node))
    }

    /// Returns what a folder holds.
    pub(super) fn children(&self, node: usize) -> impl Iterator<Item = Holder> {
        self.children.get(&node).into_iter().flatten().copied()
    }

    /// Tells whether a node is another one or lies somewhere below it.
    pub(super) fn is_within(&self, node: usize, above: usize) -> bool {
        let mut next = node;
        loop {
            if next == above {
                return true;
            }
            match self.places.get(&next) {
                Some((parent, _)) => next = *parent,
                None => return false,
            }
        }
    }

    /// Returns a node's path.
    pub(super) fn path(&self, node: usize) -> TreePath {
        let (mut names, mut next) = (Vec::new(), node);
        while let Some((parent, name)) = self.places.get(&next) {
            names.push(name.clone());
            next = *parent;
        }
        names.reverse();
        TreePath::new(names)
    }
}
