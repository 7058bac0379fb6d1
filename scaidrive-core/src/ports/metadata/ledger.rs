//! Rows that every mutation writes, whatever it is about: usage, change log, audit, jobs.

use async_trait::async_trait;
use serde_json::Value;

use crate::model::{
    AuditCategory, AuditEventId, JobId, JobState, LoggedChange, Queue, ResourceKind, Result, Severity,
    TenantId, Timestamp, Usage, UsageDelta, UsageTarget, UserId,
};

/// An audit event as it is stored.
#[derive(Clone, Debug)]
pub struct AuditRow {
    /// The event; unique, so the first event of a mutation tells whether it was applied.
    pub id: AuditEventId,
    /// When.
    pub at: Timestamp,
    /// Its shelf.
    pub category: AuditCategory,
    /// How much it matters.
    pub severity: Severity,
    /// The verb.
    pub action: String,
    /// Who acted.
    pub user: UserId,
    /// For whom a delegated token acted.
    pub service_account: Option<String>,
    /// From which address.
    pub ip: Option<String>,
    /// With which program.
    pub user_agent: Option<String>,
    /// What kind of thing it is about.
    pub resource: ResourceKind,
    /// Which.
    pub resource_id: String,
    /// Where it was at that time.
    pub path: Option<String>,
    /// `success`, or the code of the error.
    pub result: String,
    /// The request behind it.
    pub request_id: String,
    /// What else belongs to it.
    pub payload: Value,
}

/// A job as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRow {
    /// Its id.
    pub id: JobId,
    /// For which tenant; nothing for the whole installation.
    pub tenant: Option<TenantId>,
    /// Which job, such as `copy_folder`.
    pub name: String,
    /// What it waits in.
    pub queue: Queue,
    /// Jobs with the same key are one job.
    pub dedup_key: String,
    /// Its input.
    pub payload: Value,
    /// How often it was tried before: what a claim counts up, and its holder is known by.
    pub attempts: u32,
    /// Not before.
    pub run_at: Timestamp,
    /// Repeats after so many seconds; nothing for once.
    pub every_secs: Option<u32>,
}

impl JobRow {
    /// Returns a job that runs once, as housekeeping of the whole installation and without input.
    pub fn new(id: JobId, name: &str, dedup_key: String, run_at: Timestamp) -> Self {
        Self {
            id,
            tenant: None,
            name: name.to_owned(),
            queue: Queue::Low,
            dedup_key,
            payload: Value::Object(serde_json::Map::new()),
            attempts: 0,
            run_at,
            every_secs: None,
        }
    }
}

/// A job, and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredJob {
    /// The job.
    pub job: JobRow,
    /// Whether it is still tried.
    pub state: JobState,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
}

/// Reads usage, change log and audit.
#[async_trait]
pub trait LedgerReads: Send {
    /// Returns the database's own time.
    async fn now(&mut self) -> Result<Timestamp>;
    /// Returns what a target is charged.
    async fn usage(&mut self, tenant: TenantId, target: &UsageTarget) -> Result<Usage>;
    /// Returns what all targets of the tenant are charged, by key.
    async fn usages(&mut self, tenant: TenantId) -> Result<Vec<(String, Usage)>>;
    /// Returns the tenant's head: the position of its last change.
    async fn head(&mut self, tenant: TenantId) -> Result<i64>;
    /// Returns changes after a position in order, at most `limit`.
    async fn changes(&mut self, tenant: TenantId, after: i64, limit: u32) -> Result<Vec<LoggedChange>>;
    /// Returns an audit event.
    async fn audit_event(&mut self, tenant: TenantId, id: AuditEventId) -> Result<Option<AuditRow>>;
    /// Returns the tenant's latest audit events, newest first.
    async fn audit_events(&mut self, tenant: TenantId, limit: u32) -> Result<Vec<AuditRow>>;
}

/// Writes usage, change log and audit.
#[async_trait]
pub trait LedgerWrites: Send {
    /// Adds to counters and to the tenant's position, in one statement; returns the new position.
    ///
    /// Called last in a mutation: these are the hottest rows, held for the commit alone.
    async fn advance(
        &mut self,
        tenant: TenantId,
        usage: &[(UsageTarget, UsageDelta)],
        positions: u32,
    ) -> Result<i64>;
    /// Appends rows whose positions were just handed out.
    async fn append_changes(&mut self, changes: &[LoggedChange]) -> Result<()>;
    /// Appends audit events.
    async fn append_audit(&mut self, tenant: TenantId, events: &[AuditRow]) -> Result<()>;
}

/// Reads jobs.
#[async_trait]
pub trait JobReads: Send {
    /// Returns jobs of these queues that may run now, the longest waiting first, high queues before low.
    async fn due_jobs(&mut self, queues: &[Queue], now: Timestamp, limit: u32) -> Result<Vec<JobRow>>;
    /// Returns when the next job of these queues may run.
    async fn next_job_at(&mut self, queues: &[Queue]) -> Result<Option<Timestamp>>;
    /// Counts waiting jobs by queue.
    async fn job_counts(&mut self) -> Result<Vec<(Queue, i64)>>;
    /// Returns jobs in a state, by id, after one.
    async fn jobs(&mut self, state: JobState, after: Option<JobId>, limit: u32) -> Result<Vec<StoredJob>>;
    /// Returns a job.
    async fn job(&mut self, id: JobId) -> Result<Option<StoredJob>>;
}

/// Writes jobs.
#[async_trait]
pub trait JobWrites: Send {
    /// Inserts a job. One with its key that waits is as good; one that runs already runs once more; a dead one lives
    /// again. A repeating job is left as it is.
    async fn insert_job(&mut self, job: &JobRow, now: Timestamp) -> Result<()>;
    /// Claims a job until `until` by compare-and-set; tells whether it is ours.
    async fn claim_job(&mut self, job: &JobRow, now: Timestamp, until: Timestamp) -> Result<bool>;
    /// Keeps a claimed job until `until`; tells whether it still is ours.
    async fn keep_job(&mut self, job: &JobRow, until: Timestamp) -> Result<bool>;
    /// Ends a claimed job: its row goes, or its next run is set where it repeats or was asked for again meanwhile;
    /// tells whether it still was ours.
    async fn finish_job(&mut self, job: &JobRow, now: Timestamp) -> Result<bool>;
    /// Gives a claimed job that failed back until `run_at`, or keeps it as dead; tells whether it still was ours.
    async fn retry_job(
        &mut self,
        job: &JobRow,
        error: &str,
        run_at: Timestamp,
        state: JobState,
    ) -> Result<bool>;
    /// Gives a claimed job back as if it never was claimed.
    async fn hand_back_job(&mut self, job: &JobRow, now: Timestamp) -> Result<bool>;
    /// Lets a dead job live again; tells whether there was one.
    async fn revive_job(&mut self, id: JobId, now: Timestamp) -> Result<bool>;
    /// Removes a dead job; tells whether there was one.
    async fn drop_job(&mut self, id: JobId) -> Result<bool>;
}
