//! Changes as devices send them, and what they ask for.

use serde::{Deserialize, Serialize};

use crate::model::{
    ChangeKind, ChunkHash, Error, FileName, MimeType, NodeId, NodeKind, ParentId, Result, Sha256Hash,
    ShareId, SharePath, Timestamp, VersionId,
};

/// A change as a device sends it (sync.md).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IncomingChange {
    /// What the device calls it: its own for thirty days.
    pub client_change_id: String,
    /// File or folder.
    pub resource_type: NodeKind,
    /// Which; found by its path without it.
    #[serde(default)]
    pub resource_id: Option<String>,
    /// What the device did.
    pub change_type: ChangeKind,
    /// The version that an edit was made of, or that a delete removed.
    #[serde(default)]
    pub base_version_id: Option<String>,
    /// Where the thing was.
    #[serde(default)]
    pub old_path: Option<String>,
    /// Where the thing is.
    #[serde(default)]
    pub new_path: Option<String>,
    /// The folder (or share) that holds it now, where the device knows its id: paths change with every folder above.
    #[serde(default)]
    pub parent_id: Option<String>,
    /// The size of its content in bytes.
    #[serde(default)]
    pub size: Option<u64>,
    /// The SHA-256 of its content.
    #[serde(default)]
    pub checksum_sha256: Option<Sha256Hash>,
    /// What its content is said to be.
    #[serde(default)]
    pub mime_type: Option<String>,
    /// When it was changed last, or deleted, by the device's clock.
    #[serde(default)]
    pub modified_at: Option<Timestamp>,
    /// Its content in order, as chunks that are stored already.
    #[serde(default)]
    pub chunks: Option<Vec<ChunkRef>>,
}

/// A chunk of a content.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ChunkRef {
    /// Its hash.
    pub sha256: ChunkHash,
    /// Its size in bytes.
    pub size: u32,
}

impl IncomingChange {
    /// Returns the digest of what is asked for: the same change sent again has the same, whatever its spelling.
    pub(super) fn digest(&self, share: ShareId) -> Result<Sha256Hash> {
        let text = serde_json::to_vec(&(share, self)).map_err(|error| Error::internal(error.to_string()))?;
        Ok(Sha256Hash::of(&text))
    }

    /// Tells whether the change brings the content of a file.
    fn brings_content(&self) -> bool {
        let is_new = self.change_type == ChangeKind::Created;
        self.resource_type == NodeKind::File && (is_new || self.chunks.is_some())
    }
}

/// What a change asks for, in a form that can be.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) kind: NodeKind,
    pub(super) what: ChangeKind,
    pub(super) target: Option<NodeId>,
    pub(super) base: Option<VersionId>,
    pub(super) from: Option<SharePath>,
    pub(super) to: Option<SharePath>,
    pub(super) parent: Option<ParentId>,
    pub(super) mime_type: Option<MimeType>,
    pub(super) modified_at: Option<Timestamp>,
    pub(super) brings_content: bool,
}

impl Wanted {
    /// Reads what a change asks for, or says what is wrong with it.
    pub(super) fn read(change: &IncomingChange) -> Result<Self> {
        let path = |field: &str, text: &Option<String>| {
            text.as_deref().map(|text| SharePath::parse_exact(field, text)).transpose()
        };
        let wanted = Self {
            kind: change.resource_type,
            what: change.change_type,
            target: target(change)?,
            base: change.base_version_id.as_deref().map(version).transpose()?,
            from: path("old_path", &change.old_path)?,
            to: path("new_path", &change.new_path)?,
            // Ids are opaque: one that cannot exist is as good as one that does not.
            parent: change.parent_id.as_deref().map(str::parse).transpose().map_err(|_| Error::NotFound)?,
            mime_type: change.mime_type.as_deref().map(MimeType::parse).transpose()?,
            modified_at: change.modified_at,
            brings_content: change.brings_content(),
        };
        wanted.check_paths()?;
        if wanted.brings_content && change.chunks.is_none() && change.size.is_some_and(|size| size > 0) {
            return Err(Error::invalid("chunks", "are needed for a file that is not empty", change.size));
        }
        Ok(wanted)
    }

    fn check_paths(&self) -> Result<()> {
        let needs_new = matches!(self.what, ChangeKind::Created | ChangeKind::Moved | ChangeKind::Renamed);
        if needs_new && self.to.is_none() {
            return Err(Error::invalid("new_path", "says where the item is now", serde_json::Value::Null));
        }
        let is_named = self.target.is_some() || self.from.is_some();
        let is_there = matches!(self.what, ChangeKind::Created)
            || is_named
            || (matches!(self.what, ChangeKind::Updated | ChangeKind::Deleted) && self.to.is_some());
        if is_there {
            return Ok(());
        }
        Err(Error::invalid("resource_id", "give it, or the item's old path", serde_json::Value::Null))
    }

    /// Tells whether the item is to have another place or name.
    pub(super) fn relocates(&self) -> bool {
        let differs = self.from.is_some() && self.to.is_some() && self.from != self.to;
        match self.what {
            ChangeKind::Moved | ChangeKind::Renamed => true,
            ChangeKind::Updated => differs,
            ChangeKind::Created | ChangeKind::Deleted => false,
        }
    }

    /// Returns the path that leads to the item on the server.
    pub(super) fn path(&self) -> Option<&SharePath> {
        self.from.as_ref().or(self.to.as_ref())
    }

    /// Returns the name that the item is to have.
    pub(super) fn name(&self) -> Option<&FileName> {
        self.to.as_ref().or(self.from.as_ref()).and_then(|path| path.names().last())
    }
}

fn target(change: &IncomingChange) -> Result<Option<NodeId>> {
    // What is new has no id yet, whatever stands there.
    let Some(text) = change.resource_id.as_deref().filter(|_| change.change_type != ChangeKind::Created)
    else {
        return Ok(None);
    };
    let id: NodeId = text.parse().map_err(|_| Error::NotFound)?;
    let kind = if id.as_file().is_some() { NodeKind::File } else { NodeKind::Folder };
    if kind == change.resource_type { Ok(Some(id)) } else { Err(Error::NotFound) }
}

fn version(text: &str) -> Result<VersionId> {
    text.parse().map_err(|_| Error::invalid("base_version_id", "not the id of a version", text))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn change(fields: Value) -> IncomingChange {
        let mut all = json!({ "client_change_id": "c", "resource_type": "file", "change_type": "created" });
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    fn refusal(fields: Value) -> &'static str {
        Wanted::read(&change(fields)).unwrap_err().code()
    }

    const ID: &str = "fil_01ARZ3NDEKTSV4RRFFQ69G5FAV";

    #[test]
    fn paths_that_lead_anywhere_else_are_refused() {
        let long = format!("/{}", "x".repeat(256));
        let deep = "/a".repeat(257);
        for path in
            ["", "/", "a", "a/b", "/a/../b", "/./a", "a//b", "/a/", "//a", "/a\0", "/a\nb", &long, &deep]
        {
            assert_eq!(refusal(json!({ "new_path": path })), "VALIDATION_FAILED", "{path:?}");
        }
        let wanted = Wanted::read(&change(json!({ "new_path": "/a/b" }))).unwrap();
        assert_eq!(wanted.to.unwrap().to_string(), "/a/b");
    }

    #[test]
    fn what_is_asked_for_must_be_told() {
        for fields in [
            json!({}),
            json!({ "change_type": "moved", "resource_id": ID }),
            json!({ "change_type": "renamed", "new_path": "/a" }),
            json!({ "change_type": "updated" }),
            json!({ "change_type": "deleted" }),
            json!({ "new_path": "/a", "size": 1 }),
            json!({ "new_path": "/a", "mime_type": "nonsense" }),
            json!({ "change_type": "updated", "resource_id": ID, "base_version_id": "x" }),
        ] {
            assert_eq!(refusal(fields.clone()), "VALIDATION_FAILED", "{fields}");
        }
    }

    #[test]
    fn ids_that_cannot_be_are_not_found() {
        for id in ["", "x", "fld_01ARZ3NDEKTSV4RRFFQ69G5FAV", "shr_01ARZ3NDEKTSV4RRFFQ69G5FAV"] {
            assert_eq!(refusal(json!({ "change_type": "deleted", "resource_id": id })), "NOT_FOUND", "{id}");
        }
        assert_eq!(refusal(json!({ "new_path": "/a", "parent_id": "x" })), "NOT_FOUND");
    }

    #[test]
    fn a_digest_tells_changes_apart_and_not_their_spelling() {
        let share: ShareId = "shr_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap();
        let digest = |fields| change(fields).digest(share).unwrap();
        let plain = digest(json!({ "new_path": "/a" }));
        assert_eq!(digest(json!({ "new_path": "/a", "old_path": null, "unknown": 1 })), plain);
        assert_ne!(digest(json!({ "new_path": "/b" })), plain);
        let other: ShareId = "shr_01ARZ3NDEKTSV4RRFFQ69G5FAW".parse().unwrap();
        assert_ne!(change(json!({ "new_path": "/a" })).digest(other).unwrap(), plain);
    }

    #[test]
    fn only_an_update_that_says_both_paths_moves() {
        let relocates = |fields| Wanted::read(&change(fields)).unwrap().relocates();
        assert!(!relocates(json!({ "change_type": "updated", "resource_id": ID, "new_path": "/b" })));
        let both = |old: &str| json!({ "change_type": "updated", "old_path": old, "new_path": "/b" });
        assert!(relocates(both("/a")) && !relocates(both("/b")));
        assert!(relocates(json!({ "change_type": "renamed", "resource_id": ID, "new_path": "/b" })));
    }
}
