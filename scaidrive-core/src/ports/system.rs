//! Time, ids, fan-out and wake-ups.

use std::fmt;

use async_trait::async_trait;
use tokio::sync::broadcast;
use ulid::Ulid;

use crate::model::{Result, ShareId, TenantId, Timestamp, UserId};

/// Tells the time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Returns the current time.
    fn now(&self) -> Timestamp;
}

/// Makes ids.
pub trait Ids: Send + Sync + fmt::Debug {
    /// Returns a new ULID, greater than any it returned before.
    fn ulid(&self) -> Ulid;
}

/// Says that something has changed: a nudge to read the feed, or to look at what else is so, never the truth itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nudge {
    /// The tenant.
    pub tenant: TenantId,
    /// The share, or nothing where only the tenant is known.
    pub share: Option<ShareId>,
    /// The only user whom it concerns, where it is one.
    pub user: Option<UserId>,
    /// A position up to which the tenant's feed can be read.
    pub position: i64,
}

/// Fans nudges out to whoever watches.
#[async_trait]
pub trait PubSub: Send + Sync + fmt::Debug {
    /// Sends a nudge to all who are subscribed now. Losing one is no error: the feed is the truth.
    async fn publish(&self, nudge: Nudge) -> Result<()>;

    /// Returns the nudges from now on; a slow reader misses some, and knows it.
    fn subscribe(&self) -> broadcast::Receiver<Nudge>;
}

/// Wakes workers. The durable intent is the job's row; losing a wake-up loses no work.
#[async_trait]
pub trait Dispatch: Send + Sync + fmt::Debug {
    /// Tells workers that a job is waiting.
    async fn wake(&self) -> Result<()>;

    /// Returns once a job may be waiting.
    async fn wait(&self);
}
