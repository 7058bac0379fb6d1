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
/// Where the database cannot tell of such commits, this waits and does nothing: there the nudges of other
/// processes come through shared fan-out.
pub async fn watch(drive: &Drive) {
    let mut heads = HashMap::new();
    if let Err(error) = grown(drive, &mut heads).await {
        tracing::warn!(%error, "the feeds' heads cannot be read yet");
    }
    loop {
        drive.meta.foreign_commit().await;
        match grown(drive, &mut heads).await {
            Ok(nudges) => publish(drive, nudges).await,
            Err(error) => {
                tracing::warn!(%error, "the feeds' heads cannot be read; trying again");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Returns a nudge for each tenant whose head rose, and remembers the heads.
async fn grown(drive: &Drive, heads: &mut HashMap<TenantId, i64>) -> Result<Vec<Nudge>> {
    let mut nudges = Vec::new();
    for tenant in tenants::list(drive).await? {
        let position = drive.read().await?.head(tenant.id).await?;
        if heads.insert(tenant.id, position) != Some(position) {
            nudges.push(Nudge { tenant: tenant.id, share: None, position });
        }
    }
    Ok(nudges)
}

async fn publish(drive: &Drive, nudges: Vec<Nudge>) {
    for nudge in nudges {
        if let Err(error) = drive.pubsub.publish(nudge).await {
            tracing::warn!(%error, tenant = %nudge.tenant, "a nudge was lost");
        }
    }
}
