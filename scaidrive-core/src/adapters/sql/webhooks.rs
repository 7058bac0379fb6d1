//! Queries of what the identity provider told.

use async_trait::async_trait;

use super::SqlRows;
use super::statement::{Statement, sql};
use crate::model::{Error, Result, TenantId, Timestamp};
use crate::ports::metadata::WebhookWrites;

const RESOURCE: &str = " WHERE tenant_id = ? AND resource_type = ? AND resource_id = ?";

fn of(statement: Statement, tenant: TenantId, kind: &str, id: &str) -> Statement {
    statement.push(RESOURCE).text(tenant).bind(kind).raw(id)
}

#[async_trait]
impl WebhookWrites for SqlRows<'_> {
    async fn insert_webhook_event(&mut self, tenant: TenantId, event: &str, now: Timestamp) -> Result<bool> {
        let insert = sql("INSERT INTO webhook_events (tenant_id, event_id, received_at) VALUES (?, ?, ?)");
        let insert = insert.text(tenant).raw(event).bind(now.as_micros());
        super::errors::unless_duplicate(self.conn.execute(insert).await)
    }

    async fn forget_webhook_events(&mut self, tenant: TenantId, before: Timestamp) -> Result<()> {
        let delete = sql("DELETE FROM webhook_events WHERE tenant_id = ? AND received_at < ?");
        self.conn.execute(delete.text(tenant).bind(before.as_micros())).await.map(drop)
    }

    async fn lock_webhook_resource(&mut self, tenant: TenantId, kind: &str, id: &str) -> Result<Timestamp> {
        // A row that is not there cannot be locked: it is made first, older than any event.
        let insert =
            sql("INSERT INTO webhook_resources (tenant_id, resource_type, resource_id, applied_at) VALUES ")
                .push_groups(1, 4)
                .push(&self.dialect().keep_existing("applied_at"));
        self.conn.execute(insert.text(tenant).bind(kind).raw(id).bind(0_i64)).await?;
        let select = of(sql("SELECT applied_at FROM webhook_resources"), tenant, kind, id);
        let row = self.conn.fetch_one(select.push(self.dialect().current_read())).await?;
        row.ok_or_else(|| Error::internal("a row that was just made is not there"))?.time(0)
    }

    async fn set_webhook_resource(
        &mut self,
        tenant: TenantId,
        kind: &str,
        id: &str,
        at: Timestamp,
    ) -> Result<()> {
        let update = sql("UPDATE webhook_resources SET applied_at = ?").bind(at.as_micros());
        self.conn.execute(of(update, tenant, kind, id)).await.map(drop)
    }
}
