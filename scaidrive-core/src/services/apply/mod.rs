//! Applying what devices did offline: many changes in one call, few transactions, each change with its own outcome.
//!
//! A change is recognised by the device's own id for it, noted in the transaction that carries it out: sending it again,
//! even twice at once, has no effect again and is answered as before. Contents are put together before the transaction;
//! inside it the share's tree is locked for this batch alone, so what is decided on is what is there.

mod batch;
pub mod conflicts;
mod create;
mod desk;
mod edit;
mod incoming;
mod merge;
mod relocate;
mod remove;
mod seen;
mod worker;

pub use incoming::{ChunkRef, IncomingChange};

use std::collections::{HashSet, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use self::batch::{Fate, Item, Part, PartDone, new_conflicts, taken_back};
use self::desk::Landed;
use self::incoming::Wanted;
use self::worker::Terms;
use super::access::{self, Right};
use super::delta::{self, Claim};
use super::{journal, mutation};
use crate::Drive;
use crate::model::{
    Caller, ChangeId, Conflict, ConflictType, DeviceId, Error, NodeId, ResourceId, Result, ShareId, Strategy,
    Timestamp, VersionId,
};

/// The most changes in one call.
pub const MOST_CHANGES: usize = 1000;

/// What the contents of one call may come to together, beside the largest of them: all is looked up, and read for its
/// checksum, before the call is answered.
pub const MOST_BYTES: u64 = 1 << 30;

/// How many chunks the contents of one call may have together, beside the largest of them.
pub const MOST_CHUNKS: usize = 1 << 15;

/// Changes carried out in one transaction, unless they are all or nothing: more would hold everybody else up.
const PART: usize = 250;

/// The longest id of a change, in characters.
const MAX_ID: usize = 128;

/// How long a change is remembered.
const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 3600);

/// What the audit says that a refused change tried.
const TRIED: &str = "POST /api/v1/sync/apply";

/// How often a part is tried that rivals or old touches get into the way of.
const ATTEMPTS: u32 = 5;

/// Returns the oldest time that is remembered.
pub(super) fn since(now: Timestamp) -> Timestamp {
    now.minus(REMEMBERED)
}

/// What a device did, and how it is to be applied.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The device.
    pub device: DeviceId,
    /// The share.
    pub share: ShareId,
    /// How conflicts are settled.
    pub strategy: Strategy,
    /// Whether nothing is applied unless everything can be, without a conflict.
    pub is_atomic: bool,
    /// Whether folders that are missing on a way are made.
    pub creates_parents: bool,
    /// How far the device has read the feed of the share, if it tells; else the cursor counts that the server holds for
    /// it, if there is one. A folder in which something happened since that is not its own is not deleted but meets a
    /// conflict.
    pub seen: Option<i64>,
    /// The changes in order, at most [`MOST_CHANGES`].
    pub changes: Vec<IncomingChange>,
}

/// What a change did to the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// The change as the device calls it.
    pub client_change_id: String,
    /// The row that feed readers see; nothing where all was so already.
    pub change_id: Option<ChangeId>,
    /// The item: for what met a conflict, where it went.
    pub resource_id: NodeId,
    /// The item's current version; nothing for a folder or what was deleted.
    pub version_id: Option<VersionId>,
    /// Where the item is, or was.
    pub path: String,
}

/// A change that was refused and left nothing behind.
#[derive(Debug)]
pub struct Refused {
    /// The change as the device calls it.
    pub client_change_id: String,
    /// Why.
    pub error: Error,
}

/// What became of a batch. Every change is in `applied`, `conflicts` or `errors`; one that met a conflict and changed
/// the tree all the same is in the first two.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What was carried out, in order.
    pub applied: Vec<Applied>,
    /// Conflicts that were met, in order, settled or waiting.
    pub conflicts: Vec<Conflict>,
    /// What was refused, in order.
    pub errors: Vec<Refused>,
    /// The tenant's head after all that: once a reader of the feed is here, it has seen every row of this batch. It is no
    /// cursor to go on from: others' rows may lie between.
    pub cursor: i64,
    /// The kinds of conflicts that are new.
    pub new_conflicts: Vec<ConflictType>,
}

/// Applies a batch.
///
/// # Errors
/// Of the request as a whole: a share the caller cannot see, a bad device, too many changes or too much content, a cursor
/// that cannot be, and what passes. What was applied before such an error stays applied, and is answered when the batch is
/// sent again.
pub async fn apply(drive: &Drive, caller: &Caller, batch: Batch) -> Result<Outcome> {
    check(&batch)?;
    let mut rows = drive.read().await?;
    access::share(&mut *rows, caller, batch.share, Right::Read).await?;
    let seen = seen::position(&mut *rows, caller, &batch).await?;
    drop(rows);
    let mut run = Run::prepare(drive, caller, Batch { seen, ..batch }).await?;
    let all = 0..run.items.len();
    let size = if run.is_atomic { all.len().max(1) } else { PART };
    let mut parts: VecDeque<Range<usize>> =
        all.clone().step_by(size).map(|start| start..all.end.min(start + size)).collect();
    while let Some(part) = parts.pop_front() {
        match run.part(part.clone()).await {
            // Some may fit where all do not: each has its own outcome.
            Err(Error::QuotaExceeded { .. }) if !run.is_atomic && part.len() > 1 => {
                let middle = part.start + part.len() / 2;
                parts.push_front(middle..part.end);
                parts.push_front(part.start..middle);
            }
            Err(error @ Error::QuotaExceeded { .. }) if !run.is_atomic => {
                run.fates.push(Fate::Refused(error, None));
            }
            outcome => outcome?,
        }
    }
    run.finish().await
}

fn check(batch: &Batch) -> Result<()> {
    let fits = |id: &str| (1..=MAX_ID).contains(&id.chars().count()) && !id.chars().any(char::is_control);
    if !(1..=MOST_CHANGES).contains(&batch.changes.len()) {
        let message = format!("must be 1 to {MOST_CHANGES}");
        return Err(Error::invalid("changes", message, batch.changes.len()));
    }
    check_contents(&batch.changes)?;
    match batch.changes.iter().find(|change| !fits(&change.client_change_id)) {
        Some(change) => Err(Error::invalid(
            "client_change_id",
            "has 1 to 128 printable characters",
            change.client_change_id.as_str(),
        )),
        None => Ok(()),
    }
}

/// Fails if the contents that changes bring are too large together. One alone may be as large as a file may be.
fn check_contents(changes: &[IncomingChange]) -> Result<()> {
    let (mut bytes, mut chunks, mut largest, mut longest) = (0_u64, 0, 0, 0);
    for content in changes.iter().filter_map(|change| change.chunks.as_ref()) {
        let size = content.iter().map(|chunk| u64::from(chunk.size)).sum();
        (bytes, chunks) = (bytes.saturating_add(size), chunks + content.len());
        (largest, longest) = (largest.max(size), longest.max(content.len()));
    }
    if bytes - largest <= MOST_BYTES && chunks - longest <= MOST_CHUNKS {
        return Ok(());
    }
    let message = format!(
        "their contents may have {MOST_BYTES} bytes and {MOST_CHUNKS} chunks together, beside the largest: \
         send them in several calls"
    );
    Err(Error::invalid("changes", message, bytes))
}

/// A batch on its way.
struct Run<'r> {
    drive: &'r Drive,
    caller: Caller,
    share: ShareId,
    terms: Terms,
    is_atomic: bool,
    items: Arc<Vec<Item>>,
    /// Why changes were refused before the transaction.
    refused: Vec<Option<Error>>,
    landed: Landed,
    fates: Vec<Fate>,
}

impl<'r> Run<'r> {
    /// Reads all changes and puts together the contents of those that were not applied before.
    async fn prepare(drive: &'r Drive, caller: &Caller, batch: Batch) -> Result<Self> {
        // Feed readers are told by whom: the device knows its own rows for its own.
        let caller = Caller { device: Some(batch.device.clone()), ..caller.clone() };
        let terms = Terms {
            device_name: String::new(),
            device: batch.device,
            strategy: batch.strategy,
            create_parents: batch.creates_parents,
            settles: false,
            seen: batch.seen,
            grace: drive.gc_grace,
        };
        let count = batch.changes.len();
        let mut items = Vec::with_capacity(count);
        let mut refused: Vec<Option<Error>> = Vec::with_capacity(count);
        for incoming in batch.changes {
            let digest = incoming.digest(batch.share)?;
            let (ready, error) = match Wanted::read(&incoming) {
                Ok(wanted) => (Some((wanted, None)), None),
                Err(error) => (None, Some(error)),
            };
            items.push(Item { incoming, digest, ready });
            refused.push(error);
        }
        let mut run = Self {
            drive,
            caller,
            share: batch.share,
            terms,
            is_atomic: batch.is_atomic,
            items: Arc::new(items),
            refused,
            landed: Landed::new(),
            fates: Vec::with_capacity(count),
        };
        run.assemble(0..count).await?;
        Ok(run)
    }

    /// Puts together the contents of changes that bring one, touched now.
    async fn assemble(&mut self, range: Range<usize>) -> Result<()> {
        let done = self.applied_before(range.clone()).await?;
        let items = Arc::make_mut(&mut self.items);
        let is_wanted = |at: &usize| {
            let item = &items[*at];
            item.ready.as_ref().is_some_and(|(wanted, _)| wanted.brings_content)
                && !done.contains(&item.incoming.client_change_id)
        };
        let wanted: Vec<usize> = range.filter(is_wanted).collect();
        let claims = wanted.iter().map(|at| claim(&items[*at].incoming)).collect();
        let contents = delta::assemble(self.drive, &self.caller, self.share, claims).await?;
        for (at, content) in wanted.into_iter().zip(contents) {
            match content {
                Ok(content) => {
                    if let Some((_, slot)) = &mut items[at].ready {
                        *slot = Some(content);
                    }
                }
                Err(error) if error.is_internal() => return Err(error),
                Err(error) => {
                    items[at].ready = None;
                    self.refused[at] = Some(error);
                }
            }
        }
        Ok(())
    }

    /// Returns which changes need no content, because they were applied: their chunks may be nobody's by now.
    async fn applied_before(&self, range: Range<usize>) -> Result<HashSet<String>> {
        let ids: Vec<String> =
            self.items[range].iter().map(|item| item.incoming.client_change_id.clone()).collect();
        let (tenant, user, device) = (self.caller.tenant, &self.caller.user, &self.terms.device);
        let since = since(self.drive.clock.now());
        let known = self.drive.read().await?.client_changes(tenant, user, device, &ids, since).await?;
        Ok(known.into_iter().map(|change| change.id).collect())
    }

    /// Applies some of the changes in one transaction.
    async fn part(&mut self, range: Range<usize>) -> Result<()> {
        let (mut attempt, mut is_too_much) = (1, false);
        loop {
            let undone = self.is_atomic.then(|| Arc::new(Mutex::new(None)));
            let part = Part {
                share: self.share,
                terms: self.terms.clone(),
                items: Arc::clone(&self.items),
                range: range.clone(),
                landed: self.landed.clone(),
                undone: undone.clone(),
                measures: is_too_much,
            };
            let outcome = mutation::run(self.drive, &self.caller, part).await;
            let undone =
                undone.and_then(|undone| undone.lock().unwrap_or_else(PoisonError::into_inner).take());
            match (outcome, undone) {
                (Ok(PartDone { fates, landed }), _) => {
                    self.fates.extend(fates);
                    self.landed = landed;
                    return Ok(());
                }
                (Err(Error::VersionConflict { .. }), Some(fates)) => {
                    self.fates.extend(taken_back(fates));
                    return Ok(());
                }
                // Once more, to find out which change is too much.
                (Err(Error::QuotaExceeded { .. }), _) if self.is_atomic && attempt < ATTEMPTS => {
                    is_too_much = true;
                }
                (Err(Error::TouchExpired), _) if attempt < ATTEMPTS => self.assemble(range.clone()).await?,
                // A rival sent the same change to another share, or took a name in a way no lock keeps from it.
                (Err(Error::InProgress | Error::NameConflict { .. }), _) if attempt < ATTEMPTS => {}
                (Err(error), _) => return Err(error),
            }
            attempt += 1;
        }
    }

    /// Notes in the audit that a change was refused, as a request of its own would be.
    fn note_refusal(&self, error: &Error, hidden: Option<(Right, ResourceId)>) {
        self.caller.hidden.take();
        if let Some((right, resource)) = hidden {
            self.caller.hidden.note(right, resource);
        }
        journal::note_refusal(self.drive, &self.caller, TRIED, error);
    }

    async fn finish(mut self) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let (fates, refused) = (std::mem::take(&mut self.fates), std::mem::take(&mut self.refused));
        for ((fate, item), refused) in fates.into_iter().zip(self.items.iter()).zip(refused) {
            outcome.new_conflicts.extend(new_conflicts(&fate));
            let error = match fate {
                Fate::Refused(error, hidden) => {
                    self.note_refusal(&error, hidden);
                    error
                }
                Fate::Done { applied, conflicts, .. } => {
                    outcome.applied.extend(applied);
                    outcome.conflicts.extend(conflicts);
                    continue;
                }
                Fate::WasRefused => refused.ok_or_else(|| Error::internal("a refusal without a reason"))?,
            };
            let client_change_id = item.incoming.client_change_id.clone();
            outcome.errors.push(Refused { client_change_id, error });
        }
        outcome.cursor = self.drive.read().await?.head(self.caller.tenant).await?;
        Ok(outcome)
    }
}

fn claim(change: &IncomingChange) -> Claim {
    Claim {
        chunks: change.chunks.iter().flatten().map(|chunk| (chunk.sha256, chunk.size)).collect(),
        size: change.size,
        checksum: change.checksum_sha256,
    }
}
