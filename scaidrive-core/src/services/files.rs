//! Files: create, look at, write, change.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncRead;

use super::access::{self, Right};
use super::ingest::{self, StoredContent};
use super::mutation::{self, Mutation, Tx};
use super::tree;
use crate::Drive;
use crate::model::{
    Caller, ChangeKind, Error, FileFacts, FileId, FileInfo, FileName, FolderId, MimeType, Node, NodeId,
    ParentId, Result, ShareId, SharePath, Timestamp, Usage,
};

/// What the current state must be for a write to go ahead: `If-Match`.
#[derive(Clone, Debug, Default)]
pub struct IfMatch(pub Option<Vec<String>>);

impl IfMatch {
    /// Fails unless one of the tags is the content's checksum or the version's id, or `*`.
    pub fn check(&self, facts: &FileFacts) -> Result<()> {
        self.check_tags(&facts.checksum.to_string(), &facts.version_id.to_string())
    }

    /// Fails unless one of the tags is the checksum of a file's content or its version's id, or `*`.
    pub fn check_file(&self, file: &FileInfo) -> Result<()> {
        self.check_tags(&file.checksum_sha256.to_string(), &file.version_id.to_string())
    }

    fn check_tags(&self, checksum: &str, version: &str) -> Result<()> {
        let Some(tags) = &self.0 else { return Ok(()) };
        let holds = tags.iter().any(|tag| tag == checksum || tag == version || tag == "*");
        if holds { Ok(()) } else { Err(Error::PreconditionFailed) }
    }
}

/// Where a new file goes and what it says of itself.
#[derive(Clone, Debug)]
pub struct NewFile {
    /// The share.
    pub share: ShareId,
    /// The folder; nothing for the share's root.
    pub folder: Option<FolderId>,
    /// Its name.
    pub name: FileName,
    /// Its type; nothing to guess it from the name.
    pub mime_type: Option<MimeType>,
    /// When it was changed last; nothing for now.
    pub modified_at: Option<Timestamp>,
}

/// Returns a file.
pub async fn get(drive: &Drive, caller: &Caller, id: FileId) -> Result<FileInfo> {
    let found = access::file(&mut *drive.read().await?, caller, id, Right::Read).await?;
    found.file_info().ok_or(Error::NotFound)
}

/// Fails before a byte is read where a new file could not be created anyway.
pub async fn check_create(drive: &Drive, caller: &Caller, new: &NewFile) -> Result<()> {
    let mut rows = drive.read().await?;
    let place = access::place(&mut *rows, caller, new.share, new.folder, Right::Create).await?;
    place.check_limits(new.name.as_str())?;
    match rows.child(caller.tenant, place.id(), &new.name.key()).await? {
        Some(_) => Err(Error::NameConflict { name: new.name.to_string() }),
        None => Ok(()),
    }
}

/// Returns the largest content the tenant accepts, in bytes.
pub async fn size_limit(drive: &Drive, caller: &Caller) -> Result<u64> {
    let tenant = drive.read().await?.tenant(caller.tenant).await?.ok_or(Error::NotFound)?;
    Ok(tenant.settings.max_file_size_bytes)
}

/// Creates a file from a stream; a taken name is `NameConflict`, nothing is ever overwritten.
pub async fn create(
    drive: &Drive,
    caller: &Caller,
    new: NewFile,
    reader: impl AsyncRead + Send + Unpin + 'static,
) -> Result<FileInfo> {
    check_create(drive, caller, &new).await?;
    let content = store(drive, caller, reader).await?;
    create_from(drive, caller, new, content).await
}

/// Stores a stream within the tenant's limit; nothing refers to it yet.
pub async fn store(
    drive: &Drive,
    caller: &Caller,
    reader: impl AsyncRead + Send + Unpin + 'static,
) -> Result<StoredContent> {
    let limit = size_limit(drive, caller).await?;
    ingest::store(drive, caller.tenant, reader, limit).await
}

/// Creates a file from a content that is stored already.
pub async fn create_from(
    drive: &Drive,
    caller: &Caller,
    new: NewFile,
    content: StoredContent,
) -> Result<FileInfo> {
    let new = Arc::new(new);
    with_fresh_touch(drive, caller, content, |content| {
        let create = CreateFile { new: Arc::clone(&new), content, grace: drive.gc_grace };
        mutation::run(drive, caller, create)
    })
    .await
}

/// Runs a mutation that refers to a content, once more if its touches grew too old while it waited.
pub(super) async fn with_fresh_touch<T, F: Future<Output = Result<T>>>(
    drive: &Drive,
    caller: &Caller,
    content: StoredContent,
    mutate: impl Fn(StoredContent) -> F,
) -> Result<T> {
    match mutate(content.clone()).await {
        Err(Error::TouchExpired) => mutate(ingest::touch_again(drive, caller.tenant, &content).await?).await,
        outcome => outcome,
    }
}

struct CreateFile {
    new: Arc<NewFile>,
    content: StoredContent,
    grace: Duration,
}

#[async_trait]
impl Mutation for CreateFile {
    type Output = FileInfo;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<FileInfo> {
        create_in(tx, &self.new, &self.content, self.grace).await
    }
}

/// Creates a file from a content that is stored already, as a part of a mutation.
pub(super) async fn create_in(
    tx: &mut Tx<'_>,
    new: &NewFile,
    content: &StoredContent,
    grace: Duration,
) -> Result<FileInfo> {
    let parent = new.folder.map_or(ParentId::Root(new.share), ParentId::Folder);
    let place = tree::place(tx, new.share, parent, Right::Create).await?;
    place.check_limits(new.name.as_str())?;
    let node = new_file(tx, place.share.id, parent, new, content);
    insert(tx, &node, None).await?;
    tree::refer_to(tx, &[content], grace).await?;
    let path = place.path_of(node.name.as_str());
    tx.change(tree::change(&node, ChangeKind::Created, path.clone()));
    tx.audit(tree::audit("file.create", node.id, path));
    tx.created(node.id);
    let path = place.shown_path_of(node.name.as_str());
    access::file_info(&node, path, None).ok_or_else(|| Error::internal("a new file is no file"))
}

/// Returns the row of a new file.
pub(super) fn new_file(
    tx: &Tx<'_>,
    share: ShareId,
    parent: ParentId,
    new: &NewFile,
    content: &StoredContent,
) -> Node {
    Node {
        id: NodeId::File(FileId::new(tx.ulid())),
        tenant: tx.caller.tenant,
        share,
        parent,
        name: new.name.clone(),
        owner: tx.caller.user.clone(),
        created_by: tx.caller.user.clone(),
        created_at: tx.now,
        modified_by: tx.caller.user.clone(),
        modified_at: new.modified_at.unwrap_or(tx.now),
        inherit_acl: true,
        trashed_at: None,
        file: Some(FileFacts {
            mime_type: new.mime_type.clone().unwrap_or_else(|| MimeType::guess(&new.name)),
            size: content.row.size,
            checksum: content.row.checksum,
            content: content.row.id,
            version_id: tree::version_id(tx),
            version: 1,
        }),
    }
}

/// Inserts a new file with its first version, and charges it.
pub(super) async fn insert(tx: &mut Tx<'_>, node: &Node, comment: Option<String>) -> Result<()> {
    tx.rows.insert_nodes(std::slice::from_ref(node)).await?;
    tx.rows.insert_versions(node.tenant, &[tree::version_of(node, comment)?]).await?;
    tx.charge(node.share, &node.owner, tree::usage_of(node));
    Ok(())
}

/// Writes a new version of a file from a stream.
pub async fn write(
    drive: &Drive,
    caller: &Caller,
    id: FileId,
    if_match: IfMatch,
    reader: impl AsyncRead + Send + Unpin + 'static,
) -> Result<FileInfo> {
    let found = access::file(&mut *drive.read().await?, caller, id, Right::Write).await?;
    if let Some(facts) = &found.node().file {
        if_match.check(facts)?;
    }
    let content = store(drive, caller, reader).await?;
    write_from(drive, caller, id, if_match, None, content).await
}

/// Writes a new version of a file from a content that is stored already.
pub async fn write_from(
    drive: &Drive,
    caller: &Caller,
    id: FileId,
    if_match: IfMatch,
    modified_at: Option<Timestamp>,
    content: StoredContent,
) -> Result<FileInfo> {
    with_fresh_touch(drive, caller, content, |content| {
        let write =
            WriteContent { id, if_match: if_match.clone(), modified_at, content, grace: drive.gc_grace };
        mutation::run(drive, caller, write)
    })
    .await
}

struct WriteContent {
    id: FileId,
    if_match: IfMatch,
    modified_at: Option<Timestamp>,
    content: StoredContent,
    grace: Duration,
}

#[async_trait]
impl Mutation for WriteContent {
    type Output = FileInfo;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<FileInfo> {
        let found = tree::locked_node(tx, self.id.into(), Right::Write).await?.live()?;
        let facts = found.node().file.clone().ok_or(Error::NotFound)?;
        self.if_match.check(&facts)?;
        write_in(tx, (found, facts), &self.content, self.modified_at, self.grace).await
    }
}

/// Makes a content that is stored already the next version of a locked file, as a part of a mutation; what else is
/// to change of the file's facts is changed in `facts`.
pub(super) async fn write_in(
    tx: &mut Tx<'_>,
    (found, facts): (access::Located, FileFacts),
    content: &StoredContent,
    modified_at: Option<Timestamp>,
    grace: Duration,
) -> Result<FileInfo> {
    let next = content.facts(facts);
    let found = new_version(tx, found, next, None, modified_at).await?;
    tree::refer_to(tx, &[content], grace).await?;
    tx.audit(tree::audit("file.write", found.node().id, found.path()));
    found.file_info().ok_or(Error::NotFound)
}

/// Makes `next` the file's current version; what was current becomes an old one.
pub(super) async fn new_version(
    tx: &mut Tx<'_>,
    found: access::Located,
    next: FileFacts,
    comment: Option<String>,
    modified_at: Option<Timestamp>,
) -> Result<access::Located> {
    let old_size = found.node().size() as i64;
    let mut node = found.node().clone();
    let number =
        next.version.checked_add(1).ok_or_else(|| Error::internal("a file ran out of version numbers"))?;
    let growth = next.size as i64 - old_size;
    node.file = Some(FileFacts { version_id: tree::version_id(tx), version: number, ..next });
    node.modified_by = tx.caller.user.clone();
    node.modified_at = modified_at.unwrap_or(tx.now);
    tx.rows.insert_versions(node.tenant, &[tree::version_of(&node, comment)?]).await?;
    tx.rows.update_node(&node).await?;
    let delta = Usage { file_bytes: growth, version_bytes: old_size, ..Usage::default() };
    tx.charge(node.share, &node.owner, delta);
    tx.change(tree::change(&node, ChangeKind::Updated, found.path()));
    Ok(found.with_node(node))
}

/// What a PATCH of a file may change; nothing leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct FilePatch {
    /// Its name; changing only the case is allowed.
    pub name: Option<FileName>,
    /// When it was changed last, as the client knows it.
    pub modified_at: Option<Timestamp>,
    /// Its type.
    pub mime_type: Option<MimeType>,
}

/// Changes a file's name, time or type.
pub async fn patch(
    drive: &Drive,
    caller: &Caller,
    id: FileId,
    patch: FilePatch,
    if_match: IfMatch,
) -> Result<FileInfo> {
    mutation::run(drive, caller, PatchFile { id, patch, if_match }).await
}

struct PatchFile {
    id: FileId,
    patch: FilePatch,
    if_match: IfMatch,
}

#[async_trait]
impl Mutation for PatchFile {
    type Output = FileInfo;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<FileInfo> {
        let found = tree::locked_node(tx, self.id.into(), Right::Write).await?.live()?;
        let mut node = found.node().clone();
        if let Some(facts) = &mut node.file {
            self.if_match.check(facts)?;
            facts.mime_type = self.patch.mime_type.clone().unwrap_or_else(|| facts.mime_type.clone());
        }
        node.name = self.patch.name.clone().unwrap_or(node.name);
        node.modified_at = self.patch.modified_at.unwrap_or(node.modified_at);
        let after = change_in_place(tx, found, node, "file.update").await?;
        after.file_info().ok_or(Error::NotFound)
    }
}

/// Writes a node whose name or metadata changed, and tells the world; an unchanged one is left alone.
pub(super) async fn change_in_place(
    tx: &mut Tx<'_>,
    found: access::Located,
    mut node: Node,
    action: &'static str,
) -> Result<access::Located> {
    if node == *found.node() {
        return Ok(found);
    }
    let renamed = node.name != found.node().name;
    let old_path = found.path();
    node.modified_by = tx.caller.user.clone();
    let after = found.with_node(node.clone());
    let new_path = after.path();
    SharePath::check_limits(after.depth(), new_path.len())
        .map_err(|message| Error::invalid("name", message, node.name.as_str()))?;
    tx.rows.update_node(&node).await?;
    let kind = if renamed { ChangeKind::Renamed } else { ChangeKind::Updated };
    let mut change = tree::change(&node, kind, new_path.clone());
    change.old_path = renamed.then_some(old_path);
    tx.change(change);
    tx.audit(tree::audit(action, node.id, new_path));
    Ok(after)
}
