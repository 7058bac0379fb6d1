//! The only path by which state changes.
//!
//! A mutation runs in one transaction together with what every mutation owes: usage, change-log rows with
//! gap-free positions, audit events, jobs. Only after the commit are events published and workers woken. Later
//! capabilities (holds, data-loss rules, webhooks, indexing) hook in here.

mod unit;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use ulid::Ulid;

use self::unit::{Done, MutationUnit};
use super::letters::Addressed;
use super::quotas;
use crate::Drive;
use crate::model::{
    AuditEvent, AuditEventId, Caller, Change, ChangeId, Error, JobId, Queue, QuotaTarget, ResourceKind,
    Result, ShareId, TenantId, Timestamp, UsageChanges, UsageDelta, UserId,
};
use crate::ports::metadata::{AuditRow, JobRow};
use crate::ports::{Ids, Nudge, WriteUnit, Writes};

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
    let unit = Arc::new(MutationUnit::new(drive, caller, job, mutation));
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
            Err(Error::CommitUnknown { .. }) => return Err(Error::away("the database")),
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
