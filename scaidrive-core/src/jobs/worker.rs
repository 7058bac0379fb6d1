//! The worker: claims due jobs one at a time and runs them.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use super::{ATTEMPTS, Job, LEASE, all};
use crate::Drive;
use crate::model::{JobId, Result};
use crate::ports::metadata::JobRow;
use crate::ports::{Outcome, Writes};
use crate::services::transaction::{Transaction, transact};

/// The longest sleep without a wake-up: another process may have left a job.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Runs jobs until its future is dropped; a job under way then comes back after its lease.
pub struct Worker {
    drive: Drive,
    jobs: Vec<Box<dyn Job>>,
}

impl Worker {
    /// Returns a worker for every job there is.
    pub fn new(drive: Drive) -> Self {
        Self { drive, jobs: all() }
    }

    /// Runs jobs as they come due, for ever.
    pub async fn run(&self) {
        self.patiently("the schedule", || self.schedule()).await;
        loop {
            match self.run_due().await {
                Ok(0) => self.sleep().await,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "jobs cannot be read; trying again");
                    tokio::time::sleep(Duration::from_secs(5)).await;
                }
            }
        }
    }

    async fn patiently<F: Future<Output = Result<()>>>(&self, what: &str, act: impl Fn() -> F) {
        while let Err(error) = act().await {
            tracing::warn!(%error, what, "not done yet; trying again");
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    }

    /// Puts every repeating job into its row, unless it is there.
    pub async fn schedule(&self) -> Result<()> {
        for job in &self.jobs {
            let Some(every) = job.every_secs() else { continue };
            let row = JobRow {
                id: JobId::new(self.drive.ids.ulid()),
                tenant: None,
                name: job.name().to_owned(),
                queue: "low".to_owned(),
                dedup_key: format!("schedule:{}", job.name()),
                payload: json!({}),
                attempts: 0,
                run_at: self.drive.meta.now().await?,
                every_secs: Some(every),
            };
            transact(&self.drive, Step::Insert(row)).await?;
        }
        Ok(())
    }

    /// Runs every job that is due now; returns how many were.
    pub async fn run_due(&self) -> Result<usize> {
        let now = self.drive.meta.now().await?;
        let due = self.drive.read().await?.due_jobs(now, 16).await?;
        let mut ran = 0;
        for row in due {
            if transact(&self.drive, Step::Claim { id: row.id, attempts: row.attempts }).await? {
                ran += 1;
                self.run_claimed(row).await?;
            }
        }
        Ok(ran)
    }

    async fn run_claimed(&self, row: JobRow) -> Result<()> {
        let Some(job) = self.jobs.iter().find(|job| job.name() == row.name) else {
            // From a newer version beside this one: it is theirs to run.
            tracing::warn!(job = %row.id, name = row.name, "a job of an unknown name is left alone");
            return Ok(());
        };
        let step = match job.run(&self.drive, &row).await {
            Ok(()) => Step::Finish(row),
            Err(error) => {
                tracing::warn!(%error, job = %row.id, name = row.name, attempt = row.attempts + 1, "a job failed");
                let dead = row.every_secs.is_none() && row.attempts + 1 >= ATTEMPTS;
                let wait = Duration::from_secs(5u64 << row.attempts.min(8));
                Step::Retry { row, error: error.to_string(), wait, dead }
            }
        };
        transact(&self.drive, step).await.map(drop)
    }

    async fn sleep(&self) {
        let next = async { self.drive.read().await?.next_job_at().await }.await;
        let now = self.drive.meta.now().await.unwrap_or_default();
        let due = next.ok().flatten().map_or(LONGEST_SLEEP, |at| at.since(now));
        let wait = due.clamp(Duration::from_millis(100), LONGEST_SLEEP);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.drive.dispatch.wait() => {}
        }
    }
}

/// Asks for one more run of a job after a while; asking twice is asking once.
pub(super) async fn run_later(drive: &Drive, name: &str, wait: Duration) -> Result<()> {
    let row = JobRow {
        id: JobId::new(drive.ids.ulid()),
        tenant: None,
        name: name.to_owned(),
        queue: "low".to_owned(),
        dedup_key: format!("later:{name}"),
        payload: json!({}),
        attempts: 0,
        run_at: drive.meta.now().await?.plus(wait),
        every_secs: None,
    };
    transact(drive, Step::Insert(row)).await?;
    drive.dispatch.wake().await
}

enum Step {
    Insert(JobRow),
    Claim { id: JobId, attempts: u32 },
    Finish(JobRow),
    Retry { row: JobRow, error: String, wait: Duration, dead: bool },
}

#[async_trait]
impl Transaction for Step {
    type Answer = bool;

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, bool)> {
        let now = rows.now().await?;
        let took = match self {
            Step::Insert(row) => rows.insert_job(row, now).await.map(|()| true)?,
            Step::Claim { id, attempts } => rows.claim_job(*id, *attempts, now, now.plus(LEASE)).await?,
            Step::Finish(row) => rows.finish_job(row, now).await.map(|()| true)?,
            Step::Retry { row, error, wait, dead } => {
                rows.retry_job(row, error, now.plus(*wait), *dead).await.map(|()| true)?
            }
        };
        Ok((Outcome::Commit, took))
    }
}
