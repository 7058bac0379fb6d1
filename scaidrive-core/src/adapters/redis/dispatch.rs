//! Wake-ups of workers: one list a queue, from which each takes what it is woken by.

use std::time::Duration;

use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult};
use tokio::sync::Mutex;

use super::link::{Link, PATIENCE};
use crate::model::{Queue, Result};
use crate::ports::Dispatch;

/// Wake-ups kept while nobody waits: every worker looks at the database before it waits.
const KEPT: isize = 1000;

/// How long one command waits for a wake-up.
const WAIT: Duration = Duration::from_secs(20);

/// How long to wait before trying again.
const RETRY: Duration = Duration::from_secs(1);

/// Wakes the workers of all processes that share a Redis.
#[derive(Debug)]
pub struct RedisDispatch {
    client: Client,
    link: Link,
    /// Taken by who waits: other commands would have to wait with it.
    waiting: Mutex<Option<MultiplexedConnection>>,
}

/// Returns where wake-ups of a queue lie; all on one node of a cluster, for one command waits for several.
fn list(queue: Queue) -> String {
    format!("scaidrive:{{jobs}}:{queue}")
}

impl RedisDispatch {
    pub(super) fn new(client: Client, link: Link) -> Self {
        Self { client, link, waiting: Mutex::default() }
    }

    /// Waits for a wake-up. Whoever stops waiting drops the connection, and with it the command.
    async fn pop(&self, queues: &[Queue]) -> RedisResult<()> {
        let mut place = self.waiting.lock().await;
        let mut redis = match place.take() {
            Some(redis) => redis,
            None => self.connect().await?,
        };
        let mut command = redis::cmd("BLPOP");
        for queue in queues {
            command.arg(list(*queue));
        }
        command.arg(WAIT.as_secs());
        command.exec_async(&mut redis).await?;
        *place = Some(redis);
        Ok(())
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(WAIT + RETRY));
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }
}

#[async_trait]
impl Dispatch for RedisDispatch {
    async fn wake(&self, queue: Queue) -> Result<()> {
        let mut pipe = redis::pipe();
        pipe.rpush(list(queue), 1).ignore().ltrim(list(queue), -KEPT, -1).ignore();
        self.link.with(async |mut redis| pipe.exec_async(&mut redis).await).await
    }

    async fn wait(&self, queues: &[Queue]) {
        if let Err(error) = self.pop(queues).await {
            tracing::debug!(%error, "wake-ups cannot be had; the worker looks by itself");
            tokio::time::sleep(RETRY).await;
        }
    }
}
