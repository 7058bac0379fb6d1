//! Rows of requests that must have one effect.

use async_trait::async_trait;

use crate::model::{Caller, Once, Result, Sha256Hash, TenantId, Timestamp};

/// A request that had its effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoneOnce {
    /// What was asked for.
    pub digest: Sha256Hash,
    /// What it made.
    pub resource_id: String,
}

/// Reads such requests.
#[async_trait]
pub trait OnceReads: Send {
    /// Returns what a caller's request came to, if it was made since a time.
    async fn done_once(&mut self, caller: &Caller, once: &Once, since: Timestamp)
    -> Result<Option<DoneOnce>>;
}

/// Writes such requests.
#[async_trait]
pub trait OnceWrites: Send {
    /// Notes what a caller's request came to; `InProgress` if a rival did so since `since`.
    async fn note_once(
        &mut self,
        caller: &Caller,
        once: &Once,
        done: &DoneOnce,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<()>;
    /// Forgets requests made before a time.
    async fn forget_once(&mut self, tenant: TenantId, before: Timestamp) -> Result<()>;
}
