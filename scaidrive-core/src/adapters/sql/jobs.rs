//! Queries of jobs: durable intents, claimed by compare-and-set with a lease.

use async_trait::async_trait;

use super::SqlRows;
use super::statement::{SqlRow, Statement, sql};
use super::tenancy::json;
use crate::model::{JobId, JobState, Queue, Result, Timestamp};
use crate::ports::metadata::{JobReads, JobRow, JobWrites, StoredJob};

/// The columns that [`job`] reads.
const JOB: &str = "SELECT id, tenant_id, name, queue, dedup_key, payload, attempts, run_at, every_secs";

/// The columns that [`stored`] reads.
const STORED: &str = ", state, last_error, created_at FROM jobs";

fn job(row: &SqlRow) -> Result<JobRow> {
    Ok(JobRow {
        id: row.parse(0)?,
        tenant: row.opt_parse(1)?,
        name: row.string(2)?,
        queue: row.parse(3)?,
        dedup_key: row.raw(4)?,
        payload: row.json(5)?,
        attempts: row.small(6)?,
        run_at: row.time(7)?,
        every_secs: row.opt_int(8)?.and_then(|secs| u32::try_from(secs).ok()),
    })
}

fn stored(row: &SqlRow) -> Result<StoredJob> {
    Ok(StoredJob {
        job: job(row)?,
        state: row.parse(9)?,
        last_error: row.opt_string(10)?,
        created_at: row.time(11)?,
    })
}

/// Ends a statement about a claimed job: only who claimed it last may say what becomes of it.
fn of_holder(statement: Statement, job: &JobRow) -> Statement {
    statement.push(" WHERE id = ? AND attempts = ? AND state = 'waiting'").text(job.id).bind(job.attempts + 1)
}

fn within(statement: Statement, queues: &[Queue]) -> Statement {
    statement.push(" AND queue IN ").push_list(queues.iter().map(|queue| queue.as_str()))
}

#[async_trait]
impl JobReads for SqlRows<'_> {
    async fn due_jobs(&mut self, queues: &[Queue], now: Timestamp, limit: u32) -> Result<Vec<JobRow>> {
        let query = sql(JOB).push(" FROM jobs WHERE state = 'waiting' AND run_at <= ?").bind(now.as_micros());
        let query = within(query, queues)
            .push(" ORDER BY CASE queue WHEN 'high' THEN 0 WHEN 'medium' THEN 1 ELSE 2 END, run_at LIMIT ?");
        self.conn.fetch(query.bind(limit)).await?.iter().map(job).collect()
    }

    async fn next_job_at(&mut self, queues: &[Queue]) -> Result<Option<Timestamp>> {
        let query = within(sql("SELECT MIN(run_at) FROM jobs WHERE state = 'waiting'"), queues);
        self.conn.fetch_one(query).await?.map_or(Ok(None), |row| row.opt_time(0))
    }

    async fn job_counts(&mut self) -> Result<Vec<(Queue, i64)>> {
        let query =
            sql("SELECT queue, COUNT(*) FROM jobs WHERE state = 'waiting' GROUP BY queue ORDER BY queue");
        self.conn.fetch(query).await?.iter().map(|row| Ok((row.parse(0)?, row.int(1)?))).collect()
    }

    async fn jobs(&mut self, state: JobState, after: Option<JobId>, limit: u32) -> Result<Vec<StoredJob>> {
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let query = sql(JOB).push(STORED).push(" WHERE state = ? AND id > ? ORDER BY id LIMIT ?");
        let query = query.bind(state.as_str()).bind(after).bind(limit);
        self.conn.fetch(query).await?.iter().map(stored).collect()
    }

    async fn job(&mut self, id: JobId) -> Result<Option<StoredJob>> {
        let query = sql(JOB).push(STORED).push(" WHERE id = ?").text(id);
        self.conn.fetch_one(query).await?.as_ref().map(stored).transpose()
    }
}

#[async_trait]
impl JobWrites for SqlRows<'_> {
    async fn insert_job(&mut self, job: &JobRow, now: Timestamp) -> Result<()> {
        let dialect = self.dialect();
        let run_at = dialect.incoming("run_at");
        // Whatever it finds, it takes the row until the commit: nobody runs the job before what it is about is there.
        // MySQL assigns from left to right, so the state comes last.
        let meet = format!(
            "again_at = CASE WHEN every_secs IS NULL AND attempts > 0 THEN {run_at} ELSE again_at END, \
             run_at = CASE WHEN state = 'dead' THEN {run_at} ELSE run_at END, \
             attempts = CASE WHEN state = 'dead' THEN 0 ELSE attempts END, state = 'waiting'"
        );
        let insert =
            sql("INSERT INTO jobs (id, tenant_id, name, queue, dedup_key, payload, attempts, run_at, \
             every_secs, state, created_at) VALUES ")
            .push_groups(1, 11)
            .push(&dialect.change_existing("dedup_key", &meet))
            .text(job.id)
            .bind(job.tenant.map(|id| id.to_string()))
            .bind(job.name.as_str())
            .bind(job.queue.as_str())
            .raw(&job.dedup_key)
            .bind(json(&job.payload)?)
            .bind(job.attempts)
            .bind(job.run_at.as_micros())
            .bind(job.every_secs.map(i64::from))
            .bind(JobState::Waiting.as_str())
            .bind(now.as_micros());
        self.conn.execute(insert).await.map(drop)
    }

    async fn claim_job(&mut self, job: &JobRow, now: Timestamp, until: Timestamp) -> Result<bool> {
        let claim = sql("UPDATE jobs SET attempts = attempts + 1, run_at = ? \
             WHERE id = ? AND attempts = ? AND state = 'waiting' AND run_at <= ?");
        let claim = claim.bind(until.as_micros()).text(job.id).bind(job.attempts).bind(now.as_micros());
        Ok(self.conn.execute(claim).await? == 1)
    }

    async fn keep_job(&mut self, job: &JobRow, until: Timestamp) -> Result<bool> {
        let keep = sql("UPDATE jobs SET run_at = ?").bind(until.as_micros());
        Ok(self.conn.execute(of_holder(keep, job)).await? == 1)
    }

    async fn finish_job(&mut self, job: &JobRow, now: Timestamp) -> Result<bool> {
        if let Some(secs) = job.every_secs {
            let next = now.plus(std::time::Duration::from_secs(secs.into()));
            let set =
                sql("UPDATE jobs SET attempts = 0, last_error = NULL, run_at = ?").bind(next.as_micros());
            return Ok(self.conn.execute(of_holder(set, job)).await? == 1);
        }
        let end = of_holder(sql("DELETE FROM jobs"), job).push(" AND again_at IS NULL");
        if self.conn.execute(end).await? == 1 {
            return Ok(true);
        }
        let again =
            sql("UPDATE jobs SET attempts = 0, last_error = NULL, run_at = again_at, again_at = NULL");
        let again = of_holder(again, job).push(" AND again_at IS NOT NULL");
        Ok(self.conn.execute(again).await? == 1)
    }

    async fn retry_job(
        &mut self,
        job: &JobRow,
        error: &str,
        run_at: Timestamp,
        state: JobState,
    ) -> Result<bool> {
        let update = sql("UPDATE jobs SET run_at = ?, last_error = ?, state = ?");
        let update = update.bind(run_at.as_micros()).bind(error).bind(state.as_str());
        Ok(self.conn.execute(of_holder(update, job)).await? == 1)
    }

    async fn hand_back_job(&mut self, job: &JobRow, now: Timestamp) -> Result<bool> {
        let back = sql("UPDATE jobs SET attempts = attempts - 1, run_at = ?").bind(now.as_micros());
        Ok(self.conn.execute(of_holder(back, job)).await? == 1)
    }

    async fn revive_job(&mut self, id: JobId, now: Timestamp) -> Result<bool> {
        let revive = sql("UPDATE jobs SET state = 'waiting', attempts = 0, run_at = ? \
             WHERE id = ? AND state = 'dead'");
        Ok(self.conn.execute(revive.bind(now.as_micros()).text(id)).await? == 1)
    }

    async fn drop_job(&mut self, id: JobId) -> Result<bool> {
        let drop = sql("DELETE FROM jobs WHERE id = ? AND state = 'dead'").text(id);
        Ok(self.conn.execute(drop).await? == 1)
    }
}
