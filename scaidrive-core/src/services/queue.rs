//! Jobs outside of mutations: asked for, and where they failed too often looked at, tried again or dropped.

use async_trait::async_trait;

use crate::Drive;
use crate::model::{Error, JobId, JobState, Result};
use crate::ports::metadata::{JobRow, StoredJob};
use crate::ports::{Outcome, Writes};
use crate::services::transaction::{Transaction, transact};

/// Jobs returned at once.
pub const MOST_JOBS: u32 = 1000;

/// Notes a job, and wakes who runs it.
pub(crate) async fn ask(drive: &Drive, job: JobRow) -> Result<()> {
    let queue = job.queue;
    note(drive, job).await?;
    drive.dispatch.wake(queue).await
}

/// Notes a job; workers find it at their next look.
pub(crate) async fn note(drive: &Drive, job: JobRow) -> Result<()> {
    transact(drive, Insert(job)).await
}

struct Insert(JobRow);

#[async_trait]
impl Transaction for Insert {
    type Answer = ();

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, ())> {
        let now = rows.now().await?;
        rows.insert_job(&self.0, now).await?;
        Ok((Outcome::Commit, ()))
    }
}

/// Returns jobs in a state, by id, after one; at most [`MOST_JOBS`].
pub async fn list(drive: &Drive, state: JobState, after: Option<JobId>) -> Result<Vec<StoredJob>> {
    drive.read().await?.jobs(state, after, MOST_JOBS).await
}

/// Lets a dead job be tried again, as often as a new one.
pub async fn retry(drive: &Drive, id: JobId) -> Result<()> {
    let job = dead(drive, id).await?;
    end(drive, Verdict::Retry, id).await?;
    drive.dispatch.wake(job.job.queue).await
}

/// Removes a dead job: what it was to do stays undone.
pub async fn remove(drive: &Drive, id: JobId) -> Result<()> {
    dead(drive, id).await?;
    end(drive, Verdict::Drop, id).await
}

async fn dead(drive: &Drive, id: JobId) -> Result<StoredJob> {
    let job = drive.read().await?.job(id).await?.ok_or(Error::NotFound)?;
    if job.state == JobState::Dead {
        Ok(job)
    } else {
        Err(Error::invalid(
            "id",
            "this job still runs by itself; only dead ones wait for somebody",
            id.to_string(),
        ))
    }
}

async fn end(drive: &Drive, verdict: Verdict, id: JobId) -> Result<()> {
    if transact(drive, End { verdict, id }).await? { Ok(()) } else { Err(Error::NotFound) }
}

#[derive(Clone, Copy)]
enum Verdict {
    Retry,
    Drop,
}

struct End {
    verdict: Verdict,
    id: JobId,
}

#[async_trait]
impl Transaction for End {
    type Answer = bool;

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, bool)> {
        let now = rows.now().await?;
        let was_there = match self.verdict {
            Verdict::Retry => rows.revive_job(self.id, now).await?,
            Verdict::Drop => rows.drop_job(self.id).await?,
        };
        Ok((Outcome::Commit, was_there))
    }
}
