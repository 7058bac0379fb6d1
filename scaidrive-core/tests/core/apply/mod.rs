//! Batches of devices: each change has its own outcome, no byte that was acknowledged is lost, nothing happens twice.

mod batches;
mod conflicts;
mod gone;
mod hostile;
mod merges;
mod model;
mod once;
mod places;
mod positions;
mod rivals;
mod waiting;

use bytes::Bytes;
use futures_util::stream;
use scaidrive_core::model::{
    Caller, Conflict, FileId, NodeId, Principal, Result, Sha256Hash, ShareId, ShareRole, Strategy, Timestamp,
    UserId,
};
use scaidrive_core::services::apply::{self, Applied, Batch, IncomingChange, Outcome};
use scaidrive_core::services::delta::{self, Frame};
use scaidrive_core::services::members::{self, NewMember};
use scaidrive_core::services::tenants::{self, NewUser};
use scaidrive_core::services::{content, folders};
use serde_json::{Value, json};

use crate::backends::House;

/// A device of a user.
pub(super) struct Device<'h> {
    house: &'h House,
    caller: Caller,
    id: String,
    share: ShareId,
}

impl House {
    /// Returns a device of the administrator.
    fn device(&self, id: &str) -> Device<'_> {
        Device { house: self, caller: self.caller.clone(), id: id.to_owned(), share: self.share.id }
    }

    /// Returns a device of a new user with a role in the share.
    async fn device_of(&self, user: &str, role: Option<ShareRole>) -> Device<'_> {
        let id: UserId = user.parse().unwrap();
        let new = NewUser { id: Some(id.clone()), ..NewUser::default() };
        tenants::create_user(&self.drive, &self.caller, new).await.unwrap();
        if let Some(role) = role {
            let member = NewMember { principal: Principal::User(id.clone()), role, expires_at: None };
            members::add(&self.drive, &self.caller, self.share.id, member).await.unwrap();
        }
        let caller = tenants::caller_for(&self.drive, self.caller.tenant, &id).await.unwrap();
        Device { house: self, caller, id: format!("{user}'s"), share: self.share.id }
    }

    /// Returns every path in the share with what is there: `dir`, or a file's text.
    async fn tree(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for found in folders::walk(&self.drive, &self.caller, self.share.id, None).await.unwrap() {
            let text = match found.node.id {
                NodeId::Folder(_) => "dir".to_owned(),
                NodeId::File(id) => self.text(id, None).await,
            };
            all.push((found.path.to_string(), text));
        }
        all.sort();
        all
    }

    async fn text(&self, id: FileId, version: Option<u32>) -> String {
        let readable = content::open(&self.drive, &self.caller, id, version).await.unwrap();
        String::from_utf8(content::read(&self.drive, &readable, None).await.unwrap()).unwrap()
    }

    /// Returns a file's versions, newest first: number, whether it is current, text.
    async fn versions(&self, id: FileId) -> Vec<(u32, bool, String)> {
        let mut rows = self.drive.read().await.unwrap();
        let versions = rows.versions(self.caller.tenant, id, 100, 0).await.unwrap();
        let node = rows.node(self.caller.tenant, id.into()).await.unwrap().unwrap();
        let current = node.file.unwrap().version_id;
        let mut all = Vec::new();
        for version in versions {
            let content =
                rows.manifest(self.caller.tenant, version.content, 0, u64::MAX >> 1, 10).await.unwrap();
            let mut text = Vec::new();
            for entry in content {
                text.extend(content::verified(&self.drive, self.caller.tenant, entry.hash).await.unwrap());
            }
            all.push((version.number, version.id == current, String::from_utf8(text).unwrap()));
        }
        all
    }
}

/// Returns the paths and texts of a tree, in a form to compare with.
fn tree(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

impl Device<'_> {
    /// Stores a text as one chunk, and returns what a change says of it.
    async fn content(&self, text: &str) -> Value {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let hash = Sha256Hash::of(&bytes);
        if text.is_empty() {
            return json!({ "chunks": [], "size": 0 });
        }
        let frame = stream::iter([Ok(Frame { hash, bytes: Some(bytes) })]);
        delta::receive(&self.house.drive, &self.caller, frame).await.unwrap();
        let size = text.len();
        json!({ "chunks": [{ "sha256": hash, "size": size }], "size": size, "checksum_sha256": hash })
    }

    async fn file(&self, path: &str, text: &str) -> Value {
        let change = json!({ "resource_type": "file", "change_type": "created", "new_path": path });
        with(change, self.content(text).await)
    }

    /// Returns an edit of a file that was applied before, made of the version that was applied.
    async fn edit(&self, base: &Applied, text: &str) -> Value {
        let change = json!({
            "resource_type": "file", "change_type": "updated", "resource_id": base.resource_id,
            "base_version_id": base.version_id,
        });
        with(change, self.content(text).await)
    }

    fn batch(&self, strategy: Strategy, changes: &[Value]) -> Batch {
        Batch {
            device: self.id.parse().unwrap(),
            share: self.share,
            strategy,
            is_atomic: false,
            creates_parents: false,
            seen: None,
            changes: changes.iter().map(incoming).collect(),
        }
    }

    async fn run(&self, batch: Batch) -> Result<Outcome> {
        apply::apply(&self.house.drive, &self.caller, batch).await
    }

    async fn apply(&self, strategy: Strategy, changes: &[Value]) -> Outcome {
        self.run(self.batch(strategy, changes)).await.unwrap()
    }

    /// Applies one change that meets nothing.
    async fn plain(&self, change: Value) -> Applied {
        let mut outcome = self.apply(Strategy::KeepBoth, &[change]).await;
        assert!(outcome.conflicts.is_empty() && outcome.errors.is_empty(), "{outcome:?}");
        outcome.applied.pop().unwrap()
    }

    /// Applies one change that meets one conflict; returns what it did all the same.
    async fn clash(&self, strategy: Strategy, change: Value) -> (Option<Applied>, Conflict) {
        let mut outcome = self.apply(strategy, &[change]).await;
        assert!(outcome.errors.is_empty() && outcome.conflicts.len() == 1, "{outcome:?}");
        (outcome.applied.pop(), outcome.conflicts.pop().unwrap())
    }

    /// Returns the code that one change is refused with.
    async fn refusal(&self, change: Value) -> &'static str {
        let outcome = self.apply(Strategy::KeepBoth, &[change]).await;
        assert!(outcome.applied.is_empty() && outcome.conflicts.is_empty(), "{outcome:?}");
        outcome.errors[0].error.code()
    }
}

fn folder(path: &str) -> Value {
    json!({ "resource_type": "folder", "change_type": "created", "new_path": path })
}

fn delete(base: &Applied) -> Value {
    json!({
        "resource_type": kind(base.resource_id), "change_type": "deleted", "resource_id": base.resource_id,
        "base_version_id": base.version_id,
    })
}

fn relocate(item: &Applied, from: &str, to: &str) -> Value {
    json!({
        "resource_type": kind(item.resource_id), "change_type": "moved", "resource_id": item.resource_id,
        "old_path": from, "new_path": to,
    })
}

fn kind(id: NodeId) -> &'static str {
    if id.as_file().is_some() { "file" } else { "folder" }
}

fn with(mut change: Value, more: Value) -> Value {
    change.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    change
}

/// Says when a change was made, in seconds from now.
fn at(change: Value, seconds: i64) -> Value {
    #[expect(clippy::disallowed_methods, reason = "a device has a clock of its own")]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64;
    with(change, json!({ "modified_at": Timestamp::from_micros(now + seconds * 1_000_000) }))
}

/// Reads a change; one without an id of its own gets one.
fn incoming(change: &Value) -> IncomingChange {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let named = with(json!({ "client_change_id": format!("c{number}") }), change.clone());
    serde_json::from_value(named).unwrap()
}
