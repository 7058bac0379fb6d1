//! Forgets requests that need not be remembered any more.

use async_trait::async_trait;

use super::Job;
use crate::Drive;
use crate::model::Result;
use crate::ports::metadata::JobRow;
use crate::services::{once, tenants};

pub(super) struct ForgetRequests;

#[async_trait]
impl Job for ForgetRequests {
    fn name(&self) -> &'static str {
        "forget_requests"
    }

    async fn run(&self, drive: &Drive, _job: &JobRow) -> Result<()> {
        for tenant in tenants::list(drive).await? {
            once::forget(drive, tenant.id).await?;
        }
        Ok(())
    }

    fn every_secs(&self) -> Option<u32> {
        Some(3600)
    }
}
