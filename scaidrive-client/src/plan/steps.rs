//! What plans are made of.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{ItemId, Kind, Sha256Hash, TreePath, VersionId};
use crate::trees::{RemoteFile, Stamp, SyncedItem};

/// What must be done, in this order: `local`, then `remote`, then `downloads`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Changes of the local tree that move no bytes; one may rely on those before it.
    pub local: Vec<LocalStep>,
    /// Changes to tell the server; one may rely on those before it.
    pub remote: Vec<RemoteStep>,
    /// Contents to fetch, in any order.
    pub downloads: Vec<Download>,
    /// Items that both sides agree on, and that are not known to be agreed yet.
    pub agreed: Vec<SyncedItem>,
    /// Items that neither side has any more.
    pub forgotten: Vec<ItemId>,
    /// What cannot be synced as it is.
    pub notes: Vec<Note>,
}

impl Plan {
    /// Tells whether nothing has to be done, apart from remembering.
    pub fn is_settled(&self) -> bool {
        self.local.is_empty() && self.remote.is_empty() && self.downloads.is_empty()
    }

    /// Returns how many files would be deleted on the server.
    pub fn remote_deletions(&self) -> usize {
        let files = |step: &RemoteStep| match step {
            RemoteStep::Delete { files, .. } => *files,
            _ => 0,
        };
        self.remote.iter().map(files).sum()
    }
}

/// A change of the local tree. Every path is what it is when the step's turn comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalStep {
    /// Makes a directory for a folder of the server.
    MakeFolder {
        /// The folder.
        id: ItemId,
        /// What holds it on the server.
        parent: Option<ItemId>,
        /// Where.
        path: TreePath,
    },
    /// Moves or renames a file or directory.
    Move {
        /// Which item it is; nothing for one that the server does not know.
        id: Option<ItemId>,
        /// Where it is.
        from: TreePath,
        /// Where it goes.
        to: TreePath,
        /// What it must look like.
        stamp: Stamp,
        /// The place on the server that this follows; nothing for a step aside.
        follows: Option<(Option<ItemId>, String)>,
    },
    /// Removes a file that the server removed, if it is as it was.
    RemoveFile {
        /// The item.
        id: ItemId,
        /// Where it is.
        path: TreePath,
        /// What it must look like.
        stamp: Stamp,
    },
    /// Removes a directory that the server removed, if nothing but junk is in it.
    RemoveFolder {
        /// The item.
        id: ItemId,
        /// Where it is.
        path: TreePath,
    },
}

/// The folder on the server that something goes into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParentRef {
    /// The root of the share.
    Root,
    /// A folder.
    Id(ItemId),
    /// The folder that an earlier step of the same plan creates at this path.
    Created(TreePath),
}

/// Where something goes on the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The folder.
    pub parent: ParentRef,
    /// The whole path when the step's turn comes.
    pub path: TreePath,
}

/// A change to tell the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RemoteStep {
    /// Creates a folder.
    CreateFolder {
        /// The directory that it stands for.
        local: TreePath,
        /// What that looks like.
        stamp: Stamp,
        /// Where it goes.
        to: Target,
        /// The folder that the directory stood for, and that the server removed.
        replaces: Option<ItemId>,
    },
    /// Creates a file.
    CreateFile {
        /// The local file.
        source: Source,
        /// Where it goes. Somebody else may have the name: the server says what becomes of both.
        to: Target,
        /// The file that this was, and that the server removed.
        replaces: Option<ItemId>,
    },
    /// Gives a file new content.
    Edit {
        /// The file.
        id: ItemId,
        /// What the edit was made of.
        base: VersionId,
        /// The local file.
        source: Source,
        /// Where it is on the server.
        path: TreePath,
    },
    /// Moves or renames an item.
    Move {
        /// The item.
        id: ItemId,
        /// What it is.
        kind: Kind,
        /// Where it is.
        from: TreePath,
        /// Where it goes.
        to: Target,
    },
    /// Deletes an item, with all it holds.
    Delete {
        /// The item.
        id: ItemId,
        /// What it is.
        kind: Kind,
        /// The version that was deleted; nothing for a folder.
        base: Option<VersionId>,
        /// Where it is.
        path: TreePath,
        /// How many files this deletes.
        files: usize,
    },
}

/// A local file to send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Where it is.
    pub path: TreePath,
    /// What it must look like.
    pub stamp: Stamp,
    /// The SHA-256 of its content.
    pub hash: Sha256Hash,
    /// Whether the stamp could be believed when it was read.
    pub is_settled: bool,
}

/// Content to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// The file.
    pub id: ItemId,
    /// What holds it on the server.
    pub parent: Option<ItemId>,
    /// What it holds there.
    pub file: RemoteFile,
    /// Where it goes.
    pub path: TreePath,
    /// What is there and gives way, if it still looks like this; nothing where there is nothing.
    pub over: Option<Stamp>,
}

/// Something that cannot be synced as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Note {
    /// Its path.
    pub path: TreePath,
    /// Why, in words for people.
    pub reason: String,
}

/// A step and all it depends on, as a text: while it stays the same, the step would fail as it did before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature(String);

impl Signature {
    /// Returns what tells the creation of a file from all others.
    pub(super) fn of_new_file(path: &TreePath, content: &Sha256Hash) -> Self {
        Self(format!("create {path} {content}"))
    }

    /// Returns what tells the creation of a folder from all others.
    pub(super) fn of_new_folder(path: &TreePath) -> Self {
        Self(format!("create folder {path}"))
    }

    /// Returns what tells a move on the server from all others.
    pub(super) fn of_move(id: &ItemId, path: &TreePath) -> Self {
        Self(format!("move {id} {path}"))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl LocalStep {
    /// Returns what tells this step from all others.
    pub fn signature(&self) -> Signature {
        Signature(match self {
            Self::MakeFolder { id, path, .. } => format!("make {id} {path}"),
            Self::Move { from, to, stamp, .. } => format!("move {from} {to} {}", stamp.key.number),
            Self::RemoveFile { id, path, stamp } => format!("remove {id} {path} {}", stamp.changed),
            Self::RemoveFolder { id, path } => format!("remove {id} {path}"),
        })
    }

    /// Returns the path that the step is about.
    pub fn path(&self) -> &TreePath {
        match self {
            Self::MakeFolder { path, .. }
            | Self::RemoveFile { path, .. }
            | Self::RemoveFolder { path, .. } => path,
            Self::Move { from, .. } => from,
        }
    }
}

impl RemoteStep {
    /// Returns what tells this step from all others.
    pub fn signature(&self) -> Signature {
        match self {
            Self::CreateFolder { to, .. } => Signature::of_new_folder(&to.path),
            Self::CreateFile { source, to, .. } => Signature::of_new_file(&to.path, &source.hash),
            Self::Edit { id, base, source, .. } => Signature(format!("edit {id} {base} {}", source.hash)),
            Self::Move { id, to, .. } => Signature::of_move(id, &to.path),
            Self::Delete { id, base: Some(version), .. } => Signature(format!("delete {id} {version}")),
            Self::Delete { id, base: None, .. } => Signature(format!("delete {id}")),
        }
    }

    /// Returns the path that the step is about: the local one, where there is one.
    pub fn path(&self) -> &TreePath {
        match self {
            Self::CreateFolder { local, .. } => local,
            Self::CreateFile { source, .. } | Self::Edit { source, .. } => &source.path,
            Self::Move { to, .. } => &to.path,
            Self::Delete { path, .. } => path,
        }
    }

    /// Returns the local file that the step sends.
    pub fn source(&self) -> Option<&Source> {
        match self {
            Self::CreateFile { source, .. } | Self::Edit { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl Download {
    /// Returns what tells this step from all others.
    pub fn signature(&self) -> Signature {
        Signature(format!("download {} {} {}", self.id, self.file.version, self.path))
    }
}

impl super::Naming {
    /// Tells why a name of the server cannot be given to a local file.
    pub(super) fn fault(&self, name: &str) -> Option<&'static str> {
        const RESERVED: [&str; 6] = ["con", "prn", "aux", "nul", "com", "lpt"];
        if !self.is_windows {
            return None;
        }
        let stem = name.split('.').next().unwrap_or(name).trim_end().to_ascii_lowercase();
        let letters = stem.trim_end_matches(|last: char| last.is_ascii_digit());
        let is_reserved = match stem.len() - letters.len() {
            0 => RESERVED[..4].contains(&letters),
            1 => RESERVED[4..].contains(&letters),
            _ => false,
        };
        if name.contains(['\\', ':', '*', '?', '"', '<', '>', '|'])
            || name.ends_with(['.', ' '])
            || is_reserved
        {
            return Some("not downloaded: this computer cannot have a file of this name");
        }
        None
    }
}
