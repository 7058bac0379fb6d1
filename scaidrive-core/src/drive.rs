//! A drive: the ports put together, which every use-case takes.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{ChunkingParams, Error, Result};
use crate::ports::{
    BlobStore, Clock, Dispatch, Identity, Ids, Limiter, Mailer, MetadataStore, PubSub, Reads,
};
use crate::services::audit::AuditKey;
use crate::services::cache::ChunkCache;
use crate::services::journal::Journal;
use crate::services::tally::Tally;
use crate::services::uploads::Uploads;

/// How long a replica may take over a report: one that hangs must not keep anybody.
const REPORT_PATIENCE: Duration = Duration::from_secs(20);

/// Everything a use-case needs from outside; cheap to clone.
#[derive(Clone, Debug)]
pub struct Drive(Arc<Ports>);

/// The parts a drive is made of. A host program may bring its own of any of them.
#[derive(Debug)]
pub struct Ports {
    /// Rows.
    pub meta: Arc<dyn MetadataStore>,
    /// Bytes.
    pub blobs: Arc<dyn BlobStore>,
    /// Time, where the database's does not matter.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub ids: Arc<dyn Ids>,
    /// Fan-out of changes.
    pub pubsub: Arc<dyn PubSub>,
    /// Wake-ups of workers.
    pub dispatch: Arc<dyn Dispatch>,
    /// How much may be asked in a minute.
    pub limiter: Arc<dyn Limiter>,
    /// Mail to people.
    pub mailer: Arc<dyn Mailer>,
    /// Where people reach the server, for links in mail; nothing where that is not known.
    pub public_url: Option<String>,
    /// Who tokens speak for; nothing where no tokens are taken, as in a host program.
    pub identity: Option<Arc<dyn Identity>>,
    /// Seals the audit.
    pub audit_key: AuditKey,
    /// Audit events of reads and refusals, on their way to the database.
    pub journal: Journal,
    /// How contents are cut.
    pub chunking: ChunkingParams,
    /// How long an unused chunk stays: longer than any upload, and than the oldest backup to be restored.
    pub gc_grace: Duration,
    /// What uploads in parts share.
    pub uploads: Uploads,
    /// Chunks read lately.
    pub cache: ChunkCache,
    /// Chunks that came and were stored already.
    pub deduplicated: Tally,
    /// Bytes by which the books of what is used were found wrong.
    pub drifted: Tally,
}

impl std::ops::Deref for Drive {
    type Target = Ports;

    fn deref(&self) -> &Ports {
        &self.0
    }
}

impl Drive {
    /// Puts the parts together.
    pub fn new(ports: Ports) -> Self {
        Self(Arc::new(ports))
    }

    /// Returns rows to read from.
    pub async fn read(&self) -> Result<Box<dyn Reads>> {
        self.meta.read().await
    }

    /// Reads a report: what many rows come to, and no permission depends on. A replica is asked for it where there is
    /// one that keeps up, and the database itself where that fails.
    pub async fn report<T, F>(&self, read: impl Fn(Box<dyn Reads>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        if let Some(rows) = self.meta.replica().await {
            let outcome = tokio::time::timeout(REPORT_PATIENCE, read(rows)).await;
            match outcome.unwrap_or_else(|_| Err(Error::unavailable("the replica", REPORT_PATIENCE))) {
                Err(error @ (Error::Database { .. } | Error::Unavailable { .. })) => {
                    self.meta.replica_failed(&error);
                }
                outcome => return outcome,
            }
        }
        read(self.read().await?).await
    }
}
