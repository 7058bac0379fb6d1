//! The only path by which state changes.
//!
//! A mutation runs in one transaction together with what every mutation owes: usage, change-log rows with
//! gap-free positions, audit events, jobs. Only after the commit are events published and workers woken. Later
//! capabilities (holds, data-loss rules, webhooks, indexing) hook in here.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ulid::Ulid;

use super::letters::{self, Addressed};
use super::transaction::AWAY;
use super::{identity, once, quotas};
use crate::Drive;
use crate::model::{
    AuditEvent, AuditEventId, Caller, Change, ChangeId, Error, JobId, LoggedChange, Queue, QuotaTarget,
    ResourceKind, Result, ShareId, TenantId, Timestamp, UsageChanges, UsageDelta, UserId,
};
use crate::ports::metadata::{AuditRow, DoneOnce, JobRow};
use crate::ports::{Ids, Nudge, Outcome, WriteUnit, Writes};

/// How often an outcome that a broken connection hid is looked up before the caller is told so.
const LOOKUPS: u32 = 5;

/// The job that sends a mail.
pub const MAIL: &str = "mail";

/// One change of state. Its fields are its input; `apply` may run several times and changes nothing but rows.
#[async_trait]
pub trait Mutation: Send + Sync + 'static {
    /// What the caller gets.
    type Output: Send + 'static;

    /// Decides and writes, all through `tx`: a fact read elsewhere may be stale by the time it counts.
    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Self::Output>;
}

/// What a mutation works with: rows, time, ids, and the effects it collects.
pub struct Tx<'t> {
    /// The rows, inside the transaction.
    pub rows: &'t mut dyn Writes,
    /// Who acts.
    pub caller: &'t Caller,
    /// One time for all that this mutation writes, by the process's clock.
    pub now: Timestamp,
    ids: &'t dyn Ids,
    effects: Effects,
}

#[derive(Default)]
struct Effects {
    usage: UsageChanges,
    announced: Vec<(QuotaTarget, u64)>,
    changes: Vec<(ChangeId, Change)>,
    audit: Vec<AuditEvent>,
    jobs: Vec<JobRow>,
    created: Option<String>,
    wakes: BTreeSet<UserId>,
}

impl Effects {
    /// Returns whom this concerns: readers of shares, users, and everybody where it may be somebody who does not read
    /// the share yet, or no more.
    fn nudges(&self) -> Vec<(Option<ShareId>, Option<UserId>)> {
        let shares: BTreeSet<ShareId> = self.changes.iter().map(|(_, change)| change.share).collect();
        let is_about_share = |(_, change): &(ChangeId, Change)| change.resource == ResourceKind::Share;
        let everybody = self.changes.iter().any(is_about_share).then_some((None, None));
        let users = self.wakes.iter().map(|user| (None, Some(user.clone())));
        shares.into_iter().map(|share| (Some(share), None)).chain(users).chain(everybody).collect()
    }
}

impl Tx<'_> {
    /// Returns a new ULID.
    pub fn ulid(&self) -> Ulid {
        self.ids.ulid()
    }

    /// Charges the tenant, the share and the owner.
    pub fn charge(&mut self, share: ShareId, owner: &UserId, delta: UsageDelta) {
        self.effects.usage.charge(share, owner, delta);
    }

    /// Asks the tenant, the share and the owner for room that something will need later, and charges nobody yet.
    pub fn announce(&mut self, share: ShareId, owner: &UserId, bytes: u64) {
        let targets = [QuotaTarget::Tenant, QuotaTarget::Share(share), QuotaTarget::User(owner.clone())];
        self.effects.announced.extend(targets.map(|target| (target, bytes)));
    }

    /// Tells feed readers; returns the id that the row will have.
    pub fn change(&mut self, change: Change) -> ChangeId {
        let id = ChangeId::new(self.ids.ulid());
        self.effects.changes.push((id, change));
        id
    }

    /// Returns the last row that feed readers will see, if there is one by now.
    pub fn last_change(&self) -> Option<ChangeId> {
        self.effects.changes.last().map(|(id, _)| *id)
    }

    /// Counts the effects so far: a step that was refused must have left none.
    pub fn effects(&self) -> usize {
        self.effects.changes.len() + self.effects.audit.len() + self.effects.jobs.len()
    }

    /// Writes what was charged since the last time and judges all of it, which is added to `charged`, by every quota: for
    /// a mutation that finds out how far it gets, and comes to nothing.
    pub(super) async fn rehearse(&mut self, charged: &mut UsageChanges) -> Result<()> {
        let tenant = self.caller.tenant;
        let more = std::mem::take(&mut self.effects.usage);
        charged.add(&more);
        self.rows.advance(tenant, &more.into_sorted(), 0).await?;
        let all = charged.clone().into_sorted();
        quotas::enforce(self.rows, tenant, &all, &self.effects.announced, self.now).await.map(drop)
    }

    /// Tells administrators.
    pub fn audit(&mut self, event: AuditEvent) {
        self.effects.audit.push(event);
    }

    /// Makes what a user has open look again: for what is no change of a share.
    pub fn wake(&mut self, user: &UserId) {
        self.effects.wakes.insert(user.clone());
    }

    /// Says what a request that must have one effect has made; the first word counts.
    pub fn created(&mut self, id: impl ToString) {
        self.effects.created.get_or_insert_with(|| id.to_string());
    }

    /// Asks for a mail after the commit.
    pub fn mail(&mut self, mail: &Addressed) -> Result<()> {
        self.effects.jobs.push(mail_job(self.ids, self.caller.tenant, mail, self.now)?);
        Ok(())
    }

    /// Asks for work after the commit; jobs with the same key are one job.
    pub fn job(
        &mut self,
        queue: Queue,
        name: &str,
        dedup_key: String,
        payload: serde_json::Value,
        run_at: Timestamp,
    ) {
        let job = JobRow::new(JobId::new(self.ids.ulid()), name, dedup_key, run_at);
        self.effects.jobs.push(JobRow { tenant: Some(self.caller.tenant), queue, payload, ..job });
    }
}

/// Returns the job that sends a mail.
fn mail_job(ids: &dyn Ids, tenant: TenantId, mail: &Addressed, now: Timestamp) -> Result<JobRow> {
    let id = JobId::new(ids.ulid());
    let payload = serde_json::to_value(mail).map_err(|error| Error::internal(error.to_string()))?;
    let job = JobRow::new(id, MAIL, format!("{MAIL}:{id}"), now);
    Ok(JobRow { tenant: Some(tenant), queue: Queue::High, payload, ..job })
}

/// Runs a mutation as `caller`, commits it, and then tells the world.
pub async fn run<M: Mutation>(drive: &Drive, caller: &Caller, mutation: M) -> Result<M::Output> {
    run_for(drive, caller, None, mutation).await
}

/// Runs a mutation that is all of a job, and ends the job in the same transaction: whoever dies when, it takes effect
/// once, and a worker whose lease was lost has no effect any more.
pub(crate) async fn run_job<M: Mutation>(
    drive: &Drive,
    caller: &Caller,
    job: &JobRow,
    mutation: M,
) -> Result<M::Output> {
    run_for(drive, caller, Some(job.clone()), mutation).await
}

async fn run_for<M: Mutation>(
    drive: &Drive,
    caller: &Caller,
    job: Option<JobRow>,
    mutation: M,
) -> Result<M::Output> {
    let unit = Arc::new(MutationUnit {
        // Fixed before the first attempt and stored under a unique key: see `was_applied`.
        id: AuditEventId::new(drive.ids.ulid()),
        job,
        mutation,
        caller: caller.clone(),
        ids: Arc::clone(&drive.ids),
        clock: Arc::clone(&drive.clock),
        done: Mutex::new(None),
    });
    let mut lookups = 0;
    loop {
        match drive.meta.write(Arc::clone(&unit) as Arc<dyn WriteUnit>).await {
            Ok(()) => break,
            Err(Error::CommitUnknown { source }) if lookups < LOOKUPS => {
                tracing::warn!(mutation = %unit.id, error = %source, "a commit's outcome is unknown; looking it up");
                lookups += 1;
                if unit.was_applied(drive, lookups).await? {
                    break;
                }
            }
            Err(Error::CommitUnknown { .. }) => return Err(Error::unavailable("the database", AWAY)),
            Err(error) => return Err(error),
        }
    }
    let done = unit.take().ok_or_else(|| Error::internal("a committed mutation left no answer"))?;
    if let Some(once) = &caller.once {
        once.is_spent.store(true, Ordering::Release);
    }
    publish(drive, caller, &done).await;
    Ok(done.output)
}

struct MutationUnit<M: Mutation> {
    id: AuditEventId,
    /// The job that this is all of.
    job: Option<JobRow>,
    mutation: M,
    caller: Caller,
    ids: Arc<dyn Ids>,
    clock: Arc<dyn crate::ports::Clock>,
    done: Mutex<Option<Done<M::Output>>>,
}

/// What the last attempt came to.
struct Done<T> {
    output: T,
    nudges: Vec<(Option<ShareId>, Option<UserId>)>,
    position: i64,
    queues: BTreeSet<Queue>,
}

impl<M: Mutation> MutationUnit<M> {
    fn take(&self) -> Option<Done<M::Output>> {
        self.done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }

    /// Looks the mutation up by its audit event after a commit whose outcome nobody knows.
    ///
    /// A commit still under way on the server is not visible yet; then the next attempt waits on the unique
    /// key and fails as a duplicate inside `write`, and nothing is applied twice.
    async fn was_applied(&self, drive: &Drive, attempt: u32) -> Result<bool> {
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
        *self.done.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(done);
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

pub(super) fn audit_row(event: AuditEvent, id: AuditEventId, caller: &Caller, now: Timestamp) -> AuditRow {
    AuditRow {
        id,
        at: now,
        category: event.category,
        severity: event.severity,
        action: event.action.to_owned(),
        user: caller.user.clone(),
        service_account: caller.service_account.clone(),
        ip: caller.ip.clone(),
        user_agent: caller.user_agent.clone(),
        resource: event.resource,
        resource_id: event.resource_id,
        path: event.path,
        result: "success".to_owned(),
        request_id: caller.request_id.clone(),
        payload: event.payload,
    }
}

/// Nudges and wake-ups may get lost: the feed and the job rows are the truth.
async fn publish<T>(drive: &Drive, caller: &Caller, done: &Done<T>) {
    for (share, user) in &done.nudges {
        let nudge =
            Nudge { tenant: caller.tenant, share: *share, user: user.clone(), position: done.position };
        if let Err(error) = drive.pubsub.publish(nudge).await {
            tracing::warn!(%error, ?share, "a nudge was lost");
        }
    }
    for queue in &done.queues {
        if let Err(error) = drive.dispatch.wake(*queue).await {
            tracing::warn!(%error, "a wake-up was lost");
        }
    }
}
