//! The same for programs without an async runtime: a thin cover that brings its own.

use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use scaidrive_core::model::Error;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_util::io::{StreamReader, SyncIoBridge};

use crate::{
    AceType, AclInfo, Child, Config, Effective, EntryInfo, FeedRow, FileInfo, FolderInfo, Group, GroupId,
    GroupMember, Inheritance, Item, MemberInfo, NewEntry, NodeId, Principal, Result, Rights, ShareId,
    ShareRole, Timestamp, TrashItem, Trustee, User, UserId, Version, Walked, item, share,
};

/// Bytes taken from a host's reader at once.
const BLOCK: usize = 256 << 10;

/// A drive for blocking code; cheap to clone. It must not be used on a thread of an async runtime.
#[derive(Clone, Debug)]
pub struct ScaiDrive {
    runtime: Arc<Runtime>,
    inner: crate::ScaiDrive,
}

/// A share for blocking code: every method does what its async twin does, with the same errors.
#[derive(Clone, Debug)]
pub struct Share {
    runtime: Arc<Runtime>,
    inner: share::Share,
}

/// A file's content for blocking code: see [`crate::FileReader`].
pub struct FileReader {
    inner: SyncIoBridge<item::FileReader>,
    /// Kept for as long as there is something to read on it.
    _runtime: Arc<Runtime>,
}

impl FileReader {
    fn new(runtime: &Arc<Runtime>, reader: item::FileReader) -> Self {
        let inner = SyncIoBridge::new_with_handle(reader, runtime.handle().clone());
        Self { inner, _runtime: Arc::clone(runtime) }
    }

    /// Returns the size of the whole content in bytes.
    pub fn size(&self) -> u64 {
        self.inner.as_ref().size()
    }

    /// Returns the SHA-256 of the whole content, in hex.
    pub fn checksum(&self) -> String {
        self.inner.as_ref().checksum()
    }

    /// Returns the number of the version that is read.
    pub fn version(&self) -> u32 {
        self.inner.as_ref().version()
    }
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.inner.read(buffer)
    }
}

impl ScaiDrive {
    /// Opens the drive in a directory: see [`crate::ScaiDrive::open_dir`].
    ///
    /// # Errors
    /// As there.
    pub fn open_dir(dir: impl AsRef<Path>) -> Result<Self> {
        Self::open(&Config::embedded(dir.as_ref()))
    }

    /// Opens a drive as configured: see [`crate::ScaiDrive::open`].
    ///
    /// # Errors
    /// As there.
    pub fn open(config: &Config) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = Arc::new(runtime.map_err(|error| Error::internal(format!("no runtime: {error}")))?);
        let inner = runtime.block_on(crate::ScaiDrive::open(config))?;
        Ok(Self { runtime, inner })
    }

    fn share_of(&self, inner: share::Share) -> Share {
        Share { runtime: Arc::clone(&self.runtime), inner }
    }

    /// Returns a handle that acts as another user of the same tenant.
    ///
    /// # Errors
    /// As [`crate::ScaiDrive::as_user`].
    pub fn as_user(&self, user: &UserId) -> Result<Self> {
        let inner = self.runtime.block_on(self.inner.as_user(user))?;
        Ok(Self { runtime: Arc::clone(&self.runtime), inner })
    }

    /// Creates a share.
    ///
    /// # Errors
    /// As [`crate::ScaiDrive::create_share`].
    pub fn create_share(&self, name: &str) -> Result<Share> {
        Ok(self.share_of(self.runtime.block_on(self.inner.create_share(name))?))
    }

    /// Returns a share by its name or id.
    ///
    /// # Errors
    /// As [`crate::ScaiDrive::share`].
    pub fn share(&self, name: &str) -> Result<Share> {
        Ok(self.share_of(self.runtime.block_on(self.inner.share(name))?))
    }

    /// Returns the shares that the acting user sees.
    ///
    /// # Errors
    /// As [`crate::ScaiDrive::shares`].
    pub fn shares(&self) -> Result<Vec<Share>> {
        let found = self.runtime.block_on(self.inner.shares())?;
        Ok(found.into_iter().map(|share| self.share_of(share)).collect())
    }

    /// Finishes what is under way and closes the database.
    pub fn close(self) {
        self.runtime.block_on(self.inner.close());
    }
}

/// Makes the blocking twins of methods that only wait.
macro_rules! twins {
    ($handle:ident: $($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) -> $out:ty;)+) => {
        impl $handle {
            $($(#[$doc])*
            ///
            /// # Errors
            /// As its async twin.
            pub fn $name(&self, $($arg: $type),*) -> Result<$out> {
                self.runtime.block_on(self.inner.$name($($arg),*))
            })+
        }
    };
}

twins! { ScaiDrive:
    /// Creates a user.
    create_user(id: Option<UserId>, name: Option<&str>) -> User;
    /// Locks a user out.
    suspend_user(user: &UserId) -> User;
    /// Lets a user act again.
    activate_user(user: &UserId) -> User;
    /// Creates a group.
    create_group(name: &str) -> Group;
    /// Returns all groups, by name.
    groups() -> Vec<Group>;
    /// Removes a group.
    remove_group(group: &GroupId) -> ();
    /// Returns who is directly in a group.
    group_members(group: &GroupId) -> Vec<GroupMember>;
    /// Puts a user or group into a group.
    add_group_member(group: &GroupId, member: &Principal) -> ();
    /// Takes a user or group out of a group.
    remove_group_member(group: &GroupId, member: &Principal) -> ();
}

twins! { Share:
    /// Returns who is a member, the oldest first.
    members() -> Vec<MemberInfo>;
    /// Makes a user or group a member.
    add_member(who: &Principal, role: ShareRole, expires_at: Option<Timestamp>) -> MemberInfo;
    /// Ends a membership.
    remove_member(who: &Principal) -> ();
    /// Returns the entries at a path.
    acl(path: &str) -> AclInfo;
    /// Allows somebody something, at a path and below.
    grant(path: &str, whom: impl Into<Trustee>, rights: impl Into<Rights>) -> EntryInfo;
    /// Denies somebody something, at a path and below.
    deny(path: &str, whom: impl Into<Trustee>, rights: impl Into<Rights>) -> EntryInfo;
    /// Adds an entry at a path, which need not count below.
    add_entry(path: &str, entry: NewEntry) -> EntryInfo;
    /// Removes an entry at a path.
    remove_entry(path: &str, whom: impl Into<Trustee>, kind: AceType) -> ();
    /// Makes what lies above count at a path, or not.
    set_inheritance(path: &str, inherits: bool, copies: bool) -> Inheritance;
    /// Returns what the acting user may do at a path.
    effective(path: &str) -> Rights;
    /// Returns what somebody may do at a path, and what decides each right.
    explain(path: &str, other: Option<&UserId>) -> Effective;
}

twins! { Share:
    /// Returns what is at a path.
    metadata(path: &str) -> Item;
    /// Writes bytes that are in memory.
    write_bytes(path: &str, bytes: impl Into<Bytes>) -> FileInfo;
    /// Makes a folder and those above it.
    create_folder(path: &str) -> FolderInfo;
    /// Returns a whole content: for small files.
    read_to_vec(path: &str) -> Vec<u8>;
    /// Returns part of a content.
    read_range(path: &str, range: Range<u64>) -> Vec<u8>;
    /// Returns everything in a folder.
    list(path: &str) -> Vec<Child>;
    /// Returns everything below a folder.
    walk(path: &str) -> Vec<Walked>;
    /// Moves and renames in one.
    rename(from: &str, to: &str) -> Item;
    /// Copies a file, or a folder with all it holds.
    copy(from: &str, to: &str) -> Item;
    /// Puts a file or folder in the trash.
    remove(path: &str) -> ();
    /// Removes a file or folder for good.
    remove_permanently(path: &str) -> ();
    /// Returns what is in the trash.
    trash() -> Vec<TrashItem>;
    /// Takes an item out of the trash.
    restore_from_trash(id: NodeId) -> Item;
    /// Returns a file's versions, newest first.
    versions(path: &str) -> Vec<Version>;
    /// Makes an old version current again.
    restore(path: &str, number: u32) -> u32;
    /// Returns the position of the last change.
    position() -> i64;
}

impl Share {
    /// Returns the share's id.
    pub fn id(&self) -> ShareId {
        self.inner.id()
    }

    /// Returns the share's name.
    pub fn name(&self) -> &str {
        self.inner.name()
    }

    /// Writes what a reader gives, in bounded memory.
    ///
    /// # Errors
    /// As [`crate::Share::write`].
    pub fn write(&self, path: &str, mut reader: impl Read) -> Result<FileInfo> {
        let (sender, receiver) = mpsc::channel::<std::io::Result<Bytes>>(2);
        let (share, path) = (self.inner.clone(), path.to_owned());
        let blocks = stream::unfold(receiver, |mut all| async { Some((all.recv().await?, all)) });
        let writing =
            self.runtime.spawn(async move { share.write(&path, StreamReader::new(blocks.boxed())).await });
        loop {
            let mut block = vec![0; BLOCK];
            let part = match reader.read(&mut block) {
                Ok(0) => break,
                Ok(length) => {
                    block.truncate(length);
                    Ok(Bytes::from(block))
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let failed = part.is_err();
            // Nobody receives any more once the write has failed: then it says why.
            if sender.blocking_send(part).is_err() || failed {
                break;
            }
        }
        drop(sender);
        let written = self.runtime.block_on(writing);
        written.map_err(|error| Error::internal(format!("a write broke off: {error}")))?
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// As [`crate::Share::read`].
    pub fn read(&self, path: &str) -> Result<FileReader> {
        let reader = self.runtime.block_on(self.inner.read(path))?;
        Ok(FileReader::new(&self.runtime, reader))
    }

    /// Opens an old version of a file for reading.
    ///
    /// # Errors
    /// As [`crate::Share::read_version`].
    pub fn read_version(&self, path: &str, number: u32) -> Result<FileReader> {
        let reader = self.runtime.block_on(self.inner.read_version(path, number))?;
        Ok(FileReader::new(&self.runtime, reader))
    }

    /// Returns the share's changes from now on; each call of `next` waits for one.
    ///
    /// # Errors
    /// As [`crate::Share::watch`].
    pub fn watch(&self) -> Result<impl Iterator<Item = Result<FeedRow>> + use<>> {
        Ok(self.watch_from(self.position()?))
    }

    /// Returns the share's changes after a position; each call of `next` waits for one.
    pub fn watch_from(&self, position: i64) -> impl Iterator<Item = Result<FeedRow>> + use<> {
        let (runtime, mut changes) = (Arc::clone(&self.runtime), self.inner.watch_from(position));
        std::iter::from_fn(move || runtime.block_on(changes.next()))
    }
}
