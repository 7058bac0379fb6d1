//! Conflicts afterwards: which there are, and settling those that wait.
//!
//! A conflict is its user's: whoever else may write in the share has the versions and copies, but what waits was never
//! anybody else's to see. Settling one needs the rights that the change needs.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use async_trait::async_trait;

use super::desk::{Desk, Landed};
use super::incoming::Wanted;
use super::worker::{Order, Terms, Waiting, Worker, told};
use crate::Drive;
use crate::model::{Caller, Conflict, ConflictId, ConflictStatus, Error, Result, ShareId, Strategy, Usage};
use crate::ports::Reads;
use crate::ports::metadata::{ConflictQuery, ConflictRow};
use crate::services::access::{self, Right};
use crate::services::ingest::StoredContent;
use crate::services::mutation::{self, Mutation, Tx};
use crate::services::tree;

/// The longest page of conflicts.
pub const PAGE: u32 = 1000;

/// Returns the caller's conflicts in shares that it can see, newest first, at most `query.limit`.
///
/// One about an item that was hidden from the caller since reads as one about an item that is gone: what waits there is
/// the caller's own, and can still be settled.
///
/// # Errors
/// `NotFound` or `Gone` for a share that is asked for and cannot be seen.
pub async fn list(drive: &Drive, caller: &Caller, mut query: ConflictQuery) -> Result<Vec<Conflict>> {
    let mut rows = drive.read().await?;
    if let Some(share) = query.share {
        access::share(&mut *rows, caller, share, Right::Read).await?;
    }
    let wanted = query.limit.clamp(1, PAGE) as usize;
    let mut all = Vec::new();
    loop {
        query.limit = PAGE;
        let page = rows.conflicts_of(caller.tenant, &caller.user, &query).await?;
        let is_end = page.len() < PAGE as usize;
        query.after = page.last().and_then(|last| last.id);
        all.extend(in_seen_shares(&mut *rows, caller, page).await?);
        if is_end || all.len() >= wanted {
            all.truncate(wanted);
            return Ok(all);
        }
    }
}

async fn in_seen_shares(
    rows: &mut dyn Reads,
    caller: &Caller,
    mut page: Vec<Conflict>,
) -> Result<Vec<Conflict>> {
    let mut seen: HashMap<ShareId, bool> = HashMap::new();
    for id in page.iter().map(|conflict| conflict.share_id) {
        if let Entry::Vacant(unknown) = seen.entry(id) {
            unknown.insert(match access::share(rows, caller, id, Right::Read).await {
                Ok(_) => true,
                Err(Error::NotFound | Error::Gone { .. }) => false,
                Err(error) => return Err(error),
            });
        }
    }
    page.retain(|conflict| seen[&conflict.share_id]);
    Ok(page)
}

/// Settles a conflict that waits, by any strategy but MANUAL. Again in the same way, it answers the same.
///
/// The change that waited is judged anew: what it meets now may be something else than what it met then.
///
/// # Errors
/// `NotFound` for a conflict that is not the caller's, or about what it cannot see; `AlreadyExists` for one that was
/// settled in another way; and whatever refuses the change itself.
pub async fn resolve(drive: &Drive, caller: &Caller, id: ConflictId, strategy: Strategy) -> Result<Conflict> {
    if strategy == Strategy::Manual {
        return Err(Error::invalid("resolution", "any strategy but MANUAL", strategy.as_str()));
    }
    mutation::run(drive, caller, Resolve { id, strategy, grace: drive.gc_grace }).await
}

struct Resolve {
    id: ConflictId,
    strategy: Strategy,
    grace: Duration,
}

#[async_trait]
impl Mutation for Resolve {
    type Output = Conflict;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Conflict> {
        let share = self.own(tx).await?.conflict.share_id;
        let desk = Desk::open(tx, share, Landed::new()).await?;
        // Read again: a rival may have settled it before the lock was ours.
        let mut row = self.own(tx).await?;
        if row.conflict.status == ConflictStatus::Resolved {
            let same = row.conflict.resolution == Some(self.strategy);
            let what = "a resolution of this conflict".to_owned();
            return if same { Ok(row.conflict) } else { Err(Error::AlreadyExists { what }) };
        }
        // Told as nobody's own: the device whose change this was has to learn of it as all others do.
        row.conflict.client_version_id = self.settle(tx, desk, &row).await?;
        row.conflict.status = ConflictStatus::Resolved;
        row.conflict.resolution = Some(self.strategy);
        row.conflict.resolved_at = Some(tx.now);
        row.conflict.resolved_by = Some(tx.caller.user.clone());
        if !tx.rows.settle_conflict(&row).await? {
            return Err(Error::internal("a conflict was settled under its share's lock"));
        }
        tx.audit(told(&row));
        Ok(row.conflict)
    }
}

impl Resolve {
    async fn own(&self, tx: &mut Tx<'_>) -> Result<ConflictRow> {
        let row = tx.rows.conflict(tx.caller.tenant, self.id).await?;
        row.filter(|row| row.user == tx.caller.user).ok_or(Error::NotFound)
    }

    /// Carries out the change that waited; returns the version that its content became.
    async fn settle(
        &self,
        tx: &mut Tx<'_>,
        desk: Desk,
        row: &ConflictRow,
    ) -> Result<Option<crate::model::VersionId>> {
        let incoming = row.incoming.clone().ok_or_else(|| damaged("an open conflict without its change"))?;
        let Waiting { change: incoming, seen } =
            serde_json::from_value(incoming).map_err(|error| damaged(&error.to_string()))?;
        let content = waiting(tx, row).await?;
        // What it cost while it waited; where it goes now it costs what it costs there.
        if let Some(content) = &content {
            let usage = Usage { version_bytes: content.row.size as i64, ..Usage::default() };
            tx.charge(row.conflict.share_id, &row.user, usage.negated());
        }
        let terms = Terms {
            device: row.conflict.device_id.clone(),
            device_name: String::new(),
            strategy: self.strategy,
            create_parents: false,
            settles: true,
            seen,
            grace: self.grace,
        };
        let terms = terms.named(tx).await?;
        let wanted = Wanted { brings_content: content.is_some(), ..Wanted::read(&incoming)? };
        let mut worker = Worker::new(tx, desk, &terms);
        let order = Order { incoming: &incoming, wanted: &wanted, content: content.as_ref() };
        let effect = worker.carry_out(order).await?;
        let became = worker.met.iter().find_map(|met| met.conflict.client_version_id);
        let effective = effect.and_then(|effect| effect.version).filter(|_| content.is_some());
        let Worker { tx, desk, .. } = worker;
        desk.finish(tx, self.grace).await?;
        Ok(became.or(effective))
    }
}

fn damaged(found: &str) -> Error {
    Error::ImpossibleRow { place: "conflicts.incoming", found: found.to_owned() }
}

/// Returns the content that waits, kept from being collected until this commits.
async fn waiting(tx: &mut Tx<'_>, row: &ConflictRow) -> Result<Option<StoredContent>> {
    let Some((content, _)) = row.waiting else { return Ok(None) };
    tree::refer_again(tx, content).await?;
    let stored = tx.rows.content(tx.caller.tenant, content).await?;
    let stored = stored.ok_or_else(|| Error::internal("a content that was just touched is gone"))?;
    Ok(Some(StoredContent { row: stored, touched_at: tx.rows.now().await? }))
}
