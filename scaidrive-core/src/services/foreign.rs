//! Commits of other processes on the same database: the CLI beside a running server wakes that server's readers.

use std::collections::HashMap;
use std::time::Duration;

use super::tenants;
use crate::Drive;
use crate::model::{Result, TenantId};
use crate::ports::Nudge;

/// How long a failed look waits for the next one.
const RETRY: Duration = Duration::from_secs(5);

/// Publishes a nudge for every tenant whose feed grew by another process's commit; for ever.
///
/// The first look nudges every tenant: what was committed while this started has woken nobody. Where the database
/// cannot tell of such commits, this waits and does nothing: there the nudges of other processes come through
/// shared fan-out.
pub async fn watch(drive: &Drive) {
    let mut heads = HashMap::new();
    loop {
        drive.meta.foreign_commit().await;
        while let Err(error) = look(drive, &mut heads).await {
            tracing::warn!(%error, "the feeds' heads cannot be read; trying again");
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Nudges each tenant whose head rose, and remembers the heads.
async fn look(drive: &Drive, heads: &mut HashMap<TenantId, i64>) -> Result<()> {
    for tenant in tenants::list(drive).await? {
        let position = drive.read().await?.head(tenant.id).await?;
        if heads.insert(tenant.id, position) != Some(position) {
            publish(drive, Nudge { tenant: tenant.id, share: None, user: None, position }).await;
        }
    }
    Ok(())
}

async fn publish(drive: &Drive, nudge: Nudge) {
    let tenant = nudge.tenant;
    if let Err(error) = drive.pubsub.publish(nudge).await {
        tracing::warn!(%error, %tenant, "a nudge was lost");
    }
}
