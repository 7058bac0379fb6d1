//! Queries of jobs: durable intents, claimed by compare-and-set with a lease.

use async_trait::async_trait;

use super::SqlRows;
use super::statement::{SqlRow, sql};
use super::tenancy::json;
use crate::model::{JobId, Result, Timestamp};
use crate::ports::metadata::{JobReads, JobRow, JobWrites};

fn job(row: &SqlRow) -> Result<JobRow> {
    Ok(JobRow {
        id: row.parse(0)?,
        tenant: row.opt_parse(1)?,
        name: row.string(2)?,
        queue: row.string(3)?,
        dedup_key: row.raw(4)?,
        payload: row.json(5)?,
        attempts: row.small(6)?,
        run_at: row.time(7)?,
        every_secs: row.opt_int(8)?.and_then(|secs| u32::try_from(secs).ok()),
    })
}

#[async_trait]
impl JobReads for SqlRows<'_> {
    async fn due_jobs(&mut self, now: Timestamp, limit: u32) -> Result<Vec<JobRow>> {
        let query = sql(
            "SELECT id, tenant_id, name, queue, dedup_key, payload, attempts, run_at, every_secs FROM jobs \
             WHERE state = 'waiting' AND run_at <= ? \
             ORDER BY CASE queue WHEN 'high' THEN 0 WHEN 'medium' THEN 1 ELSE 2 END, run_at LIMIT ?",
        );
        self.conn.fetch(query.bind(now.as_micros()).bind(limit)).await?.iter().map(job).collect()
    }

    async fn next_job_at(&mut self) -> Result<Option<Timestamp>> {
        let query = sql("SELECT MIN(run_at) FROM jobs WHERE state = 'waiting'");
        self.conn.fetch_one(query).await?.map_or(Ok(None), |row| row.opt_time(0))
    }

    async fn job_counts(&mut self) -> Result<Vec<(String, i64)>> {
        let query =
            sql("SELECT queue, COUNT(*) FROM jobs WHERE state = 'waiting' GROUP BY queue ORDER BY queue");
        self.conn.fetch(query).await?.iter().map(|row| Ok((row.string(0)?, row.int(1)?))).collect()
    }
}

#[async_trait]
impl JobWrites for SqlRows<'_> {
    async fn insert_job(&mut self, job: &JobRow, now: Timestamp) -> Result<()> {
        let insert =
            sql("INSERT INTO jobs (id, tenant_id, name, queue, dedup_key, payload, attempts, run_at, \
             every_secs, state, created_at) VALUES ")
            .push_groups(1, 11)
            .push(&self.dialect().keep_existing("name"))
            .text(job.id)
            .bind(job.tenant.map(|id| id.to_string()))
            .bind(job.name.as_str())
            .bind(job.queue.as_str())
            .raw(&job.dedup_key)
            .bind(json(&job.payload)?)
            .bind(job.attempts)
            .bind(job.run_at.as_micros())
            .bind(job.every_secs.map(i64::from))
            .bind("waiting")
            .bind(now.as_micros());
        self.conn.execute(insert).await.map(drop)
    }

    async fn claim_job(
        &mut self,
        id: JobId,
        attempts: u32,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool> {
        let claim = sql("UPDATE jobs SET attempts = attempts + 1, run_at = ? \
             WHERE id = ? AND attempts = ? AND state = 'waiting' AND run_at <= ?");
        let claim = claim.bind(until.as_micros()).text(id).bind(attempts).bind(now.as_micros());
        Ok(self.conn.execute(claim).await? == 1)
    }

    async fn finish_job(&mut self, job: &JobRow, now: Timestamp) -> Result<()> {
        let end = match job.every_secs {
            None => sql("DELETE FROM jobs WHERE id = ?").text(job.id),
            Some(secs) => {
                let next = now.plus(std::time::Duration::from_secs(secs.into()));
                sql("UPDATE jobs SET attempts = 0, run_at = ?, last_error = NULL WHERE id = ?")
                    .bind(next.as_micros())
                    .text(job.id)
            }
        };
        self.conn.execute(end).await.map(drop)
    }

    async fn retry_job(&mut self, job: &JobRow, error: &str, run_at: Timestamp, dead: bool) -> Result<()> {
        let state = if dead { "dead" } else { "waiting" };
        let update = sql("UPDATE jobs SET state = ?, run_at = ?, last_error = ? WHERE id = ?");
        self.conn
            .execute(update.bind(state).bind(run_at.as_micros()).bind(error).text(job.id))
            .await
            .map(drop)
    }
}
