//! Sends mail that a mutation asked for.

use async_trait::async_trait;

use super::Job;
use crate::Drive;
use crate::model::{Error, Result};
use crate::ports::metadata::JobRow;
use crate::services::letters::{self, Addressed};
use crate::services::mutation::MAIL;

pub(super) struct SendMail;

#[async_trait]
impl Job for SendMail {
    fn name(&self) -> &'static str {
        MAIL
    }

    async fn run(&self, drive: &Drive, job: &JobRow) -> Result<()> {
        let letter: Addressed = serde_json::from_value(job.payload.clone())
            .map_err(|error| Error::internal(format!("the job holds no mail: {error}")))?;
        let mail = letters::write(&letter, drive.public_url.as_deref())?;
        drive.mailer.send(&job.id.to_string(), &mail).await
    }

    fn every_secs(&self) -> Option<u32> {
        None
    }
}
