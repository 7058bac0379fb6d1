//! Changes to apply, and what became of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::chunker::ChunkRef;
use crate::error::Error;
use crate::model::{DeviceId, ItemId, Kind, Sha256Hash, ShareId, Timestamp, VersionId};
use crate::plan::RemoteStep;

/// How the server settles conflicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Strategy {
    /// The incoming content becomes a second file.
    #[default]
    KeepBoth,
    /// What was changed later counts; the other stays in the history.
    LastWriterWins,
    /// What comes in counts; the server's stays in the history.
    ClientWins,
    /// The server's counts; what comes in is kept as an older version.
    ServerWins,
    /// Nothing visible changes until somebody decides.
    Manual,
}

/// A change on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncomingChange {
    /// What the device calls it: sent again, it has no effect again.
    pub client_change_id: String,
    /// File or folder.
    pub resource_type: Kind,
    /// Which; nothing for what is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<ItemId>,
    /// What the device did.
    pub change_type: ChangeType,
    /// The version that an edit was made of, or that a delete removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_version_id: Option<VersionId>,
    /// Where the item was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_path: Option<String>,
    /// Where the item is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_path: Option<String>,
    /// The folder that holds it now, where its id is known: paths change with every folder above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<ItemId>,
    /// The size of its content in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The SHA-256 of its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum_sha256: Option<Sha256Hash>,
    /// When it was changed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modified_at: Option<Timestamp>,
    /// Its content in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks: Option<Vec<ChunkRef>>,
}

/// What a device did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeType {
    /// Made it.
    Created,
    /// Changed its content.
    Updated,
    /// Removed it.
    Deleted,
    /// Put it into another folder.
    Moved,
    /// Gave it another name.
    Renamed,
}

/// Changes that are sent together, with the steps of the plan that they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The device.
    pub device: DeviceId,
    /// The share.
    pub share: ShareId,
    /// How conflicts are settled.
    pub strategy: Strategy,
    /// How far the device had read the feed: a folder is deleted only with what the device knows of.
    pub cursor: Option<i64>,
    /// The changes, in order, each with its step.
    pub changes: Vec<(IncomingChange, RemoteStep)>,
}

impl Batch {
    /// Returns the body of the request.
    pub fn body(&self) -> serde_json::Value {
        let changes: Vec<&IncomingChange> = self.changes.iter().map(|(change, _)| change).collect();
        serde_json::json!({
            "device_id": self.device, "share_id": self.share, "conflict_resolution": self.strategy,
            "atomic": false, "cursor": self.cursor, "changes": changes,
        })
    }
}

/// A conflict, as far as a client needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictNotice {
    /// The change that met it, where the server says.
    #[serde(default)]
    pub client_change_id: Option<String>,
    /// What it was met at.
    #[serde(default)]
    pub resource_id: Option<ItemId>,
    /// What met what, such as `edit_edit`.
    pub conflict_type: String,
    /// The version that the incoming content became.
    #[serde(default)]
    pub client_version_id: Option<VersionId>,
}

/// What became of a change.
#[derive(Debug)]
pub enum Outcome {
    /// It was carried out.
    Applied {
        /// The item; for what met a conflict, where it went.
        id: ItemId,
        /// The item's version.
        version: Option<VersionId>,
        /// What it met, if it met a conflict.
        conflict: Option<ConflictNotice>,
    },
    /// It met a conflict, and was not carried out.
    Conflict(ConflictNotice),
    /// It was refused.
    Refused(Error),
}

/// What became of a batch.
#[derive(Debug)]
pub struct Answer {
    outcomes: BTreeMap<String, Outcome>,
    /// The server's position after that.
    pub cursor: i64,
}

#[derive(Deserialize)]
struct Body {
    applied: Vec<Applied>,
    #[serde(default)]
    conflicts: Vec<ConflictNotice>,
    #[serde(default)]
    errors: Vec<Refusal>,
    cursor: i64,
}

#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "the contract's own names")]
struct Applied {
    client_change_id: String,
    resource_id: ItemId,
    #[serde(default)]
    version_id: Option<VersionId>,
}

#[derive(Deserialize)]
struct Refusal {
    client_change_id: String,
    status: u16,
    code: String,
    #[serde(default)]
    detail: serde_json::Value,
}

impl Answer {
    /// Reads the server's answer to a batch.
    pub fn read(batch: &Batch, body: &[u8]) -> Result<Self, Error> {
        let body: Body = serde_json::from_slice(body).map_err(|error| Error::Garbled(error.to_string()))?;
        let mut outcomes = BTreeMap::new();
        let applied: BTreeSet<String> =
            body.applied.iter().map(|applied| applied.client_change_id.clone()).collect();
        for applied in body.applied {
            let Applied { client_change_id, resource_id, version_id } = applied;
            let outcome = Outcome::Applied { id: resource_id, version: version_id, conflict: None };
            outcomes.insert(client_change_id, outcome);
        }
        for refusal in body.errors {
            let error = Error::of_code(refusal.status, &refusal.code, &text(&refusal.detail));
            outcomes.insert(refusal.client_change_id, Outcome::Refused(error));
        }
        for notice in body.conflicts {
            let Some(change) = notice.client_change_id.clone().or_else(|| batch.guess(&notice, &applied))
            else {
                continue;
            };
            match outcomes.get_mut(&change) {
                Some(Outcome::Applied { conflict, .. }) => *conflict = Some(notice),
                Some(_) => {}
                None => drop(outcomes.insert(change, Outcome::Conflict(notice))),
            }
        }
        Ok(Self { outcomes, cursor: body.cursor })
    }

    /// Takes out what became of a change; nothing if the server does not say.
    pub fn take(&mut self, client_change_id: &str) -> Option<Outcome> {
        self.outcomes.remove(client_change_id)
    }
}

impl Batch {
    /// Returns the change that met a conflict, where the server does not name it.
    fn guess(&self, notice: &ConflictNotice, applied: &BTreeSet<String>) -> Option<String> {
        let is_it = |change: &&IncomingChange| {
            change.resource_id.is_some()
                && change.resource_id == notice.resource_id
                && !applied.contains(&change.client_change_id)
        };
        let found = self.changes.iter().map(|(change, _)| change).find(is_it);
        found.map(|change| change.client_change_id.clone())
    }
}

/// Returns a detail as a text, which it is but for what does not validate.
pub(super) fn text(detail: &serde_json::Value) -> String {
    detail.as_str().map_or_else(|| detail.to_string(), str::to_owned)
}
