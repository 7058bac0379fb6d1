//! A share: files and folders by path.

use std::ops::Range;

use bytes::Bytes;
use futures_util::Stream;
use scaidrive_core::Drive;
use scaidrive_core::model::{
    ByteRange, Caller, Error, FeedRow, FileId, FileInfo, FileName, FolderInfo, NodeId, ParentId, Result,
    Share as Facts, ShareId, SharePath, Version,
};
use scaidrive_core::services::access::{Located, Right};
use scaidrive_core::services::files::{self, IfMatch, NewFile};
use scaidrive_core::services::folders::{self, Child, Listing, Walked};
use scaidrive_core::services::ingest::StoredContent;
use scaidrive_core::services::moves::{self, Target};
use scaidrive_core::services::trash::{self, RestoredItem, TrashItem};
use scaidrive_core::services::{bulk, content, copies, feed, paths, versions};
use tokio::io::AsyncRead;

use crate::acting::Acting;
use crate::item::{FileReader, Item};
use crate::watch;

/// How often a write is tried again when somebody else creates or removes the same file meanwhile.
const ATTEMPTS: u32 = 5;

/// Versions read at once.
const VERSIONS: u32 = 1000;

/// A share as one user sees it; cheap to clone.
///
/// Paths are relative to the share, their names compared without regard to case. Unless said otherwise every method
/// fails with [`Error::NotFound`] for a path that leads nowhere, [`Error::Invalid`] for one that cannot be,
/// [`Error::PermissionDenied`] where the user may see but not do, and [`Error::Gone`] once the share is in the trash.
#[derive(Clone, Debug)]
pub struct Share {
    acting: Acting,
    facts: Facts,
}

impl Share {
    pub(crate) fn new(acting: Acting, facts: Facts) -> Self {
        Self { acting, facts }
    }

    pub(crate) fn drive(&self) -> &Drive {
        &self.acting.drive
    }

    /// Returns whom this handle acts as, as it is now.
    pub(crate) async fn caller(&self) -> Result<Caller> {
        self.acting.caller().await
    }

    /// Returns the share's id.
    pub fn id(&self) -> ShareId {
        self.facts.id
    }

    /// Returns the share's name.
    pub fn name(&self) -> &str {
        &self.facts.name
    }

    /// Returns what is known of the share, as of when this handle was made.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    async fn node(&self, caller: &Caller, path: &str, right: Right) -> Result<Located> {
        paths::node(self.drive(), caller, self.facts.id, &SharePath::parse(path)?, right).await
    }

    async fn file(&self, caller: &Caller, path: &str, right: Right) -> Result<FileId> {
        self.node(caller, path, right).await?.node().id.as_file().ok_or(Error::NotFound)
    }

    /// Returns where a path's last name goes, and that name.
    async fn place(&self, caller: &Caller, path: &str) -> Result<(ParentId, FileName)> {
        let path = SharePath::parse(path)?;
        let (above, name) =
            path.split_last().ok_or_else(|| Error::invalid("path", "must name something", "/"))?;
        let place = paths::place(self.drive(), caller, self.facts.id, &above, Right::Create).await?;
        Ok((place.id(), name.clone()))
    }

    /// Returns what is at a path.
    ///
    /// # Errors
    /// As said at [`Share`].
    pub async fn metadata(&self, path: &str) -> Result<Item> {
        let caller = self.caller().await?;
        Item::of(&self.node(&caller, path, Right::Read).await?)
    }

    /// Writes what a reader gives: a new file with the folders above it, or a new version of the one that is there.
    ///
    /// Durable when this returns; nothing is visible before. Memory is bounded, whatever the size.
    ///
    /// # Errors
    /// [`Error::TooLarge`] over the tenant's limit (5 GiB by default), [`Error::BadStream`] when the reader fails,
    /// [`Error::NameConflict`] where a folder has the name or a file has the name of a folder above.
    pub async fn write(
        &self,
        path: &str,
        reader: impl AsyncRead + Send + Unpin + 'static,
    ) -> Result<FileInfo> {
        let caller = self.caller().await?;
        let path = SharePath::parse(path)?;
        self.check_writable(&caller, &path).await?;
        let content = files::store(self.drive(), &caller, reader).await?;
        for _ in 1..ATTEMPTS {
            match self.put(&path, content.clone()).await {
                Err(Error::NameConflict { .. } | Error::NotFound | Error::Gone { .. }) => {}
                outcome => return outcome,
            }
        }
        self.put(&path, content).await
    }

    /// Fails before the bytes are taken where it is sure that they cannot be kept.
    async fn check_writable(&self, caller: &Caller, path: &SharePath) -> Result<()> {
        let (_, name) = path.split_last().ok_or_else(|| Error::invalid("path", "must name a file", "/"))?;
        match paths::node(self.drive(), caller, self.facts.id, path, Right::Write).await {
            Ok(found) if found.node().id.as_file().is_none() => {
                Err(Error::NameConflict { name: name.to_string() })
            }
            Ok(_) => Ok(()),
            Err(Error::NotFound) => {
                let root = SharePath::default();
                paths::place(self.drive(), caller, self.facts.id, &root, Right::Read).await.map(drop)
            }
            Err(error) => Err(error),
        }
    }

    async fn put(&self, path: &SharePath, content: StoredContent) -> Result<FileInfo> {
        let caller = self.caller().await?;
        let (above, name) =
            path.split_last().ok_or_else(|| Error::invalid("path", "must name a file", "/"))?;
        match paths::node(self.drive(), &caller, self.facts.id, path, Right::Write).await {
            Ok(found) => {
                let taken = || Error::NameConflict { name: name.to_string() };
                let id = found.node().id.as_file().ok_or_else(taken)?;
                files::write_from(self.drive(), &caller, id, IfMatch::default(), None, content).await
            }
            Err(Error::NotFound) => {
                let folder = self.ensure_folder(&caller, &above).await?.folder();
                let new = NewFile {
                    share: self.facts.id,
                    folder,
                    name: name.clone(),
                    mime_type: None,
                    modified_at: None,
                };
                files::create_from(self.drive(), &caller, new, content).await
            }
            Err(error) => Err(error),
        }
    }

    async fn ensure_folder(&self, caller: &Caller, path: &SharePath) -> Result<ParentId> {
        let all = (1..=path.names().len()).map(|depth| path.prefix(depth)).collect();
        let root = ParentId::Root(self.facts.id);
        let found = bulk::ensure_folders(self.drive(), caller, self.facts.id, root, all).await?;
        found.get(path).copied().ok_or_else(|| Error::internal("a folder that was made is not there"))
    }

    /// Writes bytes that are in memory, as [`write`](Self::write) does.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn write_bytes(&self, path: &str, bytes: impl Into<Bytes>) -> Result<FileInfo> {
        self.write(path, std::io::Cursor::new(bytes.into())).await
    }

    /// Makes a folder and those above it; one that is there is as good as new.
    ///
    /// # Errors
    /// [`Error::NameConflict`] where a file is in the way.
    pub async fn create_folder(&self, path: &str) -> Result<FolderInfo> {
        let caller = self.caller().await?;
        let id = self.ensure_folder(&caller, &SharePath::parse(path)?).await?.folder();
        let id = id.ok_or_else(|| Error::invalid("path", "must name a folder", path))?;
        folders::get(self.drive(), &caller, id).await
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// As said at [`Share`]. Reading fails with an I/O error around [`Error::Corrupt`] rather than give a wrong byte.
    pub async fn read(&self, path: &str) -> Result<FileReader> {
        let caller = self.caller().await?;
        let id = self.file(&caller, path, Right::Read).await?;
        Ok(FileReader::new(self.drive(), content::open(self.drive(), &caller, id, None).await?, None))
    }

    /// Opens an old version of a file for reading.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`Error::NotFound`] if there is no such version.
    pub async fn read_version(&self, path: &str, number: u32) -> Result<FileReader> {
        let caller = self.caller().await?;
        let id = self.file(&caller, path, Right::Read).await?;
        Ok(FileReader::new(self.drive(), content::open(self.drive(), &caller, id, Some(number)).await?, None))
    }

    /// Returns a whole content: for small files.
    ///
    /// # Errors
    /// As said at [`Share`]; [`Error::Corrupt`] rather than a wrong byte.
    pub async fn read_to_vec(&self, path: &str) -> Result<Vec<u8>> {
        let caller = self.caller().await?;
        let id = self.file(&caller, path, Right::Read).await?;
        let readable = content::open(self.drive(), &caller, id, None).await?;
        content::read(self.drive(), &readable, None).await
    }

    /// Returns part of a content; a range that reaches past the end gives what is there.
    ///
    /// # Errors
    /// [`Error::RangeNotSatisfiable`] for a range that is empty or starts at or after the end.
    pub async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Vec<u8>> {
        let caller = self.caller().await?;
        let id = self.file(&caller, path, Right::Read).await?;
        let readable = content::open(self.drive(), &caller, id, None).await?;
        let range = ByteRange { start: range.start, end: range.end.min(readable.size) };
        if range.start >= range.end {
            return Err(Error::RangeNotSatisfiable { size: readable.size });
        }
        content::read(self.drive(), &readable, Some(range)).await
    }

    /// Returns everything in a folder, by name; `/` is the share's root.
    ///
    /// # Errors
    /// As said at [`Share`].
    pub async fn list(&self, path: &str) -> Result<Vec<Child>> {
        let caller = self.caller().await?;
        let path = SharePath::parse(path)?;
        let place = paths::place(self.drive(), &caller, self.facts.id, &path, Right::Read).await?;
        let mut listing = Listing::default();
        let mut all = Vec::new();
        loop {
            let folder = place.id().folder();
            let page = folders::children(self.drive(), &caller, self.facts.id, folder, &listing).await?;
            all.extend(page.items);
            listing.after = page.next;
            if listing.after.is_none() {
                return Ok(all);
            }
        }
    }

    /// Returns everything below a folder, each folder before what it holds; about half a KiB of memory for each.
    ///
    /// # Errors
    /// As said at [`Share`].
    pub async fn walk(&self, path: &str) -> Result<Vec<Walked>> {
        let caller = self.caller().await?;
        let path = SharePath::parse(path)?;
        let place = paths::place(self.drive(), &caller, self.facts.id, &path, Right::Read).await?;
        folders::walk(self.drive(), &caller, self.facts.id, place.id().folder()).await
    }

    /// Moves and renames in one, history and all: the folder of `to` must exist.
    ///
    /// # Errors
    /// [`Error::NameConflict`] where `to` is taken, [`Error::Cycle`] for a folder into itself.
    pub async fn rename(&self, from: &str, to: &str) -> Result<Item> {
        let caller = self.caller().await?;
        let id = self.node(&caller, from, Right::Delete).await?.node().id;
        let (parent, name) = self.place(&caller, to).await?;
        let target = Target { parent, name: Some(name) };
        match id {
            NodeId::File(id) => moves::file(self.drive(), &caller, id, target).await.map(Item::File),
            NodeId::Folder(id) => moves::folder(self.drive(), &caller, id, target).await.map(Item::Folder),
        }
    }

    /// Copies a file, or a folder with all it holds; no bytes move.
    ///
    /// # Errors
    /// As [`rename`](Self::rename).
    pub async fn copy(&self, from: &str, to: &str) -> Result<Item> {
        let caller = self.caller().await?;
        let id = self.node(&caller, from, Right::Read).await?.node().id;
        let (parent, name) = self.place(&caller, to).await?;
        let target = Target { parent, name: Some(name) };
        match id {
            NodeId::File(id) => copies::file(self.drive(), &caller, id, target).await.map(Item::File),
            NodeId::Folder(id) => copies::folder(self.drive(), &caller, id, target).await.map(Item::Folder),
        }
    }

    /// Puts a file or folder in the trash.
    ///
    /// # Errors
    /// As said at [`Share`].
    pub async fn remove(&self, path: &str) -> Result<()> {
        let caller = self.caller().await?;
        let id = self.node(&caller, path, Right::Delete).await?.node().id;
        trash::delete(self.drive(), &caller, id, false).await
    }

    /// Removes a file or folder for good, its versions too.
    ///
    /// # Errors
    /// As said at [`Share`].
    pub async fn remove_permanently(&self, path: &str) -> Result<()> {
        let caller = self.caller().await?;
        let id = self.node(&caller, path, Right::Delete).await?.node().id;
        trash::delete(self.drive(), &caller, id, true).await
    }

    /// Returns what is in the trash, newest first.
    ///
    /// # Errors
    /// As said at [`Share`].
    pub async fn trash(&self) -> Result<Vec<TrashItem>> {
        let caller = self.caller().await?;
        let (mut all, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = trash::list(self.drive(), &caller, self.facts.id, after.as_deref(), 1000).await?;
            all.extend(page.items);
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    /// Takes an item out of the trash: to its place, or to the root if that is gone; renamed if its name is taken.
    ///
    /// # Errors
    /// As said at [`Share`].
    pub async fn restore_from_trash(&self, id: NodeId) -> Result<Item> {
        let caller = self.caller().await?;
        Ok(match trash::restore(self.drive(), &caller, id).await? {
            RestoredItem::File(file) => Item::File(file),
            RestoredItem::Folder(folder) => Item::Folder(folder),
        })
    }

    /// Returns a file's versions, newest first.
    ///
    /// # Errors
    /// As said at [`Share`].
    pub async fn versions(&self, path: &str) -> Result<Vec<Version>> {
        let caller = self.caller().await?;
        let id = self.file(&caller, path, Right::Read).await?;
        let mut all: Vec<Version> = Vec::new();
        loop {
            let page = versions::list(self.drive(), &caller, id, VERSIONS, all.len() as u32).await?;
            let is_last = page.versions.len() < VERSIONS as usize;
            all.extend(page.versions);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Makes an old version current again, as a new version; returns its number.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such version.
    pub async fn restore(&self, path: &str, number: u32) -> Result<u32> {
        let caller = self.caller().await?;
        let id = self.file(&caller, path, Right::Write).await?;
        Ok(versions::restore(self.drive(), &caller, id, number).await?.version)
    }

    /// Returns the position of the last change: where [`watch_from`](Self::watch_from) goes on later.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn position(&self) -> Result<i64> {
        let caller = self.caller().await?;
        feed::head(self.drive(), &caller).await
    }

    /// Returns the share's changes from now on, by whomever they are made.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn watch(&self) -> Result<impl Stream<Item = Result<FeedRow>> + Send + Unpin + use<>> {
        Ok(self.watch_from(self.position().await?))
    }

    /// Returns the share's changes after a position: each once, in the order of their commits, none left out.
    ///
    /// The stream does not end by itself. After an error it does: the share is out of sight, or the database did not
    /// answer; a new one from the last position seen goes on where it stopped.
    pub fn watch_from(&self, position: i64) -> impl Stream<Item = Result<FeedRow>> + Send + Unpin + use<> {
        watch::changes(self.acting.clone(), self.facts.id, position)
    }
}
