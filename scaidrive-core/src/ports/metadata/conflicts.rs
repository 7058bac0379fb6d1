//! Rows of conflicts, and of what became of changes that devices sent.

use async_trait::async_trait;
use serde_json::Value;

use crate::model::{
    Conflict, ConflictId, ContentId, DeviceId, Result, Sha256Hash, ShareId, TenantId, Timestamp, UserId,
};

/// A recorded conflict with what only the server needs of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ConflictRow {
    /// Its id.
    pub id: ConflictId,
    /// The tenant.
    pub tenant: TenantId,
    /// Whose change met it.
    pub user: UserId,
    /// What the wire shows.
    pub conflict: Conflict,
    /// The incoming change, as long as it waits.
    pub incoming: Option<Value>,
    /// The content that waits with it, and its size in bytes: a reference, as a version's is.
    pub waiting: Option<(ContentId, u64)>,
}

/// Which conflicts of a user a listing shows.
#[derive(Clone, Debug, Default)]
pub struct ConflictQuery {
    /// Only of this device.
    pub device: Option<DeviceId>,
    /// Only in this share.
    pub share: Option<ShareId>,
    /// Also those that are settled.
    pub include_resolved: bool,
    /// After this one.
    pub after: Option<ConflictId>,
    /// At most so many.
    pub limit: u32,
}

/// What became of a change that a device sent.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientChange {
    /// What the device calls it.
    pub id: String,
    /// What was asked for.
    pub digest: Sha256Hash,
    /// What it came to.
    pub outcome: Value,
}

/// Reads conflicts and changes that devices sent.
#[async_trait]
pub trait ConflictReads: Send {
    /// Returns a conflict.
    async fn conflict(&mut self, tenant: TenantId, id: ConflictId) -> Result<Option<ConflictRow>>;
    /// Returns those of these conflicts that are there, in no order.
    async fn conflicts(&mut self, tenant: TenantId, ids: &[ConflictId]) -> Result<Vec<Conflict>>;
    /// Returns the conflicts of a user, newest first.
    async fn conflicts_of(
        &mut self,
        tenant: TenantId,
        user: &UserId,
        query: &ConflictQuery,
    ) -> Result<Vec<Conflict>>;
    /// Tells whether a conflict of a user's device in a share waits for somebody to decide.
    async fn has_open_conflicts(
        &mut self,
        tenant: TenantId,
        share: ShareId,
        user: &UserId,
        device: &DeviceId,
    ) -> Result<bool>;
    /// Returns those of these changes of a user's device that were applied since a time.
    async fn client_changes(
        &mut self,
        tenant: TenantId,
        user: &UserId,
        device: &DeviceId,
        ids: &[String],
        since: Timestamp,
    ) -> Result<Vec<ClientChange>>;
}

/// Writes conflicts and changes that devices sent.
#[async_trait]
pub trait ConflictWrites: Send {
    /// Inserts conflicts.
    async fn insert_conflicts(&mut self, conflicts: &[ConflictRow]) -> Result<()>;
    /// Says how an open conflict was settled; what waited is not referred to any more. Tells whether it was open.
    async fn settle_conflict(&mut self, settled: &ConflictRow) -> Result<bool>;
    /// Notes what became of changes; `InProgress` if a rival noted one of them since `since`.
    async fn note_client_changes(
        &mut self,
        tenant: TenantId,
        user: &UserId,
        device: &DeviceId,
        changes: &[ClientChange],
        since: Timestamp,
        now: Timestamp,
    ) -> Result<()>;
    /// Forgets changes that were applied before a time.
    async fn forget_client_changes(&mut self, tenant: TenantId, before: Timestamp) -> Result<()>;
}
