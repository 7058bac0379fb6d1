//! Chunk collection on a schedule.

use async_trait::async_trait;

use super::Job;
use crate::Drive;
use crate::model::Result;
use crate::ports::metadata::JobRow;
use crate::services::collect::{self, Plan};
use crate::services::tenants;

/// Collects every tenant's unused chunks; what it marks is freed by the next run.
pub(super) struct Collect;

#[async_trait]
impl Job for Collect {
    fn name(&self) -> &'static str {
        "collect_chunks"
    }

    async fn run(&self, drive: &Drive, _job: &JobRow) -> Result<()> {
        for tenant in tenants::list(drive).await? {
            let done = collect::run(drive, tenant.id, Plan::scheduled(drive)).await?;
            if done != collect::Collected::default() {
                tracing::info!(tenant = %tenant.id, ?done, "collected unused chunks");
            }
        }
        Ok(())
    }

    fn every_secs(&self) -> Option<u32> {
        Some(15 * 60)
    }
}
