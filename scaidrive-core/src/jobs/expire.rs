//! Tells readers of a share when a membership has run out; by then it counts for nothing already.

use async_trait::async_trait;

use super::Job;
use crate::Drive;
use crate::model::{Error, MemberId, Result};
use crate::ports::metadata::JobRow;
use crate::services::{members, tenants};

pub(super) struct ExpireMember;

#[async_trait]
impl Job for ExpireMember {
    fn name(&self) -> &'static str {
        members::EXPIRE
    }

    async fn run(&self, drive: &Drive, job: &JobRow) -> Result<()> {
        let id = job.payload["member"].as_str().and_then(|id| id.parse::<MemberId>().ok());
        let (Some(id), Some(tenant)) = (id, job.tenant) else {
            return Err(Error::internal("the job names no member"));
        };
        members::expire(drive, &tenants::system_caller(drive, tenant, "jobs")?, job, id).await
    }

    fn ends_itself(&self) -> bool {
        true
    }

    fn every_secs(&self) -> Option<u32> {
        None
    }
}
