//! Time, ids, fan-out and wake-ups.

use std::fmt;

use async_trait::async_trait;
use tokio::sync::broadcast;
use ulid::Ulid;

use crate::model::{Queue, Result, ShareId, TenantId, Timestamp, UserId};

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

/// What goes over the fan-out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Something has changed.
    Nudge(Nudge),
    /// Nudges were lost, and nobody knows which: anything may have changed.
    Lost,
}

/// Fans nudges out to whoever watches.
#[async_trait]
pub trait PubSub: Send + Sync + fmt::Debug {
    /// Sends a nudge to all who are subscribed now. Losing one is no error: the feed is the truth.
    async fn publish(&self, nudge: Nudge) -> Result<()>;

    /// Returns the news from now on; a slow reader misses some, and knows it.
    fn subscribe(&self) -> broadcast::Receiver<News>;

    /// Checks that other processes can be reached.
    async fn ping(&self) -> Result<()> {
        Ok(())
    }
}

/// Wakes workers. The durable intent is the job's row; losing a wake-up loses no work.
#[async_trait]
pub trait Dispatch: Send + Sync + fmt::Debug {
    /// Tells a worker that a job waits in a queue.
    async fn wake(&self, queue: Queue) -> Result<()>;

    /// Returns once a job may be waiting in one of these queues.
    async fn wait(&self, queues: &[Queue]);
}
