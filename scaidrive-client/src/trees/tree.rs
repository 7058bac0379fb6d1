//! Items by id, each knowing its folder.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{ItemId, Kind, TreePath};

/// Something with an id and a place.
pub trait Placed {
    /// Returns its id.
    fn id(&self) -> &ItemId;
    /// Returns the folder that holds it; nothing for the root.
    fn parent(&self) -> Option<&ItemId>;
    /// Returns its name.
    fn name(&self) -> &str;
    /// Returns what it is.
    fn kind(&self) -> Kind;
}

/// Items by id. An item may come before the folder that holds it: it is not reachable then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree<T> {
    items: BTreeMap<ItemId, T>,
    children: BTreeMap<Option<ItemId>, BTreeSet<ItemId>>,
}

impl<T> Default for Tree<T> {
    fn default() -> Self {
        Self { items: BTreeMap::new(), children: BTreeMap::new() }
    }
}

impl<T: Placed> Tree<T> {
    /// Returns how many items there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Tells whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Returns an item.
    pub fn get(&self, id: &ItemId) -> Option<&T> {
        self.items.get(id)
    }

    /// Returns all items, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.values()
    }

    /// Returns what a folder, or with nothing the root, holds, in the order of ids.
    pub fn children(&self, parent: Option<&ItemId>) -> impl Iterator<Item = &T> {
        let ids = self.children.get(&parent.cloned());
        ids.into_iter().flatten().filter_map(|id| self.items.get(id))
    }

    /// Puts an item at its place, wherever it was before.
    pub fn insert(&mut self, item: T) {
        let id = item.id().clone();
        self.unlink(&id);
        self.children.entry(item.parent().cloned()).or_default().insert(id.clone());
        self.items.insert(id, item);
    }

    /// Removes an item and all it holds, also where the folder itself is not known; returns the ids.
    pub fn remove_all(&mut self, id: &ItemId) -> Vec<ItemId> {
        let (mut removed, mut open) = (Vec::new(), vec![id.clone()]);
        while let Some(id) = open.pop() {
            self.unlink(&id);
            open.extend(self.children.remove(&Some(id.clone())).into_iter().flatten());
            if self.items.remove(&id).is_some() {
                removed.push(id);
            }
        }
        removed
    }

    /// Removes an item and leaves what it holds where it is.
    pub fn remove(&mut self, id: &ItemId) -> Option<T> {
        self.unlink(id);
        self.items.remove(id)
    }

    fn unlink(&mut self, id: &ItemId) {
        let Some(parent) = self.items.get(id).map(|item| item.parent().cloned()) else { return };
        if let Some(siblings) = self.children.get_mut(&parent) {
            siblings.remove(id);
            if siblings.is_empty() {
                self.children.remove(&parent);
            }
        }
    }

    /// Returns every item that can be reached from the root, each after its folder.
    pub fn walk(&self) -> Vec<&T> {
        let mut found: Vec<&T> = self.children(None).collect();
        let mut next = 0;
        while let Some(id) = found.get(next).map(|item| item.id().clone()) {
            found.extend(self.children(Some(&id)));
            next += 1;
        }
        found
    }

    /// Returns what cannot be reached from the root.
    pub fn unreachable(&self) -> Vec<ItemId> {
        let reached: BTreeSet<&ItemId> = self.walk().into_iter().map(Placed::id).collect();
        let lost = self.items.keys().filter(|id| !reached.contains(id));
        if reached.len() == self.items.len() { Vec::new() } else { lost.cloned().collect() }
    }

    /// Returns an item's path, if it can be reached from the root.
    pub fn path(&self, id: &ItemId) -> Option<TreePath> {
        let mut names = Vec::new();
        let mut next = Some(id);
        while let Some(id) = next {
            let item = self.items.get(id).filter(|_| names.len() <= self.items.len())?;
            names.push(item.name().to_owned());
            next = item.parent();
        }
        names.reverse();
        Some(TreePath::new(names))
    }
}

impl<T: Placed> FromIterator<T> for Tree<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut tree = Self::default();
        items.into_iter().for_each(|item| tree.insert(item));
        tree
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trees::RemoteItem;

    fn folder(id: &str, parent: Option<&str>) -> RemoteItem {
        RemoteItem { id: ItemId::new(id), parent: parent.map(ItemId::new), name: id.to_owned(), file: None }
    }

    #[test]
    fn what_a_folder_held_goes_with_it_even_if_the_folder_was_never_seen() {
        let mut tree: Tree<RemoteItem> =
            [folder("a", None), folder("b", Some("ghost")), folder("c", Some("b"))].into_iter().collect();
        let mut gone = tree.remove_all(&ItemId::new("ghost"));
        gone.sort();
        assert_eq!(gone, [ItemId::new("b"), ItemId::new("c")]);
        assert_eq!(tree.len(), 1);
    }

    #[test]
    fn an_item_has_one_place() {
        let mut tree: Tree<RemoteItem> = [folder("a", None), folder("b", Some("a"))].into_iter().collect();
        assert_eq!(tree.path(&ItemId::new("b")), Some("a/b".into()));
        tree.insert(folder("b", None));
        assert_eq!(tree.children(Some(&ItemId::new("a"))).count(), 0);
        assert_eq!(tree.path(&ItemId::new("b")), Some("b".into()));
    }

    #[test]
    fn loops_are_unreachable() {
        let tree: Tree<RemoteItem> =
            [folder("a", Some("b")), folder("b", Some("a")), folder("c", None)].into_iter().collect();
        assert_eq!(tree.path(&ItemId::new("a")), None);
        assert_eq!(tree.unreachable(), [ItemId::new("a"), ItemId::new("b")]);
        assert_eq!(tree.walk().len(), 1);
    }
}
