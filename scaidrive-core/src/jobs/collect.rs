//! Chunk collection on a schedule.

use std::time::Duration;

use async_trait::async_trait;

use super::Job;
use super::worker::run_later;
use crate::Drive;
use crate::model::Result;
use crate::ports::metadata::JobRow;
use crate::services::collect::{self, Plan, QUARANTINE};
use crate::services::tenants;

/// Collects every tenant's unused chunks; what it marks is freed by a run right after the quarantine.
pub(super) struct Collect;

#[async_trait]
impl Job for Collect {
    fn name(&self) -> &'static str {
        "collect_chunks"
    }

    async fn run(&self, drive: &Drive, _job: &JobRow) -> Result<()> {
        let mut has_marked = false;
        for tenant in tenants::list(drive).await? {
            let done = collect::run(drive, tenant.id, Plan::scheduled(drive)).await?;
            if done != collect::Collected::default() {
                tracing::info!(tenant = %tenant.id, ?done, "collected unused chunks");
            }
            has_marked |= done.chunks + done.failed > 0;
        }
        // Who uploads such a chunk again waits for its row to be free: not until the next run of the schedule.
        if has_marked {
            run_later(drive, self.name(), QUARANTINE + Duration::from_secs(1)).await
        } else {
            Ok(())
        }
    }

    fn every_secs(&self) -> Option<u32> {
        Some(15 * 60)
    }
}
