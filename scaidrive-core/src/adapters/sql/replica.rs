//! A read replica: a server that copies what a MariaDB commits, asked for reports while it keeps up.
//!
//! Before each report it has to have all that the primary has committed by now, told by global transaction ids: so who
//! reads there sees its own writes, and nothing that was taken away. While it is behind or away everything is read from
//! the primary, at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::MySql;
use sqlx::mysql::MySqlPool;
use sqlx::pool::PoolConnection;

use super::errors::{database, with_meaning};
use super::mysql;
use super::statement::{Conn, sql};
use crate::model::{Error, Result};
use crate::ports::metadata::ReportsRead;

/// How long a report waits for the replica to catch up, in milliseconds.
const CATCHES_UP_IN: u32 = 200;

/// How long it may take to be there at all: to be connected to, and to answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long nobody tries after it failed; then one does, and the others wait for what comes of it.
const AWAY: Duration = Duration::from_secs(2);

/// The replica, and how it fares.
#[derive(Debug)]
pub(super) struct Replica {
    pool: MySqlPool,
    away_until: Mutex<Option<Instant>>,
    /// Reports that began here, whatever became of them.
    reads: AtomicU64,
    fallbacks: AtomicU64,
}

impl Replica {
    /// Returns the replica at a URL; nothing is connected before it is needed, and nothing needs it to be there.
    pub(super) fn new(url: &str) -> Result<Self> {
        let options = mysql::options(url, "SCAIDRIVE_DATABASE_REPLICA_URL")?;
        Ok(Self {
            pool: mysql::pool_options(mysql::Commits::AtOnce).connect_lazy_with(options),
            away_until: Mutex::default(),
            reads: AtomicU64::new(0),
            fallbacks: AtomicU64::new(0),
        })
    }

    /// Returns a connection to where all is that the primary has committed by now; nothing if that is the primary alone.
    pub(super) async fn reader(&self, primary: &MySqlPool) -> Option<PoolConnection<MySql>> {
        let reader = self.caught_up(primary).await;
        let count = if reader.is_some() { &self.reads } else { &self.fallbacks };
        count.fetch_add(1, Ordering::Relaxed);
        reader
    }

    /// Notes that a report broke off and is read from the primary.
    pub(super) fn failed(&self, error: &Error) {
        self.fallbacks.fetch_add(1, Ordering::Relaxed);
        self.set_away(&error.to_string());
    }

    /// Looks whether the replica is fit for reports.
    pub(super) async fn is_there(&self, primary: &MySqlPool) -> bool {
        self.caught_up(primary).await.is_some()
    }

    /// Returns where reports were read since this was asked last.
    pub(super) fn take_reports(&self) -> ReportsRead {
        ReportsRead {
            from_replica: self.reads.swap(0, Ordering::Relaxed),
            from_primary: self.fallbacks.swap(0, Ordering::Relaxed),
        }
    }

    async fn caught_up(&self, primary: &MySqlPool) -> Option<PoolConnection<MySql>> {
        if !self.may_try() {
            return None;
        }
        let failure = match position(primary).await.map_err(with_meaning) {
            Ok(position) => match tokio::time::timeout(PATIENCE, self.at(&position)).await {
                Ok(Ok(reader)) => {
                    self.set_there();
                    return Some(reader);
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it does not answer".to_owned(),
            },
            // A primary that does not answer says nothing about the replica.
            Err(Error::Unavailable { .. }) => return None,
            Err(_) => "the primary is no MariaDB, so nobody can tell how far it is".to_owned(),
        };
        self.set_away(&failure);
        None
    }

    /// Returns a connection once everything up to a position has been copied.
    async fn at(&self, position: &str) -> Result<PoolConnection<MySql>> {
        if position.is_empty() {
            return Err(behind("the primary keeps no binary log, so nobody can tell how far it is"));
        }
        let mut reader = self.pool.acquire().await.map_err(database)?;
        let wait = sql("SELECT MASTER_GTID_WAIT(?, ? / 1000)").bind(position).bind(CATCHES_UP_IN);
        match Conn::MySql(&mut reader).fetch_number(wait).await? {
            0 => Ok(reader),
            _ => Err(behind("it is behind")),
        }
    }

    fn may_try(&self) -> bool {
        let mut away_until = self.away_until.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(until) = *away_until else { return true };
        let now = Instant::now();
        if now < until {
            return false;
        }
        *away_until = Some(now + AWAY);
        true
    }

    fn set_there(&self) {
        if self.away_until.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            tracing::info!("the database's replica is there and has caught up: it is read from again");
        }
    }

    fn set_away(&self, why: &str) {
        let mut away_until = self.away_until.lock().unwrap_or_else(PoisonError::into_inner);
        // Told once: an outage of hours is one line.
        if away_until.replace(Instant::now() + AWAY).is_none() {
            tracing::warn!(why, "the database's replica is of no use: everything is read from the primary");
        }
    }
}

/// Returns what the primary has committed, as its binary log says.
async fn position(primary: &MySqlPool) -> Result<String> {
    let mut conn = Conn::MySqlPool(primary.acquire().await.map_err(database)?);
    let row = conn.fetch_one(sql("SELECT @@GLOBAL.gtid_binlog_pos")).await?;
    row.map_or_else(|| Ok(String::new()), |row| row.string(0))
}

fn behind(why: &str) -> Error {
    Error::unavailable(format!("the replica: {why}"), AWAY)
}
