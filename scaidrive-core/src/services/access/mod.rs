//! Who may do what: the only place that turns a decision into 404, 403 or 410.
//!
//! The decision itself is `model::acl`'s. Here the rows that match a caller become levels, once for a resource and
//! all above it, and once for a set of them; nothing is asked one query an item.

mod eyes;
mod located;
mod place;
mod standpoint;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use crate::model::acl::{AceType, Level};
use crate::model::{
    Caller, Error, FileId, FolderId, Node, NodeId, ParentId, ResourceId, Result, Rights, Share, ShareId,
};
use crate::ports::Reads;
use crate::ports::metadata::{SeenChain, SeenEntry};

pub use self::eyes::Eyes;
pub use self::located::{Located, file_info, folder_info};
pub use self::place::Place;
pub use self::standpoint::Standpoint;
pub use crate::model::Right;

/// Returns the entries on these resources that match the caller: with one query a thousand.
pub(super) async fn entries_by_resource(
    rows: &mut dyn Reads,
    caller: &Caller,
    ids: &[ResourceId],
) -> Result<HashMap<ResourceId, Vec<SeenEntry>>> {
    let mut found: HashMap<ResourceId, Vec<SeenEntry>> = HashMap::new();
    for (id, entry) in rows.seen_entries(caller, ids).await? {
        found.entry(id).or_default().push(entry);
    }
    Ok(found)
}

fn resource(id: impl Into<ResourceId>) -> String {
    let id = id.into();
    format!("{}/{id}", id.kind())
}

/// Says that something is not there that is: to the caller it is the same, and only the audit learns.
pub(super) fn hidden(caller: &Caller, right: Right, id: impl Into<ResourceId>) -> Error {
    caller.hidden.note(right, id.into());
    Error::NotFound
}

/// Tells whether rights let their holder do what `right` is for: nothing without READ, but change permissions.
pub(super) fn lets(rights: Rights, right: Right) -> bool {
    rights.has(right) && (rights.has(Right::Read) || right == Right::ManagePermissions)
}

/// A caller without READ gets 404; one with READ but without the right gets 403. Who may change permissions needs
/// no READ for that.
fn judge(caller: &Caller, rights: Rights, right: Right, id: impl Into<ResourceId>) -> Result<()> {
    if lets(rights, right) {
        Ok(())
    } else if rights.has(Right::Read) {
        Err(Error::PermissionDenied { right: right.as_str(), resource: resource(id) })
    } else {
        Err(hidden(caller, right, id))
    }
}

/// Returns a share on which the caller has `right`; one in the trash is gone.
pub async fn share(rows: &mut dyn Reads, caller: &Caller, id: ShareId, right: Right) -> Result<Share> {
    seen_share(rows, caller, id, right).await.map(|(share, _)| share)
}

/// Returns a share on which the caller has `right`, and where the caller stands in it; one in the trash is gone.
pub async fn seen_share(
    rows: &mut dyn Reads,
    caller: &Caller,
    id: ShareId,
    right: Right,
) -> Result<(Share, Standpoint)> {
    let (share, standpoint) = any_seen_share(rows, caller, id, right).await?;
    if share.is_deleted { Err(Error::Gone { what: resource(id) }) } else { Ok((share, standpoint)) }
}

/// Returns a share on which the caller has `right`, in the trash or not.
pub async fn any_share(rows: &mut dyn Reads, caller: &Caller, id: ShareId, right: Right) -> Result<Share> {
    any_seen_share(rows, caller, id, right).await.map(|(share, _)| share)
}

/// Returns a share on which the caller has `right`, in the trash or not, and where the caller stands in it.
pub(super) async fn any_seen_share(
    rows: &mut dyn Reads,
    caller: &Caller,
    id: ShareId,
    right: Right,
) -> Result<(Share, Standpoint)> {
    let seen = rows.seen_share(caller, id).await?.ok_or(Error::NotFound)?;
    let standpoint = Standpoint::of(caller, &seen);
    judge(caller, standpoint.root, right, id)?;
    Ok((seen.share, standpoint))
}

/// Returns a node with the caller's rights on it, whatever they are, in the trash or not; nothing says yet that the
/// caller may know of it.
pub(super) async fn unjudged(rows: &mut dyn Reads, caller: &Caller, id: NodeId) -> Result<Located> {
    rows.seen_chain(caller, id).await?.map(|seen| located(caller, seen)).ok_or(Error::NotFound)
}

/// Returns those of these nodes that are there, each with the caller's rights on it, whatever they are: with one
/// query, so that the time it takes does not tell which of them are there.
pub(super) async fn unjudged_all(
    rows: &mut dyn Reads,
    caller: &Caller,
    ids: &[NodeId],
) -> Result<Vec<Located>> {
    Ok(rows.seen_chains(caller, ids).await?.into_iter().map(|seen| located(caller, seen)).collect())
}

/// Returns children of a place, whatever the caller may do to them, in no order: with one query a thousand, and none where
/// nothing below the root has entries.
pub(super) async fn children_at(
    rows: &mut dyn Reads,
    caller: &Caller,
    place: &Place,
    nodes: &[Node],
) -> Result<Vec<Located>> {
    if place.share.has_acl && !caller.is_admin() {
        let ids: Vec<NodeId> = nodes.iter().map(|node| node.id).collect();
        return unjudged_all(rows, caller, &ids).await;
    }
    Ok(nodes.iter().map(|node| place.child(node)).collect())
}

fn located(caller: &Caller, seen: SeenChain) -> Located {
    let standpoint = Standpoint::of(caller, &seen.share);
    Located::judged(standpoint, seen.share.share, seen.nodes)
}

/// Returns a node on which the caller has `right`, in the trash or not; its share must not be.
pub async fn any_node(rows: &mut dyn Reads, caller: &Caller, id: NodeId, right: Right) -> Result<Located> {
    let found = unjudged(rows, caller, id).await?;
    judge(caller, found.rights, right, id)?;
    if found.share.is_deleted {
        return Err(Error::Gone { what: resource(id) });
    }
    Ok(found)
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
        let (share, standpoint) = seen_share(rows, caller, id, right).await?;
        return Ok(Place::root(share, standpoint));
    };
    let found = folder(rows, caller, folder_id, right).await?;
    if found.share.id == id { Ok(Place::folder(found)) } else { Err(Error::NotFound) }
}

/// Returns those of these nodes that are there, each with the caller's rights on it: with two queries and one a
/// share, however many there are. Nothing says yet that the caller may know of them.
pub(super) async fn locate_all(
    rows: &mut dyn Reads,
    caller: &Caller,
    ids: &[NodeId],
) -> Result<Vec<Located>> {
    let chains = rows.chains(caller.tenant, ids).await?;
    let mut above: Vec<ResourceId> = chains.iter().flatten().map(|node| node.id.into()).collect();
    above.sort_unstable();
    above.dedup();
    let entries = entries_by_resource(rows, caller, &above).await?;
    let mut shares: HashMap<ShareId, Option<(Share, Standpoint)>> = HashMap::new();
    let mut found = Vec::with_capacity(chains.len());
    for chain in chains {
        let Some(id) = chain.first().map(|node| node.share) else { continue };
        if let Entry::Vacant(unknown) = shares.entry(id) {
            let seen = rows.seen_share(caller, id).await?;
            unknown.insert(seen.map(|seen| (seen.share.clone(), Standpoint::of(caller, &seen))));
        }
        let Some(Some((share, standpoint))) = shares.get(&id) else { continue };
        let own = |node: Node| {
            let matching = entries.get(&node.id.into()).cloned().unwrap_or_default();
            (node, matching)
        };
        let nodes = chain.into_iter().map(own).collect();
        found.push(Located::judged(standpoint.clone(), share.clone(), nodes));
    }
    Ok(found)
}

/// Returns those of these nodes that the caller may download: it has READ, and nothing there is in the trash.
pub(super) async fn downloadable(
    rows: &mut dyn Reads,
    caller: &Caller,
    ids: &[NodeId],
) -> Result<Vec<Located>> {
    let mut found = locate_all(rows, caller, ids).await?;
    found.retain(|located| {
        located.rights.has(Right::Read) && !located.share.is_deleted && located.trashed_at().is_none()
    });
    Ok(found)
}

/// Fails unless the caller has READ on a share, and CREATE or WRITE on it or by an entry on something in it.
pub(super) async fn may_write_in(rows: &mut dyn Reads, caller: &Caller, id: ShareId) -> Result<()> {
    let (share, standpoint) = seen_share(rows, caller, id, Right::Read).await?;
    let writes = |rights: Rights| rights.has(Right::Create) || rights.has(Right::Write);
    if writes(standpoint.root) {
        return Ok(());
    }
    if share.has_acl {
        let entries = rows.entries_in(caller, id).await?;
        let allows = |entry: &SeenEntry| entry.ace.kind == AceType::Allow && writes(entry.ace.rights);
        if standpoint.counting(&entries).any(allows) {
            return Ok(());
        }
    }
    Err(Error::PermissionDenied { right: Right::Create.as_str(), resource: resource(id) })
}

/// Returns many places of one share, or why each cannot be used: with three queries, however many there are.
pub async fn places(
    rows: &mut dyn Reads,
    caller: &Caller,
    id: ShareId,
    parents: &[ParentId],
    right: Right,
) -> Result<BTreeMap<ParentId, Result<Place>>> {
    let seen = rows.seen_share(caller, id).await?.ok_or(Error::NotFound)?;
    let standpoint = Standpoint::of(caller, &seen);
    if seen.share.is_deleted {
        return Err(Error::Gone { what: resource(id) });
    }
    let folders: Vec<NodeId> =
        parents.iter().filter_map(|parent| parent.folder()).map(NodeId::from).collect();
    let mut located: HashMap<NodeId, Located> =
        locate_all(rows, caller, &folders).await?.into_iter().map(|found| (found.node().id, found)).collect();
    let mut place = |parent: ParentId| match parent {
        ParentId::Root(root) if root == id => {
            judge(caller, standpoint.root, right, id)?;
            Ok(Place::root(seen.share.clone(), standpoint.clone()))
        }
        ParentId::Root(_) => Err(Error::NotFound),
        ParentId::Folder(folder) => {
            let found =
                located.remove(&folder.into()).filter(|found| found.share.id == id).ok_or(Error::NotFound)?;
            judge(caller, found.rights, right, NodeId::Folder(folder))?;
            Ok(Place::folder(found.live()?))
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
        ParentId::Folder(id) => folder(rows, caller, id, right).await.map(Place::folder),
    }
}

/// Fails with `PermissionDenied` unless the caller has `right` on everything below a folder, without naming what it
/// lacks it on: that may be invisible.
///
/// Most of what lies below only inherits, so it is judged by the folders it inherits from.
pub(super) async fn check_below(
    rows: &mut dyn Reads,
    caller: &Caller,
    top: &Located,
    right: Right,
) -> Result<()> {
    let NodeId::Folder(id) = top.node().id else { return Ok(()) };
    if !top.share.has_acl || caller.is_admin() {
        return Ok(());
    }
    let denied =
        || Error::PermissionDenied { right: right.as_str(), resource: format!("what folder/{id} holds") };
    let fenced = rows.fenced_below(caller, id.into()).await?;
    let judged = locate_all(rows, caller, &fenced).await?;
    if judged.iter().any(|found| !found.rights.has(right)) {
        return Err(denied());
    }
    let passes_less = |found: &&Located| !found.standpoint.decide(found.below, &Level::default()).has(right);
    let suspects = judged.iter().chain([top]).filter(passes_less);
    let suspects: Vec<ParentId> =
        suspects.filter_map(|found| found.node().id.as_folder()).map(ParentId::Folder).collect();
    let plain = rows.children_of(caller.tenant, &suspects).await?;
    if plain.iter().all(|child| fenced.contains(&child.id)) { Ok(()) } else { Err(denied()) }
}
