//! The contract of jobs' rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::BoxFuture;
use serde_json::json;
use ulid::Ulid;

use super::metadata::write;
use crate::model::{JobId, JobState, Queue, Result, TenantId, Timestamp};
use crate::ports::metadata::JobRow;
use crate::ports::{MetadataStore, Outcome, Writes};

/// Tasks that race.
const RIVALS: u32 = 8;

type Store = Arc<dyn MetadataStore>;

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// Returns a new job of a tenant, due from the beginning of time.
fn job(tenant: TenantId, number: u128) -> JobRow {
    let id = JobId::new(Ulid::from_parts(7, tenant.ulid().random() + number));
    JobRow {
        id,
        tenant: Some(tenant),
        name: "test".to_owned(),
        queue: Queue::Low,
        dedup_key: format!("test:{tenant}:{number}"),
        payload: json!({ "text": "é\0" }),
        attempts: 0,
        run_at: at(1),
        every_secs: None,
    }
}

/// Returns what a claim makes of a row.
fn claimed(job: &JobRow) -> JobRow {
    JobRow { attempts: job.attempts + 1, ..job.clone() }
}

type Step = for<'r> fn(&'r mut dyn Writes, JobRow) -> BoxFuture<'r, Result<bool>>;

/// Does something to a job in a transaction of its own; returns what it says.
async fn step(store: &Store, job: &JobRow, act: Step) -> bool {
    let said = Arc::new(AtomicU32::new(0));
    let (job, told) = (job.clone(), Arc::clone(&said));
    let done = write(&**store, move |rows| {
        let (job, told) = (job.clone(), Arc::clone(&told));
        Box::pin(async move {
            told.store(u32::from(act(rows, job).await?), Ordering::Relaxed);
            Ok(Outcome::Commit)
        })
    });
    done.await.expect("a row of a job can be written");
    said.load(Ordering::Relaxed) == 1
}

async fn ask(store: &Store, job: &JobRow) {
    step(store, job, |rows, job| Box::pin(async move { rows.insert_job(&job, at(1)).await.map(|()| true) }))
        .await;
}

async fn claim(store: &Store, job: &JobRow) -> bool {
    step(store, job, |rows, job| Box::pin(async move { rows.claim_job(&job, at(10), at(1000)).await })).await
}

async fn finish(store: &Store, job: &JobRow) -> bool {
    step(store, job, |rows, job| Box::pin(async move { rows.finish_job(&job, at(20)).await })).await
}

/// Returns the jobs of these tests that are due.
async fn due(store: &Store, job: &JobRow, now: i64) -> Vec<JobRow> {
    let mut rows = store.read().await.expect("rows can be read");
    let mut due = rows.due_jobs(&[Queue::Low], at(now), 1000).await.expect("jobs can be read");
    due.retain(|found| found.dedup_key == job.dedup_key);
    due
}

pub(super) async fn check(store: &Store, tenant: TenantId) {
    claimed_once(store, &job(tenant, 1)).await;
    only_the_holder_says_what_becomes_of_it(store, &job(tenant, 2)).await;
    asked_for_while_it_runs(store, &job(tenant, 3)).await;
    dead_ones_wait_for_somebody(store, &job(tenant, 4)).await;
    of_the_queues_asked_for(store, &job(tenant, 5)).await;
}

async fn claimed_once(store: &Store, job: &JobRow) {
    ask(store, job).await;
    ask(store, job).await;
    assert_eq!(due(store, job, 10).await, std::slice::from_ref(job), "asking twice is asking once");
    let rivals = (0..RIVALS).map(|_| claim(store, job));
    let claims = futures_util::future::join_all(rivals).await;
    assert_eq!(claims.iter().filter(|took| **took).count(), 1);
    assert_eq!(due(store, job, 999).await, [], "its lease runs");
    assert_eq!(due(store, job, 1000).await.len(), 1, "its lease is over");
    assert!(finish(store, job).await);
}

async fn only_the_holder_says_what_becomes_of_it(store: &Store, job: &JobRow) {
    ask(store, job).await;
    assert!(claim(store, job).await);
    let keep: Step = |rows, job| Box::pin(async move { rows.keep_job(&job, at(5)).await });
    assert!(step(store, job, keep).await);
    // The lease is over, and another one takes it.
    assert!(claim(store, &claimed(job)).await);
    assert!(!step(store, job, keep).await);
    assert!(!finish(store, job).await);
    let retry: Step =
        |rows, job| Box::pin(async move { rows.retry_job(&job, "", at(1), JobState::Dead).await });
    let hand_back: Step = |rows, job| Box::pin(async move { rows.hand_back_job(&job, at(10)).await });
    assert!(!step(store, job, retry).await && !step(store, job, hand_back).await);
    assert!(step(store, &claimed(job), hand_back).await);
    assert_eq!(due(store, job, 10).await[0].attempts, 1, "as if it never was claimed");
    assert!(claim(store, &claimed(job)).await && finish(store, &claimed(job)).await);
    assert_eq!(due(store, job, i64::MAX).await, []);
}

async fn asked_for_while_it_runs(store: &Store, job: &JobRow) {
    ask(store, job).await;
    assert!(claim(store, job).await);
    ask(store, &JobRow { run_at: at(30), ..job.clone() }).await;
    assert!(finish(store, job).await);
    assert_eq!(due(store, job, 29).await, []);
    let again = due(store, job, 30).await;
    assert_eq!(again.len(), 1, "what it did not see any more is not forgotten");
    assert_eq!(again[0].attempts, 0);
    let hourly = JobRow { every_secs: Some(3600), ..job.clone() };
    let claim_late: Step = |rows, job| Box::pin(async move { rows.claim_job(&job, at(40), at(1000)).await });
    assert!(step(store, &again[0], claim_late).await && finish(store, &again[0]).await);
    assert_eq!(due(store, job, i64::MAX).await, []);
    // A repeating one comes again anyway.
    ask(store, &hourly).await;
    assert!(claim(store, &hourly).await);
    ask(store, &hourly).await;
    assert!(finish(store, &hourly).await);
    assert_eq!(due(store, job, 3_600_000_019).await, []);
    assert_eq!(due(store, job, 3_600_000_020).await.len(), 1);
}

async fn dead_ones_wait_for_somebody(store: &Store, job: &JobRow) {
    ask(store, job).await;
    assert!(claim(store, job).await);
    let die: Step =
        |rows, job| Box::pin(async move { rows.retry_job(&job, "why", at(1), JobState::Dead).await });
    assert!(step(store, job, die).await);
    assert_eq!(due(store, job, i64::MAX).await, []);
    let mut rows = store.read().await.expect("rows can be read");
    let dead = rows.job(job.id).await.expect("a job can be read").expect("it is kept");
    assert_eq!((dead.state, dead.last_error.as_deref()), (JobState::Dead, Some("why")));
    assert_eq!(
        rows.jobs(JobState::Dead, None, 1000).await.expect("jobs can be listed"),
        std::slice::from_ref(&dead)
    );
    assert_eq!(rows.jobs(JobState::Dead, Some(job.id), 10).await.expect("jobs can be listed"), []);
    drop(rows);
    let revive: Step = |rows, job| Box::pin(async move { rows.revive_job(job.id, at(2)).await });
    let drop_it: Step = |rows, job| Box::pin(async move { rows.drop_job(job.id).await });
    assert!(step(store, job, revive).await && !step(store, job, revive).await);
    assert!(!step(store, job, drop_it).await, "it lives");
    assert_eq!(due(store, job, 10).await[0].attempts, 0);
    assert!(claim(store, job).await && step(store, job, die).await);
    // Who asks for it again does not wait for somebody who looks.
    ask(store, &JobRow { run_at: at(3), ..job.clone() }).await;
    assert_eq!(due(store, job, 10).await[0].attempts, 0);
    assert!(claim(store, job).await && step(store, job, die).await && step(store, job, drop_it).await);
}

async fn of_the_queues_asked_for(store: &Store, job: &JobRow) {
    ask(store, &JobRow { queue: Queue::High, ..job.clone() }).await;
    assert_eq!(due(store, job, 10).await, []);
    let mut rows = store.read().await.expect("rows can be read");
    let both = [Queue::High, Queue::Low];
    assert!(
        rows.due_jobs(&both, at(10), 10).await.expect("jobs can be read").iter().any(|due| due.id == job.id)
    );
    assert_eq!(rows.next_job_at(&[Queue::High]).await.expect("jobs can be read"), Some(at(1)));
    assert_eq!(rows.next_job_at(&[Queue::Medium]).await.expect("jobs can be read"), None);
    assert!(rows.job_counts().await.expect("jobs can be counted").contains(&(Queue::High, 1)));
    drop(rows);
    assert!(claim(store, job).await && finish(store, job).await);
}
