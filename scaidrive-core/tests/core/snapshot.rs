//! A snapshot and the changes after its cursor make exactly what listing shows, whatever happens meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::TryStreamExt;
use scaidrive_core::model::acl::AceType;
use scaidrive_core::model::{
    Caller, ChangeKind, Error, FeedRow, FolderId, LoggedChange, NodeId, NodeKind, ParentId, ResourceId,
    ResourceKind, Right, Rights, ShareId, ShareRole, Trustee,
};
use scaidrive_core::services::acl::{self, NewEntry, Which};
use scaidrive_core::services::bulk::{self, BulkFile};
use scaidrive_core::services::files::{self, FilePatch, IfMatch};
use scaidrive_core::services::folders::{self, Child, Listing};
use scaidrive_core::services::moves::{self, Target};
use scaidrive_core::services::snapshot::{self, SnapshotItem};
use scaidrive_core::services::{copies, feed, trash};
use serde_json::Value;

use crate::backends::{House, name, rounds};

/// What a client knows of an item.
#[derive(Clone, Debug, PartialEq)]
struct Item {
    parent: Option<NodeId>,
    name: String,
    version: Option<String>,
}

/// A client's copy of a share: what the snapshot said, and every change since, applied as the contract says.
struct Mirror<'h> {
    house: &'h House,
    reader: Caller,
    share: ShareId,
    items: BTreeMap<NodeId, Item>,
    cursor: i64,
    looked: u32,
}

fn item(state: &Value, version: Option<String>) -> Item {
    Item {
        parent: state["parent_id"].as_str().map(|id| id.parse().unwrap()),
        name: state["name"].as_str().unwrap().to_owned(),
        version,
    }
}

impl<'h> Mirror<'h> {
    fn new(house: &'h House, reader: &Caller, share: ShareId) -> Self {
        Self { house, reader: reader.clone(), share, items: BTreeMap::new(), cursor: 0, looked: 0 }
    }

    fn take(&mut self, page: Vec<SnapshotItem>) {
        for found in page {
            let version = found.version_id.map(|id| id.to_string());
            let is_new = self.items.insert(found.resource_id, item(&found.state, version)).is_none();
            assert!(is_new, "{} was told twice", found.resource_id);
        }
    }

    async fn snapshot(&mut self) {
        let snapshot = snapshot::open(&self.house.drive, &self.reader, self.share).await.unwrap();
        self.cursor = snapshot.cursor;
        let pages: Vec<Vec<SnapshotItem>> = snapshot.pages.try_collect().await.unwrap();
        self.take(pages.concat());
    }

    /// Applies all that follows the cursor.
    async fn catch_up(&mut self, limit: u32) {
        loop {
            let page =
                feed::changes(&self.house.drive, &self.reader, self.share, self.cursor, limit).await.unwrap();
            for row in page.changes {
                match row {
                    FeedRow::Tombstone(gone) => self.remove(gone.resource_id.parse().unwrap()),
                    FeedRow::Change(change) => self.apply(*change).await,
                }
            }
            self.cursor = page.cursor;
            if !page.has_more {
                return;
            }
        }
    }

    async fn apply(&mut self, change: LoggedChange) {
        if change.resource_type == ResourceKind::Share {
            if change.is_access_change() {
                self.look(None).await;
            }
            return;
        }
        let id: NodeId = change.resource_id.parse().unwrap();
        if change.change_type == ChangeKind::Deleted {
            return self.remove(id);
        }
        let version = change.version_id.map(|id| id.to_string());
        let was_known = self.items.insert(id, item(&change.metadata, version)).is_some();
        let appears = !was_known && change.change_type != ChangeKind::Created;
        let brings = change.metadata["covers_subtree"] == true || change.is_access_change() || appears;
        if let (NodeId::Folder(folder), true) = (id, brings) {
            self.look(Some(folder)).await;
        }
    }

    fn children(&self, parent: Option<NodeId>) -> Vec<NodeId> {
        self.items.iter().filter(|(_, item)| item.parent == parent).map(|(id, _)| *id).collect()
    }

    /// Forgets an item with all it holds.
    fn remove(&mut self, id: NodeId) {
        self.items.remove(&id);
        for child in self.children(Some(id)) {
            self.remove(child);
        }
    }

    /// Returns what a folder, or the root, holds now; nothing if it is not there for the reader.
    async fn listed(&self, folder: Option<FolderId>) -> Option<Vec<Child>> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let listing = Listing { limit: 1000, after, ..Listing::default() };
            match folders::children(&self.house.drive, &self.reader, self.share, folder, &listing).await {
                Ok(page) => {
                    all.extend(page.items);
                    after = page.next;
                }
                Err(Error::NotFound | Error::Gone { .. }) => return None,
                Err(error) => panic!("{error:?}"),
            }
            if after.is_none() {
                return Some(all);
            }
        }
    }

    /// Looks into a folder, or the whole share, and knows what it holds as of now.
    async fn look(&mut self, folder: Option<FolderId>) {
        self.looked += 1;
        let mut open = vec![folder];
        while let Some(folder) = open.pop() {
            // Gone again by now: a later row says so.
            let Some(found) = self.listed(folder).await else { continue };
            let parent = folder.map(NodeId::from);
            let there: BTreeSet<NodeId> = found.iter().map(|child| child.id).collect();
            for gone in self.children(parent).into_iter().filter(|id| !there.contains(id)) {
                self.remove(gone);
            }
            for child in found {
                let version = match child.id {
                    NodeId::File(id) => files::get(&self.house.drive, &self.reader, id)
                        .await
                        .ok()
                        .map(|f| f.version_id.to_string()),
                    NodeId::Folder(id) => {
                        open.push(Some(id));
                        None
                    }
                };
                self.items.insert(child.id, Item { parent, name: child.name.to_string(), version });
            }
        }
    }

    /// Returns the tree as far as it hangs together: path to id and version.
    fn tree(&self) -> BTreeMap<String, (NodeId, Option<String>)> {
        let mut tree = BTreeMap::new();
        let mut open = vec![(String::new(), None)];
        while let Some((path, parent)) = open.pop() {
            for id in self.children(parent) {
                let item = &self.items[&id];
                let path = format!("{path}/{}", item.name);
                open.push((path.clone(), Some(id)));
                let twin = tree.insert(path, (id, item.version.clone()));
                assert_eq!(twin, None, "two of one name");
            }
        }
        tree
    }

    async fn check(&self, what: &str) {
        let walked = folders::walk(&self.house.drive, &self.reader, self.share, None).await.unwrap();
        let listed: BTreeMap<String, (NodeId, Option<String>)> = walked
            .iter()
            .map(|found| {
                let version = found.node.file.as_ref().map(|facts| facts.version_id.to_string());
                (found.path.to_string(), (found.node.id, version))
            })
            .collect();
        assert_eq!(self.tree(), listed, "{what}");
    }
}

/// What writers do while a snapshot is taken and followed.
const ACTS: u32 = 40;

/// Something that a writer does, chosen by a number.
struct Writer {
    house: Arc<House>,
    elsewhere: ShareId,
    state: u64,
    number: u64,
}

impl Writer {
    fn draw(&mut self, below: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state % below as u64) as usize
    }

    /// Returns any item of a kind in a share, if there is one.
    async fn any(&mut self, share: ShareId, kind: NodeKind) -> Option<NodeId> {
        let caller = &self.house.caller;
        let all = folders::walk(&self.house.drive, caller, share, None).await.unwrap();
        let all: Vec<NodeId> =
            all.iter().filter(|found| found.node.kind() == kind).map(|found| found.node.id).collect();
        if all.is_empty() { None } else { Some(all[self.draw(all.len())]) }
    }

    async fn any_parent(&mut self, share: ShareId) -> ParentId {
        match self.any(share, NodeKind::Folder).await {
            Some(NodeId::Folder(id)) if self.draw(4) > 0 => ParentId::Folder(id),
            _ => ParentId::Root(share),
        }
    }

    /// Does one thing; that rivals make it fail is fine.
    async fn act(&mut self) -> Result<(), Error> {
        let (house, mine) = (Arc::clone(&self.house), self.house.share.id);
        let (drive, caller) = (&house.drive, &house.caller);
        self.number += 1;
        let title = format!("{:x}-{}", self.state % 0xFFFF, self.number);
        let kind = if self.draw(3) == 0 { NodeKind::File } else { NodeKind::Folder };
        let share = if self.draw(4) == 0 { self.elsewhere } else { mine };
        let Some(id) = self.any(share, kind).await else { return Ok(()) };
        match self.draw(10) {
            0 => {
                let parent = self.any_parent(mine).await.folder();
                folders::create(drive, caller, mine, parent, name(&title)).await.map(drop)
            }
            1 | 2 => {
                let parent = self.any_parent(mine).await;
                let file = BulkFile {
                    parent,
                    name: name(&title),
                    modified_at: None,
                    bytes: title.into_bytes().into(),
                };
                bulk::write(drive, caller, mine, vec![file]).await?.remove(0).map(drop)
            }
            3 => match id {
                NodeId::Folder(id) => folders::rename(drive, caller, id, name(&title)).await.map(drop),
                NodeId::File(id) => {
                    let patch = FilePatch { name: Some(name(&title)), ..FilePatch::default() };
                    files::patch(drive, caller, id, patch, IfMatch::default()).await.map(drop)
                }
            },
            4 | 5 => self.relocate(id, &title).await,
            6 => {
                trash::delete(drive, caller, id, self.draw(4) == 0).await?;
                if self.draw(2) == 0 { trash::restore(drive, caller, id).await.map(drop) } else { Ok(()) }
            }
            7 => match id {
                NodeId::File(id) => {
                    let bytes = std::io::Cursor::new(title.into_bytes());
                    files::write(drive, caller, id, IfMatch::default(), bytes).await.map(drop)
                }
                NodeId::Folder(id) => {
                    let target = Target { parent: self.any_parent(mine).await, name: Some(name(&title)) };
                    copies::folder(drive, caller, id, target).await.map(drop)
                }
            },
            _ => self.protect(id).await,
        }
    }

    /// Moves an item somewhere, now and then to the other share.
    async fn relocate(&mut self, id: NodeId, title: &str) -> Result<(), Error> {
        let house = Arc::clone(&self.house);
        let to = if self.draw(3) == 0 { self.elsewhere } else { house.share.id };
        let target = Target { parent: self.any_parent(to).await, name: Some(name(title)) };
        match id {
            NodeId::Folder(id) => moves::folder(&house.drive, &house.caller, id, target).await.map(drop),
            NodeId::File(id) => moves::file(&house.drive, &house.caller, id, target).await.map(drop),
        }
    }

    /// Changes who may see an item.
    async fn protect(&mut self, id: NodeId) -> Result<(), Error> {
        let house = Arc::clone(&self.house);
        let (drive, caller, on) = (&house.drive, &house.caller, ResourceId::Node(id));
        let trustee: Trustee = "user:reader".parse().unwrap();
        let kind = if self.draw(3) == 0 { AceType::Allow } else { AceType::Deny };
        match self.draw(4) {
            0 => {
                let which = Which::Of(trustee, kind);
                acl::remove(drive, caller, on, which).await
            }
            1 => {
                let inherits = self.draw(3) > 0;
                acl::set_inheritance(drive, caller, on, inherits, self.draw(2) == 0).await.map(drop)
            }
            _ => {
                let inherits = self.draw(3) > 0;
                let new = NewEntry { trustee, kind, rights: Rights::from(Right::Read), inherits };
                acl::add(drive, caller, on, new).await.map(drop)
            }
        }
    }
}

/// Errors that one writer meets because of another.
fn is_rivalry(error: &Error) -> bool {
    matches!(
        error,
        Error::NotFound
            | Error::Gone { .. }
            | Error::Cycle
            | Error::NameConflict { .. }
            | Error::AlreadyExists { .. }
            | Error::Unavailable { .. }
            | Error::Invalid { .. }
    )
}

async fn write_until(mut writer: Writer, acts: Arc<AtomicU32>, enough: u32) {
    while acts.load(Ordering::Acquire) < enough {
        match writer.act().await {
            Ok(()) => drop(acts.fetch_add(1, Ordering::AcqRel)),
            Err(error) => assert!(is_rivalry(&error), "{error:?}"),
        }
    }
}

async fn furnish(house: &House, elsewhere: ShareId) {
    for number in 0..6 {
        let folder = house.dir(None, &format!("d{number}")).await;
        let inner = house.dir(Some(folder), "inner").await;
        house.fill(house.share.id, ParentId::Folder(inner), "f", 4).await;
    }
    house.fill(elsewhere, ParentId::Root(elsewhere), "e", 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_and_what_follows_its_cursor_are_what_listing_shows() {
    for house in House::both(|_| {}).await {
        let reader = house.person("reader", Some(ShareRole::Reader)).await;
        let elsewhere = house.other_share("Elsewhere").await;
        furnish(&house, elsewhere).await;
        let house = Arc::new(house);
        let mut looked = 0;
        for round in 0..rounds(200).div_ceil(10) {
            let acts = Arc::new(AtomicU32::new(0));
            let writers: Vec<_> = (0..3)
                .map(|number| {
                    let seed = u64::from(round * 3 + number) + 1;
                    let state = 0x9E37_79B9_7F4A_7C15 ^ seed.wrapping_mul(0x2545_F491_4F6C_DD1D);
                    let writer = Writer { house: Arc::clone(&house), elsewhere, state, number: 0 };
                    tokio::spawn(write_until(writer, Arc::clone(&acts), ACTS))
                })
                .collect();
            let mut mirrors =
                [&house.caller, &reader].map(|caller| Mirror::new(&house, caller, house.share.id));
            for mirror in &mut mirrors {
                mirror.snapshot().await;
            }
            while acts.load(Ordering::Acquire) < ACTS {
                for (mirror, limit) in mirrors.iter_mut().zip([1, 3]) {
                    mirror.catch_up(limit).await;
                }
            }
            for writer in writers {
                writer.await.unwrap();
            }
            for mirror in &mut mirrors {
                mirror.catch_up(1000).await;
                mirror.check(&format!("round {round}, {}", mirror.reader.user)).await;
                looked += mirror.looked;
            }
        }
        eprintln!("{looked} times a folder was looked into");
        assert!(looked > 10, "nothing came and went");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_many_pages_misses_nothing_that_moves_below_it() {
    for house in House::both(|_| {}).await {
        let share = house.share.id;
        let (from, to) = (house.dir(None, "from").await, house.dir(None, "to").await);
        house.fill(share, ParentId::Folder(from), "f", 2500).await;
        let snapshot = snapshot::open(&house.drive, &house.caller, share).await.unwrap();
        let mut mirror = Mirror::new(&house, &house.caller, share);
        mirror.cursor = snapshot.cursor;
        let mut pages = snapshot.pages;
        let mut sizes = Vec::new();
        while let Some(page) = pages.try_next().await.unwrap() {
            sizes.push(page.len());
            mirror.take(page);
            match sizes.len() {
                // After the folders, and in the middle of the files: most of them are not told by the snapshot.
                1 => house.shift(from, ParentId::Folder(to)).await,
                2 => {
                    trash::delete(&house.drive, &house.caller, to.into(), false).await.unwrap();
                    house.fill(share, ParentId::Root(share), "late", 3).await;
                }
                _ => {}
            }
        }
        assert_eq!(sizes, [2, 1000, 3]);
        mirror.catch_up(1000).await;
        mirror.check("in the trash").await;
        trash::restore(&house.drive, &house.caller, to.into()).await.unwrap();
        mirror.catch_up(1000).await;
        mirror.check("after many pages").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_loses_the_share_gets_no_more_of_the_snapshot() {
    let house = House::embedded().await;
    let reader = house.person("reader", Some(ShareRole::Reader)).await;
    house.dir(None, "d").await;
    house.fill(house.share.id, ParentId::Root(house.share.id), "f", 1500).await;
    let mut pages = snapshot::open(&house.drive, &reader, house.share.id).await.unwrap().pages;
    assert_eq!(pages.try_next().await.unwrap().unwrap().len(), 1);
    let whole = ResourceId::Share(house.share.id);
    house.entry(whole, "user:reader", AceType::Deny, &[Right::Read]).await;
    assert!(matches!(pages.try_next().await, Err(Error::NotFound)));
    assert!(matches!(snapshot::open(&house.drive, &reader, house.share.id).await, Err(Error::NotFound)));
}
