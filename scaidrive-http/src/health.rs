//! Whether this process lives, and whether it should get requests.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use scaidrive_core::Drive;
use scaidrive_core::services::sign_in;
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// A part that does not answer within this counts as down.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers are good for so long: probes of many balancers cost one look.
const FRESH: Duration = Duration::from_secs(1);

/// Looks after the parts, and remembers whether the process is about to stop.
pub(crate) struct Health {
    drive: Drive,
    has_redis: bool,
    draining: AtomicBool,
    last: Mutex<Option<(Instant, Checks)>>,
}

/// What the last look found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checks {
    /// Whether the database answers, and has the schema this build needs.
    pub(crate) database: bool,
    /// Whether the object store answers.
    pub(crate) storage: bool,
    /// Whether tokens of the identity provider can be verified; nothing where there is none.
    pub(crate) scaikey: Option<bool>,
    /// Whether replicas can reach each other; nothing where there is one process.
    pub(crate) redis: Option<bool>,
    /// Whether the database's replica is fit for reports; nothing where there is none.
    pub(crate) replica: Option<bool>,
}

impl Health {
    /// Returns the health of a drive, which may share a Redis with others.
    pub(crate) fn new(drive: Drive, has_redis: bool) -> Self {
        Self { drive, has_redis, draining: AtomicBool::new(false), last: Mutex::new(None) }
    }

    /// Says that no more requests are wanted.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Tells whether no more requests are wanted.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Returns whether requests are welcome, and the body that says why.
    pub(crate) async fn ready(&self) -> (bool, Value) {
        let checks = self.checks().await;
        let ready = checks.database && checks.storage && !self.is_draining();
        let others = [("redis", checks.redis), ("scaikey", checks.scaikey), ("replica", checks.replica)];
        let status = match (ready, others.iter().any(|(_, well)| *well == Some(false))) {
            (false, _) => "not_ready",
            // An outage there must not take every replica out of the balancer.
            (true, true) => "degraded",
            (true, false) => "ready",
        };
        let mut told = json!({ "database": checks.database, "storage": checks.storage });
        for (part, well) in others {
            if let Some(well) = well {
                told[part] = json!(well);
            }
        }
        (ready, json!({ "status": status, "checks": told }))
    }

    async fn checks(&self) -> Checks {
        let mut last = self.last.lock().await;
        if let Some((at, checks)) = *last
            && at.elapsed() < FRESH
        {
            return checks;
        }
        let (database, storage, scaikey, redis, replica) =
            tokio::join!(self.database(), self.storage(), self.scaikey(), self.redis(), self.replica());
        let checks = Checks { database, storage, scaikey, redis, replica };
        *last = Some((Instant::now(), checks));
        checks
    }

    async fn database(&self) -> bool {
        let look = async {
            self.drive.meta.ping().await?;
            self.drive.meta.pending_migrations().await
        };
        match tokio::time::timeout(PATIENCE, look).await {
            Ok(Ok(pending)) if pending.is_empty() => true,
            Ok(Ok(pending)) => {
                tracing::warn!(?pending, "not ready: migrations are pending");
                false
            }
            Ok(Err(error)) => {
                tracing::warn!(error = ?error, "not ready: the database does not answer");
                false
            }
            Err(_) => {
                tracing::warn!("not ready: the database is too slow");
                false
            }
        }
    }

    async fn scaikey(&self) -> Option<bool> {
        let looked = tokio::time::timeout(PATIENCE, sign_in::is_ready(&self.drive)).await;
        let well = looked.unwrap_or(Some(false));
        if well == Some(false) {
            tracing::warn!("degraded: the identity provider's keys cannot be had");
        }
        well
    }

    async fn redis(&self) -> Option<bool> {
        if !self.has_redis {
            return None;
        }
        let looked = tokio::time::timeout(PATIENCE, self.drive.pubsub.ping()).await;
        let well = matches!(looked, Ok(Ok(())));
        if !well {
            tracing::warn!("degraded: Redis does not answer");
        }
        Some(well)
    }

    /// That it is not is told by whoever looks, once.
    async fn replica(&self) -> Option<bool> {
        let looked = tokio::time::timeout(PATIENCE, self.drive.meta.is_replica_there()).await;
        looked.unwrap_or(Some(false))
    }

    async fn storage(&self) -> bool {
        let looked = tokio::time::timeout(PATIENCE, self.drive.blobs.ping()).await;
        let well = matches!(looked, Ok(Ok(())));
        if !well {
            tracing::warn!(?looked, "not ready: the object store does not answer");
        }
        well
    }
}
