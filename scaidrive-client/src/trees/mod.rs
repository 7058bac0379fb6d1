//! The three trees that syncing compares: what the server said last (`remote`), what the scanner sees (`local`), and
//! what both agreed on last (`synced`).

mod local;
mod tree;

use serde::{Deserialize, Serialize};

use crate::model::{ItemId, Kind, Sha256Hash, Timestamp, VersionId};

pub use local::{Content, FileKey, LocalKind, LocalNode, LocalTree, Stamp};
pub use tree::{Placed, Tree};

/// An item as the server has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteItem {
    /// Its id.
    pub id: ItemId,
    /// The folder that holds it; nothing for the root.
    pub parent: Option<ItemId>,
    /// Its name.
    pub name: String,
    /// What it holds; nothing for a folder.
    pub file: Option<RemoteFile>,
}

/// What a file holds on the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteFile {
    /// The version that is current.
    pub version: VersionId,
    /// The SHA-256 of its content.
    pub checksum: Sha256Hash,
    /// Its size in bytes.
    pub size: u64,
    /// When it was changed last.
    pub modified_at: Timestamp,
}

/// An item as both sides had it when they last agreed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncedItem {
    /// Its id.
    pub id: ItemId,
    /// The folder that held it; nothing for the root.
    pub parent: Option<ItemId>,
    /// Its name.
    pub name: String,
    /// What the local file or directory looked like.
    pub stamp: Stamp,
    /// What it held; nothing for a folder.
    pub file: Option<SyncedFile>,
}

/// What a file held when both sides last agreed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncedFile {
    /// The version that an edit of it is an edit of.
    pub version: VersionId,
    /// The SHA-256 of the local content, which the server has.
    pub checksum: Sha256Hash,
    /// Whether the stamp was old enough to be believed when the content was read: a second change within one tick of
    /// the file system's clock would not show in it.
    pub is_settled: bool,
}

impl Placed for RemoteItem {
    fn id(&self) -> &ItemId {
        &self.id
    }

    fn parent(&self) -> Option<&ItemId> {
        self.parent.as_ref()
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> Kind {
        if self.file.is_some() { Kind::File } else { Kind::Folder }
    }
}

impl Placed for SyncedItem {
    fn id(&self) -> &ItemId {
        &self.id
    }

    fn parent(&self) -> Option<&ItemId> {
        self.parent.as_ref()
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> Kind {
        if self.file.is_some() { Kind::File } else { Kind::Folder }
    }
}
