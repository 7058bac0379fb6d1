//! What a batch knows of the tree inside its transaction, and what it will insert.
//!
//! The share's tree lock is held alone, so nobody else changes the tree: what was read once stays true but for what the
//! batch does itself, and that is kept here. So a thousand small files are looked up and inserted together, and later
//! changes see earlier ones.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use super::incoming::Wanted;
use crate::model::{
    Error, FileName, NameKey, Node, NodeId, ParentId, ResourceId, Result, ShareId, SharePath,
};
use crate::services::access::{self, Located, Place, Right};
use crate::services::inserts::Inserts;
use crate::services::mutation::Tx;

/// A name at a place.
pub(super) type Slot = (ParentId, NameKey);

/// Where things went whose names were taken: later paths of the same device mean them.
pub(super) type Landed = HashMap<Slot, NodeId>;

/// How far a path leads.
#[derive(Clone, Debug)]
pub(super) struct Way {
    /// The last folder on it that is there.
    pub(super) place: Place,
    /// The folders that are not.
    pub(super) missing: Vec<FileName>,
    /// The name at its end.
    pub(super) name: FileName,
}

/// The tree as a batch sees it.
pub(super) struct Desk {
    share: ShareId,
    root: Place,
    /// What has a name at a place; nothing where the name is free, no entry where nobody looked.
    slots: HashMap<Slot, Option<NodeId>>,
    /// Items that were looked at; nothing where there is none in the share. What is hidden, foreign or absent costs the
    /// same number of looks, so that none of them tells.
    located: HashMap<NodeId, Option<Located>>,
    /// Folders that this batch made: they hold nothing but what it put there.
    fresh: HashSet<ParentId>,
    pub(super) landed: Landed,
    pub(super) inserts: Inserts,
}

impl Desk {
    /// Takes a share's tree lock alone, and looks at its root.
    pub(super) async fn open(tx: &mut Tx<'_>, share: ShareId, landed: Landed) -> Result<Self> {
        tx.rows.lock_tree(tx.caller.tenant, share).await?.ok_or(Error::NotFound)?;
        let root = access::place(tx.rows, tx.caller, share, None, Right::Read).await?;
        Ok(Self {
            share,
            root,
            slots: HashMap::new(),
            located: HashMap::new(),
            fresh: HashSet::new(),
            landed,
            inserts: Inserts::default(),
        })
    }

    /// Looks up in few queries what these changes will ask for.
    pub(super) async fn warm(&mut self, tx: &mut Tx<'_>, wanted: &[&Wanted]) -> Result<()> {
        let parents = wanted.iter().filter_map(|wanted| wanted.parent?.folder()).map(NodeId::from);
        let mut ids: BTreeSet<NodeId> =
            wanted.iter().filter_map(|wanted| wanted.target).chain(parents).collect();
        let paths = wanted.iter().flat_map(|wanted| [&wanted.from, &wanted.to]).flatten();
        let mut front: Vec<(ParentId, &[FileName])> =
            paths.map(|path| (self.root.id(), path.names())).collect();
        while !front.is_empty() {
            self.look_up(tx, &front).await?;
            for (parent, names) in std::mem::take(&mut front) {
                let Some((first, rest)) = names.split_first() else { continue };
                let Some(Some(id)) = self.slots.get(&(parent, first.key())) else { continue };
                // The end of a path, or the folder that holds it.
                if rest.len() < 2 {
                    ids.insert(*id);
                }
                if let (NodeId::Folder(id), false) = (*id, rest.is_empty()) {
                    front.push((ParentId::Folder(id), rest));
                }
            }
        }
        self.look_at(tx, &ids.into_iter().collect::<Vec<_>>()).await
    }

    /// Looks at items in few queries.
    pub(super) async fn look_at(&mut self, tx: &mut Tx<'_>, ids: &[NodeId]) -> Result<()> {
        let unknown: Vec<NodeId> = ids.iter().copied().filter(|id| !self.located.contains_key(id)).collect();
        self.located.extend(unknown.iter().map(|id| (*id, None)));
        for found in access::unjudged_all(tx.rows, tx.caller, &unknown).await? {
            self.keep(found);
        }
        Ok(())
    }

    /// Looks up the first names of these ways at their places.
    async fn look_up(&mut self, tx: &mut Tx<'_>, ways: &[(ParentId, &[FileName])]) -> Result<()> {
        let mut names: BTreeMap<ParentId, BTreeSet<NameKey>> = BTreeMap::new();
        for (parent, way) in ways {
            let Some(key) = way.first().map(FileName::key) else { continue };
            if !self.slots.contains_key(&(*parent, key.clone())) {
                names.entry(*parent).or_default().insert(key);
            }
        }
        let places: Vec<(ParentId, Vec<NameKey>)> =
            names.into_iter().map(|(parent, keys)| (parent, keys.into_iter().collect())).collect();
        for (parent, keys) in &places {
            self.slots.extend(keys.iter().map(|key| ((*parent, key.clone()), None)));
        }
        for node in tx.rows.children_named(tx.caller.tenant, &places).await? {
            self.slots.insert((node.parent, node.name.key()), Some(node.id));
        }
        Ok(())
    }

    /// Returns what has a name at a place.
    pub(super) async fn child(
        &mut self,
        tx: &mut Tx<'_>,
        parent: ParentId,
        name: &FileName,
    ) -> Result<Option<NodeId>> {
        let slot = (parent, name.key());
        if let Some(known) = self.slots.get(&slot) {
            return Ok(*known);
        }
        if self.fresh.contains(&parent) {
            return Ok(None);
        }
        let found = tx.rows.child(tx.caller.tenant, parent, &slot.1).await?.map(|node| node.id);
        self.slots.insert(slot, found);
        Ok(found)
    }

    /// Returns an item of the share, in the trash or not, whatever the caller may do to it.
    pub(super) async fn find(&mut self, tx: &mut Tx<'_>, id: NodeId) -> Result<Option<Located>> {
        if let Some(known) = self.located.get(&id) {
            return Ok(known.clone());
        }
        let found = access::unjudged_all(tx.rows, tx.caller, &[id]).await?.pop();
        let found = found.filter(|found| found.share.id == self.share);
        self.located.insert(id, found.clone());
        Ok(found)
    }

    /// Returns a place that the caller can see.
    pub(super) async fn place(&mut self, tx: &mut Tx<'_>, id: ParentId) -> Result<Place> {
        let folder = match id {
            ParentId::Root(share) if share == self.share => return Ok(self.root.clone()),
            ParentId::Root(_) => return Err(Error::NotFound),
            ParentId::Folder(folder) => folder,
        };
        let found = self.find(tx, folder.into()).await?.ok_or(Error::NotFound)?;
        found.check(tx.caller, Right::Read)?;
        found.live().map(Place::folder)
    }

    /// Returns the share's root.
    pub(super) fn root(&self) -> Place {
        self.root.clone()
    }

    /// Returns how far a path leads; its last name is not looked up.
    pub(super) async fn way(&mut self, tx: &mut Tx<'_>, path: &SharePath) -> Result<Way> {
        let (above, name) = path.split_last().ok_or(Error::NotFound)?;
        let (mut parent, mut missing) = (self.root.id(), above.names());
        while let Some((next, rest)) = missing.split_first() {
            match self.means(tx, parent, next).await? {
                Some(NodeId::Folder(id)) => (parent, missing) = (ParentId::Folder(id), rest),
                // A file is no way to anything.
                Some(NodeId::File(_)) => return Err(Error::NotFound),
                None => break,
            }
        }
        let place = self.place(tx, parent).await?;
        Ok(Way { place, missing: missing.to_vec(), name: name.clone() })
    }

    /// Returns what is at a path.
    pub(super) async fn at(&mut self, tx: &mut Tx<'_>, path: &SharePath) -> Result<Option<NodeId>> {
        let way = self.way(tx, path).await?;
        if !way.missing.is_empty() {
            return Ok(None);
        }
        self.means(tx, way.place.id(), &way.name).await
    }

    /// Returns what a name at a place means to the device: its own item that could not have that name, or what has it.
    async fn means(&mut self, tx: &mut Tx<'_>, parent: ParentId, name: &FileName) -> Result<Option<NodeId>> {
        match self.landed.get(&(parent, name.key())) {
            Some(own) => Ok(Some(*own)),
            None => self.child(tx, parent, name).await,
        }
    }

    /// Remembers a new node, which waits to be inserted.
    pub(super) fn add(&mut self, place: &Place, node: &Node) -> Located {
        self.slots.insert((node.parent, node.name.key()), Some(node.id));
        if let NodeId::Folder(id) = node.id {
            self.fresh.insert(ParentId::Folder(id));
        }
        self.keep(place.child(node))
    }

    /// Remembers a node as it is now, for what changed neither its place nor its name.
    pub(super) fn keep(&mut self, found: Located) -> Located {
        if found.share.id == self.share {
            self.located.insert(found.node().id, Some(found.clone()));
        }
        found
    }

    /// Remembers that a node left its place, or was put at another one.
    pub(super) fn replaced(&mut self, before: &Node, now: Option<Slot>) {
        let old = (before.parent, before.name.key());
        // What is below a trashed folder, or was trashed itself, has no name to give up.
        if self.slots.get(&old).copied().flatten() == Some(before.id) {
            self.slots.insert(old, None);
        }
        if let Some(slot) = now {
            self.slots.insert(slot, Some(before.id));
        }
        match before.id {
            NodeId::File(_) => drop(self.located.remove(&before.id)),
            // Whatever lies below has another path now, and may be seen by others.
            NodeId::Folder(_) => self.located.clear(),
        }
    }

    /// Forgets what was read of the tree: the database knows better, for nothing waits to be inserted.
    pub(super) fn forget(&mut self) {
        self.slots.clear();
        self.located.clear();
        self.fresh.clear();
    }

    /// Inserts what waits, so that the database can be asked about it.
    pub(super) async fn flush(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        self.inserts.write(tx).await
    }

    /// Makes sure that a node has its row.
    pub(super) async fn settle(&mut self, tx: &mut Tx<'_>, id: NodeId) -> Result<()> {
        if self.inserts.holds(id) { self.flush(tx).await } else { Ok(()) }
    }

    /// Inserts all that waits.
    pub(super) async fn finish(mut self, tx: &mut Tx<'_>, grace: Duration) -> Result<Landed> {
        self.inserts.finish(tx, grace).await?;
        Ok(self.landed)
    }
}

/// Returns a node as errors name it.
pub(super) fn resource(id: NodeId) -> String {
    format!("{}/{id}", ResourceId::Node(id).kind())
}
