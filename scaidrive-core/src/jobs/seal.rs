//! Seals the audit of every tenant within seconds, and logs the heads hourly: a log kept elsewhere shows a cut tail.

use std::time::{Duration, Instant};

use crate::Drive;
use crate::model::Result;
use crate::services::{audit, tenants};

/// How long events wait for their seal at most, if sealing keeps up.
const EVERY: Duration = Duration::from_secs(2);

/// How often the heads are logged.
const TOLD_EVERY: Duration = Duration::from_secs(3600);

/// Seals for ever. Any number of processes may: the head's row keeps them apart.
pub async fn run(drive: &Drive) {
    let mut told: Option<Instant> = None;
    loop {
        tokio::time::sleep(EVERY).await;
        let tells = told.is_none_or(|at| at.elapsed() >= TOLD_EVERY);
        match once(drive, tells).await {
            Ok(()) if tells => told = Some(Instant::now()),
            Ok(()) => {}
            Err(error) => tracing::warn!(%error, "the audit cannot be sealed; trying again"),
        }
    }
}

async fn once(drive: &Drive, tells: bool) -> Result<()> {
    for tenant in tenants::list(drive).await? {
        audit::seal(drive, tenant.id).await?;
        if tells {
            let head = audit::head(drive, tenant.id).await?;
            tracing::info!(tenant_id = %tenant.id, head = audit::head_text(&head), "head of the audit");
        }
    }
    Ok(())
}
