//! The mutation that applies a part of a batch: replays are answered, the rest is carried out in order, and what each
//! came to is noted with it.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::desk::{Desk, Landed};
use super::incoming::{IncomingChange, Wanted};
use super::worker::{Effect, Order, Terms, Worker, told};
use super::{Applied, since};
use crate::model::{
    ChangeId, Conflict, ConflictId, ConflictStatus, ConflictType, DeviceId, Error, NodeId, ParentId,
    ResourceId, Result, Right, Sha256Hash, ShareId, UsageChanges, VersionId,
};
use crate::ports::metadata::{ClientChange, ConflictRow};
use crate::services::ingest::StoredContent;
use crate::services::mutation::{Mutation, Tx};

/// A change of a batch with what was made of it before.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) incoming: IncomingChange,
    pub(super) digest: Sha256Hash,
    /// What it asks for and its content; nothing if that was refused already.
    pub(super) ready: Option<(Wanted, Option<StoredContent>)>,
}

/// What became of a change.
#[derive(Debug)]
pub(super) enum Fate {
    /// It was carried out, or met conflicts, or both; now or when it was sent before.
    Done { applied: Option<Applied>, conflicts: Vec<Conflict>, is_replay: bool },
    /// It was refused, and left nothing behind; with what the audit may know of it, and the caller not.
    Refused(Error, Option<(Right, ResourceId)>),
    /// It was refused before.
    WasRefused,
}

/// What is remembered of a change.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Remembered {
    applied: Option<Memory>,
    conflicts: Vec<ConflictId>,
}

/// What a change did to the tree, as it is remembered.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Memory {
    change_id: Option<ChangeId>,
    resource_id: NodeId,
    version_id: Option<VersionId>,
    path: String,
}

impl Memory {
    fn of(effect: Effect) -> Self {
        Self {
            change_id: effect.change,
            resource_id: effect.node,
            version_id: effect.version,
            path: effect.path,
        }
    }

    fn told(self, client_change_id: &str) -> Applied {
        Applied {
            client_change_id: client_change_id.to_owned(),
            change_id: self.change_id,
            resource_id: self.resource_id,
            version_id: self.version_id,
            path: self.path,
        }
    }
}

/// Some of a batch's changes, in one transaction.
pub(super) struct Part {
    pub(super) share: ShareId,
    pub(super) terms: Terms,
    pub(super) items: Arc<Vec<Item>>,
    pub(super) range: Range<usize>,
    pub(super) landed: Landed,
    /// Where the fates of an all-or-nothing batch are left that comes to nothing.
    pub(super) undone: Option<Arc<Mutex<Option<Vec<Fate>>>>>,
    /// Whether an all-or-nothing batch that does not fit is carried out to find out which change is too much.
    pub(super) measures: bool,
}

/// What became of a part.
pub(super) struct PartDone {
    pub(super) fates: Vec<Fate>,
    pub(super) landed: Landed,
}

#[async_trait]
impl Mutation for Part {
    type Output = PartDone;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<PartDone> {
        let items = &self.items[self.range.clone()];
        let desk = Desk::open(tx, self.share, self.landed.clone()).await?;
        let mut notes = Notes::read(tx, &self.terms.device, items).await?;
        let terms = self.terms.named(tx).await?;
        let mut worker = Worker::new(tx, desk, &terms);
        let wanted: Vec<&Wanted> =
            items.iter().filter_map(|item| item.ready.as_ref().map(|(wanted, _)| wanted)).collect();
        worker.desk.warm(worker.tx, &wanted).await?;
        let (mut fates, mut met) = (Vec::with_capacity(items.len()), Vec::new());
        let mut room = if self.measures { Some(Room::open(&mut worker, items).await?) } else { None };
        for item in items {
            fates.push(next(&mut worker, &mut notes, item, &mut met).await?);
            if let Some(room) = &mut room {
                room.measure(&mut worker, fates.len() - 1).await?;
            }
        }
        if let Some((at, error)) = room.and_then(|room| room.too_much) {
            fates[at] = Fate::Refused(error, None);
        }
        let Worker { tx, desk, .. } = worker;
        if let Some(undone) = self.undone.as_ref().filter(|_| fates.iter().any(is_trouble)) {
            *undone.lock().unwrap_or_else(PoisonError::into_inner) = Some(fates);
            // Whatever it says, it only takes everything back.
            return Err(Error::VersionConflict { what: "a change of the batch".to_owned() });
        }
        let landed = desk.finish(tx, self.terms.grace).await?;
        for row in &met {
            tx.audit(told(row));
        }
        tx.rows.insert_conflicts(&met).await?;
        notes.write(tx, &self.terms.device).await?;
        Ok(PartDone { fates, landed })
    }
}

/// How much room there is after every change of a batch that does not fit.
#[derive(Default)]
struct Room {
    charged: UsageChanges,
    /// The change since which there is too little, and whose quota says so.
    too_much: Option<(usize, Error)>,
}

impl Room {
    /// Takes the contents of all changes for what they are going to be: what was sent for one of them is not besides what
    /// another one needs.
    async fn open(worker: &mut Worker<'_, '_>, items: &[Item]) -> Result<Self> {
        let contents = items.iter().filter_map(|item| item.ready.as_ref()?.1.as_ref());
        contents.for_each(|content| worker.desk.inserts.refer_to(content));
        worker.desk.inserts.finish(worker.tx, worker.terms.grace).await?;
        Ok(Self::default())
    }

    /// Judges what was charged so far as if the batch ended here; all of it will be taken back.
    async fn measure(&mut self, worker: &mut Worker<'_, '_>, at: usize) -> Result<()> {
        match worker.tx.rehearse(&mut self.charged).await {
            Ok(()) => self.too_much = None,
            Err(error @ Error::QuotaExceeded { .. }) => _ = self.too_much.get_or_insert((at, error)),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Tells whether a change keeps the others of an all-or-nothing batch from being applied.
fn is_trouble(fate: &Fate) -> bool {
    match fate {
        Fate::Done { conflicts, is_replay, .. } => !is_replay && !conflicts.is_empty(),
        Fate::Refused(..) | Fate::WasRefused => true,
    }
}

/// Carries one change out, or answers again what it came to; fails only with what the whole transaction must.
async fn next(
    worker: &mut Worker<'_, '_>,
    notes: &mut Notes,
    item: &Item,
    met: &mut Vec<ConflictRow>,
) -> Result<Fate> {
    let id = &item.incoming.client_change_id;
    if let Some((digest, known)) = notes.known.get(id) {
        if *digest != item.digest {
            let message = "was used for a change that asked for something else";
            return Ok(Fate::Refused(Error::invalid("client_change_id", message, id.as_str()), None));
        }
        let known = known.clone();
        return replay(worker, notes, item, known).await;
    }
    let Some((wanted, content)) = &item.ready else { return Ok(Fate::WasRefused) };
    if wanted.brings_content && content.is_none() {
        // Known when contents were put together, and forgotten since: to be put together after all.
        return Err(Error::TouchExpired);
    }
    let order = Order { incoming: &item.incoming, wanted, content: content.as_ref() };
    let before = worker.tx.effects();
    // What an earlier change was not told of is not this one's.
    worker.tx.caller.hidden.take();
    match worker.carry_out(order).await {
        Ok(effect) => {
            let rows = std::mem::take(&mut worker.met);
            let conflicts: Vec<Conflict> = rows.iter().map(|row| row.conflict.clone()).collect();
            let applied = effect.map(Memory::of);
            let ids = rows.iter().map(|row| row.id).collect();
            notes.add(item, Remembered { applied: applied.clone(), conflicts: ids });
            notes.conflicts.extend(rows.iter().map(|row| (row.id, row.conflict.clone())));
            met.extend(rows);
            Ok(Fate::Done { applied: applied.map(|memory| memory.told(id)), conflicts, is_replay: false })
        }
        // Ours to retry or to report as a whole: nothing may commit then.
        Err(error) if error.is_internal() || is_passing(&error) => Err(error),
        Err(_) if worker.tx.effects() != before => {
            Err(Error::internal("a change was refused after it had had effects"))
        }
        Err(error) => Ok(Fate::Refused(error, worker.tx.caller.hidden.take())),
    }
}

fn is_passing(error: &Error) -> bool {
    matches!(error, Error::TouchExpired | Error::Unavailable { .. } | Error::InProgress)
}

/// Answers again what a change came to; where its item went under another name, later paths mean that.
async fn replay(worker: &mut Worker<'_, '_>, notes: &Notes, item: &Item, known: Remembered) -> Result<Fate> {
    let id = &item.incoming.client_change_id;
    let wanted = item.ready.as_ref().map(|(wanted, _)| wanted);
    if let (Some(wanted), Some(memory), false) = (wanted, &known.applied, known.conflicts.is_empty()) {
        match worker.way(wanted).await {
            Ok(way) if way.missing.is_empty() => {
                let slot: (ParentId, _) = (way.place.id(), way.name.key());
                worker.desk.landed.insert(slot, memory.resource_id);
            }
            Err(error) if error.is_internal() => return Err(error),
            // Moved or hidden since: no path leads there.
            Ok(_) | Err(_) => {}
        }
    }
    let conflicts = known.conflicts.iter().filter_map(|id| notes.conflicts.get(id).cloned()).collect();
    let applied = known.applied.map(|memory| memory.told(id));
    Ok(Fate::Done { applied, conflicts, is_replay: true })
}

/// What changes came to: those that were sent before, and those of this part.
struct Notes {
    known: HashMap<String, (Sha256Hash, Remembered)>,
    conflicts: HashMap<ConflictId, Conflict>,
    new: Vec<ClientChange>,
}

impl Notes {
    async fn read(tx: &mut Tx<'_>, device: &DeviceId, items: &[Item]) -> Result<Self> {
        let (tenant, user) = (tx.caller.tenant, &tx.caller.user);
        let ids: Vec<String> = items.iter().map(|item| item.incoming.client_change_id.clone()).collect();
        let before = tx.rows.client_changes(tenant, user, device, &ids, since(tx.now)).await?;
        let mut known = HashMap::with_capacity(items.len());
        for change in before {
            known.insert(change.id, (change.digest, remembered(change.outcome)?));
        }
        let ids: Vec<ConflictId> = known.values().flat_map(|(_, known)| known.conflicts.clone()).collect();
        let conflicts = tx.rows.conflicts(tenant, &ids).await?;
        let conflicts = conflicts.into_iter().filter_map(|conflict| Some((conflict.id?, conflict))).collect();
        Ok(Self { known, conflicts, new: Vec::new() })
    }

    fn add(&mut self, item: &Item, known: Remembered) {
        let (id, digest) = (item.incoming.client_change_id.clone(), item.digest);
        self.new.push(ClientChange { id: id.clone(), digest, outcome: json!(known) });
        self.known.insert(id, (digest, known));
    }

    async fn write(self, tx: &mut Tx<'_>, device: &DeviceId) -> Result<()> {
        let (tenant, user, now) = (tx.caller.tenant, &tx.caller.user, tx.now);
        tx.rows.note_client_changes(tenant, user, device, &self.new, since(now), now).await
    }
}

fn remembered(outcome: serde_json::Value) -> Result<Remembered> {
    serde_json::from_value(outcome)
        .map_err(|error| Error::ImpossibleRow { place: "client_changes.outcome", found: error.to_string() })
}

/// Turns the fates of a batch that came to nothing into what is told of it: no conflict of it is recorded.
pub(super) fn taken_back(fates: Vec<Fate>) -> Vec<Fate> {
    let unrecorded = |conflict: Conflict| Conflict {
        id: None,
        client_version_id: None,
        status: ConflictStatus::Open,
        resolution: None,
        resolved_at: None,
        resolved_by: None,
        ..conflict
    };
    let take_back = |fate| match fate {
        Fate::Done { conflicts, is_replay: false, .. } => {
            let conflicts = conflicts.into_iter().map(unrecorded).collect();
            Fate::Done { applied: None, conflicts, is_replay: false }
        }
        other => other,
    };
    fates.into_iter().map(take_back).collect()
}

/// Returns the kinds of conflicts that a change met just now.
pub(super) fn new_conflicts(fate: &Fate) -> impl Iterator<Item = ConflictType> {
    let conflicts = match fate {
        Fate::Done { conflicts, is_replay: false, .. } => conflicts.as_slice(),
        _ => &[],
    };
    conflicts.iter().map(|conflict| conflict.conflict_type)
}
