//! Opening and writing SQLite: a pool of readers and one writer that batches.
//!
//! Mutations that wait while a commit runs share the next transaction, a savepoint each, so one sync serves
//! many. Answers go out after COMMIT, never after RELEASE.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, Executor, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::errors::{database, is_transient, with_meaning};
use super::statement::{Conn, sql};
use super::{SqlRows, migrations};
use crate::model::{Error, Result};
use crate::ports::metadata::Outcome;
use crate::ports::{Clock, WriteUnit};

/// The most units that share a transaction, and how long one may grow: the first waits for the last.
const BATCH_UNITS: usize = 64;
const BATCH_TIME: Duration = Duration::from_millis(50);

/// How long another process may hold the file before a caller is asked to come back later.
const BUSY_PATIENCE: Duration = Duration::from_secs(30);

const READERS: u32 = 8;

/// Opens a file; `location` is what follows `sqlite://`.
pub(super) async fn open(location: &str, clock: &Arc<dyn Clock>) -> Result<(SqlitePool, Writer)> {
    let path = location.split('?').next().unwrap_or_default();
    if path.is_empty() || path.starts_with(":memory:") {
        let fault = "SCAIDRIVE_DATABASE_URL: an in-memory SQLite is one database per connection; name a file";
        return Err(Error::Config { faults: vec![fault.to_owned()] });
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .statement_cache_capacity(256)
        .disable_statement_logging();
    let writer = options
        .clone()
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "16000")
        .pragma("cache_size", "-16384")
        // What a savepoint may have to undo stays in memory: as files it cost more writes than the log itself.
        .pragma("temp_store", "MEMORY")
        .connect()
        .await
        .map_err(database)?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .test_before_acquire(false)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_lazy_with(options.read_only(true).pragma("cache_size", "-4096"));
    Ok((readers, Writer::start(writer, Arc::clone(clock))))
}

/// Returns a connection whose reads are all of the instant of the first.
pub(super) async fn snapshot(readers: &SqlitePool) -> Result<SqliteConnection> {
    let mut conn = readers.acquire().await.map_err(database)?.detach();
    conn.execute("BEGIN").await.map_err(database)?;
    Ok(conn)
}

/// The one task that writes.
#[derive(Debug)]
pub(super) struct Writer {
    requests: mpsc::Sender<Request>,
}

enum Request {
    Write(Pending),
    Migrate(oneshot::Sender<Result<()>>),
    DataVersion(oneshot::Sender<Result<i64>>),
    Close(oneshot::Sender<()>),
}

struct Pending {
    unit: Arc<dyn WriteUnit>,
    reply: oneshot::Sender<Result<()>>,
}

impl Writer {
    fn start(conn: SqliteConnection, clock: Arc<dyn Clock>) -> Self {
        let (requests, inbox) = mpsc::channel(1024);
        tokio::spawn(WriterTask { conn, clock, inbox, synced: true }.run());
        Self { requests }
    }

    pub(super) async fn write(&self, unit: Arc<dyn WriteUnit>) -> Result<()> {
        self.ask(|reply| Request::Write(Pending { unit, reply })).await?
    }

    pub(super) async fn migrate(&self) -> Result<()> {
        self.ask(Request::Migrate).await?
    }

    pub(super) async fn data_version(&self) -> Result<i64> {
        self.ask(Request::DataVersion).await?
    }

    pub(super) async fn close(&self) {
        // A writer that has ended already is closed.
        drop(self.ask(Request::Close).await);
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T> {
        let closed = |()| Error::unavailable("the database is closed", Duration::from_secs(1));
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| closed(()))?;
        answer.await.map_err(|_| closed(()))
    }
}

struct WriterTask {
    conn: SqliteConnection,
    clock: Arc<dyn Clock>,
    inbox: mpsc::Receiver<Request>,
    /// Whether commits are synced now (`synchronous` is FULL, not NORMAL).
    synced: bool,
}

/// A unit that ran inside a batch, and how it ended.
type Ran = (Pending, Result<()>);

impl WriterTask {
    async fn run(mut self) {
        while let Some(request) = self.inbox.recv().await {
            let mut next = Some(request);
            while let Some(request) = next.take() {
                match request {
                    Request::Write(first) => next = self.batch(first).await,
                    Request::Migrate(reply) => drop(reply.send(self.migrate().await)),
                    Request::DataVersion(reply) => drop(reply.send(self.data_version().await)),
                    Request::Close(reply) => {
                        self.inbox.close();
                        // Checkpoints and removes the log; what cannot be is recovered at the next start.
                        if let Err(error) = self.conn.close().await {
                            tracing::warn!(%error, "the database did not close cleanly");
                        }
                        let _ = reply.send(());
                        return;
                    }
                }
            }
        }
    }

    /// Runs a unit and whatever waits behind it in one transaction; returns a request that was no write.
    async fn batch(&mut self, first: Pending) -> Option<Request> {
        let started = Instant::now();
        if let Err(error) = self.begin(first.unit.may_be_lost()).await {
            drop(first.reply.send(Err(error)));
            return None;
        }
        let lossy = first.unit.may_be_lost();
        let mut ran: Vec<Ran> = Vec::new();
        let mut next = Some(first);
        let mut other = None;
        let mut intact = true;
        while let Some(pending) = next.take() {
            let (outcome, still_intact) = self.run_in_savepoint(pending.unit.as_ref()).await;
            ran.push((pending, outcome));
            intact = still_intact;
            if !intact || ran.len() == BATCH_UNITS || started.elapsed() > BATCH_TIME {
                break;
            }
            match self.inbox.try_recv() {
                // A unit whose commit must be synced does not join a batch that is not.
                Ok(Request::Write(pending)) if !lossy || pending.unit.may_be_lost() => next = Some(pending),
                Ok(request) => other = Some(request),
                Err(_) => {}
            }
        }
        if intact && self.command("COMMIT").await.is_ok() {
            for (pending, outcome) in ran {
                drop(pending.reply.send(outcome));
            }
        } else {
            self.rerun_alone(ran).await;
        }
        other
    }

    /// After a full disk or an I/O error the whole transaction is gone, whoever caused it: each member gets a
    /// transaction of its own, so that only the guilty one fails.
    async fn rerun_alone(&mut self, ran: Vec<Ran>) {
        // Fails if SQLite has rolled back by itself.
        drop(self.command("ROLLBACK").await);
        for (pending, _) in ran {
            let outcome = self.alone(pending.unit.as_ref()).await;
            drop(pending.reply.send(outcome));
        }
    }

    async fn alone(&mut self, unit: &dyn WriteUnit) -> Result<()> {
        self.begin(unit.may_be_lost()).await?;
        let (outcome, intact) = self.run_in_savepoint(unit).await;
        let outcome = match outcome {
            Ok(()) if intact => self.command("COMMIT").await,
            Ok(()) => Err(Error::internal("the transaction ended by itself")),
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            drop(self.command("ROLLBACK").await);
        }
        outcome.map_err(with_meaning)
    }

    /// Runs a unit; the second answer tells whether the transaction around it still stands.
    async fn run_in_savepoint(&mut self, unit: &dyn WriteUnit) -> (Result<()>, bool) {
        if let Err(error) = self.command("SAVEPOINT unit").await {
            return (Err(with_meaning(error)), false);
        }
        let mut rows = SqlRows::new(Conn::Sqlite(&mut self.conn), Arc::clone(&self.clock));
        let outcome = AssertUnwindSafe(unit.run(&mut rows)).catch_unwind().await;
        let (outcome, keep) = match outcome {
            Ok(Ok(Outcome::Commit)) => (Ok(()), true),
            Ok(Ok(Outcome::RollBack)) => (Ok(()), false),
            Ok(Err(error)) => (Err(with_meaning(error)), false),
            Err(_) => (Err(Error::internal("a write unit panicked")), false),
        };
        if !keep && self.command("ROLLBACK TO unit").await.is_err() {
            return (outcome, false);
        }
        let intact = self.command("RELEASE unit").await.is_ok();
        (outcome, intact)
    }

    /// Begins a transaction that may write at once, waiting for another process if need be.
    async fn begin(&mut self, lossy: bool) -> Result<()> {
        if self.synced == lossy {
            self.command(if lossy { "PRAGMA synchronous = NORMAL" } else { "PRAGMA synchronous = FULL" })
                .await?;
            self.synced = !lossy;
        }
        let started = Instant::now();
        loop {
            match self.command("BEGIN IMMEDIATE").await {
                Err(error) if is_transient(&error) => {
                    if started.elapsed() > BUSY_PATIENCE {
                        return Err(Error::unavailable(
                            "another process holds the database",
                            Duration::from_secs(1),
                        ));
                    }
                }
                outcome => return outcome.map_err(with_meaning),
            }
        }
    }

    async fn command(&mut self, text: &'static str) -> Result<()> {
        Conn::Sqlite(&mut self.conn).execute(sql(text)).await.map(drop)
    }

    async fn data_version(&mut self) -> Result<i64> {
        Conn::Sqlite(&mut self.conn).fetch_number(sql("PRAGMA data_version")).await
    }

    /// Applies the schema; when several start at once the losers wait and find the work done.
    async fn migrate(&mut self) -> Result<()> {
        let migrator = migrations::migrator(false);
        let started = Instant::now();
        loop {
            match migrator.run_direct(None, &mut self.conn, false).await {
                Ok(()) => return Ok(()),
                Err(error) if started.elapsed() > BUSY_PATIENCE => {
                    return Err(Error::Database { source: error.into() });
                }
                Err(error) => {
                    tracing::debug!(%error, "the schema is being changed by somebody else, or cannot be");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}
