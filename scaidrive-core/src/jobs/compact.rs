//! Removes what need not stay of the change logs, on a schedule.

use async_trait::async_trait;

use super::Job;
use crate::Drive;
use crate::model::Result;
use crate::ports::metadata::JobRow;
use crate::services::retention::{self, Retention};
use crate::services::tenants;

pub(super) struct CompactLogs;

#[async_trait]
impl Job for CompactLogs {
    fn name(&self) -> &'static str {
        "compact_feed"
    }

    async fn run(&self, drive: &Drive, _job: &JobRow) -> Result<()> {
        for tenant in tenants::list(drive).await? {
            let removed = retention::compact(drive, tenant.id, Retention::default()).await?;
            if removed > 0 {
                tracing::info!(tenant = %tenant.id, removed, "removed old rows of the change log");
            }
        }
        Ok(())
    }

    fn every_secs(&self) -> Option<u32> {
        Some(3600)
    }
}
