//! `scaidrive jobs`.

use scaidrive_core::model::{JobId, JobState};
use scaidrive_core::ports::metadata::StoredJob;
use scaidrive_core::services::queue;
use serde_json::json;

use crate::args::Jobs;
use crate::exit::{Code, Result};
use crate::output::{printable, table};
use crate::session::Session;

pub(crate) async fn run(session: &Session, command: &Jobs) -> Result<Code> {
    match command {
        Jobs::List { dead, after } => list(session, *dead, *after).await,
        Jobs::Retry { ids } => {
            for id in ids {
                queue::retry(&session.drive, *id).await?;
            }
            told(session, "retried", ids)
        }
        Jobs::Drop { ids } => {
            for id in ids {
                queue::remove(&session.drive, *id).await?;
            }
            told(session, "dropped", ids)
        }
    }
}

async fn list(session: &Session, dead: bool, after: Option<JobId>) -> Result<Code> {
    let state = if dead { JobState::Dead } else { JobState::Waiting };
    let found = queue::list(&session.drive, state, after).await?;
    let json: Vec<_> = found.iter().map(shown).collect();
    session.out.print(&json!({ "jobs": json }), || {
        let row = |stored: &StoredJob| {
            [
                stored.job.id.to_string(),
                stored.job.queue.to_string(),
                stored.job.name.clone(),
                stored.job.attempts.to_string(),
                stored.job.run_at.to_string(),
                printable(stored.last_error.as_deref().unwrap_or_default()),
            ]
        };
        table(["JOB", "QUEUE", "NAME", "ATTEMPTS", "NOT BEFORE", "LAST ERROR"], found.iter().map(row))
    })?;
    Ok(Code::Done)
}

/// Returns what scripts are told; the input of a job may hold what is not theirs to see.
fn shown(stored: &StoredJob) -> serde_json::Value {
    let StoredJob { job, state, last_error, created_at } = stored;
    json!({
        "id": job.id, "tenant_id": job.tenant, "queue": job.queue, "name": job.name, "state": state,
        "attempts": job.attempts, "run_at": job.run_at, "every_secs": job.every_secs,
        "last_error": last_error, "created_at": created_at,
    })
}

fn told(session: &Session, verb: &str, ids: &[JobId]) -> Result<Code> {
    session.out.print(&json!({ verb: ids }), || format!("{} {verb}\n", ids.len()))?;
    Ok(Code::Done)
}
