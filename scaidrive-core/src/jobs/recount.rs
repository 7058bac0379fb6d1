//! Proves on a schedule that what is booked as used is what is used.

use async_trait::async_trait;

use super::Job;
use crate::Drive;
use crate::model::Result;
use crate::ports::metadata::JobRow;
use crate::services::{quotas, tenants};

pub(super) struct ProveUsage;

#[async_trait]
impl Job for ProveUsage {
    fn name(&self) -> &'static str {
        "prove_usage"
    }

    async fn run(&self, drive: &Drive, _job: &JobRow) -> Result<()> {
        for tenant in tenants::list(drive).await? {
            quotas::prove(drive, tenant.id).await?;
        }
        Ok(())
    }

    fn every_secs(&self) -> Option<u32> {
        Some(24 * 3600)
    }
}
