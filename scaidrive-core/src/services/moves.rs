//! Moves: to another folder, or to another share, with id and history.

use async_trait::async_trait;

use super::access::{self, Located, Place, Right};
use super::mutation::{self, Mutation, Tx};
use super::tree;
use crate::Drive;
use crate::model::{
    Caller, ChangeId, ChangeKind, Error, FileId, FileInfo, FileName, FolderId, FolderInfo, Node, NodeId,
    ParentId, ResourceId, Result, ShareId, Usage, UserId,
};

/// Where something goes.
#[derive(Clone, Debug)]
pub struct Target {
    /// The folder or the share's root.
    pub parent: ParentId,
    /// Its name there; nothing to keep its own.
    pub name: Option<FileName>,
}

/// Moves a file.
pub async fn file(drive: &Drive, caller: &Caller, id: FileId, target: Target) -> Result<FileInfo> {
    let moved = mutation::run(drive, caller, Move { id: id.into(), target }).await?;
    moved.file_info().ok_or(Error::NotFound)
}

/// Moves a folder with everything in it; into itself or a descendant is `Cycle`.
pub async fn folder(drive: &Drive, caller: &Caller, id: FolderId, target: Target) -> Result<FolderInfo> {
    let moved = mutation::run(drive, caller, Move { id: id.into(), target }).await?;
    moved.folder_info().ok_or(Error::NotFound)
}

struct Move {
    id: NodeId,
    target: Target,
}

#[async_trait]
impl Mutation for Move {
    type Output = Located;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Located> {
        let (found, place) = lock_both(tx, self.id, self.target.parent).await?;
        if place.is_within(self.id) {
            return Err(Error::Cycle);
        }
        access::check_below(tx.rows, tx.caller, &found, Right::Read).await?;
        let mut node = found.node().clone();
        node.share = place.share.id;
        node.parent = place.id();
        node.name = self.target.name.clone().unwrap_or(node.name);
        if node == *found.node() {
            return Ok(found);
        }
        place.check_limits(node.name.as_str())?;
        put_at(tx, &found, &place, node).await?;
        access::unjudged(tx.rows, tx.caller, self.id).await
    }
}

/// Writes a locked node that has another parent or name now, both checked, and tells the world; returns the row that
/// says where it is.
pub(super) async fn put_at(
    tx: &mut Tx<'_>,
    found: &Located,
    place: &Place,
    mut node: Node,
) -> Result<ChangeId> {
    node.modified_by = tx.caller.user.clone();
    tx.rows.update_node(&node).await?;
    let path = place.path_of(node.name.as_str());
    let id = if node.share == found.share.id {
        let moved = node.parent != found.node().parent;
        let kind = if moved { ChangeKind::Moved } else { ChangeKind::Renamed };
        let mut change = tree::change(&node, kind, path.clone());
        change.old_path = Some(found.path());
        let id = tx.change(change);
        if moved
            && found.node().id.as_folder().is_some()
            && reads_differ(tx, found.ancestors(), place).await?
        {
            tx.change(tree::access_changed(&node, path.clone()));
        }
        id
    } else {
        cross_shares(tx, found, &node, &path).await?
    };
    let from = serde_json::json!({ "from": found.path() });
    tx.audit(tree::audit("move", node.id, path).with(from));
    Ok(id)
}

/// Takes the tree locks of both shares in id order, then reads both ends: two opposite moves would both pass
/// a check made before.
async fn lock_both(tx: &mut Tx<'_>, id: NodeId, parent: ParentId) -> Result<(Located, Place)> {
    let from = access::node(tx.rows, tx.caller, id, Right::Delete).await?.share.id;
    let to = access::parent_place(tx.rows, tx.caller, parent, Right::Create).await?.share.id;
    tree::lock_for(tx, id, from.min(to)).await?;
    if from != to {
        tree::lock_for(tx, id, from.max(to)).await?;
    }
    tx.rows.lock_node(tx.caller.tenant, id).await?;
    let found = access::node(tx.rows, tx.caller, id, Right::Delete).await?;
    let place = access::parent_place(tx.rows, tx.caller, parent, Right::Create).await?;
    if found.share.id == from && place.share.id == to {
        Ok((found, place))
    } else {
        Err(Error::unavailable("the item, which is just being moved", std::time::Duration::from_secs(1)))
    }
}

/// Puts what a folder of the same share holds at a place where the names that are told are free, all checked and locked,
/// and tells the world of each.
pub(super) async fn put_all(
    tx: &mut Tx<'_>,
    from: &Place,
    place: &Place,
    items: Vec<(Node, FileName)>,
) -> Result<()> {
    let differs = reads_differ(tx, from.chain(), place).await?;
    let (tenant, by) = (tx.caller.tenant, tx.caller.user.clone());
    let keeps_name = |(node, name): &&(Node, FileName)| node.name == *name;
    let ids: Vec<NodeId> = items.iter().filter(keeps_name).map(|(node, _)| node.id).collect();
    tx.rows.set_parent(tenant, &ids, place.id(), &by).await?;
    let (above, below) = (from.path_of(""), place.path_of(""));
    for (before, name) in items {
        let old_path = format!("{above}{}", before.name);
        let is_renamed = before.name != name;
        let node = Node { parent: place.id(), name, modified_by: by.clone(), ..before };
        if is_renamed {
            tx.rows.update_node(&node).await?;
        }
        let path = format!("{below}{}", node.name);
        let mut change = tree::change(&node, ChangeKind::Moved, path.clone());
        change.old_path = Some(old_path.clone());
        tx.change(change);
        if differs && node.id.as_folder().is_some() {
            tx.change(tree::access_changed(&node, path.clone()));
        }
        let from = serde_json::json!({ "from": old_path });
        tx.audit(tree::audit("move", node.id, path).with(from));
    }
    Ok(())
}

/// Tells whether what a folder holds that moves from below these nodes to another place may be seen by others than
/// before: whether anything that lies above it on one side alone has entries of its own, or does not inherit.
async fn reads_differ(tx: &mut Tx<'_>, before: &[Node], place: &Place) -> Result<bool> {
    if !place.share.has_acl {
        return Ok(false);
    }
    let after = place.chain();
    let on_one_side = |side: &[Node], other: &[Node]| {
        side.iter().filter(|node| other.iter().all(|same| same.id != node.id)).cloned().collect::<Vec<_>>()
    };
    let differing = [on_one_side(before, after), on_one_side(after, before)].concat();
    if differing.iter().any(|node| !node.inherit_acl) {
        return Ok(true);
    }
    let ids: Vec<ResourceId> = differing.iter().map(|node| node.id.into()).collect();
    tx.rows.have_entries(tx.caller.tenant, &ids).await
}

/// Rewrites what a move to another share changes below a folder, and tells readers of both shares.
async fn cross_shares(tx: &mut Tx<'_>, found: &Located, node: &Node, path: &str) -> Result<ChangeId> {
    for (owner, usage) in whole_usage(tx, found.node()).await? {
        tx.charge(found.share.id, &owner, usage.negated());
        tx.charge(node.share, &owner, usage);
    }
    if node.id.as_folder().is_some() {
        tx.rows.move_descendants(node.tenant, node.id, node.share).await?;
    }
    if found.share.has_acl {
        tx.rows.mark_acl(node.tenant, node.share).await?;
    }
    tx.rows.move_acl(node.tenant, node.id, (found.share.id, node.share), tx.now).await?;
    tx.change(tree::gone(found.share.id, node.id, found.path()));
    Ok(tx.change(tree::appeared(node, path)))
}

/// Returns what a node and everything below it cost, trash and old versions included, by owner.
async fn whole_usage(tx: &mut Tx<'_>, node: &Node) -> Result<Vec<(UserId, Usage)>> {
    let own = tree::usage_of(node);
    match node.id {
        NodeId::Folder(id) => {
            let mut all = tx.rows.subtree_usage(node.tenant, ParentId::Folder(id), true).await?;
            all.push((node.owner.clone(), own));
            Ok(all)
        }
        NodeId::File(id) => {
            let all: i64 =
                tx.rows.version_bytes(node.tenant, &[id]).await?.iter().map(|(_, bytes)| bytes).sum();
            Ok(vec![(node.owner.clone(), Usage { version_bytes: all - own.file_bytes, ..own })])
        }
    }
}

/// Returns the parent id that exactly one of a folder and a share's root names.
pub fn target_parent(folder: Option<FolderId>, share: Option<ShareId>) -> Result<ParentId> {
    match (folder, share) {
        (Some(folder), None) => Ok(ParentId::Folder(folder)),
        (None, Some(share)) => Ok(ParentId::Root(share)),
        _ => Err(Error::invalid(
            "target_folder_id",
            "give exactly one of target_folder_id and target_share_id",
            serde_json::Value::Null,
        )),
    }
}
