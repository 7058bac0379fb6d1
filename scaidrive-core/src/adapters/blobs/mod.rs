//! Object stores over the `object_store` crate: local files, S3 and memory.

mod local;
mod object;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::memory::InMemory;
use object_store::{ClientOptions, ObjectStore, RetryConfig};

use crate::model::{Error, Result};
use crate::ports::BlobStore;

pub use object::ObjectBlobs;

/// A delete ends within this time, so that a late one cannot hit a fresh put (design §5).
pub const DELETE_DEADLINE: Duration = Duration::from_secs(20);

/// Where and how an S3-compatible store is reached.
#[derive(Clone)]
pub struct S3Settings {
    /// Base URL, such as `http://garage:3900`.
    pub endpoint: String,
    /// Bucket; it must exist.
    pub bucket: String,
    /// Region the signature names.
    pub region: String,
    /// Access key.
    pub access_key: String,
    /// Secret key.
    pub secret_key: String,
}

impl std::fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "S3Settings({}/{})", self.endpoint, self.bucket)
    }
}

/// Opens a store of files below `root`, which is made if it is missing.
pub fn open_local(root: &Path) -> Result<Arc<dyn BlobStore>> {
    Ok(Arc::new(local::LocalBlobs::open(root)?))
}

/// Opens a store in memory, gone with the process: for tests and trials.
pub fn open_memory() -> Arc<dyn BlobStore> {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    Arc::new(ObjectBlobs::new(Arc::clone(&store), store))
}

/// Opens an S3-compatible store; a put is durable once it is acknowledged.
pub fn open_s3(settings: &S3Settings) -> Result<Arc<dyn BlobStore>> {
    let build = |retry: RetryConfig, client: ClientOptions| -> Result<Arc<dyn ObjectStore>> {
        let store = AmazonS3Builder::new()
            .with_endpoint(&settings.endpoint)
            .with_bucket_name(&settings.bucket)
            .with_region(&settings.region)
            .with_access_key_id(&settings.access_key)
            .with_secret_access_key(&settings.secret_key)
            .with_virtual_hosted_style_request(false)
            .with_allow_http(settings.endpoint.starts_with("http://"))
            .with_retry(retry)
            .with_client_options(client)
            .build()
            .map_err(|error| Error::Config { faults: vec![format!("SCAIDRIVE_S3_*: {error}")] })?;
        Ok(Arc::new(store))
    };
    let http = || ClientOptions::new().with_allow_http(settings.endpoint.starts_with("http://"));
    let retry =
        RetryConfig { max_retries: 5, retry_timeout: Duration::from_secs(60), ..RetryConfig::default() };
    let never = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    let store = build(retry, http().with_timeout(Duration::from_secs(60)))?;
    let deletes = build(never, http().with_timeout(DELETE_DEADLINE))?;
    Ok(Arc::new(ObjectBlobs::new(store, deletes)))
}
