//! A node with what lies above it, and what the caller may do to it.

use super::{Standpoint, judge, resource};
use crate::model::acl::Inherited;
use crate::model::{
    Caller, Error, FileInfo, FolderInfo, Node, NodeId, ParentId, Result, Right, Rights, Share, Timestamp,
};
use crate::ports::metadata::SeenEntry;

/// A node with what it takes to judge and show it: its ancestors, its share, and what the caller may do to it.
#[derive(Clone, Debug)]
pub struct Located {
    /// The node first, then its ancestors up to the share's root.
    pub(super) chain: Vec<Node>,
    /// The share that holds it.
    pub share: Share,
    /// What the caller may do to it.
    pub rights: Rights,
    /// How many of the chain, the node first, the caller may read without a gap; one more where that is all, and
    /// the share's root too.
    pub(super) readable: usize,
    pub(super) standpoint: Standpoint,
    /// What the node passes on, as the caller sees it.
    pub(super) below: Inherited,
}

impl Located {
    /// Judges a chain from the share's root down.
    pub(super) fn judged(standpoint: Standpoint, share: Share, nodes: Vec<(Node, Vec<SeenEntry>)>) -> Self {
        let reaches_root = nodes.last().is_some_and(|(top, _)| top.parent == ParentId::Root(share.id));
        let mut below = if reaches_root { standpoint.below_root } else { Inherited::severed() };
        let mut rights = standpoint.root;
        let mut readable = usize::from(reaches_root && rights.has(Right::Read));
        for (node, entries) in nodes.iter().rev() {
            let level = standpoint.level(entries, node.inherit_acl);
            rights = standpoint.decide(below, &level);
            readable = if rights.has(Right::Read) { readable + 1 } else { 0 };
            below = below.through(&level);
        }
        let chain = nodes.into_iter().map(|(node, _)| node).collect();
        Self { chain, share, rights, readable, standpoint, below }
    }

    /// Returns the node.
    pub fn node(&self) -> &Node {
        &self.chain[0]
    }

    /// Returns the share-relative path, for logs that only administrators and readers of all of it see.
    pub fn path(&self) -> String {
        self.chain.iter().rev().map(|node| format!("/{}", node.name)).collect()
    }

    /// Returns the path as the caller may see it: cut where a folder above is not for the caller to know.
    pub fn shown_path(&self) -> String {
        if self.is_listed() {
            return self.path();
        }
        let shown = self.readable.clamp(1, self.chain.len());
        let names: Vec<&str> = self.chain[..shown].iter().rev().map(|node| node.name.as_str()).collect();
        format!("…/{}", names.join("/"))
    }

    /// Returns what lies above it, nearest first.
    pub fn ancestors(&self) -> &[Node] {
        &self.chain[1..]
    }

    /// Tells whether the walk up ended at the share: a trashed item's parent may be purged.
    pub fn reaches_root(&self) -> bool {
        self.chain.last().is_some_and(|top| top.parent == ParentId::Root(self.share.id))
    }

    /// Tells whether listings show it: it and everything above it can be read.
    pub fn is_listed(&self) -> bool {
        self.readable == self.chain.len() + 1
    }

    /// Returns the number of names in the path.
    pub fn depth(&self) -> usize {
        self.chain.len()
    }

    /// Returns since when it is in the trash, itself or with a folder above it.
    pub fn trashed_at(&self) -> Option<Timestamp> {
        self.chain.iter().filter_map(|node| node.trashed_at).max()
    }

    /// Tells whether a node is on the way from the root to this one, itself included.
    pub fn is_within(&self, id: NodeId) -> bool {
        self.chain.iter().any(|node| node.id == id)
    }

    /// Returns the file as the wire shows it.
    pub fn file_info(&self) -> Option<FileInfo> {
        file_info(self.node(), self.shown_path(), self.trashed_at())
    }

    /// Returns the folder as the wire shows it.
    pub fn folder_info(&self) -> Option<FolderInfo> {
        folder_info(self.node(), self.shown_path(), self.trashed_at())
    }

    /// Fails unless the caller has `right` on it.
    pub(in crate::services) fn check(&self, caller: &Caller, right: Right) -> Result<()> {
        judge(caller, self.rights, right, self.node().id)
    }

    /// Returns the same place with its node replaced by what it is after a change.
    #[must_use]
    pub fn with_node(mut self, node: Node) -> Self {
        self.chain[0] = node;
        self
    }

    /// Returns `Gone` if it is in the trash.
    pub fn live(self) -> Result<Self> {
        if self.trashed_at().is_some() {
            Err(Error::Gone { what: resource(self.node().id) })
        } else {
            Ok(self)
        }
    }
}

/// Returns a file as the wire shows it, from its row and where it lies; nothing for a folder.
pub fn file_info(node: &Node, path: String, deleted_at: Option<Timestamp>) -> Option<FileInfo> {
    let file = node.file.as_ref()?;
    Some(FileInfo {
        id: node.id.as_file()?,
        tenant_id: node.tenant,
        share_id: node.share,
        folder_id: node.parent.folder(),
        name: node.name.clone(),
        path,
        mime_type: file.mime_type.clone(),
        size: file.size,
        checksum_sha256: file.checksum,
        version: file.version,
        version_id: file.version_id,
        owner_id: node.owner.clone(),
        created_by: node.created_by.clone(),
        created_at: node.created_at,
        modified_by: node.modified_by.clone(),
        modified_at: node.modified_at,
        is_deleted: deleted_at.is_some(),
        deleted_at,
        vectorized_at: None,
    })
}

/// Returns a folder as the wire shows it, from its row and where it lies; nothing for a file.
pub fn folder_info(node: &Node, path: String, deleted_at: Option<Timestamp>) -> Option<FolderInfo> {
    Some(FolderInfo {
        id: node.id.as_folder()?,
        tenant_id: node.tenant,
        share_id: node.share,
        parent_id: node.parent.folder(),
        name: node.name.clone(),
        path,
        owner_id: node.owner.clone(),
        created_by: node.created_by.clone(),
        created_at: node.created_at,
        modified_at: node.modified_at,
        is_deleted: deleted_at.is_some(),
    })
}
