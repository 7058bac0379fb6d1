//! The worker: claims due jobs and runs them, several at once.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::FutureExt;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{ATTEMPTS, Job, LEASE, all};
use crate::Drive;
use crate::model::{Error, JobId, JobState, Queue, Result, text_enum};
use crate::ports::metadata::JobRow;
use crate::ports::{Outcome, Writes};
use crate::services::queue;
use crate::services::transaction::{Transaction, transact};

/// The longest sleep without a wake-up: another process may have left a job.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// How long to wait when the database cannot be read.
const PAUSE: Duration = Duration::from_secs(5);

/// Jobs looked at for one to claim: rivals look at the same ones.
const LOOK: u32 = 16;

/// How long jobs under way get to end once the worker is to stop; then they are handed back.
const LAST_CALL: Duration = Duration::from_secs(20);

/// Claims after which a job that never ended is not tried again.
const MOST_CLAIMS: u32 = 50;

/// The longest wait before a failed job is tried again.
const LONGEST_BACKOFF: Duration = Duration::from_secs(3600);

text_enum! {
    /// How an attempt at a job ended.
    pub enum Ended {
        /// It is done.
        Done = "ok",
        /// It failed, and is tried again later.
        Failed = "retry",
        /// It failed once too often.
        Dead = "error",
    }
}

/// An attempt at a job that has ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The queue it waited in.
    pub queue: Queue,
    /// The name of the job.
    pub task: &'static str,
    /// How it ended.
    pub ended: Ended,
    /// How long it took.
    pub took: Duration,
}

/// Who is told of every attempt.
pub type Observer = Arc<dyn Fn(Ran) + Send + Sync>;

/// Runs jobs.
#[derive(Clone)]
pub struct Worker(Arc<Parts>);

struct Parts {
    drive: Drive,
    jobs: Vec<Box<dyn Job>>,
    queues: Vec<Queue>,
    observer: Observer,
}

impl Worker {
    /// Returns a worker for every job there is, in every queue.
    pub fn new(drive: Drive) -> Self {
        Self::of(drive, Queue::ALL.to_vec(), Arc::new(|_| {}))
    }

    /// Returns a worker for the jobs of some queues, of which there is at least one.
    pub fn of(drive: Drive, queues: Vec<Queue>, observer: Observer) -> Self {
        Self(Arc::new(Parts { drive, jobs: all(), queues, observer }))
    }

    /// Runs jobs as they come due, so many at once, until it is told to stop: then it claims no more, waits for a while
    /// for those under way, and hands back what has not ended by then.
    pub async fn run(&self, at_once: usize, stop: &CancellationToken) {
        let hand_back = CancellationToken::new();
        let mut running = JoinSet::new();
        self.patiently(stop, "the schedule", || self.schedule()).await;
        while !stop.is_cancelled() {
            while running.try_join_next().is_some() {}
            let next = if running.len() < at_once { self.claim().await } else { Ok(None) };
            match next {
                Ok(Some(row)) => {
                    let (worker, hand_back) = (self.clone(), hand_back.clone());
                    running.spawn(async move { worker.run_claimed(row, &hand_back).await });
                }
                Ok(None) => self.rest(stop, &mut running, at_once).await,
                Err(error) => {
                    tracing::warn!(%error, "jobs cannot be read; trying again");
                    stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
                }
            }
        }
        let ended = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_CALL, ended).await.is_err() {
            hand_back.cancel();
            while running.join_next().await.is_some() {}
        }
    }

    async fn patiently<F: Future<Output = Result<()>>>(
        &self,
        stop: &CancellationToken,
        what: &str,
        act: impl Fn() -> F,
    ) {
        while let Err(error) = act().await
            && !stop.is_cancelled()
        {
            tracing::warn!(%error, what, "not done yet; trying again");
            stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
        }
    }

    /// Waits until there may be something to do.
    async fn rest(&self, stop: &CancellationToken, running: &mut JoinSet<()>, at_once: usize) {
        let is_full = running.len() >= at_once;
        tokio::select! {
            () = stop.cancelled() => {}
            Some(_) = running.join_next() => {}
            () = self.sleep(), if !is_full => {}
        }
    }

    /// Puts every repeating job into its row, unless it is there.
    pub async fn schedule(&self) -> Result<()> {
        let drive = &self.0.drive;
        for job in &self.0.jobs {
            let Some(every) = job.every_secs() else { continue };
            let (id, key) = (JobId::new(drive.ids.ulid()), format!("schedule:{}", job.name()));
            let row = JobRow::new(id, job.name(), key, drive.meta.now().await?);
            queue::note(drive, JobRow { every_secs: Some(every), ..row }).await?;
        }
        Ok(())
    }

    /// Runs every job that is due now, one after the other; returns how many were.
    pub async fn run_due(&self) -> Result<usize> {
        let mut ran = 0;
        let now = self.0.drive.meta.now().await?;
        for row in self.0.drive.read().await?.due_jobs(&self.0.queues, now, LOOK).await? {
            if transact(&self.0.drive, Step::Claim(row.clone())).await? {
                ran += 1;
                self.run_claimed(row, &CancellationToken::new()).await;
            }
        }
        Ok(ran)
    }

    /// Claims a job that is due, if there is one.
    async fn claim(&self) -> Result<Option<JobRow>> {
        let drive = &self.0.drive;
        let now = drive.meta.now().await?;
        for row in drive.read().await?.due_jobs(&self.0.queues, now, LOOK).await? {
            if transact(drive, Step::Claim(row.clone())).await? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Runs a claimed job while its lease can be kept, and says what became of it.
    async fn run_claimed(&self, row: JobRow, hand_back: &CancellationToken) {
        let Some(job) = self.0.jobs.iter().find(|job| job.name() == row.name) else {
            // From a newer version beside this one: it is theirs to run, once the lease is over.
            tracing::warn!(job = %row.id, name = row.name, "a job of an unknown name is left alone");
            return;
        };
        let began = Instant::now();
        let step = {
            let mut kept = pin!(self.keep(&row));
            tokio::select! {
                outcome = self.attempt(&**job, &row) => self.step_after(&**job, &row, outcome, began),
                () = &mut kept => {
                    tracing::warn!(job = %row.id, name = row.name, "the lease of a job was lost; it is given up");
                    return;
                }
                () = hand_back.cancelled() => Some(Step::HandBack(row.clone())),
            }
        };
        let Some(step) = step else { return };
        match transact(&self.0.drive, step).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(job = %row.id, name = row.name, "a job was somebody else's when it ended");
            }
            Err(error) => {
                tracing::warn!(%error, job = %row.id, "what became of a job is not noted: it runs again");
            }
        }
    }

    async fn attempt(&self, job: &dyn Job, row: &JobRow) -> Result<()> {
        if row.attempts >= MOST_CLAIMS && row.every_secs.is_none() {
            return Err(Error::internal("its workers die of it"));
        }
        // Other jobs of the same process go on.
        let span = tracing::info_span!("job", job = %row.id, name = row.name, attempt = row.attempts + 1);
        let attempt = AssertUnwindSafe(job.run(&self.0.drive, row)).catch_unwind().instrument(span).await;
        attempt.unwrap_or_else(|_| Err(Error::internal("it panicked")))
    }

    /// Counts an attempt, and returns what remains to be noted of it.
    fn step_after(&self, job: &dyn Job, row: &JobRow, outcome: Result<()>, began: Instant) -> Option<Step> {
        let task = job.name();
        let (ended, step) = match outcome {
            Ok(()) => (Ended::Done, (!job.ends_itself()).then(|| Step::Finish(row.clone()))),
            Err(error) => {
                tracing::warn!(%error, job = %row.id, task, attempt = row.attempts + 1, "a job failed");
                let is_dead = row.every_secs.is_none() && row.attempts + 1 >= ATTEMPTS;
                let state = if is_dead { JobState::Dead } else { JobState::Waiting };
                let ended = if is_dead { Ended::Dead } else { Ended::Failed };
                let wait = backoff(row.attempts, self.0.drive.ids.ulid().random());
                (ended, Some(Step::Retry { row: row.clone(), error: error.to_string(), wait, state }))
            }
        };
        (self.0.observer)(Ran { queue: row.queue, task, ended, took: began.elapsed() });
        step
    }

    /// Keeps a lease; returns once it is lost, or could not be renewed for as long as it lasts.
    async fn keep(&self, row: &JobRow) {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(LEASE / 4).await;
            match transact(&self.0.drive, Step::Keep(row.clone())).await {
                Ok(true) => renewed = Instant::now(),
                Err(error) if renewed.elapsed() < LEASE * 3 / 4 => {
                    tracing::warn!(%error, job = %row.id, "a lease is not renewed; trying again");
                }
                Ok(false) | Err(_) => return,
            }
        }
    }

    async fn sleep(&self) {
        let (drive, queues) = (&self.0.drive, &self.0.queues);
        let next = async { drive.read().await?.next_job_at(queues).await }.await;
        let now = drive.meta.now().await.unwrap_or_default();
        let due = next.ok().flatten().map_or(LONGEST_SLEEP, |at| at.since(now));
        let wait = due.clamp(Duration::from_millis(100), LONGEST_SLEEP);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = drive.dispatch.wait(queues) => {}
        }
    }
}

/// Returns how long a job waits after a failed attempt: longer each time, and by chance, so that jobs that failed
/// together do not come back together.
fn backoff(attempts: u32, chance: u128) -> Duration {
    let longest = Duration::from_secs(5u64 << attempts.min(10)).min(LONGEST_BACKOFF);
    longest / 2 + longest.mul_f64((chance % 1000) as f64 / 2000.0)
}

/// Asks for one more run of a job after a while; asking twice is asking once.
pub(super) async fn run_later(drive: &Drive, name: &str, wait: Duration) -> Result<()> {
    let (id, at) = (JobId::new(drive.ids.ulid()), drive.meta.now().await?.plus(wait));
    queue::ask(drive, JobRow::new(id, name, format!("later:{name}"), at)).await
}

enum Step {
    Claim(JobRow),
    Keep(JobRow),
    Finish(JobRow),
    Retry { row: JobRow, error: String, wait: Duration, state: JobState },
    HandBack(JobRow),
}

#[async_trait]
impl Transaction for Step {
    type Answer = bool;

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, bool)> {
        let now = rows.now().await?;
        let took = match self {
            Step::Claim(row) => rows.claim_job(row, now, now.plus(LEASE)).await?,
            Step::Keep(row) => rows.keep_job(row, now.plus(LEASE)).await?,
            Step::Finish(row) => rows.finish_job(row, now).await?,
            Step::Retry { row, error, wait, state } => {
                rows.retry_job(row, error, now.plus(*wait), *state).await?
            }
            Step::HandBack(row) => rows.hand_back_job(row, now).await?,
        };
        Ok((Outcome::Commit, took))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_jobs_wait_longer_each_time_and_never_exactly_as_long() {
        let range = |attempts| (backoff(attempts, 0).as_millis(), backoff(attempts, 999).as_millis());
        assert_eq!(range(0), (2500, 4997));
        assert_eq!(range(3), (20_000, 39_980));
        assert_eq!(range(30).0, 1_800_000, "half of the longest");
    }
}
