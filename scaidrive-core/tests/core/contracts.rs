//! Every adapter keeps its port's contract.

use std::sync::Arc;
use std::time::SystemTime;

use scaidrive_core::adapters::blobs::{self, S3Settings};
use scaidrive_core::adapters::local::SystemClock;
use scaidrive_core::adapters::sql::SqlStore;
use scaidrive_core::ports::MetadataStore;
use scaidrive_core::testing;

use crate::backends;

/// Keeps runs on one store apart.
fn seed() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "only to keep runs apart")]
    let now = SystemTime::now();
    now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64
}

async fn metadata(url: &str) {
    let store = SqlStore::open(url, Arc::new(SystemClock)).await.unwrap();
    assert!(!store.pending_migrations().await.unwrap().is_empty(), "an empty database lacks everything");
    // Several at once, as replicas do at a roll-out: once applied.
    let (a, b) = tokio::join!(store.migrate(), store.migrate());
    a.and(b).unwrap();
    let store: Arc<dyn MetadataStore> = Arc::new(store);
    testing::metadata::check(Arc::clone(&store), seed()).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_in_process() {
    use scaidrive_core::adapters::limiter::LocalLimiter;
    use scaidrive_core::testing::limiter;
    let clock = std::sync::Arc::new(limiter::HandClock::default());
    let local = LocalLimiter::new(std::sync::Arc::clone(&clock) as _);
    limiter::check(std::sync::Arc::new(local), &clock, "local").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_in_redis() {
    use scaidrive_core::adapters::local::RandomIds;
    use scaidrive_core::adapters::redis;
    use scaidrive_core::testing::limiter;
    let Some(url) = backends::redis() else { return };
    let clock = std::sync::Arc::new(limiter::HandClock::default());
    let shared = redis::open(&url, &RandomIds::default()).unwrap().limiter;
    let shared = shared.with_clock(std::sync::Arc::clone(&clock) as _);
    limiter::check(std::sync::Arc::new(shared), &clock, &seed().to_string()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_on_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    metadata(&format!("sqlite://{}/test.db", dir.path().display())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_on_mariadb() {
    if let Some(url) = backends::mariadb() {
        metadata(&url).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_in_local_files() {
    let dir = tempfile::tempdir().unwrap();
    testing::blobs::check(blobs::open_local(dir.path()).unwrap(), seed()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_in_memory() {
    testing::blobs::check(blobs::open_memory(), seed()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_in_s3() {
    let Some(s3) = backends::s3() else { return };
    let settings = S3Settings {
        endpoint: s3.endpoint,
        bucket: s3.bucket,
        region: s3.region,
        access_key: s3.access_key,
        secret_key: s3.secret_key,
    };
    testing::blobs::check(blobs::open_s3(&settings).unwrap(), seed()).await;
}
