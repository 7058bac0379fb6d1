//! Empties what was kept long enough: the trash and old versions.

use async_trait::async_trait;

use super::Job;
use crate::Drive;
use crate::model::Result;
use crate::ports::metadata::JobRow;
use crate::services::{sweep, tenants};

/// Removes what lay in the trash for too long.
pub(super) struct SweepTrash;

/// Removes versions that were replaced too long ago.
pub(super) struct SweepVersions;

#[async_trait]
impl Job for SweepTrash {
    fn name(&self) -> &'static str {
        "sweep_trash"
    }

    async fn run(&self, drive: &Drive, _job: &JobRow) -> Result<()> {
        for tenant in tenants::list(drive).await? {
            let removed = sweep::trash(drive, &tenant).await?;
            if removed > 0 {
                tracing::info!(tenant = %tenant.id, removed, "removed what lay in the trash for too long");
            }
        }
        Ok(())
    }

    fn every_secs(&self) -> Option<u32> {
        Some(3600)
    }
}

#[async_trait]
impl Job for SweepVersions {
    fn name(&self) -> &'static str {
        "sweep_versions"
    }

    async fn run(&self, drive: &Drive, _job: &JobRow) -> Result<()> {
        for tenant in tenants::list(drive).await? {
            let removed = sweep::versions(drive, &tenant).await?;
            if removed > 0 {
                tracing::info!(tenant = %tenant.id, removed, "removed versions that were replaced long ago");
            }
        }
        Ok(())
    }

    fn every_secs(&self) -> Option<u32> {
        Some(3600)
    }
}
