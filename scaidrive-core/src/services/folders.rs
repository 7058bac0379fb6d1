//! Folders: create, look at, list, change.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;

use super::access::{self, Place, Right};
use super::files::change_in_place;
use super::mutation::{self, Mutation, Tx};
use super::tree;
use crate::Drive;
use crate::model::{
    Caller, ChangeKind, Error, FileName, FolderId, FolderInfo, MimeType, Node, NodeId, NodeKind, ParentId,
    Result, ShareId, SharePath, Timestamp,
};
use crate::ports::metadata::{ChildQuery, ChildSort, SortKey};

/// Counts are exact up to here; beyond, they are a minimum.
pub const COUNTED: u64 = 10_000;

/// Children looked at where a page has gaps.
const STRIDE: u32 = 1000;

/// The longest page of children.
pub const PAGE: u32 = 1000;

/// Returns a folder.
pub async fn get(drive: &Drive, caller: &Caller, id: FolderId) -> Result<FolderInfo> {
    let found = access::folder(&mut *drive.read().await?, caller, id, Right::Read).await?;
    found.folder_info().ok_or(Error::NotFound)
}

/// Creates a folder.
pub async fn create(
    drive: &Drive,
    caller: &Caller,
    share: ShareId,
    parent: Option<FolderId>,
    name: FileName,
) -> Result<FolderInfo> {
    mutation::run(drive, caller, CreateFolder { share, parent, name }).await
}

struct CreateFolder {
    share: ShareId,
    parent: Option<FolderId>,
    name: FileName,
}

#[async_trait]
impl Mutation for CreateFolder {
    type Output = FolderInfo;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<FolderInfo> {
        let parent = self.parent.map_or(ParentId::Root(self.share), ParentId::Folder);
        let place = tree::place(tx, self.share, parent, Right::Create).await?;
        let node = insert(tx, &place, self.name.clone()).await?;
        tx.created(node.id);
        let path = place.shown_path_of(node.name.as_str());
        access::folder_info(&node, path, None).ok_or_else(|| Error::internal("a new folder is no folder"))
    }
}

/// Returns the row of a new folder.
pub(super) fn new_folder(tx: &Tx<'_>, share: ShareId, parent: ParentId, name: FileName) -> Node {
    Node {
        id: NodeId::Folder(FolderId::new(tx.ulid())),
        tenant: tx.caller.tenant,
        share,
        parent,
        name,
        owner: tx.caller.user.clone(),
        created_by: tx.caller.user.clone(),
        created_at: tx.now,
        modified_by: tx.caller.user.clone(),
        modified_at: tx.now,
        inherit_acl: true,
        trashed_at: None,
        file: None,
    }
}

/// Inserts a new folder into a place, charges it and tells the world.
pub(super) async fn insert(tx: &mut Tx<'_>, place: &Place, name: FileName) -> Result<Node> {
    let node = new_in(tx, place, name)?;
    tx.rows.insert_nodes(std::slice::from_ref(&node)).await?;
    Ok(node)
}

/// Returns a new folder's row, charged and told of already; inserting it is left to do.
pub(super) fn new_in(tx: &mut Tx<'_>, place: &Place, name: FileName) -> Result<Node> {
    place.check_limits(name.as_str())?;
    let node = new_folder(tx, place.share.id, place.id(), name);
    let path = place.path_of(node.name.as_str());
    tx.charge(node.share, &node.owner, tree::usage_of(&node));
    tx.change(tree::change(&node, ChangeKind::Created, path.clone()));
    tx.audit(tree::audit("folder.create", node.id, path));
    Ok(node)
}

/// Renames a folder: one row and one change, whatever it holds.
pub async fn rename(drive: &Drive, caller: &Caller, id: FolderId, name: FileName) -> Result<FolderInfo> {
    rename_if(drive, caller, id, name, Arc::new(|_| Ok(()))).await
}

/// What a folder must be for a change to go ahead: `If-Match`.
pub type Precondition = Arc<dyn Fn(&FolderInfo) -> Result<()> + Send + Sync>;

/// Renames a folder if it is what it must be.
pub async fn rename_if(
    drive: &Drive,
    caller: &Caller,
    id: FolderId,
    name: FileName,
    holds: Precondition,
) -> Result<FolderInfo> {
    mutation::run(drive, caller, RenameFolder { id, name, holds }).await
}

struct RenameFolder {
    id: FolderId,
    name: FileName,
    holds: Precondition,
}

#[async_trait]
impl Mutation for RenameFolder {
    type Output = FolderInfo;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<FolderInfo> {
        // A rename moves nothing: the shared lock keeps the ancestors in place.
        let before = access::folder(tx.rows, tx.caller, self.id, Right::Write).await?;
        tx.rows.lock_tree_shared(tx.caller.tenant, before.share.id).await?;
        tx.rows.lock_node(tx.caller.tenant, self.id.into()).await?;
        let found = access::folder(tx.rows, tx.caller, self.id, Right::Write).await?;
        (self.holds)(&found.folder_info().ok_or(Error::NotFound)?)?;
        let mut node = found.node().clone();
        node.name = self.name.clone();
        if node.name != found.node().name {
            node.modified_at = tx.now;
        }
        let after = change_in_place(tx, found, node, "folder.rename").await?;
        after.folder_info().ok_or(Error::NotFound)
    }
}

/// What a page of children should hold.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The order.
    pub sort: ChildSort,
    /// Where it starts: what `next` said.
    pub after: Option<String>,
    /// At most so many, up to [`PAGE`].
    pub limit: u32,
    /// Also what is in the trash.
    pub include_trashed: bool,
}

impl Default for Listing {
    fn default() -> Self {
        Self { sort: ChildSort::Name, after: None, limit: PAGE, include_trashed: false }
    }
}

/// A child as a listing shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Child {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: FileName,
    /// File or folder.
    #[serde(rename = "type")]
    pub kind: NodeKind,
    /// Size in bytes, of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Type, of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<MimeType>,
    /// When it was changed last.
    pub modified_at: Timestamp,
    /// SHA-256 of the content, of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum_sha256: Option<crate::model::Sha256Hash>,
    /// Whether it is in the trash; only told where trash was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_deleted: Option<bool>,
}

/// A page of children.
#[derive(Clone, Debug, Serialize)]
pub struct Children {
    /// The children.
    pub items: Vec<Child>,
    /// The folder's path.
    pub path: String,
    /// How many there are in all; left out on later pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Whether there are more than `total` says.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub total_is_minimum: bool,
    /// Where the next page starts; nothing at the end.
    pub next: Option<String>,
}

/// Returns a page of what a folder or a share's root holds.
pub async fn children(
    drive: &Drive,
    caller: &Caller,
    share: ShareId,
    folder: Option<FolderId>,
    listing: &Listing,
) -> Result<Children> {
    let mut rows = drive.read().await?;
    let place = access::place(&mut *rows, caller, share, folder, Right::Read).await?;
    let limit = listing.limit.clamp(1, PAGE);
    let query = ChildQuery {
        parent: place.id(),
        include_trashed: listing.include_trashed,
        sort: listing.sort,
        after: listing.after.as_deref().map(|text| parse_key(listing.sort, text)).transpose()?,
        limit: limit + 1,
    };
    let mut eyes = place.eyes();
    let mut nodes = Vec::new();
    let mut query = query;
    // Children out of sight leave gaps in what one query brings; the page is filled up with what follows, in larger
    // and larger steps. After the last of them the page stays short, and the next one goes on from there.
    let mut next = None;
    for step in [limit + 1, STRIDE, 10 * STRIDE] {
        query.limit = step;
        let (found, seen) = eyes.page(&mut *rows, caller, &query).await?;
        let is_end = found.len() < step as usize;
        query.after = found.last().map(|last| sort_key(listing.sort, last));
        nodes.extend(seen);
        if nodes.len() > limit as usize {
            nodes.truncate(limit as usize);
            next = nodes.last().map(|last| write_key(listing.sort, last));
            break;
        }
        next = found.last().filter(|_| !is_end).map(|last| write_key(listing.sort, last));
        if is_end {
            break;
        }
    }
    let more = next.is_some();
    let (total, total_is_minimum) = match (&listing.after, more) {
        (Some(_), _) => (None, false),
        (None, false) => (Some(nodes.len() as u64), false),
        (None, true) => {
            let most = COUNTED + 1;
            let counted = eyes.count(&mut *rows, caller, place.id(), listing.include_trashed, most).await?;
            (Some(counted.min(COUNTED)), counted > COUNTED)
        }
    };
    let items = nodes.into_iter().map(|node| child(node, listing.include_trashed)).collect();
    Ok(Children { items, path: place.shown_path(), total, total_is_minimum, next })
}

fn child(node: Node, with_trash: bool) -> Child {
    let kind = node.kind();
    let is_deleted = with_trash.then_some(node.trashed_at.is_some());
    let (size, mime_type, checksum) = match node.file {
        Some(facts) => (Some(facts.size), Some(facts.mime_type), Some(facts.checksum)),
        None => (None, None, None),
    };
    Child {
        id: node.id,
        name: node.name,
        kind,
        size,
        mime_type,
        modified_at: node.modified_at,
        checksum_sha256: checksum,
        is_deleted,
    }
}

/// Writes where the page after this child starts: id, then sort value.
fn write_key(sort: ChildSort, node: &Node) -> String {
    match sort {
        ChildSort::Name => format!("{}:{}", node.id, node.name),
        ChildSort::ModifiedAt => format!("{}:{}", node.id, node.modified_at.as_micros()),
        ChildSort::Size => format!("{}:{}", node.id, node.size()),
    }
}

fn sort_key(sort: ChildSort, node: &Node) -> SortKey {
    match sort {
        ChildSort::Name => SortKey::Name(node.name.key(), node.id),
        ChildSort::ModifiedAt => SortKey::Number(node.modified_at.as_micros(), node.id),
        ChildSort::Size => SortKey::Number(node.size() as i64, node.id),
    }
}

fn parse_key(sort: ChildSort, text: &str) -> Result<SortKey> {
    let wrong = || Error::invalid("after", "not what `next` said for this order", text);
    let (id, value) = text.split_once(':').ok_or_else(wrong)?;
    let id: NodeId = id.parse().map_err(|_| wrong())?;
    match sort {
        ChildSort::Name => Ok(SortKey::Name(FileName::parse(value).map_err(|_| wrong())?.key(), id)),
        ChildSort::ModifiedAt | ChildSort::Size => {
            Ok(SortKey::Number(value.parse().map_err(|_| wrong())?, id))
        }
    }
}

/// A node of a subtree with its path.
#[derive(Clone, Debug)]
pub struct Walked {
    /// Path below the folder that the walk started at.
    pub path: SharePath,
    /// The node.
    pub node: Node,
}

/// Returns everything below a folder or root that the caller may read and that is not in the trash: folders before what they hold, by path.
///
/// Holds the whole subtree's rows at once, about half a KiB each.
pub async fn walk(
    drive: &Drive,
    caller: &Caller,
    share: ShareId,
    folder: Option<FolderId>,
) -> Result<Vec<Walked>> {
    let mut rows = drive.read().await?;
    let place = access::place(&mut *rows, caller, share, folder, Right::Read).await?;
    let mut eyes = place.eyes();
    let mut by_parent: BTreeMap<ParentId, Vec<Node>> = BTreeMap::new();
    // Level by level: pages of the whole subtree would each walk it all again.
    let mut level = vec![place.id()];
    while !level.is_empty() {
        let nodes = rows.children_of(caller.tenant, &level).await?;
        let nodes = eyes.readable(&mut *rows, caller, nodes).await?;
        level = nodes.iter().filter_map(|node| node.id.as_folder()).map(ParentId::Folder).collect();
        for node in nodes {
            by_parent.entry(node.parent).or_default().push(node);
        }
    }
    let mut found = Vec::new();
    let mut open = vec![(SharePath::default(), place.id())];
    while let Some((path, parent)) = open.pop() {
        let mut children = by_parent.remove(&parent).unwrap_or_default();
        children.sort_by(|a, b| a.name.cmp(&b.name));
        for node in children {
            let path = path.join(node.name.clone());
            if let NodeId::Folder(id) = node.id {
                open.push((path.clone(), ParentId::Folder(id)));
            }
            found.push(Walked { path, node });
        }
    }
    Ok(found)
}
