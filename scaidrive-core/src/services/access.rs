//! Who may do what: the only place that turns a decision into 404, 403 or 410.
//!
//! Permissions are the plain share roles for now: the owner and tenant admins may do everything, everybody in
//! the tenant may read a public share. Every service asks here, so the full evaluation goes in here too.

use std::collections::BTreeMap;

use crate::model::{
    Caller, Error, FileId, FileInfo, FolderId, FolderInfo, Node, NodeId, ParentId, Result, Share, ShareId,
    SharePath, ShareRole, Timestamp,
};
use crate::ports::Reads;

pub use crate::model::Right;

/// A node with what it takes to judge and show it: its ancestors and its share.
#[derive(Clone, Debug)]
pub struct Located {
    /// The node first, then its ancestors up to the share's root.
    chain: Vec<Node>,
    /// The share that holds it.
    pub share: Share,
}

impl Located {
    /// Returns the node.
    pub fn node(&self) -> &Node {
        &self.chain[0]
    }

    /// Returns the share-relative path.
    pub fn path(&self) -> String {
        self.chain.iter().rev().map(|node| format!("/{}", node.name)).collect()
    }

    /// Returns the number of names in the path.
    pub fn depth(&self) -> usize {
        self.chain.len()
    }

    /// Returns since when it is in the trash, itself or with a folder above it.
    pub fn trashed_at(&self) -> Option<Timestamp> {
        self.chain.iter().filter_map(|node| node.trashed_at).max()
    }

    /// Tells whether the walk up ended at the share: a trashed item's parent may be purged.
    pub fn reaches_root(&self) -> bool {
        self.chain.last().is_some_and(|top| top.parent == ParentId::Root(self.share.id))
    }

    /// Tells whether a node is on the way from the root to this one, itself included.
    pub fn is_within(&self, id: NodeId) -> bool {
        self.chain.iter().any(|node| node.id == id)
    }

    /// Returns the file as the wire shows it.
    pub fn file_info(&self) -> Option<FileInfo> {
        file_info(self.node(), self.path(), self.trashed_at())
    }

    /// Returns the folder as the wire shows it.
    pub fn folder_info(&self) -> Option<FolderInfo> {
        folder_info(self.node(), self.path(), self.trashed_at())
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

/// A place that can hold nodes: a folder or a share's root.
#[derive(Clone, Debug)]
pub struct Place {
    /// The share.
    pub share: Share,
    /// The folder; nothing for the root.
    folder: Option<Located>,
}

impl Place {
    /// Returns what its children name as parent.
    pub fn id(&self) -> ParentId {
        let folder = self.folder.as_ref().and_then(|folder| folder.node().id.as_folder());
        folder.map_or(ParentId::Root(self.share.id), ParentId::Folder)
    }

    /// Returns the path of a child of that name.
    pub fn path_of(&self, name: &str) -> String {
        format!("{}/{name}", self.folder.as_ref().map(Located::path).unwrap_or_default())
    }

    /// Returns the place's own path.
    pub fn path(&self) -> String {
        self.folder.as_ref().map_or_else(|| "/".to_owned(), Located::path)
    }

    /// Fails if a child of that name would lie too deep or have too long a path.
    pub fn check_limits(&self, name: &str) -> Result<()> {
        let depth = self.folder.as_ref().map_or(0, Located::depth) + 1;
        SharePath::check_limits(depth, self.path_of(name).len())
            .map_err(|message| Error::invalid("name", message, name))
    }

    /// Returns the place that a folder just made in this one is.
    #[must_use]
    pub fn with_child(&self, folder: &Node) -> Self {
        let above = self.folder.as_ref().map(|above| above.chain.as_slice()).unwrap_or_default();
        let chain = std::iter::once(folder).chain(above).cloned().collect();
        Self { share: self.share.clone(), folder: Some(Located { chain, share: self.share.clone() }) }
    }

    /// Tells whether the place is this folder or lies below it.
    pub fn is_within(&self, id: NodeId) -> bool {
        self.folder.as_ref().is_some_and(|folder| folder.is_within(id))
    }
}

fn resource(id: NodeId) -> String {
    match id {
        NodeId::File(id) => format!("file/{id}"),
        NodeId::Folder(id) => format!("folder/{id}"),
    }
}

/// Returns the caller's role in a share.
pub fn role(caller: &Caller, share: &Share) -> Option<ShareRole> {
    if caller.is_admin() {
        Some(ShareRole::Admin)
    } else if share.owner_id == caller.user {
        Some(ShareRole::Owner)
    } else if share.is_public {
        Some(ShareRole::Reader)
    } else {
        None
    }
}

fn allows(role: ShareRole, right: Right) -> bool {
    match right {
        Right::Read => true,
        Right::Write | Right::Delete | Right::Create => role >= ShareRole::Contributor,
        Right::Share | Right::ManagePermissions => role >= ShareRole::Admin,
    }
}

/// A caller without READ gets 404; one with READ but without the right gets 403.
fn judge(caller: &Caller, share: &Share, right: Right, what: impl FnOnce() -> String) -> Result<()> {
    match role(caller, share) {
        None => Err(Error::NotFound),
        Some(role) if allows(role, right) => Ok(()),
        Some(_) => Err(Error::PermissionDenied { right: right.as_str(), resource: what() }),
    }
}

/// Returns a share on which the caller has `right`; one in the trash is gone.
pub async fn share(rows: &mut dyn Reads, caller: &Caller, id: ShareId, right: Right) -> Result<Share> {
    let share = any_share(rows, caller, id, right).await?;
    if share.is_deleted { Err(Error::Gone { what: format!("share/{id}") }) } else { Ok(share) }
}

/// Returns a share on which the caller has `right`, in the trash or not.
pub async fn any_share(rows: &mut dyn Reads, caller: &Caller, id: ShareId, right: Right) -> Result<Share> {
    let share = rows.share(caller.tenant, id).await?.ok_or(Error::NotFound)?;
    judge(caller, &share, right, || format!("share/{id}"))?;
    Ok(share)
}

/// Returns a node on which the caller has `right`, in the trash or not; its share must not be.
pub async fn any_node(rows: &mut dyn Reads, caller: &Caller, id: NodeId, right: Right) -> Result<Located> {
    let chain = rows.chain(caller.tenant, id).await?;
    let share = chain.first().ok_or(Error::NotFound)?.share;
    let share = rows.share(caller.tenant, share).await?.ok_or(Error::NotFound)?;
    judge(caller, &share, right, || resource(id))?;
    if share.is_deleted {
        return Err(Error::Gone { what: resource(id) });
    }
    Ok(Located { chain, share })
}

/// Returns a node on which the caller has `right` and which is not in the trash.
pub async fn node(
    rows: &mut dyn Reads,
    caller: &Caller,
    id: impl Into<NodeId>,
    right: Right,
) -> Result<Located> {
    any_node(rows, caller, id.into(), right).await?.live()
}

/// Returns a file on which the caller has `right` and which is not in the trash.
pub async fn file(rows: &mut dyn Reads, caller: &Caller, id: FileId, right: Right) -> Result<Located> {
    node(rows, caller, id, right).await
}

/// Returns a folder on which the caller has `right` and which is not in the trash.
pub async fn folder(rows: &mut dyn Reads, caller: &Caller, id: FolderId, right: Right) -> Result<Located> {
    node(rows, caller, id, right).await
}

/// Returns a place in a share on which the caller has `right`. A folder of another share is not found there.
pub async fn place(
    rows: &mut dyn Reads,
    caller: &Caller,
    id: ShareId,
    folder_id: Option<FolderId>,
    right: Right,
) -> Result<Place> {
    let Some(folder_id) = folder_id else {
        return Ok(Place { share: share(rows, caller, id, right).await?, folder: None });
    };
    let found = folder(rows, caller, folder_id, right).await?;
    if found.share.id != id {
        return Err(Error::NotFound);
    }
    Ok(Place { share: found.share.clone(), folder: Some(found) })
}

/// Returns many places of one share, or why each cannot be used: with two queries, however many there are.
pub async fn places(
    rows: &mut dyn Reads,
    caller: &Caller,
    id: ShareId,
    parents: &[ParentId],
    right: Right,
) -> Result<BTreeMap<ParentId, Result<Place>>> {
    let share = share(rows, caller, id, right).await?;
    let folders: Vec<NodeId> =
        parents.iter().filter_map(|parent| parent.folder()).map(NodeId::from).collect();
    let mut chains: BTreeMap<NodeId, Vec<Node>> = BTreeMap::new();
    for chain in rows.chains(caller.tenant, &folders).await? {
        chains.extend(chain.first().map(|node| node.id).map(|id| (id, chain)));
    }
    let mut place = |parent: ParentId| match parent {
        ParentId::Root(root) if root == id => Ok(Place { share: share.clone(), folder: None }),
        ParentId::Root(_) => Err(Error::NotFound),
        ParentId::Folder(folder) => {
            let chain =
                chains.remove(&folder.into()).filter(|chain| chain.iter().all(|node| node.share == id));
            let located = Located { chain: chain.ok_or(Error::NotFound)?, share: share.clone() };
            Ok(Place { share: share.clone(), folder: Some(located.live()?) })
        }
    };
    Ok(parents.iter().map(|parent| (*parent, place(*parent))).collect())
}

/// Returns the place behind a parent id.
pub async fn parent_place(
    rows: &mut dyn Reads,
    caller: &Caller,
    parent: ParentId,
    right: Right,
) -> Result<Place> {
    match parent {
        ParentId::Root(id) => place(rows, caller, id, None, right).await,
        ParentId::Folder(id) => {
            let found = folder(rows, caller, id, right).await?;
            Ok(Place { share: found.share.clone(), folder: Some(found) })
        }
    }
}
