//! A connection that comes back by itself, and that nobody waits for while it is away.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisResult};

use crate::model::{Error, Result};

/// How long an answer, or a connection, is waited for.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);

/// How long nobody tries after it failed: requests go on without, at once.
const AWAY: Duration = Duration::from_secs(1);

/// A shared connection: commands of many are sent together, in turn.
#[derive(Clone)]
pub(super) struct Link {
    manager: ConnectionManager,
    away_until: Arc<Mutex<Option<Instant>>>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The address may hold a password.
        f.write_str("Link")
    }
}

impl Link {
    /// Returns a link that connects when it is first used.
    pub(super) fn new(client: Client) -> Result<Self> {
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let manager = ConnectionManager::new_lazy_with_config(client, config).map_err(super::fault)?;
        Ok(Self { manager, away_until: Arc::default() })
    }

    /// Does something with the connection.
    ///
    /// # Errors
    /// `Unavailable` where that fails, and for a second after that, without trying.
    pub(super) async fn with<T, F>(&self, act: impl FnOnce(ConnectionManager) -> F) -> Result<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        if self.away_until().is_some_and(|until| Instant::now() < until) {
            return Err(away());
        }
        match act(self.manager.clone()).await {
            Ok(done) => Ok(done),
            Err(error) => {
                tracing::warn!(%error, "Redis does not do what it should; going on without it for a second");
                *self.away_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + AWAY);
                Err(away())
            }
        }
    }

    fn away_until(&self) -> Option<Instant> {
        *self.away_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn away() -> Error {
    Error::unavailable("Redis", AWAY)
}
