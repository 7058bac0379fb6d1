//! Rows of the feed and lines of a snapshot, as they are on the wire.

use serde::Deserialize;

use super::Change;
use crate::model::{ItemId, Kind, Sha256Hash, Timestamp, VersionId};
use crate::trees::{RemoteFile, RemoteItem};

/// A row of the feed.
#[derive(Clone, Debug, Deserialize)]
pub struct Row {
    resource_type: String,
    resource_id: ItemId,
    change_type: String,
    #[serde(default)]
    version_id: Option<VersionId>,
    #[serde(default)]
    metadata: Option<State>,
}

/// An item of a snapshot.
#[derive(Clone, Debug, Deserialize)]
pub struct SnapshotLine {
    resource_type: Kind,
    resource_id: ItemId,
    #[serde(default)]
    version_id: Option<VersionId>,
    #[serde(flatten)]
    state: State,
}

/// Full state of an item.
#[derive(Clone, Debug, Default, Deserialize)]
struct State {
    #[serde(default)]
    parent_id: Option<ItemId>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    checksum_sha256: Option<Sha256Hash>,
    #[serde(default)]
    modified_at: Option<Timestamp>,
    #[serde(default)]
    access_changed: bool,
    /// Whether a folder appeared with what it holds, of which no rows of their own tell.
    #[serde(default)]
    covers_subtree: bool,
}

impl State {
    /// Returns the item, if the state is full.
    fn item(self, kind: Kind, id: ItemId, version: Option<VersionId>) -> Option<RemoteItem> {
        let file = match kind {
            Kind::Folder => None,
            Kind::File => Some(RemoteFile {
                version: version?,
                checksum: self.checksum_sha256?,
                size: self.size?,
                modified_at: self.modified_at.unwrap_or_default(),
            }),
        };
        Some(RemoteItem { id, parent: self.parent_id, name: self.name?, file })
    }
}

impl SnapshotLine {
    /// Returns the item, if the line is whole.
    pub fn item(self) -> Option<RemoteItem> {
        self.state.item(self.resource_type, self.resource_id, self.version_id)
    }
}

impl Row {
    /// Returns what happened; nothing if it does not concern the tree.
    pub fn change(self) -> Option<Change> {
        let state = self.metadata.unwrap_or_default();
        let is_wider = state.access_changed || state.covers_subtree;
        let kind = match (self.resource_type.as_str(), self.change_type.as_str()) {
            ("share", "deleted") => return Some(Change::ShareGone),
            ("share", "created") => return Some(Change::LookAgain),
            ("share", _) => return is_wider.then_some(Change::LookAgain),
            ("file" | "folder", "deleted") => return Some(Change::Gone(self.resource_id)),
            ("file" | "folder", _) if is_wider => return Some(Change::LookAgain),
            ("file", _) => Kind::File,
            ("folder", _) => Kind::Folder,
            _ => return None,
        };
        let has_moved = matches!(self.change_type.as_str(), "moved" | "renamed");
        let is_arrival = has_moved && kind == Kind::Folder;
        Some(match state.item(kind, self.resource_id, self.version_id) {
            Some(item) if is_arrival => Change::Arrived(item),
            Some(item) => Change::Put(item),
            // Less than a full state: whatever it means, looking again tells.
            None => Change::LookAgain,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn change(row: Value) -> Option<Change> {
        serde_json::from_value::<Row>(row).unwrap().change()
    }

    #[test]
    fn rows_are_understood() {
        let file = change(json!({
            "id": "chg_1", "position": 7, "resource_type": "file", "resource_id": "fil_1", "change_type": "renamed",
            "version_id": "ver_1", "new_path": "/a/b", "metadata": {
                "parent_id": "fld_1", "name": "b", "size": 3, "checksum_sha256": "ab".repeat(32),
                "modified_at": "2026-11-23T10:00:00.000Z", "device_id": "laptop",
            },
        }));
        let Some(Change::Put(item)) = file else { panic!("{file:?}") };
        assert_eq!((item.name.as_str(), item.file.unwrap().size), ("b", 3));
        let folder = |metadata: Value| json!({ "resource_type": "folder", "resource_id": "fld_2", "change_type": "moved", "metadata": metadata });
        let arrived = change(folder(json!({ "parent_id": null, "name": "x" })));
        assert!(matches!(arrived, Some(Change::Arrived(_))), "{arrived:?}");
        assert_eq!(change(folder(json!({ "name": "x", "access_changed": true }))), Some(Change::LookAgain));
        assert_eq!(change(folder(json!({ "name": "x", "covers_subtree": true }))), Some(Change::LookAgain));
        assert_eq!(change(folder(Value::Null)), Some(Change::LookAgain));
    }

    #[test]
    fn a_tombstone_needs_no_more_than_an_id() {
        let row = json!({
            "id": "chg_1", "position": 7, "share_id": "shr_1", "resource_type": "file", "resource_id": "fil_1",
            "change_type": "deleted",
        });
        assert_eq!(change(row), Some(Change::Gone(ItemId::new("fil_1"))));
    }

    #[test]
    fn rows_about_the_share_itself_concern_the_tree_only_if_it_looks_different_now() {
        let row = |change_type: &str, metadata: Value| {
            change(json!({
                "resource_type": "share", "resource_id": "shr_1", "change_type": change_type, "metadata": metadata,
            }))
        };
        assert_eq!(row("updated", json!({ "name": "S" })), None);
        assert_eq!(row("updated", json!({ "access_changed": true })), Some(Change::LookAgain));
        assert_eq!(row("deleted", Value::Null), Some(Change::ShareGone));
    }
}
