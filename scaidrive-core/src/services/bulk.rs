//! Many small files at once: they share chunk transactions, syncs and one metadata transaction.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::access::{self, Place, Right};
use super::files::{self, NewFile};
use super::ingest::{self, StoredContent};
use super::inserts::Inserts;
use super::mutation::{self, Mutation, Tx};
use super::{folders, tree};
use crate::Drive;
use crate::model::{
    Caller, Error, FileName, FolderId, NameKey, Node, NodeId, ParentId, Result, ShareId, SharePath, Timestamp,
};

/// Folders made in one transaction.
const FOLDER_BATCH: usize = 500;

/// Files written in one call: more would hold everybody else up for too long.
pub const FILE_BATCH: usize = 1000;

/// A file to be created, or to get a new version where one of its name exists.
#[derive(Clone, Debug)]
pub struct BulkFile {
    /// Where it goes.
    pub parent: ParentId,
    /// Its name.
    pub name: FileName,
    /// When it was changed last; nothing for now.
    pub modified_at: Option<Timestamp>,
    /// Its content.
    pub bytes: Bytes,
}

/// What became of a file of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkOutcome {
    /// It is new.
    Created,
    /// It has a new version.
    Updated,
    /// It had this content already.
    Unchanged,
}

/// Returns the places at these paths below `top`, missing folders created; a file in the way is `NameConflict`.
pub async fn ensure_folders(
    drive: &Drive,
    caller: &Caller,
    share: ShareId,
    top: ParentId,
    paths: Vec<SharePath>,
) -> Result<HashMap<SharePath, ParentId>> {
    let mut all: Vec<SharePath> = paths;
    all.sort_by_key(|path| path.names().len());
    let mut found = HashMap::from([(SharePath::default(), top)]);
    for batch in all.chunks(FOLDER_BATCH) {
        let mutation = EnsureFolders { share, known: found.clone(), paths: batch.to_vec() };
        found.extend(mutation::run(drive, caller, mutation).await?);
    }
    Ok(found)
}

struct EnsureFolders {
    share: ShareId,
    known: HashMap<SharePath, ParentId>,
    paths: Vec<SharePath>,
}

#[async_trait]
impl Mutation for EnsureFolders {
    type Output = HashMap<SharePath, ParentId>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        tx.rows.lock_tree_shared(tx.caller.tenant, self.share).await?;
        let mut known = self.known.clone();
        let mut new = NewFolders::of(self.share);
        for path in &self.paths {
            for depth in 1..=path.names().len() {
                let prefix = path.prefix(depth);
                if known.contains_key(&prefix) {
                    continue;
                }
                let Some((above, name)) = prefix.split_last() else { continue };
                let parent =
                    *known.get(&above).ok_or_else(|| Error::internal("a parent was not made first"))?;
                let id = new.ensure(tx, parent, name.clone()).await?;
                known.insert(prefix, ParentId::Folder(id));
            }
        }
        tx.rows.insert_nodes(&new.rows).await?;
        Ok(known)
    }
}

/// The folders that a mutation makes, gathered so that they are inserted together.
struct NewFolders {
    share: ShareId,
    places: HashMap<ParentId, Place>,
    made: HashMap<(ParentId, NameKey), FolderId>,
    fresh: HashSet<FolderId>,
    rows: Vec<Node>,
}

impl NewFolders {
    fn of(share: ShareId) -> Self {
        Self { share, places: HashMap::new(), made: HashMap::new(), fresh: HashSet::new(), rows: Vec::new() }
    }

    async fn ensure(&mut self, tx: &mut Tx<'_>, parent: ParentId, name: FileName) -> Result<FolderId> {
        let slot = (parent, name.key());
        if let Some(id) = self.made.get(&slot) {
            return Ok(*id);
        }
        let is_new = parent.folder().is_some_and(|id| self.fresh.contains(&id));
        if !is_new {
            match tx.rows.child(tx.caller.tenant, parent, &slot.1).await? {
                Some(Node { id: NodeId::Folder(id), .. }) => return Ok(id),
                Some(_) => return Err(Error::NameConflict { name: name.to_string() }),
                None => {}
            }
        }
        let place = self.place(tx, parent).await?;
        let node = folders::new_in(tx, &place, name)?;
        let id = node.id.as_folder().ok_or_else(|| Error::internal("a new folder is no folder"))?;
        self.places.insert(ParentId::Folder(id), place.with_child(&node));
        self.made.insert(slot, id);
        self.fresh.insert(id);
        self.rows.push(node);
        Ok(id)
    }

    /// Returns a place to make a folder in: a new one is known, others are looked at once.
    async fn place(&mut self, tx: &mut Tx<'_>, parent: ParentId) -> Result<Place> {
        if let Some(place) = self.places.get(&parent) {
            return Ok(place.clone());
        }
        let place = tree::place(tx, self.share, parent, Right::Create).await?;
        self.places.insert(parent, place.clone());
        Ok(place)
    }
}

/// Returns what is in a place under these names, for deciding what need not be read at all.
pub async fn existing(
    drive: &Drive,
    caller: &Caller,
    parent: ParentId,
    names: &[FileName],
) -> Result<HashMap<NameKey, Node>> {
    let mut rows = drive.read().await?;
    access::parent_place(&mut *rows, caller, parent, Right::Read).await?;
    let keys: Vec<NameKey> = names.iter().map(FileName::key).collect();
    let nodes = rows.children_named(caller.tenant, &[(parent, keys)]).await?;
    Ok(nodes.into_iter().map(|node| (node.name.key(), node)).collect())
}

/// Writes many small files, at most [`FILE_BATCH`]; each has its own outcome, and all that succeed commit together.
pub async fn write(
    drive: &Drive,
    caller: &Caller,
    share: ShareId,
    files: Vec<BulkFile>,
) -> Result<Vec<Result<BulkOutcome>>> {
    let limit = files::size_limit(drive, caller).await?;
    let contents =
        ingest::store_all(drive, caller.tenant, files.iter().map(|file| file.bytes.clone()).collect())
            .await?;
    let items = files
        .into_iter()
        .zip(contents)
        .map(|(file, content)| Item {
            parent: file.parent,
            new: NewFile {
                share,
                folder: file.parent.folder(),
                name: file.name,
                mime_type: None,
                modified_at: file.modified_at,
            },
            content,
        })
        .collect();
    mutation::run(drive, caller, PutFiles { share, items, limit, grace: drive.gc_grace }).await
}

struct Item {
    parent: ParentId,
    new: NewFile,
    content: StoredContent,
}

struct PutFiles {
    share: ShareId,
    items: Vec<Item>,
    limit: u64,
    grace: Duration,
}

#[async_trait]
impl Mutation for PutFiles {
    type Output = Vec<Result<BulkOutcome>>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let (places, mut taken) = self.look_around(tx).await?;
        let mut inserts = Inserts::default();
        let mut outcomes = Vec::with_capacity(self.items.len());
        for item in &self.items {
            let outcome = match places.get(&item.parent) {
                Some(Ok(place)) => self.put(tx, item, place, &mut taken, &mut inserts).await,
                Some(Err(error)) => Err(same(error)),
                None => Err(Error::internal("a place that was not looked at")),
            };
            match outcome {
                // Ours to retry or to report as a whole: nothing of this batch may commit then.
                Err(error) if error.is_internal() || matches!(error, Error::TouchExpired) => {
                    return Err(error);
                }
                outcome => outcomes.push(outcome),
            }
        }
        inserts.finish(tx, self.grace).await?;
        Ok(outcomes)
    }
}

type Places = BTreeMap<ParentId, Result<Place>>;
type Taken = HashMap<(ParentId, NameKey), Node>;

impl PutFiles {
    /// Returns the places of all items and what they hold under the items' names.
    async fn look_around(&self, tx: &mut Tx<'_>) -> Result<(Places, Taken)> {
        tx.rows.lock_tree_shared(tx.caller.tenant, self.share).await?;
        let mut names: BTreeMap<ParentId, Vec<NameKey>> = BTreeMap::new();
        for item in &self.items {
            names.entry(item.parent).or_default().push(item.new.name.key());
        }
        let parents: Vec<ParentId> = names.keys().copied().collect();
        let places = access::places(tx.rows, tx.caller, self.share, &parents, Right::Create).await?;
        let names: Vec<_> = names.into_iter().filter(|(parent, _)| places[parent].is_ok()).collect();
        let mut taken = Taken::new();
        for node in tx.rows.children_named(tx.caller.tenant, &names).await? {
            taken.insert((node.parent, node.name.key()), node);
        }
        Ok((places, taken))
    }

    async fn put(
        &self,
        tx: &mut Tx<'_>,
        item: &Item,
        place: &Place,
        taken: &mut Taken,
        inserts: &mut Inserts,
    ) -> Result<BulkOutcome> {
        if item.content.row.size > self.limit {
            return Err(Error::TooLarge { limit: self.limit });
        }
        let slot = (item.parent, item.new.name.key());
        if let Some(node) = taken.get(&slot) {
            return self.replace(tx, item, &node.clone(), inserts).await;
        }
        let node = inserts.add_file(tx, place, &item.new, &item.content)?;
        taken.insert(slot, node);
        Ok(BulkOutcome::Created)
    }

    /// Writes a new version where a file of exactly this name exists; another case is another file to people.
    async fn replace(
        &self,
        tx: &mut Tx<'_>,
        item: &Item,
        node: &Node,
        inserts: &mut Inserts,
    ) -> Result<BulkOutcome> {
        let conflict = || Error::NameConflict { name: item.new.name.to_string() };
        if inserts.holds(node.id) || node.name != item.new.name || node.file.is_none() {
            return Err(conflict());
        }
        let found = tree::locked_node(tx, node.id, Right::Write).await?.live()?;
        let facts = found.node().file.clone().ok_or_else(conflict)?;
        if facts.content == item.content.row.id {
            let mut touched = found.node().clone();
            touched.modified_at = item.new.modified_at.unwrap_or(touched.modified_at);
            files::change_in_place(tx, found, touched, "file.update").await?;
            return Ok(BulkOutcome::Unchanged);
        }
        let next = item.content.facts(facts);
        let after = files::new_version(tx, found, next, None, item.new.modified_at).await?;
        tx.audit(tree::audit("file.write", after.node().id, after.path()));
        inserts.refer_to(&item.content);
        Ok(BulkOutcome::Updated)
    }
}

/// Returns the same refusal for another item of a place; errors are not `Clone`, because causes are not.
fn same(error: &Error) -> Error {
    match error {
        Error::PermissionDenied { right, resource } => {
            Error::PermissionDenied { right, resource: resource.clone() }
        }
        Error::Gone { what } => Error::Gone { what: what.clone() },
        _ => Error::NotFound,
    }
}
