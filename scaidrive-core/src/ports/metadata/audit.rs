//! Rows of the audit as administrators look for them, and their seals.

use async_trait::async_trait;

use super::AuditRow;
use crate::model::{AuditCategory, AuditEventId, Result, Severity, TenantId, Timestamp, UserId};

/// An event with its seal; a late one waits for its own for a few seconds.
#[derive(Clone, Debug)]
pub struct SealedRow {
    /// The event.
    pub row: AuditRow,
    /// Its number in the tenant's order of sealing.
    pub seq: Option<i64>,
    /// The MAC over it and the one before.
    pub mac: Option<Vec<u8>>,
}

/// Where a tenant's chain of seals ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditHead {
    /// Number of the last sealed event; 0 before the first.
    pub seq: i64,
    /// Its MAC; empty before the first.
    pub mac: Vec<u8>,
}

/// Which events to show.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Who acted.
    pub user: Option<UserId>,
    /// The shelf.
    pub category: Option<AuditCategory>,
    /// How much it matters.
    pub severity: Option<Severity>,
    /// The verb.
    pub action: Option<String>,
    /// The kind of thing.
    pub resource_type: Option<String>,
    /// The thing.
    pub resource_id: Option<String>,
    /// `success`, or the code of an error.
    pub result: Option<String>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
    /// After this event, in the order of the listing.
    pub after: Option<AuditEventId>,
    /// Oldest first, instead of newest.
    pub ascending: bool,
    /// At most so many.
    pub limit: u32,
}

/// Reads the audit.
#[async_trait]
pub trait AuditReads: Send {
    /// Returns the events that are looked for.
    async fn find_audit(&mut self, tenant: TenantId, query: &AuditQuery) -> Result<Vec<SealedRow>>;
    /// Counts the events that are looked for, up to `most`.
    async fn count_audit(&mut self, tenant: TenantId, query: &AuditQuery, most: u32) -> Result<u64>;
    /// Returns sealed events after a number, by number.
    async fn sealed_after(&mut self, tenant: TenantId, seq: i64, limit: u32) -> Result<Vec<SealedRow>>;
    /// Returns events that wait for their seal, oldest first.
    async fn unsealed(&mut self, tenant: TenantId, limit: u32) -> Result<Vec<AuditRow>>;
    /// Counts events older than `before` that still wait for their seal, in all tenants.
    async fn count_unsealed(&mut self, before: Timestamp) -> Result<i64>;
    /// Returns where the chain ends.
    async fn audit_head(&mut self, tenant: TenantId) -> Result<AuditHead>;
}

/// Seals the audit.
#[async_trait]
pub trait AuditWrites: Send {
    /// Returns where the chain ends, and keeps other sealers from it until this commits.
    async fn lock_audit_head(&mut self, tenant: TenantId, now: Timestamp) -> Result<AuditHead>;
    /// Gives an event its seal.
    async fn seal(&mut self, tenant: TenantId, id: AuditEventId, seq: i64, mac: &[u8]) -> Result<()>;
    /// Says where the chain ends now.
    async fn set_audit_head(&mut self, tenant: TenantId, head: &AuditHead, now: Timestamp) -> Result<()>;
}
