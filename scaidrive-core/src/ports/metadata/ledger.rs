//! Rows that every mutation writes, whatever it is about: usage, change log, audit, jobs.

use async_trait::async_trait;
use serde_json::Value;

use crate::model::{
    AuditCategory, AuditEventId, JobId, LoggedChange, ResourceKind, Result, Severity, TenantId, Timestamp,
    Usage, UsageDelta, UsageTarget, UserId,
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
    /// `high`, `medium` or `low`.
    pub queue: String,
    /// Jobs with the same key are one job.
    pub dedup_key: String,
    /// Its input.
    pub payload: Value,
    /// How often it was tried.
    pub attempts: u32,
    /// Not before.
    pub run_at: Timestamp,
    /// Repeats after so many seconds; nothing for once.
    pub every_secs: Option<u32>,
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
    /// Returns jobs that may run now, the longest waiting first, high queues before low.
    async fn due_jobs(&mut self, now: Timestamp, limit: u32) -> Result<Vec<JobRow>>;
    /// Returns when the next job may run.
    async fn next_job_at(&mut self) -> Result<Option<Timestamp>>;
    /// Counts waiting jobs by queue.
    async fn job_counts(&mut self) -> Result<Vec<(String, i64)>>;
}

/// Writes jobs.
#[async_trait]
pub trait JobWrites: Send {
    /// Inserts a job unless one with its key is waiting.
    async fn insert_job(&mut self, job: &JobRow, now: Timestamp) -> Result<()>;
    /// Claims a job until `until` by compare-and-set; tells whether it is ours.
    async fn claim_job(&mut self, id: JobId, attempts: u32, now: Timestamp, until: Timestamp)
    -> Result<bool>;
    /// Ends a job: its row goes, or its next run is set where it repeats.
    async fn finish_job(&mut self, job: &JobRow, now: Timestamp) -> Result<()>;
    /// Gives a failed job back until `run_at`; after too many attempts it is kept as dead.
    async fn retry_job(&mut self, job: &JobRow, error: &str, run_at: Timestamp, dead: bool) -> Result<()>;
}
