//! A mutation in its transaction: carried out, and all written that every mutation owes.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::{Effects, LOOKUPS, Mutation, Tx, audit_row, mail_job};
use crate::Drive;
use crate::model::{
    AuditEvent, AuditEventId, Caller, Change, ChangeId, Error, LoggedChange, Queue, Result, ShareId,
    Timestamp, UserId,
};
use crate::ports::metadata::{AuditRow, DoneOnce, JobRow};
use crate::ports::{Clock, Ids, Outcome, WriteUnit, Writes};
use crate::services::{identity, letters, once, quotas};

/// A mutation on its way, and what its last attempt came to.
pub(super) struct MutationUnit<M: Mutation> {
    pub(super) id: AuditEventId,
    /// The job that this is all of.
    job: Option<JobRow>,
    mutation: M,
    caller: Caller,
    ids: Arc<dyn Ids>,
    clock: Arc<dyn Clock>,
    done: Mutex<Option<Done<M::Output>>>,
}

/// What the last attempt came to.
pub(super) struct Done<T> {
    pub(super) output: T,
    pub(super) nudges: Vec<(Option<ShareId>, Option<UserId>)>,
    pub(super) position: i64,
    pub(super) queues: BTreeSet<Queue>,
}

impl<M: Mutation> MutationUnit<M> {
    pub(super) fn new(drive: &Drive, caller: &Caller, job: Option<JobRow>, mutation: M) -> Self {
        Self {
            // Fixed before the first attempt and stored under a unique key: see `was_applied`.
            id: AuditEventId::new(drive.ids.ulid()),
            job,
            mutation,
            caller: caller.clone(),
            ids: Arc::clone(&drive.ids),
            clock: Arc::clone(&drive.clock),
            done: Mutex::new(None),
        }
    }

    pub(super) fn take(&self) -> Option<Done<M::Output>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Looks the mutation up by its audit event after a commit whose outcome nobody knows.
    ///
    /// A commit still under way on the server is not visible yet; then the next attempt waits on the unique
    /// key and fails as a duplicate inside `write`, and nothing is applied twice.
    pub(super) async fn was_applied(&self, drive: &Drive, attempt: u32) -> Result<bool> {
        tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
        let mut last = None;
        for _ in 0..LOOKUPS {
            let looked = async { drive.read().await?.audit_event(self.caller.tenant, self.id).await }.await;
            match looked {
                Ok(found) => return Ok(found.is_some()),
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Err(last.unwrap_or_else(|| Error::internal("no lookup was made")))
    }
}

#[async_trait]
impl<M: Mutation> WriteUnit for MutationUnit<M> {
    async fn run(&self, rows: &mut dyn Writes) -> Result<Outcome> {
        let now = self.clock.now();
        // Read again inside: whoever was suspended, or left a group, since the request came in is that here.
        let caller = identity::refreshed(rows, &self.caller).await?;
        let mut tx = Tx { rows, caller: &caller, now, ids: self.ids.as_ref(), effects: Effects::default() };
        let output = self.mutation.apply(&mut tx).await?;
        let Tx { rows, effects, .. } = tx;
        let (nudges, queues) = (effects.nudges(), effects.jobs.iter().map(|job| job.queue).collect());
        let position = self.settle(rows, effects, now).await?;
        let done = Done { output, nudges, position, queues };
        *self.done.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
        Ok(Outcome::Commit)
    }
}

impl<M: Mutation> MutationUnit<M> {
    /// Writes what every mutation owes; the counters last, because they are the hottest rows.
    async fn settle(&self, rows: &mut dyn Writes, effects: Effects, now: Timestamp) -> Result<i64> {
        let tenant = self.caller.tenant;
        let audit = self.audit_rows(effects.audit, now);
        rows.append_audit(tenant, &audit).await?;
        if let Some(id) = effects.created {
            self.note_once(rows, id, now).await?;
        }
        for job in &effects.jobs {
            rows.insert_job(job, now).await?;
        }
        self.end_job(rows).await?;
        let count = u32::try_from(effects.changes.len()).unwrap_or(u32::MAX);
        let usage = effects.usage.into_sorted();
        let head = rows.advance(tenant, &usage, count).await?;
        let warnings = quotas::enforce(rows, tenant, &usage, &effects.announced, now).await?;
        for warning in &warnings {
            self.warn(rows, warning, now).await?;
        }
        let warnings = warnings.iter().map(quotas::Warning::event).collect();
        rows.append_audit(tenant, &self.later_rows(warnings, now)).await?;
        let first = head - i64::from(count) + 1;
        let changes: Vec<LoggedChange> = effects
            .changes
            .into_iter()
            .zip(first..)
            .map(|((id, change), position)| self.logged(id, change, position, now))
            .collect();
        rows.append_changes(&changes).await?;
        Ok(head)
    }

    /// Ends the job that this is all of; if it is another worker's by now, nothing of this stays.
    async fn end_job(&self, rows: &mut dyn Writes) -> Result<()> {
        let Some(job) = &self.job else { return Ok(()) };
        let now = rows.now().await?;
        if rows.finish_job(job, now).await? {
            Ok(())
        } else {
            Err(Error::internal("the job is another worker's"))
        }
    }

    /// Asks for the mail that warns of a quota; workers find it at their next look.
    async fn warn(&self, rows: &mut dyn Writes, warning: &quotas::Warning, now: Timestamp) -> Result<()> {
        let tenant = self.caller.tenant;
        for mail in letters::warnings(rows, tenant, &warning.quota, warning.used).await? {
            rows.insert_job(&mail_job(self.ids.as_ref(), tenant, &mail, now)?, now).await?;
        }
        Ok(())
    }

    /// Notes what the request made, if it must have one effect and this is it.
    async fn note_once(&self, rows: &mut dyn Writes, resource_id: String, now: Timestamp) -> Result<()> {
        let Some(once) = self.caller.once.as_ref().filter(|once| !once.is_spent.load(Ordering::Acquire))
        else {
            return Ok(());
        };
        let digest =
            *once.digest.get().ok_or_else(|| Error::internal("a request was not read before its effect"))?;
        rows.note_once(&self.caller, once, &DoneOnce { digest, resource_id }, once::since(now), now).await
    }

    fn logged(&self, id: ChangeId, mut change: Change, position: i64, now: Timestamp) -> LoggedChange {
        if let Some(device) = &self.caller.device {
            change.metadata["device_id"] = device.as_str().into();
        }
        LoggedChange {
            id,
            position,
            tenant_id: self.caller.tenant,
            share_id: change.share,
            resource_type: change.resource,
            resource_id: change.resource_id,
            change_type: change.kind,
            changed_by: self.caller.user.clone(),
            changed_at: now,
            old_path: change.old_path,
            new_path: change.new_path,
            version_id: change.version,
            metadata: change.metadata,
        }
    }

    /// Returns the rows of events that are no mutation's first.
    fn later_rows(&self, events: Vec<AuditEvent>, now: Timestamp) -> Vec<AuditRow> {
        let row = |event| audit_row(event, AuditEventId::new(self.ids.ulid()), &self.caller, now);
        events.into_iter().map(row).collect()
    }

    fn audit_rows(&self, events: Vec<AuditEvent>, now: Timestamp) -> Vec<AuditRow> {
        let ids =
            std::iter::once(self.id).chain(std::iter::from_fn(|| Some(AuditEventId::new(self.ids.ulid()))));
        events.into_iter().zip(ids).map(|(event, id)| audit_row(event, id, &self.caller, now)).collect()
    }
}
