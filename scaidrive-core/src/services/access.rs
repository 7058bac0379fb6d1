//! Who may do what: the only place that turns a decision into 404, 403 or 410.
//!
//! The decision itself is `model::acl`'s. Here the rows that match a caller become levels, once for a resource and
//! all above it, and once for a set of them; nothing is asked one query an item.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::model::acl::{self, AceType, Inherited, Level, Standing};
use crate::model::{
    Caller, Error, FileId, FileInfo, FolderId, FolderInfo, Node, NodeId, ParentId, Principal, ResourceId,
    Result, Rights, Share, ShareId, SharePath, ShareRole, Timestamp, Trustee,
};
use crate::ports::Reads;
use crate::ports::metadata::{ChildQuery, SeenChain, SeenEntry, SeenShare};

pub use crate::model::Right;

/// What a caller is in a share, and what the share's root says to it.
#[derive(Clone, Debug)]
pub struct Standpoint {
    standing: Standing,
    /// Principals of the caller whose membership has run out: their entries in this share count for nothing.
    expired: Arc<[Principal]>,
    root: Rights,
    below_root: Inherited,
}

impl Standpoint {
    /// Returns where a caller stands in a share.
    pub fn of(caller: &Caller, seen: &SeenShare) -> Self {
        let expired = seen.members.iter().filter(|member| member.is_expired);
        let mut standpoint = Self {
            standing: Standing { is_tenant_admin: caller.is_admin(), role: role(caller, seen) },
            expired: expired.map(|member| member.principal.clone()).collect(),
            root: Rights::NONE,
            below_root: Inherited::default(),
        };
        let root = standpoint.level(&seen.entries, true);
        standpoint.root = acl::decide(standpoint.standing, Inherited::default(), &root);
        standpoint.below_root = Inherited::default().through(&root);
        standpoint
    }

    /// Returns what the caller is in the share: its highest role that has not run out.
    pub const fn role(&self) -> Option<ShareRole> {
        self.standing.role
    }

    /// Returns the caller's rights on the share itself.
    pub const fn rights(&self) -> Rights {
        self.root
    }

    /// Returns what the caller is in the share, for the evaluation.
    pub(super) const fn standing(&self) -> Standing {
        self.standing
    }

    /// Returns those of the caller's entries that count.
    pub(super) fn counting<'e>(&self, entries: &'e [SeenEntry]) -> impl Iterator<Item = &'e SeenEntry> {
        let expired = Arc::clone(&self.expired);
        entries.iter().filter(move |entry| match &entry.trustee {
            Trustee::Everyone => true,
            Trustee::Principal(principal) => !expired.contains(principal),
        })
    }

    /// Returns a resource as the caller sees it.
    pub(super) fn level(&self, entries: &[SeenEntry], inherits_from_parent: bool) -> Level {
        Level { entries: self.counting(entries).map(|entry| entry.ace).collect(), inherits_from_parent }
    }

    /// Returns what the share's root passes on to what it holds.
    pub(super) const fn below_root(&self) -> Inherited {
        self.below_root
    }

    /// Tells whether the caller may read what lies below the root, as far as nothing there says otherwise.
    pub(super) fn reads_below(&self) -> bool {
        self.decide(self.below_root, &Level::default()).has(Right::Read)
    }

    /// Returns the caller's rights on a resource, from what it inherits and its own entries.
    pub(super) fn decide(&self, above: Inherited, level: &Level) -> Rights {
        acl::decide(self.standing, above, level)
    }
}

fn role(caller: &Caller, seen: &SeenShare) -> Option<ShareRole> {
    if caller.is(&seen.share.owner) {
        return Some(ShareRole::Owner);
    }
    let member = seen.members.iter().filter(|member| !member.is_expired).map(|member| member.role).max();
    member.max(seen.share.is_public.then_some(ShareRole::Reader))
}

/// A node with what it takes to judge and show it: its ancestors, its share, and what the caller may do to it.
#[derive(Clone, Debug)]
pub struct Located {
    /// The node first, then its ancestors up to the share's root.
    chain: Vec<Node>,
    /// The share that holds it.
    pub share: Share,
    /// What the caller may do to it.
    pub rights: Rights,
    /// How many of the chain, the node first, the caller may read without a gap; one more where that is all, and
    /// the share's root too.
    readable: usize,
    standpoint: Standpoint,
    /// What the node passes on, as the caller sees it.
    below: Inherited,
}

impl Located {
    /// Judges a chain from the share's root down.
    fn judged(standpoint: Standpoint, share: Share, nodes: Vec<(Node, Vec<SeenEntry>)>) -> Self {
        let reaches_root = nodes.last().is_some_and(|(top, _)| top.parent == ParentId::Root(share.id));
        let mut below = if reaches_root { standpoint.below_root } else { Inherited::severed() };
        let mut rights = standpoint.root;
        let mut readable = usize::from(reaches_root && rights.has(Right::Read));
        for (node, entries) in nodes.iter().rev() {
            let level = standpoint.level(entries, node.inherit_acl);
            rights = standpoint.decide(below, &level);
            readable = if rights.has(Right::Read) { readable + 1 } else { 0 };
            below = below.through(&level);
        }
        let chain = nodes.into_iter().map(|(node, _)| node).collect();
        Self { chain, share, rights, readable, standpoint, below }
    }

    /// Returns the node.
    pub fn node(&self) -> &Node {
        &self.chain[0]
    }

    /// Returns the share-relative path, for logs that only administrators and readers of all of it see.
    pub fn path(&self) -> String {
        self.chain.iter().rev().map(|node| format!("/{}", node.name)).collect()
    }

    /// Returns the path as the caller may see it: cut where a folder above is not for the caller to know.
    pub fn shown_path(&self) -> String {
        if self.is_listed() {
            return self.path();
        }
        let shown = self.readable.clamp(1, self.chain.len());
        let names: Vec<&str> = self.chain[..shown].iter().rev().map(|node| node.name.as_str()).collect();
        format!("…/{}", names.join("/"))
    }

    /// Returns what lies above it, nearest first.
    pub fn ancestors(&self) -> &[Node] {
        &self.chain[1..]
    }

    /// Tells whether the walk up ended at the share: a trashed item's parent may be purged.
    pub fn reaches_root(&self) -> bool {
        self.chain.last().is_some_and(|top| top.parent == ParentId::Root(self.share.id))
    }

    /// Tells whether listings show it: it and everything above it can be read.
    pub fn is_listed(&self) -> bool {
        self.readable == self.chain.len() + 1
    }

    /// Returns the number of names in the path.
    pub fn depth(&self) -> usize {
        self.chain.len()
    }

    /// Returns since when it is in the trash, itself or with a folder above it.
    pub fn trashed_at(&self) -> Option<Timestamp> {
        self.chain.iter().filter_map(|node| node.trashed_at).max()
    }

    /// Tells whether a node is on the way from the root to this one, itself included.
    pub fn is_within(&self, id: NodeId) -> bool {
        self.chain.iter().any(|node| node.id == id)
    }

    /// Returns the file as the wire shows it.
    pub fn file_info(&self) -> Option<FileInfo> {
        file_info(self.node(), self.shown_path(), self.trashed_at())
    }

    /// Returns the folder as the wire shows it.
    pub fn folder_info(&self) -> Option<FolderInfo> {
        folder_info(self.node(), self.shown_path(), self.trashed_at())
    }

    /// Fails unless the caller has `right` on it.
    pub(super) fn check(&self, caller: &Caller, right: Right) -> Result<()> {
        judge(caller, self.rights, right, self.node().id)
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
    standpoint: Standpoint,
}

impl Place {
    fn root(share: Share, standpoint: Standpoint) -> Self {
        Self { share, folder: None, standpoint }
    }

    /// Returns the place that a folder is.
    pub(super) fn folder(folder: Located) -> Self {
        Self { share: folder.share.clone(), standpoint: folder.standpoint.clone(), folder: Some(folder) }
    }

    /// Returns what its children name as parent.
    pub fn id(&self) -> ParentId {
        let folder = self.folder.as_ref().and_then(|folder| folder.node().id.as_folder());
        folder.map_or(ParentId::Root(self.share.id), ParentId::Folder)
    }

    /// Returns the folder and what lies above it, nearest first; nothing for the root.
    pub fn chain(&self) -> &[Node] {
        self.folder.as_ref().map(|folder| folder.chain.as_slice()).unwrap_or_default()
    }

    /// Returns the path of a child of that name.
    pub fn path_of(&self, name: &str) -> String {
        format!("{}/{name}", self.folder.as_ref().map(Located::path).unwrap_or_default())
    }

    /// Returns the path of a child of that name as the caller may see it.
    pub fn shown_path_of(&self, name: &str) -> String {
        format!("{}/{name}", self.folder.as_ref().map(Located::shown_path).unwrap_or_default())
    }

    /// Returns the place's own path as the caller may see it.
    pub fn shown_path(&self) -> String {
        self.folder.as_ref().map_or_else(|| "/".to_owned(), Located::shown_path)
    }

    /// Fails if a child of that name would lie too deep or have too long a path.
    pub fn check_limits(&self, name: &str) -> Result<()> {
        let depth = self.folder.as_ref().map_or(0, Located::depth) + 1;
        SharePath::check_limits(depth, self.path_of(name).len())
            .map_err(|message| Error::invalid("name", message, name))
    }

    /// Fails unless the caller has `right` on the place.
    pub(super) fn check(&self, caller: &Caller, right: Right) -> Result<()> {
        let rights = self.folder.as_ref().map_or(self.standpoint.root, |folder| folder.rights);
        judge(caller, rights, right, self.id())
    }

    /// Returns the place that a folder just made in this one is.
    #[must_use]
    pub fn with_child(&self, folder: &Node) -> Self {
        Self::folder(self.child(folder))
    }

    /// Returns where a node just made in this place lies: it has no entries of its own.
    #[must_use]
    pub fn child(&self, node: &Node) -> Located {
        let above = self.folder.as_ref().map(|above| above.chain.as_slice()).unwrap_or_default();
        let chain: Vec<Node> = std::iter::once(node).chain(above).cloned().collect();
        let below = self.below();
        let rights = self.standpoint.decide(below, &Level::default());
        let readable =
            self.folder.as_ref().map_or(usize::from(self.standpoint.root.has(Right::Read)), |f| f.readable);
        Located {
            chain,
            share: self.share.clone(),
            rights,
            readable: if rights.has(Right::Read) { readable + 1 } else { 0 },
            standpoint: self.standpoint.clone(),
            below,
        }
    }

    /// Tells whether the place is this folder or lies below it.
    pub fn is_within(&self, id: NodeId) -> bool {
        self.folder.as_ref().is_some_and(|folder| folder.is_within(id))
    }

    fn below(&self) -> Inherited {
        self.folder.as_ref().map_or(self.standpoint.below_root, |folder| folder.below)
    }

    /// Returns the eyes that look at what the place holds.
    pub fn eyes(&self) -> Eyes {
        Eyes {
            standpoint: self.standpoint.clone(),
            has_acl: self.share.has_acl,
            below: HashMap::from([(self.id(), self.below())]),
        }
    }
}

/// Judges what lies below a place level by level, with one query a level.
#[derive(Debug)]
pub struct Eyes {
    standpoint: Standpoint,
    has_acl: bool,
    below: HashMap<ParentId, Inherited>,
}

impl Eyes {
    /// Keeps those of these children, of folders that were kept before, that the caller may read.
    pub async fn readable(
        &mut self,
        rows: &mut dyn Reads,
        caller: &Caller,
        nodes: Vec<Node>,
    ) -> Result<Vec<Node>> {
        let mut entries = self.entries(rows, caller, &nodes).await?;
        let mut kept = Vec::with_capacity(nodes.len());
        for node in nodes {
            let own = entries.remove(&node.id.into()).unwrap_or_default();
            if self.sees(&node, &own) {
                kept.push(node);
            }
        }
        Ok(kept)
    }

    /// Returns a page of the children of a place that was looked at before, and how many that was before those out of
    /// the caller's sight were left out: with one query.
    pub async fn page(
        &mut self,
        rows: &mut dyn Reads,
        caller: &Caller,
        query: &ChildQuery,
    ) -> Result<(Vec<Node>, Vec<Node>)> {
        let found = if self.has_acl && !self.standpoint.standing.is_tenant_admin {
            rows.seen_children(caller, query).await?
        } else {
            let plain = rows.children(caller.tenant, query).await?;
            plain.into_iter().map(|node| (node, Vec::new())).collect()
        };
        let (mut all, mut kept) = (Vec::with_capacity(found.len()), Vec::with_capacity(found.len()));
        for (node, entries) in found {
            if self.sees(&node, &entries) {
                kept.push(node.clone());
            }
            all.push(node);
        }
        Ok((all, kept))
    }

    /// Tells whether the caller may read a child of a folder that was kept, and remembers what it passes on.
    fn sees(&mut self, node: &Node, entries: &[SeenEntry]) -> bool {
        let Some(above) = self.below.get(&node.parent).copied() else { return false };
        let level = self.standpoint.level(entries, node.inherit_acl);
        if !self.standpoint.decide(above, &level).has(Right::Read) {
            return false;
        }
        if let NodeId::Folder(id) = node.id {
            self.below.insert(ParentId::Folder(id), above.through(&level));
        }
        true
    }

    async fn entries(
        &self,
        rows: &mut dyn Reads,
        caller: &Caller,
        nodes: &[Node],
    ) -> Result<HashMap<ResourceId, Vec<SeenEntry>>> {
        if !self.has_acl || self.standpoint.standing.is_tenant_admin {
            return Ok(HashMap::new());
        }
        let ids: Vec<ResourceId> = nodes.iter().map(|node| node.id.into()).collect();
        entries_by_resource(rows, caller, &ids).await
    }

    /// Counts the children of a place that the caller may read, up to `most` children.
    pub async fn count(
        &self,
        rows: &mut dyn Reads,
        caller: &Caller,
        parent: ParentId,
        include_trashed: bool,
        most: u64,
    ) -> Result<u64> {
        let above = self.below.get(&parent).copied().unwrap_or_default();
        if !self.has_acl || self.standpoint.standing.is_tenant_admin {
            let readable = self.standpoint.decide(above, &Level::default()).has(Right::Read);
            return if readable {
                rows.count_children(caller.tenant, parent, include_trashed, most).await
            } else {
                Ok(0)
            };
        }
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let mut children: BTreeMap<NodeId, (bool, Vec<SeenEntry>)> = BTreeMap::new();
        for (id, inherits, entry) in rows.fenced_children(caller, parent, include_trashed, most).await? {
            children.entry(id).or_insert((inherits, Vec::new())).1.extend(entry);
        }
        let reads = |(inherits, entries): &&(bool, Vec<SeenEntry>)| {
            self.standpoint.decide(above, &self.standpoint.level(entries, *inherits)).has(Right::Read)
        };
        Ok(children.values().filter(reads).count() as u64)
    }
}

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
