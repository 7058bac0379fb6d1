//! What the use-cases of files and folders share: placing nodes, references to contents, change rows.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use serde_json::{Value, json};

use super::access::{self, Located, Place, Right};
use super::ingest::StoredContent;
use super::mutation::Tx;
use crate::model::{
    AuditCategory, AuditEvent, Change, ChangeKind, ChunkHash, ContentId, Error, FileName, Node, NodeId,
    NodeKind, ParentId, ResourceKind, Result, ShareId, Usage, Version, VersionId,
};
use crate::ports::metadata::ContentRow;

/// Takes the share's tree lock for placing nodes, then reads the place again: whatever was known of it before
/// the lock may have moved or been trashed since.
pub(super) async fn place(tx: &mut Tx<'_>, share: ShareId, parent: ParentId, right: Right) -> Result<Place> {
    tx.rows.lock_tree_shared(tx.caller.tenant, share).await?;
    let place = access::parent_place(tx.rows, tx.caller, parent, right).await?;
    if place.share.id == share { Ok(place) } else { Err(Error::NotFound) }
}

/// Takes the tree lock of a node's share alone, then reads the node again: for moving, trashing, restoring or
/// purging folders. A file needs the shared lock only.
pub(super) async fn locked_node(tx: &mut Tx<'_>, id: NodeId, right: Right) -> Result<Located> {
    let before = access::any_node(tx.rows, tx.caller, id, right).await?;
    lock_for(tx, id, before.share.id).await?;
    tx.rows.lock_node(tx.caller.tenant, id).await?;
    let after = access::any_node(tx.rows, tx.caller, id, right).await?;
    if after.share.id == before.share.id {
        Ok(after)
    } else {
        Err(Error::unavailable(
            "the item, which is just being moved to another share",
            Duration::from_secs(1),
        ))
    }
}

/// Takes a share's tree lock as strongly as changing this kind of node in it demands.
pub(super) async fn lock_for(tx: &mut Tx<'_>, id: NodeId, share: ShareId) -> Result<()> {
    let locked = match id {
        NodeId::Folder(_) => tx.rows.lock_tree(tx.caller.tenant, share).await?,
        NodeId::File(_) => tx.rows.lock_tree_shared(tx.caller.tenant, share).await?,
    };
    locked.map(drop).ok_or(Error::NotFound)
}

/// Makes sure that the rows of contents exist, so that versions may refer to them in this transaction.
///
/// Chunks that the caller sent for them are pending no more.
pub(super) async fn refer_to(tx: &mut Tx<'_>, contents: &[&StoredContent], grace: Duration) -> Result<()> {
    let tenant = tx.caller.tenant;
    let sent: BTreeSet<ChunkHash> = contents
        .iter()
        .filter(|content| content.is_assembled())
        .flat_map(|content| content.hashes())
        .collect();
    tx.rows.settle_sent(tenant, &tx.caller.user, &sent.into_iter().collect::<Vec<_>>()).await?;
    let now = tx.rows.now().await?;
    contents.iter().try_for_each(|content| content.check_fresh(now, grace))?;
    // One row each, in key order: a batch may hold the same content many times.
    let wanted: BTreeMap<ContentId, &ContentRow> =
        contents.iter().map(|content| (content.row.id, &content.row)).collect();
    let ids: Vec<ContentId> = wanted.keys().copied().collect();
    for _ in 0..3 {
        let known: HashSet<ContentId> =
            tx.rows.touch_contents(tenant, &ids, now).await?.into_iter().collect();
        let new: Vec<ContentRow> =
            wanted.values().filter(|row| !known.contains(&row.id)).map(|row| (*row).clone()).collect();
        match tx.rows.insert_contents(tenant, &new, now).await {
            // A rival inserted one of them first: by now it is committed, and can be touched.
            Err(Error::AlreadyExists { .. }) => {}
            outcome => return outcome,
        }
    }
    Err(Error::unavailable("a content that others write too", Duration::from_secs(1)))
}

/// Touches a content that a version refers to already, so that another one may.
pub(super) async fn refer_again(tx: &mut Tx<'_>, content: ContentId) -> Result<()> {
    refer_again_all(tx, vec![content]).await
}

/// Touches contents that versions refer to already, so that others may.
pub(super) async fn refer_again_all(tx: &mut Tx<'_>, mut contents: Vec<ContentId>) -> Result<()> {
    contents.sort_unstable();
    contents.dedup();
    let now = tx.rows.now().await?;
    let found = tx.rows.touch_contents(tx.caller.tenant, &contents, now).await?;
    if found.len() == contents.len() {
        Ok(())
    } else {
        Err(Error::Corrupt { what: "a content has versions but no row".to_owned() })
    }
}

/// Returns the first version of a new file, or the next of an old one, as it says of itself.
pub(super) fn version_of(node: &Node, comment: Option<String>) -> Result<Version> {
    let (Some(file), Some(facts)) = (node.id.as_file(), node.file.as_ref()) else {
        return Err(Error::internal("a folder has no version"));
    };
    Ok(Version {
        id: facts.version_id,
        file,
        number: facts.version,
        size: facts.size,
        checksum: facts.checksum,
        content: facts.content,
        created_by: node.modified_by.clone(),
        created_at: node.modified_at,
        comment,
    })
}

/// Returns a new version id.
pub(super) fn version_id(tx: &Tx<'_>) -> VersionId {
    VersionId::new(tx.ulid())
}

/// Returns what a node costs where it is now, its old versions left out.
pub(super) fn usage_of(node: &Node) -> Usage {
    match node.kind() {
        NodeKind::File => Usage { file_bytes: node.size() as i64, file_count: 1, ..Usage::default() },
        NodeKind::Folder => Usage { folder_count: 1, ..Usage::default() },
    }
}

/// Returns a node's full state, so that a change row can be applied as an upsert.
pub(super) fn state(node: &Node) -> Value {
    let mut state = json!({
        "parent_id": node.parent.folder(), "name": node.name, "modified_at": node.modified_at,
    });
    if let Some(facts) = &node.file {
        state["size"] = json!(facts.size);
        state["mime_type"] = json!(facts.mime_type);
        state["checksum_sha256"] = json!(facts.checksum);
        state["version"] = json!(facts.version);
    }
    state
}

/// Returns a change row that carries the node's state and its path now.
pub(super) fn change(node: &Node, kind: ChangeKind, path: impl Into<String>) -> Change {
    Change {
        new_path: Some(path.into()),
        version: node.file.as_ref().map(|facts| facts.version_id),
        metadata: state(node),
        ..Change::of_node(node.share, node.id, kind)
    }
}

/// Returns the change row of a node that others than before may see, with all it holds: readers look into it again.
pub(super) fn access_changed(node: &Node, path: impl Into<String>) -> Change {
    let mut change = change(node, ChangeKind::Updated, path);
    change.metadata["access_changed"] = true.into();
    change
}

/// Returns the change row of a node that appears with all it holds, which no row of its own tells of: readers look into
/// such a folder themselves.
pub(super) fn appeared(node: &Node, path: impl Into<String>) -> Change {
    let mut change = change(node, ChangeKind::Created, path);
    if node.kind() == NodeKind::Folder {
        change.metadata["covers_subtree"] = true.into();
    }
    change
}

/// Returns a change row for a node that is gone from its place.
pub(super) fn gone(share: ShareId, id: NodeId, path: impl Into<String>) -> Change {
    Change { old_path: Some(path.into()), ..Change::of_node(share, id, ChangeKind::Deleted) }
}

/// Returns an audit event about a node.
pub(super) fn audit(action: &'static str, id: NodeId, path: impl Into<String>) -> AuditEvent {
    let kind = if id.as_file().is_some() { ResourceKind::File } else { ResourceKind::Folder };
    AuditEvent::new(AuditCategory::FileModification, action, kind, id).at(path)
}

/// Returns a name that is free in a place: the wanted one, or the wanted one with a marker and a number.
pub(super) async fn free_name(
    tx: &mut Tx<'_>,
    parent: ParentId,
    wanted: &FileName,
    marker: &str,
) -> Result<FileName> {
    let mut name = wanted.clone();
    for attempt in 1..=1000 {
        if tx.rows.child(tx.caller.tenant, parent, &name.key()).await?.is_none() {
            return Ok(name);
        }
        name = match attempt {
            1 => wanted.with_marker(&format!(" ({marker})")),
            more => wanted.with_marker(&format!(" ({marker} {more})")),
        };
    }
    Err(Error::NameConflict { name: wanted.to_string() })
}
