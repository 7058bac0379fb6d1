//! Opening and writing MariaDB/MySQL.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlPool, MySqlPoolOptions};
use sqlx::{Connection, Executor, MySql, Transaction};

use super::errors::{database, is_broken, is_broken_connection, is_transient, with_meaning};
use super::galera::{self, SchemaLease, Writers};
use super::statement::{Conn, sql};
use super::{SqlRows, migrations};
use crate::model::{Error, Result};
use crate::ports::metadata::Outcome;
use crate::ports::{Clock, WriteUnit};

/// How often a transaction is run before its caller is asked to come back later.
const ATTEMPTS: u32 = 12;

/// A connection idle for longer is tested before it is used: servers and proxies drop idle ones.
const TEST_AFTER_IDLE: Duration = Duration::from_secs(5);

/// Reads a URL, which a variable holds.
pub(super) fn options(url: &str, variable: &str) -> Result<MySqlConnectOptions> {
    let options = MySqlConnectOptions::from_str(url)
        .map_err(|error| Error::Config { faults: vec![format!("{variable}: {error}")] })?;
    Ok(options.no_engine_substitution(true).statement_cache_capacity(256))
}

/// A MariaDB/MySQL server, or a node of a Galera cluster.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) pool: MySqlPool,
    /// What transactions run on if the server is a node.
    node: Option<Writers>,
}

impl Server {
    pub(super) async fn open(url: &str) -> Result<Self> {
        let options = options(url, "SCAIDRIVE_DATABASE_URL")?;
        let pool = match pool_options(Commits::AtOnce).connect_with(options.clone()).await {
            // Which tells nobody why.
            Err(sqlx::Error::PoolTimedOut) => {
                let alone = MySqlConnection::connect_with(&options).await;
                return Err(database(alone.err().unwrap_or(sqlx::Error::PoolTimedOut)));
            }
            outcome => outcome.map_err(database)?,
        };
        let node = galera::is_node(&pool).await?.then(|| Writers::new(options));
        Ok(Self { pool, node })
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
        if let Some(writers) = &self.node {
            writers.close().await;
        }
    }

    /// Runs a unit in a transaction, again after a deadlock, a lock time-out or a connection lost before COMMIT.
    pub(super) async fn write(&self, clock: &Arc<dyn Clock>, unit: &dyn WriteUnit) -> Result<()> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.try_write(clock, unit).await {
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

    async fn try_write(&self, clock: &Arc<dyn Clock>, unit: &dyn WriteUnit) -> Result<()> {
        let mut tx = self.begin().await?;
        let mut rows = SqlRows::new(Conn::MySql(&mut tx), Arc::clone(clock));
        rows.writes_locks = self.node.is_some();
        let mut outcome = unit.run(&mut rows).await;
        if outcome.is_ok() && self.node.is_some() {
            outcome = galera::check_whole(&mut tx).await.and(outcome);
        }
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

    async fn begin(&self) -> Result<Transaction<'static, MySql>> {
        match &self.node {
            Some(writers) => writers.begin().await,
            None => self.pool.begin().await.map_err(database),
        }
    }

    /// Applies the schema, one process at a time.
    pub(super) async fn migrate(&self) -> Result<()> {
        let mut conn = locked(&self.pool).await?;
        let migrator = sqlx::migrate::Migrator { locking: false, ..migrations::migrator(true) };
        if self.node.is_none() {
            return migrator.run_direct(None, &mut conn, false).await.map_err(failed);
        }
        let lease = SchemaLease::take(&self.pool, &mut conn).await?;
        tokio::select! {
            done = migrator.run_direct(None, &mut conn, false) => done.map_err(failed)?,
            () = lease.keep() => {}
        }
        lease.end().await
    }

    /// Returns a connection whose reads are all of this instant.
    pub(super) async fn snapshot(&self) -> Result<MySqlConnection> {
        let mut conn = self.pool.acquire().await.map_err(database)?.detach();
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").await.map_err(database)?;
        conn.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await.map_err(database)?;
        Ok(conn)
    }
}

/// When connections commit what runs outside a transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Commits {
    AtOnce,
    WhenTold,
}

/// Returns how connections are kept; every one reads what is committed, because the default (REPEATABLE READ) would make a
/// re-check after `FOR UPDATE` read a stale snapshot.
pub(super) fn pool_options(commits: Commits) -> MySqlPoolOptions {
    MySqlPoolOptions::new()
        .max_connections(32)
        .acquire_timeout(Duration::from_secs(10))
        .test_before_acquire(false)
        .before_acquire(|conn, meta| {
            Box::pin(async move { Ok(meta.idle_for < TEST_AFTER_IDLE || conn.ping().await.is_ok()) })
        })
        .after_connect(move |conn, _| {
            Box::pin(async move {
                if commits == Commits::WhenTold {
                    conn.execute("SET SESSION autocommit = 0").await?;
                }
                conn.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
                conn.execute("SET SESSION innodb_lock_wait_timeout = 10").await?;
                // A process that was frozen in the middle of a transaction must not keep its rows from others for hours.
                set_where_known(conn, "SET SESSION idle_transaction_timeout = 30").await?;
                // Only where Galera exists: reads then wait for what other nodes have committed.
                set_where_known(conn, "SET SESSION wsrep_sync_wait = 1").await
            })
        })
}

/// Sets a variable that not every server has.
async fn set_where_known(conn: &mut MySqlConnection, set: &'static str) -> sqlx::Result<()> {
    match conn.execute(set).await {
        Ok(_) | Err(sqlx::Error::Database(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// How long a migration waits for one that another process is making, in seconds.
const MIGRATION_PATIENCE: u32 = 600;

fn failed(error: sqlx::migrate::MigrateError) -> Error {
    Error::Database { source: error.into() }
}

/// Returns a connection that alone on its server may change the schema; the lock goes with it, whatever happens.
///
/// The lock is ours: that of sqlx asks for an endless wait by a negative time, which MariaDB takes for none.
async fn locked(pool: &MySqlPool) -> Result<MySqlConnection> {
    let mut conn = pool.acquire().await.map_err(database)?.detach();
    let lock = sql("SELECT COALESCE(GET_LOCK(LEFT(CONCAT('scaidrive migrates ', DATABASE()), 64), ?), 0)");
    if Conn::MySql(&mut conn).fetch_number(lock.bind(MIGRATION_PATIENCE)).await? == 1 {
        return Ok(conn);
    }
    Err(Error::unavailable("the schema, which another process is changing", Duration::from_secs(10)))
}

/// Returns a wait that grows with the attempts and differs between rivals.
fn backoff(attempt: u32) -> Duration {
    let ceiling = 4u64 << attempt.min(7);
    Duration::from_millis(1 + RandomState::new().build_hasher().finish() % ceiling)
}
