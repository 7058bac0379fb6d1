//! A batch at work inside its transaction: what its verbs share.
//!
//! Every verb looks at all that could refuse it before it writes anything or leaves any effect: so a change that fails
//! leaves nothing behind, and those around it go through.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::desk::{Desk, Way};
use super::incoming::{IncomingChange, Wanted};
use super::seen::Unseen;
use crate::model::conflict::{self, Situation, Verdict};
use crate::model::{
    AuditCategory, AuditEvent, ChangeId, ChangeKind, Conflict, ConflictId, ConflictStatus, ConflictType,
    DeviceId, Error, FileFacts, FileName, NodeId, NodeKind, ParentId, ResourceKind, Result, Strategy,
    Timestamp, Usage, VersionId,
};
use crate::ports::metadata::ConflictRow;
use crate::services::access::{Located, Place, Right};
use crate::services::folders;
use crate::services::ingest::StoredContent;
use crate::services::mutation::Tx;

/// Conflict copies of one name that are tried.
const COPIES: u32 = 1000;

/// What holds for all changes of a batch.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// The device that sends them.
    pub(super) device: DeviceId,
    /// What its user calls it.
    pub(super) device_name: String,
    /// How conflicts are settled.
    pub(super) strategy: Strategy,
    /// Whether folders that are missing on a way are made.
    pub(super) create_parents: bool,
    /// Whether this settles a conflict that waited: then nothing new is recorded, and what lost its place goes to the
    /// share's root.
    pub(super) settles: bool,
    /// How far the device has read the feed, if it tells that.
    pub(super) seen: Option<i64>,
    /// How old touches may be, twice.
    pub(super) grace: Duration,
}

impl Terms {
    /// Returns the terms with what the device's user calls it: its id, where it is not registered.
    pub(super) async fn named(&self, tx: &mut Tx<'_>) -> Result<Self> {
        let device = tx.rows.device(tx.caller.tenant, &tx.caller.user, &self.device).await?;
        let device_name = device.map_or_else(|| self.device.to_string(), |device| device.device_name);
        Ok(Self { device_name, ..self.clone() })
    }
}

/// One change to be carried out.
#[derive(Clone, Copy)]
pub(super) struct Order<'o> {
    pub(super) incoming: &'o IncomingChange,
    pub(super) wanted: &'o Wanted,
    pub(super) content: Option<&'o StoredContent>,
}

/// A change that waits, and what was known of its device then.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Waiting {
    pub(super) change: IncomingChange,
    pub(super) seen: Option<i64>,
}

/// What a change did to the tree.
#[derive(Clone, Debug)]
pub(super) struct Effect {
    pub(super) node: NodeId,
    pub(super) version: Option<VersionId>,
    pub(super) path: String,
    pub(super) change: Option<ChangeId>,
}

impl Effect {
    /// Returns what a change did to an item.
    pub(super) fn on(found: &Located, change: Option<ChangeId>) -> Self {
        let version = found.node().file.as_ref().map(|facts| facts.version_id);
        Self { node: found.node().id, version, path: found.shown_path(), change }
    }
}

/// A batch at work.
pub(super) struct Worker<'w, 't> {
    pub(super) tx: &'w mut Tx<'t>,
    pub(super) desk: Desk,
    pub(super) terms: &'w Terms,
    /// Conflicts that the change at hand has met.
    pub(super) met: Vec<ConflictRow>,
    pub(super) unseen: Option<Unseen>,
}

impl<'w, 't> Worker<'w, 't> {
    pub(super) const fn new(tx: &'w mut Tx<'t>, desk: Desk, terms: &'w Terms) -> Self {
        Self { tx, desk, terms, met: Vec::new(), unseen: None }
    }

    /// Carries out one change; nothing where the server's tree stays as it is.
    pub(super) async fn carry_out(&mut self, order: Order<'_>) -> Result<Option<Effect>> {
        self.met.clear();
        match (order.wanted.what, order.wanted.kind) {
            (ChangeKind::Created, NodeKind::File) => self.create_file(order).await,
            (ChangeKind::Created, NodeKind::Folder) => self.create_folder(order).await,
            (ChangeKind::Deleted, _) => self.delete(order).await,
            _ if order.wanted.relocates() => self.relocate(order).await,
            _ => self.edit(order).await,
        }
    }

    /// Returns the item that a change is about, which the caller can see.
    pub(super) async fn target(&mut self, wanted: &Wanted) -> Result<Located> {
        let id = match (wanted.target, wanted.path()) {
            (Some(id), _) => id,
            (None, Some(path)) => self.desk.at(self.tx, path).await?.ok_or(Error::NotFound)?,
            (None, None) => return Err(Error::NotFound),
        };
        let found = self.desk.find(self.tx, id).await?.ok_or(Error::NotFound)?;
        found.check(self.tx.caller, Right::Read)?;
        if found.node().kind() == wanted.kind { Ok(found) } else { Err(Error::NotFound) }
    }

    /// Returns the way to where a change wants its item: by the folder's id if it tells that, else by its path.
    pub(super) async fn way(&mut self, wanted: &Wanted) -> Result<Way> {
        let path = wanted.to.as_ref().or(wanted.from.as_ref().filter(|_| self.terms.settles));
        let (Some(path), Some(name)) = (path, wanted.name()) else {
            return if self.terms.settles { self.way_to_unnamed() } else { Err(Error::NotFound) };
        };
        let way = match wanted.parent {
            None => self.desk.way(self.tx, path).await,
            Some(parent) => {
                let place = self.desk.place(self.tx, parent).await;
                place.map(|place| Way { place, missing: Vec::new(), name: name.clone() })
            }
        };
        match way {
            Err(Error::NotFound | Error::Gone { .. }) if self.terms.settles => {
                Ok(Way { place: self.desk.root(), missing: Vec::new(), name: name.clone() })
            }
            way => way,
        }
    }

    /// Returns where something goes that waited and of which no more is known.
    fn way_to_unnamed(&self) -> Result<Way> {
        Ok(Way { place: self.desk.root(), missing: Vec::new(), name: FileName::parse("unnamed")? })
    }

    /// Fails unless the caller may put something at the end of a way, making what is missing on it.
    pub(super) fn check_way(&mut self, way: &Way) -> Result<()> {
        if !way.missing.is_empty() && !self.terms.create_parents {
            return Err(Error::NotFound);
        }
        let mut place = way.place.clone();
        for name in &way.missing {
            place.check(self.tx.caller, Right::Create)?;
            place.check_limits(name.as_str())?;
            let folder = folders::new_folder(self.tx, place.share.id, place.id(), name.clone());
            place = place.with_child(&folder);
        }
        place.check(self.tx.caller, Right::Create)?;
        place.check_limits(way.name.as_str())
    }

    /// Makes the folders that are missing on a way that was checked.
    pub(super) fn make_way(&mut self, way: &Way) -> Result<Place> {
        let mut place = way.place.clone();
        for name in &way.missing {
            let folder = self.desk.inserts.add_folder(self.tx, &place, name.clone())?;
            place = Place::folder(self.desk.add(&place, &folder));
        }
        Ok(place)
    }

    /// Returns what has the name at the end of a way already.
    pub(super) async fn occupant(&mut self, way: &Way) -> Result<Option<Located>> {
        if !way.missing.is_empty() {
            return Ok(None);
        }
        let Some(id) = self.desk.child(self.tx, way.place.id(), &way.name).await? else { return Ok(None) };
        let found = self.desk.find(self.tx, id).await?;
        found.map(Some).ok_or_else(|| Error::internal("a child that is not there"))
    }

    /// Returns the first name of a conflict copy that is free at a place.
    pub(super) async fn copy_name(&mut self, parent: ParentId, name: &FileName) -> Result<FileName> {
        let marker = conflict::copy_marker(&self.terms.device_name, self.tx.now);
        for number in 1..=COPIES {
            let copy = conflict::copy_name(name, &marker, number);
            if self.desk.child(self.tx, parent, &copy).await?.is_none() {
                return Ok(copy);
            }
        }
        Err(Error::NameConflict { name: name.to_string() })
    }

    /// Notes a conflict with what is on the server, if that is for the caller to know; says what becomes of the change.
    pub(super) fn meet(
        &mut self,
        order: Order<'_>,
        conflict_type: ConflictType,
        server: Option<&Located>,
    ) -> Verdict {
        let theirs = server.map(|found| found.trashed_at().unwrap_or(found.node().modified_at));
        self.meet_at(order, conflict_type, server, theirs)
    }

    /// Does what [`meet`](Self::meet) does where the server's change was made at another time than the item tells.
    pub(super) fn meet_at(
        &mut self,
        order: Order<'_>,
        conflict_type: ConflictType,
        server: Option<&Located>,
        theirs: Option<Timestamp>,
    ) -> Verdict {
        let wanted = order.wanted;
        let ours = wanted.modified_at.unwrap_or(self.tx.now);
        let situation = Situation {
            conflict: conflict_type,
            brings_content: order.content.is_some(),
            is_later: theirs.is_none_or(|theirs| ours > theirs),
        };
        let verdict = conflict::decide(self.terms.strategy, situation);
        let is_open = verdict == Verdict::Wait;
        let id = ConflictId::new(self.tx.ulid());
        let server_version =
            server.and_then(|found| found.node().file.as_ref()).map(|facts| facts.version_id);
        let met = Conflict {
            id: Some(id),
            share_id: self.desk.root().share.id,
            device_id: self.terms.device.clone(),
            client_change_id: order.incoming.client_change_id.clone(),
            resource_type: wanted.kind,
            resource_id: server.map(|found| found.node().id),
            conflict_type,
            base_version_id: wanted.base,
            server_version_id: server_version,
            client_version_id: None,
            status: if is_open { ConflictStatus::Open } else { ConflictStatus::Resolved },
            // Under MANUAL only a loop is settled at once: by leaving the server's tree as it is.
            resolution: match self.terms.strategy {
                _ if is_open => None,
                Strategy::Manual => Some(Strategy::ServerWins),
                strategy => Some(strategy),
            },
            created_at: self.tx.now,
            resolved_at: (!is_open).then_some(self.tx.now),
            resolved_by: (!is_open).then(|| self.tx.caller.user.clone()),
        };
        let (tenant, user) = (self.tx.caller.tenant, self.tx.caller.user.clone());
        self.met.push(ConflictRow { id, tenant, user, conflict: met, incoming: None, waiting: None });
        verdict
    }

    /// Notes which version the incoming content of the conflict at hand became.
    pub(super) fn became(&mut self, version: Option<VersionId>) {
        if let Some(row) = self.met.last_mut() {
            row.conflict.client_version_id = version;
        }
    }

    /// Lets a change wait on the conflict it has met: its content is kept, and charged to who sent it, until somebody
    /// decides. `place` is where it wanted to go: paths change.
    pub(super) fn wait(&mut self, order: Order<'_>, place: Option<ParentId>) -> Result<Option<Effect>> {
        let Some(row) = self.met.last_mut() else { return Err(Error::internal("nothing to wait on")) };
        // The content is known by its id from now on.
        let mut incoming = IncomingChange { chunks: None, size: None, ..order.incoming.clone() };
        incoming.parent_id = place.map(|place| place.to_string()).or(incoming.parent_id);
        row.incoming = Some(json!(Waiting { change: incoming, seen: self.terms.seen }));
        if let Some(content) = order.content {
            row.waiting = Some((content.row.id, content.row.size));
            self.desk.inserts.refer_to(content);
            let usage = Usage { version_bytes: content.row.size as i64, ..Usage::default() };
            self.tx.charge(row.conflict.share_id, &self.tx.caller.user.clone(), usage);
        }
        Ok(None)
    }
}

/// Tells administrators of a conflict.
pub(super) fn told(row: &ConflictRow) -> AuditEvent {
    let met = &row.conflict;
    let kind = match met.resource_type {
        NodeKind::File => ResourceKind::File,
        NodeKind::Folder => ResourceKind::Folder,
    };
    let payload = json!({
        "conflict_id": row.id, "conflict_type": met.conflict_type, "device_id": met.device_id,
        "status": met.status, "resolution": met.resolution,
    });
    let id = met.resource_id.map_or_else(|| row.id.to_string(), |id| id.to_string());
    AuditEvent::new(AuditCategory::FileModification, "sync.conflict", kind, id).with(payload)
}

/// Tells whether a file has this content already: the same bytes, wherever they were cut.
pub(super) fn is_same(facts: &FileFacts, content: &StoredContent) -> bool {
    facts.checksum == content.row.checksum && facts.size == content.row.size
}

/// Tells whether an item that the caller can see is a file with this content.
pub(super) fn is_it(found: &Located, content: &StoredContent) -> bool {
    found.rights.has(Right::Read) && found.node().file.as_ref().is_some_and(|facts| is_same(facts, content))
}
