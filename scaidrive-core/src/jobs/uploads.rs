//! Uploads in parts: completions that take long, what sessions leave behind, and the end of those nobody goes on with.

use async_trait::async_trait;

use super::Job;
use crate::Drive;
use crate::model::{Error, Result, TenantId, UploadId};
use crate::ports::metadata::JobRow;
use crate::services::{tenants, uploads};

/// Goes on with a completion that a request could not wait for.
pub(super) struct CompleteUpload;

/// Removes what a session left behind.
pub(super) struct ClearUpload;

/// Ends overdue sessions, and removes what the jobs above and dead requests left.
pub(super) struct SweepUploads;

fn named(job: &JobRow) -> Result<(TenantId, UploadId)> {
    let id = job.payload["upload"].as_str().and_then(|id| id.parse().ok());
    job.tenant.zip(id).ok_or_else(|| Error::internal("the job names no upload"))
}

#[async_trait]
impl Job for CompleteUpload {
    fn name(&self) -> &'static str {
        uploads::COMPLETE
    }

    async fn run(&self, drive: &Drive, job: &JobRow) -> Result<()> {
        let (tenant, id) = named(job)?;
        uploads::go_on(drive, tenant, id).await
    }

    fn every_secs(&self) -> Option<u32> {
        None
    }
}

#[async_trait]
impl Job for ClearUpload {
    fn name(&self) -> &'static str {
        uploads::CLEAR
    }

    async fn run(&self, drive: &Drive, job: &JobRow) -> Result<()> {
        let (tenant, id) = named(job)?;
        uploads::clear(drive, tenant, id).await
    }

    fn every_secs(&self) -> Option<u32> {
        None
    }
}

#[async_trait]
impl Job for SweepUploads {
    fn name(&self) -> &'static str {
        "sweep_uploads"
    }

    async fn run(&self, drive: &Drive, _job: &JobRow) -> Result<()> {
        for tenant in tenants::list(drive).await? {
            uploads::sweep(drive, tenant.id).await?;
        }
        let orphans = uploads::sweep_orphans(drive).await?;
        if orphans > 0 {
            tracing::info!(orphans, "removed parts of uploads that have ended");
        }
        Ok(())
    }

    fn every_secs(&self) -> Option<u32> {
        Some(3600)
    }
}
