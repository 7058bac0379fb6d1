//! Copies: new files over the same content; no bytes move and no chunk row is written.

use std::collections::HashMap;

use async_trait::async_trait;
use serde_json::json;

use super::access::{self, Place, Right};
use super::folders;
use super::moves::Target;
use super::mutation::{self, Mutation, Tx};
use super::tree;
use crate::Drive;
use crate::model::{
    Caller, ChangeKind, Error, FileFacts, FileId, FileInfo, FileName, FolderId, FolderInfo, Node, NodeId,
    ParentId, Result, ShareId, UserId,
};

/// Files copied in one transaction: a larger folder is copied in several, so that nobody waits long.
const COPY_BATCH: usize = 500;

/// Copies a file; the copy starts at version 1.
pub async fn file(drive: &Drive, caller: &Caller, id: FileId, target: Target) -> Result<FileInfo> {
    mutation::run(drive, caller, CopyFile { id, target }).await
}

struct CopyFile {
    id: FileId,
    target: Target,
}

#[async_trait]
impl Mutation for CopyFile {
    type Output = FileInfo;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<FileInfo> {
        let share =
            access::parent_place(tx.rows, tx.caller, self.target.parent, Right::Create).await?.share.id;
        let from = access::file(tx.rows, tx.caller, self.id, Right::Read).await?.share.id;
        lock_both(tx, from, share).await?;
        let place = tree::place(tx, share, self.target.parent, Right::Create).await?;
        let source = access::file(tx.rows, tx.caller, self.id, Right::Read).await?;
        let name = self.target.name.clone().unwrap_or_else(|| source.node().name.clone());
        place.check_limits(name.as_str())?;
        let copy = copy_of(tx, source.node(), place.share.id, place.id(), name)?;
        super::files::insert(tx, &copy, None).await?;
        if let Some(facts) = &copy.file {
            tree::refer_again(tx, facts.content).await?;
        }
        let path = place.path_of(copy.name.as_str());
        tx.change(tree::change(&copy, ChangeKind::Created, path.clone()));
        let from = json!({ "from": source.node().id });
        tx.audit(tree::audit("file.copy", copy.id, path).with(from));
        tx.created(copy.id);
        let path = place.shown_path_of(copy.name.as_str());
        access::file_info(&copy, path, None).ok_or_else(|| Error::internal("a copied file is no file"))
    }
}

/// Takes the shared tree locks of both shares in id order: whoever takes the right to read away from there waits for
/// this, or this for that.
async fn lock_both(tx: &mut Tx<'_>, from: ShareId, to: ShareId) -> Result<()> {
    for share in [from.min(to), from.max(to)] {
        tx.rows.lock_tree_shared(tx.caller.tenant, share).await?;
    }
    Ok(())
}

/// Returns the row of a copy of a file.
fn copy_of(tx: &Tx<'_>, source: &Node, share: ShareId, parent: ParentId, name: FileName) -> Result<Node> {
    let facts = source.file.clone().ok_or(Error::NotFound)?;
    let user: UserId = tx.caller.user.clone();
    Ok(Node {
        id: NodeId::File(FileId::new(tx.ulid())),
        share,
        parent,
        name,
        owner: user.clone(),
        created_by: user.clone(),
        created_at: tx.now,
        modified_by: user,
        modified_at: source.modified_at,
        inherit_acl: true,
        file: Some(FileFacts { version_id: tree::version_id(tx), version: 1, ..facts }),
        ..source.clone()
    })
}

/// Copies a folder with everything live in it.
///
/// The new folder appears first and fills in batches of one transaction each; what it copies is what the source
/// held when the copy began. Into itself or a descendant is `Cycle`.
pub async fn folder(drive: &Drive, caller: &Caller, id: FolderId, target: Target) -> Result<FolderInfo> {
    let mut rows = drive.read().await?;
    let source = access::folder(&mut *rows, caller, id, Right::Read).await?;
    access::check_below(&mut *rows, caller, &source, Right::Read).await?;
    let place = access::parent_place(&mut *rows, caller, target.parent, Right::Create).await?;
    drop(rows);
    if place.is_within(id.into()) {
        return Err(Error::Cycle);
    }
    let name = target.name.clone().unwrap_or_else(|| source.node().name.clone());
    let walked = folders::walk(drive, caller, source.share.id, Some(id)).await?;
    let top = folders::create(drive, caller, place.share.id, place.id().folder(), name).await?;
    let mut copies: HashMap<ParentId, FolderId> = HashMap::from([(ParentId::Folder(id), top.id)]);
    let (dirs, files): (Vec<_>, Vec<_>) =
        walked.into_iter().map(|found| found.node).partition(|node| node.file.is_none());
    for dir in dirs {
        let parent = copies.get(&dir.parent).copied();
        let copy = folders::create(drive, caller, place.share.id, parent, dir.name).await?;
        if let NodeId::Folder(source) = dir.id {
            copies.insert(ParentId::Folder(source), copy.id);
        }
    }
    for batch in files.chunks(COPY_BATCH) {
        let batch =
            batch.iter().filter_map(|file| Some((file.clone(), *copies.get(&file.parent)?))).collect();
        mutation::run(
            drive,
            caller,
            CopyFiles { from: source.share.id, share: place.share.id, files: batch },
        )
        .await?;
    }
    folders::get(drive, caller, top.id).await
}

/// Copies files into folders that were made for them.
struct CopyFiles {
    from: ShareId,
    share: ShareId,
    files: Vec<(Node, FolderId)>,
}

#[async_trait]
impl Mutation for CopyFiles {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<()> {
        let mut places: HashMap<FolderId, Place> = HashMap::new();
        lock_both(tx, self.from, self.share).await?;
        let sources = self.readable(tx).await?;
        let (mut copies, mut from) = (Vec::with_capacity(self.files.len()), HashMap::new());
        for (source, folder) in &self.files {
            if !places.contains_key(folder) {
                let place = tree::place(tx, self.share, ParentId::Folder(*folder), Right::Create).await?;
                places.insert(*folder, place);
            }
            // Gone or out of sight since the copy began: it is left out, as from a listing.
            let Some(now) = sources.get(&source.id) else { continue };
            let copy = copy_of(tx, now, self.share, ParentId::Folder(*folder), source.name.clone())?;
            from.insert(copy.id, source.id);
            copies.push(copy);
        }
        tx.rows.insert_nodes(&copies).await?;
        let versions = copies.iter().map(|copy| tree::version_of(copy, None)).collect::<Result<Vec<_>>>()?;
        tx.rows.insert_versions(tx.caller.tenant, &versions).await?;
        let contents: Vec<_> =
            copies.iter().filter_map(|copy| copy.file.as_ref().map(|facts| facts.content)).collect();
        tree::refer_again_all(tx, contents).await?;
        for copy in &copies {
            let Some(place) = copy.parent.folder().and_then(|folder| places.get(&folder)) else { continue };
            let path = place.path_of(copy.name.as_str());
            tx.charge(copy.share, &copy.owner, tree::usage_of(copy));
            tx.change(tree::change(copy, ChangeKind::Created, path.clone()));
            tx.audit(tree::audit("file.copy", copy.id, path).with(json!({ "from": from.get(&copy.id) })));
        }
        Ok(())
    }
}

impl CopyFiles {
    /// Returns the sources as they are now, those that the caller may still read.
    async fn readable(&self, tx: &mut Tx<'_>) -> Result<HashMap<NodeId, Node>> {
        let ids: Vec<NodeId> = self.files.iter().map(|(source, _)| source.id).collect();
        let found = access::locate_all(tx.rows, tx.caller, &ids).await?;
        let is_there = |source: &access::Located| {
            source.rights.has(Right::Read) && source.trashed_at().is_none() && !source.share.is_deleted
        };
        Ok(found
            .into_iter()
            .filter(is_there)
            .map(|source| (source.node().id, source.node().clone()))
            .collect())
    }
}
