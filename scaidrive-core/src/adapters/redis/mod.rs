//! Redis: what replicas share and can do without: counts of requests, nudges, wake-ups of workers.
//!
//! Everything here may be lost at any time. While Redis is away limits let everything through, nudges reach the own
//! process alone, and workers look at the database by themselves; nothing waits for it.

mod dispatch;
mod limiter;
mod link;
mod pubsub;

use redis::{Client, RedisError};

pub use self::dispatch::RedisDispatch;
pub use self::limiter::RedisLimiter;
pub use self::pubsub::RedisPubSub;
use crate::model::{Error, Result};
use crate::ports::Ids;

/// The ports that Redis serves.
#[derive(Debug)]
pub struct Redis {
    /// Counts requests.
    pub limiter: RedisLimiter,
    /// Fans nudges out.
    pub pubsub: RedisPubSub,
    /// Wakes workers.
    pub dispatch: RedisDispatch,
}

/// Returns the ports that a Redis serves; nothing is connected before it is needed.
///
/// `url` is `redis://…` or, for TLS, `rediss://…`. Keys begin with `scaidrive:`, and the keys of one command lie on
/// one node of a cluster.
pub fn open(url: &str, ids: &dyn Ids) -> Result<Redis> {
    let client = Client::open(url).map_err(fault)?;
    let link = link::Link::new(client.clone())?;
    Ok(Redis {
        limiter: RedisLimiter::new(link.clone()),
        pubsub: RedisPubSub::new(client.clone(), link.clone(), ids),
        dispatch: RedisDispatch::new(client, link),
    })
}

/// Returns the error of an address that cannot be one of a Redis; it must not be shown, as it may hold a password.
fn fault(error: RedisError) -> Error {
    Error::Config { faults: vec![format!("SCAIDRIVE_REDIS_URL: {}", error.category())] }
}
