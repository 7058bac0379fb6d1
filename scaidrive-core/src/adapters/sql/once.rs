//! Queries of requests that must have one effect.

use async_trait::async_trait;

use super::SqlRows;
use super::errors::is_duplicate;
use super::statement::{Statement, sql};
use crate::model::{Caller, Error, Once, Result, TenantId, Timestamp};
use crate::ports::metadata::{DoneOnce, OnceReads, OnceWrites};

fn of(query: Statement, caller: &Caller, once: &Once) -> Statement {
    query.text(caller.tenant).raw(caller.user.as_str()).bind(once.route.as_str()).raw(&once.key)
}

#[async_trait]
impl OnceReads for SqlRows<'_> {
    async fn done_once(
        &mut self,
        caller: &Caller,
        once: &Once,
        since: Timestamp,
    ) -> Result<Option<DoneOnce>> {
        let query = sql("SELECT digest, resource_id FROM idempotency WHERE tenant_id = ? AND user_id = ? \
             AND route = ? AND request_key = ? AND created_at >= ?");
        let row = self.conn.fetch_one(of(query, caller, once).bind(since.as_micros())).await?;
        row.map(|row| Ok(DoneOnce { digest: row.hash(0)?, resource_id: row.raw(1)? })).transpose()
    }
}

#[async_trait]
impl OnceWrites for SqlRows<'_> {
    async fn note_once(
        &mut self,
        caller: &Caller,
        once: &Once,
        done: &DoneOnce,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<()> {
        let forget = sql("DELETE FROM idempotency WHERE tenant_id = ? AND user_id = ? AND route = ? \
             AND request_key = ? AND created_at < ?");
        self.conn.execute(of(forget, caller, once).bind(since.as_micros())).await?;
        let insert = sql(
            "INSERT INTO idempotency (tenant_id, user_id, route, request_key, digest, resource_id, created_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        );
        let insert = of(insert, caller, once)
            .bind(done.digest.as_bytes().as_slice())
            .raw(&done.resource_id)
            .bind(now.as_micros());
        let taken = |error| if is_duplicate(&error) { Error::InProgress } else { error };
        self.conn.execute(insert).await.map(drop).map_err(taken)
    }

    async fn forget_once(&mut self, tenant: TenantId, before: Timestamp) -> Result<()> {
        let forget = sql("DELETE FROM idempotency WHERE tenant_id = ? AND created_at < ?");
        self.conn.execute(forget.text(tenant).bind(before.as_micros())).await.map(drop)
    }
}
