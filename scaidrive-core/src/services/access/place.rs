//! A place that can hold nodes.

use std::collections::HashMap;

use super::{Eyes, Located, Standpoint, judge};
use crate::model::acl::{Inherited, Level};
use crate::model::{Caller, Error, Node, NodeId, ParentId, Result, Right, Share, SharePath};

/// A place that can hold nodes: a folder or a share's root.
#[derive(Clone, Debug)]
pub struct Place {
    /// The share.
    pub share: Share,
    /// The folder; nothing for the root.
    folder: Option<Located>,
    standpoint: Standpoint,
}

impl Place {
    pub(super) fn root(share: Share, standpoint: Standpoint) -> Self {
        Self { share, folder: None, standpoint }
    }

    /// Returns the place that a folder is.
    pub(in crate::services) fn folder(folder: Located) -> Self {
        Self { share: folder.share.clone(), standpoint: folder.standpoint.clone(), folder: Some(folder) }
    }

    /// Returns what its children name as parent.
    pub fn id(&self) -> ParentId {
        let folder = self.folder.as_ref().and_then(|folder| folder.node().id.as_folder());
        folder.map_or(ParentId::Root(self.share.id), ParentId::Folder)
    }

    /// Returns the folder and what lies above it, nearest first; nothing for the root.
    pub fn chain(&self) -> &[Node] {
        self.folder.as_ref().map(|folder| folder.chain.as_slice()).unwrap_or_default()
    }

    /// Returns the path of a child of that name.
    pub fn path_of(&self, name: &str) -> String {
        format!("{}/{name}", self.folder.as_ref().map(Located::path).unwrap_or_default())
    }

    /// Returns the path of a child of that name as the caller may see it.
    pub fn shown_path_of(&self, name: &str) -> String {
        format!("{}/{name}", self.folder.as_ref().map(Located::shown_path).unwrap_or_default())
    }

    /// Returns the place's own path as the caller may see it.
    pub fn shown_path(&self) -> String {
        self.folder.as_ref().map_or_else(|| "/".to_owned(), Located::shown_path)
    }

    /// Fails if a child of that name would lie too deep or have too long a path.
    pub fn check_limits(&self, name: &str) -> Result<()> {
        let depth = self.folder.as_ref().map_or(0, Located::depth) + 1;
        SharePath::check_limits(depth, self.path_of(name).len())
            .map_err(|message| Error::invalid("name", message, name))
    }

    /// Fails unless the caller has `right` on the place.
    pub(in crate::services) fn check(&self, caller: &Caller, right: Right) -> Result<()> {
        let rights = self.folder.as_ref().map_or(self.standpoint.root, |folder| folder.rights);
        judge(caller, rights, right, self.id())
    }

    /// Returns the place that a folder just made in this one is.
    #[must_use]
    pub fn with_child(&self, folder: &Node) -> Self {
        Self::folder(self.child(folder))
    }

    /// Returns where a node just made in this place lies: it has no entries of its own.
    #[must_use]
    pub fn child(&self, node: &Node) -> Located {
        let above = self.folder.as_ref().map(|above| above.chain.as_slice()).unwrap_or_default();
        let chain: Vec<Node> = std::iter::once(node).chain(above).cloned().collect();
        let below = self.below();
        let rights = self.standpoint.decide(below, &Level::default());
        let readable =
            self.folder.as_ref().map_or(usize::from(self.standpoint.root.has(Right::Read)), |f| f.readable);
        Located {
            chain,
            share: self.share.clone(),
            rights,
            readable: if rights.has(Right::Read) { readable + 1 } else { 0 },
            standpoint: self.standpoint.clone(),
            below,
        }
    }

    /// Tells whether the place is this folder or lies below it.
    pub fn is_within(&self, id: NodeId) -> bool {
        self.folder.as_ref().is_some_and(|folder| folder.is_within(id))
    }

    fn below(&self) -> Inherited {
        self.folder.as_ref().map_or(self.standpoint.below_root, |folder| folder.below)
    }

    /// Returns the eyes that look at what the place holds.
    pub fn eyes(&self) -> Eyes {
        Eyes {
            standpoint: self.standpoint.clone(),
            has_acl: self.share.has_acl,
            below: HashMap::from([(self.id(), self.below())]),
        }
    }
}
