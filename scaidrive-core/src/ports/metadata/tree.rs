//! Rows of the tree: files, folders and their versions.

use async_trait::async_trait;

use crate::model::{
    FileId, NameKey, Node, NodeId, ParentId, Result, ShareId, TenantId, Timestamp, Usage, UserId, Version,
    text_enum,
};

text_enum! {
    /// What the children of a folder are ordered by.
    pub enum ChildSort {
        /// Name, case-insensitively.
        Name = "name",
        /// Time of the last change, oldest first.
        ModifiedAt = "modified_at",
        /// Size, smallest first; folders count 0.
        Size = "size",
    }
}

/// Where a page of children starts: after the child with this sort value and id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SortKey {
    /// For [`ChildSort::Name`]: unique among siblings that are not trashed.
    Name(NameKey, NodeId),
    /// For the other orders.
    Number(i64, NodeId),
}

/// Which children of a folder are wanted.
#[derive(Clone, Debug)]
pub struct ChildQuery {
    /// The folder or root.
    pub parent: ParentId,
    /// Also those in the trash.
    pub include_trashed: bool,
    /// In which order.
    pub sort: ChildSort,
    /// After which child.
    pub after: Option<SortKey>,
    /// At most so many.
    pub limit: u32,
}

/// Reads the tree.
#[async_trait]
pub trait TreeReads: Send {
    /// Returns a node and its ancestors, itself first and the share's root child last; empty if there is none.
    ///
    /// The walk ends early where a parent was purged: then the last node's parent is not the share.
    async fn chain(&mut self, tenant: TenantId, id: NodeId) -> Result<Vec<Node>>;
    /// Returns what [`chain`](Self::chain) does for each of these nodes that is there, in no order.
    async fn chains(&mut self, tenant: TenantId, ids: &[NodeId]) -> Result<Vec<Vec<Node>>>;
    /// Returns a node alone.
    async fn node(&mut self, tenant: TenantId, id: NodeId) -> Result<Option<Node>>;
    /// Returns the child of that name that is not in the trash itself.
    async fn child(&mut self, tenant: TenantId, parent: ParentId, key: &NameKey) -> Result<Option<Node>>;
    /// Returns the children of these names in each of many places that are not in the trash themselves.
    async fn children_named(
        &mut self,
        tenant: TenantId,
        places: &[(ParentId, Vec<NameKey>)],
    ) -> Result<Vec<Node>>;
    /// Returns a page of children.
    async fn children(&mut self, tenant: TenantId, query: &ChildQuery) -> Result<Vec<Node>>;
    /// Counts children up to `most`.
    async fn count_children(
        &mut self,
        tenant: TenantId,
        parent: ParentId,
        include_trashed: bool,
        most: u64,
    ) -> Result<u64>;
    /// Returns what is in these places and not in the trash itself, in no order.
    async fn children_of(&mut self, tenant: TenantId, parents: &[ParentId]) -> Result<Vec<Node>>;
    /// Returns all nodes below a folder or root that are not in the trash, by id, after `after`, at most `limit`.
    async fn descendants(
        &mut self,
        tenant: TenantId,
        root: ParentId,
        after: Option<NodeId>,
        limit: u32,
    ) -> Result<Vec<Node>>;
    /// Sums what the nodes below a folder cost, by owner, their old versions included; branches that are in the
    /// trash themselves only if asked for.
    async fn subtree_usage(
        &mut self,
        tenant: TenantId,
        root: ParentId,
        with_trash: bool,
    ) -> Result<Vec<(UserId, Usage)>>;
    /// Returns the trash of a share, newest first, after a (time, id).
    async fn trash(
        &mut self,
        tenant: TenantId,
        share: ShareId,
        after: Option<(Timestamp, NodeId)>,
        limit: u32,
    ) -> Result<Vec<Node>>;
    /// Counts the items in a share's trash up to `most`.
    async fn count_trash(&mut self, tenant: TenantId, share: ShareId, most: u64) -> Result<u64>;
    /// Returns the files a user changed last, newest first, not in the trash themselves.
    async fn recent(&mut self, tenant: TenantId, user: &UserId, limit: u32) -> Result<Vec<Node>>;
    /// Returns a file's versions, newest first.
    async fn versions(
        &mut self,
        tenant: TenantId,
        file: FileId,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<Version>>;
    /// Counts a file's versions.
    async fn count_versions(&mut self, tenant: TenantId, file: FileId) -> Result<u64>;
    /// Returns one version of a file.
    async fn version(&mut self, tenant: TenantId, file: FileId, number: u32) -> Result<Option<Version>>;
    /// Returns files that have versions beside the current one, the first of them from before a time; by id, after one.
    async fn files_with_history(
        &mut self,
        tenant: TenantId,
        before: Timestamp,
        after: Option<FileId>,
        limit: u32,
    ) -> Result<Vec<FileId>>;
    /// Recounts what a whole tenant uses, by share and owner, from the nodes and versions themselves.
    async fn recount(&mut self, tenant: TenantId) -> Result<Vec<(ShareId, UserId, Usage)>>;
}

/// Writes the tree.
#[async_trait]
pub trait TreeWrites: Send {
    /// Keeps others from changing a node until this commits; what is read afterwards is current.
    async fn lock_node(&mut self, tenant: TenantId, id: NodeId) -> Result<()>;
    /// Inserts nodes; a taken name is `NameConflict`.
    async fn insert_nodes(&mut self, nodes: &[Node]) -> Result<()>;
    /// Replaces everything about a node but its id, tenant, creation and owner; a taken name is `NameConflict`.
    async fn update_node(&mut self, node: &Node) -> Result<()>;
    /// Puts nodes under another parent of their share, with their names, noting who did: a few hundred a statement.
    async fn set_parent(
        &mut self,
        tenant: TenantId,
        ids: &[NodeId],
        parent: ParentId,
        by: &UserId,
    ) -> Result<()>;
    /// Says that everything below a folder, trashed branches included, lies in another share now.
    async fn move_descendants(&mut self, tenant: TenantId, root: NodeId, to: ShareId) -> Result<()>;
    /// Removes one node's row.
    async fn delete_nodes(&mut self, tenant: TenantId, ids: &[NodeId]) -> Result<()>;
    /// Inserts versions.
    async fn insert_versions(&mut self, tenant: TenantId, versions: &[Version]) -> Result<()>;
    /// Gives a version another number, which no other has.
    async fn renumber_version(&mut self, tenant: TenantId, file: FileId, from: u32, to: u32) -> Result<()>;
    /// Removes one version's row; tells whether there was one.
    async fn delete_version(&mut self, tenant: TenantId, file: FileId, number: u32) -> Result<bool>;
    /// Removes all versions of these files and touches the contents that they referred to.
    async fn delete_versions_of(&mut self, tenant: TenantId, files: &[FileId], now: Timestamp) -> Result<()>;
    /// Sums the sizes of all versions of these files.
    async fn version_bytes(&mut self, tenant: TenantId, files: &[FileId]) -> Result<Vec<(FileId, i64)>>;
}
