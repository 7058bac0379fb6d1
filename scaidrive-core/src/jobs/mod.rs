//! Background use-cases and the worker that runs them.
//!
//! A job's row is the truth: claimed by compare-and-set until its lease ends, and kept by renewing it, so a lost worker's
//! job comes back by itself, and any number of workers run it once. A worker may die between a job's effect and noting
//! it: so jobs are idempotent, or end in the transaction of their effect (`mutation::run_job`).

mod collect;
mod compact;
mod expire;
mod forget;
mod mail;
mod recount;
pub mod seal;
mod sweep;
mod uploads;
mod worker;

pub use worker::{Ended, Observer, Ran, Worker};

use std::time::Duration;

use async_trait::async_trait;

use crate::Drive;
use crate::model::Result;
use crate::ports::metadata::JobRow;

/// How long a worker may be silent about a job before another one takes it; it renews its lease while it works.
const LEASE: Duration = Duration::from_secs(60);

/// Attempts before a job is kept as dead for somebody to look at.
const ATTEMPTS: u32 = 10;

/// Work of one name.
#[async_trait]
trait Job: Send + Sync {
    /// The name in the row.
    fn name(&self) -> &'static str;

    /// Does the work; running it twice does no harm, unless it ends itself.
    async fn run(&self, drive: &Drive, job: &JobRow) -> Result<()>;

    /// Tells whether `run` ends the job in the transaction of its effect, as it must where running twice would do harm.
    fn ends_itself(&self) -> bool {
        false
    }

    /// Returns the seconds between runs of a job that is simply there, on the schedule of operations.md.
    fn every_secs(&self) -> Option<u32>;
}

/// Every job there is.
fn all() -> Vec<Box<dyn Job>> {
    vec![
        Box::new(collect::Collect),
        Box::new(compact::CompactLogs),
        Box::new(expire::ExpireMember),
        Box::new(mail::SendMail),
        Box::new(forget::ForgetRequests),
        Box::new(uploads::CompleteUpload),
        Box::new(uploads::ClearUpload),
        Box::new(uploads::SweepUploads),
        Box::new(sweep::SweepTrash),
        Box::new(sweep::SweepVersions),
        Box::new(recount::ProveUsage),
    ]
}
