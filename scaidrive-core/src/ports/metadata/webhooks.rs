//! What the identity provider told already.

use async_trait::async_trait;

use crate::model::{Result, TenantId, Timestamp};

/// Writes which events came, and how new what is known of each thing is.
#[async_trait]
pub trait WebhookWrites: Send {
    /// Remembers an event; tells whether it is new.
    async fn insert_webhook_event(&mut self, tenant: TenantId, event: &str, now: Timestamp) -> Result<bool>;
    /// Forgets events that came before.
    async fn forget_webhook_events(&mut self, tenant: TenantId, before: Timestamp) -> Result<()>;
    /// Returns the time of the last event applied to a thing, and keeps others from applying one meanwhile.
    async fn lock_webhook_resource(&mut self, tenant: TenantId, kind: &str, id: &str) -> Result<Timestamp>;
    /// Sets the time of the last event applied to a thing that is locked.
    async fn set_webhook_resource(
        &mut self,
        tenant: TenantId,
        kind: &str,
        id: &str,
        at: Timestamp,
    ) -> Result<()>;
}
