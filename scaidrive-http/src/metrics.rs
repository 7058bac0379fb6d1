//! What is counted, for Prometheus (operations.md).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use scaidrive_core::Drive;
use scaidrive_core::jobs::Ran;
use scaidrive_core::model::{Error, Queue, Result, TenantId, UsageTarget};
use scaidrive_core::ports::Reads;
use scaidrive_core::services::tenants;

use self::sync::SyncMetrics;

mod sync;

/// The content type of the exposition format.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    path: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    path: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TenantLabel {
    tenant_id: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StorageLabels {
    tenant_id: String,
    r#type: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct QueueLabel {
    queue: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EndedLabels {
    queue: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TaskLabels {
    queue: &'static str,
    task: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReportLabels {
    target: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DimensionLabel {
    dimension: &'static str,
}

/// Every metric of the server.
pub(crate) struct Metrics {
    /// What sync does.
    pub(crate) sync: SyncMetrics,
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
    uploads: Family<TenantLabel, Counter>,
    downloads: Family<TenantLabel, Counter>,
    deduplicated: Family<TenantLabel, Counter>,
    drifted: Family<TenantLabel, Counter>,
    storage: Family<StorageLabels, Gauge>,
    queues: Family<QueueLabel, Gauge>,
    jobs: Family<EndedLabels, Counter>,
    job_durations: Family<TaskLabels, Histogram>,
    rejections: Family<DimensionLabel, Counter>,
    limiter_failures: Counter,
    unsealed: Gauge,
    reports: Family<ReportLabels, Counter>,
    /// One without a label, or none where there is no replica.
    replica_is_there: Family<Vec<(String, String)>, Gauge>,
}

fn durations() -> Histogram {
    Histogram::new([0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0])
}

impl Metrics {
    /// Returns metrics that count from nothing; `detail` adds labels with unbounded values.
    pub(crate) fn new(detail: bool) -> Self {
        let mut registry = Registry::default();
        let mut all = Self {
            sync: SyncMetrics::new(&mut registry, detail),
            registry,
            requests: Family::default(),
            durations: Family::new_with_constructor(durations),
            uploads: Family::default(),
            downloads: Family::default(),
            deduplicated: Family::default(),
            drifted: Family::default(),
            storage: Family::default(),
            queues: Family::default(),
            jobs: Family::default(),
            job_durations: Family::new_with_constructor(durations),
            rejections: Family::default(),
            limiter_failures: Counter::default(),
            unsealed: Gauge::default(),
            reports: Family::default(),
            replica_is_there: Family::default(),
        };
        all.register();
        let Self { registry, requests, durations, uploads, downloads, storage, queues, .. } = &mut all;
        registry.register("scaidrive_requests", "Requests answered", requests.clone());
        registry.register(
            "scaidrive_request_duration_seconds",
            "Time to the answer's head",
            durations.clone(),
        );
        registry.register("scaidrive_uploads_bytes", "Bytes of content received", uploads.clone());
        registry.register("scaidrive_downloads_bytes", "Bytes of content sent", downloads.clone());
        registry.register("scaidrive_storage_bytes", "Logical bytes in use", storage.clone());
        registry.register("scaidrive_queue_depth", "Jobs that wait or run", queues.clone());
        all
    }

    fn register(&mut self) {
        let Self { registry, rejections, limiter_failures, unsealed, deduplicated, .. } = self;
        registry.register("scaidrive_queue_jobs_processed", "Attempts at jobs", self.jobs.clone());
        registry.register(
            "scaidrive_queue_job_duration_seconds",
            "Time that attempts took",
            self.job_durations.clone(),
        );
        let found = "Chunks that came and were stored already";
        registry.register("scaidrive_chunks_deduplicated", found, deduplicated.clone());
        let wrong = "Bytes by which the books of what is used were found wrong, and mended";
        registry.register("scaidrive_quota_drift_bytes", wrong, self.drifted.clone());
        registry.register("scaidrive_rate_limit_rejections", "Requests beyond a limit", rejections.clone());
        let failures = "Requests let through because the limiter failed";
        registry.register("scaidrive_rate_limiter_failures", failures, limiter_failures.clone());
        let waiting = "Audit events that have waited for their seal for more than 60 s";
        registry.register("scaidrive_audit_unsealed", waiting, unsealed.clone());
        let read = "Reports by where they were read; primary counts those that a replica was not fit for";
        registry.register("scaidrive_database_reports", read, self.reports.clone());
        let fit = "Whether the replica answers and has all that is committed";
        registry.register("scaidrive_database_replica_up", fit, self.replica_is_there.clone());
    }

    /// Counts a request beyond a limit.
    pub(crate) fn limited(&self, dimension: &'static str) {
        self.rejections.get_or_create(&DimensionLabel { dimension }).inc();
    }

    /// Counts an attempt at a job.
    pub(crate) fn ran(&self, ran: &Ran) {
        let (queue, result) = (ran.queue.as_str(), ran.ended.as_str());
        self.jobs.get_or_create(&EndedLabels { queue, result }).inc();
        self.job_durations
            .get_or_create(&TaskLabels { queue, task: ran.task })
            .observe(ran.took.as_secs_f64());
    }

    /// Counts a failure of the limiter.
    pub(crate) fn limiter_failed(&self) {
        self.limiter_failures.inc();
    }

    /// Counts an answer; `path` is the route's template, never what the client sent.
    pub(crate) fn answered(&self, method: &'static str, path: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&RequestLabels { method, path, status }).inc();
        self.durations.get_or_create(&RouteLabels { method, path }).observe(took.as_secs_f64());
    }

    /// Counts content received.
    pub(crate) fn uploaded(&self, tenant: TenantId, bytes: u64) {
        self.uploads.get_or_create(&TenantLabel { tenant_id: tenant.to_string() }).inc_by(bytes);
    }

    /// Returns the counter of content sent to a tenant.
    pub(crate) fn downloads(&self, tenant: TenantId) -> Arc<dyn Fn(u64) + Send + Sync> {
        let counter = self.downloads.get_or_create_owned(&TenantLabel { tenant_id: tenant.to_string() });
        Arc::new(move |bytes| {
            counter.inc_by(bytes);
        })
    }

    /// Returns everything as text; what lies in the database is read now.
    pub(crate) async fn text(&self, drive: &Drive) -> Result<String> {
        self.read_gauges(drive).await?;
        let mut text = String::new();
        encode(&mut text, &self.registry).map_err(|error| Error::internal(error.to_string()))?;
        Ok(text)
    }

    async fn read_gauges(&self, drive: &Drive) -> Result<()> {
        let late = drive.clock.now().minus(Duration::from_secs(60));
        self.unsealed.set(drive.read().await?.count_unsealed(late).await?);
        for (tally, counter) in [(&drive.deduplicated, &self.deduplicated), (&drive.drifted, &self.drifted)] {
            for (tenant, number) in tally.take() {
                counter.get_or_create(&TenantLabel { tenant_id: tenant.to_string() }).inc_by(number);
            }
        }
        self.read_storage(drive).await?;
        self.read_replica(drive).await;
        let counts: BTreeMap<Queue, i64> = drive.read().await?.job_counts().await?.into_iter().collect();
        for queue in Queue::ALL {
            let depth = counts.get(queue).copied().unwrap_or_default();
            self.queues.get_or_create(&QueueLabel { queue: queue.as_str() }).set(depth);
        }
        Ok(())
    }

    /// Reads what tenants use: one report for all of them, so that a replica is waited for once.
    async fn read_storage(&self, drive: &Drive) -> Result<()> {
        let tenants = &tenants::list(drive).await?;
        let read = |mut rows: Box<dyn Reads>| async move {
            let mut all = Vec::with_capacity(tenants.len());
            for tenant in tenants {
                all.push((tenant.id, rows.usage(tenant.id, &UsageTarget::Tenant).await?));
            }
            Ok(all)
        };
        for (tenant, usage) in drive.report(read).await? {
            let kinds = [
                ("files", usage.file_bytes),
                ("versions", usage.version_bytes),
                ("trash", usage.trash_bytes),
            ];
            for (kind, bytes) in kinds {
                let labels = StorageLabels { tenant_id: tenant.to_string(), r#type: kind };
                self.storage.get_or_create(&labels).set(bytes);
            }
        }
        Ok(())
    }

    async fn read_replica(&self, drive: &Drive) {
        let Some(is_there) = drive.meta.is_replica_there().await else { return };
        self.replica_is_there.get_or_create(&Vec::new()).set(is_there.into());
        let read = drive.meta.take_reports();
        for (target, number) in [("replica", read.from_replica), ("primary", read.from_primary)] {
            self.reports.get_or_create(&ReportLabels { target }).inc_by(number);
        }
    }
}
