//! Opening and writing MariaDB/MySQL.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Executor;
use sqlx::mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions};

use super::errors::{database, is_broken, is_broken_connection, is_transient, with_meaning};
use super::statement::{Conn, sql};
use super::{SqlRows, migrations};
use crate::model::{Error, Result};
use crate::ports::metadata::Outcome;
use crate::ports::{Clock, WriteUnit};

/// How often a transaction is run before its caller is asked to come back later.
const ATTEMPTS: u32 = 12;

/// A connection idle for longer is tested before it is used: servers and proxies drop idle ones.
const TEST_AFTER_IDLE: Duration = Duration::from_secs(5);

/// Opens a pool; every connection reads what is committed, because the default (REPEATABLE READ) would make a
/// re-check after `FOR UPDATE` read a stale snapshot.
pub(super) async fn open(url: &str) -> Result<MySqlPool> {
    let options = MySqlConnectOptions::from_str(url)
        .map_err(|error| Error::Config { faults: vec![format!("SCAIDRIVE_DATABASE_URL: {error}")] })?
        .no_engine_substitution(true)
        .statement_cache_capacity(256);
    MySqlPoolOptions::new()
        .max_connections(32)
        .acquire_timeout(Duration::from_secs(10))
        .test_before_acquire(false)
        .before_acquire(|conn, meta| {
            Box::pin(async move {
                Ok(meta.idle_for < TEST_AFTER_IDLE || sqlx::Connection::ping(conn).await.is_ok())
            })
        })
        .after_connect(|conn, _| {
            Box::pin(async move {
                conn.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
                conn.execute("SET SESSION innodb_lock_wait_timeout = 10").await?;
                // Only where Galera exists: reads then wait for what other nodes have committed.
                conn.execute("SET SESSION wsrep_sync_wait = 1").await.map(drop).or(Ok(()))
            })
        })
        .connect_with(options)
        .await
        .map_err(database)
}

/// How long a migration waits for one that another process is making.
const MIGRATION_PATIENCE: u32 = 600;

/// Applies the schema, one process at a time.
///
/// The lock is ours: that of sqlx asks for an endless wait by a negative time, which MariaDB takes for none.
pub(super) async fn migrate(pool: &MySqlPool) -> Result<()> {
    // The lock goes with its connection, whatever happens: so this one is not given back to the pool.
    let mut conn = pool.acquire().await.map_err(database)?.detach();
    let lock = sql("SELECT COALESCE(GET_LOCK(LEFT(CONCAT('scaidrive migrates ', DATABASE()), 64), ?), 0)");
    if Conn::MySql(&mut conn).fetch_number(lock.bind(MIGRATION_PATIENCE)).await? != 1 {
        return Err(Error::unavailable(
            "the schema, which another process is changing",
            Duration::from_secs(10),
        ));
    }
    let migrator = sqlx::migrate::Migrator { locking: false, ..migrations::migrator(true) };
    migrator
        .run_direct(None, &mut conn, false)
        .await
        .map_err(|error| Error::Database { source: error.into() })
}

/// Runs a unit in a transaction, again after a deadlock, a lock time-out or a connection lost before COMMIT.
pub(super) async fn write(pool: &MySqlPool, clock: &Arc<dyn Clock>, unit: &dyn WriteUnit) -> Result<()> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match try_write(pool, clock, unit).await {
            Err(error) if is_transient(&error) || is_broken(&error) => {
                if attempt == ATTEMPTS {
                    tracing::warn!(%error, attempt, "a transaction found no way through");
                    return Err(Error::unavailable("the database is too busy", Duration::from_secs(1)));
                }
                tokio::time::sleep(backoff(attempt)).await;
            }
            outcome => return outcome.map_err(with_meaning),
        }
    }
}

async fn try_write(pool: &MySqlPool, clock: &Arc<dyn Clock>, unit: &dyn WriteUnit) -> Result<()> {
    let mut tx = pool.begin().await.map_err(database)?;
    let outcome = unit.run(&mut SqlRows::new(Conn::MySql(&mut tx), Arc::clone(clock))).await;
    match outcome {
        Ok(Outcome::Commit) => tx.commit().await.map_err(|error| {
            if is_broken_connection(&error) {
                Error::CommitUnknown { source: Box::new(error) }
            } else {
                database(error)
            }
        }),
        Ok(Outcome::RollBack) => tx.rollback().await.map_err(database),
        Err(error) => {
            // A failed roll-back means a broken connection, and the server rolls back what it lost.
            drop(tx.rollback().await);
            Err(error)
        }
    }
}

/// Returns a wait that grows with the attempts and differs between rivals.
fn backoff(attempt: u32) -> Duration {
    let ceiling = 4u64 << attempt.min(7);
    Duration::from_millis(1 + RandomState::new().build_hasher().finish() % ceiling)
}
