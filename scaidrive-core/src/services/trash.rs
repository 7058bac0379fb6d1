//! The trash: put in, list, restore, purge.
//!
//! Only the item itself is marked; what lies below a trashed folder is in the trash because its folder is. An
//! item trashed on its own stays in the trash when a folder above it is purged; its place is gone then.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;

use super::access::{self, Located, Place, Right};
use super::mutation::{self, Mutation, Tx};
use super::tree;
use crate::Drive;
use crate::model::{
    Caller, ChangeId, Error, FileId, FileInfo, FileName, FolderInfo, Node, NodeId, ParentId, ResourceId,
    Result, ShareId, Timestamp, Usage, UserId,
};
use crate::ports::Reads;

/// Puts an item in the trash, or removes it for good.
pub async fn delete(drive: &Drive, caller: &Caller, id: NodeId, permanent: bool) -> Result<()> {
    if permanent {
        mutation::run(drive, caller, Purge { id }).await
    } else {
        mutation::run(drive, caller, Trash { id }).await
    }
}

struct Trash {
    id: NodeId,
}

#[async_trait]
impl Mutation for Trash {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<()> {
        let found = tree::locked_node(tx, self.id, Right::Delete).await?.live()?;
        access::check_below(tx.rows, tx.caller, &found, Right::Delete).await?;
        put(tx, &found).await.map(drop)
    }
}

/// Marks an item that is locked, live, and the caller's to delete with all it holds; returns the row that tells.
pub(super) async fn put(tx: &mut Tx<'_>, found: &Located) -> Result<ChangeId> {
    let mut node = found.node().clone();
    for (owner, usage) in live_usage(tx, &node).await? {
        tx.charge(node.share, &owner, usage.trashed());
    }
    node.trashed_at = Some(tx.now);
    tx.rows.update_node(&node).await?;
    let id = tx.change(tree::gone(node.share, node.id, found.path()));
    tx.audit(tree::audit("trash.put", node.id, found.path()));
    Ok(id)
}

/// Returns what a node and everything live below it cost, by owner.
async fn live_usage(tx: &mut Tx<'_>, node: &Node) -> Result<Vec<(UserId, Usage)>> {
    let mut usage = match node.id {
        NodeId::Folder(id) => tx.rows.subtree_usage(node.tenant, ParentId::Folder(id), false).await?,
        NodeId::File(_) => Vec::new(),
    };
    usage.push((node.owner.clone(), tree::usage_of(node)));
    Ok(usage)
}

/// What an item became when it was restored.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum RestoredItem {
    /// A file.
    File(FileInfo),
    /// A folder.
    Folder(FolderInfo),
}

/// Takes an item out of the trash: back to its place, to the share's root if that is gone, under another name
/// if its own is taken. An item that is only below a trashed folder comes out alone.
pub async fn restore(drive: &Drive, caller: &Caller, id: NodeId) -> Result<RestoredItem> {
    restore_as(drive, caller, id, None, Arc::new(|_| Ok(()))).await
}

/// What a restored item must be for the restore to go ahead: `If-Match`.
pub type Precondition = Arc<dyn Fn(&RestoredItem) -> Result<()> + Send + Sync>;

/// Takes an item out of the trash under another name, if one is given: a taken one is `NameConflict` then. Where
/// the item, as it came back, is not what it must be, it stays in the trash.
pub async fn restore_as(
    drive: &Drive,
    caller: &Caller,
    id: NodeId,
    name: Option<FileName>,
    holds: Precondition,
) -> Result<RestoredItem> {
    mutation::run(drive, caller, Restore { id, name, holds }).await
}

struct Restore {
    id: NodeId,
    name: Option<FileName>,
    holds: Precondition,
}

#[async_trait]
impl Mutation for Restore {
    type Output = RestoredItem;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<RestoredItem> {
        let found = tree::locked_node(tx, self.id, Right::Write).await?;
        if found.trashed_at().is_none() {
            let item = shown(found)?;
            return (self.holds)(&item).map(|()| item);
        }
        let place = home(tx, found.node()).await?;
        let name = match &self.name {
            Some(name) => name.clone(),
            None => tree::free_name(tx, place.id(), &found.node().name, "restored").await?,
        };
        place.check_limits(name.as_str())?;
        take_out(tx, found.node(), &place, name).await?;
        let item = shown(access::unjudged(tx.rows, tx.caller, self.id).await?)?;
        (self.holds)(&item).map(|()| item)
    }
}

/// Puts a locked item that is in the trash, itself or with a folder above it, at a place and a name that are free
/// and within the limits; returns the row that says where it is.
pub(super) async fn take_out(
    tx: &mut Tx<'_>,
    node: &Node,
    place: &Place,
    name: FileName,
) -> Result<ChangeId> {
    // What was charged to the trash: the item, and below a folder all that is not trashed by itself.
    for (owner, usage) in live_usage(tx, node).await? {
        tx.charge(node.share, &owner, usage.trashed().negated());
    }
    let node = Node { parent: place.id(), name, trashed_at: None, ..node.clone() };
    tx.rows.update_node(&node).await?;
    let path = place.path_of(node.name.as_str());
    let id = tx.change(tree::appeared(&node, path.clone()));
    tx.audit(tree::audit("trash.restore", node.id, path));
    Ok(id)
}

/// Returns where an item goes when it comes out of the trash: the root stands in for a folder that is gone, never
/// for one that the caller may not put things into, for its fence would be left behind.
pub(super) async fn home(tx: &mut Tx<'_>, node: &Node) -> Result<Place> {
    if let ParentId::Folder(folder) = node.parent {
        match access::unjudged(tx.rows, tx.caller, folder.into()).await {
            Ok(parent) if parent.trashed_at().is_none() => {
                let place = access::parent_place(tx.rows, tx.caller, node.parent, Right::Create).await;
                let resource = format!("{}/{}", ResourceId::Node(node.id).kind(), node.id);
                return place.map_err(|error| match error {
                    Error::NotFound => Error::PermissionDenied { right: Right::Create.as_str(), resource },
                    error => error,
                });
            }
            Ok(_) | Err(Error::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    access::place(tx.rows, tx.caller, node.share, None, Right::Create).await
}

fn shown(found: Located) -> Result<RestoredItem> {
    let file = found.file_info().map(RestoredItem::File);
    file.or_else(|| found.folder_info().map(RestoredItem::Folder)).ok_or(Error::NotFound)
}

struct Purge {
    id: NodeId,
}

#[async_trait]
impl Mutation for Purge {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<()> {
        let found = tree::locked_node(tx, self.id, Right::Delete).await?;
        access::check_below(tx.rows, tx.caller, &found, Right::Delete).await?;
        purge(tx, &found).await
    }
}

/// Removes a node and everything below it for good, branches that are in the trash themselves left out.
pub(super) async fn purge(tx: &mut Tx<'_>, found: &Located) -> Result<()> {
    let node = found.node();
    let was_live = found.trashed_at().is_none();
    for (owner, usage) in live_usage(tx, node).await? {
        let current = if was_live {
            usage
        } else {
            Usage { trash_bytes: usage.file_bytes, version_bytes: usage.version_bytes, ..Usage::default() }
        };
        tx.charge(node.share, &owner, current.negated());
    }
    let now = tx.rows.now().await?;
    let mut ids = vec![node.id];
    if let NodeId::Folder(id) = node.id {
        ids.extend(below(tx, ParentId::Folder(id)).await?);
    }
    let files: Vec<FileId> = ids.iter().filter_map(|id| id.as_file()).collect();
    if let Some(file) = node.id.as_file() {
        let (all, current) = (tx.rows.version_bytes(node.tenant, &[file]).await?, node.size() as i64);
        let old = all.iter().map(|(_, bytes)| bytes).sum::<i64>() - current;
        tx.charge(node.share, &node.owner, Usage { version_bytes: -old, ..Usage::default() });
    }
    tx.rows.delete_nodes(node.tenant, &ids).await?;
    tx.rows.delete_versions_of(node.tenant, &files, now).await?;
    tx.change(tree::gone(node.share, node.id, found.path()));
    let payload = serde_json::json!({ "items": ids.len() });
    tx.audit(tree::audit("trash.purge", node.id, found.path()).with(payload));
    Ok(())
}

/// Returns the ids of everything below a folder that is not in the trash itself or with a folder between.
async fn below(tx: &mut Tx<'_>, root: ParentId) -> Result<Vec<NodeId>> {
    let mut ids = Vec::new();
    loop {
        let page = tx.rows.descendants(tx.caller.tenant, root, ids.last().copied(), 5000).await?;
        ids.extend(page.iter().map(|node| node.id));
        if page.len() < 5000 {
            return Ok(ids);
        }
    }
}

/// An item in the trash as a listing shows it.
#[derive(Clone, Debug, Serialize)]
pub struct TrashItem {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: FileName,
    /// File or folder.
    #[serde(rename = "type")]
    pub kind: crate::model::NodeKind,
    /// Size in bytes, of a file.
    pub size: u64,
    /// The place it goes back to; nothing if that is gone.
    pub parent_id: Option<String>,
    /// Since when it is in the trash.
    pub deleted_at: Timestamp,
}

/// A page of a share's trash.
#[derive(Clone, Debug, Serialize)]
pub struct TrashPage {
    /// Newest first.
    pub items: Vec<TrashItem>,
    /// How many there are in all; left out on later pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Whether there are more than `total` says.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub total_is_minimum: bool,
    /// Where the next page starts; nothing at the end.
    pub next: Option<String>,
}

/// Returns a page of a share's trash, newest first.
pub async fn list(
    drive: &Drive,
    caller: &Caller,
    share: ShareId,
    after: Option<&str>,
    limit: u32,
) -> Result<TrashPage> {
    let mut rows = drive.read().await?;
    let has_acl = access::share(&mut *rows, caller, share, Right::Read).await?.has_acl;
    let filtered = has_acl && !caller.is_admin();
    let mut start = after.map(parse_key).transpose()?;
    let mut nodes = Vec::new();
    let more = loop {
        let found = rows.trash(caller.tenant, share, start, limit + 1).await?;
        let is_end = found.len() <= limit as usize;
        start = found.last().map(|last| (last.trashed_at.unwrap_or_default(), last.id));
        nodes.extend(if filtered { listed(&mut *rows, caller, found).await? } else { found });
        if is_end || nodes.len() > limit as usize {
            break nodes.len() > limit as usize;
        }
    };
    nodes.truncate(limit as usize);
    let counted = match after {
        None if filtered => Some(count_listed(&mut *rows, caller, share).await?),
        None => Some(rows.count_trash(caller.tenant, share, super::folders::COUNTED + 1).await?),
        Some(_) => None,
    };
    let items: Vec<TrashItem> = nodes.iter().map(item).collect();
    let next =
        items.last().filter(|_| more).map(|last| format!("{}:{}", last.id, last.deleted_at.as_micros()));
    Ok(TrashPage {
        items,
        total: counted.map(|counted| counted.min(super::folders::COUNTED)),
        total_is_minimum: counted.is_some_and(|counted| counted > super::folders::COUNTED),
        next,
    })
}

/// Keeps those of these nodes that listings show the caller.
async fn listed(rows: &mut dyn Reads, caller: &Caller, nodes: Vec<Node>) -> Result<Vec<Node>> {
    let ids: Vec<NodeId> = nodes.iter().map(|node| node.id).collect();
    let located = access::locate_all(rows, caller, &ids).await?;
    let seen: HashSet<NodeId> =
        located.iter().filter(|found| found.is_listed()).map(|found| found.node().id).collect();
    Ok(nodes.into_iter().filter(|node| seen.contains(&node.id)).collect())
}

/// Counts what of a share's trash the caller may see, looking at as many items as counts are exact for.
async fn count_listed(rows: &mut dyn Reads, caller: &Caller, share: ShareId) -> Result<u64> {
    let nodes = rows.trash(caller.tenant, share, None, super::folders::COUNTED as u32 + 1).await?;
    Ok(listed(rows, caller, nodes).await?.len() as u64)
}

fn item(node: &Node) -> TrashItem {
    TrashItem {
        id: node.id,
        name: node.name.clone(),
        kind: node.kind(),
        size: node.size(),
        parent_id: node.parent.folder().map(|id| id.to_string()),
        deleted_at: node.trashed_at.unwrap_or_default(),
    }
}

fn parse_key(text: &str) -> Result<(Timestamp, NodeId)> {
    let wrong = || Error::invalid("after", "not what `next` said", text);
    let (id, micros) = text.split_once(':').ok_or_else(wrong)?;
    let micros = micros.parse().map_err(|_| wrong())?;
    Ok((Timestamp::from_micros(micros), id.parse().map_err(|_| wrong())?))
}

/// Purges what is in a share's trash now and is the caller's to remove; returns how many items that were.
///
/// Needs DELETE on the share, and on each item: those without are left where they are.
pub async fn empty(drive: &Drive, caller: &Caller, share: ShareId) -> Result<u64> {
    access::share(&mut *drive.read().await?, caller, share, Right::Delete).await?;
    let mut purged = 0;
    let mut after = None;
    loop {
        // A transaction of its own for each item: a full trash must not hold everybody else up.
        let page = drive.read().await?.trash(caller.tenant, share, after, 100).await?;
        let Some(last) = page.last() else { return Ok(purged) };
        after = Some((last.trashed_at.unwrap_or_default(), last.id));
        for node in &page {
            match mutation::run(drive, caller, Purge { id: node.id }).await {
                Ok(()) => purged += 1,
                // Restored or purged by somebody else meanwhile, or not for the caller to see or remove.
                Err(Error::NotFound | Error::PermissionDenied { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
}
