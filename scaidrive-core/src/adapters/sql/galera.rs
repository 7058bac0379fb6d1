//! What a Galera cluster needs beside what one server does, where several of its nodes are written to.
//!
//! Nodes know of each other's rows that were written, not of those that were locked or read: whoever relies on a lock
//! must write a row. `GET_LOCK` is one node's own.

use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlPool};
use sqlx::{Executor, MySql, Transaction};

use super::errors::{database, is_transient};
use super::mysql::{self, Commits};
use super::statement::{Conn, Statement, sql};
use crate::model::{Error, Result};

/// How long nobody else changes the schema after who did was heard of last, in seconds.
const LEASE: u32 = 600;

/// How often who changes the schema says that it still does.
const RENEWAL: Duration = Duration::from_secs(30);

/// How often who waits for the schema looks.
const LOOK: Duration = Duration::from_secs(1);

/// Tells whether a server is a node of a cluster.
pub(super) async fn is_node(pool: &MySqlPool) -> Result<bool> {
    let row = on(pool).await?.fetch_one(sql("SHOW GLOBAL VARIABLES LIKE 'wsrep_on'")).await?;
    row.map_or(Ok(false), |row| Ok(row.string(1)? == "ON"))
}

async fn on(pool: &MySqlPool) -> Result<Conn<'static>> {
    pool.acquire().await.map(Conn::MySqlPool).map_err(database)
}

/// Connections for transactions, which commit nothing by themselves.
///
/// A node that takes a transaction back, because a rival on another node was faster, does not always say so (seen with
/// MariaDB 10.11.19, about once in ten thousand transactions of rivals). What follows would then be committed statement by
/// statement. So it is not, and a savepoint shows that the transaction is still the one that was begun: it goes with it.
#[derive(Clone, Debug)]
pub(super) struct Writers(MySqlPool);

impl Writers {
    pub(super) fn new(options: MySqlConnectOptions) -> Self {
        let pool = mysql::pool_options(Commits::WhenTold);
        Self(pool.connect_lazy_with(options))
    }

    pub(super) async fn begin(&self) -> Result<Transaction<'static, MySql>> {
        self.0.begin_with("START TRANSACTION; SAVEPOINT whole").await.map_err(database)
    }

    pub(super) async fn close(&self) {
        self.0.close().await;
    }
}

/// Checks that what runs is what was begun.
///
/// # Errors
/// What passes if the transaction is run again.
pub(super) async fn check_whole(tx: &mut MySqlConnection) -> Result<()> {
    tx.execute("RELEASE SAVEPOINT whole").await.map(drop).map_err(database)
}

/// The right to change the schema, in a row that all nodes see.
pub(super) struct SchemaLease<'p> {
    pool: &'p MySqlPool,
    holder: String,
}

impl<'p> SchemaLease<'p> {
    /// Waits until nobody else changes the schema.
    pub(super) async fn take(pool: &'p MySqlPool, conn: &mut MySqlConnection) -> Result<Self> {
        let mut conn = Conn::MySql(conn);
        let table = "CREATE TABLE IF NOT EXISTS _scaidrive_migrates (id INT NOT NULL PRIMARY KEY, \
             holder VARCHAR(64) NOT NULL, lease_until BIGINT NOT NULL) ENGINE=InnoDB";
        conn.execute(sql(table)).await?;
        let me = conn.fetch_one(sql("SELECT UUID()")).await?;
        let holder = me.ok_or_else(|| Error::internal("no UUID"))?.string(0)?;
        let lease = Self { pool, holder };
        let began = tokio::time::Instant::now();
        while !lease.is_taken(&mut conn).await? {
            if began.elapsed() > Duration::from_secs((2 * LEASE).into()) {
                return Err(Error::unavailable("the schema, which another process is changing", LOOK));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(lease)
    }

    async fn is_taken(&self, conn: &mut Conn<'_>) -> Result<bool> {
        // MySQL assigns from left to right: the end comes last.
        let take = sql("INSERT INTO _scaidrive_migrates (id, holder, lease_until) \
             VALUES (1, ?, UNIX_TIMESTAMP() + ?) ON DUPLICATE KEY UPDATE \
             holder = IF(lease_until < UNIX_TIMESTAMP(), VALUES(holder), holder), \
             lease_until = IF(holder = VALUES(holder), VALUES(lease_until), lease_until)");
        match conn.execute(take.text(&self.holder).bind(LEASE)).await {
            Err(error) if is_transient(&error) => return Ok(false),
            outcome => outcome?,
        };
        let whose = conn.fetch_one(sql("SELECT holder FROM _scaidrive_migrates WHERE id = 1")).await?;
        Ok(whose.is_some_and(|row| row.string(0).is_ok_and(|holder| holder == self.holder)))
    }

    fn of_holder(&self, statement: Statement) -> Statement {
        statement.push(" WHERE id = 1 AND holder = ?").text(&self.holder)
    }

    /// Renews the lease, for ever.
    pub(super) async fn keep(&self) {
        loop {
            tokio::time::sleep(RENEWAL).await;
            let renew = sql("UPDATE _scaidrive_migrates SET lease_until = UNIX_TIMESTAMP() + ?").bind(LEASE);
            let renew = self.of_holder(renew);
            let renewed = async { on(self.pool).await?.execute(renew).await }.await;
            if let Err(error) = renewed {
                tracing::warn!(%error, "the right to change the schema is not renewed; trying again");
            }
        }
    }

    /// Lets the next one change the schema.
    pub(super) async fn end(self) -> Result<()> {
        let delete = self.of_holder(sql("DELETE FROM _scaidrive_migrates"));
        on(self.pool).await?.execute(delete).await.map(drop)
    }
}
